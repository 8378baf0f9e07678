"""One's own file: by path, through the button of either ipywidgets, and without one."""

import io

import numpy as np
import pytest
import soundfile

from dl4mir_utils import AudioDecodeError
from dl4mir_utils.data import own_file

TONE = (0.5 * np.sin(np.arange(3 * 8000) / 5)).astype(np.float32)


@pytest.fixture
def wav():
    buffer = io.BytesIO()
    soundfile.write(buffer, TONE, 8000, format="WAV", subtype="FLOAT")
    return buffer.getvalue()


def test_by_path(tmp_path, wav):
    (tmp_path / "my song.wav").write_bytes(wav)
    mine = own_file(str(tmp_path / "my song.wav"))
    assert mine.name == "my song.wav"
    np.testing.assert_allclose(mine.audio(8000), TONE)
    np.testing.assert_allclose(mine.audio(8000, start_s=1, seconds=1), TONE[8000:16000])
    assert len(mine.audio(16000)) == 48000, "60 s are asked for, 3 s are there"
    assert "my song.wav" in mine._repr_mimebundle_()["text/plain"]


def test_nothing_chosen_says_what_to_do(capsys):
    mine = own_file()
    bundle = mine._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle and "Open this notebook" in bundle["text/html"]
    assert mine.audio() is None
    assert "choose one with the button" in capsys.readouterr().out


@pytest.mark.parametrize(
    "value",
    [
        lambda content: {"a.wav": {"metadata": {}, "content": content}},
        lambda content: ({"name": "a.wav", "type": "audio/wav", "size": 1, "content": memoryview(content)},),
    ],
    ids=["ipywidgets 7", "ipywidgets 8"],
)
def test_through_the_button(value, wav):
    mine = own_file()

    class Upload:
        pass

    mine._upload = Upload()
    mine._upload.value = value(wav)
    assert mine.name == "a.wav"
    np.testing.assert_allclose(mine.audio(8000), TONE)


def test_what_cannot_be_read_is_named(tmp_path, wav):
    with pytest.raises(AudioDecodeError, match=r"gone\.wav: the file does not exist"):
        own_file(str(tmp_path / "gone.wav")).audio()
    (tmp_path / "song.m4a").write_bytes(b"no sound")
    with pytest.raises(AudioDecodeError, match="not a sound file, or damaged, or in a format other than"):
        own_file(str(tmp_path / "song.m4a")).audio()
    (tmp_path / "short.wav").write_bytes(wav)
    with pytest.raises(AudioDecodeError, match=r"from 5\.000 s on"):
        own_file(str(tmp_path / "short.wav")).audio(start_s=5)
