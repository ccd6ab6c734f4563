// Badges: picked up by click, key or drag, laid on a reader, and shown where they are.

import { pick, t } from "./words.js";

const DRAG_FROM_PX = 6;
const GROUPS = {
  plain: "Plain badges", secure: "Secure badges", learning: "Learning", refused: "Refused",
  strange: "Strange",
};
const badges = [];
let held = null;
let onPick = () => {};

/** The badge in the visitor's hand, or null. */
export const inHand = () => held;

/** The badge of the tray that is the card `uid` on which `label` is printed: a copy has the same uid. */
export const cardOf = ({ uid, label }) =>
  badges.find((badge) => badge.label === label && badge.uids.length === 1 && badge.uids[0] === uid) ??
  badges.find((badge) => badge.uids.includes(uid));

/** Fill the tray; `drop(badge, element)` is called when one is dragged onto a reader. */
export function fillTray(list, offers, { drop, picked }) {
  onPick = picked;
  const template = document.getElementById("badge-template");
  for (const offer of offers) {
    const item = document.importNode(template.content, true);
    item.querySelector(".made-of").textContent = offer.made_of;
    item.querySelector(".chip").toggleAttribute("hidden", !offer.made_of);
    const button = item.querySelector(".badge");
    const badge = { ...offer, button };
    button.dataset.mood = offer.mood;
    button.addEventListener("click", () => hold(held === badge ? null : badge));
    dragFrom(badge, drop);
    badges.push(badge);
    groupOf(offer.group, list).querySelector("ul").append(item);
  }
  document.addEventListener("keydown", (event) => event.key === "Escape" && hold(null));
  drawTray();
}

function groupOf(name, list) {
  const id = `group-${name}`;
  if (!document.getElementById(id)) {
    const group = document.importNode(document.getElementById("group-template").content, true);
    const heading = group.querySelector("h3");
    heading.id = id;
    heading.dataset.group = name;
    group.firstElementChild.setAttribute("aria-labelledby", id);
    list.append(group);
  }
  return document.getElementById(id).closest(".group");
}

/** `badge` is in the hand, or none. */
export function hold(badge) {
  held = badge;
  for (const one of badges) one.button.setAttribute("aria-pressed", String(one === badge));
  document.body.classList.toggle("holding", badge !== null);
  onPick(badge);
}

/** Exactly these cards (uid, label) lie at `machine`, which people call `name`. */
export function lieAt(machine, name, cards) {
  lying.set(machine, { name, cards });
  drawTray();
}

const lying = new Map();

/** Where the cards of `badge` lie now: a list of { machine, name, uid }. */
export const whereabouts = (badge) =>
  [...lying].flatMap(([machine, { name, cards }]) =>
    cards.filter((card) => isPartOf(badge, card)).map(({ uid }) => ({ machine, name, uid })));

const isPartOf = (badge, card) =>
  badge.uids.includes(card.uid) && (badge.uids.length > 1 || cardOf(card) === badge);

/** Labels, hints and whereabouts, in the chosen language. */
export function drawTray() {
  for (const heading of document.querySelectorAll("[data-group]")) {
    heading.textContent = t(GROUPS[heading.dataset.group]);
  }
  for (const badge of badges) {
    const where = [...new Set(whereabouts(badge).map(({ name }) => pick(name)))];
    badge.button.querySelector(".label").textContent = t(badge.label);
    badge.button.querySelector(".hint").textContent = pick(badge.hint);
    badge.button.querySelector(".where").textContent = where.length
      ? t("on {machine}", { machine: where.join(", ") })
      : "";
    badge.button.classList.toggle("away", where.length > 0);
  }
}

function dragFrom(badge, drop) {
  const { button } = badge;
  let start = null;
  let ghost = null;
  let dragged = false;

  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    // Captured at once: a quick hand leaves the badge before the first move is told.
    button.setPointerCapture(event.pointerId);
    start = { x: event.clientX, y: event.clientY };
    dragged = false;
  });
  button.addEventListener("pointermove", (event) => {
    if (!start) return;
    const far = Math.hypot(event.clientX - start.x, event.clientY - start.y) > DRAG_FROM_PX;
    if (!ghost && far) {
      ghost = ghostOf(button);
      document.body.classList.add("dragging");
      dragged = true;
    }
    if (ghost) {
      ghost.style.translate = `${event.clientX - start.x}px ${event.clientY - start.y}px`;
      mark(readerUnder(event));
    }
  });
  const end = (event) => {
    const reader = ghost && event.type === "pointerup" ? readerUnder(event) : null;
    ghost?.remove();
    mark(null);
    document.body.classList.remove("dragging");
    start = ghost = null;
    if (reader) drop(badge, reader);
  };
  button.addEventListener("pointerup", end);
  button.addEventListener("pointercancel", end);
  // A drag ends with a click on the badge it began on; that click is not a wish to pick it up.
  button.addEventListener("click", (event) => dragged && event.stopImmediatePropagation(), true);
}

function ghostOf(button) {
  const box = button.getBoundingClientRect();
  const ghost = button.cloneNode(true);
  ghost.classList.add("ghost");
  ghost.inert = true;
  Object.assign(ghost.style, {
    left: `${box.left}px`,
    top: `${box.top}px`,
    width: `${box.width}px`,
    height: `${box.height}px`,
  });
  document.body.append(ghost);
  return ghost;
}

const readerUnder = (event) =>
  document.elementFromPoint(event.clientX, event.clientY)?.closest(".reader") ?? null;

function mark(reader) {
  for (const one of document.querySelectorAll(".reader.target")) one.classList.remove("target");
  reader?.classList.add("target");
}
