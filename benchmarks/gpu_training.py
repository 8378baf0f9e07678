"""What a GPU makes of DL4MIR's setting: 6400 clips of 10 s, the networks of notebook 05b, prepared data.

    .venv/bin/python benchmarks/gpu_training.py            # needs an NVIDIA GPU: make GPU=1 doctor

Printed for each network: seconds of an epoch (the second and third; DL4MIR told of 48 to 63 s in 2017), how busy
nvidia-smi saw the GPU (goal: 90 % and more on prepared data; DL4MIR's author saw 40 %), and how much faster half
precision is, side by side. The clips are those of `mini/genre`, joined and cut anew at random until there are 6400: for
speed it does not matter what they are. Without a GPU it says so and measures nothing.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import dl4mir_utils  # noqa: F401  before TensorFlow, which it quietens

# isort: split
import keras
import pandas as pd
import soundfile
import tensorflow as tf

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tools" / "course"))

import notebooks as nbs  # noqa: E402
from dl4mir_utils.data import load, prepare  # noqa: E402

RATE, CLIP_S, BATCH = 16000, 10, 40
NETWORKS = ("multi_kernel", "cnn3x3", "cnn1d", "crnn")


class Busy:
    """Asks nvidia-smi five times a second how busy the GPU is, while a block runs."""

    def __enter__(self):
        self.shares: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()
        return self

    def _ask(self) -> None:
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not self._over.wait(0.2):
            said = subprocess.run(query, capture_output=True, text=True, check=False).stdout.split()
            self.shares += [int(said[0])] if said and said[0].isdigit() else []

    def __exit__(self, *error) -> None:
        self._over.set()
        self._thread.join()

    @property
    def mean(self) -> float:
        """In %, over the time of the block."""
        return float(np.mean(self.shares)) if self.shares else float("nan")


def prepared(folder: Path, count: int):
    """Return `count` clips of 10 s, prepared: parts of all music of mini/genre in a row."""
    mini = load("mini/genre")
    music = np.concatenate([mini.audio(name) for name in mini.frame.index])
    starts = np.random.default_rng(0).integers(len(music) - CLIP_S * RATE, size=count)
    (folder / "clips").mkdir(parents=True)
    rows = []
    for number, start in enumerate(starts):
        path = folder / "clips" / f"{number:05}.wav"
        soundfile.write(path, music[start : start + CLIP_S * RATE], RATE, subtype="PCM_16")
        rows.append((f"clips/{path.name}", mini.classes[number % 3], f"group {number % 50}", "train"))
    table = pd.DataFrame(rows, columns=["path", "label", "group", "split"])
    table.to_csv(folder / "labels.csv", index=False)
    prepare(load("folder", root=folder), folder / "prepared", progress=False)
    return load("folder", prepared=folder / "prepared")


def train(name: str, data, mixed: bool) -> tuple[float, float]:
    """Return seconds of an epoch, and how busy the GPU was, in %."""
    keras.backend.clear_session()
    keras.mixed_precision.set_global_policy("mixed_float16" if mixed else "float32")
    notebook = nbs.namespace(ROOT / "notebooks" / "05b_genre.ipynb")
    model = notebook["build"](notebook[name])
    model.compile("adam", "sparse_categorical_crossentropy")
    batches = data.to_tf("train", batch=BATCH, seconds=CLIP_S)
    model.fit(batches, epochs=1, verbose=0)  # compiles, and fills the system's memory
    started = time.perf_counter()
    with Busy() as gpu:
        model.fit(batches, epochs=2, verbose=0)
    return (time.perf_counter() - started) / 2, gpu.mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=6400)
    asked = parser.parse_args()
    if not tf.config.list_physical_devices("GPU"):
        print("TensorFlow sees no GPU here, so there is nothing to measure: see the README, NVIDIA GPU.")
        return
    with tempfile.TemporaryDirectory() as folder:
        data = prepared(Path(folder), asked.clips)
        print(
            f"{'network':<13} {'s an epoch':>10} {'busy':>6} {'half precision':>15} {'ratio':>6}   busy, goal >= 90 %"
        )
        for name in NETWORKS:
            (full_s, full_busy), (half_s, _) = train(name, data, mixed=False), train(name, data, mixed=True)
            print(
                f"{name:<13} {full_s:>10.1f} {full_busy:>5.0f}% {half_s:>13.1f} s {full_s / half_s:>6.2f}"
                f"   {'reached' if full_busy >= 90 else 'MISSED'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
