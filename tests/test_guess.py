"""Guesses: the form, what is kept, the comparison, in a notebook and in a page."""

import json
import re
from html import unescape

import pytest

from dl4mir_utils import BadArgumentError
from dl4mir_utils.player import guess
from dl4mir_utils.player.guess import WIDGET_MIME


def test_options_in_a_notebook():
    first = guess("Which <one>?", ["A & B", "C"])
    bundle = first._repr_mimebundle_()
    assert bundle["text/plain"] == "Your guess: Which <one>? (A & B / C)"
    assert first._repr_mimebundle_()[WIDGET_MIME]["model_id"] == bundle[WIDGET_MIME]["model_id"], "one panel"
    assert first.compare("C").text == "Which <one>? It is C."
    choice = first._widget().children[1]
    assert choice.value is None, "nothing is chosen beforehand"
    choice.value = "A & B"
    assert first.answer == "A & B" and "A &amp; B" in first._widget().children[2].value
    assert (
        first.compare("C", "Listen.").text == "You guessed A & B, it is C. " + first.verdict("A & B", "C") + " Listen."
    )
    assert "That is it." in first.compare("A & B").text
    assert "A &amp; B" in first.compare("C").to_html() and "<details" not in first.compare("C").to_html()


def test_a_scale_in_a_notebook():
    many = guess("How many?", low=0, high=12000, unit="Hz")
    assert many.text == "Your guess: How many? (0 Hz to 12000 Hz)"
    _, row, button, _ = many._widget().children
    row.children[0].value = 3000
    assert many.answer is None, "moving the slider is no guess yet"
    button.click()
    assert many.answer == 3000
    assert many.compare(3300).text == "You guessed 3000 Hz, it is 3300 Hz. Very close."
    assert many.compare(9000).text.endswith("Higher than you thought.")
    assert many.compare(432).text.endswith("Lower than you thought.")


def test_form_and_comparison_in_a_page():
    many = guess("How many?", low=0, high=1, unit="")
    form, box = many.to_html(), many.compare(0.41, "As computed.").to_html()
    assert f'id="{many.name}"' in form and '<input type="range"' in form and "<legend>How many?</legend>" in form
    assert f'data-guess="{many.name}"' in box and box.startswith("<details")
    lines = json.loads(unescape(re.search('data-lines="([^"]*)"', box)[1]))
    assert lines["value"] == 0.41 and lines["reach"] == pytest.approx(0.05)
    assert (lines["above"], lines["near"]) == ("Lower than you thought.", "Very close.")
    assert "<b>0.41</b>" in box and "As computed." in box
    options = guess("Which?", ["A", "B"])
    lines = json.loads(unescape(re.search('data-lines="([^"]*)"', options.compare("B").to_html())[1]))
    assert lines == {"A": options.verdict("A", "B"), "B": "That is it."}
    assert guess("Which?", ["A", "B"]).name == options.name != many.name, "the same in every run"


def test_without_ipywidgets_the_form_is_left(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ipywidgets", None)
    assert set(guess("Which?", ["A", "B"])._repr_mimebundle_()) == {"text/plain", "text/html"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Give options"),
        ({"options": ["A", "B"], "low": 0, "high": 1}, "Give options"),
        ({"options": ["A"]}, "two to six different"),
        ({"options": ["A", "A"]}, "two to six different"),
        ({"low": 3, "high": 3}, "3 is not below 3"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(BadArgumentError, match=message):
        guess("What?", **options)


def test_an_answer_that_is_no_option():
    with pytest.raises(BadArgumentError, match="'C' is none of the options: A, B"):
        guess("Which?", ["A", "B"]).compare("C")
