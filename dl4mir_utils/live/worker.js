// Both ends of the line between the page and its worker, in which the networks run: `Engine` is the page's end, `serve`
// the worker's. The worker is one classic script, so that it starts from a file as well as from a server; LiteRT.js is
// in it (dl4mir_utils/live/build.py).

import {
  Listener, checkCard, genreOverTime, mostAlike, ownOverTime, peakOf, pictureOf, singingOverTime, tagsOverTime,
} from "./analyses.js"; // prettier-ignore
import { LiveError, RATE, SILENCE, StreamResampler, joined, spans } from "./sound.js";

/**
 * @typedef {object} Wanted what to find out about a sound; what is not named is not done
 * @property {boolean} [picture] its log-mel picture
 * @property {string} [genre] a network of genres
 * @property {boolean | number} [similar] the course's clips that sound most alike, or how many of them
 * @property {string[]} [tags] taggers
 * @property {boolean} [singing]
 * @property {string} [own] a network that `add` took
 */

const NEAREST = 12; // clips that are named, if not told how many
const SHARES = { picture: 0.5, genre: 0.5, similar: 2, tags: 10, singing: 14, own: 5 }; // of the time, roughly
const REPORT_MS = 120; // between two parts of the same kind: no eye needs more
const RESAMPLED_AT_ONCE = 2 ** 18; // samples
const ALONE_S = 20; // a longer sound is resampled in both workers, half of it in each

/** How long a task takes, roughly. @param {Wanted} wanted */
function sharesOf(wanted) {
  return Object.entries(SHARES).reduce((sum, [kind, share]) => {
    const times = kind === "tags" ? (wanted.tags?.length ?? 0) : Number(Boolean(wanted[kind]));
    return sum + share * times;
  }, 0);
}

// --- the page's end -------------------------------------------------------------------------------------------------

// The smallest module with an instruction of WebAssembly SIMD: takes none, returns a vector.
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];

/** The line to one worker: asks, and hands on its answers. */
class Line {
  #worker;
  #waiting = new Map();
  #loaded = new Map();
  static #count = 0;

  /** @param {string} address of the worker's script */
  constructor(address) {
    this.#worker = new Worker(address);
    this.#worker.onmessage = ({ data }) => this.#receive(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      for (const { failed } of this.#waiting.values()) failed(new LiveError("worker", event.message || "it stopped"));
      this.#waiting.clear();
    };
  }

  #receive({ id, part, answer, error }) {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    if (part !== undefined) {
      waiting.onpart?.(part);
      return;
    }
    this.#waiting.delete(id);
    if (error) waiting.failed(new LiveError(error.code, error.detail));
    else waiting.done(answer);
  }

  static next() {
    return ++Line.#count;
  }

  /** Send a message to which no answer comes. */
  tell(message, handedOver = []) {
    this.#worker.postMessage(message, handedOver);
  }

  ask(message, handedOver = [], onpart = undefined, id = Line.next()) {
    return new Promise((done, failed) => {
      this.#waiting.set(id, { done, failed, onpart });
      this.tell({ ...message, id }, handedOver);
    });
  }

  /** Load a network, once. */
  load(name, unpack) {
    if (!this.#loaded.has(name)) {
      const loading = unpack(name).then((bytes) => this.ask({ task: "load", name, bytes }, [bytes]));
      this.#loaded.set(name, loading);
      loading.catch(() => this.#loaded.delete(name)); // it may work the next time
    }
    return this.#loaded.get(name);
  }
}

/**
 * Runs the networks in a worker; in a second one it draws the picture and finds singing, which takes half of the time,
 * while the first does the rest. The second one also follows pitch and level of the microphone, which must not wait for a
 * tagger.
 */
export class Engine {
  #unpack;
  #address = "";
  #module = null;
  /** @type {Line} */
  #main;
  /** @type {Promise<Line> | null} */
  #second = null;
  #shared = new Map();
  #started = null;

  /** @param {(name: string) => Promise<ArrayBuffer>} unpack fetches an asset of the page */
  constructor(unpack) {
    this.#unpack = unpack;
    /** Cards of all networks, by name; known once the engine has started. */
    this.cards = {};
  }

