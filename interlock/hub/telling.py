"""What is so in the lab goes in; e-mails to those who should know wait in the outbox (hub.mail).

    alerts      every minute, to those who look after machines: faults, welded contacts, silent nodes, problems
    reminders   every hour, to members: a training about to end, credit running low
    digest      every morning, to the staff: what there is to do

Each case is told once (`cause`), however often a job looks. Members read of nobody but themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from interlock.core.model import Fault
from interlock.hub import links, mail
from interlock.hub.entries import SECONDS_PER_DAY, right_of
from interlock.hub.models import (
    Authorisation,
    Lab,
    Machine,
    MailKind,
    Member,
    Node,
    Problem,
    Role,
    Training,
    User,
)
from interlock.hub.pages import formats, todo, words
from interlock.hub.pages.access import Viewer
from interlock.hub.permissions import ROLE_PERMISSIONS, Actor, Permission, permissions_of

OFFLINE_AFTER = timedelta(minutes=15)
"""A router that restarts is back in five; the board shows silence long before."""
TRAINING_ENDS_WITHIN = timedelta(days=14)
"""Time to book a refresher."""
DIGEST_FROM, DIGEST_UNTIL = time(7), time(12)
"""The lab's own time. A hub switched on in the afternoon does not send this morning's."""
PROBLEMS_SINCE = timedelta(days=2)
"""An older one has been on the board over a weekend; an alert would say nothing new."""


@dataclass(frozen=True, slots=True)
class _Case:
    """One thing to tell: `say` in the reader's language."""

    kind: MailKind
    machine: Machine
    cause: str
    detail: str = ""


def alerts(actor: Actor, lab: Lab) -> int:
    """Everything that those who look after machines have not been told yet is on its way; how many mails."""
    if not mail.is_on(lab):
        return 0
    cases = [*_faults(lab), *_offline(lab, actor.now()), *_problems(lab, actor.now())]
    if not cases:
        return 0
    return sum(
        _tell(lab, user, case) for user in _who(lab, Permission.VIEW_NODES) for case in cases
    )


def reminders(actor: Actor, lab: Lab) -> int:
    """Members whose training ends within a fortnight, or whose credit runs low, are told; how many mails."""
    if not mail.is_on(lab):
        return 0
    ending = sum(_training_ends(actor, lab, one) for one in _ending(lab, actor.now()))
    low = _reachable(lab).exclude(credit=Member.Credit.OK)
    return ending + sum(_credit_low(actor, lab, one) for one in low)


def digest(actor: Actor, lab: Lab) -> int:
    """This morning's list of what there is to do is on its way to everybody who has something to do."""
    local = actor.now().astimezone(ZoneInfo(lab.time_zone))
    if not mail.is_on(lab) or not DIGEST_FROM <= local.time() < DIGEST_UNTIL:
        return 0
    return sum(_digest_to(actor, lab, user, local) for user in _who(lab, Permission.VIEW_MACHINES))


def _who(lab: Lab, permission: Permission) -> list[User]:
    """The logins whose role gives them that permission here."""
    names = [name for name, allowed in ROLE_PERMISSIONS.items() if permission in allowed]
    roles = Role.objects.filter(lab=lab, name__in=names)
    return list(User.objects.filter(roles__in=roles, is_active=True).distinct().order_by("pk"))


def _faults(lab: Lab) -> Iterator[_Case]:
    for machine in Machine.objects.filter(lab=lab, retired_at=None).exclude(live_faults=[]):
        for fault in machine.live_faults:
            kind = MailKind.WELDED if fault == Fault.CONTACTOR_WELDED.value else MailKind.FAULT
            since = int(machine.live_since_at.timestamp()) if machine.live_since_at else 0
            yield _Case(kind, machine, f"{machine.slug}:{fault}:{since}", fault)


def _offline(lab: Lab, now: datetime) -> Iterator[_Case]:
    silent = Node.objects.filter(
        lab=lab, revoked_at=None, last_seen_at__lt=now - OFFLINE_AFTER, machine__retired_at=None
    ).select_related("machine")
    for node in silent:
        assert node.last_seen_at is not None
        cause = f"{node.machine.slug}:{int(node.last_seen_at.timestamp())}"
        since = formats.moment(node.last_seen_at, ZoneInfo(lab.time_zone), now)
        yield _Case(MailKind.OFFLINE, node.machine, cause, since)


def _problems(lab: Lab, now: datetime) -> Iterator[_Case]:
    fresh = Problem.objects.filter(lab=lab, closed_at=None, reported_at__gt=now - PROBLEMS_SINCE)
    for problem in fresh.select_related("machine").order_by("reported_at"):
        yield _Case(MailKind.PROBLEM, problem.machine, str(problem.pk), problem.text)


def _tell(lab: Lab, user: User, case: _Case) -> bool:
    language = user.language or lab.language
    with translation.override(language):
        named = {"machine": case.machine.name, "detail": _detail(case)}
        subject, text = _WORDS[case.kind]
        body = _letter(lab, str(text) % named, _page_of(case))
        made = mail.queue(
            lab,
            case.kind,
            user,
            language,
            str(subject) % named,
            body,
            about=case.machine.slug,
            cause=case.cause,
        )
    return made is not None


def _detail(case: _Case) -> str:
    known = {fault.value: said for fault, said in words.FAULTS.items()}
    return str(known.get(case.detail, case.detail))


