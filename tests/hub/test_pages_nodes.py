"""Computers at machines on the hub's pages: their health, a code, six words, two buttons, and the audit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from interlock.errors import ConfigError
from interlock.hub.domain import enrolment as deeds
from interlock.hub.domain import nodes as node_deeds
from interlock.hub.domain.enrolment import EnrolmentRefused
from interlock.hub.models import AuditRow, Enrolment, Node, NodeHealth
from interlock.hub.permissions import Actor
from interlock.protocol import card_keys
from interlock.protocol.enrolment import Claim, code_from_text
from interlock.sim.clocks import VirtualClock
from tests.hub.lab import console
from tests.hub.page_lab import PageLab, grow, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

CREDENTIAL = "ab" * 16
_CODE = re.compile(r"IL1:[A-Z0-9:.\-\[\]]+")


@pytest.fixture
def lab() -> PageLab:
    return page_lab()


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    """The hub's, which a test may turn."""
    before = settings.HUB_CLOCK
    settings.HUB_CLOCK = turned = VirtualClock(wall_ms=before.wall_ms())
    yield turned
    settings.HUB_CLOCK = before


def code_on(client: Client) -> str:
    """The code of the answer to the button."""
    answer = client.post(reverse("add-computer", args=["saw"]), {"host": "localhost"})
    found = _CODE.search(answer.content.decode())
    assert found is not None, answer.content.decode()
    return found[0]


def claim_by(code: str, credential: str = CREDENTIAL) -> Claim:
    """A computer's claim."""
    return Claim(
        secret=code_from_text(code).secret,
        credential_hash=sha256(credential.encode()).digest(),
        chain_key=bytes(range(32)),
        decryption_public_key=card_keys.public_half(card_keys.new_private_key()),
        software="test",
    )


def shown(client: Client) -> str:
    return client.get(reverse("add-computer", args=["saw"])).content.decode()


def test_the_page_leads_from_a_code_over_six_words_to_a_node(lab: PageLab) -> None:
    manager = lab.client("manager")
    code = code_on(manager)
    assert code not in shown(manager)
    assert "Waiting for the computer" in shown(manager)
    deeds.claim(settings.HUB_CLOCK, claim_by(code))
    enrolment = Enrolment.objects.get()
    page = shown(manager)
    assert "<li>" + "</li><li>".join(enrolment.words.split()) + "</li>" in page
    assert len(enrolment.words.split()) == 6
    assert list(Node.objects.filter(revoked_at=None)) == [lab.small.enrolled.node]
    manager.post(reverse("confirm-enrolment", args=[enrolment.pk]))
    live = Node.objects.get(revoked_at=None)
    assert (live.slug, live.epoch, live.head_epoch) == ("saw-2", 2, 2)
    assert "saw-2 is the machine" in shown(manager).replace("&#x27;", "'")
    actions = list(AuditRow.objects.order_by("seq").values_list("action", "actor"))
    assert actions[-4:] == [
        ("enrolment_opened", "Some manager"),
        ("enrolment_claimed", "enrolment code"),
        ("node_revoked", "Some manager"),
        ("node_enrolled", "Some manager"),
    ]
    assert deeds.badge_key_for(settings.HUB_CLOCK, bytes(live.credential_hash)) is not None


def test_nothing_of_the_secret_is_kept(lab: PageLab) -> None:
    secret = code_from_text(code_on(lab.client("owner"))).secret
    row = Enrolment.objects.values().get()
    assert row["secret_hash"] == sha256(secret).digest()
    assert secret not in [bytes(v) for v in row.values() if isinstance(v, bytes | memoryview)]
    assert secret.hex() not in str(row)


def test_a_code_and_a_file_live_as_long_as_they_say(lab: PageLab, clock: VirtualClock) -> None:
    actor, machine = Actor(clock), lab.small.machine
    for kind, life in (("code", timedelta(minutes=15)), ("file", timedelta(days=7))):
        code = deeds.open_enrolment(actor, machine, kind, "localhost", 1).code.to_text()
        clock.sleep(life.total_seconds())
        with pytest.raises(EnrolmentRefused, match="time of this code is over"):
            deeds.claim(clock, claim_by(code))
        code = deeds.open_enrolment(actor, machine, kind, "localhost", 1).code.to_text()
        clock.sleep(life.total_seconds() - 1)
        deeds.claim(clock, claim_by(code, credential=kind))


