"""Checks of notebook 09."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from dl4mir_utils.checks.answers import is_open, say

if TYPE_CHECKING:
    import keras

    Part = Callable[[keras.KerasTensor], keras.KerasTensor]

STEP = 3**7  # samples from one value behind the waveform front end to the next
COVERED = 3 + sum(4 * 3**layer for layer in range(1, 7))


def build(part: "Part", shape: tuple[int, int]) -> "keras.Model | None":
    """Return a network that is only this part; say so and return None if Keras cannot build it."""
    import keras

    x = keras.Input(shape)
    try:
        return keras.Model(x, part(x))
    except Exception as error:  # whatever is wrong with it, a check does not raise
        print(f"Not yet. Keras cannot build it: {str(error).strip().splitlines()[0] if str(error) else error!r}")
        return None


def check_09_covered(covered: int | None) -> None:
    """Check the number of samples that one value behind the waveform front end depends on."""
    if is_open(covered):
        return
    if covered == STEP:
        print(f"Not yet. {STEP} samples is the step from one value to the next; what they cover overlaps.")
    elif covered == 3 + sum(2 * 3**layer for layer in range(1, 7)):
        print("Not yet. The convolutions are counted, or the maxima, but not both: each adds two steps.")
    else:
        say(
            covered == COVERED,
            f"{COVERED} samples, {COVERED / 16:.0f} ms at 16 kHz: nearly twice the step of {STEP}.",
            f"{covered} is not it. Begin with 3 covered and a step of 3, and go through the six layers one by one.",
        )


def check_09_response(gain: np.ndarray | None, taps: np.ndarray) -> None:
    """Check the magnitudes of a filter's frequency response."""
    if is_open(gain):
        return
    complex_, gain = np.iscomplexobj(gain), np.asarray(gain)
    expected = np.abs(np.fft.rfft(taps, 512))
    if gain.shape != expected.shape:
        print(f"Not yet. The shape is {gain.shape}, not (257,): three numbers need 509 zeros first.")
    elif complex_:
        print("Not yet. The numbers are complex: how strongly a frequency is answered to is their magnitude.")
    else:
        say(
            np.allclose(gain, expected, rtol=1e-3, atol=1e-6),
            f"{np.mean(expected > expected.max() / 2):.0%} of all frequencies pass with more than half of the greatest "
            "gain: no band, but a tone control.",
            "The length is right, the numbers are not: the magnitude of the transform of `taps`, with zeros behind.",
        )


def check_09_squeeze(squeeze: "Part | None") -> None:
    """Check squeeze and excitation, by the gates and the number of weights."""
    if is_open(squeeze):
        return
    steps, features = 6, 8
    model = build(squeeze, (steps, features))
    if model is None:
        return
    rng, shape = np.random.default_rng(0), (16, steps, features)
    sound = np.float32(rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape))
    if model.output_shape != (None, steps, features):
        print(f"Not yet. The output has the shape {model.output_shape}; it must be that of the input.")
        return
    gates = model(sound).numpy() / sound
    weights = 2 * features * (features // 4) + features // 4 + features
    if np.ptp(gates, axis=1).max() > 1e-4:
        print("Not yet. The gates change with time: squeeze all of time into one mean first.")
    elif not (gates.min() > 0 and gates.max() < 1):
        print(f"Not yet. The gates go from {gates.min():.2f} to {gates.max():.2f}: a sigmoid keeps them in 0 ... 1.")
    else:
        say(
            model.count_params() == weights,
            f"One gate for each feature, and just {weights} weights for {features} features.",
            f"The gates are right, but there are {model.count_params()} weights instead of {weights}: a quarter of the "
            "units first, then all.",
        )


def check_09_musicnn_end(musicnn_end: "Part | None") -> None:
    """Check musicnn's middle and end by the number of its weights, which must be the published one."""
    if is_open(musicnn_end):
        return
    from dl4mir_utils.models.musicnn import build_tagger, musicnn_tags

    model = build(musicnn_end, (187, 561))
    if model is None:
        return
    published = build_tagger(musicnn_tags, "musicnn", 48000)
    names = [layer.name for layer in published.layers]
    parts = published.layers[names.index("front") + 1 : names.index("tags")]
    expected, counted = sum(layer.count_params() for layer in parts), model.count_params()
    pooled = {1506 * 200: "the dense layer", 4 * 1506: "the normalisation of the 1506 numbers"}
    pooled |= {4 * 200: "the last normalisation", 3 * 4 * 64: "the normalisations of the middle"}
    if model.output_shape != (None, 200):
        print(f"Not yet. The output has the shape {model.output_shape}, not (None, 200).")
    elif counted != expected:
        missing = pooled.get(expected - counted)
        reason = f"missing: {missing}" if missing else "count them layer by layer with keras.Model(...).summary()"
        print(f"Not yet. It has {counted} weights, the published one {expected}; {reason}.")
    else:
        names = [type(operation).__name__ for operation in model.operations]
        added = sum(name == "Add" for name in names)
        say(
            added == 2 and "Dropout" in names,
            f"{expected} weights, as in the published network: more than half of them in the dense layer.",
            f"The weights are all there, but {added} inputs are added (two should be), or the dropout is missing.",
        )
