"""A report goes in; the JSON that funders add up, and one table for CSV and XLSX, come out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from django.utils.translation import gettext

from interlock.hub.models import Lab, VolunteerTime
from interlock.hub.reporting.indicators import Unit
from interlock.hub.reporting.periods import Period
from interlock.hub.reporting.report import Report, Section, Value
from interlock.hub.tables import Cell, Column, Kind, Table

FORMAT = "interlock-report"
FORMAT_VERSION = 1
HOUR_MS = 3_600_000
HOURS_DIGITS = 2


def to_json(report: Report) -> bytes:
    """The report for programs: whole numbers, null where a figure is masked. What `adds_up` may be added
    across labs and across periods that do not overlap, key by key."""
    return json.dumps(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "lab": {"id": report.lab.slug, "name": report.lab.name},
            "time_zone": report.lab.time_zone,
            "period": _period(report.period),
            "previous_period": _period(report.previous),
            "made_on": report.made_on.isoformat(),
            "volunteer_cents_per_hour": report.cents_per_hour,
            "indicators": [_indicator(section) for section in report.sections],
        },
        ensure_ascii=False,
        indent=2,
    ).encode()


def to_table(report: Report) -> Table:
    """One line for each figure; times in hours, money in euros, an empty cell where a figure is masked."""
    return Table(
        title=gettext("Report"),
        columns=(
            Column(gettext("Indicator")),
            Column(gettext("Version"), Kind.NUMBER),
            Column(gettext("What")),
            Column(gettext("Of")),
            Column(gettext("Unit")),
            Column(_named(report.period), Kind.NUMBER),
            Column(_named(report.previous), Kind.NUMBER),
            Column(gettext("Note")),
        ),
        rows=list(_lines(report)),
    )


def time_sheets(lab: Lab, period: Period) -> Table:
    """Who gave which time for what, with its value: what an auditor asks for behind accounts 86 and 87."""
    rate = lab.volunteer_cents_per_hour
    given = VolunteerTime.objects.filter(
        lab=lab,
        done_on__gte=period.first,
        done_on__lt=period.end,
        state=VolunteerTime.State.CONFIRMED,
    )
    rows = given.order_by("done_on", "pk").values_list("done_on", "member__name", "task", "minutes")
    return Table(
        title=gettext("Volunteer hours"),
        columns=(
            Column(gettext("Day"), Kind.DAY),
            Column(gettext("Name")),
            Column(gettext("Task")),
            Column(gettext("Hours"), Kind.NUMBER),
            Column(gettext("Rate per hour"), Kind.EUROS),
            Column(gettext("Value"), Kind.EUROS),
        ),
        rows=[
            (
                day,
                name or gettext("erased"),
                task,
                round(minutes / 60, HOURS_DIGITS),
                rate,
                (2 * minutes * rate + 60) // 120,
            )
            for day, name, task, minutes in rows
        ],
    )


def _period(period: Period) -> dict[str, str]:
    return {"first": period.first.isoformat(), "last": period.last.isoformat()}


def _indicator(section: Section) -> dict[str, Any]:
    one = section.indicator
    return {
        "id": one.id,
        "version": one.version,
        "title": str(one.title),
        "definition": str(one.definition),
        "unit": one.unit.value,
        "adds_up": one.adds_up,
        "total": section.total.number,
        "previous_total": section.previous.number,
        "rows": [
            {
                "key": row.key,
                "label": row.label,
                "value": row.value.number,
                "previous": row.previous.number,
            }
            for row in section.rows
        ],
    }


def _lines(report: Report) -> Iterator[Sequence[Cell]]:
    units = {
        Unit.COUNT: gettext("number"),
        Unit.MILLISECONDS: gettext("hours"),
        Unit.CENTS: gettext("euros"),
    }
    for section in report.sections:
        one = section.indicator
        head = (one.id, one.version, str(one.title))
        parts = [(row.label, row.value, row.previous) for row in section.rows]
        for label, value, previous in [*parts, (gettext("Total"), section.total, section.previous)]:
            masked = value.is_masked or previous.is_masked
            yield (
                *head,
                label,
                units[one.unit],
                _number(one.unit, value),
                _number(one.unit, previous),
                gettext("masked: fewer than five persons") if masked else "",
            )


def _number(unit: Unit, value: Value) -> int | float | None:
    if value.number is None:
        return None
    if unit == Unit.MILLISECONDS:
        return round(value.number / HOUR_MS, HOURS_DIGITS)
    return value.number / 100 if unit == Unit.CENTS else value.number


def _named(period: Period) -> str:
    return f"{period.first.isoformat()} – {period.last.isoformat()}"
