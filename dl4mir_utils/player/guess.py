"""A place to commit a guess before the answer is shown, and the comparison afterwards.

In a notebook the guess is an ipywidgets panel (7.7, as on Colab, or 8). In a page without a kernel it is a plain form;
the page's own script (course.js) keeps the answer, and without script the comparison is a box to open.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from dl4mir_utils.errors import BadArgumentError
from dl4mir_utils.player.sync import WIDGET_MIME

# A guess on a scale counts as close within this share of the scale.
CLOSE = 0.05
NO_GUESS = "You have made no guess yet. Go back and make one: whoever has guessed remembers the answer better."


def three_digits(value: float) -> str:
    """0.123, 12.3, 12300: three digits that count, and no powers of ten."""
    return np.format_float_positional(float(value), 3, unique=False, fractional=False, trim="-")


class Guess:
    """What `guess` returns: shows the question and keeps the answer.

    Parameters
    ----------
    question : str
    options : tuple of str
        Empty for a guess on a scale.
    limits : tuple of float
        Smallest and largest value of the scale.
    unit : str
    answer : str, float or None
        What the reader has chosen.
    """

    def __init__(self, question: str, options: Sequence[str], limits: tuple[float, float], unit: str) -> None:
        self.question = question
        self.options = tuple(options)
        self.limits = limits
        self.unit = unit
        self.answer: str | float | None = None
        self._panel: Any = None

    @property
    def name(self) -> str:
        """What ties the comparison to the question in a page: the same for the same question."""
        return "guess-" + hashlib.sha256(self.question.encode()).hexdigest()[:10]

    @property
    def text(self) -> str:
        """The question in words."""
        choice = " / ".join(self.options) or f"{self._number(self.limits[0])} to {self._number(self.limits[1])}"
        return f"Your guess: {self.question} ({choice})"

    def compare(self, value: str | float, why: str = "", says: str = "It is") -> "Comparison":
        """Show the guess beside what came out.

        Parameters
        ----------
        value : str or float
            One of the options, or a number.
        why : str
            One sentence that explains the answer.
        says : str
            What stands before the answer, where it is no fact: "The network says".

        Raises
        ------
        BadArgumentError
            The value is none of the options, or no number.
        """
        if self.options and value not in self.options:
            raise BadArgumentError(f"The answer {value!r} is none of the options: {', '.join(self.options)}.")
        if not self.options:
            value = float(value)
        return Comparison(self, value, why, says)

    def verdict(self, answer: str | float, value: str | float) -> str:
        """Return one friendly line on a guess."""
        if self.options:
            return "That is it." if answer == value else "Another answer: good to know that before reading on."
        off = float(answer) - float(value)
        if abs(off) <= CLOSE * (self.limits[1] - self.limits[0]):
            return "Very close."
        return "Lower than you thought." if off > 0 else "Higher than you thought."

    def _number(self, value: float) -> str:
        return f"{three_digits(value)} {self.unit}".rstrip()

    def shown(self, value: str | float) -> str:
        """Return a value as it is shown."""
        return str(value) if self.options else self._number(float(value))

    # --- how it is shown ----------------------------------------------------------------------------------------

    def to_html(self) -> str:
        """Return the form for a page without a kernel."""
        if self.options:
            inputs = "".join(
                f'<label><input type="radio" name="{self.name}" value="{escape(option, quote=True)}"> '
                f"{escape(option)}</label>"
                for option in self.options
            )
        else:
            low, high = self.limits
            middle = (low + high) / 2
            inputs = (
                f'<label class="d-guess-scale"><span class="d-guess-low">{escape(self._number(low))}</span>'
                f'<input type="range" name="{self.name}" min="{low:g}" max="{high:g}" step="{(high - low) / 200:g}" '
                f'value="{middle:g}" data-unit="{escape(self.unit, quote=True)}" '
                f'aria-label="{escape(self.question, quote=True)}">'
                f'<span class="d-guess-high">{escape(self._number(high))}</span></label>'
                '<output class="d-guess-value"></output> <button type="submit">This is my guess</button>'
            )
        return (
            f'<form class="dl4mir-guess" id="{self.name}"><fieldset><legend>{escape(self.question)}</legend>{inputs}'
            '</fieldset><p class="d-guess-said" aria-live="polite"></p></form>'
        )

    def _widget(self) -> Any:
        """Build the panel for a notebook, once."""
        import ipywidgets

        if self._panel is not None:
            return self._panel
        said = ipywidgets.HTML()

        def keep(answer: str | float) -> None:
            self.answer = answer
            said.value = f"Kept: <b>{escape(self.shown(answer))}</b>. You can change it until you compare."

        wide = ipywidgets.Layout(width="auto", max_width="46em")
        question = ipywidgets.HTML(f"<b>{escape(self.question)}</b>")
        if self.options:
            choice = ipywidgets.RadioButtons(options=self.options, value=None, layout=wide)
            choice.observe(lambda change: keep(change["new"]), names="value")
            parts = [question, choice, said]
        else:
            low, high = self.limits
            long = ipywidgets.Layout(width="34em", max_width="100%")
            choice = ipywidgets.FloatSlider(
                value=(low + high) / 2, min=low, max=high, step=(high - low) / 200, readout_format=".3g", layout=long
            )
            button = ipywidgets.Button(
                description="This is my guess", layout={"width": "auto", "align_self": "flex-start"}
            )
            button.on_click(lambda _: keep(choice.value))
            parts = [question, ipywidgets.HBox([choice, ipywidgets.Label(self.unit)]), button, said]
        self._panel = ipywidgets.VBox(parts)
        return self._panel

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Panel, form and text; without ipywidgets the form alone."""
        data: dict[str, Any] = {"text/plain": self.text, "text/html": self.to_html()}
        try:
            panel = self._widget()
        except ImportError:
            return data
        return data | {WIDGET_MIME: {"version_major": 2, "version_minor": 0, "model_id": panel.model_id}}


