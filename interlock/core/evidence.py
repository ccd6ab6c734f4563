"""A decision's record bodies: everything that decided it, so that `journal replay` decides it again."""

from __future__ import annotations

from typing import Any

from interlock.core.model import Granted, Inputs, Now, Presented, Refusal, Rules
from interlock.core.states import MachineState


def evidence(state: MachineState, badge: Presented, now: Now) -> dict[str, Any]:
    """What the decision looked at: state, entry, rules, snapshot, levels and times. No name, no UID."""
    entry = badge.entry.to_wire() if badge.entry is not None else None
    if entry is not None:
        entry["name"] = None
    return {
        "state": state.state.value,
        "entry": entry,
        "rules": rules_wire(state.rules),
        "snapshot": None if badge.cache.version is None else list(badge.cache.version),
        "age_s": badge.cache.age_s,
        "assurance": badge.assurance.name.lower(),
        "inputs": inputs_wire(state.inputs),
        "gate_ms": state.gate_ms,
        "seen_ms": badge.seen_ms,
        "boot_ms": now.boot_ms,
        "wall_at": now.wall_at,
        "wall_trusted": now.wall_trusted,
        "journal_trouble": state.journal_trouble is not None,
    }


def started_body(
    state: MachineState, badge: Presented, granted: Granted, now: Now
) -> dict[str, Any]:
    """The body of a `session_started` record."""
    return {
        "member": granted.member,
        "tag": badge.tag.hex(),
        "badge_use": state.rules.badge_use.value,
        "evidence": evidence(state, badge, now),
    }


def refused_body(
    state: MachineState, badge: Presented | None, refusal: Refusal, now: Now
) -> dict[str, Any]:
    """The body of a `refused` record; without a badge (several at once) there is no one to name."""
    entry = badge.entry if badge is not None else None
    return {
        "reason": refusal.reason.value,
        "tag": badge.tag.hex() if badge is not None else None,
        "member": entry.member if entry is not None else None,
        "training": refusal.training,
        "count": 1,
        "evidence": evidence(state, badge, now) if badge is not None else None,
    }


def rules_wire(rules: Rules) -> dict[str, Any]:
    """The part of the rules that decides about people."""
    return {
        "badge_use": rules.badge_use.value,
        "trainings": list(rules.demands.trainings),
        "needs": rules.demands.needs.value,
        "locked_out": rules.demands.locked_out,
        "min_assurance": rules.min_assurance.name.lower(),
        "max_offline_s": rules.max_offline_s,
    }


def inputs_wire(inputs: Inputs) -> dict[str, bool | None]:
    """The sampled levels by name."""
    return {name: getattr(inputs, name) for name in inputs.__slots__}
