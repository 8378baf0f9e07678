"""Small numbers that every notebook needs."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dl4mir_utils.errors import BadArgumentError


def score_range(values: Sequence[float]) -> str:
    """Return scores over seeds or folds as text, e.g. "0.71 (0.58–0.80, n = 5)"; one score alone as "0.71 (n = 1)"."""
    if len(values) == 1:
        return f"{np.mean(values):.2f} (n = 1)"
    return f"{np.mean(values):.2f} ({np.min(values):.2f}–{np.max(values):.2f}, n = {len(values)})"


class FrameScores(NamedTuple):
    """How well frames were found to be sung or not: seven numbers between 0 and 1.

    Attributes
    ----------
    accuracy : float
        Share of the frames that are right.
    precision : float
        Share of the frames found that are sung; nan if none was found.
    recall : float
        Share of the sung frames that were found; nan if none is sung.
    f : float
        Harmonic mean of precision and recall; nan if no frame is sung and none was found.
    false_positive_rate : float
        Share of the frames without singing that were found; nan if all are sung.
    false_negative_rate : float
        Share of the sung frames that were missed: 1 - recall.
    auc : float
        Area under the ROC curve: how likely a sung frame has a higher probability than one that is not.
        No threshold plays a role in it; nan if all frames are sung or none is.
    """

    accuracy: float
    precision: float
    recall: float
    f: float
    false_positive_rate: float
    false_negative_rate: float
    auc: float


def frame_scores(truth: np.ndarray, probability: np.ndarray, threshold: float = 0.5) -> FrameScores:
    """Score a detector frame by frame, as the literature on singing does (Lee, Choi and Nam, ISMIR 2018).

    Parameters
    ----------
    truth : int or bool array (frames,)
        1 where sung, otherwise 0. For several songs at once, concatenate them.
    probability : float array (frames,)
        What the detector says; higher is more likely sung.
    threshold : float
        A frame counts as found from this probability on. Choose it on validation data.

    Returns
    -------
    FrameScores
        Accuracy, precision, recall, f, false positive and false negative rate, AUC. "sing" is the positive class.

    Raises
    ------
    BadArgumentError
        The arrays differ in length, are empty or not one-dimensional, `truth` holds more than 0 and 1,
        or `probability` holds what is no number.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

    truth, probability = checked_frames(truth, probability)
    found = probability >= threshold
    precision, recall, f, _ = precision_recall_fscore_support(truth, found, average="binary", zero_division=np.nan)
    (right_no, wrong_yes), (_, right_yes) = confusion_matrix(truth, found, labels=[0, 1])
    silent = right_no + wrong_yes
    return FrameScores(
        accuracy=float((right_no + right_yes) / len(truth)),
        precision=float(precision),
        recall=float(recall),
        f=float(f),
        false_positive_rate=float(wrong_yes / silent) if silent else math.nan,
        false_negative_rate=float(1 - recall),
        auc=float(roc_auc_score(truth, probability)) if 0 < silent < len(truth) else math.nan,
    )


def checked_frames(truth: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities of frames as int and float arrays (frames,).

    Raises
    ------
    BadArgumentError
        As `frame_scores`.
    """
    truth, probability = np.asarray(truth), np.asarray(probability, np.float64)
    if truth.ndim != 1 or truth.shape != probability.shape or not len(truth):
        raise BadArgumentError(
            f"truth has shape {truth.shape}, probability {probability.shape}; both must be (frames,), equally long and "
            "not empty. Frames at the very end may be cut off, those of a batch put in a row with .ravel()."
        )
    if not np.isin(truth, (0, 1)).all():
        raise BadArgumentError("truth must hold only 0 (not sung) and 1 (sung).")
    if not np.isfinite(probability).all():
        raise BadArgumentError("probability holds nan or infinity; look for the layer or the sound that made it.")
    return truth.astype(int), probability
