"""The live page's picture for the networks of pitch and chords, in NumPy, for the tests that compare with it."""

import numpy as np

from dl4mir_utils.pitch import cqt_frequencies

PERIODS = 2 * (2 ** (1 / 6) + 1) / (2 ** (1 / 6) - 1)


def page_frame(audio, middle):
    """Return one frame of the picture as the page computes it (dl4mir_utils/live/constant_q.js), in NumPy."""
    magnitudes = np.zeros(36)
    for bin_number, hz in enumerate(cqt_frequencies()):
        length = PERIODS * 16000 / hz
        half = int(length / 2)
        t = np.arange(-half, half + 1)
        wave = (0.5 + 0.5 * np.cos(2 * np.pi * t / length)) * np.exp(-2j * np.pi * hz * t / 16000) / np.sqrt(length)
        places = middle + t
        inside = (places >= 0) & (places < len(audio))
        magnitudes[bin_number] = np.abs(audio[places[inside]] @ wave[inside])
    decibels = 20 * np.log10(np.maximum(magnitudes, magnitudes.max() * 1e-4))
    decibels -= decibels.min()
    return decibels / max(decibels.max(), 1e-6)
