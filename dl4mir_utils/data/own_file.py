"""One's own music in a notebook: a file that is named, or chosen with a button."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from dl4mir_utils.decoding import file_duration, load_audio

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
ENDINGS = ".wav,.flac,.ogg,.opus,.mp3,.aiff,.aif,.m4a,.aac,.wma,.mp4"


class OwnFile:
    """What `own_file` returns: shows a button, and holds what was chosen.

    Parameters
    ----------
    path : str
        A file on the machine where the notebook runs; empty to choose one with the button.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._upload: Any = None

    @property
    def name(self) -> str:
        """Name of the file, empty as long as there is none."""
        chosen = self._chosen()
        return Path(self.path).name if self.path else chosen[0] if chosen else ""

    def audio(self, sample_rate: int = 16000, start_s: float = 0.0, seconds: float = 60.0) -> np.ndarray | None:
        """Decode a part of the file to mono.

        Parameters
        ----------
        sample_rate : int
            In Hz; the sound is resampled to it.
        start_s, seconds : float
            Where to begin, and how much to read; less where the file is shorter.

        Returns
        -------
        float32 array (samples,) or None
            In [-1, 1]; None, and a line that says what to do, where no file was chosen.

        Raises
        ------
        AudioDecodeError
            The file is missing or cannot be decoded; the message says why.
        """
        if self.path:
            return _part(Path(self.path).expanduser(), sample_rate, start_s, seconds)
        chosen = self._chosen()
        if not chosen:
            print("No file yet: choose one with the button above, then run this cell again.")
            return None
        name, content = chosen
        # Decoders want a file; it is gone when the sound is decoded.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(name).name
            path.write_bytes(content)
            return _part(path, sample_rate, start_s, seconds)

    def _chosen(self) -> tuple[str, bytes] | None:
        """Name and bytes of what was uploaded: ipywidgets 7 gives a dictionary by name, 8 a tuple of dictionaries."""
        value = self._upload.value if self._upload is not None else None
        if not value:
            return None
        if isinstance(value, dict):
            name, entry = next(iter(value.items()))
            return name, bytes(entry["content"])
        return value[0]["name"], bytes(value[0]["content"])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Return the button, and what it is for in words; in a page without a kernel the words alone."""
        text = f"your own file: {self.name}" if self.name else "Open this notebook in Jupyter to choose a sound file."
        data: dict[str, Any] = {"text/plain": text, "text/html": f"<p><em>{text}</em></p>"}
        try:
            import ipywidgets
        except ImportError:
            return data
        if self._upload is None:
            self._upload = ipywidgets.FileUpload(
                accept=ENDINGS, multiple=False, description="Choose a sound file", layout={"width": "auto"}
            )
        return data | {WIDGET_MIME: {"version_major": 2, "version_minor": 0, "model_id": self._upload.model_id}}


def own_file(path: str = "") -> OwnFile:
    """Take a sound file of one's own: by its path, or with a button.

    Parameters
    ----------
    path : str
        WAV, FLAC, Ogg, MP3 or AIFF, and with PyAV or ffmpeg M4A, AAC or WMA, on the machine where the notebook runs.
        Empty: show a button; the file goes to the kernel and nowhere else.
    """
    return OwnFile(path)


def _part(path: Path, sample_rate: int, start_s: float, seconds: float) -> np.ndarray:
    length_s = file_duration(path)
    # A start behind the end is an error of load_audio, which says how long the file is.
    return load_audio(path, sample_rate, start_s, max(0.1, min(seconds, length_s - start_s)))
