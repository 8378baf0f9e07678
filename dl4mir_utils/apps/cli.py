"""The command line `dl4mir`, also `python -m dl4mir_utils`.

Commands import what they need when they run: `doctor` must work where half the packages are broken.
"""

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dl4mir_utils.errors import BadArgumentError, Dl4mirError

if TYPE_CHECKING:
    import numpy as np

    from dl4mir_utils.apps.index import SoundIndex
    from dl4mir_utils.apps.sing import Song
    from dl4mir_utils.apps.tag import Comparison
    from dl4mir_utils.own_genre import Trained

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Tools of the DL4MIR course.")
data = typer.Typer(no_args_is_help=True, help="List, fetch, verify, prepare and remove full-size data sets.")
app.add_typer(data, name="data")

Name = Annotated[str, typer.Argument(help="A name that `dl4mir data list` shows.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
FORMATS = "WAV, FLAC, Ogg, MP3 or AIFF files, with PyAV or ffmpeg also M4A, AAC and WMA"


@app.callback()
def main() -> None:
    """Tools of the DL4MIR course."""


@app.command()
def doctor() -> None:
    """Check that this machine can run the course; exit code 1 if something must be mended."""
    with _plain_errors():
        from dl4mir_utils.doctor import iterate_checks
    colours = {"OK": typer.colors.GREEN, "note": typer.colors.YELLOW, "FAIL": typer.colors.RED}
    failed = []
    for check in iterate_checks():
        typer.echo(f"{typer.style(f'{check.status:<5}', fg=colours[check.status])} {check.name}: {check.detail}")
        if check.remedy:
            typer.echo(f"      -> {check.remedy}")
        if check.status == "FAIL":
            failed.append(check.name)
    typer.echo(f"\nTo be mended: {', '.join(failed)}" if failed else "\nThis machine can run the course.")
    raise typer.Exit(code=1 if failed else 0)


@app.command()
def progress() -> None:
    """Show which exercises of the course are solved, and write a page of it."""
    with _plain_errors():
        from dl4mir_utils.progress import notebooks, write_progress

        page, all_of_them = write_progress(), notebooks()
    solved, exercises = 0, 0
    for each in all_of_them:
        typer.echo(f"{each.solved:>3} of {len(each.exercises)}  {each.title}")
        solved, exercises = solved + each.solved, exercises + len(each.exercises)
    typer.echo(f"\n{solved} of {exercises} exercises are solved: {page}")


@app.command()
def certificate(
    name: Annotated[str | None, typer.Option(help="Whose it is.")] = None,
    verify: Annotated[Path | None, typer.Option(help="A certificate that was written before.")] = None,
) -> None:
    """Write a certificate of the solved exercises, to print; or verify that one is as it was written."""
    with _plain_errors():
        from dl4mir_utils.progress import verify_certificate, write_certificate

        if (name is None) == (verify is None):
            raise BadArgumentError("Say --name, for a new certificate, or --verify, for one that is there.")
        if verify is None:
            typer.echo(f"Written: {write_certificate(name)}. Open it in a browser, to print it or to save it as PDF.")
        elif verify_certificate(verify):
            typer.echo("The certificate is as the course wrote it: the checksum is right. By whom, it cannot say.")
        else:
            raise BadArgumentError("The certificate was changed after the course wrote it: the checksum is another.")


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except Dl4mirError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(code=1) from error
    except ModuleNotFoundError as error:  # the base install has what tag, sing and similar need, and no more
        typer.echo(f'This needs {error.name}, which comes with: pip install "dl4mir_utils[course]"', err=True)
        raise typer.Exit(code=1) from error


class LabelFormat(StrEnum):
    """What programs read label files: the ending says which."""

    txt = "txt"
    csv = "csv"
    jams = "jams"


@app.command()
def sing(
    sounds: Annotated[list[Path], typer.Argument(metavar="FILES...", help=f"{FORMATS}, of any length; and folders.")],
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Write the segments to this file: .txt, a label track for Audacity (start and end in s, sing); .csv, "
            "a regions layer for Sonic Visualiser (start, 1, duration in s, sing); .jams, for the library of that name."
        ),
    ] = None,
    label_format: Annotated[
        LabelFormat, typer.Option("--format", help="Which of these, if --labels is a folder.")
    ] = LabelFormat.txt,
    frames: Annotated[
        Path | None,
        typer.Option(help="Write every frame's smoothed probability to this .csv; time_s is the start of the frame."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the segments of all songs, in s, to this .json.")
    ] = None,
) -> None:
    """Show from when to when somebody sings or speaks: spoken words, as in rap, count as well.

    For several songs, --labels and --frames name folders, and each song's file there gets the song's name.
    """
    with _plain_errors():
        from dl4mir_utils.apps.sing import sung
        from dl4mir_utils.apps.workers import Failure, each_in_process
        from dl4mir_utils.paths import sound_files

        _check_table("--json", json_file, ".json")
        files, failures = sound_files(sounds)
        _check_output("--labels", labels, [f".{ending}" for ending in LabelFormat], files)
        _check_output("--frames", frames, [".csv"], files)
        if labels and frames:
            for file in files:
                if _out(labels, file, label_format).absolute() == _out(frames, file, "csv").absolute():
                    raise BadArgumentError("--labels and --frames would write to the same file; name another for one.")
        for folder, reason in failures.items():
            typer.echo(f"{_name(folder)}: {reason}", err=True)
        failed, rows = bool(failures), []
        with _progress("Listening", len(files)) as advance, each_in_process(sung, files) as songs:
            try:
                for file, song in songs:
                    try:
                        if isinstance(song, Failure):
                            raise BadArgumentError(song.reason)
                        _show_segments(file, song)
                        rows.append(_row(file, song))
                        _write_song(file, song, labels, label_format, frames)
                    except Dl4mirError as error:
                        failed = True
                        typer.echo(f"{_name(file)}: {error}", err=True)
                    advance()
            except KeyboardInterrupt:
                failed = True
                typer.echo(f"\nInterrupted after {len(rows)} of {_files(len(files))}.", err=True)
        if json_file:
            _write(json_file, [json.dumps(rows, indent=1, ensure_ascii=False)])
    raise typer.Exit(code=1 if failed else 0)


def _row(file: Path, song: "Song") -> dict:
    segments = [{"start_s": round(start, 3), "end_s": round(end, 3)} for start, end, _ in song.segments]
    return {"file": _name(file), "duration_s": round(song.duration_s, 3), "segments": segments}


def _write_song(file: Path, song: "Song", labels: Path | None, label_format: LabelFormat, frames: Path | None) -> None:
    from dl4mir_utils.apps import sing

    if labels:
        path = _out(labels, file, label_format)
        lines = {
            ".txt": lambda: sing.audacity(song),
            ".csv": lambda: sing.sonic_visualiser(song),
            ".jams": lambda: sing.jams(song, file),
        }
        _write(path, lines[path.suffix.lower()]())
    if frames:
        path = _out(frames, file, "csv")
        values = (f"{frame * song.hop_s:.3f},{value:.4f}" for frame, value in enumerate(song.probability))
        _write(path, ["time_s,probability", *values])


def _out(path: Path, file: Path, ending: str) -> Path:
    """Return where to write what is found in a song: into the file of that path, or one of the song's name in it."""
    return path / f"{file.stem}.{ending}" if path.is_dir() else path


def _check_output(option: str, path: Path | None, endings: list[str], files: list[Path]) -> None:
    """Refuse an output that would overwrite a song (after a slip such as `--labels song.mp3`) or another output."""
    if path is None:
        return
    if len(files) > 1 and not path.is_dir():
        raise BadArgumentError(f"{option} is {path}; for several songs it must be a folder that is there.")
    if path.suffix.lower() not in endings and not path.is_dir():
        raise BadArgumentError(f"{option} is {path}; it must be a file that ends in {_or(endings)}, or a folder.")
    if len({file.stem for file in files}) < len(files):
        raise BadArgumentError(f"{option}: two songs have the same name but for folder and ending. Take one at a time.")


def _or(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _show_segments(file: Path, song: "Song") -> None:
    sung_s = sum(end - start for start, end, _ in song.segments)
    share = sung_s / song.duration_s
    typer.echo(f"{_name(file)}: {_clock(song.duration_s)} long, {_clock(sung_s)} sung ({share:.0%})")
    if song.segments:
        typer.echo(f"{'start':>10}{'end':>10}{'duration':>10}")
    for start, end, _ in song.segments:
        typer.echo(f"{_clock(start):>10}{_clock(end):>10}{_clock(end - start):>10}")


def _clock(seconds: float) -> str:
    tenths = round(10 * seconds)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


class TrainedOn(StrEnum):
    """Which of the two published taggers."""

    mtt = "mtt"
    msd = "msd"


Index = Annotated[
    Path | None,
    typer.Option(help="Keep what was heard in this .dl4mir file instead of in your cache folder."),
]
Playlist = Annotated[
    Path | None, typer.Option("--m3u", help="Write a playlist of the files that are shown to this .m3u.")
]


@app.command()
def tag(
    sounds: Annotated[
        list[Path],
        typer.Argument(metavar="FILES...", help=f"{FORMATS}, of any length; and folders: all sound in them."),
    ],
    top: Annotated[int, typer.Option(min=1, max=50, help="How many tags to show and to write into files.")] = 5,
    model: Annotated[
        TrainedOn,
        typer.Option(
            help="mtt: instruments and sound, from MagnaTagATune; msd: genre and decade, from the Million Song Dataset."
        ),
    ] = TrainedOn.mtt,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write the probabilities of all 50 tags to this .csv: a row per file.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="The same to this .json, best tags first.")] = None,
    only: Annotated[
        str, typer.Option(help="Show only files that have this tag among their best, such as piano; all are heard.")
    ] = "",
    playlist: Playlist = None,
    write_tags: Annotated[
        bool,
        typer.Option("--write-tags", help="Write the tags into the files, in the field DL4MIR_TAGS, after asking."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --write-tags: do not ask.")] = False,
    index: Index = None,
) -> None:
    """Name the tags that fit each file best, with their probabilities: what instruments, what style, what mood.

    What was heard once is kept: later, and after an interruption, only new and changed files are heard.
    Files that cannot be read are listed at the end; then the exit code is 1. Nothing is written into sound files
    without --write-tags, and with it nothing but the field DL4MIR_TAGS; without --yes you see all tags first.
    """
    with _plain_errors():
        _check_table("--csv", csv_file, ".csv")
        _check_table("--json", json_file, ".json")
        _check_table("--m3u", playlist, ".m3u", ".m3u8")
        _check_table("--index", index, ".dl4mir")
        from dl4mir_utils.apps.lite import network_card
        from dl4mir_utils.apps.tag import FIELD, comparison_in_process
        from dl4mir_utils.apps.workers import Failure, each_in_process
        from dl4mir_utils.paths import sound_files

        network = f"musicnn_{model}"
        names = network_card(network)["labels"]
        _check_only(only, names)
        files, failures = sound_files(sounds)
        library = _library(index)
        known = library.known_tags(files, network)
        new = [file for file in files if file not in known]
        done, heard, best, interrupted = 0, {}, {}, False
        with (
            _progress("Tagging", len(files)) as advance,
            comparison_in_process() as same,
            each_in_process(_tags_of, new, library.path, network) as results,
        ):
            try:
                for file in files:
                    found = known[file] if file in known else next(results)[1]
                    if isinstance(found, Failure):
                        failures[file] = found.reason
                    else:
                        done += 1
                        if csv_file or json_file:  # rows with names are ten times as large: they are made at the end
                            heard[file] = found
                        answer = _shares(found, names)
                        chosen = list(answer)[:top]
                        if not only or only in chosen:
                            best[file] = chosen
                            typer.echo(f"{_name(file)}: {', '.join(f'{name} {answer[name]:.2f}' for name in chosen)}")
                            if write_tags and yes:
                                _write_into(file, chosen, library, failures, same)
                    advance()
            except KeyboardInterrupt:  # hours of work may lie behind: keep them
                interrupted = True
        if csv_file:
            table = ({"file": _name(file)} | _shares(found, names) for file, found in heard.items())
            _write(csv_file, _csv_lines(["file", *names], table))
        if json_file:
            rows = [{"file": _name(file), "tags": _shares(found, names)} for file, found in heard.items()]
            _write(json_file, [json.dumps(rows, indent=1, ensure_ascii=False)])
        if playlist:
            _write_playlist(playlist, best)
        if write_tags and not yes and best and not interrupted:
            first = next(iter(best))
            typer.echo(f"\nTo be written into {_files(len(best))}, for example into {_name(first)}:")
            typer.echo(f"  {FIELD}: {'; '.join(best[first])}")
            if not _agreed():
                typer.echo("Nothing was written into them. To write, answer y, or give --yes as well.")
            else:
                with _progress("Writing", len(best)) as advance, comparison_in_process() as same:
                    for file, chosen in best.items():
                        _write_into(file, chosen, library, failures, same)
                        advance()
    _show_failures(failures, len(set(files) | set(failures)))
    if interrupted:
        typer.echo(
            f"\nInterrupted after {done} of {_files(len(files))}. The same command goes on from there.",
            err=True,
        )
    raise typer.Exit(code=1 if failures or interrupted else 0)


def _tags_of(file: Path, threads: int, index: Path, network: str) -> "np.ndarray":
    return _opened(index).tags(file, network, threads)


def _shares(found: "np.ndarray", names: Sequence[str]) -> dict[str, float]:
    """Return by name how likely each tag or genre is, the likeliest first."""
    return {names[i]: round(float(found[i]), 4) for i in found.argsort()[::-1]}


def _write_into(
    file: Path, tags: list[str], library: "SoundIndex", failures: dict[Path, str], same: "Comparison"
) -> None:
    from dl4mir_utils.apps.tag import write_tags
    from dl4mir_utils.apps.workers import in_one_line

    try:
        library.rewrite(file, lambda path: write_tags(path, tags, same))
    except Dl4mirError as error:
        failures[file] = in_one_line(error)


def _library(path: Path | None) -> "SoundIndex":
    from dl4mir_utils.apps.index import SoundIndex

    library = SoundIndex(path)
    if library.note:
        typer.echo(library.note, err=True)
    return library


@lru_cache(maxsize=1)
def _opened(path: Path) -> "SoundIndex":
    """Return the index in a worker, which opens it once."""
    from dl4mir_utils.apps.index import SoundIndex

    return SoundIndex(path)


@app.command()
def similar(
    seeds: Annotated[
        list[Path], typer.Argument(metavar="SEED...", help="Sound files, in FOLDER or elsewhere; of several, the mean.")
    ],
    folder: Annotated[Path, typer.Argument(help="Where to search: all sound in it and in the folders in it.")],
    count: Annotated[int, typer.Option(min=1, help="How many sounds to name.")] = 10,
    plus: Annotated[
        list[Path] | None, typer.Option(help="Look for what is more like this file, too. May be given several times.")
    ] = None,
    minus: Annotated[
        list[Path] | None, typer.Option(help="Look for what is less like this file. May be given several times.")
    ] = None,
    path: Annotated[
        bool, typer.Option("--path", help="Walk from the first SEED to the second through the sounds between them.")
    ] = False,
    per_artist: Annotated[
        int | None, typer.Option(min=1, help="How many sounds of one artist to name, as their own tags say.")
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write them to this .csv: file and similarity, at most 1.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="The same to this .json.")] = None,
    playlist: Annotated[
        Path | None, typer.Option("--m3u", help="Write a playlist to this .m3u: each SEED, then what resembles it.")
    ] = None,
    index: Index = None,
) -> None:
    """Name the sounds in FOLDER that resemble SEED most, nearest first, with their similarity.

    The first time, all sounds are embedded, later only new and changed ones.
    After an interruption, the same command goes on where it stopped.
    Copies of SEED are named, but not counted. Nothing is written into FOLDER.
    Sounds that cannot be read are listed at the end; then the exit code is 1.
    """
    given = [*seeds, *(plus or []), *(minus or [])]
    with _plain_errors():
        _check_table("--csv", csv_file, ".csv")
        _check_table("--json", json_file, ".json")
        _check_table("--m3u", playlist, ".m3u", ".m3u8")
        _check_table("--index", index, ".dl4mir")
        if path and (len(seeds) != 2 or len(given) != 2):
            raise BadArgumentError("--path leads from one SEED to another: give two, and neither --plus nor --minus.")
        from dl4mir_utils.apps.workers import Failure, each_in_process

        library = _library(index)
        # First, because an hour of listening to FOLDER would be in vain without them.
        with each_in_process(_embed, library.unknown(given), library.path) as results:
            for file, failure in results:
                if isinstance(failure, Failure):
                    raise BadArgumentError(f"{_name(file)}: {failure.reason}")
        files, new, failures = library.update(folder)
        done = 0
        with _progress("Listening", len(new)) as advance, each_in_process(_embed, new, library.path) as results:
            try:
                for file, failure in results:
                    if isinstance(failure, Failure):
                        failures[file] = failure.reason
                    done += 1
                    advance()
            except KeyboardInterrupt:
                typer.echo(
                    f"\nInterrupted after {done} of {_files(len(new))}. The same command goes on from there.", err=True
                )
                raise typer.Exit(code=1) from None
        if path:
            near = library.path_between(*seeds, folder, count, per_artist=per_artist)
        else:
            near = library.nearest(seeds, folder, count, plus=plus or [], minus=minus or [], per_artist=per_artist)
        for copy in near.copies:
            typer.echo(f"copy  {_name(copy)}")
        rows = [
            {"file": _name(file), "similarity": round(float(similarity), 4)}
            for file, similarity in zip(near.files, near.similarity, strict=True)
        ]
        for row in rows:
            typer.echo(f"{row['similarity']:.2f}  {row['file']}")
        if csv_file:
            _write(csv_file, _csv_lines(["file", "similarity"], rows))
        if json_file:
            _write(json_file, [json.dumps(rows, indent=1, ensure_ascii=False)])
        if playlist:
            listed = [seeds[0], *near.files, seeds[1]] if path else [*seeds, *near.files]
            _write_playlist(playlist, listed)
    _show_failures(failures, len(set(files) | set(failures)))
    if not rows and not failures:
        typer.echo(f"{_name(folder)} holds no sound but SEED.", err=True)
    raise typer.Exit(code=1 if failures or not rows else 0)


def _embed(file: Path, threads: int, index: Path) -> None:
    _opened(index).add(file, threads)


class GenreSource(StrEnum):
    """Where genres are looked for."""

    auto = "auto"
    tags = "tags"
    folders = "folders"


@app.command()
def train(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help=f"Your music, {FORMATS}: all sound in it and in the folders in it."),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The network, a .tflite file; its card, a .json, goes beside it.")
    ],
    genre_from: Annotated[
        GenreSource,
        typer.Option(
            help="tags: the genre field of the files' tags; folders: the first folder in FOLDER is the genre. auto: "
            "tags, if more than half of the files have a genre there, otherwise folders."
        ),
    ] = GenreSource.auto,
    leave_out: Annotated[
        bool,
        typer.Option(
            "--leave-out",
            help="Leave out files whose artist is not known, and genres of fewer than three artists. Without it, such "
            "files and genres are named and nothing is done, because the network would not know those genres.",
        ),
    ] = False,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write to this .csv what was answered for each song, and the truth.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another one tests other artists together.")] = 0,
    yes: Annotated[bool, typer.Option("--yes", help="Replace a network that is there, without asking.")] = False,
) -> None:
    """Train a network on your music to name its genre, and say how well it names that of artists it has not heard.

    The artist is the one in the file's tags; where they name none, it is a folder: with genres from tags the first, as
    in ARTIST/ALBUM/FILE, with genres from folders the second, as in GENRE/ARTIST/FILE. Songs of one artist are never
    both learned from and tested on, so every genre needs three artists. A file labels.csv in FOLDER, with the columns
    path, label and group (the artist), goes before tags and folders.

    Files without a genre, and files that cannot be read, are left out and named. `dl4mir genre` uses the network, and
    the course's live page takes it, too. This command needs the course environment.
    """
    with _plain_errors():
        _check_table("--out", out, ".tflite")
        _check_table("--csv", csv_file, ".csv")
        there = [path for path in (out, out.with_suffix(".json")) if path.exists()]
        if there and not yes:
            typer.echo(f"{' and '.join(map(_shown, there))}: there already.")
            if not _agreed():
                raise BadArgumentError("Nothing was done. To replace what is there, answer y, or give --yes.")
        try:
            from dl4mir_utils.own_genre import train_genre

            trained = train_genre(
                folder, out, genre_from=genre_from.value, leave_out=leave_out, seed=seed, progress=_progress
            )
        except KeyboardInterrupt:
            typer.echo("\nInterrupted: nothing was written.", err=True)
            raise typer.Exit(code=1) from None
        _show_trained(trained)
        if csv_file:
            songs = trained.songs.assign(file=[_name(Path(file)) for file in trained.songs["file"]])
            _write(csv_file, _csv_lines(list(songs), songs.to_dict("records")))
        _show_failures(trained.left_out, len(trained.songs) + len(trained.left_out), "Left out")
        typer.echo(f"\nWritten: {_shown(out)} and its card. To use it: dl4mir genre FILES --model {_shown(out)}")


