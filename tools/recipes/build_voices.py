"""Rebuild data/mini/voices from free packages: every dry voice line, its bytes and its row in voices.csv.

    python tools/recipes/build_voices.py             # download the packages (apt-get), rebuild, write data/mini
    python tools/recipes/build_voices.py --check     # rebuild and compare with data/mini
    python tools/recipes/build_voices.py --work DIR  # keep .deb files and unpacked packages in DIR, or find them there

Needs a Debian 12 (amd64) whose apt knows the packages below, dpkg-deb, ffmpeg (G.722) and 5 GB of disk, and beside the
course's own packages these two, which only this script uses: `pip install pyworld==0.3.5 pysinsy==0.0.5`
(pyworld: the WORLD vocoder, MIT; pysinsy: the HMM singer Sinsy, BSD, with the CC-BY-3.0 voice nitech_jp_song070_f001;
both still ask for setuptools<81). What there is:

- spoken: one to four recorded prompts or cries of one speaker, joined with short pauses,
- sung (WORLD): such speech made to sing by tools/recipes/voice_synthesis.py,
- sung (HMM): Sinsy sings random melodies on random syllables; three in four lines get another register and throat,
- sung (recorded): the few seconds of people singing that come with Scratch.

No line holds any music. Each file draws its random numbers from its own name, so one can change without the others.
"""

import argparse
import functools
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import soundfile
import soxr
from build_mini import MINI, SAMPLE_RATE, fix_ogg_serial
from rich.progress import track as progress
from voice_synthesis import sing, sing_hmm

COMPRESSION = 0.95  # Opus at 20 kbit/s
NOT_SPEECH = re.compile("beep|tone|silence|ascending|descending|hold|music|ring", re.IGNORECASE)

PACKAGES = {  # version, sha256 of the .deb
    "asterisk-core-sounds-en-g722": ("1.6.1-1", "38c5261820b406dcb0ecb37675720da2b0864850690690352ca52707eb623806"),
    "asterisk-core-sounds-es-g722": ("1.6.1-1", "e4e3b4281057d3b81b779298fd6be705f57411513955c518eed1bcaabbd615b8"),
    "asterisk-core-sounds-fr-g722": ("1.6.1-1", "7add61d5e42279ecff1bbdf842a5a946ac3644fac9a0fe44384731aa7270c8e0"),
    "asterisk-core-sounds-it-g722": ("1.6.1-1", "46b4cf7afc508a5fcfc051b7ea233251c0d195dd4ef83cc4b7facb4c6429b016"),
    "asterisk-core-sounds-ru-g722": ("1.6.1-1", "673b4238a6b8269960f055d868c6a11083f7a0d00979167cb01554046b48ed9b"),
    "0ad-data": ("0.0.26-1", "53745ae74d05bccf6783400fa98f3932b21729ab9d2e86151aa2c331c3455178"),
    "flite": ("2.2-5", "f4ce03470bf9974c2cb9cacd981e6be29339ef4c97cf994dd6fa3f90e6544db9"),
    "libflite1": ("2.2-5", "bfa8c591f1b47730b30b372ec38e02918a1c9795eada67684e1746390ad2f061"),
    "scratch": ("1.4.0.6~dfsg1-6.1", "36c582eb93110f64f06c4e685c41e933ccba2fa68db12f79b10bfe840b21fc10"),
}


class Voice(NamedTuple):
    """One speaker in one package: where the lines are, whose they are, how many minutes of each kind to make."""

    voice: str
    package: str
    where: str  # a glob below the package, after "#" inside of a zip file; of flite the name of its voice
    language: str
    split: str
    low: bool  # sings in a man's register
    spoken: float
    sung: float
    licence: str
    holder: str
    work: str


