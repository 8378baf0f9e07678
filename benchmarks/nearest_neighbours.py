"""Measure how nearest-neighbour search grows: exact against approximate, from a thousand vectors to a million.

The vectors resemble embeddings of music: a mixture of Gaussians, one for each soundtrack of the course's clips, with
the mean of its clips' embeddings (musicnn's last layer before the tags, 200 values) and the covariance within
soundtracks. Queries are drawn from the same mixture; near is what has a large cosine. Independent Gaussian values,
where all are about as far from each other, are the hard case, which embeddings of music do not resemble: `--hard`.

Methods: NumPy (one matrix product, then `argpartition`), scikit-learn's brute force, and voyager's graph (HNSW:
Malkov and Yashunin, arXiv 1603.09320), with 32-bit values and with 8-bit ones (E4M3). Everything runs on one thread;
times are processor time, which a busy machine hardly changes. A query is one vector at a time. Recall@10 is the share
of the ten exact neighbours that are found. The memory is that of the vectors, or the size of the graph when saved; in
memory it takes about a sixth more.

    python benchmarks/nearest_neighbours.py                                  # to 100 000: a few minutes
    python benchmarks/nearest_neighbours.py --sizes 1000 10000 100000 1000000 --store   # for notebook 08: an hour
    python benchmarks/nearest_neighbours.py --library                        # how fast `dl4mir similar` reads files
"""

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

from dl4mir_utils import setup  # before Keras: it quietens TensorFlow

# isort: split
import numpy as np
import pandas as pd
import soundfile
import voyager
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from dl4mir_utils.apps.index import SoundIndex
from dl4mir_utils.data import load, load_audio
from dl4mir_utils.features import clip_features

STORED = Path(__file__).parents[1] / "data/results/nearest_neighbours.csv"
K = 10
LINKS, EF_CONSTRUCTION = 12, 100  # of each vector in the graph; how many candidates are looked at when it is linked
DEPTHS = (10, 50, 200)  # ef: how many candidates a query looks at
CHUNK = 50_000  # vectors drawn at once


def sampler(rng):
    """Return a function that draws so many unit vectors from the mixture: float32 (count, 200)."""
    clips = load("mini/tags").frame
    features, _ = clip_features(clips.index)
    embedded = pd.DataFrame(features[4]).groupby(clips["album"].to_numpy())
    centres = embedded.mean().to_numpy()
    covariance = np.cov((embedded.obj - embedded.transform("mean")).to_numpy().T)
    scale = np.linalg.cholesky(covariance + 1e-6 * np.eye(len(covariance))).T.astype(np.float32)

    def draw(count):
        vectors = np.empty((count, len(scale)), np.float32)
        for part in np.split(vectors, range(CHUNK, count, CHUNK)):
            part[:] = (
                rng.standard_normal(part.shape, np.float32) @ scale
                + centres[rng.integers(len(centres), size=len(part))]
            )
            part /= np.linalg.norm(part, axis=1, keepdims=True)
        return vectors

    return draw


