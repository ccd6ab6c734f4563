"""Signed statements, snapshots, times, tags and control lines: round trips, and noise that is refused."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.model import BadgeState, Demands, Entry, Level, MemberStatus, Right
from interlock.errors import ProtocolError
from interlock.protocol import canonical, control, hubtime, signing, snapshots
from interlock.protocol.control import Op
from interlock.protocol.hubtime import HubTime
from interlock.protocol.snapshots import SnapshotHeader
from interlock.protocol.tags import badge_tag, short

pytestmark = pytest.mark.fast

HUB = Ed25519PrivateKey.from_private_bytes(b"h" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WHEN = st.none() | st.integers(0, 1 << 40)
RIGHTS = st.builds(
    Right,
    training=TEXT,
    level=st.sampled_from(Level),
    since_at=WHEN,
    until_at=WHEN,
    lapses_at=WHEN,
)
ENTRIES = st.builds(
    Entry,
    tag=st.binary(min_size=16, max_size=16),
    member=TEXT,
    language=st.sampled_from(["en", "fr"]),
    name=st.none() | TEXT,
    badge=st.sampled_from(BadgeState),
    status=st.sampled_from(MemberStatus),
    member_until_at=WHEN,
    rights=st.lists(RIGHTS, max_size=3).map(tuple),
    technician=st.booleans(),
)


def header_of(lines: list[bytes], **changes: Any) -> SnapshotHeader:
    plain = SnapshotHeader(
        "lab", "saw", (1, 7), 5, "Saw", Demands(("a",)), len(lines), snapshots.digest_lines(lines)
    )
    return replace(plain, **changes)


@given(st.lists(ENTRIES, max_size=5, unique_by=lambda entry: entry.tag))
def test_a_snapshot_goes_through_a_file_and_comes_back(entries: list[Entry]) -> None:
    lines = snapshots.entry_lines(entries)
    head = header_of(lines)
    content = snapshots.signed_snapshot(HUB, head, lines)
    first, *rest = content.splitlines(keepends=True)
    assert snapshots.open_header(first, HUB.public_key(), lab="lab", node="saw") == head
    read = [snapshots.entry_from_wire(canonical.loads(line, where="t")) for line in rest]
    assert read == sorted(entries, key=lambda entry: entry.tag)


def test_a_snapshot_of_another_key_node_or_lab_is_refused() -> None:
    content = snapshots.signed_snapshot(HUB, header_of([]), [])
    for key, lab, node in ((OTHER, "lab", "saw"), (HUB, "lab", "laser"), (HUB, "other", "saw")):
        with pytest.raises(ProtocolError):
            snapshots.read_snapshot(io.BytesIO(content), key.public_key(), lab=lab, node=node)


def test_a_header_that_does_not_describe_its_entries_is_not_signed() -> None:
    with pytest.raises(ProtocolError):
        snapshots.signed_snapshot(HUB, header_of([], entries=1), [])


@given(
    nonce=st.binary(min_size=16, max_size=16),
    wall_ms=st.integers(0, 1 << 50),
    version=st.tuples(st.integers(1, 1 << 30), st.integers(0, 1 << 30)),
)
def test_a_time_is_believed_for_its_own_nonce_only(
    nonce: bytes, wall_ms: int, version: tuple[int, int]
) -> None:
    told = HubTime("lab", "saw", nonce, wall_ms, version)
    message = canonical.loads(canonical.dumps(hubtime.signed_time(HUB, told)), where="t")
    key = HUB.public_key()
    assert hubtime.open_time(message, key, lab="lab", node="saw", nonce=nonce) == told
    another = bytes(byte ^ 1 for byte in nonce)
    for lab, node, asked in (("lab", "saw", another), ("lab", "x", nonce), ("x", "saw", nonce)):
        with pytest.raises(ProtocolError):
            hubtime.open_time(message, key, lab=lab, node=node, nonce=asked)


def test_a_signature_of_one_kind_never_passes_for_another() -> None:
    message = signing.sign(HUB, {"kind": "time", "wall_ms": 1})
    assert signing.open_signed(HUB.public_key(), message, kind="time")["wall_ms"] == 1
    with pytest.raises(ProtocolError, match="not a signed snapshot"):
        signing.open_signed(HUB.public_key(), message, kind="snapshot")
    relabelled = {**message, "statement": {**message["statement"], "kind": "snapshot"}}
    with pytest.raises(ProtocolError, match="signature"):
        signing.open_signed(HUB.public_key(), relabelled, kind="snapshot")


def test_every_flipped_bit_of_a_signed_statement_is_found() -> None:
    message = hubtime.signed_time(HUB, HubTime("lab", "saw", bytes(16), 123, (1, 7)))
    frame = canonical.dumps(message)
    for position in range(len(frame)):
        for bit in range(8):
            bent = bytearray(frame)
            bent[position] ^= 1 << bit
            try:
                read = canonical.loads(bytes(bent), where="t")
                statement = signing.open_signed(HUB.public_key(), read, kind="time")
            except ProtocolError:
                continue
            assert statement == message["statement"], (position, bit)


@given(st.binary(max_size=300))
def test_noise_is_no_snapshot_header(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        snapshots.open_header(line, HUB.public_key(), lab="lab", node="saw")


@given(
    first=st.sampled_from((4, 7, 10)).flatmap(lambda n: st.binary(min_size=n, max_size=n)),
    second=st.sampled_from((4, 7, 10)).flatmap(lambda n: st.binary(min_size=n, max_size=n)),
)
def test_two_uids_share_a_tag_only_when_they_are_the_same(first: bytes, second: bytes) -> None:
    key = b"b" * 32
    assert (badge_tag(key, first) == badge_tag(key, second)) is (first == second)
    assert badge_tag(key, first) != badge_tag(b"c" * 32, first)
    assert len(short(badge_tag(key, first))) == 8


@pytest.mark.parametrize("length", [0, 1, 3, 5, 6, 8, 9, 11])
def test_a_uid_of_an_impossible_length_has_no_tag(length: int) -> None:
    with pytest.raises(ProtocolError):
        badge_tag(b"b" * 32, bytes(length))


@given(st.sampled_from(Op), st.dictionaries(st.sampled_from(["epoch", "seq", "file"]), TEXT))
def test_a_control_request_is_read_as_it_was_asked(op: Op, arguments: dict[str, str]) -> None:
    line = canonical.dumps(control.request(op, **arguments))
    assert control.read_request(line) == (op, control.request(op, **arguments))


@pytest.mark.parametrize(
    "line", [b"{}", b'{"v":1}', b'{"v":2,"op":"hello"}', b'{"v":1,"op":"close_relay"}', b"[]", b""]
)
def test_a_control_request_that_is_none_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        control.read_request(line)


def test_an_answer_that_says_no_is_an_error_with_its_words() -> None:
    assert control.read_answer(canonical.dumps(control.answer(head=1)))["head"] == 1
    with pytest.raises(ProtocolError, match="disk is full"):
        control.read_answer(canonical.dumps(control.error_answer("store", "the disk is full")))
