"""The errors this package raises. Their messages say what to do; notebooks show the message alone."""


class Dl4mirError(Exception):
    """Base of all errors of this package."""

    def _render_traceback_(self) -> list[str]:
        """Tell IPython to show the message without the stack of calls."""
        return [f"{type(self).__name__}: {self}"]


class DataNotFoundError(Dl4mirError):
    """A data set, table or file is not there."""


class PreparedDataError(DataNotFoundError):
    """Prepared data could not be written, or is not whole. The message says what to do about it."""


class DownloadError(DataNotFoundError):
    """A data set could not be fetched. The message names what was tried and the next step."""


class ChecksumError(DownloadError):
    """What came over the network, or lies on the disk, is not the file the course knows."""


class UnsafeArchiveError(DownloadError):
    """An archive holds something that no honest data set needs. Nothing of it was kept."""


class BadArgumentError(Dl4mirError, ValueError):
    """An argument has a value that makes no sense here."""


class SoundIndexError(Dl4mirError):
    """The index of embeddings of `dl4mir similar` can be neither read nor written."""


class ProgressError(Dl4mirError):
    """What was solved can be neither read nor written."""


class AudioDecodeError(Dl4mirError):
    """Audio could not be decoded. The message names every clip that failed.

    Parameters
    ----------
    failures : dict of str to str
        What went wrong, by clip id or file name.
    """

    def __init__(self, failures: dict[str, str]) -> None:
        self.failures = failures
        lines = [f"  {name}: {reason}" for name, reason in failures.items()]
        noun = "clip" if len(failures) == 1 else "clips"
        super().__init__(
            f"{len(failures)} {noun} could not be decoded:\n"
            + "\n".join(lines)
            + "\nCheck that the files are there and whole (in a clone, `git checkout -- data` restores the course's "
            "own), or leave the clips out: table.where(~table.frame.index.isin([...]))."
        )
