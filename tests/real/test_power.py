"""Power cuts and wrong clocks in; sessions closed where they were last seen alive out, and nothing restarts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from interlock.clock import SystemClock, perf_us
from interlock.protocol.records import RecordType
from tests.real.accounts import check_books
from tests.real.lab import NODE, Lab, lab_from
from tests.waiting import wait_until

pytestmark = pytest.mark.real


def test_a_power_cut_in_mid_session_is_billed_to_its_last_proof_of_life_and_restarts_nothing(
    lab: Lab,
) -> None:
    """The badge lies on the reader all the time. Taken off and presented again it starts a session:
    so it was the rule, not a dead node, that kept the machine still."""
    lab.put()
    wait_until(lambda: lab.world()["contacts"], 10, "closed contacts")
    lab.work(2_400)
    first_boot = lab.status()["boot_id"]
    lab.cut_power()
    assert not lab.world()["relay"]
    lab.switch_on()
    lab.start_sync()
    lab.wait_running(NODE, 2)
    lab.shows("PRESENT_AGAIN")
    lab.idle_for(1_000)
    assert len(lab.spans("relay")) == 1
    assert lab.status()["boot_id"] != first_boot
    (cut,) = check_books(lab)
    assert (cut.ended["how"], cut.ended["estimated"]) == ("power_lost", True)
    assert cut.busy_ms >= 1_000, "progress was recorded every second"

    lab.take()
    lab.tap_on()
    lab.tap_off()
    assert len(check_books(lab)) == 2


def utc_now() -> datetime:
    return datetime.fromtimestamp(SystemClock().wall_ms() / 1_000, UTC)


def test_two_boots_in_1970_change_no_duration_and_the_hub_still_knows_the_day(
    template: Path,
) -> None:
    """The first boot hears the hub's time after its session, the second never, the third at once. The
    third boot's record is dated before its power-on: a lower bound that lacks the second boot, of which
    nothing was saved. So nobody asked this computer's clock."""
    began_at = utc_now()
    with lab_from(template, in_1970=True) as lab:
        lab.cable.unplug(silent=False)
        lab.start()
        use_for(lab, 1_200)
        lab.cable.plug()
        wait_until(lab.drained, 30, "everything at the hub")
        reboot(lab, unplugged=True)
        use_for(lab, 1_200)
        reboot(lab, unplugged=False)
        use_for(lab, 1_200)
        uses = check_books(lab)
        # To the millisecond they are compared with the motor's by check_books.
        assert [use.busy_ms >= 1_000 for use in uses] == [True] * 3
        for row in lab.sessions():
            for name in ("started_at", "ended_at"):
                at = datetime.fromisoformat(row[name]).replace(tzinfo=UTC)
                assert began_at - timedelta(seconds=2) <= at <= utc_now(), (name, row)
        last = [one.header for one in lab.journal() if one.header.type is RecordType.BOOT][-1]
        offset_us = SystemClock().wall_ms() * 1_000 - perf_us()
        assert (last.wall_ms or 0) * 1_000 < lab.boots[last.boot_id] + offset_us - 1_000_000


def use_for(lab: Lab, busy_ms: int) -> None:
    lab.locked()
    lab.tap_on()
    lab.work(busy_ms)
    lab.rest()
    lab.tap_off()


def reboot(lab: Lab, *, unplugged: bool) -> None:
    """The power goes and comes, with the network out or in."""
    lab.cut_power()
    lab.cable.unplug(silent=False)
    if not unplugged:
        lab.cable.plug()
    lab.switch_on()
    lab.start_sync()
    lab.wait_running(NODE)