def _show_trained(trained: "Trained") -> None:
    from dl4mir_utils.own_genre import SYSTEMS

    songs, scores = trained.songs, trained.scores
    wide = max(len(genre) for genre in trained.recall.index)
    for note in trained.notes:
        typer.echo(note)
    typer.echo(f"{'genre':<{wide}}{'songs':>8}{'artists':>9}{'found':>8}")
    for genre, of_genre in songs.groupby("genre"):
        counts = f"{len(of_genre):>8}{of_genre['artist'].nunique():>9}"
        typer.echo(f"{genre:<{wide}}{counts}{100 * trained.recall[genre]:>6.0f} %")
    typer.echo("\nWhole songs named right, by artists that were not learned from (95 % interval over artists):")
    for system, title in SYSTEMS.items():
        accuracy, low, high = scores.loc[system, ["accuracy", "low", "high"]]
        typer.echo(f"{100 * accuracy:>5.0f} %  ({100 * low:.0f} to {100 * high:.0f} %)  {title}")
    typer.echo("\n" + trained.card["calibration"]["text"])
    wrong = songs[songs["network"] != songs["genre"]].sort_values("share", ascending=False)
    if len(wrong):
        typer.echo(
            f"\nWrong: {len(wrong)} of {_count(len(songs), 'song')}" + (", the surest:" if len(wrong) > 5 else ":")
        )
    for song in wrong.head(5).itertuples():
        typer.echo(f"  {_shown(Path(song.file))}: {song.genre}, taken for {song.network} ({song.share:.2f})")


