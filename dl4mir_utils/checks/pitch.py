"""Checks of notebook 01."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dl4mir_utils.checks.answers import is_open, say
from dl4mir_utils.synth import note_frequency


def check_01_bin(nearest_bin: Callable[[float], int | None]) -> None:
    """Check a function from a frequency in Hz to the number of the nearest of 36 bins from A3 (220 Hz)."""
    answers = {place: nearest_bin(note_frequency(place - 12 + 0.3)) for place in (0, 12, 17, 35)}
    if is_open(*answers.values()):
        return
    wrong = {place: answer for place, answer in answers.items() if answer != place}
    if not wrong:
        sharp = nearest_bin(note_frequency(5.7))
        say(
            sharp == 18,
            f"1000 Hz falls in bin {nearest_bin(1000)}: a B5, 21 cents sharp.",
            f"A tone 30 cents below bin 18 should fall in bin 18, not {sharp}: round, do not cut off.",
        )
        return
    place, answer = next(iter(wrong.items()))
    print(
        f"Not yet. {note_frequency(place - 12 + 0.3):.1f} Hz should fall in bin {place}, not {answer}: how many "
        "octaves above 220 Hz is it, and how many semitones has an octave?"
    )


def check_01_by_hand(
    by_hand: np.ndarray | None,
    frames: np.ndarray,
    labels: np.ndarray,
    note_frames: np.ndarray,
    note_labels: np.ndarray,
) -> None:
    """Check weights (36, 12) written by hand on tones from three octaves."""
    if is_open(by_hand):
        return
    if np.shape(by_hand) != (36, 12):
        print(f"Not yet. The weights have the shape {np.shape(by_hand)}; 36 bins and 12 notes make (36, 12).")
        return
    tones = np.mean((frames @ by_hand).argmax(axis=1) == labels)
    notes = np.mean((note_frames @ by_hand).argmax(axis=1) == note_labels)
    say(
        tones > 0.95,
        f"{tones:.0%} of the tones in three octaves and {notes:.0%} of the recorded notes, without any training.",
        f"{tones:.0%} of the tones in three octaves: bin 0 is an A, bin 1 an A♯; which other bins are an A?",
    )


def check_01_octaves(wide: Any, note_frames: np.ndarray, note_labels: np.ndarray, narrow: Any, low: tuple) -> None:
    """Check a model trained on two octaves: tones an octave lower (frames, labels), and recorded notes."""
    if is_open(wide):
        return
    right = {
        (name, model): float(np.mean(np.asarray(model(frames)).argmax(axis=1) == labels))
        for name, frames, labels in (("low", *low), ("notes", note_frames, note_labels))
        for model in (wide, narrow)
    }
    say(
        right["low", wide] > 0.85 and right["notes", wide] >= right["notes", narrow],
        f"Tones an octave lower: {right['low', narrow]:.0%} becomes {right['low', wide]:.0%}. Recorded notes: "
        f"{right['notes', narrow]:.0%} becomes {right['notes', wide]:.0%}. A dense layer has separate weights for "
        "each octave, so it must be shown each of them.",
        f"{right['low', wide]:.0%} of the tones an octave lower: do your training examples hold both octaves?",
    )