  /** Start LiteRT; done once. @returns {Promise<{ms: number}>} */
  start() {
    return (this.#started ??= this.#start());
  }

  async #start() {
    const started = performance.now();
    if (!globalThis.WebAssembly?.validate(Uint8Array.from(SIMD))) throw new LiveError("no_simd");
    const [code, wasm, cards] = await Promise.all(["worker", "wasm", "cards"].map((name) => this.#unpack(name)));
    this.cards = JSON.parse(new TextDecoder().decode(cards));
    this.#address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    this.#module = await WebAssembly.compile(wasm);
    this.#main = await this.#line();
    return { ms: performance.now() - started };
  }

  #other() {
    return (this.#second ??= this.#line());
  }

  async #line() {
    const line = new Line(this.#address);
    await line.ask({ task: "start", module: this.#module, cards: this.cards });
    return line;
  }

  /** Load what is named, into one of the workers. */
  #load(line, names) {
    return Promise.all(names.filter(Boolean).map((name) => line.load(name, this.#unpack)));
  }

  /** Load what a task needs, each network into the worker that runs it. @param {Wanted & {notes?: boolean}} wanted */
  async #needed({ genre, similar, tags, singing, notes }) {
    const alike = similar ? ["neighbours", "musicnn_msd"] : [];
    await this.#load(this.#main, [genre, ...[tags].flat(), ...alike]);
    const second = [singing && "singing_detector", notes && "pitch", notes && "chords"].filter(Boolean);
    if (second.length) await this.#load(await this.#other(), second);
  }

  /** Load what a task will need. @param {Wanted} wanted */
  async load(wanted) {
    await this.start();
    await this.#needed(wanted);
  }

  /**
   * Hand over a sound, which is resampled and kept in the worker.
   * @param {import("./sound.js").Sound} sound as `decode` gives it
   * @param {(share: number) => void} [onprogress]
   * @param {number} [rate] other than 16 kHz for a network of one's own that wants it
   * @returns {Promise<{id: number, samples: number, duration_s: number, peak: number}>}
   */
  async open({ mono, rate: from }, onprogress, rate = RATE) {
    await this.start();
    const lines = mono.length > ALONE_S * from ? [this.#main, await this.#other()] : [this.#main];
    const known = lines.map(() => 0); // which share of each part is done
    const resampled = spans(mono.length, from, rate, lines.length).map(async ({ first, end, ...span }, i) => {
      const part = mono.slice(first, end);
      const { audio } = await lines[i].ask({ task: "resample", mono: part, from, rate, ...span }, [part.buffer], (share) => {
        known[i] = share;
        onprogress?.(known.reduce((sum, each) => sum + each, 0) / lines.length);
      });
      return audio;
    });
    const audio = joined(await Promise.all(resampled));
    return this.#main.ask({ task: "open", audio, rate }, [audio.buffer]);
  }

  /** Forget a sound. @param {number} song */
  async close(song) {
    await this.#main.ask({ task: "close", song });
    if (this.#shared.delete(song)) await (await this.#other()).ask({ task: "close", song });
  }

  /** Let the second worker have a sound, too. */
  #share(song) {
    if (!this.#shared.has(song)) {
      const sharing = Promise.all([this.#other(), this.#main.ask({ task: "copy", song })]).then(([other, copy]) =>
        other.ask({ task: "keep", song, ...copy }, [copy.audio.buffer]),
      );
      this.#shared.set(song, sharing);
      sharing.catch(() => this.#shared.delete(song));
    }
    return this.#shared.get(song);
  }

  /**
   * Analyse a sound.
   * @param {number} song its id
   * @param {Wanted} wanted
   * @param {(part: any) => void} [onpart] gets progress, and what is known so far
   * @returns {{done: Promise<any>, cancel: () => void}}
   */
  analyse(song, wanted, onpart) {
    const id = Line.next();
    const lines = [];
    let cancelled = false;
    const cancel = () => {
      cancelled = true;
      for (const line of lines) line.tell({ task: "cancel", job: id });
    };
    const { picture, singing, ...rest } = wanted;
    const parts = [rest, { picture, singing }]; // of the first worker and of the second
    const all = sharesOf(wanted);
    const known = [0, 0]; // which share of each part is done
    const show = (i) => (part) => {
      if (cancelled) return;
      if (part.kind !== "progress") {
        onpart?.(part);
        return;
      }
      known[i] = part.share * sharesOf(parts[i]);
      onpart?.({ ...part, share: known.reduce((sum, share) => sum + share, 0) / all });
    };
    const doing = async (part, i) => {
      if (!sharesOf(part)) return {};
      if (i) await this.#share(song);
      await this.#needed(part);
      if (cancelled) throw new LiveError("cancelled");
      const line = i ? await this.#other() : this.#main;
      lines.push(line);
      return line.ask({ task: "analyse", song, wanted: part }, [], show(i), id);
    };
    const done = this.start()
      .then(() => Promise.all(parts.map(doing)))
      .then((results) => Object.assign({}, ...results));
    done.catch(cancel); // where one part fails, the other is not needed
    return { done, cancel };
  }

  /**
   * Take a network of the reader's own.
   * @param {ArrayBuffer} bytes the .tflite file; handed over
   * @param {any} card as `checkCard` gives it
   * @returns {Promise<string>} the name by which to call it
   */
  async add(bytes, card) {
    await this.start();
    const name = `own ${Line.next()}`;
    await this.#main.ask({ task: "add", name, bytes, card }, [bytes]);
    this.cards[name] = card;
    return name;
  }

  /** Forget a network of the reader's own. @param {string} name */
  async remove(name) {
    delete this.cards[name];
    await this.#main.ask({ task: "remove", name });
  }

  /**
   * Listen to sound as it comes.
   * @param {{rate: number, tags?: string | null, genre?: string | null, singing?: boolean, notes?: boolean}} wanted
   * @param {(part: any) => void} onpart
   * @returns {Promise<{push: (part: Float32Array) => void, set: (changes: object) => Promise<void>, stop: () => Promise<any>}>}
   */
  async listen({ rate, tags = null, genre = null, singing = false, notes = false }, onpart) {
    await this.start();
    await this.#needed({ tags, genre, singing, notes });
    const second = await this.#other();
    const id = Line.next();
    // A call of a tagger takes a tenth of a second and more, for which pitch and level should not wait.
    const ends = [
      this.#main.ask({ task: "listen", wanted: { rate, tags, genre } }, [], onpart, id),
      second.ask({ task: "listen", wanted: { rate, notes, singing, level: true } }, [], onpart, id),
    ];
    const ended = Promise.all(ends).then(([heard]) => heard);
    ended.catch(() => {}); // whoever stops it hears of it
    return {
      /** Hand over the next samples. @param {Float32Array} part */
      push: (part) => {
        const copy = part.slice();
        second.tell({ task: "push", job: id, part: copy }, [copy.buffer]);
        this.#main.tell({ task: "push", job: id, part }, [part.buffer]);
      },
      /** Exchange networks. @param {Partial<Wanted>} changes */
      set: async (changes) => {
        await this.#needed(changes);
        this.#main.tell({ task: "set", job: id, changes });
      },
      /** @returns {Promise<{duration_s: number}>} how much was heard */
      stop: () => {
        for (const line of [second, this.#main]) line.tell({ task: "stop", job: id });
        return ended;
      },
    };
  }
}

// --- the worker's end -----------------------------------------------------------------------------------------------

/** Answer the page's messages. @param {any} LiteRT the library @param {DedicatedWorkerGlobalScope} scope */
export function serve(LiteRT, scope) {
  const networks = new Map();
  const songs = new Map(); // {audio, rate}
  const cancelled = new Set();
  const listeners = new Map();
  let cards = {};
  let neighbours = null;
  let count = 0;
  let queue = Promise.resolve();

  /** Let messages come in: only then can a task be stopped. */
  const breath = new MessageChannel();
  const breathing = [];
  breath.port2.onmessage = () => breathing.shift()();
  const pause = () =>
    new Promise((done) => {
      breathing.push(done);
      breath.port1.postMessage(0);
    });

  /** Run a network; one call after the other. @type {import("./analyses.js").Run} */
  function run(name, signature, inputs) {
    const call = queue.then(() => callOf(name, signature, inputs));
    queue = call.then(pause, pause);
    return call;
  }

  async function callOf(name, signature, inputs) {
    const network = networks.get(name);
    const shapes = cards[name].signatures[signature].inputs;
    const tensors = {};
    let outputs = {};
    try {
      for (const [input, values] of Object.entries(inputs)) tensors[input] = new LiteRT.Tensor(values, shapes[input]);
      outputs = await network.run(signature, tensors);
      return Object.fromEntries(
        Object.entries(outputs).map(([output, tensor]) => [output, Float32Array.from(tensor.toTypedArray())]),
      );
    } finally {
      // Memory of WebAssembly is not collected.
      for (const tensor of [...Object.values(tensors), ...Object.values(outputs)]) tensor.delete();
    }
  }

  const tasks = {
    async start({ module, cards: known }) {
      cards = known;
      const instantiateWasm = (imports, ready) => {
        WebAssembly.instantiate(module, imports).then((instance) => ready(instance, module));
        return {}; // it comes later
      };
      scope.Module = { instantiateWasm, print() {}, printErr() {} };
      await LiteRT.loadLiteRt("");
    },

    async load({ name, bytes }) {
      if (name === "neighbours") neighbours = readNeighbours(bytes);
      else networks.set(name, await LiteRT.loadAndCompile(new Uint8Array(bytes), { accelerator: "wasm" }));
    },

    async add({ name, bytes, card }) {
      let network;
      try {
        network = await LiteRT.loadAndCompile(new Uint8Array(bytes), { accelerator: "wasm" });
        networks.set(name, network);
        cards[name] = card;
        const { signature, input, samples, output, frames } = card.use;
        const answer = await run(name, signature, { [input]: new Float32Array(samples) });
        if (answer[output]?.length !== frames * card.labels.length) {
          throw new Error(`it gives ${answer[output]?.length ?? "no"} values where its card speaks of ${frames * card.labels.length}`);
        }
      } catch (error) {
        network?.delete();
        networks.delete(name);
        delete cards[name];
        throw new LiveError("network", plain(error));
      }
    },

    async remove({ name }) {
      networks.get(name)?.delete();
      networks.delete(name);
      delete cards[name];
    },

    async resample({ mono, from, rate, skip, count, id }) {
      const resampler = new StreamResampler(from, rate);
      const parts = [];
      for (let at = 0; at < mono.length; at += RESAMPLED_AT_ONCE) {
        parts.push(resampler.push(mono.subarray(at, at + RESAMPLED_AT_ONCE)));
        scope.postMessage({ id, part: at / mono.length });
        await pause();
      }
      return { audio: joined([...parts, resampler.finish()]).slice(skip, skip + count) };
    },

    async open({ audio, rate }) {
      if (audio.some((value) => !Number.isFinite(value))) throw new LiveError("not_finite");
      if (audio.length < 2) throw new LiveError("too_short");
      const peak = peakOf(audio);
      if (peak < SILENCE) throw new LiveError("silent");
      songs.set(++count, { audio, rate });
      return { id: count, samples: audio.length, duration_s: audio.length / rate, peak };
    },

    async close({ song }) {
      songs.delete(song);
    },

    async copy({ song }) {
      const { audio, rate } = songs.get(song);
      return { audio: audio.slice(), rate };
    },

    async keep({ song, audio, rate }) {
      songs.set(song, { audio, rate });
    },

    async analyse({ id, song, wanted }) {
      const { audio, rate } = songs.get(song);
      const result = { duration_s: audio.length / rate };
      const jobs = jobsOf(wanted, audio);
      const all = sharesOf(wanted);
      let before = 0;
      let shown = 0;
      for (const { kind, doing, work } of jobs) {
        const stop = async () => {
          if (cancelled.has(id)) throw new LiveError("cancelled");
        };
        const report = (part, share) => {
          if (cancelled.has(id)) return;
          const now = performance.now();
          if (now - shown < REPORT_MS && share < 1) return;
          shown = now;
          scope.postMessage({ id, part: { kind: "progress", doing, share: (before + share * SHARES[kind]) / all } });
          if (part) scope.postMessage({ id, part });
        };
        await stop();
        const tools = {
          cards,
          report,
          run: async (...call) => (await stop(), run(...call)),
          pause: async () => (await pause(), stop()),
        };
        const found = await work(tools);
        if (kind === "tags") (result.tags ??= {})[found.network] = found;
        else result[kind] = found;
        before += SHARES[kind];
        if (!["tags", "genre", "singing", "own"].includes(kind)) scope.postMessage({ id, part: found });
      }
      await pause(); // the last moment to stop
      if (cancelled.has(id)) throw new LiveError("cancelled");
      return result;
    },

    async listen({ id, wanted }) {
      const resampler = new StreamResampler(wanted.rate, RATE);
      const show = (part) => scope.postMessage({ id, part });
      const listener = new Listener(wanted, show, { run, cards, pause });
      return new Promise((done, failed) => listeners.set(id, { listener, resampler, done, failed, busy: {} }));
    },
  };

  /** What is to be done, the quick and short things first. */
  function jobsOf({ picture, genre, similar, tags = [], singing, own }, audio) {
    const jobs = [];
    const add = (kind, doing, work) => jobs.push({ kind, doing, work });
    if (picture) add("picture", "picture", (work) => pictureOf(audio, work));
    if (genre) add("genre", genre, (work) => genreOverTime(genre, audio, work));
    if (similar) {
      const named = similar === true ? NEAREST : similar;
      add("similar", "similar", (work) => mostAlike(audio, neighbours, named, work));
    }
    for (const tagger of tags) add("tags", tagger, (work) => tagsOverTime(tagger, audio, work));
    if (singing) add("singing", "singing", (work) => singingOverTime(audio, work));
    if (own) add("own", own, (work) => ownOverTime(own, audio, work));
    return jobs;
  }

  /** Messages that ask for no answer. */
  const notes = {
    cancel({ job }) {
      cancelled.add(job);
    },
    push({ job, part }) {
      const live = listeners.get(job);
      if (!live) return;
      const { listener, resampler, busy, failed } = live;
      listener.push(resampler.push(part));
      // Each of the two at most once at a time; what comes meanwhile is heard together with the next.
      const unlessBusy = async (what) => {
        if (busy[what]) return;
        busy[what] = true;
        try {
          await listener[what]();
        } catch (error) {
          listener.stopped = true;
          failed(error);
        }
        busy[what] = false;
      };
      if (listener.wanted.notes) unlessBusy("notes");
      if (listener.due) unlessBusy("hear");
    },
    set({ job, changes }) {
      Object.assign(listeners.get(job)?.listener.wanted ?? {}, changes);
    },
    stop({ job }) {
      const live = listeners.get(job);
      if (!live) return;
      listeners.delete(job);
      live.listener.stopped = true;
      live.done({ duration_s: live.listener.samples / RATE });
    },
  };

  scope.onmessage = async ({ data }) => {
    if (data.task in notes) return notes[data.task](data);
    try {
      const answer = await tasks[data.task](data);
      scope.postMessage({ id: data.id, answer }, answer?.audio ? [answer.audio.buffer] : []);
    } catch (error) {
      const known = error instanceof LiveError ? error : new LiveError(inMemory(error) ? "memory" : "worker", plain(error));
      scope.postMessage({ id: data.id, error: { code: known.code, detail: known.detail } });
    }
    cancelled.delete(data.id);
  };
}

const plain = (error) => String(error?.message ?? error).split("\n")[0];
const inMemory = (error) => error instanceof RangeError || /memory/i.test(plain(error));

/** Unpack the list of neighbours: their vectors are base64 of single-precision numbers. */
function readNeighbours(bytes) {
  const found = JSON.parse(new TextDecoder().decode(bytes));
  const letters = atob(found.vectors);
  const vectors = new Float32Array(Uint8Array.from(letters, (letter) => letter.charCodeAt(0)).buffer);
  return { ...found, vectors };
}

export { checkCard };

if (globalThis.DedicatedWorkerGlobalScope && globalThis instanceof globalThis.DedicatedWorkerGlobalScope) {
  serve(globalThis.LiteRT, globalThis);
}
