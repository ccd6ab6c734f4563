"""Codes of the core go in, sentences for people come out: refusals, endings, faults, states.

Every enum has a complete table here; tests/hub/test_pages_words.py compares it with the enum, so a new
code without words is seen before a member reads it.
"""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from interlock.core.model import BadgeUse, Ending, Fault, Level, Reason, Refusal

Words = str | Promise

REASONS: dict[Reason, Words] = {
    Reason.UNKNOWN_BADGE: gettext_lazy("Has no badge yet."),
    Reason.BADGE_BLOCKED: gettext_lazy("The badge is blocked."),
    Reason.BADGE_NOT_SECURE_ENOUGH: gettext_lazy("Needs a badge that cannot be copied."),
    Reason.BADGE_NOT_GENUINE: gettext_lazy("The badge did not prove that it is genuine."),
    Reason.SEVERAL_BADGES: gettext_lazy("Several badges lay on the reader."),
    Reason.PRESENT_AGAIN: gettext_lazy("The badge has to be taken away and presented again."),
    Reason.MEMBER_SUSPENDED: gettext_lazy("Suspended: no machine starts."),
    Reason.MEMBERSHIP_EXPIRED: gettext_lazy("The membership has ended."),
    Reason.NOT_TRAINED: gettext_lazy("Still to do: the training “%(training)s”."),
    Reason.TRAINING_EXPIRED: gettext_lazy("The training “%(training)s” has expired."),
    Reason.TRAINING_LAPSED: gettext_lazy(
        "The training “%(training)s” has lapsed for want of practice."
    ),
    Reason.NEEDS_SUPERVISOR: gettext_lazy("Only under supervision (“%(training)s”)."),
    Reason.NEEDS_SECOND_PERSON: gettext_lazy("A second person has to be there."),
    Reason.OUTSIDE_HOURS: gettext_lazy("Not at this hour."),
    Reason.RESERVED: gettext_lazy("The machine is reserved for somebody else."),
    Reason.NO_CREDIT: gettext_lazy("No credit left."),
    Reason.DAILY_LIMIT: gettext_lazy("The daily limit is reached."),
    Reason.MACHINE_IN_USE: gettext_lazy("Somebody else uses the machine."),
    Reason.MACHINE_LOCKED_OUT: gettext_lazy("The machine is locked out."),
    Reason.MACHINE_FAULT: gettext_lazy("The machine has a fault."),
    Reason.MACHINE_SWITCH_ON: gettext_lazy("The machine's own switch was left on."),
    Reason.INTERLOCK_OPEN: gettext_lazy("A door or an extraction contact is open."),
    Reason.EMERGENCY_STOP: gettext_lazy("The emergency stop is pressed."),
    Reason.CACHE_STALE: gettext_lazy("The machine has not heard from the hub for too long."),
    Reason.NO_CACHE: gettext_lazy("The machine has no list of members yet."),
    Reason.CLOCK_UNTRUSTED: gettext_lazy("The machine does not know the time yet."),
    Reason.CANNOT_RECORD: gettext_lazy("The machine cannot record the use."),
}

ENDINGS: dict[Ending, Words] = {
    Ending.TAP_OFF: gettext_lazy("Ended with the badge"),
    Ending.BADGE_REMOVED: gettext_lazy("Badge taken out"),
    Ending.READER_LOST: gettext_lazy("Badge reader out of order"),
    Ending.STOP_BUTTON: gettext_lazy("Stop button"),
    Ending.EMERGENCY_STOP: gettext_lazy("Emergency stop"),
    Ending.IDLE_TIMEOUT: gettext_lazy("Idle for too long"),
    Ending.CONTACT_LOST: gettext_lazy("The contactor dropped out"),
    Ending.INTERLOCK_OPENED: gettext_lazy("A door or an extraction contact opened"),
    Ending.HANDED_OVER: gettext_lazy("Handed over to the next person"),
    Ending.SUPERVISION_OVER: gettext_lazy("The supervisor left"),
    Ending.FAULT: gettext_lazy("Fault"),
    Ending.BROKEN_PRESSED: gettext_lazy("Reported broken"),
    Ending.HUB_REQUEST: gettext_lazy("Ended from the hub"),
    Ending.CUT_NOW: gettext_lazy("Cut off from the hub"),
    Ending.TERMINATED: gettext_lazy("The node was stopped"),
    Ending.POWER_LOST: gettext_lazy("Power cut"),
}

FAULTS: dict[Fault, Words] = {
    Fault.CONTACTOR_WELDED: gettext_lazy("the contactor stays closed"),
    Fault.CONTACTOR_FAILED: gettext_lazy("the contactor does not close"),
    Fault.UNEXPECTED_START: gettext_lazy("the machine started by itself"),
}

LEVELS: dict[Level, Words] = {
    Level.SUPERVISED: gettext_lazy("under supervision"),
    Level.ALONE: gettext_lazy("on their own"),
    Level.TRAINER: gettext_lazy("trainer"),
}

GOOD: Words = gettext_lazy("good")
NOT_GOOD: Words = gettext_lazy("not good")
NOT_TESTED: Words = gettext_lazy("not tested")
"""What a step of a commissioning found."""

COMMISSIONING: dict[str, Words] = {
    "inputs": gettext_lazy("Inputs at rest"),
    "buttons": gettext_lazy("Buttons"),
    "panel": gettext_lazy("Lamp, buzzer and screen"),
    "reader": gettext_lazy("Badge reader"),
    "relay": gettext_lazy("Relay and contactor"),
    "mirror-wire": gettext_lazy("Mirror contact unplugged"),
    "dynamic-enable": gettext_lazy("Dynamic enable"),
    "stop-chain": gettext_lazy("Stop chain"),
    "drop-out": gettext_lazy("Drop-out test"),
    "current": gettext_lazy("Current at rest and at work"),
    "unexpected-start": gettext_lazy("Unexpected start"),
    "extraction": gettext_lazy("Extraction"),
    "interlocks": gettext_lazy("Interlocks"),
    "bypass": gettext_lazy("Bypass key"),
    "break-glass": gettext_lazy("Break-glass code"),
}
"""The steps of `interlock commission`, by the names its record gives them; a newer one stands for itself."""

WEEKDAYS: tuple[Words, ...] = (
    gettext_lazy("Monday"),
    gettext_lazy("Tuesday"),
    gettext_lazy("Wednesday"),
    gettext_lazy("Thursday"),
    gettext_lazy("Friday"),
    gettext_lazy("Saturday"),
    gettext_lazy("Sunday"),
)

BADGE_USES: dict[BadgeUse, Words] = {
    BadgeUse.TAP: gettext_lazy("Tap to start, tap again to stop"),
    BadgeUse.HOLD: gettext_lazy("The badge stays in the slot"),
}


def refusal(value: Refusal, training_name: str | None) -> str:
    """One sentence that says what stands in the way; `training_name` names the training it speaks of."""
    sentence = str(REASONS[value.reason])
    if "%(training)s" in sentence:
        return sentence % {"training": training_name or value.training or gettext("unknown")}
    return sentence
