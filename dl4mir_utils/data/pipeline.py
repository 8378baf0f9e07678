"""From clips to a `tf.data.Dataset` of batches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from dl4mir_utils.data.audio import Clip, audio_cache

if TYPE_CHECKING:
    import tensorflow as tf


def count_windows(clips: list[Clip], window: int) -> np.ndarray:
    """Return how many whole windows of `window` samples each clip holds: int (clips,)."""
    return np.array([clip.samples // window for clip in clips], int)


def make_dataset(
    clips: list[Clip], labels: np.ndarray, batch: int, window: int | None, crop: str, seed: int
) -> tf.data.Dataset:
    """Build the data set; the arguments are those of `ClipTable.to_tf`, `window` in samples and checked.

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
    epochs = itertools.count()

    def order() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield, for every batch of one epoch, which clips and from which sample on."""
        epoch_rows, epoch_starts = rows, starts
        if crop == "random":
            rng = np.random.default_rng([seed, next(epochs)])
            epoch_rows = rng.permutation(rows)
            epoch_starts = rng.integers(0, (lengths - (window or lengths))[epoch_rows], endpoint=True)
        for first in range(0, len(rows), batch):
            yield epoch_rows[first : first + batch], epoch_starts[first : first + batch]

    def fetch(batch_rows: np.ndarray, batch_starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pieces = [
            audio_cache.read(clips[row], start, window) for row, start in zip(batch_rows, batch_starts, strict=True)
        ]
        return np.stack(pieces)[:, :, np.newaxis], labels[batch_rows]

    def fetch_in_graph(batch_rows: tf.Tensor, batch_starts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        audio, label = tf.numpy_function(fetch, [batch_rows, batch_starts], [tf.float32, tf.int32], stateful=False)
        audio.set_shape((None, window or (lengths[0] if np.all(lengths == lengths[0]) else None), 1))
        label.set_shape((None,))
        return audio, label

    indices = tf.TensorSpec((None,), tf.int64)
    dataset = tf.data.Dataset.from_generator(order, output_signature=(indices, indices))
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(math.ceil(len(rows) / batch)))
    return dataset.map(fetch_in_graph, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
