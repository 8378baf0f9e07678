"""Measure how long a whole song takes to search for singing, and how much memory.

A song of five minutes, put together from thirty mixes, is analysed by the course's detector as `dl4mir sing` does it:
decoded from a file, in blocks. Goals on two cores: at most 5 s, and a peak of at most 1.5 GiB. Beside it, in the same
run: the whole song given to the network at once. Printed are the seconds of the first time (which makes the graph)
and of the median later time, how many times faster than real time that is, and the peak memory of the process so far;
then how far the answers differ. Run it on Linux or macOS: `python benchmarks/singing_detector.py`; `--minutes 60`
takes an hour.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

from dl4mir_utils import setup  # before Keras: it quietens TensorFlow

# isort: split
import numpy as np
import soundfile
import tensorflow as tf

from dl4mir_utils.data import load, load_audio
from dl4mir_utils.models import singing_detector
from dl4mir_utils.singing import RATE, smooth, sung_probability, to_segments

BYTES = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss


def measure(name, minutes, repeats, analyse):
    """Print what `analyse()` costs and return what it says."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        answer = analyse()
        seconds.append(time.perf_counter() - start)
    later = np.median(seconds[1:] or seconds)
    print(
        f"{name:10} {seconds[0]:5.2f} s, then {later:5.2f} s: {60 * minutes / later:4.0f} times real time; "
        f"peak so far {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES / 2**30:.2f} GiB"
    )
    return answer


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=4)
    arguments = parser.parse_args()
    setup()
    mixes = load("mini/singing")
    detector = singing_detector()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "song.ogg"
        with soundfile.SoundFile(path, "w", RATE, 1) as song:
            for index in range(6 * arguments.minutes):
                song.write(mixes.mix("valid", index)[0])

        def in_blocks():
            probability = sung_probability(load_audio(path, RATE), detector.model, detector.hop_s)
            to_segments(smooth(probability, detector.median_frames), detector.hop_s, detector.threshold)
            return probability

        at_once = tf.function(detector.model)
        blocks = measure("in blocks", arguments.minutes, arguments.repeats, in_blocks)
        whole = measure(
            "at once",
            arguments.minutes,
            arguments.repeats,
            lambda: np.ravel(at_once(load_audio(path, RATE)[np.newaxis, :, np.newaxis])),
        )
    frames = min(len(blocks), len(whole))
    difference = np.abs(blocks[:frames] - whole[:frames])
    print(f"the probabilities differ by {difference.mean():.5f} on average, {difference.max():.3f} at most")


if __name__ == "__main__":
    main()
