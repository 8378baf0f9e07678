"""The command line: what it prints and its exit codes."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
from typer.testing import CliRunner

from dl4mir_utils import doctor
from dl4mir_utils.apps.cli import app
from dl4mir_utils.data.registry import DATA_SETS, DataSet, RemoteFile
from dl4mir_utils.doctor import Check


def run(monkeypatch, *checks):
    monkeypatch.setattr(doctor, "iterate_checks", lambda: iter(checks))
    return CliRunner().invoke(app, ["doctor"])


def test_doctor_on_a_sound_machine(monkeypatch):
    result = run(monkeypatch, Check("Python", "OK", "3.12.1"), Check("Memory", "note", "1 GiB free", "Close programs."))
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "OK    Python: 3.12.1",
        "note  Memory: 1 GiB free",
        "      -> Close programs.",
        "",
        "This machine can run the course.",
    ]


def test_doctor_on_a_broken_machine(monkeypatch):
    result = run(monkeypatch, Check("Python", "OK", "3.12.1"), Check("Data", "FAIL", "no clips", "Get them."))
    assert result.exit_code == 1
    assert "FAIL  Data: no clips\n      -> Get them.\n" in result.output
    assert result.output.endswith("To be mended: Data\n")


def test_as_a_module():
    result = subprocess.run(
        [sys.executable, "-m", "dl4mir_utils", "--help"], capture_output=True, text=True, check=True
    )
    assert "dl4mir" in result.stdout and "doctor" in result.stdout


def test_console_script_points_at_the_app():
    from importlib.metadata import entry_points

    (script,) = [e for e in entry_points(group="console_scripts") if e.name == "dl4mir"]
    assert script.load() is app


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A registered data set "toy" of one file, on a mirror folder; returns a function that runs `dl4mir data ...`."""
    content = b"0.0 1.5 sing\n"
    (tmp_path / "mirror/toy").mkdir(parents=True)
    (tmp_path / "mirror/toy/song.lab").write_bytes(content)
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    files = (RemoteFile("song.lab", "http://127.0.0.1:9/song.lab", 300_000_000, checksum),)
    dataset = DataSet("toy", "A toy", "tests", "CC0", "home", "an address", "a split", "groups", files)
    monkeypatch.setitem(DATA_SETS, "toy", dataset)
    monkeypatch.setenv("DL4MIR_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("DL4MIR_DATA", str(tmp_path / "cache"))

    def run(*arguments):
        result = CliRunner().invoke(app, ["data", *arguments])
        return result.exit_code, " ".join(result.output.split())

    return run


def test_data_from_list_to_remove(toy, tmp_path):
    code, shown = toy("list")
    assert code == 0
    assert "toy tests 300.0 MB CC0 absent" in shown and "fma_small genre" in shown
    code, shown = toy("info", "toy")
    assert code == 0
    for said in ("A toy", "Licence: CC0", "Split: a split", "Here: absent", str(tmp_path / "cache" / "toy")):
        assert said in shown
    assert toy("fetch", "toy", "--yes") == (0, f"toy is complete: {tmp_path / 'cache' / 'toy'}")
    assert toy("verify", "toy") == (0, "Every file of toy is what it should be.")
    assert "toy tests 300.0 MB CC0 complete" in toy("list")[1]
    (tmp_path / "cache/toy/song.lab").write_bytes(b"changed")
    code, shown = toy("verify", "toy")
    assert code == 1
    assert "missing or damaged: song.lab" in shown and "`dl4mir data fetch toy`" in shown
    assert toy("remove", "toy", "--yes")[0] == 0
    assert not (tmp_path / "cache/toy").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fetch", "toy"], "run in a terminal: dl4mir data fetch toy --yes"),  # 300 MB, and nobody to ask
        (["fetch", "toi", "--yes"], "Did you mean 'toy'?"),
        (["info", "toi"], "Did you mean 'toy'?"),
        (["verify", "toy"], "Get it with `dl4mir data fetch toy`"),
        (["remove", "toy"], "There is nothing in"),
    ],
)
def test_data_commands_that_cannot_be_done(toy, arguments, said):
    code, shown = toy(*arguments)
    assert code == 1
    assert said in shown
    assert "Traceback" not in shown


