"""The course's own clips, in data/mini of the repository."""

import pandas as pd

from dl4mir_utils.data.table import ClipTable
from dl4mir_utils.paths import course_file


def load_mini(task: str) -> ClipTable:
    """Load one task of the course's own clips."""
    path = course_file("mini/clips.csv")
    clips = pd.read_csv(path, keep_default_na=False, dtype={"clip_id": str, "track": str, "group": str})
    clips = clips.sort_values("clip_id").set_index("clip_id")
    # Each file is exactly the clip; where it was cut from its source is for the record only.
    frame = clips.rename(columns={"file": "path", "start_s": "source_start_s"}).assign(start_s=0.0, split="")
    folds = {}
    if task == "genre":
        frame["label"] = frame["genre"]
        folds = {column: column for column in ("fold_artist", "fold_track", "fold_clip")}
        frame = frame[frame["fold_artist"] != ""]
    elif task == "album":
        frame["label"] = frame["album"]
        folds = {"album_fold_track": "fold_track", "album_fold_clip": "fold_clip"}
        frame = frame[frame["album_fold_track"] != ""]
    else:
        frame["label"] = frame["tracker"].astype(int).map({0: "other", 1: "tracker"})
    kept = frame[list(folds)].astype(int).rename(columns=folds)
    frame = frame.drop(columns=[column for column in frame if "fold_" in column]).join(kept)
    return ClipTable(f"mini/{task}", frame, tuple(sorted(frame["label"].unique())), path.parent)
