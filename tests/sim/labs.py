"""A lab for the tests of the page: real world processes, a stand-in for who plays systemd."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from interlock.config import parse_node
from interlock.sim.panel_server import (
    BadgeOffer,
    Lab,
    MachineAddress,
    MachineFaults,
    PanelServer,
    fittings_of,
)
from tests.sim.worlds import WorldProcess, document_of, short_directory

ADA, BOB = "04112233445566", "04a1b2c3d4e5f6"
MACHINES = {
    "saw": ({"en": "Table saw", "fr": "Scie à format"}, "saw", "tap"),
    "laser": ({"en": "Laser cutter", "fr": "Découpe laser"}, "laser", "hold"),
}
FITTED: dict[str, Any] = {
    "machine": {"long_jobs": True},
    "relay": {"extraction_pin": 27},
    "inputs": {"long_job_button": {"pin": 18}, "bypass_key": {"pin": 19}},
    "interlocks": [
        {"name": "Lid", "pin": 20},
        {"name": "Air flow", "pin": 21, "needs_extraction": True},
        {"name": "Fire", "pin": 14, "stops_extraction": True},
    ],
    "times": {"coast_down_s": 1, "unexpected_start_ms": 500},
}
"""Both machines of the page's tests have everything a machine can have."""

LABELS = {"Lid": {"en": "Lid", "fr": "Capot"}, "Fire": {"en": "Fire alarm", "fr": "Alarme"}}
SCREENS = {"saw": "lcd", "laser": "oled"}
BADGES = (
    BadgeOffer("Ada Moreau", (ADA,), "good", {"en": "trained", "fr": "formée"}),
    BadgeOffer("Bob Hughes", (BOB,), "bad", {"en": "no training", "fr": "pas formé"}),
    BadgeOffer(
        "Two at once", (ADA, BOB), "several", {"en": "stuck together", "fr": "collés"}, "strange"
    ),
)
HUB_LINKS = (({"en": "Board", "fr": "Tableau"}, "http://127.0.0.1:9/board"),)


class RecordedFaults:
    """Implements `panel_server.Faults`: remembers what it was asked and shows it as done."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self._hub_runs = True
        self._now = {name: MachineFaults(boot_id="b00700") for name in MACHINES}

    def unplug(self, machine: str, on: bool) -> None:
        self.asked.append(("unplug", machine, on))
        self._now[machine] = replace(self._now[machine], unplugged=on)

    def cut_power(self, machine: str, on: bool) -> None:
        self.asked.append(("cut_power", machine, on))
        self._now[machine] = replace(
            self._now[machine], power_cut=on, node="off" if on else "running"
        )

    def old_card(self, machine: str, on: bool) -> None:
        self.asked.append(("old_card", machine, on))
        self._now[machine] = replace(self._now[machine], old_card=on)

    def kill_node(self, machine: str) -> None:
        self.asked.append(("kill_node", machine))

    def clear_faults(self, machine: str) -> None:
        self.asked.append(("clear_faults", machine))

    def freeze_node(self, machine: str, on: bool) -> None:
        self.asked.append(("freeze_node", machine, on))
        self._now[machine] = replace(self._now[machine], frozen=on)

    def stop_hub(self, on: bool) -> None:
        self.asked.append(("stop_hub", on))
        self._hub_runs = not on

    def hub_runs(self) -> bool:
        return self._hub_runs

    def of_machine(self, machine: str) -> MachineFaults:
        return self._now[machine]


class ShownPanel:
    """A node's control socket that answers `panel` with what `shows` holds."""

    def __init__(self, path: Path) -> None:
        self.shows: dict[str, Any] = {
            "lines": ["Ready", "Present badge"],
            "long_lines": ["Ready", "Present your badge to", "start.", ""],
            "colour": "white",
            "lamp": "steady",
            "buzzer": "off",
            "message": "ready",
            "reason": None,
            "fault": None,
        }
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(4)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        # The page may hang up between its question and our answer.
        with suppress(OSError), connection, connection.makefile("rb") as lines:
            for _ in lines:
                answer = {"v": 1, "ok": True, **self.shows}
                connection.sendall(json.dumps(answer).encode() + b"\n")


@dataclass
class RunningLab:
    """Everything a test of the page may look at."""

    server: PanelServer
    faults: RecordedFaults
    worlds: dict[str, WorldProcess]
    panels: dict[str, ShownPanel]


def fitted_document() -> dict[str, Any]:
    """A machine with every input of `worlds.DOCUMENT`, and with FITTED."""
    document = document_of()
    for section, more in FITTED.items():
        if isinstance(more, list):
            document[section] = more
        else:
            document[section] = {**document.get(section, {}), **more}
    return document


@contextmanager
def running_lab() -> Iterator[RunningLab]:
    """Two machines, each with a world process and a shown panel, and the page's server."""
    with ExitStack() as stack:
        addresses, worlds, panels = [], {}, {}
        document = fitted_document()
        config = parse_node(document)
        for name, (label, kind, use) in MACHINES.items():
            directory = stack.enter_context(short_directory())
            world = WorldProcess(directory, document)
            stack.callback(world.end)
            panel = ShownPanel(directory / "control.sock")
            stack.callback(panel.close)
            worlds[name], panels[name] = world, panel
            sockets = (directory / "world.sock", directory / "control.sock")
            fittings = fittings_of(config, SCREENS[name], LABELS)
            addresses.append(MachineAddress(name, label, kind, use, *sockets, "en", fittings))
        faults = RecordedFaults()
        lab = Lab(tuple(addresses), BADGES, "http://127.0.0.1:9/", HUB_LINKS)
        server = PanelServer(lab, faults)
        server.start()
        stack.callback(server.stop)
        yield RunningLab(server, faults, worlds, panels)
