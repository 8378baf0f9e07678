"""MusicTaggerCNN and compact_cnn answer as their authors' code did, which is written out here in NumPy."""

import h5py
import keras
import librosa
import numpy as np
import pandas as pd
import pytest
from by_hand import convolve, elu, pool
from real_files import real_file
from scipy.special import expit

from dl4mir_utils import features
from dl4mir_utils.apps.lite import Network
from dl4mir_utils.data import load, load_audio
from dl4mir_utils.errors import BadArgumentError
from dl4mir_utils.features import choi_features
from dl4mir_utils.inference import as_graph
from dl4mir_utils.models import MSD_TAGS
from dl4mir_utils.models import choi as models
from dl4mir_utils.models.choi import (
    CHOI_RATE,
    CHOI_SAMPLES,
    CNN_LAYERS,
    build_compact,
    choi_compact_cnn,
    cnn_tags,
    load_compact,
    measure_statistics,
    music_tagger_cnn,
    set_statistics,
)
from dl4mir_utils.models.crnn import CRNN_LAYERS, CRNN_SAMPLES, build_tagger, crnn_tags, load_published, standardised
from dl4mir_utils.models.lite import Signature, to_tflite
from dl4mir_utils.paths import course_file

CNN_FILE = "music_tagger_cnn_weights_tensorflow.h5"
COMPACT_FILE = "compact_cnn_weights_tensorflow.hdf5"
CNN_POOLS = ((2, 4), (2, 4), (2, 4), (3, 5), (4, 4))  # bands, frames
COMPACT_POOLS = ((2, 4), (3, 4), (2, 5), (2, 4), (4, 4))
# What the README of music-auto_tagging-keras prints for MusicTaggerCRNN.
PRINTED = {
    "cute": "jazz .444, instrumental .151, folk .103, Hip-Hop .103, ambient .077, guitar .068, rock .058, "
    "acoustic .054, experimental .051, electronic .042",
    "actionable": "jazz .416, instrumental .181, Hip-Hop .085, folk .085, rock .081, ambient .068, guitar .062, "
    "Progressive rock .048, experimental .046, acoustic .046",
    "dubstep": "Hip-Hop .245, rock .183, alternative .081, electronic .076, alternative rock .053, metal .051, "
    "indie .028, instrumental .027, electronica .024, hard rock .023",
    "thejazzpiano": "jazz .299, instrumental .174, electronic .089, ambient .061, chillout .052, rock .044, "
    "guitar .044, funk .033, chill .032, Progressive rock .029",
}
RNG = np.random.default_rng(0)


def some_normalisation(places, mean=0.0, spread=0.5, deviation=1.0):
    """Return scale, shift, mean and deviation, as float32 arrays."""
    arrays = (
        RNG.uniform(0.5, 1.5, places),
        RNG.normal(0, 0.5, places),
        RNG.normal(mean, spread, places),
        RNG.uniform(0.5, 2, places) * deviation,
    )
    return [array.astype(np.float32) for array in arrays]


def some_filters(into, out):
    kernel, bias = RNG.normal(0, np.sqrt(2 / 9 / into), (out, into, 3, 3)), RNG.normal(0, 0.1, out)
    return kernel.astype(np.float32), bias.astype(np.float32)


@pytest.fixture(scope="module")
def cnn_file(tmp_path_factory):
    """Random weights laid out as the published file of MusicTaggerCNN."""
    path = tmp_path_factory.mktemp("cnn") / CNN_FILE
    layers = {"bn_0_freq": some_normalisation(1366)}
    for number, (into, out) in enumerate([(1, 32), (32, 128), (128, 128), (128, 192), (192, 256)], start=1):
        layers[f"conv{number}"], layers[f"bn{number}"] = some_filters(into, out), some_normalisation(out)
    layers["output"] = [RNG.normal(0, 0.1, (256, 50)).astype(np.float32), np.zeros(50, np.float32)]
    with h5py.File(path, "w") as file:
        for name, arrays in layers.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}_{part}:0" for part in range(len(arrays))]
            for part, array in enumerate(arrays):
                group[f"{name}_{part}:0"] = array
    return path


