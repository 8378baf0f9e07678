"""Where nbval runs a notebook, the exercises' solutions run, too: each one before the stub whose place it takes."""

import os
import re
import textwrap

import nbformat
import pytest

os.environ["DL4MIR_PROGRESS"] = "off"  # solved by the course itself, not by its reader

SOLVED = """\
from IPython.utils.capture import capture_output
{solution}
{between}
with capture_output() as _said:
{check}
assert _said.stdout.startswith("Right."), _said.stdout
"""


def exercises(nb: nbformat.NotebookNode) -> list[tuple[int, str]]:
    """Return for each exercise the number of its stub among the code cells, and its solution and check as one cell.

    A stub is tagged "exercise". Code cells may follow it that use what the reader has written there: in an exercise
    on design they train the reader's network and show how it does. Then comes the call of the check, and then, tagged
    "solution", Markdown with the code that takes the stub's place; what follows the stub runs after it.
    """
    found, code_cells, stub, between, check = [], 0, None, [], ""
    for cell in nb.cells:
        tags = cell.metadata.get("tags", ())
        if "exercise" in tags:
            stub, between, check = code_cells, [], ""
        elif cell.cell_type == "code" and cell.source.startswith("checks."):
            check = textwrap.indent(cell.source, "    ")
        elif cell.cell_type == "code" and stub is not None and not check:
            between.append(cell.source)
        elif "solution" in tags:
            solution = re.search(r"```python\n(.*?)```", cell.source, re.DOTALL)[1]
            found.append((stub, SOLVED.format(solution=solution, between="\n".join(between), check=check)))
            stub = None
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
