"""Badges whose cards have proved their keys wait here until the hub has taken them, across restarts of either side.

Keys are not kept: each is derived anew when it is sent. The UID is, until then, in a file of mode 0600.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from interlock.desk import private_files
from interlock.desk.hub import Badge, CardKey, HubApi, Refusal
from interlock.desk.site_keys import Place, SiteKeys
from interlock.desk.words import _
from interlock.errors import StoreError
from interlock.protocol.card_keys import CardSlot, Scheme


@dataclass(frozen=True, slots=True)
class Upload:
    """One card that proved its key: `badge` is its number at the hub, None where it must be given first."""

    uid: str
    member_id: str
    member_name: str
    label: str
    badge: int | None
    scheme: str
    aid: str
    key_number: int
    generation: int
    give_key: str
    put_key: str

    @property
    def card(self) -> CardKey:
        """Where the key lies."""
        slot = CardSlot(Scheme(self.scheme), bytes.fromhex(self.aid), self.key_number)
        return CardKey(slot, self.generation)


@dataclass(frozen=True, slots=True)
class Refused:
    """A card that the hub does not take, and why."""

    upload: Upload
    refusal: Refusal


class Uploads:
    """What waits, in `path`; `draw_key` makes idempotency keys."""

    def __init__(self, path: Path, draw_key: Callable[[], str]) -> None:
        """Raises StoreError for a damaged file."""
        self._path = path
        self._draw_key = draw_key
        self._waiting = _read(path) if path.exists() else []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, uid: bytes, badge: Badge | None, owner: tuple[str, str], card: CardKey) -> None:
        """It is on the disk that the card proved this key. What waited for the same card before is void."""
        upload = Upload(
            uid.hex(),
            *owner,
            label="",
            badge=None if badge is None else badge.number,
            scheme=card.slot.scheme.value,
            aid=card.slot.aid.hex(),
            key_number=card.slot.key_number,
            generation=card.generation,
            give_key=self._draw_key(),
            put_key=self._draw_key(),
        )
        self._keep([*(one for one in self._waiting if one.uid != upload.uid), upload])

    def send(self, hub: HubApi, keys: SiteKeys) -> list[Refused]:
        """The hub has everything that waited, but what it refused. Raises LinkError, and the rest waits on."""
        refused = []
        while self._waiting:
            upload = self._waiting[0]
            refusal = self._send_one(hub, keys, upload)
            if refusal is not None:
                refused.append(Refused(upload, refusal))
            self._keep(self._waiting[1:])
        return refused

    def _send_one(self, hub: HubApi, keys: SiteKeys, upload: Upload) -> Refusal | None:
        uid = bytes.fromhex(upload.uid)
        if upload.badge is None:
            given = hub.give(upload.member_id, uid, upload.label, upload.give_key)
            if isinstance(given, Refusal):
                given = _given_before(hub, upload, given)
            if isinstance(given, Refusal):
                return given
            upload = replace(upload, badge=given.number)
            self._keep([upload, *self._waiting[1:]])
        assert upload.badge is not None
        place = Place(upload.card.slot.aid, upload.key_number)
        card_key = keys.card_key(upload.generation, uid, place)
        told = hub.put_card_key(upload.badge, upload.card, card_key, upload.put_key)
        return told if isinstance(told, Refusal) else None

    def _keep(self, waiting: list[Upload]) -> None:
        said = [asdict(one) for one in waiting]
        private_files.replace(self._path, json.dumps(said, indent=1).encode() + b"\n")
        self._waiting = waiting


def _given_before(hub: HubApi, upload: Upload, refusal: Refusal) -> Badge | Refusal:
    """The badge, if it is this member's: an answer was lost, and the hub has forgotten the key since."""
    badge = hub.lookup(bytes.fromhex(upload.uid)).badge
    is_theirs = badge is not None and badge.member_id == upload.member_id
    return badge if badge is not None and is_theirs else refusal


def _read(path: Path) -> list[Upload]:
    try:
        return [Upload(**one) for one in json.loads(private_files.read(path))]
    except (ValueError, TypeError) as error:
        raise StoreError(
            _("is damaged"),
            where=str(path),
            remedy=_("Move it away, and tap the cards of today once more"),
        ) from error
