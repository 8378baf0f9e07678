"""Checks of notebook 01."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dl4mir_utils.checks.answers import is_open, say
from dl4mir_utils.synth import NOTE_NAMES, note_frequency

# What `mystery_notes` plays, in order: the harmonics of three C4.
MYSTERY = {"buzzing": range(1, 31), "hollow": range(1, 31, 2), "pure": (1,)}
LARGEST = 60  # weights that a network with one template may have
VERDICTS = ("better", "worse", "cannot say")


def check_01_bin(nearest_bin: Callable[[float], int | None]) -> None:
    """Check a function from a frequency in Hz to the number of the nearest of 36 bins from A3 (220 Hz)."""
    answers = {place: nearest_bin(note_frequency(place - 12 + 0.3)) for place in (0, 12, 17, 35)}
    if is_open(*answers.values()):
        return
    wrong = {place: answer for place, answer in answers.items() if answer != place}
    if not wrong:
        sharp = nearest_bin(note_frequency(5.7))
        say(
            sharp == 18,
            f"1000 Hz falls in bin {nearest_bin(1000)}: a B5, 21 cents sharp.",
            f"A tone 30 cents below bin 18 should fall in bin 18, not {sharp}: round, do not cut off.",
        )
        return
    place, answer = next(iter(wrong.items()))
    print(
        f"Not yet. {note_frequency(place - 12 + 0.3):.1f} Hz should fall in bin {place}, not {answer}: how many "
        "octaves above 220 Hz is it, and how many semitones has an octave?"
    )


def check_01_by_hand(
    by_hand: np.ndarray | None,
    frames: np.ndarray,
    labels: np.ndarray,
    note_frames: np.ndarray,
    note_labels: np.ndarray,
) -> None:
    """Check weights (36, 12) written by hand on tones from three octaves."""
    if is_open(by_hand):
        return
    if np.shape(by_hand) != (36, 12):
        print(f"Not yet. The weights have the shape {np.shape(by_hand)}; 36 bins and 12 notes make (36, 12).")
        return
    tones = np.mean((frames @ by_hand).argmax(axis=1) == labels)
    notes = np.mean((note_frames @ by_hand).argmax(axis=1) == note_labels)
    say(
        tones > 0.95,
        f"{tones:.0%} of the tones in three octaves and {notes:.0%} of the recorded notes, without any training.",
        f"{tones:.0%} of the tones in three octaves: bin 0 is an A, bin 1 an A♯; which other bins are an A?",
    )


def check_01_octaves(wide: Any, note_frames: np.ndarray, note_labels: np.ndarray, narrow: Any, low: tuple) -> None:
    """Check a model trained on two octaves: tones an octave lower (frames, labels), and recorded notes."""
    if is_open(wide):
        return
    right = {
        (name, model): float(np.mean(np.asarray(model(frames)).argmax(axis=1) == labels))
        for name, frames, labels in (("low", *low), ("notes", note_frames, note_labels))
        for model in (wide, narrow)
    }
    say(
        right["low", wide] > 0.85 and right["notes", wide] >= right["notes", narrow],
        f"Tones an octave lower: {right['low', narrow]:.0%} becomes {right['low', wide]:.0%}. Recorded notes: "
        f"{right['notes', narrow]:.0%} becomes {right['notes', wide]:.0%}. A dense layer has separate weights for "
        "each octave, so it must be shown each of them.",
        f"{right['low', wide]:.0%} of the tones an octave lower: do your training examples hold both octaves?",
    )


def mystery_notes() -> list[tuple[str, np.ndarray]]:
    """Return three sounds of one note, C4, with numbers for titles, for `play`."""
    time_s = np.arange(16000) / 16000
    fade = np.minimum(1, np.minimum(time_s, time_s[::-1]) / 0.01)
    sounds = []
    for number, multiples in enumerate(MYSTERY.values(), start=1):
        sound = sum(np.sin(2 * np.pi * note_frequency(-9) * multiple * time_s) / multiple for multiple in multiples)
        # Equal power, so that none is found by its loudness.
        sounds.append((f"sound {number}", (0.2 * fade * sound / np.sqrt(np.mean(sound**2))).astype(np.float32)))
    return sounds


def check_01_listen(pure: int | None, buzzing: int | None, hollow: int | None, network: Any) -> None:
    """Check which of three sounds has which harmonics, and tell what a network (frames to probabilities) calls them."""
    if is_open(pure, buzzing, hollow):
        return
    from dl4mir_utils.pitch import cqt_frames

    said = {"pure": pure, "buzzing": buzzing, "hollow": hollow}
    names = list(MYSTERY)
    if not all(isinstance(number, (int, np.integer)) for number in said.values()) or sorted(said.values()) != [1, 2, 3]:
        print("Not yet. Give each of the numbers 1, 2 and 3 once.")
    elif names[pure - 1] != "pure":
        print(f"Not yet. First the pure one: which is the softest in colour, like a whistle? Sound {pure} is richer.")
    elif names[buzzing - 1] != "buzzing":
        print("Not yet. The pure one is right. Of the other two, which is fuller, and which has something missing?")
    else:
        answers = {}
        for (_, sound), name in zip(mystery_notes(), names, strict=True):
            answers[name] = np.asarray(network(cqt_frames(sound)[np.newaxis, :, 16]))[0]
        called = "; ".join(f"{name}: {NOTE_NAMES[answers[name].argmax()]}, {answers[name].max():.2f}" for name in said)
        print(f"Right. The network's answers, with their probabilities ({called}). Only one of them is the right C.")


def check_01_one_template(
    networks: Sequence[Any] | None,
    verdict: str | None,
    low: tuple[np.ndarray, np.ndarray],
    noisy: tuple[np.ndarray, np.ndarray],
    dense: Sequence[Any],
) -> None:
    """Check three small networks, frames (36,) to keys (36,): size, score an octave lower, and a verdict in noise.

    Parameters
    ----------
    networks : list of keras.Model
        One for each seed.
    verdict : str
        "better", "worse" or "cannot say", compared with the dense networks on the noisy tones.
    low, noisy : (frames, labels)
        Tones an octave below the training, and tones in heavy noise.
    dense : list of keras.Model
        Frames to the twelve pitch classes.
    """
    if is_open(networks):
        return
    import keras

    networks = list(networks) if isinstance(networks, (list, tuple)) else [networks]
    if not all(isinstance(network, keras.Model) for network in networks):
        print("Not yet. The list should hold the trained networks themselves.")
        return
    if len(networks) < 3:
        print(f"Not yet. {len(networks)} network: one run can be luck. Train three, with the seeds 0, 1 and 2.")
        return
    most = max(network.count_params() for network in networks)
    if most > LARGEST:
        print(f"Not yet. It has {most} weights, and at most {LARGEST} are allowed: one template for all keys, that is.")
        return
    if any(network.input_shape[1:] != (36,) or network.output_shape[1:] != (36,) for network in networks):
        shapes = f"{networks[0].input_shape[1:]} to {networks[0].output_shape[1:]}"
        print(f"Not yet. It goes from {shapes}; it should go from (36,) to (36,), a probability for each key.")
        return

    def scores(group: Sequence[Any], frames: np.ndarray, labels: np.ndarray) -> list[float]:
        answers = [network.predict(frames, batch_size=256, verbose=0).argmax(axis=1) % 12 for network in group]
        return [float(np.mean(answer == labels)) for answer in answers]

    below, own, other = scores(networks, *low), scores(networks, *noisy), scores(dense, *noisy)
    if min(below) < 0.9:
        print(
            f"Not yet. An octave lower it names {min(below):.0%} of the tones. Does the same template slide over all "
            "keys, and are the right keys the labels plus 12?"
        )
        return
    if verdict not in VERDICTS:
        print(f"Not yet. {min(below):.0%} an octave lower, well done. Now the verdict: {', '.join(VERDICTS)}?")
        return
    supported = "better" if min(own) > max(other) else "worse" if max(own) < min(other) else "cannot say"
    ranges = f"{min(own):.3f} to {max(own):.3f} against {min(other):.3f} to {max(other):.3f}"
    say(
        verdict == supported,
        f"{most} weights name {min(below):.0%} of the tones an octave lower, where the dense network guesses. At "
        f"-20 dB they have {ranges}: {supported}.",
        f"The networks are fine ({min(below):.0%} an octave lower). At -20 dB they have {ranges}. Do these ranges "
        "overlap?",
    )
