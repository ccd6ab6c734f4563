"""A seed or a number in, a history of lives, faults and cuts out: what was tried, or the promise that broke.

`exhaustive(n)` is the n-th sequence of steps, cut at each write and sync of its last step (those before are the
last steps of shorter sequences). `random_history(seed)` is a chain of lives on a failing disk, each of which begins
with what a cut left of the one before: unrecovered, so that recoveries are cut as well.
"""

from __future__ import annotations

import errno
import itertools
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from interlock.node.journal import Journal
from interlock.sim.disk import EIO, Fault, Kind, Plan, nothing_fails
from tests.disk.judge import Broken, Claim, Flight
from tests.disk.lives import Life, Step, cuts, on_disk, survives

DEPTH_MAX = 4
"""Steps in the longest sequence of the exhaustive part."""

STEPS = tuple(Step)
SEQUENCES = sum(len(STEPS) ** depth for depth in range(1, DEPTH_MAX + 1))

LIVES_MAX = 4
LIFE_STEPS_MAX = 8
LIFE_CUTS_MAX = 12
FAULTS_MAX = 4
"""Of one random history: long enough for a WAL that wraps, short enough for several hundred cuts a second."""

SPELL_MAX = 12
SPELLS = (frozenset({Kind.SYNC}), frozenset(Kind))
"""A dying card fails for a while: only a journal whose close fails as well leaves a batch in doubt on the disk."""

FAULT_AMONG = 90
"""Planned within so many operations: about what a life of eight steps does."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is wrong on purpose: a planted journal, a disk that lies. The default is how it ships."""

    kind: type[Journal] = Journal
    lies: bool = False
    forgets_names: bool = False


@dataclass(slots=True)
class Tried:
    """How much was really done."""

    cuts: int = 0
    lives: int = 0
    recoveries_cut: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tried) -> None:
        """Both together."""
        self.cuts += other.cuts
        self.lives += other.lives
        self.recoveries_cut += other.recoveries_cut
        self.faults.update(other.faults)


def sequence(number: int) -> tuple[Step, ...]:
    """The steps of sequence `number`, the shorter ones first. Raises ValueError behind the last."""
    for depth in range(1, DEPTH_MAX + 1):
        if number < len(STEPS) ** depth:
            return tuple(
                STEPS[number // len(STEPS) ** place % len(STEPS)] for place in range(depth)
            )
        number -= len(STEPS) ** depth
    raise ValueError(f"there are only {SEQUENCES} sequences")


def exhaustive(folder: Path, number: int, tried: Tried, seed: int = 0) -> None:
    """Every crash point of the last step of sequence `number`, first opening included when it is alone."""
    steps = sequence(number)
    with on_disk(folder, {}) as disk:
        life = Life(disk)
        life.begin()
        for step in steps[:-1]:
            life.step(step)
        begin = len(disk.log) if len(steps) > 1 else 0
        life.step(steps[-1])
        life.stop()
    tried.lives += 1
    for moment, image in cuts(life, random.Random(f"{seed}.{number}"), begin):
        tried.cuts += 1
        survives(folder, moment, image)


def random_history(folder: Path, seed: int, tried: Tried, setting: Setting | None = None) -> None:
    """Lives, faults and cuts of one seed. Raises Broken."""
    setting = setting or Setting()
    rng = random.Random(seed)
    image: dict[str, bytes] = {}
    claim = Claim()
    flight: Flight | None = None
    for number in range(rng.randint(1, LIVES_MAX)):
        plan, planned = _plan(rng)
        with on_disk(
            folder, image, plan, lies=setting.lies, forgets_names=setting.forgets_names
        ) as disk:
            disk.rng = random.Random(rng.getrandbits(32))
            life = Life(disk, claim, flight, f"life-{number}-", setting.kind)
            life.begin()
            begun = len(disk.log)
            for _ in range(rng.randint(0, LIFE_STEPS_MAX)):
                life.step(rng.choice(STEPS))
            life.stop()
        tried.lives += 1
        tried.faults.update(planned)
        share = min(1.0, LIFE_CUTS_MAX / (life.end + 1))
        for moment, left in cuts(life, rng, share=share):
            tried.cuts += 1
            tried.recoveries_cut += number > 0 and moment.at < begun
            survives(folder, moment, left)
            image, claim, flight = left, moment.claim, moment.flight


def _plan(rng: random.Random) -> tuple[Plan, Counter[str]]:
    """A disk that is well, fails now and then, or has a bad spell; what really happened is counted as it does."""
    happened: Counter[str] = Counter()
    if rng.random() < 0.4:
        return nothing_fails, happened
    chosen = {
        rng.randrange(FAULT_AMONG): Fault(
            rng.choice((errno.EIO, errno.ENOSPC)), part=rng.choice((0.0, rng.random()))
        )
        for _ in range(rng.randint(0, FAULTS_MAX))
    }
    reads = {rng.randrange(FAULT_AMONG) for _ in range(rng.randint(0, 2))}
    begin = rng.randrange(FAULT_AMONG)
    spell = range(begin, begin + rng.randint(0, SPELL_MAX))
    spell_kinds = rng.choice(SPELLS)
    read = 0

    def plan(number: int, kind: Kind, name: str) -> Fault | None:
        nonlocal read
        if kind is Kind.READ:
            read += 1
            fault = EIO if read in reads else None
        elif number in spell and kind in spell_kinds:
            fault = EIO
        else:
            fault = chosen.pop(number, None)
        if fault is not None:
            happened[f"{errno.errorcode[fault.code]} at {kind.value}"] += 1
        return fault

    return plan, happened


def cuts_until_broken(
    folder: Path, setting: Setting, invariants: frozenset[str], cuts_max: int
) -> tuple[int, int] | None:
    """How many seeds, and cuts in them, it takes until one of `invariants` breaks; None when none does."""
    tried = Tried()
    for seed in itertools.count():
        try:
            random_history(folder, seed, tried, setting)
        except Broken as broken:
            if broken.invariant in invariants:
                return seed + 1, tried.cuts
        if tried.cuts >= cuts_max:
            break
    return None
