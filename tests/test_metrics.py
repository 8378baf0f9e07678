import math

import numpy as np
import pytest

from dl4mir_utils import BadArgumentError
from dl4mir_utils.metrics import frame_scores, group_interval, ranking_scores, score_range, tag_scores


def test_score_range():
    assert score_range([0.5, 0.7]) == "0.60 (0.50–0.70, n = 2)"
    assert score_range([0.5]) == "0.50 (n = 1)"


def test_frame_scores_counted_by_hand():
    scores = frame_scores([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], [0.9, 0.8, 0.6, 0.1, 0.7, 0.4, 0.3, 0.2, 0.2, 0.0], 0.6)
    assert scores == pytest.approx((0.8, 3 / 4, 3 / 4, 3 / 4, 1 / 6, 1 / 4, 18 / 24))
    assert all(type(score) is float for score in scores)


def test_frame_scores_take_floats_and_booleans():
    truth = np.array([True, False, True])
    assert frame_scores(truth, np.float32([0.9, 0.1, 0.6])) == (1, 1, 1, 1, 0, 0, 1)
    assert frame_scores(truth.astype(np.float32), np.float32([0.1, 0.9, 0.4])) == (0, 0, 0, 0, 1, 1, 0)


def test_what_has_no_denominator_is_nan():
    nothing_found = frame_scores([1, 0], [0.1, 0.2])
    assert math.isnan(nothing_found.precision) and nothing_found.recall == nothing_found.f == 0
    instrumental = frame_scores([0, 0], [0.1, 0.7])
    assert (instrumental.accuracy, instrumental.precision, instrumental.false_positive_rate) == (0.5, 0, 0.5)
    assert math.isnan(instrumental.recall) and math.isnan(instrumental.false_negative_rate)
    assert math.isnan(instrumental.auc)
    all_sung = frame_scores([1, 1], [0.1, 0.7])
    assert all_sung.recall == 0.5 and math.isnan(all_sung.false_positive_rate) and math.isnan(all_sung.auc)
    assert math.isnan(frame_scores([0, 0], [0, 0]).f)


@pytest.mark.parametrize(
    ("truth", "probability", "said"),
    [
        ([0, 1], [0.5], "equally long"),
        ([], [], "not empty"),
        ([[0, 1]], [[0.5, 0.5]], "(1, 2)"),
        ([0, 2], [0.5, 0.5], "only 0"),
        ([0, 0.5], [0.5, 0.5], "only 0"),
        ([0, 1], [0.5, math.nan], "nan"),
    ],
)
def test_bad_frames_are_refused(truth, probability, said):
    with pytest.raises(BadArgumentError) as error:
        frame_scores(truth, probability)
    assert said in str(error.value)


# Four clips, three tags. "rock": the clips that have it are 1st and 3rd of the ranking. "solo": best is last.
TAG_TRUTH = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 0, 0]])
TAG_SCORE = np.array([[0.9, 0.8, 0.9], [0.8, 0.7, 0.8], [0.7, 0.1, 0.4], [0.1, 0.2, 0.3]])
TAGS = ["rock", "solo", "pop"]


def test_tag_scores_counted_by_hand():
    scores = tag_scores(TAG_TRUTH, TAG_SCORE, TAGS)
    assert list(scores.per_tag.index) == TAGS and list(scores.per_tag["positives"]) == [2, 1, 2]
    # Pairs in the right order: 3 of 4, 0 of 3, 4 of 4.
    assert list(scores.per_tag["roc_auc"]) == pytest.approx([3 / 4, 0, 1])
    # Precision at each clip that has the tag: 1/1 and 2/3, 1/4, 1/1 and 2/2. With straight lines between the points
    # of the curve (trapezoids) "rock" would have 0.79 instead of 0.83.
    assert list(scores.per_tag["pr_auc"]) == pytest.approx([(1 + 2 / 3) / 2, 1 / 4, 1])
    assert scores.roc_auc == pytest.approx((3 / 4 + 0 + 1) / 3)
    assert scores.pr_auc == pytest.approx((5 / 6 + 1 / 4 + 1) / 3)
    assert scores.left_out == ()


