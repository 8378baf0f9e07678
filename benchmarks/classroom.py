"""A class on this machine: a JupyterHub, several participants at once, each running a notebook on a server of its own.

JupyterHub and the servers are installed from docs/classroom/server.txt, and configurable-http-proxy from npm, into
build/classroom; the kernels run in .venv, as docs/classroom says. Every participant logs in through the hub's form,
opens an nbgitpuller link, which starts the server and clones the course, opens the notebook in a session, and runs all
its cells through the proxy. It is the way of docs/classroom without its walls: JupyterHub's spawner for trials keeps
no limit of memory and no user from another, and all addresses are on the loopback interface.

Printed are seconds and peak memory, of each participant (server and kernel) and of all with the hub. "Resident" counts
what processes share once in each; "own" is what one alone would have to keep, which is what a limit kills for;
"together" counts what is shared once. Goal: own memory below the 2 GiB of docs/classroom. On a machine that does other
work, times mean little. Needs Linux, git, npm, and what `make` installs. Run it as

    python benchmarks/classroom.py [--participants 3] [--notebook 05b]
"""

import argparse
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlencode

import psutil
import requests
import websocket  # jupyter-server brings it

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "build" / "classroom"
HUB = PLACE / "hub" / "bin"
COURSE = "dl4mir-course"  # the folder of a participant's clone
GIB = 2**30
LIMIT_GIB = 2
ENVIRONMENT = {
    "JUPYTER_PATH": os.pathsep.join(str(path / "share" / "jupyter") for path in (PLACE / "kernel", ROOT / ".venv")),
    "DL4MIR_DATA": str(PLACE / "data"),
    "TF_NUM_INTRAOP_THREADS": "2",
    "TF_NUM_INTEROP_THREADS": "2",
    "OMP_NUM_THREADS": "2",
}
CONFIGURATION = """
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.command = [{proxy!r}]
c.JupyterHub.log_level = "WARN"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = {password!r}
c.Authenticator.allowed_users = {participants!r}
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r}
c.Spawner.cmd = [{server!r}]
c.Spawner.args = {arguments!r}
c.Spawner.default_url = "/lab"
c.Spawner.start_timeout = 120
c.Spawner.http_timeout = 120
c.Spawner.environment.update({environment!r})
c.JupyterHub.services = [{{"name": "measure", "api_token": {password!r}}}]
c.JupyterHub.load_roles = [{{"name": "measure", "services": ["measure"], "scopes": ["access:servers", "servers"]}}]
"""


def run(*command):
    """Run a program; what it says is shown only if it fails."""
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"This failed: {' '.join(map(str, command))}\n{done.stdout[-2000:]}")


def install():
    """Put hub, servers, proxy and kernel into build/classroom, if they are not there."""
    for program in ("git", "npm"):
        if not shutil.which(program):
            sys.exit(f"This needs {program}: install it, then run the same command again.")
    if not (HUB / "python").exists():
        run(sys.executable, "-m", "venv", HUB.parent)
    run(HUB / "python", "-m", "pip", "install", "--quiet", "--requirement", ROOT / "docs" / "classroom" / "server.txt")
    run("npm", "install", "--silent", "--no-save", "--prefix", PLACE / "proxy", "configurable-http-proxy@^5")
    kernel = ["--prefix", PLACE / "kernel", "--name", "python3", "--display-name", "Python 3 (DL4MIR)"]
    run(sys.executable, "-m", "ipykernel", "install", *kernel, "--env", "PYTHONPATH", "${HOME}/" + COURSE)
    for name in (COURSE, "homes", "data"):  # of an earlier run
        shutil.rmtree(PLACE / name, ignore_errors=True)
    (PLACE / "data").mkdir()
    run("git", "clone", "--quiet", "--bare", "--depth", "1", f"file://{ROOT}", PLACE / COURSE)


