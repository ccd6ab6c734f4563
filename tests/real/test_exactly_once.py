"""Sync and hub killed at the worst instants in, every record once and every session billed once out."""

from __future__ import annotations

import random
import signal
import threading
from contextlib import ExitStack

import pytest

from tests.real.accounts import check_books
from tests.real.disks import broken_disk, needs_strace
from tests.real.lab import HUB, SYNC, Lab
from tests.real.toll import toll_booth
from tests.waiting import wait_until

pytestmark = pytest.mark.real

DEATHS = 3
SEED = 11
TAKE_IN_S = 0.03
"""A small batch takes the hub 10 to 20 ms."""


def use_machine(lab: Lab) -> None:
    lab.tap_on()
    lab.work(200)
    lab.rest()
    lab.tap_off()


def use_machine_unseen(lab: Lab) -> None:
    """A session while there is no sync."""
    wait_until(lab.drained, 20, "an empty outbox")
    lab.manager.cut(SYNC)
    use_machine(lab)


def restart_sync_at(lab: Lab, url: str) -> None:
    lab.manager.cut(SYNC)
    lab.point_sync_at(url)
    lab.start_sync()


def test_a_sync_killed_between_delivery_and_acknowledgement_doubles_nothing(lab: Lab) -> None:
    """Each time it died the hub held records that the node believed unsent: the worst instant was hit."""
    ahead: list[int] = []

    def kill_sync() -> bool:
        if len(ahead) == DEATHS:
            return True
        ahead.append(len(lab.hub_journal()) - acked(lab))
        lab.kill(SYNC)
        return False

    with toll_booth(lab.hub_port, behind=kill_sync) as url:
        restart_sync_at(lab, url)
        for death in range(1, DEATHS + 1):
            use_machine(lab)
            wait_until(lambda n=death: len(ahead) >= n, 20, "a delivery")  # type: ignore[misc]
        assert len(check_books(lab)) == DEATHS
    assert all(count > 0 for count in ahead), ahead
    assert lab.starts(SYNC) >= 1 + DEATHS


def acked(lab: Lab) -> int:
    seq: int = lab.status()["journal"]["acked"]["seq"]
    return seq


def test_a_hub_killed_while_it_takes_records_in_has_each_of_them_once(lab: Lab) -> None:
    """At seeded instants after a batch came in: before, within or after its transaction. The booth counts the kills."""
    chance = random.Random(SEED)
    killed: list[int] = []

    def kill_hub_soon() -> None:
        if len(killed) < DEATHS:
            at_s = chance.random() * TAKE_IN_S
            threading.Timer(at_s, lambda: killed.append(lab.kill(HUB))).start()

    with toll_booth(lab.hub_port, before=kill_hub_soon) as url:
        restart_sync_at(lab, url)
        for death in range(1, DEATHS + 1):
            use_machine(lab)
            wait_until(lambda n=death: len(killed) >= n, 20, "a batch on its way")  # type: ignore[misc]
            lab.wait_running(HUB, death + 1)
        assert len(check_books(lab)) == DEATHS
    assert lab.starts(HUB) == 1 + DEATHS


@needs_strace
def test_a_hub_killed_between_commit_and_answer_has_each_record_once(lab: Lab) -> None:
    """The kernel kills it where it lets go of its writer's lock (the second flock), which is behind the
    commit: the database on the disk then holds what the node believes unsent."""
    use_machine_unseen(lab)
    had = len(lab.hub_journal())
    kill = "flock:signal=SIGKILL:when=2"
    lock = lab.root / "hub" / "hub.db.lock"
    with ExitStack() as stack:
        traced: list[bool] = []

        def trace_hub() -> None:
            if not traced:
                stack.enter_context(broken_disk(lab.pid(HUB), lock, kill, wal=False))
                traced.append(True)

        url = stack.enter_context(toll_booth(lab.hub_port, before=trace_hub))
        restart_sync_at(lab, url)
        wait_until(lambda: lab.manager.report(HUB).ending == "signal SIGKILL", 30, "a killed hub")
        lab.signal(SYNC, signal.SIGSTOP)
        assert len(lab.hub_journal()) > had, "committed"
        assert lab.status()["journal"]["unsent"] > 0, "and not acknowledged"
        lab.wait_running(HUB, 2)
        lab.signal(SYNC, signal.SIGCONT)
        assert len(check_books(lab)) == 1


def test_a_frozen_hub_or_sync_delays_the_records_and_nothing_else(lab: Lab) -> None:
    """While they are frozen the hub has no session: so they were."""
    for name in (HUB, SYNC):
        before = len(lab.sessions())
        lab.signal(name, signal.SIGSTOP)
        use_machine(lab)
        assert len(lab.sessions()) == before
        lab.signal(name, signal.SIGCONT)
        wait_until(lambda n=before: len(lab.sessions()) == n + 1, 30, "the session")  # type: ignore[misc]
    assert len(check_books(lab)) == 2
