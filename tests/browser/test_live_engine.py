"""The live page's engine, in a real browser: it gives the command line's numbers, and asks for its own files alone."""

import base64
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from page_picture import page_frame

from browser.opening import served, watch
from dl4mir_utils.apps import sing
from dl4mir_utils.apps.cli import _csv_lines, _row
from dl4mir_utils.apps.lite import network
from dl4mir_utils.apps.similar import excerpts, file_embedding, unit
from dl4mir_utils.apps.tag import HOP_S, file_tags, windows
from dl4mir_utils.data import load
from dl4mir_utils.decoding import audio_blocks, load_audio
from dl4mir_utils.live import build
from dl4mir_utils.paths import course_file
from dl4mir_utils.segments import smooth

ROOT = Path(__file__).parents[2]
MODULES = ("sound", "constant_q", "analyses", "worker")
NETWORKS = ("musicnn_mtt", "musicnn_msd", "singing_detector", "pitch", "chords", "genre_mini")
EXACT = 1e-4  # on the same 16 kHz samples
TAGS, DECISIONS = 5e-3, 0.01  # over whole files at 44.1 kHz

# What the real page does, without anything to be seen.
PAGE = """
live.unpack = async (name) => {
  const script = document.createElement("script");
  script.src = `live/${name}.js`;
  await new Promise((done) => { script.onload = done; script.onerror = done; document.head.append(script); });
  return unpacked(name);
};
live.engine = new Engine(live.unpack);
live.file = () => document.getElementById("file").files[0];
live.bytes = (array) => {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  let letters = "";
  for (let at = 0; at < bytes.length; at += 32768) letters += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(letters);
};
live.floats = (text) => new Float32Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
live.codeOf = async (task) => {
  try { await task(); return ""; } catch (error) { return `${error.code}: ${error.message}`; }
};
"""


