import base64
import io
import json
import re
import sys

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from PIL import Image

from dl4mir_utils import BadArgumentError
from dl4mir_utils.player import ClassBars, Curve, HeatMap, Segments, play, player, sound_map
from dl4mir_utils.player.sync import CODE, WIDGET_MIME, _widget_class, log_mel
from dl4mir_utils.player.tracks import pack

TIME = np.arange(16000) / 16000


def decode(html):
    return [
        soundfile.read(io.BytesIO(base64.b64decode(data)))
        for data in re.findall(r'src="data:audio/mpeg;base64,([^"]+)"', html)
    ]


@pytest.mark.parametrize(("level", "heard"), [(0.1, 0.1), (4.0, 1.0)])
def test_loud_is_turned_down_and_soft_stays(level, heard):
    bundle = play(level * np.sin(2 * np.pi * 440 * TIME), title="A", description="one <tone>")._repr_mimebundle_()
    assert bundle["text/plain"] == "A (1.0 s): one <tone>"
    ((audio, rate),) = decode(bundle["text/html"])
    assert rate == 16000
    assert np.abs(audio[2000:-2000]).max() == pytest.approx(heard, rel=0.1)
    assert bundle["text/html"].startswith('<figure class="dl4mir-sound"')
    assert "<figcaption>A (1.0 s): one &lt;tone&gt;</figcaption><audio controls preload=" in bundle["text/html"]
    assert 'aria-label="A (1.0 s): one &lt;tone&gt;"' in bundle["text/html"]


def test_a_row_of_players_and_tensors():
    sound = np.zeros((16000, 1), "float32")
    html = play([("first", sound), ("second", tf.constant(sound))])._repr_mimebundle_()["text/html"]
    assert len(decode(html)) == html.count("<figure") == 2
    assert len(decode(play(tf.constant(sound))._repr_mimebundle_()["text/html"])) == 1


@pytest.mark.parametrize("sound", [np.zeros(0), np.array([0.0, np.nan])])
def test_nothing_to_hear(sound):
    with pytest.raises(BadArgumentError, match="empty or holds NaN"):
        play(sound, title="x")


def test_rates_mp3_does_not_have():
    with pytest.raises(BadArgumentError, match="12345 Hz"):
        play(np.zeros(100), sample_rate=12345)


# The synchronised player

RNG = np.random.default_rng(0)
LABELS = ("rock", "pop", "jazz")
GENRES = RNG.dirichlet(np.ones(3), 20)


def tracks():
    return [
        Curve("voice", RNG.random((50, 2)), 0.02, ("model", "teacher"), threshold=0.5),
        Curve("level", RNG.uniform(-60, 0, 50), 0.02, limits=(-60, 0), unit=" dB"),
        Segments("truth", [(0.5, 0.75, "singing"), (0, 0.5, "silence")]),
        HeatMap("tags", RNG.random((25, 5)), "abcde", 0.04),
        ClassBars("genre", GENRES, LABELS, 0.05),
        ClassBars("mood", GENRES, LABELS, 0.05, kind="pie"),
    ]


def unpack(content):
    levels = np.frombuffer(content["data"], f"<u{content['bits'] // 8}")
    values = content["low"] + levels * (content["high"] - content["low"]) / (2 ** content["bits"] - 1)
    return values.reshape(content["frames"], content["columns"])


@pytest.mark.parametrize(("bits", "low", "high"), [(8, 0, 1), (16, 0, 1), (16, -60, 12)])
def test_packing_keeps_values_within_half_a_level(bits, low, high):
    values = RNG.uniform(low, high, (300, 4))
    values[0] = low, high, (low + high) / 2, low
    assert np.abs(unpack(pack(values, low, high, bits)) - values).max() <= (high - low) / (2**bits - 1) / 2 * 1.0001


def test_content_holds_sound_and_tracks():
    sound = 0.5 * np.sin(2 * np.pi * 440 * TIME)
    made = tracks()
    content = player(sound, 16000, made, "A", "B").content()
    audio, rate = soundfile.read(io.BytesIO(content["audio"]))
    assert rate == 16000 and np.abs(audio - sound).max() < 1 / 32768
    assert content["duration"] == 1.0
    assert [track["kind"] for track in content["tracks"]] == [
        "mel",
        "curve",
        "curve",
        "segments",
        "heat",
        "bars",
        "bars",
    ]
    for track, given in zip(content["tracks"][1:], made, strict=True):
        assert track["summary"] == given.summary() and track["summary"].startswith(track["name"] + ": ")
        if track["kind"] != "segments":
            values = np.reshape(given.probabilities if track["kind"] == "bars" else given.values, (track["frames"], -1))
            assert unpack(track) == pytest.approx(values, abs=(track["high"] - track["low"]) / 500)
            assert track["start"] == 0 and track["hop"] == given.hop_s
    assert content["tracks"][3]["segments"] == [[0.0, 0.5, "silence"], [0.5, 0.75, "singing"]]
    assert [track.get("pie") for track in content["tracks"][-2:]] == [False, True]
    assert content["tracks"][1]["threshold"] == 0.5 and content["tracks"][2]["unit"] == " dB"


