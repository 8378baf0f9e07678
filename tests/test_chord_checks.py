"""The checks of notebook 02: right answers, typical wrong ones, and stubs."""

import keras
import numpy as np
import pytest
from keras import layers

from dl4mir_utils import checks
from dl4mir_utils.chords import CHORD_NAMES, INTERVALS, PITCH_CLASSES, QUALITIES, chord
from dl4mir_utils.pitch import cqt_frames
from dl4mir_utils.synth import note_frequency


def said(capsys):
    """What the check printed: one line."""
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_chord_names_are_spelled_as_musicians_do():
    assert len(CHORD_NAMES) == 24 and len(PITCH_CLASSES) == 12
    assert CHORD_NAMES[2 * 6] == "E♭ major" and CHORD_NAMES[2 * 4 + 1] == "C♯ minor"
    assert CHORD_NAMES[2 * 3 + 1] == "C minor" and PITCH_CLASSES[6] == "E♭"


@pytest.mark.parametrize(
    ("frequencies", "expected"),
    [
        (None, "still open"),
        ([note_frequency(step) for step in (-5, -2, 3)], "Right."),
        ([note_frequency(step) for step in (3, 7, 10)], "root position"),
        ([440.0, 550.0], "three notes"),
        ([100.0, 200.0, 300.0], "which of the three notes stay"),
    ],
)
def test_inversion(frequencies, expected, capsys):
    checks.check_02_inversion(frequencies)
    assert expected in said(capsys)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((None, 1, 2), "still open"),
        ((3, 1, 2), "Right."),
        ((1, 3, 2), "in the step to C minor the middle note steps down"),
        ((3, 2, 1), "in the step to A minor the top note steps up"),
        ((1, 1, 2), "once"),
        (("C", 1, 2), "once"),
    ],
)
def test_listen(answers, expected, capsys):
    checks.check_02_listen(*answers)
    assert expected.lower() in said(capsys).lower()


def test_sounds_of_the_exercises():
    assert [len(sound) for _, sound in checks.mystery_chords()] == [16000] * 4
    pairs = checks.mystery_steps()
    assert len(pairs) == 3
    for _, sound in pairs:
        assert np.abs(sound).max() <= 0.5
        np.testing.assert_array_equal(sound[:16000], pairs[0][1][:16000])


@pytest.mark.parametrize(
    ("height", "weights", "expected"),
    [
        (None, 222, "still open"),
        (11, 222, "Right."),
        (10, 222, "must be semitone 10"),
        (11, 198, "6 kernels of 11 x 3"),
    ],
)
def test_parameters(height, weights, expected, capsys):
    checks.check_02_parameters(height, weights)
    assert expected in said(capsys)


@pytest.mark.parametrize(
    ("sets", "ceiling", "expected"),
    [(None, None, "still open"), (40, 40 / 48, "Right."), (48, 1.0, "modulo 12"), (40, 1.0, "exactly one right")],
)
def test_ambiguous(sets, ceiling, expected, capsys):
    checks.check_02_ambiguous(sets, ceiling)
    assert expected in said(capsys)


@pytest.fixture(scope="module")
def chords():
    """All 24 triads without noise, their qualities, and which have one of four roots, for three seeds."""
    sounds = [chord(root, quality, seconds=0.3) for root in range(12) for quality in QUALITIES]
    frames = cqt_frames(np.array(sounds))[:, :, 2:5, np.newaxis]
    roots = np.repeat(np.arange(12), 2)
    return frames, np.tile([0, 1], 12), [np.isin(roots, [seed, seed + 4, 7, 11]) for seed in range(3)]


def by_hand():
    """Two convolutions of five rows that find triads, with weights by hand."""
    network = keras.Sequential(
        [
            keras.Input((36, 3, 1)),
            layers.Conv2D(3, (5, 3), use_bias=False),
            layers.Conv2D(2, (5, 1), use_bias=False),
            layers.GlobalMaxPooling2D(),
            layers.Dense(2, use_bias=False, activation="softmax"),
        ]
    )
    first, second = np.zeros((5, 3, 1, 3)), np.zeros((5, 1, 3, 2))
    first[0, :, 0, 0] = 1 / 3  # the root
    first[3, :, 0, 1] = 1 / 3  # the minor third, and four places further up the fifth
    first[4, :, 0, 2] = 1 / 3
    for number, steps in enumerate(INTERVALS.values()):
        second[0, 0, 0, number] = 1
        second[0, 0, steps[1] - 2, number] = 1
        second[4, 0, 1, number] = 1
    network.layers[0].set_weights([first])
    network.layers[1].set_weights([second])
    network.layers[-1].set_weights([20 * np.eye(2)])
    return network


def always_major():
    """A network that says the same to every chord."""
    network = by_hand()
    network.layers[-1].set_weights([np.array([[1.0, 0.0], [1.0, 0.0]])])
    return network


def of_layers(*middle):
    """A network with these layers between input and answer."""
    return keras.Sequential([keras.Input((36, 3, 1)), *middle, layers.Dense(2, activation="softmax")])


def test_stacked_right(chords, capsys):
    checks.check_02_stacked([by_hand() for _ in range(3)], "every seed", *chords)
    line = said(capsys)
    assert line.startswith("Right.") and "9 rows" in line
    checks.check_02_stacked([by_hand(), always_major(), by_hand()], "some seeds", *chords)
    assert said(capsys).startswith("Right.")


def test_stacked_wrong(chords, capsys):
    good = [by_hand() for _ in range(3)]
    cases = [
        (None, None, "still open"),
        (good, "some seeds", "the verdict is not"),
        (good, "yes", "one of"),
        (good[:2], "every seed", "a list of 3 networks"),
        (good[0], "every seed", "a list of 3 networks"),
        ([1, 2, 3], "every seed", "trained networks themselves"),
        ([always_major() for _ in range(3)], "no seed", "guessing has 0.50"),
    ]
    tall = of_layers(layers.Conv2D(4, (8, 3)), layers.GlobalMaxPooling2D())
    short = of_layers(layers.Conv2D(4, (5, 3)), layers.GlobalMaxPooling2D())
    short.layers[-1].set_weights([np.zeros((4, 2)), np.array([1.0, 0.0])])
    wide = of_layers(layers.Conv2D(16, (5, 3)), layers.Flatten())
    other = keras.Sequential([keras.Input((20, 3, 1)), layers.Conv2D(4, (5, 3)), layers.Flatten(), layers.Dense(2)])
    cases += [
        ([tall] * 3, "every seed", "tallest kernel has 8 rows"),
        ([short] * 3, "no seed", "see 5 rows, and a triad needs 8"),
        ([wide] * 3, "every seed", "did you pool"),
        ([by_hand(), by_hand(), tall], "every seed", "tallest kernel has 8 rows"),
        ([other] * 3, "every seed", "does not take frames"),
        ([of_layers(layers.Flatten())] * 3, "every seed", "0 rows"),
    ]
    for networks, verdict, expected in cases:
        checks.check_02_stacked(networks, verdict, *chords)
        assert expected in said(capsys), expected
