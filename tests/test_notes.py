"""The recorded notes are whole, free, and have the pitch that their label says."""

import hashlib
from pathlib import Path

import librosa
import numpy as np
import pytest

from dl4mir_utils import DataNotFoundError
from dl4mir_utils.data import load
from dl4mir_utils.synth import NOTE_NAMES

MINI = Path(__file__).parents[1] / "data" / "mini"
NOTES = load("mini/notes")


def test_the_table_and_the_folder_agree():
    on_disk = {path.relative_to(MINI).as_posix() for path in (MINI / "notes").iterdir()}
    assert on_disk == set(NOTES.frame.path)
    for note_id, row in NOTES.frame.iterrows():
        assert hashlib.sha256((MINI / row.path).read_bytes()).hexdigest() == row.sha256, note_id
    assert sum((MINI / path).stat().st_size for path in on_disk) <= 600e3


@pytest.mark.parametrize("note_id", NOTES.frame.index)
def test_every_note_sounds_as_labelled(note_id):
    row, audio = NOTES.frame.loc[note_id], NOTES.audio(note_id)
    assert audio.shape == (16000,)
    assert -40 < 10 * np.log10(np.mean(audio**2)) < -3 and np.abs(audio).max() < 1
    hertz = np.median(librosa.yin(audio[3200:12800], fmin=150, fmax=1000, sr=16000))
    assert abs(1200 * np.log2(hertz / 440) - 100 * (row.midi - 69)) < 35
    assert NOTE_NAMES[(row.midi - 69) % 12] == row.label
    assert row.note == f"{row.label}{row.midi // 12 - 1}"


def test_instruments_and_classes():
    assert NOTES.classes == NOTE_NAMES and set(NOTES.frame.label) == set(NOTE_NAMES)
    assert NOTES.frame.groupby("group").size().min() >= 4 and NOTES.frame.group.nunique() == 8
    assert (NOTES.labels() == (NOTES.frame.midi - 69) % 12).all()
    assert NOTES.frame.midi.between(57, 80).all()


def test_batches():
    audio, label = next(iter(NOTES.to_tf(batch=47)))
    assert audio.shape == (47, 16000, 1)
    np.testing.assert_array_equal(label, NOTES.labels())


def test_licence_and_credit():
    assert set(NOTES.frame.licence) == {"MIT"} and (NOTES.frame.holder != "").all()
    text = (MINI / "licences" / "MIT-fluid-soundfont.txt").read_text("utf-8")
    assert "Frank Wen" in text and "Permission is hereby granted" in text
    credits = (MINI / "licences" / "README.md").read_text("utf-8")
    (package,) = set(NOTES.frame.package)
    assert f"| {package} |" in credits
    (version,) = set(NOTES.frame.package_version)
    assert version in credits


def test_missing_table(tmp_path, monkeypatch):
    (tmp_path / "mini").mkdir()
    monkeypatch.setenv("DL4MIR_DATA", str(tmp_path))
    with pytest.raises(DataNotFoundError, match=r"notes\.csv"):
        load("mini/notes")
