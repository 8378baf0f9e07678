"""Timed segments of singing, the labels of frames that follow from them, and the way back from probabilities."""

from collections.abc import Iterable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from dl4mir_utils.errors import BadArgumentError

# (start in seconds, end in seconds, "sing" or "nosing")
Segment = tuple[float, float, str]

PAUSE_S = 0.6  # pauses up to this count as singing: people who annotate let a singer breathe


def merge_segments(segments: Iterable[Segment], gap_s: float = 0.0) -> tuple[Segment, ...]:
    """Join sung segments that overlap, touch or are at most `gap_s` apart.

    Parameters
    ----------
    segments : iterable of (float, float, str)
        Start and end in seconds and a label, in any order; those not labelled "sing" are left out.
    gap_s : float
        The longest pause, in seconds, that still counts as singing.

    Returns
    -------
    tuple of (float, float, str)
        Disjoint segments in order of time, all of them "sing".
    """
    merged: list[Segment] = []
    for start, end, label in sorted(segments):
        if label != "sing":
            continue
        # The microsecond absorbs rounding where one note ends and the next begins.
        if merged and start - merged[-1][1] <= gap_s + 1e-6:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]), "sing")
        else:
            merged.append((start, end, "sing"))
    return tuple(merged)


def frame_labels(segments: Iterable[Segment], hop_s: float, n_frames: int, start_s: float = 0.0) -> np.ndarray:
    """Return which frames are sung.

    Frame `i` is the time from `start_s + i * hop_s` to `start_s + (i + 1) * hop_s`. It is sung if at
    least half of it is: the mean of the annotation over the frame, rounded, as in DL4MIR (Choi et al.,
    2017, example 5-1). Time that no segment covers is not sung.

    Parameters
    ----------
    segments : iterable of (float, float, str)
        Start and end in seconds, "sing" or "nosing": what the column `segments` of a clip table holds.
    hop_s : float
        Length of a frame in seconds.
    n_frames : int
        How many frames.
    start_s : float
        Where the first frame starts, in seconds.

    Returns
    -------
    int32 array (n_frames,)
        1 where sung, otherwise 0.
    """
    sung = np.array([segment[:2] for segment in merge_segments(segments)]).reshape(-1, 2)
    # Seconds sung so far, known where segments start and end and linear in between.
    so_far = np.repeat(np.concatenate([[0.0], np.cumsum(sung[:, 1] - sung[:, 0])]), 2)[1:-1]
    edges = start_s + hop_s * np.arange(n_frames + 1)
    in_frame = np.diff(np.interp(edges, sung.ravel(), so_far)) if len(sung) else np.zeros(n_frames)
    return (in_frame >= hop_s / 2 - 1e-9).astype(np.int32)


def smooth(probability: np.ndarray, frames: int) -> np.ndarray:
    """Return the running median: it drops what is shorter than half of `frames`, and keeps edges where they are.

    Most singing detectors end with it; Schlüter and Grill (ISMIR 2015) take 56 frames, 70 a second: 0.8 s.

    Parameters
    ----------
    probability : float array (frames,)
        What `sung_probability` gives.
    frames : int
        Length of the window: an odd number; 1 changes nothing.

    Returns
    -------
    array (frames,)
        Of the same length and type. Beyond the ends, the song is taken to go on as a mirror image.

    Raises
    ------
    BadArgumentError
        `frames` is not odd and positive, or `probability` is not one-dimensional.
    """
    probability = np.asarray(probability)
    if probability.ndim != 1:
        raise BadArgumentError(f"probability has shape {probability.shape}; it must be (frames,).")
    if frames < 1 or frames % 2 != 1:
        raise BadArgumentError(f"frames is {frames}; a median filter must be odd and at least 1 long.")
    windows = sliding_window_view(np.pad(probability, int(frames) // 2, mode="symmetric"), int(frames))
    return np.median(windows, axis=1).astype(probability.dtype)


def to_segments(probability: np.ndarray, hop_s: float, threshold: float) -> tuple[Segment, ...]:
    """Return from when to when somebody sings.

    Parameters
    ----------
    probability : float array (frames,)
        What `sung_probability` gives, smoothed or not.
    hop_s : float
        Length of a frame in seconds.
    threshold : float
        A frame is sung from this probability on.

    Returns
    -------
    tuple of (float, float, "sing")
        Start and end in seconds, in order of time, with time between them. The last may end up to one frame after the
        song.

    Raises
    ------
    BadArgumentError
        `probability` is not one-dimensional, or `hop_s` not positive.
    """
    probability = np.asarray(probability)
    if probability.ndim != 1 or hop_s <= 0:
        raise BadArgumentError(
            f"probability has shape {probability.shape} and hop_s is {hop_s}; they must be (frames,) and positive."
        )
    edges = np.flatnonzero(np.diff(probability >= threshold, prepend=False, append=False))
    return tuple((float(start * hop_s), float(end * hop_s), "sing") for start, end in edges.reshape(-1, 2))
