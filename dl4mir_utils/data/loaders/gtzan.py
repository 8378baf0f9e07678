"""GTZAN genres (Tzanetakis, Cook 2002), with the fault-filtered split (Kereliuk, Sturm, Larsen 2015)."""

import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from dl4mir_utils.data.loaders.files import find_folder, name_some, require_files, visible
from dl4mir_utils.data.table import ClipTable
from dl4mir_utils.decoding import file_duration
from dl4mir_utils.errors import AudioDecodeError, BadArgumentError

# The excerpts last 29.93 to 30.65 s.
SECONDS = 29.9
# Damaged in the copies that circulate as WAV.
DAMAGED = "jazz.00054"
# Which numbers of each genre train, validate and test. The 70 that are missing are copies of others or distorted.
FAULT_FILTERED = {
    "blues": ("29-49 73-97", "0-11 50-60", "12-28 61-72 98-99"),
    "classical": ("30-33 43-48 50-67 80-99", "0-10 68-76", "11-29 34-41 49 77-79"),
    "country": ("19-26 28-29 65-99", "0-7 9-18 27 41-42 45 49", "30-40 43-44 46-48 50-51 53-64"),
    "disco": (
        "5 15-20 22-37 39-45 47 49 53-54 56-57 59 61 70 73-74 89",
        "0 2-4 6-14 46 48 52 67-68 72 75 90 95",
        "1 21 58 62-66 69 76-88 91-94 96-97 99",
    ),
    "hiphop": ("2-25 28-29 31-38 41-42 55-61 77-80", "81-98", "0 26-27 30 40 43-45 51-54 62-75 99"),
    "jazz": ("0-1 11-24 41 47-72", "2-10 25-32", "73-99"),
    "metal": (
        "2-3 5 21 24 35 46-57 59-66 69 71-72 79-80 84 86 89-99",
        "0-1 6-11 16-20 36-37 68 76-77 81-82",
        "12-15 22-23 25-33 38-39 67 70 73-75 78 83 85 87-88",
    ),
    "pop": (
        "2-9 11-12 16-20 23-29 31-36 38-42 44 46 49-50 80 97-99",
        "10 53 55 58-62 81 83-86",
        "0-1 13-14 43 63-66 69-79 82 88-96",
    ),
    "reggae": (
        "0-2 4 6 9 11-12 14-32 42-45 49-51 54-60 63 69",
        "61-62 70 72 74 76-78 85 92-99",
        "34-40 46-48 52-53 64-68 71 79 82-84 87-90",
    ),
    "rock": ("0-9 16-26 57-70 91-99", "38 49-56 71-85", "10-15 27-37 39-48 86-90"),
}


def fault_filtered_split() -> dict[str, str]:
    """Return "train", "valid" or "test" by excerpt ("blues.00029"): 443, 197 and 290 of them."""
    split = {}
    for genre, parts in FAULT_FILTERED.items():
        for part, ranges in zip(("train", "valid", "test"), parts, strict=True):
            for numbers in ranges.split():
                first, _, last = numbers.partition("-")
                split |= {f"{genre}.{number:05d}": part for number in range(int(first), int(last or first) + 1)}
    return dict(sorted(split.items()))


def load_gtzan(
    root: Path, split: Literal["fault-filtered", "random"] = "fault-filtered", *, name: str = "gtzan"
) -> ClipTable:
    """Load GTZAN, ten genres, from `genres/<genre>/<genre>.<number>.wav` or `.au`.

    GTZAN has no column of artists, so each excerpt is a group of its own. The fault-filtered split was
    put together by hand to keep artists apart; `split="random"` does not, and warns.
    """
    if split not in ("fault-filtered", "random"):
        raise BadArgumentError(f"split is {split!r}; {name} has 'fault-filtered' and, with a leak, 'random'.")
    root = find_folder(root, "genres", name)
    files = {path.stem: path for path in visible((root / "genres").glob("*/*.*")) if path.suffix in (".wav", ".au")}
    paths = {stem: path.relative_to(root).as_posix() for stem, path in files.items()}
    notes = ["GTZAN has no column of artists: every excerpt is a group of its own."]
    parts = fault_filtered_split()
    if split == "random":
        parts = _random_split(sorted(paths))
        notes.append("Random split: the same artists, even the same recordings, are in train and test.")
        warnings.warn(f"{name}: {notes[-1]} Scores on it are too good.", stacklevel=3)
    elif name == "gtzan_mini":  # a part of the excerpts, on purpose
        parts = {stem: part for stem, part in parts.items() if stem in paths}
    else:
        require_files(root, (paths.get(stem, f"genres/{stem[:-6]}/{stem}.wav") for stem in parts), name)
    left_out = sorted(set(paths) - set(parts))
    if left_out:
        notes.append(f"Not in the {split} split: {name_some(left_out, 70)}.")
    if DAMAGED in parts and not _opens(files[DAMAGED]):
        del parts[DAMAGED]
        notes.append(f"Left out because the file is damaged: {DAMAGED}.")
    frame = pd.DataFrame(
        {
            "path": [paths[stem] for stem in parts],
            "start_s": 0.0,
            "duration_s": SECONDS,
            "label": [stem[:-6] for stem in parts],
            "group": list(parts),
            "track": list(parts),
            "licence": "none stated",
            "split": list(parts.values()),
        },
        index=pd.Index(list(parts), name="clip_id"),
    )
    split_by = "clip" if split == "random" else "artist"
    return ClipTable(name, frame, tuple(sorted(FAULT_FILTERED)), root, tuple(notes), split_by)


def _random_split(stems: list[str]) -> dict[str, str]:
    """Return 70, 15 and 15 % of the excerpts, the same in every run."""
    order = np.random.default_rng(0).permutation(len(stems))
    bounds = np.array([0.7, 0.85]) * len(stems)
    return {
        stem: ("train", "valid", "test")[np.searchsorted(bounds, place, side="right")]
        for stem, place in zip(stems, order, strict=True)
    }


def _opens(file: Path) -> bool:
    try:
        return file_duration(file) >= SECONDS
    except AudioDecodeError:
        return False
