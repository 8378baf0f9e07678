"""MusicTaggerCRNN answers as its authors' code did, which is written out here in NumPy, quirk by quirk."""

import hashlib
from dataclasses import replace

import h5py
import keras
import librosa
import numpy as np
import pytest
from by_hand import convolve, elu, pool
from http_server import Server
from real_files import MIRROR, needs_real

from dl4mir_utils.data import load, registry
from dl4mir_utils.models import MSD_TAGS, music_tagger_crnn, taggram
from dl4mir_utils.models.crnn import (
    CRNN_LAYERS,
    CRNN_RATE,
    CRNN_SAMPLES,
    build_tagger,
    crnn_tags,
    decibels,
    gate,
    load_published,
    standardised,
)

NAME = "music_tagger_crnn_weights_tensorflow.h5"
QUIRKS = ("gate", "gate order", "reset after", "variance", "batch statistics", "band normalisation", "flipped")


def write_weights(path):
    """Write random weights laid out as the published file."""
    rng = np.random.default_rng(0)

    def normalisation(places):
        scale, mean, variance = rng.uniform(0.5, 1.5, places), rng.normal(0, 0.5, places), rng.uniform(0.2, 4, places)
        return {"gamma": scale, "beta": rng.normal(0, 0.5, places), "running_mean": mean, "running_std": variance}

    def weights(*shape, fan_in):
        return rng.normal(0, 2 / np.sqrt(fan_in), shape)

    # The spectrogram below is about -40 dB, give or take 20.
    of_decibels = {"running_mean": rng.normal(-40, 5, 1440), "running_std": rng.uniform(200, 600, 1440)}
    layers = {"bn_0_freq": normalisation(1440) | of_decibels}
    for number, (into, out) in enumerate([(1, 64), (64, 128), (128, 128), (128, 128)], start=1):
        layers[f"conv{number}"] = {"W": weights(out, into, 3, 3, fan_in=9 * into), "b": rng.normal(0, 0.1, out)}
        layers[f"bn{number}"] = normalisation(out)
    for name, into in (("gru1", 128), ("gru2", 32)):
        parts = {}
        for which in "zrh":
            parts |= {f"W_{which}": weights(into, 32, fan_in=into), f"U_{which}": weights(32, 32, fan_in=32)}
            parts |= {f"b_{which}": rng.normal(0, 0.3, 32)}
        layers[name] = parts
    layers["output"] = {"W": weights(32, 50, fan_in=32), "b": rng.normal(0, 0.3, 50)}
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["zeropadding2d_1", *layers]
        file.create_group("zeropadding2d_1").attrs["weight_names"] = []
        for name, parts in layers.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}_{part}_1:0" for part in parts]
            for part, array in parts.items():
                group[f"{name}_{part}_1:0"] = array.astype("float32")
    return path


def by_hand(spectrogram, path, wrong="", repaired=False):
    """Answer (96, 1366) decibels as the original does, with one of its quirks undone, or repaired."""
    with h5py.File(path) as file:
        arrays = {
            name: [file[name][part][()].astype(float) for part in file[name].attrs["weight_names"]]
            for name in file
            if len(file[name].attrs["weight_names"])
        }

    def normalise(x, name):  # (channels, height, width)
        gamma, beta, mean, variance = (array[:, np.newaxis, np.newaxis] for array in arrays[name])
        if name == "bn_0_freq":
            gamma, beta, mean, variance = (array.reshape(1, 1, -1) for array in arrays[name])
            if wrong == "band normalisation":
                gamma, beta, mean, variance = (array.mean() for array in arrays[name])
        elif wrong == "batch statistics":
            mean, variance = x.mean(axis=(1, 2), keepdims=True), x.var(axis=(1, 2), keepdims=True)
        if repaired:
            variance = variance**2
        deviation = variance if wrong == "variance" else np.sqrt(variance + 1e-3)
        return (x - mean) / deviation * gamma + beta

    def hard(x):
        return np.clip(x / 6 + 0.5 if wrong == "gate" else 0.2 * x + 0.5, 0, 1)

    def gru(sequence, name):
        own = arrays[name]
        (wz, uz, bz), (wr, ur, br), (wh, uh, bh) = own[:3], own[3:6], own[6:]
        if wrong == "gate order":
            (wz, uz, bz), (wr, ur, br) = (wr, ur, br), (wz, uz, bz)
        state, states = np.zeros(32), []
        for x in sequence:
            z, r = hard(x @ wz + state @ uz + bz), hard(x @ wr + state @ ur + br)
            remembered = r * (state @ uh) if wrong == "reset after" else (r * state) @ uh
            state = z * state + (1 - z) * np.tanh(x @ wh + remembered + bh)
            states.append(state)
        return np.array(states)

    if repaired:
        spectrogram = (spectrogram - spectrogram.mean()) / spectrogram.std()
    x = normalise(np.pad(spectrogram, ((0, 0), (37, 37)))[np.newaxis], "bn_0_freq")
    for number, size in enumerate((2, 3, 4, 4), start=1):
        kernel, bias = arrays[f"conv{number}"]
        x = normalise(convolve(x, kernel[:, :, ::-1, ::-1] if wrong == "flipped" else kernel, bias), f"bn{number}")
        x = pool(elu(x), size, size)
    last = gru(gru(x[:, 0].T, "gru1"), "gru2")[-1]
    kernel, bias = arrays["output"]
    return 1 / (1 + np.exp(-(last @ kernel + bias)))


