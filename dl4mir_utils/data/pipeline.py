"""From clips to a `tf.data.Dataset` of batches."""

from __future__ import annotations

import itertools
import math
import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from dl4mir_utils.data.audio import Clip, audio_cache

if TYPE_CHECKING:
    import tensorflow as tf

    from dl4mir_utils.data.prepared import PreparedClip


def count_windows(clips: list[Clip] | list[PreparedClip], window: int) -> np.ndarray:
    """Return how many whole windows of `window` samples each clip holds: int (clips,)."""
    return np.array([clip.samples // window for clip in clips], int)


def make_dataset(
    clips: list[Clip] | list[PreparedClip],
    label_pieces: Callable[[np.ndarray, np.ndarray], np.ndarray],
    label_shape: tuple[int | None, ...],
    batch: int,
    window: int | None,
    crop: str,
    seed: int,
    label_dtype: str = "int32",
    shards_at_once: int | None = None,
) -> tf.data.Dataset:
    """Build the data set; the arguments are those of `ClipTable.to_tf`, `window` in samples and checked.

    `label_pieces` takes the numbers of clips and where in each, in samples, a piece starts; it returns
    labels of the type `label_dtype`, each of the shape `label_shape`.

    One Python call fetches one batch: it copies slices out of the cache, or decodes them if the
    clips are too many to be cached, or reads them from the shards of prepared data. TensorFlow runs
    several such calls at once, ahead of the training.
    """
    import tensorflow as tf

    audio_cache.fill(clip for clip in clips if isinstance(clip, Clip))
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
        places = rng.integers(0, (lengths - (window or lengths))[shuffled], endpoint=True)
        if shards_at_once is None:
            return shuffled, places
        turns = rng.permutation(shards.max() + 1) // shards_at_once  # which shards come together, and when
        by_turn = np.argsort(turns[shards[shuffled]], kind="stable")
        return shuffled[by_turn], places[by_turn]

    def order_in_graph(_: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        epoch_rows, epoch_starts = tf.numpy_function(order, [], [tf.int64, tf.int64])
        return tf.ensure_shape(epoch_rows, (None,)), tf.ensure_shape(epoch_starts, (None,))

    def fetch(batch_rows: np.ndarray, batch_starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # One array for all: with one for each piece, most of the time would go into getting memory and copying.
        audio = np.empty((len(batch_rows), window or lengths[batch_rows[0]]), np.float32)
        for piece, row, start in zip(audio, batch_rows, batch_starts, strict=True):
            clip = clips[row]
            if isinstance(clip, Clip):
                piece[:] = audio_cache.read(clip, start, window)
            else:
                clip.read_into(piece, start)
        return audio[:, :, np.newaxis], label_pieces(batch_rows, batch_starts)

    dataset = tf.data.Dataset.range(1).map(order_in_graph).unbatch().batch(batch)
    if shards_at_once is not None:
        shards = np.array([clip.shard for clip in clips])
        dataset = read_ahead(dataset, clips, shards, shards_at_once, batch)
    return fetch_ahead(dataset, math.ceil(len(rows) / batch), fetch, samples, label_shape, label_dtype)


def read_ahead(
    dataset: tf.data.Dataset, clips: list[PreparedClip], shards: np.ndarray, at_once: int, batch: int
) -> tf.data.Dataset:
    """Let whole shards be read into the system's memory, one after the other, before batches need parts of them.

    `shards` int (clips,) says which shard each clip is in, and `at_once` how many of them batches are mixed of.
    """
    import tensorflow as tf

    from dl4mir_utils.data.prepared import read_through

    paths = {clip.shard: clip.path for clip in clips}
    fresh = deque(maxlen=2 * at_once)  # those in use, and the next

    def read(rows: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        for shard in np.unique(shards[rows]).tolist():
            if shard not in fresh:
                read_through(paths[shard])
                fresh.append(shard)
        return rows, starts

    def read_in_graph(rows: tf.Tensor, starts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows, starts = tf.numpy_function(read, [rows, starts], [tf.int64, tf.int64])
        return tf.ensure_shape(rows, (None,)), tf.ensure_shape(starts, (None,))

    batches = math.ceil(at_once * len(clips) / (len(paths) * batch))
    return dataset.map(read_in_graph).prefetch(batches)


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
