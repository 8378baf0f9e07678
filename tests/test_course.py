"""Runs throw-away notebooks through the course runner: pages, results, refusals."""

import asyncio
import json
import os
import queue
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import psutil
import pytest
import soundfile

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools" / "course"))

import course  # noqa: E402
import course_html  # noqa: E402

import notebooks as nbs  # noqa: E402

LOADED = re.compile(
    r"""<(?:script|img|audio|video|source|iframe|embed|object|link)\b[^>]*?\b(?:src|href|data)=["'](?:https?:)?//"""
    r"""|@import|url\(["']?(?:https?:)?//"""
)
HEAD = """# {} · {}

<!-- badges --><!-- /badges -->

We *promise* a `test`.

More. <!-- measured --><!-- /measured -->"""
FIGURE = """
import base64, json
from IPython.display import display
sound = base64.b64encode(b"ID3 not really").decode()
audio = f'<audio controls src="data:audio/mpeg;base64,{sound}"></audio>'
figure = f'<figure class="dl4mir-sound"><figcaption>A bell</figcaption>{audio}</figure>'
display({"text/html": figure, "text/plain": "A bell"}, raw=True)
results = {"notebook": "01", "title": "Scores", "columns": ["system", "accuracy"], "rows": [["baseline", 0.5]]}
results["note"] = "One."
display({"application/vnd.dl4mir.results+json": results, "text/html": "<table></table>", "text/plain": "t"}, raw=True)
"""
PICTURE = """
import io
from PIL import Image
from IPython.display import Image as Shown
buffer = io.BytesIO()
Image.effect_noise((200, 100), 50).convert("RGB").save(buffer, "PNG")
Shown(buffer.getvalue())
"""
PLAYER = """
import numpy as np
from dl4mir_utils.player import Curve, player
sound = np.sin(np.arange(16000) / 10)
curve = Curve("voice", np.linspace(0, 1, 50), 0.02)
"""
SHOW = "player(sound, 16000, [curve], title='A tone')"
FORMULA = r"""## The model

Energy $e = mc^2$ costs $5 or $10, code `$x$`.

$$\sum_{i=1}^n x_i$$

[next](03_noisy.ipynb#A)"""
HINT = "<details><summary>Hint</summary>\n\nCount **artists**.\n\n</details>"


