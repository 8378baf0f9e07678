"""What notebook 06 computes where the published weights are at hand is what it shows where they are not."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from real_files import real_file

from dl4mir_utils.data import load
from dl4mir_utils.data.download import folder
from dl4mir_utils.models import MSD_TAGS, choi_compact_cnn, music_tagger_crnn, musicnn, taggram
from dl4mir_utils.paths import data_root

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools" / "course"))

import notebooks as nbs  # noqa: E402

WEIGHTS = {
    "choi_models": "compact_cnn_weights_tensorflow.hdf5",
    "music_tagger_crnn": "music_tagger_crnn_weights_tensorflow.h5",
}


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """Run the three cells; returns their names."""
    source = {cell.id: cell.source for cell in nbs.read(ROOT / "notebooks" / "06_tagging.ipynb").cells}
    data = load("mini/tags")
    names = data.frame.index[data.frame.split == "test"]
    space = {"np": np, "pd": pd, "data": data, "names": names, "RATE": 12000, "folder": folder, "data_root": data_root}
    space |= {each.__name__: each for each in (choi_compact_cnn, music_tagger_crnn, musicnn, taggram)}
    space |= {"MSD_TAGS": MSD_TAGS, "play": lambda *_, **__: None, "display": lambda *_: None}

    def run(with_weights):
        monkeypatch.setenv("DL4MIR_DATA", str(tmp_path / str(with_weights)))
        if with_weights:
            for name, file in WEIGHTS.items():
                folder(name).mkdir(parents=True)
                shutil.copy(real_file(name, file), folder(name))
        for cell in ("06-50b", "06-50d", "06-50f"):
            exec(compile(source[cell], cell, "exec"), space)
        return dict(space)

    return run


def test_what_is_computed_is_what_was_stored(shown, capsys):
    computed = shown(True)
    assert "is not here" not in capsys.readouterr().out
    stored = shown(False)
    assert capsys.readouterr().out.count("is not here") == 2
    assert computed["largest"] is not stored["largest"]
    np.testing.assert_allclose(computed["largest"], stored["largest"], rtol=0.02)
    assert computed["top_tags"].index.tolist() == stored["top_tags"].index.tolist()
    for (_, fresh), (_, old) in zip(computed["top_tags"].iterrows(), stored["top_tags"].iterrows(), strict=True):
        for one, other in zip(fresh, old, strict=True):
            assert float(one.split()[-1]) == pytest.approx(float(other.split()[-1]), abs=0.02)
        assert fresh["first"].rsplit(" ", 1)[0] == old["first"].rsplit(" ", 1)[0]
