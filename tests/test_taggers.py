"""The published taggers: they are what was published, and they hear what they should."""

from pathlib import Path

import keras
import numpy as np
import pytest

from dl4mir_utils.data import load
from dl4mir_utils.errors import BadArgumentError, DataNotFoundError
from dl4mir_utils.models import MSD_TAGS, MTT_TAGS, embeddings, musicnn, musicnn_vgg, taggram
from dl4mir_utils.models.musicnn import EXCERPT, HOP, RATE, frames, load_musicnn
from dl4mir_utils.paths import course_file

# What the originals answer, by tools/recipes/check_musicnn.py.
REFERENCE = np.load(Path(__file__).parent / "reference" / "musicnn.npz")
NETWORKS = [(network, trained_on) for network in (musicnn, musicnn_vgg) for trained_on in ("mtt", "msd")]


@pytest.mark.parametrize(
    ("network", "trained_on", "weights", "tags", "strings", "metal"),
    [
        (musicnn, "mtt", 792_079, MTT_TAGS, {"strings", "classical", "violin"}, {"rock", "metal"}),
        (musicnn, "msd", 792_079, MSD_TAGS, {"instrumental"}, {"metal", "heavy metal", "rock"}),
        (musicnn_vgg, "mtt", 607_030, MTT_TAGS, {"strings", "classical", "violin"}, {"rock", "metal"}),
        (musicnn_vgg, "msd", 607_030, MSD_TAGS, {"instrumental"}, {"metal", "heavy metal", "rock"}),
    ],
)
def test_taggers_have_their_size_and_hear_strings_and_metal(network, trained_on, weights, tags, strings, metal):
    model = network(trained_on)
    assert model.count_params() == weights and len(tags) == len(set(tags)) == 50
    clips = load("mini/genre")
    for clip, expected in (("0ad_01_0", strings), ("muldjord_02_1", metal)):
        answer = taggram(clips.audio(clip), model)
        assert answer.shape == (8, 50) and answer.dtype == np.float32
        best = {tags[number] for number in np.argsort(-answer.mean(axis=0))[:5]}
        assert expected <= best


@pytest.mark.parametrize(("network", "trained_on"), NETWORKS)
def test_taggers_answer_as_the_published_graphs(network, trained_on):
    model, name = network(trained_on), f"{network.__name__}_{trained_on}"
    outputs = [key.removeprefix(f"{name}_") for key in ("tags", "penultimate", "mean_pool", "max_pool")]
    outputs = [output for output in outputs if f"{name}_{output}" in REFERENCE]
    behind = keras.Model(model.get_layer("bn_mel").input, [model.get_layer(output).output for output in outputs])
    answers = behind(REFERENCE["log_mel"].astype(np.float32)[..., np.newaxis], training=False)
    assert len(answers) == (4 if network is musicnn else 2)
    for output, answer in zip(outputs, answers, strict=True):
        theirs = REFERENCE[f"{name}_{output}"]
        off = np.abs(answer.numpy().reshape(theirs.shape) - theirs).max()
        assert off < 1e-5 * max(1, np.abs(theirs).max()), output


@pytest.mark.parametrize(("network", "trained_on"), NETWORKS)
def test_taggers_answer_to_audio_as_the_published_graphs_to_spectrograms_by_librosa(network, trained_on):
    model = network(trained_on)
    for clip in ("0ad_01_0", "maxstack_01_0", "muldjord_02_1"):
        theirs = REFERENCE[f"{network.__name__}_{trained_on}_{clip}"]
        ours = taggram(load("mini/tracker").audio(clip), model, 61 * HOP / RATE)  # the original's hop of one second
        assert np.abs(ours - theirs).max() < 1e-2


def test_embeddings_are_those_of_the_windows():
    audio = load("mini/tracker").audio("0ad_01_0")
    model = musicnn()
    for layer, values in (("penultimate", 200), ("mean_pool", 753), ("max_pool", 753)):
        assert embeddings(audio, model, layer).shape == (8, values)
    tags = model.get_layer("tags")(embeddings(audio, model, hop_s=2.0))
    np.testing.assert_allclose(tags, taggram(audio, model, 2.0), atol=1e-6)
    assert embeddings(audio, musicnn_vgg("msd")).shape == (8, 256)


def test_frames_do_not_depend_on_what_comes_long_before():
    audio = keras.Input((None, 1))
    model = keras.Model(audio, frames(audio))
    load_musicnn(model)
    clip = load("mini/genre").audio("0ad_01_0")[np.newaxis, :, np.newaxis]
    whole, later = model(clip, training=False).numpy(), model(clip[:, 25600:], training=False).numpy()
    assert whole.shape == (1, 626, 753)
    np.testing.assert_allclose(whole[:, 300:500], later[:, 200:400], atol=0.05)


@pytest.mark.parametrize(
    ("seconds", "hop_s", "windows"), [(0.01, 1, 1), (2.9, 1, 1), (3, 1, 1), (3.9, 1, 1), (4, 1, 2), (10, 0.5, 15)]
)
def test_windows_begin_every_hop_as_long_as_they_fit(seconds, hop_s, windows):
    audio = np.random.default_rng(0).normal(0, 0.1, round(16000 * seconds)).astype(np.float32)
    loudest = keras.Sequential([keras.Input((None, 1)), keras.layers.GlobalMaxPooling1D()])
    padded = np.pad(np.pad(audio, 256, mode="reflect"), (0, EXCERPT))  # frames are centred
    expected = [padded[start:][:EXCERPT].max() for start in np.arange(windows) * round(16000 * hop_s)]
    answer = taggram(audio, loudest, hop_s)
    assert answer.shape == (windows, 1)
    np.testing.assert_allclose(answer[:, 0], expected)


def test_a_network_of_one_length_gets_windows_of_that_length():
    longest = keras.Sequential([keras.Input((1000, 1)), keras.layers.Flatten()])
    assert taggram(np.zeros(16000, np.float32), longest, 1000 / 16000).shape == (16, 1000)


@pytest.mark.parametrize(
    "audio", [np.zeros(0, np.float32), np.zeros((2, 48000), np.float32), np.zeros(48000, int), np.full(48000, np.nan)]
)
def test_what_is_no_audio_is_refused(audio):
    with pytest.raises(BadArgumentError, match="row of finite floats"):
        taggram(audio, keras.Sequential([keras.Input((None, 1)), keras.layers.GlobalMaxPooling1D()]))


def test_other_mistakes_are_refused():
    model = keras.Sequential([keras.Input((None, 1)), keras.layers.GlobalMaxPooling1D()])
    audio = np.zeros(48000, np.float32)
    for hop_s in (0, -1, float("nan"), float("inf")):
        with pytest.raises(BadArgumentError, match="hop_s"):
            taggram(audio, model, hop_s)
    with pytest.raises(BadArgumentError, match="no layer 'penultimate'"):
        embeddings(audio, model)
    for network in (musicnn, musicnn_vgg):
        with pytest.raises(BadArgumentError, match="'mtt' or 'msd'"):
            network("jamendo")


def test_missing_weights_say_where_they_should_be():
    with pytest.raises(DataNotFoundError, match="clone of the repository"):
        course_file("pretrained/no_such_network.npz")


def test_the_pretrained_files_are_small():
    assert sum(path.stat().st_size for path in course_file("pretrained/musicnn_mtt.npz").parent.iterdir()) <= 18e6