@dataclass(frozen=True)
class Comparison:
    """What `Guess.compare` returns: the guess and the answer side by side."""

    guess: Guess
    value: str | float
    why: str
    says: str

    @property
    def text(self) -> str:
        """Guess and answer in one line."""
        guess, shown = self.guess, self.guess.shown(self.value)
        if guess.answer is None:
            return f"{guess.question} {self.says} {shown}. {self.why}".strip()
        said = f"You guessed {guess.shown(guess.answer)}, {self.says[0].lower()}{self.says[1:]} {shown}."
        return f"{said} {guess.verdict(guess.answer, self.value)} {self.why}".strip()

    def to_html(self) -> str:
        """Return both as HTML: as a box to open, where no guess is known yet."""
        guess = self.guess
        shown = escape(guess.shown(self.value))
        why = f"<p>{escape(self.why)}</p>" if self.why else ""
        if guess.answer is not None:
            return (
                f'<div class="dl4mir-compare"><p><span>Your guess</span> <b>{escape(guess.shown(guess.answer))}</b></p>'
                f"<p><span>{escape(self.says)}</span> <b>{shown}</b></p>"
                f"<p>{guess.verdict(guess.answer, self.value)}</p>{why}</div>"
            )
        # For the page's script: what it says about any guess.
        if guess.options:
            lines: dict[str, Any] = {option: guess.verdict(option, self.value) for option in guess.options}
        else:
            reach = CLOSE * (guess.limits[1] - guess.limits[0])
            value = float(self.value)
            above, near, below = (guess.verdict(value + off, value) for off in (2 * reach, 0, -2 * reach))
            lines = {"value": value, "reach": reach, "above": above, "near": near, "below": below}
        data = escape(json.dumps(lines, ensure_ascii=False), quote=True)
        return (
            f'<details class="dl4mir-compare" data-guess="{guess.name}" data-lines="{data}">'
            f"<summary>Compare with your guess</summary>"
            f'<p class="d-guess-yours">{NO_GUESS}</p><p><span>{escape(self.says)}</span> <b>{shown}</b></p>'
            f'<p class="d-guess-verdict"></p>{why}</details>'
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": self.text, "text/html": self.to_html()}


def guess(
    question: str, options: Sequence[str] = (), low: float | None = None, high: float | None = None, unit: str = ""
) -> Guess:
    """Ask for a guess before the answer is shown: one of some options, or a number on a scale.

    Parameters
    ----------
    question : str
        What will come out?
    options : sequence of str
        Two to six of them, none for a scale.
    low, high : float
        Ends of the scale.
    unit : str
        Of the scale: "Hz", "%".

    Returns
    -------
    Guess
        Keep it: ``first = guess("Which is brighter?", ["A", "B"])``, show it as the cell's last line, ``first``, and
        later compare: ``first.compare("B", "It has more energy above 2 kHz.")``.

    Raises
    ------
    BadArgumentError
        There are neither options nor a scale, or both.
    """
    scale = low is not None and high is not None
    if scale == bool(options):
        raise BadArgumentError(
            'Give options, guess("Which?", ["A", "B"]), or a scale, guess("How many?", low=0, high=9).'
        )
    if options and (not 2 <= len(options) <= 6 or len(set(options)) < len(options)):
        raise BadArgumentError(f"Give two to six different options, not {list(options)}.")
    if scale and not low < high:
        raise BadArgumentError(f"The scale goes from low to high: {low} is not below {high}.")
    return Guess(question, options, (low, high) if scale else (0.0, 0.0), unit)
