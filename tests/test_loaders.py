"""Every loader against a small copy of its data set: same folders, same tables, same traps, fetched as archives.

The sound tells who it is: each clip is a tone of its own frequency, and where singing is annotated the
tone is there and elsewhere is silence. So a test hears whether labels and sound belong together.
"""

import csv
import dataclasses
import functools
import hashlib
import io
import itertools
import re
import tarfile
import zipfile
from pathlib import Path

import keras
import mutagen.id3
import numpy as np
import pandas as pd
import pytest
import soundfile
from http_server import Server
from real_files import LISTED, MIRROR, needs_real

from dl4mir_utils import BadArgumentError, DataNotFoundError, Dl4mirError
from dl4mir_utils.data import audio_cache, data_sets, load, registry
from dl4mir_utils.data.loaders.choi import TASKS
from dl4mir_utils.data.loaders.gtzan import FAULT_FILTERED, fault_filtered_split
from dl4mir_utils.data.loaders.magnatagatune import TOP_50
from dl4mir_utils.data.sources import LOADERS, NAMES
from dl4mir_utils.segments import PAUSE_S

RATE = 16000


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Nothing is read from, or left in, the user's cache."""
    monkeypatch.setenv("DL4MIR_DATA", str(tmp_path / "cache"))
    monkeypatch.delenv("DL4MIR_MIRROR", raising=False)
    audio_cache.clear()


def tone(hz, seconds):
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype("float32")


@functools.cache
def encoded(suffix, hz, seconds):
    content = io.BytesIO()
    soundfile.write(content, tone(hz, seconds), RATE, format=suffix)
    return content.getvalue()


def write_tone(file, hz, seconds):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encoded(file.suffix[1:], hz, seconds))


def write_song(file, segments, seconds):
    """A song that sounds where it is sung."""
    sound = tone(440, seconds)
    time = np.arange(len(sound)) / RATE
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, sound * np.any([(time >= a) & (time < b) for a, b in segments], axis=0), RATE)


def frequencies(table, split=None):
    """What each clip sounds like, in Hz, through the way that training takes."""
    batches = table.to_tf(split, seconds=1.0, crop="center").as_numpy_iterator()
    return np.concatenate([np.abs(np.fft.rfft(audio[:, :, 0])).argmax(axis=1) for audio, _ in batches]).tolist()


