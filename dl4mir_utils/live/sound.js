// From a file to samples: the header, the browser's decoder, resampling, and what can be wrong with a file.
//
// Browsers resample while they decode, each in its own way, which shifts probabilities by hundredths. So we read the
// file's own sample rate from its header, let the browser decode at that rate, and resample ourselves.

/** Samples per second of what the networks hear. */
export const RATE = 16000;
export const MOST_S = 30 * 60;
export const MOST_BYTES = 400e6;
/** Of full scale, -80 dB: what never gets louder is silent; as `dl4mir_utils.decoding.SILENCE`. */
export const SILENCE = 1e-4;
const RATES = [1000, 768000]; // no recording has others; a damaged header may
const OPUS_RATE = 48000; // Opus is always decoded at this rate
const WAV_HEAD = 44; // bytes

/** What went wrong, by code, in words for the reader; `{}` is the detail. */
export const TEXTS = {
  empty: "This file is empty.",
  text: "This is a text file, whatever its name says. Please choose a sound file, such as WAV, MP3, Ogg, FLAC or M4A.",
  not_sound: "Your browser cannot read this as sound: the file is damaged, or in a format that the browser does not know. WAV, MP3, Ogg, FLAC and M4A usually work.",
  no_sound: "This file holds no sound.",
  too_short: "This file holds a single sample or two, which is too short to hear anything.",
  silent: "This file holds only silence: there is nothing to listen to.",
  not_finite: "This file holds samples that are no finite numbers.",
  too_long: "This sound is {} long. The page listens to 30 minutes at most; the command line, `dl4mir`, takes any length.",
  too_large: "This file has {}. The page takes 400 MB at most; the command line, `dl4mir`, takes any size.",
  length: "This file claims to be much longer than a file of its size can be: it seems to be damaged.",
  rate: "This file claims a sample rate of {} Hz, which no recording has: it seems to be damaged.",
  no_simd: "This browser cannot run the networks: it lacks WebAssembly SIMD, which all browsers have had since 2023. Please try a newer one.",
  outdated: "A part of this page is of another version: {}. Please load the page again, without your browser's cache (Ctrl+Shift+R).",
  missing: "A part of this page is missing: {}. If you copied the page, copy the folder `live` beside it as well.",
  cancelled: "Stopped.",
  card: "{}",
  network: "LiteRT cannot run this network: {}",
  memory: "There is not enough memory for this sound. A shorter one may work, or fewer open pages.",
  worker: "Something went wrong while listening: {}",
};

/** An error whose message is made for the reader. */
export class LiveError extends Error {
  /**
   * @param {keyof typeof TEXTS} code
   * @param {string} [detail] what stands in the text
   */
  constructor(code, detail = "") {
    super(TEXTS[code].replace("{}", () => detail));
    this.name = "LiveError";
    this.code = code;
    this.detail = detail;
  }
}

// --- assets of the page ---------------------------------------------------------------------------------------------

const PACKED_FIRST = 0x4000; // the letter that stands for 15 zeros; as in build.py
const PACKED_BITS = 15; // a letter

/**
 * Undo the packing of an asset, whose script has put gzipped bytes into PACK: how many, and letters of 15 bits each. It
 * is then forgotten there.
 * @param {string} name
 * @returns {Promise<ArrayBuffer>}
 */
export async function unpacked(name) {
  const packed = globalThis.PACK?.[name];
  // A browser may still have the script of an older page, which held one text.
  if (!Array.isArray(packed)) throw new LiveError(packed ? "outdated" : "missing", `live/${name}.js`);
  const [length, text] = packed;
  delete globalThis.PACK[name];
  const bytes = new Uint8Array(length);
  let held = 0; // bits of the letters so far that are in no byte yet
  let count = 0; // of them
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    held = (held << PACKED_BITS) | (text.charCodeAt(i) - PACKED_FIRST);
    count += PACKED_BITS;
    while (count >= 8) {
      count -= 8;
      bytes[at++] = held >> count; // of the last letter, up to a byte too many, which is dropped
    }
    held &= (1 << count) - 1;
  }
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

