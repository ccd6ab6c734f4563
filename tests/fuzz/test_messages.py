"""Bytes of any kind, for every door of the protocol: refused by name, or exactly what was meant."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from interlock.core.events import CutRequested, EndRequested, Event, NoticeGiven
from interlock.core.model import Now
from interlock.errors import InterlockError, ProtocolError
from interlock.node.commands import Commands
from interlock.node.journal_facts import Marks
from interlock.node.timekeeping import Timekeeper
from interlock.protocol import (
    authority,
    canonical,
    card_keys,
    commands,
    control,
    credentials,
    enrolment,
    hubtime,
    records,
)
from interlock.protocol.enrolment import Claim, EnrolmentCode, Welcome
from interlock.protocol.records import GENESIS, Header, Record, RecordType
from interlock.sim.clocks import VirtualClock
from tests.fuzz.bending import bent_bytes, bent_lines, bent_values, spelled
from tests.fuzz.kept import BreachError, Surface, examples
from tests.fuzz.signed import HUB, messages, signed

pytestmark = [
    pytest.mark.fast,
    # Serial numbers below one: cryptography reads them today and says that it will not for ever.
    pytest.mark.filterwarnings("ignore:Parsed a serial number:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning"),
]

AT = 1_800_000_000
KEY = b"k" * 32
PEAK_BYTES_MAX = 8_000_000
"""For a message of at most 64 KiB; the deepest and longest numbers of the corpus need a tenth of it."""


def chain() -> list[Record]:
    links: list[Record] = []
    kinds = (RecordType.BOOT, RecordType.SESSION_STARTED, RecordType.SESSION_ENDED)
    for seq, kind in enumerate(kinds, 1):
        header = Header("saw", 1, seq, "boot", 1_000 * seq, 1_700_000_000_000, True, kind)
        body = {"session": "1.2", "member": "m-ada", "evidence": {"inputs": [True, None, 3]}}
        prev = links[-1].hash if links else GENESIS
        links.append(records.seal(header, body, salt=bytes([seq]) * 16, prev=prev, chain_key=KEY))
    return links


CHAIN = chain()
CHAIN_LINES = b"".join(canonical.dumps(link.to_wire()) + b"\n" for link in CHAIN)


def walked(content: bytes) -> str:
    """Lines as they come from a node or a back-up: whoever has no chain key changes nothing in them."""
    prev = GENESIS
    read: list[Record] = []
    for line in content.splitlines():
        record = records.from_wire(canonical.loads(line, where="records"))
        records.verify(record, prev=prev, chain_key=KEY)
        prev, read = record.hash, [*read, record]
    for one, original in zip(read, CHAIN, strict=False):
        erased = replace(original, body=None, salt=None)
        if one not in (original, erased, replace(original, body=None)):
            raise BreachError(f"{one} passed for {original}")
    if len(read) > len(CHAIN):
        raise BreachError("the chain has grown")
    return f"{len(read)} records"


COMMAND = commands.signed_command(
    HUB,
    commands.Command("lab", "saw", bytes(16), commands.CommandKind.MESSAGE, AT, AT + 60, "Tidy up"),
)["statement"]


def commanded(line: bytes) -> str:
    """The node's own door: a command is refused and nothing happened, or one of three harmless things did."""
    told: list[Event] = []
    kept: list[tuple[tuple[str, int], ...]] = []

    class Memory:
        def remembered(self) -> Marks:
            return Marks()

        def remember(self, commands: tuple[tuple[str, int], ...]) -> None:
            kept.append(commands)

    door = Commands(
        HUB.public_key(), "lab", "saw", lambda: Now(0, AT, True), Memory(), told.append, str
    )
    try:
        door.carry_out(canonical.loads(line, where="command"))
    except InterlockError:
        if told or kept:
            raise BreachError(f"refused, and yet {told} {kept}") from None
        raise
    if len(kept) != 1 or not all(
        isinstance(event, CutRequested | EndRequested | NoticeGiven) for event in told
    ):
        raise BreachError(f"{told} {kept}")
    return f"carried out: {[type(event).__name__ for event in told]}"


NONCE = bytes(range(16))
TIME = hubtime.signed_time(HUB, hubtime.HubTime("lab", "saw", NONCE, AT * 1_000, (1, 7), branch=2))[
    "statement"
]


