"""The DESFire model keeps the card's rules: who may do what, when a session ends, what is remembered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlock.sim.card_crypto import AES_BYTES, KeyKind, aes, crc32_nxp, rotated, xor
from interlock.sim.card_desfire import (
    AIDS_PER_FRAME,
    APPLICATIONS_MAX,
    FACTORY_MASTER,
    PICC_AID,
    Application,
    Desfire,
    DesfireKey,
)
from interlock.sim.card_sessions import Ev1Session, Ev2Session
from tests.sim.card_talk import UID, counted, drawn, told

pytestmark = pytest.mark.fast

AID = bytes.fromhex("f51001")
KEYS = tuple(DesfireKey(bytes((number + 1,)) * AES_BYTES, version=number) for number in range(4))
PICC = Application(PICC_AID, (DesfireKey(),))
APP = Application(AID, KEYS, settings=0x0F)


def chip(*applications: Application) -> Desfire:
    one = Desfire(UID, counted(), applications or (PICC, APP))
    one.power_on()
    return one


class Desk:
    """The other side of an EV1 AES session, written out for these tests."""

    def __init__(self, one: Desfire, number: int, key: bytes, *, aid: bytes = AID) -> None:
        self.chip = one
        self.number = number
        told(one, "5a" + aid.hex())
        challenge = bytes.fromhex(told(one, f"aa{number:02x}")[0])[1:]
        rnd_a, rnd_b = bytes(range(16)), aes(key).decrypted(challenge, bytes(16))
        proof = aes(key).encrypted(rnd_a + rotated(rnd_b), challenge)
        self.answer = bytes.fromhex(told(one, "af" + proof.hex())[0])
        self.key = aes(rnd_a[:4] + rnd_b[:4] + rnd_a[12:] + rnd_b[12:])
        self.chained = bytes(16)

    def ask(self, command: str) -> str:
        """A plain command; the MAC of its answer is checked and taken off."""
        self.chained = self.key.cmac(bytes.fromhex(command), self.chained)
        return self._checked(bytes.fromhex(told(self.chip, command)[0])).hex()

    def change(self, number: int, new: bytes, old: bytes, version: int = 7) -> str:
        """ChangeKey."""
        is_own = number == self.number
        head = bytes((0xC4, number))
        content = (new if is_own else xor(new, old)) + bytes((version,))
        plain = content + crc32_nxp(head + content) + (b"" if is_own else crc32_nxp(new))
        return self._secret(head, plain, is_protected=not is_own)

    def settings(self, value: int) -> str:
        """ChangeKeySettings."""
        head, content = b"\x54", bytes((value,))
        return self._secret(head, content + crc32_nxp(head + content), is_protected=True)

    def _secret(self, head: bytes, plain: bytes, *, is_protected: bool) -> str:
        secret = self.key.encrypted(plain + bytes(-len(plain) % 16), self.chained)
        self.chained = secret[-16:]
        answer = bytes.fromhex(told(self.chip, head.hex() + secret.hex())[0])
        return (self._checked(answer) if is_protected else answer).hex()

    def _checked(self, answer: bytes) -> bytes:
        if answer[0] != 0:
            return answer
        content, mac = answer[1:-8], answer[-8:]
        self.chained = self.key.cmac(content + b"\x00", self.chained)
        assert mac == self.chained[:8]
        return b"\x00" + content


# ---------------------------------------------------------------------------------- authenticating


def test_authenticate_aes_is_the_published_exchange() -> None:
    one = Desfire(UID, drawn("c05ddd714fd788a6b7b754f3c4d066e8"), (PICC,))
    assert told(
        one,
        "aa00",
        "af36aad7df6e436ba08d18613830a70d5ad43e3d3f4a8d47541eee623a934e4774",
    ) == ["afb969fdfe56fd91fc9de6f6f213b8fd1e", "00800db680bc146bd121d6578f2d2e2059"]
    session = one.session
    assert isinstance(session, Ev1Session)
    assert session._cipher.key.hex() == "f44b26f5c05ddd7110772281c4d066e8"


def test_the_same_exchange_wrapped_in_iso_7816_4() -> None:
    one = Desfire(UID, drawn("c05ddd714fd788a6b7b754f3c4d066e8"), (PICC,))
    assert told(
        one,
        "90aa0000010000",
        "90af00002036aad7df6e436ba08d18613830a70d5ad43e3d3f4a8d47541eee623a934e477400",
    ) == ["b969fdfe56fd91fc9de6f6f213b8fd1e91af", "800db680bc146bd121d6578f2d2e20599100"]


def test_authenticate_ev2_first_is_that_of_an12196_with_the_same_keys() -> None:
    one = Desfire(UID, drawn("b9e2fc789b64bf237cccaa20ec7e6e48", "9d00c4df"), (PICC,))
    part_2 = "35c3e05a752e0144bac0de51c1f22c56b34408a23d8aea266cab947ea8e0118d"
    assert told(one, "710000", "af" + part_2) == [
        "afa04c124213c186f22399d33ac2a30215",
        "003fa64db5446d1f34cd6ea311167f5e4985b89690c04a05f17fa7ab2f08120663",
    ]
    assert isinstance(one.session, Ev2Session)


@pytest.mark.parametrize("number", range(4))
def test_each_key_opens_with_itself_and_with_no_other(number: int) -> None:
    assert Desk(chip(), number, KEYS[number].content).answer[0] == 0x00
    for other in KEYS:
        if other != KEYS[number]:
            refused = Desk(chip(), number, other.content)
            assert (refused.answer, refused.chip.session) == (b"\xae", None)


def test_every_byte_of_the_proof_counts() -> None:
    proof = "36aad7df6e436ba08d18613830a70d5ad43e3d3f4a8d47541eee623a934e4774"
    for place in range(32):
        wrong = bytearray.fromhex(proof)
        wrong[place] ^= 1
        one = Desfire(UID, drawn("c05ddd714fd788a6b7b754f3c4d066e8"), (PICC,))
        assert told(one, "aa00", "af" + wrong.hex())[1] == "ae", place


def test_a_challenge_is_never_the_same_twice() -> None:
    one = chip()
    challenges = told(one, "5af51001", "aa01", "5a000000", "5af51001", "aa01")
    assert challenges[1] != challenges[4]


# ----------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("why", "commands", "last"),
    [
        ("no such application", ["5af51002"], "a0"),
        ("no such key", ["5af51001", "aa04"], "40"),
        ("key of another kind", ["5af51001", "1a00"], "ae"),
        ("too short", ["aa"], "7e"),
        ("proof too short", ["aa00", "af00"], "7e"),
        ("something else between", ["aa00", "60"], "ca"),
        ("nothing to continue", ["af"], "1c"),
        ("unknown command", ["99"], "1c"),
        ("not its master", ["fc"], "ae"),
        ("nobody may see the UID", ["51"], "ae"),
        ("no list from inside", ["5af51001", "6a"], "9d"),
        ("created twice", ["caf510010f81"], "de"),
        ("no kind of key", ["caf510020fc1"], "9e"),
        ("no keys", ["caf510020f80"], "9e"),
        ("key change without a session", ["c400" + "00" * 24], "ae"),
    ],
)
def test_what_may_not_be_is_refused_and_remembered_nowhere(
    why: str, commands: list[str], last: str
) -> None:
    one = chip()
    assert told(one, *commands)[-1] == last, why
    assert (one.session, one.memory) == (None, (PICC, APP))


def test_an_error_ends_the_session() -> None:
    desk = Desk(chip(), 0, KEYS[0].content)
    assert desk.ask("6409") == "40"
    assert desk.chip.session is None
    assert desk.settings(0x0F) == "ae"


def test_selection_and_loss_of_power_end_the_session() -> None:
    desk = Desk(chip(), 0, KEYS[0].content)
    told(desk.chip, "5af51001")
    assert desk.chip.session is None
    desk = Desk(chip(), 0, KEYS[0].content)
    desk.chip.power_on()
    assert (desk.chip.session, desk.chip.selected.aid) == (None, PICC_AID)


def test_a_locked_card_lists_and_creates_for_its_master_alone() -> None:
    locked = chip(replace(PICC, settings=0x00), APP)
    assert told(locked, "6a", "caf510020f81", "45") == ["ae", "ae", "ae"]
    desk = Desk(locked, 0, bytes(16), aid=PICC_AID)
    assert desk.ask("6a") == "00f51001"
    assert desk.ask("caf510020f81") == "00"
    assert [one.aid.hex() for one in locked.memory] == ["000000", "f51001", "f51002"]


def test_many_applications_are_listed_in_several_frames_and_29_are_too_many() -> None:
    one = chip(PICC)
    for number in range(APPLICATIONS_MAX):
        assert told(one, f"caf500{number:02x}0f81") == ["00"]
    assert told(one, "caf5ff000f81") == ["ce"]
    first, second = told(one, "6a", "af")
    assert (first[:2], len(first) // 2 - 1) == ("af", 3 * AIDS_PER_FRAME)
    assert (second[:2], len(second) // 2 - 1) == ("00", 3 * (APPLICATIONS_MAX - AIDS_PER_FRAME))


# ---------------------------------------------------------------------------------------- key rules

NEW = bytes(range(100, 116))


def test_the_master_key_changes_another_key_and_the_session_goes_on() -> None:
    desk = Desk(chip(), 0, KEYS[0].content)
    assert desk.change(2, NEW, KEYS[2].content) == "00"
    assert desk.chip.selected == APP.with_key(2, DesfireKey(NEW, version=7))
    assert desk.ask("6402") == "0007"


def test_changing_the_own_key_ends_the_session() -> None:
    desk = Desk(chip(), 0, KEYS[0].content)
    assert desk.change(0, NEW, KEYS[0].content) == "00"
    assert desk.chip.selected == APP.with_key(0, DesfireKey(NEW, version=7))
    assert desk.chip.session is None
    assert Desk(desk.chip, 0, NEW).answer[0] == 0x00


@pytest.mark.parametrize(
    ("settings", "session_key", "changed", "answer"),
    [
        (0x0F, 1, 2, "ae"),
        (0x1F, 1, 2, "00"),
        (0x1F, 0, 2, "ae"),
        (0xEF, 2, 2, "00"),
        (0xEF, 0, 2, "ae"),
        (0xFF, 0, 2, "9d"),
        (0xFF, 0, 0, "00"),
        (0x0E, 0, 0, "9d"),
        (0x0F, 1, 0, "ae"),
        (0x0F, 0, 9, "40"),
    ],
)
def test_who_may_change_which_key_is_what_the_settings_say(
    settings: int, session_key: int, changed: int, answer: str
) -> None:
    one = chip(PICC, replace(APP, settings=settings))
    desk = Desk(one, session_key, KEYS[session_key].content)
    before = one.memory
    assert desk.change(changed, NEW, KEYS[min(changed, 3)].content) == answer
    assert (one.memory != before) is (answer == "00")


def test_a_wrong_belief_about_the_old_key_changes_nothing() -> None:
    desk = Desk(chip(), 0, KEYS[0].content)
    assert desk.change(2, NEW, KEYS[3].content) == "1e"
    assert desk.chip.selected == APP


def test_settings_change_until_they_are_frozen() -> None:
    desk = Desk(chip(), 0, KEYS[0].content)
    assert desk.settings(0x01) == "00"
    assert desk.chip.selected.settings == 0x01
    assert desk.settings(0x0F) == "9d"
    assert desk.chip.selected.settings == 0x01


def test_a_changed_bit_in_a_key_change_changes_nothing() -> None:
    for place in range(32):
        desk = Desk(chip(), 0, KEYS[0].content)
        content = xor(NEW, KEYS[2].content) + b"\x07"
        plain = content + crc32_nxp(b"\xc4\x02" + content) + crc32_nxp(NEW)
        secret = bytearray(desk.key.encrypted(plain + bytes(7), bytes(16)))
        secret[place] ^= 1
        assert told(desk.chip, "c402" + secret.hex()) == ["1e"], place
        assert desk.chip.memory == (PICC, APP)


def test_a_changed_bit_in_a_change_of_the_own_key_or_the_settings_changes_nothing() -> None:
    """Where no second CRC stands behind the first."""
    for head, content in ((b"\xc4\x00", NEW + b"\x07"), (b"\x54", b"\x01")):
        plain = content + crc32_nxp(head + content)
        plain += bytes(-len(plain) % 16)
        for place in range(len(plain)):
            desk = Desk(chip(), 0, KEYS[0].content)
            secret = bytearray(desk.key.encrypted(plain, bytes(16)))
            secret[place] ^= 1
            assert told(desk.chip, (head + secret).hex()) == ["1e"], (head, place)
            assert desk.chip.memory == (PICC, APP)


def test_formatting_leaves_the_cards_own_key() -> None:
    desk = Desk(chip(), 0, bytes(16), aid=PICC_AID)
    assert desk.ask("fc") == "00"
    assert desk.chip.memory == (PICC,)


def test_a_deleted_application_is_gone_and_the_others_stay() -> None:
    desk = Desk(chip(), 0, KEYS[0].content)
    assert desk.ask("daf51001") == "00"
    assert desk.chip.memory == (PICC,)
    assert told(desk.chip, "5af51001") == ["a0"]


def test_a_card_from_the_factory_has_a_des_key_of_zeros() -> None:
    assert FACTORY_MASTER.keys[0].kind is KeyKind.TWO_KEY_3DES
    one = Desfire(UID, counted())
    assert told(one, "aa00")[0] == "ae"
    assert len(bytes.fromhex(told(one, "1a00")[0])) == 1 + 8
