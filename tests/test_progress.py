"""What is remembered of solved exercises, where, and what is made of it."""

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest

from dl4mir_utils import checks, progress
from dl4mir_utils.errors import BadArgumentError, DataNotFoundError, ProgressError
from dl4mir_utils.progress import records

ROOT = Path(__file__).parents[1]


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of two notebooks, one of which has two exercises."""
    folder = tmp_path / "a course"
    (folder / "notebooks").mkdir(parents=True)
    markdown, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    cells = {
        "00_a.ipynb": [
            markdown("# 00 · Hear\n\nWe hear."),
            markdown("### Exercise 1: a `bin` of [Hz](x.md)"),
            code("answer = None"),
            code("checks.check_one(answer)"),
            markdown("### Exercise 2: <b>bold</b>"),
            code("checks.check_two(\n    answer,\n)"),
        ],
        "01_b.ipynb": [markdown("# 01 · See"), markdown("### Exercise 1: three"), code("checks.check_three(answer)")],
    }
    for name, those in cells.items():
        nbformat.write(nbformat.v4.new_notebook(cells=those), folder / "notebooks" / name)
    monkeypatch.setattr(records, "COURSE", folder)
    monkeypatch.delenv("DL4MIR_PROGRESS")
    return folder


def check_one(answer):
    """Say whether the answer is 4."""
    print("Right. Score 0.81 <of> 1." if answer == 4 else "Not yet. Four.")


def check_two(answer):
    """Raise."""
    print("Half a line")
    raise ValueError(answer)


one, two = progress.remembered(check_one), progress.remembered(check_two)


def test_a_right_answer_is_remembered_once(course, capsys):
    one(3)
    assert not (course / "progress").exists()
    one(answer=4)
    one(4)
    assert capsys.readouterr().out == "Not yet. Four.\n" + 2 * "Right. Score 0.81 <of> 1.\n"
    [line] = (course / "progress" / "passed.jsonl").read_text("utf-8").splitlines()
    record = json.loads(line)
    assert record["check"] == "check_one" and record["said"] == "Score 0.81 <of> 1."
    assert {"python", "keras", "numpy"} < set(record["versions"])
    assert [(each.title, each.record) for each in progress.solved()] == [
        ("Exercise 1: a bin of Hz", record),
        ("Exercise 2: <b>bold</b>", None),
        ("Exercise 1: three", None),
    ]


def test_a_check_that_fails_says_what_it_said(course, capsys):
    with pytest.raises(ValueError, match="x"):
        two("x")
    assert capsys.readouterr().out == "Half a line\n"


@pytest.fixture
def touched(monkeypatch):
    """Files that this process opens for writing, makes, renames or removes, and what it does with sockets."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # of modules that are imported for the first time
    seen, watching = [], True

    def hook(event, arguments):
        if not watching:  # a hook cannot be taken away
            return
        writing = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        others = ("os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "subprocess", "socket")
        if writing or event.startswith(others):
            seen.append((event, arguments[0]))

    sys.addaudithook(hook)
    yield seen
    watching = False


def test_nothing_is_written_outside_the_folder_and_nothing_is_sent(course, touched):
    one(4)
    pages = progress.write_progress(), progress.write_certificate("Ada")
    progress.show_progress()
    here = course / "progress"
    assert [event for event, _ in touched].count("os.mkdir") == 3  # the folder, which may be there already
    assert {Path(path) for _, path in touched} == {here, here / "passed.jsonl", *pages}
    assert {event for event, _ in touched} == {"open", "os.mkdir"}
    assert set(here.iterdir()) == {here / "passed.jsonl", *pages}


def test_the_watch_over_files_and_sockets_sees_them(touched, tmp_path):
    (tmp_path / "x").write_text("x")
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", 9), timeout=0.1):
        pass
    assert ("open", str(tmp_path / "x")) in [(event, str(what)) for event, what in touched]
    assert "socket.connect" in [event for event, _ in touched]


def test_tests_and_installed_packages_remember_nothing(course, monkeypatch):
    monkeypatch.setenv("DL4MIR_PROGRESS", "off")
    one(4)
    monkeypatch.delenv("DL4MIR_PROGRESS")
    monkeypatch.setattr(records, "COURSE", course / "site-packages")
    one(4)
    assert not (course / "progress").exists()
    for refused in (progress.write_progress, lambda: progress.write_certificate("Ada")):
        with pytest.raises(DataNotFoundError, match="clone of the course"):
            refused()


def test_a_folder_that_cannot_be_written_is_no_error_of_the_answer(course, capsys):
    (course / "progress").write_text("a file")
    one(4)
    assert "Right." in capsys.readouterr().out.splitlines()[0]
    one(4)
    assert "could not be noted" in capsys.readouterr().out


def a_file_for_a_folder(place):
    place.write_text("a file")


def a_folder_for_what_passed(place):
    (place / "passed.jsonl").mkdir(parents=True)


@pytest.mark.parametrize("spoil", [a_file_for_a_folder, a_folder_for_what_passed])
def test_a_folder_that_cannot_be_read_gets_a_plain_error(course, capsys, spoil):
    spoil(course / "progress")
    for refused in (progress.write_progress, progress.solved, lambda: progress.write_certificate("Ada")):
        with pytest.raises(ProgressError, match=r"passed\.jsonl: .* must be a folder that you may read and write"):
            refused()
    assert progress.show_progress()["solved"].tolist() == [0, 0]
    assert "move it away" in capsys.readouterr().out


@pytest.fixture(params=["a read-only folder", "a folder in the place of each page"])
def unwritable(request, course):
    one(4)
    place = course / "progress"
    if request.param == "a read-only folder":
        place.chmod(0o500)
        yield
        place.chmod(0o700)
    else:
        now = datetime.now(UTC)
        for seconds in range(60):
            (place / f"certificate-{now + timedelta(seconds=seconds):%Y%m%d-%H%M%S}.html").mkdir()
        (place / "progress.html").mkdir()
        yield


def test_a_folder_that_cannot_be_written_gets_a_plain_error(unwritable, course, capsys):
    if os.access(course / "progress", os.W_OK) and not (course / "progress" / "progress.html").exists():
        pytest.skip("this user may write to read-only folders")
    for refused in (progress.write_progress, lambda: progress.write_certificate("Ada")):
        with pytest.raises(ProgressError, match=r"\.html: .* must be a folder that you may read and write"):
            refused()
    assert progress.show_progress()["solved"].tolist() == [1, 0]
    assert "move it away" in capsys.readouterr().out


def test_damaged_lines_are_counted(course):
    one(4)
    with (course / "progress" / "passed.jsonl").open("ab") as file:
        file.write(b'{"check": "check_two"\n[1]\n\xff\n')
    assert records.passed()[1] == 3
    page = progress.write_progress().read_text("utf-8")
    assert "3 lines of" in page and "1 of 3 exercises" in page


@pytest.mark.parametrize(
    "wrong",
    [
        {"when": None},
        {"when": "yesterday"},
        {"when": 20260101},
        {"versions": "3"},
        {"versions": None},
        {"versions": {"keras": 3}},
        {"said": 4},
        {"said": "\ud800"},
        {"check": ["check_two"]},
    ],
)
def test_records_of_another_form_are_counted(course, wrong):
    one(4)
    file = course / "progress" / "passed.jsonl"
    right = json.loads(file.read_text("utf-8")) | {"check": "check_two"}
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(right | wrong) + "\n")
    assert set(records.passed()[0]) == {"check_one"} and records.passed()[1] == 1
    page = progress.write_progress().read_text("utf-8")
    assert "1 line of" in page and "1 of 3 exercises" in page
    assert progress.verify_certificate(progress.write_certificate("Ada"))
    assert progress.show_progress()["solved"].tolist() == [1, 0]


