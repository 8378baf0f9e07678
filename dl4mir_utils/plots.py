"""The course's figures. Each function draws into `ax` (a new figure by default) and returns it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from dl4mir_utils.environment import COLOURS
from dl4mir_utils.errors import BadArgumentError
from dl4mir_utils.metrics import group_interval

if TYPE_CHECKING:
    import pandas as pd

LINE_STYLES = ("-", "--", ":", "-.")
MARKERS = "osD^vPX"
GREY = "#595959"
# Colour and marker of a system in every figure of the course, by its name or how that begins: "MFCC" is meant for
# "MFCC + SVM", too.
LOOKS = {
    # What knows nothing, and what does without a network.
    "majority": (GREY, "X"),
    "random": (GREY, "X"),
    "nothing": (GREY, "X"),
    "always sing": (GREY, "X"),
    "tag frequency": (GREY, "X"),
    "loudness": (GREY, "v"),
    "style known": (GREY, "P"),
    "MFCC": (COLOURS[4], "s"),
    "mel statistics": (COLOURS[4], "D"),
    "mean spectrum": (COLOURS[4], "v"),
    # Networks that are trained in the course.
    "cnn1d": (COLOURS[0], "o"),
    "cnn3x3": (COLOURS[1], "D"),
    "crnn": (COLOURS[2], "^"),
    "multi_kernel": (COLOURS[3], "v"),
    "time_cnn": (COLOURS[5], "P"),
    "schlueter": (COLOURS[0], "D"),
    "schlueter (means kept)": (COLOURS[5], "D"),
    "leglaive": (COLOURS[3], "o"),
    "lstm": (COLOURS[1], "v"),
    "lstm_bi": (COLOURS[1], "^"),
    "compact_cnn": (COLOURS[0], "^"),
    "MusicTaggerCNN": (COLOURS[1], "s"),
    "MusicTaggerCRNN": (COLOURS[2], "v"),
    "spectrogram": (COLOURS[0], "s"),
    "waveform": (COLOURS[1], "o"),
    "network": (COLOURS[0], "o"),
    "from scratch": (COLOURS[5], "o"),
    # Networks that somebody trained before.
    "musicnn MTT": (COLOURS[3], "s"),
    "musicnn MSD": (COLOURS[2], "s"),
    "probe": (COLOURS[2], "o"),
    "probe of an untrained": (COLOURS[6], "o"),
    "probe of MFCC": (COLOURS[4], "o"),
    "fine-tuning above": (COLOURS[0], "P"),
    "fine-tuning everything": (COLOURS[1], "P"),
    "pretrained detector": (COLOURS[6], "P"),
}


def look_of(name: str, index: int) -> tuple[str, str]:
    """Return a system's colour and marker: those of the course's table or, if it is not in it, the next ones."""
    known = max((key for key in LOOKS if name.startswith(key)), key=len, default=None)
    return LOOKS[known] if known else (COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)])


def plot_waveform(audio: np.ndarray, sample_rate: int = 16000, ax: Axes | None = None, title: str = "") -> Axes:
    """Draw amplitude against time in seconds.

    Parameters
    ----------
    audio : float array (samples,) or (samples, 1)
    sample_rate : int
        In Hz.
    ax : Axes, optional
    title : str
    """
    ax = ax or plt.subplots()[1]
    audio = np.ravel(audio)
    ax.plot(np.arange(len(audio)) / sample_rate, audio, linewidth=0.6)
    ax.set(xlabel="time (s)", ylabel="amplitude", title=title, xlim=(0, len(audio) / sample_rate), ylim=(-1.02, 1.02))
    return ax


def plot_log_mel(
    log_mel: np.ndarray,
    sample_rate: int = 16000,
    hop_s: float = 0.016,
    f_min_hz: float = 0.0,
    f_max_hz: float | None = None,
    ax: Axes | None = None,
    title: str = "",
    unit: str = "dB",
    limits: tuple[float, float] | None = None,
) -> Axes:
    """Draw a log-mel spectrogram: time in seconds, frequency in Hz at its place on the mel scale.

    Parameters
    ----------
    log_mel : float array (frames, mels) or (frames, mels, 1)
        One clip's output of `LogMel`.
    sample_rate, hop_s, f_min_hz, f_max_hz
        What `LogMel` was given.
    ax : Axes, optional
    title : str
    unit : str
        Label of the colour bar; a normalised spectrogram is no longer in dB.
    limits : tuple of float, optional
        Ends of the colour scale, so that pictures can be compared; those of the picture by default.
    """
    import librosa

    log_mel = np.asarray(log_mel)
    if log_mel.ndim == 3 and log_mel.shape[-1] == 1:
        log_mel = log_mel[..., 0]
    if log_mel.ndim != 2:
        raise BadArgumentError(f"plot_log_mel draws one clip, (frames, mels), not {log_mel.shape}: index the batch.")
    ax = ax or plt.subplots()[1]
    frames, mels = log_mel.shape
    bands_hz = librosa.mel_frequencies(mels + 2, fmin=f_min_hz, fmax=f_max_hz or sample_rate / 2)
    low, high = limits or (None, None)
    look = {"origin": "lower", "aspect": "auto", "interpolation": "nearest", "vmin": low, "vmax": high}
    image = ax.imshow(log_mel.T, extent=(0, frames * hop_s, -0.5, mels - 0.5), **look)
    ticks = [hz for hz in (500, 1000, 2000, 4000, 8000, 16000) if bands_hz[1] <= hz <= bands_hz[-2]]
    ax.set_yticks(np.interp(ticks, bands_hz[1:-1], np.arange(mels)), [f"{hz}" for hz in ticks])
    ax.set(xlabel="time (s)", ylabel="frequency (Hz)", title=title)
    ax.figure.colorbar(image, ax=ax, label=unit)
    return ax


def plot_history(
    history: Any,
    metric: str = "loss",
    ax: Axes | None = None,
    title: str = "",
    baseline: float | None = None,
    held_out: str = "valid",
) -> Axes:
    """Draw learning curves: training solid, validation dashed.

    Parameters
    ----------
    history : keras History, or dict of str to History
        What `fit` returned; several of them by name.
    metric : str
        "loss", "accuracy", ...
    ax : Axes, optional
    title : str
    baseline : float, optional
        Drawn as a dotted line, e.g. the majority's accuracy.
    held_out : str
        What `fit` got as validation data, if that was something else.
    """
    histories = history if isinstance(history, Mapping) else {"": history}
    ax = ax or plt.subplots()[1]
    for index, (name, one) in enumerate(histories.items()):
        curves = getattr(one, "history", one)
        if metric not in curves:
            raise BadArgumentError(f"There is no {metric!r} in this history; it has {', '.join(curves)}.")
        colour, marker = look_of(name, index)
        look = {"color": colour, "marker": marker, "markersize": 4}
        for key, style, role in ((metric, "-", "train"), (f"val_{metric}", "--", held_out)):
            if key in curves:
                epochs = np.arange(1, len(curves[key]) + 1)
                ax.plot(epochs, curves[key], style, label=f"{name} {role}".strip(), markevery=0.1, **look)
    if baseline is not None:
        ax.axhline(baseline, color="#595959", linestyle=":", label="baseline")
    ax.set(xlabel="epoch", ylabel=metric.replace("_", " "), title=title)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def plot_confusion(
    truth: Sequence[int], predicted: Sequence[int], classes: Sequence[str], ax: Axes | None = None, title: str = ""
) -> Axes:
    """Draw which class is taken for which: counts, and in brackets the share of the row's clips.

    Parameters
    ----------
    truth, predicted : int arrays (clips,)
        Class numbers.
    classes : sequence of str
        Their names.
    ax : Axes, optional
    title : str
    """
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(truth, predicted, labels=range(len(classes)))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    if ax is None:
        side = min(2.2 + 0.75 * len(classes), 9)
        ax = plt.subplots(figsize=(side + 0.6, side - 0.6))[1]
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        ax.text(
            column,
            row,
            f"{count}\n({share[row, column]:.0%})" if count else "0",
            ha="center",
            va="center",
            fontsize=11 if len(classes) <= 6 else 8,
            color="white" if share[row, column] > 0.7 else "#1a1a1a",
        )
    wide = max(map(len, classes)) > 9 and len(classes) > 3
    ax.set_xticks(range(len(classes)), classes, rotation=40 if wide else 0, ha="right" if wide else "center")
    ax.set_yticks(range(len(classes)), classes)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="predicted", ylabel="true", title=title)
    return ax


def plot_scores(
    scores: Mapping[str, Sequence[float]],
    baseline: float | None = None,
    baseline_name: str = "majority",
    xlabel: str = "accuracy",
    ax: Axes | None = None,
    title: str = "",
    decimals: int = 2,
) -> Axes:
    """Draw systems against each other: every run a small dot, the mean a large one, a line from least to greatest.

    Parameters
    ----------
    scores : dict of str to sequence of float
        For each system its scores over seeds or folds.
    baseline : float, optional
        Drawn as a dotted line.
    baseline_name, xlabel, title : str
    ax : Axes, optional
    decimals : int
        Of the means written at the marks.
    """
    ax = ax or plt.subplots(figsize=(8, 1.1 + 0.42 * len(scores)))[1]
    for row, (name, values) in enumerate(scores.items()):
        values = np.atleast_1d(values).astype(float)
        colour, marker = look_of(name, row)
        ax.plot([values.min(), values.max()], [row, row], color=colour, linewidth=2)
        ax.plot(values, np.full(len(values), row), "|", color=colour, markersize=11)
        ax.plot(values.mean(), row, marker, color=colour, markersize=9)
        ax.annotate(
            f"{values.mean():.{decimals}f}",
            (values.mean(), row),
            (0, 8),
            textcoords="offset points",
            ha="center",
            fontsize=10,
        )
    if baseline is not None:
        ax.axvline(baseline, color="#595959", linestyle=":", label=f"{baseline_name} {baseline:.2f}")
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    ax.set_yticks(range(len(scores)), list(scores))
    ax.set_ylim(len(scores) - 0.4, -0.7)
    ax.grid(axis="x")
    ax.set(xlabel=xlabel, title=title)
    return ax


def plot_combinations(
    scores: Mapping[str, float],
    baseline: float | None = None,
    baseline_name: str = "baseline",
    ylabel: str = "accuracy",
    title: str = "",
) -> Axes:
    """Draw the score of each combination of layers, least on the left; squares below say which layers are in it.

    Parameters
    ----------
    scores : dict of str to float
        By the layers in them, one digit each: "0", "13", "01234".
    baseline : float, optional
        Drawn as a dotted line.
    baseline_name, ylabel, title : str

    Returns
    -------
    Axes
        Those of the scores; the figure's second axes hold the squares.
    """
    names = sorted(scores, key=scores.__getitem__)
    layers = sorted(set("".join(names)))
    _, (ax, below) = plt.subplots(2, 1, figsize=(9, 4), sharex=True, height_ratios=[3, 1.4])
    for size, marker in enumerate(MARKERS[: len(layers)], start=1):
        places = [place for place, name in enumerate(names) if len(name) == size]
        label = f"{size} layer" if size == 1 else f"{size} layers"
        ax.plot(places, [scores[names[place]] for place in places], marker, color=COLOURS[size - 1], label=label)
    if baseline is not None:
        ax.axhline(baseline, color="#595959", linestyle=":", label=f"{baseline_name} {baseline:.2f}")
    ax.set(ylabel=ylabel, title=title)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    inside = np.array([[layer in name for name in names] for layer in layers])
    edges = np.arange(len(names) + 1) - 0.5, np.arange(len(layers) + 1)
    below.pcolormesh(*edges, inside, cmap="Greys", vmin=0, vmax=1.6, edgecolors="white", linewidth=1)
    below.set_yticks(np.arange(len(layers)) + 0.5, [f"layer {layer}" for layer in layers], fontsize=9)
    below.set(xticks=[], xlabel="combinations, from the lowest score to the highest")
    below.spines[["left", "bottom"]].set_visible(False)
    below.invert_yaxis()
    return ax


def plot_probabilities(
    probabilities: np.ndarray, classes: Sequence[str], hop_s: float, ax: Axes | None = None, title: str = ""
) -> Axes:
    """Draw how the class probabilities go along a clip.

    Parameters
    ----------
    probabilities : float array (windows, classes)
        A model's outputs for consecutive windows of one clip.
    classes : sequence of str
    hop_s : float
        Distance between windows, in seconds.
    ax : Axes, optional
    title : str
    """
    probabilities = np.asarray(probabilities)
    ax = ax or plt.subplots()[1]
    edges = np.arange(len(probabilities) + 1) * hop_s
    for index, name in enumerate(classes):
        ax.stairs(
            probabilities[:, index],
            edges,
            baseline=None,
            label=name,
            color=COLOURS[index % len(COLOURS)],
            linestyle=LINE_STYLES[index % len(LINE_STYLES)],
            linewidth=2.5,
        )
    ax.set(xlabel="time (s)", ylabel="probability", title=title, xlim=(0, edges[-1]), ylim=(-0.02, 1.02))
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def plot_numbers(values: np.ndarray, ax: Axes | None = None, title: str = "") -> Axes:
    """Draw a small table of weights as colours (red positive, blue negative) with the numbers in it, row 0 below.

    Parameters
    ----------
    values : float array (rows, columns)
    ax : Axes, optional
    title : str
    """
    ax = ax or plt.subplots()[1]
    limit = 1.6 * max(float(np.abs(values).max()), 1e-6)  # pale colours: the numbers stay readable
    ax.imshow(values, origin="lower", aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit)
    for (row, column), value in np.ndenumerate(values):
        ax.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=9)
    ax.set(title=title, xticks=range(values.shape[1]), yticks=range(values.shape[0]))
    return ax


def plot_kernels(kernels: np.ndarray) -> np.ndarray:
    """Draw the kernels of a first convolution over constant-Q frames, one panel each.

    Parameters
    ----------
    kernels : float array (bins, frames, 1, kernels)
        As `layer.get_weights()[0]` returns them.

    Returns
    -------
    array of Axes (kernels,)
    """
    height, _, _, count = kernels.shape
    size = (2.25 * count, 0.32 * height + 1.2)
    axes = plt.subplots(1, count, figsize=size, sharey=True, squeeze=False)[1][0]
    for number, ax in enumerate(axes):
        plot_numbers(kernels[:, :, 0, number], ax, f"kernel {number + 1}").set_xlabel("frame")
    axes[0].set_ylabel("semitones up")
    return axes


def plot_cqt_frames(frames: np.ndarray, ax: Axes | None = None, title: str = "") -> Axes:
    """Draw the few constant-Q frames that a network sees.

    Parameters
    ----------
    frames : float array (36, frames) or (36, frames, 1)
        Part of what `pitch.cqt_frames` returns: bins a semitone apart from A3, scaled from 0 to 1.
    ax : Axes, optional
    title : str
    """
    frames = np.reshape(frames, (len(frames), -1))
    ax = ax or plt.subplots()[1]
    ax.imshow(frames, origin="lower", aspect="auto", vmin=0, vmax=1)
    ax.set(title=title, xlabel="frame", xticks=range(frames.shape[1]))
    ax.set_yticks(range(0, len(frames), 12), [f"A{3 + octave}" for octave in range(len(range(0, len(frames), 12)))])
    return ax


def plot_roc(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    thresholds: Mapping[str, float] | None = None,
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """Draw ROC curves: for every threshold, the share of the positives that are found against the false alarms.

    Parameters
    ----------
    curves : dict of str to (int array (n,), float array (n,))
        For each system the truth, 0 or 1, and its probabilities.
    thresholds : dict of str to float, optional
        Where each system is used: a mark on its curve.
    ax : Axes, optional
    title : str
    """
    from sklearn.metrics import auc, roc_curve

    ax = ax or plt.subplots(figsize=(7, 4))[1]
    for index, (name, (truth, probability)) in enumerate(curves.items()):
        false, right, _ = roc_curve(truth, probability)
        (colour, marker), style = look_of(name, index), LINE_STYLES[index % len(LINE_STYLES)]
        ax.plot(false, right, style, color=colour, label=f"{name} ({auc(false, right):.2f})")
        if thresholds and name in thresholds:
            found = np.asarray(probability) >= thresholds[name]
            point = (found[truth == 0].mean(), found[truth == 1].mean())
            ax.plot(*point, marker, color=colour, markersize=8)
    ax.plot([0, 1], [0, 1], color="#595959", linewidth=1, linestyle=(0, (1, 3)), label="guessing (0.50)")
    ax.set(xlabel="false positive rate", ylabel="true positive rate (recall)", title=title, aspect="equal")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), title="AUC")
    return ax


def plot_tag_scores(
    scores: "Mapping[str, pd.Series]",
    chance: float | None = None,
    xlabel: str = "",
    ax: Axes | None = None,
    title: str = "",
) -> Axes:
    """Draw the scores of systems tag by tag: a line for each tag, best on top, and a mark on it for each system.

    Parameters
    ----------
    scores : dict of str to pandas.Series
        For each system its score by tag, all of them for the same tags.
        The last system decides the order.
    chance : float, optional
        What guessing gives; drawn as a dotted line.
    xlabel, title : str
    ax : Axes, optional
    """
    *_, last = scores.values()
    tags = last.sort_values().index
    ax = ax or plt.subplots(figsize=(8, 1.1 + 0.27 * len(tags)))[1]
    together = np.stack([values.loc[tags] for values in scores.values()])
    ax.hlines(range(len(tags)), together.min(axis=0), together.max(axis=0), color="#a0a0a0", linewidth=1.5)
    for index, (name, values) in enumerate(zip(scores, together, strict=True)):
        colour, marker = look_of(name, index)
        ax.plot(values, range(len(tags)), marker, label=name, color=colour, markersize=8)
    if chance is not None:
        ax.axvline(chance, color="#595959", linestyle=":", label=f"guessing {chance:.2f}")
    ax.set_yticks(range(len(tags)), tags)
    ax.grid(axis="x")
    ax.set(xlabel=xlabel, title=title, ylim=(-0.7, len(tags) - 0.3))
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def plot_plays(
    plays: np.ndarray, groups: Sequence[str], ax: Axes | None = None, title: str = "", xlabel: str = "item"
) -> Axes:
    """Draw who played what: listeners as rows, items as columns, darker where played more often.

    Parameters
    ----------
    plays : int array (listeners, items)
        Counts; the shade grows with the logarithm of 1 + count.
    groups : sequence of str (items,)
        What each item is: the columns are sorted by it, and dotted lines part the groups.
    ax : Axes, optional
    title, xlabel : str
    """
    plays, groups = np.asarray(plays), np.asarray(groups)
    if plays.ndim != 2 or plays.shape[1:] != groups.shape:
        raise BadArgumentError(f"plays has the shape {plays.shape}, groups {groups.shape}: one group for each column.")
    ax = ax or plt.subplots()[1]
    ax.imshow(np.log1p(plays[:, np.argsort(groups, kind="stable")]), aspect="auto", cmap="Blues")
    names, counts = np.unique(groups, return_counts=True)
    ends = np.cumsum(counts)
    ax.vlines(ends[:-1] - 0.5, -0.5, len(plays) - 0.5, color="#595959", linestyle=":")
    ax.set_xticks(ends - counts / 2 - 0.5, names)
    ax.set(xlabel=xlabel, ylabel="listener", title=title)
    return ax


def plot_search(growth: "pd.DataFrame", axes: Sequence[Axes] | None = None) -> np.ndarray:
    """Draw how nearest-neighbour search grows with the number of vectors: time of a query, and what it finds.

    Parameters
    ----------
    growth : pandas.DataFrame
        A row for each measurement, with the columns `method`, `ef` (nan where there is none), `vectors`, `query_ms`
        and `recall_at_10`, as benchmarks/nearest_neighbours.py writes them.
    axes : two Axes, optional

    Returns
    -------
    array of Axes (2,)
    """
    axes = plt.subplots(1, 2, figsize=(11, 3.4))[1] if axes is None else np.asarray(axes)
    for index, ((method, ef), rows) in enumerate(growth.groupby(["method", "ef"], dropna=False, sort=False)):
        look = {
            "color": COLOURS[index % len(COLOURS)],
            "marker": MARKERS[index % len(MARKERS)],
            "linestyle": LINE_STYLES[index % len(LINE_STYLES)],
            "label": method if np.isnan(ef) else f"{method}, ef {ef:.0f}",
        }
        rows = rows.sort_values("vectors")
        axes[0].loglog(rows["vectors"], rows["query_ms"], **look)
        axes[1].semilogx(rows["vectors"], rows["recall_at_10"], **look)
    axes[0].set(xlabel="vectors", ylabel="time of a query (ms)", title="Time")
    axes[1].set(xlabel="vectors", ylabel="share found", title="Recall of the true ten")
    axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return axes


def plot_log_mels(
    pictures: Mapping[str, np.ndarray],
    hop_s: float = 0.016,
    columns: int = 2,
    limits: tuple[float, float] | None = None,
) -> np.ndarray:
    """Draw log-mel spectrograms side by side, on one colour scale: what is brighter is louder in all of them.

    Parameters
    ----------
    pictures : dict of str to float array (frames, mels) or (frames, mels, 1)
        By title: outputs of `LogMel` at 16 kHz.
    hop_s : float
        What `LogMel` was given, in seconds.
    columns : int
        Panels in a row.
    limits : tuple of float, optional
        Ends of the colour scale in dB; from the lowest to the highest value of all pictures by default.

    Returns
    -------
    array of Axes (rows, columns)
    """
    if limits is None:
        limits = min(map(np.min, pictures.values())), max(map(np.max, pictures.values()))
    rows = -(-len(pictures) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(11, 0.6 + 2.3 * rows), squeeze=False, sharex=True, sharey=True)
    for ax in axes.flat[len(pictures) :]:
        ax.remove()
    for ax, (title, picture) in zip(axes.flat, pictures.items(), strict=False):
        plot_log_mel(picture, hop_s=hop_s, ax=ax, title=title, limits=limits)
        ax.images[0].colorbar.remove()
        ax.label_outer()
    figure.colorbar(axes.flat[0].images[0], ax=list(axes.flat[: len(pictures)]), label="dB")
    return axes


def plot_group_scores(
    right: Mapping[str, Sequence[float]],
    groups: Sequence[str],
    baseline: float | None = None,
    baseline_name: str = "majority",
    xlabel: str = "accuracy",
    title: str = "",
) -> Axes:
    """Draw systems against each other, with what was sampled: groups such as artists.

    Each group is a dot, larger the more clips it has; the marker is the mean over all clips, the line the range in
    which it would lie 19 times of 20 if other groups of the kind had been drawn (`metrics.group_interval`).

    Parameters
    ----------
    right : dict of str to sequence of float (clips,)
        For each system what each clip scored, such as 1 for right and 0 for wrong.
    groups : sequence of str (clips,)
        What belongs together.
    baseline : float, optional
        Drawn as a dotted line.
    baseline_name, xlabel, title : str
    """
    groups = np.asarray(groups)
    ax = plt.subplots(figsize=(8, 1.3 + 0.6 * len(right)))[1]
    for row, (name, values) in enumerate(right.items()):
        values = np.asarray(values, float)
        colour, marker = look_of(name, row)
        ax.plot(
            group_interval(values, groups), [row, row], color=colour, linewidth=4, alpha=0.35, solid_capstyle="butt"
        )
        for group in np.unique(groups):
            own = values[groups == group]
            size = 10 + 240 * len(own) / len(values)
            ax.scatter(own.mean(), row + 0.22, size, facecolors="none", edgecolors=colour, linewidths=1.2)
        ax.plot(values.mean(), row, marker, color=colour, markersize=9)
        ax.annotate(f"{values.mean():.2f}", (values.mean(), row), (0, 8), textcoords="offset points", ha="center")
    if baseline is not None:
        ax.axvline(baseline, color="#595959", linestyle=":")
        ax.annotate(f"{baseline_name} {baseline:.2f}", (baseline, len(right) - 0.5), (4, 0), textcoords="offset points")
    ax.set_yticks(range(len(right)), list(right))
    ax.set(xlabel=xlabel, title=title, xlim=(-0.03, 1.03), ylim=(len(right) - 0.4, -0.6))
    ax.grid(axis="x")
    return ax


def around(middle: float, values: np.ndarray) -> dict[str, Any]:
    """Return colour map and limits for values that have a middle: white there, red above, blue below.

    Parameters
    ----------
    middle : float
        0 for weights, 1 for ratios.
    values : float array
        All values that share the scale.

    Returns
    -------
    dict
        For `imshow` and its like: ``ax.imshow(weights, **around(0, weights))``.
    """
    reach = max(float(np.abs(np.asarray(values) - middle).max()), 1e-12)
    return {"cmap": "RdBu_r", "vmin": middle - reach, "vmax": middle + reach}