def told_time(line: bytes) -> str:
    """The node's clock: whatever is refused leaves it as it was; what is believed is a time people could live in."""
    keeper = Timekeeper(VirtualClock(wall_ms=AT * 1_000), entropy=lambda length: NONCE[:length])
    keeper.fresh_nonce()
    before = keeper.marks()
    try:
        told = keeper.accept(
            canonical.loads(line, where="time"), HUB.public_key(), lab="lab", node="saw"
        )
    except InterlockError:
        if keeper.marks() != before:
            raise BreachError("a refused time moved the clock") from None
        raise
    now = keeper.now()
    if now.wall_at is not None:
        datetime.fromtimestamp(now.wall_at, UTC)
    return f"believed, branch {told.branch is not None}"


def certificate(name: str) -> str:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(b"a" * 32)
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    return authority.pem(
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=3_650))
        .sign(key, None)
    )


PEM = certificate("lab")
DER = x509.load_pem_x509_certificate(PEM.encode()).public_bytes(Encoding.DER)
AUTHORITIES = authority.signed_authorities(HUB, authority.Authorities("lab", 3, (PEM, PEM)))


def listed(line: bytes) -> str:
    found = authority.open_authorities(
        canonical.loads(line, where="authorities"), HUB.public_key(), lab="lab"
    )
    if not found.certificates or found.serial < 1:
        raise BreachError(str(found))
    return f"{len(found.certificates)} authorities"


def certified(der: bytes) -> str:
    begins_ms, ends_ms = authority.validity_ms(der)
    pem = x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode()
    if len(authority.fingerprint(pem)) != SHA256().digest_size:
        raise BreachError("no fingerprint")
    return f"valid {begins_ms <= ends_ms}"


CLAIM = Claim(b"s" * 16, b"c" * 32, KEY, card_keys.public_half(b"d" * 32), "0.1")
WELCOME = Welcome("lab", "saw", 1, "Table saw", HUB.public_key().public_bytes_raw(), "fr")
NODE_KEYS = credentials.NodeKeys("lab", "saw", 1, KEY, KEY, WELCOME.hub_public_key, b"d" * 32)
ACCESS = credentials.HubAccess(
    "lab", "saw", "https://hub:8443", "c" * 32, (PEM,), WELCOME.hub_public_key
)
ANSWERS = [CLAIM.to_wire(), WELCOME.to_wire(), NODE_KEYS.to_wire(), ACCESS.to_wire()]


def enrolled(line: bytes) -> str:
    """Both sides' messages of an enrolment, and the files it leaves: what is read can be used, or was refused."""
    wire = canonical.loads(line, where="enrolment")
    if "secret" in wire:
        claim = enrolment.claim_from_wire(wire)
        card_keys.seal(claim.decryption_public_key, b"badge key")
        return f"claim, {len(enrolment.six_words(KEY, claim, WELCOME))} words"
    if "machine" in wire:
        welcome = enrolment.welcome_from_wire(wire)
        ed25519.Ed25519PublicKey.from_public_bytes(welcome.hub_public_key)
        return f"welcome, {len(enrolment.six_words(KEY, CLAIM, welcome))} words"
    if "hub_url" in wire:
        access = credentials.hub_access_from_wire(wire)
        if access.is_pinned:
            access.hub_key()
        return f"access, pinned {access.is_pinned}"
    keys = credentials.node_keys_from_wire(wire)
    keys.hub_key()
    return f"keys of {len(keys.chain_key)} bytes"


CODE = EnrolmentCode("hub.fablab.example", 8443, KEY, b"s" * 16).to_text()


def typed(octets: bytes) -> str:
    """A code as a person types it; `surrogateescape` as the shell hands over what is no UTF-8."""
    code = enrolment.code_from_text(octets.decode("utf-8", "surrogateescape"))
    if enrolment.code_from_text(code.to_text()) != code:
        raise BreachError(str(code))
    return "a code"


def checked_again(octets: bytes) -> bytes:
    """The code with a check that is right: what a person could paste who makes codes up."""
    body = "".join(octets.decode("utf-8", "replace").split()).upper().rpartition(":")[0]
    return f"{body}:{enrolment._check(body)}".encode()


SEALED = card_keys.seal(card_keys.public_half(b"d" * 32), b"badge key")


def unsealed(octets: bytes) -> str:
    if card_keys.open_sealed(b"d" * 32, octets) != b"badge key":
        raise BreachError("sealed to somebody else")
    return "opened"


def spelt(values: list[dict[str, Any]]) -> list[bytes]:
    return [spelled(value) for value in values]