// --- headers --------------------------------------------------------------------------------------------------------

/**
 * @typedef {object} Description
 * @property {string} format "wav", "aiff", "flac", "vorbis", "opus", "mp3", "aac", "m4a", or "" for all else
 * @property {number} rate samples per second at which to decode
 * @property {number | null} channels
 * @property {number | null} duration_s as the header says, or as the size lets expect
 * @property {number} [start] of an MP3: where its first frame begins, in bytes
 */

const UNKNOWN = { format: "", rate: OPUS_RATE, channels: null, duration_s: null };

/**
 * Read what the header of a sound file says.
 * @param {ArrayBuffer} buffer the whole file
 * @returns {Description}
 */
export function describe(buffer) {
  const view = new DataView(buffer);
  try {
    const start = afterId3(view);
    const kind = text(view, start, 4);
    if (kind === "RIFF" || kind === "RF64") return wav_(view);
    if (kind === "FORM") return aiff(view);
    if (kind === "fLaC") return flac(view, start, "flac");
    if (kind === "OggS") return ogg(view, start);
    if (text(view, 4, 4) === "ftyp") return m4a(view) ?? UNKNOWN;
    return mpeg(view, start) ?? UNKNOWN;
  } catch (error) {
    if (error instanceof RangeError) return UNKNOWN; // the header ends too early: let the browser try
    throw error;
  }
}

function text(view, at, length) {
  if (at + length > view.byteLength) return "";
  return String.fromCharCode(...new Uint8Array(view.buffer, at, length));
}

/** Where the sound begins: tags may stand in front, of any format. */
function afterId3(view) {
  let at = 0;
  while (text(view, at, 3) === "ID3" && at + 10 < view.byteLength) {
    const size = [6, 7, 8, 9].reduce((sum, i) => (sum << 7) | (view.getUint8(at + i) & 0x7f), 0);
    at += 10 + size + (view.getUint8(at + 5) & 0x10 ? 10 : 0);
  }
  return at;
}

/** Chunks of RIFF (little-endian) and IFF (big-endian) files: [name, where its content begins, its length]. */
function* chunks(view, little) {
  for (let at = 12; at + 8 <= view.byteLength; ) {
    const length = view.getUint32(at + 4, little);
    yield [text(view, at, 4), at + 8, Math.min(length, view.byteLength - at - 8)];
    at += 8 + length + (length & 1);
  }
}

function wav_(view) {
  const found = { ...UNKNOWN, format: "wav" };
  let perSecond = 0;
  for (const [name, at, length] of chunks(view, true)) {
    if (name === "fmt ") {
      found.channels = view.getUint16(at + 2, true);
      found.rate = view.getUint32(at + 4, true);
      perSecond = view.getUint32(at + 8, true);
    }
    if (name === "data" && perSecond) {
      found.duration_s = length / perSecond;
      break;
    }
  }
  return found;
}

function aiff(view) {
  const found = { ...UNKNOWN, format: "aiff" };
  for (const [name, at] of chunks(view, false)) {
    if (name !== "COMM") continue;
    found.channels = view.getUint16(at);
    found.rate = extended(view, at + 8);
    found.duration_s = view.getUint32(at + 2) / found.rate;
  }
  return found;
}

/** A number of 80 bits, in which AIFF tells its rate. */
function extended(view, at) {
  return (view.getUint32(at + 2) * 2 ** 32 + view.getUint32(at + 6)) * 2 ** ((view.getUint16(at) & 0x7fff) - 16383 - 63);
}

function flac(view, at, format) {
  const packed = view.getUint32(at + 18);
  const frames = (view.getUint8(at + 21) & 0xf) * 2 ** 32 + view.getUint32(at + 22);
  const rate = packed >>> 12;
  return { format, rate, channels: ((packed >>> 9) & 7) + 1, duration_s: frames ? frames / rate : null };
}