@pytest.fixture(scope="module")
def compact_file(tmp_path_factory):
    """Random weights laid out as the published file of compact_cnn."""
    path = tmp_path_factory.mktemp("compact") / COMPACT_FILE
    with h5py.File(path, "w") as file:
        group = file.create_group("ConvBNEluDr")
        for number in range(1, 6):
            kernel, bias = some_filters(32 if number > 1 else 1, 32)
            gamma, beta, *_ = some_normalisation(32)
            arrays = {"gamma": gamma, "beta": beta, "running_mean": np.zeros(32), "running_std": np.ones(32)}
            for part, array in arrays.items():
                group[f"batchnormalization_{number}_{part}:0"] = array.astype(np.float32)
            group[f"convolution2d_{number}_W:0"], group[f"convolution2d_{number}_b:0"] = kernel, bias
    return path


def normalise(x, scale, shift, mean, variance):
    """Normalise (channels, height, width) channel by channel."""
    scale, shift, mean, variance = (a[:, np.newaxis, np.newaxis] for a in (scale, shift, mean, variance))
    return (x - mean) / np.sqrt(variance + 1e-3) * scale + shift


def cnn_by_hand(spectrogram, path, repaired, wrong=""):
    """Answer (96, 1366) decibels as MusicTaggerCNN, and with something wrong."""
    with h5py.File(path) as file:
        arrays = {
            name: [file[name][part][()].astype(float) for part in file[name].attrs["weight_names"]]
            for name in CNN_LAYERS
        }

    def statistics(name):
        *others, deviation = arrays[name]
        return [*others, deviation**2 if repaired != (wrong == "variance") else deviation]

    if repaired:
        spectrogram = (spectrogram - spectrogram.mean()) / spectrogram.std()
    x = normalise(spectrogram.T[:, :, np.newaxis], *statistics("bn_0_freq"))[:, :, 0].T[np.newaxis]  # frame by frame
    for number, size in enumerate(CNN_POOLS, start=1):
        kernel, bias = arrays[f"conv{number}"]
        x = convolve(x, kernel[:, :, ::-1, ::-1] if wrong == "flipped" else kernel, bias)
        x = pool(elu(normalise(x, *statistics(f"bn{number}"))), *size)
    kernel, bias = arrays["output"]
    return expit(x.ravel() @ kernel + bias)


def behind_decibels(tags, path, layers, repaired):
    place = keras.Input((1366, 96, 1))
    model = keras.Model(place, tags(standardised(place) if repaired else place))
    load_published(model, path, layers, repaired)
    return model


def some_decibels():
    return np.float32(-40 + 20 * RNG.normal(size=(96, 1366)) + 10 * np.sin(np.arange(1366) / 30))


def spectrogram_of(clip):
    return np.load(real_file("music_auto_tagging", f"bensound-{clip}.npy"))[0, 0].astype(np.float32)


def answered(model, spectrogram):
    return model(spectrogram.T[np.newaxis, :, :, np.newaxis], training=False).numpy()[0]


@pytest.mark.parametrize("repaired", [False, True])
def test_cnn_answers_as_the_original_and_not_with_something_wrong(cnn_file, repaired):
    spectrogram = some_decibels() / (1 if repaired else 20)  # plain decibels make every answer 0 or 1
    answer = answered(behind_decibels(cnn_tags, cnn_file, CNN_LAYERS, repaired), spectrogram)
    np.testing.assert_allclose(answer, cnn_by_hand(spectrogram, cnn_file, repaired), atol=1e-4)
    for wrong in ("variance", "flipped"):
        assert np.abs(answer - cnn_by_hand(spectrogram, cnn_file, repaired, wrong)).max() > 0.01, wrong


@pytest.mark.parametrize("repaired", [False, True])
def test_cnn_answers_as_the_original_with_the_published_weights(repaired):
    path, spectrogram = real_file("choi_models", CNN_FILE), spectrogram_of("actionable")
    answer = answered(behind_decibels(cnn_tags, path, CNN_LAYERS, repaired), spectrogram)
    np.testing.assert_allclose(answer, cnn_by_hand(spectrogram, path, repaired), atol=1e-4)
    extreme = np.mean((answer < 1e-3) | (answer > 0.999))
    assert extreme < 0.2 if repaired else extreme == 1


