"""Rebuild data/mini/notes from a Debian package: every recorded note, its bytes and its row in notes.csv.

    .venv/bin/python tools/recipes/build_notes.py             # download the package (apt-get), rebuild, write data/mini
    .venv/bin/python tools/recipes/build_notes.py --check     # rebuild and compare with data/mini, byte for byte
    .venv/bin/python tools/recipes/build_notes.py --debs DIR  # use a package that lies in DIR already

Needs a Debian whose apt knows the package (Debian 12), dpkg-deb, and 300 MB of disk while it runs. The package is a
SoundFont: a RIFF file with recordings of single notes and the tables of a synthesiser, of which only the recordings are
used (no loop, no filter, no envelope). What a note is made of:

1. the first second of the recording, its left channel where there are two, resampled to 16 kHz (soxr, very high
   quality), with 10 ms of fade at its end,
2. turned down, never up, so that the peak is at most -3 dBFS: the lossy codec overshoots,
3. Ogg Vorbis with a fixed serial number, as in tools/recipes/build_mini.py.

The note's name is the SoundFont's; its octave was checked by hand, because makers count octaves differently, and each
note whose measured pitch is more than 30 cents away from its name is refused.
"""

import argparse
import hashlib
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import soxr
from build_mini import MINI, SAMPLE_RATE, encode_clip

from dl4mir_utils.synth import NOTE_NAMES

PACKAGE, VERSION = "fluid-soundfont-gm", "3.1-5.3"
SHA256 = "6f531493ac4e4d9772fd96b2488ea1790af81c196135fbdd25997da0781fc60e"
SOUNDFONT = "usr/share/sounds/sf2/FluidR3_GM.sf2"
PEAK = 10 ** (-3 / 20)
TOLERANCE_CENTS = 30

# Instrument -> {name of the recording: MIDI number}, all recordings of A3 to G♯5 that last a second without a loop and
# keep the pitch of their name.
NOTES = {
    "soprano saxophone": {
        "Soprano A4(L)": 57, "Soprano A#4(L)": 58, "Soprano C5(L)": 60, "Soprano D#5(L)": 63, "Soprano F#5(L)": 66,
        "Soprano A5(L)": 69, "Soprano A#5(L)": 70, "Soprano C6(L)": 72, "Soprano D#6(L)": 75, "Soprano F#6(L)": 78,
        "Soprano G6(L)": 79,
    },
    "violin": {"Violin F5(L)": 65, "Violin G#5(L)": 68, "Violin D6(L)": 74, "Violin F6(L)": 77, "Violin G#6(L)": 80},
    "cello": {
        "Cello A#4(L)": 58, "Cello C#5(L)": 61, "Cello E5(L)": 64, "Cello G5(L)": 67, "Cello A#5(L)": 70,
        "Cello C#6(L)": 73, "Cello E6(L)": 76, "Cello G6(L)": 79,
    },
    "English horn": {
        "English Horn B4(L)": 59, "English Horn C5(L)": 60, "English Horn F#5(L)": 66, "English Horn G5(L)": 67,
    },
    "French horn": {
        "French Horns A4(L)": 57, "French Horns D#5(L)": 63, "French Horns A5(L)": 69, "French Horns D#6(L)": 75,
    },
    "steel-string guitar": {"Steel B4": 59, "Steel E5": 64, "Steel A5": 69, "Steel B6": 71, "Steel E6": 76},
    "pizzicato strings": {
        "Pizz B4(L)": 59, "Pizz D#5(L)": 63, "Pizz F#5(L)": 66, "Pizz A#5(L)": 70, "Pizz D6(L)": 74, "Pizz F#6(L)": 78,
    },
    "marimba": {"Marimba C 5(L)": 60, "Marimba F# 5(L)": 66, "Marimba C 6(L)": 72, "Marimba F# 6(L)": 78},
}  # fmt: skip


