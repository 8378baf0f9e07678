import numpy as np
import pytest

from dl4mir_utils import BadArgumentError
from dl4mir_utils.chords import INTERVALS, chord
from dl4mir_utils.synth import note_frequency


def strongest_hz(sound, count):
    """Frequencies of the strongest peaks of the spectrum of one second, lowest first."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    peaks = np.flatnonzero((spectrum[1:-1] > spectrum[:-2]) & (spectrum[1:-1] >= spectrum[2:])) + 1
    return np.sort(peaks[np.argsort(spectrum[peaks])[-count:]])


@pytest.mark.parametrize("quality", INTERVALS)
@pytest.mark.parametrize("inversion", [0, 1, 2])
def test_notes_of_a_chord(quality, inversion):
    root, third, fifth = (3 + step for step in INTERVALS[quality])
    lowered = {0: (root, third, fifth), 1: (third - 12, fifth - 12, root), 2: (fifth - 12, root, third)}[inversion]
    heard = strongest_hz(chord(3, quality, inversion), 3)
    np.testing.assert_allclose(heard, [note_frequency(step) for step in lowered], atol=1)


def test_levels_and_phases_are_drawn():
    assert len(strongest_hz(chord(0, "minor", size=2), 2)) == 2
    first, second = (chord(0, "major", seconds=0.3, rng=np.random.default_rng(seed)) for seed in (0, 1))
    assert first.shape == (4800,) and np.abs(first).max() <= 0.5
    assert np.abs(np.corrcoef(first, second)[0, 1]) < 0.95


@pytest.mark.parametrize("wrong", [{"quality": "sad"}, {"size": 4}, {"inversion": 3}, {"size": 2, "inversion": 2}])
def test_what_is_no_chord(wrong):
    with pytest.raises(BadArgumentError, match="major or minor"):
        chord(0, **{"quality": "major"} | wrong)
