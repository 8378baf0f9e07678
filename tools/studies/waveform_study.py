"""Run notebook 09's systems for several seeds and amounts of data; write data/results/waveform_study.csv.

    .venv/bin/python tools/studies/waveform_study.py

The systems are the notebook's own: the cells tagged `model` are executed, nothing is copied. Each runs with an eighth,
a quarter, half and all of the training clips (the smaller parts are within the larger ones, drawn anew for each seed,
and the same for all systems); with all of them also augmented, and three times as long. That for tags, and for genres,
where each seed also tests another fold of artists. For tags, the losses are compared with the spectrogram front end.
The seconds are CPU seconds of training and testing.
"""

import time
from pathlib import Path

import numpy as np
from study import make_parser, run_study

import notebooks as nbs

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "data" / "results" / "waveform_study.csv"
NOTEBOOK = ROOT / "notebooks" / "09_end_to_end.ipynb"
PARTS = [0.125, 0.25, 0.5, 1.0]
BASELINE, NETWORKS = "mel statistics", ["waveform", "spectrogram"]
LOSSES = ["squared error", "mixture"]
KEYS = ["task", "system", "loss", "part", "augmented", "steps", "seed"]
SCORED = {"tags": "ROC-AUC", "genre": "accuracy"}


def planned_runs(seeds: int, steps: int) -> list[tuple[str, str, str, float, bool, int, int]]:
    """Return the keys of every run, seed by seed, the longer runs last."""
    usual, runs = "cross-entropy", []
    for seed in range(seeds):
        for task in SCORED:
            runs += [(task, BASELINE, "none", part, False, 0, seed) for part in PARTS]
            runs += [(task, system, usual, part, False, steps, seed) for part in PARTS for system in NETWORKS]
            runs += [(task, system, usual, 1.0, True, steps, seed) for system in NETWORKS]
        runs += [("tags", "spectrogram", loss, 1.0, False, steps, seed) for loss in LOSSES]
    for seed in range(seeds):
        for task in SCORED:
            long = [(system, augmented) for system in NETWORKS for augmented in (False, True)]
            runs += [(task, system, usual, 1.0, augmented, 3 * steps, seed) for system, augmented in long]
    return runs


def clips_of(task: str, part: float, seed: int):
    """Return the clip table in which only a part of the training clips is left."""
    from dl4mir_utils.data import load

    data = load(f"mini/{task}")
    if task == "genre":
        data = data.split("artist", test_fold=seed % 4)
    train = np.flatnonzero(data.frame["split"] == "train")
    chosen = np.random.default_rng(seed).permutation(train)[: round(part * len(train))]
    keep = (data.frame["split"] != "train").to_numpy()
    keep[chosen] = True
    return data.where(keep)


def do_run(run: tuple[str, str, str, float, bool, int, int]) -> list[dict]:
    """Do one run; return its line of the table."""
    import keras

    from dl4mir_utils.data import load

    keras.backend.clear_session()
    task, system, loss, part, augmented, steps, seed = run
    started = time.process_time()  # of this process alone, however busy the machine is
    notebook, clips = nbs.namespace(NOTEBOOK), clips_of(task, part, seed)
    if system == BASELINE:
        outputs = notebook["mel_baseline"](clips)
    else:
        model, _ = notebook["train"](system, clips, loss, augmented, seed, steps)
        outputs = notebook["listen"](model, clips, "test")
    if task == "tags":
        score = notebook["tag_auc"](clips, outputs, notebook["scored_tags"](load("mini/tags")))
    else:
        score = notebook["accuracy"](clips, outputs)
    line = {"clips": int((clips.frame["split"] == "train").sum()), "score": round(float(score), 4)}
    return [dict(zip(KEYS, run, strict=True)) | line | {"seconds": round(time.process_time() - started, 1)}]


def main() -> None:
    options = make_parser(__doc__).parse_args()
    steps = nbs.namespace(NOTEBOOK)["STEPS"]
    run_study(RESULTS, KEYS, planned_runs(options.seeds, steps), do_run, options.jobs)


if __name__ == "__main__":
    main()
