"""The command line: what it prints and its exit codes."""

import hashlib
import json
import os
import shutil
import signal
import sqlite3
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
import stub_networks
from stub_networks import write_tone
from test_mutated_files import make_mutations, make_sources
from typer.testing import CliRunner

from dl4mir_utils import doctor
from dl4mir_utils.apps import tag as tagging
from dl4mir_utils.apps.cli import app
from dl4mir_utils.data.registry import DATA_SETS, DataSet, RemoteFile
from dl4mir_utils.doctor import Check

stubs = stub_networks.stubs  # a fixture
CLIPS = Path(__file__).parents[1] / "data/mini/clips"


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


HEAVY = {"tensorflow", "keras", "kapre", "scipy", "sklearn", "pandas", "librosa", "matplotlib", "IPython"}


def test_the_command_line_starts_light():
    late = HEAVY | {"soundfile", "rich.progress", "requests", "ai_edge_litert", "mutagen"}
    code = f"import sys, dl4mir_utils.apps.cli; print({late} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def customised(folder, code):
    """Return the environment in which all processes, the commands' own ones included, begin with some code."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])}


def shipped(*arguments, **settings):
    """Run a command as users do, in a process of its own."""
    command = [sys.executable, "-m", "dl4mir_utils", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", **settings)


def test_the_commands_as_they_are_shipped_load_nothing_heavy(tmp_path):
    """With the real networks; every process refuses to load what the base install does not have, and notes it."""
    refuse = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in {HEAVY}:
            open({str(tmp_path / "loaded.txt")!r}, "a").write(name + " ")
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
"""
    environment = os.environ | customised(tmp_path / "site", refuse) | {"DL4MIR_DATA": str(tmp_path / "cache")}
    (tmp_path / "lib").mkdir()
    shutil.copy(CLIPS / "grieg_01_0.ogg", tmp_path / "seed.ogg")
    for name in ("grieg_01_4", "obsidianshell_01_0", "obsidianshell_02_0", "kentacho_01_0"):
        shutil.copy(CLIPS / f"{name}.ogg", tmp_path / "lib")
    done = shipped("tag", "seed.ogg", "missing.mp3", "--top", 6, cwd=tmp_path, env=environment)
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert line.startswith("seed.ogg: ") and "classical 0." in line and "techno" not in line  # an orchestra
    assert done.stderr == "\nNot done: 1 of 2 files\n  missing.mp3: the file does not exist\n"
    done = shipped("similar", "seed.ogg", "lib", "--count", 2, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].endswith("  lib/grieg_01_4.ogg")
    again = shipped("similar", "seed.ogg", "lib", "--count", 2, cwd=tmp_path, env=environment)
    assert (again.stdout, again.stderr) == (done.stdout, "")
    write_song(tmp_path / "song.mp3", 44100, 2, seconds=10)
    done = shipped("sing", "song.mp3", "missing.mp3", "--frames", ".", cwd=tmp_path, env=environment)
    assert done.returncode == 1 and done.stdout.startswith("song.mp3: 0:10.0 long, ")
    assert done.stderr == "missing.mp3: the file does not exist\n"
    assert len((tmp_path / "song.csv").read_text().splitlines()) == 1 + 79
    done = shipped("genre", "seed.ogg", cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "") and "seed.ogg: orchestral 0." in done.stdout
    assert not (tmp_path / "loaded.txt").exists(), (tmp_path / "loaded.txt").read_text()


