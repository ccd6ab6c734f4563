"""Keys of genuine badges, between the database that holds them sealed and the one node each is wrapped for.

    keys/card.key            outside the database, mode 0600
      ├─ HKDF "at rest"      seals every CardKey (AES-SIV), bound to lab, tag, slot and version: a stolen
      │                      database clones no badge, and a row moved to another badge opens nothing
      └─ HKDF "wrapping"     one key for each node, of its name, epoch and public key: stable while the
                             node is enrolled, another when it is enrolled anew; stored nowhere

A list of rights is made of lines that machines share; only the lines of genuine badges differ by node. What
is wrapped is a function of what is stored, so that the list's fingerprint says without opening a single key
whether a node has to be told anything.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from interlock.errors import StoreError
from interlock.hub.models import BadgeCondition, CardKey, Lab, Node
from interlock.protocol import canonical, card_keys
from interlock.protocol.card_keys import CardSlot, Scheme, WrappedKey
from interlock.protocol.snapshots import DIGEST_BYTES

AT_REST = b"interlock card keys at rest v1"
WRAPPING = b"interlock wrapping key of a node v1"
FINGERPRINTS = b"interlock requests of the API v1"
WORKING_KEY_BYTES = 32
"""AES-SIV with two AES-128 keys, as card_keys.WRAPPING_KEY_BYTES."""
FINGERPRINT_BYTES = 32
SEALED_MAX = 10_000
"""Nodes of one hub whose sealed keys are kept: a key agreement each, at every change, would be most of its work."""
NOT_WRAPPED = bytes(card_keys.CARD_KEY_BYTES + 16)
"""As long as a wrapped key: AES-SIV puts its 16 bytes before what it encrypts."""
NO_CARD = b'"card":null'
"""How an entry's line says it, once: no quotation mark stands unescaped inside a JSON text."""


class Vault:
    """Seals and opens with keys made of card.key; holds no card key itself."""

    def __init__(self, master: bytes) -> None:
        self._master = master
        self._at_rest = AESSIV(self._derived(AT_REST))

    def seal(self, lab: str, tag: bytes, slot: CardSlot, key_version: int, key: bytes) -> bytes:
        """`key` as the database may hold it."""
        return self._at_rest.encrypt(key, _bound(lab, tag, slot, key_version))

    def open(self, lab: str, tag: bytes, row: CardKey) -> bytes:
        """The badge's key: keep it no longer than one wrapping. Raises StoreError."""
        return self.open_bound(_bound(lab, tag, slot_of(row), row.key_version), bytes(row.sealed))

    def open_bound(self, bound: list[bytes], sealed: bytes) -> bytes:
        """What `seal` was given, of the badge that `bound` names. Raises StoreError."""
        try:
            return self._at_rest.decrypt(sealed, bound)
        except (InvalidTag, ValueError) as error:
            raise StoreError(
                "its card key cannot be opened",
                where="card key",
                remedy="Was card.key replaced, or the database altered? Make the badge once more",
            ) from error

    def wrapping_key(self, lab: str, node: Node) -> bytes:
        """The key under which `node` gets its card keys."""
        public = bytes(node.decryption_public_key or b"")
        named = canonical.dumps({"lab": lab, "node": node.slug, "epoch": node.epoch})
        return self._derived(WRAPPING + named + public)

    def fingerprint(self, content: bytes) -> bytes:
        """What tells two requests apart and nothing about them: a UID could be guessed from a plain hash."""
        key = self._derived(FINGERPRINTS)
        return blake2b(content, key=key, digest_size=FINGERPRINT_BYTES).digest()

    def _derived(self, purpose: bytes) -> bytes:
        return _derived(self._master, purpose)


def slot_of(row: CardKey) -> CardSlot:
    """Where the badge keeps that key."""
    return CardSlot(Scheme(row.scheme), bytes(row.aid), row.key_number)


@dataclass(frozen=True, slots=True)
class _Keyed:
    """A line of a genuine badge, cut open where its wrapped key goes."""

    index: int
    tag: bytes
    slot: CardSlot
    bound: list[bytes]
    sealed: bytes
    before: bytes
    after: bytes


