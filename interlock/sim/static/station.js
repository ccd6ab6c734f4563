// One machine's front panel: a picture of it goes in, what the visitor sees and can press comes out.

import { doingOf } from "./doing.js";
import { fittingsOf } from "./fittings.js";
import { holdable } from "./hold.js";
import { act, fault } from "./link.js";
import { motionOf } from "./motion.js";
import { buzz } from "./sound.js";
import { cardOf, hold, inHand, lieAt, whereabouts } from "./tray.js";
import { language, pick, t, translate } from "./words.js";

const LIGHTS = {
  "000": "off", "111": "white", "010": "green", "001": "blue", "110": "yellow", "100": "red",
  "101": "violet", "011": "cyan",
};
const COLOURS = {
  off: "dark", white: "white", green: "green", blue: "blue", yellow: "yellow", red: "red",
  violet: "violet", cyan: "cyan",
};
const PATTERNS = {
  off: "dark", steady: "steady", slow_blink: "slow blink", fast_blink: "fast blink",
  double_blink: "double blink",
};
const SCREENS = {
  lcd: { columns: 16, lines: 2, text: (screen) => screen.lines },
  oled: { columns: 21, lines: 4, text: (screen) => screen.long_lines },
};
const YES_BUTTONS = {
  long_job: { label: "Long job", what: "the badge may leave" },
  trainer: { label: "“Yes” button", what: "a trainer holds it" },
};
const NODES = {
  running: "running", starting: "starting", frozen: "frozen", killed: "killed", off: "no power",
};