def assert_labels_fit_the_sound(table):
    """The frames labelled as sung are those that sound."""
    seen = 0
    for audio, label in table.to_tf(batch=1, hop_s=0.1).as_numpy_iterator():
        whole = audio[0, : audio.shape[1] // 1600 * 1600, 0].reshape(-1, 1600)
        sounds = np.abs(whole).max(axis=1) > 0.1
        inside = np.convolve(np.r_[sounds[0], sounds, sounds[-1]], np.ones(3), "valid")  # not where it starts or ends
        sure = (inside == 0) | (inside == 3)
        np.testing.assert_array_equal(label[0, : len(sounds)][sure], sounds[sure])
        assert 0 < sounds[sure].mean() < 1
        seen += 1
    assert seen == len(table)


@pytest.fixture
def publish(monkeypatch):
    """Serve files (bytes by name) over HTTP as a data set's own, with their true checksums."""
    with Server() as server:

        def publish(name, files):
            known = {file.path: file for file in registry.DATA_SETS[name].files}
            listed = []
            for path, content in files.items():
                server.files[f"/{name}/{path}"] = content
                url, checksum = f"{server.url}/{name}/{path}", f"sha256:{hashlib.sha256(content).hexdigest()}"
                listed.append(dataclasses.replace(known[path], url=url, also=(), size=len(content), checksum=checksum))
            replaced = dataclasses.replace(registry.DATA_SETS[name], files=tuple(listed))
            monkeypatch.setitem(registry.DATA_SETS, name, replaced)

        yield publish


def zipped(folder):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return content.getvalue()


# --- FMA ---------------------------------------------------------------------------------------------------------

FMA_COLUMNS = {
    "album": "comments date_created date_released engineer favorites id information listens producer tags title tracks "
    "type",
    "artist": "active_year_begin active_year_end associated_labels bio comments date_created favorites id latitude "
    "location longitude members name related_projects tags website wikipedia_page",
    "set": "split subset",
    "track": "bit_rate comments composer date_created date_recorded duration favorites genre_top genres genres_all "
    "information interest language_code license listens lyricist number publisher tags title",
}
# id, split, subset, genre, artist, seconds; the tone of clip n is 100 + n % 1000 Hz
FMA_TRACKS = [
    (133297, "training", "small", "Rock", 3, 600),
    (141, "training", "small", "Folk", 4, 200),
    (2, "training", "small", "Hip-Hop", 1, 168),
    (5, "training", "small", "Hip-Hop", 1, 206),
    (10, "validation", "small", "Folk", 6, 161),
    (140, "validation", "small", "Hip-Hop", 7, 253),
    (98565, "training", "small", "Folk", 2, 30),
    (182, "test", "small", "Hip-Hop", 9, 205),
    (190, "test", "small", "Folk", 11, 40),
    (197, "training", "medium", "Jazz", 4, 100),
    (201, "training", "medium", np.nan, 4, 100),
    (1486, "training", "medium", "Jazz", 4, 100),
    (203, "test", "large", "Jazz", 12, 100),
    (210, "test", "large", "Jazz", 12, 29),
    (211, "training", "large", np.nan, 12, 300),
]


@pytest.fixture
def fma(tmp_path, publish):
    tree = tmp_path / "fma"
    columns = pd.MultiIndex.from_tuples([(top, name) for top, names in FMA_COLUMNS.items() for name in names.split()])
    assert len(columns) == 52
    tracks = pd.DataFrame("", index=pd.Index([row[0] for row in FMA_TRACKS], name="track_id"), columns=columns)
    for number, split, subset, genre, artist, seconds in FMA_TRACKS:
        values = [split, subset, genre, artist, f"Artist, the {artist}th", seconds, f'"{number}"', "CC BY-NC 4.0"]
        places = [("set", "split"), ("set", "subset"), ("track", "genre_top"), ("artist", "id"), ("artist", "name")]
        places += [("track", "duration"), ("track", "title"), ("track", "license")]
        for place, value in zip(places, values, strict=True):
            tracks.loc[number, place] = value
    tracks["artist", "bio"] = '<p>"Two lines,\nand a comma"</p>'
    (tree / "tables" / "fma_metadata").mkdir(parents=True)
    tracks.to_csv(tree / "tables" / "fma_metadata" / "tracks.csv")
    with (tree / "tables" / "fma_metadata" / "tracks.csv").open() as file:
        assert [line.split(",")[0] for line in itertools.islice(file, 4)] == ["", "", "track_id", "133297"]
    publish("fma_metadata", {"fma_metadata.zip": zipped(tree / "tables")})
    for subset, without in (("small", ("medium", "large")), ("medium", ("large",)), ("large", ())):
        for number, _, of, *_ in FMA_TRACKS:
            if of not in without:
                name = f"{number:06}"
                file = tree / subset / f"fma_{subset}" / name[:3] / f"{name}.mp3"
                write_tone(file, 100 + number % 1000, 30)
        publish(f"fma_{subset}", {f"fma_{subset}.zip": zipped(tree / subset)})
    return tree


def test_fma_small(fma):
    table = load("fma_small")
    assert table.frame.index.tolist() == ["000002", "000005", "000010", "000140", "000141", "000182", "000190"]
    assert table.classes == ("Folk", "Hip-Hop")
    assert table.labels().tolist() == [1, 1, 0, 1, 0, 1, 0]
    assert table.frame["split"].tolist() == ["train", "train", "valid", "valid", "train", "test", "test"]
    assert table.frame["group"].nunique() == 6
    assert table.frame.loc["000190", ["artist", "licence"]].tolist() == ["Artist, the 11th", "CC BY-NC 4.0"]
    assert frequencies(table) == [102, 105, 110, 240, 241, 282, 290]
    assert (table.frame.groupby("group")["split"].nunique() == 1).all()
    assert table.notes == ("9 tracks are listed. Left out: no audio or less than 30 s of it: 098565, 133297.",)
    assert [len(audio) for audio, _ in table.to_tf()] == [7]  # whole clips fit into one batch


def test_fma_medium_and_large(fma):
    medium = load("fma_medium")
    assert medium.frame.index.tolist()[-1] == "000197"
    assert medium.classes == ("Folk", "Hip-Hop", "Jazz")
    notes = " ".join(medium.notes)
    assert "12 tracks are listed. Left out: no audio or less than 30 s of it: 001486, 098565, 133297" in notes
    assert "no top genre: 000201" in notes
    large = load("fma_large")
    assert large.frame.index.tolist()[-2:] == ["000197", "000203"]
    assert frequencies(large, "test") == [282, 290, 303]
    assert "no top genre: 000201, 000211" in " ".join(large.notes)
    assert "the whole track is shorter than 30 s: 000210" in " ".join(large.notes)


def test_one_word_changes_and_the_same_lines_train(fma):
    """What notebook 05b does with mini/genre: load, split, train, listen."""
    from dl4mir_utils.layers import LogMel

    for name in ("mini/genre", "fma_small"):
        split = load(name).split(by="artist", test_fold=1, valid_fold=2)
        inputs = keras.Input((None, 1))
        hidden = keras.layers.GlobalAveragePooling2D()(LogMel()(inputs))
        model = keras.Model(inputs, keras.layers.Dense(len(split.classes), "softmax")(hidden))
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
        train, valid = split.to_tf("train", seconds=2.56), split.to_tf("valid", seconds=2.56)
        losses = model.fit(train.take(1), validation_data=valid.take(1), verbose=0).history
        assert np.isfinite([*losses["loss"], *losses["val_loss"]]).all()
        assert model.predict(split.to_tf("test", batch=4), verbose=0).shape == (
            len(split.labels("test")),
            len(split.classes),
        )
        assert not set(split.frame.group[split.frame.split == "train"]) & set(
            split.frame.group[split.frame.split == "test"]
        )
    assert split.notes[-1].startswith("The data set's own split by artist is used")
    with pytest.raises(BadArgumentError, match="fma_small comes with a split by artist, not by clip"):
        split.split(by="clip")


def test_fma_with_files_missing(fma):
    root = fma / "small"
    with pytest.raises(DataNotFoundError, match=r"fma_metadata holds no tracks.csv"):
        load("fma_small", root=root)
    (fma / "tables" / "fma_metadata").rename(root / "fma_metadata")
    assert len(load("fma_small", root=root)) == 7
    for number in ("000002", "000005", "000010", "000140", "000141", "000182"):
        (root / "fma_small" / number[:3] / f"{number}.mp3").unlink()
    with pytest.raises(
        DataNotFoundError, match=r"/000002.mp3, .*/000141.mp3, ... \(6 in all\).*dl4mir data verify"
    ) as caught:
        load("fma_small", root=root)
    assert "000182" not in str(caught.value)
    assert str(root) not in str(caught.value)


def test_fma_with_another_table(tmp_path):
    (tmp_path / "fma_small").mkdir()
    (tmp_path / "fma_metadata").mkdir()
    (tmp_path / "fma_metadata" / "tracks.csv").write_text(",set,set\n,split,subset\ntrack_id,,\n2,training,small\n")
    with pytest.raises(DataNotFoundError, match="no column track genre_top, track title"):
        load("fma_small", root=tmp_path)


# --- GTZAN -------------------------------------------------------------------------------------------------------


@pytest.fixture
def gtzan(tmp_path):
    """All 1000 names; only four files are sound, the others empty."""
    for genre, number in itertools.product(FAULT_FILTERED, range(100)):
        file = tmp_path / "gtzan" / "genres" / genre / f"{genre}.{number:05}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        (file.parent / f"._{file.name}").touch()
    for name, hz in (("blues.00029", 300), ("rock.00038", 400), ("jazz.00099", 500), ("jazz.00054", 600)):
        write_tone(tmp_path / "gtzan" / "genres" / name[:-6] / f"{name}.wav", hz, 30)
    return tmp_path / "gtzan"


def test_gtzan(gtzan, publish):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.add(gtzan / "genres", "genres")
    publish("gtzan", {"genres.tar.gz": content.getvalue()})
    table = load("gtzan")
    assert table.frame["split"].value_counts().to_dict() == {"train": 443, "valid": 197, "test": 290}
    assert len(table.classes) == 10
    some = table.frame.loc[["blues.00029", "jazz.00054", "jazz.00099", "rock.00038"]]
    assert some["split"].tolist() == ["train", "train", "test", "valid"]
    assert frequencies(table.where(table.frame.index.isin(some.index))) == [300, 600, 500, 400]
    assert table.where(table.frame.index.isin(some.index)).labels().tolist() == [0, 5, 5, 9]
    assert "no column of artists" in table.notes[0]
    assert len(re.findall(r"\w+\.\d{5}", table.notes[1])) == 70
    assert table.split(by="artist").labels("test").tolist() == table.labels("test").tolist()


def test_gtzan_of_which_a_file_is_damaged(gtzan):
    (gtzan / "genres" / "jazz" / "jazz.00054.wav").write_bytes(b"RIFF")
    table = load("gtzan", root=gtzan)
    assert len(table) == 929
    assert table.notes[-1] == "Left out because the file is damaged: jazz.00054."


def test_gtzan_at_random_warns(gtzan):
    with pytest.warns(UserWarning, match="the same artists, even the same recordings, are in train and test") as caught:
        table = load("gtzan", root=gtzan, split="random")
    assert caught[0].filename == __file__
    assert table.frame["split"].value_counts().to_dict() == {"train": 700, "valid": 150, "test": 150}
    with pytest.raises(BadArgumentError, match=r"by clip, not by artist.*same artists"):
        table.split(by="artist")
    with pytest.raises(BadArgumentError, match="'fault-filtered' and, with a leak, 'random'"):
        load("gtzan", root=gtzan, split="official")


def test_gtzan_in_part(gtzan):
    for file in (gtzan / "genres").glob("*/*.wav"):
        if file.stem[-1] != "9":
            file.unlink()
        else:
            file.rename(file.with_suffix(".au"))
    with pytest.raises(DataNotFoundError, match=r"genres/blues/blues.00000.wav, .*in all\)"):
        load("gtzan", root=gtzan)
    part = load("gtzan_mini", root=gtzan)
    expected = {stem: split for stem, split in fault_filtered_split().items() if stem.endswith("9")}
    assert part.frame["split"].to_dict() == expected
    assert part.frame["path"].str.endswith(".au").all()


@needs_real("gtzan")
def test_fault_filtered_split_is_the_published_one():
    published = {
        Path(line).stem: part
        for part in ("train", "valid", "test")
        for line in (MIRROR / "gtzan" / f"{part}_filtered.txt").read_text().split()
    }
    assert fault_filtered_split() == published


# --- Songs -------------------------------------------------------------------------------------------------------


@pytest.fixture
def jamendo(tmp_path):
    root = tmp_path / "zip" / "jamendo"
    songs = {"01 - A CONTRE COURANT": "train", "03 - School": "test", "05 - 16 ans": "valid", "castaway": "train"}
    for number, (stem, part) in enumerate(songs.items()):
        sung = [(1 + number, 2.5 + number), (6, 6.3)]
        suffix = ".mp3" if number == 3 else ".ogg"
        write_song(root / part / f"{stem}{suffix}", sung, 9 + number)
        (root / part / f"._{stem}{suffix}").write_bytes(b"Mac OS X")
        edges = [0, *itertools.chain(*sung), 9 + number]
        lines = [f"{a:.3f} {b:.3f} {('nosing', 'sing')[i % 2]}" for i, (a, b) in enumerate(itertools.pairwise(edges))]
        (root / "jamendo_lab").mkdir(exist_ok=True)
        (root / "jamendo_lab" / f"{stem}.lab").write_text("\n".join(lines) + "\n")
        (root / "jamendo_lab" / f"._{stem}.lab").write_bytes(b"Mac OS X")
    return root


def test_jamendo_vad(jamendo, publish):
    publish("jamendo_vad", {"jamando.zip": zipped(jamendo.parent)})
    table = load("jamendo_vad")
    assert table.frame["split"].tolist() == ["train", "test", "valid", "train"]
    assert table.frame["duration_s"].round(2).tolist() == [9, 10, 11, 12]
    assert table.frame.loc["03 - School", "segments"][1] == (2.0, 3.5, "sing")
    assert_labels_fit_the_sound(table)
    assert table.frame["group"].is_unique
    audio, label = next(iter(table.split(by="artist").to_tf("train", seconds=4, hop_s=0.016)))
    assert audio.shape == (2, 64000, 1)
    assert label.shape == (2, 250)


def test_jamendo_vad_with_things_missing(jamendo):
    (jamendo / "jamendo_lab" / "castaway.lab").unlink()
    (jamendo / "test" / "03 - School.ogg").unlink()
    with pytest.raises(
        DataNotFoundError, match=r"songs without labels or labels without song: castaway.lab, 03 - School"
    ):
        load("jamendo_vad", root=jamendo)


@pytest.mark.parametrize("line", ["0.0 1.0 singing", "0.0,1.0,sing", "0.0 sing"])
def test_jamendo_vad_with_a_wrong_line(jamendo, line):
    (jamendo / "jamendo_lab" / "castaway.lab").write_text(f"0.0 1.0 sing\n{line}\n")
    with pytest.raises(DataNotFoundError, match=re.escape(f"castaway.lab: not 'start end sing|nosing': '{line}'")):
        load("jamendo_vad", root=jamendo)


@pytest.fixture
def ultrastar(tmp_path):
    root = tmp_path / "ultrastar"
    # BPM 150: a beat is 0.1 s. The notes begin 0.75 s into the song.
    (root / "Die Ärzte - Lied").mkdir(parents=True)
    write_song(root / "Die Ärzte - Lied" / "audio.ogg", [(1.75, 2.75), (4.75, 6.15)], 8)
    text = """#TITLE:Lied\r\n#ARTIST:Die Ärzte\r\n#MP3:audio.mp3\r\n#BPM:150,0\r\n#GAP:750\r\n#COVER:a:b.jpg
: 10 4 3 Für\r\n* 15 5 3  dich\r\n- 22\r\nF 40 2 0 Hey\r\nR 43 3 0 Yo\r\nG 46 8 0 yo\r\nE\r\n: 70 5 0 nie\r\n"""
    (root / "Die Ärzte - Lied" / "song.txt").write_bytes(text.encode("cp1252"))
    (root / "Other - Song: two").mkdir()
    write_song(root / "Other - Song: two" / "my.mp3", [(2.0, 3.0)], 5)
    (root / "Other - Song: two" / "song.txt").write_text(
        "\ufeff#ARTIST:Other\n#MP3:my.mp3\n#BPM: 300.0\n#RELATIVE:no\n: 40 20 0 Ла\n", encoding="utf-8"
    )
    return root


def test_ultrastar(ultrastar):
    table = load("ultrastar_cc", root=ultrastar)
    assert table.frame["group"].tolist() == ["Die Ärzte", "Other"]
    assert [[tuple(np.round(part[:2], 3)) for part in parts] for parts in table.frame["segments"]] == [
        [(1.75, 2.75), (4.75, 6.15)],
        [(2.0, 3.0)],
    ]
    assert_labels_fit_the_sound(table)
    notes = load("ultrastar_cc", root=ultrastar, merge_s=0).frame["segments"].iloc[0]
    assert [round(start, 2) for start, _, _ in notes] == [1.75, 2.25, 4.75, 5.05, 5.35][: len(notes)]
    assert set(table.frame["split"]) == {"test"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("#RELATIVE:no", "#RELATIVE:yes", r"counts beats anew in every line \(#RELATIVE:yes\)"),
        ("#BPM: 300.0", "#BPM:", "Song: two has no #BPM"),
        (": 40 20", ": 40 Ла", "note without beat and length: ': 40 Ла"),
        ("my.mp3", "his.mp3", "missing: Other - Song: two/his.mp3"),
    ],
)
def test_ultrastar_refuses(ultrastar, old, new, message):
    file = ultrastar / "Other - Song: two" / "song.txt"
    file.write_text(file.read_text("utf-8").replace(old, new), "utf-8")
    if old == "my.mp3":
        (file.parent / "my.mp3").rename(file.parent / "cover.jpg")
    with pytest.raises(DataNotFoundError, match=message):
        load("ultrastar_cc", root=ultrastar)


