// A button that can be held: presses go in, "down" and "up" come out.
//
// A hand with one finger cannot hold a button and a badge at once. So a button that was held long
// enough stays down by itself, until it is pressed again.

const STAYS_AFTER_MS = 600;
const SHORTEST_MS = 200;

/** `down()` and `up()` are called for `button`, which has aria-pressed while it is down. */
export function holdable(button, { down, up }) {
  let since = null;
  let wasDown = false;
  let handled = false;

  const press = () => {
    if (since !== null) return;
    since = performance.now();
    wasDown = button.getAttribute("aria-pressed") === "true";
    if (!wasDown) down();
  };
  const release = () => {
    if (since === null) return;
    const held = performance.now() - since;
    since = null;
    // Shorter than a finger can, a machine that looks fifty times a second might miss it.
    if (wasDown || held < STAYS_AFTER_MS) setTimeout(up, Math.max(0, SHORTEST_MS - held));
  };

  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    button.setPointerCapture(event.pointerId);
    handled = true;
    press();
  });
  for (const name of ["pointerup", "pointercancel", "blur"]) button.addEventListener(name, release);
  button.addEventListener("keydown", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    if (!event.repeat) press();
  });
  button.addEventListener("keyup", (event) => {
    event.preventDefault();
    release();
  });
  // A long touch must not open the browser's menu; a screen reader's click comes without a press.
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  button.addEventListener("click", () => {
    if (!handled) {
      press();
      release();
    }
    handled = false;
  });
}
