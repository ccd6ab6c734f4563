"""State in, coil, extraction and panel out: relay, lamp, buzzer and text are functions of the state, set nowhere else.

Colour, pattern and text each say it alone. White and blue: off and fine. Green: powered. Yellow: somebody has to
do something. Red: call somebody.
"""

from __future__ import annotations

from dataclasses import replace

from interlock.core import interlocks
from interlock.core.effects import Colour, Message, Panel, Pattern
from interlock.core.model import Ending, Fault, Interlock
from interlock.core.states import (
    EnabledFacts,
    EndingFacts,
    LockedFacts,
    LockedOutFacts,
    MachineState,
    Notice,
    RunOnFacts,
    Session,
    StartingFacts,
    State,
    UnmeteredFacts,
    WaitingFacts,
    grace_ends_ms,
)

ENERGISED = frozenset({State.ENABLED, State.ENDING})
"""The only states in which the coil is commanded on."""


def coil_on(state: MachineState) -> bool:
    """Whether the coil is commanded on, and the dynamic enable toggles."""
    return state.state in ENERGISED


def extraction_on(state: MachineState) -> bool:
    """Whether extraction or cooling is commanded on: pre-run, powered, handed over, run-on."""
    facts = state.facts
    ahead = isinstance(facts, StartingFacts) and (
        facts.record is not None or facts.not_before_ms is not None
    )
    return ahead or coil_on(state) or state.run_on_until_ms is not None


def panel(state: MachineState, now_ms: int) -> Panel:
    """Lamp, buzzer and screen. A notice speaks to the person in front for a few seconds; the lamp of a
    powered machine never hides that it is powered.
    """
    shown = _standing(state, now_ms)
    notice = state.notice
    if notice is None or now_ms < notice.since_ms:
        return shown
    powered = shown.colour is Colour.GREEN or coil_on(state)
    colour, lamp, buzzer = _NOTICES.get(notice.message, _PLAIN_NOTICE)
    if notice.message in _FROM_HUB and shown.colour in _WARNINGS:
        # Whoever writes from afar does not see that something here is dangerous.
        return replace(shown, buzzer=buzzer or shown.buzzer, since_ms=notice.since_ms)
    return Panel(
        colour=shown.colour if powered else colour,
        lamp=shown.lamp if powered else lamp,
        buzzer=buzzer or shown.buzzer,
        message=notice.message,
        since_ms=notice.since_ms,
        language=notice.language,
        reason=notice.reason,
        training=notice.training,
        name=notice.name,
        detail=notice.detail,
        seconds=notice.seconds,
    )


_FROM_HUB = frozenset({Message.FROM_HUB, Message.IDENTIFY})
_WARNINGS = frozenset({Colour.RED, Colour.YELLOW})
_PLAIN_NOTICE = (Colour.WHITE, Pattern.DOUBLE_BLINK, None)
_NOTICES: dict[Message, tuple[Colour, Pattern, Pattern | None]] = {
    Message.REFUSED: (Colour.YELLOW, Pattern.DOUBLE_BLINK, Pattern.TWO_BEEPS),
    Message.INTERLOCK_TRIPPED: (Colour.YELLOW, Pattern.STEADY, Pattern.TWO_BEEPS),
    Message.TRAINING_GRANTED: (Colour.WHITE, Pattern.DOUBLE_BLINK, Pattern.ONE_BEEP),
    Message.FROM_HUB: (Colour.WHITE, Pattern.FAST_BLINK, Pattern.TWO_BEEPS),
    Message.IDENTIFY: (Colour.WHITE, Pattern.FAST_BLINK, Pattern.TWO_BEEPS),
    Message.WOULD_BE_REFUSED: (Colour.YELLOW, Pattern.DOUBLE_BLINK, Pattern.TWO_BEEPS),
}
"""How a notice looks and sounds at a machine that is off; None: the buzzer goes on as it was."""


def _standing(state: MachineState, now_ms: int) -> Panel:
    facts = state.facts
    match facts:
        case LockedFacts() | RunOnFacts():
            return _resting(state, now_ms)
        case WaitingFacts():
            return Panel(
                Colour.BLUE,
                Pattern.SLOW_BLINK,
                Pattern.ONE_BEEP,
                facts.message,
                facts.since_ms,
                facts.granted.language,
                name=facts.granted.name,
                seconds=_seconds_left(facts.until_ms, now_ms),
            )
        case StartingFacts():
            return _starting(state, facts, now_ms)
        case EnabledFacts():
            return _enabled(state, facts.session, now_ms)
        case EndingFacts():
            return _ending(facts, now_ms)
        case UnmeteredFacts():
            return Panel(
                Colour.GREEN,
                Pattern.DOUBLE_BLINK,
                Pattern.OFF,
                Message.UNMETERED,
                state.unmetered_since_ms or 0,
            )
        case LockedOutFacts():
            return _coasting(state, now_ms) or Panel(
                Colour.RED, Pattern.SLOW_BLINK, Pattern.OFF, Message.LOCKED_OUT
            )
    # Nothing else is left: where a state is added, mypy asks for its panel here.
    fault = min(facts.faults, key=list(Fault).index)
    turns = None if fault is Fault.CONTACTOR_WELDED else _coasting(state, now_ms)
    return turns or Panel(Colour.RED, Pattern.FAST_BLINK, Pattern.OFF, Message.FAULT, fault=fault)


