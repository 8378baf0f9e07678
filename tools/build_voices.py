"""Rebuild data/mini/voices from free packages: every dry voice line, its bytes and its row in voices.csv.

    python tools/build_voices.py             # download the packages (apt-get), rebuild, write data/mini
    python tools/build_voices.py --check     # rebuild and compare with data/mini
    python tools/build_voices.py --work DIR  # keep .deb files and unpacked packages in DIR, or find them there

Needs a Debian 12 (amd64) whose apt knows the packages below, dpkg-deb, ffmpeg (G.722) and 5 GB of disk, and beside the
course's own packages these two, which only this script uses: `pip install pyworld==0.3.5 pysinsy==0.0.5`
(pyworld: the WORLD vocoder, MIT; pysinsy: the HMM singer Sinsy, BSD, with the CC-BY-3.0 voice nitech_jp_song070_f001;
both still ask for setuptools<81). What there is:

- spoken: one to four recorded prompts or cries of one speaker, joined with short pauses,
- sung (WORLD): such speech made to sing. WORLD (Morise et al., IEICE Trans. 2016) splits it into pitch, spectral
  envelope and noise share, every 5 ms. We stretch the vowels to notes, leave the consonants as long as they are, put a
  random melody with glides, vibrato and drift in place of the pitch, and shift formants, as if the throat were shorter
  or longer,
- sung (HMM): Sinsy sings random melodies on random syllables; three in four lines get another register and throat,
- sung (recorded): the few seconds of people singing that come with Scratch.

No line holds any music. Each file draws its random numbers from its own name, so one can change without the others.
"""

import argparse
import functools
import hashlib
import io
import re
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
import pysinsy
import pyworld
import soundfile
import soxr
from build_mini import MINI, SAMPLE_RATE, fix_ogg_serial
from rich.progress import track as progress
from scipy.ndimage import gaussian_filter1d

FRAME_S = 0.005  # of WORLD
LONGEST_S = 12
COMPRESSION = 0.95  # Opus at 20 kbit/s
SCALES = ([0, 2, 4, 5, 7, 9, 11], [0, 2, 3, 5, 7, 8, 10], [0, 2, 4, 7, 9], [0, 3, 5, 6, 7, 10], [0, 3, 5, 7, 10])
KANA = "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわがぎぐげござずぜぞだでどばびぶべぼ"
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
               "CC-BY-3.0", "HTS Working Group, Nagoya Institute of Technology", "Sinsy's voice nitech_jp_song070_f001")  # fmt: skip
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
        deb = next(work.glob(f"{package}_{version}_*.deb"), None)
        if deb is None:
            subprocess.run(["apt-get", "download", f"{package}={version}"], cwd=work, check=True)
            deb = next(work.glob(f"{package}_{version}_*.deb"))
        with deb.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                sys.exit(f"{deb.name} is not the file this set was built from (sha256 differs).")
        folder.mkdir()
        tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
        names = [f"./{member}" for member in members]
        subprocess.run(["tar", "-x", "-f", "-", "-C", folder, *names], stdin=tar.stdout, check=True)
        tar.wait()
    return folder


def trim(audio: np.ndarray, rate: int) -> np.ndarray:
    """Return the sound at 16 kHz without the silence around it, peak 0.5; empty where less than 0.3 s is left."""
    audio = soxr.resample(audio.astype(np.float64), rate, SAMPLE_RATE, quality="VHQ")
    level = np.convolve(np.abs(audio), np.ones(400) / 400, "same")
    loud = np.flatnonzero(level > 0.02 * level.max())
    if len(loud) < 0.3 * SAMPLE_RATE:
        return audio[:0]
    audio = audio[max(0, loud[0] - 800) : loud[-1] + 1600]
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
        folder = unpack(voice.package, ["usr/share/asterisk/sounds"], work)
        for path in sorted(folder.glob(place)):
            if not NOT_SPEECH.search(path.name):
                command = ["ffmpeg", "-v", "error", "-f", "g722", "-i", path, "-f", "s16le", "-"]
                raw = subprocess.run(command, check=True, capture_output=True).stdout
                sounds[path.relative_to(folder).as_posix()] = trim(np.frombuffer(raw, "<i2") / 32768, 16000)
    return {name: audio for name, audio in sounds.items() if len(audio)}


