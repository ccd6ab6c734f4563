"""A Panel and an instant in; words for the screen, lamp colours and the buzzer's level out: pure.

Colour, pattern and text say the same thing three times, so that somebody who cannot see one of
them understands the machine. Text is two lines of 16 characters, the smallest screen we drive
(HD44780).
"""

from __future__ import annotations

import functools
import gettext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.core.effects import Colour, Message, Panel, Pattern
from interlock.core.model import Fault, Reason

LINES = 2
COLUMNS = 16
LANGUAGES = ("en", "fr")
LOCALE_DIR = Path(__file__).resolve().parent.parent / "locale"
DOMAIN = "interlock"

Light = tuple[bool, bool, bool]
"""Red, green, blue."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """On and off in turn, beginning with on, in milliseconds; over after one turn unless it
    repeats.
    """

    turns_ms: tuple[int, ...]
    repeats: bool = True

    def is_on(self, passed_ms: int) -> bool:
        """The level `passed_ms` after its beginning."""
        whole_ms = sum(self.turns_ms)
        if passed_ms >= whole_ms and not self.repeats:
            return False
        left_ms = max(0, passed_ms) % whole_ms
        for index, turn_ms in enumerate(self.turns_ms):
            if left_ms < turn_ms:
                return index % 2 == 0
            left_ms -= turn_ms
        return False


# No rhythm flashes more than three times a second (WCAG 2.3.1: photosensitive seizures).
RHYTHMS = {
    Pattern.OFF: Rhythm((0, 1_000)),
    Pattern.STEADY: Rhythm((1_000,)),
    Pattern.SLOW_BLINK: Rhythm((1_000, 1_000)),
    Pattern.FAST_BLINK: Rhythm((250, 250)),
    Pattern.DOUBLE_BLINK: Rhythm((200, 200, 200, 1_000)),
    Pattern.ONE_BEEP: Rhythm((150, 1), repeats=False),
    Pattern.TWO_BEEPS: Rhythm((120, 120, 120), repeats=False),
    Pattern.WARNING_BEEPS: Rhythm((100, 900)),
}

LIGHTS: dict[Colour, Light] = {
    Colour.OFF: (False, False, False),
    Colour.WHITE: (True, True, True),
    Colour.GREEN: (False, True, False),
    Colour.BLUE: (False, False, True),
    Colour.YELLOW: (True, True, False),
    Colour.RED: (True, False, False),
}


def lamp(panel: Panel, now_ms: int) -> Light:
    """What the three colours of the lamp do at `now_ms`."""
    if RHYTHMS[panel.lamp].is_on(now_ms - panel.since_ms):
        return LIGHTS[panel.colour]
    return LIGHTS[Colour.OFF]


def buzzer(panel: Panel, now_ms: int) -> bool:
    """Whether the buzzer sounds at `now_ms`."""
    return RHYTHMS[panel.buzzer].is_on(now_ms - panel.since_ms)


def screen(panel: Panel, language: str) -> tuple[str, str]:
    """The two lines, in the badge owner's language or else in `language`; never wider than the
    screen.
    """
    spoken = panel.language if panel.language in LANGUAGES else language
    values = {
        "name": " ".join((panel.name or "").split()),
        "detail": " ".join((panel.detail or "").split()),
        "seconds": panel.seconds or 0,
        "time": clock_face(panel.seconds or 0),
    }
    words = _translation(spoken).gettext(_msgid(panel)).split("\n")
    first, second = ((line % values)[:COLUMNS].rstrip() for line in words[:LINES])
    return first, second


def to_wire(panel: Panel, language: str, now_ms: int) -> dict[str, Any]:
    """The `panel` answer of the control socket: what lamp, buzzer and screen show now."""
    red, green, blue = lamp(panel, now_ms)
    return {
        "colour": panel.colour.value,
        "lamp": panel.lamp.value,
        "light": {"red": red, "green": green, "blue": blue},
        "buzzer": panel.buzzer.value,
        "sounding": buzzer(panel, now_ms),
        "message": panel.message.value,
        "reason": None if panel.reason is None else panel.reason.value,
        "fault": None if panel.fault is None else panel.fault.value,
        "lines": list(screen(panel, language)),
    }


def clock_face(seconds: int) -> str:
    """`seconds` as h:mm:ss."""
    return f"{seconds // 3_600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def N_(msgid: str) -> str:  # noqa: N802 - the mark that pybabel looks for
    """`msgid` itself; the mark under which the catalogue finds it."""
    return msgid


MESSAGES = {
    Message.READY: N_("Ready\nPresent badge"),
    Message.STARTING: N_("Starting...\n%(name)s"),
    Message.IN_USE: N_("In use\n%(time)s"),
    Message.BADGE_MISSING: N_("Badge removed\nOff in %(seconds)d s"),
    Message.ENDING: N_("Switching off\nin %(seconds)d s"),
    Message.IDLE_SOON_OFF: N_("Still there?\nOff in %(seconds)d s"),
    Message.LOCKED_OUT: N_("Out of order\nCall the staff"),
    Message.FAULT: N_("Machine fault\nCall the staff"),
    Message.EMERGENCY_STOP: N_("Emergency stop\nRelease it first"),
    Message.NO_READER: N_("Reader is dead\nCall the staff"),
    Message.NO_JOURNAL: N_("Cannot record\nCall the staff"),
    Message.NO_RIGHTS: N_("Not set up yet\nWaiting for hub"),
    Message.REFUSED: N_("Refused\nAsk the desk"),
    Message.SESSION_ENDED: N_("Session ended\n%(time)s"),
    Message.WAITING_FOR_TRAINER: N_("Trainer badge?\nWaiting %(seconds)d s"),
    Message.WAITING_FOR_SECOND: N_("Second badge?\nWaiting %(seconds)d s"),
    Message.PRE_RUN: N_("Extraction runs\nOn in %(seconds)d s"),
    Message.RUN_ON: N_("Extraction runs\nOff in %(seconds)d s"),
    Message.COASTING: N_("Still turning!\nWait %(seconds)d s"),
    Message.SUPERVISED: N_("Supervised\n%(time)s"),
    Message.CONFIRM_SUPERVISION: N_("Trainer: badge!\nOff in %(seconds)d s"),
    Message.TRAINING_GRANTED: N_("Training granted\nWell done!"),
    Message.LONG_JOB: N_("Long job runs\n%(time)s"),
    Message.LOW_CREDIT: N_("Credit is low\nTop it up soon"),
    Message.WOULD_BE_REFUSED: N_("Trial: allowed,\nwould be refused"),
    Message.INTERLOCK_OPEN: N_("Close first:\n%(detail)s"),
    Message.INTERLOCK_TRIPPED: N_("Stopped by\n%(detail)s"),
    Message.INTERLOCK_UNKNOWN: N_("Not seen:\n%(detail)s"),
    Message.UNMETERED: N_("Bypass key on\nNot metered"),
}

IN_USE_BY_NAME = N_("%(name)s\n%(time)s")

FAULTS = {
    Fault.CONTACTOR_WELDED: N_("Relay stuck on\nCut mains supply"),
    Fault.CONTACTOR_FAILED: N_("Relay stuck off\nCall the staff"),
    Fault.UNEXPECTED_START: N_("Started by itself\nCall the staff"),
}

REASONS = {
    Reason.UNKNOWN_BADGE: N_("Unknown badge\nAsk the desk"),
    Reason.BADGE_BLOCKED: N_("Badge blocked\nAsk the desk"),
    Reason.BADGE_NOT_SECURE_ENOUGH: N_("Badge too simple\nAsk for another"),
    Reason.BADGE_NOT_GENUINE: N_("Badge not valid\nAsk the desk"),
    Reason.SEVERAL_BADGES: N_("Several badges\nOne at a time"),
    Reason.PRESENT_AGAIN: N_("Remove badge and\npresent it again"),
    Reason.MEMBER_SUSPENDED: N_("Member suspended\nAsk the desk"),
    Reason.MEMBERSHIP_EXPIRED: N_("Membership over\nRenew it"),
    Reason.NOT_TRAINED: N_("Not trained\nBook a training"),
    Reason.TRAINING_EXPIRED: N_("Training expired\nRenew it"),
    Reason.TRAINING_LAPSED: N_("Out of practice\nSee a trainer"),
    Reason.NEEDS_SUPERVISOR: N_("Trainer needed\nCall a trainer"),
    Reason.NEEDS_SECOND_PERSON: N_("Never alone here\nBring a partner"),
    Reason.OUTSIDE_HOURS: N_("Not at this hour\nSee your hours"),
    Reason.RESERVED: N_("Reserved\nBook a slot"),
    Reason.NO_CREDIT: N_("No credit left\nTop it up"),
    Reason.DAILY_LIMIT: N_("Daily limit used\nCome tomorrow"),
    Reason.MACHINE_IN_USE: N_("Already in use\nPlease wait"),
    Reason.MACHINE_LOCKED_OUT: N_("Out of order\nCall the staff"),
    Reason.MACHINE_FAULT: N_("Machine fault\nCall the staff"),
    Reason.MACHINE_SWITCH_ON: N_("Machine is on\nSwitch it off"),
    Reason.INTERLOCK_OPEN: N_("Guard is open\nClose it first"),
    Reason.EMERGENCY_STOP: N_("Emergency stop\nRelease it first"),
    Reason.CACHE_STALE: N_("Rights too old\nCheck network"),
    Reason.NO_CACHE: N_("Not set up yet\nWaiting for hub"),
    Reason.CLOCK_UNTRUSTED: N_("Clock not set\nCheck network"),
    Reason.CANNOT_RECORD: N_("Cannot record\nCall the staff"),
}


def _msgid(panel: Panel) -> str:
    if panel.message is Message.REFUSED and panel.reason is not None:
        return REASONS[panel.reason]
    if panel.message is Message.FAULT and panel.fault is not None:
        return FAULTS[panel.fault]
    if panel.message is Message.IN_USE and panel.name:
        return IN_USE_BY_NAME
    return MESSAGES[panel.message]


@functools.cache
def _translation(language: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, LOCALE_DIR, languages=[language], fallback=True)
