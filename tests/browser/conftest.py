"""The browser of these tests, a Chromium of the system, and axe-core. Where they cannot be had, tests are skipped."""

import json
import shutil
from pathlib import Path

import pytest

from dl4mir_utils.live.build import npm_packages

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HERE = Path(__file__).parent


def chromium_path() -> str | None:
    """Where the system's Chromium or Chrome is, if there is one; benchmarks ask, too."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="module", autouse=True)
def chromium():
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `test`)")
    return chromium_path() or pytest.skip("there is no Chromium or Chrome on this machine")


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
    wanted = json.loads((HERE / "package-lock.json").read_text("utf-8"))["packages"]["node_modules/axe-core"]["version"]

    def complete(modules: Path) -> bool:
        description = modules / "axe-core" / "package.json"
        return description.exists() and json.loads(description.read_text("utf-8"))["version"] == wanted

    if not complete(HERE / "node_modules") and not shutil.which("npm"):
        pytest.skip("axe-core is not here, and neither is npm to fetch it")
    if reason := npm_packages(HERE, HERE, complete):
        pytest.skip(f"npm could not fetch axe-core: {reason}")
    return (HERE / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")
