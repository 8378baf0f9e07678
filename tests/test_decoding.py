"""Decoding: every format, any part, any length, with what is installed."""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from dl4mir_utils import AudioDecodeError, decoding
from dl4mir_utils.decoding import audio_blocks, file_duration, load_audio, load_excerpts

# Stands in for ffmpeg where there is none: answers the one command that is asked of it, with PyAV.
STAND_IN = """#!{python}
import struct, sys
import av
import numpy as np
assert sys.argv[-9:] == "-map 0:a:0 -map_metadata -1 -f au -c:a pcm_f32be -".split(), sys.argv
source = sys.argv[sys.argv.index("-i") + 1]
assert source.startswith("file:")
with av.open(source) as container:
    if not container.streams.audio:
        sys.exit("Stream map '0:a:0' matches no streams.")
    out = sys.stdout.buffer
    for number, frame in enumerate(container.decode(audio=0)):
        samples = frame.to_ndarray()
        if number == 0:
            out.write(b".snd" + struct.pack(">5I", 32, 0xFFFFFFFF, 6, frame.sample_rate, len(samples)) + bytes(8))
        out.write(samples.T.astype(">f4").tobytes())
"""


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
    monkeypatch.setattr(decoding, "BLOCK_SAMPLES", 4097)
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


def noise(seconds, rate, channels=2):
    return np.random.default_rng(1).uniform(-0.5, 0.5, (round(seconds * rate), channels)).astype(np.float32)


def write_m4a(path, sound, rate, layout="stereo"):
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=rate, layout=layout)
        for start in range(0, len(sound), 1024):
            block = np.ascontiguousarray(sound[start : start + 1024].reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(block, "flt", layout)
            frame.sample_rate, frame.pts = rate, start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def reason(path, use=file_duration):
    with pytest.raises(AudioDecodeError) as caught:
        use(path)
    assert list(caught.value.failures) == [str(path)]
    return caught.value.failures[str(path)]


@pytest.fixture
def ffmpeg_alone(tmp_path, monkeypatch):
    """Return a function after which there is no PyAV, and a program ffmpeg on the path."""
    if os.name == "nt":
        pytest.skip("a script is no program on Windows")

    def switch():
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "ffmpeg").write_text(STAND_IN.format(python=sys.executable))
        (folder / "ffmpeg").chmod(0o755)
        monkeypatch.setitem(sys.modules, "av", None)
        monkeypatch.setenv("PATH", str(folder))

    return switch


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("ending", ["wav", "flac", "mp3", "ogg", "m4a"])
def test_blocks_and_excerpts_are_what_load_audio_returns(tmp_path, monkeypatch, ending, rate):
    path = tmp_path / f"a.{ending}"
    if ending == "m4a":
        write_m4a(path, noise(7, rate), rate)
    else:
        soundfile.write(path, noise(7, rate), rate)
    whole = load_audio(path)
    starts_s = [3.0, 0.0, 3.25, 3.0, 6.4, 1.0]
    parts = load_excerpts(path, 16000, starts_s, 0.5)
    assert parts.dtype == np.float32 and parts.shape == (6, 8000)
    for start_s, part in zip(starts_s, parts, strict=True):
        want = load_audio(path, 16000, start_s, 0.5)
        np.testing.assert_allclose(part, want, rtol=0, atol=1e-6 if ending == "mp3" else 0)
    monkeypatch.setattr(decoding, "BLOCK_S", 0.5)
    blocks = list(audio_blocks(path))
    assert len(blocks) > 10 and all(block.dtype == np.float32 and 0 < len(block) < 16000 for block in blocks)
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert load_excerpts(path, 16000, [], 0.5).shape == (0, 8000)


