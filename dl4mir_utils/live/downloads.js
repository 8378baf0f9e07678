// What the reader can take along.

import { audacityLabels, everythingJson, framesCsv, overTimeCsv, tagsCsv } from "./analyses.js";

/**
 * @typedef {object} Download
 * @property {string} title what stands on the button
 * @property {string} note what it is
 * @property {string} ending of the file's name
 * @property {string} type
 * @property {() => string} text
 */

/**
 * The files that can be written from what is known.
 * @param {string} name of the sound
 * @param {any} result as far as it is known
 * @returns {Download[]}
 */
export function downloadsOf(name, result) {
  const { singing, genre, tags = {}, own } = result;
  const csv = "text/csv";
  const files = [];
  if (singing) {
    files.push(
      {
        title: "Audacity labels",
        note: "where somebody sings",
        ending: "singing.txt",
        type: "text/plain",
        text: () => audacityLabels(singing),
      },
      {
        title: "Singing, CSV",
        note: "the probability in each step",
        ending: "singing.csv",
        type: csv,
        text: () => framesCsv(singing),
      },
    );
  }
  for (const [network, found] of Object.entries(tags)) {
    const which = network.replace("musicnn_", "");
    const set = which.toUpperCase();
    files.push(
      {
        title: `Tags ${set}, CSV`,
        note: "their mean over the sound",
        ending: `tags-${which}.csv`,
        type: csv,
        text: () => tagsCsv(name, found),
      },
      {
        title: `Tags ${set} over time, CSV`,
        note: "every three seconds",
        ending: `tags-${which}-over-time.csv`,
        type: csv,
        text: () => overTimeCsv(found),
      },
    );
  }
  if (genre)
    files.push({
      title: "Genre over time, CSV",
      note: "window by window",
      ending: "genre.csv",
      type: csv,
      text: () => overTimeCsv(genre),
    });
  if (own)
    files.push({
      title: "Your network, CSV",
      note: "its output over time",
      ending: "own-network.csv",
      type: csv,
      text: () => overTimeCsv(own),
    });
  if (files.length)
    files.push({
      title: "Everything, JSON",
      note: "all answers in one file",
      ending: "heard.json",
      type: "application/json",
      text: () => everythingJson(name, result),
    });
  return files;
}

/** The name of a file to write, after that of the sound: without its ending and without signs that systems forbid. */
export function fileName(name, ending) {
  const stem = name.replace(/\.[A-Za-z0-9]{1,5}$/, "").replace(/[\\/:*?"<>|\x00-\x1f]+/g, "_");
  return `${stem.slice(0, 80) || "sound"}-${ending}`;
}

/** Let the browser write a file. */
export function save(name, content, type) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  Object.assign(link, { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