function ogg(view, start) {
  const first = start + 27 + view.getUint8(start + 26); // behind the list of segments: the first packet
  let found = UNKNOWN;
  let skipped = 0;
  if (text(view, first, 7) === "\x01vorbis") {
    found = { ...UNKNOWN, format: "vorbis", channels: view.getUint8(first + 11), rate: view.getUint32(first + 12, true) };
  } else if (text(view, first, 8) === "OpusHead") {
    found = { ...UNKNOWN, format: "opus", channels: view.getUint8(first + 9) };
    skipped = view.getUint16(first + 10, true);
  } else if (text(view, first, 5) === "\x7fFLAC") {
    return flac(view, first + 9, "flac");
  }
  // The last page tells how many frames there are.
  const last = Math.max(start, view.byteLength - 2 ** 17);
  for (let at = view.byteLength - 27; at >= last; at--) {
    if (view.getUint32(at) !== 0x4f676753) continue;
    const frames = view.getUint32(at + 6, true) + 2 ** 32 * view.getInt32(at + 10, true) - skipped;
    return { ...found, duration_s: frames > 0 ? frames / found.rate : null };
  }
  return found;
}

/** Boxes of an MP4 file between two places: [name, where its content begins, where it ends]. */
function* boxes(view, start, end) {
  for (let at = start; at + 8 <= end; ) {
    let length = view.getUint32(at);
    let head = 8;
    if (length === 1) {
      length = view.getUint32(at + 8) * 2 ** 32 + view.getUint32(at + 12);
      head = 16;
    }
    const stop = length === 0 ? end : at + length;
    if (stop <= at + head - 1 || stop > end) return;
    yield [text(view, at + 4, 4), at + head, stop];
    at = stop;
  }
}

function box(view, start, end, ...path) {
  for (const [name, from, to] of boxes(view, start, end)) {
    if (name === path[0]) return path.length === 1 ? [from, to] : box(view, from, to, ...path.slice(1));
  }
  return null;
}

function m4a(view) {
  const moov = box(view, 0, view.byteLength, "moov");
  if (!moov) return null;
  for (const [name, from, to] of boxes(view, ...moov)) {
    if (name !== "trak") continue;
    const handler = box(view, from, to, "mdia", "hdlr");
    if (!handler || text(view, handler[0] + 8, 4) !== "soun") continue;
    const header = box(view, from, to, "mdia", "mdhd")[0];
    const long = view.getUint8(header) === 1;
    const scale = view.getUint32(header + (long ? 20 : 12));
    const length = long ? view.getUint32(header + 24) * 2 ** 32 + view.getUint32(header + 28) : view.getUint32(header + 16);
    const entry = box(view, from, to, "mdia", "minf", "stbl", "stsd")[0] + 8;
    const rate = view.getUint32(entry + 32) >>> 16;
    return { format: "m4a", rate: rate || scale, channels: view.getUint16(entry + 24), duration_s: length / scale };
  }
  return null;
}

const MP3_RATES = [44100, 48000, 32000];
const AAC_RATES = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];
const KBITS = {
  1: [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320], // MPEG 1, layer 3
  2: [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160], // MPEG 2 and 2.5, layer 3
};

/** MP3, or AAC without a container. */
function mpeg(view, start) {
  for (let at = start; at < Math.min(view.byteLength - 4, start + 2 ** 16); at++) {
    if (view.getUint16(at) >>> 5 !== 0x7ff) continue;
    if ((view.getUint16(at) & 0xfff6) === 0xfff0) {
      const rate = AAC_RATES[(view.getUint8(at + 2) >> 2) & 15];
      if (rate) return { ...UNKNOWN, format: "aac", rate };
    }
    const frame = mp3Frame(view, at);
    // Two in a row: eleven bits are soon found in anything.
    if (!frame || (at + frame.bytes + 4 < view.byteLength && !mp3Frame(view, at + frame.bytes))) continue;
    const info = at + 4 + (frame.version === 1 ? (frame.channels === 1 ? 17 : 32) : frame.channels === 1 ? 9 : 17);
    const counted = ["Xing", "Info"].includes(text(view, info, 4)) && view.getUint32(info + 4) & 1;
    const seconds = counted
      ? (view.getUint32(info + 8) * frame.samples) / frame.rate
      : (8 * (view.byteLength - at)) / (1000 * frame.kbits);
    return { format: "mp3", rate: frame.rate, channels: frame.channels, duration_s: seconds, start: at };
  }
  return null;
}

