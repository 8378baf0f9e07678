// What the networks are asked, and what is made of their answers: the same as the commands `dl4mir tag`, `sing` and
// `similar` do, so that the page shows their numbers. No DOM; whatever runs a network is handed in.

import { BINS, HOP, REACH, constantQ } from "./constant_q.js";
import { LiveError, RATE, SILENCE } from "./sound.js";

/**
 * @typedef {Record<string, Float32Array>} Arrays by name, as the card names them
 * @typedef {(network: string, signature: string, inputs: Arrays) => Promise<Arrays>} Run runs a network
 * @typedef {{run: Run, cards: Record<string, any>, report: (part: object, share: number) => void}} Work
 *   what an analysis needs: `report` shows what is known so far, and which share of the analysis is done
 */

// --- pieces of sound ------------------------------------------------------------------------------------------------

/**
 * Cut a piece out of a sound.
 * @param {Float32Array} audio
 * @param {number} start in samples; may be negative
 * @param {number} length
 * @param {number} [mirrored] how far beyond the ends the sound goes on as in a mirror; further out is silence
 */
export function piece(audio, start, length, mirrored = 0) {
  const out = new Float32Array(length);
  const from = Math.max(0, start);
  const to = Math.min(audio.length, start + length);
  if (from < to) out.set(audio.subarray(from, to), from - start);
  const last = audio.length - 1;
  for (let beyond = 1; beyond <= Math.min(mirrored, last); beyond++) {
    const before = -beyond - start;
    const after = last + beyond - start;
    if (before >= 0 && before < length) out[before] = audio[beyond];
    if (after >= 0 && after < length) out[after] = audio[last - beyond];
  }
  return out;
}

/** @param {Float32Array} audio */
export function peakOf(audio) {
  let peak = 0;
  for (const value of audio) peak = Math.max(peak, Math.abs(value));
  return peak;
}

/** The mean of rows, added up in single precision as the command line does. */
function meanRow(rows, frames, columns) {
  const mean = new Float32Array(columns);
  for (let i = 0; i < frames * columns; i++) mean[i % columns] += rows[i];
  return mean.map((sum) => sum / frames);
}

// --- tags -----------------------------------------------------------------------------------------------------------

const TAG_HOP = 3 * RATE; // windows follow each other without overlap
// Windows are cut out of a spectrogram whose frames are centred, so they begin half a frame early.
const BEYOND = 256;

/**
 * Tags over time: windows of three seconds, one after the other.
 * @param {string} network "musicnn_mtt" or "musicnn_msd"
 * @param {Float32Array} audio
 * @param {Work} work
 */
export async function tagsOverTime(network, audio, { run, cards, report }) {
  const { labels, window_samples: length } = cards[network];
  const columns = labels.length;
  const count = Math.max(1, Math.floor((audio.length + 2 * BEYOND - length) / TAG_HOP) + 1);
  const rows = new Float32Array(count * columns);
  const known = (frames) => ({
    kind: "tags", network, labels, hop_s: TAG_HOP / RATE, window_s: length / RATE, start_s: 0,
    frames, columns, rows: rows.slice(0, frames * columns), mean: meanRow(rows, frames, columns),
  }); // prettier-ignore
  for (let i = 0; i < count; i++) {
    const { tags } = await run(network, "window", { audio: piece(audio, i * TAG_HOP - BEYOND, length, BEYOND) });
    rows.set(tags, i * columns);
    report(known(i + 1), (i + 1) / count);
  }
  return known(count);
}

// --- genre ----------------------------------------------------------------------------------------------------------

/**
 * Genre over time, smoothed, and where the network is sure enough to answer.
 * @param {string} network
 * @param {Float32Array} audio
 * @param {Work} work
 */
export async function genreOverTime(network, audio, { run, cards, report }) {
  const card = cards[network];
  const { labels, window_samples: length, hop_samples: hop, sample_rate_hz: rate } = card;
  const columns = labels.length;
  const count = Math.max(1, Math.floor((audio.length - length) / hop) + 1);
  const rows = new Float32Array(count * columns);
  const silent = new Uint8Array(count);
  const known = (frames) => {
    const smoothed = runningMean(rows, frames, columns, card.smooth_windows);
    return {
      kind: "genre", network, labels, hop_s: hop / rate, window_s: length / rate,
      start_s: (length - hop) / 2 / rate, // a frame is the middle of its window
      frames, columns, rows: rows.slice(0, frames * columns), smoothed, mean: meanRow(rows, frames, columns),
      unsure_below: card.unsure_below,
      sure: Uint8Array.from({ length: frames }, (_, i) => isSure(card, smoothed.subarray(i * columns, (i + 1) * columns), silent[i])),
    }; // prettier-ignore
  };
  for (let i = 0; i < count; i++) {
    const window = piece(audio, i * hop, length);
    rows.set(await genreOf(network, window, { run, cards }), i * columns);
    silent[i] = peakOf(window) < (card.silent_below ?? SILENCE);
    if (i % 8 === 7) report(known(i + 1), (i + 1) / count);
  }
  report(known(count), 1);
  return known(count);
}

/** The answer to one window; to silence there is none, so all genres are as likely. */
async function genreOf(network, window, { run, cards }) {
  const { labels, silent_below } = cards[network];
  if (peakOf(window) < (silent_below ?? SILENCE)) return new Float32Array(labels.length).fill(1 / labels.length);
  return (await run(network, "window", { audio: window })).genre;
}

