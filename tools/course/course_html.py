"""Pages of the HTML course: one a notebook, the index, the attribution of the music.

The pages load nothing from the network: formulas become MathML here, colours of code come from a local style sheet.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from html import escape, unescape
from pathlib import Path
from typing import Any

import jinja2
from latex2mathml.converter import convert as latex_to_mathml
from markupsafe import Markup
from nbconvert.filters import Highlight2HTML, ansi2html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath, MathInlineParser
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter

import notebooks as nbs

PAGE_FOLDER = Path(__file__).parent / "course_page"
# Cells that a page shows as a box to open, by tag, and what stands on the box.
FOLDED = {
    "solution": "Solution",
    "setup": "Only on Colab: install the course",
    "checks": "For the course's own tests: what must hold",
}
MIME_ORDER = ("text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/latex", "text/plain")


def mathml(latex: str, display: str = "inline") -> str:
    """Turn a formula into MathML; one that cannot be read stays as code."""
    try:
        return latex_to_mathml(latex.strip(), display=display)
    except Exception:
        return f"<code>{escape(latex)}</code>"


def jupyter_anchor(heading: str) -> str:
    """Anchor of a heading as JupyterLab forms it, so that links between sections work in both."""
    return heading.replace(" ", "-")


def github_anchor(heading: str) -> str:
    """Anchor of a heading as GitHub forms it, for the documents that are read there."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


class _Inline(MathInlineParser):
    """Inline formulas by the rule that leaves prices alone: no space or code inside the dollars, no digit after."""

    SPECIFICATION = MathInlineParser.SPECIFICATION | {
        "inline_math_tex": r"(?<![$\\])\$(?=[^\s$])(?P<math_inline_tex>[^$`]*?[^\s$`\\])\$(?!\d)"
    }


class _Renderer(IPythonRenderer):
    """Markdown to HTML as Jupyter does it, with MathML, and with links between notebooks led to their pages."""

    def __init__(self, folder: Path, attachments: dict, anchor: Callable[[str], str] = jupyter_anchor):
        super().__init__(escape=False, embed_images=True, path=str(folder), attachments=attachments)
        self.sections: list[tuple[str, str]] = []
        self._anchor = anchor

    def heading(self, text: str, level: int, **attrs) -> str:
        plain = re.sub(r"<[^>]+>", "", text)
        anchor = self._anchor(unescape(plain))
        if level == 2:
            self.sections.append((anchor, plain))
        return f'<h{level} id="{escape(anchor)}">{text}</h{level}>\n'

    def block_html(self, html: str) -> str:
        # The parent reads each piece of HTML on its own and closes its tags, <details> among them.
        return re.sub(r'(?<=src=")[^"]+', lambda m: self._src_to_base64(m[0]) or m[0], html)

    inline_html = block_html

    def block_math(self, body: str) -> str:
        return f'<span class="formula">{mathml(body, "block")}</span>'

    def latex_environment(self, name: str, body: str) -> str:
        return self.block_math(f"\\begin{{{name}}}{body}\\end{{{name}}}")

    def inline_math(self, body: str) -> str:
        return mathml(body)

    def link(self, text: str, url: str, title: str | None = None) -> str:
        url = re.sub(r"^(?:\./|\.\./notebooks/)?(\w+)\.ipynb(?=#|$)", r"\1.html", url)
        url = re.sub(r"^(?:\.\./docs/)?glossary\.md(?=#|$)", "glossary.html", url)
        if url.startswith("../"):
            url = "../" + url  # pages stand one folder deeper than notebooks: build/course
        return super().link(text, url, title)

    def table(self, text: str) -> str:
        return f'<div class="scroll"><table>{text}</table></div>\n'


@dataclass
class Cell:
    """What the page template needs of one cell."""

    tags: list[str]
    html: Markup
    number: int | None = None  # counts code cells only, as Jupyter does
    outputs: list[tuple[str, Markup]] = field(default_factory=list)

    @property
    def folded(self) -> str:
        """What stands on the box that hides the cell; empty for cells that are shown."""
        return next((title for tag, title in FOLDED.items() if tag in self.tags), "")


def _output(output: NotebookNode, markdown) -> tuple[str, str]:
    """Class and HTML of one output."""
    if output.output_type == "stream":
        return output.name, f"<pre>{ansi2html(output.text)}</pre>"
    if output.output_type == "error":
        return "error", f"<pre>{ansi2html(chr(10).join(output.traceback))}</pre>"
    # A widget that brings HTML, too, is made for pages as well: a guess.
    if nbs.WIDGET_MIME in output.data and "text/html" not in output.data:
        return "widget", "<p>An interactive panel stands here when the notebook is open in Jupyter.</p>"
    mime = next((m for m in MIME_ORDER if m in output.data), None)
    if mime is None:
        return "empty", ""
    data = output.data[mime]
    if mime in ("image/png", "image/jpeg"):
        alt = output.metadata.get("alt", "Figure; the text below says what it shows.")
        return "image", f'<img src="data:{mime};base64,{data.strip()}" alt="{escape(alt)}">'
    if mime == "text/plain":
        return "text", f"<pre>{ansi2html(data)}</pre>"
    if mime == "text/markdown":
        return "html", markdown(data)
    if mime == "text/latex":
        return "html", f'<span class="formula">{mathml(data.strip().strip("$"), "block")}</span>'
    return ("image" if mime == "image/svg+xml" else "html"), data


