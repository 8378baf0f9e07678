"""Find the sounds in a folder that resemble one, by the embeddings of a pretrained tagger.

A sound's vector is the mean of musicnn's last layer before the tags (Million Song Dataset) over a few windows spread
over the sound. That layer ends in a batch normalisation, so its values are standardised already, and by more music than
any library holds: to standardise them by the library instead finds no better neighbours (of the course's own clips,
0.53 of the first five are of the same soundtrack either way), finds worse ones in a small library, and would change all
vectors with every new file.

The embeddings are kept in a file, so that later only new and changed sounds are embedded. The search itself is exact:
comparing with a hundred thousand vectors takes a second with reading them (benchmarks/nearest_neighbours.py), and
unlike a graph of approximate neighbours it needs no upkeep.

    library = SoundIndex()
    for file in library.update(folder).new:
        library.add(file)
    files, similarity, copies = library.nearest(Path("song.mp3"), folder)
"""

import hashlib
import math
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dl4mir_utils.decoding import SILENCE, file_duration, load_audio
from dl4mir_utils.errors import AudioDecodeError, BadArgumentError, SoundIndexError
from dl4mir_utils.paths import cache_root, sound_files

if TYPE_CHECKING:
    import keras  # not before a sound must be embedded: a search among stored embeddings takes a second without it

VERSION = 1  # to be raised when the same sound would get another vector
VALUES = 200  # of a vector
WAIT_S = 10  # for another process that writes
SEPARATOR = os.fsencode(os.sep)
# Embedded of each, at most. Measured on 30 pieces of 1.5 to 4 minutes: the mean over ten windows has a cosine of 0.99
# to the mean over all, 0.97 at worst (five: 0.92, one: 0.48), and 8 of the same 10 neighbours; with twenty, 9 of 10.
WINDOWS = 10
WINDOW, RATE = 48128, 16000  # samples of a window, those that musicnn learned from, and Hz
TABLES = f"""
BEGIN;
CREATE TABLE IF NOT EXISTS files (
  path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, content BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS vectors (
  content BLOB PRIMARY KEY, vector BLOB NOT NULL CHECK (length(vector) = {4 * VALUES})
);
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
        The sounds, nearest first.
    similarity : float32 array (files,)
        Cosine of the angle between the vectors, at most 1.
    copies : list of Path
        Other files with the same content, byte by byte; they are not among `files`.
    """

    files: list[Path]
    similarity: np.ndarray
    copies: list[Path]


