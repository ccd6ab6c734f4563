"""A machine's pins over gpiozero's own mock: the contract, and what is ours alone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory, MockPin

from interlock.config import parse_node
from interlock.errors import PinError
from interlock.node import pins as node_pins
from interlock.node.pins import MachinePins, chip_number
from tests.node.pin_contract import (
    CLOSED_AT_REST,
    DOCUMENT,
    EMERGENCY,
    ENABLE,
    LID,
    MIRROR,
    OUTPUTS,
    RELAY,
    STOP,
    PinContract,
    pin_config,
)

pytestmark = pytest.mark.fast


class WiredPin(MockPin):  # type: ignore[misc] # gpiozero has no types
    """gpiozero's mock pin with a contact to ground: the contact is stronger than the pull."""

    contact_closed = False
    driven: Callable[[bool], None] | None = None
    """Whatever hangs on this output hears of every level, in the instant it is written."""

    def _set_state(self, value: int) -> None:
        super()._set_state(value)
        if self.driven is not None:
            self.driven(bool(value))

    def _set_pull(self, value: str) -> None:
        super()._set_pull(value)
        if self.contact_closed:
            self.drive_low()


class MockBench:
    """gpiozero's MockFactory with contacts, each at rest."""

    def __init__(self) -> None:
        self.factory = MockFactory(pin_class=WiredPin)
        for pin in CLOSED_AT_REST:
            self.factory.pin(pin).contact_closed = True

    def conduct(self, pin: int, closed: bool) -> None:
        line = self.factory.pin(pin)
        line.contact_closed = closed
        (line.drive_low if closed else line.drive_high)()

    def level(self, pin: int) -> bool:
        return bool(self.factory.pin(pin).state)

    def wire_contactor(self) -> None:
        """From now on a contactor follows the relay at once, however busy this computer is."""
        self.factory.pin(RELAY).driven = lambda on: self.conduct(MIRROR, not on)

    def weld(self) -> None:
        """It stays as it is from now on, whatever the relay does."""
        self.factory.pin(RELAY).driven = None


@pytest.fixture
def bench() -> MockBench:
    return MockBench()


class TestOverGpiozerosMock(PinContract):
    """The contract, on the fake that ships with gpiozero."""


def test_the_relay_is_claimed_before_and_let_go_before_every_other_pin(bench: MockBench) -> None:
    claimed: list[int] = []
    inner = bench.factory.pin

    def pin(name: int, *args: Any, **kwargs: Any) -> Any:
        if name not in claimed:
            claimed.append(name)
        return inner(name, *args, **kwargs)

    bench.factory.pin = pin
    pins = MachinePins(pin_config(), bench.factory)
    assert claimed[0] == RELAY
    freed: list[str] = []
    inner_release = bench.factory.release_pins

    def release(reserver: Any, *names: str) -> None:
        freed.extend(names)
        inner_release(reserver, *names)

    bench.factory.release_pins = release
    pins.close()
    assert freed[0] == f"GPIO{RELAY}"
    assert len(freed) == 17


def test_the_relay_of_an_active_low_board_is_high_when_off(bench: MockBench) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["relay"]["active_high"] = False
    pins = MachinePins(parse_node(document), bench.factory)
    assert bench.level(RELAY) is True
    pins.relay(True)
    assert bench.level(RELAY) is False
    pins.close()


def test_a_cut_wire_of_a_proof_reads_as_stop_and_as_not_released(bench: MockBench) -> None:
    pins = MachinePins(pin_config(), bench.factory)
    bench.conduct(EMERGENCY, False)
    bench.conduct(MIRROR, False)
    sampled = pins.sample()
    assert (sampled.emergency_stop_closed, sampled.mirror_closed) == (False, False)
    pins.close()


def test_a_stop_button_that_is_closed_at_rest_reads_a_cut_wire_as_pressed(
    bench: MockBench,
) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["inputs"]["stop_button"]["normally"] = "closed"
    pins = MachinePins(parse_node(document), bench.factory)
    bench.conduct(STOP, True)
    assert pins.sample().stop_pressed is False
    bench.conduct(STOP, False)
    assert pins.sample().stop_pressed is True
    pins.close()


def test_what_is_not_declared_is_unknown(bench: MockBench) -> None:
    machine = {**DOCUMENT["machine"], "badge_use": "hold"}
    smallest = parse_node({"machine": machine, "relay": {"pin": RELAY}})
    pins = MachinePins(smallest, bench.factory)
    sampled = pins.sample()
    assert sampled.emergency_stop_closed is None
    assert sampled.mirror_closed is None
    assert sampled.machine_switch_on is None
    assert sampled.busy is None
    assert sampled.stop_pressed is False
    assert sampled.long_job_pressed is False
    assert sampled.bypass_on is None
    assert sampled.interlocks_closed == ()
    pins.extraction(True)
    pins.toggle_enable()
    pins.show((True, True, True), True)
    pins.close()


