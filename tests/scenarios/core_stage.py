"""The pure core on a stage: the same rig as the core's own tests, with people, a clock, and a machine that follows."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from typing import Any

from interlock.core.effects import ReportRefusal, WriteRecord
from interlock.core.events import (
    BadgeRemoved,
    JournalFailed,
    JournalRecovered,
    ReaderFailed,
    ReaderRecovered,
    RemoteInterlockReported,
    SeveralBadgesSeen,
    SnapshotActivated,
)
from interlock.core.model import (
    Assurance,
    Cache,
    Demands,
    Fault,
    Inputs,
    Now,
    Reason,
    Reservation,
    Rules,
)
from interlock.core.states import Recovered
from interlock.node import panel as panels
from interlock.node.journal_facts import Facts, after
from interlock.protocol.records import RecordType
from tests.core.rig import TICK_MS, Rig
from tests.scenarios import casting
from tests.scenarios.script import Script, ScriptError

SETTLE_MS = 100
"""What a machine needs to follow: contactor, debounce, the loop's next ticks."""
STAY_MS = 1_000
EMPTY_MS = 400
"""A field is empty for so long before the next badge arrives."""
TOLERANCE_S = 1
LONG_MS = 10_000
LONG_TICK_MS = 100
"""In long waits nothing of these scenarios is quicker; the stage is, five times."""


