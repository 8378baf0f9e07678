"""The checks of notebook 01 tell right answers from the likely wrong ones, in one line."""

import keras
import numpy as np
import pytest
from keras import layers

from dl4mir_utils.checks import (
    check_01_bin,
    check_01_by_hand,
    check_01_listen,
    check_01_octaves,
    check_01_one_template,
    mystery_notes,
)

FRAMES = np.eye(36)
LABELS = np.arange(36) % 12
LOW = (FRAMES[:12], LABELS[:12])
WIDE, NARROW = np.tile(np.eye(12), (3, 1)), np.pad(np.eye(12), ((12, 12), (0, 0)))


def said(capsys):
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    return line


@pytest.mark.parametrize(
    ("function", "start"),
    [
        (lambda hz: None, "This exercise is still open"),
        (lambda hz: round(12 * np.log2(hz / 220)), "Right."),
        (lambda hz: int(12 * np.log2(hz / 220)), "Not yet. A tone 30 cents"),
        (lambda hz: round(12 * np.log2(hz / 440)), "Not yet. 223.8 Hz should fall in bin 0"),
        (lambda hz: round(hz / 220), "Not yet. 223.8 Hz"),
    ],
)
def test_bin(function, start, capsys):
    check_01_bin(function)
    assert said(capsys).startswith(start)


@pytest.mark.parametrize(
    ("by_hand", "start"),
    [(None, "This"), (WIDE, "Right. 100%"), (NARROW, "Not yet. "), (np.eye(12), "Not yet. The weights have the shape")],
)
def test_by_hand(by_hand, start, capsys):
    check_01_by_hand(by_hand, FRAMES, LABELS, FRAMES, LABELS)
    assert said(capsys).startswith(start)


@pytest.mark.parametrize(("wide", "start"), [(None, "This"), (WIDE, "Right. "), (NARROW, "Not yet. ")])
def test_octaves(wide, start, capsys):
    model = None if wide is None else lambda frames: frames @ wide
    check_01_octaves(model, FRAMES, LABELS, lambda frames: frames @ NARROW, LOW)
    assert said(capsys).startswith(start)


@pytest.mark.parametrize(
    ("answers", "start"),
    [
        ((None, None, None), "This"),
        ((3, 1, None), "This"),
        ((3, 1, 2), "Right. The network's answers, with their probabilities (pure: "),
        ((3, 2, 1), "Not yet. The pure one is right."),
        ((1, 2, 3), "Not yet. First the pure one"),
        ((1, 1, 2), "Not yet. Give each"),
        (("3", "1", "2"), "Not yet. Give each"),
    ],
)
def test_listen(answers, start, capsys):
    check_01_listen(*answers, network=lambda frames: frames[:, 12:24])
    assert said(capsys).startswith(start)


def test_the_three_sounds_have_the_harmonics_they_should_and_equal_power():
    sounds = [sound for _, sound in mystery_notes()]
    spectra = [np.abs(np.fft.rfft(sound * np.hanning(16000))) for sound in sounds]  # one value for each Hz
    second, third = (np.array([spectrum[k - 3 : k + 4].max() for spectrum in spectra]) for k in (523, 785))
    first = np.array([spectrum[258:266].max() for spectrum in spectra])
    assert (second / first > 0.1).tolist() == [True, False, False]
    assert (third / first > 0.1).tolist() == [True, True, False]
    powers = [np.mean(sound**2) for sound in sounds]
    assert max(powers) < 1.05 * min(powers) and max(np.abs(sound).max() for sound in sounds) < 1


def template(key=12, width=25, last=36):
    """A network of one kernel that votes for a bin by its strength, or for another key."""
    kernel = np.zeros((width, 1, 1))
    kernel[key] = 5
    convolution = layers.Conv1D(1, width, padding="same", use_bias=False)
    model = keras.Sequential(
        [keras.Input((36,)), layers.Reshape((36, 1)), convolution, layers.Flatten(), layers.Softmax()]
    )
    convolution.set_weights([kernel])
    if last != 36:
        model = keras.Sequential([keras.Input((36,)), layers.Reshape((36, 1)), layers.AveragePooling1D(3)])
        model.add(layers.Flatten())
    return model


@pytest.mark.parametrize(
    ("networks", "verdict", "start"),
    [
        (None, None, "This"),
        ([template()] * 3, None, "Not yet. 100% an octave lower, well done. Now the verdict"),
        ([template()] * 3, "cannot say", "Right. 25 weights name 100%"),
        ([template()] * 3, "better", "Not yet. The networks are fine"),
        (template(), "cannot say", "Not yet. 1 network: one run"),
        ([template(key=11)] * 3, "cannot say", "Not yet. An octave lower it names 0%"),
        ([template(width=71, key=35)] * 3, "cannot say", "Not yet. It has 71 weights"),
        ([template(last=12)] * 3, "cannot say", "Not yet. It goes from (36,) to (12,)"),
        ([np.eye(36)] * 3, "cannot say", "Not yet. The list should hold"),
    ],
)
def test_one_template(networks, verdict, start, capsys):
    dense = keras.Sequential([keras.Input((36,)), layers.Dense(12, use_bias=False)])
    dense.set_weights([WIDE])
    check_01_one_template(networks, verdict, low=LOW, noisy=(FRAMES, LABELS), dense=[dense] * 3)
    assert said(capsys).startswith(start)


# A weak A beside a loud G♯6: a dense layer that is deaf to G♯6 names it, one tooth that slides does not.
DEAF = np.where(np.arange(36)[:, np.newaxis] == 35, 0, WIDE)
MASKED = (FRAMES[:1] * 0.4 + FRAMES[35:], LABELS[:1])


@pytest.mark.parametrize(
    ("weights", "noisy", "verdict"), [(DEAF, MASKED, "worse"), (NARROW, (FRAMES, LABELS), "better")]
)
def test_the_verdict_follows_from_the_ranges(weights, noisy, verdict, capsys):
    dense = keras.Sequential([keras.Input((36,)), layers.Dense(12, use_bias=False)])
    dense.set_weights([weights])
    check_01_one_template([template()] * 3, verdict, low=LOW, noisy=noisy, dense=[dense] * 3)
    assert said(capsys).startswith("Right. ")
    check_01_one_template([template()] * 3, "cannot say", low=LOW, noisy=noisy, dense=[dense] * 3)
    assert said(capsys).startswith("Not yet. The networks are fine")
