"""Every page has a rule, and every role sees exactly the pages that permissions.py gives it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.template.loader import get_template
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse
from django.urls.resolvers import RoutePattern, URLResolver

from interlock.core.model import Level
from interlock.hub.alarms import raise_alarm
from interlock.hub.domain import unknown
from interlock.hub.domain.enrolment import open_enrolment
from interlock.hub.domain.labs import create_group
from interlock.hub.domain.members import create_member
from interlock.hub.domain.reservations import reserve
from interlock.hub.domain.tokens import Scope, create_token
from interlock.hub.domain.training_runs import hold_training
from interlock.hub.domain.trainings import grant_training
from interlock.hub.models import (
    Alarm,
    AlarmKind,
    ApiToken,
    AuditRow,
    Authorisation,
    Badge,
    Enrolment,
    Group,
    Lab,
    Machine,
    Member,
    PendingGrant,
    Reservation,
    RoleName,
    TrainingRun,
    UnknownBadge,
)
from interlock.hub.pages import urls
from interlock.hub.pages.access import PUBLIC
from interlock.hub.pages.workshop.urls import urlpatterns as workshop
from interlock.hub.permissions import ROLE_PERMISSIONS, Permission
from interlock.protocol import enrolment, hubapi
from tests.hub.lab import console, small_lab
from tests.hub.page_lab import PageLab, link_to_member, only_session, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

POSTED = {
    "grant-training",
    "revoke-training",
    "suspend-member",
    "reinstate-member",
    "block-badge",
    "lock-out",
    "clear-lock-out",
    "close-alarm",
    "revoke-token",
    "confirm-grant",
    "reject-grant",
    "set-credit",
    "take-back",
    "group-hours",
    *("make-wall", "end-wall"),
    *("assistant-finish", "import-take-back", "import-forget", "take-role"),
    *("training-run-add", "training-run-call-off"),
    *("revoke-node", "next-authority", "card-file", "confirm-enrolment", "end-enrolment"),
}
OPEN = {
    *("login", "logout", "welcome", "set_language"),
    *("public-page", "open-wall", "open-wall-tiles"),
}
SEEN = {
    *("board", "board-tiles", "members", "member", "me", "confirmations"),
    *("machines", "machine", "machine-state"),
    *("todo", "unknown-badges", "unknown-badge", "badges-to-enrol"),
    *("hand-out", "hand-out-taps", "give-badge", "tokens"),
    *("settings", "house-rules", "reservations", "grants"),
    *("reports", "report-pdf", "report-csv", "report-xlsx", "report-json", "time-sheets"),
    *("publicity", "wall", "wall-tiles"),
    *("nodes", "node", "add-computer", "enrolment-state"),
    *("assistant", "assistant-step", "import", "import-look"),
    *("member-new", "member-edit", "member-profile", "member-login"),
    *("trainings", "training", "training-new", "training-edit", "training-hold", "training-run"),
    *("training-matrix", "trainings-soon"),
}


def rule_of(pattern: URLPattern) -> frozenset[Permission]:
    rule: frozenset[Permission] = vars(pattern.callback)["rule"]
    return rule


def patterns() -> list[URLPattern]:
    """Every page but those that test_workshop_pages.py walks in the same way."""
    elsewhere = set(workshop)
    return [one for one in urls.urlpatterns if one not in elsewhere]


def address(name: str, lab: PageLab) -> str:
    """The page's address, with things of the lab that exist."""
    member = lab.small.member.public_id
    wanted: dict[str, list[object]] = {
        "member": [member],
        "grant-training": [member],
        "revoke-training": [member, lab.small.training.slug],
        "suspend-member": [member],
        "reinstate-member": [member],
        "block-badge": [lab.small.badge.pk],
        "machine": [lab.small.machine.slug],
        "machine-state": [lab.small.machine.slug],
        "lock-out": [lab.small.machine.slug],
        "clear-lock-out": [lab.small.machine.slug],
        "session": [only_session().pk] if name == "session" else [],
        "hand-out": [member],
        "hand-out-taps": [member],
        "give-badge": [member, UnknownBadge.objects.get().pk],
        "unknown-badge": [UnknownBadge.objects.get().pk],
        "close-alarm": [Alarm.objects.get().pk],
        "revoke-token": [ApiToken.objects.get().pk],
        "set-credit": [member],
        "house-rules": [lab.small.machine.slug],
        "reservations": [lab.small.machine.slug],
        "take-back": [Reservation.objects.values_list("pk", flat=True).first() or 1],
        "group-hours": [Group.objects.get().pk],
        "confirm-grant": [PendingGrant.objects.get().pk],
        "reject-grant": [PendingGrant.objects.get().pk],
        "welcome": ["no-such-token"],
        "assistant-step": ["lab"],
        "import-look": ["0" * 32],
        "import-forget": ["0" * 32],
        "import-take-back": [1],
        "take-role": [1],
        "member-edit": [member],
        "member-profile": [member],
        "member-login": [member],
        "training": [lab.small.training.slug],
        "training-edit": [lab.small.training.slug],
        "training-hold": [lab.small.training.slug],
        "training-run": [TrainingRun.objects.values_list("pk", flat=True).first() or 1],
        "training-run-add": [TrainingRun.objects.values_list("pk", flat=True).first() or 1],
        "training-run-call-off": [TrainingRun.objects.values_list("pk", flat=True).first() or 1],
        "node": [lab.small.enrolled.node.pk],
        "revoke-node": [lab.small.enrolled.node.pk],
        "add-computer": [lab.small.machine.slug],
        "card-file": [lab.small.machine.slug],
        "enrolment-state": [lab.small.machine.slug],
        "confirm-enrolment": [Enrolment.objects.get().pk],
        "end-enrolment": [Enrolment.objects.get().pk],
    }
    return reverse(name, args=wanted.get(name, []))


