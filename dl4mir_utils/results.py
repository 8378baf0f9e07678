"""The results of a notebook: a table for the reader, and for the course's own results page."""

import html
from dataclasses import dataclass
from typing import Any

import numpy as np

RESULTS_MIME = "application/vnd.dl4mir.results+json"


@dataclass(frozen=True)
class Report:
    """What `report` returns; shown as a table."""

    notebook: str
    title: str
    columns: list[str]
    rows: list[list[Any]]
    note: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        cells = [self.columns, *([_text(value) for value in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
        head = "".join(f'<th scope="col">{html.escape(column)}</th>' for column in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_text(value))}</td>" for value in row) + "</tr>" for row in self.rows
        )
        note = f"<p>{html.escape(self.note)}</p>" if self.note else ""
        return {
            "text/plain": "\n".join([self.title, *lines, *filter(None, [self.note])]),
            "text/html": f"<table><caption>{html.escape(self.title)}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>{note}",
            RESULTS_MIME: {
                "notebook": self.notebook,
                "title": self.title,
                "columns": self.columns,
                "rows": self.rows,
                "note": self.note,
            },
        }


def report(notebook: str, title: str, rows: list[dict[str, Any]], note: str = "") -> Report:
    """Show results as a table and hand them to the course's results page.

    Parameters
    ----------
    notebook : str
        Its number, e.g. "05b".
    title : str
        What the table shows.
    rows : list of dict
        One per line, column name to text or number; a column that a row lacks stays empty.
    note : str
        How the numbers came about: split, seeds, epochs.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    values = [[_plain(row.get(name, "")) for name in columns] for row in rows]
    return Report(notebook, title, columns, values, note)


def _plain(value: Any) -> Any:
    """Return a NumPy number as a Python number: JSON knows only those."""
    return value.item() if isinstance(value, np.generic) else value


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
