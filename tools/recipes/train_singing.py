"""Train the singing-voice detector that comes with the course: data/pretrained/singing_detector.npz.

    python tools/recipes/train_singing.py --work DIR                # everything; what is there already is found in DIR
    python tools/recipes/train_singing.py --work DIR --mixes 2000   # a small one

Needs what build_voices.py needs (Debian 12, ffmpeg, pyworld, pysinsy), 15 GB of disk and about two hours of two
cores. No real song is used, nor any voice or artist of the valid and test splits of `mini/singing`. What it does:

1. voices: the training speakers of build_voices.py, several times as many lines of each, and the volunteers who
   speak letters and words in many languages for three programs for children (KLettres, KTuberling, Tux Paint),
2. music: excerpts of ten seconds from 564 pieces of Debian's games (singing_music.csv) and the training music of
   `mini/singing`; excerpts that the tagger musicnn finds vocal are left out,
3. mixes of both by the mixer of `mini/singing`, as the detector's front end hears them,
4. training of the two members of the detector's ensemble, keeping a running average of their weights,
5. choice of threshold and median filter by the frame accuracy on fixed validation mixes of `mini/singing`.

In 4 and 5, the short pauses between lines count more than other frames: songs have many more of them than mixes, and
fill them with echoes and second voices, through which a detector too easily hears the singing go on.
"""

import argparse
import os
import subprocess
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import build_voices
import keras
import numpy as np
import pandas as pd
import pyworld
import soundfile
import tensorflow as tf
from build_mini import CLIP_SECONDS, SAMPLE_RATE, cut_clip
from build_voices import NITECH, SPEAKERS, Voice, draw_lines
from sklearn.metrics import roc_auc_score

from dl4mir_utils.data import load
from dl4mir_utils.data.mixes import Line, mix_song, where_it_sounds
from dl4mir_utils.models.musicnn import HOP, MTT_TAGS, RATE, load_musicnn, musicnn
from dl4mir_utils.models.singing import MEMBERS, STEP, WEIGHTS, build_ensemble, build_front_end
from dl4mir_utils.models.weights import save_weights
from dl4mir_utils.segments import Segment, frame_labels
from dl4mir_utils.singing import smooth

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = CLIP_SECONDS * SAMPLE_RATE
HOP_S = STEP * HOP / RATE
MORE = 3  # times the minutes of mini/singing
EXCERPTS = 4  # of a piece, at most
VOCAL = 0.12  # a vocal tag above this: perhaps there is a voice
VOICES = ("vocal", "vocals", "voice", "singing", "choir")
VOCAL_TAGS = [n for n, tag in enumerate(MTT_TAGS) if tag.split()[-1] in VOICES and not tag.startswith("no ")]
PER_FILE, VALID = 250, 500  # mixes
BATCH, EPOCHS, LEARNING_RATE = 16, 4, 2e-3
SHORT_S, PAUSE_WEIGHT = 2.0, 6.0  # pauses up to this length count so many times
build_voices.PACKAGES |= {
    "klettres-data": ("4:22.12.3-1", "1186d257a19e84230856baea0b0b1ded8be9195080fcdb2588970b5cd937f5a8"),
    "ktuberling-data": ("4:22.12.3-1", "fba44c875bfa31ea488dadd9263e87a4dcaea0bd47d28817f6c0dc6d2af970ed"),
    "tuxpaint-stamps-default": ("2022.06.04-1", "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34"),
}
VOLUNTEERS = {  # package: where, languages, minutes spoken and sung
    "klettres-data": ("klettres/{}/**/*", "ar cs da de en en_GB es he hu it lt ml nds nl pt_BR ru uk", (0.2, 1.0)),
    "ktuberling-data": ("ktuberling/sounds/{}/*", "ca da de el en gl lt ru sl uk wa", (0.2, 1.0)),
    "tuxpaint-stamps-default": ("tuxpaint/stamps/**/*_{}.ogg", "fr ru ro ca bg es be el da", (0.5, 3.0)),
}


