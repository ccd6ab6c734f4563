"""May this badge use this machine now? Entry, rules, cache and time in; Granted or Refusal out.

The same function decides on the node, explains on the hub ("what may I use, what do I miss") and replays from
the journal. Order: what the node can know at all, the badge, the machine, the member, the training; the first
refusal is the one a person can act upon.
"""

from __future__ import annotations

from collections.abc import Iterable

from interlock.core.model import (
    Assurance,
    BadgeState,
    Cache,
    Decision,
    Entry,
    Granted,
    Level,
    MemberStatus,
    Needs,
    Now,
    Reason,
    Refusal,
    Right,
    Rules,
)

SHORT_RIGHT_S = 48 * 3_600
"""A right granted for less than this (a day pass) is refused while the clock is untrusted; longer ones are
honoured, so that a power cut with the internet down does not lock the lab (2-machine.md A11)."""


def decide(
    entry: Entry | None, rules: Rules, now: Now, cache: Cache, assurance: Assurance
) -> Decision:
    """Granted when `entry` may start a session under `rules` at `now`; otherwise the first Refusal that applies."""
    refusal = identify(entry, rules, now, cache, assurance)
    if refusal is not None or entry is None:
        return refusal or Refusal(Reason.UNKNOWN_BADGE)
    if rules.demands.locked_out:
        return Refusal(Reason.MACHINE_LOCKED_OUT, entry.language)
    if _ended(entry.member_until_at, now):
        return Refusal(Reason.MEMBERSHIP_EXPIRED, entry.language)
    missing = [
        (training, reason)
        for training in rules.demands.trainings
        if (reason := _missing(training, entry.rights, now)) is not None
    ]
    if rules.demands.needs is Needs.ANY:
        enough = len(missing) < len(rules.demands.trainings)
    else:
        enough = not missing
    if not enough and not missing:
        return Refusal(Reason.NOT_TRAINED, entry.language)
    if not enough:
        training, reason = max(missing, key=lambda item: _NEARNESS.index(item[1]))
        return Refusal(reason, entry.language, training)
    return Granted(entry.member, entry.language, entry.name)


def identify(
    entry: Entry | None, rules: Rules, now: Now, cache: Cache, assurance: Assurance
) -> Refusal | None:
    """None when the badge is an active member's, surely enough and freshly enough known; otherwise why not."""
    if cache.version is None:
        return Refusal(Reason.NO_CACHE)
    language = entry.language if entry is not None else None
    if cache.age_s > rules.max_offline_s:
        return Refusal(Reason.CACHE_STALE, language)
    if entry is None:
        return Refusal(Reason.UNKNOWN_BADGE)
    if entry.badge is not BadgeState.ACTIVE:
        return Refusal(Reason.BADGE_BLOCKED, language)
    if assurance.value < rules.min_assurance.value:
        return Refusal(Reason.BADGE_NOT_SECURE_ENOUGH, language)
    if entry.status is not MemberStatus.ACTIVE:
        return Refusal(Reason.MEMBER_SUSPENDED, language)
    return None


_NEARNESS = (
    Reason.NOT_TRAINED,
    Reason.TRAINING_EXPIRED,
    Reason.TRAINING_LAPSED,
    Reason.CLOCK_UNTRUSTED,
    Reason.NEEDS_SUPERVISOR,
)
"""From furthest to nearest to being allowed: of several ways, the screen names the nearest."""


def _missing(training: str, rights: Iterable[Right], now: Now) -> Reason | None:
    reasons = [_lacks(right, now) for right in rights if right.training == training]
    if not reasons:
        return Reason.NOT_TRAINED
    if None in reasons:
        return None
    return max((reason for reason in reasons if reason), key=_NEARNESS.index)


def _lacks(right: Right, now: Now) -> Reason | None:
    if _ended(right.until_at, now):
        return Reason.TRAINING_EXPIRED
    if _ended(right.lapses_at, now):
        return Reason.TRAINING_LAPSED
    if right.level is Level.SUPERVISED:
        return Reason.NEEDS_SUPERVISOR
    if _is_short(right) and not now.wall_trusted:
        return Reason.CLOCK_UNTRUSTED
    return None


def _ended(end_at: int | None, now: Now) -> bool:
    return end_at is not None and now.wall_at is not None and now.wall_at >= end_at


def _is_short(right: Right) -> bool:
    if right.until_at is None or right.since_at is None:
        return False
    return right.until_at - right.since_at < SHORT_RIGHT_S
