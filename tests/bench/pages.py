"""An invented past of any size goes in; how long its pages and a year's report take comes out.

Sizes by environment, since the full one takes half an hour to make: INTERLOCK_BENCH_SESSIONS (default 2,000,000),
INTERLOCK_BENCH_MEMBERS (10,000), INTERLOCK_BENCH_MACHINES (200). INTERLOCK_BENCH_HUB: a hub's folder that was
seeded before (`interlock hub seed`), used as it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import requests

from interlock.clock import perf_us
from tests.bench.row import Row, percentile
from tests.hub.process import LOGIN, HubFolder, HubProcess

LOOKS = 40
REPORTS = 5
ANSWER_S_MAX = 120
PAGES = ("/", "/members/", "/machines/", "/sessions/", "/members/MEMBER/")


def rows() -> Iterator[Row]:
    """One row for each page, one for a year's report."""
    sizes = {
        name: int(os.environ.get(f"INTERLOCK_BENCH_{name.upper()}", usual))
        for name, usual in (("machines", 200), ("members", 10_000), ("sessions", 2_000_000))
    }
    with tempfile.TemporaryDirectory(prefix="il-bench-") as name:
        folder = HubFolder(_seeded(Path(name) / "hub", sizes), "", "")
        cookies = {"interlock_session": folder.run(LOGIN.replace("ROLE", "owner"))}
        wanted = "Member.objects.exclude(sessions=None).order_by('-pk')[0].public_id"
        member = str(folder.count(wanted))
        held = int(str(folder.count("Session.objects.count()")))
        hub = HubProcess(folder)
        try:
            for page in PAGES:
                where = page.replace("MEMBER", member)
                samples = [_answer_ms(hub.url + where, cookies) for _ in range(LOOKS)]
                yield _row(f"hub: {page}", samples, held, "p95 ≤ 150 ms")
            samples = [_answer_ms(f"{hub.url}/reports/", cookies) for _ in range(REPORTS)]
            yield _row("hub: a year's report with the year before", samples, held, "≤ 2,000 ms")
        finally:
            hub.stop()


def _row(what: str, samples: list[float], held: int, target: str) -> Row:
    return Row(
        what=what,
        figures=(
            f"p50 {percentile(samples, 50):.0f} ms, p95 {percentile(samples, 95):.0f} ms, "
            f"max {max(samples):.0f} ms (n = {len(samples)}; {held:,} sessions)"
        ),
        target=target,
        leaves_out="one reader at a time, loopback, SQLite, whatever else the computer does",
    )


def _seeded(path: Path, sizes: dict[str, int]) -> Path:
    ready = os.environ.get("INTERLOCK_BENCH_HUB")
    if ready:
        return Path(ready)
    hub = (sys.executable, "-m", "interlock", "hub")
    subprocess.run([*hub, "init", "--dir", str(path)], check=True, capture_output=True)
    asked = [word for name, size in sizes.items() for word in (f"--{name}", str(size))]
    subprocess.run([*hub, "seed", "--dir", str(path), "--years", "3", *asked], check=True)
    return path


def _answer_ms(address: str, cookies: dict[str, str]) -> float:
    began_us = perf_us()
    answer = requests.get(address, cookies=cookies, timeout=ANSWER_S_MAX)
    if answer.status_code != 200:
        raise AssertionError(f"{address} answered {answer.status_code}")
    return (perf_us() - began_us) / 1_000
