"""Many members at once, new ones and changed ones: checked already, written in a handful of statements.

One member after the other costs eight milliseconds with badge and audit row; ten thousand would keep
every node and page from writing for more than a minute.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from django.db import transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub import credit
from interlock.hub.changes import ROWS_AT_ONCE, Deed, log_deeds
from interlock.hub.domain import badges
from interlock.hub.domain.members import PUBLIC_ID_BYTES, described, spare_payer_name
from interlock.hub.domain.trainings import end_of_training
from interlock.hub.models import (
    Authorisation,
    Badge,
    Group,
    Lab,
    Member,
    MemberImport,
    Payer,
    PayerKind,
    Topic,
    Training,
    UnknownBadge,
)
from interlock.hub.permissions import Actor, Permission, require
from interlock.hub.standing import remember_all, standing_of


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody to be made a member, every value checked; `tag` is their badge's."""

    name: str
    email: str = ""
    language: str = ""
    group: Group | None = None
    payer: Payer | None = None
    joined_on: date | None = None
    until_at: datetime | None = None
    tag: bytes | None = None
    enrol_again: bytes | None = None
    trainings: tuple[Training, ...] = ()


@dataclass(frozen=True, slots=True)
class Renewal:
    """A member who is here: what a list says anew of them; None and "" change nothing."""

    member: Member
    email: str = ""
    language: str = ""
    group: Group | None = None
    payer: Payer | None = None
    until_at: datetime | None = None


@dataclass(slots=True)
class _Written:
    """The rows of one intake, in the order they are written."""

    people: list[Member] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)


@transaction.atomic
def take_in(
    actor: Actor,
    lab: Lab,
    newcomers: Sequence[Newcomer],
    renewals: Sequence[Renewal] = (),
    source: MemberImport | None = None,
) -> list[Member]:
    """The newcomers are members with their badges and trainings, the renewals say what they say; all of
    them or nobody. Returns the new members in their order. Raises ConfigError: somebody was quicker."""
    require(actor, lab, Permission.EDIT_MEMBERS)
    if any(one.tag is not None or one.enrol_again is not None for one in newcomers):
        require(actor, lab, Permission.EDIT_BADGES)
    if any(one.trainings for one in newcomers):
        require(actor, lab, Permission.GRANT_ANY)
    _refuse_taken(lab, newcomers, renewals)
    written = _Written()
    _create(actor, lab, newcomers, source, written)
    # The list's own moment: what is given later was not given by it (take_back).
    at = source.done_at if source is not None else actor.now()
    _give_badges(lab, newcomers, written, at)
    _grant(actor, lab, newcomers, written, at)
    _renew(lab, renewals, written, actor.now())
    log_deeds(actor, lab, Topic.RIGHTS, written.deeds, why=source.file_name if source else "")
    for one, member in zip(newcomers, written.people, strict=True):
        if one.enrol_again is not None:
            badges.record_enrol_again(actor, member, one.enrol_again)
    return written.people


def _refuse_taken(lab: Lab, newcomers: Sequence[Newcomer], renewals: Sequence[Renewal]) -> None:
    """Return when every e-mail and badge is still free: the writer is ours, nobody takes one any more."""
    wanted = [one.email.casefold() for one in newcomers if one.email]
    wanted += [one.email.casefold() for one in renewals if one.email]
    own = {one.member.pk for one in renewals}
    people = Member.objects.filter(lab=lab).exclude(email="").values_list("pk", "email")
    taken = {email.casefold() for pk, email in people if pk not in own}
    tags = {one.tag for one in newcomers if one.tag is not None}
    known = {bytes(tag) for tag in Badge.objects.filter(lab=lab).values_list("tag", flat=True)}
    if len(set(wanted)) < len(wanted) or taken.intersection(wanted) or tags & known:
        raise ConfigError(
            _("somebody else has just entered one of these people or badges"),
            remedy=_("Look at the list once more: nothing was changed"),
        )


def _create(
    actor: Actor,
    lab: Lab,
    newcomers: Sequence[Newcomer],
    source: MemberImport | None,
    written: _Written,
) -> None:
    taken = set(Payer.objects.filter(lab=lab).values_list("name", flat=True))
    payers = []
    for one in newcomers:
        if one.payer is None:
            name = spare_payer_name(one.name, taken)
            taken.add(name)
            payers.append(Payer(lab=lab, name=name, kind=PayerKind.PERSON))
    own = iter(Payer.objects.bulk_create(payers, batch_size=ROWS_AT_ONCE))
    today = actor.now().date()
    written.people = Member.objects.bulk_create(
        (
            Member(
                lab=lab,
                public_id=secrets.token_hex(PUBLIC_ID_BYTES),
                name=one.name,
                email=one.email,
                language=one.language or lab.language,
                group=one.group,
                payer=one.payer or next(own),
                joined_on=one.joined_on or today,
                until_at=one.until_at,
                imported_with=source,
            )
            for one in newcomers
        ),
        batch_size=ROWS_AT_ONCE,
    )
    written.deeds += [
        Deed("member_created", member.public_id, described(member)) for member in written.people
    ]


