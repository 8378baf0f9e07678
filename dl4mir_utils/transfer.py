"""Support vector machines on frozen features: which layers of a network serve a task (Choi et al., 2017).

The features of a network's layers are joined in every combination, and on each a machine is trained and judged by
cross-validation for every setting of a grid. `grid_scores` returns all scores, so that a best score and an honest one
come from the same numbers; `nested_scores` chooses on the training part of each fold alone.
"""

import itertools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import sklearn
from joblib import Memory, Parallel, delayed
from sklearn.metrics import accuracy_score, r2_score
from sklearn.metrics.pairwise import euclidean_distances, linear_kernel
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from tqdm import tqdm

from dl4mir_utils.errors import BadArgumentError
from dl4mir_utils.paths import cache_root

VERSION = 1  # to be raised when other scores come out: those kept in the cache are of the old kind
Fold = tuple[np.ndarray, np.ndarray]  # rows to train on, rows to judge by, as scikit-learn's splitters yield them


class Setting(NamedTuple):
    """How a support vector machine is set.

    Attributes
    ----------
    scaled : bool
        Whether each feature is standardised, by its mean and deviation on the training rows.
    c : float
        How much errors cost.
    gamma : float or None
        Of the kernel exp(-gamma distance²); 0 is one by the number of features, None is the linear kernel.
    """

    scaled: bool
    c: float
    gamma: float | None


PAPER_GRID = tuple(
    Setting(scaled, c, gamma)
    for scaled in (False, True)
    for gamma in (None, 0.0, *(0.5**power for power in (3, 5, 7, 9, 11, 13)))
    for c in (0.1, 2.0, 8.0, 32.0)
)


def combinations(layers: Mapping[int, np.ndarray]) -> dict[str, np.ndarray]:
    """Join the features of layers in every combination.

    Parameters
    ----------
    layers : dict of int to array (clips, features)

    Returns
    -------
    dict of str to float32 array (clips, features)
        "0", "1", …, "01", …, "01234": with five layers 31 of them.
    """
    chosen = (some for size in range(1, len(layers) + 1) for some in itertools.combinations(layers, size))
    return {
        "".join(map(str, some)): np.concatenate([layers[layer] for layer in some], axis=1).astype(np.float32)
        for some in chosen
    }


def grid_scores(
    candidates: Mapping[str, np.ndarray],
    labels: np.ndarray,
    folds: Iterable[Fold],
    grid: Sequence[Setting] = PAPER_GRID,
    jobs: int = -1,
) -> dict[str, np.ndarray]:
    """Train and judge a support vector machine for each set of features, each setting and each fold.

    What has been computed once, is read from the user's cache folder.

    Parameters
    ----------
    candidates : dict of str to array (clips, features)
        The features to choose from, by name.
    labels : int array (clips,), or float array (clips,)
        Whole numbers are classes, and the score is the accuracy; others are to be regressed, and the score is r².
    folds : iterable of (rows to train on, rows to judge by)
        As `StratifiedGroupKFold().split(...)` yields them.
    grid : sequence of Setting
        By default the 64 settings of the paper's code.
    jobs : int
        How many sets of features are worked on at a time; -1 is one for each core.

    Returns
    -------
    dict of str to float64 array (settings, folds)

    Raises
    ------
    BadArgumentError
        Features and labels do not fit, or there is no fold or no setting.
    """
    folds = [tuple(np.asarray(rows) for rows in fold) for fold in folds]
    if not folds or not grid or not candidates:
        raise BadArgumentError("grid_scores needs at least one set of features, one fold and one setting.")
    for name, features in candidates.items():
        if features.ndim != 2 or len(features) != len(labels):
            raise BadArgumentError(
                f'The features "{name}" have the shape {features.shape}; {len(labels)} labels ask for '
                f"({len(labels)}, features)."
            )
    try:
        memory = Memory(cache_root() / "svm_scores", verbose=0)
    except OSError:  # a folder that cannot be written to: next time they are computed again
        memory = Memory(None)
    cached = memory.cache(_grid_scores)
    # Threads: the machines are trained outside Python's lock, and nothing has to be copied.
    scores = Parallel(jobs, prefer="threads", return_as="generator")(
        delayed(cached)(features, labels, folds, tuple(grid), (VERSION, sklearn.__version__))
        for features in candidates.values()
    )
    # stdout: a bar is no warning.
    bar = tqdm(scores, "features", len(candidates), file=sys.stdout, ascii=True, leave=False, mininterval=0.5)
    return dict(zip(candidates, bar, strict=True))


