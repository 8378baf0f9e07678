
// A microphone in a notebook: its sound goes to the kernel, which answers. Stands in one module with player.js, whose
// helpers it uses and whose `mount` calls it, and with capture.js.
//
// One piece of sound is on its way at a time, and the next one leaves when the kernel has answered. So nothing queues up
// in a kernel that is busy: the sound waits here, and goes on in one larger piece. None of it is lost, only answers are.

const LARGEST_PIECE_S = 5; // servers take messages of 10 MB at most
const LONGEST_S = 10 * 60; // of a recording
const BUSY_S = 3; // without an answer from the kernel, worth a word
const QUIET_DB = -70;
const METER_DB = [-60, 0];

/** The value below which a share of the values lies, in whole milliseconds. */
function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round(1000 * sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]);
}

/** When which sample was there: the parts that were least late tell, because a busy page gets some of them later. */
class Arrivals {
  constructor(rate) {
    Object.assign(this, { rate, samples: 0, starts: [] });
  }
  add(count, now) {
    this.samples += count;
    this.starts.push(now - (1000 * this.samples) / this.rate); // when sample 0 was there, if this part was not late
    if (this.starts.length > 150) this.starts.shift(); // three seconds: clocks drift
  }
  /** In ms, as `performance.now` counts. */
  of(sample) {
    return Math.min(...this.starts) + (1000 * sample) / this.rate;
  }
}

/**
 * Build the view of a microphone in an element; returns a function that takes it away again.
 * @param {HTMLElement} host
 * @param {object} content  what `Listener.content` in Python gives
 * @param {object} model  of the widget; null on a page without a kernel
 */
