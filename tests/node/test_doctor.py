"""The doctor says what is wrong, only what is wrong, and what to do about it."""

from __future__ import annotations

import copy
import gettext
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from interlock.config import NodeConfig, digest, parse_node, warnings
from interlock.errors import LinkError
from interlock.findings import Finding, Verdict
from interlock.node.doctor import Node, ask_node, examine_node
from interlock.node.doctor_pi import PERSIST, WALLS, Pi, examine_pi
from interlock.node.panel import DOMAIN, LOCALE_DIR
from interlock.protocol.control import Op
from tests.node.node_rig import NodeBench

pytestmark = pytest.mark.fast

DOCUMENT: dict[str, Any] = {
    "machine": {"name": "Saw", "restart_protection": "no_volt_release"},
    "relay": {"pin": 17, "dynamic_enable_pin": 27},
    "inputs": {
        "stop_button": {"pin": 5},
        "emergency_stop": {"pin": 12},
        "mirror_contact": {"pin": 13},
        "bypass_key": {"pin": 26},
    },
    "interlocks": [{"name": "Lid", "pin": 19}],
}
HOUR_MS = 3_600_000

Tree = dict[str, Any]


def config_of(folder: Path) -> NodeConfig:
    return parse_node({**DOCUMENT, "paths": {"state_dir": str(folder)}})


def healthy(config: NodeConfig) -> Node:
    status = {
        "state": "locked",
        "software": "0.1.0",
        "config_digest": digest(config),
        "faults": [],
        "late_us_max": 900,
        "reader": "ok",
        "reader_chip": "MFRC522 v2",
        "journal": {"state": "ok", "unsent": 3},
        "cache": {"version": [1, 7], "age_s": 40},
        "clock": {"trusted": True},
        "hub_told_s": 12,
        "relay_on": False,
        "inputs": {
            "emergency_stop_closed": True,
            "stop_pressed": False,
            "mirror_closed": True,
            "bypass_on": False,
            "interlocks_closed": [True],
        },
        "commissioned": {"id": "c1", "by": "Fatou", "same_wiring": True, "open": []},
        "break_glass": "ready",
    }
    metrics = {
        "enable": {"turns": 900, "gap_ms_max": 22},
        "written_bytes": 1_000_000,
        "process_ms": HOUR_MS,
    }
    return Node(status, metrics)


def findings(node: Node, config: NodeConfig) -> dict[str, Finding]:
    return {one.name: one for one in examine_node(node, config, str)}


def broken(node: Node, change: Callable[[Tree, Tree], object]) -> Node:
    status, metrics = copy.deepcopy(dict(node.status)), copy.deepcopy(dict(node.metrics))
    change(status, metrics)
    return Node(status, metrics)


