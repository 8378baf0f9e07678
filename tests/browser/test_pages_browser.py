"""Every page of the course, made from the notebooks as they are stored, is free of barriers that axe-core knows."""

import shutil
import sys
from pathlib import Path

import pytest

from browser.opening import barriers, served

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools" / "course"))

import course  # noqa: E402

import notebooks as nbs  # noqa: E402

PAGES = ["index", "attribution", "glossary", *(path.stem for path in nbs.notebook_paths(ROOT))]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A server of the pages; nothing is run for them."""
    root = tmp_path_factory.mktemp("pages")
    for folder in ("notebooks", "docs"):
        shutil.copytree(ROOT / folder, root / folder)
    (root / "data" / "mini").mkdir(parents=True)
    for table in (ROOT / "data" / "mini").glob("*.csv"):
        shutil.copy(table, root / "data" / "mini")
    runs = {}
    for path in nbs.notebook_paths(root):
        runs[path.name] = course.Run(seconds=1.0, date="2026-01-01T00:00")
        course.write_notebook_page(root, path, nbs.read(path), runs[path.name])
    course.write_site(root, runs)
    with served(root / "build" / "course") as address:
        yield address


@pytest.mark.parametrize("name", PAGES)
def test_no_barriers(name, address, browser, axe):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    assert page.goto(f"{address}/{name}.html").ok
    found = barriers(page, axe)
    page.emulate_media(color_scheme="dark")
    found += [f"dark: {line}" for line in barriers(page, axe)]
    page.close()
    assert found == []
