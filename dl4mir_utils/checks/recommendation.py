"""Checks of notebook 08."""

from itertools import pairwise

import numpy as np

from dl4mir_utils.checks.answers import is_open, say

SONGS = 10  # in the playlist of exercise 3


def check_08_ndcg(ndcg: float | None, relevant: np.ndarray, score: np.ndarray, k: int = 10) -> None:
    """Check an nDCG of one listener that was computed by hand."""
    if is_open(ndcg):
        return
    from sklearn.metrics import ndcg_score

    relevant, score = np.asarray(relevant, bool), np.asarray(score, float)
    expected = float(ndcg_score(relevant[np.newaxis], score[np.newaxis], k=k))
    discount = 1 / np.log2(np.arange(k) + 2)
    gain = float(relevant[np.argsort(-score, kind="stable")[:k]] @ discount)
    hits = int(relevant[np.argsort(-score, kind="stable")[:k]].sum())
    if abs(ndcg - gain) < 5e-4 < abs(ndcg - expected):
        print(f"Not yet. {ndcg:.3f} is the sum over the hits; divide it by that of the best list there could be.")
    elif abs(ndcg - gain / discount.sum()) < 5e-4 < abs(ndcg - expected):
        print(f"Not yet. {ndcg:.3f} compares with {k} hits, but this listener played only {relevant.sum()} tracks.")
    else:
        say(
            abs(ndcg - expected) < 5e-4,
            f"{expected:.3f} with {hits} hits among {k}, and scikit-learn agrees. With the hits at the end of the list "
            f"it would be {discount[k - hits :].sum() / discount[: min(k, relevant.sum())].sum():.3f}; precision "
            "would not notice.",
            f"{ndcg:.3f}: sort by score, give the hit at place n the value 1 / log2(n + 1), sum over the first {k} "
            "places, and divide by the same sum for a list that begins with all that was played.",
        )


def check_08_coverage(coverage: float | None, score: np.ndarray, k: int = 10) -> None:
    """Check which share of the items is recommended to anybody at all."""
    if is_open(coverage):
        return
    first = np.argsort(-np.asarray(score), axis=1, kind="stable")[:, :k]
    items = score.shape[1]
    shown = np.bincount(first.ravel(), minlength=items)
    expected = float(np.mean(shown > 0))
    if abs(coverage - k / items) < 5e-4 < abs(coverage - expected):
        print(f"Not yet. {coverage:.3f} is what one listener sees, {k} of {items} items. All listeners together?")
    elif abs(coverage - expected * items) < 0.5 and coverage > 1:
        print(f"Not yet. {coverage:g} is a number of items; the question asks for a share.")
    else:
        busiest = np.sort(shown)[::-1][: max(1, items // 10)].sum() / shown.sum()
        say(
            abs(coverage - expected) < 5e-4,
            f"{expected:.1%} of {items} items are in somebody's list, but the most shown tenth of them fills "
            f"{busiest:.0%} of all places. What is not shown is played less, so next year's data will agree.",
            f"{coverage:.3f}: take each listener's {k} items with the highest scores, and count which items occur "
            "at all.",
        )


def greedy_playlist(similar: np.ndarray, artists: np.ndarray, seed: int) -> list[int]:
    """Return a playlist: each time the song most like the last one, not yet played and by another artist."""
    path = [seed]
    while len(path) < SONGS:
        allowed = artists != artists[path[-1]]
        allowed[path] = False
        if not allowed.any():
            break
        path.append(int(np.where(allowed, similar[path[-1]], -np.inf).argmax()))
    return path


def check_08_playlist(path: list[int] | None, similar: np.ndarray, artists: np.ndarray, seed: int) -> None:
    """Check a playlist of ten clips without an artist twice running."""
    if is_open(path):
        return
    path, artists = [int(step) for step in path], np.asarray(artists)
    if len(path) != SONGS or path[:1] != [seed]:
        print(f"Not yet. There are {len(path)} clips; it takes {SONGS}, and the first is the seed, number {seed}.")
    elif min(path) < 0 or max(path) >= len(artists):
        print(f"Not yet. Clips have the numbers 0 to {len(artists) - 1}.")
    elif len(set(path)) < SONGS:
        print("Not yet. A clip is in it twice. Bar those that were played.")
    elif running := [n for n, (a, b) in enumerate(pairwise(path), start=1) if artists[a] == artists[b]]:
        print(f"Not yet. Places {running[0]} and {running[0] + 1} are both by {artists[path[running[0]]]}.")
    else:
        greedy = greedy_playlist(similar, artists, seed)
        mean, best = (np.mean([similar[a, b] for a, b in pairwise(p)]) for p in (path, greedy))
        say(
            mean >= best - 0.02,
            f"{len({*artists[path].tolist()})} artists in {SONGS} clips, mean similarity of neighbours {mean:.2f}. "
            "A rule of taste, such as variety, is a line of code on top of the vectors.",
            f"The rules are kept, but neighbours have a mean similarity of {mean:.2f}, and {best:.2f} is possible: "
            "take the nearest clip that the rules allow.",
        )
