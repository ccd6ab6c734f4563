"""kill -9 and SIGSTOP of the node in, when the relay opened out: by the rules of S7, and never closed again unasked."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.real.accounts import check_books, check_use, uses_of
from tests.real.lab import NODE, RESTART_S, Lab, lab_from
from tests.waiting import wait_until

pytestmark = pytest.mark.real

KILLED_US_MAX = 50_000
"""S7: killed, within 50 ms with strict_gpiod."""

SCHEDULED_US_MAX = 500_000
"""What the kernel does at once the world, a process among others on a busy computer, sees when it is its turn."""

MONOSTABLE_US = 250_000
MANAGED_US_MAX = 5_000_000
"""The manager too is a process among others, and this one of the tests."""

WATCHDOG_US_MAX = 2_000_000 + 1_000_000 + MANAGED_US_MAX
"""S7: WatchdogSec=2, and TimeoutAbortSec=1 for a process that does not even react to SIGABRT."""

LATE_WATCHDOG_S = 30.0
"""Longer than any hang here."""

NO_ENABLE: dict[str, Any] = {"relay.dynamic_enable_pin": None}
NO_MIRROR: dict[str, Any] = {
    "machine.restart_protection": "no_volt_release",
    "inputs.mirror_contact": None,
}


def start(lab: Lab) -> None:
    lab.start(hub=False, sync=False)
    lab.locked()


def put_on(lab: Lab) -> None:
    """The badge lies on the reader, and the machine has power."""
    lab.put()
    wait_until(lambda: lab.world()["contacts"], 10, "closed contacts")


def journal_agrees(lab: Lab) -> None:
    lab.last_word()
    check_use(lab, uses_of(lab.journal(), lab.boots))


def test_killed_the_node_lets_go_of_the_relay_within_50_ms_by_strict_gpiod_alone(
    template: Path,
) -> None:
    """Five kills without a dynamic enable. The control below has no strict_gpiod, and keeps its relay."""
    with lab_from(template, NO_ENABLE) as lab:
        start(lab)
        took_us = []
        for death in range(1, 6):
            lab.tap_on()
            took_us.append(lab.relay_off_after(lab.kill(NODE)))
            lab.wait_running(NODE, death + 1)
            lab.locked()
        assert min(took_us) <= KILLED_US_MAX, took_us
        assert max(took_us) <= SCHEDULED_US_MAX, took_us
        journal_agrees(lab)


def test_without_strict_gpiod_a_killed_node_leaves_the_relay_closed_until_its_next_life(
    template: Path,
) -> None:
    """The control of the test above: what it measured was strict_gpiod, not the end of something else."""
    with lab_from(template, NO_ENABLE, strict=False) as lab:
        start(lab)
        lab.tap_on()
        killed_us = lab.kill(NODE)
        lab.wait_running(NODE, 2)
        assert lab.relay_off_after(killed_us) >= RESTART_S * 1_000_000 > KILLED_US_MAX


def test_without_strict_gpiod_the_dynamic_enable_drops_the_relay_of_a_killed_node(
    template: Path,
) -> None:
    """The control above, which has no dynamic enable, keeps its relay."""
    with lab_from(template, {}, strict=False) as lab:
        start(lab)
        lab.tap_on()
        assert lab.relay_off_after(lab.kill(NODE)) <= MONOSTABLE_US + SCHEDULED_US_MAX
        lab.wait_running(NODE, 2)
        lab.locked()
        assert len(lab.spans("relay")) == 1


def test_hung_the_node_loses_the_relay_within_the_monostable_s_time(template: Path) -> None:
    """Long before the watchdog, which has its own test below: there is none in between."""
    with lab_from(template) as lab:
        start(lab)
        lab.tap_on()
        lab.work(300)
        took_us = lab.relay_off_after(lab.signal(NODE, signal.SIGSTOP))
        assert took_us <= MONOSTABLE_US + SCHEDULED_US_MAX
        lab.wait_running(NODE, 2)
        lab.locked()
        assert lab.manager.report(NODE).watchdog_kills == 1
        assert len(lab.spans("relay")) == 1
        journal_agrees(lab)


def test_hung_without_a_dynamic_enable_the_node_is_ended_by_the_watchdog(template: Path) -> None:
    """While nothing but the watchdog is there the relay stays closed for longer than a monostable would."""
    with lab_from(template, NO_ENABLE) as lab:
        start(lab)
        lab.tap_on()
        took_us = lab.relay_off_after(lab.signal(NODE, signal.SIGSTOP))
        assert MONOSTABLE_US < took_us <= WATCHDOG_US_MAX
        lab.wait_running(NODE, 2)
        lab.locked()
        assert len(lab.spans("relay")) == 1


@pytest.mark.parametrize("keys", [{}, NO_MIRROR], ids=["with mirror contact", "without"])
def test_a_node_that_hung_and_woke_up_before_the_watchdog_does_not_close_the_relay_again(
    template: Path, keys: dict[str, Any]
) -> None:
    """The badge lies on the reader all the time, and the relay was off in between: so there was
    something to close again. The hang is not billed."""
    with lab_from(template, keys, watchdog_s=LATE_WATCHDOG_S) as lab:
        start(lab)
        put_on(lab)
        lab.work(300)
        lab.signal(NODE, signal.SIGSTOP)
        wait_until(lambda: not lab.world()["contacts"], 2, "open contacts")
        lab.idle_for(700)
        lab.signal(NODE, signal.SIGCONT)
        wait_until(lambda: lab.status().get("session_open") is False, 3, "an ended session")
        lab.idle_for(300)
        assert lab.starts(NODE) == 1
        assert len(lab.spans("relay")) == 1
        journal_agrees(lab)


def test_in_a_slot_too_the_badge_that_stayed_restarts_nothing_after_any_death(
    template: Path,
) -> None:
    """`hold`: killed, hung for good, and without power for a moment. Taken out and put in again, the
    same badge starts a session each time: it was the rule."""
    with lab_from(template, {"machine.badge_use": "hold", "times.grace_s": 1}) as lab:
        start(lab)
        deaths = (lambda: lab.kill(NODE), lambda: lab.signal(NODE, signal.SIGSTOP), lab.cut_power)
        for death, die in enumerate(deaths, start=1):
            put_on(lab)
            die()
            wait_until(lambda: not lab.world()["relay"], 5, "relay off")
            if die == lab.cut_power:
                lab.switch_on()
            lab.wait_running(NODE, death + 1)
            lab.shows("PRESENT_AGAIN")
            lab.idle_for(300)
            assert len(lab.spans("relay")) == death
            lab.take()
            lab.locked()
        journal_agrees(lab)


SEED = 20_261_121
MOMENTS = 5


def test_killed_at_any_moment_nothing_is_lost_doubled_overbilled_or_started_again(lab: Lab) -> None:
    """The badge stays on the reader each time: only taken off and presented again it starts anybody,
    which it does in the next round. The hub lives on and gets everything."""
    chance = random.Random(SEED)
    restarted = 0
    for death in range(1, MOMENTS + 1):
        lab.put()
        delay_ms = chance.choice((chance.randrange(0, 150), chance.randrange(150, 2_500)))
        if delay_ms > 300:
            wait_until(lambda: lab.world()["contacts"], 10, "closed contacts")
            lab.push("machine_start")
        lab.idle_for(delay_ms)
        killed_us = lab.kill(NODE)
        lab.wait_running(NODE, death + 1)
        lab.shows("PRESENT_AGAIN")
        lab.idle_for(300)
        restarted += any(to_us > killed_us + SCHEDULED_US_MAX for _, to_us in lab.spans("relay"))
        lab.take()
        lab.push("machine_stop")
        lab.locked()
    assert restarted == 0
    uses = check_books(lab)
    assert any(use.ended["estimated"] for use in uses)
