"""MagnaTagATune (Law, West, Mandel, Bay, Downie: Evaluation of algorithms using games, ISMIR 2009)."""

from itertools import compress
from pathlib import Path

import numpy as np
import pandas as pd

from dl4mir_utils.data.loaders.files import find_folder, name_some, require_files
from dl4mir_utils.data.registry import DATA_SETS
from dl4mir_utils.data.table import ClipTable
from dl4mir_utils.errors import DataNotFoundError

# The excerpts are 29.1 s long.
SECONDS = 29.1
# The fifty most frequent of the 188 tags, in that order, as every published result on this set uses them.
# fmt: off
TOP_50 = (
    "guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano", "ambient",
    "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male", "singing", "vocals", "no vocals",
    "harpsichord", "loud", "quiet", "flute", "woman", "male vocal", "no vocal", "pop", "soft", "sitar", "solo",
    "man", "classic", "choir", "voice", "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello",
    "no voice", "weird", "country", "female voice", "metal", "choral",
)
# fmt: on


def load_magnatagatune(root: Path) -> ClipTable:
    """Load MagnaTagATune: label is the tuple of a clip's tags among the 50 most frequent ones.

    The usual split goes by folder: 0 to b train, c valid, d to f test. Group is the artist.
    """
    name = "magnatagatune"
    root = find_folder(root, "annotations_final.csv", name)
    rows = pd.read_csv(root / "annotations_final.csv", sep="\t", index_col="clip_id").sort_index()
    missing = [column for column in (*TOP_50, "mp3_path") if column not in rows]
    if missing:
        raise DataNotFoundError(f"annotations_final.csv has no column {name_some(missing)}: it is not {name}'s.")
    # The sixteen folders are in the archive's own folder or, on some mirrors, beside the tables.
    audio = find_folder(root, rows["mp3_path"].iloc[0], name).relative_to(root)
    rows["path"] = [(audio / path).as_posix() for path in rows["mp3_path"]]
    require_files(root, rows["path"], name)
    empty = [(root / path).stat().st_size == 0 for path in rows["path"]]
    notes = [f"Left out because the file is empty: {name_some(rows['path'][empty], 25)}."] if any(empty) else []
    rows = rows[~np.array(empty)]
    labels = [tuple(compress(TOP_50, tags)) for tags in rows[list(TOP_50)].to_numpy()]
    untagged = sum(not tags for tags in labels)
    if untagged:
        notes.append(f"{untagged} of {len(rows)} clips have none of the 50 tags; they are kept, all zeros.")
    folder = rows["mp3_path"].str[0]
    frame = pd.DataFrame(
        {
            "path": rows["path"],
            "start_s": 0.0,
            "duration_s": SECONDS,
            "label": pd.Series(labels, rows.index),
            # f/artist-album-04-title-30-59.mp3: clips of one track differ only in the seconds at the end.
            "track": rows["mp3_path"].str.extract(r"([^/]+)-\d+-\d+\.mp3$", expand=False),
            "licence": DATA_SETS[name].licence,
            "split": np.select([folder.isin(list("def")), folder == "c"], ["test", "valid"], "train"),
        }
    )
    if (root / "clip_info_final.csv").is_file():
        info = pd.read_csv(root / "clip_info_final.csv", sep="\t", index_col="clip_id", dtype=str)
        frame["group"] = info["artist"].reindex(frame.index).fillna(frame["track"])
    else:
        frame["group"] = frame["track"]
        notes.append("clip_info_final.csv is not there: artists are unknown, every track is a group of its own.")
    crossing = {by: (frame.groupby(by)["split"].nunique() > 1).sum() for by in ("group", "track")}
    split_by = "clip" if crossing["track"] else "track"
    if crossing["group"]:
        of = frame["group"].nunique()
        notes.append(f"The usual split does not keep artists apart: {crossing['group']} of {of} cross it.")
    elif (root / "clip_info_final.csv").is_file():
        split_by = "artist"
    frame.index = frame.index.astype(str)
    return ClipTable(name, frame, TOP_50, root, tuple(notes), split_by)
