"""Checks of notebook 11a."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dl4mir_utils.checks.answers import is_open, say
from dl4mir_utils.data import ClipTable

if TYPE_CHECKING:
    import keras

# What `mystery_change` plays: the clip before the change, the one after it, and when it comes.
BEFORE, AFTER, CHANGE_S = "grieg_01_1", "muldjord_03_1", 7.4
WEIGHTS = 25_000  # that the reader's network may have
LONGEST = 20  # frames of one of its moments
THIN_DENSE, THIN_NETWORK = 35 * 8192 + 8192, 4917 + 174_105 + 40_915 + 35 * 8192 + 8192 + 81_930
VERDICTS = ("every seed", "some seeds", "no seed")
WAYS = ("product", "mean", "majority", "weighted", "cannot tell")


def check_11a_thin(thin_dense: int | None, thin_network: int | None) -> None:
    """Check the weights of Lachmish's network with a global average before its dense layer."""
    if is_open(thin_dense, thin_network):
        return
    if thin_dense == 35 * 8192:
        print(f"Not yet. {thin_dense} are the weights alone: add a bias for each of the 8192 outputs.")
    elif thin_dense != THIN_DENSE:
        print("Not yet. After the average a clip has 35 numbers: how many weights lead from 35 numbers to 8192?")
    else:
        say(
            thin_network == THIN_NETWORK,
            f"{THIN_DENSE:,} in the dense layer and {THIN_NETWORK:,} in all, less than a hundredth of the original's.",
            f"The dense layer is right; {thin_network} in all is not. Add the three convolutions (219 937) and the "
            "last layer (8192 × 10 + 10); the average itself has no weights.",
        )


def mystery_change(data: ClipTable) -> np.ndarray:
    """Return seventeen seconds in which the music changes once: float32 (samples,) at 16 kHz.

    Parameters
    ----------
    data : ClipTable
        `load("mini/genre")`.
    """
    return np.concatenate([data.audio(BEFORE)[: round(CHANGE_S * 16000)], data.audio(AFTER)[: round(9.6 * 16000)]])


def check_11a_change(heard_s: float | None, pie_11_s: float | None, pie_41_s: float | None) -> None:
    """Check when a piece gives way to another, by ear and by two pies."""
    if is_open(heard_s, pie_11_s, pie_41_s):
        return
    if abs(heard_s - CHANGE_S) > 0.5:
        where = "earlier" if heard_s > CHANGE_S else "later"
        print(f"Not yet. By ear {heard_s:g} s: the change is {where}. Which instrument is the last of the first piece?")
    elif not CHANGE_S - 1.5 <= pie_11_s <= CHANGE_S + 3:
        print(
            f"Not yet. The ear is right, but a pie of 11 steps should change near it, not at {pie_11_s:g} s. A row of "
            "the smoothed shares is 0.1 s; look for the last time at which the leader is not the last leader."
        )
    else:
        say(
            pie_11_s < pie_41_s <= CHANGE_S + 8,
            f"The music changes at {CHANGE_S} s. The pie of 11 steps is {pie_11_s - CHANGE_S:+.1f} s away from it, "
            f"that of 41 steps {pie_41_s - CHANGE_S:+.1f} s.",
            f"With 41 steps the pie is slower: {pie_41_s:g} s should come after {pie_11_s:g} s. Is the smoothing done "
            "from the unsmoothed moments each time?",
        )


def check_11a_product(
    score: float | None,
    best_way: str | None,
    slice_answers: np.ndarray,
    track_of_slice: np.ndarray,
    songs: Sequence[str],
    genres: np.ndarray,
) -> None:
    """Check the share of songs that a product of the slices' probabilities names rightly, and the verdict.

    Parameters
    ----------
    score : float
        Share of the songs.
    best_way : str
        One of `WAYS`.
    slice_answers : float array (slices, genres)
    track_of_slice : str array (slices,)
    songs : sequence of str
        Tracks, in the order of `genres`.
    genres : int array (songs,)
    """
    if is_open(score, best_way):
        return
    logs = np.log(np.maximum(slice_answers, 1e-30))
    votes = [logs[track_of_slice == song].sum(axis=0).argmax() for song in songs]
    expected = float(np.mean(np.array(votes) == genres))
    mean = float(np.mean([slice_answers[track_of_slice == song].sum(axis=0).argmax() for song in songs] == genres))
    if best_way not in WAYS:
        print(f"Not yet. The verdict is one of: {', '.join(WAYS)}.")
    elif abs(score - expected) > 1e-6:
        hint = "This is the score of the mean." if abs(score - mean) < 1e-6 else "Sum the logarithms over the slices."
        print(f"Not yet. {score:.3f}: {hint} For each song the genre with the largest product wins.")
    else:
        say(
            best_way == "cannot tell",
            f"{expected:.3f} of the songs, and {mean:.3f} with the mean. So few songs more or less, by so few artists, "
            "do not tell which way is better for others.",
            f"The score is right. But would {best_way!r} be better with other artists, too, and from another random "
            "start? Subtract song by song, let group_interval draw other artists, and look at the study's five starts.",
        )