@pytest.fixture
def command(stubs, tmp_path, monkeypatch):
    """A function that runs `dl4mir` with the stubs, in a folder of its own."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def run(*arguments):
        result = CliRunner().invoke(app, list(map(str, arguments)))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture
def sing(command):
    """A song, and a function that runs `dl4mir sing ...` there; all that is loud counts as singing."""
    write_song("song.wav", 16000)
    return lambda *arguments: command("sing", *arguments)


def write_song(file, rate, channels=1, seconds=92):
    """Write a song that is quiet but from 2 to 10 s and in the last 30 s, or the last third."""
    moment = np.arange(seconds * rate) / rate
    loud = ((moment >= 2) & (moment < 10)) | (moment >= seconds - min(30, seconds / 3))
    wave = np.sign(np.sin(2 * np.pi * 50 * moment)) * np.where(loud, 0.7, 0.01)
    with soundfile.SoundFile(file, "w", rate, channels) as song:
        for block in np.split(wave, range(rate, len(wave), rate)):  # libsndfile crashes on much Ogg Vorbis at once
            song.write(np.repeat(block[:, np.newaxis], channels, axis=1))


def test_sing_shows_a_table(sing):
    code, shown, errors = sing("song.wav")
    assert (code, errors) == (0, "")
    assert shown.splitlines() == [
        "song.wav: 1:32.0 long, 0:38.2 sung (42%)",
        "     start       end  duration",
        "    0:01.9    0:10.1    0:08.2",
        "    1:02.0    1:32.0    0:30.0",
    ]


def test_sing_writes_labels_and_frames_for_every_format(sing):
    kinds = {"a.wav": (8000, 2), "b.flac": (44100, 1), "c.ogg": (48000, 2), "d.mp3": (22050, 1), "A B.MP3": (44100, 2)}
    for file, kind in kinds.items():
        write_song(file, *kind, seconds=24)
    Path("out").mkdir()
    assert sing(*kinds, "--labels", "out", "--frames", "out")[0] == 0
    for file in map(Path, kinds):
        lines = Path("out", f"{file.stem}.txt").read_text(encoding="utf-8").splitlines()
        labels = [line.split("\t") for line in lines]
        assert [label for _, _, label in labels] == ["sing", "sing"]
        found = [[float(start), float(end)] for start, end, _ in labels]
        np.testing.assert_allclose(found, [(2, 10), (16, 24)], atol=0.3)
        header, *lines = Path("out", f"{file.stem}.csv").read_text(encoding="utf-8").splitlines()
        assert header == "time_s,probability" and lines[1].startswith("0.128,")
        time_s, probability = np.array([line.split(",") for line in lines], float).T
        np.testing.assert_allclose(time_s, 0.128 * np.arange(len(lines)), atol=1e-9)
        assert len(lines) * 0.128 == pytest.approx(24, abs=0.3)
        # The labels are what the frames say with the detector's threshold.
        sung = sum(min(end, len(lines) * 0.128) - start for start, end in found)
        assert 0.128 * np.sum(probability >= 0.4) == pytest.approx(sung, abs=0.15)
    assert len(list(Path("out").iterdir())) == 2 * len(kinds) and len(list(Path().iterdir())) == len(kinds) + 2


def test_sing_writes_for_other_programs(sing):
    (Path("out") / "deep").mkdir(parents=True)
    soundfile.write("silence.wav", np.zeros(700), 16000)
    code, shown, errors = sing("song.wav", "silence.wav", "--labels", "out", "--format", "csv", "--json", "songs.json")
    assert (code, errors) == (0, "") and shown.endswith("silence.wav: 0:00.0 long, 0:00.0 sung (0%)\n")
    assert Path("out/song.csv").read_text() == "1.920,1,8.192,sing\n61.952,1,30.048,sing\n"
    assert Path("out/silence.csv").read_text() == ""
    songs = json.loads(Path("songs.json").read_text(encoding="utf-8"))
    assert songs == [
        {
            "file": "song.wav",
            "duration_s": 92.0,
            "segments": [{"start_s": 1.92, "end_s": 10.112}, {"start_s": 61.952, "end_s": 92.0}],
        },
        {"file": "silence.wav", "duration_s": 0.044, "segments": []},
    ]
    assert sing("song.wav", "--labels", "out.JAMS", "--format", "txt", "--frames", "out.csv")[0] == 0
    (annotation,) = json.loads(Path("out.JAMS").read_text(encoding="utf-8"))["annotations"]
    times = [(row["time"], row["duration"], row["value"]) for row in annotation["data"]]
    assert times == [(1.92, 8.192, "sing"), (61.952, 30.048, "sing")]
    assert Path("out.csv").read_text().startswith("time_s,probability\n0.000,0.0100\n")


def test_sing_takes_several_songs_and_names_the_bad_ones(sing):
    for folder in ("out", "none", "lib/deep"):
        Path(folder).mkdir(parents=True)
    Path("broken.mp3").write_bytes(b"no song at all" * 1000)
    Path("empty.ogg").touch()
    write_song("lib/deep/last.flac", 16000, seconds=12)
    songs = ["missing.mp3", "song.wav", "broken.mp3", "empty.ogg", "none", "lib"]
    code, shown, errors = sing(*songs, "--labels", "out", "--frames", "out", "--json", "songs.json")
    assert code == 1
    assert [line.partition(":")[0] for line in shown.splitlines() if "sung" in line] == [
        "song.wav",
        "lib/deep/last.flac",
    ]
    named = [line.partition(":")[0] for line in errors.splitlines()]
    assert sorted(named) == ["broken.mp3", "empty.ogg", "missing.mp3", "none"]
    for said in ("does not exist", "not a sound file", "is empty", "holds no sound"):
        assert said in errors
    assert sorted(p.name for p in Path("out").iterdir()) == ["last.csv", "last.txt", "song.csv", "song.txt"]
    assert [row["file"] for row in json.loads(Path("songs.json").read_text())] == ["song.wav", "lib/deep/last.flac"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["song.wav", "--labels", "none/out.txt"], "song.wav: none/out.txt cannot be written: No such file"),
        (["song.wav", "--frames", "song.wav/out.csv"], "song.wav: song.wav/out.csv cannot be written: Not a directory"),
        (
            ["song.wav", "--labels", "song.wav"],
            "--labels is song.wav; it must be a file that ends in .txt, .csv or .jams, or a folder.",
        ),
        (["song.wav", "--frames", "out.txt"], "--frames is out.txt; it must be a file that ends in .csv"),
        (["song.wav", "b.wav", "--labels", "out.txt"], "for several songs it must be a folder that is there"),
        (["song.wav", "b/song.mp3", "--labels", "."], "two songs have the same name"),
        (["song.wav", "--json", "song.wav"], "--json is song.wav; it must be a file that ends in .json."),
        (["song.wav", "--json", "none/out.json"], "--json is none/out.json; the folder none is not there."),
        (["song.wav", "--labels", "out.csv", "--frames", "./out.csv"], "would write to the same file"),
        (["song.wav", "--labels", ".", "--format", "csv", "--frames", "."], "would write to the same file"),
    ],
)
def test_sing_that_cannot_be_written(sing, arguments, said):
    before = Path("song.wav").read_bytes()
    code, shown, errors = sing(*arguments)
    assert code == 1 and said in errors
    assert errors.count("\n") == 1
    assert shown == "" or "cannot be written" in said
    assert [path.name for path in Path().iterdir()] == ["song.wav"]
    assert Path("song.wav").read_bytes() == before


@pytest.fixture
def tag(command):
    """A function that runs `dl4mir tag ...`, with a tagger that knows "loud" and "quiet", or "rock" and "jazz"."""
    return lambda *arguments: command("tag", *arguments)


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
    Path("lib/a/back").symlink_to(Path("lib").absolute())
    return tag


LIBRARY = ["lib/b.flac", "lib/a/song.WAV", "lib/Ä é/song.ogg", "lib/Ä é/deep/song.mp3"]


def fool(index, kind="tags"):
    """Change what an index knows, so that what comes from it is told from what is heard: all tags are 0.5."""
    with sqlite3.connect(index) as db:
        rows = db.execute("SELECT content, kind, vector FROM vectors WHERE kind LIKE ?", (f"{kind} %",)).fetchall()
        for content, kind, vector in rows:
            other = np.full(len(vector) // 4, 0.5, np.float32).tobytes()
            db.execute("UPDATE vectors SET vector = ? WHERE content = ? AND kind = ?", (other, content, kind))
    db.close()
    return len(rows)


def from_index(shown):
    return [line.partition(": ")[0] for line in shown.splitlines() if " 0.50, " in line]


def test_tag_searches_folders_and_hears_each_file_once(library, stubs):
    code, shown, errors = library("lib", "lib/b.flac", "--top", "2")
    assert (code, errors) == (0, "")
    assert [line.partition(": ")[0] for line in shown.splitlines()] == LIBRARY
    assert shown.splitlines()[0].startswith("lib/b.flac: loud 0.98, guitar 0.02")
    assert [line.partition(": ")[2].split()[0] for line in shown.splitlines()] == ["loud", "quiet", "quiet", "loud"]
    assert fool(stubs / "sounds.dl4mir") == 4
    write_tone("lib/b.flac", 0.01)  # another sound under the same name
    write_tone("lib/c.wav", 0.75)
    code, again, errors = library("lib")
    assert (code, errors) == (0, "") and from_index(again) == LIBRARY[1:]
    assert again.splitlines()[0].startswith("lib/b.flac: quiet") and again.splitlines()[1].startswith("lib/c.wav: loud")


def test_tag_writes_tables_and_a_playlist(library, stubs):
    from dl4mir_utils.models import MTT_TAGS

    outputs = ["--csv", "out.csv", "--json", "out.json", "--m3u", "out.m3u", "--index", "own.dl4mir"]
    assert library("lib", *outputs)[0] == 0
    table = pd.read_csv("out.csv", index_col="file")
    assert list(table.index) == LIBRARY and list(table.columns) == list(MTT_TAGS)
    rows = json.loads(Path("out.json").read_text(encoding="utf-8"))
    assert [row["file"] for row in rows] == LIBRARY
    for row in rows:
        assert row["tags"] == table.loc[row["file"]].to_dict()
        assert list(row["tags"].values()) == sorted(row["tags"].values(), reverse=True)
    assert table.loc["lib/b.flac", "loud"] == pytest.approx(1 / (1 + np.exp(2 - 8 * 0.75)), abs=1e-3)
    first, *paths = Path("out.m3u").read_text(encoding="utf-8").splitlines()
    assert first == "#EXTM3U" and paths == [str(Path(file).absolute()) for file in LIBRARY]
    assert {path.name for path in Path().iterdir()} == {"lib", "out.csv", "out.json", "out.m3u", "own.dl4mir"}
    assert not (stubs / "sounds.dl4mir").exists()
    # A playlist of what has a tag among its best; the tables tell of all.
    code, shown, _ = library("lib", *outputs, "--only", "quiet", "--top", "1")
    assert code == 0 and [line.partition(": ")[0] for line in shown.splitlines()] == LIBRARY[1:3]
    assert Path("out.m3u").read_text(encoding="utf-8").splitlines()[1:] == paths[1:3]
    assert len(pd.read_csv("out.csv")) == 4


def test_tag_with_the_other_tagger(library):
    code, shown, _ = library("lib/b.flac", "--model", "msd", "--top", "1", "--csv", "out.csv")
    assert (code, shown) == (0, "lib/b.flac: rock 0.98\n")
    assert "Hip-Hop" in pd.read_csv("out.csv").columns


def test_tag_lists_what_cannot_be_read_at_the_end(library):
    Path("lib/a/broken.mp3").write_bytes(b"no song at all" * 1000)
    Path("lib/a/empty.ogg").touch()
    Path("lib/iTunes.m4a").write_bytes(b"a format that libsndfile does not know")
    write_tone("lib/silence.wav", 0.0)
    soundfile.write("lib/tiny.wav", np.ones(1), 192_000)
    Path("none").mkdir()
    for _ in range(2):  # and tries them again
        code, shown, errors = library("missing.wav", "lib", "none", "--csv", "out.csv")
        assert code == 1
        assert (
            [line.partition(": ")[0] for line in shown.splitlines()] == LIBRARY == list(pd.read_csv("out.csv")["file"])
        )
        first, *lines = errors.strip().splitlines()
        assert first == "Not done: 7 of 11 files"
        assert dict(line.strip().split(": ", 1) for line in lines).keys() == {
            *("none", "missing.wav", "lib/iTunes.m4a", "lib/silence.wav", "lib/tiny.wav", "lib/a/broken.mp3"),
            "lib/a/empty.ogg",
        }
        for said in ("holds no sound", "does not exist", "not a sound file", "only silence", "is empty"):
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
def test_names_that_are_no_unicode(command):
    write_tone("lib/b.wav", 0.75)
    shutil.copy("lib/b.wav", b"lib/caf\xe9.wav")
    shutil.copy("lib/b.wav", b"lib/\xe9.mp3")
    Path(os.fsdecode(b"lib/\xe9.mp3")).write_bytes(b"no song")
    code, shown, errors = command(
        "tag", "lib", "--csv", "out.csv", "--json", "out.json", "--m3u", "out.m3u", "--top", 1
    )
    assert code == 1 and shown == "lib/b.wav: loud 0.98\nlib/caf\ufffd.wav: loud 0.98\n"
    assert errors.startswith("\nNot done: 1 of 3 files\n  lib/\ufffd.mp3: not a sound file") and errors.count("\n") == 3
    Path("out").mkdir()
    code, shown, errors = command("sing", "lib", "--labels", "out", "--json", "out.json")
    assert code == 1 and "lib/caf\ufffd.wav: 0:04.0 long" in shown and errors.startswith("lib/\ufffd.mp3: not a sound")
    assert sorted(os.fsencode(path.name) for path in Path("out").iterdir()) == [b"b.txt", b"caf\xe9.txt"]
    code, shown, errors = command("similar", "lib/b.wav", "lib", "--m3u", "out.m3u")
    assert (code, shown) == (1, "copy  lib/caf\ufffd.wav\n") and "lib/\ufffd.mp3: not a sound" in errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--csv", "none/out.csv"], "--csv is none/out.csv; the folder none is not there."),
        (["--json", "lib/b.flac/out.json"], "the folder lib/b.flac is not there."),
        (["--csv", "lib/b.flac"], "--csv is lib/b.flac; it must be a file that ends in .csv."),
        (["--json", "out.csv"], "--json is out.csv; it must be a file that ends in .json."),
        (["--csv", "x.csv"], "--csv is x.csv; it must be a file that ends in .csv."),
        (["--m3u", "lib/b.flac"], "--m3u is lib/b.flac; it must be a file that ends in .m3u or .m3u8."),
        (["--index", "lib/b.flac"], "--index is lib/b.flac; it must be a file that ends in .dl4mir."),
        (["--only", "polka"], "--only is 'polka'; it must be one of: ambient, beat, "),
    ],
)
def test_tag_refuses_before_the_work(library, stubs, monkeypatch, arguments, said):
    monkeypatch.setattr("dl4mir_utils.apps.workers.each_in_process", None)
    Path("x.csv").mkdir()
    before = Path("lib/b.flac").read_bytes()
    code, shown, errors = library("lib", *arguments)
    assert (code, shown) == (1, "") and said in errors and errors.count("\n") == 1
    assert Path("lib/b.flac").read_bytes() == before and not (stubs / "sounds.dl4mir").exists()


def test_a_network_that_is_missing(library, stubs):
    (stubs / "pretrained/singing_detector.tflite").unlink()
    (stubs / "pretrained/musicnn_mtt.json").unlink()
    assert library("lib")[0] == 1 == library("lib", "--model", "msd", "--only", "polka")[0]
    result = CliRunner().invoke(app, ["sing", "lib"])
    code, shown, errors = result.exit_code, result.stdout, result.stderr
    assert (code, shown) == (1, "") and "data/pretrained/singing_detector.tflite is not where" in errors
    assert "Traceback" not in errors and errors.count("\n") == 1


def test_tag_says_that_a_table_cannot_be_written(library, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    code, shown, errors = library("lib", "--csv", "out.csv")
    assert code == 1 and shown.count("\n") == 4
    assert "out.csv cannot be written: No space left on device." in errors and "Traceback" not in errors


def test_tag_writes_into_files_only_when_told_twice(library, stubs):
    from mutagen.flac import FLAC

    Path("lib/a/broken.mp3").write_bytes(b"no song at all" * 1000)
    write_tone("lib/sun.au", 0.75)  # there is no field for tags in it
    before = {path: path.read_bytes() for path in Path("lib").rglob("*") if path.is_file()}
    code, shown, errors = library("lib", "--write-tags", "--top", "2")
    assert code == 1 and "Not done: 1 of 6 files" in errors
    assert "To be written into 5 files, for example into lib/b.flac:\n  DL4MIR_TAGS: loud; guitar\n" in shown
    assert "Nothing was written into them." in shown
    assert {path: path.read_bytes() for path in Path("lib").rglob("*") if path.is_file()} == before
    Path("lib/b.flac").unlink()
    Path("lib/b.flac").write_bytes(before[Path("lib/b.flac")])
    code, shown, errors = library("lib", "--write-tags", "--top", "2", "--yes")
    assert code == 1 and "Nothing" not in shown
    assert "Not done: 2 of 6 files" in errors and "lib/sun.au: tags cannot be written" in errors
    assert FLAC("lib/b.flac")["DL4MIR_TAGS"] == ["loud; guitar"]
    changed = [path for path in before if path.read_bytes() != before[path]]
    assert sorted(map(str, changed)) == sorted(LIBRARY) and len(list(Path("lib").rglob("*"))) == len(before) + 5
    fool(stubs / "sounds.dl4mir")
    assert sorted(from_index(library("lib")[1])) == sorted([*LIBRARY, "lib/sun.au"])  # their sound is as it was


def test_tag_asks_before_it_writes(library, monkeypatch):
    from dl4mir_utils.apps import cli

    before = Path("lib/b.flac").read_bytes()
    monkeypatch.setattr(cli, "_agreed", lambda: False)
    assert library("lib", "--write-tags")[0] == 0 and Path("lib/b.flac").read_bytes() == before
    monkeypatch.setattr(cli, "_agreed", lambda: True)
    code, shown, _ = library("lib", "--write-tags")
    assert code == 0 and "Nothing" not in shown and Path("lib/b.flac").read_bytes() != before


def test_tags_that_claim_more_memory_than_there_is_are_named(library, monkeypatch):
    def claim(*_):
        raise MemoryError

    monkeypatch.setattr(tagging, "_add_field", claim)
    before = Path("lib/b.flac").read_bytes()
    code, _, errors = library("lib/b.flac", "--write-tags", "--yes")
    assert code == 1 and Path("lib/b.flac").read_bytes() == before
    assert errors.endswith("  lib/b.flac: tags cannot be written: there is not enough memory for it\n")


def test_files_of_many_channels_are_compared_in_small_blocks(tmp_path):
    soundfile.write(tmp_path / "many.wav", np.random.default_rng(0).uniform(-1, 1, (2500, 256)), 16000, "PCM_16")
    with soundfile.SoundFile(tmp_path / "many.wav") as file:
        sizes = [block.shape for block in tagging._blocks(file)]
    assert sizes == [(1024, 256), (1024, 256), (452, 256), (0, 256)]
    assert tagging._same_samples(tmp_path / "many.wav", tmp_path / "many.wav")


CRASH = """
import os, signal, soundfile
whole = soundfile.SoundFile.__init__
def opened(self, file, *given, **named):
    if os.path.basename(os.fsdecode(file)) == "crash.flac":
        os.kill(os.getpid(), signal.SIGSEGV)
    whole(self, file, *given, **named)
