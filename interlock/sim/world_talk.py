"""What the front panel says to a world and hears from it: one JSON object a line, both ways.

    {"id": 7, "op": "tap", "label": "Ada", "uid": "04a1…", "ms": 600}   →   {"id": 7, "ok": true}
    {"id": 8, "op": "subscribe"}   →   {"id": 8, "ok": true, …} and {"state": {…}} at changes

    put, take, tap        a badge lies on the reader, is taken off (no uid: all), or is held to it
    press, let_go, push   a button of world_wiring.Button; tap and push let go after `ms`
    jam                   a button sticks, pressed (`on`), or is freed
    emergency_stop, weld, stick_open, mains, pi, reader, bypass, extraction_broken      `on` or off
    interlock             the interlock `name` is held open (`on`), or let go
    contact               the contact at line `pin` is bridged or cut (`closed`), or mended (null)
    levels                the level of every line, by number
    state, subscribe      what anybody standing there can see, as `state_of` has it

An unknown or malformed request gets `"ok": false` and a message, and changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from interlock.errors import ProtocolError
from interlock.protocol import canonical, fields
from interlock.sim.kernel_pins import LINES
from interlock.sim.world import Badge, World
from interlock.sim.world_wiring import Button

LABEL_LENGTH_MAX = 80
UID_BYTES = (4, 7, 10)
HELD_MS_MAX = 60_000
PUSH_MS = 200
TAP_MS = 600
"""How long people hold a badge to a reader, on the short side."""
ID_MAX = 2**31

Request = Mapping[str, Any]


def answer_to(world: World, line: bytes) -> dict[str, Any]:
    """The request of `line` is done; its answer. Never raises for what a peer sent."""
    number = 0
    try:
        request = canonical.loads(line, where="world.sock")
        number = fields.integer(request, "id", low=0, high=ID_MAX)
        act = ACTS.get(fields.text(request, "op"))
        if act is None:
            raise ProtocolError(f"unknown op {request['op']!r}", where="world.sock")
        return {"id": number, "ok": True, **act(world, request)}
    except ProtocolError as error:
        return {"id": number, "ok": False, "message": str(error)}


def state_of(world: World) -> dict[str, Any]:
    """Everything somebody standing at the machine can see, hear or know, now."""
    shown = world.facts()
    given = world.given
    return {
        "relay": shown.relay,
        "coil": shown.coil,
        "contacts": shown.contacts,
        "mirror": shown.mirror,
        "motor": shown.motor,
        "current_ma": shown.current_ma,
        "busy": shown.busy,
        "switch_on": shown.switch_on,
        "turning": shown.turning,
        "extraction": shown.extraction,
        "airflow": shown.airflow,
        "extraction_broken": given.extraction_broken,
        "bypass": shown.bypass,
        "open_interlocks": list(shown.open_interlocks),
        "held_open": sorted(given.opened),
        "mains": given.mains,
        "pi": world.pins.powered,
        "emergency_stop": given.emergency_stop,
        "welded": given.welded,
        "stuck_open": given.stuck_open,
        "reader": world.reader_plugged,
        "pressed": sorted(button.value for button in world.pressed),
        "jammed": sorted(button.value for button in world.jammed),
        "badges": [{"label": one.label, "uid": one.uid.hex()} for one in world.badges],
        "lamp": _lamp(world),
        "buzzer": world.wiring.buzzer is not None and world.pins.level(world.wiring.buzzer),
    }


def encoded(message: Mapping[str, Any]) -> bytes:
    """`message` as one line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _lamp(world: World) -> list[bool]:
    """Red, green and blue as they are lit."""
    return [pin is not None and world.pins.level(pin) for pin in world.wiring.lamp]


def _badge(request: Request) -> Badge:
    return Badge(fields.text(request, "label", length_max=LABEL_LENGTH_MAX), _uid(request))


def _uid(request: Request) -> bytes:
    try:
        uid = bytes.fromhex(fields.text(request, "uid"))
    except ValueError as error:
        raise ProtocolError("uid is not hexadecimal", where="world.sock") from error
    if len(uid) not in UID_BYTES:
        raise ProtocolError(f"a uid has 4, 7 or 10 bytes, not {len(uid)}", where="world.sock")
    return uid


def _held_ms(request: Request, default_ms: int) -> int:
    if "ms" not in request:
        return default_ms
    return fields.integer(request, "ms", low=1, high=HELD_MS_MAX)


def _put(world: World, request: Request) -> dict[str, Any]:
    world.put(_badge(request))
    return {}


def _take(world: World, request: Request) -> dict[str, Any]:
    wanted = _uid(request) if "uid" in request else None
    for badge in world.badges:
        if wanted in (None, badge.uid):
            world.take(badge)
    return {}


def _tap(world: World, request: Request) -> dict[str, Any]:
    world.tap(_badge(request), _held_ms(request, TAP_MS))
    return {}


def _press(world: World, request: Request) -> dict[str, Any]:
    world.press(fields.choice(request, "button", Button))
    return {}


def _let_go(world: World, request: Request) -> dict[str, Any]:
    world.let_go(fields.choice(request, "button", Button))
    return {}


def _push(world: World, request: Request) -> dict[str, Any]:
    world.push(fields.choice(request, "button", Button), _held_ms(request, PUSH_MS))
    return {}


def _jam(world: World, request: Request) -> dict[str, Any]:
    world.jam(fields.choice(request, "button", Button), fields.flag(request, "on"))
    return {}


def _switch(turn: Callable[[World, bool], None]) -> Callable[[World, Request], dict[str, Any]]:
    def act(world: World, request: Request) -> dict[str, Any]:
        if "on" not in request:
            raise ProtocolError("on is missing", where="world.sock")
        turn(world, fields.flag(request, "on"))
        return {}

    return act


def _interlock(world: World, request: Request) -> dict[str, Any]:
    name = fields.text(request, "name", length_max=LABEL_LENGTH_MAX)
    if name not in (contact.signal for contact in world.wiring.contacts):
        raise ProtocolError(f"there is no interlock {name!r}", where="world.sock")
    world.open_interlock(name, fields.flag(request, "on"))
    return {}


def _contact(world: World, request: Request) -> dict[str, Any]:
    pin = fields.integer(request, "pin", low=0, high=LINES - 1)
    closed = None if request.get("closed") is None else fields.flag(request, "closed")
    world.force_contact(pin, closed)
    return {}


def _levels(world: World, request: Request) -> dict[str, Any]:
    return {"levels": [world.level(number) for number in range(LINES)]}


def _state(world: World, request: Request) -> dict[str, Any]:
    return {"state": state_of(world)}


def _subscribe(world: World, request: Request) -> dict[str, Any]:
    return {"subscribed": True, "state": state_of(world)}


ACTS: dict[str, Callable[[World, Request], dict[str, Any]]] = {
    "put": _put,
    "take": _take,
    "tap": _tap,
    "press": _press,
    "let_go": _let_go,
    "push": _push,
    "jam": _jam,
    "emergency_stop": _switch(World.latch_emergency_stop),
    "weld": _switch(World.weld),
    "stick_open": _switch(World.stick_open),
    "mains": _switch(World.supply_mains),
    "pi": _switch(World.supply_pi),
    "reader": _switch(World.plug_reader),
    "bypass": _switch(World.turn_bypass),
    "extraction_broken": _switch(World.break_extraction),
    "interlock": _interlock,
    "contact": _contact,
    "levels": _levels,
    "state": _state,
    "subscribe": _subscribe,
}
