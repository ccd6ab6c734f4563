"""What is counted, by ids that stay: each with its definition, its unit and the version of both.

A funder adds up the reports of many labs: an id and a version always mean the same. Whoever changes what is
counted raises the version; whoever only words it better does not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Unit(StrEnum):
    """What a value is a number of."""

    COUNT = "count"
    MILLISECONDS = "ms"
    CENTS = "cents"


@dataclass(frozen=True, slots=True)
class Indicator:
    """One thing that is counted. `adds_up`: the values of several labs, or of two periods, may be added.

    Its words say nothing of which it is: they hash and compare as the language that reads them has it.
    """

    id: str
    title: str | Promise = field(compare=False)
    definition: str | Promise = field(compare=False)
    unit: Unit = Unit.COUNT
    adds_up: bool = True
    version: int = 1


USE = _(
    "Time for which a machine was enabled by a badge, in sessions that ended in the period. "
    "Voided sessions and the time of the bypass key do not count."
)
PEOPLE = _(
    "Different members with at least one session that ended in the period. Somebody who was "
    "erased, or whose sessions became anonymous after 36 months, is not counted any more."
)

USE_BY_MACHINE = Indicator("use.by_machine", _("Hours by machine"), USE, Unit.MILLISECONDS)
USE_BY_GROUP = Indicator("use.by_group", _("Hours by group"), USE, Unit.MILLISECONDS)
USE_BY_PURPOSE = Indicator("use.by_purpose", _("Hours by purpose"), USE, Unit.MILLISECONDS)
USE_BY_AGE = Indicator(
    "use.by_age",
    _("Hours by age"),
    _("Hours of use by what members chose to say of their age; everybody may decline."),
    Unit.MILLISECONDS,
)
USE_BY_MONTH = Indicator("use.by_month", _("Hours by month"), USE, Unit.MILLISECONDS)
SESSIONS = Indicator(
    "use.sessions", _("Sessions"), _("Sessions that ended in the period, without voided ones.")
)
PEOPLE_BY_GROUP = Indicator("people.by_group", _("People by group"), PEOPLE, adds_up=False)
PEOPLE_BY_AGE = Indicator(
    "people.by_age",
    _("People by age"),
    _("Different people by what they chose to say of their age; everybody may decline."),
    adds_up=False,
)
PEOPLE_BY_GENDER = Indicator(
    "people.by_gender",
    _("People by gender"),
    _("Different people by what they chose to say of their gender; everybody may decline."),
    adds_up=False,
)
PEOPLE_BY_OCCUPATION = Indicator(
    "people.by_occupation",
    _("People by occupation"),
    _("Different people by what they chose to say of what they do; everybody may decline."),
    adds_up=False,
)
NEW_PEOPLE = Indicator(
    "people.new",
    _("New people"),
    _("Different people whose first session in this lab ended in the period."),
    adds_up=False,
)
ORGANISATIONS = Indicator(
    "organisations.served",
    _("Organisations served"),
    _(
        "Different companies, associations and schools that paid for at least one session. "
        "Organisations are not persons: they are never masked."
    ),
    adds_up=False,
)
TRAININGS = Indicator(
    "trainings.held",
    _("Trainings held"),
    _("Trainings whose attendance list was closed, by the day they were held."),
)
TRAINED = Indicator(
    "trainings.places",
    _("People at trainings"),
    _("Persons present, counted at each training they came to."),
)
TRAINING_TIME = Indicator(
    "trainings.time",
    _("Hours of training"),
    _("Length of each training, times the persons present."),
    Unit.MILLISECONDS,
)
ACTIVITIES = Indicator(
    "activities.held", _("Workshops and visits"), _("Activities held in the period, by kind.")
)
VISITORS = Indicator(
    "activities.people",
    _("People at workshops and visits"),
    _("Headcount of each activity, by public; the same person at two activities counts twice."),
)
OCCUPIED = Indicator(
    "occupancy.used",
    _("Machine hours used, by hour of the week"),
    _("Time machines were enabled, by the hour on the lab's clock."),
    Unit.MILLISECONDS,
)
OPEN = Indicator(
    "occupancy.open",
    _("Machine hours offered, by hour of the week"),
    _(
        "Opening hours as they stand in the settings, times the lab's machines, from the first use on "
        "and up to today. Closing days are not deducted: real occupancy is higher."
    ),
    Unit.MILLISECONDS,
)
SPONSORED_TIME = Indicator(
    "sponsored.time",
    _("Sponsored hours by sponsor"),
    _("Time that sponsored passes paid, by the day of the line."),
    Unit.MILLISECONDS,
)
SPONSORED_MONEY = Indicator(
    "sponsored.money",
    _("Sponsored amounts by sponsor"),
    _("What users did not have to pay because a sponsored pass did, by the day of the line."),
    Unit.CENTS,
)
VOLUNTEER_TIME = Indicator(
    "volunteers.time",
    _("Volunteer hours"),
    _("Unpaid time declared and confirmed, by the day it was given."),
    Unit.MILLISECONDS,
)
VOLUNTEER_VALUE = Indicator(
    "volunteers.value",
    _("Value of volunteer time"),
    _(
        "Volunteer hours times the rate stated with the figure: for accounts 86 and 87. "
        "The time sheets are in a file of their own."
    ),
    Unit.CENTS,
)
AVAILABLE = Indicator(
    "machines.available",
    _("Availability of machines"),
    _(
        "Opening hours from the first use on and up to today in which the machine was neither locked "
        "out nor faulty."
    ),
    Unit.MILLISECONDS,
)
USE_BY_GRANT = Indicator(
    "grants.use",
    _("Hours by grant"),
    _("Hours of use of the machines that each grant paid for."),
    Unit.MILLISECONDS,
)
REFUSALS = Indicator(
    "refusals.by_reason",
    _("Refusals by reason"),
    _("How often machines refused a badge, by the reason they gave."),
)
