"""Reading prepared data: clips that were decoded once and for all, side by side in large files, the shards.

A folder that `prepare` wrote holds

- `plan.json`: what is prepared, from which table, in how many shards; written first;
- `table.json`: the clip table, column by column;
- `shards/00000.i16`, ...: samples as little-endian int16, mono, clip after clip;
- `shards/00000.json`, ...: what is in each shard, its size and checksum; written when it is whole;
- `index.csv`: where each clip is, or why it could not be decoded;
- `prepared.json`: the checksums of all of these, and the versions that made them; written last.

`numpy.memmap("shards/00000.i16", "<i2")` opens a shard, and any program that reads CSV finds a clip in it.
"""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dl4mir_utils.data.loaders.files import name_some
from dl4mir_utils.data.table import ClipTable
from dl4mir_utils.errors import BadArgumentError, PreparedDataError

FORMAT = 1
PLAN, TABLE, INDEX, DONE = "plan.json", "table.json", "index.csv", "prepared.json"
SCALE = 32768  # of int16: full scale
READ_BYTES = 2**20


def shard_path(folder: Path, number: int) -> Path:
    """Return the path of a shard; what is in it stands beside it in a file that ends in .json."""
    return folder / "shards" / f"{number:05}.i16"


def to_int16(audio: np.ndarray) -> np.ndarray:
    """Round float32 audio in [-1, 1] to int16, of the same shape."""
    return np.clip(np.rint(audio * np.float32(SCALE)), -SCALE, SCALE - 1).astype("<i2")


@dataclass(frozen=True, slots=True)
class PreparedClip:
    """Where a clip is in a shard; what it has in common with `Clip` is the same.

    Attributes
    ----------
    name : str
        What error messages call it.
    path : Path
        The shard.
    shard : int
        Which one.
    first, samples : int
        Where in the shard it begins, and how long it is.
    start_s : float
        Where it began in its file, in seconds.
    sample_rate : int
        In Hz.
    """

    name: str
    path: Path
    shard: int
    first: int
    samples: int
    start_s: float
    sample_rate: int

    def decode(self, start: int = 0, samples: int | None = None) -> np.ndarray:
        """Read the clip, or `samples` samples of it from sample `start` on: float32 (samples,). No more is read."""
        audio = np.empty(self.samples - start if samples is None else samples, np.float32)
        self.read_into(audio, start)
        return audio

    def read_into(self, audio: np.ndarray, start: int) -> None:
        """Fill float32 `audio` (samples,) with what comes from sample `start` of the clip on."""
        if not 0 <= start <= self.samples - len(audio):  # what follows in the shard is another clip
            raise BadArgumentError(f"{self.name} has {self.samples} samples, not {len(audio)} from sample {start} on.")
        found = np.empty(len(audio), "<i2")
        try:
            with self.path.open("rb", buffering=0) as file:  # numpy.fromfile opens it twice and takes twice as long
                file.seek(2 * (self.first + start))
                there = file.readinto(found)
        except OSError as error:
            raise PreparedDataError(f"{self.name} cannot be read from {self.path}: {error.strerror}.") from error
        if there < found.nbytes:
            raise _damaged(self.path.parents[1], f"{self.path.name} has been cut short")
        np.multiply(found, np.float32(1 / SCALE), out=audio)


@dataclass(frozen=True, eq=False)
class PreparedAudio:
    """The prepared audio of a clip table.

    Attributes
    ----------
    folder : Path
        Where it lies.
    sample_rate : int
        In Hz.
    places : pandas.DataFrame
        Index `clip_id`; `shard`, `first` and `samples` as in `PreparedClip`; `start_s` and `duration_s` as in the
        table.
    """

    folder: Path
    sample_rate: int
    places: pd.DataFrame

    def clips(self, rows: pd.DataFrame, sample_rate: int) -> list[PreparedClip]:
        """Return where the clips of a table's rows are.

        Raises
        ------
        BadArgumentError
            They were prepared at another sample rate, or other parts of the files were.
        """
        if sample_rate != self.sample_rate:
            raise BadArgumentError(
                f"The data in {self.folder} is prepared at {self.sample_rate} Hz, not at {sample_rate} Hz: give "
                f"sample_rate={self.sample_rate}, or prepare it at that rate in another folder."
            )
        places = self.places.reindex(rows.index)
        wanted = rows[["start_s", "duration_s"]]
        other = rows.index[(places[["start_s", "duration_s"]] != wanted).any(axis=1)]
        if len(other):
            raise BadArgumentError(
                f"Not prepared, or not these parts of the files: {name_some(other)}. Only what stood in the table when "
                f"it was prepared can be read from {self.folder}."
            )
        numbers = places[["shard", "first", "samples"]].astype(int)
        paths = {number: shard_path(self.folder, number) for number in numbers["shard"].unique()}
        return [
            PreparedClip(name, paths[shard], shard, first, samples, start_s, sample_rate)
            for (name, shard, first, samples), start_s in zip(
                numbers.itertuples(), rows["start_s"].tolist(), strict=True
            )
        ]


