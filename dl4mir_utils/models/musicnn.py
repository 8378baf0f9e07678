"""musicnn, published music taggers (Pons and Serra, 2019, arXiv 1909.06654), and what they say of audio of any length.

The weights are the authors' (ISC licence), trained on MagnaTagATune ("mtt", 50 tags) or on the Million Song Dataset
("msd", 50 others). In `musicnn`, two kinds of filters look at a log-mel spectrogram, tall ones for timbre and long ones
for rhythm; three residual layers follow. `musicnn_vgg` is the plain network that the authors compare it with.

    model = musicnn("msd")
    tags = taggram(load_audio("song.mp3"), model).mean(axis=0)
    print(sorted(zip(tags, MSD_TAGS))[-3:])
"""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from numpy.lib.stride_tricks import sliding_window_view

from dl4mir_utils.errors import BadArgumentError
from dl4mir_utils.inference import as_graph, checked_audio
from dl4mir_utils.layers import LogMel
from dl4mir_utils.models.weights import load_weights
from dl4mir_utils.paths import course_file

RATE, HOP, WINDOW = 16000, 256, 512  # Hz, samples, samples
MELS = 96
PATCH = 187  # frames that the taggers learned from: 3 s
EXCERPT = (PATCH - 1) * HOP + WINDOW  # samples that those frames are made of: 3.008 s
BATCH = 4  # excerpts at once: more are no faster (benchmarks/tagging.py)
FEATURES = 753  # per frame
TrainedOn = Literal["mtt", "msd"]
# fmt: off
MTT_TAGS = (
    "guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano", "ambient",
    "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male", "singing", "vocals", "no vocals",
    "harpsichord", "loud", "quiet", "flute", "woman", "male vocal", "no vocal", "pop", "soft", "sitar", "solo",
    "man", "classic", "choir", "voice", "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello",
    "no voice", "weird", "country", "metal", "female voice", "choral",
)
MSD_TAGS = (
    "rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s", "alternative rock",
    "jazz", "beautiful", "metal", "chillout", "male vocalists", "classic rock", "soul", "indie rock", "Mellow",
    "electronica", "80s", "folk", "90s", "chill", "instrumental", "punk", "oldies", "blues", "hard rock", "ambient",
    "acoustic", "experimental", "female vocalist", "guitar", "Hip-Hop", "70s", "party", "country", "easy listening",
    "sexy", "catchy", "funk", "electro", "heavy metal", "Progressive rock", "60s", "rnb", "indie pop", "sad", "House",
    "happy",
)
# fmt: on


def musicnn(trained_on: TrainedOn = "mtt") -> keras.Model:
    """Return the tagger: 792 079 weights.

    Parameters
    ----------
    trained_on : {"mtt", "msd"}
        Which tags: `MTT_TAGS` (ROC-AUC 0.907, PR-AUC 0.383 on their test set, the authors say) or `MSD_TAGS`
        (0.880, 0.289).

    Returns
    -------
    keras.Model
        From audio, float32 (batch, samples, 1) in [-1, 1] at 16 kHz, to the probabilities of the tags,
        float32 (batch, 50). It learned from excerpts of 3 s (48 128 samples: 187 frames): `taggram` gives it such.
        The layers "mean_pool", "max_pool" (753 values) and "penultimate" (200) are what `embeddings` returns.

    Raises
    ------
    BadArgumentError
        There is no such training set.
    DataNotFoundError
        The weights are not there.
    """
    model = build_tagger(musicnn_tags, "musicnn", None)
    load_weights(model, _weights("musicnn", trained_on))
    return model


def musicnn_vgg(trained_on: TrainedOn = "mtt") -> keras.Model:
    """Return the tagger of 3 by 3 filters that its authors compare musicnn with: 607 030 weights.

    Parameters
    ----------
    trained_on : {"mtt", "msd"}
        As for `musicnn`; ROC-AUC 0.903 and 0.877, PR-AUC 0.382 and 0.282, the authors say.

    Returns
    -------
    keras.Model
        As `musicnn`, but for audio of exactly 48 128 samples. Its only embedding is "penultimate" (256 values).

    Raises
    ------
    BadArgumentError
        There is no such training set.
    DataNotFoundError
        The weights are not there.
    """
    path = _weights("musicnn_vgg", trained_on)
    model = build_tagger(partial(vgg_tags, trained_on=trained_on), "musicnn_vgg", EXCERPT)
    load_weights(model, path)
    return model


