"""Training on several workers: two processes on loopback, one of which is killed."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parents[1]
SCALE = ROOT / "tools" / "scale"
SCRIPT = SCALE / "train_genre.py"
EPOCHS = 2
sys.path.insert(0, str(SCALE))

from train_genre import parsed  # noqa: E402


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


MIRRORED = """
import sys
sys.path.insert(0, sys.argv[1])
import dl4mir_utils
import tensorflow as tf
import train_genre
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
train_genre.strategy_for = lambda workers: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
train_genre.train(train_genre.parsed(["--plain", "--epochs", "1", "--out", sys.argv[2]]))
"""


def test_batch_normalisation_over_both_workers_and_two_devices_of_one_machine(tmp_path):
    """With batch statistics it is nearly as one process; two devices without them are as one."""
    one_epoch = ("--epochs", "1")  # the last one given counts
    alone, plain = started(tmp_path / "alone", *one_epoch), started(tmp_path / "plain", "--plain", *one_epoch)
    assert (alone.wait(timeout=300), plain.wait(timeout=300)) == (0, 0)
    _, (one, other) = two_workers(tmp_path / "two", *one_epoch)
    assert same(one, other)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "alone"), abs=3e-3)
    command = [sys.executable, "-c", MIRRORED, str(SCALE), str(tmp_path / "mirrored")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "2 replicas" in done.stdout, done.stderr
    assert losses(tmp_path / "mirrored") == pytest.approx(losses(tmp_path / "plain"), abs=1e-5)


OVERFLOW = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import dl4mir_utils
import keras, tensorflow as tf
from train_genre import agreed
strategy = tf.distribute.MultiWorkerMirroredStrategy()
this = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
with strategy.scope():
    weight = keras.Variable([1.0, 2.0])
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5))
    optimizer.build([weight])

@tf.function
def step(gradient):
    strategy.run(lambda gradient: optimizer.apply(agreed([gradient * optimizer.dynamic_scale]), [weight]), [gradient])

step(tf.constant([1.0, float("inf") if this else 1.0]))
print(weight.numpy().tolist(), float(optimizer.dynamic_scale.numpy()))
step(tf.constant([1.0, 1.0]))
print(weight.numpy().tolist(), float(optimizer.dynamic_scale.numpy()))
"""


def test_a_step_that_overflows_on_one_worker_is_left_out_on_both():
    """In half precision; otherwise the other worker would wait for ever."""
    where, both = addresses(), []
    for number in (0, 1):
        task = {"type": "worker", "index": number}
        env = os.environ | {"TF_CONFIG": json.dumps({"cluster": {"worker": where}, "task": task})}
        command = [sys.executable, "-c", OVERFLOW, str(SCRIPT.parent)]
        both.append(subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
    try:
        said = [process.communicate(timeout=120)[0].splitlines() for process in both]
    finally:
        for process in both:
            process.kill()
    scale = 2**14  # half of what it begins with
    assert said == [[f"[1.0, 2.0] {scale}.0", f"[0.0, 1.0] {scale}.0"]] * 2  # the sum of two gradients, times 0.5


def test_the_files_for_clusters_can_be_read_and_agree():
    subprocess.run(["bash", "-n", SCALE / "slurm.sbatch"], check=True)
    service, job = yaml.safe_load_all((SCALE / "kubernetes.yaml").read_text("utf-8"))
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    count = {entry["name"]: entry["value"] for entry in container["env"]}["COUNT"]
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == int(count)
    assert pod["subdomain"] == service["metadata"]["name"] == job["metadata"]["name"]
    prepare_text = (SCALE / "prepare_kubernetes.yaml").read_text("utf-8")
    kinds = [each["kind"] for each in yaml.safe_load_all(prepare_text)]
    assert kinds == ["DaskCluster", "Job"]
    assert len(re.findall("image: ", prepare_text)) == 3 and len(set(re.findall(r"image: (\S+)", prepare_text))) == 1
    for file in ("slurm.sbatch", "kubernetes.yaml"):  # they ask for what the script knows
        command = (SCALE / file).read_text("utf-8").split("--data", 1)[1].replace("\\\n", " ").splitlines()[0]
        assert parsed(["--data", *command.split()]).mixed


def test_bad_input_is_told_in_a_line(tmp_path):
    for options, expected in (
        (["--data", "no_such_set"], "no_such_set"),
        (["--batch", "100000"], "fewer"),
    ):
        process = started(tmp_path / "x", *options)
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 1 and expected in said and "Traceback" not in said, said