function mp3Frame(view, at) {
  const head = view.getUint32(at);
  const version = { 3: 1, 2: 2, 0: 2.5 }[(head >>> 19) & 3];
  const layer = (head >>> 17) & 3;
  const base = MP3_RATES[(head >>> 10) & 3];
  const kbits = KBITS[version === 1 ? 1 : 2][(head >>> 12) & 15];
  if (head >>> 21 !== 0x7ff || !version || layer !== 1 || !base || !kbits) return null;
  const rate = base / { 1: 1, 2: 2, 2.5: 4 }[version];
  const samples = version === 1 ? 1152 : 576;
  const bytes = Math.floor((samples / 8) * ((1000 * kbits) / rate)) + ((head >>> 9) & 1);
  return { version, rate, kbits, samples, bytes, channels: (head >>> 6) & 3 ? (((head >>> 6) & 3) === 3 ? 1 : 2) : 2 };
}

// --- decoding -------------------------------------------------------------------------------------------------------

/**
 * @typedef {object} Sound
 * @property {Float32Array} mono mean of the channels
 * @property {number} rate the file's own, in Hz
 * @property {number} duration_s
 */

/**
 * Decode a sound file at its own rate, to one channel.
 * @param {Blob | ArrayBuffer} file an ArrayBuffer stays as it is
 * @returns {Promise<Sound>}
 */
export async function decode(file) {
  const size = file.size ?? file.byteLength;
  if (!size) throw new LiveError("empty");
  if (size > MOST_BYTES) throw new LiveError("too_large", `${Math.round(size / 1e6)} MB`);
  let buffer = file instanceof ArrayBuffer ? file.slice(0) : await file.arrayBuffer();
  const { format, rate, duration_s, start } = describe(buffer);
  if (!(rate >= RATES[0] && rate <= RATES[1])) throw new LiveError("rate", String(rate));
  if (duration_s === 0) throw new LiveError("no_sound");
  if (duration_s > size) throw new LiveError("length"); // less than a byte a second: not even silence is as small
  checkLength(duration_s);
  const own = format === "aiff" ? pcmOfAiff(buffer) : null; // Chromium and Firefox do not know AIFF
  const wasText = isText(buffer); // to be asked now: decoding takes the buffer away
  // Chromium cuts off what iTunes wrote into the tags of an MP3, and so shifts the sound by 12 ms; others do not.
  if (format === "mp3") buffer = buffer.slice(start);
  const channels = own ?? (await decoded(buffer, rate, wasText));
  const mono = mean(channels.data);
  if (!mono.length) throw new LiveError("no_sound");
  checkLength(mono.length / channels.rate);
  return { mono, rate: channels.rate, duration_s: mono.length / channels.rate };
}

function checkLength(seconds) {
  if (seconds > MOST_S) throw new LiveError("too_long", `${Math.round(seconds / 60)} minutes`);
}

async function decoded(buffer, rate, wasText) {
  let context;
  try {
    context = new OfflineAudioContext(1, 1, rate);
  } catch {
    context = new OfflineAudioContext(1, 1, OPUS_RATE); // some browsers refuse unusual rates, and resample then
  }
  try {
    const sound = await context.decodeAudioData(buffer);
    const data = Array.from({ length: sound.numberOfChannels }, (_, channel) => sound.getChannelData(channel));
    return { data, rate: sound.sampleRate };
  } catch (error) {
    if (error instanceof RangeError) throw new LiveError("memory");
    throw new LiveError(wasText ? "text" : "not_sound");
  }
}

