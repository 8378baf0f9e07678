"""The command line: what it prints and its exit codes."""

import hashlib
import subprocess
import sys

import pytest
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
