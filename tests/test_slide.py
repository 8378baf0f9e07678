"""Sliders that figures and sounds follow."""

import io
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import soundfile
from PIL import Image

from dl4mir_utils import BadArgumentError
from dl4mir_utils.player import slide, standalone_html
from dl4mir_utils.player.slide import MAX_BYTES


def draw(value):
    ax = plt.subplots(figsize=(3, 2))[1]
    ax.set(title=str(value), xlim=(0, 10))
    ax.axvline(value)
    return ax


def test_frames_follow_the_value():
    made = slide(draw, [1, 2.5, 9], "rate", "Title", "What moves.", texts=lambda v: f"a line at {v}", start=1)
    assert made.values == ("1", "2.5", "9") and made.texts[2] == "a line at 9"
    pictures = [np.array(Image.open(io.BytesIO(frame)).convert("L")) for frame in made.frames]
    assert len({picture.shape for picture in pictures}) == 1
    assert all((pictures[0] != other).any() for other in pictures[1:])
    still = np.array(Image.open(io.BytesIO(made.png())).convert("L"))
    np.testing.assert_array_equal(still, pictures[1])
    assert not plt.get_fignums(), "nothing is shown twice"
    assert "rate from 1 to 9" in made.text and "rate 2.5: a line at 2.5" in made.text
    data, metadata = made._repr_mimebundle_()
    assert data["image/png"] == made.png() and metadata["alt"] == made.text


def test_sounds_lie_one_behind_the_other():
    made = slide(draw, [1, 2], "seconds", sound=lambda value: np.full(8000 * value, 0.25, np.float32), sr=8000)
    content = made.content()
    audio, rate = soundfile.read(io.BytesIO(content["audio"]))
    assert rate == 8000
    for (start, end), seconds in zip(content["slide"]["spans"], (1, 2), strict=True):
        assert end - start == pytest.approx(seconds)
        assert np.abs(audio[round(start * 8000) : round(end * 8000)] - 0.25).max() < 1e-3
    assert "each with a sound" in made.text


def test_as_a_piece_of_a_page():
    content = slide(draw, [1, 2], "rate").content()
    page = standalone_html(content, "<img>")
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)[1])
    assert len(data["frames"]) == 2 and data["slide"]["values"] == ["1", "2"]
    assert "<audio" not in page and "mountSlide" in page


def test_pictures_that_are_too_large_lose_a_little_or_are_refused():
    rng = np.random.default_rng(0)

    def noise(value, size=2.0):
        figure = plt.figure(figsize=(size, size))
        figure.figimage(rng.random((400, 400, 3)), resize=False)
        return figure

    made = slide(noise, [1, 2], "draw")
    assert sum(map(len, made.frames)) <= MAX_BYTES
    with pytest.raises(BadArgumentError, match=r"figures of slide take \d+ KB; at most 300"):
        slide(lambda value: noise(value, 8.0), range(40), "draw")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((draw, [1], "x"), "2 to 60 values"),
        ((lambda value: None, [1, 2], "x"), "must return a Matplotlib figure"),
        ((lambda value: plt.subplots(figsize=(value, 1))[0], [1, 2], "x"), "differ in size"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(BadArgumentError, match=message):
        slide(*arguments)
    plt.close("all")
