"""Write data/mini/tags.csv: what musicnn says of the course's clips, and a split for learning it.

    python tools/recipes/tag_mini.py

The probabilities are means over the windows of `taggram` (eight in ten seconds), with the weights trained on
MagnaTagATune, rounded to four places; the columns stand in the order of `load("magnatagatune").classes`.

The split deals out artists (column `group` of clips.csv), about 55 % of the clips to train, 15 % to valid and 30 % to
test, so that each tag's share comes as near to that as artists allow: the best of many random deals. No student's score
has a part in it. On another processor or version of TensorFlow the last place of some numbers may differ.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from dl4mir_utils.data import load
from dl4mir_utils.data.loaders.magnatagatune import TOP_50
from dl4mir_utils.data.loaders.mini_tags import GIVEN
from dl4mir_utils.models import MTT_TAGS, musicnn, taggram

TARGET = Path(__file__).resolve().parents[2] / "data" / "mini" / "tags.csv"
SHARES = {"train": 0.55, "valid": 0.15, "test": 0.30}
ENOUGH = 10  # clips that a tag needs to count
DEALS = 50_000


def deal(groups: pd.Series, tags: pd.DataFrame) -> pd.Series:
    """Return each clip's part of the split."""
    given = tags > GIVEN
    given = given.loc[:, given.sum() >= ENOUGH].assign(clips=True)  # the clips themselves count like a tag
    by_group = given.groupby(groups).sum()
    counts = by_group.to_numpy() / by_group.to_numpy().sum(axis=0)
    rng = np.random.default_rng(0)
    parts, shares = np.array(list(SHARES)), np.array(list(SHARES.values()))
    deals = rng.choice(len(parts), (DEALS, len(by_group)), p=shares)
    off = sum(np.abs((deals == part) @ counts - share).sum(axis=1) for part, share in enumerate(shares))
    return groups.map(dict(zip(by_group.index, parts[deals[off.argmin()]], strict=True)))


def main() -> None:
    clips, model = load("mini/tracker"), musicnn("mtt")
    rows = {clip_id: taggram(clips.audio(clip_id), model).mean(axis=0) for clip_id in clips.frame.index}
    tags = pd.DataFrame.from_dict(rows, orient="index", columns=list(MTT_TAGS))[list(TOP_50)].round(4)
    tags.insert(0, "split", deal(clips.frame["group"], tags))
    tags.to_csv(TARGET, index_label="clip_id", float_format="%.4f", lineterminator="\n")
    print(
        f"{TARGET.name}: {len(tags)} clips, {TARGET.stat().st_size / 1e3:.0f} kB",
        tags["split"].value_counts().to_dict(),
    )


if __name__ == "__main__":
    main()
