"""The mail server's password, between the database that holds it sealed and the moment it is used.

The key is made of keys/card.key (HKDF, a purpose of its own), so that a stolen database sends no mail. The
seal is bound to lab, server and user name: who points the hub at another server does not take the password
along, and has to know it.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.utils.translation import gettext as _

from interlock.errors import StoreError
from interlock.hub.models import MailSettings

PURPOSE = b"interlock mail password at rest v1"
KEY_BYTES = 32
"""AES-SIV with two AES-128 keys, as hub.card_keys."""


def seal(kept: MailSettings, password: str) -> bytes:
    """`password` as the database may hold it, for the server and user name that `kept` names now."""
    return _cipher().encrypt(password.encode(), _bound(kept)) if password else b""


def open_password(kept: MailSettings) -> str:
    """The password. Raises StoreError: another server, another key, or an altered row."""
    sealed = bytes(kept.sealed_password)
    if not sealed:
        return ""
    try:
        return _cipher().decrypt(sealed, _bound(kept)).decode()
    except (InvalidTag, ValueError) as error:
        raise StoreError(
            _("the mail server's password cannot be opened"),
            where="mail",
            remedy=_("Type it once more in the mail settings"),
        ) from error


def _cipher() -> AESSIV:
    settings.HUB.add_card_key()
    master = settings.HUB.card_key()
    return AESSIV(HKDF(SHA256(), KEY_BYTES, salt=None, info=PURPOSE).derive(master))


def _bound(kept: MailSettings) -> list[bytes]:
    where = f"{kept.host.casefold()}:{kept.port}:{kept.security}"
    return [kept.lab.slug.encode(), where.encode(), kept.username.encode()]
