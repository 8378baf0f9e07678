import numpy as np
import pytest
import soundfile
import soxr

from dl4mir_utils import AudioDecodeError, decoding
from dl4mir_utils.data import load_audio
from dl4mir_utils.data.audio import AudioCache, Clip
from dl4mir_utils.decoding import file_duration


def tone(seconds, rate, hz=440.0, level=0.5):
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype("float32")


@pytest.mark.parametrize(
    ("file", "subtype", "tolerance"),
    [
        ("a.wav", "PCM_16", 1e-4),
        ("a.flac", "PCM_16", 1e-4),
        ("a.ogg", "VORBIS", 0.1),
        ("a.ogg", "OPUS", 0.1),
        ("a.mp3", None, 0.1),
    ],
)
def test_formats(tmp_path, file, subtype, tolerance):
    sound = tone(2, 16000)
    soundfile.write(tmp_path / file, sound, 16000, subtype=subtype)
    audio = load_audio(tmp_path / file, duration_s=2)
    assert audio.dtype == np.float32
    assert audio.shape == (32000,)
    assert np.sqrt(np.mean((audio - sound)[2000:-2000] ** 2)) < tolerance


def test_mixdown_and_resampling(tmp_path):
    stereo = np.stack([tone(1, 44100), 3 * tone(1, 44100, level=0.1)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 44100, subtype="FLOAT")
    audio = load_audio(tmp_path / "a.wav", sample_rate=16000, duration_s=1)
    np.testing.assert_allclose(audio[500:-500], tone(1, 16000, level=0.4)[500:-500], atol=1e-3)


@pytest.mark.parametrize("file", ["a.wav", "a.mp3"])
def test_reading_in_blocks_changes_nothing(tmp_path, monkeypatch, file):
    stereo = np.random.default_rng(0).uniform(-0.5, 0.5, (100_000, 2))
    soundfile.write(tmp_path / file, stereo, 44100)
    whole, _ = soundfile.read(tmp_path / file, dtype="float32")
    want = soxr.resample(whole.mean(axis=1), 44100, 16000)
    monkeypatch.setattr(decoding, "BLOCK_FRAMES", 4097)
    np.testing.assert_array_equal(load_audio(tmp_path / file), np.clip(want, -1, 1))


def test_start_and_duration(tmp_path):
    sound = np.linspace(-0.9, 0.9, 48000).astype("float32")
    soundfile.write(tmp_path / "a.wav", sound, 16000, subtype="FLOAT")
    np.testing.assert_array_equal(load_audio(tmp_path / "a.wav", start_s=1, duration_s=0.5), sound[16000:24000])
    np.testing.assert_array_equal(load_audio(tmp_path / "a.wav", start_s=2), sound[32000:])


def test_range_is_limited(tmp_path):
    soundfile.write(tmp_path / "a.wav", 3 * tone(1, 16000), 16000, subtype="FLOAT")
    audio = load_audio(tmp_path / "a.wav")
    assert audio.max() == 1.0
    assert audio.min() == -1.0


def test_a_few_missing_milliseconds_are_filled_and_more_are_an_error(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(0.98, 16000), 16000)
    audio = load_audio(tmp_path / "a.wav", duration_s=1)
    assert len(audio) == 16000
    assert not audio[15680:].any()
    with pytest.raises(AudioDecodeError, match=r"holds 0\.980 s from 0\.000 s on, needed 1\.500 s"):
        load_audio(tmp_path / "a.wav", duration_s=1.5)


@pytest.mark.parametrize(("content", "message"), [(None, "does not exist"), (b"", "a.ogg"), (b"noise" * 100, "a.ogg")])
def test_errors_name_the_file(tmp_path, content, message):
    if content is not None:
        (tmp_path / "a.ogg").write_bytes(content)
    with pytest.raises(AudioDecodeError, match=message):
        load_audio(tmp_path / "a.ogg")


def test_duration_is_what_can_be_decoded_not_what_a_header_promises(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.2, 160000)
    sound = np.concatenate([np.zeros(160000), noise]).astype("float32")
    soundfile.write(tmp_path / "a.mp3", sound, 16000, bitrate_mode="VARIABLE", compression_level=0.5)
    whole = (tmp_path / "a.mp3").read_bytes()
    # Without its first frame, which holds the number of frames, the length is guessed from the bit rate of silence.
    (tmp_path / "a.mp3").write_bytes(whole[whole.index(whole[:2], 4) :])
    assert soundfile.info(tmp_path / "a.mp3").duration > 30
    duration_s = file_duration(tmp_path / "a.mp3")
    assert duration_s == pytest.approx(20, abs=0.15)
    assert len(load_audio(tmp_path / "a.mp3", duration_s=duration_s)) == round(duration_s * 16000)
    soundfile.write(tmp_path / "b.wav", sound[:100], 16000)
    assert file_duration(tmp_path / "b.wav") == 100 / 16000
    for content in (b"", b"noise" * 100):
        (tmp_path / "c.ogg").write_bytes(content)
        with pytest.raises(AudioDecodeError, match=r"c\.ogg"):
            file_duration(tmp_path / "c.ogg")
    soundfile.write(tmp_path / "d.wav", sound[:0], 16000)
    with pytest.raises(AudioDecodeError, match="holds no sound"):
        file_duration(tmp_path / "d.wav")


def make_clips(folder, count, seconds=1.0):
    clips = []
    for index in range(count):
        soundfile.write(folder / f"{index}.wav", tone(seconds, 16000, 200 * (index + 1)), 16000)
        clips.append(Clip(f"clip{index}", folder / f"{index}.wav", 0.0, seconds, 16000))
    return clips


def test_cache_keeps_its_bound_and_drops_the_oldest(tmp_path):
    clips = make_clips(tmp_path, 6)
    cache = AudioCache(limit_mib=3.5 * 64000 / 2**20)
    assert cache.fill(clips[:3])
    assert cache.fill(clips[3:5])
    assert cache.used_mib <= cache.limit_mib
    for clip in clips:
        clip.path.unlink()
    assert len(cache.read(clips[4])) == 16000
    assert len(cache.read(clips[2], 100, 50)) == 50
    with pytest.raises(AudioDecodeError, match="clip0"):
        cache.read(clips[0])
    assert not cache.fill(clips)
    cache.clear()
    assert cache.used_mib == 0


def test_cache_names_every_broken_clip(tmp_path):
    clips = make_clips(tmp_path, 5)
    clips[1].path.write_bytes(b"nonsense")
    clips[3].path.unlink()
    with pytest.raises(AudioDecodeError) as caught:
        AudioCache().fill(clips)
    assert list(caught.value.failures) == ["clip1", "clip3"]
    assert "2 clips could not be decoded" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_cached_audio_cannot_be_changed(tmp_path):
    cache = AudioCache()
    clips = make_clips(tmp_path, 1)
    cache.fill(clips)
    with pytest.raises(ValueError, match="read-only"):
        cache.read(clips[0])[0] = 1
