"""Changes of another process reach every waiting client; a hub that was put back is believed again. Real processes."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.clock import perf_us
from tests.bench.fan_out import Changes, Clients, lab_with, point_at
from tests.hub import process
from tests.hub.process import HubFolder, HubProcess
from tests.waiting import wait_until

pytestmark = pytest.mark.real

CLIENTS = 6
MEMBERS = 6
TRAININGS = 3


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A lab with clients' files, made once; each test works on a copy."""
    with tempfile.TemporaryDirectory(prefix="il-fan-") as name:
        lab_with(Path(name), CLIENTS, MEMBERS, TRAININGS)
        yield Path(name)


@pytest.fixture
def site(template: Path) -> Iterator[tuple[Path, HubFolder]]:
    with tempfile.TemporaryDirectory(prefix="il-fan-") as name:
        path = Path(name)
        shutil.copytree(template, path, dirs_exist_ok=True)
        yield path, HubFolder(path / "hub", "", "")


def confirmed(folder: HubFolder) -> int:
    """How many clients the hub knows to decide by exactly the list it has for them."""
    return int(
        folder.count(
            "sum((s.node.confirmed_epoch, s.node.confirmed_counter) == (s.epoch, s.counter) for s in"
            " Snapshot.objects.filter(node__machine__slug__startswith='m').select_related('node'))"
        )
    )


def test_all_clients_refuse_what_another_process_took_away_and_the_hub_knows_it(
    site: tuple[Path, HubFolder],
) -> None:
    path, folder = site
    hub = HubProcess(folder)
    point_at(path, CLIENTS, hub.url)
    clients = Clients(path, CLIENTS, processes=1)
    changes = Changes(folder)
    try:
        clients.wait("ready", 0, 60.0)
        for number in range(3):
            applied = clients.wait("applied", changes.make(number), 30.0)
            assert {one["whole"] for one in applied} == {1}, "nobody needed the whole list again"
        wait_until(lambda: confirmed(folder) == CLIENTS, 30.0, "confirmations")
    finally:
        changes.close()
        clients.close()
        hub.stop()


NEVER_POLLS = """
import interlock.hub.watch
interlock.hub.watch.POLL_S = 600.0
"""
GIVE_NOTHING_ON_CREDIT = """
from interlock.hub.models import Payer
Payer.objects.filter(members__name="Member 1").update(prepays=True)
"""


def interlock_hub(folder: HubFolder, *arguments: str) -> None:
    """A command of the hub, in a process of its own as somebody types it, or as a timer starts it."""
    command = [sys.executable, "-m", "interlock", "hub", *arguments, "--dir", str(folder.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_hub_that_does_not_poll_tells_what_a_command_and_what_a_job_changed_at_once(
    site: tuple[Path, HubFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = site
    monkeypatch.setattr(
        process, "_RUN", process._RUN.replace("print(", f"exec({NEVER_POLLS!r}) or print(")
    )
    folder.run(GIVE_NOTHING_ON_CREDIT)
    hub = HubProcess(folder)
    point_at(path, CLIENTS, hub.url)
    clients = Clients(path, CLIENTS, processes=1)
    badges = path / "badges.csv"
    badges.write_text("member,badge\nMember 0,04FFFFFFFFFF01\n")
    try:
        clients.wait("ready", 0, 60.0)
        for arguments in (("import-badges", str(badges)), ("jobs", "--only", "credit")):
            began_us = perf_us()
            interlock_hub(folder, *arguments)
            applied = clients.wait("applied", began_us, 60.0)
            assert {one["whole"] for one in applied} == {1}
    finally:
        clients.close()
        hub.stop()


def test_a_hub_whose_database_was_put_back_is_believed_again_and_its_next_change_counts(
    site: tuple[Path, HubFolder],
) -> None:
    path, folder = site
    backup = path / "backup"
    hub = HubProcess(folder)
    point_at(path, CLIENTS, hub.url)
    clients = Clients(path, CLIENTS, processes=1)
    try:
        clients.wait("ready", 0, 60.0)
        hub.stop()
        shutil.copytree(folder.path, backup)
        # What happens now is lost: every client holds a list that the restored hub never made.
        port = int(hub.url.rsplit(":", 1)[1])
        hub = HubProcess(folder, port)
        lost = Changes(folder)
        clients.wait("applied", lost.make(0), 60.0)
        lost.close()
        hub.stop()
        shutil.rmtree(folder.path)
        shutil.copytree(backup, folder.path)
        hub = HubProcess(folder, port)
        new_epoch = wait_until(lambda: in_epoch(clients, 2), 60.0, "lists of the new epoch")
        assert {one["whole"] for one in new_epoch} == {2}, "no delta leads from a lost list"
        changes = Changes(folder)
        clients.wait("applied", changes.make(1), 30.0)
        changes.close()
        wait_until(lambda: confirmed(folder) == CLIENTS, 30.0, "confirmations")
    finally:
        clients.close()
        hub.stop()


def in_epoch(clients: Clients, epoch: int) -> list[dict[str, int]] | None:
    """What each client first said under that hub epoch, once all have."""
    first: dict[int, dict[str, int]] = {}
    for one in list(clients.said):
        if one["did"] == "applied" and one["version"][0] == epoch:
            first.setdefault(one["client"], one)
    return list(first.values()) if len(first) == clients.count else None
