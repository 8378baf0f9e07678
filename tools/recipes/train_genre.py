"""Train the live page's genre network: data/pretrained/genre_mini.npz, and genre_mini.tflite with its card (.json).

    .venv/bin/python tools/recipes/train_genre.py            # trains twenty small networks: about ten minutes
    .venv/bin/python tools/recipes/train_genre.py --export   # only writes the .tflite anew, from the .npz and the card

The network is notebook 05b's `time_cnn`, out of the notebook's cells tagged `model`, trained with its recipe but for
two things that a page for any sound needs. Loudness is drawn at random, so that it says nothing. And of 28 examples
twelve are no music of the three genres: speech and singing without music, noise, tones. There the right answer is
"a third each" (outlier exposure: Hendrycks, Mazeika and Dietterich, 2019, arXiv:1812.04606). That also takes more
epochs: 20 instead of 15.

Four members (seeds 0 to 3) are trained alike, and their votes are averaged. How good that is, and when its answer had
better be "unsure", is measured by the four artist folds of `mini/genre`: four members are trained without a fold's
artists, and asked about them. Temperature and threshold are chosen on these answers; what they do to artists on whom
they were not chosen is checked by leaving each fold out of the choice. The network in the file then learns from all 315
clips, which no fold's network did, because there are only four metal bands to learn from.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import dl4mir_utils  # noqa: F401  before Keras: it quietens TensorFlow

# isort: split
import keras
import numpy as np
from keras import layers

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools" / "course"))

import notebooks as nbs  # noqa: E402
from dl4mir_utils.apps.lite import read_card  # noqa: E402
from dl4mir_utils.data import load  # noqa: E402
from dl4mir_utils.decoding import SILENCE  # noqa: E402
from dl4mir_utils.layers import LogMel  # noqa: E402
from dl4mir_utils.metrics import group_interval  # noqa: E402
from dl4mir_utils.models.lite import Signature, to_tflite  # noqa: E402
from dl4mir_utils.paths import data_root  # noqa: E402

NAME = "genre_mini"
RATE = 16000
WINDOW = 40960  # samples of a window: 2.56 s
HOP = 10240  # samples between windows on the page
SMOOTH = 5  # windows whose mean is shown
SEEDS = (0, 1, 2, 3)
EPOCHS, BATCH, OTHERS = 20, 16, 12  # of a batch's 28 examples, 12 are no music of the three genres
QUIETEST_DB = 30  # below the clip's own loudness
MEASURED = ("answered", "right_where_answered", "by_genre", "by_fold", "unsure")  # the card's "calibration"
# Of musicnn's labels, those that name genres, not instruments, voices, moods, decades or places.
GENRE_TAGS = {
    "musicnn_msd": [
        *("rock", "pop", "alternative", "indie", "electronic", "dance", "alternative rock", "jazz", "metal"),
        *("classic rock", "soul", "indie rock", "electronica", "folk", "punk", "blues", "hard rock", "ambient"),
        *("experimental", "Hip-Hop", "country", "easy listening", "funk", "electro", "heavy metal"),
        *("Progressive rock", "rnb", "indie pop", "House"),
    ],
    "musicnn_mtt": [
        *("classical", "techno", "electronic", "rock", "ambient", "opera", "pop", "new age", "dance", "country"),
        "metal",
    ],
}
ANSWERED = 0.75  # of the time of music by unheard artists: how often the page names a genre at all


# --- what is heard ------------------------------------------------------------------------------------------------


def other_sounds(rng, voices, count):
    """Return sounds (count, WINDOW) that are no music of the three genres: voices, noise, tones."""
    sounds = np.zeros((count, WINDOW), np.float32)
    for sound in sounds:
        kind = rng.choice(["voice", "noise", "tone"], p=[0.6, 0.25, 0.15])
        if kind == "voice":
            line = voices[rng.integers(len(voices))]
            start = rng.integers(max(1, len(line) - WINDOW + 1))
            part = line[start : start + WINDOW]
            place = rng.integers(WINDOW - len(part) + 1)
            sound[place : place + len(part)] = part
            sound += coloured_noise(rng) * 10 ** (rng.uniform(-80, -20) / 20)  # rooms are not silent
        elif kind == "noise":
            sound += coloured_noise(rng)
        else:
            time_s = np.arange(WINDOW) / RATE
            for hz in np.exp(rng.uniform(np.log(80), np.log(4000), rng.integers(1, 4))):
                for harmonic in range(1, rng.integers(2, 8)):
                    if hz * harmonic < RATE / 2:
                        sound += np.sin(2 * np.pi * (hz * harmonic * time_s + rng.random())) / harmonic
        sound *= rng.uniform(0.1, 1) / max(np.abs(sound).max(), 1e-9)
    return sounds


def coloured_noise(rng):
    """Return noise whose power falls with frequency, more or less: white at one end, brown at the other."""
    spectrum = np.fft.rfft(rng.standard_normal(WINDOW))
    spectrum /= np.maximum(np.arange(len(spectrum)), 10) ** rng.uniform(0, 1)
    noise = np.fft.irfft(spectrum, WINDOW)
    return (noise / np.abs(noise).max()).astype(np.float32)


class Batches(keras.utils.PyDataset):
    """An epoch of training: a random part of every clip, with a random loudness, and other sounds between them."""

    def __init__(self, audio, labels, voices, seed):
        super().__init__()
        self.audio, self.labels, self.voices = audio, labels, voices
        self.rng = np.random.default_rng(seed)
        counts = np.bincount(labels, minlength=3)
        self.weights = counts.mean() / counts
        self.on_epoch_end()

    def __len__(self):
        return -(-len(self.labels) // BATCH)

    def on_epoch_end(self):
        """Draw another order."""
        self.order = self.rng.permutation(len(self.labels))

    def __getitem__(self, number):
        chosen = self.order[number * BATCH : (number + 1) * BATCH]
        starts = self.rng.integers(self.audio.shape[1] - WINDOW + 1, size=len(chosen))
        music = [self.audio[clip, start : start + WINDOW] for clip, start in zip(chosen, starts, strict=True)]
        sounds = np.concatenate([music, other_sounds(self.rng, self.voices, OTHERS)])
        gains = 10 ** (self.rng.uniform(-QUIETEST_DB, 0, len(sounds)) / 20)
        right = np.full((len(sounds), 3), 1 / 3)
        right[: len(chosen)] = np.eye(3)[self.labels[chosen]]
        weights = np.concatenate([self.weights[self.labels[chosen]], np.ones(OTHERS)])
        return (sounds * gains[:, np.newaxis])[..., np.newaxis].astype(np.float32), right, weights


# --- the network --------------------------------------------------------------------------------------------------


def member(notebook):
    """Return notebook 05b's network from a picture to three votes."""
    picture = keras.Input((WINDOW // 256, 64, 1))
    votes = layers.Dense(3)(notebook["time_cnn"](notebook["normalise"](picture)))
    return keras.Model(picture, votes)


def network(temperature=1.0):
    """Return the members under one spectrogram: from audio (batch, WINDOW, 1) to probabilities (batch, 3)."""
    notebook = nbs.namespace(ROOT / "notebooks" / "05b_genre.ipynb")
    audio = keras.Input((WINDOW, 1), name="audio")
    picture = LogMel(sample_rate=RATE, window_s=0.032, hop_s=0.016, n_mels=64, name="log_mel")(audio)
    members = []
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        one = member(notebook)
        one.name = f"member_{seed}"
        members.append(one)
    votes = layers.Average()([one(picture) for one in members])
    genre = layers.Softmax()(layers.Rescaling(1 / temperature)(votes))
    return keras.Model(audio, genre, name=NAME)


def train(model, audio, labels, voices):
    """Train the members one after the other, each with its seed."""
    log_mel = model.get_layer("log_mel")
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        sound = keras.Input((WINDOW, 1))
        probabilities = layers.Softmax()(model.get_layer(f"member_{seed}")(log_mel(sound)))
        alone = keras.Model(sound, probabilities)
        batches = Batches(audio, labels, voices, seed)
        rate = keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * len(batches))
        alone.compile(keras.optimizers.Adam(rate), "categorical_crossentropy", jit_compile=False)
        alone.fit(batches, epochs=EPOCHS, verbose=0)
    return model


# --- what is measured ---------------------------------------------------------------------------------------------


def windows(sound):
    """Return the windows (count, WINDOW) that the page cuts a sound into."""
    sound = np.pad(sound, (0, max(0, WINDOW - len(sound))))
    return np.stack([sound[start : start + WINDOW] for start in range(0, len(sound) - WINDOW + 1, HOP)])


def log_probabilities(model, sound):
    """Return the answers to all windows of a sound, without temperature: log probabilities (windows, 3)."""
    given = windows(sound)[..., np.newaxis].astype(np.float32)
    parts = [model(given[start : start + 64], training=False) for start in range(0, len(given), 64)]
    return np.log(np.maximum(np.concatenate(parts), 1e-30))


def tempered(logs, temperature):
    """Return probabilities (..., 3), less sure with a higher temperature."""
    raised = np.exp((logs - logs.max(axis=-1, keepdims=True)) / temperature)
    return raised / raised.sum(axis=-1, keepdims=True)


def smoothed(rows):
    """Return the mean of each row and its neighbours, `SMOOTH` in all; fewer at the ends."""
    reach = SMOOTH // 2
    return np.array([rows[max(0, i - reach) : i + reach + 1].mean(axis=0) for i in range(len(rows))])


def surest(logs, temperature):
    """Return the highest of the smoothed probabilities (windows,): what is compared with the threshold."""
    return smoothed(tempered(logs, temperature)).max(axis=1)


def best_temperature(logs, labels):
    """Return the temperature with which the right genres are most probable, over all windows of clips (n, w, 3)."""
    tried = np.round(np.arange(0.5, 3.01, 0.05), 2)
    clips = np.arange(len(labels))
    losses = [-np.log(tempered(logs, one)[clips, :, labels] + 1e-12).mean() for one in tried]
    return float(tried[int(np.argmin(losses))])


def calibrated(logs, labels):
    """Return temperature and threshold, chosen on clips (n, w, 3) of artists that the networks had not heard."""
    temperature = best_temperature(logs, labels)
    return temperature, float(np.quantile([surest(clip, temperature) for clip in logs], 1 - ANSWERED))


def judged(logs, labels, temperature, threshold):
    """Return for each clip how much of it is answered, and how much is answered rightly; shares (n,)."""
    answered, right = [], []
    for clip, label in zip(logs, labels, strict=True):
        rows = smoothed(tempered(clip, temperature))
        sure = rows.max(axis=1) >= threshold
        answered.append(sure.mean())
        right.append((sure & (rows.argmax(axis=1) == label)).mean())
    return np.array(answered), np.array(right)


def with_interval(values, groups):
    """Return a mean and its interval over groups, rounded."""
    low, high = group_interval(values, groups)
    return round(float(np.mean(values)), 3), [round(low, 3), round(high, 3)]


def measure(data, logs):
    """Return temperature, threshold and scores, from answers (clips, windows, 3) of networks new to the artists."""
    labels, folds, groups = data.labels(), data.frame.fold_artist.to_numpy(), data.frame.group.to_numpy()
    temperature, threshold = calibrated(logs, labels)
    # Of each fold, with temperature and threshold from the three others.
    answered, right = np.zeros(len(labels)), np.zeros(len(labels))
    for fold in np.unique(folds):
        test = folds == fold
        chosen = calibrated(logs[~test], labels[~test])
        answered[test], right[test] = judged(logs[test], labels[test], *chosen)
    hits = tempered(logs, temperature).mean(axis=1).argmax(axis=1) == labels
    accuracy, interval = with_interval(hits, groups)
    return {
        "temperature": temperature,
        "unsure_below": round(threshold, 3),
        "score": {"accuracy": accuracy, "interval": interval, "clips": len(labels), "artists": len(set(groups))},
        "by_genre": {name: round(float(hits[labels == n].mean()), 3) for n, name in enumerate(data.classes)},
        "by_fold": [round(float(hits[folds == fold].mean()), 3) for fold in np.unique(folds)],
        "answered": round(float(answered.mean()), 3),
        "right_where_answered": round(float(right.sum() / answered.sum()), 3),
    }


def lines(*splits):
    """Return the dry voice lines of some splits of `mini/voices`, by speaker."""
    voices = load("mini/singing").voices
    frame = voices.frame[voices.frame.split.isin(splits)]
    return {who: [voices.audio(name) for name in part.index] for who, part in frame.groupby("group")}


def strangers():
    """Return what is not known to be music of the three genres, by kind: lists of sounds.

    None of it was in the training: the speakers are others, and the noise is new, but of the same kind.
    """
    rng = np.random.default_rng(99)
    all_clips, labelled, notes = load("mini/tracker"), load("mini/genre"), load("mini/notes")
    others = all_clips.frame.index.difference(labelled.frame.index)
    return {
        "voices alone": [np.concatenate(of_one) for of_one in lines("valid", "test").values()],
        "noise": [coloured_noise(rng) * 10 ** (rng.uniform(-40, -3) / 20) for _ in range(40)],
        "single notes": [notes.audio(name) for name in notes.frame.index],
        "other music": [all_clips.audio(name) for name in others],
    }


def unsure(answers, temperature, threshold):
    """Return how much of the time the page says "unsure", by kind of sound."""
    return {
        kind: round(float(np.mean(np.concatenate([surest(logs, temperature) < threshold for logs in of_kind]))), 3)
        for kind, of_kind in answers.items()
    }


def answers_to(model, sounds):
    """Return the log probabilities for sounds by kind, in the same order."""
    return {kind: [log_probabilities(model, sound) for sound in of_kind] for kind, of_kind in sounds.items()}


# --- files --------------------------------------------------------------------------------------------------------


def facts(measured):
    """Return the card's facts: those of the code, and those that were measured."""
    score, percent = measured["score"], "{:.0f} %".format
    low, high = (percent(100 * end) for end in score["interval"])
    unsure_share = {kind: percent(100 * share) for kind, share in measured["unsure"].items()}
    texts = {
        "score": (
            f"Networks trained like it named the right genre for {percent(100 * score['accuracy'])} of "
            f"{score['clips']} clips by artists whom they had never heard (95 % interval over "
            f"{score['artists']} artists: {low} to {high}). It knows these three genres and no other."
        ),
        "calibration": (
            f"It is unsure where its highest probability, smoothed over {SMOOTH} windows, is below "
            f"{measured['unsure_below']:.2f}: in about a quarter of music of the three genres by unheard artists. "
            f"Where it answers there, it is right {percent(100 * measured['right_where_answered'])} of the time. It is "
            f"unsure in {unsure_share['voices alone']} of voices without music, {unsure_share['single notes']} of "
            f"single notes, {unsure_share['noise']} of noise, "
            f"but only in {unsure_share['other music']} of the course's clips "
            "without a genre label: other music often passes for one of the three."
        ),
    }
    return {
        "title": "The course's genre network: electronic, metal or orchestral",
        "outputs": {"genre": "the probability of each genre"},
        "window_samples": WINDOW,
        "hop_samples": HOP,
        "smooth_windows": SMOOTH,
        "unsure_below": measured["unsure_below"],
        "silent_below": SILENCE,
        "temperature": measured["temperature"],
        "score": score | {"text": texts["score"]},
        "calibration": {key: measured[key] for key in MEASURED} | {"text": texts["calibration"]},
        "heard": "The network learned from the course's own clips: what it says of them does not show how good it is.",
        "genre_tags": GENRE_TAGS,
        "source": "notebook 05b; tools/recipes/train_genre.py",
        "licence": "MIT",
        "labels": load("mini/genre").classes,
    }


def measured_before():
    """Return what the card in the repository says was measured."""
    card = read_card(data_root() / "pretrained" / f"{NAME}.tflite")
    measured = {key: card["calibration"][key] for key in MEASURED}
    score = {key: value for key, value in card["score"].items() if key != "text"}
    return measured | {"unsure_below": card["unsure_below"], "temperature": card["temperature"], "score": score}


def export(folder, measured, half=True):
    """Write the .tflite and the card of the network whose weights are stored; return the network in Keras."""
    model = network(measured["temperature"])
    with np.load(data_root() / "pretrained" / f"{NAME}.npz") as stored:
        model.set_weights([stored[f"arr_{number}"] for number in range(len(stored.files))])
    signature = Signature(model, {"audio": (1, WINDOW, 1)}, ["genre"])
    to_tflite(folder / f"{NAME}.tflite", {"window": signature}, half=half, **facts(measured))
    return model


def cross_fitted(data, audio, voices, work):
    """Return answers to all clips (clips, windows, 3), each by members that knew none of the artists of its fold."""
    folds, labels = data.frame.fold_artist.to_numpy(int), data.labels()
    logs = None
    for fold in np.unique(folds):
        test, stored = folds == fold, work / f"fold_{fold}.npy"
        if not stored.exists():
            model = train(network(), audio[~test], labels[~test], voices)
            np.save(stored, [log_probabilities(model, clip) for clip in audio[test]])
        answers = np.load(stored)
        logs = np.zeros((len(audio), *answers.shape[1:])) if logs is None else logs
        logs[test] = answers
    return logs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--export", action="store_true", help="train nothing")
    parser.add_argument("--work", type=Path, help="a folder for the folds' answers: what is there is not done again")
    options, folder = parser.parse_args(), data_root() / "pretrained"
    if options.export:
        export(folder, measured_before())
        return
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        data = load("mini/genre")
        audio = np.stack([data.audio(name)[: 10 * RATE] for name in data.frame.index])
        voices = [line for of_one in lines("train").values() for line in of_one]
        measured = measure(data, cross_fitted(data, audio, voices, work))
    model = train(network(), audio, data.labels(), voices)
    measured["unsure"] = unsure(answers_to(model, strangers()), measured["temperature"], measured["unsure_below"])
    # By number: Keras counts the names of layers on from network to network.
    np.savez_compressed(folder / f"{NAME}.npz", *(weight.astype(np.float16) for weight in model.get_weights()))
    keras.backend.clear_session()  # names of layers start anew, so that --export would write the same bytes
    export(folder, measured)
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
