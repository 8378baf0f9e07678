"""Clip tables, splits, loaders and the input pipeline.

`load(name)` gives a `ClipTable`; `table.split(...)` marks train, valid and test;
`table.to_tf("train", seconds=2.56)` gives batches of `(audio, label)`.
"""

from dl4mir_utils.data.audio import audio_cache
from dl4mir_utils.data.download import data_sets, fetch, folder, remove, verify
from dl4mir_utils.data.loaders.choi import FeatureSet
from dl4mir_utils.data.loaders.hetrec import ListeningSet
from dl4mir_utils.data.mixes import SingingMixes
from dl4mir_utils.data.own_file import OwnFile, own_file
from dl4mir_utils.data.preparing import prepare
from dl4mir_utils.data.sources import load
from dl4mir_utils.data.table import ClipTable
from dl4mir_utils.decoding import load_audio
from dl4mir_utils.paths import data_root
from dl4mir_utils.segments import frame_labels, merge_segments

__all__ = [
    "ClipTable",
    "FeatureSet",
    "ListeningSet",
    "OwnFile",
    "SingingMixes",
    "audio_cache",
    "data_root",
    "data_sets",
    "fetch",
    "folder",
    "frame_labels",
    "load",
    "load_audio",
    "merge_segments",
    "own_file",
    "prepare",
    "remove",
    "verify",
]
