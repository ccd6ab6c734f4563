"""The keys of people's telephones, between the database that holds them sealed and the check of one code.

The key is made of keys/card.key (HKDF, a purpose of its own), so that a stolen database makes no codes. The
seal is bound to the user: a row moved to another login opens nothing.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.utils.translation import gettext as _

from interlock.errors import StoreError
from interlock.hub.models import User

PURPOSE = b"interlock second factors at rest v1"
KEY_BYTES = 32
"""AES-SIV with two AES-128 keys, as hub.card_keys."""


def seal(user: User, key: str) -> bytes:
    """The telephone's key as the database may hold it."""
    return _cipher().encrypt(key.encode(), [str(user.pk).encode()])


def open_key(user: User, sealed: bytes) -> str:
    """The telephone's key. Raises StoreError: another hub's, another user's, or an altered row."""
    try:
        return _cipher().decrypt(sealed, [str(user.pk).encode()]).decode()
    except (InvalidTag, ValueError) as error:
        raise StoreError(
            _("the second factor cannot be opened"),
            where=_("sign-in"),
            remedy=_("Use a recovery code, or interlock hub recover-owner at the hub's console"),
        ) from error


def _cipher() -> AESSIV:
    settings.HUB.add_card_key()
    master = settings.HUB.card_key()
    return AESSIV(HKDF(SHA256(), KEY_BYTES, salt=None, info=PURPOSE).derive(master))
