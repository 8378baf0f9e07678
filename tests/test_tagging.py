"""Tags of whole files, and tags in files."""

import stat
import sys
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile
from mutagen.id3 import APIC, COMM, ID3, TDRC, TIT2, TPE1, TXXX, TYER
from mutagen.mp3 import MP3

from dl4mir_utils import AudioDecodeError, BadArgumentError, decoding
from dl4mir_utils.apps import tag
from dl4mir_utils.file_tags import read_tags

RATE = 16000


BEYOND = 256  # samples, mirrored at either end


@pytest.fixture
def windows_heard(monkeypatch):
    """The windows that were heard; the "tagger" has one tag, the mean square of its window."""
    heard = []

    def tagger(signature, audio):
        assert signature == "window" and audio.shape == (1, 48128, 1) and audio.dtype == np.float32
        heard.append(audio[0, :, 0].copy())
        return {"tags": np.mean(audio**2, axis=(1, 2), dtype=np.float32)[np.newaxis]}

    tagger.card = {"sample_rate_hz": RATE, "window_samples": 48128}
    monkeypatch.setattr(tag, "network", lambda name, threads: tagger)
    return heard


@pytest.mark.parametrize("sizes", [(1000,), (3, 1, 257), (10**6,), (60, 61, 59)])
@pytest.mark.parametrize("samples", [1, 2, 255, 256, 257, 300, 488, 489, 900, 988, 989, 1489, 1500, 5000, 5488, 5489])
def test_windows_are_those_of_the_mirrored_whole(samples, sizes):
    length, hop = 1000, 500
    audio = np.random.default_rng(samples).uniform(-1, 1, samples).astype(np.float32)
    edges = [edge for edge in np.cumsum(sizes * samples)[: samples + 1] if edge < samples]
    found = list(tag.windows(np.split(audio, edges), length, hop))
    mirrored = np.pad(audio, BEYOND, mode="reflect")
    mirrored = np.pad(mirrored, (0, max(0, length - len(mirrored))))
    wanted = [mirrored[start : start + length] for start in range(0, len(mirrored) - length + 1, hop)]
    np.testing.assert_array_equal(found, wanted)


def test_without_audio_there_is_no_window():
    assert list(tag.windows([], 1000, 500)) == []


def test_file_tags_are_the_mean_over_windows_of_any_number_of_blocks(tmp_path, monkeypatch, windows_heard):
    rng = np.random.default_rng(0)
    audio = rng.uniform(-1, 1, 20 * RATE) * np.repeat(np.linspace(0.1, 1, 20), RATE)
    soundfile.write(tmp_path / "song.wav", audio, RATE, "FLOAT")
    whole = tag.file_tags(tmp_path / "song.wav", "stub")
    assert whole.shape == (1,) and whole.dtype == np.float32
    # Six windows of 3 s; the last 2 s are not heard.
    assert len(windows_heard) == 6 and whole[0] == pytest.approx(np.mean(audio[: 18 * RATE] ** 2), rel=0.005)
    once = list(windows_heard)
    windows_heard.clear()
    monkeypatch.setattr(decoding, "BLOCK_SAMPLES", 7001)
    np.testing.assert_array_equal(tag.file_tags(tmp_path / "song.wav", "stub"), whole)
    np.testing.assert_array_equal(windows_heard, once)
    # At another rate it goes through the resampler, block by block as in one piece.
    soundfile.write(tmp_path / "song.wav", audio, 44100, "FLOAT")
    found = tag.file_tags(tmp_path / "song.wav", "stub")
    monkeypatch.setattr(decoding, "BLOCK_SAMPLES", 2**20)
    np.testing.assert_allclose(found, tag.file_tags(tmp_path / "song.wav", "stub"), atol=1e-6)


@pytest.mark.parametrize("samples", [1, 700, 3 * RATE - 1, 3 * RATE])
def test_short_files_get_silence_added(tmp_path, windows_heard, samples):
    soundfile.write(tmp_path / "short.wav", np.full(samples, 0.5), RATE, "FLOAT")
    given = tag.file_tags(tmp_path / "short.wav", "stub")
    # A window is 3.008 s long; 16 ms are mirrored at both ends of the file.
    assert given[0] == pytest.approx(0.25 * min(samples + 512, 48128) / 48128, rel=1e-3)


def test_what_cannot_be_tagged(tmp_path, windows_heard):
    with pytest.raises(AudioDecodeError, match="does not exist"):
        tag.file_tags(tmp_path / "none.wav", "stub")
    for name, level, said in [("silence.wav", 0.0, "only silence"), ("nan.wav", np.nan, "finite")]:
        soundfile.write(tmp_path / name, np.full(RATE, level), RATE, "FLOAT")
        with pytest.raises(BadArgumentError, match=said):
            tag.file_tags(tmp_path / name, "stub")
    soundfile.write(tmp_path / "tiny.wav", np.ones(1), 192_000)  # nothing is left of it at 16 kHz
    with pytest.raises(AudioDecodeError, match="holds no sound"):
        tag.file_tags(tmp_path / "tiny.wav", "stub")


