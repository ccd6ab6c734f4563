"""The stored steps of a price go in; the lines of a receipt come out, in words, adding up to the price.

`pricing.Step` keeps what stands after each step; people add up differences, so the amount of a line is
what its step added or took away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from interlock.hub.models import Line
from interlock.hub.pages.formats import MINUTE_S, duration, euros, exact_duration, is_french

Numbers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PriceStep:
    """One line of the receipt; `amount` is empty where the step moved no money."""

    words: str
    amount: str


def price_steps(line: Line) -> list[PriceStep]:
    """The receipt of one line, of whatever kind, in the language of the page."""
    return words_of(line.steps)


def words_of(steps: Iterable[Numbers]) -> list[PriceStep]:
    """The receipt that those steps make: "why this price?", in the language of the page."""
    said, before_cents = [], 0
    for step in steps:
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


def _monthly_cap(step: Numbers) -> str:
    return gettext("At most %(cap)s a month; earlier sessions of that month cost %(spent)s.") % {
        "cap": euros(step["monthly_cap_cents"]),
        "spent": euros(step["spent_cents"]),
    }


def _free_purpose(_step: Numbers) -> str:
    return gettext("Free by its purpose: the tariff asks nothing for it.")


def _included(step: Numbers) -> str:
    return gettext(
        "%(carried)s are part of the subscription, which includes %(included)s a month. "
        "Left in that month: %(left)s."
    ) % {
        "carried": exact_duration(step["carried_s"]),
        "included": duration(step["included_s"]),
        "left": exact_duration(step["left_s"]),
    }


def _sponsored_time(step: Numbers) -> str:
    if step["share_percent"] < WHOLE_PERCENT:
        return gettext("A sponsor carries %(carried)s (%(share)s %%). Left of it: %(left)s.") % {
            **_time_of(step),
            "share": step["share_percent"],
        }
    return gettext("A sponsor carries %(carried)s. Left of it: %(left)s.") % _time_of(step)


def _given_time(step: Numbers) -> str:
    return gettext("Time credit of the lab: %(carried)s. Left of it: %(left)s.") % _time_of(step)


def _bought_time(step: Numbers) -> str:
    return gettext("From the pass: %(carried)s. Left on it: %(left)s.") % _time_of(step)


def _sponsored_money(step: Numbers) -> str:
    if step["share_percent"] < WHOLE_PERCENT:
        return gettext("A sponsor pays %(share)s %%. Left of it: %(left)s.") % {
            "share": step["share_percent"],
            "left": euros(step["left_cents"]),
        }
    return gettext("A sponsor pays. Left of it: %(left)s.") % {"left": euros(step["left_cents"])}


def _bought_money(step: Numbers) -> str:
    return gettext("From the pass. Left on it: %(left)s.") % {"left": euros(step["left_cents"])}


def _material(step: Numbers) -> str:
    return gettext("%(quantity)s %(unit)s at %(price)s each") % {
        "quantity": quantity(step["quantity_milli"]),
        "unit": step["unit"],
        "price": euros(step["unit_cents"]),
    }


def _correction(step: Numbers) -> str:
    numbers = {"was": euros(step["was_cents"]), "should": euros(step["should_cents"])}
    if "enabled_s" in step:
        return gettext("Corrected to %(time)s: %(should)s instead of %(was)s.") % {
            **numbers,
            "time": exact_duration(step["enabled_s"]),
        }
    return gettext("Corrected: %(should)s instead of %(was)s.") % numbers


def _reassigned(step: Numbers) -> str:
    return gettext("Another payer had %(was)s for it; that was given back.") % {
        "was": euros(step["of_cents"])
    }


def _adjustment(_step: Numbers) -> str:
    return gettext("Agreed with the lab")


def quantity(milli: int) -> str:
    """A quantity as people write it: `2,5` or `2.5`."""
    whole, rest = divmod(milli, 1_000)
    if not rest:
        return str(whole)
    return f"{whole}{',' if is_french() else '.'}{rest:03d}".rstrip("0")


def _time_of(step: Numbers) -> dict[str, Any]:
    return {
        "carried": exact_duration(step["carried_s"]),
        "left": exact_duration(step["left_s"]),
    }


WHOLE_PERCENT = 100

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
    "monthly_cap": _monthly_cap,
    "free_purpose": _free_purpose,
    "included": _included,
    "sponsored_time": _sponsored_time,
    "given_time": _given_time,
    "bought_time": _bought_time,
    "sponsored_money": _sponsored_money,
    "bought_money": _bought_money,
    "material": _material,
    "correction": _correction,
    "reassigned": _reassigned,
    "adjustment": _adjustment,
}