@app.command()
def genre(
    sounds: Annotated[
        list[Path],
        typer.Argument(metavar="FILES...", help=f"{FORMATS}, of any length; and folders: all sound in them."),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            help="A network that `dl4mir train` has written, a .tflite file with its .json beside it. Without it, the "
            "course's own is asked, which knows electronic, metal and orchestral music and nothing else.",
            show_default=False,
        ),
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write the genre and all probabilities to this .csv: a row per file.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="The same to this .json; the genre is null where it is unsure.")
    ] = None,
    only: Annotated[
        str, typer.Option(help='Show only files of this genre, such as metal, or "unsure"; all are heard.')
    ] = "",
    playlist: Playlist = None,
    write_genre: Annotated[
        bool,
        typer.Option("--write-genre", help="Write the genre into files that have none in their tags, after asking."),
    ] = False,
    replace_genre: Annotated[
        bool, typer.Option("--replace-genre", help="With --write-genre: also into files that have one.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --write-genre: do not ask.")] = False,
) -> None:
    """Name the genre of whole files, or say "unsure", with the probabilities of the most likely ones.

    Up to 60 windows of about three seconds, spread over the file, have a vote: the mean of their probabilities. Below a
    threshold that was chosen on artists whom the network had not heard, the answer is "unsure".

    Files that cannot be read are listed at the end; then the exit code is 1. Nothing is written into sound files
    without --write-genre, and with it nothing but the genre (TCON in MP3, WAV and AIFF, GENRE in Ogg and FLAC), nothing
    where the answer is "unsure", and nothing over a genre that is there without --replace-genre.
    """
    with _plain_errors():
        _check_table("--csv", csv_file, ".csv")
        _check_table("--json", json_file, ".json")
        _check_table("--m3u", playlist, ".m3u", ".m3u8")
        if model and model.suffix != ".tflite":
            raise BadArgumentError(f"--model is {_shown(model)}; it must be a file that ends in .tflite.")
        if (replace_genre or yes) and not write_genre:
            raise BadArgumentError("--replace-genre and --yes say how to write: give --write-genre as well.")
        if write_genre and not model:
            raise BadArgumentError("--write-genre needs --model: the course's own network knows three genres only.")
        from dl4mir_utils.apps.genre import (
            COURSE_NETWORK,
            UNSURE,
            answer,
            checked_network,
            song_unsure_below,
        )
        from dl4mir_utils.apps.tag import comparison_in_process
        from dl4mir_utils.apps.workers import Failure, each_in_process
        from dl4mir_utils.paths import sound_files

        card = checked_network(model or COURSE_NETWORK)
        _check_only(only, [*card["labels"], UNSURE])
        if not model:
            typer.echo(f"Asking the course's own network, which knows these genres alone: {', '.join(card['labels'])}.")
        files, failures = sound_files(sounds)
        chosen: dict[Path, str] = {}
        rows, interrupted = [], False
        library = _library(None) if write_genre else None
        with (
            _progress("Listening", len(files)) as advance,
            comparison_in_process() as same,
            each_in_process(_genre_of, files, model or COURSE_NETWORK) as results,
        ):
            try:
                for file, found in results:
                    if isinstance(found, Failure):
                        failures[file] = found.reason
                    else:
                        shares = _shares(found, card["labels"])
                        genre = answer(found, card["labels"], song_unsure_below(card))
                        rows.append({"file": _name(file), "genre": genre, "probabilities": shares})
                        if not only or only == genre:
                            chosen[file] = genre
                            best = ", ".join(f"{label} {share:.2f}" for label, share in list(shares.items())[:3])
                            typer.echo(f"{_shown(file)}: {f'unsure ({best})' if genre == UNSURE else best}")
                            if library and yes:
                                _write_genre(file, genre, replace_genre, library, failures, same)
                    advance()
            except KeyboardInterrupt:
                interrupted = True
        if csv_file:
            columns = {label: f"p({label})" for label in card["labels"]}
            table = [
                {"file": row["file"], "genre": row["genre"]}
                | {columns[label]: share for label, share in row["probabilities"].items()}
                for row in rows
            ]
            _write(csv_file, _csv_lines(["file", "genre", *columns.values()], table))
        if json_file:
            rows = [row | {"genre": None if row["genre"] == UNSURE else row["genre"]} for row in rows]
            _write(json_file, [json.dumps(rows, indent=1, ensure_ascii=False)])
        if playlist:
            _write_playlist(playlist, chosen)
        named = [file for file, genre in chosen.items() if genre != UNSURE]
        if library and not yes and named and not interrupted:
            kept = "a genre that is there is replaced" if replace_genre else "where a genre is there, it stays"
            typer.echo(f"\nTo be written into the tags of {_files(len(named))}, for example into {_shown(named[0])}:")
            typer.echo(f"  genre: {chosen[named[0]]} ({kept})")
            if not _agreed():
                typer.echo("Nothing was written into them. To write, answer y, or give --yes as well.")
            else:
                with comparison_in_process() as same:
                    for file, genre in chosen.items():
                        _write_genre(file, genre, replace_genre, library, failures, same)
    _show_failures(failures, len(set(files) | set(failures)))
    if interrupted:
        typer.echo(f"\nInterrupted after {len(rows)} of {_files(len(files))}.", err=True)
    raise typer.Exit(code=1 if failures or interrupted else 0)


