"""What the studies share: runs that are done side by side, stored one by one, and never done twice.

A study is a list of runs and a function that does one. Each run's lines are stored in the study's table as soon as they
are there; a run whose lines are in the table is not done again. So a study can be interrupted, resumed and extended;
to start anew, delete its table.
"""

import argparse
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

# Studies import `notebooks`, which reads the networks out of their notebook, after this module.
sys.path.append(str(Path(__file__).resolve().parents[1] / "course"))


def make_parser(description: str | None, seeds: int = 3) -> argparse.ArgumentParser:
    """Return a parser of what every study can be told: `--seeds` and `--jobs`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--jobs", type=int, default=2, help="processes, one core each")
    return parser


def run_study(
    table: Path,
    keys: list[str],
    runs: list[tuple],
    do_run: Callable[[tuple], list[dict]],
    jobs: int,
    sort: list[str] | None = None,
) -> None:
    """Do those runs that are not in the table yet, and store their lines.

    Parameters
    ----------
    table : pathlib.Path
        CSV file of the results.
    keys : list of str
        Columns that tell the runs apart.
    runs : list of tuple
        The runs, the most important first: one value for each of `keys`.
    do_run : callable
        Does a run, in one of the processes, with one core; returns its lines, each with the columns `keys`.
    jobs : int
        Number of processes.
    sort : list of str, optional
        Columns that decide the order of the lines; `keys` if not given.
    """
    lines = pd.read_csv(table, dtype=str, keep_default_na=False).to_dict("records") if table.exists() else []
    done = {tuple(line[key] for key in keys) for line in lines}
    to_do = [run for run in runs if tuple(map(str, run)) not in done]
    print(f"{len(done)} runs are there, {len(to_do)} to do", flush=True)
    if not to_do:
        return
    table.parent.mkdir(exist_ok=True)
    with multiprocessing.get_context("spawn").Pool(jobs, use_one_core) as pool:
        for number, new in enumerate(pool.imap_unordered(do_run, to_do), start=1):
            lines += [{column: str(value) for column, value in line.items()} for line in new]
            sorted_lines = pd.DataFrame(lines).sort_values(sort or keys, key=as_numbers, kind="stable")
            unfinished = table.with_suffix(".tmp")  # who is stopped while it is written has the old table still
            sorted_lines.to_csv(unfinished, index=False, lineterminator="\n")
            unfinished.replace(table)
            for line in new:
                print(f"{number}/{len(to_do)}:", *line.values(), flush=True)


def as_numbers(column: pd.Series) -> pd.Series:
    """Return a column as numbers, if all of it are."""
    numbers = pd.to_numeric(column, errors="coerce")
    return column if numbers.isna().any() else numbers


def use_one_core() -> None:
    """Prepare a process: one core, quiet logs."""
    import dl4mir_utils  # noqa: F401 (quietens TensorFlow, so it comes first)
    import tensorflow as tf  # isort: skip

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
