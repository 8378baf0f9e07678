"""What a studio does to sounds, and instruments that resemble a voice: the effects of the mixes (`mixes.py`).

Filters are gains of FFT bins: a mix applies them all, and the reverb, with one transform back.
"""

import math
from functools import lru_cache

import numpy as np
import soxr

from dl4mir_utils.synth import note_frequency

RATE = 16000  # Hz
LEVEL = 0.1  # RMS at which things meet before they are set against each other
REVERB_S = 0.6  # longest tail of a room


def in_the_studio(rng: np.random.Generator, voice: np.ndarray) -> np.ndarray:
    """Double the voice, as pop singers do, 10 to 40 ms later and a little slower; compress it."""
    if rng.random() < 0.3:
        late = int(rng.uniform(0.01, 0.04) * RATE)
        voice[late:] += decibel(rng.uniform(-9, 0)) * at_speed(voice, rng.uniform(0.999, 1.0))[: len(voice) - late]
    if rng.random() < 0.5:
        voice = np.tanh(voice * rng.uniform(2, 14))
    return voice


def lead(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Play a solo with glides and vibrato, but with the same spectrum all the time: what no voice has."""
    from scipy.ndimage import gaussian_filter1d

    steps = samples // 80  # of 5 ms
    midi, loudness, step, pitch = np.zeros(steps), np.zeros(steps), 0, rng.uniform(50, 80)
    while step < steps:
        length = int(rng.choice([0.15, 0.25, 0.4, 0.7, 1.2]) * 200)
        pitch = np.clip(pitch + rng.integers(-5, 6), 45, 86)
        midi[step:] = pitch
        decay = np.exp(-np.arange(length) / (length * rng.uniform(0.4, 4)))
        loudness[step : step + length] = decay[: steps - step]
        step += length + (int(rng.uniform(20, 200)) if rng.random() < 0.2 else 0)
    midi = gaussian_filter1d(midi, rng.uniform(1, 12))
    depth = rng.choice([0, rng.uniform(0.1, 0.7)])
    midi += depth * np.sin(2 * np.pi * rng.uniform(4.5, 7) * np.arange(steps) / 200)
    hertz = note_frequency(midi - 69)
    # One period of the waveform as a table, with no partial above 7.5 kHz; the phase says where to read in it.
    partials = np.arange(1, max(2, min(rng.integers(4, 16), int(7500 / hertz.max()))), rng.choice([1, 1, 2]))
    heights = partials ** -rng.uniform(0.5, 2.2) * decibel(rng.normal(0, 4, len(partials)))
    table = (np.sin(2 * np.pi * np.outer(np.arange(1024) / 1024, partials)) @ heights).astype(np.float32)
    time = np.arange(samples) / 80
    phase = np.cumsum(np.interp(time, np.arange(steps), hertz)) * (1024 / RATE)
    return table[phase.astype(np.int64) & 1023] * np.interp(time, np.arange(steps), gaussian_filter1d(loudness, 3))


def gate(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return a gain that goes on and off, about once a second."""
    from scipy.ndimage import gaussian_filter1d

    steps = samples // 256 + 2
    gain, step = np.zeros(steps, np.float32), 0
    while step < steps:
        length = int(rng.exponential(60)) + 5
        gain[step : step + length] = rng.random() < 0.5
        step += length
    return np.interp(np.arange(samples) / 256, np.arange(steps), gaussian_filter1d(gain, 2)).astype(np.float32)


def room(rng: np.random.Generator) -> np.ndarray:
    """Return the impulse response of a room: noise that dies away within 0.15 to 1.2 s, after the direct sound."""
    t60_s = rng.uniform(0.15, 1.2)
    length = int(min(REVERB_S, 0.7 * t60_s) * RATE)
    tail = rng.standard_normal(length, np.float32) * np.exp(-6.9 / (t60_s * RATE) * np.arange(length, dtype=np.float32))
    tail[: rng.integers(1, 500)] = 0  # the first wall is some metres away
    tail *= decibel(rng.uniform(-22, -4)) / math.sqrt(np.square(tail).sum())
    tail[0] = 1
    return tail


def equaliser(rng: np.random.Generator, n_fft: int, gain_db: float, tilt_db: float = 0.0) -> np.ndarray:
    """Return the gain of every FFT bin: three broad bells of up to `gain_db`, and a tilt in dB per octave."""
    octave = coarse_octaves(n_fft)
    total = tilt_db * (octave - 10)
    for _ in range(3):
        middle, width = rng.uniform(6, 13), rng.uniform(0.3, 1.2)  # 64 Hz to 8 kHz
        total = total + rng.uniform(-gain_db, gain_db) * np.exp(-0.5 * ((octave - middle) / width) ** 2)
    return to_bins(decibel(total), n_fft)


def low_pass(n_fft: int, hertz: float) -> np.ndarray:
    """Return the gain of every FFT bin of a filter that falls by 24 dB per octave."""
    return to_bins(decibel(-24 * np.maximum(0, coarse_octaves(n_fft) - math.log2(hertz))), n_fft)


@lru_cache
def coarse_octaves(n_fft: int) -> np.ndarray:
    """Return log2 of the frequency of every 32nd FFT bin, at least 30 Hz: enough for smooth curves."""
    return np.log2(np.maximum(np.arange(n_fft // 64 + 2) * (32 * RATE / n_fft), 30)).astype(np.float32)


def to_bins(coarse: np.ndarray, n_fft: int) -> np.ndarray:
    """Draw straight lines between every 32nd FFT bin: float32 (n_fft // 2 + 1,)."""
    between = np.arange(32, dtype=np.float32) / 32
    lines = coarse[:-1, np.newaxis] + np.diff(coarse)[:, np.newaxis] * between
    return lines.ravel()[: n_fft // 2 + 1].astype(np.float32, copy=False)


def at_speed(sound: np.ndarray, speed: float) -> np.ndarray:
    """Play a sound faster or slower, by cubic interpolation: float32 (samples / speed,)."""
    return soxr.resample(sound, speed * RATE, RATE, quality="QQ")


def decibel(value: float | np.ndarray) -> float | np.ndarray:
    """Return the factor of an amplitude that is so many dB."""
    return 10 ** (value / 20)


def rms(sound: np.ndarray) -> float:
    """Return the root mean square of a sound."""
    return math.sqrt(np.square(sound).mean()) or 1e-9


def level(spectrum: np.ndarray, samples: float) -> float:
    """Return the RMS over so many samples of the sound whose one-sided spectrum this is (Parseval's theorem)."""
    n_fft = 2 * (len(spectrum) - 1)
    power = float(np.square(spectrum.view(np.float32)).sum())
    return math.sqrt(2 * power / n_fft / samples) or 1e-9
