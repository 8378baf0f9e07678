import base64
import io
import re

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from dl4mir_utils import BadArgumentError
from dl4mir_utils.player import play

TIME = np.arange(16000) / 16000


def decode(html):
    return [
        soundfile.read(io.BytesIO(base64.b64decode(data)))
        for data in re.findall(r'src="data:audio/mpeg;base64,([^"]+)"', html)
    ]


@pytest.mark.parametrize(("level", "heard"), [(0.1, 0.1), (4.0, 1.0)])
def test_loud_is_turned_down_and_soft_stays(level, heard):
    bundle = play(level * np.sin(2 * np.pi * 440 * TIME), title="A", description="one <tone>")._repr_mimebundle_()
    assert bundle["text/plain"] == "A (1.0 s): one <tone>"
    ((audio, rate),) = decode(bundle["text/html"])
    assert rate == 16000
    assert np.abs(audio[2000:-2000]).max() == pytest.approx(heard, rel=0.1)
    assert bundle["text/html"].startswith('<figure class="dl4mir-sound"')
    assert "<figcaption>A (1.0 s): one &lt;tone&gt;</figcaption><audio controls preload=" in bundle["text/html"]
    assert 'aria-label="A (1.0 s): one &lt;tone&gt;"' in bundle["text/html"]


def test_a_row_of_players_and_tensors():
    sound = np.zeros((16000, 1), "float32")
    html = play([("first", sound), ("second", tf.constant(sound))])._repr_mimebundle_()["text/html"]
    assert len(decode(html)) == html.count("<figure") == 2
    assert len(decode(play(tf.constant(sound))._repr_mimebundle_()["text/html"])) == 1


@pytest.mark.parametrize("sound", [np.zeros(0), np.array([0.0, np.nan])])
def test_nothing_to_hear(sound):
    with pytest.raises(BadArgumentError, match="empty or holds NaN"):
        play(sound, title="x")


def test_rates_mp3_does_not_have():
    with pytest.raises(BadArgumentError, match="12345 Hz"):
        play(np.zeros(100), sample_rate=12345)
