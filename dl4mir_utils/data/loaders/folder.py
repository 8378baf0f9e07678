"""The user's own music: a folder of folders, or a table."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from dl4mir_utils.data.loaders.files import name_some, require_files, visible
from dl4mir_utils.data.table import ClipTable
from dl4mir_utils.decoding import file_duration
from dl4mir_utils.errors import AudioDecodeError, BadArgumentError, DataNotFoundError
from dl4mir_utils.paths import SUFFIXES

SPLITS = ("train", "valid", "test")


def load_folder(root: Path, table: str = "labels.csv", seed: int = 0) -> ClipTable:
    """Load your own files.

    Either `root/<label>/.../<file>`: the first folder is the label, a second one (album or artist) the
    group. Or a CSV file `table` in `root`, with the columns path (relative to it), label and, if you
    like, group and split (train, valid or test). Without given splits, the groups are shared out, about
    70/15/15 and labels as evenly as groups allow; `seed` decides which goes where.
    """
    if not root.is_dir():
        raise DataNotFoundError("There is no such folder: load('folder', root='where/your/music/is').")
    if (root / table).is_file():
        listed, notes = _read_table(root, table), []
    elif table != "labels.csv":
        raise DataNotFoundError(f"There is no {table} in the folder.")
    else:
        listed, notes = _read_folders(root)
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


def _read_folders(root: Path) -> tuple[pd.DataFrame, list[str]]:
    files = [path.relative_to(root) for path in visible(root.glob("*/**/*")) if path.suffix.lower() in SUFFIXES]
    files = [path for path in files if not any(part.startswith(".") for part in path.parts)]
    if not files:
        raise DataNotFoundError("The folder holds no sound in sub-folders (they are the labels), and no labels.csv.")
    listed = pd.DataFrame({"path": [path.as_posix() for path in files], "label": [path.parts[0] for path in files]})
    if all(len(path.parts) == 2 for path in files):
        return listed, []
    # Without its label: the same artist under two labels is one group. A file of no album is its own.
    listed["group"] = [path.parts[1] if len(path.parts) > 2 else path.as_posix() for path in files]
    return listed, []


def _read_table(root: Path, table: str) -> pd.DataFrame:
    listed = pd.read_csv(root / table, dtype=str, keep_default_na=False)
    missing = {"path", "label"} - set(listed)
    if missing:
        raise BadArgumentError(f"{table} has no column {name_some(sorted(missing))}; it needs path and label.")
    twice = listed["path"][listed["path"].duplicated()]
    if len(twice):
        raise BadArgumentError(f"{table} names files twice: {name_some(twice.tolist())}.")
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