class SoundIndex:
    """The vectors of sound files, kept in a file.

    One index serves all folders. It knows a file by size and time of change; one that is new under its name is looked
    up by its content, so that files that were moved, copied or touched are not embedded again. Embeddings stay when
    the files go, a kilobyte each: they may come back with their drive. Each file is written at once and whole, so that
    an interruption loses none.

    Parameters
    ----------
    path : Path, optional
        The file, an SQLite database; it is made if it is not there. One that is damaged, or no index at all, is renamed
        to end in .old, and made anew. By default it is similar.dl4mir in the folder of downloads.

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
        self.path = path or cache_root() / "similar.dl4mir"
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

    @cached_property
    def _tagger(self) -> "keras.Model":
        from dl4mir_utils.models import musicnn

        return musicnn("msd")

    def update(self, folder: Path) -> Update:
        """Search a folder, forget files that are gone or changed, and say which must be added.

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
        return Update(files, [file for path, file in found.items() if path not in kept], failures)

    def add(self, file: Path) -> None:
        """Hear a file, if its content is not known, and remember it.

        Raises
        ------
        AudioDecodeError
            The file is missing, is not audio, or holds no sound.
        BadArgumentError
            It holds silence only, or samples that are no numbers.
        """
        state = _state(file)  # from before it is read: if it changes meanwhile, it is read again next time
        content = self.embed(file)
        with self._opened() as db:
            row = _below(file.parent) + os.fsencode(file.name), *state, content
            db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", row)

    def embed(self, file: Path) -> bytes:
        """Make sure that the vector of a file's content is known; return the content's hash.

        Raises
        ------
        AudioDecodeError, BadArgumentError
            As `add`.
        """
        try:
            with file.open("rb") as opened:
                content = hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).digest()
        except OSError as error:
            raise AudioDecodeError({str(file): f"the file cannot be read: {error.strerror}"}) from error
        with self._opened() as db:
            if db.execute("SELECT 1 FROM vectors WHERE content = ?", (content,)).fetchone():
                return content
        windows = excerpts(file)
        vector = mean_embedding(windows, self._tagger)
        with self._opened() as db:
            db.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?)", (content, vector.tobytes()))
        return content

    def nearest(self, seed: Path, folder: Path, count: int = 10) -> Neighbours:
        """Compare a file with those of a folder that have been added.

        Parameters
        ----------
        seed : Path
            The file, in the folder or elsewhere. It is no neighbour of itself.
        folder : Path
        count : int
            How many neighbours to return, if there are so many.

        Raises
        ------
        AudioDecodeError, BadArgumentError
            As `add`, of the seed.
        """
        content, below, itself = self.embed(seed), _below(folder), _below(seed.parent) + os.fsencode(seed.name)
        with self._opened() as db:
            rows = db.execute("SELECT path, content, vector FROM files JOIN vectors USING (content)").fetchall()
            (embedding,) = db.execute("SELECT vector FROM vectors WHERE content = ?", (content,)).fetchone()
        rows = sorted(row for row in rows if row[0].startswith(below))
        files = [folder / os.fsdecode(path.removeprefix(below)) for path, *_ in rows]
        same = [content == other for _, other, _ in rows]
        copies = [file for file, is_copy, row in zip(files, same, rows, strict=True) if is_copy and row[0] != itself]
        vectors = np.frombuffer(b"".join([embedding, *(vector for *_, vector in rows)]), np.float32).reshape(-1, VALUES)
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        similarity = np.where(same, -np.inf, vectors[1:] @ vectors[0])
        order = np.argsort(-similarity, kind="stable")[: min(count, len(rows) - sum(same))]
        return Neighbours([files[row] for row in order], similarity[order], copies)


def _below(folder: Path) -> bytes:
    """Return how the paths in a folder start."""
    return os.fsencode(folder.resolve()).removesuffix(SEPARATOR) + SEPARATOR


def _state(file: Path) -> list[int]:
    """Return what changes with a file: its size and time of change; of a file that cannot be read, nothing known."""
    try:
        stat = file.stat()
    except OSError:
        return [-1, -1]
    return [stat.st_size, stat.st_mtime_ns]


def excerpts(path: Path) -> np.ndarray:
    """Return windows spread over a file: ten of three seconds, each in the middle of a tenth of the file.

    There are fewer if they would overlap; a file that is shorter than one gets silence added. Only they are decoded.

    Parameters
    ----------
    path : Path
        WAV, FLAC, Ogg, MP3, AIFF or AU, of any length.

    Returns
    -------
    float32 array (windows, 48128, 1)
        At 16 kHz, in [-1, 1].

    Raises
    ------
    AudioDecodeError
        The file is missing, is not audio, or holds no sound.
    BadArgumentError
        The windows hold silence only, or samples that are no numbers.
    """
    length_s, window_s = file_duration(path), WINDOW / RATE
    count = max(1, min(WINDOWS, math.floor(length_s / window_s)))
    windows = np.zeros((count, WINDOW, 1), np.float32)
    for number, window in enumerate(windows):
        start_s = max(0.0, (number + 0.5) * length_s / count - window_s / 2)
        audio = load_audio(path, RATE, start_s, min(window_s, length_s))
        window[: len(audio), 0] = audio[:WINDOW]
    peak = np.abs(windows).max()
    if not np.isfinite(peak):
        raise BadArgumentError("holds samples that are no finite numbers")
    if peak < SILENCE:
        raise BadArgumentError("holds only silence: there is nothing to compare")
    return windows


def mean_embedding(windows: np.ndarray, model: "keras.Model") -> np.ndarray:
    """Return what a tagger knows of windows before it names tags, on average.

    Parameters
    ----------
    windows : float32 array (windows, 48128, 1)
    model : keras.Model
        `musicnn(...)`.

    Returns
    -------
    float32 array (200,)
    """
    from dl4mir_utils.inference import as_graph
    from dl4mir_utils.models.musicnn import BATCH

    answer = as_graph(model, "penultimate")
    return np.concatenate([answer(part) for part in np.split(windows, range(BATCH, len(windows), BATCH))]).mean(axis=0)
