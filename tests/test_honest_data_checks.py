"""The checks of notebook 04 tell wrong answers from right ones, and say why."""

import numpy as np
import pytest

from dl4mir_utils import checks
from dl4mir_utils.data import load


@pytest.fixture(scope="module")
def everything():
    return load("mini/tracker")


def test_split_says_what_is_wrong(everything, capsys):
    group = everything.frame["group"].to_numpy()
    for answer, wanted in [
        (None, "still open"),
        ([1, 0], "bool array (468,)"),
        (np.arange(468) % 4 == 0, "On both sides"),
        (group == group[0], "% of the clips"),
        (group == "Nikola Whallon", "% of the clips"),
        (np.isin(group, ["0 A.D.", "Muldjord"]), "the test set has no tracker"),
    ]:
        checks.check_04_split(answer, everything)
        assert wanted in capsys.readouterr().out


def test_weights_need_ratio_and_scale(capsys):
    album = load("mini/album")
    counts = np.bincount(album.labels())
    for scale, wanted in [(1.0, "Not yet. The ratios are right"), (counts.sum() / len(counts), "Right.")]:
        checks.check_04_weights({number: scale / count for number, count in enumerate(counts)}, album)
        assert capsys.readouterr().out.startswith(wanted)
    checks.check_04_weights(dict.fromkeys(range(len(counts)), 1.0), album)
    assert "same for every class" in capsys.readouterr().out
    checks.check_04_weights([1.0] * len(counts), album)
    assert "dictionary" in capsys.readouterr().out


def test_only_one_property_gives_the_labels_away(capsys):
    data = load("mini/genre")
    sounds, labels = checks.suspicious_clips(data)
    assert sounds.shape == (60, 160000)
    assert sounds.dtype == np.float32
    assert labels.sum() == 30
    said = {}
    for suspect in ["loudness", "offset", "silence", "clipping", "bandwidth", "weather"]:
        checks.check_04_giveaway(suspect, data)
        said[suspect] = capsys.readouterr().out
    assert [suspect for suspect, text in said.items() if text.startswith("Right.")] == ["silence"]
    assert "none of the five" in said["weather"]
