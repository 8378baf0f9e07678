"""What notebook 08 defines in its cells tagged `model`: the factorisation against a library, and the listeners."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array, csr_matrix
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools" / "course"))

import notebooks as nbs  # noqa: E402


@pytest.fixture(scope="module")
def notebook():
    return nbs.namespace(ROOT / "notebooks" / "08_recommendation.ipynb")


@pytest.fixture(scope="module")
def tracks():
    style = np.repeat(["calm", "fast", "loud"], 20)
    artist = [f"{name} {number // 5 % 4}" for number, name in enumerate(style)]
    return pd.DataFrame({"style": style, "artist": artist})


@pytest.fixture(scope="module")
def plays(notebook, tracks):
    return notebook["simulate"](tracks, seed=1, listeners=300)


def test_factors_agree_with_implicit(notebook, plays):
    """Same start, same sweeps, same factors as the library's alternating least squares, solved exactly."""
    from implicit.cpu.als import AlternatingLeastSquares

    sweeps, alpha, penalty = 4, 2.0, 3.0
    listeners, items = notebook["factorise"](plays, 6, alpha, penalty, sweeps, seed=5)
    settings = {"dtype": np.float64, "use_cg": False, "num_threads": 1}
    with threadpool_limits(1, "blas"):  # otherwise it warns
        model = AlternatingLeastSquares(6, regularization=penalty, alpha=1.0, iterations=sweeps, **settings)
    model.user_factors = np.zeros((plays.shape[0], 6))
    model.item_factors = np.random.default_rng(5).normal(scale=0.1, size=(plays.shape[1], 6))
    # implicit takes c where the paper has 1 + alpha r: what is stored is the confidence itself.
    confidence = csr_matrix(plays, dtype=np.float64)
    confidence.data = 1 + alpha * np.log1p(confidence.data)
    model.fit(confidence, show_progress=False)
    np.testing.assert_allclose(listeners, model.user_factors, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(items, model.item_factors, rtol=1e-6, atol=1e-8)


def test_every_sweep_lowers_the_loss(notebook, plays):
    strength = np.log1p(plays.toarray().astype(float))

    def loss(sweeps):
        listeners, items = notebook["factorise"](plays, 4, 1.0, 10.0, sweeps)
        error = (1 + strength) * ((plays.toarray() > 0) - listeners @ items.T) ** 2
        return error.sum() + 10.0 * ((listeners**2).sum() + (items**2).sum())

    losses = [loss(sweeps) for sweeps in (1, 2, 4, 8)]
    assert losses == sorted(losses, reverse=True) and losses[0] > losses[-1]


def test_what_nobody_played_has_no_factors(notebook):
    others = np.random.default_rng(0).normal(size=(5, 3))
    assert not notebook["solve"](csr_array((2, 5)), others, 1.0).any()


def test_listeners_are_as_the_text_says(notebook, tracks, plays):
    """Tastes: shares of the styles have the variance of a Dirichlet distribution; artists and hits differ."""
    counts = plays.toarray()
    assert counts.min() >= 0 and counts.shape == (300, 60)
    assert 30 < np.median(counts.sum(axis=1)) < 50
    many = notebook["simulate"](tracks, seed=2, listeners=2000).toarray()
    by_style = np.stack([many[:, tracks["style"] == name].sum(axis=1) for name in ("calm", "fast", "loud")], axis=1)
    share = by_style[by_style.sum(axis=1) > 20] / by_style[by_style.sum(axis=1) > 20].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(share.mean(axis=0), 1 / 3, atol=0.03)
    expected = (1 / 3) * (2 / 3) / (3 * 0.3 + 1)  # of a share in three styles
    np.testing.assert_allclose(share.var(axis=0), expected, rtol=0.15)
    assert (notebook["simulate"](tracks, seed=1, listeners=300) != plays).nnz == 0, "the same seed, the same listeners"


def test_held_out_artists_are_whole(notebook):
    clips, tracks = notebook["make_tracks"](notebook["load"]("mini/tracker"))
    assert tracks.groupby("artist").fold.nunique().eq(1).all()
    assert tracks.groupby("fold")["style"].nunique().eq(4).all()
    assert set(clips.track) == set(tracks.index)


def test_known_styles_are_recommended(notebook, tracks, plays):
    """Where the features are the styles, guessing factors from them comes far above chance, as the cheat does."""
    tracks = tracks.assign(fold=(tracks.artist.str[-1] == "0").astype(int))
    features = {"style": pd.get_dummies(tracks["style"]).to_numpy(float)}
    ndcg = {name: scores.ndcg for name, scores in notebook["simple_systems"](plays, tracks, features, 1).items()}
    assert ndcg["style, 5 nearest"] > ndcg["random"] + 0.1
    assert ndcg["style, ridge"] > ndcg["random"] + 0.1
    assert ndcg["style known (cheats)"] > ndcg["random"] + 0.1
