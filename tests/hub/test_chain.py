"""Any way a lossy network can deliver a journal ends in the same chain; pure, no database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.hub.chain import Checked, Position, Standing, check, classify
from interlock.hub.timeline import Anchor, moment, wall_ms_of
from interlock.protocol.records import GENESIS, Head, Record, RecordType
from tests.hub.journal import Journal

pytestmark = pytest.mark.fast

KEY = bytes(range(32))
EMPTY = Head(1, 0, GENESIS)


def journal(count: int) -> Journal:
    made = Journal("saw", KEY)
    for number in range(count):
        made.write(RecordType.REFUSED, count=number)
    return made


class Hub:
    """What ingest keeps of a chain: hashes by position, and the head."""

    def __init__(self) -> None:
        self.hashes: dict[Position, bytes] = {}
        self.head = EMPTY

    def take(self, records: list[Record], newest_epoch: int = 1) -> list[Standing]:
        batch: list[Checked] = [check(record, KEY) for record in records]
        stored = {c.position: self.hashes[c.position] for c in batch if c.position in self.hashes}
        sorted_out = classify(batch, self.head, stored, newest_epoch)
        for checked, standing in zip(batch, sorted_out.standings, strict=True):
            if standing is Standing.NEW:
                assert checked.position not in self.hashes
                self.hashes[checked.position] = checked.record.hash
        self.head = sorted_out.head
        return list(sorted_out.standings)


@given(st.data())
def test_repeats_losses_and_reordering_of_batches_never_make_another_chain(
    data: st.DataObject,
) -> None:
    made, hub = journal(12), Hub()
    for _ in range(data.draw(st.integers(0, 12))):
        first = data.draw(st.integers(0, 11))
        batch = made.records[first : first + data.draw(st.integers(1, 5))]
        standings = hub.take(batch)
        assert set(standings) <= {Standing.NEW, Standing.KNOWN, Standing.EARLY}
        # The head is contiguous: everything up to it is here, nothing beyond it.
        assert set(hub.hashes) == {(1, seq) for seq in range(1, hub.head.seq + 1)}
    while hub.head != made.head:
        hub.take(made.records[hub.head.seq : hub.head.seq + 3])
    assert [hub.hashes[1, seq] for seq in range(1, 13)] == [r.hash for r in made.records]


@given(st.integers(0, 11), st.integers(0, 11), st.booleans())
def test_two_branches_of_a_copied_card_keep_the_first_and_set_the_second_aside(
    fork: int, delivered: int, forged: bool
) -> None:
    made, hub = journal(12), Hub()
    copy = Journal("saw", bytes(32) if forged else KEY)
    copy.head = EMPTY if fork == 0 else Head(1, fork, made.records[fork - 1].hash)
    for number in range(4):
        copy.write(RecordType.REFUSED, count=1_000 + number)
    hub.take(made.records[: delivered + 1])
    before, covered = dict(hub.hashes), hub.head.seq >= fork + 4
    standings = hub.take(copy.records)
    if covered and not forged:
        assert set(standings) == {Standing.OTHER_BODY}
    for position, hashed in before.items():
        assert hub.hashes[position] == hashed
    if forged:
        assert set(standings) == {Standing.BROKEN}
        assert hub.hashes == before


def test_a_new_epoch_may_begin_from_nothing_or_from_the_old_head_but_from_nowhere_else() -> None:
    for start, expected in (
        (GENESIS, Standing.NEW),
        (journal(3).head.hash, Standing.NEW),
        (bytes([7] * 32), Standing.BROKEN),
    ):
        made, hub = journal(3), Hub()
        hub.take(made.records)
        made.head = Head(2, 0, start)
        assert hub.take([made.write(RecordType.BOOT)], newest_epoch=2) == [expected]


def test_a_hole_in_the_nodes_own_epoch_is_waited_for() -> None:
    made, hub = journal(5), Hub()
    hub.take(made.records[:2])
    assert hub.take(made.records[3:]) == [Standing.EARLY, Standing.EARLY]
    assert hub.take(made.records[3:], newest_epoch=2) == [Standing.NEW, Standing.NEW]
    assert hub.take(made.records[2:3]) == [Standing.BEHIND]


@pytest.mark.parametrize(
    ("boot_ms", "anchors", "wall_ms"),
    [
        (500, [], None),
        (500, [Anchor(100, 10_000)], 10_400),
        (500, [Anchor(900, 10_000)], 9_600),
        # The latest before counts, not the nearest after; a drifting crystal is corrected by it.
        (500, [Anchor(100, 10_000), Anchor(400, 10_310), Anchor(510, 99_999)], 10_410),
    ],
)
def test_monotonic_time_becomes_utc_by_the_latest_anchor_before(
    boot_ms: int, anchors: list[Anchor], wall_ms: int | None
) -> None:
    assert wall_ms_of(boot_ms, anchors) == wall_ms
    assert wall_ms_of(boot_ms, anchors[::-1]) == wall_ms


@given(st.integers(-(2**70), 2**70))
def test_no_number_is_too_large_for_a_calendar(wall_ms: int) -> None:
    assert 1970 <= moment(wall_ms).year <= 9_000
