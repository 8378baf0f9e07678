"""Fetching data sets from a real server on this machine and from mirrors, through their faults; unpacking; asking."""

import glob
import hashlib
import io
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from http_server import Server
from real_files import LISTED, MIRROR

from dl4mir_utils.data import archives, data_sets, download, fetch, remove, verify
from dl4mir_utils.data.archives import CHUNK, unpack
from dl4mir_utils.data.download import folder, status
from dl4mir_utils.data.registry import DATA_SETS, DataSet, RemoteFile
from dl4mir_utils.errors import BadArgumentError, ChecksumError, DataNotFoundError, DownloadError, UnsafeArchiveError
from dl4mir_utils.paths import cache_root

SONG = np.random.default_rng(0).bytes(1_000_000)
LABELS = b"0.0 1.5 sing\n"
# A mirror may hold these for tests/test_choi.py; nobody else needs them. The first two have no licence, and the third
# is another file again, byte for byte.
TESTS_ONLY = {
    ("choi_models", "1100103.clip.npy"),
    ("choi_models", "keras2_model_best.hdf5"),
    ("choi_models", "compact_cnn_weights_layer4_tensorflow.hdf5"),
}


@pytest.fixture
def server():
    with Server() as server:
        yield server


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DL4MIR_DATA", str(tmp_path / "cache"))
    monkeypatch.delenv("DL4MIR_MIRROR", raising=False)
    monkeypatch.setattr(download, "PAUSE_S", 0.0)
    monkeypatch.setattr(download, "TIMEOUT_S", (0.5, 0.5))


@pytest.fixture
def offer(server, monkeypatch):
    """Register a data set "toy" of the given files and let the server offer them."""

    def register(contents, algorithm="sha256", needs=(), name="toy", **options):
        files = []
        for path, content in contents.items():
            server.files[f"/original/{name}/{path}"] = content
            checksum = algorithm and f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
            url = f"{server.url}/original/{name}/{path}"
            files.append(RemoteFile(path, url, len(content), checksum, **options))
        dataset = DataSet(name, "A toy", "tests", "CC0", "", "", "", "", tuple(files), needs)
        monkeypatch.setitem(DATA_SETS, name, dataset)
        return dataset

    return register