def test_blocks_of_what_cannot_be_read_name_the_file(tmp_path):
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    assert "at least one sample" in reason(tmp_path / "empty.wav", lambda path: list(audio_blocks(path)))
    assert "does not exist" in reason(tmp_path / "no.wav", lambda path: list(audio_blocks(path)))
    soundfile.write(tmp_path / "short.wav", np.zeros(16000), 16000)
    assert "from 0.800 s on" in reason(tmp_path / "short.wav", lambda path: load_excerpts(path, 16000, [0.0, 0.8], 0.5))


@pytest.mark.parametrize("channels", [1, 2, 3, 9])
def test_mean_of_the_channels(tmp_path, channels):
    sound = noise(0.1, 16000, channels)
    soundfile.write(tmp_path / "a.wav", sound, 16000, subtype="FLOAT")
    np.testing.assert_array_equal(load_audio(tmp_path / "a.wav"), sound.mean(axis=1))


def test_no_numbers_are_left_to_the_caller(tmp_path):
    sound = np.zeros(100, np.float32)
    sound[10:12] = np.nan, np.inf
    soundfile.write(tmp_path / "a.wav", sound, 16000, subtype="FLOAT")
    audio = load_audio(tmp_path / "a.wav")
    assert np.isnan(audio[10]) and audio[11] == 1


@pytest.mark.parametrize("rate", [0, 1, 999, 768_001, 10**9, 2**31])
def test_absurd_rates_are_refused(tmp_path, rate):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(0.1, 16000), 16000)
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", rate)
    path.write_bytes(content)
    for use in (file_duration, load_audio, lambda path: next(audio_blocks(path))):
        assert "damaged" in reason(path, use)


def test_the_content_decides_not_the_name(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(1, 16000), 16000)
    for name in ("a.mp3", "a.raw", "a"):
        shutil.copy(tmp_path / "a.wav", tmp_path / name)
        if name != "a.raw" or decoding.has_pyav():  # soundfile leaves what is named .raw to others
            assert file_duration(tmp_path / name) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
@pytest.mark.parametrize("ending", [b"wav", b"m4a"])
def test_a_name_that_is_no_text(tmp_path, ending):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcnchen." + ending))
    sound = noise(1, 16000)
    write_m4a(tmp_path / "a.m4a", sound, 16000)
    soundfile.write(tmp_path / "a.wav", sound, 16000)
    shutil.copy(tmp_path / f"a.{ending.decode()}", path)
    assert file_duration(path) == pytest.approx(1, abs=0.1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="other systems have no such files")
def test_nobody_waits_for_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    assert "pipe" in reason(tmp_path / "a.wav")


def test_flac_out_of_a_pipe_has_no_length_in_its_header(tmp_path):
    pytest.importorskip("av")
    path = tmp_path / "a.flac"
    sound = noise(2, 16000)
    soundfile.write(path, sound, 16000)
    want = load_audio(path)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert file_duration(path) == 2
    np.testing.assert_array_equal(load_audio(path), want)


def test_a_minute_of_m4a_through_pyav_and_through_ffmpeg(tmp_path, monkeypatch, ffmpeg_alone):
    path = tmp_path / "-a minute.m4a"
    sound = np.stack([tone(60, 22050), tone(60, 22050, 880)], axis=1)
    write_m4a(path, sound, 22050)
    monkeypatch.chdir(tmp_path)
    path = Path(path.name)
    duration_s, audio = file_duration(path), load_audio(path)
    parts = load_excerpts(path, 16000, [50, 10, 10.1], 1)
    assert duration_s == pytest.approx(60, abs=0.05) and len(audio) == pytest.approx(16000 * duration_s, abs=1)
    want = soxr.resample(sound.mean(axis=1), 22050, 16000)
    assert np.abs(audio[8000:900000] - want[8000:900000]).max() < 0.05
    if real := shutil.which("ffmpeg"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "av", None)
            found = load_audio(path)
            # Versions of FFmpeg differ in how much of the last block they keep.
            assert len(found) == pytest.approx(len(audio), abs=1600), real
            assert np.abs(found[:-3200] - audio[: len(found) - 3200]).max() < 1e-3
    ffmpeg_alone()
    assert file_duration(path) == duration_s
    np.testing.assert_array_equal(load_audio(path), audio)
    np.testing.assert_array_equal(load_excerpts(path, 16000, [50, 10, 10.1], 1), parts)


