"""The voices and the mixes made of them: free, whole, split without leaks, labelled exactly, repeatable and fast."""

import hashlib
import itertools
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dl4mir_utils import BadArgumentError, DataNotFoundError
from dl4mir_utils.data import frame_labels, load, mixes
from dl4mir_utils.data.mixes import Line, where_it_sounds
from dl4mir_utils.segments import PAUSE_S

MINI = Path(__file__).resolve().parent.parent / "data" / "mini"
VOICES = pd.read_csv(MINI / "voices.csv", keep_default_na=False).set_index("voice_id")
RATE = 16000


@pytest.fixture(scope="module")
def singing():
    return load("mini/singing")


@pytest.fixture(scope="module")
def some_mixes(singing):
    return [singing.mix("train", index) for index in range(150)]


def checksum(batches):
    return hashlib.sha256(b"".join(part.numpy().tobytes() for batch in batches for part in batch)).hexdigest()


# --- the voices ---------------------------------------------------------------------------------------------------


def test_the_table_and_the_folder_agree():
    on_disk = {path.relative_to(MINI).as_posix() for path in (MINI / "voices").iterdir()}
    assert on_disk == set(VOICES.file) and VOICES.index.is_unique
    for voice_id, row in VOICES.iterrows():
        assert hashlib.sha256((MINI / row.file).read_bytes()).hexdigest() == row.sha256, voice_id
    assert sum((MINI / file).stat().st_size for file in VOICES.file) <= 10e6


def test_every_line_is_as_long_as_the_table_says_and_sounds(singing):
    for voice_id, row in VOICES[::7].iterrows():
        audio = singing.voices.audio(voice_id)
        assert len(audio) == round(row.duration_s * RATE) and 0.6 <= row.duration_s <= 12, voice_id
        assert np.isfinite(audio).all() and 0.1 < np.abs(audio).max() < 1, voice_id
        level, spans = where_it_sounds(audio)
        assert 0.01 < level < 0.4 and sum(end - start for start, end in spans) > 0.3 * row.duration_s, voice_id


def test_licences_are_free_and_their_texts_and_credits_are_here():
    assert set(VOICES.licence) == {"CC-BY-3.0", "CC-BY-SA-3.0", "MIT-Festival"}
    texts = [path.name for path in (MINI / "licences").iterdir()]
    credits = (MINI / "licences" / "README.md").read_text(encoding="utf-8")
    for licence in set(VOICES.licence):
        assert any(name.startswith(licence) for name in texts), f"no text of {licence}"
    for (package, version, licence, holder), _ in VOICES.groupby(["package", "package_version", "licence", "holder"]):
        lines = [line for line in credits.splitlines() if line.startswith(f"| {package} |")]
        assert any(version in line and licence in line and holder in line for line in lines), (package, holder)
    assert (VOICES.title != "").all() and (VOICES.source != "").all()


def test_no_speaker_or_artist_is_in_two_splits(singing):
    for table in (singing.voices, singing.music):
        assert (table.frame.groupby("group").split.nunique() == 1).all()
        assert set(table.frame.split) == {"train", "valid", "test"}
    assert (
        VOICES.groupby("holder").voice.agg(set).map(len)[["Allison Smith", "June Wallack", "Carlo Flora"]] == 1
    ).all()
    # Pieces that several wrote together share a soundtrack or an artist's name: none may be torn apart either.
    for column in ("artist", "track", "album"):
        named = singing.music.frame[singing.music.frame[column] != ""]
        assert (named.groupby(column).split.nunique() == 1).all(), column


def test_what_each_split_has():
    minutes = VOICES.groupby(["split", "kind"]).duration_s.sum().div(60)
    assert minutes["train", "sung (WORLD)"] > 15 and minutes["train", "sung (HMM)"] > 8
    share = VOICES.groupby("kind").duration_s.sum() / VOICES.duration_s.sum()
    assert 0.2 < share["spoken"] < 0.3 and 0.45 < share["sung (WORLD)"] < 0.58 and 0.15 < share["sung (HMM)"] < 0.25
    for split in ("train", "valid", "test"):
        assert minutes[split, "spoken"] > 1.5 and minutes[split, "sung (WORLD)"] > 3
        assert VOICES[VOICES.split == split].voice.nunique() >= 3


