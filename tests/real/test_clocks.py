"""Wall clocks that are wrong and jump by months in; the same minutes, rights and refusals out."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from interlock.clock import SystemClock, perf_us
from interlock.sim.node import BOOT_FILE
from interlock.sim.supervised import NODE_NICE
from tests.real.accounts import check_books
from tests.real.clock_main import IN_1970, WALL_FILE
from tests.real.lab import NODE, Lab
from tests.waiting import wait_until

pytestmark = pytest.mark.real

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
MONTHS_BACK, MONTHS_AHEAD, YEAR_AHEAD = -240 * DAY_S, 210 * DAY_S, 365 * DAY_S
"""The sample lab's memberships end in 300 days: before the third of them."""

WORK_MS = 700


class WrongLab(Lab):
    """A lab whose Pi has a clock that can be set to anything at any time."""

    def start_node(self) -> None:
        at = (str(self.folder.node_toml), str(self.world_folder))
        command = (sys.executable, "-m", "tests.real.clock_main", *at)
        unit = replace(self._unit(NODE, "sim", "node"), command=command, nice=NODE_NICE)
        self.manager.start(unit)

    def set_wall(self, offset_s: int | None) -> None:
        """The Pi's wall clock is so many seconds wrong from now on; None: it began in 1970."""
        new = self.world_folder / f"{WALL_FILE}.new"
        new.write_text(IN_1970 if offset_s is None else str(offset_s * 1_000), encoding="ascii")
        new.replace(self.world_folder / WALL_FILE)

    def boot(self, *, on_for_s: int = 0) -> None:
        """The Pi's power was cut, and it has been on again for so long when its node starts."""
        self.cut_power()
        boot_id = f"boot-{len(self.boots)}-{perf_us()}"
        powered_on_ms = self.clock.boot_ms() - on_for_s * 1_000
        self.boots[boot_id] = perf_us() - on_for_s * 1_000_000
        (self.world_folder / BOOT_FILE).write_text(f"{boot_id} {powered_on_ms}\n", encoding="ascii")
        self.hands.ask("pi", on=True)
        self.start_node()
        self.start_sync()
        self.wait_running(NODE)
        self.locked()

    def is_trusted(self) -> bool:
        """Whether the node was told the time in this boot."""
        clock = self.status().get("clock", {})
        return bool(clock.get("trusted"))

    def refuses(self, badge: str, reason: str) -> None:
        """The badge is refused with these words, and nothing gets power."""
        before = len(self.spans("relay"))
        self.tap(badge)
        self.shows(reason)
        self.locked()
        assert len(self.spans("relay")) == before


@contextmanager
def wrong_lab(template: Path) -> Iterator[WrongLab]:
    """A lab that knows its rights, its Pi in 1970 and its network unplugged."""
    root = Path(tempfile.mkdtemp(prefix="il-"))
    try:
        shutil.copytree(template, root, dirs_exist_ok=True)
        lab = WrongLab(root)
        with lab:
            lab.cable.unplug(silent=False)
            lab.set_wall(None)
            lab.start()
            lab.locked()
            yield lab
    finally:
        shutil.rmtree(root, ignore_errors=True)


def test_a_wall_clock_that_jumps_by_months_in_mid_session_changes_no_bill_and_gives_no_right(
    template: Path,
) -> None:
    """First without a word of the hub since power came back, then with it. The world's own physics say how
    long each session was; the dates at the hub are those of the hub."""
    began_at = _now()
    with wrong_lab(template) as lab:
        _use_while_it_jumps(lab, MONTHS_AHEAD, MONTHS_BACK)
        # What ended stays ended, also by a clock of before its end.
        for offset_s in (MONTHS_BACK, None):
            lab.set_wall(offset_s)
            lab.refuses("membership-over", "MEMBERSHIP_EXPIRED")
            lab.refuses("expired", "TRAINING_EXPIRED")
        # Nobody knows better than a clock that says everything is over: it ends rights, and cuts nobody.
        _use_while_it_jumps(lab, YEAR_AHEAD)
        lab.refuses("trained", "MEMBERSHIP_EXPIRED")
        assert not lab.is_trusted()

        lab.cable.plug()
        wait_until(lab.is_trusted, 30, "a node that was told the time")
        # From here on the Pi's own clock, still a year ahead, is asked by nobody.
        _use_while_it_jumps(lab, MONTHS_BACK, None, YEAR_AHEAD)
        lab.refuses("membership-over", "MEMBERSHIP_EXPIRED")
        uses = check_books(lab)
        assert [use.ended["how"] for use in uses] == ["tap_off"] * 3
        assert len(lab.spans("relay")) == 3, "no jump opened or closed it"
        for row in lab.sessions():
            for name in ("started_at", "ended_at"):
                at = datetime.fromisoformat(row[name]).replace(tzinfo=UTC)
                assert began_at - timedelta(seconds=2) <= at <= _now(), (name, row)
        assert not any(row["provisional"] for row in lab.sessions())


def test_rights_last_72_powered_hours_without_the_hub_whatever_the_clock_says(
    template: Path,
) -> None:
    """The saw is hazardous, and the internet down while the power goes twice; every boot begins in 1970. The
    days before the second cut count: neither the clock nor a restart makes the list of rights younger."""
    with wrong_lab(template) as lab:
        lab.boot(on_for_s=3 * DAY_S - HOUR_S)
        _use_while_it_jumps(lab, MONTHS_BACK)
        lab.boot(on_for_s=HOUR_S + 60)
        for offset_s in (None, 0, MONTHS_BACK):
            lab.set_wall(offset_s)
            lab.refuses("trained", "CACHE_STALE")
        lab.cable.plug()
        wait_until(lambda: lab.status()["cache"]["age_s"] < HOUR_S, 30, "a fresh list of rights")
        _use_while_it_jumps(lab, MONTHS_BACK)
        assert len(check_books(lab)) == 2


def _use_while_it_jumps(lab: WrongLab, *offsets_s: int | None) -> None:
    """A session in which the wall clock is set to one offset after the other; the machine works on."""
    lab.locked()
    lab.tap_on()
    lab.work(WORK_MS)
    for offset_s in offsets_s:
        lab.set_wall(offset_s)
        lab.idle_for(WORK_MS)
        assert lab.world()["motor"], f"stopped when the clock was set {offset_s} s wrong"
    lab.rest()
    lab.tap_off()


def _now() -> datetime:
    return datetime.fromtimestamp(SystemClock().wall_ms() / 1_000, UTC)