def make_zip(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def contents(home):
    """Everything under a folder but the record: path -> bytes."""
    files = {path.relative_to(home).as_posix(): path for path in home.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name != download.RECORD}


# The way it should go


def test_fetch_then_nothing_to_do(server, offer):
    offer({"a/song.ogg": SONG, "labels.txt": LABELS})
    home = fetch("toy")
    assert home == folder("toy") == cache_root() / "toy"
    assert contents(home) == {"a/song.ogg": SONG, "labels.txt": LABELS}
    assert status("toy") == ("complete", len(SONG) + len(LABELS))
    requests = len(server.asked)
    start = time.perf_counter()
    assert fetch("toy") == home
    assert time.perf_counter() - start < 0.05
    assert len(server.asked) == requests == 2


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5"])
def test_checksums(server, offer, algorithm):
    offer({"song.ogg": SONG}, algorithm)
    server.faults["/original/toy/song.ogg"] = ["wrong byte"]
    with pytest.raises(ChecksumError, match=rf"not the right file \({algorithm}:.*thrown away"):
        fetch("toy")
    assert not (folder("toy") / "song.ogg").exists()
    assert not (folder("toy") / "song.ogg.part").exists()
    fetch("toy")
    assert verify("toy") == []


def test_names_with_spaces_and_accents(offer):
    names = ["Jürgen - Ça va (100% #1)/song.txt", "A & B - Can't?/audio.ogg"]
    offer(dict.fromkeys(names, LABELS))
    # A registry holds addresses as they are sent.
    dataset = DATA_SETS["toy"]
    from urllib.parse import quote

    files = tuple(replace(file, url=file.url.replace(file.path, quote(file.path))) for file in dataset.files)
    DATA_SETS["toy"] = replace(dataset, files=files)
    assert contents(fetch("toy")) == dict.fromkeys(names, LABELS)


def test_only_some_files(offer):
    offer({"audio.zip": SONG, "tags.csv": LABELS})
    assert contents(fetch("toy", only="*.csv")) == {"tags.csv": LABELS}
    assert status("toy").state == "partial"
    with pytest.raises(BadArgumentError, match=r"It has: audio\.zip, tags\.csv"):
        fetch("toy", only="*.mp3")


def test_needed_sets_come_along_once(server, offer):
    offer({"tables.csv": LABELS}, name="tables")
    offer({"song.ogg": SONG}, needs=("tables",))
    fetch("toy")
    fetch("tables")
    assert contents(folder("tables")) == {"tables.csv": LABELS}
    assert [path for path, _ in server.asked] == ["/original/tables/tables.csv", "/original/toy/song.ogg"]


def test_cache_folder(monkeypatch, tmp_path):
    assert cache_root() == tmp_path / "cache"
    monkeypatch.delenv("DL4MIR_DATA")
    assert cache_root().name == "dl4mir"
    assert cache_root().is_absolute()


# What servers and networks do


def test_a_broken_connection_goes_on_where_it_stopped(server, offer):
    offer({"song.ogg": SONG})
    server.faults["/original/toy/song.ogg"] = ["drop", "drop"]
    assert contents(fetch("toy")) == {"song.ogg": SONG}
    # What was not yet a whole chunk when the connection broke is lost.
    first = len(SONG) // 2 // CHUNK * CHUNK
    second = first + (len(SONG) - first) // 2 // CHUNK * CHUNK
    assert [asked for _, asked in server.asked] == [None, f"bytes={first}-", f"bytes={second}-"]
    assert server.sent[2] == len(SONG) - second


def test_an_interrupted_process_goes_on_where_it_stopped(server, offer, monkeypatch):
    offer({"song.ogg": SONG})
    server.faults["/original/toy/song.ogg"] = ["drop"]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(download.time, "sleep", lambda s: (_ for _ in ()).throw(KeyboardInterrupt))
        fetch("toy")
    assert not (folder("toy") / "song.ogg").exists()
    assert status("toy").state == "partial"
    assert contents(fetch("toy")) == {"song.ogg": SONG}
    assert server.sent[1] == len(SONG) - len(SONG) // 2 // CHUNK * CHUNK


def test_a_killed_process_leaves_no_lock_and_what_it_got(server, offer):
    dataset = offer({"song.ogg": SONG})
    server.faults["/original/toy/song.ogg"] = ["hang"]
    code = (
        "from dl4mir_utils.data.registry import *; from dl4mir_utils.data import download\n"
        f"DATA_SETS['toy'] = {dataset!r}\ndownload.fetch('toy')"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    part = folder("toy") / "song.ogg.part"
    deadline = time.time() + 20
    while time.time() < deadline and not (part.exists() and part.stat().st_size >= len(SONG) * 0.4):
        time.sleep(0.02)
    with pytest.raises(DownloadError, match="Another program is working on"):
        fetch("toy")
    process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    process.wait()
    got = part.stat().st_size
    assert contents(fetch("toy")) == {"song.ogg": SONG}
    assert server.sent[-1] == len(SONG) - got


def test_a_server_without_ranges_starts_again(server, offer):
    offer({"song.ogg": SONG})
    server.ranges = False
    server.faults["/original/toy/song.ogg"] = ["drop"]
    assert contents(fetch("toy")) == {"song.ogg": SONG}
    assert server.sent == [len(SONG) // 2, len(SONG)]


def test_a_file_that_changed_meanwhile_starts_again(server, offer):
    path = "/original/toy/song.ogg"
    offer({"song.ogg": SONG})
    server.files[path] = SONG[::-1]
    server.faults[path] = ["drop", 500, 500, 500, 500, 500]
    with pytest.raises(DownloadError):
        fetch("toy")
    server.files[path] = SONG
    assert contents(fetch("toy")) == {"song.ogg": SONG}
    assert server.asked[-1] == (path, f"bytes={len(SONG) // 2 // CHUNK * CHUNK}-")
    assert server.sent[-1] == len(SONG)


@pytest.mark.parametrize("held", [len(SONG), len(SONG) + 1])
def test_a_part_that_is_whole_or_too_long(server, offer, held):
    offer({"song.ogg": SONG})
    server.faults["/original/toy/song.ogg"] = ["drop", 500, 500, 500, 500, 500]
    with pytest.raises(DownloadError):
        fetch("toy")
    (folder("toy") / "song.ogg.part").write_bytes((SONG + b"x")[:held])
    assert contents(fetch("toy")) == {"song.ogg": SONG}


@pytest.mark.parametrize(("fault", "tries"), [(404, 1), (403, 1), (500, 5), (503, 5), (429, 5)])
def test_status_codes(server, offer, fault, tries):
    offer({"song.ogg": SONG})
    server.faults["/original/toy/song.ogg"] = [fault] * 10
    with pytest.raises(DownloadError) as caught:
        fetch("toy")
    assert len(server.asked) == tries
    message = str(caught.value)
    for said in (str(fault), f"{server.url}/original/toy/song.ogg", "DL4MIR_MIRROR", "dl4mir data fetch toy"):
        assert said in message
    assert contents(folder("toy")) == {}
    assert isinstance(caught.value, DataNotFoundError)


def test_a_server_that_recovers(server, offer):
    offer({"song.ogg": SONG})
    server.faults["/original/toy/song.ogg"] = [500, 500, None]
    assert contents(fetch("toy")) == {"song.ogg": SONG}


def test_retries_wait_longer_each_time(server, offer, monkeypatch):
    waits = []
    monkeypatch.setattr(download, "PAUSE_S", 1.0)
    monkeypatch.setattr(download.time, "sleep", waits.append)
    offer({"song.ogg": SONG})
    server.faults["/original/toy/song.ogg"] = [500] * 10
    with pytest.raises(DownloadError, match="tried 5 times: 500"):
        fetch("toy")
    assert waits == [1, 2, 4, 8]


def test_a_server_that_hangs_ends_in_an_error(server, offer, monkeypatch):
    monkeypatch.setattr(download, "RETRIES", 1)
    offer({"song.ogg": SONG})
    server.ranges = False
    server.faults["/original/toy/song.ogg"] = ["hang"] * 10
    start = time.perf_counter()
    with pytest.raises(DownloadError, match="did not answer in time"):
        fetch("toy")
    assert time.perf_counter() - start < 5


def test_a_redirection_is_followed(server, offer):
    offer({"song.ogg": SONG})
    server.files["/elsewhere"] = SONG
    server.faults["/original/toy/song.ogg"] = ["/elsewhere"]
    assert contents(fetch("toy")) == {"song.ogg": SONG}


def test_redirections_in_a_circle_end_in_an_error(server, offer):
    offer({"song.ogg": SONG})
    server.faults["/original/toy/song.ogg"] = ["/original/toy/song.ogg"] * 40
    with pytest.raises(DownloadError, match="redirects"):
        fetch("toy")


def test_no_network(offer, monkeypatch):
    dataset = offer({"song.ogg": SONG})
    closed = replace(dataset.files[0], url="http://127.0.0.1:9/song.ogg")
    monkeypatch.setitem(DATA_SETS, "toy", replace(dataset, files=(closed,)))
    with pytest.raises(DownloadError, match="no connection to the server"):
        fetch("toy")


def test_another_address_of_the_same_bytes(server, offer, monkeypatch):
    dataset = offer({"song.ogg": SONG})
    server.files["/copy"] = SONG
    dead = replace(dataset.files[0], url=f"{server.url}/dead", also=(f"{server.url}/copy",))
    monkeypatch.setitem(DATA_SETS, "toy", replace(dataset, files=(dead,)))
    assert contents(fetch("toy")) == {"song.ogg": SONG}


def test_without_a_published_checksum_an_archive_must_be_one(server, offer):
    content = make_zip({"x.txt": LABELS})
    offer({"all.zip": content}, algorithm=None, extract=True)
    server.files["/original/toy/all.zip"] = b"<html>Please log in to this hotel's network</html>"
    with pytest.raises(ChecksumError, match="an archive was expected"):
        fetch("toy")
    server.files["/original/toy/all.zip"] = content
    assert contents(fetch("toy")) == {"all/x.txt": LABELS}


# Mirrors


def test_mirror_folder_is_tried_first(server, offer, tmp_path, monkeypatch):
    offer({"a/song.ogg": SONG, "labels.txt": LABELS})
    (tmp_path / "mirror/toy/a").mkdir(parents=True)
    (tmp_path / "mirror/toy/a/song.ogg").write_bytes(SONG)
    monkeypatch.setenv("DL4MIR_MIRROR", str(tmp_path / "mirror"))
    assert contents(fetch("toy")) == {"a/song.ogg": SONG, "labels.txt": LABELS}
    assert [path for path, _ in server.asked] == ["/original/toy/labels.txt"]


def test_mirror_address_is_tried_first(server, offer, monkeypatch):
    offer({"A & B - 100%/song.ogg": SONG})
    server.files["/mirror/toy/A & B - 100%/song.ogg"] = SONG
    monkeypatch.setenv("DL4MIR_MIRROR", f"{server.url}/mirror/")
    assert contents(fetch("toy")) == {"A & B - 100%/song.ogg": SONG}
    assert len(server.asked) == 1


@pytest.mark.parametrize("kind", ["folder", "address"])
def test_a_mirror_with_other_bytes_is_not_believed(server, offer, tmp_path, monkeypatch, kind):
    offer({"song.ogg": SONG})
    (tmp_path / "mirror/toy").mkdir(parents=True)
    (tmp_path / "mirror/toy/song.ogg").write_bytes(SONG[::-1])
    server.files["/mirror/toy/song.ogg"] = SONG[::-1]
    mirror = str(tmp_path / "mirror") if kind == "folder" else f"{server.url}/mirror"
    monkeypatch.setenv("DL4MIR_MIRROR", mirror)
    assert contents(fetch("toy")) == {"song.ogg": SONG}
    assert (tmp_path / "mirror/toy/song.ogg").read_bytes() == SONG[::-1], "the mirror is not touched"


@pytest.mark.skipif(not LISTED, reason="DL4MIR_MIRROR names no folder with a registry.tsv")
@pytest.mark.parametrize("name", sorted({row["dataset"] for row in LISTED} & set(DATA_SETS)))
def test_the_real_files(name, monkeypatch):
    monkeypatch.setenv("DL4MIR_MIRROR", str(MIRROR))
    there = {row["file"]: int(row["bytes"]) for row in LISTED if row["dataset"] == name}
    there = {file: size for file, size in there.items() if (name, file) not in TESTS_ONLY}
    for file in there:
        home = fetch(name, only=glob.escape(file))
    assert {file: len(content) for file, content in contents(home).items()} == there
    # What the mirror lacks is named as missing, and nothing that came from it is found wrong.
    assert set(verify(name)) == {file.path for file in DATA_SETS[name].files} - set(there)


# What lies on the disk


def test_files_put_there_by_hand_are_taken_if_they_are_right(server, offer):
    offer({"song.ogg": SONG, "labels.txt": LABELS})
    folder("toy").mkdir(parents=True)
    (folder("toy") / "song.ogg").write_bytes(SONG)
    (folder("toy") / "labels.txt").write_bytes(b"mine")
    fetch("toy")
    assert [path for path, _ in server.asked] == ["/original/toy/labels.txt"]
    assert contents(folder("toy")) == {"song.ogg": SONG, "labels.txt": LABELS, "labels.txt.old1": b"mine"}


def test_verify_finds_damage_and_fetch_repairs_it(server, offer):
    offer({"song.ogg": SONG, "labels.txt": LABELS, "more.txt": LABELS})
    home = fetch("toy")
    (home / "song.ogg").write_bytes(SONG[::-1])
    (home / "labels.txt").unlink()
    assert verify("toy") == ["song.ogg", "labels.txt"]
    assert status("toy").state == "partial"
    fetch("toy")
    assert verify("toy") == []
    assert len(server.asked) == 5


def test_verify_finds_damage_inside_an_archive(offer):
    offer({"all.zip": make_zip({f"all/{i}.txt": b"%d" % i for i in range(5)})}, extract=True)
    home = fetch("toy")
    assert verify("toy") == []
    (home / "all/3.txt").write_bytes(b"4")
    (home / "all/1.txt").unlink()
    assert verify("toy") == ["all/1.txt", "all/3.txt"]
    fetch("toy")
    assert verify("toy") == []
    assert (home / "all/3.txt").read_bytes() == b"3"


def test_another_checksum_in_the_registry_fetches_anew(server, offer):
    offer({"song.ogg": SONG})
    fetch("toy")
    offer({"song.ogg": SONG[::-1]})
    assert status("toy").state == "partial"
    assert contents(fetch("toy")) == {"song.ogg": SONG[::-1], "song.ogg.old1": SONG}


def test_verify_what_is_not_there(offer):
    offer({"song.ogg": SONG})
    with pytest.raises(DataNotFoundError, match="dl4mir data fetch toy"):
        verify("toy")


def test_remove_deletes_only_that_folder(offer):
    offer({"song.ogg": SONG})
    offer({"song.ogg": SONG}, name="toy_two")
    fetch("toy")
    fetch("toy_two")
    remove("toy", yes=True)
    assert not folder("toy").exists()
    assert status("toy") == ("absent", 0)
    assert status("toy_two").state == "complete"
    with pytest.raises(DataNotFoundError):
        remove("toy", yes=True)


def test_remove_leaves_what_it_did_not_bring(offer, tmp_path):
    offer({"song.ogg": SONG})
    folder("toy").mkdir(parents=True)
    (folder("toy") / "song.ogg").write_bytes(SONG)
    with pytest.raises(DataNotFoundError, match="delete it yourself"):
        remove("toy", yes=True)
    assert (folder("toy") / "song.ogg").exists()


def test_a_full_disk_is_seen_before_it_is_full(server, offer, monkeypatch):
    offer({"all.zip": make_zip({"x": SONG})}, extract=True)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda path: Usage(1_500_000))
    with pytest.raises(DownloadError, match=r"2\.0 MB are needed in .*, 1\.5 MB are free.*DL4MIR_DATA"):
        fetch("toy")
    assert server.asked == []


class Usage:
    def __init__(self, free):
        self.free = free


def test_a_full_disk_of_an_unknown_size_is_seen_when_the_server_says_it(server, offer, monkeypatch):
    dataset = offer({"song.ogg": SONG})
    monkeypatch.setitem(DATA_SETS, "toy", replace(dataset, files=(replace(dataset.files[0], size=None),)))
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda path: Usage(500_000))
    with pytest.raises(DownloadError, match="Not enough disk space"):
        fetch("toy", yes=True)
    assert contents(folder("toy")) == {}


def test_a_folder_that_cannot_be_written(offer, tmp_path, monkeypatch):
    offer({"song.ogg": SONG})
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(DownloadError, match="DL4MIR_DATA"):
        fetch("toy")


# Asking


@pytest.fixture
def large(offer, monkeypatch):
    dataset = offer({"song.ogg": SONG})
    monkeypatch.setitem(DATA_SETS, "toy", replace(dataset, files=(replace(dataset.files[0], size=7_200_000_000),)))
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda path: Usage(1e12))


