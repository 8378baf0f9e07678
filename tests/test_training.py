"""Training that can be watched: what is shown meanwhile, what stays, and what it costs."""

import io
import time

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from dl4mir_utils import training
from dl4mir_utils.training import live_curve


@pytest.fixture
def shown(monkeypatch):
    """Whatever the callback shows, in order: as if in a notebook."""
    seen = []
    monkeypatch.setattr(training, "_notebook_display", lambda: lambda data, metadata: seen.append((data, metadata)))
    return seen


def fit(callback, epochs=3, **options):
    model = keras.Sequential([keras.Input((8,)), layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    data = rng.normal(size=(96, 8)).astype("float32"), rng.integers(3, size=96)
    options = {"validation_data": data, "batch_size": 8, "epochs": epochs, "verbose": 0} | options
    return model.fit(*data, callbacks=[callback], **options)


def test_one_figure_stays_and_says_what_it_shows(shown):
    callback = live_curve({"accuracy": 1 / 3}, "A test")
    history = fit(callback)
    data, metadata = shown[-1]
    image = Image.open(io.BytesIO(data["image/png"]))
    assert image.width == 920
    assert data["text/plain"].startswith("A test: 3 epochs in ")
    assert f"validation accuracy {history.history['val_accuracy'][-1]:.3g}" in data["text/plain"]
    assert metadata["alt"].startswith("Learning curves. A test")
    # The curves are those of the history, whole epochs only.
    epochs, losses = zip(*callback._curves["val_loss"], strict=True)
    assert epochs == (1, 2, 3) and losses == pytest.approx(history.history["val_loss"])


def test_it_grows_while_it_trains_and_says_how_long_it_takes(shown, monkeypatch):
    monkeypatch.setattr(training, "LEAST_PAUSE_S", 0.0)
    monkeypatch.setattr(training, "DRAWING_SHARE", 1e9)
    fit(live_curve(), epochs=2)
    assert len(shown) > 8, "12 batches an epoch"
    assert all(data["text/plain"].startswith("epoch 1 of 2, ") for data, _ in shown[:5])
    assert all(data["text/plain"].endswith(" left") for data, _ in shown[:-1])
    assert len(Image.open(io.BytesIO(shown[0][0]["image/png"])).getcolors(10_000) or []) != 1


def test_drawing_takes_a_small_share(shown, monkeypatch):
    """A drawing that takes 0.1 s is repeated only after 100 / 3 times as long."""
    monkeypatch.setattr(training, "LEAST_PAUSE_S", 0.0)
    callback = live_curve()
    monkeypatch.setattr(callback, "_figure", lambda finished=False: time.sleep(0.02))
    monkeypatch.setattr(training, "figure_png", lambda figure, dpi=0: b"")
    start = time.monotonic()
    fit(callback, epochs=30)
    passed = time.monotonic() - start
    assert (len(shown) - 1) * 0.02 <= 0.05 * passed + 0.02


def test_in_a_terminal_it_prints(capsys):
    fit(live_curve(title="Plain"))
    out = capsys.readouterr().out.splitlines()
    assert out[-1].startswith("Plain: 3 epochs in 0 s: ") or out[-1].startswith("Plain: 3 epochs in ")
    assert "validation loss" in out[-1]


def test_stopping_early_and_training_again(shown):
    callback = live_curve()
    stop = keras.callbacks.EarlyStopping("val_loss", patience=0, min_delta=10)
    model = keras.Sequential([keras.Input((8,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.zeros((16, 8)), np.zeros(16)
    model.fit(x, y, epochs=9, validation_data=(x, y), callbacks=[callback, stop], verbose=0)
    assert shown[-1][0]["text/plain"].startswith("2 epochs in ")
    model.fit(x, y, epochs=1, callbacks=[callback], verbose=0)
    assert shown[-1][0]["text/plain"].startswith("1 epoch in ") and "validation" not in shown[-1][0]["text/plain"]