def _resting(state: MachineState, now_ms: int) -> Panel:
    coasting = _coasting(state, now_ms)
    if coasting is not None:
        return coasting
    if state.inputs.emergency_stop_closed is False:
        return Panel(Colour.RED, Pattern.STEADY, Pattern.OFF, Message.EMERGENCY_STOP)
    if state.rules.demands.locked_out:
        return Panel(Colour.RED, Pattern.SLOW_BLINK, Pattern.OFF, Message.LOCKED_OUT)
    troubles = (
        (state.reader_trouble is not None, Message.NO_READER),
        (state.journal_trouble is not None, Message.NO_JOURNAL),
        (state.cache.version is None, Message.NO_RIGHTS),
    )
    for present, message in troubles:
        if present:
            return Panel(Colour.RED, Pattern.DOUBLE_BLINK, Pattern.OFF, message)
    name = interlocks.missing(
        state.rules.interlocks, state.watch.contacts, state.remote, now_ms, extraction_ran=False
    )
    if name is not None:
        message = _words_for_open(state, name)
        return Panel(Colour.YELLOW, Pattern.STEADY, Pattern.OFF, message, detail=name)
    if state.run_on_until_ms is not None:
        left_s = _seconds_left(state.run_on_until_ms, now_ms)
        return Panel(Colour.WHITE, Pattern.SLOW_BLINK, Pattern.OFF, Message.RUN_ON, seconds=left_s)
    return Panel(Colour.WHITE, Pattern.STEADY, Pattern.OFF, Message.READY)


def _coasting(state: MachineState, now_ms: int) -> Panel | None:
    """The tool still turns without power: said before anything else that is merely off.

    Said, and no more: a start meanwhile is not refused. Closing the relay moves nothing, the machine has a start
    control of its own, and whoever comes now reads it; a refusal would teach people to bypass us. Only a handover
    waits (`StartingFacts.not_before_ms`): there the power changes hands before anybody could have read it.
    """
    if state.coasting_until_ms is None or now_ms >= state.coasting_until_ms:
        return None
    left_s = _seconds_left(state.coasting_until_ms, now_ms)
    return Panel(Colour.YELLOW, Pattern.SLOW_BLINK, Pattern.OFF, Message.COASTING, seconds=left_s)


def _starting(state: MachineState, facts: StartingFacts, now_ms: int) -> Panel:
    granted = facts.granted
    turns = _coasting(state, now_ms) if facts.not_before_ms is not None else None
    if turns is not None:
        return turns
    if facts.pre_run_until_ms is not None and facts.rules.pre_run_s:
        return Panel(
            Colour.BLUE,
            Pattern.DOUBLE_BLINK,
            Pattern.OFF,
            Message.PRE_RUN,
            facts.since_ms,
            granted.language,
            name=granted.name,
            seconds=_seconds_left(facts.pre_run_until_ms, now_ms),
        )
    return Panel(
        Colour.BLUE,
        Pattern.FAST_BLINK,
        Pattern.OFF,
        Message.STARTING,
        facts.since_ms,
        granted.language,
        name=granted.name,
    )


def _enabled(state: MachineState, session: Session, now_ms: int) -> Panel:
    granted = session.granted
    grace_ms = grace_ends_ms(session)
    if session.missing is not None and grace_ms is not None:
        return Panel(
            Colour.GREEN,
            Pattern.FAST_BLINK,
            Pattern.WARNING_BEEPS,
            Message.BADGE_MISSING,
            session.missing.since_ms,
            granted.language,
            name=granted.name,
            seconds=_seconds_left(grace_ms, now_ms),
        )
    if state.remote_lost:
        name = state.remote_lost[0]
        return Panel(
            Colour.GREEN,
            Pattern.SLOW_BLINK,
            Pattern.TWO_BEEPS,
            _words_for_open(state, name),
            session.enabled_ms,
            granted.language,
            detail=name,
        )
    lamp, message = Pattern.STEADY, Message.IN_USE
    if session.long_job:
        lamp, message = Pattern.SLOW_BLINK, Message.LONG_JOB
    elif session.company.supervisor is not None:
        message = Message.SUPERVISED
    return Panel(
        Colour.GREEN,
        lamp,
        Pattern.ONE_BEEP,
        message,
        session.enabled_ms,
        granted.language,
        name=granted.name,
        seconds=max(0, now_ms - session.enabled_ms) // 1_000,
    )


def _ending(facts: EndingFacts, now_ms: int) -> Panel:
    return Panel(
        Colour.YELLOW,
        Pattern.FAST_BLINK,
        Pattern.WARNING_BEEPS,
        _ENDING_WORDS.get(facts.cause, Message.ENDING),
        facts.since_ms,
        facts.session.granted.language,
        name=facts.session.granted.name,
        seconds=_seconds_left(facts.until_ms, now_ms),
    )


_ENDING_WORDS = {
    Ending.IDLE_TIMEOUT: Message.IDLE_SOON_OFF,
    Ending.SUPERVISION_OVER: Message.CONFIRM_SUPERVISION,
}
"""Planned ends that a person can still take back, and therefore is asked to."""


def _words_for_open(state: MachineState, name: str) -> Message:
    """An interlock of another node that nobody speaks of is not the same as an open one."""
    declared: Interlock = next(one for one in state.rules.interlocks if one.name == name)
    told_open = any(one.name == name and one.closed is False for one in state.remote)
    return (
        Message.INTERLOCK_UNKNOWN if declared.remote and not told_open else Message.INTERLOCK_OPEN
    )


def _seconds_left(until_ms: int, now_ms: int) -> int:
    """Rounded up, so that a countdown shows 1 until it is over."""
    return max(0, -(-(until_ms - now_ms) // 1_000))


def notice_over(notice: Notice | None, now_ms: int) -> bool:
    """Whether the screen may go back to the standing text."""
    return notice is not None and now_ms >= notice.until_ms
