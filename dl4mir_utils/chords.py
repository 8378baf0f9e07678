"""The chords of notebook 02: major and minor triads made of tones."""

from typing import Literal

import numpy as np

from dl4mir_utils.errors import BadArgumentError
from dl4mir_utils.synth import note_frequency, tone

# Semitones above the root.
INTERVALS = {"major": (0, 4, 7), "minor": (0, 3, 7)}
QUALITIES = tuple(INTERVALS)
# The twelve pitch classes from A upwards, and the 24 triads (2 * root + quality), as musicians usually spell them.
PITCH_CLASSES = ("A", "B♭", "B", "C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭")
CHORD_NAMES = tuple(
    f"{root} {quality}"
    for pair in zip(
        ("A", "B♭", "B", "C", "D♭", "D", "E♭", "E", "F", "F♯", "G", "A♭"),
        ("A", "B♭", "B", "C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "G♯"),
        strict=True,
    )
    for root, quality in zip(pair, QUALITIES, strict=True)
)


def chord(
    root: int,
    quality: str,
    inversion: int = 0,
    wave: Literal["sine", "sawtooth"] = "sine",
    seconds: float = 1.0,
    size: int = 3,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """Return a triad, or only its root and third.

    Parameters
    ----------
    root : int
        Semitones above A4 (440 Hz).
    quality : {"major", "minor"}
    inversion : int
        0: the root is lowest; 1: the third, 2: the fifth is lowest. What lies below the root then is an octave
        lower than in root position, so the root stays where it is.
    wave, seconds
        As for `synth.tone`; the sample rate is 16000 Hz.
    size : int
        3 for a triad, 2 for root and third.
    rng : Generator, optional
        With one, each note gets a level of 0.5 to 1 and a phase of its own; without, all are equal.

    Returns
    -------
    float64 array (samples,)
        Not above 0.5 in magnitude.

    Raises
    ------
    BadArgumentError
        There is no such quality, size or inversion.
    """
    if quality not in INTERVALS or size not in (2, 3) or not 0 <= inversion < size:
        raise BadArgumentError(
            f"No chord of quality {quality!r}, size {size} and inversion {inversion}: choose "
            f"{' or '.join(QUALITIES)}, 2 or 3 notes, and an inversion below the number of notes."
        )
    steps = np.array(INTERVALS[quality][:size])
    if inversion:
        steps[inversion:] -= 12
    levels = np.ones(size) if rng is None else rng.uniform(0.5, 1, size)
    phases = np.zeros(size) if rng is None else rng.random(size)
    frequencies = [note_frequency(root + step) for step in steps]
    tones = [tone(hz, seconds, wave=wave, phases=phase) for hz, phase in zip(frequencies, phases, strict=True)]
    return levels @ tones / size
