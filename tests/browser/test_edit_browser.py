"""Segments that the reader changes, in a real browser: on a page without a kernel, and in JupyterLab with one."""

from itertools import pairwise
from urllib.parse import unquote

import nbformat
import numpy as np
import pytest

from browser.opening import barriers, jupyter_lab, run_all_cells, watch
from dl4mir_utils.player import Curve, Segments, player

GIVEN = [(1.0, 3.0, "sing"), (4.0, 6.0, "hum"), (6.0, 8.0001, "sing"), (12.0, 12.2, "sing")]
DURATION_S = 20
MADE = """
import numpy as np
from dl4mir_utils.player import Segments, player
audio = 0.1 * np.sin(np.arange(20 * 16000) / 6)
given = [(1.0, 3.0, "sing"), (4.0, 6.0, "hum")]
shown = player(audio, 16000, [Segments("sung", given, editable=True)], title="Notebook")
shown
"""


def html(*made) -> str:
    """A page of players."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Test</title>'
    pieces = "".join(one.to_html() for one in made)
    return f'<!doctype html><html lang="en">{head}<main><h1>Test</h1>{pieces}</main>'


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A page with segments of two labels, and with none of one label."""
    audio = 0.1 * np.sin(np.arange(DURATION_S * 16000) / 6)
    voice = Curve("voice", np.linspace(0, 1, 200), 0.1)
    two = player(audio, 16000, [voice, Segments("sung", GIVEN, editable=True)], title="A song: 1/2")
    none = player(audio, 16000, [Segments("new", [], editable=True, labels=["sing"])], title="Empty")
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(html(two, none), "utf-8")
    return path.as_uri()


READY = "Array.from(document.querySelectorAll('.dl4mir-player')).every(p => p.dl4mir?.audio.readyState >= 2)"


@pytest.fixture
def page(browser, address):
    page = watch(browser.new_page(viewport={"width": 1200, "height": 900}))
    page.goto(address)
    page.wait_for_selector(".d-edit-list")
    page.wait_for_function(READY)
    yield page
    assert page.complaints == []
    page.close()


def segments(page, which=0):
    """What a track holds, as tuples."""
    script = "which => Array.from(document.querySelectorAll('.dl4mir-player'))[which].dl4mir.tracks.at(-1).segments"
    return [tuple(each) for each in page.evaluate(script, which)]


def box(page, which=0):
    return page.locator(".d-edit-list canvas").nth(which).bounding_box()


def point(page, seconds, which=0):
    found = box(page, which)
    return found["x"] + seconds / DURATION_S * found["width"], found["y"] + found["height"] / 2


def drag(page, start_s, end_s, which=0, **options):
    page.mouse.move(*point(page, start_s, which))
    page.mouse.down()
    page.mouse.move(*point(page, end_s, which), steps=5)
    page.mouse.up(**options)


def now(page, which=0):
    return page.evaluate(f"document.querySelectorAll('.dl4mir-player')[{which}].dl4mir.audio.currentTime")


def seek(page, seconds, which=0):
    page.evaluate(f"document.querySelectorAll('.dl4mir-player')[{which}].dl4mir.seek({seconds})")
    page.wait_for_timeout(100)  # the player puts the place into words


def said(page, which=0):
    return page.locator(".dl4mir-player").nth(which).locator("[aria-live]").inner_text()


STEP_S = DURATION_S / 900  # a pixel, with some room: the picture is about 980 wide


def near(expected):
    return [(pytest.approx(start, abs=STEP_S), pytest.approx(end, abs=STEP_S), label) for start, end, label in expected]


