"""Entry lines that nodes share, by name; and the heads each node was given: what deltas are made of, in memory.

Everything here can be lost: a node whose base nobody remembers gets the whole list, and lines that nobody holds
are made of the database again. Contents are named by what they hold, never by when they were made, so that
nothing stale can pass for current: what a name stands for is what a head's digest signed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from interlock.core.model import Entry
from interlock.hub.card_keys import KeyedLines, Vault
from interlock.hub.models import CardKey, Node
from interlock.protocol.deltas import removed_line
from interlock.protocol.snapshots import SnapshotVersion, digest_lines, entry_line

CONTENTS_MAX = 64
"""Lists of different machines, and some of their past: lines that did not change are held once."""
LINES_MAX = 2_000_000
"""Of all contents together: 20 lists of 100,000 badges; a pointer each where they share lines."""
HEADS_MAX = 8
"""Versions of one node a delta may start from: it confirms within a second, or was away and gets all."""
NODES_MAX = 10_000
DIFFERENCES_MAX = 64
NAME_BYTES = 32


@dataclass(frozen=True, slots=True)
class Content:
    """The lines of one list as nodes share them, sorted by tag; `name` says which they are."""

    name: bytes
    digest: bytes
    by_tag: Mapping[bytes, bytes]
    entries: Mapping[bytes, Entry] = field(repr=False)
    keyed: KeyedLines = field(repr=False)

    def lines_for(self, vault: Vault, node: Node) -> list[bytes]:
        """The lines `node` is sent."""
        return self.keyed.for_node(vault, node) if self._differs_for(node) else self.keyed.lines

    def digest_for(self, vault: Vault, node: Node) -> tuple[bytes, int, list[str]]:
        """Digest and number of those lines, and the badges left out because their keys cannot be opened."""
        if self._differs_for(node):
            return self.keyed.digest_for(vault, node)
        return self.digest, len(self.keyed.lines), []

    def _differs_for(self, node: Node) -> bool:
        return node.decryption_public_key is not None and bool(self.keyed.sealed)

    def differs_from(self, old: Content) -> frozenset[bytes]:
        """The tags whose lines, or whose keys, are others than in `old`."""
        lines = {tag for tag, line in self.by_tag.items() if old.by_tag.get(tag) != line}
        keys = {tag for tag, key in self.keyed.sealed.items() if old.keyed.sealed.get(tag) != key}
        gone = old.keyed.sealed.keys() - self.keyed.sealed.keys()
        return frozenset(lines | keys | gone | (old.by_tag.keys() - self.by_tag.keys()))


def content_of(
    lab: str, entries: Sequence[Entry], rows: dict[bytes, CardKey], earlier: Content | None
) -> Content:
    """The lines of `entries`; of those that are the very entries of `earlier`, its very lines."""
    known = {} if earlier is None else earlier.entries
    lines = {} if earlier is None else earlier.by_tag
    by_tag = {
        entry.tag: lines[entry.tag] if known.get(entry.tag) is entry else entry_line(entry)
        for entry in sorted(entries, key=lambda entry: entry.tag)
    }
    keyed = KeyedLines(lab, list(by_tag), list(by_tag.values()), rows)
    digest = joined_digest(keyed.lines)
    named = digest + keyed.fingerprint.encode()
    name = blake2b(named, digest_size=NAME_BYTES).digest()
    return Content(name, digest, by_tag, {entry.tag: entry for entry in entries}, keyed)


def joined_digest(lines: Sequence[bytes]) -> bytes:
    """`digest_lines`, in one stroke: what is joined here is in memory anyway."""
    return digest_lines([b"".join(lines)])


@dataclass(frozen=True, slots=True)
class Given:
    """What a node was given under one version: the signed head and the lines behind it."""

    node: Node
    head: Mapping[str, Any]
    content: Content


class Shelf:
    """Safe to use from every thread; each method returns at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._contents: OrderedDict[bytes, Content] = OrderedDict()
        self._newest: OrderedDict[Any, Content] = OrderedDict()
        self._given: OrderedDict[bytes, OrderedDict[SnapshotVersion, Given]] = OrderedDict()
        self._differences: OrderedDict[tuple[bytes, bytes], frozenset[bytes]] = OrderedDict()

    def content(self, name: bytes) -> Content | None:
        """The content of that name, if it is still here."""
        with self._lock:
            return self._contents.get(name)

    def newest(self, what: Any) -> Content | None:
        """The last content made for `what`: where its lines come from, never what they are."""
        with self._lock:
            return self._newest.get(what)

    def put(self, what: Any, content: Content) -> None:
        """`content` is here, and the newest for `what`; older ones make room."""
        with self._lock:
            _last(self._newest, what, content, CONTENTS_MAX)
            _last(self._contents, content.name, content, CONTENTS_MAX)
            while len(self._contents) > 2 and self._lines() > LINES_MAX:
                self._contents.popitem(last=False)

    def give(self, version: SnapshotVersion, given: Given) -> None:
        """The node was, or will be, given that version. By its credential: no number is used twice."""
        with self._lock:
            name = bytes(given.node.credential_hash)
            versions = self._given.get(name, OrderedDict())
            _last(versions, version, given, HEADS_MAX)
            _last(self._given, name, versions, NODES_MAX)

    def given(self, credential: bytes, version: SnapshotVersion) -> Given | None:
        """What the node with that credential was given under `version`, if that is still known."""
        with self._lock:
            return self._given.get(credential, OrderedDict[SnapshotVersion, Given]()).get(version)

    def difference(self, old: Content, new: Content) -> frozenset[bytes]:
        """The tags whose lines or keys differ, looked for once for all nodes."""
        pair = old.name, new.name
        with self._lock:
            known = self._differences.get(pair)
        if known is None:
            known = new.differs_from(old)
            with self._lock:
                _last(self._differences, pair, known, DIFFERENCES_MAX)
        return known

    def _lines(self) -> int:
        return sum(len(content.by_tag) for content in self._contents.values())


def delta_lines(shelf: Shelf, vault: Vault, old: Given, new: Given) -> list[bytes]:
    """The lines that make of the node's old list its new one."""
    node, content = new.node, new.content
    has_keys = node.decryption_public_key is not None
    lines = []
    for tag in sorted(shelf.difference(old.content, content)):
        if has_keys and tag in content.keyed.sealed:
            line = content.keyed.line(vault, node, tag)
        else:
            line = content.by_tag.get(tag)
        lines.append(removed_line(tag) if line is None else line)
    return lines


def _last(kept: OrderedDict[Any, Any], name: Any, value: Any, places: int) -> None:
    kept[name] = value
    kept.move_to_end(name)
    while len(kept) > places:
        kept.popitem(last=False)


SHELF = Shelf()
"""This process's; another process of the same hub has its own."""
