"""Where things are: the course's own files, the user's cache, sound files in folders."""

import os
from collections.abc import Iterable
from pathlib import Path

from dl4mir_utils.errors import DataNotFoundError

# What libsndfile reads, and what it does not: those are named as left out, not passed over.
SUFFIXES = [".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".m4a", ".aac", ".wma", ".mp4"]


def data_root() -> Path:
    """Return the folder that holds `mini`: DL4MIR_DATA if it does, otherwise `data` beside the package's source."""
    given = os.environ.get("DL4MIR_DATA")
    if given and (Path(given) / "mini").is_dir():
        return Path(given)
    return Path(__file__).parents[1] / "data"


def course_file(name: str) -> Path:
    """Return the path of a file that comes with the course, by its name below the folder data.

    An installed package brings some of them along, in itself: the networks that the commands use.

    Raises
    ------
    DataNotFoundError
        It is not there.
    """
    path, inside = data_root() / name, Path(__file__).parent / name
    if path.is_file():
        return path
    if inside.is_file():
        return inside
    if inside.parent.is_dir():  # so this is an installed package, and such files come with it
        raise DataNotFoundError(
            f"The installed dl4mir_utils does not hold data/{name}. If it is a .tflite file or the .json beside it, "
            "install dl4mir_utils again. Anything else is in a clone of the repository: work in one."
        )
    folder = Path(name).parent.as_posix()
    raise DataNotFoundError(
        f"The course's own data/{name} is not where it should be. Work in a clone of the repository, or copy "
        f"its folder data/{folder} into the folder that the environment variable DL4MIR_DATA names."
    )


def cache_root() -> Path:
    """Return the folder of all fetched data sets: the variable DL4MIR_DATA, or the user's cache folder."""
    if own := os.environ.get("DL4MIR_DATA"):
        return Path(own).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("dl4mir"))


def sound_files(paths: Iterable[Path]) -> tuple[list[Path], dict[Path, str]]:
    """Return all sound files among files and folders, each once.

    Parameters
    ----------
    paths : iterable of Path
        Files are taken as they are. Folders are searched with all folders in them, in the order of the alphabet, for
        names that end as sound files do, also those of formats that cannot be decoded here, so that decoding tells of
        them. Hidden files and folders are passed over; links to folders are not followed.

    Returns
    -------
    list of Path
        The files, in order.
    dict of Path to str
        What is wrong, by folder: it may not be read, or no sound was found.
    """
    files, failures = [], {}
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        closed: list[OSError] = []
        found = []
        for folder, subfolders, names in os.walk(path, onerror=closed.append):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            seen = (Path(folder, name) for name in sorted(names) if not name.startswith("."))
            found += [file for file in seen if file.suffix.lower() in SUFFIXES]
        failures |= {Path(error.filename): f"the folder cannot be read: {error.strerror}" for error in closed}
        if not found and not closed:
            failures[path] = f"the folder holds no sound, that is no file that ends in {', '.join(SUFFIXES)}"
        files += found
    return list(dict.fromkeys(files)), failures
