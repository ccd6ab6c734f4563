"""The page over HTTP, a bare ASGI application: requests of one browser on this computer in and out.

    GET  /            the page             GET  /lab.json   machines, badges and links
    GET  /static/…    its parts            GET  /events     every change, as server-sent events
    POST /act         {"machine", "op", …} something a hand does; the ops of world_talk.py
    POST /fault       {"fault", "machine", "on"} something that goes wrong with processes or lines

A page of another site must not be able to push a button here: requests must name this server as
their host, and a POST must be JSON, which a foreign page cannot send without asking first.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.errors import InterlockError, ProtocolError
from interlock.protocol import canonical, fields

if TYPE_CHECKING:
    from interlock.sim.panel_server import BadgeOffer, Faults, Fittings, Lab
    from interlock.sim.panel_server_link import MachineLink

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

STATIC = Path(__file__).resolve().parent / "static"
PAGE = STATIC / "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-cache"),
)
BODY_BYTES_MAX = 4_096
LOOK_S = 0.1
"""How often the state of processes is asked for."""
HEARTBEAT_S = 5.0
"""A browser that went away is noticed by then."""

ACTS_OF_HANDS = frozenset(
    "put take tap push press let_go jam emergency_stop bypass interlock extraction_broken "
    "weld stick_open mains reader".split()
)


class PanelApp:
    """The application; `running()` keeps its picture of the lab up to date."""

    def __init__(
        self, lab: Lab, faults: Faults, links: Mapping[str, MachineLink], port: int
    ) -> None:
        self._lab = lab
        self._faults = faults
        self._links = links
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        self._pictures: dict[str, Any] = {}
        self._changed = asyncio.Event()
        self._version = 0
        self._ends = False

    def end(self) -> None:
        """Streams end at their next heartbeat or change."""
        self._ends = True

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Worlds and nodes are followed inside."""
        tasks = [asyncio.create_task(link.run(self._look)) for link in self._links.values()]
        tasks.append(asyncio.create_task(self._look_at_faults()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, answered."""
        if scope["type"] != "http":
            return
        route = (scope["method"], scope["path"])
        if _header(scope, b"host") not in self._hosts:
            await _answer(send, 403, {"message": "ask for 127.0.0.1 by its name"})
        elif route == ("GET", "/events"):
            await self._stream(receive, send)
        elif route == ("GET", "/lab.json"):
            await _answer(send, 200, self._description())
        elif scope["method"] == "GET":
            await _file(send, scope["path"])
        elif scope["method"] == "POST":
            await self._act(scope, receive, send)
        else:
            await _answer(send, 405, {"message": "GET or POST"})

    # ------------------------------------------------------------------------------------ the
    # picture

    def _look(self) -> None:
        """The pictures are those of now; streams hear of it when one has changed."""
        pictures: dict[str, Any] = {
            name: {**link.picture(), "faults": self._faults_of(name)}
            for name, link in self._links.items()
        }
        pictures[""] = {"hub": self._faults.hub_runs()}
        if pictures != self._pictures:
            self._pictures = pictures
            self._version += 1
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    def _faults_of(self, machine: str) -> dict[str, Any]:
        now = self._faults.of_machine(machine)
        return {
            "unplugged": now.unplugged,
            "power_cut": now.power_cut,
            "frozen": now.frozen,
            "old_card": now.old_card,
            "node": now.node,
            "boot_id": now.boot_id,
        }

    async def _look_at_faults(self) -> None:
        while True:
            self._look()
            await asyncio.sleep(LOOK_S)

    async def _stream(self, receive: Receive, send: Send) -> None:
        await _begin(send, 200, "text/event-stream")
        gone = asyncio.ensure_future(_gone(receive))
        sent: dict[str, Any] = {}
        try:
            while not (self._ends or gone.done()):
                news = {k: v for k, v in self._pictures.items() if sent.get(k) != v}
                sent = dict(self._pictures)
                chunk = b"".join(_event(name, picture) for name, picture in news.items())
                await _more(send, chunk or b": still here\n\n")
                waiting = asyncio.ensure_future(self._changed.wait())
                await asyncio.wait(
                    (waiting, gone), timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED
                )
                waiting.cancel()
        finally:
            gone.cancel()
        await send({"type": "http.response.body", "body": b""})

    def _description(self) -> dict[str, Any]:
        """What of the lab never changes."""
        return {
            "machines": [
                {
                    "id": one.id,
                    "name": dict(one.name),
                    "kind": one.kind,
                    "badge_use": one.badge_use,
                    "language": one.language,
                    **_fittings(one.fittings),
                }
                for one in self._lab.machines
            ],
            "badges": [_badge(one) for one in self._lab.badges],
            "hub_url": self._lab.hub_url,
            "hub_links": [{"label": dict(label), "url": url} for label, url in self._lab.hub_links],
        }

    # --------------------------------------------------------------------------------- what is done

    async def _act(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if not _header(scope, b"content-type").startswith("application/json"):
                raise ProtocolError("send application/json")
            request = canonical.loads(await _body(receive), where=scope["path"])
            if scope["path"] == "/act":
                await self._act_of_hands(request)
            elif scope["path"] == "/fault":
                await self._fault(request)
            else:
                raise ProtocolError(f"there is no {scope['path']}")
        except ProtocolError as error:
            await _answer(send, 400, {"message": str(error)})
        except InterlockError as error:
            await _answer(send, 503, {"message": str(error)})
        else:
            await _answer(send, 200, {"ok": True})

    async def _act_of_hands(self, request: dict[str, Any]) -> None:
        link = self._link(request)
        op = fields.text(request, "op")
        if op not in ACTS_OF_HANDS:
            raise ProtocolError(f"no hand can do {op!r:.40}")
        arguments = {k: v for k, v in request.items() if k not in ("machine", "op", "id")}
        await link.ask(op, **arguments)

    async def _fault(self, request: dict[str, Any]) -> None:
        fault = fields.text(request, "fault")
        on = fields.flag(request, "on", default=True)
        if fault == "stop_hub":
            await asyncio.to_thread(self._faults.stop_hub, on)
            return
        link = self._link(request)
        name = link.machine.id
        match fault:
            case "unplug":
                await asyncio.to_thread(self._faults.unplug, name, on)
            case "cut_power":
                await self._cut_power(link, on)
            case "old_card":
                await self._change_card(link, on)
            case "kill_node":
                await asyncio.to_thread(self._faults.kill_node, name)
            case "clear_faults":
                await asyncio.to_thread(self._faults.clear_faults, name)
            case "freeze_node":
                await asyncio.to_thread(self._faults.freeze_node, name, on)
            case _:
                raise ProtocolError(f"unknown fault {fault!r:.40}")

    async def _cut_power(self, link: MachineLink, on: bool) -> None:
        """Power goes from the processes first and comes back to the wires first.

        A Pi without power sees nothing; a node that still ran would record a contactor that dropped out.
        """
        processes = asyncio.to_thread(self._faults.cut_power, link.machine.id, on)
        if on:
            await processes
        await link.ask("mains", on=not on)
        await link.ask("pi", on=not on)
        if not on:
            await processes

    async def _change_card(self, link: MachineLink, on: bool) -> None:
        """Nobody pulls a card out of a running Pi; one that was off before stays off."""
        name = link.machine.id
        was_off = self._faults.of_machine(name).power_cut
        if not was_off:
            await self._cut_power(link, True)
        await asyncio.to_thread(self._faults.old_card, name, on)
        if not was_off:
            await self._cut_power(link, False)

    def _link(self, request: dict[str, Any]) -> MachineLink:
        name = fields.text(request, "machine")
        if name not in self._links:
            raise ProtocolError(f"there is no machine {name!r:.40}")
        return self._links[name]


def _badge(offer: BadgeOffer) -> dict[str, Any]:
    return {
        "label": offer.label,
        "uids": list(offer.uids),
        "mood": offer.mood,
        "hint": dict(offer.hint),
        "group": offer.group,
        "made_of": offer.made_of,
    }


def _fittings(one: Fittings) -> dict[str, Any]:
    return {
        "screen": one.screen,
        "yes_button": one.yes_button,
        "bypass_key": one.bypass_key,
        "extraction": one.extraction,
        "coast_s": one.coast_s,
        "watches_start": one.watches_start,
        "gates": [
            {"name": gate.name, "label": dict(gate.label), "fire": gate.stops_extraction}
            for gate in one.gates
        ],
    }


def _header(scope: Scope, name: bytes) -> str:
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""


async def _body(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            raise ProtocolError(f"more than {BODY_BYTES_MAX} bytes")
        if not message.get("more_body"):
            return body


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _event(name: str, picture: dict[str, Any]) -> bytes:
    kind = "machine" if name else "lab"
    line = json.dumps({"id": name, **picture}, separators=(",", ":"), ensure_ascii=False)
    return f"event: {kind}\ndata: {line}\n\n".encode()


async def _begin(send: Send, status: int, content_type: str) -> None:
    headers = [("content-type", content_type), *HEADERS]
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})


async def _more(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _answer(send: Send, status: int, content: dict[str, Any]) -> None:
    await _begin(send, status, "application/json")
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})


async def _file(send: Send, path: str) -> None:
    """A file of ours: the page itself, or something directly below /static/."""
    wanted = PAGE if path == "/" else STATIC / path.removeprefix("/static/")
    known = path == "/" or path.startswith("/static/")
    if not (known and wanted.parent == STATIC and wanted.suffix in TYPES and wanted.is_file()):
        await _answer(send, 404, {"message": "there is nothing here"})
        return
    await _begin(send, 200, TYPES[wanted.suffix])
    await send({"type": "http.response.body", "body": wanted.read_bytes()})