function isSure(card, smoothed, silent) {
  return Number(!silent && Math.max(...smoothed) >= Math.fround(card.unsure_below));
}

/** The mean over `width` rows around each row; at the ends of those that are there. */
export function runningMean(rows, frames, columns, width) {
  const out = new Float32Array(frames * columns);
  const reach = Math.floor(width / 2);
  for (let i = 0; i < frames; i++) {
    const from = Math.max(0, i - reach);
    const to = Math.min(frames, i + reach + 1);
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let row = from; row < to; row++) sum += rows[row * columns + column];
      out[i * columns + column] = sum / (to - from);
    }
  }
  return out;
}

// --- what sounds alike ----------------------------------------------------------------------------------------------

const EXCERPTS = 10; // at most; as `dl4mir_utils.apps.similar.WINDOWS`

/**
 * The clips of the course that sound most like a sound.
 * @param {Float32Array} audio
 * @param {{network: string, values: number, clips: object[], vectors: Float32Array}} neighbours of unit length
 * @param {number} count how many to name
 * @param {Work} work
 */
export async function mostAlike(audio, neighbours, count, { run, cards, report }) {
  const { network, values, clips, vectors } = neighbours;
  const embedding = await embeddingOf(network, audio, { run, cards, report });
  const length = Math.hypot(...embedding);
  const nearest = clips.map((clip, row) => {
    let product = 0;
    for (let i = 0; i < values; i++) product += vectors[row * values + i] * embedding[i];
    return { ...clip, similarity: product / length };
  });
  nearest.sort((a, b) => b.similarity - a.similarity);
  return { kind: "similar", network, embedding, nearest: nearest.slice(0, count) };
}

async function embeddingOf(network, audio, { run, cards, report }) {
  const { window_samples: length, signatures } = cards[network];
  const sum = new Float32Array(signatures.window.outputs.embedding.at(-1));
  const count = Math.max(1, Math.min(EXCERPTS, Math.floor(audio.length / length)));
  for (let i = 0; i < count; i++) {
    const start = Math.max(0, Math.round(((i + 0.5) * audio.length) / count - length / 2));
    const { embedding } = await run(network, "window", { audio: piece(audio, start, length) });
    embedding.forEach((value, k) => (sum[k] += value));
    report(null, (i + 1) / count);
  }
  return sum.map((value) => value / count);
}

// --- singing --------------------------------------------------------------------------------------------------------

const DETECTOR = "singing_detector";
const MEL_FRAMES = 8; // of log-mel, in a step
// Of either part, how many steps at either end of a block lack context, as in `dl4mir_utils.apps.sing`.
const FRONT_END_CONTEXT = 10;
const ENSEMBLE_CONTEXT = 63;
const ENSEMBLE_INPUTS = ["log_mel", "embedding"];

/** Lengths, in steps, for which the card has signatures of a part, shortest first. */
function lengthsOf(card, part) {
  const names = Object.keys(card.signatures).filter((name) => name.startsWith(`${part}_`));
  return names.map((name) => Number(name.slice(part.length + 1))).sort((a, b) => a - b);
}

/**
 * How to cover a sound with blocks of two lengths, so that the front end answers as to the whole.
 * @param {number} steps of the sound
 * @param {number} small of the short blocks
 * @param {number} large of the long blocks
 * @param {number} context what counts only at the ends of the sound
 * @returns {{first: number, size: number, from: number, to: number}[]} where blocks begin, and which steps they answer
 */
export function cover(steps, small, large, context) {
  const blocks = [];
  for (let done = 0; done < steps; done = blocks.at(-1).to) {
    const start = Math.max(0, done - context);
    const left = steps - start;
    if (left <= small) {
      blocks.push({ first: Math.max(0, steps - small), size: small, from: done, to: steps });
    } else if (left <= 2 * small) {
      blocks.push({ first: start, size: small, from: done, to: start + small - context });
    } else if (left <= large && steps >= large) {
      blocks.push({ first: steps - large, size: large, from: done, to: steps });
    } else {
      // A block that reaches beyond the end gets silence there, which is not the same: a short one hears the end.
      blocks.push({ first: start, size: large, from: done, to: Math.min(start + large, steps) - context });
    }
  }
  return blocks;
}

/**
 * Singing over time.
 * @param {Float32Array} audio
 * @param {Work} work
 */
export async function singingOverTime(audio, { run, cards, report }) {
  const card = cards[DETECTOR];
  const step = card.step_samples;
  const steps = Math.ceil(audio.length / step);
  const [small, large] = [lengthsOf(card, "front_end")[0], lengthsOf(card, "front_end").at(-1)];
  const longest = lengthsOf(card, "ensemble").at(-1);
  const seen = new Seen([card.signatures.front_end], steps);
  const raw = new Float32Array(steps);
  let done = 0;
  for (const block of cover(steps, small, large, FRONT_END_CONTEXT)) {
    seen.set(await stepsFrom("front_end", audio, block.first * step, block.size, { run, cards }), block);
    // Only blocks after which something comes: the last one is for the end.
    for (let start; block.to > (start = Math.max(0, done - ENSEMBLE_CONTEXT)) + longest; ) {
      const answer = await ensemble(seen, start, start + longest, { run, cards });
      const upto = start + longest - ENSEMBLE_CONTEXT;
      raw.set(answer.subarray(done - start, upto - start), done);
      done = upto;
    }
    if (block.to < steps) report(done ? singing(raw.subarray(0, done), card, audio.length) : null, (0.95 * block.to) / steps);
  }
  const first = Math.max(0, steps - longest);
  const rest = await ensemble(seen, first, steps, { run, cards });
  raw.set(rest.subarray(done - first), done);
  const found = singing(raw, card, audio.length);
  report(found, 1);
  return found;
}

