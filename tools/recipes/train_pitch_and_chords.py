"""Train the small networks of notebooks 01 and 02 for the live page: data/pretrained/{pitch,chords}.{npz,tflite,json}.

    .venv/bin/python tools/recipes/train_pitch_and_chords.py            # a minute
    .venv/bin/python tools/recipes/train_pitch_and_chords.py --export   # only the .tflite and cards, from the .npz

**Pitch** is notebook 01's dense layer of 432 weights, with the broader training of its section 11: sines and
sawtooths, out of tune by up to 40 cents. In the notebook it names two more of the 47 recorded notes than the plain
training, too few to claim a gain; but whoever sings into a microphone is seldom in tune. The notebook trains three
networks that differ in their seeds. Here the mean of their weights is kept, which votes like the mean of their votes:
the random weights at keys that no training tone touched, which decide close calls, get smaller.

**Chords** is notebook 02's network of 74 weights for 24 chords. The notebook leaves roots out of the training to see
what happens; this one learns all of them.

Sounds, seeds, optimiser and epochs are those of the notebooks. `tests/test_live_networks.py` fails when a network here
changes and its file does not.
"""

import argparse

import dl4mir_utils  # noqa: F401  before Keras: it quietens TensorFlow

# isort: split
import keras
import numpy as np
from keras import layers, ops

from dl4mir_utils.apps.lite import read_card
from dl4mir_utils.chords import CHORD_NAMES, INTERVALS, PITCH_CLASSES, QUALITIES, chord
from dl4mir_utils.data import load
from dl4mir_utils.metrics import group_interval
from dl4mir_utils.models.lite import Signature, to_tflite
from dl4mir_utils.models.weights import load_weights, save_weights
from dl4mir_utils.paths import data_root
from dl4mir_utils.pitch import CQT_BINS, CQT_MIN_HZ, RANGE_DB, cqt_frames
from dl4mir_utils.synth import add_noise, note_frequency, tone

MIDDLE = 16  # the frame in the middle of a second
EARLY = 2  # of three frames at 64, 96 and 128 ms, the first
SEEDS = (0, 1, 2)
PICTURE = {
    "bins": CQT_BINS,
    "lowest_hz": CQT_MIN_HZ,
    "bins_per_octave": 12,
    "periods": round(2 * (2 ** (1 / 6) + 1) / (2 ** (1 / 6) - 1), 5),
    "window": "hann",
    "hop_samples": 512,
    "range_db": RANGE_DB,
}
SCALING = (
    "no sound, but frames of a constant-Q picture of sound at 16 kHz: float32, in each frame the weakest of 36 "
    "semitones is 0 and the strongest 1, linear in dB over at most 80 dB (dl4mir_utils.pitch.cqt_frames)"
)


# --- sounds -------------------------------------------------------------------------------------------------------


def tones(count, seed, snr_db=(10, 40), cents=0, waves=("sine",)):
    """Return notebook 01's tones of one second (count, 16000) and their pitch classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(12, size=count)
    detuned = rng.uniform(-cents, cents, count) / 100  # in semitones
    semitones = labels + 12 * rng.choice((0,), count) + detuned
    sounds = np.empty((count, 16000), np.float32)
    for number in range(count):
        wave, phase = str(rng.choice(waves)), rng.random()
        sounds[number] = tone(note_frequency(semitones[number]), wave=wave, phases=phase)
    return add_noise(sounds, rng.uniform(*snr_db, count), rng), labels


def chords(count, seed, wave="sine", snr_db=(0, 20)):
    """Return notebook 02's chords of 0.3 s (count, 4800), in all inversions, and their numbers from 0 to 23."""
    rng = np.random.default_rng(seed)
    qualities, roots = rng.integers(2, size=count), rng.integers(12, size=count)
    inversions = rng.choice((0, 1, 2), count)
    sounds = [
        chord(root, QUALITIES[quality], inversion, wave, 0.3, 3, rng)
        for root, quality, inversion in zip(roots, qualities, inversions, strict=True)
    ]
    return add_noise(np.array(sounds), rng.uniform(*snr_db, count), rng), 2 * roots + qualities


def recorded_notes():
    """Return the recorded notes (47, 16000), their pitch classes, and their instruments."""
    notes = load("mini/notes")
    sounds = np.stack([notes.audio(name) for name in notes.frame.index])
    return sounds, notes.labels(), notes.frame["group"].to_numpy()


