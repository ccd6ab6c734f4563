// What a machine does, in words: what can be seen of it goes in, and a colour for the words comes out.

const MESSAGES = {
  waiting_for_trainer: { words: "Waiting for a trainer", mood: "waits" },
  waiting_for_second: { words: "Waiting for a second person", mood: "waits" },
  starting: { words: "Starting", mood: "waits" },
  pre_run: { words: "Extraction first", mood: "waits" },
};

/** The tool and the contacts come first, whatever the node believes; then what the node waits for. */
export function doingOf(world, screen) {
  if (!world.mains) return { words: "No supply", mood: "dark" };
  if (world.motor && world.bypass) return { words: "Runs past Interlock", mood: "bad" };
  if (world.contacts && world.bypass) return { words: "Powered by the key", mood: "bad" };
  if (world.motor) return { words: "Running", mood: "runs" };
  if (world.contacts && world.emergency_stop) return { words: "Still powered", mood: "bad" };
  if (world.contacts && !world.coil) return { words: "Welded: still powered", mood: "bad" };
  if (world.turning) return { words: "Still turning", mood: "bad" };
  if (world.contacts) return { words: "Enabled, standing still", mood: "ready" };
  if (MESSAGES[screen.message]) return MESSAGES[screen.message];
  if (world.extraction) return { words: "Extraction runs on", mood: "waits" };
  return { words: "Off", mood: "dark" };
}
