"""Measure the commands as whole processes, beside the same work through TensorFlow.

A song of 2.5 minutes (MP3) is tagged and searched for singing, 100 clips of 30 s (Ogg) are tagged, and 40 songs of 3.5
minutes (MP3) are embedded: by `dl4mir tag`, `sing` and `similar`, and by the same steps in one process with Keras.
Goals on two cores, idle: `tag` 1.6 s and 300 MB, `sing` 2.5 s and 350 MB, 100 clips 12 s, 300 new songs a minute.
Printed are seconds by the clock from start to end of the process, and the memory of the largest process. The two ways
take turns in one run. Run it on Linux or macOS: `python benchmarks/commands.py`.
"""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import soundfile
import soxr

RATE, FILE_RATE = 16000, 44100
KERAS = {
    "tag": """
import sys, numpy as np
from dl4mir_utils.data import load_audio
from dl4mir_utils.models import musicnn, taggram
model = musicnn("mtt")
for file in sys.argv[1:]:
    print(taggram(load_audio(file), model, hop_s=3).mean(axis=0).argsort()[-5:])
""",
    "sing": """
import sys
from dl4mir_utils.data import load_audio
from dl4mir_utils.models import singing_detector
from dl4mir_utils.singing import smooth, sung_probability, to_segments
detector = singing_detector()
for file in sys.argv[1:]:
    probability = smooth(sung_probability(load_audio(file), detector.model, detector.hop_s), detector.median_frames)
    print(to_segments(probability, detector.hop_s, detector.threshold))
""",
    "similar": """
import sys, numpy as np
from dl4mir_utils.data import load_audio
from dl4mir_utils.decoding import file_duration
from dl4mir_utils.inference import as_graph
from dl4mir_utils.models import musicnn
answer = as_graph(musicnn("msd"), "penultimate")
for file in sys.argv[1:]:
    starts = (np.arange(10) + 0.5) * file_duration(file) / 10 - 1.504
    windows = np.stack([load_audio(file, 16000, start, 3.008) for start in starts])[..., np.newaxis]
    print(np.mean([answer(windows[part:part + 2]).numpy().mean(axis=0) for part in range(0, 10, 2)], axis=0)[:3])
""",
}


def write_songs(folder, count, seconds, ending):
    """Write songs put together from the course's clips, as stereo at 44.1 kHz."""
    from dl4mir_utils.data import load

    clips = load("mini/album")
    names = list(clips.frame.index)
    folder.mkdir()
    for number in range(count):
        parts = [clips.audio(names[(3 * number + 7 * part) % len(names)]) for part in range(seconds // 10 + 1)]
        mono = soxr.resample(np.concatenate(parts)[: seconds * RATE], RATE, FILE_RATE)
        with soundfile.SoundFile(folder / f"{number:03}.{ending}", "w", FILE_RATE, 2) as song:
            for block in np.array_split(np.stack([mono, np.roll(mono, 20)], axis=1), 50):
                song.write(block)
    return sorted(folder.iterdir())


def measure(command, environment):
    """Return the seconds that a command takes, and the memory of its largest process in MB."""
    start, largest = time.perf_counter(), 0
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    while process.poll() is None:
        for one in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error):  # it has ended
                largest = max(largest, one.memory_info().rss)
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))[:200]} failed.")
    return time.perf_counter() - start, largest / 1e6


def main():
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        (song,) = write_songs(place / "song", 1, 150, "mp3")
        many = write_songs(place / "many", 100, 30, "ogg")
        songs = write_songs(place / "songs", 40, 210, "mp3")
        works = [
            ("tag, one song", "tag", [song], ["tag", song]),
            ("sing, one song", "sing", [song], ["sing", song]),
            ("tag, 100 clips", "tag", many, ["tag", place / "many"]),
            ("similar, 40 songs", "similar", [song, *songs], ["similar", song, place / "songs"]),
        ]
        for name, kind, files, command in works:
            found = {"LiteRT": [], "TensorFlow": []}
            for turn in range(3):
                environment = os.environ | {"DL4MIR_DATA": str(place / f"{kind}{turn}")}  # nothing is known beforehand
                found["LiteRT"].append(measure([sys.executable, "-m", "dl4mir_utils", *command], environment))
                found["TensorFlow"].append(measure([sys.executable, "-c", KERAS[kind], *files], os.environ))
                for index in (place / f"{kind}{turn}").glob("*"):
                    index.unlink()
            (seconds, memory), (other_seconds, other_memory) = (np.median(found[way], axis=0) for way in found)
            print(
                f"{name:18} LiteRT {seconds:5.2f} s, {memory:4.0f} MB; TensorFlow {other_seconds:5.2f} s, "
                f"{other_memory:4.0f} MB: {other_seconds / seconds:.1f} times as long"
                + (f"; {60 * len(songs) / seconds:.0f} new songs a minute" if kind == "similar" else "")
            )


if __name__ == "__main__":
    main()
