"""Measure how long it takes to tag long music, and how much memory.

Music of ten minutes, put together from sixty clips, is tagged by `taggram`: a window of three seconds every second,
four windows at once (`dl4mir tag` takes one every three seconds, a third of the work). Goals on two cores: 40 times
real time, and memory that does not grow with the music. Beside it, in the same run: the first minute with windows one
by one, and with all at once. Printed are seconds by the clock and of processor time, which a busy machine hardly
changes, how many times faster than real time that is, and the peak memory of the process so far; then how far the
answers differ. Run it on Linux or macOS: `python benchmarks/tagging.py`.
"""

import argparse
import resource
import sys
import time

from dl4mir_utils import setup  # before Keras: it quietens TensorFlow

# isort: split
import numpy as np

from dl4mir_utils.data import load
from dl4mir_utils.models import musicnn, taggram
from dl4mir_utils.models.musicnn import BATCH, RATE

BYTES = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss


def measure(name, audio, model, batch):
    """Print what tagging costs with `batch` windows at once, and return what it says."""
    sys.modules[taggram.__module__].BATCH = batch
    taggram(audio[: 10 * RATE], model)  # makes the graph
    clock, cpu = time.perf_counter(), time.process_time()
    answer = taggram(audio, model)
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    seconds = len(audio) / RATE
    print(
        f"{name:22} {seconds / 60:2.0f} min: {clock:6.1f} s by the clock ({seconds / clock:3.0f} times real time), "
        f"{cpu:6.1f} s of processor time ({seconds / cpu:3.0f} times); "
        f"peak so far {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES / 2**30:.2f} GiB"
    )
    return answer


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=int, default=10)
    minutes = parser.parse_args().minutes
    setup()
    clips, model = load("mini/album"), musicnn()
    names = (clips.frame.index[number % len(clips)] for number in range(6 * minutes))
    audio = np.concatenate([clips.audio(name) for name in names])
    minute = audio[: 60 * RATE]
    one = measure("one window at a time", minute, model, 1)
    several = measure(f"{BATCH} windows at a time", minute, model, BATCH)
    several_long = measure(f"{BATCH} windows at a time", audio, model, BATCH)
    every = measure("all windows at once", minute, model, 60)
    off = max(np.abs(several - other).max() for other in (one, every, several_long[: len(several)]))
    print(f"The answers differ by at most {off:.1e}.")


if __name__ == "__main__":
    main()