ASTERISK, CIVILIANS = "usr/share/asterisk/sounds/*/**/*.g722", "usr/share/games/0ad/mods/public/public.zip#"
SPEAKERS = [
    Voice("allison", "asterisk-core-sounds-en-g722", ASTERISK, "English", "train", False, 1.6, 3.0,
          "CC-BY-SA-3.0", "Allison Smith", "Asterisk prompts in English"),
    Voice("allison", "asterisk-core-sounds-es-g722", ASTERISK, "Spanish", "train", False, 1.4, 2.7,
          "CC-BY-SA-3.0", "Allison Smith", "Asterisk prompts in Spanish"),
    Voice("june", "asterisk-core-sounds-fr-g722", ASTERISK, "French", "valid", False, 1.6, 3.0,
          "CC-BY-SA-3.0", "June Wallack", "Asterisk prompts in French"),
    Voice("carlo", "asterisk-core-sounds-it-g722", ASTERISK, "Italian", "train", True, 3.2, 6.5,
          "CC-BY-3.0", "Carlo Flora", "Asterisk prompts in Italian"),
    Voice("ivrvoice", "asterisk-core-sounds-ru-g722", ASTERISK, "Russian", "train", False, 2.6, 5.0,
          "CC-BY-3.0", "Maxim Topal (IvrvoiceRU)", "Asterisk prompts in Russian"),
    *(
        Voice(f"{people}_{sex[0]}", "0ad-data", f"{CIVILIANS}audio/voice/{people}/civ/civ_{sex}_*.ogg", language, split,
              sex == "male", *minutes, "CC-BY-SA-3.0", "Wildfire Games", f"Voices of 0 A.D., {people} {sex}")
        for people, sex, language, split, minutes in [
            ("greek", "female", "Ancient Greek", "train", (0.4, 1.0)),
            ("greek", "male", "Ancient Greek", "train", (0.05, 0.4)),
            ("latin", "female", "Latin", "train", (0.15, 0.7)),
            ("latin", "male", "Latin", "train", (0.2, 0.8)),
            ("persian", "female", "Persian", "valid", (0.35, 0.8)),
            ("persian", "male", "Persian", "valid", (0.35, 1.1)),
            ("napatan", "female", "", "test", (0.7, 1.5)),
            ("napatan", "male", "", "test", (0.6, 1.5)),
        ]
    ),
    *(
        Voice(name, "flite", name, "English", split, low, 0.6, sung, "MIT-Festival", "Carnegie Mellon University",
              f"Flite's synthetic voice {name}")
        for name, split, low, sung in [("rms", "train", True, 2.4), ("awb", "test", True, 1.2),
                                       ("slt", "test", False, 1.2)]
    ),
]  # fmt: skip
NITECH = Voice("nitech", "pysinsy", "nitech_jp_song070_f001", "Japanese", "train", False, 0, 12.0,
               "CC-BY-3.0", "Nagoya Institute of Technology", "Sinsy's voice nitech_jp_song070_f001")  # fmt: skip
SCRATCH = Voice("scratch", "scratch", "usr/share/scratch/Media/Sounds/Vocals/", "English", "train", False, 0, 1,
                "CC-BY-SA-3.0", "Massachusetts Institute of Technology", "Vocals of Scratch")  # fmt: skip
RECORDED = ("Come-and-play.mp3", "Doy-doy-doy.mp3", "Got-inspiration.mp3", "Hey-yay-hey.mp3", "Join-us.mp3",
            "Oooo-badada.mp3", "Sing-me-a-song.mp3", "Singer1.wav", "Singer2.wav")  # fmt: skip
FLITE_LINES = (  # what Flite's voices say
    "Over the hills and far away", "Nobody told me the river would rise", "Let the morning find us here",
    "Wake up, the train is leaving", "Hold my hand until the music ends", "Seven silver ships are sailing home",
    "I was young and the night was long", "Give me one more reason to stay", "Rain on the window, light on the floor",
    "We are running down an empty road", "Who will carry the lantern now", "Every word you gave me I gave away",
    "Blue was the colour of all our days", "Come back when the roses open", "There is no other place to go",
    "Slowly the winter lets go of the town", "Move your feet and open your eyes", "Oh my darling, so it goes",
    "Under the bridge we were singing low", "Tell the captain that we are late", "Higher, higher, into the sun",
    "All of the people are dancing tonight", "My father's house had a yellow door", "You and me and the rolling sea",
)  # fmt: skip


def unpack(package: str, members: list[str], work: Path) -> Path:
    """Return the folder of an unpacked package; refuse a .deb with another sha256 than the table's."""
    folder = work / package
    if not folder.exists():
        version, sha256 = PACKAGES[package]
        name = f"{package}_{version.replace(':', '%3a')}_*.deb"
        deb = next(work.glob(name), None)
        if deb is None:
            subprocess.run(["apt-get", "download", f"{package}={version}"], cwd=work, check=True)
            deb = next(work.glob(name))
        with deb.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                sys.exit(f"{deb.name} is not the file this set was built from (sha256 differs).")
        part = Path(tempfile.mkdtemp(dir=work))  # whole or not at all, also where several processes want it
        tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
        names = [f"./{member}" for member in members]
        subprocess.run(["tar", "-x", "-f", "-", "-C", part, *names], stdin=tar.stdout, check=True)
        tar.wait()
        if folder.exists():
            shutil.rmtree(part)
        else:
            part.rename(folder)
    return folder


