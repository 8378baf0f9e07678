"""Run notebook 10's systems for several seeds and write data/results/attention_study.csv.

    .venv/bin/python tools/attention_study.py --seeds 3

The systems are the notebook's own: the cells tagged `model` (the memory game, networks, training) are executed, nothing
is copied. Four tasks: the memory game with two lengths of pause (each seed holds out three other instruments), singing
(voices apart), genre (four folds, artists apart), and genre from patches by a transformer with and without pretraining.

The seconds are CPU seconds of training and testing.
"""

import time
from functools import lru_cache
from pathlib import Path

import dl4mir_utils  # noqa: F401 (quietens TensorFlow, so it comes first)

import keras  # isort: skip
import numpy as np
from study import make_parser, run_study

import notebooks as nbs
from dl4mir_utils.data import load

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "data" / "results" / "attention_study.csv"
NOTEBOOK = ROOT / "notebooks" / "10_attention.ipynb"
KEYS = ["task", "system", "fold", "seed"]
ALL = ["plain", "dilated", "gru", "bi_gru", "gaussian", "embedded gaussian", "dot product", "concatenation"]
NEAR = ["gru", "embedded gaussian"]
NO_CLOCK = "gaussian (no clock)"
REAL = ["nothing", "plain", "dilated", "gru", "bi_gru", "embedded gaussian"]
PATCHES = ["transformer", "transformer, pretrained"]
FOLDS = range(4)
PAUSES = {"game, pause 0.5 s": 0.5, "game, pause 3 s": 3.0}
FAR_PAUSE_S = 9.0


def planned_runs(seeds: int) -> list[tuple[str, str, int, int]]:
    """Return (task, system, fold, seed) of every run, the most important first."""
    runs = [("game, pause 3 s", system, 0, seed) for seed in range(seeds) for system in [*ALL, NO_CLOCK]]
    runs += [("singing", system, 0, seed) for seed in range(seeds) for system in REAL]
    runs += [("genre", system, fold, seed) for seed in range(seeds) for fold in FOLDS for system in REAL]
    runs += [("game, pause 0.5 s", system, 0, seed) for seed in range(seeds) for system in NEAR]
    patches = [(fold, system) for fold in FOLDS for system in PATCHES]
    return runs + [("genre from patches", system, fold, seed) for seed in range(seeds) for fold, system in patches]


@lru_cache(1)
def notebook() -> dict:
    """Return what the notebook's cells define."""
    return nbs.namespace(NOTEBOOK)


@lru_cache(1)
def dealt_rounds(task: str, seed: int) -> tuple:
    """Return rounds of the memory game to train on, to test on, and to test on with the longest pause."""
    train, test, _ = notebook()["deal"](load("mini/notes"), seed)
    rounds, pause_s = notebook()["rounds"], PAUSES[task]
    return (
        rounds(train, 2000, pause_s, seed),
        rounds(test, 500, pause_s, seed + 100),
        rounds(test, 500, FAR_PAUSE_S, seed + 200),
    )


def run_game(task: str, system: str, seed: int) -> tuple:
    """Train on one part of the instruments, test on the others; return model, scores and number of answers."""
    train, test, far = dealt_rounds(task, seed)
    context, clock = system.removesuffix(" (no clock)"), not system.endswith("(no clock)")
    model, _ = notebook()["train_game"](context, *train, seed=seed, clock=clock)
    return model, notebook()["accuracy"](model, *test), notebook()["accuracy"](model, *far), test[1].size


@lru_cache(1)
def genre_pictures():
    """Return the clips of mini/genre and their log-mel pictures."""
    data = load("mini/genre")
    return data, notebook()["pictures_of"](data)


def run_genre(system: str, fold: int, seed: int) -> tuple:
    """Train on three folds, test on whole clips of the fourth; return model, accuracy and number of clips."""
    data, pictures = genre_pictures()
    is_test, labels = (data.frame.fold_artist == fold).to_numpy(), data.labels()
    model = notebook()["train_genre"](system, pictures[~is_test], labels[~is_test], seed)
    answers = model.predict(pictures[is_test], verbose=0).argmax(axis=1)
    return model, np.mean(answers == labels[is_test]), None, len(answers)


@lru_cache(1)
def singing_pictures(seed: int) -> tuple:
    """Return pictures and labels of mixes to train on, and of mixes of other voices and other music to test on."""
    mixes, pictures = load("mini/singing"), notebook()["singing_pictures"]
    return pictures(mixes, "train", 1600, 5.12, seed), pictures(mixes, "test", 96, 9.984)


def run_singing(system: str, seed: int) -> tuple:
    """Train and test on mixes; return model, AUC and number of mixes."""
    train, test = singing_pictures(seed)
    model = notebook()["train_singing"](system, *train, seed)
    return model, notebook()["singing_auc"](model, *test), None, len(test[0])


@lru_cache(1)
def all_patches():
    """Return the table of all clips of mini/tags, which hold those of mini/genre, and their patches."""
    clips = load("mini/tags")
    return clips.frame, notebook()["patches"](clips)


def run_patches(system: str, fold: int, seed: int) -> tuple:
    """Train a transformer on three folds; if pretrained, before that on all clips but those of the test groups."""
    data = load("mini/genre").split(by="artist", test_fold=fold)
    clips, cut = all_patches()
    keras.utils.set_random_seed(seed)
    encoder = notebook()["transformer"]()
    if system.endswith("pretrained"):
        unheard = clips.group.isin(data.frame.group[data.frame.split == "test"]).to_numpy()
        notebook()["pretrain"](encoder, cut[~unheard], seed)
    parts = [cut[clips.index.get_indexer(data.frame.index[data.frame.split == part])] for part in ["train", "test"]]
    model = notebook()["classify"](encoder, parts[0], data.labels("train"), seed)
    answers = model.predict(parts[1], verbose=0).argmax(axis=1)
    return model, np.mean(answers == data.labels("test")), None, len(answers)


def do_run(run: tuple[str, str, int, int]) -> list[dict]:
    """Do one run; return its line of the table."""
    keras.backend.clear_session()
    task, system, fold, seed = run
    data = {"genre": genre_pictures, "singing": lambda: singing_pictures(seed), "genre from patches": all_patches}
    data.get(task, lambda: dealt_rounds(task, seed))()  # kept for the next run, and not counted in its seconds
    started = time.process_time()
    if task in PAUSES:
        model, score, far_score, examples = run_game(task, system, seed)
    elif task == "genre":
        model, score, far_score, examples = run_genre(system, fold, seed)
    elif task == "singing":
        model, score, far_score, examples = run_singing(system, seed)
    else:
        model, score, far_score, examples = run_patches(system, fold, seed)
    scores = {"score": f"{score:.4f}", "far_score": "" if far_score is None else f"{far_score:.4f}"}
    seconds = f"{time.process_time() - started:.1f}"
    line = {"weights": model.count_params()} | scores | {"examples": examples, "seconds": seconds}
    return [dict(zip(KEYS, run, strict=True)) | line]


def main() -> None:
    options = make_parser(__doc__).parse_args()
    run_study(RESULTS, KEYS, planned_runs(options.seeds), do_run, options.jobs)


if __name__ == "__main__":
    main()