@pytest.mark.parametrize("sr", [8000, 16000, 22050, 44100])
def test_log_mel_shows_a_click_and_a_tone_where_they_are(sr):
    sound = np.zeros(3 * sr)
    sound[2 * sr] = 1.0
    click, hop_s, ticks = log_mel(sound, sr)
    assert abs((click.max(1).argmax() + 0.5) * hop_s - 2.0) <= hop_s
    assert len(click) == int(np.ceil(3 / hop_s - 1e-9)) and click.max() == 0 and click.min() == -80
    bands = dict((text, band) for band, text in ticks)
    tone, _, _ = log_mel(np.sin(2 * np.pi * 1000 * np.arange(sr) / sr), sr)
    assert abs(tone.mean(0).argmax() - bands["1 kHz"]) <= 1
    assert (log_mel(np.zeros(100), sr)[0] == -80).all()
    assert all(0 <= band < 80 for band in bands.values()) and ("8 kHz" in bands) == (sr > 17000)


def test_log_mel_agrees_with_librosa():
    import librosa

    noise = RNG.normal(0, 0.1, 16000)
    ours, hop_s, _ = log_mel(noise, 16000)
    theirs = librosa.feature.melspectrogram(
        y=noise, sr=16000, n_fft=1024, hop_length=256, n_mels=80, fmin=40, htk=True, norm=None, center=True
    )
    theirs = librosa.power_to_db(theirs, ref=np.max).T
    # Ours stand half a hop later, so the levels of single frames differ; those of the bands must not.
    assert hop_s == 0.016
    assert np.abs((ours.mean(0) - theirs.mean(0))[10:]).max() < 1.5


def test_long_sounds_give_small_content():
    fixed = np.tile(0.1 * TIME, 600).astype("float32")
    content = player(fixed, 16000).content()
    assert content["tracks"][0]["frames"] <= 10_000
    assert content["tracks"][0]["frames"] * content["tracks"][0]["hop"] == pytest.approx(600, rel=1e-3)


def test_bundle_has_text_picture_and_widget():
    bundle, metadata = player(0.1 * TIME, 16000, tracks(), "A", "B <c>")._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "image/png", WIDGET_MIME}
    lines = bundle["text/plain"].splitlines()
    assert lines[0] == "A (1.0 s): B <c>" and lines[3] == "  truth: 2 segments of silence, singing" and len(lines) == 7
    assert metadata == {"alt": bundle["text/plain"]}
    pixels = np.asarray(Image.open(io.BytesIO(bundle["image/png"])).convert("L"))
    assert pixels.shape[1] == 920 and pixels.shape[0] > 500 and pixels.std() > 20
    assert len(bundle["image/png"]) < 130_000


def test_figure_has_an_axis_for_each_track():
    made = tracks()
    figure = player(0.1 * TIME, 16000, made, "A").figure()
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["A", "voice", "level", "truth", "tags", "genre", "mood"]
    voice = figure.axes[1]
    assert [text.get_text() for text in voice.get_legend().get_texts()] == ["model", "teacher"]
    assert voice.lines[0].get_xdata()[:2] == pytest.approx([0.01, 0.03]) and len(voice.lines[0].get_xdata()) == 50
    assert voice.lines[0].get_linestyle() != voice.lines[1].get_linestyle()
    assert [label.get_text() for label in figure.axes[3].get_yticklabels()] == ["silence", "singing"]
    picture = figure.axes[4].images[0]
    assert picture.get_extent() == pytest.approx([0, 1, -0.5, 4.5])
    assert np.array_equal(picture.get_array().data, np.round(15 * made[3].values.T))
    assert figure.axes[-1].get_xlim() == (0, 1) and figure.axes[-1].get_xlabel() == "time (s)"


def test_a_diverging_heat_map_has_no_colour_in_the_middle():
    values = np.array([[0.5, 1.5]] * 4 + [[1.0, 1.0]])
    maps = [HeatMap("m", values, "ab", 0.2, (0.5, 1.5), diverging=diverging) for diverging in (False, True)]
    figures = [player(0.1 * TIME, 16000, [heat_map], "A") for heat_map in maps]
    assert [figure.content()["tracks"][1]["diverging"] for figure in figures] == [False, True]
    image = figures[1].figure().axes[1].images[0]
    low, high, middle = (image.cmap(image.norm(level))[:3] for level in (0, 15, 7.5))
    assert low[2] > low[0] + 0.2 and high[0] > high[2] + 0.2 and min(middle) > 0.9
    assert figures[0].figure().axes[1].images[0].cmap.name == "Blues"


