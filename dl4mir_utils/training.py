"""Training that can be watched: a Keras callback that draws the learning curves while `fit` runs."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dl4mir_utils.environment import COLOURS, STYLE
from dl4mir_utils.player.sync import figure_png

# Drawing may take this share of the time that training takes.
DRAWING_SHARE = 0.02
LEAST_PAUSE_S = 0.5
LIVE_DPI = 60


class LiveCurve(keras.callbacks.Callback):
    """What `live_curve` returns: draws while the network trains, and leaves one figure.

    Parameters
    ----------
    baselines : dict of str to float
        By the name of the curve.
    title : str
    """

    def __init__(self, baselines: Mapping[str, float], title: str) -> None:
        super().__init__()
        self.baselines = dict(baselines)
        self.title = title
        self._show: Callable[[dict[str, Any], dict[str, Any]], None] | None = None

    # --- what Keras calls ---------------------------------------------------------------------------------------

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Start with empty curves; a second `fit` gets a figure of its own."""
        self._curves: dict[str, list[tuple[float, float]]] = {}
        self._epoch = 0
        self._started = self._last = time.monotonic()
        self._cost_s = 0.0
        self._show = _notebook_display()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Note which epoch it is."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Add a point and draw, where enough time has passed; the values stay on the device until then."""
        steps = self.params.get("steps")
        if self._show and steps and self._due():
            self._add(self._epoch + (batch + 1) / steps, logs)
            self._draw()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Add the epoch's values."""
        self._epoch = epoch + 1
        # What stood for a part of the epoch gives way to the whole.
        for points in self._curves.values():
            points[:] = [point for point in points if point[0] <= epoch]
        self._add(epoch + 1, logs)
        if self._due():
            self._draw()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Leave the finished figure, or where figures cannot be shown a last line."""
        if not self._curves:
            return
        if self._show:
            self._show(*self._finished())
        else:
            print(self.text)

    # --- the time it takes --------------------------------------------------------------------------------------

    def _due(self) -> bool:
        """Say whether enough training has passed since the last drawing for another one."""
        return time.monotonic() - self._last >= max(LEAST_PAUSE_S, self._cost_s / DRAWING_SHARE)

    def _left(self) -> str:
        """How long the rest will take, from what has passed."""
        done = max(point[0] for points in self._curves.values() for point in points)
        passed = time.monotonic() - self._started
        left = passed / done * (self.params["epochs"] - done)
        return (
            f"epoch {min(math.floor(done) + 1, self.params['epochs'])} of {self.params['epochs']}, {_span(left)} left"
        )

    # --- what is shown ------------------------------------------------------------------------------------------

    def _add(self, epochs: float, logs: dict | None) -> None:
        for name, value in (logs or {}).items():
            if name != "learning_rate":
                self._curves.setdefault(name, []).append((epochs, float(value)))

    @property
    def text(self) -> str:
        """The last values in one line."""
        last = ", ".join(f"{_spoken(name)} {points[-1][1]:.3g}" for name, points in self._curves.items())
        took = time.monotonic() - self._started
        epochs = f"{self._epoch} epoch" + ("" if self._epoch == 1 else "s")
        return f"{self.title + ': ' if self.title else ''}{epochs} in {_span(took)}: {last}"

    def _draw(self) -> None:
        begin = time.monotonic()
        if self._show:
            image = figure_png(self._figure(), LIVE_DPI)
            data = {"image/png": image, "text/plain": self._left()}
            self._show(data, {})
        else:
            print(f"{self._left()}: " + self.text.partition(": ")[2])
        self._last = time.monotonic()
        self._cost_s = self._last - begin

    def _finished(self) -> tuple[dict[str, Any], dict[str, Any]]:
        data = {"image/png": figure_png(self._figure(finished=True)), "text/plain": self.text}
        return data, {"alt": f"Learning curves. {self.text}"}

    def _figure(self, finished: bool = False) -> Figure:
        """Draw a panel for the loss and one for each metric: training solid, validation dashed."""
        names = sorted((name for name in self._curves if not name.startswith("val_")), key="loss".__ne__)
        with matplotlib.rc_context(STYLE):
            # A fixed layout: fitting one to the labels would take as long as drawing.
            figure = Figure(figsize=(8, 3.2), layout="none")
            figure.subplots_adjust(left=0.09, right=0.97, bottom=0.17, top=0.84, wspace=0.28)
            for ax, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
                self._panel(ax, name, self._epoch if finished else self.params["epochs"])
            figure.suptitle(self.title if finished else self._left(), x=0.01, ha="left", fontsize=11)
        return figure

    def _panel(self, ax: Any, name: str, epochs_shown: int) -> None:
        for role, key, line, colour in (
            ("training", name, "-o", COLOURS[0]),
            ("validation", f"val_{name}", "--s", COLOURS[1]),
        ):
            if key in self._curves:
                epochs, values = np.array(self._curves[key]).T
                ax.plot(
                    epochs, values, line, color=colour, markersize=4, markevery=max(1, len(epochs) // 12), label=role
                )
        if name in self.baselines:
            ax.axhline(self.baselines[name], color="#595959", linestyle=":", label="baseline")
        ax.set(xlabel="epoch", title=name.replace("_", " "), xlim=(0, epochs_shown))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(fontsize=9)


def live_curve(baselines: Mapping[str, float] | None = None, title: str = "") -> LiveCurve:
    """Return a callback for `fit` that draws the loss and the metrics while the network trains.

    The curves grow about once a second, with the time that is left above them; in the end one figure stays. Where
    figures cannot be shown (a terminal) it prints a line instead. It takes less than a twentieth of the time.

    Parameters
    ----------
    baselines : dict of str to float, optional
        Levels to compare with, drawn as dotted lines, by the name of the curve: ``{"accuracy": 0.26, "loss": 1.1}``.
    title : str
        What is trained.

    Examples
    --------
    >>> model.fit(x, y, epochs=20, verbose=0, callbacks=[live_curve({"accuracy": 0.26})])  # doctest: +SKIP
    """
    return LiveCurve(baselines or {}, title)


def _notebook_display() -> Callable[[dict[str, Any], dict[str, Any]], None] | None:
    """Return a function that shows data in the cell's one output and replaces it when called again; None elsewhere."""
    from IPython import get_ipython
    from IPython.display import display

    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    handle = display({"text/plain": "training …"}, raw=True, display_id=True)
    return lambda data, metadata: handle.update(data, metadata=metadata, raw=True)


def _spoken(name: str) -> str:
    name = name.replace("_", " ")
    return f"validation {name.removeprefix('val ')}" if name.startswith("val ") else name


def _span(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 90 else f"{seconds:.0f} s"
