"""The recorded notes: single tones of real instruments, to try a pitch detector on."""

import pandas as pd

from dl4mir_utils.data.table import ClipTable
from dl4mir_utils.paths import course_file
from dl4mir_utils.synth import NOTE_NAMES


def load_notes() -> ClipTable:
    """Load the 47 recorded notes of data/mini, one second each, by eight instruments, A3 to G♯5.

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
    path = course_file("mini/notes.csv")
    notes = pd.read_csv(path).sort_values("note_id").set_index("note_id")
    frame = notes.rename(columns={"file": "path", "pitch_class": "label", "instrument": "group"})
    frame = frame.assign(start_s=0.0, duration_s=frame["duration_s"].astype(float), track=frame.index, split="")
    return ClipTable("mini/notes", frame, NOTE_NAMES, path.parent)
