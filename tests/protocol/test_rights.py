"""What the hub lets a node know of people: lists, demands, deltas, card keys and the erased, field by field."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from interlock.core.model import (
    BadgeState,
    Demands,
    Entry,
    Level,
    Needs,
    Reservation,
    Right,
    Schedule,
)
from interlock.errors import ProtocolError
from interlock.protocol import canonical, card_keys, deltas, demands, erasure, signing, snapshots
from interlock.protocol.card_keys import CardSlot, Scheme, WrappedKey
from interlock.protocol.snapshots import SnapshotHeader
from interlock.protocol.tags import CODE_ALPHABET, CODE_LENGTH, badge_tag, short, short_code
from tests.protocol.test_statements import HUB, OTHER

pytestmark = pytest.mark.fast

NODE = {"lab": "lab", "node": "saw"}
ASKED = Demands(
    ("saw", "dust"),
    needs=Needs.ANY,
    max_offline_s=3_600,
    locked_out=True,
    second_person=True,
    daily_limit_s=7_200,
    hours="evenings",
    schedules=(Schedule("evenings", ((0, 1), (1_080, 10_080))),),
    offsets=((0, 3_600), (5, -50_400), (9, 50_400)),
    reservations=(Reservation(1, 2, "m-ada"), Reservation(3, 4, None)),
)
SLOT = CardSlot(Scheme.NTAG424_AES, bytes(3), 0)
TAGS = [bytes([number]) * 16 for number in range(1, 6)]


def entry(number: int, **changes: Any) -> Entry:
    right = Right("saw", Level.ALONE, since_at=1, until_at=2, lapses_at=3)
    return replace(Entry(TAGS[number], f"m-{number}", rights=(right,)), **changes)


# ----------------------------------------------------------------------------------------- demands


def test_demands_go_over_the_wire() -> None:
    for asked in (ASKED, Demands(), Demands(("saw",), needs=Needs.ALL)):
        assert (
            demands.from_wire(canonical.loads(canonical.dumps(demands.to_wire(asked)), where="t"))
            == asked
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trainings": None}, "trainings must be a list of at most 64"),
        ({"trainings": ["x"] * 65}, "trainings must be a list of at most 64"),
        ({"trainings": [1]}, "training must be text"),
        ({"trainings": ["x" * 65]}, "training must be text of at most 64"),
        ({"trainings": []}, "any of no trainings"),
        ({"needs": "some"}, "needs must be one of"),
        ({"max_offline_s": -1}, "max_offline_s must be"),
        ({"locked_out": 1}, "locked_out must be"),
        ({"second_person": None}, "second_person must be"),
        ({"daily_limit_s": "1"}, "daily_limit_s must be"),
        ({"hours": "mornings"}, "its schedule 'mornings' is missing"),
        ({"schedules": None}, "schedules must be a list of at most 64"),
        ({"schedules": [{"name": "x" * 65, "windows": []}]}, "name must be text"),
        ({"schedules": [{"name": "x", "windows": [[0, 1]] * 57}]}, "windows must be a list of at most 56"),
        ({"schedules": [{"name": "x", "windows": [[0]]}]}, "windows must be pairs"),
        ({"schedules": [{"name": "x", "windows": [[0, True]]}]}, "windows must be pairs"),
        ({"schedules": [{"name": "x", "windows": ["01"]}]}, "windows must be pairs"),
        ({"schedules": [{"name": "x", "windows": [[5, 5]]}]}, "not within one week"),
        ({"schedules": [{"name": "x", "windows": [[6, 5]]}]}, "not within one week"),
        ({"schedules": [{"name": "x", "windows": [[-1, 5]]}]}, "not within one week"),
        ({"schedules": [{"name": "x", "windows": [[0, 10_081]]}]}, "not within one week"),
        ({"offsets": [[0, 0]] * 65}, "offsets must be a list of at most 64"),
        ({"offsets": [[5, 0], [4, 0]]}, "do not rise"),
        ({"offsets": [[5, 0], [5, 1]]}, "do not rise"),
        ({"offsets": [[0, 50_401]]}, "impossible"),
        ({"offsets": [[0, -50_401]]}, "impossible"),
        ({"reservations": [{}] * 501}, "reservations must be a list of at most 500"),
        ({"reservations": [{"until_at": 1, "member": None}]}, "from_at must be"),
        ({"reservations": [{"from_at": 1, "member": None}]}, "until_at must be"),
        ({"reservations": [{"from_at": 1, "until_at": 2, "member": 3}]}, "member must be text"),
    ],
)  # fmt: skip
def test_a_demand_that_nobody_could_keep_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        demands.from_wire({**demands.to_wire(ASKED), **change})


def test_the_largest_demands_pass() -> None:
    most = {
        "trainings": ["x" * 64] * 64,
        "schedules": [{"name": "evenings", "windows": [[0, 10_080]] * 56}] * 64,
        "offsets": [[number, 0] for number in range(64)],
        "reservations": [{"from_at": 1, "until_at": 2}] * 500,
    }
    read = demands.from_wire({**demands.to_wire(ASKED), **most})
    sizes = [
        len(part) for part in (read.trainings, read.schedules, read.offsets, read.reservations)
    ]
    assert sizes == [64, 64, 64, 500]


# ------------------------------------------------------------------------------------- one's entry


def test_an_entry_says_everything_there_is_to_say() -> None:
    full = entry(1, name="Ada", badge=BadgeState.BLOCKED, technician=True, hours="evenings")
    assert snapshots.entry_from_wire(full.to_wire()) == full


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("tag",), "00" * 15),
        (("member",), "x" * 65),
        (("language",), "x" * 9),
        (("name",), 1),
        (("badge",), "gone"),
        (("status",), "gone"),
        (("member_until_at",), -1),
        (("technician",), "yes"),
        (("hours",), 1),
        (("credit",), "much"),
        (("rights",), None),
        (("rights",), [{}] * 65),
        (("rights", 0, "training"), "x" * 65),
        (("rights", 0, "level"), "god"),
        (("rights", 0, "since_at"), -1),
        (("rights", 0, "until_at"), "x"),
        (("rights", 0, "lapses_at"), 1 << 63),
    ],
)
def test_an_entry_with_one_bad_field_is_refused(path: tuple[Any, ...], value: Any) -> None:
    wire = canonical.loads(snapshots.entry_line(entry(1)), where="test")
    *inside, last = path
    part: Any = wire
    for key in inside:
        part = part[key]
    part[last] = value
    with pytest.raises(ProtocolError):
        snapshots.entry_from_wire(wire)


def test_names_and_rights_at_their_bounds_pass() -> None:
    wide = entry(1, member="m" * 64, language="l" * 8, rights=(Right("t" * 64, Level.ALONE),) * 64)
    assert snapshots.entry_from_wire(wide.to_wire()) == wide


# ---------------------------------------------------------------------------------------- card keys


def test_a_card_key_opens_for_its_node_badge_and_slot_alone() -> None:
    wrapping = card_keys.new_wrapping_key()
    key = card_keys.wrap(wrapping, b"k" * 16, node="saw", tag=TAGS[0], slot=SLOT)
    assert card_keys.unwrap(wrapping, key, node="saw", tag=TAGS[0]) == b"k" * 16
    others: list[tuple[bytes, WrappedKey, str, bytes]] = [
        (card_keys.new_wrapping_key(), key, "saw", TAGS[0]),
        (wrapping, key, "laser", TAGS[0]),
        (wrapping, key, "saw", TAGS[1]),
        (wrapping, replace(key, slot=replace(SLOT, key_number=1)), "saw", TAGS[0]),
        (wrapping, replace(key, slot=replace(SLOT, aid=b"\1\2\3")), "saw", TAGS[0]),
        (wrapping, replace(key, slot=replace(SLOT, scheme=Scheme.DESFIRE_AES)), "saw", TAGS[0]),
        (wrapping, replace(key, wrapped=bytes(32)), "saw", TAGS[0]),
    ]
    for other, wrapped, node, tag in others:
        with pytest.raises(ProtocolError, match="another node or badge"):
            card_keys.unwrap(other, wrapped, node=node, tag=tag)


def test_an_unchanged_badge_is_an_unchanged_line() -> None:
    """Otherwise every snapshot would be new, and no delta ever small."""
    wrapping = card_keys.new_wrapping_key()
    keys = [card_keys.wrap(wrapping, b"k" * 16, node="saw", tag=TAGS[0], slot=SLOT) for _ in "12"]
    assert keys[0] == keys[1]
    assert len(wrapping) == card_keys.WRAPPING_KEY_BYTES


def test_a_sealed_key_opens_for_its_node_alone() -> None:
    private, stranger = card_keys.new_private_key(), card_keys.new_private_key()
    sealed = card_keys.seal(card_keys.public_half(private), b"secret")
    assert card_keys.open_sealed(private, sealed) == b"secret"
    assert card_keys.seal(card_keys.public_half(private), b"secret") != sealed
    for key, content in (
        (stranger, sealed),
        (private, b""),
        (private, sealed[:-1]),
        (private, bytes(60)),
    ):
        with pytest.raises(ProtocolError, match="not sealed to this node's key"):
            card_keys.open_sealed(key, content)


def test_an_entry_carries_its_card_s_key_and_reads_like_one_without() -> None:
    key = WrappedKey(SLOT, bytes(32))
    lines = snapshots.entry_lines([entry(2), entry(1)], {TAGS[1]: key})
    wires = [canonical.loads(line, where="test") for line in lines]
    assert [snapshots.card_key_from_wire(wire) for wire in wires] == [key, None]
    assert [snapshots.entry_from_wire(wire) for wire in wires] == [entry(1), entry(2)]
    with pytest.raises(ProtocolError, match="card must be an object"):
        snapshots.card_key_from_wire({"card": []})


@pytest.mark.parametrize(
    "change",
    [{"scheme": "md5"}, {"aid": "00"}, {"key_number": 14}, {"key_number": -1}, {"wrapped": "00"}],
)
def test_a_wrapped_key_of_no_card_is_refused(change: dict[str, Any]) -> None:
    good = WrappedKey(replace(SLOT, key_number=13), bytes(32)).to_wire()
    assert card_keys.wrapped_key_from_wire(good).slot.key_number == 13
    with pytest.raises(ProtocolError):
        card_keys.wrapped_key_from_wire({**good, **change})


# ----------------------------------------------------------------------------------------- the erased


def test_who_was_erased_is_found_in_whatever_names_them() -> None:
    digests = {erasure.digest_of("m-ada"), erasure.digest_of("ab" * 16)}
    for naming in (
        {"member": "m-ada"},
        {"deep": {"list": [1, None, ("x", {"tag": "ab" * 16})]}},
    ):
        assert erasure.names_any(naming, digests), naming
    others: list[dict[str, Any]] = [
        {},
        {"m-ada": 1},
        {"member": "m-ben"},
        {"list": ["a", ("b",), [], None]},
    ]
    for other in others:
        assert not erasure.names_any(other, digests), other


def test_a_list_of_the_erased_is_read_back_and_absent_in_older_snapshots() -> None:
    digest = erasure.digest_of("m-ada")
    assert len(digest) == erasure.DIGEST_BYTES
    assert erasure.digests_from_wire({}) == ()
    assert erasure.digests_from_wire({"forget": [digest.hex()] * 1_200}) == (digest,) * 1_200


@pytest.mark.parametrize(
    "forget", [None, "00", ["00"], [1], ["zz" * 16], ["00" * 17], ["00" * 16] * 1_201]
)
def test_a_list_of_the_erased_that_makes_no_sense_is_refused(forget: Any) -> None:
    with pytest.raises(ProtocolError, match="forget"):
        erasure.digests_from_wire({"forget": forget})


# ------------------------------------------------------------------------------------------ deltas


def head(entries: list[Entry], version: tuple[int, int], **changes: Any) -> SnapshotHeader:
    lines = snapshots.entry_lines(entries)
    plain = SnapshotHeader(
        "lab", "saw", version, 5, "Saw", ASKED, len(lines), snapshots.digest_lines(lines)
    )
    return replace(plain, **changes)


BEFORE, AFTER = (
    head([entry(0), entry(1)], (1, 5)),
    head([entry(1), entry(2)], (1, 6), wrapping_key=b"w"),
)
LINES = [deltas.removed_line(TAGS[0]), snapshots.entry_line(entry(2))]
BASE = snapshots.signed_head(HUB, BEFORE)[1]


def delta(
    lines: list[bytes] | None = None, after: SnapshotHeader = AFTER, base: Any = BASE
) -> bytes:
    return deltas.signed_delta(
        HUB, base, snapshots.signed_head(HUB, after)[1], LINES if lines is None else lines
    )


def opened(content: bytes, base: Any = BASE) -> deltas.Delta:
    return deltas.open_delta(content, base, HUB.public_key(), **NODE)


def test_a_delta_leads_from_one_list_to_the_next() -> None:
    read = opened(delta())
    assert (read.base, read.header) == ((1, 5), AFTER)
    assert read.head_line == snapshots.signed_head(HUB, AFTER)[0]
    assert [(change.tag, change.line) for change in read.changes] == [
        (TAGS[0], None),
        (TAGS[2], LINES[1]),
    ]
    assert deltas.claimed_version(delta()) == (1, 6)
    assert deltas.claimed_base(delta().splitlines(True)[0]) == [1, 5]
    assert deltas.is_delta(delta().splitlines(True)[0])
    assert not deltas.is_delta(snapshots.signed_head(HUB, AFTER)[0])
    assert not deltas.is_delta(b'{"statement":[]}')


def test_only_what_changed_in_the_head_travels() -> None:
    statement = canonical.loads(delta().splitlines(True)[0], where="test")["statement"]
    assert sorted(statement["head"]) == ["digest", "version", "wrapping_key"]


def test_what_is_no_delta_claims_nothing() -> None:
    assert deltas.claimed_base(b'{"statement":1}') is None
    for content in (b"{}", b'{"statement":{"to":1}}', b"["):
        with pytest.raises(ProtocolError):
            deltas.claimed_version(content)


def rewritten(change: Callable[[dict[str, Any]], object], content: bytes | None = None) -> bytes:
    """A delta with its statement changed and rightly signed again."""
    first, *rest = (content or delta()).splitlines(keepends=True)
    statement = canonical.loads(first, where="test")["statement"]
    change(statement)
    return signing.signed_line(HUB, statement)[0] + b"".join(rest)


BENT: list[tuple[Callable[[], bytes], str]] = [
    (lambda: b"", "not JSON"),
    (lambda: b"x" * (deltas.DELTA_BYTES_MAX + 1), "bytes are more than"),
    (lambda: delta() + LINES[1], "not those the hub signed"),
    (lambda: b"".join(delta().splitlines(True)[:-1]), "not those the hub signed"),
    (lambda: rewritten(lambda s: s.update(v=2)), "v must be"),
    (lambda: rewritten(lambda s: s.update(node="laser")), "for node laser of lab lab"),
    (lambda: rewritten(lambda s: s.update(lab="other")), "for node saw of lab other"),
    (lambda: rewritten(lambda s: s.update({"from": [1, 4]})), "not what this node has"),
    (lambda: rewritten(lambda s: s.update({"from": 5})), "version must be"),
    (lambda: rewritten(lambda s: s.update(lines=3)), "not those the hub signed"),
    (lambda: rewritten(lambda s: s.update(digest="00" * 32)), "not those the hub signed"),
    (lambda: rewritten(lambda s: s.update(head=None)), "head must be an object"),
    (lambda: rewritten(lambda s: s["head"].update(entries=7)), "signature"),
    (lambda: rewritten(lambda s: s.update(head_signature="00" * 64)), "signature"),
    (lambda: rewritten(lambda s: s.update(to=[1, 7])), "does not lead where it says"),
    (lambda: rewritten(lambda s: s.update(result="00" * 32)), "does not lead where it says"),
    (lambda: delta(after=replace(AFTER, version=(1, 5))), "does not lead where it says"),
    (lambda: delta(LINES[::-1]), "not in order"),
    (lambda: delta([LINES[1], LINES[1]]), "not in order"),
    (lambda: delta([LINES[1].replace(b'"card":null', b'"card":[]')]), "card must be an object"),
    (lambda: delta([b'{"removed":"00"}\n']), "removed must be 16 bytes"),
    (lambda: delta([b'{"removed": "' + b"00" * 16 + b'"}\n']), "canonical form"),
]  # fmt: skip


@pytest.mark.parametrize(("bend", "words"), BENT)
def test_a_delta_that_leads_elsewhere_is_refused(bend: Callable[[], bytes], words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        opened(bend())


def test_the_largest_delta_is_read_and_one_byte_more_is_not() -> None:
    """Filled with a field of a later hub, which this node passes over."""

    def filled(with_bytes: int) -> bytes:
        shares = [with_bytes // len(TAGS)] * len(TAGS)
        shares[0] += with_bytes % len(TAGS)
        wires = [entry(number).to_wire() for number in range(len(TAGS))]
        return delta(
            [
                canonical.dumps({**wire, "card": None, "later": "x" * share}) + b"\n"
                for wire, share in zip(wires, shares, strict=True)
            ]
        )

    most = deltas.DELTA_BYTES_MAX - len(filled(0))
    assert [change.tag for change in opened(filled(most)).changes] == TAGS
    with pytest.raises(ProtocolError, match="262145 bytes are more than 262144"):
        opened(filled(most + 1))


def test_a_delta_of_a_stranger_is_refused() -> None:
    with pytest.raises(ProtocolError, match="signature"):
        deltas.open_delta(delta(), BASE, OTHER.public_key(), **NODE)


# -------------------------------------------------------------------------------------------- heads


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"v": 2}, "v must be"),
        ({"demands": []}, "demands must be an object"),
        ({"version": [1]}, "version must be"),
        ({"version": [0, 1]}, "hub_epoch must be"),
        ({"version": [1, -1]}, "counter must be"),
        ({"issued_at": None}, "issued_at must be"),
        ({"entries": 250_001}, "entries must be"),
        ({"digest": "00"}, "digest must be"),
        ({"wrapping_key": "zz"}, "wrapping_key is not hexadecimal"),
        ({"lab": "x" * 65}, "lab must be text"),
        ({"node": "x" * 65}, "node must be text"),
        ({"machine_name": None}, "machine_name must be"),
        ({"forget": 1}, "forget must be"),
    ],
)
def test_a_head_of_nonsense_is_refused_also_when_the_hub_signed_it(
    change: dict[str, Any], words: str
) -> None:
    line = signing.signed_line(HUB, {**AFTER.to_wire(), **change})[0]
    with pytest.raises(ProtocolError, match=words):
        snapshots.open_header(line, HUB.public_key(), **NODE)


def test_a_head_says_whom_to_forget_only_where_there_is_somebody() -> None:
    assert "forget" not in AFTER.to_wire()
    erased = replace(AFTER, forget=(erasure.digest_of("m-ada"),))
    line = snapshots.signed_head(HUB, erased)[0]
    assert snapshots.open_header(line, HUB.public_key(), **NODE) == erased


def test_a_list_is_read_to_its_last_line_before_it_counts() -> None:
    lines = snapshots.entry_lines([entry(1), entry(2)])
    good = snapshots.signed_snapshot(HUB, head([entry(1), entry(2)], (1, 6)), lines)
    swapped = b"".join((good.splitlines(True)[0], lines[1], lines[0]))
    long = good[:-1] + b" " * snapshots.LINE_BYTES_MAX + b"\n"
    for content, words in (
        (good + b"x", "not those the hub signed"),
        (good.replace(b"m-2", b"m-3"), "not those the hub signed"),
        (swapped, "not in order"),
        (good[:-1], "cut short"),
        (long, "oversized"),
    ):
        _, entries = snapshots.read_snapshot(io.BytesIO(content), HUB.public_key(), **NODE)
        with pytest.raises(ProtocolError, match=words):
            list(entries)
    _, entries = snapshots.read_snapshot(io.BytesIO(good), HUB.public_key(), **NODE)
    assert list(entries) == [entry(1), entry(2)]


def test_no_more_of_a_list_is_read_than_can_belong_to_it() -> None:
    """Another process wrote the file: its lines may be of any length, and nothing of it is signed yet."""

    def filled(line_bytes: int, behind: bytes = b"") -> io.BytesIO:
        wire = {**entry(1).to_wire(), "later": ""}
        wire["later"] = "x" * (line_bytes - len(canonical.dumps(wire)) - 1)
        lines = [canonical.dumps(wire) + b"\n"]
        described = replace(AFTER, entries=1, digest=snapshots.digest_lines(lines))
        return io.BytesIO(snapshots.signed_snapshot(HUB, described, lines) + behind)

    def read(source: io.BytesIO) -> list[Entry]:
        return list(snapshots.read_snapshot(source, HUB.public_key(), **NODE)[1])

    assert read(filled(snapshots.LINE_BYTES_MAX)) == [entry(1)]
    for length, words, stopped in (
        (snapshots.LINE_BYTES_MAX + 1, "oversized", snapshots.LINE_BYTES_MAX),
        (1_000, "not those the hub signed", 1_001),
    ):
        source = filled(length, behind=b"y" * 9_999)
        begin = source.getvalue().index(b"\n") + 1
        with pytest.raises(ProtocolError, match=words):
            read(source)
        assert source.tell() == begin + stopped


# --------------------------------------------------------------------------------------------- tags


def test_a_badge_without_a_name_has_a_code_that_people_can_read_aloud() -> None:
    codes = {short_code(tag) for tag in TAGS}
    assert len(codes) == len(TAGS)
    assert all(len(code) == CODE_LENGTH and set(code) <= set(CODE_ALPHABET) for code in codes)
    assert short(TAGS[0]) == "01010101"


@pytest.mark.parametrize("length", [0, 3, 5, 8, 11])
def test_a_badge_number_of_another_length_does_not_exist(length: int) -> None:
    with pytest.raises(ProtocolError, match="does not exist"):
        badge_tag(b"b" * 32, bytes(length))
