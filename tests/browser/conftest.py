"""The browser of these tests, a Chromium of the system, and axe-core. Where they cannot be had, tests are skipped."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HERE = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def chromium():
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `test`)")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    return path or pytest.skip("there is no Chromium or Chrome on this machine")


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        try:
            arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
            started = playwright.chromium.launch(executable_path=chromium, args=arguments)
        except Error as error:
            pytest.skip(f"{chromium} does not start: {str(error).splitlines()[0]}")
        yield started
        started.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core, which looks for what keeps people out; from npm, in the version of the lock."""
    script = HERE / "node_modules" / "axe-core" / "axe.min.js"
    wanted = json.loads((HERE / "package-lock.json").read_text("utf-8"))["packages"]["node_modules/axe-core"]["version"]
    description = script.with_name("package.json")
    if not description.exists() or json.loads(description.read_text("utf-8"))["version"] != wanted:
        npm = shutil.which("npm") or pytest.skip("axe-core is not here, and neither is npm to fetch it")
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=300)
        if done.returncode:
            pytest.skip(f"npm could not fetch axe-core: {done.stderr.strip().splitlines()[-1:]}")
    return script.read_text("utf-8")
