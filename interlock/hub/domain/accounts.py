"""Logins: the first owner's one-time link, roles, and the passwords set through such links."""

from __future__ import annotations

import secrets
from datetime import timedelta
from hashlib import sha256

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from interlock.clock import Clock
from interlock.errors import ConfigError
from interlock.hub.changes import log_deed
from interlock.hub.domain.second_factor import remove
from interlock.hub.models import Lab, Member, OneTimeLink, Role, RoleName, Topic, User
from interlock.hub.permissions import Actor, Permission, require

TOKEN_BYTES = 16
"""128 random bits: nobody guesses a link before it expires."""
LINK_LIFE = timedelta(hours=24)
"""An installation is finished the same day, or a new link is made at the console."""


@transaction.atomic
def create_link(
    actor: Actor, lab: Lab, purpose: OneTimeLink.Purpose, user: User | None = None
) -> str:
    """The token of a new link; only its SHA-256 is stored.

    Raises ConfigError for a first owner of a lab that has one, and for the password of somebody who
    has no role in the lab; PermissionDenied where the actor may not change roles: whoever sets a
    password is that person in every lab where they have a role.
    """
    require(actor, lab, Permission.EDIT_ROLES)
    if purpose == OneTimeLink.Purpose.SET_PASSWORD:
        _require_rule_over(actor, lab, user)
    if purpose == OneTimeLink.Purpose.FIRST_OWNER and _has_owner(lab):
        raise ConfigError(_("this lab has an owner already"), where=lab.name)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    OneTimeLink.objects.create(
        lab=lab,
        purpose=purpose,
        user=user,
        token_hash=sha256(token.encode()).digest(),
        expires_at=actor.now() + LINK_LIFE,
    )
    log_deed(actor, lab, Topic.OTHER, "link_created", purpose.value)
    return token


@transaction.atomic
def recover_owner(actor: Actor, lab: Lab, email: str) -> str:
    """The token of a link that sets this owner's password; their second factor is gone, their old password
    opens nothing any more, and their role is usable again. Raises ConfigError for whoever is no owner."""
    owners = Role.objects.filter(lab=lab, name=RoleName.OWNER).select_related("user")
    found = owners.filter(user__email__iexact=email.strip()).first()
    if found is None:
        raise ConfigError(
            _("no owner of this lab signs in with this e-mail"),
            where=email,
            remedy=_("Owners are: %(emails)s")
            % {"emails": ", ".join(sorted(one.user.email for one in owners))},
        )
    user = found.user
    # Whoever asks has lost it, or somebody else has it: it ends every login of theirs, too.
    user.set_unusable_password()
    user.is_active = True
    user.save(update_fields=["password", "is_active"])
    remove(actor, user, why="recovered at the console")
    return create_link(actor, lab, OneTimeLink.Purpose.SET_PASSWORD, user)


def _require_rule_over(actor: Actor, lab: Lab, user: User | None) -> None:
    labs = list(Lab.objects.filter(roles__user=user).distinct()) if user is not None else []
    if lab not in labs:
        raise ConfigError(_("they have no role in this lab"), where=user.name if user else "link")
    for other in labs:
        require(actor, other, Permission.EDIT_ROLES)


def find_link(token: str, clock: Clock) -> OneTimeLink | None:
    """The link of that token, unless it was used, has expired or never existed."""
    hashed = sha256(token.encode(errors="replace")).digest()
    link = OneTimeLink.objects.filter(token_hash=hashed, used_at=None).first()
    if link is None or link.expires_at <= Actor(clock).now():
        return None
    return link


@transaction.atomic
def accept_first_owner(
    link: OneTimeLink, clock: Clock, *, email: str, name: str, password: str
) -> User:
    """The lab has its owner, and the link is used up. Raises ConfigError, changing nothing."""
    link = _usable(link, OneTimeLink.Purpose.FIRST_OWNER, clock)
    if _has_owner(link.lab):
        raise ConfigError(_("this lab has an owner already"), where=link.lab.name)
    user = create_user(email, name, password)
    actor = Actor(clock, label=name)
    Role.objects.create(lab=link.lab, user=user, name=RoleName.OWNER)
    _use(link, actor)
    log_deed(
        actor,
        link.lab,
        Topic.OTHER,
        "role_given",
        user.email,
        after={"role": RoleName.OWNER.value},
        why="first owner, by one-time link",
    )
    return user


