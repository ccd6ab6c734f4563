"""A hub of a few badges in memory: it can be away, lose its answers and refuse; what it was told comes out."""

from __future__ import annotations

from collections.abc import Iterator

from interlock.desk.hub import Badge, CardKey, HubApi, Member, Refusal, Seen
from interlock.errors import LinkError
from interlock.protocol.card_keys import Scheme


class FakeHub(HubApi):
    """`away_after` calls that write, it is gone; `loses_answers`: the next gift is done and not confirmed."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", "token")
        self.owners: dict[bytes, str] = {}
        self.conditions: dict[bytes, str] = {}
        self.keys: dict[int, tuple[CardKey, bytes]] = {}
        self.away_after = 99
        self.loses_answers = False
        self.following: int | None = 3

    def members(self, query: str = "") -> Iterator[Member]:
        yield Member("ada", "Ada", "", "active", 0)

    def badges_with_keys(self) -> Iterator[Badge]:
        yield from (one for one in map(self.badge, self.owners) if one.card is not None)

    def lookup(self, uid: bytes) -> Seen:
        return Seen("CODE", self.badge(uid) if uid in self.owners else None, True)

    def tap(self, uid: bytes, key: str) -> Seen:
        return self.lookup(uid)

    def current_key_number(self, scheme: Scheme) -> int:
        return max((card.slot.key_number for card, _key in self.keys.values()), default=1)

    def next_key_number(self, scheme: Scheme) -> int | None:
        return self.following

    def give(self, member_id: str, uid: bytes, label: str, key: str) -> Badge | Refusal:
        self._works()
        if uid in self.owners:
            return Refusal("conflict", "taken")
        self.owners[uid] = member_id
        if self.loses_answers:
            self.loses_answers = False
            raise LinkError("answer lost")
        return self.badge(uid)

    def put_card_key(self, badge: int, card: CardKey, card_key: bytes, key: str) -> Badge | Refusal:
        self._works()
        self.keys[badge] = (card, card_key)
        return Badge(badge, "", "", "", "active", card)

    def badge(self, uid: bytes) -> Badge:
        number = list(self.owners).index(uid) + 1
        card = self.keys[number][0] if number in self.keys else None
        condition = self.conditions.get(uid, "active")
        return Badge(number, self.owners[uid], "Ada", "", condition, card)

    def _works(self) -> None:
        self.away_after -= 1
        if self.away_after < 0:
            raise LinkError("away")
