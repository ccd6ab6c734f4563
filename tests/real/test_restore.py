"""A hub that dies and comes back from yesterday's back-up: machines work on, and it learns all it has missed, once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.real.accounts import check_books
from tests.real.lab import HUB, Lab, lab_from
from tests.waiting import wait_until

pytestmark = pytest.mark.real

FOLLOWED_S = 90.0
"""A reconnection backs off for up to a minute."""


def hub_command(*arguments: str) -> str:
    command = [sys.executable, "-m", "interlock", "hub", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=480)
    return done.stdout.strip()


def worked(lab: Lab) -> None:
    lab.locked()
    lab.tap_on()
    lab.tap_off()


def hub_epoch(lab: Lab) -> int:
    version = lab.status().get("cache", {}).get("version")
    return int(version[0]) if version else 0


def test_a_restored_hub_is_followed_by_itself_and_gets_every_record_once(template: Path) -> None:
    with lab_from(template) as lab:
        lab.start()
        hub, backup, key = lab.root / "hub", lab.root / "hub.backup", lab.root / "backup.key"
        worked(lab)
        lab.delivered()
        key.write_text(hub_command("backup-key", "--dir", str(hub)) + "\n")
        hub_command("backup", str(backup), "--dir", str(hub), "--key-file", str(key))
        worked(lab)
        before, epoch = lab.delivered(), hub_epoch(lab)
        lab.manager.cut(HUB)
        worked(lab)

        hub.rename(lab.root / "dead")
        hub_command("restore", str(backup), "--dir", str(hub), "--key-file", str(key))
        assert len(lab.sessions()) == 1, "the back-up is older than the second session"
        lab.start_hub()
        wait_until(lambda: len(lab.sessions()) == 3, FOLLOWED_S, "what the hub has missed")
        wait_until(lambda: hub_epoch(lab) > epoch, FOLLOWED_S, "a list of the restored hub")
        assert [one.hash for one in lab.delivered()][: len(before)] == [one.hash for one in before]
        worked(lab)
        assert len(check_books(lab)) == 4
