"""A site key and a badge in, the badge's own key out: AN10922 for AES-128. Site keys exist at the desk only.

key = CMAC(site key, 01 ‖ UID ‖ AID ‖ site id), so that a badge's key opens no other badge.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from interlock.errors import ConfigError

AES_KEY_BYTES = 16
AES_BLOCK_BYTES = 16
DIVERSIFICATION_AES_128 = b"\x01"
"""The constant in front of the input for an AES-128 key (AN10922, 2.2)."""
INPUT_BYTES_MAX = 32
"""Two blocks, the constant included (AN10922, 2.2)."""


def diversified_key(site_key: bytes, *, uid: bytes, aid: bytes, site_id: bytes) -> bytes:
    """The 16-byte key of the badge `uid`; `aid` is 3 bytes in the order they are sent to the card.

    AN10922 always pads to two blocks, CMAC only to whole ones, so the input must be longer than one: with a 7-byte
    UID a `site_id` has 6 to 21 bytes. Raises ConfigError for another length.
    """
    if len(site_key) != AES_KEY_BYTES:
        raise _wrong("a site key has 16 bytes", "Create it at the enrolment desk")
    divided = DIVERSIFICATION_AES_128 + uid + aid + site_id
    if not AES_BLOCK_BYTES < len(divided) <= INPUT_BYTES_MAX:
        raise _wrong("UID, application and site id together have 16 to 31 bytes", "Check site id")
    cmac = CMAC(AES(site_key))
    cmac.update(divided)
    return cmac.finalize()


def _wrong(what: str, remedy: str) -> ConfigError:
    return ConfigError(what, where="card key", remedy=remedy)
