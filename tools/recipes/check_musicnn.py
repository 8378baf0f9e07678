"""Run the published graphs of musicnn beside our networks, and write tests/reference/musicnn.npz.

    python tools/recipes/check_musicnn.py             # download musicnn 0.1.0 (pip), compare
    python tools/recipes/check_musicnn.py --wheel F   # compare with a wheel that is there

The authors' checkpoints hold the TensorFlow graphs that they trained. Cut down to what gives the tags, these still run.
They and ours get the same log-mel spectrograms of three clips, computed by librosa as the authors' extractor does, but
in single precision: it rounds mel to half, where 10000 mel overflows above 6.5. Prints how far ours are off, on the
same spectrograms and from audio, and what the overflow does. The reference holds spectrograms, rounded to half
precision before any network sees them, and the originals' answers, so that the tests need no download.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import keras
import librosa
import numpy as np
import tensorflow as tf
from convert_musicnn import checkpoints

from dl4mir_utils.data import load
from dl4mir_utils.models.musicnn import HOP, MELS, PATCH, RATE, WINDOW, musicnn, musicnn_vgg, taggram

TARGET = Path(__file__).resolve().parents[2] / "tests" / "reference" / "musicnn.npz"
CLIPS = ("0ad_01_0", "maxstack_01_0", "muldjord_02_1")
STEP = 61  # frames from patch to patch: what the original makes of one second
OUTPUTS = {
    "musicnn": {
        "tags": "model/Sigmoid",
        "penultimate": "model/batch_normalization_10/batchnorm/add_1",
        "mean_pool": "model/moments/Squeeze",
        "max_pool": "model/Max",
    },
    "musicnn_vgg": {"tags": "model/Sigmoid", "penultimate": "model/max_pooling2d_4/MaxPool"},
}


def log_mel(audio: np.ndarray, half: bool = False) -> np.ndarray:
    """Return the extractor's spectrogram, (frames, 96)."""
    mel = librosa.feature.melspectrogram(
        y=audio, sr=RATE, hop_length=HOP, n_fft=WINDOW, n_mels=MELS, pad_mode="reflect"
    ).T
    return np.log10(10000 * mel.astype(np.float16 if half else np.float32) + 1)


def patches(spectrogram: np.ndarray) -> np.ndarray:
    """Cut as the extractor does, with one second of overlap: (patches, 187, 96)."""
    starts = range(0, len(spectrogram) - PATCH + 1, STEP)
    return np.stack([spectrogram[start : start + PATCH] for start in starts]).astype(np.float32)


def original(checkpoint: Path, outputs: dict[str, str]) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Return the published network: from patches to its answers by name."""
    v1 = tf.compat.v1
    graph_def = v1.MetaGraphDef.FromString(Path(f"{checkpoint}.meta").read_bytes()).graph_def
    graph_def = v1.graph_util.extract_sub_graph(graph_def, list(outputs.values()))
    for node in graph_def.node:  # what today's TensorFlow reads otherwise
        for name in ("_output_shapes", "_class"):
            node.attr.pop(name, None)
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_def, name="")
    reader = tf.train.load_checkpoint(str(checkpoint))
    known = reader.get_variable_to_shape_map()
    operations = graph.get_operations()
    weights = {
        f"{operation.name}:0": reader.get_tensor(operation.name.removesuffix("/read"))
        for operation in operations
        if operation.name.endswith("/read") and operation.name.removesuffix("/read") in known
    }
    inputs = [operation for operation in operations if operation.type == "Placeholder"]
    (training,) = (f"{place.name}:0" for place in inputs if place.outputs[0].dtype == tf.bool)
    (x,) = (f"{place.name}:0" for place in inputs if place.outputs[0].dtype == tf.float32)

    def answer(batch: np.ndarray) -> dict[str, np.ndarray]:
        with v1.Session(graph=graph) as session:
            fetched = session.run([f"{name}:0" for name in outputs.values()], {**weights, training: False, x: batch})
        return {name: array.reshape(len(batch), -1) for name, array in zip(outputs, fetched, strict=True)}

    return answer


def from_log_mel(model: keras.Model, outputs: dict[str, str]) -> keras.Model:
    """Return the part of our tagger behind the spectrogram: from patches (batch, 187, 96, 1) to answers by name."""
    return keras.Model(model.get_layer("bn_mel").input, {name: model.get_layer(name).output for name in outputs})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--wheel", type=Path, help="the wheel, if it is there already")
    clips = load("mini/tracker")
    sounds = {clip: clips.audio(clip) for clip in CLIPS}
    same = np.stack([patches(log_mel(audio))[3] for audio in sounds.values()]).astype(np.float16)
    reference = {"log_mel": same}
    with checkpoints(parser.parse_args().wheel) as folder:
        for network in (musicnn, musicnn_vgg):
            outputs = OUTPUTS[network.__name__]
            for trained_on in ("mtt", "msd"):
                name = f"{network.__name__}_{trained_on}"
                published = original(
                    folder / f"{trained_on.upper()}_{network.__name__.removeprefix('musicnn_')}" / "model", outputs
                )
                model = network(trained_on)
                theirs = published(same.astype(np.float32))
                ours = from_log_mel(model, outputs)(same.astype(np.float32)[..., np.newaxis], training=False)
                for output, array in theirs.items():
                    off = np.abs(array - ours[output].numpy().reshape(array.shape)).max()
                    print(f"{name:16} {output:12} same spectrogram: off by at most {off:.1e}")
                    reference[f"{name}_{output}"] = array
                for clip, audio in sounds.items():
                    theirs = published(patches(log_mel(audio)))["tags"]
                    off = np.abs(theirs - taggram(audio, model, STEP * HOP / RATE)).max()
                    half = patches(log_mel(audio, half=True))
                    as_is = published(half)["tags"]
                    print(
                        f"{name:16} {clip:14} from audio: off by at most {off:.1e}; with half precision "
                        f"{np.isinf(half).mean():.1%} of the original's input is infinite, and "
                        f"{np.isnan(as_is).mean():.0%} of its answer no number, the rest off by "
                        f"{np.nanmax(np.abs(as_is - theirs), initial=0):.1e}"
                    )
                    reference[f"{name}_{clip}"] = theirs
    TARGET.parent.mkdir(exist_ok=True)
    np.savez_compressed(TARGET, **reference)
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
