// The page: the lab's description and its events go in, stations, tray and switches come out.

import { description, fault, follow, whenTrouble } from "./link.js";
import { wantSound } from "./sound.js";
import { station } from "./station.js";
import { drawTray, fillTray, hold } from "./tray.js";
import { pick, preferred, speak, t } from "./words.js";

const $ = (selector) => document.querySelector(selector);
const stations = new Map();
let lab = null;
let trouble = null;
let hubRuns = true;

const tell = (words) => ($("#news").textContent = words);

function drawHand(badge) {
  $("#hand").textContent = badge
    ? t("{badge} is in your hand: now click a reader, or press Escape.", { badge: t(badge.label) })
    : t("Drag a badge onto a reader, or pick one and then click a reader.");
}

function drawTrouble() {
  $("#trouble").hidden = trouble === null;
  $("#trouble").textContent = trouble === null ? "" : t(trouble);
}

function drawHub() {
  $("#stop-hub").setAttribute("aria-checked", String(!hubRuns));
  $("#hub-links").classList.toggle("down", !hubRuns);
  $("#hub-links").replaceChildren(
    ...lab.hub_links.map(({ label, url }) => {
      const link = document.createElement("a");
      link.href = url;
      link.target = "_blank";
      link.rel = "noopener";
      link.textContent = pick(label);
      const item = document.createElement("li");
      item.append(link);
      return item;
    }),
  );
}

async function choose(wanted) {
  await speak(wanted);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === wanted));
  }
  for (const one of stations.values()) one.redraw();
  drawTray();
  drawHub();
  drawTrouble();
  drawHand(null);
  hold(null);
}

async function begin() {
  whenTrouble((words) => {
    trouble = words;
    drawTrouble();
  });
  lab = await description();
  for (const machine of lab.machines) {
    const one = station(machine, { tell });
    stations.set(machine.id, one);
    $("#stations").append(one.root);
  }
  fillTray($("#badges"), lab.badges, {
    drop: (badge, reader) => stations.get(reader.closest(".station").dataset.machine).touch(badge),
    picked: drawHand,
  });
  $("#stop-hub").addEventListener("click", () => fault("stop_hub", { on: hubRuns }));
  $("#sound").addEventListener("click", ({ currentTarget: button }) => {
    const on = button.getAttribute("aria-checked") !== "true";
    button.setAttribute("aria-checked", String(on));
    wantSound(on);
  });
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => choose(button.dataset.language));
  }
  await choose(preferred());
  follow(
    (picture) => stations.get(picture.id)?.draw(picture),
    ({ hub }) => {
      hubRuns = hub;
      drawHub();
    },
  );
  document.body.classList.add("ready");
}

begin();
