"""A stolen database clones no badge: the bytes on the disk are searched, after real processes wrote them."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from interlock.errors import ConfigError
from interlock.hub.directory import HubDirectory
from tests.hub.process import HubFolder, make_folder, running

pytestmark = pytest.mark.real

KEY = bytes.fromhex("c0ffee00c0ffee11c0ffee22c0ffee33")
UID = bytes.fromhex("04d1ce5eedba11")

_SET = f"""
from interlock.hub.domain import badges
from interlock.protocol.card_keys import CardSlot, Scheme
member = Member.objects.first()
badge = members.assign_badge(actor, member, bytes.fromhex("{UID.hex()}"), "genuine")
slot = CardSlot(Scheme.DESFIRE_AES, bytes.fromhex("f54952"), 1)
badges.set_card_key(actor, badge, slot, bytes.fromhex("{KEY.hex()}"), 7)
from interlock.hub.snapshots import refresh
refresh(Lab.objects.get())
print(bytes(CardKey.objects.get(badge=badge).sealed).hex())
"""


def forms(secret: bytes) -> list[bytes]:
    """The ways in which a program may write bytes down."""
    texts = (secret.hex(), secret.hex().upper(), base64.b64encode(secret).decode())
    return [secret, *(text.encode() for text in texts), str(list(secret)).encode()]


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Every byte of the hub but its keys/ folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "keys" not in path.parts and "nodes" not in path.parts
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> HubFolder:
    return make_folder(tmp_path_factory.mktemp("hub") / "hub")


def test_no_byte_of_the_database_is_a_card_key_or_a_uid(folder: HubFolder) -> None:
    sealed = bytes.fromhex(folder.run(_SET))
    found = bytes_of(folder.path)
    whole = b"".join(found.values())
    assert sealed in whole, "the search looks in the wrong place"
    for secret in (KEY, UID):
        for form in forms(secret):
            assert form not in whole


def test_card_key_is_a_file_of_its_own_that_only_its_owner_reads(folder: HubFolder) -> None:
    file = folder.path / "keys" / "card.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    master = HubDirectory(folder.path).card_key()
    assert not any(form in b"".join(bytes_of(folder.path).values()) for form in forms(master))


def test_a_hub_older_than_genuine_badges_gets_its_card_key_at_the_next_start(
    tmp_path: Path,
) -> None:
    old = make_folder(tmp_path / "hub")
    old.run("CardKey.objects.all().delete()")
    (old.path / "keys" / "card.key").unlink()
    with running(old):
        assert len(HubDirectory(old.path).card_key()) == 32


def test_a_hub_whose_card_key_is_gone_does_not_start_with_another(tmp_path: Path) -> None:
    """It could open no key any more, and would say so of every badge one by one."""
    hub = make_folder(tmp_path / "hub")
    hub.run(_SET)
    (hub.path / "keys" / "card.key").unlink()
    said = hub.run(
        """
from interlock.errors import ConfigError
try:
    commands.migrate(Path(sys.argv[1]))
except ConfigError as error:
    print(error)
"""
    )
    assert "card.key" in said
    assert "back-up" in said
    with pytest.raises(ConfigError):
        HubDirectory(hub.path).card_key()
