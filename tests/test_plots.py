from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest

from dl4mir_utils import BadArgumentError
from dl4mir_utils.environment import COLOURS
from dl4mir_utils.metrics import group_interval
from dl4mir_utils.plots import (
    LOOKS,
    around,
    look_of,
    plot_combinations,
    plot_confusion,
    plot_cqt_frames,
    plot_group_scores,
    plot_history,
    plot_kernels,
    plot_log_mel,
    plot_log_mels,
    plot_numbers,
    plot_plays,
    plot_probabilities,
    plot_roc,
    plot_scores,
    plot_search,
    plot_tag_scores,
    plot_waveform,
)

matplotlib.use("agg")

import matplotlib.pyplot as plt


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_waveform():
    ax = plot_waveform(np.zeros((32000, 1)), 16000, title="silence")
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left") or ax.get_title()) == (
        "time (s)",
        "amplitude",
        "silence",
    )
    assert ax.get_xlim() == (0, 2)


def test_log_mel_ticks_stand_at_their_bands():
    import librosa

    ax = plot_log_mel(np.zeros((625, 64, 1)))
    assert ax.get_xlim() == (0, 10)
    bands = librosa.mel_frequencies(66, fmin=0, fmax=8000)[1:-1]
    for place, text in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True):
        assert np.interp(place, np.arange(64), bands) == pytest.approx(float(text.get_text()))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "frequency (Hz)")
    assert ax.figure.axes[1].get_ylabel() == "dB"
    with pytest.raises(BadArgumentError, match="one clip"):
        plot_log_mel(np.zeros((4, 625, 64, 1)))


def test_history():
    one = SimpleNamespace(history={"loss": [2, 1], "val_loss": [3, 2]})
    ax = plot_history({"a": one, "b": one}, baseline=0.5)
    assert legend(ax) == ["a train", "a valid", "b train", "b valid", "baseline"]
    assert [line.get_linestyle() for line in ax.lines] == ["-", "--", "-", "--", ":"]
    assert ax.lines[0].get_xdata().tolist() == [1, 2]
    assert legend(plot_history(one)) == ["train", "valid"]
    assert legend(plot_history(one, held_out="test fold")) == ["train", "test fold"]
    with pytest.raises(BadArgumentError, match="it has loss, val_loss"):
        plot_history(one, "accuracy")


def test_confusion_gives_counts_and_shares():
    ax = plot_confusion([0, 0, 0, 1], [0, 0, 1, 1], ["metal", "electronic", "orchestral"])
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["2\n(67%)", "1\n(33%)", "0", "0", "1\n(100%)", "0", "0", "0", "0"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")


def test_scores_show_every_run_the_mean_and_the_baseline():
    ax = plot_scores({"svm": [0.6], "cnn": [0.5, 0.9]}, baseline=0.4)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["svm", "cnn"]
    assert [text.get_text() for text in ax.texts] == ["0.60", "0.70"]
    assert legend(ax) == ["majority 0.40"]
    ax = plot_scores({"svm": [0.6], "cnn": [0.5, 0.9]}, decimals=3)
    assert [text.get_text() for text in ax.texts] == ["0.600", "0.700"]


def test_a_system_keeps_its_look():
    looks = {"crnn": LOOKS["crnn"], "MFCC + SVM": LOOKS["MFCC"]}
    ax = plot_scores({"MFCC + SVM": [0.6], "other": [0.5], "crnn": [0.5]})
    shown = [(line.get_color(), line.get_marker()) for line in ax.lines[2::3]]
    assert shown[0] == looks["MFCC + SVM"] and shown[2] == looks["crnn"]
    truth = np.array([0, 0, 1, 1])
    ax = plot_roc({"crnn": (truth, truth), "MFCC + SVM": (truth, truth)}, {"crnn": 0.5, "MFCC + SVM": 0.5})
    marks = [(line.get_color(), line.get_marker()) for line in ax.lines[1:4:2]]
    assert marks == [looks["crnn"], looks["MFCC + SVM"]]


def test_probabilities_and_given_axes():
    ax = plt.subplots()[1]
    assert plot_probabilities(np.full((4, 2), 0.5), ["a", "b"], hop_s=2.5, ax=ax) is ax
    assert ax.get_xlim() == (0, 10)
    assert legend(ax) == ["a", "b"]


def test_kernels_show_their_weights():
    kernels = np.arange(5 * 3 * 4).reshape(5, 3, 1, 4) / 10
    axes = plot_kernels(kernels)
    assert [ax.get_title(loc="left") or ax.get_title() for ax in axes] == [f"kernel {k}" for k in (1, 2, 3, 4)]
    assert [text.get_text() for text in axes[1].texts] == [f"{value:.1f}" for value in kernels[:, :, 0, 1].ravel()]
    assert plot_numbers(np.zeros((2, 2))).images[0].get_clim()[1] > 0


def test_cqt_frames_name_the_octaves():
    ax = plot_cqt_frames(np.eye(36, 3)[..., np.newaxis], title="C major")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["A3", "A4", "A5"]
    assert ax.images[0].get_array().shape == (36, 3)


def test_roc_marks_where_the_threshold_is():
    truth, probability = np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9])
    ax = plot_roc({"a": (truth, probability), "b": (truth, truth)}, {"a": 0.5})
    assert legend(ax) == ["a (0.75)", "b (1.00)", "guessing (0.50)"]
    curve, mark, other, _ = ax.lines
    assert (mark.get_xdata().tolist(), mark.get_ydata().tolist()) == ([0.5], [0.5])
    assert (0.5, 0.5) in zip(curve.get_xdata(), curve.get_ydata(), strict=True)
    assert curve.get_linestyle() != other.get_linestyle()
    assert "recall" in ax.get_ylabel()


