"""Features of six tasks from a network trained to tag music (Choi, Fazekas, Sandler, Cho, ISMIR 2017)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dl4mir_utils.data.loaders.files import find_folder, require_files
from dl4mir_utils.data.loaders.gtzan import fault_filtered_split
from dl4mir_utils.errors import DataNotFoundError

TASKS = ("ballroom_extended", "emoMusic", "gtzan_genre", "gtzan_speechmusic", "jamendo_vd", "urbansound")
URBAN_SOUND = (
    "air_conditioner",
    "car_horn",
    "children_playing",
    "dog_bark",
    "drilling",
    "engine_idling",
    "gun_shot",
    "jackhammer",
    "siren",
    "street_music",
)


@dataclass(frozen=True, repr=False, eq=False)
class FeatureSet:
    """Ready-made features of one task; row `i` of every array is the clip `files[i]`.

    Attributes
    ----------
    name, task : str
        What `load` was given, and its part after the slash.
    features : dict of int to float32 array (clips, width)
        Mean activations by layer, 0 to 4, of the tagging network; 32 of each in the published ones.
    mfcc : float array (clips, 120) or None
        Statistics of MFCC, the baseline of the paper; not published for "urbansound".
    labels : int32 array (clips,), or float64 array (clips, columns)
        The class's number; for "emoMusic" arousal and valence in 0 to 1.
    classes : tuple of str
        The names of the classes, or of the columns.
    split : array of str (clips,)
        "jamendo_vd": train, valid, test as published. "gtzan_genre": train, valid, test of the
        fault-filtered split, "" for the 70 clips it leaves out. "urbansound": the published folds,
        "fold1" to "fold10". Otherwise "": none is published.
    files : array of str (clips,)
        The path of each clip as the authors had it.
    groups : array of str (clips,)
        What an honest split never tears apart. "jamendo_vd": the song; "urbansound": the recording that slices were
        cut from. Otherwise "": the authors name none.
    """

    name: str
    task: str
    features: dict[int, np.ndarray]
    mfcc: np.ndarray | None
    labels: np.ndarray
    classes: tuple[str, ...]
    split: np.ndarray
    files: np.ndarray
    groups: np.ndarray

    def __len__(self) -> int:
        return len(self.files)

    def __repr__(self) -> str:
        return f"FeatureSet {self.name}: {len(self)} clips, layers {', '.join(map(str, self.features))}"


def load_choi_transfer(root: Path, task: str) -> FeatureSet:
    """Load one task; all arrays are checked to have a row for each clip of the task's table."""
    name = "choi_transfer"
    root = find_folder(root, "data_csv", name)
    arrays = {f"layer_{layer}": f"data_feats/{task}_layer_{layer}.npy" for layer in range(5)}
    if task != "urbansound":
        arrays["mfcc"] = f"data_feats/{task}_mfcc.npy"
    require_files(root, [f"data_csv/{task}.csv", *arrays.values()], name)
    table = pd.read_csv(root / "data_csv" / f"{task}.csv", index_col=0, dtype={"id": str})
    loaded = {key: np.load(root / file) for key, file in arrays.items()}
    for key, array in loaded.items():
        width = 120 if key == "mfcc" else 32
        if array.shape != (len(table), width):
            raise DataNotFoundError(
                f"{arrays[key]} has the shape {array.shape}, but {task}.csv asks for ({len(table)}, {width}). "
                f"`dl4mir data verify {name}` says which file is wrong."
            )
    files = table["filepath"]
    split = groups = pd.Series("", table.index)
    if task == "emoMusic":
        classes, labels = ("arousal", "valence"), table[["label_arousal", "label_valence"]].to_numpy()
    else:
        labels = table["label"].to_numpy(np.int32)
        if task == "urbansound":
            classes, split = URBAN_SOUND, "fold" + table["fold"].astype(str)
            groups = table["id"].str.split("-").str[0]  # 100032-3-0-0: recording, class, occurrence, slice
        else:
            # The folder is the class: gtzan_genre/genres/blues/blues.00000.au, music_speech/speech_wav/acomic.wav
            folder = files.str.split("/").str[-2].str.removesuffix("_wav")
            classes = tuple(folder.groupby(labels).unique().str.join("/"))
    if task == "jamendo_vd":
        split = table["category"]
        groups = table["id"].str.rsplit("_", n=1).str[0]  # 01 - A CONTRE COURANT_0: song, piece
    elif task == "gtzan_genre":
        split = files.map(lambda file: Path(file).stem).map(fault_filtered_split()).fillna("")
    layers = {layer: loaded[f"layer_{layer}"] for layer in range(5)}
    words = (column.to_numpy(str) for column in (split, files, groups))
    return FeatureSet(f"{name}/{task}", task, layers, loaded.get("mfcc"), labels, classes, *words)
