"""The live page in a browser: files, clips, the microphone, networks of one's own, and everybody who uses it.

Its rules forbid the page to evaluate text as code, and so also Playwright's `wait_for_function`: the tests wait for
elements.
"""

import io
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
import soxr

from browser import opening
from browser.opening import barriers, served, watch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools" / "course"))

import course_html  # noqa: E402

from dl4mir_utils.apps import lite  # noqa: E402
from dl4mir_utils.live.build import POLICY, build_live  # noqa: E402

CLIPS = ROOT / "data" / "mini" / "clips"
PRETRAINED = ROOT / "data" / "pretrained"
SR = 16000
MARKUP = "<img src=x onerror=document.title='hacked'>.wav"
DONE = "#work.finished"
SLOW_MS = 120_000  # a busy machine
MOST_WORK_MS = 5000  # of work on what is heard every 896 ms: ten times what it takes where nothing else runs


def wav(audio: np.ndarray) -> bytes:
    """Return a sound as WAV, 16 bit."""
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, SR, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def music(*names: str) -> np.ndarray:
    """Return some of the course's clips, one after the other."""
    return np.concatenate([soundfile.read(CLIPS / f"{name}.ogg")[0] for name in names])


@pytest.fixture(scope="module")
def song() -> bytes:
    """Return 20 s of metal and orchestra as WAV."""
    return wav(music("muldjord_01_0", "0ad_01_0"))