def some_decibels():
    rng = np.random.default_rng(1)
    return np.float32(-40 + 20 * rng.normal(size=(96, 1366)) + 10 * np.sin(np.arange(1366) / 30))


def behind_decibels(path, repaired=False):
    place = keras.Input((1366, 96, 1))
    model = keras.Model(place, crnn_tags(standardised(place) if repaired else place))
    load_published(model, path, CRNN_LAYERS, repaired)
    return model


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("crnn") / NAME)


def test_it_answers_as_the_original_and_not_without_one_of_its_quirks(weights):
    spectrogram = some_decibels()
    answer = behind_decibels(weights)(spectrogram.T[np.newaxis, :, :, np.newaxis], training=False).numpy()[0]
    np.testing.assert_allclose(answer, by_hand(spectrogram, weights), atol=1e-4)
    assert answer.std() > 0.1
    for quirk in QUIRKS:
        assert np.abs(answer - by_hand(spectrogram, weights, quirk)).max() > 0.01, quirk


def test_repaired_it_reads_deviations_and_hears_standardised_spectrograms(weights):
    spectrogram = some_decibels()
    model = behind_decibels(weights, repaired=True)
    answer = model(spectrogram.T[np.newaxis, :, :, np.newaxis], training=False).numpy()[0]
    np.testing.assert_allclose(answer, by_hand(spectrogram, weights, repaired=True), atol=1e-4)
    assert np.abs(answer - by_hand(spectrogram, weights)).max() > 0.01
    louder = model(2 * spectrogram.T[np.newaxis, :, :, np.newaxis] + 7, training=False).numpy()[0]
    np.testing.assert_allclose(louder, answer, atol=1e-4)  # neither level nor scale of the decibels matters


def test_the_gate_is_that_of_keras_1():
    np.testing.assert_allclose(gate(np.array([-3, -2.5, -1, 0, 1, 2.5, 3])), [0, 0, 0.3, 0.5, 0.7, 1, 1], atol=1e-7)
    assert abs(float(keras.activations.hard_sigmoid(1.0)) - 0.7) > 0.03


def test_decibels_are_those_of_the_original():
    clip = load("mini/genre").audio("0ad_01_0", sample_rate=CRNN_RATE)
    audio = np.pad(np.tile(clip, 3)[: CRNN_SAMPLES - 40000], (0, 40000))  # music, then silence
    mel = librosa.feature.melspectrogram(y=audio, sr=12000, n_fft=512, hop_length=256, n_mels=96, pad_mode="reflect")
    expected = librosa.power_to_db(mel**2, ref=1.0, amin=1e-10, top_db=80)
    place = keras.Input((CRNN_SAMPLES, 1))
    ours = keras.Model(place, decibels(place))(audio[np.newaxis, :, np.newaxis]).numpy()
    assert ours.shape == (1, 1366, 96, 1)
    np.testing.assert_allclose(ours[0, :, :, 0].T, expected, atol=0.02)
    assert ours.min() == pytest.approx(ours.max() - 80)


def test_it_has_its_size():
    model = build_tagger(crnn_tags, "crnn")
    trained = sum(np.prod(variable.shape) for variable in model.trainable_variables)
    assert (trained, model.count_params()) == (396_786, 396_786 + 3776)
    assert model.output_shape == (None, 50)


def test_a_file_that_lacks_a_layer_is_refused(weights, tmp_path):
    other = tmp_path / NAME
    other.write_bytes(weights.read_bytes())
    with h5py.File(other, "a") as file:
        del file["gru2"]
    with pytest.raises(KeyError, match="gru2"):
        load_published(build_tagger(crnn_tags, "crnn"), other, CRNN_LAYERS)


def test_it_is_downloaded_once_and_tags_a_song(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("DL4MIR_DATA", str(tmp_path / "cache"))
    monkeypatch.delenv("DL4MIR_MIRROR", raising=False)
    content, known = weights.read_bytes(), registry.DATA_SETS["music_tagger_crnn"]
    with Server() as server:
        server.files[f"/{NAME}"] = content
        checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
        file = replace(known.files[0], url=f"{server.url}/{NAME}", also=(), size=len(content), checksum=checksum)
        monkeypatch.setitem(registry.DATA_SETS, known.name, replace(known, files=(file,)))
        music_tagger_crnn()
    model = music_tagger_crnn()  # the server is gone
    audio = np.random.default_rng(2).normal(0, 0.1, CRNN_RATE * 45).astype(np.float32)
    answer = taggram(audio, model, hop_s=10, sample_rate=CRNN_RATE)
    assert answer.shape == (2, len(MSD_TAGS)) and answer.dtype == np.float32


@needs_real("music_tagger_crnn")
@pytest.mark.parametrize("repaired", [False, True])
def test_the_published_weights_answer_as_the_original(repaired):
    path = MIRROR / "music_tagger_crnn" / NAME
    spectrogram = some_decibels()
    model = behind_decibels(path, repaired)
    answer = model(spectrogram.T[np.newaxis, :, :, np.newaxis], training=False).numpy()[0]
    np.testing.assert_allclose(answer, by_hand(spectrogram, path, repaired=repaired), atol=1e-4)
