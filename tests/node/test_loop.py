"""The supervision loop: what comes first, what is bounded, what it never waits for, and how it
dies.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass
from typing import Any

import pytest

from interlock.clock import SystemClock
from interlock.config.node import HANG_MS
from interlock.core import machine
from interlock.core.effects import Effect, SetRelay, WriteRecord
from interlock.core.events import (
    BadgeFound,
    BadgeRemoved,
    CutRequested,
    Event,
    InputsSampled,
    JournalFailed,
    JournalRecovered,
    ReaderFailed,
    ReaderRecovered,
    RecordDurable,
)
from interlock.core.model import Now, Rules
from interlock.core.states import MachineState, State
from interlock.errors import PinError
from interlock.node.flight import FlightRecorder
from interlock.node.loop import EVENTS_PER_TICK_MAX, LATENESS_EDGES_MS, Lateness, Silence
from interlock.sim.clocks import US_PER_MS
from tests.node.pin_contract import EMERGENCY, MIRROR, STOP
from tests.node.rig import START_MS, TICK_MS, LoopBench
from tests.waiting import wait_until

pytestmark = pytest.mark.fast


@dataclass
class Thread:
    """A worker as the loop sees it."""

    last_alive_ms: int = START_MS


def reader_silence(worker: Thread) -> Silence:
    return Silence(worker, "reader", 2_000, ReaderFailed, ReaderRecovered)


def test_a_badge_powers_the_machine_only_once_its_record_is_durable() -> None:
    bench = LoopBench()
    bench.enable()
    assert bench.records == ["session_started"]
    assert bench.told[0].type == "session_started"
    assert bench.told[1] == ("relay", True)


def test_the_stop_button_opens_the_relay_in_the_tick_that_sees_it_before_any_queued_event() -> None:
    bench = LoopBench()
    bench.enable()
    for _ in range(100):
        bench.inbox.put(BadgeFound())
    del bench.told[:]
    bench.outside.conduct(STOP, True)
    bench.tick()
    assert not bench.relay_on
    assert bench.told[0] == ("relay", False), "something was done before the relay opened"
    assert bench.records == ["session_ended"]


def test_an_open_stop_chain_opens_the_relay_and_its_release_closes_nothing() -> None:
    bench = LoopBench()
    bench.enable()
    bench.outside.conduct(EMERGENCY, False)
    bench.tick()
    assert not bench.relay_on
    bench.outside.conduct(EMERGENCY, True)
    bench.outside.conduct(MIRROR, True)
    bench.tick(200)
    assert not bench.relay_on


def test_opening_is_performed_before_whatever_else_the_same_decision_asks_for() -> None:
    def closing_last(
        state: MachineState, event: Event, now: Now
    ) -> tuple[MachineState, tuple[Effect, ...]]:
        if isinstance(event, CutRequested):
            return state, (WriteRecord(1, "session_ended", {}), SetRelay(False))
        return state, ()

    bench = LoopBench(step=closing_last)
    bench.inbox.put(CutRequested())
    bench.tick()
    assert bench.told == [("relay", False), WriteRecord(1, "session_ended", {})]


def test_a_tick_follows_at_most_32_queued_events() -> None:
    bench = LoopBench()
    for _ in range(100):
        bench.inbox.put(BadgeFound())
    bench.tick()
    assert len(bench.inbox) == 100 - EVENTS_PER_TICK_MAX


def test_the_dynamic_enable_turns_once_a_scheduled_tick_and_rests_without_power() -> None:
    bench = LoopBench()
    for _ in range(3):
        bench.tick()
        assert not bench.enable_on
    bench.enable()
    levels = []
    for _ in range(6):
        bench.tick()
        levels.append(bench.enable_on)
    assert levels in ([True, False] * 3, [False, True] * 3)
    before = bench.enable_on
    bench.tick(5, scheduled=False)
    assert bench.enable_on is before, "a wake moved the pump: its pulses would be too short"
    bench.inbox.put(CutRequested())
    bench.tick(3)
    assert not bench.enable_on


class SlowPins:
    """The bench's pins, one call of which takes time once, as when the kernel stalls in it."""

    def __init__(self, bench: LoopBench, call: str) -> None:
        self._bench, self._call = bench, call
        self.slow_ms = 0
        bench.loop._pins = self

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._bench.pins, name)
        return self._stalling(call) if name == self._call else call

    def _stalling(self, call: Any) -> Any:
        def stalled(*arguments: Any) -> Any:
            slow_ms, self.slow_ms = self.slow_ms, 0
            found = call(*arguments)
            self._bench.clock.advance_us(slow_ms * US_PER_MS)
            return found

        return stalled


def turns(bench: LoopBench) -> list[tuple[int, bool]]:
    """What the line of the dynamic enable shows from here on, with the moment."""
    history: list[tuple[int, bool]] = []
    inner = bench.pins._write

    def write(name: str, on: bool) -> None:
        if name == "dynamic enable" and on:
            history.append((bench.clock.boot_ms(), on))
        inner(name, on)

    bench.pins._write = write  # type: ignore[method-assign]
    return history


