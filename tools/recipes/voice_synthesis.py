"""Make speech sung with the WORLD vocoder, and random melodies with the HMM singer Sinsy: for build_voices.py.

WORLD (Morise et al., IEICE Trans. 2016) splits speech into pitch, spectral envelope and noise share, every 5 ms. We
stretch the vowels to notes, leave the consonants as long as they are, put a random melody with glides, vibrato and
drift in place of the pitch, and shift formants, as if the throat were shorter or longer.
"""

import tempfile

import numpy as np
import pysinsy
import pyworld
import soxr
from scipy.ndimage import gaussian_filter1d

SAMPLE_RATE = 16000
FRAME_S = 0.005  # of WORLD
SCALES = ([0, 2, 4, 5, 7, 9, 11], [0, 2, 3, 5, 7, 8, 10], [0, 2, 4, 7, 9], [0, 3, 5, 6, 7, 10], [0, 3, 5, 7, 10])
KANA = (
    "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめ"
    "もやゆよらりるれろわがぎぐげござずぜぞだでどばびぶべぼ"
)


def analyse(audio: np.ndarray, highest: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split sound, by WORLD, into pitch (frames,), envelope and noise share (frames, bins); 0 Hz where unvoiced."""
    audio = np.ascontiguousarray(audio, np.float64)
    pitch, time = pyworld.dio(audio, SAMPLE_RATE, f0_floor=60, f0_ceil=highest, frame_period=1000 * FRAME_S)
    pitch = pyworld.stonemask(audio, pitch, time, SAMPLE_RATE)
    return (
        pitch,
        pyworld.cheaptrick(audio, pitch, time, SAMPLE_RATE),
        pyworld.d4c(audio, pitch, time, SAMPLE_RATE),
    )


def synthesise(pitch: np.ndarray, envelope: np.ndarray, noise: np.ndarray, throat: float, rng) -> np.ndarray:
    """Make sound again, from another throat: formants times ``throat``, a singer's formant, colour and breath."""
    bins = np.arange(envelope.shape[1])
    hertz = bins * SAMPLE_RATE / 2 / bins[-1]
    source = np.minimum(bins / throat, bins[-1])
    low = np.minimum(source.astype(int), bins[-1] - 1)
    part = source - low
    envelope, noise = (x[:, low] * (1 - part) + x[:, low + 1] * part for x in (envelope, noise))
    decibel = rng.uniform(0, 9) * np.exp(-0.5 * ((hertz - rng.uniform(2400, 3300)) / 450) ** 2)
    decibel += rng.normal(0, 2.5) * np.exp(-0.5 * ((hertz - rng.uniform(400, 2200)) / 450) ** 2)
    decibel += rng.uniform(-6, 4) * hertz / 8000
    breath = rng.choice([0, rng.uniform(0, 0.35)]) * hertz / 8000
    envelope = np.ascontiguousarray(envelope * 10 ** (decibel / 10))
    noise = np.ascontiguousarray(np.clip(noise + breath, 1e-3, 1))
    return pyworld.synthesize(pitch, envelope, noise, SAMPLE_RATE, 1000 * FRAME_S)


def vowels(pitch: np.ndarray, envelope: np.ndarray) -> list[tuple[int, int]]:
    """Return the stable parts of the syllables, (first, last) frame: within 4 dB and 60 ms of a peak of the energy."""
    energy = gaussian_filter1d(10 * np.log10(envelope.mean(axis=1) + 1e-12), 4)
    good = (pitch > 0) & (energy > energy.max() - 28)
    good[1:-1] &= (energy[1:-1] >= energy[:-2]) & (energy[1:-1] > energy[2:])
    peaks: list[int] = []
    for peak in np.flatnonzero(good[2:-2]) + 2:
        if peaks and peak - peaks[-1] < 14:  # 70 ms: the same syllable
            peaks[-1] = max(peak, peaks[-1], key=lambda frame: energy[frame])
        else:
            peaks.append(peak)
    spans = []
    for peak in peaks:
        first = last = peak
        while first > max(0, peak - 12) and pitch[first - 1] > 0 and energy[first - 1] > energy[peak] - 4:
            first -= 1
        while last < min(len(pitch) - 1, peak + 12) and pitch[last + 1] > 0 and energy[last + 1] > energy[peak] - 4:
            last += 1
        if last - first >= 4 and (not spans or first > spans[-1][1]):
            spans.append((first, last))
    return spans


def step(degree: int, rng) -> int:
    """Return the next degree of a melody: mostly a small step, within an octave and a half."""
    return int(np.clip(degree + rng.choice([-3, -2, -1, -1, 0, 0, 1, 1, 2, 3]), -2, 10))


def semitones(degree: int, scale: list[int]) -> int:
    return 12 * (degree // len(scale)) + scale[degree % len(scale)]


def vibrato(age_s: np.ndarray, rng) -> np.ndarray:
    """Return the vibrato in semitones: 4.8 to 6.8 Hz, up to 0.75, from 0.2 s into each note on; often none."""
    rate = rng.uniform(4.8, 6.8) + gaussian_filter1d(rng.normal(0, 6, len(age_s)), 60)
    depth = rng.choice([0, rng.uniform(0.05, 0.25), rng.uniform(0.2, 0.75)], p=[0.3, 0.35, 0.35])
    return depth * np.clip((age_s - 0.2) / 0.25, 0, 1) * np.sin(2 * np.pi * np.cumsum(rate) * FRAME_S)


def sing(audio: np.ndarray, lowest: float, rng) -> np.ndarray:
    """Make speech sung, from about MIDI note ``lowest`` on; empty where it has no clear vowel."""
    pitch, envelope, noise = analyse(audio, highest=600)
    spans = vowels(pitch, envelope)
    if not spans:
        return audio[:0]
    beat, scale, degree = rng.uniform(0.13, 0.42), SCALES[rng.integers(len(SCALES))], int(rng.integers(0, 6))
    melisma = rng.random() < 0.25  # in some lines, syllables of several notes
    places, notes, loudness, ages, before = [], [], [], [], max(0, spans[0][0] - 26)
    for number, (first, last) in enumerate(spans):
        # The consonant before the vowel, at most 50 to 130 ms of it, as it was spoken.
        consonant = np.arange(max(before, first - int(rng.integers(10, 27))), first)
        lengths = []
        for _ in range(1 + (melisma and rng.random() < 0.4) * int(rng.integers(1, 4))):
            degree = step(degree, rng)
            beats = rng.choice([0.5, 1, 1, 1.5, 2, 2, 3, 4] if number < len(spans) - 1 else [2, 3, 4, 6])
            lengths.append(max(12, int(beats * beat / FRAME_S)))
            lead = 0 if len(lengths) > 1 else len(consonant)  # the consonant is on its vowel's note
            notes.append(np.full(lead + lengths[-1], lowest + semitones(degree, scale)))
            ages.append((np.arange(lead + lengths[-1]) - lead) * FRAME_S)
        # The stretched vowel wanders a little within the spoken one: a frozen spectrum would buzz.
        wander = gaussian_filter1d(rng.normal(0, 6, sum(lengths)), 20)
        places += [consonant, np.clip(np.linspace(first, last, sum(lengths)) + wander, first, last)]
        loudness += [np.ones(len(consonant)), np.full(sum(lengths), 10 ** (rng.normal(0, 2.5) / 20))]
        before = last + 1
    tail = np.arange(before, min(len(pitch), before + int(rng.integers(5, 20))))
    place, age = np.concatenate([*places, tail]), np.concatenate([*ages, np.zeros(len(tail))])
    midi = np.concatenate([*notes, np.full(len(tail), notes[-1][-1])]).astype(float)
    midi = gaussian_filter1d(midi, rng.uniform(0.015, 0.05) / FRAME_S)  # glides
    wave = vibrato(age, rng)
    midi += wave + gaussian_filter1d(rng.normal(0, 2.5, len(midi)), 40)  # and drift
    midi += gaussian_filter1d(rng.normal(0, 0.35, len(midi)), 3)  # and jitter
    low = np.minimum(place.astype(int), len(pitch) - 2)
    part = (place - low)[:, np.newaxis]
    voiced = pitch[np.round(place).astype(int)] > 0
    sound = synthesise(
        np.where(voiced, 440 * 2 ** ((midi - 69) / 12), 0.0),
        np.exp(np.log(envelope[low] + 1e-16) * (1 - part) + np.log(envelope[low + 1] + 1e-16) * part),
        noise[low] * (1 - part) + noise[low + 1] * part,
        rng.uniform(0.85, 1.22),
        rng,
    )
    gain = gaussian_filter1d(np.concatenate([*loudness, np.ones(len(tail))]), 6)
    gain *= 1 + rng.uniform(0, 0.12) * np.roll(wave, 4) / (np.abs(wave).max() + 1e-9)  # loudness follows the vibrato
    return sound * np.interp(np.arange(len(sound)) / (SAMPLE_RATE * FRAME_S), np.arange(len(gain)), gain)


def score(rng) -> str:
    """Return a random melody with random syllables as MusicXML, a note a measure (Sinsy only asks how long it is)."""
    scale, degree, lowest = SCALES[rng.integers(4)], 3, int(rng.integers(58, 68))
    notes: list[tuple[int, int | None]] = [(2, None)]
    while len(notes) < 26:
        for _ in range(int(rng.integers(4, 14))):
            degree = step(degree, rng)
            notes.append((int(rng.choice([1, 2, 2, 2, 3, 4, 4, 6, 8])), lowest + semitones(degree, scale)))
        notes.append((int(rng.choice([1, 2, 4])), None))
    body = ""
    for number, (length, midi) in enumerate(notes):
        what, lyric = "<rest/>", ""
        if midi is not None:
            name = "CCDDEFFGGAAB"[midi % 12]
            sharp = "<alter>1</alter>" if midi % 12 in (1, 3, 6, 8, 10) else ""
            what = f"<pitch><step>{name}</step>{sharp}<octave>{midi // 12 - 1}</octave></pitch>"
            lyric = f"<lyric><text>{rng.choice(list(KANA))}</text></lyric>"
        head = f"<attributes><divisions>4</divisions><time><beats>{length}</beats><beat-type>16</beat-type></time>"
        head += "<clef><sign>G</sign><line>2</line></clef></attributes>"
        head += f'<direction><sound tempo="{int(rng.integers(80, 170))}"/></direction>' if number == 0 else ""
        note = f"<note>{what}<duration>{length}</duration><voice>1</voice>{lyric}</note>"
        body += f'<measure number="{number + 1}">{head}{note}</measure>'
    parts = '<part-list><score-part id="P1"><part-name>voice</part-name></score-part></part-list>'
    return f'<score-partwise version="2.0">{parts}<part id="P1">{body}</part></score-partwise>'


def sing_hmm(rng) -> np.ndarray:
    """Let Sinsy sing a random melody; three lines in four get another register and another throat."""
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
        file.write('<?xml version="1.0" encoding="UTF-8"?>' + score(rng))
        file.flush()
        audio, rate = pysinsy.synthesize(file.name)
    audio = soxr.resample(np.asarray(audio, np.float64), rate, SAMPLE_RATE)
    audio *= 0.5 / np.abs(audio).max()
    if rng.random() < 0.75:
        pitch, envelope, noise = analyse(audio, highest=900)
        man = rng.random() < 0.55
        shift, throat = (
            (rng.uniform(-14, -6), rng.uniform(0.78, 0.97)) if man else (rng.uniform(-4, 5), rng.uniform(0.9, 1.2))
        )
        age = np.full(len(pitch), 1.0)
        pitch = pitch * 2 ** ((shift + vibrato(age, rng)) / 12)
        audio = synthesise(pitch, envelope, noise, throat, rng)
    return audio
