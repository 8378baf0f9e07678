"""The microphone's widget: what the kernel does with the sound, without a browser."""

import base64
import io
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from dl4mir_utils import BadArgumentError
from dl4mir_utils.player import listen
from dl4mir_utils.player.sync import WIDGET_MIME, _widget_class

sys.path.insert(0, str(Path(__file__).parents[1] / "tools" / "course"))

import notebooks as nbs

SR = 16000
NOISE = np.random.default_rng(0).normal(0, 0.1, 5 * SR).astype(np.float32)


def loudness(window):
    """Two probabilities that tell the windows of a sound apart."""
    share = float(np.abs(window).mean())
    return [share, 1 - share]


def made(answer=loudness, **options):
    return listen(answer, ["loud", "soft"], **({"window_s": 1.0, "hop_s": 0.3, "title": "Level"} | options))


def test_hears_a_sound_in_pieces():
    windows = []
    live = made(lambda window: windows.append(window) or loudness(window))
    shown = live.hear(NOISE)
    ends = np.arange(4, 17) * 4800  # of the hops, from the first with a full window
    assert live.times_s == pytest.approx(ends / SR)
    assert len(windows) == len(ends) and all(window.dtype == np.float32 for window in windows)
    for window, end in zip(windows, ends, strict=True):
        assert np.array_equal(window, NOISE[end - SR : end])
    assert live.probabilities == pytest.approx(np.array([loudness(window) for window in windows]), abs=1e-6)
    assert np.array_equal(live.audio, NOISE), "the rest, too, though it is no whole hop"
    assert live.dropped == 0 and len(live.work_s) == len(ends) and live.work_s.min() >= 0
    assert live.delays.empty and list(live.delays.columns) == ["waiting_s", "transport_s", "work_s", "drawing_s"]
    assert len(live.delays_s) == 0
    (track,) = shown.tracks
    assert track.hop_s == pytest.approx(0.3) and track.labels == ("loud", "soft")
    middles = track.start_s + (np.arange(len(ends)) + 0.5) * track.hop_s
    assert middles == pytest.approx(ends / SR - 0.5), "an answer stands in the middle of its window"
    assert shown.title == "Level" and "13 answers to 5.0 s" in live.text


def test_a_sound_hardly_longer_than_a_window():
    live = made()
    live.hear(NOISE[: SR + 100])
    assert live.times_s.tolist() == [(SR + 100) / SR]
    live.hear(NOISE[:SR].reshape(-1, 1) * 30)  # loud: turned down
    assert np.abs(live.audio).max() == pytest.approx(1) and len(live.times_s) == 1


class Browser:
    """What the widget sends, as a browser would get it."""

    def __init__(self, live, rate):
        self.live, self.sent = live, []
        live._received(self, {"kind": "start", "turn": 1, "rate": rate}, [])

    def send(self, message):
        self.sent.append(message)

    def say(self, sound, turn=1, answer=True, last=False, delays=()):
        message = {"kind": "sound", "turn": turn, "answer": answer, "last": last, "delays": list(delays)}
        self.live._received(self, message, [memoryview(sound.astype("<f4").tobytes())])
        return self.sent[-1] if self.sent else None


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_the_microphones_rate_becomes_the_networks(rate):
    live = made()
    browser = Browser(live, rate)
    tone = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(3 * rate) / rate)).astype(np.float32)
    hop = round(0.3 * rate)
    for start in range(0, len(tone) - hop, hop):
        reply = browser.say(tone[start : start + hop])
        assert reply["kind"] == "answer" and reply["turn"] == 1
        if "values" in reply:  # the end of the window, as the browser counts samples
            assert reply["end"] == pytest.approx(start + hop, abs=0.04 * rate) and reply["end"] <= start + hop
            assert reply["values"] == pytest.approx(live.probabilities[-1]) and reply["work_s"] > 0
    browser.say(tone[start + hop :], answer=False, last=True)
    assert len(live.audio) == pytest.approx(3 * SR, abs=1), "nothing is left in the resampler"
    inner = slice(SR, 2 * SR)
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(3 * SR) / SR)
    assert live.audio[inner] == pytest.approx(expected[inner], abs=0.01)


def test_a_slow_kernel_leaves_answers_out_and_keeps_the_sound():
    live = made()
    browser = Browser(live, SR)
    assert "values" not in browser.say(NOISE[:4800])
    reply = browser.say(NOISE[4800:20000])  # three hops at once
    assert reply["dropped"] == live.dropped == 2 and len(live.times_s) == 1
    reply = browser.say(NOISE[20000:30000], answer=False)  # more is waiting
    assert "values" not in reply and live.dropped == 4
    browser.say(NOISE[30000:34800])
    browser.say(NOISE[34800:40000], answer=False, last=True)
    assert live.dropped == 4 and np.array_equal(live.audio, NOISE[:40000])


