"""Checks of notebook 04, and the puzzle of its last exercise."""

from collections.abc import Mapping

import numpy as np

from dl4mir_utils.checks.answers import is_open, say
from dl4mir_utils.data import ClipTable

SUSPECTS = ("loudness", "offset", "silence", "clipping", "bandwidth")


def check_04_split(is_test_clip: np.ndarray | None, data: ClipTable) -> None:
    """Check that a test set is of the right size, holds all classes and tears no group apart."""
    if is_open(is_test_clip):
        return
    is_test = np.asarray(is_test_clip)
    if is_test.shape != (len(data),) or is_test.dtype != bool:
        print(f"Not yet. One True or False per clip is needed: a bool array ({len(data)},).")
        return
    test, train = data.frame[is_test], data.frame[~is_test]
    crossing = sorted(set(test["group"]) & set(train["group"]))
    lacking = {"test": set(data.classes) - set(test["label"]), "training": set(data.classes) - set(train["label"])}
    if crossing:
        print(f"Not yet. On both sides: {', '.join(crossing[:3])}{', ...' if len(crossing) > 3 else ''}.")
    elif not 0.15 <= is_test.mean() <= 0.35:
        print(f"Not yet. The test set holds {is_test.mean():.0%} of the clips; 15 to 35 % were asked for.")
    else:
        missing = [f"the {part} set has no {label}" for part, labels in lacking.items() for label in sorted(labels)]
        say(
            not missing,
            f"{is_test.sum()} clips of {test['group'].nunique()} groups test, {train['group'].nunique()} groups train, "
            "and none is on both sides.",
            f"{'; '.join(missing)}: try another fold.",
        )


def check_04_weights(weights: Mapping[int, float] | None, data: ClipTable) -> None:
    """Check class weights: inverse to the number of clips, and 1 on average over the clips."""
    if is_open(weights):
        return
    counts = np.bincount(data.labels(), minlength=len(data.classes))
    if not isinstance(weights, Mapping) or sorted(weights) != list(range(len(counts))):
        print(f"Not yet. Keras wants a dictionary with the keys 0 to {len(counts) - 1}.")
        return
    shares = np.array([weights[number] for number in range(len(counts))], float) * counts
    if not np.allclose(shares, shares[0], rtol=1e-3):
        print("Not yet. Weight times number of clips must be the same for every class.")
    else:
        say(
            bool(np.isclose(shares.sum(), counts.sum(), rtol=1e-3)),
            f"From {min(weights.values()):.2f} for the largest class to {max(weights.values()):.2f} for the smallest; "
            "a clip weighs 1 on average, so the learning rate keeps its meaning.",
            f"The ratios are right, but a clip weighs {shares.sum() / counts.sum():.3g} on average instead of 1.",
        )


def suspicious_clips(data: ClipTable) -> tuple[np.ndarray, np.ndarray]:
    """Return clips whose labels are drawn by lot, and which one property of the recording gives away.

    Parameters
    ----------
    data : ClipTable
        At least 60 tracks of clips with equal lengths.

    Returns
    -------
    float32 array (60, samples), int array (60,)
        Sounds at 16 kHz, one per track, and labels 0 or 1.
    """
    rng = np.random.default_rng(4)
    names = rng.permutation(data.frame.index[~data.frame["track"].duplicated()])[:60]
    labels = rng.permutation(np.repeat([0, 1], 30))
    sounds = np.stack([data.audio(name) for name in names])
    late = np.pad(sounds, [(0, 0), (1105, 0)])[:, : sounds.shape[1]]  # the delay of an MP3 encoder, left in
    return np.where(labels[:, np.newaxis], late, sounds), labels


def check_04_giveaway(giveaway: str | None, data: ClipTable) -> None:
    """Check which property gives away the labels of `suspicious_clips`; a wrong guess is told how well it does."""
    if is_open(giveaway):
        return
    if giveaway not in SUSPECTS:
        print(f"Not yet. {giveaway!r} is none of the five: {', '.join(SUSPECTS)}.")
        return
    from sklearn.metrics import roc_auc_score

    sounds, labels = suspicious_clips(data)
    power = np.abs(np.fft.rfft(sounds, axis=1)) ** 2
    peak = np.abs(sounds).max(axis=1, keepdims=True)
    numbers = {
        "loudness": np.mean(sounds**2, axis=1),
        "offset": sounds.mean(axis=1),
        "silence": np.mean(sounds[:, :1000] ** 2, axis=1),
        "clipping": np.mean(np.abs(sounds) == peak, axis=1),
        "bandwidth": power[:, power.shape[1] * 3 // 4 :].sum(axis=1) / power.sum(axis=1),
    }
    auc = roc_auc_score(labels, numbers[giveaway])
    say(
        max(auc, 1 - auc) > 0.95,
        f"AUC {max(auc, 1 - auc):.2f}. It is the delay of an MP3 encoder, 69 ms of nothing, which `through_mp3` "
        "cuts off. One look at the first tenth of a second would have told.",
        f"That number alone reaches an AUC of {max(auc, 1 - auc):.2f}, where 0.5 is chance: hardly a giveaway.",
    )
