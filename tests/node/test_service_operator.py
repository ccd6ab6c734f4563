"""What a technician at the Pi's own console may do: clear faults, end a session, cut the power. Nothing that closes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from interlock.errors import ProtocolError
from interlock.protocol.control import OPERATOR_OPS, Op
from tests.node.node_rig import NodeBench, bodies
from tests.node.pin_contract import MIRROR
from tests.waiting import wait_until

pytestmark = pytest.mark.real


@pytest.fixture
def node() -> Iterator[NodeBench]:
    bench = NodeBench()
    bench.start()
    bench.install()
    yield bench
    bench.close()


def test_a_mended_weld_is_cleared_under_the_technicians_name(node: NodeBench) -> None:
    node.outside.conduct(MIRROR, False)
    wait_until(lambda: node.state() == "fault", 5, "welded")
    node.outside.conduct(MIRROR, True)
    node.ask(Op.CLEAR_FAULTS, by="Fatou")
    wait_until(lambda: node.state() == "locked", 5, "cleared")
    wait_until(lambda: bodies(node, "fault_cleared"), 5, "the record")
    assert bodies(node, "fault_cleared") == [{"fault": "contactor_welded", "by": "console:Fatou"}]
    node.stop()
    node.start()
    assert node.state() == "locked", "cleared for good"


def test_a_weld_that_is_still_there_is_found_again(node: NodeBench) -> None:
    node.outside.conduct(MIRROR, False)
    wait_until(lambda: node.state() == "fault", 5, "welded")
    node.ask(Op.CLEAR_FAULTS, by="Fatou")
    wait_until(lambda: bodies(node, "fault_cleared"), 5, "the record")
    wait_until(lambda: len(bodies(node, "fault_raised")) == 2, 5, "found again")


def test_nobody_clears_a_fault_without_a_name(node: NodeBench) -> None:
    for by in ("", "  ", 7, None):
        with pytest.raises(ProtocolError, match="by must"):
            node.ask(Op.CLEAR_FAULTS, by=by)


def test_cut_now_opens_the_relay_of_somebodys_session(node: NodeBench) -> None:
    node.work()
    node.ask(Op.CUT_NOW)
    wait_until(lambda: not node.relay_on, 1, "off")
    wait_until(lambda: bodies(node, "session_ended"), 5, "the record")
    assert bodies(node, "session_ended")[0]["how"] == "cut_now"


def test_no_operation_closes_the_relay(node: NodeBench) -> None:
    """S3: every operation there is, with and without arguments, on an idle machine."""
    for op in sorted(OPERATOR_OPS):
        for arguments in ({}, {"by": "Fatou"}):
            try:
                node.ask(op, **arguments)
            except ProtocolError:
                continue
    assert node.loop is not None
    assert node.loop.closings == 0
