"""A member to nobody: gone from every table, record and log of the hub at once, and from nodes with their next list.

What is left of them: sessions without a name, hours of training and of volunteers without a name, lines on
numbered statements with the payer's name as it was billed (Code de commerce, art. L123-22: ten years; GDPR,
art. 17(3)(b)), and a row of digests that finds them again in a back-up and tells nobody who they were. Chains
verify as before: what a record or an audit row said goes, its commitment stays.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.sessions.models import Session as Login
from django.db import models, transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub import traces
from interlock.hub.changes import log_deed
from interlock.hub.erased import all_digests_of
from interlock.hub.models import (
    ApiAnswer,
    AuditRow,
    ChangeLog,
    ErasedMember,
    Lab,
    Line,
    Member,
    MemberTerms,
    NodeRecord,
    OutboxMail,
    Payer,
    Role,
    RoleName,
    Session,
    SetAside,
    Topic,
    User,
    UseSetAside,
)
from interlock.hub.permissions import Actor, Permission, require
from interlock.hub.restoring import note_erased
from interlock.hub.retention import empty_audit
from interlock.hub.scrubbing import clean_file
from interlock.hub.traces import Needles
from interlock.protocol import canonical
from interlock.protocol.erasure import digest_of

UPLOADS = "uploads"
"""The folder of lists that somebody is importing (hub.uploads)."""

GONE = "…"
"""What stands where a free text named somebody."""


def erase_member(actor: Actor, member: Member, why: str) -> list[Payer]:
    """`member` is nobody any more, in no byte of the hub's database. Returns the payers that had to stay,
    because a line or a statement is theirs. Raises ConfigError (a session runs, the last owner)."""
    needles = traces.needles_of(member)
    kept = erase_from_tables(actor, member, needles, why)
    # Lists that somebody is importing stand in files beside the database, for an hour.
    for path in (settings.HUB.path / UPLOADS).glob("*"):
        if needles.found_in(path.read_text("utf-8", errors="replace")):
            path.unlink()
    clean_file()
    note_erased(settings.HUB)
    return kept


@transaction.atomic
def erase_from_tables(actor: Actor, member: Member, needles: Needles, why: str) -> list[Payer]:
    """No row says who `member` was; bytes that were deleted may still be in free pages (`clean_file`)."""
    lab = member.lab
    require(actor, lab, Permission.ERASE_MEMBERS)
    _check_free(member)
    logins, payers = traces.own_logins(member), traces.own_payers(member)
    _note_digests(lab, needles, actor.now())
    Role.objects.filter(member=member).exclude(user__in=logins).update(member=None)
    _end_logins(logins)
    for login in logins:
        login.delete()
    member.delete()
    kept = [payer for payer in payers if not _let_go(payer)]
    _forget_words(lab, needles)
    log_deed(
        actor, lab, Topic.RIGHTS, "member_erased", "", after={"payer_kept": bool(kept)}, why=why
    )
    # The lab's row is ours until the end of this: no other change takes the number.
    seq = Lab.objects.values_list("rights_seq", flat=True).get(pk=lab.pk)
    ErasedMember.objects.filter(lab=lab, digest=digest_of(needles.opaque[0])).update(rights_seq=seq)
    return kept


def forget_again(actor: Actor, lab: Lab) -> int:
    """Whoever the lab's list of erased people names is erased again: for a hub that was restored from a
    back-up. Returns how many were found."""
    digests = all_digests_of(lab)
    found = [one for one in Member.objects.filter(lab=lab) if digest_of(one.public_id) in digests]
    for member in found:
        _end_sessions(member, actor.now())
        erase_member(actor, member, _("erased before this back-up was restored"))
    return len(found)


def _check_free(member: Member) -> None:
    if Session.objects.filter(member=member, how="", voided=False).exists():
        raise ConfigError(
            _("a machine is working in their name"),
            where=member.name,
            remedy=_("End the session first, then erase them"),
        )
    owners = Role.objects.filter(lab=member.lab, name=RoleName.OWNER)
    if owners.exists() and not owners.exclude(member=member).exists():
        raise ConfigError(
            _("they are the lab's last owner"),
            where=member.name,
            remedy=_("Give somebody else that role first"),
        )


def _note_digests(lab: Lab, needles: Needles, at: datetime) -> None:
    digests = [digest_of(word) for word in needles.opaque]
    ErasedMember.objects.get_or_create(
        lab=lab,
        digest=digests[0],
        defaults={"digests": [one.hex() for one in digests], "erased_at": at},
    )


def _end_sessions(member: Member, at: datetime) -> None:
    """In a restored back-up: what ran then is long over; its node says how."""
    Session.objects.filter(member=member, how="", voided=False).update(member=None, badge=None)


def _end_logins(users: list[User]) -> None:
    ids = {str(user.pk) for user in users}
    for login in Login.objects.iterator():
        if ids and login.get_decoded().get("_auth_user_id") in ids:
            login.delete()


def _let_go(payer: Payer) -> bool:
    """Whether nothing was or will be billed to `payer`: then it is gone, too."""
    if Line.objects.filter(payer=payer).exclude(cents=0, statement=None).exists():
        return False
    Line.objects.filter(payer=payer).delete()
    Session.objects.filter(payer=payer).update(payer=None)
    MemberTerms.objects.filter(payer=payer).delete()
    try:
        with transaction.atomic():
            payer.delete()
    except models.ProtectedError:
        return False
    return True


def _forget_words(lab: Lab, needles: Needles) -> None:
    """No row of any table names them in words."""
    for table in traces.tables():
        if table.__name__ in traces.KEPT:
            continue
        found = [row for row in traces.rows_that_say(table, needles) if traces.in_lab(row, lab)]
        if found:
            _forget_rows(table, found, needles)


def _forget_rows(table: traces.Model, rows: list[Any], needles: Needles) -> None:
    keys = [row.pk for row in rows]
    if table is AuditRow:
        empty_audit(keys)
    elif table is NodeRecord:
        NodeRecord.objects.filter(pk__in=keys).update(body=None, salt=None)
    elif table is ChangeLog:
        ChangeLog.objects.filter(pk__in=keys).update(subject="")
    elif table in (ApiAnswer, OutboxMail):
        table._default_manager.filter(pk__in=keys).delete()
    elif table is SetAside:
        for row in rows:
            _empty_wire(row)
    else:
        for row in rows:
            _cut(table, row, needles)


def _empty_wire(row: SetAside) -> None:
    """A contradiction keeps its header, commitment and link: what proves it, without what it said."""
    wire = {**canonical.loads(row.wire.encode(), where="record"), "body": None, "salt": None}
    SetAside.objects.filter(pk=row.pk).update(wire=canonical.dumps(wire).decode())
    # Nobody is left who could be asked to pay for it.
    UseSetAside.objects.filter(start=row, decision=UseSetAside.Decision.WAITING).delete()


def _cut(table: traces.Model, row: models.Model, needles: Needles) -> None:
    changed: dict[str, Any] = {}
    for field in traces.words_of(table):
        value = getattr(row, field.attname)
        if value is None or not needles.found_in(traces.text_of(row, field)):
            continue
        changed[field.attname] = _without(value, needles)
    table._default_manager.filter(pk=row.pk).update(**changed)


def _without(value: Any, needles: Needles) -> Any:
    if isinstance(value, str):
        return needles.cut_from(value, GONE)
    if isinstance(value, dict):
        return {needles.cut_from(str(key), GONE): _without(v, needles) for key, v in value.items()}
    if isinstance(value, list):
        return [_without(one, needles) for one in value]
    return value
