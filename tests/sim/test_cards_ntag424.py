"""The NTAG 424 model answers the published exchanges of AN12196 byte for byte, and nobody without the key."""

from __future__ import annotations

import pytest

from interlock.sim.card_chip import Draw
from interlock.sim.card_crypto import aes, rotated
from interlock.sim.card_ntag424 import FACTORY_KEYS, Ntag424, NtagKey
from interlock.sim.card_sessions import Ev2Session
from tests.sim.card_talk import counted, drawn, told

pytestmark = pytest.mark.fast

UID = bytes.fromhex("04958caa5c5e80")
SELECT = "00a4040c07d276000085010100"
FIRST = "9071000002000000"
RND_A = "13c5db8a5930439fc3def9a4c675360f"
RND_B = "b9e2fc789b64bf237cccaa20ec7e6e48"
PART_2 = "90af00002035c3e05a752e0144bac0de51c1f22c56b34408a23d8aea266cab947ea8e0118d00"


def tag(draw: Draw | None = None, keys: tuple[NtagKey, ...] = FACTORY_KEYS) -> Ntag424:
    one = Ntag424(UID, draw or counted(), keys)
    one.power_on()
    return one


def in_session(counter: int, *, keys: tuple[NtagKey, ...] = FACTORY_KEYS) -> Ntag424:
    """A tag in the session of AN12196 rev. 2.0, tables 23 to 26."""
    one = tag(keys=keys)
    told(one, SELECT)
    one.session = Ev2Session(
        0,
        enc=bytes.fromhex("4cf3cb41a22583a61e89b158d252fc53"),
        mac=bytes.fromhex("5529860b2fc5fb6154b7f28361d30bf9"),
        identifier=bytes.fromhex("7614281a"),
        counter=counter,
    )
    return one


# ------------------------------------------------------------------------------ published vectors


def test_authenticate_ev2_first_is_that_of_an12196() -> None:
    one = tag(drawn(RND_B, "9d00c4df"))
    assert told(one, SELECT, FIRST, PART_2) == [
        "9000",
        "a04c124213c186f22399d33ac2a3021591af",
        "3fa64db5446d1f34cd6ea311167f5e4985b89690c04a05f17fa7ab2f081206639100",
    ]
    session = one.session
    assert isinstance(session, Ev2Session)
    assert (session.identifier.hex(), session.counter) == ("9d00c4df", 0)
    assert session._enc.key.hex() == "1309c877509e5a215007ff0ed19ca564"
    assert session._mac.key.hex() == "4c6626f5e72ea694202139295c7a7fc7"


CHANGE_KEY_2 = (
    "90c4000029022cf362b7bf4311ff3be1daa295e8c68de09050560d19b9e16c2393ae9cd1fac75d0ce20bcd1d06e600"
)
CHANGE_KEY_0 = (
    "90c400002900c0eb4deefeddf0b513a03a95a75491818580503190d4d05053ff75668a01d6fda6610234bded643200"
)


def test_changing_another_key_is_that_of_an12196_table_25() -> None:
    one = in_session(2)
    assert told(one, CHANGE_KEY_2) == ["203bb55d1089d5879100"]
    changed = NtagKey(bytes.fromhex("f3847d627727ed3bc9c4cc050489b966"), 1)
    assert one.keys == (FACTORY_KEYS[0], FACTORY_KEYS[1], changed, *FACTORY_KEYS[3:])
    assert one.session is not None


def test_changing_the_own_key_is_that_of_an12196_table_26_and_ends_the_session() -> None:
    one = in_session(3)
    assert told(one, CHANGE_KEY_0) == ["9100"]
    changed = NtagKey(bytes.fromhex("5004bf991f408672b1ef00f08f9e8647"), 1)
    assert one.keys == (changed, *FACTORY_KEYS[1:])
    assert one.session is None


def test_the_uid_under_encryption_is_that_of_an12196_table_28() -> None:
    one = tag()
    one.session = Ev2Session(
        0,
        enc=bytes.fromhex("2b4d963c014dc36f24f69a50a394f875"),
        mac=bytes.fromhex("379d32130ce61705dd5fd8c36b95d764"),
        identifier=bytes.fromhex("df055522"),
    )
    assert told(one, "90510000088e2c155adda99be300") == [
        "70756055688505b52a5e26e59e329cd6595f672298ea41b79100"
    ]