def write_engine(folder):
    """Write a page that has the engine, and nothing else, into a folder."""
    litert = build.litert_js(ROOT / "build" / "npm")
    entry = folder / "entry.js"
    imports, names = [], []
    for module in MODULES:
        source = build.HERE / f"{module}.js"
        exported = build.EXPORT.findall(source.read_text("utf-8"))
        names += exported
        imports.append(f'import {{ {", ".join(exported)} }} from "{os.path.relpath(source, folder)}";')
    entry.write_text("\n".join([*imports, f"globalThis.live = {{ {', '.join(names)} }};", PAGE]), encoding="utf-8")
    files = {name: course_file(f"pretrained/{name}.tflite") for name in NETWORKS}
    cards = {name: json.loads(path.with_suffix(".json").read_text("utf-8")) for name, path in files.items()}
    assets = {name: path.read_bytes() for name, path in files.items()}
    assets["neighbours"] = json.dumps(some_neighbours()).encode()
    build.write_assets(folder / "live", litert, cards, assets, {"page.js": build.joined([entry])})
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{build.policy()}">'
    page = f'{head}<link rel="icon" href="data:,"><title>Engine</title><input type="file" id="file">'
    (folder / "live.html").write_text(f'<!doctype html>{page}<script defer src="live/page.js"></script>', "utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with a page that has the engine, and nothing else."""
    folder = tmp_path_factory.mktemp("live")
    try:
        write_engine(folder)
    except build._MissingError as error:
        pytest.skip(str(error))
    return folder


def clips():
    return sorted(course_file("mini/clips.csv").parent.glob("clips/*.ogg"))[:60:10]


def some_neighbours():
    vectors = unit(np.array([file_embedding(clip) for clip in clips()])).astype("<f4")
    return {
        "network": "musicnn_msd",
        "values": 200,
        "clips": [{"clip": clip.stem} for clip in clips()],
        "vectors": base64.b64encode(vectors.tobytes()).decode(),
    }


@pytest.fixture(scope="module")
def page(browser, site):
    opened = watch(browser.new_page())
    opened.goto((site / "live.html").as_uri())
    opened.evaluate("live.engine.start()")
    yield opened
    own = (site.as_uri(), "blob:", "data:")
    assert [address for address in opened.asked if not address.startswith(own)] == []
    assert opened.complaints == []


@pytest.fixture(scope="module")
def song():
    """A minute of voices and music, mono at 16 kHz: longer than any block."""
    mixes = load("mini/singing")
    return np.concatenate([mixes.mix("test", number)[0] for number in range(8)])[: 60 * 16000 - 777]


@pytest.fixture(scope="module")
def same_samples(song, tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "song, “same”.wav"
    soundfile.write(path, song, 16000, subtype="FLOAT")
    return path


def analysed(page, path, wanted):
    """Return what the page finds, with arrays as lists, and how many parts of each kind came before."""
    page.set_input_files("#file", str(path))
    return page.evaluate(
        """async (wanted) => {
          const parts = {};
          const song = await live.engine.open(await live.decode(live.file()));
          const count = (part) => { parts[part.kind] = (parts[part.kind] ?? 0) + 1; };
          const result = await live.engine.analyse(song.id, wanted, count).done;
          await live.engine.close(song.id);
          const list = (key, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
          return { parts, song, ...JSON.parse(JSON.stringify(result, list)) };
        }""",
        wanted,
    )


def rows(found):
    return np.array(found["rows"]).reshape(found["frames"], found["columns"])


def test_tags_are_those_of_the_same_network_in_python(page, same_samples):
    found = analysed(page, same_samples, {"tags": ["musicnn_mtt", "musicnn_msd"]})
    for name, tags in found["tags"].items():
        tagger = network(name)
        cut = windows(audio_blocks(same_samples), tagger.card["window_samples"], HOP_S * 16000)
        wanted = np.array([tagger("window", audio=window[np.newaxis, :, np.newaxis])["tags"][0] for window in cut])
        np.testing.assert_allclose(rows(tags), wanted, atol=EXACT)
        np.testing.assert_allclose(tags["mean"], file_tags(same_samples, name), atol=EXACT)
        assert tags["labels"] == tagger.card["labels"] and tags["hop_s"] == 3
    assert found["parts"]["tags"] > 2 and found["parts"]["progress"] > 2


# Of a clip's length, which is one of the network's; shorter than the front end's shortest block; and very short.
@pytest.mark.parametrize("seconds", [60, 10, 3.0, 0.2])
def test_singing_is_that_of_the_same_network_in_python(page, song, tmp_path, seconds):
    soundfile.write(tmp_path / "song.wav", song[: round(seconds * 16000)], 16000, subtype="FLOAT")
    found = analysed(page, tmp_path / "song.wav", {"singing": True})["singing"]
    wanted = sing.sung(tmp_path / "song.wav")
    assert found["frames"] == len(wanted.probability) and found["hop_s"] == wanted.hop_s
    if seconds >= 10:
        np.testing.assert_allclose(found["probability"], wanted.probability, atol=EXACT)
        np.testing.assert_allclose([segment[:2] for segment in found["segments"]], [s[:2] for s in wanted.segments])


def test_few_decisions_on_singing_change_between_the_lengths_that_a_browser_knows(page, tmp_path):
    """Of all decisions on short sounds: where a passage is as near to the threshold as can be, many of one change."""
    mixes, changed, frames = load("mini/singing"), 0, 0
    for first in (0, 8, 16):
        song = np.concatenate([mixes.mix("test", first + number)[0] for number in range(8)])
        for seconds in (5.0, 8.0, 12.0, 17.0, 25.0, 33.0, 50.0):
            soundfile.write(tmp_path / "song.wav", song[: round(seconds * 16000)], 16000, subtype="FLOAT")
            found = analysed(page, tmp_path / "song.wav", {"singing": True})["singing"]
            wanted = sing.sung(tmp_path / "song.wav").probability
            sung, threshold = np.array(found["probability"], np.float32), np.float32(found["threshold"])
            changed += np.sum((sung >= threshold) != (wanted >= threshold))
            frames += len(wanted)
    assert frames > 3000 and changed <= DECISIONS * frames, f"{changed} of {frames}"


def test_genre_is_that_of_the_same_network_in_python(page, same_samples, song):
    found = analysed(page, same_samples, {"genre": "genre_mini"})["genre"]
    model = network("genre_mini")
    length, hop = model.card["window_samples"], model.card["hop_samples"]
    starts = range(0, len(song) - length + 1, hop)
    wanted = [model("window", audio=song[np.newaxis, at : at + length, np.newaxis])["genre"][0] for at in starts]
    np.testing.assert_allclose(rows(found), wanted, atol=EXACT)
    reach = model.card["smooth_windows"] // 2
    smoothed = np.array([np.mean(wanted[max(0, i - reach) : i + reach + 1], axis=0) for i in range(len(wanted))])
    np.testing.assert_allclose(np.ravel(found["smoothed"]), smoothed.ravel(), atol=EXACT)
    clear = np.abs(smoothed.max(axis=1) - found["unsure_below"]) > EXACT
    sure = smoothed.max(axis=1) >= found["unsure_below"]
    np.testing.assert_array_equal(np.array(found["sure"], bool)[clear], sure[clear])
    assert found["start_s"] + found["hop_s"] / 2 == pytest.approx(length / 2 / 16000)


def test_a_clip_is_most_like_itself(page):
    for clip in clips()[:2]:
        found = analysed(page, clip, {"similar": True})["similar"]
        vector = file_embedding(clip)
        np.testing.assert_allclose(found["embedding"], vector, atol=0.02 * np.abs(vector).max())
        nearest = found["nearest"]
        assert nearest[0]["clip"] == clip.stem and nearest[0]["similarity"] == pytest.approx(1, abs=1e-3)
        assert [each["similarity"] for each in nearest] == sorted(
            (each["similarity"] for each in nearest), reverse=True
        )


def test_embeddings_are_those_of_the_same_network_in_python(page, same_samples):
    found = analysed(page, same_samples, {"similar": True})["similar"]
    tagger = network("musicnn_msd")
    cut = excerpts(same_samples, 16000, tagger.card["window_samples"])
    wanted = np.mean([tagger("window", audio=each[np.newaxis, :, np.newaxis])["embedding"][0] for each in cut], axis=0)
    np.testing.assert_allclose(found["embedding"], wanted, atol=EXACT * np.abs(wanted).max())


@pytest.fixture(scope="module", params=["wav", "flac", "ogg", "mp3"])
def stereo_file(request, song, tmp_path_factory):
    """The song in stereo at 44.1 kHz, in a format with or without loss."""
    high = soxr.resample(song, 16000, 44100)
    noise = np.random.default_rng(0).normal(0, 1e-3, len(high))  # something above 8 kHz, to be filtered away
    sound = np.clip(np.stack([high + noise, 0.6 * high], axis=1), -1, 1).astype(np.float32)
    path = tmp_path_factory.mktemp("sound") / f"song.{request.param}"
    with soundfile.SoundFile(path, "w", 44100, 2) as file:
        for start in range(0, len(sound), 8192):  # libsndfile crashes where it gets a minute of Vorbis at once
            file.write(sound[start : start + 8192])
    return path


def test_whole_files_are_heard_as_on_the_command_line(page, stereo_file):
    found = analysed(page, stereo_file, {"tags": ["musicnn_mtt"], "singing": True})
    np.testing.assert_allclose(found["tags"]["musicnn_mtt"]["mean"], file_tags(stereo_file, "musicnn_mtt"), atol=TAGS)
    wanted = sing.sung(stereo_file)
    assert found["duration_s"] == pytest.approx(wanted.duration_s, abs=1e-4)
    sung, threshold = np.array(found["singing"]["probability"], np.float32), np.float32(found["singing"]["threshold"])
    assert len(sung) == len(wanted.probability)
    assert np.mean((sung >= threshold) != (wanted.probability >= threshold)) <= DECISIONS


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 32000, 44100, 48000, 96000])
def test_the_resampler_does_as_soxr(page, rate):
    rng = np.random.default_rng(rate)
    times = np.arange(2 * rate + 17) / rate
    # Below nine tenths of half the lower rate, where both pass all, and above half of it, where both pass nothing.
    tones = rng.uniform(50, 0.9 * min(rate, 16000) / 2, 30)
    tones = np.append(tones, rng.uniform(8100, rate / 2, 5) if rate > 16200 else [])
    audio = sum(np.sin(2 * np.pi * hz * times + rng.uniform(0, 6)) for hz in tones) / 40
    audio = (audio * np.hanning(len(audio))).astype(np.float32)
    wanted = soxr.resample(audio, rate, 16000)
    whole, in_parts, *in_spans = page.evaluate(
        """([text, rate]) => {
          const audio = live.floats(text), parts = new live.StreamResampler(rate), found = [];
          for (let at = 0; at < audio.length; at += 997) found.push(parts.push(audio.slice(at, at + 997)));
          const inSpans = [1, 2, 3].map((most) =>
            live.joined(
              live.spans(audio.length, rate, 16000, most).map(({ first, end, skip, count }) =>
                live.resample(audio.slice(first, end), rate).slice(skip, skip + count),
              ),
            ),
          );
          return [live.resample(audio, rate), live.joined([...found, parts.finish()]), ...inSpans].map(live.bytes);
        }""",
        [base64.b64encode(audio.tobytes()).decode(), rate],
    )
    found = np.frombuffer(base64.b64decode(whole), np.float32)
    np.testing.assert_allclose(found, wanted, atol=EXACT)
    for same in (in_parts, *in_spans):
        np.testing.assert_array_equal(np.frombuffer(base64.b64decode(same), np.float32), found)


