"""Checks of notebook 11b."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dl4mir_utils.checks.answers import is_open, say
from dl4mir_utils.metrics import group_interval
from dl4mir_utils.segments import PAUSE_S, Segment, frame_labels, merge_segments

if TYPE_CHECKING:
    import keras

NEW_S, HOP_S, WORK_S = 1.8, 1.0, 0.1  # of the tagger: new music that it needs, its hop, computation and transport
EQUAL = 0.9  # share of the frames that an annotator must have as the truth has them
FRAME_S = 0.05
EDGE_S = 0.25  # by how much an edge may be off before we speak of it
SMALLEST_KB = 50  # what the file may take
WINDOW = 40960  # samples
VERDICTS = ("nothing that we can show", "they are worse")


def check_11b_latency(earliest_s: float | None, latest_s: float | None) -> None:
    """Check when a new tag stands on the screen, at the earliest and at the latest, in seconds."""
    if is_open(earliest_s, latest_s):
        return
    earliest, latest = NEW_S + WORK_S, NEW_S + HOP_S + WORK_S
    if latest_s < earliest_s:
        print("Not yet. The latest moment comes before the earliest.")
    elif abs(earliest_s - WORK_S) < 0.01:
        print("Not yet. The computation is not the first thing that takes time: 60 % of the window must be new music.")
    elif abs(latest_s - earliest_s) < 0.01:
        print("Not yet. Both are the same, but the tagger asks only once a second: with bad luck it asked just before.")
    elif abs(earliest_s - NEW_S) < 0.01 or abs(latest_s - NEW_S - HOP_S) < 0.01:
        print("Not yet. Computation and transport come on top, in both cases.")
    else:
        say(
            abs(earliest_s - earliest) < 0.01 and abs(latest_s - latest) < 0.01,
            f"From {earliest:.1f} to {latest:.1f} s, and a tenth of a second of it is the machine's.",
            f"{earliest_s:.2f} and {latest_s:.2f} s: add up what must be new in the window, the hop that may still "
            "have to pass, computation and transport.",
        )


def check_11b_by_ear(segments: Any, sounding: Sequence[Segment], song_s: float) -> None:
    """Check segments marked by ear against the truth, frame by frame, tolerantly.

    Parameters
    ----------
    segments : pandas.DataFrame or list of (start, end, label)
        What `Player.segments` gives, or the same as a list; times in seconds.
    sounding : sequence of (float, float, "sing")
        From when to when the robot sounds, in seconds; pauses up to `PAUSE_S` count as singing.
    song_s : float
        Length of the song in seconds.
    """
    if is_open(segments):
        return
    try:
        rows = segments.itertuples(index=False, name=None) if hasattr(segments, "itertuples") else segments
        marked = merge_segments((float(start), float(end), "sing") for start, end, *_ in rows)
    except (TypeError, ValueError):
        print('Not yet. Give the table itself: your_editor.segments("robot sings").')
        return
    if not marked:
        print("Not yet. There is no segment at all, and the robot sings.")
        return
    truth = merge_segments(sounding, PAUSE_S)
    frames = round(song_s / FRAME_S)
    given, wanted = (frame_labels(rows, FRAME_S, frames) for rows in (marked, truth))
    equal = float(np.mean(given == wanted))
    if equal >= EQUAL:
        edges = [edge for start, end, _ in marked for edge in (start, end)]
        near = [min(abs(edge - other) for start, end, _ in truth for other in (start, end)) for edge in edges]
        close = sum(distance <= EDGE_S for distance in near)
        print(
            f"Right. {equal:.0%} of the frames are as in the truth, and {close} of your {len(edges)} edges are within "
            "a quarter of a second."
        )
        return
    missed, invented = np.mean((wanted == 1) & (given == 0)), np.mean((wanted == 0) & (given == 1))
    wrong = wanted != given
    # The longest stretch that is wrong: there listening again pays most.
    edges = np.flatnonzero(np.diff(wrong, prepend=False, append=False)).reshape(-1, 2)
    start, end = edges[np.argmax(edges[:, 1] - edges[:, 0])] * FRAME_S
    what = (
        "the robot sings where you have marked nothing"
        if wanted[int(start / FRAME_S + 0.5)]
        else "you have marked what the robot does not sing; is it the solo, with its gliding lines?"
    )
    more = "More is missing than there is too much" if missed > invented else "There is too much rather than too little"
    print(
        f"Not yet. {equal:.0%} of the frames are as in the truth, {EQUAL:.0%} are asked for. {more}. "
        f"Listen to {start:.1f}-{end:.1f} s once more: {what}" + ("" if what.endswith("?") else ".")
    )


def check_11b_kappa(kappa: float | None) -> None:
    """Check Cohen's kappa of two annotators who agree in eight of ten frames, each with eight ones."""
    if is_open(kappa):
        return
    if abs(kappa - 0.8) < 0.005:
        print("Not yet. That is the share of equal frames. How much of it would chance have given them?")
    elif abs(kappa - 0.12) < 0.005:
        print("Not yet. You have subtracted chance; now divide by the most that was left to win, 1 minus chance.")
    elif abs(kappa - (0.8 - 0.64) / 0.36) < 0.005:
        print("Not yet. Chance gives them 1 and 1 in 64 % of the frames; and 0 and 0?")
    elif abs(kappa - 0.6) < 0.005:
        print("Not yet. You took one half for chance. But both say 1 in eight of ten frames.")
    else:
        say(
            abs(kappa - 0.375) < 0.005,
            "0.8 were equal, 0.68 by chance: of the 0.32 that were left to win they have 0.12.",
            f"{kappa:.3f}: in how many frames are they equal, and in how many would two people be who say 1 in eight "
            "of ten frames, without listening?",
        )


