"""Measure prepared data: how fast it is made, how fast it is read, and that nothing is lost whatever is killed.

A set of 2000 MP3s of 30 s (44.1 kHz, stereo) is made of the course's own clips, in a temporary folder: 200 different
ones, each copied to ten names. Then, each beside its goal:

- preparing    by one worker and by two, in turn; times real time for each core
- first        from load(prepared=...) to the first batch: 2000 clips, and a table of 100 000 (its shards are empty
               files of the right size)
- crops        random crops of 2.56 s in batches of 40, beside the same from the MP3s, in turn
- training     each network of notebook 05b, three epochs: waiting as a share of a step, and memory
- growth       200 and 2000 clips to prepare, tables of 1000 and 100 000 rows to load
- kills        the command, a worker of it or all its processes are killed 20 times; then everything must be there once,
               with the checksums of an undisturbed run

Run it on Linux or macOS: `python benchmarks/prepared.py [--only crops,first] [--keep FOLDER]`; all takes half an hour
on two cores, most of it to encode and to train. FOLDER keeps the set and what was prepared for the next time.
"""

import argparse
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).parents[1]
RATE, FILE_RATE = 16000, 44100
SECONDS, BATCH = 2.56, 40
CLIPS, DIFFERENT = 2000, 200
WHOM = ("command", "worker", "all")
PARTS = ("preparing", "first", "crops", "training", "growth", "kills")


def write_songs(folder, count):
    """Write MP3s of 30 s in folders, as labels and artists; each is three of the course's clips."""
    import soundfile
    import soxr

    from dl4mir_utils.data import load

    clips = load("mini/tracker")
    names = list(clips.frame.index)
    for number in range(count):
        path = folder / f"label{number % 4}" / f"artist{number % 40}" / f"{number:05}.mp3"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number >= DIFFERENT:
            first = number % DIFFERENT
            shutil.copy(folder / f"label{first % 4}" / f"artist{first % 40}" / f"{first:05}.mp3", path)
            continue
        parts = [clips.audio(names[(5 * number + 11 * part) % len(names)]) for part in range(3)]
        mono = soxr.resample(np.concatenate(parts), RATE, FILE_RATE)
        soundfile.write(path, np.stack([mono, np.roll(mono, 20)], axis=1), FILE_RATE)


def show(what, value, goal, good):
    print(f"{what:<66} {value:>22}   goal {goal:<22} {'reached' if good else 'MISSED'}", flush=True)


