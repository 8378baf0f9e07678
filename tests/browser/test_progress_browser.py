"""The pages of a reader's progress, in a real browser."""

import shutil
from pathlib import Path

import pytest

from browser.opening import barriers
from dl4mir_utils import progress
from dl4mir_utils.progress import records

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """The progress page and a certificate of somebody who has solved the exercises of one notebook."""
    (tmp_path / "notebooks").mkdir()
    for name in ("01_pitch.ipynb", "02_chords.ipynb"):
        shutil.copy(ROOT / "notebooks" / name, tmp_path / "notebooks")
    monkeypatch.setattr(records, "COURSE", tmp_path)
    monkeypatch.delenv("DL4MIR_PROGRESS")
    for exercise in progress.solved()[:5]:
        made = progress.remembered(lambda: print("Right. 0.83, the baseline 0.61."))
        monkeypatch.setattr(made.__wrapped__, "__name__", exercise.check)
        made()
    return progress.write_progress(), progress.write_certificate("Ada Lovelace")


@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (360, "dark")])
def test_nothing_keeps_people_out_and_nothing_is_fetched(browser, axe, pages, width, scheme):
    context = browser.new_context(bypass_csp=True, viewport={"width": width, "height": 900}, color_scheme=scheme)
    for path in pages:
        page, asked = context.new_page(), []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.goto(path.as_uri())
        assert barriers(page, axe) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
        assert "5 of" in page.inner_text("main")
    context.close()
