"""What resembles a sound, and the index of what was heard."""

import os
import shutil
import sqlite3
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
import stub_networks

from dl4mir_utils import AudioDecodeError, BadArgumentError
from dl4mir_utils.apps import index as index_module
from dl4mir_utils.apps.index import SoundIndex
from dl4mir_utils.apps.similar import artist, between, direction, excerpts, file_embedding, unit
from dl4mir_utils.data import load
from dl4mir_utils.errors import SoundIndexError
from dl4mir_utils.models import embeddings, musicnn

stubs = stub_networks.stubs  # a fixture
RATE, WINDOW = 16000, 48128


def write_tone(file, pitch=440, seconds=1.0, level=0.5):
    stub_networks.write_tone(file, level, pitch, seconds)


@pytest.fixture
def heard(stubs, tmp_path, monkeypatch):
    """The list of what has been heard, by name; sounds resemble each other as their pitch does."""
    names = []
    embed = index_module.file_embedding
    monkeypatch.setattr(
        index_module, "file_embedding", lambda path, *threads: names.append(path.name) or embed(path, *threads)
    )
    for pitch in (200, 300, 1000, 1100, 1200, 5000):
        write_tone(tmp_path / "music" / ("low" if pitch < 500 else "high") / f"{pitch}.wav", pitch)
    return names


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "music"


def update(folder, index=None):
    """Hear what is new or changed; return its names and what failed."""
    index, failures = index or SoundIndex(), {}
    files, new, _ = index.update(folder)
    for file in new:
        try:
            index.add(file)
        except (AudioDecodeError, BadArgumentError) as error:
            failures[file.name] = str(error)
    assert set(new) <= set(files)
    return sorted(file.name for file in new), failures


def names(neighbours):
    return [file.name for file in neighbours.files]


def test_only_what_is_new_or_changed_is_heard(heard, folder):
    everything = sorted(path.name for path in folder.rglob("*.wav"))
    assert update(folder) == (everything, {}) and sorted(heard) == everything
    heard.clear()
    assert update(folder) == ([], {}) and heard == []
    write_tone(folder / "new/800.wav", 800)
    write_tone(folder / "low/200.wav", 250, seconds=1.5)
    assert update(folder) == (["200.wav", "800.wav"], {}) and sorted(heard) == ["200.wav", "800.wav"]
    (folder / "high/1100.wav").unlink()
    assert update(folder) == ([], {})
    near = SoundIndex().nearest([folder / "high/1000.wav"], folder)
    assert sorted(names(near)) == ["1200.wav", "200.wav", "300.wav", "5000.wav", "800.wav"]


def test_what_was_moved_or_touched_is_not_heard_again(heard, folder, tmp_path):
    update(folder)
    before = names(SoundIndex().nearest([folder / "high/1000.wav"], folder))
    heard.clear()
    (folder / "high").rename(folder / "treble")
    os.utime(folder / "low/200.wav", (0, 0))
    assert len(update(folder)[0]) == 5 and heard == []
    assert names(SoundIndex().nearest([folder / "treble/1000.wav"], folder)) == before
    folder.rename(tmp_path / "drive")  # the drive is gone for a day; then it comes back under another name
    folder.mkdir()
    assert update(folder) == ([], {})
    assert update(tmp_path / "drive")[0] != [] and heard == []


def test_neighbours_come_in_order(heard, folder, tmp_path):
    update(folder)
    index = SoundIndex()
    near = index.nearest([folder / "high/1100.wav"], folder)
    assert near.copies == [] and len(near.files) == 5 and set(names(near)[:2]) == {"1000.wav", "1200.wav"}
    assert near.files[0].parent == folder / "high"
    assert near.similarity.dtype == np.float32 and (np.diff(near.similarity) <= 0).all() and near.similarity[0] < 1
    assert names(index.nearest([folder / "high/1100.wav"], folder, 2)) == names(near)[:2]
    assert names(index.nearest([folder / "high/1100.wav"], folder / "low")).count("1000.wav") == 0
    write_tone(tmp_path / "seed.wav", 1105)  # a seed from elsewhere finds the tone that it was made from, too
    assert names(index.nearest([tmp_path / "seed.wav"], folder))[0] == "1100.wav"
    assert heard[-1] == "seed.wav" and "seed.wav" not in update(folder)[0]


