"""The demo's three machines: what each is and how it is wired goes in, its node's file comes out.

The wiring is that of a careful installation, so that the demo shows the protections; the durations are
short where waiting teaches nothing, and the real ones where they do: a tool coasts, air has to move.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from interlock.sim import lab

PROGRESS_S = 2
"""A power cut in the demo takes two seconds off a bill at most; on a Pi it would wear the SD card."""

RETRY_S = 2
"""Plugged in again, the network is used within two seconds: nobody wants to watch a back-off."""


@dataclass(frozen=True, slots=True)
class DemoMachine:
    """One machine: its id at the hub, its name by language, its drawing, and its node's wiring.

    `screen` is what the page draws of its node's screen: lcd (2 lines of 16) or oled (4 of 21). The
    demo's nodes have no I2C bus; both texts are in every node's `panel` answer.
    """

    id: str
    name: Mapping[str, str]
    kind: str
    badge_use: str
    language: str
    screen: str
    wiring: str
    """The machine's part of node.toml; it ends in [times], where the rest goes on."""


@dataclass(frozen=True, slots=True)
class MachineFolder:
    """Where one machine of the demo keeps its files."""

    path: Path

    @property
    def node_toml(self) -> Path:
        """The node's configuration."""
        return self.path / "node.toml"

    @property
    def node_keys(self) -> Path:
        """The node's secrets."""
        return self.path / "node.json"

    @property
    def sync_access(self) -> Path:
        """Where sync finds the hub."""
        return self.path / "sync.json"

    @property
    def state(self) -> Path:
        """What stands under /var/lib/interlock on a Pi."""
        return self.path / "state"

    @property
    def other_card(self) -> Path:
        """The SD card that is not in the Pi: a copy, or the one it was made of."""
        return self.path / "other-card"

    @property
    def control_socket(self) -> Path:
        """The node's control socket."""
        return self.state / "run" / "control.sock"

    @property
    def world(self) -> Path:
        """The sockets of the machine's surroundings."""
        return self.path / "world"


INTERLOCK_LABELS: Mapping[str, Mapping[str, str]] = {
    "Lid": {"en": "Lid", "fr": "Capot"},
    "Fire": {"en": "Fire alarm", "fr": "Alarme incendie"},
}
"""What the page calls the interlocks that people can open; the screen shows the name of the wire."""

SAW = DemoMachine(
    lab.SAW,
    {"en": "Table saw", "fr": "Scie à format"},
    "saw",
    "tap",
    "en",
    "lcd",
    """
[machine]
name = "Table saw"
hazardous = true
min_assurance = "uid"
badge_use = "tap"
restart_protection = "mirror_contact"

[relay]
pin = 17
dynamic_enable_pin = 27

[inputs.stop_button]
pin = 5
normally = "closed"

[inputs.broken_button]
pin = 6

[inputs.emergency_stop]
pin = 12

[inputs.mirror_contact]
pin = 13

[inputs.current_sensor]
pin = 26

[inputs.long_job_button]
pin = 19

[inputs.bypass_key]
pin = 18

[times]
coast_down_s = 8
second_wait_s = 20
supervise_s = 60
""",
)

LASER = DemoMachine(
    lab.LASER,
    {"en": "Laser cutter", "fr": "Découpeuse laser"},
    "laser",
    "hold",
    "en",
    "oled",
    """
[machine]
name = "Laser cutter"
hazardous = true
min_assurance = "aes"
badge_use = "hold"
long_jobs = true
restart_protection = "stop_status"

[relay]
pin = 17
dynamic_enable_pin = 27
extraction_pin = 23

[inputs.stop_button]
pin = 5
normally = "closed"

[inputs.broken_button]
pin = 6

[inputs.emergency_stop]
pin = 12
supply_sense = true

[inputs.current_sensor]
pin = 26

[inputs.long_job_button]
pin = 19

[[interlocks]]
name = "Lid"
pin = 18

[[interlocks]]
name = "Air flow"
pin = 24
needs_extraction = true

[[interlocks]]
name = "Fire"
pin = 4
stops_extraction = true

[times]
pre_run_s = 3
run_on_s = 8
inrush_ms = 60
unexpected_start_ms = 260
""",
)

PRINTER = DemoMachine(
    lab.PRINTER,
    {"en": "3D printer", "fr": "Imprimante 3D"},
    "printer",
    "tap",
    "fr",
    "oled",
    """
[machine]
name = "Imprimante 3D"
cannot_move_by_itself = true
badge_use = "tap"
long_jobs = true
restart_protection = "none"

[relay]
pin = 17

[inputs.stop_button]
pin = 5

[inputs.broken_button]
pin = 6

[inputs.long_job_button]
pin = 19

[times]
""",
)

MACHINES = (SAW, LASER, PRINTER)

_REST = """\
progress_s = {progress_s}
grace_s = 5
warning_s = 5
idle_timeout_s = 120
notice_s = 5

[panel]
language = "{language}"
lamp_red_pin = 16
lamp_green_pin = 20
lamp_blue_pin = 21
buzzer_pin = 22

[paths]
state_dir = {state}
keys_file = {node_keys}

[sync]
credentials_file = {sync_access}
retry_s_max = {retry_s}
"""


def node_toml(machine: DemoMachine, folder: MachineFolder) -> str:
    """The text of the machine's node.toml; `interlock node check-config` accepts it."""
    rest = _REST.format(
        language=machine.language,
        progress_s=PROGRESS_S,
        state=_quoted(folder.state),
        node_keys=_quoted(folder.node_keys),
        sync_access=_quoted(folder.sync_access),
        retry_s=RETRY_S,
    )
    return f"# Written by `interlock demo`.\n{machine.wiring}{rest}"


def _quoted(path: Path) -> str:
    """The path as a TOML basic string, whose escapes are those of JSON."""
    return json.dumps(str(path), ensure_ascii=False)
