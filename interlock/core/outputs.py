"""State in, coil and panel out: relay, lamp, buzzer and text are functions of the state, set nowhere else."""

from __future__ import annotations

from interlock.core.effects import Colour, Message, Panel, Pattern
from interlock.core.model import Ending, Fault
from interlock.core.states import (
    EnabledFacts,
    EndingFacts,
    FaultFacts,
    LockedFacts,
    LockedOutFacts,
    MachineState,
    Notice,
    Session,
    StartingFacts,
    State,
    grace_ends_ms,
)

ENERGISED = frozenset({State.ENABLED, State.ENDING})
"""The only states in which the coil is commanded on."""


def coil_on(state: MachineState) -> bool:
    """Whether the coil is commanded on, and the dynamic enable toggles."""
    return state.state in ENERGISED


def panel(state: MachineState, now_ms: int) -> Panel:
    """Lamp, buzzer and screen. A notice speaks to the person in front for a few seconds; the lamp of a
    powered machine never hides that it is powered.
    """
    shown = _standing(state, now_ms)
    notice = state.notice
    if notice is None:
        return shown
    powered = coil_on(state)
    return Panel(
        colour=shown.colour if powered else _NOTICE_COLOURS.get(notice.message, shown.colour),
        lamp=shown.lamp if powered else Pattern.DOUBLE_BLINK,
        buzzer=Pattern.TWO_BEEPS if notice.message is Message.REFUSED else shown.buzzer,
        message=notice.message,
        since_ms=notice.since_ms,
        language=notice.language,
        reason=notice.reason,
        training=notice.training,
        name=notice.name,
        detail=notice.detail,
        seconds=notice.seconds,
    )


_NOTICE_COLOURS = {Message.REFUSED: Colour.YELLOW, Message.SESSION_ENDED: Colour.WHITE}


def _standing(state: MachineState, now_ms: int) -> Panel:
    facts = state.facts
    match facts:
        case LockedFacts():
            return _locked(state)
        case StartingFacts():
            return Panel(
                Colour.BLUE,
                Pattern.FAST_BLINK,
                Pattern.OFF,
                Message.STARTING,
                facts.since_ms,
                facts.granted.language,
                name=facts.granted.name,
            )
        case EnabledFacts():
            return _enabled(facts.session, now_ms)
        case EndingFacts():
            idle = facts.cause is Ending.IDLE_TIMEOUT
            return Panel(
                Colour.YELLOW,
                Pattern.FAST_BLINK,
                Pattern.WARNING_BEEPS,
                Message.IDLE_SOON_OFF if idle else Message.ENDING,
                facts.since_ms,
                facts.session.granted.language,
                name=facts.session.granted.name,
                seconds=_seconds_left(facts.until_ms, now_ms),
            )
        case LockedOutFacts():
            return Panel(Colour.RED, Pattern.SLOW_BLINK, Pattern.OFF, Message.LOCKED_OUT)
        case FaultFacts():
            fault = min(facts.faults, key=list(Fault).index)
            return Panel(Colour.RED, Pattern.FAST_BLINK, Pattern.OFF, Message.FAULT, fault=fault)


def _locked(state: MachineState) -> Panel:
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
    return Panel(Colour.WHITE, Pattern.STEADY, Pattern.OFF, Message.READY)


def _enabled(session: Session, now_ms: int) -> Panel:
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
    return Panel(
        Colour.GREEN,
        Pattern.STEADY,
        Pattern.ONE_BEEP,
        Message.IN_USE,
        session.enabled_ms,
        granted.language,
        name=granted.name,
        seconds=max(0, now_ms - session.enabled_ms) // 1_000,
    )


def _seconds_left(until_ms: int, now_ms: int) -> int:
    """Rounded up, so that a countdown shows 1 until it is over."""
    return max(0, -(-(until_ms - now_ms) // 1_000))


def notice_over(notice: Notice | None, now_ms: int) -> bool:
    """Whether the screen may go back to the standing text."""
    return notice is not None and now_ms >= notice.until_ms