def write(root: Path, name: str, title: str, *cells: str) -> Path:
    """Write a notebook; sources that begin with # or < or ! are Markdown."""
    path = root / "notebooks" / name
    made = [nbformat.v4.new_markdown_cell(HEAD.format(nbs.notebook_id(path), title))]
    for source in cells:
        new = nbformat.v4.new_markdown_cell if source[0] in "#<!" else nbformat.v4.new_code_cell
        made.append(new(source))
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A small course in a path with spaces, of which one notebook fails."""
    root = tmp_path_factory.mktemp("a course")
    (root / "notebooks").mkdir()
    (root / "data" / "mini").mkdir(parents=True)
    (root / "pyproject.toml").write_text('[project]\nurls = { Repository = "https://github.com/some/course" }\n')
    (root / "README.md").write_text("# C\n<!-- badges --><!-- /badges -->\n<!-- index --><!-- /index -->\n")
    (root / "data" / "mini" / "clips.csv").write_text(
        "clip_id,package,album,artist,title,licence,holder\n"
        "a,0ad-data,0 A.D.,Omri Lahav,Honor Bound,CC-BY-SA-3.0,2010 Wildfire Games\n"
        "b,0ad-data,0 A.D.,Omri Lahav,Honor Bound,CC-BY-SA-3.0,2010 Wildfire Games\n"
        "c,game,,<Anna>,Song,GPL-2.0-or-later OR LicenseRef-x,Anna\n",
        "utf-8",
    )
    which = f"import sys\nsys.executable == {sys.executable!r}"
    write(root, "01_good.ipynb", "Good", FORMULA, HINT, FIGURE, which)
    write(root, "02_bad.ipynb", "Bad", PLAYER + SHOW, "raise ValueError('no music')", "y = 2")
    write(root, "03_noisy.ipynb", "Noisy", PLAYER, SHOW, SHOW, "import sys\nprint('careful', file=sys.stderr)")
    return root


@pytest.fixture(scope="module")
def ran(site) -> tuple[Path, int, str]:
    """The course after one run: its folder, the exit status, what the terminal said."""
    code = "import sys, course, pathlib; sys.exit(course.main(['run'], root=pathlib.Path(sys.argv[1])))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(site)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "tools" / "course"), "PATH": os.defpath},
    )
    return site / "build" / "course", done.returncode, done.stdout + done.stderr


def test_run_goes_on_past_a_failure_and_names_it(ran):
    build, status, said = ran
    assert status == 1
    assert "02_bad.ipynb, cell 2: ValueError: no music" in said
    assert "03_noisy: done" in said
    assert "cell 1/2" in said and "The model" in said
    cards = json.loads((build / "results.json").read_text("utf-8"))["notebooks"]
    assert [card["status"] for card in cards] == ["ok", "failed", "ok"]
    assert cards[1]["failed_cell"] == 2
    assert all(card["seconds"] > 0 and card["peak_memory_bytes"] > 1e7 for card in cards)
    assert cards[0]["promise"] == "We promise a test."


def test_kernel_is_this_interpreter(ran):
    assert "<pre>True</pre>" in (ran[0] / "01_good.html").read_text("utf-8")


def test_pages_load_nothing_from_the_network(ran):
    pages = sorted(ran[0].glob("*.html"))
    assert [page.stem for page in pages] == ["01_good", "02_bad", "03_noisy", "attribution", "index"]
    for page in [*pages, ran[0] / "course.css"]:
        assert not LOADED.search(page.read_text("utf-8")), page.name


def test_any_server_of_files_will_do(ran):
    """Pages lie below a path, as at GitHub, and ask for what is there; no name begins with an underscore."""
    written = {path.relative_to(ran[0]).as_posix() for path in ran[0].rglob("*")}
    assert [name for name in written if re.search(r"(^|/)[_.#]|[~ ]", name)] == []
    for page in ran[0].glob("*.html"):
        asked = set(re.findall(r'<[a-z]+ [^>]*?(?:src|href)="([^":#]+)[^":]*"', page.read_text("utf-8")))
        assert asked - written == set(), page.name


def test_page_of_a_notebook(ran):
    html = (ran[0] / "01_good.html").read_text("utf-8")
    assert html.count("<math") == 2 and "$$" not in html
    assert "$5 or $10" in html and "<code>$x$</code>" in html
    assert 'href="03_noisy.html#A"' in html
    assert '<html lang="en">' in html and 'class="skip"' in html
    assert '<a href="#The-model">The model</a>' in html
    assert re.search(r"<details><summary>Hint</summary>\s*<p>Count <strong>artists</strong>.</p>\s*</details>", html)
    assert "colab.research.google.com" not in html  # the markers of the stored notebook are still empty
    assert "peak memory (measured on" in html


def test_sound_lies_beside_the_page(ran):
    html = (ran[0] / "01_good.html").read_text("utf-8")
    assert 'src="sound/01_good-01.mp3"></audio>' in html
    assert (ran[0] / "sound" / "01_good-01.mp3").read_bytes() == b"ID3 not really"


@pytest.mark.parametrize(("stem", "players"), [("02_bad", 1), ("03_noisy", 2)])
def test_players_work_on_the_page_without_a_kernel(ran, stem, players):
    html = (ran[0] / f"{stem}.html").read_text("utf-8")
    assert html.count('<div class="dl4mir-standalone">') == players
    assert html.count('<script type="module">') == html.count("function mountAll()") == 1
    assert html.count('alt="A tone (1.0 s)\n  voice: curve, 50 frames, 0.00 to 1.00"') == players
    for number in range(1, players + 1):
        assert f'src="sound/{stem}-{number:02d}.flac"' in html
        sound, rate = soundfile.read(ran[0] / "sound" / f"{stem}-{number:02d}.flac")
        assert rate == 16000 and abs(sound - np.sin(np.arange(16000) / 10)).max() < 1e-4
    assert len(html) < 300_000 and "data:audio/" not in html
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', html)[1])
    assert [track["name"] for track in data["tracks"]] == ["log-mel", "voice"]


def test_the_live_page_is_linked_where_it_lies(tmp_path):
    """Beside the page, if it was written; else where GitHub serves it."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").write_text('[project]\nurls = { Repository = "https://github.com/some/course" }\n')
    build = tmp_path / "build" / "course"
    build.mkdir(parents=True)
    for number, wanted in (("01", "https://some.github.io/course/live.html"), ("02", "live.html"), ("03", None)):
        path = write(tmp_path, f"{number}_good.ipynb", "Good")
        nb = nbs.read(path)
        nb.cells[0].source = nbs.fill(
            nb.cells[0].source, "badges", nbs.badges("https://github.com/some/course", path.name)
        )
        course.write_notebook_page(tmp_path, path, nb, course.Run(status="ok"))
        found = re.search(r'<a href="([^"]*)">Try it live', (build / f"{number}_good.html").read_text("utf-8"))
        assert (found and found[1]) == wanted
        (build / "live.html").touch()


