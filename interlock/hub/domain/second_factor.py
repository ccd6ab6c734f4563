"""A code that somebody typed goes in; whether it proves them comes out: six digits of a telephone, once each,
or a recovery code from paper.

The digits are TOTP as every authenticator app has it (RFC 6238: SHA-1, 30 s). A telephone's clock may be one
step early or late; a code that was taken, and every older one, is refused for good.
"""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass
from hashlib import sha256

import pyotp
from django.db import transaction
from django.utils.translation import gettext as _

from interlock.errors import ConfigError, StoreError
from interlock.hub.changes import log_deed
from interlock.hub.login_keys import open_key, seal
from interlock.hub.models import Lab, RecoveryCode, Role, RoleName, SecondFactor, Topic, User
from interlock.hub.permissions import Actor, Permission, labs_of, require

STEP_S = 30
"""RFC 6238, 5.2: what every app takes for granted."""
SKEW_STEPS = 1
"""RFC 6238, 5.2: one step for a telephone's clock and for typing."""
RECOVERY_CODES = 10
RECOVERY_BYTES = 10
"""80 random bits, as 16 letters: no list of guesses gets there, so a plain SHA-256 is enough."""
GROUP = 4
"""Letters of a recovery code between two dashes."""
DEMANDED_OF = (RoleName.OWNER, RoleName.ACCOUNTANT)
"""Who changes roles and money."""
_DIGITS = re.compile(r"[0-9]{6}")


@dataclass(frozen=True, slots=True)
class Offer:
    """A key for a telephone: to be typed, and as the address that a QR code carries."""

    key: str
    address: str


@transaction.atomic
def begin(actor: Actor, issuer: str) -> Offer:
    """The actor's new key, which counts once `confirm` has seen a code of it. Raises ConfigError where one
    counts already: taking that away comes first."""
    user = _person(actor)
    known = SecondFactor.objects.select_for_update().filter(user=user).first()
    if known is not None and known.confirmed_at is not None:
        raise ConfigError(_("you have a second factor already"), where=_("sign-in"))
    if known is None:
        key = pyotp.random_base32()
        SecondFactor.objects.create(user=user, sealed_key=seal(user, key))
    else:
        # The page is looked at twice: the telephone that has the key keeps it.
        key = open_key(user, bytes(known.sealed_key))
    return Offer(key, pyotp.TOTP(key).provisioning_uri(name=user.email, issuer_name=issuer))


@transaction.atomic
def confirm(actor: Actor, code: str) -> list[str]:
    """The key counts from now on; the recovery codes, which are shown this once. Raises ConfigError."""
    user = _person(actor)
    known = SecondFactor.objects.select_for_update().filter(user=user, confirmed_at=None).first()
    if known is None or not _takes_digits(known, user, code, actor):
        raise ConfigError(
            _("this is not the code that your telephone should show now"),
            where=_("sign-in"),
            remedy=_("Wait for the next one; is the telephone's clock set by itself?"),
        )
    known.confirmed_at = actor.now()
    known.save(update_fields=["confirmed_at"])
    codes = _new_recovery_codes(user)
    _log(actor, user, "second_factor_set")
    return codes


@transaction.atomic
def remove(actor: Actor, user: User, why: str = "") -> None:
    """Their password alone signs them in again. Raises ConfigError: only they themselves, or the console."""
    if actor.user is not None and actor.user != user:
        raise ConfigError(_("a second factor belongs to one person"), where=user.name)
    SecondFactor.objects.filter(user=user).delete()
    RecoveryCode.objects.filter(user=user).delete()
    _log(actor, user, "second_factor_removed", why)


@transaction.atomic
def proves(user: User, code: str, actor: Actor) -> bool:
    """Whether `code` is theirs, now and for the first time; it is used up by this very question."""
    known = SecondFactor.objects.select_for_update().filter(user=user).first()
    if known is None or known.confirmed_at is None:
        return False
    return _takes_digits(known, user, code, actor) or _takes_recovery(user, code, actor)


def is_set(user: User) -> bool:
    """Whether a password alone does not sign them in."""
    return SecondFactor.objects.filter(user=user).exclude(confirmed_at=None).exists()


def codes_left(user: User) -> int:
    """Recovery codes they have not used."""
    return RecoveryCode.objects.filter(user=user, used_at=None).count()


def is_missing(user: User, lab: Lab) -> bool:
    """Whether the lab demands one of them and they have none yet. No query where the lab demands none."""
    if not lab.asks_second_factor:
        return False
    concerned = Role.objects.filter(user=user, lab=lab, name__in=DEMANDED_OF).exists()
    return concerned and not is_set(user)


@transaction.atomic
def demand(actor: Actor, lab: Lab, *, on: bool) -> None:
    """Whether owners and accountants of the lab need one. Raises ConfigError: who demands it has one."""
    require(actor, lab, Permission.EDIT_ROLES)
    if on and actor.user is not None and not is_set(actor.user):
        raise ConfigError(
            _("you have no second factor yourself"),
            where=lab.name,
            remedy=_("Set up yours first: then you know how it goes, and can help the others"),
        )
    before, lab.asks_second_factor = lab.asks_second_factor, on
    lab.save(update_fields=["asks_second_factor"])
    log_deed(
        actor,
        lab,
        Topic.OTHER,
        "second_factor_demanded",
        lab.slug,
        before={"on": before},
        after={"on": on},
    )


def _takes_digits(known: SecondFactor, user: User, code: str, actor: Actor) -> bool:
    digits = re.sub(r"\s", "", code)
    if not _DIGITS.fullmatch(digits):
        return False
    try:
        totp = pyotp.TOTP(open_key(user, bytes(known.sealed_key)), interval=STEP_S)
    except StoreError:
        return False
    now_step = int(actor.now().timestamp()) // STEP_S
    for step in range(now_step - SKEW_STEPS, now_step + SKEW_STEPS + 1):
        right = secrets.compare_digest(totp.generate_otp(step), digits)
        if right and step > known.last_step:
            known.last_step = step
            known.save(update_fields=["last_step"])
            return True
    return False


def _takes_recovery(user: User, code: str, actor: Actor) -> bool:
    unused = RecoveryCode.objects.filter(user=user, used_at=None, code_hash=_hashed(code))
    if not unused.update(used_at=actor.now()):
        return False
    _log(Actor(actor.clock, user), user, "recovery_code_used")
    return True


def _new_recovery_codes(user: User) -> list[str]:
    RecoveryCode.objects.filter(user=user).delete()
    codes = []
    for _number in range(RECOVERY_CODES):
        letters = base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower()
        code = "-".join(letters[at : at + GROUP] for at in range(0, len(letters), GROUP))
        RecoveryCode.objects.create(user=user, code_hash=_hashed(code))
        codes.append(code)
    return codes


def _hashed(code: str) -> bytes:
    plain = re.sub(r"[\s-]", "", code).lower()
    return sha256(plain.encode(errors="replace")).digest()


def _person(actor: Actor) -> User:
    if actor.user is None:
        raise ConfigError(_("the console has no telephone"), where=_("sign-in"))
    return actor.user


def _log(actor: Actor, user: User, action: str, why: str = "") -> None:
    for lab in labs_of(user):
        log_deed(actor, lab, Topic.OTHER, action, user.email, why=why)
