"""Drawings of networks (which layers stand together, shapes, names of axes, weights) and of a keyboard."""

import xml.etree.ElementTree as ET
from itertools import pairwise

import keras
import matplotlib.pyplot as plt
import pytest
from keras import layers

from dl4mir_utils import BadArgumentError
from dl4mir_utils.drawing import PRESSED_COLOURS, draw_keyboard, draw_network
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


def test_a_keyboard_has_a_key_in_each_row_and_names_its_cs():
    from matplotlib.colors import to_hex

    figure, axes = plt.subplots()
    assert draw_keyboard(axes, 57, 36, pressed=[60, 70]) is axes
    keys = axes.patches
    assert len(keys) == 36 and axes.get_ylim() == (-0.5, 35.5)
    # Each row is held by its own key: by the black one on top, where there is one.
    on_top = []
    for row in range(36):
        holds = [key for key in keys if key.get_y() < row < key.get_y() + key.get_height() and key.get_width() < 1]
        on_top.append(bool(holds))
    assert on_top == [(57 + row) % 12 in (1, 3, 6, 8, 10) for row in range(36)]
    assert [(text.get_text(), text.get_position()[1]) for text in axes.texts] == [("C4", 3), ("C5", 15), ("C6", 27)]
    coloured = {
        to_hex(key.get_facecolor()): key for key in keys if to_hex(key.get_facecolor()) in PRESSED_COLOURS.values()
    }
    assert coloured[PRESSED_COLOURS["white"]].get_width() == 1
    assert coloured[PRESSED_COLOURS["black"]].get_width() < 1
    plt.close(figure)


def test_white_keys_leave_no_gap_and_stay_inside():
    figure, axes = plt.subplots()
    draw_keyboard(axes, 58, 13)  # from a black key
    white = sorted((key.get_y(), key.get_y() + key.get_height()) for key in axes.patches if key.get_width() == 1)
    assert white[0][0] == 0.0 and white[-1][1] == 12.0  # A♯3 and A♯4 are black: half of their rows is a white key's
    assert all(end == start for (_, end), (start, _) in pairwise(white))
    plt.close(figure)


def test_a_keyboard_that_lies_has_low_notes_on_the_left():
    figure, (top, axes) = plt.subplots(2, sharex=True)
    top.set_xticks([0, 12])
    draw_keyboard(axes, 48, 24, horizontal=True)
    assert axes.get_xlim() == (-0.5, 23.5) and [text.get_position()[0] for text in axes.texts] == [0, 12]
    assert list(top.get_xticks()) == [0, 12]
    plt.close(figure)


@pytest.mark.parametrize(("count", "pressed", "message"), [(0, (), "at least one key"), (12, [72], "and not 72")])
def test_a_keyboard_refuses_what_it_cannot_draw(count, pressed, message):
    figure, axes = plt.subplots()
    with pytest.raises(BadArgumentError, match=message):
        draw_keyboard(axes, 60, count, pressed)
    plt.close(figure)
