"""Show progress: as a page, in a notebook, and as a certificate that says whether it has been changed since."""

import hashlib
import re
import unicodedata
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from dl4mir_utils.errors import BadArgumentError, DataNotFoundError, ProgressError
from dl4mir_utils.progress.records import Exercise, exercises, folder, passed, solved, usable, versions

LONGEST_NAME = 80
NO_FOLDER = "Progress is kept beside the notebooks: work in a clone of the course, without DL4MIR_PROGRESS=off."
CHECKSUM = re.compile(r'(<code id="checksum">)([0-9a-f]{64})(</code>)')


class Notebook(NamedTuple):
    """A notebook's title, and its exercises."""

    title: str
    exercises: list[Exercise]

    @property
    def solved(self) -> int:
        """How many exercises are solved."""
        return sum(each.record is not None for each in self.exercises)


def notebooks() -> list[Notebook]:
    """Return all notebooks that have exercises, in order.

    Raises
    ------
    ProgressError
        What is remembered cannot be read.
    """
    return _by_notebook(solved())


def _by_notebook(those: list[Exercise]) -> list[Notebook]:
    return [Notebook(title, list(own)) for title, own in groupby(those, lambda each: each.notebook)]


def write_progress() -> Path:
    """Write the page of what was solved, when, with which versions and scores; return where it lies.

    Raises
    ------
    DataNotFoundError
        Nothing is remembered here, because the course is an installed package, or because that is switched off.
    ProgressError
        The folder can be neither read nor written.
    """
    place = folder()
    if place is None:
        raise DataNotFoundError(NO_FOLDER)
    return _written(place, notebooks())


def _written(place: Path, those: list[Notebook]) -> Path:
    page = place / "progress.html"
    text = _filled("progress.html.j2", notebooks=those, unreadable=passed()[1])
    with usable(place):
        place.mkdir(exist_ok=True)
        page.write_text(text, "utf-8")
    return page


def show_progress() -> Any:
    """Return a table for a notebook: how many exercises of each notebook are solved; and write the page.

    If the folder can be neither read nor written, that is said above the table.
    """
    import pandas as pd

    all_of_them, place = [], folder()
    try:
        all_of_them = notebooks()
        if place is not None:
            _written(place, all_of_them)
    except ProgressError as error:
        print(error)
    all_of_them = all_of_them or _by_notebook(exercises({}))  # without what is remembered, where that cannot be read
    rows = [(each.title, each.solved, len(each.exercises)) for each in all_of_them]
    return pd.DataFrame(rows, columns=["notebook", "solved", "exercises"]).set_index("notebook")


def write_certificate(name: str) -> Path:
    """Write a page to print that says what somebody has solved; return where it lies.

    The page holds a checksum of itself, which `verify_certificate` computes again. That shows that the page is as the
    course wrote it. It does not show who solved the exercises.

    Parameters
    ----------
    name : str
        Whose work it is, as it shall stand there: up to 80 characters in one line.

    Raises
    ------
    BadArgumentError
        The name is empty, too long or has characters that cannot be printed; or no exercise is solved.
    DataNotFoundError
        Nothing is remembered here.
    ProgressError
        The folder can be neither read nor written.
    """
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or any(unicodedata.category(letter)[0] == "C" for letter in name):
        raise BadArgumentError(f'Say whose certificate it is, in up to {LONGEST_NAME} characters: NAME="Ada Lovelace".')
    place = folder()
    if place is None:
        raise DataNotFoundError(NO_FOLDER)
    all_of_them = notebooks()
    worked_on = [each for each in all_of_them if each.solved]
    if not worked_on:
        raise BadArgumentError("No exercise is solved yet: a certificate needs one at least.")
    now = datetime.now(UTC)
    text = _filled(
        "certificate.html.j2",
        name=name,
        today=f"{now.day} {now:%B %Y}",
        notebooks=worked_on,
        solved=sum(each.solved for each in worked_on),
        exercises=sum(len(each.exercises) for each in all_of_them),
        versions=versions(),
        checksum="0" * 64,
    )
    page = place / f"certificate-{now:%Y%m%d-%H%M%S}.html"
    with usable(place):
        page.write_text(CHECKSUM.sub(rf"\g<1>{_checksum(text)}\g<3>", text), "utf-8")
    return page


def verify_certificate(page: Path) -> bool:
    """Return whether a certificate is as it was written.

    Raises
    ------
    BadArgumentError
        The file cannot be read, or is no certificate of the course.
    """
    try:
        text = page.read_text("utf-8")  # with any end of line as \n: copying to another system changes those
    except (OSError, UnicodeDecodeError) as error:
        raise BadArgumentError(f"{page} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    found = CHECKSUM.findall(text)
    if len(found) != 1:
        raise BadArgumentError(f"{page.name} is no certificate of this course: it holds no checksum, or several.")
    return _checksum(CHECKSUM.sub(rf"\g<1>{'0' * 64}\g<3>", text)) == found[0][1]


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _filled(template: str, **values: Any) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(**values)