def test_without_anywidget_it_is_html(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    _widget_class.cache_clear()
    bundle, _ = player(0.1 * TIME, 16000, tracks(), "A </script>")._repr_mimebundle_()
    _widget_class.cache_clear()
    html = bundle["text/html"]
    assert WIDGET_MIME not in bundle and html.count("</script>") == 2 and "mountAll();" in html
    assert html.count("<style>") == 1 and 'alt="A &lt;/script&gt; (1.0 s)' in html
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', html)[1])
    assert data["title"] == "A </script>" and "audio" not in data
    assert len(base64.b64decode(data["tracks"][1]["data"])) == 200
    sound = base64.b64decode(re.search(r'src="data:audio/flac;base64,([^"]*)"', html)[1])
    assert soundfile.info(io.BytesIO(sound)).frames == 16000


def test_page_code_names_no_address():
    assert not re.search(r"https?://|@import|url\(", "".join(CODE.values()))


NAN = np.full(10, np.nan)
WRONG = {
    "NaN or infinity, first in frame 0": lambda: Curve("c", NAN, 0.1),
    r"0 to 2, outside \[0, 1\]; give limits": lambda: Curve("c", np.linspace(0, 2, 10), 0.1),
    "apply sigmoid or softmax first": lambda: ClassBars("c", np.eye(3) * 3, LABELS, 0.1),
    r"\(frames, columns\), not \(2, 2, 2\)": lambda: HeatMap("c", np.zeros((2, 2, 2)), "ab", 0.1),
    "2 labels for 3 columns": lambda: HeatMap("c", np.eye(3), "ab", 0.1),
    "0 labels for 2 columns": lambda: Curve("c", np.zeros((5, 2)), 0.1),
    "hop_s is the time from frame to frame in seconds, not 0": lambda: Curve("c", np.zeros(5), 0),
    "start_s is a time": lambda: Curve("c", np.zeros(5), 0.1, start_s=-1),
    "limits are": lambda: Curve("c", np.zeros(5), 0.1, limits=(1, 0)),
    'must sum to one; use kind="bars"': lambda: ClassBars("c", np.full((4, 3), 0.9), LABELS, 0.1, kind="pie"),
    'kind is "bars" or "pie"': lambda: ClassBars("c", GENRES, LABELS, 0.1, kind="cake"),
    "21 classes are too many": lambda: ClassBars("c", np.zeros((4, 21)), range(21), 0.1),
    "there are no segments": lambda: Segments("c", []),
    r"list of \(start_s, end_s, label\)": lambda: Segments("c", [(1, 2)]),
    "goes from 2 s to 1 s": lambda: Segments("c", [(2, 1, "x")]),
    "labels are the reader's choice; they need editable=True": lambda: Segments("c", [(0, 1, "x")], labels=["x"]),
    "'b' .3 s to 5 s. overlaps 'a', which starts at 4.9 s": lambda: Segments(
        "c", [(4.9, 6, "a"), (3, 5, "b")], editable=True
    ),
    "'b' is none of the labels a": lambda: Segments("c", [(3, 5, "b")], editable=True, labels=["a"]),
    "without segments give the labels": lambda: Segments("c", [], editable=True),
    "'x' goes from 1.2 s to 1.3 s, but the sound ends at 1 s": lambda: player(
        TIME, 16000, [Segments("c", [(0, 1, "x"), (1.2, 1.3, "x")], editable=True)]
    ),
    "Two tracks of segments are named 'c'": lambda: player(
        TIME, 16000, [Segments("c", [(0, 1, "x")]), Segments("c", [(0, 1, "x")], editable=True)]
    ),
    "There is no track of segments 'd', but: c": lambda: player(TIME, 16000, [Segments("c", [(0, 1, "x")])]).segments(
        "d"
    ),
    "mix down": lambda: player(np.zeros((100, 2))),
    "sample rate in Hz, such as 16000, not 0.5": lambda: player(TIME, 0.5),
    "is empty or holds NaN": lambda: player(NAN),
    "tracks holds Curve.*not ndarray": lambda: player(TIME, 16000, [np.zeros(5)]),
    "c lasts until 100.0 s, but the sound only 1.0 s: check hop_s": lambda: player(
        TIME, 16000, [Curve("c", np.zeros(100), 1.0)]
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_wrong_and_what_to_do(message):
    with pytest.raises(BadArgumentError, match=message):
        WRONG[message]()


def test_segments_that_can_be_changed():
    given = [(0.5, 1.03, "b"), (0.1, 0.5, "a")]  # the second one touches, and ends a frame after the sound
    shown = player(TIME, 16000, [Segments("s", given, editable=True), Segments("fixed", [(0, 1, "x"), (0.5, 1, "y")])])
    table = shown.segments("s")
    assert list(table.columns) == ["start_s", "end_s", "label"] and not shown.edited("s")
    assert list(table.itertuples(index=False, name=None)) == [(0.1, 0.5, "a"), (0.5, 1.0, "b")]
    assert len(shown.segments("fixed")) == 2
    track = shown.content()["tracks"][1]
    assert track["kind"] == "editable" and track["labels"] == ["a", "b"]
    assert track["segments"] == [[0.1, 0.5, "a"], [0.5, 1.0, "b"]]
    assert "s: 2 segments of a, b, which can be changed" in shown.text
    # What the browser sends, and takes back.
    first, second = (shown._repr_mimebundle_()[0][WIDGET_MIME]["model_id"] for _ in range(2))
    assert first == second, "one widget, however often it is shown"
    shown._widget.edits = {"s": [[0.2, 0.5, "a"]]}
    assert shown.edited("s") and shown.segments("s").values.tolist() == [[0.2, 0.5, "a"]]
    shown._widget.edits = {"s": []}
    assert shown.edited("s") and len(shown.segments("s")) == 0
    assert shown.segments("s").dtypes.tolist()[:2] == [float, float]
    shown._widget.edits = {}
    assert not shown.edited("s") and len(shown.segments("s")) == 2


def test_segments_to_begin_with_none():
    track = Segments("s", [], editable=True, labels=["sing", "speak"])
    assert track.summary() == "s: 0 segments of sing, speak, which can be changed" and track.end_s == 0
    shown = player(TIME, 16000, [track], "A")
    assert len(shown.segments("s")) == 0 and shown.png()


def made_map(**options):
    points = np.array([[0.0, 5.0], [1.0, 6.0], [4.0, 5.0]])
    settings = {"labels": {"genre": ["b", "a", "b"]}, "sounds": {2: 0.5 * np.ones(1600), 0: 3 * np.ones(800)}}
    return sound_map(points, **(settings | {"names": ["x", "y", "z"], "title": "M"} | options))


def test_map_holds_its_points_and_sounds():
    content = made_map().content()
    data = content["map"]
    assert data["points"] == [[0, 0], [0.25, 1], [1, 0]] and data["names"] == ["x", "y", "z"]
    assert data["labels"] == [{"name": "genre", "classes": ["a", "b"], "codes": [1, 0, 1]}]
    assert data["spans"]["2"] == pytest.approx([0, 0.1]) and data["spans"]["0"] == pytest.approx([0.3, 0.35])
    audio, rate = soundfile.read(io.BytesIO(content["audio"]))
    assert rate == 16000 and len(audio) == 1600 + 800 + 2 * 3200
    assert audio[[0, 1599]] == pytest.approx(0, abs=1e-3)  # faded in and out
    assert audio[800] == pytest.approx(0.5, abs=1e-3) and audio[1600:4800] == pytest.approx(0)
    assert audio[5200] == pytest.approx(1, abs=1e-2)  # too loud, so turned down


def test_map_figure_and_text():
    shown = made_map(labels={"genre": ["b", "a", "b"], "album": ["r", "s", "t"]}, description="Dots")
    axes = shown.figure().axes
    assert [ax.get_title(loc="left") for ax in axes] == ["M, coloured by genre", "M, coloured by album"]
    assert [text.get_text() for text in axes[1].get_legend().get_texts()] == ["r", "s", "t"]
    bundle, metadata = shown._repr_mimebundle_()
    assert bundle["text/plain"] == "M: 3 points, 2 with sound\n  Dots\n  genre: a 1, b 2\n  album: r 1, s 1, t 1"
    assert metadata == {"alt": bundle["text/plain"]} and {"image/png", WIDGET_MIME} <= set(bundle)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labels": {"genre": ["a"]}}, "one word for each"),
        ({"labels": {}}, "one word for each"),
        ({"names": ["a"]}, "one word for each"),
        ({"sounds": {}}, "at least one sound"),
        ({"sounds": {3: np.ones(9)}}, "0 to 2"),
        ({"sounds": {0: np.full(9, np.nan)}}, "NaN"),
    ],
)
def test_map_refuses(wrong, message):
    with pytest.raises(BadArgumentError, match=message):
        made_map(**wrong)
    with pytest.raises(BadArgumentError, match="finite numbers"):
        sound_map(np.zeros((3, 3)), {"a": "xyz"}, {0: np.ones(9)})
