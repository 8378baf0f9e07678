"""Fetching data sets into a cache: resumed, verified, and never half there.

The cache is laid out like a mirror, `<data set>/<file>`. Beside the files stands `verified.json`: what
was verified, with sizes and checksums, written after every file. A file has its final name only
when all its bytes are the right ones; until then it is called `<file>.part`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
from urllib.parse import quote

from dl4mir_utils.data.archives import CHUNK, check_space, set_aside, unpack
from dl4mir_utils.data.registry import DATA_SETS, DataSet, RemoteFile, data_set, total_size, unpacked
from dl4mir_utils.errors import BadArgumentError, ChecksumError, DataNotFoundError, DownloadError
from dl4mir_utils.paths import cache_root

if TYPE_CHECKING:
    import pandas as pd

ASK_ABOVE = 200e6  # bytes
TIMEOUT_S = (10, 30)  # to connect; between two bytes
RETRIES = 4
PAUSE_S = 1.0  # before the first retry; doubled for each further one
RECORD = "verified.json"


def folder(name: str) -> Path:
    """Return the folder of a data set in the cache, whether it is there or not."""
    return cache_root() / data_set(name).name


def fetch(name: str, *, only: str = "*", yes: bool = False, progress: bool = True) -> Path:
    """Make a data set, and those it needs, complete in the cache: download, verify, unpack what is missing.

    The mirror named by the environment variable DL4MIR_MIRROR, a folder or an address laid out
    `<data set>/<file>`, is tried before the original addresses. An interrupted download goes on
    where it stopped. Archives are deleted once they are unpacked.

    Parameters
    ----------
    name : str
        One of `data_sets().index`.
    only : str
        A pattern: just the files whose path matches, such as the tables without the audio ("*.csv").
    yes : bool
        Do not ask before downloading more than 200 MB or an unknown amount.
    progress : bool
        Show a progress bar, in a terminal or a notebook.

    Returns
    -------
    Path
        The data set's folder. If it is complete, that takes no time.

    Raises
    ------
    BadArgumentError
        There is no such data set, or no file in it that matches `only`.
    DownloadError
        It could not be fetched (or, as ChecksumError and UnsafeArchiveError, not be trusted), the
        disk is too small, nobody could be asked, or another process is fetching it.
    """
    wanted = [*map(data_set, data_set(name).needs), data_set(name)]
    dataset = wanted[-1]
    if not any(fnmatchcase(file.path, only) for file in dataset.files):
        raise BadArgumentError(
            f"No file of {name} matches {only!r}. It has: {', '.join(f.path for f in dataset.files)}."
        )
    missing = [file for each in wanted for file in _missing(each, only)]
    if missing:
        size = total_size(missing)
        if not yes and (size is None or size > ASK_ABOVE):
            facts = f"{dataset.title}\nDownload: {describe_size(size)}, to {folder(name)}\nLicence: {dataset.licence}"
            _ask(facts, "Download?", f"dl4mir data fetch {name} --yes")
        try:
            for each in wanted:
                _complete(each, only, progress)
        except OSError as error:
            raise DownloadError(
                f"{cache_root()} could not be written: {error}. Mend that, or let the environment variable "
                "DL4MIR_DATA name another folder."
            ) from error
    return folder(name)


def verify(name: str) -> list[str]:
    """Read every file of a data set and compare it with what was verified when it was fetched.

    Returns
    -------
    list of str
        The files that are missing or damaged, relative to the data set's folder; `fetch` gets them
        again. Empty: all is well.

    Raises
    ------
    DataNotFoundError
        The data set is not here.
    """
    home = folder(name)
    if status(name).state == "absent":
        raise DataNotFoundError(f"{name} is not in {home.parent}. Get it with `dl4mir data fetch {name}`.")
    record, wrong = _read_record(home), []
    for file in data_set(name).files:
        entry = record.get(file.path, {})
        bad = []
        for path, (size, crc) in entry.get("members", {}).items():
            member = home / unpacked(file.archive) / path
            if not member.is_file() or member.stat().st_size != size or _crc32(member) != crc:
                bad.append(member.relative_to(home).as_posix())
        if not _is_here(file, home, record) or (not file.archive and not _has(home / file.path, entry["checksum"])):
            bad.append(file.path)
        if bad:
            record.pop(file.path, None)
            wrong += bad
    if wrong:
        _write_record(home, record)
    return wrong


def remove(name: str, *, yes: bool = False) -> None:
    """Delete a data set's folder from the cache, after asking.

    Raises
    ------
    DataNotFoundError
        It is not there, or was not put there by `fetch`.
    DownloadError
        Nobody could be asked, the answer was no, or another process is fetching it.
    """
    home = folder(name)
    if not (home / RECORD).is_file() or home.is_symlink():
        raise DataNotFoundError(
            f"There is nothing in {home} that was fetched. If the folder is yours, delete it yourself."
        )
    if not yes:
        size = describe_size(status(name).bytes)
        _ask(f"{home} ({size}) will be deleted.", "Delete?", f"dl4mir data remove {name} --yes")
    with _lock(home):
        shutil.rmtree(home)


class Status(NamedTuple):
    """`state` is "complete", "partial" or "absent"; `bytes` is what the folder takes on the disk."""

    state: str
    bytes: int


def status(name: str) -> Status:
    """Say whether a data set is in the cache, without reading its files. Not counting what it needs."""
    home = folder(name)
    taken = sum(path.stat().st_size for path in home.rglob("*") if path.is_file() and path.name != RECORD)
    if not taken:
        return Status("absent", 0)
    return Status("partial" if _missing(data_set(name)) else "complete", taken)


def data_sets() -> pd.DataFrame:
    """Return the data sets that can be fetched: one row each, indexed by name."""
    import pandas as pd

    columns = ["name", "purpose", "download", "licence", "here"]
    rows = [
        (d.name, d.purpose, describe_size(total_size(d.files)), d.licence, status(d.name).state)
        for d in DATA_SETS.values()
    ]
    return pd.DataFrame(rows, columns=columns).set_index("name")


def describe_size(size: int | None) -> str:
    """Write a number of bytes as "7.7 GB", and None as "unknown"."""
    from rich.filesize import decimal

    return "unknown" if size is None else decimal(size)


# What is here


def _read_record(home: Path) -> dict:
    try:
        return json.loads((home / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _write_record(home: Path, record: dict) -> None:
    new = home / f".{RECORD}.new"
    new.write_text(json.dumps(record), encoding="utf-8")
    new.replace(home / RECORD)


def _missing(dataset: DataSet, only: str = "*") -> list[RemoteFile]:
    home = folder(dataset.name)
    record = _read_record(home)
    wanted = [file for file in dataset.files if fnmatchcase(file.path, only)]
    absent = [file for file in wanted if not _is_here(file, home, record)]
    archives = {file.archive for file in absent} - {None}
    return [file for file in dataset.files if file in absent or file.archive in archives]  # all parts of an archive


def _is_here(file: RemoteFile, home: Path, record: dict) -> bool:
    entry = record.get(file.path)
    if entry is None or (file.checksum and file.checksum != entry["checksum"]):
        return False
    if file.archive:
        return (home / unpacked(file.archive)).is_dir()
    path = home / file.path
    return path.is_file() and path.stat().st_size == entry["bytes"]


def _has(path: Path, checksum: str) -> bool:
    """Check the bytes of a whole file."""
    import pooch

    algorithm, _, digest = checksum.partition(":")
    return pooch.file_hash(str(path), alg=algorithm) == digest


def _crc32(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc


# Asking


def _ask(facts: str, question: str, command: str) -> None:
    """Go on only after a yes; never wait where nobody can answer."""
    refusal = DownloadError(f"{facts}\nNobody can be asked here. If you want this, run in a terminal: {command}")
    ipython = sys.modules.get("IPython")
    in_notebook = hasattr(ipython and ipython.get_ipython(), "kernel")
    if not in_notebook and not (sys.stdin and sys.stdin.isatty()):
        raise refusal
    try:
        answer = input(f"{facts}\n{question} [y/N] ")
    except (EOFError, NotImplementedError) as error:  # a notebook that is run by a program
        raise refusal from error
    if answer.strip().lower() not in ("y", "yes"):
        raise DownloadError(f"Nothing was done. To say yes beforehand: {command}")


# Fetching


def take_lock(file: BinaryIO) -> bool:
    """Lock an open file; return False if another process holds it. The system lets go when this one ends, however.

    Where the file system knows no locks, every process gets it.
    """
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        pass  # a file system without locks
    return True


@contextmanager
def _lock(home: Path) -> Iterator[None]:
    """Keep other processes out of a data set's folder."""
    with (home.parent / f".{home.name}.lock").open("ab") as file:
        if not take_lock(file):
            raise DownloadError(f"Another program is working on {home}. Wait until it has ended, then try again.")
        yield


