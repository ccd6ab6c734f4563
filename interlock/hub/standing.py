"""Members at a moment to who pays and by which group: a session is priced by what held at its start."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from interlock.hub.changes import ROWS_AT_ONCE
from interlock.hub.models import Member, MemberTerms, Purpose
from interlock.hub.timeline import moment

FIELDS = ("group_id", "payer_id", "firm_id", "purpose")


class Standing(NamedTuple):
    """What a member's sessions begin with."""

    group_id: int | None
    payer_id: int | None
    firm_id: int | None
    purpose: str

    def pays(self) -> int | None:
        """Who pays unless staff say otherwise, and whose account counts."""
        return self.payer_for(self.purpose)

    def payer_for(self, purpose: str) -> int | None:
        """Who pays for that purpose: the firm for its own business, if the member has one."""
        return self.firm_id if purpose == Purpose.COMPANY and self.firm_id else self.payer_id


class Standings:
    """The dated terms of those members that ever changed; one query for each `load` of new ones."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._dated: dict[int, list[tuple[datetime, Standing]]] = defaultdict(list)

    def load(self, members: Iterable[int]) -> None:
        """The terms of those members are known."""
        missing = set(members) - self._known
        if not missing:
            return
        self._known |= missing
        rows = MemberTerms.objects.filter(member__in=missing).order_by("-starts_at", "-pk")
        for member_id, starts_at, *terms in rows.values_list("member_id", "starts_at", *FIELDS):
            self._dated[member_id].append((starts_at, Standing(*terms)))

    def dated(self, member_id: int, at: datetime) -> Standing | None:
        """What held for the member at that moment; None: it never changed, their own row says it."""
        dated = self._dated.get(member_id, ())
        return next((standing for since, standing in dated if since <= at), None)

    def of(self, member: Member, at: datetime) -> Standing:
        """What held for `member` at that moment."""
        return self.dated(member.pk, at) or standing_of(member)


def standing_of(member: Member) -> Standing:
    """What holds for `member` now."""
    return Standing(member.group_id, member.payer_id, member.firm_id, member.purpose)


def remember(member: Member, before: Standing, at: datetime) -> bool:
    """Whether `member` has other terms from `at` on than `before`; then both are dated. Call it in the
    transaction of the change."""
    return bool(remember_all([(member, before)], at))


def remember_all(changes: Iterable[tuple[Member, Standing]], at: datetime) -> list[Member]:
    """The members who have other terms from `at` on than before; both are dated: two statements for all."""
    moved = [(member, before) for member, before in changes if standing_of(member) != before]
    known = MemberTerms.objects.filter(member__in=[member for member, _ in moved])
    dated = set(known.values_list("member_id", flat=True)) if moved else set()
    rows = []
    for member, before in moved:
        if member.pk not in dated:
            rows.append(MemberTerms(member=member, starts_at=moment(0), **before._asdict()))
        rows.append(MemberTerms(member=member, starts_at=at, **standing_of(member)._asdict()))
    MemberTerms.objects.bulk_create(rows, batch_size=ROWS_AT_ONCE)
    return [member for member, _ in moved]
