"""Write data/pretrained/choi_statistics.npz: with what the published compact_cnn is normalised in this course.

    .venv/bin/python tools/recipes/measure_choi.py

The network normalises each layer by the batch at hand (`dl4mir_utils.models.choi`), so that a clip's features depend on
its neighbours. Instead, we take the means and variances of one large batch: the 270 training clips of `mini/tags`, each
repeated to 29 s. They are measured layer by layer, since a layer's statistics rest on those of the layers below: the
same as if all 270 went through the network at once, but for the loudest point, which is each clip's own. The weights
are downloaded; two minutes on two cores. No label has a part in it, and the artists of valid and test are not heard.
"""

import sys
from pathlib import Path

import dl4mir_utils  # noqa: F401  before Keras: it quietens TensorFlow

# isort: split
import numpy as np

from dl4mir_utils.data import load
from dl4mir_utils.models import choi_compact_cnn
from dl4mir_utils.models.choi import CHOI_RATE, CHOI_SAMPLES, measure_statistics
from dl4mir_utils.paths import data_root


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else data_root() / "pretrained" / "choi_statistics.npz"
    data = load("mini/tags")
    clips = data.frame.index[data.frame["split"] == "train"]
    sounds = [np.resize(data.audio(clip, CHOI_RATE), CHOI_SAMPLES) for clip in clips]
    mean, variance = measure_statistics(choi_compact_cnn(repaired=False), sounds)
    np.savez(target, mean=mean, variance=variance)
    print(f"{target.name}: {len(clips)} clips, {target.stat().st_size / 1000:.0f} KB")
    print("deviations, layer by layer:", *(f"{d.min():.1f} to {d.max():.1f};" for d in np.sqrt(variance)))


if __name__ == "__main__":
    main()