def write_page(build: Path) -> str | None:
    """Write the page into build/course, with what an earlier build has fetched and found; return what is missing."""
    earlier = ROOT / "build"
    (earlier / "npm").mkdir(parents=True, exist_ok=True)
    (build / "npm").symlink_to(earlier / "npm")
    if (earlier / "neighbours.json").exists():
        shutil.copy(earlier / "neighbours.json", build)
    course = build / "course"
    course.mkdir()
    (course / "course.css").write_text(course_html.style_sheet(), "utf-8")
    shutil.copy(course_html.PAGE_FOLDER / "course.js", course)
    return build_live(course)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Write the page into a folder."""
    build = tmp_path_factory.mktemp("build")
    if missing := write_page(build):
        pytest.skip(missing)
    return build / "course"


@pytest.fixture(scope="module")
def address(folder):
    """Address of the page on a server."""
    with served(folder) as host:
        yield f"{host}/live.html"


@pytest.fixture(scope="module")
def microphones(browser, chromium, tmp_path_factory, song):
    """Return two browsers: one whose microphone hears the song, one that refuses it."""
    heard = tmp_path_factory.mktemp("microphone") / "heard.wav"
    heard.write_bytes(song)
    with opening.microphones(browser, chromium, heard) as started:
        yield started


def opened(browser, address, **options):
    """Open the page in a new tab, and wait until the networks can run."""
    page = watch(browser.new_page(**({"viewport": {"width": 1280, "height": 900}} | options)))
    page.goto(address)
    page.wait_for_selector("main[data-engine=ready]", timeout=SLOW_MS)
    return page


@pytest.fixture
def page(browser, address):
    """Open the page; afterwards: it asked for nothing but its own files, and the browser has no complaint."""
    page = opened(browser, address)
    yield page
    host = address.removesuffix("live.html")
    assert [url for url in page.asked if not url.startswith((host, "blob:", "data:"))] == []
    assert page.complaints == []
    page.close()


def choose(page, content: bytes, name: str = "song.wav", wait: str | None = DONE) -> None:
    """Choose a file; waits until all is known."""
    page.set_input_files("#file", {"name": name, "mimeType": "audio/wav", "buffer": content})
    if wait:
        page.wait_for_selector(wait, timeout=SLOW_MS)


def seek(page, seconds: float) -> None:
    page.evaluate(
        """seconds => new Promise(done => {
          const { audio, seek } = document.querySelector('.dl4mir-player').dl4mir;
          audio.addEventListener('seeked', () => setTimeout(done, 50), { once: true });
          seek(seconds) })""",
        seconds,
    )


def text(page, selector: str) -> str:
    return page.locator(selector).inner_text()


# --- sounds -------------------------------------------------------------------------------------------------------


def test_says_that_nothing_leaves_the_machine(page):
    assert "Nothing leaves your machine" in text(page, "#choose")
    assert page.get_attribute("meta[http-equiv]", "content").count("connect-src 'none'") == 1
    assert page.locator("#trouble").is_hidden() and page.locator("#result").is_hidden()


SOURCES = {"blob": "blob:", "data": "data:", "inline": "'unsafe-inline'", "wasm-eval": "'wasm-unsafe-eval'"}
OF_THE_WORKLET = {("script-src", "blob:"), ("script-src", "data:")}  # of its loading the browser does not tell


def test_the_policy_allows_only_what_the_page_uses(browser, address):
    """With a second policy that forbids all, but only reports, the browser names whatever the page loads."""
    page = browser.new_page()
    forbidden = {"Content-Security-Policy-Report-Only": "; ".join(f"{name} 'none'" for name in POLICY)}

    def forbid(route):
        answer = route.fetch()
        route.fulfill(response=answer, headers=answer.headers | forbidden)

    page.route(address, forbid)
    page.add_init_script(
        """globalThis.used = [];
        document.addEventListener('securitypolicyviolation', (event) =>
          used.push([event.effectiveDirective.replace(/-(elem|attr)$/, ''), event.blockedURI]));"""
    )
    page.goto(address)
    page.get_by_role("button", name="Listen to it").click()
    page.wait_for_selector(DONE, timeout=SLOW_MS)
    used = {(name, SOURCES.get(source, "'self'")) for name, source in page.evaluate("used")}
    allowed = {(name, source) for name, sources in POLICY.items() for source in sources.split() if source != "'none'"}
    assert used == allowed - OF_THE_WORKLET
    page.close()


def test_song(page, song):
    choose(page, song)
    player = page.locator(".dl4mir-player")
    names = player.locator(".d-track-name").all_inner_texts()
    assert names == ["log-mel", "tags", "singing", "sung", "genre", "genre tags of musicnn"]
    assert len(player.locator(".d-rows-named li").all()) == 12
    assert re.fullmatch(r"Done in \d.*s\.", text(page, "#doing"))
    tags = page.locator("#tags-answer .name").all_inner_texts()
    assert len(tags) == 5 and tags[0] in ("rock", "loud", "fast", "metal", "classical", "strings")
    assert re.fullmatch(r"\d+ %", text(page, "#singing-answer"))
    assert text(page, "#genre-answer") in ("electronic", "metal", "orchestral", "unsure", "mixed")
    assert re.fullmatch(r"(\w+ in \d+ %(, | of the time\.$))+", text(page, "#genre-share"))
    # How good it is, with artists it never heard, stands beside the answer and beside the pie.
    card = json.loads((PRETRAINED / "genre_mini.json").read_text("utf-8"))
    assert card["score"]["text"] in text(page, "#genre-score")
    assert card["score"]["text"] in player.inner_text()
    alike = page.locator("#alike li")
    assert alike.count() == 8
    assert all(re.search(r"by .+, (CC|GPL|[A-Z]).+, from", each) for each in alike.locator(".note").all_inner_texts())
    similarities = [float(value) for value in alike.locator(".value").all_inner_texts()]
    assert similarities == sorted(similarities, reverse=True)
    # All in one player, under one playhead.
    assert player.count() == 1 and player.locator(".d-cursor").count() == 1


def test_pie_moves_with_the_sound(page, song):
    choose(page, song)
    pies, answers = [], []
    for seconds in (5, 15):
        seek(page, seconds)
        pies.append(page.evaluate("document.querySelector('.dl4mir-player .pie').style.background"))
        answers.append(page.locator(".dl4mir-player .legend .verdict").inner_text())
        shares = [int(each.rstrip(" %")) for each in page.locator(".dl4mir-player .slices .value").all_inner_texts()]
        assert sum(shares) == pytest.approx(100, abs=2)
    assert pies[0] != pies[1]
    assert set(answers) <= {"electronic", "metal", "orchestral", "unsure"}
    seek(page, 20)  # up to the very end there is an answer
    assert page.locator(".dl4mir-player .legend .verdict").inner_text() != "–"


def test_a_clip_of_the_course(page):
    page.select_option("#clip", "muldjord_01_0")
    page.get_by_role("button", name="Listen to it").click()
    page.wait_for_selector(DONE, timeout=SLOW_MS)
    assert text(page, "#result-title") == "Armygeddon"
    assert "Muldjord" in text(page, "#facts") and "CC-BY-SA-3.0" in text(page, "#facts")
    card = json.loads((PRETRAINED / "genre_mini.json").read_text("utf-8"))
    assert card["heard"] in text(page, "#genre-score")
    assert "Armygeddon" not in page.locator("#alike strong").all_inner_texts()  # it is its own nearest


def test_clips_that_sound_alike_can_be_heard(page, song):
    choose(page, song)
    page.evaluate("document.querySelector('.dl4mir-player').dl4mir.audio.play()")
    button = page.locator("#alike .play").first
    title = page.locator("#alike strong").first.inner_text()
    assert button.get_attribute("aria-label").startswith(f"Play {title}")
    button.click()
    page.wait_for_selector("#alike .play[aria-label^=Stop]")
    # One sound at a time.
    assert page.evaluate("document.querySelector('.dl4mir-player').dl4mir.audio.paused")
    page.locator(".dl4mir-player").get_by_role("button", name="Play").click()
    page.wait_for_selector("#alike .play[aria-label^=Stop]", state="detached")
    page.locator("#alike").get_by_role("button", name="Open").first.click()
    page.wait_for_selector(DONE, timeout=SLOW_MS)
    assert text(page, "#result-title") == title


def test_a_clip_is_whole_or_a_preview_that_says_so(page):
    assert page.locator("#clip option").count() == 26  # one of each artist or soundtrack
    page.select_option("#clip", "0ad_01_0")
    page.get_by_role("button", name="Listen to it").click()
    page.wait_for_selector(DONE, timeout=SLOW_MS)
    assert text(page, "#facts").startswith("10 s") and "preview" not in text(page, "#facts")
    # Of the same soundtrack, so it can only be a preview.
    row = page.locator("#alike li").filter(has_text="Wildfire Games").first
    title = row.locator("strong").inner_text()
    assert row.locator(".note").inner_text().endswith("preview, 6 s")
    assert row.locator(".play").get_attribute("aria-label").endswith("preview, 6 s")
    row.get_by_role("button", name="Open").click()
    page.locator("#result-title").filter(has_text=title).wait_for()  # the preview is loaded
    page.wait_for_selector(DONE, timeout=SLOW_MS)
    assert text(page, "#facts").startswith("6.0 s") and "a preview: the beginning of a clip" in text(page, "#facts")


def test_all_of_it_is_at_most_12_mb(folder):
    assert sum(file.stat().st_size for file in folder.rglob("*")) <= 12e6


def test_one_set_of_tags_at_a_time(page, song):
    choose(page, song)
    before = page.locator("#tags-answer .name").all_inner_texts()
    page.get_by_label("Million Song Dataset").first.check()
    page.wait_for_selector("#work:not(.finished)")
    page.wait_for_selector(DONE, timeout=SLOW_MS)
    labels = json.loads((PRETRAINED / "musicnn_msd.json").read_text("utf-8"))["labels"]
    after = page.locator("#tags-answer .name").all_inner_texts()
    assert after != before and set(after) <= set(labels)
    page.get_by_label("MagnaTagATune").first.check()  # known already
    assert page.locator("#tags-answer .name").all_inner_texts() == before


def test_first_answers_while_it_works_and_stop(page):
    long = wav(np.tile(music("muldjord_01_0", "0ad_01_0"), 6))
    choose(page, long, wait="#tags-answer li")
    bar = page.get_by_role("progressbar")
    assert 0 < int(bar.get_attribute("aria-valuenow")) < 100
    assert page.locator(".dl4mir-player .d-track-name").first.inner_text() == "log-mel"
    page.get_by_role("button", name="Stop", exact=True).click()
    page.wait_for_selector("#again:not([hidden])", timeout=5000)
    assert text(page, "#doing") == "Stopped. What was found so far stays."
    assert page.locator("#tags-answer li").count() == 5
    assert page.locator("#trouble").is_hidden()
    page.get_by_role("button", name="Go on").click()
    page.wait_for_selector(DONE + ":has(#again[hidden])", timeout=SLOW_MS)
    assert "sung" in page.locator(".dl4mir-player .d-track-name").all_inner_texts()


def test_another_sound_in_the_middle(page, song):
    """What was chosen last counts."""
    choose(page, wav(np.tile(music("0ad_01_0"), 12)), "first.wav", wait="#tags-answer li")
    choose(page, song, "second.wav")
    assert text(page, "#result-title") == "second.wav"
    assert page.locator(".dl4mir-player").count() == 1
    assert page.evaluate("document.querySelector('.dl4mir-player').dl4mir.view.to") == pytest.approx(20, abs=0.1)


def test_names_never_become_markup(page, song):
    choose(page, song, MARKUP)
    assert text(page, "#result-title") == MARKUP
    assert MARKUP in page.locator(".dl4mir-player .d-head").inner_text()
    assert page.locator("main img").count() == 0
    choose(page, b"", MARKUP, wait="#trouble:not([hidden])")
    assert text(page, "#trouble") == f"{MARKUP}: This file is empty."
    assert page.locator("main img").count() == 0
    assert "hacked" not in page.title()


def test_drop(page, song):
    """A file that is dropped anywhere on the page."""
    page.evaluate(
        """content => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([Uint8Array.from(content)], 'dropped.wav'));
          for (const type of ['dragenter', 'dragover', 'drop'])
            document.querySelector('h1').dispatchEvent(
              new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true })) }""",
        list(song),
    )
    page.wait_for_selector(DONE, timeout=SLOW_MS)
    assert text(page, "#result-title") == "dropped.wav"
    assert page.locator("main.dragging").count() == 0


def far_too_long() -> bytes:
    """Return an Ogg file whose last page claims to end after a million years."""
    content = bytearray((CLIPS / "0ad_01_0.ogg").read_bytes())
    last = content.rindex(b"OggS")
    content[last + 6 : last + 14] = (2**59).to_bytes(8, "little")
    return bytes(content)


WRONG = {
    "empty.wav": (b"", "This file is empty"),
    "text.wav": (b"Dear diary, no music today.\n" * 40, "This is a text file"),
    "silence.wav": (wav(np.zeros(SR)), "only silence"),
    "sample.wav": (wav(np.full(1, 0.5)), "too short"),
    "granule.ogg": (far_too_long(), "longer than a file of its size can be"),
    "broken.ogg": ((CLIPS / "0ad_01_0.ogg").read_bytes()[:1500], "cannot read this as sound"),
}


@pytest.mark.parametrize("name", WRONG)
def test_friendly_line(name, page, song):
    """Each fault has its own words, and the next sound works."""
    content, words = WRONG[name]
    choose(page, content, name, wait="#trouble:not([hidden])")
    assert text(page, "#trouble").startswith(f"{name}: ") and words in text(page, "#trouble")
    assert page.get_by_role("alert").count() == 1
    assert page.locator("#result").is_hidden()
    assert page.evaluate("document.activeElement.id") == "choose-file"
    choose(page, song)
    assert page.locator("#trouble").is_hidden()
    page.complaints.clear()  # a file that cannot be decoded is one to the browser


# --- to take along ------------------------------------------------------------------------------------------------


def written(page, button: str) -> tuple[str, str]:
    """Name and content of what a button writes."""
    with page.expect_download() as download:
        page.get_by_role("button", name=button, exact=True).click()
    return download.value.suggested_filename, Path(download.value.path()).read_text("utf-8")


def test_downloads(page):
    voice = next((ROOT / "data" / "mini" / "voices").glob("allison_*"))
    spoken = soundfile.read(voice)[0]
    rate = soundfile.info(voice).samplerate
    sound = np.concatenate([music("0ad_01_0")[: 6 * SR], spoken[:: rate // SR]])
    choose(page, wav(sound), "my song.wav")
    name, labels = written(page, "Audacity labels")
    assert name == "my song-singing.txt"
    rows = [line.split("\t") for line in labels.splitlines()]
    assert rows and all(len(row) == 3 and row[2] == "sing" and float(row[0]) < float(row[1]) for row in rows)
    name, frames = written(page, "Singing, CSV")
    assert name == "my song-singing.csv" and frames.startswith("time_s,probability\n0.000,")
    assert len(frames.splitlines()) - 1 == -(-len(sound) // 2048)
    name, tags = written(page, "Tags MTT, CSV")
    assert name == "my song-tags-mtt.csv" and tags.startswith("file,guitar,classical,")
    assert tags.splitlines()[1].startswith("my song.wav,")
    _, over_time = written(page, "Tags MTT over time, CSV")
    assert [line.split(",")[0] for line in over_time.splitlines()[1:4]] == ["0.000", "3.000", "6.000"][
        : len(over_time.splitlines()) - 1
    ]
    _, genre = written(page, "Genre over time, CSV")
    assert genre.startswith("time_s,electronic,metal,orchestral\n")
    name, everything = written(page, "Everything, JSON")
    found = json.loads(everything)
    assert name == "my song-heard.json" and found["file"] == "my song.wav"
    assert [segment["start_s"] for segment in found["segments"]] == [float(row[0]) for row in rows]
    assert next(iter(found["musicnn_mtt"])) == text(page, "#tags-answer li:first-child .name")
    assert len(found["similar"]) >= 8


# --- the microphone -----------------------------------------------------------------------------------------------


def test_microphone(microphones, address, song):
    page = opened(microphones["heard"], address)
    page.get_by_role("button", name="Use the microphone").click()
    page.wait_for_selector("#listening:not([hidden])")
    assert page.evaluate("document.activeElement.id") == "stop"
    page.wait_for_selector("#live-tags .name:text-matches('[a-z]')", timeout=SLOW_MS)
    page.wait_for_selector("#live-sung:text-matches('singing')", timeout=SLOW_MS)
    page.wait_for_timeout(3000)
    pitches = page.locator("#live-pitches li").all_inner_texts()
    assert pitches == ["A", "B♭", "B", "C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭"]
    assert text(page, "#live-pitch") in [*pitches, "–"]
    assert re.fullmatch(r"[A-G][♭♯]? (major|minor)|–", text(page, "#live-chord"))
    assert page.locator("#live-genre .verdict").inner_text() in ("electronic", "metal", "orchestral", "unsure")
    # The newest second of singing is marked as provisional.
    singing = page.evaluate(
        """() => {
          const { first, probability, provisional } = document.getElementById('listening').live.singing;
          return { first, steps: probability.length, provisional } }"""
    )
    assert 5 <= singing["first"] + singing["steps"] - singing["provisional"] <= 12
    picture = "document.getElementById('live-mel').toDataURL().length"
    assert page.evaluate(picture) > 5000
    page.get_by_label("Tags of").last.select_option("musicnn_msd")
    labels = set(json.loads((PRETRAINED / "musicnn_msd.json").read_text("utf-8"))["labels"])
    page.wait_for_timeout(4000)
    assert set(page.locator("#live-tags .name").all_inner_texts()) <= labels
    for name, what in {"lags": "behind the sound", "work": "of work"}.items():
        times = page.evaluate(f"document.getElementById('listening').live.{name}")
        late = {kind: round(float(np.percentile(ms, 95))) for kind, ms in times.items()}
        print(f"\n{what}, 95 %: {late} ms", end="")
    assert max(late.values()) < MOST_WORK_MS * max(1, psutil.getloadavg()[0] / psutil.cpu_count())
    page.get_by_role("button", name="Stop", exact=True).click()
    assert page.evaluate("document.activeElement.id") == "open-recording"
    assert "Behind the sound: pitch and chord" in text(page, "#live-lag")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the recording").click()
    assert re.fullmatch(r"recording \d{4}-\d\d-\d\d \d\d\.\d\d\.wav", download.value.suggested_filename)
    audio, rate = soundfile.read(download.value.path())
    minutes, seconds = map(int, text(page, "#live-clock").split(":"))
    assert audio.ndim == 1 and len(audio) / rate == pytest.approx(60 * minutes + seconds + 0.5, abs=0.6)
    assert np.abs(audio).max() > 0.01
    page.get_by_role("button", name="See it in the player").click()
    page.wait_for_selector(DONE, timeout=SLOW_MS)
    assert text(page, "#result-title").startswith("recording ") and page.locator("#listening").is_hidden()
    host = address.removesuffix("live.html")
    assert [url for url in page.asked if not url.startswith((host, "blob:", "data:"))] == []
    assert page.complaints == []
    page.close()


def test_microphone_of_a_page_opened_as_a_file(microphones, folder):
    page = opened(microphones["heard"], (folder / "live.html").as_uri())
    page.get_by_role("button", name="Use the microphone").click()
    page.wait_for_selector("#live-pitch:text-matches('[A-G]')", timeout=SLOW_MS)
    page.wait_for_selector("#live-tags .name:text-matches('[a-z]')", timeout=SLOW_MS)
    assert page.locator("#trouble").is_hidden()
    assert all(url.startswith(("file:", "blob:", "data:")) for url in page.asked)
    assert page.complaints == []
    page.close()


def test_refused_microphone(microphones, address):
    page = opened(microphones["refused"], address)
    page.get_by_role("button", name="Use the microphone").click()
    page.wait_for_selector("#trouble:not([hidden])")
    assert "does not let this page use the microphone" in text(page, "#trouble")
    assert page.locator("#listening").is_hidden() and page.get_by_role("button", name="Use the microphone").is_enabled()
    page.close()


def test_little_motion(microphones, address):
    """Whoever wants little motion sees a still picture, and a new one each second."""
    page = opened(microphones["heard"], address, reduced_motion="reduce")
    page.get_by_role("button", name="Use the microphone").click()
    page.wait_for_selector("#live-sung:text-matches('singing')", timeout=SLOW_MS)
    pictures = page.evaluate(
        """() => new Promise(done => {
          const seen = new Set();
          const look = setInterval(() => seen.add(document.getElementById('live-mel').toDataURL()), 100);
          setTimeout(() => { clearInterval(look); done(seen.size) }, 3000) })"""
    )
    assert 1 <= pictures <= 5
    page.close()


# --- a network of one's own ---------------------------------------------------------------------------------------


def network(source="musicnn_mtt", **changes) -> list[dict]:
    """Return the two files of a network: one of the course's, under another name, with other words in its card."""
    card = json.loads((PRETRAINED / f"{source}.json").read_text("utf-8")) | changes
    card = {name: value for name, value in card.items() if value is not None}
    content = (PRETRAINED / f"{source}.tflite").read_bytes()
    return [
        {"name": "mine.tflite", "mimeType": "", "buffer": content},
        {"name": "mine.json", "mimeType": "application/json", "buffer": json.dumps(card).encode()},
    ]


