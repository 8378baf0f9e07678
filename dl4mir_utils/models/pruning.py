"""Leave out of musicnn's front end the filters that say nothing: weight decay has driven them to zero.

Of the 561 filters trained on the Million Song Dataset, 497 always give the same value, whatever they hear; of those
trained on MagnaTagATune, half. Exported without them, a network answers the same in less than half the time.
"""

import keras
import numpy as np
import tensorflow as tf

FILTERS = ("timbre_38", "timbre_67", "rhythm_128", "rhythm_64", "rhythm_32")  # layers, in the order of their features
LOUDEST = 6.5  # log10(10000 mel + 1) is below that for any audio in [-1, 1]
TOGETHER = 8  # filters that LiteRT computes at once; the last ones of a layer take as long as eight, or much longer
STILL = 1e-5  # a feature that cannot change by more, from silence to the loudest sound, is taken for a constant


def without_still_filters(model: keras.Model) -> keras.Model:
    """Return the same network without those filters; where they were, stands the value that they always give.

    A few stay, with zeros for weights, so that each layer has a multiple of eight filters. In what is missing to a full
    group of eight, LiteRT computes with whatever lies in memory, and that may be slow: in a browser, a layer of 30
    filters often takes three times as long as one of 32, or longer (`benchmarks/browser_kernels.py`).

    Parameters
    ----------
    model : keras.Model
        `musicnn(...)`, or the front end of the singing detector: any network with the layers that
        `dl4mir_utils.models.musicnn.features` makes.

    Returns
    -------
    keras.Model
        With the same inputs and outputs, which change by less than 1e-5.
    """
    (mean,), (scale,) = _normalisation(model.get_layer("bn_mel"))
    loudest = np.abs((np.array([0, LOUDEST]) - mean) * scale + model.get_layer("bn_mel").beta.numpy()).max()
    constants, still, kept = [], {}, {}
    for name in FILTERS:
        kernel, bias = (weights.numpy() for weights in model.get_layer(name).weights)
        normalisation = model.get_layer(f"bn_{name}")
        mean, scale = _normalisation(normalisation)
        still[name] = np.abs(kernel).sum(axis=(0, 1, 2)) * loudest * np.abs(scale) <= STILL
        kept[name] = ~still[name]
        kept[name][np.flatnonzero(still[name])[: -kept[name].sum() % TOGETHER]] = True
        constants.append((np.maximum(bias, 0) - mean) * scale + normalisation.beta.numpy())
    heard = np.concatenate(list(kept.values()))

    def exchanged(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer.name == "front":
            return PutBack(heard, np.concatenate(constants)[~heard], name="front")
        name = layer.name.removeprefix("bn_")
        if name not in kept:
            return layer
        count, is_filter = kept[name].sum(), layer.name == name
        smaller = type(layer).from_config(layer.get_config() | ({"filters": count} if is_filter else {}))
        smaller.build((None, None, None, 1 if is_filter else count))
        weights = layer.get_weights()
        if is_filter:
            weights[0][..., still[name]] = 0
        smaller.set_weights([values[..., kept[name]] for values in weights])
        return smaller

    return keras.models.clone_model(model, clone_function=exchanged)


def _normalisation(layer: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """Return what a batch normalisation subtracts, and what it multiplies by."""
    return layer.moving_mean.numpy(), layer.gamma.numpy() / np.sqrt(layer.moving_variance.numpy() + layer.epsilon)


class PutBack(keras.layers.Layer):
    """Join features (batch, frames, some) to (batch, frames, all), with constants where no filter is left.

    Parameters
    ----------
    heard : bool array (all,)
        Which features come from filters.
    constants : float array (all - heard,)
        The others.
    """

    def __init__(self, heard: np.ndarray, constants: np.ndarray, name: str) -> None:
        super().__init__(name=name)
        self.order = np.argsort(np.argsort(~heard, kind="stable"))  # places of all features among heard, then still
        self.offset = np.concatenate([np.zeros(heard.sum()), constants]).astype(np.float32)
        self.still = len(constants)

    def call(self, parts: list[tf.Tensor]) -> tf.Tensor:
        """Return all features in their order."""
        x = tf.pad(tf.concat(parts, axis=2), [(0, 0), (0, 0), (0, self.still)])
        return tf.gather(x + self.offset, self.order, axis=2)

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """Return (batch, frames, all)."""
        return *input_shape[0][:2], len(self.order)
