"""Role × page × verb: every page has a rule, and every role reaches exactly what page_rules.py gives it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.http import HttpResponse
from django.template.loader import get_template
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, get_resolver, reverse
from django.urls.resolvers import RoutePattern, URLResolver

from interlock.core.model import Level
from interlock.hub import settings as written
from interlock.hub.domain.labs import create_group
from interlock.hub.domain.members import create_member
from interlock.hub.domain.reservations import reserve
from interlock.hub.domain.trainings import grant_training
from interlock.hub.models import (
    AuditRow,
    Authorisation,
    Badge,
    ChangeLog,
    Lab,
    Machine,
    Member,
    PendingGrant,
    RoleName,
    TrainingRun,
)
from interlock.hub.pages import account, urls
from interlock.hub.pages.access import PUBLIC
from interlock.hub.pages.proof import FRESH_S
from interlock.hub.permissions import Permission
from interlock.protocol import enrolment, hubapi
from interlock.sim.clocks import VirtualClock
from tests.hub.everywhere import row_of
from tests.hub.lab import console, small_lab
from tests.hub.page_lab import PageLab, link_to_member, page_lab
from tests.hub.page_objects import BY_A_SECRET, OF_A_MONTH, Objects
from tests.hub.page_rules import CHANGES, LOOKS, NEEDS_PROOF, NEVER, OPEN, ROLE_LETTERS

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

FORBIDDEN, NOT_LIKE_THAT = 403, 405
OF_NODES = {
    hubapi.PATH_COMMANDS,
    hubapi.PATH_HELLO,
    hubapi.PATH_RECORDS,
    hubapi.PATH_SNAPSHOT,
    hubapi.PATH_INTERLOCKS,
    enrolment.PATH_AUTHORITY,
    enrolment.PATH_ENROL,
    enrolment.PATH_ENROLMENT,
}
"""Nodes prove themselves by their credential, or enrol by a code: tests/hub/test_ingest.py and others."""


def pages() -> dict[str, URLPattern]:
    return {str(one.name): one for one in urls.urlpatterns}


def rule_of(pattern: URLPattern) -> frozenset[Permission]:
    rule: frozenset[Permission] = vars(pattern.callback)["rule"]
    return rule


def used_by(role: str) -> tuple[PageLab, Objects]:
    """A lab in use, and its things as somebody of that role meets them: a trainer teaches its training."""
    lab = page_lab()
    lab.journal.session(lab.small, 60)
    lab.deliver()
    own = create_member(console(), lab.small.lab, "Somebody else")
    link_to_member(lab, role, own)
    grant_training(console(), own, lab.small.training, Level.TRAINER.value)
    grant = row_of(
        PendingGrant,
        lab.small.lab,
        {
            "member": lab.small.member,
            "training": lab.small.training,
            "trainer": own,
            "node": lab.small.enrolled.node,
        },
    )
    run = row_of(TrainingRun, lab.small.lab, {"training": lab.small.training})
    return lab, Objects(lab.small, own, PendingGrant=grant, TrainingRun=run)


def ask(client: Client, verb: str, address: str) -> HttpResponse:
    answer: HttpResponse = getattr(client, verb)(address)
    return answer


def everything_written() -> tuple[int, int]:
    return AuditRow.objects.count(), ChangeLog.objects.count()


# ------------------------------------------------------------------------------------- the table


def test_the_table_of_rules_names_every_page_and_no_other() -> None:
    assert sorted(pages()) == sorted(LOOKS)
    assert sorted(LOOKS) == sorted(CHANGES)


def test_every_page_has_a_rule_and_only_the_door_and_what_a_link_opens_are_public() -> None:
    assert {name for name, one in pages().items() if rule_of(one) == PUBLIC} == OPEN


def test_exactly_the_changes_that_matter_ask_for_the_password_again() -> None:
    asking = {name for name, one in pages().items() if "needs_proof" in vars(one.callback)}
    assert asking == NEEDS_PROOF


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
    # Programs prove themselves by a token, operation by operation (test_api_matrix.py, test_metrics.py).
    served -= {"/metrics", *(one for one in served if one.startswith("/api/v1/"))}
    assert served == OF_NODES


# -------------------------------------------------------------------------------- role × page × verb


@pytest.mark.parametrize("role", [role.value for role in RoleName])
def test_a_role_reaches_exactly_what_the_table_gives_it(role: str) -> None:
    lab, things = used_by(role)
    letter = ROLE_LETTERS[role]
    client = lab.client(role)
    reached: dict[str, str] = {}
    wanted: dict[str, str] = {}
    for verb, table in (("get", LOOKS), ("post", CHANGES)):
        for name in sorted(set(table) - OPEN):
            status = ask(client, verb, things.address(name)).status_code
            word = {FORBIDDEN: "no", NOT_LIKE_THAT: NEVER}.get(status, "yes")
            reached[f"{verb} {name}"] = word
            may = "yes" if letter in table[name] else "no"
            wanted[f"{verb} {name}"] = NEVER if table[name] == NEVER else may
    assert reached == wanted


WRITTEN = re.compile(r'(?:INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM) "(\w+)"')
"""The table that a statement writes to."""


def test_a_stranger_is_sent_to_the_door_everywhere_and_changes_nothing() -> None:
    lab, things = used_by("owner")
    lab.client("owner")
    answers, before = {}, everything_written()
    for verb, table in (("get", LOOKS), ("post", CHANGES)):
        for name in sorted(set(table) - OPEN):
            if table[name] == NEVER:
                continue
            answer = ask(Client(), verb, things.address(name))
            answers[f"{verb} {name}"] = (
                answer.status_code,
                answer.get("Location", "").startswith(reverse("login")),
            )
    assert answers == dict.fromkeys(answers, (302, True))
    assert everything_written()[0] == before[0]


def test_whatever_a_page_changes_stands_in_the_audit_log() -> None:
    """Each is asked with an empty form: some thirty of them change something by it."""
    lab, things = used_by("owner")
    client = lab.client("owner")
    silent, logged = {}, []
    for name in sorted(set(CHANGES) - OPEN):
        if CHANGES[name] == NEVER:
            continue
        where = things.address(name)
        with CaptureQueriesContext(connection) as queries:
            ask(client, "post", where)
        tables = tables_written([one["sql"] for one in queries.captured_queries])
        if "hub_auditrow" in tables:
            logged.append(name)
        elif tables - {"django_session"}:
            silent[name] = tables - {"django_session"}
    assert silent == NOTHING_CHANGED
    assert len(logged) > 20


NOTHING_CHANGED = {
    "confirm-grant": {"hub_pendinggrant"},  # a training that the member holds already
    "import-take-back": {"hub_memberimport"},  # a list that had brought nobody
    "machine-calendar": {"hub_machinelink"},  # made when somebody looks at it first
    "my-mail": {"hub_mailswitch"},  # which e-mails oneself wants to get
    "my-sign-in": {"hub_secondfactor"},  # a key that counts for nothing before it is confirmed
    "test-mail": {"hub_outboxmail"},
}
"""Pages that write a row of which nobody else would ask who did it, and what they write to."""


def tables_written(statements: list[str]) -> set[str]:
    """Where these left something behind; what was taken back with a savepoint is not."""
    written_to: list[str] = []
    began: dict[str, int] = {}
    for sql in statements:
        if sql.startswith("SAVEPOINT"):
            began[sql.split()[-1]] = len(written_to)
        elif sql.startswith("ROLLBACK TO SAVEPOINT"):
            del written_to[began[sql.split()[-1]] :]
        elif found := WRITTEN.match(sql):
            written_to.append(found[1])
    return set(written_to)


def test_looking_at_the_address_of_a_change_changes_nothing() -> None:
    lab, things = used_by("owner")
    client = lab.client("owner")
    addresses = {name: things.address(name) for name in LOOKS if LOOKS[name] == NEVER}
    before = AuditRow.objects.count()
    answers = {name: ask(client, "get", where).status_code for name, where in addresses.items()}
    assert answers == dict.fromkeys(addresses, NOT_LIKE_THAT)
    assert AuditRow.objects.count() == before


def test_a_change_without_the_pages_own_token_is_refused_everywhere() -> None:
    lab, things = used_by("owner")
    client = Client(enforce_csrf_checks=True, headers={"accept-language": "en"})
    client.force_login(lab.users["owner"])
    addresses = {name: things.address(name) for name in CHANGES if CHANGES[name] != NEVER}
    before = everything_written()
    answers = {name: ask(client, "post", where) for name, where in addresses.items()}
    codes = {name: answer.status_code for name, answer in answers.items()}
    assert codes == dict.fromkeys(addresses, FORBIDDEN)
    assert all("This page was too old" in one.content.decode() for one in answers.values())
    assert everything_written() == before


def test_ten_minutes_after_the_password_what_matters_asks_for_it_again() -> None:
    clock = VirtualClock(wall_ms=settings.HUB_CLOCK.wall_ms())
    with override_settings(HUB_CLOCK=clock):
        lab, things = used_by("owner")
        client = lab.client("owner")
        assert ask(client, "get", reverse("board")).status_code == 200
        addresses = {name: things.address(name) for name in sorted(NEEDS_PROOF)}
        clock.sleep(FRESH_S)
        before = everything_written()
        asked = {
            name: "proof_password" in ask(client, "post", where).content.decode()
            for name, where in addresses.items()
        }
    assert asked == dict.fromkeys(NEEDS_PROOF, True)
    assert everything_written() == before


def test_a_lab_never_shows_or_changes_what_belongs_to_another() -> None:
    lab = page_lab()
    theirs = small_lab(slug="other")
    other = Lab.objects.get(slug="other")
    for model in (theirs.machine, theirs.training, theirs.tariff):
        model.slug = f"their-{model.slug}"
        model.save(update_fields=["slug"])
    things = Objects(theirs, theirs.member)
    addresses = {name: things.address(name) for name in sorted(set(LOOKS) - OPEN)}
    about = {
        name: where
        for name, where in addresses.items()
        if things.arguments(name) and name not in {*BY_A_SECRET, *OF_A_MONTH, "assistant-step"}
    }
    client = lab.client("owner")
    before = AuditRow.objects.filter(lab=other).count(), ChangeLog.objects.filter(lab=other).count()
    answers = {}
    for verb, table in (("get", LOOKS), ("post", CHANGES)):
        for name, where in about.items():
            if table[name] != NEVER:
                answers[f"{verb} {name}"] = ask(client, verb, where).status_code
    assert answers == dict.fromkeys(answers, 404)
    after = AuditRow.objects.filter(lab=other).count(), ChangeLog.objects.filter(lab=other).count()
    assert after == before
    assert Member.objects.get(pk=theirs.member.pk).status == "active"
    assert Badge.objects.get(pk=theirs.badge.pk).condition == "active"
    assert Authorisation.objects.filter(member=theirs.member, revoked_at=None).count() == 1
    assert Machine.objects.get(pk=theirs.machine.pk).retired_at is None


def test_somebody_with_a_login_but_no_role_sees_nothing() -> None:
    lab = page_lab()
    lab.users["owner"].roles.all().delete()
    answer = lab.client("owner").get("/")
    assert answer.status_code == FORBIDDEN
    page = answer.content.decode()
    assert "Table saw" not in page
    assert reverse("members") not in page
    assert "Sign out" in page


def test_a_group_or_a_reservation_of_another_lab_is_not_changed_with_good_values_either() -> None:
    lab, theirs = page_lab(), small_lab(slug="other")
    group = create_group(console(), theirs.lab, "staff", "Staff")
    soon = console().now() + timedelta(hours=1)
    booked = reserve(console(), theirs.machine, None, soon, soon + timedelta(hours=1))
    client, member = lab.client("owner"), theirs.member.public_id
    posted = {
        reverse("grant-training", args=[member]): {"training": "saw-basics"},
        reverse("suspend-member", args=[member]): {"why": "x"},
        reverse("block-badge", args=[theirs.badge.pk]): {"condition": "lost"},
        reverse("set-credit", args=[member]): {"credit": "none", "why": "x"},
        reverse("group-hours", args=[group.pk]): {f"group-{group.pk}-keeps": "any"},
        reverse("take-back", args=[booked.pk]): {},
        reverse("member-data", args=[member]): {"name": "Ada Martin", "why": "x"},
    }
    before = AuditRow.objects.filter(lab=theirs.lab).count()
    answers = [client.post(where, values).status_code for where, values in posted.items()]
    assert answers == [404] * len(posted)
    assert AuditRow.objects.filter(lab=theirs.lab).count() == before


def test_a_live_fragment_without_a_login_reloads_the_page_and_shows_no_door_in_it() -> None:
    _lab, things = used_by("owner")
    for name in ("board-tiles", "machine-state", "confirmations"):
        answer = Client().get(things.address(name), headers={"hx-request": "true"})
        assert (answer.status_code, answer.content) == (401, b"")
        assert answer["HX-Refresh"] == "true"


def test_a_mistake_of_the_hub_is_answered_in_both_languages_with_a_style(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And with nothing of the inside: neither what went wrong nor where."""

    def fail(*_: object) -> HttpResponse:
        raise RuntimeError("the inside")

    monkeypatch.setattr(account, "render", fail)
    answer = Client(raise_request_exception=False).get(reverse("login"))
    assert answer.status_code == 500
    page = answer.content.decode()
    assert page == get_template("500.html").render()
    assert not written.DEBUG, "with it Django would tell everything"
    assert "Nothing was changed." in page
    assert "Rien n’a été modifié." in page
    assert "/static/hub/base.css" in page
