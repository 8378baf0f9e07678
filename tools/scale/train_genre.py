"""Train one of notebook 05b's networks on one machine, on several GPUs, or on several machines.

    python tools/scale/train_genre.py --data mini/genre --network cnn3x3 --out runs/one
    python tools/scale/train_genre.py --data fma_small --prepared /data/fma_small --network time_cnn --out runs/two

On several machines, every one runs the same command, and the environment variable TF_CONFIG tells it who the others
are and which of them it is (the files beside this one set it for Slurm, Kubernetes and Ray):

    TF_CONFIG='{"cluster": {"worker": ["10.0.0.1:5000", "10.0.0.2:5000"]}, "task": {"type": "worker", "index": 0}}'

All workers need the same data and the same folder `--out`, on a shared disk. Keras 3's `fit` cannot train in this
way; its developers advise Keras on JAX (github.com/keras-team/keras/issues/20585). Kapre's spectrograms are
TensorFlow's, so this course stays with TensorFlow and takes the steps itself: `step` below does what `fit` does for one
machine.

Which clips a step takes, and where in them, is drawn from the seed alone, and each replica gets its share. So two
workers with batches of 8 take the steps of one with a batch of 16: without batch statistics and dropout, but for the
rounding of the last digits; with batch normalisation over all replicas, so nearly that the loss of an epoch differs by
a thousandth. After every epoch a checkpoint is written; whoever
starts the same command again goes on from it. A worker that dies is started anew by the process that watches it, and so
are the others, who cannot go on without it.
"""

import argparse
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

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools" / "course")]

