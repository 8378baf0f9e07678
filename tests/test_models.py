"""The singing detector hears what it should."""

import keras
import numpy as np
import pytest

from dl4mir_utils.data import load
from dl4mir_utils.metrics import frame_scores
from dl4mir_utils.models import singing_detector
from dl4mir_utils.models.singing import build_member
from dl4mir_utils.models.weights import load_weights, save_weights
from dl4mir_utils.segments import frame_labels
from dl4mir_utils.singing import sung_probability


def test_weights_survive_as_half_precision(tmp_path):
    model, other = build_member(), build_member()
    save_weights(model, tmp_path / "weights.npz", threshold=np.array(0.4))
    load_weights(other, tmp_path / "weights.npz")
    for here, there in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(here, there, atol=1e-3)
    with np.load(tmp_path / "weights.npz") as arrays:
        assert float(arrays["threshold"]) == 0.4
    with pytest.raises(KeyError):
        load_weights(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="new")]), tmp_path / "weights.npz")


def test_the_detector_finds_singing_in_the_test_mixes():
    mixes, detector = load("mini/singing"), singing_detector()
    probability, truth = [], []
    for index in range(40):
        audio, segments = mixes.mix("test", index)
        probability.append(sung_probability(audio, detector.model, detector.hop_s))
        truth.append(frame_labels(segments, detector.hop_s, len(probability[-1])))
    scores = frame_scores(np.concatenate(truth), np.concatenate(probability), detector.threshold)
    assert scores.auc > 0.9 and scores.accuracy > 0.8


def test_the_detector_is_deaf_to_silence_and_takes_any_length():
    detector = singing_detector()
    for samples in (2048, 30000, 33000):
        probability = detector.model(np.zeros((2, samples, 1), np.float32), training=False).numpy()
        assert probability.shape == (2, samples // 2048)
        assert probability.max() < detector.threshold