def trim(audio: np.ndarray, rate: int) -> np.ndarray:
    """Return the sound at 16 kHz without the silence around it, peak 0.5; empty where less than 0.3 s is left."""
    if len(audio) < 0.3 * rate:
        return audio[:0]
    audio = soxr.resample(audio.astype(np.float64), rate, SAMPLE_RATE, quality="VHQ")
    level = np.convolve(np.abs(audio), np.ones(400) / 400, "same")
    loud = np.flatnonzero(level > 0.02 * level.max())
    if len(loud) < 0.3 * SAMPLE_RATE:
        return audio[:0]
    audio = audio[max(0, loud[0] - 800) : loud[-1] + 1600]
    audio[-160:] *= np.linspace(1, 0, 160)  # where a piece was cut out there may be no silence
    return audio * (0.5 / np.abs(audio).max())


@functools.cache
def speech(voice: Voice, work: Path) -> dict[str, np.ndarray]:
    """Return what a speaker says: name of the file -> trimmed sound."""
    place, _, inside = voice.where.partition("#")
    sounds = {}
    if voice.package == "flite":
        program = unpack("flite", ["usr/bin/flite"], work) / "usr/bin/flite"
        library = unpack("libflite1", ["usr/lib/x86_64-linux-gnu"], work) / "usr/lib/x86_64-linux-gnu"
        for text in FLITE_LINES:
            with tempfile.NamedTemporaryFile(suffix=".wav") as wav:
                command = [program, "-voice", voice.where, "-t", text, "-o", wav.name]
                subprocess.run(command, check=True, env={"LD_LIBRARY_PATH": str(library)})
                sounds[f"“{text}”"] = trim(*soundfile.read(wav.name))
    elif inside:
        archive = zipfile.ZipFile(unpack(voice.package, [place], work) / place)
        pattern = re.compile(re.escape(inside).replace(r"\*", ".*"))
        for name in sorted(filter(pattern.fullmatch, archive.namelist())):
            audio, rate = soundfile.read(io.BytesIO(archive.read(name)), always_2d=True)
            sounds[f"{place}#{name}"] = trim(audio.mean(axis=1), rate)
    else:
        folder = unpack(voice.package, ["usr/share"], work)
        for path in sorted(folder.glob(place)):
            if path.suffix == ".g722" and not NOT_SPEECH.search(path.name):
                command = ["ffmpeg", "-v", "error", "-f", "g722", "-i", path, "-f", "s16le", "-"]
                raw = subprocess.run(command, check=True, capture_output=True).stdout
                sounds[path.relative_to(folder).as_posix()] = trim(np.frombuffer(raw, "<i2") / 32768, 16000)
            elif path.suffix == ".ogg":
                audio, rate = soundfile.read(path, always_2d=True)
                sounds[path.relative_to(folder).as_posix()] = trim(audio.mean(axis=1), rate)
    return {name: audio for name, audio in sounds.items() if len(audio)}


