"""Run the notebooks of the course.

``python tools/course/course.py run`` runs every notebook in a fresh kernel and writes the HTML course to
``build/course``. ``python tools/course/course.py render`` does the same run but stores the outputs in the notebooks
themselves, if they obey the rules for stored outputs, and updates badges, measured times and the index in the README.
Both take ``--only 05b 00`` to run some notebooks.
"""

import argparse
import json
import math
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from queue import Empty

import course_html
import psutil
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelClient, AsyncKernelManager
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from traitlets import Type, default

import notebooks as nbs
from dl4mir_utils.live.build import build_live

ROOT = Path(__file__).resolve().parents[2]
CELL_TIMEOUT_S = 1800
PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "kapre", "librosa", "numpy", "dl4mir_utils")


# --- one notebook -------------------------------------------------------------------------------------------------


@dataclass
class Run:
    """What one run of a notebook gave."""

    status: str = "ok"
    error: str = ""
    failed_cell: int | None = None
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    date: str = ""
    results: list[dict] = field(default_factory=list)


class _ThisInterpreter(KernelSpecManager):
    """The one kernel of the course: the Python that runs this script, wherever it lies, activated or not."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        spec = get_kernel_dict()
        return KernelSpec(**spec | {"argv": [sys.executable, *spec["argv"][1:]]})


class _Channel(AsyncZMQSocketChannel):
    """A channel that looks again every second whether an answer has come.

    A widget's output makes nbclient send on the channel on which it waits for the kernel's reply. If the reply
    comes at that very moment, on a busy machine, the waiting is not told and would never end.
    """

    async def get_msg(self, timeout: float | None = None) -> dict:
        end = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            try:
                return await super().get_msg(timeout=max(0, min(1, end - time.monotonic())))
            except Empty:
                if time.monotonic() >= end:
                    raise


class _KernelClient(AsyncKernelClient):
    shell_channel_class = Type(_Channel)


class _KernelManager(AsyncKernelManager):
    @default("client_factory")
    def _default_client_factory(self) -> type:
        return _KernelClient

    @default("kernel_spec_manager")
    def _default_kernel_spec_manager(self) -> KernelSpecManager:
        return _ThisInterpreter(parent=self)

    @default("transport_encryption")
    def _default_transport_encryption(self) -> str:
        return "auto"  # where the kernel can do it; without it recent kernels start with a warning


class _PeakMemory(threading.Thread):
    """Watches the memory of all processes that descend from this one, that is the kernel and its workers."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak = 0
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(0.2):
            total = 0
            processes = psutil.Process().children(recursive=True)
            for process in processes:
                try:
                    # What several processes share, such as TensorFlow's code, is in memory once.
                    alone = len(processes) == 1 or not psutil.LINUX
                    total += process.memory_info().rss if alone else process.memory_full_info().pss
                    self.peak = max(self.peak, _high_water_mark(process.pid))
                except (psutil.Error, OSError):  # ended meanwhile
                    continue
            self.peak = max(self.peak, total)

    def stop(self) -> int:
        self._stopped.set()
        self.join()
        return self.peak


def _high_water_mark(pid: int) -> int:
    """Peak resident memory of one process in bytes, which Linux keeps itself; 0 elsewhere."""
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else 0


