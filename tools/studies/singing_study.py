"""Run notebook 05a's systems for several seeds and write data/results/singing_study.csv.

    .venv/bin/python tools/studies/singing_study.py --seeds 3 --jobs 2

The systems are the notebook's own: the cells tagged `model` (baselines, networks, training, choice of threshold) are
executed, nothing is copied. Each system is trained on mixes, and its threshold and median filter are chosen on the
validation mixes. It is tested on the test mixes and, where `ultrastar_cc` has been fetched, on its real songs. Some
networks are then tuned on real songs: on those of Jonathan Coulton to be tested on the others, and the other way round.
"""

import math
from functools import cache
from pathlib import Path

import numpy as np
from study import make_parser, run_study

import notebooks as nbs

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "data" / "results" / "singing_study.csv"
NOTEBOOK = ROOT / "notebooks" / "05a_singing.ipynb"
BASELINES = ["always sing", "loudness", "MFCC + forest"]
NETWORKS = ["lstm_bi", "schlueter", "crnn", "lstm", "leglaive"]
KEPT = "schlueter (means kept)"  # without taking each band's mean away
TUNED = ["schlueter", "lstm_bi"]
DETECTOR = "pretrained detector"
REAL = "ultrastar_cc"
KNOWN_ARTIST = "Jonathan Coulton"  # of 12 of the 17 real songs
VALID_MIXES, TEST_MIXES = 64, 128


def planned_runs(seeds: int) -> list[tuple[str, int]]:
    """Return (system, seed) of every run; what has no random start runs once, as does what is shown as a warning."""
    there = (ROOT / "data" / "pretrained" / "singing_detector.npz").exists()
    once = [(system, 0) for system in [*BASELINES[:2], *([DETECTOR] if there else [])]]
    return once + [(system, seed) for seed in range(seeds) for system in [BASELINES[2], *NETWORKS]] + [(KEPT, 0)]


@cache
def made_songs():
    """Return the mixes, whose voices and music are then decoded once in a process."""
    from dl4mir_utils.data import load

    return load("mini/singing")


@cache
def real_songs():
    """Return the table of the real songs, their sounds and their labels per frame; or Nones where they are not."""
    from dl4mir_utils import DataNotFoundError
    from dl4mir_utils.data import frame_labels, load

    try:
        songs = load(REAL)
    except DataNotFoundError:
        return None, [], []
    sounds = [songs.audio(name) for name in songs.frame.index]
    counts = [math.ceil(len(sound) / 256) for sound in sounds]
    truths = [frame_labels(*song) for song in zip(songs.frame.segments, [0.016] * len(counts), counts, strict=True)]
    return songs, sounds, truths


def make_listener(notebook: dict, system: str, seed: int, mixes):
    """Train a system; return the function from a sound to the probability per frame, and the network if it is one."""
    if system == "always sing":
        return lambda sound: np.ones(math.ceil(len(sound) / 256)), None
    if system == "loudness":
        return notebook["loudness"], None
    if system == "MFCC + forest":
        forest = notebook["train_forest"](mixes, seed)
        return lambda sound: forest.predict_proba(notebook["mfcc_statistics"](sound))[:, 1], None
    if system == KEPT:
        notebook["less_mean"] = lambda picture, pool=1: picture
    model, _ = notebook["train"](system.split(" (")[0], mixes, seed)
    return lambda sound: notebook["listen"](model, sound), model


def make_detector():
    """Return the pretrained detector as such a function, with its own filter length in frames and threshold."""
    from dl4mir_utils.models import singing_detector
    from dl4mir_utils.singing import sung_probability

    detector = singing_detector()
    steps = round(detector.hop_s / 0.016)

    def listen(sound: np.ndarray) -> np.ndarray:
        probability = sung_probability(sound, detector.model, detector.hop_s)
        return np.repeat(probability, steps)[: math.ceil(len(sound) / 256)]

    # A median over steps equals one over frames of which each step has several, up to the ends of the window.
    return listen, (detector.median_frames * steps - 1) | 1, detector.threshold


def do_run(run: tuple[str, int]) -> list[dict]:
    """Do one run; return its lines of the table."""
    import keras

    keras.backend.clear_session()
    system, seed = run
    notebook, mixes = nbs.namespace(NOTEBOOK), made_songs()
    mixes.mix("train", 0)  # decodes
    if system == DETECTOR:
        listen, frames, threshold = make_detector()
        model = None
    else:
        listen, model = make_listener(notebook, system, seed, mixes)
        sounds, truths = notebook["fixed_mixes"](mixes, "valid", VALID_MIXES)
        frames, threshold = notebook["tune"]([listen(sound) for sound in sounds], truths)
        if system == "always sing":
            frames, threshold = 1, 0.5
    lines = []

    def add(train_set: str, test_set: str, truths: list, probabilities: list) -> None:
        """Score some songs, all together."""
        scores = notebook["test"](probabilities, truths, frames, threshold)
        numbers = {name: round(float(value), 4) for name, value in scores.items()}
        chosen = {"threshold": round(threshold, 2), "median_frames": frames}
        line = {"system": system, "train_set": train_set, "test_set": test_set, "seed": seed}
        lines.append(line | {"songs": len(truths)} | numbers | chosen)

    def add_real(train_set: str, truths: list, probabilities: list) -> None:
        """Score the real songs: all, those of the artist of most of them, and those of the others."""
        add(train_set, REAL, truths, probabilities)
        known = songs.frame.group == KNOWN_ARTIST
        for artists, these in [(KNOWN_ARTIST, known), ("others", ~known)]:
            numbers = np.flatnonzero(these)
            some = [[values[number] for number in numbers] for values in (truths, probabilities)]
            add(train_set, f"{REAL} by {artists}", *some)

    sounds, truths = notebook["fixed_mixes"](mixes, "test", TEST_MIXES)
    add("mixes", "mixes", truths, [listen(sound) for sound in sounds])
    songs, sounds, truths = real_songs()
    if songs is None:
        return lines
    add_real("mixes", truths, [listen(sound) for sound in sounds])
    if system in TUNED:
        weights, tuned, known = model.get_weights(), {}, songs.frame.group == KNOWN_ARTIST
        for trains in (known, ~known):
            fresh = notebook["NETWORKS"][system]()
            fresh.set_weights(weights)
            notebook["fine_tune"](fresh, songs.where(trains), seed)
            for number in np.flatnonzero(~trains):
                tuned[number] = notebook["listen"](fresh, sounds[number])
        add_real("mixes + other artists' songs", truths, [tuned[number] for number in range(len(truths))])
    return lines


def main() -> None:
    options = make_parser(__doc__).parse_args()
    sort = ["test_set", "train_set", "system", "seed"]
    run_study(RESULTS, ["system", "seed"], planned_runs(options.seeds), do_run, options.jobs, sort=sort)


if __name__ == "__main__":
    main()
