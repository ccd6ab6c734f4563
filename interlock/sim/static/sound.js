// The buzzers' sound: whether any buzzer has its level on goes in, a tone comes out, if wanted.

const TONE_HZ = 2400;
const LOUDNESS = 0.04;
let context = null;
let gain = null;
const sounding = new Set();

/** Sound is wanted or not; off until somebody asks for it. */
export function wantSound(wanted) {
  if (wanted && !context) {
    context = new AudioContext();
    const tone = new OscillatorNode(context, { type: "square", frequency: TONE_HZ });
    gain = new GainNode(context, { gain: 0 });
    tone.connect(gain).connect(context.destination);
    tone.start();
  }
  if (context) wanted ? context.resume() : context.suspend();
}

/** The buzzer of `machine` sounds or does not. */
export function buzz(machine, on) {
  sounding[on ? "add" : "delete"](machine);
  if (gain) gain.gain.value = sounding.size ? LOUDNESS : 0;
}
