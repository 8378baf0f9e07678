"""The published taggers: they are what was published, and they hear what they should."""

import keras
import numpy as np
import pytest

from dl4mir_utils.data import load
from dl4mir_utils.data.loaders.mini import course_file
from dl4mir_utils.errors import BadArgumentError, DataNotFoundError
from dl4mir_utils.models import MSD_TAGS, MTT_TAGS, embeddings, musicnn, musicnn_vgg, taggram
from dl4mir_utils.models.musicnn import EXCERPT, frames, load_musicnn


@pytest.mark.parametrize(
    ("network", "trained_on", "weights", "tags", "strings", "metal"),
    [
        (musicnn, "mtt", 792_079, MTT_TAGS, {"strings", "classical", "violin"}, {"rock", "metal"}),
        (musicnn, "msd", 792_079, MSD_TAGS, {"instrumental"}, {"metal", "heavy metal", "rock"}),
        (musicnn_vgg, "mtt", 607_030, MTT_TAGS, {"strings", "classical", "violin"}, {"rock", "metal"}),
        (musicnn_vgg, "msd", 607_030, MSD_TAGS, {"instrumental"}, {"metal", "rock"}),
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


def test_frames_do_not_depend_on_what_comes_long_before():
    audio = keras.Input((None, 1))
    model = keras.Model(audio, frames(audio))
    load_musicnn(model)
    clip = load("mini/genre").audio("0ad_01_0")[np.newaxis, :, np.newaxis]
    whole, later = model(clip, training=False).numpy(), model(clip[:, 25600:], training=False).numpy()
    assert whole.shape == (1, 626, 753)
    np.testing.assert_allclose(whole[:, 300:500], later[:, 200:400], atol=0.05)


@pytest.mark.parametrize(
    ("seconds", "hop_s", "windows"), [(0.01, 1, 1), (2.9, 1, 1), (3, 1, 1), (3.99, 1, 1), (4, 1, 2), (10, 0.5, 15)]
)
def test_windows_begin_every_hop_as_long_as_they_fit(seconds, hop_s, windows):
    audio = np.random.default_rng(0).normal(0, 0.1, round(16000 * seconds)).astype(np.float32)
    loudest = keras.Sequential([keras.Input((None, 1)), keras.layers.GlobalMaxPooling1D()])
    padded = np.pad(audio, (256, EXCERPT))  # frames are centred
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
    assert sum(path.stat().st_size for path in course_file("pretrained/musicnn_mtt.npz").parent.iterdir()) <= 12e6
