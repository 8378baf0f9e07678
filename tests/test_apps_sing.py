"""Singing in files of any length: blocks that equal one pass, and files for other programs."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import stub_networks
from stub_networks import STEP, write_tone

from dl4mir_utils import AudioDecodeError, BadArgumentError, decoding
from dl4mir_utils.apps import sing
from dl4mir_utils.apps.sing import Song, audacity, in_windows, jams, sonic_visualiser, sung
from dl4mir_utils.data import load

stubs = stub_networks.stubs  # a fixture
RATE = 16000
WINDOW, CONTEXT = 20, 4


def parts(arrays, units, sizes):
    """Cut arrays of the same number of steps into parts of so many steps, over and over."""
    steps, first = len(arrays[0]) // units[0], 0
    while first < steps:
        for size in sizes:
            yield tuple(array[first * unit : (first + size) * unit] for array, unit in zip(arrays, units, strict=True))
            first += size
            if first >= steps:
                return


def neighbourhood(longest):
    """A network with two inputs and two outputs that sees 4 steps to each side, beyond the ends zeros."""

    def answer(fine, coarse):
        longest.append(len(coarse))
        fine = fine.reshape(-1, 3)
        padded = np.pad(coarse + fine.sum(axis=1), CONTEXT)
        seen = np.stack([padded[shift : shift + len(coarse)] * (shift + 1) for shift in range(2 * CONTEXT + 1)])
        # Whole numbers, so that sums are exact in any order.
        return seen.sum(axis=0), np.repeat(seen.max(axis=0), 2)

    return answer


@pytest.mark.parametrize("sizes", [(1,), (3, 0, 7), (19,), (20,), (21,), (100, 1), (1000,)])
@pytest.mark.parametrize(
    "steps", [1, 3, 4, 5, 15, 16, 17, 19, 20, 21, 23, 24, 25, 27, 28, 29, 31, 32, 33, 40, 56, 57, 333]
)
def test_windows_equal_one_pass(steps, sizes):
    rng = np.random.default_rng(steps)
    arrays = rng.integers(0, 100, 3 * steps), rng.integers(0, 100, steps)
    longest = []
    found = list(in_windows(parts(arrays, (3, 1), sizes), (3, 1), neighbourhood(longest), (1, 2), WINDOW, CONTEXT))
    assert max(longest) <= WINDOW
    for got, wanted in zip(zip(*found, strict=True), neighbourhood([])(*arrays), strict=True):
        np.testing.assert_array_equal(np.concatenate(got), wanted)


def test_nothing_comes_out_of_nothing():
    assert list(in_windows([], (1,), None, (1,), WINDOW, CONTEXT)) == []
    assert list(in_windows([(np.zeros(0),)], (1,), None, (1,), WINDOW, CONTEXT)) == []


def test_windows_keep_little_of_a_long_stream():
    alive = []

    def stream():
        for number in range(300):
            alive.append(number)
            yield (np.full(7, number),)

    for (part,) in in_windows(stream(), (1,), lambda values: (values,), (1,), WINDOW, CONTEXT):
        assert 7 * len(alive) - part[-1] * 7 <= 2 * WINDOW + 14  # no more is read than is answered soon


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    """A song of 80 s, longer than any window, of the course's mixes."""
    mixes = load("mini/singing")
    audio = np.concatenate([mixes.mix("test", number)[0] for number in range(8)])[:-777]
    path = tmp_path_factory.mktemp("song") / "song.flac"
    soundfile.write(path, audio, RATE)
    return path


def test_blocks_of_any_size_give_the_same_as_one_pass(song, monkeypatch):
    found = sung(song)
    assert found.duration_s == soundfile.info(song).duration and np.ptp(found.probability) > 0.5
    assert len(found.probability) == -(-soundfile.info(song).frames // STEP) and found.probability.dtype == np.float32
    monkeypatch.setattr(decoding, "BLOCK_SAMPLES", 10_007)
    in_small_blocks = sung(song)
    monkeypatch.setattr(sing, "FRONT_END", 10**6)
    front_end_once = sung(song)
    for other in (in_small_blocks, front_end_once):
        np.testing.assert_allclose(other.probability, found.probability, atol=1e-5, rtol=0)
        assert other[:2] == found[:2] and other.segments == found.segments
    # The recurrent layers remember more than the eight seconds by which their blocks overlap, but little of it.
    monkeypatch.setattr(sing, "ENSEMBLE", 10**6)
    once = sung(song).probability
    np.testing.assert_allclose(once, found.probability, atol=0.1)
    assert np.mean((once >= 0.59) == (found.probability >= 0.59)) > 0.99


@pytest.mark.parametrize("samples", [1, 700, STEP, STEP + 1, 10 * STEP - 1])
def test_short_files(stubs, tmp_path, samples):
    soundfile.write(tmp_path / "a.wav", np.full(samples, 0.5), RATE, "FLOAT")
    found = sung(tmp_path / "a.wav")
    assert found.duration_s == samples / RATE and len(found.probability) == -(-samples // STEP)
    assert found.segments == ((0.0, samples / RATE, "sing"),)  # not beyond the end


def test_what_cannot_be_heard(stubs, tmp_path):
    with pytest.raises(AudioDecodeError, match="does not exist"):
        sung(tmp_path / "none.wav")
    soundfile.write(tmp_path / "tiny.wav", np.ones(1), 192_000)  # nothing is left of it at 16 kHz
    with pytest.raises(AudioDecodeError, match="holds no sound"):
        sung(tmp_path / "tiny.wav")
    write_tone(tmp_path / "nan.wav", 0.5)
    audio = soundfile.read(tmp_path / "nan.wav")[0]
    audio[-1] = np.nan
    soundfile.write(tmp_path / "nan.wav", audio, RATE, "FLOAT")
    with pytest.raises(BadArgumentError, match="finite"):
        sung(tmp_path / "nan.wav")


SONG = Song(12.5, 0.128, np.zeros(98, np.float32), ((0.128, 2.048, "sing"), (10.24, 12.5, "sing")))


def test_labels_for_audacity():
    assert audacity(SONG) == ["0.128\t2.048\tsing", "10.240\t12.500\tsing"]
    assert audacity(SONG._replace(segments=())) == []


def test_labels_for_sonic_visualiser():
    assert sonic_visualiser(SONG) == ["0.128,1,1.920,sing", "10.240,1,2.260,sing"]


def test_labels_as_jams():
    """By its schema, version 0.3.4: what is required is there, and of the right type."""
    written = json.loads("\n".join(jams(SONG, Path("Ä b.mp3"))))
    assert written.keys() == {"annotations", "file_metadata", "sandbox"}
    about = written["file_metadata"]
    assert (about["title"], about["duration"], about["jams_version"]) == ("Ä b", 12.5, "0.3.4")
    (annotation,) = written["annotations"]
    assert annotation.keys() == {"annotation_metadata", "data", "duration", "namespace", "sandbox", "time"}
    assert (annotation["namespace"], annotation["time"], annotation["duration"]) == ("segment_open", 0, 12.5)
    assert annotation["annotation_metadata"]["data_source"] == "program"
    assert annotation["annotation_metadata"]["curator"].keys() == {"name", "email"}
    assert annotation["data"] == [
        {"time": 0.128, "duration": 1.92, "value": "sing", "confidence": None},
        {"time": 10.24, "duration": 2.26, "value": "sing", "confidence": None},
    ]
