"""A report goes in; its figures as people read them come out: hours, euros, changes, and what is masked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from interlock.hub.pages import formats, words
from interlock.hub.reporting import indicators as of
from interlock.hub.reporting.drawing import Bar, shade
from interlock.hub.reporting.indicators import Indicator, Unit
from interlock.hub.reporting.periods import Period
from interlock.hub.reporting.report import Report, Section, Value

HOUR_MS = 3_600_000
ROWS_MAX = 20
"""Rows of one table on the page and on paper; the files have all of them."""
DASH = "–"
PARTS = 10_000
"""Occupancy is compared to the hundredth of a per cent."""


@dataclass(frozen=True, slots=True)
class ShownRow:
    """One row in words; `share` of the largest one, for its bar."""

    label: str
    value: str
    previous: str
    change: str
    share: float
    masked: bool


@dataclass(frozen=True, slots=True)
class ShownSection:
    """One table in words; `total` is empty where rows are not added up; `left_out` counts further rows."""

    id: str
    title: str
    definition: str
    rows: tuple[ShownRow, ...]
    total: str
    previous: str
    change: str
    left_out: int
    masked: bool


@dataclass(frozen=True, slots=True)
class Tile:
    """One headline figure; `trend` is up, down or nothing."""

    title: str
    value: str
    change: str
    trend: str
    previous: str


@dataclass(frozen=True, slots=True)
class WeekRow:
    """One weekday of the occupancy table: (per cent in words, how dark)."""

    label: str
    cells: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Week:
    """Occupancy by hour of the week."""

    hours: tuple[str, ...]
    rows: tuple[WeekRow, ...]


_TABLES: tuple[Indicator, ...] = (
    *(of.USE_BY_MACHINE, of.USE_BY_GROUP, of.USE_BY_PURPOSE, of.USE_BY_AGE),
    *(of.PEOPLE_BY_GROUP, of.PEOPLE_BY_AGE, of.PEOPLE_BY_GENDER, of.PEOPLE_BY_OCCUPATION),
    *(of.TRAININGS, of.TRAINED, of.TRAINING_TIME, of.ACTIVITIES, of.VISITORS),
    *(of.USE_BY_GRANT, of.SPONSORED_TIME, of.SPONSORED_MONEY, of.REFUSALS),
)
_HEADLINE: tuple[Indicator, ...] = (
    *(of.USE_BY_MACHINE, of.PEOPLE_BY_GROUP, of.NEW_PEOPLE, of.ORGANISATIONS),
    *(of.TRAINED, of.TRAINING_TIME, of.VISITORS, of.VOLUNTEER_TIME),
)
_SHORT: dict[Indicator, str | Promise] = {
    of.USE_BY_MACHINE: gettext_lazy("Hours of use"),
    of.PEOPLE_BY_GROUP: gettext_lazy("Different people"),
}
"""What a total is called where its rows are not seen."""


def headline(report: Report) -> list[Tile]:
    """The figures people remember, occupancy and the value of volunteers' time with them."""
    tiles = [_tile(report.section(one)) for one in _HEADLINE]
    return [*tiles, _availability(report), _occupancy(report), _sessions(report), _value(report)]


def sections(report: Report) -> list[ShownSection]:
    """The tables in their order; availability of machines among them."""
    shown = [_section(report.section(one)) for one in _TABLES]
    at = 1 + next(n for n, one in enumerate(shown) if one.id == of.USE_BY_MACHINE.id)
    return [*shown[:at], _available(report), *shown[at:]]


def months(report: Report) -> list[Bar]:
    """Hours by month, each with the month it is compared with."""
    return [
        Bar(
            label=row.key[5:] if len(row.key) > 5 else row.key,
            said=str(round((row.value.number or 0) / HOUR_MS)),
            number=row.value.number or 0,
            previous=row.previous.number or 0,
        )
        for row in report.section(of.USE_BY_MONTH).rows
    ]


def months_table(report: Report) -> ShownSection:
    """The same as a table."""
    return _section(report.section(of.USE_BY_MONTH), rows_max=130)


