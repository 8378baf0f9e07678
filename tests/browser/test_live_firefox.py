"""The live page in Debian's Firefox: it says what the command line says, hears the microphone, and asks for nothing."""

import csv
import json
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from browser import test_live_page as in_chromium
from browser.firefox import firefox
from browser.opening import served
from dl4mir_utils.apps import sing
from dl4mir_utils.apps.lite import network
from dl4mir_utils.apps.similar import file_embedding, unit
from dl4mir_utils.apps.tag import file_tags
from dl4mir_utils.decoding import load_audio

NAMES = ("firefox-esr", "firefox")
EXACT = 1e-4  # on the same 16 kHz samples
LENGTHS, DECISIONS = 0.02, 0.01  # of singing: a browser runs it on sounds of a few lengths only
WRITTEN = 6e-5  # numbers are written with four digits
DONE = "#work.finished"

folder, song = in_chromium.folder, in_chromium.song  # fixtures


@pytest.fixture(scope="module", autouse=True)
def chromium():
    """Take away what the other tests of this folder need."""


@pytest.fixture(scope="module")
def program() -> str:
    pytest.importorskip("websocket", reason="websocket-client, which Jupyter brings, is not installed")
    return next(filter(None, map(shutil.which, NAMES)), None) or pytest.skip("there is no Firefox on this machine")


