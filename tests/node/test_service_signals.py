"""A whole node with a clamp on an ADS1115 and an OLED, on an I2C bus of chip models."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from interlock.clock import SystemClock
from interlock.config.learned import thresholds_between, write_thresholds
from interlock.core.model import Inputs
from interlock.node.displays import drawn
from interlock.protocol.control import Op
from tests.node.converter_chips import Ads1115Chip
from tests.node.node_rig import NodeBench
from tests.node.screen_chips import Ssd1306Chip
from tests.node.test_currents import BIAS_MV, sine
from tests.waiting import wait_until

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore:Image.Image.getdata")]

IDLE_A, BUSY_A = 0.2, 4.0


class I2cBus:
    """One bus with a converter and a screen on it, as smbus2.SMBus gives it."""

    def __init__(self) -> None:
        self.amps = IDLE_A
        self.bias_mv = BIAS_MV
        self.adc = Ads1115Chip(0x48, lambda _: self._mv())
        self.oled = Ssd1306Chip(0x3C)
        self.hung = threading.Event()
        self.hung.set()

    def i2c_rdwr(self, message: Any) -> None:
        if message.addr == self.oled.address:
            self.hung.wait(20)
            self.oled.i2c_rdwr(message)
        else:
            self.adc.i2c_rdwr(message)

    def write_i2c_block_data(self, address: int, register: int, values: Sequence[int]) -> None:
        self.hung.wait(20)
        self.oled.write_i2c_block_data(address, register, values)

    def close(self) -> None:
        """The bus is closed."""

    def _mv(self) -> float:
        return sine(SystemClock().boot_ms(), self.amps) - BIAS_MV + self.bias_mv

    def shows(self, *lines: str) -> bool:
        """Whether the OLED shows exactly these lines."""
        picture = drawn([*lines, *[""] * (4 - len(lines))])
        wanted = [[bool(picture.getpixel((x, y))) for x in range(128)] for y in range(64)]
        return self.oled.rows() == wanted


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> I2cBus:
    made = I2cBus()
    monkeypatch.setattr("smbus2.SMBus", lambda number: made)
    return made


@pytest.fixture
def node(bus: I2cBus) -> Iterator[NodeBench]:
    changes: dict[str, dict[str, Any]] = {
        "inputs": {"current_sensor": {}},
        "current": {"kind": "ads1115", "busy_above_ma": 1_500, "idle_below_ma": 800},
        "screen": {"kind": "oled"},
    }
    bench = NodeBench(changes)
    yield bench
    bus.hung.set()
    bench.close()


def inputs(node: NodeBench) -> Inputs:
    """What the loop sampled last."""
    assert node.loop is not None
    return node.loop.state.inputs


def test_a_motor_on_the_clamp_is_busy_and_its_session_is_not_cut_but_ends_when_it_rests(
    bus: I2cBus, node: NodeBench
) -> None:
    node.start()
    node.install()
    wait_until(lambda: inputs(node).busy is False)
    node.work()
    bus.amps = BUSY_A
    wait_until(lambda: inputs(node).busy is True)
    node.tap()
    wait_until(lambda: node.ask(Op.PANEL)["message"] == "ending")
    assert node.relay_on, "a busy machine was cut"
    bus.amps = IDLE_A
    wait_until(lambda: not node.relay_on)


def test_a_clamp_that_loses_its_bias_in_mid_job_is_unknown_and_the_end_is_warned(
    bus: I2cBus, node: NodeBench
) -> None:
    node.start()
    node.install()
    node.work()
    bus.amps = BUSY_A
    wait_until(lambda: inputs(node).busy is True)
    bus.bias_mv, bus.amps = 0.0, 0.0
    wait_until(lambda: inputs(node).busy is None)
    node.tap()
    wait_until(lambda: node.ask(Op.PANEL)["message"] == "ending")
    assert node.relay_on


def test_what_commissioning_learned_is_what_counts_and_a_damaged_file_leaves_it_unknown(
    bus: I2cBus, node: NodeBench
) -> None:
    node.changes["current"] = {"kind": "ads1115"}
    learned = node.config.paths.learned
    learned.parent.mkdir(parents=True, exist_ok=True)
    write_thresholds(learned, thresholds_between(200, 1_000))
    bus.amps = 0.7
    node.start()
    wait_until(lambda: inputs(node).busy is True)
    assert node.stop() == 0
    learned.write_text("{", encoding="utf-8")
    node.start()
    node.install()
    node.work()
    assert inputs(node).busy is None


def test_the_screen_follows_the_panel_and_goes_dark_with_the_node(
    bus: I2cBus, node: NodeBench
) -> None:
    node.start()
    wait_until(
        lambda: bus.shows(
            "Not set up yet", "The members' rights", "have not come from", "the hub yet."
        )
    )
    node.install()
    wait_until(lambda: bus.shows("Ready", "Present your badge to", "start."))
    assert node.stop() == 0
    assert not bus.oled.is_on


def test_a_screen_that_hangs_or_is_gone_keeps_nobody_from_working(
    bus: I2cBus, node: NodeBench
) -> None:
    bus.oled.plugged = False
    node.start()
    node.install()
    node.work()
    node.tap()
    wait_until(lambda: not node.relay_on)
    node.stop()
    bus.oled.plugged = True
    bus.hung.clear()
    node.start()
    node.work()
    assert node.relay_on