def test_own_network(page, song):
    choose(page, song)
    labels = [f"<i>label {i}</i>" for i in range(50)]
    tflite, card = network(title="<b>Mine</b>", labels=labels)
    page.set_input_files("#own-file", [tflite])
    assert "mine.tflite is here. Now its card" in text(page, "#own-state")
    page.set_input_files("#own-file", [card])
    page.wait_for_selector("#own-card:not([hidden])", timeout=SLOW_MS)
    assert text(page, "#own-name") == "<b>Mine</b>"
    facts = text(page, "#own-facts")
    assert "50 labels" in facts and "<i>label 0</i>" in facts and "3.01 s at 16 kHz" in facts and "ISC" in facts
    page.wait_for_selector(DONE, timeout=SLOW_MS)
    names = page.locator(".dl4mir-player .d-track-name").all_inner_texts()
    assert names == ["log-mel", "tags", "singing", "sung", "<b>Mine</b>", "genre", "genre tags of musicnn"]
    assert page.locator("main i, main b").count() == 0
    # It is the same network: its answers are those of the tagger.
    own = page.locator(".d-rows-named").nth(1).locator("li").first.inner_text()
    tagged = page.locator(".d-rows-named").first.locator("li").first.inner_text()
    tags = json.loads((PRETRAINED / "musicnn_mtt.json").read_text("utf-8"))["labels"]
    assert own == f"<i>label {tags.index(tagged)}</i>"
    name, values = written(page, "Your network, CSV")
    assert name == "song-own-network.csv" and values.startswith("time_s,<i>label 0</i>,")
    page.get_by_role("button", name="Take it away").click()
    page.wait_for_selector("#own-card", state="hidden")
    assert "<b>Mine</b>" not in page.locator(".dl4mir-player .d-track-name").all_inner_texts()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": None}, "the labels"),
        ({"sample_rate_hz": None}, "the sample rate"),
        ({"audio": None}, "the scaling"),
        ({"signatures": None}, "a window"),
    ],
)
def test_what_is_missing_is_named(changes, words, page):
    page.set_input_files("#own-file", network(**changes))
    page.wait_for_selector("#trouble:not([hidden])")
    assert "mine.json does not name" in text(page, "#trouble") and words in text(page, "#trouble")
    assert page.locator("#own-card").is_hidden()


