"""Numbers of badges as people have them written down to UIDs: hexadecimal, or ids of the PyPI library mfrc522.

That library (0.0.7, SimpleMFRC522.uid_to_num) makes one integer of five bytes, the first one most
significant: four of the UID, and the check byte, which is the four of them XORed. Of a longer UID it
reads only the first round of the anticollision: 88 and three bytes. So two badges can have one such
id, and it says nothing that a badge could be known by: the badge has to be enrolled again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.utils.translation import gettext as _

from interlock.errors import ConfigError
from interlock.hub.domain.badges import CASCADE_TAG
from interlock.protocol.tags import UID_LENGTHS

OLD_ID_BYTES = 5
COLUMN = ("oldid", "ancienid", "ancienidentifiant", "ancienbadge", "mfrc522", "idmfrc522")
"""Headings of a column of such ids."""


@dataclass(frozen=True, slots=True)
class OldId:
    """What an old id says: a UID of 4 bytes, or None and only the head that several badges share."""

    uid: bytes | None
    head: bytes


def read(text: str) -> OldId:
    """What the library's integer says. Raises ConfigError: no such integer, or a wrong check byte."""
    digits = re.sub(r"[\s\u00a0\u202f]", "", text)
    if re.fullmatch(r"\d[.,]\d+E\+?\d+", digits, re.IGNORECASE):
        raise ConfigError(
            _("%(text)s was rounded by a spreadsheet") % {"text": text},
            where="old_id",
            remedy=_("Format the column as text before you paste the numbers"),
        )
    if not re.fullmatch(r"[0-9]{1,13}", digits) or int(digits) >= 1 << 8 * OLD_ID_BYTES:
        raise ConfigError(
            _("%(text)s is no id of the old readers: they are whole numbers of up to 13 digits")
            % {"text": text[:40]},
            where="old_id",
        )
    *head, check = int(digits).to_bytes(OLD_ID_BYTES, "big")
    expected = head[0] ^ head[1] ^ head[2] ^ head[3]
    if check != expected:
        raise ConfigError(
            _(
                "%(text)s is mistyped: its check byte is %(found)02X and would have to be %(right)02X"
            )
            % {"text": text, "found": check, "right": expected},
            where="old_id",
            remedy=_("Look the number up once more, or hold the badge to a reader"),
        )
    whole = bytes(head)
    return OldId(None if whole[0] == CASCADE_TAG else whole, whole)


def read_uid(text: str) -> bytes:
    """The UID written in hexadecimal, with or without signs between. Raises ConfigError."""
    try:
        uid = bytes.fromhex(re.sub(r"[\s:.-]", "", text))
    except ValueError as error:
        raise ConfigError(
            _("%(text)s is not a UID in hexadecimal") % {"text": text}, where="badge"
        ) from error
    if len(uid) not in UID_LENGTHS:
        lengths = ", ".join(str(length) for length in UID_LENGTHS)
        raise ConfigError(
            _("a badge's UID has %(lengths)s bytes") % {"lengths": lengths}, where="badge"
        )
    return uid
