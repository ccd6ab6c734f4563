"""After every deed the tables stand as it told; what no deed wrote is named, with the deed it contradicts."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from interlock.core import model as core
from interlock.hub.changes import log_deed
from interlock.hub.domain import (
    accounts,
    machine_editing,
    machines,
    members,
    nodes,
    tariffs,
    trainings,
)
from interlock.hub.domain.erasure import erase_from_tables
from interlock.hub.domain.intake import Newcomer, take_back, take_in
from interlock.hub.last_told import INVENTED, contradictions
from interlock.hub.models import (
    AuditRow,
    Authorisation,
    Badge,
    Machine,
    Member,
    MemberImport,
    Role,
    RoleName,
    TariffVersion,
    Topic,
    Training,
)
from interlock.hub.retention import empty_audit
from interlock.hub.traces import needles_of
from tests.hub.lab import SmallLab, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

SOON = timedelta(days=30)
BOB_UID = bytes.fromhex("04b0b0b0b0b0b0")


@pytest.fixture
def lab() -> SmallLab:
    return small_lab()


def said(lab: SmallLab) -> list[str]:
    return list(contradictions(lab.lab))


def test_after_every_deed_the_tables_stand_as_it_told(lab: SmallLab) -> None:
    actor = console()
    laser = trainings.create_training(actor, lab.lab, "laser", "Laser")
    owner, clerk = (
        accounts.create_user(f"{name}@example.org", name, "correct horse battery")
        for name in ("Olive", "Cleo")
    )
    deeds: tuple[Callable[[], object], ...] = (
        lambda: members.suspend_member(actor, lab.member, "asked"),
        lambda: members.reinstate_member(actor, lab.member),
        lambda: members.change_member(actor, lab.member, until_at=actor.now() + SOON),
        lambda: members.change_member(actor, lab.member, technician=True, name="Ada M."),
        lambda: members.block_badge(actor, lab.badge, Badge.Condition.LOST),
        lambda: members.unblock_badge(actor, lab.badge),
        lambda: trainings.grant_training(actor, lab.member, laser, level="trainer"),
        lambda: trainings.grant_training(actor, lab.member, laser),
        lambda: trainings.revoke_training(
            actor, Authorisation.objects.get(revoked_at=None, training=laser)
        ),
        lambda: trainings.grant_training(actor, lab.member, laser),
        lambda: machines.set_demands(actor, lab.machine, [lab.training, laser], core.Needs.ANY),
        lambda: machines.set_rules(actor, lab.machine, machines.HouseRules(second_person=True)),
        lambda: machines.set_tariff(actor, lab.machine, None),
        lambda: tariffs.set_prices(actor, lab.tariff, tariffs.Prices(cents_per_hour=1_500)),
        lambda: machines.lock_out(actor, lab.machine, "the guard is broken"),
        lambda: machines.clear_lock_out(actor, lab.machine),
        lambda: machine_editing.edit(actor, lab.machine, machine_editing.Card("Saw", "Hall 2")),
        lambda: accounts.give_role(actor, lab.lab, owner, RoleName.OWNER),
        lambda: accounts.give_role(actor, lab.lab, clerk, RoleName.ACCOUNTANT),
        lambda: accounts.take_role(actor, Role.objects.get(user=clerk)),
    )
    for number, deed in enumerate(deeds):
        deed()
        assert said(lab) == [], number
    assert AuditRow.objects.filter(lab=lab.lab).count() >= len(deeds)


MEDDLING: dict[str, tuple[Callable[[], object], str]] = {
    "a suspension that is undone": (
        lambda: Member.objects.filter(name="Sam").update(status="active"),
        "status is 'active', and deed N told 'suspended'",
    ),
    "an end that is put off": (
        lambda: Member.objects.filter(name="Ada Martin").update(until_at=console().now()),
        "until_at is",
    ),
    "a technician": (
        lambda: Member.objects.filter(name="Ada Martin").update(technician=True),
        "technician is True, and deed N told False",
    ),
    "a trainer": (
        lambda: Authorisation.objects.filter(revoked_at=None).update(level="trainer"),
        "level is 'trainer', and deed N told 'alone'",
    ),
    "a right that comes back": (
        lambda: Authorisation.objects.exclude(revoked_at=None).update(revoked_at=None),
        "laser is there, and deed N took it away",
    ),
    "a right that is gone": (
        lambda: Authorisation.objects.filter(revoked_at=None).delete(),
        "saw-basics is gone, and no deed says so since N",
    ),
    "a right that nobody gave": (
        lambda: Authorisation.objects.create(
            lab=Machine.objects.get().lab,
            member=Member.objects.get(name="Sam"),
            training=Training.objects.get(slug="saw-basics"),
            granted_at=console().now(),
        ),
        "saw-basics is there, and no deed gave it",
    ),
    "a badge that was found": (
        lambda: Badge.objects.filter(member__name="Sam").update(condition="active"),
        "condition is 'active', and deed N told 'lost'",
    ),
    "a badge in another hand": (
        lambda: Badge.objects.filter(member__name="Ada Martin").update(
            member=Member.objects.get(name="Sam")
        ),
        "member is",
    ),
    "a machine that asks for nothing": (
        lambda: Machine.objects.get().trainings.clear(),
        "machine saw: trainings is [], and deed N told ['saw-basics']",
    ),
    "a machine that is open again": (
        lambda: Machine.objects.update(locked_out_at=None),
        "machine saw: locked_out is False, and deed N told True",
    ),
    "a machine that costs nothing": (
        lambda: Machine.objects.update(tariff=None),
        "machine saw: tariff is None, and deed N told 'wood'",
    ),
    "a price": (
        lambda: TariffVersion.objects.update(cents_per_hour=1),
        "cents_per_hour is 1, and deed N told 1200",
    ),
    "prices that are gone": (
        lambda: TariffVersion.objects.all().delete(),
        "is gone, and no deed says so since N",
    ),
    "an owner": (
        lambda: Role.objects.create(
            lab=Machine.objects.get().lab,
            user=accounts.create_user("x@example.org", "X", "correct horse battery"),
            name=RoleName.OWNER,
        ),
        "role x@example.org owner is there, and no deed gave it",
    ),
}


@pytest.mark.parametrize("name", MEDDLING)
def test_what_no_deed_wrote_is_named_with_the_deed_it_contradicts(lab: SmallLab, name: str) -> None:
    actor = console()
    sam = members.create_member(actor, lab.lab, "Sam")
    members.suspend_member(actor, sam, "asked")
    members.block_badge(actor, members.assign_badge(actor, sam, BOB_UID), Badge.Condition.LOST)
    laser = trainings.create_training(actor, lab.lab, "laser", "Laser")
    trainings.revoke_training(actor, trainings.grant_training(actor, sam, laser))
    machines.lock_out(actor, lab.machine, "the guard is broken")
    assert said(lab) == []
    act, words = MEDDLING[name]
    act()
    (sentence,) = said(lab)
    assert words in re.sub(r"(deed|since) \d+", r"\1 N", sentence)


def test_what_was_told_before_an_emptied_row_is_not_asked_and_what_was_told_after_it_is(
    lab: SmallLab,
) -> None:
    """The emptied row may have been about the same thing: here it was."""
    actor = console()
    bob = members.create_member(actor, lab.lab, "Bob")
    members.suspend_member(actor, bob, "asked")
    members.reinstate_member(actor, bob)
    empty_audit([_row("member_reinstated").pk])
    assert said(lab) == []
    members.suspend_member(actor, bob, "asked again")
    Member.objects.update(status="active")
    seq = _row("member_suspended").seq
    assert said(lab) == [
        f"member {bob.public_id}: status is 'active', and deed {seq} told 'suspended'"
    ]


def test_a_right_whose_deed_was_emptied_is_not_asked_and_a_later_one_is(lab: SmallLab) -> None:
    laser = trainings.create_training(console(), lab.lab, "laser", "Laser")
    empty_audit([_row("training_granted").pk])
    assert said(lab) == []
    Authorisation.objects.create(
        lab=lab.lab, member=lab.member, training=laser, granted_at=console().now()
    )
    assert said(lab) == [f"right {lab.member.public_id} laser is there, and no deed gave it"]


def test_nobody_who_was_erased_is_missed(lab: SmallLab) -> None:
    erase_from_tables(console(), lab.member, needles_of(lab.member), "asked")
    assert said(lab) == []


def _row(action: str) -> AuditRow:
    return AuditRow.objects.filter(action=action).latest("seq")


def test_two_badges_that_the_log_calls_alike_are_not_asked(lab: SmallLab) -> None:
    actor = console()
    tag = bytes(lab.badge.tag)
    members.assign_tag(actor, members.create_member(actor, lab.lab, "Bob"), tag[:4] + bytes(12))
    Badge.objects.update(condition="lost")
    assert said(lab) == []


def test_a_list_that_is_taken_back_takes_its_badges_and_rights_along(lab: SmallLab) -> None:
    actor = console()
    tag = bytes.fromhex("ab" * 16)
    source = MemberImport.objects.create(
        lab=lab.lab, file_name="list.csv", done_at=actor.now(), created=1
    )
    take_in(actor, lab.lab, [Newcomer("Eve", tag=tag, trainings=(lab.training,))], source=source)
    assert said(lab) == []
    take_back(actor, source)
    assert not Member.objects.filter(name="Eve").exists()
    assert said(lab) == []


def test_an_invented_past_is_not_asked(lab: SmallLab) -> None:
    Member.objects.update(status="suspended")
    assert said(lab)
    log_deed(console(), lab.lab, Topic.RIGHTS, INVENTED, lab.lab.slug)
    assert said(lab) == []


def test_a_node_with_a_fault_that_is_taken_away_locks_its_machine_out(lab: SmallLab) -> None:
    """The deed is told of the node; the lock-out that comes of it is the machine's."""
    lab.machine.live_faults = ["welded"]
    lab.machine.save(update_fields=["live_faults"])
    nodes.revoke_node(console(), lab.enrolled.node, "its SD card is worn out")
    assert Machine.objects.get().locked_out_at is not None
    assert said(lab) == []
    machines.clear_lock_out(console(), Machine.objects.get())
    Machine.objects.update(locked_out_at=console().now())
    (sentence,) = said(lab)
    assert "locked_out is True, and deed" in sentence


def test_a_blocked_badge_of_somebody_who_was_erased_is_not_missed(lab: SmallLab) -> None:
    """What blocked it names the badge alone, so nothing empties that row."""
    members.block_badge(console(), lab.badge, Badge.Condition.LOST)
    erase_from_tables(console(), lab.member, needles_of(lab.member), "asked")
    assert said(lab) == []


def test_a_deed_that_is_done_while_it_looks_is_no_fault(lab: SmallLab) -> None:
    done: list[str] = []

    def somebody_else(execute: Any, sql: str, *rest: Any) -> Any:
        if not done and 'FROM "hub_member"' in sql:
            done.append(sql)
            members.suspend_member(console(), lab.member, "asked")
        return execute(sql, *rest)

    with connection.execute_wrapper(somebody_else):
        assert said(lab) == []
    assert done
    Member.objects.update(status="active")
    assert len(said(lab)) == 1