class Bench(Rig):
    """The rig with a wall clock that people and hubs set, and a journal that can be dead."""

    def __init__(
        self, rules: Rules, inputs: Inputs, recovered: Recovered, demands: Demands
    ) -> None:
        self.at_zero = casting.START_AT - 10
        self.journal_dead = False
        super().__init__(rules, inputs=inputs, recovered=recovered)
        self.give(SnapshotActivated(Cache((1, 1), 0), demands))

    @property
    def now(self) -> Now:
        return Now(self.ms, self.at_zero + self.ms // 1_000, self.wall_trusted)

    def answer(self, write: WriteRecord, *, failed: bool = False) -> None:
        super().answer(write, failed=failed or self.journal_dead)


class CoreStage:
    """Implements `play.Stage`; what it shows is what the state machine told relay, panel and journal."""

    def __init__(self, script: Script) -> None:
        self._script = script
        machine = casting.machine_of(script)
        self._rules, self._demands, self._sensors = machine.rules, machine.demands, machine.sensors
        self._people = {who: casting.entry_of(script, who) for who in script.people}
        self._version = 1
        self._open: set[str] = set()
        self._fan_works = True
        self._bench = self._new_bench(Recovered())
        self._written: list[WriteRecord] = []
        self._mark = 0
        self.wait(1)

    # --------------------------------------------------------------------------------------- acts

    def mark(self) -> None:
        self._mark = len(self._bench.effects)

    def tap(self, who: str) -> None:
        self.lay(who)
        self.take()

    def lay(self, who: str) -> None:
        self._pass(EMPTY_MS)
        traits = self._script.people[who]
        entry = self._people[who]
        copied = "with a copied badge" in traits
        self._bench.arrive(
            entry,
            cache=Cache((1, self._version), 0),
            assurance=Assurance.AES if "with a secure badge" in traits else Assurance.UID,
            tag=casting.tag_of(who),
            trouble=Reason.BADGE_NOT_GENUINE if copied else None,
            code="7K3PX" if entry is None else None,
        )
        self._pass(SETTLE_MS)

    def take(self) -> None:
        self._bench.give(BadgeRemoved())
        self._pass(SETTLE_MS)

    def crowd(self, first: str, second: str) -> None:
        self._bench.give(SeveralBadgesSeen())
        self._pass(SETTLE_MS)

    def wait(self, seconds: float) -> None:
        self._pass(round(seconds * 1_000))

    def work(self, on: bool) -> None:
        assert self._bench.is_on or not on, "a machine without power cannot work"
        self._level(busy=on)

    def own_switch(self, on: bool) -> None:
        self._level(machine_switch_on=on)

    def push(self, button: str) -> None:
        name = f"{button.replace('-', '_')}_pressed"
        self._level(**{name: True})
        self._level(**{name: False})

    def hold(self, button: str, down: bool) -> None:
        self._level(**{f"{button.replace('-', '_')}_pressed": down})

    def emergency_stop(self, latched: bool) -> None:
        self._level(emergency_stop_closed=not latched)

    def interlock(self, name: str, opened: bool) -> None:
        known = {one.name: one for one in self._rules.interlocks}
        if name not in known:
            raise ScriptError(f"{self._script.name}.txt: there is no interlock {name!r}")
        if known[name].remote:
            self._bench.give(RemoteInterlockReported(name, not opened))
        (self._open.add if opened else self._open.discard)(name)
        self._pass(500)

    def fan(self, works: bool) -> None:
        self._fan_works = works
        self._pass(500)

    def bypass(self, on: bool) -> None:
        self._level(bypass_on=on, **self._mirror(not on))

    def contactor(self, fault: str) -> None:
        self._bench.follows = fault == "" and "no mirror contact" not in self._sensors
        if fault == "":
            self._level(**self._mirror(not self._bench.is_on))

    def mains(self, on: bool) -> None:
        # The contactor drops, and a returning supply closes it again as long as our coil is driven.
        self._level(**self._mirror(not (on and self._bench.is_on)))

    def reader(self, alive: bool) -> None:
        self._bench.give(ReaderRecovered() if alive else ReaderFailed("no chip answers"))
        self._pass(SETTLE_MS)

    def journal(self, alive: bool) -> None:
        self._bench.journal_dead = not alive
        self._bench.give(JournalRecovered() if alive else JournalFailed("disk full"))
        self._pass(SETTLE_MS)

    def power(self, on: bool) -> None:
        if not on:
            self._written += [e for e in self._bench.effects if isinstance(e, WriteRecord)]
            self._bench.relay.append((self._bench.ms, False))
            return
        facts = Facts()
        for number, write in enumerate(self._written, 1):
            facts = after(facts, f"1.{number}", RecordType(write.type), write.body)
        faults = frozenset(Fault(name) for name in facts.faults)
        self._bench = self._new_bench(Recovered(faults, facts.locked_out))
        self._mark = 0
        self.wait(1)

    def hub(self, who: str, change: str) -> None:
        entry = self._people[who]
        assert entry is not None
        self._people[who] = casting.changed(entry, change, self._script.name)
        self._snapshot()

    def lock_out(self, on: bool) -> None:
        self._demands = replace(self._demands, locked_out=on)
        self._snapshot()

    def local_time(self, when: str) -> None:
        at = int(datetime.fromisoformat(when).timestamp())
        self._bench.at_zero = at - self._bench.ms // 1_000
        self._pass(SETTLE_MS)

    def clock_jumps(self, days: int) -> None:
        self._bench.at_zero += days * casting.DAY_S
        self._pass(SETTLE_MS)

    def told(self, trusted: bool) -> None:
        self._bench.wall_trusted = trusted
        self._pass(SETTLE_MS)

    def reserve(self, who: str, minutes: int) -> None:
        entry, now_at = self._people[who], self._bench.now.wall_at
        assert entry is not None
        assert now_at is not None
        kept = Reservation(now_at, now_at + 60 * minutes, entry.member)
        self._demands = replace(self._demands, reservations=(*self._demands.reservations, kept))
        self._snapshot()

    # --------------------------------------------------------------------------------------- looks

    def see(self, expected: str) -> None:
        """What the scenario expects is so. Raises AssertionError, ScriptError."""
        for pattern, look in _LOOKS:
            match = re.fullmatch(pattern, expected)
            if match is not None:
                look(self, match)
                return
        raise ScriptError(f"{self._script.name}.txt: nobody knows how to see {expected!r}")

    def _relay(self, match: re.Match[str]) -> None:
        if match[1]:
            self._pass(STAY_MS)
        assert self._bench.is_on is (match[2] == "on"), self._bench.relay

    def _extraction(self, match: re.Match[str]) -> None:
        assert self._bench.air_on is (match[1] == "on"), self._bench.air

    def _state(self, match: re.Match[str]) -> None:
        assert self._bench.at().value == match[1], self._bench.at()

    def _screen(self, match: re.Match[str]) -> None:
        shown = self._bench.panel
        assert shown.message.value == match[1].lower(), shown

    def _lamp(self, match: re.Match[str]) -> None:
        shown = self._bench.panel
        seen = f"{shown.colour.value} {shown.lamp.value}".replace("_", " ")
        assert seen == match[1], shown

    def _buzzer(self, match: re.Match[str]) -> None:
        assert self._bench.panel.buzzer.value.replace("_", " ") == match[1], self._bench.panel

    def _says(self, match: re.Match[str]) -> None:
        lines = panels.screen(self._bench.panel, "en")
        assert match[1] in " ".join(lines), lines

    def _refused(self, match: re.Match[str]) -> None:
        reasons = [e.body["reason"] for e in self._news(ReportRefusal)]
        shown = self._bench.panel.reason
        assert match[1] in reasons or (shown is not None and shown.value == match[1]), reasons

    def _ended(self, match: re.Match[str]) -> None:
        ends = [e.body["how"] for e in self._news(WriteRecord) if e.type == "session_ended"]
        assert ends == [match[1]], ends

    def _recorded(self, match: re.Match[str]) -> None:
        types = [e.type for e in self._news(WriteRecord)]
        assert (match[2] in types) is (not match[1]), types

    def _lasted(self, match: re.Match[str]) -> None:
        ends = [e.body for e in self._news(WriteRecord) if e.type == "session_ended"]
        assert len(ends) == 1, ends
        seconds = ends[0][f"{match[1]}_ms"] / 1_000
        assert abs(seconds - int(match[2])) <= TOLERANCE_S, ends

    # -------------------------------------------------------------------------------------- inside

    def _new_bench(self, recovered: Recovered) -> Bench:
        closed = None if "no mirror contact" in self._sensors else True
        inputs = Inputs(
            emergency_stop_closed=True,
            mirror_closed=closed,
            busy=False if "current sensor" in self._sensors else None,
            machine_switch_on=False if "machine switch" in self._sensors else None,
            bypass_on=False if "bypass key" in self._sensors else None,
            interlocks_closed=self._contacts(air=False),
        )
        return Bench(self._rules, inputs, recovered, self._demands)

    def _contacts(self, *, air: bool) -> tuple[bool | None, ...]:
        return tuple(
            None
            if one.remote
            else one.name not in self._open
            and (not one.needs_extraction or (air and self._fan_works))
            for one in self._rules.interlocks
        )

    def _snapshot(self) -> None:
        self._version += 1
        self._bench.give(SnapshotActivated(Cache((1, self._version), 0), self._demands))
        self._pass(SETTLE_MS)

    def _mirror(self, closed: bool) -> dict[str, bool]:
        return {} if "no mirror contact" in self._sensors else {"mirror_closed": closed}

    def _level(self, **levels: Any) -> None:
        self._bench.sample(**levels)
        self._pass(SETTLE_MS)

    def _pass(self, duration_ms: int) -> None:
        """Time passes; the air follows the fan at every tick, and a machine without power rests."""
        tick_ms = TICK_MS if duration_ms <= LONG_MS else LONG_TICK_MS
        for _ in range(max(1, duration_ms // tick_ms)):
            bench = self._bench
            levels: dict[str, Any] = {"interlocks_closed": self._contacts(air=bench.air_on)}
            if bench.inputs.busy and not bench.is_on:
                levels["busy"] = False
            bench.inputs = replace(bench.inputs, **levels)
            bench.ms += tick_ms
            bench.sample()

    def _news(self, kind: type) -> list[Any]:
        return [e for e in self._bench.effects[self._mark :] if isinstance(e, kind)]


_LOOKS = (
    (r"relay (stays )?(on|off)", CoreStage._relay),
    (r"extraction (on|off)", CoreStage._extraction),
    (r"state ([a-z_]+)", CoreStage._state),
    (r"screen ([A-Z_]+)", CoreStage._screen),
    (r"lamp ([a-z ]+)", CoreStage._lamp),
    (r"buzzer ([a-z ]+)", CoreStage._buzzer),
    (r'says "([^"]+)"', CoreStage._says),
    (r"refused ([A-Z_]+)", CoreStage._refused),
    (r"ended ([a-z_]+)", CoreStage._ended),
    (r"(not )?recorded ([a-z_]+)", CoreStage._recorded),
    (r"(enabled|busy|idle) for (\d+) s", CoreStage._lasted),
)
