"""What the layers of pretrained taggers hear in the course's own clips: features for transfer learning.

    task = mini_features("genre")
    task.features[4].shape  # (315, 200): a row for each clip, the last layer before the tags

As Choi et al. (ISMIR 2017, arXiv 1703.09179) did, each layer is averaged over time, so that it gives a few numbers for
a whole clip. It is the same type, `FeatureSet`, that `load("choi_transfer/gtzan_genre")` gives.
"""

import contextlib
import hashlib
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import soxr
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import dct

from dl4mir_utils.data.audio import audio_cache
from dl4mir_utils.data.loaders.choi import FeatureSet
from dl4mir_utils.data.sources import load
from dl4mir_utils.decoding import load_audio
from dl4mir_utils.errors import BadArgumentError
from dl4mir_utils.paths import cache_root, course_file
from dl4mir_utils.segments import frame_labels

if TYPE_CHECKING:
    import keras

RATE = 16000  # Hz, of the sounds; compact_cnn gets them at its own rate
WEIGHTS = {
    "musicnn_msd": "pretrained/musicnn_msd.npz",
    "musicnn_mtt": "pretrained/musicnn_mtt.npz",
    "compact_cnn": "pretrained/compact_cnn_mini.npz",
    "choi_compact_cnn": "pretrained/choi_statistics.npz",  # the weights have a checksum, and cannot change
}
TASKS = ("genre", "album", "singing", "tags")
MIXES = {"train": 160, "test": 80}  # of the task "singing"
PIECES = 4  # of a long sound at once: 200 MB
MIX_S = 3.1  # a window of either network
VERSION = 1  # to be raised when other numbers come out: those kept in the cache are of the old kind
Network = Literal["musicnn_msd", "musicnn_mtt", "compact_cnn", "choi_compact_cnn"]


def mini_features(task: Literal["genre", "album", "singing", "tags"], network: Network = "musicnn_msd") -> FeatureSet:
    """Return features of one task on the course's own clips.

    They are computed once, in half a minute on two cores, and then kept in the user's cache folder.

    Parameters
    ----------
    task : {"genre", "album", "singing", "tags"}
        As `load("mini/...")` has them; clips are in the same order. "singing": 240 mixes of 3.1 s, of two classes: is
        half of it sung, or not? "tags": no classes, but the probabilities of 50 tags, to be regressed.
    network : {"musicnn_msd", "musicnn_mtt", "compact_cnn", "choi_compact_cnn"}
        Two large taggers, and a small one that was trained on the training clips of "tags". The tags of that task are
        what musicnn_mtt says: to predict them by its own features proves nothing. "choi_compact_cnn" is the published
        network of the small one's form, see `choi_features`; its weights are downloaded when first asked for.

    Returns
    -------
    FeatureSet
        `features`: by layer, 0 to 4; of musicnn the front end (561 values), the three layers in the middle (64 each)
        and the last one before the tags (200), of the compact_cnn five layers of 32. `mfcc`: see `mfcc_statistics`.
        `split`: for "singing" its own; otherwise that of "tags", whose "train" is what compact_cnn was trained on.
        (About half of the music in the mixes of "singing" is, too, whatever their split.)
        `groups`: artists; for "album" tracks; for "singing" the split, since a mix joins a voice and a piece.

    Raises
    ------
    BadArgumentError
        There is no such task or network.
    DataNotFoundError
        Clips or weights are not there.
    """
    if task not in TASKS:
        raise BadArgumentError(f"There is no task {task!r}; there are {', '.join(TASKS)}.")
    if task == "singing":
        arrays = _kept(network, "mixes", _mixes)
        features, mfcc = _by_layer(arrays), arrays["mfcc"]
        labels, split, files, classes = arrays["labels"], arrays["split"], arrays["files"], ("nosing", "sing")
        groups = split
    else:
        data, tags = load(f"mini/{task}"), load("mini/tags")
        features, mfcc = clip_features(data.frame.index, network)
        labels, classes = data.labels(), data.classes
        labels = labels.astype(np.float64) if task == "tags" else labels
        split = tags.frame["split"].loc[data.frame.index].to_numpy(str)
        groups = data.frame["track" if task == "album" else "group"].to_numpy(str)
        files = data.frame.index.to_numpy(str)
    return FeatureSet(f"mini/{task} ({network})", task, features, mfcc, labels, classes, split, files, groups)


