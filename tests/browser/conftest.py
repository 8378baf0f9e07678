"""The browser of these tests: a Chromium of the system. Where there is none, they are skipped."""

import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


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
