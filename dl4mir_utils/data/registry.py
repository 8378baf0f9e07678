"""What can be downloaded: every data set's files, where they are, how large, and which bytes they must be."""

import csv
import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dl4mir_utils.errors import BadArgumentError

GIB = 2**30


@dataclass(frozen=True)
class RemoteFile:
    """One file to download.

    Attributes
    ----------
    path : str
        Where it goes, relative to the data set's folder, with "/"; the same on a mirror.
    url : str
        Its original address.
    size : int or None
        Bytes, rounded where only that is published; None if nothing is. For questions and progress, never a check.
    checksum : str or None
        "sha256:...", "sha1:..." or "md5:..." of the whole file; None if none is published.
    extract : bool
        An archive (.zip, .tar.gz): its contents end up in the folder `unpacked`, and the archive is deleted.
    also : tuple of str
        Other addresses of the same bytes.
    part_of : str or None
        One piece of this archive, cut in order of the registry; the pieces are joined and unpacked.
    licence : str
        Its own licence where it differs from file to file.
    """

    path: str
    url: str
    size: int | None = None
    checksum: str | None = None
    extract: bool = False
    also: tuple[str, ...] = ()
    part_of: str | None = None
    licence: str = ""

    @property
    def archive(self) -> str | None:
        """The archive that this file is, or is a part of."""
        return self.part_of or (self.path if self.extract else None)


def unpacked(archive: str) -> str:
    """Name the folder that an archive's contents go into: "mp3.zip" to "mp3", "genres.tar.gz" to "genres".

    If everything in the archive is in one folder, the contents of that folder go there.
    """
    return str(
        PurePosixPath(archive).with_name(PurePosixPath(archive).name.removesuffix(".zip").removesuffix(".tar.gz"))
    )


@dataclass(frozen=True)
class DataSet:
    """One data set: what it is good for, under which terms, and its files.

    Attributes
    ----------
    name, title, purpose, licence, homepage : str
        `name` is also the name of its folder, in the cache and on a mirror.
    url_state : str
        What is known about its addresses and checksums.
    split : str
        The usual train, valid and test split.
    groups : str
        What must never be torn apart by a split, and where the data set names it.
    files : tuple of RemoteFile
        In the order in which they are fetched.
    needs : tuple of str
        Other data sets fetched with it.
    """

    name: str
    title: str
    purpose: str
    licence: str
    homepage: str
    url_state: str
    split: str
    groups: str
    files: tuple[RemoteFile, ...]
    needs: tuple[str, ...] = ()


def total_size(files: Iterable[RemoteFile]) -> int | None:
    """Return the bytes of all the files, or None if those of one are not published."""
    sizes = [file.size for file in files]
    return None if None in sizes else sum(sizes)


def _listed(name: str) -> tuple[RemoteFile, ...]:
    """Read the files of a data set from registry.tsv, the table of those that are many or small."""
    with Path(__file__).with_name("registry.tsv").open(encoding="utf-8", newline="") as table:
        return tuple(
            RemoteFile(row["file"], row["url"], int(row["bytes"]), f"sha256:{row['sha256']}", licence=row["licence"])
            for row in csv.DictReader(table, delimiter="\t")
            if row["dataset"] == name
        )


def _fma(subset: str, title: str, purpose: str, gib: float, sha1: str) -> DataSet:
    file = f"fma_{subset}.zip"
    return DataSet(
        name=f"fma_{subset}",
        title=title,
        purpose=purpose,
        licence="CC, by track (tables: CC BY 4.0)",
        homepage="https://github.com/mdeff/fma",
        url_state="original address, SHA-1 published by the authors",
        split="training, validation, test columns of tracks.csv, 80/10/10, stratified",
        groups="artists; the published split keeps them apart",
        files=(
            RemoteFile(file, f"https://os.unil.cloud.switch.ch/fma/{file}", round(gib * GIB), f"sha1:{sha1}", True),
        ),
        needs=() if subset == "metadata" else ("fma_metadata",),
    )


_MTAT = "https://mirg.city.ac.uk/datasets/magnatagatune/"