def test_networks_have_their_size():
    for model, trained, others in (
        (build_tagger(cnn_tags, "cnn"), 865_950, 2 * (1366 + 32 + 128 + 128 + 192 + 256)),
        (build_compact(), 39_282 - 50 * 33, 2 * 5 * 32),  # the layer of 50 tags is not published
    ):
        assert sum(int(np.prod(weight.shape)) for weight in model.trainable_variables) == trained
        assert model.count_params() == trained + others


def test_crnn_gives_the_forty_scores_that_its_author_printed():
    path = real_file("music_tagger_crnn", "music_tagger_crnn_weights_tensorflow.h5")
    model = behind_decibels(crnn_tags, path, CRNN_LAYERS, repaired=False)
    for clip, line in PRINTED.items():
        answer = answered(model, spectrogram_of(clip))
        printed = dict(pair.rsplit(" ", 1) for pair in line.split(", "))
        assert [MSD_TAGS[tag] for tag in np.argsort(-answer)[:10]] == list(printed)
        for tag, score in printed.items():
            assert answer[MSD_TAGS.index(tag)] == pytest.approx(float(score), abs=5.1e-4), (clip, tag)


@pytest.mark.parametrize(
    ("tags", "layers", "repaired", "limit"),
    [(crnn_tags, CRNN_LAYERS, True, 0.04), (crnn_tags, CRNN_LAYERS, False, 0.15), (cnn_tags, CNN_LAYERS, True, 0.07)],
)
def test_from_mp3_they_answer_nearly_as_from_the_author_s_spectrograms(tags, layers, repaired, limit):
    name = "choi_models" if tags is cnn_tags else "music_tagger_crnn"
    path = real_file(name, CNN_FILE if tags is cnn_tags else "music_tagger_crnn_weights_tensorflow.h5")
    model = behind_decibels(tags, path, layers, repaired)
    whole = build_tagger(tags, "tagger", repaired)
    load_published(whole, path, layers, repaired)
    expected = {"actionable": "rock", "dubstep": "electronic", "thejazzpiano": "jazz", "cute": "jazz"}
    for clip, tag in expected.items():
        answer = answered(model, spectrogram_of(clip))
        assert not repaired or MSD_TAGS[answer.argmax()] == tag, clip  # repaired they hear what is there
        sound = load_audio(real_file("music_auto_tagging", f"bensound-{clip}.mp3"), CHOI_RATE)
        start = (len(sound) - CRNN_SAMPLES) // 2
        by_sound = as_graph(whole)(sound[np.newaxis, start : start + CRNN_SAMPLES, np.newaxis]).numpy()[0]
        assert np.abs(by_sound - answer).max() < limit  # his excerpt begins 12 ms later


@pytest.mark.parametrize(("tags", "layers"), [(crnn_tags, CRNN_LAYERS), (cnn_tags, CNN_LAYERS)])
def test_what_is_stored_are_deviations_of_standardised_spectrograms(tags, layers):
    name = "choi_models" if tags is cnn_tags else "music_tagger_crnn"
    path = real_file(name, CNN_FILE if tags is cnn_tags else "music_tagger_crnn_weights_tensorflow.h5")
    sounds = np.stack([spectrogram_of(clip).T for clip in PRINTED])[..., np.newaxis]

    def off(repaired):
        """Return by which factor the layers' deviations on music are off what is stored, and means by how many."""
        model = behind_decibels(tags, path, layers, repaired)
        names = [layer for layer in layers if layer.startswith("conv")]
        outputs = keras.Model(model.input, [model.get_layer(layer).output for layer in names])(sounds)
        factors, shifts = [], []
        for layer, output in zip(names, outputs, strict=True):
            stored = model.get_layer(layer.replace("conv", "bn"))
            deviation = np.sqrt(stored.moving_variance.numpy())
            factors.append(np.exp(np.log(output.numpy().std(axis=(0, 1, 2)) / deviation).mean()))
            shifts.append(np.abs((output.numpy().mean(axis=(0, 1, 2)) - stored.moving_mean) / deviation).mean())
        return np.array(factors), np.array(shifts)

    factors, shifts = off(repaired=True)
    assert (factors > 0.8).all() and (factors < 1.4).all() and (shifts < 0.6).all()
    factors, shifts = off(repaired=False)
    assert (factors > 10).all() and (shifts > 2).all()
    if tags is crnn_tags:
        with h5py.File(path) as file:
            around = file["bn_0_freq"]["bn_0_freq_running_std_1:0"][:37]
        np.testing.assert_allclose(around, np.sqrt(1e-6), rtol=1e-4)  # of zeros, with the epsilon of that time


