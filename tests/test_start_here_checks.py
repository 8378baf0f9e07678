"""The checks of notebook 00 tell right answers from the likely wrong ones, in one line."""

import numpy as np
import pytest

from dl4mir_utils.checks import check_00_listen, check_00_neighbours, mystery_sounds
from dl4mir_utils.checks.start_here import MYSTERY


@pytest.mark.parametrize(
    ("any_clip", "other_artists", "start", "end"),
    [
        (None, None, "This exercise is still open", ""),
        (0.82, 0.59, "Right. ", "no better.\n"),
        (0.82, 0.62, "Right. ", "no better.\n"),
        (0.82, 0.70, "Right. ", "with other artists, too.\n"),
        (0.82, 0.40, "Not yet. ", ""),
        (0.70, 0.60, "Not yet. ", ""),
        (1.0, 0.61, "Not yet. Too good", ""),
        (82, 59, "Not yet. np.mean", ""),
    ],
)
def test_neighbours(any_clip, other_artists, start, end, capsys):
    check_00_neighbours(any_clip, other_artists, before=(0.77, 0.61))
    line = capsys.readouterr().out
    assert line.count("\n") == 1 and line.startswith(start) and line.endswith(end)


@pytest.mark.parametrize(
    ("answers", "start"),
    [
        ((None, None, None), "This exercise is still open"),
        ((2, 3, 1), "Right. "),
        ((2, 1, 3), "Not yet. The original is right."),
        ((1, 3, 2), "Not yet. Version 1 is dull"),
        ((2, 2, 1), "Not yet. Give each"),
    ],
)
def test_listen(answers, start, capsys):
    check_00_listen(*answers)
    assert capsys.readouterr().out.startswith(start)


def test_the_mystery_can_be_heard():
    """A tone at 3 kHz is in the original alone; where samples were dropped it has come back as 1 kHz."""
    tone = np.sin(2 * np.pi * 3000 * np.arange(16000) / 16000)
    strongest = {}
    for kind, (title, sound) in zip(MYSTERY, mystery_sounds(tone), strict=True):
        spectrum = np.abs(np.fft.rfft(sound[:16000]))
        strongest[kind] = int(spectrum.argmax()) if spectrum.max() > 100 else None
        assert title.startswith("version ")
    assert strongest == {"original": 3000, "filtered": None, "samples_dropped": 1000}
