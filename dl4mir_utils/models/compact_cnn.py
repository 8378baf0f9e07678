"""A small tagger with weights from the course's own clips: what notebook 07 compares large ones with."""

import keras
from keras import layers

from dl4mir_utils.layers import LogMel
from dl4mir_utils.models.weights import load_weights
from dl4mir_utils.paths import course_file

RATE = 12000  # Hz
EXCERPT = 144 * 256  # samples that it learned from: 3.07 s
POOLS = ((4, 2), (2, 3), (2, 2), (2, 2), (1, 4))


def compact_cnn(trained: bool = True) -> keras.Model:
    """Return the tagger of five times 32 filters that is called compact_cnn in music-auto_tagging-keras.

    Choi et al. (ISMIR 2017) transferred the features of this network, trained on the Million Song Dataset. Those
    weights are not free to share; ours come from notebook 06: 270 clips of `mini/tags`, 45 minutes, with the tags that
    musicnn gave them (`tools/recipes/train_compact_cnn.py`). The time is pooled less than in the original, as in the
    notebook.

    Parameters
    ----------
    trained : bool
        With the weights; otherwise they are random.

    Returns
    -------
    keras.Model
        From audio, float32 (batch, samples, 1) in [-1, 1] at 12 kHz, to the probabilities of the 50 tags of
        `mini/tags`. The layers "pool_0" to "pool_4" are (batch, time, frequency, 32). It learned from 36 864 samples.

    Raises
    ------
    DataNotFoundError
        The weights are not there.
    """
    audio = keras.Input((None, 1), name="audio")
    decibels = LogMel(RATE, 512 / RATE, 256 / RATE, n_mels=96, name="mel")(audio)
    x = layers.Rescaling(1 / 20, offset=2)(layers.AveragePooling2D((2, 1))(decibels))
    for number, pool in enumerate(POOLS):
        x = layers.Conv2D(32, 3, padding="same", name=f"conv_{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"bn_{number}")(x)
        x = layers.MaxPooling2D(pool, name=f"pool_{number}")(layers.ELU()(x))
    tags = layers.Dense(50, activation="sigmoid", name="tags")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(audio, tags, name="compact_cnn")
    if trained:
        load_weights(model, course_file("pretrained/compact_cnn_mini.npz"))
    return model