def test_tag_scores_micro_is_one_ranking_of_everything():
    # By hand, best first: .9 yes yes | .8 yes no no | .7 yes no | .4 no | .3 no | .2 no | .1 yes no
    scores = tag_scores(TAG_TRUTH, TAG_SCORE, TAGS)
    assert scores.roc_auc_micro == pytest.approx((7 + 7 + (5 + 2 / 2) + (4 + 1 / 2) + 1 / 2) / (5 * 7))
    assert scores.pr_auc_micro == pytest.approx((2 / 2 + 2 / 2 + 3 / 5 + 4 / 7 + 5 / 12) / 5)


def test_tags_that_cannot_be_scored_are_named_and_left_out():
    truth = np.column_stack([TAG_TRUTH, np.zeros(4), np.ones(4)])
    score = np.column_stack([TAG_SCORE, TAG_SCORE[:, 0], TAG_SCORE[:, 0]])
    scores, without = tag_scores(truth, score, [*TAGS, "never", "always"]), tag_scores(TAG_TRUTH, TAG_SCORE, TAGS)
    assert scores.left_out == ("never", "always")
    assert (scores.roc_auc, scores.pr_auc) == (without.roc_auc, without.pr_auc)
    assert scores.per_tag.loc[["never", "always"], ["roc_auc", "pr_auc"]].isna().all(axis=None)
    assert list(scores.per_tag["positives"]) == [2, 1, 2, 0, 4]
    assert scores.roc_auc_micro != without.roc_auc_micro  # micro needs no tag to have curves of its own
    nothing = tag_scores(np.zeros((2, 1)), np.zeros((2, 1)), ["never"])
    assert all(math.isnan(value) for value in nothing[:4]) and nothing.left_out == ("never",)


def test_tag_scores_only_look_at_the_order():
    scores = tag_scores(TAG_TRUTH.astype(bool), TAG_SCORE, TAGS)
    logits = tag_scores(TAG_TRUTH.astype(np.float32), np.log(TAG_SCORE / (1 - TAG_SCORE)), TAGS)
    assert logits[:4] == pytest.approx(scores[:4])
    assert all(type(score) is float for score in scores[:4])


def test_guessing_gets_half_the_roc_and_the_share_of_positives():
    rng = np.random.default_rng(0)
    truth = rng.random((20000, 2)) < [0.02, 0.3]
    per_tag = tag_scores(truth, rng.random((20000, 2)), ["rare", "frequent"]).per_tag
    np.testing.assert_allclose(per_tag["roc_auc"], 0.5, atol=0.03)
    np.testing.assert_allclose(per_tag["pr_auc"], [0.02, 0.3], atol=0.01)


@pytest.mark.parametrize(
    ("truth", "score", "tags", "said"),
    [
        ([[0, 1]], [[0.5, 0.5], [0.1, 0.2]], ["a", "b"], "truth has shape (1, 2), score (2, 2)"),
        ([0, 1], [0.5, 0.5], ["a", "b"], "must be (clips, tags)"),
        (np.zeros((0, 2)), np.zeros((0, 2)), ["a", "b"], "not empty"),
        ([[0, 1]], [[0.5, 0.5]], ["a"], "1 names"),
        ([[0, 1]], [[0.5, 0.5]], ["a", "a"], "1 of them different"),
        ([[0.3, 1]], [[0.5, 0.5]], ["a", "b"], "truth >= 0.5"),
        ([[math.nan, 1]], [[0.5, 0.5]], ["a", "b"], "only 0"),
        ([[0, 1], [1, 0]], [[0.5, 0.5], [0.5, math.inf]], ["a", "b"], "among others for: b."),
    ],
)
def test_bad_tags_are_refused(truth, score, tags, said):
    with pytest.raises(BadArgumentError) as error:
        tag_scores(truth, score, tags)
    assert said in str(error.value)


# Two listeners, five items, counted by hand.
PLAYED = np.array([[1, 0, 1, 0, 0], [0, 0, 0, 0, 1]])
LIKED = np.array([[0.9, 0.8, 0.7, 0.1, 0.2], [0.5, 0.4, 0.3, 0.2, 0.1]])


