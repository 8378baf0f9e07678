"""What the synchronised player can show below the sound. Each track checks its numbers when it is made.

Times: frame i of a track stands for the time from ``start_s + i * hop_s`` to ``start_s + (i + 1) * hop_s``, in seconds
from the beginning of the sound.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from dl4mir_utils.environment import COLOURS
from dl4mir_utils.errors import BadArgumentError

LINE_STYLES = ("-", "--", ":", "-.")
MOST_BARS = 20
MOST_SLICES = 7  # as many colours as there are
TOUCHING_S = 1e-6  # less of an overlap is rounding


class Track(ABC):
    """One row of the player."""

    name: str

    @property
    @abstractmethod
    def end_s(self) -> float:
        """Where the track ends, in seconds."""

    @abstractmethod
    def summary(self) -> str:
        """Say in one line what the row holds, for the text version and for screen readers."""

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """Return what the browser needs: numbers, text and bytes."""

    @abstractmethod
    def draw(self, ax: Any) -> None:
        """Draw into the static figure."""


def pack(values: np.ndarray, low: float, high: float, bits: int) -> dict[str, Any]:
    """Pack numbers into bytes for the browser: level 0 is `low`, the top level is `high`.

    Parameters
    ----------
    values : float array (frames, columns)
        In [low, high].
    low, high : float
    bits : 8 or 16
        Unsigned integers, little-endian. The largest error is half a level: (high - low) / (2**bits - 1) / 2.
    """
    levels = np.rint((values - low) / (high - low) * (2**bits - 1)).astype(f"<u{bits // 8}")
    frames, columns = values.shape
    low, high = float(low), float(high)
    return {"data": levels.tobytes(), "bits": bits, "low": low, "high": high, "frames": frames, "columns": columns}


def draw_picture(
    ax: Any, values: np.ndarray, limits: tuple[float, float], start_s: float, hop_s: float, colours: str
) -> None:
    """Draw (frames, rows) as a picture that packs well, because notebooks store it: few columns, 16 levels.

    A column is the mean of its frames.
    """
    low, high = limits
    group = -(-len(values) // 250)
    firsts = np.arange(0, len(values), group)
    means = np.add.reduceat(values, firsts) / np.diff(firsts, append=len(values))[:, None]
    steps = np.round((means - low) / (high - low) * 15)
    extent = (start_s, start_s + len(firsts) * group * hop_s, -0.5, values.shape[1] - 0.5)
    look = {"cmap": colours, "vmin": 0, "vmax": 15, "interpolation": "nearest"}
    ax.imshow(steps.T, aspect="auto", origin="lower", extent=extent, **look)


def _numbers(track: Any, values: Any, what: str) -> np.ndarray:
    """Check the numbers of a track and return them as float32 (frames, columns)."""
    values = np.asarray(values, np.float32)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or not values.size:
        raise BadArgumentError(f"{track.name}: {what} must be an array (frames, columns), not {values.shape}.")
    if not np.isfinite(values).all():
        bad = int(np.argwhere(~np.isfinite(values))[0, 0])
        raise BadArgumentError(f"{track.name}: {what} holds NaN or infinity, first in frame {bad}; replace it.")
    if not (np.isfinite(track.hop_s) and track.hop_s > 0):
        raise BadArgumentError(f"{track.name}: hop_s is the time from frame to frame in seconds, not {track.hop_s}.")
    if not (np.isfinite(track.start_s) and track.start_s >= 0):
        raise BadArgumentError(f"{track.name}: start_s is a time from 0 in seconds, not {track.start_s}.")
    return values


def _within(track: Any, values: np.ndarray, limits: tuple[float, float], advice: str) -> None:
    low, high = limits
    if not low < high:
        raise BadArgumentError(f"{track.name}: limits are (smallest, largest), not {limits}.")
    rounding = 1e-4 * (high - low)
    if values.min() < low - rounding or values.max() > high + rounding:
        found = f"{values.min():.4g} to {values.max():.4g}"
        raise BadArgumentError(f"{track.name}: values go from {found}, outside [{low:g}, {high:g}]; {advice}.")


def _labelled(track: Any, values: np.ndarray) -> tuple[str, ...]:
    labels = tuple(str(label) for label in track.labels)
    if len(labels) != values.shape[1]:
        raise BadArgumentError(f"{track.name}: {len(labels)} labels for {values.shape[1]} columns; give one for each.")
    return labels


class _Values(Track):
    """What tracks of numbers have in common. `_values` is float32 (frames, columns), inside `_limits`."""

    hop_s: float
    start_s: float
    labels: Sequence[str]
    _values: np.ndarray
    _limits: tuple[float, float]
    _kind: str
    _bits = 16

    def _store(self, values: np.ndarray, limits: tuple[float, float], labels: Sequence[str]) -> None:
        stored = {"_values": np.clip(values, *limits), "_limits": limits, "labels": labels}
        for name, value in stored.items():
            object.__setattr__(self, name, value)  # the classes are frozen for their users

    @property
    def end_s(self) -> float:
        """Where the last frame ends, in seconds."""
        return self.start_s + len(self._values) * self.hop_s

    def summary(self) -> str:
        """Name, kind, labels, and the range of the values."""
        labels = f" of {', '.join(self.labels)}" if self.labels else ""
        found = f"{self._values.min():.2f} to {self._values.max():.2f}"
        return f"{self.name}: {self._kind}{labels}, {len(self._values)} frames, {found}"

    def content(self) -> dict[str, Any]:
        """Return labels, times and packed numbers."""
        common = {
            "name": self.name,
            "labels": list(self.labels),
            "hop": float(self.hop_s),
            "start": float(self.start_s),
        }
        return common | {"summary": self.summary()} | pack(self._values, *self._limits, self._bits)

    def _draw_matrix(self, ax: Any, colours: str = "Blues") -> None:
        rows = self._values.shape[1]
        draw_picture(ax, self._values, self._limits, self.start_s, self.hop_s, colours)
        every = -(-rows // MOST_BARS)  # all labels where they fit
        ax.set_yticks(range(0, rows, every), self.labels[::every], fontsize=8)
        ax.set_title(self.name)


@dataclass(frozen=True, eq=False)
class Curve(_Values):
    """One or a few lines against time, for instance the probability of singing.

    Parameters
    ----------
    name : str
    values : float array (frames,) or (frames, lines)
    hop_s : float
        Time from frame to frame, in seconds.
    labels : list of str, optional
        One for each line; may be left out for a single one.
    threshold : float, optional
        Drawn as a dotted line.
    limits : (float, float)
        Bottom and top of the axis; [0, 1] for probabilities.
    unit : str
        Written behind the values, such as " dB".
    start_s : float
        Where frame 0 begins, in seconds.

    Raises
    ------
    BadArgumentError
        Wrong shape, NaN, values outside the limits, a hop that is no time.
    """

    name: str
    values: np.ndarray
    hop_s: float
    labels: Sequence[str] = ()
    threshold: float | None = None
    limits: tuple[float, float] = (0.0, 1.0)
    unit: str = ""
    start_s: float = 0.0
    _kind = "curve"

    def __post_init__(self) -> None:
        values = _numbers(self, self.values, "values")
        _within(self, values, self.limits, "give limits=(smallest, largest)")
        labels = _labelled(self, values) if self.labels or values.shape[1] > 1 else ()
        self._store(values, self.limits, labels)

    def content(self) -> dict[str, Any]:
        """Return the packed numbers, the threshold and the unit."""
        threshold = None if self.threshold is None else float(self.threshold)
        return super().content() | {"kind": "curve", "threshold": threshold, "unit": self.unit}

    def draw(self, ax: Any) -> None:
        """Draw the lines, each in its own style."""
        times = self.start_s + (np.arange(len(self._values)) + 0.5) * self.hop_s
        for index, line in enumerate(self._values.T):
            look = {"color": COLOURS[index % len(COLOURS)], "linestyle": LINE_STYLES[index % len(LINE_STYLES)]}
            ax.plot(times, line, linewidth=1.5, label=self.labels[index] if self.labels else None, **look)
        if self.threshold is not None:
            ax.axhline(self.threshold, color="#1a1a1a", linestyle=(0, (1, 3)), linewidth=1.2)
        margin = 0.04 * (self.limits[1] - self.limits[0])
        ax.set(ylim=(self.limits[0] - margin, self.limits[1] + margin), ylabel=self.unit.strip(), title=self.name)
        if self.labels:
            ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))


@dataclass(frozen=True, eq=False)
class HeatMap(_Values):
    """Many values against time as a picture, for instance the probabilities of fifty tags.

    Parameters
    ----------
    name : str
    values : float array (frames, rows)
    labels : list of str
        One for each row, from the bottom to the top.
    hop_s : float
        Time from frame to frame, in seconds.
    limits : (float, float)
        Values of the palest and of the darkest colour (in a dark theme: of the darkest and the palest).
    start_s : float
        Where frame 0 begins, in seconds.
    diverging : bool
        Draw values below the middle of `limits` in blue and values above it in red; the middle has no colour.

    Raises
    ------
    BadArgumentError
        Wrong shape, NaN, values outside the limits, a hop that is no time, too few or too many labels.
    """

    name: str
    values: np.ndarray
    labels: Sequence[str]
    hop_s: float
    limits: tuple[float, float] = (0.0, 1.0)
    start_s: float = 0.0
    diverging: bool = False
    _kind = "heat map"
    _bits = 8

    def __post_init__(self) -> None:
        values = _numbers(self, self.values, "values")
        _within(self, values, self.limits, "give limits=(smallest, largest)")
        self._store(values, self.limits, _labelled(self, values))

    def content(self) -> dict[str, Any]:
        """Return the packed numbers, and which colours they want."""
        return super().content() | {"kind": "heat", "diverging": bool(self.diverging)}

    def draw(self, ax: Any) -> None:
        """Draw the picture."""
        self._draw_matrix(ax, "RdBu_r" if self.diverging else "Blues")


@dataclass(frozen=True, eq=False)
class ClassBars(_Values):
    """Class probabilities that move with the sound: bars, or a pie where they sum to one.

    Parameters
    ----------
    name : str
    probabilities : float array (frames, classes)
        In [0, 1].
    labels : list of str
        One for each class; at most 20 for bars, 7 for a pie.
    hop_s : float
        Time from frame to frame, in seconds.
    kind : "bars" or "pie"
    start_s : float
        Where frame 0 begins, in seconds.

    Raises
    ------
    BadArgumentError
        Wrong shape, NaN, values outside [0, 1], a pie that does not sum to one, too many classes.
    """

    name: str
    probabilities: np.ndarray
    labels: Sequence[str]
    hop_s: float
    kind: Literal["bars", "pie"] = "bars"
    start_s: float = 0.0
    _kind = "class probabilities"

    def __post_init__(self) -> None:
        values = _numbers(self, self.probabilities, "probabilities")
        _within(self, values, (0.0, 1.0), "probabilities are needed: apply sigmoid or softmax first")
        if self.kind not in ("bars", "pie"):
            raise BadArgumentError(f'{self.name}: kind is "bars" or "pie", not {self.kind!r}.')
        most = MOST_SLICES if self.kind == "pie" else MOST_BARS
        if values.shape[1] > most:
            raise BadArgumentError(f"{self.name}: {values.shape[1]} classes are too many ({most} fit); use HeatMap.")
        if self.kind == "pie" and np.abs(values.sum(1) - 1).max() > 0.01:
            raise BadArgumentError(f'{self.name}: the probabilities of a pie must sum to one; use kind="bars".')
        self._store(values, (0.0, 1.0), _labelled(self, values))

    def content(self) -> dict[str, Any]:
        """Return the packed numbers and the form."""
        return super().content() | {"kind": "bars", "pie": self.kind == "pie"}

    def draw(self, ax: Any) -> None:
        """Draw all frames as a picture: a figure does not move."""
        self._draw_matrix(ax)


@dataclass(frozen=True, eq=False)
class Segments(Track):
    """Stretches of time with a name, for instance where somebody sings.

    Parameters
    ----------
    name : str
    segments : list of (start, end, label)
        In seconds; they may overlap, and need no order.
    editable : bool
        Let the reader move, add, delete and rename them; `Player.segments` returns what becomes of them. Editable
        segments must not overlap.
    labels : list of str
        What the reader may choose between; by default the labels that occur.

    Raises
    ------
    BadArgumentError
        No segments, a time that is no time, an end before its start. For editable ones also: two that overlap, a label
        that is none of `labels`.
    """

    name: str
    segments: Sequence[tuple[float, float, str]]
    editable: bool = False
    labels: Sequence[str] = ()

    def __post_init__(self) -> None:
        try:
            segments = sorted((float(start), float(end), str(label)) for start, end, label in self.segments)
        except (TypeError, ValueError):
            raise BadArgumentError(f"{self.name}: segments are a list of (start_s, end_s, label).") from None
        for start, end, label in segments:
            if not (np.isfinite([start, end]).all() and 0 <= start < end):
                raise BadArgumentError(f"{self.name}: {label!r} goes from {start:g} s to {end:g} s; 0 <= start < end.")
        found = tuple(dict.fromkeys(label for _, _, label in segments))
        labels = tuple(dict.fromkeys(map(str, self.labels)))
        if self.editable:
            self._check_editable(segments, found, labels)
        elif not segments:
            raise BadArgumentError(f"{self.name}: there are no segments; leave the track out.")
        elif labels:
            raise BadArgumentError(f"{self.name}: labels are the reader's choice; they need editable=True.")
        object.__setattr__(self, "segments", tuple(segments))
        object.__setattr__(self, "labels", labels or found)

    def _check_editable(self, segments: list[tuple[float, float, str]], found: tuple, labels: tuple) -> None:
        if not (found or labels):
            raise BadArgumentError(f'{self.name}: without segments give the labels to choose from: labels=["sing"].')
        if labels and (unknown := [label for label in found if label not in labels]):
            raise BadArgumentError(f"{self.name}: {unknown[0]!r} is none of the labels {', '.join(labels)}; add it.")
        for (start, end, label), (after, _, other) in pairwise(segments):
            if after < end - TOUCHING_S:
                raise BadArgumentError(
                    f"{self.name}: {label!r} ({start:g} s to {end:g} s) overlaps {other!r}, which starts at {after:g} "
                    "s; editable segments must not overlap: join them, or show them in two tracks."
                )

    def ending_with(self, duration_s: float) -> "Segments":
        """Return these segments, none of which ends after the sound does.

        Parameters
        ----------
        duration_s : float
            Length of the sound in seconds.

        Raises
        ------
        BadArgumentError
            A segment starts where the sound is over.
        """
        if self.end_s <= duration_s:
            return self
        if self.segments[-1][0] >= duration_s:
            start, end, label = self.segments[-1]
            raise BadArgumentError(
                f"{self.name}: {label!r} goes from {start:g} s to {end:g} s, but the sound ends at {duration_s:g} s."
            )
        cut = [(start, min(end, duration_s), label) for start, end, label in self.segments]
        return replace(self, segments=cut)

    @property
    def end_s(self) -> float:
        """Where the last segment ends, in seconds."""
        return max((end for _, end, _ in self.segments), default=0.0)

    def summary(self) -> str:
        """Name, count and labels."""
        changes = ", which can be changed" if self.editable else ""
        return f"{self.name}: {len(self.segments)} segments of {', '.join(self.labels)}{changes}"

    def content(self) -> dict[str, Any]:
        """Return the list of segments."""
        segments = [list(segment) for segment in self.segments]
        kind = {"kind": "editable", "labels": list(self.labels)} if self.editable else {"kind": "segments"}
        return kind | {"name": self.name, "summary": self.summary(), "segments": segments}

    def draw(self, ax: Any) -> None:
        """Draw a line of boxes for each label."""
        for row, label in enumerate(self.labels):
            spans = [(start, end - start) for start, end, name in self.segments if name == label]
            ax.broken_barh(spans, (row - 0.35, 0.7), facecolor=COLOURS[row % len(COLOURS)])
        ax.set_yticks(range(len(self.labels)), self.labels)
        ax.set(ylim=(len(self.labels) - 0.4, -0.6), title=self.name)