def read_through(shard: Path) -> None:
    """Read a shard from front to back, so that the system has it in memory when parts of it are wanted."""
    block = bytearray(READ_BYTES)
    try:
        with shard.open("rb", buffering=0) as file:
            while file.readinto(block):
                pass
    except OSError as error:
        raise PreparedDataError(f"{shard} cannot be read: {error.strerror}.") from error


def load_prepared(name: str, folder: Path) -> ClipTable:
    """Load the clip table that was prepared in a folder; its audio comes from there.

    Clips that could not be decoded are left out; a note names them.

    Raises
    ------
    PreparedDataError
        There is none, it is not complete, or files of it are damaged.
    BadArgumentError
        It is another data set.
    """
    plan, done = read_json(folder / PLAN), read_json(folder / DONE)
    if plan is None:
        raise PreparedDataError(
            f"{folder} holds no prepared data. To make it: dl4mir data prepare {name} --out {folder}"
        )
    if plan.get("format") != FORMAT:
        raise PreparedDataError(f"{folder} was prepared by another version of the course. Prepare it in a new folder.")
    if plan["name"] != name:
        raise BadArgumentError(f"{folder} holds {plan['name']}, not {name}: load({plan['name']!r}, prepared=...).")
    if done is None:
        there = sum(1 for _ in (folder / "shards").glob("*.json"))
        raise PreparedDataError(
            f"{folder} is not complete: {there} of {plan['shards']} shards are there. The same command that began goes "
            f"on from there: dl4mir data prepare {name} --out {folder}"
        )
    if what := damage(folder, done):
        raise _damaged(folder, what)
    frame = read_table((folder / TABLE).read_text(encoding="utf-8"))
    with (folder / INDEX).open(encoding="utf-8", errors="surrogatepass", newline="") as file:
        index = pd.DataFrame(csv.DictReader(file)).set_index("clip_id")
    failed = frame.index[frame.index.isin(index.index[index["reason"] != ""])]
    notes = tuple(plan["notes"])
    if len(failed):
        notes += (f"Left out, as they could not be decoded: {len(failed)} of {len(frame)}: {name_some(failed, 25)}.",)
    frame = frame.drop(failed)
    places = index.loc[frame.index, ["shard", "first", "samples"]].astype("int64")
    places = places.join(frame[["start_s", "duration_s"]])
    return ClipTable(
        name=name,
        frame=frame,
        classes=tuple(plan["classes"]),
        root=Path(plan["root"]),
        notes=notes,
        split_by=plan["split_by"],
        prepared=PreparedAudio(folder, plan["sample_rate"], places),
    )


def damage(folder: Path, done: dict) -> str:
    """Return what is wrong with a folder that was complete, as far as can be seen without reading the shards; or ""."""
    for file in (TABLE, INDEX):
        if not (folder / file).is_file() or sha256(folder / file) != done[file]:
            return f"{file} is missing or damaged"
    wrong = []
    for number, shard in enumerate(done["shards"]):
        path = shard_path(folder, number)
        if not path.is_file() or path.stat().st_size != shard["bytes"]:
            wrong.append(path.name)
    return f"missing, or not as long as they should be: {name_some(wrong)}" if wrong else ""


def table_text(frame: pd.DataFrame) -> str:
    """Return a clip table as JSON, column by column.

    Raises
    ------
    BadArgumentError
        It holds what JSON cannot.
    """
    columns = {name: {"dtype": str(column.dtype), "values": column.tolist()} for name, column in frame.items()}
    try:
        return json.dumps({"clip_id": frame.index.tolist(), "columns": columns})
    except TypeError as error:
        raise BadArgumentError(
            f"The table cannot be stored: {error}. Columns may hold text, numbers, True and False, and tuples of these."
        ) from error


def read_table(text: str) -> pd.DataFrame:
    """Return the clip table that `table_text` made this of."""
    stored = json.loads(text)
    columns = {}
    for name, column in stored["columns"].items():
        values = column["values"]
        if any(isinstance(value, list) for value in values):
            values = [_as_tuple(value) for value in values]
        columns[name] = pd.Series(values, dtype=column["dtype"], index=stored["clip_id"])
    return pd.DataFrame(columns).rename_axis("clip_id")


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def read_json(file: Path) -> dict | None:
    """Return what a JSON file holds; None if it is not there, or not whole."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        raise PreparedDataError(f"{file} cannot be read: {error.strerror}.") from error


def sha256(file: Path) -> str:
    """Return the checksum of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _damaged(folder: Path, what: str) -> PreparedDataError:
    return PreparedDataError(
        f"{folder} is damaged: {what}. The command that prepared it makes what is wrong anew; with --verify it "
        "compares everything with its checksums before."
    )