def nested_scores(
    candidates: Mapping[str, np.ndarray],
    labels: np.ndarray,
    folds: Iterable[Fold],
    inner_folds: Callable[[np.ndarray], Iterable[Fold]],
    grid: Sequence[Setting] = PAPER_GRID,
    jobs: int = -1,
) -> np.ndarray:
    """Judge the whole procedure: features and setting are chosen without the rows that they are judged by.

    Parameters
    ----------
    candidates, labels, folds, grid, jobs
        As `grid_scores` takes them.
    inner_folds : function (rows) -> iterable of folds
        Splits the training rows of a fold again; what it yields counts within these rows, from 0.

    Returns
    -------
    float64 array (folds,)
    """
    chosen_scores = []
    for train, test in folds:
        inner = grid_scores(
            {name: features[train] for name, features in candidates.items()},
            labels[train],
            inner_folds(train),
            grid,
            jobs,
        )
        name, setting = best(inner)
        scores = grid_scores({name: candidates[name]}, labels, [(train, test)], [grid[setting]], jobs)
        chosen_scores.append(scores[name].item())
    return np.array(chosen_scores)


def best(scores: Mapping[str, np.ndarray]) -> tuple[str, int]:
    """Return the name of the features and the number of the setting whose mean over folds is highest."""
    return max(
        ((name, setting) for name, table in scores.items() for setting in range(len(table))),
        key=lambda choice: scores[choice[0]][choice[1]].mean(),
    )


def _grid_scores(
    features: np.ndarray, labels: np.ndarray, folds: list[Fold], grid: tuple[Setting, ...], version: tuple[int, str]
) -> np.ndarray:
    """Return the scores (settings, folds) of one set of features; `version` parts new scores from old in the cache."""
    scores = np.zeros((len(grid), len(folds)))
    for column, (train, test) in enumerate(folds):
        for scaled in {setting.scaled for setting in grid}:
            x_train, x_test = features[train], features[test]
            if scaled:
                scaler = StandardScaler().fit(x_train)
                x_train, x_test = scaler.transform(x_train), scaler.transform(x_test)
            for gamma in {setting.gamma for setting in grid if setting.scaled == scaled}:
                # One kernel serves all costs.
                kernels = [_kernel(x, x_train, gamma) for x in (x_train, x_test)]
                for row, setting in enumerate(grid):
                    if (setting.scaled, setting.gamma) == (scaled, gamma):
                        scores[row, column] = _score(*kernels, labels[train], labels[test], setting.c)
    return scores


def _kernel(x: np.ndarray, x_train: np.ndarray, gamma: float | None) -> np.ndarray:
    if gamma is None:
        return linear_kernel(x, x_train)
    kernel = euclidean_distances(x, x_train, squared=True)
    kernel *= -(gamma or 1 / x.shape[1])
    return np.exp(kernel, out=kernel)


def _score(train: np.ndarray, test: np.ndarray, train_labels: np.ndarray, test_labels: np.ndarray, c: float) -> float:
    if np.issubdtype(train_labels.dtype, np.integer):
        machine = SVC(C=c, kernel="precomputed").fit(train, train_labels)
        return accuracy_score(test_labels, machine.predict(test))
    return r2_score(test_labels, SVR(C=c, kernel="precomputed").fit(train, train_labels).predict(test))