def answer(monkeypatch, text):
    questions = []
    monkeypatch.setattr("builtins.input", lambda question: questions.append(question) or text)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    return questions


def test_large_sets_ask(large, monkeypatch):
    questions = answer(monkeypatch, "y")
    fetch("toy")
    (question,) = questions
    assert "7.2 GB" in question and "CC0" in question


def test_no_means_no(large, server, monkeypatch):
    answer(monkeypatch, "n")
    with pytest.raises(DownloadError, match="Nothing was done"):
        fetch("toy")
    assert server.asked == []


def test_an_unknown_size_asks_and_a_small_one_does_not(offer, monkeypatch):
    dataset = offer({"song.ogg": SONG})
    questions = answer(monkeypatch, "n")
    fetch("toy")
    remove("toy", yes=True)
    assert questions == []
    monkeypatch.setitem(DATA_SETS, "toy", replace(dataset, files=(replace(dataset.files[0], size=None),)))
    with pytest.raises(DownloadError):
        fetch("toy")
    assert "unknown" in questions[0]


def test_where_nobody_can_answer_the_error_names_the_command(large, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(DownloadError, match="dl4mir data fetch toy --yes"):
        fetch("toy")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DownloadError, match="dl4mir data fetch toy --yes"):
        fetch("toy")


