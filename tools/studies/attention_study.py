"""Run notebook 10's systems for several seeds and write data/results/attention_study.csv.

    .venv/bin/python tools/studies/attention_study.py --seeds 3

The systems are the notebook's own: the cells tagged `model` (the memory game, networks, training) are executed, nothing
is copied. Four tasks: the memory game with two lengths of pause (each seed holds out three other instruments), singing
(voices apart) and genre (four folds, artists apart), each with a short and a long training, and genre from patches by a
transformer with and without pretraining.

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

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "data" / "results" / "attention_study.csv"
NOTEBOOK = ROOT / "notebooks" / "10_attention.ipynb"
KEYS = ["task", "system", "fold", "seed"]
ALL = ["plain", "dilated", "gru", "bi_gru", "gaussian", "embedded gaussian", "dot product", "concatenation"]
NEAR = ["gru", "embedded gaussian"]
NO_CLOCK = "gaussian (no clock)"
WITH_POSITION = "embedded gaussian, position"
REAL = ["nothing", "plain", "dilated", "gru", "bi_gru", "embedded gaussian", WITH_POSITION]
LONG = ["nothing", "gru", "embedded gaussian", WITH_POSITION]
GENRE_EPOCHS = {"genre": 8, "genre, 24 epochs": 24}
SINGING_EPOCHS = {"singing": 2, "singing, 8 epochs": 8}
PATCHES = ["transformer", "transformer, pretrained"]
FOLDS = range(4)
PAUSES = {"game, pause 0.5 s": 0.5, "game, pause 3 s": 3.0}
FAR_PAUSE_S = 9.0
SCORES = ["score", "far_score", "train_score"]


def planned_runs(seeds: int) -> list[tuple[str, str, int, int]]:
    """Return (task, system, fold, seed) of every run, the most important first."""
    runs = [("game, pause 3 s", system, 0, seed) for seed in range(seeds) for system in [*ALL, NO_CLOCK]]
    runs += [(task, system, 0, seed) for seed in range(seeds) for task in SINGING_EPOCHS for system in REAL]
    runs += [("genre", system, fold, seed) for seed in range(seeds) for fold in FOLDS for system in REAL]
    runs += [("game, pause 0.5 s", system, 0, seed) for seed in range(seeds) for system in NEAR]
    patches = [(fold, system) for fold in FOLDS for system in PATCHES]
    runs += [("genre from patches", system, fold, seed) for seed in range(seeds) for fold, system in patches]
    longer = [(fold, system) for fold in FOLDS for system in LONG]
    return runs + [("genre, 24 epochs", system, fold, seed) for seed in range(seeds) for fold, system in longer]


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
    accuracy = notebook()["accuracy"]
    return model, {"score": accuracy(model, *test), "far_score": accuracy(model, *far)}, test[1].size


@lru_cache(1)
def genre_pictures():
    """Return the clips of mini/genre and their log-mel pictures."""
    data = load("mini/genre")
    return data, notebook()["pictures_of"](data)


def run_genre(system: str, fold: int, seed: int, epochs: int) -> tuple:
    """Train on three folds, test on whole clips of the fourth; return model, accuracy and number of clips."""
    data, pictures = genre_pictures()
    is_test, labels = (data.frame.fold_artist == fold).to_numpy(), data.labels()
    model = notebook()["train_genre"](system, pictures[~is_test], labels[~is_test], seed, epochs)
    answers = model.predict(pictures[is_test], verbose=0).argmax(axis=1)
    return model, {"score": np.mean(answers == labels[is_test])}, len(answers)


@lru_cache(1)
def singing_pictures(seed: int) -> tuple:
    """Return pictures and labels of mixes to train on, and of mixes of other voices and other music to test on."""
    mixes, pictures = load("mini/singing"), notebook()["singing_pictures"]
    return pictures(mixes, "train", 1600, 5.12, seed), pictures(mixes, "test", 96, 9.984)


def run_singing(system: str, seed: int, epochs: int) -> tuple:
    """Train and test on mixes; return model, AUC (on the training mixes, too) and number of test mixes."""
    train, test = singing_pictures(seed)
    model = notebook()["train_singing"](system, *train, seed, epochs)
    auc = notebook()["singing_auc"]
    return model, {"score": auc(model, *test), "train_score": auc(model, *train)}, len(test[0])


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
    return model, {"score": np.mean(answers == data.labels("test"))}, len(answers)


def do_run(run: tuple[str, str, int, int]) -> list[dict]:
    """Do one run; return its line of the table."""
    keras.backend.clear_session()
    task, system, fold, seed = run
    data = dict.fromkeys(GENRE_EPOCHS, genre_pictures) | {"genre from patches": all_patches}
    data |= dict.fromkeys(SINGING_EPOCHS, lambda: singing_pictures(seed))
    data.get(task, lambda: dealt_rounds(task, seed))()  # kept for the next run, and not counted in its seconds
    started = time.process_time()
    if task in PAUSES:
        model, found, examples = run_game(task, system, seed)
    elif task in GENRE_EPOCHS:
        model, found, examples = run_genre(system, fold, seed, GENRE_EPOCHS[task])
    elif task in SINGING_EPOCHS:
        model, found, examples = run_singing(system, seed, SINGING_EPOCHS[task])
    else:
        model, found, examples = run_patches(system, fold, seed)
    scores = {name: f"{found[name]:.4f}" if name in found else "" for name in SCORES}
    seconds = f"{time.process_time() - started:.1f}"
    line = {"weights": model.count_params()} | scores | {"examples": examples, "seconds": seconds}
    return [dict(zip(KEYS, run, strict=True)) | line]


def main() -> None:
    options = make_parser(__doc__).parse_args()
    run_study(RESULTS, KEYS, planned_runs(options.seeds), do_run, options.jobs)


if __name__ == "__main__":
    main()
