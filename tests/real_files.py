"""Where the tests find real files: in the folder that DL4MIR_MIRROR names when the tests start, listed in its table."""

import csv
import os
from pathlib import Path

import pytest


def _listed() -> list[dict[str, str]]:
    """Rows of the mirror's registry.tsv (dataset, file, bytes, sha256, …); none where no folder is named."""
    table = Path(os.environ.get("DL4MIR_MIRROR", "")) / "registry.tsv"
    if not os.environ.get("DL4MIR_MIRROR") or not table.is_file():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


LISTED = _listed()
# Read here, when the tests are collected: each test runs without the variable, and sets it where it wants it.
MIRROR = Path(os.environ.get("DL4MIR_MIRROR", "")).absolute()


def needs_real(name: str) -> pytest.MarkDecorator:
    """Skip a test where the mirror does not hold the data set `name`."""
    there = any(row["dataset"] == name for row in LISTED)
    return pytest.mark.skipif(not there, reason=f"DL4MIR_MIRROR names no folder that holds {name}")


def real_file(name: str, file: str) -> Path:
    """Return a file of the data set `name`, in the mirror or a folder beside it; skip the test where there is none."""
    homes = [MIRROR, *MIRROR.parent.iterdir()] if LISTED else []
    for home in homes:
        if (path := home / name / file).is_file():
            return path
    pytest.skip(f"neither the folder that DL4MIR_MIRROR names nor one beside it holds {name}/{file}")
