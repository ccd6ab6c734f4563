"""A hub that is down, slow, trickling or mad in, a machine that notices nothing out; records wait and arrive once."""

from __future__ import annotations

import socket
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.real.accounts import check_books
from tests.real.lab import HOST, NODE, SYNC, Lab, lab_from
from tests.sync import servers
from tests.waiting import wait_until

pytestmark = pytest.mark.real

ROUNDS = 3
TAP_US_MAX = 600_000
STOP_US_MAX = 250_000
"""A hub that answers in a second, never or garbage would show as seconds, were it in the way. The
medians are tens of milliseconds; the rest is room for a computer with ten busy processes."""

ONE_STOP_US_MAX = 900_000
"""A single one, on that computer: still less than what waiting for any of these hubs would take."""

DOWN = "down"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 90000\r\n\r\n"

TROUBLES: dict[str, servers.Serve] = {
    "says nothing": servers.says_nothing(),
    "trickles": servers.trickles(servers.response(b'{"v": 1}' + b" " * 5_000), every_s=1.0),
    "talks garbage": servers.sends_and_hangs_up(b"\x00\xff garbage " * 500),
    "answers garbage": servers.sends(servers.response(b"<html>not JSON</html>")),
    "fails with 500": servers.sends(servers.response(b"{}", status="500 Internal Server Error")),
    "lies about head and time": servers.sends(
        servers.response(b'{"v":1,"head":{"epoch":9,"seq":9,"hash":"zz"},"time":1,"version":[9,9]}')
    ),
    "never stops": servers.never_stops(HEAD, b" " * 4_096),
}


@contextmanager
def hub_that(trouble: str) -> Iterator[tuple[str, list[int]]]:
    """The address of a hub that behaves so, and who called it; nobody listens where it is down."""
    calls: list[int] = []

    def noted(connection: socket.socket, over: threading.Event) -> None:
        calls.append(connection.fileno())
        TROUBLES[trouble](connection, over)

    if trouble == DOWN:
        yield f"http://{HOST}:{free_port()}", calls
    else:
        with servers.tcp_server(noted) as url:
            yield url, calls


def measured(lab: Lab) -> tuple[list[int], list[int]]:
    """Badge → relay on, and stop button → relay off, in microseconds, of some sessions."""
    on_us, off_us = [], []
    for _ in range(ROUNDS):
        put_us = lab.tap_on()
        on_us.append(lab.spans("relay")[-1][0] - put_us)
        off_us.append(lab.relay_off_after(lab.push("stop")))
        wait_until(lambda: not lab.world()["contacts"], 5, "open contacts")
        wait_until(lambda: "stop" not in lab.world()["pressed"], 5, "a button let go")
    return on_us, off_us


def unaffected(lab: Lab, trouble: str) -> None:
    on_us, off_us = measured(lab)
    assert statistics.median(on_us) <= TAP_US_MAX, (trouble, on_us)
    assert statistics.median(off_us) <= STOP_US_MAX, (trouble, off_us)


def test_whatever_the_hub_does_the_machine_notices_nothing_and_the_records_arrive_once(
    template: Path,
) -> None:
    """Each hub was called by the real sync while the machine was used, and nothing was acknowledged:
    so the trouble was there. At last the real hub gets every session once."""
    with lab_from(template) as lab:
        lab.start(hub=False, sync=False)
        lab.locked()
        waiting = 0
        for trouble in (DOWN, *TROUBLES):
            with hub_that(trouble) as (url, calls):
                lab.point_sync_at(url)
                lab.start_sync()
                wait_until(lambda: tried(lab, calls), 20, f"a call to a hub: {trouble}")
                waiting = used_once(lab, trouble, waiting)
                lab.manager.cut(SYNC)
        unaffected(lab, "without a hub")
        lab.start_hub()
        assert lab.sessions() == []
        lab.point_sync_at(f"http://{HOST}:{lab.cable.port}")
        lab.start_sync()
        assert len(check_books(lab)) == 1 + len(TROUBLES) + ROUNDS


def tried(lab: Lab, calls: list[int]) -> bool:
    return len(calls) > 0 or lab.manager.report(SYNC).status.startswith("hub not reached")


def used_once(lab: Lab, trouble: str, waiting: int) -> int:
    """One session while the hub is in trouble, as quick as any; how many records wait now."""
    put_us = lab.tap_on()
    on_us = lab.spans("relay")[-1][0] - put_us
    assert on_us <= 2 * TAP_US_MAX, (trouble, on_us)
    off_us = lab.relay_off_after(lab.push("stop"))
    assert off_us <= ONE_STOP_US_MAX, (trouble, off_us)
    wait_until(lambda: "stop" not in lab.world()["pressed"], 5, "a button let go")
    unsent: int = lab.status()["journal"]["unsent"]
    assert unsent > waiting, trouble
    assert lab.starts(NODE) == 1
    return unsent