@needs_real("ultrastar_cc")
def test_the_real_ultrastar_songs(monkeypatch):
    monkeypatch.setenv("DL4MIR_MIRROR", str(MIRROR))
    table = load("ultrastar_cc")
    songs = {row["file"].partition("/")[0] for row in LISTED if row["dataset"] == "ultrastar_cc"}
    assert len(table) == len(songs)
    assert table.frame["group"].value_counts()["Jonathan Coulton"] == 12
    assert table.frame["licence"].str.contains("CC-BY").all()
    for song, segments, duration_s in table.frame[["segments", "duration_s"]].itertuples():
        starts, ends = np.array([segment[:2] for segment in segments]).T
        assert (starts >= 0).all() and (ends <= duration_s).all() and (starts < ends).all(), song
        assert (starts[1:] - ends[:-1] > PAUSE_S).all(), song
        assert 0.4 < (ends - starts).sum() / duration_s < 0.85, song
    sung = [sum(end - start for start, end, _ in song) for song in table.frame["segments"]]
    assert sum(sung) / table.frame["duration_s"].sum() == pytest.approx(0.646, abs=0.005)
    short = table.where(table.frame["duration_s"] < 90)
    assert len(list(short.to_tf(batch=1, hop_s=0.016))) == 2  # their ends can be decoded