def all_voices(work: Path) -> list[Voice]:
    """Return who may train, with the minutes of each kind to make."""
    train = [voice for voice in (*SPEAKERS, NITECH) if voice.split == "train"]
    voices = [voice._replace(spoken=MORE * voice.spoken, sung=MORE * voice.sung) for voice in train]
    for package, (where, languages, (spoken, sung)) in VOLUNTEERS.items():
        for language in languages.split():
            name, place = f"{package.partition('-')[0]}_{language}", "usr/share/" + where.format(language)
            voices.append(Voice(name, package, place, language, "train", False, spoken, sung, "GPL-2.0", "", ""))
    return voices


def is_low(voice: Voice, work: Path) -> bool:
    """Tell whether somebody speaks as low as most men do: a median pitch below 165 Hz."""
    words = list(build_voices.speech(voice, work).values())[:40]
    pitch = pyworld.dio(np.concatenate(words).astype(np.float64), SAMPLE_RATE)[0]
    return bool(np.median(pitch[pitch > 0]) < 165)


def make_lines(voice: Voice, work: Path) -> Path:
    """Write all lines of a voice to one file, if it is not there, and return its path."""
    target = work / "lines" / f"{voice.voice}_{voice.language}.npz"
    if not target.exists():
        start = time.time()
        if voice.package in VOLUNTEERS:
            voice = voice._replace(low=is_low(voice, work))
        kind = "sung (HMM)" if voice.voice == NITECH.voice else "sung (WORLD)"
        drawn = [*draw_lines(voice, "spoken", voice.spoken, work), *draw_lines(voice, kind, voice.sung, work)]
        build_voices.speech.cache_clear()
        np.savez(target, *(np.int16(32767 * sound) for _, _, sound in drawn))
        print(f"{target.stem}: {len(drawn)} lines, {time.time() - start:.0f} s", flush=True)
    return target


def make_clips(package: str, work: Path) -> Path:
    """Write the excerpts of a package's music in which no voice is suspected, if they are not there."""
    target = work / "clips" / f"{package}.npy"
    if target.exists():
        return target
    folder = work / "packages" / package
    if not folder.exists():
        if not list(folder.parent.glob(f"{package}_*.deb")):
            subprocess.run(["apt-get", "download", package], cwd=folder.parent, check=True)
        subprocess.run(["dpkg-deb", "-x", next(folder.parent.glob(f"{package}_*.deb")), folder], check=True)
    pieces = pd.read_csv(ROOT / "tools" / "recipes" / "singing_music.csv", keep_default_na=False)
    tagger, kept, count = musicnn(), [], 0
    for piece in pieces[pieces.package == package].itertuples():
        for start_s in np.arange(2, piece.duration_s - 12, max(14.0, (piece.duration_s - 14) / EXCERPTS)):
            try:
                clip = cut_clip(folder, piece.path, start_s)
            except (OSError, ValueError, soundfile.LibsndfileError) as error:  # say so, and go on
                print(f"{package}: {error}", flush=True)
                break
            if np.sqrt(np.mean(clip**2)) < 0.003:  # almost silence
                continue
            count += 1
            tags = tagger(clip[: 9 * SAMPLE_RATE].reshape(3, -1, 1), training=False).numpy()
            if tags[:, VOCAL_TAGS].max() < VOCAL:
                kept.append(np.int16(32767 * clip))
    print(f"{package}: {len(kept)} of {count} excerpts without a suspected voice", flush=True)
    np.save(target, np.array(kept, np.int16).reshape(-1, SAMPLES))
    return target


@cache
def material(lines: tuple[Path, ...], clips: tuple[Path, ...]) -> tuple[list[list[Line]], list[np.ndarray]]:
    """Return the lines of every speaker and all music, those of the training split of `mini/singing` included."""
    mini = load("mini/singing")
    music = [clip for path in clips for clip in np.load(path, mmap_mode="r")]
    frame = mini.music.frame
    music += [np.int16(32767 * mini.music.audio(name)) for name in frame.index[frame["split"] == "train"]]
    frame = mini.voices.frame
    scratch = [np.int16(32767 * mini.voices.audio(name)) for name in frame.index[frame["group"] == "scratch"]]
    speakers = [scratch]
    for path in lines:
        with np.load(path) as sounds:
            speakers.append([sounds[name] for name in sounds.files])
    return [[Line(sound, *where_it_sounds(sound / np.float32(32768))) for sound in own] for own in speakers], music


