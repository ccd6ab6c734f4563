"""Everything a Pi and its node say of their health in, findings in words out: `interlock doctor`.

A finding is a sentence and what to do about it. Nothing is guessed: what cannot be looked at from here (no node
runs, no Pi, no permission) is "unknown" and says how to find out. Nothing is changed and no relay moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from interlock.config import NodeConfig, digest, warnings
from interlock.errors import InterlockError
from interlock.findings import Finding, Say, Verdict
from interlock.node.doctor_pins import examine_pins
from interlock.node.words import N_
from interlock.protocol.control import Op

HUB_SILENT_S = 120
"""Sync greets the hub every 30 s; four times that without its word is trouble."""

WEAR_BYTES_PER_DAY = 50_000_000
"""The SD card's budget (7-targets.md)."""

WEAR_KNOWN_AFTER_MS = 3_600_000
"""What was written in less than an hour says little about a day."""

UNSENT_MANY = 10_000
"""More than a month of a busy machine: sync has not delivered for long."""

LATE_US_MAX = 100_000
"""A loop five ticks late was starved; twelve ticks drop the dynamic enable."""


@dataclass(frozen=True, slots=True)
class Node:
    """What the running node answered; `why` says why it did not, and then both answers are empty."""

    status: Mapping[str, Any]
    metrics: Mapping[str, Any]
    why: str = ""

    @property
    def runs(self) -> bool:
        """Whether it answered."""
        return bool(self.status)


def ask_node(ask: Callable[[Op], dict[str, Any]]) -> Node:
    """What a node says of itself, or why it says nothing."""
    try:
        return Node(ask(Op.STATUS), ask(Op.METRICS))
    except InterlockError as error:
        return Node({}, {}, error.what)


def examine_node(node: Node, config: NodeConfig, say: Say) -> Iterator[Finding]:
    """What the node's own answers tell; one finding when it does not run."""
    if not node.runs:
        yield Finding(
            "node",
            Verdict.BAD,
            say(N_("The node does not answer: %(why)s")) % {"why": node.why},
            say(N_("Start it: systemctl start interlock-node; see: journalctl -u interlock-node")),
        )
        return
    yield from _runs(node, config, say)
    yield _reader(node.status, say)
    yield _journal(node.status, say)
    yield _cache(node.status, say)
    yield _clock(node.status, say)
    yield _hub(node.status, say)
    yield from examine_pins(node.status, config, say)
    yield _enable(node, config, say)
    yield _wear(node.metrics, say)
    yield from _commissioning(node.status, say)