def decibels_by_hand(sound, kernels=None):
    """Return (96, 1360) decibels below the maximum, by a discrete Fourier transform written out."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(sound.astype(float), 208), 512)[::256]
    if kernels is None:
        waves = np.exp(2j * np.pi * np.outer(np.arange(512), np.arange(257)) / 512) * np.hanning(513)[:512, np.newaxis]
        kernels = waves.real, waves.imag, librosa.filters.mel(sr=12000, n_fft=512, n_mels=96, fmin=0, fmax=6000).T
    real, imaginary, mels = kernels
    power = ((frames @ real) ** 2 + (frames @ imaginary) ** 2) @ mels
    decibels = 10 * np.log10(np.maximum(power, 1e-10)).T
    return np.maximum(decibels - decibels.max(), -80)


def compact_by_hand(spectrograms, path, statistics=None):
    """Return features (clips, 160), normalised by statistics (mean, variance) or else by the clips' own; and those."""
    with h5py.File(path) as file:
        arrays = {name: array[()].astype(float) for name, array in file["ConvBNEluDr"].items()}
    xs, features, used = [x[np.newaxis] for x in spectrograms], [], []
    for number, size in enumerate(COMPACT_POOLS, start=1):
        conv, bn = f"convolution2d_{number}", f"batchnormalization_{number}"
        xs = [convolve(x, arrays[f"{conv}_W:0"], arrays[f"{conv}_b:0"]) for x in xs]
        batch = np.stack(xs)
        own = batch.mean(axis=(0, 2, 3)), batch.var(axis=(0, 2, 3))
        used.append(own if statistics is None else (statistics[0][number - 1], statistics[1][number - 1]))
        scale, shift = arrays[f"{bn}_gamma:0"], arrays[f"{bn}_beta:0"]
        xs = [pool(elu(normalise(x, scale, shift, *used[-1])), *size) for x in xs]
        features.append([x.mean(axis=(1, 2)) for x in xs])
    return np.concatenate(features, axis=1), [np.array(kind) for kind in zip(*used, strict=True)]


@pytest.fixture(scope="module")
def sounds():
    data = load("mini/genre")
    return [np.resize(data.audio(clip, CHOI_RATE), CHOI_SAMPLES) for clip in ("0ad_01_0", "muldjord_02_1")]


@pytest.fixture
def compact(compact_file, monkeypatch):
    """The network of random weights, as if it were the published one."""
    monkeypatch.setattr(models, "fetch", lambda *_, **__: compact_file.parent)
    return choi_compact_cnn()


def as_published(path):
    model = build_compact()
    load_compact(model, path)
    return model


def check_compact(path, sounds, limit):
    """Compare with NumPy: with the stored 0 and 1, with the batch's own statistics, and with those kept."""
    batch = np.stack(sounds)[..., np.newaxis]
    spectrograms = [decibels_by_hand(sound) for sound in sounds]
    model = as_published(path)
    stored, _ = compact_by_hand(spectrograms, path, (np.zeros((5, 32)), np.ones((5, 32))))
    np.testing.assert_allclose(model(batch, training=False), stored, rtol=2e-3, atol=1e-3 * stored.std())
    expected, own = compact_by_hand(spectrograms, path)
    np.testing.assert_allclose(model(batch, training=True), expected, atol=limit)
    np.testing.assert_allclose(model(batch, training=False), stored, rtol=2e-3, atol=1e-3 * stored.std())
    mean, variance = measure_statistics(model, sounds)
    np.testing.assert_allclose(mean, own[0], atol=limit * np.sqrt(own[1]).max())
    np.testing.assert_allclose(variance, own[1], rtol=limit, atol=limit)
    np.testing.assert_allclose(model(batch, training=False), expected, atol=limit)
    alone = np.concatenate([model(sound[np.newaxis], training=True) for sound in batch])
    assert np.abs(alone - expected).mean() > 20 * limit  # a clip's features depend on those beside it
    return stored