@pytest.mark.parametrize(
    ("ending", "rate", "options"),
    [
        ("wav", 22050, {}),
        ("wav", 96000, {"subtype": "PCM_24"}),
        ("flac", 32000, {}),
        ("ogg", 44100, {}),
        ("opus", 48000, {"format": "OGG", "subtype": "OPUS"}),
        ("mp3", 24000, {}),
        ("mp3", 48000, {}),
        ("aiff", 44100, {"subtype": "PCM_24"}),
        ("aif", 16000, {"format": "AIFF", "subtype": "FLOAT"}),
    ],
)
def test_files_are_decoded_at_their_own_rate(page, tmp_path, ending, rate, options):
    sound = np.stack([0.4 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate), np.zeros(2 * rate)], axis=1)
    path = tmp_path / f"tone.{ending}"
    soundfile.write(path, sound, rate, **options)
    page.set_input_files("#file", str(path))
    about, found, samples = page.evaluate(
        """async () => {
          const about = live.describe(await live.file().arrayBuffer());
          const { mono, rate } = await live.decode(live.file());
          return [about, rate, live.bytes(live.resample(mono, rate))];
        }"""
    )
    assert about["rate"] == found == rate
    assert about["channels"] == 2 and about["duration_s"] == pytest.approx(2, abs=0.11)
    samples, wanted = np.frombuffer(base64.b64decode(samples), np.float32), load_audio(path)
    assert len(samples) == pytest.approx(len(wanted), abs=600)
    np.testing.assert_allclose(samples[2000:28000], wanted[2000:28000], atol=2e-3)


