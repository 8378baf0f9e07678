"""musicnn, a published music tagger (Pons and Serra, 2019, arXiv 1909.06654), for any length of audio.

Trained on MagnaTagATune by its authors; the weights are theirs (ISC licence), in half precision. Two kinds of
filters look at a log-mel spectrogram, tall ones for timbre and long ones for rhythm; three residual layers follow.
"""

import keras
from keras import layers, ops

from dl4mir_utils.data.loaders.mini import course_file
from dl4mir_utils.layers import LogMel
from dl4mir_utils.models.weights import load_weights

RATE, HOP, WINDOW = 16000, 256, 512  # Hz, samples, samples
FEATURES = 753  # per frame
MTT_TAGS = (
    *("guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano", "ambient"),
    *("beat", "violin", "vocal", "synth", "female", "indian", "opera", "male", "singing", "vocals", "no vocals"),
    *("harpsichord", "loud", "quiet", "flute", "woman", "male vocal", "no vocal", "pop", "soft", "sitar", "solo"),
    *("man", "classic", "choir", "voice", "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello"),
    *("no voice", "weird", "country", "metal", "female voice", "choral"),
)


def musicnn_features() -> keras.Model:
    """Return the layers of musicnn below its pooling: what it hears in every frame.

    Returns
    -------
    keras.Model
        From audio, float32 (batch, samples, 1) in [-1, 1] at 16 kHz, to features, float32
        (batch, samples // 256 + 1, 753): one vector every 16 ms, each from up to two seconds around it.

    Raises
    ------
    DataNotFoundError
        The weights are not there.
    """
    audio = keras.Input((None, 1), name="audio")
    model = keras.Model(audio, frames(audio), name="musicnn_features")
    load_musicnn(model)
    return model


def musicnn() -> keras.Model:
    """Return the whole tagger.

    Returns
    -------
    keras.Model
        From audio, float32 (batch, samples, 1) in [-1, 1] at 16 kHz, to the probabilities of `MTT_TAGS`,
        float32 (batch, 50). It learned from excerpts of 3 s: give it such, and average.

    Raises
    ------
    DataNotFoundError
        The weights are not there.
    """
    model = build_musicnn()
    load_musicnn(model)
    return model


def load_musicnn(model: keras.Model) -> None:
    """Load the published weights into the layers that `frames` or `build_musicnn` made in a model."""
    load_weights(model, course_file("pretrained/musicnn_mtt.npz"))


def build_musicnn() -> keras.Model:
    """Return the tagger without trained weights: 792 079 of them."""
    audio = keras.Input((None, 1), name="audio")
    x = frames(audio)
    # The original's order: maximum and mean of the first feature, then of the second, and so on.
    x = layers.Reshape((2 * FEATURES,))(ops.stack([ops.max(x, axis=1), ops.mean(x, axis=1)], axis=-1))
    x = layers.Dropout(0.5)(layers.BatchNormalization(name="bn_pooled")(x))
    x = layers.BatchNormalization(name="bn_dense")(layers.Dense(200, activation="relu", name="dense")(x))
    tags = layers.Dense(len(MTT_TAGS), activation="sigmoid", name="tags")(layers.Dropout(0.5)(x))
    return keras.Model(audio, tags, name="musicnn")


def frames(audio: keras.KerasTensor) -> keras.KerasTensor:
    """Apply front end and residual layers: audio (batch, samples, 1) to (batch, samples // 256 + 1, 753)."""
    x = layers.ZeroPadding1D(WINDOW // 2)(audio)
    x = LogMel(RATE, WINDOW / RATE, HOP / RATE, n_mels=96, pad_end=False, decibels=False, name="mel")(x)
    x = layers.BatchNormalization(name="bn_mel")(ops.log10(10000 * x + 1))
    seen = [heard(x, 204, (7, height), "timbre") for height in (38, 67)]
    seen += [heard(x, 51, (length, 1), "rhythm") for length in (128, 64, 32)]
    x = front = layers.Concatenate(name="front")(seen)
    outputs = [front]
    for number in range(3):
        y = layers.Conv1D(64, 7, padding="same", activation="relu", name=f"middle_{number}")(x)
        y = layers.BatchNormalization(name=f"bn_middle_{number}")(y)
        x = y + x if number else y
        outputs.append(x)
    return layers.Concatenate(name="features")(outputs)


def heard(x: keras.KerasTensor, filters: int, size: tuple[int, int], what: str) -> keras.KerasTensor:
    """Convolve (batch, frames, 96, 1) and keep the strongest response over frequency: (batch, frames, filters)."""
    name = f"{what}_{max(size)}"
    if size[1] > 1:  # tall filters: same length in time, no padding in frequency
        x = layers.ZeroPadding2D((size[0] // 2, 0))(x)
    x = layers.Conv2D(filters, size, padding="valid" if size[1] > 1 else "same", activation="relu", name=name)(x)
    return ops.max(layers.BatchNormalization(name=f"bn_{name}")(x), axis=2)
