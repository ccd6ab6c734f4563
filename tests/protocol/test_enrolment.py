"""Codes that people carry, what both sides say, six words, and the two secret files: round trips and refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import ProtocolError
from interlock.protocol import canonical, enrolment
from interlock.protocol.credentials import (
    HubAccess,
    NodeKeys,
    hub_access_from_wire,
    node_keys_from_wire,
)
from interlock.protocol.enrolment import (
    Claim,
    EnrolmentCode,
    Welcome,
    claim_from_wire,
    code_from_text,
    six_words,
    welcome_from_wire,
)
from interlock.protocol.words import words_of
from tests.protocol.test_authority import PEM

pytestmark = pytest.mark.fast

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
CODE = EnrolmentCode("hub.fablab.example", 8_443, KEY, b"s" * 16)
CLAIM = Claim(b"s" * 16, b"c" * 32, b"k" * 32, b"d" * 32, "0.1")
WELCOME = Welcome("lab", "saw", 2, "Table saw", KEY, "en")
NODE = NodeKeys("lab", "saw", 2, b"c" * 32, b"b" * 32, KEY, b"d" * 32)
PINNED = HubAccess("lab", "saw", "https://hub:8443", "c" * 32, (PEM,), KEY)
PLAIN = HubAccess("lab", "saw", "http://127.0.0.1:8000", "c" * 32)
HOSTS = st.sampled_from(["hub", "192.0.2.7", "hub.fablab.example", "[2001:db8::7]", "h" * 253])


@given(
    HOSTS,
    st.integers(1, 65_535),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=16, max_size=16),
)
def test_a_code_is_read_back_however_it_was_copied(
    host: str, port: int, authority: bytes, secret: bytes
) -> None:
    code = EnrolmentCode(host, port, authority, secret)
    line = code.to_text()
    assert line == line.upper(), "the alphanumeric mode of a QR code has no small letters"
    for copied in (line, line.lower(), f"  {line[:20]} {line[20:]}\n"):
        assert code_from_text(copied) == code
    assert code.url == f"https://{host}:{port}"
    assert len(line) <= enrolment.CODE_LENGTH_MAX


def test_one_wrong_letter_anywhere_is_found_before_anything_is_asked() -> None:
    line = CODE.to_text()
    for place in range(len(line)):
        wrong = "A" if line[place] != "A" else "B"
        with pytest.raises(ProtocolError):
            code_from_text(line[:place] + wrong + line[place + 1 :])


def checked(body: str) -> str:
    """`body` with the check that belongs to it: only its content can be wrong."""
    return f"{body}:{enrolment._check(body)}"


def code(host: str = "HUB", port: str = "8443", authority: str = "", secret: str = "") -> str:
    parts = CODE.to_text().split(":")
    return checked(f"IL1:{host}:{port}:{authority or parts[3]}:{secret or parts[4]}")


NO_CODE = (
    "code: this is not an enrolment code. Copy all of it from the hub's page; it begins with IL1:"
)
MISTAKE = "code: the code was copied with a mistake. Compare it with the page"
NO_HUB = "code: it names no hub. Make another on the hub's page"
NOT_WHOLE = "code: the code is not complete. Copy all of it from the hub's page"
LONGEST = "H" * (254 + enrolment.CODE_LENGTH_MAX - len(code(host="H" * 254)))
"""A host's name with which a code is as long as one may be."""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", NO_CODE),
        ("https://hub:8443", NO_CODE),
        (checked("IL2:HUB:1:A:B"), NO_CODE),
        (checked("IL1:HUB:1:A"), NO_CODE),
        (code(host=LONGEST + "H"), NO_CODE),
        (CODE.to_text() + "é", NO_CODE),
        (CODE.to_text()[:-1], MISTAKE),
        (code(port="0"), NO_HUB),
        (code(port="65536"), NO_HUB),
        (code(port="-1"), NO_HUB),
        (code(port=""), NO_HUB),
        (code(host=""), NO_HUB),
        (code(host="HUB/X"), NO_HUB),
        (code(host="H" * 254), NO_HUB),
        (code(host=LONGEST), NO_HUB),
        (code(authority="AAAA"), NOT_WHOLE),
        (code(secret="AAAA"), NOT_WHOLE),
        (code(secret="1" * 26), NOT_WHOLE),
    ],
)
def test_a_code_that_cannot_be_used_says_what_to_do(line: str, words: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        code_from_text(line)
    assert str(caught.value) == words


def test_a_port_is_one_a_hub_can_listen_at() -> None:
    assert [code_from_text(code(port=port)).port for port in ("1", "65535")] == [1, 65_535]


READERS: list[tuple[Callable[[Any], Any], Any]] = [
    (claim_from_wire, CLAIM),
    (welcome_from_wire, WELCOME),
    (node_keys_from_wire, NODE),
    (hub_access_from_wire, PINNED),
    (hub_access_from_wire, PLAIN),
]


@pytest.mark.parametrize(("read", "said"), READERS)
def test_what_one_side_says_the_other_reads(read: Callable[[Any], Any], said: Any) -> None:
    assert read(canonical.loads(canonical.dumps(said.to_wire()), where="test")) == said


@pytest.mark.parametrize(("read", "said"), READERS)
def test_no_field_may_be_missing_or_of_another_type(read: Callable[[Any], Any], said: Any) -> None:
    whole = said.to_wire()
    for name in whole:
        for bent in ({**whole, name: None}, {k: v for k, v in whole.items() if k != name}):
            with pytest.raises(ProtocolError):
                read(bent)
    for version in (0, 2):
        with pytest.raises(ProtocolError, match="v must be an integer from 1 to 1"):
            read({**whole, "v": version})


@pytest.mark.parametrize(
    ("read", "said", "name", "longest"),
    [
        (claim_from_wire, CLAIM, "software", 64),
        (welcome_from_wire, WELCOME, "lab", 64),
        (welcome_from_wire, WELCOME, "node", 64),
        (welcome_from_wire, WELCOME, "machine", 100),
        (welcome_from_wire, WELCOME, "language", 8),
        (node_keys_from_wire, NODE, "lab", 64),
        (node_keys_from_wire, NODE, "node", 64),
        (hub_access_from_wire, PLAIN, "lab", 64),
        (hub_access_from_wire, PLAIN, "node", 64),
        (hub_access_from_wire, PLAIN, "credential", 64),
    ],
)
def test_a_name_fits_where_it_is_shown(
    read: Callable[[Any], Any], said: Any, name: str, longest: int
) -> None:
    assert getattr(read({**said.to_wire(), name: "x" * longest}), name) == "x" * longest
    with pytest.raises(ProtocolError, match=f"{name} must be text of at most {longest}"):
        read({**said.to_wire(), name: "x" * (longest + 1)})


@pytest.mark.parametrize(
    ("read", "said"), [(welcome_from_wire, WELCOME), (node_keys_from_wire, NODE)]
)
def test_enrolments_are_counted_from_one(read: Callable[[Any], Any], said: Any) -> None:
    assert read({**said.to_wire(), "epoch": 1}).epoch == 1
    with pytest.raises(ProtocolError):
        read({**said.to_wire(), "epoch": 0})


def test_no_secret_is_printed() -> None:
    for said, secrets in (
        (CLAIM, "ssss kkkk"),
        (NODE, "cccc bbbb dddd"),
        (PINNED, "cccc"),
        (CODE, "ssss"),
    ):
        assert not any(secret in repr(said) for secret in secrets.split()), repr(said)


def test_encryption_and_a_pinned_authority_belong_together() -> None:
    """Neither HTTPS that believes anybody, nor a pinned lab that talks in the clear."""
    assert PINNED.is_pinned
    assert not PLAIN.is_pinned
    assert "authorities" not in PLAIN.to_wire()
    for bent in (
        {**PLAIN.to_wire(), "hub_url": "https://hub:8443"},
        {**PINNED.to_wire(), "hub_url": "http://hub:8000"},
    ):
        with pytest.raises(ProtocolError, match="belong together") as caught:
            hub_access_from_wire(bent)
        assert "Enrol this computer again" in caught.value.remedy
    for keys in (NODE, PINNED):
        assert keys.hub_key().public_bytes_raw() == KEY


def test_both_sides_read_the_same_six_words() -> None:
    words = six_words(KEY, CLAIM, WELCOME)
    assert len(words) == len(set(words)) == 6
    assert words == six_words(KEY, CLAIM, WELCOME)
    assert six_words(KEY, CLAIM, replace(WELCOME, language="fr")) != words


@pytest.mark.parametrize(
    ("authority", "claim", "welcome"),
    [
        (OTHER, CLAIM, WELCOME),
        (KEY, replace(CLAIM, credential_hash=OTHER), WELCOME),
        (KEY, replace(CLAIM, chain_key=OTHER), WELCOME),
        (KEY, replace(CLAIM, decryption_public_key=OTHER), WELCOME),
        (KEY, CLAIM, replace(WELCOME, lab="other")),
        (KEY, CLAIM, replace(WELCOME, node="other")),
        (KEY, CLAIM, replace(WELCOME, epoch=3)),
        (KEY, CLAIM, replace(WELCOME, hub_public_key=OTHER)),
    ],
)
def test_whoever_changed_a_key_or_a_name_in_the_middle_has_other_words(
    authority: bytes, claim: Claim, welcome: Welcome
) -> None:
    assert six_words(authority, claim, welcome) != six_words(KEY, CLAIM, WELCOME)


def test_the_words_give_no_secret_away_and_do_not_depend_on_what_is_none_of_theirs() -> None:
    same = six_words(
        KEY, replace(CLAIM, secret=b"x" * 16, software="9"), replace(WELCOME, machine="x")
    )
    assert same == six_words(KEY, CLAIM, WELCOME)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_eleven_bits_choose_a_word_and_two_thousand_words_are_different(language: str) -> None:
    drawn = {
        words_of((number << 245).to_bytes(32, "big"), 1, language)[0] for number in range(2_048)
    }
    assert len(drawn) == 2_048
    assert all(word == word.strip().lower() and " " not in word for word in drawn)


def test_words_need_enough_bits() -> None:
    assert len(words_of(bytes(2), 1, "en")) == 1
    with pytest.raises(ProtocolError, match="2 words need 22 bits"):
        words_of(bytes(2), 2, "en")
