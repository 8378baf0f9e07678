// The synchronised player: sound, log-mel picture and tracks on one time axis.
//
// One module, two ways in: anywidget calls `render` with a model; a plain page holds elements of class
// `dl4mir-standalone` and calls `mountAll`. No library and no network: everything that is drawn comes with the content.
//
// What costs time (curves, heat maps) is drawn once per zoom, size and theme. A frame of playing only moves one
// element (the playhead) and changes a few texts and bar lengths, so long songs play as smoothly as short ones.

const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3]]; // lines differ in more than colour
const N_COLOURS = 7;
const MAGMA = ["#000004", "#51127c", "#b73779", "#fc8961", "#fcfdbf"];
const ROW_PX = 15; // a row of a heat map that is high enough for its label
const LABELLED_ROWS = 20; // above, rows are thinner and only the strongest are named
const SPOKEN_EVERY_MS = 5000; // while playing; a screen reader needs time to finish

// --- small helpers ---------------------------------------------------------------------------------------------

/** Make an element; the attribute `text` is its text, `onclick` a listener. */
function make(tag, { text = "", onclick = null, ...attributes } = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.onclick = onclick;
  node.append(text, ...children);
  return node;
}

/** Have JupyterLab leave the keys to us: it asks each element that has the focus by itself, not those around it. */
function ownKeys(root) {
  for (const node of [root, ...root.querySelectorAll("a, button, input, select, summary, [tabindex]")]) {
    node.dataset.lmSuppressShortcuts = "true";
  }
}

/** Set a text only where it changes: a text node that is written again costs a layout. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** 83.456 -> "1:23.4"; cut, not rounded, so that the clock never runs ahead. */
function clock(seconds) {
  const tenths = Math.floor(seconds * 10 + 1e-6);
  return `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

function spokenTime(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes ? `${minutes} min ` : ""}${(seconds - 60 * minutes).toFixed(1)} s`;
}

/** Bytes from base64 text (plain page) or from the DataView that Jupyter hands over. */
function toBytes(data) {
  if (typeof data === "string") return Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
}

/** The numbers of a track, unpacked and looked up by time. Frame i holds from start + i hop, for one hop. */
class Values {
  constructor({ data, bits, low, high, frames, columns, hop, start, labels }) {
    const bytes = toBytes(data);
    this.codes = bits === 8 ? bytes : new Uint16Array(bytes.buffer);
    Object.assign(this, { low, high, frames, columns, hop, start, labels, top: 2 ** bits - 1 });
    this.digits = high - low > 50 ? 0 : high - low > 5 ? 1 : 2;
  }
  at(frame, column) {
    return this.low + ((this.high - this.low) * this.codes[frame * this.columns + column]) / this.top;
  }
  /** All columns at a time, or null before and after the track. */
  read(time) {
    const frame = Math.floor((time - this.start) / this.hop + 1e-6);
    if (frame < 0 || frame >= this.frames) return null;
    return Array.from({ length: this.columns }, (_, column) => this.at(frame, column));
  }
  /** Frames [first, last) that a strip of time touches: at least one, but none outside the track. */
  range(from, to) {
    const first = Math.floor((from - this.start) / this.hop + 1e-6);
    const last = Math.max(first + 1, Math.ceil((to - this.start) / this.hop - 1e-6));
    return [Math.max(first, 0), Math.min(last, this.frames)];
  }
  /** The largest entries at a time as "voice 0.92, guitar 0.40". */
  strongest(time, count) {
    const read = this.read(time);
    const order = (read ?? []).map((_, i) => i).sort((a, b) => read[b] - read[a]);
    return order.slice(0, count).map((i) => `${this.labels[i]} ${read[i].toFixed(this.digits)}`).join(", ");
  }
}

