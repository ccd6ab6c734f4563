"""What is said to whoever commissions a machine: a code of the walk in, an English msgid out.

An `Act` is something for hands, a `Look` something only eyes and ears can tell, a `Step` one part of the printed
sheet (docs/commissioning-sheet.md), in its order. French stands in `locale/fr/LC_MESSAGES/interlock.po`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from interlock.node.words import N_


class Step(StrEnum):
    """One step of the walk; its value is what `--only` takes."""

    INPUTS = "inputs"
    BUTTONS = "buttons"
    PANEL = "panel"
    READER = "reader"
    RELAY = "relay"
    MIRROR_WIRE = "mirror-wire"
    DYNAMIC_ENABLE = "dynamic-enable"
    STOP_CHAIN = "stop-chain"
    DROP_OUT = "drop-out"
    CURRENT = "current"
    UNEXPECTED_START = "unexpected-start"
    EXTRACTION = "extraction"
    INTERLOCKS = "interlocks"
    BYPASS = "bypass"
    BREAK_GLASS = "break-glass"


PARTS: Final = {
    Step.INPUTS: "B",
    Step.BUTTONS: "B",
    Step.PANEL: "B",
    Step.READER: "B",
    Step.RELAY: "C",
    Step.MIRROR_WIRE: "C",
    Step.DYNAMIC_ENABLE: "C",
    Step.STOP_CHAIN: "D",
    Step.DROP_OUT: "E",
    Step.CURRENT: "F",
    Step.UNEXPECTED_START: "G",
    Step.EXTRACTION: "H",
    Step.INTERLOCKS: "H",
    Step.BYPASS: "H",
    Step.BREAK_GLASS: "I",
}
"""The letter of each step's part on the sheet."""

TITLES: Final = {
    Step.INPUTS: N_("Inputs at rest"),
    Step.BUTTONS: N_("Buttons and switches, one by one"),
    Step.PANEL: N_("Lamp, buzzer and screen"),
    Step.READER: N_("Badge reader"),
    Step.RELAY: N_("Relay and mirror contact, 10 times"),
    Step.MIRROR_WIRE: N_("Wire of the mirror contact"),
    Step.DYNAMIC_ENABLE: N_("Dynamic enable stands still"),
    Step.STOP_CHAIN: N_("Stop chain"),
    Step.DROP_OUT: N_("Drop-out test"),
    Step.CURRENT: N_("Current: idle and busy"),
    Step.UNEXPECTED_START: N_("Unexpected start"),
    Step.EXTRACTION: N_("Extraction"),
    Step.INTERLOCKS: N_("Interlocks, one by one"),
    Step.BYPASS: N_("Bypass key"),
    Step.BREAK_GLASS: N_("Break-glass code"),
}
"""The words of the sheet: a test finds each of them there, in this order, in both languages."""


class Act(StrEnum):
    """What a person is told to do."""

    MAKE_SAFE = "make_safe"
    PRESS_STOP = "press_stop"
    PRESS_BROKEN = "press_broken"
    PRESS_LONG_JOB = "press_long_job"
    TURN_SWITCH = "turn_switch"
    SHOW_BADGE = "show_badge"
    LISTEN = "listen"
    LISTEN_SELF_HOLDING = "listen_self_holding"
    PULL_MIRROR_WIRE = "pull_mirror_wire"
    PUT_MIRROR_WIRE = "put_mirror_wire"
    WATCH_HANG = "watch_hang"
    PRESS_EMERGENCY = "press_emergency"
    RELEASE_EMERGENCY = "release_emergency"
    CUT_MAINS_WHILE_ON = "cut_mains_while_on"
    RESTORE_MAINS = "restore_mains"
    SWITCH_OFF = "switch_off"
    LEAVE_AT_REST = "leave_at_rest"
    WORK = "work"
    HOLD_SWITCH_ON = "hold_switch_on"
    PUT_SENSE_WIRE = "put_sense_wire"
    EXTRACTION_RUNS = "extraction_runs"
    OPEN_FIRE = "open_fire"
    OPEN_INTERLOCK = "open_interlock"
    TURN_KEY = "turn_key"
    PRESS_EMERGENCY_ON_KEY = "press_emergency_on_key"
    TURN_KEY_BACK = "turn_key_back"


