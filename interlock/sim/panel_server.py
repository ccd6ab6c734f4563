"""The demo's one page: what worlds and nodes show goes out, what people do in browsers comes in.

    server = PanelServer(Lab(machines, badges, hub_url), faults, port=0)
    server.start()          # its own thread and event loop
    server.url              # http://127.0.0.1:PORT/
    server.stop()

The page acts on the virtual hardware only: it lays badges on readers and pushes buttons, as hands
do. Faults of processes and networks are asked of `Faults`, which whoever started the processes
provides. It listens on the loopback address alone and answers only requests that were made to it
by name.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import uvicorn

from interlock.config import NodeConfig
from interlock.errors import LinkError
from interlock.sim.panel_server_app import PanelApp
from interlock.sim.panel_server_link import MachineLink

HOST = "127.0.0.1"
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Gate:
    """An interlock that hands can open: the name of its wire, and what people call it, by language.

    `stops_extraction` tells a fire alarm from a lid.
    """

    name: str
    label: Mapping[str, str]
    stops_extraction: bool = False


@dataclass(frozen=True, slots=True)
class Fittings:
    """What a machine has beyond the usual: the page draws nothing that is not there.

    `yes_button`: empty, or what the long-job button is for: long_job or trainer. `screen`: lcd (2 lines of
    16) or oled (4 of 21). `coast_s`: how long the tool turns without power. `watches_start`: a motor that
    runs when power comes is a fault.
    """

    screen: str = "lcd"
    yes_button: str = ""
    bypass_key: bool = False
    extraction: bool = False
    coast_s: int = 0
    watches_start: bool = False
    gates: tuple[Gate, ...] = ()


def fittings_of(
    config: NodeConfig, screen: str, labels: Mapping[str, Mapping[str, str]]
) -> Fittings:
    """What a node's file says hangs on its machine; `labels` are people's words for its interlocks."""
    yes_button = "long_job" if config.machine.long_jobs else "trainer"
    return Fittings(
        screen=screen,
        yes_button=yes_button if config.inputs.long_job_button else "",
        bypass_key=config.inputs.bypass_key is not None,
        extraction=config.relay.extraction_pin is not None,
        coast_s=config.times.coast_down_s,
        watches_start=config.times.unexpected_start_ms is not None,
        gates=tuple(
            Gate(one.name, labels.get(one.name, {"en": one.name}), one.stops_extraction)
            for one in config.interlocks
            if one.contact is not None and not one.needs_extraction
        ),
    )


@dataclass(frozen=True, slots=True)
class MachineAddress:
    """One machine of the demo: where its world and its node listen, and how people use it.

    `name` is by language ("en", "fr"); `kind` chooses the drawing: saw, laser or printer.
    """

    id: str
    name: Mapping[str, str]
    kind: str
    badge_use: str
    world_socket: Path
    control_socket: Path
    language: str = "en"
    fittings: Fittings = Fittings()


@dataclass(frozen=True, slots=True)
class BadgeOffer:
    """What lies in the tray: `uids` has several where several cards are stuck together.

    `mood` is what the hub thinks of it, for its colour: good, limited, bad, unknown or several.
    `hint` says by language what to expect ("trained on everything"). Those of one `group` lie together;
    `made_of` is printed on cards that can do more than tell their number.
    """

    label: str
    uids: tuple[str, ...]
    mood: str
    hint: Mapping[str, str]
    group: str = "plain"
    made_of: str = ""


@dataclass(frozen=True, slots=True)
class MachineFaults:
    """What is wrong with one machine's processes and lines now; `node` is a word for the page.

    `node`: running, starting (being restarted), frozen, killed or off (no power).
    """

    unplugged: bool = False
    power_cut: bool = False
    frozen: bool = False
    old_card: bool = False
    node: str = "running"
    boot_id: str = ""


class Faults(Protocol):
    """What whoever plays systemd and electrician does when asked; called from a worker thread."""

    def unplug(self, machine: str, on: bool) -> None:
        """The machine's network cable is out, or in again."""

    def cut_power(self, machine: str, on: bool) -> None:
        """Pi and machine are without mains, or get them back (a new boot id).

        The world's own share (`mains` and `pi` at world.sock) follows a cut at once, and is done when power is back.
        """

    def old_card(self, machine: str, on: bool) -> None:
        """An older copy of its SD card is in the Pi, or the card itself again; called while it has no power."""

    def kill_node(self, machine: str) -> None:
        """The node gets SIGKILL."""

    def freeze_node(self, machine: str, on: bool) -> None:
        """The node gets SIGSTOP, or SIGCONT."""

    def clear_faults(self, machine: str) -> None:
        """A technician at the Pi's console says the machine is mended. Raises LinkError without an answer."""

    def stop_hub(self, on: bool) -> None:
        """The hub is stopped, or started again."""

    def hub_runs(self) -> bool:
        """Whether the hub answers; asked ten times a second, so it must be cheap."""

    def of_machine(self, machine: str) -> MachineFaults:
        """What is wrong with `machine`; asked ten times a second, so it must be cheap."""


@dataclass(frozen=True, slots=True)
class Lab:
    """What the page shows: machines, the badges of the tray, and links to the hub by name."""

    machines: tuple[MachineAddress, ...]
    badges: tuple[BadgeOffer, ...]
    hub_url: str = ""
    hub_links: tuple[tuple[Mapping[str, str], str], ...] = field(default=())
    """(label by language, address) of each hub page worth a link."""


class PanelServer:
    """The page's server, in a thread of its own between `start` and `stop`."""

    def __init__(self, lab: Lab, faults: Faults, port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((HOST, port))
        except OSError as error:
            self._socket.close()
            raise LinkError(
                f"port {port} is taken ({error})", where=HOST, remedy="Choose another port."
            ) from error
        self.port: int = self._socket.getsockname()[1]
        links = {one.id: MachineLink(one) for one in lab.machines}
        self._app = PanelApp(lab, faults, links, self.port)
        config = uvicorn.Config(
            self._app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            http="h11",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="panels", daemon=True)
        self._ready = threading.Event()

    @property
    def url(self) -> str:
        """The address to open."""
        return f"http://{HOST}:{self.port}/"

    def start(self) -> None:
        """The page answers. Raises LinkError when it does not within 10 s."""
        # Listening before the loop runs: a browser that is quicker than uvicorn waits instead of
        # failing.
        self._socket.listen()
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT_S):
            raise LinkError("the page's server did not start", where=self.url)

    def stop(self) -> None:
        """Nobody is served any more; harmless when called again."""
        self._app.end()
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_S)
        self._socket.close()

    def _serve(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        async with self._app.running():
            self._ready.set()
            await self._server.serve(sockets=[self._socket])
