"""A chain of records finds every bent bit, every missing, repeated or moved record, and survives erasure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import ProtocolError
from interlock.protocol import canonical, records
from interlock.protocol.records import (
    BODY_BYTES_MAX,
    GENESIS,
    Header,
    Record,
    RecordType,
    from_wire,
    seal,
    verify,
)

pytestmark = pytest.mark.fast

KEY = b"k" * 32
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
HEADERS = st.builds(
    Header,
    node=TEXT,
    epoch=st.integers(1, 1 << 20),
    seq=st.integers(1, 1 << 40),
    boot_id=TEXT,
    boot_ms=st.integers(0, 1 << 50),
    wall_ms=st.none() | st.integers(0, 1 << 50),
    wall_trusted=st.booleans(),
    type=st.sampled_from(RecordType),
)
BODIES = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers() | TEXT, max_size=5)
HASHES = st.binary(min_size=32, max_size=32)
SALTS = st.binary(min_size=16, max_size=16)


def chain(length: int) -> list[Record]:
    made: list[Record] = []
    for seq in range(1, length + 1):
        header = Header("saw", 1, seq, "boot", 1_000 * seq, None, False, RecordType.REFUSED)
        salt, prev = bytes([seq]) * 16, made[-1].hash if made else GENESIS
        made.append(seal(header, {"n": seq, "é": "ü"}, salt=salt, prev=prev, chain_key=KEY))
    return made


def walk(links: Sequence[Record]) -> None:
    prev = GENESIS
    for record in links:
        verify(record, prev=prev, chain_key=KEY)
        prev = record.hash


@given(HEADERS, BODIES, SALTS, HASHES)
def test_a_sealed_record_goes_over_the_wire_and_verifies(
    header: Header, body: dict[str, Any], salt: bytes, prev: bytes
) -> None:
    record = seal(header, body, salt=salt, prev=prev, chain_key=KEY)
    again = from_wire(canonical.loads(canonical.dumps(record.to_wire()), where="test"))
    assert again == record
    verify(again, prev=prev, chain_key=KEY)


def test_every_flipped_bit_of_a_chain_is_found() -> None:
    """Not a sample: each bit of each of five records as it travels, one by one."""
    links = chain(5)
    for place, record in enumerate(links):
        frame = canonical.dumps(record.to_wire())
        for position in range(len(frame)):
            for bit in range(8):
                bent = bytearray(frame)
                bent[position] ^= 1 << bit
                assert not passes([*links[:place], bytes(bent), *links[place + 1 :]], record), (
                    place,
                    position,
                    bit,
                )


def passes(links: Sequence[Record | bytes], original: Record) -> bool:
    """Whether the chain is accepted although the bent frame says something else than `original`."""
    read: list[Record] = []
    try:
        for link in links:
            if isinstance(link, bytes):
                record = from_wire(canonical.loads(link, where="test"))
                if record == original:
                    return False
                read.append(record)
            else:
                read.append(link)
        walk(read)
    except ProtocolError:
        return False
    return True


@given(st.data())
def test_a_missing_repeated_or_moved_record_is_found(data: st.DataObject) -> None:
    links = chain(8)
    change = data.draw(st.sampled_from(["drop", "repeat", "swap"]))
    place = data.draw(st.integers(0, 6))
    if change == "drop":
        changed = links[:place] + links[place + 1 :]
    elif change == "repeat":
        changed = links[: place + 1] + links[place:]
    else:
        changed = [*links[:place], links[place + 1], links[place], *links[place + 2 :]]
    with pytest.raises(ProtocolError, match="does not follow"):
        walk(changed)


def test_a_record_sealed_with_another_key_is_found() -> None:
    first = chain(1)[0]
    assert first.salt is not None
    forged = seal(first.header, {"n": 2}, salt=first.salt, prev=GENESIS, chain_key=b"x" * 32)
    with pytest.raises(ProtocolError, match="altered"):
        verify(forged, prev=GENESIS, chain_key=KEY)


def test_an_erased_body_keeps_the_chain_and_another_body_cannot_take_its_place() -> None:
    links = chain(3)
    erased = [replace(record, body=None, salt=None) for record in links]
    walk(erased)
    again = [from_wire(canonical.loads(canonical.dumps(r.to_wire()), where="t")) for r in erased]
    assert again == erased
    with pytest.raises(ProtocolError, match="body was altered"):
        walk([links[0], replace(erased[1], body={"n": 99}, salt=links[1].salt), links[2]])


def test_what_was_bent_says_of_which_record_of_which_node() -> None:
    first, second, third = chain(3)
    header = replace(second.header, boot_ms=0)
    bent: list[tuple[Record, str]] = [
        (third, "record 1.3 of node saw: it does not follow the record before it"),
        (replace(second, salt=None), "record 1.2 of node saw: its salt is missing"),
        (replace(second, body={"n": 9}), "record 1.2 of node saw: its body was altered"),
        (replace(second, header=header), "record 1.2 of node saw: its header or link was altered"),
    ]
    for record, words in bent:
        with pytest.raises(ProtocolError) as caught:
            walk([first, record])
        assert str(caught.value) == words


def test_the_largest_body_is_sealed_and_one_byte_more_is_not() -> None:
    header, most = chain(1)[0].header, BODY_BYTES_MAX - len('{"a":""}')
    largest = seal(header, {"a": "x" * most}, salt=b"s" * 16, prev=GENESIS, chain_key=KEY)
    verify(largest, prev=GENESIS, chain_key=KEY)
    with pytest.raises(ProtocolError, match="a body of 8193 bytes is larger than 8192"):
        seal(header, {"a": "x" * (most + 1)}, salt=b"s" * 16, prev=GENESIS, chain_key=KEY)


@pytest.mark.parametrize("field", ["node", "boot_id"])
def test_names_at_their_bounds_pass(field: str) -> None:
    record = from_wire({**chain(1)[0].to_wire(), field: "x" * 64})
    assert getattr(record.header, field) == "x" * 64


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("v", 0),
        ("v", 2),
        ("epoch", 0),
        ("seq", 0),
        ("seq", "1"),
        ("seq", True),
        ("boot_ms", -1),
        ("boot_ms", 1 << 63),
        ("wall_ms", "now"),
        ("wall_trusted", 1),
        ("type", "granted"),
        ("node", "x" * 65),
        ("boot_id", "x" * 65),
        ("body", []),
        ("salt", "00"),
        ("commit", "AA" * 32),
        ("prev", None),
        ("hash", "zz" * 32),
        ("surplus", 1),
    ],
)
def test_a_malformed_record_is_refused(field: str, value: object) -> None:
    wire = {**chain(1)[0].to_wire(), field: value}
    with pytest.raises(ProtocolError):
        from_wire(wire)


@pytest.mark.parametrize("field", sorted(chain(1)[0].to_wire()))
def test_a_record_without_one_of_its_fields_is_refused_or_not_the_same(field: str) -> None:
    wire = chain(1)[0].to_wire()
    del wire[field]
    try:
        record = from_wire(wire)
        verify(record, prev=GENESIS, chain_key=KEY)
    except ProtocolError:
        return
    assert field in ("body", "salt", "wall_ms", "wall_trusted"), f"{field} may not be left out"
    assert field in ("wall_ms", "wall_trusted") or record.body is None


@given(st.dictionaries(TEXT, TEXT | st.integers() | st.none(), max_size=20))
def test_noise_is_no_record(wire: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        from_wire(wire)


def test_a_head_goes_over_the_wire() -> None:
    head = records.Head(3, 14, b"h" * 32)
    assert records.head_from_wire(head.to_wire()) == head
