"""Where nbval runs a notebook, the exercises' solutions run, too: each one before the stub whose place it takes."""

import re
import textwrap

import nbformat
import pytest

SOLVED = """\
from IPython.utils.capture import capture_output
{solution}
with capture_output() as _said:
{check}
assert _said.stdout.startswith("Right."), _said.stdout
"""


def exercises(nb: nbformat.NotebookNode) -> list[tuple[int, str]]:
    """Return for each exercise the number of its stub among the code cells, and its solution and check as one cell.

    A stub is tagged "exercise"; the call of the check follows it, then, tagged "solution", Markdown with the code.
    """
    found, code_cells, stub, check = [], 0, None, ""
    for cell in nb.cells:
        tags = cell.metadata.get("tags", ())
        if "exercise" in tags:
            stub = code_cells
        elif cell.cell_type == "code" and cell.source.startswith("checks."):
            check = textwrap.indent(cell.source, "    ")
        elif "solution" in tags:
            solution = re.search(r"```python\n(.*?)```", cell.source, re.DOTALL)[1]
            found.append((stub, SOLVED.format(solution=solution, check=check)))
        code_cells += cell.cell_type == "code"
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the solutions between the cells that nbval has collected."""
    from nbval.plugin import IPyNbCell

    solutions = {}
    for item in list(items):
        if not isinstance(item, IPyNbCell):
            continue
        notebook = item.parent
        if notebook not in solutions:
            solutions[notebook] = dict(exercises(notebook.nb))
        if source := solutions[notebook].get(item.cell_num):
            cell = nbformat.v4.new_code_cell(source)
            solved = IPyNbCell.from_parent(
                notebook, name=f"Solution {item.cell_num}", cell_num=item.cell_num, cell=cell, options=item.options
            )
            items.insert(items.index(item), solved)
