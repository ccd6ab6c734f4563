"""The comparisons the proofs rely on turn red: each wrong figure, doubled use and unasked closing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from interlock.protocol.records import GENESIS, Header, Record, RecordType, seal
from tests.real.accounts import Use, check_bill, check_meter, match, uses_of
from tests.real.records import verified

pytestmark = pytest.mark.fast

KEY = b"k" * 32
ENDED: dict[str, Any] = {
    "how": "tap_off",
    "enabled_ms": 3_000,
    "busy_ms": 2_000,
    "idle_ms": 1_000,
    "estimated": False,
}
USE = Use("1.1", 1_000_000, ENDED, voided=False)
POWERED = (1_010_000, 4_010_000)
BUSY = [(1_500_000, 3_500_000)]
TAP_US = 900_000
ROW: dict[str, Any] = {**ENDED, "epoch": 1, "seq": 1, "voided": 0, "cents": 200}


def with_totals(**totals: Any) -> Use:
    return replace(USE, ended={**ENDED, **totals})


def test_a_use_as_the_machine_saw_it_passes() -> None:
    check_meter(USE, POWERED, BUSY)
    check_bill([USE], [ROW])
    assert match([USE], [POWERED], [TAP_US]) == [POWERED]


@pytest.mark.parametrize(
    "totals",
    [
        {"enabled_ms": 3_200},
        {"enabled_ms": 2_800},
        {"busy_ms": 2_200},
        {"busy_ms": 1_800},
        {"enabled_ms": 3_200, "estimated": True},
        {"enabled_ms": 1_400, "estimated": True},
    ],
)
def test_a_wrong_meter_is_seen(totals: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        check_meter(with_totals(**totals), POWERED, BUSY)


def test_after_a_death_an_interval_may_be_missing() -> None:
    check_meter(with_totals(enabled_ms=2_000, busy_ms=1_000, estimated=True), POWERED, BUSY)


def test_a_bill_for_a_machine_that_never_had_power_is_seen() -> None:
    with pytest.raises(AssertionError):
        check_meter(USE, None, [])


@pytest.mark.parametrize(
    "rows",
    [[], [ROW, ROW], [{**ROW, "cents": 201}], [{**ROW, "busy_ms": 1}], [{**ROW, "voided": 1}]],
)
def test_a_lost_doubled_or_dearer_use_is_seen(rows: list[dict[str, Any]]) -> None:
    with pytest.raises(AssertionError):
        check_bill([USE], rows)


@pytest.mark.parametrize(
    ("spans", "taps_us"),
    [
        ([POWERED, (5_000_000, 6_000_000)], [TAP_US, 4_900_000]),
        ([(800_000, 4_010_000)], [TAP_US]),
        ([POWERED], []),
        ([POWERED], [1_020_000]),
    ],
)
def test_a_relay_that_closes_unasked_is_seen(
    spans: list[tuple[int, int]], taps_us: list[int]
) -> None:
    with pytest.raises(AssertionError):
        match([USE], spans, taps_us)


def test_one_badge_does_not_pay_for_two_closings() -> None:
    later = replace(USE, id="1.3", started_us=2_000_000)
    with pytest.raises(AssertionError):
        match([USE, later], [(1_010_000, 1_900_000), (2_010_000, 3_000_000)], [TAP_US])


def record(seq: int, type_: RecordType, prev: bytes = GENESIS, **body: Any) -> Record:
    header = Header("saw", 1, seq, "boot", seq * 1_000, None, False, type_)
    return seal(header, body, salt=bytes(16), prev=prev, chain_key=KEY)


def test_a_journal_with_a_session_left_open_opened_twice_or_ended_twice_is_seen() -> None:
    start = record(1, RecordType.SESSION_STARTED)
    end = record(2, RecordType.SESSION_ENDED, session="1.1", **ENDED)
    assert [use.id for use in uses_of([start, end], {"boot": 0})] == ["1.1"]
    for wrong in ([start], [start, start, end], [start, end, end]):
        with pytest.raises(AssertionError):
            uses_of(wrong, {"boot": 0})


def test_a_gap_a_repeat_or_another_order_of_records_is_seen() -> None:
    one = record(1, RecordType.BOOT)
    two = record(2, RecordType.BOOT, prev=one.hash)
    assert verified([one, two], KEY) == [one, two]
    for wrong in ([two], [one, one], [two, one]):
        with pytest.raises(AssertionError):
            verified(wrong, KEY)