@pytest.fixture
def lyrics(tmp_path):
    root = tmp_path / "zip" / "jamendolyrics-ec7b89b63131ded69a62d710e4446ac93029530c"
    rows = [
        ("HILA_-_Give_Me.mp3", "HILA", "BY-ND", [(1, 2), (2.2, 3), (6, 6.8)], "1,2,nan\n2.2,3.0,3.0\n6.0,6.8,6.8"),
        ("Mère_(2)_-_Law'.mp3", "Law'", "CC BY-SA", [(0.5, 2)], "0.5,nan,nan\n1.2,nan,2.0\n3.0,nan,nan"),
        ("Les_files_-_Law'.mp3", "LAW'", "CC  BY-SA", [(3, 5)], "4.0,5.0,5.0\n3.0,3.9,nan"),
    ]
    (root / "annotations" / "words").mkdir(parents=True)
    with (root / "JamendoLyrics.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(
            [
                "URL",
                "Filepath",
                "Artist",
                "Title",
                "Genre",
                "LicenseType",
                "Language",
                "LyricOverlap",
                "Polyphonic",
                "NonLexical",
            ]
        )
        for name, artist, licence, sung, words in rows:
            table.writerow(["https://x", name, artist, "T, itle", "Pop", licence, "French", "false", "false", "false"])
            write_song(root / "mp3" / name, sung, 8)
            text = f"word_start,word_end,line_end\n{words}\n"
            (root / "annotations" / "words" / f"{name[:-4]}.csv").write_text(text, encoding="utf-8")
    return root