def _genre_of(file: Path, threads: int, model: str | Path) -> "np.ndarray":
    from dl4mir_utils.apps.genre import file_genre

    return file_genre(file, model, threads)


def _write_genre(
    file: Path, genre: str, replace: bool, library: "SoundIndex", failures: dict[Path, str], same: "Comparison"
) -> None:
    """Write a genre into a file where that is wanted, and say what was done."""
    from dl4mir_utils.apps.genre import UNSURE
    from dl4mir_utils.apps.tag import write_genre
    from dl4mir_utils.apps.workers import in_one_line

    before: list[str] = []
    try:
        if genre == UNSURE:
            done = "unsure, nothing written"
        else:
            library.rewrite(file, lambda path: before.append(write_genre(path, genre, replace, same)))
            if not before[0]:
                done = f"{genre} written"
            elif before[0] == genre:
                done = f"is {genre} already"
            else:
                done = f"{genre} written in the place of {before[0]}" if replace else f"stays {before[0]}"
        typer.echo(f"  {_shown(file)}: {done}")
    except Dl4mirError as error:
        failures[file] = in_one_line(error)


def _write_playlist(path: Path, files: Iterable[Path]) -> None:
    """Write a playlist, a line for each file; a name that has a line end cannot be in it, and is told."""
    names = {file: _name(file.absolute()) for file in files}
    odd = [file for file, name in names.items() if "\n" in name or "\r" in name]
    _write(path, ["#EXTM3U", *(name for file, name in names.items() if file not in odd)])
    if odd:
        left_out = ", ".join(map(_shown, odd))
        typer.echo(f"Not in {_shown(path)}, since there is a line end in the name: {left_out}", err=True)