def test_the_page_holds_texts_as_texts(course):
    one(4)
    page = progress.write_progress().read_text("utf-8")
    assert "Score 0.81 &lt;of&gt; 1." in page and "&lt;b&gt;bold" in page and "<b>" not in page
    table = progress.show_progress()
    assert table.loc["00 · Hear"].tolist() == [1, 2] and table.loc["01 · See"].tolist() == [0, 1]


def test_a_certificate_is_verified_until_it_is_changed(course):
    with pytest.raises(BadArgumentError, match="No exercise is solved"):
        progress.write_certificate("Ada")
    one(4)
    page = progress.write_certificate("  Ada  <Lovelace> & $(ls) ")
    text = page.read_text("utf-8")
    assert "Ada &lt;Lovelace&gt; &amp; $(ls)" in text and "1 of the course’s 3 exercises" in text
    assert "01 · See" not in text and "cannot say by whom" in text
    assert progress.verify_certificate(page)
    page.write_bytes(text.replace("\n", "\r\n").encode())  # as Git on Windows may
    assert progress.verify_certificate(page)
    for old, new in (("Ada", "Eve"), ("1 of the", "3 of the")):
        page.write_text(text.replace(old, new), "utf-8")
        assert not progress.verify_certificate(page)
    page.write_text(text.replace('"checksum">', '"checksum">0'), "utf-8")
    with pytest.raises(BadArgumentError, match="no certificate"):
        progress.verify_certificate(page)


