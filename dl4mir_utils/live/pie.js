// The pie of genres that moves with the sound, in the player and before the microphone.

import { Values, make, say } from "../player/player.js";

const GAP = 0.6; // per cent of the circle, in the colour of the paper, between two slices

/**
 * A pie with its classes beside it, and in words which one it is.
 * @param {string[]} labels
 * @returns {{pie: HTMLElement, legend: HTMLElement, verdict: (values: ArrayLike<number> | null, sure: boolean) => string,
 *   show: (values: ArrayLike<number> | null, sure: boolean) => void}}
 */
export function makePie(labels) {
  const pie = make("div", { class: "pie", "aria-hidden": "true" });
  const answer = make("p", { class: "verdict" });
  const list = make("ul", { class: "slices" });
  const colour = (i) => `var(--slice-${i})`;
  const rows = labels.map((text, i) => {
    const key = make("span", { class: "key", style: `background: ${colour(i)}`, "aria-hidden": "true" });
    const value = make("span", { class: "value" });
    list.append(make("li", {}, key, make("span", { text }), value));
    return value;
  });

  function verdict(values, sure) {
    if (!values) return "–";
    return sure ? labels[Array.from(values).indexOf(Math.max(...values))] : "unsure";
  }

  function show(values, sure) {
    let sum = 0;
    const slices = rows.map((row, i) => {
      say(row, values ? `${Math.round(100 * values[i])} %` : "–");
      const from = sum;
      sum += values ? 100 * values[i] : 0;
      const end = Math.max(from, sum - GAP);
      return `${colour(i)} ${from.toFixed(2)}% ${end.toFixed(2)}%, var(--raised) ${end.toFixed(2)}% ${sum.toFixed(2)}%`;
    });
    pie.style.background = values ? `conic-gradient(${slices})` : "var(--line)";
    pie.classList.toggle("unsure", Boolean(values) && !sure);
    answer.classList.toggle("unsure", Boolean(values) && !sure);
    say(answer, verdict(values, sure));
  }

  show(null, false);
  return { pie, legend: make("div", { class: "legend" }, answer, list), verdict, show };
}

/** A track of the player: `track.sure` says for each frame whether the network is sure enough to answer. */
export function pieTrack(track, { body }) {
  const values = new Values(track);
  const { pie, legend, verdict, show } = makePie(track.labels);
  for (const note of track.notes) legend.append(make("p", { class: "d-note", text: note }));
  body.classList.add("genre-now");
  body.append(pie, legend);
  const sureAt = (time) =>
    Boolean(
      track.sure[Math.min(Math.max(0, Math.floor((time - values.start) / values.hop + 1e-6)), values.frames - 1)],
    );
  // The end of a sound lies a hair behind its last frame.
  const read = (time) => values.read(Math.min(time, values.start + (values.frames - 0.5) * values.hop));
  return {
    values,
    update: (time) => show(read(time), sureAt(time)),
    spoken: (time) => verdict(read(time), sureAt(time)),
  };
}
pieTrack.below = true; // the time axis
