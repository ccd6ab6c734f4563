"""What people decide: permitted or refused, and never without its rows in both logs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import transaction

from interlock.core.model import Needs
from interlock.errors import ConfigError, InterlockError, StoreError
from interlock.hub import changes
from interlock.hub.domain import accounts, labs, machines, members, nodes, tariffs, trainings
from interlock.hub.models import (
    AuditRow,
    Authorisation,
    Badge,
    BadgeCondition,
    ChangeLog,
    Lab,
    Machine,
    Member,
    OneTimeLink,
    Role,
    RoleName,
    Topic,
    Training,
    User,
)
from interlock.hub.permissions import (
    ROLE_PERMISSIONS,
    Actor,
    Permission,
    lab_of,
    may,
    may_grant,
    permissions_of,
)
from interlock.sim.clocks import VirtualClock
from tests.hub.lab import LAB_BEGAN_MS, UID, SmallLab, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

Deed = Callable[[Actor, SmallLab], object]

DEEDS: dict[str, tuple[Permission, Deed]] = {
    "lab": (Permission.EDIT_LAB, lambda a, x: labs.send_names(a, x.lab, on=True)),
    "group": (Permission.EDIT_TARIFFS, lambda a, x: labs.create_group(a, x.lab, "g", "G")),
    "payer": (Permission.EDIT_MEMBERS, lambda a, x: labs.create_payer(a, x.lab, "P")),
    "member": (Permission.EDIT_MEMBERS, lambda a, x: members.create_member(a, x.lab, "M")),
    "rename": (Permission.EDIT_MEMBERS, lambda a, x: members.change_member(a, x.member, name="N")),
    "suspend": (Permission.EDIT_MEMBERS, lambda a, x: members.suspend_member(a, x.member, "w")),
    "reinstate": (Permission.EDIT_MEMBERS, lambda a, x: members.reinstate_member(a, x.member)),
    "badge": (Permission.EDIT_BADGES, lambda a, x: members.assign_badge(a, x.member, bytes(4))),
    "block": (
        Permission.EDIT_BADGES,
        lambda a, x: members.block_badge(a, x.badge, BadgeCondition.LOST),
    ),
    "unblock": (Permission.EDIT_BADGES, lambda a, x: members.unblock_badge(a, x.badge)),
    "training": (
        Permission.EDIT_TRAININGS,
        lambda a, x: trainings.create_training(a, x.lab, "t", "T"),
    ),
    "grant": (
        Permission.GRANT_ANY,
        lambda a, x: trainings.grant_training(a, x.member, x.training),
    ),
    "revoke": (
        Permission.GRANT_ANY,
        lambda a, x: trainings.revoke_training(a, Authorisation.objects.get()),
    ),
    "machine": (Permission.EDIT_MACHINES, lambda a, x: machines.create_machine(a, x.lab, "m", "M")),
    "tariff": (Permission.EDIT_TARIFFS, lambda a, x: machines.set_tariff(a, x.machine, None)),
    "lock out": (Permission.LOCK_OUT, lambda a, x: machines.lock_out(a, x.machine, "blade")),
    "clear": (Permission.LOCK_OUT, lambda a, x: machines.clear_lock_out(a, x.machine)),
    "prices": (
        Permission.EDIT_TARIFFS,
        lambda a, x: tariffs.set_prices(a, x.tariff, tariffs.Prices()),
    ),
    "revoke node": (
        Permission.EDIT_NODES,
        lambda a, x: nodes.revoke_node(a, x.enrolled.node, "stolen"),
    ),
    "role": (
        Permission.EDIT_ROLES,
        lambda a, x: accounts.give_role(
            a, x.lab, accounts.create_user("n@example.org", "N"), RoleName.TRAINER
        ),
    ),
}


def user_with(lab: SmallLab, role: RoleName, member: Member | None = None) -> User:
    user = User.objects.create(email=f"{role}@example.org", name=str(role))
    Role.objects.create(lab=lab.lab, user=user, name=role, member=member)
    return user


def logs() -> tuple[int, int, int]:
    lab = Lab.objects.get()
    return (lab.change_seq, ChangeLog.objects.count(), AuditRow.objects.count())


@pytest.mark.parametrize("name", DEEDS)
def test_a_deed_by_the_console_leaves_a_row_in_both_logs(name: str) -> None:
    lab = small_lab()
    before = logs()
    DEEDS[name][1](console(), lab)
    assert logs() == tuple(number + 1 for number in before)
    assert AuditRow.objects.first().actor == "console"  # type: ignore[union-attr]
    assert changes.verify_audit(lab.lab) == before[2] + 1


@pytest.mark.parametrize("role", list(RoleName))
@pytest.mark.parametrize("name", DEEDS)
def test_a_role_may_what_the_table_says_and_nothing_more(name: str, role: RoleName) -> None:
    lab = small_lab()
    permission, deed = DEEDS[name]
    actor = Actor(console().clock, user_with(lab, role))
    before = logs()
    if permission in ROLE_PERMISSIONS[role]:
        deed(actor, lab)
        assert AuditRow.objects.first().user == actor.user  # type: ignore[union-attr]
    else:
        with pytest.raises(PermissionDenied):
            deed(actor, lab)
        assert logs() == before


def test_every_permission_belongs_to_the_owner_or_to_trainers() -> None:
    assert ROLE_PERMISSIONS[RoleName.OWNER] | {Permission.GRANT_OWN} == set(Permission)
    assert set(ROLE_PERMISSIONS) == set(RoleName)


def test_a_role_in_one_lab_is_nothing_in_another() -> None:
    here = small_lab()
    user = user_with(here, RoleName.OWNER)
    elsewhere = small_lab(slug="elsewhere")
    assert permissions_of(user, elsewhere.lab) == frozenset()
    assert not may(user, elsewhere.lab, Permission.VIEW_BOARD)
    assert lab_of(user, "elsewhere") == here.lab


def test_a_user_who_was_switched_off_may_nothing() -> None:
    lab = small_lab()
    user = user_with(lab, RoleName.OWNER)
    user.is_active = False
    assert not may(user, lab.lab, Permission.VIEW_BOARD)


def test_a_trainer_grants_what_they_hold_as_trainer_while_they_hold_it() -> None:
    lab = small_lab()
    trainer = members.create_member(console(), lab.lab, "Tess")
    user = user_with(lab, RoleName.TRAINER, trainer)
    actor = Actor(console().clock, user)
    assert not may_grant(user, lab.lab, lab.training, actor.now())
    trainings.grant_training(console(), trainer, lab.training)
    assert not may_grant(user, lab.lab, lab.training, actor.now())
    held = trainings.grant_training(
        console(), trainer, lab.training, "trainer", until_at=actor.now() + timedelta(days=1)
    )
    assert may_grant(user, lab.lab, lab.training, actor.now())
    assert not may_grant(user, lab.lab, lab.training, actor.now() + timedelta(days=2))
    trainings.grant_training(actor, lab.member, lab.training)
    with pytest.raises(PermissionDenied):
        trainings.grant_training(actor, lab.member, lab.training, "trainer")
    trainings.revoke_training(console(), held)
    assert not may_grant(user, lab.lab, lab.training, actor.now())


def teacher(lab: SmallLab) -> tuple[Member, User]:
    """A trainer for the lab's training, with their login."""
    trainer = members.create_member(console(), lab.lab, "Tess")
    trainings.grant_training(console(), trainer, lab.training, "trainer")
    return trainer, user_with(lab, RoleName.TRAINER, trainer)