def test_drag_edges_and_whole_segments(page):
    assert segments(page) == GIVEN
    drag(page, 1.0, 0.5)
    drag(page, 3.0, 3.5)
    assert segments(page) == [*near([(0.5, 3.5, "sing")]), *GIVEN[1:]]
    drag(page, 2.0, 1.9)
    assert segments(page) == [*near([(0.4, 3.4, "sing")]), *GIVEN[1:]]
    drag(page, 2.0, 9.0)  # the neighbour stops it; the length stays
    start, end, _ = segments(page)[0]
    assert end == 4.0 and end - start == pytest.approx(3.0, abs=2 * STEP_S)
    drag(page, 12.1, 25.0)
    assert segments(page)[3] == (19.8, 20.0, "sing")
    drag(page, 19.97, 5.0)  # not shorter than 50 ms
    assert segments(page)[3] == (19.8, 19.85, "sing")
    assert all(
        value == round(value, 3) for start, end, _ in (segments(page)[0], segments(page)[3]) for value in (start, end)
    )
    assert segments(page)[1:3] == GIVEN[1:3]


def test_where_two_touch_the_side_counts_and_the_selected_one_first(page):
    x, y = point(page, 6.0)
    page.mouse.move(x + 2, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=4)
    page.mouse.up()
    assert segments(page)[1] == GIVEN[1] and segments(page)[2][0] > 7 and segments(page)[2][1] == GIVEN[2][1]
    page.mouse.click(*point(page, 5.0))
    page.keyboard.press("Control+z")
    page.mouse.click(*point(page, 5.0))
    page.mouse.move(x + 2, y)
    page.mouse.down()
    page.mouse.move(x - 60, y, steps=4)
    page.mouse.up()
    assert segments(page)[2] == GIVEN[2] and segments(page)[1][1] < 5


def test_a_click_selects_and_goes_there(page):
    page.mouse.click(*point(page, 5.0))
    assert now(page) == pytest.approx(5.0, abs=STEP_S) and segments(page) == GIVEN
    selected = page.locator("[role=option][aria-selected=true]")
    assert selected.all_inner_texts() == ["hum, 4.000 s to 6.000 s"]
    assert page.locator(".d-edit-list").first.get_attribute("aria-activedescendant") == selected.get_attribute("id")
    assert page.get_by_label("Label").input_value() == "hum"
    page.mouse.click(*point(page, 10.0))
    assert now(page) == pytest.approx(10.0, abs=STEP_S) and selected.count() == 0
    assert page.get_by_role("button", name="Delete").first.is_disabled()


def test_add_by_dragging_and_by_a_double_click(page):
    drag(page, 9.0, 10.5)
    drag(page, 11.5, 11.0)  # leftwards
    page.mouse.dblclick(*point(page, 15.0))
    assert segments(page) == [
        *GIVEN[:3],
        *near([(9.0, 10.5, "sing"), (11.0, 11.5, "sing")]),
        GIVEN[3],
        *near([(15.0, 16.0, "sing")]),
    ]
    drag(page, 3.5, 8.0)  # up to the neighbour
    assert segments(page)[1] == (pytest.approx(3.5, abs=STEP_S), 4.0, "sing")
    page.mouse.dblclick(*point(page, 5.0))  # in a segment: nothing
    assert len(segments(page)) == 8
    drag(page, 2, 4, which=1)
    assert segments(page, 1) == near([(2, 4, "sing")]) and len(segments(page)) == 8


