"""Checks of notebook 02."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dl4mir_utils.checks.answers import is_open, say
from dl4mir_utils.chords import chord
from dl4mir_utils.synth import note_frequency, tone

if TYPE_CHECKING:
    import keras

# What `mystery_steps` plays after C major, in order: the notes in semitones above A4.
STEPS = {"A minor": (3, 7, 12), "E minor": (2, 7, 10), "C minor": (3, 6, 10)}
TALL = 5  # rows that the kernels of the stacked network may have
STACKED = 600  # weights that it may have
WORKS = 0.9  # accuracy from which a network counts as one that knows new roots
VERDICTS = ("every seed", "some seeds", "no seed")


def mystery_chords() -> list[tuple[str, np.ndarray]]:
    """Return the four chords of the beginning, with numbers for titles, for `play`."""
    sounds = [chord(3, "major"), chord(6, "major"), chord(3, "minor"), chord(0, "minor")]
    return [(f"chord {number}", sound) for number, sound in enumerate(sounds, start=1)]


def mystery_steps() -> list[tuple[str, np.ndarray]]:
    """Return C major followed by each of the three triads that share two notes with it, for `play`.

    Only one note moves from the first chord to the second.
    """
    c_major = tone([note_frequency(step) for step in (3, 7, 10)])
    pairs = []
    for number, steps in enumerate(STEPS.values(), start=1):
        second = tone([note_frequency(step) for step in steps], seconds=1.5)
        pairs.append((f"pair {number}", np.concatenate([c_major, second])))
    return pairs


def check_02_listen(c_minor: int | None, a_minor: int | None, e_minor: int | None) -> None:
    """Check in which pair C major goes to which of its three neighbours."""
    if is_open(c_minor, a_minor, e_minor):
        return
    said = {"C minor": c_minor, "A minor": a_minor, "E minor": e_minor}
    right = {name: number for number, name in enumerate(STEPS, start=1)}
    moves = {"C minor": "the middle note steps down", "A minor": "the top note steps up"}
    moves["E minor"] = "the lowest note steps down"
    if not all(isinstance(number, (int, np.integer)) for number in said.values()) or sorted(said.values()) != [1, 2, 3]:
        print("Not yet. Give each of the numbers 1, 2 and 3 once.")
        return
    wrong = [name for name in said if said[name] != right[name]]
    say(
        not wrong,
        "The bottom, the middle or the top note moves, by one semitone or two, and the chord has another name.",
        f"In the step to {wrong[0] if wrong else ''} {moves[wrong[0]] if wrong else ''}, and the other two notes stay. "
        f"Sing along with that one note: does it do so in pair {said[wrong[0]] if wrong else ''}?",
    )


def check_02_stacked(
    networks: "Sequence[keras.Model] | None",
    verdict: str | None,
    frames: np.ndarray,
    qualities: np.ndarray,
    new: Sequence[np.ndarray],
) -> None:
    """Check networks of small kernels, one for each seed, and the verdict on whether they know new roots.

    Parameters
    ----------
    networks : sequence of keras.Model
        One for each seed.
    verdict : str
        One of `VERDICTS`.
    frames, qualities
        The test chords.
    new : sequence of bool array
        For each seed, which test chords have a root that was kept out of the training.
    """
    if is_open(networks, verdict):
        return
    import keras

    if not isinstance(networks, (list, tuple)) or len(networks) != len(new):
        print(f"Not yet. Give a list of {len(new)} networks, one for each seed: make it before the loop, append in it.")
        return
    if not all(isinstance(network, keras.Model) for network in networks):
        print("Not yet. The list must hold the trained networks themselves.")
        return
    for network in networks:
        convolutions = [layer for layer in network._flatten_layers() if type(layer).__name__ == "Conv2D"]
        tallest = max((layer.kernel_size[0] for layer in convolutions), default=0)
        dense_inputs = [layer.input.shape[-1] for layer in network.layers if type(layer).__name__ == "Dense"]
        if not convolutions or tallest > TALL:
            print(f"Not yet. The tallest kernel has {tallest} rows; this exercise is about kernels of at most {TALL}.")
            return
        if network.count_params() > STACKED:
            print(
                f"Not yet. It has {network.count_params()} weights, and {STACKED} are allowed. A dense layer now sees "
                f"{max(dense_inputs, default=0)} numbers: did you pool over all places before it?"
            )
            return
    scores = []
    try:
        for network, is_new in zip(networks, new, strict=True):
            right = np.asarray(network.predict(frames, verbose=0)).argmax(axis=1) == qualities
            scores.append(float(right[is_new].mean()))
    except Exception as error:  # whatever is wrong with it, a check does not raise
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        print(f"Not yet. It does not take frames of the shape {frames.shape[1:]}: {first[:160]}")
        return
    working = sum(score >= WORKS for score in scores)
    expected = "every seed" if working == len(scores) else "some seeds" if working else "no seed"
    shown = ", ".join(f"{score:.2f}" for score in scores)
    height = 1 + sum(layer.kernel_size[0] - 1 for layer in convolutions)
    if not working:
        print(
            f"Not yet. On new roots the seeds have {shown}, and guessing has 0.50. "
            + (
                f"Together your convolutions see {height} rows, and a triad needs 8."
                if height < 8
                else "It sees enough rows. Does the pooling come after the last convolution, did every kernel keep a "
                "slope, and did it train long enough?"
            )
        )
    elif verdict not in VERDICTS:
        print(f"Not yet. The verdict is one of: {', '.join(VERDICTS)}.")
    else:
        say(
            verdict == expected,
            f"New roots, seed by seed: {shown}; guessing has 0.50, the template 1.00. {expected.capitalize()}: "
            f"{networks[0].count_params()} weights that see {height} rows, in two looks instead of one.",
            f"The networks are fine, the verdict is not. New roots, seed by seed: {shown}. "
            f"How many of these reach {WORKS}?",
        )


def check_02_inversion(frequencies: Sequence[float] | None) -> None:
    """Check the frequencies in Hz of E4, G4 and C5, lowest first."""
    if is_open(frequencies):
        return
    given = np.ravel(np.asarray(frequencies, float))
    expected = np.array([note_frequency(step) for step in (-5, -2, 3)])
    if given.shape != (3,):
        print(f"Not yet. A triad has three notes; here are {given.size} numbers.")
    elif np.allclose(np.sort(given), [note_frequency(step) for step in (3, 7, 10)], atol=0.5):
        print("Not yet. This is the root position: E and G belong an octave lower, at half the frequency.")
    else:
        shown = ", ".join(f"{hz:.1f}" for hz in given)
        say(
            np.allclose(given, expected, atol=0.5),
            f"{shown} Hz. From the root C5, E lies 8 semitones down and G 5: the gaps are 3 and 5 now.",
            f"{shown} Hz: which of the three notes stay, which move by an octave, and are they sorted?",
        )


def check_02_parameters(height: int | None, weights: int | None) -> None:
    """Check the least kernel height for a seventh chord and the number of weights of the network with it."""
    if is_open(height, weights):
        return
    if height != 11:
        print(f"Not yet. {height} bins: the first bin is semitone 0, the last must be semitone 10.")
    else:
        say(
            weights == 222,
            "198 in the kernels, 24 in the dense layer. The number of bins in the input does not matter.",
            f"{weights}: 6 kernels of 11 x 3, then 6 inputs to each of 4 classes, and no bias anywhere.",
        )


def check_02_ambiguous(different_sets: int | None, ceiling: float | None) -> None:
    """Check how many pitch class sets 48 triads have, and the best accuracy that can be had from the sets alone."""
    if is_open(different_sets, ceiling):
        return
    if different_sets != 40:
        print(
            f"Not yet. {different_sets}: take every pitch class modulo 12, and mind that a set has no order. "
            "One of the four kinds maps onto itself when it moves by four semitones."
        )
    else:
        say(
            abs(ceiling - 40 / 48) < 0.005,
            "Twelve augmented triads share four sets, three names to each: only the one that is guessed can be right. "
            "A score above 83 % there would mean that something else gives the root away.",
            f"{ceiling:.3f}: of the chords that share a set, a system can get exactly one right.",
        )