/** What parts of the detector said of each step, by the names of their outputs. */
class Seen {
  /**
   * @param {{outputs: Record<string, (number | null)[]>}[]} signatures whose answers are kept
   * @param {number} steps how many
   */
  constructor(signatures, steps) {
    this.kept = {};
    for (const [name, [, length, ...shape]] of signatures.flatMap(({ outputs }) => Object.entries(outputs))) {
      const row = shape.reduce((product, size) => product * size, 1);
      const width = name === "embedding" ? row : MEL_FRAMES * row; // of a step
      // Some end with one frame more, of which the next step begins.
      const more = length % MEL_FRAMES === 1 ? row : 0;
      this.kept[name] = { width, more, values: new Float32Array(steps * width + more) };
    }
  }
  /** Keep those answers of a block that count. */
  set(answer, { first, from, to }) {
    for (const [name, said] of Object.entries(answer)) {
      const { width, more, values } = this.kept[name];
      values.set(said.subarray((from - first) * width, (to - first) * width + more), from * width);
    }
  }
  /** What is known of some steps. @param {string[]} names */
  part(names, from, to) {
    return Object.fromEntries(
      names.map((name) => {
        const { width, more, values } = this.kept[name];
        return [name, values.slice(from * width, to * width + more)];
      }),
    );
  }
  /** Forget the oldest steps. */
  shift(steps) {
    for (const { width, values } of Object.values(this.kept)) values.copyWithin(0, steps * width);
  }
}

/** Ask a part of the detector about some steps of a sound, from a sample on. */
function stepsFrom(part, audio, start, steps, { run, cards }) {
  return run(DETECTOR, `${part}_${steps}`, { audio: piece(audio, start, steps * cards[DETECTOR].step_samples) });
}

/**
 * Run the recurrent layers over some steps. A network in the browser takes certain lengths only. Other sounds are
 * lengthened to the next one by their mirror image, once behind the end and once before the beginning, and each time the
 * half further from it counts; where that would more than double them, overlapping parts are heard, and the middle of
 * each counts. Of the decisions on short sounds, this changes a few in a thousand (tests/browser/test_live_engine.py).
 * @param {Seen} seen
 * @param {number} first
 * @param {number} end
 */
async function ensemble(seen, first, end, { run, cards }) {
  const lengths = lengthsOf(cards[DETECTOR], "ensemble");
  const steps = end - first;
  const size = lengths.find((length) => length >= steps);
  const answer = async (inputs, length) => (await run(DETECTOR, `ensemble_${length}`, inputs)).singing;
  if (size === steps) return answer(seen.part(ENSEMBLE_INPUTS, first, end), size);
  const out = new Float32Array(steps);
  const part = lengths.findLast((length) => length < steps);
  if (part && size > 2 * steps) {
    const count = 1 + Math.ceil((2 * (steps - part)) / part); // half of a part is heard twice
    const start = (i) => Math.round((i * (steps - part)) / (count - 1));
    for (let i = 0, done = 0; i < count; i++) {
      const found = await answer(seen.part(ENSEMBLE_INPUTS, first + start(i), first + start(i) + part), part);
      const to = i === count - 1 ? steps : Math.floor((start(i + 1) + start(i) + part) / 2);
      out.set(found.subarray(done - start(i), to - start(i)), done);
      done = to;
    }
    return out;
  }
  const inputs = seen.part(ENSEMBLE_INPUTS, first, end);
  const half = Math.ceil(steps / 2);
  out.set((await answer(mirroredSteps(inputs, steps, 0, size), size)).subarray(0, half));
  out.set((await answer(mirroredSteps(inputs, steps, size - steps, size), size)).subarray(size - steps + half), half);
  return out;
}

/** Lengthen to `size` steps, of which `added` stand before the beginning: as in a mirror, frame by frame. */
function mirroredSteps({ log_mel, embedding }, steps, added, size) {
  const lengthened = (values, frames, before, all) => {
    const width = values.length / frames;
    const out = new Float32Array(all * width);
    for (let i = 0; i < all; i++) {
      const at = mirrored(i - before, frames);
      out.set(values.subarray(at * width, (at + 1) * width), i * width);
    }
    return out;
  };
  return {
    log_mel: lengthened(log_mel, MEL_FRAMES * steps, MEL_FRAMES * added, MEL_FRAMES * size),
    embedding: lengthened(embedding, steps, added, size),
  };
}

/** Which of `length` values stands at a place, if beyond the ends they go on as in a mirror, the last one twice. */
function mirrored(at, length) {
  const place = ((at % (2 * length)) + 2 * length) % (2 * length);
  return place < length ? place : 2 * length - 1 - place;
}