def test_broken_network(page):
    tflite, card = network()
    page.set_input_files("#own-file", [tflite | {"buffer": b"TFL3" * 1000}, card])
    page.wait_for_selector("#trouble:not([hidden])", timeout=SLOW_MS)
    assert "LiteRT cannot run this network" in text(page, "#trouble")
    page.complaints.clear()


def test_own_network_of_genres_is_a_pie_that_may_be_unsure(page, song):
    """As `dl4mir train` makes them: here it is the course's own, so both say the same."""
    score = {"text": "It was right seldom."}
    page.set_input_files("#own-file", network("genre_mini", title="My genres", score=score, labels=["a", "b", "c"]))
    page.wait_for_selector("#own-wait:visible", timeout=SLOW_MS)
    choose(page, song)
    mine, course = (page.locator(".dl4mir-player .genre-now").nth(i) for i in (0, 1))
    assert "It was right seldom." in mine.inner_text() and mine.locator(".pie").count() == 1
    values = [re.findall(r"\d+ %", each.locator("ul").inner_text()) for each in (mine, course)]
    assert values[0] == values[1] and len(values[0]) == 3
    of_mine, of_course = (written(page, f"{name}, CSV")[1] for name in ("Your network", "Genre over time"))
    assert of_mine.splitlines()[1:] == of_course.splitlines()[1:] and of_mine.startswith("time_s,a,b,c")


