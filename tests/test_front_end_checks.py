"""The checks of notebook 03: right, wrong and open answers, each with its one line."""

import numpy as np
import pytest
import tensorflow as tf

from dl4mir_utils import checks


def swap_each(audio):
    return tf.where(tf.random.uniform((tf.shape(audio)[0], 1, 1)) < 0.5, audio[..., ::-1], audio)


def swap_frozen(audio):
    return tf.where(tf.constant(np.random.default_rng(0).uniform(size=(64, 1, 1)) < 0.5), audio[..., ::-1], audio)


def swap_all_or_none(audio):
    return tf.cond(tf.random.uniform(()) < 0.5, lambda: audio[..., ::-1], lambda: tf.identity(audio))


@pytest.mark.parametrize(
    ("check", "answers", "beginning"),
    [
        (checks.check_03_resolution, (2048, 160), "Right."),
        (checks.check_03_resolution, (np.float64(2048), 160.0), "Right."),
        (checks.check_03_resolution, (1024, 160), "Not yet. With 1024 samples one step is 15.6 Hz"),
        (checks.check_03_resolution, (4096, 160), "Not yet. 4096 samples do it"),
        (checks.check_03_resolution, (2000, 160), "Not yet. 2000 is no power"),
        (checks.check_03_resolution, (0.128, 160), "Not yet. 0.128 is no power"),
        (checks.check_03_resolution, (2048, 256), "Not yet. The window is right."),
        (checks.check_03_resolution, (None, 160), "This exercise is still open"),
        (checks.check_03_frames, (400, 394), "Right."),
        (checks.check_03_frames, (401, 394), "Not yet. 401"),
        (checks.check_03_frames, (400, 393), "Not yet. 400 is right."),
        (checks.check_03_frames, (400, None), "This exercise is still open"),
        (checks.check_03_swap, (swap_each,), "Right."),
        (checks.check_03_swap, (swap_frozen,), "Not yet. Every step swaps the same"),
        (checks.check_03_swap, (swap_all_or_none,), "Not yet."),
        (checks.check_03_swap, (lambda audio: audio[::-1],), "Not yet. Some clips"),
        (checks.check_03_swap, (lambda audio: audio[..., :1],), "Not yet. (64, 100, 2)"),
        (checks.check_03_swap, (lambda audio: audio.numpy(),), "Not yet. Inside tf.function it fails"),
        (checks.check_03_swap, (None,), "This exercise is still open"),
    ],
)
def test_each_answer_gets_its_line(check, answers, beginning, capsys):
    tf.random.set_seed(0)
    check(*answers)
    said = capsys.readouterr().out
    assert said.startswith(beginning)
    assert said.count("\n") == 1


@pytest.mark.parametrize(("window", "least", "most"), [(1024, 0, 0.1), (2048, 13, 16), (4096, 30, 40)])
def test_a_window_of_2048_always_tells_a_semitone(window, least, most):
    time = np.arange(window) / 16000
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    tones = 440.0 * 2 ** (np.arange(2) / 12)
    low, high = np.round(tones * window / 16000).astype(int)
    dips = []
    for phase in np.linspace(0, 2 * np.pi, 90, endpoint=False):
        both = np.sin(2 * np.pi * tones[0] * time) + np.sin(2 * np.pi * tones[1] * time + phase)
        level = 20 * np.log10(np.abs(np.fft.rfft(both * hann)))
        dips.append(min(level[low], level[high]) - level[low : high + 1].min())
    assert least <= min(dips) <= most
