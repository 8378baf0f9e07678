"""The constant-Q frames: shapes, where a tone shows, scale, errors."""

import numpy as np
import pytest

from dl4mir_utils import BadArgumentError
from dl4mir_utils.pitch import cqt_frames, cqt_frequencies
from dl4mir_utils.synth import tone


def test_bins_are_semitones_from_a3_and_reach_three_octaves():
    frequencies = cqt_frequencies()
    assert frequencies[0] == 220 and frequencies[12] == pytest.approx(440)
    assert frequencies[35] == pytest.approx(1661.2, abs=0.1)


def test_shape_and_scale():
    sounds = np.stack([tone(440), tone(880)])[:, None]
    frames = cqt_frames(sounds)
    assert frames.shape == (2, 1, 36, 1 + 16000 // 512) and frames.dtype == np.float32
    assert frames.min(axis=-2) == pytest.approx(0) and frames.max(axis=-2) == pytest.approx(1)
    np.testing.assert_allclose(cqt_frames(tone(440)), frames[0, 0], atol=1e-5)


@pytest.mark.parametrize("place", [0, 7, 12, 23, 35])
def test_a_tone_is_strongest_in_its_own_bin(place):
    frame = cqt_frames(tone(cqt_frequencies()[place]))[:, 16]
    assert frame.argmax() == place


def test_loudness_does_not_matter_and_silence_is_zero():
    quiet = cqt_frames(0.01 * tone(440))[:, 16]
    np.testing.assert_allclose(quiet, cqt_frames(tone(440))[:, 16], atol=0.02)
    assert not cqt_frames(np.zeros(16000)).any()


def test_more_sounds_than_one_batch():
    sounds = np.stack([tone(cqt_frequencies()[k % 36], seconds=0.5) for k in range(300)])
    assert (cqt_frames(sounds)[:, :, 8].argmax(axis=1) == np.arange(300) % 36).all()


@pytest.mark.parametrize("audio", [np.array([]), np.array([0, np.nan]), np.float32(1)])
def test_bad_sound(audio):
    with pytest.raises(BadArgumentError, match="empty"):
        cqt_frames(audio)


def test_bad_rate():
    with pytest.raises(BadArgumentError, match="too low"):
        cqt_frames(tone(440), sample_rate=2000)
