"""The checks of notebook 00b tell right answers from the likely wrong ones, in one line."""

import keras
import numpy as np
import pytest
from keras import layers

from dl4mir_utils.checks import (
    check_00b_by_ear,
    check_00b_small_network,
    check_00b_three_weights,
    check_00b_weight_decay,
)

OPEN = "This exercise is still open"


def line(capsys) -> str:
    """The one line that a check has printed."""
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and said.endswith("\n")
    return said


@pytest.mark.parametrize(
    ("order", "start"),
    [
        (None, OPEN),
        ([2, 4, 1, 3], "Right. From 770 to 2070 Hz"),
        ((2, 4, 1, 3), "Right. "),
        (np.array([2, 4, 1, 3]), "Right. "),
        ([3, 1, 4, 2], "Not yet. You have them from bright to dark"),
        ([4, 2, 1, 3], "Not yet. Listen again to clips 4 and 2"),
        ([2, 4, 3, 1], "Not yet. Listen again to clips 3 and 1"),
        ([2, 4, 1], "Not yet. Write each"),
        ([1, 1, 1, 1], "Not yet. Write each"),
        (2413, "Not yet. Write each"),
    ],
)
def test_by_ear(order, start, capsys):
    check_00b_by_ear(order, [1550, 770, 2070, 1130])
    assert line(capsys).startswith(start)


@pytest.fixture
def clips():
    """Three standardised features of 100 clips; the third says nothing."""
    rng = np.random.default_rng(0)
    right_answers = np.repeat([0.0, 1.0], 50)
    features = rng.normal(size=(100, 3))
    features[:, :2] += 0.7 * (2 * right_answers[:, np.newaxis] - 1)
    return (features - features.mean(axis=0)) / features.std(axis=0), right_answers


def descend(features, right_answers, rate=1.0, steps=800, sign=-1):
    weights, bias = np.zeros(features.shape[1]), 0.0
    for _ in range(steps):
        error = 1 / (1 + np.exp(-np.clip(features @ weights + bias, -500, 500))) - right_answers
        weights, bias = weights + sign * rate * features.T @ error / len(error), bias + sign * rate * error.mean()
    return weights, bias


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ({}, "Right. The loss is 0."),
        ({"steps": 5}, "Not yet. The loss is 0."),
        ({"sign": 1, "steps": 20}, "Not yet. The loss is "),
        ({"rate": 500.0, "steps": 7}, "Not yet. The loss is "),
    ],
)
def test_three_weights(options, start, clips, capsys):
    weights, bias = descend(*clips, **options)
    check_00b_three_weights(weights, bias, *clips)
    said = line(capsys)
    assert said.startswith(start)
    assert ("subtract" in said) == (options.get("sign") == 1) or "rate" in options


def test_three_weights_of_another_shape(clips, capsys):
    check_00b_three_weights(None, None, *clips)
    assert line(capsys).startswith(OPEN)
    check_00b_three_weights(np.zeros(3), None, *clips)
    assert line(capsys).startswith(OPEN)
    check_00b_three_weights(np.zeros(2), 0.0, *clips)
    assert "(3,)" in line(capsys)
    check_00b_three_weights(np.zeros(3), np.zeros(3), *clips)
    assert "one bias" in line(capsys)
    check_00b_three_weights([1, np.nan, 0], 0.0, *clips)
    assert "nan" in line(capsys)
    weights, bias = descend(*clips)
    check_00b_three_weights(weights, np.array([bias]), *clips)
    assert line(capsys).startswith("Right. ")


@pytest.fixture
def bands():
    """64 numbers and a genre for each of 90 clips, easy to tell apart."""
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    inputs = rng.normal(size=(90, 64)).astype("float32")
    inputs[np.arange(90), labels] += 6
    return inputs, labels


def network(*sizes, activation="softmax", inputs=64):
    hidden = [layers.Dense(size, activation="relu") for size in sizes[:-1]]
    return keras.Sequential([keras.Input((inputs,)), *hidden, layers.Dense(sizes[-1], activation=activation)])


def trained(model, bands):
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy")
    model.fit(*bands, epochs=15, verbose=0)
    return model


def test_small_network(bands, capsys):
    keras.utils.set_random_seed(0)
    model = trained(network(3), bands)
    check_00b_small_network(model, *bands, 1 / 3, before=1.24)
    assert line(capsys).startswith("Right. 195 parameters")
    check_00b_small_network(model, *bands, 1 / 3, before=0.0)
    assert "Make yours smaller" in line(capsys)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (None, OPEN),
        ("my network", "must be a Keras model"),
        (keras.Sequential([layers.Dense(3)]), "must be a Keras model"),
        (network(3, inputs=2), "It takes (2,)"),
        (network(1, activation="sigmoid"), "gives (1,)"),
        (network(4, 3), "It has 275 parameters"),
        (network(3, activation="relu"), "do not add up to 1"),
        (network(3), "no better than guessing"),
    ],
)
def test_small_network_gone_wrong(model, said, bands, capsys):
    if said.startswith("no better"):
        model.set_weights([np.zeros((64, 3)), np.array([0.0, 0.1, 0.0])])  # not trained
    check_00b_small_network(model, *bands, 1 / 3, before=1.24)
    told = line(capsys)
    assert said in told and not told.startswith("Right. ")


@pytest.mark.parametrize(
    ("without", "with_decay", "verdict", "said"),
    [
        (None, None, None, OPEN),
        ([1.2, 1.3, 1.0], [0.8, 0.8, 0.7], None, OPEN),
        ([1.2, 1.3, 1.0], [0.8, 0.83, 0.7], "lower", "Right. Without decay 1.00 to 1.30, with decay 0.70 to 0.83"),
        ([1.2, 1.3, 1.0], [0.8, 0.83, 1.1], "cannot tell", "Right. "),
        ([1.2, 1.3, 1.0], [1.8, 1.83, 1.4], "higher", "Right. "),
        ([1.2, 1.3, 1.0], [0.8, 0.83, 1.1], "lower", "Not yet. Without decay 1.00"),
        ([1.2, 1.3, 1.0], [0.8, 0.83, 0.7], "cannot tell", "Not yet. Without decay 1.00"),
        ([1.2, 1.3, 1.0], [0.8, 0.83, 0.7], "better", "Not yet. Write "),
        ([1.2], [0.8], "lower", "Not yet. Three seeds"),
        (1.2, 0.8, "lower", "Not yet. Three seeds"),
        ([1.2, 1.2, 1.2], [0.8, 0.8, 0.8], "lower", "Not yet. Some values are exactly equal"),
        ([0.6, 0.63, 0.56], [0.5, 0.55, 0.52], "lower", "Not yet. Without decay 0.56"),
        ([1.2, np.nan, 1.0], [0.8, 0.83, 0.7], "lower", "Not yet. A loss is nan"),
    ],
)
def test_weight_decay(without, with_decay, verdict, said, capsys):
    check_00b_weight_decay(without, with_decay, verdict)
    assert line(capsys).startswith(said)