def test_jamendolyrics(lyrics, publish):
    publish("jamendolyrics", {"jamendolyrics.zip": zipped(lyrics.parent)})
    table = load("jamendolyrics")
    assert table.frame.index.tolist() == ["HILA_-_Give_Me", "Les_files_-_Law'", "Mère_(2)_-_Law'"]
    assert table.frame["licence"].tolist() == ["CC BY-ND", "CC BY-SA", "CC BY-SA"]
    assert table.frame["group"].nunique() == 2
    assert table.frame["segments"].tolist() == [
        ((1.0, 3.0, "sing"), (6.0, 6.8, "sing")),
        ((3.0, 5.0, "sing"),),
        ((0.5, 2.0, "sing"),),  # the last word has neither an end nor a next one
    ]
    assert_labels_fit_the_sound(load("jamendolyrics", merge_s=0.1))
    (lyrics / "annotations" / "words" / "HILA_-_Give_Me.csv").unlink()
    with pytest.raises(DataNotFoundError, match=r"missing: annotations/words/HILA_-_Give_Me.csv"):
        load("jamendolyrics", root=lyrics)


# --- MagnaTagATune -----------------------------------------------------------------------------------------------

# clip, folder, artist, track, tags, Hz
MTT = [
    (30, "f", "Bach Soloists", "01-aria", ("classical", "no vocals"), 300),
    (2, "0", "Jag", "02-song", ("rock", "guitar"), 400),
    (26, "b", "Jag", "02-song", ("guitar", "lute"), 500),
    (7, "c", "Glide", "01-x_-30-", ("lute",), 600),
    (9, "d", "Jag", "03-other", ("female vocal", "singing"), 700),
    (11, "1", "Empty", "01-nothing", ("rock",), 0),
]


@pytest.fixture
def magnatagatune(tmp_path):
    root = tmp_path / "mtt"
    tags = [*reversed(TOP_50), "lute", *(f"tag {number}" for number in range(137))]
    assert len(tags) == 188
    lines, info = ["clip_id", *tags, "mp3_path"], ["clip_id", "track_number", "title", "artist", "album", "url"]
    info += ["segmentStart", "segmentEnd", "original_url", "mp3_path"]
    with (
        (root.mkdir() or root / "annotations_final.csv").open("w", newline="") as table,
        (root / "clip_info_final.csv").open("w", newline="") as about,
    ):
        table, about = (csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL) for file in (table, about))
        table.writerow(lines)
        about.writerow(info)
        for clip, folder, artist, track, has, hz in MTT:
            path = f"{folder}/{artist.lower().replace(' ', '_')}-album-{track}-{clip}-{clip + 29}.mp3"
            table.writerow([clip, *(int(tag in has) for tag in tags), path])
            about.writerow([clip, 1, "t", artist, "a", "http://x", clip, clip + 29, "http://y", path])
            write_tone(root / "mp3" / path, hz, 29.12)
            if artist == "Empty":
                (root / "mp3" / path).write_bytes(b"")
    return root


def test_magnatagatune(magnatagatune, publish):
    whole = zipped(magnatagatune / "mp3")
    third = len(whole) // 3
    files = {f"mp3.zip.00{i + 1}": whole[i * third : None if i == 2 else (i + 1) * third] for i in range(3)}
    files |= {name: (magnatagatune / name).read_bytes() for name in ("annotations_final.csv", "clip_info_final.csv")}
    publish("magnatagatune", files)
    table = load("magnatagatune")
    assert table.frame.index.tolist() == ["2", "7", "9", "26", "30"]
    assert frequencies(table) == [400, 600, 700, 500, 300]
    assert table.frame["split"].tolist() == ["train", "valid", "test", "train", "test"]
    assert table.frame["group"].tolist() == ["Jag", "Glide", "Jag", "Jag", "Bach Soloists"]
    assert table.frame["track"].nunique() == 4
    expected = [{"rock", "guitar"}, set(), {"female vocal", "singing"}, {"guitar"}, {"classical", "no vocals"}]
    for row, tags in zip(table.labels(), expected, strict=True):
        assert {tag for tag, has in zip(table.classes, row, strict=True) if has} == tags
    assert next(iter(table.to_tf("train", seconds=2)))[1].shape == (2, 50)
    notes = " ".join(table.notes)
    assert "the file is empty: mp3/1/empty-album-01-nothing-11-40.mp3" in notes
    assert "1 of 5 clips have none of the 50 tags" in notes
    assert "does not keep artists apart: 1 of 3 cross it" in notes
    with pytest.raises(BadArgumentError, match=r"split by track, not by artist.*does not keep artists apart"):
        table.split(by="artist")