def write_sound(path):
    seconds = np.arange(2 * 44100) / 44100
    soundfile.write(path, np.column_stack([np.sin(440 * seconds), np.sin(6000 * seconds)]) * 0.5, 44100)


def frames():
    """Return frames as programs write them: two values, a picture, a text that is not Latin, another TXXX."""
    return [
        TIT2(encoding=1, text=["Ночь"]),
        TPE1(encoding=0, text=["One", "Two"]),
        TXXX(encoding=0, desc="MOOD", text=["calm"]),
        COMM(encoding=0, lang="eng", desc="", text=["a comment"]),
        APIC(encoding=0, mime="image/png", type=3, desc="cover", data=b"\x89PNG" * 1000),
    ]


V1 = b"TAG" + b"Old title".ljust(30, b"\0") + b"An artist".ljust(30, b"\0") + b"\0" * 64 + b"\x08"


def write_tagged(path, kind):
    """Write a sound file with the tags of a kind."""
    write_sound(path)
    if kind.startswith(("vorbis", "opus", "flac")):
        sound = mutagen.File(path)
        sound["TITLE"], sound["genre"], sound["COMMENT"] = ["Ночь"], ["Rock", "Pop"], ["first", "second"]
        sound.save()
    elif kind in ("wav", "aiff"):
        sound = mutagen.File(path)
        sound.add_tags()
        for frame in frames():
            sound.tags.add(frame)
        sound.save()
    elif kind.startswith("mp3 2"):
        tags = ID3()
        for frame in [*frames(), TYER(encoding=0, text=["1999"]) if kind == "mp3 2.3" else TDRC(text=["1999-05"])]:
            tags.add(frame)
        tags.save(path, v2_version=int(kind[-1]), v23_sep=None)
    if kind in ("mp3 2.3", "mp3 v1"):
        with path.open("ab") as file:
            file.write(V1)


def tags_of(path):
    """Return all tags, as they are in the file, but for our field."""
    sound = mutagen.File(path)
    if isinstance(sound, MP3):
        try:
            tags = ID3(path, translate=False, load_v1=False)
        except mutagen.id3.ID3NoHeaderError:
            return [], None, None
    elif isinstance(sound.tags, ID3):
        tags = type(sound)(path, translate=False).tags
    else:
        tags = sound.tags or []
    if isinstance(tags, ID3):
        ours = tags.pop(f"TXXX:{tag.FIELD}", None)
        return sorted(map(repr, tags.values())), tags.version, ours and list(ours.text)
    ours = [value for key, value in tags if key == tag.FIELD]
    return [pair for pair in tags if pair[0] != tag.FIELD], getattr(tags, "vendor", None), ours or None


