"""Only a card that knows the key is genuine; the published figures of NXP come out to the last byte."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.cards import aes, authentication, desfire, ntag424
from interlock.cards.authentication import Proof, authenticate
from interlock.cards.keys import diversified_key
from interlock.errors import CardError, ConfigError
from interlock.protocol.card_keys import CardSlot, Scheme
from tests.cards.application_card import AID, DesfireApplication, NtagApplication, counted

pytestmark = pytest.mark.fast

KEY, OTHER = counted(0x80), counted(0x81)
DESFIRE = CardSlot(Scheme.DESFIRE_AES, AID, 1)
NTAG = CardSlot(Scheme.NTAG424_AES, bytes(3), 0)
Card = Callable[[bytes], bytes]
SLOTS: dict[CardSlot, Callable[[bytes], Card]] = {
    DESFIRE: DesfireApplication,
    NTAG: NtagApplication,
}


def drawn(text: str) -> Callable[[int], bytes]:
    """`draw` that gives these bytes."""
    content = bytes.fromhex(text)

    def draw(length: int) -> bytes:
        assert length == len(content)
        return content

    return draw


def told(*exchanges: tuple[str, str]) -> Card:
    """A card that expects exactly these commands, in this order."""
    waiting = list(exchanges)

    def transceive(command: bytes) -> bytes:
        expected, answer = waiting.pop(0)
        assert command.hex() == expected.lower()
        return bytes.fromhex(answer)

    return transceive


# ---------------------------------------------------------------------------- published figures


def test_the_diversified_key_of_an10922() -> None:
    key = diversified_key(
        bytes.fromhex("00112233445566778899AABBCCDDEEFF"),
        uid=bytes.fromhex("04782E21801D80"),
        aid=bytes.fromhex("3042F5"),
        site_id=bytes.fromhex("4E585020416275"),
    )
    assert key.hex().upper() == "A8DD63A3B89D54B37CA802473FDA9175"


def test_the_desfire_ev1_authentication_that_was_published() -> None:
    card = told(
        ("5A000000", "00"),
        ("AA00", "AFB969FDFE56FD91FC9DE6F6F213B8FD1E"),
        (
            "AF36AAD7DF6E436BA08D18613830A70D5AD43E3D3F4A8D47541EEE623A934E4774",
            "00800DB680BC146BD121D6578F2D2E2059",
        ),
    )
    draw = drawn("F44B26F5686F3A391CD38EBD10772281")
    session = desfire.authenticate(card, bytes(3), 0, bytes(16), draw)
    assert session is not None
    assert session.key.hex().upper() == "F44B26F5C05DDD7110772281C4D066E8"


def test_the_ntag_424_authentication_of_an12196() -> None:
    card = told(
        ("00A4040C07D276000085010100", "9000"),
        ("9071000002000000", "A04C124213C186F22399D33AC2A3021591AF"),
        (
            "90AF00002035C3E05A752E0144BAC0DE51C1F22C56B34408A23D8AEA266CAB947EA8E0118D00",
            "3FA64DB5446D1F34CD6EA311167F5E4985B89690C04A05F17FA7AB2F081206639100",
        ),
    )
    draw = drawn("13C5DB8A5930439FC3DEF9A4C675360F")
    session = ntag424.authenticate(card, 0, bytes(16), draw)
    assert session is not None
    assert session.transaction_id.hex().upper() == "9D00C4DF"
    assert session.encryption_key.hex().upper() == "1309C877509E5A215007FF0ED19CA564"
    assert session.mac_key.hex().upper() == "4C6626F5E72EA694202139295C7A7FC7"


# -------------------------------------------------------------------------- who is genuine


@pytest.mark.parametrize("slot", SLOTS, ids=lambda slot: slot.scheme.value)
@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_a_card_is_genuine_when_it_knows_the_key_and_forged_when_it_does_not(
    slot: CardSlot, key: bytes, other: bytes
) -> None:
    assert authenticate(SLOTS[slot](key), slot, key, counted_draw) is Proof.GENUINE
    if other != key:
        assert authenticate(SLOTS[slot](other), slot, key, counted_draw) is Proof.FORGED


def counted_draw(length: int) -> bytes:
    return counted(0x33)[:length]


def test_every_scheme_of_the_protocol_has_its_authentication() -> None:
    assert {scheme.value for scheme in Scheme} == {
        authentication.DESFIRE_AES,
        authentication.NTAG424_AES,
    }


@pytest.mark.parametrize("slot", SLOTS, ids=lambda slot: slot.scheme.value)
def test_a_recorded_authentication_played_back_is_forged(slot: CardSlot) -> None:
    card = SLOTS[slot](KEY)
    record: list[bytes] = []

    def recording(command: bytes) -> bytes:
        record.append(card(command))
        return record[-1]

    assert authenticate(recording, slot, KEY, counted_draw) is Proof.GENUINE
    played = iter(record)
    fresh = drawn(counted(0x55).hex())
    assert authenticate(lambda _: next(played), slot, KEY, fresh) is Proof.FORGED


def test_a_desfire_clone_that_sends_our_own_bytes_back_is_forged() -> None:
    def clone(command: bytes) -> bytes:
        answers = {0x5A: b"\x00", 0xAA: b"\xaf" + counted(), 0xAF: b"\x00" + command[1:17]}
        return answers[command[0]]

    assert authenticate(clone, DESFIRE, KEY, counted_draw) is Proof.FORGED


def test_an_ntag_clone_that_sends_our_own_bytes_back_is_forged() -> None:
    def clone(command: bytes) -> bytes:
        answers = {
            0xA4: b"\x90\x00",
            0x71: counted() + b"\x91\xaf",
            0xAF: command[5:37] + b"\x91\x00",
        }
        return answers[command[1]]

    assert authenticate(clone, NTAG, KEY, counted_draw) is Proof.FORGED


@pytest.mark.parametrize("place", range(16))
def test_one_wrong_bit_anywhere_in_the_proof_is_forged(place: int) -> None:
    card = DesfireApplication(KEY)

    def flipped(command: bytes) -> bytes:
        answer = bytearray(card(command))
        if command[0] == 0xAF:
            answer[1 + place] ^= 1
        return bytes(answer)

    assert authenticate(flipped, DESFIRE, KEY, counted_draw) is Proof.FORGED


def test_without_the_comparison_a_clone_would_be_genuine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deliberate break: if proofs were not compared, the clone above would get through."""

    def clone(command: bytes) -> bytes:
        return {0x5A: b"\x00", 0xAA: b"\xaf" + counted(), 0xAF: b"\x00" + counted()}[command[0]]

    assert authenticate(clone, DESFIRE, KEY, counted_draw) is Proof.FORGED
    monkeypatch.setattr(aes, "same", lambda one, other: True)
    assert authenticate(clone, DESFIRE, KEY, counted_draw) is Proof.GENUINE


