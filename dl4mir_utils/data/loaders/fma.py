"""FMA (Defferrard, Benzi, Vandergheynst, Bresson: FMA, a dataset for music analysis, ISMIR 2017)."""

from pathlib import Path

import numpy as np
import pandas as pd

from dl4mir_utils.data.loaders.files import find_folder, name_some, require_files
from dl4mir_utils.data.table import ClipTable
from dl4mir_utils.errors import DataNotFoundError

SUBSETS = {"small": ("small",), "medium": ("small", "medium"), "large": ("small", "medium", "large")}
SPLITS = {"training": "train", "validation": "valid", "test": "test"}
# The project's list of excerpts without audio or shorter than 30 s (github.com/mdeff/fma/wiki; issues 8, 41, 44).
NO_AUDIO = (1486, 5574, 65753, 80391, 98558, 98559, 98560, 98571, 99134, 105247)
NO_AUDIO += (108925, 126981, 127336, 133297, 143992)
SHORT = (98565, 98566, 98567, 98568, 98569, 108924)
# The excerpts are 30 s but for a few MP3 frames.
SECONDS = 29.9
COLUMNS = {
    ("set", "split"): "split",
    ("set", "subset"): "subset",
    ("track", "genre_top"): "label",
    ("track", "title"): "title",
    ("track", "duration"): "track_s",
    ("track", "license"): "licence",
    ("artist", "id"): "artist_id",
    ("artist", "name"): "artist",
}


def load_fma(root: Path, subset: str) -> ClipTable:
    """Load `fma_small`, `fma_medium` or `fma_large`: label is the top genre, group the artist.

    The split is the official one, which keeps artists apart.
    """
    name = f"fma_{subset}"
    root = find_folder(root, name, name)
    # In the cache, the tables that all subsets share are a data set of their own, beside this one.
    beside = root.parent / "fma_metadata"
    tables = find_folder(beside if beside.is_dir() else root, "tracks.csv", "fma_metadata")
    tracks = _read_tracks(tables / "tracks.csv")
    tracks = tracks[tracks["subset"].isin(SUBSETS[subset])]
    tracks.index = [f"{track:06d}" for track in tracks.index]
    bad = tracks.index.isin([f"{track:06d}" for track in (*NO_AUDIO, *SHORT)])
    unlabelled = tracks["label"].isna() & ~bad
    short = (tracks["track_s"] < 30) & ~bad & ~unlabelled
    reasons = {
        "no audio or less than 30 s of it": bad,
        "no top genre": unlabelled,
        "the whole track is shorter than 30 s": short,
    }
    left_out = [f"{why}: {name_some(tracks.index[which], 25)}" for why, which in reasons.items() if which.any()]
    note = f"{len(tracks)} tracks are listed. Left out: {'; '.join(left_out) or 'none'}."
    frame = tracks[~(bad | unlabelled | short)]
    frame = frame.assign(
        path=[f"{name}/{track[:3]}/{track}.mp3" for track in frame.index],
        start_s=0.0,
        duration_s=SECONDS,
        group="artist " + frame["artist_id"].astype(str),
        track=frame.index,
        split=frame["split"].map(SPLITS),
    )
    require_files(root, frame["path"], name)
    frame = frame.drop(columns=["track_s", "artist_id"]).rename_axis("clip_id")
    classes = tuple(sorted(frame["label"].unique()))
    return ClipTable(name, frame, classes, root, (note,), split_by="artist")


def _read_tracks(file: Path) -> pd.DataFrame:
    """Read the wanted columns of tracks.csv: two rows of column names, one with the name of the index."""
    head = pd.read_csv(file, header=None, nrows=3, dtype=str)
    places = {pair: place for place, pair in enumerate(zip(head.iloc[0], head.iloc[1], strict=True))}
    missing = [" ".join(pair) for pair in COLUMNS if pair not in places]
    if missing or head.iloc[2, 0] != "track_id":
        raise DataNotFoundError(
            f"fma_metadata/tracks.csv is not FMA's table of tracks: no column {', '.join(missing) or 'track_id'}. "
            "`dl4mir data fetch fma_metadata` fetches it."
        )
    wanted = {0: "track_id"} | {places[pair]: column for pair, column in COLUMNS.items()}
    rows = pd.read_csv(file, header=None, skiprows=3, usecols=list(wanted), dtype={places["artist", "id"]: np.int64})
    return rows.rename(columns=wanted).set_index("track_id").sort_index()