def _show_failures(failures: dict[Path, str], total: int, what: str = "Not done") -> None:
    if failures:
        typer.echo(f"\n{what}: {len(failures)} of {_files(total)}", err=True)
    for file, said in failures.items():
        typer.echo(f"  {_shown(file)}: {said}", err=True)


def _check_only(only: str, names: Sequence[str]) -> None:
    if only and only not in names:
        raise BadArgumentError(f"--only is {only!r}; it must be one of: {', '.join(sorted(names))}.")


def _check_table(option: str, path: Path | None, *endings: str) -> None:
    """Refuse before hours of work a file that could not be written after them."""
    if path is None:
        return
    if path.suffix.lower() not in endings or path.is_dir():
        raise BadArgumentError(f"{option} is {path}; it must be a file that ends in {_or(endings)}.")
    if not path.parent.is_dir():
        raise BadArgumentError(f"{option} is {path}; the folder {path.parent} is not there.")
    if not os.access(path.parent, os.W_OK):
        raise BadArgumentError(f"{option} is {path}; you may not write to the folder {path.parent}.")


def _name(file: Path) -> str:
    """Return a file's name as text that can be printed, also where its bytes are no UTF-8."""
    return os.fsencode(file).decode("utf-8", "replace")


def _shown(file: Path) -> str:
    """Return a file's name in one line, for the terminal: a name may hold line ends and other control characters."""
    return "".join(character if character.isprintable() else "\ufffd" for character in _name(file))