def test_suspected_voices_are_not_in_the_music(singing):
    music = singing.music.frame
    assert "Obsidian Shell" not in set(music["group"]) and "unknownhorizons_08" not in set(music.track)
    assert len(music) > 350


# --- the mixes ----------------------------------------------------------------------------------------------------


def test_labels_are_where_the_voice_was_put():
    """A voice of tones over music too soft to hear: the energy of the mix must rise and fall with the labels."""
    time_s = np.arange(2 * RATE) / RATE
    tone = np.sin(2 * np.pi * 300 * time_s) * ((time_s > 0.2) & (time_s < 1.7))
    line = np.int16(tone * 16000)
    level, spans = where_it_sounds(line / np.float32(32768))
    np.testing.assert_allclose(spans, [(0.2, 1.7)], atol=0.011)
    lines = [Line(line, level, spans)]
    seen = 0
    for seed in range(40):
        voice, segments = mixes.voice_track(np.random.default_rng(seed), lines, 10 * RATE)
        labels = frame_labels(segments, 0.016, 625)
        loud = np.square(voice.reshape(625, 256)).mean(axis=1) > 1e-4
        # Short pauses count as singing, others do not; an edge, or a pause, may be one frame off.
        joined, fewer = (
            frame_labels(mixes.merge_segments(runs(loud), s), 0.016, 625) for s in (PAUSE_S, PAUSE_S - 0.03)
        )
        edges = np.abs(np.diff(joined, prepend=joined[0])) + np.abs(joined - fewer)
        near = np.convolve(edges, np.ones(5), "same") > 0
        assert (labels == joined)[~near].all(), seed
        seen += labels.sum()
    assert 0.3 < seen / (40 * 625) < 0.8


def runs(active):
    edges = np.flatnonzero(np.diff(active.astype(int), prepend=0, append=0)) * 0.016
    return [(start, end, "sing") for start, end in zip(edges[::2], edges[1::2], strict=True)]


def test_the_label_holds_in_the_finished_mix():
    """Music of plain noise: after all effects, the tone that stands for the voice is where the label says."""
    tone = np.int16(8000 * np.sin(2 * np.pi * 300 * np.arange(RATE) / RATE))
    lines = [[Line(tone, *where_it_sounds(tone / np.float32(32768)))]]
    hiss = np.int16(np.random.default_rng(0).normal(0, 300, 10 * RATE))
    checked = 0
    for seed in range(60):
        audio, segments = mixes.mix_song(np.random.default_rng(seed), lines, [hiss], 10 * RATE)
        labels = frame_labels(segments, 0.016, 625).astype(bool)
        if not 100 < labels.sum() < 500:
            continue
        spectrum = np.abs(np.fft.rfft(audio.reshape(625, 256) * np.hanning(256), axis=1))
        tonal = spectrum[:, 3:8].max(axis=1) / np.median(spectrum, axis=1)
        checked += np.median(tonal[labels]) > 2 * np.median(tonal[~labels])
    assert checked >= 15


def test_what_only_resembles_a_voice_is_not_labelled(singing, monkeypatch):
    """Without any voice there are leads, gated music and all effects, but no label."""
    music = [np.int16(32767 * singing.music.audio(name)) for name in singing.music.frame.index[:3]]
    quiet = Line(np.zeros(RATE, np.int16), 1.0, ())
    played = []
    for name in ("lead", "gate"):
        original = getattr(mixes, name)
        monkeypatch.setattr(mixes, name, lambda *a, name=name, original=original: played.append(name) or original(*a))
    for seed in range(20):
        _, segments = mixes.mix_song(np.random.default_rng(seed), [[quiet]], music, 10 * RATE)
        assert segments == ()
    assert set(played) == {"lead", "gate"}