def prepare_in_process(root, out, workers, name="folder", shard_mib=32):
    """Prepare in a process of its own; return its report, and the seconds of CPU of it and its workers."""
    code = (
        "import json, sys, time, resource\n"
        "from dl4mir_utils.data import load, prepare\n"
        "root, out, workers, name, shard_mib = json.loads(sys.argv[1])\n"
        "report = prepare(load(name, root=root), out, workers=workers, shard_mib=shard_mib, progress=False)\n"
        "uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]\n"
        "cpu_s = sum(use.ru_utime + use.ru_stime for use in uses)\n"
        "print(json.dumps([report.made, report.audio_s, report.seconds, cpu_s, report.clips]))\n"
    )
    settings = json.dumps([str(root) if root else None, str(out), workers, name, shard_mib])
    done = subprocess.run([sys.executable, "-c", code, settings], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def preparing(place, songs):
    seconds = {1: [], 2: []}
    for _ in range(2):
        for workers in seconds:
            out = place / f"prepared{workers}"
            shutil.rmtree(out, ignore_errors=True)
            _, audio_s, took, cpu_s, clips = prepare_in_process(songs, out, workers)
            seconds[workers].append(took)
            print(
                f"  {workers} workers: {clips} clips, {audio_s / 3600:.1f} h in {took:.1f} s; "
                f"{audio_s / cpu_s:.0f} times real time for a second of CPU",
                flush=True,
            )
    one, two = min(seconds[1]), min(seconds[2])
    show("two workers, times as fast as one", f"{one / two:.2f}", ">= 1.7", one / two >= 1.7)
    for workers, took in ((1, one), (2, two)):
        speed = audio_s / took / workers
        show(f"times real time for each core, {workers} workers", f"{speed:.0f}", ">= 150", speed >= 150)


def empty_shard(out, root, number, clips, careful):
    """Do what a worker does, but for the audio: a file of the right size that takes no disk."""
    from dl4mir_utils.data.prepared import shard_path

    path = shard_path(out, number)
    ends = np.cumsum([clip.samples for clip in clips]).tolist()
    with path.open("wb") as file:
        file.truncate(2 * ends[-1])
    places = [[clip.name, end - clip.samples, clip.samples, ""] for clip, end in zip(clips, ends, strict=True)]
    record = {"shard": number, "bytes": 2 * ends[-1], "sha256": "", "audio_s": 0, "versions": {}, "clips": places}
    path.with_suffix(".json").write_text(json.dumps(record))
    return record


def long_table(place, rows):
    """Return a folder of prepared data whose shards are empty, of `rows` clips of 30 s."""
    import pandas as pd

    from dl4mir_utils.data import ClipTable, preparing

    out = place / f"rows{rows}"
    if out.exists():
        return out
    number = np.arange(rows)
    frame = pd.DataFrame(
        {
            "path": [f"fma_large/{i // 1000:03}/{i:06}.mp3" for i in number],
            "start_s": 0.0,
            "duration_s": 29.9,
            "label": [f"genre {i % 16}" for i in number],
            "group": [f"artist {i // 7}" for i in number],
            "track": [f"{i:06}" for i in number],
            "title": [f"A title of some words, number {i}" for i in number],
            "artist": [f"An artist of the number {i // 7}" for i in number],
            "licence": "Attribution-NonCommercial-ShareAlike 3.0 International",
            "split": np.where(number % 10 < 8, "train", np.where(number % 10 == 8, "valid", "test")),
        },
        index=pd.Index([f"{i:06}" for i in number], name="clip_id"),
    )
    table = ClipTable("fma_large", frame, tuple(f"genre {i}" for i in range(16)), place, (), "artist")
    preparing.make_shard, preparing._check_space = empty_shard, lambda *_: None
    preparing.prepare(table, out, workers=0, progress=False)
    return out


def first_batch(name, folder):
    """Return the seconds of loading, and those until the first batch is there."""
    import tensorflow as tf

    from dl4mir_utils.data import load

    tf.constant(0)
    start = time.perf_counter()
    table = load(name, prepared=folder)
    loaded = time.perf_counter() - start
    next(iter(table.to_tf("train", batch=BATCH, seconds=SECONDS)))
    return loaded, time.perf_counter() - start


def first(place):
    for name, folder, goal in (("folder", place / "prepared2", 2), ("fma_large", long_table(place, 100_000), 10)):
        loaded, took = np.median([first_batch(name, folder) for _ in range(3)], axis=0)
        with (folder / "index.csv").open() as index:
            rows = sum(1 for _ in csv.reader(index)) - 1
        show(f"first batch, {rows} clips (load: {loaded:.2f} s)", f"{took:.2f} s", f"<= {goal} s", took <= goal)


def crops_per_s(dataset, batches):
    """Return how many crops come a second, after the first batch."""
    found = iter(dataset.repeat())
    next(found)
    start = time.perf_counter()
    crops = sum(len(next(found)[1]) for _ in range(batches))
    return crops / (time.perf_counter() - start)


def crops(place, songs):
    from dl4mir_utils.data import load

    plain, ready = load("folder", root=songs), load("folder", prepared=place / "prepared2")
    ways = {
        "from the MP3s": (plain.to_tf("train", batch=BATCH, seconds=SECONDS), 20),
        "prepared": (ready.to_tf("train", batch=BATCH, seconds=SECONDS), 500),
        "prepared, 8 shards at once": (
            ready.to_tf("train", batch=BATCH, seconds=SECONDS, shards_at_once=8),
            500,
        ),
    }
    found = {way: [] for way in ways}
    for _ in range(3):
        for way, (dataset, batches) in ways.items():
            found[way].append(crops_per_s(dataset, batches))
    speeds = {way: float(np.median(speed)) for way, speed in found.items()}
    for way, speed in speeds.items():
        print(f"  {way}: {speed:.0f} crops a second")
    times = speeds["prepared"] / speeds["from the MP3s"]
    show("random crops, times as many as from the MP3s", f"{times:.0f}", ">= 20", times >= 20)
    io = Path("/proc/self/io")
    if io.exists():
        clip = ready._clips(ready.frame.iloc[:1], RATE)[0]
        before = int(io.read_text().split()[1])
        clip.decode(1000, round(SECONDS * RATE))
        print(f"  bytes asked of the system for one crop: {int(io.read_text().split()[1]) - before}")


def train(folder, network):
    """Train three epochs; print the seconds waited and the seconds in all of each, and the memory after it."""
    import keras

    sys.path[:0] = [str(ROOT / "tools" / "scale"), str(ROOT / "tools" / "course")]
    from train_genre import build

    from dl4mir_utils.data import load

    data = load("folder", prepared=folder)
    model = build(argparse.Namespace(plain=False, seed=0, network=network), len(data.classes))
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", jit_compile=False)
    dataset = data.to_tf("train", batch=BATCH, seconds=SECONDS)
    rows = []
    for _ in range(3):
        waited, steps, batches, began = 0.0, 0, iter(dataset), time.perf_counter()
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            if steps:  # the first one of an epoch comes when the pipeline has started
                waited += time.perf_counter() - start
            if batch is None:
                break
            model.train_on_batch(*batch)
            steps += 1
        rows.append([waited, time.perf_counter() - began, steps, psutil.Process().memory_info().rss / 2**30])
    print(json.dumps(rows))


def training(place):
    sys.path[:0] = [str(ROOT / "tools" / "scale")]
    from train_genre import NETWORKS

    for network in NETWORKS:
        command = [sys.executable, __file__, "--train", network, "--keep", place]
        rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        waited, took, steps, memory = np.array(rows).T
        share = waited[1:].sum() / took[1:].sum()
        step = f"{1000 * took[1:].sum() / steps[1:].sum():.0f} ms"
        show(f"{network}: waiting, of a step of {step}", f"{share:.1%}", "<= 5 %", share <= 0.05)
        told = ", ".join(f"{gib:.2f}" for gib in memory)
        flat = memory[2] - memory[1] < 0.02  # the first epoch still fills pools; a leak grows with each
        show(f"{network}: memory after each epoch", f"{told} GiB", "<= 1.2 GiB, flat", memory.max() <= 1.2 and flat)


def growth(place, songs):
    few = place / "few"
    if not few.exists():
        for path in sorted(songs.glob("*/*/*.mp3"), key=lambda path: path.name)[: CLIPS // 10]:
            target = few / path.relative_to(songs)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    took = {}
    for count, root in ((CLIPS // 10, few), (CLIPS, songs)):
        out = place / "grown"
        shutil.rmtree(out, ignore_errors=True)
        took[count] = prepare_in_process(root, out, 1)[2]
    ratio = took[CLIPS] / took[CLIPS // 10]
    seconds = " and ".join(f"{value:.1f} s" for value in took.values())
    show(f"{CLIPS // 10} and {CLIPS} clips prepared: {seconds}", f"{ratio:.1f} times", "<= 10, linear", ratio <= 10)
    loads = {
        rows: min(first_batch("fma_large", long_table(place, rows))[1] for _ in range(3)) for rows in (1000, 100_000)
    }
    ratio = loads[100_000] / loads[1000]
    seconds = " and ".join(f"{value:.2f} s" for value in loads.values())
    show(f"tables of 1000 and 100 000 rows: {seconds}", f"{ratio:.0f} times", "<= 100, linear", ratio <= 100)


def kills(place, count):
    """Kill now the command, now a worker of it, now all of its processes, at any moment; compare at the end."""
    from dl4mir_utils.data.prepared import sha256, shard_path

    rng = random.Random(0)
    plain, out = place / "plain", place / "killed"
    for folder in (plain, out):
        shutil.rmtree(folder, ignore_errors=True)
    shards = prepare_in_process(None, plain, 1, "mini/genre", 1)[0]
    code = (
        "import sys\n"
        "from dl4mir_utils.data import load, prepare\n"
        "prepare(load('mini/genre'), sys.argv[1], workers=2, shard_mib=1, progress=False)\n"
    )
    seen, killed, runs = {}, 0, 0

    def look():
        """Check that no shard that was done is written again."""
        for record in (out / "shards").glob("*.json"):
            with suppress(FileNotFoundError):
                written = record.stat().st_mtime_ns
                if seen.setdefault(record.name, written) != written:
                    raise SystemExit(f"{record.name} was written twice.")

    while True:
        runs += 1
        process = psutil.Popen([sys.executable, "-c", code, out], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        there, starting = len(seen), killed < count / 4  # some while it starts; the others when it has done something
        wait_until = time.monotonic() + rng.random() * 4 if starting else 0
        while process.poll() is None:
            look()
            time.sleep(rng.random() / 10)
            new = len(seen) - there
            if killed >= count or (new == 0 and not starting) or (new < 3 and time.monotonic() < wait_until):
                continue
            there, starting = len(seen), False
            with suppress(psutil.NoSuchProcess):
                family = [process, *process.children(recursive=True)]
                whom = {"command": family[:1], "worker": family[-1:], "all": family}[rng.choice(WHOM)]
                for one in whom:
                    one.kill()
                killed += 1
        look()
        if process.wait() == 0:
            break
        if killed >= count and process.returncode != -signal.SIGKILL:
            raise SystemExit(f"It ended with {process.returncode} though nobody killed it.")
    made, expected = (json.loads((folder / "prepared.json").read_text()) for folder in (out, plain))
    same = made["shards"] == expected["shards"] and made["index.csv"] == expected["index.csv"]
    same &= all(sha256(shard_path(out, number)) == shard["sha256"] for number, shard in enumerate(made["shards"]))
    left = [path.name for path in out.rglob("*.part")]
    good = same and not left and len(seen) == shards and killed >= count
    print(f"  {killed} kills; the same: {same}; left over: {left}; shards: {len(seen)} of {shards}; none twice")
    show(f"{killed} kills, {runs} runs: checksums as undisturbed", str(good), "True", good)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="some of: " + ", ".join(PARTS))
    parser.add_argument("--keep", type=Path, help="a folder for the files, kept for the next time")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--train", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train(options.keep / "prepared2", options.train)
        return
    parts = options.only.split(",")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryDirectory() as temporary:
        place = options.keep or Path(temporary)
        songs = place / "songs"
        if set(parts) - {"kills"} and len(list(songs.glob("*/*/*.mp3"))) < CLIPS:
            print("Writing the MP3s ...", flush=True)
            write_songs(songs, CLIPS)
        if "preparing" in parts:
            preparing(place, songs)
        if {"first", "crops", "training"} & set(parts):
            prepare_in_process(songs, place / "prepared2", 2)
        if "first" in parts:
            first(place)
        if "crops" in parts:
            crops(place, songs)
        if "training" in parts:
            training(place)
        if "growth" in parts:
            growth(place, songs)
        if "kills" in parts and not kills(place, options.kills):
            raise SystemExit(1)


if __name__ == "__main__":
    main()
