"""Export the pretrained networks for LiteRT: data/pretrained/*.tflite, and a card (.json) beside each.

    .venv/bin/python tools/recipes/export_lite.py [FOLDER]

To be run after a change of a network, its weights, or `dl4mir_utils/models/lite.py`: `tests/test_lite.py` says when.
Before anything is written, the same networks in single precision must answer real clips as Keras does, to 1e-5, and in
half precision, as shipped, to 2e-3. Ten lines are printed, which show by how much they differ.
"""

import sys
import tempfile
from pathlib import Path

import dl4mir_utils  # noqa: F401  before Keras: it quietens TensorFlow

# isort: split
import keras
import numpy as np

from dl4mir_utils.apps.lite import Network
from dl4mir_utils.data import load
from dl4mir_utils.models import MSD_TAGS, MTT_TAGS, musicnn, singing_detector
from dl4mir_utils.models.lite import Signature, to_tflite
from dl4mir_utils.models.musicnn import EXCERPT
from dl4mir_utils.models.singing import FEATURES, MELS, STEP
from dl4mir_utils.paths import data_root

SAMPLES = 2048  # of a step of the singing detector
PAGE_STEPS = (28, 160)  # lengths for the live page: a browser's LiteRT takes fixed shapes only; 3.6 and 20.5 s
SINGLE, HALF = 1e-5, 2e-3  # by how much probabilities may differ from Keras'


def tagger(trained_on):
    """Signatures and facts of a published tagger."""
    model = musicnn(trained_on)
    both = keras.Model(model.input, [model.output, model.get_layer("penultimate").output], name=f"musicnn_{trained_on}")
    signatures = {"window": Signature(both, {"audio": (1, EXCERPT, 1)}, ["tags", "embedding"])}
    facts = {
        "title": f"musicnn, trained on {'MagnaTagATune' if trained_on == 'mtt' else 'the Million Song Dataset'}",
        "outputs": {
            "tags": "the probability of each label",
            "embedding": "what the network knows before it names tags; its mean over windows is compared by cosine",
        },
        "window_samples": EXCERPT,
        "source": "Pons and Serra, 2019, arXiv:1909.06654",
        "licence": "ISC, LICENCE-musicnn.txt",
        "labels": MTT_TAGS if trained_on == "mtt" else MSD_TAGS,
    }
    return signatures, facts


def detector():
    """Signatures and facts of the singing detector in two parts: one costs most and sees little, the other far."""
    found = singing_detector()
    front_end, ensemble = (found.model.get_layer(name) for name in ("front_end", "ensemble"))

    def parts(steps, ending):
        frames = steps and STEP * steps
        return {
            "front_end" + ending: Signature(
                front_end, {"audio": (1, steps and SAMPLES * steps, 1)}, ["log_mel", "embedding"]
            ),
            "ensemble" + ending: Signature(
                ensemble, {"log_mel": (1, frames, MELS), "embedding": (1, steps, FEATURES)}, ["singing"]
            ),
        }

    signatures = parts(None, "")
    for steps in PAGE_STEPS:
        signatures.update(parts(steps, f"_{steps}"))
    facts = {
        "title": "The course's singing detector",
        "outputs": {
            "log_mel": "8 frames to a step",
            "embedding": "musicnn's features, their mean over the frames of a step",
            "singing": "the probability that somebody sings or speaks, for each step",
        },
        "step_samples": SAMPLES,
        "threshold": found.threshold,
        "median_steps": found.median_frames,
        "source": "tools/recipes/train_singing.py; features of musicnn: arXiv:1909.06654",
        "licence": "MIT; musicnn's part ISC, LICENCE-musicnn.txt",
        "labels": ["singing"],
    }
    return signatures, facts


def difference(path, signatures, audio):
    """Return by how much the probabilities of a file differ from Keras', at most."""
    network, off = Network(path), []
    for clip in audio:
        given = {"audio": clip[np.newaxis, :, np.newaxis]}
        for name in ("window",) if "window" in signatures else ("front_end", "ensemble"):
            signature = signatures[name]
            inputs = [given[key] for key in signature.inputs]
            wanted = signature.model(inputs if len(inputs) > 1 else inputs[0], training=False)
            given = dict(zip(signature.outputs, map(np.asarray, keras.tree.flatten(wanted)), strict=True))
            answer = network(name, **dict(zip(signature.inputs, inputs, strict=True)))
            off += [np.abs(answer[key] - given[key]).max() for key in {"tags", "singing"} & set(given)]
    return float(max(off))


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else data_root() / "pretrained"
    clips, mixes = load("mini/album"), load("mini/singing")
    networks = {
        "musicnn_mtt": (*tagger("mtt"), [clips.audio(name)[:EXCERPT] for name in clips.frame.index[::40]]),
        "musicnn_msd": (*tagger("msd"), [clips.audio(name)[:EXCERPT] for name in clips.frame.index[::40]]),
        "singing_detector": (*detector(), [mixes.mix("valid", number)[0] for number in range(4)]),
    }
    with tempfile.TemporaryDirectory() as draft:
        for name, (signatures, facts, audio) in networks.items():
            for half, limit in ((False, SINGLE), (True, HALF)):
                path = Path(draft) / f"{name}.tflite"
                to_tflite(path, signatures, half=half, **facts)
                off = difference(path, signatures, audio)
                kind = "half" if half else "single"
                print(f"{path.name}, {kind} precision: {path.stat().st_size / 1e6:.2f} MB, off by {off:.1e} at most")
                if off > limit:
                    raise SystemExit(f"That is more than {limit:.0e}: nothing was written.")
        for path in sorted(Path(draft).iterdir()):
            (folder / path.name).write_bytes(path.read_bytes())


if __name__ == "__main__":
    main()
