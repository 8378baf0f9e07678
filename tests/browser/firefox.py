"""Firefox for the tests: started without a window, and told what to do in WebDriver BiDi, which it speaks itself."""

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EVENTS = ["network.beforeRequestSent", "log.entryAdded"]
PREFERENCES = {
    "media.autoplay.default": 0,  # sound may be played
    "media.cubeb.force_mock_context": True,  # the machine may have no device for sound, and then none would run
    "media.navigator.permission.disabled": True,  # nobody is there to answer whether the microphone may be used
    "media.navigator.streams.fake": True,  # a microphone that hears a tone
    "media.navigator.audio.fake_frequency": 440,  # Hz
    # It asks for nothing of its own: no updates, no lists, no page of welcome.
    "app.update.enabled": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}
START_S = 60


@contextmanager
def firefox(path: str, folder: Path, **preferences: object) -> Iterator["Page"]:
    """Start Firefox with a new profile in `folder`; yields its one page."""
    lines = [f'user_pref("{name}", {json.dumps(value)});' for name, value in (PREFERENCES | preferences).items()]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "user.js").write_text("\n".join(lines), "utf-8")
    command = [path, "--headless", "--no-remote", "--profile", str(folder), "--remote-debugging-port", "0"]
    with (folder / "firefox.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        page = Page(_port(folder / "WebDriverBiDiServer.json", process))
        yield page
        page.socket.close()
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port(file: Path, process: subprocess.Popen) -> int:
    """Return where it listens, which it writes into its profile."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            return json.loads(file.read_text("utf-8"))["ws_port"]
        except (OSError, ValueError):
            time.sleep(0.1)
    raise RuntimeError(f"Firefox does not start: {(file.parent / 'firefox.log').read_text('utf-8')[-500:]}")


class Page:
    """The page that is open in Firefox: what it asked for, and what it complained about."""

    def __init__(self, port: int):
        import websocket

        # Firefox talks to nobody who says that a page of the web has sent him.
        self.socket = websocket.create_connection(
            f"ws://127.0.0.1:{port}/session", suppress_origin=True, timeout=START_S
        )
        self.count = 0
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.send("session.new", capabilities={})
        self.send("session.subscribe", events=EVENTS)
        self.context = self.send("browsingContext.getTree")["contexts"][0]["context"]

    def send(self, method: str, **parameters: object) -> dict:
        """Give an order, and wait for the answer; notes what happens meanwhile."""
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": parameters}))
        while True:
            said = json.loads(self.socket.recv())
            if said["type"] == "event":
                self._note(said["method"], said["params"])
            elif said["id"] == self.count:
                assert said["type"] == "success", f"{method}: {said.get('message')}"
                return said["result"]

    def _note(self, event: str, what: dict) -> None:
        if event == "network.beforeRequestSent":
            self.asked.append(what["request"]["url"])
        elif what["level"] == "error":
            self.complaints.append(what["text"])

    def open(self, address: str) -> None:
        self.send("browsingContext.navigate", context=self.context, url=address, wait="complete")

    def evaluate(self, script: str) -> object:
        """Return what a function gives, or promises, as JSON can say it."""
        answer = self.send(
            "script.evaluate",
            expression=f"Promise.resolve(({script})()).then((value) => JSON.stringify(value ?? null))",
            target={"context": self.context},
            awaitPromise=True,
            userActivation=True,
        )
        assert answer["type"] == "success", answer["exceptionDetails"]["text"]
        return json.loads(answer["result"]["value"])

    def wait(self, selector: str, seconds: float = 120) -> None:
        """Wait until there is such an element, whether it can be seen or not."""
        self.until(f"document.querySelector({json.dumps(selector)})", selector, seconds)

    def until(self, condition: str, name: str, seconds: float = 120) -> None:
        """Wait until a condition holds, which is an expression; `name` says for what."""
        end = time.monotonic() + seconds
        while not self.evaluate(f"() => Boolean({condition})"):
            assert time.monotonic() < end, f"{name} did not come; {self.complaints}"
            time.sleep(0.05)

    def text(self, selector: str) -> str:
        return self.evaluate(f"() => document.querySelector({json.dumps(selector)}).innerText")

    def texts(self, selector: str) -> list[str]:
        return self.evaluate(f"() => [...document.querySelectorAll({json.dumps(selector)})].map((e) => e.innerText)")

    def click(self, selector: str) -> None:
        self.evaluate(f"() => document.querySelector({json.dumps(selector)}).click()")

    def choose(self, selector: str, path: Path) -> None:
        """Put a file into a field for files."""
        locator = {"type": "css", "value": selector}
        found = self.send("browsingContext.locateNodes", context=self.context, locator=locator)["nodes"]
        element = {"sharedId": found[0]["sharedId"]}
        self.send("input.setFiles", context=self.context, element=element, files=[str(path)])

    def screenshot(self, path: Path) -> None:
        picture = self.send("browsingContext.captureScreenshot", context=self.context, origin="document")
        path.write_bytes(base64.b64decode(picture["data"]))
