"""Features of the course's own clips: right layers, right rows, kept in the cache and made anew when it is damaged."""

import numpy as np
import pytest

from dl4mir_utils import features
from dl4mir_utils.data import load
from dl4mir_utils.errors import BadArgumentError
from dl4mir_utils.features import clip_features, layer_means, mfcc_statistics, mini_features
from dl4mir_utils.models import compact_cnn, embeddings, musicnn

RNG = np.random.default_rng(0)
NOISE = (0.1 * RNG.standard_normal(7 * 16000)).astype(np.float32)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DL4MIR_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def quick(monkeypatch):
    """Counters in the place of networks; what they are given is recorded."""
    calls = []

    def compute(sounds, network):
        sounds = list(sounds)
        calls.append((network, len(sounds)))
        layers = {f"layer_{n}": np.full((len(sounds), 2), n, np.float32) for n in range(5)}
        layers["layer_4"][:, 0] = np.arange(len(sounds))
        return layers | {"mfcc": np.zeros((len(sounds), 120), np.float32)}

    monkeypatch.setattr(features, "_compute", compute)
    return calls


def test_layers_of_musicnn_are_means_over_the_windows():
    model = musicnn("msd")
    layers = layer_means([NOISE, NOISE[: 5 * 16000]], model)
    assert [layer.shape for layer in layers] == [(2, 561), (2, 64), (2, 64), (2, 64), (2, 200)]
    assert all(layer.dtype == np.float32 for layer in layers)
    # A window of `embeddings` reaches 256 samples beyond the start; with as much silence before, both cut alike.
    later = np.concatenate([np.zeros(256, np.float32), NOISE])
    for answer, name in ((np.concatenate(layers[:4], axis=1), "mean_pool"), (layers[4], "penultimate")):
        windows = embeddings(later, model, name, hop_s=48128 / 16000)
        assert np.corrcoef(answer[0], windows[:2].mean(axis=0))[0, 1] > 0.99


def test_layers_of_compact_cnn():
    layers = layer_means([NOISE], compact_cnn())
    assert [layer.shape for layer in layers] == [(1, 32)] * 5
    assert all(np.isfinite(layer).all() and np.ptp(layer) > 0 for layer in layers)


def test_compact_cnn_answers_like_its_teacher():
    data = load("mini/tags").split()
    model = compact_cnn()
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == 39282  # as published
    test = data.where(data.frame.split == "test")
    kept = test.frame.index[::6]
    audio = np.stack([test.audio(name, 12000)[: 3 * 36864] for name in kept]).reshape(-1, 36864, 1)
    answers = model.predict(audio, verbose=0).reshape(len(kept), 3, 50).mean(axis=1)
    truth = test.labels()[::6]
    assert np.corrcoef(answers.ravel(), truth.ravel())[0, 1] > 0.7


def test_mfcc_statistics():
    sound = 0.1 * np.sin(2 * np.pi * 440 * np.arange(32000) / 16000)
    statistics = mfcc_statistics(sound)
    assert statistics.shape == (120,) and statistics.dtype == np.float32
    assert (statistics[60:] >= 0).all()  # deviations
    assert mfcc_statistics(10 * sound)[0] - statistics[0] == pytest.approx(20 * 8, abs=2)  # 20 dB, √64 bands


def test_rows_are_those_of_the_clips(own_cache, quick):
    everyone = load("mini/tags").frame.index
    names = everyone[[7, 3]]
    layers, mfcc = clip_features(names)
    assert layers[4][:, 0].tolist() == [7, 3] and mfcc.shape == (2, 120)
    task = mini_features("album", "musicnn_mtt")
    data = load("mini/album")
    assert everyone[task.features[4][:, 0].astype(int)].tolist() == data.frame.index.tolist() == task.files.tolist()
    assert task.labels.tolist() == data.labels().tolist() and task.classes == data.classes
    assert task.groups.tolist() == data.frame["track"].tolist()
    assert quick == [("musicnn_msd", 468), ("musicnn_mtt", 468)]


def test_splits_and_groups_are_honest(own_cache, quick):
    genre, tags, singing = (mini_features(task) for task in ("genre", "tags", "singing"))
    for task in (genre, tags):
        assert set(task.split) == {"train", "valid", "test"}
        assert all(len(set(task.split[task.groups == group])) == 1 for group in set(task.groups))
    assert tags.labels.shape == (468, 50) and tags.labels.dtype == np.float64
    assert len(singing) == 240 and set(singing.split) == {"train", "test"} == set(singing.groups)
    assert singing.classes == ("nosing", "sing")
    assert 0.3 < singing.labels.mean() < 0.7


def test_what_is_kept_is_not_computed_again_and_damage_is_mended(own_cache, quick):
    first = mini_features("genre")
    again = mini_features("genre")
    assert len(quick) == 1
    assert all((first.features[n] == again.features[n]).all() for n in range(5))
    (kept,) = (own_cache / "features").glob("*.npz")
    for times, size in enumerate([1000, 0], start=2):
        kept.write_bytes(kept.read_bytes()[:size])
        mini_features("genre")
        assert len(quick) == times
    mini_features("genre")
    assert len(quick) == 3
    assert list((own_cache / "features").iterdir()) == [kept]


def test_a_sound_shorter_than_a_window_is_refused():
    with pytest.raises(BadArgumentError, match=r"lasts 1\.00 s; the tagger hears 3\.01 s"):
        layer_means([NOISE[:16000]], musicnn("msd"))


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path, monkeypatch, quick):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("DL4MIR_DATA", str(tmp_path / "file"))
    assert len(mini_features("genre")) == 315


def test_refuses(own_cache):
    with pytest.raises(BadArgumentError, match="no task 'moods'; there are genre"):
        mini_features("moods")
    with pytest.raises(BadArgumentError, match="network is 'vgg'; it must be one of musicnn_msd"):
        mini_features("genre", "vgg")
    with pytest.raises(BadArgumentError, match="Not all of these are clips"):
        clip_features(["0ad_01_0", "nobody"])
