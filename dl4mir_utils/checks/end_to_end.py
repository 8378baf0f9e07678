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


def build(part: "Part", shape: tuple[int | None, int]) -> "keras.Model | None":
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
    if np.array_equal(covered, STEP):
        print(f"Not yet. {STEP} samples is the step to the next value, and what you get if only convolutions count.")
    else:
        say(
            np.array_equal(covered, COVERED),
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
    weights = 2 * features * (features // 4) + features // 4 + features
    if model.count_params() != weights:
        print(f"Not yet. It has {model.count_params()} weights, not {weights}: a quarter of the units first, then all.")
        return
    model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
    first, first_bias, last, last_bias = model.get_weights()
    hidden = sound.mean(axis=1) @ first + first_bias
    expected = 1 / (1 + np.exp(-(np.maximum(hidden, 0) @ last + last_bias)))
    gates = model(sound).numpy() / sound
    if np.ptp(gates, axis=1).max() > 1e-3:
        print("Not yet. The gates change with time: squeeze all of time into one mean first.")
    elif not (gates.min() > 0 and gates.max() < 1):
        print(f"Not yet. The gates go from {gates.min():.2f} to {gates.max():.2f}: a sigmoid keeps them in 0 ... 1.")
    else:
        say(
            np.allclose(gates[:, 0], expected, atol=1e-3),
            f"One gate for each feature, and just {weights} weights for {features} features.",
            "The gates are not those of the mean over time, a dense layer with ReLU, and one with sigmoid.",
        )


def check_09_musicnn_end(musicnn_end: "Part | None") -> None:
    """Check musicnn's middle and end by the number of its weights, which must be the published one."""
    if is_open(musicnn_end):
        return
    from dl4mir_utils.models.musicnn import build_tagger, musicnn_tags

    model = build(musicnn_end, (None, 561))
    if model is None:
        return
    published = build_tagger(musicnn_tags, "musicnn", 48000)
    names = [layer.name for layer in published.layers]
    parts = published.layers[names.index("front") + 1 : names.index("tags")]
    expected, counted = sum(layer.count_params() for layer in parts), model.count_params()
    losses = {1506 * 200: "the dense layer", 4 * 1506: "the normalisation of the 1506 numbers"}
    losses |= {4 * 200: "the last normalisation", 3 * 4 * 64: "the normalisations of the middle"}
    if model.output_shape != (None, 200):
        print(f"Not yet. The output has the shape {model.output_shape}, not (None, 200).")
    elif counted != expected:
        missing = losses.get(expected - counted)
        reason = f"missing: {missing}" if missing else "count them layer by layer with keras.Model(...).summary()"
        print(f"Not yet. It has {counted} weights, the published one {expected}; {reason}.")
    else:
        say(
            same_answers(published, parts, model),
            f"{expected} weights, as in the published network, and the same answers with them: about half of the "
            "weights are in the dense layer.",
            "The weights are all there, but with the published ones the answers differ: look at the order of ReLU and "
            "normalisation, the inputs that are added, and the maximum and the mean.",
        )


def same_answers(published: "keras.Model", parts: list, model: "keras.Model") -> bool:
    """Tell whether a network answers like these layers of the published one if it has their weights."""
    import keras

    rng = np.random.default_rng(0)
    for layer in parts:  # positive, as variances must be; of a size that keeps the answers in bounds
        layer.set_weights(
            [rng.uniform(0.01, 0.1, weight.shape) - 0.05 * (weight.ndim > 1) for weight in layer.get_weights()]
        )
    weights = [weight for layer in parts for weight in layer.get_weights()]
    end = keras.Model(published.get_layer("front").output, published.get_layer("penultimate").output)
    front = rng.normal(size=(2, 186, 561)).astype(np.float32)
    expected = end(front).numpy()
    # The published network alternates maximum and mean; side by side they meet other weights, which is as good.
    pooled = [weight.shape for weight in weights].index((1506,))
    for order in (
        np.arange(1506),
        np.arange(1506).reshape(-1, 2).T.ravel(),
        np.arange(1506).reshape(-1, 2)[:, ::-1].T.ravel(),
    ):
        moved = list(weights)
        for place in range(pooled, pooled + 5):
            moved[place] = moved[place][order]
        try:
            model.set_weights(moved)
        except ValueError:
            return False
        if np.allclose(model(front).numpy(), expected, rtol=1e-3, atol=1e-3):
            return True
    return False
