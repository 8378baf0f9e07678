"""Checks of notebook 00c."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dl4mir_utils.checks.answers import is_open, say

if TYPE_CHECKING:
    import keras

CLASSES = 3
SMALL = 500  # weights that the smallest network may have
VERDICTS = ("better", "worse", "cannot say")

# What `mystery_kernels` plays, in order. A row for each frame, a column for each mel band.
BEGINNINGS = np.array([[-1, -1, -1], [0, 0, 0], [1, 1, 1]])
HELD = np.array([[-1, 2, -1]] * 3)
MYSTERY = {"ends": -BEGINNINGS, "beginnings": BEGINNINGS, "held notes": HELD}


def mystery_kernels(through: Callable[[np.ndarray], np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """Return one sound as three kernels let it through, with numbers for titles, for `play`.

    Parameters
    ----------
    through : callable
        Takes a kernel, int (frames, mel bands), and returns the sound.
    """
    return [(f"sound {number}", through(kernel)) for number, kernel in enumerate(MYSTERY.values(), start=1)]


def check_00c_listen(beginnings: int | None, held_notes: int | None, ends: int | None) -> None:
    """Check which of three sounds came through which kernel."""
    if is_open(beginnings, held_notes, ends):
        return
    said = {"beginnings": beginnings, "held notes": held_notes, "ends": ends}
    names = list(MYSTERY)
    if not all(isinstance(number, (int, np.integer)) for number in said.values()) or sorted(said.values()) != [1, 2, 3]:
        print("Not yet. Give each of the numbers 1, 2 and 3 once.")
    elif names[held_notes - 1] != "held notes":
        print(f"Not yet. First the held notes: in which sound are the pitches clear and steady? Not in {held_notes}.")
    else:
        say(
            names[beginnings - 1] == "beginnings",
            "The pitches are lines in the picture; attacks and ends differ in when they are heard.",
            "The held notes are right. Tap along with the original: whose attacks fall on your taps?",
        )


def accuracy_of(network: Any, pictures: np.ndarray, labels: np.ndarray) -> float | None:
    """Return a network's accuracy; say what is wrong and return None where it has none."""
    import keras

    if not isinstance(network, keras.Model):
        print(f"Not yet. This is a {type(network).__name__}, not a network: give it the model itself.")
        return None
    try:
        answers = np.asarray(network.predict(pictures, verbose=0))
    except Exception as error:  # whatever is wrong with it, a check does not raise
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        print(f"Not yet. It does not take pictures of the shape {pictures.shape[1:]}: {first[:160]}")
        return None
    if answers.shape != (len(pictures), CLASSES):
        print(f"Not yet. Its answer to a piece has the shape {answers.shape[1:]}; we need {CLASSES} probabilities.")
        return None
    if not np.isfinite(answers).all():
        print("Not yet. Its answers are NaN, so its weights are by now: after mending, build it anew and train again.")
        return None
    return float(np.mean(answers.argmax(axis=1) == labels))


def count_layers(network: "keras.Model", *kinds: str) -> int:
    """Return how many layers of these kinds a network has."""
    return sum(type(layer).__name__ in kinds for layer in network._flatten_layers())


def above_chance(accuracy: float, baseline: float, praise: str) -> None:
    """Say whether a mended network has learned something."""
    say(
        accuracy > baseline + 0.05,
        f"{accuracy:.0%} of the validation pieces, where always the same answer gets {baseline:.0%}. {praise}",
        f"It runs, but finds {accuracy:.0%} of the validation pieces, and always the same answer gets {baseline:.0%}. "
        "Has it been trained, for a few epochs, with labels that belong to the pieces?",
    )


