"""Set up `.venv`: everything the course needs, in this folder and nowhere else.

    python3 tools/course/setup_env.py

Returns at once when `.venv` is complete. The stamp `.venv/dl4mir.json` is written last, so an interrupted set-up is
seen and started again (downloads are kept). Environment variables: PYTHON=python3.12 chooses the Python, GPU=1 the
TensorFlow for NVIDIA cards (GPU=0 goes back; the choice is remembered), PIP_NO_INDEX=1 PIP_FIND_LINKS=wheels installs
from a folder without network.

This file uses the standard library only and still starts on Python 3.8, so that it can say what is wrong.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
STAMP = VENV / "dl4mir.json"
VENV_PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
VERSIONS = ("3.12", "3.13", "3.11")  # in the order in which they are looked for; the same range as in pyproject.toml
DISK_GB = {"requirements.lock": 4, "requirements-gpu.lock": 9}

PROBE = (
    "import platform, struct, sys;"
    "print(getattr(sys, '_base_executable', None) or sys.executable, '%d.%d' % sys.version_info[:2],"
    "sys.platform, platform.machine(), 8 * struct.calcsize('P'), sep='\\n')"
)

NO_INDEX = """The package index cannot be reached, so the course could not be installed.
  - No network? Connect and run the same command again; what was downloaded is kept.
  - Behind a proxy? Set HTTPS_PROXY=http://NAME:PORT (and PIP_CERT if it has its own certificate), then run it again.
  - No network at all? Install from a folder of wheels, see "Offline classroom" in README.md:
    PIP_NO_INDEX=1 PIP_FIND_LINKS=wheels"""
BAD_HASH = """A downloaded file is not the one that the lock names: a broken download, or a proxy that changes files.
Run the same command again with PIP_NO_CACHE_DIR=1 in front of it."""
NO_SPACE = (
    "The disk is full. Free some space (TMPDIR=FOLDER moves pip's temporary files) and run the same command again."
)
NO_WHEEL = """%s could not be found for this machine.
  - Installing from a folder of wheels? Fill it on the same operating system, processor and Python version.
  - Otherwise this kind of machine may not be supported: see "Install" in README.md."""


class SetupError(Exception):
    """What is wrong and what to do about it, in words for the reader."""


def probe(command):
    """Ask a Python (a command as a list) for executable, version, platform, machine, bits; None if it cannot start."""
    try:
        answer = subprocess.run([*command, "-c", PROBE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return tuple(answer.stdout.decode().split("\n")[:5])


def complaint(version, system, machine, bits):
    """Why this Python cannot run the course, or ""."""
    if version not in VERSIONS:
        return f"it is Python {version}"
    if bits != "64":
        return "it is a 32-bit Python"
    if system == "darwin" and machine == "x86_64":
        return "TensorFlow 2.20 does not exist for Intel Macs (on an Apple-silicon Mac, install an arm64 Python)"
    if system == "win32" and machine.upper() != "AMD64":
        return "TensorFlow does not exist for Windows on ARM (an x86-64 Python works there)"
    return ""


def find_python(chosen=""):
    """Return (executable, version) of the Python to build on: the chosen one, or the first that fits."""
    if chosen:
        commands = [[chosen]]
    else:
        commands = [[sys.executable]] + [["python" + v] for v in VERSIONS] + [["python3"], ["python"]]
        if os.name == "nt":
            commands += [["py", "-" + v] for v in VERSIONS]
    refused = []
    for command in commands:
        found = probe(command)
        why = complaint(*found[1:]) if found else "it does not start"
        if not why:
            return found[:2]
        if found or chosen:
            refused.append(f"  {found[0] if found else chosen}: {why}")
    raise SetupError(
        "The course needs Python 3.11, 3.12 or 3.13 (64 bit). Found here:\n" + "\n".join(dict.fromkeys(refused)) + "\n"
        "Install one (your system's packages, conda, pyenv or python.org), then run the same command again,\n"
        "or say which to use: PYTHON=/path/to/python3.12"
    )


def read_stamp():
    try:
        return json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}


def digest(*paths):
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def check_disk(lock):
    free, needed = shutil.disk_usage(ROOT).free / 1e9, DISK_GB[lock]
    if free < needed:
        raise SetupError(
            f"Not enough disk space: the course needs about {needed} GB, and {free:.1f} GB are free in this folder.\n"
            "Free some space, or move the whole folder to a larger disk."
        )


def create_venv(python):
    if VENV.exists() and any(VENV.iterdir()) and not (VENV / "pyvenv.cfg").exists():
        raise SetupError("The folder .venv is no Python environment: move it away, then run the same command again.")
    made = subprocess.run(
        [python, "-m", "venv", "--clear", str(VENV)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if made.returncode:
        raise SetupError(
            "Python could not create the environment .venv. On Debian and Ubuntu, install its missing part:\n"
            "  sudo apt install python3-venv\nWhat it said:\n" + made.stdout.decode(errors="replace")[-1500:]
        )


def explain(output):
    """Turn pip's output after a failure into what is wrong and what to do."""
    if "No space left" in output or "[Errno 28]" in output:
        return NO_SPACE
    if "DO NOT MATCH THE HASHES" in output:
        return BAD_HASH
    # Without retries pip names no connection error: then not even the first package has a version.
    nothing_came = "from versions: none" in output and not re.search("Downloading|Using cached", output)
    if nothing_came and not os.environ.get("PIP_NO_INDEX"):
        return NO_INDEX
    if re.search(r"connection broken by|ConnectionError|Read timed out|SSLError|ProxyError", output):
        return NO_INDEX
    missing = re.search(r"No matching distribution found for (\S+)", output)
    if missing:
        return NO_WHEEL % missing.group(1)
    return "The installation failed. The end of what pip said:\n" + "\n".join(output.splitlines()[-15:])


