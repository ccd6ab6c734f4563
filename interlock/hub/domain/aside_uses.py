"""A use that stands only in records that were set aside, and a reason, to a session that is billed, or to none.

Nothing of it is lost and nothing doubled: it is decided about once, and a decision can be taken back until the
month that bills it is closed.
"""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub import rollup
from interlock.hub.billing import billable_day, reprice
from interlock.hub.changes import log_deed
from interlock.hub.domain.corrections import WHY_LENGTH_MAX
from interlock.hub.models import Line, Node, Session, Topic, UseSetAside
from interlock.hub.permissions import Actor, Permission, require
from interlock.hub.set_aside import EPOCH_OF_ASIDE, AsideUse, uses_of
from interlock.hub.standing import Standings
from interlock.hub.timeline import moment

WAITING, BILLED, LEFT_OUT = UseSetAside.Decision
VOIDED_WHY_MAX = 200


@transaction.atomic
def bill(actor: Actor, row: UseSetAside, why: str) -> Session:
    """It is a session like any other, priced by what held when it began. Raises ConfigError."""
    found = _waiting(actor, row, why)
    (use,) = uses_of([found])
    if not use.is_use:
        raise ConfigError(
            _("its records do not say that the machine was on"),
            where=use.record.id,
            remedy=_("Leave it out"),
        )
    session = _session(use)
    days = {day for day in [billable_day(session.lab, session)] if day is not None}
    reprice(session.lab, days, actor.now())
    rollup.mark_sessions(session.lab, [session])
    _decide(actor, found, BILLED, why, {"session": session.pk, "payer": session.payer_id})
    return session


@transaction.atomic
def leave_out(actor: Actor, row: UseSetAside, why: str) -> None:
    """Nobody pays for it; its records stay. Raises ConfigError."""
    _decide(actor, _waiting(actor, row, why), LEFT_OUT, why, {})


@transaction.atomic
def take_back(actor: Actor, row: UseSetAside, why: str) -> None:
    """It waits again; what was billed is owed no longer. Raises ConfigError: its month is closed."""
    found = _found(actor, row, why)
    if found.decision == WAITING:
        raise ConfigError(_("nothing was decided yet"), where=str(found.start))
    if found.decision == BILLED:
        _unbill(actor, found, why)
    _decide(actor, found, WAITING, why, {})


def session_of(row: UseSetAside) -> Session | None:
    """The session it was billed as."""
    return Session.objects.filter(
        node=row.start.node_id, epoch=EPOCH_OF_ASIDE, seq=row.pk, voided=False
    ).first()


def _found(actor: Actor, row: UseSetAside, why: str) -> UseSetAside:
    require(actor, row.lab, Permission.CORRECT_USE)
    if not 0 < len(why.strip()) <= WHY_LENGTH_MAX:
        raise ConfigError(_("say why"), where="why")
    locked = UseSetAside.objects.select_for_update(of=("self",))
    return locked.select_related("lab", "start__node__machine").get(pk=row.pk)


def _waiting(actor: Actor, row: UseSetAside, why: str) -> UseSetAside:
    found = _found(actor, row, why)
    if found.decision != WAITING:
        raise ConfigError(
            _("somebody has decided about it already"),
            where=str(found.start),
            remedy=_("Take that decision back first"),
        )
    return found


def _session(use: AsideUse) -> Session:
    """The session of that use: a new one, or the one it was before somebody took it back."""
    node: Node = use.row.start.node
    place = {"node": node, "epoch": EPOCH_OF_ASIDE, "seq": use.row.pk}
    session = Session.objects.filter(**place).first() or Session(lab=use.row.lab, **place)
    history = node.machine.tariff_history.values_list("starts_at", "tariff_id")
    tariffs = [tariff for since, tariff in history if since <= use.started_at]
    session.machine, session.member = node.machine, use.member
    session.tariff_id = next(iter(tariffs), node.machine.tariff_id)
    session.started_at, session.ended_at = use.started_at, use.ended_at
    session.provisional = not use.is_dated
    session.start_boot_id = use.record.header.boot_id
    session.start_boot_ms = use.record.header.boot_ms
    session.enabled_ms, session.busy_ms, session.idle_ms = use.enabled_ms, use.busy_ms, use.idle_ms
    session.how, session.estimated = use.how, use.is_estimated
    session.voided, session.voided_why = False, ""
    if use.member is not None:
        standings = Standings()
        standings.load([use.member.pk])
        standing = standings.of(use.member, use.started_at)
        session.payer_id, session.group_id = standing.pays(), standing.group_id
        session.purpose = standing.purpose
    session.save()
    return session


def _unbill(actor: Actor, row: UseSetAside, why: str) -> None:
    session = session_of(row)
    if session is None:
        return
    if Line.objects.filter(session=session, statement__isnull=False).exists():
        raise ConfigError(
            _("its month is closed"),
            where=str(row.start),
            remedy=_("Correct the session instead"),
        )
    day = billable_day(session.lab, session)
    session.voided, session.voided_why = True, why.strip()[:VOIDED_WHY_MAX]
    session.save(update_fields=["voided", "voided_why"])
    reprice(session.lab, {day} if day is not None else (), actor.now())
    rollup.mark_sessions(session.lab, [session])


def _decide(
    actor: Actor, row: UseSetAside, decision: str, why: str, after: dict[str, int | None]
) -> None:
    before = {"decision": str(row.decision)}
    row.decision = decision
    row.decided_at = None if decision == WAITING else moment(actor.clock.wall_ms())
    row.save(update_fields=["decision", "decided_at"])
    log_deed(
        actor,
        row.lab,
        Topic.USE,
        "use_set_aside",
        str(row.pk),
        before=before,
        after={"decision": str(decision), **after},
        why=why,
    )
