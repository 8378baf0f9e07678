"""Remember which checks have passed, in one line of JSON each."""

import functools
import importlib.metadata
import io
import json
import os
import platform
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

COURSE = Path(__file__).parents[2]
PACKAGES = ("dl4mir_utils", "tensorflow", "tensorflow_cpu", "keras", "kapre", "librosa", "numpy")
RIGHT = "Right."
FIELDS = ("check", "when", "said", "versions")


class Exercise(NamedTuple):
    """An exercise of the course, and what is known of it.

    Attributes
    ----------
    notebook, title : str
        The notebook's title, and the exercise's own.
    check : str
        Name of the function that checks it.
    record : dict or None
        When it was solved for the first time (`when`, UTC), what the check said (`said`), and with which `versions`;
        None if it is open.
    """

    notebook: str
    title: str
    check: str
    record: dict[str, Any] | None


def remembered(check: Callable[..., None]) -> Callable[..., None]:
    """Return a check that does the same and, if its answer begins with "Right.", is remembered.

    Nothing is remembered where the course is an installed package without its notebooks, or where the environment
    variable DL4MIR_PROGRESS is "off", as in tests.
    """

    @functools.wraps(check)
    def checking(*answers: Any, **named: Any) -> None:
        heard = io.StringIO()
        try:
            with redirect_stdout(heard):
                check(*answers, **named)
        finally:
            print(heard.getvalue(), end="")
        if heard.getvalue().startswith(RIGHT):
            try:
                _remember(check.__name__, heard.getvalue().removeprefix(RIGHT).strip())
            except OSError as error:
                print(f"(It could not be noted for `make progress`: {error.strerror}.)")

    return checking


def folder() -> Path | None:
    """Return where progress is kept, whether it is there already or not; None if it is not to be kept."""
    if os.environ.get("DL4MIR_PROGRESS") == "off" or not (COURSE / "notebooks").is_dir():
        return None
    return COURSE / "progress"


def _remember(check: str, said: str) -> None:
    """Add a line, unless there is one of this check."""
    place = folder()
    if place is None or check in passed()[0]:
        return
    place.mkdir(exist_ok=True)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    record = dict(zip(FIELDS, (check, now, said, versions()), strict=True))
    with (place / "passed.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")  # one call: two kernels do not mix their lines


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that exercises depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def passed() -> tuple[dict[str, dict[str, Any]], int]:
    """Return what is remembered, by the name of the check, and how many lines could not be read."""
    place, found, unreadable = folder(), {}, 0
    try:
        lines = (place / "passed.jsonl").read_text("utf-8", errors="replace").splitlines() if place else []
    except FileNotFoundError:
        lines = []
    for line in lines:
        try:
            record = {field: json.loads(line)[field] for field in FIELDS}
            found.setdefault(record["check"], record)
        except (ValueError, KeyError, TypeError):
            unreadable += 1
    return found, unreadable


def solved() -> list[Exercise]:
    """Return all exercises, in the order of the notebooks, each with what is remembered of it."""
    records, _ = passed()
    exercises = []
    for path in sorted((COURSE / "notebooks").glob("*.ipynb")):
        title, section = "", ""
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                title = title or _heading(source, 1)
                section = _heading(source, 3) or section
            elif called := re.match(r"checks\.(check_\w+)\(", source):
                exercises.append(Exercise(title, section, called[1], records.get(called[1])))
    return exercises


def _heading(source: str, level: int) -> str:
    """Return the text of the last heading of a level, without Markdown."""
    found = re.findall(rf"^{'#' * level} (.+)$", source, re.MULTILINE)
    return re.sub(r"\[([^\]]*)\]\([^)]*\)|[*`]", r"\1", found[-1]).strip() if found else ""
