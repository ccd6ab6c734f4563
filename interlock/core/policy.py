"""May this badge use this machine now? Entry, rules, cache and time in; Granted or Refusal out.

The same function decides on the node, explains on the hub ("what may I use, what do I miss") and replays from
the journal. Order: what the node can know at all, the badge, the machine, the member, the training, the hour,
the money, and last whom they have to bring along; the first refusal is the one a person can act upon.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from interlock.core.day_use import day_of, used_ms
from interlock.core.hours import not_now
from interlock.core.model import (
    Assurance,
    BadgeState,
    Cache,
    Credit,
    DayUse,
    Decision,
    Entry,
    Granted,
    Level,
    LocalGrant,
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


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What only the machine itself knows: trainings granted at it, today's use, and who stands beside.

    `trainer_of`: the trainings a trainer who is there answers for. `accompanied`: another member is there.
    """

    grants: tuple[LocalGrant, ...] = ()
    day_use: DayUse = field(default_factory=DayUse)
    trainer_of: tuple[str, ...] = ()
    accompanied: bool = False


ALONE = Circumstances()


def decide(
    entry: Entry | None,
    rules: Rules,
    now: Now,
    cache: Cache,
    assurance: Assurance,
    around: Circumstances = ALONE,
) -> Decision:
    """Granted when `entry` may start a session under `rules` at `now`; otherwise the first Refusal that applies.

    NEEDS_SUPERVISOR and NEEDS_SECOND_PERSON come last: nothing but somebody else's badge is missing then.
    """
    refusal = identify(entry, rules, cache, assurance)
    if refusal is not None:
        return refusal
    assert entry is not None
    if rules.demands.locked_out:
        return Refusal(Reason.MACHINE_LOCKED_OUT, entry.language)
    if _ended(entry.member_until_at, now):
        return Refusal(Reason.MEMBERSHIP_EXPIRED, entry.language)
    lacking = _lacking(entry, rules, now, around)
    if lacking is not None and lacking.reason is not Reason.NEEDS_SUPERVISOR:
        return lacking
    reason = not_now(entry, rules.demands, now) or _spent(entry, rules, now, around)
    if reason is not None:
        return Refusal(reason, entry.language)
    if lacking is not None:
        return lacking
    if rules.second_person and not around.accompanied and not around.trainer_of:
        return Refusal(Reason.NEEDS_SECOND_PERSON, entry.language)
    return Granted(
        entry.member,
        entry.language,
        entry.name,
        low_credit=entry.credit is Credit.LOW,
        trains=trains(entry, rules, now),
    )


def trains(entry: Entry, rules: Rules, now: Now) -> tuple[str, ...]:
    """The machine's trainings that this member teaches now, in the order the machine asks for them."""
    taught = {
        right.training
        for right in entry.rights
        if right.level is Level.TRAINER and _lacks(right, now) is None
    }
    return tuple(training for training in rules.demands.trainings if training in taught)


def accompanies(
    entry: Entry | None, rules: Rules, now: Now, cache: Cache, assurance: Assurance
) -> Refusal | None:
    """None when this badge's holder, an active member, counts as somebody who is there; otherwise why not."""
    refusal = identify(entry, rules, cache, assurance)
    if refusal is None and entry is not None and _ended(entry.member_until_at, now):
        return Refusal(Reason.MEMBERSHIP_EXPIRED, entry.language)
    return refusal


def unsupervised(entry: Entry, rules: Rules, now: Now, around: Circumstances) -> tuple[str, ...]:
    """The machine's trainings this member has only under supervision: what a trainer can answer for."""
    rights = _rights(entry, around, now)
    return tuple(
        training
        for training in rules.demands.trainings
        if _missing(training, rights, now) is Reason.NEEDS_SUPERVISOR
    )


def identify(
    entry: Entry | None, rules: Rules, cache: Cache, assurance: Assurance
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


def _lacking(entry: Entry, rules: Rules, now: Now, around: Circumstances) -> Refusal | None:
    """The nearest of what the member's trainings lack; None when they are enough."""
    rights, trainings = _rights(entry, around, now), rules.demands.trainings
    missing = [
        (training, reason)
        for training in trainings
        if (reason := _missing(training, rights, now)) is not None
        and not (reason is Reason.NEEDS_SUPERVISOR and training in around.trainer_of)
    ]
    if rules.demands.needs is Needs.ANY:
        enough = len(missing) < len(trainings)
    else:
        enough = not missing
    if enough:
        return None
    if not missing:
        return Refusal(Reason.NOT_TRAINED, entry.language)
    chosen = min if rules.demands.needs is Needs.ALL else max
    training, reason = chosen(missing, key=lambda item: _NEARNESS.index(item[1]))
    return Refusal(reason, entry.language, training)


def _rights(entry: Entry, around: Circumstances, now: Now) -> tuple[Right, ...]:
    """The member's rights, those granted here included, as long as the hub leaves what they were granted upon.

    Whoever was granted a training had it under supervision: a hub that takes that away takes the grant away (A4).
    """
    kept = {
        right.training
        for right in entry.rights
        if not _ended(right.until_at, now) and not _ended(right.lapses_at, now)
    }
    granted = (
        one.as_right()
        for one in around.grants
        if one.member == entry.member and one.training in kept
    )
    return (*entry.rights, *granted)


def _spent(entry: Entry, rules: Rules, now: Now, around: Circumstances) -> Reason | None:
    if entry.credit is Credit.NONE:
        return Reason.NO_CREDIT
    limit_s = rules.demands.daily_limit_s
    if limit_s is None:
        return None
    day = day_of(around.day_use, now, rules.demands.offsets)
    spent = used_ms(around.day_use, entry.member, day) >= limit_s * 1_000
    return Reason.DAILY_LIMIT if spent else None


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
    if _is_short(right) and not now.wall_trusted:
        return Reason.CLOCK_UNTRUSTED
    if right.level is Level.SUPERVISED:
        return Reason.NEEDS_SUPERVISOR
    return None


def _ended(end_at: int | None, now: Now) -> bool:
    return end_at is not None and now.wall_at is not None and now.wall_at >= end_at


def _is_short(right: Right) -> bool:
    if right.until_at is None or right.since_at is None:
        return False
    return right.until_at - right.since_at < SHORT_RIGHT_S
