"""One SD card and its copy, in turns, in: one alarm of each kind, both branches whole, no use billed twice out."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from interlock.errors import ProtocolError
from interlock.hub import ingest, verifying
from interlock.hub.alarms import raise_alarm
from interlock.hub.greeting import ChainDiffers, Hello, greet
from interlock.hub.models import Alarm, AlarmKind, Line, Node, NodeRecord, Session, SetAside
from interlock.hub.verifying import verify_hub
from interlock.protocol.records import GENESIS, Head, RecordType
from tests.hub.journal import Journal
from tests.hub.lab import SmallLab, small_lab
from tests.hub.page_lab import page_lab
from tests.hub.test_erasure import used

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

WALL_MS = 1_750_000_000_000
USE_S = 60
CENTS = 20
"""A minute at 12 € an hour."""


@dataclass
class Card:
    """An SD card in a Pi: it greets, goes on where the hub says, and delivers what was not taken yet."""

    lab: SmallLab
    journal: Journal
    taken: int = 0

    def copied(self) -> Card:
        return Card(self.lab, copy.deepcopy(self.journal), self.taken)

    def use(self) -> None:
        self.journal.session(self.lab, USE_S)

    def meet_the_hub(self) -> None:
        node = Node.objects.select_related("lab", "machine").get()
        said = Hello("1", self.journal.boot_id, self.journal.head, None, bytes(16), "locked")
        try:
            greet(node, said, settings.HUB_CLOCK)
        except ChainDiffers as differs:
            self.journal.head = Head(differs.branch or 0, 0, GENESIS)
            self.journal.write(RecordType.PROBLEM_REPORTED, problem="journal_branched", detail="")
        self.deliver()

    def deliver(self) -> None:
        ingest.take(self.lab.enrolled.node, self.journal.wires(self.taken), settings.HUB_CLOCK)
        self.taken = len(self.journal.records)


def test_a_card_and_its_copy_in_turns_are_one_alarm_and_every_use_is_kept_once() -> None:
    """Four times each, offline for a use, then greeted, then for another. Whatever one of them writes under
    numbers the other has used is kept aside, word for word; the rest is billed."""
    lab = small_lab()
    original = Card(lab, Journal.of(lab.enrolled))
    original.journal.anchor(WALL_MS)
    original.use()
    original.deliver()
    clone = original.copied()
    clone.journal.reboot("boot-of-the-copy")
    clone.journal.anchor(WALL_MS + 3_600_000)
    for _ in range(4):
        for card in (original, clone):
            card.use()
            card.meet_the_hub()
            card.use()
            card.deliver()

    open_ones = Alarm.objects.filter(closed_at=None)
    kinds = [alarm.kind for alarm in open_ones]
    assert len(kinds) == len(set(kinds)), "one alarm of each kind, which counts on"
    assert {"chain_differs", "records_set_aside"} <= set(kinds)
    # Every record that either card ever wrote is here, once, under the hash it was written with.
    written = {one.hash for card in (original, clone) for one in card.journal.records}
    stored = [bytes(one) for one in NodeRecord.objects.values_list("hash", flat=True)]
    aside = [bytes(one) for one in SetAside.objects.values_list("hash", flat=True)]
    assert len(stored) + len(aside) == len({*stored, *aside}) == len(written)
    assert {*stored, *aside} == written
    # And every use is billed once, or lies aside for a person to look at.
    uses = {one.hash for card in (original, clone) for one in _starts(card.journal)}
    billed = Session.objects.count()
    assert billed + len({*aside} & uses) == len(uses) == 1 + 4 * 2 * 2
    assert billed == Line.objects.count() == len({*stored} & uses)
    assert set(Line.objects.values_list("cents", flat=True)) == {CENTS}
    assert verify_hub(settings.HUB_CLOCK).faults == []


def test_a_copy_that_says_again_what_the_original_said_changes_nothing() -> None:
    lab = small_lab()
    original = Card(lab, Journal.of(lab.enrolled))
    original.journal.anchor(WALL_MS)
    original.use()
    clone = original.copied()
    original.meet_the_hub()
    before = _everything()
    clone.meet_the_hub()
    assert _everything() == before


@pytest.mark.parametrize("kind", ["chain_differs", "node_behind"])
def test_a_copied_card_stands_on_the_list_of_what_there_is_to_do(kind: str) -> None:
    """Nobody should have to look for it on the page of one machine's computer."""
    made = page_lab()
    node = Node.objects.get(machine__slug="saw")
    raise_alarm(node, AlarmKind(kind), "its record 1.4 is another one", timezone.now())
    for role, told in (("manager", True), ("technician", True), ("trainer", False)):
        words = made.client(role).get(reverse("board")).content.decode()
        assert ("SD card" in words) == told


def _starts(journal: Journal) -> list[Any]:
    return [one for one in journal.records if one.header.type is RecordType.SESSION_STARTED]


def _everything() -> list[list[Any]]:
    tables = (NodeRecord, SetAside, Session, Line, Alarm)
    return [list(table._default_manager.order_by("pk").values()) for table in tables]


# ------------------------------------------------------------------------ every bit of what is kept


def test_every_flipped_bit_of_every_stored_record_is_found() -> None:
    """All of them, by what `interlock hub verify` does with each row: every column of three records."""
    lab = small_lab()
    used(lab, seconds=3_600)
    rows = list(NodeRecord.objects.order_by("seq"))
    assert len(rows) == 3
    assert _is_whole(rows)
    tried, unseen = 0, []
    for row in rows:
        for column in (*WORDS, *NUMBERS):
            value = getattr(row, column)
            for bit, bent in enumerate(_bent(value)):
                setattr(row, column, bent)
                tried += 1
                if _is_whole(rows):
                    unseen.append((row.seq, column, bit))
            setattr(row, column, value)
    assert unseen == []
    assert _is_whole(rows)
    assert tried > 3 * 8 * (16 + 3 * 32)


WORDS = ("body", "salt", "commit", "prev", "hash", "boot_id", "type")
NUMBERS = ("epoch", "seq", "boot_ms", "wall_ms", "wall_trusted")
NUMBER_BITS = 53
"""JSON's safe integers; more is no number of the protocol."""


def _bent(value: Any) -> Iterator[Any]:
    """`value` with one bit flipped, for each of its bits."""
    if isinstance(value, bool):
        yield not value
        return
    if isinstance(value, int) or value is None:
        yield from ((value or 0) ^ (1 << bit) for bit in range(NUMBER_BITS))
        return
    original = value.encode() if isinstance(value, str) else bytes(value)
    for bit in range(8 * len(original)):
        bent = bytearray(original)
        bent[bit // 8] ^= 1 << bit % 8
        yield bent.decode("latin-1") if isinstance(value, str) else bytes(bent)


def _is_whole(rows: list[NodeRecord]) -> bool:
    """Whether the verifier takes these rows for a chain."""
    before, holes = None, verifying._Holes()
    node = rows[0].node
    try:
        for row in rows:
            record = verifying._record(row, node)
            verifying._verify(record, before, bytes(node.chain_key), holes)
            before = record
    except ProtocolError:
        return False
    return not holes.missing
