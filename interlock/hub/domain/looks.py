"""Somebody looks at members' usage: noted once a day for each pair, so that the log stays readable."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from interlock.hub.models import Lab, Member, UsageView, User


def note(viewer: User, lab: Lab, members: Iterable[Member | None], day: date) -> None:
    """`viewer` looked at the usage of `members` on that day of the lab; their own is nobody's affair."""
    wanted = {member.pk for member in members if member is not None}
    if not wanted:
        return
    wanted -= set(Member.objects.filter(roles__user=viewer, lab=lab).values_list("pk", flat=True))
    known = UsageView.objects.filter(viewer=viewer, member__in=wanted, day=day)
    new = wanted - set(known.values_list("member", flat=True))
    if new:
        UsageView.objects.bulk_create(
            [UsageView(lab=lab, viewer=viewer, member_id=pk, day=day) for pk in sorted(new)],
            ignore_conflicts=True,
        )
