// From what the networks answered to the tracks of the player.

import { MEL_BANDS, MEL_RANGE_DB, MEL_TICKS } from "./analyses.js";

export const STRONGEST = 12; // tags in the heat map
const GENRE_TAGS = 6;
const CURVES = 4; // more lines than that are easier to read as a heat map
const SLICES = 7; // of a pie: as many as there are colours
const GENRE_HOP_S = 0.08; // between two windows the pie goes evenly from one answer to the next

/** Numbers as the player reads them: level 0 is `low`, the top level is `high`. */
function packed(values, low, high, bits, frames, columns) {
  const top = 2 ** bits - 1;
  const Levels = bits === 8 ? Uint8Array : Uint16Array;
  const data = Levels.from(values, (value) =>
    Math.round(((Math.min(Math.max(value, low), high) - low) / (high - low)) * top),
  );
  return { data, bits, low, high, frames, columns };
}

/** The columns with the largest means, largest first. */
function order(mean, among = mean.map((_, i) => i)) {
  return Array.from(among).sort((a, b) => mean[b] - mean[a]);
}

/** Some columns of a matrix, in the order given. */
function columnsOf({ rows, frames, columns }, chosen) {
  const out = new Float32Array(frames * chosen.length);
  for (let i = 0; i < frames; i++)
    chosen.forEach((column, k) => (out[i * chosen.length + k] = rows[i * columns + column]));
  return out;
}

/** The log-mel picture; before it is there, an empty one. */
export function pictureTrack(picture) {
  const { rows = new Uint8Array(0), frames = 0, columns = MEL_BANDS, hop_s = 0.016 } = picture ?? {};
  return {
    kind: "mel",
    name: "log-mel",
    summary: `log-mel picture, 40 Hz to 8 kHz, ${MEL_RANGE_DB} dB`,
    labels: [],
    hop: hop_s,
    start: 0,
    ticks: MEL_TICKS,
    data: rows,
    bits: 8,
    low: -MEL_RANGE_DB,
    high: 0,
    frames,
    columns,
  };
}

/** The strongest tags as a heat map, the strongest on top. */
export function tagsTrack(found, name) {
  const chosen = order(found.mean).slice(0, STRONGEST).reverse();
  const values = columnsOf(found, chosen);
  const high = Math.max(0.2, Math.ceil(10 * Math.max(0, ...values)) / 10);
  const labels = chosen.map((i) => found.labels[i]);
  const spoken = chosen
    .slice(-3)
    .reverse()
    .map((i) => `${found.labels[i]} ${found.mean[i].toFixed(2)}`);
  return {
    kind: "heat",
    name,
    summary: `${name}: heat map of the ${chosen.length} strongest of ${found.labels.length}; on average ${spoken.join(", ")}`,
    labels,
    hop: found.hop_s,
    start: found.start_s,
    diverging: false,
    ...packed(values, 0, high, 8, found.frames, chosen.length),
  };
}

/** Those tags that are genres, as bars that move with the sound. */
export function genreTagsTrack(found, genreTags, name) {
  const among = found.labels.map((_, i) => i).filter((i) => genreTags.includes(found.labels[i]));
  const chosen = order(found.mean, among).slice(0, GENRE_TAGS);
  const labels = chosen.map((i) => found.labels[i]);
  return {
    kind: "bars",
    pie: false,
    name,
    summary: `${name}: ${labels.join(", ")}`,
    labels,
    hop: found.hop_s,
    start: found.start_s,
    ...packed(columnsOf(found, chosen), 0, 1, 16, found.frames, chosen.length),
  };
}

/** How likely singing is, as a curve. */
export function singingTrack({ probability, hop_s, threshold, frames }) {
  return {
    kind: "curve",
    name: "singing",
    summary: `singing: its probability, ${frames} frames`,
    labels: ["probability"],
    unit: "",
    hop: hop_s,
    start: 0,
    threshold,
    ...packed(probability, 0, 1, 16, frames, 1),
  };
}

/** From when to when somebody sings. */
export function segmentsTrack({ segments }) {
  const count = segments.length === 1 ? "1 segment" : `${segments.length} segments`;
  return { kind: "segments", name: "sung", summary: segments.length ? `sung: ${count}` : "sung: nowhere", segments };
}

/**
 * Genre as a pie.
 * @param {any} found smoothed over windows
 * @param {number} duration_s
 * @param {string[]} notes what is written beside it
 */
export function genreTrack({ labels, smoothed, sure, frames, columns, hop_s, start_s }, duration_s, notes) {
  // The first and the last answer hold to the ends of the sound; while more is to come, up to where the sound was heard.
  const last = start_s + frames * hop_s;
  const until = duration_s - last < 2 * start_s + hop_s ? duration_s : last;
  const count = Math.max(1, Math.ceil(until / GENRE_HOP_S));
  const values = new Float32Array(count * columns);
  const isSure = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const place = Math.min(Math.max(((i + 0.5) * GENRE_HOP_S - start_s) / hop_s - 0.5, 0), frames - 1);
    const before = Math.floor(place);
    const after = Math.min(before + 1, frames - 1);
    isSure[i] = sure[Math.round(place)];
    for (let k = 0; k < columns; k++) {
      const [from, to] = [smoothed[before * columns + k], smoothed[after * columns + k]];
      values[i * columns + k] = from + (place - before) * (to - from);
    }
  }
  return {
    kind: "genre",
    name: "genre",
    summary: `genre: how likely ${labels.join(", ")} are, as a pie`,
    labels,
    notes,
    sure: isSure,
    hop: GENRE_HOP_S,
    start: 0,
    ...packed(values, 0, 1, 16, count, columns),
  };
}

/**
 * The output of a network of the reader's own: a pie if it is one of genres, else lines if it has few outputs, or a heat
 * map of the strongest.
 * @param {any} found
 * @param {number} duration_s
 * @param {string[]} notes what is written beside a pie
 */
export function ownTrack(found, duration_s, notes) {
  if (found.smoothed && found.columns <= SLICES) return { ...genreTrack(found, duration_s, notes), name: found.title };
  // A network that is not made well may answer with what is no number.
  const rows = found.rows.map((value) => (Number.isFinite(value) ? value : 0));
  const mean = found.mean.map((value) => (Number.isFinite(value) ? value : 0));
  let [low, high] = [0, 1];
  for (const value of rows) [low, high] = [Math.min(low, value), Math.max(high, value)];
  const few = found.columns <= CURVES;
  const chosen = few ? found.labels.map((_, i) => i) : order(mean).slice(0, STRONGEST).reverse();
  const labels = chosen.map((i) => found.labels[i]);
  const name = found.title;
  const values = columnsOf({ ...found, rows }, chosen);
  const common = { name, labels, hop: found.hop_s, start: found.start_s };
  if (few) {
    return {
      kind: "curve",
      ...common,
      summary: `${name}: ${labels.join(", ")}`,
      unit: "",
      threshold: null,
      ...packed(values, low, high, 16, found.frames, chosen.length),
    };
  }
  return {
    kind: "heat",
    ...common,
    summary: `${name}: heat map of the ${chosen.length} strongest of ${found.labels.length} outputs`,
    diverging: false,
    ...packed(values, low, high, 8, found.frames, chosen.length),
  };
}
