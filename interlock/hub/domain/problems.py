"""Problems written at a machine's QR code: stored without a name, answered and closed by those who maintain.

None ever locks a machine: whoever holds the link could then stop the lab's work. Locking out is a person's
deed (domain.machines.lock_out).
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub.changes import log_change, log_deed
from interlock.hub.models import Machine, Problem, Topic
from interlock.hub.permissions import Actor, Permission, require

TEXT_LENGTH_MAX = 500
"""A sentence or two; what needs more is told to a person."""
PER_HOUR_MAX = 30
"""About one machine, from anywhere: a class that reports the same smoke; a flood ends here."""


@transaction.atomic
def report(actor: Actor, machine: Machine, text: str) -> Problem:
    """Somebody at the machine wrote that; nobody asks who. Raises ConfigError: empty, too long, too many."""
    said = " ".join(text.split())
    if not said:
        raise ConfigError(_("say what is wrong"), where=machine.name)
    if len(said) > TEXT_LENGTH_MAX:
        raise ConfigError(
            _("must have at most %(most)d characters") % {"most": TEXT_LENGTH_MAX},
            where=machine.name,
        )
    hour_ago = actor.now() - timedelta(hours=1)
    if Problem.objects.filter(machine=machine, reported_at__gt=hour_ago).count() >= PER_HOUR_MAX:
        raise ConfigError(
            _("too many problems were reported here"),
            where=machine.name,
            remedy=_("Please tell somebody of the lab"),
        )
    made = Problem.objects.create(
        lab=machine.lab, machine=machine, text=said, reported_at=actor.now()
    )
    log_change(machine.lab, Topic.OTHER, "problem_reported", machine.slug, actor.now())
    return made


@transaction.atomic
def answer(actor: Actor, found: Problem, text: str) -> None:
    """Whoever scans the code next reads that, until the problem is closed. Raises ConfigError."""
    require(actor, found.lab, Permission.MAINTAIN)
    said = " ".join(text.split())
    if not 0 < len(said) <= TEXT_LENGTH_MAX:
        raise ConfigError(
            _("must have 1 to %(most)d characters") % {"most": TEXT_LENGTH_MAX}, where=_("answer")
        )
    before, found.answer, found.answered_at = found.answer, said, actor.now()
    found.save(update_fields=["answer", "answered_at"])
    log_deed(
        actor,
        found.lab,
        Topic.OTHER,
        "problem_answered",
        f"{found.machine.slug} {found.pk}",
        before={"answer": before},
        after={"answer": said},
    )


@transaction.atomic
def close(actor: Actor, found: Problem, *, closed: bool = True) -> None:
    """It is dealt with, or open again after all."""
    require(actor, found.lab, Permission.MAINTAIN)
    found.closed_at = actor.now() if closed else None
    found.closed_by = actor.user if closed else None
    found.save(update_fields=["closed_at", "closed_by"])
    action = "problem_closed" if closed else "problem_opened_again"
    log_deed(actor, found.lab, Topic.OTHER, action, f"{found.machine.slug} {found.pk}")
