"""A site key to groups that a person can copy by hand, and back: a slip of the pen is found, and its group named.

    1: 1A2B-K 3C4D-M … GTV     generation, eight groups of four hexadecimal digits with a letter each, three more

A group's letter is a weighted sum modulo 17: any one wrong digit in it, any two swapped neighbours, and two swapped
groups are always found, and the group is named. The last three letters cover the whole key.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from interlock.cards.keys import AES_KEY_BYTES
from interlock.desk.site_keys import GENERATION_MAX
from interlock.desk.words import _
from interlock.errors import ConfigError

GROUP_DIGITS = 4
GROUPS = 2 * AES_KEY_BYTES // GROUP_DIGITS
LETTERS = "GHJKLMNPQRSTVWXYZ"
"""17, a prime above 16, and no hexadecimal digit among them; no U beside V, no I beside J."""
GROUP_STEP, NUMBER_STEP = 5, 7
"""What position and generation add, so that the same digits elsewhere have another letter."""
WHOLE_LETTERS = 3


def written(number: int, key: bytes) -> str:
    """The key as one line for the paper."""
    digits = key.hex().upper()
    groups = [digits[at : at + GROUP_DIGITS] for at in range(0, len(digits), GROUP_DIGITS)]
    marked = [f"{group}-{_letter(number, at, group)}" for at, group in enumerate(groups, 1)]
    return f"{number}: {' '.join(marked)} {_whole(number, digits)}"


def read(line: str) -> tuple[int, bytes]:
    """Generation and key that a line of the paper says. Raises ConfigError: which group is mistyped."""
    head, colon, rest = line.upper().partition(":")
    words = rest.split()
    if not colon or not head.strip().isdecimal() or len(words) != GROUPS + 1:
        raise ConfigError(
            _("a line has a number, a colon, %d groups and three letters") % GROUPS,
            where=_("paper"),
            remedy=_("Type the whole line as it stands on the paper"),
        )
    number = int(head)
    if not 1 <= number <= GENERATION_MAX:
        raise ConfigError(_("there is no site key %d") % number, where=_("paper"))
    groups = []
    for at, word in enumerate(words[:GROUPS], 1):
        group, _dash, letter = word.partition("-")
        if not re.fullmatch(r"[0-9A-F]{4}", group) or letter != _letter(number, at, group):
            raise ConfigError(
                _("group %(at)d (%(word)s) is mistyped") % {"at": at, "word": word},
                where=_("paper"),
                remedy=_("Compare it with the paper, letter by letter"),
            )
        groups.append(group)
    digits = "".join(groups)
    if words[GROUPS] != _whole(number, digits):
        raise ConfigError(
            _("the groups are sound one by one, and do not belong together"),
            where=_("paper"),
            remedy=_("Check that they all are of one line of one paper"),
        )
    return number, bytes.fromhex(digits)


def _letter(number: int, at: int, group: str) -> str:
    total = sum(weight * int(digit, 16) for weight, digit in enumerate(group, 1))
    return LETTERS[(total + GROUP_STEP * at + NUMBER_STEP * number) % len(LETTERS)]


def _whole(number: int, digits: str) -> str:
    digest = blake2b(f"{number} {digits}".encode(), digest_size=8).digest()
    drawn, letters = int.from_bytes(digest, "big"), ""
    for _place in range(WHOLE_LETTERS):
        drawn, place = divmod(drawn, len(LETTERS))
        letters += LETTERS[place]
    return letters
