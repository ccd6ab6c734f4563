"""What every gpiozero Factory under a node must do: the same class runs over gpiozero's mock and
the world's.

A subclass gives the fixture `bench`: a factory, the contacts outside, and what the lines show.
All wiring is pull-up with contacts to ground, as in config/.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any, Protocol

import pytest

from interlock.config import NodeConfig, parse_node
from interlock.core.model import Inputs
from interlock.errors import PinError
from interlock.node.pins import MachinePins
from tests.waiting import wait_until

RELAY, ENABLE = 17, 27
STOP, BROKEN, EMERGENCY, MIRROR, SWITCH, CURRENT = 5, 6, 13, 12, 16, 26
BYPASS, LONG_JOB, LID, FLOW = 18, 19, 20, 21
RED, GREEN, BLUE, BUZZER = 22, 23, 24, 4
EXTRACTION = 14
OUTPUTS = (RELAY, ENABLE, EXTRACTION, RED, GREEN, BLUE, BUZZER)

DOCUMENT: dict[str, Any] = {
    "machine": {"name": "Table saw", "restart_protection": "no_volt_release"},
    "relay": {"pin": RELAY, "dynamic_enable_pin": ENABLE, "extraction_pin": EXTRACTION},
    "inputs": {
        "stop_button": {"pin": STOP},
        "broken_button": {"pin": BROKEN},
        "emergency_stop": {"pin": EMERGENCY},
        "mirror_contact": {"pin": MIRROR},
        "machine_switch": {"pin": SWITCH},
        "current_sensor": {"pin": CURRENT},
        "bypass_key": {"pin": BYPASS},
        "long_job_button": {"pin": LONG_JOB},
    },
    "interlocks": [
        {"name": "Lid", "pin": LID},
        {"name": "Chiller", "remote": "cellar/Chiller"},
        {"name": "Air flow", "pin": FLOW, "normally": "open"},
    ],
    "panel": {
        "lamp_red_pin": RED,
        "lamp_green_pin": GREEN,
        "lamp_blue_pin": BLUE,
        "buzzer_pin": BUZZER,
    },
}

CLOSED_AT_REST = (EMERGENCY, MIRROR, LID)

AT_REST = Inputs(
    emergency_stop_closed=True,
    mirror_closed=True,
    machine_switch_on=False,
    busy=False,
    bypass_on=False,
    interlocks_closed=(True, None, True),
)


def pin_config() -> NodeConfig:
    """A machine with every output and every input."""
    return parse_node(DOCUMENT)


class PinBench(Protocol):
    """A factory, and hands on the wires outside the Pi."""

    factory: Any

    def conduct(self, pin: int, closed: bool) -> None:
        """The contact between `pin` and ground is closed, or open."""

    def level(self, pin: int) -> bool:
        """What the line shows outside."""


def shows(bench: PinBench, levels: dict[int, bool]) -> None:
    """Return once the lines show `levels`: the world is another process, its answer takes a
    moment.
    """
    wait_until(lambda: all(bench.level(pin) is level for pin, level in levels.items()))


class PinContract:
    """Subclass as `Test…`, provide `bench` with every contact at rest (`CLOSED_AT_REST` closed)."""

    def test_every_output_is_off_once_claimed(self, bench: PinBench) -> None:
        pins = MachinePins(pin_config(), bench.factory)
        assert [bench.level(pin) for pin in OUTPUTS] == [False] * len(OUTPUTS)
        pins.close()

    def test_the_relay_follows_its_command_and_no_other_line_moves(self, bench: PinBench) -> None:
        pins = MachinePins(pin_config(), bench.factory)
        for on in (True, True, False, False, True):
            pins.relay(on)
            shows(bench, {RELAY: on})
            assert [bench.level(pin) for pin in OUTPUTS[1:]] == [False] * (len(OUTPUTS) - 1)
        pins.close()

    def test_each_toggle_turns_the_dynamic_enable_and_the_relay_off_rests_it(
        self, bench: PinBench
    ) -> None:
        pins = MachinePins(pin_config(), bench.factory)
        pins.relay(True)
        for expected in (True, False, True):
            pins.toggle_enable()
            shows(bench, {ENABLE: expected})
        pins.relay(False)
        wait_until(lambda: not bench.level(ENABLE) and not bench.level(RELAY))
        pins.close()

    def test_lamp_and_buzzer_show_what_they_are_told(self, bench: PinBench) -> None:
        pins = MachinePins(pin_config(), bench.factory)
        for light, sounding in (((True, True, False), True), ((False, False, True), False)):
            pins.show(light, sounding)
            shows(bench, dict(zip((RED, GREEN, BLUE, BUZZER), (*light, sounding), strict=True)))
        pins.close()

    def test_the_extraction_follows_its_command_and_not_the_relay(self, bench: PinBench) -> None:
        pins = MachinePins(pin_config(), bench.factory)
        pins.extraction(True)
        shows(bench, {EXTRACTION: True, RELAY: False})
        pins.relay(True)
        pins.relay(False)
        shows(bench, {EXTRACTION: True, RELAY: False})
        pins.extraction(False)
        shows(bench, {EXTRACTION: False})
        pins.close()

    @pytest.mark.parametrize(
        ("pin", "closed", "expected"),
        [
            (STOP, True, {"stop_pressed": True}),
            (BROKEN, True, {"broken_pressed": True}),
            (LONG_JOB, True, {"long_job_pressed": True}),
            (EMERGENCY, False, {"emergency_stop_closed": False}),
            (MIRROR, False, {"mirror_closed": False}),
            (SWITCH, True, {"machine_switch_on": True}),
            (CURRENT, True, {"busy": True}),
            (BYPASS, True, {"bypass_on": True}),
            (LID, False, {"interlocks_closed": (False, None, True)}),
            (FLOW, True, {"interlocks_closed": (True, None, False)}),
        ],
    )
    def test_each_contact_moves_its_own_input_and_back(
        self, bench: PinBench, pin: int, closed: bool, expected: dict[str, Any]
    ) -> None:
        pins = MachinePins(pin_config(), bench.factory)
        wait_until(lambda: pins.sample() == AT_REST)
        bench.conduct(pin, closed)
        wait_until(lambda: pins.sample() == replace(AT_REST, **expected))
        bench.conduct(pin, not closed)
        wait_until(lambda: pins.sample() == AT_REST)
        pins.close()

    def test_an_edge_on_an_input_wakes_the_loop(self, bench: PinBench) -> None:
        woken = threading.Event()
        pins = MachinePins(pin_config(), bench.factory, woken.set)
        wait_until(lambda: pins.sample() == AT_REST)
        woken.clear()
        bench.conduct(STOP, True)
        assert woken.wait(60), "nobody was woken"
        pins.close()

    def test_closing_drops_the_relay_and_frees_every_pin(self, bench: PinBench) -> None:
        pins = MachinePins(pin_config(), bench.factory)
        pins.relay(True)
        wait_until(lambda: bench.level(RELAY))
        pins.close()
        wait_until(lambda: not bench.level(RELAY))
        pins.close()
        again = MachinePins(pin_config(), bench.factory)
        assert not bench.level(RELAY)
        again.close()

    def test_a_pin_has_one_owner_and_the_second_gets_nothing(self, bench: PinBench) -> None:
        pins = MachinePins(pin_config(), bench.factory)
        pins.relay(True)
        with pytest.raises(PinError, match="relay on pin 17"):
            MachinePins(pin_config(), bench.factory)
        assert bench.level(RELAY), "the failed claim of a second owner moved the first one's relay"
        pins.close()
