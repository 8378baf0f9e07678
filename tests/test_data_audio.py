import numpy as np
import pytest
import soundfile

from dl4mir_utils import AudioDecodeError
from dl4mir_utils.data.audio import AudioCache, Clip


def tone(seconds, rate, hz=440.0, level=0.5):
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype("float32")


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
