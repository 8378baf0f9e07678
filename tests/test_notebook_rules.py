"""The rules that every notebook of the course keeps: form, style, and what is stored in the file."""

import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools" / "course")]

import notebooks as nbs  # noqa: E402
from conftest import exercises  # noqa: E402

TAGS = {"exercise", "solution", "setup", "model", "checks"}
# Notebooks that do not yet keep what `TODAY` asks for; each leaves the list when it is written anew.
NOT_YET = {"03", "04", "05a", "05b", "06", "07", "08", "09", "10"}
PATHS = nbs.notebook_paths(ROOT)
EACH = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
KEPT = [path for path in PATHS if nbs.notebook_id(path) not in NOT_YET]
TODAY = pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)


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


@TODAY
def test_code_is_easy_to_read(path):
    """A cell is one step, and nothing scrolls: at most 25 lines of at most 88 characters."""
    for cell in nbs.read(path).cells:
        if cell.cell_type == "code" and "setup" not in nbs.tags(cell):
            lines = [line for line in cell.source.splitlines() if line.strip()]
            assert len(lines) <= 25, cell.source
            assert not [line for line in lines if len(line) > 88]


@TODAY
def test_what_is_for_the_tests_is_tagged_and_stands_before_the_exercises(path):
    cells = nbs.read(path).cells
    for cell in cells:
        if cell.cell_type == "code" and re.search(r"^\s*(assert |report\()", cell.source, re.MULTILINE):
            assert "checks" in nbs.tags(cell), cell.source
    folded = [number for number, cell in enumerate(cells) if "checks" in nbs.tags(cell)]
    exercises = next(number for number, cell in enumerate(cells) if cell.source.startswith("## Exercises"))
    assert folded and max(folded) < exercises


@TODAY
def test_quiz(path):
    questions = nbs.quiz_answers(nbs.read(path))
    assert len(questions) >= 3
    for answers in questions:
        assert 3 <= len(answers) <= 4, "three or four answers to choose from"
        assert [letter for letter, _ in answers] == list("abcd"[: len(answers)])
        assert sum(right for _, right in answers) == 1


def test_no_letter_gives_the_right_answer_away():
    questions = [answers for path in KEPT for answers in nbs.quiz_answers(nbs.read(path))]
    right = [letter for answers in questions for letter, is_right in answers if is_right]
    assert max(map(right.count, right)) <= 0.45 * len(right), sorted(right)


@TODAY
def test_one_exercise_builds_and_trains_a_network(path):
    if nbs.notebook_id(path) in ("00", "13"):
        return  # what comes before the first network, and the map at the end
    solutions = [source for _, source in exercises(nbs.read(path))]
    assert any(".compile(" in source and re.search(r"\.fit\(", source) for source in solutions)


@TODAY
def test_every_guess_is_compared(path):
    code = "\n".join(sources(path, "code"))
    guessed = re.findall(r"^(\w+) = guess\(", code, re.MULTILINE)
    assert guessed and all(f"{name}.compare(" in code for name in guessed)


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
