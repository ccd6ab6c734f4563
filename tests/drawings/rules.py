"""A circuit in, every breach of an electrical rule out: what an inspector would look for, checked in the text.

The rules read the netlist, never the picture. A contact in a path is open or closed as the question asks,
so "the bypass is behind the stop" is: with every stop contact open and everything else closed, does
anything still reach the coil?
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from interlock.config.node import HANG_MS
from tests.drawings.netlist import CONTACTS, Does, Link, Netlist, netlist
from tests.drawings.pins import node_document, pin_breaches
from tests.drawings.source import Drawing

SUPPLIES = (("24V", "0V"), ("L~", "N~"))
"""Plus or line, and what it returns to, of the circuits that may feed a coil."""
MAINS = ("L", "L1", "L2", "L3", "N", "L~", "N~")
EXTRA_LOW = ("24V", "0V", "5V", "3V3")
PROVES = ("emergency_stop", "stop_button", "limit_switch", "fire_contact")
"""Whose opening must also be what a broken wire looks like: normally closed, nothing else."""
EARTHED = ("motor", "fan", "laser", "socket", "supply")
WATCHDOG_MS = 2_000
"""WatchdogSec of the node's unit (8-installation.md): the enable must be the faster of the two."""

Rule = Callable[[Netlist], Iterable[str]]


def breaches(drawing: Drawing) -> list[str]:
    """Every breach of every rule in `drawing`, in words."""
    made = netlist(drawing)
    found = [text for rule in RULES for text in rule(made)]
    return [*found, *pin_breaches(drawing)]


# ------------------------------------------------------------------------------------- conductances


def _closed(link: Link, opened: Iterable[str] = ()) -> bool:
    """Contacts closed, fuses whole; loads, suppressors and isolating channels carry no path."""
    return link.does is Does.WIRE or (link.does in CONTACTS and link.part.id not in opened)


def _feeds(made: Netlist, coil: Link, opened: Iterable[str]) -> bool:
    """Whether a supply can drive current through `coil` with the contacts of `opened` open."""
    shut = set(opened)
    ends = [made.reach(net, lambda link: _closed(link, shut)) for net in (coil.one, coil.two)]
    return any(
        (plus in one and back in two) or (plus in two and back in one)
        for one, two in (ends,)
        for plus, back in SUPPLIES
    )


def _ids(made: Netlist, *kinds: str) -> list[str]:
    return [part.id for part in made.of_kind(*kinds)]


# -------------------------------------------------------------------------------------------- rules


def every_net_joins_two_terminals(made: Netlist) -> Iterator[str]:
    """A wire with one end is a forgotten wire; a terminal on two nets is a short."""
    owners: dict[str, str] = {}
    alike = {frozenset({link.one, link.two}) for link in made.links if link.a == link.b == "N"}
    for net, terminals in made.terminals.items():
        if len(terminals) < 2:
            yield f"net {net} has only {', '.join(sorted(terminals))}"
        for terminal in terminals:
            other = owners.setdefault(terminal, net)
            if other != net and frozenset({net, other}) not in alike:
                yield f"{terminal} lies on {other} and on {net}"


def every_part_is_wired(made: Netlist) -> Iterator[str]:
    """What stands in the list of parts and in no circuit would be bought for nothing."""
    wired = {
        terminal.split(":")[0] for terminals in made.terminals.values() for terminal in terminals
    }
    for name in made.drawing.parts.keys() - wired:
        yield f"{name} stands among the parts and is wired nowhere"


def every_coil_current_passes_the_stop_chain(made: Netlist) -> Iterator[str]:
    """2-machine.md: the emergency stop is hard-wired in the contactor coil, bypass key or not."""
    stops = _ids(made, "emergency_stop")
    contactors = list(made.coils("contactor"))
    if not contactors:
        yield "no contactor"
    for coil in contactors:
        if not _feeds(made, coil, ()):
            yield f"{coil.part.id} can never pull in"
        if _feeds(made, coil, stops):
            yield f"{coil.part.id} is fed past the emergency stop"


def nothing_is_fed_at_rest(made: Netlist) -> Iterator[str]:
    """No badge, no key, no hand: with every contact as drawn no coil pulls in."""
    for coil in made.coils("contactor"):
        ends = [made.reach(net, _at_rest) for net in (coil.one, coil.two)]
        if any((plus in ends[0]) and (back in ends[1]) for plus, back in SUPPLIES):
            yield f"{coil.part.id} is fed with every contact at rest"


def _at_rest(link: Link) -> bool:
    return link.does in (Does.WIRE, Does.NC)


def every_way_of_letting_go_is_in_series(made: Netlist) -> Iterator[str]:
    """Each relay of ours alone opens its coil (bypass key out); the key alone closes it, behind the stop."""
    keys = _ids(made, "key")
    coils = {coil.part.id: coil for coil in made.coils("contactor")}
    for rung in made.drawing.outputs:
        relay, coil = rung.right.split(":")[0], coils.get(_DRIVES.get(rung.key, ""))
        if coil is not None and _feeds(made, coil, [relay, *keys]):
            yield f"{coil.part.id} stays in with {relay} open"
    if keys and "KM1" in coils and not _feeds(made, coils["KM1"], _ids(made, "relay")):
        yield "the bypass key does not reach KM1"


_DRIVES = {"relay.pin": "KM1", "relay.dynamic_enable_pin": "KM1", "relay.extraction_pin": "KM2"}