soundfile.SoundFile.__init__ = opened
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of other systems")
def test_a_decoder_that_crashes_ends_no_run(command, tmp_path, monkeypatch):
    for name, pitch in {"a.wav": 400, "b.wav": 420, "crash.flac": 430, "d.wav": 440, "e.wav": 460}.items():
        write_tone(f"lib/{name}", 0.75, pitch)
    (entry,) = customised(tmp_path / "site", CRASH).items()
    monkeypatch.setenv(*entry)
    said = "lib/crash.flac: the decoder crashed on it: the file is damaged\n"
    others = ["lib/a.wav", "lib/b.wav", "lib/d.wav", "lib/e.wav"]
    code, shown, errors = command("tag", "lib", "--csv", "out.csv")
    assert code == 1 and [line.partition(": ")[0] for line in shown.splitlines()] == others
    assert errors == f"\nNot done: 1 of 5 files\n  {said}" and list(pd.read_csv("out.csv")["file"]) == others
    code, shown, errors = command("sing", "lib")
    assert (code, errors) == (1, said)
    assert [line.partition(": ")[0] for line in shown.splitlines() if "long" in line] == others
    code, shown, errors = command("similar", "lib/a.wav", "lib")
    assert code == 1 and sorted(line[6:] for line in shown.splitlines()) == others[1:]
    assert errors == f"\nNot done: 1 of 5 files\n  {said}"
    assert command("similar", "lib/crash.flac", "lib") == (1, "", said)