def draw_lines(voice: Voice, kind: str, minutes: float, work: Path) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (name, source, sound) until there are so many minutes of that kind."""
    left_s, number, unused = 60 * minutes, 0, []
    while left_s > 0:
        letter = {"spoken": "p", "sung (WORLD)": "w", "sung (HMM)": "h"}[kind]
        name = f"{voice.voice}_{voice.language[:2].lower()}{letter}{number:03d}"
        number += 1
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        if kind == "sung (HMM)":
            source, whole = f"random melody {number}", sing_hmm(rng)
        else:
            sounds = speech(voice, work)
            parts: list[str] = []
            while not parts or sum(len(sounds[part]) for part in parts) < SAMPLE_RATE * rng.uniform(1, 4):
                if not unused:  # all files before one comes again
                    unused = [str(part) for part in rng.permutation(list(sounds))]
                parts.append(unused.pop())
            pauses = [np.zeros(int(rng.uniform(0.02, 0.3) * SAMPLE_RATE)) for _ in parts]
            pieces = [sounds[part] for part in parts]
            whole = np.concatenate([piece for pair in zip(pieces, pauses, strict=True) for piece in pair])
            whole = whole[: (10 if kind == "spoken" else 5) * SAMPLE_RATE]
            source = " + ".join(parts)
            if kind == "sung (WORLD)":
                lowest = rng.uniform(43, 55) if voice.low or rng.random() < 0.12 else rng.uniform(54, 64)
                whole = sing(whole, lowest, rng)
        whole = whole[: 20 * SAMPLE_RATE]
        for piece in range(0, len(whole) - SAMPLE_RATE, 10 * SAMPLE_RATE):
            audio = trim(whole[piece : piece + 10 * SAMPLE_RATE], SAMPLE_RATE)
            if len(audio) >= 0.8 * SAMPLE_RATE and left_s > 0:
                left_s -= len(audio) / SAMPLE_RATE
                yield f"{name}{'ab'[piece // (10 * SAMPLE_RATE)]}", source, audio


def all_lines(work: Path) -> Iterator[tuple[Voice, str, str, str, np.ndarray]]:
    """Yield (voice, kind, name, source, sound) of every line."""
    wanted = [(voice, "spoken", voice.spoken) for voice in SPEAKERS]
    wanted += [(voice, "sung (WORLD)", voice.sung) for voice in SPEAKERS] + [(NITECH, "sung (HMM)", NITECH.sung)]
    for voice, kind, minutes in progress(wanted, description="voices"):
        for name, source, audio in draw_lines(voice, kind, minutes, work):
            yield voice, kind, name, source, audio
    folder = unpack("scratch", [SCRATCH.where.rstrip("/")], work)
    for name in RECORDED:
        audio, rate = soundfile.read(folder / SCRATCH.where / name, always_2d=True)
        line = f"scratch_{Path(name).stem.lower()}"
        yield SCRATCH, "sung (recorded)", line, SCRATCH.where + name, trim(audio.mean(axis=1), rate)


def build(work: Path) -> tuple[pd.DataFrame, dict[str, bytes]]:
    """Return the table of the voices and their files, name -> bytes."""
    rows, files = [], {}
    for voice, kind, name, source, audio in all_lines(work):
        buffer = io.BytesIO()
        sound = audio.astype(np.float32)
        soundfile.write(buffer, sound, SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=COMPRESSION)
        data = fix_ogg_serial(buffer.getvalue(), zlib.crc32(name.encode()))
        files[f"voices/{name}.opus"] = data
        rows.append(
            {
                "voice_id": name,
                "file": f"voices/{name}.opus",
                "voice": voice.voice,
                "kind": kind,
                "language": voice.language,
                "split": voice.split,
                "duration_s": len(sound) / SAMPLE_RATE,
                "title": f"{voice.work}, {kind}",
                "package": voice.package,
                "package_version": "0.0.5" if voice.package == "pysinsy" else PACKAGES[voice.package][0],
                "source": source,
                "licence": voice.licence,
                "holder": voice.holder,
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )
    return pd.DataFrame(rows).sort_values("voice_id"), files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with data/mini, write nothing there")
    parser.add_argument("--work", type=Path, help="folder for the packages (default: a temporary one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        table, files = build((arguments.work or Path(scratch)).resolve())
    print(table.groupby(["split", "voice", "kind"]).duration_s.agg(["size", "sum"]).round().to_string())
    print(f"{len(files)} lines, {table.duration_s.sum() / 60:.1f} min, {sum(map(len, files.values())) / 1e6:.2f} MB")
    files["voices.csv"] = table.to_csv(index=False, lineterminator="\n").encode()
    if arguments.check:
        there = {path.relative_to(MINI).as_posix() for path in (MINI / "voices").iterdir()} | {"voices.csv"}
        both = there & set(files)
        differ = sorted((there ^ set(files)) | {name for name in both if (MINI / name).read_bytes() != files[name]})
        print(f"{len(differ)} files differ: {', '.join(differ[:20])}")
        sys.exit(1 if differ else 0)
    (MINI / "voices").mkdir(exist_ok=True)
    for path in (MINI / "voices").iterdir():
        path.unlink()
    for name, data in files.items():
        (MINI / name).write_bytes(data)


if __name__ == "__main__":
    main()
