"""A seed in, a plan out: visits of people, what operators do, and what breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from interlock.core.model import BadgeUse
from interlock.sim.simulator import next_door
from interlock.sim.simulator.fitting import Fitting, fitting
from interlock.sim.simulator.happenings import ELSEWHERE, FAULTS, Happening, Kind, Plan

Make = Callable[[int], Iterator[Happening]]

MS_PER_HOUR = 3_600_000
VISIT_EVERY_MS = 22_000
FAULT_EVERY_MS = 45_000
OPERATION_EVERY_MS = 60_000
NET_EVERY_MS = 60_000
SYNC_EVERY_MS = 120_000
HUB_EVERY_MS = 150_000
CARDS_SWAPPED, HUBS_RESTORED = 0.4, 0.5
"""In how many lives it happens at all."""
FAULTS_LAST_MS = (30, 300, 3_000, 20_000, 90_000)
MENDER = ((15_000, Kind.LAY), (15_700, Kind.LIFT))
"""So long after a weld let go the technician comes."""
MANNERS = ("slow", "lossy", "doubling", "garbage", "half_open", "silent")
STOPS = ("stop", "stop", "stop", "emergency", "emergency", "emergency")
LID_EVERY_MS = 60_000
NEXT_DOOR_EVERY_MS = 25_000
"""How often somebody opens what another machine waits for, or a word of it is held up."""
OPEN_FOR_MS = (300, 2_000, 9_000, 40_000)
SILENT_FOR_MS = (5_000, 30_000, 150_000, 210_000)
ALONE = ("ada", "ben", "eve", "exp", "day", "tom", "tra")
STRANGERS = ("new", "sus", "lost", "old", "copy", "stranger", "tin", "tec", "ted")


def plan_of(seed: int, hours: float, nodes: int, *, faults: bool = True) -> Plan:
    """Everything that will happen in a run. `faults=False`: the same people, and nothing breaks."""
    end_ms = int(hours * MS_PER_HOUR)
    happenings: list[Happening] = []
    for node in range(nodes):
        happenings += _Script(seed, node, end_ms).happenings()
    if not faults:
        happenings = [one for one in happenings if one.kind not in FAULTS | ELSEWHERE]
    ordered = sorted(one for one in happenings if one.at_ms < end_ms)
    return Plan(seed, nodes, end_ms, tuple(ordered))


def full_plan_of(seed: int, hours: float, nodes: int) -> Plan:
    """`plan_of`, and what befalls networks, cards and the hub of the full stack."""
    plan = plan_of(seed, hours, nodes)
    happenings = list(plan.happenings)
    for node in range(nodes):
        happenings += _Outside(seed, node, plan.end_ms).happenings()
    ordered = sorted(one for one in happenings if one.at_ms < plan.end_ms)
    return Plan(seed, nodes, plan.end_ms, tuple(ordered))


def fault_of(kind: Kind, at_ms: int, node: int, chance: Random) -> Iterator[Happening]:
    """One thing of this kind breaks at `at_ms`, and what can come back by itself does so."""
    return _broken(kind, at_ms, chance.choice(FAULTS_LAST_MS), node, chance)


def _broken(kind: Kind, at_ms: int, for_ms: int, node: int, chance: Random) -> Iterator[Happening]:
    pairs = {
        Kind.WELD: ("on", "off"),
        Kind.STICK: ("on", "off"),
        Kind.FAN: ("broken", "fixed"),
        Kind.MAINS: ("off", "on"),
        Kind.DISK: (chance.choice(["slow", "slow", "failing", "stalled", "full"]), "ok"),
        Kind.READER: (chance.choice(["dead", "noise", "stuck"]), "ok"),
        Kind.LINK: ("down", "up"),
        Kind.WALL: (chance.choice(["1970", "-4000000", "-90000", "90000", "3000"]), "+0"),
    }
    alone = {
        Kind.STOP: (100, 235, 260, 400, 700, 1_500, 5_000),
        Kind.POWER_CUT: ("pi", "all"),
    }
    if kind in pairs:
        begins, ends = pairs[kind]
        longer = 400_000 if kind is Kind.LINK and chance.random() < 0.4 else 0
        yield Happening(at_ms, node, kind, begins)
        yield Happening(at_ms + for_ms + longer, node, kind, ends)
    else:
        value = str(chance.choice(alone[kind])) if kind in alone else ""
        yield Happening(at_ms, node, kind, value)


class _Outside:
    """What befalls one node's network, its card, and (with node 0) the hub."""

    def __init__(self, seed: int, node: int, end_ms: int) -> None:
        self._node, self._end_ms = node, end_ms
        self._chance = Random(f"outside {seed} {node}")

    def happenings(self) -> Iterator[Happening]:
        chance = self._chance
        for at_ms in self._moments(NET_EVERY_MS):
            yield Happening(at_ms, self._node, Kind.NET, chance.choice(MANNERS))
            for_ms = chance.choice([2_000, 20_000, 70_000])
            yield Happening(at_ms + for_ms, self._node, Kind.NET, "ok")
        for at_ms in self._moments(SYNC_EVERY_MS):
            yield Happening(at_ms, self._node, Kind.SYNC, "kill")
        if chance.random() < CARDS_SWAPPED:
            copied_ms = chance.randrange(self._end_ms // 2)
            yield Happening(copied_ms, self._node, Kind.SDCARD, "copy")
            old_ms = chance.randrange(copied_ms, self._end_ms)
            yield Happening(old_ms, self._node, Kind.SDCARD, "old")
        if self._node == 0:
            yield from self._office()

    def _office(self) -> Iterator[Happening]:
        chance = self._chance
        for at_ms in self._moments(HUB_EVERY_MS):
            yield Happening(at_ms, 0, Kind.OFFICE, "stop")
            for_ms = chance.choice([1_000, 30_000, 90_000])
            yield Happening(at_ms + for_ms, 0, Kind.OFFICE, "start")
        for at_ms in self._moments(HUB_EVERY_MS):
            yield Happening(at_ms, 0, Kind.OFFICE, f"price {chance.randrange(6, 40) * 100}")
        if chance.random() < HUBS_RESTORED:
            copied_ms = chance.randrange(self._end_ms // 2)
            yield Happening(copied_ms, 0, Kind.OFFICE, "backup")
            how = chance.choice(["restore", "restore", "restore unnoticed"])
            yield Happening(chance.randrange(copied_ms, self._end_ms), 0, Kind.OFFICE, how)

    def _moments(self, every_ms: int) -> Iterator[int]:
        at_ms = int(self._chance.expovariate(1 / every_ms))
        while at_ms < self._end_ms:
            yield at_ms
            at_ms += int(self._chance.expovariate(1 / every_ms)) + 1


class _Script:
    """What befalls one machine; each kind of thing has chances of its own, so that one does not shift another."""

    def __init__(self, seed: int, node: int, end_ms: int) -> None:
        self._node, self._end_ms = node, end_ms
        self._fit: Fitting = fitting(seed, node)
        self._people = Random(f"people {seed} {node}")
        self._wear = Random(f"wear {seed} {node}")
        self._office = Random(f"office {seed} {node}")
        self._elsewhere = Random(f"elsewhere {seed} {node}")
        self._lids = Random(f"lids {seed} {node}")
        ours = [one.name for one in self._fit.rules.interlocks if not one.remote]
        self._opened_by_hand = [one for one in ours if one != "air"]

    def happenings(self) -> Iterator[Happening]:
        if self._opened_by_hand:
            yield from self._spread(self._lids, LID_EVERY_MS, self._lid)
        if self._fit.waits_for_another:
            yield from self._spread(self._elsewhere, NEXT_DOOR_EVERY_MS, self._next_door)
        yield from self._spread(self._people, VISIT_EVERY_MS, self._visit)
        yield from self._spread(self._wear, FAULT_EVERY_MS, self._fault)
        if self._wear.random() < 0.2:
            yield self._one(1, Kind.LINK, "down")
            yield self._one(self._wear.randrange(20_000, 300_000), Kind.LINK, "up")
        yield from self._spread(self._office, OPERATION_EVERY_MS, self._operation)

    def _spread(self, chance: Random, every_ms: int, make: Make) -> Iterator[Happening]:
        at_ms = chance.randrange(5_000, 5_000 + every_ms)
        while at_ms < self._end_ms:
            yield from make(at_ms)
            at_ms += int(chance.expovariate(1 / every_ms)) + 1

    def _one(self, at_ms: int, kind: Kind, value: str = "") -> Happening:
        return Happening(at_ms, self._node, kind, value)

    # ------------------------------------------------------------------------------------ people

    def _visit(self, at_ms: int) -> Iterator[Happening]:
        chance = self._people
        who = chance.choice(ALONE) if chance.random() < 0.7 else chance.choice(STRANGERS)
        stay_ms = chance.choice([900, 3_000, 7_000, 15_000])
        holds = self._fit.rules.badge_use is BadgeUse.HOLD and chance.random() < 0.85
        yield self._one(at_ms, Kind.LAY, who)
        lifted_ms = at_ms + (stay_ms if holds else chance.choice([150, 400, 700, 2_000]))
        if chance.random() < 0.95:
            yield self._one(lifted_ms, Kind.LIFT, who)
        else:
            yield self._one(lifted_ms + 60_000, Kind.LIFT, who)
        yield from self._company(at_ms, lifted_ms, who, holds)
        yield from self._work(at_ms + chance.choice([700, 1_500, 4_000]), stay_ms)
        if not holds and chance.random() < 0.7:
            again_ms = at_ms + stay_ms + chance.choice([20, 400, 900])
            yield from self._tap(max(again_ms, lifted_ms + 350), who)
        if chance.random() < 0.1:
            yield from self._tap(lifted_ms + chance.choice([20, 100, 200, 500]), who)

    def _company(self, at_ms: int, lifted_ms: int, who: str, holds: bool) -> Iterator[Happening]:
        chance = self._people
        wanted = self._fit.rules.second_person or who in ("tin", "ted")
        if not wanted and chance.random() < 0.85:
            return
        other = chance.choice(["tra", "tom", "tom", "ada", "ben", "lost"])
        came_ms = (at_ms + 400 if holds else lifted_ms) + chance.choice([400, 900, 2_500])
        says_yes = chance.random() < 0.2
        if says_yes:
            yield self._one(came_ms + 2_000, Kind.PRESS, "long_job")
            yield from self._tap(came_ms + 2_300, other)
            yield self._one(came_ms + 3_800, Kind.RELEASE, "long_job")
        if holds and chance.random() < 0.7:
            yield self._one(came_ms - 380, Kind.LIFT, who)
        yield from self._tap(came_ms, other)

    def _tap(self, at_ms: int, who: str) -> Iterator[Happening]:
        yield self._one(at_ms, Kind.LAY, who)
        yield self._one(at_ms + self._people.choice([120, 300, 600]), Kind.LIFT, who)

    def _work(self, at_ms: int, stay_ms: int) -> Iterator[Happening]:
        chance = self._people
        if chance.random() < 0.25:
            return
        yield self._one(at_ms, Kind.PRESS, "start")
        yield self._one(at_ms + 150, Kind.RELEASE, "start")
        if chance.random() < 0.8:
            stop_ms = at_ms + chance.choice([500, stay_ms, stay_ms + 3_000])
            yield self._one(stop_ms, Kind.PRESS, "machine_stop")
            yield self._one(stop_ms + 150, Kind.RELEASE, "machine_stop")
        if chance.random() < 0.35:
            yield from self._panel(at_ms + chance.randrange(100, stay_ms + 500))

    def _panel(self, at_ms: int) -> Iterator[Happening]:
        chance = self._people
        what = chance.choice((*STOPS, "long_job", "broken", "lid", "bypass"))
        for_ms = chance.choice([60, 300, 2_000, 9_000])
        if what == "emergency":
            yield self._one(at_ms, Kind.EMERGENCY, "on")
            yield self._one(at_ms + for_ms, Kind.EMERGENCY, "off")
        elif what == "bypass":
            yield self._one(at_ms, Kind.BYPASS, "on")
            yield self._one(at_ms + for_ms, Kind.BYPASS, "off")
        elif what == "lid":
            names = self._opened_by_hand
            for name in names[:1] if chance.random() < 0.5 else names[-1:]:
                yield self._one(at_ms, Kind.INTERLOCK, f"open {name}")
                yield self._one(at_ms + for_ms, Kind.INTERLOCK, f"close {name}")
        else:
            yield self._one(at_ms, Kind.PRESS, what)
            yield self._one(at_ms + for_ms, Kind.RELEASE, what)
            if what == "broken":
                yield from self._tap(at_ms + for_ms + 8_000, "tec")

    def _lid(self, at_ms: int) -> Iterator[Happening]:
        """Somebody who does not work here opens the machine and looks."""
        name, for_ms = self._lids.choice(self._opened_by_hand), self._lids.choice(OPEN_FOR_MS)
        yield self._one(at_ms, Kind.INTERLOCK, f"open {name}")
        yield self._one(at_ms + for_ms, Kind.INTERLOCK, f"close {name}")

    def _next_door(self, at_ms: int) -> Iterator[Happening]:
        """What happens at the machine that this one waits for, and to its words on their way."""
        chance = self._elsewhere
        what = chance.choice(["open", "open", "open", "away", "way", "way"])
        for_ms = chance.choice(OPEN_FOR_MS if what == "open" else SILENT_FOR_MS)
        if what == "open":
            yield self._one(at_ms, Kind.NEXT_DOOR, "open")
            yield self._one(at_ms + for_ms, Kind.NEXT_DOOR, "close")
            return
        manner = what if what == "away" else chance.choice(next_door.MANNERS)
        yield self._one(at_ms, Kind.HEARSAY, manner)
        yield self._one(at_ms + for_ms, Kind.HEARSAY, "back" if what == "away" else "ok")

    # ---------------------------------------------------------------------------- what breaks

    def _fault(self, at_ms: int) -> Iterator[Happening]:
        chance = self._wear
        for_ms = chance.choice(FAULTS_LAST_MS)
        kind = chance.choice([*sorted(FAULTS), Kind.STOP, Kind.STOP, Kind.WELD])
        if kind is Kind.WELD:
            for_ms = max(for_ms, 20_000)
        if kind in (Kind.POWER_CUT, Kind.KERNEL_HANG) and chance.random() < 0.4:
            # The router stands behind the same fuse and takes longer.
            yield self._one(at_ms - 1, Kind.LINK, "down")
            yield self._one(at_ms + chance.choice([60_000, 200_000]), Kind.LINK, "up")
        yield from _broken(kind, at_ms, for_ms, self._node, chance)
        if kind is Kind.WELD:
            yield from (self._one(at_ms + for_ms + ms, what, "tec") for ms, what in MENDER)

    def _operation(self, at_ms: int) -> Iterator[Happening]:
        chance = self._office
        back_ms = at_ms + chance.choice([5_000, 40_000, 120_000])
        what = chance.choice(
            ["block", "suspend", "untrain", "spend", "lock", "replay", "end", "cut", "clear"]
        )
        who = chance.choice(["ada", "ben", "eve", "tin", "tra", "tom"])
        back = {"block": "unblock", "suspend": "reinstate", "untrain": "train", "spend": "top_up"}
        if what in back:
            yield self._one(at_ms, Kind.HUB, f"{what} {who}")
            yield self._one(back_ms, Kind.HUB, f"{back[what]} {who}")
        elif what == "lock":
            yield self._one(at_ms, Kind.HUB, "lock_out")
            yield self._one(back_ms, Kind.HUB, "release")
        elif what == "replay":
            yield self._one(at_ms, Kind.HUB, "replay")
        else:
            yield self._one(at_ms, Kind.COMMAND, what)