def check_11a_pie(
    networks: "Sequence[keras.Model] | None",
    verdict: str | None,
    pictures: np.ndarray,
    genres: np.ndarray,
    baseline: float,
) -> None:
    """Check networks that answer at every moment, one for each of three seeds, and the verdict on them.

    Parameters
    ----------
    networks : sequence of keras.Model
        Trained, one for each seed.
    verdict : str
        One of `VERDICTS`: how many of them beat the baseline.
    pictures : float array (clips, frames, 128)
        Of the test, standardised.
    genres : int array (clips,)
    baseline : float
        Accuracy of the linear classifier on the same clips.
    """
    if is_open(networks, verdict):
        return
    import keras

    if not isinstance(networks, (list, tuple)) or len(networks) != 3:
        print("Not yet. Give a list of three trained networks, one for each of the seeds 0, 1 and 2.")
        return
    if not all(isinstance(network, keras.Model) for network in networks):
        print("Not yet. The list must hold the networks themselves.")
        return
    for network in networks:
        if network.count_params() > WEIGHTS:
            print(f"Not yet. It has {network.count_params()} weights, and {WEIGHTS} are allowed.")
            return
        if "moments" not in [layer.name for layer in network.layers]:
            print('Not yet. No layer is called "moments": give its name to the layer that decides at each moment.')
            return
    if len({b"".join(array.tobytes() for array in network.get_weights()) for network in networks}) < len(networks):
        print("Not yet. Two of your networks have the same weights: build a new one for each seed, inside the loop.")
        return
    scores = []
    try:
        moments = keras.Model(networks[0].input, networks[0].get_layer("moments").output)(pictures[:2])
        for network in networks:
            answers = np.asarray(network.predict(pictures, verbose=0))
            scores.append(float(np.mean(answers.argmax(axis=1) == genres)))
    except Exception as error:  # whatever is wrong with it, a check does not raise
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        print(f"Not yet. It does not take clips of the shape {pictures.shape[1:]}: {first[:160]}")
        return
    if len(moments.shape) != 3 or moments.shape[2] != 3 or pictures.shape[1] / moments.shape[1] > LONGEST + 1:
        print(
            f'Not yet. "moments" gives {tuple(moments.shape[1:])} for {pictures.shape[1]} frames. It should give three '
            f"numbers at each moment, and a moment should have at most {LONGEST} frames: pool less along time."
        )
        return
    if answers.shape != (len(pictures), 3) or abs(answers.sum(axis=1) - 1).max() > 1e-3:
        print(f"Not yet. For a clip it gives {answers.shape[1:]}; it should give three probabilities that sum to one.")
        return
    better = sum(score > baseline for score in scores)
    expected = "every seed" if better == len(scores) else "some seeds" if better else "no seed"
    shown = ", ".join(f"{score:.2f}" for score in scores)
    if max(scores) < 0.5:
        print(f"Not yet. The seeds have {shown} on new artists, little more than guessing. Were they all trained?")
    elif verdict not in VERDICTS:
        print(f"Not yet. The verdict is one of: {', '.join(VERDICTS)}.")
    else:
        say(
            verdict == expected,
            f"{networks[0].count_params()} weights, moments of {pictures.shape[1] / moments.shape[1]:.0f} frames, and "
            f"{shown} beside {baseline:.2f} of the linear classifier. Five artists are in this fold: with others the "
            "verdict may differ.",
            f"The network is fine. The seeds have {shown}, and the linear classifier has {baseline:.2f}: for how many "
            "of them is the score higher?",
        )


def check_11a_coverage(
    coverage: float | None,
    right: float | None,
    valid: tuple[Sequence[np.ndarray], Sequence[np.ndarray]],
    answers: np.ndarray,
    genres: np.ndarray,
    folds: np.ndarray,
) -> None:
    """Check how many test clips get an answer, and how many of these are right, with thresholds for 95 %.

    Parameters
    ----------
    coverage, right : float
        Shares between 0 and 1.
    valid : (sequence of float arrays (clips, genres), sequence of int arrays (clips,))
        For each test fold the calibrated probabilities of its validation clips, and their genres.
    answers : float array (clips, genres)
        Calibrated probabilities of all clips, each by the network that did not hear its artist.
    genres, folds : int arrays (clips,)
    """
    if is_open(coverage, right):
        return
    is_right = answers.argmax(axis=1) == genres
    usual, strict = (_answered(wanted, valid, answers, folds) for wanted in (0.85, 0.95))
    expected = float(is_right[strict].mean()) if strict.any() else np.nan
    if abs(coverage - strict.mean()) > 1e-6:
        hint = "each fold has its own threshold, from its own validation clips."
        if abs(coverage - usual.mean()) < 1e-6:
            hint = "this is the coverage for 85 of 100. Ask lowest_threshold for 0.95."
        print(f"Not yet. {coverage:.3f} of the clips: {hint}")
    else:
        say(
            abs(right - expected) < 1e-6,
            f"It answers for {coverage:.0%} of the clips, and {right:.0%} of the answers are right; 95 % were wanted.",
            f"The coverage is right; {right:.3f} is not. Count among the clips that got an answer only.",
        )


def _answered(
    wanted: float, valid: tuple[Sequence[np.ndarray], Sequence[np.ndarray]], answers: np.ndarray, folds: np.ndarray
) -> np.ndarray:
    """Return which clips get an answer, when each fold has the lowest threshold that is good on its validation."""
    told = np.zeros(len(answers), bool)
    for fold, (on_valid, labels) in enumerate(zip(*valid, strict=True)):
        sure, is_right = on_valid.max(axis=1), on_valid.argmax(axis=1) == labels
        good = [
            threshold
            for threshold in np.arange(0.34, 0.99, 0.01)
            if (sure >= threshold).any() and is_right[sure >= threshold].mean() >= wanted
        ]
        is_test = folds == fold
        told[is_test] = answers[is_test].max(axis=1) >= (good[0] if good else 0.99)
    return told