def make_mixes(number: int, lines: tuple[Path, ...], clips: tuple[Path, ...], work: Path) -> Path:
    """Write 250 training mixes as the front end hears them, if they are not there."""
    target = work / "mixes" / f"{number:03d}.npz"
    if not target.exists():
        speakers, music = material(lines, clips)
        rng = np.random.default_rng([7, number])
        write_heard(target, (mix_song(rng, speakers, music, SAMPLES) for _ in range(PER_FILE)))
    return target


def make_valid(work: Path) -> Path:
    """Write the fixed validation mixes of `mini/singing` as the front end hears them, if they are not there."""
    target = work / "mixes" / "valid.npz"
    if not target.exists():
        mini = load("mini/singing")
        write_heard(target, (mini.mix("valid", number) for number in range(VALID)))
    return target


def write_heard(target: Path, mixes: Iterable[tuple[np.ndarray, tuple[Segment, ...]]]) -> None:
    """Write log-mel, features of musicnn and frame labels of mixes, in half precision."""
    front_end = build_front_end()
    load_musicnn(front_end)
    hear = tf.function(partial(front_end, training=False), jit_compile=False)
    rows = []
    for audio, segments in mixes:
        log_mel, heard = hear(tf.constant(audio[np.newaxis, :, np.newaxis]))
        rows.append((log_mel[0].numpy(), heard[0].numpy(), frame_labels(segments, HOP_S, len(heard[0]))))
    log_mel, heard, label = (np.stack(column).astype(np.float16) for column in zip(*rows, strict=True))
    np.savez(target, log_mel=log_mel, heard=heard, label=label)


