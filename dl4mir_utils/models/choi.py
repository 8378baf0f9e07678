"""MusicTaggerCNN and compact_cnn, two published networks of Keunwoo Choi and colleagues, on today's Keras.

Both were trained on the Million Song Dataset and come from music-auto_tagging-keras (MIT licence); the weights (3.5 and
1.3 MB) are downloaded. Convolutions are stored as TensorFlow applies them, unflipped.

**MusicTaggerCNN** (ISMIR 2016, arXiv 1606.00298) has the front end and the faults of MusicTaggerCRNN, which
`dl4mir_utils.models.crnn` tells: plain decibels where it learned from standardised ones, and standard deviations that
are taken for variances. Read so, every answer is 0 or 1; `repaired=True` mends both.

**compact_cnn** (ISMIR 2017, arXiv 1703.09179) is the feature extractor of the transfer-learning paper. Its
normalisations are Keras 1's `mode=2`: they use the mean and the variance of *the batch at hand, also after training*,
and what the file stores for later use is still 0 and 1. With these, activations grow to a million and more. The
published features (`load("choi_transfer/...")`) were made in batches of 256 clips in the order of the tables: the means
of blocks of 256 rows are the same again and again, and those of other blocks are not. So a clip's features depend on
the 255 others. For music of one's own, `repaired=True` puts fixed statistics in their place, measured on the course's
clips (`tools/recipes/measure_choi.py`); `model(batch, training=True)` normalises by the batch, as the original.
The 50 tags' layer is not in the file.
"""

from collections.abc import Iterable
from pathlib import Path

import h5py
import keras
import numpy as np
from keras import layers, ops

from dl4mir_utils.data.download import fetch
from dl4mir_utils.inference import as_graph
from dl4mir_utils.layers import LogMel
from dl4mir_utils.models.crnn import build_tagger, load_published
from dl4mir_utils.paths import course_file

DATA_SET = "choi_models"
CHOI_RATE, HOP, WINDOW, MELS = 12000, 256, 512, 96  # Hz, samples, samples, bands
CHOI_SAMPLES = 348_000  # of compact_cnn: 29 s, 1360 frames
AROUND = 208  # zeros before and after, so that every `HOP` samples have a frame
CNN_LAYERS = ("bn_0_freq", *(f"{kind}{number}" for number in range(1, 6) for kind in ("conv", "bn")), "output")
POOLS = ((4, 2), (4, 3), (5, 2), (4, 2), (4, 4))  # of compact_cnn: frames, bands


def music_tagger_cnn(repaired: bool = True) -> keras.Model:
    """Return MusicTaggerCNN; its weights are downloaded when first asked for.

    Parameters
    ----------
    repaired : bool
        Standardise the spectrogram, and read the stored deviations as deviations. Otherwise it answers as the authors'
        code does on today's Keras: all is 0 or 1.

    Returns
    -------
    keras.Model
        From audio, float32 (batch, 349440, 1) in [-1, 1] at 12 kHz, 29.12 s, to the probabilities of `MSD_TAGS`,
        float32 (batch, 50). Reported ROC-AUC: 0.865.

    Raises
    ------
    DataNotFoundError
        The weights are not on this machine and cannot be had.
    """
    model = build_tagger(cnn_tags, "music_tagger_cnn", repaired)
    name = "music_tagger_cnn_weights_tensorflow.h5"
    load_published(model, fetch(DATA_SET, only=name) / name, CNN_LAYERS, repaired)
    return model


def cnn_tags(x: keras.KerasTensor) -> keras.KerasTensor:
    """Apply MusicTaggerCNN, 865 950 weights: spectrogram (batch, 1366, 96, 1) to tags (batch, 50)."""
    x = layers.Permute((2, 1, 3))(x)
    # As in MusicTaggerCRNN: a mean and a variance for each of the 1366 frames, not for each band.
    x = layers.BatchNormalization(axis=2, name="bn_0_freq")(x)
    pools = ((2, 4), (2, 4), (2, 4), (3, 5), (4, 4))
    for number, (filters, pool) in enumerate(zip((32, 128, 128, 192, 256), pools, strict=True), start=1):
        x = layers.Conv2D(filters, 3, padding="same", name=f"conv{number}")(x)
        x = layers.ELU()(layers.BatchNormalization(name=f"bn{number}")(x))
        x = layers.Dropout(0.5)(layers.MaxPooling2D(pool)(x))
    return layers.Dense(50, activation="sigmoid", name="output")(layers.Flatten()(x))


