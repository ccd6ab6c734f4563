/* Hub events in, a fresh fragment out: whatever says it changed, every [data-live-part] fetches itself again.
 *
 * The stream only says "something changed"; the fragment is rendered by the server with the rights of
 * whoever looks, so nothing private travels here. Without the stream the parts are fetched every
 * FALLBACK_MS, and always when the page is looked at again.
 */
(() => {
  "use strict";

  // A board that is this late is still a board; a stream that works is never later than a second.
  const FALLBACK_MS = 15000;
  // Lists of rights are signed a moment after the change that brought us here; look again once.
  const SECOND_LOOK_MS = 1500;
  // Many changes within this time make one fetch.
  const GATHER_MS = 120;

  const status = document.querySelector("[data-live]");
  const parts = () => document.querySelectorAll("[data-live-part]");
  let waiting = 0;

  function refresh() {
    if (waiting) return;
    waiting = window.setTimeout(() => {
      waiting = 0;
      parts().forEach((part) => window.htmx.trigger(part, "changed"));
    }, GATHER_MS);
  }

  function say(on) {
    if (status) status.dataset.live = on ? "on" : "late";
  }

  if (!parts().length) return;
  const address = document.documentElement.dataset.liveAddress;
  if (address && window.EventSource) {
    const stream = new EventSource(address);
    stream.addEventListener("open", () => { say(true); refresh(); });
    stream.addEventListener("error", () => say(false));
    stream.addEventListener("board", refresh);
    window.addEventListener("pagehide", () => stream.close());
  }
  window.setTimeout(refresh, SECOND_LOOK_MS);
  window.setInterval(refresh, FALLBACK_MS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
})();
