"""Networks as files that run without TensorFlow: on the command line, and in a browser.

A network is written and trained once, in Keras, with its spectrogram inside. `to_tflite` turns it into a file for
LiteRT (formerly TensorFlow Lite), and writes what one must know to use it into a JSON file beside it, the *card*: which
sound goes in, what comes out, the labels. `dl4mir_utils.apps.lite.Network` and the live page read both.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from tensorflow.lite.tools import flatbuffer_utils
from tensorflow.lite.tools.flatbuffer_utils import schema_fb as schema

from dl4mir_utils.environment import quiet_native
from dl4mir_utils.errors import BadArgumentError

HALVED = 2**13  # values of an array, from which on it is stored in half precision
LARGE = 64  # taps of a filter over one channel, from which on `PatchConv2D` is faster
WITH_BIAS = [  # operations that take an input, weights, and biases
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    schema.BuiltinOperator.FULLY_CONNECTED,
]
GROUP = 8  # taps that become channels, where a filter is long and not tall
AUDIO = "float32, one channel in [-1, 1]"  # the scaling: what `load_audio` gives, nothing else is done to it


class Signature(NamedTuple):
    """One way to call an exported network.

    Attributes
    ----------
    model : keras.Model
        What is called; its outputs are taken in order. Several signatures may share layers: their weights are stored
        once.
    inputs : dict of str to tuple
        Names of the inputs, and their shapes with the batch in front, such as {"audio": (1, 48128, 1)}. None is a
        length that may change from call to call; a browser needs fixed ones.
    outputs : sequence of str
        Names of the outputs, such as ["tags", "embedding"].
    """

    model: keras.Model
    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: Sequence[str]


def to_tflite(
    path: Path,
    signatures: Mapping[str, Signature],
    *,
    labels: Sequence[str],
    sample_rate: int = 16000,
    half: bool = True,
    **facts: Any,
) -> dict[str, Any]:
    """Export a network to `path`, and its card to the same name with the ending .json.

    Only operations that every LiteRT has are used, STFT and LSTM included. The same network gives the same bytes. For a
    network that is to run in a browser, choose multiples of eight as numbers of filters: others may be several times as
    slow there (`benchmarks/browser_kernels.py`).

    Parameters
    ----------
    path : Path
        Ends in .tflite.
    signatures : dict of str to Signature
        By name: how the network can be called.
    labels : sequence of str
        What the values of the last axis of the main output stand for.
    sample_rate : int
        Of the audio, in Hz.
    half : bool
        Store large arrays of weights in half precision, at half the size; they are made single when the file is loaded.
        Probabilities change by a thousandth or so.
    **facts
        Anything else that one must know, into the card: what JSON can hold.

    Returns
    -------
    dict
        The card.

    Raises
    ------
    BadArgumentError
        The path does not end in .tflite, a signature names another number of outputs than its model has, or the network
        needs an operation that LiteRT lacks; the message names it.
    """
    path = Path(path)
    if path.suffix != ".tflite":
        raise BadArgumentError(f"{path.name} must end in .tflite.")
    # Through an archive, which knows the variables: a graph alone is converted without them, and answers NaN.
    archive = keras.export.ExportArchive()
    shapes = {}
    fast: dict[int, keras.Model] = {}
    for name, signature in signatures.items():
        model = fast.setdefault(id(signature.model), _with_patches(signature.model))
        archive.track(model)
        specs = [tf.TensorSpec(shape, tf.float32, name=key) for key, shape in signature.inputs.items()]
        graph = archive.add_endpoint(name, _call(name, signature, model), input_signature=specs).get_concrete_function(
            *specs
        )
        shapes[name] = {key: list(graph.structured_outputs[key].shape) for key in signature.outputs}
    with tempfile.TemporaryDirectory() as folder, quiet_native():
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            content = converter.convert()
        except Exception as error:  # the converter raises its own class, and others
            raise BadArgumentError(f"{path.name} cannot be made: {_missing(error)}") from error
    if half:
        content = _in_half_precision(content)
    card = {
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "sample_rate_hz": sample_rate,
        "audio": AUDIO,
        "weights": "float16" if half else "float32",
        "signatures": {
            name: {"inputs": {key: list(shape) for key, shape in signature.inputs.items()}, "outputs": shapes[name]}
            for name, signature in signatures.items()
        },
        "labels": list(labels),
        **facts,
    }
    path.write_bytes(content)
    text = json.dumps(card, indent=1, ensure_ascii=False)
    text = re.sub(r"\[[\s\d,nul]*\]", lambda shape: " ".join(shape[0].split()), text)  # a shape in one line
    path.with_suffix(".json").write_text(text.replace("[ ", "[").replace(" ]", "]") + "\n", encoding="utf-8")
    return card


def _call(name: str, signature: Signature, model: keras.Model) -> Callable[..., dict[str, tf.Tensor]]:
    if len(model.outputs) != len(signature.outputs):
        raise BadArgumentError(
            f"Signature {name!r} names {len(signature.outputs)} outputs; {model.name} has {len(model.outputs)}."
        )

    def answer(*given: tf.Tensor) -> dict[str, tf.Tensor]:
        values = model(list(given) if len(given) > 1 else given[0], training=False)
        return dict(zip(signature.outputs, tf.nest.flatten(values), strict=True))

    return answer


def _in_half_precision(content: bytes) -> bytes:
    """Store the large arrays of a network in half precision; when it is loaded, `DEQUANTIZE` makes them single again.

    The converter's own way does so with all constants, down to the spectrogram's window, which saves little and makes
    the answers differ three times as much. But where the weights of an operation are halved, its biases must be, too:
    otherwise LiteRT in a browser leaves it to a kernel that takes about four times as long
    (`benchmarks/browser_kernels.py`).
    """
    network = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    codes = [code.builtinCode for code in network.operatorCodes]
    biases = set()  # their buffers
    for graph in network.subgraphs:
        for operator in graph.operators:
            if codes[operator.opcodeIndex] in WITH_BIAS and len(operator.inputs) == 3 and operator.inputs[2] >= 0:
                weights, bias = (graph.tensors[number] for number in operator.inputs[1:])
                if np.prod(weights.shape) >= HALVED:
                    biases.add(bias.buffer)
    dequantize = schema.OperatorCodeT()
    dequantize.builtinCode = dequantize.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    dequantize.version = 1
    if schema.BuiltinOperator.DEQUANTIZE not in codes:
        network.operatorCodes.append(dequantize)
        codes.append(schema.BuiltinOperator.DEQUANTIZE)
    halved = set()  # subgraphs share buffers
    for graph in network.subgraphs:
        for number, tensor in enumerate(list(graph.tensors)):
            data = network.buffers[tensor.buffer].data
            if tensor.type != schema.TensorType.FLOAT32 or data is None:
                continue
            if np.prod(tensor.shape) < HALVED and tensor.buffer not in biases:
                continue
            if tensor.buffer not in halved:
                half = np.frombuffer(bytes(data), np.float32).astype(np.float16)
                network.buffers[tensor.buffer].data = np.frombuffer(half.tobytes(), np.uint8)
                halved.add(tensor.buffer)
            stored = schema.TensorT()
            stored.name, stored.shape, stored.buffer = tensor.name + b"_half", tensor.shape, tensor.buffer
            stored.type = schema.TensorType.FLOAT16
            graph.tensors.append(stored)
            tensor.buffer = 0  # by convention the empty one
            operator = schema.OperatorT()
            operator.opcodeIndex = codes.index(schema.BuiltinOperator.DEQUANTIZE)
            operator.inputs, operator.outputs = [len(graph.tensors) - 1], [number]
            graph.operators.insert(0, operator)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(network))


class PatchConv2D(keras.layers.Conv2D):
    """Convolve one channel with large filters, as `Conv2D` does, but quicker in LiteRT.

    A convolution is computed channel by channel, and with one channel there is little to do at once. So a patch of the
    input becomes channels: all that a filter sees over the last axis, or `GROUP` steps of what it sees over time.
    musicnn with all its filters takes 18 ms instead of 23.
    """

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Map (batch, time, bands, 1) to (batch, time, bands, filters)."""
        time, bands = self.kernel_size
        if self.padding == "same":
            x = tf.pad(x, [(0, 0), *(((taps - 1) // 2, taps // 2) for taps in self.kernel_size), (0, 0)])
        if bands > 1:
            places = np.arange(x.shape[2] - bands + 1)[:, np.newaxis] + np.arange(bands)
            x, stride = tf.gather(x[..., 0], places, axis=2), 1
            kernel = tf.transpose(self.kernel, (0, 2, 1, 3))
        else:
            shifted = [x[:, start : start - GROUP + 1 or None] for start in range(GROUP)]
            x, stride = tf.concat(shifted, axis=3), GROUP
            kernel = tf.reshape(self.kernel, (time // GROUP, 1, GROUP, self.filters))
        y = ops.conv(x, kernel, padding="valid", dilation_rate=(stride, 1))
        return self.activation(y + self.bias)


def _with_patches(model: keras.Model) -> keras.Model:
    """Return the same network, with the convolutions that `PatchConv2D` is for computed by it."""

    def exchanged(layer: keras.layers.Layer) -> keras.layers.Layer:
        large = type(layer) is keras.layers.Conv2D and layer.kernel.shape[2] == 1 and layer.use_bias
        if not large or np.prod(layer.kernel_size) < LARGE or layer.strides != (1, 1) or layer.dilation_rate != (1, 1):
            return layer
        if layer.kernel_size[1] == 1 and layer.kernel_size[0] % GROUP:
            return layer
        patches = PatchConv2D.from_config(layer.get_config())
        patches.build((None, None, None, 1))
        patches.set_weights(layer.get_weights())
        return patches

    return keras.models.clone_model(model, clone_function=exchanged)


def _missing(error: Exception) -> str:
    """Return the line of the converter's long message that names what LiteRT lacks."""
    lines = [line.strip() for line in str(error).splitlines() if "Ops:" in line or "ops:" in line]
    return f"LiteRT has no {lines[-1].partition(':')[2].strip()}." if lines else str(error).splitlines()[0]
