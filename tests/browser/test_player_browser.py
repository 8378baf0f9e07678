"""The synchronised player in a real browser: in JupyterLab with a kernel, and on an exported course page."""

import json
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest

from browser.opening import jupyter_lab, run_all_cells, served, watch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools" / "course"))

import course  # noqa: E402

# Every second of the sound has its own tone, so that what is heard tells where the sound is.
SIGNALS = """
import numpy as np
from dl4mir_utils.player import ClassBars, Curve, HeatMap, Segments, player

rng = np.random.default_rng(0)
seconds = np.arange(20 * 16000) // 16000
audio = 0.3 * np.sin(2 * np.pi * (400 + 100 * seconds) * np.arange(20 * 16000) / 16000)
voice = rng.random((500, 2))
tags = rng.random((250, 6))
genres = rng.dirichlet(np.ones(4), 100)
words = ["guitar", "piano", "drums", "voice", "strings", "bass"]
truth = [(0.5, 4.0, "singing"), (4.0, 9.0, "silence"), (8.0, 15.0, "choir")]
"""
SHORT = """
player(audio, 16000, [
    Curve("voice", voice, 0.04, ["model", "teacher"], threshold=0.5),
    Segments("truth", truth),
    HeatMap("tags", tags, words, 0.08),
    ClassBars("genre", genres, ["rock", "pop", "jazz", "folk"], 0.2),
    ClassBars("mood", genres, ["calm", "happy", "sad", "<b>odd</b>"], 0.2, kind="pie"),
], title="Tones", description="A tone a second </script>.")
"""
LONG = """
player(np.tile(audio, 15), 16000, [
    Curve("voice", rng.random((20000, 2)), 0.015, ["model", "teacher"]),
    HeatMap("tags", rng.random((20000, 50)), [f"tag {i}" for i in range(50)], 0.015),
    ClassBars("genre", rng.dirichlet(np.ones(10), 20000), "abcdefghij", 0.015, kind="bars"),
], title="Five minutes")
"""
HEAD = "# 01 · Player\n\n<!-- badges --><!-- /badges -->\n\nWe play.\n\n<!-- measured --><!-- /measured -->"
ARRAYS: dict = {}
exec(SIGNALS, ARRAYS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A course of one notebook."""
    root = tmp_path_factory.mktemp("course")
    (root / "notebooks").mkdir()
    make = nbformat.v4.new_code_cell
    cells = [nbformat.v4.new_markdown_cell(HEAD), make(SIGNALS), make(SHORT), make(LONG)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}  # without it JupyterLab asks for one
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), root / "notebooks" / "01_player.ipynb")
    return root


@pytest.fixture(scope="module")
def exported(folder):
    """Address of the exported course page, on a web server that cannot send parts of files."""
    assert course.main(["run"], root=folder) == 0
    with served(folder / "build" / "course") as address:
        yield f"{address}/01_player.html"


@pytest.fixture(scope="module")
def lab(folder):
    """Address of the notebook in a JupyterLab of its own."""
    with jupyter_lab(folder) as address:
        yield f"{address}/lab/tree/notebooks/01_player.ipynb?reset"


@pytest.fixture(scope="module", params=["exported", "lab"])
def opened(request, browser):
    """The page with both players, with a kernel and without."""
    address = request.getfixturevalue(request.param)
    page = watch(browser.new_page(viewport={"width": 1300, "height": 1400}))
    page.kind = request.param
    page.goto(address)
    if request.param == "lab":
        run_all_cells(page)
    page.wait_for_function("document.querySelectorAll('.dl4mir-player').length === 2", timeout=60_000)
    page.evaluate("window.players = Array.from(document.querySelectorAll('.dl4mir-player'))")
    page.wait_for_function("players.every(p => p.dl4mir.audio.readyState >= 2)", timeout=20_000)
    yield page
    page.close()


@pytest.fixture
def page(opened):
    """Same page, with both players back at the start."""
    opened.evaluate(
        """players.forEach(p => { p.dl4mir.audio.pause(); p.dl4mir.seek(0);
        p.querySelector('[title*="whole"]').click() })
        players[0].scrollIntoView()"""
    )
    return opened


def now(page, player=0):
    return page.evaluate(f"players[{player}].dl4mir.audio.currentTime")


def seek(page, seconds):
    """Move there by script, and wait until the sound is there."""
    page.evaluate(
        """seconds => new Promise(done => {
          players[0].dl4mir.audio.addEventListener('seeked', () => setTimeout(done), { once: true });
          players[0].dl4mir.seek(seconds) })""",
        seconds,
    )


def picture(page, player=0):
    """Box of the first canvas of a player on the screen."""
    return page.locator(".dl4mir-player").nth(player).locator("canvas").first.bounding_box()


def test_playhead_is_where_the_sound_is(page):
    page.locator(".dl4mir-player").first.get_by_role("button", name="Play").click()
    page.wait_for_function("players[0].dl4mir.audio.currentTime > 0.2")
    off = page.evaluate(
        """() => new Promise(done => {
          const { audio, view } = players[0].dl4mir;
          const [cursor, axis] = ['.d-cursor', '.d-axis'].map(name => players[0].querySelector(name));
          const off = [];
          const look = () => {
            const [line, box] = [cursor.getBoundingClientRect(), axis.getBoundingClientRect()];
            const share = ((line.left + line.right) / 2 - box.left) / box.width;
            off.push(view.from + share * (view.to - view.from) - audio.currentTime);
            off.length < 60 ? requestAnimationFrame(() => setTimeout(look)) : done(off);
          };
          look() })"""
    )
    middle, most = 1000 * np.percentile(np.abs(off), [50, 90])
    print(f"\n{page.kind}: playhead off by {middle:.0f} ms (median), {most:.0f} ms (90 %)")
    assert most < 50  # nine frames of ten; a busy machine may drop one
    assert now(page) > 0.9
    assert page.locator(".dl4mir-player").first.get_by_role("button", name="Pause").count() == 1


def test_click_seeks_in_time_and_sound(page):
    """The tone that is heard after a click is that of the second clicked at: file and tracks agree."""
    box = picture(page)
    for share in (0.62, 0.175):
        page.mouse.click(box["x"] + share * box["width"], box["y"] + 40)
        assert now(page) == pytest.approx(20 * share, abs=20 / box["width"] + 0.01)
        heard = page.evaluate(
            """async () => {
              const { audio } = players[0].dl4mir;
              window.context ??= new AudioContext();
              window.source ??= context.createMediaElementSource(audio);
              const analyser = new AnalyserNode(context, { fftSize: 4096, smoothingTimeConstant: 0 });
              source.connect(analyser).connect(context.destination);
              const start = audio.currentTime;
              await audio.play();
              while (audio.currentTime < start + 0.3) await new Promise(requestAnimationFrame);
              const levels = new Float32Array(2048);
              analyser.getFloatFrequencyData(levels);
              audio.pause();
              return levels.indexOf(Math.max(...levels)) * context.sampleRate / 4096 }"""
        )
        assert heard == pytest.approx(400 + 100 * int(20 * share), abs=15)


def test_drag_seeks(page):
    box = picture(page)
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 30, steps=4)
    page.mouse.up()
    assert now(page) == pytest.approx(10, abs=0.05)


@pytest.mark.parametrize("time_s", [0.61, 8.43, 14.99, 19.97])
def test_tracks_show_the_values_of_the_arrays(page, time_s):
    seek(page, time_s)
    rows = page.evaluate("t => players[0].dl4mir.tracks.map(row => row.values?.read(t))", time_s)
    expected = [(1, "voice", 0.04, 65535), (3, "tags", 0.08, 255), (4, "genres", 0.2, 65535), (5, "genres", 0.2, 65535)]
    for row, name, hop_s, levels in expected:
        assert rows[row] == pytest.approx(ARRAYS[name][int(time_s / hop_s)], abs=0.5001 / levels)
    player = page.locator(".dl4mir-player").first
    model, teacher = ARRAYS["voice"][int(time_s / 0.04)]
    assert [float(text) for text in player.locator(".d-entry .d-value").all_inner_texts()] == pytest.approx(
        [model, teacher], abs=0.0051
    )
    singing, strongest = player.locator(".d-now").all_inner_texts()
    assert singing == (", ".join(w for a, b, w in ARRAYS["truth"] if a <= time_s < b) or "–")
    tags = ARRAYS["tags"][int(time_s / 0.08)]
    assert strongest == f"{ARRAYS['words'][tags.argmax()]} {np.rint(tags.max() * 255) / 255:.2f}"
    genres = ARRAYS["genres"][int(time_s / 0.2)]
    shown = player.locator(".d-classes").first.locator(".d-value").all_inner_texts()
    assert [int(text.rstrip(" %")) for text in shown] == pytest.approx(100 * genres, abs=0.51)
    bars = page.evaluate("Array.from(players[0].querySelectorAll('.d-fill'), b => new DOMMatrix(b.style.transform).a)")
    assert bars == pytest.approx([*genres, *genres], abs=1e-4)


def test_what_is_drawn_is_what_is_said(page):
    """The blue and the orange line stand at the heights of their values, the heat map's cells in their shades."""
    for _ in range(4):
        page.locator(".dl4mir-player").first.get_by_role("button", name="Zoom in").click()
    seek(page, 0.42)  # the middle of frame 10 of the curve
    found = page.evaluate(
        """() => {
          const [, curve, , heat] = players[0].querySelectorAll('canvas');
          const { view } = players[0].dl4mir;
          const column = (canvas, t) => {
            const x = Math.floor((t - view.from) / (view.to - view.from) * canvas.width);
            const { data } = canvas.getContext('2d').getImageData(x, 0, 1, canvas.height);
            return Array.from({ length: canvas.height }, (_, y) => Array.from(data.slice(4 * y, 4 * y + 3)));
          };
          return [column(curve, 0.42), column(heat, 0.42)] }"""
    )
    curve, heat = (np.array(column, float) for column in found)
    blue = np.abs(curve - [0x00, 0x72, 0xB2]).sum(1) < 60
    assert blue.any()
    value = 1 - (np.flatnonzero(blue).mean() - 5) / (len(curve) - 11)
    assert value == pytest.approx(ARRAYS["voice"][10, 0], abs=0.06)
    shades = heat[7::15].sum(1)[::-1]  # one per row, from the bottom; dark is much
    assert list(np.argsort(-shades)) == list(np.argsort(ARRAYS["tags"][5]))


def test_keys(page):
    page.locator(".dl4mir-player").first.focus()
    steps = [("ArrowRight", 1), ("Shift+ArrowRight", 11), ("ArrowLeft", 10), ("End", 20), ("Shift+ArrowLeft", 10)]
    steps += [("Home", 0), ("ArrowLeft", 0)]
    for key, expected in steps:
        page.keyboard.press(key)
        assert now(page) == pytest.approx(expected, abs=0.02), key
    page.keyboard.press("Space")
    page.wait_for_function("!players[0].dl4mir.audio.paused && players[0].dl4mir.audio.currentTime > 0.1")
    page.keyboard.press("Space")
    assert page.evaluate("players[0].dl4mir.audio.paused")
    for key, span in (("+", 10), ("+", 5), ("-", 10), ("0", 20)):
        page.keyboard.press(key)
        assert page.evaluate("players[0].dl4mir.view.to - players[0].dl4mir.view.from") == pytest.approx(span)
    assert page.evaluate("document.activeElement === players[0]")


def test_zoom_keeps_the_place_and_follows_the_sound(page):
    box = picture(page)
    seek(page, 12)
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 30)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    page.wait_for_function("players[0].dl4mir.view.to < 20")
    view = page.evaluate("players[0].dl4mir.view")
    assert view["from"] + 0.25 * (view["to"] - view["from"]) == pytest.approx(5, abs=0.05)
    for _ in range(3):
        page.locator(".dl4mir-player").first.get_by_role("button", name="Zoom in").click()
    view = page.evaluate("players[0].dl4mir.view")
    assert view["to"] - view["from"] == pytest.approx(2, abs=0.01)
    seek(page, view["to"] - 0.2)
    page.evaluate("players[0].dl4mir.audio.play()")
    page.wait_for_function(f"players[0].dl4mir.view.from > {view['from'] + 0.5}", timeout=5000)
    view = page.evaluate("players[0].dl4mir.view")
    assert view["from"] <= now(page) <= view["to"]
    assert page.evaluate("!players[0].querySelector('.d-cursor').hidden")


