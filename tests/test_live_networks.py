"""The live page's own networks: files as the recipes make them, the page's constant-Q picture, its neighbours."""

import base64
import csv
import hashlib
import importlib.util
import json

import numpy as np
import pytest
import soundfile
from page_picture import PERIODS, page_frame

from dl4mir_utils.apps.lite import Network, network, read_card
from dl4mir_utils.apps.similar import file_embedding, unit
from dl4mir_utils.apps.tag import file_tags
from dl4mir_utils.chords import CHORD_NAMES, PITCH_CLASSES
from dl4mir_utils.data import load
from dl4mir_utils.decoding import SILENCE
from dl4mir_utils.live import neighbours as live_neighbours
from dl4mir_utils.live.networks import NETWORKS
from dl4mir_utils.models.lite import Signature, to_tflite
from dl4mir_utils.paths import course_file
from dl4mir_utils.pitch import cqt_frames, cqt_frequencies

LABELS = {
    "genre_mini": ("electronic", "metal", "orchestral"),
    "pitch": PITCH_CLASSES,
    "chords": CHORD_NAMES,
}
AGREEMENT = 0.98  # how often the page's picture must lead to the answer that the helper's picture leads to


def recipe(name):
    path = course_file("pretrained/musicnn_mtt.npz").parents[2] / f"tools/recipes/{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def genre_recipe():
    return recipe("train_genre")


@pytest.fixture(scope="module")
def small_recipe():
    return recipe("train_pitch_and_chords")


# --- files and cards ----------------------------------------------------------------------------------------------


def test_the_page_brings_six_networks():
    found = NETWORKS
    assert [one.name for one in found][:3] == ["musicnn_mtt", "musicnn_msd", "singing_detector"]
    for one in found:
        assert one.file.is_file() and one.card_file.is_file() and len(one.title) > 10
    assert sum(one.file.stat().st_size for one in found) < 6.5e6


@pytest.mark.parametrize("name", LABELS)
def test_the_card_tells_of_the_file_beside_it(name):
    path = course_file(f"pretrained/{name}.tflite")
    card, content = read_card(path), path.read_bytes()
    assert card["file"] == path.name and card["sha256"] == hashlib.sha256(content).hexdigest()
    assert tuple(card["labels"]) == LABELS[name]
    (signature,) = card["signatures"].values()
    (shape,) = signature["outputs"].values()
    assert shape == [1, len(card["labels"])]
    assert len(card["score"]["text"]) > 50 and card["licence"] == "MIT"


@pytest.mark.parametrize("name", ["pitch", "chords"])
def test_small_networks_are_what_the_recipe_would_write_today(small_recipe, tmp_path, name):
    """If this fails, a network has changed: run tools/recipes/train_pitch_and_chords.py."""
    shipped = Network(course_file(f"pretrained/{name}.tflite"))
    model = small_recipe.export(name, tmp_path, shipped.card["score"])
    assert model.count_params() == {"pitch": 432, "chords": 74}[name]
    fresh = Network(tmp_path / f"{name}.tflite")
    given, shape = next(iter(fresh.card["signatures"].items()))
    (key,) = shape["inputs"]
    for seed in range(5):
        frames = np.random.default_rng(seed).random(shape["inputs"][key]).astype(np.float32)
        (answer,) = fresh(given, **{key: frames}).values()
        np.testing.assert_allclose(answer, model(frames, training=False), atol=1e-5)
        np.testing.assert_allclose(answer, *shipped(given, **{key: frames}).values(), atol=1e-5)
    del fresh.card["sha256"], shipped.card["sha256"]
    assert fresh.card == shipped.card


def test_the_genre_network_is_what_the_recipe_would_write_today(genre_recipe, tmp_path):
    """If this fails, the network has changed: run tools/recipes/train_genre.py, with --export if not its weights."""
    shipped = Network(course_file("pretrained/genre_mini.tflite"))
    measured = genre_recipe.measured_before()
    model = genre_recipe.export(tmp_path, measured)
    fresh = Network(tmp_path / "genre_mini.tflite")
    single = {"window": Signature(model, {"audio": (1, genre_recipe.WINDOW, 1)}, ["genre"])}
    to_tflite(tmp_path / "single.tflite", single, labels=["a", "b", "c"], half=False)
    exact, clips = Network(tmp_path / "single.tflite"), load("mini/genre")
    for name in clips.frame.index[::40]:
        audio = genre_recipe.windows(clips.audio(name))[3][np.newaxis, :, np.newaxis]
        wanted = model(audio, training=False)
        np.testing.assert_allclose(exact("window", audio=audio)["genre"], wanted, atol=1e-5)
        np.testing.assert_allclose(fresh("window", audio=audio)["genre"], wanted, atol=2e-3)
        np.testing.assert_allclose(shipped("window", audio=audio)["genre"], wanted, atol=2e-3)
    del fresh.card["sha256"], shipped.card["sha256"]
    assert fresh.card == shipped.card