def test_compact_cnn_answers_as_the_original(compact_file, sounds):
    check_compact(compact_file, sounds, limit=2e-3)


def test_compact_cnn_answers_as_the_original_with_the_published_weights(sounds):
    path = real_file("choi_models", COMPACT_FILE)
    assert check_compact(path, sounds, limit=5e-3).max() > 1e5  # with what the file stores
    with h5py.File(path) as file:
        for part, kept in (("running_mean", 0), ("running_std", 1)):
            assert all((file[f"ConvBNEluDr/batchnormalization_{n}_{part}:0"][()] == kept).all() for n in range(1, 6))


def test_our_front_end_is_the_one_in_the_file():
    with h5py.File(real_file("choi_models", COMPACT_FILE)) as file:
        real, imaginary, mels = (file["melgram"][f"Variable{end}:0"][()] for end in ("", "_1", "_2"))
    clip = np.load(real_file("choi_models", "1100103.clip.npy"))
    theirs = decibels_by_hand(clip, (real[:, 0, 0], imaginary[:, 0, 0], mels))
    model = build_compact()
    ours = keras.Model(model.input, model.get_layer("conv_0").input)(clip[np.newaxis, :, np.newaxis]).numpy()
    np.testing.assert_allclose(ours[0, :, :, 0].T, theirs, atol=0.02)


def test_the_later_keras_2_model_hears_jazz_through_our_front_end():
    """It has another normalisation and statistics that can be used, and shares front end, form and author."""
    sound = load_audio(real_file("music_auto_tagging", "bensound-thejazzpiano.mp3"), CHOI_RATE)[:CHOI_SAMPLES]
    x = decibels_by_hand(sound)
    x = ((x - x.mean()) / x.std())[np.newaxis]
    with h5py.File(real_file("choi_models", "keras2_model_best.hdf5")) as file:

        def array(layer, part):
            return file["model_weights"][layer][layer][f"{part}:0"][()].astype(float)

        for number, size in enumerate(COMPACT_POOLS, start=1):
            conv, bn = f"conv2d_{number}", f"batch_normalization_{number}"
            x = convolve(x, array(conv, "kernel").transpose(3, 2, 0, 1), array(conv, "bias"))
            kept = [array(bn, part) for part in ("gamma", "beta", "moving_mean", "moving_variance")]
            x = pool(elu(normalise(x, *kept)), *size)
        answer = x.max(axis=(1, 2)) @ array("dense_1", "kernel") + array("dense_1", "bias")
    assert [MSD_TAGS[tag] for tag in np.argsort(-answer)[:2]] == ["jazz", "instrumental"]


def test_published_features_were_normalised_in_batches_of_256_in_the_order_of_the_table():
    for task in ("gtzan_genre", "ballroom_extended", "jamendo_vd", "urbansound"):
        array = np.load(real_file("choi_transfer", f"data_feats/{task}_layer_3.npy")).astype(float)
        array = (array - array.mean(axis=0)) / array.std(axis=0)

        def spread(size, start, array=array):
            """Return the variance of the means of blocks, as a multiple of what it would be in random order."""
            count = (len(array) - start) // size
            means = array[start : start + count * size].reshape(count, size, -1).mean(axis=1)
            return size * np.mean(means**2)

        assert spread(256, 0) < 2.2
        assert all(spread(256, start) > 2.5 * spread(256, 0) for start in (64, 128, 192))
        assert all(spread(size, 0) > 1.5 * spread(256, 0) for size in (64, 100, 128, 200, 300))


def test_the_kept_statistics_are_those_of_music():
    with np.load(course_file("pretrained/choi_statistics.npz")) as statistics:
        mean, variance = statistics["mean"], statistics["variance"]
    assert mean.shape == variance.shape == (5, 32) and (np.sqrt(variance) > 5).all()
    data = load("mini/tags")
    clips = data.frame.index[data.frame["split"] == "train"][::34]
    sounds = [np.resize(data.audio(clip, CHOI_RATE), CHOI_SAMPLES) for clip in clips]
    few, _ = measure_statistics(as_published(real_file("choi_models", COMPACT_FILE)), sounds)
    assert np.abs((few - mean) / np.sqrt(variance)).mean() < 0.25


