"""Train a genre network on one's own music: `dl4mir train`.

    result = train_genre(Path("my/music"), Path("my.tflite"))
    result.scores  # on artists that the networks had not heard, beside two baselines

A library of one's own is small, so most of the network is borrowed: musicnn, trained on the Million Song Dataset, says
what it heard in a window (its embedding, 200 numbers; see notebook 07), and one layer learns to name the genre from
that. It is a logistic regression, whose best weights are found exactly, so nothing hangs on chance.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, recall_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from dl4mir_utils.apps.genre import file_features, vote
from dl4mir_utils.apps.workers import Failure, each_in_process
from dl4mir_utils.data.loaders.files import name_some
from dl4mir_utils.data.loaders.folder import GenreFrom, Library, read_library
from dl4mir_utils.decoding import SILENCE
from dl4mir_utils.errors import BadArgumentError
from dl4mir_utils.metrics import group_interval
from dl4mir_utils.paths import course_file

FEWEST_ARTISTS = 3  # of a genre: one is asked about, and two at least are learned from
MOST_FOLDS = 5
TRIES = 100  # seeds of the folds
LEARNED = 10  # windows of a song
# Of errors, beside the size of the weights: which one, is chosen on the artists that a network learns from. Few songs
# need small ones: of 60 of the course's, 74 % are named right with 0.1, and 83 % with 0.001.
COSTS = (0.0001, 0.001, 0.01, 0.1, 1.0)
TEMPERATURES = np.geomspace(0.01, 10, 61)
ANSWERED = 0.75  # of songs by unheard artists: how often the network names a genre at all
HOP = 24064  # samples from window to window where genre is shown over time: half a window
# Of those, the windows whose mean is compared with `unsure_below`: they span 9 s, as three windows do without overlap.
SMOOTH, SMOOTH_APART = 5, 3
SYSTEMS = {
    "network": "this network",
    "log_mel": "mean and deviation of log-mel, logistic regression",
    "common": "always the most common genre",
}
if TYPE_CHECKING:
    import keras

Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]


class Trained(NamedTuple):
    """What came out of a training.

    Attributes
    ----------
    songs : pandas.DataFrame
        A row per song: `file` (relative to the folder), `genre`, `artist`, `fold`, the answers of the systems
        (`network`, `log_mel`, `common`) that knew none of the fold's artists, the `share` of the network's answer, and
        whether that is `sure`: not below a threshold that was chosen without this fold.
    scores : pandas.DataFrame
        A row per system: `accuracy`, its 95 % interval over artists (`low`, `high`), and `recall`, the mean over
        genres.
    recall : pandas.Series
        The network's, by genre.
    card : dict
        What is written beside the network.
    left_out : dict of Path to str
        Files and folders that were not used, and why.
    notes : list of str
        What else to know of the library.
    """

    songs: pd.DataFrame
    scores: pd.DataFrame
    recall: pd.Series
    card: dict[str, Any]
    left_out: dict[Path, str]
    notes: list[str]


@contextmanager
def _unseen(title: str, total: int) -> Iterator[Callable[[], None]]:
    yield lambda: None


def train_genre(
    root: Path,
    out: Path,
    *,
    genre_from: GenreFrom = "auto",
    leave_out: bool = False,
    seed: int = 0,
    progress: Progress = _unseen,
) -> Trained:
    """Train a network on a folder of music, judge it on artists it has not heard, and write it for LiteRT.

    Parameters
    ----------
    root : Path
        The folder; `dl4mir_utils.data.loaders.folder.read_library` says how genres and artists are found.
    out : Path
        Ends in .tflite; the card goes beside it, with the ending .json. Both are written whole, at the very end.
    genre_from : {"auto", "tags", "folders"}
    leave_out : bool
        Leave out files whose artist is not known, and genres of fewer than three artists, rather than to refuse.
    seed : int
        Decides which artists are tested together.
    progress : function (title, total) -> context manager
        Gives a function that is called after each song.

    Returns
    -------
    Trained

    Raises
    ------
    DataNotFoundError
        There is no music with a genre in the folder.
    BadArgumentError
        Artists are not known, a genre has too few of them, or there are fewer than two genres.
    """
    if out.suffix != ".tflite" or not out.parent.is_dir():
        raise BadArgumentError(
            f"The network goes to {out}; that must be a file in a folder that is there, and end in .tflite."
        )
    library = _usable(read_library(root, genre_from=genre_from), root, leave_out)
    heard, failed = _heard([root / path for path in library.frame["path"]], progress)
    if failed:
        rest = library.frame[[root / path not in failed for path in library.frame["path"]]]
        library = _usable(library._replace(frame=rest, left_out=library.left_out | failed), root, leave_out)
    frame = library.frame.reset_index(drop=True)
    classes = sorted(frame["label"].unique())
    labels = frame["label"].map(classes.index).to_numpy()
    windows, log_mels = zip(*(heard[root / path] for path in frame["path"]), strict=True)
    artists = frame["artist"].to_numpy()
    with threadpool_limits(1, "blas"):  # matrices are small: several threads would only wait for each other
        folds, rows, answers = _cross_fitted(
            windows, np.stack(log_mels).reshape(len(frame), -1), labels, artists, seed, progress
        )
        head = _head(windows, labels, artists, seed)
    songs, scores, recall = _judged(frame, classes, labels, folds, rows, answers)
    card = _export(out, head, classes, _facts(songs, scores, recall, *_thresholds(rows)))
    return Trained(songs, scores, recall, card, library.left_out, library.notes)


# --- the library ---------------------------------------------------------------------------------------------------


def _usable(library: Library, root: Path, leave_out: bool) -> Library:
    """Return the library without what cannot be used; refuse it, if that may not be left out."""
    frame, left_out = library.frame, dict(library.left_out)
    unknown = frame["artist"] == ""
    if unknown.any():
        if not leave_out:
            layout = "artist/album/file" if library.source == "tags" else "genre/artist/file"
            raise BadArgumentError(
                f"The artist of {unknown.sum()} of {len(frame)} files is not known, neither from their tags nor from a "
                f"folder: {name_some(frame['path'][unknown].tolist())}. Songs of one artist sound alike, so one artist "
                "may not be both learned from and tested on. Fill in the artist in their tags, put the files into "
                f"folders {layout}, or leave them out with --leave-out (in Python leave_out=True)."
            )
        left_out |= {root / path: "its artist is not known" for path in frame["path"][unknown]}
        frame = frame[~unknown]
    artists = frame.groupby("label")["artist"].nunique()
    few = artists[artists < FEWEST_ARTISTS]
    if len(few):
        named = ", ".join(f"{genre} ({_count(number, 'artist')})" for genre, number in few.items())
        if not leave_out:
            raise BadArgumentError(
                f"Too few artists: {named}. A genre needs {FEWEST_ARTISTS} at least, so that while one is asked about, "
                "two are learned from; else the network would learn to know an artist. Add music by others, join "
                "genres in the tags or folders, or leave these genres out with --leave-out (in Python leave_out=True): "
                "the network then takes their songs for one of the other genres."
            )
        scarce = frame["label"].isin(few.index)
        for path, genre in frame.loc[scarce, ["path", "label"]].itertuples(index=False):
            left_out[root / path] = f"its genre, {genre}, has too few artists ({few[genre]})"
        frame = frame[~scarce]
    if frame["label"].nunique() < 2:
        raise BadArgumentError(
            f"Only {frame['label'].nunique()} genre with {FEWEST_ARTISTS} artists or more is there, "
            f"from the {library.source}: two are needed. If genres were looked for in the wrong place, say "
            "--genre-from tags or --genre-from folders."
        )
    return library._replace(frame=frame, left_out=left_out)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _heard(
    files: Sequence[Path], progress: Progress
) -> tuple[dict[Path, tuple[np.ndarray, np.ndarray]], dict[Path, str]]:
    """Return embeddings of windows and log-mel statistics by file, and what is wrong with the others."""
    heard, failed = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        log_mel = Path(folder) / "log_mel.tflite"
        _export_log_mel(log_mel)
        with progress("Listening", len(files)) as advance, each_in_process(file_features, files, log_mel) as results:
            for file, found in results:
                if isinstance(found, Failure):
                    failed[file] = found.reason
                else:
                    heard[file] = found
                advance()
    return heard, failed


def _folds(labels: np.ndarray, artists: np.ndarray, seed: int, fewest: int = FEWEST_ARTISTS - 1) -> np.ndarray:
    """Return the number of each song's fold: no artist is in two, and so many of every genre are always outside one."""
    pairs = pd.DataFrame({"label": labels, "artist": artists})
    count = min(MOST_FOLDS, pairs.groupby("label")["artist"].nunique().min())
    for attempt in range(TRIES):
        split = StratifiedGroupKFold(count, shuffle=True, random_state=TRIES * seed + attempt)
        folds = np.zeros(len(labels), int)
        for number, (_, test) in enumerate(split.split(labels, labels, artists)):
            folds[test] = number
        outside = [pairs[folds != number].groupby("label")["artist"].nunique() for number in range(count)]
        if all(len(of_one) == len(set(labels)) and of_one.min() >= fewest for of_one in outside):
            return folds
    raise BadArgumentError(
        "The artists cannot be shared out so that two of every genre are always learned from, because some have music "
        "of several genres. Add music by other artists."
    )


