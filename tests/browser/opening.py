"""What the browser tests open: a folder of pages, a JupyterLab; and how they look for barriers."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# What axe-core finds at these levels of the accessibility guidelines (WCAG 2.2) must be mended.
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def barriers(page, axe: str) -> list[str]:
    """What axe-core finds on a page at level A and AA: rule, what it says, and where, a line each."""
    page.evaluate(axe)
    found = page.evaluate("tags => axe.run(document, { runOnly: { type: 'tag', values: tags } })", AXE_TAGS)
    return [
        f"{violation['id']}: {violation['help']}: {' '.join(map(str, node['target']))}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder; yields its address."""

    class Quiet(SimpleHTTPRequestHandler):
        # As GitHub Pages does. What the live page loads is UTF-16, and has to pass for that all the same.
        extensions_map = SimpleHTTPRequestHandler.extensions_map | {".js": "application/javascript; charset=utf-8"}

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@contextmanager
def microphones(browser, chromium: str, heard: Path) -> Iterator[dict]:
    """Start two browsers: one whose microphone hears the sound file `heard`, one that refuses it."""
    fake = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--use-fake-device-for-media-stream"]
    allowing = [*fake, "--use-fake-ui-for-media-stream", f"--use-file-for-fake-audio-capture={heard}"]
    launch = browser.browser_type.launch
    started = {
        "heard": launch(executable_path=chromium, args=allowing),
        "refused": launch(executable_path=chromium, args=[*fake, "--deny-permission-prompts"]),
    }
    yield started
    for each in started.values():
        each.close()


@contextmanager
def jupyter_lab(folder: Path) -> Iterator[str]:
    """Start a JupyterLab of its own in a folder; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = folder / "jupyter"
    settings = own / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    places = {f"JUPYTER_{kind}_DIR": str(own / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    places |= {"JUPYTERLAB_SETTINGS_DIR": str(own / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(own / "workspaces")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={folder}"]
    command += ["--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, env=os.environ | places, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=1).close()
                break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None, (folder / "lab.log").read_text()
                time.sleep(0.25)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=20)


def run_all_cells(page) -> None:
    """Run the notebook that is open in JupyterLab, as its menu does; does not wait for the end."""
    ready = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
    page.wait_for_function(ready, timeout=60_000)
    page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")


def watch(page):
    """Record what the page asks for, and what it complains about."""
    page.asked, page.complaints = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: message.type == "error" and page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    return page
