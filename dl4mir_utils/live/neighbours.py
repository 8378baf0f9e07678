"""What the live page knows of the course's own clips: for each piece, how musicnn hears it, and whose it is."""

import base64
import csv
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from dl4mir_utils.apps.lite import network_card
from dl4mir_utils.apps.similar import NETWORK, file_embedding, unit
from dl4mir_utils.apps.workers import Failure, each_in_process
from dl4mir_utils.errors import AudioDecodeError
from dl4mir_utils.paths import course_file

VERSION = 1  # of what is written: to be raised with a change of it


def neighbours(cache: Path) -> dict[str, Any]:
    """Return one clip of each piece of data/mini, with a unit vector of what musicnn knows of it.

    The vectors are those that `dl4mir similar` compares: the products of two are the similarities that it prints.

    Parameters
    ----------
    cache : Path
        A JSON file. If it was written for the same network and the same clips, it is read; otherwise all clips are
        heard, which takes some ten seconds, and it is written.

    Returns
    -------
    dict
        What JSON can hold. "network": its name; "values": of a vector; "clips": a list of dicts with the strings
        clip (its name), file (below data/mini), title, artist, genre (empty where it has none), licence (an SPDX
        expression) and credit (one line); "vectors": base64 of float32, little-endian, clips × values.

    Raises
    ------
    AudioDecodeError
        A clip cannot be read.
    DataNotFoundError
        The table or the network is not there.
    """
    table = course_file("mini/clips.csv")
    with table.open(encoding="utf-8", newline="") as opened:
        rows = one_of_each_piece(csv.DictReader(opened))
    card = network_card(NETWORK)
    parts = [str(VERSION), card["sha256"], *(row["clip_id"] + row["sha256"] for row in rows)]
    state = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    vectors = _cached(cache, state)
    if vectors is None:
        vectors = base64.b64encode(_vectors([table.parent / row["file"] for row in rows])).decode()
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(json.dumps({"state": state, "vectors": vectors}), encoding="utf-8")
    clips = [
        {
            "clip": row["clip_id"],
            "file": row["file"],
            "title": row["title"],
            "artist": row["artist"],
            "genre": row["genre"],
            "licence": row["licence"],
            "credit": credit(row),
        }
        for row in rows
    ]
    return {"network": NETWORK, "values": card["signatures"]["window"]["outputs"]["embedding"][1]} | {
        "clips": clips,
        "vectors": vectors,
    }


def one_of_each_piece(rows: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Return the first clip of each piece: several of one would fill the list of what sounds alike."""
    first: dict[str, dict[str, str]] = {}
    for row in rows:
        first.setdefault(row["track"], row)
    return list(first.values())


def credit(row: dict[str, str]) -> str:
    """Return who is to be named with a clip, in one line: title, artist, holder of the rights, licence, source."""
    holder = "" if row["holder"] == row["artist"] else f", © {row['holder']}"
    return f"“{row['title']}” by {row['artist']}{holder}, {row['licence']}, from Debian's package {row['package']}"


def _vectors(files: list[Path]) -> bytes:
    found = []
    with each_in_process(file_embedding, files) as results:
        for file, embedding in results:
            if isinstance(embedding, Failure):
                raise AudioDecodeError({str(file): embedding.reason})
            found.append(embedding)
    return unit(np.array(found)).astype("<f4").tobytes()


def _cached(cache: Path, state: str) -> str | None:
    try:
        stored = json.loads(cache.read_text(encoding="utf-8"))
        return stored["vectors"] if stored["state"] == state else None
    except (OSError, ValueError, KeyError, TypeError):  # not there, or cut off while it was written
        return None