/** Smooth probabilities, and say from when to when somebody sings; as `dl4mir_utils.segments`. */
function singing(raw, card, samples) {
  const hop_s = card.step_samples / RATE;
  const probability = runningMedian(raw, card.median_steps);
  return {
    kind: "singing", hop_s, frames: raw.length, probability, threshold: card.threshold,
    segments: toSegments(probability, hop_s, card.threshold, samples / RATE),
  }; // prettier-ignore
}

/**
 * The running median: it drops what is shorter than half of `width`, and keeps edges where they are.
 * @param {Float32Array} values
 * @param {number} width odd
 */
export function runningMedian(values, width) {
  const reach = (width - 1) / 2;
  const window = new Float32Array(width);
  return values.map((_, i) => {
    for (let k = -reach; k <= reach; k++) window[k + reach] = values[mirrored(i + k, values.length)];
    return window.slice().sort()[reach];
  });
}

/**
 * From when to when somebody sings.
 * @returns {[number, number, "sing"][]} start and end in seconds
 */
export function toSegments(probability, hop_s, threshold, duration_s = Infinity) {
  const least = Math.fround(threshold); // probabilities are single precision, too
  const segments = [];
  let start = -1;
  for (let i = 0; i <= probability.length; i++) {
    const sung = i < probability.length && probability[i] >= least;
    if (sung && start < 0) start = i;
    if (!sung && start >= 0) {
      segments.push([start * hop_s, Math.min(i * hop_s, duration_s), "sing"]);
      start = -1;
    }
  }
  return segments;
}

// --- a network of one's own -----------------------------------------------------------------------------------------

/**
 * Read the card of a network, and refuse it if something is missing that one must know to use it.
 * @param {string} source what is in the .json file
 * @param {string} file its name
 * @returns {any} the card; `use` in it says how the page calls the network
 */
export function checkCard(source, file) {
  let card;
  try {
    card = JSON.parse(source);
  } catch {
    throw new LiveError("card", `${file} is not JSON. Drop the .json that was written beside the network.`);
  }
  const missing = [];
  if (!Array.isArray(card?.labels) || !card.labels.length) missing.push("the labels (labels)");
  if (!(card?.sample_rate_hz > 0)) missing.push("the sample rate (sample_rate_hz)");
  if (typeof card?.audio !== "string" || !card.audio) missing.push("the scaling of the sound (audio)");
  const use = findUse(card);
  if (!use) missing.push("a window of fixed length (signatures, with one input of shape [1, samples, 1])");
  if (missing.length) {
    const list = missing.length > 1 ? `${missing.slice(0, -1).join(", ")} and ${missing.at(-1)}` : missing[0];
    throw new LiveError("card", `${file} does not name ${list}. dl4mir train writes all of this, and so does to_tflite of dl4mir_utils.`);
  }
  if (!card.audio.includes("[-1, 1]")) {
    throw new LiveError("card", `${file} asks for sound scaled as “${card.audio}”. The page gives one channel in [-1, 1].`);
  }
  return { ...card, use };
}

/** The first signature that takes a window of sound, and its first output that fits the labels. */
function findUse(card) {
  for (const [signature, { inputs, outputs }] of Object.entries(card?.signatures ?? {})) {
    const [[input, shape] = [], ...others] = Object.entries(inputs ?? {});
    const fixed = Array.isArray(shape) && shape.every((size) => Number.isInteger(size) && size > 0);
    const samples = fixed ? shape.reduce((product, size) => product * size, 1) : 0;
    if (others.length || !fixed || samples !== Math.max(...shape) || samples < 2) continue;
    for (const [output, answer] of Object.entries(outputs ?? {})) {
      const columns = card.labels?.length || 1;
      const size = answer.every(Number.isInteger) ? answer.reduce((product, each) => product * each, 1) : 0;
      if (size > 0 && size % columns === 0 && (columns === 1 || answer.at(-1) === columns)) {
        return { signature, input, shape, samples, output, frames: size / columns };
      }
    }
  }
  return null;
}

/** Whether a network names genres and knows when it is unsure, as those of `dl4mir train` do. */
function isOfGenres({ use, window_samples, hop_samples, smooth_windows, unsure_below }) {
  const called = use.signature === "window" && use.input === "audio" && use.output === "genre" && use.frames === 1;
  return called && use.samples === window_samples && hop_samples > 0 && smooth_windows > 0 && unsure_below >= 0;
}

/**
 * The answer of any network over time, window by window; if it is one of genres, smoothed as the course's own.
 * @param {string} network
 * @param {Float32Array} audio at the network's own rate
 * @param {Work} work
 */
