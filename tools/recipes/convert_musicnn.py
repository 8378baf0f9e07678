"""Write data/pretrained/musicnn*.npz: the weights of musicnn and its VGG from their Python package.

    python tools/recipes/convert_musicnn.py             # download musicnn 0.1.0 (pip), convert
    python tools/recipes/convert_musicnn.py --wheel F   # convert from a wheel that is there

The package itself wants NumPy below 1.17 and no longer installs; its wheel holds the authors' TensorFlow checkpoints
(ISC licence). Only variables are read, by TensorFlow's own reader, and written as they are, in single precision: a
second run gives the same values, and with the same zlib the same bytes.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from dl4mir_utils.models.musicnn import EXCERPT, build_tagger, musicnn_tags, vgg_tags
from dl4mir_utils.models.weights import save_weights, variables

FOLDER = Path(__file__).resolve().parents[2] / "data" / "pretrained"
SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
# Layers in the order in which the originals created those of a kind.
CONVOLUTIONS = ("timbre_38", "timbre_67", "rhythm_128", "rhythm_64", "rhythm_32", "middle_0", "middle_1", "middle_2")
NORMALISATIONS = ("bn_mel", *(f"bn_{name}" for name in CONVOLUTIONS), "bn_pooled", "penultimate")


def numbered(name: str, number: int) -> str:
    return f"{name}_{number}" if number else name


def musicnn_name(layer: str) -> str:
    """Return the checkpoint's name of a layer of musicnn."""
    if layer in NORMALISATIONS:
        return numbered("batch_normalization", NORMALISATIONS.index(layer))
    if layer in CONVOLUTIONS:
        return numbered("conv2d", CONVOLUTIONS.index(layer))
    return numbered("dense", ("dense", "tags").index(layer))


def vgg_name(layer: str) -> str:
    """Return the checkpoint's name of a layer of the VGG."""
    kind, _, number = layer.partition("_")
    if kind == "conv":
        return f"{int(number) + 1}CNN"
    if kind == "bn":
        return numbered("batch_normalization", 0 if number == "mel" else int(number) + 1)
    return "dense"


@contextmanager
def checkpoints(wheel: Path | None) -> Iterator[Path]:
    """Unpack the wheel, downloaded if need be: a folder of `MTT_musicnn/model.index` and the like."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if wheel is None:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "musicnn==0.1.0", "-d", folder]
            subprocess.run(command, check=True)
            wheel = next(folder.glob("musicnn-*.whl"))
        if hashlib.sha256(wheel.read_bytes()).hexdigest() != SHA256:
            sys.exit(f"{wheel.name} is not the file that was converted before (sha256 differs).")
        with zipfile.ZipFile(wheel) as archive:
            for inside in map(Path, archive.namelist()):
                if inside.name.startswith("."):  # ".index" and the like: files of this kind need a name
                    (folder / inside.parent.name).mkdir(exist_ok=True)
                    (folder / inside.parent.name / f"model{inside.name}").write_bytes(archive.read(inside.as_posix()))
        yield folder


def convert(model: keras.Model, checkpoint: Path, old_name: Callable[[str], str]) -> None:
    """Read the weights of a model from a checkpoint."""
    reader = tf.train.load_checkpoint(str(checkpoint))
    for name, variable in variables(model).items():
        layer, _, part = name.partition("/")
        old = f"{old_name(layer)}/{part}"
        array = reader.get_tensor(f"model/{old}" if reader.has_tensor(f"model/{old}") else old)
        if layer.startswith("middle_"):  # an image of one channel there, (7, features, 1, 64)
            array = array.reshape(variable.shape)
        variable.assign(array)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--wheel", type=Path, help="the wheel, if it is there already")
    FOLDER.mkdir(exist_ok=True)
    with checkpoints(parser.parse_args().wheel) as folder:
        for trained_on in ("mtt", "msd"):
            for name, tagger, samples, old, old_name in (
                ("musicnn", musicnn_tags, None, "musicnn", musicnn_name),
                ("musicnn_vgg", partial(vgg_tags, trained_on=trained_on), EXCERPT, "vgg", vgg_name),
            ):
                model = build_tagger(tagger, name, samples)
                convert(model, folder / f"{trained_on.upper()}_{old}" / "model", old_name)
                target = FOLDER / f"{name}_{trained_on}.npz"
                save_weights(model, target, np.float32)
                print(f"{target.name}: {model.count_params():,} weights, {target.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
