"""One call at the top of a notebook: seeds, quiet logs, figure style, a line of versions."""

import contextlib
import logging
import os
import platform
from collections.abc import Iterator
from pathlib import Path

# Okabe and Ito's colours, distinguishable with every common kind of colour blindness; their yellow
# is left out (too pale on white) and blue comes first.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

# Figures bring their own white sheet and dark ink, so they read the same in a light and in a dark theme.
STYLE = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.facecolor": "white",
    "text.color": "#1a1a1a",
    "axes.labelcolor": "#1a1a1a",
    "axes.edgecolor": "#595959",
    "xtick.color": "#1a1a1a",
    "ytick.color": "#1a1a1a",
    "grid.color": "#d0d0d0",
    "figure.figsize": (8.0, 3.2),
    "figure.dpi": 115,  # 920 px wide
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "image.cmap": "cividis",
}


def setup(seed: int = 0) -> None:
    """Prepare a notebook: seed everything, quieten logs, set the figure style, print versions and device.

    Parameters
    ----------
    seed : int
        Seed of Python, NumPy and TensorFlow (`keras.utils.set_random_seed`). On a GPU, and on a
        different number of cores, results still differ in the last digits.
    """
    import kapre
    import keras
    import matplotlib
    import tensorflow as tf

    # After the imports: TensorFlow sets its own level when it is loaded.
    for name in ("tensorflow", "absl", "numba", "matplotlib"):
        logging.getLogger(name).setLevel(logging.ERROR)

    keras.utils.set_random_seed(seed)
    matplotlib.rcParams.update(STYLE)
    matplotlib.rcParams["axes.prop_cycle"] = matplotlib.cycler(color=COLOURS)

    gpus = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", "unnamed") for gpu in gpus]
    device = f"GPU: {', '.join(names)}" if gpus else f"CPU with {os.cpu_count()} cores"
    print(
        f"Python {platform.python_version()}, TensorFlow {tf.__version__}, Keras {keras.__version__}, "
        f"Kapre {kapre.__version__}; {device}; seed {seed}"
    )


@contextlib.contextmanager
def quiet_native() -> Iterator[None]:
    """Inside a `with`, drop what TensorFlow's C++ code writes to the error stream: the notices of XLA and TFLite.

    No log level reaches these lines: they come before TensorFlow's logging is set up. Python's
    errors are raised as ever.
    """
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
