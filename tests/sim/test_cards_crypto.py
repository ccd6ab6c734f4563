"""The ciphers of card models against published vectors: NIST, NXP's application notes."""

from __future__ import annotations

import pytest

from interlock.sim.card_crypto import (
    CardCipher,
    KeyKind,
    aes,
    crc32_nxp,
    diversified,
    iso_padded,
    iso_unpadded,
    rotated,
    unrotated,
)

pytestmark = pytest.mark.fast


def hex_(text: str) -> bytes:
    return bytes.fromhex(text)


NIST_KEY = hex_("2b7e151628aed2a6abf7158809cf4f3c")
NIST_MESSAGE = hex_(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)


@pytest.mark.parametrize(
    ("length", "mac"),
    [
        (0, "bb1d6929e95937287fa37d129b756746"),
        (16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (40, "dfa66747de9ae63030ca32611497c827"),
        (64, "51f0bebf7e3b9d92fc49741779363cfe"),
    ],
)
def test_cmac_is_that_of_sp_800_38b(length: int, mac: str) -> None:
    assert aes(NIST_KEY).cmac(NIST_MESSAGE[:length]).hex() == mac


def test_cbc_is_that_of_sp_800_38a() -> None:
    start = bytes(range(16))
    secret = aes(NIST_KEY).encrypted(NIST_MESSAGE[:32], start)
    assert secret.hex() == "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"
    assert aes(NIST_KEY).decrypted(secret, start) == NIST_MESSAGE[:32]


def test_a_des_key_is_a_triple_des_key_of_equal_halves() -> None:
    """DES of zeros under a key of zeros (FIPS 81 practice)."""
    cipher = CardCipher(KeyKind.TWO_KEY_3DES, bytes(16))
    assert cipher.encrypted(bytes(8), bytes(8)).hex() == "8ca64de9c1b123a7"
    assert cipher.decrypted(hex_("8ca64de9c1b123a7"), bytes(8)) == bytes(8)


def test_a_badges_key_is_that_of_an10922() -> None:
    site_key = hex_("00112233445566778899aabbccddeeff")
    uid, aid, system = hex_("04782e21801d80"), hex_("3042f5"), hex_("4e585020416275")
    assert diversified(site_key, uid, aid, system).hex() == "a8dd63a3b89d54b37ca802473fda9175"
    assert diversified(site_key, hex_("04782e21801d81"), aid, system).hex()[:8] != "a8dd63a3"


def test_the_longest_input_of_an10922_is_31_bytes() -> None:
    assert len(diversified(bytes(16), bytes(7), bytes(3), bytes(21))) == 16
    with pytest.raises(ValueError, match="31 are the limit"):
        diversified(bytes(16), bytes(7), bytes(3), bytes(22))


def test_the_crc_of_a_key_is_that_of_an12196() -> None:
    assert crc32_nxp(hex_("f3847d627727ed3bc9c4cc050489b966")).hex() == "789dfadc"


def test_padding_is_taken_off_exactly_and_only_when_it_is_there() -> None:
    for length in range(40):
        content = bytes((0x80,)) * length
        padded = iso_padded(content, 16)
        assert (len(padded) % 16, iso_unpadded(padded)) == (0, content)
    assert iso_unpadded(bytes(16)) is None
    assert iso_unpadded(b"\x01") is None


def test_rotation_goes_one_byte_to_the_left() -> None:
    assert rotated(b"\x01\x02\x03") == b"\x02\x03\x01"
    assert unrotated(rotated(b"\x01\x02\x03")) == b"\x01\x02\x03"