RATE = 16000
NETWORKS = ("multi_kernel", "cnn3x3", "cnn1d", "crnn", "time_cnn")
SECONDS = 2.56
ALONE = 75  # what a worker returns that could not go on because another one had failed
ANSWERS_S = 2  # how long to wait for an answer of another worker


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mini/genre", help="a name that load() knows")
    parser.add_argument("--root", type=Path, help="where the data lies, for those that ask for it")
    parser.add_argument("--prepared", type=Path, help="a folder that `dl4mir data prepare` wrote")
    parser.add_argument("--network", choices=NETWORKS, default="cnn3x3")
    parser.add_argument("--plain", action="store_true", help="no batch normalisation; dropout, if any, stays")
    parser.add_argument("--mixed", action="store_true", help="half precision (float16), but for the spectrogram")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch", type=int, default=16, help="of all replicas together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint and of what was measured")
    parser.add_argument("--restarts", type=int, default=3, help="how often a worker that fails is started anew")
    parser.add_argument("--watched", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


# --- who is there -------------------------------------------------------------------------------------------------


def cluster() -> tuple[list[str], int]:
    """Return the addresses of all workers, and which of them this is; alone, ([], 0)."""
    try:
        given = json.loads(os.environ.get("TF_CONFIG") or "{}")
        return given.get("cluster", {}).get("worker", []), int(given.get("task", {}).get("index", 0))
    except (ValueError, AttributeError, TypeError) as error:
        raise SystemExit(
            f"TF_CONFIG is not as it should be ({error}); see the head of {Path(__file__).name}."
        ) from error


def failed(workers: list[str], this: int, message: str) -> str:
    """Return which worker has failed, by TensorFlow's message or its silence; or all that it may be."""
    named = {int(number) for number in re.findall(r"/job:worker/replica:\d+/task:(\d+)", message)}
    others = [number for number in range(len(workers)) if number != this]
    found = [number for number in others if number in named] or [
        number for number in others if not answers(workers[number])
    ]
    return " or ".join(f"worker {number} ({workers[number]})" for number in found or others)


def answers(address: str) -> bool:
    """Return whether something listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), ANSWERS_S).close()
    except OSError:
        return False
    return True


def say(message: str) -> None:
    """Print a line at once, with the number of the worker if there are several."""
    workers, this = cluster()
    print(f"worker {this}: {message}" if workers else message, flush=True)


def watch(options: argparse.Namespace) -> int:
    """Run the training in a process of its own, and start it anew if it is killed or left alone; return its status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends the training, too: see below
    for left in range(options.restarts, -1, -1):
        training = subprocess.Popen([sys.executable, __file__, *sys.argv[1:], "--watched"])
        try:
            status = training.wait()
        finally:
            training.terminate()
        if status >= 0 and status != ALONE:
            return status  # it is done; or an error, which would come again
        how = "could not go on alone" if status == ALONE else f"was ended by {signal.Signals(-status).name}"
        say(f"the training {how}; " + (f"it is started anew, {left} more times at most." if left else "that is all."))
    return 1


# --- the data -----------------------------------------------------------------------------------------------------


def plan(data, clips: list, options: argparse.Namespace, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which clips an epoch takes, and from which sample on: the same on every machine."""
    rng = np.random.default_rng([options.seed, epoch])
    rows = np.flatnonzero((data.frame.split == "train").to_numpy())
    rows = rng.permutation(rows)[: len(rows) // options.batch * options.batch]
    spare = np.array([clips[row].samples for row in rows]) - round(SECONDS * RATE)
    return rows, rng.integers(0, np.maximum(spare, 0), endpoint=True)  # shorter clips get silence added


def batches(data, clips: list, options: argparse.Namespace, epoch: int, share: int, replicas: list[int]):
    """Return the batches of this machine's replicas, in turn: audio (share, samples, 1), labels, weights (share,)."""
    import tensorflow as tf

    from dl4mir_utils.data.audio import audio_cache

    rows, starts = (numbers.reshape(-1, options.batch) for numbers in plan(data, clips, options, epoch))
    mine = np.concatenate([np.arange(replica * share, (replica + 1) * share) for replica in replicas])
    rows, starts = rows[:, mine].reshape(-1, share), starts[:, mine].reshape(-1, share)
    labels, samples = data.labels(), round(SECONDS * RATE)
    counts = np.bincount(data.labels("train"), minlength=len(data.classes))
    weights = (counts.mean() / np.maximum(counts, 1)).astype(np.float32)

    def fetch(some: np.ndarray, begin: np.ndarray):
        pieces = np.zeros((share, samples, 1), np.float32)
        for piece, row, start in zip(pieces, some, begin, strict=True):
            length = min(samples, clips[row].samples - start)
            piece[:length, 0] = audio_cache.read(clips[row], start, length)
        return pieces, labels[some], weights[labels[some]]

    def in_graph(some, begin):
        audio, label, weight = tf.numpy_function(
            fetch, (some, begin), [tf.float32, tf.int32, tf.float32], stateful=False
        )
        return (
            tf.ensure_shape(audio, (share, samples, 1)),
            tf.ensure_shape(label, share),
            tf.ensure_shape(weight, share),
        )

    return tf.data.Dataset.from_tensor_slices((rows, starts)).map(in_graph, os.cpu_count()).prefetch(2)


# --- the network --------------------------------------------------------------------------------------------------


def build(options: argparse.Namespace, classes: int):
    """Return the network of notebook 05b, its batch normalisation over all replicas together."""
    import keras
    from keras import layers

    import notebooks as nbs
    from dl4mir_utils.layers import LogMel

    notebook = nbs.namespace(ROOT / "notebooks" / "05b_genre.ipynb")
    if options.plain:
        notebook["normalise"] = lambda x: x
    else:
        notebook["normalise"] = lambda x: layers.BatchNormalization(momentum=0.9, synchronized=True)(x)
    keras.utils.set_random_seed(options.seed)
    audio = keras.Input((round(SECONDS * RATE), 1))
    x = LogMel(sample_rate=RATE, window_s=0.032, hop_s=0.016, n_mels=64)(audio)
    x = layers.Rescaling(0.05, 2.0)(x) if options.plain else notebook["normalise"](x)
    x = notebook[options.network](x)
    return keras.Model(audio, layers.Dense(classes, activation="softmax", dtype="float32")(x), name=options.network)


def save(path: Path, model, optimizer, epoch: int, history: list[dict]) -> None:
    """Write a checkpoint: whole or not at all."""
    variables = {f"model_{i:04d}": v.numpy() for i, v in enumerate(model.variables)}
    variables |= {f"optimizer_{i:04d}": v.numpy() for i, v in enumerate(optimizer.variables)}
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez(file, epoch=epoch, history=json.dumps(history), **variables)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def restore(path: Path, model, optimizer) -> tuple[int, list[dict]]:
    """Take up a checkpoint, if there is one; return how many epochs are done, and what was measured in them."""
    if not path.exists():
        return 0, []
    with np.load(path) as stored:
        for name, variables in (("model", model.variables), ("optimizer", optimizer.variables)):
            for i, variable in enumerate(variables):
                variable.assign(stored[f"{name}_{i:04d}"])
        return int(stored["epoch"]), json.loads(str(stored["history"]))


# --- the training -------------------------------------------------------------------------------------------------


def strategy_for(workers: list[str]):
    """Return how TensorFlow shares the work: over machines, over this machine's GPUs, or not at all."""
    import tensorflow as tf

    if workers:
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def agreed(gradients: list) -> list:
    """Return a replica's gradients; if those of one replica overflow, NaN on all.

    In half precision the optimizer leaves out a step whose gradients overflow, and each replica decides on its own. One
    that left it out would not send its gradients, and the others would wait for them for ever.
    """
    import tensorflow as tf

    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients])
    context = tf.distribute.get_replica_context()
    overflows = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(~finite, tf.float32))
    return [tf.where(overflows > 0, tf.constant(float("nan"), gradient.dtype), gradient) for gradient in gradients]