/** 256 colours between some given ones, as one number each for a Uint32 view of ImageData. */
function palette(hexes) {
  const stops = hexes.map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  return Uint32Array.from({ length: 256 }, (_, level) => {
    const place = (level / 255) * (stops.length - 1);
    const i = Math.min(Math.floor(place), stops.length - 2);
    const [r, g, b] = stops[i].map((low, c) => Math.round(low + (place - i) * (stops[i + 1][c] - low)));
    return (255 << 24) | (b << 16) | (g << 8) | r;
  });
}

// --- drawing. A view is { ctx, width, height (device px), scale, from, to (s), x(time), ink(name of a colour) } ----

function line(ctx, x0, y0, x1, y1) {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

/** Text with a rim in another colour, so that it reads on everything; x and y in device px. */
function write({ ctx, scale }, text, x, y, colour, rim, baseline = "middle") {
  ctx.font = `${11 * scale}px sans-serif`;
  Object.assign(ctx, { textBaseline: baseline, lineJoin: "round", lineWidth: 3 * scale, strokeStyle: rim, fillStyle: colour });
  ctx.strokeText(text, x, y);
  ctx.fillText(text, x, y);
}

/** Picture of frames x rows; a pixel column shows the largest value below it, so that short events stay visible. */
function drawMatrix({ ctx, width, height, from, to }, values, colours) {
  const { codes, columns, top } = values;
  const image = new ImageData(width, columns);
  const pixels = new Uint32Array(image.data.buffer);
  const second = (to - from) / width;
  for (let x = 0; x < width; x++) {
    const [first, last] = values.range(from + second * x, from + second * (x + 1));
    for (let column = 0; first < last && column < columns; column++) {
      let largest = 0;
      for (let at = first * columns + column; at < last * columns; at += columns) {
        if (codes[at] > largest) largest = codes[at];
      }
      pixels[(columns - 1 - column) * width + x] = colours[Math.round((largest * 255) / top)];
    }
  }
  const small = new OffscreenCanvas(width, columns);
  small.getContext("2d").putImageData(image, 0, 0);
  ctx.imageSmoothingEnabled = false;
  ctx.drawImage(small, 0, 0, width, height);
}

/** A curve. Where frames share a pixel it is their mean, on a band from their smallest to their largest value. */
function drawCurve({ ctx, width, scale, from, to, x }, values, column, y) {
  const path = new Path2D();
  const step = 2 * scale;
  const second = (to - from) / width;
  if (second * step > 1.5 * values.hop) {
    ctx.globalAlpha = 0.35;
    for (let left = 0; left < width; left += step) {
      const [first, last] = values.range(from + second * left, from + second * (left + step));
      if (first >= last) continue;
      let [sum, small, large] = [0, Infinity, -Infinity];
      for (let frame = first; frame < last; frame++) {
        const value = values.at(frame, column);
        sum += value;
        small = Math.min(small, value);
        large = Math.max(large, value);
      }
      ctx.fillRect(left, y(large), step, Math.max(y(small) - y(large), scale));
      path.lineTo(left + step / 2, y(sum / (last - first)));
    }
    ctx.globalAlpha = 1;
  } else {
    const [first, last] = values.range(from - values.hop, to + values.hop);
    for (let frame = first; frame < last; frame++) {
      path.lineTo(x(values.start + (frame + 0.5) * values.hop), y(values.at(frame, column)));
    }
  }
  ctx.setLineDash(DASHES[column % DASHES.length].map((px) => px * scale));
  ctx.stroke(path);
  ctx.setLineDash([]);
}

/** A box with its name in it. Boxes too small for the name still differ: in hatching as well as in colour. */
function drawBox({ ctx, scale, ink }, label, kind, left, top, width, height) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  ctx.fillStyle = ctx.strokeStyle = ink(`--d-c${kind % N_COLOURS}`);
  ctx.lineWidth = 1.5 * scale;
  ctx.globalAlpha = 0.22;
  ctx.fillRect(left, top, width, height);
  ctx.globalAlpha = 0.5;
  const lean = [0, height, -height][kind % 3]; // no stripes, stripes to the right, to the left
  for (let stripe = left - height; lean && stripe < left + width + height; stripe += 9 * scale) {
    line(ctx, stripe, top + height, stripe + lean, top);
  }
  ctx.globalAlpha = 1;
  ctx.strokeRect(left, top, width, height);
  ctx.font = `${11 * scale}px sans-serif`;
  if (ctx.measureText(label).width + 8 * scale < width) {
    write({ ctx, scale }, label, left + 5 * scale, top + height / 2, ink("--d-ink"), ink("--d-paper"));
  }
  ctx.restore();
}

