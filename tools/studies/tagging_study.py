"""Run notebook 06's systems for several seeds and write data/results/tagging_study.csv.

    .venv/bin/python tools/studies/tagging_study.py

The systems are the notebook's own: the cells tagged `model` (baselines, networks, losses, training, scores) are
executed, nothing is copied. The two baselines run once, `compact_cnn` with each loss and with five seeds, the two
larger networks with cross-entropy and three seeds. For each run there are two lines, its scores on the validation and
on the test clips; what was chosen, was chosen by the first.
"""

import time
from functools import cache
from pathlib import Path

from study import make_parser, run_study

import notebooks as nbs

ROOT = Path(__file__).resolve().parents[2]
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


@cache
def decoded_clips():
    """Return the clips, decoded, so that the first run is timed like the others."""
    from dl4mir_utils.data import load

    data = load("mini/tags")
    data.to_tf(sample_rate=12000)
    return data


def do_run(run: tuple[str, str, int]) -> list[dict]:
    """Do one run; return its lines of the table, one for each part of the clips."""
    import keras

    keras.backend.clear_session()
    system, loss, seed = run
    data, notebook = decoded_clips(), nbs.namespace(NOTEBOOK)
    started = time.process_time()  # of this process alone, however busy the machine is
    if system == "tag frequency":
        outputs = {part: notebook["frequencies"](data, part) for part in PARTS}
    elif system == "MFCC + logistic":
        outputs = notebook["mfcc_baseline"](data)
    else:
        model, _ = notebook["train"](system, data, loss, seed)
        outputs = {part: notebook["listen"](model, data, part) for part in PARTS}
    scores = {part: notebook["judge"](data, outputs[part], part)[0] for part in PARTS}
    seconds = round(time.process_time() - started, 1)
    return [
        {"system": system, "loss": loss, "seed": seed, "part": part}
        | {name: round(float(value), 4) for name, value in scores[part].items()}
        | {"seconds": seconds}
        for part in PARTS
    ]


def main() -> None:
    parser = make_parser(__doc__, seeds=5)
    parser.add_argument("--large-seeds", type=int, default=3, help="seeds of the two larger networks")
    options = parser.parse_args()
    runs = planned_runs(options.seeds, options.large_seeds)
    sort = ["part", "system", "loss", "seed"]
    run_study(RESULTS, ["system", "loss", "seed"], runs, do_run, options.jobs, sort=sort)


if __name__ == "__main__":
    main()