def test_delays_add_up():
    live = made()
    browser = Browser(live, SR)
    browser.say(NOISE[:SR], delays=[])
    browser.say(NOISE[SR : 2 * SR], delays=[[0.02, 0.01, 0.003, 0.016], [0.03, 0.01, 0.003, 0.017]])
    assert live.delays_s == pytest.approx([0.049, 0.06]) and live.delays.waiting_s.tolist() == [0.02, 0.03]


def test_pieces_of_a_recording_that_is_over_are_ignored():
    live = made()
    browser = Browser(live, SR)
    browser.say(NOISE[:SR])
    live._received(browser, {"kind": "start", "turn": 2, "rate": SR}, [])
    browser.say(NOISE[:100], turn=1)
    assert len(live.audio) == 0
    live.hear(NOISE[:SR])
    browser.say(NOISE[:100], turn=2)
    assert len(live.audio) == SR


def test_an_answer_that_fails_is_said_in_the_browser():
    live = made(lambda window: 1 / 0)
    browser = Browser(live, SR)
    with pytest.raises(ZeroDivisionError):
        browser.say(NOISE[:SR])
    assert browser.sent == [{"kind": "answer", "turn": 1, "error": "ZeroDivisionError: division by zero"}]


def test_bundle_has_text_picture_and_widget():
    live = made(description="Play <loud>.")
    bundle, metadata = live._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "image/png", WIDGET_MIME}
    assert (
        bundle["text/plain"] == "Level: loud, soft, every 0.3 s from 1 s of sound\n  Play <loud>.\n  nothing heard yet"
    )
    assert metadata == {"alt": bundle["text/plain"]}
    assert live._repr_mimebundle_()[0][WIDGET_MIME] == bundle[WIDGET_MIME]
    before = Image.open(io.BytesIO(bundle["image/png"]))
    live.hear(NOISE)
    after = Image.open(io.BytesIO(live.png()))
    assert before.size == after.size and before.tobytes() != after.tobytes()


def test_stands_in_an_exported_page():
    live = made()
    bundle, metadata = live._repr_mimebundle_()
    states = {live._widget().model_id: {"state": live._widget().get_state()}}
    notebook = nbformat.v4.new_notebook(metadata={"widgets": {nbs.WIDGET_STATE_MIME: {"state": states}}})
    data = bundle | {"image/png": base64.b64encode(bundle["image/png"]).decode()}
    output = nbformat.v4.new_output("display_data", data, metadata=metadata)
    notebook.cells.append(nbformat.v4.new_code_cell("live", outputs=[output]))
    nbs.embed_players(notebook)
    page = notebook.cells[0].outputs[0].data
    assert (
        WIDGET_MIME not in page
        and '"labels":["loud","soft"]' in page["text/html"]
        and "mountAll()" in page["text/html"]
    )


def test_without_anywidget_it_is_html(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    _widget_class.cache_clear()
    bundle, _ = made()._repr_mimebundle_()
    _widget_class.cache_clear()
    assert WIDGET_MIME not in bundle and '"listen":{"window_s":1.0' in bundle["text/html"]


WRONG = {
    r"gave the shape \(1, 2\); 2 probabilities are needed": lambda: made(lambda window: [[0, 1]]).hear(NOISE),
    "NaN or infinity": lambda: made(lambda window: [np.nan, 1]).hear(NOISE),
    "apply sigmoid or softmax first": lambda: made(lambda window: [3, -1]).hear(NOISE),
    'must sum to one; use kind="bars"': lambda: made(lambda window: [1, 1], kind="pie").hear(NOISE),
    "lasts 0.50 s, but the network hears 1.00 s": lambda: made().hear(NOISE[:8000]),
    "is empty or holds NaN": lambda: made().hear(np.full(SR, np.nan)),
    "needs the labels": lambda: listen(loudness, [], window_s=1),
    "hop_s is a time up to window_s": lambda: made(hop_s=2),
    r"hop_s is a time up to window_s \(1.0 s\), not 0": lambda: made(hop_s=0),
    "sample rate in Hz that the network wants": lambda: made(sr=0.5),
    'kind is "bars" or "pie"': lambda: made(kind="cake"),
    r"21 classes are too many \(20 fit\)": lambda: listen(loudness, range(21), window_s=1),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_wrong_and_what_to_do(message):
    with pytest.raises(BadArgumentError, match=message):
        WRONG[message]()
