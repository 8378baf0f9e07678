"""Checks of notebook 02."""

from collections.abc import Sequence

import numpy as np

from dl4mir_utils.checks.answers import is_open, say
from dl4mir_utils.synth import note_frequency


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
