// The live page: the reader's sound goes in, and what the course's networks hear in it comes out.
//
// Names of files, titles, tags and labels come from outside. They are only ever put into texts, never into markup.

import {
  STRONGEST,
  genreTagsTrack,
  genreTrack,
  ownTrack,
  pictureTrack,
  segmentsTrack,
  singingTrack,
  tagsTrack,
} from "./tracks.js";
import { downloadsOf, fileName, save } from "./downloads.js";
import { LiveView, MOST_RECORDED_S, troubleOf } from "./microphone.js";
import { pieTrack } from "./pie.js";
import { LiveError, RATE, decode, describe, unpacked, wav } from "./sound.js";
import { Engine, checkCard } from "./worker.js";
import { openMicrophone } from "../player/capture.js";
import { TRACKS, make, mount, say } from "../player/player.js";

TRACKS.genre = pieTrack;

const GENRE = "genre_mini";
const DOING = {
  picture: "Drawing its picture",
  [GENRE]: "Listening for the genre",
  similar: "Looking for what sounds alike",
  musicnn_mtt: "Naming tags (MagnaTagATune)",
  musicnn_msd: "Naming tags (Million Song Dataset)",
  singing: "Listening for singing",
};
const AT_A_GLANCE = 5; // tags
const NEIGHBOURS = 8;
const NEIGHBOURS_ASKED = NEIGHBOURS + 1; // a clip of the course is its own nearest
const DRAWN_EVERY_MS = 200; // while answers come in
const MOSTLY = 0.5;
// The browser may seek in these only roughly, or cannot play them: the player plays the samples that were heard.
const PLAYED_AS_SAMPLES = new Set(["mp3", "aac", "aiff", ""]);

/** @param {string} id */
const part = (id) => document.getElementById(id);
const main = part("content");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Load live/<name>.js, which puts a packed asset into PACK, and unpack it. */
async function unpack(name) {
  const script = document.createElement("script");
  try {
    await new Promise((done, failed) => {
      script.onload = done;
      script.onerror = () => failed(new LiveError("missing", `live/${name}.js`));
      script.src = `live/${name}.js`;
      document.head.append(script);
    });
  } finally {
    script.remove();
  }
  return unpacked(name);
}

const engine = new Engine(unpack);

// --- what is said ---------------------------------------------------------------------------------------------------

/** For screen readers: what has changed. */
const tell = (text) => say(part("spoken"), text);

function complain(text, about = "") {
  const box = part("trouble");
  box.hidden = false;
  // An alert is read out when its text changes while it is shown.
  box.textContent = "";
  box.textContent = about ? `${about}: ${text}` : text;
  box.scrollIntoView({ block: "nearest", behavior: calm.matches ? "auto" : "smooth" });
}

function noTrouble() {
  part("trouble").hidden = true;
}

/** What went wrong, in words; what is not made for the reader gets a sentence around it. */
function wordsOf(error) {
  return error instanceof LiveError ? error.message : new LiveError("worker", String(error?.message ?? error)).message;
}

/** Show one of the two views below the choice, or none. @param {"result" | "listening" | null} which */
function showView(which) {
  for (const id of ["result", "listening"]) part(id).hidden = id !== which;
  part("choose").classList.toggle("compact", which !== null);
  say(part("drop-title"), which ? "Drop another sound here" : "Drop a sound here");
  showOwnNext();
}

/** Bring a section into view, and the focus to its heading: what was asked for stands there. */
function goTo(heading) {
  heading.focus({ preventScroll: true });
  heading.scrollIntoView({ block: "start", behavior: calm.matches ? "auto" : "smooth" });
}

const percent = (share) => `${Math.round(100 * share)} %`;

// --- the sound that is open -----------------------------------------------------------------------------------------

