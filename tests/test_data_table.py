import numpy as np
import pandas as pd
import pytest
import soundfile
import tensorflow as tf

from dl4mir_utils import AudioDecodeError, BadArgumentError, DataNotFoundError
from dl4mir_utils.data import ClipTable, audio_cache, data_root, frame_labels, load, merge_segments

RATE = 16000
CLIPS, SECONDS = 12, 1.5


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch):
    monkeypatch.setattr(audio_cache, "limit_mib", 512)
    audio_cache.clear()


@pytest.fixture
def table(tmp_path):
    """Twelve clips of 1.5 s; sample n of clip i has the value i / 20 + n / 1e6, so each tells where it is from."""
    for index in range(CLIPS):
        ramp = index / 20 + np.arange(round(SECONDS * RATE)) / 1e6
        soundfile.write(tmp_path / f"{index:02}.wav", ramp, RATE, subtype="FLOAT")
    number = np.arange(CLIPS)
    frame = pd.DataFrame(
        {
            "path": [f"{index:02}.wav" for index in range(CLIPS)],
            "start_s": 0.0,
            "duration_s": SECONDS,
            "label": [("high", "low")[index % 2] for index in range(CLIPS)],
            "group": [f"artist{index // 3}" for index in range(CLIPS)],
            "track": [f"track{index // 2}" for index in range(CLIPS)],
            "licence": "CC0-1.0",
            "split": "",
            "fold_artist": number // 3,
            "fold_clip": number % 4,
        },
        index=pd.Index([f"clip{index:02}" for index in range(CLIPS)], name="clip_id"),
    )
    return ClipTable("toy", frame, ("high", "low"), tmp_path)


def collect(dataset):
    """One epoch as (clip numbers, first samples, labels) and the lengths of the batches."""
    batches = list(dataset.as_numpy_iterator())
    first = np.concatenate([audio[:, 0, 0] for audio, _ in batches]).astype("float64")
    clip = np.floor(first * 20 + 1e-3).astype(int)
    start = np.round((first - clip / 20) * 1e6).astype(int)
    return clip, start, np.concatenate([label for _, label in batches]), [len(label) for _, label in batches]


def test_split_and_labels(table):
    split = table.split(test_fold=2, valid_fold=0)
    assert split.frame["split"].value_counts().to_dict() == {"train": 6, "valid": 3, "test": 3}
    assert set(split.frame.loc[split.frame["split"] == "test", "group"]) == {"artist2"}
    assert (table.frame["split"] == "").all()
    assert table.split(by="clip").frame["split"].value_counts().to_dict() == {"train": 9, "test": 3}
    assert split.labels("test").tolist() == [0, 1, 0]
    assert split.labels().dtype == np.int32
    assert len(table.where(table.frame["label"] == "low")) == 6
    assert table.where(table.frame["label"] == "low").labels().tolist() == [1] * 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"by": "track"}, "no folds by 'track'; it has: artist, clip"),
        ({"test_fold": 4}, "no fold 4; toy by artist has 0 to 3"),
        ({"test_fold": 1, "valid_fold": 1}, "must differ"),
    ],
)
def test_wrong_splits(table, arguments, message):
    with pytest.raises(BadArgumentError, match=message):
        table.split(**arguments)


def test_audio(table):
    audio = table.audio("clip03")
    assert audio.dtype == np.float32
    assert audio.shape == (24000,)
    audio *= 0
    assert table.audio("clip03")[0] == pytest.approx(0.15)
    with pytest.raises(BadArgumentError, match="no clip 'nothing'"):
        table.audio("nothing")


@pytest.mark.parametrize("limit_mib", [512, 0])
@pytest.mark.parametrize(("seconds", "samples"), [(None, 24000), (0.5, 8000)])
def test_batches(table, monkeypatch, limit_mib, seconds, samples):
    monkeypatch.setattr(audio_cache, "limit_mib", limit_mib)
    dataset = table.to_tf(batch=5, seconds=seconds)
    audio, label = dataset.element_spec
    assert (audio.dtype, label.dtype) == (tf.float32, tf.int32)
    assert audio.shape.as_list() == [None, samples, 1]
    assert dataset.cardinality() == 3
    clip, start, labels, lengths = collect(dataset)
    assert lengths == [5, 5, 2]
    assert clip.tolist() == list(range(CLIPS))
    assert set(start) == {0 if seconds is None else 8000}
    np.testing.assert_array_equal(labels, table.labels())


