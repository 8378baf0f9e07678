"""Decoding sound files to mono, at any sample rate."""

import os
from pathlib import Path

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