export async function ownOverTime(network, audio, { run, cards, report }) {
  const { labels, title, sample_rate_hz: rate, use, hop_samples } = cards[network];
  if (isOfGenres(cards[network])) {
    const own = (found) => ({ ...found, kind: "own", title: title ?? network, output: use.output });
    const asOwn = (found, share) => report(own(found), share);
    return own(await genreOverTime(network, audio, { run, cards, report: asOwn }));
  }
  const hop = use.frames === 1 && hop_samples > 0 ? hop_samples : use.samples;
  const columns = labels.length;
  const windows = Math.max(1, Math.ceil((audio.length - use.samples) / hop) + 1);
  const frameS = hop / use.frames / rate;
  // Frames behind the end of the sound, where the last window is filled up with silence, are left out.
  const all = Math.max(1, Math.min(windows * use.frames, Math.ceil(audio.length / rate / frameS)));
  const rows = new Float32Array(windows * use.frames * columns);
  const known = (frames) => ({
    kind: "own", network, title: title ?? network, labels, output: use.output, hop_s: frameS, window_s: use.samples / rate,
    start_s: use.frames === 1 ? Math.max(0, (use.samples - hop) / 2 / rate) : 0,
    frames, columns, rows: rows.slice(0, frames * columns), mean: meanRow(rows, frames, columns),
  }); // prettier-ignore
  for (let i = 0; i < windows; i++) {
    const answer = await run(network, use.signature, { [use.input]: piece(audio, i * hop, use.samples) });
    rows.set(answer[use.output], i * use.frames * columns);
    report(known(Math.min(all, (i + 1) * use.frames)), (i + 1) / windows);
  }
  return known(all);
}

// --- the picture of a sound -----------------------------------------------------------------------------------------

export const MEL_BANDS = 80;
const MEL_LOW_HZ = 40;
export const MEL_RANGE_DB = 80;
const MEL_WINDOW = 1024; // samples: 64 ms
const MEL_HOP = 256;
const MEL_MOST = 10000; // frames: no screen has more columns
const MEL_TICKS_HZ = [500, 1000, 2000, 4000];

const mel = (hz) => 2595 * Math.log10(1 + hz / 700);
const melEdges = Array.from(
  { length: MEL_BANDS + 2 },
  (_, i) => mel(MEL_LOW_HZ) + ((mel(RATE / 2) - mel(MEL_LOW_HZ)) * i) / (MEL_BANDS + 1),
);

/** Where some frequencies lie in the picture: [band, text]. */
export const MEL_TICKS = MEL_TICKS_HZ.map((hz) => [
  ((mel(hz) - melEdges[1]) / (melEdges[MEL_BANDS] - melEdges[1])) * (MEL_BANDS - 1),
  `${hz / 1000} kHz`,
]);

/** Triangles over the bins of a spectrum: the first bin and the weights from there on. */
const melBank = (() => {
  const hz = melEdges.map((edge) => 700 * (10 ** (edge / 2595) - 1));
  const bin = RATE / MEL_WINDOW;
  return Array.from({ length: MEL_BANDS }, (_, band) => {
    // A band that is narrower than a bin keeps at least the bin's share at its middle.
    const rising = Math.max(hz[band + 1] - hz[band], bin);
    const falling = Math.max(hz[band + 2] - hz[band + 1], bin);
    const first = Math.max(0, Math.ceil((hz[band + 1] - rising) / bin));
    const last = Math.min(MEL_WINDOW / 2, Math.floor((hz[band + 1] + falling) / bin));
    const weights = Float32Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => {
      const at = (first + i) * bin;
      return Math.max(0, Math.min((at - (hz[band + 1] - rising)) / rising, (hz[band + 1] + falling - at) / falling));
    });
    return { first, weights };
  });
})();

const hann = Float32Array.from({ length: MEL_WINDOW }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / MEL_WINDOW));
const cosines = Float64Array.from({ length: MEL_WINDOW / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / MEL_WINDOW));
const sines = Float64Array.from({ length: MEL_WINDOW / 2 }, (_, i) => Math.sin((2 * Math.PI * i) / MEL_WINDOW));
const reversed = Uint16Array.from({ length: MEL_WINDOW }, (_, i) => {
  let out = 0;
  for (let bit = 1; bit < MEL_WINDOW; bit *= 2) out = out * 2 + (i & bit ? 1 : 0);
  return out;
});
const real = new Float64Array(MEL_WINDOW);
const imaginary = new Float64Array(MEL_WINDOW);

/** The power in each mel band of a frame whose middle is at a sample. */
function melPower(audio, middle, out, at) {
  const start = middle - MEL_WINDOW / 2;
  for (let i = 0; i < MEL_WINDOW; i++) {
    real[reversed[i]] = (audio[start + i] ?? 0) * hann[i];
    imaginary[i] = 0;
  }
  // The fast Fourier transform: pairs, then fours, and so on.
  for (let size = 2; size <= MEL_WINDOW; size *= 2) {
    const half = size / 2;
    const turn = MEL_WINDOW / size;
    for (let from = 0; from < MEL_WINDOW; from += size) {
      for (let k = 0; k < half; k++) {
        const low = from + k; // no arrays here: a browser makes each of them anew, which takes most of the time
        const high = low + half;
        const c = cosines[k * turn];
        const s = -sines[k * turn];
        const a = real[high] * c - imaginary[high] * s;
        const b = real[high] * s + imaginary[high] * c;
        real[high] = real[low] - a;
        imaginary[high] = imaginary[low] - b;
        real[low] += a;
        imaginary[low] += b;
      }
    }
  }
  melBank.forEach(({ first, weights }, band) => {
    let sum = 0;
    for (let i = 0; i < weights.length; i++) sum += weights[i] * (real[first + i] ** 2 + imaginary[first + i] ** 2);
    out[at + band] = sum;
  });
}

