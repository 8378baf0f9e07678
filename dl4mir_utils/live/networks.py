"""Which networks the live page brings along."""

from dataclasses import dataclass
from pathlib import Path

from dl4mir_utils.apps.lite import read_card
from dl4mir_utils.paths import course_file


@dataclass(frozen=True)
class LiveNetwork:
    """A network of the live page; what it is, is looked up when it is asked for.

    Attributes
    ----------
    name : str
        Such as "musicnn_mtt".

    Raises
    ------
    DataNotFoundError
        By the properties: the file or its card is not there.
    """

    name: str

    @property
    def file(self) -> Path:
        """The .tflite file."""
        return course_file(f"pretrained/{self.name}.tflite")

    @property
    def card_file(self) -> Path:
        """Its card, a .json file."""
        return course_file(f"pretrained/{self.name}.json")

    @property
    def title(self) -> str:
        """What readers see, from the card."""
        return str(read_card(self.file)["title"])


NETWORKS = tuple(
    LiveNetwork(name) for name in ("musicnn_mtt", "musicnn_msd", "singing_detector", "genre_mini", "pitch", "chords")
)
