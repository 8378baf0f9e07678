"""The course's own clips with soft tags, as another network hears them."""

from itertools import compress

import pandas as pd

from dl4mir_utils.data.loaders.magnatagatune import TOP_50
from dl4mir_utils.data.loaders.mini import load_mini
from dl4mir_utils.data.table import ClipTable
from dl4mir_utils.paths import course_file

GIVEN = 0.2  # a probability above this counts as a tag
NOTES = (
    "No person gave these tags: they are what the network musicnn, trained on MagnaTagATune, says of the clips.",
    f"Column soft holds its 50 probabilities, column label the tags above {GIVEN}.",
)


def load_mini_tags() -> ClipTable:
    """Load all clips with the probabilities of the 50 tags of MagnaTagATune, and a split that keeps artists apart.

    `tools/recipes/tag_mini.py` made the table.

    Raises
    ------
    DataNotFoundError
        A table is not there.
    """
    tags = pd.read_csv(course_file("mini/tags.csv"), dtype={"clip_id": str}).set_index("clip_id")
    clips = load_mini("tracker")
    tags = tags.loc[clips.frame.index]
    soft = [tuple(row) for row in tags[list(TOP_50)].to_numpy().tolist()]
    label = [tuple(compress(TOP_50, (probability > GIVEN for probability in row))) for row in soft]
    # Through Series: assign would take a list of tuples for a table.
    frame = clips.frame.assign(
        label=pd.Series(label, tags.index), soft=pd.Series(soft, tags.index), split=tags["split"]
    )
    return ClipTable("mini/tags", frame, TOP_50, clips.root, NOTES, split_by="artist")
