"""The exported networks answer as Keras does, and as an export of today would."""

import hashlib
import importlib.util
import json

import keras
import numpy as np
import pytest
import soundfile
from tensorflow.lite.tools import flatbuffer_utils
from tensorflow.lite.tools.flatbuffer_utils import schema_fb

from dl4mir_utils import BadArgumentError
from dl4mir_utils.apps.lite import Network, network, read_card
from dl4mir_utils.apps.sing import sung
from dl4mir_utils.apps.tag import file_tags
from dl4mir_utils.data import load
from dl4mir_utils.errors import DataNotFoundError
from dl4mir_utils.models import MSD_TAGS, MTT_TAGS, embeddings, musicnn, singing_detector, taggram
from dl4mir_utils.models.lite import PatchConv2D, Signature, to_tflite
from dl4mir_utils.models.musicnn import EXCERPT
from dl4mir_utils.paths import course_file
from dl4mir_utils.segments import smooth
from dl4mir_utils.singing import sung_probability

NAMES = ("musicnn_mtt", "musicnn_msd", "singing_detector")
HALF = 2e-3  # by how much probabilities may differ from Keras', in half precision


@pytest.fixture(scope="module")
def recipe():
    path = course_file("pretrained/musicnn_mtt.npz").parents[2] / "tools/recipes/export_lite.py"
    spec = importlib.util.spec_from_file_location("export_lite", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def clips():
    table = load("mini/album")
    return {name: table.audio(name) for name in table.frame.index[::9]}


@pytest.mark.parametrize("name", NAMES)
def test_the_card_tells_of_the_file_beside_it(name):
    path = course_file(f"pretrained/{name}.tflite")
    card = read_card(path)
    content = path.read_bytes()
    assert card["file"] == path.name and card["sha256"] == hashlib.sha256(content).hexdigest()
    assert len(content) < 2.5e6 and card["weights"] == "float16"
    assert card["sample_rate_hz"] == 16000 and "[-1, 1]" in card["audio"]
    labels = {"musicnn_mtt": MTT_TAGS, "musicnn_msd": MSD_TAGS, "singing_detector": ("singing",)}
    assert tuple(card["labels"]) == labels[name]
    runners = Network(path)._interpreter.get_signature_list()
    assert {key: set(signature["inputs"]) for key, signature in card["signatures"].items()} == {
        key: set(signature["inputs"]) for key, signature in runners.items()
    }
    assert "LICENCE-musicnn.txt" in card["licence"] and (path.parent / "LICENCE-musicnn.txt").is_file()


def test_the_detectors_card_says_how_it_is_read():
    detector, card = singing_detector(), read_card(course_file("pretrained/singing_detector.tflite"))
    assert (card["threshold"], card["median_steps"]) == (detector.threshold, detector.median_frames)
    assert card["step_samples"] / card["sample_rate_hz"] == detector.hop_s


@pytest.mark.parametrize("name", NAMES)
def test_networks_are_what_an_export_of_today_would_be(recipe, tmp_path, name):
    """If this fails, a network or its weights have changed: run tools/recipes/export_lite.py."""
    model, signatures, facts = recipe.detector() if name == "singing_detector" else recipe.tagger(name[-3:])
    assert {key: {k: list(shape) for k, shape in each.inputs.items()} for key, each in signatures.items()} == {
        key: each["inputs"] for key, each in network(name).card["signatures"].items()
    }
    # Of those for the page, which share the weights, one; all would take ten seconds more. None at all would leave
    # biases single that it needs in half precision.
    of_page = {key for key in signatures if key[-1].isdigit()}
    signatures = {key: value for key, value in signatures.items() if key not in of_page - {"front_end_28"}}
    audio = [load("mini/singing").mix("valid", 0)[0][: 78 * 2048]] if name == "singing_detector" else [loud(EXCERPT)]
    to_tflite(tmp_path / "single.tflite", signatures, half=False, **facts)
    assert recipe.difference(tmp_path / "single.tflite", model, audio) <= 1e-5
    to_tflite(tmp_path / "half.tflite", signatures, **facts)
    fresh, shipped = Network(tmp_path / "half.tflite"), network(name)
    given = {"audio": audio[0][np.newaxis, :, np.newaxis]}
    for key in [key for key in signatures if key not in of_page]:
        answer, other = fresh(key, **given), shipped(key, **given)
        for output, values in answer.items():
            np.testing.assert_allclose(values, other[output], atol=1e-4)
        given = answer
    unchanged = {"file", "sha256", "signatures"}
    assert {k: v for k, v in fresh.card.items() if k not in unchanged} == {
        k: v for k, v in shipped.card.items() if k not in unchanged
    }


def slow_in_a_browser(path):
    """Return what LiteRT's fast kernels do not take, or take with a few filters that may be slow."""
    opened = flatbuffer_utils.read_model(str(path))
    codes = [code.builtinCode for code in opened.operatorCodes]
    found = []
    for graph in opened.subgraphs:
        steps = [(codes[step.opcodeIndex], step) for step in graph.operators]
        halved = {step.outputs[0] for code, step in steps if code == schema_fb.BuiltinOperator.DEQUANTIZE}
        for code, step in steps:
            if code not in (schema_fb.BuiltinOperator.CONV_2D, schema_fb.BuiltinOperator.FULLY_CONNECTED):
                continue
            weights, *bias = (number for number in step.inputs[1:] if number >= 0)
            shape = tuple(graph.tensors[weights].shape)
            if bias and (weights in halved) != (bias[0] in halved):
                found.append(f"{shape}: weights and biases differ in precision")
            if code == schema_fb.BuiltinOperator.CONV_2D and shape[0] % 8:
                found.append(f"{shape}: no multiple of eight filters")
    return found


@pytest.mark.parametrize("name", [*NAMES, "genre_mini"])
def test_a_browser_computes_them_with_its_fast_kernels(name):
    assert slow_in_a_browser(course_file(f"pretrained/{name}.tflite")) == []


def test_so_does_it_with_networks_of_ones_own(tmp_path):
    sound = keras.Input((4096, 1))
    votes = keras.layers.Dense(5)(keras.layers.GlobalMaxPooling1D()(keras.layers.Conv1D(80, 128)(sound)))
    model = keras.Model(sound, votes)
    model.set_weights([np.random.default_rng(0).normal(size=weights.shape) for weights in model.get_weights()])
    signatures = {"window": Signature(model, {"audio": (1, 4096, 1)}, ["votes"])}
    to_tflite(tmp_path / "own.tflite", signatures, labels=list("abcde"))
    assert slow_in_a_browser(tmp_path / "own.tflite") == []
    answer = Network(tmp_path / "own.tflite")("window", audio=loud(4096)[np.newaxis, :, np.newaxis])["votes"]
    wanted = model(loud(4096)[np.newaxis, :, np.newaxis], training=False)
    np.testing.assert_allclose(answer, wanted, rtol=2e-3, atol=2e-2)


def loud(samples):
    return np.random.default_rng(0).uniform(-0.3, 0.3, samples).astype(np.float32)


@pytest.mark.parametrize("trained_on", ["mtt", "msd"])
def test_files_are_tagged_as_keras_does(clips, tmp_path, trained_on):
    model = musicnn(trained_on)
    for name, audio in clips.items():
        soundfile.write(tmp_path / "clip.wav", audio, 16000, subtype="FLOAT")
        answer = file_tags(tmp_path / "clip.wav", f"musicnn_{trained_on}")
        np.testing.assert_allclose(answer, taggram(audio, model, hop_s=3).mean(axis=0), atol=HALF, err_msg=name)


def test_neighbours_change_places_only_where_they_are_as_near(clips):
    model, tagger = musicnn("msd"), network("musicnn_msd")
    windows = {name: audio[:EXCERPT] for name, audio in clips.items()}
    keras_vectors = np.array([embeddings(audio, model)[0] for audio in windows.values()])
    lite_vectors = np.array(
        [
            tagger("window", audio=np.pad(audio, (256, 0), "reflect")[np.newaxis, :EXCERPT, np.newaxis])["embedding"][0]
            for audio in windows.values()
        ]
    )
    one, other = (cosines(vectors) for vectors in (keras_vectors, lite_vectors))
    for before, after in zip(one, other, strict=True):
        order = np.argsort(-before, kind="stable")
        rank = np.empty(len(order), int)
        rank[np.argsort(-after, kind="stable")] = np.arange(len(order))
        for near in range(len(order)):
            overtakers = [far for far in range(near + 1, len(order)) if rank[order[far]] < rank[order[near]]]
            assert all(before[order[near]] - before[order[far]] < 2e-3 for far in overtakers)


def cosines(vectors):
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors @ vectors.T


def test_no_singing_decision_changes(tmp_path):
    detector, mixes, frames = singing_detector(), load("mini/singing"), 0
    for number in range(64):  # all that notebook 05a tests on
        audio = mixes.mix("test", number)[0]
        soundfile.write(tmp_path / "mix.wav", audio, 16000, subtype="FLOAT")
        song = sung(tmp_path / "mix.wav")
        wanted = smooth(sung_probability(audio, detector.model, detector.hop_s), detector.median_frames)
        np.testing.assert_allclose(song.probability, wanted, atol=HALF)
        np.testing.assert_array_equal(song.probability >= detector.threshold, wanted >= detector.threshold)
        frames += len(wanted)
    assert frames > 4500


def test_the_two_parts_of_the_front_end_answer_as_the_whole():
    """The live page calls them one after the other, and the first one in blocks that overlap by what it sees."""
    detector, audio = network("singing_detector"), load("mini/singing").mix("test", 0)[0][: 28 * 2048]
    wanted = detector("front_end_28", audio=audio[np.newaxis, :, np.newaxis])
    frames: dict[str, list] = {}
    for first, kept in ((0, slice(0, 72)), (8, slice(8, 72)), (16, slice(8, 72)), (18, slice(56, None))):
        block = audio[first * 2048 : (first + 10) * 2048]
        for name, values in detector("timbre_10", audio=block[np.newaxis, :, np.newaxis]).items():
            frames.setdefault(name, []).append(values[:, kept])
    seen = {name: np.concatenate(parts, axis=1) for name, parts in frames.items()}
    np.testing.assert_allclose(seen.pop("log_mel"), wanted["log_mel"], atol=1e-4)
    found = detector("features_28", **seen)["embedding"]
    np.testing.assert_allclose(found, wanted["embedding"], atol=1e-4)


def test_a_long_song_is_heard_as_keras_hears_it(tmp_path):
    """Longer than any window: the front end answers as in one pass, the recurrent layers in blocks as long as these."""
    detector, mixes = singing_detector(), load("mini/singing")
    audio = np.concatenate([mixes.mix("test", number)[0] for number in range(13)])[:-777]
    soundfile.write(tmp_path / "song.wav", audio, 16000, subtype="FLOAT")
    song = sung(tmp_path / "song.wav")
    front_end, ensemble = (detector.model.get_layer(name) for name in ("front_end", "ensemble"))
    log_mel, embedding = front_end(np.pad(audio, (0, -len(audio) % 2048))[np.newaxis, :, np.newaxis])
    wanted = []
    # Of 439 steps, 63 at an end are context, but at the ends of the song.
    for first, start, stop in ((0, 0, 376), (313, 376, 689), (577, 689, 1016)):
        block = ensemble([log_mel[:, 8 * first : 8 * (first + 439)], embedding[:, first : first + 439]])
        wanted += list(np.ravel(block)[start - first : stop - first])
    np.testing.assert_allclose(song.probability, smooth(np.array(wanted), detector.median_frames), atol=HALF)
    assert song.duration_s == pytest.approx(len(audio) / 16000)


@pytest.mark.parametrize(("size", "padding"), [((7, 38), "valid"), ((128, 1), "same"), ((16, 5), "same")])
def test_patches_convolve_as_keras_does(size, padding):
    picture = np.random.default_rng(1).normal(size=(2, 40, 60, 1)).astype(np.float32)
    plain = keras.layers.Conv2D(5, size, padding=padding, activation="relu")
    wanted = plain(picture)
    patches = PatchConv2D.from_config(plain.get_config())
    patches.build(picture.shape)
    patches.set_weights(plain.get_weights())
    np.testing.assert_allclose(patches(picture), wanted, atol=1e-4)


def small():
    sound = keras.Input((None, 1))
    return keras.Model(sound, keras.layers.MaxPooling1D(256)(sound))


def test_a_network_of_ones_own(tmp_path):
    model = small()
    card = to_tflite(
        tmp_path / "own.tflite", {"block": Signature(model, {"audio": (1, 1024, 1)}, ["level"])}, labels=["loud"]
    )
    assert card == json.loads((tmp_path / "own.json").read_text()) == read_card(tmp_path / "own.tflite")
    assert card["signatures"] == {"block": {"inputs": {"audio": [1, 1024, 1]}, "outputs": {"level": [1, 4, 1]}}}
    audio = loud(1024)[np.newaxis, :, np.newaxis]
    answer = Network(tmp_path / "own.tflite")("block", audio=audio)
    np.testing.assert_allclose(answer["level"], small()(audio), atol=1e-6)
    again = to_tflite(
        tmp_path / "again.tflite", {"block": Signature(model, {"audio": (1, 1024, 1)}, ["level"])}, labels=["loud"]
    )
    assert again["sha256"] == card["sha256"]


def test_errors_say_what_to_do(tmp_path):
    one = {"block": Signature(small(), {"audio": (1, 1024, 1)}, ["level", "more"])}
    with pytest.raises(BadArgumentError, match=r"names 2 outputs; .* has 1"):
        to_tflite(tmp_path / "own.tflite", one, labels=[])
    with pytest.raises(BadArgumentError, match=r"own.json must end in .tflite"):
        to_tflite(tmp_path / "own.json", one, labels=[])
    sound = keras.Input((64, 1))
    lacking = keras.Model(sound, keras.ops.digamma(sound) if hasattr(keras.ops, "digamma") else keras.ops.erfinv(sound))
    with pytest.raises(BadArgumentError, match=r"cannot be made: LiteRT has no"):
        to_tflite(tmp_path / "own.tflite", {"block": Signature(lacking, {"audio": (1, 64, 1)}, ["value"])}, labels=[])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataNotFoundError, match="cannot be read"):
        Network(tmp_path / "none.tflite")