/** A station in the page; `draw(picture)` keeps it true, `redraw()` after a change of language. */
export function station(machine, { tell }) {
  const template = document.getElementById("station-template").content;
  // Imported, not cloned: what belongs to a template's own document has no clock to move by.
  const root = document.importNode(template.firstElementChild, true);
  const $ = (selector) => root.querySelector(selector);
  const art = document.getElementById(`art-${machine.kind}`) ?? document.getElementById("art-printer");
  $(".art").append(document.importNode(art.content, true));
  root.dataset.machine = machine.id;
  root.dataset.kind = machine.kind;
  root.dataset.use = machine.badge_use;
  const heading = $("h2");
  heading.id = `name-${machine.id}`;
  root.setAttribute("aria-labelledby", heading.id);
  for (const one of root.querySelectorAll("[data-where]")) one.hidden = !machine[one.dataset.where];
  const shown = SCREENS[machine.screen];
  $(".lcd").classList.toggle("oled", machine.screen === "oled");
  for (let line = 0; line < shown.lines; line += 1) {
    $(".lcd").append(line ? "\n" : "", document.createElement("span"));
  }
  const yes = $("[data-hold]");
  yes.hidden = !machine.yes_button;
  holdable(yes, {
    down: () => act(machine.id, "press", { button: yes.dataset.hold }),
    up: () => act(machine.id, "let_go", { button: yes.dataset.hold }),
  });
  const drawFittings = fittingsOf(machine, $(".fittings"));
  const move = motionOf(root, machine.coast_s);
  let picture = null;
  let told = "";

  root.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button || !picture?.world) return;
    const { push, world, jam, fault: name } = button.dataset;
    const on = button.getAttribute("aria-checked") !== "true";
    if (push) act(machine.id, "push", { button: push });
    else if (jam) act(machine.id, "jam", { button: jam, on });
    else if (world === "weld" || world === "extraction_broken") act(machine.id, world, { on });
    else if (world) act(machine.id, world, { on: !on });
    else if (name === "kill_node" || name === "clear_faults") fault(name, { machine: machine.id });
    else if (name) fault(name, { machine: machine.id, on });
    else if (button.classList.contains("mushroom")) emergency();
    else if (button.classList.contains("reader")) touch(inHand());
  });

  const emergency = () => act(machine.id, "emergency_stop", { on: !picture.world.emergency_stop });

  /** The reader was touched with `badge`, or with an empty hand. */
  async function touch(badge) {
    if (badge) {
      const stays = machine.badge_use === "hold" || $(".leave input").checked;
      await takeFromElsewhere(badge);
      for (const uid of badge.uids) {
        await act(machine.id, stays ? "put" : "tap", { label: badge.label, uid });
      }
      if (stays) hold(null);
    } else if (picture?.world?.badges.length) {
      await act(machine.id, "take");
    } else {
      tell(t("Pick a badge first, then the reader."));
      document.getElementById("badges").classList.add("asked");
      setTimeout(() => document.getElementById("badges").classList.remove("asked"), 900);
    }
  }

  /** A badge is in one place: it leaves the reader it lies on before it comes to this one. */
  async function takeFromElsewhere(badge) {
    for (const { machine: other, uid } of whereabouts(badge)) {
      if (other !== machine.id) await act(other, "take", { uid });
    }
  }

  function draw(next) {
    picture = next;
    const world = next.world;
    root.classList.toggle("lost", !world);
    if (!world) {
      $(".doing").textContent = t("This machine's world has ended.");
      return;
    }
    drawMachine(world, next.screen);
    drawFittings(world);
    drawBox(world, next);
    drawCabinet(world, next);
    drawFaults(world, next.faults);
    drawReader(world);
    announce(next);
  }

  function drawMachine(world, screen) {
    const isOpen = (fire) => machine.gates.some((one) => one.fire === fire && world.held_open.includes(one.name));
    const parts = { motor: world.motor, air: world.airflow, lid: isOpen(false), fire: isOpen(true) };
    for (const [name, on] of Object.entries(parts)) root.dataset[name] = on ? "on" : "off";
    move.tool(world.motor, world.turning && !world.motor);
    move.fan(world.extraction);
    const doing = doingOf(world, screen);
    $(".doing").textContent = t(doing.words);
    $(".doing").dataset.mood = doing.mood;
    const mushroom = $(".mushroom");
    mushroom.setAttribute("aria-pressed", String(world.emergency_stop));
    for (const key of root.querySelectorAll("[data-push]")) {
      const put = key.dataset.push === "machine_start" && world.switch_on && !world.motor;
      key.classList.toggle("down", put || world.pressed.includes(key.dataset.push));
    }
    if (machine.yes_button) drawYes(world.pressed.includes(yes.dataset.hold));
  }

  function drawYes(held) {
    const { label, what } = YES_BUTTONS[machine.yes_button];
    yes.setAttribute("aria-pressed", String(held));
    $(".yes-words").textContent = t(label);
    $(".yes-state").textContent = held ? t("held down") : t(what);
  }

  function drawBox(world, { screen, node_answers: answers }) {
    const light = LIGHTS[world.lamp.map(Number).join("")];
    $(".lamp").dataset.light = light;
    const colour = answers && world.pi ? screen.colour ?? light : light;
    const pattern = answers && world.pi ? screen.lamp : light === "off" ? "off" : "steady";
    const words = colour === "off" ? t("dark") : `${t(COLOURS[colour])}, ${t(PATTERNS[pattern])}`;
    $(".lamp-words").textContent = words;
    $(".lamp").setAttribute("aria-label", t("Lamp: {words}", { words }));
    const lines = shown.text(screen);
    $(".lcd").querySelectorAll("span").forEach((row, index) => {
      row.textContent = lines[index].padEnd(shown.columns);
    });
    $(".screen").classList.toggle("dark", !world.pi);
    $(".buzzer").classList.toggle("on", world.buzzer);
    $(".buzzer small").textContent = world.buzzer ? t("sounds") : t("silent");
    $(".buzzer").setAttribute("aria-label", world.buzzer ? t("Buzzer sounds") : t("Buzzer silent"));
    buzz(machine.id, world.buzzer);
  }

  function drawReader(world) {
    const labels = [...new Set(world.badges.map((card) => t(cardOf(card)?.label ?? card.label)))];
    const reader = $(".reader");
    reader.classList.toggle("full", labels.length > 0);
    reader.classList.toggle("dead", !world.reader || !world.pi);
    $(".lying").textContent = labels.join(" + ");
    const use = machine.badge_use === "hold" ? t("Put a badge into the slot") : t("Tap a badge here");
    $(".reader-words").textContent = labels.length ? t("Take it away") : use;
    $(".reader-name").textContent = t("Reader of {machine}.", { machine: pick(machine.name) });
    lieAt(machine.id, machine.name, world.badges);
  }

  function drawCabinet(world, { faults }) {
    const contactor = $(".contactor");
    contactor.classList.toggle("coil-on", world.coil);
    contactor.classList.toggle("closed", world.contacts);
    contactor.classList.toggle("welded", world.welded);
    contactor.setAttribute("aria-label", t("Contactor: coil {coil}, contacts {contacts}", {
      coil: world.coil ? t("on") : t("off"),
      contacts: world.contacts ? t("closed") : t("open"),
    }));
    fact("coil", world.coil ? t("on") : t("off"), world.coil);
    fact("contacts", world.contacts ? t("closed") : t("open"), world.contacts);
    const amperes = new Intl.NumberFormat(language(), { maximumFractionDigits: 1 });
    fact("current", `${amperes.format(world.current_ma / 1000)} A`, world.busy);
    const node = world.pi ? NODES[faults.node] ?? faults.node : "no power";
    fact("pi", t(node), faults.node === "running" && world.pi);
    fact("extraction", world.extraction ? t("runs") : t("stands still"), world.extraction);
    fact("air", world.airflow ? t("flows") : t("does not flow"), world.airflow);
    fact("tool", world.turning ? t("turns") : t("stands still"), world.turning);
    fact("bypass", world.bypass ? t("turned") : t("not turned"), world.bypass);
    $("[data-fact=pi]").title = faults.boot_id ? t("Boot {id}", { id: faults.boot_id.slice(0, 8) }) : "";
  }

  function fact(name, words, on) {
    const cell = $(`[data-fact=${name}]`);
    cell.textContent = words;
    cell.dataset.on = String(on);
  }

  function drawFaults(world, faults) {
    const now = {
      unplug: faults.unplugged,
      cut_power: faults.power_cut,
      mains: !world.mains && !faults.power_cut,
      weld: world.welded,
      extraction_broken: world.extraction_broken,
      machine_start: world.jammed.includes("machine_start"),
      reader: !world.reader,
      freeze_node: faults.frozen,
      old_card: faults.old_card,
    };
    for (const [name, on] of Object.entries(now)) {
      const known = ["fault", "world", "jam"].map((kind) => `.switch[data-${kind}=${name}]`);
      $(known.join()).setAttribute("aria-checked", String(on));
    }
    const count = Object.values(now).filter(Boolean).length;
    $(".broken-count").textContent = count ? t("{count} broken", { count }) : "";
  }

  /** Say aloud what a person at the machine would notice; not every second of a countdown. */
  function announce({ world, screen }) {
    const lines = shown.text(screen).map((line) => line.trim()).filter(Boolean);
    const words = lines.join(machine.screen === "lcd" ? ". " : " ");
    const key = [screen.message, screen.reason, screen.fault, world.motor].join();
    if (key === told) return;
    const first = told === "";
    told = key;
    if (!first) tell(`${pick(machine.name)}: ${words}. ${t(doingOf(world, screen).words)}`);
  }

  function redraw() {
    translate(root);
    heading.textContent = pick(machine.name);
    if (picture) draw(picture);
  }

  redraw();
  return { root, draw, redraw, touch };
}