def test_magnatagatune_in_other_hands(magnatagatune):
    (magnatagatune / "clip_info_final.csv").unlink()
    for folder in list((magnatagatune / "mp3").iterdir()):
        folder.rename(magnatagatune / folder.name)
    table = load("magnatagatune", root=magnatagatune)
    assert frequencies(table) == [400, 600, 700, 500, 300]
    assert "artists are unknown" in " ".join(table.notes)
    assert table.frame["group"].tolist() == table.frame["track"].tolist()
    with pytest.raises(BadArgumentError, match=r"split by track, not by artist.*artists are unknown"):
        table.split(by="artist")
    text = (magnatagatune / "annotations_final.csv").read_text()
    (magnatagatune / "annotations_final.csv").write_text(text.replace('"guitar"', '"gitarre"'))
    with pytest.raises(DataNotFoundError, match="no column guitar"):
        load("magnatagatune", root=magnatagatune)


@needs_real("magnatagatune")
def test_the_fifty_tags_are_the_usual_ones_in_the_usual_order():
    published = (MIRROR / "magnatagatune" / "top50_tags.txt").read_text().split()
    assert [tag.replace(" ", "").casefold() for tag in TOP_50] == [tag.casefold() for tag in published]


# --- Features ----------------------------------------------------------------------------------------------------


@pytest.fixture
def features(tmp_path):
    root = tmp_path / "choi"
    for folder in ("data_csv", "data_feats"):
        (root / folder).mkdir(parents=True)
    names = ["pop.00007", "blues.00029", "blues.00049", "blues.00050", "blues.00012"]
    rows = [f"{i},x,gtzan_genre/genres/{n[:-6]}/{n}.au,{int(n[0] == 'p')}" for i, n in enumerate(names)]
    (root / "data_csv" / "gtzan_genre.csv").write_text("\n".join([",id,filepath,label", *rows]) + "\n")
    for layer in range(5):
        np.save(root / "data_feats" / f"gtzan_genre_layer_{layer}.npy", np.full((5, 32), layer, "float32"))
    np.save(root / "data_feats" / "gtzan_genre_mfcc.npy", np.zeros((5, 120)))
    return root


def test_choi_transfer(features):
    data = load("choi_transfer/gtzan_genre", root=features)
    assert data.split.tolist() == ["train", "train", "train", "valid", "test"]
    assert data.classes == ("blues", "pop")
    assert data.labels.tolist() == [1, 0, 0, 0, 0]
    assert set(data.groups) == {""}
    assert [data.features[layer][0, 0] for layer in range(5)] == [0, 1, 2, 3, 4]
    assert repr(data) == "FeatureSet choi_transfer/gtzan_genre: 5 clips, layers 0, 1, 2, 3, 4"


def test_choi_transfer_refuses(features):
    with pytest.raises(BadArgumentError, match="Did you mean 'choi_transfer/gtzan_genre'"):
        load("choi_transfer/gtzan_gnre", root=features)
    with pytest.raises(BadArgumentError, match="Did you mean 'choi_transfer/"):
        load("choi_transfer", root=features)
    np.save(features / "data_feats" / "gtzan_genre_layer_3.npy", np.zeros((4, 32)))
    with pytest.raises(DataNotFoundError, match=r"layer_3.npy has the shape \(4, 32\), .* asks for \(5, 32\)"):
        load("choi_transfer/gtzan_genre", root=features)
    (features / "data_feats" / "gtzan_genre_mfcc.npy").unlink()
    with pytest.raises(DataNotFoundError, match=r"missing: data_feats/gtzan_genre_mfcc.npy"):
        load("choi_transfer/gtzan_genre", root=features)


@needs_real("choi_transfer")
def test_the_real_features_give_the_published_accuracy(monkeypatch):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    monkeypatch.setenv("DL4MIR_MIRROR", str(MIRROR))
    data = load("choi_transfer/gtzan_genre")
    assert {part: (data.split == part).sum() for part in ("train", "valid", "test", "")} == {
        "train": 443,
        "valid": 197,
        "test": 290,
        "": 70,
    }
    for inputs, low, high in ((np.hstack(list(data.features.values())), 0.75, 0.82), (data.mfcc, 0.48, 0.56)):
        model = make_pipeline(StandardScaler(), SVC(C=8))
        model.fit(inputs[data.split == "train"], data.labels[data.split == "train"])
        assert low < model.score(inputs[data.split == "test"], data.labels[data.split == "test"]) < high


@needs_real("choi_transfer")
@pytest.mark.parametrize("task", TASKS)
def test_the_real_features_are_whole(monkeypatch, task):
    monkeypatch.setenv("DL4MIR_MIRROR", str(MIRROR))
    data = load(f"choi_transfer/{task}")
    clips = {"ballroom_extended": 4180, "emoMusic": 744, "gtzan_genre": 1000, "gtzan_speechmusic": 128}
    assert len(data) == {**clips, "jamendo_vd": 4086, "urbansound": 8732}[task]
    assert all(np.isfinite(layer).all() and np.ptp(layer) > 0 for layer in data.features.values())
    assert (data.mfcc is None) == (task == "urbansound")
    if task == "emoMusic":
        assert data.labels.shape == (744, 2)
    else:
        assert set(data.labels) == set(range(len(data.classes)))
    if task in ("jamendo_vd", "urbansound"):
        parts = pd.Series(data.split).groupby(data.groups).nunique()
        # No song is in two parts; five of the recordings are in two of the published folds.
        assert (parts > 1).sum() == {"jamendo_vd": 0, "urbansound": 5}[task]
        assert len(parts) == {"jamendo_vd": 93, "urbansound": 1297}[task]
    if task == "jamendo_vd":
        assert {part: (data.split == part).sum() for part in ("train", "valid", "test")} == {
            "train": 2592,
            "valid": 821,
            "test": 673,
        }
        assert data.classes == ("nosing", "sing")