def run_notebook(nb: NotebookNode, folder: Path, on_cell: Callable[[int], None]) -> Run:
    """Run a notebook from stripped outputs in a fresh kernel; its outputs are filled in place.

    Parameters
    ----------
    nb : NotebookNode
        Notebook, changed in place.
    folder : Path
        Working directory of the kernel.
    on_cell : callable
        Is told the index of each code cell when it starts.

    Returns
    -------
    Run
        Status ``ok`` or ``failed``, the failing code cell (from 1) and its error in one line, seconds, bytes, results.

    Raises
    ------
    KeyboardInterrupt
        If the run was interrupted; the kernel has been stopped then.
    """
    nbs.strip_outputs(nb)
    run = Run(date=datetime.now().astimezone().isoformat(timespec="minutes"))
    current = 0

    def starts(cell: NotebookNode, cell_index: int) -> None:
        nonlocal current
        current += 1
        on_cell(cell_index)

    client = NotebookClient(
        nb,
        kernel_name="python3",
        kernel_manager_class=_KernelManager,
        timeout=CELL_TIMEOUT_S,
        shutdown_kernel="immediate",
        coalesce_streams=True,
        record_timing=False,
        store_widget_state=True,  # pages show the synchronised players from it; notebooks are stored without
        on_cell_execute=starts,
        resources={"metadata": {"path": str(folder)}},
    )
    memory = _PeakMemory()
    memory.start()
    start = time.monotonic()
    try:
        client.execute()
    except Exception as error:
        # nbclient catches the interrupt itself, stops the kernel, and then fails over the missing kernel.
        if hasattr(client, "_async_cleanup_kernel_future"):
            raise KeyboardInterrupt from None
        run.error = _explain(error)
        client.set_widgets_metadata()  # nbclient does it only at a good end
    finally:
        run.peak_memory_bytes = memory.stop()
    run.seconds = round(time.monotonic() - start, 1)
    if run.error:
        run.status, run.failed_cell = "failed", current
    outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
    run.results = [o.data[nbs.RESULTS_MIME] for o in outputs if nbs.RESULTS_MIME in o.get("data", {})]
    return run


def _explain(error: Exception) -> str:
    """Say in one line why a run ended early."""
    match error:
        case CellExecutionError():
            return nbs.one_line(f"{error.ename}: {error.evalue}")
        case CellTimeoutError():
            return f"took longer than {CELL_TIMEOUT_S // 60} minutes"
        case DeadKernelError():
            return "the kernel died (out of memory?)"
        case _:
            return nbs.one_line(f"{type(error).__name__}: {error}")


# --- progress on the terminal -------------------------------------------------------------------------------------


class Reporter:
    """Says which notebook and which cell is running: a live bar on a terminal, a line a section elsewhere."""

    def __init__(self, total: int):
        # Lines that go to a file or a log must not be wrapped at 80 columns.
        self.console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
        self.total = total
        self.count = 0

    def run(self, path: Path, nb: NotebookNode, folder: Path) -> Run:
        """Run one notebook and report on it."""
        self.count += 1
        name = f"[{self.count}/{self.total}] {path.stem}"
        code = [i for i, cell in enumerate(nb.cells) if cell.cell_type == "code" and cell.source.strip()]
        with Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[doing]}", markup=False),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        ) as bar:
            task = bar.add_task(name, total=len(code), doing="starting the kernel")
            if not self.console.is_terminal:
                self._say(f"{name}: {nbs.title(nb)} ({len(code)} cells)")
            start, last = time.monotonic(), ""

            def on_cell(index: int) -> None:
                nonlocal last
                number = code.index(index)
                heading = _heading_above(nb, index)
                bar.update(task, completed=number, doing=nbs.one_line(_first_line(nb.cells[index]), 60))
                if not self.console.is_terminal and heading != last:
                    self._say(f"    cell {number + 1}/{len(code)}  {time.monotonic() - start:5.0f} s  {heading}")
                last = heading

            run = run_notebook(nb, folder, on_cell)
        cost = f"{nbs.duration_text(run.seconds)}, {nbs.memory_text(run.peak_memory_bytes)} peak memory"
        if run.status == "ok":
            self._say(f"{name}: done in {cost}")
        else:
            source = _first_line(nb.cells[code[run.failed_cell - 1]]) if run.failed_cell else "(before the first cell)"
            self._say(f"{name}: FAILED at cell {run.failed_cell} of {len(code)} after {cost}")
            self._say(f"        {nbs.one_line(source)}\n    {run.error}")
        return run

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False)


def _heading_above(nb: NotebookNode, index: int) -> str:
    """Nearest heading of first or second order above a cell."""
    for cell in reversed(nb.cells[:index]):
        if cell.cell_type == "markdown" and (found := re.findall(r"^##? (.+)", cell.source, re.MULTILINE)):
            return found[-1]
    return ""


def _first_line(cell: NotebookNode) -> str:
    return next(line for line in cell.source.splitlines() if line.strip())