def test_copies_of_the_seed_are_named_and_no_neighbours(heard, folder, tmp_path):
    shutil.copy(folder / "low/200.wav", folder / "high/again.wav")
    shutil.copy(folder / "low/200.wav", tmp_path / "seed.wav")
    update(folder)
    assert heard.count("200.wav") + heard.count("again.wav") == 1
    near = SoundIndex().nearest([folder / "low/200.wav"], folder)
    assert near.copies == [folder / "high/again.wav"] and not {"200.wav", "again.wav"} & set(names(near))
    near = SoundIndex().nearest([tmp_path / "seed.wav"], folder)
    assert near.copies == [folder / "high/again.wav", folder / "low/200.wav"] and len(near.files) == 5


def test_links_are_known_by_their_own_names(heard, folder, tmp_path):
    (folder / "link.wav").symlink_to(folder / "low/200.wav")
    (tmp_path / "link").symlink_to(folder)
    update(folder)
    near = SoundIndex().nearest([folder / "link.wav"], folder)
    assert near.copies == [folder / "low/200.wav"] and not {"200.wav", "link.wav"} & set(names(near))
    heard.clear()
    assert update(tmp_path / "link") == ([], {}) and heard == []
    near = SoundIndex().nearest([folder / "low/200.wav"], tmp_path / "link")
    assert near.copies == [tmp_path / "link/link.wav"] and near.files[0] == tmp_path / "link/low/300.wav"


def test_a_library_of_one_or_two(heard, folder, tmp_path):
    shutil.rmtree(folder / "high")
    update(folder)
    near = SoundIndex().nearest([folder / "low/200.wav"], folder)
    assert names(near) == ["300.wav"] and -1 <= near.similarity[0] <= 1
    (folder / "low/300.wav").unlink()
    update(folder)
    near = SoundIndex().nearest([folder / "low/200.wav"], folder)
    assert near.files == near.copies == [] and near.similarity.shape == (0,)


def test_what_cannot_be_heard_is_tried_again(heard, folder):
    (folder / "broken.mp3").write_bytes(b"no song at all" * 1000)
    write_tone(folder / "silence.wav", level=0)
    (folder / "gone.wav").symlink_to(folder / "nowhere.wav")
    for _ in range(2):
        new, failures = update(folder)
        assert new[-3:] == ["broken.mp3", "gone.wav", "silence.wav"]
        assert failures.keys() == {"broken.mp3", "gone.wav", "silence.wav"} and "does not exist" in failures["gone.wav"]
    write_tone(folder / "silence.wav", 440)
    assert update(folder)[1].keys() == {"broken.mp3", "gone.wav"}
    write_tone(folder / "low/200.wav", level=0)  # was heard, but is something else now
    update(folder)
    assert "200.wav" not in names(SoundIndex().nearest([folder / "low/300.wav"], folder))


def interrupt(*_):
    raise KeyboardInterrupt


def test_an_interruption_loses_nothing(heard, folder, monkeypatch):
    index = SoundIndex()
    _, new, _ = index.update(folder)
    for file in new[:4]:
        index.add(file)
    monkeypatch.setattr(index_module, "file_embedding", interrupt)
    with pytest.raises(KeyboardInterrupt):
        index.add(new[4])
    assert SoundIndex().update(folder).new == new[4:]