@pytest.mark.skipif(os.name == "nt", reason="signals of other systems")
def test_a_decoder_that_crashes_on_the_copy_ends_no_run(library, tmp_path):
    on_the_copy = CRASH.replace('== "crash.flac"', 'in [name for name in os.listdir("lib") if name.endswith(".flac")]')
    crash = on_the_copy.replace("if os", 'if os.path.basename(os.fsdecode(file)).startswith(".dl4mir-") and os')
    before = Path("lib/b.flac").read_bytes()
    environment = os.environ | customised(tmp_path / "site", crash)
    done = shipped("tag", "lib", "--write-tags", "--yes", env=environment)
    said = "lib/b.flac: tags cannot be written: the decoder crashed on it: the file is damaged"
    assert (done.returncode, done.stderr) == (1, f"\nNot done: 1 of 4 files\n  {said}\n")
    assert Path("lib/b.flac").read_bytes() == before and not list(Path("lib").rglob(".dl4mir-*"))
    assert all("DL4MIR_TAGS" in str(mutagen.File(file).tags) for file in LIBRARY[1:])


def test_of_damaged_files_each_is_shown_or_named(command):
    """With the stubs; then tags are written into those that are shown, or it is said why not."""
    pytest.importorskip("av")
    Path("lib").mkdir()
    names = {str(path) for path in make_mutations(Path("lib"), make_sources(Path()), 15)}
    before = {name: Path(name).read_bytes() for name in names}
    shown, refused = damaged_ones(shipped("tag", "lib"))
    assert len(names) == 105 and shown | refused == names and not shown & refused and len(shown) > 30 < len(refused)
    shown_again, unwritten = damaged_ones(shipped("tag", "lib", "--write-tags", "--yes"))
    assert shown_again == shown and refused <= unwritten
    written = {name for name in names if Path(name).read_bytes() != before[name]}
    assert written == names - unwritten and {str(path) for path in Path("lib").iterdir()} == names