def test_remove_asks(offer, monkeypatch):
    offer({"song.ogg": SONG})
    fetch("toy")
    answer(monkeypatch, "")
    with pytest.raises(DownloadError, match="dl4mir data remove toy --yes"):
        remove("toy")
    assert status("toy").state == "complete"
    answer(monkeypatch, "yes")
    remove("toy")
    assert status("toy").state == "absent"


def test_in_a_notebook_it_asks_and_never_hangs():
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")
    try:
        code = "from dl4mir_utils.data import fetch; fetch('fma_small')"
        questions, errors = [], []

        def say_no(message):
            questions.append(message["content"]["prompt"])
            client.input("n")

        for options in ({"allow_stdin": True, "stdin_hook": say_no}, {"allow_stdin": False}):
            reply = client.execute_interactive(code, timeout=60, output_hook=lambda _: None, **options)
            errors.append(reply["content"]["evalue"])
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert len(questions) == 1 and "8.1 GB" in questions[0]
    assert errors[0].startswith("Nothing was done")
    assert errors[1].endswith("dl4mir data fetch fma_small --yes")


# Archives


def tell(done, total):
    assert 0 <= done <= total


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_unpack(offer, kind, wrapped, capsys):
    top = "anything/" if wrapped else ""
    members = {
        f"{top}{name}": content for name, content in {"a/song.ogg": SONG, "b.txt": LABELS, "._b.txt": b"x"}.items()
    }
    members["__MACOSX/a.txt"] = b"x"
    offer({f"all.{kind}": make_zip(members) if kind == "zip" else make_tar(members)}, extract=True)
    home = fetch("toy")
    assert contents(home) == {"all/a/song.ogg": SONG, "all/b.txt": LABELS}
    assert "2 ghost files" in capsys.readouterr().out
    assert verify("toy") == []
    assert status("toy").state == "complete"


