// The view of what the networks hear before the microphone.

import { MEL_BANDS } from "./analyses.js";
import { makePie } from "./pie.js";
import { LiveError } from "./sound.js";
import { microphoneTrouble } from "../player/capture.js";
import { MAGMA, clock, make, palette, say } from "../player/player.js";

export const MOST_RECORDED_S = 10 * 60;
const SHOWN_S = 20;
const TAGS = 8;
const LOUDEST = 0.99; // of full scale
const QUIET_DB = -70;
const QUIET_S = 4; // after which a silent microphone is worth a word
const LOUD_S = 2; // for which one may read that it was too loud
const LIKELY = 0.5;
const SPOKEN_EVERY_MS = 6000; // a screen reader needs time to finish
const LEVEL_DB = [-60, 0];

/** In words for the reader, why there is no microphone. @param {Error} error */
export function troubleOf(error) {
  return error instanceof LiveError ? error.message : microphoneTrouble(error);
}

// --- the view -------------------------------------------------------------------------------------------------------

/** @param {string} id */
const part = (id) => document.getElementById(id);

/** Shows what is heard before the microphone. Its elements stand in the page. */
export class LiveView {
  /**
   * @param {{pitch: string[], chords: string[], genre: string[]}} labels
   * @param {(text: string) => void} tell puts something into words for screen readers
   */
  constructor(labels, tell) {
    this.labels = labels;
    this.tell = tell;
    this.now = { pitch: "", chord: "", tags: [], genre: "", singing: "" };
    this.singing = null;
    this.columns = 0; // of the picture, that have come in
    this.hop_s = 0.032;
    this.heard_s = 0;
    this.quietSince = 0;
    this.loudUntil = 0;
    this.spokenAt = performance.now();
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.colours = palette(MAGMA);
    this.running = true;
    /** How far answers are behind the sound, in ms, and how long they took: for the line below, and for tests. */
    this.lags = { notes: [], tags: [], genre: [], singing: [] };
    this.work = { notes: [], tags: [], genre: [], singing: [] };
    this.arrivals = [];

    this.pie = makePie(labels.genre);
    part("live-genre").replaceChildren(this.pie.pie, this.pie.legend);
    this.bars = Array.from({ length: TAGS }, () => {
      const [name, fill, value] = [
        make("span", { class: "name" }),
        make("span", { class: "fill" }),
        make("span", { class: "value" }),
      ];
      return { name, fill, value, row: make("li", {}, name, make("span", { class: "bar" }, fill), value) };
    });
    part("live-tags").replaceChildren(...this.bars.map(({ row }) => row));
    this.keys = labels.pitch.map((text) => {
      const fill = make("span", { class: "fill" });
      return { fill, row: make("li", {}, make("span", { class: "column" }, fill), make("span", { text })) };
    });
    part("live-pitches").replaceChildren(...this.keys.map(({ row }) => row));
    for (const id of ["live-pitch", "live-chord", "live-sung", "live-clock", "live-lag"]) say(part(id), "–");
    for (const id of ["live-pitch", "live-chord"]) part(id).classList.remove("unlikely");
    this.#frame();
  }

  /** Sound has come in. @param {number} heard_s in all */
  arrived(heard_s) {
    this.heard_s = heard_s;
    this.arrivals.push([heard_s, performance.now()]);
    if (this.arrivals.length > 2000) this.arrivals.splice(0, 1000);
    say(part("live-clock"), clock(heard_s).replace(/\..*/, ""));
  }

  /** @param {any} found a part as `Engine.listen` gives it */
  show(found) {
    if (!this.running) return;
    this[`_${found.kind}`]?.(found);
    if (found.kind in this.lags) {
      const came = this.arrivals.find(([heard]) => heard >= found.end_s - 1e-3);
      if (came) this.lags[found.kind].push(performance.now() - came[1]);
      this.work[found.kind].push(found.work_ms);
    }
    if (performance.now() - this.spokenAt > SPOKEN_EVERY_MS) this.#speak();
  }

