"""The checks of notebook 06 tell wrong answers from right ones, and say why."""

import numpy as np
import pytest

from dl4mir_utils import checks

# Two tags, five clips: a frequent one with high outputs, a rare one with low outputs.
TRUTH = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 0]], bool)
OUTPUTS = np.array([[0.9, 0.02], [0.8, 0.03], [0.5, 0.01], [0.6, 0.12], [0.4, 0.08]])


def said(capsys):
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("auc", "wanted"),
    [(None, "still open"), (1 / 6, "one minus"), (0.5, "6 pairs"), (5 / 6, "Right. 0.833 of 6 pairs")],
)
def test_pairs(auc, wanted, capsys):
    checks.check_06_pairs(auc, TRUTH[:, 0], OUTPUTS[:, 0])
    assert wanted in said(capsys)


def test_pairs_with_ties(capsys):
    checks.check_06_pairs(0.5, TRUTH[:, 0], np.zeros(5))
    assert said(capsys).startswith("Right. 0.500")


def test_threshold(capsys):
    # Two equal tags. On validation 0.31 is the first of the best thresholds; the test clips would like a lower one.
    truth = np.array([[1, 1], [0, 0], [0, 0]], bool)
    valid, test = np.repeat([[0.5], [0.3], [0.1]], 2, axis=1), np.repeat([[0.2], [0.45], [0.1]], 2, axis=1)
    for f, wanted in [(None, "still open"), (2 / 3, "must not choose"), (1.0, "validation clips"), (0.4, "first find")]:
        checks.check_06_threshold(f, truth, valid, truth, test)
        assert wanted in said(capsys)
    checks.check_06_threshold(0.0, truth, valid, truth, test)
    assert said(capsys).startswith("Right. 0.000 with the threshold 0.31; 0.000 with the usual 0.5, and 0.667")


def test_threshold_from_fewer_tags_than_are_tested(capsys):
    valid_truth, valid = np.array([[1], [0]], bool), np.array([[0.4], [0.3]])
    test_truth = np.array([[1, 1], [0, 0]], bool)
    test = np.array([[0.5, 0.2], [0.1, 0.1]])  # with 0.31 the first tag is found, the second is not
    checks.check_06_threshold(0.5, valid_truth, valid, test_truth, test)
    assert said(capsys).startswith("Right. 0.500 with the threshold 0.31")


def test_micro(capsys):
    ranks = OUTPUTS.argsort(axis=0).argsort(axis=0) / 5
    for ruined, wanted in [
        (None, "still open"),
        (OUTPUTS[:, 0], "the shape (5,)"),
        (np.full((5, 2), np.nan), "nan or infinity"),
        (1 - OUTPUTS, "the order within each tag"),
        (10 * OUTPUTS, "less comparable"),
        (ranks, "Right. Micro ROC-AUC"),
    ]:
        checks.check_06_micro(ruined, TRUTH, OUTPUTS)
        assert wanted in said(capsys)
