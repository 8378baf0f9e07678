"""Find singing in whole songs with any network that gives a probability per frame."""

import math

import keras
import numpy as np

from dl4mir_utils.errors import BadArgumentError
from dl4mir_utils.inference import as_graph, checked_audio
from dl4mir_utils.metrics import checked_frames
from dl4mir_utils.segments import smooth, to_segments

__all__ = ["choose_threshold", "smooth", "sung_probability", "to_segments"]

RATE = 16000
GRID = 8 * 256  # samples: blocks start on its multiples, so that pooling by up to 8 windows falls as in one pass
BLOCK_S = 40  # what a network is given at once, without the context
CONTEXT_S = 8  # more than convolutions see; LSTMs may remember longer


def sung_probability(audio: np.ndarray, model: keras.Model, hop_s: float) -> np.ndarray:
    """Return how likely each frame of a song is sung.

    The network gets the song in blocks of 40 s, with eight seconds before and after them, for which its
    answer is thrown away. Thus a song of any length takes little memory. A network that sees less than eight
    seconds back and ahead answers as it would to the whole song; one that sees more, or measures loudness
    relative to all it gets (`LogMel(dynamic_range_db=80)`), nearly so: of the course's own detector, whose LSTMs
    remember longer, 0.7 % of the decisions on 200 s of mixes were others. Songs up to 56 s are one block.

    Parameters
    ----------
    audio : float array (samples,)
        One channel at 16 kHz in [-1, 1], as `load_audio` gives it. Silence is added up to a whole multiple of 0.128 s
        and of the frame.
    model : keras.Model
        Takes audio (1, samples, 1) of any length. Gives (1, frames), (1, frames, 1) or, as a softmax over
        "nosing" and "sing", (1, frames, 2): one frame for every started `hop_s`.
    hop_s : float
        Length of a frame in seconds: a whole number of samples.

    Returns
    -------
    float32 array (frames,)
        frames = ceil(samples / 16000 / hop_s). Frame `i` starts at `i * hop_s` seconds.

    Raises
    ------
    BadArgumentError
        The audio is empty, not one-dimensional or not made of finite floats, the model takes audio of one
        length only, or its frames are not `hop_s` long.
    """
    audio = checked_audio(audio, RATE)
    hop = round(hop_s * RATE)
    if hop < 1 or abs(hop_s * RATE - hop) > 1e-6:
        raise BadArgumentError(f"hop_s is {hop_s}; it must be a whole number of samples at 16 kHz, such as 0.016.")
    if model.input_shape[1] is not None:
        raise BadArgumentError(
            f"The model takes audio of {model.input_shape[1]} samples only. Build it with keras.Input((None, 1))."
        )
    grid = math.lcm(hop, GRID)
    block, context = (math.ceil(seconds * RATE / grid) * grid for seconds in (BLOCK_S, CONTEXT_S))
    samples = math.ceil(len(audio) / grid) * grid
    window = min(samples, block + 2 * context)
    frames = np.empty(samples // hop, np.float32)
    answer = as_graph(model)
    for start in range(0, max(1, samples - 2 * context), block):
        # The first window has no context before, the last none after it: they begin and end with the song.
        first = min(start, samples - window)
        part = audio[first : first + window].astype(np.float32)
        given = answer(np.pad(part, (0, window - len(part)))[np.newaxis, :, np.newaxis])
        kept = _one_row(given.numpy(), window // hop, hop_s)
        cut = context if first else 0
        frames[(first + cut) // hop : (first + window) // hop] = kept[cut // hop :]
    return frames[: math.ceil(len(audio) / hop)]


def _one_row(answer: np.ndarray, frames: int, hop_s: float) -> np.ndarray:
    if answer.shape == (1, frames, 2):
        return answer[0, :, 1]
    if answer.shape in {(1, frames), (1, frames, 1)}:
        return answer.reshape(-1)
    raise BadArgumentError(
        f"The model answered with shape {answer.shape} to {frames} frames of {hop_s:g} s; it must be (1, {frames}), "
        f"(1, {frames}, 1) or (1, {frames}, 2). Compare hop_s with the model's hop times its pooling in time, and use "
        'padding="same" and LogMel(pad_end=True), which lose no frame.'
    )


def choose_threshold(truth: np.ndarray, probability: np.ndarray) -> float:
    """Return the threshold, 0.05 to 0.95, at which most frames are right; the middle one of several equally good.

    Schlüter and Grill (ISMIR 2015) choose theirs so, too, from the validation songs.

    Parameters
    ----------
    truth : int or bool array (frames,)
        1 where sung, otherwise 0: of validation songs, never of those that will be tested.
    probability : float array (frames,)
        What the detector says, smoothed if it will be.

    Raises
    ------
    BadArgumentError
        As `dl4mir_utils.metrics.frame_scores`.
    """
    truth, probability = checked_frames(truth, probability)
    grid = np.arange(5, 96) / 100
    right = np.array([np.mean((probability >= threshold) == truth) for threshold in grid])
    best = grid[right == right.max()]
    return float(best[len(best) // 2])