def pip(arguments, total=0):
    """Run the environment's pip; with `total` packages to come, show how far it is."""
    command = [str(VENV_PYTHON), "-I", "-m", "pip", "install", "--no-deps", "--disable-pip-version-check", *arguments]
    process = subprocess.Popen(
        command, cwd=str(ROOT), env=dict(os.environ, PIP_USER="0"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, seen = [], 0
    for raw in process.stdout:
        line = raw.decode(errors="replace").rstrip()
        output.append(line)
        seen += line.startswith(("Collecting ", "Ignoring ", "Requirement already satisfied"))
        if total and line.startswith("Collecting ") and sys.stdout.isatty():
            print(f"\r\033[K  {seen:3d} of {total}  {line.split()[1]}", end="", flush=True)
        elif total and re.search(r"Downloading .*\([\d.]+ [GM]B\)", line) and sys.stdout.isatty():
            print(" " + line[line.rindex("(") :], end="", flush=True)
        elif total and line.startswith("Installing collected"):
            print(("\r\033[K" if sys.stdout.isatty() else "") + "  all here; installing (about a minute)", flush=True)
    if process.wait():
        if sys.stdout.isatty():
            print()
        raise SetupError(explain("\n".join(output)))


def main():
    start = time.time()
    stamp, chosen = read_stamp(), os.environ.get("PYTHON", "")
    python, version = find_python(chosen) if chosen else ("", stamp.get("python"))
    locks = {"0": "requirements.lock", "1": "requirements-gpu.lock"}
    lock = locks.get(os.environ.get("GPU", ""), stamp.get("lock", locks["0"]))
    built = {"lock": lock, "folder": str(VENV), "python": version}  # if one of these changes, start from nothing
    inputs = digest(ROOT / lock, ROOT / "pyproject.toml")  # if these change, bring it up to date
    usable = VENV_PYTHON.exists() and all(stamp.get(key) == value for key, value in built.items())
    if usable and stamp.get("inputs") == inputs:
        return
    if not usable:
        if not python:
            python, version = find_python()
        check_disk(lock)
        print(f"Setting up .venv with Python {version} (once; it takes a few minutes and {DISK_GB[lock]} GB)")
        create_venv(python)
    else:
        print(f"Bringing .venv up to date with {lock}")
        STAMP.unlink()
    total = len(re.findall(r"^[\w.-]+==", (ROOT / lock).read_text(), re.MULTILINE))
    pip(["--only-binary", ":all:", "--require-hashes", "-r", lock], total)
    pip(["--no-build-isolation", "--no-index", "-e", "."])
    STAMP.write_text(json.dumps(dict(built, python=version, inputs=inputs)))
    print(f"  .venv is ready ({time.time() - start:.0f} s)")


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        sys.exit(f"\n{error}\n")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. Run the same command again: it starts over, with the downloads kept.\n")
