"""Erasing a member: no table names them, chains verify, what was billed stays, what arrives late says nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import models

from interlock.errors import ConfigError
from interlock.hub import ingest, ledger, traces
from interlock.hub.changes import log_deed, verify_audit
from interlock.hub.domain import erasure, members
from interlock.hub.domain.erasure import erase_from_tables, forget_again
from interlock.hub.models import (
    Alarm,
    AuditRow,
    ErasedMember,
    Lab,
    Line,
    Member,
    NodeRecord,
    Payer,
    Role,
    RoleName,
    Session,
    SetAside,
    Topic,
    User,
)
from interlock.hub.permissions import Actor
from interlock.hub.traces import Needles
from interlock.protocol import records
from interlock.protocol.erasure import digest_of
from interlock.protocol.records import RecordType
from tests.hub.everywhere import one_of_each
from tests.hub.journal import Journal
from tests.hub.lab import SmallLab, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

WALL_MS = 1_750_000_000_000


def used(lab: SmallLab, seconds: int = 60) -> Journal:
    """The lab's member used its machine once."""
    journal = Journal.of(lab.enrolled)
    journal.anchor(WALL_MS)
    journal.end(journal.start(lab), seconds)
    deliver(lab, journal)
    return journal


def deliver(lab: SmallLab, journal: Journal) -> None:
    wires = [record.to_wire() for record in journal.records]
    ingest.take(lab.enrolled.node, wires, settings.HUB_CLOCK)


def erase(lab: SmallLab, actor: Actor | None = None) -> Needles:
    needles = traces.needles_of(lab.member)
    erase_from_tables(actor or console(), lab.member, needles, "asked for it")
    return needles


def everything_said(lab: Lab) -> str:
    """Every value of every row of every table, as text."""
    said = []
    for table in traces.tables():
        for row in table._default_manager.all():
            for field in table._meta.concrete_fields:
                value = getattr(row, field.attname)
                said.append(
                    bytes(value).hex() if isinstance(value, bytes | memoryview) else str(value)
                )
    return "\n".join(said)


def test_no_row_of_any_table_points_at_an_erased_member_or_names_them() -> None:
    lab = small_lab()
    used(lab)
    rows = one_of_each(lab.lab, lab.member)
    assert len(rows) == len(list(traces.keys_to(Member))) > 15
    log_deed(console(), lab.lab, Topic.OTHER, "note", "x", why=f"spoke to {lab.member.name}")
    words = (lab.member.public_id, lab.member.name, lab.member.email, bytes(lab.badge.tag).hex())
    assert all(word in everything_said(lab.lab) for word in words)
    erase(lab)
    said = everything_said(lab.lab).replace(_payer_of(lab), "")
    assert [word for word in words if word.lower() in said.lower()] == []
    for table, field in traces.keys_to(Member):
        assert not table._default_manager.filter(**{f"{field.name}__isnull": False}).exists() or (
            set(table._default_manager.values_list(f"{field.name}__public_id", flat=True))
            - {None, lab.member.public_id}
        ), table


def _payer_of(lab: SmallLab) -> str:
    """The name on what was billed: what the law keeps."""
    kept = Payer.objects.filter(lab=lab.lab, name=lab.member.name)
    return "".join(payer.name for payer in kept)


def test_chains_of_records_and_audit_verify_and_say_erased() -> None:
    lab = small_lab()
    journal = used(lab)
    erase(lab)
    assert verify_audit(lab.lab) > 0
    rows = NodeRecord.objects.order_by("epoch", "seq")
    assert [bytes(row.hash) for row in rows] == [record.hash for record in journal.records]
    emptied = [row.type for row in rows if row.body is None]
    assert emptied == [RecordType.SESSION_STARTED.value]
    again = ingest.take(
        lab.enrolled.node, [r.to_wire() for r in journal.records], settings.HUB_CLOCK
    )
    assert again.set_aside == ()


def test_a_billed_line_keeps_its_amount_and_its_payer_and_forgets_who_it_was() -> None:
    lab = small_lab()
    used(lab, seconds=3_600)
    line = Line.objects.get()
    erase(lab)
    again = Line.objects.select_related("session", "payer").get()
    assert (again.cents, again.payer_id) == (line.cents, line.payer_id)
    assert again.session is not None
    assert (again.session.member_id, again.session.badge_id) == (None, None)


def test_somebody_to_whom_nothing_is_billed_is_gone_as_a_payer_too() -> None:
    lab = small_lab()
    erase(lab)
    assert not Payer.objects.filter(name="Ada Martin").exists()


def test_records_that_arrive_after_the_erasure_bill_nobody_and_say_nothing() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.anchor(WALL_MS)
    journal.end(journal.start(lab), 60)
    needles = erase(lab)
    deliver(lab, journal)
    assert [word for word in needles.opaque if word in everything_said(lab.lab)] == []
    assert (Session.objects.get().member, Session.objects.get().enabled_ms) == (None, 60_000)
    assert not Alarm.objects.filter(kind="member_unknown").exists()