# --- One's own ---------------------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path):
    """Two labels, eight artists each with two files, one artist under both labels."""
    root = tmp_path / "music"
    for number, (label, artist, song) in enumerate(itertools.product(("calm", "loud"), range(8), range(2))):
        name = "both" if artist == 7 else f"{label}{artist}"
        write_tone(root / label / name / f"{song}.wav", 300 + 10 * number, 2 + number % 2)
    (root / "loud" / "loud0" / "cover.jpg").write_bytes(b"jpg")
    return root


def test_own_folder(own):
    table = load("folder", root=own)
    assert len(table) == 32
    assert table.classes == ("calm", "loud")
    assert table.labels().tolist() == [0] * 16 + [1] * 16
    assert sorted(frequencies(table)) == list(range(300, 620, 10))
    assert (np.array(frequencies(table)) >= 460).tolist() == table.labels().astype(bool).tolist()
    assert table.frame["group"].nunique() == 15
    assert (table.frame.groupby("group")["split"].nunique() == 1).all()
    shares = table.frame["split"].value_counts(normalize=True)
    assert 0.6 <= shares["train"] <= 0.8 and min(shares["valid"], shares["test"]) >= 0.06
    assert table.frame["split"].tolist() == load("folder", root=str(own)).frame["split"].tolist()
    assert table.frame["split"].tolist() != load("folder", root=own, seed=1).frame["split"].tolist()
    assert set(table.frame["duration_s"]) == {2.0, 3.0}
    assert len(list(table.split(by="artist").to_tf("train", seconds=1))) >= 1


def test_own_folder_names_what_cannot_be_decoded(own):
    (own / "calm" / "calm0" / "bad.mp3").write_bytes(b"not a sound")
    (own / "calm" / "calm0" / "phone.m4a").write_bytes(b"an AAC file")
    (own / "loud" / "._0.wav").write_bytes(b"Mac OS X")
    with pytest.warns(UserWarning, match=r"2 of 34: calm/calm0/bad.mp3, calm/calm0/phone.m4a") as caught:
        table = load("folder", root=own)
    assert caught[0].filename == __file__
    assert len(table) == 32
    assert "cannot be decoded: 2 of 34: calm/calm0/bad.mp3" in table.notes[0]


def test_own_folder_without_albums(tmp_path):
    for label, number in itertools.product("ab", range(20)):
        write_tone(tmp_path / label / f"{number:02}.wav", 300, 1)
    table = load("folder", root=tmp_path)
    assert table.frame["group"].is_unique
    assert "every file is its own" in table.notes[0]
    assert all(
        (table.labels(split) == 1).mean() == pytest.approx(0.5, abs=0.01) for split in ("train", "valid", "test")
    )
    with pytest.raises(BadArgumentError, match=r"by track, not by artist.*every file is its own"):
        table.split(by="artist")


def test_own_folder_of_one_album_has_no_split(tmp_path):
    write_tone(tmp_path / "a" / "album" / "1.wav", 300, 1)
    write_tone(tmp_path / "b" / "album" / "2.wav", 400, 1)
    table = load("folder", root=tmp_path)
    assert table.frame["split"].tolist() == ["", ""]
    assert "too few groups or files" in table.notes[0]
    assert frequencies(table) == [300, 400]


def test_own_folder_of_few_files_of_many_artists(tmp_path):
    for label, artist in itertools.product("ab", range(3)):
        write_tone(tmp_path / label / f"{label}{artist}" / "1.wav", 300, 1)
    table = load("folder", root=tmp_path)
    assert (table.frame.groupby("split")["label"].nunique() == 2).all()
    assert table.frame["split"].value_counts().to_dict() == {"train": 2, "valid": 2, "test": 2}


def test_own_folder_with_a_class_that_a_split_lacks(tmp_path):
    for artist in range(7):
        write_tone(tmp_path / "many" / f"{artist}" / "a.wav", 300, 1)
    write_tone(tmp_path / "few" / "x" / "a.wav", 300, 1)
    assert "has no few" in load("folder", root=tmp_path).notes[0]


def test_own_folder_with_tags(tmp_path):
    """Genres and artists from tags, in several spellings; what has none is counted and named."""
    files = {
        "A/one/1.flac": ("Metal", "A", 300),
        "A/one/2.ogg": ("metal ", "a Feat. Someone Else", 310),  # a guest is not another artist
        "A/two/3.wav": ("METAL", "", 320),  # the first folder says who it is
        "B/1.mp3": ("Metal", "B  C", 330),
        "B/2.mp3": ("Jazz", "b c", 340),
        "1.aiff": (["Jazz", "Soul"], "D", 350),
        "2.flac": ("Jazz", "", 360),
        "3.flac": ("", "D", 370),
    }
    for path, (genre, artist, pitch) in files.items():
        write_tone(tmp_path / path, pitch, 1)
        write_tags(tmp_path / path, genre, artist)
    table = load("folder", root=tmp_path)
    assert table.classes == ("Jazz", "Metal") and len(table) == 7
    labels = table.frame["label"].to_dict()
    assert [labels[path] for path in list(files)[:7]] == [*4 * ["Metal"], *3 * ["Jazz"]]
    artists = table.frame["artist"].to_dict()
    assert [artists[path] for path in list(files)[:7]] == ["A", "A", "A", "B C", "B C", "D", ""]
    assert table.frame["group"]["2.flac"] == "2.flac" and table.frame["group"]["A/one/2.ogg"] == "A"
    notes = "\n".join(table.notes)
    assert "genres in the files' tags" in notes and "several genres, 1 in all" in notes
    assert "Left out: 1 (its tags name no genre): 3.flac." in notes and "not known, 1 in all" in notes
    by_folder = load("folder", root=tmp_path, genre_from="folders")
    assert by_folder.classes == ("A", "B") and by_folder.frame["artist"]["A/two/3.wav"] == "two"
    assert "Left out: 3 (it is in no folder that names its genre): 1.aiff, 2.flac, 3.flac." in by_folder.notes
    with pytest.raises(BadArgumentError, match="must be 'auto', 'tags' or 'folders'"):
        load("folder", root=tmp_path, genre_from="album")


