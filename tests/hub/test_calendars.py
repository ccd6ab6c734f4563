"""Booking calendars to reservations: matched, shown, vanished, and never deleted by a bad calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import icalendar
import pytest

from interlock.errors import ConfigError, ProtocolError
from interlock.hub import calendars
from interlock.hub.calendars import Slot
from interlock.hub.domain import bookings, members, reservations
from interlock.hub.models import AuditRow, CalendarEvent, CalendarSource, Reservation
from tests.hub.lab import SmallLab, console, small_lab
from tests.hub.web_server import WebServer, web_server

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

HOUR = timedelta(hours=1)
PARIS = ZoneInfo("Europe/Paris")
NOW = datetime(2026, 3, 27, 9, 0, tzinfo=UTC)


def event(uid: str, begin: datetime, *lines: str, title: str = "", length: timedelta = HOUR) -> str:
    stamp = "%Y%m%dT%H%M%SZ"
    return "\r\n".join(
        [
            "BEGIN:VEVENT",
            f"UID:{uid}",
            f"DTSTART:{begin.astimezone(UTC).strftime(stamp)}",
            f"DTEND:{(begin + length).astimezone(UTC).strftime(stamp)}",
            f"SUMMARY:{title}",
            *lines,
            "END:VEVENT",
        ]
    )


def calendar(*events: str) -> bytes:
    head = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:test"
    return "\r\n".join([head, *events, "END:VCALENDAR", ""]).encode()


def attendee(address: str, how: str = "ACCEPTED") -> str:
    return f"ATTENDEE;PARTSTAT={how}:mailto:{address}"


def read(content: bytes, now: datetime = NOW) -> list[calendars.Booking]:
    return calendars.bookings(content, PARIS, now)


# ---------------------------------------------------------------------------------- reading a text


def test_a_weekly_booking_is_expanded_for_sixty_days_and_keeps_its_hour_in_summer() -> None:
    """The clocks go forward on 29 March 2026."""
    rule = "\r\n".join(
        [
            "BEGIN:VEVENT",
            "UID:weekly",
            "DTSTART;TZID=Europe/Paris:20260302T100000",
            "DTEND;TZID=Europe/Paris:20260302T113000",
            "RRULE:FREQ=WEEKLY",
            "EXDATE;TZID=Europe/Paris:20260413T100000",
            "END:VEVENT",
        ]
    )
    found = read(calendar(rule))
    local = [one.from_at.astimezone(PARIS) for one in found]
    assert [f"{at:%d.%m. %H:%M}" for at in local] == [
        *("30.03. 10:00", "06.04. 10:00", "20.04. 10:00", "27.04. 10:00"),
        *("04.05. 10:00", "11.05. 10:00", "18.05. 10:00", "25.05. 10:00"),
    ]
    assert len({one.key for one in found}) == 8
    assert {one.until_at - one.from_at for one in found} == {timedelta(hours=1, minutes=30)}


def test_one_that_runs_now_counts_and_what_is_over_cancelled_or_far_away_does_not() -> None:
    found = read(
        calendar(
            event("running", NOW - HOUR / 2),
            event("over", NOW - 3 * HOUR),
            event("far", NOW + timedelta(days=70)),
            event("off", NOW + HOUR, "STATUS:CANCELLED"),
            event("free", NOW + HOUR, "TRANSP:TRANSPARENT"),
        )
    )
    assert [one.from_at for one in found] == [NOW - HOUR / 2]


def test_a_whole_day_is_the_lab_s_day_and_a_time_without_zone_the_lab_s_time() -> None:
    day = "BEGIN:VEVENT\r\nUID:d\r\nDTSTART;VALUE=DATE:20260401\r\nEND:VEVENT"
    bare = "BEGIN:VEVENT\r\nUID:f\r\nDTSTART:20260402T100000\r\nDURATION:PT2H\r\nEND:VEVENT"
    found = read(calendar(day, bare))
    assert [(one.from_at.astimezone(UTC), one.until_at - one.from_at) for one in found] == [
        (datetime(2026, 3, 31, 22, tzinfo=UTC), timedelta(days=1)),
        (datetime(2026, 4, 2, 8, tzinfo=UTC), timedelta(hours=2)),
    ]


def test_who_comes_counts_who_declined_does_not_and_the_organiser_only_when_nobody_is_named() -> (
    None
):
    found = read(
        calendar(
            event("1", NOW + HOUR, attendee("Ada@Example.org"), attendee("bo@x.org", "DECLINED")),
            event("2", NOW + 2 * HOUR, "ORGANIZER:mailto:cy@x.org"),
            event("3", NOW + 3 * HOUR, "ORGANIZER:mailto:cy@x.org", attendee("ada@example.org")),
        )
    )
    assert [one.people for one in found] == [
        ("ada@example.org",),
        ("cy@x.org",),
        ("ada@example.org",),
    ]


GOOD = calendar(event("1", NOW + HOUR))


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"<html>sign in</html>", b"\x00\xff\xfe", GOOD[:-20], GOOD[:60], GOOD + GOOD),
        calendar(event("1", NOW + HOUR).replace("DTSTART:2026", "DTSTART:20x6")),
        calendar(event("1", NOW + HOUR).replace("\r\nEND:VEVENT", "")),
        calendar("BEGIN:VEVENT\r\nUID:1\r\nSUMMARY:x\r\nEND:VEVENT"),
        calendar(event("1", NOW + HOUR, "RRULE:FREQ=SECONDLY")),
        calendar(event("1", NOW + HOUR, "RRULE:FREQ=MINUTELY;INTERVAL=5")),
        calendar(event("1", NOW + HOUR, "RRULE:FREQ=NEVER")),
        calendar(event("1", datetime(1601, 1, 1, tzinfo=UTC), "RRULE:FREQ=DAILY")),
        calendar(*(event(f"{n}", NOW + n * timedelta(minutes=60)) for n in range(1_002))),
    ],
    ids=lambda content: f"{content[-40:]!r}",
)
def test_a_calendar_that_cannot_be_read_whole_is_not_read_at_all(content: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(content)


def test_our_own_feed_is_read_back_by_the_same_library() -> None:
    slots = [
        Slot("a", NOW, NOW + HOUR, "in use; “really”, yes"),
        Slot("b", NOW, NOW + timedelta(days=1), "maintenance", whole_day=True),
    ]
    back = icalendar.Calendar.from_ical(calendars.feed("Scie à format", slots, NOW))
    assert isinstance(back, icalendar.Calendar)
    assert str(back["X-WR-CALNAME"]) == "Scie à format"
    said = [(str(one["UID"]), str(one["SUMMARY"]), one.start) for one in back.events]
    assert said == [("a", "in use; “really”, yes", NOW), ("b", "maintenance", NOW.date())]


# ----------------------------------------------------------------------- from a server to the nodes


@pytest.fixture
def lab() -> SmallLab:
    return small_lab()


def now() -> datetime:
    return console().now().replace(microsecond=0)


def booked(lab: SmallLab) -> list[tuple[str, datetime]]:
    kept = Reservation.objects.filter(machine=lab.machine).select_related("member")
    return [(one.member.name if one.member else "", one.from_at) for one in kept]


def lost() -> list[tuple[str, str]]:
    rows = CalendarEvent.objects.filter(reservation=None)
    return list(rows.values_list("title", "why"))


def source_of(lab: SmallLab, server: WebServer) -> CalendarSource:
    allowed = [f"127.0.0.1:{server.port}"]
    return bookings.set_source(console(), lab.machine, f"{server.url}/saw.ics", allowed)


def sync(lab: SmallLab, server: WebServer, content: bytes, status: int = 200) -> bool:
    server.says("/saw.ics", content, status)
    source = source_of(lab, server)
    return bookings.read(console(), source, [f"127.0.0.1:{server.port}"])


def test_a_booking_is_its_member_s_by_address_or_whole_name_and_otherwise_nobody_s(
    lab: SmallLab,
) -> None:
    begin = now() + timedelta(days=1)
    members.create_member(console(), lab.lab, "Bo Li", email="bo@example.org")
    members.create_member(console(), lab.lab, "Bo Lindqvist")
    members.create_member(console(), lab.lab, "Jean Petit", email="j1@example.org")
    members.create_member(console(), lab.lab, "Jean Petit", email="j2@example.org")
    with web_server() as server:
        assert sync(
            lab,
            server,
            calendar(
                event("1", begin, attendee("ADA@example.org"), title="whatever"),
                event("2", begin + 2 * HOUR, title="Scie (Bo Li)"),
                event("3", begin + 4 * HOUR, title="Bo"),
                event("4", begin + 6 * HOUR, title="Jean Petit"),
                event("5", begin + 8 * HOUR, attendee("stranger@x.org"), title="Ada Martin"),
                event("6", begin + 10 * HOUR, title="Jean Petit"),
                event(
                    "7", begin + 12 * HOUR, attendee("bo@example.org"), attendee("j1@example.org")
                ),
            ),
        )
    assert booked(lab) == [
        ("Ada Martin", begin),
        ("Bo Li", begin + 2 * HOUR),
        ("Ada Martin", begin + 8 * HOUR),
    ]
    assert lost() == [
        ("Bo", "nobody"),
        ("Jean Petit", "several"),
        ("Jean Petit", "several"),
        ("", "several"),
    ]
    titles = CalendarEvent.objects.exclude(reservation=None).values_list("title", flat=True)
    assert set(titles) == {""}, "a title is kept only where somebody has to look at it"


def test_what_vanishes_from_the_calendar_is_reserved_no_more_and_our_own_stay(
    lab: SmallLab,
) -> None:
    begin = now() + timedelta(days=1)
    reservations.reserve(console(), lab.machine, None, begin + 5 * HOUR, begin + 6 * HOUR)
    mine = event("1", begin, attendee("ada@example.org"))
    other = event("2", begin + 2 * HOUR, attendee("ada@example.org"))
    with web_server() as server:
        sync(lab, server, calendar(mine, other))
        assert len(booked(lab)) == 3
        sync(lab, server, calendar(mine))
        assert [at for _name, at in booked(lab)] == [begin, begin + 5 * HOUR]
        # The same again changes nothing, and nobody is told of anything.
        rows = AuditRow.objects.count()
        sync(lab, server, calendar(mine))
        assert AuditRow.objects.count() == rows
        sync(lab, server, calendar())
    assert [at for _name, at in booked(lab)] == [begin + 5 * HOUR]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 200),
        (b"<html>", 200),
        (b"oops", 500),
        (b"", 404),
        (GOOD[:-20], 200),
        (b"x" * 2_100_000, 200),
    ],
    ids=["empty", "html", "500", "404", "cut", "huge"],
)
def test_a_calendar_that_cannot_be_read_deletes_nothing_and_says_why(
    lab: SmallLab, content: bytes, status: int
) -> None:
    begin = now() + timedelta(days=1)
    with web_server() as server:
        sync(lab, server, calendar(event("1", begin, attendee("ada@example.org"))))
        before = booked(lab)
        assert not sync(lab, server, content, status)
    assert booked(lab) == before == [("Ada Martin", begin)]
    source = CalendarSource.objects.get()
    assert source.trouble
    assert source.tried_at is not None
    assert source.read_at is not None


def test_a_server_that_is_gone_deletes_nothing(lab: SmallLab) -> None:
    begin = now() + timedelta(days=1)
    with web_server() as server:
        sync(lab, server, calendar(event("1", begin, attendee("ada@example.org"))))
        allowed = [f"127.0.0.1:{server.port}"]
    assert not bookings.read(console(), CalendarSource.objects.get(), allowed)
    assert booked(lab) == [("Ada Martin", begin)]


def test_a_booking_that_moves_or_changes_hands_moves_its_reservation(lab: SmallLab) -> None:
    begin = now() + timedelta(days=1)
    members.create_member(console(), lab.lab, "Bo Li", email="bo@example.org")
    with web_server() as server:
        sync(lab, server, calendar(event("1", begin, attendee("ada@example.org"))))
        sync(lab, server, calendar(event("1", begin + HOUR, attendee("ada@example.org"))))
        assert booked(lab) == [("Ada Martin", begin + HOUR)]
        sync(lab, server, calendar(event("1", begin + HOUR, attendee("bo@example.org"))))
    assert booked(lab) == [("Bo Li", begin + HOUR)]


def test_a_booking_over_our_own_reservation_is_shown_and_comes_when_there_is_room(
    lab: SmallLab,
) -> None:
    begin = now() + timedelta(days=1)
    ours = reservations.reserve(console(), lab.machine, None, begin, begin + HOUR)
    booking = calendar(event("1", begin, attendee("ada@example.org"), title="Ada"))
    with web_server() as server:
        sync(lab, server, booking)
        assert lost() == [("Ada", "taken")]
        reservations.take_back(console(), ours)
        sync(lab, server, booking)
    assert booked(lab) == [("Ada Martin", begin)]


def test_a_stranger_who_becomes_a_member_gets_their_booking(lab: SmallLab) -> None:
    begin = now() + timedelta(days=1)
    booking = calendar(event("1", begin, attendee("new@example.org"), title="New"))
    with web_server() as server:
        sync(lab, server, booking)
        assert lost() == [("New", "nobody")]
        members.create_member(console(), lab.lab, "New One", email="new@example.org")
        sync(lab, server, booking)
    assert (booked(lab), lost()) == ([("New One", begin)], [])


def test_an_imported_reservation_is_taken_back_where_it_was_made(lab: SmallLab) -> None:
    begin = now() + timedelta(days=1)
    with web_server() as server:
        sync(lab, server, calendar(event("1", begin, attendee("ada@example.org"))))
    with pytest.raises(ConfigError, match="booking calendar"):
        reservations.take_back(console(), Reservation.objects.get())
    bookings.remove_source(console(), CalendarSource.objects.get())
    assert booked(lab) == []


def test_the_calendar_s_address_is_in_no_log(lab: SmallLab) -> None:
    with web_server() as server:
        source_of(lab, server)
        rows = AuditRow.objects.values_list("before", "after", "subject", "why")
        assert not any("saw.ics" in str(row) for row in rows)