# --- learning ------------------------------------------------------------------------------------------------------


class Head(NamedTuple):
    """What names genres: probabilities are the softmax of rows @ weights + biases.

    Attributes
    ----------
    weights : float array (values, genres)
    biases : float array (genres,)
    """

    weights: np.ndarray
    biases: np.ndarray

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return probabilities (rows, genres) of rows (rows, values)."""
        return _softmax(rows @ self.weights + self.biases)


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def _head(rows: Sequence[np.ndarray], labels: np.ndarray, artists: np.ndarray, seed: int) -> Head:
    """Return a head that learned from rows (rows, values) of each song: songs count the same, and so do genres."""
    means = np.stack([of_song.mean(axis=0) for of_song in rows])
    cost, temperature = _chosen(means, labels, artists, seed)
    # Evenly, ten of each at most: more teach little, and take as much longer.
    some = [of_song[np.linspace(0, len(of_song) - 1, min(LEARNED, len(of_song))).astype(int)] for of_song in rows]
    found = _regression(some, labels, cost)
    return Head(found.weights / temperature, found.biases / temperature)


def _regression(rows: Sequence[np.ndarray], labels: np.ndarray, cost: float) -> Head:
    lengths, songs = [len(of_song) for of_song in rows], np.bincount(labels)
    each = np.repeat(len(labels) / (len(songs) * songs[labels] * lengths), lengths)
    found = LogisticRegression(C=cost, max_iter=2000).fit(np.concatenate(rows), np.repeat(labels, lengths), each)
    weights, biases = found.coef_.T, found.intercept_
    if len(songs) == 2:  # scikit-learn keeps the difference of the two alone
        weights, biases = np.hstack([0 * weights, weights]), np.append(0, biases)
    return Head(weights, biases)


def _chosen(features: np.ndarray, labels: np.ndarray, artists: np.ndarray, seed: int) -> tuple[float, float]:
    """Return cost and temperature, chosen on songs (songs, values) by artists who were left out in turn.

    The cost is the one with which most songs are named right, genre by genre; of several the least. It makes answers
    too sure, or too little; the temperature makes the right genres as probable as can be.
    """
    folds = _folds(labels, artists, seed, fewest=1)
    logits = np.zeros((len(COSTS), len(labels), labels.max() + 1))
    for fold in range(folds.max() + 1):
        train, test = folds != fold, folds == fold
        for number, cost in enumerate(COSTS):
            head = _regression(features[train, np.newaxis], labels[train], cost)
            logits[number, test] = features[test] @ head.weights + head.biases
    found = [round(recall_score(labels, of_one.argmax(axis=1), average="macro"), 6) for of_one in logits]
    best = int(np.argmax(found))
    each = 1 / np.bincount(labels)[labels]
    losses = [log_loss(labels, _softmax(logits[best] / one), sample_weight=each) for one in TEMPERATURES]
    return COSTS[best], float(TEMPERATURES[int(np.argmin(losses))])


def _cross_fitted(
    windows: Sequence[np.ndarray],
    log_mels: np.ndarray,
    labels: np.ndarray,
    artists: np.ndarray,
    seed: int,
    progress: Progress,
) -> tuple[np.ndarray, list[np.ndarray], pd.DataFrame]:
    """Return answers of networks and baselines that knew no artist of a song's fold.

    Returns
    -------
    int array (songs,)
        The folds.
    list of float64 arrays (windows, genres)
        Probabilities by song.
    pandas.DataFrame
        The numbers of the genres that the baselines answer, a column for each.
    """
    folds = _folds(labels, artists, seed)
    rows: list[np.ndarray] = [np.zeros(0)] * len(labels)
    answers = pd.DataFrame(0, range(len(labels)), ["log_mel", "common"])
    with progress("Testing on unheard artists", folds.max() + 1) as advance:
        for fold in range(folds.max() + 1):
            train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            learned = labels[train], artists[train], seed
            head = _head([windows[song] for song in train], *learned)
            for song in test:
                rows[song] = head(windows[song])
            scaled = StandardScaler().fit(log_mels[train]).transform(log_mels)
            plain = _head(scaled[train, np.newaxis], *learned)
            answers.loc[test, "log_mel"] = plain(scaled[test]).argmax(axis=1)
            answers.loc[test, "common"] = np.bincount(labels[train]).argmax()
            advance()
    return folds, rows, answers


def _smoothed(rows: np.ndarray) -> np.ndarray:
    """Return the mean of each row and its neighbours, `SMOOTH_APART` in all; fewer at the ends."""
    reach = SMOOTH_APART // 2
    return np.array([rows[max(0, i - reach) : i + reach + 1].mean(axis=0) for i in range(len(rows))])


def _thresholds(rows: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return below which share of a song, and below which of a few windows on end, a quarter of all answers are."""
    of_songs = np.quantile([vote(of_song).max() for of_song in rows], 1 - ANSWERED)
    of_windows = np.quantile(np.concatenate([_smoothed(of_song).max(axis=1) for of_song in rows]), 1 - ANSWERED)
    return round(float(of_songs), 3), round(float(of_windows), 3)


