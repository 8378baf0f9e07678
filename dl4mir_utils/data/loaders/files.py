"""What all loaders need: find the folder, check the files, name what was left out."""

from collections.abc import Collection, Iterable
from pathlib import Path

from dl4mir_utils.errors import DataNotFoundError


def name_some(names: Collection[str], limit: int = 5) -> str:
    """Return the first names, and how many there are if that is not all."""
    shown = ", ".join(list(names)[:limit])
    return shown if len(names) <= limit else f"{shown}, ... ({len(names)} in all)"


def find_folder(root: Path, inside: str, name: str) -> Path:
    """Return the folder, `root` or at most two levels below it, that holds `inside`.

    Archives differ in how many folders they wrap around the same content.

    Raises
    ------
    DataNotFoundError
        There is none.
    """
    for pattern in (inside, f"*/{inside}", f"*/*/{inside}"):
        for found in sorted(root.glob(pattern)):
            return found.parents[len(Path(inside).parts) - 1]
    raise DataNotFoundError(
        f"The folder given for {name} holds no {inside}. docs/data.md says how {name} is laid out; "
        f"`dl4mir data verify {name}` checks a download."
    )


def require_files(root: Path, paths: Iterable[str], name: str) -> None:
    """Check that all files are there.

    Raises
    ------
    DataNotFoundError
        Naming up to five that are not, and how many.
    """
    missing = [path for path in paths if not (root / path).is_file()]
    if missing:
        raise DataNotFoundError(
            f"Files of {name} are missing: {name_some(missing)}. `dl4mir data verify {name}` finds all that is "
            f"missing or broken, `dl4mir data fetch {name}` fetches it."
        )


def visible(paths: Iterable[Path]) -> list[Path]:
    """Return the paths in order, without hidden files: macOS leaves a ghost `._x` beside `x`."""
    return sorted(path for path in paths if not path.name.startswith("."))
