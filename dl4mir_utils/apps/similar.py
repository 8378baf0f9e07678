"""What makes two sounds resemble each other: the embeddings of a pretrained tagger, and how they are compared.

A sound's vector is the mean of musicnn's last layer before the tags (Million Song Dataset) over a few windows spread
over the sound. That layer ends in a batch normalisation, so its values are standardised already, and by more music than
any library holds: to standardise them by the library instead finds no better neighbours (of the course's own clips,
0.53 of the first five are of the same soundtrack either way), finds worse ones in a small library, and would change all
vectors with every new file.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dl4mir_utils.apps.lite import network
from dl4mir_utils.decoding import NO_SOUND, SILENCE, file_duration, load_excerpts
from dl4mir_utils.errors import AudioDecodeError, BadArgumentError
from dl4mir_utils.file_tags import in_one_spelling, read_tags

NETWORK = "musicnn_msd"
# Embedded of each, at most. Measured on 30 pieces of 1.5 to 4 minutes: the mean over ten windows has a cosine of 0.99
# to the mean over all, 0.97 at worst (five: 0.92, one: 0.48), and 8 of the same 10 neighbours; with twenty, 9 of 10.
WINDOWS = 10
NOTHING = 1e-3  # length of a sum of unit vectors that points nowhere


def file_embedding(path: Path, threads: int = 1) -> np.ndarray:
    """Return what a tagger knows of a file before it names tags: the mean over ten windows spread over the file.

    Parameters
    ----------
    path : Path
        Any format that `dl4mir_utils.decoding` reads, of any length.
    threads : int
        How many cores it may use.

    Returns
    -------
    float32 array (200,)

    Raises
    ------
    AudioDecodeError
        The file is missing, is not audio, or holds no sound.
    BadArgumentError
        The windows hold silence only, or samples that are no numbers.
    """
    tagger = network(NETWORK, threads)
    windows = excerpts(path, tagger.card["sample_rate_hz"], tagger.card["window_samples"])
    answers = [tagger("window", audio=window[np.newaxis, :, np.newaxis])["embedding"][0] for window in windows]
    return np.mean(answers, axis=0)


def excerpts(path: Path, rate: int, length: int, most: int = WINDOWS) -> np.ndarray:
    """Return windows spread over a file: of ten, each is in the middle of a tenth of the file.

    There are fewer if they would overlap; a file that is shorter than one gets silence added. Only they are decoded,
    where the format allows.

    Parameters
    ----------
    path : Path
    rate : int
        Sample rate of the windows, in Hz.
    length : int
        Of a window, in samples.
    most : int
        How many windows.

    Returns
    -------
    float32 array (windows, length)
        In [-1, 1].

    Raises
    ------
    AudioDecodeError
        The file is missing, is not audio, or holds no sound.
    BadArgumentError
        The windows hold silence only, or samples that are no numbers.
    """
    duration_s, window_s = file_duration(path), length / rate
    count = max(1, min(most, math.floor(duration_s / window_s)))
    starts_s = [max(0.0, (number + 0.5) * duration_s / count - window_s / 2) for number in range(count)]
    audio = load_excerpts(path, rate, starts_s, min(window_s, duration_s))[:, :length]
    if not audio.size:  # a few samples, of which none is left at that rate
        raise AudioDecodeError({str(path): NO_SOUND})
    peak = np.abs(audio).max()
    if not np.isfinite(peak):
        raise BadArgumentError("holds samples that are no finite numbers")
    if peak < SILENCE:
        raise BadArgumentError("holds only silence: there is nothing to hear")
    return np.pad(audio, ((0, 0), (0, length - audio.shape[1])))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (..., values) at length 1: their products are cosines."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def direction(
    seeds: Sequence[np.ndarray], plus: Sequence[np.ndarray] = (), minus: Sequence[np.ndarray] = ()
) -> np.ndarray:
    """Return where to look: the mean of the seeds, plus some vectors, minus others; all of length 1, the sum too.

    Adding and subtracting embeddings to ask for "this, but more like that" goes back to word vectors (Mikolov et al.,
    2013, arXiv:1301.3781).

    Raises
    ------
    BadArgumentError
        Nothing is left.
    """
    target = np.mean(seeds, axis=0) + np.sum([np.zeros_like(seeds[0]), *plus], axis=0)
    target = target - np.sum([np.zeros_like(seeds[0]), *minus], axis=0)
    if np.linalg.norm(target) < NOTHING:
        raise BadArgumentError("What is taken away is all that was there: name other songs for --minus.")
    return unit(target)


def between(first: np.ndarray, last: np.ndarray, count: int) -> np.ndarray:
    """Return `count` points (count, values) on the arc between two unit vectors, ends left out, at even distances.

    Raises
    ------
    BadArgumentError
        The two are opposite: every arc is as short as any other.
    """
    angle = math.acos(float(np.clip(first @ last, -1, 1)))
    if math.sin(angle) < NOTHING and angle > 1:
        raise BadArgumentError("The two songs are as unlike as can be; no path leads from one to the other.")
    share = np.arange(1, count + 1)[:, np.newaxis] / (count + 1)
    if math.sin(angle) < NOTHING:  # the same song: every point is there
        return np.repeat(first[np.newaxis], count, axis=0)
    return (np.sin((1 - share) * angle) * first + np.sin(share * angle) * last) / math.sin(angle)


def artist(path: Path) -> str:
    """Return the artist that a file's own tags name, in small letters; empty if they name none."""
    return in_one_spelling(read_tags(path).artist)