def test_the_command_line_starts_light():
    code = "import sys, dl4mir_utils.apps.cli; print({'pandas', 'soundfile', 'rich.progress', 'requests'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.fixture
def sing(tmp_path, monkeypatch):
    """A song in `tmp_path`, and a function that runs `dl4mir sing ...` there; all that is loud counts as singing."""
    import keras

    model = keras.Sequential([keras.Input((None, 1)), keras.layers.MaxPooling1D(2048)])
    detector = SimpleNamespace(model=model, hop_s=0.128, threshold=0.4, median_frames=3)
    monkeypatch.setitem(
        sys.modules, "dl4mir_utils.models", SimpleNamespace(singing_detector=lambda: detector, __spec__=None)
    )
    monkeypatch.chdir(tmp_path)
    write_song("song.wav", 16000)

    def run(*arguments):
        result = CliRunner().invoke(app, ["sing", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


def write_song(file, rate, channels=1, seconds=92):
    """Write a song that is quiet but from 2 to 10 s and from 62 s to its end."""
    time = np.arange(seconds * rate) / rate
    loud = ((time >= 2) & (time < 10)) | (time >= 62)
    wave = np.sign(np.sin(2 * np.pi * 50 * time)) * np.where(loud, 0.7, 0.01)
    with soundfile.SoundFile(file, "w", rate, channels) as song:
        for block in np.split(wave, range(rate, len(wave), rate)):  # libsndfile crashes on much Ogg Vorbis at once
            song.write(np.repeat(block[:, np.newaxis], channels, axis=1))


SUNG = [(2, 10), (62, 92)]


def test_sing_shows_a_table(sing):
    code, shown, errors = sing("song.wav")
    assert (code, errors) == (0, "")
    assert shown.splitlines() == [
        "song.wav: 1:32.0 long, 0:38.2 sung (42%)",
        "     start       end  duration",
        "    0:01.9    0:10.1    0:08.2",
        "    1:02.0    1:32.0    0:30.0",
    ]


@pytest.mark.parametrize(
    ("file", "rate", "channels"),
    [("a.wav", 8000, 2), ("a.flac", 44100, 1), ("a.ogg", 48000, 2), ("a.mp3", 22050, 1), ("A B.MP3", 44100, 2)],
)
def test_sing_writes_labels_and_frames_for_every_format(sing, tmp_path, file, rate, channels):
    write_song(file, rate, channels)
    assert sing(file, "--labels", "out.txt", "--frames", "out.csv")[0] == 0
    labels = [line.split("\t") for line in (tmp_path / "out.txt").read_text(encoding="utf-8").splitlines()]
    assert [label for _, _, label in labels] == ["sing", "sing"]
    found = [[float(start), float(end)] for start, end, _ in labels]
    np.testing.assert_allclose(found, SUNG, atol=0.3)
    header, *lines = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()
    assert header == "time_s,probability" and lines[1].startswith("0.128,")
    time_s, probability = np.array([line.split(",") for line in lines], float).T
    np.testing.assert_allclose(time_s, 0.128 * np.arange(len(lines)), atol=1e-9)
    assert len(lines) * 0.128 == pytest.approx(92, abs=0.3)
    # The labels are what the frames say with the detector's threshold.
    sung = sum(min(end, len(lines) * 0.128) - start for start, end in found)
    assert 0.128 * np.sum(probability >= 0.4) == pytest.approx(sung, abs=0.15)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({"song.wav", file, "out.txt", "out.csv"})


def test_sing_without_singing(sing, tmp_path):
    soundfile.write("silence.wav", np.zeros(700), 16000)
    code, shown, errors = sing("silence.wav", "--labels", "out.txt", "--frames", "out.csv")
    assert (code, shown, errors) == (0, "silence.wav: 0:00.0 long, 0:00.0 sung (0%)\n", "")
    assert (tmp_path / "out.txt").read_text() == ""
    assert (tmp_path / "out.csv").read_text() == "time_s,probability\n0.000,0.0000\n"


def test_sing_takes_several_songs_and_names_the_bad_ones(sing, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "broken.mp3").write_bytes(b"no song at all" * 1000)
    (tmp_path / "empty.ogg").touch()
    write_song("last.flac", 16000)
    songs = ["missing.mp3", "song.wav", "broken.mp3", "empty.ogg", "out", "last.flac"]
    code, shown, errors = sing(*songs, "--labels", "out", "--frames", "out")
    assert code == 1
    assert [line.partition(":")[0] for line in shown.splitlines() if "sung" in line] == ["song.wav", "last.flac"]
    assert [line.partition(":")[0] for line in errors.splitlines()] == ["missing.mp3", "broken.mp3", "empty.ogg", "out"]
    for said in ("does not exist", "not a sound file", "is empty", "is a folder"):
        assert said in errors
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["last.csv", "last.txt", "song.csv", "song.txt"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["song.wav", "--labels", "none/out.txt"], "song.wav: none/out.txt cannot be written: No such file"),
        (["song.wav", "--frames", "song.wav/out.csv"], "song.wav: song.wav/out.csv cannot be written: Not a directory"),
        (
            ["song.wav", "--labels", "song.wav"],
            "--labels is song.wav; it must be a file that ends in .txt",
        ),
        (["song.wav", "--frames", "out.txt"], "--frames is out.txt; it must be a file that ends in .csv"),
        (["song.wav", "b.wav", "--labels", "out.txt"], "for several songs it must be a folder that is there"),
        (["song.wav", "b/song.mp3", "--labels", "."], "two songs have the same name"),
    ],
)
def test_sing_that_cannot_be_written(sing, tmp_path, arguments, said):
    before = (tmp_path / "song.wav").read_bytes()
    code, _, errors = sing(*arguments)
    assert code == 1 and said in errors
    assert errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["song.wav"]
    assert (tmp_path / "song.wav").read_bytes() == before