def test_results_are_collected(ran):
    card = json.loads((ran[0] / "results.json").read_text("utf-8"))["notebooks"][0]
    assert card["results"][0]["rows"] == [["baseline", 0.5]]
    index = (ran[0] / "index.html").read_text("utf-8")
    assert "01 · Scores" in index and "baseline" in index


def test_attribution_names_work_licence_and_holder(site):
    html = course_html.attribution_page([site / "data" / "mini" / "clips.csv"])
    assert "<strong>Wildfire Games</strong>" in html and 'href="https://www.wildfiregames.com"' in html
    assert 'href="https://spdx.org/licenses/CC-BY-SA-3.0.html"' in html
    assert 'href="https://spdx.org/licenses/GPL-2.0-or-later.html"' in html and "licenses/LicenseRef" not in html
    assert "&lt;Anna&gt;" in html
    works = course_html.attribution_works([site / "data" / "mini" / "clips.csv"])
    assert [work["clips"] for work in works["0ad-data"]] == [2]


@pytest.mark.skipif(not (ROOT / "data/mini/clips.csv").exists(), reason="no clips in this checkout")
def test_attribution_of_the_course_is_complete():
    works = course_html.attribution_works((ROOT / "data" / "mini").glob("*.csv"))
    every = [work for group in works.values() for work in group]
    assert sum(work["clips"] for work in every) == sum(
        path.suffix in (".ogg", ".opus") for path in (ROOT / "data" / "mini").rglob("*")
    )
    assert {"soprano saxophone", "Armygeddon"} <= {work["title"] for work in every}
    assert all(work["licence"] and work["holder"] and work["title"] for work in every)


def test_only_keeps_the_other_notebooks(ran, site):
    before = (ran[0] / "01_good.html").read_bytes()
    write(site, "02_bad.ipynb", "Mended", "x = 1")
    assert course.main(["run", "--only", "02"], root=site) == 0
    cards = json.loads((ran[0] / "results.json").read_text("utf-8"))["notebooks"]
    assert [card["status"] for card in cards] == ["ok", "ok", "ok"]
    assert cards[0]["results"]
    assert (ran[0] / "01_good.html").read_bytes() == before
    assert "no music" not in (ran[0] / "02_bad.html").read_text("utf-8")
    with pytest.raises(SystemExit):
        course.main(["run", "--only", "99"], root=site)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("1 / 0", "cell 1: ZeroDivisionError"),
        ("import warnings\nwarnings.warn('old')", "wrote to stderr"),
        ("import os\nos.getcwd()", "absolute path"),
        ("for _ in range(1300):\n    print('x' * 800)", "KB to store"),
    ],
)
def test_render_refuses_and_leaves_the_file_alone(site, capsys, source, complaint):
    path = write(site, "04_refused.ipynb", "Refused", source)
    before = path.read_bytes()
    assert course.main(["render", "--only", "04"], root=site) == 1
    assert path.read_bytes() == before
    assert complaint in capsys.readouterr().err
    path.unlink()


def test_render_stores_and_repeats(site):
    path = write(
        site, "05_stored.ipynb", "Stored", FIGURE, PICTURE, PLAYER + SHOW, "!after", "load = print\nload('mini/genre')"
    )
    assert course.main(["render", "--only", "05"], root=site) == 0
    nb = nbs.read(path)
    assert nbs.stored_complaints(nb, site) == []
    assert [cell.execution_count for cell in nb.cells if cell.cell_type == "code"] == [1, 2, 3, 4]
    figure = nb.cells[1].outputs[0].data["text/html"]
    assert figure.endswith("<figcaption>A bell</figcaption>(run this cell to hear it)</figure>")
    assert set(nb.cells[3].outputs[0].data) == {"text/plain", "image/png"} and "widgets" not in nb.metadata
    assert "github/some/course/blob/main/notebooks/05_stored.ipynb" in nb.cells[0].source
    assert re.search(r"<!-- measured -->\d+ s to run, .* GiB peak memory \(measured on", nb.cells[0].source)
    readme = (site / "README.md").read_text("utf-8")
    assert "| 05 | [Stored](notebooks/05_stored.ipynb) |" in readme and "| `mini/genre` |" in readme
    assert course.main(["render", "--only", "05"], root=site) == 0
    again = nbs.read(path)
    assert [cell.get("outputs") for cell in again.cells[3:]] == [cell.get("outputs") for cell in nb.cells[3:]]
    path.unlink()


