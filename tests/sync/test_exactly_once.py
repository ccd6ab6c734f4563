"""Random histories of loss, repeats, delays, crashes and restores: the hub ends with the union, once."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.protocol.records import Record
from tests.sync.models import ModelNode
from tests.sync.rig import Rig

pytestmark = pytest.mark.fast

KINDS = ["clear", "lost", "late", "late ones arrive", "repeated", "answer lost"]
ACTIONS = st.one_of(
    st.tuples(st.just("write"), st.integers(1, 130)),
    st.tuples(st.just("run"), st.integers(1, 20_000)),
    st.tuples(st.just("node away"), st.integers(1, 5_000)),
    st.tuples(st.just("hub away"), st.integers(1, 90_000)),
    st.tuples(st.just("kill sync"), st.just(0)),
    st.tuples(st.just("raise epoch"), st.just(0)),
    st.tuples(st.just("back up"), st.just(0)),
    st.tuples(st.just("restore"), st.just(0)),
    st.tuples(st.just("new rights"), st.just(0)),
)


def play(rig: Rig, action: str, amount: int, backup: list[Record]) -> None:
    node, hub = rig.node, rig.hub
    if action == "write":
        node.write(amount)
    elif action == "run":
        rig.run_ms(amount)
    elif action == "node away":
        node.away = True
        rig.run_ms(amount)
        node.away = False
    elif action == "hub away":
        hub.away = True
        rig.run_ms(amount)
        hub.away = False
    elif action == "kill sync":
        rig.restart_sync()
    elif action == "raise epoch" and node.journal:
        node.epoch += 1
    elif action == "back up":
        backup[:] = hub.backup()
    elif action == "restore":
        rig.restart_hub(backup)
    elif action == "new rights":
        hub.version = (hub.version[0], hub.version[1] + 1)


@settings(max_examples=150)
@given(
    actions=st.lists(ACTIONS, max_size=25),
    forecast=st.lists(st.sampled_from(KINDS), max_size=60),
    seed=st.integers(0, 2**16),
)
def test_when_faults_stop_the_hub_holds_every_record_exactly_once(
    actions: list[tuple[str, int]], forecast: list[str], seed: int
) -> None:
    with tempfile.TemporaryDirectory(prefix="il-") as folder:
        rig = Rig(Path(folder), seed=seed)
        rig.weather.forecast = list(forecast)
        backup: list[Record] = []
        for action, amount in actions:
            play(rig, action, amount, backup)
        rig.weather.forecast.clear()
        rig.run_ms(200_000)
        assert rig.hub.stored == rig.node.journal
        assert set(rig.hub.effects.values()) <= {1}
        assert rig.hub.aside == []
        assert rig.node.acked == rig.node.head
        assert rig.node.version == rig.hub.version


def test_the_check_sees_a_sync_that_forgets_to_greet_after_a_failure(tmp_path: Path) -> None:
    """The property above fails for a courier with its safeguard removed."""
    rig = Rig(tmp_path)
    rig.courier._forget_cursor = lambda: None  # type: ignore[method-assign]
    rig.node.write(10)
    rig.run_ms(1_000)
    rig.node.write(10)
    rig.run_ms(1_000)
    rig.hub.restore([])
    rig.network.broken = True
    rig.node.write(1)
    rig.courier._greet_at_ms = 10**9
    rig.courier._greet_first = False
    rig.fetcher._lost = lambda: None
    rig.run_ms(1_000)
    assert rig.hub.aside != []


def test_the_check_sees_a_node_whose_chain_was_bent(tmp_path: Path) -> None:
    rig = Rig(tmp_path, node=ModelNode(page_records=3))
    rig.node.write(10)
    rig.node.journal.pop(5)
    rig.run_ms(200_000)
    assert len(rig.hub.stored) == 5
    assert rig.hub.aside != []
