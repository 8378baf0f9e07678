"""Try the networks that Choi et al. published on the course's clips; write data/results/published_*.csv.

    .venv/bin/python tools/studies/published_study.py [tags] [genre] [top_tags] [layers] [statistics] [clips] [filters]

`published_tags.csv`: MusicTaggerCNN and MusicTaggerCRNN, as their authors' code reads the files and repaired, beside
musicnn, on the 315 clips of `mini/genre`, each repeated to 29.12 s. Intervals are bootstraps over artists.
`published_genre.csv`: how many clips of each artist a linear support vector machine (one setting, notebook 07's) names
rightly from the features of the published compact_cnn, musicnn and the course's own compact_cnn. Twice: in four folds
of artists, and trained on the clips that the course's own network has heard. The published network is normalised in
four ways: by fixed statistics, by each clip's own, and by those of blocks of 256 clips, in the order of the table (as
the published features were made) and shuffled.

`published_top_tags.csv`: the three highest tags of MusicTaggerCRNN, both ways, and of musicnn for three clips.
`published_layers.csv`: the largest value in each layer of compact_cnn, with the file's statistics and with those of
four test clips of `mini/tags`. `published_statistics.csv`: what MusicTaggerCRNN has stored for its convolutional
layers, beside their standard deviations on every ninth clip of `mini/genre`, with the file read both ways.

`published_clips.csv`: for the four MP3 files beside the published code, the largest difference between the scores of
the spectrogram that the author stored and those of our front end on the middle of the file, and the mean difference of
the spectrograms in decibels; there, and `shift` samples later, where the spectrograms differ least. These files have no
licence and are not downloaded: put them into `music_auto_tagging` in the folder that DL4MIR_MIRROR names, or in one
beside it. `published_filters.csv`: how the features that our compact_cnn gives `mini/genre` resemble those published
for GTZAN, other music: over the filters of a layer, correlations of means and of standard deviations.

The weights are downloaded; half an hour on two cores.
"""

import os
import sys
from pathlib import Path

import dl4mir_utils  # noqa: F401  before Keras: it quietens TensorFlow

# isort: split
import keras
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from dl4mir_utils.data import FeatureSet, load, load_audio
from dl4mir_utils.features import mini_features
from dl4mir_utils.inference import as_graph
from dl4mir_utils.models import MSD_TAGS, choi_compact_cnn, music_tagger_cnn, music_tagger_crnn, musicnn, taggram
from dl4mir_utils.models.choi import CHOI_RATE, CHOI_SAMPLES, CNN_LAYERS, cnn_tags, measure_statistics
from dl4mir_utils.models.crnn import CRNN_LAYERS, CRNN_SAMPLES, crnn_tags, decibels, standardised
from dl4mir_utils.paths import data_root

BLOCK = 256  # clips to a batch, as the paper's code has it
ASKED = {
    "metal": "metal",
    "electronic": "electronic",
    "orchestral": "instrumental",
}  # which tag should find which genre
ROUNDS = 1000
THREE_CLIPS = ("muldjord_02_1", "0ad_01_0", "kpone_01_0")  # a metal band, an orchestra, a dance track
MP3S = ("actionable", "cute", "dubstep", "thejazzpiano")
SHIFTS = range(-240, 241)  # samples: 20 ms either way


