"""Interlocks and extraction on the real node: pins, socket, threads and journal, with mock GPIO."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from interlock.core.interlocks import REMOTE_FRESH_MS
from interlock.errors import ProtocolError
from interlock.protocol.control import Op
from tests.node.node_rig import NodeBench, bodies
from tests.node.pin_contract import EXTRACTION, LID
from tests.waiting import wait_until

pytestmark = pytest.mark.real

LID_DECLARED = {"name": "Lid", "pin": LID, "permit_after_ms": 100}
CHILLER = {"name": "Chiller", "remote": "cellar/Chiller"}


@pytest.fixture
def node() -> Iterator[NodeBench]:
    bench = NodeBench(
        interlocks=[LID_DECLARED, CHILLER], changes={"times": {"pre_run_s": 1, "run_on_s": 1}}
    )
    bench.start()
    bench.install()
    bench.outside.conduct(LID, True)
    bench.outside.wire_contactor()
    yield bench
    bench.close()


def tell(node: NodeBench, closed: bool | None) -> None:
    node.ask(Op.INTERLOCK, name="Chiller", closed=closed)


def shown(node: NodeBench) -> tuple[str, str | None]:
    panel = node.ask(Op.PANEL)
    return panel["message"], panel["lines"][1].strip() or None


def run(node: NodeBench) -> None:
    tell(node, True)
    wait_until(lambda: shown(node)[0] == "ready", 5, "every interlock closed")
    node.tap()
    wait_until(lambda: node.relay_on, 5, "on")


def test_the_extraction_runs_before_the_relay_and_after_it(node: NodeBench) -> None:
    tell(node, True)
    wait_until(lambda: shown(node)[0] == "ready", 5, "every interlock closed")
    node.tap()
    wait_until(lambda: node.outside.level(EXTRACTION), 5, "air")
    assert not node.relay_on, "air first"
    wait_until(lambda: node.relay_on, 5, "on")
    node.ask(Op.CUT_NOW)
    wait_until(lambda: not node.relay_on, 1, "off")
    assert node.outside.level(EXTRACTION), "it runs on"
    wait_until(lambda: not node.outside.level(EXTRACTION), 5, "and stops")


def test_a_lid_that_opens_cuts_the_power_and_the_journal_names_it(node: NodeBench) -> None:
    run(node)
    node.outside.conduct(LID, False)
    wait_until(lambda: not node.relay_on, 1, "off")
    wait_until(lambda: bodies(node, "session_ended"), 5, "the record")
    ended = bodies(node, "session_ended")[0]
    assert (ended["how"], ended["interlocks"]) == ("interlock_opened", ["Lid"])


@pytest.mark.parametrize("closed", [False, None])
def test_another_nodes_interlock_keeps_everybody_from_starting(
    node: NodeBench, closed: bool | None
) -> None:
    tell(node, closed)
    wait_until(lambda: shown(node)[1] == "Chiller", 5, "named on the screen")
    node.tap()
    wait_until(lambda: bodies(node, "refused"), 5, "the refusal")
    assert bodies(node, "refused")[0]["reason"] == "INTERLOCK_OPEN"
    assert not node.relay_on


def test_a_report_names_what_this_machine_declares_and_says_yes_no_or_unknown(
    node: NodeBench,
) -> None:
    for name in ("Lid", "cellar/Chiller", "", 7):
        with pytest.raises(ProtocolError):
            node.ask(Op.INTERLOCK, name=name, closed=True)
    for closed in (1, "yes"):
        with pytest.raises(ProtocolError, match="closed must be"):
            node.ask(Op.INTERLOCK, name="Chiller", closed=closed)
    for age_ms in (-1, "old", None):
        with pytest.raises(ProtocolError, match="age_ms must be"):
            node.ask(Op.INTERLOCK, name="Chiller", closed=True, age_ms=age_ms)
    tell(node, True)
    wait_until(lambda: shown(node)[0] == "ready", 20, "a word of now counts")
    node.ask(Op.INTERLOCK, name="Chiller", closed=True, age_ms=REMOTE_FRESH_MS + 1)
    wait_until(lambda: shown(node)[0] == "interlock_unknown", 20, "one that is too old does not")


def test_the_configured_interlocks_stand_in_the_journal(node: NodeBench) -> None:
    wait_until(lambda: bodies(node, "configuration_changed"), 5, "the record")
    rules = bodies(node, "configuration_changed")[0]["rules"]
    assert [one["name"] for one in rules["interlocks"]] == ["Lid", "Chiller"]
