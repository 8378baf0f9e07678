"""The synchronised player: sound, its log-mel picture and any number of tracks on one time axis."""

import base64
import html
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import soundfile

from dl4mir_utils.environment import STYLE
from dl4mir_utils.errors import BadArgumentError
from dl4mir_utils.player.sound import Sound, fit
from dl4mir_utils.player.tracks import Segments, Track, draw_picture, pack

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
MEL_BANDS = 80
MEL_LOW_HZ = 40.0
MEL_RANGE_DB = 80.0
MEL_HOP_S = 0.016
MEL_FRAMES = 10_000  # at most; a long sound gets a larger hop, because no screen has more columns
# One script and one style sheet serve players, maps of sounds, sliders and the microphone.
PARTS = {
    "js": ("map", "slide", "player", "edit", "capture", "listen"),
    "css": ("map", "slide", "player", "edit", "listen"),
}
CODE = {
    kind: "".join((Path(__file__).parent / f"{name}.{kind}").read_text("utf-8") for name in names)
    for kind, names in PARTS.items()
}


@dataclass(frozen=True, eq=False)
class Player:
    """What `player` returns: a widget in a notebook, a figure where widgets cannot run.

    Parameters
    ----------
    audio : float32 array (samples,) in [-1, 1]
    sr : int
        Sample rate in Hz.
    tracks : tuple of Track
    title, description : str
    """

    audio: np.ndarray
    sr: int
    tracks: tuple[Track, ...]
    title: str
    description: str

    @property
    def duration_s(self) -> float:
        """Length of the sound in seconds."""
        return len(self.audio) / self.sr

    @property
    def text(self) -> str:
        """The text version: title, length, description, and a line for each track."""
        caption = Sound(self.audio, self.sr, self.title, self.description).caption
        return "\n  ".join([caption, *(track.summary() for track in self.tracks)])

    def segments(self, name: str) -> "pd.DataFrame":
        """Return the segments of a track as the reader has left them.

        Parameters
        ----------
        name : str
            Of a `Segments` track.

        Returns
        -------
        pandas.DataFrame
            A row for each segment, in order of time: `start_s` and `end_s` in seconds from the beginning of the sound,
            and `label`. Times that the reader has changed are whole milliseconds.

        Raises
        ------
        BadArgumentError
            There is no such track.
        """
        import pandas as pd

        given = self._segments_track(name).segments
        table = pd.DataFrame(self._edits.get(name, given), columns=["start_s", "end_s", "label"])
        return table.astype({"start_s": float, "end_s": float})

    def edited(self, name: str) -> bool:
        """Return whether the reader has changed the segments of a track. For `name` see `segments`."""
        return self._segments_track(name).name in self._edits

    def _segments_track(self, name: str) -> Segments:
        found = {track.name: track for track in self.tracks if isinstance(track, Segments)}
        if name not in found:
            raise BadArgumentError(f"There is no track of segments {name!r}, but: {', '.join(found) or 'none at all'}.")
        return found[name]

    @property
    def _edits(self) -> dict[str, list]:
        """What the reader has changed, by the name of the track."""
        return self._widget.edits if "_widget" in self.__dict__ else {}

    @cached_property
    def _widget(self) -> Any:
        """The widget, one for all places where the player is shown: what is changed in one changes in all."""
        return make_widget(self)

    @cached_property
    def _log_mel(self) -> tuple[np.ndarray, float, list[tuple[float, str]]]:
        return log_mel(self.audio, self.sr)

    def content(self) -> dict[str, Any]:
        """Return all that the browser needs. The sound is FLAC: every sample is where the tracks expect it.

        MP3 would be a fifth of the size, but it begins with the delay of its encoder, which not every program takes
        off again, and writing it takes 20 times as long.
        """
        buffer = io.BytesIO()
        soundfile.write(buffer, self.audio, self.sr, format="FLAC", subtype="PCM_16")
        decibels, hop_s, ticks = self._log_mel
        mel = {
            "kind": "mel",
            "name": "log-mel",
            "summary": f"log-mel picture, {MEL_LOW_HZ:.0f} Hz to {self.sr // 2} Hz, {MEL_RANGE_DB:.0f} dB",
            "hop": hop_s,
            "start": 0.0,
            "ticks": ticks,
        }
        return {
            "title": self.title,
            "description": self.description,
            "duration": self.duration_s,
            "audio": buffer.getvalue(),
            "audio_type": "audio/flac",
            "tracks": [mel | pack(decibels, -MEL_RANGE_DB, 0.0, 8), *(track.content() for track in self.tracks)],
        }

    def figure(self) -> "Figure":
        """Draw the same content as a static figure: the log-mel picture, below it one axis for each track."""
        import matplotlib
        from matplotlib.figure import Figure

        decibels, hop_s, ticks = self._log_mel
        with matplotlib.rc_context(STYLE | {"axes.titlesize": 10, "font.size": 9}):
            heights = [1.5, *([1.0] * len(self.tracks))]
            figure = Figure(figsize=(8, 1.25 * sum(heights) + 0.5), layout="constrained")
            axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
            draw_picture(axes[0], decibels, (-MEL_RANGE_DB, 0.0), 0.0, hop_s, "magma")
            axes[0].set_yticks(*zip(*ticks, strict=True))
            axes[0].set_title(self.title or "Sound")
            for ax, track in zip(axes[1:], self.tracks, strict=True):
                track.draw(ax)
            axes[-1].set(xlabel="time (s)", xlim=(0, self.duration_s))
        return figure

    def png(self) -> bytes:
        """Return that figure as PNG."""
        return figure_png(self.figure())

    def to_html(self) -> str:
        """Return the player as a piece of a page that needs neither kernel nor network."""
        return as_html(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Widget, figure and text; without anywidget (as on Colab) a piece of HTML in the widget's place."""
        return bundle(self, lambda: self._widget)


def player(
    audio: np.ndarray, sr: int = 16000, tracks: Sequence[Track] = (), title: str = "", description: str = ""
) -> Player:
    """Show a sound with its log-mel picture and tracks that move with it.

    Click in the picture to move there; space plays, arrows skip, + and - zoom. Editable segments can be changed by
    pointer and keys; `Player.segments` returns them. On Colab it shows as HTML, or as a widget after
    ``%pip install anywidget`` (which switches Colab's custom widget manager on by itself).

    Parameters
    ----------
    audio : float array (samples,) or (samples, 1)
        Sound in [-1, 1]. Louder sound is turned down until it fits; soft sound stays soft.
    sr : int
        Sample rate in Hz.
    tracks : list of Curve, Segments, ClassBars, HeatMap
        From top to bottom; bars and pies stand below the time axis.
    title : str
        What it is.
    description : str
        What is to be heard and seen, for readers who cannot or do not.

    Raises
    ------
    BadArgumentError
        The sound is empty, holds NaN or is not mono; a track lasts longer than the sound; two editable tracks have one
        name.
    """
    shape = np.shape(audio)
    if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
        raise BadArgumentError(f"The player takes one channel, (samples,), not {shape}; mix down: audio.mean(axis=1).")
    if sr != int(sr) or not 1000 <= sr <= 192_000:
        raise BadArgumentError(f"sr is the sample rate in Hz, such as 16000, not {sr}.")
    made = Player(fit(audio, title), int(sr), tuple(tracks), title, description)
    for track in made.tracks:
        if not isinstance(track, Track):
            raise BadArgumentError(f"tracks holds Curve, Segments, ClassBars and HeatMap, not {type(track).__name__}.")
        # Front ends may fill up the last frame, so a track may end a little after the sound.
        if track.end_s > made.duration_s + getattr(track, "hop_s", 0.0) + 0.5:
            raise BadArgumentError(
                f"{track.name} lasts until {track.end_s:.1f} s, but the sound only {made.duration_s:.1f} s: "
                "check hop_s (seconds from frame to frame), start_s and sr."
            )
    fitted = tuple(track.ending_with(made.duration_s) if _editable(track) else track for track in made.tracks)
    names = [track.name for track in fitted if isinstance(track, Segments)]
    for track in filter(_editable, fitted):
        if names.count(track.name) > 1:
            raise BadArgumentError(f"Two tracks of segments are named {track.name!r}; give the editable one its own.")
    return replace(made, tracks=fitted)


def _editable(track: Track) -> bool:
    return isinstance(track, Segments) and track.editable


def log_mel(audio: np.ndarray, sr: int) -> tuple[np.ndarray, float, list[tuple[float, str]]]:
    """Compute the picture of a sound with NumPy alone (no TensorFlow or librosa, which start slowly).

    Parameters
    ----------
    audio : float array (samples,)
    sr : int
        Sample rate in Hz.

    Returns
    -------
    decibels : float32 array (frames, 80)
        In [-80, 0], relative to the loudest band of the loudest frame. Frame i has its middle at (i + 0.5) hops.
    hop_s : float
        In seconds; 16 ms, more for sounds longer than 160 s.
    ticks : list of (band, text)
        Some frequencies and the bands where they lie.
    """
    from scipy.fft import rfft

    n_fft = 2 ** round(np.log2(0.046 * sr))
    hop = max(round(MEL_HOP_S * sr), -(-len(audio) // MEL_FRAMES))
    frames = -(-len(audio) // hop)
    padded = np.pad(audio, (n_fft // 2, n_fft + hop))[hop // 2 :]
    cuts = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop][:frames]
    window = np.hanning(n_fft + 1)[:-1].astype(np.float32)
    # Mel scale after O'Shaughnessy, Speech Communication (1987): 2595 log10(1 + f / 700 Hz).
    edges_mel = np.linspace(_mel(MEL_LOW_HZ), _mel(sr / 2), MEL_BANDS + 2)
    edges_hz = 700 * (10 ** (edges_mel / 2595) - 1)
    bins_hz = np.arange(n_fft // 2 + 1) * sr / n_fft
    # Triangles; a band narrower than a bin keeps at least the bin's share at its middle.
    width_hz = np.maximum(np.diff(edges_hz), sr / n_fft)
    rising = (bins_hz[:, None] - (edges_hz[1:-1] - width_hz[:-1])) / width_hz[:-1]
    falling = ((edges_hz[1:-1] + width_hz[1:]) - bins_hz[:, None]) / width_hz[1:]
    bank = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    power = np.empty((frames, MEL_BANDS), np.float32)
    for first in range(0, frames, 1000):  # in pieces, so that memory stays small
        power[first : first + 1000] = np.abs(rfft(cuts[first : first + 1000] * window)) ** 2 @ bank
    top = max(float(power.max()), 1e-10)
    decibels = np.maximum(10 * np.log10(np.maximum(power / top, 1e-30)), -MEL_RANGE_DB)
    middles = edges_mel[1:-1]
    ticks = [
        (float(np.interp(_mel(hz), middles, np.arange(MEL_BANDS))), f"{hz / 1000:g} kHz")
        for hz in (500, 1000, 2000, 4000, 8000, 16000)
        if hz < 0.45 * sr
    ]
    return decibels, hop / sr, ticks


def _mel(hz: float) -> float:
    return 2595 * float(np.log10(1 + hz / 700))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def standalone_html(content: dict[str, Any], figure: str, code: bool = True) -> str:
    """Return a player as HTML.

    Parameters
    ----------
    content : dict
        What `Player.content` gives; its bytes may be base64 text already.
    figure : str
        HTML of the static figure, which stands there until the script runs, and where it cannot.
    code : bool
        With style and script, which mounts every player of the page: needed once a page.
    """

    def plain(value: Any) -> Any:
        match value:
            case bytes():
                return _base64(value)
            case dict():
                return {key: plain(one) for key, one in value.items()}
            case list() | tuple():
                return [plain(one) for one in value]
        return value

    audio = plain(content.get("audio"))
    rest = plain({key: value for key, value in content.items() if key != "audio"})
    data = json.dumps(rest, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")  # cannot end the script
    source = f"data:{content['audio_type']};base64,{audio}" if audio else ""
    sound = f'<audio controls preload="none" src="{source}"></audio>' if audio else ""
    page = f"<style>{CODE['css']}</style>" if code else ""
    page += f'<div class="dl4mir-standalone">{figure}{sound}<script type="application/json">{data}</script></div>'
    return page + (f'<script type="module">{CODE["js"]}\nmountAll();</script>' if code else "")


class Shown(Protocol):
    """What a `Player`, a map of sounds, a slider and a microphone have in common."""

    text: str

    def content(self) -> dict[str, Any]:
        """Return what the browser needs."""

    def png(self) -> bytes:
        """Draw it as a static figure."""


def figure_png(figure: "Figure", dpi: int = STYLE["figure.dpi"]) -> bytes:
    """Return a figure as PNG that is the same wherever it is drawn."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def as_html(shown: Shown) -> str:
    """Return a player or a map as a piece of a page that needs neither kernel nor network."""
    figure = f'<img src="data:image/png;base64,{_base64(shown.png())}" alt="{html.escape(shown.text)}">'
    return standalone_html(shown.content(), figure)


def make_widget(shown: Shown) -> Any:
    """Return a widget for a player, a map, a slider or a microphone; raises ImportError without anywidget."""
    return _widget_class()(content=shown.content())


def bundle(shown: Shown, widget: Callable[[], Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what Jupyter shows, by type, and the figure's description: widget, figure and text; HTML for no widget.

    Parameters
    ----------
    shown : Shown
    widget : callable, optional
        Returns the widget, where that is kept; else a new one is made.
    """
    data = {"text/plain": shown.text, "image/png": shown.png()}
    try:
        made = widget() if widget else make_widget(shown)
        data[WIDGET_MIME] = {"version_major": 2, "version_minor": 1, "model_id": made.model_id}
    except ImportError:
        data["text/html"] = as_html(shown)
    return data, {"alt": shown.text}


@cache
def _widget_class() -> type:
    """Make the widget class on first use, so that the course needs anywidget only where a player is shown."""
    import anywidget
    import traitlets

    class PlayerWidget(anywidget.AnyWidget):
        """The view of a `Player` or a `SoundMap`. `content` is its content; bytes travel as binary.

        `edits` holds what the reader has changed: lists of [start, end, label] by the name of the track.
        """

        _esm = CODE["js"]
        _css = CODE["css"]
        content = traitlets.Dict().tag(sync=True)
        edits = traitlets.Dict().tag(sync=True)

    return PlayerWidget