def test_unconfirmed_words_are_over_after_their_time(lab: PageLab, clock: VirtualClock) -> None:
    actor = Actor(clock)
    opened = deeds.open_enrolment(actor, lab.small.machine, "code", "localhost", 1)
    deeds.claim(clock, claim_by(opened.code.to_text()))
    clock.sleep(3_600)
    with pytest.raises(ConfigError, match="this code is over"):
        deeds.confirm(actor, opened.enrolment)
    assert "not confirmed, in time" in shown(lab.client("owner"))


def test_a_click_before_any_computer_came_makes_no_node(lab: PageLab) -> None:
    opened = deeds.open_enrolment(console(), lab.small.machine, "code", "localhost", 1)
    with pytest.raises(ConfigError, match="no computer has used this code yet"):
        deeds.confirm(console(), opened.enrolment)
    assert Node.objects.count() == 1


def test_one_file_per_machine(lab: PageLab) -> None:
    owner = lab.client("owner")
    where = reverse("card-file", args=["saw"])
    first = owner.post(where, {"host": "localhost"})
    assert first["Content-Disposition"] == 'attachment; filename="interlock.toml"'
    code = _CODE.search(first.content.decode())
    assert code is not None
    owner.post(where, {"host": "localhost"})
    with pytest.raises(EnrolmentRefused, match="newer code"):
        deeds.claim(settings.HUB_CLOCK, claim_by(code[0]))


def test_an_address_the_certificate_does_not_name_gets_no_code(lab: PageLab) -> None:
    answer = lab.client("owner").post(
        reverse("add-computer", args=["saw"]), {"host": "elsewhere.example"}
    )
    assert "certificate does not name “elsewhere.example”" in answer.content.decode()
    assert not Enrolment.objects.exists()


def test_the_list_says_what_needs_a_look(lab: PageLab) -> None:
    node = lab.small.enrolled.node
    now = console().now()
    Node.objects.filter(pk=node.pk).update(last_seen_at=now, confirmed_epoch=1, confirmed_counter=0)
    NodeHealth.objects.create(
        node=node, reported_at=now, clock_ahead_ms=-7_200_000, disk_free_mb=120, disk_mb=29_000,
        temperature_dc=815,
    )  # fmt: skip
    page = lab.client("technician").get(reverse("nodes")).content.decode()
    for words in ("2 h 00 behind", "0.1 of 29.0 GB free", "81 °C", "plain HTTP", "older one"):
        assert words in page.replace("\u00a0", " "), words
    french = lab.client("technician", "fr").get(reverse("nodes")).content.decode()
    assert "0,1" in french


def test_what_the_old_computer_kept_is_declared(lab: PageLab) -> None:
    lab.journal.start(lab.small)
    lab.deliver()
    old = Node.objects.get()
    NodeHealth.objects.create(
        node=old, reported_at=console().now(), told_epoch=1, told_seq=old.head_seq + 7
    )
    opened = deeds.open_enrolment(console(), lab.small.machine, "code", "localhost", 1)
    deeds.claim(settings.HUB_CLOCK, claim_by(opened.code.to_text()))
    new = deeds.confirm(console(), opened.enrolment)
    page = lab.client("owner").get(reverse("node", args=[new.pk])).content.decode()
    assert "It replaces saw." in page
    assert "1 session of the old computer ended unseen" in page
    assert "7 records of the old computer never arrived" in page


def test_a_revoked_computer_says_so_and_why_is_in_the_audit(lab: PageLab) -> None:
    node = lab.small.enrolled.node
    where = reverse("node", args=[node.pk])
    manager = lab.client("manager")
    manager.post(reverse("revoke-node", args=[node.pk]), {"why": "stolen"})
    assert "revoked" in manager.get(where).content.decode()
    row = AuditRow.objects.order_by("seq").last()
    assert row is not None
    assert (row.action, row.why) == ("node_revoked", "stolen")
    with pytest.raises(ConfigError, match="revoked before"):
        node_deeds.revoke_node(console(), Node.objects.get(pk=node.pk), "again")


def test_fifty_machines_cost_as_many_queries_as_one(lab: PageLab) -> None:
    owner = lab.client("owner")
    owner.get(reverse("nodes"))
    counts = []
    for number in (1, 12):
        grow(lab, number, first=20 * number)
        for node in Node.objects.filter(health=None):
            NodeHealth.objects.create(node=node, reported_at=console().now())
        with CaptureQueriesContext(connection) as queries:
            assert owner.get(reverse("nodes")).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[0] <= 24