def test_what_cannot_be_heard_is_told_kindly(page, tmp_path):
    tone = 0.3 * np.sin(np.arange(16000) / 9)
    sounds = {"silent": 0 * tone, "too_short": tone[1:2]}
    for name, sound in sounds.items():
        soundfile.write(tmp_path / name, sound, 16000, format="WAV")
    soundfile.write(tmp_path / "no_sound", tone[:0], 16000, format="WAV")
    soundfile.write(tmp_path / "good.flac", tone, 16000)
    content = (tmp_path / "good.flac").read_bytes()
    (tmp_path / "not_sound").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "text").write_text("This is no sound, but a letter.\n" * 20, encoding="utf-8")
    (tmp_path / "empty").write_bytes(b"")
    # A header that claims an hour, of which there is a second; and one that claims no rate at all.
    long = bytearray(content)
    long[22:26] = (3600 * 16000).to_bytes(4, "big")
    (tmp_path / "too_long").write_bytes(long)
    (tmp_path / "rate").write_bytes(content[:18] + b"\x00\x00\x00" + content[21:])
    for name in ("silent", "too_short", "no_sound", "not_sound", "text", "empty", "too_long", "rate"):
        page.set_input_files("#file", str((tmp_path / name).rename(tmp_path / f"{name}.wav")))
        told = page.evaluate(
            "live.codeOf(async () => live.engine.open(await live.decode(live.file())))",
        )
        assert told.partition(":")[0] == name, told
        assert told.endswith((".", "better.")) and "undefined" not in told
    told = page.evaluate("live.codeOf(() => live.decode({ size: 5e8 }))")
    assert told.startswith("too_large: This file has 500 MB")
    assert page.evaluate("live.codeOf(() => live.unpack('nothing'))").startswith("missing: ")
    page.complaints.clear()  # the browser names the script that is not there


def test_assets_of_any_length_are_unpacked(page):
    for size in range(40):
        script = build.pack("some", bytes(range(200, 200 + size))).decode("utf-16")
        found = page.evaluate(
            "async script => { (0, eval)(script); return [...new Uint8Array(await live.unpacked('some'))] }", script
        )
        assert found == list(range(200, 200 + size))


