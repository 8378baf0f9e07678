"""A value that moves, and a figure (and a sound) that follow it: drawn beforehand, so it moves in pages, too."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dl4mir_utils.errors import BadArgumentError
from dl4mir_utils.player.guess import three_digits
from dl4mir_utils.player.sound import chain, fit
from dl4mir_utils.player.sync import bundle, figure_png

MAX_BYTES = 300_000  # of all frames together
QUALITIES = (100, 85, 70, 55, 40)  # of WebP; 100 loses nothing
MAX_FRAMES = 60


@dataclass(frozen=True, eq=False)
class Slide:
    """What `slide` returns: a widget in a notebook, the figure of one value where widgets cannot run.

    Parameters
    ----------
    frames : tuple of bytes
        A WebP picture for each value.
    values : tuple of str
        As they are shown.
    texts : tuple of str
        What each picture shows, for readers who do not see it.
    still : bytes
        PNG of the value that is shown first.
    start : int
        Number of that value.
    sounds : tuple of float32 array (samples,)
        One for each value, or none.
    sr : int
        Sample rate in Hz.
    name, title, description : str
    """

    frames: tuple[bytes, ...]
    values: tuple[str, ...]
    texts: tuple[str, ...]
    still: bytes
    start: int
    sounds: tuple[np.ndarray, ...]
    sr: int
    name: str
    title: str
    description: str

    @property
    def text(self) -> str:
        """The text version: title, description, the values, and what the first picture shows."""
        heard = ", each with a sound" if self.sounds else ""
        lines = [f"{self.title or self.name}: {self.name} from {self.values[0]} to {self.values[-1]}{heard}"]
        lines += [self.description] if self.description else []
        return "\n  ".join([*lines, f"{self.name} {self.values[self.start]}: {self.texts[self.start]}"])

    def content(self) -> dict[str, Any]:
        """Return all that the browser needs."""
        content: dict[str, Any] = {
            "title": self.title,
            "description": self.description,
            "tracks": [],
            "slide": {"name": self.name, "values": list(self.values), "texts": list(self.texts), "start": self.start},
            "frames": list(self.frames),
        }
        if self.sounds:
            audio, spans = chain(self.sounds, self.sr)
            content["slide"]["spans"] = spans
            content |= {"audio": audio, "audio_type": "audio/flac"}
        return content

    def png(self) -> bytes:
        """Return the still picture."""
        return self.still

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Widget, figure and text; without anywidget (as on Colab) a piece of HTML in the widget's place."""
        return bundle(self)


def slide(
    draw: Callable[[Any], Any],
    values: Sequence[Any],
    name: str,
    title: str = "",
    description: str = "",
    texts: Sequence[str] | Callable[[Any], str] = (),
    start: int = 0,
    sound: Callable[[Any], np.ndarray] | None = None,
    sr: int = 16000,
) -> Slide:
    """Show a figure that follows a value: drag the slider, use the arrow keys, or let it run.

    Every figure is drawn at once, here, so the same slider works in an exported page. Keep what changes easy to see:
    give the axes fixed limits.

    Parameters
    ----------
    draw : callable
        Takes a value, draws a new Matplotlib figure and returns it, or its axes.
    values : sequence
        2 to 60 values; numbers with a fraction are shown with three digits, anything else as text.
    name : str
        What the value is, with its unit: "learning rate", "frequency (Hz)".
    title, description : str
        What it is; what is to be seen when the value moves.
    texts : sequence of str, or callable
        What each figure shows, for readers who cannot see it. The value alone by default.
    start : int
        Number of the value that is shown first.
    sound : callable, optional
        Takes a value and returns float (samples,) in [-1, 1]: what is heard when the value moves.
    sr : int
        Sample rate of the sounds in Hz.

    Raises
    ------
    BadArgumentError
        There are too few or too many values, draw returns no figure, or the pictures together take more than 300 KB.
    """
    values = list(values)
    if not 2 <= len(values) <= MAX_FRAMES or not 0 <= start < len(values):
        raise BadArgumentError(f"slide needs 2 to {MAX_FRAMES} values and start inside of them, not {len(values)}.")
    shown = tuple(three_digits(value) if isinstance(value, (float, np.floating)) else str(value) for value in values)
    told = [texts(value) for value in values] if callable(texts) else list(texts) or list(shown)
    if len(told) != len(values):
        raise BadArgumentError(f"{len(told)} texts for {len(values)} values: give one for each.")
    pictures = [_drawn(draw(value)) for value in values]
    heard = [sound(value) for value in values] if sound else []
    sounds = tuple(fit(audio, f"{name} {text}") for audio, text in zip(heard, shown, strict=False))
    frames = _packed(pictures)
    return Slide(frames, shown, tuple(told), pictures[start], start, sounds, int(sr), name, title, description)


def _drawn(made: Any) -> bytes:
    """Return the PNG of what a drawing function gave, and close the figure so that it is not shown twice."""
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    axes = made.flat[0] if isinstance(made, np.ndarray) and made.size else made
    figure: Figure | None = axes if isinstance(axes, Figure) else getattr(axes, "figure", None)
    if figure is None:
        raise BadArgumentError("The drawing function of slide must return a Matplotlib figure or its axes.")
    picture = figure_png(figure)
    plt.close(figure)
    return picture


def _packed(pictures: Sequence[bytes]) -> tuple[bytes, ...]:
    """Turn PNG into WebP, at the best quality at which all of them fit into the limit."""
    from PIL import Image

    images = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    if len({image.size for image in images}) > 1:
        raise BadArgumentError("The figures of slide differ in size: draw all with the same figsize.")
    for quality in QUALITIES:
        frames = []
        for image in images:
            buffer = io.BytesIO()
            image.save(buffer, "WEBP", lossless=quality == 100, quality=min(quality, 85))
            frames.append(buffer.getvalue())
        if sum(map(len, frames)) <= MAX_BYTES:
            return tuple(frames)
    size = sum(map(len, frames)) // 1000
    raise BadArgumentError(
        f"The {len(frames)} figures of slide take {size} KB; at most {MAX_BYTES // 1000}: draw fewer."
    )
