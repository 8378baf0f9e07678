"""Run notebook 07's ways to use few labels, for all folds and several seeds; write data/results/transfer_study.csv.

    .venv/bin/python tools/studies/transfer_study.py

The ways are the notebook's own: its cells tagged `model` (drawing few clips, the probe, fine-tuning) are executed,
nothing is copied; what learns from scratch is notebook 05b's `time_cnn`, trained as there, for as many steps as there.
Runs of one seed and fold learn from the same clips, and those of a smaller size are among those of a larger one.

Each process keeps what the pretrained front end says of the clips, which takes it minutes at first.
"""

import math
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from study import make_parser, run_study

import notebooks as nbs

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "data" / "results" / "transfer_study.csv"
NOTEBOOK = ROOT / "notebooks" / "07_transfer.ipynb"
GENRE_NOTEBOOK = ROOT / "notebooks" / "05b_genre.ipynb"
KEYS = ["system", "size", "fold", "seed"]
FOLDS = range(4)
SCRATCH_STEPS = 225  # about 15 epochs of all clips, as in notebook 05b
UPPER_STEPS, ALL_STEPS = 100, 20
ALL_SIZE, ALL_SEEDS = 20, 1  # fine-tuning the front end too costs minutes a run: for one size, with one seed
MFCC, MFCC_PROBE, UNTRAINED, PROBE, UPPER, ALL, SCRATCH = (
    "MFCC + SVM",
    "probe of MFCC",
    "probe of an untrained musicnn",
    "probe",
    "fine-tuning above the front end",
    "fine-tuning everything",
    "from scratch",
)


def planned_runs(seeds: int, sizes: list[int]) -> list[tuple[str, int, int, int]]:
    """Return (system, size, fold, seed) of every run, the most important first."""
    systems = [MFCC, MFCC_PROBE, PROBE, SCRATCH, UPPER, UNTRAINED]
    runs = [
        (system, size, fold, seed) for system in systems for seed in range(seeds) for fold in FOLDS for size in sizes
    ]
    return runs + [(ALL, ALL_SIZE, fold, seed) for seed in range(ALL_SEEDS) for fold in FOLDS]


class Inputs:
    """What the runs share: the clips, their features, and the outputs of the pretrained front end."""

    def __init__(self) -> None:
        from dl4mir_utils.data import load
        from dl4mir_utils.features import clip_features

        self.notebook, self.genre_notebook = nbs.namespace(NOTEBOOK), nbs.namespace(GENRE_NOTEBOOK)
        self.data = load("mini/genre")
        self.labels = self.data.labels()
        features, self.mfcc = clip_features(self.data.frame.index)
        self.embedding = features[4]

    @cache  # noqa: B019 (there is one of them)
    def fronts(self) -> np.ndarray:
        """Return what the pretrained front end says of each clip: float16 (clips, 3, frames, 561)."""
        front, _ = self.notebook["cut"](self.notebook["musicnn"]("msd"))
        rows = range(len(self.data))
        return np.stack(
            [front.predict(self.notebook["three_windows"](self.data, [r]), verbose=0).astype(np.float16) for r in rows]
        )

    @cache  # noqa: B019
    def untrained(self, seed: int) -> np.ndarray:
        """Return embeddings by a musicnn of random weights: (clips, 200)."""
        import keras

        from dl4mir_utils.features import layer_means
        from dl4mir_utils.models.musicnn import build_tagger, musicnn_tags

        keras.utils.set_random_seed(seed)
        model = build_tagger(musicnn_tags, "musicnn", None)
        return layer_means([self.data.audio(name) for name in self.data.frame.index], model)[4]

    def run(self, system: str, size: int, fold: int, seed: int) -> tuple[int, int]:
        """Return how many clips of the test fold are right, and how many there are."""
        import keras
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        few_clips, probe = self.notebook["few_clips"], self.notebook["probe"]
        train, test = few_clips(self.data, size, fold, seed)
        labels, truth = self.labels[train], self.labels[test]
        if system == SCRATCH:
            return self.scratch(train, test, seed), len(test)
        if system in (MFCC, MFCC_PROBE, PROBE, UNTRAINED):
            inputs = {MFCC: self.mfcc, MFCC_PROBE: self.mfcc, PROBE: self.embedding}.get(system)
            inputs = self.untrained(seed) if inputs is None else inputs
            model = {
                MFCC: self.genre_notebook["svm"],
                PROBE: lambda: probe(inputs[train], labels),
            }.get(system, lambda: make_pipeline(StandardScaler(), probe(inputs[train], labels)))()
            if system != PROBE:
                model.fit(inputs[train], labels)
            return int((model.predict(inputs[test]) == truth).sum()), len(test)
        body, start = self.notebook["musicnn"]("msd"), probe(self.embedding[train], labels)
        if system == UPPER:
            _, body = self.notebook["cut"](body)
            windows = [self.fronts()[rows].reshape(-1, *self.fronts().shape[2:]) for rows in (train, test)]
            windows, options = [some.astype(np.float32) for some in windows], {"steps": UPPER_STEPS}
        else:
            body = keras.Model(body.input, body.get_layer("penultimate").output)
            windows = [self.notebook["three_windows"](self.data, rows) for rows in (train, test)]
            options = {"steps": ALL_STEPS, "batch": 4}
        model = self.notebook["with_head"](body, start)
        self.notebook["fine_tune"](model, windows[0], labels, **options)
        return int(self.notebook["right"](model, windows[1], truth)), len(test)

    def scratch(self, train: np.ndarray, test: np.ndarray, seed: int) -> int:
        """Train notebook 05b's `time_cnn` on a few clips; return how many test clips are right."""
        split = pd.Series("", self.data.frame.index)
        split.iloc[train], split.iloc[test] = "train", "test"
        data = replace(self.data, frame=self.data.frame.assign(split=split))
        model = self.genre_notebook["build"](self.genre_notebook["time_cnn"])
        epochs = math.ceil(SCRATCH_STEPS / math.ceil(len(train) / 16))
        self.genre_notebook["train"](model, data, epochs=epochs, seed=seed)
        answers = model.predict(data.to_tf("test", batch=4), verbose=0).argmax(axis=1)
        return int((answers == data.labels("test")).sum())


@cache
def inputs() -> Inputs:
    """Return what the runs share, one for each process."""
    return Inputs()


def do_run(run: tuple[str, int, int, int]) -> list[dict]:
    """Do one run; return its line of the table."""
    inputs()
    started = time.process_time()  # of this process alone, however busy the machine is
    correct, clips = inputs().run(*run)
    seconds = round(time.process_time() - started, 1)
    return [dict(zip(KEYS, run, strict=True)) | {"correct": correct, "clips": clips, "seconds": seconds}]


def main() -> None:
    options = make_parser(__doc__).parse_args()
    sizes = nbs.namespace(NOTEBOOK)["SIZES"]
    run_study(RESULTS, KEYS, planned_runs(options.seeds, sizes), do_run, options.jobs)


if __name__ == "__main__":
    main()