def test_features_of_any_length(compact):
    rng = np.random.default_rng(1)
    long = rng.normal(0, 0.1, 70 * CHOI_RATE).astype(np.float32)
    long[: 20 * CHOI_RATE] *= np.sin(np.arange(20 * CHOI_RATE) / 3)
    short = long[: 10 * CHOI_RATE]
    answer = choi_features([short, long], CHOI_RATE)
    assert answer.shape == (2, 160) and answer.dtype == np.float32
    graph = as_graph(compact)

    def features(pieces):
        return np.mean([graph(piece[np.newaxis, :, np.newaxis]).numpy()[0] for piece in pieces], axis=0)

    np.testing.assert_allclose(answer[0], features([np.tile(short, 3)[:CHOI_SAMPLES]]), atol=1e-4)
    starts = [0, (len(long) - CHOI_SAMPLES) // 2, len(long) - CHOI_SAMPLES]  # three pieces, and nothing left out
    pieces = [long[start : start + CHOI_SAMPLES] for start in starts]
    np.testing.assert_allclose(answer[1], features(pieces), atol=1e-4)
    np.testing.assert_allclose(choi_features([long], CHOI_RATE)[0], answer[1], atol=1e-5)  # whatever is beside it
    np.testing.assert_allclose(choi_features(long, CHOI_RATE), answer[1:], atol=1e-5)  # one sound, not in a list
    assert choi_features([], CHOI_RATE).shape == (0, 160)
    for bad in (np.zeros(0, np.float32), np.zeros((2, 100), np.float32), np.full(100, np.nan)):
        with pytest.raises(BadArgumentError, match="row of finite floats"):
            choi_features([bad])
    for bad in (np.zeros(0), np.zeros(100, int)):
        with pytest.raises(BadArgumentError, match="row of finite floats"):
            choi_features(bad)


def test_features_of_the_course_s_clips_go_layer_by_layer(compact):
    sound = np.random.default_rng(2).normal(0, 0.1, 48000).astype(np.float32)  # at 16 kHz
    arrays = features._compute([sound], "choi_compact_cnn")
    joined = np.hstack([arrays[f"layer_{layer}"] for layer in range(5)])
    np.testing.assert_allclose(joined, choi_features([sound]), atol=1e-6)
    assert arrays["layer_0"].shape == (1, 32) and arrays["mfcc"].shape == (1, 120)


def test_the_weights_are_asked_for_by_name(cnn_file, monkeypatch):
    asked = []
    monkeypatch.setattr(models, "fetch", lambda name, only: asked.append((name, only)) or cnn_file.parent)
    model = music_tagger_cnn()
    assert asked == [("choi_models", CNN_FILE)]
    assert model.input_shape == (None, CRNN_SAMPLES, 1) and model.output_shape == (None, 50)


@pytest.mark.parametrize("network", ["cnn", "crnn", "compact"])
def test_they_can_be_exported(network, compact_file, tmp_path):
    keras.utils.set_random_seed(0)
    if network == "compact":
        model, samples, output = as_published(compact_file), CHOI_SAMPLES, "features"
        set_statistics(model, np.zeros((5, 32)), np.full((5, 32), 100.0))
    else:
        model, samples, output = (
            build_tagger({"cnn": cnn_tags, "crnn": crnn_tags}[network], network),
            CRNN_SAMPLES,
            "tags",
        )
    path, shape = tmp_path / f"{network}.tflite", (1, samples, 1)
    labels = MSD_TAGS if output == "tags" else [str(number) for number in range(160)]
    to_tflite(path, {"piece": Signature(model, {"audio": shape}, [output])}, labels=labels, sample_rate=CHOI_RATE)
    sound = np.resize(load("mini/genre").audio("0ad_01_0", CHOI_RATE), samples)[np.newaxis, :, np.newaxis]
    answer, expected = Network(path)("piece", audio=sound)[output], model(sound, training=False).numpy()
    np.testing.assert_allclose(answer, expected, atol=5e-3 * max(1, np.abs(expected).max()))
    assert pd.Series(expected.ravel()).nunique() > 10
