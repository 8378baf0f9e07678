"""Tag whole files with a pretrained tagger, and write the tags into them."""

import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import soundfile

from dl4mir_utils.apps.lite import network
from dl4mir_utils.apps.workers import NO_MEMORY, Failure, one_process
from dl4mir_utils.decoding import NO_SOUND, SILENCE, audio_blocks
from dl4mir_utils.environment import quiet_native
from dl4mir_utils.errors import AudioDecodeError, BadArgumentError
from dl4mir_utils.file_tags import read_tags

FIELD = "DL4MIR_TAGS"
GENRE = "GENRE"
HOP_S = 3  # windows follow each other without overlap, as in the original's top_tags
BEYOND = 256  # samples: windows are cut out of a spectrogram whose frames are centred, so they begin half a frame early
COMPARED = 2**18  # samples of all channels together, decoded at once to compare two files
Comparison = Callable[[Path, Path], bool]  # whether two files sound the same


def file_tags(path: Path, name: str, threads: int = 1) -> np.ndarray:
    """Return how likely each tag is in a file: the mean over windows of three seconds, one after the other.

    The same as the mean of `dl4mir_utils.models.taggram(..., hop_s=3)` of the whole, but only a few seconds are in
    memory at a time. What is left over at the end, less than three seconds, is not heard.

    Parameters
    ----------
    path : Path
        Any format that `dl4mir_utils.decoding` reads, of any length; a file shorter than three seconds gets silence
        added.
    name : str
        "musicnn_mtt" or "musicnn_msd".
    threads : int
        How many cores it may use.

    Returns
    -------
    float32 array (tags,)
        In the order of the labels in the network's card.

    Raises
    ------
    AudioDecodeError
        The file is missing, is not audio, or holds no sound.
    BadArgumentError
        The file holds silence only, or samples that are no numbers.
    """
    tagger = network(name, threads)
    rate, length = tagger.card["sample_rate_hz"], tagger.card["window_samples"]
    peak, count, total = 0.0, 0, 0.0
    for window in windows(audio_blocks(path, rate), length, HOP_S * rate):
        loudest = float(np.abs(window).max())
        if not np.isfinite(loudest):
            raise BadArgumentError("holds samples that are no finite numbers")
        peak, count = max(peak, loudest), count + 1
        total = total + tagger("window", audio=window[np.newaxis, :, np.newaxis])["tags"][0]
    if not count:  # a few samples, of which none is left at the tagger's rate
        raise AudioDecodeError({str(path): NO_SOUND})
    if peak < SILENCE:
        raise BadArgumentError("holds only silence: there is nothing to tag")
    return total / np.float32(count)


def windows(blocks: Iterable[np.ndarray], length: int, hop: int) -> Iterator[np.ndarray]:
    """Cut windows out of audio that comes in blocks and is mirrored at both ends, by half a frame of the spectrogram.

    Parameters
    ----------
    blocks : iterable of float32 arrays (samples,)
        The audio, one block after the other.
    length, hop : int
        Of a window, and from one to the next, in samples; a hop is shorter than a window.

    Yields
    ------
    float32 array (length,)
        If there is less audio than one window, the only one, with silence added; if there is none, nothing.
    """
    kept, begun, found = np.zeros(0, np.float32), False, False
    for block in blocks:
        kept = np.concatenate([kept, block])
        if not begun and len(kept) > BEYOND:
            kept, begun = np.pad(kept, (BEYOND, 0), mode="reflect"), True
        while begun and len(kept) > length + BEYOND:  # what may be the end stays, to be mirrored
            yield kept[:length]
            kept, found = kept[hop:], True
    if not len(kept):
        return
    kept = np.pad(kept, (0 if begun else BEYOND, BEYOND), mode="reflect")
    while len(kept) >= length:
        yield kept[:length]
        kept, found = kept[hop:], True
    if not found:
        yield np.pad(kept, (0, length - len(kept)))


def write_tags(path: Path, tags: Sequence[str], same: Comparison | None = None) -> None:
    """Write tags into a sound file, into a field of their own, DL4MIR_TAGS, with "; " between them.

    See `write_field`, also for `same` and the errors.
    """
    write_field(path, FIELD, "; ".join(tags), same)


def write_genre(path: Path, genre: str, replace: bool = False, same: Comparison | None = None) -> str:
    """Write the genre into a sound file's field for it, unless one is there; see `write_field`, also for the errors.

    Parameters
    ----------
    path : Path
    genre : str
    replace : bool
        Also where there is a genre.
    same : callable, optional
        As for `write_field`.

    Returns
    -------
    str
        The genre that was there before; empty if there was none. Without `replace`, it still is.
    """
    before = read_tags(path, strict=True).genre
    if not before or (replace and before != genre):
        write_field(path, GENRE, genre, same)
    return before


@contextmanager
def comparison_in_process() -> Iterator[Comparison]:
    """Give `write_field` a comparison in another process: a decoder that crashes on a file or its copy ends nothing.

    That the file was heard before does not rule a crash out: perhaps only parts of it were decoded, or by another
    decoder, and the copy is a new file.
    """
    with one_process() as call:

        def same(one: Path, other: Path) -> bool:
            answer = call(_compared, one, other)
            if isinstance(answer, Failure):
                raise BadArgumentError(f"tags cannot be written: {answer.reason}")
            return answer

        yield same


