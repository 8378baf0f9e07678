"""Work on several files at a time, in processes: a decoder that crashes on a damaged file stops nothing else."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

from dl4mir_utils.errors import AudioDecodeError, BadArgumentError, Dl4mirError

CRASHED = "the decoder crashed on it: the file is damaged"
NO_MEMORY = "there is not enough memory for it"
NOT_STARTED = (
    "A process to read the files in could not be started. Call this from a program in a file, below "
    '`if __name__ == "__main__":`, or from a notebook.'
)
READY = "ready"  # what a process says first
AHEAD = 100  # answers that may wait for the one before them: a long file keeps nobody waiting, and memory is bounded


class Failure(NamedTuple):
    """What is wrong with one file, in one line."""

    reason: str


def cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def each_in_process(
    work: Callable[..., Any], files: Sequence[Path], *settings: Any
) -> Iterator[Iterator[tuple[Path, Any]]]:
    """Call `work(file, threads, *settings)` for every file, on all cores.

    Parameters
    ----------
    work : callable
        A function of a module; what it returns must be picklable. `threads` is how many cores one call may use: all of
        them if there is one file, otherwise one, as several files are worked on at a time.
    files : sequence of Path
    *settings
        Further arguments, the same for all files.

    Yields
    ------
    iterator of (Path, result)
        In the order of `files`, as soon as each is done; the result is a `Failure` where the file could not be read.
        Leaving the `with` before the end stops what is still running.

    Raises
    ------
    Dl4mirError
        Something other than a file is wrong, such as a network that is missing.
    """
    with _stopped_at_the_end() as workers:
        yield _results(work, files, settings, min(cores(), len(files)), workers)


@contextmanager
def one_process() -> Iterator[Callable[..., Any]]:
    """Keep a process for one call after the other, where files are not known before.

    Yields
    ------
    callable
        `call(work, file, *settings)` returns what `work(file, threads, *settings)` does, or a `Failure`. The process
        starts with the first call; after a crash, the next call gets a new one.
    """
    with _stopped_at_the_end() as workers:
        yield lambda work, file, *settings: next(_results(work, [file], settings, 1, workers))[1]


@contextmanager
def _stopped_at_the_end() -> Iterator[list["_Worker"]]:
    workers: list[_Worker] = []
    try:
        yield workers
    finally:
        for worker in workers:
            worker.stop()


class _Worker:
    """A process that does one call after the other."""

    def __init__(self) -> None:
        # Spawned, not forked: a fork would copy locks that threads of this process hold.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with _interrupts_held():
            self._process.start()
        theirs.close()  # theirs alone: when the process ends, however it does, ours tells of it
        self.ready = False

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep Ctrl-C from processes that start meanwhile, for good, and from this one until the end."""
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    from multiprocessing.resource_tracker import ensure_running

    ensure_running()  # where it is not yet, it would be started later, and then lets signals through
    came = []  # to another thread, which no mask of this one keeps from interrupting this one
    handler = signal.signal(signal.SIGINT, lambda *_: came.append(True))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # which new processes inherit
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


def _serve(calls: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    # What decoders write about damaged files; Python's own errors go back through the connection.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with suppress(EOFError, OSError):  # the parent is gone
        calls.send(READY)
        while True:
            calls.send(_guarded(*calls.recv()))


def _guarded(work: Callable[..., Any], file: Path, threads: int, settings: tuple) -> Any:
    try:
        return work(file, threads, *settings)
    except (AudioDecodeError, BadArgumentError) as error:
        return Failure(in_one_line(error))
    except (Dl4mirError, ImportError) as error:  # what is missing is missing for every file
        return error
    except MemoryError:
        return Failure(NO_MEMORY)
    except Exception as error:  # that no decoder is known to raise; still, the others can be done
        return Failure(f"{type(error).__name__}: {error}")


def _results(
    work: Callable[..., Any], files: Sequence[Path], settings: tuple, processes: int, workers: list[_Worker]
) -> Iterator[tuple[Path, Any]]:
    threads = max(1, cores() // max(1, processes))
    waiting = deque(enumerate(files))
    idle = list(workers)
    busy: dict[Connection, tuple[_Worker, int]] = {}
    answers: dict[int, Any] = {}
    for place, file in enumerate(files):
        while True:
            while waiting and waiting[0][0] < place + AHEAD and len(busy) < processes:
                if not idle:
                    idle.append(_Worker())
                    workers.append(idle[-1])
                worker, (number, path) = idle.pop(), waiting.popleft()
                with suppress(OSError):  # it has ended meanwhile, which the answer will tell
                    worker.connection.send((work, path, threads, settings))
                busy[worker.connection] = worker, number
            # Also where the answer is there: who is done gets the next file before this one is looked at.
            ready = wait(list(busy), 0 if place in answers else None)
            if not ready:
                break
            for connection in ready:
                worker, number = busy[connection]
                try:
                    answer = connection.recv()
                except (EOFError, OSError):
                    if not worker.ready:  # no file is to blame for that
                        raise Dl4mirError(NOT_STARTED) from None
                    answer = Failure(CRASHED)
                    workers.remove(worker)
                    worker.stop()
                else:
                    if not worker.ready:
                        worker.ready = True
                        continue
                    idle.append(worker)
                del busy[connection]
                answers[number] = answer
        answer = answers.pop(place)
        if isinstance(answer, Exception):
            raise answer
        yield file, answer


def in_one_line(error: Dl4mirError) -> str:
    """Return what is wrong with one file: of a list with one entry, only that entry."""
    return " ".join(error.failures.values()) if isinstance(error, AudioDecodeError) else str(error)
