"""From clips to a `tf.data.Dataset` of batches."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from dl4mir_utils.data.audio import Clip, audio_cache

if TYPE_CHECKING:
    import tensorflow as tf


def count_windows(clips: list[Clip], window: int) -> np.ndarray:
    """Return how many whole windows of `window` samples each clip holds: int (clips,)."""
    return np.array([clip.samples // window for clip in clips], int)


def make_dataset(
    clips: list[Clip],
    label_pieces: Callable[[np.ndarray, np.ndarray], np.ndarray],
    label_shape: tuple[int | None, ...],
    batch: int,
    window: int | None,
    crop: str,
    seed: int,
    label_dtype: str = "int32",
) -> tf.data.Dataset:
    """Build the data set; the arguments are those of `ClipTable.to_tf`, `window` in samples and checked.

    `label_pieces` takes the numbers of clips and where in each, in samples, a piece starts; it returns
    labels of the type `label_dtype`, each of the shape `label_shape`.

    One Python call fetches one batch: it copies slices out of the cache, or decodes them if the
    clips are too many to be cached. TensorFlow runs several such calls at once, ahead of the training.
    """
    import tensorflow as tf

    audio_cache.fill(clips)
    lengths = np.array([clip.samples for clip in clips])
    if crop == "all":
        counts = count_windows(clips, window)
        rows = np.repeat(np.arange(len(clips)), counts)
        starts = np.concatenate([np.arange(count) * window for count in counts])
    else:
        rows = np.arange(len(clips))
        starts = (lengths - (window or lengths)) // 2
    samples = window or (lengths[0] if len(set(lengths)) == 1 else None)
    epochs = itertools.count()

    def order() -> tuple[np.ndarray, np.ndarray]:
        """Return which clips one epoch takes, and from which sample on."""
        if crop != "random":
            return rows, starts
        rng = np.random.default_rng([seed, next(epochs)])
        shuffled = rng.permutation(rows)
        return shuffled, rng.integers(0, (lengths - (window or lengths))[shuffled], endpoint=True)

    def order_in_graph(_: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        epoch_rows, epoch_starts = tf.numpy_function(order, [], [tf.int64, tf.int64])
        return tf.ensure_shape(epoch_rows, (None,)), tf.ensure_shape(epoch_starts, (None,))

    def fetch(batch_rows: np.ndarray, batch_starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pieces = [
            audio_cache.read(clips[row], start, window) for row, start in zip(batch_rows, batch_starts, strict=True)
        ]
        return np.stack(pieces)[:, :, np.newaxis], label_pieces(batch_rows, batch_starts)

    dataset = tf.data.Dataset.range(1).map(order_in_graph).unbatch().batch(batch)
    return fetch_ahead(dataset, math.ceil(len(rows) / batch), fetch, samples, label_shape, label_dtype)


def fetch_ahead(
    dataset: tf.data.Dataset,
    batches: int,
    fetch: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    samples: int | None,
    label_shape: tuple[int | None, ...],
    label_dtype: str = "int32",
) -> tf.data.Dataset:
    """Let `fetch` turn each of the pairs of a data set into a batch, several at once and ahead of the training.

    `fetch` returns audio float32 (batch, samples, 1) and labels of the type `label_dtype`, each of the shape
    `label_shape`; `batches` is how many pairs there are.
    """
    import tensorflow as tf

    def fetch_in_graph(*pair: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        audio, label = tf.numpy_function(fetch, pair, [tf.float32, tf.as_dtype(label_dtype)], stateful=False)
        return tf.ensure_shape(audio, (None, samples, 1)), tf.ensure_shape(label, (None, *label_shape))

    dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches))
    dataset = dataset.map(fetch_in_graph, num_parallel_calls=os.cpu_count()).prefetch(2)
    options = tf.data.Options()
    options.autotune.enabled = False  # there is nothing left to tune, and epochs start sooner
    return dataset.with_options(options)
