"""Every state that the table allows after an event is one that a machine really comes to, and it comes to no other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest

from interlock.core import machine, table
from interlock.core.events import (
    BadgeArrived,
    DeadlinePassed,
    Event,
    InterlockOpened,
    RecordDurable,
    RecordFailed,
)
from interlock.core.model import (
    Assurance,
    BadgeUse,
    Cache,
    Ending,
    Entry,
    Interlock,
    Now,
    Presented,
)
from interlock.core.states import (
    EnabledFacts,
    EndingFacts,
    FaultFacts,
    LockedOutFacts,
    MachineState,
    Missing,
    StartingFacts,
    State,
    UnmeteredFacts,
    WaitingFacts,
    deadline_ms,
)
from tests.core.rig import ADA, BEN, CACHE, TECHNICIAN, TRAINEE, TRAINER, WALL_AT
from tests.core.test_every_cell import SITUATIONS, happening

pytestmark = pytest.mark.fast

AIR_FLOW = Interlock("air flow", needs_extraction=True)
ONE_EACH = ("locked", "waiting", "starting", "enabled", "ending", "run-on", "keyed", "out", "fault")
LONG_MS = 1_000_000
"""After it every time of a session is over."""

PEOPLE = (ADA, BEN, TRAINEE, TRAINER, TECHNICIAN, None)


def variants(state: MachineState, ms: int) -> Iterator[MachineState]:
    """The machine with and without key and running air, at work and at rest, and what only its state knows."""
    facts = state.facts
    if isinstance(facts, EnabledFacts | EndingFacts):
        for use, run_on_s, since_ms, busy in product(BadgeUse, (0, 100), (None, ms), (True, False)):
            rules = replace(facts.session.rules, badge_use=use, run_on_s=run_on_s)
            watch = replace(state.watch, inputs=replace(state.inputs, busy=busy))
            around = replace(state, watch=watch, unmetered_since_ms=since_ms)
            open_facts = replace(facts, session=replace(facts.session, rules=rules))
            yield from (replace(around, facts=one) for one in _asked(open_facts))
    elif isinstance(facts, FaultFacts | LockedOutFacts):
        for air_ms, since_ms in product((None, ms + 9_000), (None, ms)):
            around = replace(state, run_on_until_ms=air_ms, unmetered_since_ms=since_ms)
            yield around
            if isinstance(facts, FaultFacts):
                yield replace(around, facts=replace(facts, locked_out=True))
    elif isinstance(facts, StartingFacts):
        recorded = replace(facts, record="1.7", pre_run_until_ms=ms)
        tapped = replace(facts, rules=replace(facts.rules, badge_use=BadgeUse.TAP, pre_run_s=3))
        aired = replace(state.rules, interlocks=(*state.rules.interlocks, AIR_FLOW))
        for air_ms, one, rules in product(
            (None, ms + 9_000), (facts, recorded, tapped), (state.rules, aired)
        ):
            yield replace(state, run_on_until_ms=air_ms, facts=one, rules=rules)
    elif isinstance(facts, WaitingFacts):
        for air_ms, cache in product((None, ms + 9_000), (CACHE, Cache((1, 2)))):
            yield replace(state, run_on_until_ms=air_ms, cache=cache)
    elif isinstance(facts, UnmeteredFacts):
        yield from (replace(state, run_on_until_ms=air_ms) for air_ms in (None, ms + 9_000))
    else:
        yield state


def _asked(facts: EnabledFacts | EndingFacts) -> Iterator[EnabledFacts | EndingFacts]:
    if isinstance(facts, EnabledFacts):
        yield facts
        missing = Missing(Ending.BADGE_REMOVED, facts.session.enabled_ms)
        yield replace(facts, session=replace(facts.session, missing=missing))
    else:
        yield replace(facts, cause=Ending.IDLE_TIMEOUT)
        yield replace(facts, cause=Ending.HUB_REQUEST)
        yield replace(facts, cause=Ending.HUB_REQUEST, then_lock_out=True)


def happenings(event: type, state: MachineState, ms: int) -> Iterator[Event]:
    """The event, whoever's badge, whichever interlock or record it is about."""
    yield happening(event, state, ms)
    if event is BadgeArrived:
        yield from (BadgeArrived(_badge(entry, ms)) for entry in PEOPLE)
    if event is InterlockOpened:
        yield InterlockOpened((AIR_FLOW.name,))
        yield InterlockOpened(("lid",))
    if event is RecordDurable:
        yield RecordDurable(99, "1.99")
    if event is RecordFailed:
        yield RecordFailed(99, "disk full")


def _badge(entry: Entry | None, ms: int) -> Presented:
    tag = b"\xff" * 16 if entry is None else entry.tag
    return Presented(tag, ms, Assurance.AES, entry, CACHE)


def test_every_state_that_the_table_allows_is_come_to_and_no_other() -> None:
    reached: dict[tuple[State, type], set[State]] = defaultdict(set)
    for name in ONE_EACH:
        build, at = SITUATIONS[name]
        rig = build()
        for state, event in product(variants(rig.state, rig.ms), table.EVENTS):
            due_ms = (
                {deadline_ms(state) or 0, rig.ms + LONG_MS} if event is DeadlinePassed else set()
            )
            for ms in (rig.ms + 1, *sorted(due_ms)):
                now = Now(ms, WALL_AT + ms // 1_000, wall_trusted=True)
                for happened in happenings(event, state, ms):
                    after, _ = machine.step(state, happened, now)
                    reached[at, event].add(after.state)
    assert reached == {cell: set(rule.to) for cell, rule in table.TABLE.items()}