def make_tar(members):
    """Build a tar.gz of contents, or of TarInfo for what is no file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            entry = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if not isinstance(content, tarfile.TarInfo):
                entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content) if not isinstance(content, tarfile.TarInfo) else None)
    return buffer.getvalue()


def test_parts_are_joined(server, offer, monkeypatch):
    whole = make_zip({"a/song.ogg": SONG, "b/labels.txt": LABELS})
    pieces = {f"mp3.zip.00{i + 1}": whole[i * 400_000 : (i + 1) * 400_000] for i in range(3)}
    offer(pieces, algorithm="md5", part_of="mp3.zip")
    server.faults["/original/toy/mp3.zip.003"] = [404]
    with pytest.raises(DownloadError, match=r"mp3\.zip\.003"):
        fetch("toy")
    assert contents(fetch("toy")) == {"mp3/a/song.ogg": SONG, "mp3/b/labels.txt": LABELS}
    assert len(server.asked) == 4, "the parts that were there came once"
    assert verify("toy") == []
    (folder("toy") / "mp3/a/song.ogg").unlink()
    assert verify("toy") == ["mp3/a/song.ogg"]
    fetch("toy")
    assert verify("toy") == []


UNSAFE = [
    "../evil.txt",
    "a/../../evil.txt",
    "/evil.txt",
    "C:/evil.txt",
    "C:evil.txt",
    "a\\..\\evil.txt",
    "a/.. /evil.txt",
]


@pytest.mark.parametrize("name", UNSAFE)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_members_that_leave_the_folder(offer, tmp_path, make, name):
    suffix = "zip" if make is make_zip else "tar.gz"
    offer({f"all.{suffix}": make({"good.txt": LABELS, name: b"evil"})}, extract=True)
    with pytest.raises(UnsafeArchiveError, match="Nothing of it was kept") as caught:
        fetch("toy")
    assert repr(name) in str(caught.value)
    assert list(contents(folder("toy"))) == [f"all.{suffix}"]
    assert not list(tmp_path.rglob("evil*"))
    assert not [path for path in folder("toy").iterdir() if path.is_dir()]


def symbolic_link(name, to):
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("good.txt", LABELS)
        archive.writestr(entry, to)
    return buffer.getvalue()


def special(kind, to=""):
    entry = tarfile.TarInfo("odd")
    entry.type, entry.linkname = kind, to
    return make_tar({"good.txt": LABELS, "odd": entry})


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        ("zip", symbolic_link("odd", "/etc/passwd")),
        ("zip", symbolic_link("odd", "good.txt")),
        ("tar.gz", special(tarfile.SYMTYPE, "../..")),
        ("tar.gz", special(tarfile.LNKTYPE, "good.txt")),
        ("tar.gz", special(tarfile.CHRTYPE)),
        ("tar.gz", special(tarfile.FIFOTYPE)),
    ],
)
def test_links_and_devices(tmp_path, suffix, content):
    (tmp_path / f"all.{suffix}").write_bytes(content)
    with pytest.raises(UnsafeArchiveError, match="'odd' is a link or a device"):
        unpack(tmp_path / f"all.{suffix}", tmp_path / "all", tell)
    assert [path.name for path in tmp_path.iterdir()] == [f"all.{suffix}"]


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_bombs(tmp_path, make, monkeypatch):
    archive = tmp_path / ("all.zip" if make is make_zip else "all.tar.gz")
    archive.write_bytes(make({"zeros": bytes(20_000_000)}))
    with pytest.raises(UnsafeArchiveError, match="'zeros' makes it a bomb"):
        unpack(archive, tmp_path / "all", tell)
    monkeypatch.setattr(archives, "MAX_FILES", 5)
    archive.write_bytes(make({f"{i}.txt": b"" for i in range(6)}))
    with pytest.raises(UnsafeArchiveError, match="5 files"):
        unpack(archive, tmp_path / "all", tell)
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


@pytest.mark.parametrize("names", [("a.txt", "./a.txt"), ("a", "a/b.txt"), ("a/b.txt", "a")])
def test_members_that_stand_there_twice(tmp_path, names):
    (tmp_path / "all.zip").write_bytes(make_zip(dict.fromkeys(names, LABELS)))
    with pytest.raises(UnsafeArchiveError, match="stands in it twice"):
        unpack(tmp_path / "all.zip", tmp_path / "all", tell)
    assert [path.name for path in tmp_path.iterdir()] == ["all.zip"]


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_damaged_archives(tmp_path, make):
    archive = tmp_path / ("all.zip" if make is make_zip else "all.tar.gz")
    content = bytearray(make({"song.ogg": SONG}))
    changed = content[:500_000] + bytes(100) + content[500_100:]
    for damage in (content[: len(content) // 2], b"", changed if make is make_zip else content[10:]):
        archive.write_bytes(damage)
        with pytest.raises(DownloadError, match="damaged"):
            unpack(archive, tmp_path / "all", tell)
        assert [path.name for path in tmp_path.iterdir()] == [archive.name]


def test_unpacking_is_whole_or_not_at_all(server, offer, monkeypatch):
    offer({"all.zip": make_zip({f"{i}.txt": LABELS for i in range(5)})}, extract=True)
    real, calls = archives._write, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(archives, "_write", interrupted)
        fetch("toy")
    assert list(contents(folder("toy"))) == ["all.zip"]
    assert len(contents(fetch("toy"))) == 5
    assert len(server.asked) == 1, "the archive came once"


# The registry


def test_registry_is_sound():
    for name, dataset in DATA_SETS.items():
        assert name == dataset.name
        assert all(
            [dataset.title, dataset.purpose, dataset.licence, dataset.homepage, dataset.url_state, dataset.split]
        )
        assert dataset.files
        assert set(dataset.needs) <= set(DATA_SETS)
        assert len({file.path for file in dataset.files}) == len(dataset.files)
        for file in dataset.files:
            assert file.url.startswith("https://")
            assert not Path(file.path).is_absolute() and ".." not in file.path and "\\" not in file.path
            if file.checksum:
                algorithm, _, digest = file.checksum.partition(":")
                assert len(digest) == 2 * hashlib.new(algorithm).digest_size and int(digest, 16)


@pytest.mark.skipif(not LISTED, reason="DL4MIR_MIRROR names no folder with a registry.tsv")
def test_the_registry_agrees_with_the_mirror():
    """Where the course knows a data set, it knows every file of it that the mirror lists, but for those of tests."""
    listed = {(row["dataset"], row["file"]): (int(row["bytes"]), f"sha256:{row['sha256']}") for row in LISTED}
    there = {key: value for key, value in listed.items() if key[0] in DATA_SETS and key not in TESTS_ONLY}
    known = {(name, f.path): (f.size, f.checksum) for name, dataset in DATA_SETS.items() for f in dataset.files}
    assert {key: known.get(key) for key in there} == there and not TESTS_ONLY & set(known)
    assert all((MIRROR / name / file).stat().st_size == size for (name, file), (size, _) in listed.items())


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(BadArgumentError, match="Did you mean 'fma_small'"):
        fetch("fma-small")
    with pytest.raises(BadArgumentError, match="There are: fma_metadata"):
        folder("xyz")


def test_table_of_data_sets(offer):
    offer({"song.ogg": SONG})
    fetch("toy")
    table = data_sets()
    assert list(table.index) == list(DATA_SETS)
    assert table.loc["toy", "here"] == "complete"
    assert table.loc["fma_small", "download"] == "7.7 GB"
    assert table.loc["jamendo_vad", "download"] == "unknown"


def test_progress_is_silent_where_no_terminal_is(offer, capsys):
    offer({"song.ogg": SONG})
    fetch("toy")
    assert capsys.readouterr() == ("", "")


def test_progress_bar_in_a_terminal(offer, capsys, monkeypatch):
    offer({"all.zip": make_zip({"song.ogg": SONG})}, extract=True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    fetch("toy")
    shown = capsys.readouterr().out
    assert "toy" in shown and "unpacking all.zip" in shown and "1.0/1.0 MB" in shown
