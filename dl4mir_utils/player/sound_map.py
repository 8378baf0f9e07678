"""A map of sounds: points on a plane, some of which can be heard by a click."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dl4mir_utils.environment import COLOURS, STYLE
from dl4mir_utils.errors import BadArgumentError
from dl4mir_utils.player.sound import chain, fit
from dl4mir_utils.player.sync import bundle, figure_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = "os^DvPX"  # the shapes of map.js
FADE_S = 0.02


@dataclass(frozen=True, eq=False)
class SoundMap:
    """What `sound_map` returns: a widget in a notebook, a figure where widgets cannot run.

    Parameters
    ----------
    points : float array (points, 2)
        In [0, 1].
    names : tuple of str
    labels : dict of str to tuple of str
        For each way to colour the points the class of each.
    sounds : dict of int to float32 array (samples,)
        By number of the point.
    sr : int
        Sample rate in Hz.
    title, description : str
    """

    points: np.ndarray
    names: tuple[str, ...]
    labels: dict[str, tuple[str, ...]]
    sounds: dict[int, np.ndarray]
    sr: int
    title: str
    description: str

    @property
    def text(self) -> str:
        """The text version: title, description, and the classes with the number of their points."""
        lines = [f"{self.title or 'Map of sounds'}: {len(self.points)} points, {len(self.sounds)} with sound"]
        lines += [self.description] if self.description else []
        for name, labels in self.labels.items():
            counts = ", ".join(f"{label} {labels.count(label)}" for label in sorted(set(labels)))
            lines.append(f"{name}: {counts}")
        return "\n  ".join(lines)

    def content(self) -> dict[str, Any]:
        """Return all that the browser needs: one FLAC file holds all sounds, with pauses between them."""
        audio, spans = chain(self.sounds.values(), self.sr)
        labels = []
        for name, values in self.labels.items():
            classes = sorted(set(values))
            labels.append({"name": name, "classes": classes, "codes": [classes.index(value) for value in values]})
        return {
            "title": self.title,
            "description": self.description,
            "audio": audio,
            "audio_type": "audio/flac",
            "tracks": [],
            "map": {
                "points": self.points.round(4).tolist(),
                "names": list(self.names),
                "labels": labels,
                "spans": {str(number): span for number, span in zip(self.sounds, spans, strict=True)},
            },
        }

    def figure(self) -> "Figure":
        """Draw the same points as a static figure, once for each way to colour them; what can be heard has a rim."""
        import matplotlib
        from matplotlib.figure import Figure

        heard = np.isin(np.arange(len(self.points)), list(self.sounds))
        with matplotlib.rc_context(STYLE | {"axes.titlesize": 11, "font.size": 9}):
            figure = Figure(figsize=(8, 3.7 * len(self.labels)), layout="constrained")
            all_axes = figure.subplots(len(self.labels), 1, squeeze=False)[:, 0]
            for ax, (name, values) in zip(all_axes, self.labels.items(), strict=True):
                for index, label in enumerate(sorted(set(values))):
                    marker = MARKERS[(index + index // len(COLOURS)) % len(MARKERS)]
                    chosen = np.array(values) == label
                    colour = COLOURS[index % len(COLOURS)]
                    # A silent point and one that can be heard differ in size and rim.
                    for some, size, rim, text in [
                        (chosen & ~heard, 22, "none", label),
                        (chosen & heard, 55, "black", ""),
                    ]:
                        ax.scatter(
                            *self.points[some].T, size, colour, marker=marker, edgecolors=rim, label=text or None
                        )
                ax.set(title=f"{self.title}, coloured by {name}", xticks=[], yticks=[])
                ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
        return figure

    def png(self) -> bytes:
        """Return that figure as PNG."""
        return figure_png(self.figure())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Widget, figure and text; without anywidget (as on Colab) a piece of HTML in the widget's place."""
        return bundle(self)


def sound_map(
    points: np.ndarray,
    labels: Mapping[str, Sequence[str]],
    sounds: Mapping[int, np.ndarray],
    names: Sequence[str] | None = None,
    sr: int = 16000,
    title: str = "",
    description: str = "",
) -> SoundMap:
    """Show points on a plane, coloured by class; a click on one with a rim plays its sound.

    Where the axes come from an embedding such as t-SNE their numbers mean nothing, so none are drawn.

    Parameters
    ----------
    points : float array (points, 2)
    labels : dict of str to sequence of str
        Ways to colour the points: a name, and the class of each point. With several one can switch.
    sounds : dict of int to float array (samples,)
        Sounds in [-1, 1] of some of the points, by number; three seconds of twenty points are about 1 MB. They fade in
        and out over 20 ms.
    names : sequence of str, optional
        What each point is; its number by default.
    sr : int
        Sample rate in Hz.
    title, description : str
        What it is; what is to be seen and heard, for readers who cannot or do not.

    Raises
    ------
    BadArgumentError
        Numbers of points, names and labels differ, or a sound belongs to no point or cannot be played.
    """
    points = np.asarray(points, float)
    names = tuple(map(str, range(len(points)) if names is None else names))
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise BadArgumentError(f"points has the shape {points.shape}; it must be finite numbers, (points, 2).")
    if not labels or any(len(values) != len(points) for values in (names, *labels.values())):
        raise BadArgumentError(
            f'There are {len(points)} points: labels={{"genre": [...]}} and names need one word for each of them.'
        )
    if not sounds or not set(sounds) <= set(range(len(points))):
        raise BadArgumentError(f"sounds needs at least one sound, with a point's number, 0 to {len(points) - 1}, each.")
    low, high = points.min(axis=0), points.max(axis=0)
    placed = (points - low) / np.where(high > low, high - low, 1)
    fade = np.linspace(0, 1, round(FADE_S * sr), dtype=np.float32)
    faded = {}
    for number, sound in sounds.items():
        faded[int(number)] = whole = fit(sound, names[number]).copy()
        count = min(len(fade), len(whole) // 2)
        whole[:count] *= fade[:count]
        whole[len(whole) - count :] *= fade[:count][::-1]
    classes = {name: tuple(map(str, values)) for name, values in labels.items()}
    return SoundMap(placed, names, classes, faded, int(sr), title, description)