DATA_SETS: dict[str, DataSet] = {
    dataset.name: dataset
    for dataset in (
        _fma(
            "metadata",
            "FMA: genres, splits and 518 librosa features of all tracks",
            "tables that every FMA subset needs",
            342 / 1024,
            "f0df49ffe5f2a6008d7dc83c6915b31835dfe733",
        ),
        _fma(
            "small",
            "FMA small: 8 000 clips of 30 s",
            "genre, 8 classes",
            7.2,
            "ade154f733639d52e35e32f5593efe5be76c6d70",
        ),
        _fma(
            "medium",
            "FMA medium: 25 000 clips of 30 s",
            "genre, 16 uneven classes",
            22,
            "c67b69ea232021025fca9231fc1c7c1a063ab50b",
        ),
        _fma(
            "large",
            "FMA large: 106 574 clips of 30 s",
            "genre, 161 classes",
            93,
            "497109f4dd721066b5ce5e5f250ec604dc78939e",
        ),
        DataSet(
            name="gtzan",
            title="GTZAN: 1 000 clips of 30 s",
            purpose="genre, 10 classes, known faults",
            licence="none stated (lists: MIT)",
            homepage="http://marsyas.info/downloads/datasets.html",
            url_state="the original address is dead since 2022: copies at the Internet Archive and Hugging Face, "
            "held to the published SHA-256",
            split="train_filtered.txt, valid_filtered.txt, test_filtered.txt: 443/197/290 clips, repeats left out",
            groups="artists; the filtered split keeps them apart, the files do not name them",
            files=(
                *_listed("gtzan"),
                RemoteFile(
                    "genres.tar.gz",
                    "https://web.archive.org/web/20220328223413/http://opihi.cs.uvic.ca/sound/genres.tar.gz",
                    round(1.14 * GIB),
                    "sha256:24347e0223d2ba798e0a558c4c172d9d4a19c00bb7963fe055d183dadb4ef2c6",
                    extract=True,
                    also=("https://huggingface.co/datasets/marsyas/gtzan/resolve/main/data/genres.tar.gz",),
                ),
            ),
        ),
        DataSet(
            name="gtzan_mini",
            title="GTZAN mini: 100 clips of GTZAN",
            purpose="trying out GTZAN code",
            licence="none stated",
            homepage="https://github.com/TempoBeatDownbeat/gtzan_mini",
            url_state="a repository's moving main branch; the MD5 is that of mirdata 1.0.0",
            split="none published",
            groups="artists, not named",
            files=(
                RemoteFile(
                    "gtzan_mini.zip",
                    "https://github.com/TempoBeatDownbeat/gtzan_mini/archive/refs/heads/main.zip",
                    checksum="md5:44f7f23af8363d96c59663a987f29a4c",
                    extract=True,
                ),
            ),
        ),
        DataSet(
            name="jamendo_vad",
            title="Jamendo VAD: 93 songs",
            purpose="singing voice detection",
            licence="CC, by song",
            homepage="https://zenodo.org/records/2585988",
            url_state="the original address is dead: a copy at Zenodo, of which no checksum is known to this course; "
            "the SHA-256 of the first download is recorded and verified from then on",
            split="the folders train, valid, test: 61/16/16 songs",
            groups="songs: each is by another artist",
            files=(
                RemoteFile(
                    "jamando.zip", "https://zenodo.org/records/2585988/files/jamando.zip?download=1", extract=True
                ),
            ),
        ),
        DataSet(
            name="magnatagatune",
            title="MagnaTagATune: 25 863 clips of 29 s",
            purpose="tagging, 50 of 188 tags",
            licence="CC BY-NC-SA 3.0",
            homepage="https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset",
            url_state="original address, MD5 as published",
            split="by folder: 0-b train, c valid, d-f test",
            groups="albums and artists, named in clip_info_final.csv; the usual split by folder does not look at them",
            files=(
                *(
                    RemoteFile(name, _MTAT + name, checksum=f"md5:{md5}", part_of="mp3.zip")
                    for name, md5 in (
                        ("mp3.zip.001", "179c91c8c2a6e9b3da3d4e69d306fd3b"),
                        ("mp3.zip.002", "acf8265ff2e35c6ff22210e46457a824"),
                        ("mp3.zip.003", "582dc649cabb8cd991f09e14b99349a5"),
                    )
                ),
                RemoteFile(
                    "annotations_final.csv",
                    _MTAT + "annotations_final.csv",
                    checksum="md5:f04fa01752a8cc64f6e1ca142a0fef1d",
                ),
                RemoteFile(
                    "clip_info_final.csv",
                    _MTAT + "clip_info_final.csv",
                    checksum="md5:03ef3cb8ddcfe53fdcdb8e0cda005be2",
                ),
                *_listed("magnatagatune"),
            ),
        ),
        DataSet(
            name="jamendolyrics",
            title="JamendoLyrics MultiLang: 80 songs in four languages",
            purpose="singing voice detection, words",
            licence="CC, by song",
            homepage="https://github.com/f90/jamendolyrics",
            url_state="one fixed commit of the repository, no published checksum; "
            "the SHA-256 of the first download is recorded and verified from then on",
            split="none: a test set",
            groups="artists, named in JamendoLyrics.csv",
            files=(
                # The 80 songs of the paper of 2023; a later commit leaves one out.
                RemoteFile(
                    "jamendolyrics.zip",
                    "https://github.com/f90/jamendolyrics/archive/ec7b89b63131ded69a62d710e4446ac93029530c.zip",
                    extract=True,
                ),
            ),
        ),
        DataSet(
            name="ultrastar_cc",
            title="UltraStar Creative Commons: 17 songs of a karaoke game",
            purpose="singing voice detection, notes",
            licence="CC, by song, mostly NC",
            homepage="https://github.com/UltraStar-Deluxe/songs",
            url_state="one fixed commit of the repository, SHA-256 of every file",
            split="none published",
            groups="artists: the folder's name up to ' - '; 12 songs are by one of them",
            files=_listed("ultrastar_cc"),
        ),
        DataSet(
            name="choi_transfer",
            title="Transfer learning features of a tagging network, and MFCC (Choi et al. 2017)",
            purpose="features for six transfer tasks",
            licence="none stated: do not pass on",
            homepage="https://github.com/keunwoochoi/transfer_learning_music",
            url_state="one fixed commit of the repository, SHA-256 of every file",
            split="Jamendo: in the file paths; the others: none published",
            groups="where the file paths name them",
            files=_listed("choi_transfer"),
        ),
        DataSet(
            name="hetrec_lastfm",
            title="HetRec 2011 Last.fm 2K: how often 1892 people played 17 632 artists",
            purpose="recommendation, no audio",
            licence="non-commercial use",
            homepage="https://grouplens.org/datasets/hetrec-2011/",
            url_state="original address; its keepers publish no checksum, the SHA-256 is that of the library OmniRec",
            split="none published",
            groups="listeners; plays of one are held back to test on",
            files=(
                RemoteFile(
                    "hetrec2011-lastfm-2k.zip",
                    "https://files.grouplens.org/datasets/hetrec2011/hetrec2011-lastfm-2k.zip",
                    checksum="sha256:6738f48195667ff03caaab4d32ca9a3133d8cc026b7c3cdaf6ce1010e913c59c",
                    extract=True,
                ),
            ),
        ),
        DataSet(
            name="music_tagger_crnn",
            title="MusicTaggerCRNN: published weights (Choi et al. 2017)",
            purpose="weights of a tagging network",
            licence="MIT",
            homepage="https://github.com/keunwoochoi/music-auto_tagging-keras",
            url_state="one fixed commit of the repository, SHA-256",
            split="none: weights",
            groups="none: weights",
            files=_listed("music_tagger_crnn"),
        ),
        DataSet(
            name="choi_models",
            title="MusicTaggerCNN and compact_cnn: published weights (Choi et al. 2016, 2017)",
            purpose="weights of tagging networks",
            licence="MIT",
            homepage="https://github.com/keunwoochoi/music-auto_tagging-keras",
            url_state="one fixed commit of the repository, SHA-256",
            split="none: weights",
            groups="none: weights",
            files=_listed("choi_models"),
        ),
    )
}


def data_set(name: str) -> DataSet:
    """Look up a data set.

    Raises
    ------
    BadArgumentError
        There is none of that name; the message suggests the nearest.
    """
    if name not in DATA_SETS:
        raise unknown_name(f"{name!r} to download", name, DATA_SETS)
    return DATA_SETS[name]


def unknown_name(what: str, name: str, known: Collection[str]) -> BadArgumentError:
    """Return the error for a data set that is not among the known ones; it suggests the nearest."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return BadArgumentError(f"There is no data set {what}. {hint}There are: {', '.join(known)}.")