def check_11b_small(
    networks: "Sequence[keras.Model] | None",
    verdict: str | None,
    right: Sequence[np.ndarray] | None,
    ours: np.ndarray,
    groups: Sequence[str],
    majority: float,
) -> None:
    """Check three small networks, the size of the exported file, their score, and the verdict on what they lose.

    Parameters
    ----------
    networks : sequence of keras.Model
        One for each of three seeds.
    verdict : str
        One of `VERDICTS`.
    right : sequence of bool array (clips,)
        For each network which test clips it named rightly.
    ours : bool array (clips,)
        The same of the notebook's network.
    groups : sequence of str (clips,)
        The artists.
    majority : float
        The baseline.
    """
    if is_open(networks, verdict):
        return
    import keras

    if not isinstance(networks, (list, tuple)) or len(networks) != 3:
        print("Not yet. Give a list of three networks, for seeds 0, 1 and 2: make it before the loop, append in it.")
        return
    if not all(isinstance(network, keras.Model) for network in networks):
        print("Not yet. The list must hold the trained networks themselves.")
        return
    shapes = {(tuple(network.input_shape), tuple(network.output_shape)) for network in networks}
    if shapes != {((None, WINDOW, 1), (None, 3))}:
        print(f"Not yet. Each takes (samples, 1) = ({WINDOW}, 1) and gives 3 probabilities; yours: {shapes.pop()}.")
        return
    try:
        kilobytes = _exported_kb(networks[0])
    except Exception as error:  # whatever is wrong with it, a check does not raise
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        print(f"Not yet. It cannot be exported: {first[:200]}")
        return
    if kilobytes > SMALLEST_KB:
        print(
            f"Not yet. In half precision the file has {kilobytes:.0f} kB, and {SMALLEST_KB} are allowed: "
            f"{networks[0].count_params():,} weights. Arrays of fewer than 8192 numbers stay in single precision."
        )
        return
    if len({network.get_weights()[-2].tobytes() for network in networks}) < len(networks):
        print("Not yet. Two of your networks have the same weights: build a new one for each seed, inside the loop.")
        return
    scores = [float(np.mean(one)) for one in right]
    shown = ", ".join(f"{score:.2f}" for score in scores)
    if np.mean(scores) < majority + 0.15:
        print(
            f"Not yet. It fits ({kilobytes:.0f} kB), but on the test clips the seeds have {shown}, and always the same "
            f"genre has {majority:.2f}. Did it train for long enough?"
        )
        return
    low, high = group_interval(np.mean(right, axis=0) - ours, groups)
    expected = VERDICTS[high < 0]
    where = f"the difference lies between {100 * low:+.0f} and {100 * high:+.0f} points"
    if verdict not in VERDICTS:
        print(f"Not yet. The verdict is one of: {', '.join(VERDICTS)}.")
    else:
        say(
            verdict == expected,
            f"{kilobytes:.0f} kB; seeds: {shown}, ours {np.mean(ours):.2f}. Over artists, {where}: {expected}.",
            f"The networks are fine, the verdict is not. Over artists, {where}. Is zero inside?",
        )


def _exported_kb(network: "keras.Model") -> float:
    """Return the size of the network's file in half precision, in kB."""
    from dl4mir_utils.models.lite import Signature, to_tflite

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.tflite"
        to_tflite(path, {"window": Signature(network, {"audio": (1, WINDOW, 1)}, ["genre"])}, labels=["a", "b", "c"])
        return path.stat().st_size / 1000