def test_ranking_scores_counted_by_hand():
    # The first has items 0 and 2 at places 1 and 3, the second has item 4 at place 5.
    scores = ranking_scores(PLAYED, LIKED, k=3)
    assert scores.precision == pytest.approx((2 / 3 + 0) / 2)
    assert scores.recall == pytest.approx((1 + 0) / 2)
    assert scores.ndcg == pytest.approx((1 + 1 / 2) / (1 + 1 / np.log2(3)) / 2)
    assert scores.listeners == 2
    scores = ranking_scores(PLAYED, LIKED, k=5)
    assert (scores.precision, scores.recall) == (pytest.approx(0.3), 1)
    assert scores.ndcg == pytest.approx((1.5 / (1 + 1 / np.log2(3)) + 1 / np.log2(6)) / 2)
    scores = ranking_scores(PLAYED, LIKED, k=1)
    assert scores[:3] == (0.5, 0.25, 0.5)


def test_ranking_scores_agree_with_scikit_learn():
    from sklearn.metrics import ndcg_score, top_k_accuracy_score

    rng = np.random.default_rng(0)
    truth, score = rng.random((40, 30)) < 0.2, rng.random((40, 30))
    truth[:, 0] |= ~truth.any(axis=1)
    assert ranking_scores(truth, score, 7).ndcg == pytest.approx(ndcg_score(truth, score, k=7))
    one = rng.integers(30, size=40)  # with one played item, recall at k is the accuracy of k guesses
    expected = top_k_accuracy_score(one, score, k=7, labels=np.arange(30))
    assert ranking_scores(np.eye(30)[one], score, 7).recall == pytest.approx(expected)


def test_ranking_scores_at_the_edges():
    silent = np.vstack([PLAYED, np.zeros((1, 5), int)])
    assert ranking_scores(silent, np.vstack([LIKED, LIKED[:1]]), 3) == ranking_scores(PLAYED, LIKED, 3)
    nobody = ranking_scores(np.zeros((2, 3)), np.zeros((2, 3)), 2)
    assert np.isnan(nobody[:3]).all() and nobody.listeners == 0
    # What must not be recommended does not count, even where the list is not full without it.
    barred = np.where(PLAYED == 1, -np.inf, LIKED)
    assert ranking_scores(PLAYED, barred, 5)[:3] == (0, 0, 0)
    assert ranking_scores(PLAYED, np.zeros((2, 5)), 1)[:3] == (0.5, 0.25, 0.5), "ties go in the order of the columns"


@pytest.mark.parametrize(
    ("truth", "score", "k", "message"),
    [
        (PLAYED, LIKED[:1], 3, r"\(2, 5\), score \(1, 5\)"),
        (PLAYED[0], LIKED[0], 3, "both must be"),
        (np.zeros((0, 5)), np.zeros((0, 5)), 3, "not empty"),
        (2 * PLAYED, LIKED, 3, "plays > 0"),
        (PLAYED, LIKED * np.nan, 3, "holds nan"),
        (PLAYED, LIKED, 0, "k is 0"),
        (PLAYED, LIKED, 6, "number of items, 5"),
    ],
)
def test_ranking_scores_refuse(truth, score, k, message):
    with pytest.raises(BadArgumentError, match=message):
        ranking_scores(truth, score, k)


def test_interval_over_groups_is_wider_than_over_clips():
    """Ten groups that are right or wrong as a whole: as wide as ten coin tosses, not as two hundred."""
    groups = np.repeat(np.arange(10), 20)
    right = np.repeat([1, 1, 1, 1, 1, 1, 0, 0, 0, 0], 20)
    low, high = group_interval(right, groups)
    assert 0.25 <= low <= 0.35 and 0.85 <= high <= 0.95, "0.6 ± 2 x 0.155"
    alone = group_interval(right, np.arange(200))
    assert alone[1] - alone[0] < 0.15
    assert group_interval(right, groups, seed=1) == pytest.approx((low, high), abs=0.1)
    large = group_interval(np.r_[np.ones(90), np.zeros(10)], ["a"] * 90 + ["b"] * 10)
    assert large == (0.0, 1.0), "two groups say next to nothing"
    with pytest.raises(BadArgumentError, match="1 groups for values"):
        group_interval([1, 0], ["a", "a"])
