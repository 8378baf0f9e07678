"""Songs to find singing in, mixed from the course's own clips and dry voices."""

import pandas as pd

from dl4mir_utils.data.loaders.mini import load_mini
from dl4mir_utils.data.mixes import SingingMixes
from dl4mir_utils.data.table import ClipTable
from dl4mir_utils.paths import course_file

# Who validates and who tests; all others train. About one clip in seven each, of several styles.
ARTISTS = {
    "valid": ("DJ Helium", "Sean Hawk", "Sectoid", "Czech National Symphony Orchestra", "Bart Kelsey", "K-Pone"),
    "test": ("paniq", "Muldjord", "Pingus", "Shawn Parrotte", "Unknown Horizons", "Parapraxis"),
}
# Music in which we suspect voices, so that "no singing" might be wrong: the songs of Obsidian Shell, a band with a
# singer, and every piece of which a pretrained tagger (musicnn) gives a clip more than 0.1 for its vocal tags.
VOCAL_ARTISTS = ("Obsidian Shell", "Alexander Blu")
VOCAL_TRACKS = (
    *("0ad_40", "0ad_41", "askyel_07", "hyperrogue_05", "kentacho_02", "kpone_02", "pekka_09", "whallon_03"),
    *("unknownhorizons_02", "unknownhorizons_05", "unknownhorizons_06", "unknownhorizons_08"),
    *("wesnoth_06", "wesnoth_22", "wesnoth_24", "wesnoth_27"),
)


def load_mini_singing() -> SingingMixes:
    """Load the dry voices and the instrumental music of data/mini, to be mixed on the fly.

    Raises
    ------
    DataNotFoundError
        A table is not there.
    """
    path = course_file("mini/voices.csv")
    voices = pd.read_csv(path, keep_default_na=False).sort_values("voice_id").set_index("voice_id")
    voices = voices.rename(columns={"file": "path", "voice": "group", "kind": "label"})
    voices = voices.assign(start_s=0.0, track=voices.index)
    notes = (
        "Each line keeps the licence of its voice, each clip that of its piece: mix them, but publish no mix of "
        "a GPL clip and a CC-BY-SA voice.",
    )
    kinds = ("spoken", "sung (WORLD)", "sung (HMM)", "sung (recorded)")
    music = load_mini("tracker")
    frame = music.frame.assign(label="nosing")
    frame = frame[~frame["group"].isin(VOCAL_ARTISTS) & ~frame["track"].isin(VOCAL_TRACKS)]
    splits = {artist: split for split, artists in ARTISTS.items() for artist in artists}
    frame = frame.assign(split=frame["group"].map(splits).fillna("train"))
    return SingingMixes(
        ClipTable("mini/singing voices", voices, kinds, path.parent, notes, split_by="artist"),
        ClipTable("mini/singing music", frame, ("nosing",), music.root, split_by="artist"),
    )