/** Decibels below `top` as bytes: 0 is MEL_RANGE_DB below it, 255 is `top`. */
function melBytes(power, top) {
  return Uint8Array.from(power, (value) => {
    const decibels = Math.max(10 * Math.log10(Math.max(value / top, 1e-30)), -MEL_RANGE_DB);
    return Math.round((1 + Math.min(0, decibels) / MEL_RANGE_DB) * 255);
  });
}

/**
 * The log-mel picture that the player shows, as `dl4mir_utils.player.sync.log_mel` makes it.
 * @param {Float32Array} audio
 * @param {Work} work
 */
export async function pictureOf(audio, { report, pause }) {
  const hop = Math.max(MEL_HOP, Math.ceil(audio.length / MEL_MOST));
  const frames = Math.ceil(audio.length / hop);
  const power = new Float32Array(frames * MEL_BANDS);
  for (let i = 0; i < frames; i++) {
    melPower(audio, i * hop + Math.floor(hop / 2), power, i * MEL_BANDS);
    if (i % 1000 === 999) {
      report(null, i / frames);
      await pause();
    }
  }
  let top = 1e-10;
  for (const value of power) top = Math.max(top, value);
  return {
    kind: "picture", rows: melBytes(power, top), frames, columns: MEL_BANDS, hop_s: hop / RATE, start_s: 0,
    low: -MEL_RANGE_DB, high: 0, ticks: MEL_TICKS,
  }; // prettier-ignore
}

// --- the microphone -------------------------------------------------------------------------------------------------

const LIVE_STEPS = 160; // what is remembered: 20.5 s
const LIVE_ENSEMBLE = 79; // steps that the recurrent layers are given: 10 s, as of a clip
const TIMBRE_CONTEXT = 1; // what the front end's first part sees to either side, in steps
const LIVE_HOP = 7; // steps from one hearing to the next: 0.896 s
const LIVE_SMOOTHED = 3; // windows of genre whose mean is shown
const LIVE_MEL_HOP = 512; // samples: 32 ms
const LIVE_MEL_TOP = MEL_WINDOW ** 2 / 16; // power of a tone at full scale

/** Listens to sound that comes in parts, at 16 kHz. */
export class Listener {
  /**
   * @param {{tags?: string | null, genre?: string | null, singing?: boolean, notes?: boolean, level?: boolean}} wanted
   * @param {(part: object) => void} show
   * @param {{run: Run, cards: Record<string, any>, pause: () => Promise<void>}} networks `pause` lets messages come in
   */
  constructor(wanted, show, networks) {
    Object.assign(this, { wanted, show, networks });
    this.step = networks.cards[DETECTOR]?.step_samples ?? 2048;
    this.heard = new Float32Array((LIVE_STEPS + 2 * LIVE_HOP) * this.step); // the newest sample is the last one
    this.samples = 0; // that came in
    this.melDone = 0; // samples of which there is a picture
    this.frame = Math.ceil(REACH / HOP); // the next one of the constant-Q picture
    this.frames = []; // the newest three
    this.listened = 0; // steps that were known at the last hearing
    this.genres = [];
    if (wanted.singing) this.#prepare();
    this.stopped = false;
  }