function drawTimeAxis({ ctx, scale, width, from, to, x, ink }) {
  const steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800];
  const step = steps.find((s) => (s / (to - from)) * width > 64 * scale) ?? 3600;
  const digits = step < 1 ? 2 : 0;
  ctx.textAlign = "center";
  for (let tick = Math.ceil(from / step - 1e-6) * step; tick <= to + 1e-6; tick += step) {
    const minutes = `${Math.floor(tick / 60)}:${(tick % 60).toFixed(digits).padStart(digits ? 5 : 2, "0")}`;
    const text = to <= 60 ? `${+tick.toFixed(2)} s` : minutes;
    const half = ctx.measureText(text).width / 2 + 4 * scale;
    write({ ctx, scale }, text, Math.min(Math.max(x(tick), half), width - half), 14 * scale, ink("--d-soft"), ink("--d-paper"));
    Object.assign(ctx, { strokeStyle: ink("--d-soft"), lineWidth: scale });
    line(ctx, x(tick), 0, x(tick), 5 * scale);
  }
}

// --- tracks: each has a height, draws itself for a view, and tells its value at a time -----------------------------

function melTrack(track) {
  const values = new Values(track);
  const colours = palette(MAGMA);
  return {
    height: 120,
    draw(view) {
      drawMatrix(view, values, colours);
      for (const [band, text] of track.ticks) {
        write(view, text, 4 * view.scale, view.height * (1 - (band + 0.5) / values.columns), "#fff", "#000");
      }
    },
  };
}

function heatTrack(track, { label }) {
  const values = new Values(track);
  const named = values.columns <= LABELLED_ROWS;
  const levels = track.diverging ? ["below", "middle", "above"] : ["low", "mid", "high"];
  const now = label.appendChild(make("div", { class: "d-now" }));
  const list = make("ol", { style: `--row:${ROW_PX}px` });
  if (named) {
    // Row 0 is drawn at the bottom, so the list of names runs backwards.
    label.classList.add("d-rows-named");
    list.append(...[...track.labels].reverse().map((text) => make("li", { text, title: text })));
    label.append(list);
  }
  return {
    values,
    height: named ? Math.max(values.columns * ROW_PX, 45) : Math.min(260, Math.max(120, values.columns * 5)),
    draw(view) {
      drawMatrix(view, values, palette(levels.map((level) => view.ink(`--d-heat-${level}`))));
      if (!named || list.offsetWidth) return;
      // On a narrow page the list beside the picture is hidden: the names stand in it.
      values.labels.forEach((text, row) => {
        const y = view.height * (1 - (row + 0.5) / values.columns);
        write(view, text, 4 * view.scale, y, view.ink("--d-ink"), view.ink("--d-paper"));
      });
    },
    update: (time) => say(now, values.strongest(time, named ? 1 : 3) || "–"),
    spoken: (time) => values.strongest(time, 2),
  };
}

