"""Measure how fast the log-mel front end is, against librosa.

One batch of 32 clips of 10 s at 16 kHz, as a training step would need it. Left: `LogMel` as one compiled
TensorFlow function on whatever device TensorFlow uses. Right: a plain loop over
`librosa.feature.melspectrogram` and `librosa.power_to_db`. Same parameters (window 512, hop 256, 64 mel
bands, power 2, 80 dB), same input (noise and tones with the end padded alike), same run, in turn; the
medians, their ratio and the greatest difference in dB are printed. The ratio should be at least 2.
Run it: `python benchmarks/log_mel.py`.
"""

import time

from dl4mir_utils import setup  # before TensorFlow: it quietens it

# isort: split
import librosa
import numpy as np
import tensorflow as tf

from dl4mir_utils.layers import LogMel

RATE, WINDOW, HOP, MELS = 16000, 512, 256, 64
BATCH, SECONDS = 32, 10
TURNS, BATCHES_PER_TURN = 4, 5


def librosa_batch(padded):
    mels = [
        librosa.power_to_db(
            librosa.feature.melspectrogram(y=clip, sr=RATE, n_fft=WINDOW, hop_length=HOP, n_mels=MELS, center=False),
            ref=1.0,
            top_db=80.0,
        )
        for clip in padded
    ]
    return np.stack(mels).transpose(0, 2, 1)


def main():
    setup()
    rng = np.random.default_rng(0)
    seconds = np.arange(SECONDS * RATE) / RATE
    tones = np.sin(2 * np.pi * rng.uniform(60, 4000, (BATCH, 1)) * seconds)
    audio = (0.4 * tones + 0.05 * rng.standard_normal(tones.shape)).astype("float32")
    padded = np.pad(audio, ((0, 0), (0, (-(-audio.shape[1] // HOP) - 1) * HOP + WINDOW - audio.shape[1])))
    batch = tf.constant(audio[..., np.newaxis])
    layer = tf.function(LogMel(sample_rate=RATE, n_mels=MELS))
    difference = np.abs(layer(batch).numpy()[..., 0] - librosa_batch(padded)).max()
    # In turns of several batches, as in training, where one batch follows the other; the turn's first is not counted.
    times = {"LogMel": [], "librosa": []}
    for _ in range(TURNS):
        for name, run in [("LogMel", lambda: layer(batch).numpy()), ("librosa", lambda: librosa_batch(padded))]:
            for repeat in range(BATCHES_PER_TURN + 1):
                start = time.perf_counter()
                run()
                if repeat:
                    times[name].append(time.perf_counter() - start)
    medians = {name: np.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:8} {1000 * median:7.1f} ms a batch of {BATCH} x {SECONDS} s")
    print(f"LogMel is {medians['librosa'] / medians['LogMel']:.1f} times as fast (goal: >= 2)")
    print(f"greatest difference: {difference:.1e} dB")


if __name__ == "__main__":
    main()