  /** Where a sample lies in what is remembered. */
  #place(sample) {
    return this.heard.length - this.samples + sample;
  }

  /** @param {Float32Array} part the next samples */
  push(part) {
    if (!part.length) return;
    for (let at = 0; at < part.length; at += this.step) {
      const some = part.subarray(at, at + this.step);
      this.heard.copyWithin(0, some.length);
      this.heard.set(some, this.heard.length - some.length);
      this.samples += some.length;
    }
    if (this.wanted.level) this.#level(part);
  }

  #level(part) {
    let squares = 0;
    for (const value of part) squares += value * value;
    const rms_db = 10 * Math.log10(Math.max(squares / part.length, 1e-12));
    this.show({ kind: "level", rms_db, peak: peakOf(part), end_s: this.samples / RATE, work_ms: 0 });
    this.#picture();
  }

  #picture() {
    const frames = Math.floor((this.samples - MEL_WINDOW / 2 - this.melDone) / LIVE_MEL_HOP);
    if (frames < 1) return;
    const power = new Float32Array(frames * MEL_BANDS);
    for (let i = 0; i < frames; i++) {
      this.melDone += LIVE_MEL_HOP;
      melPower(this.heard, this.#place(this.melDone), power, i * MEL_BANDS);
    }
    const rows = melBytes(power, LIVE_MEL_TOP);
    this.show({
      kind: "mel", rows, frames, columns: MEL_BANDS, hop_s: LIVE_MEL_HOP / RATE,
      end_s: this.melDone / RATE, work_ms: 0,
    }); // prettier-ignore
  }

  /** Pitch and chord of what has come in since: quick, to be called often. */
  async notes() {
    const started = performance.now();
    let silent = true;
    let fresh = false;
    while (HOP * this.frame + REACH < this.samples) {
      const picture = constantQ(this.heard, this.#place(HOP * this.frame));
      silent = picture === null;
      this.frames = [...this.frames, picture ?? new Float32Array(BINS)].slice(-3);
      this.frame++;
      fresh = true;
    }
    if (!fresh || this.stopped) return;
    const end_s = (HOP * (this.frame - 1)) / RATE;
    const picture = this.frames.at(-1);
    const part = { kind: "notes", picture, silent, pitch: null, chord: null, end_s };
    if (!silent) {
      const { run } = this.networks;
      // Both are asked at once, so that nothing comes between them.
      const asked = [run("pitch", "frame", { frame: picture.slice() })];
      if (this.frames.length === 3) {
        const frames = new Float32Array(3 * BINS);
        this.frames.forEach((frame, column) => frame.forEach((value, bin) => (frames[3 * bin + column] = value)));
        asked.push(run("chords", "frames", { frames }));
      }
      const [{ pitch }, { chord } = { chord: null }] = await Promise.all(asked);
      Object.assign(part, { pitch, chord });
    }
    this.show({ ...part, work_ms: performance.now() - started });
  }

  /** Whether enough is new for `hear`. */
  get due() {
    const { tags, genre, singing } = this.wanted;
    if (!tags && !genre && !singing) return false;
    return Math.floor(this.samples / this.step) >= this.listened + LIVE_HOP;
  }

  /** Tags, genre and singing: slow, to be called when due. */
  async hear() {
    const started = performance.now();
    const known = this.samples; // more comes in meanwhile
    this.listened = Math.floor(known / this.step);
    const newest = (length) => piece(this.heard, this.#place(known) - length, length);
    const { run, cards } = this.networks;
    const { tags, genre } = this.wanted;
    const shown = (part) => !this.stopped && this.show({ ...part, end_s: known / RATE, work_ms: performance.now() - started });
    if (genre && known >= cards[genre].window_samples) {
      const window = newest(cards[genre].window_samples);
      const columns = cards[genre].labels.length;
      this.genres = [...this.genres, await genreOf(genre, window, this.networks)].slice(-LIVE_SMOOTHED);
      const values = new Float32Array(columns);
      for (const row of this.genres) row.forEach((value, i) => (values[i] += value / this.genres.length));
      const silent = peakOf(window) < (cards[genre].silent_below ?? SILENCE);
      shown({ kind: "genre", network: genre, labels: cards[genre].labels, values, sure: Boolean(isSure(cards[genre], values, silent)) });
    }
    if (tags && known >= cards[tags].window_samples) {
      const window = newest(cards[tags].window_samples);
      shown({ kind: "tags", network: tags, labels: cards[tags].labels, values: (await run(tags, "window", { audio: window })).tags });
    }
    if (this.wanted.singing) await this.#sing(shown);
  }

  /** What is kept for singing. */
  #prepare() {
    const card = this.networks.cards[DETECTOR];
    const [[timbre], [features]] = ["timbre", "features"].map((part) => lengthsOf(card, part));
    this.parts = { timbre, features }; // how many steps they take
    this.seenUpTo = { timbre: 0, features: 0 }; // which step
    this.seen = new Seen([card.signatures[`timbre_${timbre}`], card.signatures[`features_${features}`]], LIVE_STEPS);
    this.sung = new Float32Array(LIVE_STEPS); // how likely, before smoothing
  }

  async #sing(shown) {
    const { run: runNow, cards, pause } = this.networks;
    // Before each call, what came in meanwhile is heard: pitch and chord must not wait for more than one.
    const run = async (...call) => (await pause(), runNow(...call));
    const card = cards[DETECTOR];
    const { timbre, features } = this.parts;
    const steps = this.listened;
    if (steps < timbre) return;
    // What was seen lies at the end of `seen`, with room for what comes in now.
    const fresh = Math.min(LIVE_STEPS, steps - this.seenUpTo.timbre);
    this.begun ??= Math.max(0, steps - features);
    this.seen.shift(fresh);
    this.sung.copyWithin(0, fresh);
    await this.#see("timbre", TIMBRE_CONTEXT, (first) =>
      stepsFrom("timbre", this.heard, this.#place(first * this.step), timbre, { run, cards }),
    );
    if (steps - this.begun < features) return;
    const inputs = Object.keys(card.signatures[`features_${features}`].inputs);
    await this.#see("features", FRONT_END_CONTEXT, (first) => {
      const place = first + LIVE_STEPS - steps;
      return run(DETECTOR, `features_${features}`, this.seen.part(inputs, place, place + features));
    });
    // One call, lengthened before the beginning: it is the newest steps that count here.
    const count = Math.min(LIVE_ENSEMBLE, steps - this.begun);
    const size = lengthsOf(card, "ensemble").find((length) => length >= count);
    const heard = mirroredSteps(this.seen.part(ENSEMBLE_INPUTS, LIVE_STEPS - count, LIVE_STEPS), count, size - count, size);
    const raw = (await run(DETECTOR, `ensemble_${size}`, heard)).singing.subarray(size - count);
    // Of older steps, earlier answers knew more of what was before.
    const old = count < LIVE_ENSEMBLE ? 0 : Math.min(Math.floor(count / 2), Math.max(0, count - fresh));
    this.sung.set(raw.subarray(old), LIVE_STEPS - count + old);
    const known = Math.min(LIVE_STEPS, steps - this.begun);
    const { hop_s, probability, threshold } = singing(this.sung.slice(LIVE_STEPS - known), card, Infinity);
    shown({
      kind: "singing", hop_s, first: steps - known, frames: known, probability, threshold,
      provisional: Math.max(steps - known, steps - FRONT_END_CONTEXT),
    }); // prettier-ignore
  }

  /**
   * Let a part of the front end see what came in since: in blocks, of which the last steps lacked context the last time
   * and are seen again; after a delay there may be more to see than one block holds.
   * @param {"timbre" | "features"} name of the part
   * @param {number} context what it sees to either side, in steps
   * @param {(first: number) => Promise<Arrays>} look
   */
  async #see(name, context, look) {
    const [steps, size] = [this.listened, this.parts[name]];
    let sure = Math.max(this.begun, this.seenUpTo[name] - context, steps - LIVE_STEPS);
    while (sure < steps) {
      const first = Math.max(this.begun, steps - LIVE_STEPS, Math.min(sure - context, steps - size));
      const answer = await look(first);
      const to = first + size === steps ? steps : first + size - context;
      const offset = LIVE_STEPS - steps; // of a step's place in `seen`
      this.seen.set(answer, { first: first + offset, from: sure + offset, to: to + offset });
      sure = to;
    }
    this.seenUpTo[name] = steps;
  }
}

