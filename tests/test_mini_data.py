"""data/mini is what data/README.md says: real, free, labelled with evidence, whole, and split without leaks."""

import hashlib
import importlib.util
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from dl4mir_utils.data import load
from dl4mir_utils.data.loaders.magnatagatune import TOP_50
from dl4mir_utils.models import MTT_TAGS, musicnn, taggram

ROOT = Path(__file__).resolve().parent.parent
MINI = ROOT / "data" / "mini"
CLIPS = pd.read_csv(MINI / "clips.csv", keep_default_na=False).set_index("clip_id")
GENRE = CLIPS[CLIPS.genre != ""]
ALBUM = CLIPS[CLIPS.album_fold_track != ""]
TAGS = load("mini/tags")


@pytest.fixture(scope="module")
def sound() -> dict[str, np.ndarray]:
    decoded = {}
    for clip_id, file in CLIPS.file.items():
        decoded[clip_id], rate = soundfile.read(MINI / file, dtype="float32")
        assert rate == 16000, clip_id
    return decoded


def test_the_table_and_the_folder_agree():
    on_disk = {path.relative_to(MINI).as_posix() for path in (MINI / "clips").iterdir()}
    assert on_disk == set(CLIPS.file)
    assert CLIPS.index.is_unique
    assert 400 <= len(CLIPS) <= 500
    for clip_id, row in CLIPS.iterrows():
        assert hashlib.sha256((MINI / row.file).read_bytes()).hexdigest() == row.sha256, clip_id
    assert sum((MINI / file).stat().st_size for file in CLIPS.file) <= 22e6


def test_every_clip_decodes_to_ten_seconds_that_are_neither_silent_nor_clipped(sound):
    for clip_id, audio in sound.items():
        assert audio.shape == (160000,), clip_id
        assert np.isfinite(audio).all(), clip_id
        assert np.abs(audio).max() < 1, f"{clip_id} is clipped"
        level_db = 10 * np.log10(np.mean(audio**2) + 1e-12)
        assert level_db > -45, f"{clip_id} is silent ({level_db:.0f} dBFS)"


def test_no_clip_is_there_twice(sound):
    """Compare the course of the energy in 50 ms steps: the same recording, even re-encoded, correlates above 0.99."""
    envelopes = np.array([np.log(np.square(a).reshape(200, 800).mean(axis=1) + 1e-6) for a in sound.values()])
    envelopes -= envelopes.mean(axis=1, keepdims=True)
    envelopes /= np.linalg.norm(envelopes, axis=1, keepdims=True)
    alike = np.argwhere(np.triu(envelopes @ envelopes.T, k=1) > 0.99)
    names = list(sound)
    assert not len(alike), [(names[a], names[b]) for a, b in alike]


def test_labels_rest_on_evidence_and_none_on_weak_evidence():
    assert set(GENRE.genre) == {"metal", "electronic", "orchestral"}
    assert set(GENRE.strength) == {"A", "B"}
    assert (GENRE.evidence.str.len() > 20).all()
    assert ALBUM.album.nunique() == 12
    modules = CLIPS.source.str.lower().str.endswith((".xm", ".it", ".mod", ".s3m"))
    assert (modules == CLIPS.tracker.astype(bool)).all(), "the tracker label is the file format, nothing else"


@pytest.mark.parametrize("keep_together", ["group", "artist", "track", "package_album"])
def test_nothing_crosses_the_artist_folds(keep_together):
    genre = GENRE.assign(package_album=np.where(GENRE.album == "", GENRE.index, GENRE.package + GENRE.album))
    assert (genre.groupby(keep_together).fold_artist.nunique() == 1).all()


def test_tracks_do_not_cross_the_track_folds():
    assert (GENRE.groupby("track").fold_track.nunique() == 1).all()
    assert (ALBUM.groupby("track").album_fold_track.nunique() == 1).all()
    # The clip folds are there to show the leak: they must tear tracks apart, or they would show nothing.
    assert (GENRE.groupby("track").fold_clip.nunique() > 1).sum() > 30


@pytest.mark.parametrize("column", ["fold_artist", "fold_track", "fold_clip"])
def test_every_fold_tests_every_class(column):
    counts = GENRE.groupby(["genre", column]).size().unstack(fill_value=0)
    assert counts.shape == (3, 4)
    assert (counts > 0).all(axis=None)