def choi_compact_cnn(repaired: bool = True) -> keras.Model:
    """Return the published compact_cnn as a feature extractor; its weights are downloaded when first asked for.

    `dl4mir_utils.features.choi_features` applies it to sounds of any length. (`compact_cnn` is the course's own, of the
    same form and trained on the course's clips.)

    Parameters
    ----------
    repaired : bool
        Normalise by statistics of music; otherwise by those in the file, which are 0 and 1.

    Returns
    -------
    keras.Model
        From audio, float32 (batch, 348000, 1) in [-1, 1] at 12 kHz, 29 s, to float32 (batch, 160): 32 values each of
        the layers "pool_0" to "pool_4", (batch, time, frequency, 32), averaged over time and frequency.

    Raises
    ------
    DataNotFoundError
        The weights are not on this machine and cannot be had.
    """
    model = build_compact()
    name = "compact_cnn_weights_tensorflow.hdf5"
    load_compact(model, fetch(DATA_SET, only=name) / name)
    if repaired:
        with np.load(course_file("pretrained/choi_statistics.npz")) as statistics:
            set_statistics(model, statistics["mean"], statistics["variance"])
    return model


def build_compact() -> keras.Model:
    """Return compact_cnn without trained weights: 37 632 that were trained, and 320 statistics."""
    audio = keras.Input((CHOI_SAMPLES, 1), name="audio")
    mel = LogMel(CHOI_RATE, WINDOW / CHOI_RATE, HOP / CHOI_RATE, MELS, dynamic_range_db=None, pad_end=False, name="mel")
    x = mel(layers.ZeroPadding1D(AROUND)(audio))
    # Decibels below the loudest point. The original takes that of the whole batch, but a clip is to stand for itself.
    x = ops.maximum(x - ops.max(x, axis=(1, 2, 3), keepdims=True), -80)
    means = []
    for number, pool in enumerate(POOLS):
        x = layers.Conv2D(32, 3, padding="same", name=f"conv_{number}")(x)
        # Momentum 1: called with `training=True`, it uses the batch's statistics and forgets them.
        x = layers.BatchNormalization(momentum=1.0, name=f"bn_{number}")(x)
        x = layers.MaxPooling2D(pool, name=f"pool_{number}")(layers.ELU()(x))
        means.append(layers.GlobalAveragePooling2D()(x))
    return keras.Model(audio, layers.Concatenate(name="features")(means), name="choi_compact_cnn")


def load_compact(model: keras.Model, path: Path) -> None:
    """Load the published file, whose filters are (out, in, frequency, time), into what `build_compact` made.

    Raises
    ------
    KeyError
        The file lacks a layer.
    """
    with h5py.File(path) as file:
        group = file["ConvBNEluDr"]
        for number in range(len(POOLS)):
            conv, bn = f"convolution2d_{number + 1}", f"batchnormalization_{number + 1}"
            kernel = group[f"{conv}_W:0"][()].transpose(3, 2, 1, 0)
            model.get_layer(f"conv_{number}").set_weights([kernel, group[f"{conv}_b:0"][()]])
            parts = ("gamma", "beta", "running_mean", "running_std")  # the last one is 1, whatever it stands for
            model.get_layer(f"bn_{number}").set_weights([group[f"{bn}_{part}:0"][()] for part in parts])


def set_statistics(model: keras.Model, mean: np.ndarray, variance: np.ndarray) -> None:
    """Let the normalisations of compact_cnn use these means and variances, each (layers, 32)."""
    for number in range(len(POOLS)):
        layer = model.get_layer(f"bn_{number}")
        layer.moving_mean.assign(mean[number])
        layer.moving_variance.assign(variance[number])


def measure_statistics(model: keras.Model, sounds: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return what the original would normalise by if these sounds were its batch, but for the loudest point of all.

    They are measured layer by layer, since a layer's statistics rest on those of the layers below: the sounds are gone
    through five times, one by one. The model keeps what was measured.

    Parameters
    ----------
    model : keras.Model
        `choi_compact_cnn()`.
    sounds : iterable of float array (348000,)
        At 12 kHz; can be gone through again and again.

    Returns
    -------
    mean, variance : float32 arrays (5, 32)
        By layer and filter, over time, frequency and sounds.
    """
    mean, variance = np.zeros((len(POOLS), 32), np.float32), np.ones((len(POOLS), 32), np.float32)
    for number in range(len(POOLS)):
        convolved = as_graph(model, f"conv_{number}")
        moments = []
        for sound in sounds:
            output = convolved(sound[np.newaxis, :, np.newaxis]).numpy().astype(np.float64)
            moments.append([output.mean(axis=(0, 1, 2)), np.square(output).mean(axis=(0, 1, 2))])
        mean[number], square = np.mean(moments, axis=0)
        variance[number] = square - mean[number].astype(np.float64) ** 2
        set_statistics(model, mean, variance)
    return mean, variance
