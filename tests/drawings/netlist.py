"""A drawing in, the nets its wires make and what lies between them out: the circuit without its picture.

A net is everything at the same potential; a link is what may join two nets, with its behaviour. Behaviour
follows from the kind of the part and from its terminal numbers, as it does for whoever wires it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from tests.drawings.source import Drawing, Element, Part, Rung, Series, SourceError

NAMED = re.compile(r"24V|0V|5V|3V3|PE|L~|N~|GPIO\d+|[A-Z0-9]+[+]")
"""Nets with a name of their own: rails, protective earth, pins of the Pi, a supply before its fuse."""

PI = "A0"


class Does(Enum):
    """How a link behaves."""

    NO = auto()
    NC = auto()
    WIRE = auto()
    LOAD = auto()
    SUPPRESSOR = auto()
    CHANNEL = auto()


CONTACTS = (Does.NO, Does.NC)

_BY_KIND = {
    "fuse": Does.WIRE,
    "diode": Does.SUPPRESSOR,
    "snubber": Does.SUPPRESSOR,
    "resistor": Does.LOAD,
    "opto": Does.CHANNEL,
    "monostable": Does.CHANNEL,
}


@dataclass(frozen=True)
class Link:
    """What lies between nets `one` and `two`: terminals `a` and `b` of `part`."""

    part: Part
    a: str
    b: str
    does: Does
    one: str
    two: str


@dataclass
class Netlist:
    """`terminals` are those of each net, as PART:terminal; `links` join nets."""

    drawing: Drawing
    terminals: dict[str, set[str]] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    power: dict[str, list[str]] = field(default_factory=dict)
    """Per conductor of the power circuit: its nets, from the inlet to the load."""
    _auto: int = 0

    def tie(self, net: str, part: str, terminal: str) -> None:
        """`terminal` of `part` lies on `net`."""
        self.drawing.part(part)
        self.terminals.setdefault(net, set()).add(f"{part}:{terminal}")

    def join(self, element: Element, one: str, two: str) -> None:
        """`element` lies between the nets `one` and `two`."""
        part = self.drawing.part(element.part)
        self.tie(one, element.part, element.a)
        self.tie(two, element.part, element.b)
        does = behaviour(part, element.a, element.b)
        self.links.append(Link(part, element.a, element.b, does, one, two))

    def fresh(self) -> str:
        """A net without a name."""
        self._auto += 1
        return f"#{self._auto}"

    def reach(self, start: str, conducts: Callable[[Link], bool]) -> set[str]:
        """Every net that `start` is joined with through links that conduct."""
        found, todo = {start}, [start]
        while todo:
            net = todo.pop()
            for link in self.links:
                for here, there in ((link.one, link.two), (link.two, link.one)):
                    if here == net and there not in found and conducts(link):
                        found.add(there)
                        todo.append(there)
        return found

    def of_kind(self, *kinds: str) -> Iterator[Part]:
        """The drawn parts of these kinds."""
        return (part for part in self.drawing.parts.values() if part.kind in kinds)

    def coils(self, *kinds: str) -> Iterator[Link]:
        """The coils of parts of these kinds."""
        return (link for link in self.links if link.a == "A1" and link.part.kind in kinds)


def behaviour(part: Part, a: str, b: str) -> Does:
    """What a link between these terminals does (EN 50005 for contacts). Raises SourceError."""
    if {a, b} == {"A1", "A2"}:
        return Does.LOAD
    if part.kind in _BY_KIND:
        return _BY_KIND[part.kind]
    digits = (a[-1], b[-1])
    if len(a) == 1 and len(b) == 1 and a.isdigit() and int(b) == int(a) + 1:
        return Does.NO
    if digits in (("3", "4"), ("1", "4")):
        return Does.NO
    if digits == ("1", "2"):
        return Does.NC
    raise SourceError(f"{part.id}:{a}-{b} is neither a contact, a coil nor a {part.kind}")


def netlist(drawing: Drawing) -> Netlist:
    """All nets of `drawing`. Raises SourceError."""
    made = Netlist(drawing)
    _power(made)
    rungs = [*drawing.ladder, *drawing.inputs, *drawing.outputs, *drawing.shunts]
    for rung in [*([drawing.feed] if drawing.feed else []), *rungs]:
        _rung(made, rung)
    for part in drawing.parts.values():
        for terminal, net in part.wires.items():
            made.tie(_end(made, net), part.id, terminal)
    for net in list(made.terminals):
        if net.startswith("GPIO") or net == "3V3":
            made.tie(net, PI, net)
    return made


def _rung(made: Netlist, rung: Rung) -> None:
    _lay(made, rung.body, _end(made, rung.left), _end(made, rung.right))


def _end(made: Netlist, word: str) -> str:
    """The net that an end of a circuit lies on: a named one, or the one a terminal of a box makes."""
    if NAMED.fullmatch(word):
        return word
    part, colon, terminal = word.partition(":")
    if not colon:
        raise SourceError(f"{made.drawing.name}: {word!r} is neither a net nor PART:terminal")
    made.tie(word, part, terminal)
    return word


def _lay(made: Netlist, series: Series, left: str, right: str) -> None:
    """A series of n things has n - 1 nets inside; no thing at all is a wire that a box ends."""
    if not series.items:
        loose, kept = (right, left) if ":" in right else (left, right)
        made.terminals.setdefault(kept, set()).update(made.terminals.pop(loose))
        return
    nets = [left, *(made.fresh() for _ in series.items[1:]), right]
    for item, one, two in zip(series.items, nets, nets[1:], strict=False):
        if isinstance(item, Element):
            made.join(item, one, two)
        else:
            for branch in item.branches:
                _lay(made, branch, one, two)


# ------------------------------------------------------------------------------------ power circuit


def _power(made: Netlist) -> None:
    now = {name: name for name in made.drawing.conductors}
    made.power = {name: [net] for name, net in now.items()}
    for stage in made.drawing.stages:
        live = stage.on or tuple(name for name in now if name != "PE")
        part = stage.parts[0]
        if stage.does == "inlet":
            for name, net in now.items():
                made.tie(net, part, name)
        elif stage.does == "poles":
            for place, name in enumerate(live):
                after = f"{name}/{part}"
                pole = Element(part, str(2 * place + 1), str(2 * place + 2))
                made.join(pole, now[name], after)
                now[name] = after
                made.power[name].append(after)
        elif stage.does == "load":
            for name, terminal in zip(live, "UVW", strict=False):
                made.tie(now[name], part, terminal)
            made.tie("PE", part, "PE")
        elif stage.does in ("tap", "fan"):
            _branch(made, stage.does, stage.parts, stage.over, now)


def _branch(
    made: Netlist, does: str, parts: tuple[str, ...], over: str | None, now: dict[str, str]
) -> None:
    """What is taken off to the side: a supply, the rails of a ladder, a sensing coil, a fan."""
    line, neutral = now[made.drawing.conductors[0]], now["N"]
    part = parts[0]
    if over is not None:
        after = "L~" if part == "rails" else made.fresh()
        made.join(Element(over, "1", "2"), line, after)
        line = after
    if part == "rails":
        # The neutral rail is the neutral conductor itself, under the ladder's name.
        made.terminals.setdefault("N~", set()).update(made.terminals[neutral])
        made.links.append(Link(made.drawing.part(over or part), "N", "N", Does.WIRE, neutral, "N~"))
    elif does == "fan":
        ends = made.fresh(), made.fresh()
        made.join(Element(part, "1", "2"), line, ends[0])
        made.join(Element(part, "3", "4"), neutral, ends[1])
        for net, terminal in zip((*ends, "PE"), ("U", "V", "PE"), strict=True):
            made.tie(net, parts[1], terminal)
    elif made.drawing.part(part).kind == "sense_relay":
        made.join(Element(part, "A1", "A2"), line, neutral)
    else:
        made.tie(line, part, "L")
        made.tie(neutral, part, "N")
        if not made.drawing.part(part).class_ii:
            made.tie("PE", part, "PE")
