"""The checks of notebook 11a tell right answers from the likely wrong ones, in one line."""

import numpy as np
import pytest

from dl4mir_utils.checks import (
    check_11a_change,
    check_11a_coverage,
    check_11a_pie,
    check_11a_product,
    check_11a_thin,
    mystery_change,
)
from dl4mir_utils.checks.own_music import CHANGE_S, THIN_DENSE, THIN_NETWORK
from dl4mir_utils.data import load


def said(capsys) -> str:
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    return line


@pytest.mark.parametrize(
    ("answers", "start"),
    [
        ((None, None), "This exercise is still open"),
        ((THIN_DENSE, THIN_NETWORK), "Right. 294,912"),
        ((35 * 8192, THIN_NETWORK), "Not yet. 286720 are the weights alone"),
        ((10640 * 8192 + 8192, THIN_NETWORK), "Not yet. After the average"),
        ((THIN_DENSE, THIN_DENSE), "Not yet. The dense layer is right"),
    ],
)
def test_thin(answers, start, capsys):
    check_11a_thin(*answers)
    assert said(capsys).startswith(start)


@pytest.mark.parametrize(
    ("answers", "start"),
    [
        ((None, 7.5, 9), "This exercise is still open"),
        ((CHANGE_S + 0.3, CHANGE_S + 0.5, CHANGE_S + 1.6), "Right. "),
        ((CHANGE_S - 2, CHANGE_S + 0.5, CHANGE_S + 1.6), "Not yet. By ear 5.4 s: the change is later"),
        ((CHANGE_S, 16.5, 16.9), "Not yet. The ear is right"),
        ((CHANGE_S, CHANGE_S + 1, CHANGE_S + 1), "Not yet. With 41 steps"),
    ],
)
def test_change(answers, start, capsys):
    check_11a_change(*answers)
    assert said(capsys).startswith(start)


def test_the_mystery_changes_once():
    sound = mystery_change(load("mini/genre"))
    assert sound.shape == (17 * 16000,) and sound.dtype == np.float32 and np.abs(sound).max() <= 1


# Two songs of three slices. The product lets the third slice forbid genre 0.
ANSWERS = np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9], [0.9, 0.1], [0.8, 0.2], [0.9, 0.1]])
TRACKS = np.repeat(["first", "second"], 3)


@pytest.mark.parametrize(
    ("score", "way", "start"),
    [
        (None, None, "This exercise is still open"),
        (1.0, "cannot tell", "Right. 1.000"),
        (1.0, "product", "Not yet. The score is right"),
        (1.0, "I do not know", "Not yet. The verdict is one of"),
        (0.5, "cannot tell", "Not yet. 0.500: Sum the logarithms"),
    ],
)
def test_product(score, way, start, capsys):
    check_11a_product(score, way, ANSWERS, TRACKS, ["first", "second"], np.array([1, 0]))
    assert said(capsys).startswith(start)


def network(filters: int = 8, pool: int = 4, name: str = "moments"):
    import keras

    picture = keras.Input((None, 128))
    x = keras.layers.MaxPooling1D(pool)(keras.layers.Conv1D(filters, 1)(picture))
    x = keras.layers.Dense(3, name=name)(x)
    answer = keras.layers.Softmax()(keras.layers.GlobalAveragePooling1D()(x))
    return keras.Model(picture, answer)


def test_pie(capsys):
    pictures = np.random.default_rng(0).standard_normal((12, 209, 128)).astype(np.float32)
    good = [network() for _ in range(3)]
    scored = good[0].predict(pictures, verbose=0).argmax(axis=1)  # the first network is always right
    always = [network() for _ in range(3)]  # they answer alike, with weights that are nearly the same
    for number, one in enumerate(always):
        one.set_weights([array + np.float32(1e-6 * number) for array in good[0].get_weights()])

    def says(networks, verdict, baseline=0.6, asked=pictures):
        check_11a_pie(networks, verdict, asked, scored, baseline)
        return said(capsys)

    assert says(None, None).startswith("This exercise is still open")
    assert says(always, "every seed").startswith("Right. 1059 weights, moments of 4 frames")
    assert says(always, "no seed").startswith("Not yet. The network is fine")
    assert says(always, "perhaps").startswith("Not yet. The verdict is one of")
    assert says(good[:2], "every seed").startswith("Not yet. Give a list of three")
    assert says(["a", "b", "c"], "every seed").startswith("Not yet. The list must hold")
    assert says([network(filters=200)] * 3, "every seed").startswith("Not yet. It has 26403 weights")
    assert says([network(name="votes")] * 3, "every seed").startswith('Not yet. No layer is called "moments"')
    assert says([good[0]] * 3, "every seed").startswith("Not yet. Two of your networks have the same weights")
    assert says([good[0], good[1], network(filters=200)], "every seed").startswith("Not yet. It has 26403 weights")
    assert says([network(pool=32) for _ in range(3)], "every seed").startswith(
        'Not yet. "moments" gives (6, 3) for 209 frames'
    )
    assert says(always, "every seed", asked=pictures[:, :, :64]).startswith("Not yet. It does not take clips")


def test_coverage(capsys):
    folds = np.repeat([0, 1], 4)
    genres = np.zeros(8, int)
    answers = np.array([[0.9, 0.1], [0.6, 0.4], [0.4, 0.6], [0.2, 0.8]] * 2)
    # On validation two of three are right, and from 0.71 on all: the threshold for 85 % as for 95 %.
    valid = [np.array([[0.95, 0.05], [0.7, 0.3], [0.3, 0.7]])] * 2, [np.zeros(3, int)] * 2

    def says(coverage, right):
        check_11a_coverage(coverage, right, valid, answers, genres, folds)
        return said(capsys)

    assert says(None, None).startswith("This exercise is still open")
    assert says(0.5, 0.5).startswith("Right. It answers for 50% of the clips, and 50%")
    assert says(1.0, 0.5).startswith("Not yet. 1.000 of the clips")
    assert says(0.5, 0.9).startswith("Not yet. The coverage is right")