def clip_features(
    clip_ids: Iterable[str], network: Network = "musicnn_msd"
) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """Return features of clips of the course; those of all 468 are computed at once, and kept.

    Parameters
    ----------
    clip_ids : sequence of str
        Such as `load("mini/album").frame.index`.
    network : {"musicnn_msd", "musicnn_mtt", "compact_cnn", "choi_compact_cnn"}

    Returns
    -------
    features : dict of int to float32 array (clips, width)
        By layer, 0 to 4, as `mini_features` says; 4 is the embedding.
    mfcc : float32 array (clips, 120)

    Raises
    ------
    BadArgumentError
        There is no such network or clip.
    """
    names = load("mini/tags").frame.index
    rows = names.get_indexer(list(clip_ids))
    if (rows < 0).any():
        raise BadArgumentError("Not all of these are clips of data/mini; their names are in load('mini/tags').frame.")
    arrays = _kept(network, "clips", _clips)
    return {layer: values[rows] for layer, values in _by_layer(arrays).items()}, arrays["mfcc"][rows]


def layer_means(sounds: Iterable[np.ndarray], model: "keras.Model") -> list[np.ndarray]:
    """Return what the layers of a tagger hear, averaged over time.

    Parameters
    ----------
    sounds : iterable of float array (samples,)
        Each in [-1, 1] at 16 kHz, of at least 3.1 s; what is left over after whole windows of three seconds is not
        heard.
    model : keras.Model
        `musicnn(...)` or `compact_cnn(...)`.

    Returns
    -------
    list of five float32 arrays (sounds, width)

    Raises
    ------
    BadArgumentError
        A sound is shorter than that.
    """
    import keras

    from dl4mir_utils.inference import as_graph
    from dl4mir_utils.models.compact_cnn import EXCERPT as SMALL_EXCERPT
    from dl4mir_utils.models.compact_cnn import RATE as SMALL_RATE
    from dl4mir_utils.models.musicnn import EXCERPT

    if model.name == "musicnn":
        window, rate = EXCERPT, RATE
        # Front end and the three layers in the middle stand side by side in the pooled features.
        ends, taps = np.cumsum([561, 64, 64]), [model.get_layer(name).output for name in ("mean_pool", "penultimate")]
    else:
        window, rate, ends = SMALL_EXCERPT, SMALL_RATE, None
        taps = [keras.ops.mean(model.get_layer(f"pool_{number}").output, axis=(1, 2)) for number in range(5)]
    answer = as_graph(keras.Model(model.input, taps))
    rows = []
    for sound in sounds:
        sound = sound if rate == RATE else soxr.resample(sound, RATE, rate)
        windows = sound[: len(sound) // window * window].reshape(-1, window, 1)
        if not len(windows):
            raise BadArgumentError(
                f"A sound lasts {len(sound) / rate:.2f} s; the tagger hears {window / rate:.2f} s at once."
            )
        means = [values.numpy().mean(axis=0) for values in answer(windows.astype(np.float32))]
        rows.append(means if ends is None else [*np.split(means[0], ends), means[1]])
    return [np.stack(layer).astype(np.float32) for layer in zip(*rows, strict=True)]


def choi_features(sounds: np.ndarray | Iterable[np.ndarray], sample_rate: int = RATE) -> np.ndarray:
    """Return the features of the transfer-learning paper for music of your own.

    The published compact_cnn hears 29 s at once. As its authors did, a shorter sound is repeated until it is as long; a
    longer one is cut into the fewest pieces that leave nothing out, spread evenly, and their features are averaged.
    Features of a sound do not depend on the others: see `choi_compact_cnn`, also for how the published ones differ.

    Sounds are taken one after the other, so that they need not be in memory all at once. Of one sound up to four pieces
    go through the network together.

    Parameters
    ----------
    sounds : float array (samples,), or iterable of such arrays
        One sound or several, each in [-1, 1], of any length.
    sample_rate : int
        Of the sounds, in Hz.

    Returns
    -------
    float32 array (sounds, 160)
        A row for each sound, also if it is only one: 32 values for each of the five layers, the first one's first.

    Raises
    ------
    BadArgumentError
        A sound is empty, not one-dimensional or not made of finite floats.
    DataNotFoundError
        The weights are not on this machine and cannot be had.
    """
    from dl4mir_utils.inference import as_graph, checked_audio
    from dl4mir_utils.models.choi import CHOI_RATE, CHOI_SAMPLES, choi_compact_cnn

    if isinstance(sounds, np.ndarray) and sounds.ndim == 1 and sounds.dtype != object:
        sounds = [sounds]
    answer = as_graph(choi_compact_cnn())
    rows = []
    for sound in sounds:
        sound = soxr.resample(checked_audio(sound, sample_rate), sample_rate, CHOI_RATE).astype(np.float32)
        if len(sound) < CHOI_SAMPLES:
            sound = np.resize(sound, CHOI_SAMPLES)  # repeats it
        count = -(-len(sound) // CHOI_SAMPLES)
        starts = np.linspace(0, len(sound) - CHOI_SAMPLES, count).astype(int)
        pieces = sliding_window_view(sound, CHOI_SAMPLES)[starts, :, np.newaxis]
        batches = [answer(pieces[first : first + PIECES]).numpy() for first in range(0, count, PIECES)]
        rows.append(np.concatenate(batches).mean(axis=0))
    return np.array(rows, np.float32).reshape(-1, 160)


def mfcc_statistics(audio: np.ndarray) -> np.ndarray:
    """Return the baseline of the paper: MFCC, their first and second differences, mean and deviation over time.

    Parameters
    ----------
    audio : float array (samples,)
        At 16 kHz.

    Returns
    -------
    float32 array (120,)
        20 means of MFCC, 20 of their differences, 20 of the differences of those, then the deviations of each.
    """
    from dl4mir_utils.layers import LogMel

    log_mel = LogMel(RATE, 512 / RATE, 256 / RATE, n_mels=64)(audio[np.newaxis, :, np.newaxis])[0, :, :, 0]
    mfcc = dct(np.asarray(log_mel), norm="ortho")[:, :20]
    change = np.gradient(mfcc, axis=0)
    all_three = np.concatenate([mfcc, change, np.gradient(change, axis=0)], axis=1)
    return np.concatenate([all_three.mean(axis=0), all_three.std(axis=0)]).astype(np.float32)


def _clips() -> tuple[Iterable[np.ndarray], dict[str, np.ndarray]]:
    data = load("mini/tags")
    return (load_audio(data.root / path, RATE) for path in data.frame["path"]), {}  # not all in memory at once


def _mixes() -> tuple[Iterable[np.ndarray], dict[str, np.ndarray]]:
    mixes = load("mini/singing")
    places = [(split, number) for split, count in MIXES.items() for number in range(count)]
    made = [mixes.mix(split, number, MIX_S) for split, number in places]
    audio_cache.clear()  # 300 MB of lines and clips that only the mixes needed
    labels = np.array([frame_labels(spans, MIX_S, 1)[0] for _, spans in made], np.int32)
    files = np.array([f"{split} {number}" for split, number in places])
    split = np.array([split for split, _ in places])
    return [audio for audio, _ in made], {"labels": labels, "files": files, "split": split}


def _by_layer(arrays: dict[str, np.ndarray]) -> dict[int, np.ndarray]:
    return {layer: arrays[f"layer_{layer}"] for layer in range(5)}


def _kept(
    network: str, kind: str, make: Callable[[], tuple[Iterable[np.ndarray], dict[str, np.ndarray]]]
) -> dict[str, np.ndarray]:
    """Return features from the cache, with what `make` returns beside the sounds; what is not there, is computed."""
    if network not in WEIGHTS:
        raise BadArgumentError(f"network is {network!r}; it must be one of {', '.join(WEIGHTS)}.")
    origins = [course_file(name).read_bytes() for name in (WEIGHTS[network], "mini/clips.csv", "mini/voices.csv")]
    key = hashlib.sha256(b"".join([f"{VERSION} {MIXES}".encode(), *origins])).hexdigest()[:16]
    path = cache_root() / "features" / f"{network}-{kind}-{key}.npz"
    try:
        with np.load(path) as arrays:
            return dict(arrays)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile):  # not there, or damaged
        sounds, others = make()
        arrays = _compute(sounds, network) | others
    with contextlib.suppress(OSError):  # a folder that cannot be written to: next time they are computed again
        path.parent.mkdir(parents=True, exist_ok=True)
        # Two notebooks may compute the same at once: each writes a file of its own, and nobody finds half of one.
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            part = Path(folder) / path.name
            np.savez(part, **arrays)
            part.replace(path)
    return arrays


def _compute(sounds: Iterable[np.ndarray], network: str) -> dict[str, np.ndarray]:
    from dl4mir_utils.models import compact_cnn, musicnn

    mfcc = []

    def with_mfcc() -> Iterable[np.ndarray]:
        for sound in sounds:
            mfcc.append(mfcc_statistics(sound))
            yield sound

    if network == "choi_compact_cnn":
        layers = np.split(choi_features(with_mfcc()), 5, axis=1)
    else:
        model = compact_cnn() if network == "compact_cnn" else musicnn(network.removeprefix("musicnn_"))
        layers = layer_means(with_mfcc(), model)
    arrays = {f"layer_{number}": values for number, values in enumerate(layers)}
    return arrays | {"mfcc": np.stack(mfcc)}
