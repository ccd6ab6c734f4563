"""Records into one hub process over HTTP, in batches of 100, while somebody keeps opening the board."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

from interlock.clock import SystemClock, perf_us
from interlock.protocol import hubapi
from tests.bench.row import Row, percentile
from tests.hub.journal import Journal
from tests.hub.process import LOGIN, HubFolder, HubProcess, NodeClient, make_folder

SESSIONS = 1_000
PROGRESS = 8
"""Reports of one session, one a minute; with its start and its end it has ten records."""
PAGES_ALONE = 60
PAGE_PAUSE_S = 0.02

TARGET = "≥ 1,000 records/s; pages p95 ≤ 150 ms"


@dataclass(frozen=True)
class TakenIn:
    """A backlog that a node delivered while somebody kept opening the board."""

    records: int
    took_s: float
    hub_cpu_s: float
    board_alone_ms: list[float]
    board_during_ms: list[float]


def rows() -> Iterator[Row]:
    """One row: how fast records go in, and what that does to pages."""
    found = take_in(SESSIONS)
    alone_ms, during_ms = found.board_alone_ms, found.board_during_ms
    yield Row(
        what="hub: records taken in, batches of 100, pages at the same time",
        figures=(
            f"{found.records / found.took_s:,.0f} records/s ({found.records / found.hub_cpu_s:,.0f} "
            f"per CPU second of the hub, pages included); board p50 {percentile(during_ms, 50):.0f} ms, "
            f"p95 {percentile(during_ms, 95):.0f} ms during (n = {len(during_ms)}), "
            f"p50 {percentile(alone_ms, 50):.0f} ms, p95 {percentile(alone_ms, 95):.0f} ms alone"
        ),
        target=TARGET,
        leaves_out="client, hub and page reader share the cores; one node, 12 members, no HTTPS",
    )


def take_in(sessions: int) -> TakenIn:
    """A new hub takes in so many sessions of one node that was away."""
    with tempfile.TemporaryDirectory(prefix="il-bench-") as name:
        folder = make_folder(Path(name) / "hub")
        cookies = {"interlock_session": folder.run(LOGIN.replace("ROLE", "owner"))}
        journal = _away(folder, sessions)
        hub = HubProcess(folder)
        try:
            alone_ms = [_page_ms(hub.url, cookies) for _ in range(PAGES_ALONE)]
            before_s = _cpu_s(hub.pid)
            took_s, during_ms = _delivered(hub, folder, journal, cookies)
            cpu_s = _cpu_s(hub.pid) - before_s
        finally:
            hub.stop()
    return TakenIn(journal.head.seq, took_s, cpu_s, alone_ms, during_ms)


def _delivered(
    hub: HubProcess, folder: HubFolder, journal: Journal, cookies: dict[str, str]
) -> tuple[float, list[float]]:
    """How long that took in seconds, and the board's answers in the meantime."""
    wires = journal.wires()
    client = NodeClient(hub.url, *folder.node())
    pages_ms: list[float] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(PAGE_PAUSE_S):
            pages_ms.append(_page_ms(hub.url, cookies))

    reader = threading.Thread(target=look)
    reader.start()
    began_us = perf_us()
    try:
        for first in range(0, len(wires), hubapi.BATCH_RECORDS_MAX):
            head = client.records(wires[first : first + hubapi.BATCH_RECORDS_MAX])
        took_us = perf_us() - began_us
    finally:
        over.set()
        reader.join()
    if head != journal.head:
        raise AssertionError("the hub did not take everything in")
    return took_us / 1e6, pages_ms


def _away(folder: HubFolder, sessions: int) -> Journal:
    """What a node that was offline brings: sessions of eight minutes, one after the other."""
    journal = folder.journal()
    journal.anchor(SystemClock().wall_ms())
    for _ in range(sessions):
        session = folder.start(journal)
        for minute in range(1, PROGRESS + 1):
            journal.boot_ms += 60_000
            journal.progress(session, minute * 60, busy_s=minute * 40, idle_s=minute * 20)
        journal.end(session, PROGRESS * 60, busy_s=PROGRESS * 40, idle_s=PROGRESS * 20)
    return journal


def _cpu_s(pid: int) -> float:
    """Processor time the hub has used: proc(5), fields 14 and 15 of /proc/PID/stat."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _page_ms(url: str, cookies: dict[str, str]) -> float:
    began_us = perf_us()
    answer = requests.get(url + "/", cookies=cookies, timeout=20)
    if answer.status_code != 200 or "Table saw" not in answer.text:
        raise AssertionError(f"this is not the board: {answer.status_code}")
    return (perf_us() - began_us) / 1_000
