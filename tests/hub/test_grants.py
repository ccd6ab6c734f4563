"""A trainer's grant at the machine: a right before it is acknowledged, a question, or an alarm; never more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied

from interlock.core.model import Granted, Level, Reason
from interlock.errors import ConfigError
from interlock.hub import ingest
from interlock.hub.domain import accounts, grants, machines, members, nodes, trainings
from interlock.hub.models import (
    Alarm,
    AuditRow,
    Authorisation,
    Badge,
    BadgeCondition,
    Member,
    Node,
    PendingGrant,
    RoleName,
    User,
)
from interlock.hub.permissions import Actor
from interlock.hub.snapshots import current_version
from interlock.protocol.records import RecordType
from tests.hub.decides import told
from tests.hub.journal import Journal
from tests.hub.lab import HUB_URL, SmallLab, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

WALL_MS = 1_750_000_000_000


class Class:
    """A trainer, a trainee under supervision, and the saw they stand at."""

    def __init__(self) -> None:
        self.lab: SmallLab = small_lab()
        actor, lab = console(), self.lab
        self.trainer: Member = members.create_member(actor, lab.lab, "Tess Trainer")
        self.card: Badge = members.assign_badge(actor, self.trainer, bytes(6) + b"t", "card")
        self.trainee: Member = members.create_member(actor, lab.lab, "Theo Trainee")
        self.tag = bytes(members.assign_badge(actor, self.trainee, bytes(6) + b"e").tag)
        self.teaching = trainings.grant_training(
            actor, self.trainer, lab.training, Level.TRAINER.value
        )
        trainings.grant_training(actor, self.trainee, lab.training, Level.SUPERVISED.value)
        self.journal = Journal.of(lab.enrolled)
        self.journal.anchor(WALL_MS)

    def grants(self, assurance: str, **more: Any) -> str:
        body: dict[str, Any] = {
            "member": self.trainee.public_id,
            "trainings": [self.lab.training.slug],
            "by": self.trainer.public_id,
            "session": "1.1",
            "assurance": assurance,
            "since_at": WALL_MS // 1_000,
            "until_at": WALL_MS // 1_000 + 3_600,
            "evidence": {"tag": bytes(self.card.tag).hex()},
        }
        return self.journal.write(RecordType.TRAINING_GRANTED, **(body | more)).id

    def deliver(self) -> None:
        ingest.take(self.lab.enrolled.node, self.journal.wires(), settings.HUB_CLOCK)

    def level(self) -> str:
        held = trainings.held_of(self.trainee, self.lab.training)
        return "" if held is None else str(held.level)

    def login(self, name: str, role: RoleName, member: Member | None = None) -> User:
        user = accounts.create_user(f"{name}@example.org", name.title())
        accounts.give_role(console(), self.lab.lab, user, role, member)
        return user


def deeds() -> list[str]:
    return list(AuditRow.objects.order_by("seq").values_list("action", flat=True))


def refusals() -> list[str]:
    found = Alarm.objects.filter(kind="grant_refused", closed_at=None)
    return list(found.values_list("detail", flat=True))


def test_a_genuine_badge_grants_at_once_on_every_node_and_names_its_trainer() -> None:
    lab = Class()
    elsewhere = machines.create_machine(
        console(), lab.lab.lab, "saw-2", "Other saw", trainings=[lab.lab.training]
    )
    other = nodes.enrol_node(console(), elsewhere, HUB_URL).node
    before = current_version(lab.lab.enrolled.node), current_version(other)
    now = console().now()
    assert told(lab.lab).says(lab.tag, now) is Reason.NEEDS_SUPERVISOR
    record = lab.grants("aes")
    lab.deliver()
    assert isinstance(told(lab.lab).says(lab.tag, console().now()), Granted)
    after = current_version(lab.lab.enrolled.node), current_version(Node.objects.get(pk=other.pk))
    assert all(new > old for new, old in zip(after, before, strict=True))
    right = trainings.held_of(lab.trainee, lab.lab.training)
    assert right is not None
    assert (right.level, right.granted_by, right.granted_by_member) == (
        "alone",
        None,
        lab.trainer,
    )
    assert right.evidence == f"saw {record}"
    row = AuditRow.objects.latest("seq")
    assert (row.action, row.actor, row.subject) == (
        "training_granted",
        "Tess Trainer (Table saw)",
        f"{lab.trainee.public_id} saw-basics",
    )
    assert refusals() == []


def test_a_trainer_with_a_login_is_the_author_of_the_grant() -> None:
    lab = Class()
    user = lab.login("tess", RoleName.TRAINER, lab.trainer)
    lab.grants("aes")
    lab.deliver()
    right = trainings.held_of(lab.trainee, lab.lab.training)
    assert right is not None
    assert right.granted_by == user
    assert AuditRow.objects.latest("seq").actor == "Tess (Table saw)"


def test_a_batch_sent_again_grants_once() -> None:
    lab = Class()
    lab.grants("aes")
    lab.deliver()
    rows, rights = deeds(), Authorisation.objects.count()
    lab.deliver()
    assert (deeds(), Authorisation.objects.count()) == (rows, rights)


def test_the_node_hears_of_its_own_grant_even_when_nothing_changed() -> None:
    """Its machine gives the training until a list made after the record says so, or does not."""
    lab = Class()
    trainings.grant_training(console(), lab.trainee, lab.lab.training)
    before = current_version(lab.lab.enrolled.node)
    lab.grants("aes")
    lab.deliver()
    assert current_version(lab.lab.enrolled.node) > before
    assert lab.level() == "alone"


WRONG: dict[str, Any] = {
    "not a trainer any more": lambda x: trainings.revoke_training(console(), x.teaching),
    "trainer suspended": lambda x: members.suspend_member(console(), x.trainer, "x"),
    "trainer's card stolen": lambda x: members.block_badge(
        console(), x.card, BadgeCondition.STOLEN
    ),
    "trainer's membership over": lambda x: members.change_member(
        console(), x.trainer, until_at=console().now() - timedelta(days=1)
    ),
}
LIES: dict[str, dict[str, Any]] = {
    "another training": {"trainings": ["laser"]},
    "a training nobody knows": {"trainings": ["flying"]},
    "an unknown trainer": {"by": "nobody"},
    "an unknown member": {"member": "nobody"},
    "somebody else's card": {"evidence": {"tag": "00" * 16}},
    "no card": {"evidence": {}},
}


@pytest.mark.parametrize("assurance", ["aes", "uid"])
@pytest.mark.parametrize("name", WRONG)
def test_who_does_not_teach_it_now_grants_nothing_and_is_alarmed(name: str, assurance: str) -> None:
    lab = Class()
    WRONG[name](lab)
    version = current_version(lab.lab.enrolled.node)
    record = lab.grants(assurance)
    lab.deliver()
    assert (lab.level(), PendingGrant.objects.count()) == ("supervised", 0)
    assert [record in one for one in refusals()] == [True]
    # A machine that gave it on a genuine badge's word takes it back with the list that follows.
    assert (current_version(lab.lab.enrolled.node) > version) == (assurance == "aes")


@pytest.mark.parametrize("name", LIES)
def test_a_grant_that_is_not_true_gives_nothing(name: str) -> None:
    lab = Class()
    trainings.create_training(console(), lab.lab.lab, "laser", "Laser")
    rights = list(Authorisation.objects.values())
    lab.grants("aes", **LIES[name])
    lab.deliver()
    assert list(Authorisation.objects.values()) == rights
    assert len(refusals()) == 1
    assert all(word not in refusals()[0] for word in ("Tess", "Theo", lab.trainer.public_id))


def test_nobody_grants_to_themselves() -> None:
    lab = Class()
    lab.grants("aes", member=lab.trainer.public_id)
    lab.deliver()
    assert len(refusals()) == 1


def test_what_has_to_be_learnt_first_is_asked_for_here_too() -> None:
    lab = Class()
    first = trainings.create_training(console(), lab.lab.lab, "safety", "Safety")
    lab.lab.training.prerequisite = first
    lab.lab.training.save()
    lab.grants("aes")
    lab.deliver()
    assert lab.level() == "supervised"
    assert len(refusals()) == 1


@pytest.mark.parametrize("level", [Level.ALONE, Level.TRAINER])
def test_a_grant_takes_nothing_from_who_holds_as_much_or_more(level: Level) -> None:
    lab = Class()
    trainings.grant_training(console(), lab.trainee, lab.lab.training, level.value)
    rows = list(Authorisation.objects.values())
    lab.grants("aes")
    lab.deliver()
    assert list(Authorisation.objects.values()) == rows


def test_a_badge_that_can_be_copied_only_asks_and_the_trainer_says_yes() -> None:
    lab = Class()
    user = lab.login("tess", RoleName.TRAINER, lab.trainer)
    version = current_version(lab.lab.enrolled.node)
    record = lab.grants("uid")
    lab.deliver()
    lab.deliver()
    assert lab.level() == "supervised"
    assert current_version(lab.lab.enrolled.node) == version
    pending = PendingGrant.objects.get()
    assert (pending.member, pending.trainer, pending.record, pending.state) == (
        lab.trainee,
        lab.trainer,
        record,
        "waiting",
    )
    grants.confirm(Actor(settings.HUB_CLOCK, user), pending)
    assert isinstance(told(lab.lab).says(lab.tag, console().now()), Granted)
    right = trainings.held_of(lab.trainee, lab.lab.training)
    assert right is not None
    assert (right.granted_by, right.granted_by_member) == (user, lab.trainer)
    assert PendingGrant.objects.get().state == "confirmed"
    with pytest.raises(ConfigError, match="decided before"):
        grants.reject(Actor(settings.HUB_CLOCK, user), PendingGrant.objects.get(), "x")
    assert lab.level() == "alone"


def test_a_rejected_grant_gives_nothing_and_says_who_rejected_it_and_why() -> None:
    lab = Class()
    manager = lab.login("max", RoleName.MANAGER)
    lab.grants("uid")
    lab.deliver()
    grants.reject(Actor(settings.HUB_CLOCK, manager), PendingGrant.objects.get(), "It was a copy")
    assert (lab.level(), PendingGrant.objects.get().state) == ("supervised", "rejected")
    row = AuditRow.objects.latest("seq")
    assert (row.action, row.actor, row.why) == ("grant_rejected", "Max", "It was a copy")


def test_only_that_trainer_or_a_manager_decides() -> None:
    lab = Class()
    lab.grants("uid")
    lab.deliver()
    colleague = members.create_member(console(), lab.lab.lab, "Carl Colleague")
    trainings.grant_training(console(), colleague, lab.lab.training, Level.TRAINER.value)
    pending = PendingGrant.objects.get()
    for name, role, member in (
        ("carl", RoleName.TRAINER, colleague),
        ("theo", RoleName.MEMBER, lab.trainee),
        ("tech", RoleName.TECHNICIAN, None),
        ("tess", RoleName.TRAINER, lab.trainer),
    ):
        user = lab.login(name, role, member)
        if name == "tess":  # who taught it, and does no longer
            trainings.revoke_training(console(), lab.teaching)
        with pytest.raises(PermissionDenied):
            grants.confirm(Actor(settings.HUB_CLOCK, user), pending)
    assert (lab.level(), PendingGrant.objects.get().state) == ("supervised", "waiting")