@pytest.mark.parametrize("name", ["", "   ", "a" * 81, "Ada\x1b[31m", "\u202eadA"])
def test_a_name_must_be_one(course, name):
    one(4)
    with pytest.raises(BadArgumentError, match="whose certificate"):
        progress.write_certificate(name)


def test_verifying_what_is_no_certificate(tmp_path):
    for content in (b"hello", b"\xff\xfe\x00", None):
        file = tmp_path / "x.html"
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(BadArgumentError, match=r"x\.html"):
            progress.verify_certificate(file)


def test_every_check_of_the_course_is_remembered():
    exercises = progress.solved()
    assert len(exercises) > 50 and all(each.title.startswith("Exercise") for each in exercises)
    for each in exercises:
        assert hasattr(getattr(checks, each.check), "__wrapped__"), each.check
    assert len({each.check for each in exercises}) == len(exercises)


def test_the_commands(tmp_path):
    """In a copy of the course, as a reader who has solved something."""
    copy = tmp_path / "course"
    (copy / "notebooks").mkdir(parents=True)
    (copy / "notebooks" / "01_pitch.ipynb").write_bytes((ROOT / "notebooks" / "01_pitch.ipynb").read_bytes())
    code = (
        "import math, sys; from pathlib import Path; from dl4mir_utils.progress import records;"
        "records.COURSE = Path(sys.argv.pop(1));"
        "from dl4mir_utils import checks; checks.check_01_bin(lambda hz: round(12 * math.log2(hz / 220)));"
        "from dl4mir_utils.apps.cli import app; app()"
    )
    env = {key: value for key, value in os.environ.items() if key != "DL4MIR_PROGRESS"}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-c", code, str(copy), *arguments], capture_output=True, text=True, env=env, cwd=ROOT
        )

    said = run("progress")
    assert "1 of 5" in said.stdout.replace("  ", " ") and "1 of 5 exercises are solved" in said.stdout, said
    assert run("certificate", "--name", "Ada").returncode == 0
    [page] = (copy / "progress").glob("certificate-*.html")
    assert "checksum is right" in run("certificate", "--verify", str(page)).stdout
    page.write_text(page.read_text("utf-8").replace("Ada", "Eve"), "utf-8")
    refused = run("certificate", "--verify", str(page))
    assert refused.returncode == 1 and "changed" in refused.stderr and "Traceback" not in refused.stderr
    assert run("certificate").returncode == 1
