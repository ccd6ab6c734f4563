"""A node that lost something says so and powers nobody: a damaged cache, a fault of a later version, its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.cli import run
from interlock.clock import SystemClock
from interlock.errors import StoreError
from interlock.node import service
from interlock.node.cache import BadgeCache
from interlock.node.journal import Journal
from interlock.node.journal_facts import Draft, Stamp
from interlock.protocol.control import Op
from interlock.protocol.records import RecordType
from tests.node.node_rig import KEYS, NodeBench
from tests.node.pin_contract import RELAY
from tests.node.test_pins import MockBench
from tests.waiting import wait_until

pytestmark = pytest.mark.real

NODE_TOML = """
[machine]
name = "Saw"
restart_protection = "no_volt_release"
[relay]
pin = 17
[inputs.stop_button]
pin = 5
"""


@pytest.fixture
def bench() -> Iterator[NodeBench]:
    made = NodeBench()
    yield made
    made.close()


def test_a_node_whose_cache_is_damaged_does_not_say_that_it_is_ready(
    bench: NodeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.start()
    bench.install()
    assert bench.ask(Op.PANEL)["message"] == "ready"

    def damaged(self: BadgeCache, tag: bytes) -> None:
        raise StoreError("an entry does not match its sum", where="auth-1-1.db")

    monkeypatch.setattr(BadgeCache, "lookup", damaged)
    bench.tap()
    wait_until(lambda: bench.ask(Op.PANEL)["reason"] == "NO_CACHE")
    bench.reader.take_away()
    wait_until(lambda: bench.ask(Op.PANEL)["message"] == "no_rights")
    monkeypatch.undo()
    bench.install()
    assert bench.ask(Op.PANEL)["message"] == "ready"
    bench.work()


def test_a_fault_that_only_a_later_version_knows_keeps_the_machine_off(bench: NodeBench) -> None:
    bench.start()
    bench.install()
    bench.stop()
    journal = Journal(bench.config.paths.journal, KEYS, boot_id="later")
    stamp = Stamp(SystemClock().boot_ms())
    journal.open(stamp)
    journal.append([Draft(RecordType.FAULT_RAISED, {"fault": "earth_leakage"}, stamp)])
    journal.close(clean=True)
    bench.start()
    assert bench.ask(Op.STATUS)["faults"] == ["contactor_welded"]
    bench.tap()
    wait_until(lambda: bench.ask(Op.PANEL)["reason"] == "MACHINE_FAULT")
    assert not bench.relay_on


def test_the_command_of_the_safe_state_drives_the_relay_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = MockBench()
    outside.factory.pin(RELAY).function = "output"
    outside.factory.pin(RELAY).state = True
    monkeypatch.setattr(service, "gpio_factory", lambda state_dir: outside.factory)
    (tmp_path / "node.toml").write_text(NODE_TOML)
    code = run(["node", "safe-state", "--config", str(tmp_path / "node.toml")])
    assert (code, outside.level(RELAY)) == (0, False)


@pytest.mark.skipif(any(Path("/dev").glob("gpiochip*")), reason="this computer has pins")
def test_the_command_of_the_safe_state_says_when_there_is_no_pin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "node.toml").write_text(f'{NODE_TOML}[paths]\nstate_dir = "{tmp_path}"\n')
    assert run(["node", "safe-state", "--config", str(tmp_path / "node.toml")]) == 1
    assert "interlock doctor" in capsys.readouterr().err
