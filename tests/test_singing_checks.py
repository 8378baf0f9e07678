"""The checks of notebook 05a tell wrong answers from right ones, and say why."""

import numpy as np
import pytest

from dl4mir_utils import checks

TRUTHS = [np.repeat([0, 1, 0], [200, 100, 100]), np.zeros(100, int)]
ANSWERS = [np.repeat([0.9, 0.0, 0.9, 0.0], [20, 170, 110, 100]), np.repeat([0.9, 0.0], [30, 70])]


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ((None, 1, 0.33), "still open"),
        ((0.2, 0.9, 0.33), "which sung frame"),
        ((0.5, 1, 0.33), "of those how many"),
        ((0.2, 1, 0.6), "put precision and recall"),
        ((0.2, 1, 1 / 3), "Right. F is 0.33"),
    ],
)
def test_always(answer, wanted, capsys):
    checks.check_05a_always(*answer, np.concatenate(TRUTHS))
    assert wanted in capsys.readouterr().out


def test_false_alarms_are_counted_in_instrumentals_only(capsys):
    for rate, wanted in [(None, "still open"), (60 / 400, "all mixes"), (0.5, "0 everywhere"), (0.3, "Right. 30%")]:
        checks.check_05a_false_alarms(rate, TRUTHS, ANSWERS, 0.5)
        assert wanted in capsys.readouterr().out


def test_edges(capsys):
    # Wrong: 20 frames at the start, 10 before the voice, 30 in the instrumental; 60 frames are near a change.
    for share, wanted in [(None, "still open"), (10 / 60, "Right. 17%"), (0.9, "one by one")]:
        checks.check_05a_edges(share, TRUTHS, ANSWERS, 0.5)
        assert wanted in capsys.readouterr().out
    late = [np.repeat([0.0, 0.9, 0.0], [205, 95, 100]), np.repeat([0.9, 0.0], [95, 5])]
    checks.check_05a_edges(5 / 60, TRUTHS, late, 0.5)
    assert "of the wrong ones, how many" in capsys.readouterr().out
