"""Train notebook 06's compact_cnn on the course's own clips and write data/pretrained/compact_cnn_mini.npz.

    .venv/bin/python tools/recipes/train_compact_cnn.py

The network, its loss and its training are the notebook's: its cells tagged `model` are executed. It hears the training
clips of `mini/tags` alone, with seed 0; about a minute on one core. What it says of the test clips is printed.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools" / "course"))

import notebooks as nbs  # noqa: E402

NOTEBOOK = ROOT / "notebooks" / "06_tagging.ipynb"
WEIGHTS = ROOT / "data" / "pretrained" / "compact_cnn_mini.npz"


def main() -> None:
    import dl4mir_utils  # noqa: F401 (quietens TensorFlow, so it comes first)
    import numpy as np  # isort: skip
    from dl4mir_utils.data import load
    from dl4mir_utils.models import compact_cnn
    from dl4mir_utils.models.weights import save_weights

    data, notebook = load("mini/tags"), nbs.namespace(NOTEBOOK)
    trained, _ = notebook["train"]("compact_cnn", data)
    model = compact_cnn(trained=False)
    model.set_weights(trained.get_weights())
    batch, _ = next(iter(data.to_tf("test", **notebook["pieces"]())))
    assert np.allclose(model(batch), trained(batch), atol=1e-5), "the package's network is not the notebook's"
    scores, _ = notebook["judge"](data, notebook["listen"](model, data, "test"))
    print({name: round(float(score), 3) for name, score in scores.items()})
    save_weights(model, WEIGHTS)
    print(f"{WEIGHTS.relative_to(ROOT)}: {WEIGHTS.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