def recorded_chords(count=300):
    """Return notebook 02's chords of three recorded notes (count, 16000), and their numbers."""
    notes, rng = load("mini/notes"), np.random.default_rng(0)
    names, classes = notes.frame.index.to_numpy(), notes.labels()
    numbers = rng.integers(24, size=count)
    sounds = np.zeros((count, 16000))
    for sound, number in zip(sounds, numbers, strict=True):
        for step in INTERVALS[QUALITIES[number % 2]]:
            note = notes.audio(rng.choice(names[classes == (number // 2 + step) % 12]))
            sound += note / np.sqrt(np.mean(note**2)) / 12  # all equally loud
    return sounds, numbers


# --- networks -----------------------------------------------------------------------------------------------------


def pitch_network():
    """Return notebook 01's network: 36 bins to 12 pitch classes, 432 weights."""
    dense = layers.Dense(12, use_bias=False, activation="softmax", name="notes")
    return keras.Sequential([keras.Input((36,), name="frame"), dense], name="pitch")


def chord_network():
    """Return notebook 02's network: three frames of 36 bins to 24 chords, 74 weights."""
    frames = keras.Input((36, 3, 1), name="frames")
    octaves = layers.Reshape((3, 12, 3, 1))(frames)
    chroma = ops.max(octaves, axis=1)  # the strongest octave: 12 x 3 x 1
    circle = ops.concatenate([chroma, chroma[:, :11]], axis=1)  # 23 x 3 x 1
    votes = layers.Conv2D(2, (12, 3), name="triads")(circle)
    return keras.Model(frames, layers.Softmax()(layers.Flatten()(votes)), name="chords")


def fitted(network, frames, labels, batch, epochs):
    """Train with the recipe of both notebooks."""
    network.compile(
        optimizer=keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
        loss="sparse_categorical_crossentropy",
        jit_compile=False,
        steps_per_execution=25,
    )
    network.fit(frames, labels, batch_size=batch, epochs=epochs, verbose=0)
    return network


def trained_pitch():
    """Return the pitch network with the mean weights of three trainings."""
    weights = []
    for seed in SEEDS:
        sounds, labels = tones(2000, 20 + seed, cents=40, waves=("sine", "sawtooth"))
        keras.utils.set_random_seed(seed)
        weights.append(fitted(pitch_network(), cqt_frames(sounds)[..., MIDDLE], labels, 16, 25).get_weights()[0])
    network = pitch_network()
    network.set_weights([np.mean(weights, axis=0)])
    return network


def trained_chords():
    """Return the chord network, trained on all 24 chords."""
    sounds, numbers = chords(2400, 7)
    keras.utils.set_random_seed(0)
    return fitted(chord_network(), early(cqt_frames(sounds)), numbers, 32, 20)


def early(pictures, first=EARLY):
    """Return three frames of each picture, with a channel: (sounds, 36, 3, 1)."""
    return pictures[:, :, first : first + 3, np.newaxis]


# --- scores and files ---------------------------------------------------------------------------------------------


def accuracy(network, frames, labels):
    """Return which answers are right (examples,)."""
    return network(frames, training=False).numpy().argmax(axis=1) == labels


def pitch_score(network):
    """Return how often the pitch network is right."""
    sounds, labels = tones(600, 3)
    test = accuracy(network, cqt_frames(sounds)[..., MIDDLE], labels)
    sounds, labels, instruments = recorded_notes()
    notes = accuracy(network, cqt_frames(sounds)[..., MIDDLE], labels)
    low, high = group_interval(notes, instruments)
    return {
        "test_tones": round(float(test.mean()), 3),
        "recorded_notes": round(float(notes.mean()), 3),
        "interval": [round(low, 2), round(high, 2)],
        "text": (
            f"It named {notes.sum()} of {len(notes)} recorded notes of eight instruments (95 % interval over "
            f"instruments: {100 * low:.0f} to {100 * high:.0f} %). It learned from computed tones of one octave, from "
            "A4 to A♭5: it knows lower and higher notes by their harmonics, and pure tones there hardly at all."
        ),
    }


def chord_score(network):
    """Return how often the chord network is right."""
    sounds, numbers = chords(900, 8)
    test = accuracy(network, early(cqt_frames(sounds)), numbers)
    sounds, numbers = recorded_chords()
    pictures = cqt_frames(sounds)
    begun, later = (accuracy(network, early(pictures, first), numbers) for first in (EARLY, 15))
    return {
        "test_chords": round(float(test.mean()), 3),
        "recorded_chords": round(float(begun.mean()), 3),
        "recorded_chords_later": round(float(later.mean()), 3),
        "text": (
            f"It named {100 * begun.mean():.0f} % of {len(numbers)} chords of three recorded notes from their first "
            f"eighth of a second, {100 * later.mean():.0f} % from the middle. It knows major and minor triads only, "
            "and says one of them to whatever it hears."
        ),
    }


def cards():
    """Return how each network is called and what its card tells, without the scores."""
    shared = {"audio": SCALING, "half": False, "picture": PICTURE, "licence": "MIT"}
    source = "notebook {}; tools/recipes/train_pitch_and_chords.py"
    return {
        "pitch": (
            pitch_network(),
            ("frame", (1, 36), "pitch"),
            {
                "title": "Notebook 01's pitch detector: 432 weights",
                "outputs": {"pitch": "the probability of each pitch class, if one note sounds"},
                "source": source.format("01"),
                "labels": PITCH_CLASSES,
            }
            | shared,
        ),
        "chords": (
            chord_network(),
            ("frames", (1, 36, 3, 1), "chord"),
            {
                "title": "Notebook 02's chord recogniser: 74 weights",
                "outputs": {
                    "chord": "the probability of each chord, if a triad sounds: three frames, the oldest first"
                },
                "source": source.format("02"),
                "labels": CHORD_NAMES,
            }
            | shared,
        ),
    }


def export(name, folder, score):
    """Write the .tflite and the card of a network whose weights are stored; return the network in Keras."""
    network, (given, shape, answer), facts = cards()[name]
    load_weights(network, data_root() / "pretrained" / f"{name}.npz")
    to_tflite(folder / f"{name}.tflite", {given: Signature(network, {given: shape}, [answer])}, score=score, **facts)
    return network


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--export", action="store_true", help="train nothing")
    folder = data_root() / "pretrained"
    only_export = parser.parse_args().export
    for name, trained, score in (("pitch", trained_pitch, pitch_score), ("chords", trained_chords, chord_score)):
        if only_export:
            scores = read_card(folder / f"{name}.tflite")["score"]
        else:
            network = trained()
            save_weights(network, folder / f"{name}.npz", np.float32)
            scores = score(network)
        export(name, folder, scores)
        print(
            name, scores, sum((folder / (name + end)).stat().st_size for end in (".npz", ".tflite", ".json")), "bytes"
        )


if __name__ == "__main__":
    main()
