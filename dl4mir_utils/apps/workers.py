"""Work on several files at a time, in processes: a decoder that crashes on a damaged file stops nothing else."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from dl4mir_utils.errors import AudioDecodeError, BadArgumentError, Dl4mirError

CRASHED = "the decoder crashed on it: the file is damaged"
AHEAD = 100  # files that are given out before the first of them is answered: a long one keeps nobody waiting


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
    if not files:
        yield iter(())
        return
    from pebble import ProcessPool

    processes = min(cores(), len(files))
    threads = max(1, cores() // processes)
    # Spawned, not forked: the pool's own threads may hold locks while a process is copied.
    pool = ProcessPool(processes, initializer=_start, context=multiprocessing.get_context("spawn"))

    def give_out(file: Path) -> Any:
        with _interrupts_held():  # the first starts the pool
            return pool.schedule(_guarded, (work, file, threads, settings))

    try:
        yield _results(files, give_out)
        pool.close()
    finally:
        pool.stop()
        pool.join()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep Ctrl-C from processes and threads that start meanwhile, for good, and from this thread until the end."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing.resource_tracker import ensure_running

    ensure_running()  # where it is not yet, it would be started later, and then lets signals through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    # What decoders write about damaged files; Python's own errors come back through the pool.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _guarded(work: Callable[..., Any], file: Path, threads: int, settings: tuple) -> Any:
    try:
        return work(file, threads, *settings)
    except (AudioDecodeError, BadArgumentError) as error:
        return Failure(in_one_line(error))
    except Dl4mirError as error:
        return error
    except MemoryError:
        return Failure("there is not enough memory for it")
    except ImportError:  # a package is missing: so it is for every file
        raise
    except Exception as error:  # that no decoder is known to raise; still, the others can be done
        return Failure(f"{type(error).__name__}: {error}")


def _results(files: Sequence[Path], give_out: Callable[[Path], Any]) -> Iterator[tuple[Path, Any]]:
    from pebble import ProcessExpired

    waiting, ahead = iter(files), deque()
    for file in files:
        ahead.extend(map(give_out, islice(waiting, AHEAD - len(ahead))))
        try:
            answer = ahead.popleft().result()
        except ProcessExpired:
            answer = Failure(CRASHED)
        if isinstance(answer, Dl4mirError):
            raise answer
        yield file, answer


def in_one_line(error: Dl4mirError) -> str:
    """Return what is wrong with one file: of a list with one entry, only that entry."""
    return " ".join(error.failures.values()) if isinstance(error, AudioDecodeError) else str(error)
