"""A badge at the reader in, one session with the right seconds and cents at the hub out: nothing between is faked."""

from __future__ import annotations

import pytest

from tests.real.accounts import CENTS_PER_S, SLACK_MS, check_books
from tests.real.lab import Lab
from tests.waiting import wait_until

pytestmark = pytest.mark.real


def test_one_badge_makes_one_session_with_the_seconds_of_the_machine_and_their_price(
    lab: Lab,
) -> None:
    """badge → relay → motor → badge off → line. `check_books` compares with the world's physics;
    test_accounts.py shows that it turns red for every figure that is wrong."""
    lab.tap_on()
    lab.work(2_300)
    lab.rest()
    lab.tap_off()
    (use,) = check_books(lab)
    (row,) = lab.sessions()
    busy_ms = sum(to_us - at_us for at_us, to_us in lab.spans("busy")) // 1_000
    assert use.ended["how"] == row["how"] == "tap_off"
    charged_s = row["cents"] / CENTS_PER_S
    assert charged_s >= 2, "the motor ran for 2.3 s, or longer: until this computer had stopped it"
    assert -SLACK_MS <= busy_ms - charged_s * 1_000 <= 1_000 + SLACK_MS
    assert row["enabled_ms"] == row["busy_ms"] + row["idle_ms"]


def test_with_the_network_unplugged_a_session_is_counted_locally_and_arrives_exactly_once(
    lab: Lab,
) -> None:
    """Until the plug is in again nothing arrives: so it was really out, and the machine did not care."""
    lab.cable.unplug(silent=True)
    lab.tap_on()
    lab.work(1_100)
    lab.rest()
    lab.tap_off()
    wait_until(lambda: lab.status()["journal"]["unsent"] >= 2, 5, "records that wait")
    assert lab.sessions() == []
    lab.cable.plug()
    (use,) = check_books(lab)
    assert use.busy_ms >= 1_000
