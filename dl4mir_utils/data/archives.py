"""Unpacking archives that came over a network: nothing in them is trusted."""

import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from dl4mir_utils.errors import DownloadError, UnsafeArchiveError

MAX_FILES = 200_000  # FMA large, the largest set, has 106 574
MAX_RATIO = 100  # bytes unpacked per byte of archive: audio has 1, tables of numbers up to 15
CHUNK = 2**16


def check_space(folder: Path, needed: int) -> None:
    """Raise DownloadError if the disk of `folder` has less than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        from rich.filesize import decimal

        raise DownloadError(
            f"Not enough disk space: {decimal(needed)} are needed in {folder}, {decimal(free)} are free. "
            "Free some, or let the environment variable DL4MIR_DATA name a folder on a larger disk."
        )


def set_aside(path: Path) -> None:
    """Give a file or folder that stands in the way another name, and say so."""
    number = 1
    while (aside := path.with_name(f"{path.name}.old{number}")).exists():
        number += 1
    path.rename(aside)
    print(f"{path} was not what it should be; it is now called {aside.name}. Delete it if you do not need it.")


def unpack(archive: Path, target: Path, tell: Callable[[int, int], None]) -> dict[str, tuple[int, int]]:
    """Unpack a .zip or tar archive into the folder `target`: wholly, or not at all.

    A single folder that holds everything is left out. Ghost files of macOS (`._*`, `__MACOSX`)
    are skipped and counted.

    Parameters
    ----------
    archive, target : Path
        `target` appears at the end, in one step; what stood there is set aside.
    tell : callable
        Called with the bytes unpacked so far and in all.

    Returns
    -------
    dict of str to (int, int)
        Size in bytes and CRC-32 of every file, by its path relative to `target`.

    Raises
    ------
    UnsafeArchiveError
        A member would land outside `target`, is a link or device, or stands there twice; or there
        is far more inside than such a file holds (a bomb).
    DownloadError
        The archive is damaged, or the disk too small.
    """
    staging = target.with_name(f".{target.name}.unpacking")
    shutil.rmtree(staging, ignore_errors=True)  # left by a process that was killed
    staging.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) if archive.name.endswith(".zip") else tarfile.open(archive) as opened:
            members, ghosts = _examine(opened, archive)
            total = sum(member[1] for member in members)
            check_space(staging, total)
            files, done = {}, 0
            for path, size, entry in members:
                files[path] = (size, _write(opened, entry, staging / path, size, archive))
                done += size
                tell(done, total)
        tops = list(staging.iterdir())
        wrapped = len(tops) == 1 and tops[0].is_dir()
        if target.exists():
            set_aside(target)
        (tops[0] if wrapped else staging).replace(target)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError, OSError) as error:
        raise DownloadError(f"{archive.name} could not be unpacked, it is damaged or the disk is: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    if ghosts:
        print(f"{archive.name}: {ghosts} ghost files of macOS (._*) left out.")
    return {path.partition("/")[2] if wrapped else path: facts for path, facts in files.items()}


def _examine(
    opened: zipfile.ZipFile | tarfile.TarFile, archive: Path
) -> tuple[list[tuple[str, int, zipfile.ZipInfo | tarfile.TarInfo]], int]:
    """Look at every member before any is written; return (path, bytes, entry) of the files, and the ghosts' number."""
    limit = MAX_RATIO * archive.stat().st_size
    members, ghosts, total, paths = [], 0, 0, set()
    for name, kind, size, entry in _entries(opened):
        parts = PurePosixPath(name).parts
        if name.startswith("/") or re.search(r"^[A-Za-z]:|[\\\0]", name) or any(not part.strip(" .") for part in parts):
            raise _refusal(archive, name, "would be written outside the folder it belongs in")
        if kind == "other":
            raise _refusal(archive, name, "is a link or a device")
        if kind == "folder":
            continue
        if any(part.startswith("._") or part == "__MACOSX" for part in parts):
            ghosts += 1
            continue
        path = "/".join(parts)
        if path in paths:
            raise _refusal(archive, name, "stands in it twice")
        paths.add(path)
        members.append((path, size, entry))
        total += size
        if total > limit or len(members) > MAX_FILES:
            raise _refusal(archive, name, f"makes it a bomb: more than {total / 1e6:.0f} MB or {MAX_FILES} files")
    return members, ghosts


def _entries(opened: zipfile.ZipFile | tarfile.TarFile) -> Iterator[tuple]:
    if isinstance(opened, zipfile.ZipFile):
        for info in opened.infolist():
            plain = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
            kind = "folder" if info.is_dir() else "file" if plain else "other"
            yield info.orig_filename, kind, info.file_size, info
    else:
        for member in opened:
            yield (
                member.name,
                "folder" if member.isdir() else "file" if member.isreg() else "other",
                member.size,
                member,
            )


def _write(
    opened: zipfile.ZipFile | tarfile.TarFile,
    entry: zipfile.ZipInfo | tarfile.TarInfo,
    path: Path,
    size: int,
    archive: Path,
) -> int:
    """Write one file and return its CRC-32; only its bytes are taken over: no owner, mode or time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        output = path.open("xb")
    except (FileExistsError, NotADirectoryError) as error:
        raise _refusal(archive, path.name, "stands in it twice") from error
    crc = written = 0
    with output, opened.open(entry) if isinstance(opened, zipfile.ZipFile) else opened.extractfile(entry) as source:
        while chunk := source.read(CHUNK):
            output.write(chunk)
            crc = zlib.crc32(chunk, crc)
            written += len(chunk)
    if written != size:
        raise EOFError(f"{path.name} ends early")
    return crc


def _refusal(archive: Path, name: str, why: str) -> UnsafeArchiveError:
    return UnsafeArchiveError(f"{archive.name} was not unpacked: its member {name!r} {why}. Nothing of it was kept.")
