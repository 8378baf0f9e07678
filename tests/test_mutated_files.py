"""Damaged files: whatever is in them, decoding neither crashes nor hangs nor fills the memory, and names the file.

Run as a program, this file is the worker that decodes: it takes names of files from its input.
"""

import faulthandler
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from dl4mir_utils import AudioDecodeError
from dl4mir_utils.decoding import audio_blocks, file_duration, load_audio, load_excerpts

PER_FORMAT = 300
LIMIT_S = 5
LIMIT_MIB = 350
HEAD = 1024  # bytes, where most of what is not sound is
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x3FFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
SOUNDFILE_FORMATS = {
    "wav": ("WAV", "PCM_16", 16000),
    "flac": ("FLAC", "PCM_16", 16000),
    "ogg": ("OGG", "VORBIS", 16000),
    "opus": ("OGG", "OPUS", 48000),
    "mp3": ("MP3", "MPEG_LAYER_III", 16000),
    "aiff": ("AIFF", "PCM_16", 16000),
}
FORMATS = [*SOUNDFILE_FORMATS, "m4a"]


def make_sources(folder, seconds=2.0):
    """Encode a part of a clip to every format; return the bytes by ending."""
    import av
    import soundfile

    clip = load_audio(Path(__file__).parent.parent / "data" / "mini" / "clips" / "0ad_01_0.ogg", 48000, 3, seconds)
    sources = {}
    for ending, (container, subtype, rate) in SOUNDFILE_FORMATS.items():
        sound = np.stack([clip, clip[::-1]], axis=1)[:: 48000 // rate]
        soundfile.write(folder / f"source.{ending}", sound, rate, format=container, subtype=subtype)
        sources[ending] = (folder / f"source.{ending}").read_bytes()
    # The index first, as in files for the network: there the mutations of the head find it.
    with av.open(str(folder / "source.m4a"), "w", options={"movflags": "faststart"}) as file:
        stream = file.add_stream("aac", rate=48000, layout="mono")
        for start in range(0, len(clip), 1024):
            frame = av.AudioFrame.from_ndarray(clip[np.newaxis, start : start + 1024], "fltp", "mono")
            frame.sample_rate, frame.pts = 48000, start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    sources["m4a"] = (folder / "source.m4a").read_bytes()
    return sources


def mutate(source, random):
    """Damage a file in one to three ways."""
    content = bytearray(source)
    for _ in range(random.integers(1, 4)):
        size = len(content)
        head = min(HEAD, size)
        where = int(random.integers(size))
        length = int(random.integers(1, max(2, size // 4)))
        kind = random.integers(8)
        if kind == 0:  # bytes of the head
            for place in random.integers(head, size=random.integers(1, 9)):
                content[place] = random.integers(256)
        elif kind == 1:  # bits anywhere
            for place in random.integers(size, size=random.integers(1, 65)):
                content[place] ^= 1 << random.integers(8)
        elif kind == 2:
            del content[max(1, where) :]
        elif kind == 3:
            content[where:where] = content[where : where + length]
        elif kind == 4:
            del content[where : where + length]
            content = content or bytearray(source[:1])
        elif kind == 5:
            content[where : where + length] = bytes(len(content[where : where + length]))
        else:  # fields of the head, in either order of bytes
            for place in random.integers(head, size=random.integers(1, 4)):
                width, order = random.choice([1, 2, 4, 8]), str(random.choice(["little", "big"]))
                value = EXTREMES[random.integers(len(EXTREMES))] % 256 ** int(width)
                content[place : place + width] = value.to_bytes(int(width), order)
    return bytes(content)


def with_checksums(content):
    """Repair the checksums of all Ogg pages, without which a decoder passes damaged ones over."""
    content = bytearray(content)
    start = content.find(b"OggS")
    while 0 <= start <= len(content) - 27:
        lengths = content[start + 26]
        end = start + 27 + lengths + sum(content[start + 27 : start + 27 + lengths])
        content[start + 22 : start + 26] = bytes(4)
        content[start + 22 : start + 26] = struct.pack("<I", ogg_checksum(content[start:end]))
        start = content.find(b"OggS", start + 27)
    return bytes(content)


def _checksum_table():
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x104C11DB7 if value & 0x80000000 else 0)
        table.append(value)
    return table


CHECKSUMS = _checksum_table()


def ogg_checksum(page):
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFFFFFF) ^ CHECKSUMS[value >> 24 ^ byte]
    return value


def decode_everything(path):
    """Use all that decodes; return what was wrong with how it did."""
    duration_s = 1.0
    wrong = []

    def check(audio):
        if audio.dtype != np.float32 or audio.ndim > 2:
            wrong.append(f"gave {audio.dtype} {audio.shape}")

    def measure():
        nonlocal duration_s
        duration_s = file_duration(path)
        if not 0 < duration_s < float("inf"):
            wrong.append(f"lasts {duration_s} s")

    def excerpts():
        check(load_excerpts(path, 16000, [0.0, duration_s / 2, duration_s / 4], 0.1))

    def blocks():
        for block in audio_blocks(path):
            check(block)

    for use in (measure, excerpts, blocks):
        try:
            use()
        except AudioDecodeError as error:
            reason = error.failures.get(path, "")
            if not reason or "\n" in reason or path not in str(error):
                wrong.append(f"refused with {error}")
        except Exception as error:  # every other one is what the test looks for
            wrong.append(f"{use.__name__}: {type(error).__name__}: {error}")
    return wrong


def peak_mib():
    """Return the most memory that this process has held, in MiB; 0 where the system does not tell."""
    try:
        # On Linux, what getrusage tells counts the process that started this one, too.
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 2**10
    except (OSError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def work():
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))  # so that a failure harms nothing else
    except (ImportError, ValueError, OSError):
        pass
    for line in sys.stdin:
        path = line.rstrip("\n")
        print("begin", path, flush=True)
        faulthandler.dump_traceback_later(LIMIT_S, exit=True)
        wrong = decode_everything(path)
        faulthandler.cancel_dump_traceback_later()
        if peak_mib() > LIMIT_MIB:
            wrong.append(f"took {peak_mib():.0f} MiB")
        print("end", "; ".join(wrong).replace("\n", " "), flush=True)
        if peak_mib() > LIMIT_MIB:
            return


def decode_in_worker(paths):
    """Let worker processes decode files; return what went wrong, by file."""
    failures, waiting = {}, [str(path) for path in paths]
    while waiting:
        worker = subprocess.run(
            [sys.executable, __file__],
            input="\n".join(waiting) + "\n",
            capture_output=True,
            text=True,
            errors="replace",
        )
        done = worker.stdout.splitlines()
        begun = sum(line.startswith("begin ") for line in done)
        ends = [line[4:] for line in done if line.startswith("end ")]
        failures |= {path: wrong for path, wrong in zip(waiting, ends, strict=False) if wrong}
        if not begun:
            raise RuntimeError(f"the worker does not start: {worker.stderr[-2000:]}")
        if len(ends) < begun:
            failures[waiting[begun - 1]] = f"the worker ended with {worker.returncode}: {worker.stderr[-3000:]}"
        waiting = waiting[begun:]
    return failures


def make_mutations(folder, sources, count, seed=0):
    """Write `count` damaged files of every format; return their paths."""
    paths = []
    for ending, source in sources.items():
        for number in range(count):
            random = np.random.default_rng([seed, FORMATS.index(ending), number])
            content = mutate(source, random)
            if ending in ("ogg", "opus") and number % 2:
                content = with_checksums(content)
            paths.append(folder / f"{number:05}.{ending}")
            paths[-1].write_bytes(content)
    return paths


def test_damaged_files_break_nothing(tmp_path):
    pytest.importorskip("av")
    paths = make_mutations(tmp_path, make_sources(tmp_path), PER_FORMAT)
    assert len(paths) >= 2100
    with ThreadPoolExecutor(2) as pool:
        failures = {}
        for found in pool.map(decode_in_worker, (paths[::2], paths[1::2])):
            failures |= found
    assert failures == {}


def test_an_index_that_claims_millions_of_blocks(tmp_path):
    av = pytest.importorskip("av")
    if not list((Path(av.__file__).parent.parent / "av.libs").glob("*avutil*")):
        pytest.skip("this PyAV uses the system's FFmpeg")
    source = make_sources(tmp_path)["m4a"]
    paths = []
    for size, count in ((1, 0x03FFFFFF), (1, 0x05555554), (100, 0x0FFFFFFF), (1, 0xFFFFFFFF)):
        content = bytearray(source)
        sizes, chunks = content.find(b"stsz"), content.find(b"stsc")
        content[sizes + 8 : sizes + 16] = struct.pack(">II", size, count)
        for in_a_chunk in (None, 0x7FFFFFFF):
            if in_a_chunk:
                content[chunks + 16 : chunks + 20] = struct.pack(">I", in_a_chunk)
            paths.append(tmp_path / f"{size} {count} {in_a_chunk}.m4a")
            paths[-1].write_bytes(content)
    assert decode_in_worker(paths) == {}


def test_the_sources_themselves_decode(tmp_path):
    pytest.importorskip("av")
    for ending, source in make_sources(tmp_path).items():
        path = tmp_path / f"whole.{ending}"
        path.write_bytes(with_checksums(source) if ending in ("ogg", "opus") else source)
        assert file_duration(path) == pytest.approx(2, abs=0.15), ending
        assert decode_everything(str(path)) == []


if __name__ == "__main__":
    work()
