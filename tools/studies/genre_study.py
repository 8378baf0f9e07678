"""Run notebook 05b's systems for all splits, folds and seeds and write data/results/genre_study.csv.

    .venv/bin/python tools/studies/genre_study.py --seeds 5 --jobs 2

The systems are the notebook's own: the cells tagged `model` (baseline, networks, training) are executed, nothing is
copied.
"""

import time
from pathlib import Path

import numpy as np
from study import make_parser, run_study

import notebooks as nbs

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "data" / "results" / "genre_study.csv"
NOTEBOOK = ROOT / "notebooks" / "05b_genre.ipynb"
KEYS = ["task", "system", "split", "fold", "seed"]
BASELINE = "MFCC + SVM"
NETWORKS = ["time_cnn", "cnn3x3", "multi_kernel", "crnn", "cnn1d"]
DEFAULT_MOMENTUM = "cnn3x3 (momentum 0.99)"


def planned_runs(seeds: int, leaky_seeds: int, album_seeds: int) -> list[tuple[str, str, str, int, int]]:
    """Return (task, system, split, fold, seed) of every run, the most important first."""
    runs = [("genre", BASELINE, split, fold, 0) for split in ["artist", "track", "clip"] for fold in range(4)]
    for seed in range(seeds):
        if seed < album_seeds:
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


def do_run(run: tuple[str, str, str, int, int]) -> list[dict]:
    """Do one run; return its line of the table."""
    from sklearn.metrics import recall_score

    from dl4mir_utils.data import load

    task, system, by, fold, seed = run
    started = time.time()
    data = load(f"mini/{task}").split(by=by, test_fold=fold)
    truth = data.labels("test")
    predicted = run_baseline(data) if system == BASELINE else run_network(system, data, seed)
    recall = recall_score(truth, predicted, average="macro", zero_division=0)
    scores = {"correct": int((predicted == truth).sum()), "clips": len(truth), "macro_recall": f"{recall:.4f}"}
    return [dict(zip(KEYS, run, strict=True)) | scores | {"seconds": f"{time.time() - started:.1f}"}]


def main() -> None:
    parser = make_parser(__doc__, seeds=5)
    parser.add_argument("--leaky-seeds", type=int, default=1, help="seeds of the other two splits")
    parser.add_argument("--album-seeds", type=int, default=5, help="seeds of the album task")
    options = parser.parse_args()
    runs = planned_runs(options.seeds, options.leaky_seeds, options.album_seeds)
    run_study(RESULTS, KEYS, runs, do_run, options.jobs)


if __name__ == "__main__":
    main()
