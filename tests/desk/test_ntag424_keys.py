"""NTAG 424 under EV2 secure messaging: the published figures, and answers that are not believed."""

from __future__ import annotations

import pytest

from interlock.cards.ntag424 import Session
from interlock.desk.ntag424_keys import CHANGE_KEY, Channel, crc32_nxp, key_material

pytestmark = pytest.mark.fast

# AN12196 rev. 2.0, tables 25 and 26: one session, command counter 2 and then 3.
SESSION = Session(
    bytes.fromhex("7614281A"),
    encryption_key=bytes.fromhex("4CF3CB41A22583A61E89B158D252FC53"),
    mac_key=bytes.fromhex("5529860B2FC5FB6154B7F28361D30BF9"),
)
NEW = bytes.fromhex("F3847D627727ED3BC9C4CC050489B966")
NEW_MASTER = bytes.fromhex("5004BF991F408672B1EF00F08F9E8647")
COMMAND = bytes.fromhex(
    "90C4000029022CF362B7BF4311FF3BE1DAA295E8C68DE09050560D19B9E16C2393AE9CD1FAC75D0CE20BCD1D06E600"
)
ANSWER = bytes.fromhex("203BB55D1089D5879100")
MASTER_COMMAND = bytes.fromhex(
    "90C400002900C0EB4DEEFEDDF0B513A03A95A75491818580503190D4D05053FF75668A01D6FDA6610234BDED643200"
)


def test_the_crc_is_the_published_one() -> None:
    assert crc32_nxp(NEW) == bytes.fromhex("789DFADC")


def test_changing_another_key_is_the_published_command_and_its_answer_is_believed() -> None:
    channel = Channel(SESSION, counter=2)
    material = key_material(2, bytes(16), NEW, 1)
    assert material == NEW + b"\x01" + bytes.fromhex("789DFADC")
    assert channel.sealed(CHANGE_KEY, b"\x02", material) == COMMAND
    assert channel.opened(ANSWER) == b""
    assert channel.counter == 3


def test_changing_the_sessions_own_key_is_the_published_command() -> None:
    material = key_material(0, bytes(16), NEW_MASTER, 1)
    assert Channel(SESSION, counter=3).sealed(CHANGE_KEY, b"\x00", material) == MASTER_COMMAND


def test_another_old_key_changes_the_material_and_not_its_check() -> None:
    """The published figures have an old key of zeros, which hides the XOR."""
    old = bytes(range(16))
    material = key_material(2, old, NEW, 1)
    assert bytes(a ^ b for a, b in zip(material[:16], old, strict=True)) == NEW
    assert material[16:] == key_material(2, bytes(16), NEW, 1)[16:]


@pytest.mark.parametrize("bit", range(80))
def test_an_answer_with_one_wrong_bit_is_not_believed(bit: int) -> None:
    wrong = bytearray(ANSWER)
    wrong[bit // 8] ^= 1 << bit % 8
    assert Channel(SESSION, counter=2).opened(bytes(wrong)) is None


@pytest.mark.parametrize("answer", ["", "91", "9100", "91ae", "00" * 9, ANSWER.hex() + "00"])
def test_an_answer_of_another_shape_is_not_believed(answer: str) -> None:
    assert Channel(SESSION, counter=2).opened(bytes.fromhex(answer)) is None


def test_an_answer_of_the_command_before_is_not_believed_again() -> None:
    channel = Channel(SESSION, counter=2)
    assert channel.opened(ANSWER) == b""
    assert channel.opened(ANSWER) is None
