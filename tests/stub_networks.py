"""Small networks in the files that the commands use: what they answer is plain to see, and takes no time.

They run in the commands' own processes, where nothing can be patched: DL4MIR_DATA leads there.
"""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import soundfile
from keras import layers, ops

from dl4mir_utils.models import MSD_TAGS, MTT_TAGS
from dl4mir_utils.models.lite import Signature, to_tflite

WINDOW, RATE, STEP = 48128, 16000, 2048
BAND_SAMPLES = 400  # a band is 40 Hz wide


def tagger(labels, loud, quiet):
    """Two tags tell of the level, the others stay below them; the embedding is the power in 200 bands."""
    audio = keras.Input((WINDOW, 1))
    tags = layers.Dense(50, activation="sigmoid", name="tags")
    outputs = [tags(layers.GlobalMaxPooling1D()(audio)), Bands()(audio)]
    weights, biases = np.zeros((1, 50)), np.linspace(-4, -5, 50)
    places = [labels.index(loud), labels.index(quiet)]
    weights[0, places], biases[places] = (8, -8), (-2, 1)
    tags.set_weights([weights, biases])
    return Signature(keras.Model(audio, outputs), {"audio": (1, WINDOW, 1)}, ["tags", "embedding"])


class Bands(layers.Layer):
    """From audio (1, 48128, 1) to the logarithm of the power in 200 bands (1, 200), blurred: near tones are alike."""

    def build(self, shape):
        time, band = np.arange(BAND_SAMPLES)[:, np.newaxis], np.arange(BAND_SAMPLES // 2)
        waves = np.exp(2j * np.pi * time * band / BAND_SAMPLES) * np.hanning(BAND_SAMPLES)[:, np.newaxis]
        self.waves = ops.convert_to_tensor(np.concatenate([waves.real, waves.imag], axis=1), "float32")
        self.blur = ops.convert_to_tensor(np.exp(-abs(band[:, np.newaxis] - band) / 40), "float32")

    def call(self, audio):
        used = WINDOW // BAND_SAMPLES * BAND_SAMPLES
        found = ops.matmul(ops.reshape(audio[:, :used, 0], (-1, BAND_SAMPLES)), self.waves)
        power = ops.reshape(ops.sum(found**2, axis=0), (1, 2, BAND_SAMPLES // 2))
        return ops.matmul(ops.log(ops.sum(power, axis=1) + 1), self.blur)


def detector():
    """The loudest sample of a step is the probability that somebody sings in it."""
    audio, log_mel, embedding = keras.Input((None, 1)), keras.Input((None, 1)), keras.Input((None, 1))
    front_end = keras.Model(audio, [layers.MaxPooling1D(STEP // 8)(audio), layers.MaxPooling1D(STEP)(audio)])
    both = layers.Minimum()([layers.MaxPooling1D(8)(log_mel), embedding])
    ensemble = keras.Model([log_mel, embedding], layers.Lambda(lambda both: ops.max(both, axis=2))(both))
    return {
        "front_end": Signature(front_end, {"audio": (1, None, 1)}, ["log_mel", "embedding"]),
        "ensemble": Signature(ensemble, {"log_mel": (1, None, 1), "embedding": (1, None, 1)}, ["singing"]),
    }


def export(folder):
    window = {"window_samples": WINDOW}
    mtt, msd = tagger(MTT_TAGS, "loud", "quiet"), tagger(MSD_TAGS, "rock", "jazz")
    to_tflite(folder / "musicnn_mtt.tflite", {"window": mtt}, labels=MTT_TAGS, half=False, **window)
    to_tflite(folder / "musicnn_msd.tflite", {"window": msd}, labels=MSD_TAGS, half=False, **window)
    facts = {"step_samples": STEP, "threshold": 0.4, "median_steps": 3}
    to_tflite(folder / "singing_detector.tflite", detector(), labels=["singing"], half=False, **facts)


@pytest.fixture
def stubs(tmp_path, tmp_path_factory, monkeypatch):
    """The folder of data with the stubs, a new one for each test: the commands keep there what they heard."""
    made = tmp_path_factory.getbasetemp() / "stub_networks"
    if not made.is_dir():
        made.mkdir()
        export(made)
    folder = Path(tmp_path / "data")
    (folder / "mini").mkdir(parents=True)
    shutil.copytree(made, folder / "pretrained")
    monkeypatch.setenv("DL4MIR_DATA", str(folder))
    return folder


def write_tone(file, level=0.5, pitch=440.0, seconds=4.0, rate=RATE):
    """Write a tone; with a level of 0.75, the stubs say loud or rock 0.98, with 0.01 quiet or jazz 0.72."""
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, level * np.sin(2 * np.pi * pitch * np.arange(int(seconds * rate)) / rate), rate)
