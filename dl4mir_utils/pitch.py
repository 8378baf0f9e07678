"""The front end of the notebooks on pitch and chords: frames of a constant-Q transform."""

import numpy as np

from dl4mir_utils.errors import BadArgumentError

CQT_BINS = 36
CQT_MIN_HZ = 220.0
# Loudness below the strongest bin at which we stop looking: further down is the rounding of the transform itself.
RANGE_DB = 80.0
# Sounds transformed at once: more take more memory (1 s each: 256 sounds take some 200 MiB) and no less time.
BATCH = 256


def cqt_frequencies() -> np.ndarray:
    """Return the centre frequencies in Hz of the 36 bins, a semitone apart, A3 (220 Hz) to G♯6 (1661.2 Hz)."""
    return CQT_MIN_HZ * 2.0 ** (np.arange(CQT_BINS) / 12)


def cqt_frames(audio: np.ndarray, sample_rate: int = 16000) -> np.ndarray:
    """Return a constant-Q transform: 36 bins a semitone apart from A3 (220 Hz), in decibels, scaled frame by frame.

    Each bin looks at 2 (2^(1/6) + 1) / (2^(1/6) - 1) = 34.7 periods of its own frequency, 158 ms of sound at 220 Hz
    and 21 ms at 1661 Hz (J. C. Brown, Calculation of a constant Q spectral transform, JASA 89(1), 1991; the first
    factor 2 is librosa's filter_scale). In each frame the weakest bin becomes 0 and the strongest 1, linear in dB; bins
    more than 80 dB below the strongest are taken as 80 dB below it. A silent frame is all zeros.

    Parameters
    ----------
    audio : float array (..., samples)
        One sound or any number of them, of equal length.
    sample_rate : int
        In Hz.

    Returns
    -------
    float32 array (..., 36, frames)
        One frame every 512 samples, 1 + samples // 512 of them, frame k centred on sample 512 k.
        The first and the last frames see the edges of the sound.

    Raises
    ------
    BadArgumentError
        The sample rate is too low for the highest bin, or the sound is empty or holds NaN or infinity.
    """
    import librosa

    audio = np.asarray(audio, np.float32)
    if sample_rate < 4000:
        raise BadArgumentError(f"The highest bin is at 1661 Hz: a sample rate of {sample_rate} Hz is too low for it.")
    if audio.ndim == 0 or audio.size == 0 or not np.isfinite(audio).all():
        raise BadArgumentError("The sound is empty or holds NaN or infinity.")
    sounds = audio.reshape(-1, audio.shape[-1])
    magnitudes = [
        np.abs(
            librosa.cqt(sounds[start : start + BATCH], sr=sample_rate, fmin=CQT_MIN_HZ, n_bins=CQT_BINS, filter_scale=2)
        )
        for start in range(0, len(sounds), BATCH)
    ]
    magnitude = np.concatenate(magnitudes)
    strongest = magnitude.max(axis=1, keepdims=True)
    floor = np.maximum(strongest * 10 ** (-RANGE_DB / 20), np.finfo(np.float32).tiny)
    decibels = 20 * np.log10(np.maximum(magnitude, floor))
    decibels -= decibels.min(axis=1, keepdims=True)
    decibels /= np.maximum(decibels.max(axis=1, keepdims=True), 1e-6)
    return decibels.reshape(*audio.shape[:-1], *decibels.shape[1:]).astype(np.float32)
