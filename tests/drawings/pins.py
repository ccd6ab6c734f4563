"""A drawing and its node's TOML file in; which pin belongs to which key in each, and where they differ."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from interlock.config.checks import PINS_PULLED_UP_AT_BOOT
from interlock.config.node import parse_node
from interlock.errors import ConfigError
from tests.drawings.netlist import Does, Netlist, netlist
from tests.drawings.source import Drawing, Element, Rung

HEADER: Final[Mapping[str, tuple[int, ...]]] = {
    "3V3": (1, 17),
    "5V": (2, 4),
    "0V": (6, 9, 14, 20, 25, 30, 34, 39),
    **{
        f"GPIO{gpio}": (int(pin),)
        for gpio, pin in enumerate(
            "27 28 3 5 7 29 31 26 24 21 19 23 32 33 8 10 36 11 12 35 38 40 15 16 18 22 37 13".split()
        )
    },
}
"""Net → pins of the 40-pin header, the same on every Raspberry Pi since the B+."""

READER_SPI: Final = {"SDA": "GPIO8", "SCK": "GPIO11", "MOSI": "GPIO10", "MISO": "GPIO9"}
"""SPI0 with chip select CE0: /dev/spidev0.0."""

I2C: Final = ("GPIO2", "GPIO3")
"""SDA and SCL, which every device of the bus shares."""


def node_document(drawing: Drawing) -> dict[str, Any]:
    """The node's file as this drawing wires it: the profile, and what the drawing adds to it."""
    with drawing.config.open("rb") as file:
        return _merged(tomllib.load(file), drawing.adds)


def pins_of_the_file(document: Mapping[str, Any]) -> dict[str, int]:
    """Key → pin; an interlock's key carries its name."""
    found = {}
    for table in ("relay", "panel", "reader"):
        for key, value in document.get(table, {}).items():
            if key == "pin" or key.endswith("_pin"):
                found[f"{table}.{key}"] = value
    for name, declared in document.get("inputs", {}).items():
        found[f"inputs.{name}.pin"] = declared["pin"]
    for declared in document.get("interlocks", ()):
        if "pin" in declared:
            found[f"interlocks.{declared['name']}.pin"] = declared["pin"]
    found.setdefault("reader.reset_pin", 25)
    return found


def pins_of_the_drawing(drawing: Drawing) -> dict[str, int]:
    """Key → pin, as drawn."""
    return {key: int(net.removeprefix("GPIO")) for key, net in _keyed_nets(drawing)}


def pin_breaches(drawing: Drawing) -> list[str]:
    """Every way in which drawing and file do not describe one node."""
    document = node_document(drawing)
    drawn, told = pins_of_the_drawing(drawing), pins_of_the_file(document)
    found = [
        f"{key} is drawn on GPIO{pin}, the file says {told.get(key, 'nothing')}"
        for key, pin in drawn.items()
        if told.get(key) != pin
    ]
    if drawing.complete:
        found += [f"{key} is in the file and not in the drawing" for key in told.keys() - drawn]
    found += _shared(drawing)
    found += [
        f"{key} is on GPIO{pin}, which is pulled up while the Pi boots"
        for key, pin in drawn.items()
        if key in ("relay.pin", "relay.extraction_pin") and pin in PINS_PULLED_UP_AT_BOOT
    ]
    found += _rests(drawing, document)
    found += _reader(drawing)
    try:
        parse_node(document)
    except ConfigError as error:
        found.append(f"the node refuses the file: {error}")
    return found


# ------------------------------------------------------------------------------------------- parts


def _keyed_nets(drawing: Drawing) -> Iterator[tuple[str, str]]:
    for rung in (*drawing.inputs, *drawing.outputs):
        yield rung.key, _gpio(rung)
    for part in drawing.parts.values():
        for terminal, key in part.keys.items():
            if key.endswith("pin"):
                yield key, part.wires[terminal]


def _gpio(rung: Rung) -> str:
    ends = [end for end in (rung.left, rung.right) if end.startswith("GPIO")]
    if len(ends) != 1:
        raise ConfigError(f"{rung.key} must end at one pin", where="wiring", remedy="Write GPIOn")
    return ends[0]


def _shared(drawing: Drawing) -> list[str]:
    """A pin carries one signal: one input, one output or one wire of a module."""
    users: dict[str, list[str]] = {}
    for rung in (*drawing.inputs, *drawing.outputs):
        users.setdefault(_gpio(rung), []).append(rung.key)
    for part in drawing.parts.values():
        for terminal, net in part.wires.items():
            if net.startswith("GPIO") and net not in I2C:
                users.setdefault(net, []).append(f"{part.id}:{terminal}")
    return [f"{net} carries {' and '.join(who)}" for net, who in users.items() if len(who) > 1]


def _rests(drawing: Drawing, document: Mapping[str, Any]) -> Iterator[str]:
    """A contact is drawn at rest, and the file says the same of it."""
    says = {
        f"inputs.{name}.pin": declared.get("normally", _REST_BY_DEFAULT.get(name, "open"))
        for name, declared in document.get("inputs", {}).items()
    }
    says |= {
        f"interlocks.{declared['name']}.pin": declared.get("normally", "closed")
        for declared in document.get("interlocks", ())
    }
    made = netlist(drawing)
    for rung in drawing.inputs:
        contacts = [
            link
            for item in rung.body.items
            if isinstance(item, Element)
            for link in made.links
            if (link.part.id, link.a) == (item.part, item.a)
        ]
        rests = {_rest(made, link.part.kind, link.does) for link in contacts} - {None}
        if rests != {says.get(rung.key, "?")}:
            drawn = "/".join(sorted(str(rest) for rest in rests))
            yield f"{rung.key} is drawn {drawn}, the file says {says.get(rung.key, 'nothing')}"


def _rest(made: Netlist, kind: str, does: Does) -> str | None:
    if does is Does.NO:
        # A supply relay and an air flow rest in operation: energised, flowing.
        return "closed" if kind in ("sense_relay", "flow_switch") else "open"
    return "closed" if does is Does.NC else None


_REST_BY_DEFAULT = {"emergency_stop": "closed", "mirror_contact": "closed"}


def _reader(drawing: Drawing) -> Iterator[str]:
    for part in drawing.parts.values():
        if part.kind == "reader":
            for terminal, net in READER_SPI.items():
                if part.wires.get(terminal) != net:
                    yield f"{part.id}:{terminal} belongs on {net}"
            if part.wires.get("3.3V") != "3V3":
                yield f"{part.id} is fed with {part.wires.get('3.3V')}: 5 V destroys an RC522"


def _merged(base: Mapping[str, Any], adds: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in adds.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merged(merged[key], value)
        elif isinstance(value, list) and isinstance(merged.get(key), list):
            merged[key] = [*merged[key], *value]
        else:
            merged[key] = value
    return merged
