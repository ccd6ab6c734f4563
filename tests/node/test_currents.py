"""Busy, idle or unknown: the converters at register level, the figures, and a thread nobody waits for."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import Any, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.clock import SystemClock
from interlock.config import CurrentConfig, parse_node
from interlock.errors import DeviceError
from interlock.node import currents
from interlock.node.converters import Ads1115, Converter, Mcp3008, open_converter
from interlock.node.currents import CurrentWorker, Sample, judged, rms_ma
from interlock.sim.clocks import VirtualClock
from tests.node.converter_chips import Ads1115Chip, Mcp3008Chip
from tests.waiting import wait_until

pytestmark = pytest.mark.fast

BIAS_MV = 1_650.0
BUSY_ABOVE_MA, IDLE_BELOW_MA = 1_500, 800


def config(kind: str = "ads1115", **more: Any) -> CurrentConfig:
    """A clamp with both thresholds, unless `more` says otherwise."""
    levels = {"busy_above_ma": BUSY_ABOVE_MA, "idle_below_ma": IDLE_BELOW_MA}
    document = {
        "machine": {"name": "Drill", "restart_protection": "no_volt_release"},
        "relay": {"pin": 17},
        "inputs": {"stop_button": {"pin": 5}},
        "current": {"kind": kind, **levels, **more},
    }
    if more.get("busy_above_ma", 0) is None:
        document["current"] = {"kind": kind}
    return parse_node(document).current


# ----------------------------------------------------------------------------- contract of both chips


class ConverterBench(Protocol):
    """A chip whose inputs have the voltages in `mv`."""

    mv: dict[int, float]
    step_mv: float

    def open(self, channel: int) -> Converter:
        """A converter on the chip."""

    def unplug(self) -> None:
        """The chip is off its bus."""

    def closed(self) -> int:
        """How often the bus was closed."""


class Ads1115Bench:
    step_mv = Ads1115.MV_PER_STEP

    def __init__(self) -> None:
        self.mv: dict[int, float] = {}
        self.chip = Ads1115Chip(0x48, lambda channel: self.mv.get(channel, 0.0))

    def open(self, channel: int) -> Converter:
        return Ads1115(lambda: self.chip, 0x48, channel, "/dev/i2c-1 at 0x48")

    def unplug(self) -> None:
        self.chip.plugged = False

    def closed(self) -> int:
        return self.chip.closed


class Mcp3008Bench:
    step_mv = 3_300 / 1_024

    def __init__(self) -> None:
        self.mv: dict[int, float] = {}
        self.chip = Mcp3008Chip(lambda channel: self.mv.get(channel, 0.0))

    def open(self, channel: int) -> Converter:
        return Mcp3008(lambda: self.chip, channel, 3_300, "/dev/spidev0.1")

    def unplug(self) -> None:
        self.chip.plugged = False

    def closed(self) -> int:
        return self.chip.closed


class ConverterContract:
    """What either converter does with a chip of its kind."""

    @pytest.mark.parametrize("mv", [0.0, 1.0, 812.5, 1_650.0, 2_047.9, 3_290.0])
    def test_a_voltage_is_read_to_one_step(self, bench: ConverterBench, mv: float) -> None:
        bench.mv[0] = mv
        assert abs(bench.open(0).read_mv() - mv) <= bench.step_mv

    def test_each_read_is_of_now(self, bench: ConverterBench) -> None:
        converter = bench.open(0)
        for mv in (100.0, 3_000.0, 0.0):
            bench.mv[0] = mv
            assert abs(converter.read_mv() - mv) <= bench.step_mv

    def test_each_channel_is_its_own(self, bench: ConverterBench) -> None:
        bench.mv.update({0: 500.0, 1: 1_000.0, 2: 1_500.0, 3: 2_000.0})
        for channel in (3, 1, 2, 0):
            expected = bench.mv[channel]
            assert abs(bench.open(channel).read_mv() - expected) <= bench.step_mv

    def test_a_chip_that_is_not_there_is_said_and_its_bus_let_go(
        self, bench: ConverterBench
    ) -> None:
        bench.unplug()
        with pytest.raises(DeviceError, match="does not answer"):
            bench.open(0)
        assert bench.closed() == 1

    def test_a_chip_that_comes_loose_is_said(self, bench: ConverterBench) -> None:
        converter = bench.open(0)
        bench.unplug()
        with pytest.raises(DeviceError, match="Check its"):
            converter.read_mv()


class TestAds1115(ConverterContract):
    @pytest.fixture
    def bench(self) -> ConverterBench:
        return Ads1115Bench()

    def test_another_chip_at_its_address_is_noticed(self) -> None:
        class Deaf(Ads1115Chip):
            def _written(self, content: bytes) -> None:
                self.pointer = content[0] & 0x03

        with pytest.raises(DeviceError, match="0x0583 where 0x42E3 was written"):
            Ads1115(lambda: Deaf(0x48, lambda _: 0.0), 0x48, 0, "here")


class TestMcp3008(ConverterContract):
    @pytest.fixture
    def bench(self) -> ConverterBench:
        return Mcp3008Bench()

    def test_its_other_four_channels_are_there_too(self) -> None:
        bench = Mcp3008Bench()
        bench.mv.update({4: 400.0, 7: 700.0})
        assert abs(bench.open(7).read_mv() - 700.0) <= bench.step_mv

    def test_a_bus_that_fails_is_a_device_error(self) -> None:
        bench = Mcp3008Bench()
        converter = bench.open(0)
        bench.chip.dead_bus = True
        with pytest.raises(DeviceError, match="Input/output error"):
            converter.read_mv()


def test_a_pi_without_the_bus_says_how_to_enable_it() -> None:
    with pytest.raises(DeviceError, match="i2c_arm"):
        open_converter(config("ads1115", i2c_bus=31))
    with pytest.raises(DeviceError, match="spidev"):
        open_converter(config("mcp3008", spi_bus=6))


# ------------------------------------------------------------------------------------------ figures


def sine(at_ms: float, amps: float, hz: float = 50.0, phase: float = 0.0) -> float:
    """Millivolts of a 30 A / 1 V clamp around its bias, for `amps` RMS."""
    peak_mv = amps * 1_000 / 30 * math.sqrt(2)
    return BIAS_MV + peak_mv * math.sin(2 * math.pi * hz * at_ms / 1_000 + phase)


@given(
    st.floats(0.2, 30.0),
    st.sampled_from([50.0, 60.0, 49.5, 60.5]),
    st.floats(0.0, 6.28),
    st.integers(0, 10_000),
)
def test_the_rms_of_a_sine_is_within_2_percent_wherever_the_window_begins(
    amps: float, hz: float, phase: float, begin_ms: int
) -> None:
    times = range(begin_ms, begin_ms + currents.WINDOW_MS, 2)
    samples = [Sample(at_ms, sine(at_ms, amps, hz, phase)) for at_ms in times]
    found = rms_ma(samples, config())
    assert found is not None
    assert abs(found - amps * 1_000) <= max(2, amps * 20)


def test_a_clamp_without_its_bias_is_unknown_and_never_idle() -> None:
    for bias_mv in (0.0, 3_300.0, 900.0):
        samples = [Sample(at_ms, bias_mv) for at_ms in range(0, 200, 2)]
        assert rms_ma(samples, config()) is None
    quiet = [Sample(at_ms, BIAS_MV) for at_ms in range(0, 200, 2)]
    assert rms_ma(quiet, config()) == 0


def test_too_few_samples_are_no_current() -> None:
    samples = [Sample(at_ms, BIAS_MV) for at_ms in range(currents.SAMPLES_MIN - 1)]
    assert rms_ma(samples, config()) is None


@pytest.mark.parametrize(
    ("before", "rms", "after"),
    [
        (None, 0, False),
        (None, 1_000, None),
        (False, 1_499, False),
        (False, 1_500, True),
        (True, 801, True),
        (True, 800, False),
        (True, None, None),
    ],
)
def test_busy_and_idle_have_room_between_them(
    before: bool | None, rms: int | None, after: bool | None
) -> None:
    assert judged(before, rms, config()) is after


def test_without_thresholds_nothing_is_known() -> None:
    unlearned = config(busy_above_ma=None)
    assert [judged(False, rms, unlearned) for rms in (0, 1_000, 30_000)] == [None] * 3


@given(st.lists(st.integers(0, 3_000), max_size=200))
def test_a_verdict_changes_only_beyond_a_threshold(history: list[int]) -> None:
    busy: bool | None = None
    for rms in history:
        before, busy = busy, judged(busy, rms, config())
        if busy is not before:
            assert rms >= BUSY_ABOVE_MA if busy else rms <= IDLE_BELOW_MA


# ------------------------------------------------------------------------------------------- worker


class Clamp:
    """A machine on a clamp on an ADS1115, in virtual time."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.amps = 0.1
        self.bench = Ads1115Bench()
        self.opened = 0
        self.worker = CurrentWorker(config(), self.clock, self._open)

    def _open(self, current: CurrentConfig) -> Converter:
        self.opened += 1
        self.bench.chip.volts = lambda _: sine(self.clock.now_us() / 1_000, self.amps)
        return self.bench.open(current.channel)

    def run_ms(self, duration_ms: int) -> list[bool | None]:
        """The verdict after each turn of `duration_ms`."""
        end_ms = self.clock.boot_ms() + duration_ms
        verdicts = []
        while self.clock.boot_ms() < end_ms:
            self.worker.turn()
            verdicts.append(self.worker.busy())
        return verdicts


