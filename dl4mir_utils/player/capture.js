
// The microphone: its sound in parts of equal length, and words for what can be wrong with it.

const PART = 1024; // samples that come at once

// The processor collects what comes 128 samples at a time.
const TAP = `registerProcessor("tap", class extends AudioWorkletProcessor {
  constructor() { super(); this.part = new Float32Array(${PART}); this.filled = 0; }
  process([channels]) {
    const sound = channels[0];
    if (!sound) return true;
    for (const value of sound) {
      this.part[this.filled++] = value;
      if (this.filled < ${PART}) continue;
      this.port.postMessage(this.part, [this.part.buffer]);
      this.part = new Float32Array(${PART});
      this.filled = 0;
    }
    return true;
  }
});`;

/** What can be wrong with a microphone, by the browser's name for it. */
const TROUBLE = {
  NotAllowedError:
    "The browser does not let this page use the microphone. Allow it in the address bar, and in the settings of your system; then try again.",
  NotFoundError: "No microphone was found. Plug one in, then try again.",
  NotReadableError: "The microphone is there, but another program may be using it. Close that program, then try again.",
  OverconstrainedError: "This microphone cannot do what the page asks for. Try another one.",
};
// Firefox waits for ever where there is no output, whose beat the microphone follows.
const START_MS = 5000;
const NO_OUTPUT = "the sound of this machine does not start. Connect loudspeakers or headphones, then try again.";
const INSECURE =
  "Browsers lend the microphone only to pages that are opened as a file, from this machine (localhost) or over https.";

/** In words for the reader, why there is no microphone. @param {Error} error */
export function microphoneTrouble(error) {
  return TROUBLE[error.name] ?? `The microphone could not be opened: ${error.message}`;
}

/**
 * Open the microphone.
 * @param {(part: Float32Array) => void} onpart gets 1024 samples at a time
 * @param {() => void} onended is told if the microphone goes away
 * @returns {Promise<{rate: number, close: () => Promise<void>}>}
 */
export async function openMicrophone(onpart, onended) {
  if (!navigator.mediaDevices?.getUserMedia) throw new Error(INSECURE);
  // What makes speech on the telephone clearer takes music apart.
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, ...plain } });
  const context = new AudioContext();
  const close = async () => {
    for (const track of stream.getTracks()) track.stop();
    if (context.state !== "closed") await context.close();
  };
  try {
    // Chromium takes a worklet of a page that is a file from a data: address alone; other browsers may want a blob:.
    const blob = URL.createObjectURL(new Blob([TAP], { type: "text/javascript" }));
    await context.audioWorklet
      .addModule(`data:text/javascript;base64,${btoa(TAP)}`)
      .catch(() => context.audioWorklet.addModule(blob));
    URL.revokeObjectURL(blob);
    const tap = new AudioWorkletNode(context, "tap", {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: "explicit",
    });
    tap.port.onmessage = ({ data }) => onpart(data);
    context.createMediaStreamSource(stream).connect(tap);
    const late = new Promise((_, failed) => setTimeout(failed, START_MS, new Error(NO_OUTPUT)));
    await Promise.race([context.resume(), late]);
    stream.getAudioTracks()[0].onended = onended;
  } catch (error) {
    await close();
    throw error;
  }
  return { rate: context.sampleRate, close };
}
