"""What the screen says: a code of the core goes in, an English msgid of the catalogue comes out.

Each code has two texts. The short one is two lines of 16 characters, as they stand. The long one is
for screens of 20 or 21 columns and four lines: its lines are wrapped, so each is a sentence or a
name. The first line says what is so, the rest says why and what to do. French stands in
`locale/fr/LC_MESSAGES/interlock.po`; after a change run `python -m tests.node.catalogue`.
"""

from __future__ import annotations

from typing import Final

from interlock.core.effects import Message
from interlock.core.model import Fault, Reason


def N_(msgid: str) -> str:  # noqa: N802 - the mark that pybabel looks for
    """`msgid` itself; the mark under which the catalogue finds it."""
    return msgid


MESSAGES: Final = {
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
    Message.INTERLOCK_UNKNOWN: N_("No news of\n%(detail)s"),
    Message.UNMETERED: N_("Bypass key on\nNot metered"),
    Message.FROM_HUB: N_("The staff says\n%(detail)s"),
    Message.IDENTIFY: N_("Here I am!\nThe hub asks"),
}

LONG_MESSAGES: Final = {
    Message.READY: N_("Ready\nPresent your badge to start."),
    Message.STARTING: N_("Starting...\n%(name)s"),
    Message.IN_USE: N_("In use %(time)s"),
    Message.BADGE_MISSING: N_("Badge removed\nOff in %(seconds)d s. Put it back to go on."),
    Message.ENDING: N_(
        "Switching off\nPower off in %(seconds)d s, sooner once the machine is idle."
    ),
    Message.IDLE_SOON_OFF: N_("Still there?\nOff in %(seconds)d s. Use the machine to go on."),
    Message.LOCKED_OUT: N_("Out of order\nDo not use it. Only a technician can release it."),
    Message.FAULT: N_("Machine fault\nKeep your hands off and call the staff."),
    Message.EMERGENCY_STOP: N_("Emergency stop\nIs all well? Then release the red button."),
    Message.NO_READER: N_("Reader is dead\nNo badge can be read. Call the staff."),
    Message.NO_JOURNAL: N_("Cannot record\nNo session can begin. Call the staff."),
    Message.NO_RIGHTS: N_("Not set up yet\nThe members' rights have not come from the hub yet."),
    Message.REFUSED: N_("Refused\nThe desk can tell you why."),
    Message.SESSION_ENDED: N_("Session ended\nYou used %(time)s. Please leave it tidy."),
    Message.WAITING_FOR_TRAINER: N_(
        "Trainer needed\nNow the badge of a trainer: %(seconds)d s left."
    ),
    Message.WAITING_FOR_SECOND: N_("Second badge?\nNobody works here alone: %(seconds)d s left."),
    Message.PRE_RUN: N_("Extraction runs\nPower comes in %(seconds)d s. Then start the machine."),
    Message.RUN_ON: N_("Extraction runs\nIt stops in %(seconds)d s. The next badge may start."),
    Message.COASTING: N_("Still turning!\nKeep your hands away for %(seconds)d s."),
    Message.SUPERVISED: N_("Supervised %(time)s\nYour trainer stays with you."),
    Message.CONFIRM_SUPERVISION: N_(
        "Trainer: badge!\nStill there? Badge within %(seconds)d s, or it ends."
    ),
    Message.TRAINING_GRANTED: N_("Training granted\nWell done! You may work here on your own."),
    Message.LONG_JOB: N_("Long job runs\n%(time)s\nYou may take your badge along."),
    Message.LOW_CREDIT: N_("Credit is low\nYou may go on. Top it up at the desk soon."),
    Message.WOULD_BE_REFUSED: N_("Trial: allowed\nLater on refused:\n%(why)s"),
    Message.INTERLOCK_OPEN: N_("Not ready yet\nClose or switch on: %(detail)s"),
    Message.INTERLOCK_TRIPPED: N_("Stopped by\n%(detail)s\nPut it right, then badge again."),
    Message.INTERLOCK_UNKNOWN: N_("No news of\n%(detail)s\nCall the staff."),
    Message.UNMETERED: N_("Bypass key on\nThe machine has power and nothing is metered."),
    Message.FROM_HUB: N_("The staff says\n%(detail)s"),
    Message.IDENTIFY: N_("Here I am!\nSomebody at the hub looks for this machine."),
}

IN_USE_BY_NAME: Final = N_("%(name)s\n%(time)s")
LONG_IN_USE_BY_NAME: Final = N_("In use %(time)s\n%(name)s")

