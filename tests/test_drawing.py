"""Drawings of networks: which layers stand together, shapes, names of axes, weights."""

import xml.etree.ElementTree as ET

import keras
import pytest
from keras import layers

from dl4mir_utils import BadArgumentError
from dl4mir_utils.drawing import draw_network
from dl4mir_utils.layers import LogMel


def convnet():
    return keras.Sequential(
        [
            keras.Input((32000, 1)),
            LogMel(name="front_end"),
            layers.Conv2D(4, (3, 5), strides=2, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D((2, 4)),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.25),
            layers.Dense(3, activation="softmax"),
        ]
    )


def test_blocks_shapes_axes_and_weights():
    model = convnet()
    drawing = draw_network(model, ("sample", "channel"), "Genre")
    assert [block.lines for block in drawing.blocks] == [
        ["Input"],
        ["LogMel"],
        ["Conv2D 4 kernels of 3 × 5 stride 2 × 2", "BatchNormalization", "ReLU", "MaxPooling2D 2 × 4"],
        ["GlobalAveragePooling2D", "Dropout 0.25"],
        ["Dense 3 softmax"],
    ]
    assert drawing.blocks[0].shape == (32000, 1) and drawing.blocks[-1].shape == (3,)
    assert drawing.blocks[2].shape == tuple(model.layers[4].output.shape[1:])
    assert drawing.blocks[0].axes == ("sample", "channel")
    assert drawing.blocks[2].axes == ("time", "mel band", "channel")
    assert drawing.blocks[3].axes == ("channel",)
    assert [block.weights for block in drawing.blocks] == [0, 0, 4 * 15 + 16, 0, 15]
    assert drawing.weights == model.count_params()
    assert "Genre" in drawing.text and "91 weights in all" in drawing.text


def test_svg_is_well_formed_and_says_what_it_shows():
    bundle = draw_network(convnet(), title="<Genre> & more")._repr_mimebundle_()
    root = ET.fromstring(bundle["image/svg+xml"])
    assert root.get("role") == "img" and "Conv2D 4 kernels" in root.get("aria-label")
    assert root.get("viewBox").startswith("0 0 700 ")
    texts = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "<Genre> & more" in texts and "76 weights" in texts
    boxes = [node for node in root.iter("{http://www.w3.org/2000/svg}rect") if node.get("rx") == "6"]
    assert len(boxes) == 5
    assert all(float(box.get("x")) + float(box.get("width")) <= 700 for box in boxes)


def test_branches_meet_and_skipped_rows_are_named():
    start = keras.Input((10, 8))
    first = layers.Conv1D(8, 3, padding="same", name="first")(start)
    second = layers.Conv1D(8, 3, padding="same", name="second")(layers.ReLU()(first))
    joined = layers.Add()([first, second])
    ends = [layers.Dense(n)(layers.GlobalMaxPooling1D()(joined)) for n in (2, 3)]
    drawing = draw_network(keras.Model(start, layers.Concatenate()(ends)), ("time", "band"))
    kinds = [block.lines[0].split()[0] for block in drawing.blocks]
    # The activation feeds the second convolution alone, but the first one feeds two: it keeps a box of its own.
    assert kinds.count("ReLU") == 1 and kinds.count("GlobalMaxPooling1D") == 2
    add = drawing.blocks[kinds.index("Add")]
    assert sorted(drawing.blocks[parent].lines[0] for parent in add.parents) == ["Conv1D 8 kernels of 3"] * 2
    assert drawing.blocks[-1].shape == (5,) and len(drawing.blocks[-1].parents) == 2
    assert f"(from {add.parents[0]}" in drawing.text
    ET.fromstring(drawing.to_svg())


def test_names_by_layer_recurrent_layers_and_models_inside():
    inner = keras.Sequential([keras.Input((20, 6)), layers.Dense(4)], name="inner")
    start = keras.Input((20, 6), name="in")
    outer = layers.Bidirectional(layers.GRU(5, return_sequences=True))(inner(start))
    model = keras.Model(start, layers.TimeDistributed(layers.Dense(1, activation="sigmoid"))(outer))
    drawing = draw_network(model, {"in": ("frame", "mel band"), "inner": ("frame", "feature")})
    assert [block.lines[0] for block in drawing.blocks] == [
        "Input",
        "inner (a model)",
        "Bidirectional GRU 5, both ways",
        "TimeDistributed",
    ]
    assert [block.axes for block in drawing.blocks] == [
        ("frame", "mel band"),
        ("frame", "feature"),
        ("frame", "unit"),
        ("frame", "unit"),
    ]


def test_refuses_with_advice():
    with pytest.raises(BadArgumentError, match=r"needs a built .* model: give it a keras.Input"):
        draw_network(keras.Sequential([layers.Dense(3)]))
    with pytest.raises(BadArgumentError, match=r"\(36,\).*1 axes, not 2 \(time, band\)"):
        draw_network(keras.Sequential([keras.Input((36,)), layers.Dense(3)]), ("time", "band"))