/** Whether the beginning of a file is text: no control characters but tabs and ends of lines, and valid UTF-8. */
function isText(buffer) {
  try {
    const head = new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(buffer, 0, Math.min(512, buffer.byteLength)), {
      stream: true, // a letter may be cut at the end
    });
    return !/[\x00-\x08\x0e-\x1f]/.test(head);
  } catch {
    return false;
  }
}

/** The mean of the channels, computed as the command line does. */
function mean(channels) {
  if (!channels.length) return new Float32Array(0);
  const mono = channels[0].slice();
  for (let number = 1; number < channels.length; number++) {
    const channel = channels[number];
    const count = number === channels.length - 1 ? channels.length : 1; // the last one that is added
    for (let i = 0; i < mono.length; i++) mono[i] = Math.fround(mono[i] + channel[i]) / count;
  }
  return mono;
}

/** The samples of an uncompressed AIFF file; null if it is compressed: the browser may know how. */
function pcmOfAiff(buffer) {
  const view = new DataView(buffer);
  let form = null;
  for (const [name, at, length] of chunks(view, false)) {
    if (name === "COMM") {
      const kind = length >= 22 ? text(view, at + 18, 4) : "NONE";
      form = { kind, channels: view.getUint16(at), bits: view.getUint16(at + 6), rate: extended(view, at + 8) };
    }
    if (name !== "SSND" || !form) continue;
    const { kind, channels, bits, rate } = form;
    const bytes = Math.ceil(bits / 8);
    const little = kind === "sowt";
    const float = ["fl32", "FL32", "fl64", "FL64"].includes(kind);
    if (!(little || float || ["NONE", "twos"].includes(kind)) || !channels || bytes < 1 || bytes > (float ? 8 : 4)) return null;
    const from = at + 8 + view.getUint32(at);
    const frames = Math.max(0, Math.floor((at + length - from) / (bytes * channels)));
    const data = Array.from({ length: channels }, () => new Float32Array(frames));
    const read = {
      1: (where) => view.getInt8(where) / 2 ** 7,
      2: (where) => view.getInt16(where, little) / 2 ** 15,
      3: (where) => (little ? (view.getInt8(where + 2) << 16) | view.getUint16(where, true) : (view.getInt8(where) << 16) | view.getUint16(where + 1)) / 2 ** 23,
      4: (where) => (float ? view.getFloat32(where) : view.getInt32(where, little) / 2 ** 31),
      8: (where) => view.getFloat64(where),
    }[bytes];
    if (!read) return null;
    for (let frame = 0, where = from; frame < frames; frame++) {
      for (let channel = 0; channel < channels; channel++, where += bytes) data[channel][frame] = read(where);
    }
    return { data, rate };
  }
  return null;
}

// --- resampling -----------------------------------------------------------------------------------------------------

const PASSED = 0.913; // of half the lower rate, as soxr's high quality; from there to 1 the filter falls
const STOPPED_DB = 100; // by how much it then dampens: more than the noise of 16 bits
const ROOM = 1.25; // times the wanted rate: what halving must leave
const MOST_TAPS = 2 ** 24; // of all filters together: no pair of rates of real recordings needs more

/** The modified Bessel function of order zero, of which Kaiser's window is made. */
function bessel(x) {
  let sum = 1;
  let term = 1;
  for (let k = 1; term > 1e-12 * sum; k++) {
    term *= (x / 2 / k) ** 2;
    sum += term;
  }
  return sum;
}

function divisor(a, b) {
  return b ? divisor(b, a % b) : a;
}

/**
 * The filters from one rate to another, one after the other. Far above the wanted rate, every second sample is left out
 * first, as often as possible: there a filter has room to fall, so it is short, and the last one, which has none, has
 * fewer samples to look at.
 * @returns {[number, number, number, number][]} the rates before and after each; what it lets pass, and from where on it
 *   stops; in Hz
 */