def test_own_folder_where_most_files_have_no_genre(own):
    write_tags(own / "calm/calm0/0.wav", "Metal", "X")
    table = load("folder", root=own)
    assert table.classes == ("calm", "loud") and table.frame["artist"]["calm/calm0/0.wav"] == "X"
    with pytest.raises(DataNotFoundError, match="None of the files has a genre in its tags"):
        (own / "calm/calm0/0.wav").unlink()
        load("folder", root=own, genre_from="tags")


def write_tags(path, genre, artist):
    sound = mutagen.File(path)
    if path.suffix in (".flac", ".ogg"):
        sound.update({"GENRE": genre} if genre else {})
        sound.update({"ARTIST": artist} if artist else {})
    else:
        if sound.tags is None:
            sound.add_tags()
        if genre:
            sound.tags.add(mutagen.id3.TCON(encoding=1, text=genre))
        if artist:
            sound.tags.add(mutagen.id3.TPE1(encoding=1, text=artist))
    sound.save()


def test_own_table(own):
    rows = [["path", "label", "group", "split"]]
    rows += [["calm/calm0/0.wav", "up, and", "A", "test"], ["loud/loud3/1.wav", "down", "B", "train"]]
    with (own / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    table = load("folder", root=own)
    assert table.classes == ("down", "up, and")
    assert table.frame[["label", "group", "split"]].to_numpy().tolist() == [rows[1][1:], rows[2][1:]]
    assert frequencies(table, "train") == [300 + 10 * 23]
    (own / "labels.csv").rename(own / "other.csv")
    assert len(load("folder", root=own, table="other.csv")) == 2
    assert len(load("folder", root=own)) == 32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,genre\na.wav,x\n", "no column label"),
        ("path,label\ncalm/calm0/0.wav,x\ncalm/calm0/0.wav,y\n", "names files twice: calm/calm0/0.wav"),
        ("path,label,split\ncalm/calm0/0.wav,x,training\n", "holds training; say train, valid or test"),
        (
            "path,label,group,split\ncalm/calm0/0.wav,x,A,train\ncalm/calm0/1.wav,x,A,test\n",
            "tears groups apart: A",
        ),
        ("path,label\nnone.wav,x\n", "missing: none.wav"),
        ("path,label\ncalm/calm0/0.wav,\n", "no label to calm/calm0/0.wav"),
    ],
)
def test_own_table_refuses(own, text, message):
    (own / "labels.csv").write_text(text)
    with pytest.raises(Dl4mirError, match=message):
        load("folder", root=own)


def test_own_folder_refuses(tmp_path):
    with pytest.raises(BadArgumentError, match="Say where your music is"):
        load("folder")
    with pytest.raises(DataNotFoundError, match="no such folder"):
        load("folder", root=tmp_path / "nowhere")
    with pytest.raises(DataNotFoundError, match="no sound in sub-folders"):
        load("folder", root=tmp_path)
    with pytest.raises(DataNotFoundError, match=r"no mine.csv in the folder"):
        load("folder", root=tmp_path, table="mine.csv")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.wav").write_bytes(b"")
    with (
        pytest.warns(UserWarning),
        pytest.raises(DataNotFoundError, match=r"None of the files can be decoded: a/x.wav"),
    ):
        load("folder", root=tmp_path)


# --- All of them -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["fma_small", "gtzan", "jamendo_vad", "magnatagatune", "ultrastar_cc", "jamendolyrics"]
)
def test_a_wrong_folder_is_told(tmp_path, name):
    with pytest.raises(DataNotFoundError, match=f"The folder given for {name} holds no .*docs/data.md"):
        load(name, root=tmp_path)


def test_wrong_options_are_told(tmp_path):
    with pytest.raises(BadArgumentError, match="jamendo_vad: got an unexpected keyword argument 'merge_s'"):
        load("jamendo_vad", merge_s=1)  # told before anything is fetched


def test_the_table_in_the_docs_says_what_the_registry_says():
    text = (Path(__file__).parents[1] / "docs" / "data.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:3] == "| `"]
    rows = [row for row in rows if len(row) == 8]  # the table of data sets; another tells what is in the folders
    assert {row[0].strip("`") for row in rows} == set(registry.DATA_SETS)
    overview = data_sets()
    for name, purpose, download, licence, _, checksum, _, _ in rows:
        name = name.strip("`")
        known = registry.DATA_SETS[name]
        kinds = {file.checksum.split(":")[0] if file.checksum else "" for file in known.files}
        names = {"sha1": "SHA-1", "sha256": "SHA-256", "md5": "MD5", "": "of the first download"}
        assert checksum == ", ".join(sorted(names[kind] for kind in kinds)), name
        assert (licence, download) == (known.licence, overview.loc[name, "download"]), name
        assert purpose
    loadable = {name.partition("/")[0] for name in LOADERS}
    assert loadable - {"folder"} == set(registry.DATA_SETS) - {"fma_metadata", "music_tagger_crnn", "choi_models"}
    assert all(name in load.__doc__ for name in NAMES if "/" not in name)


def test_own_cache_is_not_needed_for_a_folder_that_is_there(gtzan, tmp_path):
    load("gtzan", root=gtzan)
    assert not (tmp_path / "cache").exists()
