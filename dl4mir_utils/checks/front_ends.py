"""Checks of notebook 03."""

from collections.abc import Callable

import numpy as np

from dl4mir_utils.checks.answers import is_open, say

SAMPLE_RATE = 16000


def check_03_resolution(window: int | None, hop: int | None) -> None:
    """Check the smallest power of two that tells A4 from A sharp 4, and a hop of 10 ms."""
    if is_open(window, hop):
        return
    apart_hz = 440 * (2 ** (1 / 12) - 1)
    if window < 2 or window & (window - 1):
        print(f"Not yet. {window} is no power of two.")
    elif 4 * SAMPLE_RATE / window > apart_hz:
        peak_hz = 4 * SAMPLE_RATE / window
        print(
            f"Not yet. With {window} samples a peak is {peak_hz:.0f} Hz wide, and the tones lie {apart_hz:.0f} apart."
        )
    elif 4 * SAMPLE_RATE / (window // 2) <= apart_hz:
        print(f"Not yet. {window} samples do it, but so would half as many, with half the blur in time.")
    else:
        say(
            hop == 160,
            f"A window of {1000 * window / SAMPLE_RATE:.0f} ms: a semitone in this octave costs a quarter of a second. "
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
