"""What the course knows about a notebook file: its card, its badges, and the rules for stored outputs.

Used by ``tools/course/course.py`` (which runs notebooks) and by ``tests/test_notebook_rules.py`` (which checks them).
"""

import ast
import base64
import io
import math
import os
import re
import sys
import tempfile
import tomllib
from functools import reduce
from html import escape
from operator import getitem
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode
from PIL import Image

from dl4mir_utils.player import standalone_html
from dl4mir_utils.player.sync import WIDGET_MIME

MAX_STORED_BYTES = 1_000_000
RESULTS_MIME = "application/vnd.dl4mir.results+json"
WIDGET_STATE_MIME = "application/vnd.jupyter.widget-state+json"
NO_SOUND = "(run this cell to hear it)"
KEPT_CELL_METADATA = ("tags", "jupyter")
AUDIO_ELEMENT = re.compile(r"<audio\b.*?</audio>", re.DOTALL)
DATA_URI = re.compile(r"data:[\w/.+-]+;base64,[A-Za-z0-9+/=\s]+")
ABSOLUTE_PATH = re.compile(
    r"(?<![\w.:/-])(?:/(?:home|Users|root|tmp|var|opt|mnt|usr|private|content)/|[A-Za-z]:\\)[^\s'\"<>]*"
)
MEMORY_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")


def notebook_paths(root: Path) -> list[Path]:
    """All notebooks of the course, in order."""
    return sorted((root / "notebooks").glob("*.ipynb"))


def notebook_id(path: Path) -> str:
    """``05b`` of ``notebooks/05b_genre.ipynb``."""
    return path.stem.split("_")[0]


def read(path: Path) -> NotebookNode:
    """Read a notebook as format version 4."""
    return nbformat.read(path, as_version=4)


def dumps(nb: NotebookNode) -> str:
    """Give the text that is stored in the file: one space of indent, as Jupyter writes it, and a final newline."""
    return nbformat.writes(nb).rstrip("\n") + "\n"


def one_line(text: str, length: int = 160) -> str:
    """Text on one line, without terminal colours, cut to a length."""
    line = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
    return line if len(line) <= length else line[: length - 1] + "…"


# --- what stands on a notebook's card -----------------------------------------------------------------------------


def title(nb: NotebookNode) -> str:
    """Title without its number: ``Which genre is this?`` of ``# 05b · Which genre is this?``."""
    first_line = nb.cells[0].source.lstrip().splitlines()[0]
    return first_line.lstrip("# ").split(" · ", 1)[-1].strip()


def promise(nb: NotebookNode) -> str:
    """First paragraph after the badges (or after the title), as plain text."""
    text = re.sub(r"<!-- badges -->.*?<!-- /badges -->", "", nb.cells[0].source, flags=re.DOTALL)
    paragraphs = [p.strip() for p in re.split(r"\n\s*\n", text) if p.strip() and not p.strip().startswith("#")]
    if not paragraphs:
        return ""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", paragraphs[0])
    return " ".join(re.sub(r"[*`]|<!--.*?-->", "", plain).split())


def data_sets(nb: NotebookNode) -> list[str]:
    """Names of the data sets that the code loads with ``load("…")``, in order of appearance."""
    code = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "code" and "solution" not in tags(cell))
    return list(dict.fromkeys(re.findall(r"""(?<![\w.])load\(\s*["']([^"']+)["']""", code)))


def tags(cell: NotebookNode) -> list[str]:
    """Tags of a cell."""
    return cell.metadata.get("tags", [])