def test_an_asset_of_an_older_page_is_named(page):
    page.evaluate("globalThis.PACK = { some: 'H4sI' }")
    said = page.evaluate("live.unpacked('some').then(() => '', (error) => `${error.code}: ${error.message}`)")
    assert said.startswith("outdated: ") and "live/some.js" in said and "load the page again" in said


def test_a_task_can_be_stopped_and_another_begun(page, same_samples):
    page.set_input_files("#file", str(same_samples))
    stopped_ms, code, frames = page.evaluate(
        """async () => {
          const song = await live.engine.open(await live.decode(live.file()));
          let stopped = 0, job;
          const begun = new Promise((done) => {
            const wanted = { tags: ["musicnn_mtt"], singing: true };
            job = live.engine.analyse(song.id, wanted, (part) => part.kind === "tags" && done());
          });
          await begun;
          stopped = performance.now();
          job.cancel();
          const code = await live.codeOf(() => job.done);
          const ms = performance.now() - stopped;
          const after = await live.engine.analyse(song.id, { tags: ["musicnn_mtt"] }).done;
          return [ms, code, after.tags.musicnn_mtt.frames];
        }"""
    )
    assert code.startswith("cancelled") and frames == 19
    assert stopped_ms < 3000


def test_files_to_take_along_are_those_of_the_command_line(page, same_samples):
    song = sing.sung(same_samples)
    tags = file_tags(same_samples, "musicnn_mtt")
    labels = network("musicnn_mtt").card["labels"]
    given = {"probability": song.probability.tolist(), "segments": song.segments, "mean": tags.tolist()}
    made = page.evaluate(
        """([{ probability, segments, mean }, labels, name, hop_s, duration_s]) => {
          const singing = { probability: Float32Array.from(probability), segments, hop_s };
          const tags = { labels, mean: Float32Array.from(mean) };
          return {
            labels: live.audacityLabels(singing), frames: live.framesCsv(singing),
            singing: live.singingJson(name, singing, duration_s),
            csv: live.tagsCsv(name, tags), json: live.tagsJson(name, tags),
            none: live.singingJson(name, { segments: [] }, 10.0625), nothing: live.audacityLabels({ segments: [] }),
          };
        }""",
        [given, labels, same_samples.name, song.hop_s, song.duration_s],
    )
    name = Path(same_samples.name)

    def text(lines):
        return "".join(f"{line}\n" for line in lines)

    assert made["labels"] == text(sing.audacity(song)) and made["labels"].count("\n") > 3
    values = (f"{frame * song.hop_s:.3f},{value:.4f}" for frame, value in enumerate(song.probability))
    assert made["frames"] == text(["time_s,probability", *values])
    assert made["singing"] == text([json.dumps([_row(name, song)], indent=1, ensure_ascii=False)])
    silent = song._replace(segments=(), duration_s=10.0625)
    assert made["none"] == text([json.dumps([_row(name, silent)], indent=1, ensure_ascii=False)])
    assert made["nothing"] == ""
    answer = {labels[i]: round(float(tags[i]), 4) for i in tags.argsort()[::-1]}
    assert made["json"] == text([json.dumps([{"file": str(name), "tags": answer}], indent=1, ensure_ascii=False)])
    assert made["csv"] == text(_csv_lines(["file", *labels], [{"file": str(name)} | answer]))


