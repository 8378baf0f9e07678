"""The course's singing-voice detector: a CNN and a published tagger's features, read by a recurrent layer."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from dl4mir_utils.layers import LogMel
from dl4mir_utils.models.musicnn import FEATURES, HOP, RATE, frames, load_musicnn
from dl4mir_utils.models.weights import load_weights
from dl4mir_utils.paths import course_file

STEP = 8  # frames of 16 ms to one decision
MELS = 80
WEIGHTS = "singing_detector.npz"
MEMBERS = 2  # networks trained alike, from other random weights


class SingingDetector(NamedTuple):
    """A network that finds singing, and how to read its output.

    Attributes
    ----------
    model : keras.Model
        From audio, float32 (batch, samples, 1) in [-1, 1] at 16 kHz, to the probability of singing, float32
        (batch, samples // 2048): frame i is the time from 0.128 i to 0.128 (i + 1) s.
    hop_s : float
        Length of a frame, in seconds.
    threshold : float
        Probability above which a frame counts as sung; chosen on validation mixes.
    median_frames : int
        Length of the median filter over the probabilities, in frames; chosen on validation mixes.
    """

    model: keras.Model
    hop_s: float
    threshold: float
    median_frames: int


@keras.saving.register_keras_serializable(package="dl4mir")
class WholeSteps(layers.Layer):
    """Cut audio (batch, samples, 1) to a multiple of 2048 samples."""

    def call(self, audio: tf.Tensor) -> tf.Tensor:
        """Leave out what is too short for a step."""
        return audio[:, : tf.shape(audio)[1] // (STEP * HOP) * (STEP * HOP)]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return (batch, samples, 1)."""
        batch, samples, channels = input_shape
        return batch, samples and samples // (STEP * HOP) * (STEP * HOP), channels


def singing_detector() -> SingingDetector:
    """Load the pretrained detector. `tools/recipes/train_singing.py` is its recipe, `data/README.md` tells its story.

    Raises
    ------
    DataNotFoundError
        The weights are not there.
    """
    audio = keras.Input((None, 1), name="audio")
    front_end = build_front_end()
    load_musicnn(front_end)
    ensemble = build_ensemble()
    path = course_file(f"pretrained/{WEIGHTS}")
    load_weights(ensemble, path)
    with np.load(path) as arrays:
        threshold, median_frames = float(arrays["threshold"]), int(arrays["median_frames"])
    model = keras.Model(audio, ensemble(front_end(audio)), name="singing_detector")
    return SingingDetector(model, STEP * HOP / RATE, threshold, median_frames)


def build_front_end() -> keras.Model:
    """Return what is not trained: audio (batch, samples, 1) to log-mel and to features of musicnn.

    Returns
    -------
    keras.Model
        With the outputs (batch, 8 * steps, 80), log-mel, and (batch, steps, 753), the tagger's features averaged
        over the 8 frames of a step; steps = samples // 2048.
    """
    audio = keras.Input((None, 1), name="audio")
    whole = WholeSteps()(audio)
    padded = layers.ZeroPadding1D(384)(whole)  # windows of 1024 samples in the middle of whose frame of 256 we look
    mel = LogMel(RATE, 0.064, HOP / RATE, MELS, 27.5, 8000, power=1, pad_end=False, decibels=False)(padded)
    log_mel = layers.Reshape((-1, MELS))(ops.log(mel + 1e-3))
    embedding = frames(whole)[:, :-1]
    embedding = ops.mean(layers.Reshape((-1, STEP, FEATURES))(embedding), axis=2)
    return keras.Model(audio, [log_mel, embedding], name="front_end")


def build_ensemble() -> keras.Model:
    """Return an ensemble: members as `build_member` gives them, and the mean of their answers, which errs less.

    Returns
    -------
    keras.Model
        Its layer `member_0` is the first of them, and so on; so begin the names of their weights.
    """
    log_mel, embedding = keras.Input((None, MELS)), keras.Input((None, FEATURES))
    answers = []
    for number in range(MEMBERS):
        with keras.name_scope(f"member_{number}"):
            answers.append(build_member(f"member_{number}")([log_mel, embedding]))
    return keras.Model([log_mel, embedding], layers.average(answers), name="ensemble")


def build_member(name: str = "member") -> keras.Model:
    """Return what is trained: log-mel and features, as `build_front_end` gives them, to probability (batch, steps).

    A CNN of 60 000 weights looks at eight frames per step, a small layer at the tagger's features (which know
    real voices), and a bidirectional LSTM at both.
    """
    log_mel = keras.Input((None, MELS), name="log_mel")
    x = layers.BatchNormalization(name="bn_log_mel", axis=2, momentum=0.9)(without_mean(log_mel, 313))
    x = layers.Reshape((-1, MELS, 1))(x)
    for number, (filters, size, stride, pool) in enumerate(
        [(16, (5, 3), (2, 1), (1, 2)), (32, 3, 1, 2), (48, 3, 1, 2), (64, 3, 1, 1)]
    ):
        x = layers.Conv2D(filters, size, stride, padding="same", use_bias=False, name=f"conv_{number}")(x)
        x = layers.ReLU()(layers.BatchNormalization(name=f"bn_{number}", momentum=0.95)(x))
        x = layers.MaxPooling2D(pool)(x)
    x = layers.Conv2D(64, (1, 10), activation="relu", name="conv_all")(layers.Dropout(0.1)(x))
    x = layers.Dropout(0.3)(layers.Reshape((-1, 64))(x))
    embedding = keras.Input((None, FEATURES), name="musicnn")
    y = layers.BatchNormalization(name="bn_musicnn", momentum=0.9)(without_mean(embedding, 79, 0.5))
    y = layers.SpatialDropout1D(0.2)(ops.clip(y, -6, 6))
    y = layers.Dropout(0.3)(layers.Dense(64, activation="relu", name="dense_musicnn")(y))
    y = layers.Conv1D(48, 5, padding="same", activation="relu", name="conv_musicnn")(y)
    z = layers.Concatenate()([x, layers.Dropout(0.2)(y)])
    z = layers.Bidirectional(layers.LSTM(32, return_sequences=True, name="cells"), name="lstm")(z)
    probability = layers.Dense(1, activation="sigmoid", name="sing")(z)
    return keras.Model([log_mel, embedding], ops.squeeze(probability, axis=2), name=name)


def without_mean(x: keras.KerasTensor, length: int, share: float = 1.0) -> keras.KerasTensor:
    """Subtract from (batch, time, bands) a share of each band's running mean: what stays the same is no voice."""
    return x - share * layers.AveragePooling1D(length, strides=1, padding="same")(x)
