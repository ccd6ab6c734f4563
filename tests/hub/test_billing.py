"""Stored sessions to stored lines: versions by date and group, days of the lab, late arrivals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings

from interlock.errors import ConfigError
from interlock.hub import ingest
from interlock.hub.billing import day_of
from interlock.hub.domain.labs import create_group
from interlock.hub.domain.machines import create_machine, set_tariff
from interlock.hub.domain.members import change_member
from interlock.hub.domain.nodes import enrol_node
from interlock.hub.domain.tariffs import Prices, create_tariff, set_prices
from interlock.hub.models import Alarm, AlarmKind, AuditRow, Basis, Line, Rounding, Session
from interlock.hub.permissions import Actor
from interlock.sim.clocks import VirtualClock
from tests.hub.journal import Journal
from tests.hub.lab import LAB_BEGAN_MS, SmallLab, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

HOUR_MS = 3_600_000


def report(lab: SmallLab, journal: Journal, since: int = 0) -> None:
    ingest.take(lab.enrolled.node, journal.wires(since), settings.HUB_CLOCK)


def at(hours: int) -> Actor:
    """The console, that many hours after the lab began."""
    return Actor(VirtualClock(wall_ms=LAB_BEGAN_MS + hours * HOUR_MS))


def journal_at(lab: SmallLab, hours: int) -> Journal:
    journal = Journal.of(lab.enrolled)
    journal.anchor(LAB_BEGAN_MS + hours * HOUR_MS)
    return journal


def cents() -> list[int]:
    return [line.cents for line in Line.objects.order_by("session__seq")]


def test_a_session_costs_what_was_in_force_when_it_began() -> None:
    lab = small_lab()
    set_prices(at(10), lab.tariff, Prices(cents_per_hour=2_400, forgive_s=0))
    journal = journal_at(lab, 1)
    journal.session(lab, 3_600)
    journal.boot_ms += 20 * HOUR_MS
    journal.session(lab, 3_600)
    report(lab, journal)
    assert cents() == [1_200, 2_400]


def test_a_group_pays_its_own_prices_from_their_own_date_on() -> None:
    lab = small_lab()
    students = create_group(at(1), lab.lab, "student", "Student")
    set_prices(at(10), lab.tariff, Prices(cents_per_hour=600, forgive_s=0), group=students)
    change_member(at(1), lab.member, group=students)
    journal = journal_at(lab, 2)
    journal.session(lab, 3_600)
    journal.boot_ms += 20 * HOUR_MS
    journal.session(lab, 3_600)
    report(lab, journal)
    assert cents() == [1_200, 600]


def test_a_session_before_any_price_costs_the_earliest_one_and_is_put_up_for_a_check() -> None:
    lab = small_lab()
    set_prices(at(10), lab.tariff, Prices(cents_per_hour=9_000, forgive_s=0))
    journal = journal_at(lab, -5)
    journal.session(lab, 3_600)
    report(lab, journal)
    assert cents() == [1_200]
    alarm = Alarm.objects.get()
    assert (alarm.kind, alarm.count) == (AlarmKind.SESSION_TO_CHECK, 1)
    assert alarm.detail.startswith("1.2:")
    # The day is priced again with its next session, which asks about nothing that was asked before.
    journal.boot_ms += 4 * HOUR_MS + HOUR_MS // 5
    journal.session(lab, 600)
    report(lab, journal, since=3)
    assert cents() == [1_200, 200]
    assert len(set(Line.objects.values_list("day", flat=True))) == 1
    assert Alarm.objects.get().count == 1


def test_a_group_whose_own_prices_come_later_pays_everybodys_until_then() -> None:
    lab = small_lab()
    students = create_group(at(1), lab.lab, "student", "Student")
    set_prices(at(10), lab.tariff, Prices(cents_per_hour=600, forgive_s=0), group=students)
    change_member(at(1), lab.member, group=students)
    journal = journal_at(lab, -5)
    journal.session(lab, 3_600)
    report(lab, journal)
    assert cents() == [1_200]


def test_a_machine_without_a_tariff_still_costs_nothing_and_says_so() -> None:
    lab = small_lab()
    set_tariff(at(1), lab.machine, None)
    journal = journal_at(lab, 2)
    journal.session(lab, 3_600)
    report(lab, journal)
    assert cents() == [0]
    assert [step["kind"] for step in Line.objects.get().steps] == ["no_tariff"]
    assert not Alarm.objects.exists()


def test_a_new_tariff_of_the_machine_leaves_sessions_that_arrived_alone() -> None:
    lab = small_lab(Prices(cents_per_hour=1_200, daily_cap_cents=5_000, forgive_s=0))
    journal = journal_at(lab, 2)
    journal.session(lab, 3_600)
    report(lab, journal)
    dear = create_tariff(at(1), lab.lab, "dear", "Dear", Prices(cents_per_hour=9_000, forgive_s=0))
    set_tariff(at(3), lab.machine, dear)
    journal.session(lab, 3_600)
    report(lab, journal, since=3)
    assert cents() == [1_200, 9_000]


def test_a_late_session_of_the_same_day_prices_that_day_again() -> None:
    lab = small_lab(Prices(cents_per_hour=1_200, daily_cap_cents=1_500, forgive_s=0))
    journal = journal_at(lab, 2)
    early = journal.start(lab)
    journal.boot_ms += HOUR_MS
    journal.session(lab, 3_600)
    report(lab, journal)
    # Until its node says more, `early` ended where the other began, with nothing proved.
    assert cents() == [0, 1_200]
    # The node was cut in `early` and closes it now; it ended before the other one.
    journal.end(early, 1_800, estimated=True)
    report(lab, journal, since=4)
    assert cents() == [600, 900]


@pytest.mark.parametrize("anchored", [True, False])
def test_a_session_that_arrives_after_the_machine_got_another_tariff_costs_what_it_cost_then(
    anchored: bool,
) -> None:
    """Also when the node learns only later that it was earlier than the new tariff."""
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    if anchored:
        journal.anchor(LAB_BEGAN_MS + 2 * HOUR_MS)
    journal.session(lab, 3_600)
    dear = create_tariff(at(1), lab.lab, "dear", "Dear", Prices(cents_per_hour=9_000, forgive_s=0))
    set_tariff(at(10), lab.machine, dear)
    report(lab, journal)
    if not anchored:
        assert cents() == [9_000]
        known = len(journal.records)
        journal.anchor(LAB_BEGAN_MS + 4 * HOUR_MS)
        report(lab, journal, since=known)
    assert cents() == [1_200]


def test_a_day_is_the_labs_own() -> None:
    lab = small_lab()
    half_past_eleven_utc = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)
    assert day_of(lab.lab, half_past_eleven_utc).isoformat() == "2026-07-02"


def test_an_unchanged_line_keeps_its_row_and_time() -> None:
    lab = small_lab()
    journal = journal_at(lab, 2)
    journal.session(lab, 3_600)
    report(lab, journal)
    before = Line.objects.values().get()
    journal.session(lab, 60)
    report(lab, journal, since=3)
    assert Line.objects.values().get(pk=before["id"]) == before


def test_a_company_pays_once_for_all_its_badges() -> None:
    lab = small_lab(Prices(cents_per_hour=1_200, daily_cap_cents=1_000, forgive_s=0))
    journal = journal_at(lab, 2)
    journal.session(lab, 3_600)
    report(lab, journal)
    assert {line.payer for line in Line.objects.all()} == {lab.member.payer}
    assert cents() == [1_000]


def test_busy_time_without_a_sensor_is_refused_from_every_side() -> None:
    lab = small_lab()
    busy = Prices(cents_per_hour=100, basis=Basis.BUSY)
    by_busy = create_tariff(at(1), lab.lab, "busy", "Busy", busy)
    with pytest.raises(ConfigError, match="no current sensor"):
        create_machine(at(1), lab.lab, "printer", "Printer", tariff=by_busy)
    blind = create_machine(at(1), lab.lab, "printer", "Printer", tariff=lab.tariff)
    with pytest.raises(ConfigError, match="no current sensor"):
        set_tariff(at(1), blind, by_busy)
    with pytest.raises(ConfigError, match="no current sensor"):
        set_prices(at(1), lab.tariff, busy)
    assert set_tariff(at(1), lab.machine, by_busy) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"cents_per_hour": -1},
        {"free_s": 86_401},
        {"rounding": Rounding.MINUTES, "rounding_min": 0},
        {"daily_cap_cents": -5},
    ],
)
def test_a_price_out_of_range_is_refused_and_nothing_is_written(wrong: dict[str, Any]) -> None:
    lab = small_lab()
    rows = AuditRow.objects.count()
    with pytest.raises(ConfigError, match="between"):
        set_prices(at(5), lab.tariff, Prices(**wrong))
    assert AuditRow.objects.count() == rows


def test_prices_of_the_past_cannot_be_changed() -> None:
    lab = small_lab()
    past = at(0).now() - timedelta(hours=1)
    with pytest.raises(ConfigError, match="used already"):
        set_prices(at(0), lab.tariff, Prices(), starts_at=past)


def test_an_open_session_has_no_line_yet() -> None:
    lab = small_lab()
    journal = journal_at(lab, 2)
    journal.progress(journal.start(lab), 60)
    report(lab, journal)
    assert Session.objects.get().enabled_ms == 60_000
    assert not Line.objects.exists()


def test_a_session_that_turns_out_to_be_of_another_day_gives_its_cap_back() -> None:
    lab = small_lab(Prices(cents_per_hour=1_200, daily_cap_cents=1_500, forgive_s=0))
    laser = create_machine(at(0), lab.lab, "laser", "Laser", tariff=lab.tariff)
    other = enrol_node(at(0), laser, "http://x")
    noon_ms = settings.HUB_CLOCK.wall_ms() // 86_400_000 * 86_400_000 + 12 * HOUR_MS
    clock = VirtualClock(wall_ms=noon_ms)
    unknown, known = Journal.of(lab.enrolled), Journal.of(other)
    unknown.session(lab, 3_600)
    ingest.take(lab.enrolled.node, unknown.wires(), clock)
    known.anchor(noon_ms)
    known.session(lab, 3_600)
    ingest.take(other.node, known.wires(), clock)

    def by_machine() -> dict[str, int]:
        lines = Line.objects.all()
        return {line.session.machine.slug: line.cents for line in lines if line.session}

    assert by_machine() == {"saw": 1_200, "laser": 300}
    unknown.anchor(noon_ms - 2 * 86_400_000)
    ingest.take(lab.enrolled.node, unknown.wires(2), clock)
    assert by_machine() == {"saw": 1_200, "laser": 1_200}
