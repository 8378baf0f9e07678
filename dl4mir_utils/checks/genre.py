"""Checks of notebook 05b."""

from typing import Any

import numpy as np

from dl4mir_utils.checks.answers import is_open, say
from dl4mir_utils.data import ClipTable


def check_05b_balanced(
    balanced: float | None,
    model: Any,
    features: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
) -> None:
    """Check the balanced accuracy of a classifier whose predictions are pooled over all folds."""
    if is_open(balanced):
        return
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, recall_score
    from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

    predicted = cross_val_predict(model, features, labels, groups=folds, cv=LeaveOneGroupOut())
    plain, expected = accuracy_score(labels, predicted), balanced_accuracy_score(labels, predicted)
    by_fold = np.mean([balanced_accuracy_score(labels[folds == f], predicted[folds == f]) for f in np.unique(folds)])
    recalls = recall_score(labels, predicted, average=None)
    if abs(balanced - plain) < 1e-6:
        print(f"Not yet. {balanced:.3f} is the plain accuracy: average the three recalls instead.")
    elif abs(balanced - by_fold) < 1e-4 < abs(expected - by_fold):
        print(f"Not yet. {balanced:.3f} is the mean of four folds: pool their predictions before you take recalls.")
    else:
        say(
            abs(balanced - expected) < 1e-3,
            f"{expected:.3f} against a plain accuracy of {plain:.3f}: the recalls of the classes go from "
            f"{recalls.min():.2f} to {recalls.max():.2f}, and the largest class counts no more than the others.",
            f"{balanced:.3f}: pool the predictions of all four folds first, then take the mean of three recalls.",
        )


def check_05b_leak(same_track: float | None, same_group: float | None, data: ClipTable) -> None:
    """Check which shares of the shuffled test fold 0 have a sibling in the training set."""
    if is_open(same_track, same_group):
        return
    is_test = data.frame["fold_clip"] == 0
    test, train = data.frame[is_test], data.frame[~is_test]
    track, group = (float(test[column].isin(train[column]).mean()) for column in ("track", "group"))
    if abs(same_track - track) > 1e-6:
        print(
            f"Not yet. {same_track:.3f} for the tracks: of the clips with fold_clip 0, how many have a track in train?"
        )
    else:
        say(
            abs(same_group - group) < 1e-6,
            f"{track:.0%} of the test clips have their own song in the training set, {group:.0%} their own artist. "
            "That is what the shuffled score measures.",
            f"The tracks are right; {same_group:.3f} for the groups is not.",
        )


def check_05b_nested(
    nested: float | None,
    model: Any,
    features: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
) -> None:
    """Check the mean accuracy when C is chosen inside the training folds."""
    if is_open(nested):
        return
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, cross_val_score

    grid = {"svc__C": [0.1, 0.3, 1, 3, 10]}
    scores = []
    for fold in np.unique(folds):
        test = folds == fold
        search = GridSearchCV(model, grid, cv=LeaveOneGroupOut())
        search.fit(features[~test], labels[~test], groups=folds[~test])
        scores.append(search.score(features[test], labels[test]))
    expected = float(np.mean(scores))
    peeking = max(
        cross_val_score(clone(model).set_params(svc__C=c), features, labels, groups=folds, cv=LeaveOneGroupOut()).mean()
        for c in grid["svc__C"]
    )
    say(
        abs(nested - expected) < 5e-3,
        f"{expected:.3f}. Peeking at the test folds would have shown {peeking:.3f}: "
        "the difference is what choosing on the test set is worth.",
        f"{nested:.3f}: is C chosen anew for each test fold, by folds that never include it? "
        + ("This is the figure one gets by peeking." if abs(nested - peeking) < 5e-3 else ""),
    )
