"""`interlock hub close-month` and `verify-ledger` on a real hub's folder, also two at the same moment."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hub.process import HubFolder, make_folder
from tests.test_cli import shell

pytestmark = pytest.mark.real

CLOSE_S_MAX = 120
SESSIONS = 60
_A_MONTH = f"""
from datetime import timedelta
from zoneinfo import ZoneInfo
from django.db import transaction
from interlock.hub.billing import billable_day, reprice
lab, machine = Lab.objects.get(), Machine.objects.get(slug="saw")
TariffVersion.objects.update(vat_bp=2_000)
local = actor.now().astimezone(ZoneInfo(lab.time_zone))
began = local.replace(day=1, hour=9) - timedelta(days=10)
payers = [Payer.objects.create(lab=lab, name=f"Payer {{n:02}}") for n in range(30)]
with transaction.atomic():
    made = [
        Session.objects.create(lab=lab, machine=machine, node=machine.nodes.get(), epoch=99, seq=n,
            payer=payers[n % 30], tariff=machine.tariff, started_at=began,
            ended_at=began + timedelta(hours=1), start_boot_id="b", start_boot_ms=0,
            enabled_ms=3_600_000, how="tap_off")
        for n in range({SESSIONS})
    ]
    reprice(lab, {{billable_day(lab, one) for one in made}}, actor.now())
print(f"{{began:%Y-%m}} {{local:%Y-%m}}")
"""


@dataclass(frozen=True)
class Billed:
    """A hub with a month to close, and the one that runs; as `interlock` names months."""

    folder: HubFolder
    over: str
    running: str


@pytest.fixture(scope="module", name="billed")
def _billed() -> Iterator[Billed]:
    with tempfile.TemporaryDirectory(prefix="il-") as name:
        folder = make_folder(Path(name) / "hub")
        yield Billed(folder, *folder.run(_A_MONTH).split())


def test_a_month_is_closed_once_however_many_close_it_and_verifies(billed: Billed) -> None:
    at = ("--dir", str(billed.folder.path))
    early = shell("hub", "close-month", billed.running, *at)
    assert (early.returncode, early.stdout) == (3, "")
    assert "not over" in early.stderr
    command = [sys.executable, "-m", "interlock", "hub", "close-month", billed.over, *at]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [one.communicate(timeout=CLOSE_S_MAX) for one in both]
    (code, (out, _)), (other, (nothing, why)) = sorted(
        zip([one.returncode for one in both], said, strict=True), key=lambda done: done[0]
    )
    assert (code, other, nothing) == (0, 3, "")
    assert "closed already" in why
    printed = dict(line.split() for line in out.splitlines())
    assert (printed["statements"], printed["lines"]) == ("30", str(SESSIONS))
    verified = shell("hub", "verify-ledger", *at)
    assert (verified.returncode, verified.stdout) == (
        0,
        "30 statements, every one as it was issued\n",
    )
    _forge(billed.folder.path)
    found = shell("hub", "verify-ledger", *at)
    assert (found.returncode, found.stdout) == (1, "")
    assert "statement 000001 was altered" in found.stderr


def _forge(folder: Path) -> None:
    """Somebody with the file in hand takes the trigger away, writes, and puts it back."""
    with closing(sqlite3.connect(folder / "hub.db")) as database, database:
        (trigger,) = database.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'ledger_line_kept'"
        ).fetchone()
        database.execute("DROP TRIGGER ledger_line_kept")
        database.execute("UPDATE hub_line SET cents = cents - 1 WHERE statement_id IS NOT NULL")
        database.execute(trigger)
    database.close()