def test_sing_as_it_is_shipped(tmp_path):
    write_song(tmp_path / "song.mp3", 44100, 2, seconds=10)
    command = [sys.executable, "-m", "dl4mir_utils", "sing", "song.mp3", "missing.mp3", "--frames", "."]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("song.mp3: 0:10.0 long, ")
    assert done.stderr == "missing.mp3: the file does not exist\n"
    assert len((tmp_path / "song.csv").read_text().splitlines()) == 1 + 79


@pytest.fixture
def tag(tmp_path, monkeypatch):
    """A function that runs `dl4mir tag ...` in `tmp_path`, with a tagger that knows "loud", "quiet", "rock", "jazz"."""
    import keras

    from dl4mir_utils import models

    def stub(trained_on):
        names = {"mtt": models.MTT_TAGS, "msd": models.MSD_TAGS}[trained_on]
        loud, quiet = [names.index(name) for name in (("loud", "quiet") if trained_on == "mtt" else ("rock", "jazz"))]
        model = keras.Sequential([keras.Input((None, 1)), keras.layers.GlobalMaxPooling1D()])
        model.add(keras.layers.Dense(50, activation="sigmoid"))
        weights, biases = np.zeros((1, 50)), np.linspace(-4, -5, 50)
        weights[0, [loud, quiet]], biases[[loud, quiet]] = (8, -8), (-2, 1)
        model.layers[-1].set_weights([weights, biases])
        return model

    monkeypatch.setattr(models, "musicnn", stub)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        result = CliRunner().invoke(app, ["tag", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


def write_tone(file, level, seconds=4, rate=16000):
    """Write a tone; with a level of 0.75, the stub says loud 0.98, with 0.01 quiet 0.72."""
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, level * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate), rate)


