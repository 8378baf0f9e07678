"""Guesses, sliders, networks and curves in a real browser: in JupyterLab with a kernel, and on a page without."""

import sys
from pathlib import Path

import nbformat
import pytest

from browser.opening import barriers, jupyter_lab, run_all_cells, served, watch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools" / "course"))

import course  # noqa: E402

HEAD = "# 01 · Helpers\n\n<!-- badges --><!-- /badges -->\n\nWe guess.\n\n<!-- measured --><!-- /measured -->"
IMPORTS = """
import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers
from dl4mir_utils.drawing import draw_network
from dl4mir_utils.player import guess, slide
from dl4mir_utils import setup
from dl4mir_utils.training import live_curve
setup()
"""
QUESTIONS = [
    "which = guess('Which <is> it?', ['A', 'B & C'])\nwhich",
    "many = guess('How many?', low=0, high=500)\nmany",
]
NETWORK = """
model = keras.Sequential([keras.Input((36,)), layers.Dense(12, use_bias=False, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
draw_network(model, ("semitone",), "A detector")
"""
TRAINING = """
sounds = np.eye(12, 36).repeat(50, axis=0)
model.fit(sounds, np.arange(12).repeat(50), epochs=4, verbose=0, callbacks=[live_curve({"accuracy": 1 / 12})]);
"""
SLIDE = """
def draw(hz):
    ax = plt.subplots()[1]
    ax.set(xlim=(0, 500), title=f"{hz} Hz")
    ax.axvline(hz)
    return ax

slide(draw, [100, 200, 400], "frequency (Hz)", "A tone", "It moves.", texts=lambda hz: f"a line at {hz} Hz",
      sound=lambda hz: 0.2 * np.sin(2 * np.pi * hz * np.arange(4800) / 16000))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A course of one notebook."""
    root = tmp_path_factory.mktemp("course")
    (root / "notebooks").mkdir()
    make = nbformat.v4.new_code_cell
    cells = [nbformat.v4.new_markdown_cell(HEAD), make(IMPORTS), *map(make, QUESTIONS), make(NETWORK), make(TRAINING)]
    cells += [nbformat.v4.new_markdown_cell("The curve grows."), make(SLIDE)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    path = root / "notebooks" / "01_helpers.ipynb"
    cells += [make("which.compare('B & C', 'Because.')"), make("many.compare(432)")]
    cells += [make("assert 1", metadata={"tags": ["checks"]})]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return root


@pytest.fixture(scope="module")
def exported(folder, browser):
    assert course.main(["run"], root=folder) == 0
    with served(folder / "build" / "course") as address:
        page = watch(browser.new_page(viewport={"width": 1300, "height": 1000}))
        page.goto(f"{address}/01_helpers.html")
        page.wait_for_selector(".dl4mir-slide")
        yield page
        page.close()


def test_a_guess_on_a_page_is_kept_and_compared(exported):
    page = exported
    box = page.locator("details.dl4mir-compare").first
    box.locator("summary").click()
    assert "You have made no guess yet" in box.inner_text() and "B & C" in box.inner_text()
    page.get_by_role("group", name="Which <is> it?").get_by_label("A", exact=True).focus()
    page.keyboard.press("ArrowDown")  # by keyboard alone
    assert (
        page.locator("#" + box.get_attribute("data-guess"))
        .locator(".d-guess-said")
        .inner_text()
        .startswith("Kept: B & C.")
    )
    assert "Your guess B & C" in " ".join(box.inner_text().split()) and "That is it." in box.inner_text()
    page.get_by_label("A", exact=True).check()
    assert "Another answer" in box.inner_text()


def test_a_guess_on_a_scale(exported):
    page = exported
    box = page.locator("details.dl4mir-compare").nth(1)
    box.locator("summary").click()
    page.get_by_role("slider", name="How many?").fill("420")
    assert page.locator(".d-guess-value").inner_text() == "420"
    assert "no guess yet" in box.inner_text(), "moving is no guess"
    page.get_by_role("button", name="This is my guess").click()
    assert "Very close." in box.inner_text() and "420" in box.inner_text() and "432" in box.inner_text()


def test_network_and_curve_on_a_page(exported):
    network = exported.get_by_role("img", name="A detector")
    assert "432 weights" in network.text_content()
    assert network.bounding_box()["width"] == pytest.approx(700, abs=2)
    curve = exported.get_by_alt_text("Learning curves.")
    assert curve.evaluate("image => image.naturalWidth") == 920 and "4 epochs" in curve.get_attribute("alt")
    checks = exported.locator("details.folded", has_text="what must hold")
    assert not checks.locator(".input").is_visible()


@pytest.fixture(scope="module")
def in_lab(folder, browser):
    with jupyter_lab(folder) as address:
        page = watch(browser.new_page(viewport={"width": 1300, "height": 2600}))
        page.goto(f"{address}/lab/tree/notebooks/01_helpers.ipynb?reset")
        run_all_cells(page)
        page.wait_for_selector(".jp-OutputArea .dl4mir-slide", timeout=90_000)
        page.wait_for_selector("text=Compare with your guess", timeout=30_000)
        page.wait_for_function("jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'")
        page.wait_for_timeout(500)  # JupyterLab takes the focus once more
        yield page
        page.close()


@pytest.mark.parametrize("where", ["exported", "in_lab"])
def test_the_picture_follows_the_slider_and_sounds(where, request):
    page = request.getfixturevalue(where)
    root = page.locator(".dl4mir-slide")
    picture, slider = root.locator("img"), root.get_by_role("slider", name="frequency (Hz)")
    assert picture.get_attribute("alt") == "frequency (Hz) 100: a line at 100 Hz"
    first = picture.get_attribute("src")
    slider.focus()
    page.keyboard.press("ArrowRight")
    root.get_by_alt_text("frequency (Hz) 200: a line at 200 Hz").wait_for(timeout=5000)
    assert picture.get_attribute("src") != first and root.locator("output").inner_text() == "frequency (Hz): 200"
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 920
    assert slider.get_attribute("aria-valuetext") == "200: a line at 200 Hz"
    page.wait_for_function("document.querySelector('.dl4mir-slide').dl4mir.sound.playing() === 1", timeout=5000)
    page.wait_for_function("document.querySelector('.dl4mir-slide').dl4mir.sound.playing() === null", timeout=5000)
    root.get_by_label("sound follows").uncheck()
    root.get_by_role("button", name="Run through all values").click()
    page.wait_for_function("document.querySelector('.dl4mir-slide output').textContent.endsWith('400')", timeout=5000)
    assert page.evaluate("document.querySelector('.dl4mir-slide').dl4mir.sound.playing()") is None
    root.get_by_role("button", name="Run through all values").wait_for()


def test_a_guess_in_jupyterlab_reaches_the_kernel(in_lab):
    page = in_lab
    page.get_by_text("B & C", exact=True).first.click()
    page.get_by_text("You can change it until you compare").wait_for(timeout=10_000)
    page.evaluate(
        """async () => {
          const { content, sessionContext } = jupyterapp.shell.currentWidget;
          const code = "print('kept', which.answer, '|', which.compare('B & C').text)";
          const future = sessionContext.session.kernel.requestExecute({ code });
          window.said = '';
          future.onIOPub = message => { if (message.header.msg_type === 'stream') window.said += message.content.text };
          await future.done }"""
    )
    assert page.evaluate("window.said").startswith("kept B & C | You guessed B & C, it is B & C. That is it.")


def test_nothing_is_fetched_and_nothing_complains(exported, in_lab):
    host = exported.url.rpartition("/")[0]
    assert all(address.startswith((host, "blob:", "data:")) for address in exported.asked)
    assert exported.complaints == []
    assert not [text for text in in_lab.complaints if "dl4mir" in text or "anywidget" in text]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barriers_on_the_page(exported, axe, scheme):
    exported.emulate_media(color_scheme=scheme)
    assert barriers(exported, axe) == []


def test_without_script_the_comparison_is_a_box_to_open(folder, browser, exported):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((folder / "build" / "course" / "01_helpers.html").as_uri())
    page.locator("details.dl4mir-compare summary").first.click()
    assert "Because." in page.locator("details.dl4mir-compare").first.inner_text()
    assert page.get_by_alt_text("A tone").is_visible()
    context.close()
