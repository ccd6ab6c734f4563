"""A user and a lab to what they may do there: the one table of roles and permissions.

Pages ask `may()`; domain functions call `require()` themselves, so that a page that forgets to ask
still changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from interlock.clock import Clock
from interlock.hub.entries import right_of
from interlock.hub.models import (
    Authorisation,
    Lab,
    Member,
    Role,
    RoleName,
    Training,
    User,
)

AnyUser = User | AnonymousUser


class Permission(StrEnum):
    """What can be allowed, one word for each kind of page and change."""

    VIEW_BOARD = "view_board"
    VIEW_MEMBERS = "view_members"
    VIEW_MACHINES = "view_machines"
    VIEW_SESSIONS = "view_sessions"
    VIEW_PRICES = "view_prices"
    VIEW_NODES = "view_nodes"
    VIEW_AUDIT = "view_audit"
    VIEW_OWN = "view_own"
    EDIT_MEMBERS = "edit_members"
    EDIT_BADGES = "edit_badges"
    EDIT_TRAININGS = "edit_trainings"
    EDIT_MACHINES = "edit_machines"
    EDIT_TARIFFS = "edit_tariffs"
    EDIT_NODES = "edit_nodes"
    EDIT_ROLES = "edit_roles"
    EDIT_TOKENS = "edit_tokens"
    EDIT_LAB = "edit_lab"
    GRANT_ANY = "grant_any"
    GRANT_OWN = "grant_own"
    LOCK_OUT = "lock_out"
    CLOSE_ALARMS = "close_alarms"
    EXPORT = "export"
    CORRECT_USE = "correct_use"
    CLOSE_PERIODS = "close_periods"
    EDIT_ACCOUNTS = "edit_accounts"
    VIEW_REPORTS = "view_reports"
    RUN_ACTIVITIES = "run_activities"
    MAINTAIN = "maintain"
    ERASE_MEMBERS = "erase_members"


_P = Permission
_EVERYBODY_AT_WORK = frozenset({_P.VIEW_BOARD, _P.VIEW_MACHINES, _P.VIEW_OWN})
_MANAGER = frozenset(_P) - {_P.EDIT_ROLES, _P.GRANT_OWN}

ROLE_PERMISSIONS: dict[str, frozenset[Permission]] = {
    RoleName.OWNER: frozenset(_P) - {_P.GRANT_OWN},
    RoleName.MANAGER: _MANAGER,
    RoleName.TRAINER: _EVERYBODY_AT_WORK | {_P.VIEW_MEMBERS, _P.GRANT_OWN, _P.RUN_ACTIVITIES},
    RoleName.TECHNICIAN: _EVERYBODY_AT_WORK
    | {_P.VIEW_NODES, _P.VIEW_SESSIONS, _P.LOCK_OUT, _P.CLOSE_ALARMS, _P.MAINTAIN},
    RoleName.ACCOUNTANT: _EVERYBODY_AT_WORK
    | {_P.VIEW_MEMBERS, _P.VIEW_SESSIONS, _P.VIEW_PRICES, _P.EDIT_TARIFFS, _P.EXPORT}
    | {_P.CORRECT_USE, _P.CLOSE_PERIODS, _P.EDIT_ACCOUNTS, _P.VIEW_REPORTS},
    RoleName.MEMBER: frozenset({_P.VIEW_BOARD, _P.VIEW_OWN}),
}
"""GRANT_OWN: only the trainings the user holds as trainer; GRANT_ANY needs no such training."""


CONSOLE = "console"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change: a user (their roles decide) or, with None, the console or a job."""

    clock: Clock
    user: User | None = None
    label: str = CONSOLE

    @property
    def name(self) -> str:
        """What the audit log calls them."""
        if self.user is None:
            return self.label
        # Through a program: the log tells what its maker did from what it did in their name.
        through = "" if self.label == CONSOLE else f" ({self.label})"
        return self.user.name + through

    def now(self) -> datetime:
        """The hub's time, aware UTC."""
        return datetime.fromtimestamp(self.clock.wall_ms() / 1_000, UTC)


def permissions_of(user: AnyUser, lab: Lab) -> frozenset[Permission]:
    """Everything `user` may do in `lab`; nothing for strangers."""
    if not isinstance(user, User) or not user.is_active:
        return frozenset()
    names = Role.objects.filter(user=user, lab=lab).values_list("name", flat=True)
    return frozenset().union(*(ROLE_PERMISSIONS[name] for name in names))


def may(user: AnyUser, lab: Lab, permission: Permission) -> bool:
    """Whether `user` may in `lab`."""
    return permission in permissions_of(user, lab)


def may_grant(user: AnyUser, lab: Lab, training: Training, at: datetime) -> bool:
    """Whether `user` may grant and revoke `training` at this moment."""
    allowed = permissions_of(user, lab)
    if Permission.GRANT_ANY in allowed:
        return True
    return Permission.GRANT_OWN in allowed and training in trainings_as_trainer(user, lab, at)


def trainings_as_trainer(user: AnyUser, lab: Lab, at: datetime) -> list[Training]:
    """The trainings `user` holds as trainer in `lab`, by name: by the dates that count at machines too."""
    if not isinstance(user, User):
        return []
    return _taught(Member.objects.filter(roles__user=user, roles__lab=lab, lab=lab), at)


def taught_by(member: Member, at: datetime) -> list[Training]:
    """The trainings that `member` holds as trainer at this moment, by name."""
    return _taught(Member.objects.filter(pk=member.pk), at)


def _taught(members: QuerySet[Member], at: datetime) -> list[Training]:
    held = Authorisation.objects.filter(
        Q(until_at=None) | Q(until_at__gt=at),
        Q(member__until_at=None) | Q(member__until_at__gt=at),
        member__in=members,
        member__status=Member.Status.ACTIVE,
        level=Authorisation.Level.TRAINER,
        revoked_at=None,
    ).select_related("training")
    # Lapsing follows from practice and the training's days: asked of what nodes are told.
    now = int(at.timestamp())
    ends = [(one.training, right_of(one).lapses_at) for one in held]
    live = {training for training, end in ends if end is None or now < end}
    return sorted(live, key=lambda training: training.name)


def require(actor: Actor, lab: Lab, permission: Permission) -> None:
    """Return when `actor` may. Raises PermissionDenied; the console and jobs may everything."""
    if actor.user is not None and not may(actor.user, lab, permission):
        raise PermissionDenied(_("Your role in this lab does not allow this."))


def require_grant(actor: Actor, lab: Lab, training: Training) -> None:
    """Return when `actor` may grant and revoke `training`. Raises PermissionDenied."""
    if actor.user is not None and not may_grant(actor.user, lab, training, actor.now()):
        raise PermissionDenied(_("You grant only the trainings that you hold as a trainer."))


def labs_of(user: AnyUser) -> list[Lab]:
    """The labs in which `user` has a role, by name."""
    if not isinstance(user, User):
        return []
    return list(Lab.objects.filter(roles__user=user).distinct().order_by("name"))


def lab_of(user: AnyUser, chosen: str | None = None) -> Lab | None:
    """The lab `user` works in: the chosen one if they have a role there, else their first.

    Without a login: the only lab of this hub, or None.
    """
    if isinstance(user, User):
        labs = labs_of(user)
        return next((lab for lab in labs if lab.slug == chosen), labs[0] if labs else None)
    only = list(Lab.objects.all()[:2])
    return only[0] if len(only) == 1 else None
