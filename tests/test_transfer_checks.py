"""The checks of notebook 07 tell wrong answers from right ones, and say why."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from dl4mir_utils import checks
from dl4mir_utils.transfer import Setting, grid_scores

GRID = [Setting(True, c, None) for c in (0.01, 1.0)]
ROWS = np.arange(24)
LABELS = np.tile([0, 1], 12).astype(np.int32)
thirds, halves = ROWS % 3, ROWS // 12
SHUFFLED = [(np.flatnonzero(thirds != part), np.flatnonzero(thirds == part)) for part in range(3)]
APART = [(np.flatnonzero(halves != part), np.flatnonzero(halves == part)) for part in range(2)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DL4MIR_DATA", str(tmp_path))


@pytest.fixture
def task():
    """Return features; those of layer 4 mean the opposite in the second half of the clips."""
    rng = np.random.default_rng(0)
    layer = rng.normal(size=(24, 3)) + np.where(ROWS < 12, 1, -1)[:, None] * (2 * LABELS - 1)[:, None]
    mfcc = rng.normal(size=(24, 2)) + 0.7 * LABELS[:, None]
    return SimpleNamespace(features={0: mfcc, 4: layer}, mfcc=mfcc, labels=LABELS)


def said(capsys):
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_join(task, capsys):
    one = GRID[:1]
    both = np.hstack([task.features[4], task.mfcc])
    score = {
        (name, kind): grid_scores({name: x}, LABELS, folds, one, 1)[name].mean()
        for name, x in (("both", both), ("alone", task.features[4]))
        for kind, folds in (("apart", APART), ("shuffled", SHUFFLED))
    }
    right, alone, easy = score["both", "apart"], score["alone", "apart"], score["both", "shuffled"]
    assert len({right, alone, easy}) == 3
    for answer, wanted in [
        (None, "still open"),
        (easy, "clips shuffled"),
        (alone, "layer 4 alone"),
        (-1.0, "np.hstack([layer 4, MFCC])"),
        (right, f"Right. {right:.3f} together, {alone:.3f}"),
    ]:
        capsys.readouterr()
        checks.check_07_join(answer, task, APART, SHUFFLED, one)
        assert wanted in said(capsys)


def test_one_shot(capsys):
    rng = np.random.default_rng(1)
    embedding = rng.normal(size=(24, 3)) + LABELS[:, None]
    data = SimpleNamespace(labels=lambda: LABELS)

    def draw(data, size, fold, seed):
        rng = np.random.default_rng(seed)
        train = np.concatenate([rng.choice(ROWS[:12][LABELS[:12] == label], size) for label in (0, 1)])
        return train, ROWS[12:]

    def probe(features, labels):
        return LogisticRegression(C=0.01).fit(features, labels)

    scores = []
    for seed in range(10):
        train, test = draw(data, 1, 1, seed)
        scores.append(probe(embedding[train], LABELS[train]).score(embedding[test], LABELS[test]))
    for answer, wanted in [
        (None, "still open"),
        (scores[0], "single draw"),
        (2.0, "for each seed"),
        (np.mean(scores), "Right."),
    ]:
        checks.check_07_one_shot(answer, data, embedding, draw, probe)
        assert wanted in said(capsys)


def test_noise(task, capsys):
    candidates = {"0": task.features[0], "4": task.features[4]}
    noise = np.random.default_rng(0).permutation(LABELS)
    scores = [s.mean(axis=1) for s in grid_scores(candidates, noise, SHUFFLED, GRID, 1).values()]
    for answer, wanted in [
        (None, "still open"),
        (np.mean(scores), "takes the best"),
        (2.0, "permutation(task.labels)"),
        (np.max(scores), f"Right. {np.max(scores):.3f}, where the mean of all attempts is {np.mean(scores):.3f}"),
    ]:
        capsys.readouterr()
        checks.check_07_noise(answer, candidates, LABELS, SHUFFLED, GRID)
        assert wanted in said(capsys)
