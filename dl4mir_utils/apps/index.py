"""What was heard of sound files, kept in a file, so that nothing is heard twice.

    library = SoundIndex()
    for file in library.update(folder).new:
        library.add(file)
    files, similarity, copies = library.nearest([Path("song.mp3")], folder)

The search is exact: comparing with a hundred thousand vectors takes a second with reading them
(benchmarks/nearest_neighbours.py), and unlike a graph of approximate neighbours it needs no upkeep.
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dl4mir_utils.apps.lite import network_card
from dl4mir_utils.apps.similar import NETWORK, artist, between, direction, file_embedding, unit
from dl4mir_utils.apps.tag import file_tags
from dl4mir_utils.decoding import not_a_file
from dl4mir_utils.errors import AudioDecodeError, BadArgumentError, SoundIndexError
from dl4mir_utils.paths import cache_root, sound_files

VERSION = 2  # to be raised when the same sound would get other vectors from the same network
WAIT_S = 10  # for another process that writes
SEPARATOR = os.fsencode(os.sep)
TABLES = f"""
BEGIN;
CREATE TABLE IF NOT EXISTS files (
  path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, content BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS vectors (content BLOB, kind TEXT, vector BLOB NOT NULL, PRIMARY KEY (content, kind));
PRAGMA user_version = {VERSION};
COMMIT;
"""


class Update(NamedTuple):
    """What a search through a folder found.

    Attributes
    ----------
    files : list of Path
        All sound files.
    new : list of Path
        Those that are new or changed.
    failures : dict of Path to str
        What is wrong, by folder, as `sound_files` says it.
    """

    files: list[Path]
    new: list[Path]
    failures: dict[Path, str]


class Neighbours(NamedTuple):
    """What resembles a sound.

    Attributes
    ----------
    files : list of Path
        The sounds, nearest first; of a path, from its beginning to its end.
    similarity : float32 array (files,)
        Cosine of the angle between each one's vector and what was looked for, at most 1.
    copies : list of Path
        Other files with the same content as one of those that were given, byte by byte; they are not among `files`.
    """

    files: list[Path]
    similarity: np.ndarray
    copies: list[Path]


class SoundIndex:
    """Embeddings and tags of sound files, kept in a file.

    One index serves all folders. It knows a file by size and time of change; one that is new under its name is looked
    up by its content, so that files that were moved, copied or touched are not heard again. What was heard stays when
    the files go, a kilobyte each: they may come back with their drive. Each file is written at once and whole, so that
    an interruption loses none. Several processes may use one index.

    Parameters
    ----------
    path : Path, optional
        The file, an SQLite database; it is made if it is not there. One that is damaged, or no index at all, is renamed
        to end in .old, and made anew. By default it is sounds.dl4mir in the folder of downloads.

    Attributes
    ----------
    path : Path
    note : str
        Why it was made anew, or "".

    Raises
    ------
    SoundIndexError
        The file can be neither read nor written. All methods raise that.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_root() / "sounds.dl4mir"
        if not path:
            with self._explained():
                self.path.parent.mkdir(parents=True, exist_ok=True)
        version, why = self._version()
        old = Path(f"{self.path}.old")
        self.note = why and f"{self.path} {why}: it is made anew, all sounds are embedded again; {old.name} keeps it."
        if why:
            with self._explained():
                self.path.replace(old)  # whatever it was, it is not lost
                Path(f"{self.path}-journal").unlink(missing_ok=True)
        if why or not version:
            with self._opened() as db:
                db.executescript(TABLES)

    def _version(self) -> tuple[int, str]:
        """Return the index's version, 0 if it is empty, and why it cannot be used, or ""."""
        with self._opened() as db:
            try:
                (version,) = db.execute("PRAGMA user_version").fetchone()
                sound = db.execute("PRAGMA quick_check").fetchone() == ("ok",)
            except sqlite3.OperationalError:  # locked, or not to be opened: not its content's fault
                raise
            except sqlite3.DatabaseError:
                version, sound = 0, False
        if not sound:
            return version, "is damaged or no index"
        return version, "" if version in (0, VERSION) else "is of another version of the course"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise SoundIndexError(
                f"The index {self.path} can be neither read nor written: {error}. Mend that, or name another one "
                "with --index."
            ) from error

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one step, which is done whole or not at all; between steps, nobody has to wait for it."""
        with self._explained(), closing(sqlite3.connect(self.path, timeout=WAIT_S)) as db, db:
            yield db

    def update(self, folder: Path) -> Update:
        """Search a folder, forget files that are gone or changed, and say which have no embedding yet.

        Raises
        ------
        BadArgumentError
            It is no folder.
        """
        if not folder.is_dir():
            raise BadArgumentError(f"{folder} is not a folder that is there.")
        files, failures = sound_files([folder])
        below = _below(folder)
        found = {below + os.fsencode(file.relative_to(folder)): file for file in files}
        with self._opened() as db:
            known = db.execute("SELECT path, size, mtime_ns FROM files").fetchall()
            kept = {path for path, *state in known if path in found and state == _state(found[path])}
            gone = [(path,) for path, *_ in known if path.startswith(below) and path not in kept]
            db.executemany("DELETE FROM files WHERE path = ?", gone)
            embedded = "SELECT path FROM files JOIN vectors USING (content) WHERE kind = ?"
            kept &= {path for (path,) in db.execute(embedded, (_embedding(),))}
        return Update(files, [file for path, file in found.items() if path not in kept], failures)

    def add(self, file: Path, threads: int = 1) -> None:
        """Embed a file, if its content is not known, and remember it.

        Parameters
        ----------
        file : Path
        threads : int
            How many cores it may use.

        Raises
        ------
        AudioDecodeError
            The file is missing, is not audio, or holds no sound.
        BadArgumentError
            It holds silence only, or samples that are no numbers.
        """
        self._embed(file, threads)

    def tags(self, file: Path, name: str, threads: int = 1) -> np.ndarray:
        """Tag a file, if its content is not known, and remember the answer.

        Parameters
        ----------
        file : Path
        name : str
            "musicnn_mtt" or "musicnn_msd".
        threads : int
            How many cores it may use.

        Returns
        -------
        float32 array (tags,)
            As `dl4mir_utils.apps.tag.file_tags` gives it.

        Raises
        ------
        AudioDecodeError, BadArgumentError
            As `add`.
        """
        return self._vector(file, _tags(name), lambda: file_tags(file, name, threads))

    def known_tags(self, files: Iterable[Path], name: str) -> dict[Path, np.ndarray]:
        """Return what `tags` would, for those files that need not be read for it: unchanged since they were tagged."""
        return self._known(files, _tags(name))

    def unknown(self, files: Iterable[Path]) -> list[Path]:
        """Return those files that must be read to be embedded: new, or changed since they were."""
        files = list(files)
        known = self._known(files, _embedding())
        return [file for file in files if file not in known]

    def _known(self, files: Iterable[Path], kind: str) -> dict[Path, np.ndarray]:
        joined = "SELECT vector FROM files JOIN vectors USING (content)"
        query = f"{joined} WHERE (path, size, mtime_ns, kind) = (?, ?, ?, ?)"
        found = {}
        with self._opened() as db:
            for file in files:
                if row := db.execute(query, (_key(file), *_state(file), kind)).fetchone():
                    found[file] = np.frombuffer(row[0], np.float32)
        return found

    def rewrite(self, file: Path, write: Callable[[Path], None]) -> None:
        """Let `write` change a file but not its sound, such as its tags; what was heard of it still counts.

        Parameters
        ----------
        file : Path
        write : callable
            Gets the file. If it raises, the file must be as it was.
        """
        before = _state(file)
        write(file)
        after = _state(file)
        with self._opened() as db:
            query = "SELECT content FROM files WHERE (path, size, mtime_ns) = (?, ?, ?)"
            heard = db.execute(query, (_key(file), *before)).fetchone()
        if heard:
            content = _content(file)
            with self._opened() as db:
                copied = "INSERT OR REPLACE INTO vectors SELECT ?, kind, vector FROM vectors WHERE content = ?"
                db.execute(copied, (content, *heard))
                db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (_key(file), *after, content))

    def _embed(self, file: Path, threads: int = 1) -> np.ndarray:
        return self._vector(file, _embedding(), lambda: file_embedding(file, threads))

    def _vector(self, file: Path, kind: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        if reason := not_a_file(file):
            raise AudioDecodeError({str(file): reason})
        state = _state(file)  # from before it is read: if it changes meanwhile, it is read again next time
        content = _content(file)
        with self._opened() as db:
            found = db.execute("SELECT vector FROM vectors WHERE content = ? AND kind = ?", (content, kind)).fetchone()
        vector = np.frombuffer(found[0], np.float32) if found else make()
        with self._opened() as db:
            db.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", (content, kind, vector.tobytes()))
            db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (_key(file), *state, content))
        return vector

    def nearest(
        self,
        seeds: Sequence[Path],
        folder: Path,
        count: int = 10,
        *,
        plus: Sequence[Path] = (),
        minus: Sequence[Path] = (),
        per_artist: int | None = None,
    ) -> Neighbours:
        """Compare files with those of a folder that have been added.

        Parameters
        ----------
        seeds : sequence of Path
            Files, in the folder or elsewhere; they are no neighbours of themselves. Of several, the mean is looked for.
        folder : Path
        count : int
            How many neighbours to return, if there are so many.
        plus, minus : sequence of Path
            Files whose vectors are added to that mean, and taken away from it.
        per_artist : int, optional
            How many files of one artist to return, as the files' own tags name the artist. Files without one all count.

        Raises
        ------
        AudioDecodeError, BadArgumentError
            As `add`, of the files that are given; or nothing is left, when what is taken away is what was there.
        """
        given = [*seeds, *plus, *minus]
        heard = [unit(self._embed(file)) for file in given]
        first, last = len(seeds), len(seeds) + len(plus)
        target = direction(heard[:first], heard[first:last], heard[last:])
        files, vectors, copies = self._others(given, folder)
        similarity = vectors @ target
        order = _within(per_artist, (files[row] for row in np.argsort(-similarity, kind="stable")), count)
        rows = {file: row for row, file in enumerate(files)}
        return Neighbours(order, similarity[[rows[file] for file in order]], copies)

    def path_between(
        self, first: Path, last: Path, folder: Path, count: int = 10, *, per_artist: int | None = None
    ) -> Neighbours:
        """Walk from one file to another through those of a folder that have been added, in steps of the same size.

        For each of `count` points on the arc between the two, the nearest file is taken that was not taken before.

        Parameters
        ----------
        first, last : Path
            Files, in the folder or elsewhere; they are not among what is returned.
        folder, count, per_artist
            As for `nearest`.

        Raises
        ------
        AudioDecodeError, BadArgumentError
            As `add`, of the two files; or they are as good as opposite, so that no arc leads from one to the other.
        """
        ends = [unit(self._embed(file)) for file in (first, last)]
        files, vectors, copies = self._others([first, last], folder)
        taken: list[Path] = []
        similarity = []
        for point in between(*ends, count):
            near = vectors @ point
            order = (files[row] for row in np.argsort(-near, kind="stable") if files[row] not in taken)
            chosen = _within(per_artist, [*taken, *order], len(taken) + 1)
            if len(chosen) == len(taken):
                break
            taken = chosen
            similarity.append(near[files.index(taken[-1])])
        return Neighbours(taken, np.array(similarity, np.float32), copies)

    def _others(self, given: Sequence[Path], folder: Path) -> tuple[list[Path], np.ndarray, list[Path]]:
        """Return the files of a folder, their unit vectors, and the copies: those with the content of a given file."""
        below, itself = _below(folder), {_key(file) for file in given}
        with self._opened() as db:
            query = "SELECT path, content, vector FROM files JOIN vectors USING (content) WHERE kind = ?"
            rows = db.execute(query, (_embedding(),)).fetchall()
        contents = {content for path, content, _ in rows if path in itself}
        values = len(rows[0][2]) // np.dtype(np.float32).itemsize  # those that are given are there, if nothing else is
        rows = sorted(row for row in rows if row[0].startswith(below))
        named = [
            (folder / os.fsdecode(path.removeprefix(below)), path, content, vector) for path, content, vector in rows
        ]
        copies = [file for file, path, content, _ in named if content in contents and path not in itself]
        others = [(file, vector) for file, _, content, vector in named if content not in contents]
        vectors = np.array([np.frombuffer(vector, np.float32) for _, vector in others], np.float32)
        return [file for file, _ in others], unit(vectors) if others else np.zeros((0, values), np.float32), copies


def _within(limit: int | None, files: Iterable[Path], count: int) -> list[Path]:
    """Return the first `count` files, at most `limit` of one artist."""
    chosen: list[Path] = []
    of: dict[str, int] = {}
    for file in files:
        if len(chosen) == count:
            break
        name = artist(file) if limit else ""
        of[name] = of.get(name, 0) + 1
        if not name or of[name] <= limit:
            chosen.append(file)
    return chosen


def _embedding() -> str:
    return f"embedding {network_card(NETWORK)['sha256']}"


def _tags(name: str) -> str:
    return f"tags {network_card(name)['sha256']}"


def _below(folder: Path) -> bytes:
    """Return how the paths in a folder start."""
    return os.fsencode(folder.resolve()).removesuffix(SEPARATOR) + SEPARATOR


def _key(file: Path) -> bytes:
    """Return how the index calls a file; a link keeps its own name."""
    return _below(file.parent) + os.fsencode(file.name)


def _content(file: Path) -> bytes:
    """Return what tells a file's content from others."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).digest()
    except OSError as error:
        raise AudioDecodeError({str(file): f"the file cannot be read: {error.strerror}"}) from error


def _state(file: Path) -> list[int]:
    """Return what changes with a file: its size and time of change; of a file that cannot be read, nothing known."""
    try:
        stat = file.stat()
    except OSError:
        return [-1, -1]
    return [stat.st_size, stat.st_mtime_ns]