def test_everything_by_keyboard(page):
    root = page.locator(".dl4mir-player").first
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.d-edit-list')"):
            break
    page.keyboard.press("ArrowDown")
    assert now(page) == 1.0
    for key, expected in [
        ("ArrowRight", (1.01, 3.01, "sing")),
        ("Shift+ArrowRight", (1.01, 3.02, "sing")),
        ("Alt+ArrowLeft", (1.0, 3.02, "sing")),
        ("Shift+ArrowLeft", (1.0, 3.01, "sing")),
        ("2", (1.0, 3.01, "hum")),
    ]:
        page.keyboard.press(key)
        assert segments(page)[0] == expected, key
    assert said(page) == "Label: hum"
    page.keyboard.press("ArrowDown")
    assert now(page) == 4.0
    page.keyboard.press("Delete")
    assert segments(page) == [(1.0, 3.01, "hum"), *GIVEN[2:]] and said(page) == "Deleted hum, 4.000 s to 6.000 s"
    seek(page, 14.25)
    page.keyboard.press("n")
    assert segments(page)[-1] == (14.25, 15.25, "hum") and said(page) == "Added hum, 14.250 s to 15.250 s"
    seek(page, 14.5)
    page.keyboard.press("s")
    seek(page, 17)
    page.keyboard.press("e")
    assert segments(page)[-1] == (14.5, 17.0, "hum") and said(page) == "ends at 17.000 s"
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")  # nothing is selected: the player's own key
    assert now(page) == pytest.approx(18, abs=0.01)
    page.keyboard.press("n")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    assert said(page) == "There is no room here: a segment is here already."
    # Every change back, and all of them again; quick steps of one kind are one change.
    final = segments(page)
    back = 0
    while root.get_by_role("button", name="Undo").is_enabled():
        page.keyboard.press("Control+z")
        back += 1
    assert segments(page) == GIVEN and back == 7
    for _ in range(back):
        page.keyboard.press("Control+Shift+z")
    assert segments(page) == final
    assert root.get_by_role("button", name="Redo").is_disabled()
    assert page.evaluate("document.activeElement.matches('.d-edit-list')")


def test_what_was_said_outlasts_the_place_of_an_earlier_seek(page):
    page.locator(".d-edit-list").first.focus()
    page.evaluate(  # `seeked` comes after both
        """() => {
          const root = document.querySelector(".dl4mir-player");
          root.dl4mir.audio.addEventListener("seeked", () => setTimeout(() => (window.sought = true)), { once: true });
          root.dl4mir.seek(14.25);
          document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "n", bubbles: true }));
        }"""
    )
    page.wait_for_function("window.sought")
    assert said(page) == "Added sing, 14.250 s to 15.250 s"
    seek(page, 17)
    assert said(page).startswith("17.0 s")


def test_numbers_and_labels_of_the_selected_one(page):
    page.mouse.click(*point(page, 2.0))
    start, end = page.get_by_label("start in seconds").first, page.get_by_label("end in seconds").first
    assert (start.input_value(), end.input_value()) == ("1.000", "3.000")
    start.fill("0.1234")
    start.press("Enter")
    end.fill("30")
    end.press("Tab")
    assert segments(page)[0] == (0.123, 4.0, "sing")
    end.press("ArrowDown")
    assert segments(page)[0] == (0.123, 3.99, "sing")
    end.fill("")
    end.press("Tab")
    assert end.input_value() == "3.990"
    page.get_by_label("Label").select_option("hum")
    assert segments(page)[0] == (0.123, 3.99, "hum")
    assert page.evaluate("document.querySelector('.dl4mir-player').dl4mir.view.to") == 20, "digits do not zoom here"
    page.locator(".d-edit-tools").first.get_by_role("button", name="Undo").click()
    assert segments(page)[0] == (0.123, 3.99, "sing")


def test_a_segment_plays_in_a_loop(page):
    seek(page, 12)
    page.mouse.click(*point(page, 12.1))
    loop = page.get_by_role("button", name="Loop").first
    loop.click()
    assert loop.get_attribute("aria-pressed") == "true"
    times = page.evaluate(
        """() => new Promise(done => {
          const { audio } = document.querySelector('.dl4mir-player').dl4mir;
          const times = [];
          const look = () => {
            times.push(audio.currentTime);
            times.length < 90 ? requestAnimationFrame(look) : done(times) };
          look() })"""
    )
    assert min(times) > 11.95 and max(times) < 12.35
    assert sum(after < before for before, after in pairwise(times)) >= 2
    page.mouse.click(*point(page, 15.0))  # elsewhere: it goes on from there
    page.wait_for_function("document.querySelector('.dl4mir-player').dl4mir.audio.currentTime > 15.2")
    assert loop.get_attribute("aria-pressed") == "false"
    page.keyboard.press("Space")