function curveTrack(track, { label }) {
  const values = new Values(track);
  const names = track.labels.length ? track.labels : [""];
  const texts = (time) => values.read(time)?.map((value) => value.toFixed(values.digits) + track.unit);
  const nodes = names.map((name, i) => {
    const key = make("span", { class: "d-key", "aria-hidden": "true" });
    const look = `style="stroke:var(--d-c${i % N_COLOURS})" stroke-width="2.5" stroke-dasharray="${DASHES[i % DASHES.length]}"`;
    key.innerHTML = `<svg width="26" height="8"><path d="M0 4h26" ${look}/></svg>`;
    const value = make("span", { class: "d-value" });
    label.append(make("div", { class: "d-entry" }, key, make("span", { class: "d-name", text: name }), value));
    return value;
  });
  if (track.threshold !== null) label.append(make("div", { class: "d-note", text: `dotted: ${track.threshold}` }));
  return {
    values,
    height: Math.max(84, 26 + 19 * (names.length + 1)),
    draw(view) {
      const { ctx, width, height, scale, ink } = view;
      const pad = 5 * scale;
      const y = (value) => height - pad - ((value - track.low) / (track.high - track.low)) * (height - 2 * pad);
      const level = (value, colour, dash = []) => {
        Object.assign(ctx, { strokeStyle: ink(colour), lineWidth: scale });
        ctx.setLineDash(dash.map((px) => px * scale));
        line(ctx, 0, y(value), width, y(value));
        ctx.setLineDash([]);
      };
      for (const value of [track.low, (track.low + track.high) / 2, track.high]) level(value, "--d-line");
      for (let column = 0; column < values.columns; column++) {
        ctx.fillStyle = ctx.strokeStyle = ink(`--d-c${column % N_COLOURS}`);
        Object.assign(ctx, { lineWidth: 2 * scale, lineJoin: "round" });
        drawCurve(view, values, column, y);
      }
      if (track.threshold !== null) level(track.threshold, "--d-ink", [2, 4]);
      write(view, track.high + track.unit, 4 * scale, y(track.high) - scale, ink("--d-soft"), ink("--d-paper"), "top");
      write(view, track.low + track.unit, 4 * scale, y(track.low) + scale, ink("--d-soft"), ink("--d-paper"), "bottom");
    },
    update: (time) => nodes.forEach((node, i) => say(node, texts(time)?.[i] ?? "–")),
    spoken: (time) => texts(time)?.map((text, i) => `${names[i]} ${text}`.trim()).join(", "),
  };
}

function segmentTrack(track, { label }) {
  const kinds = [...new Set(track.segments.map((segment) => segment[2]))];
  const now = label.appendChild(make("div", { class: "d-now" }));
  const current = (time) => track.segments.filter(([start, end]) => start <= time && time < end).map((s) => s[2]).join(", ");
  // Segments that overlap lie in different lanes, each in the first that is free.
  const ends = [];
  const lanes = track.segments.map(([start, end]) => {
    const free = ends.findIndex((taken) => taken <= start + 1e-9);
    const lane = free < 0 ? ends.length : free;
    ends[lane] = end;
    return lane;
  });
  return {
    height: Math.max(44, 24 * ends.length),
    draw(view) {
      const { width, height, scale, x } = view;
      const laneHeight = height / ends.length;
      track.segments.forEach(([start, end, label], i) => {
        const [left, right] = [Math.max(x(start), -2 * scale), Math.min(x(end), width + 2 * scale)];
        const box = [left, lanes[i] * laneHeight + 3 * scale, Math.max(right - left, scale), laneHeight - 6 * scale];
        if (right > left) drawBox(view, label, kinds.indexOf(label), ...box);
      });
    },
    update: (time) => say(now, current(time) || "–"),
    spoken: current,
  };
}

