"""Checks of notebook 07."""

import contextlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dl4mir_utils.checks.answers import is_open, say
from dl4mir_utils.data import ClipTable, FeatureSet
from dl4mir_utils.transfer import Fold, Setting, grid_scores

ONE_SHOT_SEEDS = range(10)


def quiet_scores(*arguments: Any) -> dict[str, np.ndarray]:
    """Return `grid_scores` without its progress bar: a check prints one line."""
    with contextlib.redirect_stdout(io.StringIO()):
        return grid_scores(*arguments, jobs=1)


def check_07_join(
    joined: float | None, task: FeatureSet, apart: Iterable[Fold], shuffled: Iterable[Fold], grid: Sequence[Setting]
) -> None:
    """Check the accuracy of layer 4 and MFCC side by side, artists apart."""
    if is_open(joined):
        return
    last = task.features[max(task.features)]
    options = {"alone": last, "both": np.hstack([last, task.mfcc])}
    alone, both = (s.mean() for s in quiet_scores(options, task.labels, apart, grid).values())
    easy = quiet_scores({"both": options["both"]}, task.labels, shuffled, grid)["both"].mean()
    if abs(joined - easy) < 5e-4 < abs(joined - both):
        print(f"Not yet. {joined:.3f} is the score with clips shuffled: use the folds `apart`.")
    elif abs(joined - alone) < 5e-4 < abs(joined - both):
        print(f"Not yet. {joined:.3f} is layer 4 alone: put MFCC beside it with np.hstack.")
    else:
        verb = "add something" if both > alone + 0.01 else "add nothing that we can measure"
        say(
            abs(joined - both) < 5e-4,
            f"{both:.3f} together, {alone:.3f} for layer 4 alone: MFCC {verb}. More features are not always "
            "better, least of all with so few artists to learn from.",
            f"{joined:.3f}: the mean over folds of grid_scores({{...: np.hstack([layer 4, MFCC])}}, ..., apart, ONE).",
        )


def check_07_one_shot(
    score: float | None,
    data: ClipTable,
    embedding: np.ndarray,
    few_clips: Callable[..., tuple[np.ndarray, np.ndarray]],
    probe: Callable,
) -> None:
    """Check the mean accuracy of probes that saw one clip of each class, over ten draws, fold 1."""
    if is_open(score):
        return
    labels, accuracies = data.labels(), []
    for seed in ONE_SHOT_SEEDS:
        train, test = few_clips(data, 1, 1, seed)
        accuracies.append(probe(embedding[train], labels[train]).score(embedding[test], labels[test]))
    expected = float(np.mean(accuracies))
    if any(abs(score - one) < 5e-4 for one in accuracies) and abs(score - expected) > 5e-4:
        print(f"Not yet. {score:.3f} is a single draw; they go from {min(accuracies):.2f} to {max(accuracies):.2f}.")
    else:
        say(
            abs(score - expected) < 5e-4,
            f"{expected:.3f} on average, from {min(accuracies):.2f} to {max(accuracies):.2f}: which three clips one "
            "owns decides. A single draw would have told almost any story.",
            f"{score:.3f}: for each seed of range(10) draw with few_clips(data, 1, 1, seed), train the probe on layer "
            "4, score it on the test clips; then the mean.",
        )


def check_07_noise(
    noise_best: float | None,
    candidates: Mapping[str, np.ndarray],
    labels: np.ndarray,
    folds: Iterable[Fold],
    grid: Sequence[Setting],
) -> None:
    """Check the best score of the grid on labels that were dealt out by chance, default_rng(0).permutation(labels)."""
    if is_open(noise_best):
        return
    noise = np.random.default_rng(0).permutation(labels)
    scores = [values.mean(axis=1) for values in quiet_scores(candidates, noise, folds, grid).values()]
    expected, average = float(np.max(scores)), float(np.mean(scores))
    majority = np.bincount(labels).max() / len(labels)
    if abs(noise_best - average) < 5e-4 < abs(noise_best - expected):
        print(f"Not yet. {noise_best:.3f} is the mean of all combinations and settings: who reports takes the best.")
    else:
        say(
            abs(noise_best - expected) < 5e-4,
            f"{expected:.3f}, where the mean of all attempts is {average:.3f} and the most frequent class has "
            f"{majority:.3f}. Nothing can be learned here: the difference is the reward for trying often.",
            f"{noise_best:.3f}: shuffle with np.random.default_rng(0).permutation(task.labels), keep candidates, folds "
            "and GRID, and take the highest mean over folds.",
        )
