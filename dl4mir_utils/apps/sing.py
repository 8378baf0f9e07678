"""From when to when somebody sings in a file of any length, and files that other programs read."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dl4mir_utils.apps.lite import network
from dl4mir_utils.decoding import NO_SOUND, audio_blocks
from dl4mir_utils.errors import AudioDecodeError, BadArgumentError
from dl4mir_utils.segments import Segment, smooth, to_segments

NETWORK = "singing_detector"
# In steps of 0.128 s: what one call gets, and how much of it at either end lacks context and is thrown away, but at the
# ends of the song. The front end sees 73 frames of an eighth of a step to each side.
FRONT_END, FRONT_END_CONTEXT = 100, 10
ENSEMBLE, ENSEMBLE_CONTEXT = 439, 63  # 56 and 8 s, as in `dl4mir_utils.singing.sung_probability`
FRAMES = 8  # of log-mel, in a step

Arrays = tuple[np.ndarray, ...]


class Song(NamedTuple):
    """What was found in a file.

    Attributes
    ----------
    duration_s : float
        Length of the file.
    hop_s : float
        Length of a frame.
    probability : float32 array (frames,)
        How likely each frame is sung, smoothed; frame i starts at i * hop_s.
    segments : tuple of (float, float, "sing")
        Start and end in seconds.
    """

    duration_s: float
    hop_s: float
    probability: np.ndarray
    segments: tuple[Segment, ...]


def sung(file: Path, threads: int = 1) -> Song:
    """Find singing in a file, block by block: its length takes no memory, but for a number per frame of 0.128 s.

    The front end answers as in one pass over the song: its blocks overlap by more than it sees. The recurrent layers,
    which remember longer, get 56 s at a time, as in `dl4mir_utils.singing.sung_probability`; what they say of the first
    and last eight seconds of a block counts only at the ends of the song.

    Parameters
    ----------
    file : Path
        Any format that `dl4mir_utils.decoding` reads.
    threads : int
        How many cores it may use.

    Raises
    ------
    AudioDecodeError
        The file is missing, is not audio, or holds no sound.
    BadArgumentError
        It holds samples that are no finite numbers.
    DataNotFoundError
        The network is not there.
    """
    detector = network(NETWORK, threads)
    card = detector.card
    rate, step = card["sample_rate_hz"], card["step_samples"]
    samples = 0

    def whole_steps() -> Iterator[Arrays]:
        """Yield the song in whole steps: silence is added to the last one."""
        nonlocal samples
        rest = np.zeros(0, np.float32)
        for block in audio_blocks(file, rate):
            if not np.isfinite(block).all():
                raise BadArgumentError("holds samples that are no finite numbers")
            samples += len(block)
            block = np.concatenate([rest, block])
            cut = len(block) // step * step
            rest = block[cut:]
            yield (block[:cut],)
        if len(rest):
            yield (np.pad(rest, (0, step - len(rest))),)

    def front_end(audio: np.ndarray) -> Arrays:
        seen = detector("front_end", audio=audio[np.newaxis, :, np.newaxis])
        return seen["log_mel"][0], seen["embedding"][0]

    def ensemble(log_mel: np.ndarray, embedding: np.ndarray) -> Arrays:
        return (detector("ensemble", log_mel=log_mel[np.newaxis], embedding=embedding[np.newaxis])["singing"][0],)

    seen = in_windows(whole_steps(), (step,), front_end, (FRAMES, 1), FRONT_END, FRONT_END_CONTEXT)
    heard = in_windows(seen, (FRAMES, 1), ensemble, (1,), ENSEMBLE, ENSEMBLE_CONTEXT)
    parts = [part for (part,) in heard]
    if not parts:  # a few samples, of which none is left at the network's rate
        raise AudioDecodeError({str(file): NO_SOUND})
    probability = smooth(np.concatenate(parts), card["median_steps"])
    hop_s, duration_s = step / rate, samples / rate
    found = to_segments(probability, hop_s, card["threshold"])
    segments = tuple((start, min(end, duration_s), label) for start, end, label in found)
    return Song(duration_s, hop_s, probability, segments)


def in_windows(
    stream: Iterable[Arrays],
    inputs: Sequence[int],
    answer: Callable[..., Arrays],
    outputs: Sequence[int],
    window: int,
    context: int,
) -> Iterator[Arrays]:
    """Run a network over a stream in overlapping windows, so that it answers as to the whole at once.

    A network that sees at most `context` steps to each side answers the same as to the whole, up to rounding: windows
    in the middle give their middle, the first begins with the stream, the last ends with it.

    Parameters
    ----------
    stream : iterable of tuple of arrays
        Parts of the input arrays, time first, one after the other: whole steps, as many in one array as in the others.
    inputs, outputs : sequence of int
        How long a step is in each input and each output array.
    answer : callable
        From the input arrays of a window to its output arrays.
    window, context : int
        Lengths, in steps.

    Yields
    ------
    tuple of arrays
        Parts of the output arrays, in order, without gap or overlap.
    """
    kept: list[np.ndarray] = []
    first = done = known = 0  # in steps: where what is kept begins, how far answers are given, how far input is known

    def answered(start: int, stop: int, upto: int) -> Arrays:
        given = [
            array[(start - first) * unit : (stop - first) * unit] for array, unit in zip(kept, inputs, strict=True)
        ]
        parts = zip(answer(*given), outputs, strict=True)
        return tuple(part[(done - start) * unit : (upto - start) * unit] for part, unit in parts)

    for new in stream:
        kept = [np.concatenate(pair) for pair in zip(kept, new, strict=True)] if kept else list(new)
        known += len(new[0]) // inputs[0]
        # Only windows after which something comes: the last one is for the end.
        while known > (start := max(0, done - context)) + window:
            yield answered(start, start + window, start + window - context)
            done = start + window - context
            drop = max(0, done - window) - first
            kept = [array[drop * unit :] for array, unit in zip(kept, inputs, strict=True)]
            first += drop
    if known > done:
        yield answered(max(0, known - window), known, known)


def audacity(song: Song) -> list[str]:
    """Return a label track for Audacity: start and end in seconds and the label, with tabs between them."""
    return [f"{start:.3f}\t{end:.3f}\t{label}" for start, end, label in song.segments]


def sonic_visualiser(song: Song) -> list[str]:
    """Return a regions layer for Sonic Visualiser: start, value, duration and label, as it exports one itself."""
    return [f"{start:.3f},1,{end - start:.3f},{label}" for start, end, label in song.segments]


def jams(song: Song, file: Path) -> list[str]:
    """Return a JAMS annotation (Humphrey et al., ISMIR 2014) in the namespace `segment_open`."""
    data = [
        {"time": round(start, 3), "duration": round(end - start, 3), "value": label, "confidence": None}
        for start, end, label in song.segments
    ]
    about = {
        "annotation_tools": "dl4mir sing",
        "annotation_rules": "",
        "annotator": {},
        "corpus": "",
        "curator": {"name": "", "email": ""},
        "data_source": "program",
        "validation": "",
        "version": "",
    }
    annotation = {
        "annotation_metadata": about,
        "data": data,
        "duration": song.duration_s,
        "namespace": "segment_open",
        "sandbox": {},
        "time": 0,
    }
    metadata = {
        "artist": "",
        "duration": song.duration_s,
        "identifiers": {},
        "jams_version": "0.3.4",
        "release": "",
        "title": file.stem,
    }
    return [json.dumps({"annotations": [annotation], "file_metadata": metadata, "sandbox": {}}, indent=1)]