def test_the_microphone_is_heard_like_a_file(page, song):
    """Sound that comes in parts, faster than it would: pitch, chord, tags, genre and singing."""
    audio = song[: 16 * 16000].astype(np.float32)
    parts, end = page.evaluate(
        """async (text) => {
          const audio = live.floats(text), parts = [];
          const wanted = { rate: 16000, tags: "musicnn_mtt", genre: "genre_mini", singing: true, notes: true };
          const list = (key, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
          let heard = () => {};
          const listening = await live.engine.listen(wanted, (part) => {
            parts.push(JSON.parse(JSON.stringify(part, list)));
            if (part.kind === "singing") heard();
          });
          for (let at = 0; at < audio.length; at += 1024) {
            // From when on all three answer, each hop waits for singing, which comes last.
            const due = at >= 35 * 2048 && (at / 2048) % 7 === 0;
            const next = due && new Promise((done) => { heard = done; setTimeout(done, 4000); });
            listening.push(audio.slice(at, at + 1024));
            if (next) await next;
          }
          return [parts, await listening.stop()];
        }""",
        base64.b64encode(audio.tobytes()).decode(),
    )
    assert end["duration_s"] == pytest.approx(16)
    kinds = {part["kind"] for part in parts}
    assert kinds == {"level", "mel", "notes", "tags", "genre", "singing"}
    *_, last = (part for part in parts if part["kind"] == "tags")
    heard = audio[: round(last["end_s"] * 16000)][-48128:]
    wanted = network("musicnn_mtt")("window", audio=heard[np.newaxis, :, np.newaxis])["tags"][0]
    np.testing.assert_allclose(last["values"], wanted, atol=EXACT)
    notes = [part for part in parts if part["kind"] == "notes" and not part["silent"] and part["chord"]]
    assert len(notes) > 8  # as many as pushes in a row, of which only the newest frame is asked for
    for part in notes[::4]:
        frame = np.array(part["picture"], np.float32)
        assert frame.min() == 0 and frame.max() == 1
        np.testing.assert_allclose(
            part["pitch"], network("pitch")("frame", frame=frame[np.newaxis])["pitch"][0], atol=EXACT
        )
    *_, last = (part for part in parts if part["kind"] == "singing")
    assert last["provisional"] < last["first"] + last["frames"] <= last["end_s"] / last["hop_s"] + 1e-6
    # What stays as it is, is what the whole file's answer would be, but for what the recurrent layers did not hear yet.
    first, last_sure = last["first"], last["provisional"] - last["first"]
    found = np.array(last["probability"][:last_sure], np.float32)
    wanted = whole_song(audio)[first : first + last_sure]
    assert first == 0 and last_sure > 100
    assert np.mean((found >= last["threshold"]) != (wanted >= last["threshold"])) <= 0.03
    assert np.abs(found - wanted).mean() < 0.04


def whole_song(audio):
    """How likely each step is sung, if all of it is known."""
    detector = network("singing_detector")
    audio = np.pad(audio, (0, -len(audio) % 2048))
    seen = detector("front_end", audio=audio[np.newaxis, :, np.newaxis])
    return smooth(detector("ensemble", **seen)["singing"][0], detector.card["median_steps"])


def test_the_picture_of_pitch_and_chords_is_that_of_numpy(page, song):
    """Anywhere in a sound, also where a frame reaches beyond its ends."""
    rng, time_s = np.random.default_rng(0), np.arange(16000) / 16000
    sounds = {
        "sine": 0.5 * np.sin(2 * np.pi * 440 * time_s),
        "chord": sum(np.sin(2 * np.pi * hz * k * time_s) / k for hz in (262, 330, 392) for k in (1, 2, 3)) / 8,
        "noise": rng.normal(0, 0.1, 16000),
        "music": song[20 * 16000 : 21 * 16000],
        "faint": 3e-4 * song[20 * 16000 : 21 * 16000] / np.abs(song).max() + 1e-4 * np.sin(9000 * time_s),
        "short": rng.normal(0, 0.1, 700),
    }
    places = [0, 512, 5000, 8191, 15000]
    for name, sound in sounds.items():
        audio = sound.astype(np.float32)
        inside = [place for place in places if place < len(audio)]
        found = page.evaluate(
            """([text, places]) => {
              const audio = live.floats(text);
              return places.map((place) => Array.from(live.constantQ(audio, place)));
            }""",
            [base64.b64encode(audio.tobytes()).decode(), inside],
        )
        wanted = [page_frame(audio, place) for place in inside]
        np.testing.assert_allclose(found, wanted, atol=EXACT, err_msg=name)


def test_silence_has_no_picture(page):
    silent = "(level) => live.constantQ(new Float32Array(8000).fill(level), 4000)"
    assert page.evaluate(silent, 0) is None and page.evaluate(silent, 9e-5) is None
    assert page.evaluate(silent, 2e-4) is not None


OWN = {
    "title": "Loudness",
    "sample_rate_hz": 16000,
    "audio": "float32, one channel in [-1, 1]",
    "labels": ["loud"],
    "signatures": {"block": {"inputs": {"audio": [1, 1024, 1]}, "outputs": {"level": [1, 4, 1]}}},
}


@pytest.mark.parametrize(
    ("without", "named"),
    [
        ("labels", "the labels (labels)"),
        ("sample_rate_hz", "the sample rate (sample_rate_hz)"),
        ("audio", "the scaling of the sound (audio)"),
        ("signatures", "a window of fixed length"),
    ],
)
def test_a_card_that_lacks_something_is_refused_by_its_name(page, without, named):
    card = {key: value for key, value in OWN.items() if key != without}
    told = page.evaluate("(text) => live.codeOf(() => live.checkCard(text, 'own.json'))", json.dumps(card))
    assert told.startswith("card: own.json does not name ") and named in told


