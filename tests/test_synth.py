"""Tones and noise: frequency, level, harmonics, errors."""

import numpy as np
import pytest

from dl4mir_utils import BadArgumentError
from dl4mir_utils.synth import NOTE_NAMES, add_noise, note_frequency, tone


def spectrum(audio):
    return np.abs(np.fft.rfft(audio))


def test_notes():
    assert note_frequency(0) == 440 and note_frequency(-12) == 220 and len(NOTE_NAMES) == 12
    assert note_frequency(NOTE_NAMES.index("G♯")) == pytest.approx(830.6, abs=0.05)


def test_a_sine_has_one_frequency_and_a_sawtooth_its_multiples():
    assert spectrum(tone(440)).argmax() == 440
    harmonics = spectrum(tone(1000, wave="sawtooth"))[1000:8000:1000]
    np.testing.assert_allclose(harmonics / harmonics[0], 1 / np.arange(1, 8), rtol=0.01)
    strongest = np.sort(spectrum(tone([440, 550, 660])).argsort()[-3:])
    assert strongest.tolist() == [440, 550, 660]


def test_shape_peak_and_fade():
    audio = tone(440, seconds=0.5, sample_rate=8000)
    assert audio.shape == (4000,) and audio.dtype == np.float32
    assert np.abs(audio).max() == pytest.approx(0.5)
    assert audio[0] == audio[-1] == 0


@pytest.mark.parametrize("snr_db", [10, -20, np.array([10, -20])])
def test_noise_has_the_ratio_asked_for_and_is_new_for_each_sound(snr_db):
    clean = np.stack([tone(440), tone(660)])
    noisy = add_noise(clean, snr_db, np.random.default_rng(0))
    assert noisy.shape == clean.shape and noisy.dtype == np.float32
    noise = noisy - clean
    measured = 10 * np.log10(np.mean(clean**2, axis=1) / np.mean(noise**2, axis=1))
    assert measured == pytest.approx(np.broadcast_to(snr_db, 2), abs=0.2)
    assert abs(np.corrcoef(noise)[0, 1]) < 0.05


def test_bad_arguments():
    with pytest.raises(BadArgumentError, match="between 0 and 8000"):
        tone(9000)
    with pytest.raises(BadArgumentError, match="sawtooth"):
        tone(440, wave="square")