def test_own_network_before_the_sound(page, song):
    page.set_input_files("#own-file", network(title="Mine"))
    page.wait_for_selector("#own-wait:visible", timeout=SLOW_MS)
    choose(page, song)
    assert "Mine" in page.locator(".dl4mir-player .d-track-name").all_inner_texts()
    page.get_by_role("button", name="See its answers").click()
    assert page.evaluate("document.activeElement.classList.contains('dl4mir-player')")
    choose(page, b"", "empty.wav", wait="#trouble:not([hidden])")
    assert text(page, "#own-wait") == "Choose a sound above, and it listens."


def test_own_network_at_another_sample_rate_hears_the_file_at_that_rate(page, song):
    rate = 22050
    page.set_input_files("#own-file", network(title="Mine", sample_rate_hz=rate))
    page.wait_for_selector("#own-wait:visible", timeout=SLOW_MS)
    assert "2.18 s at 22.05 kHz (48128 samples)" in text(page, "#own-facts")
    choose(page, song)
    assert "Mine" in page.locator(".dl4mir-player .d-track-name").all_inner_texts()
    _, values = written(page, "Your network, CSV")
    found = np.array([line.split(",") for line in values.splitlines()[1:]], float)
    musicnn = lite.network("musicnn_mtt")
    length = musicnn.card["window_samples"]
    heard = soxr.resample(soundfile.read(io.BytesIO(song), dtype="float32")[0], SR, rate)
    cut = [heard[np.newaxis, at : at + length, np.newaxis] for at in range(0, len(heard) - length + 1, length)]
    wanted = np.array([musicnn("window", audio=window)["tags"][0] for window in cut])
    np.testing.assert_allclose(found[: len(wanted), 0], np.arange(len(wanted)) * length / rate, atol=1e-3)
    np.testing.assert_allclose(found[: len(wanted), 1:], wanted, atol=5e-3)  # as for other files: the filters differ


