"""Badge event → effects: how long the pure core needs, with 100,000 badges in a real cache file."""

from __future__ import annotations

import gc
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from interlock.clock import perf_us
from interlock.core import machine
from interlock.core.events import BadgeArrived, InputsSampled
from interlock.core.model import Assurance, Cache, Presented
from interlock.node.cache import BadgeCache
from tests.bench.row import Row, percentiles
from tests.core.rig import Rig, enabled
from tests.node.signed_snapshots import HUB, SIGNED_KEYS, built, entry, tag

BADGES = 100_000
DECISIONS = 20_000
TICKS = 20_000
SEED = 3


def rows() -> Iterator[Row]:
    """Lookup plus decision, decision alone, and the tick of a machine in use."""
    whole, alone = decisions_ms(BADGES)
    yield Row(
        f"badge event → effects, {BADGES:,} badges in the cache, lookup included",
        percentiles(whole, digits=3),
        "p50 ≤ 0.1 ms, p99 ≤ 1 ms",
        "the queue between reader and loop; the file is in the page cache; one badge in eleven is unknown",
    )
    yield Row(
        "the decision alone (core.step)",
        percentiles(alone, digits=3),
        "part of the row above",
        "everything but the pure core",
    )
    yield _ticks()


def decisions_ms(badges: int) -> tuple[list[float], list[float]]:
    """What DECISIONS decisions took, lookup among `badges` included, and without it; milliseconds."""
    folder = Path(tempfile.mkdtemp(prefix="il-"))
    try:
        path = built(folder, [entry(number) for number in range(badges)])
        keys = SIGNED_KEYS
        return _decisions(BadgeCache(path, HUB.public_key(), lab=keys.lab, node=keys.node), badges)
    finally:
        shutil.rmtree(folder)


def _decisions(cache: BadgeCache, badges: int) -> tuple[list[float], list[float]]:
    chance = random.Random(SEED)
    rig = Rig(durable=False)
    known = Cache(cache.version, 0)
    whole, alone = [], []
    gc.disable()
    for _ in range(DECISIONS):
        wanted = tag(chance.randrange(badges + badges // 10))
        start_us = perf_us()
        found = cache.lookup(wanted)
        looked_us = perf_us()
        badge = Presented(wanted, rig.ms + 1, Assurance.UID, found, known)
        machine.step(rig.state, BadgeArrived(badge), rig.now)
        end_us = perf_us()
        whole.append((end_us - start_us) / 1_000)
        alone.append((end_us - looked_us) / 1_000)
    gc.enable()
    return whole, alone


def _ticks() -> Row:
    rig = enabled()
    samples = []
    for _ in range(TICKS):
        rig.ms += 20
        start_us = perf_us()
        rig.state, _ = machine.step(rig.state, InputsSampled(rig.inputs), rig.now)
        samples.append((perf_us() - start_us) / 1_000)
    return Row(
        "one tick of a machine in use (core.step)",
        percentiles(samples, digits=3),
        "20 ms between ticks",
        "sampling pins, the watchdog, the screen",
    )
