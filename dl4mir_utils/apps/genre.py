"""Name the genre of whole files: a network answers to windows spread over a file, and their answers are put to a vote.

The voting over slices of a song is that of the article which goes with despoisj's DeepAudioClassification (2016).
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dl4mir_utils.apps.lite import network, network_card, network_file
from dl4mir_utils.apps.similar import excerpts
from dl4mir_utils.decoding import SILENCE
from dl4mir_utils.errors import BadArgumentError

UNSURE = "unsure"
COURSE_NETWORK = "genre_mini"
EMBEDDING = "musicnn_msd"
# Heard of each file, at most: all of a song of three minutes.
WINDOWS = 60
Voting = Literal["mean", "majority", "weighted"]


def vote(probabilities: np.ndarray, how: Voting = "mean") -> np.ndarray:
    """Put the answers to windows of a song to a vote.

    Parameters
    ----------
    probabilities : float array (windows, genres)
        What a network says of each window; each row sums to one.
    how : {"mean", "majority", "weighted"}
        "mean": the mean over the windows. "majority": each window has one vote, for its most likely genre. "weighted":
        the mean, in which a window counts as much as it is sure: from 1, where one genre alone is possible, to 0, where
        all are as likely (1 - entropy / log of the number of genres).

    Returns
    -------
    float64 array (genres,)
        Each genre's share; they sum to one.

    Raises
    ------
    BadArgumentError
        There is no window, or `how` is no such word.
    """
    rows = np.asarray(probabilities, np.float64)
    if rows.ndim != 2 or not len(rows):
        raise BadArgumentError(f"probabilities has the shape {rows.shape}; it must be (windows, genres), one at least.")
    if how == "mean":
        return rows.mean(axis=0)
    if how == "majority":
        return np.bincount(rows.argmax(axis=1), minlength=rows.shape[1]) / len(rows)
    if how == "weighted":
        entropy = -(rows * np.log(np.maximum(rows, 1e-12))).sum(axis=1)
        weights = np.maximum(1 - entropy / np.log(rows.shape[1]), 1e-9)  # also where no window is sure of anything
        return weights @ rows / weights.sum()
    raise BadArgumentError(f"how is {how!r}; it must be 'mean', 'majority' or 'weighted'.")


def answer(shares: np.ndarray, labels: Sequence[str], unsure_below: float = 0.0) -> str:
    """Return the genre of the largest share, or "unsure" if that share is below `unsure_below`.

    Parameters
    ----------
    shares : float array (genres,)
        What `vote` returns.
    labels : sequence of str
        The genres.
    unsure_below : float
        Such as a card's `song_unsure_below`.
    """
    return labels[int(np.argmax(shares))] if np.max(shares) >= unsure_below else UNSURE


def song_unsure_below(card: dict[str, Any]) -> float:
    """Return below which share of a whole song a network's answer is "unsure"; 0 if its card names none."""
    return card.get("song_unsure_below", card.get("unsure_below", 0.0))


def checked_network(model: str | Path) -> dict[str, Any]:
    """Return a network's card, if it can be asked for the genre.

    Parameters
    ----------
    model : str or Path
        "genre_mini", or a .tflite file with its card (.json) beside it, as `dl4mir train` writes them.

    Raises
    ------
    DataNotFoundError
        The network or its card is not there.
    BadArgumentError
        It answers another question, its card is of another file, or the file is damaged.
    """
    file = network_file(model)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BadArgumentError(f"{file} cannot be read: {error.strerror}.") from error
    try:
        card = network_card(model)
    except ValueError as error:
        raise BadArgumentError(f"{file.with_suffix('.json')} is damaged: it is no JSON.") from error
    try:
        use, labels = card["signatures"]["window"], card["labels"]
        (_, samples, _), (_, answers) = use["inputs"]["audio"], use["outputs"]["genre"]
        right = len(labels) == answers >= 2 and samples > 0 and card["sample_rate_hz"] > 0
        right = right and all(isinstance(label, str) for label in labels) and 0 <= song_unsure_below(card) <= 1
    except (KeyError, TypeError, ValueError):
        right = False
    if not right:
        raise BadArgumentError(
            f"{file.with_suffix('.json')} is not the card of a network of genres; `dl4mir train` writes such networks."
        )
    if card.get("sha256") not in (None, hashlib.sha256(content).hexdigest()):
        raise BadArgumentError(f"{file} and {file.with_suffix('.json')} do not belong together: copy both once more.")
    try:
        network(model)
    except (ValueError, RuntimeError) as error:
        raise BadArgumentError(f"{file} is no network that LiteRT can run: the file is damaged.") from error
    return card


