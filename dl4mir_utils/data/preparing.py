"""Preparing data: every clip of a table is decoded once and for all, by Dask, on one machine or on many.

A shard is one piece of work. It gets its name when it is whole, in one step, and then a record beside it. So whatever
is killed, and whenever: what has a record is done, and the rest is made by the next call. `prepared.py` tells what
is in the folder.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import itertools
import json
import logging
import multiprocessing
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import soundfile

from dl4mir_utils.data.audio import Clip
from dl4mir_utils.data.download import take_lock
from dl4mir_utils.data.prepared import (
    DONE,
    FORMAT,
    INDEX,
    PLAN,
    TABLE,
    damage,
    read_json,
    read_table,
    sha256,
    shard_path,
    table_text,
    to_int16,
)
from dl4mir_utils.data.table import ClipTable
from dl4mir_utils.errors import AudioDecodeError, BadArgumentError, PreparedDataError

if TYPE_CHECKING:
    from distributed import Client

SHARD_MIB = 32
SPARE = 2**24  # bytes of disk for the table and the index, beside the shards
# What workers have in their environment: they keep the memory of one block of sound for the next. Dask would let them
# give it back at once, and then decoding takes 1.8 times as long (Linux).
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": 2**26, "MALLOC_MMAP_THRESHOLD_": 2**25}
TELL_S = 30  # where there is no terminal, a line of progress every so many seconds
NOT_BELOW = 'In a program in a file, call prepare below `if __name__ == "__main__":`, for workers read that file, too.'
CRASHED = "the decoder crashed on it: the file is damaged"


class Report(NamedTuple):
    """What `prepare` has done.

    Attributes
    ----------
    out : Path
        The folder.
    clips : int
        How many clips it holds.
    failures : dict of str to str
        Why a clip could not be decoded, by clip; these are not among them.
    made, kept : int
        How many shards were made, and how many were there before.
    audio_s, seconds : float
        How many seconds of audio are in those that were made, and how long that took.
    """

    out: Path
    clips: int
    failures: dict[str, str]
    made: int
    kept: int
    audio_s: float
    seconds: float


def prepare(
    table: ClipTable,
    out: str | os.PathLike,
    sample_rate: int = 16000,
    workers: int | None = None,
    scheduler: str | None = None,
    shard_mib: float = SHARD_MIB,
    verify: bool = False,
    retry_failed: bool = False,
    progress: bool = True,
) -> Report:
    """Decode and resample all clips of a table and store them, so that `load(name, prepared=out)` reads them fast.

    The same call again goes on where it was interrupted, and does nothing if there is nothing to do. Several programs
    may prepare the same folder: the second waits for the first.

    Parameters
    ----------
    table : ClipTable
        From `load`.
    out : path-like
        The folder; it is made if it is not there. A minute of audio at 16 kHz takes 1.9 MB.
    sample_rate : int
        In Hz.
    workers : int, optional
        How many processes work on this machine; by default as many as it has cores. With 0 this process does the work.
    scheduler : str, optional
        The address of a running Dask scheduler ("tcp://HOST:PORT"), whose workers do it instead. They must see the
        files and the folder `out` under the same names as this machine does.
    shard_mib : float
        How large a shard is about to be, in MiB.
    verify : bool
        Compare what is there with its checksums first, and make anew what differs.
    retry_failed : bool
        Try the clips again that could not be decoded.
    progress : bool
        Show how far it is, how fast, and how much time is left.

    Returns
    -------
    Report
        Clips that could not be decoded, among others.

    Raises
    ------
    BadArgumentError
        An argument makes no sense, or the folder holds something else.
    PreparedDataError
        The folder cannot be written, the disk is too small, or workers or the scheduler were lost. What is done by
        then stays.
    """
    began = time.monotonic()
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # a worker reads the program that started it
        raise BadArgumentError(NOT_BELOW)
    if not isinstance(table, ClipTable):
        raise BadArgumentError("Only clip tables can be prepared; this holds no clips that lie in files.")
    if table.prepared is not None:
        raise BadArgumentError(f"This table comes from {table.prepared.folder} and is prepared already.")
    if workers is not None and (workers < 0 or scheduler):
        raise BadArgumentError("Say how many workers (0 or more), or where the scheduler is, not both.")
    if sample_rate < 1 or shard_mib <= 0:
        raise BadArgumentError(f"sample_rate is {sample_rate}, shard_mib {shard_mib}: both must be positive.")
    out = Path(out).expanduser().absolute()
    shards = _share_out(_clips(table, sample_rate), shard_mib)
    stored = table_text(table.frame)
    plan = {
        "format": FORMAT,
        "name": table.name,
        "classes": list(table.classes),
        "notes": list(table.notes),
        "split_by": table.split_by,
        "root": str(table.root.absolute()),
        "sample_rate": sample_rate,
        "shard_mib": shard_mib,
        "clips": len(table),
        "shards": len(shards),
        TABLE: hashlib.sha256(stored.encode()).hexdigest(),
    }
    with _clear_disk_errors(out):
        there, done = read_json(out / PLAN), read_json(out / DONE)
        if there and done and not verify and not _difference(there, plan) and not damage(out, done):
            records = _records(out, shards, retry_failed=retry_failed)
            if None not in records:
                return _report(out, records, 0, 0.0, began)
        out.mkdir(parents=True, exist_ok=True)
        with _lock(out):
            _begin(out, plan, stored, table)
            records = _records(out, shards, verify, retry_failed)
            missing = [number for number, record in enumerate(records) if record is None]
            if missing:
                for number in missing:  # a record may be there all the same, beside a shard that is damaged
                    shard_path(out, number).with_suffix(".json").unlink(missing_ok=True)
                (out / DONE).unlink(missing_ok=True)
                _check_space(out, [shards[number] for number in missing])
            made = _make(out, table.root.absolute(), shards, missing, workers, scheduler, progress)
            for record in made:
                records[record["shard"]] = record
            done = read_json(out / DONE)
            if done is None or damage(out, done):
                _finish(out, records)
    return _report(out, records, len(missing), sum(record["audio_s"] for record in made), began)


def _clips(table: ClipTable, sample_rate: int) -> list[Clip]:
    """Return the clips; their paths are relative to the table's root, which workers elsewhere may have elsewhere."""
    names = table.frame.index
    if len(names) == 0:
        raise BadArgumentError(f"{table.name} has no clips.")
    if not names.is_unique or not all(isinstance(name, str) for name in names):
        raise BadArgumentError("Clips must have names (table.frame.index), each another one.")
    columns = table.frame[["path", "start_s", "duration_s"]]
    return [Clip(name, Path(path), start, length, sample_rate) for name, path, start, length in columns.itertuples()]


