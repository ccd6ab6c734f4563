"""Erasing somebody on real processes: no byte of a live file of hub or node names them, their badge is nobody's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.real.lab import Lab, lab_from
from tests.waiting import wait_until

pytestmark = pytest.mark.real

ERASE = """
import sys
from pathlib import Path
from interlock.clock import SystemClock
from interlock.hub import commands
commands.open_hub(Path(sys.argv[1]))
from interlock.hub.domain.erasure import erase_member
from interlock.hub.models import Member
from interlock.hub.permissions import Actor
erase_member(Actor(SystemClock()), Member.objects.get(public_id=sys.argv[2]), "asked for it")
"""
FORGET_S = 60.0


def words_of(lab: Lab) -> list[bytes]:
    """Whatever names the member whose badge is "trained": as text, and as the bytes of tags."""
    [member] = lab.sql("SELECT * FROM hub_member WHERE name = 'Camille Laurent'")
    badges = lab.sql(f"SELECT tag FROM hub_badge WHERE member_id = {member['id']}")
    tags = [bytes(badge["tag"]) for badge in badges]
    spoken = [member["name"], member["email"], member["public_id"], *(tag.hex() for tag in tags)]
    return [*(word.encode() for word in spoken if word), *tags]


def found(folder: Path, words: list[bytes]) -> dict[str, list[bytes]]:
    """Which files of `folder` hold which of the words."""
    told = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            hits = [word for word in words if word in content]
            if hits:
                told[str(path.relative_to(folder))] = hits
    return told


def test_an_erased_member_is_in_no_byte_of_hub_and_node_and_the_chains_hold(template: Path) -> None:
    with lab_from(template) as lab:
        lab.start()
        wait_until(lab.has_rights, 30, "a node with rights")
        lab.locked()
        lab.tap_on()
        lab.tap_off()
        before = [record.hash for record in lab.delivered()]
        words = words_of(lab)
        hub, node = lab.root / "hub", lab.root / "machine"
        assert len(words) >= 4
        assert "hub.db" in found(hub, words) or "hub.db-wal" in found(hub, words)
        assert any(name.startswith("state/journal") for name in found(node, words)), found(
            node, words
        )
        [member] = lab.sql("SELECT public_id FROM hub_member WHERE name = 'Camille Laurent'")
        public_id = member["public_id"]
        subprocess.run([sys.executable, "-c", ERASE, str(hub), public_id], check=True, timeout=480)
        assert found(hub, words) == {}
        wait_until(lambda: found(node, words) == {}, FORGET_S, "a node that forgets")
        assert [record.hash for record in lab.journal()][: len(before)] == before
        assert [record.hash for record in lab.hub_journal()][: len(before)] == before
        lab.tap()
        lab.shows("UNKNOWN_BADGE")
        assert len(lab.spans("relay")) == 1