def quiz_answers(nb: NotebookNode) -> list[list[tuple[str, bool]]]:
    """For each question of the quiz its answers: the letter, and whether it is the right one."""
    text = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    quiz = re.search(r"^## Quiz$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if not quiz:
        return []
    questions = re.split(r"^\*\*\d+\.\*\*", quiz[1], flags=re.MULTILINE)[1:]
    pattern = re.compile(r"<summary>([a-z])\).*?</summary>\s*(.*?)</details>", re.DOTALL)
    return [[(letter, why.startswith("Right")) for letter, why in pattern.findall(one)] for one in questions]


def namespace(path: Path) -> dict:
    """Execute a notebook's import statements, in however many cells, and its cells tagged `model`.

    Returns
    -------
    dict
        What they define, by name.
    """
    notebook = read(path)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code" and "solution" not in tags(cell)]
    to_python = TransformerManager().transform_cell
    statements = [statement for source in code for statement in ast.parse(to_python(source)).body]
    imports = [ast.unparse(one) for one in statements if isinstance(one, ast.Import | ast.ImportFrom)]
    models = [cell.source for cell in notebook.cells if "model" in tags(cell)]
    defined: dict = {}
    for source in [*imports, *models]:
        exec(source, defined)
    return defined


# --- text between markers -----------------------------------------------------------------------------------------


def fill(text: str, marker: str, content: str) -> str:
    """Replace what stands between ``<!-- marker -->`` and ``<!-- /marker -->``.

    Raises
    ------
    ValueError
        If the text does not hold the pair of markers.
    """
    pattern = re.compile(rf"(<!-- {marker} -->).*?(<!-- /{marker} -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"no <!-- {marker} --> … <!-- /{marker} --> in the text")
    return pattern.sub(lambda m: m[1] + content + m[2], text)


def between(text: str, marker: str) -> str | None:
    """Return what stands between the markers, or None where there are none."""
    found = re.search(rf"<!-- {marker} -->(.*?)<!-- /{marker} -->", text, re.DOTALL)
    return found[1] if found else None


def repository_url(root: Path) -> str:
    """Read the published address of the repository from ``pyproject.toml``, the one place where it stands."""
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["urls"]["Repository"].rstrip("/")


# Notebooks about what the live page does.
ON_LIVE_PAGE = ("01", "02", "05a", "05b", "06", "08", "11a", "11b")


def pages_address(repository: str) -> str:
    """Address at which GitHub serves the pages of the course."""
    owner, _, project = repository.removeprefix("https://github.com/").partition("/")
    return f"https://{owner}.github.io/{project}/"


def badges(repository: str, filename: str) -> str:
    """Links of one notebook, as a line of Markdown: its page, where everything sounds and moves, and where it runs."""
    name = repository.removeprefix("https://github.com/")
    page = f"{pages_address(repository)}{filename.removesuffix('.ipynb')}.html"
    colab = f"https://colab.research.google.com/github/{name}/blob/main/notebooks/{filename}"
    binder = f"https://mybinder.org/v2/gh/{name}/HEAD?urlpath=lab/tree/notebooks/{filename}"
    links = [f"[Read it with sound]({page})", f"[Open in Colab]({colab})", f"[Open in Binder]({binder})"]
    if filename.partition("_")[0] in ON_LIVE_PAGE:
        links.append(f"[Try it live on your music]({pages_address(repository)}live.html)")
    return " · ".join(links)


# What notebooks import and Colab lacks. All else is there; --no-deps keeps Kapre from putting older ones in its place.
COLAB_LACKS = ("ai-edge-litert", "kapre", "mutagen", "voyager")


def setup_cell(repository: str) -> str:
    """Source of the cell that fetches the course on Colab; the packages are those that Colab lacks."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["course"]]
    lines = {re.match(r"[\w.-]+", line)[0]: line for line in asked}
    packages = " \\\n      ".join(f'"{lines[name]}"' for name in COLAB_LACKS)
    return (
        "# On Colab this fetches the course and installs what Colab lacks.\n"
        "# Anywhere else it does nothing.\n"
        "import sys\n"
        "\n"
        'if "google.colab" in sys.modules:\n'
        "    %cd /content\n"
        f"    !git clone --depth 1 {repository} course\n"
        "    %cd course/notebooks\n"
        f"    %pip install --no-deps \\\n      {packages}\n"
        '    sys.path.insert(0, "..")'
    )


def duration_text(seconds: float) -> str:
    """``35 s`` or ``1.4 min``."""
    return f"{seconds / 60:.1f} min" if seconds >= 59.5 else f"{max(seconds, 1):.0f} s"


def memory_text(n_bytes: int) -> str:
    """``1.1 GiB``."""
    return f"{n_bytes / 2**30:.1f} GiB"


def measured_text(seconds: float, peak_memory_bytes: int) -> str:
    """Sentence that stands between the ``measured`` markers; in steps of 5 s, so that it seldom changes."""
    return (
        f"{duration_text(math.ceil(seconds / 5) * 5)} to run, {memory_text(peak_memory_bytes)} peak memory "
        f"(measured on {os.cpu_count()} CPU cores)"
    )


def fill_measured(nb: NotebookNode, measured: str) -> bool:
    """Write the measured line into the cell that has a place for it; return whether there is one."""
    for cell in nb.cells:
        if cell.cell_type == "markdown" and "<!-- measured -->" in cell.source:
            cell.source = fill(cell.source, "measured", measured)
            return True
    return False


def fill_notebook(nb: NotebookNode, repository: str, filename: str, measured: str) -> None:
    """Write the badges, the Colab cell and the measured line into a notebook, and fold its checks.

    Raises
    ------
    ValueError
        If a pair of markers is missing.
    """
    nb.cells[0].source = fill(nb.cells[0].source, "badges", f"\n{badges(repository, filename)}\n")
    for cell in nb.cells:
        if "setup" in tags(cell):
            cell.source = setup_cell(repository)
        if "checks" in tags(cell):
            cell.metadata["jupyter"] = {"source_hidden": True}  # JupyterLab shows a bar to open it by
    if not fill_measured(nb, measured):
        raise ValueError("no cell holds <!-- measured --> … <!-- /measured -->")


def index_table(root: Path) -> str:
    """Table of all notebooks for the README: number, title, time, peak memory, data; from the stored notebooks."""
    lines = ["| # | notebook | time | peak memory | data |", "|---|---|---|---|---|"]
    for path in notebook_paths(root):
        nb = read(path)
        text = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
        found = re.match(r"(.+?) to run, (.+?) peak memory", between(text, "measured") or "")
        time, memory = found.groups() if found else ("–", "–")
        data = ", ".join(f"`{name}`" for name in data_sets(nb)) or "–"
        lines.append(f"| {notebook_id(path)} | [{title(nb)}](notebooks/{path.name}) | {time} | {memory} | {data} |")
    return "\n\n" + "\n".join(lines) + "\n\n"


# --- sound --------------------------------------------------------------------------------------------------------


def strip_sound(html: str) -> str:
    """Replace every audio element that carries its sound by a hint to run the cell; captions stay."""
    return AUDIO_ELEMENT.sub(lambda m: NO_SOUND if "data:audio/" in m[0] else m[0], html)


def extract_sound(nb: NotebookNode, stem: str) -> dict[str, bytes]:
    """Move the sounds of a notebook's outputs into files.

    Parameters
    ----------
    nb : NotebookNode
        Executed notebook; the ``data:audio/…`` addresses in its HTML outputs become ``sound/<stem>-<nn>.<ext>``.
    stem : str
        How the files' names begin.

    Returns
    -------
    dict of str to bytes
        Name (without folder) and content of each file.
    """
    files: dict[str, bytes] = {}
    extensions = {"mpeg": "mp3", "x-wav": "wav", "mp4": "m4a"}

    def move(found: re.Match) -> str:
        name = f"{stem}-{len(files) + 1:02d}.{extensions.get(found[1], found[1])}"
        files[name] = base64.b64decode(found[2])
        return f'src="sound/{name}"'

    for cell in nb.cells:
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):
                html = output.data["text/html"]
                output.data["text/html"] = re.sub(r'src="data:audio/([\w.+-]+);base64,([^"]*)"', move, html)
    return files


def embed_players(nb: NotebookNode) -> None:
    """Turn the synchronised players of an executed notebook into HTML, which needs neither kernel nor network.

    What a player shows stands in the widget states that the run stored. Style and script come with the first player;
    they serve all players of the page. The sounds are then where `extract_sound` finds them.
    """
    states = nb.metadata.get("widgets", {}).get(WIDGET_STATE_MIME, {}).get("state", {})
    first = True
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            widget = states.get(data.get(WIDGET_MIME, {}).get("model_id"), {})
            state = widget.get("state", {})
            if state.get("_anywidget_id") != "dl4mir_utils.player.sync.PlayerWidget":
                continue
            for buffer in widget.get("buffers", []):  # bytes travel apart from the rest, each with its place in it
                *path, last = buffer["path"]
                reduce(getitem, path, state)[last] = buffer["data"]
            alt = escape(output.metadata.get("alt", ""))
            figure = f'<img src="data:image/png;base64,{data["image/png"].strip()}" alt="{alt}">'
            data["text/html"] = standalone_html(state["content"], figure, code=first)
            del data[WIDGET_MIME]
            first = False


# --- stored outputs -----------------------------------------------------------------------------------------------


def strip_outputs(nb: NotebookNode) -> None:
    """Remove all outputs and execution counts."""
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None


def shrink_png(data: str) -> str:
    """Reduce a base64 PNG to a palette of 256 colours where that makes it smaller; transparency is kept."""
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    small = io.BytesIO()
    # Only the octree method knows transparency; the median cut is finer.
    opaque = image.mode == "RGB" or image.getextrema()[-1] == (255, 255)
    if opaque:
        reduced = image.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    else:
        reduced = image.convert("RGBA").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    reduced.save(small, "PNG", optimize=True)
    encoded = base64.b64encode(small.getvalue()).decode()
    return min(encoded, data, key=len)


def clean(nb: NotebookNode) -> None:
    """Make an executed notebook fit to be stored.

    Sound goes, figures shrink, and what changes from run to run or from machine to machine (time stamps, widget
    state, versions) is left out so that differences between two stored states are differences of content.
    """
    nb.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in nb.cells:
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k in KEPT_CELL_METADATA})
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            data.pop(WIDGET_MIME, None)
            if "image/png" in data and "dl4mir-standalone" in data.get("text/html", ""):
                del data["text/html"]  # sound and pictures of a player or slider; one still stays
            if "text/html" in data:
                data["text/html"] = strip_sound(data["text/html"])
            if "image/png" in data:
                data["image/png"] = shrink_png(data["image/png"])


def _texts(output: NotebookNode) -> list[str]:
    """All text of an output in which a path could hide."""
    if output.output_type == "stream":
        return [output.text]
    if output.output_type == "error":
        return ["\n".join(output.traceback)]
    return [str(v) for mime, v in output.data.items() if mime.startswith("text/") or mime.endswith(("json", "xml"))]


def _machine_paths(root: Path) -> list[str]:
    """Paths of this machine that no stored output may show."""
    paths = {root, Path.cwd(), Path.home(), Path(sys.prefix), Path(tempfile.gettempdir())}
    return [str(p) for p in paths | {p.resolve() for p in paths} if len(p.parts) > 1]


def stored_complaints(nb: NotebookNode, root: Path) -> list[str]:
    """Check an executed notebook against the rules for what is stored in the repository.

    Parameters
    ----------
    nb : NotebookNode
        The notebook as it would be stored.
    root : Path
        Root of the repository.

    Returns
    -------
    list of str
        One line for each broken rule; empty if all is well. Cells are counted as Jupyter counts them: code only.
    """
    found = []
    paths = _machine_paths(root)
    code = [cell for cell in nb.cells if cell.cell_type == "code" and cell.source.strip()]
    for number, cell in enumerate(code, 1):
        if cell.execution_count != number:
            found.append(f"cell {number}: has execution count {cell.execution_count}: store it with `make render`")
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"cell {number}: stopped with {output.ename}: {output.evalue}")
                continue
            if output.output_type == "stream" and output.name == "stderr":
                found.append(f"cell {number}: wrote to stderr: {one_line(output.text)}")
            for text in _texts(output):
                if "data:audio/" in text:
                    found.append(f"cell {number}: holds sound")
                text = DATA_URI.sub("", text)
                path = next((p for p in paths if re.search(re.escape(p) + r"(?![\w-])", text)), None)
                if path is None and (match := ABSOLUTE_PATH.search(text)):
                    path = match[0]
                if path:
                    found.append(f"cell {number}: shows the absolute path {path}")
                if match := MEMORY_ADDRESS.search(text):
                    found.append(f"cell {number}: shows a memory address ({match[0]}), different in every run")
    if nb.metadata.get("kernelspec", {}).get("name") != "python3":
        found.append("the kernelspec is not python3")
    size = len(dumps(nb).encode())
    if size > MAX_STORED_BYTES:
        found.append(f"{size / 1000:.0f} KB to store, more than {MAX_STORED_BYTES // 1000} KB")
    return list(dict.fromkeys(found))
