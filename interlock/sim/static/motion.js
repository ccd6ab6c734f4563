// Machines that turn: what should run goes in; blades, heads and fans that get going and coast come out.

const STEP_MS = 40;
const RAMP = { spin: 0.06, slide: 1, fan: 0.04 };
const SLOWEST = 0.08;
const FRAMES = {
  spin: [{ rotate: "0deg" }, { rotate: "360deg" }],
  fan: [{ rotate: "0deg" }, { rotate: "360deg" }],
  slide: [{ translate: "0 0" }, { translate: "52px 0" }, { translate: "14px 0" }, { translate: "64px 0" }],
};
const TIMING = {
  spin: { duration: 600, iterations: Infinity },
  fan: { duration: 700, iterations: Infinity },
  slide: { duration: 2600, iterations: Infinity, direction: "alternate", easing: "ease-in-out" },
};
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** The tool of a machine and its fan: `tool(runs, coasts)` and `fan(runs)` are told what they should do.
 *
 * `coastS` is how long the tool takes to come to rest by itself. */
export function motionOf(root, coastS) {
  const tool = mover([...root.querySelectorAll(".spin, .slide")].map(partOf));
  const fan = mover([...root.querySelectorAll(".fan")].map(partOf));
  const coasting = coastS > 0 ? STEP_MS / (coastS * 1000) : 1;
  return {
    tool: (runs, coasts) => (coasts ? tool(SLOWEST, coasting) : tool(runs ? 1 : 0)),
    fan: (runs) => fan(runs ? 1 : 0),
  };
}

/** Brings `parts` to a wanted speed, a step at a time. */
function mover(parts) {
  let timer = null;
  let wanted = 0;
  let ramp = null;

  function step() {
    let settled = true;
    for (const part of parts) {
      const gap = wanted - part.speed;
      const change = ramp ?? part.ramp;
      part.speed = Math.abs(gap) <= change ? wanted : part.speed + Math.sign(gap) * change;
      settled &&= part.speed === wanted;
      if (part.speed > 0) {
        part.animation.updatePlaybackRate(part.speed * part.rate);
        part.animation.play();
      } else {
        part.animation.pause();
      }
    }
    if (settled) {
      clearInterval(timer);
      timer = null;
    }
  }

  return (speed, slowly = null) => {
    wanted = still.matches ? 0 : speed;
    ramp = slowly;
    timer ??= setInterval(step, STEP_MS);
  };
}

function partOf(element) {
  const kind = Object.keys(RAMP).find((name) => element.classList.contains(name));
  const animation = element.animate(FRAMES[kind], TIMING[kind]);
  animation.pause();
  return { animation, rate: Number(element.dataset.rate ?? 1), ramp: RAMP[kind], speed: 0 };
}
