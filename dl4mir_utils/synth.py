"""Sounds made from formulas, for the notebooks on pitch and chords."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from dl4mir_utils.errors import BadArgumentError

NOTE_NAMES = ("A", "A♯", "B", "C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯")


def note_frequency(semitones: float) -> float:
    """Return the frequency in Hz of the note so many semitones above A4 (440 Hz), in equal temperament."""
    return 440.0 * 2.0 ** (semitones / 12)


def tone(
    frequencies_hz: float | Sequence[float],
    seconds: float = 1.0,
    sample_rate: int = 16000,
    wave: Literal["sine", "sawtooth"] = "sine",
    phases: float | Sequence[float] = 0.0,
) -> np.ndarray:
    """Return one tone, or several at once, with 10 ms of fade at either end.

    Parameters
    ----------
    frequencies_hz : float or list of float
        Frequency of each tone, in Hz.
    seconds : float
        Length.
    sample_rate : int
        In Hz.
    wave : {"sine", "sawtooth"}
        A sine has one frequency; a sawtooth has all whole multiples of it, the k-th at 1/k of the
        amplitude. Multiples above half the sample rate are left out, so nothing is aliased.
    phases : float or list of float
        Where each tone starts in its period, from 0 to 1.

    Returns
    -------
    float32 array (samples,)
        With a peak of 0.5.

    Raises
    ------
    BadArgumentError
        A frequency is not between 0 and half the sample rate, or there is no such wave.
    """
    frequencies = np.atleast_1d(np.asarray(frequencies_hz, float))
    if not ((frequencies > 0) & (frequencies < sample_rate / 2)).all():
        raise BadArgumentError(f"At {sample_rate} Hz a tone must lie between 0 and {sample_rate / 2:g} Hz.")
    if wave not in ("sine", "sawtooth"):
        raise BadArgumentError(f"wave is {wave!r}; it must be 'sine' or 'sawtooth'.")
    samples = round(seconds * sample_rate)
    time_s = np.arange(samples) / sample_rate
    audio = np.zeros(samples)
    for frequency, phase in zip(frequencies, np.broadcast_to(phases, frequencies.shape), strict=True):
        multiples = 1 if wave == "sine" else int(sample_rate / 2 // frequency)
        # The k-th power of a circling complex number circles k times as fast: one exponential for all multiples.
        first = np.exp(2j * np.pi * (frequency * time_s + phase))
        multiple = np.ones(samples)
        for k in range(1, multiples + 1):
            multiple = multiple * first
            audio += multiple.imag / k
    fade = np.minimum(1, np.minimum(time_s, time_s[::-1]) / 0.01)
    audio *= fade
    return (0.5 * audio / np.abs(audio).max()).astype(np.float32)


def add_noise(audio: np.ndarray, snr_db: float | np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add white noise to float (..., samples) so that each sound has the signal-to-noise ratio `snr_db`.

    The ratio is that of the powers over the whole length, in dB: 0 dB is as much noise as signal.
    One ratio for all sounds, or an array (...) with one for each; the noise is new for each sound in any case.
    """
    power = np.einsum("...n,...n->...", audio, audio, dtype=float) / audio.shape[-1]
    gain = np.sqrt(power * 10 ** (-np.asarray(snr_db, float) / 10))
    # In place: a few thousand sounds are hundreds of megabytes.
    noise = rng.standard_normal(audio.shape, dtype=np.float32)
    noise *= gain.astype(np.float32)[..., np.newaxis]
    noise += audio
    return noise
