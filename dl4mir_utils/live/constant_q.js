// The picture that the networks of pitch and chords see: 36 semitones from A3 (220 Hz), in decibels, frame by frame.
//
// The course computes it with librosa, by way of spectra. One frame is quickly found directly, too: as the product of
// the sound around its middle with one windowed wave for each semitone, which is how J. C. Brown defined it (1991).

import { RATE, SILENCE } from "./sound.js";

export const BINS = 36;
/** Samples from frame to frame. */
export const HOP = 512;
const LOWEST_HZ = 220;
const RANGE_DB = 80; // below the strongest semitone we stop looking
const SEMITONE = 2 ** (1 / 6);
const PERIODS = (2 * (SEMITONE + 1)) / (SEMITONE - 1); // 34.7 that a semitone looks at: librosa's filter_scale 2

/** Of each semitone: half its length in samples, and the real and imaginary part of its wave. */
const waves = Array.from({ length: BINS }, (_, bin) => {
  const hz = LOWEST_HZ * 2 ** (bin / 12);
  const length = (PERIODS * RATE) / hz;
  const half = Math.floor(length / 2);
  const real = new Float32Array(2 * half + 1);
  const imaginary = new Float32Array(2 * half + 1);
  for (let t = -half; t <= half; t++) {
    const level = (0.5 + 0.5 * Math.cos((2 * Math.PI * t) / length)) / Math.sqrt(length);
    real[t + half] = level * Math.cos((2 * Math.PI * hz * t) / RATE);
    imaginary[t + half] = -level * Math.sin((2 * Math.PI * hz * t) / RATE);
  }
  return { half, real, imaginary };
});

/** How many samples a frame sees before its middle, and as many after it. */
export const REACH = waves[0].half;

/**
 * One frame of the picture.
 * @param {Float32Array} audio at 16 kHz
 * @param {number} middle the sample in the middle of the frame; outside of `audio` there is silence
 * @returns {Float32Array | null} 36 values from 0, the weakest semitone, to 1, the strongest; null where it is silent
 */
export function constantQ(audio, middle) {
  let peak = 0;
  for (let at = Math.max(0, middle - REACH); at < Math.min(audio.length, middle + REACH + 1); at++) {
    peak = Math.max(peak, Math.abs(audio[at]));
  }
  if (peak < SILENCE) return null;
  const magnitudes = waves.map(({ half, real, imaginary }) => {
    const first = Math.max(0, half - middle);
    const last = Math.min(2 * half, audio.length - 1 - middle + half);
    let a = 0;
    let b = 0;
    for (let i = first; i <= last; i++) {
      const value = audio[middle - half + i];
      a += value * real[i];
      b += value * imaginary[i];
    }
    return Math.hypot(a, b);
  });
  const top = Math.max(...magnitudes);
  if (!top) return null;
  const decibels = magnitudes.map((magnitude) => 20 * Math.log10(Math.max(magnitude, top * 10 ** (-RANGE_DB / 20))));
  const low = Math.min(...decibels);
  const range = Math.max(Math.max(...decibels) - low, 1e-6);
  return Float32Array.from(decibels, (value) => (value - low) / range);
}
