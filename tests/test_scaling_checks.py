"""The checks of notebook 12 tell right answers from the likely wrong ones, in one line."""

import numpy as np
import pytest

from dl4mir_utils import checks
from dl4mir_utils.checks.scaling import MYSTERY


def said(capsys):
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_the_mystery_has_as_many_levels_as_its_bits_allow():
    rng = np.random.default_rng(0)
    sound = rng.uniform(-1, 1, 200_000)
    for (_, version), bits in zip(checks.mystery_bits(sound), MYSTERY, strict=True):
        assert 0.9 * 2**bits < len(np.unique(version)) <= 2**bits
        assert np.abs(version - sound).max() <= 1.01 / 2 ** (bits - 1)


@pytest.mark.parametrize(
    ("answers", "start"),
    [
        ((None, 6, 16), "This exercise is still open"),
        ((8, 6, 16), "Right. "),
        ((6, 8, 16), "Not yet. 16 bits are right."),
        ((16, 6, 8), "Not yet. First find the one with 16 bits"),
        ((8, 8, 16), "Not yet. Give each"),
        (("8", 6, 16), "Not yet. Give each"),
    ],
)
def test_listen(answers, start, capsys):
    checks.check_12_listen(*answers)
    assert said(capsys).startswith(start)


HOURS = 2000 * 4 / 60


@pytest.mark.parametrize(
    ("hours", "gigabytes", "start"),
    [
        (None, 15, "This exercise is still open"),
        (HOURS / 300, HOURS * 0.1152, "Right. "),
        (HOURS / 5, HOURS * 0.1152, "Not yet. The first number is in minutes"),
        (HOURS / 150, HOURS * 0.1152, "Not yet. That is the time of one core"),
        (7, HOURS * 0.1152, "Not yet. You have 133.3 hours"),
        (HOURS / 300, HOURS * 0.0576, "Not yet. The hours are right. A sample takes two bytes, not one."),
        (HOURS / 300, HOURS * 0.2304, "Not yet. The hours are right. A sample of 16 bits"),
        (HOURS / 300, 100, "Not yet. The hours are right. For the size"),
        ("many", 100, "Not yet. All of them must be numbers"),
    ],
)
def test_collection(hours, gigabytes, start, capsys):
    checks.check_12_collection(hours, gigabytes, 2000, 4, 2)
    assert said(capsys).startswith(start)


@pytest.mark.parametrize(
    ("share", "fastest", "start"),
    [
        (None, 5, "This exercise is still open"),
        (0.2, 5, "Right. "),
        (0.8, 5, "Not yet. That is the part that can be shared"),
        (20, 5, "Not yet. Give the share as a number from 0 to 1"),
        (0.4, 2.5, "Not yet. Put 0.4 into the formula: 2 workers would take 70 minutes"),
        (0.2, 2, "Not yet. The share is right."),
    ],
)
def test_amdahl(share, fastest, start, capsys):
    checks.check_12_amdahl(share, fastest)
    assert said(capsys).startswith(start)


@pytest.fixture(scope="module")
def task():
    """Three classes that overlap, for training and for a test."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(320, 128)).astype(np.float32), rng.integers(3, size=320)
    x[np.arange(320), y] += 2
    return x[:256], y[:256], x[256:], y[256:]


def trained(task, rate, batch=64, epochs=10):
    """Return a function of a seed that trains a small network."""
    import keras

    def train_four(seed):
        keras.utils.set_random_seed(seed)
        network = keras.Sequential([keras.Input((128,)), keras.layers.Dense(3, activation="softmax")])
        loss = "sparse_categorical_crossentropy"
        network.compile(keras.optimizers.SGD(rate), loss, jit_compile=False)
        network.fit(*task[:2], batch_size=batch, epochs=epochs, verbose=0)
        return network

    return train_four


@pytest.fixture(scope="module")
def losses_of_one(task):
    network = trained(task, 0.01, 16)
    return [float(network(seed).evaluate(*task[:2], verbose=0)) for seed in range(2)]


@pytest.mark.parametrize(
    ("settings", "verdict", "start"),
    [
        ({"rate": 0.04}, "cannot say", "Right. "),
        ({"rate": 0.04}, "better", "Not yet. The training is right"),
        ({"rate": 0.04}, "perhaps", "Not yet. The network is as good"),
        ({"rate": 0.01}, "cannot say", "Not yet. Its training loss is"),
        ({"rate": 0.01, "batch": 16}, "cannot say", "Not yet. It has made 160 steps; 10 epochs"),
        ({"rate": 0.04, "epochs": 20}, "cannot say", "Not yet. It has made 80 steps"),
    ],
)
def test_four_workers(settings, verdict, start, task, losses_of_one, capsys):
    checks.check_12_four_workers(trained(task, **settings), verdict, *task, losses_of_one)
    assert said(capsys).startswith(start)


@pytest.mark.parametrize(
    ("given", "start"),
    [
        (None, "This exercise is still open"),
        (3, "Not yet. train_four must be a function"),
        (lambda seed: None, "Not yet. train_four must return the network"),
        (lambda seed: 1 / 0, "Not yet. train_four(0) ends with an error"),
    ],
)
def test_four_workers_that_are_none(given, start, task, capsys):
    checks.check_12_four_workers(given, "cannot say", *task, [1.0])
    assert said(capsys).startswith(start)
