"""The user's own music: a folder of folders, files with tags, or a table."""

import warnings
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from dl4mir_utils.data.loaders.files import name_some, require_files
from dl4mir_utils.data.table import ClipTable
from dl4mir_utils.decoding import file_duration
from dl4mir_utils.errors import AudioDecodeError, BadArgumentError, DataNotFoundError
from dl4mir_utils.file_tags import in_one_spelling, read_tags
from dl4mir_utils.paths import sound_files

SPLITS = ("train", "valid", "test")
TABLE = "labels.csv"
GenreFrom = Literal["auto", "tags", "folders"]


class Library(NamedTuple):
    """What a folder of music says of its files, before any is decoded.

    Attributes
    ----------
    frame : pandas.DataFrame
        A row per file, in the order of their paths: `path` (relative to the folder), `label`, `artist` ("" where
        unknown), and of a table `group` and `split` where it has them.
    left_out : dict of Path to str
        What is not among them, and why: files without a genre, folders that cannot be read.
    source : {"table", "tags", "folders"}
        Where the labels come from.
    notes : list of str
        What else to know.
    """

    frame: pd.DataFrame
    left_out: dict[Path, str]
    source: str
    notes: list[str]


def load_folder(root: Path, table: str = TABLE, seed: int = 0, genre_from: GenreFrom = "auto") -> ClipTable:
    """Load your own files, as `read_library` reads the folder.

    Artists are the groups (of a table its column group). Without given splits, the groups are shared out, about
    70/15/15 and labels as evenly as groups allow; `seed` decides which goes where.
    """
    listed, left_out, source, notes = read_library(root, table, genre_from)
    if source == "tags":
        notes.insert(0, "The labels are the genres in the files' tags; genre_from='folders' takes the folders' names.")
    if left_out:
        names = [path.relative_to(root).as_posix() for path in left_out]
        reasons = "; ".join(dict.fromkeys(left_out.values()))
        notes.append(f"Left out: {len(names)} ({reasons}): {name_some(names, 25)}.")
    if "group" not in listed and (listed["artist"] != "").any():
        listed["group"] = listed["artist"].where(listed["artist"] != "", listed["path"])
        if unknown := (listed["artist"] == "").sum():
            notes.append(f"The artist of some files is not known, {unknown} in all: each is a group of its own.")
    durations, failed = {}, []
    for path in listed["path"]:
        try:
            durations[path] = file_duration(root / path)
        except AudioDecodeError:
            failed.append(path)
    if failed:
        notes.append(f"Left out, as they cannot be decoded: {len(failed)} of {len(listed)}: {name_some(failed, 25)}.")
        warnings.warn(notes[-1], stacklevel=3)
    frame = listed[listed["path"].isin(durations)].copy()
    if frame.empty:
        raise DataNotFoundError("None of the files can be decoded: " + name_some(failed) + ".")
    frame["duration_s"] = frame["path"].map(durations)
    split_by = "artist"
    if "group" not in frame:
        frame["group"] = frame["path"]
        split_by = "track"
        notes.append(
            "No groups are given: every file is its own. One artist's files may be on both sides of the split."
        )
    if "split" not in frame:
        frame["split"] = _split(frame, seed)
        if (frame["split"] == "").any():
            notes.append("There are too few groups or files for train, valid and test. The split is empty.")
            split_by = ""
    lacking = [
        f"{part} has no {label}"
        for part in SPLITS
        if (frame["split"] == part).any()
        for label in sorted(set(frame["label"]) - set(frame["label"][frame["split"] == part]))
    ]
    if lacking:
        notes.append(f"Classes are missing, as their groups are few: {'; '.join(lacking)}.")
    frame = frame.assign(start_s=0.0, track=frame["path"], licence="your own", clip_id=frame["path"])
    frame = frame.set_index("clip_id").sort_index()
    return ClipTable("folder", frame, tuple(sorted(frame["label"].unique())), root, tuple(notes), split_by)


