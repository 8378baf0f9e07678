"""The files for a classroom can be read, agree with each other and with the texts; nothing here starts a server."""

import re
import subprocess
import tomllib
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "docs" / "classroom"
FILES = sorted(path for path in PLACE.iterdir() if path.is_file())
TEXTS = {path.name: path.read_text("utf-8") for path in FILES}
BENCHMARK = (ROOT / "benchmarks" / "classroom.py").read_text("utf-8")
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]["Repository"]
FOLDER = REPOSITORY.rsplit("/", 1)[1]
VALUES = yaml.safe_load(TEXTS["values.yaml"])
CLAIM, JOB = yaml.safe_load_all(TEXTS["data.yaml"])


def shell_variables():
    """Return what the script sets at its top."""
    return dict(re.findall(r'^([A-Z_]+)="?([^"\n]*?)"? *(?:#.*)?$', TEXTS["tljh.sh"], re.MULTILINE))


def test_the_script_can_be_read():
    subprocess.run(["bash", "-n", PLACE / "tljh.sh"], check=True)
    (settings,) = re.findall(r"<<CONFIG\n(.*?)\nCONFIG\n", TEXTS["tljh.sh"], re.DOTALL)
    compile(settings, "dl4mir.py", "exec")


@pytest.mark.parametrize("wrong", ["DOMAIN=hub.example.org", ""])
def test_the_script_stops_before_it_does_anything(wrong):
    script = TEXTS["tljh.sh"].replace("DOMAIN= ", f"{wrong} #", 1) if wrong else TEXTS["tljh.sh"]
    script = script.replace('"$(id -u)"', "0" if wrong else "1000").replace("curl ", "exit 99; curl ")
    done = subprocess.run(["bash", "-s"], input=script, capture_output=True, text=True)
    assert done.returncode == 1
    assert ("set EMAIL" if wrong else "sudo bash docs/classroom/tljh.sh") in done.stderr


def test_the_limits_are_those_of_the_texts():
    limits = VALUES["singleuser"]["memory"]
    assert limits["limit"] == limits["guarantee"] == shell_variables()["MEMORY"] == "2G"
    assert str(VALUES["singleuser"]["cpu"]["limit"]) == shell_variables()["CORES"] == "2"
    assert "LIMIT_GIB = 2\n" in BENCHMARK
    for text in (TEXTS["README.md"], (ROOT / "docs" / "instructors.md").read_text("utf-8")):
        assert "Reckon 2 GiB" in text
        assert "40 GiB for 20" in text


def test_all_name_the_same_environment():
    place = shell_variables()["DATA"]
    given = VALUES["singleuser"]["extraEnv"]
    threads = {"TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"}
    assert given == {"DL4MIR_DATA": place} | dict.fromkeys(threads, "2")
    for name in [*given, "JUPYTER_PATH"]:
        assert f'"{name}"' in TEXTS["tljh.sh"]
        assert f'"{name}"' in BENCHMARK
    assert f"ENV JUPYTER_PATH={shell_variables()['COURSE']}/.venv/share/jupyter\n" in TEXTS["Dockerfile"]
    assert place in TEXTS["README.md"]


def test_a_participants_own_clone_comes_first():
    assert f"--env PYTHONPATH '${{HOME}}/{FOLDER}'" in TEXTS["Dockerfile"]
    assert '--env PYTHONPATH "\\${HOME}/${REPOSITORY##*/}"' in TEXTS["tljh.sh"]
    assert shell_variables()["REPOSITORY"] == REPOSITORY
    assert f'COURSE = "{FOLDER}"' in BENCHMARK


def test_shared_data_is_one_disk_that_participants_only_read():
    storage = VALUES["singleuser"]["storage"]
    (volume,), (mount,) = storage["extraVolumes"], storage["extraVolumeMounts"]
    assert volume["persistentVolumeClaim"] == {"claimName": CLAIM["metadata"]["name"], "readOnly": True}
    assert mount == {"name": volume["name"], "mountPath": shell_variables()["DATA"], "readOnly": True}
    job = JOB["spec"]["template"]["spec"]
    assert job["volumes"][0]["persistentVolumeClaim"]["claimName"] == CLAIM["metadata"]["name"]
    (container,) = job["containers"]
    image = VALUES["singleuser"]["image"]
    assert container["image"] == f"{image['name']}:{image['tag']}"
    assert container["image"] in TEXTS["Dockerfile"]
    for line in container["args"]:
        subprocess.run(["bash", "-n"], input=line, text=True, check=True)


def test_the_image_is_built_from_the_lock_and_this_repository():
    said = TEXTS["Dockerfile"]
    steps = re.findall(r"^([A-Z]+) ", said, re.MULTILINE)
    assert steps[0] == "FROM"
    assert set(steps) == {"FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "CMD"}
    assert "FROM python:3.12-slim\n" in said
    assert "python tools/course/setup_env.py" in said
    for source in re.findall(r"^COPY (\S+) ", said, re.MULTILINE):
        assert (ROOT / source).exists()
    requirements = [line.partition("#")[0].strip() for line in TEXTS["server.txt"].splitlines()]
    names = {Requirement(line).name for line in requirements if line}
    assert names == {"jupyterhub", "jupyterlab", "nbgitpuller", "jupyter-resource-usage"}


def test_links_open_a_notebook_of_this_repository():
    (link,) = re.findall(r"^https://\S+git-pull\S+$", TEXTS["README.md"], re.MULTILINE)
    parts = parse_qs(urlparse(link).query)
    assert parts["repo"] == [REPOSITORY]
    folder, _, path = parts["urlpath"][0].removesuffix("?autodecode").removeprefix("lab/tree/").partition("/")
    assert folder == FOLDER
    assert (ROOT / path).is_file()
    (lines,) = re.findall(r"```python\n(from pathlib.*?)```", TEXTS["README.md"], re.DOTALL)
    made = subprocess.run(["python3", "-c", lines], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    assert [parse_qs(urlparse(each).query) for each in made if "00_start_here" in each] == [parts]


def test_files_that_texts_name_exist():
    for name, text in [*TEXTS.items(), ("classroom.py", BENCHMARK)]:
        for path in re.findall(r"(?<![\w/.-])(?:docs|tools|benchmarks|notebooks)/[\w/]+\.\w+", text):
            assert (ROOT / path).exists(), (name, path)
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXTS["README.md"]):
        assert (PLACE / target).exists(), target


def test_no_file_names_a_host_of_a_registry_or_a_secret():
    allowed = {"hub.example.org", "registry.example.org", "github.com", "tljh.jupyter.org", "z2jh.jupyter.org"}
    allowed |= {"nbgitpuller.readthedocs.io"}
    for name, text in [*TEXTS.items(), ("classroom.py", BENCHMARK)]:
        for host in re.findall(r"https?://([a-z][\w.-]*\.[a-z]+)", text):
            assert host in allowed, (name, host)
        assert not re.search(r"(?:password|token|secret): *\S", text), name
