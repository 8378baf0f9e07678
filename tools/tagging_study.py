"""Run notebook 06's systems for several seeds and write data/results/tagging_study.csv.

    .venv/bin/python tools/tagging_study.py

The systems are the notebook's own: the cells tagged `model` (baselines, networks, losses, training, scores) are
executed, nothing is copied. The two baselines run once, `compact_cnn` with each loss and with five seeds, the two
larger networks with cross-entropy and three seeds. For each run there are two lines, its scores on the validation and
on the test clips; what was chosen, was chosen by the first.

A run's lines are stored as soon as they are there; what is there is not run again, so that a study can be interrupted,
resumed and extended. To start anew, delete the table. One run at a time, on one core.
"""

import argparse
import time
from pathlib import Path

import pandas as pd

import notebooks as nbs

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "data" / "results" / "tagging_study.csv"
NOTEBOOK = ROOT / "notebooks" / "06_tagging.ipynb"
BASELINES = ["tag frequency", "MFCC + logistic"]
SMALL, LARGE = "compact_cnn", ["MusicTaggerCNN", "MusicTaggerCRNN"]
LOSSES = ["cross-entropy", "squared error", "mixture"]
PARTS = ["valid", "test"]


def planned_runs(seeds: int, large_seeds: int) -> list[tuple[str, str, int]]:
    """Return (system, loss, seed) of every run, the most important first."""
    small = [(SMALL, loss, seed) for seed in range(seeds) for loss in LOSSES]
    large = [(system, "cross-entropy", seed) for seed in range(large_seeds) for system in LARGE]
    first = large_seeds * len(LOSSES)  # the same seeds for all networks, then more for the losses
    return [(system, "none", 0) for system in BASELINES] + small[:first] + large + small[first:]


def do_run(run: tuple[str, str, int], data) -> dict[str, dict]:
    """Do one run; return its scores for each part of the clips."""
    import keras

    keras.backend.clear_session()
    system, loss, seed = run
    notebook = nbs.namespace(NOTEBOOK)
    if system == "tag frequency":
        outputs = {part: notebook["frequencies"](data, part) for part in PARTS}
    elif system == "MFCC + logistic":
        outputs = notebook["mfcc_baseline"](data)
    else:
        model, _ = notebook["train"](system, data, loss, seed)
        outputs = {part: notebook["listen"](model, data, part) for part in PARTS}
    return {part: notebook["judge"](data, outputs[part], part)[0] for part in PARTS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="seeds of compact_cnn, for each loss")
    parser.add_argument("--large-seeds", type=int, default=3, help="seeds of the two larger networks")
    options = parser.parse_args()

    import dl4mir_utils  # noqa: F401 (quietens TensorFlow, so it comes first)
    import tensorflow as tf  # isort: skip

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from dl4mir_utils.data import load

    data = load("mini/tags")
    data.to_tf(sample_rate=12000)  # decodes, so that the first run is timed like the others
    table = pd.read_csv(RESULTS).to_dict("records") if RESULTS.exists() else []
    done = {(line["system"], line["loss"], line["seed"]) for line in table}
    runs = [run for run in planned_runs(options.seeds, options.large_seeds) if run not in done]
    print(f"{len(done)} runs are there, {len(runs)} to do", flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    for number, run in enumerate(runs, start=1):
        started = time.process_time()  # of this process alone, however busy the machine is
        scores = do_run(run, data)
        seconds = round(time.process_time() - started, 1)
        for part in PARTS:
            line = dict(zip(["system", "loss", "seed"], run, strict=True)) | {"part": part}
            numbers = {name: round(float(value), 4) for name, value in scores[part].items()}
            table.append(line | numbers | {"seconds": seconds})
        sort = ["part", "system", "loss", "seed"]
        pd.DataFrame(table).sort_values(sort).to_csv(RESULTS, index=False, lineterminator="\n")
        print(f"{number}/{len(runs)}:", *table[-1].values(), flush=True)


if __name__ == "__main__":
    main()