def train(options: argparse.Namespace) -> None:
    """Train, from the checkpoint on if there is one."""
    import keras
    import tensorflow as tf

    from dl4mir_utils.data import load
    from dl4mir_utils.data.audio import Clip, audio_cache

    workers, this = cluster()
    strategy = strategy_for(workers)  # before anything else of TensorFlow
    if options.mixed:
        keras.mixed_precision.set_global_policy("mixed_float16")
    replicas = strategy.num_replicas_in_sync
    if options.batch % replicas:
        raise SystemExit(f"A batch of {options.batch} cannot be shared by {replicas} replicas; take a multiple.")
    share = options.batch // replicas
    here = replicas // max(1, len(workers))
    where = {"root": options.root} if options.root else {}
    data = load(options.data, **where, **({"prepared": options.prepared} if options.prepared else {}))
    if not data.split_by:
        data = data.split(by="artist", test_fold=0, valid_fold=1)
    steps = (data.frame.split == "train").sum() // options.batch
    if not steps:
        raise SystemExit(f"There are fewer clips to train on than a batch has, {options.batch}.")
    options.out.mkdir(parents=True, exist_ok=True)  # every worker: no one waits for the first one's checkpoint
    checkpoint = options.out / "checkpoint.npz"
    clips = data._clips(data.frame, RATE)
    audio_cache.fill(clip for clip in clips if isinstance(clip, Clip))

    with strategy.scope():
        model = build(options, len(data.classes))
        rate = keras.optimizers.schedules.CosineDecay(3e-3, options.epochs * int(steps))
        optimizer = keras.optimizers.Adam(rate)
        if options.mixed:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(model.trainable_variables)
        done, history = restore(checkpoint, model, optimizer)

    def on_replica(audio, label, weight):
        """Move the weights a little; the gradients are summed over all replicas before."""
        with tf.GradientTape() as tape:
            loss = keras.losses.sparse_categorical_crossentropy(label, model(audio, training=True))
            loss = tf.reduce_sum(loss * weight) / options.batch
            scaled = optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, model.trainable_weights)
        if options.mixed:
            gradients = agreed(gradients)
        optimizer.apply(gradients, model.trainable_weights)
        return loss

    @tf.function
    def step(audio, label, weight):
        losses = strategy.run(on_replica, (audio, label, weight))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    say(
        f"{options.network}, {model.count_params()} weights, {replicas} replicas, {steps} steps an epoch, "
        f"from epoch {done}"
    )
    for epoch in range(done, options.epochs):
        started, losses = time.perf_counter(), []
        mine = list(range(this * here, (this + 1) * here))
        given = strategy.distribute_datasets_from_function(
            lambda context, epoch=epoch, mine=mine: batches(data, clips, options, epoch, share, mine)
        )
        for audio, label, weight in given:
            losses.append(step(audio, label, weight))
        history.append({"epoch": epoch, "loss": float(np.mean([float(loss) for loss in losses]))})
        if this == 0:
            save(checkpoint, model, optimizer, epoch + 1, history)
        seconds = time.perf_counter() - started
        say(f"epoch {epoch + 1} of {options.epochs}: loss {history[-1]['loss']:.6f}, {seconds:.1f} s")
    if this == 0:
        right = {}
        for split in ("valid", "test"):
            rows = data.frame.index[data.frame.split == split]
            answers = [answer(model, data.audio(name)) for name in rows]
            right[split] = float(np.mean(np.argmax(answers, axis=1) == data.labels(split))) if len(rows) else None
        result = {"network": options.network, "replicas": replicas, "history": history, "accuracy": right}
        (options.out / "result.json").write_text(json.dumps(result, indent=1), "utf-8")
        say(f"accuracy on artists not heard: {right}")
    if workers:  # so that two that should be the same can be compared
        np.savez(options.out / f"weights_{this}.npz", *(variable.numpy() for variable in model.variables))


def answer(model, audio: np.ndarray) -> np.ndarray:
    """Return the mean of the answers (classes,) to the windows of a clip."""
    samples = round(SECONDS * RATE)
    audio = np.pad(audio, (0, max(0, samples - len(audio))))
    windows = audio[: len(audio) // samples * samples].reshape(-1, samples, 1)
    return np.asarray(model(windows, training=False)).mean(axis=0)


def main() -> int:
    options = parsed()
    workers, this = cluster()
    if workers and not options.watched:
        return watch(options)
    import dl4mir_utils  # noqa: F401  before TensorFlow, which it quietens
    import tensorflow as tf  # isort: skip

    from dl4mir_utils.errors import Dl4mirError

    try:
        train(options)
    except Dl4mirError as error:
        raise SystemExit(str(error)) from error
    except (
        tf.errors.UnavailableError,
        tf.errors.InternalError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
    ) as error:
        if not workers:
            raise
        say(f"{failed(workers, this, str(error))} does not answer: {str(error).splitlines()[0][:200]}")
        os._exit(ALONE)  # at once: TensorFlow's own end would wait for the others
    return 0


if __name__ == "__main__":
    sys.exit(main())