# --- what was measured ---------------------------------------------------------------------------------------------


def _judged(
    frame: pd.DataFrame,
    classes: Sequence[str],
    labels: np.ndarray,
    folds: np.ndarray,
    rows: Sequence[np.ndarray],
    answers: pd.DataFrame,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Return songs, scores and recall, as in `Trained`; of each fold with what was chosen on the others."""
    answers = answers.assign(network=0, share=0.0, sure=False)
    for fold in np.unique(folds):
        song_below, _ = _thresholds([rows[song] for song in np.flatnonzero(folds != fold)])
        for song in np.flatnonzero(folds == fold):
            shares = vote(rows[song])
            answers.loc[song, ["network", "share", "sure"]] = shares.argmax(), shares.max(), shares.max() >= song_below
    scores = {}
    for system in SYSTEMS:
        right = answers[system].to_numpy() == labels
        interval = group_interval(right, frame["artist"])
        recall = recall_score(labels, answers[system], average=None, labels=range(len(classes)))
        scores[system] = {"accuracy": right.mean(), "low": interval[0], "high": interval[1], "recall": recall.mean()}
        if system == "network":
            by_genre = pd.Series(recall, classes, name="recall")
    songs = pd.DataFrame({"file": frame["path"], "genre": frame["label"], "artist": frame["artist"], "fold": folds})
    for system in SYSTEMS:
        songs[system] = [classes[number] for number in answers[system]]
    return songs.join(answers[["share", "sure"]]), pd.DataFrame(scores).T, by_genre


def _facts(
    songs: pd.DataFrame, scores: pd.DataFrame, recall: pd.Series, song_below: float, window_below: float
) -> dict[str, Any]:
    """Return what the card says beyond what `to_tflite` knows."""

    def percent(share: float) -> str:
        return f"{100 * share:.0f} %"

    artists, network = songs["artist"].nunique(), scores.loc["network"]
    sure = songs["sure"].to_numpy(bool)
    right = (songs["network"] == songs["genre"])[sure].mean() if sure.any() else None
    baselines = "; ".join(f"{SYSTEMS[name]}: {percent(scores.accuracy[name])}" for name in ("log_mel", "common"))
    return {
        "title": f"Genres of one's own music: {name_some(recall.index, 4)}",
        "outputs": {"genre": "the probability of each genre"},
        "hop_samples": HOP,
        "smooth_windows": SMOOTH,
        "unsure_below": window_below,
        "song_unsure_below": song_below,
        "silent_below": SILENCE,
        "score": {
            **{name: round(float(network[name]), 3) for name in ("accuracy", "recall")},
            "interval": [round(float(network[end]), 3) for end in ("low", "high")],
            "songs": len(songs),
            "artists": artists,
            "by_genre": recall.round(3).to_dict(),
            "baselines": {name: round(float(scores.accuracy[name]), 3) for name in ("log_mel", "common")},
            "text": (
                f"Networks trained like it named the right genre for {percent(network.accuracy)} of {len(songs)} songs "
                f"by artists whom they had not heard (95 % interval over {artists} artists: {percent(network.low)} to "
                f"{percent(network.high)}). Baselines: {baselines}. It knows these {len(recall)} genres and no other. "
                "musicnn, which it builds on, may have heard well-known artists before."
            ),
        },
        "calibration": {
            "answered": round(float(sure.mean()), 3),
            "right_where_answered": None if right is None else round(float(right), 3),
            "text": (
                f"Of songs by unheard artists it names a genre for {percent(sure.mean())}"
                + ("" if right is None else f", and {percent(right)} of those answers are right")
                + f". It is unsure where its mean over the song is below {song_below:.2f}. Other music than that of "
                "these genres may still pass for one of them."
            ),
        },
        "source": "dl4mir train; features of musicnn: Pons and Serra, 2019, arXiv:1909.06654",
        "licence": "The last layer is yours; musicnn's part ISC, see licence_text",
        "licence_text": course_file("pretrained/LICENCE-musicnn.txt").read_text(encoding="utf-8"),
    }


# --- files ---------------------------------------------------------------------------------------------------------


def _export_log_mel(path: Path) -> None:
    """Export what the plain baseline sees: musicnn's log-mel, its mean over time and that of its squares."""
    import keras
    from keras import ops

    from dl4mir_utils.models.lite import Signature, to_tflite
    from dl4mir_utils.models.musicnn import EXCERPT, log_mel

    audio = keras.Input((EXCERPT, 1), name="audio")
    bands = log_mel(audio)[..., 0]
    model = keras.Model(audio, [ops.mean(bands, axis=1), ops.mean(bands**2, axis=1)], name="log_mel")
    to_tflite(
        path, {"window": Signature(model, {"audio": (1, EXCERPT, 1)}, ["mean", "squares"])}, labels=[], half=False
    )


def network(head: Head) -> "keras.Model":
    """Return musicnn up to its embedding, with a head: audio (batch, 48128, 1) to probabilities (batch, genres)."""
    import keras
    from keras import layers

    from dl4mir_utils.models.musicnn import musicnn
    from dl4mir_utils.models.pruning import without_still_filters

    tagger = musicnn("msd")
    features = without_still_filters(keras.Model(tagger.input, tagger.get_layer("penultimate").output, name="features"))
    genre = layers.Dense(len(head.biases), activation="softmax", name="genre")
    model = keras.Model(features.input, genre(features.output), name="own_genre")
    genre.set_weights([head.weights, head.biases])
    return model


def _export(out: Path, head: Head, classes: Sequence[str], facts: dict[str, Any]) -> dict[str, Any]:
    """Write network and card to where they belong, when both are whole; return the card."""
    from dl4mir_utils.models.lite import Signature, to_tflite
    from dl4mir_utils.models.musicnn import EXCERPT

    signature = Signature(network(head), {"audio": (1, EXCERPT, 1)}, ["genre"])
    # In a hidden folder beside it, since a file can be moved at once only there.
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".dl4mir-") as folder:
        part = Path(folder) / out.name
        card = to_tflite(part, {"window": signature}, labels=classes, window_samples=EXCERPT, **facts)
        for file in (part, part.with_suffix(".json")):
            file.replace(out.with_name(file.name))
    return card
