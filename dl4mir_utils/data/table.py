"""The clip table: one row per clip, and the way from it to batches of audio."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from dl4mir_utils.data.audio import Clip, audio_cache
from dl4mir_utils.data.pipeline import count_windows, make_dataset
from dl4mir_utils.errors import BadArgumentError
from dl4mir_utils.segments import frame_labels

if TYPE_CHECKING:
    import tensorflow as tf

    from dl4mir_utils.data.prepared import PreparedAudio, PreparedClip


@dataclass(frozen=True, repr=False, eq=False)
class ClipTable:
    """A data set: a table of clips and the names of its classes.

    Attributes
    ----------
    name : str
        What `load` was given.
    frame : pandas.DataFrame
        One row per clip, index `clip_id`, with at least the columns `path` (relative to `root`),
        `start_s` and `duration_s` (which part of the file the clip is, in seconds), `label` (a name,
        or a tuple of names where a clip has several), `group` (never to be torn apart by a split: an
        artist), `track`, `licence`, `split` ("" until `split()` fills it, if the data set has none of
        its own). Columns `fold_artist`, `fold_track`, `fold_clip` hold the folds, `segments` when a
        file is sung (see `frame_labels`), `soft` one probability per class, a tuple of numbers.
    classes : tuple of str
        The names of the classes; a label's number is its place here.
    root : Path
        The folder that `path` starts from.
    notes : tuple of str
        What was left out, and what else to know.
    split_by : {"", "artist", "track", "clip"}
        What the data set's own split keeps together; "" if it has none.
    prepared : PreparedAudio, optional
        Where the clips lie decoded, after `load(name, prepared=...)`.
    """

    name: str
    frame: pd.DataFrame
    classes: tuple[str, ...]
    root: Path
    notes: tuple[str, ...] = ()
    split_by: str = ""
    prepared: PreparedAudio | None = None

    def __len__(self) -> int:
        return len(self.frame)

    def split(
        self, by: Literal["artist", "track", "clip"] = "artist", test_fold: int = 0, valid_fold: int | None = None
    ) -> ClipTable:
        """Return the table with the column `split` filled: "test", "valid" or "train".

        A data set that comes with a split of its own keeps it, whatever the folds, if it keeps together
        what `by` asks for; a note says so.

        Parameters
        ----------
        by : {"artist", "track", "clip"}
            What the folds keep together. "artist": no artist is on both sides, the honest test.
            "track": clips of one track stay together, artists do not. "clip": nothing does.
        test_fold, valid_fold : int
            The folds used for testing and for validation; without `valid_fold` all the rest trains.

        Raises
        ------
        BadArgumentError
            There are no such folds, both numbers are the same, or the data set's own split does not
            keep that together.
        """
        if self.split_by:
            if by != self.split_by:
                raise BadArgumentError(
                    f"{self.name} comes with a split by {self.split_by}, not by {by}. It is in place already: "
                    f"leave .split(...) out. {' '.join(self.notes)}".rstrip()
                )
            kept = f"The data set's own split by {by} is used; folds do not apply."
            return replace(self, notes=(*(note for note in self.notes if note != kept), kept))
        column = f"fold_{by}"
        known = [name.removeprefix("fold_") for name in self.frame.columns if name.startswith("fold_")]
        if by not in known:
            raise BadArgumentError(f"{self.name} has no folds by {by!r}; it has: {', '.join(known) or 'none'}.")
        folds = sorted(self.frame[column].unique())
        for fold in (test_fold, valid_fold):
            if fold is not None and fold not in folds:
                raise BadArgumentError(f"There is no fold {fold}; {self.name} by {by} has {folds[0]} to {folds[-1]}.")
        if test_fold == valid_fold:
            raise BadArgumentError("test_fold and valid_fold must differ, or the test is no test.")
        fold = self.frame[column]
        split = np.select([fold == test_fold, fold == valid_fold], ["test", "valid"], "train")
        return replace(self, frame=self.frame.assign(split=split))

    def where(self, mask: pd.Series | np.ndarray) -> ClipTable:
        """Return the table with only the rows where `mask` is true; classes keep their numbers."""
        return replace(self, frame=self.frame[mask])

    def labels(self, split: str | None = None) -> np.ndarray:
        """Return the class numbers of a split (or of all clips) in table order.

        Returns
        -------
        int32 array (clips,)
            Or, where a clip has several labels, (clips, classes): 1 for those it has, otherwise 0. Where labels are
            soft, float32 (clips, classes): the probability of each.
        """
        rows = self._rows(split)
        if "soft" in rows:
            return np.array(rows["soft"].tolist(), np.float32)
        labels = rows["label"]
        if isinstance(labels.iloc[0], tuple):
            return np.array([[name in names for name in self.classes] for names in labels], np.int32)
        return labels.map(self.classes.index).to_numpy(np.int32)

    def audio(self, clip_id: str, sample_rate: int = 16000, start: int = 0, samples: int | None = None) -> np.ndarray:
        """Return a clip: float32 (samples,) in [-1, 1].

        Parameters
        ----------
        clip_id : str
            In the table's index.
        sample_rate : int
            In Hz.
        start, samples : int
            Only that many samples, from sample `start` of the clip on; without `samples` the whole clip.

        Raises
        ------
        BadArgumentError
            There is no such clip.
        AudioDecodeError
            Its file cannot be read.
        """
        if clip_id not in self.frame.index:
            raise BadArgumentError(f"{self.name} has no clip {clip_id!r}; the names are in table.frame.index.")
        [clip] = self._clips(self.frame.loc[[clip_id]], sample_rate)
        return audio_cache.read(clip, start, samples).copy()

    def to_tf(
        self,
        split: str | None = None,
        batch: int = 16,
        seconds: float | None = None,
        sample_rate: int = 16000,
        crop: Literal["random", "center", "all"] | None = None,
        seed: int = 0,
        hop_s: float | None = None,
        shards_at_once: int | None = None,
    ) -> tf.data.Dataset:
        """Return batches of `(audio, label)` to train or test on.

        Clips are decoded in parallel on first use and kept in memory (`audio_cache`, at most 512 MiB
        for all data sets together); what does not fit is decoded anew in each epoch. Prepared clips
        are read from their shards, and no more of them than is asked for.

        Parameters
        ----------
        split : {"train", "valid", "test"}, optional
            Which clips; all of them by default.
        batch : int
            Clips (with `crop="all"`: windows) per batch; the last batch may be smaller.
        seconds : float, optional
            Length of the piece taken out of each clip; by default the whole clip.
        sample_rate : int
            In Hz; clips are resampled if theirs differs.
        crop : {"random", "center", "all"}, optional
            Which piece. "random": in every epoch another place of each clip, clips shuffled.
            "center": always the middle, in table order. "all": consecutive windows of each clip in
            table order, a rest shorter than `seconds` left out; `windows()` says which window is whose.
            The default is "random" for the split "train", otherwise "center".
        seed : int
            Decides the order and the places of `crop="random"`: the same seed gives the same batches,
            epoch by epoch.
        hop_s : float, optional
            Only for data sets with timed singing: one label for every frame of `hop_s` seconds, as
            `frame_labels` gives them. Without it there is one label per piece, 1 if half of it is sung.
        shards_at_once : int, optional
            For prepared data on a slow disk, with `crop="random"`: shuffle only the clips of so many shards
            at a time, a new choice in every epoch, and read each of these from front to back.

        Returns
        -------
        tf.data.Dataset
            Of audio float32 (batch, samples, 1) in [-1, 1] and label int32 (batch,); where a clip has
            several labels (batch, classes), with `hop_s` (batch, frames), frames = ceil(seconds / hop_s).
            Soft labels are float32 (batch, classes).

        Raises
        ------
        BadArgumentError
            An argument makes no sense, or clips are shorter than `seconds`.
        AudioDecodeError
            Naming every clip whose file cannot be read.
        """
        crop = crop or ("random" if split == "train" else "center")
        if crop not in ("random", "center", "all"):
            raise BadArgumentError(f"crop is {crop!r}; it must be 'random', 'center' or 'all'.")
        if batch < 1:
            raise BadArgumentError(f"batch is {batch}; it must be at least 1.")
        if shards_at_once is not None and (self.prepared is None or crop != "random" or shards_at_once < 1):
            raise BadArgumentError("shards_at_once, 1 or more, is for prepared data and crop='random': leave it out.")
        rows = self._rows(split)
        clips = self._clips(rows, sample_rate)
        window = self._window(rows, seconds, sample_rate, crop)
        if window is None and batch > 1 and len({clip.samples for clip in clips}) > 1:
            shortest, longest = rows["duration_s"].min(), rows["duration_s"].max()
            raise BadArgumentError(
                f"Whole clips of {self.name} last {shortest:g} to {longest:g} s and do not fit into one batch: "
                "give seconds=..., or batch=1."
            )
        label_pieces, shape = self._label_pieces(split, clips, window, hop_s)
        label_dtype = "float32" if "soft" in rows else "int32"
        return make_dataset(clips, label_pieces, shape, batch, window, crop, seed, label_dtype, shards_at_once)

    def windows(self, split: str | None = None, *, seconds: float, sample_rate: int = 16000) -> pd.DataFrame:
        """Return what the rows of `to_tf(split, seconds=seconds, crop="all")` are, in their order.

        Returns
        -------
        pandas.DataFrame
            Columns `clip_id`, `start_s` (within the clip) and `label`. To average a model's outputs
            over the windows of each clip: `pd.DataFrame(p).groupby(windows["clip_id"], sort=False).mean()`.
        """
        rows = self._rows(split)
        window = self._window(rows, seconds, sample_rate, "all")
        clips = self._clips(rows, sample_rate)
        counts = count_windows(clips, window)
        place = np.concatenate([np.arange(count) for count in counts])
        which = np.repeat(np.arange(len(rows)), counts)
        labels = rows["label"].to_numpy()[which]
        if "segments" in rows:
            label_pieces, _ = self._label_pieces(split, clips, window, None)
            labels = np.array(self.classes)[label_pieces(which, place * window)]
        return pd.DataFrame({"clip_id": rows.index[which], "start_s": place * window / sample_rate, "label": labels})

    def summary(self) -> pd.DataFrame:
        """Return the number of clips, tracks, groups and minutes by class, and of clips by split."""
        frame = self.frame.explode("label")  # a clip of several labels counts for each
        by_class = frame.groupby("label")
        table = pd.DataFrame(
            {
                "clips": by_class.size(),
                "tracks": by_class["track"].nunique(),
                "groups": by_class["group"].nunique(),
                "minutes": (by_class["duration_s"].sum() / 60).round(1),
            }
        )
        for split in ("train", "valid", "test"):
            if (frame["split"] == split).any():
                table[split] = (frame["split"] == split).groupby(frame["label"]).sum()
        return table.reindex(self.classes, fill_value=0).rename_axis("class")

    def __repr__(self) -> str:
        minutes = self.frame["duration_s"].sum() / 60
        return f"ClipTable {self.name}: {len(self)} clips, {minutes:.0f} minutes, {len(self.classes)} classes"

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return f"<p>{html.escape(repr(self))}</p>{self.summary().to_html()}<ul>{notes}</ul>"

    def _rows(self, split: str | None) -> pd.DataFrame:
        rows = self.frame if split is None else self.frame[self.frame["split"] == split]
        if rows.empty:
            advice = "Call .split(...) first" if (self.frame["split"] == "").all() else "See table.frame['split']"
            raise BadArgumentError(f"{self.name} has no clips in the split {split!r}. {advice}.")
        return rows

    def _clips(self, rows: pd.DataFrame, sample_rate: int) -> list[Clip] | list[PreparedClip]:
        if self.prepared is not None:
            return self.prepared.clips(rows, sample_rate)
        return [
            Clip(clip_id, self.root / path, start_s, duration_s, sample_rate)
            for clip_id, path, start_s, duration_s in rows[["path", "start_s", "duration_s"]].itertuples()
        ]

    def _label_pieces(
        self, split: str | None, clips: list[Clip] | list[PreparedClip], window: int | None, hop_s: float | None
    ) -> tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], tuple[int | None, ...]]:
        """Return the function from (numbers of clips, first samples) to the pieces' labels, and the shape of one."""
        rows = self._rows(split)
        if "segments" not in rows:
            if hop_s is not None:
                raise BadArgumentError(f"{self.name} has no timed labels: leave hop_s out.")
            labels = self.labels(split)
            return (lambda which, starts: labels[which]), labels.shape[1:]
        if hop_s is not None and hop_s <= 0:
            raise BadArgumentError(f"hop_s is {hop_s}; it must be positive.")
        segments = rows["segments"].tolist()

        def label_pieces(which: np.ndarray, starts: np.ndarray) -> np.ndarray:
            labels = []
            for number, start in zip(which, starts, strict=True):
                clip = clips[number]
                seconds = (window or clip.samples) / clip.sample_rate
                frames = math.ceil(seconds / (hop_s or seconds) - 1e-6)
                first_s = clip.start_s + start / clip.sample_rate
                labels.append(frame_labels(segments[number], hop_s or seconds, frames, first_s))
            return np.stack(labels) if hop_s else np.concatenate(labels)

        return label_pieces, (None,) if hop_s else ()

    def _window(self, rows: pd.DataFrame, seconds: float | None, sample_rate: int, crop: str) -> int | None:
        """Return the window length in samples after checking that every clip holds one."""
        if seconds is None:
            if crop == "all":
                raise BadArgumentError("crop='all' cuts clips into windows: say how long with seconds=...")
            return None
        window = round(seconds * sample_rate)
        if window < 1:
            raise BadArgumentError(f"seconds is {seconds}; it must be positive.")
        short = rows.index[rows["duration_s"].mul(sample_rate).round() < window]
        if len(short):
            raise BadArgumentError(
                f"Shorter than {seconds:g} s: {', '.join(short)}. Ask for less, or leave them out with "
                f"table.where(table.frame['duration_s'] >= {seconds:g})."
            )
        return window
