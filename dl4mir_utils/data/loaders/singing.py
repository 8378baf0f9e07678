"""Songs with timed singing: Jamendo VAD, UltraStar and JamendoLyrics."""

from pathlib import Path

import pandas as pd

from dl4mir_utils.data.loaders.files import find_folder, name_some, require_files, visible
from dl4mir_utils.data.registry import DATA_SETS
from dl4mir_utils.data.table import ClipTable
from dl4mir_utils.decoding import file_duration
from dl4mir_utils.errors import DataNotFoundError
from dl4mir_utils.segments import PAUSE_S, Segment, frame_labels, merge_segments

AUDIO = (".ogg", ".mp3", ".wav", ".flac")
CLASSES = ("nosing", "sing")


def load_jamendo_vad(root: Path) -> ClipTable:
    """Load Jamendo VAD (Ramona, Richard, David: Vocal detection in music with SVM, ICASSP 2008).

    The folders are the split: 61 songs train, 16 validate, 16 test. Every song is by another artist.
    """
    name = "jamendo_vad"
    root = find_folder(root, "jamendo_lab", name)
    labs = {path.stem: path for path in visible((root / "jamendo_lab").glob("*.lab"))}
    songs = {path.stem: path for part in ("train", "valid", "test") for path in visible((root / part).glob("*"))}
    unlike = [f"{stem}.lab" for stem in songs if stem not in labs] + [stem for stem in labs if stem not in songs]
    if unlike:
        raise DataNotFoundError(
            f"In {name}, there are songs without labels or labels without song: {name_some(unlike)}."
        )
    rows = [
        {
            "clip_id": stem,
            "path": path.relative_to(root).as_posix(),
            "group": stem,
            "licence": DATA_SETS[name].licence,
            "split": path.parent.name,
            "segments": _read_lab(labs[stem]),
        }
        for stem, path in songs.items()
    ]
    return _song_table(name, rows, root)


def load_ultrastar_cc(root: Path, merge_s: float = PAUSE_S) -> ClipTable:
    """Load songs of the karaoke game UltraStar, all with the split "test".

    A note of `song.txt` starts GAP / 1000 + beat * 15 / BPM seconds into the song. Normal, golden,
    freestyle and rap notes are singing. Notes end early, to be playable: pauses of up to `merge_s`
    seconds between them count as singing, too.
    """
    name = "ultrastar_cc"
    root = find_folder(root, "*/song.txt", name)
    licences = {Path(file.path).parent.name: file.licence for file in DATA_SETS[name].files}
    rows = []
    for text in visible(root.glob("*/song.txt")):
        header, notes = _read_ultrastar(text)
        audio = text.with_name(header["MP3"])
        there = [path for path in visible(text.parent.iterdir()) if path.suffix.lower() in AUDIO]
        if not audio.is_file() and len(there) == 1:
            audio = there[0]  # "Code Monkey" names an MP3 and comes with an Ogg file
        rows.append(
            {
                "clip_id": text.parent.name,
                "path": audio.relative_to(root).as_posix(),
                "group": header["ARTIST"],
                "licence": licences.get(text.parent.name) or "see license.txt",
                "split": "test",
                "segments": merge_segments(notes, merge_s),
            }
        )
    return _song_table(name, rows, root)


def load_jamendolyrics(root: Path, merge_s: float = PAUSE_S) -> ClipTable:
    """Load JamendoLyrics (Stoller, Durand, Ewert, ICASSP 2019; Durand, Stoller, Ewert, ICASSP 2023), all "test".

    A word is singing from its start to its end; where its end is unknown (nan), to the end of the line
    or the start of the next word. Pauses of up to `merge_s` seconds count as singing, too.
    """
    name = "jamendolyrics"
    root = find_folder(root, "JamendoLyrics.csv", name)
    table = pd.read_csv(root / "JamendoLyrics.csv", keep_default_na=False).sort_values("Filepath")
    stems = [Path(file).stem for file in table["Filepath"]]
    require_files(root, (f"annotations/words/{stem}.csv" for stem in stems), name)
    rows = [
        {
            "clip_id": stem,
            "path": f"mp3/{file}",
            # The same artist is written in capitals and not.
            "group": artist.casefold(),
            "licence": f"CC {licence.removeprefix('CC').strip()}",
            "split": "test",
            "segments": merge_segments(_read_words(root / "annotations" / "words" / f"{stem}.csv"), merge_s),
        }
        for stem, file, artist, licence in zip(
            stems, table["Filepath"], table["Artist"], table["LicenseType"], strict=True
        )
    ]
    return _song_table(name, rows, root)


def _song_table(name: str, rows: list[dict], root: Path) -> ClipTable:
    """Complete the table of whole songs; a song's label is what most of it is."""
    require_files(root, (row["path"] for row in rows), name)
    frame = pd.DataFrame(rows).set_index("clip_id").sort_index()
    frame["start_s"] = 0.0
    frame["duration_s"] = [file_duration(root / path) for path in frame["path"]]
    frame["track"] = frame.index
    frame["label"] = [
        CLASSES[frame_labels(segments, duration_s, 1)[0]]
        for segments, duration_s in zip(frame["segments"], frame["duration_s"], strict=True)
    ]
    return ClipTable(name, frame, CLASSES, root, split_by="artist")


def _read_lab(file: Path) -> tuple[Segment, ...]:
    """Read lines like "0.000 4.309 nosing"."""
    segments = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.strip():
            try:
                start, end, label = line.split()
                CLASSES.index(label)
                segments.append((float(start), float(end), label))
            except ValueError:
                raise DataNotFoundError(f"{file.name}: not 'start end sing|nosing': {line!r}.") from None
    return tuple(segments)


def _read_ultrastar(file: Path) -> tuple[dict[str, str], list[Segment]]:
    """Return the header and the notes, in seconds."""
    raw = file.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252")
    lines = text.splitlines()
    header = dict(line[1:].split(":", 1) for line in lines if line.startswith("#") and ":" in line)
    header = {key.strip().upper(): value.strip() for key, value in header.items()}
    song = file.parent.name
    missing = [key for key in ("ARTIST", "MP3", "BPM") if not header.get(key)]
    if missing:
        raise DataNotFoundError(f"song.txt of {song} has no #{missing[0]}: it is no complete UltraStar song.")
    if header.get("RELATIVE", "no").lower() == "yes":
        raise DataNotFoundError(
            f"song.txt of {song} counts beats anew in every line (#RELATIVE:yes), which this loader does not read. "
            "Save it as absolute in an UltraStar editor, or move the song out of the folder."
        )
    gap_s = float(header.get("GAP", "0").replace(",", ".")) / 1000
    beat_s = 15 / float(header["BPM"].replace(",", "."))
    notes = []
    for line in lines:
        if line[:1] in (":", "*", "F", "R", "G"):
            try:
                beat, length = (int(number) for number in line[1:].split()[:2])
            except ValueError:
                raise DataNotFoundError(f"song.txt of {song} has a note without beat and length: {line!r}.") from None
            notes.append((gap_s + beat * beat_s, gap_s + (beat + length) * beat_s, "sing"))
        elif line.startswith("E"):
            break
    return header, notes


def _read_words(file: Path) -> list[Segment]:
    words = pd.read_csv(file, usecols=["word_start", "word_end", "line_end"]).sort_values("word_start")
    following = words["word_start"].shift(-1)
    end = words["word_end"].fillna(words["line_end"]).fillna(following)
    known = end > words["word_start"]
    return [(start, stop, "sing") for start, stop in zip(words["word_start"][known], end[known], strict=True)]
