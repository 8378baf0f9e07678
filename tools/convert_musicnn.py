"""Write data/pretrained/musicnn_mtt.npz: the weights of musicnn from its Python package, in half precision.

    python tools/convert_musicnn.py             # download musicnn 0.1.0 (pip), convert
    python tools/convert_musicnn.py --wheel F   # convert from a wheel that is there

The package itself wants NumPy below 1.17 and no longer installs; its wheel holds the authors' TensorFlow checkpoints
(ISC licence). Only variables are read, by TensorFlow's own reader.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import tensorflow as tf

from dl4mir_utils.models.musicnn import build_musicnn
from dl4mir_utils.models.weights import save_weights, variables

TARGET = Path(__file__).resolve().parent.parent / "data" / "pretrained" / "musicnn_mtt.npz"
SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
CONVOLUTIONS = ("timbre_38", "timbre_67", "rhythm_128", "rhythm_64", "rhythm_32", "middle_0", "middle_1", "middle_2")
NORMALISATIONS = ("mel", *CONVOLUTIONS, "pooled", "dense")


def old_name(variable: str) -> str:
    """Return the checkpoint's name of a variable; layers of a kind are numbered there in order of creation."""
    layer, _, part = variable.partition("/")
    if layer.startswith("bn_"):
        kind, number = "batch_normalization", NORMALISATIONS.index(layer.removeprefix("bn_"))
    elif layer in CONVOLUTIONS:
        kind, number = "conv2d", CONVOLUTIONS.index(layer)
    else:
        kind, number = "dense", ("dense", "tags").index(layer)
    return f"{kind}{f'_{number}' if number else ''}/{part}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--wheel", type=Path, help="the wheel, if it is there already")
    wheel = parser.parse_args().wheel
    with tempfile.TemporaryDirectory() as folder:
        if wheel is None:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "musicnn==0.1.0", "-d", folder]
            subprocess.run(command, check=True)
            wheel = next(Path(folder).glob("musicnn-*.whl"))
        if hashlib.sha256(wheel.read_bytes()).hexdigest() != SHA256:
            sys.exit(f"{wheel.name} is not the file that was converted before (sha256 differs).")
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.startswith("musicnn/MTT_musicnn/."):  # ".index": files of this kind need a name
                    (Path(folder) / f"checkpoint{Path(name).name}").write_bytes(archive.read(name))
        reader = tf.train.load_checkpoint(f"{folder}/checkpoint")
        model = build_musicnn()
        for name, variable in variables(model).items():
            old = old_name(name)
            array = reader.get_tensor(f"model/{old}" if reader.has_tensor(f"model/{old}") else old)
            if name.startswith("middle_"):  # an image of one channel there, (7, features, 1, 64)
                array = array.reshape(variable.shape)
            variable.assign(array)
    TARGET.parent.mkdir(exist_ok=True)
    save_weights(model, TARGET)
    print(f"{TARGET.name}: {model.count_params():,} weights, {TARGET.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
