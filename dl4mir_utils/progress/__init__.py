"""Which exercises a reader has solved: remembered in the course folder, shown on a page, printed on a certificate.

Everything lies in the folder `progress` of the course, and nowhere else; nothing is sent. Who deletes that folder has
deleted it all.
"""

from dl4mir_utils.progress.pages import (
    notebooks,
    show_progress,
    verify_certificate,
    write_certificate,
    write_progress,
)
from dl4mir_utils.progress.records import remembered, solved

__all__ = [
    "notebooks",
    "remembered",
    "show_progress",
    "solved",
    "verify_certificate",
    "write_certificate",
    "write_progress",
]