def _share_out(clips: list[Clip], shard_mib: float) -> list[list[Clip]]:
    """Return which clips go into which shard.

    The order is that of the checksums of their names: by chance, but always the same. So a few shards are a fair
    sample of all clips, which lie in a table album by album.
    """
    clips = sorted(clips, key=lambda clip: hashlib.sha256(clip.name.encode(errors="surrogatepass")).digest())
    ends = np.cumsum([2 * clip.samples for clip in clips])
    cuts = np.flatnonzero(np.diff((ends - 1) // int(shard_mib * 2**20))) + 1
    bounds = [0, *cuts.tolist(), len(clips)]
    return [clips[first:last] for first, last in itertools.pairwise(bounds)]


def _difference(there: dict, plan: dict) -> list[str]:
    """Return in what two plans differ; where the files are, and what is noted of them, makes no difference."""
    return [key for key in plan if key not in ("root", "notes") and there.get(key) != plan[key]]


def _begin(out: Path, plan: dict, stored: str, table: ClipTable) -> None:
    """Write the plan and the table, or check that they are those which are there."""
    there = read_json(out / PLAN)
    if there is None:
        try:
            pd.testing.assert_frame_equal(read_table(stored), table.frame.rename_axis("clip_id"))
        except AssertionError as error:
            raise BadArgumentError(
                f"The table cannot be stored as it is. Columns may hold text, numbers, and tuples of these. {error}"
            ) from error
        if strange := [path.name for path in out.iterdir() if path.name != ".lock" and path.suffix != ".part"]:
            raise BadArgumentError(f"{out} holds other files, such as {strange[0]}. Take a new folder.")
    elif other := _difference(there, plan):
        what = "another table" if other == [TABLE] else " and ".join(f"{key} {there.get(key)}" for key in other[:2])
        raise BadArgumentError(
            f"{out} holds something else: {what}. Take another folder, or delete this one if you do not need it."
        )
    if there != plan:
        _write(out / PLAN, json.dumps(plan, indent=1).encode())
    if not (out / TABLE).is_file() or sha256(out / TABLE) != plan[TABLE]:
        _write(out / TABLE, stored.encode())
    (out / "shards").mkdir(exist_ok=True)
    _tidy(out)


def _tidy(out: Path) -> None:
    """Delete what programs and workers that were killed have left."""
    for part in (*out.glob("*.part"), *(out / "shards").glob("*.part")):
        part.unlink(missing_ok=True)


def _records(
    out: Path, shards: list[list[Clip]], verify: bool = False, retry_failed: bool = False
) -> list[dict | None]:
    """Return what stands beside each shard; None where it must be made."""
    records = [_record(out, number, clips, verify) for number, clips in enumerate(shards)]
    return [None if record and retry_failed and any(_failures([record])) else record for record in records]


def _record(out: Path, number: int, clips: list[Clip], verify: bool = False) -> dict | None:
    path = shard_path(out, number)
    record = read_json(path.with_suffix(".json"))
    if (
        record is None
        or [name for name, *_ in record["clips"]] != [clip.name for clip in clips]
        or not path.is_file()
        or path.stat().st_size != record["bytes"]
    ):
        return None
    return None if verify and sha256(path) != record["sha256"] else record


def _failures(records: list[dict]) -> Iterator[tuple[str, str]]:
    return ((name, reason) for record in records for name, _, _, reason in record["clips"] if reason)


def _check_space(out: Path, shards: list[list[Clip]]) -> None:
    from rich.filesize import decimal

    needed = sum(2 * clip.samples for clips in shards for clip in clips) + SPARE
    free = shutil.disk_usage(out).free
    if free < needed:
        raise PreparedDataError(
            f"Not enough disk space: {decimal(needed)} are needed in {out}, {decimal(free)} are free. Free some, or "
            "take a folder on another disk."
        )


def _make(
    out: Path,
    root: Path,
    shards: list[list[Clip]],
    missing: list[int],
    workers: int | None,
    scheduler: str | None,
    progress: bool,
) -> list[dict]:
    """Let Dask make the shards that are missing; return their records."""
    if not missing:
        return []
    from distributed import CancelledError, as_completed
    from distributed.comm import CommClosedError
    from distributed.scheduler import KilledWorker

    records: list[dict] = []
    lost = PreparedDataError(
        f"The scheduler {scheduler or 'of this machine'} was lost; what is done stays in {out}. Start it again, then "
        "the same command."
    )
    with _client(workers, scheduler, len(missing)) as client, _progress(progress, shards, missing) as tell:

        def submit(number: int, careful: bool) -> None:
            future = client.submit(make_shard, out, root, number, shards[number], careful, pure=False)
            futures[future] = number, careful
            waiting.add(future)

        futures, waiting = {}, as_completed()
        try:
            for number in missing:
                submit(number, careful=False)
            for future in waiting:
                number, careful = futures.pop(future)
                try:
                    record = future.result()
                except KilledWorker as error:
                    if careful:
                        raise PreparedDataError(
                            f"Workers ended several times while they made shard {number}: they may have too little "
                            f"memory, or someone ends them. What is done stays in {out}; the same command goes on."
                        ) from error
                    submit(number, careful=True)
                    continue
                records.append(record)
                tell(record)
        except (CancelledError, CommClosedError, ConnectionError, TimeoutError) as error:
            raise lost from error
    if len(records) < len(missing):
        raise lost
    return records


@contextlib.contextmanager
def _client(workers: int | None, scheduler: str | None, most: int) -> Iterator[Client]:
    """Connect to the scheduler, or start workers here, at most as many as there is work for."""
    import dask
    from dask.system import CPU_COUNT
    from distributed import Client, LocalCluster

    if scheduler:
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what it says, `_make` says in one line
        try:
            client = Client(scheduler, timeout=20)
        except (OSError, ValueError) as error:
            raise PreparedDataError(f"No Dask scheduler answers at {scheduler}: {error}") from error
        with client:
            if not client.scheduler_info()["workers"]:
                print(f"The scheduler {scheduler} has no workers yet; waiting for the first.", flush=True)
            yield client
        return
    count = CPU_COUNT if workers is None else workers
    # A worker that ends is started anew, and what it worked on is given to another; after the third time for the same
    # shard, `_make` looks for a file on which the decoder crashes.
    try:
        with dask.config.set({"distributed.nanny.pre-spawn-environ": KEEP_MEMORY}):
            cluster = LocalCluster(
                n_workers=max(1, min(count, most)),
                threads_per_worker=1,
                processes=count > 0,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
    except RuntimeError as error:
        raise PreparedDataError(f"No worker could be started. {NOT_BELOW}") from error
    with cluster, Client(cluster) as client:
        yield client


def make_shard(out: Path, root: Path, number: int, clips: list[Clip], careful: bool = False) -> dict:
    """Decode the clips of one shard and write it; return its record. This is what a worker does.

    Parameters
    ----------
    out, root : Path
        The folder, and the folder that the clips' paths start from.
    number : int
        Which shard.
    clips : list of Clip
        What goes into it.
    careful : bool
        Try each clip in a process of its own before: a worker has died of one, maybe.
    """
    began = time.monotonic()
    path = shard_path(out, number)
    for folder in (root, path.parent):
        if not folder.is_dir():
            raise PreparedDataError(
                f"The worker on {socket.gethostname()} does not see {folder}. All need the same disk."
            )
    if record := _record(out, number, clips):  # its worker was lost after it had been written
        return record
    part = _part(path.with_suffix(""))
    digest, first, rows = hashlib.sha256(), 0, []
    try:
        with part.open("wb") as file:
            for clip in clips:
                samples, reason = _decode(clip, root, careful)
                file.write(samples)
                digest.update(samples)
                rows.append([clip.name, first, len(samples), reason])
                first += len(samples)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        record = {
            "shard": number,
            "bytes": 2 * first,
            "sha256": digest.hexdigest(),
            "audio_s": first / clips[0].sample_rate,
            "seconds": round(time.monotonic() - began, 3),
            "versions": _versions(),
            "clips": rows,
        }
        _write(path.with_suffix(".json"), json.dumps(record).encode())
    finally:
        part.unlink(missing_ok=True)
    return record


def _decode(clip: Clip, root: Path, careful: bool) -> tuple[np.ndarray, str]:
    """Return int16 (samples,) and "", or no samples and what is wrong with the clip."""
    nothing = np.zeros(0, "<i2")
    here = Clip(clip.name, root / clip.path, clip.start_s, clip.duration_s, clip.sample_rate)
    if careful and _crashes(here):
        return nothing, CRASHED
    try:
        return to_int16(here.decode()), ""
    except AudioDecodeError as error:
        return nothing, " ".join(error.failures.values())
    except MemoryError:
        return nothing, "there is not enough memory for it"
    except Exception as error:  # that no decoder is known to raise; still, the others can be done
        return nothing, f"{type(error).__name__}: {error}"


def _crashes(clip: Clip) -> bool:
    """Return whether a process that decodes the clip dies of it, rather than being killed by someone."""
    code = (
        "import sys; from dl4mir_utils.decoding import load_audio; "
        "load_audio(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))"
    )
    settings = [str(clip.path), str(clip.sample_rate), str(clip.start_s), str(clip.duration_s)]
    ended = subprocess.run([sys.executable, "-c", code, *settings], stdin=subprocess.DEVNULL, capture_output=True)
    if os.name == "nt":
        return ended.returncode >= 0xC0000000
    return ended.returncode < 0 and -ended.returncode not in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def _versions() -> dict[str, str]:
    """Return the versions on which the samples depend."""
    found = {"python": platform.python_version(), "libsndfile": soundfile.__libsndfile_version__}
    for name in ("dl4mir_utils", "numpy", "soundfile", "soxr", "av"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _finish(out: Path, records: list[dict]) -> None:
    """Write the index and, when everything else is there, that all is done."""
    _tidy(out)
    index = io.StringIO()
    rows = csv.writer(index, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    rows.writerow(["clip_id", "shard", "first", "samples", "reason"])
    for record in records:
        rows.writerows([name, record["shard"], *place, reason] for name, *place, reason in record["clips"])
    _write(out / INDEX, index.getvalue().encode(errors="surrogatepass"))
    versions = [dict(pairs) for pairs in dict.fromkeys(tuple(record["versions"].items()) for record in records)]
    done = {
        TABLE: sha256(out / TABLE),
        INDEX: sha256(out / INDEX),
        "versions": versions,
        "shards": [{key: record[key] for key in ("bytes", "sha256")} for record in records],
    }
    _write(out / DONE, json.dumps(done, indent=1).encode())


def _report(out: Path, records: list[dict], made: int, audio_s: float, began: float) -> Report:
    failures = dict(_failures(records))
    clips = sum(len(record["clips"]) for record in records) - len(failures)
    return Report(out, clips, failures, made, len(records) - made, audio_s, time.monotonic() - began)


def _part(path: Path) -> Path:
    """Return the name of a file that no other machine, process or thread writes at the same time."""
    return path.with_name(f"{path.name}.{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}.part")


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    part = _part(path)
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _lock(out: Path) -> Iterator[None]:
    """Let one program at a time prepare a folder."""
    with (out / ".lock").open("ab") as file:
        if not take_lock(file):
            print(f"Another program is preparing {out}; waiting until it has ended.", flush=True)
            while not take_lock(file):
                time.sleep(0.5)
        yield


@contextlib.contextmanager
def _clear_disk_errors(out: Path) -> Iterator[None]:
    """Turn the errors of writing into one that says what to do; those of workers come here as well."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "The disk is full: free some space, then the same command goes on where it stopped."
        elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            advice = "You may not write there: take another folder."
        else:
            advice = "When that is mended, the same command goes on where it stopped."
        raise PreparedDataError(f"{out} cannot be written ({error.strerror or error}). {advice}") from error


@contextlib.contextmanager
def _progress(show: bool, shards: list[list[Clip]], missing: list[int]) -> Iterator[Callable[[dict], None]]:
    """Show a bar, or a line now and then where there is no terminal; yields a function to be told of each record."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console()
    bar = console.is_terminal or console.is_jupyter
    total = sum(len(shards[number]) for number in missing)
    began, told = time.monotonic(), time.monotonic()
    clips, audio_s, failed = 0, 0.0, 0
    columns = TextColumn("Preparing"), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not (show and bar)) as shown:
        task = shown.add_task(f"0 of {total} clips", total=total)

        def tell(record: dict) -> None:
            nonlocal clips, audio_s, failed, told
            clips += len(record["clips"])
            audio_s += record["audio_s"]
            failed += sum(1 for _ in _failures([record]))
            now = time.monotonic()
            text = f"{clips} of {total} clips, {audio_s / (now - began):.0f} times real time, {failed} failed"
            shown.update(task, completed=clips, description=text)
            if show and not bar and (now - told > TELL_S or clips == total):
                told = now
                left_s = (now - began) * (total - clips) / clips
                print(f"{text}, {left_s // 60:.0f}:{left_s % 60:02.0f} left", flush=True)

        yield tell
