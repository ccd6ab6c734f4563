"""An invented past of any size goes in; how long its pages, its lists and a year's report take comes out, and how
that grows from a tenth of the size.

Sizes by environment, since the full one takes half an hour to make: INTERLOCK_BENCH_SESSIONS (default 2,000,000),
INTERLOCK_BENCH_MEMBERS (10,000), INTERLOCK_BENCH_MACHINES (200). INTERLOCK_BENCH_HUB: a hub's folder that was
seeded before (`interlock hub seed`), used as it is, after its tables are brought up to date; INTERLOCK_BENCH_TENTH:
one with a tenth of the sessions, without which the growth is left out.
"""

from __future__ import annotations

import json
import math
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
TENTH = 10
PAGE_TARGET = "p95 ≤ 150 ms"
REPORT_TARGET = "≤ 2,000 ms"

PAGES = {
    "the board": "/",
    "members": "/members/",
    "members found by name": "/members/?q=an&status=active",
    "members, the 150th page": "/members/?page=150",
    "a member": "/members/MEMBER/",
    "machines": "/machines/",
    "a machine": "/machines/MACHINE/",
    "sessions": "/sessions/",
    "sessions, in the middle of all": "/sessions/?page=MIDDLE",
    "sessions of a machine": "/sessions/?machine=MACHINE",
    "sessions of a member": "/sessions/?member=NAME",
    "sessions of one of many members": "/sessions/?member=a",
    "sessions paid by somebody": "/sessions/?payer=NAME",
    "sessions of a company": "/sessions/?purpose=company",
    "sessions for maintenance, which are rare": "/sessions/?purpose=maintenance",
    "sessions of the last week": "/sessions/?from_day=WEEK",
    "sessions of a month a year ago": "/sessions/?from_day=YEAR_AGO&to_day=YEAR_AGO_END",
    "payers": "/billing/payers/",
    "trainings": "/trainings/",
}
"""What people open, and what they ask of its filter, by what it is called in the table."""
REPORT = "a year's report with the year before"
_REPORTS = {REPORT: "/reports/", f"{REPORT}, as JSON": "/reports/report.json"}

_FACTS = """
import json
from datetime import timedelta
last = Session.objects.order_by("-started_at")[0].started_at.date()
member = Member.objects.exclude(sessions=None).order_by("-pk")[0]
print(json.dumps({
    "MEMBER": member.public_id,
    "NAME": member.name,
    "MACHINE": Machine.objects.order_by("pk")[3].slug,
    "MIDDLE": str(Session.objects.count() // 100),
    "WEEK": (last - timedelta(days=7)).isoformat(),
    "YEAR_AGO_END": (last - timedelta(days=335)).isoformat(),
    "YEAR_AGO": (last - timedelta(days=365)).isoformat(),
    "held": str(Session.objects.count()),
}))
"""
_MIGRATE = """
import sys
from pathlib import Path
from interlock.hub import commands
commands.open_hub(Path(sys.argv[1]))
commands.migrate(Path(sys.argv[1]))
"""
Samples = dict[str, list[float]]
"""Milliseconds of each look, by the page's name."""


def rows() -> Iterator[Row]:
    """One row for each page, two for a year's report; each with its growth where a tenth was measured too."""
    sizes = {
        name: int(os.environ.get(f"INTERLOCK_BENCH_{name.upper()}", usual))
        for name, usual in (("machines", 200), ("members", 10_000), ("sessions", 2_000_000))
    }
    with tempfile.TemporaryDirectory(prefix="il-bench-") as name:
        whole = _seeded(Path(name) / "hub", sizes, "INTERLOCK_BENCH_HUB")
        tenth = None
        if "INTERLOCK_BENCH_TENTH" in os.environ or "INTERLOCK_BENCH_HUB" not in os.environ:
            fewer = {**sizes, "sessions": max(1, sizes["sessions"] // TENTH)}
            tenth = _seeded(Path(name) / "tenth", fewer, "INTERLOCK_BENCH_TENTH")
        held, samples = _measured(whole)
        before = None if tenth is None else _measured(tenth)
    for what, taken in samples.items():
        target = REPORT_TARGET if what in _REPORTS else PAGE_TARGET
        grown = "" if before is None else _growth(taken, held, before[1][what], before[0])
        yield _row(f"hub: {what}", taken, held, target, grown)


def _measured(path: Path) -> tuple[int, Samples]:
    """How many sessions the hub in that folder holds, and how long each of its pages took."""
    folder = HubFolder(path, "", "")
    # Without the patience of a test: indexes of two million rows take a while.
    subprocess.run([sys.executable, "-c", _MIGRATE, str(path)], check=True)
    cookies = {"interlock_session": folder.run(LOGIN.replace("ROLE", "owner"))}
    facts: dict[str, str] = json.loads(folder.run(_FACTS))
    held = int(facts.pop("held"))
    samples: Samples = {}
    hub = HubProcess(folder)
    try:
        for pages, looks in ((PAGES, LOOKS), (_REPORTS, REPORTS)):
            for what, page in pages.items():
                address = hub.url + _filled(page, facts)
                # The first look is noted, and adds up what has changed since: it is not repeated, so not counted.
                _answer_ms(address, cookies)
                samples[what] = [_answer_ms(address, cookies) for _ in range(looks)]
    finally:
        hub.stop()
    return held, samples


def _filled(page: str, facts: dict[str, str]) -> str:
    # The longest first: one name is the beginning of another.
    for name in sorted(facts, key=len, reverse=True):
        page = page.replace(name, facts[name].replace(" ", "+"))
    return page


def _growth(taken: list[float], held: int, before: list[float], before_held: int) -> str:
    """What a tenth took, and the exponent between: 0 does not grow, 1 grows as the sessions do."""
    now, then = percentile(taken, 50), percentile(before, 50)
    exponent = math.log(now / then) / math.log(held / before_held)
    return f"; p50 {then:.0f} ms with {before_held:,}: grows with exponent {exponent:.2f}"


def _row(what: str, samples: list[float], held: int, target: str, grown: str) -> Row:
    return Row(
        what=what,
        figures=(
            f"p50 {percentile(samples, 50):.0f} ms, p95 {percentile(samples, 95):.0f} ms, "
            f"max {max(samples):.0f} ms (n = {len(samples)}; {held:,} sessions{grown})"
        ),
        target=target,
        leaves_out="one reader at a time, loopback, SQLite, whatever else the computer does",
    )


def _seeded(path: Path, sizes: dict[str, int], ready: str) -> Path:
    """The folder that the environment names, or a hub made for this run."""
    if ready in os.environ:
        return Path(os.environ[ready])
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
