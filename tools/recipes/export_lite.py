"""Export the pretrained networks for LiteRT: data/pretrained/*.tflite, and a card (.json) beside each.

    .venv/bin/python tools/recipes/export_lite.py [FOLDER]

To be run after a change of a network, its weights, or `dl4mir_utils/models/lite.py`: `tests/test_lite.py` says when.
Before anything is written, the same networks in single precision must answer real clips as Keras does, to 1e-5, and in
half precision, as shipped, to 2e-3. What is printed shows by how much they differ.
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
from dl4mir_utils.models.pruning import FILTERS, without_still_filters
from dl4mir_utils.models.singing import FEATURES, MELS, STEP
from dl4mir_utils.paths import data_root

SAMPLES = 2048  # of a step of the singing detector
# Lengths for the live page, because a browser's LiteRT takes fixed shapes only. The front end answers to blocks as to
# the whole. To the recurrent layers a song of another length is lengthened to the next one; 79 steps are a clip of
# 10 s, 439 the blocks of longer songs on the command line. Before the microphone, the front end is called in two parts:
# "timbre" costs most and sees half a step to each side, so what it said of older steps still holds.
PAGE_STEPS = {
    "front_end": (28, 96),
    "timbre": (10,),
    "features": (28,),
    "ensemble": (28, 52, 79, 112, 160, 439),
}
HEARD = FILTERS[:2]  # layers of musicnn that look at timbre
SINGLE, HALF = 1e-5, 2e-3  # by how much probabilities may differ from Keras'


def tagger(trained_on):
    """Return the network in Keras, the signatures and the facts of a published tagger."""
    model = musicnn(trained_on)
    both = keras.Model(model.input, [model.output, model.get_layer("penultimate").output], name=f"musicnn_{trained_on}")
    signatures = {"window": Signature(without_still_filters(both), {"audio": (1, EXCERPT, 1)}, ["tags", "embedding"])}
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
    return model, signatures, facts


def detector():
    """Return the same of the singing detector, in two parts: one costs most and sees little, the other sees far."""
    found = singing_detector()
    front_end = without_still_filters(found.model.get_layer("front_end"))
    # What the front end's own two parts hand on: the spectrogram, and what its filters for timbre say of it.
    log_mel, embedding = front_end.outputs
    mel, heard = front_end.get_layer("rhythm_128").input, front_end.get_layer("front").input[:2]
    timbre = keras.Model(front_end.inputs, [log_mel, mel, *heard], name="timbre")
    features = keras.Model([mel, *heard], embedding, name="features")
    ensemble = found.model.get_layer("ensemble")

    def part(name, steps):
        audio = {"audio": (1, steps and SAMPLES * steps, 1)}
        frames = steps and STEP * steps
        if name == "front_end":
            return Signature(front_end, audio, ["log_mel", "embedding"])
        if name == "timbre":
            return Signature(timbre, audio, ["log_mel", "mel", *HEARD])
        if name == "features":
            mels, *filters = ((1, frames + 1, *tensor.shape[2:]) for tensor in (mel, *heard))
            return Signature(features, {"mel": mels, **dict(zip(HEARD, filters, strict=True))}, ["embedding"])
        return Signature(ensemble, {"log_mel": (1, frames, MELS), "embedding": (1, steps, FEATURES)}, ["singing"])

    signatures = {name: part(name, None) for name in ("front_end", "ensemble")}
    for name, lengths in PAGE_STEPS.items():
        signatures.update({f"{name}_{steps}": part(name, steps) for steps in lengths})
    facts = {
        "title": "The course's singing detector",
        "outputs": {
            "log_mel": "8 frames to a step",
            "mel, timbre_38, timbre_67": "what the parts of the front end hand on: 8 frames to a step, and one more",
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
    return found.model, signatures, facts


def difference(path, model, audio):
    """Return by how much the probabilities of a file differ from Keras', at most."""
    network, off = Network(path), []
    for clip in audio:
        given = {"audio": clip[np.newaxis, :, np.newaxis]}
        wanted = model(given["audio"], training=False)
        for name in ("window",) if "window" in network.card["signatures"] else ("front_end", "ensemble"):
            given = network(name, **given)
        off.append(np.abs(given["tags" if name == "window" else "singing"] - wanted).max())
    return float(max(off))


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else data_root() / "pretrained"
    clips, mixes = load("mini/album"), load("mini/singing")
    networks = {
        "musicnn_mtt": (*tagger("mtt"), [clips.audio(name)[:EXCERPT] for name in clips.frame.index[::40]]),
        "musicnn_msd": (*tagger("msd"), [clips.audio(name)[:EXCERPT] for name in clips.frame.index[::40]]),
        "singing_detector": (*detector(), [mixes.mix("valid", number)[0][: 78 * SAMPLES] for number in range(4)]),
    }
    with tempfile.TemporaryDirectory() as draft:
        for name, (model, signatures, facts, audio) in networks.items():
            for half, limit in ((False, SINGLE), (True, HALF)):
                path = Path(draft) / f"{name}.tflite"
                to_tflite(path, signatures, half=half, **facts)
                off = difference(path, model, audio)
                kind = "half" if half else "single"
                print(f"{path.name}, {kind} precision: {path.stat().st_size / 1e6:.2f} MB, off by {off:.1e} at most")
                if off > limit:
                    raise SystemExit(f"That is more than {limit:.0e}: nothing was written.")
        for path in sorted(Path(draft).iterdir()):
            (folder / path.name).write_bytes(path.read_bytes())


if __name__ == "__main__":
    main()