def _give_badges(lab: Lab, newcomers: Sequence[Newcomer], written: _Written, at: datetime) -> None:
    given = [
        Badge(lab=lab, member=member, tag=one.tag, given_at=at)
        for one, member in zip(newcomers, written.people, strict=True)
        if one.tag is not None
    ]
    Badge.objects.bulk_create(given, batch_size=ROWS_AT_ONCE)
    written.deeds += [
        Deed(
            "badge_given",
            badges.short_name(badge),
            {"member": badge.member.public_id, "label": badge.label},
        )
        for badge in given
    ]
    tags = {bytes(badge.tag) for badge in given}
    met = [row.pk for row in UnknownBadge.objects.filter(lab=lab) if bytes(row.tag) in tags]
    UnknownBadge.objects.filter(pk__in=met).delete()


def _grant(
    actor: Actor, lab: Lab, newcomers: Sequence[Newcomer], written: _Written, at: datetime
) -> None:
    granted = [
        Authorisation(
            lab=lab,
            member=member,
            training=training,
            granted_by=actor.user,
            granted_at=at,
            until_at=end_of_training(training, at),
        )
        for one, member in zip(newcomers, written.people, strict=True)
        for training in one.trainings
    ]
    Authorisation.objects.bulk_create(granted, batch_size=ROWS_AT_ONCE)
    written.deeds += [
        Deed(
            "training_granted",
            f"{one.member.public_id} {one.training.slug}",
            {
                "level": str(one.level),
                "until_at": None if one.until_at is None else int(one.until_at.timestamp()),
            },
        )
        for one in granted
    ]


def _renew(lab: Lab, renewals: Sequence[Renewal], written: _Written, at: datetime) -> None:
    changed, stood = [], {}
    for one in renewals:
        before, stood[one.member] = described(one.member), standing_of(one.member)
        for name in ("email", "language", "group", "payer", "until_at"):
            value = getattr(one, name)
            if value:
                setattr(one.member, name, value)
        after = described(one.member)
        if after != before:
            changed.append(one.member)
            written.deeds.append(Deed("member_changed", one.member.public_id, after, before))
    fields = ["email", "language", "group", "payer", "until_at"]
    Member.objects.bulk_update(changed, fields, batch_size=ROWS_AT_ONCE)
    moved = remember_all([(member, stood[member]) for member in changed], at)
    credit.follow_all(lab, [(member, stood[member].pays()) for member in moved], at)


@transaction.atomic
def take_back(actor: Actor, source: MemberImport) -> tuple[int, int]:
    """Whoever came with that list and has used nothing since is gone again, with badges and trainings that
    the list brought; returns how many went and how many stay because they have done something here.

    Raises ConfigError when it was taken back before. What the list changed of others stays as it is.
    """
    lab = source.lab
    require(actor, lab, Permission.EDIT_MEMBERS)
    if source.undone_at is not None:
        raise ConfigError(_("this import was taken back before"), where=source.file_name)
    came = list(source.members.select_related("payer").order_by("pk"))
    untouched = [member for member in came if not _has_a_past(member, source.done_at)]
    gone = []
    for member in untouched:
        public_id, payer = member.public_id, member.payer
        before = described(member)
        try:
            with transaction.atomic():
                member.delete()
                if payer is not None and payer.kind == PayerKind.PERSON:
                    _drop(payer)
        except ProtectedError:
            continue
        gone.append(Deed("member_taken_back", public_id, before=before))
    log_deeds(actor, lab, Topic.RIGHTS, gone, why=source.file_name)
    source.undone_at = actor.now()
    source.save(update_fields=["undone_at"])
    return len(gone), len(came) - len(gone)


def _drop(payer: Payer) -> None:
    """The payer is gone, unless something or somebody else hangs on it."""
    if payer.members.exists():
        return
    with contextlib.suppress(ProtectedError), transaction.atomic():
        payer.delete()


def _has_a_past(member: Member, since: datetime) -> bool:
    """Whether they used a machine, or were given anything after the list."""
    return (
        member.sessions.exists()
        or member.roles.exists()
        or member.attendances.exists()
        or member.badges.filter(given_at__gt=since).exists()
        or member.authorisations.filter(granted_at__gt=since).exists()
    )
