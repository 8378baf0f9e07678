"""The microphone's widget in a real browser: in JupyterLab with a kernel, and with a kernel that a script plays."""

import json

import nbformat
import numpy as np
import pytest
import soundfile

from browser import opening
from browser.opening import barriers, jupyter_lab, run_all_cells, served, watch
from browser.test_edit_browser import run
from dl4mir_utils.player import listen
from dl4mir_utils.player.sync import CODE, as_html

TONE_HZ = 1000
MADE = """
import time
import numpy as np
from dl4mir_utils.player import listen

def answer(window):
    levels = np.abs(np.fft.rfft(window * np.hanning(len(window))))
    tone = float(abs(levels.argmax() * 16000 / len(window) - 1000) < 20)
    return [tone, 1 - tone]

live = listen(answer, ["tone", "else"], window_s=1, hop_s=0.25, kind="pie", title="Tone")
live
"""
# A kernel that answers after `late` ms, or never.
STUB = """
window.sent = [];
window.late = 5;
const listeners = new Set();
const model = {
  get: name => name === "content" ? window.content : {},
  on: (name, action) => name === "msg:custom" && listeners.add(action),
  off: (name, action) => listeners.delete(action),
  send(message, callbacks, buffers) {
    const samples = buffers ? buffers[0].byteLength / 4 : 0;
    window.sent.push({ ...message, samples, at: performance.now() });
    if (message.kind !== "sound" || window.late === null) return;
    const end = window.sent.reduce((sum, each) => sum + each.samples, 0);
    const values = message.answer ? [0.3, 0.7] : undefined;
    const reply = { kind: "answer", turn: message.turn, values, end, work_s: 0.001, dropped: 0 };
    setTimeout(() => listeners.forEach(each => each(reply)), window.late);
  },
};
window.unmount = render({ model, el: document.querySelector("main") });
"""