function mountListen(host, content, model) {
  const { labels, pie, hop_s, window_s, unsure_below } = content.listen;
  let recording = null; // what runs now, see `start`
  let ended = null; // the one before, of which pieces may still be on their way

  const head = make("div", { class: "d-head" }, make("strong", { text: content.title || "Microphone" }), ` ${content.description}`);
  const button = make("button", { type: "button", class: "d-listen-button", text: "Start listening", onclick: () => (recording ? stop() : start()) });
  const meter = make("meter", { min: METER_DB[0], max: METER_DB[1], value: METER_DB[0], "aria-label": "level of the microphone in dB" });
  const time = make("span", { class: "d-time", text: "0:00.0" });
  const status = make("p", { class: "d-listen-status", role: "status" });
  const verdict = make("p", { class: "d-listen-verdict", text: "–" });
  const body = make("div", { class: "d-body" });
  const delay = make("p", { class: "d-note" });
  const spoken = make("div", { class: "d-spoken", "aria-live": "polite" });
  const root = make("div", { class: "dl4mir-player dl4mir-listen", role: "group", "aria-label": content.title || "Microphone" }, head);
  const showBars = makeBars(labels, pie, body);
  showBars(null);
  if (model) {
    root.append(make("div", { class: "d-controls" }, button, meter, time), status, make("div", { class: "d-classes d-listen-classes" }, verdict, body), delay, spoken);
    say(status, "The sound goes to the kernel of this notebook, and nowhere else.");
  } else {
    say(status, `In a running notebook one can start the microphone here: every ${hop_s} s the network then answers for the last ${window_s} s. This page has no kernel to ask.`);
    root.append(status);
  }

  async function start() {
    button.disabled = true;
    say(status, "Waiting for the microphone …");
    const mine = { parts: [], length: 0, turn: Math.random(), sent: null, delays: [], told: [], dropped: 0, level: METER_DB[0], spokenAt: -Infinity, quiet_s: 0 };
    try {
      mine.microphone = await openMicrophone((part) => hear(mine, part), () => stop("The microphone went away. What was heard is kept."));
    } catch (error) {
      say(status, microphoneTrouble(error));
      return;
    } finally {
      button.disabled = false;
    }
    if (!root.isConnected) return void mine.microphone.close();
    mine.rate = mine.microphone.rate;
    mine.arrivals = new Arrivals(mine.rate);
    recording = mine;
    model.send({ kind: "start", turn: mine.turn, rate: mine.rate });
    document.querySelectorAll("audio, video").forEach((other) => other.pause());
    document.dispatchEvent(new CustomEvent("dl4mir-play", { detail: root })); // or the microphone hears the players
    button.textContent = "Stop";
    showBars(null);
    say(verdict, "–");
    say(delay, "");
    say(status, `Listening. The first answer comes after ${window_s.toFixed(1)} s.`);
    requestAnimationFrame(frame);
  }

  function stop(why = "Stopped. What was heard is kept.") {
    if (!recording) return;
    recording.microphone.close();
    recording.stopped = true;
    ended = recording;
    button.textContent = "Start listening";
    meter.value = METER_DB[0];
    say(status, why);
    recording = null;
    deliver(ended); // what is left
  }

  /** A part of the sound has come. */
  function hear(mine, part) {
    if (mine !== recording) return;
    mine.arrivals.add(part.length, performance.now());
    mine.parts.push(part);
    mine.length += part.length;
    let power = 0;
    for (const value of part) power += value * value;
    const db = 10 * Math.log10(power / part.length + 1e-12);
    mine.level = Math.max(db, mine.level - 1); // falls slowly, so that one sees it
    mine.quiet_s = db > QUIET_DB ? 0 : mine.quiet_s + part.length / mine.rate;
    if (mine.arrivals.samples >= LONGEST_S * mine.rate) return stop(`Stopped after ${LONGEST_S / 60} minutes. What was heard is kept.`);
    deliver(mine);
  }

  /** Send the next piece, if it is long enough and the kernel has answered the last one. */
  function deliver(mine) {
    if (mine.sent !== null || mine.done) return;
    if (!mine.stopped && mine.length < hop_s * mine.rate) return;
    const most = LARGEST_PIECE_S * mine.rate;
    const parts = [];
    let length = 0;
    while (mine.parts.length && length < most) length += parts[parts.push(mine.parts.shift()) - 1].length;
    mine.length -= length;
    const piece = new Float32Array(length);
    let at = 0;
    for (const part of parts) piece.set(part, (at += part.length) - part.length);
    mine.sent = performance.now();
    mine.done = Boolean(mine.stopped) && !mine.length;
    // Where more sound is waiting, or the end has come, the piece is only to be kept.
    const answer = !mine.stopped && mine.length < hop_s * mine.rate;
    model.send({ kind: "sound", turn: mine.turn, answer, last: mine.done, delays: mine.told.splice(0) }, undefined, [piece.buffer]);
  }

  /** The kernel has answered. */
  function take(message) {
    const received = performance.now();
    const mine = [recording, ended].find((each) => each?.turn === message.turn);
    if (!mine) return; // another view of the same widget has asked
    const sent = mine.sent;
    mine.sent = null;
    if (message.error) return stop(`The answer failed. ${message.error}`);
    mine.dropped = message.dropped;
    if (message.values && mine === recording) {
      showBars(message.values);
      const best = message.values.indexOf(Math.max(...message.values));
      say(verdict, message.values[best] < unsure_below ? "unsure" : labels[best]);
      say(status, mine.quiet_s > 4 ? "Nothing is heard. Is the microphone switched on?" : "Listening.");
      if (received - mine.spokenAt > SPOKEN_EVERY_MS) {
        mine.spokenAt = received;
        say(spoken, `${verdict.textContent}: ${labels[best]} ${Math.round(100 * message.values[best])} %`);
      }
      const there = mine.arrivals.of(message.end);
      // After the browser has drawn: a message that is posted in a frame comes once the frame is done.
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => {
          const drawn = performance.now();
          const transport = received - sent - 1000 * message.work_s;
          const parts = [sent - there, transport, 1000 * message.work_s, drawn - received].map((ms) => ms / 1000);
          mine.told.push(parts);
          mine.delays.push((drawn - there) / 1000);
          tellDelay(mine);
          port1.close();
        };
        port2.postMessage(null);
      });
    }
    deliver(mine);
  }

  function tellDelay(mine) {
    const missed = mine.dropped ? ` ${mine.dropped} ${mine.dropped === 1 ? "answer was" : "answers were"} left out, because the kernel was busy.` : "";
    say(delay, `From the end of the sound to the answer: ${percentile(mine.delays, 0.5)} ms (median), ${percentile(mine.delays, 0.95)} ms (95 %).${missed}`);
  }

  function frame() {
    if (!recording) return;
    const mine = recording;
    meter.value = Math.max(METER_DB[0], Math.min(METER_DB[1], mine.level));
    say(time, clock(mine.arrivals.samples / mine.rate));
    if (mine.sent !== null && performance.now() - mine.sent > 1000 * BUSY_S) {
      say(status, "The kernel is busy, or gone. The sound waits here until it answers.");
    }
    requestAnimationFrame(frame);
  }

  const received = (message) => message.kind === "answer" && take(message);
  model?.on("msg:custom", received);
  const silent = (event) => event.detail !== root && stop("Stopped, because a sound is playing. What was heard is kept.");
  document.addEventListener("dl4mir-play", silent);
  ownKeys(root);
  host.append(root);
  const themeless = followTheme(root);
  root.dl4mir = { start, stop, get recording() { return recording; } }; // prettier-ignore
  return () => {
    stop();
    model?.off("msg:custom", received);
    document.removeEventListener("dl4mir-play", silent);
    themeless();
    root.remove();
  };
}