@pytest.mark.parametrize("limit_mib", [512, 0])
def test_random_crops(table, monkeypatch, limit_mib):
    monkeypatch.setattr(audio_cache, "limit_mib", limit_mib)
    split = table.split()
    make = lambda seed: split.to_tf("train", batch=4, seconds=0.5, seed=seed)  # noqa: E731
    one, same, other = make(1), make(1), make(2)
    epochs = [collect(one) for _ in range(2)]
    tf.random.set_seed(7)  # the seed of the data depends on nothing else
    for mine, again in zip(epochs, [collect(same) for _ in range(2)], strict=True):
        for a, b in zip(mine, again, strict=True):
            np.testing.assert_array_equal(a, b)
    assert (collect(other)[1] != epochs[0][1]).any()
    assert (epochs[0][0] != epochs[1][0]).any()
    starts = []
    for clip, start, labels, _ in [*epochs, *(collect(one) for _ in range(20))]:
        assert sorted(clip) == list(range(3, CLIPS))  # every clip once per epoch
        np.testing.assert_array_equal(labels, clip % 2)
        starts.extend(start)
    assert 0 <= min(starts) < 1000
    assert 15000 < max(starts) <= 16000


def test_every_position_can_be_drawn(table):
    starts = set()
    dataset = table.to_tf(seconds=SECONDS - 2 / RATE, crop="random")
    for _ in range(5):
        starts |= set(collect(dataset)[1])
    assert starts == {0, 1, 2}


def test_training_order_can_be_switched_off_and_whole_clips_shuffled(table):
    split = table.split()
    assert collect(split.to_tf("train", crop="center"))[0].tolist() == list(range(3, CLIPS))
    clip, start, _, _ = collect(split.to_tf("train"))
    assert sorted(clip) == list(range(3, CLIPS)) != clip.tolist()
    assert not start.any()


def test_all_windows_and_how_to_group_them(table):
    clip, start, labels, _ = collect(table.to_tf(seconds=0.4, crop="all"))
    windows = table.windows(seconds=0.4)
    assert [f"clip{index:02}" for index in clip] == windows["clip_id"].tolist()
    np.testing.assert_allclose(start / RATE, windows["start_s"])
    assert windows["label"].map({"high": 0, "low": 1}).tolist() == labels.tolist()
    assert windows.groupby("clip_id").size().tolist() == [3] * CLIPS
    means = pd.DataFrame(np.eye(2)[labels]).groupby(windows["clip_id"], sort=False).mean()
    assert means.to_numpy().argmax(axis=1).tolist() == table.labels().tolist()


def test_windows_within_long_files(table):
    frame = table.frame.assign(start_s=0.5, duration_s=1.0)
    _, start, _, _ = collect(ClipTable("parts", frame, table.classes, table.root).to_tf(seconds=0.5, crop="all"))
    assert start.tolist() == [8000, 16000] * CLIPS


def test_clips_of_different_length(table):
    frame = table.frame.assign(duration_s=[1.5] * 10 + [1.0, 0.5])
    uneven = ClipTable("uneven", frame, table.classes, table.root)
    with pytest.raises(BadArgumentError, match=r"last 0.5 to 1.5 s .* batch=1"):
        uneven.to_tf()
    lengths = [audio.shape[1] for audio, _ in uneven.to_tf(batch=1)]
    assert lengths == [24000] * 10 + [16000, 8000]
    with pytest.raises(BadArgumentError, match=r"Shorter than 1.2 s: clip10, clip11"):
        uneven.to_tf(seconds=1.2)
    assert len(uneven.windows(seconds=0.5)) == 10 * 3 + 2 + 1
    clip, start, _, _ = collect(uneven.to_tf(seconds=0.5, crop="random"))
    assert (start <= np.array(frame["duration_s"] * RATE - 8000)[clip]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "train"}, r"Call .split\(...\) first"),
        ({"crop": "left"}, "'random', 'center' or 'all'"),
        ({"crop": "all"}, "seconds"),
        ({"seconds": -1.0}, "positive"),
        ({"batch": 0}, "at least 1"),
    ],
)
def test_wrong_arguments(table, arguments, message):
    with pytest.raises(BadArgumentError, match=message):
        table.to_tf(**arguments)


def test_broken_files_are_named_before_training(table):
    for name in ("02.wav", "07.wav"):
        (table.root / name).write_bytes(b"RIFF")
    with pytest.raises(AudioDecodeError) as caught:
        table.to_tf()
    assert list(caught.value.failures) == ["clip02", "clip07"]


def test_broken_files_are_named_while_decoding_on_the_fly(table, monkeypatch):
    monkeypatch.setattr(audio_cache, "limit_mib", 0)
    (table.root / "07.wav").unlink()
    with pytest.raises(tf.errors.OpError, match="clip07"):
        list(table.to_tf())