/** Bars, and a pie where one is wanted; returns how to show probabilities in them (null: none are known). */
function makeBars(labels, wantsPie, body) {
  const pie = wantsPie ? body.appendChild(make("div", { class: "d-pie", "aria-hidden": "true" })) : null;
  const list = body.appendChild(make("ul"));
  const colour = (i) => `var(--d-c${i % N_COLOURS})`;
  const bars = labels.map((label, i) => {
    const fill = make("span", { class: "d-fill", style: `background: ${colour(pie ? i : 0)}` });
    const value = make("span", { class: "d-value" });
    list.append(make("li", {}, make("span", { class: "d-name", text: label, title: label }), make("span", { class: "d-bar" }, fill), value));
    return { fill, value };
  });
  return (read) => {
    let sum = 0;
    const slices = bars.map(({ fill, value }, i) => {
      const share = read ? read[i] : 0;
      fill.style.transform = `scaleX(${share.toFixed(4)})`;
      say(value, read ? `${(100 * share).toFixed(0)} %` : "–");
      sum += 100 * share; // a thin gap in the colour of the paper parts the slices
      return `${colour(i)} 0 ${(sum - 0.6).toFixed(2)}%, var(--d-paper) 0 ${sum.toFixed(2)}%`;
    });
    if (pie) pie.style.background = read ? `conic-gradient(${slices})` : "var(--d-line)";
  };
}

/** Class probabilities have no place on the time axis: bars (and a pie) that move while the song plays. */
function barsTrack(track, { body }) {
  const values = new Values(track);
  const show = makeBars(track.labels, track.pie, body);
  return { values, update: (time) => show(values.read(time)), spoken: (time) => values.strongest(time, 2) };
}

barsTrack.below = true; // the time axis

const TRACKS = { mel: melTrack, heat: heatTrack, curve: curveTrack, segments: segmentTrack, bars: barsTrack };

