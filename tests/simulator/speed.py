"""Fixed seeds in, events a second of processor time out: `python -m tests.simulator.speed [--full]` at both speeds.

Processor time of this process and not of the clock, so that other work on the computer counts little; what shares
a core's caches and threads with it still does, so the load is printed beside it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from interlock.sim.simulator.campaign import Speed, commit_of_this_tree, speed_of

QUICK_SEEDS, QUICK_HOURS = (3, 13, 19, 28, 35), 0.1
FULL_SEEDS, FULL_HOURS = (0, 5), 0.04
"""Few: a life of the full stack takes seconds, and the first one makes the hub's tables."""


def rate(speed: Speed, seeds: Sequence[int], hours: float) -> float:
    """Events a second of user and system time, all seeds together; raises AssertionError where a rule broke."""
    begun = os.times()
    events = 0
    for seed in seeds:
        verdict = speed.run(speed.plan(seed, hours, 1))
        assert verdict.violation is None, f"seed {seed}: {verdict.violation}"
        events += verdict.tally.events
    ended = os.times()
    return events / (ended.user + ended.system - begun.user - begun.system)


def main(arguments: Sequence[str] | None = None) -> None:
    """One line for the speed that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator.speed", description=__doc__)
    parser.add_argument("--full", action="store_true")
    full = parser.parse_args(arguments).full
    seeds, hours = (FULL_SEEDS, FULL_HOURS) if full else (QUICK_SEEDS, QUICK_HOURS)
    speed = speed_of("full" if full else None)
    if full:
        # Migrating an empty database is no part of a life.
        rate(speed, seeds[:1], hours)
    measured = rate(speed, seeds, hours)
    sys.stdout.write(
        f"{speed.name}: {measured:,.0f} events a second of processor time "
        f"(seeds {', '.join(map(str, seeds))} of {hours:g} h, commit {commit_of_this_tree()}, "
        f"load {os.getloadavg()[0]:.1f})\n"
    )


if __name__ == "__main__":
    main()