@contextmanager
def _progress(show: bool, title: str, total: int | None) -> Iterator[Callable[[str, int, int | None], None]]:
    """Show a bar; yields a function to be told what is being done, how many bytes of it, and of how many."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    visible = show and (console.is_terminal or console.is_jupyter)
    with Progress(*columns, console=console, disable=not visible) as bar:
        tasks = {"": bar.add_task(title, total=total)}

        def tell(what: str, done: int, of: int | None) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=of)

        yield tell


def _complete(dataset: DataSet, only: str, progress: bool) -> None:
    """Fetch what is missing of one data set."""
    home = folder(dataset.name)
    home.mkdir(parents=True, exist_ok=True)
    with _lock(home):
        record, fetched = _read_record(home), {}
        _write_record(home, record)
        files = _missing(dataset, only)
        total = total_size(files)
        # Beside an archive its contents need room, and beside the parts of one the whole, too.
        room = sum((file.size or 0) * (3 if file.part_of else 2 if file.extract else 1) for file in files)
        begun = [path for file in files for path in (home / file.path, _part(home / file.path)) if path.exists()]
        check_space(home, room - sum(path.stat().st_size for path in begun))
        with _progress(progress, dataset.name, total) as tell:
            before = 0
            for file in files:
                path = home / file.path
                path.parent.mkdir(parents=True, exist_ok=True)

                def tell_all(done: int, of: int | None, before: int = before) -> None:
                    tell("", before + done, total or (of and before + of))

                checksum = _obtain(dataset.name, file, path, tell_all)
                before += path.stat().st_size
                fetched[file.path] = {"checksum": checksum, "bytes": path.stat().st_size}
                if not file.archive:
                    record[file.path] = fetched[file.path]
                    _write_record(home, record)
            for archive in dict.fromkeys(file.archive for file in files if file.archive):
                parts = [file.path for file in files if file.archive == archive]
                if archive not in parts:
                    _join([home / part for part in parts], home / archive)
                members = unpack(home / archive, home / unpacked(archive), partial(tell, f"unpacking {archive}"))
                fetched[parts[0]]["members"] = members
                record |= {part: fetched[part] for part in parts}
                _write_record(home, record)
                for path in {archive, *parts}:
                    (home / path).unlink()


def _join(parts: list[Path], whole: Path) -> None:
    with whole.open("wb") as output:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, output, CHUNK)


def _obtain(name: str, file: RemoteFile, path: Path, tell: Callable[[int, int | None], None]) -> str:
    """Bring one file to its final name from the first source that has the right bytes; return its checksum."""
    import pooch

    if path.exists():  # put there by hand, or not unpacked yet
        if _is_right(file, path):
            return file.checksum or f"sha256:{pooch.file_hash(str(path))}"
        set_aside(path)
    part = _part(path)
    problems, wrong = [], False
    for source in _sources(name, file):
        try:
            if isinstance(source, Path):
                _copy(source, part, tell)
            else:
                _download(source, part, tell)
            _state_of(part).unlink(missing_ok=True)
            if _is_right(file, part):
                part.replace(path)
                return file.checksum or f"sha256:{pooch.file_hash(str(path))}"
            part.unlink()
            wrong = True
            problems.append(f"{source}: not the right file ({file.checksum or 'an archive'} was expected), thrown away")
        except DownloadError as error:
            problems.append(f"{source}: {error}")
    listed = "".join(f"\n  {problem}" for problem in problems)
    raise (ChecksumError if wrong else DownloadError)(
        f"{file.path} of the data set {name} could not be fetched:{listed}\n"
        f"Next: try again later with `dl4mir data fetch {name}`, it goes on where it stopped; or let the environment "
        f"variable DL4MIR_MIRROR name a folder or address that holds {name}/{file.path}; or put the file at {path} "
        "yourself."
    )


def _is_right(file: RemoteFile, path: Path) -> bool:
    """Check the whole file; where no checksum is published, that an archive is at least a whole archive."""
    if file.checksum:
        return _has(path, file.checksum)
    return not file.extract or zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _sources(name: str, file: RemoteFile) -> list[str | Path]:
    mirror = os.environ.get("DL4MIR_MIRROR")
    place = f"{name}/{file.path}"
    if not mirror:
        first = []
    elif re.match("https?://", mirror):
        first = [f"{mirror.rstrip('/')}/{quote(place)}"]
    else:
        first = [Path(mirror).expanduser() / place]
    return [*first, file.url, *file.also]


def _copy(source: Path, part: Path, tell: Callable[[int, int | None], None]) -> None:
    try:
        size, done = source.stat().st_size, 0
        with source.open("rb") as original, part.open("wb") as copy:
            while chunk := original.read(2**20):
                copy.write(chunk)
                done += len(chunk)
                tell(done, size)
    except OSError as error:
        raise DownloadError(error.strerror) from error


def _state_of(part: Path) -> Path:
    """Name the file that says which version of which address a part is of."""
    return part.with_name(part.name + ".json")


class _PassingError(Exception):
    """Something that may be gone at the next try."""


def _download(url: str, part: Path, tell: Callable[[int, int | None], None]) -> None:
    """Download into `part`, going on where it stops, until it is whole or stops getting longer."""
    import requests

    failures, furthest = 0, 0
    while True:
        try:
            return _download_once(url, part, tell)
        except requests.exceptions.SSLError as error:
            raise DownloadError("its certificate is not trusted; behind a proxy, see REQUESTS_CA_BUNDLE") from error
        except (
            _PassingError,
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            reached = part.stat().st_size if part.exists() else 0
            failures = 1 if reached > furthest else failures + 1
            furthest = max(furthest, reached)
            if failures > RETRIES:
                raise DownloadError(f"tried {failures} times: {_reason(error)}") from error
            time.sleep(PAUSE_S * 2 ** (failures - 1))
        except requests.RequestException as error:
            raise DownloadError(_reason(error)) from error


def _download_once(url: str, part: Path, tell: Callable[[int, int | None], None]) -> None:
    import requests

    try:
        state = json.loads(_state_of(part).read_text())
        start = part.stat().st_size if state["url"] == url else 0
    except (OSError, ValueError, KeyError):
        start = 0
    headers = {"Accept-Encoding": "identity"}
    if start:  # the rest, if the file is still the same one
        headers |= {"Range": f"bytes={start}-", "If-Range": state["version"]}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
        offered = response.headers.get("Content-Range", "")
        if response.status_code == 416 and offered == f"bytes */{start}":
            return  # it was whole already
        if response.status_code == 416 or (response.status_code == 206 and not offered.startswith(f"bytes {start}-")):
            part.unlink(missing_ok=True)
            raise _PassingError("the server does not offer the rest")
        if response.status_code >= 500 or response.status_code == 429:
            raise _PassingError(f"{response.status_code} {response.reason}")
        response.raise_for_status()
        if response.status_code != 206:
            start = 0
        rest = int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None
        check_space(part.parent, rest or 0)
        with part.open("ab" if start else "wb") as output:
            etag = response.headers.get("ETag", "W/")
            version = response.headers.get("Last-Modified") if etag.startswith("W/") else etag
            _state_of(part).write_text(json.dumps({"url": url, "version": version} if version else {}))
            for chunk in response.iter_content(CHUNK):
                output.write(chunk)
                tell(output.tell(), None if rest is None else start + rest)


def _reason(error: Exception) -> str:
    """Say in a few words what happened; the address stands beside it."""
    import requests

    if isinstance(error, requests.HTTPError):
        return f"{error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "the server did not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the server, or it broke off"
    return str(error)