@pytest.fixture
def library(tag, tmp_path):
    """A folder with sound files, some of the same name, and with other things."""
    write_tone("lib/b.flac", 0.75)
    write_tone("lib/Ä é/song.ogg", 0.01, rate=44100)
    write_tone("lib/Ä é/deep/song.mp3", 0.75, rate=44100)
    write_tone("lib/a/song.WAV", 0.01, seconds=0.3, rate=8000)
    write_tone("lib/.hidden.wav", 0.75)
    write_tone("lib/.trash/old.wav", 0.75)
    Path("lib/cover.jpg").write_bytes(b"a picture")
    Path("lib/a/back").symlink_to(tmp_path / "lib")
    return tag


LIBRARY = ["lib/b.flac", "lib/a/song.WAV", "lib/Ä é/song.ogg", "lib/Ä é/deep/song.mp3"]


def test_tag_searches_folders(library):
    code, shown, errors = library("lib", "lib/b.flac", "--top", "2")
    assert (code, errors) == (0, "")
    assert [line.partition(": ")[0] for line in shown.splitlines()] == LIBRARY
    assert shown.splitlines()[0].startswith("lib/b.flac: loud 0.98, guitar 0.02")
    assert [line.partition(": ")[2].split()[0] for line in shown.splitlines()] == ["loud", "quiet", "quiet", "loud"]


def test_tag_writes_tables(library):
    from dl4mir_utils.models import MTT_TAGS

    assert library("lib", "--csv", "out.csv", "--json", "out.json")[0] == 0
    table = pd.read_csv("out.csv", index_col="file")
    assert list(table.index) == LIBRARY and list(table.columns) == list(MTT_TAGS)
    rows = json.loads(Path("out.json").read_text(encoding="utf-8"))
    assert [row["file"] for row in rows] == LIBRARY
    for row in rows:
        assert row["tags"] == table.loc[row["file"]].to_dict()
        assert list(row["tags"].values()) == sorted(row["tags"].values(), reverse=True)
    assert table.loc["lib/b.flac", "loud"] == pytest.approx(1 / (1 + np.exp(2 - 8 * 0.75)), abs=1e-3)
    assert sorted(path.name for path in Path().iterdir()) == ["lib", "out.csv", "out.json"]


def test_tag_with_the_other_tagger(library):
    code, shown, _ = library("lib/b.flac", "--model", "msd", "--top", "1", "--csv", "out.csv")
    assert (code, shown) == (0, "lib/b.flac: rock 0.98\n")
    assert "Hip-Hop" in pd.read_csv("out.csv").columns


def test_tag_lists_what_cannot_be_read_at_the_end(library, monkeypatch):
    Path("lib/a/broken.mp3").write_bytes(b"no song at all" * 1000)
    Path("lib/a/empty.ogg").touch()
    Path("lib/iTunes.m4a").write_bytes(b"a format that libsndfile does not know")
    write_tone("lib/silence.wav", 0.0)
    Path("none").mkdir()
    code, shown, errors = library("missing.wav", "lib", "none", "--csv", "out.csv")
    assert code == 1
    assert [line.partition(": ")[0] for line in shown.splitlines()] == LIBRARY == list(pd.read_csv("out.csv")["file"])
    first, *lines = errors.strip().splitlines()
    assert first == "Not done: 6 of 10 files"
    assert dict(line.strip().split(": ", 1) for line in lines).keys() == {
        *("none", "missing.wav", "lib/iTunes.m4a", "lib/silence.wav", "lib/a/broken.mp3", "lib/a/empty.ogg")
    }
    for said in ("holds no sound", "does not exist", "a format other than", "only silence", "is empty"):
        assert said in errors


def test_tag_names_folders_that_are_closed(library, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path) == "lib/a":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    code, shown, errors = library("lib")
    assert code == 1 and shown.count("\n") == 3
    assert errors == "\nNot done: 1 of 4 files\n  lib/a: the folder cannot be read: Permission denied\n"


@pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are Unicode")
def test_tag_survives_names_that_are_no_unicode(tag):
    write_tone("b.wav", 0.75)
    shutil.copy("b.wav", b"caf\xe9.wav")  # libsndfile does not take it
    code, shown, errors = tag(".", "--csv", "out.csv", "--json", "out.json")
    assert code == 1 and shown.startswith("b.wav: loud")
    assert "\n  caf\ufffd.wav: " in errors and errors.count("\n") == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--csv", "none/out.csv"], "--csv is none/out.csv; the folder none is not there."),
        (["--json", "lib/b.flac/out.json"], "the folder lib/b.flac is not there."),
        (["--csv", "lib/b.flac"], "--csv is lib/b.flac; it must be a file that ends in .csv."),
        (["--json", "out.csv"], "--json is out.csv; it must be a file that ends in .json."),
        (["--csv", "x.csv"], "--csv is x.csv; it must be a file that ends in .csv."),
    ],
)
def test_tag_refuses_outputs_before_the_work(library, monkeypatch, arguments, said):
    monkeypatch.setattr("dl4mir_utils.apps.tag.file_tags", None)
    Path("x.csv").mkdir()
    before = Path("lib/b.flac").read_bytes()
    code, shown, errors = library("lib", *arguments)
    assert (code, shown) == (1, "") and said in errors and errors.count("\n") == 1
    assert Path("lib/b.flac").read_bytes() == before