def test_second_use_reads_no_file(table):
    list(table.to_tf())
    for file in table.root.glob("*.wav"):
        file.unlink()
    assert len(list(table.split().to_tf("train", seconds=0.5))) == 1


def test_summary(table):
    summary = table.split().summary()
    assert summary.loc["low", ["clips", "tracks", "groups", "train", "test"]].tolist() == [6, 6, 4, 5, 1]
    assert repr(table) == "ClipTable toy: 12 clips, 0 minutes, 2 classes"
    assert "<table" in table._repr_html_()


@pytest.fixture
def mini(tmp_path, monkeypatch):
    """A `data` folder with four clips."""
    monkeypatch.setenv("DL4MIR_DATA", str(tmp_path))
    (tmp_path / "mini").mkdir()
    (tmp_path / "mini" / "clips.csv").write_text(
        "clip_id,file,group,album,track,licence,start_s,duration_s,genre,tracker,"
        "fold_artist,fold_track,fold_clip,album_fold_track,album_fold_clip\n"
        "d,clips/d.opus,A,Red,1,CC0-1.0,55.5,10,metal,0,0,1,2,3,0\n"
        "b,clips/b.opus,B,Blue,2,CC0-1.0,12.25,10,electronic,0,1,1,2,2,1\n"
        "c,clips/c.opus,C,,3,CC0-1.0,0,10,orchestral,0,2,1,2,,\n"
        "a,clips/a.opus,D,Blue,4,CC0-1.0,0,10,,1,,,,1,1\n"
    )


def test_load_mini(mini):
    genre = load("mini/genre")
    assert genre.classes == ("electronic", "metal", "orchestral")
    assert genre.frame.index.tolist() == ["b", "c", "d"]
    assert (genre.frame["start_s"] == 0).all()
    assert genre.frame.loc["d", "source_start_s"] == 55.5
    assert genre.split(test_fold=2).labels("test").tolist() == [2]
    album = load("mini/album")
    assert album.classes == ("Blue", "Red")
    assert album.split(by="track", test_fold=3).frame.query("split == 'test'").index.tolist() == ["d"]
    with pytest.raises(BadArgumentError, match="no folds by 'artist'; it has: track, clip"):
        album.split()
    assert load("mini/tracker").labels().tolist() == [1, 0, 0, 0]


def test_load_errors(mini, tmp_path):
    with pytest.raises(BadArgumentError, match=r"no data set 'mini/gnere'. Did you mean 'mini/genre'\? There are"):
        load("mini/gnere")
    with pytest.raises(BadArgumentError, match="Did you mean 'jamendolyrics'"):
        load("jamendo_lyrics")
    with pytest.raises(BadArgumentError, match="mini/genre comes with the course: leave root out"):
        load("mini/genre", root=tmp_path)
    with pytest.raises(BadArgumentError, match="mini/genre: got an unexpected keyword argument 'split'"):
        load("mini/genre", split="random")
    (tmp_path / "mini" / "clips.csv").unlink()
    with pytest.raises(DataNotFoundError, match="DL4MIR_DATA") as caught:
        load("mini/genre")
    assert str(tmp_path) not in str(caught.value)


def test_an_empty_download_cache_does_not_hide_the_courses_clips(tmp_path, monkeypatch):
    monkeypatch.setenv("DL4MIR_DATA", str(tmp_path))
    assert len(load("mini/tracker")) == 468
    assert data_root().name == "data"


@pytest.fixture
def tagged(table):
    """Clips with several labels: those of clip 0 to 11 are the digits of its number."""
    frame = table.frame.assign(label=[tuple(sorted(set(str(number)))) for number in range(CLIPS)])
    return ClipTable("tags", frame, tuple("0123456789"), table.root)


def test_several_labels(tagged):
    expected = np.array([[digit in str(clip) for digit in "0123456789"] for clip in range(CLIPS)])
    np.testing.assert_array_equal(tagged.labels(), expected)
    dataset = tagged.to_tf(batch=5, crop="random", seconds=0.5)
    assert dataset.element_spec[1].shape.as_list() == [None, 10]
    clip, _, labels, _ = collect(dataset)
    np.testing.assert_array_equal(labels, expected[clip])
    assert tagged.summary().loc[["0", "1", "2"], "clips"].tolist() == [2, 3, 1]
    assert tagged.split().summary()["test"].sum() == 3  # clips 0, 1 and 2
    assert tagged.windows(seconds=0.5)["label"].iloc[-1] == ("1",)