def test_a_current_sensor_without_a_pin_is_asked_and_one_with_a_pin_goes_before(
    bench: MockBench,
) -> None:
    verdicts: list[bool | None] = [True, False, None]
    without = copy.deepcopy(DOCUMENT)
    del without["inputs"]["current_sensor"]
    pins = MachinePins(parse_node(without), bench.factory, busy=lambda: verdicts.pop(0))
    assert [pins.sample().busy for _ in range(3)] == [True, False, None]
    pins.close()
    pins = MachinePins(pin_config(), bench.factory, busy=lambda: True)
    assert pins.sample().busy is False
    pins.close()


def test_a_cut_wire_of_an_interlock_reads_as_open(bench: MockBench) -> None:
    pins = MachinePins(pin_config(), bench.factory)
    bench.conduct(LID, False)
    assert pins.sample().interlocks_closed == (False, None, True)
    pins.close()


def test_a_failing_claim_lets_go_of_the_relay_again(bench: MockBench) -> None:
    bench.factory.reserve_pins(bench, STOP)
    with pytest.raises(PinError, match="stop_button on pin 5") as caught:
        MachinePins(pin_config(), bench.factory)
    bench.factory.release_pins(bench, STOP)
    MachinePins(pin_config(), bench.factory).close()
    # Held until here: else the garbage collector lets go of the pins, and proves nothing.
    assert caught.value.where == "stop_button on pin 5"


def test_a_line_that_dies_is_a_pin_error_that_names_the_signal(bench: MockBench) -> None:
    pins = MachinePins(pin_config(), bench.factory)

    class Dead:
        """What a driver raises when its line is gone."""

        closed = 0

        @property
        def is_active(self) -> bool:
            raise OSError(5, "Input/output error")

        def close(self) -> None:
            Dead.closed += 1
            raise OSError(5, "Input/output error")

    pins._contacts["stop_button"].device.close()
    pins._contacts["stop_button"].device = Dead()
    with pytest.raises(PinError, match="stop_button"):
        pins.sample()
    pins.relay(True)
    pins.close()
    assert Dead.closed == 1
    assert bench.level(RELAY) is False


def test_a_pin_that_raises_the_unexpected_keeps_no_other_pin_on(bench: MockBench) -> None:
    pins = MachinePins(pin_config(), bench.factory)
    pins.relay(True)
    pins.toggle_enable()
    pins.show((True, True, True), True)
    relay = pins._outputs["relay"]

    class Broken:
        """A driver with a mistake in it, first in line."""

        def off(self) -> None:
            raise IndexError("planted")

        def close(self) -> None:
            raise IndexError("planted")

    pins._outputs["relay"] = Broken()
    with pytest.raises(IndexError, match="planted"):
        pins.close()
    assert [pin for pin in OUTPUTS if bench.level(pin)] == [RELAY]
    relay.close()
    MachinePins(pin_config(), bench.factory).close()


def test_unchanged_lamps_are_not_written_again(bench: MockBench) -> None:
    pins = MachinePins(pin_config(), bench.factory)
    pins.show((True, False, False), False)
    history = list(bench.factory.pin(22).states)
    writes: list[bool] = []

    class Written:
        """A line that remembers what it is told."""

        def __setattr__(self, name: str, value: bool) -> None:
            writes.append(value)

    real, pins._outputs["lamp red"] = pins._outputs["lamp red"], Written()
    pins.show((True, False, False), False)
    assert writes == []
    pins.show((False, False, False), False)
    assert writes == [False]
    pins._outputs["lamp red"] = real
    pins.close()
    assert history[-1].state is True


def test_the_chip_is_found_by_its_label_whatever_its_number(tmp_path: Path) -> None:
    for number in (0, 1, 4, 10):
        (tmp_path / f"gpiochip{number}").touch()
    labels = {"gpiochip10": "pinctrl-rp1", "gpiochip0": "brcmvirt-gpio"}
    assert chip_number(tmp_path, lambda path: labels.get(path.name, "gpio-other")) == 10
    with pytest.raises(PinError, match=r"gpiochip0 \(x\)"):
        chip_number(tmp_path, lambda path: "x")
    with pytest.raises(PinError, match="none"):
        chip_number(tmp_path / "empty")


def test_the_ioctl_number_is_the_one_the_kernels_header_computes() -> None:
    read, size, group = 2, node_pins.CHIPINFO.size, 0xB4
    assert (read << 30) | (size << 16) | (group << 8) | 1 == node_pins.GET_CHIPINFO_IOCTL
    assert size == 68


def test_without_lgpio_nothing_pretends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    monkeypatch.setenv("LG_WD", "")
    monkeypatch.setitem(__import__("sys").modules, "lgpio", None)
    with pytest.raises(PinError, match="lgpio is missing"):
        node_pins.gpio_factory(tmp_path)


def test_an_empty_lgpio_from_pypi_is_no_lgpio(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import types

    monkeypatch.setenv("LG_WD", "")
    monkeypatch.setitem(__import__("sys").modules, "lgpio", types.ModuleType("lgpio"))
    with pytest.raises(PinError, match="lgpio is missing or empty"):
        node_pins.gpio_factory(tmp_path)


def test_the_enable_rests_when_the_relay_is_off(bench: MockBench) -> None:
    pins = MachinePins(pin_config(), bench.factory)
    pins.relay(True)
    pins.toggle_enable()
    pins.relay(False)
    assert bench.level(ENABLE) is False
    pins.close()
