"""The map of sounds in a real browser: as a piece of HTML, and on an exported course page."""

import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools" / "course"))

import course  # noqa: E402

from dl4mir_utils.player import player  # noqa: E402
from dl4mir_utils.player.sync import as_html  # noqa: E402

# Point 0 and 30 can be heard, for 0.5 and 1 s; the second sounds from 0.7 s of the file on.
SIGNALS = """
import numpy as np
from dl4mir_utils.player import player, sound_map

points = np.random.default_rng(0).random((40, 2))
tone = 0.2 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
labels = {"genre": ["metal", "folk"] * 20, "album": [f"album {i % 10}" for i in range(40)]}
names = [f"piece <{i}>" for i in range(40)]
"""
MAP = 'sound_map(points, labels, {0: tone[:8000], 30: tone}, names, title="Map", description="Dots </script>.")'
ARRAYS: dict = {}
exec(SIGNALS, ARRAYS)


def piece_of_html(folder: Path) -> Path:
    """A page with a player and a map, each with script and style of its own."""
    shown = [player(ARRAYS["tone"], title="A"), eval(MAP, ARRAYS)]
    (folder / "page.html").write_text(f"<!doctype html>{''.join(map(as_html, shown))}", "utf-8")
    return folder / "page.html"


def exported(folder: Path) -> Path:
    """The page of a course with one notebook."""
    (folder / "notebooks").mkdir()
    head = "# 01 · Map\n\n<!-- badges --><!-- /badges -->\n\nWe look.\n\n<!-- measured --><!-- /measured -->"
    make = nbformat.v4.new_code_cell
    cells = [nbformat.v4.new_markdown_cell(head), make(SIGNALS), make('player(tone, title="A")'), make(MAP)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "notebooks" / "01_map.ipynb")
    assert course.main(["run"], root=folder) == 0
    return folder / "build" / "course" / "01_map.html"


@pytest.fixture(scope="module", params=[piece_of_html, exported], ids=lambda make: make.__name__)
def page(request, browser, tmp_path_factory):
    path = request.param(tmp_path_factory.mktemp("map"))
    page = browser.new_page(viewport={"width": 1200, "height": 1400})
    page.complaints = []
    page.on("console", lambda message: message.type == "error" and page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_function("document.querySelectorAll('.dl4mir-player').length === 2", timeout=20_000)
    page.wait_for_timeout(300)  # a second script must not mount anything again
    assert page.locator(".dl4mir-player").count() == 2
    page.evaluate("window.map = document.querySelector('.dl4mir-map')")
    page.wait_for_function("map.dl4mir.audio.readyState >= 2", timeout=20_000)
    yield page
    assert page.complaints == []
    page.close()


def test_all_points_are_there_and_two_can_be_heard(page):
    assert page.locator(".dl4mir-map .d-point").count() == 40
    heard = page.locator(".dl4mir-map [role=button]")
    assert [heard.nth(i).get_attribute("aria-label") for i in range(2)] == [
        "Play piece <0>: metal",
        "Play piece <30>: metal",
    ]
    assert page.locator(".dl4mir-map .d-head").text_content().startswith("Map Dots </script>.")


def test_a_click_plays_the_point_from_its_start_to_its_end(page):
    page.locator(".dl4mir-map [role=button]").nth(1).click()
    page.wait_for_function("map.dl4mir.playing() === 30 && map.dl4mir.audio.currentTime > 0.75")
    assert page.locator(".d-map-status").text_content() == "piece <30>: metal"
    assert page.locator(".dl4mir-map .d-on").count() == 1
    page.wait_for_function("map.dl4mir.playing() === null", timeout=5000)
    assert page.evaluate("map.dl4mir.audio.paused")
    assert page.evaluate("map.dl4mir.audio.currentTime") == pytest.approx(1.7, abs=0.15)


def test_another_point_takes_over_and_a_second_press_stops(page):
    first, second = (page.locator(".dl4mir-map [role=button]").nth(i) for i in range(2))
    second.click()
    page.wait_for_function("map.dl4mir.playing() === 30")
    first.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("map.dl4mir.playing() === 0 && map.dl4mir.audio.currentTime < 0.5")
    page.keyboard.press("Enter")
    assert page.evaluate("map.dl4mir.playing()") is None and page.evaluate("map.dl4mir.audio.paused")


def test_silent_points_say_what_they_are(page):
    page.locator(".dl4mir-map .d-point:not(.d-sounds)").first.dispatch_event("click")
    assert page.locator(".d-map-status").text_content() == "piece <1>: folk (without sound here)"


def test_the_other_labels_change_colours_shapes_and_legend(page):
    look = "p => p.getAttribute('fill') + p.getAttribute('d')"
    looks = f"[...new Set([...map.querySelectorAll('.d-point path')].map({look}))]"
    assert len(page.evaluate(looks)) == 2
    page.locator(".dl4mir-map select").select_option(label="album")
    assert len(page.evaluate(looks)) == 10 == page.locator(".d-map-legend li").count()
    assert page.locator(".dl4mir-map [role=button]").first.get_attribute("aria-label") == "Play piece <0>: album 0"
    page.locator(".dl4mir-map select").select_option(label="genre")


def test_the_picture_lies_where_the_numbers_say(page):
    points = ARRAYS["points"]
    low, high = points.min(axis=0), points.max(axis=0)
    box = page.locator(".dl4mir-map .d-map > svg").bounding_box()
    for number, index in ((0, 0), (30, 1)):
        dot = page.locator(".dl4mir-map [role=button]").nth(index).bounding_box()
        x, y = (points[number] - low) / (high - low)
        scale = box["width"] / 640
        assert dot["x"] + dot["width"] / 2 == pytest.approx(box["x"] + scale * (18 + 604 * x), abs=3)
        assert dot["y"] + dot["height"] / 2 == pytest.approx(box["y"] + scale * (18 + 394 * (1 - y)), abs=3)
    assert np.isclose(box["height"] / box["width"], 430 / 640, atol=0.02)