def damaged_ones(done):
    """Return which files a run over damaged ones shows and which it refuses; it says nothing else."""
    first, *refused = done.stderr.removeprefix("\n").splitlines()
    assert done.returncode == 1 and first.startswith(f"Not done: {len(refused)} of ")
    assert all(line.startswith("  lib/") and line.partition(": ")[2] for line in refused)
    return tuple({line.partition(": ")[0].strip() for line in lines} for lines in (done.stdout.splitlines(), refused))


@pytest.mark.skipif(os.name == "nt", reason="signals of other systems")
@pytest.mark.parametrize("name", ["tag", "similar", "sing"])
def test_an_interruption_keeps_what_is_done(command, stubs, tmp_path, name):
    """Ctrl-C in a terminal, which goes to all processes."""
    for number in range(12):
        write_tone(f"lib/{number:02}.wav", 0.75, 300 + 100 * number)
    slow = """
import os, time, soundfile
os.cpu_count = lambda: 2
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
whole = soundfile.SoundFile.__init__
def opened(self, *given, **named):
    time.sleep(0.15)
    whole(self, *given, **named)
soundfile.SoundFile.__init__ = opened
"""
    environment = os.environ | customised(tmp_path / "site", slow)
    arguments = {
        "tag": ["tag", "lib", "--csv", "out.csv", "--write-tags"],
        "similar": ["similar", "lib/00.wav", "lib"],
        "sing": ["sing", "lib", "--json", "out.json"],
    }[name]
    index = stubs / "sounds.dl4mir"
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "dl4mir_utils", *arguments],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True},
        **{"env": environment, "start_new_session": True},
    )
    head = ""
    if name == "similar":  # which shows nothing before the end
        deadline = time.monotonic() + 30
        while kept(index) < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
    else:
        head = process.stdout.readline()
    workers = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    shown, errors = head + process.stdout.read(), process.stderr.read()
    assert process.wait(20) == 1 and "Traceback" not in errors and errors.count("\n") == 2
    assert len(workers) >= 2 or os.cpu_count() == 1
    assert psutil.wait_procs(workers, timeout=5)[1] == []
    done = int(errors.split("Interrupted after ")[1].split()[0])
    if name == "sing":
        assert errors == f"\nInterrupted after {done} of 12 files.\n" and shown.count("long") - done in (0, 1)
        assert len(json.loads(Path("out.json").read_text())) == done
        return
    total = 11 if name == "similar" else 12
    assert errors == f"\nInterrupted after {done} of {total} files. The same command goes on from there.\n"
    assert 0 < done < total and "DL4MIR_TAGS" not in shown
    if name == "tag":
        assert done == len(pd.read_csv("out.csv")) and done - shown.count("\n") in (0, 1)
    heard = fool(index, "tags" if name == "tag" else "embedding")
    assert done <= heard < 12
    code, shown, errors = command(*arguments[: 2 if name == "tag" else 3])
    assert (code, errors) == (0, "")
    if name == "tag":
        assert len(from_index(shown)) == heard and shown.count("\n") == 12
    else:  # what is known has the seed's direction now
        assert sum(line.startswith("1.00") for line in shown.splitlines()) == heard - 1


