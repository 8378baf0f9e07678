"""What sound files say of themselves: the artist and the genre in their tags."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dl4mir_utils.errors import BadArgumentError

# Mutagen has easy names for ID3 in MP3, Vorbis comments and MP4; of WAV, AIFF and WMA it has the formats' own alone.
ARTIST = ("artist", "TPE1", "Author")
GENRE = ("genre", "TCON", "WM/Genre")
GUESTS = re.compile(r"\s+[(\[]?(?:(?:feat|ft)\.|(?:feat|ft|featuring)\s).*", re.IGNORECASE)


class FileTags(NamedTuple):
    """What the tags of a file say; each is empty where they say nothing.

    Attributes
    ----------
    artist : str
        The first artist that is named, without guests: "A" of "A feat. B", since the song sounds like the others by A.
    genres : tuple of str
        All genres that are named, in order.
    """

    artist: str
    genres: tuple[str, ...]

    @property
    def genre(self) -> str:
        """The first genre."""
        return self.genres[0] if self.genres else ""


def read_tags(path: Path, strict: bool = False) -> FileTags:
    """Return artist and genre from a file's own tags, in any format that mutagen knows.

    Parameters
    ----------
    path : Path
    strict : bool
        Whether damaged tags are an error; otherwise they say nothing.

    Raises
    ------
    BadArgumentError
        With `strict`: the tags are damaged, or the file cannot be read.
    """
    import mutagen

    try:
        tags = mutagen.File(path, easy=True)
        artists, genres = (_values(tags, names) for names in (ARTIST, GENRE))
    except Exception as error:  # mutagen raises many kinds of error on damaged tags
        if strict:
            raise BadArgumentError(f"its tags cannot be read: {str(error) or type(error).__name__}") from error
        return FileTags("", ())
    return FileTags(GUESTS.sub("", artists[0]) if artists else "", tuple(genres))


def in_one_spelling(text: str) -> str:
    """Return a name by which names that differ only in capitals and spaces are the same."""
    return " ".join(text.split()).casefold()


def _values(tags: object, names: Sequence[str]) -> list[str]:
    found = next((tags[name] for name in names if tags is not None and name in tags), [])
    values = getattr(found, "genres", found)  # ID3 may give genres by number
    texts = (" ".join("".join(c if c.isprintable() else " " for c in str(value)).split()) for value in values)
    return [text for text in texts if text]