/** Jupyter, VS Code and Colab say their theme in different places; elsewhere the system's choice holds. */
function isDark(node) {
  const jupyter = node.closest("[data-jp-theme-light]");
  if (jupyter) return jupyter.dataset.jpThemeLight === "false";
  const code = document.body.dataset.vscodeThemeKind;
  if (code) return /dark|high-contrast$/.test(code);
  const colab = document.documentElement.getAttribute("theme");
  return colab ? colab === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

// --- the player --------------------------------------------------------------------------------------------------

/**
 * Build a player in an element; returns a function that takes it away again.
 * @param {HTMLElement} host
 * @param {object} content  what `Player.content` in Python gives
 * @param {string} address  of the sound
 * @param {object} model  of the widget; null on a page without a kernel
 */
function mount(host, content, address, model = null) {
  if (content.map) return mountMap(host, content, address);
  if (content.slide) return mountSlide(host, content, address);
  if (content.listen) return mountListen(host, content, model);
  const { duration } = content;
  const over = new AbortController(); // takes every listener away at once
  const listen = (target, type, action, options = {}) => target.addEventListener(type, action, { signal: over.signal, ...options });
  const audio = new Audio(address);
  audio.preload = "auto";
  const view = { from: 0, to: duration };
  let wanted = 0; // the pending animation frame, 0 if none
  let spokenAt = 0;
  let placeUntold = false; // the reader has moved, and nothing has been put into words since

  const button = (text, label, action) => make("button", { type: "button", "aria-label": label, title: label, text, onclick: action });
  const playButton = button("▶", "Play", toggle);
  const time = make("span", { class: "d-time" });
  const slider = make("input", { type: "range", min: 0, max: duration, step: 0.01, value: 0, "aria-label": "Position" });
  const zoomButtons = [button("−", "Zoom out", () => zoom(2)), button("+", "Zoom in", () => zoom(0.5)), button("⤢", "Show the whole sound", () => zoom(Infinity))];
  const controls = make("div", { class: "d-controls" }, playButton, time, slider, ...zoomButtons);
  const live = make("div", { class: "d-spoken", "aria-live": "polite" });
  const stage = make("div", { class: "d-stage" });
  const cursor = make("div", { class: "d-cursor", "aria-hidden": "true" });
  const plots = make("div", { class: "d-plots" }, cursor);
  const head = make("div", { class: "d-head" }, make("strong", { text: content.title || "Sound" }), ` ${content.description}`);
  const help = make("details", {}, make("summary", { text: "Keys" }),
    "Space plays and pauses, ← → move 1 s (with Shift 10 s), Home and End jump, + − zoom, 0 shows everything. Click or drag in the picture to move there.");
  const root = make("div", {
    class: "dl4mir-player", tabindex: 0, role: "group", "aria-label": `Player: ${content.title || "sound"}. ${content.description}`,
  }, head, controls, stage, help, live);

  const axis = make("canvas", { class: "d-axis", "aria-hidden": "true" });
  const axisLabel = make("div", { class: "d-label d-note", text: "time" });
  axis.style.height = "22px";
  seekable(axis);
  wheeled(axis);
  // What belongs to a track: { track, row, label, canvas, cell } or { track, row, section }. A row may have its own cell,
  // with the canvas in it, and what else a reader needs to work on it.
  let rows = [];
  const stale = new Set(); // rows to be drawn again before the next picture
  /** What a row may use that works on more than its own canvas. */
  const player = {
    root, audio, duration, view, help, listen, seek, title: content.title,
    timeAt: (event) => timeAt(event),
    /** Seconds that so many CSS pixels stand for. */
    seconds: (px) => (px / axis.clientWidth) * (view.to - view.from),
    tell(text) {
      placeUntold = false; // the place of an earlier seek, which comes late, would wipe this away
      say(live, text);
    },
    redraw(row) {
      if (!stale.size) requestAnimationFrame(() => (paint(rows.filter((each) => stale.has(each.row))), stale.clear()));
      stale.add(row);
    },
    /** What the reader has changed in a track, if the kernel (or another view) knows of any; null if nothing. */
    edits: (track) => model?.get("edits")[track.name] ?? null,
    keepEdits(track, segments) {
      if (!model) return;
      const { [track.name]: before, ...others } = model.get("edits");
      model.set("edits", segments ? { ...others, [track.name]: segments } : others);
      model.save_changes();
    },
    whenEdited(action) {
      model?.on("change:edits", action);
      over.signal.addEventListener("abort", () => model?.off("change:edits", action));
    },
  }; // prettier-ignore

  /** Make what shows a track. */
  function rowOf(track) {
    const label = make("div", { class: "d-label" }, make("div", { class: "d-track-name", text: track.name }));
    if (TRACKS[track.kind].below) {
      const body = make("div", { class: "d-body" });
      const section = make("section", { class: "d-classes", "aria-label": track.summary }, label, body);
      return { track, section, row: TRACKS[track.kind](track, { label, body }) };
    }
    const canvas = make("canvas", { role: "img", "aria-label": track.summary });
    const row = TRACKS[track.kind](track, { label, canvas, player });
    canvas.style.height = `${row.height}px`;
    if (!row.cell) seekable(canvas); // else the row has its own use for the pointer
    wheeled(canvas);
    return { track, label, canvas, cell: row.cell ?? canvas, row };
  }

  /** Show these tracks, and keep what is there of those that were shown before: more may be known of some by now. */
  function setTracks(tracks) {
    const before = new Map(rows.map((each) => [each.track, each]));
    rows = tracks.map((track) => before.get(track) ?? rowOf(track));
    const upper = rows.filter((each) => each.canvas);
    plots.replaceChildren(cursor, ...upper.flatMap(({ label, cell }) => [label, cell]), axisLabel, axis);
    stage.replaceChildren(plots, ...rows.filter((each) => each.section).map(({ section }) => section));
    ownKeys(root);
    drawAll();
  }

  function paint(some) {
    const scale = devicePixelRatio || 1;
    const width = Math.round(axis.clientWidth * scale);
    if (!width) return; // not on the page yet, or hidden; the observer calls again
    root.dataset.theme = isDark(root) ? "dark" : "light";
    const style = getComputedStyle(root);
    const ink = (name) => style.getPropertyValue(name).trim();
    const x = (seconds) => ((seconds - view.from) / (view.to - view.from)) * width;
    for (const { canvas, row } of some) {
      if (!canvas) continue;
      const height = Math.round(canvas.clientHeight * scale);
      Object.assign(canvas, { width, height }); // also clears it
      row.draw({ ctx: canvas.getContext("2d"), width, height, scale, ...view, x, ink });
    }
    update();
  }

  const drawAll = () => paint([...rows, { canvas: axis, row: { draw: drawTimeAxis } }]);

  /** Everything that moves with the sound. */
  function update() {
    const now = Math.min(audio.currentTime, duration);
    if (!audio.paused && (now < view.from || now > view.to)) return show(now, now + view.to - view.from);
    const share = (now - view.from) / (view.to - view.from);
    cursor.style.transform = `translateX(${axis.offsetLeft + share * axis.clientWidth}px)`;
    cursor.hidden = share < 0 || share > 1;
    say(time, `${clock(now)} / ${clock(duration)}`);
    slider.value = now;
    for (const { row } of rows) row.update?.(now);
    if (!audio.paused && performance.now() - spokenAt > SPOKEN_EVERY_MS) speak();
  }

  function frame() {
    update();
    wanted = audio.paused ? 0 : requestAnimationFrame(frame);
  }

  /** Put time and values into words for screen readers. */
  function speak() {
    spokenAt = performance.now();
    placeUntold = false;
    const now = audio.currentTime;
    const values = rows.map(({ track, row }) => [track.name, row.spoken?.(now)]).filter(([, value]) => value);
    say(live, [spokenTime(now), ...values.map((pair) => pair.join(": "))].join("; "));
    slider.setAttribute("aria-valuetext", spokenTime(now));
  }

  function show(from, to) {
    const span = Math.min(Math.max(to - from, Math.min(0.05, duration)), duration);
    view.from = Math.min(Math.max(from, 0), duration - span);
    view.to = view.from + span;
    drawAll();
  }

  /** Zoom by a factor of the shown span; the playhead (or the given time) stays where it is. */
  function zoom(factor, around = audio.currentTime) {
    if (factor === Infinity) return show(0, duration);
    const fixed = around >= view.from && around <= view.to ? around : (view.from + view.to) / 2;
    show(fixed - (fixed - view.from) * factor, fixed + (view.to - fixed) * factor);
  }

  function seek(seconds) {
    placeUntold = true;
    audio.currentTime = Math.min(Math.max(seconds, 0), duration);
    const now = audio.currentTime;
    const span = view.to - view.from;
    if (now < view.from || now > view.to) show(now - span / 2, now + span / 2);
    else update();
  }

  function toggle() {
    if (!audio.paused) return audio.pause();
    if (audio.currentTime >= duration - 0.01) audio.currentTime = 0;
    audio.play().catch(() => head.append(make("span", { role: "alert", text: " This browser cannot play the sound." })));
  }

  function playChanged() {
    const playing = !audio.paused;
    playButton.textContent = playing ? "❚❚" : "▶";
    for (const name of ["aria-label", "title"]) playButton.setAttribute(name, playing ? "Pause" : "Play");
    if (playing) {
      // One sound at a time: tell the other players, and stop the plain ones.
      document.dispatchEvent(new CustomEvent("dl4mir-play", { detail: root }));
      document.querySelectorAll("audio, video").forEach((other) => other.pause());
      if (!wanted) wanted = requestAnimationFrame(frame);
    } else {
      speak();
    }
  }

  const timeAt = (event) => {
    const box = axis.getBoundingClientRect();
    return view.from + ((event.clientX - box.left) / box.width) * (view.to - view.from);
  };
  const KEYS = {
    " ": toggle,
    ArrowLeft: (far) => seek(audio.currentTime - (far ? 10 : 1)),
    ArrowRight: (far) => seek(audio.currentTime + (far ? 10 : 1)),
    Home: () => seek(0),
    End: () => seek(duration),
    "+": () => zoom(0.5),
    "=": () => zoom(0.5),
    "-": () => zoom(2),
    0: () => zoom(Infinity),
  };

  /** Let the pointer move the sound, and the wheel the view; these listeners go away with the canvas. */
  function seekable(canvas) {
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      canvas.setPointerCapture(event.pointerId);
      root.focus({ preventScroll: true });
      seek(timeAt(event));
    });
    canvas.addEventListener("pointermove", (event) => canvas.hasPointerCapture(event.pointerId) && seek(timeAt(event)));
  }

  function wheeled(canvas) {
    // The wheel alone scrolls the page; with Ctrl (or two fingers) it zooms, sideways it moves the view.
    canvas.addEventListener("wheel", (event) => {
      const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
      if (event.ctrlKey) zoom(event.deltaY > 0 ? 1.25 : 0.8, timeAt(event));
      else if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
        const step = (sideways / axis.clientWidth) * (view.to - view.from);
        show(view.from + step, view.to + step);
      } else return;
      event.preventDefault();
    }, { passive: false });
  }

  for (const type of ["play", "pause", "ended"]) listen(audio, type, playChanged);
  listen(audio, "seeked", () => { update(); if (audio.paused && placeUntold) speak(); });
  listen(document, "dl4mir-play", (event) => event.detail !== root && audio.pause());
  listen(document, "play", () => audio.pause(), { capture: true }); // a plain player of the page has started
  listen(slider, "input", () => seek(Number(slider.value)));
  listen(root, "keydown", (event) => {
    if (event.defaultPrevented) return; // a row has had a use for it
    const key = KEYS[event.key];
    const pressesButton = event.key === " " && event.target.closest("button, summary");
    if (!key || pressesButton || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    key(event.shiftKey);
  });
  const sizes = new ResizeObserver(() => {
    root.classList.toggle("d-narrow", root.clientWidth < 560);
    drawAll();
  });
  const themes = new MutationObserver(() => root.dataset.theme !== (isDark(root) ? "dark" : "light") && drawAll());
  for (const node of [document.documentElement, document.body]) themes.observe(node, { attributes: true });
  listen(matchMedia("(prefers-color-scheme: dark)"), "change", drawAll);

  setTracks(content.tracks);
  host.append(root);
  // For scripts on the page, and for tests.
  root.dl4mir = { audio, view, seek, setTracks, get tracks() { return rows.map(({ row }) => row); } }; // prettier-ignore
  sizes.observe(root);
  return () => {
    over.abort();
    sizes.disconnect();
    themes.disconnect();
    cancelAnimationFrame(wanted);
    audio.pause();
    audio.removeAttribute("src");
    root.remove();
  };
}

