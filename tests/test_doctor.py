"""The machine check: what it finds on a sound machine, and that each thing that can be wrong is told with a remedy."""

import shutil
import sys

import numpy as np
import pytest
import soundfile

from dl4mir_utils import doctor
from dl4mir_utils.doctor import Check, MachineReport

SECTIONS = ["_python", "_packages", "_tensorflow", "_sound_files", "_aac", "_resources", "_widgets", "_data"]


@pytest.fixture
def mini(tmp_path, monkeypatch):
    """A data folder with two clips of half a second, in use."""
    folder = tmp_path / "data" / "mini"
    (folder / "clips").mkdir(parents=True)
    for name in ("a", "b"):
        soundfile.write(folder / "clips" / f"{name}.ogg", doctor._tone(16000), 16000)
    (folder / "clips.csv").write_text("clip_id,file\na,clips/a.ogg\nb,clips/b.ogg\n")
    monkeypatch.setenv("DL4MIR_DATA", str(tmp_path / "data"))
    return folder


def only(section):
    """The one line of a section."""
    (check,) = list(section())
    return check


def failed(section):
    checks = [check for check in section() if check.status == "FAIL"]
    assert checks and all(check.remedy for check in checks)
    return " ".join(check.detail for check in checks)


def test_this_machine_is_sound(mini):
    checks = doctor.check_machine()
    assert [c for c in checks if c.status == "FAIL"] == []
    names = [c.name for c in checks]
    assert len(names) == len(set(names)) >= 14
    assert {"Python", "Packages", "TensorFlow", "GPU", "Sound: MP3", "Free disk", "Memory", "Widgets", "Data"} <= set(
        names
    )
    assert all(c.status in ("OK", "note", "FAIL") for c in checks)


def test_no_line_holds_an_absolute_path(mini):
    text = repr(doctor.machine_report())
    for folder in (str(doctor.ROOT), sys.prefix, str(mini)):
        assert folder not in text


def test_unsuitable_python(monkeypatch):
    monkeypatch.setattr(doctor.platform, "python_version", lambda: "3.10.4")
    assert "3.10.4" in failed(doctor._python)


def test_missing_package(monkeypatch):
    installed = doctor._installed
    monkeypatch.setattr(doctor, "_installed", lambda name: None if name == "kapre" else installed(name))
    assert "kapre is missing" in failed(doctor._packages)


def test_package_outside_its_bounds(monkeypatch):
    installed = doctor._installed
    monkeypatch.setattr(doctor, "_installed", lambda name: "4.0.0" if name == "keras" else installed(name))
    assert "keras 4.0.0" in failed(doctor._packages)


def test_other_version_than_locked_is_a_note(monkeypatch):
    installed = doctor._installed
    monkeypatch.setattr(doctor, "_installed", lambda name: "0.0.1" if name == "wrapt" else installed(name))
    check = only(doctor._packages)
    assert check.status == "note" and "wrapt 0.0.1" in check.detail and "1 of" in check.detail


def test_lock_of_this_machine(tmp_path):
    lock = tmp_path / "some.lock"
    lock.write_text(
        "# comment\nnumpy==2.3.5 \\\n    --hash=sha256:00\n    # via x\n"
        "new==1 ; python_full_version >= '3.11' \\\n    --hash=sha256:00\n"
        "old==2 ; python_full_version < '3.11' \\\n    --hash=sha256:00\n"
    )
    assert doctor.locked_versions(lock) == {"numpy": "2.3.5", "new": "1"}


def test_tensorflow_cannot_be_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert "tensorflow" in failed(doctor._tensorflow)


def test_wrong_keras_backend(monkeypatch):
    import keras

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert "jax" in failed(doctor._tensorflow)


def test_driver_without_gpu_in_tensorflow_is_a_note(monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr(doctor.sys, "platform", "linux")
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "nvidia-smi")
    gpu = list(doctor._tensorflow())[-1]
    assert gpu.status == "note" and "GPU=1" in gpu.remedy


@pytest.mark.parametrize("name", list(doctor.FORMATS))
def test_format_that_cannot_be_written(name, monkeypatch):
    broken = dict(doctor.FORMATS)
    broken[name] = ("NOPE", "PCM_16", 16000)
    monkeypatch.setattr(doctor, "FORMATS", broken)
    checks = list(doctor._sound_files())
    assert [c.name for c in checks if c.status == "FAIL"] == [f"Sound: {name}"]


