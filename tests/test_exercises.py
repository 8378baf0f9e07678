"""The exercises of every notebook. That the solutions are right shows where nbval runs the notebooks: conftest.py."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools" / "course")]

import notebooks as nbs  # noqa: E402
from conftest import exercises  # noqa: E402


@pytest.mark.parametrize("path", nbs.notebook_paths(ROOT), ids=lambda path: path.stem)
def test_every_exercise_has_a_check_and_a_solution(path):
    nb = nbs.read(path)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    found = exercises(nb)
    assert len(found) >= 3
    assert [stub for stub, _ in found] == [number for number, cell in enumerate(code) if "exercise" in nbs.tags(cell)]
    checks = [next(cell.source for cell in code[stub + 1 :] if "checks.check" in cell.source) for stub, _ in found]
    assert all(check.startswith("checks.") for check in checks) and len(set(checks)) == len(checks)
    assert all(check.splitlines()[0] in source for check, (_, source) in zip(checks, found, strict=True))


def test_nbval_runs_the_solutions(tmp_path):
    """Of two notebooks, one has a wrong solution and one a solution that needs what only the stub defines."""

    def write(name, solution):
        make = nbformat.v4.new_code_cell
        cells = [
            make("class checks:\n    check = lambda answer: print('Right.' if answer == 4 else 'Not yet.')"),
            make("part = 2\nanswer = None", metadata={"tags": ["exercise"]}),
            make("checks.check(answer)"),
            nbformat.v4.new_markdown_cell(f"```python\n{solution}\n```", metadata={"tags": ["solution"]}),
            make("assert answer is None  # what is tested without solutions still is"),
        ]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / name)

    write("right.ipynb", "answer = 4")
    write("wrong.ipynb", "answer = 5")
    write("needs_stub.ipynb", "answer = 2 * part")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "--nbval-lax", "--nbval-current-env", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")},
    )
    failed = [line.partition(" - ")[0].rpartition("/")[2] for line in done.stdout.splitlines() if line[:6] == "FAILED"]
    assert failed == ["needs_stub.ipynb::Solution 1", "wrong.ipynb::Solution 1"], done.stdout
    assert "2 failed, 13 passed" in done.stdout


def test_an_exercise_on_design_trains_what_the_solution_builds(tmp_path):
    """Between stub and check stands a cell that trains the reader's network; the check looks at the trained one."""
    make = nbformat.v4.new_code_cell
    check = """
class checks:
    def check(network):
        print("Right." if network is not None and network.trained == network.size == 3 else "Not yet.")


class Network:
    def __init__(self, size):
        self.size, self.trained = size, 0
"""
    cells = [
        make(check),
        make("network = None", metadata={"tags": ["exercise"]}),
        make("if network is not None:\n    network.trained += network.size"),
        make("checks.check(network)"),
        nbformat.v4.new_markdown_cell("```python\nnetwork = Network(3)\n```", metadata={"tags": ["solution"]}),
        make("assert network is None"),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    namespace: dict = {}
    exec(check, namespace)
    [(stub, source)] = exercises(notebook)
    assert stub == 1
    exec(source, namespace)
    assert namespace["network"].trained == 3
    with pytest.raises(AssertionError):
        exec(source.replace("Network(3)", "Network(2)"), namespace)
