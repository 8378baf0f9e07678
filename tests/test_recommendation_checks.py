"""The checks of notebook 08 tell wrong answers from right ones, and say why."""

import numpy as np
import pytest

from dl4mir_utils import checks
from dl4mir_utils.checks.recommendation import greedy_playlist

# Four items, two played; they are at places 2 and 4 of the list.
RELEVANT, SCORE = np.array([True, False, True, False]), np.array([0.6, 0.9, 0.1, 0.5])
GAIN = 1 / np.log2(3) + 1 / np.log2(5)
BEST = 1 + 1 / np.log2(3)


def said(capsys):
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("ndcg", "wanted"),
    [
        (None, "still open"),
        (GAIN, "Not yet. 1.062 is the sum over the hits"),
        (GAIN / (BEST + 0.5 + 1 / np.log2(5)), "played only 2 tracks"),
        (0.2, "Not yet. 0.200: sort by score"),
        (GAIN / BEST, "Right. 0.651 with 2 hits among 4, and scikit-learn agrees. With the hits at the end"),
    ],
)
def test_ndcg(ndcg, wanted, capsys):
    checks.check_08_ndcg(ndcg, RELEVANT, SCORE, 4)
    assert wanted in said(capsys)


def test_coverage(capsys):
    # Three listeners, five items, lists of two: items 0, 1 and 3 are shown.
    score = np.array([[9.0, 8, 1, 1, 1], [9, 8, 1, 1, 1], [9, -np.inf, 1, 8, 1]])
    for coverage, wanted in [
        (None, "still open"),
        (0.4, "what one listener sees"),
        (3, "asks for a share"),
        (0.8, "count which items occur"),
        (0.6, "Right. 60.0% of 5 items"),
    ]:
        checks.check_08_coverage(coverage, score, 2)
        assert wanted in said(capsys)


def test_playlist(capsys):
    rng = np.random.default_rng(0)
    place = np.sort(rng.random(30))
    similar, artists = 1 - np.abs(place[:, np.newaxis] - place), np.arange(30) // 2 % 5
    good = greedy_playlist(similar, artists, 3)
    running = [3, 2, *(n for n in good if n not in (2, 3))][:10]
    far = [3]
    while len(far) < 10:
        allowed = [n for n in range(30) if artists[n] != artists[far[-1]] and n not in far]
        far.append(min(allowed, key=lambda n: similar[far[-1], n]))
    for path, wanted in [
        (None, "still open"),
        (good[:9], "There are 9 clips"),
        (good[::-1], "the first is the seed"),
        ([*good[:9], 30], "numbers 0 to 29"),
        ([*good[:9], good[1]], "in it twice"),
        (running, "Places 1 and 2 are both by 1"),
        (far, "take the nearest clip"),
        (good, "Right. "),
    ]:
        checks.check_08_playlist(path, similar, artists, 3)
        assert wanted in said(capsys)