def _files(count: int) -> str:
    return _count(count, "file")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _csv_lines(columns: list[str], rows: Iterable[dict]) -> list[str]:
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return [text.getvalue().removesuffix("\n")]


def _agreed() -> bool:
    return sys.stdin.isatty() and typer.confirm("Write?")


@contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar in a terminal if there are several steps; yields a function to be called after each step."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    # What is printed meanwhile comes above the bar, if both go to the same place.
    console = Console(stderr=not sys.stdout.isatty())
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(
        *columns,
        console=console,
        disable=total < 2 or not console.is_terminal,
        auto_refresh=False,  # a thread would write while the error stream is quietened
        redirect_stdout=sys.stdout.isatty(),
        transient=True,
    ) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.update(task, advance=1, refresh=True)


def _write(path: Path, lines: Iterable[str]) -> None:
    """Write a text file whole or not at all."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
        part.replace(path)
    except OSError as error:
        raise BadArgumentError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        with suppress(OSError):  # it has its final name, or never came about
            part.unlink()


@data.command("list")
def list_data() -> None:
    """Show the data sets that can be fetched."""
    with _plain_errors():
        from rich.console import Console
        from rich.table import Table

        from dl4mir_utils.data.download import data_sets
        from dl4mir_utils.paths import cache_root

        table = Table("Name", "For", "Download", "Licence", "Here", box=None, padding=(0, 2, 0, 0))
        for column in (0, 2, 4):
            table.columns[column].no_wrap = True
        for row in data_sets().reset_index().itertuples(index=False):
            table.add_row(*row)
        Console().print(table)
        typer.echo(f"\nThey go to {cache_root()}")


@data.command()
def info(name: Name) -> None:
    """Show what is known about a data set."""
    with _plain_errors():
        from dl4mir_utils.data.download import describe_size, folder, status
        from dl4mir_utils.data.registry import data_set, total_size

        dataset, state = data_set(name), status(name)
        lines = {
            "For": dataset.purpose,
            "Licence": dataset.licence,
            "Split": dataset.split,
            "Groups": dataset.groups,
            "Homepage": dataset.homepage,
            "Addresses": dataset.url_state,
            "Download": f"{describe_size(total_size(dataset.files))}, files: {len(dataset.files)}",
            "Needs": ", ".join(dataset.needs) or "nothing else",
            "Here": f"{state.state}, {describe_size(state.bytes)} in {folder(name)}",
        }
        typer.echo("\n".join([dataset.title, *(f"  {key + ':':<10} {value}" for key, value in lines.items())]))


@data.command()
def fetch(name: Name, yes: Yes = False) -> None:
    """Download, verify and unpack what is missing of a data set; go on where it stopped."""
    with _plain_errors():
        from dl4mir_utils.data.download import fetch

        typer.echo(f"{name} is complete: {fetch(name, yes=yes)}")


@data.command()
def verify(name: Name) -> None:
    """Compare every file of a data set with its checksum; exit code 1 if one is missing or damaged."""
    with _plain_errors():
        from dl4mir_utils.data.download import verify

        wrong = verify(name)
    if not wrong:
        typer.echo(f"Every file of {name} is what it should be.")
        return
    for path in wrong[:20]:
        typer.echo(f"missing or damaged: {path}")
    typer.echo(f"In all: {len(wrong)}. `dl4mir data fetch {name}` gets them again.")
    raise typer.Exit(code=1)


@data.command()
def remove(name: Name, yes: Yes = False) -> None:
    """Delete a data set's folder."""
    with _plain_errors():
        from dl4mir_utils.data.download import folder, remove

        remove(name, yes=yes)
        typer.echo(f"Deleted {folder(name)}")