def taggram(audio: np.ndarray, model: keras.Model, hop_s: float = 1.0, sample_rate: int = RATE) -> np.ndarray:
    """Return how likely each tag is in each window of three seconds.

    Windows are cut out of the spectrogram of the whole, whose frames are centred: they may reach 16 ms beyond the ends,
    where audio is mirrored. What the last whole window leaves over, less than `hop_s`, is not heard; audio shorter than
    a window gets silence added. Any length is fine: only a few windows are in memory at a time.

    Parameters
    ----------
    audio : float array (samples,)
        One channel in [-1, 1], as `load_audio` gives it.
    model : keras.Model
        `musicnn(...)`, `musicnn_vgg(...)`, or a network of your own from audio (batch, samples, 1) to (batch, tags).
        If it takes audio of one length only, windows have that length, otherwise 48 128 samples.
    hop_s : float
        From the start of one window to the start of the next, in seconds.
    sample_rate : int
        What the model was trained on, in Hz: 16 000 for `musicnn`, 12 000 for `music_tagger_crnn`.

    Returns
    -------
    float32 array (windows, tags)
        Row i is the window from i * hop_s to i * hop_s + 3 s.

    Raises
    ------
    BadArgumentError
        The audio is empty, not one-dimensional or not made of finite floats, or `hop_s` is not positive.
    """
    return _by_window(audio, as_graph(model), model.input_shape[1] or EXCERPT, hop_s, sample_rate)


def embeddings(
    audio: np.ndarray,
    model: keras.Model,
    layer: Literal["penultimate", "mean_pool", "max_pool"] = "penultimate",
    hop_s: float = 1.0,
) -> np.ndarray:
    """Return what a tagger knows of each window of three seconds before it names tags.

    Parameters
    ----------
    audio, hop_s
        As for `taggram`; windows are the same.
    model : keras.Model
        `musicnn(...)` or `musicnn_vgg(...)`.
    layer : {"penultimate", "mean_pool", "max_pool"}
        "penultimate": the last layer before the tags, 200 values (musicnn_vgg: 256). "mean_pool" and "max_pool": mean
        and maximum over the window's frames of the 561 values of the front end and the 64 of each of the three layers
        in the middle, 753 in this order; musicnn only.

    Returns
    -------
    float32 array (windows, 200), (windows, 256) or (windows, 753)

    Raises
    ------
    BadArgumentError
        As `taggram`, or the model has no such layer.
    """
    if layer not in {inside.name for inside in model.layers}:
        raise BadArgumentError(f"{model.name} has no layer {layer!r}: that is one of musicnn's or musicnn_vgg's.")
    return _by_window(audio, as_graph(model, layer), model.input_shape[1] or EXCERPT, hop_s)


def _by_window(
    audio: np.ndarray, answer: Callable[[np.ndarray], tf.Tensor], window: int, hop_s: float, sample_rate: int = RATE
) -> np.ndarray:
    audio = checked_audio(audio, sample_rate)
    hop = round(hop_s * sample_rate) if math.isfinite(hop_s) else 0
    if hop < 1:
        raise BadArgumentError(f"hop_s is {hop_s}; it must be positive, such as 1.0.")
    beyond = WINDOW // 2  # of the audio, at both ends: a frame's middle is what counts
    count = max(0, len(audio) + 2 * beyond - window) // hop + 1
    answers = []
    for first in range(0, count, BATCH):
        start = first * hop - beyond
        stop = start + (min(BATCH, count - first) - 1) * hop + window
        mirrored = max(0, -start), min(beyond, max(0, stop - len(audio)))
        part = np.pad(audio[max(0, start) : stop].astype(np.float32), mirrored, mode="reflect")
        part = np.pad(part, (0, stop - start - len(part)))
        answers.append(answer(sliding_window_view(part, window)[::hop, :, np.newaxis]).numpy())
    return np.concatenate(answers)


def _weights(network: str, trained_on: str) -> Path:
    if trained_on not in ("mtt", "msd"):
        raise BadArgumentError(f"trained_on is {trained_on!r}; it must be 'mtt' or 'msd'.")
    return course_file(f"pretrained/{network}_{trained_on}.npz")


def load_musicnn(model: keras.Model) -> None:
    """Load the weights trained on MagnaTagATune into the layers that `frames` made in a model."""
    load_weights(model, _weights("musicnn", "mtt"))


