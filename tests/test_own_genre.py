"""A network of one's own music, from the folder to genres in files: `dl4mir train` and `dl4mir genre`."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mutagen
import numpy as np
import pandas as pd
import psutil
import pytest
import soundfile
from test_cli import customised, shipped

from dl4mir_utils import BadArgumentError, own_genre
from dl4mir_utils.apps.genre import answer, checked_network, file_windows, vote
from dl4mir_utils.apps.lite import Network, read_card
from dl4mir_utils.data import load
from dl4mir_utils.data.loaders.folder import read_library

RATE = 16000
SONG_S = 20  # at most, of a song
PER_ARTIST = 6
ODD = "kpone_01\n🎵"  # a name with a line end and a picture


@pytest.fixture(scope="module")
def songs():
    """60 real songs by 18 artists, one of them in two genres: genre, artist, name, and samples at 16 kHz."""
    data, found = load("mini/genre"), []
    for (genre, artist), by_artist in data.frame.groupby(["label", "group"]):
        for track, clips in list(by_artist.groupby("track"))[:PER_ARTIST]:
            audio = np.concatenate([data.audio(name) for name in clips.index[: SONG_S // 10]])
            found.append((genre, artist, ODD if track == "kpone_01" else track, audio))
    return sorted(found, key=lambda song: song[:3])


@pytest.fixture(scope="module")
def trained(songs, tmp_path_factory):
    """The same songs in folders and with tags, both trained at once: the folder, and what each process said."""
    root = tmp_path_factory.mktemp("own")
    for number, (genre, artist, name, audio) in enumerate(songs):
        path = root / "folders" / genre / artist / f"{name}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, audio, RATE)
        tagged = root / "tags" / f"{number:02} {name}.flac"
        tagged.parent.mkdir(exist_ok=True)
        shutil.copy(path, tagged)
        odd = number % 7 == 0
        write_tags(tagged, f" {genre.upper()}" if odd else genre, f" {artist}  " if odd else artist)
    for folder in ("folders", "tags"):
        (root / folder / "empty.mp3").touch()  # of no genre
    broken = root / "tags/99 broken.flac"
    shutil.copy(tagged, broken)
    content = broken.read_bytes()
    broken.write_bytes(content[: content.index(b"\xff\xf8")])  # its tags are whole, its sound is gone
    (root / "cache").mkdir()
    environment = os.environ | {"DL4MIR_DATA": str(root / "cache")}
    processes = {
        name: subprocess.Popen(
            [sys.executable, "-m", "dl4mir_utils", "train", name, "-o", f"{name}.tflite", "--csv", f"{name}.csv"],
            **{"cwd": root, "env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE},
            **{"text": True, "encoding": "utf-8"},
        )
        for name in ("folders", "tags")
    }
    said = {name: (*process.communicate(timeout=300), process.returncode) for name, process in processes.items()}
    return root, said


def write_tags(path, genre, artist):
    sound = mutagen.File(path)
    if genre:
        sound["GENRE"] = genre
    if artist:
        sound["ARTIST"] = artist
    sound.save()


def test_a_library_of_tags_is_learned_and_judged_on_unheard_artists(trained, songs):
    root, said = trained
    shown, errors, code = said["tags"]
    assert code == 0, errors
    lines = shown.splitlines()
    header = next(line for line in lines if line.startswith("genre"))
    counts = {line.split()[0]: line.split()[1:3] for line in lines[lines.index(header) + 1 :][:3]}
    assert counts == {"electronic": ["28", "9"], "metal": ["16", "4"], "orchestral": ["16", "6"]}
    card = read_card(root / "tags.tflite")
    score, calibration = card["score"], card["calibration"]
    assert (score["songs"], score["artists"]) == (60, 18) and score["interval"][0] <= score["accuracy"]
    # Above both baselines, which were tested on the same folds.
    assert score["accuracy"] >= 0.75 > 0.72 >= score["baselines"]["log_mel"] and score["baselines"]["common"] <= 0.5
    assert (
        f"{100 * score['accuracy']:.0f} %" in shown and "Wrong: " in shown and "always the most common genre" in shown
    )
    assert 0.6 <= calibration["answered"] <= 0.9 and calibration["right_where_answered"] > score["accuracy"]
    assert "Copyright (c) Music Technology Group" in card["licence_text"]
    table = pd.read_csv(root / "tags.csv")
    assert len(table) == 60 and (table.network == table.genre).mean() == pytest.approx(score["accuracy"], abs=1e-3)
    assert (table.groupby("artist")["fold"].nunique() == 1).all() and table["fold"].nunique() == 4
    assert sorted(Path(file).stem[3:] for file in table["file"]) == sorted(name for *_, name, _ in songs)
    # What is left out is named, one line each.
    assert errors.splitlines()[1] == "Left out: 2 of 62 files" and len(errors.splitlines()) == 4
    assert "tags/empty.mp3: its tags name no genre" in errors and "tags/99 broken.flac: " in errors
    assert not [path.name for path in root.iterdir() if path.name.startswith(".")]


def test_folders_say_the_same_as_tags_and_the_same_songs_give_the_same_network(trained):
    root, said = trained
    _, errors, code = said["folders"]
    assert code == 0 and "folders/empty.mp3: it is in no folder that names its genre" in errors
    assert (root / "folders.tflite").read_bytes() == (root / "tags.tflite").read_bytes()
    one, other = (read_card(root / f"{name}.tflite") for name in ("folders", "tags"))
    assert one | {"file": ""} == other | {"file": ""}


def test_genre_names_whole_files_and_writes_tables(trained, songs, tmp_path):
    root, _ = trained
    model = str(root / "tags.tflite")
    (tmp_path / "broken.mp3").write_bytes(b"no song at all" * 1000)
    soundfile.write(tmp_path / "silence.wav", np.zeros(RATE), RATE)
    outputs = ["--csv", tmp_path / "out.csv", "--json", tmp_path / "out.json"]
    done = shipped(
        "genre", "folders/metal", "folders/electronic/K-Pone", tmp_path, "--model", model, *outputs, cwd=root
    )
    assert done.returncode == 1 and "Not done: 2 of 19 files" in done.stderr and "only silence" in done.stderr
    table = pd.read_csv(tmp_path / "out.csv")
    rows = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert len(table) == len(rows) == len(done.stdout.splitlines()) == 17
    assert f"folders/electronic/K-Pone/{ODD}.flac" in set(table["file"]) and "kpone_01\ufffd🎵.flac: " in done.stdout
    card = checked_network(Path(model))
    assert card["song_unsure_below"] > 0.4
    for (_, told), row in zip(table.iterrows(), rows, strict=True):
        shares = told[[f"p({label})" for label in card["labels"]]].to_numpy(float)
        assert shares.sum() == pytest.approx(1, abs=3e-4) and max(row["probabilities"].values()) == shares.max()
        assert told["genre"] == (row["genre"] or "unsure") == answer(shares, card["labels"], card["song_unsure_below"])
    by_metal = table[table["file"].str.startswith("folders/metal/")]
    assert (by_metal["genre"] == "metal").mean() > 0.8  # it has learned from them
    # What the command says is the vote over what the network says of the windows.
    file = root / table["file"][0]
    windows = file_windows(file, Path(model))
    assert windows.shape[1] == 3 and len(windows) == int(soundfile.info(file).duration / (48128 / RATE))
    np.testing.assert_allclose(vote(windows), table.loc[0, list(table)[2:]].to_numpy(float), atol=1e-3)


def test_genre_shows_one_genre_only_and_lists_it(trained, tmp_path):
    root, _ = trained
    table, playlist = tmp_path / "out.csv", tmp_path / "out.m3u"
    command = ["genre", "folders/metal", "folders/electronic/K-Pone", "--model", "tags.tflite"]
    for genre in ("metal", "unsure"):
        done = shipped(*command, "--only", genre, "--csv", table, "--m3u", playlist, cwd=root)
        assert done.returncode == 0
        answers = pd.read_csv(table)
        of_it = list(answers["file"][answers["genre"] == genre])
        assert len(answers) == 17 > len(of_it) == len(done.stdout.splitlines())
        head, *listed = playlist.read_text(encoding="utf-8").splitlines()
        in_a_line = [file for file in of_it if "\n" not in file]
        assert (head, listed) == ("#EXTM3U", [str(root / file) for file in in_a_line])
        told = done.stderr.startswith(f"Not in {playlist}, since there is a line end in the name: folders/")
        assert told if len(in_a_line) < len(of_it) else done.stderr == ""
    done = shipped(*command, "--only", "polka", cwd=root)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == "--only is 'polka'; it must be one of: electronic, metal, orchestral, unsure.\n"


def test_without_a_network_the_courses_own_is_asked(trained):
    root, _ = trained
    done = shipped("genre", min((root / "folders/metal/Jute Gyte").iterdir()), cwd=root)
    first, second = done.stdout.splitlines()
    assert done.returncode == 0 and "electronic, metal, orchestral" in first and ": metal 0." in second
    done = shipped("genre", "folders", "--write-genre", "--yes", cwd=root)
    assert done.returncode == 1 and "--write-genre needs --model" in done.stderr


def test_the_exported_network_answers_as_in_keras(tmp_path):
    rng = np.random.default_rng(0)
    head = own_genre.Head(rng.normal(0, 0.05, (200, 4)), rng.normal(0, 0.1, 4))
    facts = {"hop_samples": own_genre.HOP}
    card = own_genre._export(tmp_path / "my.tflite", head, ["a", "b", "c", "d"], facts)
    model = own_genre.network(head)
    written = Network(tmp_path / "my.tflite")
    clips = load("mini/album")
    for name in clips.frame.index[::60]:
        window = clips.audio(name)[np.newaxis, : card["window_samples"], np.newaxis]
        given = written("window", audio=window)["genre"]
        np.testing.assert_allclose(given, model(window, training=False), atol=2e-3)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["my.json", "my.tflite"]


# --- What is refused ----------------------------------------------------------------------------------------------


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A function that makes a library of silent files with tags, and returns what `train` says to it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own_genre, "_heard", None)  # nothing is listened to: what is wrong is known before

    def train(files, **options):
        for path, (genre, artist) in files.items():
            Path("lib", path).parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(Path("lib", path), np.zeros(800), RATE)
            write_tags(Path("lib", path), genre, artist)
        with pytest.raises(BadArgumentError) as refused:
            own_genre.train_genre(Path("lib"), Path("my.tflite"), **options)
        assert not Path("my.tflite").exists()
        return str(refused.value)

    return train


def of(genre, *artists):
    return {f"{genre}{number}.flac": (genre, artist) for number, artist in enumerate(artists)}


def test_genres_of_too_few_artists_are_named(library):
    files = of("rock", "A", "B", "C") | of("jazz", "D", "E", "d ") | of("folk", "F", "F")
    said = library(files)
    assert "Too few artists: folk (1 artist), jazz (2 artists)." in said and "--leave-out" in said
    said = library(files, leave_out=True)
    assert "Only 1 genre with 3 artists or more" in said


def test_files_without_an_artist_are_named(library):
    files = of("rock", "A", "B", "C") | of("jazz", "D", "E", "")
    said = library(files)
    assert "The artist of 1 of 6 files is not known" in said and "jazz2.flac" in said and "artist/album/file" in said
    # One folder level will do.
    Path("lib/G").mkdir()
    Path("lib/jazz2.flac").rename("lib/G/jazz2.flac")
    frame = read_library(Path("lib")).frame.set_index("path")
    assert frame.artist["G/jazz2.flac"] == "G" and (frame["artist"] != "").all()


def test_what_cannot_be_learned_from(library):
    assert "Only 1 genre" in library(of("rock", "A", "B", "C"))
    with pytest.raises(BadArgumentError, match=r"end in \.tflite"):
        own_genre.train_genre(Path("lib"), Path("a.h5"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "my.h5"], "--out is my.h5; it must be a file that ends in .tflite."),
        (["-o", "none/my.tflite"], "the folder none is not there"),
        (["-o", "there.tflite"], "Nothing was done. To replace what is there, answer y, or give --yes."),
        (["-o", "my.tflite", "--csv", "my.txt"], "--csv is my.txt"),
        (["-o", "my.tflite"], "There is no such folder: lib"),
    ],
)
def test_train_refuses_before_the_work(tmp_path, monkeypatch, arguments, said):
    from typer.testing import CliRunner

    from dl4mir_utils.apps.cli import app

    monkeypatch.chdir(tmp_path)
    Path("there.json").write_text("{}")
    result = CliRunner().invoke(app, ["train", "lib", *arguments])
    assert result.exit_code == 1 and said in result.stderr and "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there.json"] and Path("there.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.with_suffix(".json").unlink(), "my.json cannot be read"),
        (lambda file: file.with_suffix(".json").write_text("{"), "my.json is damaged"),
        (
            lambda file: file.with_suffix(".json").write_text('{"labels": ["a"]}'),
            "is not the card of a network of genres",
        ),
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "do not belong together"),
        (lambda file: file.unlink(), "my.tflite cannot be read"),
    ],
)
def test_genre_refuses_a_network_that_is_none(tmp_path, spoil, said):
    for ending in ("json", "tflite"):
        shutil.copy(Path(__file__).parents[1] / f"data/pretrained/genre_mini.{ending}", tmp_path / f"my.{ending}")
    assert checked_network(tmp_path / "my.tflite")["labels"][1] == "metal"
    spoil(tmp_path / "my.tflite")
    from typer.testing import CliRunner

    from dl4mir_utils.apps.cli import app

    result = CliRunner().invoke(app, ["genre", "none.mp3", "--model", str(tmp_path / "my.tflite")])
    assert result.exit_code == 1 and said in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="signals of other systems")
def test_an_interrupted_training_writes_nothing(trained, tmp_path):
    root, _ = trained
    slow = """
