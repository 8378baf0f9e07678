"""pyproject.toml, both locks, the conda and Binder files, the Makefile and the set-up script agree with each other."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(PYPROJECT)["project"]
EXTRAS = PROJECT["optional-dependencies"]
DEPENDENCIES = [Requirement(r) for r in [*PROJECT["dependencies"], *(r for extra in EXTRAS.values() for r in extra)]]
# The extras that each lock was made with.
LOCKS = {"requirements.lock": ("course", "test", "cpu"), "requirements-gpu.lock": ("course", "test", "gpu")}
PYTHONS = ("3.11", "3.12", "3.13")
SYSTEMS = {
    "Linux": {"sys_platform": "linux", "platform_machine": "x86_64", "platform_system": "Linux", "os_name": "posix"},
    "Linux on ARM": {
        "sys_platform": "linux",
        "platform_machine": "aarch64",
        "platform_system": "Linux",
        "os_name": "posix",
    },
    "macOS": {"sys_platform": "darwin", "platform_machine": "arm64", "platform_system": "Darwin", "os_name": "posix"},
    "Windows": {"sys_platform": "win32", "platform_machine": "AMD64", "platform_system": "Windows", "os_name": "nt"},
}
CONFIGURATION = [
    "pyproject.toml",
    *LOCKS,
    "environment.yml",
    "binder/environment.yml",
    "binder/postBuild",
    "Makefile",
    ".ci/run",
]


def read_lock(name):
    """Package blocks of a lock: a list of (Requirement, number of hashes)."""
    blocks = re.split(r"\n(?=[a-zA-Z0-9])", (ROOT / name).read_text(encoding="utf-8"))
    blocks = [block for block in blocks if not block.startswith("#")]
    return [
        (Requirement(block.partition("\\")[0].strip()), len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", block)))
        for block in blocks
    ]


LOCKED = {name: read_lock(name) for name in LOCKS}


def versions(lock, system, python):
    """Canonical name -> version of what a lock installs on a system."""
    environment = {**SYSTEMS[system], "python_version": python, "python_full_version": f"{python}.7", "extra": ""}
    chosen = {}
    for requirement, _ in LOCKED[lock]:
        if requirement.marker is None or requirement.marker.evaluate(environment):
            name = canonicalize_name(requirement.name)
            assert name not in chosen, f"{name} twice in {lock} on {system}, Python {python}"
            (pin,) = requirement.specifier
            assert pin.operator == "=="
            chosen[name] = pin.version
    return chosen


def asked(lock):
    """Direct dependencies that a lock was made from."""
    lines = [*PROJECT["dependencies"], *(r for extra in LOCKS[lock] for r in EXTRAS[extra])]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("requirement", DEPENDENCIES, ids=str)
def test_every_dependency_has_two_bounds_and_a_reason(requirement):
    operators = {s.operator for s in requirement.specifier}
    assert operators & {">=", "=="} and operators & {"<", "=="}
    if requirement.name not in ("tensorflow-cpu",) and not requirement.extras:  # these two have a common comment above
        line = rf'^  "{re.escape(requirement.name)}[^"]*",\s+# \S.{{8,}}$'
        assert re.search(line, PYPROJECT, re.MULTILINE), "say in a comment why it is here"


def test_what_the_formats_need_comes_with_the_course_too():
    assert set(EXTRAS["formats"]) <= set(EXTRAS["course"])


def test_no_package_is_asked_for_twice():
    for extra in ("course", "test"):
        names = [canonicalize_name(Requirement(line).name) for line in [*PROJECT["dependencies"], *EXTRAS[extra]]]
        assert sorted(names) == sorted(set(names))


def test_the_list_of_packages_is_complete():
    setuptools = tomllib.loads(PYPROJECT)["tool"]["setuptools"]
    folders = {file.parent for file in (ROOT / "dl4mir_utils").rglob("*.py")}
    found = {folder.relative_to(ROOT).as_posix().replace("/", ".") for folder in folders}
    elsewhere = setuptools["package-dir"]
    assert sorted(setuptools["packages"]) == sorted(found | set(elsewhere))
    assert all((ROOT / folder).is_dir() for folder in elsewhere.values())


def test_colab_gets_what_it_lacks_within_our_bounds(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools" / "course"))
    import notebooks as nbs

    source = nbs.setup_cell(nbs.repository_url(ROOT))
    asked = [*PROJECT["dependencies"], *EXTRAS["course"]]
    shown = re.findall(r'^ +"([a-z][^"]*)"(?: \\)?$', source, re.MULTILINE)
    assert [Requirement(line).name for line in shown] == list(nbs.COLAB_LACKS)
    assert set(shown) <= set(asked)
    assert "--no-deps" in source and max(map(len, source.splitlines())) <= 120


def test_every_import_is_a_direct_dependency():
    owners = packages_distributions()
    known = {canonicalize_name(requirement.name) for requirement in DEPENDENCIES}
    folders = ("dl4mir_utils", "tools", "tests", "benchmarks")
    files = [ROOT / "conftest.py", *(file for folder in folders for file in (ROOT / folder).rglob("*.py"))]
    own = {file.stem for file in files} | {file.parent.name for file in files}
    missing = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - own - {"google"}:
                if not {canonicalize_name(owner) for owner in owners.get(name, [name])} & known:
                    missing.add(f"{name} ({file.relative_to(ROOT).as_posix()})")
    assert missing == set()


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    ("lock", "system"), [("requirements-gpu.lock", "Linux"), *(("requirements.lock", system) for system in SYSTEMS)]
)
def test_lock_holds_every_direct_dependency_within_its_bounds(lock, system, python):
    found = versions(lock, system, python)
    environment = {**SYSTEMS[system], "python_version": python, "python_full_version": f"{python}.7"}
    for requirement in asked(lock):
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            continue
        name = canonicalize_name(requirement.name)
        if name == "tensorflow" and "tensorflow" not in found:
            name = "tensorflow-cpu"  # the same TensorFlow, smaller
        assert name in found, f"{name} is not in {lock}: run `make lock`"
        assert requirement.specifier.contains(found[name]), f"{name} {found[name]} is out of bounds: run `make lock`"


def test_one_tensorflow_each_and_the_small_one_on_linux():
    for python in PYTHONS:
        for system in SYSTEMS:
            small = system == "Linux"
            found = versions("requirements.lock", system, python)
            assert ("tensorflow-cpu" in found, "tensorflow" in found) == (small, not small)
            assert not [name for name in found if name.startswith("nvidia-")]
        found = versions("requirements-gpu.lock", "Linux", python)
        assert "tensorflow" in found and "tensorflow-cpu" not in found and "nvidia-cudnn-cu12" in found


def test_both_locks_agree():
    one, other = (versions(lock, "Linux", "3.12") for lock in LOCKS)
    assert {n: v for n, v in one.items() if n in other} == {n: v for n, v in other.items() if n in one}
    assert set(one) - set(other) == {"tensorflow-cpu"}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_hash(lock):
    assert len(LOCKED[lock]) > 100
    assert [str(requirement) for requirement, hashes in LOCKED[lock] if not hashes] == []


@pytest.mark.parametrize("name", CONFIGURATION)
def test_no_package_index_is_named(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("Repository = ")]
    named = re.compile(r"https?://(?!127\.0\.0\.1:)|index[-_]url|find[-_]links|trusted[-_]host")
    assert [line for line in lines if named.search(line)] == [line for line in lines if "--no-emit-index-url" in line]


def test_pythons_are_the_same_everywhere():
    wanted = SpecifierSet(PROJECT["requires-python"])
    assert [minor for minor in range(20) if wanted.contains(f"3.{minor}")] == [11, 12, 13]
    setup_env = load_setup_env()
    assert sorted(setup_env.VERSIONS) == list(PYTHONS)
    assert tomllib.loads(PYPROJECT)["tool"]["ruff"]["target-version"] == "py311"


@pytest.mark.parametrize("name", ["environment.yml", "binder/environment.yml"])
def test_conda_files_agree_with_pyproject(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    conda = yaml.safe_load(text)
    (python,) = [d for d in conda["dependencies"] if d.startswith("python=")]
    assert Version(python.removeprefix("python=") + ".0") in SpecifierSet(PROJECT["requires-python"])
    # Everything that pyproject.toml asks for comes by pip from the lock, not a second time from conda.
    names = {re.split(r"[=<>]", d)[0] for d in conda["dependencies"]}
    assert names <= {"python", "pip"} and "python" in names
    assert conda["channels"][0] == "conda-forge"


def test_conda_users_install_from_the_lock():
    conda = (ROOT / "environment.yml").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^#   (\S.*)$", conda, re.MULTILINE)
    assert len(commands) == 4 and commands[2].endswith("--no-deps --require-hashes -r requirements.lock")
    for command in commands:
        assert command in readme, "README.md and environment.yml give different commands"


def test_binder_builds_the_same_environment():
    script = ROOT / "binder" / "postBuild"
    text = script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK) and text.startswith("#!")
    assert "tools/course/setup_env.py" in text and "--name python3" in text
    subprocess.run(["bash", "-n", str(script)], check=True)


@pytest.mark.skipif(os.name == "nt", reason="Binder is Linux")
def test_binders_steps_make_a_kernel_of_the_courses_python(tmp_path):
    """Run the script with a `python` that, asked to set up .venv, puts this Python there."""
    (tmp_path / "server").mkdir()
    stub = tmp_path / "server" / "python"
    stub.write_text(
        f"""#!/bin/sh