function filtersBetween(from, to) {
  const kept = Math.min(from, to) / 2; // what is above must not come back below
  const filters = [];
  let rate = from;
  for (; rate % 2 === 0 && rate / 2 >= ROOM * to; rate /= 2) {
    filters.push([rate, rate / 2, PASSED * kept, rate / 2 - kept]);
  }
  if (rate !== to) filters.push([rate, to, PASSED * kept, kept]);
  return filters;
}

/** How many samples of its input a filter sees to either side. */
function reachOf([from, , passed, stopped]) {
  const taps = (STOPPED_DB - 7.95) / (14.36 * ((stopped - passed) / from)); // Kaiser's estimate
  return 2 * Math.ceil(taps / 4); // even, so that four at a time come out
}

/**
 * Cut a sound into spans that can be resampled side by side; joined, they are what the whole would be, to the last bit.
 * @param {number} samples of the sound
 * @param {number} from in Hz
 * @param {number} to in Hz
 * @param {number} most how many spans, at most
 * @returns {{first: number, end: number, skip: number, count: number}[]} which samples to resample, and which of those
 *   that come out belong to the span: after how many, and how many
 */
export function spans(samples, from, to, most) {
  const rate = Math.round(from);
  const filters = filtersBetween(rate, to);
  // Only at every so many samples, an output falls upon an input, in all filters.
  const period = (rate / divisor(rate, to)) * 2 ** filters.length;
  const reach = filters.reduce((sum, filter) => sum + Math.ceil((reachOf(filter) * rate) / filter[0]), 0);
  const margin = Math.ceil(reach / period) * period;
  const size = Math.ceil(samples / most / period) * period;
  const out = (at) => Math.round((at * to) / rate);
  return Array.from({ length: Math.ceil(samples / size) }, (_, i) => {
    const [start, stop] = [i * size, Math.min(samples, (i + 1) * size)];
    const first = Math.max(0, start - margin);
    const end = Math.min(samples, stop + margin);
    return { first, end, skip: out(start - first), count: out(stop) - out(start) };
  });
}

/** From one sample rate to another, for sound that comes in parts: windowed sincs, without delay. */
export class StreamResampler {
  /**
   * @param {number} from in Hz
   * @param {number} to in Hz
   */
  constructor(from, to = RATE) {
    this.from = Math.round(from);
    this.to = to;
    this.known = 0; // samples that came in
    this.done = 0; // samples that went out
    this.stages = filtersBetween(this.from, to).map((filter) => new Stage(filter));
  }

  /**
   * @param {Float32Array} part the next samples
   * @returns {Float32Array} what is known of the output by then, limited to [-1, 1]
   */
  push(part) {
    this.known += part.length;
    const out = this.stages.reduce((samples, stage) => stage.push(samples), part);
    this.done += out.length;
    return limited(out);
  }

  /** @returns {Float32Array} the rest, with silence behind the end */
  finish() {
    const none = new Float32Array(0);
    const rest = this.stages.reduce((samples, stage) => joined([stage.push(samples), stage.finish()]), none);
    const all = Math.round((this.known * this.to) / this.from);
    return limited(rest.subarray(0, Math.max(0, all - this.done)));
  }
}

/** One filter of a resampler, and what it needs to know of the sound before. */
class Stage {
  /** @param {[number, number, number, number]} filter as `filtersBetween` gives it */
  constructor(filter) {
    const [from, to, passed, stopped] = filter;
    const common = divisor(from, to);
    this.up = to / common;
    this.down = from / common;
    this.half = reachOf(filter);
    if (this.up * 2 * this.half > MOST_TAPS) throw new LiveError("rate", String(from));
    this.filters = this.#filters((passed + stopped) / 2 / from);
    this.kept = new Float32Array(this.half); // silence before the beginning
    this.first = -this.half; // which sample of the input is the first one kept
    this.known = 0; // samples that came in
    this.done = 0; // samples that went out
  }