def analyse(audio: np.ndarray, highest: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split sound, by WORLD, into pitch (frames,), envelope and noise share (frames, bins); 0 Hz where unvoiced."""
    audio = np.ascontiguousarray(audio, np.float64)
    pitch, time = pyworld.dio(audio, SAMPLE_RATE, f0_floor=60, f0_ceil=highest, frame_period=1000 * FRAME_S)
    pitch = pyworld.stonemask(audio, pitch, time, SAMPLE_RATE)
    return (
        pitch,
        pyworld.cheaptrick(audio, pitch, time, SAMPLE_RATE),
        pyworld.d4c(audio, pitch, time, SAMPLE_RATE),
    )


def synthesise(pitch: np.ndarray, envelope: np.ndarray, noise: np.ndarray, throat: float, rng) -> np.ndarray:
    """Make sound again, from another throat: formants times ``throat``, a singer's formant, colour and breath."""
    bins = np.arange(envelope.shape[1])
    hertz = bins * SAMPLE_RATE / 2 / bins[-1]
    source = np.minimum(bins / throat, bins[-1])
    low = np.minimum(source.astype(int), bins[-1] - 1)
    part = source - low
    envelope, noise = (x[:, low] * (1 - part) + x[:, low + 1] * part for x in (envelope, noise))
    decibel = rng.uniform(0, 9) * np.exp(-0.5 * ((hertz - rng.uniform(2400, 3300)) / 450) ** 2)
    decibel += rng.normal(0, 2.5) * np.exp(-0.5 * ((hertz - rng.uniform(400, 2200)) / 450) ** 2)
    decibel += rng.uniform(-6, 4) * hertz / 8000
    breath = rng.choice([0, rng.uniform(0, 0.35)]) * hertz / 8000
    envelope = np.ascontiguousarray(envelope * 10 ** (decibel / 10))
    noise = np.ascontiguousarray(np.clip(noise + breath, 1e-3, 1))
    return pyworld.synthesize(pitch, envelope, noise, SAMPLE_RATE, 1000 * FRAME_S)


def vowels(pitch: np.ndarray, envelope: np.ndarray) -> list[tuple[int, int]]:
    """Return the stable parts of the syllables, (first, last) frame: within 4 dB and 60 ms of a peak of the energy."""
    energy = gaussian_filter1d(10 * np.log10(envelope.mean(axis=1) + 1e-12), 4)
    good = (pitch > 0) & (energy > energy.max() - 28)
    good[1:-1] &= (energy[1:-1] >= energy[:-2]) & (energy[1:-1] > energy[2:])
    peaks: list[int] = []
    for peak in np.flatnonzero(good[2:-2]) + 2:
        if peaks and peak - peaks[-1] < 14:  # 70 ms: the same syllable
            peaks[-1] = max(peak, peaks[-1], key=lambda frame: energy[frame])
        else:
            peaks.append(peak)
    spans = []
    for peak in peaks:
        first = last = peak
        while first > max(0, peak - 12) and pitch[first - 1] > 0 and energy[first - 1] > energy[peak] - 4:
            first -= 1
        while last < min(len(pitch) - 1, peak + 12) and pitch[last + 1] > 0 and energy[last + 1] > energy[peak] - 4:
            last += 1
        if last - first >= 4 and (not spans or first > spans[-1][1]):
            spans.append((first, last))
    return spans


def step(degree: int, rng) -> int:
    """Return the next degree of a melody: mostly a small step, within an octave and a half."""
    return int(np.clip(degree + rng.choice([-3, -2, -1, -1, 0, 0, 1, 1, 2, 3]), -2, 10))


def semitones(degree: int, scale: list[int]) -> int:
    return 12 * (degree // len(scale)) + scale[degree % len(scale)]


def vibrato(age_s: np.ndarray, rng) -> np.ndarray:
    """Return the vibrato in semitones: 4.8 to 6.8 Hz, up to 0.75, from 0.2 s into each note on; often none."""
    rate = rng.uniform(4.8, 6.8) + gaussian_filter1d(rng.normal(0, 6, len(age_s)), 60)
    depth = rng.choice([0, rng.uniform(0.05, 0.25), rng.uniform(0.2, 0.75)], p=[0.3, 0.35, 0.35])
    return depth * np.clip((age_s - 0.2) / 0.25, 0, 1) * np.sin(2 * np.pi * np.cumsum(rate) * FRAME_S)


def sing(audio: np.ndarray, lowest: float, rng) -> np.ndarray:
    """Make speech sung, from about MIDI note ``lowest`` on; empty where it has no clear vowel."""
    pitch, envelope, noise = analyse(audio, highest=600)
    spans = vowels(pitch, envelope)
    if not spans:
        return audio[:0]
    beat, scale, degree = rng.uniform(0.13, 0.42), SCALES[rng.integers(len(SCALES))], int(rng.integers(0, 6))
    melisma = rng.random() < 0.25  # in some lines, syllables of several notes
    places, notes, loudness, ages, before = [], [], [], [], max(0, spans[0][0] - 26)
    for number, (first, last) in enumerate(spans):
        # The consonant before the vowel, at most 50 to 130 ms of it, as it was spoken.
        consonant = np.arange(max(before, first - int(rng.integers(10, 27))), first)
        lengths = []
        for _ in range(1 + (melisma and rng.random() < 0.4) * int(rng.integers(1, 4))):
            degree = step(degree, rng)
            beats = rng.choice([0.5, 1, 1, 1.5, 2, 2, 3, 4] if number < len(spans) - 1 else [2, 3, 4, 6])
            lengths.append(max(12, int(beats * beat / FRAME_S)))
            lead = 0 if len(lengths) > 1 else len(consonant)  # the consonant is on its vowel's note
            notes.append(np.full(lead + lengths[-1], lowest + semitones(degree, scale)))
            ages.append((np.arange(lead + lengths[-1]) - lead) * FRAME_S)
        # The stretched vowel wanders a little within the spoken one: a frozen spectrum would buzz.
        wander = gaussian_filter1d(rng.normal(0, 6, sum(lengths)), 20)
        places += [consonant, np.clip(np.linspace(first, last, sum(lengths)) + wander, first, last)]
        loudness += [np.ones(len(consonant)), np.full(sum(lengths), 10 ** (rng.normal(0, 2.5) / 20))]
        before = last + 1
    tail = np.arange(before, min(len(pitch), before + int(rng.integers(5, 20))))
    place, age = np.concatenate([*places, tail]), np.concatenate([*ages, np.zeros(len(tail))])
    midi = np.concatenate([*notes, np.full(len(tail), notes[-1][-1])]).astype(float)
    midi = gaussian_filter1d(midi, rng.uniform(0.015, 0.05) / FRAME_S)  # glides
    wave = vibrato(age, rng)
    midi += wave + gaussian_filter1d(rng.normal(0, 2.5, len(midi)), 40)  # and drift
    midi += gaussian_filter1d(rng.normal(0, 0.35, len(midi)), 3)  # and jitter
    low = np.minimum(place.astype(int), len(pitch) - 2)
    part = (place - low)[:, np.newaxis]
    voiced = pitch[np.round(place).astype(int)] > 0
    sound = synthesise(
        np.where(voiced, 440 * 2 ** ((midi - 69) / 12), 0.0),
        np.exp(np.log(envelope[low] + 1e-16) * (1 - part) + np.log(envelope[low + 1] + 1e-16) * part),
        noise[low] * (1 - part) + noise[low + 1] * part,
        rng.uniform(0.85, 1.22),
        rng,
    )
    gain = gaussian_filter1d(np.concatenate([*loudness, np.ones(len(tail))]), 6)
    gain *= 1 + rng.uniform(0, 0.12) * np.roll(wave, 4) / (np.abs(wave).max() + 1e-9)  # loudness follows the vibrato
    return sound * np.interp(np.arange(len(sound)) / (SAMPLE_RATE * FRAME_S), np.arange(len(gain)), gain)


def score(rng) -> str:
    """Return a random melody with random syllables as MusicXML, a note a measure (Sinsy only asks how long it is)."""
    scale, degree, lowest = SCALES[rng.integers(4)], 3, int(rng.integers(58, 68))
    notes: list[tuple[int, int | None]] = [(2, None)]
    while len(notes) < 26:
        for _ in range(int(rng.integers(4, 14))):
            degree = step(degree, rng)
            notes.append((int(rng.choice([1, 2, 2, 2, 3, 4, 4, 6, 8])), lowest + semitones(degree, scale)))
        notes.append((int(rng.choice([1, 2, 4])), None))
    body = ""
    for number, (length, midi) in enumerate(notes):
        what, lyric = "<rest/>", ""
        if midi is not None:
            name = "CCDDEFFGGAAB"[midi % 12]
            sharp = "<alter>1</alter>" if midi % 12 in (1, 3, 6, 8, 10) else ""
            what = f"<pitch><step>{name}</step>{sharp}<octave>{midi // 12 - 1}</octave></pitch>"
            lyric = f"<lyric><text>{rng.choice(list(KANA))}</text></lyric>"
        head = f"<attributes><divisions>4</divisions><time><beats>{length}</beats><beat-type>16</beat-type></time>"
        head += "<clef><sign>G</sign><line>2</line></clef></attributes>"
        head += f'<direction><sound tempo="{int(rng.integers(80, 170))}"/></direction>' if number == 0 else ""
        note = f"<note>{what}<duration>{length}</duration><voice>1</voice>{lyric}</note>"
        body += f'<measure number="{number + 1}">{head}{note}</measure>'
    parts = '<part-list><score-part id="P1"><part-name>voice</part-name></score-part></part-list>'
    return f'<score-partwise version="2.0">{parts}<part id="P1">{body}</part></score-partwise>'
