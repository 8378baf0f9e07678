"""Small numbers that every notebook needs."""

from collections.abc import Sequence

import numpy as np


def score_range(values: Sequence[float]) -> str:
    """Return scores over seeds or folds as text, e.g. "0.71 (0.58–0.80, n = 5)"; one score alone as "0.71 (n = 1)"."""
    if len(values) == 1:
        return f"{np.mean(values):.2f} (n = 1)"
    return f"{np.mean(values):.2f} ({np.min(values):.2f}–{np.max(values):.2f}, n = {len(values)})"
