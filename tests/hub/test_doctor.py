"""`interlock hub doctor`: what is well is said, what is broken is found, and each finding says what to do."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from interlock.findings import Finding, Verdict
from interlock.hub.authority import Certificates
from interlock.hub.backup import KEY_NAME
from interlock.hub.directory import HubConfig, HubDirectory
from interlock.hub.doctor import BACKUP_BAD, JOBS_BAD, examine
from interlock.hub.jobs.every import JOBS
from interlock.hub.models import JobRun, Lab, MailSettings
from interlock.sim.clocks import VirtualClock
from tests.hub.lab import small_lab
from tests.ports import free_port

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

NOW_MS = 1_800_000_000_000
NOW = datetime.fromtimestamp(NOW_MS / 1_000, UTC)


@pytest.fixture
def hub(tmp_path: Path) -> HubDirectory:
    """A folder of its own beside the tests' database: backed up an hour ago, with a certificate."""
    made = HubDirectory(tmp_path / "hub")
    made.create(HubConfig("Lab", backup_folder=str(tmp_path), node_port=free_port()))
    made.certificates(VirtualClock(wall_ms=NOW_MS)).ensure_server(["localhost"])
    (made.keys / KEY_NAME).write_text("key")
    backup = tmp_path / "interlock-2027-01-15-033000.backup"
    backup.write_bytes(b"")
    stamp = (NOW - timedelta(hours=1)).timestamp()
    os.utime(backup, (stamp, stamp))
    ran(small_lab().lab, NOW - timedelta(minutes=3))
    return made


def ran(lab: Lab, at: datetime, *, failed: bool = False, outcome: str = "") -> None:
    JobRun.objects.update_or_create(
        lab=lab,
        name=JOBS[0].name,
        defaults={
            "began_at": at, "ended_at": at, "due_at": at, "failed": failed, "outcome": outcome,
        },
    )  # fmt: skip


def look(hub: HubDirectory, at_ms: int = NOW_MS, port: int | None = None) -> dict[str, Finding]:
    found = examine(hub, VirtualClock(wall_ms=at_ms), port or free_port())
    return {one.name: one for one in found}


def bad(found: dict[str, Finding]) -> set[str]:
    return {name for name, one in found.items() if one.verdict is Verdict.BAD}


def test_only_doors_that_are_shut_are_wrong_with_a_hub_in_order(hub: HubDirectory) -> None:
    found = look(hub)
    assert bad(found) == {"people", "machines"}
    assert found["database"].what == "The database's pages are in order"
    assert found["backup"].what == "The last back-up is 1 hours old"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert bad(look(hub, port=listener.getsockname()[1])) == {"machines"}


def test_whatever_is_wrong_comes_with_what_to_do(hub: HubDirectory) -> None:
    found = look(hub, NOW_MS + 20 * 365 * 86_400_000)
    assert {"backup", "jobs", "certificates"} <= bad(found)
    for one in found.values():
        assert bool(one.remedy) == (one.verdict in (Verdict.BAD, Verdict.CARE)), one


def test_a_back_up_older_than_two_nights_is_bad_and_none_at_all_too(hub: HubDirectory) -> None:
    late = NOW_MS + BACKUP_BAD // timedelta(milliseconds=1)
    assert look(hub, late)["backup"].verdict is Verdict.BAD
    (old,) = Path(hub.config().backup_folder).glob("*.backup")
    old.unlink()
    assert look(hub)["backup"].what.startswith("There is no back-up in ")
    (hub.keys / KEY_NAME).unlink()
    assert look(hub)["backup"].verdict is Verdict.CARE


def test_background_work_that_stopped_or_failed_is_found(hub: HubDirectory) -> None:
    lab = Lab.objects.get()
    ran(lab, NOW - JOBS_BAD - timedelta(seconds=1))
    assert look(hub)["jobs"].verdict is Verdict.BAD
    ran(lab, NOW, failed=True, outcome="failed: OSError in smtp.py")
    found = look(hub)
    assert found["jobs"].verdict is Verdict.GOOD
    assert "failed: OSError in smtp.py" in found[f"job-{JOBS[0].name}"].what
    JobRun.objects.all().delete()
    new = look(hub)["jobs"]
    assert new.verdict is Verdict.CARE
    assert "within five minutes" in new.remedy, "a hub that was just installed is not scolded"


def test_a_clock_behind_what_the_hub_has_done_is_bad(hub: HubDirectory) -> None:
    assert "clock" not in bad(look(hub))
    found = look(hub, 1_000_000_000_000)
    assert found["clock"].verdict is Verdict.BAD
    assert "2023-11-14" in found["clock"].what


def test_a_key_that_others_can_read_is_bad(hub: HubDirectory) -> None:
    (hub.keys / "badge.key").chmod(0o644)
    found = look(hub)["keys"]
    assert found.verdict is Verdict.BAD
    assert "badge.key" in found.what
    assert "chmod 600" in found.remedy


def test_a_mail_server_that_does_not_answer_is_bad_and_one_that_does_is_good(
    hub: HubDirectory,
) -> None:
    assert look(hub)["mail"].verdict is Verdict.GOOD
    kept = MailSettings.objects.create(
        lab=Lab.objects.get(), backend=MailSettings.Backend.SMTP, host="127.0.0.1", port=free_port()
    )
    assert look(hub)["mail"].verdict is Verdict.BAD
    with socket.create_server(("127.0.0.1", kept.port)):
        assert look(hub)["mail"].verdict is Verdict.GOOD


def test_a_hub_without_a_certificate_is_told_to_start(hub: HubDirectory) -> None:
    Certificates(hub.keys, VirtualClock(wall_ms=NOW_MS)).server_file.unlink()
    assert look(hub)["certificates"].verdict is Verdict.UNKNOWN