def test_networks_take_turns(page, song):
    """A network that is exchanged or taken away while it runs leaves nothing behind."""
    choose(page, wav(np.tile(music("0ad_01_0"), 12)), wait="#tags-answer li")
    page.set_input_files("#own-file", network(title="First"))
    page.wait_for_selector("#own-name:text-is('First')", timeout=SLOW_MS)
    page.wait_for_selector(".dl4mir-player .d-track-name:text-is('First')", timeout=SLOW_MS)
    page.set_input_files("#own-file", network(title="Second"))
    page.wait_for_selector(".dl4mir-player .d-track-name:text-is('Second')", timeout=SLOW_MS)
    page.get_by_role("button", name="Take it away").click()
    page.wait_for_selector(DONE, timeout=SLOW_MS)
    names = page.locator(".dl4mir-player .d-track-name").all_inner_texts()
    assert names == ["log-mel", "tags", "singing", "sung", "genre", "genre tags of musicnn"]
    assert page.locator("#trouble").is_hidden() and page.locator("#again").is_hidden()


# --- for everybody ------------------------------------------------------------------------------------------------


def test_keyboard_only(page):
    """From the top of the page to the end, without a mouse."""
    visited = []
    for _ in range(12):
        page.keyboard.press("Tab")
        visited.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    wanted = ["choose-file", "use-microphone", "clip", "Listen to it", "choose-own"]
    assert [each for each in visited if each in wanted] == wanted
    page.locator("#clip").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#result:not([hidden])")
    assert page.evaluate("document.activeElement.id") == "result-title"
    page.wait_for_selector(DONE, timeout=SLOW_MS)
    # Next come the sets of tags, then the player.
    for _ in range(6):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('dl4mir-player')"):
            break
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dl4mir.audio.currentTime") == pytest.approx(1, abs=0.05)
    page.keyboard.press("Space")
    page.wait_for_selector(".dl4mir-player button[title=Pause]")
    page.keyboard.press("Space")
    page.wait_for_selector(".dl4mir-player button[title=Play]")