def used_once() -> PageLab:
    lab = page_lab()
    lab.journal.session(lab.small, 60)
    lab.deliver()
    small, actor = lab.small, console()
    unknown.note(small.enrolled.node, [unknown.Tap(bytes(16), actor.now(), 1)], actor.now())
    raise_alarm(
        small.enrolled.node, AlarmKind.POSSIBLE_CLONE, "1.1", actor.now(), badge=small.badge
    )
    create_token(actor, small.lab, "desk", list(Scope))
    create_group(actor, small.lab, "staff", "Staff")
    open_enrolment(actor, small.machine, Enrolment.Kind.CODE, "localhost", 8443)
    hold_training(actor, small.lab, small.training, actor.now(), [small.member])
    soon = actor.now() + timedelta(hours=1)
    reserve(actor, small.machine, None, soon, soon + timedelta(hours=1))
    PendingGrant.objects.create(
        lab=small.lab,
        member=create_member(actor, small.lab, "Theo Trainee"),
        training=small.training,
        trainer=small.member,
        node=small.enrolled.node,
        record="1.9",
        given_at=actor.now(),
    )
    return lab


def test_the_table_of_this_test_names_every_page() -> None:
    names = {pattern.name for pattern in patterns()}
    assert names == POSTED | OPEN | SEEN | {"sessions", "session"}


@pytest.mark.parametrize("pattern", patterns(), ids=lambda one: str(one.name))
def test_every_page_has_a_rule_and_only_the_door_is_public(pattern: URLPattern) -> None:
    assert (rule_of(pattern) == PUBLIC) == (pattern.name in OPEN)


def test_every_address_outside_the_pages_belongs_to_nodes_or_programs() -> None:
    def leaves(resolver: URLResolver, prefix: str) -> Iterator[str]:
        for one in resolver.url_patterns:
            where = prefix + str(one.pattern)
            if isinstance(one, URLResolver):
                if one.urlconf_name is not urls:
                    yield from leaves(one, where)
            elif isinstance(one.pattern, RoutePattern):
                yield "/" + where

    served = set(leaves(get_resolver(), ""))
    # Programs prove themselves by a token, address by address (test_api.py).
    others = {one for one in served if not one.startswith("/api/v1/")}
    assert others <= {
        hubapi.PATH_HELLO,
        hubapi.PATH_RECORDS,
        hubapi.PATH_SNAPSHOT,
        hubapi.PATH_INTERLOCKS,
        enrolment.PATH_AUTHORITY,
        enrolment.PATH_ENROL,
        enrolment.PATH_ENROLMENT,
    }


@pytest.mark.parametrize("role", [role.value for role in RoleName])
def test_a_role_reaches_exactly_the_pages_of_its_permissions(role: str) -> None:
    lab = used_once()
    # A trainer may grant and revoke what they hold as trainer, to whoever is none.
    small = lab.small
    own = create_member(console(), small.lab, "Somebody else")
    link_to_member(lab, role, own)
    grant_training(console(), own, small.training, Level.TRAINER.value)
    PendingGrant.objects.update(trainer=own)
    allowed = ROLE_PERMISSIONS[role]
    reached, expected = {}, {}
    for pattern in patterns():
        name = str(pattern.name)
        if name in OPEN:
            continue
        client = lab.client(role)
        where = address(name, lab)
        answer = client.post(where) if name in POSTED else client.get(where)
        reached[name] = answer.status_code != 403
        expected[name] = not rule_of(pattern).isdisjoint(allowed)
    assert reached == expected


