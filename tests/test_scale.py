"""Training on several workers: two processes on loopback, one of which is killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tools" / "scale" / "train_genre.py"
EPOCHS = 2


def started(out, *options, workers=(), number=0):
    """Start the training as its own process."""
    env = os.environ | {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    if workers:
        task = {"type": "worker", "index": number}
        env["TF_CONFIG"] = json.dumps({"cluster": {"worker": list(workers)}, "task": task})
    command = [sys.executable, str(SCRIPT), "--out", str(out), "--epochs", str(EPOCHS), *options]
    return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def addresses():
    """Return two that are free now."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in (one, two)]


def two_workers(out, *options, kill_after=None):
    """Train with two workers, and kill one after an epoch; return what both said, and their weights."""
    where = addresses()
    both = [started(out, *options, workers=where, number=number) for number in (0, 1)]
    try:
        if kill_after:
            wait_for(lambda: (out / "checkpoint.npz").exists() and epochs_in(out) >= kill_after, both)
            os.kill(training_of(both[1].pid), signal.SIGKILL)
        said = [process.communicate(timeout=300)[0] for process in both]
    finally:
        for process in both:
            process.terminate()
    assert [process.returncode for process in both] == [0, 0], said
    return said, [list(np.load(out / f"weights_{number}.npz").values()) for number in (0, 1)]


def epochs_in(out):
    """Return how many epochs the checkpoint has."""
    with np.load(out / "checkpoint.npz") as stored:
        return int(stored["epoch"])


def wait_for(ready, processes, seconds=200):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end and all(process.poll() is None for process in processes)
        time.sleep(0.05)


def training_of(parent):
    """Return the process that trains, a child of the one that watches it."""
    return int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])


def losses(out):
    """Return the loss of each epoch."""
    return [line["loss"] for line in json.loads((out / "result.json").read_text("utf-8"))["history"]]


def same(some, others):
    return all(np.array_equal(one, other) for one, other in zip(some, others, strict=True))


@pytest.mark.skipif(sys.platform != "linux", reason="finds the process to kill by way of /proc")
def test_two_workers_are_one_even_if_one_is_killed(tmp_path):
    """Without batch statistics and dropout, as one process on the joined batches."""
    alone, whole, disturbed = (tmp_path / name for name in ("alone", "whole", "disturbed"))
    process = started(alone, "--plain")
    assert process.wait(timeout=300) == 0, process.stdout.read()
    _, (one, other) = two_workers(whole, "--plain")
    assert same(one, other)
    assert losses(whole)[0] == pytest.approx(losses(alone)[0], abs=1e-5)
    assert losses(whole) == pytest.approx(losses(alone), abs=2e-3)  # rounding grows from step to step
    said, (one_disturbed, other_disturbed) = two_workers(disturbed, "--plain", kill_after=1)
    assert "the training was ended by SIGKILL; it is started anew" in said[1]
    assert "worker 0: worker 1 (127.0.0.1:" in said[0] and "does not answer" in said[0]
    assert "from epoch 1" in said[0]
    assert same(one, one_disturbed) and same(other, other_disturbed)
    assert list(disturbed.glob("*.part")) == []


def test_bad_input_is_told_in_a_line(tmp_path):
    for options, expected in (
        (["--data", "no_such_set"], "no_such_set"),
        (["--batch", "100000"], "fewer"),
    ):
        process = started(tmp_path / "x", *options)
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 1 and expected in said and "Traceback" not in said, said