@pytest.mark.parametrize("call", ["sample", "show", "toggle_enable"])
@pytest.mark.parametrize(("slow_ms", "cut"), [(100, False), (3_000, True)])
def test_after_a_hang_anywhere_in_a_tick_the_enable_is_never_turned_again(
    call: str, slow_ms: int, cut: bool
) -> None:
    bench = LoopBench(rules=Rules(hang_ms=HANG_MS))
    bench.enable()
    bench.tick(5)
    slow = SlowPins(bench, call)
    slow.slow_ms = slow_ms
    history = turns(bench)
    bench.tick(6)
    assert bench.relay_on is not cut
    late = [at for at, _ in history if at - START_MS > 1_000]
    assert not late, "the monostable had let go, and was triggered again"
    assert bench.records[1:] == (["session_ended"] if cut else [])


def test_two_delays_that_add_up_in_one_tick_are_a_hang_too() -> None:
    """Each is short enough for itself; the monostable only knows when it was turned last."""
    bench = LoopBench(rules=Rules(hang_ms=HANG_MS))
    bench.enable()
    bench.tick(5)
    slow = SlowPins(bench, "sample")
    slow.slow_ms = HANG_MS - 2 * TICK_MS
    step = bench.loop._step

    def slow_step(state: MachineState, event: Event, now: Now) -> Any:
        bench.clock.advance_us(2 * TICK_MS * US_PER_MS)
        return step(state, event, now)

    bench.loop._step = slow_step
    bench.tick()
    assert not bench.relay_on
    assert bench.records[-1] == "session_ended"
    bench.loop._step = step
    assert bench.loop.flight.replay() == bench.loop.state


def test_every_tick_feeds_the_watchdog_and_a_step_that_raises_feeds_it_no_more() -> None:
    bench = LoopBench()
    bench.tick(5)
    assert bench.fed == 5

    def broken(state: MachineState, event: Event, now: Now) -> Any:
        raise AssertionError("planted")

    dying = LoopBench(step=broken)
    with pytest.raises(AssertionError, match="planted"):
        dying.tick()
    assert dying.fed == 0


def test_an_exception_in_the_loop_opens_the_relay_frees_the_pins_and_ends_it() -> None:
    bench = LoopBench()
    bench.enable()

    def broken(state: MachineState, event: Event, now: Now) -> Any:
        raise AssertionError("planted")

    bench.loop._step = broken
    with pytest.raises(AssertionError, match="planted"):
        bench.loop.run()
    assert not bench.relay_on
    assert not bench.inbox.put(BadgeFound()), "workers would wait for a loop that is gone"


def test_a_dying_loop_opens_the_relay_before_it_waits_for_any_lock() -> None:
    bench = LoopBench()
    bench.enable()
    seen: list[bool] = []
    bench.loop._inbox.close = lambda: seen.append(bench.relay_on)  # type: ignore[method-assign]
    bench.loop.request_termination()
    bench.loop._step = lambda state, event, now: (state, ())
    bench.loop.run()
    assert seen == [False]


def test_an_input_that_cannot_be_read_ends_the_loop_with_the_relay_off() -> None:
    bench = LoopBench()
    bench.enable()

    def dead() -> Any:
        raise PinError("gone", where="stop_button")

    bench.pins.sample = dead  # type: ignore[method-assign]
    with pytest.raises(PinError):
        bench.loop.run()
    assert not bench.relay_on