def test_tag_scores():
    svm = pd.Series({"rock": 0.9, "piano": 0.6, "harp": 0.7})
    cnn = pd.Series({"harp": 0.5, "rock": 0.8, "piano": 0.95})
    ax = plot_tag_scores({"svm": svm, "cnn": cnn}, chance=0.5, xlabel="ROC-AUC")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["harp", "rock", "piano"], "the last one orders"
    first, second = ax.lines[:2]
    assert list(first.get_xdata()) == [0.7, 0.9, 0.6] and list(second.get_xdata()) == [0.5, 0.8, 0.95]
    assert first.get_marker() != second.get_marker()
    assert legend(ax) == ["svm", "cnn", "guessing 0.50"]


def test_combinations_stand_in_order_with_their_layers():
    ax = plot_combinations({"0": 0.5, "1": 0.3, "01": 0.4}, baseline=0.35, baseline_name="MFCC", title="A")
    assert [line.get_xydata().tolist() for line in ax.lines[:2]] == [[[0, 0.3], [2, 0.5]], [[1, 0.4]]]
    assert legend(ax) == ["1 layer", "2 layers", "MFCC 0.35"]
    below = ax.figure.axes[1]
    assert below.collections[0].get_array().reshape(2, 3).tolist() == [[0, 1, 1], [1, 1, 0]]
    assert [text.get_text() for text in below.get_yticklabels()] == ["layer 0", "layer 1"]


def test_plays_are_sorted_by_group():
    ax = plot_plays(np.array([[1, 2, 3], [0, 5, 0]]), ["rock", "jazz", "rock"], title="A", xlabel="track")
    np.testing.assert_allclose(np.expm1(ax.images[0].get_array()), [[2, 1, 3], [5, 0, 0]])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["jazz", "rock"]
    assert list(ax.get_xticks()) == [0, 1.5]
    assert [line[0][0] for line in ax.collections[0].get_segments()] == [0.5]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("track", "listener", "A")
    with pytest.raises(BadArgumentError, match="one group for each column"):
        plot_plays(np.zeros((2, 3)), ["rock"])


def test_search_grows():
    growth = pd.DataFrame(
        {
            "method": ["exact", "graph", "graph", "exact"],
            "ef": [np.nan, 10, 50, np.nan],
            "vectors": [1000, 1000, 1000, 100],
            "query_ms": [2.0, 0.1, 0.3, 0.2],
            "recall_at_10": [1, 0.8, 0.9, 1],
        }
    )
    time, found = plot_search(growth)
    assert legend(found) == ["exact", "graph, ef 10", "graph, ef 50"]
    assert time.lines[0].get_xydata().tolist() == [[100, 0.2], [1000, 2]]
    assert found.lines[2].get_xydata().tolist() == [[1000, 0.9]]
    assert time.get_xscale() == time.get_yscale() == found.get_xscale() == "log"
    assert len({(line.get_marker(), line.get_linestyle()) for line in time.lines}) == 3, "not by colour alone"
    assert "ms" in time.get_ylabel()


def test_a_system_looks_the_same_in_every_figure():
    assert look_of("MFCC + SVM", 3) == look_of("MFCC, ridge", 0)
    assert look_of("schlueter (means kept)", 0) != look_of("schlueter", 0), "the longest name that fits"
    assert look_of("something new", 1) == (COLOURS[1], "s")
    assert len(set(LOOKS.values())) > 20
    for first, second in (("first", "second"), ("second", "first")):
        ax = plot_scores({first: [0.1], "crnn": [0.5, 0.6], second: [0.2]})
        assert "#009E73" in {line.get_color() for line in ax.lines if line.get_marker() == "^"}
    together = ["MFCC + SVM", "cnn1d", "cnn3x3", "crnn", "multi_kernel", "time_cnn"]
    assert len({look_of(name, 0) for name in together}) == len(together)


def test_log_mels_share_one_scale():
    rng = np.random.default_rng(0)
    axes = plot_log_mels({f"clip {i}": rng.normal(-40 - 10 * i, 3, (50, 64, 1)) for i in range(3)})
    drawn = [ax.images[0].get_clim() for ax in axes.flat if ax.images]
    assert len(drawn) == 3 and len(set(drawn)) == 1 and drawn[0][0] < -60 < -35 < drawn[0][1]
    bars = [ax for ax in axes.flat[0].figure.axes if ax.get_ylabel() == "dB"]
    assert len(bars) == 1


def test_group_scores_show_groups_and_their_interval():
    groups = ["a"] * 50 + ["b"] * 10 + ["c"] * 40
    right = np.r_[np.ones(50), np.zeros(10), np.tile([1, 0], 20)]
    ax = plot_group_scores({"cnn1d": right}, groups, baseline=0.3)
    assert sorted(round(float(dot.get_offsets()[0, 0]), 2) for dot in ax.collections) == [0, 0.5, 1]
    low, high = ax.lines[0].get_xdata()
    assert (low, high) == group_interval(right, groups) and low < right.mean() < high
    assert any(text.get_text() == "0.70" for text in ax.texts)


def test_around_has_white_in_the_middle():
    look = around(1, np.array([0.8, 1.1, 1.3]))
    assert (look["vmin"], look["vmax"]) == pytest.approx((0.7, 1.3))