/**
 * @typedef {object} Song
 * @property {Blob} file as it was chosen
 * @property {string} name
 * @property {any} clip of the course, or null
 * @property {Map<number, Promise<number>>} ids of its samples in the engine, by sample rate
 * @property {number} duration_s
 * @property {any} result what is known
 * @property {Set<string>} done what is known completely
 * @property {boolean} running whether the networks listen to it
 * @property {any} job of the engine that runs now, or null
 * @property {string} runs the network of the reader's own that the job is for, or ""
 * @property {boolean} stopped by the reader
 * @property {boolean} finished once, at least
 * @property {Map<string, any>} tracks of the player, by what they show
 * @property {HTMLElement} player
 * @property {() => void} close
 */

/** @type {Song | null} */
let song = null;
let turn = 0; // counts what was chosen: whatever belongs to an earlier turn comes too late
let own = null; // {name, card, file} of the network of the reader's own
let tagger = "musicnn_mtt";

function closeSong() {
  turn++;
  if (!song) return;
  song.job?.cancel();
  song.close();
  for (const id of song.ids.values()) id.then((number) => engine.close(number)).catch(() => {});
  song = null;
}

/**
 * Open a sound, and let the networks listen to it.
 * @param {Blob} file
 * @param {string} name
 * @param {any} [clip] of the course
 */
async function open(file, name, clip = null) {
  await stopListening();
  clips.stop();
  closeSong();
  const mine = turn;
  noTrouble();
  showView("result");
  say(part("result-title"), clip ? clip.title : name);
  say(part("facts"), clip ? creditOf(clip) : "");
  forgetAnswers();
  working(0, "Reading the sound");
  goTo(part("result-title"));
  let opened = null;
  try {
    const { sound, address } = await read(file);
    if (mine !== turn) return;
    const { duration_s } = sound;
    engine.load(todo({ done: new Set() })).catch(() => {}); // meanwhile; what fails here is told when it is needed
    const id = await engine.open(sound, (share) => mine === turn && working(0.05 * share, "Reading the sound"));
    if (mine !== turn) return void engine.close(id.id);
    opened = {
      file,
      name,
      clip,
      ids: new Map([[RATE, Promise.resolve(id.id)]]),
      duration_s,
      result: { duration_s },
      done: new Set(),
      running: false,
      job: null,
      runs: "",
      stopped: false,
      finished: false,
      tracks: new Map(),
    };
    showPlayer(opened, address);
    song = opened;
    showOwnNext();
    const preview =
      clip?.preview_s && "a preview: the beginning of a clip, with less detail, so that answers may differ from the clip’s";
    say(part("facts"), [spoken(duration_s), clip && creditOf(clip), preview].filter(Boolean).join(" · "));
    listenOn();
  } catch (error) {
    if (mine !== turn) return;
    if (opened) closeSong();
    showView(null);
    complain(wordsOf(error), name);
    part("choose-file").focus({ preventScroll: true });
  }
}

/** Whose clip it is; its title stands above. */
function creditOf({ title, credit, artist }) {
  return (credit || artist).replace(`“${title}” `, "");
}

/** Of most clips the page has but the beginning. */
function previewOf({ preview_s }) {
  return preview_s ? `preview, ${preview_s} s` : "";
}