def test_a_network_of_ones_own_runs(page, same_samples, tmp_path):
    import keras

    from dl4mir_utils.models.lite import Signature, to_tflite

    sound = keras.Input((None, 1))
    model = keras.Model(sound, keras.layers.MaxPooling1D(256)(sound))
    facts = {"labels": ["loud"], "title": "Loudness"}
    card = to_tflite(tmp_path / "own.tflite", {"block": Signature(model, {"audio": (1, 1024, 1)}, ["level"])}, **facts)
    page.set_input_files("#file", str(same_samples))
    found = page.evaluate(
        """async ([bytes, text]) => {
          const buffer = live.floats(bytes).buffer;
          const name = await live.engine.add(buffer, live.checkCard(text, "own.json"));
          const song = await live.engine.open(await live.decode(live.file()));
          const { own } = await live.engine.analyse(song.id, { own: name }).done;
          await live.engine.remove(name);
          return { ...own, rows: Array.from(own.rows), mean: Array.from(own.mean) };
        }""",
        [base64.b64encode(whole_floats((tmp_path / "own.tflite").read_bytes())).decode(), json.dumps(card)],
    )
    audio = load_audio(same_samples)
    wanted = np.pad(audio, (0, -len(audio) % 256)).reshape(-1, 256).max(axis=1)
    np.testing.assert_allclose(found["rows"], wanted, atol=EXACT)
    assert found["hop_s"] == pytest.approx(256 / 16000) and found["title"] == "Loudness"
    told = page.evaluate(
        "([text]) => live.codeOf(() => live.engine.add(new Uint8Array(5000).buffer, live.checkCard(text, 'own.json')))",
        [json.dumps(OWN)],
    )
    assert told.startswith("network: LiteRT cannot run this network")


def test_a_network_that_dl4mir_train_writes_runs(page, same_samples, tmp_path):
    from dl4mir_utils import own_genre
    from dl4mir_utils.apps.lite import Network

    head = own_genre.Head(np.random.default_rng(0).normal(0, 0.05, (200, 3)), np.zeros(3))
    card = own_genre._export(tmp_path / "my.tflite", head, ["a", "b", "c"], {"hop_samples": own_genre.HOP})
    page.set_input_files("#file", str(same_samples))
    content = (tmp_path / "my.tflite").read_bytes()
    found = page.evaluate(
        """async ([bytes, length, text]) => {
          const buffer = live.floats(bytes).buffer.slice(0, length);
          const name = await live.engine.add(buffer, live.checkCard(text, "my.json"));
          const song = await live.engine.open(await live.decode(live.file()));
          const { own } = await live.engine.analyse(song.id, { own: name }).done;
          await live.engine.remove(name);
          return { ...own, rows: Array.from(own.rows), mean: Array.from(own.mean) };
        }""",
        [base64.b64encode(whole_floats(content)).decode(), len(content), json.dumps(card)],
    )
    audio, written = load_audio(same_samples), Network(tmp_path / "my.tflite")
    window = card["signatures"]["window"]["inputs"]["audio"][1]
    starts = range(0, len(audio), own_genre.HOP)
    pieces = [np.pad(piece := audio[start : start + window], (0, window - len(piece))) for start in starts]
    wanted = [written("window", audio=piece[np.newaxis, :, np.newaxis])["genre"][0] for piece in pieces]
    rows = np.reshape(found["rows"], (-1, 3))
    np.testing.assert_allclose(rows, wanted[: len(rows)], atol=EXACT)
    assert found["labels"] == ["a", "b", "c"] and found["hop_s"] == pytest.approx(own_genre.HOP / 16000)


def whole_floats(content):
    return content + bytes(-len(content) % 4)


def test_a_server_makes_no_difference(browser, site, same_samples):
    with served(site) as address:
        opened = watch(browser.new_page())
        opened.goto(f"{address}/live.html")
        found = analysed(opened, same_samples, {"tags": ["musicnn_mtt"]})["tags"]["musicnn_mtt"]
        np.testing.assert_allclose(found["mean"], file_tags(same_samples, "musicnn_mtt"), atol=EXACT)
        assert [each for each in opened.asked if not each.startswith((address, "blob:", "data:"))] == []
        assert opened.complaints == []
        opened.close()
