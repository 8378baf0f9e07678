"""Check that a machine can run the course, and say what to do where it cannot."""

from __future__ import annotations

import html
import io
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent  # the course's folder; holds the locks unless the package was installed elsewhere
IN_COLAB = "google.colab" in sys.modules
SET_UP = (
    "Run the notebook's setup cell again."
    if IN_COLAB
    else "Make the environment anew: delete the folder .venv, then run `make doctor` in the course's folder."
)

# Format, subtype and sample rate (Hz) of every sound file that the course reads with soundfile.
FORMATS = {
    "WAV": ("WAV", "PCM_16", 16000),
    "FLAC": ("FLAC", "PCM_16", 16000),
    "Ogg Vorbis": ("OGG", "VORBIS", 16000),
    "Ogg Opus": ("OGG", "OPUS", 48000),
    "MP3": ("MP3", "MPEG_LAYER_III", 16000),
}
TONE_HZ = 440.0


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes
    ----------
    name : str
        What was looked at.
    status : str
        "OK", "note" (the course runs, something is worth knowing) or "FAIL".
    detail : str
        What was found.
    remedy : str
        What to do; "" where nothing needs doing.
    """

    name: str
    status: str
    detail: str
    remedy: str = ""


class MachineReport:
    """The checks as a table in a notebook and as lines of text elsewhere."""

    def __init__(self, checks: list[Check]) -> None:
        self.checks = checks

    def __repr__(self) -> str:
        return "\n".join(
            f"{c.status:<5} {c.name}: {c.detail}" + (f"\n      -> {c.remedy}" if c.remedy else "") for c in self.checks
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th scope='row' style='text-align:left'>{html.escape(c.name)}</th><td>{c.status}</td>"
            f"<td style='text-align:left'>{html.escape(c.detail)}"
            + (f"<br><b>What to do:</b> {html.escape(c.remedy)}" if c.remedy else "")
            + "</td></tr>"
            for c in self.checks
        )
        head = "<tr><th style='text-align:left'>Check</th><th>Result</th><th style='text-align:left'>Found</th></tr>"
        return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def check_machine() -> list[Check]:
    """Run every check.

    Returns
    -------
    list of Check
        In a fixed order. A check that itself breaks is a "FAIL" line, never an exception.
    """
    return list(iterate_checks())


def machine_report() -> MachineReport:
    """Run every check and return a table to display.

    Returns
    -------
    MachineReport
        Shown as a table by Jupyter and as text elsewhere; its `checks` are those of `check_machine`.
    """
    return MachineReport(check_machine())


def iterate_checks() -> Iterator[Check]:
    """Yield every check as soon as it is done."""
    if not any(map(_installed, ("tensorflow", "tensorflow-cpu", "keras", "kapre"))):
        detail = "only what `dl4mir tag`, `sing` and `similar` need is installed"
        yield Check("Course", "FAIL", detail, 'To read the notebooks, too: pip install "dl4mir_utils[course]"')
        return
    sections: list[tuple[str, Callable[[], Iterator[Check]]]] = [
        ("Python", _python),
        ("Packages", _packages),
        ("TensorFlow", _tensorflow),
        ("Sound files", _sound_files),
        ("AAC and M4A", _aac),
        ("Resources", _resources),
        ("Widgets", _widgets),
        ("Data", _data),
    ]
    for name, section in sections:
        try:
            yield from section()
        except Exception as error:  # a broken package may raise anything; the report must go on
            yield Check(name, "FAIL", _without_paths(f"{type(error).__name__}: {error}"), SET_UP)


def _without_paths(text: str) -> str:
    """Shorten paths to the name of the file: reports are stored in notebooks and pasted into letters."""
    folder = r"(?:[A-Za-z]:)?[\\/]"
    text = re.sub(rf"'{folder}[^']*[\\/]([^'\\/]+)'", r"'\1'", text)
    text = re.sub(rf"(?<![\w.]){folder}(?:[^\s'\":\\/]+[\\/])+([^\s'\":\\/]+)", r"\1", text)
    return text.partition("\n")[0][:300]


def _python() -> Iterator[Check]:
    wanted = metadata.metadata("dl4mir_utils")["Requires-Python"]
    from packaging.specifiers import SpecifierSet

    found = platform.python_version()
    detail = f"{found} on {platform.system()} {platform.machine()}"
    if SpecifierSet(wanted).contains(found):
        yield Check("Python", "OK", detail)
    else:
        remedy = "Install Python 3.12 and make the environment anew: PYTHON=python3.12 make doctor"
        yield Check("Python", "FAIL", f"{detail}; the course needs {wanted}", remedy)


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def locked_versions(lock: Path) -> dict[str, str]:
    """Read from a lock file which version of each package it asks for on this machine.

    Parameters
    ----------
    lock : Path
        `requirements.lock` or `requirements-gpu.lock`.

    Returns
    -------
    dict
        Package name -> version, without the packages that are for other systems or Pythons.
    """
    from packaging.requirements import Requirement

    lines = re.findall(r"^([\w.-]+==[^\\\n]*)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    requirements = [Requirement(line.strip()) for line in lines]
    return {r.name: str(r.specifier)[2:] for r in requirements if r.marker is None or r.marker.evaluate()}


def _packages() -> Iterator[Check]:
    """Compare with the bounds of pyproject.toml (must hold) and with the lock (other versions are worth a note)."""
    from packaging.requirements import Requirement

    gpu = _installed("nvidia-cudnn-cu12") is not None
    lock = ROOT / ("requirements-gpu.lock" if gpu else "requirements.lock")
    locked = locked_versions(lock) if lock.exists() else {}
    wrong = []
    for requirement in map(Requirement, metadata.requires("dl4mir_utils") or []):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": "course"}):
            continue
        # On Linux the CPU build of TensorFlow is another distribution.
        found = _installed(requirement.name) or (requirement.name == "tensorflow" and _installed("tensorflow-cpu"))
        if not found:
            wrong.append(f"{requirement.name} is missing")
        elif not requirement.specifier.contains(found):
            wrong.append(f"{requirement.name} {found} is not {requirement.specifier}")
    others = [
        f"{name} {_installed(name) or 'missing'} (lock: {version})"
        for name, version in locked.items()
        if _installed(name) != version
    ]
    if wrong:
        yield Check("Packages", "FAIL", "; ".join(wrong), SET_UP)
    elif not locked:
        yield Check("Packages", "OK", "all within their bounds (no lock file here to compare with)")
    elif others:
        examples = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")
        detail = f"{len(others)} of {len(locked)} differ from {lock.name}: {examples}"
        yield Check("Packages", "note", detail, "" if IN_COLAB else f"Nothing, as long as the notebooks run. {SET_UP}")
    else:
        yield Check("Packages", "OK", f"all {len(locked)} as in {lock.name}")


def _tensorflow() -> Iterator[Check]:
    try:
        import keras
        import tensorflow as tf
    except ImportError as error:
        remedy = SET_UP
        if sys.platform == "win32":
            remedy += " If it stays: install the Microsoft Visual C++ Redistributable (x64)."
        yield Check("TensorFlow", "FAIL", _without_paths(f"cannot be imported: {error}"), remedy)
        return
    if keras.backend.backend() != "tensorflow":
        detail = f"Keras is set to use {keras.backend.backend()}"
        yield Check("TensorFlow", "FAIL", detail, "Unset the variable KERAS_BACKEND (or set it to tensorflow).")
        return
    total = float(tf.reduce_sum(tf.ones((64, 64)) @ tf.ones((64, 64))))
    if total != 64**3:
        yield Check("TensorFlow", "FAIL", f"computes wrongly: {total} instead of {64**3}", SET_UP)
        return
    yield Check("TensorFlow", "OK", f"{tf.__version__} with Keras {keras.__version__}")
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        names = [tf.config.experimental.get_device_details(g).get("device_name", "a GPU") for g in gpus]
        yield Check("GPU", "OK", ", ".join(names))
    elif sys.platform == "linux" and shutil.which("nvidia-smi"):
        yield Check("GPU", "note", "an NVIDIA driver is here, but TensorFlow uses the CPU", "make GPU=1 doctor")
    else:
        yield Check("GPU", "OK", f"none; {os.cpu_count()} CPU cores do for everything in the course")


def _is_tone(samples: object, rate: int) -> bool:
    """Whether the samples are half a second of the test tone."""
    import numpy as np

    samples = np.asarray(samples, dtype=np.float64)
    if samples.ndim != 1 or abs(len(samples) / rate - 0.5) > 0.1 or np.abs(samples).max() < 0.2:
        return False
    peak = np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples)
    return bool(abs(peak - TONE_HZ) < 5)


def _tone(rate: int) -> object:
    """Return half a second of a sine as float32, shape (rate / 2,)."""
    import numpy as np

    return (0.5 * np.sin(2 * np.pi * TONE_HZ * np.arange(rate // 2) / rate)).astype(np.float32)


def _sound_files() -> Iterator[Check]:
    """Encode a tone to each format in memory, decode it, and look whether it still is that tone."""
    import soundfile

    remedy = f"{SET_UP} Outside it: soundfile 0.13 or newer (its libsndfile, 1.2, decodes them all)."
    for name, (container, subtype, rate) in FORMATS.items():
        file = io.BytesIO()
        try:
            soundfile.write(file, _tone(rate), rate, format=container, subtype=subtype)
            file.seek(0)
            good, why = _is_tone(*soundfile.read(file)), "a tone comes back changed"
        except (soundfile.SoundFileError, ValueError, OSError) as error:
            good, why = False, _without_paths(str(error))
        if good:
            yield Check(f"Sound: {name}", "OK", "encodes and decodes")
        else:
            yield Check(f"Sound: {name}", "FAIL", why, remedy)


def _aac() -> Iterator[Check]:
    """AAC needs PyAV or ffmpeg and no notebook needs AAC, so nothing here is worse than a note."""
    from dl4mir_utils.decoding import has_pyav

    rate = 16000
    if has_pyav():
        name, remedy, code = "PyAV", 'pip install --force-reinstall "dl4mir_utils[formats]"', _aac_with_pyav
    elif shutil.which("ffmpeg"):
        name, remedy, code = "ffmpeg", "Install a full build of ffmpeg.", _aac_with_ffmpeg
    else:
        detail = "not readable without PyAV or ffmpeg; only music of your own may need it"
        remedy = 'If you want it: pip install "dl4mir_utils[formats]", or install ffmpeg (apt, brew, winget or conda).'
        yield Check("Sound: AAC, M4A", "note", detail, remedy)
        return
    try:
        good = _is_tone(code(rate), rate)
    except Exception:  # a broken installation may raise anything
        good = False
    if good:
        yield Check("Sound: AAC, M4A", "OK", f"encodes and decodes with {name}")
    else:
        yield Check("Sound: AAC, M4A", "note", f"{name} is here but cannot code AAC", remedy)


def _aac_with_pyav(rate: int) -> object:
    """Encode the tone and decode it again: float32 (samples,)."""
    import av
    import numpy as np

    file = io.BytesIO()
    with av.open(file, "w", format="adts") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.asarray(_tone(rate))[np.newaxis], "fltp", "mono")
        frame.sample_rate = rate
        container.mux([*stream.encode(frame), *stream.encode(None)])
    file.seek(0)
    with av.open(file) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def _aac_with_ffmpeg(rate: int) -> object:
    """Encode the tone and decode it again: float32 (samples,)."""
    import numpy as np

    raw = ["-f", "f32le", "-ar", str(rate), "-ac", "1"]
    quiet = ["ffmpeg", "-v", "error"]
    aac = subprocess.run(
        [*quiet, *raw, "-i", "-", "-f", "adts", "-"], input=_tone(rate).tobytes(), capture_output=True, timeout=10
    )
    back = subprocess.run([*quiet, "-i", "-", *raw, "-"], input=aac.stdout, capture_output=True, timeout=10)
    return np.frombuffer(back.stdout, np.float32)


def _memory_limit() -> float:
    """Return the memory limit of the container that we are in, in bytes; infinity outside one."""
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            return float(Path(file).read_text())
        except (OSError, ValueError):  # not there, or "max"
            continue
    return float("inf")


def _resources() -> Iterator[Check]:
    import psutil

    gib = 2**30
    disk = shutil.disk_usage(Path.cwd()).free / gib
    if disk < 0.5:
        yield Check("Free disk", "FAIL", f"{disk:.1f} GiB", "Free at least 1 GiB: results and caches need room.")
    else:
        yield Check("Free disk", "OK", f"{disk:.0f} GiB" if disk >= 10 else f"{disk:.1f} GiB")
    memory = psutil.virtual_memory()
    total = min(memory.total, _memory_limit()) / gib
    free = min(memory.available / gib, total)
    detail = f"{free:.1f} GiB free of {total:.1f} GiB"
    if total < 1.8:
        remedy = "A notebook needs up to 1.5 GiB: use a larger machine, or Colab."
        yield Check("Memory", "FAIL", detail, remedy)
    elif free < 1.5:
        yield Check("Memory", "note", detail, "A notebook needs up to 1.5 GiB: close other programs and notebooks.")
    else:
        yield Check("Memory", "OK", detail)


def _widgets() -> Iterator[Check]:
    found = _installed("ipywidgets")
    if not found:
        yield Check("Widgets", "FAIL", "ipywidgets is missing", SET_UP)
    elif IN_COLAB:
        yield Check("Widgets", "OK", f"ipywidgets {found} in Colab")
    elif (Path(sys.prefix) / "share/jupyter/labextensions/@jupyter-widgets/jupyterlab-manager").is_dir():
        detail = f"ipywidgets {found}, JupyterLab extension {_installed('jupyterlab_widgets')}"
        yield Check("Widgets", "OK", detail)
    else:
        detail = f"ipywidgets {found}, but JupyterLab's extension for it is missing: sliders would not show"
        yield Check("Widgets", "FAIL", detail, SET_UP)


def _data() -> Iterator[Check]:
    import csv

    from dl4mir_utils.data import data_root, load_audio

    folder = data_root() / "mini"
    again = "Get the folder data/mini again (git checkout -- data/mini), or point DL4MIR_DATA at a whole copy of data."
    try:
        with (folder / "clips.csv").open(newline="", encoding="utf-8") as table:
            files = [folder / row["file"] for row in csv.DictReader(table)]
    except OSError as error:
        yield Check("Data", "FAIL", f"data/mini/clips.csv cannot be read: {error.strerror}", again)
        return
    missing = [file.name for file in files if not file.is_file()]
    if not files:
        yield Check("Data", "FAIL", "data/mini/clips.csv names no clip", again)
        return
    if missing:
        detail = f"{len(missing)} of {len(files)} clips are missing, the first is {missing[0]}"
        yield Check("Data", "FAIL", detail, again)
        return
    sample = load_audio(files[0])
    if abs(sample).max() == 0:
        yield Check("Data", "FAIL", f"{files[0].name} is silent", again)
    else:
        yield Check("Data", "OK", f"{len(files)} clips in data/mini; the first decodes ({len(sample) / 16000:.0f} s)")