// --- files to take along: the same texts as the command line writes -------------------------------------------------

/** A number with so many digits, rounded as Python does: exactly between two, to the even one. */
export function fixed(value, digits) {
  const text = value.toFixed(digits);
  const exact = value.toFixed(digits + 30);
  if (!/50{29}$/.test(exact)) return text;
  const cut = exact.slice(0, digits ? -30 : -31);
  return Number(cut.at(-1)) % 2 ? text : cut;
}

/** A number as Python writes it: 10.0, not 10. */
function number(value) {
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}

const rounded = (value, digits) => Number(fixed(value, digits));

/** JSON as Python's `json.dumps(…, indent=1, ensure_ascii=False)` writes it; all numbers are floats. */
function json(value, depth = 0) {
  const [inner, outer] = ["\n" + " ".repeat(depth + 1), "\n" + " ".repeat(depth)];
  if (typeof value === "number") return number(value);
  if (Array.isArray(value)) {
    return value.length ? `[${inner}${value.map((each) => json(each, depth + 1)).join("," + inner)}${outer}]` : "[]";
  }
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${json(each, depth + 1)}`);
  return entries.length ? `{${inner}${entries.join("," + inner)}${outer}}` : "{}";
}

/** A cell of a CSV file, in quotation marks where it must be. */
function cell(value) {
  const text = typeof value === "number" ? number(value) : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const lines = (rows) => rows.map((row) => row + "\n").join("");

/** A label track for Audacity: start and end in seconds and the label, with tabs between them. */
export function audacityLabels({ segments }) {
  return lines(segments.map(([start, end, label]) => `${fixed(start, 3)}\t${fixed(end, 3)}\t${label}`));
}

/** The smoothed probability of each frame, as `dl4mir sing --frames` writes it. */
export function framesCsv({ probability, hop_s }) {
  return lines(["time_s,probability", ...Array.from(probability, (value, i) => `${fixed(i * hop_s, 3)},${fixed(value, 4)}`)]);
}

function singingRow(name, { segments }, duration_s) {
  return {
    file: name,
    duration_s: rounded(duration_s, 3),
    segments: segments.map(([start, end]) => ({ start_s: rounded(start, 3), end_s: rounded(end, 3) })),
  };
}

/** As `dl4mir sing --json` writes it. */
export function singingJson(name, singing, duration_s) {
  return json([singingRow(name, singing, duration_s)]) + "\n";
}

/** Labels and rounded probabilities, the most likely first. */
function best({ labels, mean }) {
  const order = Array.from(labels.keys()).sort((a, b) => mean[b] - mean[a]);
  return Object.fromEntries(order.map((i) => [labels[i], rounded(mean[i], 4)]));
}

/** As `dl4mir tag --json` writes it. */
export function tagsJson(name, tags) {
  return json([{ file: name, tags: best(tags) }]) + "\n";
}

/** As `dl4mir tag --csv` writes it. */
export function tagsCsv(name, tags) {
  const found = best(tags);
  return lines([["file", ...tags.labels].map(cell).join(","), [name, ...tags.labels.map((label) => found[label])].map(cell).join(",")]);
}

/** Rows over time, of tags, genre or a network of one's own: the start of each frame in seconds and its values. */
export function overTimeCsv({ labels, rows, columns, frames, hop_s, start_s }) {
  const table = [["time_s", ...labels].map(cell).join(",")];
  for (let i = 0; i < frames; i++) {
    const values = Array.from(rows.subarray(i * columns, (i + 1) * columns), (value) => fixed(value, 4));
    table.push([fixed(start_s + i * hop_s, 3), ...values].join(","));
  }
  return lines(table);
}

/** All that was found, in one JSON file; singing and tags as the commands write them. */
export function everythingJson(name, { duration_s, singing, tags, genre, similar, own }) {
  const all = singing ? singingRow(name, singing, duration_s) : { file: name, duration_s: rounded(duration_s, 3) };
  for (const [network, found] of Object.entries(tags ?? {})) all[network] = best(found);
  if (genre) all.genre = best(genre);
  if (similar) {
    all.similar = similar.nearest.map(({ clip, title, artist, similarity }) => ({ clip, title, artist, similarity: rounded(similarity, 4) }));
  }
  if (own) all.own = { title: own.title, labels: own.labels, ...(own.columns === own.labels.length ? { mean: best(own) } : {}) };
  return json(all) + "\n";
}
