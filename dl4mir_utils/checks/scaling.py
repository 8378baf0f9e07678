"""Checks of notebook 12."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dl4mir_utils.checks.answers import is_open, say

if TYPE_CHECKING:
    import keras

TIMES_REAL_TIME = 150  # of one core, in exercise 2
RATE = 16000
MINUTES = (100, 60)  # of one worker and of two, in exercise 3
BATCH, EPOCHS = 64, 10  # of exercise 4
SEEDS = range(3)
VERDICTS = ("better", "worse", "cannot say")

# What `mystery_bits` plays, in order.
MYSTERY = (8, 6, 16)


def mystery_bits(sound: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Return a sound rounded to different numbers of bits, with numbers for titles, for `play`.

    Parameters
    ----------
    sound : float32 array (samples,)
        In [-1, 1].
    """
    versions = []
    for number, bits in enumerate(MYSTERY, start=1):
        steps = 2 ** (bits - 1)
        versions.append((f"version {number}", np.clip(np.rint(sound * steps), -steps, steps - 1) / steps))
    return versions


def check_12_listen(first: int | None, second: int | None, third: int | None) -> None:
    """Check how many bits the three versions have."""
    if is_open(first, second, third):
        return
    said = (first, second, third)
    if not all(isinstance(bits, (int, np.integer)) for bits in said) or sorted(said) != sorted(MYSTERY):
        print("Not yet. Give each of the numbers 16, 8 and 6 once.")
    elif said[MYSTERY.index(16)] != 16:
        print("Not yet. First find the one with 16 bits: in its softest moment there is no hiss at all.")
    else:
        say(
            said == MYSTERY,
            "Each bit that is left out doubles the noise: by 6 dB.",
            "16 bits are right. Of the other two, the one with the stronger hiss has fewer bits.",
        )


def check_12_collection(
    hours: float | None, gigabytes: float | None, pieces: float, minutes: float, cores: float
) -> None:
    """Check how long it takes to prepare the reader's own collection, and how large it gets."""
    if is_open(hours, gigabytes):
        return
    numbers = (hours, gigabytes, pieces, minutes, cores)
    if not all(isinstance(number, (int, float, np.number)) and number > 0 for number in numbers):
        print("Not yet. All of them must be numbers above 0.")
        return
    music_h = pieces * minutes / 60
    expected_h, expected_gb = music_h / TIMES_REAL_TIME / cores, music_h * 3600 * RATE * 2 / 1e9

    def like(value: float, wanted: float) -> bool:
        return bool(abs(value - wanted) <= 0.02 * wanted)

    if like(hours, expected_h * 60):
        print("Not yet. The first number is in minutes: divide by 60.")
    elif like(hours, music_h / TIMES_REAL_TIME) and cores != 1:
        print(f"Not yet. That is the time of one core, and you have {cores:g}.")
    elif not like(hours, expected_h):
        print(
            f"Not yet. You have {music_h:,.1f} hours of music, and each of {cores:g} cores prepares {TIMES_REAL_TIME} "
            "of them in one hour."
        )
    elif like(gigabytes, expected_gb / 2):
        print("Not yet. The hours are right. A sample takes two bytes, not one.")
    elif like(gigabytes, 2 * expected_gb):
        print("Not yet. The hours are right. A sample of 16 bits takes two bytes, and there is one channel.")
    else:
        say(
            like(gigabytes, expected_gb),
            f"{expected_h:,.2f} hours and {expected_gb:,.1f} GB for {music_h:,.0f} hours of music.",
            f"The hours are right. For the size: {music_h:,.1f} hours of 3600 s, {RATE} samples a second, two bytes "
            "each, divided by 10^9.",
        )


def check_12_amdahl(share: float | None, fastest: float | None) -> None:
    """Check which share of a job cannot be shared, by two measurements."""
    if is_open(share, fastest):
        return
    one, two = MINUTES
    expected = 2 * two / one - 1
    if abs(share - (1 - expected)) < 0.005:
        print("Not yet. That is the part that can be shared; asked is the other one.")
    elif abs(share - 100 * expected) < 0.5:
        print("Not yet. Give the share as a number from 0 to 1, not in percent.")
    elif abs(share - expected) > 0.005:
        print(f"Not yet. Put {share:g} into the formula: 2 workers would take {one * (1 + share) / 2:g} minutes.")
    else:
        say(
            abs(fastest - 1 / expected) < 0.05,
            "What cannot be shared takes 20 of 100 minutes, with two workers or with two thousand.",
            "The share is right. With endless workers only that share of the 100 minutes is left: how many times "
            "shorter is it?",
        )


def check_12_four_workers(
    train_four: "Callable[[int], keras.Model] | None",
    verdict: str | None,
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    losses_of_one: Sequence[float],
) -> None:
    """Check networks that were trained with a batch of 64: their steps, their loss, and what is concluded."""
    if is_open(train_four, verdict):
        return
    import keras

    if not callable(train_four):
        print("Not yet. train_four must be a function: it takes a seed and returns a trained network.")
        return
    losses, right = [], []
    steps = EPOCHS * int(np.ceil(len(train_x) / BATCH))
    for seed in SEEDS:
        try:
            network = train_four(seed)
        except Exception as error:  # whatever is wrong with it, a check does not raise
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            print(f"Not yet. train_four({seed}) ends with an error: {first[:160]}")
            return
        if not isinstance(network, keras.Model):
            print(f"Not yet. train_four must return the network; it returns {type(network).__name__}.")
            return
        if getattr(network, "optimizer", None) is None:
            print("Not yet. The network has not been compiled and trained.")
            return
        made = int(network.optimizer.iterations)
        if made != steps:
            print(
                f"Not yet. It has made {made} steps; {EPOCHS} epochs with a batch of {BATCH} are {steps}. Four workers "
                "get no more."
            )
            return
        answers = np.asarray(network.predict(np.concatenate([train_x, test_x]), verbose=0))
        if answers.shape != (len(train_x) + len(test_x), 3) or not np.isfinite(answers).all():
            print("Not yet. We need three probabilities for each clip, and no NaN: a smaller learning rate, perhaps?")
            return
        chosen = answers[np.arange(len(train_y)), train_y]
        losses.append(float(-np.log(np.maximum(chosen, 1e-7)).mean()))
        right.append(float(np.mean(answers[len(train_x) :].argmax(axis=1) == test_y)))
    loss, wanted = float(np.mean(losses)), float(np.mean(losses_of_one))
    if loss > 1.05 * wanted:
        print(
            f"Not yet. Its training loss is {loss:.2f} on average, that of one worker {wanted:.2f}. Is the learning "
            "rate too small, or already so large that training jumps about?"
        )
    elif verdict not in VERDICTS:
        print(f'Not yet. The network is as good as that of one worker. Give your verdict: one of "{VERDICTS[0]}", ...')
    else:
        say(
            verdict == "cannot say",
            f"Training loss {loss:.2f} against {wanted:.2f}, with a quarter of the steps; test accuracy "
            f"{min(right):.2f} to {max(right):.2f}. Three seeds and one fold of artists name no winner.",
            f"The training is right, loss {loss:.2f} against {wanted:.2f}. But three seeds on one fold of artists: "
            "would another fold say the same?",
        )