def read(paths: Iterable[Path]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log-mel, features and labels of all mixes in some files."""
    files = [np.load(path) for path in paths]
    log_mel, heard, label = (np.concatenate([file[name] for file in files]) for name in ("log_mel", "heard", "label"))
    return log_mel, heard, label


def augmented(log_mel: np.ndarray, heard: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Change a batch: level over time, a band of frequencies, the pitch; hide one of the two inputs at times."""
    log_mel, heard = log_mel.astype(np.float32), heard.astype(np.float32)
    frames, mels = log_mel.shape[1:]
    for clip in range(len(log_mel)):
        if rng.random() < 0.5:
            gain = np.interp(np.arange(frames), np.linspace(0, frames, 5), rng.normal(0, 0.5, 5))
            log_mel[clip] += gain[:, np.newaxis]
        if rng.random() < 0.5:
            first = rng.integers(0, mels - 10)
            band = np.s_[clip, :, first : first + rng.integers(1, 12)]
            log_mel[band] = log_mel[band].mean()
        if rng.random() < 0.3:
            log_mel[clip] = np.roll(log_mel[clip], rng.integers(-2, 3), axis=1)
        hidden = rng.random()
        if hidden < 0.15:
            heard[clip] = heard[clip].mean()
        elif hidden < 0.4:
            log_mel[clip] = log_mel[clip].mean()
    return log_mel, heard


def weights(label: np.ndarray) -> np.ndarray:
    """Return how much each frame counts: more in a short pause between two sung parts."""
    weight = np.ones(label.shape, np.float32)
    for clip, own in enumerate(label):
        edges = np.flatnonzero(np.diff(own)) + 1
        edges = edges[int(own[0] == 0) :]  # end of singing, start, end ...
        for end, start in zip(edges[::2], edges[1::2], strict=False):
            if (start - end) * HOP_S <= SHORT_S:
                weight[clip, end:start] = PAUSE_WEIGHT
    return weight


def batches(data: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int) -> Iterator[tuple]:
    """Yield shuffled, augmented batches for ever."""
    rng = np.random.default_rng(seed)
    log_mel, heard, label = data
    weight = weights(label)
    while True:
        order = rng.permutation(len(label))
        for first in range(0, len(order) - BATCH + 1, BATCH):
            chosen = np.sort(order[first : first + BATCH])
            truth = label[chosen, :, np.newaxis].astype(np.float32)
            yield augmented(log_mel[chosen], heard[chosen], rng), truth, weight[chosen]


def one_thread() -> None:
    """Let TensorFlow use one core in each of the processes."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for everything that is made on the way")
    parser.add_argument("--mixes", type=int, default=11750, help="mixes to train on (11750)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"times each is seen ({EPOCHS})")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "pretrained" / WEIGHTS)
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    for folder in ("lines", "clips", "mixes", "packages"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    packages = sorted(pd.read_csv(ROOT / "tools" / "recipes" / "singing_music.csv")["package"].unique())
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn"), one_thread) as pool:
        lines = tuple(pool.map(partial(make_lines, work=work), all_voices(work)))
        clips = tuple(pool.map(partial(make_clips, work=work), packages))
        numbers = range(-(-arguments.mixes // PER_FILE))
        mixes = list(pool.map(partial(make_mixes, lines=lines, clips=clips, work=work), numbers))
        valid = read([pool.submit(make_valid, work).result()])
    train(read(mixes), valid, arguments)


def train(data: tuple, valid: tuple, arguments: argparse.Namespace) -> None:
    """Train the members, choose threshold and filter for their mean, write all."""
    ensemble = build_ensemble()
    for number in range(MEMBERS):
        fit(ensemble.get_layer(f"member_{number}"), data, arguments.epochs, arguments.seed + number)
    threshold, frames = choose(ensemble, valid)
    save_weights(ensemble, arguments.out, threshold=np.array(threshold), median_frames=np.array(frames))
    print(f"{arguments.out}: {ensemble.count_params():,} weights, {arguments.out.stat().st_size / 1e6:.2f} MB")


def fit(member: keras.Model, data: tuple, epochs: int, seed: int) -> None:
    """Train one member."""
    keras.utils.set_random_seed(seed)
    steps = len(data[-1]) // BATCH
    rate = keras.optimizers.schedules.CosineDecay(1e-5, steps * epochs, warmup_target=LEARNING_RATE, warmup_steps=100)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-4, use_ema=True, ema_momentum=0.995)
    loss = keras.losses.BinaryCrossentropy(label_smoothing=0.02)
    # With a last axis of one, Keras takes a weight for each frame.
    framewise = keras.Model(member.inputs, keras.ops.expand_dims(member.output, -1))
    framewise.compile(optimizer, loss, jit_compile=False)
    framewise.fit(batches(data, seed), steps_per_epoch=steps, epochs=epochs, verbose=2)


def choose(ensemble: keras.Model, valid: tuple) -> tuple[float, int]:
    """Return threshold and length of the median filter in frames, from validation mixes.

    The filter is the best one. The threshold is the highest whose accuracy is within one standard error, over mixes,
    of the best (Breiman et al., 1984, have this rule for pruning trees): songs have more than mixes to be taken for
    singing.
    """
    probability = ensemble.predict(list(valid[:2]), verbose=0)
    truth, weight = valid[2].astype(int), weights(valid[2])
    in_mix, thresholds = weight.sum(axis=1), np.arange(5, 96) / 100
    best = (0.0, 0.0, 0)
    for frames in (1, 3, 5, 7, 9, 11):
        smoothed = np.stack([smooth(clip, frames) for clip in probability])
        right = np.array([np.sum(((smoothed >= value) == truth) * weight, axis=1) for value in thresholds])
        accuracy = right.sum(axis=1) / in_mix.sum()
        top = accuracy.argmax()
        error = np.sqrt(np.sum((right[top] - accuracy[top] * in_mix) ** 2)) / in_mix.sum()
        highest = thresholds[accuracy >= accuracy[top] - error].max()
        best = max(best, (float(accuracy[top]), float(highest), frames))
    auc = roc_auc_score(truth.ravel(), probability.ravel())
    print(
        f"validation mixes: AUC {auc:.3f}, accuracy {best[0]:.3f}; threshold {best[1]:.2f}, median of {best[2]} frames"
    )
    return best[1:]


if __name__ == "__main__":
    main()