def check_00c_shapes(network: "keras.Model | None", pictures: np.ndarray, labels: np.ndarray, baseline: float) -> None:
    """Check a network that was mended so that its shapes fit."""
    if is_open(network):
        return
    accuracy = accuracy_of(network, pictures, labels)
    if accuracy is None:
        return
    convolutions, poolings = count_layers(network, "Conv2D"), count_layers(network, "MaxPooling2D", "AveragePooling2D")
    if convolutions < 4 or poolings < 2:
        print(
            f"Not yet. It runs with {convolutions} convolutions and {poolings} poolings; keep four and two, "
            "and let less be lost at each step."
        )
    else:
        above_chance(accuracy, baseline, "A channel axis, and a picture that does not run out.")


def check_00c_nan(network: "keras.Model | None", powers: np.ndarray, labels: np.ndarray, baseline: float) -> None:
    """Check a network on mel power that must live with silence."""
    if is_open(network):
        return
    accuracy = accuracy_of(network, powers, labels)
    if accuracy is None:
        return
    silence = np.zeros((1, *powers.shape[1:]), np.float32)
    if not np.isfinite(network.predict(silence, verbose=0)).all():
        print("Not yet. Music goes through, but a silent piece still gives NaN. Silence is the logarithm of what?")
    else:
        above_chance(accuracy, baseline, "And silence no longer harms it.")


def check_00c_stuck(network: "keras.Model | None", pictures: np.ndarray, labels: np.ndarray, baseline: float) -> None:
    """Check a network that must get away from chance."""
    if is_open(network):
        return
    accuracy = accuracy_of(network, pictures, labels)
    if accuracy is None:
        return
    answers = np.asarray(network.predict(pictures, verbose=0)).argmax(axis=1)
    if np.bincount(answers).max() > 0.9 * len(answers) and accuracy <= baseline + 0.05:
        print(
            "Not yet. It still gives nearly every piece the same answer. Do not look at the network first: play a few "
            "training examples with the labels that go with them."
        )
    else:
        above_chance(accuracy, baseline, "Each piece has its own label again.")


def check_00c_small(
    build: "Callable[[], keras.Model] | None",
    right: Sequence[float] | None,
    verdict: str | None,
    other_right: np.ndarray,
    groups: np.ndarray,
    baseline: float,
) -> None:
    """Check a small network's size and score, and whether the verdict follows from the interval over artists."""
    if is_open(build, right, verdict):
        return
    import keras

    from dl4mir_utils.metrics import group_interval

    try:
        network = build()
    except Exception as error:  # whatever is wrong with it, a check does not raise
        print(f"Not yet. small_convnet() must be a function that builds a network: {str(error)[:120]}")
        return
    right = np.asarray(right, float)
    if not isinstance(network, keras.Model) or count_layers(network, "Conv2D") < 2:
        print("Not yet. small_convnet() must return a network with at least two convolutions.")
    elif network.count_params() > SMALL:
        print(
            f"Not yet. It has {network.count_params()} weights, and {SMALL} are allowed. Where are they? summary() "
            "shows it: often in the dense layer, because much is left before it."
        )
    elif right.shape != np.shape(other_right):
        print(
            f"Not yet. small_right has the shape {right.shape}; it needs one number for each of the {len(other_right)} "
            "clips: the mean of all_folds(...) over the seeds, axis=0."
        )
    elif verdict not in VERDICTS:
        print(f"Not yet. The verdict is one of: {', '.join(VERDICTS)}.")
    elif right.mean() <= baseline:
        print(
            f"Not yet. It finds {right.mean():.0%} of the clips, the largest class has {baseline:.0%}: it learned "
            "little. Try a larger pooling only after the first convolution, or batch normalisation."
        )
    else:
        low, high = group_interval(right - other_right, groups)
        expected = "better" if low > 0 else "worse" if high < 0 else "cannot say"
        interval = f"The difference lies between {low:.2f} and {high:.2f} for artists of this kind"
        say(
            verdict == expected,
            f"{network.count_params()} weights, {right.mean():.0%} of the clips. {interval}: {expected}.",
            f"The network is fine, the verdict is not. {interval}. What does it mean when zero is inside, or outside?",
        )
