"""A microphone in the notebook: what it hears goes to the kernel, piece by piece, and a network answers."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dl4mir_utils.environment import COLOURS, STYLE
from dl4mir_utils.errors import BadArgumentError
from dl4mir_utils.player.sound import fit
from dl4mir_utils.player.sync import Player, bundle, figure_png, make_widget, player
from dl4mir_utils.player.tracks import ClassBars

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

DELAYS = ["waiting_s", "transport_s", "work_s", "drawing_s"]


class Listener:
    """What `listen` returns: a widget that hears the microphone, and what came of it.

    Parameters
    ----------
    answer : callable
        From float32 (samples,) to probabilities (labels,).
    labels : tuple of str
    window, hop : int
        In samples.
    sr : int
        Sample rate in Hz.
    kind : "bars" or "pie"
    unsure_below : float
    title, description : str

    Attributes
    ----------
    dropped : int
        Answers that were left out because the kernel was busy.
    """

    def __init__(
        self,
        answer: Callable[[np.ndarray], np.ndarray],
        labels: tuple[str, ...],
        window: int,
        hop: int,
        sr: int,
        kind: Literal["bars", "pie"],
        unsure_below: float,
        title: str,
        description: str,
    ) -> None:
        self.answer = answer
        self.labels = labels
        self.sr = sr
        self.kind = kind
        self.unsure_below = unsure_below
        self.title = title
        self.description = description
        self._window = window
        self._hop = hop
        self._made: Any = None
        self._turn: Any = None  # which recording of the widget this is
        self._lock = threading.Lock()  # newer kernels take a widget's messages in a thread of their own
        self._begin(sr)

    # --- what came of it ----------------------------------------------------------------------------------------

    @property
    def audio(self) -> np.ndarray:
        """All that was heard, float32 (samples,) at `sr`."""
        return np.concatenate([np.zeros(0, np.float32), *self._heard])

    @property
    def times_s(self) -> np.ndarray:
        """Where in `audio` the window of each answer ended, float (answers,), in seconds."""
        return np.array([end / self.sr for end, _, _ in self._answers])

    @property
    def probabilities(self) -> np.ndarray:
        """The answers, float32 (answers, labels)."""
        return np.array([values for _, values, _ in self._answers], np.float32).reshape(-1, len(self.labels))

    @property
    def work_s(self) -> np.ndarray:
        """How long the kernel took for each answer, float (answers,), in seconds."""
        return np.array([work_s for _, _, work_s in self._answers])

    @property
    def delays(self) -> "pd.DataFrame":
        """How far answers were behind the sound, and why: a row for each that the microphone's view has shown.

        In seconds: `waiting_s`, until the end of the window has left the browser (the piece of sound must be full, and
        the resampler looks ahead); `transport_s`, to the kernel and back; `work_s`, resampling and answering;
        `drawing_s`, until the answer is on the screen. What microphone and system take before the browser has the sound
        is not in it.
        """
        import pandas as pd

        return pd.DataFrame(self._delays, columns=DELAYS, dtype=float)

    @property
    def delays_s(self) -> np.ndarray:
        """From the last sample of a window to its answer on the screen, float (answers,): the sums of `delays`."""
        return self.delays.sum(axis=1).to_numpy()

    # --- listening ----------------------------------------------------------------------------------------------

    def hear(self, audio: np.ndarray) -> Player:
        """Take a sound instead of the microphone, piece by piece, as fast as it goes.

        Parameters
        ----------
        audio : float array (samples,) or (samples, 1)
            In [-1, 1], at `sr`; at least as long as a window.

        Returns
        -------
        Player
            The sound with the answers, each in the middle of its window.

        Raises
        ------
        BadArgumentError
            The sound is empty, shorter than a window, or holds NaN; the answer is no list of probabilities.
        """
        audio = fit(audio, self.title)
        if len(audio) < self._window:
            raise BadArgumentError(
                f"The sound lasts {len(audio) / self.sr:.2f} s, but the network hears {self._window / self.sr:.2f} s "
                "at a time; take a longer one."
            )
        self._turn = None  # whatever the microphone still sends belongs to a recording that is over
        self._begin(self.sr)
        for start in range(0, len(audio), self._hop):
            piece = audio[start : start + self._hop]
            self._take(piece, answer=len(piece) == self._hop)
        if not self._answers:  # the window is full only in the last piece, which is shorter
            self._take(audio[:0], answer=True)
        start_s = self.times_s[0] - (self._window + self._hop) / 2 / self.sr
        name = self.title or "answer"
        track = ClassBars(name, self.probabilities, self.labels, self._hop / self.sr, self.kind, max(0.0, start_s))
        return player(audio, self.sr, [track], self.title, self.description)

    def _begin(self, rate: float) -> None:
        """Forget what was heard; the sound comes at `rate` Hz."""
        import soxr

        self._resampler = None if rate == self.sr else soxr.ResampleStream(rate, self.sr, 1, dtype="float32")
        self._rate = rate
        self._samples = 0  # heard, at sr
        self._newest = np.zeros(0, np.float32)  # the end of it, of a window's length
        self._heard: list[np.ndarray] = []
        self._answers: list[tuple[int, np.ndarray, float]] = []  # end of the window, probabilities, seconds of work
        self._delays: list[list[float]] = []
        self.dropped = 0

    def _take(self, piece: np.ndarray, answer: bool, last: bool = False) -> np.ndarray | None:
        """Take the next piece of the sound, and answer for the window that ends with it.

        Parameters
        ----------
        piece : float32 array (samples,)
            At the rate of `_begin`.
        answer : bool
            Whether an answer is wanted, once a window is full.
        last : bool
            Nothing comes after it.

        Returns
        -------
        float32 array (labels,) or None
        """
        with self._lock:
            begun = time.perf_counter()
            new = piece if self._resampler is None else self._resampler.resample_chunk(piece, last=last)
            self._heard.append(new)
            self._samples += len(new)
            self._newest = np.concatenate([self._newest, new])[-self._window :]
            full = len(self._newest) == self._window
            due = int(len(piece) / self._rate * self.sr / self._hop + 1e-6) if full and not last else 0
            self.dropped += max(0, due - answer)
            if not (full and answer):
                return None
            values = self._checked(self.answer(self._newest.copy()))
            self._answers.append((self._samples, values, time.perf_counter() - begun))
            return values

    def _checked(self, values: Any) -> np.ndarray:
        values = np.asarray(values, np.float32)
        if values.shape != (len(self.labels),):
            raise BadArgumentError(
                f"answer(window) gave the shape {values.shape}; {len(self.labels)} probabilities are needed, one for "
                "each label. Perhaps the network answers for a batch: take its first row, [0]."
            )
        # Says what is wrong with them.
        ClassBars("answer(window)", values[None], self.labels, self._hop / self.sr, self.kind)
        return values

    def _received(self, widget: Any, message: dict[str, Any], buffers: list[Any]) -> None:
        """Take a message from the browser: a start, or a piece of sound, which it wants to have answered."""
        if message["kind"] == "start":
            self._turn = message["turn"]
            self._begin(message["rate"])
            return
        if message["turn"] != self._turn:
            return
        self._delays += message["delays"]
        reply: dict[str, Any] = {"kind": "answer", "turn": self._turn}
        try:
            values = self._take(np.frombuffer(buffers[0], "<f4"), message["answer"], message["last"])
        except Exception as error:  # of the reader's own function: said beside the button, where it is looked for
            widget.send(reply | {"error": f"{type(error).__name__}: {error}"})
            raise
        if values is not None:
            end, _, work_s = self._answers[-1]
            reply |= {"values": values.tolist(), "end": end * self._rate / self.sr, "work_s": work_s}
        widget.send(reply | {"dropped": self.dropped})

    # --- how it is shown ----------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The text version: labels, window and hop, and how much was heard."""
        lines = [
            f"{self.title or 'Microphone'}: {', '.join(self.labels)}, every {self._hop / self.sr:g} s "
            f"from {self._window / self.sr:g} s of sound"
        ]
        lines += [self.description] if self.description else []
        lines += [
            f"{len(self._answers)} answers to {self._samples / self.sr:.1f} s" if self._answers else "nothing heard yet"
        ]
        return "\n  ".join(lines)

    def content(self) -> dict[str, Any]:
        """Return all that the browser needs."""
        times = {"window_s": self._window / self.sr, "hop_s": self._hop / self.sr}
        look = {"labels": list(self.labels), "pie": self.kind == "pie", "unsure_below": self.unsure_below}
        return {"title": self.title, "description": self.description, "tracks": [], "listen": times | look}

    def figure(self) -> "Figure":
        """Draw the last answer as bars."""
        import matplotlib
        from matplotlib.figure import Figure

        values = self._answers[-1][1] if self._answers else np.zeros(len(self.labels))
        with matplotlib.rc_context(STYLE | {"axes.titlesize": 10, "font.size": 9}):
            figure = Figure(figsize=(8, 0.8 + 0.25 * len(self.labels)), layout="constrained")
            ax = figure.subplots()
            ax.barh(self.labels, values, color=COLOURS[0])
            ax.set(
                xlim=(0, 1),
                title=self.title or "Microphone",
                xlabel="probability" if self._answers else "nothing heard yet",
            )
            ax.invert_yaxis()
        return figure

    def png(self) -> bytes:
        """Return that figure as PNG."""
        return figure_png(self.figure())

    def _widget(self) -> Any:
        """Return the widget, made once: the microphone has one ear."""
        if self._made is None:
            self._made = make_widget(self)
            self._made.on_msg(self._received)
        return self._made

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Widget, figure and text; without anywidget a piece of HTML that says what is missing."""
        return bundle(self, self._widget)


def listen(
    answer: Callable[[np.ndarray], np.ndarray],
    labels: Sequence[str],
    *,
    window_s: float,
    hop_s: float = 0.5,
    sr: int = 16000,
    title: str = "",
    description: str = "",
    kind: Literal["bars", "pie"] = "bars",
    unsure_below: float = 0.0,
) -> Listener:
    """Show a button that starts the microphone, and what a network in the kernel answers to it.

    The browser sends the sound in pieces of a hop; the next one leaves when the kernel has answered. A kernel that is
    slower than the hop gets larger pieces, and gives fewer answers; `Listener.dropped` counts those left out. Nothing
    starts by itself, so a notebook that runs unattended needs no microphone: `Listener.hear` takes a sound instead.

    Parameters
    ----------
    answer : callable
        Takes float32 (samples,) in [-1, 1] at `sr`, always `window_s` long; returns probabilities (labels,).
    labels : list of str
        At most 20 for bars, 7 for a pie.
    window_s : float
        How much sound the network hears at a time, in seconds.
    hop_s : float
        From answer to answer, in seconds; at most a window.
    sr : int
        Sample rate in Hz that the network wants; the browser's own is resampled to it.
    title, description : str
        What it is; what is to be heard and seen.
    kind : "bars" or "pie"
        For a pie the probabilities sum to one.
    unsure_below : float
        Where no probability reaches this, the answer is "unsure".

    Returns
    -------
    Listener
        Keep it, and show it as the cell's last line: its `audio`, `probabilities` and `delays` hold what came of it.

    Raises
    ------
    BadArgumentError
        A time is no time, the hop longer than the window, or there are too many labels.
    """
    labels = tuple(map(str, labels))
    if not labels:
        raise BadArgumentError("listen needs the labels of what answer(window) returns, such as card['labels'].")
    if not (np.isfinite([window_s, hop_s]).all() and 0 < hop_s <= window_s):
        raise BadArgumentError(f"hop_s is a time up to window_s ({window_s} s), not {hop_s}: no sound may go unheard.")
    if sr != int(sr) or not 1000 <= sr <= 192_000:
        raise BadArgumentError(f"sr is the sample rate in Hz that the network wants, such as 16000, not {sr}.")
    # Says what is wrong with kind and labels.
    ClassBars("listen", np.full((1, len(labels)), 1 / len(labels)), labels, hop_s, kind)
    window, hop = round(window_s * sr), max(1, round(hop_s * sr))
    return Listener(answer, labels, window, hop, int(sr), kind, float(unsure_below), title, description)
