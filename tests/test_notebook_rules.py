"""The rules that every notebook of the course keeps: form, style, and what is stored in the file."""

import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import notebooks as nbs  # noqa: E402

TAGS = {"exercise", "solution", "setup", "model"}
PATHS = nbs.notebook_paths(ROOT)
EACH = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def sources(path: Path, kind: str) -> list[str]:
    """Sources of all cells of one kind."""
    return [cell.source for cell in nbs.read(path).cells if cell.cell_type == kind]


def prose(path: Path) -> str:
    """All Markdown of a notebook without its code blocks."""
    return re.sub(r"^```.*?^```", "", "\n\n".join(sources(path, "markdown")), flags=re.DOTALL | re.MULTILINE)


def test_the_first_notebooks_are_there():
    assert {"00_start_here.ipynb", "05b_genre.ipynb"} <= {path.name for path in PATHS}


@EACH
def test_stored_outputs(path):
    assert nbs.stored_complaints(nbs.read(path), ROOT) == []


@EACH
def test_stored_as_render_stores(path):
    assert path.read_text("utf-8") == nbs.dumps(nbs.read(path))
    for cell in nbs.read(path).cells:
        assert set(cell.metadata) <= set(nbs.KEPT_CELL_METADATA)


@EACH
def test_headings(path):
    cells = nbs.read(path).cells
    assert cells[0].cell_type == "markdown"
    assert re.match(rf"# {nbs.notebook_id(path)} · \S", cells[0].source), "the first line is '# NUMBER · Title'"
    levels = [len(marks) for marks in re.findall(r"^(#{1,6}) ", prose(path), re.MULTILINE)]
    assert levels.count(1) == 1
    jumps = [(a, b) for a, b in pairwise(levels) if b > a + 1]
    assert not jumps, "headings go down one level at a time"


@EACH
def test_card(path):
    nb = nbs.read(path)
    assert nbs.title(nb)
    assert 40 <= len(nbs.promise(nb)) <= 300
    assert re.match(r".+ to run, .+ peak memory", nbs.between(prose(path), "measured") or "")


@EACH
def test_badges_agree_with_the_published_address(path):
    wanted = nbs.badges(nbs.repository_url(ROOT), path.name)
    assert nbs.between(nbs.read(path).cells[0].source, "badges").strip() == wanted


def test_readme_agrees_with_the_notebooks():
    readme = (ROOT / "README.md").read_text("utf-8")
    wanted = nbs.badges(nbs.repository_url(ROOT), "00_start_here.ipynb")
    assert nbs.between(readme, "badges").strip() == wanted
    assert nbs.between(readme, "index") == nbs.index_table(ROOT)


@EACH
def test_code_cells_are_short(path):
    assert max(sum(bool(line.strip()) for line in code.splitlines()) for code in sources(path, "code")) <= 30


@EACH
def test_images_have_a_description(path):
    assert not re.findall(r"!\[\s*\]\(", prose(path))
    assert not [tag for tag in re.findall(r"<img\b[^>]*>", prose(path)) if not re.search(r'\balt="[^"]+"', tag)]


@EACH
def test_every_figure_is_followed_by_text(path):
    cells = nbs.read(path).cells
    for cell, following in zip(cells, [*cells[1:], None], strict=True):
        figures = [o for o in cell.get("outputs", []) if {"image/png", "image/svg+xml"} & set(o.get("data", {}))]
        if figures and "solution" not in nbs.tags(cell):
            assert following is not None and following.cell_type == "markdown", cell.source


@EACH
def test_tags(path):
    nb = nbs.read(path)
    assert {tag for cell in nb.cells for tag in nbs.tags(cell)} <= TAGS
    installs = [cell for cell in nb.cells if "setup" in nbs.tags(cell)]
    assert [cell.source for cell in installs] == [nbs.setup_cell(nbs.repository_url(ROOT))]
    order = [tag for cell in nb.cells for tag in nbs.tags(cell) if tag in ("exercise", "solution")]
    assert re.fullmatch(r"(exercise (solution )+)*", "".join(f"{tag} " for tag in order)), (
        "no stub without its solution"
    )
    assert all(cell.cell_type == "code" for cell in nb.cells if "exercise" in nbs.tags(cell))


@EACH
def test_claims_are_asserted(path):
    assert any(re.search(r"^\s*assert ", code, re.MULTILINE) for code in sources(path, "code"))


@EACH
def test_links_between_files_lead_somewhere(path):
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", prose(path)):
        assert (path.parent / target).exists(), target