# --- run: the HTML course -----------------------------------------------------------------------------------------


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that it is either the old one or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode("utf-8") if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        # mkstemp makes files private; give the mode that any other new or the replaced file has.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide about the results."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _cards(root: Path, runs: dict[str, Run]) -> list[dict]:
    """One dictionary a notebook: what the index page and results.json say of it."""
    cards = []
    for path in nbs.notebook_paths(root):
        nb = nbs.read(path)
        run = runs.get(path.name, Run(status="not run"))
        card = {"id": nbs.notebook_id(path), "file": path.name, "title": nbs.title(nb), "promise": nbs.promise(nb)}
        cards.append(card | asdict(run))
    return cards


def write_notebook_page(root: Path, path: Path, nb: NotebookNode, run: Run) -> None:
    build = root / "build" / "course"
    # The page shows what this run took, not what stands in the stored notebook.
    nbs.fill_measured(nb, nbs.measured_text(run.seconds, run.peak_memory_bytes))
    if (build / "live.html").exists():  # beside this page, so that the link works without a network
        address = nbs.pages_address(nbs.repository_url(root)) + "live.html"
        nb.cells[0].source = nb.cells[0].source.replace(address, "live.html")
    nbs.embed_players(nb)
    sounds = nbs.extract_sound(nb, path.stem)
    cells, sections = course_html.notebook_cells(nb, path.parent)
    order = [(p.with_suffix(".html").name, nbs.title(nbs.read(p))) for p in nbs.notebook_paths(root)]
    here = [name for name, _ in order].index(path.with_suffix(".html").name)
    html = course_html.page(
        "notebook.html.j2",
        title=nbs.title(nb),
        cells=cells,
        sections=sections,
        run=run,
        previous=order[here - 1] if here else None,
        following=order[here + 1] if here + 1 < len(order) else None,
        current="notebook",
        **_shared(root),
    )
    for name, data in sounds.items():
        write_atomically(build / "sound" / name, data)
    write_atomically(build / path.with_suffix(".html").name, html)
    for old in (build / "sound").glob(f"{path.stem}-*"):
        if old.name not in sounds:
            old.unlink()


def _tables(root: Path) -> list[Path]:
    """Tables of what the course holds of other people's sound."""
    return sorted((root / "data" / "mini").glob("*.csv"))


def _glossary(root: Path) -> Path:
    return root / "docs" / "glossary.md"


def _shared(root: Path) -> dict[str, bool]:
    """Which pages there are beside the notebooks': what the head of every page links to."""
    live = (root / "build" / "course" / "live.html").exists()
    return {"attribution": bool(_tables(root)), "glossary": _glossary(root).exists(), "live": live}


def write_site(root: Path, runs: dict[str, Run]) -> None:
    """Write what all pages share: style sheet and script, attribution, glossary, results.json and the index."""
    build = root / "build" / "course"
    cards = _cards(root, runs)
    shared = _shared(root)
    if shared["attribution"]:
        write_atomically(build / "attribution.html", course_html.attribution_page(_tables(root), **shared))
    if shared["glossary"]:
        source = _glossary(root).read_text("utf-8")
        write_atomically(build / "glossary.html", course_html.glossary_page(source, root / "docs", **shared))
    write_atomically(build / "course.css", course_html.style_sheet())
    write_atomically(build / "course.js", (course_html.PAGE_FOLDER / "course.js").read_text("utf-8"))
    site = {
        "date": datetime.now().astimezone().isoformat(timespec="minutes"),
        "cpu_cores": os.cpu_count(),
        "versions": versions(),
        "notebooks": cards,
    }
    write_atomically(build / "results.json", json.dumps(site, indent=1, ensure_ascii=False) + "\n")
    index = course_html.page("index.html.j2", **site, current="index", **shared)
    write_atomically(build / "index.html", index)
    pages = {Path(card["file"]).stem for card in cards}
    for old in build.glob("*.html"):
        if old.stem not in pages | {"index"} | {name for name, there in shared.items() if there}:
            old.unlink()


