"""The loop that the studies share: it stores each run, does none twice, and loses none."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tools" / "studies"))

from study import run_study

KEYS = ["system", "part", "seed"]
RUNS = [("b", 0.5, 2), ("b", 0.5, 10), ("a", 0.5, 1)]


def do_run(run):
    if run[0] == "broken":
        raise ValueError("no such system")
    return [dict(zip(KEYS, run, strict=True)) | {"half": half, "score": 0.25 * run[2]} for half in ("first", "second")]


def test_runs_are_stored_in_order_and_not_done_again(tmp_path):
    table = tmp_path / "results" / "study.csv"
    run_study(table, KEYS, RUNS, do_run, jobs=1)
    lines = table.read_text().splitlines()
    assert lines[:3] == ["system,part,seed,half,score", "a,0.5,1,first,0.25", "a,0.5,1,second,0.25"]
    assert [line.split(",")[2] for line in lines[3:]] == ["2", "2", "10", "10"]  # as numbers, not as text

    table.write_text(table.read_text().replace("a,0.5,1,first,0.25", "a,0.5,1,first,0.990"))
    run_study(table, KEYS, [*RUNS, ("c", 1.0, 0)], do_run, jobs=1)
    assert table.read_text().splitlines() == [
        lines[0],
        lines[1].replace("0.25", "0.990"),
        *lines[2:],
        "c,1.0,0,first,0.0",
        "c,1.0,0,second,0.0",
    ]


def test_what_is_done_before_a_failure_is_kept(tmp_path):
    table = tmp_path / "study.csv"
    with pytest.raises(ValueError, match="no such system"):
        run_study(table, KEYS, [RUNS[0], ("broken", 0.5, 0)], do_run, jobs=1)
    assert [line.split(",")[:3] for line in table.read_text().splitlines()[1:]] == [["b", "0.5", "2"]] * 2
