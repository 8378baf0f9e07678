"""The checks of notebook 11b say what is right, and what went wrong."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

from dl4mir_utils import checks
from dl4mir_utils.checks import shipping

TRUTH = ((1.0, 5.0, "sing"), (9.0, 13.0, "sing"))
GROUPS = ["a", "a", "b", "b", "c", "c"]
OURS = np.array([1, 1, 1, 1, 1, 0], bool)


def said(capsys):
    return capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    ("earliest_s", "latest_s", "words"),
    [
        (1.9, 2.9, "Right."),
        (0.1, 1.1, "not the first thing that takes time"),
        (1.9, 1.9, "only once a second"),
        (1.8, 2.8, "come on top, in both cases"),
        (2.9, 1.9, "before the earliest"),
        (3.1, 4.1, "add up"),
        (None, 2.9, "still open"),
    ],
)
def test_latency(capsys, earliest_s, latest_s, words):
    checks.check_11b_latency(earliest_s, latest_s)
    assert words in said(capsys)


def table(segments):
    return pd.DataFrame(segments, columns=["start_s", "end_s", "label"])


@pytest.mark.parametrize(
    ("segments", "words"),
    [
        (TRUTH, "Right."),
        (table([(1.2, 5.1, "sing"), (8.8, 13.1, "sing")]), "4 of your 4 edges"),
        (table([(1.0, 5.0, "sing")]), "9.0-13.0 s once more: the robot sings where you have marked nothing"),
        ([(1.0, 13.0, "sing")], "5.0-9.0 s once more: you have marked what the robot does not sing"),
        (table([]), "no segment at all"),
        ("robot sings", "Give the table itself"),
        (None, "still open"),
    ],
)
def test_by_ear(capsys, segments, words):
    checks.check_11b_by_ear(segments, TRUTH, song_s=20)
    assert words in said(capsys)


@pytest.mark.parametrize(
    ("kappa", "words"),
    [
        (0.375, "Right."),
        (0.8, "share of equal frames"),
        (0.12, "divide by the most"),
        (0.444, "and 0 and 0?"),
        (0.6, "one half for chance"),
        (0.1, "in how many frames are they equal"),
        (None, "still open"),
    ],
)
def test_kappa(capsys, kappa, words):
    checks.check_11b_kappa(kappa)
    assert words in said(capsys)


def network(seed, samples=shipping.WINDOW, units=8):
    keras.utils.set_random_seed(seed)
    audio = keras.Input((samples, 1))
    x = layers.Conv1D(units, 64, strides=64)(audio)
    return keras.Model(audio, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


@pytest.fixture(scope="module")
def three():
    return [network(seed) for seed in range(3)]


def test_small_networks_and_verdict(capsys, three):
    def check(networks, verdict, right, majority=0.3):
        checks.check_11b_small(networks, verdict, right, OURS, GROUPS, majority)
        return said(capsys)

    good, bad, poor = [OURS] * 3, [np.array([1, 0, 1, 0, 0, 0], bool)] * 3, [np.zeros(6, bool)] * 3
    assert check(three, "nothing that we can show", good).startswith("Right.")
    assert "Is zero inside?" in check(three, "they are worse", good)
    assert check(three, "they are worse", bad, majority=0.1).startswith("Right.")
    assert "Did it train for long enough?" in check(three, "they are worse", poor)
    assert "The verdict is one of" in check(three, "no", good)
    assert "still open" in check(None, None, None)
    assert "list of three networks" in check(three[0], "no", good)
    assert "networks themselves" in check([1, 2, 3], "no", good)
    assert "the same weights" in check([three[0]] * 3, "no", good)
    assert "(40960, 1)" in check([network(0, samples=16000)] * 3, "no", good)
    assert "kB, and 50 are allowed" in check([network(0, units=600)] * 3, "no", good)


def test_what_cannot_be_exported_is_named(capsys):
    audio = keras.Input((shipping.WINDOW, 1))
    x = layers.Lambda(lambda x: keras.ops.erfinv(x), output_shape=(shipping.WINDOW, 1))(audio)
    strange = keras.Model(audio, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))
    checks.check_11b_small([strange] * 3, "no", [OURS] * 3, OURS, GROUPS, majority=0.3)
    assert "It cannot be exported" in said(capsys)
