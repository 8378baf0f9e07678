"""Checks of the exercises: each says whether an answer is right and, if not, what to look at.

A check prints one line. It never shows the solution and never raises: a notebook runs through with its stubs.
"""

from typing import Any

import numpy as np

from dl4mir_utils.data import ClipTable


def _say(right: bool, praise: str, advice: str) -> None:
    print(f"Right. {praise}" if right else f"Not yet. {advice}")


def _open(*answers: Any) -> bool:
    """Say so and return True if an answer is still the None of the stub."""
    if any(answer is None for answer in answers):
        print("This exercise is still open: put your answer in the cell above, then run this one again.")
        return True
    return False


# --- 00 -----------------------------------------------------------------------------------------------------------


def check_00_loudest(loudest: str | None, data: ClipTable) -> None:
    """Check the name of the clip with the largest root mean square."""
    if _open(loudest):
        return
    if loudest not in data.frame.index:
        print(f"Not yet. There is no clip called {loudest!r}; the answer is one of data.frame.index.")
        return
    rms = {name: float(np.sqrt(np.mean(data.audio(name) ** 2))) for name in data.frame.index}
    best = max(rms, key=rms.get)
    level_db = 20 * np.log10(rms[loudest])
    _say(
        loudest == best,
        f"{data.frame.artist[best]}, at {level_db:.1f} dB re full scale. Loudness alone gives away much of the label.",
        f"That clip is at {level_db:.1f} dB, the loudest at {20 * np.log10(rms[best]):.1f} dB. "
        "Square the samples before the mean, take the root after it.",
    )


def check_00_frames(frames: float | None, samples_per_number: float | None) -> None:
    """Check the number of frames of a three-minute song and the ratio of samples to log-mel numbers."""
    if _open(frames, samples_per_number):
        return
    if abs(frames - 11250) > 1:
        print(f"Not yet. {frames:g} frames: how many times do 0.016 s go into 180 s?")
        return
    _say(
        abs(samples_per_number - 4) < 0.01,
        "Four samples to one number, whatever the length of the song.",
        f"{samples_per_number:g}: divide 180 x 16000 samples by frames x 64.",
    )


def check_00_neighbours(any_clip: float | None, other_artists: float | None, before: tuple[float, float]) -> None:
    """Check both accuracies of nearest neighbours with 128 numbers per clip against those with 64."""
    if _open(any_clip, other_artists):
        return
    if not (0 <= any_clip <= 1 and 0 <= other_artists <= 1):
        print("Not yet. np.mean(predicted == labels) is between 0 and 1.")
    elif any_clip > 0.95 or other_artists > 0.75:
        print(
            "Not yet. Too good to be true: is the distance of a clip to itself set to infinity, and then its artist's?"
        )
    else:
        _say(
            any_clip > before[0] and abs(other_artists - before[1]) < 0.15,
            f"Any clip: {before[0]:.0%} becomes {any_clip:.0%}. Other artists: {before[1]:.0%} becomes "
            f"{other_artists:.0%}. More numbers found the artist better, and not the style.",
            "With mean and standard deviation the first accuracy should rise: compare within one array (clips, 128).",
        )


# --- 05b ----------------------------------------------------------------------------------------------------------


def check_05b_balanced(
    balanced: float | None,
    model: Any,
    features: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
) -> None:
    """Check the balanced accuracy of a classifier whose predictions are pooled over all folds."""
    if _open(balanced):
        return
    from sklearn.metrics import accuracy_score, balanced_accuracy_score
    from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

    predicted = cross_val_predict(model, features, labels, groups=folds, cv=LeaveOneGroupOut())
    plain, expected = accuracy_score(labels, predicted), balanced_accuracy_score(labels, predicted)
    if abs(balanced - plain) < 1e-6:
        print(f"Not yet. {balanced:.3f} is the plain accuracy: average the three recalls instead.")
    else:
        _say(
            abs(balanced - expected) < 5e-3,
            f"{expected:.3f} against a plain accuracy of {plain:.3f}: the smallest class is the one found least.",
            f"{balanced:.3f}: pool the predictions of all four folds first, then take the mean of three recalls.",
        )


def check_05b_leak(same_track: float | None, same_group: float | None, data: ClipTable) -> None:
    """Check which shares of the shuffled test fold 0 have a sibling in the training set."""
    if _open(same_track, same_group):
        return
    is_test = data.frame["fold_clip"] == 0
    test, train = data.frame[is_test], data.frame[~is_test]
    track, group = (float(test[column].isin(train[column]).mean()) for column in ("track", "group"))
    if abs(same_track - track) > 1e-6:
        print(
            f"Not yet. {same_track:.3f} for the tracks: of the clips with fold_clip 0, how many have a track in train?"
        )
    else:
        _say(
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
    if _open(nested):
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
    _say(
        abs(nested - expected) < 5e-3,
        f"{expected:.3f}. Peeking at the test folds would have shown {peeking:.3f}: "
        "the difference is what choosing on the test set is worth.",
        f"{nested:.3f}: is C chosen anew for each test fold, by folds that never include it? "
        + ("This is the figure one gets by peeking." if abs(nested - peeking) < 5e-3 else ""),
    )
