"""MusicTaggerCRNN, a published music tagger (Choi, Fazekas, Sandler and Cho, 2017, arXiv 1609.04243).

Four convolutional layers make 15 vectors out of 29 s of sound, two recurrent layers read them. Trained by its authors
on the Million Song Dataset: the tags are `MSD_TAGS`, the reported ROC-AUC is 0.866. The weights (MIT licence, 1.6 MB)
are downloaded; they come from Keras 1, whose ways are kept here where they change the result.

Two things went wrong between training and publication, and `repaired=True` undoes them. What the file calls
"running_std" *is* a standard deviation, as early Keras kept it: where the input is zeros, it holds 0.001, the root of
the 1e-6 that was added to a variance of zero. Later Keras keeps variances under this name, and so divides by the root
of a deviation: each layer's output is several times too large. And the network was trained on standardised
spectrograms, since its first normalisation has stored means near 0 and deviations near 1; the published example gives
it plain decibels. With both mended the layers' means and deviations on music are near the stored ones, and the tags
agree with musicnn's. How exactly the spectrograms were standardised is not published; here each clip is, by its own
mean and deviation. `repaired=False` answers as the authors' code does.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import keras
import numpy as np
from keras import layers, ops

from dl4mir_utils.data.download import fetch
from dl4mir_utils.layers import LogMel

CRNN_RATE, HOP, WINDOW = 12000, 256, 512  # Hz, samples, samples
CRNN_SAMPLES = 349_440  # 29.12 s: 1366 frames
MELS, MARGIN = 96, 37  # bands; frames of zeros before and after, 1440 in all
CRNN_LAYERS = (
    "bn_0_freq",
    *(f"{kind}{number}" for number in range(1, 5) for kind in ("conv", "bn")),
    "gru1",
    "gru2",
    "output",
)


def music_tagger_crnn(repaired: bool = True) -> keras.Model:
    """Return the tagger; its weights are downloaded when first asked for.

    Parameters
    ----------
    repaired : bool
        Standardise the spectrogram, and read the stored deviations as deviations. Otherwise it answers as the authors'
        code does: "jazz" to very much.

    Returns
    -------
    keras.Model
        From audio, float32 (batch, 349440, 1) in [-1, 1] at 12 kHz, 29.12 s, to the probabilities of `MSD_TAGS`,
        float32 (batch, 50). The authors take the middle of longer songs and add silence after shorter ones.

    Raises
    ------
    DataNotFoundError
        The weights are not on this machine and cannot be had.
    """
    model = build_tagger(crnn_tags, "music_tagger_crnn", repaired)
    path = fetch("music_tagger_crnn") / "music_tagger_crnn_weights_tensorflow.h5"
    load_published(model, path, CRNN_LAYERS, repaired)
    return model


def build_tagger(
    tags: Callable[[keras.KerasTensor], keras.KerasTensor], name: str, repaired: bool = True
) -> keras.Model:
    """Return a tagger of 29.12 s of audio, (batch, 349440, 1), without trained weights."""
    audio = keras.Input((CRNN_SAMPLES, 1), name="audio")
    x = decibels(audio)
    return keras.Model(audio, tags(standardised(x) if repaired else x), name=name)


def decibels(audio: keras.KerasTensor) -> keras.KerasTensor:
    """Return the mel spectrogram in decibels, (batch, 1366, 96, 1).

    The original squares what is a power spectrogram already, so decibels are twice what they should be; the weights
    expect it so. Frames are centred, ends mirrored, and 80 dB below the maximum is the floor.
    """
    x = ops.pad(audio, ((0, 0), (WINDOW // 2, WINDOW // 2), (0, 0)), mode="reflect")
    mel = LogMel(CRNN_RATE, WINDOW / CRNN_RATE, HOP / CRNN_RATE, MELS, pad_end=False, decibels=False, name="mel")(x)
    x = 10 * ops.log10(ops.maximum(mel * mel, 1e-10))
    return ops.maximum(x, ops.max(x, axis=(1, 2, 3), keepdims=True) - 80)


def standardised(x: keras.KerasTensor) -> keras.KerasTensor:
    """Give each clip of a batch (batch, frames, mels, 1) the mean 0 and the standard deviation 1; silence becomes 0."""
    deviation = ops.std(x, axis=(1, 2, 3), keepdims=True)
    return (x - ops.mean(x, axis=(1, 2, 3), keepdims=True)) / (deviation + 1e-6)


def crnn_tags(x: keras.KerasTensor) -> keras.KerasTensor:
    """Apply the network: decibels (batch, 1366, 96, 1) to tags (batch, 50)."""
    x = layers.Permute((2, 1, 3))(x)
    x = layers.ZeroPadding2D((0, MARGIN))(x)
    # One mean and variance for each of the 1440 places in time, not for each band as the name says.
    x = layers.BatchNormalization(axis=2, name="bn_0_freq")(x)
    for number, (filters, pool) in enumerate(((64, 2), (128, 3), (128, 4), (128, 4)), start=1):
        x = layers.Conv2D(filters, 3, padding="same", name=f"conv{number}")(x)
        x = layers.ELU()(layers.BatchNormalization(name=f"bn{number}")(x))
        x = layers.Dropout(0.1)(layers.MaxPooling2D(pool)(x))
    x = layers.Reshape((15, 128))(x)
    for name, sequences in (("gru1", True), ("gru2", False)):
        gru = layers.GRU(32, recurrent_activation=gate, reset_after=False, return_sequences=sequences, name=name)
        x = gru(x)
    return layers.Dense(50, activation="sigmoid", name="output")(layers.Dropout(0.3)(x))


@keras.saving.register_keras_serializable(package="dl4mir")
def gate(x: keras.KerasTensor) -> keras.KerasTensor:
    """Return the hard sigmoid of Keras 1 and 2: clip(0.2 x + 0.5, 0, 1). In Keras 3 it is x / 6 + 0.5."""
    return ops.clip(0.2 * x + 0.5, 0, 1)


def load_published(model: keras.Model, path: Path, names: Sequence[str], repaired: bool = True) -> None:
    """Load a file of Keras 1 into the layers `names` of a tagger.

    Filters are stored (out, in, height, width); a GRU as nine arrays, for its gates z, r and h in turn. Of a
    normalisation the last array is a standard deviation; unless `repaired`, it is taken for a variance.

    Raises
    ------
    KeyError
        The file lacks a layer.
    """
    with h5py.File(path) as file:
        for name in names:
            group = file[name]
            arrays = [group[array][()] for array in group.attrs["weight_names"]]
            if name.startswith("conv"):
                arrays[0] = arrays[0].transpose(2, 3, 1, 0)
            elif name.startswith("gru"):
                arrays = [np.concatenate(arrays[kind::3], axis=-1) for kind in range(3)]
            elif name.startswith("bn") and repaired:
                arrays[3] = arrays[3] ** 2
            model.get_layer(name).set_weights(arrays)