def test_without_both_one_line_names_both(tmp_path, monkeypatch):
    write_m4a(tmp_path / "a.m4a", noise(1, 16000), 16000)
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setenv("PATH", "")
    for use in (file_duration, load_audio, lambda path: next(audio_blocks(path))):
        text = reason(tmp_path / "a.m4a", use)
        assert 'pip install "dl4mir_utils[formats]"' in text and "ffmpeg" in text and "\n" not in text


def test_the_program_is_ended_with_its_reader(tmp_path, monkeypatch, ffmpeg_alone):
    write_m4a(tmp_path / "a.m4a", noise(30, 16000), 16000)
    started = []
    popen = subprocess.Popen

    def start(*given, **more):
        started.append(popen(*given, **more))
        return started[-1]

    ffmpeg_alone()
    monkeypatch.setattr(decoding.subprocess, "Popen", start)
    blocks = audio_blocks(tmp_path / "a.m4a")
    next(blocks)
    blocks.close()
    assert len(started) == 1 and started[0].returncode is not None


def test_a_film_without_sound_and_a_text(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        file.mux([*stream.encode(av.VideoFrame(64, 64, "yuv420p")), *stream.encode(None)])
    (tmp_path / "a.txt").write_text("some text " * 1000)
    soundfile.write(tmp_path / "a.wav", noise(1, 16000), 16000)
    # A list of other files is no sound, even where FFmpeg could follow it.
    (tmp_path / "a.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.wav\n#EXT-X-ENDLIST\n")
    assert reason(tmp_path / "a.mp4") == "holds no sound"
    for name in ("a.txt", "a.m3u8"):
        assert reason(tmp_path / name).startswith("not a sound file")


def test_eight_channels_of_aac(tmp_path):
    sound = np.repeat(tone(1, 48000)[:, np.newaxis], 8, axis=1)
    write_m4a(tmp_path / "a.m4a", sound, 48000, "7.1")
    audio = load_audio(tmp_path / "a.m4a", 48000)
    assert len(audio) == pytest.approx(48000, abs=1024)
    # The eighth, for low tones alone, may lack this one.
    assert np.corrcoef(audio[4800:43200], sound[4800:43200, 0])[0, 1] > 0.99


LONG = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[2])
from test_mutated_files import peak_mib
from dl4mir_utils.decoding import audio_blocks, file_duration

hours = file_duration(sys.argv[1]) / 3600
samples, clicks, longest = 0, 0, 0
for block in audio_blocks(sys.argv[1]):
    loud = np.flatnonzero(block > 0.4) + samples
    assert (loud % 16000 == 8000).all(), loud
    clicks += len(loud)
    samples += len(block)
    longest = max(longest, len(block))
print(hours, samples, clicks, longest / 16000, peak_mib())
"""


@pytest.mark.parametrize("rate", [8000, 16000])
def test_ten_hours_in_bounded_memory(tmp_path, rate):
    minute = np.full(60 * rate, 0, np.int16)
    minute[rate // 2 :: rate] = 2**14
    with soundfile.SoundFile(tmp_path / "long.wav", "w", rate, 1, "PCM_U8") as file:
        for _ in range(600):
            file.write(minute)
    run = subprocess.run(
        [sys.executable, "-c", LONG, str(tmp_path / "long.wav"), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(decoding.__file__).parent.parent,
    )
    hours, samples, clicks, longest_s, peak_mib = map(float, run.stdout.split())
    assert hours == 10 and samples == 36000 * 16000 and clicks == 36000
    assert longest_s < 20 and peak_mib < 350