def frames(audio: keras.KerasTensor) -> keras.KerasTensor:
    """Apply front end and residual layers: audio (batch, samples, 1) to (batch, samples // 256 + 1, 753)."""
    return features(log_mel(layers.ZeroPadding1D(WINDOW // 2)(audio)))


def build_tagger(
    tagger: Callable[[keras.KerasTensor], keras.KerasTensor], name: str, samples: int | None
) -> keras.Model:
    """Return a tagger of audio without trained weights."""
    audio = keras.Input((samples, 1), name="audio")
    return keras.Model(audio, tagger(log_mel(audio)), name=name)


def log_mel(audio: keras.KerasTensor) -> keras.KerasTensor:
    """Return log10(10000 mel + 1) of audio (batch, samples, 1): (batch, (samples - 512) // 256 + 1, 96, 1).

    The originals round mel to half precision before, which overflows where it is above 6.5, as it is in most music.
    """
    mel = LogMel(RATE, WINDOW / RATE, HOP / RATE, n_mels=MELS, pad_end=False, decibels=False, name="mel")(audio)
    return ops.log10(10000 * mel + 1)


def features(x: keras.KerasTensor) -> keras.KerasTensor:
    """Apply what comes before pooling: log-mel (batch, frames, 96, 1) to (batch, frames, 753)."""
    x = layers.BatchNormalization(name="bn_mel")(x)
    seen = [_heard(x, 204, (7, height), "timbre") for height in (38, 67)]
    seen += [_heard(x, 51, (length, 1), "rhythm") for length in (128, 64, 32)]
    x = front = layers.Concatenate(name="front")(seen)
    outputs = [front]
    for number in range(3):
        y = layers.Conv1D(64, 7, padding="same", activation="relu", name=f"middle_{number}")(x)
        y = layers.BatchNormalization(name=f"bn_middle_{number}")(y)
        x = y + x if number else y
        outputs.append(x)
    return layers.Concatenate(name="features")(outputs)


def _heard(x: keras.KerasTensor, filters: int, size: tuple[int, int], what: str) -> keras.KerasTensor:
    """Convolve (batch, frames, 96, 1) and keep the strongest response over frequency: (batch, frames, filters)."""
    name = f"{what}_{max(size)}"
    if size[1] > 1:  # tall filters: same length in time, no padding in frequency
        x = layers.ZeroPadding2D((size[0] // 2, 0))(x)
    x = layers.Conv2D(filters, size, padding="valid" if size[1] > 1 else "same", activation="relu", name=name)(x)
    return ops.max(layers.BatchNormalization(name=f"bn_{name}")(x), axis=2)


def musicnn_tags(x: keras.KerasTensor) -> keras.KerasTensor:
    """Apply all of musicnn: log-mel (batch, frames, 96, 1) to tags (batch, 50)."""
    x = features(x)
    pooled = [layers.GlobalMaxPooling1D(name="max_pool")(x), layers.GlobalAveragePooling1D(name="mean_pool")(x)]
    # The original's order: maximum and mean of the first feature, then of the second, and so on.
    x = layers.Reshape((2 * FEATURES,))(ops.stack(pooled, axis=-1))
    x = layers.Dropout(0.5)(layers.BatchNormalization(name="bn_pooled")(x))
    x = layers.BatchNormalization(name="penultimate")(layers.Dense(200, activation="relu", name="dense")(x))
    return layers.Dense(50, activation="sigmoid", name="tags")(layers.Dropout(0.5)(x))


def vgg_tags(x: keras.KerasTensor, trained_on: TrainedOn) -> keras.KerasTensor:
    """Apply all of musicnn_vgg: log-mel (batch, 187, 96, 1) to tags (batch, 50).

    The two networks pool differently. The authors' package builds both as "mtt" and so misreads "msd"; the graph that
    they trained, which lies beside the weights, does not.
    """
    x = layers.BatchNormalization(name="bn_mel")(x)
    first = [((4, 1), 2), (2, 2)] if trained_on == "mtt" else [((4, 1), (4, 1)), ((1, 4), (1, 4))]
    for number, (size, stride) in enumerate([*first, (2, 2), (2, 2), (4, 4)]):
        x = layers.Conv2D(128, 3, padding="same", activation="relu", name=f"conv_{number}")(x)
        x = layers.BatchNormalization(name=f"bn_{number}")(x)
        x = layers.MaxPooling2D(size, stride)(x)
        if number < 4:
            x = layers.Dropout(0.25)(x)
    x = layers.Flatten(name="penultimate")(x)
    return layers.Dense(50, activation="sigmoid", name="tags")(layers.Dropout(0.5)(x))
