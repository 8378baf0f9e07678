"""Measure on what it depends how fast LiteRT.js computes a convolution in a browser.

Networks of one convolution with 3 x 3 taps over 32 channels, side by side in the system's Chromium. Those that are
compared differ in one thing:

- weights in half precision, and the biases in single precision, as they would be if only large arrays were halved; or
  both in half precision, as `to_tflite` writes them; or both in single precision
- 30 filters, or 32, which is a multiple of eight: each is loaded ten times, because how fast the 30 are depends on what
  happens to lie in memory

Printed: milliseconds a window, the median of twenty, and ratios. Of what is loaded ten times, the fastest and the
slowest. Run it: `python benchmarks/browser_kernels.py`. It takes a minute, and needs the extra `test` and Chromium or
Chrome.
"""

import base64
import json
import sys
import tempfile
from pathlib import Path

import dl4mir_utils  # noqa: F401  before Keras: it quietens TensorFlow

# isort: split
import keras
import numpy as np
from keras import layers

from dl4mir_utils.live.build import _MissingError
from dl4mir_utils.models import lite
from dl4mir_utils.models.lite import Signature, to_tflite

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

try:
    from browser.conftest import chromium_path
    from browser.test_live_engine import whole_floats, write_engine
    from playwright.sync_api import sync_playwright
except ImportError as error:
    raise SystemExit(f"This benchmark needs the extra `test`, and Chromium or Chrome: {error}") from None

SIDE, CHANNELS, CALLS, LOADS = 128, 32, 20, 10
MEASURE = """async ([bytes, length, text, calls]) => {
  const card = live.checkCard(text, "one.json");
  const name = await live.engine.add(live.floats(bytes).buffer.slice(0, length), card);
  const mono = Float32Array.from({ length: card.use.samples }, (_, i) => Math.sin(i * i) / 2);
  const { id } = await live.engine.open({ mono, rate: 16000 });
  const times = [];
  for (let call = 0; call < calls; call++) {
    const started = performance.now();
    await live.engine.analyse(id, { own: name }).done;
    times.push(performance.now() - started);
  }
  await live.engine.remove(name);
  await live.engine.close(id);
  return times.sort((a, b) => a - b)[Math.floor(calls / 2)];
}"""


def export(path, filters, half=True, halved_biases=True):
    """Write a network of one convolution."""
    keras.utils.set_random_seed(0)
    sound = keras.Input((SIDE * SIDE, 1))
    channels = layers.Concatenate()([layers.Reshape((SIDE, SIDE, 1))(sound)] * CHANNELS)
    heard = layers.Conv2D(filters, 3, padding="same", bias_initializer="random_normal")(channels)
    model = keras.Model(sound, layers.Dense(3)(layers.GlobalAveragePooling2D()(heard)))
    both, lite.WITH_BIAS = lite.WITH_BIAS, lite.WITH_BIAS if halved_biases else []
    signature = Signature(model, {"audio": (1, SIDE * SIDE, 1)}, ["votes"])
    card = to_tflite(path, {"window": signature}, labels=list("abc"), half=half, title=path.stem)
    lite.WITH_BIAS = both
    return path.read_bytes(), json.dumps(card)


def main():
    chromium = chromium_path()
    if not chromium:
        raise SystemExit("This benchmark needs Chromium or Chrome, which is not on this machine.")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        try:
            write_engine(folder)
        except _MissingError as error:
            raise SystemExit(str(error)) from None
        page = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page()
        page.goto((folder / "live.html").as_uri())

        def measured(content, card):
            text = base64.b64encode(whole_floats(content)).decode()
            return page.evaluate(MEASURE, [text, len(content), card, CALLS])

        kinds = {
            "weights in half, biases in single precision": {"halved_biases": False},
            "both in half precision, as to_tflite writes them": {},
            "both in single precision": {"half": False},
        }
        for filters in (32, 64):
            took = [measured(*export(folder / "one.tflite", filters, **options)) for options in kinds.values()]
            for kind, ms in zip(kinds, took, strict=True):
                print(f"{filters} filters, {kind:<50} {ms:6.1f} ms   {took[0] / ms:4.1f} times as fast", flush=True)
        for filters in (30, 32):
            one = export(folder / "one.tflite", filters)
            took = [measured(*one) for _ in range(LOADS)]
            print(f"{filters} filters, loaded {LOADS} times: {np.min(took):.1f} to {np.max(took):.1f} ms", flush=True)


if __name__ == "__main__":
    main()
