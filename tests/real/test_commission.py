"""From a walk through the machine to the hub: a running node refuses it, the next records it once, sync delivers it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock.config.learned import read_commissioned
from interlock.protocol.control import Op
from tests.commissioner import Commissioner
from tests.real.lab import NODE, UIDS, Lab, lab_from
from tests.terminal import terminal
from tests.waiting import wait_until

pytestmark = pytest.mark.real

MIRROR = 13


@pytest.fixture
def cold(template: Path) -> Iterator[Lab]:
    """A whole lab, running, whose machine was never commissioned."""
    with lab_from(template, {"times.close_time_ms": 700, "times.open_time_ms": 700}) as lab:
        lab.start()
        lab.locked()
        yield lab


def test_a_commissioning_reaches_the_hub_exactly_once(cold: Lab) -> None:
    at = ("--config", str(cold.folder.node_toml), "--world", str(cold.world_folder))
    steps = ("relay", "stop-chain", "break-glass")
    only = [word for step in steps for word in ("--only", step)]
    assert cold.status()["commissioned"] is None
    with terminal(
        "sim", "commission", *at, *only, "--by", "Fatou Diallo", "--lang", "en"
    ) as screen:
        assert screen.exit_code() == 1
        assert "systemctl stop interlock-node" in screen.shown
    assert cold.world()["relay"] is False

    cold.manager.stop(NODE)
    with terminal(
        "sim", "commission", *at, *only, "--by", "Fatou Diallo", "--lang", "en"
    ) as screen:
        person = Commissioner(screen, cold.hands.ask, "en", mirror_pin=MIRROR, uid=UIDS["trained"])
        person.walk()
        assert screen.exit_code() == 0, screen.shown
    cold.start_node()
    cold.manager.wait_ready(NODE)
    done = read_commissioned(cold.folder.state / "commissioning.json")
    assert done is not None
    assert cold.status()["commissioned"] == {
        "id": done.id,
        "by": "Fatou Diallo",
        "same_wiring": True,
        "open": list(done.open),
    }
    query = "SELECT * FROM hub_commissioning"
    (row,) = wait_until(lambda: cold.sql(query), 15, "the walk at the hub")
    assert (row["by"], row["config_digest"]) == ("Fatou Diallo", done.config)
    found = {one["name"]: one["good"] for one in json.loads(row["findings"])}
    assert {step: found[step] for step in steps} == dict.fromkeys(steps, True)
    assert set(found) - set(steps) == set(done.open)

    cold.kill(NODE)
    cold.wait_running(NODE, 3)
    wait_until(lambda: cold.client.ask(Op.STATUS)["journal"]["unsent"] == 0, 15, "delivered")
    assert len(cold.sql(query)) == 1