def test_decoder_that_gives_silence(monkeypatch):
    monkeypatch.setattr(soundfile, "read", lambda file: (np.zeros(8000), 16000))
    assert "changed" in failed(doctor._sound_files)


def test_decoder_that_is_far_too_quiet(monkeypatch):
    monkeypatch.setattr(soundfile, "read", lambda file: (0.01 * doctor._tone(16000), 16000))
    assert "changed" in failed(doctor._sound_files)


def test_decoder_that_changes_the_pitch(monkeypatch):
    monkeypatch.setattr(soundfile, "read", lambda file: (np.sin(np.arange(8000)), 16000))
    assert "changed" in failed(doctor._sound_files)


def test_aac_with_pyav():
    pytest.importorskip("av")
    check = only(doctor._aac)
    assert check.status == "OK" and "PyAV" in check.detail


def test_pyav_that_is_broken_is_a_note(monkeypatch):
    av = pytest.importorskip("av")
    monkeypatch.setattr(av, "open", lambda *given, **more: 1 / 0)
    check = only(doctor._aac)
    assert check.status == "note" and "PyAV" in check.detail and check.remedy


def test_neither_pyav_nor_ffmpeg_is_a_note(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    check = only(doctor._aac)
    assert check.status == "note"
    assert 'pip install "dl4mir_utils[formats]"' in check.remedy and "ffmpeg" in check.remedy


def test_ffmpeg_that_does_nothing_is_a_note(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: name)
    run = doctor.subprocess.run
    monkeypatch.setattr(
        doctor.subprocess, "run", lambda command, **kw: run([sys.executable, "-c", ""], **{**kw, "input": b""})
    )
    check = only(doctor._aac)
    assert check.status == "note" and "ffmpeg" in check.detail


def test_full_disk(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**10, 10**10, 10**8))
    assert "0.1 GiB" in failed(doctor._resources)


def test_small_memory(monkeypatch):
    monkeypatch.setattr(doctor, "_memory_limit", lambda: 2**30)
    assert "1.0 GiB" in failed(doctor._resources)


def test_widget_extension_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.sys, "prefix", str(tmp_path))
    assert "extension" in failed(doctor._widgets)


def test_widgets_missing(monkeypatch):
    monkeypatch.setattr(doctor, "_installed", lambda name: None)
    assert "ipywidgets is missing" in failed(doctor._widgets)


def test_data_is_counted(mini):
    check = only(doctor._data)
    assert check.status == "OK" and check.detail.startswith("2 clips")


def test_no_table(mini):
    (mini / "clips.csv").unlink()
    assert "clips.csv" in failed(doctor._data)


def test_empty_table(mini):
    (mini / "clips.csv").write_text("clip_id,file\n")
    assert "no clip" in failed(doctor._data)


def test_missing_clip(mini):
    (mini / "clips" / "b.ogg").unlink()
    assert "1 of 2 clips are missing, the first is b.ogg" in failed(doctor._data)


def test_silent_clip(mini):
    soundfile.write(mini / "clips" / "a.ogg", np.zeros(8000), 16000)
    assert "silent" in failed(doctor._data)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_broken_check_is_a_line_not_an_exception(section, monkeypatch):
    for other in SECTIONS:
        monkeypatch.setattr(doctor, other, lambda: iter(()))

    def broken():
        raise OSError(2, "No such file or directory", "/home/some body/data/mini/clips.csv")

    monkeypatch.setattr(doctor, section, broken)
    (check,) = doctor.check_machine()
    assert check.status == "FAIL" and check.remedy
    assert "'clips.csv'" in check.detail and "some body" not in check.detail


def test_paths_are_shortened():
    assert doctor._without_paths("no /usr/lib/libx.so: bad\nmore") == "no libx.so: bad"
    assert doctor._without_paths(r"no C:\Users\me\x.dll") == "no x.dll"
    assert doctor._without_paths("data/mini/clips.csv and 3/4") == "data/mini/clips.csv and 3/4"


def test_report_as_table_and_as_text():
    report = MachineReport([Check("Disk", "FAIL", "0 < 1 & full", "Free <some>."), Check("Data", "OK", "2 clips")])
    page = report._repr_html_()
    assert page.count("<tr>") == 3 and "0 &lt; 1 &amp; full" in page and "Free &lt;some&gt;." in page
    assert repr(report) == "FAIL  Disk: 0 < 1 & full\n      -> Free <some>.\nOK    Data: 2 clips"
