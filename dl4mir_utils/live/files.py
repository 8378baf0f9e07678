"""How the parts of the live page get onto the disk."""

from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, and not if it is the same already."""
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)
