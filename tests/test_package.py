import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dl4mir_utils
from dl4mir_utils import AudioDecodeError, BadArgumentError, DataNotFoundError, Dl4mirError

REPOSITORY = Path(__file__).parents[1]


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)


def test_version_is_the_projects():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert dl4mir_utils.__version__ == project["version"]


def test_import_is_light():
    heavy = "{'tensorflow', 'keras', 'matplotlib', 'librosa', 'sklearn'}"
    assert run_python(f"import sys, dl4mir_utils.data; print({heavy} & set(sys.modules))").stdout == "set()\n"


def test_setup_prints_one_line_and_training_is_quiet():
    done = run_python(
        "import dl4mir_utils; dl4mir_utils.setup(seed=3)\n"
        "import keras, numpy, random, tensorflow\n"
        "print(random.random(), numpy.random.rand(), float(tensorflow.random.uniform(())))\n"
        "model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])\n"
        "model.compile('sgd', 'mse')\n"
        "model.fit(numpy.zeros((8, 4)), numpy.zeros(8), verbose=0)\n"
        "dl4mir_utils.setup(seed=3)\n"
        "print(random.random(), numpy.random.rand(), float(tensorflow.random.uniform(())))\n"
    )
    first, drawn, again, drawn_again = done.stdout.splitlines()
    assert first == again
    assert first.startswith("Python 3.")
    assert "TensorFlow 2." in first
    assert first.endswith("seed 3")
    assert drawn == drawn_again
    assert done.stderr == ""


def test_quiet_native_drops_only_what_comes_inside():
    done = run_python(
        "import os\n"
        "from dl4mir_utils.environment import quiet_native\n"
        "os.write(2, b'before ')\n"
        "with quiet_native():\n"
        "    os.write(2, b'inside ')\n"
        "os.write(2, b'after')\n"
    )
    assert done.stderr == "before after"


@pytest.mark.parametrize(
    "error",
    [BadArgumentError("what to do"), DataNotFoundError("what to do"), AudioDecodeError({"clip1": "what to do"})],
)
def test_notebooks_show_the_message_alone(error):
    from IPython.core.interactiveshell import InteractiveShell

    shown = []
    shell = InteractiveShell.instance()
    shell._showtraceback = lambda etype, value, lines: shown.extend(lines)
    shell.user_ns["error"] = error
    shell.run_cell("raise error")
    assert shown == [f"{type(error).__name__}: {error}"]
    assert "what to do" in shown[0]
    assert isinstance(error, Dl4mirError)
    InteractiveShell.clear_instance()
