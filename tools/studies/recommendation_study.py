"""Run notebook 08's recommenders on all folds for several seeds and write data/results/recommendation_study.csv.

    .venv/bin/python tools/studies/recommendation_study.py

The systems are the notebook's own: the cells tagged `model` (simulated listeners, factorisation, baselines, network,
scores) are executed, nothing is copied. A seed decides the listeners, the start of their factors, the network's weights
and the pieces that it hears. In each of four folds other artists are the new ones. A line holds the scores of one
system on one fold.
"""

from pathlib import Path

from study import make_parser, run_study

import notebooks as nbs

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "data" / "results" / "recommendation_study.csv"
NOTEBOOK = ROOT / "notebooks" / "08_recommendation.ipynb"
FOLDS = 4


def do_run(run: tuple[int, int]) -> list[dict]:
    """Try every system on one fold with one seed; return a line for each."""
    import keras

    from dl4mir_utils.data import load

    keras.backend.clear_session()
    seed, fold = run
    data, notebook = load("mini/tracker"), nbs.namespace(NOTEBOOK)
    clips, tracks = notebook["make_tracks"](data)
    plays = notebook["simulate"](tracks, seed)
    scores = notebook["simple_systems"](plays, tracks, notebook["track_features"](clips), fold, seed)
    new, listeners, targets = notebook["cold_start"](plays, tracks, fold, seed)
    table = notebook["with_targets"](data, clips, tracks, targets, new)
    model, _ = notebook["train"](table, seed)
    scores["network"] = notebook["judge"](listeners @ notebook["by_network"](model, table).T, plays, new)
    return [
        {"system": system, "seed": seed, "fold": fold}
        | {measure: round(getattr(values, measure), 4) for measure in ("precision", "recall", "ndcg")}
        for system, values in scores.items()
    ]


def main() -> None:
    options = make_parser(__doc__).parse_args()
    runs = [(seed, fold) for seed in range(options.seeds) for fold in range(FOLDS)]
    run_study(RESULTS, ["seed", "fold"], runs, do_run, options.jobs, sort=["system", "seed", "fold"])


if __name__ == "__main__":
    main()