import soundfile, time
whole = soundfile.SoundFile.__init__
def opened(self, *given, **named):
    time.sleep(1)
    whole(self, *given, **named)
soundfile.SoundFile.__init__ = opened
"""
    process = subprocess.Popen(
        [sys.executable, "-m", "dl4mir_utils", "train", str(root / "folders"), "-o", "my.tflite"],
        **{"cwd": tmp_path, "env": os.environ | customised(tmp_path / "site", slow), "start_new_session": True},
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True},
    )
    deadline, workers = time.monotonic() + 120, []
    while not workers and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
        children = psutil.Process(process.pid).children(recursive=True)
        workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    os.killpg(process.pid, signal.SIGINT)
    shown, errors = process.communicate(timeout=60)
    assert workers and (process.returncode, shown, errors) == (1, "", "\nInterrupted: nothing was written.\n")
    assert psutil.wait_procs(workers, timeout=5)[1] == []
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


# --- Genres in files ----------------------------------------------------------------------------------------------


def test_genres_are_written_where_there_is_none(trained, tmp_path):
    root, _ = trained
    song = min((root / "folders/metal/Jute Gyte").iterdir())
    for name in ("a b", "kept", "z"):
        shutil.copy(song, tmp_path / f"{name}.flac")
    write_tags(tmp_path / "kept.flac", "Noise", "X")
    write_tags(tmp_path / "z.flac", "", "Cafe")
    damaged = (tmp_path / "z.flac").read_bytes().replace(b"Cafe", b"Caf\xe9")  # Latin-1, as some old programs wrote
    (tmp_path / "z.flac").write_bytes(damaged)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    command = ["genre", ".", "--model", root / "tags.tflite", "--write-genre"]
    done = shipped(*command, cwd=tmp_path)
    assert done.returncode == 0 and "Nothing was written into them." in done.stdout
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    environment = os.environ | {"DL4MIR_DATA": str(root / "cache")}
    done = shipped(*command, "--yes", cwd=tmp_path, env=environment)
    assert done.returncode == 1 and "z.flac: " in done.stderr and (tmp_path / "z.flac").read_bytes() == damaged
    assert "  a b.flac: metal written\n" in done.stdout and "  kept.flac: stays Noise\n" in done.stdout
    assert mutagen.File(tmp_path / "a b.flac")["GENRE"] == ["metal"]
    kept = mutagen.File(tmp_path / "kept.flac")
    assert kept["GENRE"] == ["Noise"] and (tmp_path / "kept.flac").read_bytes() == before["kept.flac"]
    done = shipped(*command, "--replace-genre", "--yes", cwd=tmp_path, env=environment)
    assert "  kept.flac: metal written in the place of Noise\n" in done.stdout
    assert "  a b.flac: is metal already\n" in done.stdout
    kept = mutagen.File(tmp_path / "kept.flac")
    assert (kept["GENRE"], kept["ARTIST"]) == (["metal"], ["X"])


def test_where_it_is_unsure_nothing_is_written(trained, tmp_path):
    root, _ = trained
    for ending in ("json", "tflite"):
        shutil.copy(root / f"tags.{ending}", tmp_path / f"my.{ending}")
    card = read_card(tmp_path / "my.tflite") | {"song_unsure_below": 1.0}
    (tmp_path / "my.json").write_text(json.dumps(card), encoding="utf-8")
    (tmp_path / "lib").mkdir()
    shutil.copy(min((root / "folders/electronic/paniq").iterdir()), tmp_path / "lib/song.flac")
    before = (tmp_path / "lib/song.flac").read_bytes()
    environment = os.environ | {"DL4MIR_DATA": str(root / "cache")}
    done = shipped("genre", "lib", "--model", "my.tflite", "--write-genre", "--yes", cwd=tmp_path, env=environment)
    assert done.returncode == 0 and "song.flac: unsure (" in done.stdout and "unsure, nothing written" in done.stdout
    assert (tmp_path / "lib/song.flac").read_bytes() == before


# --- Voting -------------------------------------------------------------------------------------------------------


def test_three_ways_to_vote():
    rows = np.array([[0.9, 0.1, 0.0], [0.4, 0.6, 0.0], [0.4, 0.6, 0.0]])
    np.testing.assert_allclose(vote(rows), rows.mean(axis=0))
    np.testing.assert_allclose(vote(rows, "majority"), [1 / 3, 2 / 3, 0])
    weighted = vote(rows, "weighted")
    assert weighted.sum() == pytest.approx(1) and weighted[0] > vote(rows)[0]  # who is surer, counts more
    np.testing.assert_allclose(vote(np.full((2, 4), 0.25), "weighted"), 0.25)
    assert answer(weighted, ["a", "b", "c"], 0.5) == "a" and answer(weighted, ["a", "b", "c"], 0.9) == "unsure"
    for wrong in (np.zeros((0, 3)), np.zeros(3)):
        with pytest.raises(BadArgumentError, match="one at least"):
            vote(wrong)
    with pytest.raises(BadArgumentError, match="'majority' or 'weighted'"):
        vote(rows, "loudest")
