"""The checks of notebook 10 tell wrong answers from right ones, and say why."""

import numpy as np
import pytest

from dl4mir_utils import checks

RNG = np.random.default_rng(0)
QUERIES, KEYS, VALUES = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 4)), RNG.normal(size=(6, 3))
SCORES = QUERIES @ KEYS.T
POSITIVE = np.exp(SCORES)


def said(capsys):
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("y", "wanted"),
    [
        (None, "still open"),
        (VALUES[:2], "shape is (2, 3)"),
        (POSITIVE / POSITIVE.sum(axis=0) @ VALUES, "each *key*"),
        (np.sqrt(POSITIVE) / np.sqrt(POSITIVE).sum(axis=1, keepdims=True) @ VALUES, "scaled form"),
        (POSITIVE @ VALUES, "for each query"),
        (np.full((6, 3), np.nan), "for each query"),
        (POSITIVE / POSITIVE.sum(axis=1, keepdims=True) @ VALUES, "Right. Each of the 6 rows"),
    ],
)
def test_by_hand(y, wanted, capsys):
    checks.check_10_by_hand(y, QUERIES, KEYS, VALUES)
    assert wanted in said(capsys)


@pytest.mark.parametrize(
    ("megabytes", "pool", "wanted"),
    [
        (None, 15, "still open"),
        (900, None, "still open"),
        (225, 15, "four bytes"),
        (0.06, 15, "steps times steps"),
        (900, 0, "900 MB"),
        (900, 14, "take 64 MB; find the smallest"),
        (900, 16, "find the smallest"),
        (900, 15, "Right. 900 MB"),
        (858, 15, "Right."),
    ],
)
def test_memory(megabytes, pool, wanted, capsys):
    checks.check_10_memory(megabytes, pool)
    assert wanted in said(capsys)


PAST = np.tri(6)


@pytest.mark.parametrize(
    ("weights", "wanted"),
    [
        (None, "still open"),
        (POSITIVE[0], "shape is (6,)"),
        (POSITIVE / POSITIVE.sum(axis=1, keepdims=True), "looks ahead"),
        (PAST * POSITIVE / POSITIVE.sum(axis=1, keepdims=True), "*before* the softmax"),
        (PAST / PAST.sum(axis=1, keepdims=True), "softmax of the given scores"),
        (PAST * POSITIVE / (PAST * POSITIVE).sum(axis=1, keepdims=True), "Right. Step 0"),
    ],
)
def test_causal(weights, wanted, capsys):
    checks.check_10_causal(weights, SCORES)
    assert wanted in said(capsys)
