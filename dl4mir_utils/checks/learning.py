"""Checks of notebook 00b."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dl4mir_utils.checks.answers import is_open, say


def check_00b_by_ear(order: Sequence[int] | None, brightness_hz: Sequence[float]) -> None:
    """Check clips ordered by ear, from dark to bright.

    Parameters
    ----------
    order : sequence of int, or None
        Numbers of the clips, from 1.
    brightness_hz : sequence of float
        Spectral centroid of clips 1, 2, ...
    """
    if is_open(order):
        return
    count = len(brightness_hz)
    if sorted(np.ravel(order).tolist()) != list(range(1, count + 1)):
        print(f"Not yet. Write each of the numbers 1 to {count} once, in a list.")
        return
    heard = [brightness_hz[number - 1] for number in order]
    swapped = [place for place in range(count - 1) if heard[place] > heard[place + 1]]
    if heard == sorted(heard, reverse=True):
        print("Not yet. You have them from bright to dark: turn the list round.")
    elif not swapped:
        print(f"Right. From {heard[0]:.0f} to {heard[-1]:.0f} Hz: your ear and the spectral centroid agree.")
    else:
        place = swapped[0]
        print(
            f"Not yet. Listen again to clips {order[place]} and {order[place + 1]}, one right after the other: does "
            "one have more hiss, shimmer or bow noise on top? Ignore which notes are played."
        )


def check_00b_three_weights(
    weights: np.ndarray | None, bias: float | None, features: np.ndarray, right_answers: np.ndarray
) -> None:
    """Check weights and bias that were found by gradient descent.

    Parameters
    ----------
    weights : float array (features,), or None
    bias : float, or None
    features : float array (clips, features)
        Standardised. The last one is what the exercise adds.
    right_answers : float array (clips,)
        1 or 0.
    """
    if is_open(weights, bias):
        return
    weights = np.asarray(weights, float)
    wanted = features.shape[1]
    if weights.shape != (wanted,) or np.size(bias) != 1:
        print(
            f"Not yet. There are {wanted} features, so `weights` needs the shape ({wanted},), and there is one bias; "
            f"yours have the shapes {weights.shape} and {np.shape(bias)}."
        )
        return
    bias = float(np.squeeze(bias))
    if not np.isfinite([*weights, bias]).all():
        print("Not yet. There is a nan or an infinity among your numbers: begin anew from 0, with a smaller rate.")
        return
    loss, gradient = _loss_and_gradient(weights, bias, features, right_answers)
    steepest = np.abs(gradient).max()
    if loss > 0.75:  # at the start, with all weights at 0, it is 0.69
        print(
            f"Not yet. The loss is {loss:.2f}, more than at the start (0.69). Do you *subtract* rate times slope? "
            "If you do, the rate is too large."
        )
    elif steepest > 0.005:
        print(
            f"Not yet. The loss is {loss:.3f}, but the steepest slope is still {steepest:.3f}, and at the bottom it "
            "is 0. Take more steps, or a different rate; and does every feature have a slope of its own?"
        )
    else:
        before = _lowest_loss(features[:, :-1], right_answers)
        if before - loss < 0.02:
            verdict = "so the new weight adds little to what the others say"
        else:
            verdict = "so the new weight tells something that the others do not"
        print(f"Right. The loss is {loss:.3f}. Without the new feature its lowest value is {before:.3f}, {verdict}.")


def check_00b_small_network(
    network: Any, inputs: np.ndarray, labels: np.ndarray, baseline: float, before: float, most: int = 250
) -> None:
    """Check that a small network was built and trained, and generalises better than the large one.

    Parameters
    ----------
    network : keras.Model, or None
        Trained.
    inputs, labels
        Of the validation artists.
    baseline : float
        Accuracy there without learning.
    before : float
        The large network's loss there, at the end of its training.
    most : int
        Parameters that the network may have.
    """
    if is_open(network):
        return
    if not hasattr(network, "predict") or not getattr(network, "built", False):
        print("Not yet. `network` must be a Keras model that begins with `keras.Input((64,))`.")
        return
    classes = int(np.max(labels)) + 1
    if network.input_shape != (None, inputs.shape[1]) or network.output_shape != (None, classes):
        print(
            f"Not yet. It takes {network.input_shape[1:]} and gives {network.output_shape[1:]}; wanted are "
            f"({inputs.shape[1]},) and ({classes},): one probability for each genre."
        )
        return
    if network.count_params() > most:
        print(f"Not yet. It has {network.count_params()} parameters; at most {most} are allowed. What costs most?")
        return
    p = network.predict(inputs, verbose=0)
    if p.min() < 0 or np.abs(p.sum(axis=1) - 1).max() > 1e-3:
        print("Not yet. The outputs do not add up to 1: which activation turns votes into probabilities?")
        return
    accuracy = float(np.mean(p.argmax(axis=1) == labels))
    loss = float(-np.log(np.maximum(p[np.arange(len(labels)), labels], 1e-7)).mean())
    result = f"{network.count_params()} parameters, accuracy {accuracy:.2f}, loss {loss:.2f} on the validation artists"
    if accuracy < baseline + 0.1 or loss > np.log(classes):
        print(
            f"Not yet. {result}: no better than guessing ({baseline:.2f} and {np.log(classes):.2f}). Did the cell "
            "that trains it run after you built it?"
        )
        return
    say(
        loss < before,
        f"{result}; the large network ended at a loss of {before:.2f}.",
        f"{result}, but the large network ended at {before:.2f}. Make yours smaller or simpler.",
    )


def check_00b_weight_decay(
    without: Sequence[float] | None, with_decay: Sequence[float] | None, verdict: str | None
) -> None:
    """Check validation losses over seeds, with and without weight decay, and what was concluded from them.

    Parameters
    ----------
    without, with_decay : sequence of float, or None
        The last validation loss of one training for each seed.
    verdict : {"lower", "higher", "cannot tell"}, or None
        What weight decay does to the loss.
    """
    if is_open(without, with_decay, verdict):
        return
    without, with_decay = np.ravel(without).astype(float), np.ravel(with_decay).astype(float)
    if len(without) < 3 or len(with_decay) < 3:
        print(f"Not yet. Three seeds each, please: there are {len(without)} values without and {len(with_decay)} with.")
        return
    if not np.isfinite([*without, *with_decay]).all():
        print("Not yet. A loss is nan or infinite: the decay, or the learning rate, is too large.")
        return
    if len(np.unique(without)) < 3 or len(np.unique(with_decay)) < 3:
        print(
            "Not yet. Some values are exactly equal, as if the seed were the same: call "
            "`keras.utils.set_random_seed(seed)` before you build each network."
        )
        return
    if verdict not in ("lower", "higher", "cannot tell"):
        print('Not yet. Write "lower", "higher" or "cannot tell" as the verdict.')
        return
    figures = (
        f"Without decay {without.min():.2f} to {without.max():.2f}, with decay "
        f"{with_decay.min():.2f} to {with_decay.max():.2f}."
    )
    if np.median(without) < 0.9:
        print(
            f"Not yet. {figures} Without decay the large network should overfit: 40 epochs, rate 0.02, momentum 0.9, "
            "the *last* value of `val_loss`?"
        )
        return
    if with_decay.max() < without.min():
        fits, reason = "lower", "all values with decay lie below all without"
    elif with_decay.min() > without.max():
        fits, reason = "higher", "all values with decay lie above all without"
    else:
        fits, reason = "cannot tell", "the two ranges overlap, so the seed matters as much as the decay"
    say(
        verdict == fits,
        f"{figures} Here {reason}. Another question is other artists: these are three groups only.",
        f"{figures} Compare the two ranges once more: is their distance larger than what the seed does?",
    )


def _loss_and_gradient(
    weights: np.ndarray, bias: float, features: np.ndarray, right_answers: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the mean cross-entropy of logistic regression and its slopes, that of the bias last."""
    votes = features @ weights + bias
    error = 1 / (1 + np.exp(-np.clip(votes, -500, 500))) - right_answers
    # log(1 + exp(-vote)) for right answer 1, log(1 + exp(vote)) for 0
    loss = np.logaddexp(0, np.where(right_answers == 1, -votes, votes)).mean()
    return float(loss), np.append(features.T @ error, error.sum()) / len(features)


def _lowest_loss(features: np.ndarray, right_answers: np.ndarray, steps: int = 1000) -> float:
    """Return the loss of logistic regression after many steps of gradient descent."""
    weights, bias = np.zeros(features.shape[1]), 0.0
    for _ in range(steps):
        gradient = _loss_and_gradient(weights, bias, features, right_answers)[1]
        weights, bias = weights - gradient[:-1], bias - gradient[-1]
    return _loss_and_gradient(weights, bias, features, right_answers)[0]
