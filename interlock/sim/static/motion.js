// Machines that turn: what should run goes in, blades and heads that get going and coast come out.

const STEP_MS = 40;
const RAMP = { spin: 0.06, slide: 1 };
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Everything below `root` that moves; returns a function that is told whether it should. */
export function motionOf(root) {
  const parts = [...root.querySelectorAll(".spin, .slide")].map(partOf);
  let timer = null;
  let wanted = 0;

  function step() {
    let settled = true;
    for (const part of parts) {
      const gap = wanted - part.speed;
      part.speed = Math.abs(gap) <= part.ramp ? wanted : part.speed + Math.sign(gap) * part.ramp;
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

  return (runs) => {
    wanted = runs && !still.matches ? 1 : 0;
    timer ??= setInterval(step, STEP_MS);
  };
}

function partOf(element) {
  const turning = element.classList.contains("spin");
  const frames = turning
    ? [{ rotate: "0deg" }, { rotate: "360deg" }]
    : [{ translate: "0 0" }, { translate: "52px 0" }, { translate: "14px 0" }, { translate: "64px 0" }];
  const timing = turning
    ? { duration: 600, iterations: Infinity }
    : { duration: 2600, iterations: Infinity, direction: "alternate", easing: "ease-in-out" };
  const animation = element.animate(frames, timing);
  animation.pause();
  return {
    animation,
    rate: Number(element.dataset.rate ?? 1),
    ramp: turning ? RAMP.spin : RAMP.slide,
    speed: 0,
  };
}
