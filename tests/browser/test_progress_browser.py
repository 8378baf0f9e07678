"""The pages of a reader's progress, in a real browser."""

import re
import shutil
from pathlib import Path

import pytest

from browser.opening import barriers
from dl4mir_utils import progress
from dl4mir_utils.progress import records

ROOT = Path(__file__).parents[2]


@pytest.fixture
def solve(tmp_path, monkeypatch):
    """Copy notebooks, solve the first exercises of them, and return the progress page and a certificate."""
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(records, "COURSE", tmp_path)
    monkeypatch.delenv("DL4MIR_PROGRESS")

    def solve(names, count=None):
        for path in (ROOT / "notebooks").glob(names):
            shutil.copy(path, tmp_path / "notebooks")
        for exercise in progress.solved()[:count]:
            made = progress.remembered(lambda: print("Right. 0.83, the baseline 0.61."))
            monkeypatch.setattr(made.__wrapped__, "__name__", exercise.check)
            made()
        return progress.write_progress(), progress.write_certificate("Ada Lovelace")

    return solve


@pytest.fixture
def pages(solve):
    """The progress page and a certificate of somebody who has solved the exercises of one notebook."""
    return solve("0[12]_*.ipynb", 5)


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


@pytest.mark.parametrize(("names", "count"), [("0[12]_*.ipynb", 5), ("*.ipynb", None)])
def test_a_certificate_prints_on_one_sheet(browser, solve, names, count):
    page = browser.new_page()
    page.goto(solve(names, count)[1].as_uri())
    printed = page.pdf(format="A4", print_background=True)
    page.close()
    assert printed.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", printed)) == 1
