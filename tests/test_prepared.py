"""Prepared data: the same clips and batches, and nothing lost or half there, whatever goes wrong."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import tensorflow as tf
from typer.testing import CliRunner

from dl4mir_utils import BadArgumentError
from dl4mir_utils.apps.cli import app
from dl4mir_utils.data import ClipTable, audio_cache, load, prepare, preparing
from dl4mir_utils.data.prepared import load_prepared, read_through, sha256, shard_path, to_int16
from dl4mir_utils.errors import PreparedDataError

ROOT = Path(__file__).parents[1]
RATE, CLIPS = 16000, 40
SHARD_MIB = 0.25  # five clips, more or less


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Forty clips of 1 to 2 s of noise, of several kinds of columns; sound files at 16 and 22.05 kHz."""
    root = tmp_path_factory.mktemp("source")
    rng = np.random.default_rng(0)
    numbers = np.arange(CLIPS)
    names = [f"{number:02}" for number in numbers]
    names[:4] = ['new\nline, "quoted"', "🎵 ü", "caf\udce9", " 0\r"]
    duration_s = 1 + (numbers % 5) / 4
    paths = []
    for number in numbers:
        rate = (RATE, 22050)[number % 2]
        paths.append(f"{number:02}.{('wav', 'flac')[number % 2]}")
        noise = np.clip(rng.normal(0, 0.4, int(2.5 * rate)), -1, 1)
        soundfile.write(root / paths[-1], noise, rate, subtype="PCM_24")
    frame = pd.DataFrame(
        {
            "path": paths,
            "start_s": np.where(numbers % 3, 0.0, 0.125),
            "duration_s": duration_s,
            "label": [("high", "low")[number % 2] for number in numbers],
            "soft": [(number / 40, 1 - number / 40) for number in numbers],
            "segments": [((0.0, 0.5, "sing"), (0.5, 2.5, "nosing")) for _ in numbers],
            "title": [None if number % 4 else f"title {number}" for number in numbers],
            "year": [np.nan if number % 4 else 1990.5 for number in numbers],
            "group": [f"artist{number // 4}" for number in numbers],
            "track": names,
            "licence": "CC0-1.0",
            "split": "",
            "fold_artist": numbers // 4 % 5,
        },
        index=pd.Index(names, name="clip_id"),
    )
    return ClipTable("toy", frame, ("high", "low"), root, ("a note",))