GOOD_ANSWERS = [
    control.answer(head={"epoch": 1, "seq": 2, "hash": "00" * 32}),
    control.error_answer("store", "the disk is full"),
]
REQUESTS = [control.request(op, epoch=0, seq=0, file="a", code="x") for op in control.Op]


def asked(line: bytes) -> str:
    op, _ = control.read_request(line)
    return f"op {op.value}"


def answered(line: bytes) -> str:
    try:
        fields = control.read_answer(line)
    except ProtocolError as error:
        if error.where == "the node answered":
            return "the node said no, in whatever words"
        raise
    return f"answer of {min(len(fields), 3)} fields"


RECORDS = Surface("records", walked)
COMMANDS = Surface("commands", commanded)
TIMES = Surface("times", told_time)
LISTS = Surface("authorities", listed)
CERTIFICATES = Surface("certificates", certified)
ENROLMENT = Surface("enrolment", enrolled)
CODES = Surface("codes", typed)
SEALS = Surface("sealed_keys", unsealed)
ASKED = Surface("requests", asked)
ANSWERED = Surface("answers", answered)

DOORS: dict[str, tuple[Surface, st.SearchStrategy[bytes]]] = {
    "records of a stranger": (RECORDS, bent_lines([CHAIN_LINES]) | bent_bytes([CHAIN_LINES])),
    "commands": (COMMANDS, messages(COMMAND)),
    "times": (TIMES, messages(TIME)),
    "authorities": (LISTS, messages(AUTHORITIES["statement"])),
    "certificates": (CERTIFICATES, bent_bytes([DER])),
    "enrolment": (ENROLMENT, bent_values(ANSWERS).map(spelled) | bent_bytes(spelt(ANSWERS))),
    "codes": (CODES, bent_bytes([CODE.encode()]) | bent_bytes([CODE.encode()]).map(checked_again)),
    "sealed keys": (SEALS, bent_bytes([SEALED]) | st.binary(max_size=80)),
    "requests": (ASKED, bent_values(REQUESTS).map(spelled) | bent_bytes(spelt(REQUESTS))),
    "answers": (ANSWERED, bent_values(GOOD_ANSWERS).map(spelled) | bent_bytes(spelt(GOOD_ANSWERS))),
}
"""Each door, and what is sent through it."""


@pytest.mark.parametrize("door", DOORS)
def test_what_comes_through_a_door_is_refused_by_name_or_is_what_was_meant(door: str) -> None:
    surface, cases = DOORS[door]

    @examples(150)
    @given(cases)
    def send(case: bytes) -> None:
        surface.outcome(case)

    try:
        send()
    finally:
        surface.keep()


@pytest.mark.parametrize("door", DOORS)
def test_a_kept_case_ends_as_it_did_and_takes_little_memory(door: str) -> None:
    surface, _ = DOORS[door]
    kept = list(surface.kept())
    assert len(kept) > 1, "a campaign keeps what it finds"
    tracemalloc.start()
    try:
        ended = [(surface.outcome(case), case) for _, case in kept]
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ended == kept
    assert peak_bytes < PEAK_BYTES_MAX


@pytest.mark.parametrize("door", DOORS)
def test_the_good_message_passes(door: str) -> None:
    """A door that refuses everything would pass every test above."""
    surface, _ = DOORS[door]
    good = {
        "records of a stranger": (CHAIN_LINES, "3 records"),
        "commands": (signed(COMMAND), "carried out: ['NoticeGiven']"),
        "times": (signed(TIME), "believed, branch True"),
        "authorities": (signed(AUTHORITIES["statement"]), "2 authorities"),
        "certificates": (DER, "valid True"),
        "enrolment": (spelled(ANSWERS[1]), "welcome, 6 words"),
        "codes": (CODE.encode(), "a code"),
        "sealed keys": (SEALED, "opened"),
        "requests": (spelled(REQUESTS[0]), "op hello"),
        "answers": (spelled(GOOD_ANSWERS[0]), "answer of 3 fields"),
    }
    case, words = good[door]
    assert surface.outcome(case) == words


def test_a_breach_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deliberate break: where records are not compared with their hashes, the first bent one is a breach."""
    monkeypatch.setattr(records, "verify", lambda record, **chain: None)
    bent = CHAIN_LINES.replace(b"m-ada", b"m-eve")
    with pytest.raises(BreachError, match="passed for"):
        RECORDS.outcome(bent)


def test_another_exception_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "from_wire", lambda wire: wire["nothing"])
    with pytest.raises(BreachError, match="KeyError came out"):
        RECORDS.outcome(CHAIN_LINES)
