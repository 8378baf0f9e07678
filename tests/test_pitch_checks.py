"""The checks of notebook 01 tell right answers from the likely wrong ones, in one line."""

import numpy as np
import pytest

from dl4mir_utils.checks import check_01_bin, check_01_by_hand, check_01_octaves

FRAMES = np.eye(36)
LABELS = np.arange(36) % 12
LOW = (FRAMES[:12], LABELS[:12])
WIDE, NARROW = np.tile(np.eye(12), (3, 1)), np.pad(np.eye(12), ((12, 12), (0, 0)))


def said(capsys):
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    return line


@pytest.mark.parametrize(
    ("function", "start"),
    [
        (lambda hz: None, "This exercise is still open"),
        (lambda hz: round(12 * np.log2(hz / 220)), "Right."),
        (lambda hz: int(12 * np.log2(hz / 220)), "Not yet. A tone 30 cents"),
        (lambda hz: round(12 * np.log2(hz / 440)), "Not yet. 223.8 Hz should fall in bin 0"),
        (lambda hz: round(hz / 220), "Not yet. 223.8 Hz"),
    ],
)
def test_bin(function, start, capsys):
    check_01_bin(function)
    assert said(capsys).startswith(start)


@pytest.mark.parametrize(
    ("by_hand", "start"),
    [(None, "This"), (WIDE, "Right. 100%"), (NARROW, "Not yet. "), (np.eye(12), "Not yet. The weights have the shape")],
)
def test_by_hand(by_hand, start, capsys):
    check_01_by_hand(by_hand, FRAMES, LABELS, FRAMES, LABELS)
    assert said(capsys).startswith(start)


@pytest.mark.parametrize(("wide", "start"), [(None, "This"), (WIDE, "Right. "), (NARROW, "Not yet. ")])
def test_octaves(wide, start, capsys):
    model = None if wide is None else lambda frames: frames @ wide
    check_01_octaves(model, FRAMES, LABELS, lambda frames: frames @ NARROW, LOW)
    assert said(capsys).startswith(start)
