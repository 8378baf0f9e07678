"""Decoding audio files, and the cache of decoded clips that all data sets share."""

import os
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import soundfile
import soxr

from dl4mir_utils.errors import AudioDecodeError

# Lossy codecs may end a few milliseconds early or late; more than this is a broken file.
LENGTH_TOLERANCE_S = 0.05
SILENCE = 1e-4  # of full scale: -80 dB, a few steps of 16 bits; what never gets louder is silent
BLOCK_FRAMES = 2**20  # read at once: 24 s at 44.1 kHz


def load_audio(
    path: str | os.PathLike, sample_rate: int = 16000, start_s: float = 0.0, duration_s: float | None = None
) -> np.ndarray:
    """Decode a file, or a part of it, to mono.

    Parameters
    ----------
    path : path-like
        Any format libsndfile reads: WAV, FLAC, Ogg Vorbis, Ogg Opus, MP3, AIFF, ...
    sample_rate : int
        Sample rate of the result in Hz; the file is resampled if its own differs.
    start_s, duration_s : float
        Where to read, in seconds; `duration_s=None` reads to the end.

    Returns
    -------
    float32 array (samples,)
        Mean of the channels, limited to [-1, 1]. With `duration_s` it has exactly
        `round(duration_s * sample_rate)` samples.

    Raises
    ------
    AudioDecodeError
        The file is missing, is not audio, or ends before `start_s + duration_s`.
    """
    try:
        return _decode(Path(path), sample_rate, start_s, duration_s)
    except (OSError, ValueError, soundfile.SoundFileError) as error:
        raise AudioDecodeError({str(path): _reason(Path(path), error)}) from error


def _decode(path: Path, sample_rate: int, start_s: float, duration_s: float | None) -> np.ndarray:
    with soundfile.SoundFile(path) as file:
        rate = file.samplerate
        file.seek(min(round(start_s * rate), file.frames))
        frames = file.frames if duration_s is None else round(duration_s * rate)
        resampler = soxr.ResampleStream(rate, sample_rate, 1)
        read, parts = 0, []
        # In blocks: an hour of stereo would take 1.3 GB, as one channel at 16 kHz it takes 0.2 GB.
        while len(block := file.read(min(BLOCK_FRAMES, frames - read), dtype="float32", always_2d=True)):
            read += len(block)
            mono = block.mean(axis=1)
            parts.append(mono if rate == sample_rate else resampler.resample_chunk(mono))
    missing_s = (1 / rate if duration_s is None else duration_s) - read / rate
    if missing_s > LENGTH_TOLERANCE_S or not read:
        wanted = "at least one sample" if duration_s is None else f"{duration_s:.3f} s"
        raise ValueError(f"holds {read / rate:.3f} s from {start_s:.3f} s on, needed {wanted}")
    if rate != sample_rate:
        parts.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    audio = np.concatenate(parts)
    if duration_s is not None:
        samples = round(duration_s * sample_rate)
        audio = np.pad(audio[:samples], (0, max(0, samples - len(audio))))
    return np.clip(audio, -1.0, 1.0, out=audio)


def file_duration(path: str | os.PathLike) -> float:
    """Return how many seconds of a file can be decoded.

    The header of an MP3 only estimates that (8 s too long for one song of ultrastar_cc), so the end is read.

    Raises
    ------
    AudioDecodeError
        The file is missing, is not audio, or holds no sound.
    """
    try:
        with soundfile.SoundFile(path) as file:
            start, back = file.frames, file.samplerate
            while start > 0:
                start, back = max(0, start - back), 2 * back
                file.seek(start)
                if found := len(file.read()):
                    return (start + found) / file.samplerate
            raise ValueError("holds no sound")
    except (OSError, ValueError, soundfile.SoundFileError) as error:
        raise AudioDecodeError({str(path): _reason(Path(path), error)}) from error