def test_a_trainer_whose_membership_ended_grants_nothing() -> None:
    lab = small_lab()
    trainer, user = teacher(lab)
    now = console().now()
    history = []
    for end in (now + timedelta(seconds=1), now):
        members.change_member(console(), trainer, until_at=end)
        history.append(may_grant(user, lab.lab, lab.training, now))
    assert history == [True, False]


def test_a_trainer_whose_own_training_lapsed_grants_nothing_until_they_practise() -> None:
    lab = small_lab()
    trainer, user = teacher(lab)
    Training.objects.update(lapse_days=90)
    held = Authorisation.objects.get(member=trainer)
    days = [timedelta(days=number) for number in (89, 90, 91)]
    asked = [may_grant(user, lab.lab, lab.training, held.granted_at + day) for day in days]
    assert asked == [True, False, False]
    practised_at = held.granted_at + timedelta(days=80)
    Authorisation.objects.filter(pk=held.pk).update(practised_at=practised_at)
    assert may_grant(user, lab.lab, lab.training, held.granted_at + timedelta(days=91))


@pytest.mark.parametrize("level", ["supervised", "alone"])
def test_a_trainer_takes_no_other_trainer_down(level: str) -> None:
    lab = small_lab()
    _, user = teacher(lab)
    other = lab.member
    held = trainings.grant_training(console(), other, lab.training, "trainer")
    actor = Actor(console().clock, user)
    with pytest.raises(PermissionDenied):
        trainings.grant_training(actor, other, lab.training, level)
    with pytest.raises(PermissionDenied):
        trainings.revoke_training(actor, held)
    assert Authorisation.objects.get(member=other, revoked_at=None) == held
    manager = Actor(console().clock, user_with(lab, RoleName.MANAGER))
    trainings.grant_training(manager, other, lab.training, level)


