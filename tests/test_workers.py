"""Several files at a time, in processes that may crash."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from dl4mir_utils import AudioDecodeError, BadArgumentError
from dl4mir_utils.apps import workers
from dl4mir_utils.apps.workers import AHEAD, CRASHED, Failure, cores, each_in_process, one_process
from dl4mir_utils.errors import SoundIndexError


@pytest.fixture(autouse=True)
def three_cores(monkeypatch):
    monkeypatch.setattr(workers, "cores", lambda: 3)


def results(work, names, *settings):
    files = [Path(name) for name in names]
    with each_in_process(work, files, *settings) as answers:
        found = list(answers)
    assert [file for file, _ in found] == files
    assert not workers_left()
    return [answer for _, answer in found]


def workers_left():
    """Processes of a pool that are alive: all children but the one that tidies up after multiprocessing."""
    commands = [child.cmdline() for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [command for command in commands if any("spawn_main" in word for word in command)]


# What the processes do: functions of a module, which they find by name.


def seconds(file, threads):
    time.sleep(float(file.name))
    return file.name, threads, os.getpid()


def in_other_words(file, threads, *settings):
    return file.name, settings


def process_of(file, threads):
    return os.getpid()


def wrong(file, threads):
    errors = {
        "damaged": AudioDecodeError({str(file): "the file is empty"}),
        "silent": BadArgumentError("holds only silence"),
        "huge": MemoryError(),
        "odd": IndexError("list index out of range"),
        "index": SoundIndexError("The index is locked."),
        "package": ModuleNotFoundError("No module named 'nothing'", name="nothing"),
    }
    if file.name in errors:
        raise errors[file.name]
    return "fine"


def crash(file, threads):
    if file.name.startswith("crash"):
        os.kill(os.getpid(), getattr(signal, file.suffix[1:]))
    time.sleep(0.01)
    return file.name


def mark(file, threads):
    time.sleep(2 if file.name == "0" else 0)
    file.touch()


def survive_interrupt(file, threads):
    os.kill(os.getpid(), signal.SIGINT)
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def complain(file, threads):
    os.write(2, b"a decoder that complains\n")


def test_answers_come_in_the_order_of_the_files():
    answers = results(seconds, ["0.4", "0.3", "0.2", "0.1", "0.0"])
    assert [name for name, *_ in answers] == ["0.4", "0.3", "0.2", "0.1", "0.0"]
    assert len({process for *_, process in answers} - {os.getpid()}) == 3  # as many as cores, and none of them this one
    assert {threads for _, threads, _ in answers} == {1}


def test_one_file_gets_all_cores():
    ((_, threads, process),) = results(seconds, ["0"])
    assert threads == 3 and process != os.getpid()
    assert results(seconds, ["0", "0.0"])[0][1] == 1


def test_settings_are_handed_on_and_names_may_be_no_unicode():
    name = os.fsdecode(b"caf\xe9.wav")
    assert results(in_other_words, [name], Path("x"), 3) == [(name, (Path("x"), 3))]


def test_without_files_nothing_is_started(monkeypatch):
    monkeypatch.setattr("multiprocessing.get_context", None)
    assert results(seconds, []) == []


def test_what_is_wrong_with_a_file_is_said_in_one_line():
    assert results(wrong, ["a", "damaged", "silent", "huge", "odd", "b"]) == [
        "fine",
        Failure("the file is empty"),
        Failure("holds only silence"),
        Failure("there is not enough memory for it"),
        Failure("IndexError: list index out of range"),
        "fine",
    ]


@pytest.mark.parametrize(("name", "error"), [("index", SoundIndexError), ("package", ModuleNotFoundError)])
def test_what_is_wrong_with_all_files_is_raised(name, error):
    with pytest.raises(error) as raised, each_in_process(wrong, [Path("a"), Path(name), Path("b")]) as answers:
        assert next(answers)[1] == "fine"
        list(answers)
    assert getattr(raised.value, "name", "nothing") == "nothing"
    assert not workers_left()


@pytest.mark.skipif(os.name == "nt", reason="signals of other systems")
def test_a_decoder_that_crashes_stops_nothing_else():
    names = ["a", "crash.SIGSEGV", "b", "crash2.SIGKILL", "crash3.SIGABRT", "c", "crash4.SIGSEGV"]
    fine = {"a", "b", "c"}
    assert results(crash, names) == [name if name in fine else Failure(CRASHED) for name in names]
    assert results(crash, ["crash.SIGSEGV"]) == [Failure(CRASHED)]
    many = [f"crash{number}.SIGSEGV" if number % 3 == 0 else str(number) for number in range(30)]
    assert sum(answer == Failure(CRASHED) for answer in results(crash, many)) == 10


@pytest.mark.skipif(os.name == "nt", reason="signals of other systems")
def test_one_process_is_kept_for_all_calls_but_after_a_crash():
    with one_process() as call:
        assert workers_left() == []  # it starts with the first call
        first = call(process_of, Path("a"))
        assert first == call(process_of, Path("b")) != os.getpid()
        assert call(wrong, Path("huge")) == Failure("there is not enough memory for it")
        assert call(crash, Path("crash.SIGSEGV")) == Failure(CRASHED)
        second = call(process_of, Path("c"))
        assert second == call(process_of, Path("d")) != first
        assert call(in_other_words, Path("e"), 1, 2) == ("e", (1, 2)) and len(workers_left()) == 1
    assert not workers_left()


def test_a_long_file_keeps_others_waiting_only_when_there_are_many(tmp_path):
    files = [tmp_path / str(number) for number in range(2 * AHEAD)]
    with each_in_process(mark, files) as answers:
        assert next(answers)[0] == files[0]
        assert len(list(tmp_path.iterdir())) in range(AHEAD, AHEAD + 3)
        assert [file for file, _ in answers] == files[1:]


def test_leaving_early_stops_what_is_running():
    start = time.monotonic()
    with each_in_process(seconds, [Path("0"), Path("60"), Path("61"), Path("62")]) as answers:
        assert next(answers)[1][0] == "0"
    assert time.monotonic() - start < 20 and not workers_left()


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals of other systems")
def test_interrupts_are_the_parents_alone():
    """In a terminal, Ctrl-C goes to all processes: also to those that are just starting."""
    assert results(survive_interrupt, ["a", "b", "c", "d"]) == [True] * 4
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt), each_in_process(seconds, [Path("60"), Path("61")]) as answers:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        next(answers)
    assert not workers_left()


def test_what_decoders_write_is_not_shown(capfd):
    results(complain, ["a", "b"])
    assert capfd.readouterr() == ("", "")


def test_cores_are_those_that_may_be_used():
    assert 1 <= cores() <= os.cpu_count()


def test_no_file_is_blamed_where_no_process_starts():
    """A program on standard input cannot be started a second time."""
    code = (
        "from pathlib import Path\n"
        "from dl4mir_utils import Dl4mirError\n"
        "from dl4mir_utils.apps.workers import each_in_process\n"
        "try:\n"
        "    with each_in_process(print, [Path('a.wav')]) as results:\n"
        "        list(results)\n"
        "except Dl4mirError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-"], input=code, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("A process to read the files in could not be started.")