KINDS = [
    *[("a.mp3", kind) for kind in ("mp3 2.3", "mp3 2.4", "mp3 v1", "mp3 without")],
    *[("a.wav", kind) for kind in ("wav", "wav without")],
    *[("a.aiff", kind) for kind in ("aiff", "aiff without")],
    *[("a.flac", kind) for kind in ("flac", "without")],
    *[("a.ogg", "vorbis"), ("a.ogg", "without"), ("a.opus", "opus")],
]


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_tags_are_written_and_nothing_else_changes(tmp_path, name, kind):
    path = tmp_path / name
    if name == "a.opus":
        soundfile.write(path, np.zeros((48000, 2)), 48000, format="OGG", subtype="OPUS")
    write_tagged(path, kind) if name != "a.opus" else None
    path.chmod(0o640)
    before, sound = path.read_bytes(), soundfile.read(path)
    others, version, ours = tags_of(path)
    assert ours is None and (len(others) >= 3 or "without" in kind or kind in ("mp3 v1", "opus"))
    for tags in (["guitar", "no vocals", "slow"], ["techno"]):
        tag.write_tags(path, tags)
        np.testing.assert_array_equal(soundfile.read(path)[0], sound[0])
        now, version_now, ours = tags_of(path)
        assert ours == ["; ".join(tags)] and now == others
        assert version_now == version or version is None
        assert [path.name for path in tmp_path.iterdir()] == [name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640 or sys.platform == "win32"
    after = path.read_bytes()
    if name == "a.mp3":  # byte by byte: all that is no ID3v2, the old ID3v1 tag included
        size = ID3(path, load_v1=False).size
        assert before.endswith(after[size:]) and len(after[size:]) >= len(before) - 20000
        assert after.endswith(V1) == before.endswith(V1) == (kind in ("mp3 2.3", "mp3 v1"))
    if name in ("a.wav", "a.flac"):  # the samples are in one piece there, too
        assert after.count(before[-3000:] if name == "a.flac" else before[60:9000]) == 1


@pytest.mark.parametrize(("name", "kind"), [pair for pair in KINDS if pair[1] != "opus"])
def test_a_genre_is_written_where_there_is_none(tmp_path, name, kind):
    path = tmp_path / name
    write_tagged(path, kind)
    sound, (others, version, _) = soundfile.read(path), tags_of(path)
    found = read_tags(path).genres
    assert found == {"mp3 v1": ("Jazz",), "flac": ("Rock", "Pop"), "vorbis": ("Rock", "Pop")}.get(kind, found)
    before = path.read_bytes()
    given = tag.write_genre(path, "Bossa Nova Ω")
    assert given == (found[0] if found else "") and (path.read_bytes() == before) == bool(found)
    for genre in ("Bossa Nova Ω", "Ska"):
        tag.write_genre(path, genre, replace=True)
        assert read_tags(path).genres == (genre,)
    assert tag.write_genre(path, "Ska", replace=True) == "Ska"
    np.testing.assert_array_equal(soundfile.read(path)[0], sound[0])
    now, version_now, _ = tags_of(path)
    kept = [other for other in others if "genre" not in str(other).lower() and "TCON" not in str(other)]
    assert kept == [one for one in now if "genre" not in str(one).lower() and "TCON" not in str(one)]
    assert version_now == version or version is None
    assert path.read_bytes().endswith(V1) == before.endswith(V1)


def test_genres_beside_damaged_tags_are_not_written(tmp_path):
    path = tmp_path / "song.mp3"
    write_tagged(path, "mp3 2.3")
    content = bytearray(path.read_bytes())
    content[3] = 9  # a version that there is not
    path.write_bytes(content)
    assert tag.write_genre(path, "Ska") == "Jazz"  # from the ID3v1 tag at the end
    with pytest.raises(BadArgumentError, match="tags cannot be written"):
        tag.write_genre(path, "Ska", replace=True)
    assert path.read_bytes() == content


def test_a_link_stays_a_link(tmp_path):
    write_sound(tmp_path / "song.flac")
    (tmp_path / "link.flac").symlink_to("song.flac")
    tag.write_tags(tmp_path / "link.flac", ["rock"])
    assert (tmp_path / "link.flac").is_symlink() and tags_of(tmp_path / "song.flac")[2] == ["rock"]


def refuse(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("where", "what", "said"),
    [
        ("dl4mir_utils.apps.tag._same_samples", lambda *_: False, "would not sound the same"),
        ("dl4mir_utils.apps.tag._add_field", refuse, "No space left on device"),
        ("pathlib.Path.replace", refuse, "No space left on device"),
        ("tempfile.mkstemp", refuse, "No space left on device"),
        ("shutil.copy2", refuse, "No space left on device"),
    ],
)
def test_a_failure_leaves_the_file_as_it_was(tmp_path, monkeypatch, where, what, said):
    path = tmp_path / "song.mp3"
    write_tagged(path, "mp3 2.3")
    before = path.read_bytes()
    monkeypatch.setattr(where, what if "mkstemp" not in where and "copy2" not in where else lambda *_, **__: refuse())
    with pytest.raises(BadArgumentError, match=said):
        tag.write_tags(path, ["rock"])
    assert path.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["song.mp3"]


def test_files_that_sound_different_are_told_apart(tmp_path):
    audio = np.random.default_rng(0).uniform(-1, 1, 2 * tag.COMPARED + 5)
    paths = [tmp_path / f"{number}.wav" for number in range(4)]
    changed = audio.copy()
    changed[-1] += 0.01
    for path, samples in zip(paths, (audio, audio, changed, audio[:-5]), strict=True):
        soundfile.write(path, samples, RATE, "FLOAT")
    assert [tag._same_samples(paths[0], path) for path in paths] == [True, True, False, False]
    assert not tag._same_samples(paths[3], paths[0])


def test_files_without_a_place_for_tags_are_refused(tmp_path):
    path = tmp_path / "song.au"
    write_sound(path)
    before = path.read_bytes()
    with pytest.raises(BadArgumentError, match="not MP3, Ogg, FLAC, WAV or AIFF"):
        tag.write_tags(path, ["rock"])
    with pytest.raises(BadArgumentError, match="No such file"):
        tag.write_tags(Path(tmp_path / "none.mp3"), ["rock"])
    assert path.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["song.au"]


def test_old_tags_that_would_change_are_refused(tmp_path):
    path = tmp_path / "song.flac"
    write_sound(path)
    sound = mutagen.File(path)
    sound["TITLE"] = ["Café"]
    sound.save()
    path.write_bytes(path.read_bytes().replace("Café".encode(), b"Caf\xe9!"))  # Latin-1, as some old programs wrote
    before = path.read_bytes()
    with pytest.raises(BadArgumentError, match="UTF-8"):
        tag.write_tags(path, ["rock"])
    assert path.read_bytes() == before