def test_a_training_granted_again_is_held_once() -> None:
    lab = small_lab()
    trainings.grant_training(console(), lab.member, lab.training)
    held = Authorisation.objects.filter(revoked_at=None)
    assert held.count() == 1
    assert Authorisation.objects.count() == 2


def test_validity_and_prerequisites_are_kept() -> None:
    lab = small_lab()
    actor = console()
    expert = trainings.create_training(
        actor, lab.lab, "expert", "Expert", validity_days=30, prerequisite=lab.training
    )
    granted = trainings.grant_training(actor, lab.member, expert)
    assert granted.until_at is not None
    assert (granted.until_at - granted.granted_at).days == 30
    novice = members.create_member(actor, lab.lab, "Nina")
    with pytest.raises(ConfigError, match="first"):
        trainings.grant_training(actor, novice, expert)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda a, x: members.assign_badge(a, x.member, UID),
        lambda a, x: members.assign_badge(a, x.member, b"12345"),
        lambda a, x: members.create_member(a, x.lab, "  "),
        lambda a, x: members.create_member(a, x.lab, "Ada", email="ADA@example.org"),
        lambda a, x: members.change_member(a, x.member, status="active"),
        lambda a, x: members.block_badge(a, x.badge, BadgeCondition.ACTIVE),
        lambda a, x: trainings.create_training(a, x.lab, "saw-basics", "Again"),
        lambda a, x: trainings.grant_training(a, x.member, x.training, "wizard"),
        lambda a, x: trainings.grant_training(
            a, x.member, x.training, until_at=a.now() - timedelta(days=1)
        ),
        lambda a, x: machines.create_machine(a, x.lab, "saw", "Again"),
        lambda a, x: machines.set_demands(a, x.machine, [], Needs.ANY),
        lambda a, x: machines.lock_out(a, x.machine, " "),
        lambda a, x: nodes.enrol_node(a, x.machine, "http://x"),
        lambda a, x: accounts.create_user("no-at-sign", "X"),
    ],
)
def test_wrong_input_is_refused_in_words_and_changes_nothing(wrong: Deed) -> None:
    lab = small_lab()
    before = (logs(), Badge.objects.count(), Member.objects.count(), Machine.objects.count())
    with pytest.raises(ConfigError) as refused:
        wrong(console(), lab)
    assert str(refused.value)
    assert (
        logs(),
        Badge.objects.count(),
        Member.objects.count(),
        Machine.objects.count(),
    ) == before


def test_a_revoked_nodes_machine_gets_another_with_a_name_and_keys_of_its_own() -> None:
    lab = small_lab()
    nodes.revoke_node(console(), lab.enrolled.node, "broken")
    second = nodes.enrol_node(console(), lab.machine, "http://x")
    assert second.node.slug == "saw-2"
    assert second.keys.chain_key != lab.enrolled.keys.chain_key
    assert second.access.credential != lab.enrolled.access.credential