def test_screen_reader_is_told(page, song):
    said = page.locator("#spoken")
    assert said.get_attribute("aria-live") == "polite"
    choose(page, song)
    words = said.inner_text()
    assert re.search(r"^Done in .* Genre: \w+\. Tags: .+, .+, .+\. Singing: \d+ % of the time\.$", words)
    pictures = [canvas.get_attribute("aria-label") for canvas in page.locator(".dl4mir-player canvas[role=img]").all()]
    assert pictures[1].startswith("tags: heat map of the 12 strongest of 50; on average ")
    assert page.get_by_role("group", name="Player: song.wav").count() == 1


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_barriers(theme, width, microphones, address, axe, song):
    """No state of the page keeps anybody out, and none is wider than the screen."""
    page = opened(microphones["heard"], address, viewport={"width": width, "height": 844}, color_scheme=theme)
    found = {}

    def look(state):
        found[state] = barriers(page, axe)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found[state].append("wider than the screen")

    look("empty")
    choose(page, song, wait="#tags-answer li")
    look("working")
    page.wait_for_selector(DONE, timeout=SLOW_MS)
    look("result")
    page.set_input_files("#own-file", network(title="A network with quite a long name, as people give them"))
    page.wait_for_selector("#own-card:not([hidden])", timeout=SLOW_MS)
    page.wait_for_selector(DONE, timeout=SLOW_MS)
    look("own network")
    page.get_by_role("button", name="Use the microphone").click()
    page.wait_for_selector("#live-tags .name:text-matches('[a-z]')", timeout=SLOW_MS)
    look("microphone")
    page.get_by_role("button", name="Stop", exact=True).click()
    look("recording")
    choose(page, b"", "a" * 120 + ".wav", wait="#trouble:not([hidden])")
    look("error")
    assert {state: lines for state, lines in found.items() if lines} == {}
    page.close()


