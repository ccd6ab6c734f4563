"""The whole firmware: `step(state, event, now)` gives the next state and what to do about it.

Same state, event and instant, same answer: decisions can be replayed. Coil and panel are recomputed after every
step from the state alone; opening the relay comes first among the effects, closing it last.
"""

from __future__ import annotations

from dataclasses import replace

from interlock.core import interlocks, outputs
from interlock.core.effects import Effect, SetExtraction, SetRelay, ShowPanel
from interlock.core.events import (
    DeadlinePassed,
    Event,
    InputsSampled,
    RemoteInterlockLost,
    RunOnOver,
)
from interlock.core.model import Inputs, Now, Rules
from interlock.core.outcomes import Outcome, with_session
from interlock.core.sensing import Watch, hung, sense
from interlock.core.states import (
    Facts,
    FaultFacts,
    LockedFacts,
    LockedOutFacts,
    MachineState,
    Recovered,
    deadline_ms,
)
from interlock.core.table import TABLE


def initial(rules: Rules, recovered: Recovered, now: Now) -> MachineState:
    """The state of a process that has just become ready: coil off, and no badge seen so far counts."""
    facts: Facts = LockedFacts()
    if recovered.faults:
        facts = FaultFacts(recovered.faults, recovered.locked_out)
    elif recovered.locked_out:
        facts = LockedOutFacts()
    watch = Watch(inputs=Inputs(), coil_on=False, commanded_ms=now.boot_ms)
    return MachineState(
        facts=facts,
        base_rules=rules,
        rules=rules,
        watch=watch,
        gate_ms=now.boot_ms,
        grants=recovered.grants,
        day_use=recovered.day_use,
    )


def step(state: MachineState, event: Event, now: Now) -> Outcome:
    """What the machine is after `event`, and the effects, in the order they are to be performed."""
    before = state
    state = _metered(state, event, now)
    if isinstance(event, InputsSampled):
        state, effects = _sampled(state, event, now)
    else:
        state, effects = _follow(state, event, now)
    return _settled(before, state, effects, now)


def _sampled(state: MachineState, event: InputsSampled, now: Now) -> Outcome:
    state = _without_what_is_over(state, now)
    watch, signals = sense(state.watch, event.inputs, state.base_rules, now.boot_ms)
    state = replace(state, watch=watch)
    state, signals = _heard(state, signals, now)
    effects: tuple[Effect, ...] = ()
    for signal in signals:
        state, more = _follow(state, signal, now)
        effects += more
    due_ms = deadline_ms(state)
    if due_ms is not None and now.boot_ms >= due_ms:
        state, more = _follow(state, DeadlinePassed(), now)
        effects += more
    return state, effects


def _without_what_is_over(state: MachineState, now: Now) -> MachineState:
    if outputs.notice_over(state.notice, now.boot_ms):
        state = replace(state, notice=None)
    if state.coasting_until_ms is not None and now.boot_ms >= state.coasting_until_ms:
        state = replace(state, coasting_until_ms=None)
    return state


def _heard(
    state: MachineState, signals: tuple[Event, ...], now: Now
) -> tuple[MachineState, tuple[Event, ...]]:
    """What time did to the reports of other nodes and to the run-on, behind what the inputs signal."""
    lost = interlocks.lost(state.rules.interlocks, state.remote, now.boot_ms)
    if lost and state.session is not None:
        signals += (RemoteInterlockLost(lost),)
    if state.run_on_until_ms is not None and now.boot_ms >= state.run_on_until_ms:
        signals += (RunOnOver(),)
    return replace(state, remote_lost=lost), signals


def _follow(state: MachineState, event: Event, now: Now) -> Outcome:
    rule = TABLE[state.state, type(event)]
    after, effects = rule.follow(state, event, now)
    if after.state not in rule.to:
        # A mistake of ours, never of the world. The process dies, and with it the relay.
        raise AssertionError(
            f"{type(event).__name__} led from {state.state.name} to {after.state.name}, "
            "which the table does not allow"
        )
    return after, effects


def _metered(state: MachineState, event: Event, now: Now) -> MachineState:
    session = state.session
    if session is None:
        return state
    if isinstance(event, InputsSampled) and hung(state.watch, state.base_rules, now.boot_ms):
        # The contactor dropped at some unknown instant of the hang. This sample ends the session: none of it is billed.
        return state
    meter = session.meter.advance(now.boot_ms, state.inputs.busy)
    return with_session(state, replace(session, meter=meter))


def _settled(
    before: MachineState, after: MachineState, effects: tuple[Effect, ...], now: Now
) -> Outcome:
    coil_on = outputs.coil_on(after)
    after = replace(after, watch=after.watch.command(coil_on, now.boot_ms))
    switched = coil_on != outputs.coil_on(before)
    first: tuple[Effect, ...] = (SetRelay(False),) if switched and not coil_on else ()
    last: tuple[Effect, ...] = (SetRelay(True),) if switched and coil_on else ()
    extracting = outputs.extraction_on(after)
    if extracting != outputs.extraction_on(before):
        # Off right behind the relay (fire), on ahead of it: air before the machine.
        first += (SetExtraction(extracting),)
    panel = outputs.panel(after, now.boot_ms)
    if panel != after.shown:
        after = replace(after, shown=panel)
        last += (ShowPanel(panel),)
    return after, first + effects + last