def kept(index):
    """Return how many sounds an index knows, that another process writes."""
    try:
        with sqlite3.connect(f"file:{index}?mode=ro", uri=True, timeout=5) as db:
            (count,) = db.execute("SELECT count(*) FROM vectors").fetchone()
    except sqlite3.OperationalError:  # it is not there yet
        return 0
    db.close()
    return count


@pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory from /proc")
def test_no_process_takes_more_than_350_mb(tmp_path):
    """With the real networks, on files that are longer than all windows and blocks."""
    (tmp_path / "lib").mkdir()
    flac, m4a = tmp_path / "lib/music.flac", tmp_path / "music.m4a"
    write_music(flac, 1.5, 48000)
    write_m4a(m4a, flac)
    environment = os.environ | {"DL4MIR_DATA": str(tmp_path / "cache")}
    for name, file in (("tag", flac), ("sing", flac), ("tag", m4a)):
        shown, peak = run_measured(name, file, env=environment)
        assert shown.startswith(f"{file}: ") and 50 < peak <= 350
    shown, peak = run_measured("similar", m4a, tmp_path / "lib", env=environment)
    assert shown.endswith(f"  {flac}\n") and 50 < peak <= 350


@pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory from /proc")
def test_an_hour_takes_no_more_memory_than_five_minutes(command):
    """With the stubs, which take little time and memory."""
    for minutes in (5, 60):
        write_music(f"{minutes}.flac", minutes)
    for name in ("tag", "sing"):
        (_, peak), (shown, peak_of_an_hour) = (run_measured(name, f"{minutes}.flac") for minutes in (5, 60))
        assert peak > 50 and peak_of_an_hour <= peak + 15
        assert shown.startswith("60.flac: loud" if name == "tag" else "60.flac: 60:00.0 long")


