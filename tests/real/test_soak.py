"""Two minutes of use, thousands of connections and a fault in; processes that hold what they held at first out."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from interlock.core import machine
from interlock.node.flight_file import replay_flight
from interlock.node.flight_keeper import PATTERN
from tests.real.accounts import check_books
from tests.real.crowd import crowd_at
from tests.real.lab import HOST, HUB, NODE, SYNC, UIDS, Lab, lab_from
from tests.real.soak import Held, Soak, growth, soak
from tests.waiting import wait_until

pytestmark = pytest.mark.real

SOAK_MINUTES = 2.0
GROWN_KIB_MAX = {NODE: 1_500, SYNC: 1_500, HUB: 8_000}
"""Arenas of the allocator and pages of SQLite that are touched for the first time. Half an hour's campaign shows
where it stays (docs/proof.md); a leak that fills a Pi in a week is 1.5 kB a second, one of a descriptor shows below."""

GROWN_MAX = 4.5
"""A call, a long poll and a line with its database may be open at one end of the line and not at the other."""

CROWD = 5_000
LATE_US = 200_000
"""The monostable holds for 250 ms, and a tick is due every 20."""

STOP_US_MAX = 500_000
ANSWER_S = 60


@pytest.fixture(scope="module")
def shared(template: Path) -> Iterator[Lab]:
    """One lab for all of them, in this order: soaked first, a fault last."""
    with lab_from(template) as lab:
        lab.start()
        lab.locked()
        yield lab


@pytest.mark.parametrize("every_s", [3.0, 8.0, 20.0])
def test_a_leak_of_one_descriptor_in_so_many_seconds_shows_as_growth(every_s: float) -> None:
    """What the soak below would see of a session, a poll or a page that forgets to close something."""
    chance = random.Random(8)
    span_s = SOAK_MINUTES * 60
    held = [
        Held(float(at_s), 70_000, 14 + int(at_s / every_s) + chance.choice([0, 0, 1, 2]), 8)
        for at_s in range(int(span_s))
    ]
    leaking, tight = (
        Soak(held={NODE: held}),
        [(one.at_s, 14 + chance.choice([0, 2])) for one in held],
    )
    assert leaking.grown(NODE, lambda one: one.descriptors) > GROWN_MAX
    assert abs(growth(tight)) < GROWN_MAX


def test_a_used_machine_holds_no_more_memory_descriptors_and_threads_as_time_goes_by(
    shared: Lab,
) -> None:
    """Sessions, strangers, pages and a cable that is pulled; each process is the one it was at the beginning."""
    found = soak(shared, SOAK_MINUTES, Soak())
    assert found.sessions >= 5
    assert found.strangers >= 5
    for name, limit_kib in GROWN_KIB_MAX.items():
        assert len(found.held[name]) >= 10
        assert found.grown(name, lambda one: one.memory_kib) <= limit_kib, found.held[name]
        assert found.grown(name, lambda one: one.descriptors) <= GROWN_MAX, found.held[name]
        assert found.grown(name, lambda one: one.threads) <= GROWN_MAX, found.held[name]
    uses = check_books(shared)
    assert {str(use.ended["how"]) for use in uses if not use.voided} <= {
        "stop_button",
        "contact_lost",
    }
    by_themselves = [use for use in uses if use.voided or use.ended["how"] == "contact_lost"]
    assert found.sessions <= len(uses) <= found.sessions + len(by_themselves)
    # A contact is lost where the node was kept from its enable for as long as the monostable holds, and only there.
    lost = [use for use in by_themselves if not use.voided]
    late_us = shared.status()["late_us_max"]
    assert not lost or late_us >= LATE_US, (late_us, lost)


def test_five_thousand_half_requests_keep_neither_a_page_nor_a_record_from_the_hub(
    shared: Lab,
) -> None:
    before = len(shared.sessions())
    with crowd_at(f"{HOST}:{shared.hub_port}", CROWD) as crowd:
        assert crowd.took >= CROWD * 0.9, "the hub, or this computer, takes not so many"
        page = requests.get(f"http://{HOST}:{shared.hub_port}/", timeout=ANSWER_S)
        assert page.status_code == 200
        shared.tap_on()
        assert shared.relay_off_after(shared.push("stop")) <= STOP_US_MAX
        wait_until(lambda: len(shared.sessions()) > before, ANSWER_S, "the session at the hub")
        assert crowd.process.poll() is None
    assert shared.starts(HUB) == 1


def test_five_thousand_connections_to_the_control_socket_delay_no_badge_and_no_stop(
    shared: Lab,
) -> None:
    """They are the node's own user's, so they may take sync's place, as its operator could; never the machine's."""
    with crowd_at(str(shared.folder.control_socket), CROWD) as crowd:
        assert crowd.took >= 8
        shared.tap_on()
        assert shared.relay_off_after(shared.push("stop")) <= STOP_US_MAX
        assert crowd.process.poll() is None
    wait_until(shared.status, ANSWER_S, "an answer for somebody else")
    check_books(shared)
    assert (shared.starts(NODE), shared.starts(SYNC)) == (1, 1)


def test_what_led_to_a_weld_is_kept_by_the_real_node_and_decided_again_alike(shared: Lab) -> None:
    """The soak's sessions and strangers are in it, by other names."""
    shared.hands.ask("weld", on=True)
    shared.tap_on()
    shared.push("stop")
    wait_until(lambda: shared.state() == "fault", 20, "a fault")
    (path,) = wait_until(lambda: list(shared.folder.state.glob(PATTERN)), 60, "a recording")
    found = replay_flight(path, machine.step)
    assert (found.why, found.differences) == ("fault", ())
    assert found.moments > 100
    assert UIDS["trained"].encode() not in path.read_bytes()
