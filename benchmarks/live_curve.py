"""What it costs to watch a training: the time of `fit` with the growing curve and without, in turns.

``python benchmarks/live_curve.py``. The network, its data and the number of epochs are those of a typical cell of the
course: a small convnet on log-mel pictures, about ten seconds. The curve is drawn as in a notebook, PNG and all; only
sending it to the browser is left out.
"""

import argparse
import statistics
import time

import keras
import numpy as np
from keras import layers

from dl4mir_utils import training
from dl4mir_utils.training import live_curve


def network() -> keras.Model:
    model = keras.Sequential([keras.Input((160, 64, 1))])
    for filters in (8, 16, 32):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D(2))
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(3, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    return model


def seconds(callbacks: list[keras.callbacks.Callback], epochs: int) -> float:
    """Time of one training in seconds, from the second epoch on: the first one also builds the graph."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(256, 160, 64, 1)).astype("float32"), rng.integers(3, size=256)
    model = network()
    model.fit(x, y, batch_size=16, epochs=1, verbose=0)
    start = time.monotonic()
    model.fit(x, y, batch_size=16, epochs=epochs, validation_split=0.2, verbose=0, callbacks=callbacks)
    return time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=80)
    arguments = parser.parse_args()
    drawn = []
    training._notebook_display = lambda: lambda data, metadata: drawn.append(len(data["image/png"]))
    ratios = []
    for turn in range(arguments.turns):
        drawn.clear()
        # Whoever comes second may find a warmer machine: take turns.
        order = [True, False] if turn % 2 else [False, True]
        took = {watched: seconds([live_curve()] if watched else [], arguments.epochs) for watched in order}
        ratios.append(took[True] / took[False])
        print(f"alone {took[False]:.2f} s, watched {took[True]:.2f} s, {len(drawn)} drawings: x {ratios[-1]:.3f}")
    print(f"watched / alone: median {statistics.median(ratios):.3f} (goal: below 1.05)")


if __name__ == "__main__":
    main()
