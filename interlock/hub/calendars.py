"""iCalendar text (RFC 5545) to the bookings it means, and a machine's use and maintenance to iCalendar text.

Going out, nobody is named: "in use", "reserved", "maintenance". Coming in, recurring bookings are expanded for
60 days; a text that cannot be read whole is refused whole, because half a calendar looks like one from which
somebody took the other half away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from interlock.errors import ProtocolError

HORIZON = timedelta(days=60)
"""A booking tool shows a season; nodes are told three weeks (hub.demands)."""
EVENTS_MAX = 1_000
"""Sixteen bookings a day of one machine, for 60 days."""
COMPONENTS_MAX = 10_000
"""What a text of 2 MB can hold without being a calendar of one machine."""
TITLE_LENGTH_MAX = 100
KEY_BYTES = 32
TOO_OFTEN = frozenset({"SECONDLY", "MINUTELY", "HOURLY"})
"""Nobody books a machine so; a rule of seconds would keep the hub counting for hours."""
FIRST_YEAR = 2000
"""A daily rule from the Middle Ages has as many steps."""
PRODUCT = "-//Interlock//hub//EN"
EVERY_MINUTES = 15


@dataclass(frozen=True, slots=True)
class Booking:
    """One event as the calendar says it; `people` are the addresses of its attendees, in small letters."""

    key: str
    from_at: datetime
    until_at: datetime
    title: str
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """One line of a calendar that goes out: from, until, and words that name nobody."""

    uid: str
    from_at: datetime
    until_at: datetime
    words: str
    whole_day: bool = False


def bookings(content: bytes, zone: ZoneInfo, now: datetime) -> list[Booking]:
    """What the calendar says of the time from now to the horizon. Raises ProtocolError."""
    import icalendar
    import recurring_ical_events  # type: ignore[import-untyped]  # it has none

    try:
        calendars = icalendar.Calendar.from_ical(content, multiple=True)
        if len(calendars) != 1 or not isinstance(calendars[0], icalendar.Calendar):
            raise ProtocolError(_("this is no calendar"))
        calendar = calendars[0]
        too_many = len(calendar.subcomponents) > COMPONENTS_MAX
        if too_many or any(map(_is_wrong, calendar.walk())):
            raise ProtocolError(_("the calendar cannot be read whole"))
        found = _between(recurring_ical_events.of(calendar), now)
        read = [_booking(event, zone) for event in found if not _is_off(event)]
    except ProtocolError:
        raise
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise ProtocolError(_("the calendar cannot be read whole")) from error
    ahead = {one.key: one for one in read if one.until_at > max(now, one.from_at)}
    if len(ahead) > EVENTS_MAX:
        raise ProtocolError(_("the calendar holds too many bookings"))
    return sorted(ahead.values(), key=lambda one: (one.from_at, one.key))


def feed(name: str, slots: Iterable[Slot], now: datetime) -> bytes:
    """The machine's calendar as other programs subscribe to it."""
    import icalendar

    calendar = icalendar.Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", name)
    calendar.add("refresh-interval", timedelta(minutes=EVERY_MINUTES), {"VALUE": "DURATION"})
    for slot in slots:
        event = icalendar.Event()
        event.add("uid", slot.uid)
        event.add("dtstamp", now)
        event.add("summary", slot.words)
        event.add("dtstart", slot.from_at.date() if slot.whole_day else slot.from_at)
        event.add("dtend", slot.until_at.date() if slot.whole_day else slot.until_at)
        event.add("class", "PUBLIC")
        event.add("transp", "TRANSPARENT" if slot.whole_day else "OPAQUE")
        calendar.add_component(event)
    content: bytes = calendar.to_ical()
    return content


def _between(query: Any, now: datetime) -> Iterator[Any]:
    """The events, one by one: a rule that repeats every second is left in time."""
    for number, event in enumerate(query.after(now)):
        begins = event["DTSTART"].dt
        day = begins.date() if isinstance(begins, datetime) else begins
        if day > (now + HORIZON).date():
            return
        if number >= EVENTS_MAX:
            raise ProtocolError(_("the calendar holds too many bookings"))
        yield event


def _is_wrong(part: Any) -> bool:
    """Whether the library left something out because it could not read it, or a rule never ends."""
    if part.errors:
        return True
    if part.name != "VEVENT":
        return False
    rules = part.get("RRULE", [])
    often = {
        str(value).upper()
        for rule in (rules if isinstance(rules, list) else [rules])
        for value in rule.get("FREQ", [])
    }
    return bool(often & TOO_OFTEN) or "DTSTART" not in part or part.start.year < FIRST_YEAR


def _is_off(event: Any) -> bool:
    """Cancelled, or marked as no time taken."""
    said = {str(event.get(name, "")).upper() for name in ("STATUS", "TRANSP")}
    return bool(said & {"CANCELLED", "TRANSPARENT"})


def _booking(event: Any, zone: ZoneInfo) -> Booking:
    from_at, until_at = _instant(event.start, zone), _instant(event.end, zone)
    uid = str(event.get("UID", "")) + "|" + from_at.isoformat()
    return Booking(
        key=hashlib.blake2b(uid.encode(), digest_size=KEY_BYTES).hexdigest(),
        from_at=from_at,
        until_at=until_at,
        title=" ".join(str(event.get("SUMMARY", "")).split())[:TITLE_LENGTH_MAX],
        people=tuple(sorted(_people(event))),
    )


def _instant(at: date, zone: ZoneInfo) -> datetime:
    """A day begins where the lab is; a time without a zone is the lab's (RFC 5545, "floating")."""
    if not isinstance(at, datetime):
        at = datetime.combine(at, time.min)
    return at if at.tzinfo is not None else at.replace(tzinfo=zone)


def _people(event: Any) -> set[str]:
    """The addresses of those who come, but not of those who declined; who organises counts when nobody is
    named: many tools write the booker there."""
    named = event.get("ATTENDEE", [])
    attendees = named if isinstance(named, list) else [named]
    coming = {
        _address(one)
        for one in attendees
        if str(getattr(one, "params", {}).get("PARTSTAT", "")).upper() != "DECLINED"
    }
    organiser = {_address(event["ORGANIZER"])} if "ORGANIZER" in event else set()
    return {one for one in (coming or organiser) if "@" in one}


def _address(value: Any) -> str:
    return str(value).strip().casefold().removeprefix("mailto:")