/** 83 -> "1 min 23 s". */
function spoken(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** Decode a sound, and make an address at which the player finds it. */
async function read(file) {
  const { format } = describe(await file.slice(0, 1 << 20).arrayBuffer());
  const sound = await decode(file);
  const played = PLAYED_AS_SAMPLES.has(format)
    ? new Blob([wav([sound.mono], sound.rate)], { type: "audio/wav" })
    : file;
  return { sound, address: URL.createObjectURL(played) };
}

function showPlayer(which, address) {
  which.tracks.set("picture", pictureTrack(null));
  const content = {
    title: which.clip ? `${which.clip.title}, ${which.clip.artist}` : which.name,
    description: "",
    duration: which.duration_s,
    tracks: [...which.tracks.values()],
  };
  const host = part("player");
  host.replaceChildren();
  const unmount = mount(host, content, address);
  which.player = host.querySelector(".dl4mir-player");
  which.close = () => (unmount(), URL.revokeObjectURL(address));
}

/** What is still to be found out about the sound. */
function todo({ done }) {
  const wanted = {};
  if (!done.has("picture")) wanted.picture = true;
  if (!done.has("genre")) wanted.genre = GENRE;
  if (!done.has("similar")) wanted.similar = NEIGHBOURS_ASKED;
  if (!done.has(tagger)) wanted.tags = [tagger];
  if (!done.has("singing")) wanted.singing = true;
  return wanted;
}

/** Let the networks listen until all that is wanted is known; more may be wanted meanwhile. */
async function listenOn() {
  const mine = song;
  if (!mine || mine.running) return;
  mine.running = true;
  mine.stopped = false;
  const started = performance.now();
  if (Object.keys(todo(mine)).length || (own && !mine.done.has(own.name))) working(0.05, "Listening");
  try {
    for (;;) {
      const wanted = todo(mine);
      const network = !Object.keys(wanted).length && own && !mine.done.has(own.name) ? own : null;
      if (!Object.keys(wanted).length && !network) break;
      const id = network ? await idAt(mine, network.card.sample_rate_hz) : await mine.ids.get(RATE);
      if (mine !== song) return;
      if (mine.stopped) throw new LiveError("cancelled");
      mine.job = engine.analyse(id, network ? { own: network.name } : wanted, (found) => mine === song && take(found));
      mine.runs = network?.name ?? "";
      const result = await mine.job.done.catch((error) => {
        if (error.code === "cancelled" && !mine.stopped) return null; // its network was taken away
        throw error;
      });
      mine.job = null;
      if (mine !== song) return;
      if (!result) continue;
      merge(mine.result, result);
      for (const name of [...Object.keys(wanted), ...(wanted.tags ?? [])]) mine.done.add(name);
      if (network) mine.done.add(network.name);
      showAnswers();
    }
    mine.running = false;
    const took_s = (performance.now() - started) / 1000;
    finished(mine.finished ? "Done." : `Done in ${spoken(took_s)}.`);
    mine.finished = true;
  } catch (error) {
    if (mine !== song) return;
    mine.job = null;
    mine.running = false;
    if (error.code === "cancelled") {
      finished("Stopped. What was found so far stays.", true);
    } else {
      finished("", true);
      complain(wordsOf(error), mine.name);
    }
  }
}

/** The number of the sound's samples in the engine at a rate; a network of one's own may want another one. */
function idAt(which, rate) {
  if (!which.ids.has(rate)) {
    const id = decode(which.file)
      .then((sound) => engine.open(sound, undefined, rate))
      .then((opened) => opened.id);
    which.ids.set(rate, id);
    id.catch(() => which.ids.delete(rate));
  }
  return which.ids.get(rate);
}

function merge(result, found) {
  const { tags, ...others } = found;
  Object.assign(result, others);
  if (tags) result.tags = { ...result.tags, ...tags };
}

/** Take in what the engine reports. */
function take(found) {
  if (found.kind === "progress") {
    const doing = DOING[found.doing] ?? (own ? `Running ${own.card.title ?? own.file}` : "Listening");
    return working(0.05 + 0.95 * found.share, doing);
  }
  merge(song.result, found.kind === "tags" ? { tags: { [found.network]: found } } : { [found.kind]: found });
  if (drawing) return;
  drawing = setTimeout(showAnswers, Math.max(0, lastDrawn + DRAWN_EVERY_MS - performance.now()));
}

// --- progress -------------------------------------------------------------------------------------------------------

let doingNow = "";

function working(share, doing) {
  part("work").classList.remove("finished");
  part("cancel").hidden = false;
  part("again").hidden = true;
  part("progress").hidden = false;
  part("progress-fill").style.transform = `scaleX(${share.toFixed(3)})`;
  part("progress").setAttribute("aria-valuenow", Math.round(100 * share));
  say(part("doing"), `${doing} …`);
  if (doing !== doingNow) tell(doing);
  doingNow = doing;
}

function finished(text, again = false) {
  const hadFocus = document.activeElement === part("cancel");
  part("work").classList.add("finished");
  part("progress").hidden = true;
  part("cancel").hidden = true;
  part("again").hidden = !again;
  say(part("doing"), text);
  doingNow = "";
  tell(again ? text : [text, ...summary()].join(" "));
  if (hadFocus) (again ? part("again") : part("result-title")).focus({ preventScroll: true });
  showAnswers();
}

// --- answers --------------------------------------------------------------------------------------------------------

let drawing = 0; // the timer, 0 if none
let lastDrawn = 0;
const drawn = new Map(); // what stands on the page, by what it shows

function forgetAnswers() {
  clearTimeout(drawing);
  drawing = 0;
  drawn.clear();
  for (const id of ["genre-answer", "singing-answer"]) say(part(id), "…");
  part("genre-answer").classList.remove("unsure");
  for (const id of ["genre-share", "genre-score", "singing-share"]) say(part(id), "");
  for (const id of ["tags-answer", "alike", "downloads", "player"]) part(id).replaceChildren();
}

/** Whether something has changed since it was drawn. */
function fresh(name, found) {
  if (!found || drawn.get(name) === found) return false;
  drawn.set(name, found);
  return true;
}

/** Draw all that is known. */
function showAnswers() {
  clearTimeout(drawing);
  drawing = 0;
  lastDrawn = performance.now();
  if (!song) return;
  const { tracks, result } = song;
  const tags = result.tags?.[tagger];
  let changed = false;
  const track = (name, content) => {
    tracks.set(name, content);
    changed = true;
  };
  if (fresh("picture", result.picture)) track("picture", pictureTrack(result.picture));
  if (fresh("tags", tags)) {
    showTags(tags);
    track("tags", tagsTrack(tags, "tags"));
    const genreTags = engine.cards[GENRE]?.genre_tags?.[tagger];
    if (genreTags) track("genre tags", genreTagsTrack(tags, genreTags, "genre tags of musicnn"));
  }
  if (!tags && tracks.delete("tags")) {
    tracks.delete("genre tags");
    part("tags-answer").replaceChildren();
    changed = true;
  }
  if (fresh("singing", result.singing)) {
    showSinging(result.singing);
    track("singing", singingTrack(result.singing));
    track("sung", segmentsTrack(result.singing));
  }
  if (fresh("genre", result.genre)) {
    showGenre(result.genre);
    track("genre", genreTrack(result.genre, song.duration_s, genreNotes().slice(0, 1)));
  }
  if (own && fresh("own", result.own)) {
    const { title, score } = own.card;
    track("own", ownTrack({ ...result.own, title: title ?? own.file }, song.duration_s, [score?.text].filter(Boolean)));
  }
  if (!result.own && tracks.delete("own")) changed = true;
  if (fresh("similar", result.similar)) showAlike(result.similar.nearest);
  if (changed) {
    const order = ["picture", "tags", "singing", "sung", "own", "genre", "genre tags"];
    song.player.dl4mir.setTracks(order.map((name) => tracks.get(name)).filter(Boolean));
  }
  showDownloads();
}

/** A list of names with bars. */
function showBars(list, entries) {
  list.replaceChildren(
    ...entries.map(([name, value]) => {
      const fill = make("span", {
        class: "fill",
        style: `transform: scaleX(${Math.min(1, Math.max(0, value)).toFixed(3)})`,
      });
      return make(
        "li",
        {},
        make("span", { class: "name", text: name }),
        make("span", { class: "bar", "aria-hidden": "true" }, fill),
        make("span", { class: "value", text: value.toFixed(2) }),
      );
    }),
  );
}

function strongest({ labels, mean }, count) {
  const order = labels.map((_, i) => i).sort((a, b) => mean[b] - mean[a]);
  return order.slice(0, count).map((i) => [labels[i], mean[i]]);
}

function showTags(tags) {
  showBars(part("tags-answer"), strongest(tags, AT_A_GLANCE));
}

/** How much of the time each genre takes, where the network was sure; and one word for all of it. */
function genreOf({ labels, smoothed, sure, frames, columns }) {
  const shares = new Array(columns).fill(0);
  for (let i = 0; i < frames; i++) {
    const row = smoothed.subarray(i * columns, (i + 1) * columns);
    if (sure[i]) shares[row.indexOf(Math.max(...row))] += 1 / frames;
  }
  const unsure = 1 - shares.reduce((a, b) => a + b, 0);
  const best = shares.indexOf(Math.max(...shares));
  const answer = shares[best] >= MOSTLY ? labels[best] : unsure >= shares[best] ? "unsure" : "mixed";
  const order = labels.map((_, i) => i).sort((a, b) => shares[b] - shares[a]);
  const words = [...order.map((i) => [labels[i], shares[i]]), ["unsure", unsure]];
  return {
    answer,
    words: words.filter(([, share]) => share >= 0.005).map(([name, share]) => `${name} in ${percent(share)}`),
  };
}

function showGenre(genre) {
  const { answer, words } = genreOf(genre);
  say(part("genre-answer"), answer);
  part("genre-answer").classList.toggle("unsure", answer === "unsure");
  say(part("genre-share"), `${words.join(", ").replace(/^./, (letter) => letter.toUpperCase())} of the time.`);
  say(part("genre-score"), genreNotes().join(" "));
}

/** What is written beside the genre: how good the network is, and where its answer proves nothing. */
function genreNotes() {
  const { score, heard } = engine.cards[GENRE] ?? {};
  return [score?.text, song?.clip && heard].filter(Boolean);
}

function sungShare({ segments }, duration_s) {
  return segments.reduce((sum, [start, end]) => sum + end - start, 0) / duration_s;
}

function showSinging(singing) {
  const heard_s = Math.min(singing.frames * singing.hop_s, song.duration_s);
  const { length } = singing.segments;
  say(part("singing-answer"), percent(sungShare(singing, heard_s)));
  const segments = length === 1 ? "1 segment" : `${length} segments`;
  say(
    part("singing-share"),
    length ? `of the time somebody sings or speaks, in ${segments}.` : "Nobody sings or speaks.",
  );
}

/** The answers in words. */
function summary() {
  const { genre, tags, singing } = song?.result ?? {};
  const words = [];
  if (genre) words.push(`Genre: ${genreOf(genre).answer}.`);
  if (tags?.[tagger])
    words.push(
      `Tags: ${strongest(tags[tagger], 3)
        .map(([name]) => name)
        .join(", ")}.`,
    );
  if (singing) words.push(`Singing: ${percent(sungShare(singing, song.duration_s))} of the time.`);
  return words;
}

function showAlike(nearest) {
  const others = nearest.filter(({ clip }) => clip !== song.clip?.clip).slice(0, NEIGHBOURS);
  part("alike").replaceChildren(
    ...others.map((clip) => {
      const title = make("strong", { text: clip.title });
      const credit = make("span", { class: "note", text: [creditOf(clip), previewOf(clip)].filter(Boolean).join(" · ") });
      const words = make("div", { class: "words" }, title, credit);
      const open = make("button", {
        type: "button",
        class: "quiet",
        text: "Open",
        "aria-label": `Open ${clip.title} in the player`,
        onclick: () => openClip(clip),
      });
      return make(
        "li",
        {},
        clips.button(clip),
        words,
        make("span", { class: "value", text: clip.similarity.toFixed(2), title: "similarity" }),
        open,
      );
    }),
  );
}

function showDownloads() {
  const files = downloadsOf(song.name, song.result);
  const key = files.map(({ ending }) => ending).join();
  if (drawn.get("downloads") === key) return;
  drawn.set("downloads", key);
  const mine = song;
  part("downloads").replaceChildren(
    ...files.map(({ title, note, ending }) => {
      // What is known now may be more than when the button was made.
      const write = () => {
        const file = downloadsOf(mine.name, mine.result).find((each) => each.ending === ending);
        save(fileName(mine.name, ending), file.text(), file.type);
      };
      return make(
        "li",
        {},
        make("button", { type: "button", text: title, onclick: write }),
        make("span", { class: "note", text: note }),
      );
    }),
  );
}

// --- clips of the course --------------------------------------------------------------------------------------------

/** Plays one clip at a time, each with the button that belongs to it. */
const clips = (() => {
  const audio = new Audio();
  const files = new Map(); // blobs by clip
  let playing = null; // its button

  function file(clip) {
    if (!files.has(clip)) {
      const loading = unpack(`clips/${clip}`).then((bytes) => new Blob([bytes], { type: "audio/ogg" }));
      files.set(clip, loading);
      loading.catch(() => files.delete(clip));
    }
    return files.get(clip);
  }

  function look(button, on) {
    button.textContent = on ? "❚❚" : "▶";
    button.setAttribute("aria-label", `${on ? "Stop" : "Play"} ${button.dataset.title}`);
  }

  function stop() {
    audio.pause();
    if (playing) look(playing, false);
    playing = null;
  }

  async function play(button, clip) {
    const again = playing === button;
    stop();
    if (again) return;
    playing = button;
    look(button, true);
    document.dispatchEvent(new CustomEvent("dl4mir-play", { detail: audio })); // players fall silent
    try {
      const blob = await file(clip);
      if (playing !== button) return;
      if (audio.src) URL.revokeObjectURL(audio.src);
      audio.src = URL.createObjectURL(blob);
      await audio.play();
    } catch (error) {
      if (playing !== button) return;
      stop();
      if (error.name !== "AbortError") complain(wordsOf(error));
    }
  }

  audio.onended = stop;
  document.addEventListener("dl4mir-play", ({ detail }) => detail !== audio && stop());

  function button(clip) {
    const made = make("button", { type: "button", class: "play" });
    made.dataset.title = [`${clip.title} by ${clip.artist}`, previewOf(clip)].filter(Boolean).join(", ");
    made.onclick = () => play(made, clip.clip);
    look(made, false);
    return made;
  }

  return { file, stop, button };
})();

async function openClip(clip) {
  try {
    // A name of its own: what the networks say of a preview is not what they say of the clip's file.
    await open(await clips.file(clip.clip), `${clip.clip}${clip.preview_s ? "_preview" : ""}.ogg`, clip);
  } catch (error) {
    complain(wordsOf(error));
  }
}

part("clips").addEventListener("submit", (event) => {
  event.preventDefault();
  const option = part("clip").selectedOptions[0];
  const { clip, title, artist, credit } = { ...option.dataset, clip: option.value };
  openClip({ clip, title, artist, credit });
});

// --- files ----------------------------------------------------------------------------------------------------------

/** A network or its card goes to the networks, all else is a sound. */
function takeFiles(files) {
  const list = [...files];
  const ofNetwork = list.filter(({ name }) => /\.(tflite|json)$/i.test(name));
  if (ofNetwork.length) return takeNetwork(ofNetwork);
  if (list.length) open(list[0], list[0].name);
}

for (const [button, input] of [
  ["choose-file", "file"],
  ["choose-own", "own-file"],
]) {
  part(button).onclick = () => part(input).click();
  part(input).onchange = () => {
    takeFiles(part(input).files);
    part(input).value = ""; // the same file may be chosen again
  };
}

let over = 0; // elements that something is being dragged over, one in the other
const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
document.addEventListener("dragenter", (event) => {
  if (!holdsFiles(event)) return;
  over++;
  main.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (holdsFiles(event) && --over <= 0) main.classList.remove("dragging");
});
document.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
document.addEventListener("drop", (event) => {
  over = 0;
  main.classList.remove("dragging");
  if (!holdsFiles(event)) return;
  event.preventDefault();
  takeFiles(event.dataTransfer.files);
});

part("cancel").onclick = () => {
  if (song) {
    song.stopped = true;
    return song.job?.cancel();
  }
  // Still reading: whatever comes of it is not wanted any more.
  closeSong();
  showView(null);
  tell("Stopped.");
  part("choose-file").focus();
};
part("again").onclick = () => {
  noTrouble();
  listenOn();
  part("cancel").focus({ preventScroll: true });
};
part("tagger").addEventListener("change", (event) => {
  tagger = event.target.value;
  drawn.delete("tags");
  if (!song) return;
  showAnswers();
  listenOn();
});

// --- a network of one's own -----------------------------------------------------------------------------------------

const pieces = { tflite: null, json: null }; // files that came, until both are there

async function takeNetwork(files) {
  noTrouble();
  for (const file of files) pieces[/\.json$/i.test(file.name) ? "json" : "tflite"] = file;
  const { tflite, json } = pieces;
  if (!tflite || !json) {
    const text = tflite
      ? `${tflite.name} is here. Now its card, the .json file that stands beside it: without it the page cannot know what the network expects.`
      : `${json.name} is here. Now the network itself, the .tflite file.`;
    say(part("own-state"), text);
    tell(text);
    return part("own").scrollIntoView({ block: "nearest" });
  }
  pieces.tflite = pieces.json = null;
  say(part("own-state"), `Loading ${tflite.name} …`);
  try {
    const card = checkCard(await json.text(), json.name);
    const name = await engine.add(await tflite.arrayBuffer(), card);
    await removeNetwork();
    own = { name, card, file: tflite.name };
    showNetwork(tflite.size);
    listenOn();
  } catch (error) {
    complain(wordsOf(error), tflite.name);
  }
  say(part("own-state"), "or drop them on the page");
}

function showNetwork(size) {
  const { card, file } = own;
  const { labels, use } = card;
  const window_s = use.samples / card.sample_rate_hz;
  const named = labels.slice(0, STRONGEST).join(", ") + (labels.length > STRONGEST ? " …" : "");
  const facts = [
    ["File", `${file}, ${(size / 1e6).toFixed(size < 1e6 ? 2 : 1)} MB`],
    [labels.length === 1 ? "Label" : `${labels.length} labels`, named],
    ["Hears", `${window_s.toFixed(2)} s at ${card.sample_rate_hz / 1000} kHz (${use.samples} samples), ${card.audio}`],
    ["Answers", use.frames === 1 ? "once a window" : `${use.frames} times a window`],
    ["From", card.source],
    ["Licence", card.licence],
  ];
  say(part("own-name"), card.title ?? file);
  part("own-facts").replaceChildren(
    ...facts
      .filter(([, text]) => text)
      .flatMap(([term, text]) => [make("dt", { text: term }), make("dd", { text: String(text) })]),
  );
  part("own-card").hidden = false;
  showOwnNext();
  tell(`${card.title ?? file} is ready.`);
  goTo(part("own-name"));
}

/** Where its answers are to be seen. */
function showOwnNext() {
  part("own-see").hidden = !song;
  part("own-wait").hidden = Boolean(song);
}

part("own-see").onclick = () => {
  song?.player.scrollIntoView({ block: "start", behavior: calm.matches ? "auto" : "smooth" });
  song?.player.focus({ preventScroll: true });
};

async function removeNetwork() {
  if (!own) return;
  const { name } = own;
  own = null;
  part("own-card").hidden = true;
  if (song?.job && song.runs === name) {
    const { job } = song;
    job.cancel();
    await job.done.catch(() => {});
  }
  if (song?.result.own?.network === name) {
    delete song.result.own;
    drawn.delete("own");
    showAnswers();
  }
  await engine.remove(name).catch(() => {});
}

part("own-remove").onclick = async () => {
  await removeNetwork();
  part("choose-own").focus();
};

// --- the microphone -------------------------------------------------------------------------------------------------

let listening = null; // {microphone, live, view, parts, samples} while it runs
let recording = null; // {parts, rate, name}

async function listen() {
  noTrouble();
  clips.stop();
  const button = part("use-microphone");
  if (button.disabled || listening) return;
  button.disabled = true;
  const asked = turn;
  let microphone = null;
  let shown = false;
  try {
    await engine.start();
    const parts = [];
    let [live, view, samples] = [null, null, 0];
    microphone = await openMicrophone(
      (sound) => {
        if (!live || !view.running) return;
        parts.push(sound.slice());
        samples += sound.length;
        view.arrived(samples / microphone.rate);
        live.push(sound);
        if (samples / microphone.rate >= MOST_RECORDED_S) {
          stopListening();
          complain(
            `The page listens for ${MOST_RECORDED_S / 60} minutes at most. What was heard is kept: save it, or see it in the player.`,
          );
        }
      },
      () => {
        stopListening();
        complain("The microphone went away. What was heard is kept.");
      },
    );
    const { cards } = engine;
    const wanted = { rate: microphone.rate, tags: part("live-tagger").value, genre: GENRE, singing: true, notes: true };
    const opened = await engine.listen(wanted, (found) => view?.show(found));
    if (asked !== turn) {
      // While the browser asked for leave, a file was chosen.
      opened.stop();
      return void (await microphone.close());
    }
    closeSong();
    shown = true;
    showView("listening");
    part("after").hidden = true;
    part("live-work").hidden = false;
    say(part("live-score"), cards[GENRE].score?.text ?? "");
    view = new LiveView({ pitch: cards.pitch.labels, chords: cards.chords.labels, genre: cards[GENRE].labels }, tell);
    live = opened;
    listening = { microphone, live, view, parts };
    main.dataset.microphone = "on";
    part("listening").live = view; // for tests
    goTo(part("listening-title"));
    part("stop").focus({ preventScroll: true });
    tell("The microphone is on.");
  } catch (error) {
    await microphone?.close();
    if (shown) showView(null);
    complain(troubleOf(error));
  } finally {
    button.disabled = false;
  }
}

/** Stop listening, if the microphone is on; what was heard stays. */
async function stopListening() {
  if (!listening) return;
  const { microphone, live, view, parts } = listening;
  listening = null;
  delete main.dataset.microphone;
  view.stop();
  recording = { parts, rate: Math.round(microphone.rate), name: `recording ${stamp(new Date())}.wav` };
  part("live-work").hidden = true;
  part("after").hidden = false;
  part("open-recording").focus({ preventScroll: true });
  tell("The microphone is off.");
  await microphone.close();
  live.stop().catch((error) => complain(wordsOf(error)));
}

/** "2026-01-31 14.05": colons are forbidden in names of files. */
function stamp(date) {
  const two = (number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}.${two(date.getMinutes())}`;
}

const recorded = () => new Blob([wav(recording.parts, recording.rate)], { type: "audio/wav" });
part("use-microphone").onclick = listen;
part("listen-again").onclick = listen;
part("stop").onclick = stopListening;
part("save-recording").onclick = () => save(recording.name, recorded(), "audio/wav");
part("open-recording").onclick = () => open(recorded(), recording.name);
part("live-tagger").onchange = (event) =>
  listening?.live.set({ tags: event.target.value }).catch((error) => complain(wordsOf(error)));

// --- start ----------------------------------------------------------------------------------------------------------

/** What the cards say about the networks. */
function showNetworks() {
  for (const item of part("networks").children) {
    const card = engine.cards[item.dataset.network];
    if (!card) continue;
    const words = [
      card.score?.text,
      card.calibration?.text,
      card.source && !/tools\//.test(card.source) && card.source,
    ].filter(Boolean);
    if (words.length) item.append(make("span", { class: "note", text: words.join(" ") }));
  }
}

async function start() {
  try {
    await engine.start();
    main.dataset.engine = "ready";
    showNetworks();
    // What nearly every sound needs is loaded while the reader still looks around.
    await engine.load({ genre: GENRE, tags: [tagger], singing: true });
  } catch (error) {
    main.dataset.engine = "failed";
    complain(wordsOf(error));
  }
}

start();