def a_hung_node_lets_go(made: Netlist) -> Iterator[str]:
    """Where the file has a dynamic enable: its relay is in the coil circuit, and holds longer than a hang."""
    enable = node_document(made.drawing).get("relay", {}).get("dynamic_enable_pin")
    holders = list(made.of_kind("monostable"))
    if (enable is not None) != bool(holders):
        yield "dynamic enable: the file and the drawing differ about it"
    for rung in made.drawing.outputs:
        held = {getattr(item, "part", "") for item in rung.body.items} & {h.id for h in holders}
        if rung.key == "relay.dynamic_enable_pin" and not held:
            yield f"{rung.key}: no monostable between {rung.left} and {rung.right}"
    for holder in holders:
        least, most = holder.hold_ms or (0, 0)
        if least <= HANG_MS:
            yield f"{holder.id} may let go after {least} ms: within a hang of {HANG_MS} ms it recloses"
        if not least < most < WATCHDOG_MS:
            yield f"{holder.id} may hold for {most} ms: as long as the watchdog takes"


def proofs_are_normally_closed(made: Netlist) -> Iterator[str]:
    """Stops, lids and the mirror contact: a broken wire must never read as "all well"."""
    rungs = {rung.key: rung for rung in made.drawing.inputs}
    for link in made.links:
        if link.part.kind in PROVES and link.does is Does.NO:
            yield f"{link.part.id}:{link.a}-{link.b} is normally open"
    mirror = rungs.get("inputs.mirror_contact.pin")
    if mirror is not None:
        names = {getattr(item, "part", "") for item in mirror.body.items}
        if "KM1" not in names or not any(
            link.part.id == "KM1" and link.does is Does.NC for link in made.links
        ):
            yield "the mirror contact is not the normally closed one of KM1"


def outputs_are_held_low(made: Netlist) -> Iterator[str]:
    """A pin that nobody drives yet (boot, crash, no cable) must not close anything."""
    pulled = {link.one for link in made.links if link.part.kind == "resistor" and link.two == "0V"}
    for rung in made.drawing.outputs:
        if rung.left not in pulled:
            yield f"{rung.key}: {rung.left} has no pull-down resistor"


def every_coil_has_its_suppressor(made: Netlist) -> Iterator[str]:
    """A coil switched off without one burns contacts and resets a Pi."""
    guarded = {
        frozenset({link.one, link.two}) for link in made.links if link.does is Does.SUPPRESSOR
    }
    for coil in made.coils("contactor"):
        if frozenset({coil.one, coil.two}) not in guarded:
            yield f"{coil.part.id} has no diode or RC across its coil"


def diodes_block(made: Netlist) -> Iterator[str]:
    """A diode the wrong way round is a short: its cathode looks to the plus."""
    for link in made.links:
        if link.part.kind == "diode" and link.a != "K":
            yield f"{link.part.id} is the wrong way round"


def mains_and_extra_low_voltage_never_meet(made: Netlist) -> Iterator[str]:
    """No wire, contact, coil or suppressor joins the two; only isolating parts stand between them."""
    starts = [net for net in MAINS if net in made.terminals]
    for start in starts:
        reached = made.reach(start, lambda link: link.does is not Does.CHANNEL)
        met = {net for net in reached if net in EXTRA_LOW or net.startswith("GPIO")}
        if met:
            yield f"{start} meets {', '.join(sorted(met))}"


def the_machine_is_cut_on_every_live_conductor(made: Netlist) -> Iterator[str]:
    """KM1 switches line and neutral; what feeds node and stop chain lies before it."""
    shut = {"KM1"}
    loads = [stage.parts[0] for stage in made.drawing.stages if stage.does == "load"]
    for net in (net for net in MAINS if net in made.terminals):
        reached = made.reach(net, lambda link: _closed(link, shut))
        for other, terminals in made.terminals.items():
            names = {terminal.split(":")[0] for terminal in terminals}
            if other in reached and names & set(loads):
                yield f"with KM1 open {', '.join(sorted(names & set(loads)))} still has {net}"


def protective_earth_goes_everywhere_and_through_nothing(made: Netlist) -> Iterator[str]:
    """Everything that can be touched is earthed, and no contact or fuse lies in the earth."""
    earthed = {terminal.split(":")[0] for terminal in made.terminals.get("PE", set())}
    for part in made.of_kind(*EARTHED):
        if part.id not in earthed and not part.class_ii:
            yield f"{part.id} is not earthed"
    for link in made.links:
        if "PE" in (link.one, link.two):
            yield f"{link.part.id} lies in the protective earth"


def every_contact_is_used_once(made: Netlist) -> Iterator[str]:
    """One contact in two circuits joins them; the status of a stop is a contact of its own."""
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    for link in made.links:
        for terminal in (link.a, link.b):
            if seen.setdefault((link.part.id, terminal), (link.one, link.two)) != (
                link.one,
                link.two,
            ):
                yield f"{link.part.id}:{terminal} is used twice"


RULES: tuple[Rule, ...] = (
    every_net_joins_two_terminals,
    every_part_is_wired,
    every_coil_current_passes_the_stop_chain,
    nothing_is_fed_at_rest,
    every_way_of_letting_go_is_in_series,
    a_hung_node_lets_go,
    proofs_are_normally_closed,
    outputs_are_held_low,
    every_coil_has_its_suppressor,
    diodes_block,
    mains_and_extra_low_voltage_never_meet,
    the_machine_is_cut_on_every_live_conductor,
    protective_earth_goes_everywhere_and_through_nothing,
    every_contact_is_used_once,
)