def write_field(path: Path, field: str, text: str, same: Comparison | None = None) -> None:
    """Write a field of a sound file's tags, and change nothing else in the file.

    In Ogg and FLAC the field is a Vorbis comment of that name; in MP3, WAV and AIFF an ID3v2 frame, TCON for GENRE,
    otherwise TXXX of that name. A field of that name from before is replaced, all others stay. The file itself is never
    written to: a copy beside it gets the field, is decoded and compared with the file sample by sample, and then takes
    its place, with the same permissions. Thus a crash loses nothing. The time of change is new, by which players and
    backups know.

    Parameters
    ----------
    path : Path
        The file; of a link, the file that it leads to.
    field : str
        "DL4MIR_TAGS" or "GENRE".
    text : str
        What to write.
    same : callable, optional
        What compares, such as `comparison_in_process` yields. By default, this process decodes both files.

    Raises
    ------
    BadArgumentError
        The file's format has no such field, its old tags are damaged so that they could not be kept, the folder cannot
        be written to, or the copy cannot be decoded or sounds different. The file is as before.
    """
    from mutagen import MutagenError

    path = path.resolve()
    part = None
    try:
        # Its ending tells mutagen the format; a search through the folder passes over hidden files.
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=".dl4mir-", suffix=path.suffix)
        os.close(handle)
        shutil.copy2(path, part)
        _add_field(path, Path(part), field, text)
        if not (same or _same_samples)(path, Path(part)):
            raise BadArgumentError("tags cannot be written: the file would not sound the same; it is as before")
        with Path(part).open("rb+") as file:
            os.fsync(file.fileno())
        Path(part).replace(path)
    except MemoryError as error:  # also where damaged tags claim a length that nothing has
        raise BadArgumentError(f"tags cannot be written: {NO_MEMORY}") from error
    except (OSError, soundfile.SoundFileError, MutagenError) as error:
        raise BadArgumentError(f"tags cannot be written: {getattr(error, 'strerror', None) or error}") from error
    finally:
        if part:
            with suppress(OSError):  # it has taken the file's place
                Path(part).unlink()


def _add_field(path: Path, part: Path, field: str, text: str) -> None:
    """Add a field to `part`, a copy of `path`."""
    import mutagen
    from mutagen.aiff import AIFF
    from mutagen.flac import FLAC
    from mutagen.id3 import ID3, TCON, TXXX, ID3NoHeaderError
    from mutagen.mp3 import MP3
    from mutagen.ogg import OggFileType
    from mutagen.wave import WAVE

    sound = mutagen.File(part)
    if isinstance(sound, (FLAC, OggFileType)):
        if sound.tags is None:
            sound.add_tags()
        if any("?" in key or "\ufffd" in value for key, value in sound.tags):
            raise BadArgumentError("tags cannot be written: an old tag is not in UTF-8 and would be changed")
        sound.tags[field] = [text]
        sound.save()
        return
    if not isinstance(sound, (MP3, WAVE, AIFF)):
        raise BadArgumentError("tags cannot be written: the file is not MP3, Ogg, FLAC, WAV or AIFF")
    # Old frames stay as they are: no translation to ID3v2.4, nothing from or to the ID3v1 tag at the end of an MP3.
    if isinstance(sound, MP3):
        try:
            frames = ID3(part, translate=False, load_v1=False)
        except ID3NoHeaderError:
            frames = ID3()
    else:
        sound = type(sound)(part, translate=False)
        if sound.tags is None:
            sound.add_tags()
        frames = sound.tags
    encoding = 0 if text.isascii() else 1  # Latin-1 or UTF-16, which all versions know
    if field == GENRE:
        frames.setall("TCON", [TCON(encoding=encoding, text=[text])])
    else:
        frames.add(TXXX(encoding=encoding, desc=field, text=[text]))
    as_it_is = {"v2_version": 3 if frames.version < (2, 4, 0) else 4, "v23_sep": None}
    if not isinstance(sound, MP3):
        frames.save(part, **as_it_is)
        return
    head = io.BytesIO()
    frames.save(head, v1=0, **as_it_is)
    with path.open("rb") as source, part.open("wb") as file:
        file.write(head.getvalue())
        source.seek(frames.size)
        shutil.copyfileobj(source, file)


def _same_samples(one: Path, other: Path) -> bool:
    """Decode two files in blocks and compare; what decoders write about damaged ones is dropped."""
    with quiet_native(), soundfile.SoundFile(one) as first, soundfile.SoundFile(other) as second:
        if (first.samplerate, first.channels) != (second.samplerate, second.channels):
            return False
        return all(np.array_equal(left, right) for left, right in zip(_blocks(first), _blocks(second), strict=True))


def _compared(one: Path, threads: int, other: Path) -> bool:
    return _same_samples(one, other)


def _blocks(file: soundfile.SoundFile) -> Iterator[np.ndarray]:
    """Yield all blocks, and an empty one at the end, which tells files of different length apart."""
    while True:
        block = file.read(max(1, COMPARED // file.channels), dtype="float64")
        yield block
        if not len(block):
            return
