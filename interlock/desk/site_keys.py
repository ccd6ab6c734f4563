"""The lab's site keys, which exist at the desk and nowhere else: a badge and a place on it in, its key out.

    K_n           16 random bytes, the generation n of the site key; all the desk has to keep
    K_site,n,p    CMAC(K_n, "interlock site key" ‖ p), so that keys at different places of one card are unrelated
    K_card,n,p    AN10922(K_site,n,p; 01 ‖ UID ‖ AID ‖ site id): what the card holds at place p

p is a key number of the lab's application, or 255 for the master key of a whole DESFire card. A node is given
K_card of one place alone: it leads neither to the card's master key nor to any other card.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from interlock.cards.keys import AES_KEY_BYTES, diversified_key
from interlock.desk import private_files
from interlock.desk.words import _
from interlock.errors import ConfigError

FACTORY = 0
"""The generation of a key that nobody has changed since the card was made: zeros."""
GENERATION_MAX = 255
"""The version byte beside a key on the card says its generation."""
PURPOSE = b"interlock site key"
CARD_TAGS = b"interlock desk ledger"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where on a card a key lies: an application (3 bytes as they are sent; zeros: the card itself, or an
    NTAG 424) and the number of the key in it."""

    aid: bytes
    number: int


@dataclass(frozen=True, slots=True)
class SiteKeys:
    """Every generation the lab ever used, newest last; printed it shows none of them."""

    site_id: str
    generations: Mapping[int, bytes] = field(repr=False)

    @property
    def newest(self) -> int:
        """The generation that cards are given now."""
        return max(self.generations)

    def card_key(self, generation: int, uid: bytes, place: Place) -> bytes:
        """The 16 bytes that the card `uid` holds at `place`. Raises ConfigError: no such generation."""
        if generation not in self.generations:
            raise ConfigError(
                _("there is no site key %d here") % generation,
                where="site keys",
                remedy=_("Restore it from its paper: interlock desk keys restore"),
            )
        site_key = _cmac(self.generations[generation], PURPOSE + bytes((place.number,)))
        return diversified_key(site_key, uid=uid, aid=place.aid, site_id=self.site_id.encode())

    def card_tag(self, uid: bytes) -> str:
        """What the ledger calls the card `uid`: nothing to whoever has no site key."""
        return _cmac(self.generations[min(self.generations)], CARD_TAGS + uid).hex()

    def with_another(self, draw: Callable[[int], bytes] = os.urandom) -> SiteKeys:
        """These and a fresh one. Raises ConfigError when 255 were used."""
        number = self.newest + 1
        if number > GENERATION_MAX:
            raise ConfigError(_("a card knows 255 generations of keys, and all were used"))
        return SiteKeys(self.site_id, {**self.generations, number: draw(AES_KEY_BYTES)})

    def with_restored(self, number: int, key: bytes) -> SiteKeys:
        """These and generation `number`. Raises ConfigError when it is here with another key."""
        if self.generations.get(number, key) != key:
            raise ConfigError(
                _("this paper and the file have different keys number %d") % number,
                where="site keys",
                remedy=_("One of them is another lab's, or an older one's: do not mix them"),
            )
        return SiteKeys(self.site_id, {**self.generations, number: key})


def new_site_keys(site_id: str, draw: Callable[[int], bytes] = os.urandom) -> SiteKeys:
    """Generation 1 of a lab that had none."""
    return SiteKeys(site_id, {1: draw(AES_KEY_BYTES)})


def create(path: Path, keys: SiteKeys) -> None:
    """A new file holds the keys. Raises ConfigError when there is one already."""
    private_files.create(path, _file_of(keys))


def replace(path: Path, keys: SiteKeys) -> None:
    """The file holds these keys instead of fewer."""
    private_files.replace(path, _file_of(keys))


def load(path: Path, site_id: str) -> SiteKeys:
    """The keys in `path`. Raises ConfigError: missing, readable by others, damaged, or of another site id."""
    content = private_files.read(path)
    try:
        said = json.loads(content)
        generations = {int(number): bytes.fromhex(key) for number, key in said["keys"].items()}
        keys = SiteKeys(str(said["site_id"]), generations)
        is_sound = said["v"] == VERSION and all(
            1 <= number <= GENERATION_MAX and len(key) == AES_KEY_BYTES
            for number, key in generations.items()
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path) from error
    if not is_sound or not generations:
        raise _damaged(path)
    if keys.site_id != site_id:
        raise ConfigError(
            _("these site keys were made for the site id %(made)r, not %(said)r")
            % {"made": keys.site_id, "said": site_id},
            where="cards.site_id",
            remedy=_("Write the site id that the keys were made for: every card depends on it"),
        )
    return keys


def _file_of(keys: SiteKeys) -> bytes:
    said = {
        "v": VERSION,
        "site_id": keys.site_id,
        "keys": {str(number): key.hex() for number, key in sorted(keys.generations.items())},
    }
    return json.dumps(said, indent=1).encode() + b"\n"


def _damaged(path: Path) -> ConfigError:
    return ConfigError(
        _("is no file of site keys, or a damaged one"),
        where=str(path),
        remedy=_("Move it away and restore the keys from paper: interlock desk keys restore"),
    )


def _cmac(key: bytes, message: bytes) -> bytes:
    cmac = CMAC(AES(key))
    cmac.update(message)
    return cmac.finalize()
