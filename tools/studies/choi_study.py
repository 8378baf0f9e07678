"""Repeat the experiments of Choi et al. (2017) on their own features, then honestly; write data/results/choi_study.csv.

    .venv/bin/python tools/studies/choi_study.py [TASK ...]

The features are fetched, `dl4mir data info choi_transfer` says what they are. Six protocols:

paper       the best mean of a grid search, as the paper reports it: folds as its code makes them (ten, not shuffled;
            UrbanSound8K's own), on Jamendo the grid is searched on the test songs.
shuffled    the same with shuffled folds (GTZAN; mean of three shuffles).
nested      ten folds too, but the setting is chosen on the training part of each fold alone.
held out    the split that keeps artists or songs apart: everything is chosen on the validation part, then training and
            validation together train, and the test part judges once.
train only  the same, but the training part alone trains (GTZAN).
random      the same as "held out", but the three parts are drawn by chance from the same clips, so that artists are on
            both sides (GTZAN; mean of ten draws).

"any" in the column `features` means that the layers were chosen as well. The grids are the paper's; for three tasks
they are thinned, as `grids` says, for time. What has been computed, is read from the user's cache folder.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, StratifiedKFold

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "data" / "results" / "choi_study.csv"
TASKS = ["gtzan_speechmusic", "gtzan_genre", "arousal", "valence", "jamendo_vd", "ballroom_extended", "urbansound"]
ALL = "01234"


def grids() -> dict[str, list]:
    """Return the settings for each task, those of the paper by default."""
    from dl4mir_utils.transfer import PAPER_GRID, Setting

    # A linear regression takes minutes where an error costs much, or where features are large, and is no better.
    regression = [s for s in PAPER_GRID if s.gamma is not None or (s.scaled and s.c < 1)]
    # The large tasks get three settings, or one. On GTZAN that would cost all five layers 0.014, or 0.025.
    few = [Setting(True, 8.0, gamma) for gamma in (0.0, 0.5**7, 0.5**9)]
    return dict.fromkeys(TASKS, PAPER_GRID) | {
        "arousal": regression,
        "valence": regression,
        "jamendo_vd": [s for s in regression if s.scaled],
        "ballroom_extended": few,
        "urbansound": few[:1],
    }


def load_task(task: str):
    """Return features by name ("0", "01", ..., "mfcc", "mfcc+01234"), labels, and the published split."""
    from dl4mir_utils.data import load
    from dl4mir_utils.transfer import combinations

    column = {"arousal": 0, "valence": 1}.get(task)
    data = load(f"choi_transfer/{'emoMusic' if column is not None else task}")
    features = combinations(data.features)
    if data.mfcc is not None:
        features["mfcc"] = data.mfcc.astype(np.float32)
        features["mfcc+01234"] = np.concatenate([features["mfcc"], features[ALL]], axis=1)
    return features, data.labels if column is None else data.labels[:, column], data.split


def paper_folds(task: str, labels: np.ndarray, split: np.ndarray, seed: int | None = None) -> list:
    if task == "jamendo_vd":
        return [(np.flatnonzero(split != "test"), np.flatnonzero(split == "test"))]
    if task == "urbansound":
        return [(np.flatnonzero(split != fold), np.flatnonzero(split == fold)) for fold in np.unique(split)]
    shuffled = {} if seed is None else {"shuffle": True, "random_state": seed}
    splitter = (KFold if task in ("arousal", "valence") else StratifiedKFold)(10, **shuffled)
    return list(splitter.split(labels, labels))


def inner_folds(task: str, labels: np.ndarray):
    """Return the function that splits a fold's training rows: in three parts, each tested, of Ballroom one."""

    def inner(rows: np.ndarray) -> list:
        splitter = (KFold if task in ("arousal", "valence") else StratifiedKFold)(3)
        folds = list(splitter.split(labels[rows], labels[rows]))
        return folds[:1] if task == "ballroom_extended" else folds

    return inner


def held_out(candidates, labels, split, grid, train_only: bool = False) -> tuple[float, str]:
    """Choose on the validation part; train on training and validation part; return the test part's score."""
    from dl4mir_utils.transfer import best, grid_scores

    train, valid, test = (np.flatnonzero(split == part) for part in ("train", "valid", "test"))
    name, setting = best(grid_scores(candidates, labels, [(train, valid)], grid))
    fit = train if train_only else np.concatenate([train, valid])
    scores = grid_scores({name: candidates[name]}, labels, [(fit, test)], [grid[setting]])
    return scores[name].item(), name


def random_parts(split: np.ndarray, seed: int) -> np.ndarray:
    """Return a split with parts as large as the given one's, drawn by chance from the clips that have a part."""
    drawn, rows = split.copy(), np.flatnonzero(split != "")
    drawn[rows] = np.random.default_rng(seed).permutation(split[rows])
    return drawn


def lines(task: str):
    """Yield the table's lines for one task, the most important first; what they cost is cached."""
    from dl4mir_utils.transfer import best, grid_scores, nested_scores

    features, labels, split = load_task(task)
    grid = grids()[task]
    layers = {name: x for name, x in features.items() if "mfcc" not in name}
    folds = paper_folds(task, labels, split)
    metric = "r2" if task in ("arousal", "valence") else "accuracy"

    def line(name: str, protocol: str, score: float, chosen: str = "") -> dict:
        return {
            "task": task, "features": name, "protocol": protocol, "metric": metric, "score": round(score, 4),
            "chosen": chosen or name,
        }  # fmt: skip

    sets = {name: {name: features[name]} for name in (ALL, "mfcc", "mfcc+01234") if name in features}
    for name, only in sets.items():
        yield line(name, "paper", grid_scores(only, labels, folds, grid, 1)[name].mean(axis=1).max())
    for name, only in (sets | {"any": layers}).items():
        if task in ("gtzan_genre", "jamendo_vd"):
            yield line(name, "held out", *held_out(only, labels, split, grid))
    if task == "gtzan_genre":
        for name in sets:
            best_scores = [
                grid_scores(sets[name], labels, paper_folds(task, labels, split, seed), grid, 1)[name]
                .mean(axis=1)
                .max()
                for seed in range(3)
            ]
            yield line(name, "shuffled", float(np.mean(best_scores)))
            yield line(name, "train only", *held_out(sets[name], labels, split, grid, train_only=True))
            drawn = [held_out(sets[name], labels, random_parts(split, seed), grid)[0] for seed in range(10)]
            yield line(name, "random", float(np.mean(drawn)))
    if task not in ("jamendo_vd", "urbansound"):  # one split; one setting: nothing to choose
        inner = inner_folds(task, labels)
        for name, only in sets.items():
            yield line(name, "nested", nested_scores(only, labels, folds, inner, grid, 1).mean())
    scores = grid_scores(layers, labels, folds, grid, 1)
    for name, table in scores.items():
        if name != ALL:
            yield line(name, "paper", table.mean(axis=1).max())
    yield line("any", "paper", scores[best(scores)[0]].mean(axis=1).max(), best(scores)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=TASKS, help=", ".join(TASKS))
    options = parser.parse_args()
    table = pd.read_csv(RESULTS, dtype=str).to_dict("records") if RESULTS.exists() else []
    for task in options.tasks:
        for line in lines(task):
            table = [
                other
                for other in table
                if (other["task"], other["features"], other["protocol"]) != tuple(line.values())[:3]
            ]
            table.append(line)
            frame = pd.DataFrame(table).sort_values(["task", "protocol", "features"])
            frame.to_csv(RESULTS, index=False, lineterminator="\n")
            print(*line.values(), flush=True)


if __name__ == "__main__":
    main()