def free_ports(count):
    """Return ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def hub(participants):
    """Start the hub; yields its process, its address and the password of all."""
    port, hub_port, proxy_port = free_ports(3)
    password = secrets.token_hex(16)
    config = PLACE / "jupyterhub_config.py"
    config.write_text(
        CONFIGURATION.format(
            port=port,
            hub_port=hub_port,
            proxy_port=proxy_port,
            proxy=str(PLACE / "proxy" / "node_modules" / ".bin" / "configurable-http-proxy"),
            password=password,
            participants=set(participants),
            homes=str(PLACE / "homes" / "{username}"),
            server=str(HUB / "jupyterhub-singleuser"),
            arguments=["--allow-root"] if os.geteuid() == 0 else [],
            environment=ENVIRONMENT,
        )
    )
    for old in PLACE.glob("jupyterhub.sqlite*"):
        old.unlink()
    address = f"http://127.0.0.1:{port}"
    with (PLACE / "hub.log").open("w") as log:
        command = [HUB / "python", "-m", "jupyterhub", "--config", config]
        process = subprocess.Popen(list(map(str, command)), cwd=PLACE, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: reachable(f"{address}/hub/login"), 120, process)
            yield process, address, password
        finally:
            process.terminate()  # it stops servers and proxy, too
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)


def reachable(address):
    with suppress(requests.ConnectionError):
        return requests.get(address, timeout=10).ok
    return False


def wait_until(ready, seconds, process=None):
    end = time.monotonic() + seconds
    while not ready():
        if process and process.poll() is not None:
            sys.exit(f"The hub has ended: read {PLACE / 'hub.log'}.")
        if time.monotonic() > end:
            sys.exit(f"Nothing happened for {seconds} s: read {PLACE / 'hub.log'}.")
        time.sleep(0.5)


class Memory(threading.Thread):
    """Looks at all processes of the hub every half second.

    Attributes
    ----------
    resident, own : dict of str to int
        Peak of each participant in bytes, of server and kernel together.
    together : int
        Peak of all, the hub and the proxy among them, with what is shared counted once.
    resident_sum : int
        The same with what is shared counted in each.
    """

    def __init__(self, process):
        super().__init__(daemon=True)
        self.process, self.stopped = psutil.Process(process.pid), threading.Event()
        self.resident, self.own, self.servers, self.together, self.resident_sum = {}, {}, {}, 0, 0

    def run(self):
        """Look, until told to stop."""
        while not self.stopped.wait(0.5):
            resident, own, together = {}, {}, 0
            for process in [self.process, *self.process.children(recursive=True)]:
                with suppress(psutil.Error, OSError):
                    who = process.environ().get("JUPYTERHUB_USER", "")
                    size, parts = process.memory_info(), process.memory_full_info()
                    resident[who] = resident.get(who, 0) + size.rss
                    own[who] = own.get(who, 0) + size.rss - size.shared
                    together += parts.pss
                    if "jupyterhub-singleuser" in " ".join(process.cmdline()):
                        self.servers[who] = max(self.servers.get(who, 0), size.rss)
            for who, size in resident.items():
                self.resident[who] = max(self.resident.get(who, 0), size)
                self.own[who] = max(self.own.get(who, 0), own[who])
            self.together = max(self.together, together)
            self.resident_sum = max(self.resident_sum, sum(resident.values()))

    def stop(self):
        """Look no more."""
        self.stopped.set()
        self.join()


class Participant:
    """Somebody in the class, seen from the browser.

    Parameters
    ----------
    name : str
    address : str
        Of the hub.
    password : str
        Of the participant, and of the hub's interface for programs.
    """

    def __init__(self, name, address, password):
        self.name, self.address, self.password = name, address, password
        self.server = f"{address}/user/{name}"
        self.api = requests.Session()
        self.api.headers["Authorization"] = f"token {password}"

    def open_link(self, notebook):
        """Log in by opening an nbgitpuller link: the hub starts the server; then fetch the course. Returns seconds."""
        begin = time.monotonic()
        repository = {"repo": f"file://{PLACE / COURSE}", "depth": 1}
        shown = {"urlpath": f"lab/tree/{COURSE}/notebooks/{notebook}"}
        link = f"{self.address}/hub/user-redirect/git-pull?{urlencode(repository | shown)}"
        browser = requests.Session()
        page = browser.get(link)  # the form to log in
        form = {"username": self.name, "password": self.password, "_xsrf": browser.cookies.get("_xsrf", path="/hub/")}
        page = browser.post(page.url, data=form)

        def arrived():
            nonlocal page
            page = browser.get(link)
            return page.ok and page.url.startswith(f"{self.server}/git-pull")

        wait_until(arrived, 180)
        assert "nbgitpuller" in page.text or "git-pull" in page.text, page.text
        # What the script of that page does.
        said = self.api.get(f"{self.server}/git-pull/api?{urlencode(repository)}").text
        assert '"phase": "finished"' in said, said
        return time.monotonic() - begin

    def see_lab(self):
        """Return whether JupyterLab knows the course's kernel, and the browser's part of its widgets."""
        page = self.api.get(f"{self.server}/lab/tree/{COURSE}/notebooks").text
        kernels = self.api.get(f"{self.server}/api/kernelspecs").json()["kernelspecs"]
        return all(part in page for part in ("anywidget", "@jupyter-widgets/jupyterlab-manager")) and (
            kernels["python3"]["spec"]["display_name"] == "Python 3 (DL4MIR)"
        )

    def run(self, notebook):
        """Run all cells as JupyterLab does. Returns seconds and the first error, or ""."""
        begin = time.monotonic()
        path = f"{COURSE}/notebooks/{notebook}"
        cells = self.api.get(f"{self.server}/api/contents/{path}").json()["content"]["cells"]
        wish = {"path": path, "name": notebook, "type": "notebook", "kernel": {"name": "python3"}}
        session = self.api.post(f"{self.server}/api/sessions", json=wish).json()
        channels = f"{self.server}/api/kernels/{session['kernel']['id']}/channels".replace("http", "ws", 1)
        error = ""
        socket_to_kernel = websocket.create_connection(
            channels, header=[f"Authorization: token {self.password}"], timeout=600
        )
        try:
            python, package = execute(socket_to_kernel, WHERE).split()
            assert Path(python).parent.resolve() == Path(sys.executable).parent.resolve(), python
            assert Path(package).is_relative_to(PLACE / "homes" / self.name / COURSE), package
            sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
            for number, source in enumerate(sources, 1):
                try:
                    execute(socket_to_kernel, source)
                except RuntimeError as wrong:
                    error = f"code cell {number}: {wrong}"
                    break
        finally:
            socket_to_kernel.close()
            self.api.delete(f"{self.server}/api/sessions/{session['id']}")
        return time.monotonic() - begin, error

    def leave(self):
        """Stop the server."""
        self.api.delete(f"{self.address}/hub/api/users/{self.name}/server")


WHERE = "import sys, dl4mir_utils; print(sys.executable, dl4mir_utils.__file__)"


def decoded(received):
    """Return a kernel's message; one with the sound of a widget is binary: a count, offsets, JSON, then the sound."""
    if isinstance(received, bytes):
        count, first, second = (int.from_bytes(received[place : place + 4], "big") for place in (0, 4, 8))
        received = received[first : second if count > 1 else None]
    return json.loads(received)