echo "$*, cache: $PIP_NO_CACHE_DIR" >> calls
mkdir -p .venv/bin
printf '#!/bin/sh\\nexec "%s" "$@"\\n' '{sys.executable}' > .venv/bin/python
chmod +x .venv/bin/python
"""
    )
    stub.chmod(0o755)
    environment = {"PATH": f"{stub.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    command = ["bash", str(ROOT / "binder" / "postBuild")]
    options = {"cwd": tmp_path, "capture_output": True, "text": True}
    done = subprocess.run(command, env={**environment, "NB_PYTHON_PREFIX": str(tmp_path / "prefix")}, **options)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls").read_text() == "tools/course/setup_env.py, cache: 1\n"
    (kernel,) = (tmp_path / "prefix").rglob("kernel.json")
    assert kernel.parent == tmp_path / "prefix" / "share" / "jupyter" / "kernels" / "python3"
    assert json.loads(kernel.read_text())["argv"][0].startswith(str(Path(sys.executable).parent))
    # Elsewhere than on Binder it says what is missing and installs nothing into the user's folders.
    elsewhere = subprocess.run(command, env=environment, **options)
    assert elsewhere.returncode and "NB_PYTHON_PREFIX" in elsewhere.stderr


def test_citation():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "license", "version"} <= set(citation)
    assert citation["version"] == PROJECT["version"]
    assert citation["authors"][0]["name"] == PROJECT["authors"][0]["name"]
    # The package holds musicnn's weights as well, under the licence of its authors.
    assert set(citation["license"]) == set(PROJECT["license"].split(" AND ")) - {"ISC"}
    assert "repository-code" not in citation and "url" not in citation, "the address stands in pyproject.toml only"


def test_make_says_what_it_can_do():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    shown = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE).group(1).split()
    for target in targets:
        assert target == "env" or f"make {target} " in shown


@pytest.mark.parametrize(
    ("target", "call"),
    [
        (["course"], "tools/course/course.py run"),
        (["course", "ONLY=05b"], "tools/course/course.py run --only 05b"),
        (["render", "ONLY=00"], "tools/course/course.py render --only 00"),
        (["lab"], "-m jupyterlab"),
        (["show"], "-m http.server --bind 127.0.0.1"),
        (["show"], "-m webbrowser"),
        (["doctor"], "-m dl4mir_utils doctor"),
        (["test"], "-m pytest -q -n 2 --dist loadfile tests"),
        (["test"], "--nbval-lax"),
    ],
)
def test_make_calls(target, call):
    shown = subprocess.run(["make", "-n", *target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = [line.rstrip() for line in shown.splitlines()]
    assert [line for line in lines if call in line and (line.endswith(call) or "ONLY" not in str(target))]
    assert shown.index("tools/course/setup_env.py") < shown.index(call)


# The set-up script


def load_setup_env():
    import importlib.util

    spec = importlib.util.spec_from_file_location("setup_env", ROOT / "tools" / "course" / "setup_env.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def course(tmp_path, monkeypatch):
    """The script on an empty copy of the course, with every command that it would run recorded instead."""
    setup_env = load_setup_env()
    root = tmp_path / "a course"
    root.mkdir()
    for name in ("requirements.lock", "requirements-gpu.lock", "pyproject.toml"):
        (root / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.setattr(setup_env, "ROOT", root)
    monkeypatch.setattr(setup_env, "VENV", root / ".venv")
    monkeypatch.setattr(setup_env, "STAMP", root / ".venv" / "dl4mir.json")
    monkeypatch.setattr(setup_env, "VENV_PYTHON", root / ".venv" / "python")
    for variable in ("PYTHON", "GPU"):
        monkeypatch.delenv(variable, raising=False)
    setup_env.done = []

    def create_venv(python):
        setup_env.done.append("venv")
        setup_env.VENV.mkdir(exist_ok=True)
        setup_env.STAMP.unlink(missing_ok=True)
        setup_env.VENV_PYTHON.touch()

    def pip(arguments, total=0):
        assert not setup_env.STAMP.exists(), "the stamp is written last"
        setup_env.done.append(arguments[-1])

    monkeypatch.setattr(setup_env, "create_venv", create_venv)
    monkeypatch.setattr(setup_env, "pip", pip)
    return setup_env


def run(course):
    """Run the script; return what it did."""
    course.done.clear()
    course.main()
    return list(course.done)


FRESH, FRESH_GPU = ["venv", "requirements.lock", "."], ["venv", "requirements-gpu.lock", "."]


def test_set_up_once(course):
    assert run(course) == FRESH
    assert run(course) == []


def test_interrupted_set_up_starts_again(course, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(course, "pip", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            course.main()
    assert run(course) == FRESH


def test_changed_lock_is_installed_on_top(course):
    run(course)
    with (course.ROOT / "requirements.lock").open("a") as lock:
        lock.write("# newer\n")
    assert run(course) == FRESH[1:]
    assert run(course) == []


def test_interrupted_update_starts_again(course, monkeypatch):
    run(course)
    with (course.ROOT / "pyproject.toml").open("a") as file:
        file.write("# newer\n")
    with monkeypatch.context() as patch:
        patch.setattr(course, "pip", lambda *a: (_ for _ in ()).throw(course.SetupError("no network")))
        with pytest.raises(course.SetupError):
            course.main()
    assert run(course) == FRESH


def test_moved_environment_is_made_anew(course, monkeypatch):
    run(course)
    moved = course.ROOT.with_name("elsewhere")
    course.ROOT.rename(moved)
    for name, value in {"ROOT": ".", "VENV": ".venv", "STAMP": ".venv/dl4mir.json"}.items():
        monkeypatch.setattr(course, name, moved / value)
    monkeypatch.setattr(course, "VENV_PYTHON", moved / ".venv/python")
    assert run(course) == FRESH


def test_vanished_python_is_made_anew(course):
    run(course)
    course.VENV_PYTHON.unlink()
    assert run(course) == FRESH


def test_gpu_is_chosen_and_remembered(course, monkeypatch):
    assert run(course) == FRESH
    monkeypatch.setenv("GPU", "1")
    assert run(course) == FRESH_GPU
    monkeypatch.delenv("GPU")
    assert run(course) == []
    monkeypatch.setenv("GPU", "0")
    assert run(course) == FRESH


def test_other_python_is_made_anew(course, monkeypatch):
    run(course)
    other = "3.12" if sys.version_info[1] == 13 else "3.13"
    monkeypatch.setattr(course, "probe", lambda command: ("/opt/py", other, "linux", "x86_64", "64"))
    monkeypatch.setenv("PYTHON", "py")
    assert run(course) == FRESH
    assert run(course) == []


def test_too_little_disk(course, monkeypatch):
    monkeypatch.setattr(course.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10**9}))
    with pytest.raises(course.SetupError, match=r"about 4 GB, and 1\.0 GB are free"):
        course.main()
    assert not course.VENV.exists()


def test_foreign_folder_is_not_deleted(course, monkeypatch):
    original = load_setup_env()
    monkeypatch.setattr(original, "VENV", course.VENV)
    course.VENV.mkdir()
    (course.VENV / "letter.txt").write_text("precious")
    with pytest.raises(original.SetupError, match="move it away"):
        original.create_venv(sys.executable)
    assert (course.VENV / "letter.txt").exists()


def test_only_unsuitable_pythons(course, monkeypatch):
    monkeypatch.setattr(course, "probe", lambda command: ("/usr/bin/python3", "3.9", "linux", "x86_64", "64"))
    with pytest.raises(course.SetupError, match=r"(?s)3\.11, 3\.12 or 3\.13.*it is Python 3\.9.*PYTHON="):
        course.main()
    monkeypatch.setenv("PYTHON", "python3.9")
    with pytest.raises(course.SetupError, match=r"/usr/bin/python3: it is Python 3\.9"):
        course.main()


def test_a_suitable_python_is_found_beside_an_unsuitable_one(course, monkeypatch):
    answers = {"python3.13": ("/usr/bin/python3.13", "3.13", "linux", "x86_64", "64")}
    old = ("/usr/bin/python3", "3.8", "linux", "x86_64", "64")
    monkeypatch.setattr(course, "probe", lambda command: answers.get(command[0], old))
    assert course.find_python() == ("/usr/bin/python3.13", "3.13")


@pytest.mark.parametrize(
    ("python", "why"),
    [
        (("3.12", "linux", "x86_64", "64"), ""),
        (("3.13", "darwin", "arm64", "64"), ""),
        (("3.11", "win32", "AMD64", "64"), ""),
        (("3.14", "linux", "x86_64", "64"), "3.14"),
        (("3.10", "linux", "x86_64", "64"), "3.10"),
        (("3.12", "win32", "AMD64", "32"), "32-bit"),
        (("3.12", "darwin", "x86_64", "64"), "Intel"),
        (("3.12", "win32", "ARM64", "64"), "ARM"),
    ],
)
def test_complaints(course, python, why):
    complaint = course.complaint(*python)
    assert why in complaint and bool(why) == bool(complaint)


def test_a_real_python_answers(course):
    executable, version, *_ = course.probe([sys.executable])
    assert Path(executable).exists() and version == f"3.{sys.version_info.minor}"
    assert course.probe(["no-such-python"]) is None


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("WARNING: Retrying after connection broken by 'NewConnectionError'\nERROR: No matching distribution", "proxy"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "PIP_NO_CACHE_DIR"),
        ("ERROR: No matching distribution found for numpy==2.3.5", "numpy==2.3.5 could not be found"),
        ("one\ntwo\nERROR: something else", "ERROR: something else"),
    ],
)
def test_failures_of_pip_are_explained(course, output, words):
    assert words in course.explain(output)


def test_unreachable_index_for_real(tmp_path):
    """The script, this Python and a real pip, with an index at a closed port: plain words and no stamp."""
    for name in ("requirements.lock", "pyproject.toml", "tools/course/setup_env.py"):
        target = tmp_path / "a course" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PIP_") and k not in ("GPU", "PYTHON")}
    environment |= {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
        "PIP_NO_CACHE_DIR": "1",
    }
    command = [sys.executable, str(tmp_path / "a course" / "tools" / "course" / "setup_env.py")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1
    assert "cannot be reached" in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "a course" / ".venv" / "dl4mir.json").exists()


def test_stamp_of_this_environment():
    """Where the tests run in .venv, it is the one that the set-up script made."""
    setup_env = load_setup_env()
    if Path(sys.prefix) != setup_env.VENV:
        pytest.skip("not in .venv")
    assert json.loads(setup_env.STAMP.read_text())["lock"] in LOCKS
