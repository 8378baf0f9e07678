"""`load(name)`: the one place that knows which data sets there are."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from dl4mir_utils.data.download import fetch
from dl4mir_utils.data.loaders.choi import TASKS as CHOI_TASKS
from dl4mir_utils.data.loaders.choi import FeatureSet, load_choi_transfer
from dl4mir_utils.data.loaders.fma import load_fma
from dl4mir_utils.data.loaders.folder import load_folder
from dl4mir_utils.data.loaders.gtzan import load_gtzan
from dl4mir_utils.data.loaders.hetrec import ListeningSet, load_hetrec_lastfm
from dl4mir_utils.data.loaders.magnatagatune import load_magnatagatune
from dl4mir_utils.data.loaders.mini import load_mini
from dl4mir_utils.data.loaders.mini_singing import load_mini_singing
from dl4mir_utils.data.loaders.mini_tags import load_mini_tags
from dl4mir_utils.data.loaders.notes import load_notes
from dl4mir_utils.data.loaders.singing import load_jamendo_vad, load_jamendolyrics, load_ultrastar_cc
from dl4mir_utils.data.mixes import SingingMixes
from dl4mir_utils.data.prepared import load_prepared
from dl4mir_utils.data.registry import unknown_name
from dl4mir_utils.data.table import ClipTable
from dl4mir_utils.errors import BadArgumentError

# What comes with the course.
MINI_LOADERS: dict[str, Callable[[], ClipTable | SingingMixes]] = {
    "mini/genre": partial(load_mini, "genre"),
    "mini/album": partial(load_mini, "album"),
    "mini/tracker": partial(load_mini, "tracker"),
    "mini/notes": load_notes,
    "mini/tags": load_mini_tags,
    "mini/singing": load_mini_singing,
}
# What is fetched, and one's own: these take the folder, then the options.
LOADERS: dict[str, Callable[..., ClipTable | FeatureSet | ListeningSet]] = {
    "fma_small": partial(load_fma, subset="small"),
    "fma_medium": partial(load_fma, subset="medium"),
    "fma_large": partial(load_fma, subset="large"),
    "gtzan": load_gtzan,
    "gtzan_mini": partial(load_gtzan, name="gtzan_mini"),
    "jamendo_vad": load_jamendo_vad,
    "jamendolyrics": load_jamendolyrics,
    "magnatagatune": load_magnatagatune,
    "ultrastar_cc": load_ultrastar_cc,
    "hetrec_lastfm": load_hetrec_lastfm,
    **{f"choi_transfer/{task}": partial(load_choi_transfer, task=task) for task in CHOI_TASKS},
    "folder": load_folder,
}
NAMES = (*MINI_LOADERS, *LOADERS)


def load(
    name: str, root: str | Path | None = None, prepared: str | Path | None = None, **options: Any
) -> ClipTable | FeatureSet | ListeningSet | SingingMixes:
    """Load a data set by name.

    Parameters
    ----------
    name : str
        The clips that come with the course:

        - "mini/genre": labelled metal, electronic or orchestral.
        - "mini/album": labelled with the soundtrack they come from, one of twelve.
        - "mini/tracker": all of them, labelled "tracker" (rendered from a module file) or "other".
        - "mini/notes": single recorded notes of eight instruments.
        - "mini/tags": all of them, with the probabilities that a published tagger gives to the 50 tags of
          "magnatagatune": `labels()` are floats. No person tagged them.
        - "mini/singing": dry voices, mixed on the fly over the clips, to find singing in. No clips: `SingingMixes`.

        Research data sets, downloaded when first asked for (docs/data.md: size, licence, known faults):

        - "fma_small", "fma_medium", "fma_large": 30 s clips by top genre.
        - "gtzan", "gtzan_mini": 30 s clips of ten genres, fault-filtered split. Option `split="random"`.
        - "magnatagatune": 29 s clips with the 50 most frequent tags.
        - "jamendo_vad", "ultrastar_cc", "jamendolyrics": whole songs with the times of the singing in the
          column `segments`. The last two take the option `merge_s`: pauses up to so many seconds, 0.6 by
          default, count as singing.
        - "choi_transfer/gtzan_genre", and "ballroom_extended", "emoMusic", "gtzan_speechmusic",
          "jamendo_vd", "urbansound" after the slash: features of a tagging network. No clips: a `FeatureSet`.
        - "hetrec_lastfm": how often 1892 people played which artists. No clips: a `ListeningSet`.

        Your own files:

        - "folder": the genres in the files' tags are labels, or sub-folders are, or a CSV file says. Options
          `genre_from="auto"` ("tags", "folders"), `table="labels.csv"`, `seed=0`.
    root : path-like, optional
        The folder of the data set, where it is not the download cache. "folder" needs it.
    prepared : path-like, optional
        A folder in which `prepare`, or `dl4mir data prepare`, has stored the clips. They are read from there, much
        faster, and nothing else of the data set is needed: leave `root` and the options out.
    **options
        See the names above.

    Returns
    -------
    ClipTable, FeatureSet, ListeningSet or SingingMixes
        The clips in the order of their names. Nothing is decoded yet. What was left out, and why, is in
        its `notes`.

    Raises
    ------
    DataNotFoundError
        The data set is not on this machine and cannot be had, or files of it are missing.
    BadArgumentError
        There is no data set of that name, or it has no such option.
    PreparedDataError
        The folder of prepared data is not complete, or damaged.
    """
    if name not in NAMES:
        raise unknown_name(repr(name), name, NAMES)
    if prepared is not None:
        if root is not None or options:
            raise BadArgumentError("What is prepared is prepared: leave root and the options out.")
        return load_prepared(name, Path(prepared).expanduser().absolute())
    in_course = name in MINI_LOADERS
    if in_course and root is not None:
        raise BadArgumentError(f"{name} comes with the course: leave root out.")
    if name == "folder" and root is None:
        raise BadArgumentError("Say where your music is: load('folder', root='...').")
    loader = MINI_LOADERS[name] if in_course else LOADERS[name]
    try:
        inspect.signature(loader).bind(*([] if in_course else [root]), **options)
    except TypeError as error:
        raise BadArgumentError(f"{name}: {error}.") from None
    if in_course:
        return loader(**options)
    folder = fetch(name.partition("/")[0]) if root is None else Path(root).expanduser()
    return loader(folder, **options)
