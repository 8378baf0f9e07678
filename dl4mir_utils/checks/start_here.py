"""Checks of notebook 00."""

import numpy as np

from dl4mir_utils.checks.answers import is_open, say
from dl4mir_utils.data import ClipTable


def check_00_loudest(loudest: str | None, data: ClipTable) -> None:
    """Check the name of the clip with the largest root mean square."""
    if is_open(loudest):
        return
    if loudest not in data.frame.index:
        print(f"Not yet. There is no clip called {loudest!r}; the answer is one of data.frame.index.")
        return
    rms = {name: float(np.sqrt(np.mean(data.audio(name) ** 2))) for name in data.frame.index}
    best = max(rms, key=rms.get)
    level_db = 20 * np.log10(rms[loudest])
    say(
        loudest == best,
        f"{data.frame.artist[best]}, at {level_db:.1f} dB re full scale. Loudness alone gives away much of the label.",
        f"That clip is at {level_db:.1f} dB, the loudest at {20 * np.log10(rms[best]):.1f} dB. "
        "Square the samples before the mean, take the root after it.",
    )


def check_00_frames(frames: float | None, samples_per_number: float | None) -> None:
    """Check the number of frames of a three-minute song and the ratio of samples to log-mel numbers."""
    if is_open(frames, samples_per_number):
        return
    if abs(frames - 11250) > 1:
        print(f"Not yet. {frames:g} frames: how many times do 0.016 s go into 180 s?")
        return
    say(
        abs(samples_per_number - 4) < 0.01,
        "Four samples to one number, whatever the length of the song.",
        f"{samples_per_number:g}: divide 180 x 16000 samples by frames x 64.",
    )


def check_00_neighbours(any_clip: float | None, other_artists: float | None, before: tuple[float, float]) -> None:
    """Check both accuracies of nearest neighbours with 128 numbers per clip against those with 64."""
    if is_open(any_clip, other_artists):
        return
    if not (0 <= any_clip <= 1 and 0 <= other_artists <= 1):
        print("Not yet. np.mean(predicted == labels) is between 0 and 1.")
    elif any_clip > 0.95 or other_artists > 0.75:
        print(
            "Not yet. Too good to be true: is the distance of a clip to itself set to infinity, and then its artist's?"
        )
    else:
        if other_artists > before[1] + 0.03:  # ten clips of 315: less than that is no news
            verdict = "More numbers found the style better, with other artists, too."
        else:
            verdict = "The gain is in clips by the same artist: with other artists the style is found no better."
        say(
            any_clip > before[0] and abs(other_artists - before[1]) < 0.15,
            f"Any clip: {before[0]:.0%} becomes {any_clip:.0%}. Other artists: {before[1]:.0%} becomes "
            f"{other_artists:.0%}. {verdict}",
            "With mean and standard deviation the first accuracy should rise: compare within one array (clips, 128).",
        )


# What `mystery_sounds` plays, in order.
MYSTERY = ("samples_dropped", "original", "filtered")


def mystery_sounds(audio: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Return three versions of a sound, with numbers for titles, for `play`.

    Parameters
    ----------
    audio : float array (samples,)
        At 16 kHz. One version keeps it, one has nothing above 2 kHz, one holds every fourth sample only.
    """
    import soxr

    versions = {
        "original": audio,
        "filtered": soxr.resample(soxr.resample(audio, 16000, 4000), 4000, 16000),
        "samples_dropped": soxr.resample(audio[::4], 4000, 16000),
    }
    return [(f"version {number}", versions[name]) for number, name in enumerate(MYSTERY, start=1)]


def check_00_listen(original: int | None, filtered: int | None, samples_dropped: int | None) -> None:
    """Check which of three sounds is the original, the filtered one, and the one with dropped samples."""
    if is_open(original, filtered, samples_dropped):
        return
    said = {"original": original, "filtered": filtered, "samples_dropped": samples_dropped}
    if sorted(said.values()) != [1, 2, 3]:
        print("Not yet. Give each of the numbers 1, 2 and 3 once.")
    elif MYSTERY[original - 1] != "original":
        print(f"Not yet. Version {original} is dull: nothing above 2 kHz is left in it. The original is bright.")
    else:
        say(
            MYSTERY[filtered - 1] == "filtered",
            "The bright one is the original, the buzz is aliasing, and the third is clean but dull.",
            "The original is right. Compare the two dull ones again: in which does something buzz that does not "
            "follow the melody?",
        )