def test_render_stores_nothing_of_what_the_maintainer_has_solved(site, monkeypatch):
    monkeypatch.delenv("DL4MIR_PROGRESS")
    path = write(site, "05_solved.ipynb", "Solved", "import os\nprint(os.environ.get('DL4MIR_PROGRESS'))")
    assert course.main(["render", "--only", "05"], root=site) == 0
    assert nbs.read(path).cells[1].outputs[0].text == "off\n"
    path.unlink()


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_interrupt_leaves_no_kernel(site):
    path = write(site, "06_slow.ipynb", "Slow", "import time\ntime.sleep(600)")
    code = "import sys, course, pathlib; sys.exit(course.main(['run', '--only', '06'], root=pathlib.Path(sys.argv[1])))"
    env = os.environ | {"PYTHONPATH": str(ROOT / "tools" / "course"), "PYTHONUNBUFFERED": "1"}
    runner = subprocess.Popen([sys.executable, "-c", code, str(site)], env=env, stdout=subprocess.PIPE, text=True)
    while "cell 1/1" not in runner.stdout.readline():
        assert runner.poll() is None
    time.sleep(0.5)
    kernels = psutil.Process(runner.pid).children(recursive=True)
    assert kernels
    runner.send_signal(signal.SIGINT)
    assert runner.wait(timeout=30) == 130
    assert not psutil.wait_procs(kernels, timeout=10)[1]
    path.unlink()


def test_namespace_holds_imports_of_every_cell_and_model_cells(tmp_path):
    (tmp_path / "notebooks").mkdir()
    imports = ["import json", "from math import (\n    pi,\n    tau,\n)\n\nraise RuntimeError('not an import')"]
    magics = "import sys\n\nif 'google.colab' in sys.modules:\n    %cd /content\n    !git clone it"
    path = write(
        tmp_path, "06_models.ipynb", "Models", magics, *imports, "raise RuntimeError('not tagged')", "half = pi"
    )
    notebook = nbs.read(path)
    notebook.cells[-1].metadata["tags"] = ["model"]
    path.write_text(nbs.dumps(notebook), "utf-8")
    defined = nbs.namespace(path)
    assert defined["half"] == defined["tau"] / 2 and defined["json"] is json and defined["sys"] is sys


def test_an_answer_that_came_unnoticed_is_found():
    class Socket:
        """Has an answer, but whoever waits when it comes is not told; only asking anew finds it."""

        asked = 0

        async def poll(self, timeout_ms):
            self.asked += 1
            return self.asked > 1

        async def recv_multipart(self):
            return []

    channel = course._Channel.__new__(course._Channel)
    channel.socket = Socket()
    channel._recv = channel.socket.recv_multipart
    assert asyncio.run(channel.get_msg(timeout=1800)) == []
    assert channel.socket.asked == 2
    channel.socket.poll = lambda timeout_ms: asyncio.sleep(timeout_ms / 1000, result=0)
    with pytest.raises(queue.Empty):
        asyncio.run(channel.get_msg(timeout=0.01))


def test_glossary():
    """Terms stand in order, each under a heading of its own, and every link into the glossary leads to one."""
    text = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        terms = re.findall(r"^### (.+)$", part, re.MULTILINE)
        letters = [re.sub(r"[^a-z ]", "", term.casefold()) for term in terms]
        assert len(terms) > 20 and letters == sorted(letters)
        for entry in re.split(r"^### .+$", part, flags=re.MULTILINE)[1:]:
            assert 20 < len(" ".join(entry.split())) < 300 and entry.strip().endswith((".", ")")), entry
    anchors = {course_html.github_anchor(term) for term in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    assert len(anchors) == len(re.findall(r"^#+ ", text, re.MULTILINE)), "no term stands twice"
    page = course_html.glossary_page(text, ROOT / "docs", glossary=True)
    assert set(re.findall(r'id="([^"]+)"', page)) >= anchors
    assert set(re.findall(r"\(#([\w-]+)\)", text)) <= anchors
    for path in nbs.notebook_paths(ROOT):
        assert set(re.findall(r"glossary\.md#([\w-]+)", path.read_text("utf-8"))) <= anchors