def write_music(file, minutes, rate=16000):
    audio = np.repeat(soundfile.read(CLIPS / "obsidianshell_02_0.ogg", dtype="float32")[0], rate // 16000)
    with soundfile.SoundFile(file, "w", rate, 1, compression_level=0) as song:
        for _ in range(round(6 * minutes)):
            song.write(audio)


def write_m4a(file, source):
    av = pytest.importorskip("av")
    with av.open(str(file), "w") as out, soundfile.SoundFile(source) as sound:
        stream = out.add_stream("aac", rate=sound.samplerate, layout="mono")
        for block in sound.blocks(1024, dtype="float32"):
            frame = av.AudioFrame.from_ndarray(block[np.newaxis], "fltp", "mono")
            frame.sample_rate, frame.pts = sound.samplerate, sound.tell() - len(block)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def run_measured(*arguments, **settings):
    """Run a command; return what it shows and how much memory its largest process has had at most, in MB."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dl4mir_utils", *map(str, arguments)], stdout=subprocess.PIPE, text=True, **settings
    )
    peaks = {}
    while process.poll() is None:
        for child in [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]:
            peaks[child] = max(peaks.get(child, 0), peak_mb(child))
        time.sleep(0.02)
    shown, _ = process.communicate()
    assert process.returncode == 0
    return shown, max(peaks.values())


def peak_mb(process):
    """Return how much memory a process has had at most, in MB; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))


@pytest.fixture
def similar(command):
    """A function that runs `dl4mir similar ...`; sounds resemble each other if their pitch does."""
    for name, pitch in {"a.wav": 400, "b.flac": 440, "Ä é/c.ogg": 520, "Ä é/d.WAV": 3000, "e.mp3": 6000}.items():
        write_tone(f"lib/{name}", 0.5, pitch, 1)
    return lambda *arguments: command("similar", *arguments)


def near(shown):
    return [line.partition("  ")[2] for line in shown.splitlines()]


def test_similar_names_what_is_near(similar, stubs):
    code, shown, errors = similar("lib/a.wav", "lib", "--count", "3")
    assert (code, errors) == (0, "")
    assert near(shown) == ["lib/b.flac", "lib/Ä é/c.ogg", "lib/Ä é/d.WAV"]
    values = [float(line.split()[0]) for line in shown.splitlines()]
    assert values == sorted(values, reverse=True) and values[0] > 0.9 > values[2]
    assert similar("lib/a.wav", "lib/", "--count", "3") == (code, shown, errors)
    assert {path.name for path in Path("lib").iterdir()} == {"a.wav", "b.flac", "e.mp3", "Ä é"}
    assert {path.name for path in stubs.iterdir()} == {"mini", "pretrained", "sounds.dl4mir"}