class KeyedLines:
    """The lines of one list of rights, as every node gets them but for its own wrapped keys."""

    def __init__(
        self, lab: str, tags: Sequence[bytes], lines: list[bytes], rows: dict[bytes, CardKey]
    ) -> None:
        self.lines = lines
        self._lab = lab
        self._keyed = [
            _keyed(lab, index, tag, rows[tag], lines[index])
            for index, tag in enumerate(tags)
            if tag in rows
        ]
        self.sealed = {one.tag: one.sealed for one in self._keyed}
        self._by_tag = {one.tag: one for one in self._keyed}
        self.fingerprint = self._fingerprint()
        # Joined and hashed once for all nodes as far as the first line that differs between them.
        ends = [one.index for one in self._keyed] + [len(lines)]
        self._before = blake2b(b"".join(lines[: ends[0]]), digest_size=DIGEST_BYTES)
        self._between = [
            b"".join(lines[begin + 1 : end]) for begin, end in itertools.pairwise(ends)
        ]

    def line(self, vault: Vault, node: Node, tag: bytes) -> bytes | None:
        """The line of one genuine badge as `node` gets it; None when its key cannot be opened."""
        one = self._by_tag[tag]
        try:
            opened = vault.open_bound(one.bound, one.sealed)
        except StoreError:
            return None
        key = vault.wrapping_key(self._lab, node)
        wrapped = card_keys.wrap(key, opened, node=node.slug, tag=one.tag, slot=one.slot)
        return one.before + wrapped.wrapped.hex().encode() + one.after

    def for_node(self, vault: Vault, node: Node) -> list[bytes]:
        """The lines `node` is sent."""
        own = dict(
            zip((one.index for one in self._keyed), self._own_lines(vault, node)[0], strict=True)
        )
        found = (own.get(index, line) for index, line in enumerate(self.lines))
        return [line for line in found if line is not None]

    def digest_for(self, vault: Vault, node: Node) -> tuple[bytes, int, list[str]]:
        """The digest (snapshots.digest_lines) and the number of those lines, which need not be put together for it;
        and the badges left out because their keys cannot be opened: without its key a copy of the badge would
        count as the badge."""
        own, closed = self._own_lines(vault, node)
        digest = self._before.copy()
        for line, between in zip(own, self._between, strict=True):
            digest.update((line or b"") + between)
        return digest.digest(), len(self.lines) - len(closed), closed

    def _own_lines(self, vault: Vault, node: Node) -> tuple[list[bytes | None], list[str]]:
        """Of each genuine badge, the line as `node` gets it; None, and its badge named, without its key."""
        closed: list[str] = []
        lines: list[bytes | None] = []
        key = vault.wrapping_key(self._lab, node)
        for one in self._keyed:
            try:
                opened = vault.open_bound(one.bound, one.sealed)
            except StoreError as error:
                closed.append(f"{one.tag[:4].hex()}: {error.what}")
                lines.append(None)
                continue
            wrapped = card_keys.wrap(key, opened, node=node.slug, tag=one.tag, slot=one.slot)
            lines.append(one.before + wrapped.wrapped.hex().encode() + one.after)
        return lines, closed

    def sealed_wrapping_key(self, vault: Vault, node: Node) -> bytes | None:
        """The wrapping key for the header, None where no badge has a key."""
        if not self._keyed or node.decryption_public_key is None:
            return None
        return _sealed(bytes(node.decryption_public_key), vault.wrapping_key(self._lab, node))

    def _fingerprint(self) -> str:
        """Moves with every key, slot and version, whoever the list is for; empty without any."""
        if not self._keyed:
            return ""
        digest = blake2b(digest_size=FINGERPRINT_BYTES)
        for one in self._keyed:
            digest.update(one.tag + one.sealed)
        return digest.hexdigest()


def rows_of(lab: Lab) -> dict[bytes, CardKey]:
    """The sealed keys of the lab's badges that open machines, by tag."""
    found = CardKey.objects.filter(badge__lab=lab, badge__condition=BadgeCondition.ACTIVE)
    return {bytes(row.badge.tag): row for row in found.select_related("badge")}


def _keyed(lab: str, index: int, tag: bytes, row: CardKey, line: bytes) -> _Keyed:
    slot = slot_of(row)
    before, _, after = line.partition(NO_CARD)
    opening, _, closing = _card_of(slot).partition(NOT_WRAPPED.hex().encode())
    bound = _bound(lab, tag, slot, row.key_version)
    sealed = bytes(row.sealed)
    return _Keyed(index, tag, slot, bound, sealed, before + opening, closing + after)


@functools.lru_cache(maxsize=SEALED_MAX)
def _derived(master: bytes, purpose: bytes) -> bytes:
    """Made once: whoever reads this process's memory has the master key too."""
    return HKDF(SHA256(), WORKING_KEY_BYTES, salt=None, info=purpose).derive(master)


@functools.lru_cache(maxsize=SEALED_MAX)
def _sealed(public: bytes, key: bytes) -> bytes:
    """A node's wrapping key as it travels: the same in every list until it is enrolled anew."""
    return card_keys.seal(public, key)


@functools.cache
def _card_of(slot: CardSlot) -> bytes:
    """How a line names a key in that slot, wrapped as zeros. A lab has a handful of slots."""
    return b'"card":' + canonical.dumps(WrappedKey(slot, NOT_WRAPPED).to_wire())


def _bound(lab: str, tag: bytes, slot: CardSlot, key_version: int) -> list[bytes]:
    return [lab.encode(), tag, slot.to_bytes(), bytes((key_version,))]