def _reason(path: Path, error: Exception) -> str:
    if not path.exists():
        return "the file does not exist"
    if path.is_dir():
        return "this is a folder, not a file"
    if not path.stat().st_size:
        return "the file is empty"
    if not os.access(path, os.R_OK):
        return "you may not read the file"
    if str(error).startswith("Error opening"):  # libsndfile says even of an MP3 with errors that it does not exist
        return "not a sound file, or damaged, or in a format other than WAV, FLAC, Ogg, MP3 and AIFF"
    return str(error).replace(f"{str(path)!r}", "the file")


@dataclass(frozen=True)
class Clip:
    """Where one clip's audio is: the key of the cache.

    Attributes
    ----------
    name : str
        What error messages call it.
    path : Path
        The file.
    start_s, duration_s : float
        Which part of the file, in seconds.
    sample_rate : int
        Sample rate after decoding, in Hz.
    """

    name: str
    path: Path
    start_s: float
    duration_s: float
    sample_rate: int

    @property
    def samples(self) -> int:
        """Number of samples of the decoded clip."""
        return round(self.duration_s * self.sample_rate)

    def decode(self, start: int = 0, samples: int | None = None) -> np.ndarray:
        """Decode the clip, or `samples` samples of it from sample `start` on: float32 (samples,)."""
        samples = self.samples if samples is None else samples
        try:
            return _decode(
                self.path, self.sample_rate, self.start_s + start / self.sample_rate, samples / self.sample_rate
            )
        except (OSError, ValueError, soundfile.SoundFileError) as error:
            raise AudioDecodeError({self.name: _reason(self.path, error)}) from error


class AudioCache:
    """Decoded clips kept in memory, shared by all data sets of the process.

    Attributes
    ----------
    limit_mib : float
        Memory bound in MiB, 512 by default: 13 minutes of 16 kHz audio take 48 MiB. Clips used
        longest ago leave first. A data set that does not fit as a whole is not cached at all:
        it is decoded anew in every epoch.
    """

    def __init__(self, limit_mib: float = 512) -> None:
        self.limit_mib = limit_mib
        self._audio: OrderedDict[Clip, np.ndarray] = OrderedDict()
        self._lock = Lock()

    @property
    def used_mib(self) -> float:
        """Memory taken now, in MiB."""
        return sum(audio.nbytes for audio in self._audio.values()) / 2**20

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._audio.clear()

    def fill(self, clips: Iterable[Clip]) -> bool:
        """Decode all the clips that are not here yet, in parallel; return False if they cannot all fit.

        Raises
        ------
        AudioDecodeError
            Naming every clip that could not be decoded.
        """
        clips = list(dict.fromkeys(clips))
        needed_mib = sum(4 * clip.samples for clip in clips) / 2**20
        if needed_mib > self.limit_mib:
            return False
        with self._lock:
            for clip in clips:
                if clip in self._audio:
                    self._audio.move_to_end(clip)
            missing = [clip for clip in clips if clip not in self._audio]
            failures = {}
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                for clip, audio in zip(missing, pool.map(_decode_or_error, missing), strict=True):
                    if isinstance(audio, AudioDecodeError):
                        failures |= audio.failures
                    else:
                        audio.flags.writeable = False
                        self._audio[clip] = audio
            while self.used_mib > self.limit_mib:
                self._audio.popitem(last=False)
        if failures:
            raise AudioDecodeError(failures)
        return True

    def read(self, clip: Clip, start: int = 0, samples: int | None = None) -> np.ndarray:
        """Return (a part of) a clip as float32 (samples,): from memory if it is here, else from its file."""
        audio = self._audio.get(clip)
        if audio is None:
            return clip.decode(start, samples)
        return audio[start:] if samples is None else audio[start : start + samples]


def _decode_or_error(clip: Clip) -> np.ndarray | AudioDecodeError:
    try:
        return clip.decode()
    except AudioDecodeError as error:
        return error


audio_cache = AudioCache()
