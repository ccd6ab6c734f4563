// Lids, fire alarms and bypass keys of a machine: its description goes in, switches that hands turn come out.

import { act } from "./link.js";
import { pick, t } from "./words.js";

const GATES = {
  lid: { icon: "lid", open: "lifted", shut: "shut" },
  fire: { icon: "fire", open: "triggered", shut: "quiet" },
  key: { icon: "key", open: "turned", shut: "not turned" },
};

/** The switches stand in `list`; what is returned draws them as `world` says. */
export function fittingsOf(machine, list) {
  const all = machine.gates.map((gate) => ({
    ...GATES[gate.fire ? "fire" : "lid"],
    label: () => pick(gate.label),
    isOpen: (world) => world.held_open.includes(gate.name),
    turn: (on) => act(machine.id, "interlock", { name: gate.name, on }),
  }));
  if (machine.bypass_key) {
    all.push({
      ...GATES.key,
      label: () => t("Bypass key"),
      isOpen: (world) => world.bypass,
      turn: (on) => act(machine.id, "bypass", { on }),
    });
  }
  const drawn = all.map((one) => switchOf(one, list));
  return (world) => drawn.forEach((draw) => draw(world));
}

function switchOf(one, list) {
  const template = document.getElementById("fitting-template").content;
  const button = document.importNode(template.firstElementChild, true);
  button.dataset.icon = one.icon;
  button.querySelector("use").setAttribute("href", `#icon-${one.icon}`);
  button.addEventListener("click", () => one.turn(button.getAttribute("aria-checked") !== "true"));
  list.append(button);
  return (world) => {
    const isOpen = one.isOpen(world);
    button.setAttribute("aria-checked", String(isOpen));
    button.setAttribute("aria-label", t("{name}: {state}", { name: one.label(), state: t(one.open) }));
    button.querySelector("b").textContent = one.label();
    button.querySelector("small").textContent = t(isOpen ? one.open : one.shut);
  };
}
