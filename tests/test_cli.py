"""The command line: what it prints and its exit codes."""

import subprocess
import sys

from typer.testing import CliRunner

from dl4mir_utils import doctor
from dl4mir_utils.cli import app
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
