"""Scores of detectors and taggers, and how to write them."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dl4mir_utils.errors import BadArgumentError

if TYPE_CHECKING:
    import pandas as pd


def score_range(values: Sequence[float]) -> str:
    """Return scores over seeds or folds as text, e.g. "0.71 (0.58–0.80, n = 5)"; one score alone as "0.71 (n = 1)"."""
    if len(values) == 1:
        return f"{np.mean(values):.2f} (n = 1)"
    return f"{np.mean(values):.2f} ({np.min(values):.2f}–{np.max(values):.2f}, n = {len(values)})"


def group_interval(
    values: Sequence[float], groups: Sequence[str], confidence: float = 0.95, rounds: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the range in which a mean would lie with other groups of the kind, by a bootstrap over groups.

    Clips of one artist are right or wrong together, so that many clips of few artists say less than they seem to.
    Whole groups are drawn with replacement, as many as there are, again and again (Efron and Tibshirani, *An
    Introduction to the Bootstrap*, 1993, chapter 8: what is drawn must be independent).

    Parameters
    ----------
    values : sequence of float (clips,)
        What each clip scored.
    groups : sequence of str (clips,)
        What belongs together, such as the artist.
    confidence : float
        Share of the draws that lie in the range.
    rounds, seed : int
        How often to draw, and the seed of the draws.

    Raises
    ------
    BadArgumentError
        There are fewer than two groups, or not one group for each value.
    """
    values, groups = np.asarray(values, float), np.asarray(groups)
    names, places = np.unique(groups, return_inverse=True)
    if values.shape != groups.shape or len(names) < 2:
        raise BadArgumentError(
            f"{len(names)} groups for values {values.shape}: give each value its group, two at least."
        )
    sums, counts = np.bincount(places, values), np.bincount(places)
    drawn = np.random.default_rng(seed).integers(len(names), size=(rounds, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


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


class TagScores(NamedTuple):
    """How well tags were ranked: areas under two curves, between 0 and 1.

    Of a tag, ROC-AUC is how likely a clip that has it scores higher than one that has not: guessing gives 0.5,
    however rare the tag. PR-AUC is the precision met on the way down the ranking: guessing gives the share of
    clips that have the tag, so it is lower for rare tags, and tells of the mistakes that a listener meets.

    Attributes
    ----------
    roc_auc, pr_auc : float
        Macro: the mean over the tags that can be scored, each counting the same. Papers report these.
    roc_auc_micro, pr_auc_micro : float
        Micro: all clips times all tags as one ranking, left-out tags included. Frequent tags count more, and a model
        that only knows which tags are frequent does well.
    per_tag : pandas.DataFrame
        One row per tag, in order: roc_auc, pr_auc (nan where the tag cannot be scored), positives (clips that
        have it).
    left_out : tuple of str
        The tags that no clip has, or every clip: they have no curves and are not in the macro means.
    """

    roc_auc: float
    pr_auc: float
    roc_auc_micro: float
    pr_auc_micro: float
    per_tag: "pd.DataFrame"
    left_out: tuple[str, ...]


def tag_scores(truth: np.ndarray, score: np.ndarray, tags: Sequence[str]) -> TagScores:
    """Score a tagger by ROC-AUC and PR-AUC, macro, micro and per tag; no threshold plays a role.

    PR-AUC is average precision, the sum of the precision at each clip that has the tag times the step in
    recall, without interpolation, as in the literature on tagging (Choi 2016; Pons and Serra 2019; Won et al. 2020).
    Anybody can check that with the baseline of MediaEval 2019, Emotion and Theme Recognition in Music: the files
    `groundtruth.npy` and `baseline_vggish_predictions.npy` of github.com/MTG/mtg-jamendo-dataset (tracks x 56 tags)
    must give what is published there, macro ROC-AUC 0.725821 and PR-AUC 0.107734, micro 0.775029 and 0.140913:
    `tag_scores(np.load("groundtruth.npy"), np.load("baseline_vggish_predictions.npy"), [str(n) for n in range(56)])`.

    Parameters
    ----------
    truth : int, bool or float array (clips, tags)
        1 where the clip has the tag, otherwise 0.
    score : float array (clips, tags)
        What the tagger says; higher is more likely. Probabilities or logits: only the order counts.
    tags : sequence of str
        Names of the columns.

    Returns
    -------
    TagScores
        Macro and micro means, a table per tag, and the tags that could not be scored. Where nothing can be
        scored, nan.

    Raises
    ------
    BadArgumentError
        The arrays differ in shape, are empty or not two-dimensional, `tags` does not name each column once,
        `truth` holds more than 0 and 1, or `score` holds what is no number.
    """
    import pandas as pd
    from sklearn.metrics import average_precision_score, roc_auc_score

    truth, score = np.asarray(truth), np.asarray(score, np.float64)
    if truth.ndim != 2 or truth.shape != score.shape or not truth.size:
        raise BadArgumentError(
            f"truth has shape {truth.shape}, score {score.shape}; both must be (clips, tags) and not empty."
        )
    if len(set(tags)) != len(tags) or len(tags) != truth.shape[1]:
        raise BadArgumentError(
            f"tags holds {len(tags)} names, {len(set(tags))} of them different, for {truth.shape[1]} columns."
        )
    if not np.isin(truth, (0, 1)).all():
        raise BadArgumentError(
            "truth must hold only 0 (the clip does not have the tag) and 1 (it has). Make soft tags hard, for "
            "example with truth >= 0.5; the scores are then about that limit."
        )
    if not np.isfinite(score).all():
        wrong = ", ".join(np.asarray(tags)[~np.isfinite(score).all(axis=0)][:5])
        raise BadArgumentError(f"score holds nan or infinity, among others for: {wrong}.")
    truth = truth.astype(int)
    positives = truth.sum(axis=0)
    scored = (positives > 0) & (positives < len(truth))
    per_tag = pd.DataFrame({"roc_auc": np.nan, "pr_auc": np.nan, "positives": positives}, pd.Index(tags, name="tag"))
    for column in np.flatnonzero(scored):
        per_tag.iloc[column, 0] = roc_auc_score(truth[:, column], score[:, column])
        per_tag.iloc[column, 1] = average_precision_score(truth[:, column], score[:, column])
    everything = truth.ravel(), score.ravel()
    mixed = 0 < truth.sum() < truth.size
    return TagScores(
        roc_auc=float(per_tag["roc_auc"].mean()),
        pr_auc=float(per_tag["pr_auc"].mean()),
        roc_auc_micro=float(roc_auc_score(*everything)) if mixed else math.nan,
        pr_auc_micro=float(average_precision_score(*everything)) if mixed else math.nan,
        per_tag=per_tag,
        left_out=tuple(per_tag.index[~scored]),
    )


class RankingScores(NamedTuple):
    """How good lists of recommendations are: three numbers between 0 and 1, means over the listeners.

    Attributes
    ----------
    precision : float
        Share of the first k items that the listener did play. With fewer than k played items it cannot reach 1.
    recall : float
        Share of the played items that are among the first k. With more than k played items it cannot reach 1.
    ndcg : float
        Normalised discounted cumulative gain: a played item at place n counts 1 / log2(n + 1), and the sum is divided
        by that of the best list there could be. It rewards what is on top, and can always reach 1.
    listeners : int
        Over how many the means are: those who played anything.
    """

    precision: float
    recall: float
    ndcg: float
    listeners: int


def ranking_scores(truth: np.ndarray, score: np.ndarray, k: int = 10) -> RankingScores:
    """Score recommendations: for each listener the k items with the highest scores, against what was played.

    nDCG is that of Järvelin and Kekäläinen (ACM TOIS 20, 2002) for played (1) and not played (0).

    Parameters
    ----------
    truth : int or bool array (listeners, items)
        1 where the listener played the item, otherwise 0.
    score : float array (listeners, items)
        Higher is recommended earlier; equal ones in the order of the columns. -inf: never recommend that.
    k : int
        Length of the list.

    Returns
    -------
    RankingScores
        Precision, recall and nDCG; nan if nobody played anything.

    Raises
    ------
    BadArgumentError
        The arrays differ in shape, are empty or not two-dimensional, `truth` holds more than 0 and 1, `score` holds
        nan, or `k` is not between 1 and the number of items.
    """
    truth, score = np.asarray(truth), np.asarray(score)
    if truth.ndim != 2 or truth.shape != score.shape or not truth.size:
        raise BadArgumentError(
            f"truth has shape {truth.shape}, score {score.shape}; both must be (listeners, items) and not empty."
        )
    if not np.isin(truth, (0, 1)).all():
        raise BadArgumentError("truth must hold only 0 and 1. Counts of plays: give `plays > 0`.")
    if np.isnan(score).any():
        raise BadArgumentError("score holds nan; look for a listener or an item without factors.")
    if not 1 <= k <= truth.shape[1]:
        raise BadArgumentError(f"k is {k}; it must be between 1 and the number of items, {truth.shape[1]}.")
    active = truth.any(axis=1)
    if not active.any():
        return RankingScores(math.nan, math.nan, math.nan, 0)
    truth, score = truth[active].astype(bool), score[active]
    first = np.argsort(-score, axis=1, kind="stable")[:, :k]
    hits = np.take_along_axis(truth, first, axis=1) & (np.take_along_axis(score, first, axis=1) > -np.inf)
    played = truth.sum(axis=1)
    discount = 1 / np.log2(np.arange(k) + 2)
    best = np.cumsum(discount)[np.minimum(played, k) - 1]
    return RankingScores(
        precision=float(hits.mean()),
        recall=float(np.mean(hits.sum(axis=1) / played)),
        ndcg=float(np.mean(hits @ discount / best)),
        listeners=int(active.sum()),
    )