def test_similar_with_more_than_one_song(similar):
    for name, artist in {"b.flac": "One", "Ä é/c.ogg": "ONE ", "f.flac": "One", "g.flac": "Two"}.items():
        if name[0] in "fg":
            write_tone(f"lib/{name}", 0.5, 480 if name[0] == "f" else 1500, 1)
        sound = mutagen.File(f"lib/{name}")
        sound["ARTIST"] = artist
        sound.save()
    write_tone("seed.wav", 0.5, 2000, 1)
    seeds = ["lib/a.wav", "lib/e.mp3"]
    code, shown, errors = similar(*seeds, "lib", "--m3u", "out.m3u")
    assert (code, errors) == (0, "") and len(near(shown)) == 5 and not set(seeds) & set(near(shown))
    playlist = Path("out.m3u").read_text(encoding="utf-8").splitlines()
    assert playlist == ["#EXTM3U", *(str(Path(file).absolute()) for file in [*seeds, *near(shown)])]
    # Towards what is given with --plus, away from what is given with --minus.
    assert near(similar("lib/a.wav", "lib")[1])[-1] == "lib/e.mp3"
    assert near(similar("lib/a.wav", "lib", "--plus", "seed.wav", "--plus", "lib/Ä é/d.WAV")[1])[0] == "lib/g.flac"
    assert near(similar("lib/e.mp3", "lib", "--minus", "lib/Ä é/d.WAV", "--minus", "seed.wav")[1])[0] != "lib/g.flac"
    # Of one artist only so many; songs without one are not held back.
    assert near(similar("lib/a.wav", "lib")[1])[:3] == ["lib/b.flac", "lib/f.flac", "lib/Ä é/c.ogg"]
    shown = similar("lib/a.wav", "lib", "--per-artist", 1)[1]
    assert near(shown) == ["lib/b.flac", "lib/g.flac", "lib/Ä é/d.WAV", "lib/e.mp3"]
    shown = similar("lib/a.wav", "lib", "--per-artist", 2, "--count", 3)[1]
    assert near(shown) == ["lib/b.flac", "lib/f.flac", "lib/g.flac"]
    # From one to the other; the playlist begins and ends with them.
    code, shown, errors = similar("lib/a.wav", "lib/e.mp3", "lib", "--path", "--count", 2, "--m3u", "out.m3u")
    assert (code, errors) == (0, "")
    assert len(near(shown)) == 2 and near(shown)[-1] in ("lib/Ä é/d.WAV", "lib/g.flac")
    playlist = Path("out.m3u").read_text(encoding="utf-8").splitlines()[1:]
    assert playlist == [str(Path(file).absolute()) for file in [seeds[0], *near(shown), seeds[1]]]
    back = near(similar("lib/e.mp3", "lib/a.wav", "lib", "--path", "--count", 2)[1])
    assert back == near(shown)[::-1]


def test_similar_writes_tables_and_a_playlist(similar, stubs):
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
    assert paths == [str(Path(file).absolute()) for file in ["lib/a.wav", *table["file"]]]
    assert Path("own.dl4mir").is_file() and not (stubs / "sounds.dl4mir").exists()


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
        (["none.wav", "lib"], "none.wav: the file does not exist"),
        (["lib", "lib"], "lib: this is a folder, not a file"),
        (["silence.wav", "lib"], "silence.wav: holds only silence"),
        (["lib/a.wav", "lib", "--minus", "none.wav"], "none.wav: the file does not exist"),
        (["lib/a.wav", "lib", "--minus", "lib/a.wav"], "What is taken away is all that was there"),
        (["lib/a.wav", "none"], "none is not a folder that is there."),
        (["lib/a.wav", "lib/b.flac"], "lib/b.flac is not a folder that is there."),
        (["lib/a.wav", "lib", "--csv", "none/out.csv"], "the folder none is not there."),
        (["lib/a.wav", "lib", "--m3u", "lib/a.wav"], "lib/a.wav; it must be a file that ends in .m3u or .m3u8."),
        (["lib/a.wav", "lib", "--index", "lib/a.wav"], "--index is lib/a.wav; it must be a file that ends in .dl4mir."),
        (["lib/a.wav", "alone"], "alone holds no sound but SEED."),
        (["lib/a.wav", "alone/a.wav", "alone", "--path"], "alone holds no sound but SEED."),
        (["lib/a.wav", "lib", "--path"], "--path leads from one SEED to another: give two, and neither"),
        (["lib/a.wav", "lib/b.flac", "lib", "--path", "--plus", "lib/b.flac"], "--path leads from one SEED to another"),
    ],
)
def test_similar_says_what_is_wrong(similar, arguments, said):
    soundfile.write("silence.wav", np.zeros(16000), 16000)
    Path("alone").mkdir()
    shutil.copy("lib/a.wav", "alone/a.wav")
    code, shown, errors = similar(*arguments)
    assert code == 1 and said in errors and errors.count("\n") == 1 and "0." not in shown
    assert soundfile.info("lib/a.wav").frames == 16000


def test_similar_makes_a_damaged_index_anew(similar, stubs):
    before = similar("lib/a.wav", "lib")
    (stubs / "sounds.dl4mir").write_bytes(b"no index at all" * 1000)
    code, shown, errors = similar("lib/a.wav", "lib")
    assert (code, shown) == before[:2]
    assert "is damaged or no index: it is made anew" in errors and errors.count("\n") == 1
    assert similar("lib/a.wav", "lib") == before
