import math

import numpy as np
import pytest

from dl4mir_utils import BadArgumentError
from dl4mir_utils.metrics import frame_scores, score_range


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