def week(report: Report) -> Week:
    """How full the lab was in each hour of the week it is open."""
    used = {row.key: row.value.number or 0 for row in report.section(of.OCCUPIED).rows}
    offered = {row.key: row.value.number or 0 for row in report.section(of.OPEN).rows}
    offered = {key: ms for key, ms in offered.items() if ms}
    hours = sorted({key.partition("-")[2] for key in offered})
    days = sorted({key.partition("-")[0] for key in offered})
    parts = {key: PARTS * used.get(key, 0) // ms for key, ms in offered.items()}
    fullest = max(parts.values(), default=0)
    rows = []
    for day in days:
        cells = []
        for hour in hours:
            part = parts.get(f"{day}-{hour}")
            said = "" if part is None else _percent(part, PARTS)
            cells.append((said, 0 if part is None else shade(part, fullest)))
        rows.append(WeekRow(str(words.WEEKDAYS[int(day)]), tuple(cells)))
    return Week(tuple(f"{int(hour)}{formats.SPACE}h" for hour in hours), tuple(rows))


def number(unit: Unit, value: Value) -> str:
    """A figure as people read it; "< 5" where it is masked."""
    if value.number is None:
        return gettext("masked")
    if unit == Unit.MILLISECONDS:
        return f"{_grouped(round(value.number / HOUR_MS))}{formats.SPACE}h"
    return formats.euros(value.number) if unit == Unit.CENTS else _grouped(value.number)


def change(value: Value, previous: Value) -> str:
    """By how many per cent it changed; a dash where nothing can be said."""
    if value.number is None or not previous.number:
        return DASH
    percent = round(100 * (value.number - previous.number) / previous.number)
    sign = "+" if percent > 0 else formats.MINUS if percent < 0 else ""
    return f"{sign}{_grouped(abs(percent))}{_percent_sign()}"


def period_words(period: Period) -> str:
    """`1 Jan 2026 – 31 Dec 2026`."""
    anywhere = ZoneInfo("UTC")
    first, last = (
        formats.day(datetime.combine(day, time(12), anywhere), anywhere)
        for day in (period.first, period.last)
    )
    return f"{first} – {last}"


def masking_words() -> str:
    """What is hidden, and why, for whoever reads the report."""
    return gettext(
        "Figures of fewer than five persons are masked, and with them whatever would tell them by "
        "difference. Organisations are not persons."
    )


def _tile(section: Section) -> Tile:
    one = section.indicator
    title = str(_SHORT.get(one, one.title))
    return Tile(
        title=title,
        value=number(one.unit, section.total),
        change=change(section.total, section.previous),
        trend=_trend(section.total, section.previous),
        previous=number(one.unit, section.previous),
    )


def _occupancy(report: Report) -> Tile:
    now, before = (_open_share(report, previous=previous) for previous in (False, True))
    return Tile(
        gettext("Occupancy of opening hours"),
        _percent(*now) if now[1] else DASH,
        "",
        "",
        _percent(*before) if before[1] else DASH,
    )


def _open_share(report: Report, *, previous: bool) -> tuple[int, int]:
    """Machine time used within the hours of the week that are offered, and all that is offered."""

    def values(indicator: Indicator) -> dict[str, int]:
        rows = report.section(indicator).rows
        return {row.key: (row.previous if previous else row.value).number or 0 for row in rows}

    offered, used = values(of.OPEN), values(of.OCCUPIED)
    return sum(used.get(key, 0) for key, ms in offered.items() if ms), sum(offered.values())


def _availability(report: Report) -> Tile:
    section = report.section(of.AVAILABLE)
    shares = []
    for previous in (False, True):
        total = (section.previous if previous else section.total).number or 0
        whole = _whole(report, previous=previous) * _machines_seen(section, previous=previous)
        shares.append(_percent(total, whole) if whole else DASH)
    return Tile(str(of.AVAILABLE.title), shares[0], "", "", shares[1])


def _machines_seen(section: Section, *, previous: bool) -> int:
    return sum(1 for row in section.rows if (row.previous if previous else row.value).number)


def _whole(report: Report, *, previous: bool) -> int:
    """Opening time of one machine over the period."""
    section = report.section(of.OPEN)
    total = (section.previous if previous else section.total).number or 0
    return total // max(1, len(report.section(of.AVAILABLE).rows))


def _sessions(report: Report) -> Tile:
    return _tile(report.section(of.SESSIONS))


def _value(report: Report) -> Tile:
    tile = _tile(report.section(of.VOLUNTEER_VALUE))
    rate = gettext("at %(rate)s an hour") % {"rate": formats.euros(report.cents_per_hour)}
    return Tile(f"{tile.title}, {rate}", tile.value, tile.change, tile.trend, tile.previous)


def _section(section: Section, rows_max: int = ROWS_MAX) -> ShownSection:
    one = section.indicator
    most = max((row.value.number or 0 for row in section.rows), default=0)
    kept = [row for row in section.rows if row.value.number != 0 or row.previous.number != 0]
    rows = tuple(
        ShownRow(
            row.label,
            number(one.unit, row.value),
            number(one.unit, row.previous),
            change(row.value, row.previous),
            (row.value.number or 0) / most if most else 0.0,
            row.value.is_masked,
        )
        for row in kept[:rows_max]
    )
    return ShownSection(
        id=one.id,
        title=str(one.title),
        definition=str(one.definition),
        rows=rows,
        total=number(one.unit, section.total),
        previous=number(one.unit, section.previous),
        change=change(section.total, section.previous),
        left_out=max(0, len(kept) - rows_max),
        masked=any(row.masked for row in rows),
    )


def _available(report: Report) -> ShownSection:
    """Availability in per cent, the worst machine first: that is the one to talk about."""
    section = report.section(of.AVAILABLE)
    wholes = [_whole(report, previous=previous) for previous in (False, True)]
    rows = sorted(section.rows, key=lambda row: (row.value.number or 0, row.label))
    shown = tuple(
        ShownRow(
            row.label,
            _percent(row.value.number or 0, wholes[0]) if wholes[0] else DASH,
            _percent(row.previous.number or 0, wholes[1]) if wholes[1] else DASH,
            "",
            (row.value.number or 0) / wholes[0] if wholes[0] else 0.0,
            masked=False,
        )
        for row in rows[:ROWS_MAX]
    )
    return ShownSection(
        id=of.AVAILABLE.id,
        title=str(of.AVAILABLE.title),
        definition=str(of.AVAILABLE.definition),
        rows=shown,
        total="",
        previous="",
        change="",
        left_out=max(0, len(rows) - ROWS_MAX),
        masked=False,
    )


def _trend(value: Value, previous: Value) -> str:
    if not value.number or not previous.number or value.number == previous.number:
        return ""
    return "up" if value.number > previous.number else "down"


def _percent(part: int, whole: int) -> str:
    return f"{round(100 * part / whole)}{_percent_sign()}" if whole else DASH


def _percent_sign() -> str:
    return f"{formats.SPACE}%" if formats.is_french() else "%"


def _grouped(amount: int) -> str:
    separator = formats.THIN_SPACE if formats.is_french() else ","
    return f"{amount:,}".replace(",", separator)
