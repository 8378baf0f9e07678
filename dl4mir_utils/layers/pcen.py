"""Per-channel energy normalisation: an automatic gain control for every mel band."""

import math
from typing import Any

import keras
import tensorflow as tf

from dl4mir_utils.errors import BadArgumentError

EPSILON = 1e-6
NEGLIGIBLE = 1e-9  # weight of the oldest frame that the running mean still counts


@keras.saving.register_keras_serializable(package="dl4mir")
class Pcen(keras.layers.Layer):
    """Divide each mel band by its own recent past, then compress it (Wang et al., 2017, equations 1 and 2).

    With the energy E of a band and its running mean M over frames t::

        M[t] = (1 - s) M[t - 1] + s E[t],    M[-1] = E[0]
        PCEN[t] = (E[t] / (epsilon + M[t]) ** gain + bias) ** root - bias ** root

    Input: float (batch, frames, mels, channels), mel energies and not decibels, as
    `LogMel(decibels=False)` gives them. Output: float32 of the same shape. It equals `librosa.pcen` with
    `b=smoothing` and `zi=(1 - smoothing) * E[0]`.

    Gain, bias and root are weights, one each per mel band (their logarithms, so they stay positive).
    They are trained with the model unless `trainable=False`; `smoothing` is fixed.

    Like `LogMel`, the layer always computes in float32.

    Parameters
    ----------
    smoothing : float
        s, between 0 and 1: the mean goes back about 1 / s frames.
    gain : float
        0 is no gain control, 1 removes the loudness of the last frames entirely.
    bias, root : float
        How the result is compressed. With audio in [-1, 1] energies are small, and so should be the bias:
        sounds far below it count as silence.
    **kwargs
        `trainable`, `name` and the like. `dtype` is ignored.

    Raises
    ------
    BadArgumentError
        An argument is not positive, or `smoothing` is 1 or more.
    """

    def __init__(
        self, smoothing: float = 0.025, gain: float = 0.98, bias: float = 2.0, root: float = 0.5, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs | {"dtype": "float32"})
        if not 0 < smoothing < 1:
            raise BadArgumentError(f"smoothing is {smoothing}; it must lie between 0 and 1.")
        self._config = {"smoothing": smoothing, "gain": gain, "bias": bias, "root": root}
        for name in ("gain", "bias", "root"):
            if self._config[name] <= 0:
                raise BadArgumentError(f"{name} is {self._config[name]}; it must be positive.")
        self.smoothing = smoothing

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create gain, bias and root for each mel band."""
        for name in ("gain", "bias", "root"):
            start = keras.initializers.Constant(math.log(self._config[name]))
            setattr(self, f"log_{name}", self.add_weight((input_shape[2], 1), start, name=f"log_{name}"))

    def call(self, energy: tf.Tensor) -> tf.Tensor:
        """Normalise mel energies (batch, frames, mels, channels)."""
        gain, bias, root = tf.exp(self.log_gain), tf.exp(self.log_bias), tf.exp(self.log_root)
        level = tf.exp(-gain * tf.math.log(EPSILON + self.running_mean(energy)))
        # (x + bias) ** root - bias ** root, in a form that keeps its digits where x is small
        return bias**root * tf.math.expm1(root * tf.math.log1p(energy * level / bias))

    def running_mean(self, energy: tf.Tensor) -> tf.Tensor:
        """Return M for E (batch, frames, mels, channels).

        A recursion would go frame by frame. The same sum is built by doubling: after k rounds each frame
        holds the weighted sum of 2 ** k frames, and adding the one 2 ** k frames back makes it twice
        as many. Before the first frame the band is taken to have been as in the first frame.
        """
        keep, frames = 1 - self.smoothing, tf.shape(energy)[1]
        mean, reach = self.smoothing * energy, 1
        while keep**reach > NEGLIGIBLE:
            mean += keep**reach * tf.pad(mean, [[0, 0], [reach, 0], [0, 0], [0, 0]])[:, :frames]
            reach *= 2
        age = tf.reshape(tf.range(1.0, tf.cast(frames, tf.float32) + 1), (1, -1, 1, 1))
        return mean + keep**age * energy[:, :1]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, so that a saved model can be loaded."""
        return super().get_config() | self._config