def test_one_sound_at_a_time(page):
    for playing, silent in ((0, 1), (1, 0)):
        page.evaluate(f"players[{playing}].dl4mir.audio.play()")
        page.wait_for_function(f"!players[{playing}].dl4mir.audio.paused && players[{silent}].dl4mir.audio.paused")


def test_names_for_screen_readers(page):
    player = page.get_by_role("group", name="Player: Tones")
    assert player.count() == 1
    seek(page, 8.43)
    live = player.locator("[aria-live=polite]")
    page.wait_for_function("players[0].querySelector('[aria-live]').textContent.startsWith('8.4 s')")
    model = ARRAYS["voice"][210, 0]
    assert f"voice: model {model:.2f}, teacher" in live.inner_text()
    assert "truth: silence, choir" in live.inner_text() and "genre: " in live.inner_text()
    assert player.get_by_role("slider", name="Position").get_attribute("aria-valuetext") == "8.4 s"
    pictures = [canvas.get_attribute("aria-label") for canvas in player.get_by_role("img").all()]
    assert pictures[0] == "log-mel picture, 40 Hz to 8000 Hz, 80 dB"
    assert pictures[1].startswith("voice: curve of model, teacher, 500 frames, 0.0")
    assert pictures[2] == "truth: 3 segments of singing, silence, choir"
    assert "<b>odd</b>" in player.inner_text() and "</script>" in player.inner_text()
    for name in ("Zoom in", "Zoom out", "Show the whole sound"):
        assert player.get_by_role("button", name=name).count() == 1


