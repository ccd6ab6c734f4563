"""systemd/: every unit says only what systemd understands, is hardened as promised, and keeps its rules."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.sim.supervised import JOBS_NICE, NODE_NICE, SYNC_NICE

pytestmark = [
    pytest.mark.fast,
    pytest.mark.skipif(
        shutil.which("systemd-analyze") is None, reason="this computer has no systemd-analyze"
    ),
]

UNITS = Path(__file__).parent.parent / "systemd"
NODE = "interlock-node.service"
EXPOSURE_MAX = {NODE: 20}
"""Tenths of the exposure level of systemd-analyze; what can close a relay has less than the others."""
EXPOSURE_MAX_OTHERS = 25
PROGRAM = "/opt/interlock/current/venv/bin/interlock"
ONCE = "interlock-rollback.service"
"""Runs at boot after an interrupted upgrade, and only then."""
FIRST_BOOT = "interlock-firstboot.service"
"""Runs where the hub's file lies on the card, and ends; what can be tried again it tries by itself."""
BY_TIMER = ("interlock-backup.service", "interlock-hub-jobs.service")
"""Started by the timer of the same name, each time for one piece of work."""


def services() -> list[str]:
    return sorted(path.name for path in UNITS.glob("*.service"))


def copy_units(folder: Path) -> None:
    shutil.copytree(UNITS, folder, ignore=shutil.ignore_patterns("install"))


def verify(folder: Path) -> subprocess.CompletedProcess[str]:
    """What systemd says of the units in `folder`, with a program in place that exists here."""
    for unit in folder.iterdir():
        unit.write_text(unit.read_text().replace(PROGRAM, sys.executable))
    return subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=yes", *map(str, folder.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )


def keys(unit: str) -> dict[str, str]:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # systemd's keys have capitals
    parser.read_string((UNITS / unit).read_text())
    return dict(parser["Service"])


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    folder = tmp_path / "units"
    copy_units(folder)
    verdict = verify(folder)
    assert (verdict.returncode, verdict.stderr) == (0, "")


def test_an_unknown_key_would_be_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "units"
    copy_units(folder)
    unit = folder / NODE
    unit.write_text(unit.read_text().replace("[Service]\n", "[Service]\nWatchdogSecs=2\n"))
    assert verify(folder).returncode != 0


@pytest.mark.parametrize("unit", services())
def test_a_unit_is_as_closed_as_promised(unit: str) -> None:
    limit = EXPOSURE_MAX.get(unit, EXPOSURE_MAX_OTHERS)
    verdict = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", f"--threshold={limit}", UNITS / unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verdict.returncode == 0, verdict.stdout[-200:]


def test_the_node_has_no_network_and_a_watchdog_and_a_safe_end() -> None:
    node = keys(NODE)
    assert node["RestrictAddressFamilies"] == "AF_UNIX"
    assert node["PrivateNetwork"] == "yes"
    assert node["IPAddressDeny"] == "any"
    assert (node["Type"], node["WatchdogSec"], node["TimeoutAbortSec"]) == ("notify", "2", "1")
    assert node["ExecStopPost"].startswith(f"{PROGRAM} node safe-state")
    assert node["LimitMEMLOCK"] == "infinity"
    assert node["DevicePolicy"] == "closed"


def test_sync_touches_no_device_and_cannot_read_the_node_s_files() -> None:
    sync = keys("interlock-sync.service")
    assert sync["PrivateDevices"] == "yes"
    assert "SupplementaryGroups" not in sync
    assert keys(NODE)["UMask"] == "0077"


def test_sync_sees_its_own_credential_and_a_copy_of_the_wiring_and_nothing_else_of_etc_interlock() -> (
    None
):
    text = (UNITS / "interlock-sync.service").read_text()
    assert "TemporaryFileSystem=/etc/interlock:ro" in text
    assert "BindReadOnlyPaths=/etc/interlock/sync.json\n" in text
    assert "LoadCredential=node.toml:/etc/interlock/node.toml\n" in text
    assert "--config %d/node.toml" in keys("interlock-sync.service")["ExecStart"]
    assert "node.json" not in text


@pytest.mark.parametrize(
    ("unit", "nice"),
    [(NODE, NODE_NICE), ("interlock-sync.service", SYNC_NICE), (BY_TIMER[1], JOBS_NICE)],
)
def test_the_demo_s_service_manager_is_as_nice_as_systemd(unit: str, nice: int) -> None:
    assert int(keys(unit)["Nice"]) == nice


def test_the_builder_of_badge_lists_may_make_itself_nicer() -> None:
    """It calls os.nice(); a filter that forbids it leaves a node without any badge (seen in tests/nspawn)."""
    lines = (UNITS / NODE).read_text().splitlines()
    forbidden = lines.index("SystemCallFilter=~@privileged @resources")
    assert "SystemCallFilter=nice setpriority" in lines[forbidden:]


@pytest.mark.parametrize("unit", services())
def test_the_boot_s_id_can_be_read(unit: str) -> None:
    """ProcSubset=pid hides /proc/sys/kernel/random/boot_id, without which there is no clock (clock.py)."""
    assert "ProcSubset" not in keys(unit)


def test_an_interrupted_upgrade_is_settled_at_boot_and_never_otherwise() -> None:
    text = (UNITS / ONCE).read_text()
    assert "ConditionPathExists=/opt/interlock/unconfirmed\n" in text
    assert keys(ONCE)["Type"] == "oneshot"


@pytest.mark.parametrize(
    "unit", [unit for unit in services() if unit not in (ONCE, FIRST_BOOT, *BY_TIMER)]
)
def test_a_unit_is_started_again_for_ever(unit: str) -> None:
    assert keys(unit)["Restart"] == "always"
    assert "StartLimitIntervalSec=0" in (UNITS / unit).read_text()


def test_a_first_boot_that_waits_for_a_click_holds_up_no_boot_and_no_card_without_the_file() -> (
    None
):
    text = (UNITS / FIRST_BOOT).read_text()
    assert "ConditionPathExists=/boot/firmware/interlock.toml\n" in text
    first = keys(FIRST_BOOT)
    assert (first["Type"], first["Restart"]) == ("exec", "no")
    assert "DeviceAllow=char-i2c rw\n" in text
    assert "gpio" not in text, "nothing but the node may touch a relay's pin"


@pytest.mark.parametrize("unit", BY_TIMER)
def test_work_at_times_has_its_timer_and_ends(unit: str) -> None:
    timer = (UNITS / unit).with_suffix(".timer").read_text()
    assert "[Timer]\n" in timer
    assert "WantedBy=timers.target" in timer
    assert keys(unit)["Type"] == "oneshot"
    assert "Restart" not in keys(unit)
    # Only the timer starts it: enabled by itself it would run at every boot.
    assert "[Install]" not in (UNITS / unit).read_text()


def test_a_missed_backup_is_made_as_soon_as_the_computer_is_on() -> None:
    timer = (UNITS / "interlock-backup.timer").read_text()
    assert "Persistent=true\n" in timer
    assert keys("interlock-backup.service")["ExecStart"].startswith(f"{PROGRAM} hub backup ")
