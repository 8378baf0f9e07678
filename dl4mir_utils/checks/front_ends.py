"""Checks of notebook 03."""

from collections.abc import Callable

import numpy as np

from dl4mir_utils.checks.answers import is_open, say

SAMPLE_RATE = 16000
STEPS_APART = 2.5  # of sample rate / window: two equal tones then show a dip at every phase


def check_03_resolution(window: int | None, hop: int | None) -> None:
    """Check the shortest power of two whose Hann window always tells A4 from A sharp 4, and a hop of 10 ms."""
    if is_open(window, hop):
        return
    steps = 440 * (2 ** (1 / 12) - 1) * window / SAMPLE_RATE  # between the tones
    if window < 2 or window != int(window) or int(window) & (int(window) - 1):
        print(f"Not yet. {window} is no power of two. The window is asked for in samples.")
    elif steps < STEPS_APART:
        print(
            f"Not yet. With {window:.0f} samples one step is {SAMPLE_RATE / window:.1f} Hz, so the tones lie "
            f"{steps:.1f} steps apart: at some phases there is no dip between them."
        )
    elif steps / 2 >= STEPS_APART:
        print(
            f"Not yet. {window:.0f} samples do it, but so would half as many, with half the blur in time: "
            f"the tones lie {steps:.1f} steps apart, and about three are enough."
        )
    else:
        say(
            hop == 160,
            f"A window of {1000 * window / SAMPLE_RATE:.0f} ms: a semitone in this octave costs an eighth of a second. "
            "The hop is free to be much shorter; frames then overlap and say nearly the same.",
            f"The window is right. A hop of {hop} samples is {1000 * hop / SAMPLE_RATE:g} ms.",
        )


def check_03_frames(padded: int | None, unpadded: int | None) -> None:
    """Check the numbers of frames of 4 s at a window of 1024 and a hop of 160 samples."""
    if is_open(padded, unpadded):
        return
    if padded != 400:
        print(f"Not yet. {padded} with padding: every hop of 160 that begins inside the 64000 samples is a frame.")
        return
    say(
        unpadded == 394,
        "400 and 394: without padding the last samples are in no frame that fits.",
        f"{padded} is right. {unpadded} without padding: a frame counts only if all its 1024 samples are there.",
    )


def check_03_swap(swap_channels: Callable | None) -> None:
    """Check that channels are swapped at random, clip by clip, and anew in every step of a compiled function."""
    if is_open(swap_channels):
        return
    import tensorflow as tf

    audio = np.random.default_rng(0).standard_normal((64, 100, 2)).astype("float32")
    try:
        step = tf.function(swap_channels)
        steps = [np.asarray(step(tf.constant(audio))) for _ in range(4)]
    except Exception as error:
        print(f"Not yet. Inside tf.function it fails: {type(error).__name__}: {str(error).splitlines()[0][:120]}")
        return
    if any(out.shape != audio.shape for out in steps):
        print(f"Not yet. {audio.shape} went in and {steps[0].shape} came out.")
        return
    swapped = np.array([(out == audio[..., ::-1]).all(axis=(1, 2)) for out in steps])
    kept = np.array([(out == audio).all(axis=(1, 2)) for out in steps])
    if not (swapped | kept).all():
        print("Not yet. Some clips come out neither as they were nor with left and right exchanged.")
    elif (swapped[1:] == swapped[0]).all():
        print("Not yet. Every step swaps the same clips: the numbers were drawn once, when the function was traced.")
    elif swapped.all(axis=1).any() or kept.all(axis=1).any():
        print("Not yet. A step swaps all its clips or none: draw one number for each clip.")
    else:
        say(
            0.3 < swapped.mean() < 0.7,
            f"In four steps {swapped.sum(axis=1).tolist()} of 64 clips were swapped, others each time.",
            f"{swapped.mean():.0%} of the clips are swapped; half of them should be.",
        )