@data.command()
def prepare(
    name: Annotated[str, typer.Argument(help="A name that `load` knows: one of `dl4mir data list`, or folder.")],
    out: Annotated[Path, typer.Option(help="The folder for it; a minute at 16 kHz takes 1.9 MB.")],
    root: Annotated[Path | None, typer.Option(help="Where the data lies, if it is not in the cache.")] = None,
    sample_rate: Annotated[int, typer.Option(min=1, help="In Hz.")] = 16000,
    workers: Annotated[
        int | None, typer.Option(min=0, help="How many processes; by default one for each core.", show_default=False)
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="tcp://HOST:PORT", help="A Dask scheduler whose workers do it instead.")
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Compare what is there with its checksums first.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try the clips again that could not be decoded.")
    ] = False,
) -> None:
    """Decode all clips of a data set once, so that load(NAME, prepared=OUT) reads them fast.

    After an interruption the same command goes on where it stopped. Clips that cannot be decoded are named and stand
    in OUT/index.csv with the reason; the others can be used all the same, so the exit code is 0.
    """
    with _plain_errors():
        from dl4mir_utils.data import load, prepare

        try:
            report = prepare(
                load(name, root=root), out, sample_rate, workers, scheduler, verify=verify, retry_failed=retry_failed
            )
        except KeyboardInterrupt:
            typer.echo("\nInterrupted. The same command goes on from there.", err=True)
            raise typer.Exit(code=1) from None
    for clip, reason in list(report.failures.items())[:20]:
        typer.echo(f"{clip}: {reason}", err=True)
    typer.echo(
        f"{report.out} holds {report.clips} clips of {name}; {len(report.failures)} could not be decoded. "
        f"Shards made now: {report.made}, there before: {report.kept}."
    )
    typer.echo(f"To use it: load({name!r}, prepared={str(report.out)!r})")