def test_tag_says_that_a_table_cannot_be_written(library, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    code, shown, errors = library("lib", "--csv", "out.csv")
    assert code == 1 and shown.count("\n") == 4
    assert "out.csv cannot be written: No space left on device." in errors and "Traceback" not in errors


def test_tag_keeps_what_is_done_when_interrupted(library, monkeypatch):
    from dl4mir_utils import tagging

    whole = tagging.file_tags

    def stop(path, model):
        if path.suffix == ".ogg":
            raise KeyboardInterrupt
        return whole(path, model)

    monkeypatch.setattr(tagging, "file_tags", stop)
    code, shown, errors = library("lib", "--csv", "out.csv", "--write-tags")
    assert code == 1 and "Interrupted after 2 of 4 files." in errors and "DL4MIR_TAGS" not in shown
    assert list(pd.read_csv("out.csv")["file"]) == LIBRARY[:2]


def test_tag_writes_into_files_only_when_told_twice(library):
    from mutagen.flac import FLAC

    Path("lib/a/broken.mp3").write_bytes(b"no song at all" * 1000)
    write_tone("lib/sun.au", 0.75)  # there is no field for tags in it
    before = {path: path.read_bytes() for path in Path("lib").rglob("*") if path.is_file()}
    code, shown, errors = library("lib", "--write-tags", "--top", "2")
    assert code == 1 and "Not done: 1 of 6 files" in errors
    assert "To be written into 5 files, for example into lib/b.flac:\n  DL4MIR_TAGS: loud; guitar\n" in shown
    assert "Nothing was written into them." in shown
    assert {path: path.read_bytes() for path in Path("lib").rglob("*") if path.is_file()} == before
    code, shown, errors = library("lib", "--write-tags", "--top", "2", "--yes")
    assert code == 1 and "Nothing" not in shown
    assert "Not done: 2 of 6 files" in errors and "lib/sun.au: tags cannot be written" in errors
    assert FLAC("lib/b.flac")["DL4MIR_TAGS"] == ["loud; guitar"]
    changed = [path for path in before if path.read_bytes() != before[path]]
    assert sorted(map(str, changed)) == sorted(LIBRARY) and len(list(Path("lib").rglob("*"))) == len(before) + 5


def test_tag_asks_before_it_writes(library, monkeypatch):
    from dl4mir_utils import cli

    before = Path("lib/b.flac").read_bytes()
    monkeypatch.setattr(cli, "_agreed", lambda: False)
    assert library("lib", "--write-tags")[0] == 0 and Path("lib/b.flac").read_bytes() == before
    monkeypatch.setattr(cli, "_agreed", lambda: True)
    code, shown, _ = library("lib", "--write-tags")
    assert code == 0 and "Nothing" not in shown and Path("lib/b.flac").read_bytes() != before


def test_tag_as_it_is_shipped(tmp_path):
    clip = Path(__file__).parents[1] / "data/mini/clips/grieg_01_1.ogg"  # an orchestra
    shutil.copy(clip, tmp_path / "grieg.ogg")
    command = [sys.executable, "-m", "dl4mir_utils", "tag", "grieg.ogg", "missing.mp3", "--top", "6"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert line.startswith("grieg.ogg: ") and "classical 0." in line and "techno" not in line
    assert done.stderr == "\nNot done: 1 of 2 files\n  missing.mp3: the file does not exist\n"


@pytest.fixture
def similar(tmp_path, monkeypatch):
    """A function that runs `dl4mir similar ...` in `tmp_path`; sounds resemble each other if their pitch does."""
    from dl4mir_utils import similar as module

    def bands(windows, model):
        power = np.abs(np.fft.rfft(windows[0, :, 0])[:24000]) ** 2
        return np.log10(power.reshape(200, -1).sum(axis=1) + 1).astype(np.float32)

    monkeypatch.setattr(module, "mean_embedding", bands)
    monkeypatch.setattr(module.SoundIndex, "_tagger", None)
    monkeypatch.setenv("DL4MIR_DATA", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for name, pitch in {"a.wav": 400, "b.flac": 420, "Ä é/c.ogg": 440, "Ä é/d.WAV": 3000, "e.mp3": 6000}.items():
        Path("lib", name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(f"lib/{name}", 0.5 * np.sin(2 * np.pi * pitch * np.arange(16000) / 16000), 16000)

    def run(*arguments):
        result = CliRunner().invoke(app, ["similar", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


def test_similar_names_what_is_near(similar):
    code, shown, errors = similar("lib/a.wav", "lib", "--count", "3")
    assert (code, errors) == (0, "")
    lines = [line.split("  ", 1) for line in shown.splitlines()]
    assert [file for _, file in lines][:2] == ["lib/b.flac", "lib/Ä é/c.ogg"] and len(lines) == 3
    assert [float(similarity) for similarity, _ in lines] == sorted((float(s) for s, _ in lines), reverse=True)
    assert similar("lib/a.wav", "lib/", "--count", "3") == (code, shown, errors)
    assert {path.name for path in Path("lib").iterdir()} == {"a.wav", "b.flac", "e.mp3", "Ä é"}
    assert [path.name for path in Path("cache").iterdir()] == ["similar.dl4mir"]


def test_similar_writes_tables_and_a_playlist(similar, tmp_path):
    shutil.copy("lib/a.wav", "lib/copy.wav")
    code, shown, _ = similar(
        *("lib/a.wav", "lib", "--csv", "out.csv", "--json", "out.json", "--m3u", "out.m3u", "--index", "own.dl4mir")
    )
    assert code == 0 and shown.startswith("copy  lib/copy.wav\n")
    table = pd.read_csv("out.csv")
    assert [f"{row.similarity:.2f}  {row.file}" for row in table.itertuples()] == shown.splitlines()[1:]
    assert json.loads(Path("out.json").read_text(encoding="utf-8")) == table.to_dict("records")
    first, *paths = Path("out.m3u").read_text(encoding="utf-8").splitlines()
    assert first == "#EXTM3U"
    assert paths == [str(tmp_path / file) for file in ["lib/a.wav", *table["file"]]]
    assert Path("own.dl4mir").is_file() and not Path("cache").exists()


def test_similar_lists_what_cannot_be_heard_at_the_end(similar):
    Path("lib/broken.mp3").write_bytes(b"no song at all" * 1000)
    Path("lib/empty.ogg").touch()
    Path("lib/iTunes.m4a").write_bytes(b"a format that libsndfile does not know")
    soundfile.write("lib/silence.wav", np.zeros(16000), 16000)
    for _ in range(2):
        code, shown, errors = similar("lib/a.wav", "lib")
        assert code == 1 and len(shown.splitlines()) == 4
        first, *lines = errors.strip().splitlines()
        assert first == "Not done: 4 of 9 files"
        for name, said in zip(("broken.mp3", "empty.ogg", "iTunes.m4a", "silence.wav"), lines, strict=True):
            assert said.startswith(f"  lib/{name}: ")
        assert "only silence" in lines[3] and "is empty" in lines[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.wav", "lib"], "none.wav: the file cannot be read: No such file or directory"),
        (["lib", "lib"], "lib: the file cannot be read: Is a directory"),
        (["silence.wav", "lib"], "silence.wav: holds only silence"),
        (["lib/a.wav", "none"], "none is not a folder that is there."),
        (["lib/a.wav", "lib/b.flac"], "lib/b.flac is not a folder that is there."),
        (["lib/a.wav", "lib", "--csv", "none/out.csv"], "the folder none is not there."),
        (["lib/a.wav", "lib", "--m3u", "lib/a.wav"], "lib/a.wav; it must be a file that ends in .m3u or .m3u8."),
        (["lib/a.wav", "lib", "--index", "lib/a.wav"], "--index is lib/a.wav; it must be a file that ends in .dl4mir."),
        (["lib/a.wav", "alone"], "alone holds no sound but SEED."),
    ],
)
def test_similar_says_what_is_wrong(similar, arguments, said):
    soundfile.write("silence.wav", np.zeros(16000), 16000)
    Path("alone").mkdir()
    shutil.copy("lib/a.wav", "alone/a.wav")
    code, shown, errors = similar(*arguments)
    assert code == 1 and said in errors and errors.count("\n") == 1 and "0." not in shown
    assert soundfile.info("lib/a.wav").frames == 16000


def test_similar_makes_a_damaged_index_anew(similar):
    before = similar("lib/a.wav", "lib")
    Path("cache/similar.dl4mir").write_bytes(b"no index at all" * 1000)
    code, shown, errors = similar("lib/a.wav", "lib")
    assert (
        (code, shown) == before[:2] and "is damaged or no index: it is made anew" in errors and errors.count("\n") == 1
    )
    assert similar("lib/a.wav", "lib") == before


def test_similar_goes_on_after_an_interruption(similar, monkeypatch):
    from dl4mir_utils import similar as module

    cut, heard = module.excerpts, []

    def stop(path):
        if len(heard) == 2:
            raise KeyboardInterrupt
        heard.append(path)
        return cut(path)

    monkeypatch.setattr(module, "excerpts", stop)
    code, shown, errors = similar("lib/a.wav", "lib")
    assert (code, shown) == (1, "") and "Interrupted after 2 of 5 files." in errors
    monkeypatch.setattr(module, "excerpts", lambda path: heard.append(path) or cut(path))
    assert similar("lib/a.wav", "lib")[0] == 0
    assert sorted(map(str, heard)) == sorted(str(path) for path in Path("lib").rglob("*.*"))


def test_similar_as_it_is_shipped(tmp_path):
    clips = Path(__file__).parents[1] / "data/mini/clips"
    (tmp_path / "lib").mkdir()
    shutil.copy(clips / "grieg_01_0.ogg", tmp_path / "seed.ogg")
    for name in ("grieg_01_4", "obsidianshell_01_0", "obsidianshell_02_0", "kentacho_01_0"):
        shutil.copy(clips / f"{name}.ogg", tmp_path / "lib")
    command = [sys.executable, "-m", "dl4mir_utils", "similar", "seed.ogg", "lib", "--count", "2"]
    environment = os.environ | {"DL4MIR_DATA": str(tmp_path / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].endswith("  lib/grieg_01_4.ogg")
    # What has been heard is found without TensorFlow.
    code = (
        "import sys; from dl4mir_utils.apps.cli import app; app(standalone_mode=False); print('keras' in sys.modules)"
    )
    again = subprocess.run(
        [sys.executable, "-c", code, *command[3:]], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert (again.stdout, again.stderr) == (done.stdout + "False\n", "")
