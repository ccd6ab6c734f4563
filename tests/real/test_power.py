"""Power cuts and clocks: a session that was cut is closed where it was last seen alive, and nothing comes back by itself."""

from __future__ import annotations

import pytest

from tests.real.accounts import check_books
from tests.real.lab import Lab
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
    lab.wait_running("node", 2)
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
