"""The non-local block: every position of a feature map looks at every other one."""

from typing import Any, Literal, get_args

import keras
from keras import ops

from dl4mir_utils.errors import BadArgumentError

Kind = Literal["gaussian", "embedded gaussian", "dot product", "concatenation"]
HIDDEN = -1e9  # the score of what must not be seen; in half precision minus infinity


@keras.saving.register_keras_serializable(package="dl4mir")
class NonLocal(keras.layers.Layer):
    """Add to each position i what all positions j hold (Wang et al., CVPR 2018, arXiv 1711.07971, section 3).

    With x of C channels and N positions::

        y[i] = 1 / C(x) * sum over j of f(x[i], x[j]) * g(x[j])        g(x) = W_g x
        z[i] = batch normalisation of (W_z y[i]) + x[i]

    ====================  ==============================================  ==================
    kind                  f(x[i], x[j])                                   C(x)
    ====================  ==============================================  ==================
    "gaussian"            exp(x[i] . x[j])                                sum over j of f
    "embedded gaussian"   exp(theta(x[i]) . phi(x[j]))                    sum over j of f
    "dot product"         theta(x[i]) . phi(x[j])                         number of j
    "concatenation"       ReLU(w . [theta(x[i]), phi(x[j])])              number of j
    ====================  ==============================================  ==================

    The scale of the batch normalisation starts at zero, so the new block changes nothing: it can be put into any
    network, a trained one, too. "embedded gaussian" is softmax self-attention with one head and without the
    scaling by the root of the number of channels. The block knows no order: shuffled positions come out
    shuffled in the same way.

    Input and output: (batch, steps, channels), or (batch, frames, bands, channels), where a position is a place
    in the picture. Lengths may be unknown when the model is built. Memory and time grow with the square of
    the number of positions.

    Parameters
    ----------
    kind : {"embedded gaussian", "gaussian", "dot product", "concatenation"}
        The function f.
    inner : int, optional
        Channels of theta, phi and g; by default half of the input's, at least one.
    pool : int
        theta stays as it is, but phi and g are reduced to the maximum of so many neighbours along each axis: the
        "subsampling trick", which for 2 takes half of the work from a sequence and three quarters from a picture.
        What is left over at the end is a smaller group.
    **kwargs
        `name` and the like.

    Raises
    ------
    BadArgumentError
        There is no such kind, a number is not positive, the input has neither three nor four axes, its number of
        channels is unknown, or the mask does not fit.
    """

    def __init__(
        self, kind: Kind = "embedded gaussian", inner: int | None = None, pool: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if kind not in get_args(Kind):
            raise BadArgumentError(f"kind is {kind!r}; it must be one of {', '.join(map(repr, get_args(Kind)))}.")
        for name, value in [("inner", inner), ("pool", pool)]:
            if value is not None and value < 1:
                raise BadArgumentError(f"{name} is {value}; it must be at least 1.")
        self.kind, self.inner, self.pool = kind, inner, pool
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the maps theta, phi, g and W_z (1 x 1 convolutions) and the batch normalisation."""
        if len(input_shape) not in (3, 4) or input_shape[-1] is None:
            raise BadArgumentError(
                "NonLocal needs (batch, steps, channels) or (batch, frames, bands, channels) with a known number of "
                f"channels, got {tuple(input_shape)}."
            )
        channels = input_shape[-1]
        inner = self.inner or max(1, channels // 2)

        def linear(units: int, inputs: int, name: str) -> keras.layers.Dense:
            layer = keras.layers.Dense(units, use_bias=False, name=name, dtype=self.dtype_policy)
            layer.build((None, inputs))
            return layer

        if self.kind != "gaussian":
            self.theta, self.phi = linear(inner, channels, "theta"), linear(inner, channels, "phi")
        if self.kind == "concatenation":
            self.from_theta, self.from_phi = linear(1, inner, "from_theta"), linear(1, inner, "from_phi")
        self.g, self.w_z = linear(inner, channels, "g"), linear(channels, inner, "w_z")
        self.norm = keras.layers.BatchNormalization(
            momentum=0.9, gamma_initializer="zeros", name="norm", dtype=self.dtype_policy
        )
        self.norm.build(input_shape)

    def call(self, x: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Return z for x; positions where `mask` is False are seen by none."""
        weights = self.affinity(x, mask)
        y = ops.matmul(weights, self._pooled(self.g(x), mask))
        y = ops.reshape(self.w_z(y), ops.shape(x))
        return x + self.norm(y, training=training, mask=mask)

    def affinity(self, x: Any, mask: Any = None) -> Any:
        """Return f(x[i], x[j]) / C(x), the weight with which position i takes up position j.

        Parameters
        ----------
        x : float tensor (batch, steps, channels) or (batch, frames, bands, channels)
            What the layer is given.
        mask : bool tensor, optional
            The shape of `x` without the channels.

        Returns
        -------
        float tensor (batch, positions, pooled positions)
            In a picture positions are numbered frame by frame, and band by band within a frame.
        """
        if mask is not None and tuple(mask.shape) != tuple(x.shape[:-1]):
            raise BadArgumentError(f"The mask has the shape {tuple(mask.shape)}; x asks for {tuple(x.shape[:-1])}.")
        queries = x if self.kind == "gaussian" else self.theta(x)
        keys = self._pooled(x if self.kind == "gaussian" else self.phi(x), mask)
        queries = ops.reshape(queries, (ops.shape(x)[0], -1, queries.shape[-1]))
        if self.kind == "concatenation":  # w . [theta, phi] is the sum of a number of i and a number of j
            scores = ops.relu(self.from_theta(queries) + ops.swapaxes(self.from_phi(keys), 1, 2))
        else:
            scores = ops.matmul(queries, ops.swapaxes(keys, 1, 2))
        seen = None if mask is None else self._pooled_mask(mask)
        if self.kind.endswith("gaussian"):
            return ops.softmax(scores if seen is None else ops.where(seen, scores, HIDDEN), axis=-1)
        if seen is None:
            return scores / ops.cast(ops.shape(keys)[1], scores.dtype)
        seen = ops.cast(seen, scores.dtype)
        return scores * seen / ops.maximum(ops.sum(seen, axis=-1, keepdims=True), 1)

    def _pooled(self, x: Any, mask: Any) -> Any:
        """Return the maxima over groups of neighbours, in a row: (batch, pooled positions, channels)."""
        if mask is not None:  # what is hidden is no maximum, and zero where a whole group is hidden
            x = ops.where(mask[..., None], x, HIDDEN)
        if self.pool > 1:
            x = ops.max_pool(x, self.pool, padding="same")
        x = ops.reshape(x, (ops.shape(x)[0], -1, x.shape[-1]))
        return x if mask is None else ops.where(ops.swapaxes(self._pooled_mask(mask), 1, 2), x, 0)

    def _pooled_mask(self, mask: Any) -> Any:
        """Return which groups hold something to be seen: bool (batch, 1, pooled positions)."""
        seen = ops.cast(mask, "float32")[..., None]
        seen = ops.max_pool(seen, self.pool, padding="same") if self.pool > 1 else seen
        return ops.reshape(seen, (ops.shape(seen)[0], 1, -1)) > 0

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, so that a saved model can be loaded."""
        return super().get_config() | {"kind": self.kind, "inner": self.inner, "pool": self.pool}