def test_a_lock_out_shows_on_the_board_without_undoing_what_a_node_reported() -> None:
    lab = small_lab()
    stale = Machine.objects.get()
    Machine.objects.update(live_lock_outs=["machine"], live_busy=True)
    machines.lock_out(console(), stale, "blade")
    fresh = Machine.objects.get()
    assert (fresh.live_state, fresh.live_lock_outs) == ("locked_out", ["machine"])
    machines.clear_lock_out(console(), stale)
    assert Machine.objects.get().live_state == "locked_out"
    assert Machine.objects.get().pk == lab.machine.pk


def test_an_altered_removed_or_cut_off_audit_row_is_found() -> None:
    lab = small_lab()
    assert changes.verify_audit(lab.lab) > 5

    def found(alter: Callable[[], object]) -> bool:
        try:
            with transaction.atomic():
                alter()
                changes.verify_audit(lab.lab)
                raise InterlockError("nothing was found")
        except StoreError:
            return True
        except InterlockError:
            return False

    rows = AuditRow.objects
    assert found(lambda: rows.filter(seq=3).update(actor="nobody"))
    assert found(lambda: rows.filter(seq=3).delete())
    assert found(lambda: rows.order_by("-seq")[:1].get().delete())
    assert found(lambda: rows.filter(seq=3).update(hash=bytes(32)))
    # Erased by the rules: words and salt gone, the chain still whole.
    assert not found(lambda: rows.filter(seq=3).update(after=None, why="", salt=None))


@pytest.mark.django_db(transaction=True)
def test_a_change_outside_a_transaction_is_refused() -> None:
    lab = small_lab()
    with pytest.raises(StoreError, match="own transaction"):
        changes.log_change(lab.lab, Topic.OTHER, "x", "y", console().now())


def test_the_first_owners_link_works_once_and_not_for_ever() -> None:
    lab = small_lab()
    clock = VirtualClock(wall_ms=LAB_BEGAN_MS)
    token = accounts.create_link(Actor(clock), lab.lab, OneTimeLink.Purpose.FIRST_OWNER)
    assert token.encode() not in bytes(OneTimeLink.objects.get().token_hash)
    link = accounts.find_link(token, clock)
    assert link is not None
    assert accounts.find_link(token + "x", clock) is None
    assert accounts.find_link("\ud800", clock) is None
    wrong = {"email": "o@example.org", "name": "Olive", "password": "short"}
    with pytest.raises(ConfigError, match="too short"):
        accounts.accept_first_owner(link, clock, **wrong)
    assert not User.objects.exists()
    right = {**wrong, "password": "correct horse battery"}
    owner = accounts.accept_first_owner(link, clock, **right)
    assert may(owner, lab.lab, Permission.EDIT_ROLES)
    assert owner.check_password(right["password"])
    assert owner.password.startswith("argon2$argon2id$")
    assert accounts.find_link(token, clock) is None
    with pytest.raises(ConfigError, match="used"):
        accounts.accept_first_owner(link, clock, **{**right, "email": "second@example.org"})
    with pytest.raises(ConfigError, match="owner already"):
        accounts.create_link(Actor(clock), lab.lab, OneTimeLink.Purpose.FIRST_OWNER)


def test_a_link_expires() -> None:
    lab = small_lab()
    clock = VirtualClock(wall_ms=LAB_BEGAN_MS)
    token = accounts.create_link(Actor(clock), lab.lab, OneTimeLink.Purpose.FIRST_OWNER)
    clock.sleep(24 * 3_600)
    assert accounts.find_link(token, clock) is None


def test_a_lab_keeps_at_least_one_owner() -> None:
    lab = small_lab()
    user_with(lab, RoleName.OWNER)
    with pytest.raises(ConfigError, match="at least one"):
        accounts.take_role(console(), Role.objects.get())