def test_licences_are_free_and_their_texts_and_credits_are_here():
    free = {"CC-BY-3.0", "CC-BY-SA-3.0", "BSD-2-Clause", "MIT", "Zlib"}
    free |= {"GPL-2.0-or-later", "GPL-2.0-only", "GPL-3.0-only"}
    texts = [path.name for path in (MINI / "licences").iterdir()]
    credits = (MINI / "licences" / "README.md").read_text(encoding="utf-8")
    for licence in {part for expression in CLIPS.licence for part in expression.split(" OR ")}:
        assert licence in free
        assert any(name.startswith(licence) for name in texts), f"no text of {licence}"
    assert (CLIPS.holder != "").all()
    for package in set(CLIPS.package):
        assert f"| {package} |" in credits, f"{package} is not credited"


def test_the_encoder_gives_the_same_bytes_twice():
    spec = importlib.util.spec_from_file_location("build_mini", ROOT / "tools" / "recipes" / "build_mini.py")
    build_mini = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build_mini)
    tone = 0.5 * np.sin(np.arange(160000) * 0.1).astype(np.float32)
    first, second = (build_mini.encode_clip(tone, "tone") for _ in range(2))
    assert first == second
    assert first[14:18] == zlib.crc32(b"tone").to_bytes(4, "little")


def test_the_clip_table_follows_from_the_track_table():
    tracks = pd.read_csv(ROOT / "tools" / "recipes" / "mini_tracks.csv", keep_default_na=False).set_index("track")
    versions = pd.read_csv(ROOT / "tools" / "recipes" / "mini_packages.csv").set_index("package").version
    assert set(CLIPS.track) == set(tracks.index)
    for clip_id, row in CLIPS.iterrows():
        track = tracks.loc[row.track]
        assert row.package_version == versions[row.package], clip_id
        assert float(track.starts.split()[int(clip_id.rsplit("_", 1)[1])]) == row.start_s, clip_id
        for column in ["title", "artist", "group", "album", "genre", "evidence", "licence", "holder"]:
            assert track[column] == row[column], (clip_id, column)


def test_soft_tags_come_as_those_of_magnatagatune_do():
    assert TAGS.classes == TOP_50 and TAGS.frame.index.tolist() == sorted(CLIPS.index)
    soft = TAGS.labels()
    assert soft.shape == (468, 50) and soft.dtype == np.float32
    assert soft.min() >= 0 and soft.max() <= 1
    for names, row in zip(TAGS.frame["label"], soft, strict=True):
        assert names == tuple(name for name, given in zip(TOP_50, row > 0.2, strict=True) if given)
    audio, label = next(iter(TAGS.to_tf("valid", seconds=1, batch=3)))
    assert audio.shape == (3, 16000, 1) and label.dtype == "float32"
    np.testing.assert_array_equal(label, TAGS.labels("valid")[:3])
    windows = TAGS.windows("valid", seconds=3)
    assert windows["label"].tolist()[::3] == TAGS.frame.query("split == 'valid'")["label"].tolist()
    assert TAGS.summary().loc["techno", "clips"] == sum("techno" in names for names in TAGS.frame["label"])
    assert TAGS.split().frame["split"].equals(TAGS.frame["split"])


def test_the_split_of_the_tags_keeps_artists_apart_and_gives_every_part_its_share():
    assert (TAGS.frame.groupby("group")["split"].nunique() == 1).all()
    assert TAGS.frame["group"].equals(CLIPS.loc[TAGS.frame.index, "group"])
    for part, share in (("train", 0.55), ("valid", 0.15), ("test", 0.3)):
        assert abs((TAGS.frame["split"] == part).mean() - share) < 0.06
        assert TAGS.frame.query("split == @part")["group"].nunique() >= 3
    given = {part: (TAGS.labels(part) > 0.2).sum(axis=0) for part in ("train", "test")}
    assert ((given["train"] >= 10) & (given["test"] >= 10)).sum() == 14


@pytest.mark.parametrize("clip_id", ["0ad_01_0", "muldjord_02_1"])
def test_the_tags_are_what_musicnn_says(clip_id):
    said = taggram(TAGS.audio(clip_id), musicnn("mtt")).mean(axis=0)
    stored = pd.Series(TAGS.frame.loc[clip_id, "soft"], TOP_50)
    np.testing.assert_allclose(stored[list(MTT_TAGS)], said, atol=2e-4)