def file_windows(path: Path, model: str | Path = COURSE_NETWORK, threads: int = 1) -> np.ndarray:
    """Return how likely each genre is in windows spread over a file; silent ones are left out.

    Parameters
    ----------
    path : Path
        Any format that `dl4mir_utils.decoding` reads, of any length.
    model : str or Path
        As for `checked_network`.
    threads : int
        How many cores it may use.

    Returns
    -------
    float32 array (windows, genres)
        Of 60 windows at most, none of which overlaps with another.

    Raises
    ------
    AudioDecodeError
        The file is missing, is not audio, or holds no sound.
    BadArgumentError
        The windows hold silence only, or samples that are no numbers.
    """
    asked = network(model, threads)
    _, length, _ = asked.card["signatures"]["window"]["inputs"]["audio"]
    heard = loud_excerpts(path, asked.card["sample_rate_hz"], length, asked.card.get("silent_below", SILENCE))
    return np.stack([asked("window", audio=window[np.newaxis, :, np.newaxis])["genre"][0] for window in heard])


def loud_excerpts(path: Path, rate: int, length: int, silent_below: float = SILENCE) -> np.ndarray:
    """Return those of the windows spread over a file, 60 at most, whose peak reaches `silent_below`.

    Parameters, return value and errors are those of `dl4mir_utils.apps.similar.excerpts`.
    """
    found = excerpts(path, rate, length, WINDOWS)
    loud = found[np.abs(found).max(axis=1) >= silent_below]
    if not len(loud):
        raise BadArgumentError("holds only silence: there is nothing to hear")
    return loud


def file_genre(path: Path, model: str | Path = COURSE_NETWORK, threads: int = 1) -> np.ndarray:
    """Return how likely each genre is in a whole file: the mean over the windows of `file_windows`.

    Parameters and errors are those of `file_windows`.

    Returns
    -------
    float64 array (genres,)
        In the order of the labels in the network's card.
    """
    return vote(file_windows(path, model, threads))


def file_features(path: Path, threads: int, log_mel: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return what `dl4mir train` learns from and compares with, of the windows that `file_windows` would hear.

    Parameters
    ----------
    path : Path
    threads : int
        How many cores it may use.
    log_mel : Path
        A network that gives the mean of a window's log-mel over time, and the mean of its squares.

    Returns
    -------
    float32 array (windows, 200)
        musicnn's embedding of each window, as `dl4mir similar` has it.
    float32 array (2, bands)
        Mean and standard deviation of the log-mel, over all windows.

    Raises
    ------
    AudioDecodeError, BadArgumentError
        As `file_windows`.
    """
    tagger, spectrogram = network(EMBEDDING, threads), network(log_mel, threads)
    heard = loud_excerpts(path, tagger.card["sample_rate_hz"], tagger.card["window_samples"])
    given = [window[np.newaxis, :, np.newaxis] for window in heard]
    embedding = np.concatenate([tagger("window", audio=window)["embedding"] for window in given])
    bands = [spectrogram("window", audio=window) for window in given]
    mean, squares = (np.mean([of_one[name][0] for of_one in bands], axis=0) for name in ("mean", "squares"))
    return embedding, np.stack([mean, np.sqrt(np.maximum(squares - mean**2, 0))])