def notebook_cells(nb: NotebookNode, folder: Path) -> tuple[list[Cell], list[tuple[str, str]]]:
    """Cells of a notebook as HTML, and its sections.

    Parameters
    ----------
    nb : NotebookNode
        Executed notebook.
    folder : Path
        Folder of the notebook, from where images that it names are read.

    Returns
    -------
    cells : list of Cell
    sections : list of (anchor, text)
        The headings of second order.
    """
    highlight = Highlight2HTML(pygments_lexer="ipython3")
    sections: list[tuple[str, str]] = []
    cells = []
    number = 0
    for cell in nb.cells:
        renderer = _Renderer(folder, cell.get("attachments", {}))
        markdown = MarkdownWithMath(renderer, inline=_Inline(hard_wrap=False)).render
        if cell.cell_type == "markdown":
            text = cell.source.replace("<!-- badges -->", '<div class="badges">\n\n')
            text = text.replace("<!-- /badges -->", "\n\n</div>\n")
            cells.append(Cell(nbs.tags(cell), Markup(markdown(text))))
        elif cell.cell_type == "code" and cell.source.strip():
            number += 1
            outputs = [(kind, Markup(html)) for kind, html in (_output(o, markdown) for o in cell.outputs) if html]
            cells.append(Cell(nbs.tags(cell), Markup(highlight(cell.source)), number, outputs))
        sections += renderer.sections
    return cells, sections


def glossary_page(source: str, folder: Path, **shared: Any) -> str:
    """Page of the glossary, from its Markdown; every term is a heading and can be linked to."""
    renderer = _Renderer(folder, {}, github_anchor)
    text = MarkdownWithMath(renderer, inline=_Inline(hard_wrap=False)).render(source)
    return page("glossary.html.j2", text=Markup(text), current="glossary", **shared)


def style_sheet() -> str:
    """Own style and the colours of code for both colour schemes."""
    light = HtmlFormatter(style="xcode").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    own = (PAGE_FOLDER / "course.css").read_text("utf-8")
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n{own}"


def page(template: str, **values: Any) -> str:
    """Fill one of the templates in `PAGE_FOLDER`; `attribution`, `glossary` and `live` say which pages to link to."""
    loader = jinja2.FileSystemLoader(PAGE_FOLDER)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.undefined = jinja2.StrictUndefined
    environment.filters |= {"duration": nbs.duration_text, "memory": nbs.memory_text, "licence": licence_links}
    links = {"attribution": False, "glossary": False, "live": False}
    return environment.get_template(template).render(**links | values)


# --- attribution --------------------------------------------------------------------------------------------------


def licence_links(expression: str) -> Markup:
    """SPDX licence expression whose identifiers are links to their texts at spdx.org."""

    def link(found: re.Match) -> str:
        name = found[0]
        if name in ("OR", "AND", "WITH") or name.startswith("LicenseRef-"):
            return name
        return f'<a href="https://spdx.org/licenses/{name}.html">{name}</a>'

    return Markup(re.sub(r"[A-Za-z0-9][A-Za-z0-9.+-]*", link, escape(expression)))


def attribution_works(tables: Iterable[Path]) -> dict[str, list[dict[str, Any]]]:
    """Works that the clips and notes of the tables were cut from, by package.

    Parameters
    ----------
    tables : iterable of Path
        CSV files; columns package, licence and holder are read, and where there are such, album, artist and title.
        Recorded notes have no title: their column instrument stands for it.

    Returns
    -------
    dict of str to list of dict
        For each package its works in order, each with keys album, artist, title, licence, holder and clips (count).
    """
    columns = ("package", "album", "artist", "title", "licence", "holder")
    counts: Counter[tuple[str, ...]] = Counter()
    for table in tables:
        with table.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if "licence" not in row:  # a table about works that another one lists: mini/tags.csv
                    break
                row.setdefault("title", row.get("instrument"))
                counts[tuple((row.get(column) or "").strip() for column in columns)] += 1
    works: dict[str, list[dict[str, Any]]] = {}
    for key, clips in sorted(counts.items()):
        work = dict(zip(columns, key, strict=True)) | {"clips": clips}
        works.setdefault(work.pop("package"), []).append(work)
    return works


def attribution_page(tables: Iterable[Path], **shared: Any) -> str:
    """Page that names the author and the licence of every work in the tables of clips and notes."""
    works = attribution_works(tables)
    clips = sum(work["clips"] for group in works.values() for work in group)
    return page("attribution.html.j2", works=works, clips=clips, current="attribution", **shared)
