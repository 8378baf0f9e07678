"""Checks of notebook 05a."""

from collections.abc import Sequence

import numpy as np

from dl4mir_utils.checks.answers import is_open, say

NEAR = 15  # frames of 16 ms: a quarter of a second


def check_05a_always(precision: float | None, recall: float | None, f: float | None, truth: np.ndarray) -> None:
    """Check precision, recall and F of the detector that always says "sing"."""
    if is_open(precision, recall, f):
        return
    sung = float(np.mean(truth))
    best = 2 * sung / (1 + sung)
    if abs(recall - 1) > 1e-6:
        print(f"Not yet. A recall of {recall:.3f}: which sung frame could it miss?")
    elif abs(precision - sung) > 5e-3:
        print(f"Not yet. A precision of {precision:.3f}: it finds every frame, and of those how many are sung?")
    else:
        say(
            abs(f - best) < 5e-3,
            f"F is {best:.2f}, though it cannot tell a voice from silence. Where more is sung, F is higher: it says as "
            "much about the songs as about the detector.",
            f"An F of {f:.3f}: put precision and recall into 2PR / (P + R).",
        )


def check_05a_false_alarms(
    rate: float | None, truths: Sequence[np.ndarray], answers: Sequence[np.ndarray], threshold: float
) -> None:
    """Check the share of frames found in the mixes in which nobody sings."""
    if is_open(rate):
        return
    silent = [answer for truth, answer in zip(truths, answers, strict=True) if not np.any(truth)]
    expected = float(np.mean(np.concatenate(silent) >= threshold))
    truth, answer = np.concatenate(truths), np.concatenate(answers)
    everywhere = float(np.mean(answer[truth == 0] >= threshold))
    if abs(rate - everywhere) < 5e-4 < abs(rate - expected):
        print(f"Not yet. {rate:.3f} is the false positive rate of all mixes: take only those without any voice.")
    else:
        say(
            abs(rate - expected) < 5e-3,
            f"{expected:.0%} in {len(silent)} instrumentals; {everywhere:.0%} where nobody sings in any mix. "
            "A test set without instrumentals cannot tell you the first.",
            f"{rate:.3f}: the share of frames at or above {threshold:.2f}, in mixes whose truth is 0 everywhere.",
        )


def near_a_change(truth: np.ndarray) -> np.ndarray:
    """Return which frames are among the 15 before or the 15 after a change of the label: bool (frames,)."""
    near = np.zeros(len(truth), bool)
    for change in np.flatnonzero(np.diff(truth)) + 1:
        near[max(0, change - NEAR) : change + NEAR] = True
    return near


def check_05a_edges(
    share: float | None, truths: Sequence[np.ndarray], answers: Sequence[np.ndarray], threshold: float
) -> None:
    """Check which share of the wrong frames lies within a quarter of a second of a change of the label."""
    if is_open(share):
        return
    near = np.concatenate([near_a_change(truth) for truth in truths])
    wrong = (np.concatenate(answers) >= threshold) != np.concatenate(truths)
    expected = float(near[wrong].mean())
    if abs(share - wrong[near].mean()) < 5e-3 < abs(share - expected):
        print(f"Not yet. {share:.3f} of the frames near a change are wrong; of the wrong ones, how many are near one?")
    else:
        say(
            abs(share - expected) < 0.02,
            f"{expected:.0%} of the errors lie in the {near.mean():.0%} of the frames that are near a change. Were the "
            "two equal, edges would be no harder than the rest; on real songs people do not agree on them either.",
            f"{share:.3f}: go through the mixes one by one, or the seams between them count as changes.",
        )
