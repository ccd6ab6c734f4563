"""A folder goes in; a hub with an invented past comes out, and the address of every page of its URL table.

Runs as a process of its own (`python -m tests.browser.every_hub FOLDER`): Django's ORM must not run inside
Playwright's event loop. Prints JSON: a login of the owner, one of a member, and each page's name with its address.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.urls import NoReverseMatch, URLPattern, reverse

ABOUT = {
    "billing/lines/": "Line",
    "billing/statements/": "Statement",
    "billing/payers/": "Payer",
    "billing/account/": "AccountEntry",
    "billing/passes/": "Pass",
    "billing/sponsors/": "Sponsorship",
    "billing/materials/": "Material",
    "billing/tariffs/": "Tariff",
    "sessions/": "Session",
    "nodes/enrolments/": "Enrolment",
    "nodes/add/": "Machine",
    "nodes/": "Node",
    "import/": "MemberImport",
    "roles/": "Role",
    "trainings/held/": "TrainingRun",
    "trainings/of/": "Training",
    "activities/": "Activity",
    "volunteering/": "VolunteerTime",
    "maintenance/plans/": "MaintenancePlan",
    "maintenance/work/": "Intervention",
    "machines/": "Machine",
    "problems/": "Problem",
    "mail/": "OutboxMail",
    "badges/unknown/": "UnknownBadge",
    "badges/": "Badge",
    "alarms/": "Alarm",
    "grants/": "PendingGrant",
    "reservations/": "Reservation",
    "settings/groups/": "Group",
    "settings/tokens/": "ApiToken",
}
"""The model that a route's number or slug names. A page whose route is missing here is a page without an
address: the test fails with its name."""


def main() -> None:
    """What the test runs."""
    folder = Path(sys.argv[1])
    from interlock.hub import commands
    from interlock.sim.lab import sample_lab

    sample_lab(folder, "fr")
    commands.add_node(folder, "saw", folder / "nodes")
    lab = _furnished()
    from interlock.hub.pages import urls

    pages = {str(one.name): _address(one, lab) for one in urls.urlpatterns}
    logins = {"session": _login(lab, "owner"), "own": _login(lab, "member")}
    sys.stdout.write(json.dumps({**logins, "pages": pages}))


def _furnished() -> Any:
    """A lab with a past, a problem's label, a wall screen, a public page, and one of what is rare."""
    from interlock.clock import SystemClock
    from interlock.hub import models
    from interlock.hub.commands import the_lab
    from interlock.hub.domain import publicity, unknown
    from interlock.hub.history.plan import Sizes
    from interlock.hub.history.writing import make_history
    from interlock.hub.permissions import Actor

    lab, actor = the_lab(), Actor(SystemClock(), label="test")
    make_history(
        actor, lab, Sizes(machines=3, members=60, sessions=800, years=3), say=lambda _: None
    )
    publicity.make_wall_address(actor, lab)
    publicity.show_publicly(actor, lab, public_page=True, wall_names=False)
    node = models.Node.objects.select_related("machine").get(machine__slug="saw")
    unknown.note(node, [unknown.Tap(bytes(16), actor.now(), 1)], actor.now())
    machine = node.machine
    for number, purpose in enumerate(models.MachineLink.Purpose.values):
        models.MachineLink.objects.create(
            machine=machine, purpose=purpose, token=f"{number}" * 43, made_at=actor.now()
        )
    _rare(models, lab, actor.now())
    _billed(models, actor, lab)
    return lab


def _billed(models: Any, actor: Any, lab: Any) -> None:
    """The oldest month is closed, and a statement of it is in the lab's mailbox."""
    from interlock.hub.domain import closing, post, statements
    from interlock.hub.jobs import statements as job
    from interlock.hub.open_months import open_month

    mailbox = models.MailSettings.Backend.MAILBOX
    post.set_way(actor, lab, post.Way(mailbox, "", 587, "starttls", "", "lab@example.org"), None)
    period = closing.close(actor, lab, open_month(lab, actor.now()))
    sent = period.statements.latest("number")
    sent.payer.email = "accounts@example.org"
    sent.payer.save(update_fields=["email"])
    statements.send_one(actor, sent)
    job.JOB.run(actor, lab)


def _rare(models: Any, lab: Any, at: Any) -> None:
    """One of each thing that a past of few months does not bring along."""
    payer = models.Payer.objects.filter(lab=lab, kind="organisation").first()
    models.Material.objects.create(lab=lab, name="Plywood", unit="sheet", unit_cents=1_250)
    models.Sponsorship.objects.create(
        lab=lab, sponsor=payer, name="Region", kind="time", amount=360_000, starts_at=at
    )


def _address(pattern: URLPattern, lab: Any) -> str:
    """Where the page is, with things of the lab that exist; empty: nothing here knows what it is about."""
    from interlock.hub import models

    route = str(pattern.pattern)
    names = list(pattern.pattern.converters)
    sample = next((ABOUT[key] for key in ABOUT if route.startswith(key)), "")
    row = getattr(models, sample).objects.order_by("pk").last() if sample else None
    member = models.Member.objects.get(name="Camille Laurent")
    last = models.Session.objects.latest("started_at").started_at
    label, feed = (
        models.MachineLink.objects.filter(purpose=purpose).values_list("token", flat=True).first()
        for purpose in ("problem", "calendar")
    )
    known: dict[str, Any] = {
        "number": row.pk if row is not None else 1,
        "slug": getattr(row, "slug", None),
        "public_id": member.public_id,
        "year": last.year,
        "month": last.month,
        "training": "safety",
        "lab": lab.slug,
        "key": lab.wall_key,
        "name": "lab",
        "token": feed if route.startswith("calendar/") else label,
    }
    if route.startswith("billing/<int:year>-<int:number>"):
        known["number"] = last.month
    if route.startswith("billing/") and route.endswith((".csv", ".xlsx", ">/send/")):
        closed = models.Period.objects.exclude(closed_at=None).latest("month").month
        if "month" in names:
            known |= {"year": closed.year, "month": closed.month}
    if route.startswith("me/badges/"):
        known["number"] = member.badges.filter(condition="active").latest("pk").pk
    if route.endswith("new-badge/<int:number>/"):
        known["number"] = models.UnknownBadge.objects.latest("pk").pk
    try:
        return reverse(str(pattern.name), kwargs={name: known[name] for name in names})
    except (KeyError, NoReverseMatch):
        return ""


def _login(lab: Any, role: str) -> str:
    """The session of somebody of that role, who is Camille Laurent where the role is a member's."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    from interlock.clock import SystemClock
    from interlock.hub.domain import accounts
    from interlock.hub.models import Member, RoleName
    from interlock.hub.permissions import Actor

    user = accounts.create_user(f"{role}@example.org", "Olive Martin", "correct horse battery")
    actor, is_member = Actor(SystemClock(), label="test"), role == RoleName.MEMBER
    own = Member.objects.get(name="Camille Laurent") if is_member else None
    accounts.give_role(actor, lab, user, RoleName(role), own)
    store = SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.create()
    return str(store.session_key)


if __name__ == "__main__":
    main()
