"""Measure how long a mix to find singing in takes, beside one training step.

Prints milliseconds of one core per mix of ten seconds (goal: at most 10 on a free core), how much of it is sung, and
how long a small CRNN waits for its batches while it trains on them. Run it: `python benchmarks/singing_mixes.py`.
"""

import argparse
import time

from dl4mir_utils import setup  # before Keras: it quietens TensorFlow

# isort: split
import keras
import numpy as np
from keras import layers

from dl4mir_utils.data import load
from dl4mir_utils.layers import LogMel


def make_model():
    """Return a network that says for every 16 ms whether somebody sings; its labels are a frame of 256 samples each."""
    model = keras.Sequential([keras.Input((160000, 1)), LogMel(), layers.BatchNormalization(momentum=0.9)])
    for filters in (8, 16, 16):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D((1, 3), padding="same"))
    model.add(layers.TimeDistributed(layers.Flatten()))
    model.add(layers.Bidirectional(layers.LSTM(16, return_sequences=True)))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile("adam", "binary_crossentropy", jit_compile=False)
    return model


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mixes", type=int, default=200)
    parser.add_argument("--steps", type=int, default=12)
    arguments = parser.parse_args()
    setup()
    mixes = load("mini/singing")
    start = time.perf_counter()
    mixes.mix("train", 0)
    print(f"{mixes}; made ready in {time.perf_counter() - start:.1f} s")
    start, start_cpu = time.perf_counter(), time.process_time()
    sung = [sum(end - begin for begin, end, _ in mixes.mix("train", i)[1]) / 10 for i in range(arguments.mixes)]
    cpu, wall = time.process_time() - start_cpu, time.perf_counter() - start
    cpu_ms, wall_ms = 1000 * cpu / arguments.mixes, 1000 * wall / arguments.mixes
    print(f"{cpu_ms:.1f} ms of one core per mix, {wall_ms:.1f} ms by the clock")
    print(f"{np.mean(sung):.0%} of the time is sung; {np.mean(np.equal(sung, 0)):.0%} of the mixes have no voice")
    model = make_model()
    waiting = computing = 0.0
    batches = iter(mixes.to_tf("train", count=16 * arguments.steps))
    for step in range(arguments.steps):
        start = time.perf_counter()
        audio, label = next(batches)
        arrived = time.perf_counter()
        model.train_on_batch(audio, label[..., np.newaxis])
        if step >= 2:  # the first steps compile the model
            waiting += arrived - start
            computing += time.perf_counter() - arrived
    steps = arguments.steps - 2
    print(f"a step of 16: {1000 * computing / steps:.0f} ms to train, {1000 * waiting / steps:.0f} ms waiting for data")


if __name__ == "__main__":
    main()