def test_a_worker_silent_for_two_seconds_has_failed_and_its_return_is_a_recovery() -> None:
    reader = Thread()
    bench = LoopBench(silences=(reader_silence(reader),))
    bench.tick(2_000 // TICK_MS)
    before = bench.loop.state.reader_trouble
    bench.tick()
    assert (before, "silent" in str(bench.loop.state.reader_trouble)) == (None, True)
    reader.last_alive_ms = bench.clock.boot_ms()
    bench.tick()
    assert bench.loop.state.reader_trouble is None


def test_a_return_from_silence_does_not_hide_a_failure_the_worker_named_itself() -> None:
    reader = Thread()
    bench = LoopBench(silences=(reader_silence(reader),))
    bench.inbox.put(ReaderFailed("no answer on SPI"))
    bench.tick(3_000 // TICK_MS)
    reader.last_alive_ms = bench.clock.boot_ms()
    bench.tick()
    assert bench.loop.state.reader_trouble is not None
    bench.inbox.put(ReaderRecovered())
    bench.tick()
    assert bench.loop.state.reader_trouble is None


def test_a_silent_journal_refuses_the_next_badge() -> None:
    journal = Thread()
    silence = Silence(journal, "journal", 2_000, JournalFailed, JournalRecovered)
    bench = LoopBench(silences=(silence,))
    bench.enable()
    bench.inbox.put(CutRequested())
    bench.tick()
    bench.outside.conduct(MIRROR, True)
    bench.tick(2_100 // TICK_MS)
    bench.inbox.put(bench.arrival())
    bench.tick()
    assert bench.refusals == ["CANNOT_RECORD"]
    assert not bench.relay_on


def test_a_silent_journal_cuts_nobody_off() -> None:
    journal = Thread()
    silence = Silence(journal, "journal", 2_000, JournalFailed, JournalRecovered)
    bench = LoopBench(silences=(silence,))
    bench.enable()
    bench.tick(30_000 // TICK_MS)
    assert bench.relay_on


def test_asked_to_stop_the_loop_opens_the_relay_and_hands_over_the_end() -> None:
    bench = LoopBench()
    bench.enable()
    bench.loop.request_termination()
    bench.tick()
    assert not bench.relay_on
    assert bench.records[-1] == "session_ended"
    assert bench.told[-2] == ("relay", False)
    assert not bench.loop.is_running


def test_lateness_is_counted_by_class_and_the_worst_is_kept() -> None:
    lateness = Lateness()
    for late_us in (0, 900, 1_000, 1_001, 19_000, 700_000):
        lateness.note(late_us)
    wire = lateness.to_wire()
    assert wire["ticks"] == 6
    assert wire["worst_us"] == 700_000
    assert wire["late_ms_max_1"] == 3
    assert wire["late_ms_max_2"] == 1
    assert wire["late_ms_max_20"] == 1
    assert wire["later"] == 1
    assert sum(wire[f"late_ms_max_{edge}"] for edge in LATENESS_EDGES_MS) == 5


def test_a_running_loop_ticks_on_time_follows_a_wake_at_once_and_ends_when_asked() -> None:
    bench = LoopBench()
    thread = threading.Thread(target=bench.loop.run, daemon=True)
    thread.start()
    wait_until(lambda: bench.fed >= 10)
    assert bench.loop.lateness.ticks <= bench.fed
    bench.inbox.put(ReaderFailed("planted"))
    wait_until(lambda: bench.loop.state.reader_trouble == "planted")
    bench.loop.request_termination()
    thread.join(60)
    assert not thread.is_alive()
    assert not bench.inbox.put(BadgeFound())


def test_a_loop_that_was_held_up_does_not_make_up_for_missed_ticks() -> None:
    bench = LoopBench()
    clock = SystemClock()
    fed: list[int] = []

    def feed() -> None:
        fed.append(clock.boot_ms())
        if len(fed) == 3:
            clock.sleep(0.3)
        if len(fed) == 18:
            bench.loop.request_termination()

    bench.loop._feed_watchdog = feed
    bench.loop.run()
    pauses_ms = [after - before for before, after in itertools.pairwise(fed[3:])]
    # 15 were missed. One or the other comes soon after one that this computer was late for.
    assert sum(pause_ms < 10 for pause_ms in pauses_ms) <= 4, f"crowded together: {pauses_ms}"
    assert bench.loop.lateness.worst_us >= 250_000


# ---------------------------------------------------------------------------------- flight recorder


def story(bench: LoopBench) -> None:
    """A day in short: a session with a quiet hour in it, a stop, a stranger."""
    bench.enable()
    bench.tick(500)
    bench.outside.conduct(STOP, True)
    bench.tick(3)
    bench.outside.conduct(STOP, False)
    bench.outside.conduct(MIRROR, True)
    bench.tick(500)
    bench.inbox.put(bench.arrival(None))
    bench.inbox.put(BadgeRemoved())
    bench.tick(100)


@pytest.mark.parametrize("rules", [Rules(), Rules(hang_ms=HANG_MS)])
def test_the_flight_recorder_replays_to_the_very_state_of_the_machine(rules: Rules) -> None:
    bench = LoopBench(rules=rules)
    story(bench)
    assert bench.loop.flight.replay() == bench.loop.state
    assert bench.loop.state.state is State.LOCKED


def test_quiet_ticks_are_kept_as_a_first_and_a_last_one() -> None:
    bench = LoopBench()
    bench.tick(1_000)
    moments = bench.loop.flight.moments()
    assert len(moments) <= 3
    assert moments[-1].now.boot_ms == bench.clock.boot_ms()


@pytest.mark.parametrize("rules", [Rules(), Rules(hang_ms=HANG_MS)])
def test_a_full_recorder_still_replays_to_the_same_state(rules: Rules) -> None:
    bench = LoopBench(rules=rules)
    bench.loop.flight = FlightRecorder(machine.step, bench.loop.state, length_max=8)
    story(bench)
    assert len(bench.loop.flight.moments()) == 8
    assert bench.loop.flight.replay() == bench.loop.state


def test_a_recorder_that_lost_an_event_replays_to_another_state() -> None:
    bench = LoopBench()
    story(bench)
    moments = bench.loop.flight._moments
    lost = next(m for m in moments if isinstance(m.event, RecordDurable))
    moments.remove(lost)
    assert bench.loop.flight.replay() != bench.loop.state
    assert any(isinstance(m.event, InputsSampled) for m in moments)