def read_library(root: Path, table: str = TABLE, genre_from: GenreFrom = "auto") -> Library:
    """Find the genre and the artist of every sound file in a folder.

    If the folder holds the CSV file `table`, that says so: columns path (relative to the folder), label and, if you
    like, group (the artist) and split (train, valid or test). Otherwise genres are those in the files' tags, or names
    of folders: "auto" takes the tags if more than half of the files have a genre there.

    The artist is the one in the file's tags. Where they name none it is the name of a folder: with genres from tags the
    first, as in `artist/album/file`, with genres from folders the second, as in `genre/artist/file`. Names that differ
    only in capitals and spaces are one; of several genres or artists of a file the first counts.

    Raises
    ------
    DataNotFoundError
        There is no such folder or table, or no file with a genre in it.
    BadArgumentError
        The table is not as it must be, or `genre_from` is no such word.
    """
    if genre_from not in ("auto", "tags", "folders"):
        raise BadArgumentError(f"genre_from is {genre_from!r}; it must be 'auto', 'tags' or 'folders'.")
    if not root.is_dir():
        raise DataNotFoundError(f"There is no such folder: {root}. Say where your music is.")
    if (root / table).is_file():
        listed = _read_table(root, table)
        artist = listed["group"] if "group" in listed else [read_tags(root / path).artist for path in listed["path"]]
        return Library(listed.assign(artist=artist), {}, "table", [])
    if table != TABLE:
        raise DataNotFoundError(f"There is no {table} in the folder.")
    files, left_out = sound_files([root])
    nothing = "The folder holds no sound in sub-folders (they are the labels), and no labels.csv."
    if not files:
        raise DataNotFoundError(nothing)
    files = sorted(file.relative_to(root) for file in files)
    tags = [read_tags(root / file) for file in files]
    tagged = genre_from == "tags" or (
        genre_from == "auto" and sum(bool(of_one.genres) for of_one in tags) > len(files) / 2
    )
    rows, notes = [], []
    for file, of_one in zip(files, tags, strict=True):
        folders = file.parts[:-1] if tagged else file.parts[1:-1]
        genre = of_one.genre if tagged else file.parts[0] if len(file.parts) > 1 else ""
        if genre:
            rows.append((file.as_posix(), genre, of_one.artist or (folders[0] if folders else "")))
        else:
            left_out[root / file] = "its tags name no genre" if tagged else "it is in no folder that names its genre"
    if not rows:
        raise DataNotFoundError("None of the files has a genre in its tags." if tagged else nothing)
    several = sum(len(of_one.genres) > 1 for of_one in tags) if tagged else 0
    if several:
        notes.append(f"Some files name several genres, {several} in all: the first counts.")
    frame = pd.DataFrame(rows, columns=["path", "label", "artist"])
    for column in ("label", "artist"):  # the spelling that most of them have
        frame[column] = frame[column].groupby(frame[column].map(in_one_spelling)).transform(lambda same: same.mode()[0])
    return Library(frame, left_out, "tags" if tagged else "folders", notes)


def _read_table(root: Path, table: str) -> pd.DataFrame:
    listed = pd.read_csv(root / table, dtype=str, keep_default_na=False)
    missing = {"path", "label"} - set(listed)
    if missing:
        raise BadArgumentError(f"{table} has no column {name_some(sorted(missing))}; it needs path and label.")
    twice = listed["path"][listed["path"].duplicated()]
    if len(twice):
        raise BadArgumentError(f"{table} names files twice: {name_some(twice.tolist())}.")
    if (listed["label"] == "").any():
        unnamed = listed["path"][listed["label"] == ""].tolist()
        raise BadArgumentError(f"{table} gives no label to {name_some(unnamed)}; fill it in, or take the row out.")
    if "split" in listed:
        wrong = sorted(set(listed["split"]) - set(SPLITS))
        if wrong:
            raise BadArgumentError(f"The column split of {table} holds {name_some(wrong)}; say train, valid or test.")
        if "group" in listed:
            crossing = listed.groupby("group")["split"].nunique()
            crossing = crossing.index[crossing > 1].tolist()
            if crossing:
                raise BadArgumentError(f"The split of {table} tears groups apart: {name_some(crossing)}.")
    require_files(root, listed["path"], table)
    return listed[[column for column in ("path", "label", "group", "split") if column in listed]]


def _split(frame: pd.DataFrame, seed: int) -> np.ndarray:
    """Return "train", "valid" or "test" by row: a seventh of the groups tests, another validates."""
    parts = min(7, frame["group"].nunique(), frame["label"].value_counts().max())
    if parts < 3:
        return np.full(len(frame), "")
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes of few files: what is missing where is noted by the caller
        (_, test), (_, valid) = [*folds.split(frame, frame["label"], frame["group"])][:2]
    split = np.full(len(frame), "train", dtype=object)
    split[test], split[valid] = "test", "valid"
    return split
