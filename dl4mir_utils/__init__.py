"""Helper package of the course: data loaders, Kapre front ends, plots, player, exercise checks.

Importing it is quick: TensorFlow and Matplotlib load only when something needs them.
"""

import os

# Read by TensorFlow when it is imported, so they must stand here, before any import of it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no start-up notices (oneDNN, CPU features, missing CUDA)
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from dl4mir_utils.environment import setup
from dl4mir_utils.errors import AudioDecodeError, BadArgumentError, DataNotFoundError, Dl4mirError

__version__ = "0.1.0"

__all__ = ["AudioDecodeError", "BadArgumentError", "DataNotFoundError", "Dl4mirError", "__version__", "setup"]