def hard_sampler(rng):
    """Return a function that draws unit vectors in all directions."""

    def draw(count):
        vectors = rng.standard_normal((count, 200), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    return draw


def exact(vectors, query):
    """Return the rows of the nearest vectors, nearest first."""
    likeness = vectors @ query
    nearest = np.argpartition(likeness, -K)[-K:]
    return nearest[np.argsort(-likeness[nearest])]


def approximate(index, ef, query):
    """Return what voyager finds when it looks at `ef` candidates."""
    return index.query(query, K, query_ef=ef)[0]


def timed(answer, queries):
    """Return what is found for each query, (queries, 10), and the milliseconds that one takes."""
    answer(queries[0])
    start = time.process_time()
    found = [answer(query) for query in queries]
    return np.array(found), 1000 * (time.process_time() - start) / len(queries)


def measure(vectors, queries):
    """Yield a row of the table for each method."""
    size = dict(zip(("vectors", "dimensions"), vectors.shape, strict=True)) | {"threads": 1}
    truth, query_ms = timed(lambda query: exact(vectors, query), queries)
    memory_mb = vectors.nbytes / 1e6
    yield size | {
        "method": "NumPy, exact",
        "build_s": 0.0,
        "memory_mb": memory_mb,
        "query_ms": query_ms,
        "recall_at_10": 1.0,
    }

    start = time.process_time()
    brute = NearestNeighbors(n_neighbors=K, algorithm="brute").fit(vectors)  # Euclid: of unit vectors, the same order
    build_s = time.process_time() - start
    some = queries[: max(10, min(len(queries), 10**7 // len(vectors)))]
    found, query_ms = timed(lambda query: brute.kneighbors(query[np.newaxis], return_distance=False)[0], some)
    yield size | {
        "method": "scikit-learn, exact",
        "build_s": build_s,
        "memory_mb": memory_mb,
        "query_ms": query_ms,
        "recall_at_10": recall(found, truth),
    }
    for bits, kind in ((32, voyager.StorageDataType.Float32), (8, voyager.StorageDataType.E4M3)):
        start = time.process_time()
        index = voyager.Index(
            voyager.Space.Cosine,
            vectors.shape[1],
            M=LINKS,
            ef_construction=EF_CONSTRUCTION,
            max_elements=len(vectors),
            storage_data_type=kind,
        )
        index.add_items(vectors, num_threads=1)
        build_s, memory_mb = time.process_time() - start, len(index.as_bytes()) / 1e6
        for ef in DEPTHS:
            found, query_ms = timed(partial(approximate, index, ef), queries)
            yield size | {
                "method": f"voyager, {bits} bits",
                "build_s": build_s,
                "memory_mb": memory_mb,
                "query_ms": query_ms,
                "recall_at_10": recall(found, truth),
                "ef": ef,
            }


def recall(found, truth):
    """Return the share of the exact neighbours that were found."""
    return np.mean([len(set(some) & set(all_)) / K for some, all_ in zip(found, truth, strict=False)])


def show(rows):
    """Print the table, with ratios to the exact search in NumPy beside the values."""
    table = pd.DataFrame(rows)
    base = table[table["method"] == "NumPy, exact"].set_index("vectors")
    print("  vectors  method                ef  build, s  memory, MB  query, ms  faster  recall@10")
    for row in table.itertuples():
        faster = base.loc[row.vectors, "query_ms"] / row.query_ms
        ef = "" if pd.isna(row.ef) else f"{row.ef:.0f}"
        print(
            f"{row.vectors:9}  {row.method:20}{ef:>4}{row.build_s:10.1f}{row.memory_mb:12.1f}{row.query_ms:11.3f}"
            f"{faster:8.1f}{row.recall_at_10:11.3f}"
        )


def compare(sizes, hard, store):
    """Measure all methods for each size and print the table; store each row, if asked, as soon as it is there."""
    rows = []
    with threadpool_limits(1):
        for size in sizes:
            rng = np.random.default_rng(0)
            draw = hard_sampler(rng) if hard else sampler(rng)
            queries = draw(200)
            for row in measure(draw(size), queries):
                rows.append(row)
                if store:
                    save(pd.DataFrame(rows))
    show(rows)


def save(table):
    """Write the table over the stored one; of sizes that were not measured, the stored rows stay."""
    columns = ["method", "vectors", "dimensions", "build_s", "memory_mb", "query_ms", "recall_at_10", "ef", "threads"]
    table = table.reindex(columns=columns).round({"build_s": 2, "memory_mb": 2, "query_ms": 4, "recall_at_10": 4})
    old = pd.read_csv(STORED)
    table = pd.concat([old[~old["vectors"].isin(table["vectors"])], table])
    table["ef"] = table["ef"].astype("Int64")
    table.sort_values("vectors", kind="stable").to_csv(STORED, index=False)


def library(count=12):
    """Print how many sounds of 3.5 minutes `dl4mir similar` embeds in a minute, and how long it takes later."""
    clips = load("mini/album")
    paths = [clips.root / path for path in clips.frame["path"]]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "music")
        folder.mkdir()
        for number in range(count):
            name = folder / f"{number}.{('ogg', 'mp3', 'flac')[number % 3]}"
            with soundfile.SoundFile(name, "w", 44100, 2) as song:
                for clip in range(21):
                    audio = load_audio(paths[(21 * number + clip) % len(paths)], 44100)
                    song.write(np.stack([audio, audio], axis=1))
        index = SoundIndex(Path(place, "index.dl4mir"))
        index.add(paths[-1])  # loads the network
        for what in ("new", "known"):
            clock, cpu = time.perf_counter(), time.process_time()
            new = index.update(folder).new
            for file in new:
                index.add(file)
            index.nearest([paths[-1]], folder)
            clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
            rate = f", {60 * count / clock:.0f} a minute" if new else ""
            print(f"{count} {what} sounds: {clock:.3f} s by the clock{rate}; {cpu:.3f} s of processor time")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--hard", action="store_true")
    parser.add_argument("--store", action="store_true")
    parser.add_argument("--library", action="store_true")
    given = parser.parse_args()
    setup()
    if given.library:
        library()
    else:
        compare(given.sizes, given.hard, given.store)


if __name__ == "__main__":
    main()