def test_the_genre_card_says_how_its_answers_are_read(genre_recipe):
    card = read_card(course_file("pretrained/genre_mini.tflite"))
    assert card["signatures"]["window"]["inputs"]["audio"] == [1, card["window_samples"], 1]
    assert 1 / 3 < card["unsure_below"] < 1 and card["silent_below"] == SILENCE
    score = card["score"]
    assert score["interval"][0] < score["accuracy"] < score["interval"][1]
    assert (score["clips"], score["artists"]) == (315, load("mini/genre").frame["group"].nunique())
    assert f"{100 * score['accuracy']:.0f} %" in score["text"] and "never heard" in score["text"]
    for name, tags in card["genre_tags"].items():
        assert set(tags) <= set(read_card(course_file(f"pretrained/{name}.tflite"))["labels"])
        assert len(set(tags)) == len(tags) > 10


def test_the_genre_network_is_mostly_unsure_of_voices_and_knows_its_own_clips(genre_recipe):
    shipped, clips = network("genre_mini"), load("mini/genre")
    threshold = shipped.card["unsure_below"]

    def answers(sound):
        rows = [
            shipped("window", audio=one[np.newaxis, :, np.newaxis])["genre"][0] for one in genre_recipe.windows(sound)
        ]
        return genre_recipe.smoothed(np.array(rows))

    names = clips.frame.index[::20]
    right = [
        answers(clips.audio(name)).mean(axis=0).argmax() == LABELS["genre_mini"].index(clips.frame.label[name])
        for name in names
    ]
    assert np.mean(right) > 0.85  # it has heard them
    voices = [np.concatenate(of_one[:4]) for of_one in genre_recipe.lines("test").values()]
    unsure = np.concatenate([answers(voice).max(axis=1) < threshold for voice in voices])
    assert unsure.mean() > 0.7


def test_smoothing_is_the_mean_of_those_that_are_there(genre_recipe):
    rows = np.arange(12.0).reshape(6, 2)
    smooth = genre_recipe.smoothed(rows)
    np.testing.assert_allclose(smooth[:, 0], [2, 3, 4, 6, 7, 8])


def test_a_threshold_answers_the_share_that_it_was_chosen_for(genre_recipe):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 100)
    votes = rng.normal(0, 1, (300, 12, 3)) + 2 * np.eye(3)[labels][:, np.newaxis]
    logs = np.log(genre_recipe.tempered(votes, 1.0))
    temperature, threshold = genre_recipe.calibrated(logs, labels)
    answered, right = genre_recipe.judged(logs, labels, temperature, threshold)
    assert answered.mean() == pytest.approx(genre_recipe.ANSWERED, abs=0.01)
    assert right.sum() / answered.sum() > 0.9
    np.testing.assert_allclose(genre_recipe.tempered(logs, 1.0).sum(axis=2), 1)


# --- the page's constant-Q picture --------------------------------------------------------------------------------


def page_pictures(sounds, frames):
    """Return (sounds, 36, frames): those frames of each sound."""
    return np.array([np.stack([page_frame(sound, 512 * k) for k in frames], axis=1) for sound in sounds])


def answers(name, pictures):
    """Return the strongest answer to each picture (sounds, 36, frames)."""
    lite = network(name)
    ((signature, shapes),) = lite.card["signatures"].items()
    (key,) = shapes["inputs"]
    shape = shapes["inputs"][key]
    return np.array([next(iter(lite(signature, **{key: one.reshape(shape)}).values()))[0].argmax() for one in pictures])


def test_the_picture_has_the_periods_that_the_card_tells():
    picture = read_card(course_file("pretrained/pitch.tflite"))["picture"]
    assert picture == read_card(course_file("pretrained/chords.tflite"))["picture"]
    assert picture["periods"] == pytest.approx(PERIODS, abs=1e-4) and picture["bins"] == len(cqt_frequencies())


def test_recorded_notes_are_named_alike_with_the_pages_picture(small_recipe):
    sounds, labels, _ = small_recipe.recorded_notes()
    middle = cqt_frames(sounds)[:, :, 16:17], page_pictures(sounds, [16])
    by_helper, by_page = (answers("pitch", pictures) for pictures in middle)
    assert np.mean(by_helper == by_page) >= AGREEMENT
    assert np.mean(by_page == labels) > 0.9
    frames = range(4, 28, 3)
    helper, page = cqt_frames(sounds)[:, :, frames], page_pictures(sounds, frames)
    alike = [answers("pitch", helper[..., k]) == answers("pitch", page[..., k]) for k in range(len(frames))]
    assert np.mean(alike) >= AGREEMENT


