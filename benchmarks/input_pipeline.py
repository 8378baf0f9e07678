"""Measure how long training waits for data.

Trains a small convnet on the clips of `data/mini` (random crops of 2.56 s, batches of 16) and measures
in every step how long it waits for the next batch and how long it computes. Printed per epoch: the
waiting as a share of the whole step. The first epoch also decodes nothing (that happens when the data
set is made, and is printed) but compiles the model, so the mean over the later epochs is what counts:
it should stay at or below 5 %. `--no-cache` decodes every clip anew in every epoch, as happens with data
sets larger than the cache. Run it: `python benchmarks/input_pipeline.py`.
"""

import argparse
import time

from dl4mir_utils import setup  # before Keras: it quietens TensorFlow

# isort: split
import keras
from keras import layers

from dl4mir_utils.data import audio_cache, load
from dl4mir_utils.layers import LogMel


def make_model(classes):
    model = keras.Sequential([keras.Input((None, 1)), LogMel(), layers.BatchNormalization()])
    for filters in (10, 15, 15, 20, 20):
        model.add(layers.Conv2D(filters, 3, padding="same"))
        model.add(layers.BatchNormalization())
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D(2))
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(classes, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    return model


def run_epoch(model, dataset):
    """Return the seconds of one epoch spent waiting and computing, and its number of steps."""
    waiting = computing = steps = 0
    batches = iter(dataset)
    while True:
        start = time.perf_counter()
        batch = next(batches, None)
        arrived = time.perf_counter()
        waiting += arrived - start
        if batch is None:
            return waiting, computing, steps
        model.train_on_batch(*batch)
        computing += time.perf_counter() - arrived
        steps += 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--no-cache", action="store_true", help="decode every clip anew in every epoch")
    arguments = parser.parse_args()
    setup()
    if arguments.no_cache:
        audio_cache.limit_mib = 0
    table = load("mini/genre").split()
    start = time.perf_counter()
    dataset = table.to_tf("train", seconds=2.56)
    print(f"{table}; made ready in {time.perf_counter() - start:.1f} s, {audio_cache.used_mib:.0f} MiB in memory")
    model = make_model(len(table.classes))
    shares = []
    for epoch in range(1, arguments.epochs + 1):
        waiting, computing, steps = run_epoch(model, dataset)
        shares.append(waiting / (waiting + computing))
        print(
            f"epoch {epoch}: {1000 * (waiting + computing) / steps:6.1f} ms a step, of which "
            f"{1000 * waiting / steps:5.1f} ms waiting = {shares[-1]:.1%}"
        )
    print(f"waiting for data after the first epoch: {sum(shares[1:]) / len(shares[1:]):.1%} of a step (goal: <= 5 %)")


if __name__ == "__main__":
    main()