def ready(source, out, **settings):
    return prepare(source, out, workers=0, shard_mib=SHARD_MIB, progress=False, **settings)


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    """A folder that is complete; not to be changed."""
    out = tmp_path_factory.mktemp("prepared") / "out"
    report = ready(source, out)
    assert report.clips == CLIPS
    assert report.made > 4
    return out


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of it, to be changed."""
    return shutil.copytree(whole, tmp_path / "copy")


def without(column, table):
    """Labels are timed or soft, not both."""
    return ClipTable(**vars(table) | {"frame": table.frame.drop(columns=column)})


def checksums(out):
    """Return what prepared.json says of the shards, which must be true."""
    sums = json.loads((out / "prepared.json").read_text())["shards"]
    assert [sha256(shard_path(out, number)) for number in range(len(sums))] == [shard["sha256"] for shard in sums]
    return sums


def assert_same_batches(plain, prepared, **settings):
    for (audio, label), (found, found_label) in zip(plain.to_tf(**settings), prepared.to_tf(**settings), strict=True):
        np.testing.assert_array_equal(found, to_int16(audio.numpy()) / np.float32(32768))
        np.testing.assert_array_equal(label, found_label)


def test_the_same_table(source, whole):
    table = load_prepared("toy", whole)
    pd.testing.assert_frame_equal(table.frame, source.frame)
    assert (table.classes, table.notes, table.root, table.split_by) == (("high", "low"), ("a note",), source.root, "")
    assert table.frame["segments"].iloc[3] == ((0.0, 0.5, "sing"), (0.5, 2.5, "nosing"))
    pd.testing.assert_frame_equal(table.windows(seconds=0.5), source.windows(seconds=0.5))


def test_the_same_audio(source, whole):
    audio_cache.clear()
    table = load_prepared("toy", whole)
    for name in source.frame.index[:6]:
        audio = table.audio(name)
        assert audio.dtype == np.float32
        assert audio.shape == (round(source.frame.loc[name, "duration_s"] * RATE),)
        assert abs(audio - source.audio(name)).max() <= 1 / 32768
        np.testing.assert_array_equal(audio, to_int16(source.audio(name)) / np.float32(32768))


def test_int16():
    full = np.float32([1, -1, 0.5, 0.5 / 32768, 1.6 / 32768])
    np.testing.assert_array_equal(to_int16(full), [32767, -32768, 16384, 0, 2])
    assert to_int16(full).dtype == np.dtype("<i2")


@pytest.mark.parametrize(
    "settings",
    [
        {"split": "train", "seconds": 0.5},
        {"split": "train", "seconds": 0.5, "hop_s": 0.1, "seed": 3},
        {"split": "test", "seconds": 0.7, "crop": "all", "batch": 7},
        {"split": "test", "batch": 1},
    ],
)
def test_the_same_batches(source, whole, settings):
    column = "soft" if "hop_s" in settings else "segments"
    plain, table = without(column, source), without(column, load_prepared("toy", whole))
    assert_same_batches(plain.split(), table.split(), **settings)
    low = source.frame["label"] == "low"
    assert_same_batches(plain.where(low).split(), table.where(low).split(), **settings)


def test_nothing_of_it_is_kept_in_memory(whole):
    audio_cache.clear()
    list(without("soft", load_prepared("toy", whole)).to_tf(seconds=0.5))
    assert audio_cache.used_mib == 0


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts what is read")
def test_a_crop_reads_no_more_than_itself(whole):
    table = load_prepared("toy", whole)
    (clip,) = table._clips(table.frame.iloc[[7]], RATE)
    read = lambda: int(Path("/proc/self/io").read_text().split()[1])  # noqa: E731
    counting = read()
    counting = read() - counting  # reading the counter counts, too
    before = read()
    clip.decode(100, 4000)
    assert 8000 <= read() - before - counting <= 8000 + 4096


def test_no_clip_is_read_beyond_its_end(whole):
    """What follows in the shard is another clip."""
    table = load_prepared("toy", whole)
    name = table.frame.index[7]
    (clip,) = table._clips(table.frame.iloc[[7]], RATE)
    assert len(clip.decode(100)) == clip.samples - 100
    for start, samples in ((1, clip.samples), (clip.samples, 1), (-1, 5)):
        with pytest.raises(BadArgumentError, match=f"has {clip.samples} samples, not {samples} from sample {start} on"):
            table.audio(name, RATE, start, samples)


def test_shards_at_once(whole, monkeypatch):
    shards = []
    monkeypatch.setattr(
        "dl4mir_utils.data.prepared.read_through", lambda path: shards.append(path) or read_through(path)
    )
    table = without("segments", load_prepared("toy", whole)).split()
    make = lambda seed: table.to_tf("train", batch=4, seconds=0.5, seed=seed, shards_at_once=2)  # noqa: E731
    one, same = make(1), make(1)
    shard_of = dict(zip(table.frame.index, (clip.shard for clip in table._clips(table.frame, RATE)), strict=True))
    train = table.frame[table.frame["split"] == "train"]
    soft = {round(values[0] * 40): name for name, values in train["soft"].items()}
    orders = []
    for _ in range(2):
        shards.clear()
        batches = list(one)
        for (audio, label), (again, label_again) in zip(batches, same, strict=True):
            np.testing.assert_array_equal(audio, again)
            np.testing.assert_array_equal(label, label_again)
        names = [soft[round(float(row[0]) * 40)] for _, label in batches for row in label]
        assert sorted(names) == sorted(train.index)  # each clip once
        visited = list(dict.fromkeys(shard_of[name] for name in names))
        places = {shard: [i for i, name in enumerate(names) if shard_of[name] == shard] for shard in visited}
        for pair in range(0, len(visited), 2):  # two shards are done before the next two begin
            here = [place for shard in visited[pair : pair + 2] for place in places[shard]]
            assert sorted(here) == list(range(min(here), max(here) + 1))
        assert set(shards) <= {shard_path(whole, shard) for shard in visited}
        orders.append(names)
    assert orders[0] != orders[1]
    for wrong in ({"crop": "center"}, {"shards_at_once": 0}):
        with pytest.raises(BadArgumentError, match="shards_at_once"):
            table.to_tf("train", seconds=0.5, **{"shards_at_once": 2} | wrong)


def test_what_cannot_be_asked_for(source, whole):
    table = load_prepared("toy", whole)
    with pytest.raises(BadArgumentError, match="prepared at 16000 Hz, not at 8000 Hz: give sample_rate=16000"):
        table.to_tf(seconds=0.5, sample_rate=8000)
    moved = ClipTable(**vars(table) | {"frame": table.frame.assign(start_s=0.5)})
    with pytest.raises(BadArgumentError, match=r"(?s)not these parts of the files: .* \(40 in all\)"):
        moved.to_tf(seconds=0.5)
    with pytest.raises(BadArgumentError, match="holds toy, not mini/genre"):
        load("mini/genre", prepared=whole)
    with pytest.raises(BadArgumentError, match="leave root and the options out"):
        load("folder", root=source.root, prepared=whole)
    with pytest.raises(PreparedDataError, match=r"holds no prepared data. To make it: dl4mir data prepare mini/genre"):
        load("mini/genre", prepared=source.root)
    for table in (load("mini/singing"), load_prepared("toy", whole)):
        with pytest.raises(BadArgumentError, match="prepared"):
            prepare(table, whole)
    for settings in ({"workers": -1}, {"workers": 1, "scheduler": "tcp://x:1"}, {"sample_rate": 0}, {"shard_mib": 0}):
        with pytest.raises(BadArgumentError):
            prepare(source, whole, **settings)
    with pytest.raises(BadArgumentError, match="holds something else: sample_rate 16000"):
        prepare(source, whole, sample_rate=8000, workers=0)
    relabelled = source.frame.assign(label=source.frame["label"].where(source.frame.index != "07", "high"))
    with pytest.raises(BadArgumentError, match="holds something else: another table"):
        ready(ClipTable("toy", relabelled, source.classes, source.root), whole)
    with pytest.raises(BadArgumentError, match=r"holds other files, such as 0.*Take a new folder"):
        ready(source, source.root)
    unstorable = source.frame.assign(label=[source.root] * CLIPS)
    with pytest.raises(BadArgumentError, match="cannot be stored"):
        ready(ClipTable("toy", unstorable, source.classes, source.root), source.root / "new")
    assert not list((source.root / "new").glob("*.json"))


def test_a_second_time_does_nothing(source, copy):
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    report = ready(source, copy)
    assert (report.made, report.kept) == (0, len(checksums(copy)))
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


def test_a_damaged_shard(source, copy):
    sums = checksums(copy)
    shard = shard_path(copy, 2)
    with shard.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(PreparedDataError, match=r"damaged: missing, or not as long as they should be: 00002.i16"):
        load_prepared("toy", copy)
    assert ready(source, copy).made == 1
    assert checksums(copy) == sums

    with shard.open("r+b") as file:
        file.write(b"other")
    assert ready(source, copy).made == 0
    assert ready(source, copy, verify=True).made == 1
    assert checksums(copy) == sums

    for name in ("index.csv", "table.json"):
        (copy / name).write_text("")
        with pytest.raises(PreparedDataError, match=f"{name} is missing or damaged"):
            load_prepared("toy", copy)
        assert ready(source, copy).made == 0
        load_prepared("toy", copy)
    (copy / "prepared.json").write_text("{")
    shard.with_suffix(".json").unlink()
    there = len(sums) - 1
    with pytest.raises(PreparedDataError, match=f"is not complete: {there} of {len(sums)} shards are there"):
        load_prepared("toy", copy)
    assert ready(source, copy).made == 1


def test_a_shard_cut_short_while_training(copy):
    table = load_prepared("toy", copy)
    for shard in copy.glob("shards/*.i16"):
        os.truncate(shard, 1000)
    with pytest.raises(tf.errors.OpError, match="has been cut short"):
        list(without("soft", table).to_tf(seconds=0.5))


def test_clips_that_cannot_be_decoded(source, tmp_path):
    root = shutil.copytree(source.root, tmp_path / "root")
    (root / "05.flac").write_bytes(b"no sound")
    (root / "08.wav").unlink()
    table = ClipTable("toy", source.frame, source.classes, root)
    out = tmp_path / "out"
    report = ready(table, out)
    assert report.clips == CLIPS - 2
    assert set(report.failures) == {"05", "08"}
    assert report.failures["08"] == "the file does not exist"
    with (out / "index.csv").open(encoding="utf-8", errors="surrogatepass", newline="") as file:
        reasons = {row["clip_id"]: row["reason"] for row in csv.DictReader(file) if row["reason"]}
    assert reasons == report.failures
    loaded = load_prepared("toy", out)
    assert len(loaded) == CLIPS - 2
    assert "Left out, as they could not be decoded: 2 of 40: 05, 08." in loaded.notes
    others = table.where(~table.frame.index.isin(["05", "08"]))
    assert_same_batches(without("soft", others), without("soft", loaded), seconds=1, crop="all")

    assert ready(table, out).made == 0
    for name in ("05.flac", "08.wav"):
        shutil.copy(source.root / name, root)
    assert ready(table, out).failures == report.failures  # nobody asked to try again
    again = ready(table, out, retry_failed=True)
    assert 1 <= again.made <= 2
    assert not again.failures
    assert len(load_prepared("toy", out)) == CLIPS


def test_workers_that_do_not_see_the_files(source, tmp_path):
    elsewhere = ClipTable("toy", source.frame, source.classes, tmp_path / "not there")
    with pytest.raises(PreparedDataError, match=r"does not see .*not there"):
        ready(elsewhere, tmp_path / "out")


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of 3 MiB, where that is allowed."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk(source, small_disk, monkeypatch):
    out = small_disk / "out"
    with pytest.raises(PreparedDataError, match=r"Not enough disk space: .* are needed in"):
        ready(source, out)
    monkeypatch.setattr(preparing, "SPARE", 0)
    usage = shutil.disk_usage(out)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**9))  # someone else fills it meanwhile
    filler = small_disk / "filler"
    filler.write_bytes(bytes(2 * 2**20))
    with pytest.raises(PreparedDataError, match="The disk is full: free some space"):
        ready(source, out)
    done = len(list((out / "shards").glob("*.json")))
    assert 0 < done < 8
    assert not list(out.rglob("*.part"))
    with pytest.raises(PreparedDataError, match="is not complete"):
        load_prepared("toy", out)
    filler.unlink()
    assert ready(source, out).kept == done


def test_a_disk_that_may_only_be_read(source, whole, small_disk, monkeypatch):
    monkeypatch.setattr(preparing, "SPARE", 0)
    out = shutil.copytree(whole, small_disk / "out")
    shard_path(out, 1).unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for place in (out, small_disk / "new"):
        with pytest.raises(PreparedDataError, match="You may not write there: take another folder"):
            ready(source, place)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    ready(source, out)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert ready(source, out).made == 0  # complete: nothing needs to be written
    assert len(load_prepared("toy", out)) == CLIPS


RUN = """
import sys
from dl4mir_utils.data import load, prepare
who = sys.argv[3]
settings = {"scheduler": who} if ":" in who else {"workers": int(who)}
report = prepare(load("folder", root=sys.argv[1]), sys.argv[2], shard_mib=0.25, **settings)
print(report.made, report.kept, report.failures)
"""


def run(*arguments, **settings):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *map(str, arguments)], stdout=subprocess.PIPE, text=True, **settings
    )


@pytest.fixture
def folder(source, tmp_path):
    """Make a folder of music, for processes of their own."""
    for number, path in enumerate(source.frame["path"]):
        target = tmp_path / "music" / ("high", "low")[number % 2] / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source.root / path, target)
    return tmp_path / "music"


def test_a_program_that_workers_cannot_read(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("from dl4mir_utils.data import load, prepare\nprepare(load('mini/notes'), 'out', workers=1)\n")
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 1
    assert 'No worker could be started. In a program in a file, call prepare below `if __name__ == "' in done.stderr


def test_two_at_once(folder, tmp_path):
    ready(load("folder", root=folder), tmp_path / "plain")
    processes = [run(folder, tmp_path / "out", 0) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    results = [line.splitlines()[-1].split()[0] for line in said]
    assert sorted(map(int, results)) == [0, len(checksums(tmp_path / "plain"))]  # one has made all
    assert checksums(tmp_path / "out") == checksums(tmp_path / "plain")


def test_a_decoder_that_crashes(folder, tmp_path):
    """The file is named; workers are started anew, and the other files are done."""
    for path in folder.glob("*/*"):
        if path.name > "08":
            path.unlink()
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import os, soundfile\n"
        "opened = soundfile.SoundFile.__init__\n"
        "def crash(self, file, *args, **settings):\n"
        "    if os.fsdecode(file).endswith('07.flac') and 'CRASH' in os.environ:\n"
        "        os.abort()\n"
        "    opened(self, file, *args, **settings)\n"
        "soundfile.SoundFile.__init__ = crash\n"
    )
    code = RUN.replace(
        "report =", "table = load('folder', root=sys.argv[1])\nimport os; os.environ['CRASH'] = '1'\nreport ="
    )
    code = code.replace('load("folder", root=sys.argv[1]), sys', "table, sys")
    done = subprocess.run(
        [sys.executable, "-c", code, folder, tmp_path / "out", "1"],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("{'low/07.flac': 'the decoder crashed on it: the file is damaged'}")
    assert len(load("folder", prepared=tmp_path / "out")) == 7


def test_killed_at_any_moment(tmp_path):
    """The benchmark does it twenty times."""
    command = [sys.executable, ROOT / "benchmarks" / "prepared.py", "--only", "kills", "--kills", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reached" in done.stdout


@pytest.fixture
def scheduler(tmp_path):
    """Start and end a scheduler with one worker; yields functions for that."""
    processes = []
    dask = [sys.executable, "-m", "distributed.cli.dask_{}"]
    file = tmp_path / "scheduler.json"

    def start():
        file.unlink(missing_ok=True)
        own = ["--no-dashboard", "--host", "127.0.0.1", "--scheduler-file", str(file)]
        for kind, more in (("scheduler", ["--port", "0"]), ("worker", ["--nthreads", "1", "--no-nanny"])):
            command = [*dask[:2], dask[2].format(kind), *own, *more]
            processes.append(subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=tmp_path))
            while kind == "scheduler" and not file.exists():
                time.sleep(0.05)
        return json.loads(file.read_text())["address"]

    def end():
        while processes:
            processes[-1].kill()
            processes.pop().wait()

    yield start, end
    end()


def test_a_scheduler(folder, tmp_path, scheduler):
    """It is lost before all is done, and the same command goes on where it stopped."""
    start, end = scheduler
    plain, out = tmp_path / "plain", tmp_path / "out"
    ready(load("folder", root=folder), plain)
    address = start()
    process = run(folder, out, address, stderr=subprocess.PIPE)
    while process.poll() is None and not list(out.glob("shards/*.json")):
        time.sleep(0.005)
    end()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"The scheduler {address} was lost; what is done stays in {out}. Start it again" in said
    with pytest.raises(PreparedDataError, match="is not complete"):
        load("folder", prepared=out)
    said, _ = run(folder, out, start()).communicate(timeout=60)
    made, kept, failures = said.splitlines()[-1].split()
    assert int(kept) > 0 and int(made) > 0 and failures == "{}"
    assert checksums(out) == checksums(plain)


def test_the_command_takes_a_scheduler(folder, tmp_path, scheduler):
    start, _ = scheduler
    command = ["data", "prepare", "folder", "--root", str(folder), "--out", str(tmp_path / "out"), "--scheduler"]
    done = CliRunner().invoke(app, [*command, start()])
    assert done.exit_code == 0, done.output
    assert f"holds {CLIPS} clips of folder; 0 could not be decoded." in done.output


def test_progress_tells_rate_time_left_and_failures(folder, tmp_path, monkeypatch, capsys):
    table = load("folder", root=folder)
    (folder / "high" / "00.wav").write_bytes(b"no sound" * 99)
    monkeypatch.setattr(preparing, "TELL_S", 0)
    report = prepare(table, tmp_path / "out", workers=0, shard_mib=SHARD_MIB)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.endswith(" left")]
    assert len(lines) == report.made
    assert re.fullmatch(r"40 of 40 clips, \d+ times real time, 1 failed, 0:00 left", lines[-1])


def test_the_command(folder, tmp_path):
    command = ["data", "prepare", "folder", "--root", str(folder), "--out", str(tmp_path / "out"), "--workers", "0"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert f"holds {CLIPS} clips of folder; 0 could not be decoded. Shards made now: 1, there before: 0." in done.output
    assert f"load('folder', prepared={str(tmp_path / 'out')!r})" in done.output
    assert "there before: 1" in CliRunner().invoke(app, command).output
    wrong = CliRunner().invoke(app, [*command[:3], "--root", str(folder), "--out", str(folder), "--workers", "0"])
    assert wrong.exit_code == 1
    assert "holds other files" in wrong.output
