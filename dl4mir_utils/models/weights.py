"""Weights as small files: one compressed NumPy array per variable."""

from pathlib import Path

import keras
import numpy as np
from numpy.typing import DTypeLike


def variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Return the variables of a model by "layer/variable", those of the layers inside of layers included."""
    return {variable.path: variable for variable in model.variables if "seed_generator" not in variable.path}


def save_weights(model: keras.Model, path: Path, dtype: DTypeLike = np.float16, **others: np.ndarray) -> None:
    """Write the weights of a model, with other arrays beside them as they are.

    Half precision has 11 significant bits: outputs change in the fourth digit, and the file halves. `np.float32`
    keeps them as they are.
    """
    arrays = {name: np.asarray(variable).astype(dtype) for name, variable in variables(model).items()}
    np.savez_compressed(path, **arrays, **others)


def load_weights(model: keras.Model, path: Path) -> None:
    """Read what `save_weights` wrote into a model of the same layers.

    Raises
    ------
    KeyError
        The file lacks a variable of the model.
    """
    with np.load(path) as arrays:
        for name, variable in variables(model).items():
            variable.assign(arrays[name])