@pytest.fixture
def sung(table):
    """Clip i is sung from 0.1 * i seconds on for half a second, in two parts that touch."""
    segments = [((a / 10, a / 10 + 0.2, "sing"), (a / 10 + 0.2, a / 10 + 0.5, "sing")) for a in range(CLIPS)]
    frame = table.frame.assign(segments=segments, label="nosing")
    return ClipTable("songs", frame, ("nosing", "sing"), table.root)


@pytest.mark.parametrize("crop", ["random", "center", "all"])
def test_timed_labels_follow_the_crop(sung, crop):
    dataset = sung.to_tf(batch=5, crop=crop, seconds=0.7, hop_s=0.01)
    clip, start, labels, _ = collect(dataset)
    assert labels.dtype == np.int32
    assert labels.shape == (len(clip), 70)
    middle = start[:, np.newaxis] / RATE + 0.01 * np.arange(70) + 0.005
    expected = (middle >= clip[:, np.newaxis] / 10) & (middle < clip[:, np.newaxis] / 10 + 0.5)
    np.testing.assert_array_equal(labels, expected)
    assert 0.2 < labels.mean() < 0.8
    _, _, one_each, _ = collect(sung.to_tf(batch=5, crop="all", seconds=0.5))
    assert one_each.tolist() == [{"nosing": 0, "sing": 1}[label] for label in sung.windows(seconds=0.5)["label"]]
    assert one_each[:3].tolist() == [1, 0, 0]


def test_timed_labels_of_whole_and_of_cut_files(sung, table):
    frame = sung.frame.assign(start_s=0.5, duration_s=[1.0] * 11 + [0.8])
    parts = ClipTable("parts", frame, sung.classes, sung.root)
    labels = [label[0].tolist() for _, label in parts.to_tf(batch=1, hop_s=0.3).as_numpy_iterator()]
    assert labels[5] == [1, 1, 0, 0]  # sung from 0.5 to 1.0 s of the file: 0.3 s and two thirds of the next
    assert labels[11] == [0, 0, 1]
    with pytest.raises(BadArgumentError, match="toy has no timed labels"):
        table.to_tf(hop_s=0.1)
    with pytest.raises(BadArgumentError, match="must be positive"):
        sung.to_tf(seconds=0.5, hop_s=-0.1)


def test_frame_labels():
    segments = ((2.0, 3.0, "nosing"), (0.5, 1.5, "sing"), (1.25, 2.0, "sing"))
    assert frame_labels(segments, 0.5, 6).tolist() == [0, 1, 1, 1, 0, 0]
    assert frame_labels(segments, 1.0, 3).tolist() == [1, 1, 0]  # exactly half is enough
    assert frame_labels(segments, 0.5, 2, start_s=0.74).tolist() == [1, 1]
    assert frame_labels(segments, 0.5, 1, start_s=1.76).tolist() == [0]
    assert frame_labels((), 0.5, 3).tolist() == [0, 0, 0]
    # Many frames at once are what one at a time are, without rounding adding up.
    long = tuple((start, start + 0.37, "sing") for start in np.arange(0, 32, 0.9))
    frames = frame_labels(long, 0.016, 2000)
    assert frames.tolist() == [frame_labels(long, 0.016, 1, 0.016 * i)[0] for i in range(2000)]
    assert frames.mean() == pytest.approx(0.37 / 0.9, abs=0.01)


def test_merge_segments():
    segments = [(1.0, 2.0, "sing"), (0.0, 0.5, "sing"), (0.5, 0.7, "sing"), (2.0, 9.0, "nosing"), (1.2, 1.5, "sing")]
    assert merge_segments(segments) == ((0.0, 0.7, "sing"), (1.0, 2.0, "sing"))
    assert merge_segments(segments, gap_s=0.3) == ((0.0, 2.0, "sing"),)


def test_a_split_of_the_data_sets_own_is_kept(table):
    frame = table.frame.drop(columns=["fold_artist", "fold_clip"]).assign(split=["train"] * 6 + ["valid", "test"] * 3)
    official = ClipTable("official", frame, table.classes, table.root, split_by="artist")
    assert len(list(official.to_tf("train", batch=1))) == 6
    same = official.split(by="artist", test_fold=1, valid_fold=2).split(by="artist")
    pd.testing.assert_frame_equal(same.frame, frame)
    assert same.notes == ("The data set's own split by artist is used; folds do not apply.",)
    assert same.notes[0].replace("'", "&#x27;") in same._repr_html_()
    with pytest.raises(BadArgumentError, match=r"comes with a split by artist, not by clip.*leave .split\(...\) out"):
        official.split(by="clip")
