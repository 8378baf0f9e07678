"""Checks of notebook 13."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd

from dl4mir_utils.checks.answers import is_open, say

# What `mystery_inputs` plays, in order.
MYSTERY = ("mel bands", "13 MFCC", "all samples")


def mystery_inputs(
    all_samples: np.ndarray, from_mel: np.ndarray, from_mfcc: np.ndarray
) -> list[tuple[str, np.ndarray]]:
    """Return three versions of a sound in another order, with numbers for titles, for `play`.

    Parameters
    ----------
    all_samples, from_mel, from_mfcc : float arrays (samples,)
        The sound as it is, rebuilt from mel bands, and rebuilt from MFCC.
    """
    versions = {"all samples": all_samples, "mel bands": from_mel, "13 MFCC": from_mfcc}
    return [(f"version {number}", versions[name]) for number, name in enumerate(MYSTERY, start=1)]


def check_13_listen(all_samples: int | None, mel_bands: int | None, from_13_mfcc: int | None) -> None:
    """Check which of three sounds is the original, which comes from mel bands, and which from MFCC."""
    if is_open(all_samples, mel_bands, from_13_mfcc):
        return
    if sorted([all_samples, mel_bands, from_13_mfcc]) != [1, 2, 3]:
        print("Not yet. Give each of the numbers 1, 2 and 3 once.")
    elif MYSTERY[all_samples - 1] != "all samples":
        print(f"Not yet. Version {all_samples} was rebuilt: it sounds rough. The samples themselves sound clean.")
    else:
        say(
            MYSTERY[mel_bands - 1] == "mel bands",
            "Mel bands keep enough to hum along; 13 MFCC keep the colour of the sound and how it swells.",
            "The clean one is right. Compare the two others again: with which of them can you hum along?",
        )


def check_13_arxiv(
    all_years: float | None, same_years: float | None, papers: pd.DataFrame, authors: Sequence[str]
) -> None:
    """Check by how much more often papers on arXiv come with code, over all years and from 2015 to 2017.

    Parameters
    ----------
    all_years, same_years : float
        Share of papers on arXiv with an address of code minus that of all others, in all years and in these three.
    papers : DataFrame
        The DL4M table.
    authors : sequence of str (papers,)
        The first author of each, to draw for the interval.
    """
    if is_open(all_years, same_years):
        return
    coded = papers["Code"].str.startswith("http", na=False).to_numpy()
    on_arxiv = papers["Link"].str.contains("arxiv.org", na=False, regex=False).to_numpy()
    near = papers["Year"].between(2015, 2017).to_numpy()

    def share(rows: np.ndarray) -> float:
        return float(coded[rows].mean())

    everywhere = share(on_arxiv) - share(~on_arxiv)
    expected = share(near & on_arxiv) - share(near & ~on_arxiv)
    if max(abs(all_years), abs(same_years)) > 1:
        print("Not yet. A difference of two shares lies between -1 and 1: use the shares, not per cent.")
    elif abs(all_years + everywhere) < 5e-3:
        print("Not yet. The sign is turned around: take the share on arXiv minus that of the others.")
    elif abs(all_years - share(on_arxiv)) < 5e-3:
        print(f"Not yet. {all_years:.3f} is the share on arXiv. How much more is that than among the others?")
    elif abs(all_years - everywhere) > 5e-3:
        print(f"Not yet. {all_years:.3f} for all years: is a missing link with the others, and each share a mean?")
    else:
        low, high = _difference_interval(coded[near], on_arxiv[near], np.asarray(authors)[near])
        say(
            abs(same_years - expected) < 5e-3,
            f"{everywhere:.2f} over all years, and {expected:.2f} among papers of the same three years, with an "
            f"interval over first authors of {low:.2f} to {high:.2f}. The year was behind both.",
            f"All years are right. {same_years:.3f} for 2015 to 2017: take both shares among the papers of these "
            "years alone.",
        )


def _difference_interval(coded: np.ndarray, on_arxiv: np.ndarray, authors: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the difference of both shares, by a bootstrap over authors."""
    names, places = np.unique(authors, return_inverse=True)
    drawn = np.random.default_rng(0).integers(len(names), size=(2000, len(names)))

    def drawn_sums(rows: np.ndarray) -> np.ndarray:
        return np.bincount(places, rows, len(names))[drawn].sum(axis=1)

    here, there = drawn_sums(coded & on_arxiv), drawn_sums(coded & ~on_arxiv)
    differences = here / drawn_sums(on_arxiv) - there / drawn_sums(~on_arxiv)
    low, high = np.quantile(differences, [0.025, 0.975])
    return float(low), float(high)