def riff_chunks(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (name, start, end) of the chunks between two places of a RIFF file (SoundFont 2.04, section 4)."""
    while start < end:
        name, size = struct.unpack_from("<4sI", data, start)
        yield name, start + 8, start + 8 + size
        start += 8 + size + size % 2


def recordings(data: bytes) -> dict[str, tuple[np.ndarray, int]]:
    """Return all recordings of a SoundFont: name -> (int16 samples, rate in Hz)."""
    lists = [(start + 4, end) for name, start, end in riff_chunks(data, 12, len(data)) if name == b"LIST"]
    chunks = {name: (start, end) for span in lists for name, start, end in riff_chunks(data, *span)}
    start, end = chunks[b"smpl"]
    samples = np.frombuffer(data, "<i2", (end - start) // 2, start)
    start, end = chunks[b"shdr"]
    found = {}
    for name, first, last, _, _, rate, *_ in struct.iter_unpack("<20s5IBbHH", data[start : end - 46]):
        found[name.partition(b"\0")[0].decode("ascii")] = (samples[first:last], rate)
    return found


def read_soundfont(debs: Path | None) -> bytes:
    """Return the SoundFont out of the package, which is downloaded unless it lies in ``debs``."""
    with tempfile.TemporaryDirectory() as work:
        folder = debs or Path(work)
        deb = folder / f"{PACKAGE}_{VERSION}_all.deb"
        if not deb.exists():
            subprocess.run(["apt-get", "download", f"{PACKAGE}={VERSION}"], cwd=folder, check=True)
        if hashlib.sha256(deb.read_bytes()).hexdigest() != SHA256:
            sys.exit(f"{deb.name} is not the file this set was built from (sha256 differs).")
        tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True).stdout
        return subprocess.run(
            ["tar", "-x", "-O", "-f", "-", f"./{SOUNDFONT}"], check=True, input=tar, capture_output=True
        ).stdout


def cut_note(samples: np.ndarray, rate: int) -> np.ndarray:
    """Return the first second at 16 kHz: float32 (16000,)."""
    note = soxr.resample(samples.astype(np.float32) / 32768, rate, SAMPLE_RATE, quality="VHQ")[:SAMPLE_RATE]
    if len(note) < SAMPLE_RATE:
        raise ValueError(f"only {len(note) / SAMPLE_RATE:.2f} s of sound")
    note[-160:] *= np.linspace(1, 0, 160, dtype=np.float32)
    return note * min(1.0, PEAK / np.abs(note).max())


def measure_hz(note: np.ndarray) -> float:
    """Return the median pitch between 0.2 and 0.8 s, by YIN, which compares the sound with itself shifted in time."""
    pitch = librosa.yin(note, fmin=150, fmax=1000, sr=SAMPLE_RATE, frame_length=2048, hop_length=512)
    return float(np.median(pitch[6:26]))


def build(soundfont: bytes) -> tuple[pd.DataFrame, dict[str, bytes]]:
    """Return the table of the notes and their files, name -> bytes."""
    found = recordings(soundfont)
    rows, files = [], {}
    for instrument, notes in NOTES.items():
        for source, midi in notes.items():
            note = cut_note(*found[source])
            hertz = measure_hz(note)
            cents = 1200 * np.log2(hertz / 440) - 100 * (midi - 69)
            if abs(cents) > TOLERANCE_CENTS:
                sys.exit(f"{source}: {cents:+.0f} cents away from MIDI note {midi}")
            note_id = f"{instrument.lower().replace(' ', '-')}_{midi}"
            data = encode_clip(note, note_id)
            files[f"notes/{note_id}.ogg"] = data
            rows.append(
                {
                    "note_id": note_id,
                    "file": f"notes/{note_id}.ogg",
                    "instrument": instrument,
                    "note": f"{NOTE_NAMES[(midi - 69) % 12]}{midi // 12 - 1}",
                    "midi": midi,
                    "pitch_class": NOTE_NAMES[(midi - 69) % 12],
                    "frequency_hz": round(hertz, 1),
                    "cents": round(cents),
                    "duration_s": 1,
                    "package": PACKAGE,
                    "package_version": VERSION,
                    "source": f"{SOUNDFONT}#{source}",
                    "licence": "MIT",
                    "holder": "Frank Wen, Toby Smithe",
                    "sha256": hashlib.sha256(data).hexdigest(),
                }
            )
    return pd.DataFrame(rows), files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with data/mini, write nothing")
    parser.add_argument("--debs", type=Path, help="folder with the package")
    arguments = parser.parse_args()
    table, files = build(read_soundfont(arguments.debs))
    files["notes.csv"] = table.to_csv(index=False, lineterminator="\n").encode()
    if arguments.check:
        differ = [name for name, data in files.items() if (MINI / name).read_bytes() != data]
        sys.exit(f"these differ: {', '.join(differ)}" if differ else 0)
    (MINI / "notes").mkdir(exist_ok=True)
    for name, data in files.items():
        (MINI / name).write_bytes(data)
    print(
        f"{len(table)} notes by {table.instrument.nunique()} instruments, {sum(map(len, files.values())) / 1e3:.0f} kB"
    )


if __name__ == "__main__":
    main()
