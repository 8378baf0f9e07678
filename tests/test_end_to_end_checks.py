"""The checks of notebook 09 tell wrong answers from right ones, and say why."""

import keras
import numpy as np
import pytest
from keras import layers

from dl4mir_utils import checks
from dl4mir_utils.checks.end_to_end import COVERED

TAPS = np.array([0.3, 0.5, 0.2])
RESPONSE = np.fft.rfft(TAPS, 512)


def said(capsys):
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_what_one_value_depends_on():
    """Only samples in a window of that length have a gradient, and with ones as weights all of them do."""
    length = 4 * 2187
    x = inputs = keras.Input((length, 1))
    ones = {"kernel_initializer": "ones", "use_bias": False}
    x = layers.Conv1D(1, 3, strides=3, **ones)(x)
    for _ in range(6):
        x = layers.Conv1D(1, 3, **ones)(x)
        x = layers.AveragePooling1D(3)(x)  # a maximum passes on only one of its three
    import tensorflow as tf

    audio = tf.ones((1, length, 1))
    with tf.GradientTape() as tape:
        tape.watch(audio)
        first = keras.Model(inputs, x)(audio)[0, 0, 0]
    assert np.count_nonzero(tape.gradient(first, audio)) == COVERED


@pytest.mark.parametrize(
    ("covered", "wanted"),
    [
        (None, "still open"),
        (2187, "the step"),
        (2188, "one by one"),
        (np.array([1, 2]), "one by one"),
        (COVERED, "Right. 4371 samples"),
    ],
)
def test_covered(covered, wanted, capsys):
    checks.check_09_covered(covered)
    assert wanted in said(capsys)


@pytest.mark.parametrize(
    ("gain", "wanted"),
    [
        (None, "still open"),
        (np.abs(np.fft.rfft(TAPS)), "shape is (2,)"),
        (RESPONSE, "complex"),
        (np.abs(RESPONSE) ** 2, "numbers are not"),
        (np.full(257, np.nan), "numbers are not"),
        (np.abs(RESPONSE), "Right."),
    ],
)
def test_response(gain, wanted, capsys):
    checks.check_09_response(gain, TAPS)
    assert wanted in said(capsys)


def gates(x, units=2, pool=layers.GlobalAveragePooling1D, first="relu", last="sigmoid"):
    features = x.shape[-1]
    gate = pool(keepdims=True)(x) if pool else x
    return x * layers.Dense(features, last)(layers.Dense(units, first)(gate))


@pytest.mark.parametrize(
    ("squeeze", "wanted"),
    [
        (None, "still open"),
        (lambda x: layers.GlobalAveragePooling1D()(x), "shape (None, 8)"),
        (lambda x: layers.Conv1D(8, 3)(layers.Flatten()(x)), "cannot build"),
        (lambda x: gates(x, pool=None), "change with time"),
        (lambda x: gates(x, last=lambda y: 2 + y), "sigmoid"),
        (lambda x: gates(x, units=4), "not 42"),
        (lambda x: gates(x, pool=layers.GlobalMaxPooling1D), "not those of the mean"),
        (lambda x: gates(x, first=None), "not those of the mean"),
        (lambda x: gates(x, last="softmax"), "not those of the mean"),
        (gates, "Right."),
    ],
)
def test_squeeze(squeeze, wanted, capsys):
    keras.utils.set_random_seed(0)
    checks.check_09_squeeze(squeeze)
    assert wanted in said(capsys)


MAXIMUM, MEAN = layers.GlobalMaxPooling1D, layers.GlobalAveragePooling1D


def end(front, normalise_pools=True, residual=True, units=200, last=True, relu_last=False, pools=(MAXIMUM, MEAN)):
    x, parts = front, [front]
    for number in range(3):
        y = layers.Conv1D(64, 7, padding="same", activation=None if relu_last else "relu")(x)
        y = layers.BatchNormalization()(y)
        y = layers.ReLU()(y) if relu_last else y
        x = x + y if number and residual else y
        parts.append(x)
    x = layers.Concatenate()(parts)
    x = layers.Concatenate()([pool()(x) for pool in pools])
    x = layers.BatchNormalization()(x) if normalise_pools else x
    x = layers.Dense(units, "relu")(x)
    return layers.BatchNormalization()(x) if last else x


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"units": 50}, "(None, 50), not (None, 200)"),
        ({"normalise_pools": False}, "missing: the normalisation of the 1506"),
        ({"last": False}, "missing: the last normalisation"),
        ({"last": False, "normalise_pools": False}, "layer by layer"),
        ({"residual": False}, "answers differ"),
        ({"relu_last": True}, "answers differ"),
        ({"pools": (MAXIMUM, MAXIMUM)}, "answers differ"),
        ({"pools": (MEAN, MAXIMUM)}, "Right. "),
        ({}, "Right. "),
    ],
)
def test_musicnn_end(options, wanted, capsys):
    checks.check_09_musicnn_end(lambda front: end(front, **options))
    assert wanted in said(capsys)


def test_musicnn_end_that_is_open_or_broken(capsys):
    checks.check_09_musicnn_end(None)
    assert "still open" in said(capsys)
    checks.check_09_musicnn_end(lambda front: layers.Conv2D(3, 3)(front))
    assert "cannot build" in said(capsys)
