"""Rebuild data/mini from Debian packages: every clip, its bytes and its row in clips.csv.

    .venv/bin/python tools/recipes/build_mini.py             # download the packages (apt-get), rebuild, write data/mini
    .venv/bin/python tools/recipes/build_mini.py --check     # rebuild into a temporary folder, compare with data/mini
    .venv/bin/python tools/recipes/build_mini.py --debs DIR  # use packages that lie in DIR already

Needs a Debian whose apt knows the versions in mini_packages.csv (Debian 12), dpkg-deb, 6 GB of disk while it runs,
and ffmpeg with libopenmpt for the tracker modules. What a clip is made of:

1. decode the excerpt (soundfile; modules are rendered by ffmpeg/libopenmpt; the two stems of a guitar-game song are
   summed),
2. mean of the channels, 16 kHz (soxr, very high quality), exactly 10 s,
3. turn down, never up, so that the peak is at most -1.5 dBFS: the lossy codec overshoots,
4. Ogg Vorbis (libsndfile), with the stream's random serial number replaced by a fixed one, so that bytes repeat.

The bytes repeat as long as soundfile, soxr and (for modules) ffmpeg are the same versions, but for a few modules whose
instruments have random swing: `--check` names the clips that differ, why, how much, and the versions at hand.
"""

import argparse
import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import soxr
from rich.progress import track as progress
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

ROOT = Path(__file__).resolve().parents[2]
MINI = ROOT / "data" / "mini"
SAMPLE_RATE = 16000
CLIP_SECONDS = 10
PEAK = 10 ** (-1.5 / 20)
VORBIS_QUALITY = 0.2
MODULES = {".xm", ".it", ".mod", ".s3m"}

# Which artist or album group is tested in which fold. By hand, because the groups are few and uneven: each fold gets
# one metal band, about 27 electronic clips, and some of the orchestral groups (two of which are large).
ARTIST_FOLDS = {
    0: ["Obsidian Shell", "Askyel", "K-Pone", "Parapraxis", "Nikola Whallon"],
    1: ["Muldjord", "paniq", "DJ Helium", "Czech National Symphony Orchestra", "Bart Kelsey"],
    2: ["Jute Gyte", "Sean Hawk", "Alexander Blu", "Arvid Picciani", "Wesnoth"],
    3: ["Sectoid", "Maxstack", "0 A.D."],
}


def fetch_packages(packages: pd.DataFrame, tracks: pd.DataFrame, debs: Path | None, work: Path) -> None:
    """Unpack every package's sources into ``work/<package>``; refuse a .deb with another sha256 than the table's."""
    for row in progress(list(packages.itertuples()), description="packages"):
        target = work / row.package
        target.mkdir()
        folder = debs or work
        deb = folder / f"{row.package}_{row.version.replace(':', '%3a')}_all.deb"
        if not deb.exists():
            subprocess.run(["apt-get", "download", f"{row.package}={row.version}"], cwd=folder, check=True)
        if hashlib.sha256(deb.read_bytes()).hexdigest() != row.sha256:
            sys.exit(f"{deb.name} is not the file this set was built from (sha256 differs).")
        paths = tracks.path[tracks.package == row.package].str.split(" + ", regex=False).explode()
        files = sorted({f"./{path.partition('#')[0]}" for path in paths})
        unpack = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-f", "-", "-C", target, *files], stdin=unpack.stdout, check=True)
        unpack.wait()


def decode_excerpt(folder: Path, path: str, start_s: float) -> tuple[np.ndarray, int]:
    """Decode one clip of a source file, or of a member of an archive (``a.zip#member``), to (samples, channels)."""
    archive, _, member = path.partition("#")
    file = folder / archive
    if file.suffix in MODULES:
        command = ["ffmpeg", "-v", "error", "-i", file, "-f", "f32le", "-ac", "2", "-ar", "48000", "-"]
        raw = subprocess.run(command, check=True, capture_output=True).stdout
        audio = np.frombuffer(raw, np.float32).reshape(-1, 2)
        first = round(start_s * 48000)
        return audio[first : first + CLIP_SECONDS * 48000], 48000
    with soundfile.SoundFile(io.BytesIO(zipfile.ZipFile(file).read(member)) if member else file) as sound:
        sound.seek(min(round(start_s * sound.samplerate), sound.frames))
        return sound.read(CLIP_SECONDS * sound.samplerate, dtype="float32", always_2d=True), sound.samplerate


