"""Checks of notebook 10."""

import numpy as np

from dl4mir_utils.checks.answers import is_open, say

SONG_STEPS = 15000  # four minutes in steps of 16 ms
BUDGET_MB = 64


def softmax(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the softmax of float scores along an axis."""
    weights = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return weights / weights.sum(axis=axis, keepdims=True)


def check_10_by_hand(y: np.ndarray | None, queries: np.ndarray, keys: np.ndarray, values: np.ndarray) -> None:
    """Check softmax attention that was computed without Keras."""
    if is_open(y):
        return
    scores = queries @ keys.T
    expected, y = softmax(scores) @ values, np.asarray(y, float)
    if y.shape != expected.shape:
        print(f"Not yet. The shape is {y.shape}; each of the queries takes over one row of values: {expected.shape}.")
    elif np.allclose(y, softmax(scores, axis=0) @ values, atol=1e-6) and not np.allclose(y, expected, atol=1e-6):
        print("Not yet. The weights of each *key* sum to one; those of each query should: divide along the other axis.")
    elif np.allclose(y, softmax(scores / np.sqrt(keys.shape[1])) @ values, atol=1e-6):
        print("Not yet. That is the transformer's scaled form; the embedded Gaussian does not divide by the root.")
    else:
        say(
            np.allclose(y, expected, atol=1e-6),
            f"Each of the {len(y)} rows is a mean of the rows of values, weighted by how well query and key agree.",
            "Exponentiate all products of a query and a key, divide by their sum for each query, weight the values.",
        )


def check_10_memory(megabytes: float | None, pool: int | None) -> None:
    """Check the size of the attention weights of a song, and the pooling that makes it fit."""
    if is_open(megabytes, pool):
        return
    expected = SONG_STEPS**2 * 4 / 1e6
    fits = int(np.ceil(expected / BUDGET_MB))
    if abs(megabytes - expected) > 0.05 * expected:
        hint = "four bytes each" if abs(megabytes - expected / 4) < 0.05 * expected / 4 else "steps times steps"
        print(f"Not yet. {megabytes:g} MB is not the size of all weights: {hint}.")
    else:
        say(
            pool == fits,
            f"{expected:.0f} MB for one song and one head, before a single gradient; with keys pooled by {fits} they "
            f"are {expected / fits:.0f} MB.",
            f"With keys pooled by {pool} the weights take {expected / max(pool, 1):.0f} MB; find the smallest pool "
            f"that keeps to {BUDGET_MB} MB.",
        )


def check_10_causal(weights: np.ndarray | None, scores: np.ndarray) -> None:
    """Check attention weights that do not look ahead."""
    if is_open(weights):
        return
    weights, steps = np.asarray(weights, float), len(scores)
    past = np.tri(steps, dtype=bool)
    if weights.shape != scores.shape:
        print(f"Not yet. The shape is {weights.shape}; every step may look at every step: {scores.shape}.")
    elif np.abs(weights[~past]).max() > 1e-6:
        print("Not yet. Some step still looks ahead: weights[i, j] must be zero wherever j is greater than i.")
    elif np.abs(weights.sum(axis=1) - 1).max() > 1e-6:
        print("Not yet. Nobody looks ahead, but the rows no longer sum to one: hide the scores *before* the softmax.")
    else:
        expected = softmax(np.where(past, scores, -np.inf))
        say(
            np.allclose(weights, expected, atol=1e-6),
            "Step 0 can only look at itself, the last one at all. So listen live systems, so learn language models.",
            "Zeros and sums are right, the weights are not: take the softmax of the given scores.",
        )