def test_how_much_is_sung(some_mixes):
    sung = np.array([sum(end - start for start, end, _ in segments) for _, segments in some_mixes]) / 10
    assert 0.5 < sung.mean() < 0.7
    assert 0.05 < (sung == 0).mean() < 0.25
    assert ((sung > 0) & (sung < 0.6)).mean() > 0.1


def test_sound_and_segments_are_sound(some_mixes):
    for audio, segments in some_mixes:
        assert audio.shape == (160000,) and audio.dtype == np.float32
        assert np.isfinite(audio).all() and np.abs(audio).max() <= 1
        assert -36 < 10 * np.log10(np.mean(audio**2)) < -8
        assert all(0 <= start < end <= 10 and label == "sing" for start, end, label in segments)
        assert all(before[1] < after[0] for before, after in itertools.pairwise(segments))


@pytest.mark.parametrize("split", ["valid", "test"])
def test_valid_and_test_mixes_are_fixed(split):
    first, second = load("mini/singing"), load("mini/singing")
    sums = {checksum(data.to_tf(split, count=5, batch=2, seed=seed)) for data, seed in [(first, 0), (second, 7)]}
    assert len(sums) == 1
    again = first.to_tf(split, count=4)
    assert checksum(again) == checksum(again)


def test_training_mixes_are_new_in_every_epoch_and_repeat_under_one_seed(singing):
    dataset = singing.to_tf("train", count=5, batch=2, seconds=2.56, seed=1)
    epochs = [checksum(dataset), checksum(dataset)]
    assert epochs[0] != epochs[1]
    again = singing.to_tf("train", count=5, batch=2, seconds=2.56, seed=1)
    assert [checksum(again), checksum(again)] == epochs
    assert checksum(singing.to_tf("train", count=5, batch=2, seconds=2.56, seed=2)) not in epochs


def test_batches_are_like_those_of_a_clip_table(singing):
    dataset = singing.to_tf("valid", count=5, batch=2, seconds=2.5, hop_s=0.128)
    assert len(dataset) == 3
    assert [part.shape.as_list() for part in dataset.element_spec] == [[None, 40000, 1], [None, 20]]
    batches = [(audio.numpy(), label.numpy()) for audio, label in dataset]
    assert [len(audio) for audio, _ in batches] == [2, 2, 1]
    assert batches[0][1].dtype == np.int32 and {*np.unique(batches[0][1])} <= {0, 1}
    audio, segments = singing.mix("valid", 1, 2.5)
    np.testing.assert_array_equal(batches[0][0][1, :, 0], audio)
    np.testing.assert_array_equal(batches[0][1][1], frame_labels(segments, 0.128, 20))


def test_a_mix_is_fast(singing):
    singing.mix("train", 0)
    start = time.process_time()
    for index in range(40):
        singing.mix("train", index)
    assert (time.process_time() - start) / 40 <= 0.03


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("all", 0), "split is 'all'"),
        (("train", -1), "index is -1"),
        (("train", 0, 30.0), "seconds is 30"),
    ],
)
def test_arguments_that_make_no_sense(singing, arguments, message):
    with pytest.raises(BadArgumentError, match=message):
        singing.mix(*arguments)


def test_batches_that_make_no_sense(singing):
    for wrong in ({"count": 0}, {"batch": 0}, {"hop_s": 0.0}):
        with pytest.raises(BadArgumentError, match="must be positive"):
            singing.to_tf("train", **wrong)


def test_missing_table(tmp_path, monkeypatch):
    (tmp_path / "mini").mkdir()
    monkeypatch.setenv("DL4MIR_DATA", str(tmp_path))
    with pytest.raises(DataNotFoundError, match=r"voices\.csv"):
        load("mini/singing")