def contrast(one, other):
    """Contrast of two colours after WCAG 2.2: 1 to 21."""
    channels = np.array([[int(c.strip()[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in (one, other)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    small, large = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return (large + 0.05) / (small + 0.05)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_themes_have_contrast(page, theme):
    if page.kind == "lab":
        name = f"JupyterLab {theme.title()}"
        page.evaluate("theme => void jupyterapp.commands.execute('apputils:change-theme', { theme })", name)
    else:
        page.emulate_media(color_scheme=theme)
    page.wait_for_function(f"players.every(p => p.dataset.theme === '{theme}')")
    colours = page.evaluate(
        """() => { const style = getComputedStyle(players[0]);
          const names = ['paper', 'ink', 'soft', 'accent', 'playhead', 'c0', 'c1', 'c2', 'c3', 'c4', 'c5', 'c6'];
          return Object.fromEntries(names.map(name => [name, style.getPropertyValue('--d-' + name)])) }"""
    )
    paper = colours.pop("paper")
    assert (contrast(paper, "#000000") < 2) == (theme == "dark")
    for name, colour in colours.items():
        assert contrast(paper, colour) >= (4.5 if name in ("ink", "soft", "accent") else 3), name
    # The canvases were drawn again: the curve's corner has the paper's neighbour colours.
    pixel = page.evaluate(
        """Array.from(players[0].querySelectorAll('canvas')[3].getContext('2d').getImageData(0, 0, 400, 90).data)"""
    )
    brightness = np.array(pixel).reshape(-1, 4)[:, :3]
    assert len(np.unique(brightness, axis=0)) > 20


def test_smooth_with_five_minutes_and_20000_frames(page):
    """Count the frames in which the playhead has really moved, over three seconds."""
    page.evaluate("players[1].scrollIntoView(); players[1].dl4mir.audio.play()")
    page.wait_for_function("players[1].dl4mir.audio.currentTime > 0.2")
    moved = page.evaluate(
        """() => new Promise(done => {
          let moved = 0;
          const watcher = new MutationObserver(() => moved++);
          watcher.observe(players[1].querySelector('.d-cursor'), { attributes: true, attributeFilter: ['style'] });
          const start = performance.now();
          setTimeout(() => { watcher.disconnect(); done(moved / (performance.now() - start) * 1000) }, 3000) })"""
    )
    redraw_ms = page.evaluate(
        """() => { const start = performance.now(); for (let i = 0; i < 6; i++)
          players[1].querySelector('[title="Zoom in"]').click(); return (performance.now() - start) / 6 }"""
    )
    print(f"\n{page.kind}: {moved:.0f} frames a second, a zoom takes {redraw_ms:.0f} ms")
    assert moved >= 30


def test_leaves_nothing_behind(page):
    """Clearing the output stops the sound and takes the listeners away."""
    if page.kind == "exported":
        pytest.skip("nothing goes away on a page")
    page.evaluate("players[0].dl4mir.audio.play()")
    page.wait_for_function("!players[0].dl4mir.audio.paused")
    page.evaluate("void jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    page.wait_for_function("document.querySelectorAll('.dl4mir-player').length === 0")
    page.wait_for_function("players[0].dl4mir.audio.paused && !players[0].dl4mir.audio.getAttribute('src')")


def test_no_complaint_and_no_other_host(opened):
    """Runs after all others: none of them made the page complain or ask another machine for something."""
    assert opened.complaints == []
    allowed = ("http://127.0.0.1:", "data:", "blob:")
    assert [url for url in opened.asked if not url.startswith(allowed)] == []
    assert len(opened.asked) >= 1


def test_page_opened_as_a_file(browser, exported, folder):
    """From a folder, without any server: the sound is a file beside the page."""
    page = watch(browser.new_page())
    page.goto((folder / "build" / "course" / "01_player.html").as_uri())
    page.wait_for_function("document.querySelector('.dl4mir-player')?.dl4mir.audio.readyState >= 2")
    page.evaluate("window.audio = document.querySelector('.dl4mir-player').dl4mir.audio; audio.currentTime = 7")
    page.evaluate("audio.play()")
    page.wait_for_function("audio.currentTime > 7.3")
    assert page.complaints == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in page.asked)
    assert json.loads(page.evaluate("JSON.stringify([audio.duration, audio.error])")) == [20, None]
    page.close()
