"""Songs to find singing in, mixed on the fly: free dry voices over free instrumental music."""

from __future__ import annotations

import itertools
import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy import fft
from scipy.ndimage import binary_closing, gaussian_filter1d

from dl4mir_utils.data.segments import Segment, frame_labels, merge_segments
from dl4mir_utils.data.table import ClipTable
from dl4mir_utils.errors import BadArgumentError

if TYPE_CHECKING:
    import tensorflow as tf

Split = Literal["train", "valid", "test"]
SPLITS = ("train", "valid", "test")
RATE = 16000  # Hz
LEVEL = 0.1  # RMS at which things meet before they are set against each other
HOP = 160  # samples: 10 ms, the grid on which we look where a voice sounds
QUIET_DB = -32  # below the line's loudest place: silence
JOINED_S = 0.5  # pauses up to this are singing, as people annotate it
REVERB_S = 0.6  # longest tail of a room


class Line(NamedTuple):
    """A voice line in memory: int16 samples (half the memory of float32), level, and where it sounds, in seconds."""

    sound: np.ndarray
    rms: float
    spans: tuple[tuple[float, float], ...]


class SingingMixes:
    """Mixes of ten seconds, say, with the exact times of their singing.

    Every mix is voice lines of one speaker over an instrumental clip. Voices, artists of the music and
    melodies are never in two splits. Some mixes have no voice, and many have something that only
    resembles one: a vibrato lead, another piece that comes and goes. Only the voice is labelled "sing".
    The valid and test mixes are always the same; training mixes are new in every epoch.

    Attributes
    ----------
    voices : ClipTable
        The dry lines: label "spoken", "sung (WORLD)", "sung (HMM)" or "sung (recorded)"; group: the speaker.
    music : ClipTable
        The instrumental clips, label "nosing"; group: the artist.
    """

    name = "mini/singing"
    classes = ("nosing", "sing")

    def __init__(self, voices: ClipTable, music: ClipTable) -> None:
        self.voices, self.music = voices, music
        self._load = lru_cache(maxsize=None)(self._decode)

    def __repr__(self) -> str:
        voice, music = (table.frame["duration_s"].sum() / 60 for table in (self.voices, self.music))
        speakers = self.voices.frame["group"].nunique()
        return f"SingingMixes: {voice:.0f} minutes of {speakers} voices, {music:.0f} minutes of music"

    def mix(
        self, split: Split, index: int, seconds: float = 10.0, seed: int = 0, epoch: int = 0
    ) -> tuple[np.ndarray, tuple[Segment, ...]]:
        """Make one mix.

        Parameters
        ----------
        split : {"train", "valid", "test"}
            Whose voices and music.
        index : int
            Which mix; 0 or more.
        seconds : float
            How long it is, at most the 10 s of a clip of music.
        seed, epoch : int
            Which training mixes; mixes of "valid" and "test" do not depend on them.

        Returns
        -------
        audio : float32 array (samples,)
            In [-1, 1], 16 kHz.
        segments : tuple of (float, float, "sing")
            Start and end in seconds of what is sung or spoken, exact to 10 ms.

        Raises
        ------
        BadArgumentError
            There is no such split, or `seconds` or `index` make no sense.
        AudioDecodeError
            Naming every file that cannot be read.
        """
        if split not in SPLITS:
            raise BadArgumentError(f"split is {split!r}; it must be one of {', '.join(SPLITS)}.")
        if not 1 <= seconds <= 10:
            raise BadArgumentError(f"seconds is {seconds}; a mix lasts 1 to 10 s, as the clips of music do.")
        if index < 0:
            raise BadArgumentError(f"index is {index}; it must be 0 or more.")
        lines, music = self._load(split)
        key = [SPLITS.index(split), index] + ([seed, epoch] if split == "train" else [])
        return mix_song(np.random.default_rng(key), lines, music, round(seconds * RATE))

    def to_tf(
        self,
        split: Split,
        count: int | None = None,
        batch: int = 16,
        seconds: float = 10.0,
        hop_s: float = 0.016,
        seed: int = 0,
    ) -> tf.data.Dataset:
        """Return batches of `(audio, label)`, like `ClipTable.to_tf` with `hop_s`.

        Parameters
        ----------
        split : {"train", "valid", "test"}
            "train": new mixes in every epoch, the same ones for the same seed. Otherwise: fixed mixes.
        count : int, optional
            Mixes per epoch; by default 512 of "train", 128 of the others.
        batch : int
            Mixes per batch; the last batch may be smaller.
        seconds : float
            Length of a mix, at most 10.
        hop_s : float
            Length of a frame, in seconds: one label for each, as `frame_labels` gives them.
        seed : int
            Decides what the training mixes are.

        Returns
        -------
        tf.data.Dataset
            Of audio float32 (batch, samples, 1) in [-1, 1] and label int32 (batch, frames),
            frames = ceil(seconds / hop_s).

        Raises
        ------
        BadArgumentError
            An argument makes no sense.
        AudioDecodeError
            Naming every file that cannot be read.
        """
        import tensorflow as tf

        count = (512 if split == "train" else 128) if count is None else count
        if count < 1 or batch < 1 or hop_s <= 0:
            raise BadArgumentError(f"count is {count}, batch {batch}, hop_s {hop_s}: all must be positive.")
        self.mix(split, 0, seconds)  # decodes, and complains here rather than inside of TensorFlow
        samples, frames = round(seconds * RATE), math.ceil(seconds / hop_s - 1e-6)
        epochs = itertools.count()

        def make_batch(indices: np.ndarray, epoch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            mixes = [self.mix(split, int(index), seconds, seed, int(epoch)) for index in indices]
            labels = [frame_labels(segments, hop_s, frames) for _, segments in mixes]
            return np.stack([audio for audio, _ in mixes])[:, :, np.newaxis], np.stack(labels)

        def in_graph(indices: tf.Tensor, epoch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            audio, label = tf.numpy_function(make_batch, [indices, epoch], [tf.float32, tf.int32], stateful=False)
            return tf.ensure_shape(audio, (None, samples, 1)), tf.ensure_shape(label, (None, frames))

        def one_epoch(_: tf.Tensor) -> tf.data.Dataset:
            epoch = tf.ensure_shape(tf.numpy_function(lambda: next(epochs), [], tf.int64), ())
            return tf.data.Dataset.range(count).batch(batch).map(lambda indices: (indices, epoch))

        dataset = tf.data.Dataset.range(1).flat_map(one_epoch)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(math.ceil(count / batch)))
        return dataset.map(in_graph, num_parallel_calls=os.cpu_count()).prefetch(2)

    def _decode(self, split: Split) -> tuple[list[list[Line]], list[np.ndarray]]:
        """Return the lines of each speaker and the clips of music of a split, as int16."""

        def read(table: ClipTable) -> list[np.ndarray]:
            names = table.frame.index[table.frame["split"] == split]
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return list(pool.map(lambda name: np.int16(32767 * table.audio(name)), names))

        groups = self.voices.frame["group"][self.voices.frame["split"] == split]
        speakers: dict[str, list[Line]] = {group: [] for group in groups}
        for group, sound in zip(groups, read(self.voices), strict=True):
            speakers[group].append(Line(sound, *where_it_sounds(sound / np.float32(32768))))
        return list(speakers.values()), read(self.music)


def where_it_sounds(line: np.ndarray) -> tuple[float, tuple[tuple[float, float], ...]]:
    """Return the RMS of a dry line where it sounds, and from when to when it does, in seconds."""
    frames = np.pad(line, (0, -len(line) % HOP)).reshape(-1, HOP)
    power = np.mean(frames**2, axis=1)
    loud = power > power.max() * 10 ** (QUIET_DB / 10)
    rms = math.sqrt(power[loud].mean())
    loud = binary_closing(np.pad(loud, 100), np.ones(int(JOINED_S * RATE / HOP)))[100:-100]
    edges = np.flatnonzero(np.diff(loud, prepend=False, append=False)) * HOP / RATE
    return rms, tuple(zip(edges[::2], edges[1::2], strict=True))


def mix_song(
    rng: np.random.Generator, speakers: list[list[Line]], music: list[np.ndarray], samples: int
) -> tuple[np.ndarray, tuple[Segment, ...]]:
    """Make one mix of so many samples; every random choice is drawn from `rng`."""
    n_fft = 2 * fft.next_fast_len((samples + int(REVERB_S * RATE)) // 2)  # even, with room for the reverb's tail
    background = some_music(rng, music, samples)
    if rng.random() < 0.25:  # two pieces at once: a denser song
        background += some_music(rng, music, samples) * decibel(rng.uniform(-12, 0))
    if rng.random() < 0.45:  # what only resembles a voice, or comes and goes as one does, is not singing
        distractor = lead(rng, samples) if rng.random() < 0.5 else some_music(rng, music, samples) * gate(rng, samples)
        background += distractor * (decibel(rng.uniform(-12, 6)) * LEVEL / max(rms(distractor), 1e-4))
    spectrum = fft.rfft(background, n_fft)
    if rng.random() < 0.6:  # another mastering: else the network could learn the few studios by heart
        spectrum *= equaliser(rng, n_fft, gain_db=9)
    spectrum *= LEVEL / level(spectrum, samples)
    if rng.random() < 0.08:  # almost only voice, as in a break
        spectrum *= decibel(rng.uniform(-40, -10))
    segments: tuple[Segment, ...] = ()
    if rng.random() >= 0.13:  # instrumentals: a network must learn to say no for a whole song
        # The more lines of a speaker there are, the more often, but less than in proportion: variety counts.
        shares = np.sqrt([len(lines) for lines in speakers])
        speaker = rng.choice(len(speakers), p=shares / shares.sum())
        voice, segments = voice_track(rng, speakers[speaker], samples)
        sung_s = sum(end - start for start, end, _ in segments)
        if sung_s > 0:
            sung = fft.rfft(in_the_studio(rng, voice), n_fft)
            if rng.random() < 0.75:  # microphone and mixing desk
                sung *= equaliser(rng, n_fft, gain_db=7, tilt_db=rng.uniform(-2, 2))
            if rng.random() < 0.65:  # no song is as dry as a voice line
                sung *= fft.rfft(room(rng), n_fft)
            # Both have been filtered; now how loud the voice is over the music, where it sounds: -8 to 12 dB.
            snr = decibel(rng.uniform(-8, 12))
            spectrum += sung * (snr * LEVEL / level(sung, sung_s * RATE))
    if rng.random() < 0.15:  # old recordings and lossy files end at 2.5 to 7 kHz
        spectrum *= low_pass(n_fft, rng.uniform(2500, 7000))
    song = fft.irfft(spectrum, n_fft)[:samples]
    song *= LEVEL / rms(song)
    if rng.random() < 0.4:  # the limiter of a loud master
        drive = rng.uniform(2, 8)
        song = np.tanh(song * drive)
        song *= LEVEL / rms(song)
    song *= decibel(float(np.clip(rng.normal(0, 3), -9, 9)))  # songs differ in loudness
    return np.clip(song, -1, 1, dtype=np.float32), segments


def some_music(rng: np.random.Generator, music: list[np.ndarray], samples: int) -> np.ndarray:
    """Return part of a random clip, often a little faster or slower, which also shifts its pitch."""
    clip = music[rng.integers(len(music))].astype(np.float32)
    if rng.random() < 0.5:  # starts somewhere and goes on at the beginning: a cut, like many in songs
        clip = np.roll(clip, rng.integers(len(clip)))
    if rng.random() < 0.5:
        clip = at_speed(np.pad(clip, (0, len(clip) // 4), mode="wrap"), rng.uniform(0.85, 1.18))
    clip = clip[:samples]
    return clip * (LEVEL / max(rms(clip), 1.0))


def voice_track(rng: np.random.Generator, lines: list[Line], samples: int) -> tuple[np.ndarray, tuple[Segment, ...]]:
    """Put lines of one speaker one after another with pauses; return the track and when it sounds."""
    voice, spans = np.zeros(samples, np.float32), []
    dense = rng.random() < 0.25  # verse without a break, or lines far apart
    place = int(rng.uniform(-4, 5) * RATE)
    while place < samples:
        line = lines[rng.integers(len(lines))]
        speed = rng.uniform(0.9, 1.12) if rng.random() < 0.35 else 1.0  # also another register
        first, last = max(0, -place), min(int(len(line.sound) / speed), samples - place)
        if last > first:
            sound = line.sound.astype(np.float32) if speed == 1 else at_speed(line.sound.astype(np.float32), speed)
            gain = LEVEL / (32767 * line.rms) * decibel(rng.normal(0, 2))
            voice[place + first : place + last] += gain * sound[first:last]
            spans += [(place / RATE + start / speed, place / RATE + end / speed, "sing") for start, end in line.spans]
        pause_s = rng.uniform(0.05, 0.6) if dense else 0.3 + rng.exponential(4.0)
        place += int(len(line.sound) / speed + pause_s * RATE)
    end_s = samples / RATE
    inside = [(max(0.0, start), min(end, end_s), label) for start, end, label in spans if start < end_s and end > 0]
    return voice, merge_segments(inside, JOINED_S)


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
    hertz = 440 * 2 ** ((midi - 69) / 12)
    # One period of the waveform as a table, with no partial above 7.5 kHz; the phase says where to read in it.
    partials = np.arange(1, max(2, min(rng.integers(4, 16), int(7500 / hertz.max()))), rng.choice([1, 1, 2]))
    heights = partials ** -rng.uniform(0.5, 2.2) * decibel(rng.normal(0, 4, len(partials)))
    table = (np.sin(2 * np.pi * np.outer(np.arange(1024) / 1024, partials)) @ heights).astype(np.float32)
    time = np.arange(samples) / 80
    phase = np.cumsum(np.interp(time, np.arange(steps), hertz)) * (1024 / RATE)
    return table[phase.astype(np.int64) & 1023] * np.interp(time, np.arange(steps), gaussian_filter1d(loudness, 3))


def gate(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return a gain that goes on and off, about once a second."""
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
    """Play a sound faster or slower, by linear interpolation: float32 (samples / speed,)."""
    place = np.arange(int(len(sound) / speed), dtype=np.float64) * speed
    low = np.minimum(place.astype(np.int32), len(sound) - 2)
    part = (place - low).astype(np.float32)
    start = sound[low]
    return start + (sound[low + 1] - start) * part


def decibel(value: float | np.ndarray) -> float | np.ndarray:
    """Return the factor of an amplitude that is so many dB."""
    return 10 ** (value / 20)


def rms(sound: np.ndarray) -> float:
    """Return the root mean square of a sound."""
    return math.sqrt(np.dot(sound, sound) / len(sound)) or 1e-9


def level(spectrum: np.ndarray, samples: float) -> float:
    """Return the RMS over so many samples of the sound whose one-sided spectrum this is (Parseval's theorem)."""
    n_fft = 2 * (len(spectrum) - 1)
    parts = spectrum.view(np.float32)
    return math.sqrt(2 * float(np.dot(parts, parts)) / n_fft / samples) or 1e-9
