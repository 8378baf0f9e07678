"""The wheel, installed without extras into an empty environment: small, quick, and enough for tag, sing and similar."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NETWORKS = ("musicnn_mtt", "musicnn_msd", "singing_detector")
LARGEST_MB = 230  # the whole environment, pip included: the sizes of all files, 1 MB = 10**6 bytes
LONGEST_S = 30  # to install the wheel and all that it asks for, once they are downloaded
CLIPS = ("0ad_01_0", "0ad_02_0", "0ad_02_1", "0ad_03_0")
VOICE = "june_frp002a"
COURSE = 'pip install "dl4mir_utils[course]"'


def plain_environment(**changes):
    """Return this process's variables without those that would lead to this repository."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DL4MIR_", "VIRTUAL"))}
    return {**kept, **changes}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a clean copy of the tree."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone: without git nobody knows which files belong to the repository")
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard", "--", ".", ":!data/mini", ":!notebooks"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in os.fsdecode(listed.stdout).split("\0"):
        if name and (ROOT / name).is_file():
            (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / "tree" / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", "out"]
    done = subprocess.run([*command, "./tree"], cwd=folder, capture_output=True, text=True, env=plain_environment())
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (folder / "out").glob("dl4mir_utils-*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_networks_and_their_licences_are_in_it(names, wheel):
    for name in NETWORKS:
        assert {f"dl4mir_utils/pretrained/{name}.tflite", f"dl4mir_utils/pretrained/{name}.json"} <= names
    assert "dl4mir_utils/pretrained/LICENCE-musicnn.txt" in names
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
    with zipfile.ZipFile(wheel) as archive:
        packed = archive.read(f"dl4mir_utils/pretrained/{NETWORKS[0]}.tflite")
    assert packed == (ROOT / "data" / "pretrained" / f"{NETWORKS[0]}.tflite").read_bytes()


def test_every_module_and_what_modules_read_is_in_it(names):
    files = [file for file in (ROOT / "dl4mir_utils").rglob("*") if file.suffix in (".py", ".css", ".js", ".tsv")]
    assert len(files) > 80
    assert {file.relative_to(ROOT).as_posix() for file in files} - names == set()


def test_nothing_else_is_in_it(names, wheel):
    assert {name.split("/")[0].split("-")[0] for name in names} == {"dl4mir_utils"}
    assert [name for name in names if name.endswith((".npz", ".ogg", ".ipynb", ".pyc")) or "test_" in name] == []
    assert wheel.stat().st_size < 8e6


# Installed


@pytest.fixture(scope="module")
def installed(wheel):
    """The folder of an environment that holds the wheel and what it asks for, and how many seconds pip took."""
    spec = importlib.util.spec_from_file_location("setup_env", ROOT / "tools" / "course" / "setup_env.py")
    setup_env = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(setup_env)

    folder, wheels = wheel.parents[1] / "environment", wheel.parents[1] / "wheels"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, env=plain_environment())

    def pip(*arguments):
        """Run the environment's pip; return what is wrong, or ""."""
        command = [program(folder, "python"), "-m", "pip", *arguments, str(wheel)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=wheel.parent, env=plain_environment())
        return setup_env.explain(done.stdout + done.stderr) if done.returncode else ""

    # Apart, since the time of a download says nothing about the package.
    wrong = pip("download", "--only-binary", ":all:", "--retries", "1", "-d", str(wheels))
    if wrong == setup_env.NO_INDEX:
        pytest.skip("the package index cannot be reached, so the wheel cannot be installed")
    assert not wrong, wrong
    start = time.monotonic()
    wrong = pip("install", "--no-index", "--find-links", str(wheels))
    assert not wrong, wrong
    return folder, time.monotonic() - start


def program(environment, name):
    """Path of a program of an environment."""
    return str(environment / ("Scripts" if os.name == "nt" else "bin") / name)


@pytest.fixture
def music(tmp_path):
    """A folder of music far from the repository, the working directory of all commands."""
    (tmp_path / "music").mkdir()
    for name in CLIPS:
        shutil.copy(ROOT / "data" / "mini" / "clips" / f"{name}.ogg", tmp_path / "music")
    shutil.copy(ROOT / "data" / "mini" / "voices" / f"{VOICE}.opus", tmp_path)
    return tmp_path


def dl4mir(installed, folder, *arguments, status=0):
    """Run the command; return what it wrote, standard output and error."""
    done = subprocess.run(
        [program(installed[0], "dl4mir"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=plain_environment(DL4MIR_DATA=str(folder / "cache"), PATH=""),
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout, done.stderr


def test_it_is_small_and_quickly_installed(installed):
    folder, seconds = installed
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    print(f"{size / 1e6:.0f} MB, {seconds:.0f} s")
    assert size < LARGEST_MB * 1e6
    assert seconds < LONGEST_S


def test_the_course_does_not_come_along(installed):
    paths = {"base": str(installed[0]), "platbase": str(installed[0])}
    packages = Path(sysconfig.get_path("purelib", "venv", paths))
    found = {path.name.lower() for path in packages.iterdir()}
    assert {"dl4mir_utils", "ai_edge_litert", "numpy", "soundfile.py"} <= found
    assert (
        found & {"scipy", "pandas", "librosa", "sklearn", "matplotlib", "tensorflow", "keras", "kapre", "av"} == set()
    )


def test_tag(installed, music):
    shown, said = dl4mir(installed, music, "tag", "music", "--json", "tags.json")
    assert [line.partition(":")[0].endswith(".ogg") for line in shown.splitlines()] == [True] * len(CLIPS), said
    rows = json.loads((music / "tags.json").read_text("utf-8"))
    assert [len(row["tags"]) for row in rows] == [50] * len(CLIPS)
    assert "classical" in list(rows[0]["tags"])[:5]  # an orchestra


def test_sing(installed, music):
    dl4mir(installed, music, "sing", f"{VOICE}.opus", str(Path("music", f"{CLIPS[0]}.ogg")), "--json", "sung.json")
    voice, strings = (
        sum(segment["end_s"] - segment["start_s"] for segment in row["segments"]) / row["duration_s"]
        for row in json.loads((music / "sung.json").read_text("utf-8"))
    )
    assert voice > 0.7 and strings < 0.2


def test_similar(installed, music):
    seed = str(Path("music", f"{CLIPS[1]}.ogg"))
    dl4mir(installed, music, "similar", seed, "music", "--json", "like.json")
    rows = json.loads((music / "like.json").read_text("utf-8"))
    assert {Path(row["file"]).stem for row in rows} == set(CLIPS) - {CLIPS[1]}


def test_a_file_that_needs_an_extra_says_which(installed, music):
    (music / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(4000))
    assert 'pip install "dl4mir_utils[formats]"' in "".join(dl4mir(installed, music, "tag", "a.m4a", status=1))


def test_a_command_of_the_course_says_what_to_install(installed, music):
    for command in (["data", "list"], ["train", "music", "-o", "my.tflite"]):
        shown, said = dl4mir(installed, music, *command, status=1)
        assert shown == "" and said.count("\n") == 1 and COURSE in said


def test_files_of_the_course_say_where_they_are(installed, music):
    code = (
        "from dl4mir_utils.paths import course_file\n"
        "print(course_file('pretrained/musicnn_mtt.tflite').read_bytes()[4:8])\n"
        "for name in ('pretrained/musicnn_mtt.npz', 'pretrained/gone.tflite', 'mini/clips.csv'):\n"
        "    try:\n"
        "        course_file(name)\n"
        "    except Exception as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run(
        [program(installed[0], "python"), "-c", code],
        cwd=music,
        capture_output=True,
        text=True,
        check=True,
        env=plain_environment(),
    )
    network, weights, gone, clips = done.stdout.splitlines()
    assert network == "b'TFL3'"
    assert "data/pretrained/musicnn_mtt.npz" in weights and "clone of the repository" in weights
    assert "install dl4mir_utils again" in gone
    assert "clone of the repository" in clips and "DL4MIR_DATA" in clips


def test_doctor_says_what_to_install(installed, music):
    shown, _ = dl4mir(installed, music, "doctor", status=1)
    assert COURSE in shown and shown.count("FAIL") == 1 and len(shown.splitlines()) <= 4