def tag_measures(answers: np.ndarray, reference: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return scores of tags (clips, 50), beside those of musicnn and the genres."""
    with np.errstate(invalid="ignore"):  # a tag that always gets the same answer correlates with nothing
        correlations = [np.corrcoef(answers[:, tag], reference[:, tag])[0, 1] for tag in range(len(MSD_TAGS))]
    areas = {
        f"ROC-AUC of the tag {tag} for {genre}": roc_auc_score(labels == genre, answers[:, MSD_TAGS.index(tag)])
        for genre, tag in ASKED.items()
    }
    return {
        "correlation with musicnn (mean over tags)": float(np.nan_to_num(correlations).mean()),
        "answers below 0.001 or above 0.999": float(np.mean((answers < 0.001) | (answers > 0.999))),
        **areas,
    }


def tags_study() -> pd.DataFrame:
    """Return a line for each tagger and measure."""
    data = load("mini/genre")
    labels, groups = data.frame["label"].to_numpy(str), data.frame["group"].to_numpy(str)
    hears = musicnn("msd")
    reference = np.array([taggram(data.audio(clip), hears).mean(axis=0) for clip in data.frame.index])
    answers = {("musicnn", "as published"): reference}
    for build in (music_tagger_cnn, music_tagger_crnn):
        for reading, repaired in (("as published", False), ("repaired", True)):
            tags = as_graph(build(repaired))
            sounds = (np.resize(data.audio(clip, CHOI_RATE), CRNN_SAMPLES) for clip in data.frame.index)
            rows = [tags(sound[np.newaxis, :, np.newaxis]).numpy()[0] for sound in sounds]
            answers[build.__name__, reading] = np.array(rows)
            print(build.__name__, reading, flush=True)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    rng = np.random.default_rng(0)
    draws = []
    while len(draws) < ROUNDS:  # artists, with replacement; each genre must be among them
        rows = np.concatenate([members[one] for one in rng.integers(len(members), size=len(members))])
        if len(set(labels[rows])) == len(ASKED):
            draws.append(rows)
    lines = []
    for (system, reading), array in answers.items():
        drawn = pd.DataFrame([tag_measures(array[rows], reference[rows], labels[rows]) for rows in draws])
        low, high = drawn.quantile(0.025), drawn.quantile(0.975)
        for measure, value in tag_measures(array, reference, labels).items():
            line = {"system": system, "reading": reading, "measure": measure, "value": value}
            lines.append(line | {"low": low[measure], "high": high[measure], "clips": len(labels)})
    return pd.DataFrame(lines)


def by_block(blocks: list[np.ndarray]) -> np.ndarray:
    """Return features (315, 160) of `mini/genre`, each block of rows normalised by its own statistics."""
    data, model = load("mini/genre"), choi_compact_cnn()
    ids, features = data.frame.index, np.zeros((len(data), 160), np.float32)
    answer = as_graph(model)
    for rows in blocks:
        sounds = [np.resize(data.audio(ids[row], CHOI_RATE), CHOI_SAMPLES) for row in rows]
        measure_statistics(model, sounds)
        for row, sound in zip(rows, sounds, strict=True):
            features[row] = answer(sound[np.newaxis, :, np.newaxis]).numpy()[0]
    return features


def genre_study() -> pd.DataFrame:
    """Return a line for each system, choice of layers, protocol and artist."""
    networks = ("musicnn_msd", "choi_compact_cnn", "compact_cnn")
    tasks: dict[str, FeatureSet] = {network: mini_features("genre", network) for network in networks}
    task = tasks["musicnn_msd"]
    everyone, heard = np.arange(len(task)), task.split == "train"
    apart = list(StratifiedGroupKFold(4).split(everyone, task.labels, task.groups))  # notebook 07's
    folds = {"four folds": apart, "trained on what compact_cnn heard": [(everyone[heard], everyone[~heard])]}
    systems = {("MFCC", ""): {"all": task.mfcc}}
    for network, own in tasks.items():
        kind = "fixed" if network == "choi_compact_cnn" else ""
        layers = {str(layer): values for layer, values in own.features.items()}
        systems[network, kind] = layers | {"all five": np.hstack(list(own.features.values()))}
    shuffled = np.random.default_rng(0).permutation(everyone)
    blocks = {
        "each clip's own": [everyone[row : row + 1] for row in everyone],
        "blocks of 256, in order": np.split(everyone, [BLOCK]),
        "blocks of 256, shuffled": np.split(shuffled, [BLOCK]),
    }
    for kind, rows in blocks.items():
        systems["choi_compact_cnn", kind] = {"all five": by_block(rows)}
        print("choi_compact_cnn", kind, flush=True)
    lines = []
    for (system, statistics), inputs in systems.items():
        for layers, features in inputs.items():
            for protocol, pairs in folds.items():
                if system == "compact_cnn" and protocol == "four folds":
                    continue  # it has heard most of them
                for train, test in pairs:
                    machine = make_pipeline(StandardScaler(), SVC(C=0.01, kernel="linear"))
                    right = (
                        machine.fit(features[train], task.labels[train]).predict(features[test]) == task.labels[test]
                    )
                    for group, own in pd.Series(right).groupby(task.groups[test]):
                        line = {"system": system, "statistics": statistics, "layers": layers, "protocol": protocol}
                        lines.append(line | {"group": group, "clips": len(own), "correct": int(own.sum())})
    return pd.DataFrame(lines)


def top_tags_study() -> pd.DataFrame:
    """Return a line for each clip and network, with its three highest tags."""
    data, hears = load("mini/genre"), musicnn("msd")
    readings = {"as published": as_graph(music_tagger_crnn(False)), "repaired": as_graph(music_tagger_crnn(True))}
    lines = []
    for clip in THREE_CLIPS:
        sound = np.resize(data.audio(clip, CHOI_RATE), CRNN_SAMPLES)[np.newaxis, :, np.newaxis]
        answers = {reading: tags(sound).numpy()[0] for reading, tags in readings.items()}
        answers["musicnn"] = taggram(data.audio(clip), hears).mean(axis=0)
        for reading, answer in answers.items():
            best = [f"{MSD_TAGS[tag]} {answer[tag]:.2f}" for tag in np.argsort(-answer)[:3]]
            lines.append(
                dict(zip(["clip", "reading", "first", "second", "third"], [clip, reading, *best], strict=True))
            )
    return pd.DataFrame(lines)


def layers_study() -> pd.DataFrame:
    """Return a line for each layer of compact_cnn."""
    data, model = load("mini/tags"), choi_compact_cnn(repaired=False)
    clips = data.frame.index[data.frame["split"] == "test"][::35]
    sounds = np.stack([np.resize(data.audio(clip, CHOI_RATE), CHOI_SAMPLES) for clip in clips])[..., np.newaxis]
    columns = {"file's statistics": model(sounds), "batch's statistics": model(sounds, training=True)}
    largest = {name: np.array(values).reshape(-1, 5, 32).max(axis=(0, 2)) for name, values in columns.items()}
    return pd.DataFrame(largest).rename_axis("layer").reset_index()


def statistics_study() -> pd.DataFrame:
    """Return a line for each convolutional layer of MusicTaggerCRNN: medians over its filters."""
    data, columns = load("mini/genre"), {}
    for reading, repaired in (("as published", False), ("repaired", True)):
        model = music_tagger_crnn(repaired)
        names = [layer.name for layer in model.layers if layer.name.startswith("conv")]
        if not repaired:
            numbers = [model.get_layer(name.replace("conv", "bn")).moving_variance.numpy() for name in names]
            columns["stored"] = [np.median(number) for number in numbers]
        convolved = keras.Model(model.input, [model.get_layer(name).output for name in names])
        moments = []
        for clip in data.frame.index[::9]:
            outputs = convolved(np.resize(data.audio(clip, CHOI_RATE), CRNN_SAMPLES)[np.newaxis, :, np.newaxis])
            arrays = [output.numpy().astype(np.float64) for output in outputs]
            moments.append([[array.mean(axis=(0, 1, 2)), np.square(array).mean(axis=(0, 1, 2))] for array in arrays])
        measured = []
        for layer in range(len(names)):
            mean, square = np.mean([clip[layer] for clip in moments], axis=0)
            measured.append(np.median(np.sqrt(square - mean**2)))
        columns[f"measured, {reading}"] = measured
    return pd.DataFrame(columns, index=names).rename_axis("layer").reset_index()


def clips_study() -> pd.DataFrame | None:
    """Return a line for each MP3 file, network, reading and shift; None where the files are not."""
    mirror = Path(os.environ.get("DL4MIR_MIRROR", "no folder")).absolute()
    homes = [mirror, *mirror.parent.iterdir()] if mirror.is_dir() else []
    folder = next((home / "music_auto_tagging" for home in homes if (home / "music_auto_tagging").is_dir()), None)
    if folder is None:
        print("published_clips.csv needs music_auto_tagging, in the folder that DL4MIR_MIRROR names or one beside it.")
        return None
    audio, spectrogram = keras.Input((CRNN_SAMPLES, 1)), keras.Input((1366, 96, 1))
    front_end = as_graph(keras.Model(audio, decibels(audio)))
    spectrograms = {}
    for clip in MP3S:
        stored = np.load(folder / f"bensound-{clip}.npy")[0].transpose(2, 1, 0).astype(np.float32)
        sound = load_audio(folder / f"bensound-{clip}.mp3", CHOI_RATE)[:, np.newaxis]
        middle = (len(sound) - CRNN_SAMPLES) // 2
        ours = {s: front_end(sound[np.newaxis, middle + s : middle + s + CRNN_SAMPLES]).numpy()[0] for s in SHIFTS}
        off = {shift: float(np.abs(own - stored).mean()) for shift, own in ours.items()}
        spectrograms[clip] = stored, [(shift, off[shift], ours[shift]) for shift in (0, min(off, key=off.get))]
    lines = []
    for build, tags, names in ((music_tagger_cnn, cnn_tags, CNN_LAYERS), (music_tagger_crnn, crnn_tags, CRNN_LAYERS)):
        for reading, repaired in (("as published", False), ("repaired", True)):
            whole = build(repaired)
            behind = keras.Model(spectrogram, tags(standardised(spectrogram) if repaired else spectrogram))
            for name in names:
                behind.get_layer(name).set_weights(whole.get_layer(name).get_weights())
            for clip, (stored, shifted) in spectrograms.items():
                expected = behind(stored[np.newaxis], training=False).numpy()
                for shift, off, own in shifted:
                    difference = np.abs(behind(own[np.newaxis], training=False).numpy() - expected).max()
                    line = {"clip": clip, "network": build.__name__, "reading": reading, "shift": shift}
                    lines.append(line | {"largest difference of scores": difference, "mean difference in dB": off})
    return pd.DataFrame(lines)


def filters_study() -> pd.DataFrame:
    """Return a line for each way to normalise and layer."""
    published = load("choi_transfer/gtzan_genre").features
    everyone = np.arange(len(load("mini/genre")))
    ours = {
        "fixed": np.hstack(list(mini_features("genre", "choi_compact_cnn").features.values())),
        "blocks of 256, in order": by_block(np.split(everyone, [BLOCK])),
        "each clip's own": by_block([everyone[row : row + 1] for row in everyone]),
    }
    lines = []
    for statistics, features in ours.items():
        for layer, own in enumerate(np.split(features, 5, axis=1)):
            line = {"statistics": statistics, "layer": layer}
            for kind, measure in (("means", np.mean), ("deviations", np.std)):
                both = measure(own, axis=0), measure(published[layer], axis=0)
                line[f"correlation of {kind}"] = np.corrcoef(*both)[0, 1]
            line["deviations, ours by theirs (median)"] = np.median(own.std(axis=0) / published[layer].std(axis=0))
            lines.append(line)
    return pd.DataFrame(lines)


STUDIES = {
    "tags": tags_study,
    "genre": genre_study,
    "top_tags": top_tags_study,
    "layers": layers_study,
    "statistics": statistics_study,
    "clips": clips_study,
    "filters": filters_study,
}


def main() -> None:
    for name in sys.argv[1:] or STUDIES:
        target = data_root() / "results" / f"published_{name}.csv"
        if (table := STUDIES[name]()) is not None:
            table.to_csv(target, index=False, float_format="%.4f", lineterminator="\n")
            print(f"{target.name} is written", flush=True)


if __name__ == "__main__":
    main()