def test_nothing_is_known_until_the_window_is_full() -> None:
    clamp = Clamp()
    verdicts = clamp.run_ms(400)
    assert verdicts[0] is None
    known = verdicts.index(False)
    assert known * 20 < currents.WINDOW_MS
    assert set(verdicts[known:]) == {False}


def test_a_motor_that_starts_is_busy_within_200_ms_and_one_that_stops_is_idle_within_300() -> None:
    clamp = Clamp()
    clamp.run_ms(400)
    clamp.amps = 4.0
    started = clamp.run_ms(400)
    assert started.index(True) * 20 <= 200
    assert False not in started[started.index(True) :]
    assert clamp.worker.rms_ma() == pytest.approx(4_000, rel=0.02)
    clamp.amps = 0.1
    stopped = clamp.run_ms(600)
    assert stopped.index(False) * 20 <= 300
    assert None not in stopped


def test_a_current_that_wavers_between_the_thresholds_does_not_flutter() -> None:
    clamp = Clamp()
    clamp.amps = 4.0
    clamp.run_ms(400)
    verdicts = []
    for amps in (1.0, 1.4, 0.9, 1.3) * 3:
        clamp.amps = amps
        verdicts += clamp.run_ms(300)
    assert set(verdicts) == {True}


def test_a_converter_that_comes_loose_is_unknown_at_once_said_once_and_found_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clamp = Clamp()
    clamp.run_ms(400)
    clamp.bench.unplug()
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            clamp.worker.turn()
            clamp.clock.advance_us(20_000)
            assert clamp.worker.busy() is None
        assert "does not answer" in (clamp.worker.trouble or "")
        clamp.bench.chip.plugged = True
        assert clamp.run_ms(400)[-1] is False
    said = [record.levelname for record in caplog.records]
    assert said == ["ERROR", "WARNING"]
    assert clamp.worker.trouble is None
    assert clamp.opened == 6
    assert clamp.bench.closed() == 5


