"""The cache of decoded clips that all data sets share."""

import os
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np

from dl4mir_utils.decoding import load_audio
from dl4mir_utils.errors import AudioDecodeError


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
            return load_audio(
                self.path, self.sample_rate, self.start_s + start / self.sample_rate, samples / self.sample_rate
            )
        except AudioDecodeError as error:
            raise AudioDecodeError({self.name: " ".join(error.failures.values())}) from error


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