def _runs(node: Node, config: NodeConfig, say: Say) -> Iterator[Finding]:
    status = node.status
    state = {"state": status["state"], "software": status["software"]}
    yield Finding(
        "node", Verdict.GOOD, say(N_("The node runs: version %(software)s, %(state)s")) % state
    )
    if status["config_digest"] != digest(config):
        yield Finding(
            "config",
            Verdict.CARE,
            say(N_("The node runs with another configuration than the file's")),
            say(N_("Restart it when the machine is free: systemctl restart interlock-node")),
        )
    for warning in warnings(config, say):
        yield Finding("config", Verdict.CARE, warning)
    for fault in status["faults"]:
        yield Finding(
            "fault",
            Verdict.BAD,
            say(N_("A fault is latched: %(fault)s")) % {"fault": fault},
            say(N_("Mend the machine first (docs/faults.md), then: interlock node clear-faults")),
        )
    late_us = status["late_us_max"]
    if late_us > LATE_US_MAX:
        yield Finding(
            "loop",
            Verdict.CARE,
            say(N_("The loop was %(ms)d ms late at worst")) % {"ms": late_us // 1_000},
            say(N_("Something starves the Pi: stop other programs, check its power supply")),
        )


def _reader(status: Mapping[str, Any], say: Say) -> Finding:
    if status["reader"] == "ok":
        chip = {"chip": status["reader_chip"] or "-"}
        return Finding("reader", Verdict.GOOD, say(N_("The badge reader answers: %(chip)s")) % chip)
    return Finding(
        "reader",
        Verdict.BAD,
        say(N_("The badge reader is dead: %(why)s")) % {"why": status["reader"]},
        say(N_("Check its cable and its 3.3 V; stop the node and run: interlock reader test")),
    )


def _journal(status: Mapping[str, Any], say: Say) -> Finding:
    journal = status["journal"]
    if journal["state"] != "ok":
        return Finding(
            "journal",
            Verdict.BAD,
            say(N_("The journal cannot write: %(why)s")) % {"why": journal["state"]},
            say(N_("Check the SD card: free space, read-only, dying; nobody can start until then")),
        )
    unsent = {"unsent": journal["unsent"]}
    if journal["unsent"] > UNSENT_MANY:
        return Finding(
            "journal",
            Verdict.CARE,
            say(N_("The journal writes, but %(unsent)d records wait for the hub")) % unsent,
            say(N_("See the line on the hub; records are kept until it has them")),
        )
    return Finding(
        "journal",
        Verdict.GOOD,
        say(N_("The journal writes; %(unsent)d records wait for the hub")) % unsent,
    )


def _cache(status: Mapping[str, Any], say: Say) -> Finding:
    cache = status["cache"]
    if cache["version"] is None:
        return Finding(
            "cache",
            Verdict.BAD,
            say(N_("There is no list of badges: everybody is refused")),
            say(
                N_("The hub sends one as soon as sync reaches it: systemctl status interlock-sync")
            ),
        )
    seen = {"version": ".".join(map(str, cache["version"])), "hours": cache["age_s"] // 3_600}
    return Finding(
        "cache",
        Verdict.GOOD,
        say(N_("The list of badges is version %(version)s, current %(hours)d h ago")) % seen,
    )


def _clock(status: Mapping[str, Any], say: Say) -> Finding:
    if status["clock"]["trusted"]:
        return Finding("clock", Verdict.GOOD, say(N_("The clock was set by the hub in this boot")))
    return Finding(
        "clock",
        Verdict.CARE,
        say(N_("The clock is not trusted yet: day passes and opening hours are refused")),
        say(N_("It sets itself at the first contact with the hub")),
    )


def _hub(status: Mapping[str, Any], say: Say) -> Finding:
    told_s = status["hub_told_s"]
    if told_s is None:
        what = say(N_("The hub was never reached"))
    elif not status["clock"]["trusted"]:
        # Only powered seconds are counted: a Pi that was off for a week heard it a moment ago by them.
        what = say(N_("The hub was not heard since this computer was switched on"))
    elif told_s > HUB_SILENT_S:
        what = say(N_("The hub was last heard %(minutes)d min ago")) % {"minutes": told_s // 60}
    else:
        heard = say(N_("The hub was heard %(s)d s ago")) % {"s": told_s}
        return Finding("hub", Verdict.GOOD, heard)
    remedy = N_(
        "Check network and hub; see: journalctl -u interlock-sync. Trained members can work"
    )
    return Finding("hub", Verdict.CARE, what, say(remedy))


def _enable(node: Node, config: NodeConfig, say: Say) -> Finding:
    if config.relay.dynamic_enable_pin is None:
        return Finding(
            "dynamic enable",
            Verdict.CARE,
            say(N_("No dynamic enable is declared: a hung node is stopped by its watchdog only")),
            say(N_("Wire one (docs/wiring.md) and name its pin: relay.dynamic_enable_pin")),
        )
    seen = node.metrics["enable"]
    if not seen["turns"]:
        return Finding(
            "dynamic enable",
            Verdict.UNKNOWN,
            say(N_("The dynamic enable has not moved yet: nobody has worked since the start")),
            say(N_("Run it again after a session")),
        )
    worst = {"turns": seen["turns"], "ms": seen["gap_ms_max"]}
    return Finding(
        "dynamic enable",
        Verdict.GOOD,
        say(N_("The dynamic enable turned %(turns)d times, at most %(ms)d ms apart")) % worst,
    )


def _wear(metrics: Mapping[str, Any], say: Say) -> Finding:
    written, boot_ms = metrics["written_bytes"], metrics["process_ms"]
    if written is None or boot_ms < WEAR_KNOWN_AFTER_MS:
        return Finding(
            "wear",
            Verdict.UNKNOWN,
            say(N_("The node has not run for an hour: its wear of the SD card is not known yet")),
        )
    per_day = written * 86_400_000 // boot_ms
    spent = {"mb": per_day // 1_000_000, "budget": WEAR_BYTES_PER_DAY // 1_000_000}
    if per_day > WEAR_BYTES_PER_DAY:
        return Finding(
            "wear",
            Verdict.CARE,
            say(N_("The node writes %(mb)d MB a day; the SD card's budget is %(budget)d")) % spent,
            say(N_("Raise times.progress_s to 60; look for a flood of refusals on the hub")),
        )
    return Finding(
        "wear",
        Verdict.GOOD,
        say(N_("The node writes %(mb)d MB a day, of a budget of %(budget)d")) % spent,
    )


WALK = N_("Walk through it, two people: systemctl stop interlock-node, then: interlock commission")
NEW_CODE = N_("Make one, for an envelope: interlock commission --only break-glass")


def _commissioning(status: Mapping[str, Any], say: Say) -> Iterator[Finding]:
    if "commissioned" not in status:
        # The node that runs is of a version before this one.
        return
    name, done = "commissioned", status["commissioned"]
    if done is None:
        what = say(N_("The machine was never commissioned"))
        yield Finding(name, Verdict.CARE, what, say(WALK))
        return
    if done["open"]:
        names = {"names": ", ".join(done["open"])}
        what = (
            say(N_("The commissioning found what is not good, or left it out: %(names)s")) % names
        )
        yield Finding(name, Verdict.BAD, what, say(WALK))
    elif not done["same_wiring"]:
        what = say(N_("The file was changed since the machine was commissioned"))
        remedy = say(
            N_("Walk again through what the change concerns: interlock commission --only …")
        )
        yield Finding(name, Verdict.CARE, what, remedy)
    else:
        what = say(N_("The machine was commissioned, and its file is the same since"))
        yield Finding(name, Verdict.GOOD, what)
    code = status["break_glass"]
    if code == "used":
        what = say(N_("The break-glass code of the envelope was used"))
        yield Finding("break-glass code", Verdict.CARE, what, say(NEW_CODE))
    elif code is None:
        what = say(N_("There is no break-glass code for this machine"))
        yield Finding("break-glass code", Verdict.CARE, what, say(NEW_CODE))