def test_a_bias_that_breaks_in_mid_job_is_unknown_and_not_idle() -> None:
    clamp = Clamp()
    clamp.amps = 4.0
    clamp.run_ms(400)
    clamp.bench.chip.volts = lambda _: 0.0
    verdicts = clamp.run_ms(600)
    assert False not in verdicts
    assert verdicts[-1] is None


def test_an_old_verdict_is_none() -> None:
    clamp = Clamp()
    clamp.run_ms(400)
    clamp.clock.advance_us(currents.STALE_MS * 1_000)
    assert clamp.worker.busy() is False
    clamp.clock.advance_us(1_000)
    assert (clamp.worker.busy(), clamp.worker.rms_ma()) == (None, None)


class HungConverter:
    """A bus that never answers."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.let_go = threading.Event()

    def read_mv(self) -> float:
        self.asked.set()
        self.let_go.wait(60)
        raise DeviceError("it was let go")

    def close(self) -> None:
        raise OSError(5, "Input/output error")


def test_a_bus_that_hangs_holds_up_neither_whoever_asks_nor_the_end() -> None:
    hung = HungConverter()
    worker = CurrentWorker(config(), SystemClock(), lambda _: hung)
    worker.start()
    assert hung.asked.wait(60)
    before_ms = SystemClock().boot_ms()
    assert worker.busy() is None
    assert SystemClock().boot_ms() - before_ms < 20_000, "it waited for the bus"
    worker.stop()
    hung.let_go.set()
    worker.stop()


def test_a_running_worker_finds_what_flows_in_real_time() -> None:
    clock = SystemClock()
    bench = Ads1115Bench()
    bench.chip.volts = lambda _: sine(clock.boot_ms(), 4.0)
    opened: list[Callable[[], None]] = []

    def open_it(current: CurrentConfig) -> Converter:
        converter = bench.open(current.channel)
        opened.append(converter.close)
        return converter

    worker = CurrentWorker(config(), clock, open_it)
    worker.start()
    wait_until(lambda: worker.busy() is True)
    worker.stop()
    assert len(opened) == bench.closed() == 1