def _ending(lab: Lab, now: datetime) -> Iterator[Authorisation]:
    """Trainings that end within a fortnight, by date or for want of practice."""
    soon = now + TRAINING_ENDS_WITHIN
    held = Authorisation.objects.filter(
        lab=lab, revoked_at=None, member__in=_reachable(lab)
    ).select_related("member", "training")
    yield from held.filter(until_at__gt=now, until_at__lte=soon)
    for training in Training.objects.filter(lab=lab, lapse_days__isnull=False):
        assert training.lapse_days is not None
        before = soon - timedelta(days=training.lapse_days)
        idle = Q(practised_at=None) | Q(practised_at__lte=before)
        for one in held.filter(idle, training=training, granted_at__lte=before):
            lapses_at = right_of(one).lapses_at
            by_date = one.until_at is not None and one.until_at <= soon
            if lapses_at is not None and lapses_at > now.timestamp() and not by_date:
                yield one


def _reachable(lab: Lab) -> QuerySet[Member]:
    return Member.objects.filter(lab=lab, status=Member.Status.ACTIVE).exclude(email="")


def _training_ends(actor: Actor, lab: Lab, held: Authorisation) -> bool:
    ends = held.until_at
    lapses_at = right_of(held).lapses_at
    by_date = ends is not None and ends <= actor.now() + TRAINING_ENDS_WITHIN
    if not by_date and lapses_at is not None:
        ends = formats.from_wall_ms(lapses_at * 1_000)
    assert ends is not None
    with translation.override(held.member.language):
        named = {
            "training": held.training.name,
            "day": formats.day(ends, ZoneInfo(lab.time_zone)),
            "days": (held.training.lapse_days or 0),
        }
        if by_date:
            said = _("Your training “%(training)s” is valid until %(day)s.") % named
        else:
            said = (
                _(
                    "You have not practised “%(training)s” for a while: it lapses on %(day)s."
                    " One session with it before that day is enough to keep it."
                )
                % named
            )
        subject = _("Your training “%(training)s” is about to end") % named
        refresher = _("Please ask the lab about a refresher if you need one.")
        text = _letter(lab, f"{said}\n\n{refresher}", reverse("me"))
        cause = f"{held.pk}:{int(ends.timestamp()) // SECONDS_PER_DAY}"
        kind = MailKind.TRAINING
        made = mail.queue(lab, kind, held.member, held.member.language, subject, text, cause=cause)
    return made is not None


def _credit_low(actor: Actor, lab: Lab, member: Member) -> bool:
    month = actor.now().astimezone(ZoneInfo(lab.time_zone)).strftime("%Y-%m")
    with translation.override(member.language):
        if member.credit == Member.Credit.NONE:
            subject = _("Your credit is used up")
            said = _("Machines that cost something do not start for you until it is topped up.")
        else:
            subject = _("Your credit is running low")
            said = _("Please top it up before your next visit.")
        text = _letter(lab, f"{subject}. {said}", reverse("me"))
        cause = f"{month}:{member.credit}"
        made = mail.queue(
            lab, MailKind.LOW_CREDIT, member, member.language, subject, text, cause=cause
        )
    return made is not None


def _digest_to(actor: Actor, lab: Lab, user: User, local: datetime) -> bool:
    language = user.language or lab.language
    with translation.override(language):
        zone = ZoneInfo(lab.time_zone)
        viewer = Viewer(user, lab, zone, actor.now(), permissions_of(user, lab))
        waiting = todo.waiting_for(viewer)
        if not waiting:
            return False
        lines = "\n".join(f"- {one.words}" for one in waiting)
        subject = _("%(lab)s: what there is to do") % {"lab": lab.name}
        made = mail.queue(
            lab,
            MailKind.DIGEST,
            user,
            language,
            subject,
            _letter(lab, lines, reverse("board")),
            cause=local.date().isoformat(),
        )
    return made is not None


def _page_of(case: _Case) -> str:
    if case.kind is MailKind.PROBLEM:
        return reverse("problems")
    return reverse("machine", args=[case.machine.slug])


def _letter(lab: Lab, said: str, page: str) -> str:
    """The words, the page of the hub they speak of, and how not to get such mails."""
    link = links.to_page(page)
    off = _("You can switch these e-mails off on your page of the hub.")
    foot = [lab.name, off, links.to_page(reverse("my-mail"))]
    return "\n\n".join(filter(None, [said, link, "\n".join(filter(None, foot))]))


_WORDS: dict[MailKind, tuple[words.Words, words.Words]] = {
    MailKind.WELDED: (
        gettext_lazy("%(machine)s: the contactor stays closed"),
        gettext_lazy(
            "The contactor of %(machine)s stays closed although the machine was switched off: it may"
            " start or go on running without a badge. Switch it off at its isolator before anybody"
            " works on it. Nobody can use it until a technician has cleared the fault."
        ),
    ),
    MailKind.FAULT: (
        gettext_lazy("%(machine)s has a fault"),
        gettext_lazy(
            "%(machine)s: %(detail)s. Nobody can use it until a technician has cleared the fault."
        ),
    ),
    MailKind.OFFLINE: (
        gettext_lazy("%(machine)s has lost the hub"),
        gettext_lazy(
            "The hub has heard nothing from %(machine)s since %(detail)s. People with the trainings can"
            " go on using it for now; what is changed here reaches it once it is back."
        ),
    ),
    MailKind.PROBLEM: (
        gettext_lazy("%(machine)s: somebody reports a problem"),
        gettext_lazy(
            "Somebody who scanned the code at %(machine)s writes:\n\n%(detail)s\n\nThe machine is not"
            " locked out by that. You can answer or lock it out on the page of problems."
        ),
    ),
}