@pytest.fixture(scope="module")
def microphones(browser, chromium, tmp_path_factory):
    """Two browsers: one whose microphone hears a tone, one that refuses it."""
    heard = tmp_path_factory.mktemp("microphone") / "tone.wav"
    soundfile.write(heard, 0.25 * np.sin(2 * np.pi * TONE_HZ * np.arange(48000 * 4) / 48000), 48000, subtype="PCM_16")
    with opening.microphones(browser, chromium, heard) as started:
        yield started


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Two pages on a server: with a kernel that a script plays, and without one."""
    live = listen(lambda window: [0.5, 0.5], ["a <b>", "c"], window_s=1, hop_s=0.25, title="Test", unsure_below=0.8)
    root = tmp_path_factory.mktemp("pages")
    content = json.dumps(live.content()).replace("<", "\\u003c")
    script = f"{CODE['js']}\nwindow.content = {content};\n{STUB}"
    for name, piece in {
        "kernel": f'<style>{CODE["css"]}</style><main></main><script type="module">{script}</script>',
        "none": f"<main>{as_html(live)}</main>",
    }.items():
        head = (
            '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        )
        (root / f"{name}.html").write_text(
            f'<!doctype html><html lang="en">{head}<title>Test</title><h1>Test</h1>{piece}', "utf-8"
        )
    with served(root) as host:
        yield host


def opened(browser, address, name="kernel", **options):
    page = watch(browser.new_page(**({"viewport": {"width": 1000, "height": 700}} | options)))
    page.goto(f"{address}/{name}.html")
    page.wait_for_selector(".dl4mir-listen")
    return page


def status(page):
    return page.locator(".d-listen-status").inner_text()


def test_one_piece_at_a_time_and_nothing_is_lost(microphones, address):
    page = opened(microphones["heard"], address)
    assert page.evaluate("window.sent") == [], "nothing starts by itself"
    page.get_by_role("button", name="Start listening").click()
    page.wait_for_function("window.sent.length > 5")
    assert page.locator(".d-listen-verdict").inner_text() == "unsure"
    assert page.locator(".d-classes .d-value").all_inner_texts() == ["30 %", "70 %"]
    assert "median" in page.locator(".d-note").inner_text()
    # The kernel falls silent: the sound waits, and goes on in one piece.
    page.evaluate("window.late = null")
    page.wait_for_timeout(600)
    count = page.evaluate("window.sent.length")
    page.wait_for_timeout(3500)
    assert page.evaluate("window.sent.length") == count
    assert status(page).startswith("The kernel is busy")
    page.get_by_role("button", name="Stop").click()
    sent = page.evaluate("window.sent")
    assert [each["kind"] for each in sent] == ["start"] + ["sound"] * (len(sent) - 1)
    sounds = sent[1:]
    assert all(0.25 <= each["samples"] / sent[0]["rate"] < 0.35 for each in sounds[:4])
    assert sum(len(each["delays"]) for each in sounds) >= 3
    for delay in (delay for each in sounds for delay in each["delays"]):
        assert all(0 <= part < 0.3 for part in delay) and delay[2] == 0.001
    assert page.complaints == []
    page.close()


def test_what_waits_goes_in_pieces_that_servers_take(microphones, address):
    page = opened(microphones["heard"], address)
    page.evaluate("window.late = 6500")
    page.get_by_role("button", name="Start listening").click()
    page.wait_for_function("window.sent.length === 2")
    page.wait_for_timeout(6000)
    page.evaluate("window.late = 5")
    page.wait_for_function("window.sent.length >= 5", timeout=10_000)
    rate = page.evaluate("window.sent[0].rate")
    pieces = page.evaluate("window.sent.slice(1).map(each => [each.samples, each.answer])")
    assert pieces[1][0] <= 5.1 * rate and pieces[1][1] is False, "more is waiting: it is only to be kept"
    page.get_by_role("button", name="Stop").click()
    page.wait_for_function("window.sent.at(-1).last")
    heard = page.evaluate("window.sent.reduce((sum, each) => sum + each.samples, 0)") / rate
    minutes, seconds = page.locator(".d-time").inner_text().split(":")
    assert heard == pytest.approx(60 * int(minutes) + float(seconds), abs=0.2)
    page.close()


def test_without_leave_a_microphone_or_a_kernel(microphones, browser, address):
    page = opened(microphones["refused"], address)
    page.get_by_role("button", name="Start listening").click()
    page.get_by_text("does not let this page use the microphone").wait_for(timeout=5000)
    assert page.get_by_role("button", name="Start listening").is_enabled() and page.evaluate("window.sent") == []
    page.evaluate(
        "void (navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotFoundError')))"
    )
    page.get_by_role("button", name="Start listening").click()
    page.get_by_text("No microphone was found").wait_for(timeout=5000)
    page.close()
    page = opened(browser, address, "none")
    assert "This page has no kernel to ask" in status(page) and page.get_by_role("button").count() == 0
    assert page.complaints == []
    page.close()


def test_leaves_nothing_behind(microphones, address):
    page = opened(microphones["heard"], address)
    page.get_by_role("button", name="Start listening").click()
    page.wait_for_function("window.sent.length > 2")
    page.evaluate("window.track = document.querySelector('.dl4mir-listen').dl4mir.recording; window.unmount()")
    count = page.evaluate("window.sent.length")
    page.wait_for_timeout(700)
    assert page.evaluate("window.sent.length") <= count + 1 and page.evaluate("window.track.stopped")
    assert page.locator(".dl4mir-listen").count() == 0 and page.complaints == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 390])
def test_no_barriers(microphones, address, axe, scheme, width):
    options = {"viewport": {"width": width, "height": 700}, "color_scheme": scheme, "reduced_motion": "reduce"}
    page = opened(microphones["heard"], address, **options)
    assert barriers(page, axe) == []
    page.get_by_role("button", name="Start listening").click()
    page.wait_for_function("window.sent.length > 2")
    assert barriers(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.wait_for_function("document.querySelector('.d-spoken').textContent === 'unsure: c 70 %'")
    page.close()


def test_from_the_microphone_to_the_kernel_and_back(microphones, tmp_path):
    make = nbformat.v4.new_code_cell
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[make(MADE)], metadata=kernel), tmp_path / "listen.ipynb")
    with jupyter_lab(tmp_path) as lab:
        page = watch(microphones["heard"].new_page(viewport={"width": 1200, "height": 900}))
        page.goto(f"{lab}/lab/tree/listen.ipynb?reset")
        run_all_cells(page)
        page.get_by_role("button", name="Start listening").click(timeout=60_000)
        page.wait_for_function("document.querySelector('.d-listen-verdict')?.textContent === 'tone'", timeout=10_000)
        page.wait_for_timeout(2500)
        page.get_by_role("button", name="Stop").click()
        page.wait_for_timeout(500)
        facts = (
            "import json; audio = live.audio[4000:-2000]; print(json.dumps([len(live.audio) / 16000, "
            "float(np.abs(np.fft.rfft(audio)).argmax() * 16000 / len(audio)), float(np.sqrt((audio**2).mean())), "
            "live.probabilities.mean(0).tolist(), len(live.times_s), live.delays_s.tolist(), live.dropped]))"
        )
        heard_s, hz, rms, mean, count, delays_s, dropped = json.loads(run(page, facts))
        minutes, seconds = page.locator(".d-time").inner_text().split(":")
        assert heard_s == pytest.approx(60 * int(minutes) + float(seconds), abs=0.15)
        assert hz == pytest.approx(TONE_HZ, abs=1) and rms == pytest.approx(0.25 / np.sqrt(2), rel=0.1)
        assert mean == pytest.approx([1, 0], abs=0.2) and count + dropped >= 8
        print(f"\n{np.median(delays_s) * 1000:.0f} ms (median), {max(delays_s) * 1000:.0f} ms at most")
        assert len(delays_s) >= 5 and 0 < np.median(delays_s) < 0.4
        # The kernel is slow, and then wrong.
        run(page, "quick = live.answer; live.answer = lambda window: (time.sleep(0.8), quick(window))[1]")
        page.get_by_role("button", name="Start listening").click()
        page.get_by_text("were left out, because the kernel was busy").wait_for(timeout=10_000)
        run(page, "live.answer = lambda window: [1]")
        page.get_by_text("The answer failed. BadArgumentError: answer(window) gave the shape (1,)").wait_for(
            timeout=5000
        )
        assert page.get_by_role("button", name="Start listening").is_visible()
        assert not [text for text in page.complaints if "dl4mir" in text or "anywidget" in text]
        page.close()
