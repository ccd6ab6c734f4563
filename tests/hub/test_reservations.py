"""Reservations from the hub to a node's decision, and when they travel: by the week, never by the minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings

from interlock.core.model import Granted, Reason
from interlock.errors import ConfigError
from interlock.hub.demands import WEEK_S, calendar_of
from interlock.hub.domain import members, reservations
from interlock.hub.models import AuditRow, Reservation
from interlock.hub.snapshots import current_version, refresh
from interlock.hub.watch import Picture, Watch
from interlock.protocol.demands import RESERVATIONS_MAX
from interlock.sim.clocks import VirtualClock
from tests.hub.decides import told
from tests.hub.lab import SmallLab, console, small_lab
from tests.waiting import wait_until

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

HOUR = timedelta(hours=1)


def now() -> datetime:
    return console().now().replace(microsecond=0)


def refuses(lab: SmallLab, when: datetime) -> Reason | None:
    said = told(lab).says(bytes(lab.badge.tag), when)
    return None if isinstance(said, Granted) else said


def test_a_reserved_machine_is_kept_for_its_member_and_for_nobody_where_nobody_is_named() -> None:
    lab = small_lab()
    other = members.create_member(console(), lab.lab, "Noor Haddad")
    begin = now() + HOUR
    reservations.reserve(console(), lab.machine, lab.member, begin, begin + HOUR, "Chairs")
    reservations.reserve(console(), lab.machine, other, begin + HOUR, begin + 2 * HOUR)
    reservations.reserve(console(), lab.machine, None, begin + 2 * HOUR, begin + 3 * HOUR, "Visit")
    second = timedelta(seconds=1)
    assert [
        refuses(lab, begin - second),
        refuses(lab, begin),
        refuses(lab, begin + HOUR),
        refuses(lab, begin + 2 * HOUR),
        refuses(lab, begin + 3 * HOUR - second),
        refuses(lab, begin + 3 * HOUR),
    ] == [None, None, *[Reason.RESERVED] * 3, None]


def test_a_reservation_taken_back_keeps_nobody_out_and_both_left_a_row() -> None:
    lab = small_lab()
    begin = now() + HOUR
    made = reservations.reserve(console(), lab.machine, None, begin, begin + HOUR)
    reservations.take_back(console(), made)
    assert refuses(lab, begin) is None
    rows = list(AuditRow.objects.order_by("-seq")[:2].values_list("action", "before", "after"))
    said = {
        "member": None,
        "from_at": int(begin.timestamp()),
        "until_at": int((begin + HOUR).timestamp()),
        "note": "",
    }
    assert rows == [("reservation_taken_back", said, None), ("reserved", None, said)]


def test_what_cannot_be_kept_is_refused() -> None:
    lab = small_lab()
    begin = now() + HOUR
    reservations.reserve(console(), lab.machine, None, begin, begin + HOUR)
    impossible = [
        (begin + HOUR, begin),
        (begin - 3 * HOUR, begin - 2 * HOUR),
        (begin + HOUR / 2, begin + 2 * HOUR),
        (begin + 2 * HOUR, begin + timedelta(days=32)),
        (begin + timedelta(days=800), begin + timedelta(days=801)),
    ]
    for from_at, until_at in impossible:
        with pytest.raises(ConfigError):
            reservations.reserve(console(), lab.machine, None, from_at, until_at)
    reservations.reserve(console(), lab.machine, None, begin + HOUR, begin + 2 * HOUR)
    assert Reservation.objects.count() == 2


def at_week(weeks: int, patch: pytest.MonkeyPatch) -> int:
    """The hub's clock stands an hour into the week that is so many ahead; its UTC second."""
    first = calendar_of(int(datetime(2027, 2, 10, tzinfo=UTC).timestamp()))
    second = (first + weeks) * WEEK_S + 3_600
    patch.setattr(settings, "HUB_CLOCK", VirtualClock(wall_ms=second * 1_000))
    return second


def test_one_that_is_far_off_travels_two_weeks_before_and_one_that_is_over_leaves_with_the_week(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab = small_lab()
    at_week(0, monkeypatch)
    version = current_version(lab.enrolled.node)
    begin = now() + timedelta(days=30)
    reservations.reserve(console(), lab.machine, None, begin, begin + HOUR)
    counts, versions = [], []
    for hours_on in range(0, 45 * 24, 12):
        second = at_week(0, monkeypatch) + hours_on * 3_600
        monkeypatch.setattr(settings, "HUB_CLOCK", VirtualClock(wall_ms=second * 1_000))
        refresh(lab.lab)
        found = told(lab).header
        counts.append(len(found.demands.reservations))
        versions.append(found.version)
        days_before = (begin.timestamp() - second) / 86_400
        if 0 <= days_before <= 14:
            assert counts[-1] == 1, f"{days_before} days before"
    # Nothing, then it, then nothing: two changes in 45 days, and none for the far-off one's making.
    assert sorted(set(versions)) == [version, (1, 2), (1, 3)]
    assert counts[0] == counts[-1] == 0


def test_a_machine_booked_out_still_has_a_list_that_its_node_reads() -> None:
    lab = small_lab()
    at = now()
    Reservation.objects.bulk_create(
        Reservation(
            lab=lab.lab,
            machine=lab.machine,
            from_at=at + number * timedelta(minutes=10),
            until_at=at + (number + 1) * timedelta(minutes=10),
        )
        for number in range(-5, RESERVATIONS_MAX + 5)
    )
    kept = told(lab).header.demands.reservations
    assert len(kept) == RESERVATIONS_MAX
    assert kept[0].until_at > at.timestamp()
    with pytest.raises(ConfigError, match="at most 500"):
        reservations.reserve(
            console(), lab.machine, None, at + timedelta(days=20), at + timedelta(days=21)
        )


@pytest.mark.django_db(transaction=True)
def test_the_hub_renews_its_lists_when_the_week_turns_though_nobody_changed_anything() -> None:
    lab = small_lab()
    node = lab.enrolled.node.pk
    real = settings.HUB_CLOCK
    with pytest.MonkeyPatch.context() as patch:
        clock = VirtualClock(wall_ms=at_week(0, patch) * 1_000)
        patch.setattr(settings, "HUB_CLOCK", clock)
        begin = now() + timedelta(days=24)
        reservations.reserve(console(), lab.machine, None, begin, begin + HOUR)
        pictures: list[Picture] = []
        watch = Watch(pictures.append, clock)
        watch.start()
        try:
            wait_until(lambda: pictures and pictures[-1].versions.get(node) == (1, 1))
            clock.set_wall_ms(clock.wall_ms() + WEEK_S * 1_000)
            wait_until(lambda: pictures[-1].versions.get(node) == (1, 2))
        finally:
            watch.stop()
    assert settings.HUB_CLOCK is real