ACTS: Final = {
    Act.MAKE_SAFE: N_(
        "Two people. Blade, cutter or bit taken out, laser tube off, hands away, the machine's own switch off, "
        "one of you at the main switch. The relay will close several times."
    ),
    Act.PRESS_STOP: N_("Press the stop button, then let go."),
    Act.PRESS_BROKEN: N_("Press the “broken” button, then let go."),
    Act.PRESS_LONG_JOB: N_("Press the long-job button, then let go."),
    Act.TURN_SWITCH: N_("Switch the machine's own switch on, then off. It has no power."),
    Act.SHOW_BADGE: N_("Hold a badge to the reader."),
    Act.LISTEN: N_("The contactor pulls in and lets go 10 times: listen and count."),
    Act.LISTEN_SELF_HOLDING: N_(
        "The relay closes for ten seconds: press the machine's start button and listen. When the relay opens, "
        "the contactor must let go."
    ),
    Act.PULL_MIRROR_WIRE: N_("Take one wire off the mirror contact."),
    Act.PUT_MIRROR_WIRE: N_("Put the wire of the mirror contact back."),
    Act.WATCH_HANG: N_(
        "Now as if the node hung: the relay's pin is on, the dynamic enable stands still. Where the machine has "
        "a start button, press it meanwhile."
    ),
    Act.PRESS_EMERGENCY: N_(
        "The relay closes for at most 20 s: press the emergency stop, and leave it pressed."
    ),
    Act.RELEASE_EMERGENCY: N_("Release the emergency stop."),
    Act.CUT_MAINS_WHILE_ON: N_(
        "The relay closes for at most 45 s. Start the machine by its own control; once it runs, open the main "
        "switch, count to three, close it again. The machine must stay still."
    ),
    Act.RESTORE_MAINS: N_(
        "Close the main switch if it is open, and touch nothing else. The machine must stay still."
    ),
    Act.SWITCH_OFF: N_(
        "Switch the machine off by its own control, and wait until the tool stands still."
    ),
    Act.LEAVE_AT_REST: N_(
        "The relay closes for five seconds: do not start the machine, let it idle."
    ),
    Act.WORK: N_(
        "The relay closes for at most 30 s: start the machine and let it do its lightest work."
    ),
    Act.HOLD_SWITCH_ON: N_(
        "Take the sense wire off the machine's own switch, where there is one. When the relay closes, hold the "
        "machine's start control on: it must be cut off by itself."
    ),
    Act.PUT_SENSE_WIRE: N_("Switch the machine off by its own control, put the sense wire back."),
    Act.EXTRACTION_RUNS: N_("The extraction runs."),
    Act.OPEN_FIRE: N_("Open “%(name)s”: the extraction must stop. Then close it again."),
    Act.OPEN_INTERLOCK: N_("Open “%(name)s”, then close it again."),
    Act.TURN_KEY: N_("Turn the bypass key. The machine has power now."),
    Act.PRESS_EMERGENCY_ON_KEY: N_("Press the emergency stop, and leave it pressed."),
    Act.TURN_KEY_BACK: N_("Turn the bypass key back, then release the emergency stop."),
}


class Look(StrEnum):
    """What a person is asked, after everything that could be measured was measured."""

    LAMP_RED = "lamp_red"
    LAMP_GREEN = "lamp_green"
    LAMP_BLUE = "lamp_blue"
    BUZZER = "buzzer"
    SCREEN = "screen"
    PULLED_IN = "pulled_in"
    STAYED_OUT = "stayed_out"
    LET_GO = "let_go"
    STOOD_STILL = "stood_still"
    EXTRACTION_RAN = "extraction_ran"
    EXTRACTION_STOPPED = "extraction_stopped"
    KEY_AND_STOP = "key_and_stop"


LOOKS: Final = {
    Look.LAMP_RED: N_("Is the lamp red, and nothing else?"),
    Look.LAMP_GREEN: N_("Is the lamp green, and nothing else?"),
    Look.LAMP_BLUE: N_("Is the lamp blue, and nothing else?"),
    Look.BUZZER: N_("Did the buzzer sound for a second?"),
    Look.SCREEN: N_("Can both lines be read on the screen: Interlock, 0123456789?"),
    Look.PULLED_IN: N_(
        "Did the contactor pull in and let go every time, and stay in for as long as the relay was on?"
    ),
    Look.STAYED_OUT: N_("Did the contactor stay out all the time?"),
    Look.LET_GO: N_("Did the contactor let go at the very moment you pressed?"),
    Look.STOOD_STILL: N_(
        "Did the machine run, was the main switch opened and closed, and did the machine then stay still?"
    ),
    Look.EXTRACTION_RAN: N_("Did the extraction run?"),
    Look.EXTRACTION_STOPPED: N_("Did the extraction stop?"),
    Look.KEY_AND_STOP: N_(
        "Did the contactor pull in with the key, and let go at the emergency stop?"
    ),
}

SIGNAL_WORDS: Final = {
    "emergency_stop": N_("emergency stop"),
    "mirror_contact": N_("mirror contact"),
    "machine_switch": N_("machine's own switch"),
    "current_sensor": N_("current sensor"),
    "bypass_key": N_("bypass key"),
    "stop_button": N_("stop button"),
    "broken_button": N_("“broken” button"),
    "long_job_button": N_("long-job button"),
}
"""Every input of a node's file, as people call it."""

PART_WORDS: Final = {
    **SIGNAL_WORDS,
    "lamp": N_("lamp"),
    "buzzer": N_("buzzer"),
    "screen": N_("screen"),
    "inrush": N_("inrush"),
}
"""What of a step, where it has several; an interlock is called by its own name."""

MEASURED: Final = {
    "close_ms": N_("in after %d ms"),
    "open_ms": N_("out after %d ms"),
    "repetitions": N_("%d times, the worst"),
    "drop_ms": N_("out after %d ms"),
    "seen_ms": N_("seen after %d ms"),
    "busy_ms": N_("busy after %d ms"),
    "idle_ma": N_("idle %d mA"),
    "busy_ma": N_("busy %d mA"),
    "busy_above_ma": N_("busy from %d mA"),
    "idle_below_ma": N_("idle to %d mA"),
    "inrush_ms": N_("inrush of %d ms"),
    "cut_ms": N_("cut after %d ms"),
    "air_ms": N_("air after %d ms"),
    "stops_ms": N_("still after %d ms"),
}
"""Every number of a result; its unit is in its name."""
