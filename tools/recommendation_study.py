"""Run notebook 08's recommenders on all folds for several seeds and write data/results/recommendation_study.csv.

    .venv/bin/python tools/recommendation_study.py

The systems are the notebook's own: the cells tagged `model` (simulated listeners, factorisation, baselines, network,
scores) are executed, nothing is copied. A seed decides the listeners, the start of their factors, the network's weights
and the pieces that it hears. In each of four folds other artists are the new ones. A line holds the scores of one
system on one fold.

A fold's lines are stored as soon as they are there; what is there is not run again, so that a study can be interrupted,
resumed and extended. To start anew, delete the table. One run at a time, on one core.
"""

import argparse
import time
from pathlib import Path

import pandas as pd

import notebooks as nbs

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "data" / "results" / "recommendation_study.csv"
NOTEBOOK = ROOT / "notebooks" / "08_recommendation.ipynb"
FOLDS = 4


def run_fold(notebook: dict, data, seed: int, fold: int) -> dict:
    """Return the scores of every system."""
    import keras

    keras.backend.clear_session()
    clips, tracks = notebook["make_tracks"](data)
    plays = notebook["simulate"](tracks, seed)
    scores = notebook["simple_systems"](plays, tracks, notebook["track_features"](clips), fold, seed)
    new, listeners, targets = notebook["cold_start"](plays, tracks, fold, seed)
    table = notebook["with_targets"](data, clips, tracks, targets, new)
    model, _ = notebook["train"](table, seed)
    scores["network"] = notebook["judge"](listeners @ notebook["by_network"](model, table).T, plays, new)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()

    import dl4mir_utils  # noqa: F401 (quietens TensorFlow, so it comes first)
    import tensorflow as tf  # isort: skip

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from dl4mir_utils.data import load

    data, notebook = load("mini/tracker"), nbs.namespace(NOTEBOOK)
    table = pd.read_csv(RESULTS).to_dict("records") if RESULTS.exists() else []
    done = {(line["seed"], line["fold"]) for line in table}
    runs = [(seed, fold) for seed in range(options.seeds) for fold in range(FOLDS) if (seed, fold) not in done]
    print(f"{len(done)} folds are there, {len(runs)} to do", flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    for number, (seed, fold) in enumerate(runs, start=1):
        started = time.process_time()  # of this process alone, however busy the machine is
        for system, scores in run_fold(notebook, data, seed, fold).items():
            numbers = {name: round(getattr(scores, name), 4) for name in ("precision", "recall", "ndcg")}
            table.append({"system": system, "seed": seed, "fold": fold} | numbers)
        pd.DataFrame(table).sort_values(["system", "seed", "fold"]).to_csv(RESULTS, index=False, lineterminator="\n")
        print(f"{number}/{len(runs)}: {time.process_time() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
