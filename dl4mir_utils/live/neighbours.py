"""What the live page has of the course's own clips: of each piece its sound, how musicnn hears it, and whose it is."""

import base64
import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from dl4mir_utils.apps.lite import network_card
from dl4mir_utils.apps.similar import NETWORK, file_embedding, unit
from dl4mir_utils.apps.workers import Failure, each_in_process
from dl4mir_utils.errors import AudioDecodeError
from dl4mir_utils.live.files import write_whole
from dl4mir_utils.paths import course_file

VERSION = 2  # of what the cache holds: to be raised with a change of how it is made
PREVIEW_S, FADE_S = 6, 0.05
PREVIEW_BITS = 18000  # a second: all previews together are then as large as 70 whole clips


def neighbours(cache: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return one clip of each piece of data/mini, with a unit vector of what musicnn knows of it, and its sound.

    The vectors are those that `dl4mir similar` compares: the products of two are the similarities that it prints.
    All clips would be too much for a page to carry. So one clip of each artist or soundtrack is whole; of the
    others there is a preview, which is good enough to hear why they are near.

    Parameters
    ----------
    cache : Path
        A JSON file. If it is whole, and was written for the same network and the same clips, it is read; otherwise
        all clips are heard, which takes some twenty seconds, and it is written.

    Returns
    -------
    found : dict
        What JSON can hold. "network": its name; "values": of a vector; "clips": a list of dicts with the strings
        clip (its name), title, artist, genre (empty where it has none), licence (an SPDX
        expression) and credit (one line), and with preview_s: 0 where the clip is whole, otherwise the seconds that
        there are of it; "vectors": base64 of float32, little-endian, clips × values.
    sounds : dict of str to bytes
        By the clip's name: its file, or its preview (`preview`).

    Raises
    ------
    AudioDecodeError
        A clip cannot be read.
    DataNotFoundError
        The table or the network is not there.
    """
    table = course_file("mini/clips.csv")
    with table.open(encoding="utf-8", newline="") as opened:
        rows = first_of_each("track", csv.DictReader(opened))
    card = network_card(NETWORK)
    files = {row["clip_id"]: table.parent / row["file"] for row in rows}
    whole = {row["clip_id"] for row in first_of_each("group", rows)}
    cut = [clip for clip in files if clip not in whole]
    made_from = [VERSION, PREVIEW_S, FADE_S, PREVIEW_BITS, card["sha256"], [row["sha256"] for row in rows], cut]
    stored = _cached(cache, made_from)
    if stored is None:
        vectors = unit(np.array(_of_each(file_embedding, files.values()))).astype("<f4").tobytes()
        previews = _of_each(preview, [files[clip] for clip in cut])
        stored = {"vectors": base64.b64encode(vectors).decode()}
        stored |= {clip: base64.b64encode(sound).decode() for clip, sound in zip(cut, previews, strict=True)}
        write_whole(cache, json.dumps({"digest": _digest(made_from, stored), "stored": stored}).encode())
    sounds = {
        clip: file.read_bytes() if clip in whole else base64.b64decode(stored[clip]) for clip, file in files.items()
    }
    clips = [
        {
            "clip": row["clip_id"],
            "title": row["title"],
            "artist": row["artist"],
            "genre": row["genre"],
            "licence": row["licence"],
            "credit": credit(row),
            "preview_s": 0 if row["clip_id"] in whole else PREVIEW_S,
        }
        for row in rows
    ]
    values = card["signatures"]["window"]["outputs"]["embedding"][1]
    return {"network": NETWORK, "values": values, "clips": clips, "vectors": stored["vectors"]}, sounds


def first_of_each(column: str, rows: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Return the first of the rows of each piece ("track"), or of each artist or soundtrack ("group")."""
    first: dict[str, dict[str, str]] = {}
    for row in rows:
        first.setdefault(row[column], row)
    return list(first.values())


def preview(file: Path, threads: int = 1) -> bytes:
    """Return the first `PREVIEW_S` seconds of a clip as Ogg Opus, faded out, in about half the bits a second.

    A preview is to be listened to. The networks hear it otherwise than the clip: of the three strongest tags, about
    one in six is another.
    """
    import av  # of the extra `course`

    with soundfile.SoundFile(file) as opened:
        rate = opened.samplerate
        audio = opened.read(PREVIEW_S * rate, dtype="float32")
    fade = round(FADE_S * rate)
    audio[-fade:] *= np.linspace(1, 0, fade, dtype="float32")
    written = io.BytesIO()
    # Bit-exact: the same bytes every time, rather than a random number for the stream.
    with av.open(written, "w", format="ogg", options={"fflags": "+bitexact"}) as container:
        # Three frames of Opus a packet save a twentieth.
        stream = container.add_stream("libopus", rate=rate, layout="mono", options={"frame_duration": "60"})
        stream.bit_rate, stream.thread_count = PREVIEW_BITS, threads
        sound = av.AudioFrame.from_ndarray(audio[np.newaxis], format="flt", layout="mono")
        sound.sample_rate = rate
        for part in (sound, None):
            container.mux(stream.encode(part))
    return written.getvalue()


def credit(row: dict[str, str]) -> str:
    """Return who is to be named with a clip, in one line: title, artist, holder of the rights, licence, source."""
    holder = "" if row["holder"] == row["artist"] else f", © {row['holder']}"
    return f"“{row['title']}” by {row['artist']}{holder}, {row['licence']}, from Debian's package {row['package']}"


def _of_each(work: Callable[..., Any], files: Iterable[Path]) -> list[Any]:
    found = []
    with each_in_process(work, list(files)) as results:
        for file, result in results:
            if isinstance(result, Failure):
                raise AudioDecodeError({str(file): result.reason})
            found.append(result)
    return found


def _digest(made_from: list[Any], stored: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps([made_from, stored]).encode()).hexdigest()


def _cached(cache: Path, made_from: list[Any]) -> dict[str, str] | None:
    try:
        found = json.loads(cache.read_text(encoding="utf-8"))
        return found["stored"] if found["digest"] == _digest(made_from, found["stored"]) else None
    except (OSError, ValueError, KeyError, TypeError):  # not there, or damaged
        return None
