"""A plain audio player for notebooks, without a kernel or a widget behind it."""

import base64
import html
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile

from dl4mir_utils.errors import BadArgumentError

GAP_S = 0.2  # of silence between two sounds in one file


@dataclass(frozen=True)
class Sound:
    """One sound of a player: audio float (samples,) in [-1, 1], and the words that go with it."""

    audio: np.ndarray
    sample_rate: int
    title: str
    description: str

    @property
    def caption(self) -> str:
        """Title, length and description in one line."""
        caption = f"{self.title or 'Sound'} ({len(self.audio) / self.sample_rate:.1f} s)"
        return f"{caption}: {self.description}" if self.description else caption

    def to_html(self) -> str:
        """Return the figure element, with the sound as MP3 inside it."""
        buffer = io.BytesIO()
        soundfile.write(buffer, self.audio, self.sample_rate, format="MP3", subtype="MPEG_LAYER_III")
        data = base64.b64encode(buffer.getvalue()).decode()
        caption = html.escape(self.caption)
        return (
            '<figure class="dl4mir-sound" style="display:inline-block;margin:0.3em 1em 0.3em 0;max-width:22em">'
            f"<figcaption>{caption}</figcaption>"
            f'<audio controls preload="none" aria-label="{caption}" src="data:audio/mpeg;base64,{data}"></audio>'
            "</figure>"
        )


@dataclass(frozen=True)
class Sounds:
    """What `play` returns; shown as one player per sound."""

    sounds: tuple[Sound, ...]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {
            "text/plain": "\n".join(sound.caption for sound in self.sounds),
            "text/html": "".join(sound.to_html() for sound in self.sounds),
        }


def play(
    audio: np.ndarray | Sequence[tuple[str, np.ndarray]],
    sample_rate: int = 16000,
    title: str = "",
    description: str = "",
) -> Sounds:
    """Show a player for a sound, or a row of players.

    Parameters
    ----------
    audio : float array (samples,) or (samples, 1), or list of (title, array)
        Sound in [-1, 1]. Louder sound is turned down until it fits; soft sound stays soft.
    sample_rate : int
        In Hz; MP3 allows 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100 and 48000.
    title : str
        What it is (for a list: the titles in it are used).
    description : str
        What is to be heard, for readers who cannot or do not listen.

    Raises
    ------
    BadArgumentError
        The sound is empty, holds NaN or infinity, or has a rate MP3 does not allow.
    """
    sounds = [(title, audio)] if isinstance(audio, np.ndarray) or hasattr(audio, "numpy") else audio
    if sample_rate not in (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000):
        raise BadArgumentError(f"MP3 has no sample rate of {sample_rate} Hz; resample, e.g. to 16000 Hz.")
    return Sounds(tuple(Sound(fit(sound, name), sample_rate, name, description) for name, sound in sounds))


def fit(audio: np.ndarray, name: str) -> np.ndarray:
    """Return the sound as float32 (samples,), turned down where it goes beyond [-1, 1]."""
    audio = np.ravel(audio).astype(np.float32)
    if not len(audio) or not np.isfinite(audio).all():
        raise BadArgumentError(f"{name or 'The sound'} is empty or holds NaN or infinity.")
    return audio / max(1.0, float(np.abs(audio).max()))


def chain(sounds: Iterable[np.ndarray], sr: int) -> tuple[bytes, list[list[float]]]:
    """Return sounds one behind the other as one FLAC file, and start and end of each in seconds.

    Parameters
    ----------
    sounds : iterable of float32 array (samples,)
        With silence between them, so that a player that stops a little late plays nothing of the next.
    sr : int
        Sample rate in Hz.
    """
    spans, parts, start = [], [], 0
    for sound in sounds:
        spans.append([start / sr, (start + len(sound)) / sr])
        parts += [sound, np.zeros(round(GAP_S * sr), np.float32)]
        start += len(sound) + len(parts[-1])
    buffer = io.BytesIO()
    soundfile.write(buffer, np.concatenate(parts), sr, format="FLAC", subtype="PCM_16")
    return buffer.getvalue(), spans