PLAN = ("question", "data", "groups", "baseline", "metric", "error_bar")
# Words that name no group: what is too small to be one, and what stands in any sentence.
TOO_SMALL = {"clip", "frame", "window", "excerpt", "slice", "random", "randomly", "shuffled", "none", "nothing"}
COMMON = {"the", "and", "all", "are", "any", "both", "each", "one", "over", "per", "same", "side", "split", "with"}
NETWORK = re.compile(r"\b(\w*nn|network|transformer|resnet|lstm|gru)s?\b")
SIMPLE = re.compile(r"\b(class|chance|random|always|never|rule|mean|nearest|linear|logistic|threshold|people|ears?)\b")


def check_13_plan(plan: Mapping[str, str | None] | None) -> None:
    """Check the structure of a project plan: nothing is missing, and groups, baseline and error bar fit together."""
    said = {key: str((plan or {}).get(key) or "").strip().lower() for key in PLAN}
    if is_open(plan if any(said.values()) else None):
        return
    groups = _words(said["groups"]) - TOO_SMALL
    shared = groups & _words(said["error_bar"])
    short = [key for key in PLAN if key not in ("groups", "metric") and len(said[key].split()) < 2]
    if missing := [key for key in PLAN if not said[key]]:
        print(f"Not yet. Still empty: {', '.join(missing)}.")
    elif "?" not in said["question"]:
        print("Not yet. The question has no question mark: what would you know at the end that you do not know now?")
    elif short:
        print(f"Not yet. One word says too little: {', '.join(short)}.")
    elif not groups:
        print(
            "Not yet. Clips of one artist or song sound alike, so a random split leaks. Name what must stay on one "
            "side: artists, albums, songs, voices …"
        )
    elif NETWORK.search(said["baseline"]) and not SIMPLE.search(said["baseline"]):
        print("Not yet. The baseline is a network, too. Add something that learns little: the largest class, a rule.")
    elif re.search(r"\bloss\b", said["metric"]):
        print("Not yet. A loss is for training. Which number would you tell to somebody who wants to use it?")
    elif not shared and "seed" in said["error_bar"]:
        print("Not yet. Seeds show how lucky a start was. The first bar goes over your groups; seeds are a second one.")
    else:
        say(
            bool(shared),
            f"Nothing is missing, and the error bar goes over what is kept apart ({', '.join(sorted(shared))}). "
            "Now look for the giveaway: what else differs between your classes? And show the plan to somebody.",
            "The error bar does not name your groups. It goes over what was sampled: artists, songs, voices …",
        )


def _words(text: str) -> set[str]:
    """Return the words of a lower-case text, without a plural s and without those that stand in any sentence."""
    return {word.removesuffix("s") for word in re.findall(r"[^\W\d_]{3,}", text)} - COMMON


LASTING = re.compile(r"^https?://(?:arxiv\.org/abs/(\d\d)(\d\d)\.\d{4,5}(?:v\d+)?|(?:dx\.)?doi\.org/10\.\d{4,}/\S+)$")


def check_13_row(row: Mapping[str, Any] | None, papers: pd.DataFrame) -> None:
    """Check a new row for the table of papers: complete, new, in the table's spelling, at an address that lasts."""
    keys = ("Year", "Title", "Link", "Task", "Code")
    said = {key: (row or {}).get(key) or "" for key in keys}
    if is_open(row if any(said.values()) else None):
        return
    title, link, task, code = (str(said[key]).strip() for key in keys[1:])
    known = sorted(set(papers["Task"].dropna().str.split(" & ").explode()))
    strange = [name for name in task.split(" & ") if name not in known]
    address = LASTING.match(link)
    if missing := [key for key in keys if not said[key]]:
        print(f"Not yet. Still empty: {', '.join(missing)}.")
    elif not isinstance(said["Year"], (int, np.integer)) or not 1988 <= said["Year"] <= 2100:
        print(f"Not yet. The year is a whole number with four digits, not {said['Year']!r}.")
    elif title.casefold() in set(papers["Title"].str.strip().str.casefold()):
        print("Not yet. This paper is in the table already. Choose one that came later.")
    elif not address:
        print(
            "Not yet. Give an address that is meant to last: https://arxiv.org/abs/ or https://doi.org/ and the "
            "number (the page, not the PDF)."
        )
    elif address[1] and not -1 <= said["Year"] - (2000 + int(address[1])) <= 3:
        print(f"Not yet. The arXiv number is of 20{address[1]}, the year {said['Year']}: is one of them mistyped?")
    elif strange:
        near = get_close_matches(strange[0], known, n=1, cutoff=0.4)
        hint = f" Do you mean {near[0]!r}?" if near else ""
        print(
            f"Not yet. The table knows no task {strange[0]!r}.{hint} Another spelling would be one more thing to mend."
        )
    else:
        say(
            code == "No" or code.startswith("https://"),
            f"A row as good as any of the {len(papers)}, and better than most: all its cells are filled.",
            f"{code!r}: write the address of the code, with https://, or No.",
        )