// --- the two ways in ---------------------------------------------------------------------------------------------

/** anywidget: the content comes with the model; what is returned cleans up when the output goes away. */
function render({ model, el }) {
  const content = model.get("content");
  if (!content.audio) return mount(el, content, "", model);
  const address = URL.createObjectURL(new Blob([toBytes(content.audio)], { type: content.audio_type }));
  const unmount = mount(el, content, address, model);
  return () => (unmount(), URL.revokeObjectURL(address));
}

/** A plain page: every `.dl4mir-standalone` holds a figure and an audio element to replace, and the content. */
async function mountAll() {
  for (const host of document.querySelectorAll(".dl4mir-standalone")) {
    if (host.dataset.mounted) continue; // perhaps meanwhile, by the script of another player on the page
    host.dataset.mounted = "true";
    const content = JSON.parse(host.querySelector("script[type='application/json']").textContent);
    let address = host.querySelector("audio")?.src ?? "";
    // Simple web servers cannot send a part of a file, and then browsers cannot seek in it: fetch the whole.
    if (address && !address.startsWith("file:")) {
      const fetched = await fetch(address).then((answer) => answer.ok && answer.blob()).catch(() => null);
      address = fetched ? URL.createObjectURL(fetched) : address;
    }
    host.replaceChildren();
    mount(host, content, address);
  }
}

export { MAGMA, TRACKS, Values, clock, make, mount, mountAll, palette, say };
export default { render };
