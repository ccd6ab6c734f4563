// What the server tells comes in as events; what hands do goes out as posts.

let onTrouble = () => {};

/** `listener(sentence)` hears when something cannot be done, and null when all is well again. */
export const whenTrouble = (listener) => (onTrouble = listener);

/** The parts of the lab that never change. */
export async function description() {
  const answer = await fetch("/lab.json");
  return answer.json();
}

/** `draw` is called with every picture of a machine, `lab` with every picture of the hub. */
export function follow(draw, lab) {
  const source = new EventSource("/events");
  source.addEventListener("machine", (event) => draw(JSON.parse(event.data)));
  source.addEventListener("lab", (event) => lab(JSON.parse(event.data)));
  source.addEventListener("open", () => onTrouble(null));
  source.addEventListener("error", () => onTrouble("The demo does not answer. Is it still running?"));
}

/** Something a hand does at a machine; true when it was done. */
export const act = (machine, op, rest = {}) => post("/act", { machine, op, ...rest });

/** Something goes wrong, or is mended; true when it was done. */
export const fault = (name, rest = {}) => post("/fault", { fault: name, ...rest });

async function post(path, body) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (answer.ok) {
      onTrouble(null);
      return true;
    }
    onTrouble((await answer.json()).message);
  } catch {
    onTrouble("The demo does not answer. Is it still running?");
  }
  return false;
}