def test_opened_as_a_file(browser, folder):
    """From a folder, without any server, it does the same."""
    page = opened(browser, (folder / "live.html").as_uri())
    page.get_by_role("button", name="Listen to it").click()
    page.wait_for_selector(DONE, timeout=SLOW_MS)
    assert page.locator("#alike li").count() == 8
    assert all(url.startswith(("file:", "blob:", "data:")) for url in page.asked)
    assert page.complaints == []
    page.close()


def test_a_browser_that_cannot_run_the_networks_is_told(browser, address):
    """Without SIMD: the page asks its browser before it starts anything."""
    page = watch(browser.new_page())
    page.add_init_script("WebAssembly.validate = () => false")
    page.goto(address)
    page.wait_for_selector("main[data-engine=failed]", timeout=SLOW_MS)
    assert "lacks WebAssembly SIMD" in text(page, "#trouble") and "Please try a newer one." in text(page, "#trouble")
    assert [url for url in page.asked if url.endswith("wasm.js")] == [] and page.complaints == []
    page.close()


def test_missing_part(browser, folder, tmp_path):
    """A page that was copied without its folder says so."""
    for name in ("live.html", "course.css", "course.js"):
        shutil.copy(folder / name, tmp_path)
    (tmp_path / "live").mkdir()
    for name in ("page.js", "page.css"):
        shutil.copy(folder / "live" / name, tmp_path / "live")
    page = browser.new_page()
    page.goto((tmp_path / "live.html").as_uri())
    page.wait_for_selector("main[data-engine=failed]")
    assert "copy the folder `live` beside it" in text(page, "#trouble")
    page.close()


@pytest.mark.parametrize("live", [True, False])
def test_card_on_the_index(live):
    """The index invites to the page, if it was written."""
    html = course_html.page(
        "index.html.j2", notebooks=[], date="2026-01-01T00:00", cpu_cores=2, versions={}, current="index", live=live
    )
    assert html.count('href="live.html"') == (2 if live else 0)
