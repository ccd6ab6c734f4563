"""The figures of a period and of the one before go in; the report comes out: what may be shown, in words.

Everything that shows a report (page, PDF, CSV, XLSX, JSON) is made from this, so that they cannot differ,
and none of them can show what masking.py hides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from django.utils.translation import gettext

from interlock.core.model import Reason
from interlock.hub import rollup
from interlock.hub.models import Activity, Lab, Profile, Public, Purpose
from interlock.hub.pages import words
from interlock.hub.reporting import indicators as of
from interlock.hub.reporting.figures import NOBODY, Figures, figures_of
from interlock.hub.reporting.indicators import Indicator
from interlock.hub.reporting.masking import Hidden, hidden
from interlock.hub.reporting.periods import Period


@dataclass(frozen=True, slots=True)
class Value:
    """A number, or None where it is masked: a group of fewer than five, or one that would tell it."""

    number: int | None

    @property
    def is_masked(self) -> bool:
        """Whether it is not shown."""
        return self.number is None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a section: a machine, a group, an hour of the week …"""

    key: str
    label: str
    value: Value
    previous: Value


@dataclass(frozen=True, slots=True)
class Section:
    """One indicator: its rows, the largest first where they have no order of their own, and its total."""

    indicator: Indicator
    rows: tuple[Row, ...]
    total: Value
    previous: Value


@dataclass(frozen=True, slots=True)
class Report:
    """Everything of one lab and period."""

    lab: Lab
    period: Period
    previous: Period
    made_on: date
    cents_per_hour: int
    sections: tuple[Section, ...]

    def section(self, indicator: Indicator) -> Section:
        """The section of that indicator."""
        return next(one for one in self.sections if one.indicator == indicator)


def report_of(lab: Lab, period: Period, today: date) -> Report:
    """The report as it is now: days whose sessions changed are added up first."""
    rollup.refresh(lab)
    rate = lab.volunteer_cents_per_hour
    now = figures_of(lab, period, today, cents_per_hour=rate)
    before = figures_of(lab, period.previous, today, cents_per_hour=rate)
    sections = tuple(_section(one, now, before) for one in SECTIONS)
    return Report(lab, period, period.previous, today, rate, sections)


SECTIONS: tuple[Indicator, ...] = (
    *(of.USE_BY_MACHINE, of.USE_BY_MONTH, of.USE_BY_GROUP, of.USE_BY_PURPOSE, of.USE_BY_AGE),
    *(of.SESSIONS, of.PEOPLE_BY_GROUP, of.PEOPLE_BY_AGE, of.PEOPLE_BY_GENDER),
    *(of.PEOPLE_BY_OCCUPATION, of.NEW_PEOPLE, of.ORGANISATIONS),
    *(of.TRAININGS, of.TRAINED, of.TRAINING_TIME, of.ACTIVITIES, of.VISITORS),
    *(of.OCCUPIED, of.OPEN, of.AVAILABLE, of.USE_BY_GRANT),
    *(of.SPONSORED_TIME, of.SPONSORED_MONEY, of.VOLUNTEER_TIME, of.VOLUNTEER_VALUE),
    of.REFUSALS,
)
"""Every indicator, in the order of the report."""

_IN_THEIR_OWN_ORDER = frozenset(
    {of.USE_BY_MONTH, of.OCCUPIED, of.OPEN, of.USE_BY_AGE, of.PEOPLE_BY_AGE}
)


def _section(indicator: Indicator, now: Figures, before: Figures) -> Section:
    values, earlier = now.values[indicator.id], before.values[indicator.id]
    if indicator == of.USE_BY_MONTH:
        earlier = _shifted(values, earlier)
    masks = [_hidden(indicator, one) for one in (now, before)]
    names = {**before.names.get(indicator.id, {}), **now.names.get(indicator.id, {})}
    keys = sorted({*values, *earlier})
    if indicator not in _IN_THEIR_OWN_ORDER:
        keys.sort(key=lambda key: (key == NOBODY, -values.get(key, 0), key))
    rows = tuple(
        Row(
            key,
            _label(indicator, key, names),
            _value(values.get(key, 0), key in masks[0].keys),
            _value(earlier.get(key, 0), key in masks[1].keys),
        )
        for key in keys
    )
    totals = [
        one.totals.get(indicator.id, sum(one.values[indicator.id].values()))
        for one in (now, before)
    ]
    return Section(
        indicator, rows, _value(totals[0], masks[0].total), _value(totals[1], masks[1].total)
    )


def _hidden(indicator: Indicator, counted: Figures) -> Hidden:
    persons = counted.persons.get(indicator.id)
    if persons is None:
        return Hidden(frozenset(), total=False)
    if indicator == of.NEW_PEOPLE:
        persons = {NOBODY: counted.totals[indicator.id]}
    return hidden(
        persons, counted.totals.get(indicator.id) if indicator.id[:6] == "people" else None
    )


def _value(number: int, is_masked: bool) -> Value:
    return Value(None if is_masked else number)


def _shifted(values: Mapping[str, int], earlier: Mapping[str, int]) -> dict[str, int]:
    """The months before, each under the key of the month it is compared with: the first to the first."""
    return dict(zip(sorted(values), (earlier[key] for key in sorted(earlier)), strict=False))


def _label(indicator: Indicator, key: str, names: Mapping[str, str]) -> str:
    if key in names:
        return names[key]
    said = _WORDS.get(indicator)
    if said is not None:
        return said(key)
    if key == NOBODY:
        return gettext("not known")
    return key


def _slot(key: str) -> str:
    weekday, _, hour = key.partition("-")
    return f"{words.WEEKDAYS[int(weekday)]} {int(hour):02}:00"


def _choice(choices: object, unknown: Callable[[], str]) -> Callable[[str], str]:
    known = dict(getattr(choices, "choices", ()))

    def said(key: str) -> str:
        return str(known[key]).capitalize() if key in known else unknown()

    return said


def _not_told() -> str:
    return gettext("Not asked")


def _reason(key: str) -> str:
    known = {reason.value: reason for reason in Reason}
    if key not in known:
        return key
    said = str(words.REASONS[known[key]])
    # No training is meant in particular: all of them are counted together.
    return (said % {"training": "…"} if "%(" in said else said).rstrip(".")


_WORDS: dict[Indicator, Callable[[str], str]] = {
    of.USE_BY_PURPOSE: _choice(Purpose, _not_told),
    of.USE_BY_AGE: _choice(Profile.AgeBand, _not_told),
    of.PEOPLE_BY_AGE: _choice(Profile.AgeBand, _not_told),
    of.PEOPLE_BY_GENDER: _choice(Profile.Gender, _not_told),
    of.PEOPLE_BY_OCCUPATION: _choice(Profile.Occupation, _not_told),
    of.ACTIVITIES: _choice(Activity.Kind, _not_told),
    of.VISITORS: _choice(Public, _not_told),
    of.OCCUPIED: _slot,
    of.OPEN: _slot,
    of.REFUSALS: _reason,
}
