"""The checks of notebook 00c tell wrong answers from right ones, and say why."""

import keras
import numpy as np
import pytest
from keras import layers

from dl4mir_utils import checks
from dl4mir_utils.checks import convnets

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1, 2], [40, 20, 20])
PICTURES = np.float32(RNG.normal(size=(80, 16, 16, 1)) + 3 * (LABELS - 1).reshape(-1, 1, 1, 1))
BASELINE = 0.5


@pytest.fixture
def said(capsys):
    """Return what a check prints: one line."""

    def call(check, *answers):
        capsys.readouterr()
        check(*answers)
        (line,) = capsys.readouterr().out.splitlines()
        return line

    return call


def network(*middle: layers.Layer, answer: str | None = "softmax") -> keras.Model:
    return keras.Sequential([keras.Input((16, 16, 1)), *middle, layers.Flatten(), layers.Dense(3, activation=answer)])


def trained(model: keras.Model, pictures: np.ndarray = PICTURES, labels: np.ndarray = LABELS) -> keras.Model:
    keras.utils.set_random_seed(0)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(pictures, labels, epochs=15, verbose=0)
    return model


def deep() -> keras.Model:
    convolutions = [layers.Conv2D(2, 3, padding="same", activation="elu") for _ in range(4)]
    return network(convolutions[0], layers.MaxPooling2D(2), *convolutions[1:], layers.MaxPooling2D(2))


def test_listen(said):
    sounds = checks.mystery_kernels(lambda kernel: kernel.ravel())
    assert [name for name, _ in sounds] == ["sound 1", "sound 2", "sound 3"]
    names = list(convnets.MYSTERY)
    right = [1 + names.index(name) for name in ("beginnings", "held notes", "ends")]
    for answer, wanted in [
        ((None, 1, 2), "still open"),
        ((1, 1, 2), "once"),
        (("1", 2, 3), "once"),
        ((right[1], right[0], right[2]), "pitches clear and steady"),
        ((right[2], right[1], right[0]), "fall on your taps"),
        (right, "Right."),
    ]:
        assert wanted in said(checks.check_00c_listen, *answer)


def test_the_kernels_find_what_their_names_say():
    picture = np.zeros((20, 20))
    picture[8:12] = 1  # a sound in all bands, from frame 8 to frame 11
    picture[:, 10] += 1  # a held note

    def answer(kernel, frame, band):
        return (picture[frame : frame + 3, band : band + 3] * kernel).sum()

    assert answer(convnets.MYSTERY["beginnings"], 6, 3) > 0 > answer(convnets.MYSTERY["beginnings"], 11, 3)
    assert answer(convnets.MYSTERY["ends"], 11, 3) > 0 > answer(convnets.MYSTERY["ends"], 6, 3)
    assert answer(convnets.MYSTERY["held notes"], 3, 9) > 0 == answer(convnets.MYSTERY["held notes"], 8, 3)


def test_shapes(said):
    keras.utils.set_random_seed(0)
    shallow = network(layers.Conv2D(2, 3), layers.MaxPooling2D(2))
    for answer, wanted in [
        (None, "still open"),
        (deep, "This is a function, not a network"),
        (shallow, "1 convolutions and 1 poolings"),
        (keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3)]), "It does not take pictures"),
        (keras.Sequential([keras.Input((16, 16, 1)), layers.Conv2D(3, 3)]), "has the shape (14, 14, 3)"),
        (trained(deep(), labels=np.zeros(80)), "Has it been trained"),
        (trained(deep()), "Right."),
    ]:
        assert wanted in said(checks.check_00c_shapes, answer, PICTURES, LABELS, BASELINE)


def test_nan(said):
    powers = np.float32(10.0**PICTURES)
    floor = layers.Lambda(lambda power: keras.ops.log10(keras.ops.maximum(power, 1e-10)))
    bare = trained(network(layers.Lambda(keras.ops.log10)), powers)
    sick = network()
    sick.set_weights([np.full_like(weight, np.nan) for weight in sick.get_weights()])
    for answer, wanted in [
        (None, "still open"),
        (sick, "Its answers are NaN"),
        (bare, "a silent piece still gives NaN"),
        (trained(network(floor), powers, np.zeros(80)), "Has it been trained"),
        (trained(network(floor), powers), "Right."),
    ]:
        assert wanted in said(checks.check_00c_nan, answer, powers, LABELS, BASELINE)


def test_stuck(said):
    constant = network()
    constant.set_weights([np.zeros((256, 3)), np.array([1.0, 0.0, 0.0])])
    for answer, wanted in [
        (None, "still open"),
        (constant, "nearly every piece the same answer"),
        (trained(network(), labels=(LABELS + 1) % 3), "Has it been trained"),
        (trained(network()), "Right."),
    ]:
        assert wanted in said(checks.check_00c_stuck, answer, PICTURES, LABELS, BASELINE)


def test_small(said):
    def small():
        return network(layers.Conv2D(1, 3), layers.Conv2D(1, 3), layers.MaxPooling2D(4))

    def broken():
        raise ValueError("no")

    groups = np.repeat(list("abcdefgh"), 10)
    other = np.tile([1.0, 0.0], 40)
    for answers, wanted in [
        ((None, other, "worse"), "still open"),
        ((broken, other, "worse"), "must be a function that builds a network"),
        ((small(), other, "worse"), "must be a function that builds a network"),
        ((network, other, "worse"), "at least two convolutions"),
        ((lambda: network(*[layers.Conv2D(9, 3)] * 1, layers.Conv2D(9, 3)), other, "worse"), "500 are allowed"),
        ((small, other[:5], "worse"), "one number for each of the 80"),
        ((small, other, "equal"), "The verdict is one of"),
        ((small, 0 * other, "worse"), "it learned little"),
        ((small, other, "worse"), "the verdict is not"),
        ((small, other, "cannot say"), "Right."),
        ((small, np.ones(80), "better"), "Right."),
        ((small, np.maximum(other - 0.1, 0), "worse"), "Right."),
    ]:
        assert wanted in said(checks.check_00c_small, *answers, other, groups, 0.41), wanted
