"""Run notebook 11a's networks for all folds and seeds and write data/results/own_music_study.csv.

    .venv/bin/python tools/studies/own_music_study.py --seeds 5 --jobs 2

The networks and their training are the notebook's own: the cells tagged `model` are executed, nothing is copied. One
fold tests, the next one is left for validation, two train. A line is what one run scored on one artist. The split
"artist" keeps artists apart and asks about clips; the split "slice" deals out slices at random and asks about slices.
For DeepSound 2018, artists apart, `songs` and the columns behind it count songs that are named rightly when their
slices vote; `one_slice` is what one of the slices, drawn by chance, would score.
"""

import time
from functools import lru_cache
from pathlib import Path

import numpy as np
from study import make_parser, run_study

import notebooks as nbs

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "data" / "results" / "own_music_study.csv"
NOTEBOOK = ROOT / "notebooks" / "11a_own_music.ipynb"
KEYS = ["system", "split", "fold", "seed"]
OF_2016, OF_2018, SLICES = "DeepSound 2016", "DeepSound 2018", "Despois's layers"
FOLDS = 4
VOTES = ("majority", "mean", "weighted")


def planned_runs(seeds: int) -> list[tuple[str, str, int, int]]:
    """Return (system, split, fold, seed) of every run, the most important first."""
    runs = []
    for seed in range(seeds):
        for system, split in [(OF_2016, "artist"), (OF_2018, "artist"), (OF_2018, "slice"), (SLICES, "artist")]:
            runs += [(system, split, fold, seed) for fold in range(FOLDS)]
    return runs


@lru_cache(maxsize=1)
def prepared() -> tuple[dict, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return what the notebook defines, pictures (clips, frames, bands), the clips' artists, tracks, genres, folds."""
    from dl4mir_utils.data import load

    notebook, data = nbs.namespace(NOTEBOOK), load("mini/genre")
    pictures = np.array([notebook["picture_of"](data.audio(name)) for name in data.frame.index])
    artist, track, folds = (data.frame[column].to_numpy() for column in ("group", "track", "fold_artist"))
    return notebook, pictures, artist, track, data.labels(), folds


def do_run(run: tuple[str, str, int, int]) -> list[dict]:
    """Do one run; return its lines of the table, one for each artist that was tested."""
    import keras

    system, split, fold, seed = run
    started = time.time()
    notebook, pictures, artist, track, genre, clip_folds = prepared()
    slices = notebook["slices_of"](pictures)
    clip = np.repeat(np.arange(len(pictures)), len(slices) // len(pictures))
    shuffled = np.random.default_rng(seed).permutation(len(slices)) % FOLDS
    folds = clip_folds[clip] if split == "artist" else shuffled
    is_test, is_train = folds == fold, (folds != fold) & (folds != (fold + 1) % FOLDS)
    mean, deviation = slices[is_train].mean(axis=(0, 1)), slices[is_train].std(axis=(0, 1))

    keras.utils.set_random_seed(seed)
    if system == SLICES:
        network = notebook["build_slices"]([8, 16, 32, 64], 64, slices.shape[1:])
    else:
        network = notebook["build_2016" if system == OF_2016 else "build_2018"](32)
    notebook["train"](network, (slices[is_train] - mean) / deviation, genre[clip[is_train]])

    tested = np.flatnonzero(is_test) if split == "slice" else np.unique(clip[is_test])
    asked = (slices if split == "slice" or system == SLICES else pictures)[is_test if system == SLICES else tested]
    answers = network((asked - mean) / deviation).numpy()
    if system == SLICES:  # its slices' mean is the answer to a clip
        answers = answers.reshape(len(tested), -1, answers.shape[1]).mean(axis=1)
    clips = clip[tested] if split == "slice" else tested
    right = answers.argmax(axis=1) == genre[clips]
    songs = {}
    if system == OF_2018 and split == "artist":
        by_slice = network((slices[is_test] - mean) / deviation).numpy()
        songs = song_votes(by_slice, track[clip[is_test]], artist[clip[is_test]], genre[clip[is_test]])
    lines = []
    for name in np.unique(artist[clips]):
        own = artist[clips] == name
        scores = {"correct": int(right[own].sum()), "examples": int(own.sum())}
        scores["confidence"] = f"{answers[own].max(axis=1).mean():.4f}"
        seconds = f"{time.time() - started:.1f}"
        counted = songs.get(name, dict.fromkeys(["songs", "one_slice", *VOTES], ""))
        lines.append(dict(zip(KEYS, run, strict=True)) | {"artist": name} | scores | counted | {"seconds": seconds})
    return lines


def song_votes(answers: np.ndarray, tracks: np.ndarray, artists: np.ndarray, genres: np.ndarray) -> dict[str, dict]:
    """Return for each artist the number of songs, and how many of them each vote over their slices names rightly."""
    from dl4mir_utils.apps.genre import vote

    counts: dict[str, dict] = {}
    for song in np.unique(tracks):
        own = tracks == song
        by_slice, truth = answers[own], genres[own][0]
        count = counts.setdefault(artists[own][0], dict.fromkeys(["songs", "one_slice", *VOTES], 0))
        count["songs"] += 1
        count["one_slice"] = round(count["one_slice"] + float(np.mean(by_slice.argmax(axis=1) == truth)), 4)
        for how in VOTES:
            count[how] += int(vote(by_slice, how).argmax() == truth)
    return counts


def main() -> None:
    options = make_parser(__doc__, seeds=5).parse_args()
    run_study(RESULTS, KEYS, planned_runs(options.seeds), do_run, options.jobs, sort=[*KEYS, "artist"])


if __name__ == "__main__":
    main()