@pytest.mark.parametrize(
    "card",
    [
        DesfireApplication(KEY, aid=bytes(3)),
        DesfireApplication(KEY, key_number=2),
        lambda _: b"\xae",
        lambda _: b"\x9d",
        lambda _: b"\x1c",
        lambda _: b"\x6e\x00",
        lambda _: b"\x6a\x82",
    ],
)
def test_a_card_without_the_application_or_of_another_kind_is_forged(card: Card) -> None:
    assert authenticate(card, DESFIRE, KEY, counted_draw) is Proof.FORGED


@pytest.mark.parametrize(
    "card",
    [lambda _: b"\x6a\x82", lambda _: b"\x6d\x00", lambda _: b"\x91\x1c", lambda _: b"\x91\xae"],
)
def test_a_card_that_is_no_ntag_424_is_forged(card: Card) -> None:
    assert authenticate(card, NTAG, KEY, counted_draw) is Proof.FORGED


@pytest.mark.parametrize(
    "answer", [b"", b"\xca", b"\xee", b"\x00\x01", b"\xaf", b"\xaf" + bytes(15)]
)
@pytest.mark.parametrize("slot", SLOTS, ids=lambda slot: slot.scheme.value)
def test_an_answer_that_may_be_a_mishap_is_a_card_error(slot: CardSlot, answer: bytes) -> None:
    with pytest.raises(CardError):
        authenticate(lambda _: answer, slot, KEY, counted_draw)


@given(st.lists(st.binary(max_size=40), min_size=3, max_size=3))
@pytest.mark.parametrize("slot", SLOTS, ids=lambda slot: slot.scheme.value)
def test_arbitrary_answers_are_never_genuine_and_never_another_exception(
    slot: CardSlot, answers: list[bytes]
) -> None:
    waiting = iter(answers)
    try:
        proof = authenticate(lambda _: next(waiting), slot, KEY, counted_draw)
    except CardError:
        return
    assert proof is Proof.FORGED


# -------------------------------------------------------------------------------- secrecy


def test_no_key_shows_in_a_session_an_error_or_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    one = desfire.authenticate(DesfireApplication(KEY), AID, 1, KEY, counted_draw)
    two = ntag424.authenticate(NtagApplication(KEY), 0, KEY, counted_draw)
    with pytest.raises(CardError) as caught:
        authenticate(lambda _: KEY, DESFIRE, KEY, counted_draw)
    assert one is not None
    assert two is not None
    secrets = (KEY, one.key, two.encryption_key, two.mac_key)
    shown = f"{one!r}{two!r}{caught.value!r}{caught.value}{caplog.text}"
    assert not any(secret.hex() in shown or repr(secret) in shown for secret in secrets)


@pytest.mark.parametrize(
    ("key_bytes", "uid_bytes", "site_bytes"), [(15, 7, 7), (32, 7, 7), (16, 4, 8), (16, 7, 22)]
)
def test_what_an10922_and_cmac_would_pad_differently_is_refused(
    key_bytes: int, uid_bytes: int, site_bytes: int
) -> None:
    with pytest.raises(ConfigError):
        diversified_key(bytes(key_bytes), uid=bytes(uid_bytes), aid=AID, site_id=bytes(site_bytes))


def test_keys_of_different_badges_applications_and_sites_are_different() -> None:
    uid, site = bytes(range(7)), b"lab-0001"
    keys = {
        diversified_key(KEY, uid=one, aid=aid, site_id=where)
        for one in (uid, bytes(7))
        for aid in (AID, bytes(3))
        for where in (site, b"lab-0002")
    }
    assert len(keys) == 8
