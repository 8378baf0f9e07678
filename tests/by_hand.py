"""Networks in NumPy, for the tests that compare ours with what the originals did."""

import numpy as np


def convolve(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Correlate (in, height, width) with (out, in, 3, 3), zeros around: (out, height, width)."""
    _, height, width = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    shifted = [padded[:, row : row + height, column : column + width] for row in range(3) for column in range(3)]
    columns = np.stack(shifted, axis=1).reshape(-1, height * width)  # (in * 9, places)
    return (kernel.reshape(len(kernel), -1) @ columns + bias[:, np.newaxis]).reshape(-1, height, width)


def elu(x: np.ndarray) -> np.ndarray:
    """Return x where it is positive, and exp(x) - 1 elsewhere."""
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def pool(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Take the maximum of each rectangle of (channels, height, width); what is left over at the end is dropped."""
    channels, height, width = x.shape[0], x.shape[1] // rows, x.shape[2] // columns
    x = x[:, : height * rows, : width * columns]
    return x.reshape(channels, height, rows, width, columns).max(axis=(2, 4))
