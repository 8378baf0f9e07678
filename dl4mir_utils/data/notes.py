"""The recorded notes: single tones of real instruments, to try a pitch detector on."""

from pathlib import Path

import pandas as pd

from dl4mir_utils.data.table import ClipTable
from dl4mir_utils.errors import DataNotFoundError
from dl4mir_utils.synth import NOTE_NAMES


def load_notes(data_root: Path) -> ClipTable:
    """Load the 47 recorded notes, one second each, by eight instruments, A3 to G♯5.

    Parameters
    ----------
    data_root : Path
        The folder of the data; the notes are in `mini/notes` below it.

    Returns
    -------
    ClipTable
        Label: the pitch class, "A" to "G♯", numbered as in `synth.NOTE_NAMES`. Group: the instrument.
        Further columns: `note` ("A4"), `midi`, `frequency_hz` and `cents` (the pitch as measured, and
        its distance from the note in hundredths of a semitone). There are no folds: the notes test.

    Raises
    ------
    DataNotFoundError
        The table is not there.
    """
    root = data_root / "mini"
    if not (root / "notes.csv").is_file():
        raise DataNotFoundError(
            "The recorded notes (data/mini/notes.csv) are not where they should be. Work in a clone of the "
            "repository, or set the environment variable DL4MIR_DATA to its data folder before starting Python."
        )
    notes = pd.read_csv(root / "notes.csv").sort_values("note_id").set_index("note_id")
    frame = notes.rename(columns={"file": "path", "pitch_class": "label", "instrument": "group"})
    frame = frame.assign(start_s=0.0, duration_s=frame["duration_s"].astype(float), track=frame.index, split="")
    return ClipTable("mini/notes", frame, NOTE_NAMES, root)
