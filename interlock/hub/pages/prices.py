"""The stored steps of a price go in; the lines of a receipt come out, in words, adding up to the price.

`pricing.Step` keeps what stands after each step; people add up differences, so the amount of a line is
what its step added or took away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from interlock.hub.models import Line
from interlock.hub.pages.formats import MINUTE_S, duration, euros, exact_duration

Numbers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PriceStep:
    """One line of the receipt; `amount` is empty where the step moved no money."""

    words: str
    amount: str


def price_steps(line: Line) -> list[PriceStep]:
    """The receipt of one session, in the language of the page."""
    said, before_cents = [], 0
    for step in line.steps:
        cents = int(step["cents"])
        words = _WORDS[step["kind"]](step) if step["kind"] in _WORDS else str(step["kind"])
        added = cents - before_cents
        said.append(PriceStep(words, euros(added) if added else ""))
        before_cents = cents
    return said


def _no_tariff(_step: Numbers) -> str:
    return gettext("This machine has no tariff: its use costs nothing.")


def _forgiven(step: Numbers) -> str:
    return gettext("%(time)s only: below %(limit)s a session costs nothing.") % {
        "time": exact_duration(step["seconds"]),
        "limit": duration(step["forgive_s"]),
    }


def _enabled(step: Numbers) -> str:
    return gettext("The machine was enabled for %(time)s.") % {
        "time": exact_duration(step["seconds"])
    }


def _busy(step: Numbers) -> str:
    return gettext("The machine worked for %(time)s of the %(enabled)s it was enabled.") % {
        "time": exact_duration(step["seconds"]),
        "enabled": exact_duration(step["enabled_s"]),
    }


def _free(step: Numbers) -> str:
    numbers = {"free": duration(step["free_s"]), "left": exact_duration(step["seconds"])}
    if not step["seconds"]:
        return gettext("Free at the beginning: %(free)s. Nothing is left to pay.") % numbers
    return gettext("Free at the beginning: %(free)s. What counts is %(left)s.") % numbers


def _rounding(step: Numbers) -> str:
    numbers = {"time": exact_duration(step["seconds"]), "unit": duration(step["unit_s"])}
    if step["unit_s"] == MINUTE_S:
        return gettext("Every started minute is counted in full: %(time)s.") % numbers
    return gettext("Every started %(unit)s is counted in full: %(time)s.") % numbers


def _time(step: Numbers) -> str:
    return gettext("%(time)s at %(price)s an hour") % {
        "time": exact_duration(step["seconds"]),
        "price": euros(step["cents_per_hour"]),
    }


def _setup(_step: Numbers) -> str:
    return gettext("Setup fee, once a session")


def _minimum(step: Numbers) -> str:
    return gettext("A session costs at least %(price)s.") % {"price": euros(step["minimum_cents"])}


def _daily_cap(step: Numbers) -> str:
    return gettext("At most %(cap)s a day; earlier sessions of that day cost %(spent)s.") % {
        "cap": euros(step["daily_cap_cents"]),
        "spent": euros(step["spent_cents"]),
    }


_WORDS: dict[str, Callable[[Numbers], str]] = {
    "no_tariff": _no_tariff,
    "forgiven": _forgiven,
    "enabled": _enabled,
    "busy": _busy,
    "free": _free,
    "rounding": _rounding,
    "time": _time,
    "setup": _setup,
    "minimum": _minimum,
    "daily_cap": _daily_cap,
}