def test_the_result_as_a_file(page):
    drag(page, 3.0, 3.5)
    with page.expect_download() as got:
        page.get_by_role("link", name="Labels (.txt)").first.click()
    text = got.value.path().read_text("utf-8")
    start, end, label = segments(page)[0]
    assert text.splitlines()[0] == f"{start:.3f}\t{end:.3f}\t{label}" and len(text.splitlines()) == 4
    assert got.value.suggested_filename == "A_song_1_2_sung.txt"
    assert unquote(got.value.url).startswith("data:text/plain")


def test_by_finger(browser, address):
    """A finger drags sideways, and scrolls the page up and down."""
    context = browser.new_context(viewport={"width": 390, "height": 700}, has_touch=True, is_mobile=True)
    page = watch(context.new_page())
    page.goto(address)
    page.wait_for_selector(".d-edit-list")
    page.locator(".d-edit-list").first.scroll_into_view_if_needed()
    touch = context.new_cdp_session(page)

    def finger(*points):
        kinds = ["touchStart", *["touchMove"] * (len(points) - 1)]
        for kind, (x, y) in zip(kinds, points, strict=True):
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.wait_for_timeout(50)

    def line(start_s, end_s):
        (x0, y), (x1, _) = point(page, start_s), point(page, end_s)
        return [(x0 + (x1 - x0) * i / 8, y) for i in range(9)]

    finger(*line(9.0, 11.0))
    assert segments(page)[3][:2] == (pytest.approx(9, abs=0.1), pytest.approx(11, abs=0.1))
    finger(*line(1.1, 0.5))  # near the edge is near enough
    assert segments(page)[0][0] == pytest.approx(0.4, abs=0.1) and segments(page)[0][1] == 3.0
    before, top = segments(page), page.evaluate("scrollY")
    x, y = point(page, 2.0)
    finger(*[(x + i, y - 30 * i) for i in range(9)])
    page.wait_for_timeout(300)
    assert segments(page) == before and page.evaluate("scrollY") > top
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.complaints == []
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_no_barriers(page, axe, scheme, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    assert barriers(page, axe) == []
    page.mouse.click(*point(page, 5.0))
    assert barriers(page, axe) == []
    listbox = page.get_by_role("listbox").first
    assert listbox.get_attribute("aria-label") == "sung: 4 segments of sing, hum, which can be changed"
    assert listbox.get_by_role("option").count() == 4
    outline = listbox.evaluate("node => (node.focus(), getComputedStyle(node).outlineWidth)")
    assert outline == "3px"


def test_smooth_on_a_long_song(browser, tmp_path):
    """Four minutes with a hundred segments: how many of the browser's frames show the dragged edge anew."""
    audio = 0.1 * np.sin(np.arange(240 * 16000) / 6)
    given = [(2.0 * i + 40 * (i >= 50), 2.0 * i + 40 * (i >= 50) + 1.5, "sing") for i in range(100)]
    tracks = [Curve("voice", np.random.default_rng(0).random(24000), 0.01), Segments("sung", given, editable=True)]
    path = tmp_path / "long.html"
    path.write_text(html(player(audio, 16000, tracks, title="Long")), "utf-8")
    page = watch(browser.new_page(viewport={"width": 1200, "height": 900}))
    page.goto(path.as_uri())
    page.wait_for_selector(".d-edit-list")
    page.wait_for_function(READY)
    frames, shown, longest = page.evaluate(
        """() => new Promise(done => {
          const root = document.querySelector('.dl4mir-player');
          const canvas = root.querySelector('.d-edit-list canvas');
          const input = root.querySelector('.d-edit-tools input[aria-label^=end]');
          const { left, width, top } = canvas.getBoundingClientRect();
          const send = (type, seconds) => canvas.dispatchEvent(new PointerEvent(type, { bubbles: true, pointerId: 1,
            clientX: left + seconds / 240 * width, clientY: top + 20 }));
          canvas.setPointerCapture = () => {};
          send('pointerdown', 99.5);
          let [frames, shown, longest, before, last] = [0, 0, 0, input.value, performance.now()];
          const start = last;
          const step = now => {
            if (input.value !== before) shown++;
            before = input.value;
            longest = Math.max(longest, now - last);
            last = now;
            frames++;
            if (now - start > 2000) { send('pointerup', 130); return done([frames / 2, shown / 2, longest]) }
            for (const more of [0, 0.1]) send('pointermove', 102 + more + 28 * (now - start) / 2000);
            requestAnimationFrame(step) };
          requestAnimationFrame(step) })"""
    )
    print(f"\ndragging: {frames:.0f} frames a second, {shown:.0f} with a new edge, the longest {longest:.0f} ms")
    assert shown >= 30
    page.close()


@pytest.fixture(scope="module")
def lab(browser, tmp_path_factory):
    root = tmp_path_factory.mktemp("lab")
    make = nbformat.v4.new_code_cell
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = nbformat.v4.new_notebook(cells=[make(MADE), make("shown")], metadata=kernel)
    nbformat.write(notebook, root / "edit.ipynb")
    with jupyter_lab(root) as address:
        page = watch(browser.new_page(viewport={"width": 1200, "height": 1300}))
        page.goto(f"{address}/lab/tree/edit.ipynb?reset")
        run_all_cells(page)
        page.wait_for_function("document.querySelectorAll('.d-edit-list').length === 2", timeout=60_000)
        page.wait_for_function("jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'")
        page.wait_for_timeout(500)  # JupyterLab takes the focus once more
        yield page
        page.close()


def run(page, code):
    """Run a line in the notebook's kernel, and return what it prints."""
    return page.evaluate(
        """async code => {
          const { session } = jupyterapp.shell.currentWidget.sessionContext;
          const future = session.kernel.requestExecute({ code });
          let said = '';
          future.onIOPub = message => { if (message.header.msg_type === 'stream') said += message.content.text };
          await future.done;
          return said }""",
        code,
    ).strip()


def test_the_kernel_reads_what_the_reader_did(lab):
    assert run(
        lab, "print(shown.edited('sung'), shown.segments('sung').values.tolist() == [list(s) for s in given])"
    ) == ("False True")
    drag(lab, 3.0, 3.5)
    assert segments(lab)[0][1] == pytest.approx(3.5, abs=2 * STEP_S)
    read = "table = shown.segments('sung'); print(shown.edited('sung'), table.end_s[0], table.dtypes.tolist()[:2])"
    assert run(lab, read) == f"True {segments(lab)[0][1]} [dtype('float64'), dtype('float64')]"
    # The same player, shown a second time, has changed with it; its undo takes the change back in both.
    lab.wait_for_function(
        "Array.from(document.querySelectorAll('.d-edit-tools input[aria-label^=end]')).length === 2", timeout=5000
    )
    assert segments(lab, 1) == segments(lab, 0)
    lab.locator(".d-edit-list").nth(1).focus()
    lab.keyboard.press("Control+z")
    lab.wait_for_timeout(300)
    assert segments(lab, 0) == segments(lab, 1) == [(1.0, 3.0, "sing"), (4.0, 6.0, "hum")]
    assert run(lab, "print(shown.edited('sung'))") == "False"


def test_jupyterlab_leaves_the_keys_to_the_track(lab):
    cells = lab.locator(".jp-Cell").count()
    lab.locator(".d-edit-list").first.focus()
    seek(lab, 10)
    for key in ("n", "Escape", "s", "d", "d", "ArrowDown", "Delete"):
        lab.keyboard.press(key)
    assert lab.locator(".jp-Cell").count() == cells
    assert segments(lab) == [(1.0, 3.0, "sing"), (4.0, 6.0, "hum")], "what was added is gone again"
    lab.get_by_role("button", name="Play").first.focus()
    for key in "dd":
        lab.keyboard.press(key)
    assert lab.locator(".jp-Cell").count() == cells
    assert not [text for text in lab.complaints if "dl4mir" in text or "anywidget" in text]