@pytest.mark.parametrize("name", sorted(POSTED | SEEN | {"sessions", "session"}))
def test_a_stranger_is_sent_to_the_door_and_changes_nothing(name: str) -> None:
    lab = used_once()
    before = AuditRow.objects.count()
    where = address(name, lab)
    answer = Client().post(where) if name in POSTED else Client().get(where)
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("login"))
    assert AuditRow.objects.count() == before


@pytest.mark.parametrize("name", sorted(POSTED))
def test_looking_at_the_address_of_a_change_changes_nothing(name: str) -> None:
    lab = used_once()
    before = AuditRow.objects.count()
    assert lab.client("owner").get(address(name, lab)).status_code == 405
    assert AuditRow.objects.count() == before


@pytest.mark.parametrize("name", sorted(POSTED))
def test_a_change_without_the_pages_own_token_is_refused(name: str) -> None:
    lab = used_once()
    before = AuditRow.objects.count()
    client = Client(enforce_csrf_checks=True, headers={"accept-language": "en"})
    client.force_login(lab.users["owner"])
    answer = client.post(address(name, lab), {"why": "x", "training": "saw-basics"})
    assert answer.status_code == 403
    assert "This page was too old" in answer.content.decode()
    assert AuditRow.objects.count() == before


def test_somebody_with_a_login_but_no_role_sees_nothing() -> None:
    lab = used_once()
    lab.users["owner"].roles.all().delete()
    answer = lab.client("owner").get("/")
    assert answer.status_code == 403
    page = answer.content.decode()
    assert "Table saw" not in page
    assert reverse("members") not in page
    assert "Sign out" in page


def test_a_lab_never_shows_what_belongs_to_another() -> None:
    lab = page_lab()
    other = small_lab(slug="other")
    session_lab = Lab.objects.get(slug="other")
    theirs = create_group(console(), session_lab, "staff", "Staff")
    soon = console().now() + timedelta(hours=1)
    booked = reserve(console(), other.machine, None, soon, soon + timedelta(hours=1))
    client = lab.client("owner")
    assert client.get(reverse("member", args=[other.member.public_id])).status_code == 404
    posted = {
        reverse("grant-training", args=[other.member.public_id]): {"training": "saw-basics"},
        reverse("suspend-member", args=[other.member.public_id]): {"why": "x"},
        reverse("block-badge", args=[other.badge.pk]): {"condition": "lost"},
        reverse("set-credit", args=[other.member.public_id]): {"credit": "none"},
        reverse("group-hours", args=[theirs.pk]): {f"group-{theirs.pk}-keeps": "any"},
        reverse("take-back", args=[booked.pk]): {},
    }
    before = AuditRow.objects.filter(lab=session_lab).count()
    answers = [client.post(where, values).status_code for where, values in posted.items()]
    assert answers == [404] * len(posted)
    assert AuditRow.objects.filter(lab=session_lab).count() == before
    assert Member.objects.get(pk=other.member.pk).status == "active"
    assert Badge.objects.get(pk=other.badge.pk).condition == "active"
    assert Authorisation.objects.filter(member=other.member).count() == 1
    # The other lab's machine has the same slug: what this page shows is our own.
    page = client.get(reverse("machine", args=["saw"])).content.decode()
    assert Machine.objects.filter(slug="saw").count() == 2
    assert lab.small.enrolled.node.slug in page


def test_pages_are_never_kept_by_a_cache() -> None:
    lab = used_once()
    for name in ("board", "members", "sessions"):
        assert lab.client("owner").get(reverse(name))["Cache-Control"] == "no-store"


def test_a_live_fragment_without_a_login_reloads_the_page_and_shows_no_door_in_it() -> None:
    lab = used_once()
    for name in ("board-tiles", "machine-state", "confirmations"):
        answer = Client().get(address(name, lab), headers={"hx-request": "true"})
        assert (answer.status_code, answer.content) == (401, b"")
        assert answer["HX-Refresh"] == "true"


def test_a_mistake_of_the_hub_is_answered_in_both_languages_with_a_style() -> None:
    page = get_template("500.html").render()
    assert "Nothing was changed." in page
    assert "Rien n’a été modifié." in page
    assert "/static/hub/base.css" in page
