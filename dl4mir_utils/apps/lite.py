"""Run a network that `dl4mir_utils.models.lite.to_tflite` exported, without TensorFlow."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from dl4mir_utils.environment import quiet_native
from dl4mir_utils.errors import DataNotFoundError
from dl4mir_utils.paths import course_file


def network(name: str | Path, threads: int = 1) -> "Network":
    """Return a network that comes with the course, such as "musicnn_mtt", or the one in a file; it is loaded once.

    Raises
    ------
    DataNotFoundError
        It is not there.
    """
    return _loaded(network_file(name), threads)


def network_card(name: str | Path) -> dict[str, Any]:
    """Return the card of a network, named as for `network`, without loading the network.

    Raises
    ------
    DataNotFoundError
        It is not there.
    """
    return read_card(network_file(name))


def network_file(name: str | Path) -> Path:
    """Return where a network lies, named as for `network`.

    Raises
    ------
    DataNotFoundError
        It is none that comes with the course.
    """
    return name if isinstance(name, Path) else course_file(f"pretrained/{name}.tflite")


@lru_cache(maxsize=2)
def _loaded(path: Path, threads: int) -> "Network":
    return Network(path, threads)


def read_card(path: Path) -> dict[str, Any]:
    """Return the card of a .tflite file: what one must know to use it.

    Raises
    ------
    DataNotFoundError
        The card is not there.
    """
    try:
        return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except OSError as error:
        raise DataNotFoundError(f"{error.filename} cannot be read: {error.strerror}.") from error


class Network:
    """A network for LiteRT, and its card.

    Parameters
    ----------
    path : Path
        A .tflite file, with its card of the same name in .json beside it.
    threads : int
        How many cores one call uses.

    Attributes
    ----------
    card : dict
        What one must know to use it: sample rate in Hz, shapes of what goes in and comes out, labels, and more.

    Raises
    ------
    DataNotFoundError
        The file or its card is not there.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.card = read_card(path)
        self._interpreter = Interpreter(model_content=path.read_bytes(), num_threads=threads)
        self._runners: dict[str, Any] = {}

    def __call__(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs of a signature, by name, float32; the card says which there are.

        Parameters
        ----------
        signature : str
            One of the card's.
        **inputs
            By the names in the card, of the shapes there.
        """
        given = {name: np.asarray(value, np.float32) for name, value in inputs.items()}
        if signature in self._runners:
            return self._runners[signature](**given)
        self._runners[signature] = self._interpreter.get_signature_runner(signature)
        with quiet_native():  # the first time, LiteRT writes which delegate it made
            return self._runners[signature](**given)
