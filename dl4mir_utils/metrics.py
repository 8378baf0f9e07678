"""Small numbers that every notebook needs."""

from collections.abc import Sequence

import numpy as np


def majority_accuracy(train_labels: np.ndarray, test_labels: np.ndarray) -> float:
    """Return the test accuracy of always answering the most frequent class of the training set.

    Parameters
    ----------
    train_labels, test_labels : int arrays (clips,)
    """
    return float(np.mean(np.asarray(test_labels) == np.bincount(train_labels).argmax()))


def score_range(values: Sequence[float]) -> str:
    """Return scores over seeds or folds as text, e.g. "0.71 (0.58–0.80, n = 5)"."""
    return f"{np.mean(values):.2f} ({np.min(values):.2f}–{np.max(values):.2f}, n = {len(values)})"