  _level({ rms_db, peak, end_s }) {
    const share = (rms_db - LEVEL_DB[0]) / (LEVEL_DB[1] - LEVEL_DB[0]);
    part("live-level").style.transform = `scaleX(${Math.min(1, Math.max(0, share)).toFixed(3)})`;
    if (rms_db > QUIET_DB) this.quietSince = end_s;
    if (peak >= LOUDEST) this.loudUntil = end_s + LOUD_S;
    let hint = this.now.tags.length ? "" : "The first tags come after three seconds.";
    if (end_s - this.quietSince > QUIET_S) hint = "Nothing is heard. Is the microphone switched on?";
    if (end_s < this.loudUntil) hint = "Too loud: the sound is cut off.";
    say(part("live-hint"), hint);
  }

  _mel({ rows, frames, hop_s, end_s }) {
    const columns = Math.round(SHOWN_S / hop_s);
    this.hop_s = hop_s;
    this.picture ??= new OffscreenCanvas(columns, MEL_BANDS);
    const ctx = this.picture.getContext("2d");
    for (let frame = 0; frame < frames; frame++) {
      const image = new ImageData(1, MEL_BANDS);
      const pixels = new Uint32Array(image.data.buffer);
      for (let band = 0; band < MEL_BANDS; band++)
        pixels[MEL_BANDS - 1 - band] = this.colours[rows[frame * MEL_BANDS + band]];
      ctx.putImageData(image, this.columns % columns, 0);
      this.columns++;
    }
    this.pictured_s = end_s;
  }

  _notes({ pitch, chord, silent }) {
    const best = (values) => values && Array.from(values.keys()).reduce((a, b) => (values[b] > values[a] ? b : a));
    for (const [id, values, labels] of [
      ["live-pitch", pitch, this.labels.pitch],
      ["live-chord", chord, this.labels.chords],
    ]) {
      const which = silent ? null : best(values);
      say(part(id), which === null ? "–" : labels[which]);
      part(id).classList.toggle("unlikely", which !== null && values[which] < LIKELY);
      this.now[id.slice(5)] = which === null ? "" : labels[which];
    }
    this.keys.forEach(({ fill, row }, i) => {
      const share = silent || !pitch ? 0 : pitch[i];
      fill.style.transform = `scaleY(${share.toFixed(3)})`;
      row.classList.toggle("on", share >= LIKELY);
    });
  }

  _tags({ labels, values }) {
    const order = Array.from(values.keys()).sort((a, b) => values[b] - values[a]);
    this.bars.forEach(({ name, fill, value }, row) => {
      const i = order[row];
      say(name, labels[i]);
      say(value, values[i].toFixed(2));
      fill.style.transform = `scaleX(${Math.min(1, Math.max(0, values[i])).toFixed(3)})`;
    });
    this.now.tags = order.slice(0, 2).map((i) => labels[i]);
  }

  _genre({ values, sure }) {
    this.pie.show(values, sure);
    this.now.genre = this.pie.verdict(values, sure);
  }

  _singing(found) {
    this.singing = found;
    const { probability, threshold, provisional, first } = found;
    const last = Math.max(0, provisional - first - 1); // the newest step that stays as it is
    this.now.singing = probability[last] >= threshold ? "singing" : "no singing";
    say(part("live-sung"), this.now.singing);
    if (this.calm.matches) this.#draw();
  }

