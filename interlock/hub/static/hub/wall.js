/* Hub events in, the wall screen's content out; a screen that hears nothing says so, and goes on asking.
 *
 * With a login the stream of changes tells when to look; by the screen's own address it looks every
 * LOOK_MS. The content is made by the server, with no more names than the lab allows.
 */
(() => {
  "use strict";

  // Somebody who presses stop looks up within a few seconds.
  const LOOK_MS = 4000;
  // Three looks without an answer: no longer a hiccup of the network.
  const LOST_AFTER_MS = 14000;
  // A hub that was updated brings a new script; nobody reloads a television by hand.
  const RELOAD_MS = 6 * 3600 * 1000;
  const ANSWER_MS_MAX = 10000;

  const body = document.body;
  const content = document.getElementById("wall");
  const lost = document.querySelector(".lost");
  const begun = Date.now();
  let heard = Date.now();
  let asking = false;

  function say() {
    const silent = Date.now() - heard > LOST_AFTER_MS;
    lost.hidden = !silent;
    body.classList.toggle("is-lost", silent);
  }

  async function look() {
    if (asking) return;
    asking = true;
    try {
      const answer = await fetch(body.dataset.partAddress, {
        headers: { "HX-Request": "true" },
        redirect: "error",
        signal: AbortSignal.timeout(ANSWER_MS_MAX),
      });
      if (answer.status === 401) return location.reload();
      if (answer.ok) {
        const made = await answer.text();
        if (made !== content.dataset.made) {
          content.innerHTML = made;
          content.dataset.made = made;
        }
        heard = Date.now();
        if (heard - begun > RELOAD_MS) return location.reload();
      }
    } catch {
      // Said by the screen itself once it has lasted.
    } finally {
      asking = false;
      say();
    }
  }

  if (body.dataset.liveAddress && window.EventSource) {
    const stream = new EventSource(body.dataset.liveAddress);
    stream.addEventListener("board", look);
    window.addEventListener("pagehide", () => stream.close());
  }
  window.setInterval(look, LOOK_MS);
  window.addEventListener("online", look);
})();