  /** Weights for each place between two samples of the input on which a sample of the output may fall. */
  #filters(middle) {
    const beta = 0.1102 * (STOPPED_DB - 8.7);
    const most = bessel(beta);
    return Array.from({ length: this.up }, (_, phase) =>
      Float32Array.from({ length: 2 * this.half }, (_, i) => {
        const t = i - this.half + 1 - phase / this.up;
        const r = t / this.half;
        if (Math.abs(r) >= 1) return 0;
        const sinc = t ? Math.sin(2 * Math.PI * middle * t) / (Math.PI * t) : 2 * middle;
        return (sinc * bessel(beta * Math.sqrt(1 - r * r))) / most;
      }),
    );
  }

  push(part) {
    this.known += part.length;
    const kept = new Float32Array(this.kept.length + part.length);
    kept.set(this.kept);
    kept.set(part, this.kept.length);
    this.kept = kept;
    // A sample of the output needs `half` samples of the input behind it.
    return this.#upto(Math.max(this.done, Math.ceil(((this.known - this.half) * this.up) / this.down)));
  }

  finish() {
    const all = Math.round((this.known * this.up) / this.down);
    const kept = new Float32Array(this.kept.length + 2 * this.half);
    kept.set(this.kept);
    this.kept = kept;
    return this.#upto(Math.max(all, this.done));
  }

  #upto(end) {
    const { up, down, half, kept, filters, first } = this;
    const taps = 2 * half;
    const out = new Float32Array(end - this.done);
    for (let n = this.done; n < end; n++) {
      const whole = Math.floor((n * down) / up);
      const filter = filters[(n * down) % up];
      const at = whole - half + 1 - first;
      let a = 0; // one by one: a list would be made anew each time, until this is compiled
      let b = 0;
      let c = 0;
      let d = 0;
      for (let i = 0, j = at; i < taps; i += 4, j += 4) {
        a += filter[i] * kept[j];
        b += filter[i + 1] * kept[j + 1];
        c += filter[i + 2] * kept[j + 2];
        d += filter[i + 3] * kept[j + 3];
      }
      out[n - this.done] = a + b + (c + d);
    }
    this.done = end;
    const drop = Math.max(0, Math.floor((end * down) / up) - half + 1 - first);
    this.kept = kept.slice(drop);
    this.first += drop;
    return out;
  }
}

function limited(samples) {
  return samples.map((value) => Math.max(-1, Math.min(1, value)));
}

/**
 * Resample a whole sound.
 * @param {Float32Array} mono
 * @param {number} from in Hz
 * @param {number} to in Hz
 * @returns {Float32Array} limited to [-1, 1]
 */
export function resample(mono, from, to = RATE) {
  const resampler = new StreamResampler(from, to);
  return joined([resampler.push(mono), resampler.finish()]);
}

/**
 * @param {Float32Array[]} parts
 * @returns {Float32Array}
 */
export function joined(parts) {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

// --- recordings -----------------------------------------------------------------------------------------------------

/**
 * A WAV file of one channel and 16 bits.
 * @param {Float32Array[]} parts
 * @param {number} rate in Hz
 * @returns {Uint8Array}
 */
export function wav(parts, rate) {
  const frames = parts.reduce((sum, part) => sum + part.length, 0);
  const view = new DataView(new ArrayBuffer(WAV_HEAD + 2 * frames));
  const write = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  write(0, "RIFF");
  view.setUint32(4, WAV_HEAD - 8 + 2 * frames, true);
  write(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // length of this part
  view.setUint16(20, 1, true); // whole numbers
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true); // bytes a second
  view.setUint16(32, 2, true); // bytes a frame
  view.setUint16(34, 16, true); // bits a sample
  write(36, "data");
  view.setUint32(40, 2 * frames, true);
  let at = WAV_HEAD;
  for (const part of parts) {
    for (const value of part) {
      view.setInt16(at, Math.round(32767 * Math.max(-1, Math.min(1, value))), true);
      at += 2;
    }
  }
  return new Uint8Array(view.buffer);
}