def cut_clip(folder: Path, path: str, start_s: float) -> np.ndarray:
    """Decode, mix down, resample and limit one clip to float32 (160000,); stems joined by `` + `` are summed."""
    stems = [decode_excerpt(folder, part, start_s) for part in path.split(" + ")]
    length = min(len(audio) for audio, _ in stems)
    piece = sum(audio[:length].mean(axis=1) for audio, _ in stems)
    clip = soxr.resample(piece, stems[0][1], SAMPLE_RATE, quality="VHQ")
    wanted = CLIP_SECONDS * SAMPLE_RATE
    if len(clip) < wanted - 2:
        raise ValueError(f"{path}: only {len(clip) / SAMPLE_RATE:.2f} s of sound at {start_s} s")
    clip = np.pad(clip, (0, max(0, wanted - len(clip))))[:wanted]
    return (clip * min(1.0, PEAK / np.abs(clip).max())).astype(np.float32)


def _ogg_crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = ((crc << 1) ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
        table.append(crc)
    return table


OGG_CRC = _ogg_crc_table()


def fix_ogg_serial(data: bytes, serial: int) -> bytes:
    """Give every page of an Ogg stream the same serial number (RFC 3533, section 6) and a matching checksum."""
    pages, position = [], 0
    while position < len(data):
        segments = data[position + 26]
        size = 27 + segments + sum(data[position + 27 : position + 27 + segments])
        page = bytearray(data[position : position + size])
        page[14:18] = serial.to_bytes(4, "little")
        page[22:26] = bytes(4)
        crc = 0
        for byte in page:
            crc = ((crc << 8) & 0xFFFFFFFF) ^ OGG_CRC[(crc >> 24) ^ byte]
        page[22:26] = crc.to_bytes(4, "little")
        pages.append(bytes(page))
        position += size
    return b"".join(pages)


def encode_clip(clip: np.ndarray, clip_id: str) -> bytes:
    """Encode one clip as Ogg Vorbis; the same clip always gives the same bytes."""
    buffer = io.BytesIO()
    soundfile.write(buffer, clip, SAMPLE_RATE, format="OGG", subtype="VORBIS", compression_level=1 - VORBIS_QUALITY)
    return fix_ogg_serial(buffer.getvalue(), zlib.crc32(clip_id.encode()))


def add_folds(clips: pd.DataFrame) -> pd.DataFrame:
    """Add the four-fold splits of both tasks: by artist, by track and by clip (the last is there to show the leak)."""
    clips = clips.copy()
    genre = clips[clips.genre != ""]
    fold_of_group = {group: fold for fold, groups in ARTIST_FOLDS.items() for group in groups}
    clips.loc[genre.index, "fold_artist"] = genre.group.map(fold_of_group)
    soundtrack = clips[(clips.album != "") & (clips.groupby("track").clip_id.transform("size") >= 2)]
    for task, label, prefix in [(genre, "genre", "fold"), (soundtrack, "album", "album_fold")]:
        by_track = StratifiedGroupKFold(4, shuffle=True, random_state=0).split(task, task[label], task.track)
        by_clip = StratifiedKFold(4, shuffle=True, random_state=0).split(task, task[label])
        for name, folds in [("track", by_track), ("clip", by_clip)]:
            for fold, (_, test) in enumerate(folds):
                clips.loc[task.index[test], f"{prefix}_{name}"] = fold
    fold_columns = [column for column in clips if "fold_" in column]
    clips[fold_columns] = clips[fold_columns].astype("Int64")
    return clips


def build(packages: pd.DataFrame, tracks: pd.DataFrame, work: Path, target: Path) -> pd.DataFrame:
    """Cut and encode every clip of the track table into ``target/clips`` and write ``target/clips.csv``."""
    versions = packages.set_index("package").version
    (target / "clips").mkdir(parents=True)
    rows = []
    for source in progress(list(tracks.itertuples()), description="clips   "):
        for part, start_s in enumerate(map(float, source.starts.split())):
            clip_id = f"{source.track}_{part}"
            data = encode_clip(cut_clip(work / source.package, source.path, start_s), clip_id)
            (target / "clips" / f"{clip_id}.ogg").write_bytes(data)
            rows.append(
                {
                    "clip_id": clip_id,
                    "file": f"clips/{clip_id}.ogg",
                    "title": source.title,
                    "artist": source.artist,
                    "group": source.group,
                    "album": source.album,
                    "track": source.track,
                    "package": source.package,
                    "package_version": versions[source.package],
                    "licence": source.licence,
                    "holder": source.holder,
                    "source": source.path,
                    "start_s": start_s,
                    "duration_s": CLIP_SECONDS,
                    "genre": source.genre,
                    "evidence": source.evidence,
                    "strength": source.strength,
                    "tracker": source.tracker,
                    "sha256": hashlib.sha256(data).hexdigest(),
                }
            )
    clips = add_folds(pd.DataFrame(rows))
    clips.to_csv(target / "clips.csv", index=False, lineterminator="\n")
    return clips


def compare(built: pd.DataFrame, target: Path) -> int:
    """Print which clips of a fresh build differ from data/mini and by how much; return how many do."""
    stored = pd.read_csv(MINI / "clips.csv", keep_default_na=False).set_index("clip_id")
    fresh = built.set_index("clip_id")
    gone = stored.index.symmetric_difference(fresh.index)
    for clip_id in gone:
        print(f"{clip_id}: only in {'data/mini' if clip_id in stored.index else 'the fresh build'}")
    both = stored.index.intersection(fresh.index)
    differing = [clip_id for clip_id in both if stored.sha256[clip_id] != fresh.sha256[clip_id]]
    for clip_id in differing:
        old, _ = soundfile.read(MINI / stored.file[clip_id])
        new, _ = soundfile.read(target / fresh.file[clip_id])
        module = Path(fresh.source[clip_id]).suffix in MODULES
        why = " (a tracker module whose instruments vary at random whenever it is rendered)" if module else ""
        print(f"{clip_id}: bytes differ{why}, greatest difference of a sample {np.abs(old - new).max():.2g}")
    ffmpeg = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout.split()[2]
    print(f"soundfile {soundfile.__version__} ({soundfile.__libsndfile_version__}), soxr {soxr.__version__}")
    print(f"ffmpeg {ffmpeg}")
    print(f"{len(both) - len(differing)} of {len(stored)} clips have the same bytes; {len(differing)} differ")
    return len(differing) + len(gone)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--check", action="store_true", help="compare a fresh build with data/mini, write nothing there"
    )
    parser.add_argument("--debs", type=Path, help="folder that holds the .deb files (default: download them)")
    options = parser.parse_args()
    packages = pd.read_csv(ROOT / "tools" / "recipes" / "mini_packages.csv")
    tracks = pd.read_csv(ROOT / "tools" / "recipes" / "mini_tracks.csv", keep_default_na=False)
    with tempfile.TemporaryDirectory() as scratch:
        work, target = Path(scratch) / "packages", Path(scratch) / "mini"
        work.mkdir()
        fetch_packages(packages, tracks, options.debs, work)
        clips = build(packages, tracks, work, target)
        size = sum(file.stat().st_size for file in (target / "clips").iterdir())
        print(f"{len(clips)} clips, {size / 1e6:.1f} MB")
        if options.check:
            sys.exit(1 if compare(clips, target) else 0)
        shutil.rmtree(MINI / "clips", ignore_errors=True)
        shutil.copytree(target / "clips", MINI / "clips")
        shutil.copy(target / "clips.csv", MINI / "clips.csv")


if __name__ == "__main__":
    main()
