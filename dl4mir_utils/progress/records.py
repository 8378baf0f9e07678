"""Remember which checks have passed, in one line of JSON each."""

import functools
import importlib.metadata
import io
import json
import os
import platform
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from dl4mir_utils.errors import ProgressError

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
            except ProgressError as error:
                print(f"(It could not be noted for `make progress`. {error})")

    return checking


def folder() -> Path | None:
    """Return where progress is kept, whether it is there already or not; None if it is not to be kept."""
    if os.environ.get("DL4MIR_PROGRESS") == "off" or not (COURSE / "notebooks").is_dir():
        return None
    return COURSE / "progress"


@contextmanager
def usable(place: Path) -> Iterator[None]:
    """Turn whatever keeps files of the folder from being read or written into an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise ProgressError(
            f"{error.filename or place}: {error.strerror}. Progress is kept in {place}, which must be a folder that "
            "you may read and write; if you move it away, a new one is begun."
        ) from error


def _remember(check: str, said: str) -> None:
    """Add a line, unless there is one of this check."""
    place = folder()
    if place is None or check in passed()[0]:
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    record = dict(zip(FIELDS, (check, now, said, versions()), strict=True))
    with usable(place):
        place.mkdir(exist_ok=True)
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
    """Return what is remembered, by the name of the check, and how many lines could not be read.

    Raises
    ------
    ProgressError
        None could be, because the file is none or may not be read.
    """
    place, found, unreadable = folder(), {}, 0
    if place is None:
        return {}, 0
    with usable(place):
        try:
            lines = (place / "passed.jsonl").read_text("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
    for line in lines:
        try:
            record = _record(line)
            found.setdefault(record["check"], record)
        except (ValueError, KeyError, TypeError, RecursionError):
            unreadable += 1
    return found, unreadable


def _record(line: str) -> dict[str, Any]:
    """Read one line; whatever the pages could not show is an error."""
    record = {field: json.loads(line)[field] for field in FIELDS}
    check, when, said, used = record.values()
    if not isinstance(used, dict):
        raise TypeError("no versions")
    datetime.fromisoformat(when)
    "".join([check, said, *used, *used.values()]).encode()  # all are texts, without half a character, as JSON may hold
    return record


def solved() -> list[Exercise]:
    """Return all exercises, in the order of the notebooks, each with what is remembered of it.

    Raises
    ------
    ProgressError
        What is remembered cannot be read.
    """
    return exercises(passed()[0])


def exercises(records: dict[str, dict[str, Any]]) -> list[Exercise]:
    """Return all exercises, in the order of the notebooks, each with its record if it has one."""
    found = []
    for path in sorted((COURSE / "notebooks").glob("*.ipynb")):
        title, section = "", ""
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                title = title or _heading(source, 1)
                section = _heading(source, 3) or section
            elif called := re.match(r"checks\.(check_\w+)\(", source):
                found.append(Exercise(title, section, called[1], records.get(called[1])))
    return found


def _heading(source: str, level: int) -> str:
    """Return the text of the last heading of a level, without Markdown."""
    found = re.findall(rf"^{'#' * level} (.+)$", source, re.MULTILINE)
    return re.sub(r"\[([^\]]*)\]\([^)]*\)|[*`]", r"\1", found[-1]).strip() if found else ""
