"""The non-local block: its four forms against plain loops, against Keras's attention, saved, masked and refused."""

import keras
import numpy as np
import pytest

from dl4mir_utils import BadArgumentError
from dl4mir_utils.layers import NonLocal

KINDS = ["gaussian", "embedded gaussian", "dot product", "concatenation"]
EACH_KIND = pytest.mark.parametrize("kind", KINDS)


def make_input(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def switched_on(layer, shape, seed=0):
    """Build a layer and give its normalisation weights as after training, so that the block changes something."""
    layer.build(shape)
    rng = np.random.default_rng(seed)
    for weight in layer.norm.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return layer


def pooled(x, size):
    """Maxima over groups of `size` along each axis but the first and the last: (batch, positions, channels)."""
    for axis in range(1, x.ndim - 1):
        x = np.maximum.reduceat(x, np.arange(0, x.shape[axis], size), axis=axis)
    return x.reshape(len(x), -1, x.shape[-1])


def by_loops(layer, x):
    """The formulas of the paper, position by position, for one layer and x (batch, ..., channels)."""
    maps = [name for name in ["theta", "phi", "g", "w_z"] if hasattr(layer, name)]
    kernel = {name: getattr(layer, name).kernel.numpy() for name in maps}
    rows = x.reshape(len(x), -1, x.shape[-1])
    to_keys = x if layer.kind == "gaussian" else x @ kernel["phi"]
    keys, values = pooled(to_keys, layer.pool), pooled(x @ kernel["g"], layer.pool)
    y = np.zeros((*rows.shape[:2], values.shape[-1]))
    for clip in range(len(rows)):
        for i, row in enumerate(rows[clip]):
            query = row if layer.kind == "gaussian" else row @ kernel["theta"]
            total = norm = 0
            for key, value in zip(keys[clip], values[clip], strict=True):
                if layer.kind == "concatenation":
                    w = np.concatenate([layer.from_theta.kernel, layer.from_phi.kernel])[:, 0]
                    f = max(0, w @ np.concatenate([query, key]))
                elif layer.kind == "dot product":
                    f = query @ key
                else:
                    f = np.exp(query @ key)
                total = total + f * value
                norm += f if layer.kind.endswith("gaussian") else 1
            y[clip, i] = total / norm
    gamma, beta, mean, variance = (weight.numpy() for weight in layer.norm.weights)
    y = gamma * (y @ kernel["w_z"] - mean) / np.sqrt(variance + layer.norm.epsilon) + beta
    return y.reshape(x.shape) + x


@EACH_KIND
@pytest.mark.parametrize("shape", [(2, 7, 6), (2, 5, 4, 6)])
@pytest.mark.parametrize("pool", [1, 2])
def test_equals_the_loops_of_the_paper(kind, shape, pool):
    layer, x = switched_on(NonLocal(kind, pool=pool), shape), make_input(*shape)
    np.testing.assert_allclose(layer(x), by_loops(layer, x), rtol=1e-4, atol=1e-5)


@EACH_KIND
def test_starts_as_identity_and_learns(kind):
    x = make_input(8, 12, 6)
    model = keras.Sequential([keras.Input((None, 6)), NonLocal(kind)])
    assert np.array_equal(model(x), x) and np.array_equal(model(x, training=True), x)
    target = x + x.mean(axis=1, keepdims=True)
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
    losses = model.fit(x, target, epochs=60, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]


def test_does_not_change_a_trained_model_it_is_put_into():
    inputs = keras.Input((20, 8))
    before = keras.layers.Conv1D(6, 3, activation="relu")
    after = keras.layers.Conv1D(2, 3)
    plain = keras.Model(inputs, after(before(inputs)))
    extended = keras.Model(inputs, after(NonLocal()(before(inputs))))
    x = make_input(3, 20, 8)
    assert np.array_equal(plain(x), extended(x))


def test_embedded_gaussian_is_softmax_attention():
    layer, x = switched_on(NonLocal(inner=5), (2, 9, 6)), make_input(2, 9, 6)
    attention = keras.layers.Attention(use_scale=False, score_mode="dot")
    y, weights = attention([layer.theta(x), layer.g(x), layer.phi(x)], return_attention_scores=True)
    np.testing.assert_allclose(layer.affinity(x), weights, atol=1e-6)
    np.testing.assert_allclose(layer(x), x + layer.norm(layer.w_z(y)), atol=1e-5)


def test_embedded_gaussian_is_one_head_of_multi_head_attention():
    """Keras scales by the root of the head's channels, so theta is made as much larger."""
    layer, x = switched_on(NonLocal(inner=4), (2, 9, 6)), make_input(2, 9, 6)
    heads = keras.layers.MultiHeadAttention(num_heads=1, key_dim=4, use_bias=False)
    heads.build((2, 9, 6), (2, 9, 6))
    maps = [2 * layer.theta.kernel, layer.phi.kernel, layer.g.kernel, layer.w_z.kernel]
    heads.set_weights([kernel.numpy().reshape(w.shape) for kernel, w in zip(maps, heads.weights, strict=True)])
    np.testing.assert_allclose(layer(x), x + layer.norm(heads(x, x)), atol=1e-5)


@EACH_KIND
def test_weights_sum_to_one_or_are_divided_by_their_number(kind):
    x = make_input(2, 10, 6)
    layer = NonLocal(kind)
    layer.build(x.shape)
    weights = np.array(layer.affinity(x))
    assert weights.shape == (2, 10, 10)
    if kind.endswith("gaussian"):
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    else:
        twice = np.array(layer.affinity(np.concatenate([x, x], axis=1)))
        np.testing.assert_allclose(twice[:, :10, :10], weights / 2, rtol=1e-5)


@EACH_KIND
def test_knows_no_order(kind):
    layer, x = switched_on(NonLocal(kind), (2, 11, 6)), make_input(2, 11, 6)
    order = np.random.default_rng(1).permutation(11)
    np.testing.assert_allclose(layer(x[:, order]), np.array(layer(x))[:, order], atol=1e-5)


@EACH_KIND
@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize("shape", [(2, 10, 6), (2, 10, 4, 6)])
def test_what_is_masked_is_as_if_it_were_not_there(kind, pool, shape):
    layer, x = switched_on(NonLocal(kind, pool=pool), shape), make_input(*shape)
    mask = np.zeros(shape[:-1], bool)
    mask[:, :6] = True
    short = np.array(layer(x[:, :6]))
    for rest in [0, 1e3]:
        x[:, 6:] = rest
        np.testing.assert_allclose(np.array(layer(x, mask=mask))[:, :6], short, rtol=1e-5, atol=1e-5)


def test_takes_up_the_mask_of_the_layer_before():
    model = keras.Sequential([keras.Input((None, 6)), keras.layers.Masking(), switched_on(NonLocal(), (None, None, 6))])
    x = make_input(2, 10, 6)
    x[:, 7:] = 0
    np.testing.assert_allclose(np.array(model(x))[:, :7], model(x[:, :7]), rtol=1e-5, atol=1e-5)


@EACH_KIND
@pytest.mark.parametrize("shape", [(None, 6), (None, None, 6), (None, 4, 6)])
def test_unknown_lengths_and_keras_save(kind, shape, tmp_path):
    block = switched_on(NonLocal(kind, inner=4, pool=2, name="block"), (None, *shape))
    model = keras.Sequential([keras.Input(shape), block])
    assert model.output_shape == (None, *shape)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.get_layer("block").get_config() == block.get_config()
    for length in [5, 8]:
        x = make_input(2, *[length if n is None else n for n in shape])
        np.testing.assert_allclose(again(x), model(x), atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@EACH_KIND
def test_half_precision(kind, policy):
    layer = switched_on(NonLocal(kind, pool=2, dtype=policy), (2, 8, 6))
    x, mask = make_input(2, 8, 6), np.ones((2, 8), bool)
    mask[:, 5:] = False
    exact = switched_on(NonLocal(kind, pool=2), (2, 8, 6))
    exact.set_weights(layer.get_weights())
    for options in [{}, {"mask": mask}]:
        np.testing.assert_allclose(np.float32(layer(x, **options)), exact(x, **options), atol=0.1)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_trains_in_a_graph(jit_compile):
    model = keras.Sequential([keras.Input((None, 8, 6)), NonLocal(pool=2), keras.layers.GlobalAveragePooling2D()])
    model.compile("sgd", "mse", jit_compile=jit_compile)
    gammas = [model.layers[0].norm.gamma.numpy()]
    model.fit(make_input(4, 6, 8, 6), np.ones((4, 6)), verbose=0)
    gammas.append(model.layers[0].norm.gamma.numpy())
    assert (gammas[1] != gammas[0]).any()


@pytest.mark.parametrize("wrong", [{"kind": "cosine"}, {"inner": 0}, {"pool": 0}])
def test_wrong_arguments(wrong):
    with pytest.raises(BadArgumentError, match=next(iter(wrong))):
        NonLocal(**wrong)


def test_wrong_shapes():
    with pytest.raises(BadArgumentError, match="steps, channels"):
        NonLocal()(make_input(3, 4))
    with pytest.raises(BadArgumentError, match="mask"):
        NonLocal()(make_input(2, 5, 4), mask=np.ones((2, 4), bool))


def test_one_channel_is_enough():
    assert NonLocal()(make_input(1, 5, 1)).shape == (1, 5, 1)
