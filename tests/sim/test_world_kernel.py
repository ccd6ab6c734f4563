"""The kernel's rules for lines: who owns them, and what they do when their owner is gone."""

from __future__ import annotations

import pytest

from interlock.errors import PinError
from interlock.sim.kernel_pins import LINES, KernelPins, Pull

pytestmark = pytest.mark.fast

NODE, OTHER = 1, 2
RELAY = 17


def test_at_boot_lines_0_to_8_are_pulled_up_and_the_others_down() -> None:
    levels = KernelPins(strict_gpiod=True).levels()
    assert levels == (True,) * 9 + (False,) * (LINES - 9)


@pytest.mark.parametrize(("strict", "level_after"), [(True, False), (False, True)])
def test_a_dead_owner_leaves_its_output_on_unless_the_kernel_is_strict(
    strict: bool, level_after: bool
) -> None:
    pins = KernelPins(strict_gpiod=strict)
    pins.claim_output(NODE, RELAY, True)
    pins.release(NODE)
    assert pins.level(RELAY) is level_after


def test_a_strict_kernel_leaves_a_line_below_9_high() -> None:
    """Why config.py refuses a relay on GPIO 0-8."""
    pins = KernelPins(strict_gpiod=True)
    pins.claim_output(NODE, 4, False)
    pins.release(NODE)
    assert pins.level(4) is True


def test_a_line_belongs_to_one_process_until_it_is_gone() -> None:
    pins = KernelPins(strict_gpiod=True)
    pins.claim_output(NODE, RELAY, True)
    with pytest.raises(PinError, match=r"GPIO17.*another process"):
        pins.claim_output(OTHER, RELAY, False)
    with pytest.raises(PinError, match="no output of this process"):
        pins.write(OTHER, RELAY, False)
    assert pins.level(RELAY) is True
    pins.release(NODE)
    pins.claim_output(OTHER, RELAY, False)
    assert pins.owned_by(OTHER) == [RELAY]


def test_an_input_cannot_be_written() -> None:
    pins = KernelPins(strict_gpiod=True)
    pins.claim_input(NODE, 5, Pull.UP)
    with pytest.raises(PinError, match="GPIO5"):
        pins.write(NODE, 5, False)


@pytest.mark.parametrize("number", [-1, LINES])
def test_there_are_no_lines_beyond_the_header(number: int) -> None:
    with pytest.raises(PinError, match="no such line"):
        KernelPins(strict_gpiod=True).claim_input(NODE, number, Pull.UP)


def test_what_is_wired_to_an_input_is_stronger_than_its_pull() -> None:
    pins = KernelPins(strict_gpiod=True)
    pins.claim_input(NODE, 5, Pull.UP)
    assert pins.level(5) is True
    pins.wire(5, False)
    assert pins.level(5) is False
    pins.wire(5, None)
    assert pins.level(5) is True


def test_a_floating_line_keeps_its_last_level() -> None:
    pins = KernelPins(strict_gpiod=True)
    pins.claim_output(NODE, RELAY, True)
    pins.claim_input(NODE, RELAY, Pull.FLOATING)
    assert pins.level(RELAY) is True


def test_a_resistor_outside_turns_off_what_floats() -> None:
    pins = KernelPins(strict_gpiod=True)
    pins.wire(RELAY, False)
    pins.claim_output(NODE, RELAY, True)
    assert pins.level(RELAY) is True
    pins.claim_input(NODE, RELAY, Pull.FLOATING)
    assert pins.level(RELAY) is False


def test_power_off_takes_every_line_and_boot_gives_none_back() -> None:
    pins = KernelPins(strict_gpiod=False)
    pins.claim_output(NODE, RELAY, True)
    pins.power_off()
    assert pins.levels() == (False,) * LINES
    with pytest.raises(PinError, match="no power"):
        pins.claim_output(NODE, RELAY, True)
    pins.boot()
    assert pins.level(RELAY) is False
    assert pins.owned_by(NODE) == []
    with pytest.raises(PinError, match="no output"):
        pins.write(NODE, RELAY, True)