FAULTS: Final = {
    Fault.CONTACTOR_WELDED: N_("Relay stuck on\nCut mains supply"),
    Fault.CONTACTOR_FAILED: N_("Relay stuck off\nCall the staff"),
    Fault.UNEXPECTED_START: N_("Started unasked\nCall the staff"),
}

LONG_FAULTS: Final = {
    Fault.CONTACTOR_WELDED: N_("Relay stuck on\nThe machine may start! Cut its mains supply."),
    Fault.CONTACTOR_FAILED: N_("Relay stuck off\nThe contactor does not close. Call the staff."),
    Fault.UNEXPECTED_START: N_("Started unasked\nIs its own switch left on? Call the staff."),
}

REASONS: Final = {
    Reason.UNKNOWN_BADGE: N_("Unknown badge\nAsk the desk"),
    Reason.BADGE_BLOCKED: N_("Badge blocked\nAsk the desk"),
    Reason.BADGE_NOT_SECURE_ENOUGH: N_("Secure badge\nneeded: see desk"),
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

LONG_REASONS: Final = {
    Reason.UNKNOWN_BADGE: N_("Unknown badge\nShow it at the desk."),
    Reason.BADGE_BLOCKED: N_("Badge blocked\nReported lost or retired. Ask the desk."),
    Reason.BADGE_NOT_SECURE_ENOUGH: N_("Secure badge needed\nThe desk can make yours secure."),
    Reason.BADGE_NOT_GENUINE: N_("Badge not valid\nIt may be a copy. Ask the desk."),
    Reason.SEVERAL_BADGES: N_("Several badges\nHold only one to the reader."),
    Reason.PRESENT_AGAIN: N_("Once more, please\nTake the badge away, then present it again."),
    Reason.MEMBER_SUSPENDED: N_("Member suspended\nThe desk can tell you why."),
    Reason.MEMBERSHIP_EXPIRED: N_("Membership over\nRenew it at the desk, then come back."),
    Reason.NOT_TRAINED: N_("Not trained\nThis machine needs a training. Book one."),
    Reason.TRAINING_EXPIRED: N_("Training expired\nRefresh it with a trainer."),
    Reason.TRAINING_LAPSED: N_("Out of practice\nNot used for too long. Practise with a trainer."),
    Reason.NEEDS_SUPERVISOR: N_("Trainer needed\nYou may work here with a trainer only."),
    Reason.NEEDS_SECOND_PERSON: N_("Never alone here\nCome back with another member."),
    Reason.OUTSIDE_HOURS: N_("Not at this hour\nYour hours stand on your account's page."),
    Reason.RESERVED: N_("Reserved\nAnother member booked this time. Book a slot."),
    Reason.NO_CREDIT: N_("No credit left\nTop up your account at the desk."),
    Reason.DAILY_LIMIT: N_("Daily limit used\nYour time here is used up. Come tomorrow."),
    Reason.MACHINE_IN_USE: N_("Already in use\nPlease wait until this session has ended."),
    Reason.MACHINE_LOCKED_OUT: N_("Out of order\nDo not use it. Only a technician can release it."),
    Reason.MACHINE_FAULT: N_("Machine fault\nKeep your hands off and call the staff."),
    Reason.MACHINE_SWITCH_ON: N_("Machine is on\nTurn its own switch off, then badge again."),
    Reason.INTERLOCK_OPEN: N_("Guard is open\nClose it, then present the badge again."),
    Reason.EMERGENCY_STOP: N_("Emergency stop\nIs all well? Then release the red button."),
    Reason.CACHE_STALE: N_("Rights too old\nThe hub was not heard for too long. Call the staff."),
    Reason.NO_CACHE: N_("Not set up yet\nThe members' rights have not come from the hub yet."),
    Reason.CLOCK_UNTRUSTED: N_(
        "Clock not set\nThe time has not come from the hub yet. Call the staff."
    ),
    Reason.CANNOT_RECORD: N_("Cannot record\nNo session can begin. Call the staff."),
}

# What a refusal names goes before what it would say without a name.
DETAILED: Final = {
    Reason.UNKNOWN_BADGE: N_("Unknown badge\nCode %(detail)s"),
    Reason.INTERLOCK_OPEN: N_("Close first:\n%(detail)s"),
}

LONG_DETAILED: Final = {
    Reason.UNKNOWN_BADGE: N_("Unknown badge\nCode %(detail)s\nThe desk finds it by this code."),
    Reason.INTERLOCK_OPEN: N_("Not ready yet\nClose or switch on: %(detail)s"),
}
