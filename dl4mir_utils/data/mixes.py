"""Songs to find singing in, mixed on the fly: free dry voices over free instrumental music."""

from __future__ import annotations

import itertools
import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from dl4mir_utils.data.pipeline import fetch_ahead
from dl4mir_utils.data.studio import (
    LEVEL,
    RATE,
    REVERB_S,
    at_speed,
    decibel,
    equaliser,
    gate,
    in_the_studio,
    lead,
    level,
    low_pass,
    rms,
    room,
)
from dl4mir_utils.data.table import ClipTable
from dl4mir_utils.errors import BadArgumentError
from dl4mir_utils.segments import PAUSE_S, Segment, frame_labels, merge_segments

if TYPE_CHECKING:
    import tensorflow as tf

Split = Literal["train", "valid", "test"]
SPLITS = ("train", "valid", "test")
HOP = 160  # samples: 10 ms, the grid on which we look where a voice sounds
QUIET_DB = -32  # below the line's loudest place: silence


class Line(NamedTuple):
    """A voice line in memory: int16 samples (half the memory of float32), level, and where it sounds, in seconds."""

    sound: np.ndarray
    rms: float
    spans: tuple[tuple[float, float], ...]


class SingingMixes:
    """Mixes of ten seconds, say, with the times of their singing.

    Every mix is voice lines of one speaker over an instrumental clip. Voices, artists of the music and
    melodies are never in two splits. Some mixes have no voice, and many have something that only
    resembles one: a vibrato lead, another piece that comes and goes. Only the voice is labelled "sing";
    a quarter of the lines are spoken, and count as well, as rap does. The valid and test mixes are
    always the same; training mixes are new in every epoch.

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
            Start and end in seconds of what is sung or spoken, exact to 10 ms. Pauses up to 0.6 s count as singing.

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

        def one_epoch(_: tf.Tensor) -> tf.data.Dataset:
            epoch = tf.ensure_shape(tf.numpy_function(lambda: next(epochs), [], tf.int64), ())
            return tf.data.Dataset.range(count).batch(batch).map(lambda indices: (indices, epoch))

        dataset = tf.data.Dataset.range(1).flat_map(one_epoch)
        return fetch_ahead(dataset, math.ceil(count / batch), make_batch, samples, (frames,))

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
    edges = np.flatnonzero(np.diff(loud, prepend=False, append=False)) * HOP / RATE
    return math.sqrt(power[loud].mean()), tuple(zip(edges[::2], edges[1::2], strict=True))


def mix_song(
    rng: np.random.Generator, speakers: list[list[Line]], music: list[np.ndarray], samples: int
) -> tuple[np.ndarray, tuple[Segment, ...]]:
    """Make one mix of so many samples; every random choice is drawn from `rng`."""
    from scipy import fft

    # Long enough for the reverb's tail, and with small factors, or the FFT is slow.
    n_fft = 2048 * fft.next_fast_len(math.ceil((samples + REVERB_S * RATE) / 2048))
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
        speed = rng.uniform(0.85, 1.18)
        clip = at_speed(np.concatenate([clip, clip[: len(clip) // 5]])[: int(samples * speed) + 2], speed)
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
        sound = line.sound.astype(np.float32)
        sound = sound if speed == 1 else at_speed(sound, speed)
        length = len(sound)
        first, last = max(0, -place), min(length, samples - place)
        if last > first:
            gain = LEVEL / (32767 * line.rms) * decibel(rng.normal(0, 2))
            voice[place + first : place + last] += gain * sound[first:last]
            spans += [(place / RATE + start / speed, place / RATE + end / speed, "sing") for start, end in line.spans]
        pause_s = rng.uniform(0.05, 0.6) if dense else 0.3 + rng.exponential(3.0)
        place += length + int(pause_s * RATE)
    end_s = samples / RATE
    inside = [(max(0.0, start), min(end, end_s), label) for start, end, label in spans if start < end_s and end > 0]
    return voice, merge_segments(inside, PAUSE_S)
