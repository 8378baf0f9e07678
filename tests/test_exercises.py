"""The exercises of every notebook: with the solutions put in, every check says "Right."."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import course  # noqa: E402

import notebooks as nbs  # noqa: E402


def solution_code(markdown: str) -> str:
    """Code of a solution cell."""
    return re.search(r"```python\n(.*?)```", markdown, re.DOTALL)[1]


@pytest.mark.parametrize("path", nbs.notebook_paths(ROOT), ids=lambda path: path.stem)
def test_solutions_satisfy_the_checks(path):
    nb = nbs.read(path)
    stubs = [cell for cell in nb.cells if "exercise" in nbs.tags(cell)]
    solutions = [cell.source for cell in nb.cells if "solution" in nbs.tags(cell)]
    assert len(stubs) == len(solutions) >= 3
    for stub, solution in zip(stubs, solutions, strict=True):
        stub.source = solution_code(solution)
    run = course.run_notebook(nb, path.parent, on_cell=lambda index: None)
    assert run.status == "ok", run.error
    checks = [cell for cell in nb.cells if cell.cell_type == "code" and cell.source.startswith("checks.")]
    said = ["".join(output.get("text", "") for output in cell.outputs) for cell in checks]
    assert len(said) == len(stubs)
    assert all(text.startswith("Right.") for text in said), said
