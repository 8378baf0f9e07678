"""What it takes to run a network over audio of any length."""

from collections.abc import Callable
from functools import lru_cache

import keras
import numpy as np
import tensorflow as tf

from dl4mir_utils.errors import BadArgumentError


def checked_audio(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return audio as an array if it is a row of finite floats, (samples,).

    Raises
    ------
    BadArgumentError
        The audio is empty, not one-dimensional or not made of finite floats; `sample_rate`, in Hz, stands in the text.
    """
    audio = np.asarray(audio)
    if audio.ndim != 1 or not len(audio) or audio.dtype.kind != "f" or not np.isfinite(audio).all():
        raise BadArgumentError(
            f"audio has shape {audio.shape} and type {audio.dtype}; it must be a row of finite floats in [-1, 1] at "
            f"{sample_rate / 1000:g} kHz, as load_audio gives it."
        )
    return audio


@lru_cache(maxsize=8)
def as_graph(model: keras.Model, layer: str | None = None) -> Callable[[np.ndarray], tf.Tensor]:
    """Return a model of audio (batch, samples, 1), or its part up to a layer, as one graph for every batch and length.

    It is made only once, not for every length and every song.
    """
    if layer:
        model = keras.Model(model.input, model.get_layer(layer).output)
    return tf.function(
        lambda audio: model(audio, training=False), input_signature=[tf.TensorSpec((None, None, 1), tf.float32)]
    )
