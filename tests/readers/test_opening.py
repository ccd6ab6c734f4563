"""The configuration's reader is the one that is opened; one that cannot do the job is refused."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from interlock.config import parse_node
from interlock.errors import ConfigError
from interlock.readers.opening import ID_FORMS, KINDS, reader_for, reader_of
from interlock.readers.usb_keyboard import IdForm
from interlock.sim.clocks import VirtualClock

pytestmark = pytest.mark.fast

DEVICES = {"pn532": "/dev/serial0", "usb_keyboard": "/dev/input/by-id/usb-x-event-kbd"}


def config(kind: str, badge_use: str = "tap") -> Any:
    reader = {"kind": kind} | ({"device": DEVICES[kind]} if kind in DEVICES else {})
    return parse_node(
        {
            "machine": {
                "name": "Saw",
                "badge_use": badge_use,
                "restart_protection": "no_volt_release",
            },
            "relay": {"pin": 17},
            "inputs": {"stop_button": {"pin": 27}},
            "reader": reader,
        }
    )


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("mfrc522", "Mfrc522Reader"),
        ("pn532", "Pn532Reader"),
        ("pcsc", "PcscReader"),
        ("usb_keyboard", "UsbKeyboardReader"),
    ],
)
def test_each_kind_opens_its_own_reader(kind: str, name: str) -> None:
    made = reader_of(config(kind), VirtualClock())
    assert type(made).__name__ == name
    assert made.chip_name == ""
    made.close()


def test_the_kinds_are_those_of_the_configuration() -> None:
    for kind in KINDS:
        assert config(kind).reader.kind == kind


def test_the_forms_of_ids_are_those_of_the_keyboard_reader() -> None:
    assert [form.value for form in IdForm] == list(ID_FORMS)


def test_a_held_badge_is_refused_with_a_keyboard_reader_and_with_no_other() -> None:
    for kind in set(KINDS) - {"usb_keyboard"}:
        reader_of(config(kind, "hold"), VirtualClock()).close()
    with pytest.raises(ConfigError, match="never whether it still lies there") as caught:
        config("usb_keyboard", "hold")
    assert caught.value.where == "machine.badge_use"


def test_another_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="mfrc522, pn532, pcsc, usb_keyboard"):
        reader_for("wiegand", "", VirtualClock())


LOADED = """
import sys
import interlock.node.service, interlock.readers.opening
from interlock.clock import SystemClock
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_no_reader_library_is_loaded_before_a_reader_is_asked_for() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )
    assert not set(done.stdout.split()) & {"mfrc522", "serial", "smartcard", "spidev"}