@pytest.mark.parametrize("damage", ["head", "middle", "end", "other file", "other version"])
def test_a_damaged_index_is_made_anew(heard, folder, damage):
    update(folder)
    index = SoundIndex()
    assert index.note == ""
    content = index.path.read_bytes()
    if damage == "other version":
        with sqlite3.connect(index.path) as db:
            db.execute(f"PRAGMA user_version = {index_module.VERSION + 1}")
        db.close()
    else:
        broken = {
            "head": b"\0" * 100 + content[100:],
            "middle": content[:4096] + b"\xff" * 4096 + content[8192:],
            "end": content[: len(content) // 2],
            "other file": b"[general]\n",
        }
        index.path.write_bytes(broken[damage])
        Path(f"{index.path}-journal").write_bytes(b"what a crash left")
    anew = SoundIndex()
    assert "made anew" in anew.note and ("another version" if damage == "other version" else "damaged") in anew.note
    assert str(index.path) in anew.note
    if damage != "other version":
        assert Path(f"{index.path}.old").read_bytes() == broken[damage]  # nothing is lost
    assert len(anew.update(folder).new) == 6
    update(folder, anew)
    assert SoundIndex().note == "" and SoundIndex().update(folder).new == []


def test_an_index_that_cannot_be_used(heard, folder, tmp_path, monkeypatch):
    with pytest.raises(SoundIndexError, match="--index"):
        SoundIndex(tmp_path / "none/x.dl4mir")
    with pytest.raises(SoundIndexError, match="--index"):
        SoundIndex(folder)
    index = SoundIndex(tmp_path / "own.dl4mir")
    other = sqlite3.connect(index.path)
    other.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(index_module, "WAIT_S", 0.01)
    with pytest.raises(SoundIndexError, match="locked"):
        SoundIndex(index.path)
    with pytest.raises(SoundIndexError, match="locked"):
        index.update(folder)
    other.close()
    with pytest.raises(BadArgumentError, match="not a folder"):
        index.update(folder / "high/1000.wav")
    with pytest.raises(AudioDecodeError, match="does not exist"):
        index.nearest([folder / "none.wav"], folder)


def test_tags_are_kept_as_embeddings_are(heard, folder, tmp_path, monkeypatch):
    file, index, tagged = folder / "low/200.wav", SoundIndex(), []
    whole = index_module.file_tags
    monkeypatch.setattr(index_module, "file_tags", lambda *given: tagged.append(given[1]) or whole(*given))
    answer = index.tags(file, "musicnn_mtt")
    assert answer.shape == (50,) and answer.dtype == np.float32
    np.testing.assert_array_equal(index.tags(file, "musicnn_mtt"), answer)
    shutil.copy(file, tmp_path / "copy.wav")
    assert index.known_tags([tmp_path / "copy.wav"], "musicnn_mtt") == {}  # it would have to be read
    np.testing.assert_array_equal(SoundIndex().tags(tmp_path / "copy.wav", "musicnn_mtt"), answer)
    known = index.known_tags([file, tmp_path / "copy.wav", folder / "none.wav"], "musicnn_mtt")
    assert known.keys() == {file, tmp_path / "copy.wav"} and tagged == ["musicnn_mtt"]
    np.testing.assert_array_equal(known[file], answer)
    assert index.known_tags([file], "musicnn_msd") == {} and index.update(folder).new  # heard in another way
    index.tags(file, "musicnn_msd")
    os.utime(file, (0, 0))
    assert index.known_tags([file], "musicnn_mtt") == {}
    index.tags(file, "musicnn_mtt")
    assert tagged == ["musicnn_mtt", "musicnn_msd"] and heard == []


def test_networks_that_change_make_all_be_heard_again(heard, folder, stubs):
    update(folder)
    assert SoundIndex().update(folder).new == []
    card = stubs / "pretrained/musicnn_msd.json"
    card.write_text(card.read_text().replace('"sha256": "', '"sha256": "0'))
    assert len(SoundIndex().update(folder).new) == 6


def test_files_that_get_other_tags_are_not_heard_again(heard, folder):
    file = folder / "high/song.flac"
    write_tone(file, 1150)
    update(folder)
    index = SoundIndex()
    tags = index.tags(file, "musicnn_mtt")
    before = names(index.nearest([folder / "high/1200.wav"], folder))
    heard.clear()

    def write(path):
        sound = mutagen.File(path)
        sound["TITLE"] = "Another"
        sound.save()

    for _ in range(2):
        index.rewrite(file, write)
        assert index.update(folder).new == []
        np.testing.assert_array_equal(index.known_tags([file], "musicnn_mtt")[file], tags)
    assert names(index.nearest([folder / "high/1200.wav"], folder)) == before and heard == []
    write_tone(file, 2000)  # what was changed before it is written to must be heard
    index.rewrite(file, write)
    assert index.update(folder).new == [file] and index.known_tags([file], "musicnn_mtt") == {}
    index.rewrite(folder / "low/200.wav", lambda path: None)
    with pytest.raises(KeyboardInterrupt):
        index.rewrite(folder / "low/200.wav", interrupt)
    assert index.update(folder).new == [file]


def test_several_seeds_plus_and_minus(heard, folder):
    update(folder)
    index = SoundIndex()
    low, high = folder / "low/300.wav", folder / "high/1000.wav"
    both = index.nearest([low, high], folder)
    assert not {"300.wav", "1000.wav"} & set(names(both)) and len(both.files) == 4
    vectors = {file: unit(file_embedding(file)) for file in folder.rglob("*.wav")}
    for near, target in (
        (both, (vectors[low] + vectors[high]) / 2),
        (index.nearest([low], folder, plus=[high]), vectors[low] + vectors[high]),
        (index.nearest([low], folder, minus=[high]), vectors[low] - vectors[high]),
    ):
        cosines = [float(vectors[file] @ unit(target)) for file in near.files]
        np.testing.assert_allclose(near.similarity, cosines, atol=1e-5)
        assert cosines == sorted(cosines, reverse=True) and not {low, high} - {low} & set(near.files)
    assert names(index.nearest([low], folder, minus=[high]))[0] == "200.wav"
    with pytest.raises(BadArgumentError, match="What is taken away"):
        index.nearest([low], folder, minus=[low])


def test_a_path_leads_from_one_to_the_other(heard, folder):
    for pitch in (1500, 2000, 2500, 3000, 4000):
        write_tone(folder / f"high/{pitch}.wav", pitch)
    update(folder)
    index = SoundIndex()
    path = index.path_between(folder / "high/1200.wav", folder / "high/4000.wav", folder, 3)
    pitches = [int(file.stem) for file in path.files]
    assert len(set(pitches)) == 3 and pitches == sorted(pitches) and pitches[0] > 1200 and pitches[-1] < 4000
    assert path.similarity.shape == (3,) and path.similarity.min() > 0.9
    back = index.path_between(folder / "high/4000.wav", folder / "high/1200.wav", folder, 3)
    assert int(back.files[0].stem) > int(back.files[-1].stem)
    everything = index.path_between(folder / "low/200.wav", folder / "high/5000.wav", folder, 100)
    assert len(everything.files) == len(set(everything.files)) == 9 == len(everything.similarity)
    same = index.path_between(folder / "low/200.wav", folder / "low/200.wav", folder, 2)
    assert names(same) == ["300.wav", "1000.wav"]


def test_artists_come_back_so_often(heard, folder):
    for number, pitch in enumerate((1010, 1020, 1030, 1040)):
        file = folder / f"{pitch}.flac"
        write_tone(file, pitch)
        sound = mutagen.File(file)
        sound["ARTIST"] = " One" if number % 2 else "ONE"
        sound.save()
    update(folder)
    index, seed = SoundIndex(), folder / "high/1000.wav"
    assert set(names(index.nearest([seed], folder, 4))) == {"1010.flac", "1020.flac", "1030.flac", "1040.flac"}
    for limit in (1, 2):
        found = names(index.nearest([seed], folder, 20, per_artist=limit))
        assert sum(name.endswith("flac") for name in found) == limit and len(found) == limit + 5  # without one, all
    path = index.path_between(seed, folder / "high/1200.wav", folder, 5, per_artist=1)
    assert sum(name.endswith("flac") for name in names(path)) == 1 and len(path.files) == 5


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3", "a.wav"])
def test_the_artist_is_what_the_files_tags_name(tmp_path, name):
    file = tmp_path / name
    write_tone(file)
    assert artist(file) == ""
    sound = mutagen.File(file)
    if name in ("a.flac", "a.ogg"):
        sound["ARTIST"] = ["Änne", "Bert"]
    else:
        sound.add_tags()
        sound.tags.add(mutagen.id3.TPE1(text=["Änne", "Bert"]))
    sound.save()
    assert artist(file) == "änne"
    file.write_bytes(file.read_bytes()[:50])
    assert artist(file) == "" == artist(tmp_path / "none.mp3")


def test_directions_and_arcs():
    one, other = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    np.testing.assert_allclose(direction([one, other]), np.sqrt([0.5, 0.5]))
    np.testing.assert_allclose(direction([one], [other, other], [one]), other)
    steps = between(one, other, 2)
    np.testing.assert_allclose(steps, [[np.cos(a), np.sin(a)] for a in (np.pi / 6, np.pi / 3)])
    np.testing.assert_allclose(between(one, one, 3), [one] * 3)
    with pytest.raises(BadArgumentError, match="no path leads"):
        between(one, -one, 3)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_windows_are_spread_over_the_file(tmp_path, rate):
    level = np.linspace(0.01, 0.6, 60)  # a minute that gets louder each second
    soundfile.write(tmp_path / "song.wav", np.repeat(level, rate), rate, "FLOAT")
    windows = excerpts(tmp_path / "song.wav", RATE, WINDOW)
    assert windows.shape == (10, WINDOW) and windows.dtype == np.float32
    # Their middles are at 3, 9, 15 s and so on, where one second ends and the next begins.
    middles = 3 + 6 * np.arange(10)
    for place, expected in ((0.2, middles - 2), (1.0, middles - 1), (2.0, middles), (2.8, middles + 1)):
        np.testing.assert_allclose(windows[:, int(place * RATE)], level[expected], rtol=1e-3)


@pytest.mark.parametrize(("seconds", "count"), [(0.0001, 1), (1, 1), (3.1, 1), (6.1, 2), (10, 3), (29, 9), (3600, 10)])
def test_short_files_have_fewer_windows(tmp_path, seconds, count):
    samples = max(1, int(seconds * 2000))
    soundfile.write(tmp_path / "song.wav", np.full(samples, 0.5), 2000, "FLOAT")
    windows = excerpts(tmp_path / "song.wav", RATE, WINDOW)
    assert windows.shape == (count, WINDOW)
    assert np.mean(windows > 0.4) == pytest.approx(
        min(1, samples * 8 / 48128), rel=0.01, abs=1e-3
    )  # the rest is silence


def test_what_cannot_be_compared(tmp_path):
    with pytest.raises(AudioDecodeError, match="does not exist"):
        excerpts(tmp_path / "none.wav", RATE, WINDOW)
    for name, level, said in [("silence.wav", 0.0, "only silence"), ("nan.wav", np.nan, "finite")]:
        soundfile.write(tmp_path / name, np.full(RATE, level), RATE, "FLOAT")
        with pytest.raises(BadArgumentError, match=said):
            excerpts(tmp_path / name, RATE, WINDOW)
    soundfile.write(tmp_path / "tiny.wav", np.ones(1), 192_000)  # nothing is left of it at 16 kHz
    with pytest.raises(AudioDecodeError, match="holds no sound"):
        excerpts(tmp_path / "tiny.wav", RATE, WINDOW)


def test_a_files_embedding_is_the_mean_of_its_windows(tmp_path):
    file = load("mini/album").root / "clips/grieg_01_1.ogg"
    windows = excerpts(file, RATE, WINDOW)
    found = file_embedding(file)
    assert windows.shape == (3, WINDOW) and found.shape == (200,) and found.dtype == np.float32
    each = np.concatenate([embeddings(window, musicnn("msd")) for window in windows])
    # `embeddings` shifts windows by 16 ms.
    assert np.corrcoef(found, each.mean(axis=0))[0, 1] > 0.99


def test_neighbours_of_music_are_of_the_same_soundtrack(tmp_path, monkeypatch):
    """The whole way, with the real network: 60 clips of six soundtracks, no two of the same piece."""
    monkeypatch.setenv("DL4MIR_DATA", str(tmp_path / "cache"))
    clips = load("mini/album").frame.drop_duplicates("track").sort_index()
    albums = clips["album"].value_counts().index[:6]
    clips = clips[clips["album"].isin(albums)].groupby("album").head(10)
    folder = load("mini/album").root / "clips"
    index = SoundIndex()
    for path in clips["path"]:
        shutil.copy(folder / Path(path).name, tmp_path)
        index.add(tmp_path / Path(path).name)
    album = dict(zip(clips["path"].map(lambda path: Path(path).name), clips["album"], strict=True))
    same = [
        album[neighbour.name] == album[file]
        for file in album
        for neighbour in index.nearest([tmp_path / file], tmp_path, 5).files
    ]
    assert len(same) == 5 * len(album) == 300
    assert np.mean(same) > 0.4  # chance: 9 of 59, 0.15