def test_what_was_set_aside_keeps_its_proof_and_loses_its_words() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.start(lab)
    deliver(lab, journal)
    other = Journal.of(lab.enrolled)
    other.boot_ms = 77_000
    other.start(lab)
    deliver(lab, other)
    aside = SetAside.objects.get()
    assert lab.member.public_id in aside.wire
    Session.objects.update(how="tap_off")
    erase(lab)
    aside.refresh_from_db()
    assert lab.member.public_id not in aside.wire
    kept = records.from_wire(json.loads(aside.wire))
    records.verify(kept, prev=kept.prev, chain_key=other.chain_key)


def test_a_running_session_keeps_its_member_until_it_ends() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.anchor(WALL_MS)
    journal.start(lab)
    deliver(lab, journal)
    with pytest.raises(ConfigError):
        erase(lab)
    assert Member.objects.filter(pk=lab.member.pk).exists()


def test_the_last_owner_is_not_erased_and_a_trainer_may_erase_nobody() -> None:
    lab = small_lab()
    owner = User.objects.create(email="o@example.org", name="Olga Owner")
    Role.objects.create(lab=lab.lab, user=owner, name=RoleName.OWNER, member=lab.member)
    with pytest.raises(ConfigError):
        erase(lab)
    trainer = User.objects.create(email="t@example.org", name="Tom Trainer")
    Role.objects.create(lab=lab.lab, user=trainer, name=RoleName.TRAINER)
    with pytest.raises(PermissionDenied):
        erase(lab, Actor(settings.HUB_CLOCK, trainer))


def test_a_member_s_login_goes_with_them_and_a_colleague_s_stays() -> None:
    lab = small_lab()
    own = User.objects.create(email=lab.member.email, name=lab.member.name)
    Role.objects.create(lab=lab.lab, user=own, name=RoleName.MEMBER, member=lab.member)
    colleague = User.objects.create(email="c@example.org", name="Carla Colleague")
    Role.objects.create(lab=lab.lab, user=colleague, name=RoleName.MANAGER, member=lab.member)
    erase(lab)
    assert [user.name for user in User.objects.all()] == ["Carla Colleague"]
    assert Role.objects.get().member is None


def test_the_list_of_the_erased_finds_them_again_and_names_nobody() -> None:
    lab = small_lab()
    id, tag = lab.member.public_id, bytes(lab.badge.tag).hex()
    erase(lab)
    noted = ErasedMember.objects.get()
    assert noted.digests == [digest_of(id).hex(), digest_of(tag).hex()]
    # As a back-up of before brings them back: same id, same badge.
    Member.objects.create(lab=lab.lab, public_id=id, name="Ada Martin")
    assert forget_again_in_tables(lab.lab) == 1
    assert not Member.objects.filter(public_id=id).exists()
    assert ErasedMember.objects.count() == 1


def forget_again_in_tables(lab: Lab) -> int:
    """`forget_again` inside the test's transaction, where no file can be cleaned."""
    patched = pytest.MonkeyPatch()
    with patched.context() as context:
        context.setattr(erasure, "clean_file", lambda: None)
        context.setattr(erasure, "note_erased", lambda hub: None)
        return forget_again(console(), lab)


def test_a_short_name_is_not_cut_out_of_other_people_s_words() -> None:
    needles = Needles(("abcdef0123456789",), ("Marie Curie",))
    assert needles.cut_from("Marie Curie said so", "…") == "… said so"
    assert not needles.found_in("Anne-Marie Curienne")
    short = members.create_member(console(), small_lab().lab, "Li")
    assert traces.needles_of(short).spoken == ()


def test_other_members_words_are_left_alone() -> None:
    lab = small_lab()
    other = members.create_member(console(), lab.lab, "Bob Stone", email="bob@example.org")
    before = AuditRow.objects.filter(subject=other.public_id).count()
    erase(lab)
    kept = AuditRow.objects.filter(subject=other.public_id, salt__isnull=False)
    assert kept.count() == before == 1


def test_every_key_to_a_member_says_what_becomes_of_its_row() -> None:
    """CASCADE: the row tells of the person and goes. SET_NULL: it tells of something else and stays."""
    kinds: dict[str, Any] = {
        f"{table.__name__}.{field.name}": field.remote_field.on_delete
        for table, field in traces.keys_to(Member)
    }
    assert {
        name for name, how in kinds.items() if how not in (models.CASCADE, models.SET_NULL)
    } == set()


def test_the_ledger_verifies_after_an_erasure() -> None:
    lab = small_lab()
    used(lab, seconds=3_600)
    erase(lab)
    ledger.verify_ledger(lab.lab)