def _earlier_runs(root: Path) -> dict[str, Run]:
    """Read the runs that an earlier call recorded and whose pages are still there."""
    build = root / "build" / "course"
    try:
        cards = json.loads((build / "results.json").read_text("utf-8"))["notebooks"]
        runs = {card["file"]: Run(**{name: card[name] for name in Run.__dataclass_fields__}) for card in cards}
    except (OSError, ValueError, KeyError):
        return {}
    return {name: run for name, run in runs.items() if (build / name).with_suffix(".html").exists()}


def run_course(root: Path, paths: list[Path]) -> int:
    """Run notebooks and write the HTML course to ``build/course``; the pages of other notebooks stay.

    Returns
    -------
    int
        Exit status: 1 if a notebook failed.
    """
    runs = _earlier_runs(root)
    write_site(root, runs)
    # Before the notebooks, whose pages link to it.
    without_live = build_live(root / "build" / "course") if (root / "dl4mir_utils" / "live").is_dir() else None
    reporter = Reporter(len(paths))
    failed = []
    for path in paths:
        nb = nbs.read(path)
        run = runs[path.name] = reporter.run(path, nb, path.parent)
        if run.status != "ok":
            failed.append(f"{path.name}, cell {run.failed_cell}: {run.error}")
        write_notebook_page(root, path, nb, run)
        write_site(root, runs)
    print(f"The course is in {root / 'build' / 'course' / 'index.html'}")
    if without_live:
        print(without_live, file=sys.stderr)
    if failed:
        print("These notebooks failed:\n  " + "\n  ".join(failed), file=sys.stderr)
    return 1 if failed else 0


# --- render: stored outputs ---------------------------------------------------------------------------------------


def render(root: Path, paths: list[Path]) -> int:
    """Run notebooks and store them executed, each only if it obeys the rules for stored outputs.

    Returns
    -------
    int
        Exit status: 1 if a notebook was refused.
    """
    repository = nbs.repository_url(root)
    reporter = Reporter(len(paths))
    os.environ["DL4MIR_PROGRESS"] = "off"  # for the kernels: what a maintainer has solved is not to be stored
    refused = False
    for path in paths:
        nb = nbs.read(path)
        run = reporter.run(path, nb, path.parent)
        nbs.clean(nb)
        complaints = nbs.stored_complaints(nb, root)
        if run.status != "ok":
            complaints = [f"cell {run.failed_cell}: {run.error}"]
        try:
            nbs.fill_notebook(nb, repository, path.name, nbs.measured_text(run.seconds, run.peak_memory_bytes))
        except ValueError as error:
            complaints.append(str(error))
        if complaints:
            refused = True
            print(f"{path.name} was not stored:\n  " + "\n  ".join(complaints), file=sys.stderr)
        else:
            write_atomically(path, nbs.dumps(nb))
    return max(int(refused), _update_readme(root, repository))


def _update_readme(root: Path, repository: str) -> int:
    readme = root / "README.md"
    try:
        text = readme.read_text("utf-8")
        text = nbs.fill(text, "badges", f"\n{nbs.badges(repository, '00_start_here.ipynb')}\n")
        text = nbs.fill(text, "index", nbs.index_table(root))
    except (OSError, ValueError) as error:
        print(f"README.md was not updated: {error}", file=sys.stderr)
        return 1
    write_atomically(readme, text)
    return 0


# --- command line -------------------------------------------------------------------------------------------------


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="course.py", description="Run the notebooks of the course.")
    parser.add_argument("command", choices=["run", "render"], help="run: write the HTML course; render: store outputs")
    parser.add_argument("--only", nargs="+", metavar="NUMBER", help="numbers of the notebooks to run, such as 05b")
    options = parser.parse_args(arguments)
    paths = nbs.notebook_paths(root)
    if options.only:
        known = [nbs.notebook_id(path) for path in paths]
        if unknown := set(options.only) - set(known):
            parser.error(f"no notebook {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        paths = [path for path in paths if nbs.notebook_id(path) in options.only]
    if not paths:
        parser.error(f"no notebooks in {root / 'notebooks'}")
    try:
        return {"run": run_course, "render": render}[options.command](root, paths)
    except KeyboardInterrupt:
        print("Interrupted; the kernel has been stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
