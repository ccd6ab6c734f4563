"""A scenario's words for machines and people in, rules and entries out; a word nobody knows is an error."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from interlock.core.model import (
    Assurance,
    BadgeState,
    BadgeUse,
    Credit,
    Demands,
    Enforcement,
    Entry,
    Interlock,
    Level,
    MemberStatus,
    Right,
    Rules,
    Schedule,
)
from tests.scenarios.script import Script, ScriptError

START_AT = int(datetime(2026, 6, 15, 8, 0, tzinfo=UTC).timestamp())
"""When a scenario begins unless it says otherwise: a Monday in June, ten o'clock in Paris."""

PARIS = ZoneInfo("Europe/Paris")
DAY_S = 86_400
TRAINING = "saw"
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
RULES = Rules(grace_s=2, warning_s=5, idle_timeout_s=30, progress_s=10, second_wait_s=10)

FLAGS: dict[str, dict[str, Any]] = {
    "tap": {"badge_use": BadgeUse.TAP},
    "hold": {"badge_use": BadgeUse.HOLD},
    "second person": {"second_person": True},
    "long jobs": {"long_jobs": True},
    "warn only": {"enforcement": Enforcement.WARN_ONLY},
    "secure badges only": {"min_assurance": Assurance.AES},
    "unexpected start watched": {"unexpected_start_ms": 3_000},
}
NUMBERS = {
    "warning": "warning_s",
    "grace": "grace_s",
    "idle timeout": "idle_timeout_s",
    "second wait": "second_wait_s",
    "confirmed every": "supervise_s",
    "pre-run": "pre_run_s",
    "run-on": "run_on_s",
    "coast-down": "coast_down_s",
    "progress every": "progress_s",
    "offline at most": "max_offline_s",
}
SENSORS = frozenset({"current sensor", "no mirror contact", "bypass key", "machine switch"})
OTHER = frozenset({"also on real processes"})


@dataclass
class Machine:
    """What a scenario's machine is: rules, the hub's demands, and which sensors it has."""

    rules: Rules
    demands: Demands
    sensors: frozenset[str] = field(default_factory=frozenset)


def machine_of(script: Script) -> Machine:
    """The machine a script describes. Raises ScriptError."""
    rules, demands = RULES, Demands((TRAINING,), offsets=offsets())
    sensors: set[str] = set()
    for trait in script.machine:
        number = re.fullmatch(r"([a-z -]+?) (\d+) (s|min)", trait)
        if trait in FLAGS:
            rules = replace(rules, **FLAGS[trait])
        elif trait in SENSORS:
            sensors.add(trait)
        elif number is not None and number[1] in NUMBERS:
            seconds = int(number[2]) * (60 if number[3] == "min" else 1)
            changes: dict[str, Any] = {NUMBERS[number[1]]: seconds}
            rules = replace(rules, **changes)
        elif number is not None and number[1] == "daily limit":
            demands = replace(demands, daily_limit_s=int(number[2]) * 60)
        elif trait.startswith("interlock "):
            rules = replace(rules, interlocks=(*rules.interlocks, _interlock(trait)))
        elif trait.startswith("open "):
            demands = replace(demands, hours="open", schedules=(_schedule(trait),))
        elif trait not in OTHER:
            raise ScriptError(f"{script.name}.txt: no machine is {trait!r}")
    return Machine(rules, demands, frozenset(sensors))


def entry_of(script: Script, who: str) -> Entry | None:
    """What the lab knows of `who`; None for a stranger. Raises ScriptError."""
    traits = script.people.get(who)
    if traits is None:
        raise ScriptError(f"{script.name}.txt: nobody said who {who} is")
    if "a stranger" in traits:
        return None
    entry = Entry(tag=tag_of(who), member=f"m-{who.lower()}", name=who)
    for trait in traits:
        entry = changed(entry, trait, f"{script.name}.txt: {who}")
    return entry


def changed(entry: Entry, trait: str, where: str = "") -> Entry:
    """The entry once the trait is theirs. Raises ScriptError for a word nobody knows."""
    right = entry.rights[0] if entry.rights else Right(TRAINING, Level.ALONE)
    changes: dict[str, dict[str, Any]] = {
        "trained": {"rights": (Right(TRAINING, Level.ALONE),)},
        "untrained": {"rights": ()},
        "a trainee": {"rights": (Right(TRAINING, Level.SUPERVISED),)},
        "a trainer": {"rights": (Right(TRAINING, Level.TRAINER),)},
        "a technician": {"technician": True},
        "French": {"language": "fr"},
        "suspended": {"status": MemberStatus.SUSPENDED},
        "blocked": {"badge": BadgeState.BLOCKED},
        "with an ended membership": {"member_until_at": START_AT - DAY_S},
        "with an ended training": {"rights": (replace(right, until_at=START_AT - DAY_S),)},
        "out of practice": {"rights": (replace(right, lapses_at=START_AT - DAY_S),)},
        "with a day pass": {
            "rights": (replace(right, since_at=START_AT - 3_600, until_at=START_AT + 36_000),)
        },
        "low on credit": {"credit": Credit.LOW},
        "without credit": {"credit": Credit.NONE},
        "with a secure badge": {},
        "with a copied badge": {},
    }
    if trait not in changes:
        raise ScriptError(f"{where}: nobody is {trait!r}")
    return replace(entry, **changes[trait])


def tag_of(who: str) -> bytes:
    """The tag of somebody's badge: sixteen bytes of their name."""
    return who.encode().ljust(16, b".")[:16]


def offsets() -> tuple[tuple[int, int], ...]:
    """Paris' changes of the clock around the scenarios' years, as a hub sends them."""
    found: list[tuple[int, int]] = []
    for day in range(-800, 800):
        at = START_AT - START_AT % 3_600 + day * DAY_S
        for hour in range(24):
            moment = at + hour * 3_600
            shift = datetime.fromtimestamp(moment, PARIS).utcoffset()
            assert shift is not None
            east = int(shift.total_seconds())
            if not found or found[-1][1] != east:
                found.append((moment, east))
    return tuple(found)


def _interlock(trait: str) -> Interlock:
    match = re.fullmatch(
        r'interlock "([^"]+)"( needs extraction)?( stops extraction)?( elsewhere)?', trait
    )
    if match is None:
        raise ScriptError(f"no interlock is {trait!r}")
    return Interlock(
        match[1],
        permit_after_ms=100,
        needs_extraction=bool(match[2]),
        stops_extraction=bool(match[3]),
        remote=bool(match[4]),
    )


def _schedule(trait: str) -> Schedule:
    match = re.fullmatch(r"open (\w+) to (\w+) (\d+) to (\d+)", trait)
    if match is None or match[1] not in DAYS or match[2] not in DAYS:
        raise ScriptError(f"no opening hours are {trait!r}")
    days = range(DAYS.index(match[1]), DAYS.index(match[2]) + 1)
    windows = tuple(
        (day * 1_440 + int(match[3]) * 60, day * 1_440 + int(match[4]) * 60) for day in days
    )
    return Schedule("open", windows)