# --------------------------------------------------------------------------------------- refusals


def test_whoever_does_not_know_the_key_is_refused_and_gets_no_session() -> None:
    for place in range(5, 37):
        wrong = bytearray.fromhex(PART_2)
        wrong[place] ^= 1
        one = tag(drawn(RND_B, "9d00c4df"))
        assert told(one, SELECT, FIRST, wrong.hex())[2] == "91ae", place
        assert one.session is None


def test_a_tag_with_another_key_refuses_the_proof_made_with_ours() -> None:
    keys = (NtagKey(bytes(15) + b"\x01"), *FACTORY_KEYS[1:])
    assert told(tag(drawn(RND_B), keys), SELECT, FIRST, PART_2)[2] == "91ae"


@pytest.mark.parametrize(
    ("why", "commands", "last"),
    [
        ("no application selected", [FIRST], "919d"),
        ("another name", ["00a4040c07d276000085010200"], "6a82"),
        ("no such key", [SELECT, "9071000002050000"], "9140"),
        ("too short", [SELECT, "90710000010000"], "917e"),
        (
            "proof too short",
            [SELECT, FIRST, "90af0000100000000000000000000000000000000000"],
            "917e",
        ),
        ("something else between", [SELECT, FIRST, "9060000000"], "91ca"),
        ("nothing to continue", [SELECT, "90af000000"], "911c"),
        ("unknown command", [SELECT, "9099000000"], "911c"),
        ("no session to change keys in", [SELECT, CHANGE_KEY_2], "91ae"),
        ("a second authentication without a first", [SELECT, "90770000010000"], "919d"),
        ("native framing", ["60"], "6e00"),
        ("unknown ISO command", ["00b0000000"], "6d00"),
        ("lengths that do not agree", ["90710000050000"], "6700"),
    ],
)
def test_what_does_not_belong_is_refused_with_its_status(
    why: str, commands: list[str], last: str
) -> None:
    one = tag()
    assert told(one, *commands)[-1] == last, why
    assert one.session is None
    assert one.keys == FACTORY_KEYS


def test_a_changed_bit_of_a_command_changes_no_key_and_ends_the_session() -> None:
    whole = bytes.fromhex(CHANGE_KEY_2)
    for place in range(6, len(whole) - 1):
        one = in_session(2)
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        assert told(one, damaged.hex()) == ["911e"], place
        assert (one.keys, one.session) == (FACTORY_KEYS, None)


def test_a_command_repeated_word_for_word_is_refused() -> None:
    one = in_session(2)
    assert told(one, CHANGE_KEY_2, CHANGE_KEY_2)[1] == "911e"


def test_no_key_but_key_0_changes_keys() -> None:
    one = in_session(2)
    assert one.session is not None
    one.session.key_number = 1
    assert told(one, CHANGE_KEY_2) == ["91ae"]
    assert one.keys == FACTORY_KEYS


def test_another_old_key_than_the_desk_believed_changes_nothing() -> None:
    keys = (*FACTORY_KEYS[:2], NtagKey(b"\x01" * 16), *FACTORY_KEYS[3:])
    one = in_session(2, keys=keys)
    assert told(one, CHANGE_KEY_2) == ["911e"]
    assert one.keys == keys


def test_get_version_comes_in_three_frames_and_names_the_uid() -> None:
    answers = told(tag(), "9060000000", "90af000000", "90af000000")
    assert [answer[-4:] for answer in answers] == ["91af", "91af", "9100"]
    assert answers[2].startswith(UID.hex())


def test_a_second_authentication_keeps_the_transaction_and_its_counter() -> None:
    one = in_session(2)
    told(one, CHANGE_KEY_2)
    key = aes(one.keys[2].content)
    challenge = bytes.fromhex(told(one, "90770000010200")[0])[:16]
    rnd_b = key.decrypted(challenge, bytes(16))
    rnd_a = bytes(range(16))
    proof = key.encrypted(rnd_a + rotated(rnd_b), bytes(16))
    answer = bytes.fromhex(told(one, "90af000020" + proof.hex() + "00")[0])
    assert key.decrypted(answer[:-2], bytes(16)) == rotated(rnd_a)
    session = one.session
    assert isinstance(session, Ev2Session)
    assert (session.key_number, session.identifier.hex(), session.counter) == (2, "7614281a", 3)