  #speak() {
    this.spokenAt = performance.now();
    const { pitch, chord, tags, genre, singing } = this.now;
    const said = [
      chord && `chord ${chord}`,
      pitch && `pitch ${pitch}`,
      tags.join(", "),
      genre && `genre ${genre}`,
      singing,
    ];
    this.tell(said.filter(Boolean).join("; "));
    const middle = (values) =>
      [...values.slice(-100)].sort((a, b) => a - b)[Math.floor(Math.min(values.length, 100) / 2)];
    const times = [
      ["pitch and chord", this.lags.notes],
      ["tags", this.lags.tags],
      ["singing", this.lags.singing],
    ];
    const known = times
      .filter(([, lags]) => lags.length)
      .map(([name, lags]) => `${name} ${Math.round(middle(lags))} ms`);
    say(part("live-lag"), known.length ? `Behind the sound: ${known.join(", ")}.` : "–");
  }

  /** The picture runs with the screen; whoever wants little motion sees a new one once a second. */
  #frame() {
    if (!this.running) return;
    if (!this.calm.matches) this.#draw();
    requestAnimationFrame(() => this.#frame());
  }

  #draw() {
    if (!this.picture) return;
    const scale = devicePixelRatio || 1;
    const style = getComputedStyle(part("listening"));
    const ink = (name) => style.getPropertyValue(name).trim();
    const sized = (canvas) => {
      const [width, height] = [Math.round(canvas.clientWidth * scale), Math.round(canvas.clientHeight * scale)];
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      const ctx = canvas.getContext("2d");
      ctx.clearRect(0, 0, width, height);
      return { ctx, width, height };
    };
    this.#drawPicture(sized(part("live-mel")));
    this.#drawSinging(sized(part("live-singing")), scale, ink);
  }

  #drawPicture({ ctx, width, height }) {
    const all = this.picture.width;
    const known = Math.min(this.columns, all);
    ctx.imageSmoothingEnabled = false;
    // The picture is a ring: what is newest stands at the right edge.
    const newest = this.columns % all;
    const pieces =
      known < all
        ? [[0, known]]
        : [
            [newest, all - newest],
            [0, newest],
          ];
    let x = width * (1 - known / all);
    for (const [from, count] of pieces) {
      if (!count) continue;
      const w = (count / all) * width;
      ctx.drawImage(this.picture, from, 0, count, MEL_BANDS, x, 0, w, height);
      x += w;
    }
  }

  #drawSinging({ ctx, width, height }, scale, ink) {
    const pad = 5 * scale;
    const y = (value) => height - pad - value * (height - 2 * pad);
    const now = this.pictured_s;
    const x = (seconds) => width * (1 - (now - seconds) / SHOWN_S);
    ctx.lineWidth = scale;
    const level = (value, colour, dash) => {
      ctx.strokeStyle = colour;
      ctx.setLineDash(dash.map((px) => px * scale));
      ctx.beginPath();
      ctx.moveTo(0, y(value));
      ctx.lineTo(width, y(value));
      ctx.stroke();
      ctx.setLineDash([]);
    };
    for (const value of [0, 0.5, 1]) level(value, ink("--line"), []);
    if (!this.singing) return;
    const { probability, first, hop_s, threshold, provisional } = this.singing;
    level(threshold, ink("--ink"), [2, 4]);
    const place = (i) => [x((first + i + 0.5) * hop_s), y(probability[i])];
    // What may still change: on a tinted ground, and drawn with dashes.
    const from = provisional - first;
    const left = x(provisional * hop_s);
    ctx.fillStyle = ink("--provisional");
    ctx.fillRect(left, 0, x((first + probability.length) * hop_s) - left, height);
    const curve = (start, end, dash) => {
      ctx.beginPath();
      for (let i = start; i < end; i++) ctx.lineTo(...place(i));
      Object.assign(ctx, { strokeStyle: ink("--slice-0"), lineWidth: 2 * scale, lineJoin: "round" });
      ctx.setLineDash(dash.map((px) => px * scale));
      ctx.stroke();
      ctx.setLineDash([]);
    };
    curve(0, from, []);
    curve(Math.max(0, from - 1), probability.length, [4, 3]);
  }

  /** Hold still. */
  stop() {
    this.#draw();
    this.running = false;
  }
}
