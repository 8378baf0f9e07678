"""The command line: what it prints and its exit codes."""

import hashlib
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from dl4mir_utils import doctor
from dl4mir_utils.cli import app
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
    code = (
        "import sys, dl4mir_utils.cli; print({'pandas', 'soundfile', 'rich.progress', 'requests'} & set(sys.modules))"
    )
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
