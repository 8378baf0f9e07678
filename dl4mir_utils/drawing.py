"""Drawings: a Keras network with its blocks, shapes and weights; a piano keyboard beside a picture."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import keras
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from dl4mir_utils.errors import BadArgumentError

# Layers that go into the block of the layer before them: they prepare its output and have few weights or none.
ATTACHED = (
    "BatchNormalization",
    "LayerNormalization",
    "GroupNormalization",
    "Activation",
    "ReLU",
    "LeakyReLU",
    "PReLU",
    "ELU",
    "Softmax",
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "MaxPooling1D",
    "MaxPooling2D",
    "AveragePooling1D",
    "AveragePooling2D",
)
# Layout in px of an SVG that is 700 px wide.
WIDTH, MARGIN, PAD = 700, 12, 10
LINE, GAP, NOTE_PX = 19, 40, 14
CHARACTER_PX = 7.4  # of the widest text, 13 px
# Page and JupyterLab may set the names on the left; alone, in an image, it is dark ink on a white sheet.
COLOURS = {
    "paper": "var(--raised, #ffffff)",
    "ink": "var(--ink, #1b1d23)",
    "soft": "var(--soft, #565a66)",
    "line": "var(--accent, #0b5f70)",
    "box": "var(--sunken, #eef4f5)",
}

# Pitch classes, C is 0, with a black key; and how wide the black keys are, the white ones being 1.
BLACK_KEYS = (1, 3, 6, 8, 10)
BLACK_WIDTH = 0.6
KEY_COLOURS = {"white": "#ffffff", "black": "#1b1d23", "edge": "#565a66"}
PRESSED_COLOURS = {"white": "#f2a93b", "black": "#a65200"}  # still told apart where all keys are pressed


@dataclass
class Block:
    """One box of the drawing."""

    lines: list[str]
    shape: tuple[int | None, ...]
    axes: tuple[str, ...]
    weights: int
    parents: list[int] = field(default_factory=list)
    depth: int = 0


@dataclass(frozen=True, eq=False)
class NetworkDrawing:
    """What `draw_network` returns; shown as SVG."""

    blocks: tuple[Block, ...]
    title: str

    @property
    def text(self) -> str:
        """The drawing in words: a line for each block."""
        lines = [self.title] if self.title else []
        for number, block in enumerate(self.blocks):
            above = [str(parent) for parent in block.parents if parent != number - 1]
            source = f" (from {', '.join(above)})" if above else ""
            weights = f", {_count(block.weights)}" if block.weights else ""
            lines.append(f"{number}. {', '.join(block.lines)}{source}{weights} -> {_shape(block)}")
        lines.append(f"{_count(self.weights)} in all")
        return "\n".join(lines)

    @property
    def weights(self) -> int:
        """All weights of the network, trained or not."""
        return sum(block.weights for block in self.blocks)

    def to_svg(self) -> str:
        """Return the drawing as the text of an SVG."""
        return _svg(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.to_svg(), "text/plain": self.text}


def draw_network(
    model: keras.Model, axes: Sequence[str] | Mapping[str, Sequence[str]] = (), title: str = ""
) -> NetworkDrawing:
    """Draw a network: a box for each block, the shape of what flows between the boxes, and the weights of each.

    Normalisation, activation, dropout and pooling stand in the box of the layer that they follow. A model inside of
    the model is one box.

    Parameters
    ----------
    model : keras.Model
        Built, functional or sequential.
    axes : sequence of str, or dict of str to sequence of str
        What the input's axes mean, without the batch: ``("time", "mel band", "channel")``. The names are led through
        the network where it keeps them. With a dictionary the names of the axes behind some layers, by layer name;
        the name of an input layer for an input.
    title : str

    Returns
    -------
    NetworkDrawing
        Shows itself as SVG; `text` says the same in words.

    Raises
    ------
    BadArgumentError
        The model is not built, or a shape has another number of axes than names for it.
    """
    graph = getattr(model, "_functional", model)
    if not model.built or not hasattr(graph, "operations"):
        raise BadArgumentError("draw_network needs a built functional or sequential model: give it a keras.Input.")
    named = dict(axes) if isinstance(axes, Mapping) else {}
    blocks: list[Block] = []
    place: dict[str, int] = {}  # in which block an operation is
    children: dict[str, int] = {}
    for operation in graph.operations:
        for parent in _parents(operation, graph):
            children[parent] = children.get(parent, 0) + 1
    for operation in graph.operations:
        parents = [place[name] for name in _parents(operation, graph)]
        shape = tuple(_output(operation, graph).shape[1:])
        kind = type(operation).__name__
        if parents:
            names = _led(operation, blocks[parents[0]].axes, shape)
        else:
            names = tuple(axes) if not isinstance(axes, Mapping) and not blocks else ()
        names = tuple(named.get(operation.name, names))
        if names and len(names) != len(shape):
            raise BadArgumentError(
                f"The output of {operation.name} has the shape {shape}, without the batch: "
                f"{len(shape)} axes, not {len(names)} ({', '.join(names)})."
            )
        weights = operation.count_params() if hasattr(operation, "count_params") else 0
        only_child = parents and all(children[name] == 1 for name in _parents(operation, graph))
        if kind in ATTACHED and len(parents) == 1 and only_child and blocks[parents[0]].parents:
            block = blocks[parents[0]]
            block.lines.append(_describe(operation))
            block.shape, block.axes = shape, names or block.axes
            block.weights += weights
            place[operation.name] = parents[0]
            continue
        depth = 1 + max((blocks[parent].depth for parent in parents), default=-1)
        place[operation.name] = len(blocks)
        blocks.append(Block([_describe(operation)], shape, names, weights, parents, depth))
    return NetworkDrawing(tuple(blocks), title)


def draw_keyboard(
    axes: Axes, lowest_midi: int, count: int, pressed: Collection[int] = (), horizontal: bool = False
) -> Axes:
    """Draw a piano keyboard beside a picture that has one row per semitone, such as a constant-Q transform.

    Row 0 is the lowest key, row ``count - 1`` the highest. A black key is as high as its row; a white key reaches to
    the middle of the black keys beside it, as on a piano. The Cs bear their names (C4 is the middle C, MIDI 60).

    Parameters
    ----------
    axes : matplotlib Axes
        To draw into: narrow, and as high as the picture. Its limits are set so that the rows meet those of `imshow`
        with ``origin="lower"``. It may share its y axis with the picture; ticks of the picture stay.
    lowest_midi : int
        MIDI number of the lowest key: 57 for A3.
    count : int
        Number of keys, black ones included.
    pressed : collection of int
        MIDI numbers of the keys to colour.
    horizontal : bool
        Keys beside each other, low notes on the left, to stand below a picture with one *column* per semitone.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    BadArgumentError
        There are no keys, or a key to colour is not on the keyboard.
    """
    if count < 1:
        raise BadArgumentError(f"A keyboard needs at least one key, not {count}.")
    outside = [key for key in pressed if not lowest_midi <= key < lowest_midi + count]
    if outside:
        raise BadArgumentError(
            f"The keyboard has the keys {lowest_midi} to {lowest_midi + count - 1}, and not {outside[0]}."
        )
    for black in (False, True):  # black keys lie on top
        for row in range(count):
            key = lowest_midi + row
            if (key % 12 in BLACK_KEYS) != black:
                continue
            low = row - (1.0 if not black and (key - 1) % 12 in BLACK_KEYS else 0.5)
            high = row + (1.0 if not black and (key + 1) % 12 in BLACK_KEYS else 0.5)
            low, high = max(low, -0.5), min(high, count - 0.5)
            colour = (PRESSED_COLOURS if key in pressed else KEY_COLOURS)["black" if black else "white"]
            length = BLACK_WIDTH if black else 1.0
            corner, sizes = (0.0, low), (length, high - low)
            if horizontal:  # the back of the keys is at the top
                corner, sizes = (low, 1.0 - length), (high - low, length)
            axes.add_patch(Rectangle(corner, *sizes, facecolor=colour, edgecolor=KEY_COLOURS["edge"], linewidth=0.6))
            if key % 12 == 0:
                where = (row, 0.06) if horizontal else (0.96, row)
                place = {"ha": "center", "va": "bottom"} if horizontal else {"ha": "right", "va": "center"}
                axes.text(*where, f"C{key // 12 - 1}", fontsize=8, color=KEY_COLOURS["black"], **place)
    along, across = ("x", "y") if horizontal else ("y", "x")
    axes.set(**{f"{along}lim": (-0.5, count - 0.5), f"{across}lim": (0.0, 1.0)})
    # Ticks are hidden and not taken away: an axis that is shared with a picture keeps those of the picture.
    axes.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


# --- reading the model --------------------------------------------------------------------------------------------


def _node(operation: Any, graph: Any) -> Any:
    """Return the call of an operation that belongs to this model: a shared layer has several."""
    inside = {id(node) for nodes in graph._nodes_by_depth.values() for node in nodes}
    return next(node for node in operation._inbound_nodes if id(node) in inside)


def _parents(operation: Any, graph: Any) -> list[str]:
    """Names of the operations that feed this one."""
    return [tensor._keras_history.operation.name for tensor in _node(operation, graph).input_tensors]


def _output(operation: Any, graph: Any) -> Any:
    return _node(operation, graph).outputs[0]


def _led(operation: Any, names: tuple[str, ...], shape: tuple) -> tuple[str, ...]:
    """Lead the names of axes through a layer; nothing where it is not clear what they become."""
    kind = type(operation).__name__
    if not names:
        return ()
    if kind == "Permute":
        return tuple(names[axis - 1] for axis in operation.dims)
    if kind == "LogMel" or "Mel" in kind:
        return ("time", "mel band", "channel")[: len(shape)]
    if kind.startswith("Global"):
        return names[-1:] if len(shape) == 1 else ()
    if kind in ("Dense", "TimeDistributed") or kind.startswith(("Conv", "SeparableConv")):
        last = "channel" if "Conv" in kind else "unit"
        return (*names[:-1], last) if len(shape) == len(names) else ()
    if kind in ("LSTM", "GRU", "SimpleRNN", "Bidirectional"):
        return (names[0], "unit") if len(shape) == 2 else ("unit",)
    if kind in ("Flatten", "Reshape"):
        return ("value",) if len(shape) == 1 else ()
    return names if len(shape) == len(names) else ()


def _describe(operation: Any) -> str:
    """Say what a layer is and does: kind, size, activation."""
    kind = type(operation).__name__
    config = operation.get_config() if hasattr(operation, "get_config") else {}

    def size(key: str) -> str:
        value = config[key]
        return " × ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)

    words = [kind]
    if kind == "InputLayer":
        words = ["Input"]
    elif isinstance(operation, keras.Model):
        words = [operation.name, "(a model)"]
    elif kind.startswith(("Conv", "SeparableConv", "DepthwiseConv")):
        words += [f"{config['filters']} kernels of {size('kernel_size')}"] if "filters" in config else []
        words += [f"stride {size('strides')}"] if set(_many(config["strides"])) != {1} else []
    elif "Pooling" in kind and "pool_size" in config:
        words.append(size("pool_size"))
    elif kind == "Bidirectional":
        words.append(f"{operation.forward_layer.__class__.__name__} {operation.forward_layer.units}, both ways")
    elif "units" in config:
        words.append(size("units"))
    elif "Dropout" in kind:
        words.append(f"{config['rate']:g}")
    activation = config.get("activation")
    if kind == "Activation":
        words = [str(activation)]
    elif isinstance(activation, str) and activation not in ("linear", "tanh"):
        words.append(activation)
    return " ".join(words)


def _many(value: Any) -> Sequence[int]:
    return value if isinstance(value, (tuple, list)) else (value,)


# --- drawing it ---------------------------------------------------------------------------------------------------


def _count(weights: int) -> str:
    """1 weight, 432 weights, 34 300 000 weights."""
    return f"{weights:,} weight".replace(",", " ") + ("" if weights == 1 else "s")


def _shape(block: Block) -> str:
    """Return what flows out of a block: ``96 × 313 × 32`` and, where known, what the axes are."""
    sizes = " × ".join("any" if size is None else str(size) for size in block.shape) or "1"
    return f"{sizes} ({' × '.join(block.axes)})" if block.axes else sizes


def _svg(drawing: NetworkDrawing) -> str:
    """Place the blocks in rows, one below the other; side by side where several have the same depth."""
    rows: dict[int, list[int]] = {}
    for number, block in enumerate(drawing.blocks):
        rows.setdefault(block.depth, []).append(number)
    boxes: dict[int, tuple[float, float, float, float]] = {}
    top = MARGIN + (26 if drawing.title else 0)
    for numbers in rows.values():
        share = (WIDTH - 2 * MARGIN) / len(numbers)
        heights = []
        for column, number in enumerate(numbers):
            block = drawing.blocks[number]
            lines = len(block.lines) + (1 if block.weights and len(numbers) > 1 else 0)
            width = min(share - 16, 420) if len(numbers) > 1 else 440
            left = MARGIN + share * column + (share - width) / 2
            heights.append(lines * LINE + 2 * PAD - 4)
            boxes[number] = (left, top, width, heights[-1])
        top += max(heights) + GAP
    height = top - GAP + NOTE_PX + 16 + MARGIN
    parts = [_line(drawing, boxes, child) for child in range(len(drawing.blocks))]
    parts += [_box(block, *boxes[number]) for number, block in enumerate(drawing.blocks)]
    out = drawing.blocks[-1]
    x = boxes[len(drawing.blocks) - 1][0] + boxes[len(drawing.blocks) - 1][2] / 2
    parts.append(_text(x, height - MARGIN - 4, f"{_shape(out)};  {_count(drawing.weights)} in all", "soft", "middle"))
    if drawing.title:
        parts.append(_text(MARGIN, MARGIN + 14, drawing.title, "ink", "start", bold=True))
    label = escape(drawing.text, quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="dl4mir-network" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'width="{WIDTH}" height="{height:.0f}" role="img" aria-label="{label}" '
        'font-family="system-ui, sans-serif" font-size="13">'
        f'<rect width="{WIDTH}" height="{height:.0f}" rx="8" style="fill:{COLOURS["paper"]}"/>'
        f"{''.join(parts)}</svg>"
    )


def _text(x: float, y: float, text: str, colour: str, anchor: str, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{weight} style="fill:{COLOURS[colour]}">'
        f"{escape(text)}</text>"
    )


def _fitted(text: str, width: float) -> str:
    most = int(width / CHARACTER_PX)
    return text if len(text) <= most else text[: most - 1] + "…"


def _box(block: Block, left: float, top: float, width: float, height: float) -> str:
    parts = [
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="6" stroke-width="1.5" '
        f'style="fill:{COLOURS["box"]};stroke:{COLOURS["line"]}"/>'
    ]
    for row, line in enumerate(block.lines):
        baseline = top + PAD + 11 + row * LINE
        parts.append(_text(left + PAD, baseline, _fitted(line, width - 2 * PAD), "ink", "start", bold=row == 0))
    if block.weights and width >= 440:
        parts.append(_text(left + width + 10, top + height / 2 + 4, _count(block.weights), "soft", "start"))
    elif block.weights:
        baseline = top + PAD + 11 + len(block.lines) * LINE
        parts.append(_text(left + PAD, baseline, _fitted(_count(block.weights), width - 2 * PAD), "soft", "start"))
    return "".join(parts)


def _line(drawing: NetworkDrawing, boxes: dict, child: int) -> str:
    """Draw what flows into a block: a line from each parent; around the boxes where it skips a row."""
    parts = []
    block = drawing.blocks[child]
    style = f'fill="none" stroke-width="1.5" style="stroke:{COLOURS["line"]}"'
    for parent in block.parents:
        left, top, width, height = boxes[parent]
        x0, y0 = left + width / 2, top + height
        to_left, to_top, to_width, _ = boxes[child]
        x1, y1 = to_left + to_width / 2, to_top
        skips = block.depth - drawing.blocks[parent].depth > 1
        if skips:
            side = min(left, to_left) - 26 - 8 * (child - parent > 3)
            path = f"M{left:.1f},{top + height / 2:.1f}H{side:.1f}V{to_top + 14:.1f}H{to_left - 6:.1f}"
            tip = (to_left, to_top + 14, -90)
        else:
            middle = (y0 + y1) / 2
            path = f"M{x0:.1f},{y0:.1f}V{middle:.1f}H{x1:.1f}V{y1 - 6:.1f}"
            tip = (x1, y1, 0)
            note = _shape(drawing.blocks[parent])
            siblings = [number for number in drawing.blocks if parent in number.parents]
            if siblings[0] is block:
                # Beside its line; where several blocks stand in a row, no further than the box.
                depths = [each.depth for each in drawing.blocks]
                alone = depths.count(block.depth) == depths.count(block.depth - 1) == 1
                room = WIDTH - x0 - 10 if alone else width / 2
                parts.append(_text(x0 + 8, y0 + 16, _fitted(note, room), "soft", "start"))
        parts.append(f'<path d="{path}" {style}/>')
        x, y, turn = tip
        parts.append(
            f'<path d="M-5,-8L0,0L5,-8Z" transform="translate({x:.1f} {y:.1f}) rotate({turn})" '
            f'style="fill:{COLOURS["line"]}"/>'
        )
    return "".join(parts)
