"""Support vector machines on frozen features: the same scores as scikit-learn's own, chosen without the test rows."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from dl4mir_utils import BadArgumentError
from dl4mir_utils import transfer as tr

FEW = [tr.Setting(scaled, c, gamma) for scaled in (False, True) for c in (0.1, 8.0) for gamma in (None, 0.0, 0.03125)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DL4MIR_DATA", str(tmp_path))


@pytest.fixture
def clips():
    """Three classes of 40 clips; layer 0 knows a little of them, layer 1 nothing, layer 2 much."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    layers = {
        layer: (rng.normal(size=(120, 4)) + strength * labels[:, None]).astype(np.float32)
        for layer, strength in enumerate((0.3, 0.0, 0.8))
    }
    return layers, labels


def machine(setting, kind):
    kernel = "linear" if setting.gamma is None else "rbf"
    machine = kind(C=setting.c, kernel=kernel, gamma=setting.gamma or "auto")
    return make_pipeline(StandardScaler(), machine) if setting.scaled else machine


def test_combinations(clips):
    layers, _ = clips
    joined = tr.combinations(layers)
    assert list(joined) == ["0", "1", "2", "01", "02", "12", "012"]
    np.testing.assert_array_equal(joined["02"], np.concatenate([layers[0], layers[2]], axis=1))
    assert len(tr.combinations(dict.fromkeys(range(5), layers[0]))) == 31


def test_the_grid_of_the_paper_has_64_settings():
    assert len(set(tr.PAPER_GRID)) == 64
    assert sum(setting.gamma is None for setting in tr.PAPER_GRID) == 8


@pytest.mark.parametrize("kind", [SVC, SVR])
def test_the_scores_are_those_of_scikit_learn(clips, kind):
    layers, labels = clips
    target = labels if kind is SVC else labels + 0.25 * layers[0][:, 0].astype(float)
    folds = list(KFold(3, shuffle=True, random_state=0).split(labels))
    scores = tr.grid_scores({"2": layers[2]}, target, folds, FEW)["2"]
    assert scores.shape == (len(FEW), 3)
    for row, setting in enumerate(FEW):
        theirs = [machine(setting, kind).fit(layers[2][a], target[a]).score(layers[2][b], target[b]) for a, b in folds]
        # SVC decides few clips otherwise where single precision moves them across the border.
        np.testing.assert_allclose(scores[row], theirs, atol=0.03 if kind is SVC else 1e-3)


def test_a_second_time_is_read_from_the_cache(clips, monkeypatch):
    layers, labels = clips
    folds = list(StratifiedKFold(3).split(labels, labels))
    first = tr.grid_scores(tr.combinations(layers), labels, folds, FEW)
    monkeypatch.setattr(tr, "_score", None)  # would fail if called
    again = tr.grid_scores(tr.combinations(layers), labels, folds, FEW)
    assert list(first) == list(again)
    assert all((first[name] == again[name]).all() for name in first)


def test_a_cache_that_cannot_be_written_is_no_obstacle(clips, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("DL4MIR_DATA", str(tmp_path / "file"))
    layers, labels = clips
    folds = list(StratifiedKFold(3).split(labels, labels))
    assert tr.grid_scores({"2": layers[2]}, labels, folds, FEW[:1])["2"].shape == (1, 3)


def test_best(clips):
    scores = {"a": np.array([[0.5, 0.7], [0.9, 0.1]]), "b": np.array([[0.2, 0.2], [0.8, 0.6]])}
    assert tr.best(scores) == ("b", 1)


def test_nested_is_a_grid_search_within_each_fold(clips):
    layers, labels = clips
    folds = list(StratifiedKFold(4).split(labels, labels))
    inner = StratifiedKFold(3)
    parameters = [
        {"svc__C": [s.c for s in FEW if s.scaled and s.gamma == 0], "svc__gamma": ["auto"]},
    ]
    scaled = [s for s in FEW if s.scaled and s.gamma == 0]
    ours = tr.nested_scores({"2": layers[2]}, labels, folds, lambda rows: inner.split(rows, labels[rows]), scaled)
    search = GridSearchCV(make_pipeline(StandardScaler(), SVC()), parameters, cv=inner)
    theirs = [search.fit(layers[2][a], labels[a]).score(layers[2][b], labels[b]) for a, b in folds]
    np.testing.assert_allclose(ours, theirs, atol=0.04)


def test_nested_cannot_be_fooled_by_noise():
    """Among many sets of noise the best looks better than chance; chosen without the test rows, it does not."""
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 2
    noise = {str(number): rng.normal(size=(60, 3)).astype(np.float32) for number in range(40)}
    folds = list(StratifiedKFold(5).split(labels, labels))
    setting = [tr.Setting(True, 2.0, 0.0)]
    best = max(table.mean() for table in tr.grid_scores(noise, labels, folds, setting).values())
    inner = StratifiedKFold(3)
    nested = tr.nested_scores(noise, labels, folds, lambda rows: inner.split(rows, labels[rows]), setting).mean()
    assert best > 0.6
    assert nested < best - 0.1
    assert 0.3 < nested < 0.6


@pytest.mark.parametrize(
    ("candidates", "folds", "message"),
    [
        ({}, [(np.arange(3), np.arange(3))], "at least one"),
        ({"a": np.zeros((3, 2))}, [], "at least one"),
        ({"a": np.zeros((4, 2))}, [(np.arange(3), np.arange(3))], r'"a" have the shape \(4, 2\); 3 labels'),
        ({"a": np.zeros(3)}, [(np.arange(3), np.arange(3))], r'"a" have the shape \(3,\)'),
    ],
)
def test_bad_arguments(candidates, folds, message):
    with pytest.raises(BadArgumentError, match=message):
        tr.grid_scores(candidates, np.arange(3), folds, FEW)
