"""Who listens to whom: Last.fm 2K (Cantador, Brusilovsky, Kuflik: HetRec, RecSys 2011), the base of recommenders."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from dl4mir_utils.data.loaders.files import find_folder, name_some, require_files
from dl4mir_utils.errors import BadArgumentError, DataNotFoundError


@dataclass(frozen=True, repr=False, eq=False)
class ListeningSet:
    """Who listened to what, and how often. There is no sound in it.

    Attributes
    ----------
    name : str
        What `load` was given, or what one calls listeners of one's own.
    plays : scipy.sparse.csr_array of int32 (listeners, items)
        How often; what nobody played is not stored.
    items : array of str (items,)
        The names of the columns: artists, or tracks.
    """

    name: str
    plays: csr_array
    items: np.ndarray

    def __repr__(self) -> str:
        listeners, items = self.plays.shape
        share = self.plays.nnz / (listeners * items)
        return f"ListeningSet {self.name}: {listeners} listeners, {items} items, {share:.2%} of the pairs played"

    def hold_back(self, share: float = 0.2, seed: int = 0) -> tuple[csr_array, csr_array]:
        """Part the plays in two at random, to learn from one part and to test on the other.

        A pair of listener and item is in one of the two, with all its plays.

        Parameters
        ----------
        share : float
            Of the pairs, to be held back.
        seed : int

        Returns
        -------
        shown, hidden : csr_array of int32 (listeners, items)

        Raises
        ------
        BadArgumentError
            The share is not between 0 and 1.
        """
        if not 0 < share < 1:
            raise BadArgumentError(f"share is {share}; it must be between 0 and 1, such as 0.2.")
        pairs = self.plays.tocoo()
        hidden = np.random.default_rng(seed).random(pairs.nnz) < share
        shown, hidden = (
            csr_array((pairs.data[part], (pairs.row[part], pairs.col[part])), shape=self.plays.shape)
            for part in (~hidden, hidden)
        )
        return shown, hidden


def load_hetrec_lastfm(root: Path) -> ListeningSet:
    """Load how often each listener played each artist.

    Raises
    ------
    DataNotFoundError
        A file is missing, or is not what it should be.
    """
    name = "hetrec_lastfm"
    root = find_folder(root, "user_artists.dat", name)
    require_files(root, ["artists.dat"], name)
    plays = _read(root / "user_artists.dat", ["userID", "artistID", "weight"], name)
    artists = _read(root / "artists.dat", ["id", "name"], name)
    try:
        plays = plays.astype("int64")
        names = artists.assign(id=artists["id"].astype("int64")).set_index("id")["name"].sort_index()
    except ValueError as error:
        raise _damaged("user_artists.dat or artists.dat", f"a field is no whole number ({error})", name) from error
    unknown = set(plays["artistID"]) - set(names.index)
    if unknown:
        raise _damaged("artists.dat", f"lacks the artists {name_some([str(i) for i in sorted(unknown)])}", name)
    twice = plays.duplicated(["userID", "artistID"]).any() or names.index.has_duplicates
    if twice or (plays["weight"] < 1).any():
        raise _damaged("user_artists.dat or artists.dat", "has lines twice, or counts below 1", name)
    names = names[names.index.isin(plays["artistID"])]  # tagged artists whom nobody plays are named there, too
    rows = plays["userID"].astype("category").cat.codes
    columns = names.index.get_indexer(plays["artistID"])
    shape = (plays["userID"].nunique(), len(names))
    counts = csr_array((plays["weight"].to_numpy(np.int32), (rows, columns)), shape=shape)
    return ListeningSet(name, counts, names.to_numpy(str))


def _read(path: Path, columns: list[str], name: str) -> pd.DataFrame:
    """Read columns of a table as text. Names hold quotes that quote nothing."""
    # Names of artists are UTF-8; a byte that is not becomes a replacement character.
    rows = pd.read_csv(
        path, sep="\t", dtype=str, quoting=csv.QUOTE_NONE, keep_default_na=False, encoding_errors="replace"
    )
    missing = [column for column in columns if column not in rows]
    if missing:
        raise _damaged(path.name, f"has no column {name_some(missing)}", name)
    return rows[columns]


def _damaged(file: str, fault: str, name: str) -> DataNotFoundError:
    return DataNotFoundError(f"{file} {fault}. `dl4mir data verify {name}` says which file is wrong.")