def test_a_healthy_node_is_good_all_over(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    seen = findings(healthy(config), config)
    assert {one.verdict for one in seen.values()} == {Verdict.GOOD}
    assert all(one.remedy == "" for one in seen.values())


@pytest.mark.parametrize(
    ("change", "name", "verdict"),
    [
        (lambda s, m: s.update(reader="no chip answers"), "reader", Verdict.BAD),
        (lambda s, m: s["journal"].update(state="disk full"), "journal", Verdict.BAD),
        (lambda s, m: s["journal"].update(unsent=20_000), "journal", Verdict.CARE),
        (lambda s, m: s["cache"].update(version=None), "cache", Verdict.BAD),
        (lambda s, m: s.update(hub_told_s=None), "hub", Verdict.CARE),
        (lambda s, m: s.update(hub_told_s=121), "hub", Verdict.CARE),
        (lambda s, m: s.update(faults=["contactor_welded"]), "fault", Verdict.BAD),
        (lambda s, m: s.update(config_digest="0" * 64), "config", Verdict.CARE),
        (lambda s, m: s.update(late_us_max=100_001), "loop", Verdict.CARE),
        (
            lambda s, m: s["inputs"].update(emergency_stop_closed=False),
            "pin emergency_stop",
            Verdict.BAD,
        ),
        (lambda s, m: s["inputs"].update(stop_pressed=True), "pin stop_button", Verdict.BAD),
        (lambda s, m: s["inputs"].update(mirror_closed=False), "pin mirror_contact", Verdict.BAD),
        (lambda s, m: s["inputs"].update(bypass_on=True), "pin bypass_key", Verdict.BAD),
        (lambda s, m: s["inputs"].update(interlocks_closed=[False]), "pin Lid", Verdict.CARE),
        (lambda s, m: s.update(relay_on=True), "pins", Verdict.UNKNOWN),
        (lambda s, m: s.update(commissioned=None), "commissioned", Verdict.CARE),
        (lambda s, m: s["commissioned"].update(same_wiring=False), "commissioned", Verdict.CARE),
        (lambda s, m: s["commissioned"].update(open=["relay"]), "commissioned", Verdict.BAD),
        (lambda s, m: s.update(break_glass="used"), "break-glass code", Verdict.CARE),
        (lambda s, m: s.update(break_glass=None), "break-glass code", Verdict.CARE),
        (lambda s, m: m["enable"].update(turns=0), "dynamic enable", Verdict.UNKNOWN),
        (lambda s, m: m.update(written_bytes=3_000_000), "wear", Verdict.CARE),
        (lambda s, m: m.update(process_ms=HOUR_MS - 1), "wear", Verdict.UNKNOWN),
    ],
)
def test_one_thing_wrong_is_one_finding(
    tmp_path: Path, change: Callable[[Tree, Tree], object], name: str, verdict: Verdict
) -> None:
    config = config_of(tmp_path)
    seen = findings(broken(healthy(config), change), config)
    assert seen[name].verdict is verdict
    others = {one.verdict for key, one in seen.items() if key != name}
    assert others == {Verdict.GOOD}


def test_what_the_file_warns_of_is_told_in_the_reader_s_language(tmp_path: Path) -> None:
    french = gettext.translation(DOMAIN, LOCALE_DIR, languages=["fr"]).gettext
    config = replace(
        config_of(tmp_path), machine=replace(config_of(tmp_path).machine, enforcement="warn_only")
    )
    told = [
        one.what for one in examine_node(healthy(config), config, french) if one.name == "config"
    ]
    assert any("tout le monde peut travailler" in what for what in told)
    assert not set(told) & set(warnings(config))


def test_a_computer_that_was_off_does_not_say_it_just_heard_the_hub(tmp_path: Path) -> None:
    """By powered seconds a Pi that stood in a cupboard for a week heard it twelve seconds ago."""
    config = config_of(tmp_path)
    seen = findings(broken(healthy(config), lambda s, m: s["clock"].update(trusted=False)), config)
    assert seen["hub"].what == "The hub was not heard since this computer was switched on"
    assert {one.name for one in seen.values() if one.verdict is Verdict.CARE} == {"hub", "clock"}


def test_a_node_that_does_not_answer_is_one_finding_that_says_why(tmp_path: Path) -> None:
    def ask(op: Op) -> dict[str, Any]:
        raise LinkError("nobody listens", where="control.sock")

    config = config_of(tmp_path)
    (only,) = examine_node(ask_node(ask), config, str)
    assert (only.name, only.verdict, "nobody listens" in only.what) == ("node", Verdict.BAD, True)
    assert "systemctl start" in only.remedy


# ------------------------------------------------------------------------------------ the Pi around


class Computer:
    """A Pi's files and what its systemd says; the default is one as install.sh leaves it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shown = {**WALLS, "LoadState": "loaded", "NRestarts": "0"}
        self.watchdog = "15s"
        self.write(PERSIST[0], "N\n")
        self.write("proc/device-tree/model", "Raspberry Pi Zero 2 W Rev 1.0\0")
        self.write("etc/os-release", 'NAME=x\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
        self.write("dev/watchdog", "")
        self.config = config_of(root)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, command: Sequence[str]) -> str | None:
        if "--property=RuntimeWatchdogUSec" in command:
            return self.watchdog
        return "\n".join(f"{name}={value}" for name, value in self.shown.items())

    def findings(self) -> dict[str, Finding]:
        return {one.name: one for one in examine_pi(Pi(self.root, self.run), self.config, str)}


@pytest.fixture
def pi(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


@pytest.fixture(autouse=True)
def lgpio(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A driver that looks like the real one: nothing is called."""
    driver = ModuleType("lgpio")
    driver.gpiochip_open = print  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lgpio", driver)
    monkeypatch.setitem(sys.modules, "gpiozero.pins.lgpio", ModuleType("gpiozero.pins.lgpio"))
    return driver


def test_a_pi_as_installed_is_good_all_over(pi: Computer) -> None:
    seen = pi.findings()
    assert {name: one.verdict for name, one in seen.items() if one.verdict != Verdict.GOOD} == {}
    assert "Zero 2 W" in seen["versions"].what


def test_a_kernel_that_keeps_the_relay_is_bad_and_says_whether_a_restart_is_enough(
    pi: Computer,
) -> None:
    pi.write(PERSIST[0], "Y\n")
    assert "sudo ./install.sh node" in pi.findings()["strict_gpiod"].remedy
    pi.write("boot/firmware/config.txt", "[all]\ndtparam=spi=on\ndtparam=strict_gpiod\n")
    assert "already: restart the Pi" in pi.findings()["strict_gpiod"].remedy
    assert pi.findings()["strict_gpiod"].verdict is Verdict.BAD


def test_a_line_that_is_commented_out_is_not_there(pi: Computer) -> None:
    pi.write(PERSIST[0], "Y\n")
    pi.write("boot/firmware/config.txt", "#dtparam=strict_gpiod\n")
    assert "sudo ./install.sh node" in pi.findings()["strict_gpiod"].remedy


def test_a_kernel_that_does_not_say_is_unknown_and_never_good(pi: Computer) -> None:
    (pi.root / PERSIST[0]).unlink()
    assert pi.findings()["strict_gpiod"].verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("fed", ["0", "infinity", "1min", "16s"])
def test_a_hardware_watchdog_that_bites_late_or_never_is_bad(pi: Computer, fed: str) -> None:
    pi.watchdog = fed
    assert pi.findings()["hardware watchdog"].verdict is Verdict.BAD


@pytest.mark.parametrize("wall", sorted(WALLS))
def test_each_lowered_wall_is_named(pi: Computer, wall: str) -> None:
    pi.shown[wall] = "no"
    unit = pi.findings()["unit"]
    assert (unit.verdict, wall in unit.what) == (Verdict.BAD, True)


def test_a_node_that_is_no_service_and_one_that_keeps_dying_are_told(pi: Computer) -> None:
    pi.shown["NRestarts"] = "4"
    assert pi.findings()["restarts"].verdict is Verdict.CARE
    pi.shown["LoadState"] = "not-found"
    assert pi.findings()["unit"].verdict is Verdict.BAD


def test_pypi_s_empty_lgpio_is_not_taken_for_a_driver(pi: Computer, lgpio: ModuleType) -> None:
    del lgpio.gpiochip_open
    assert pi.findings()["gpio"].verdict is Verdict.BAD


def test_a_damaged_list_of_badges_is_found(pi: Computer) -> None:
    pi.write("auth-1-7.db", "this is no database at all" * 100)
    assert pi.findings()["database"].verdict is Verdict.BAD


# --------------------------------------------------------------------------------- the real answers


@pytest.mark.real
def test_a_running_node_answers_everything_the_doctor_asks() -> None:
    bench = NodeBench()
    try:
        bench.start()
        seen = findings(ask_node(bench.client.ask), bench.config)
    finally:
        bench.close()
    assert seen["node"].verdict is Verdict.GOOD
    assert seen["reader"].verdict is Verdict.GOOD
    assert seen["cache"].verdict is Verdict.BAD, "no hub has told it of a badge yet"
