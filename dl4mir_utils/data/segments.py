"""Timed segments of singing, and the labels of frames that follow from them."""

from collections.abc import Iterable

import numpy as np

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
