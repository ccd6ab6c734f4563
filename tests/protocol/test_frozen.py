"""What vectors.json does not hold, frozen as well; and the whole words of refusals: where, what, what to do."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from cryptography import x509

from interlock.errors import ProtocolError
from interlock.protocol import (
    authority,
    canonical,
    card_keys,
    commands,
    control,
    credentials,
    deltas,
    demands,
    enrolment,
    erasure,
    fields,
    hubtime,
    records,
    signing,
    snapshots,
    tags,
)
from interlock.protocol.card_keys import CardSlot, Scheme
from interlock.protocol.control import Op
from tests.protocol.test_authority import DER, PEM
from tests.protocol.test_commands import AT, SAID
from tests.protocol.test_enrolment import CLAIM, CODE, KEY, PLAIN, WELCOME
from tests.protocol.test_rights import AFTER, ASKED, BASE, NODE, delta, entry, opened, rewritten
from tests.protocol.test_statements import HUB, OTHER
from tests.protocol.test_vectors import RECORDS

pytestmark = pytest.mark.fast

TAG = b"\x01" * 16
SLOT = CardSlot(Scheme.DESFIRE_AES, b"\x01\x02\x03", 7)
WRAPPING_KEY = bytes(range(32))
PRIVATE_KEY = bytes(range(1, 33))
SEALED = bytes.fromhex(
    "045bdf48cf4ea35714fa8c10573138f2219dfd934375299a4430036705d10a2d"
    "5cc9bb42511a71f8dbc36419b76ae67bea1d5b1d8b36"
)
"""`b"secret"` for the holder of PRIVATE_KEY, sealed on 22 November 2026."""


def test_a_card_s_key_is_wrapped_and_sealed_as_nodes_in_the_field_have_it() -> None:
    key = card_keys.wrap(WRAPPING_KEY, b"k" * 16, node="saw", tag=TAG, slot=SLOT)
    assert key.to_wire() == {
        "scheme": "desfire_aes",
        "aid": "010203",
        "key_number": 7,
        "wrapped": "49e5af1e27c43877d27daa0529ef567ace3593664048b7ef37bf43714e029702",
    }
    assert card_keys.wrapped_key_from_wire(key.to_wire()) == key
    assert card_keys.unwrap(WRAPPING_KEY, key, node="saw", tag=TAG) == b"k" * 16
    assert SLOT.to_bytes() == b"desfire_aes\x01\x02\x03\x07"
    assert card_keys.open_sealed(PRIVATE_KEY, SEALED) == b"secret"
    assert card_keys.public_half(PRIVATE_KEY).hex() == (
        "07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c"
    )


def test_a_delta_is_spelt_to_the_last_byte_as_it_always_was() -> None:
    removed = b'{"removed":"01010101010101010101010101010101"}\n'
    assert deltas.removed_line(TAG) == removed
    line = (
        b'{"badge":"active","card":null,"credit":"ok","hours":null,"language":"en","member":"m-2",'
        b'"member_until_at":null,"name":null,"rights":[{"lapses_at":3,"level":"alone","since_at":1,'
        b'"training":"saw","until_at":2}],"status":"active","tag":"03030303030303030303030303030303",'
        b'"technician":false}\n'
    )
    assert snapshots.entry_line(entry(2)) == line
    whole = deltas.signed_delta(HUB, BASE, snapshots.signed_head(HUB, AFTER)[1], [removed, line])
    first, *rest = whole.splitlines(keepends=True)
    assert rest == [removed, line]
    statement = canonical.loads(first, where="test")["statement"]
    assert statement == {
        "kind": "delta",
        "v": 1,
        "lab": "lab",
        "node": "saw",
        "from": [1, 5],
        "to": [1, 6],
        "result": AFTER.digest.hex(),
        "lines": 2,
        "digest": "48f5c6213d285a57f34c1051a606e0eaae8aea012a8268248da68ebf87b95080",
        "head": {"digest": AFTER.digest.hex(), "version": [1, 6], "wrapping_key": "77"},
        "head_signature": snapshots.signed_head(HUB, AFTER)[1]["signature"],
    }
    assert sha256(whole).hexdigest() == (
        "414a6cfd8a283d192ef0f3b7d1d76e0d13386b6c2e99c9d5a6274322bb9f20cf"
    )


def test_a_list_of_authorities_is_spelt_and_bounded_as_it_always_was() -> None:
    listed = authority.Authorities("lab", 3, (PEM,))
    statement = {"kind": "authorities", "lab": "lab", "serial": 3, "certificates": [PEM]}
    assert authority.signed_authorities(HUB, listed) == signing.sign(HUB, statement)
    assert authority.pem(x509.load_der_x509_certificate(DER)) == PEM
    assert PEM.startswith("-----BEGIN CERTIFICATE-----\n")
    wide = PEM + "\n" * (authority.CERTIFICATE_LENGTH_MAX - len(PEM))
    assert authority.certificates_of({"certificates": [wide]}, "certificates") == (wide,)
    assert authority.fingerprint(PEM) == sha256(DER).digest()
    begins_ms, ends_ms = authority.validity_ms(DER)
    assert (begins_ms, ends_ms) == (1_767_225_600_000, 1_767_225_600_000 + 3_650 * 86_400_000)
    assert (type(begins_ms), type(ends_ms)) == (int, int)


def test_what_stands_for_a_badge_is_drawn_as_it_always_was() -> None:
    """A machine shows the code, the hub looks it up: whoever draws it otherwise sends people away."""
    assert tags.short_code(TAG) == "K48R7"
    assert tags.short_code(bytes(range(16))) == "KFPTV"
    assert tags.short(bytes(range(16))) == "00010203"
    assert erasure.digest_of("m-ada").hex() == "bcafa536e6cb867538c2f6d46cc74a39"


def test_a_code_is_spelt_as_every_hub_prints_it_and_every_node_reads_it() -> None:
    """Without the `=` of base 32, which no QR code in capitals can hold; an X at its end belongs to it."""
    keys = "AAAQEAYEAUDAOCAJBIFQYDIOB4IBCEQTCQKRMFYYDENBWHA5DYPQ:ONZXG43TONZXG43TONZXG43TOM"
    assert CODE.to_text() == f"IL1:HUB.FABLAB.EXAMPLE:8443:{keys}:IDW3BJEE"
    assert replace(CODE, port=278).to_text() == f"IL1:HUB.FABLAB.EXAMPLE:278:{keys}:SS2JVVXX"


def test_a_request_and_an_answer_are_read_as_they_were_written() -> None:
    asked = control.request(Op.INTERLOCK, name="chiller", closed=None)
    assert asked == {"v": 1, "op": "interlock", "name": "chiller", "closed": None}
    assert control.read_request(canonical.dumps(asked)) == (Op.INTERLOCK, asked)
    said = control.answer(head=[1, 2], error=None)
    assert said == {"v": 1, "ok": True, "head": [1, 2], "error": None}
    assert control.read_answer(canonical.dumps(said)) == said
    words = "x" * 2_000
    with pytest.raises(ProtocolError) as caught:
        control.read_answer(canonical.dumps(control.error_answer("busy", words)))
    assert (caught.value.what, caught.value.where) == (words, "the node answered")


@pytest.mark.parametrize("version", [0, 2, -1])
def test_a_message_of_an_older_or_a_newer_version_is_refused(version: int) -> None:
    """Version 0 never was; who says so speaks another language, and one message less is better than a wrong one."""
    spoken: list[Callable[[], object]] = [
        lambda: control.read_request(canonical.dumps({"v": version, "op": "hello"})),
        lambda: control.read_answer(canonical.dumps({"v": version, "ok": True})),
        lambda: opened(rewritten(lambda s: s.update(v=version))),
        lambda: _command(v=version),
        lambda: snapshots.open_header(
            signing.signed_line(HUB, {**AFTER.to_wire(), "v": version})[0], HUB.public_key(), **NODE
        ),
    ]
    for speak in spoken:
        with pytest.raises(ProtocolError, match="v must be an integer from 1 to 1"):
            speak()


def test_the_six_words_are_drawn_as_every_node_and_hub_draws_them() -> None:
    """Node and hub may be of two releases: drawn otherwise, an honest enrolment would look like an attack."""
    assert enrolment.six_words(KEY, CLAIM, WELCOME) == (
        "south",
        "subject",
        "cousin",
        "brass",
        "plug",
        "valid",
    )


def _command(at: int = AT, **changes: Any) -> None:
    statement = {**commands.signed_command(HUB, SAID)["statement"], **changes}
    commands.open_command(
        signing.sign(HUB, statement), HUB.public_key(), lab="lab", node="saw", now_at=at
    )


def _time(**changes: Any) -> None:
    told = hubtime.signed_time(HUB, hubtime.HubTime("lab", "saw", bytes(16), 1, (1, 1)))
    message = signing.sign(HUB, {**told["statement"], **changes})
    hubtime.open_time(message, HUB.public_key(), lab="lab", node="saw", nonce=b"n" * 16)


def _asked(**changes: Any) -> None:
    demands.from_wire({**demands.to_wire(ASKED), **changes})


def _list(lines: list[bytes], arrived: list[bytes] | None = None) -> None:
    """A list of `lines` is read; of its lines the `arrived` are there."""
    header = replace(AFTER, entries=len(lines), digest=snapshots.digest_lines(lines))
    content = snapshots.signed_head(HUB, header)[0] + b"".join(
        lines if arrived is None else arrived
    )
    list(snapshots.read_snapshot(io.BytesIO(content), HUB.public_key(), **NODE)[1])


def _line(number: int = 1) -> bytes:
    return snapshots.entry_line(entry(number))


def _unwrap() -> None:
    key = card_keys.wrap(WRAPPING_KEY, b"k" * 16, node="saw", tag=TAG, slot=SLOT)
    card_keys.unwrap(WRAPPING_KEY, key, node="saw", tag=b"\x02" * 16)


def _open_list(lab: str) -> None:
    message = authority.signed_authorities(HUB, authority.Authorities("lab", 1, (PEM,)))
    authority.open_authorities(message, HUB.public_key(), lab=lab)


def _answer(wire: dict[str, Any]) -> None:
    control.read_answer(canonical.dumps({"v": 1, **wire}))


def _head(**changes: Any) -> None:
    line = signing.signed_line(HUB, {**AFTER.to_wire(), **changes})[0]
    snapshots.open_header(line, HUB.public_key(), **NODE)


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: _command(AT + 61), "command: it has expired"),
    (lambda: _command(AT - 10_000), "command: it comes from the future"),
    (lambda: _command(node="laser"), "command: it is for node laser of lab lab"),
    (lambda: _command(expires_at=AT), "command: it would be valid for more than 3600 s"),
    (_time, "hub time: it answers another node or an older question"),
    (lambda: _time(version=5), "hub time: version must be [hub epoch, counter]"),
    (
        lambda: _time(version=[0, 1]),
        "hub_epoch must be an integer from 1 to 9223372036854775807, not 0",
    ),
    (lambda: _list([_line(2), _line(1)]), "snapshot: its entries are not in order"),
    (lambda: _list([_line(), _line()]), "snapshot: its entries are not in order"),
    (lambda: _list([b"[]\n"]), "snapshot entry: the message is not a JSON object"),
    (
        lambda: _list([_line()], [_line(), b"x"]),
        "snapshot: its entries are not those the hub signed",
    ),
    (lambda: _list([_line()], []), "snapshot: it is cut short or has an oversized line"),
    (
        lambda: snapshots.signed_snapshot(HUB, AFTER, []),
        "the snapshot's header does not describe its entries",
    ),
    (
        lambda: snapshots.open_header(b"{}", HUB.public_key(), **NODE),
        "snapshot: it is cut short, or not in its canonical form",
    ),
    (lambda: _asked(hours="mornings"), "snapshot: its schedule 'mornings' is missing"),
    (lambda: _asked(trainings=None), "snapshot: trainings must be a list of at most 64"),
    (
        lambda: _asked(trainings=[]),
        "snapshot: it asks for any of no trainings, which nobody can hold",
    ),
    (
        lambda: _asked(schedules=[{"name": "x", "windows": [[6, 5]]}]),
        "snapshot: a window from minute 6 to 5 is not within one week",
    ),
    (
        lambda: _asked(offsets=[[5, 0], [4, 0]]),
        "snapshot: its offsets from UTC do not rise or are impossible",
    ),
    (lambda: _asked(offsets=None), "snapshot: offsets must be a list of at most 64"),
    (lambda: _asked(offsets=[[5]]), "snapshot: offsets must be pairs of whole numbers"),
    (
        lambda: credentials.hub_access_from_wire({**PLAIN.to_wire(), "hub_url": "https://hub"}),
        (
            "an https:// address and the lab's certificate authority belong together. "
            "Enrol this computer again; never write plain http:// instead"
        ),
    ),
    (
        lambda: erasure.digests_from_wire({"forget": ["zz"]}),
        "forget must hold digests in hexadecimal",
    ),
    (
        lambda: records.from_wire({**RECORDS[0], "body": []}),
        "body must be an object or null",
    ),
    (lambda: authority.fingerprint("x"), "authority: this is not a certificate in PEM"),
    (lambda: authority.validity_ms(b"x"), "certificate: this is not a certificate"),
    (
        lambda: authority.certificates_of({}, "certificates"),
        "certificates must be a list of 1 to 4 certificates",
    ),
    (
        lambda: authority.certificates_of({"certificates": [1]}, "certificates"),
        "certificates must hold certificates in PEM",
    ),
    (lambda: _open_list("other"), "list of authorities: it is another lab's"),
    (_unwrap, "card key: it was wrapped for another node or badge"),
    (
        lambda: card_keys.open_sealed(bytes(range(2, 34)), SEALED),
        "sealed key: it is not sealed to this node's key",
    ),
    (
        lambda: tags.badge_tag(b"b" * 32, b"123"),
        "a UID of 3 bytes does not exist; it has 4, 7 or 10",
    ),
    (lambda: control.read_request(b"[]"), "control request: the message is not a JSON object"),
    (
        lambda: canonical.loads(b'{"x":NaN}', where="here"),
        "here: this is not JSON: NaN is not an integer",
    ),
    (
        lambda: _answer({"ok": False, "message": "x" * 2_001}),
        "message must be text of at most 2000 characters",
    ),
    (lambda: _answer({"ok": 1}), "ok must be true or false, not 1"),
    (lambda: control.read_answer(b"[]"), "control answer: the message is not a JSON object"),
    (lambda: deltas.is_delta(b"[]"), "snapshot: the message is not a JSON object"),
    (lambda: deltas.claimed_version(b"[]"), "delta: the message is not a JSON object"),
    (lambda: deltas.claimed_version(b"{}"), "delta: this is no delta"),
    (
        lambda: deltas.claimed_version(b'{"statement":{"to":1}}'),
        "delta: version must be [hub epoch, counter]",
    ),
    (lambda: deltas.claimed_base(b"[]"), "delta: the message is not a JSON object"),
    (
        lambda: opened(b"x" * (deltas.DELTA_BYTES_MAX + 1)),
        "delta: 262145 bytes are more than 262144",
    ),
    (lambda: opened(b"[]"), "delta: the message is not a JSON object"),
    (lambda: opened(b"{}"), "delta: it is cut short, or not in its canonical form"),
    (
        lambda: opened(rewritten(lambda s: s.update(node="laser"))),
        "delta: it is for node laser of lab lab",
    ),
    (
        lambda: opened(rewritten(lambda s: s.update({"from": 5}))),
        "delta: version must be [hub epoch, counter]",
    ),
    (
        lambda: opened(rewritten(lambda s: s.update({"from": [1, 4]}))),
        "delta: it starts from (1, 4), which is not what this node has",
    ),
    (
        lambda: opened(rewritten(lambda s: s.update(lines=3))),
        "delta: its lines are not those the hub signed",
    ),
    (lambda: opened(rewritten(lambda s: s.update(head=None))), "delta: head must be an object"),
    (
        lambda: opened(rewritten(lambda s: s.update(to=[1, 7]))),
        "delta: it does not lead where it says",
    ),
    (
        lambda: opened(rewritten(lambda s: s.update(to=5))),
        "delta: version must be [hub epoch, counter]",
    ),
    (
        lambda: opened(delta(), {"statement": {**BASE["statement"], "version": 5}}),
        "delta: version must be [hub epoch, counter]",
    ),
    (lambda: opened(delta([b"[]\n"])), "delta entry: the message is not a JSON object"),
    (lambda: opened(delta([deltas.removed_line(TAG)] * 2)), "delta: its entries are not in order"),
    (
        lambda: deltas.open_delta(delta(), BASE, OTHER.public_key(), **NODE),
        "the signature of this delta is not the hub's. Check that node and hub belong to the same lab",
    ),
    (lambda: _head(node="laser"), "snapshot: it is for node laser of lab lab, not for saw of lab"),
    (lambda: _head(demands=None), "snapshot: demands must be an object"),
    (lambda: _head(version=5), "snapshot: version must be [hub epoch, counter]"),
    (lambda: _head(wrapping_key="zz"), "snapshot: wrapping_key is not hexadecimal"),
    (lambda: snapshots.card_key_from_wire({"card": 1}), "snapshot entry: card must be an object"),
    (
        lambda: snapshots.version_of_pair([1], where="here"),
        "here: version must be [hub epoch, counter]",
    ),
    (lambda: canonical.dumps({"x": 1.5}), "a float has no canonical form"),
    (lambda: canonical.dumps({1: 2}), "a key 1 is not text"),
    (
        lambda: canonical.dumps({"x": "\ud800"}),
        "a text with a lone surrogate has no canonical form",
    ),
    (
        lambda: canonical.loads(b'{"x":1.5}', where="here"),
        "here: this is not JSON: 1.5 is not an integer",
    ),
    (
        lambda: canonical.loads(b"{}", where="here", bytes_max=1),
        "here: a message of 2 bytes is larger than 1",
    ),
    (
        lambda: canonical.loads_exact(b"{} \n", where="here"),
        "here: it is cut short, or not in its canonical form",
    ),
    (
        lambda: fields.integer({"x": True}, "x", low=1, high=9),
        "x must be an integer from 1 to 9, not True",
    ),
    (lambda: fields.text({"x": 1}, "x", length_max=7), "x must be text of at most 7 characters"),
    (lambda: fields.flag({"x": 1}, "x"), "x must be true or false, not 1"),
    (lambda: fields.octets({"x": "AB"}, "x", 1), "x must be 1 bytes in lower-case hexadecimal"),
    (
        lambda: fields.choice({"x": "y"}, "x", Scheme),
        "x must be one of desfire_aes, ntag424_aes, not 'y'",
    ),
    (
        lambda: fields.objects({"x": [{}, {}]}, "x", length_max=1),
        "x must be a list of at most 1 objects",
    ),
    (lambda: fields.objects({"x": [1]}, "x", length_max=1), "x must hold objects only"),
    (lambda: fields.no_more_than({"x": 1, "y": 2}, frozenset("y")), "unknown field 'x'"),
]


@pytest.mark.parametrize(("call", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_every_refusal_says_where_and_what(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        call()
    assert str(caught.value) == words