def execute(kernel, source):
    """Run one cell over the channels of a kernel; return what it printed. A RuntimeError says what went wrong."""
    sent = uuid.uuid4().hex
    header = {"msg_id": sent, "msg_type": "execute_request", "username": "", "session": sent, "version": "5.3"}
    content = {"code": source, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    kernel.send(json.dumps(message))
    printed, answered, idle = "", None, False
    while not (answered and idle):
        got = decoded(kernel.recv())
        if got["parent_header"].get("msg_id") != sent:
            continue
        if got["msg_type"] == "stream" and got["content"]["name"] == "stdout":
            printed += got["content"]["text"]
        answered = got["content"] if got["msg_type"] == "execute_reply" else answered
        idle = idle or (got["msg_type"] == "status" and got["content"]["execution_state"] == "idle")
    if answered["status"] != "ok":
        raise RuntimeError(f"{answered.get('ename', answered['status'])}: {answered.get('evalue', '')}")
    return printed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--participants", type=int, default=3)
    parser.add_argument("--notebook", default="05b")
    asked = parser.parse_args()
    found = sorted((ROOT / "notebooks").glob(f"{asked.notebook}_*.ipynb"))
    if not found:
        parser.error(f"There is no notebook {asked.notebook}.")
    notebook = found[0].name
    if Path(sys.prefix).resolve() != (ROOT / ".venv").resolve():
        parser.error("Run it with the course's own Python: .venv/bin/python benchmarks/classroom.py")
    names = [f"participant{number}" for number in range(1, asked.participants + 1)]

    begin = time.monotonic()
    install()
    print(f"hub, servers and proxy are in build/classroom ({time.monotonic() - begin:.0f} s)")
    with hub(names) as (process, address, password), ThreadPoolExecutor(len(names)) as pool:
        memory = Memory(process)
        memory.start()
        room = [Participant(name, address, password) for name in names]
        opened = list(pool.map(lambda one: one.open_link(notebook), room))
        lab = list(pool.map(Participant.see_lab, room))
        idle = dict(memory.own)
        ran = list(pool.map(lambda one: one.run(notebook), room))
        memory.stop()
        for one in room:
            one.leave()

    print(f"{len(names)} at once run {notebook} ({os.cpu_count()} cores)\n")
    print("                link, s   notebook, s   server, GiB   resident, GiB   own, GiB")
    for name, seconds, (running, error) in zip(names, opened, ran, strict=True):
        sizes = memory.servers[name] / GIB, memory.resident[name] / GIB, memory.own[name] / GIB
        print(f"{name:14s} {seconds:8.0f} {running:13.0f} {sizes[0]:13.2f} {sizes[1]:15.2f} {sizes[2]:10.2f}  {error}")
    print(f"\nhub and proxy: {memory.resident[''] / GIB:.2f} GiB; a server that nobody uses: ", end="")
    print(f"{max(idle[name] for name in names) / GIB:.2f} GiB of its own")
    print(f"all at their peak: {memory.together / GIB:.2f} GiB together ({memory.resident_sum / GIB:.2f} GiB resident)")
    most = max(memory.own[name] for name in names) / GIB
    print(f"own memory {most:.2f} GiB, goal < {LIMIT_GIB} GiB: {'met' if most < LIMIT_GIB else 'MISSED'}")
    print(f"kernel and widgets in JupyterLab: {'as they should be' if all(lab) else 'MISSING'}")
    if not all(lab) or any(error for _, error in ran):
        sys.exit(1)


if __name__ == "__main__":
    main()