@transaction.atomic
def accept_password(link: OneTimeLink, clock: Clock, *, password: str) -> User:
    """The link's user has that password, and the link is used up. Raises ConfigError."""
    link = _usable(link, OneTimeLink.Purpose.SET_PASSWORD, clock)
    if link.user is None:
        raise ConfigError(_("this link belongs to nobody"), where="link")
    _set_password(link.user, password)
    link.user.save(update_fields=["password"])
    actor = Actor(clock, link.user)
    _use(link, actor)
    log_deed(actor, link.lab, Topic.OTHER, "password_set", link.user.email)
    return link.user


@transaction.atomic
def give_role(
    actor: Actor, lab: Lab, user: User, name: RoleName, member: Member | None = None
) -> Role:
    """The user has that role in the lab. Raises ConfigError when they have it already."""
    require(actor, lab, Permission.EDIT_ROLES)
    if Role.objects.filter(lab=lab, user=user, name=name).exists():
        raise ConfigError(_("they have this role already"), where=user.name)
    role = Role.objects.create(lab=lab, user=user, name=name, member=member)
    # A link that another lab made would from now on open this one too.
    open_links = OneTimeLink.objects.filter(user=user, used_at=None).exclude(lab=lab)
    open_links.update(used_at=actor.now())
    log_deed(actor, lab, Topic.OTHER, "role_given", user.email, after={"role": name.value})
    return role


@transaction.atomic
def take_role(actor: Actor, role: Role, why: str = "") -> None:
    """The user no longer has it. Raises ConfigError for the last owner who can sign in."""
    require(actor, role.lab, Permission.EDIT_ROLES)
    others = _usable_owners(role.lab).exclude(pk=role.pk)
    if role.name == RoleName.OWNER and not others.exists():
        raise ConfigError(_("a lab keeps at least one owner"), where=role.user.name)
    log_deed(
        actor,
        role.lab,
        Topic.OTHER,
        "role_taken",
        role.user.email,
        before={"role": role.name},
        why=why,
    )
    role.delete()


def create_user(email: str, name: str, password: str | None = None) -> User:
    """A login without any role; without a password it has to be set by a link. Raises ConfigError."""
    if not name.strip() or "@" not in email:
        raise ConfigError(_("a login needs a name and an e-mail"), where=email)
    if User.objects.filter(email__iexact=email.strip()).exists():
        raise ConfigError(_("somebody logs in with this e-mail already"), where=email)
    user = User(email=email.strip().lower(), name=name.strip())
    if password is None:
        user.set_unusable_password()
    else:
        _set_password(user, password)
    user.save()
    return user


def _set_password(user: User, password: str) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise ConfigError(" ".join(error.messages), where=_("password")) from error
    user.set_password(password)


def _usable(link: OneTimeLink, purpose: OneTimeLink.Purpose, clock: Clock) -> OneTimeLink:
    """The link as it stands now, locked. Raises ConfigError."""
    fresh = OneTimeLink.objects.select_for_update().get(pk=link.pk)
    expired = fresh.expires_at <= Actor(clock).now()
    if fresh.used_at is not None or expired or fresh.purpose != purpose:
        raise ConfigError(
            _("this link was used or has expired"),
            where=_("link"),
            remedy=_("Ask for a new one at the hub's console"),
        )
    return fresh


def _use(link: OneTimeLink, actor: Actor) -> None:
    link.used_at = actor.now()
    link.save(update_fields=["used_at"])


def _has_owner(lab: Lab) -> bool:
    return Role.objects.filter(lab=lab, name=RoleName.OWNER, user__is_active=True).exists()


def _usable_owners(lab: Lab) -> QuerySet[Role]:
    """The owners who can sign in: not switched off, and with a password."""
    owners = Role.objects.filter(lab=lab, name=RoleName.OWNER, user__is_active=True)
    unusable = Q(user__password="") | Q(user__password__startswith=UNUSABLE_PASSWORD_PREFIX)
    return owners.exclude(unusable)
