"""The real demo: separate processes, their faults, and nothing left of it however it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.config import load_node
from interlock.config.secret_files import read_hub_access
from interlock.sim.card_tray import CardKind
from interlock.sim.demo_badges import TWO_AT_ONCE, offers
from interlock.sim.demo_machines import (
    INTERLOCK_LABELS,
    MACHINES,
    DemoMachine,
    MachineFolder,
    node_toml,
)
from interlock.sim.lab import TRAY
from interlock.sim.panel_server import Fittings, Gate, fittings_of
from tests.sim.demos import RunningDemo, alive, naming
from tests.test_cli import shell
from tests.waiting import wait_until

pytestmark = pytest.mark.real

NAMES = [machine.id for machine in MACHINES]


@pytest.fixture(scope="module")
def demo() -> Iterator[RunningDemo]:
    with tempfile.TemporaryDirectory(prefix="il-") as folder:
        demo = RunningDemo(Path(folder))
        yield demo
        demo.end()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="il-") as path:
        yield Path(path)


# ------------------------------------------------------------------------------ without processes


@pytest.mark.parametrize("machine", MACHINES, ids=NAMES)
def test_the_file_of_each_machine_is_one_a_node_accepts(machine: DemoMachine, folder: Path) -> None:
    files = MachineFolder(folder / 'with "quotes" and é')
    files.path.mkdir()
    files.node_toml.write_text(node_toml(machine, files))
    config = load_node(files.node_toml)
    assert config.machine.badge_use == machine.badge_use
    assert config.paths.socket == files.control_socket
    assert config.sync.credentials_file == files.sync_access


def test_the_machines_show_between_them_everything_that_can_hang_on_one(folder: Path) -> None:
    fitted = {}
    for machine in MACHINES:
        files = MachineFolder(folder / machine.id)
        files.path.mkdir()
        files.node_toml.write_text(node_toml(machine, files))
        config = load_node(files.node_toml)
        fitted[machine.id] = fittings_of(config, machine.screen, INTERLOCK_LABELS)
    lid, fire = Gate("Lid", INTERLOCK_LABELS["Lid"]), Gate("Fire", INTERLOCK_LABELS["Fire"], True)
    assert fitted == {
        "saw": Fittings("lcd", "trainer", bypass_key=True, coast_s=8),
        "laser": Fittings(
            "oled", "long_job", extraction=True, watches_start=True, gates=(lid, fire)
        ),
        "printer": Fittings("oled", "long_job"),
    }
    assert all(label.keys() >= {"en", "fr"} for label in INTERLOCK_LABELS.values())


def test_every_badge_of_the_tray_says_in_both_languages_what_to_expect() -> None:
    shown = offers()
    assert len(shown) == len(TRAY) + 1
    assert all(offer.hint.keys() >= {"en", "fr"} for offer in shown)
    assert len({offer.label + offer.hint["en"] for offer in shown}) == len(shown)
    assert {offer.label for offer in shown if offer.made_of and offer.group == "secure"} == {
        one.holder for one in TRAY if one.kind in (CardKind.DESFIRE, CardKind.NTAG424)
    }
    assert len(shown[-1].uids) == len(TWO_AT_ONCE)


def test_a_folder_with_other_things_in_it_is_not_erased(folder: Path) -> None:
    (folder / "thesis.odt").write_text("years of work")
    done = shell("demo", "--port", "0", "--dir", str(folder))
    assert done.returncode == 3
    assert "thesis.odt" in done.stderr
    assert (folder / "thesis.odt").read_text() == "years of work"


def test_a_folder_whose_path_is_too_long_for_a_socket_is_refused_at_once(folder: Path) -> None:
    done = shell("demo", "--port", "0", "--dir", str(folder / ("x" * 80)))
    assert done.returncode == 3
    assert "socket" in done.stderr
    assert naming(folder) == []


def test_a_taken_port_is_said_at_once_and_nothing_is_left(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = shell("demo", "--port", str(port), "--dir", str(folder))
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert naming(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ended_in_the_middle_of_its_start_it_leaves_nothing_and_keep_begins_anew(
    folder: Path, number: int
) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "interlock", "demo", "--port", "0", "--dir", str(folder)],
        stderr=subprocess.PIPE,
        text=True,
    )
    with demo:
        assert demo.stderr is not None
        assert demo.stderr.readline() == "Making a sample lab …\n"
        wait_until(lambda: len(naming(folder)) > 1, 10, "its first processes run")
        demo.send_signal(number)
    wait_until(lambda: not naming(folder), 10, "no process is left")
    second = RunningDemo(folder, "--keep")
    assert second.machine("saw").status()["journal"]["head"]["epoch"] == 1
    assert second.end() == 0


# ------------------------------------------------------------------------------- one running demo


def test_every_address_it_prints_answers(demo: RunningDemo) -> None:
    assert len(demo.addresses) == 3
    for address in demo.addresses:
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert answer.status == 200


def test_hub_worlds_nodes_and_syncs_are_processes_of_their_own(demo: RunningDemo) -> None:
    lines = alive(demo.family)
    for verb in ("sim world", "sim node", "sync run"):
        assert sum(f"interlock {verb}" in line for line in lines) == len(MACHINES)
    assert sum("interlock hub run" in line for line in lines) == 1


@pytest.mark.parametrize("name", NAMES)
def test_every_machine_is_ready_and_knows_its_rights(demo: RunningDemo, name: str) -> None:
    status = demo.machine(name).status()
    assert status["state"] == "locked"
    assert status["cache"]["version"] is not None
    assert status["clock"]["trusted"] is True


def test_a_session_is_delivered_to_the_hub(demo: RunningDemo) -> None:
    saw = demo.machine("saw")
    saw.use()
    wait_until(lambda: saw.unsent() == 0, 10, "everything is acknowledged")


def test_an_unplugged_machine_works_on_and_delivers_once_plugged_in_again(
    demo: RunningDemo,
) -> None:
    saw = demo.machine("saw")
    wait_until(lambda: saw.unsent() == 0, 10)
    demo.fault("unplug", "saw")
    saw.use()
    waiting = saw.unsent()
    assert waiting is not None
    assert waiting >= 2
    demo.fault("unplug", "saw", on=False)
    wait_until(lambda: saw.unsent() == 0, 15, "everything is acknowledged")


def test_power_cut_in_mid_session_opens_the_relay_and_boots_anew(demo: RunningDemo) -> None:
    saw = demo.machine("saw")
    boot_id = saw.status()["boot_id"]
    saw.tap("trained")
    wait_until(lambda: saw.world()["contacts"], 10)
    demo.fault("cut_power", "saw")
    wait_until(lambda: not saw.world()["contacts"], 2, "the contactor has dropped")
    assert saw.status() == {}
    demo.fault("cut_power", "saw", on=False)
    status = wait_until(saw.status, 20, "the node answers")
    assert status["boot_id"] != boot_id
    assert status["boot_ms"] < 20_000
    assert status["state"] == "locked"
    assert not status["session_open"]
    assert not saw.world()["contacts"]


def test_a_frozen_node_loses_its_relay_and_is_started_again_by_the_watchdog(
    demo: RunningDemo,
) -> None:
    saw = demo.machine("saw")
    wait_until(lambda: saw.status().get("cache", {}).get("version"), 20)
    saw.tap("trained")
    wait_until(lambda: saw.world()["contacts"], 10)
    demo.fault("freeze_node", "saw")
    wait_until(lambda: not saw.world()["contacts"], 2, "the dynamic enable has dropped the coil")
    wait_until(saw.status, 20, "the node was started anew")
    assert not saw.world()["contacts"]


def test_a_killed_node_comes_back_within_seconds_with_its_relay_open(demo: RunningDemo) -> None:
    saw = demo.machine("saw")
    wait_until(lambda: saw.status().get("cache", {}).get("version"), 20)
    boot_ms = saw.status()["boot_ms"]
    saw.tap("trained")
    wait_until(lambda: saw.world()["contacts"], 10)
    demo.fault("kill_node", "saw")
    wait_until(lambda: not saw.world()["contacts"], 2, "the kernel has let the pins go")
    status = wait_until(saw.status, 15, "the node was started anew")
    assert status["boot_ms"] > boot_ms
    assert not status["session_open"]


def test_a_welded_saw_refuses_everybody_until_it_is_mended_and_a_technician_says_so(
    demo: RunningDemo,
) -> None:
    saw = demo.machine("saw")
    wait_until(lambda: saw.status().get("cache", {}).get("version"), 20)
    demo.post("/act", machine="saw", op="weld", on=True)
    saw.tap("trained")
    wait_until(lambda: saw.world()["contacts"], 10)
    demo.post("/act", machine="saw", op="push", button="stop")
    wait_until(lambda: saw.status().get("state") == "fault", 10, "welded")
    assert saw.world()["contacts"], "that is what welded means"
    demo.post("/act", machine="saw", op="weld", on=False)
    assert saw.status()["state"] == "fault", "mending alone clears nothing"
    demo.fault("clear_faults", "saw")
    wait_until(lambda: saw.status().get("state") == "locked", 10, "cleared")
    saw.use()


def test_a_stopped_hub_is_not_missed_and_comes_back_at_the_same_address(demo: RunningDemo) -> None:
    printer = demo.machine("printer")
    demo.fault("stop_hub")
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(demo.hub, timeout=5)
    printer.use()
    demo.fault("stop_hub", on=False)
    wait_until(lambda: printer.unsent() == 0, 25, "everything is acknowledged")
    with urllib.request.urlopen(demo.hub, timeout=10) as answer:
        assert answer.status == 200


def test_a_second_demo_in_the_same_folder_is_refused(demo: RunningDemo) -> None:
    done = shell("demo", "--port", "0", "--dir", str(demo.folder))
    assert done.returncode == 3
    assert "another demo runs" in done.stderr


# ---------------------------------------------------------------------------------- how it ends


def test_killed_it_leaves_nothing_and_keep_goes_on_where_it_was(folder: Path) -> None:
    first = RunningDemo(folder)
    saw = first.machine("saw")
    access = read_hub_access(saw.folder.sync_access)
    saw.use()
    records = saw.status()["journal"]["head"]
    first.end(signal.SIGKILL)
    wait_until(lambda: not alive(first.family), 10, "no process is left")
    assert naming(folder) == []
    second = RunningDemo(folder, "--keep")
    saw = second.machine("saw")
    again = read_hub_access(saw.folder.sync_access)
    assert (again.node, again.credential) == (access.node, access.credential)
    head = saw.status()["journal"]["head"]
    assert (head["epoch"], head["seq"]) > (records["epoch"], records["seq"])
    wait_until(lambda: saw.unsent() == 0, 15, "the kept hub takes the kept journal")
    assert second.end(signal.SIGINT) == 0
    assert alive(second.family) == []


def test_without_keep_it_begins_anew_and_sigterm_ends_it_as_ctrl_c_does(folder: Path) -> None:
    first = RunningDemo(folder)
    credential = read_hub_access(first.machine("saw").folder.sync_access).credential
    assert first.end(signal.SIGTERM) == 0
    assert alive(first.family) == []
    assert naming(folder) == []
    second = RunningDemo(folder)
    assert read_hub_access(second.machine("saw").folder.sync_access).credential != credential
    assert second.end(signal.SIGINT) == 0
    assert alive(second.family) == []