@pytest.mark.parametrize("wave", ["sine", "sawtooth"])
def test_test_chords_are_named_alike_with_the_pages_picture(small_recipe, wave):
    sounds, numbers = small_recipe.chords(300, 8, wave)
    by_helper = answers("chords", cqt_frames(sounds)[:, :, 2:5])
    by_page = answers("chords", page_pictures(sounds, [2, 3, 4]))
    assert np.mean(by_helper == by_page) >= AGREEMENT and np.mean(by_page == numbers) > 0.98


def test_recorded_chords_are_named_alike_with_the_pages_picture(small_recipe):
    sounds, _ = small_recipe.recorded_chords(150)
    by_helper = answers("chords", cqt_frames(sounds)[:, :, 15:18])
    assert np.mean(by_helper == answers("chords", page_pictures(sounds, [15, 16, 17]))) >= AGREEMENT


# --- neighbours ---------------------------------------------------------------------------------------------------


def test_neighbours_are_those_of_the_command_line_and_cached(tmp_path, monkeypatch):
    all_rows = live_neighbours.first_of_each
    monkeypatch.setattr(live_neighbours, "first_of_each", lambda column, rows: all_rows(column, rows)[:182:60])
    cache = tmp_path / "build" / "neighbours.json"
    found, sounds = live_neighbours.neighbours(cache)
    assert json.loads(json.dumps(found)) == found and found["values"] == 200
    vectors = np.frombuffer(base64.b64decode(found["vectors"]), "<f4").reshape(-1, 200)
    assert len(vectors) == len(found["clips"]) == len(sounds) == 4
    for clip, vector in zip(found["clips"], vectors, strict=True):
        file = course_file(f"mini/clips/{clip['clip']}.ogg")
        embedding = file_embedding(file)
        np.testing.assert_allclose(vector, unit(embedding), atol=1e-5)
        assert clip["licence"] in clip["credit"] and clip["artist"] in clip["credit"]
        wanted = live_neighbours.preview(file) if clip["preview_s"] else file.read_bytes()
        assert sounds[clip["clip"]] == wanted
    assert [clip["preview_s"] for clip in found["clips"]] == [0, 6, 6, 6]  # as if all were of one artist
    with monkeypatch.context() as patched:
        patched.setattr(live_neighbours, "_of_each", lambda work, files: pytest.fail("they are in the cache"))
        assert live_neighbours.neighbours(cache) == (found, sounds)
    content = cache.read_text("utf-8")
    short = json.loads(content)
    short["stored"].popitem()
    for damaged in ('{"digest": "', json.dumps(short), content.replace("T2dnUw", "T2dnUx", 1), "[]"):
        cache.write_text(damaged, "utf-8")
        assert live_neighbours.neighbours(cache) == (found, sounds)
        assert cache.read_text("utf-8") == content  # previews are the same bytes every time
    monkeypatch.setattr(live_neighbours, "PREVIEW_BITS", 9000)
    live_neighbours.neighbours(cache)
    assert cache.read_text("utf-8") != content  # it was made anew


def test_each_piece_is_there_once():
    table = load("mini/tracker").frame
    rows = [{"track": track, "clip_id": name} for name, track in table["track"].items()]
    chosen = live_neighbours.first_of_each("track", rows)
    assert len(chosen) == table["track"].nunique() == len({row["track"] for row in chosen})


def test_of_each_artist_one_clip_is_whole():
    with course_file("mini/clips.csv").open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    whole = [
        row["group"] for row in live_neighbours.first_of_each("group", live_neighbours.first_of_each("track", rows))
    ]
    assert len(whole) == 26 and set(whole) == {row["group"] for row in rows}


def test_previews_are_small_and_sound_like_their_clips(tmp_path):
    """Of the three strongest tags of a clip, three in four are those of its preview."""
    files = sorted(course_file("mini/clips.csv").parent.glob("clips/*.ogg"))[::20]
    strongest, sizes = [], []
    for file in files:
        short = tmp_path / "preview.ogg"
        short.write_bytes(live_neighbours.preview(file))
        head = soundfile.info(short)
        assert (head.subtype, head.channels) == ("OPUS", 1)
        # soundfile may leave out the last packet, which is filled up with silence.
        assert head.duration == pytest.approx(live_neighbours.PREVIEW_S, abs=0.06)
        sizes.append(short.stat().st_size / file.stat().st_size)
        strongest.append([set(np.argsort(file_tags(each, "musicnn_mtt"))[-3:]) for each in (file, short)])
    assert np.mean(sizes) < 0.4
    assert np.mean([len(whole & cut) / 3 for whole, cut in strongest]) > 0.75
