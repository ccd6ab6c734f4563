"""The devices of a node's service: those that its file names, found in the profiles that ship with us."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from interlock.config import load_node, parse_node
from interlock.config.devices import devices, drop_in, modules
from tests.tidy import REPOSITORY

pytestmark = pytest.mark.fast

PLAIN = {
    "machine": {"name": "Saw", "cannot_move_by_itself": True, "restart_protection": "none"},
    "relay": {"pin": 17},
    "inputs": {"stop_button": {"pin": 5}},
}


@pytest.mark.parametrize(
    ("more", "opened", "loaded"),
    [
        ({}, {"/dev/spidev0.0 rw"}, []),
        ({"reader": {"spi_device": 1}}, {"/dev/spidev0.1 rw"}, []),
        (
            {"reader": {"kind": "pn532", "device": "/dev/ttyUSB0"}},
            {"char-ttyUSB rw"},
            ["usbserial"],
        ),
        ({"reader": {"kind": "pn532", "device": "/dev/ttyACM3"}}, {"char-ttyACM rw"}, ["cdc_acm"]),
        ({"reader": {"kind": "pn532", "device": "/dev/ttyAMA0"}}, {"char-ttyAMA rw"}, []),
        (
            {"reader": {"kind": "pn532", "device": "/dev/serial/by-id/x"}},
            {"char-ttyUSB rw", "char-ttyACM rw", "char-ttyAMA rw", "char-ttyS rw"},
            ["cdc_acm", "usbserial"],
        ),
        ({"reader": {"kind": "usb_keyboard", "device": "/dev/input/event0"}}, {"char-input r"}, []),
        ({"reader": {"kind": "pcsc"}}, set(), []),
        ({"screen": {"kind": "lcd"}}, {"/dev/spidev0.0 rw", "/dev/i2c-1 rw"}, ["i2c-dev"]),
        (
            {"screen": {"kind": "oled", "i2c_bus": 3}, "current": {"kind": "ads1115"}},
            {"/dev/spidev0.0 rw", "/dev/i2c-1 rw", "/dev/i2c-3 rw"},
            ["i2c-dev"],
        ),
        ({"current": {"kind": "mcp3008"}}, {"/dev/spidev0.0 rw", "/dev/spidev0.1 rw"}, []),
    ],
)
def test_exactly_the_named_devices_are_opened(
    more: dict[str, object], opened: set[str], loaded: list[str]
) -> None:
    config = parse_node(PLAIN | more)
    assert set(devices(config)) == opened | {"char-gpiochip rw"}
    assert modules(config) == loaded


@pytest.mark.parametrize(
    "profile",
    [
        one
        for one in sorted((REPOSITORY / "config").glob("*.toml"))
        if not one.stem.startswith("hub")
    ],
    ids=lambda p: p.stem,
)
def test_the_command_prints_a_drop_in_for_every_profile(profile: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "interlock", "node", "units", "--config", profile],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == drop_in(load_node(profile))
    rules = [line for line in told.stdout.splitlines() if not line.startswith("#")]
    assert rules[0] == "[Service]"
    assert all(line.startswith("DeviceAllow=") for line in rules[1:])