@pytest.fixture(scope="module")
def downloads(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(program, tmp_path_factory, downloads):
    own = {"browser.download.folderList": 2, "browser.download.dir": str(downloads)}
    with firefox(program, tmp_path_factory.mktemp("firefox"), **own) as started:
        yield started


@pytest.fixture(scope="module")
def addresses(folder):
    """Where the page is, by how it is opened; on the server in a folder, as GitHub Pages has it."""
    with served(folder.parent) as host:
        yield {"file": (folder / "live.html").as_uri(), "server": f"{host}/{folder.name}/live.html"}


@pytest.fixture
def page(browser, addresses, request):
    """Open the page; afterwards: it asked for nothing but its own files, and the browser has no complaint."""
    address = addresses[getattr(request, "param", "server")]
    browser.asked.clear()
    browser.complaints.clear()
    started = time.monotonic()
    browser.open(address)
    browser.wait("main[data-engine=ready]")
    print(f"\nready after {time.monotonic() - started:.1f} s")
    yield browser
    own = (address.removesuffix("live.html"), "blob:", "data:")
    assert [url for url in browser.asked if not url.startswith(own)] == []
    assert browser.complaints == []


@pytest.fixture(scope="module")
def files(tmp_path_factory, song) -> Path:
    """Write the song, and all that is no song, into a folder."""
    folder = tmp_path_factory.mktemp("files")
    for name, content in {"song.wav": song, **{name: what for name, (what, _) in in_chromium.WRONG.items()}}.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def expected(files, folder) -> dict:
    """Return what the command line finds in the song."""
    path = files / "song.wav"
    audio, model, card = load_audio(path), network("genre_mini"), network("genre_mini").card
    starts = range(0, len(audio) - card["window_samples"] + 1, card["hop_samples"])
    cut = [audio[np.newaxis, at : at + card["window_samples"], np.newaxis] for at in starts]
    return {
        "tags": file_tags(path, "musicnn_mtt"),
        "singing": sing.sung(path).probability,
        "genre": np.array([model("window", audio=window)["genre"][0] for window in cut]),
        "embedding": unit(file_embedding(path)[np.newaxis])[0],
    }


def written(page, downloads: Path, button: str) -> str:
    """Return what a button writes."""
    before = set(downloads.iterdir())
    page.evaluate(
        f"() => [...document.querySelectorAll('#downloads button')]"
        f".find((each) => each.textContent === {json.dumps(button)}).click()"
    )
    until = time.monotonic() + 20
    # Until all is written, it stands in a .part beside an empty file of the name.
    while not (
        new := [each for each in set(downloads.iterdir()) - before if each.suffix != ".part" and each.stat().st_size]
    ):
        assert time.monotonic() < until, f"{button}: nothing was written"
        time.sleep(0.05)
    return new[0].read_text("utf-8")


def columns(text: str) -> np.ndarray:
    """Return the numbers of a table without its head and its first column."""
    return np.array([row[1:] for row in csv.reader(text.splitlines()[1:])], dtype=float)


@pytest.mark.parametrize("page", ["file", "server"], indirect=True)
def test_song(page, files, downloads, expected):
    page.choose("#file", files / "song.wav")
    page.wait(DONE)
    print(page.text("#doing"))
    assert page.text("#result-title") == "song.wav"
    names = ["log-mel", "tags", "singing", "sung", "genre", "genre tags of musicnn"]
    assert page.texts(".dl4mir-player .d-track-name") == names
    tags = columns(written(page, downloads, "Tags MTT, CSV"))[0]
    np.testing.assert_allclose(tags, expected["tags"], atol=EXACT + WRITTEN)
    singing = columns(written(page, downloads, "Singing, CSV"))[:, 0]
    np.testing.assert_allclose(singing, expected["singing"], atol=LENGTHS)
    threshold = network(sing.NETWORK).card["threshold"]
    assert np.mean((singing >= threshold) != (expected["singing"] >= threshold)) <= DECISIONS
    genre = columns(written(page, downloads, "Genre over time, CSV"))
    np.testing.assert_allclose(genre, expected["genre"], atol=EXACT + WRITTEN)
    found = json.loads(written(page, downloads, "Everything, JSON"))["similar"]
    for clip in found[:2]:
        vector = unit(file_embedding(in_chromium.CLIPS / f"{clip['clip']}.ogg")[np.newaxis])[0]
        assert clip["similarity"] == pytest.approx(float(vector @ expected["embedding"]), abs=1e-3)
    assert [each["similarity"] for each in found] == sorted((each["similarity"] for each in found), reverse=True)
    shown = page.texts("#alike strong")
    assert shown == [each["title"] for each in found][: len(shown)] and len(shown) == 8


def test_drop(page, files):
    content = list((files / "song.wav").read_bytes())
    page.evaluate(
        f"""() => {{
          const transfer = new DataTransfer();
          transfer.items.add(new File([Uint8Array.from({content})], "dropped.wav"));
          for (const type of ["dragenter", "dragover", "drop"])
            document.querySelector("h1").dispatchEvent(
              new DragEvent(type, {{ dataTransfer: transfer, bubbles: true, cancelable: true }})); }}"""
    )
    page.wait(DONE)
    assert page.text("#result-title") == "dropped.wav"


def test_friendly_lines(page, files):
    """Each fault has its own words."""
    for name, (_, words) in in_chromium.WRONG.items():
        page.evaluate("() => { document.getElementById('trouble').hidden = true; }")
        page.choose("#file", files / name)
        page.wait("#trouble:not([hidden])")
        told = page.text("#trouble")
        assert told.startswith(f"{name}: ") and words in told
        assert page.evaluate("() => document.getElementById('result').hidden")


def test_clip_and_preview(page):
    """A whole clip is Ogg Vorbis; a preview is Opus, and Firefox decodes that, too."""
    page.evaluate("() => { document.getElementById('clip').value = '0ad_01_0' }")
    page.click("#clips button")
    page.wait(DONE)
    assert page.text("#facts").startswith("10 s")
    page.evaluate(
        "() => [...document.querySelectorAll('#alike li')].find((row) => row.textContent.includes('preview, 6 s'))"
        ".querySelector('button.quiet').click()"
    )
    page.until("document.getElementById('facts').textContent.startsWith('6.0 s')", "the preview")
    page.wait(DONE)
    assert "a preview: the beginning of a clip" in page.text("#facts")


@pytest.mark.parametrize("page", ["file", "server"], indirect=True)
def test_microphone(page):
    """It hears a tone of 440 Hz."""
    page.click("#use-microphone")
    page.wait("#listening:not([hidden])", seconds=20)
    page.wait("#live-tags .name:not(:empty)")
    page.until("document.getElementById('live-sung').textContent !== '–'", "an answer on singing")
    assert page.text("#live-pitch") == "A"
    assert page.text("#live-sung") == "no singing"
    assert page.text("#live-genre .verdict") == "unsure"
    assert page.evaluate("() => document.getElementById('live-mel').toDataURL().length") > 2000
    lags = page.evaluate("() => document.getElementById('listening').live.lags")
    print("behind the sound, middle:", {name: round(float(np.median(ms))) for name, ms in lags.items()}, "ms")
    page.click("#stop")
    page.wait("#after:not([hidden])")
    page.click("#open-recording")
    page.wait(DONE)
    assert re.match(r"recording \d{4}-", page.text("#result-title"))


NO_MICROPHONE = {
    "refused": (
        {"media.navigator.permission.disabled": False, "permissions.default.microphone": 2},
        "does not let this page use the microphone",
    ),
    "no output": (
        {"media.cubeb.force_mock_context": False, "media.cubeb.force_null_context": True},
        "Connect loudspeakers or headphones",
    ),
}


@pytest.mark.parametrize("why", NO_MICROPHONE)
def test_no_microphone(why, program, addresses, tmp_path):
    preferences, words = NO_MICROPHONE[why]
    with firefox(program, tmp_path / "firefox", **preferences) as page:
        page.open(addresses["server"])
        page.wait("main[data-engine=ready]")
        page.click("#use-microphone")
        page.wait("#trouble:not([hidden])", seconds=30)
        assert words in page.text("#trouble")
        assert page.evaluate("() => !document.getElementById('use-microphone').disabled")
        assert page.evaluate("() => document.getElementById('listening').hidden")
