"""Run notebook 05b's systems for all splits, folds and seeds and write data/results/genre_study.csv.

    .venv/bin/python tools/genre_study.py --seeds 5 --jobs 2

The systems are the notebook's own: the cells tagged `model` (baseline, networks, training) are executed, nothing is
copied. Each run is one line of the table, stored as soon as it is there; what is there is not run again, so that a
study can be interrupted, resumed and extended. To start anew, delete the table.
"""

import argparse
import multiprocessing
import time
from pathlib import Path

import numpy as np
import pandas as pd

import notebooks as nbs

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "data" / "results" / "genre_study.csv"
NOTEBOOK = ROOT / "notebooks" / "05b_genre.ipynb"
COLUMNS = ["task", "system", "split", "fold", "seed", "correct", "clips", "macro_recall", "seconds"]
BASELINE = "MFCC + SVM"
NETWORKS = ["time_cnn", "cnn3x3", "multi_kernel", "crnn", "cnn1d"]
DEFAULT_MOMENTUM = "cnn3x3 (momentum 0.99)"


def planned_runs(seeds: int, leaky_seeds: int) -> list[tuple[str, str, str, int, int]]:
    """Return (task, system, split, fold, seed) of every run, the most important first."""
    runs = [("genre", BASELINE, split, fold, 0) for split in ["artist", "track", "clip"] for fold in range(4)]
    for seed in range(seeds):
        if seed < leaky_seeds:
            runs += [("album", system, "track", fold, seed) for system in NETWORKS[:2] for fold in range(4)]
        for system in [*NETWORKS, DEFAULT_MOMENTUM]:
            runs += [("genre", system, "artist", fold, seed) for fold in range(4)]
            if seed < leaky_seeds and system != DEFAULT_MOMENTUM:
                runs += [("genre", system, split, fold, seed) for split in ["clip", "track"] for fold in range(4)]
    return runs


def run_baseline(data) -> np.ndarray:
    """Train the notebook's SVM on its MFCC statistics; return predicted labels of the test clips."""
    notebook = nbs.namespace(NOTEBOOK)
    features = np.array([notebook["mfcc_statistics"](data.audio(name)) for name in data.frame.index])
    labels, is_test = data.labels(), (data.frame.split == "test").to_numpy()
    return notebook["svm"]().fit(features[~is_test], labels[~is_test]).predict(features[is_test])


def run_network(system: str, data, seed: int) -> np.ndarray:
    """Train one of the notebook's networks as the notebook does; return predicted labels of the test clips."""
    import keras

    keras.utils.set_random_seed(seed)
    notebook = nbs.namespace(NOTEBOOK)
    if system == DEFAULT_MOMENTUM:
        notebook["normalise"] = lambda x: keras.layers.BatchNormalization()(x)
    model = notebook["build"](notebook[system.split()[0]], classes=len(data.classes))
    notebook["train"](model, data, seed=seed)
    return model.predict(data.to_tf("test"), verbose=0).argmax(axis=1)


def start_worker() -> None:
    """Prepare a process: one core, quiet logs."""
    import dl4mir_utils  # noqa: F401 (quietens TensorFlow, so it comes first)
    import tensorflow as tf  # isort: skip

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def do_run(run: tuple[str, str, str, int, int]) -> list:
    """Do one run; return its line of the table."""
    from sklearn.metrics import recall_score

    from dl4mir_utils.data import load

    task, system, by, fold, seed = run
    started = time.time()
    data = load(f"mini/{task}").split(by=by, test_fold=fold)
    truth = data.labels("test")
    predicted = run_baseline(data) if system == BASELINE else run_network(system, data, seed)
    recall = recall_score(truth, predicted, average="macro", zero_division=0)
    correct = int((predicted == truth).sum())
    return [*run, correct, len(truth), f"{recall:.4f}", f"{time.time() - started:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="seeds with artists apart")
    parser.add_argument("--leaky-seeds", type=int, default=1, help="seeds of the other two splits and the album task")
    parser.add_argument("--jobs", type=int, default=2, help="processes, one core each")
    options = parser.parse_args()
    table = pd.read_csv(RESULTS, dtype=str).to_numpy().tolist() if RESULTS.exists() else []
    done = {tuple(line[:5]) for line in table}
    runs = [run for run in planned_runs(options.seeds, options.leaky_seeds) if tuple(map(str, run)) not in done]
    print(f"{len(done)} runs are there, {len(runs)} to do", flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    with multiprocessing.get_context("spawn").Pool(options.jobs, start_worker) as pool:
        for number, line in enumerate(pool.imap_unordered(do_run, runs), start=1):
            table.append([str(value) for value in line])
            pd.DataFrame(sorted(table), columns=COLUMNS).to_csv(RESULTS, index=False, lineterminator="\n")
            print(f"{number}/{len(runs)}:", *line, flush=True)


if __name__ == "__main__":
    main()
