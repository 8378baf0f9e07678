"""Checks of notebook 06."""

import numpy as np

from dl4mir_utils.checks.answers import is_open, say

THRESHOLDS = np.arange(1, 61) / 100


def check_06_pairs(auc: float | None, has_tag: np.ndarray, output: np.ndarray) -> None:
    """Check a ROC-AUC that was counted pair by pair."""
    if is_open(auc):
        return
    from sklearn.metrics import roc_auc_score

    expected = float(roc_auc_score(has_tag, output))
    if abs(auc - (1 - expected)) < 5e-3 < abs(auc - expected):
        print(f"Not yet. {auc:.3f} is one minus the answer: in which pairs is the clip *with* the tag higher?")
    else:
        pairs = int(np.sum(has_tag)) * int(np.sum(~np.asarray(has_tag, bool)))
        say(
            abs(auc - expected) < 5e-4,
            f"{expected:.3f} of {pairs} pairs are in the right order, and scikit-learn agrees. No threshold, and no "
            "word about how rare the tag is.",
            f"{auc:.3f}: compare each output of a clip that has the tag with each of a clip that has not; {pairs} "
            "pairs in all.",
        )


def macro_f(truth: np.ndarray, outputs: np.ndarray, threshold: float) -> float:
    """Return the mean over tags of F, bool (clips, tags) against float (clips, tags); 0 where a tag has none."""
    from sklearn.metrics import f1_score

    return float(f1_score(truth, np.asarray(outputs) >= threshold, average="macro", zero_division=0))


def check_06_threshold(
    f: float | None,
    valid_truth: np.ndarray,
    valid_outputs: np.ndarray,
    test_truth: np.ndarray,
    test_outputs: np.ndarray,
) -> None:
    """Check the macro F on the test clips with the threshold that is best on the validation clips.

    The validation arrays may hold fewer tags, those that a validation clip has.
    """
    if is_open(f):
        return
    by_valid = [macro_f(valid_truth, valid_outputs, threshold) for threshold in THRESHOLDS]
    by_test = [macro_f(test_truth, test_outputs, threshold) for threshold in THRESHOLDS]
    best = int(np.argmax(by_valid))
    expected, peeking, half = by_test[best], max(by_test), macro_f(test_truth, test_outputs, 0.5)
    if abs(f - peeking) < 5e-4 < abs(f - expected):
        print(f"Not yet. {f:.3f} is the best that any threshold gives on the test clips: they must not choose it.")
    elif abs(f - by_valid[best]) < 5e-4 < abs(f - expected):
        print(f"Not yet. {f:.3f} is the score on the validation clips; the question is what the test clips say.")
    else:
        say(
            abs(f - expected) < 5e-3,
            f"{expected:.3f} with the threshold {THRESHOLDS[best]:.2f}; {half:.3f} with the usual 0.5, and "
            f"{peeking:.3f} by peeking. Probabilities of rare tags are low, and so must the threshold be.",
            f"{f:.3f}: first find the threshold with the validation arrays alone, then use it once on the test arrays.",
        )


def check_06_micro(ruined: np.ndarray | None, truth: np.ndarray, outputs: np.ndarray) -> None:
    """Check outputs that keep both macro scores and lose micro ROC-AUC."""
    if is_open(ruined):
        return
    from dl4mir_utils.metrics import tag_scores

    tags = [str(number) for number in range(truth.shape[1])]
    ruined = np.asarray(ruined, float)
    if ruined.shape != outputs.shape:
        print(f"Not yet. The array has the shape {ruined.shape}; it must be like test_outputs, {outputs.shape}.")
        return
    if not np.isfinite(ruined).all():
        print("Not yet. The array holds nan or infinity, which cannot be ordered.")
        return
    before, after = tag_scores(truth, outputs, tags), tag_scores(truth, ruined, tags)
    kept = max(abs(before.roc_auc - after.roc_auc), abs(before.pr_auc - after.pr_auc)) < 1e-6
    fall = before.roc_auc_micro - after.roc_auc_micro
    if not kept:
        print(
            f"Not yet. Macro ROC-AUC went from {before.roc_auc:.3f} to {after.roc_auc:.3f}, PR-AUC from "
            f"{before.pr_auc:.3f} to {after.pr_auc:.3f}: the order within each tag must stay, ties included."
        )
    else:
        say(
            fall >= 0.02,
            f"Micro ROC-AUC {before.roc_auc_micro:.3f} became {after.roc_auc_micro:.3f}, and no macro score noticed: "
            "they never compare two tags. A user who wants the three best words for a clip would notice.",
            f"The macro scores are kept, but micro ROC-AUC is {after.roc_auc_micro:.3f} after "
            f"{before.roc_auc_micro:.3f}: make the tags less comparable with each other.",
        )
