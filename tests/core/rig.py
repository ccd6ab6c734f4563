"""A machine on the bench: events go in, time passes, and the whole history of effects is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interlock.core import machine
from interlock.core.effects import (
    Effect,
    Panel,
    ReportRefusal,
    SetExtraction,
    SetRelay,
    ShowPanel,
    WriteRecord,
)
from interlock.core.events import (
    BadgeArrived,
    BadgeRemoved,
    Event,
    InputsSampled,
    RecordDurable,
    RecordFailed,
    SnapshotActivated,
)
from interlock.core.model import (
    Assurance,
    BadgeUse,
    Cache,
    Demands,
    Entry,
    Inputs,
    Level,
    Now,
    Presented,
    Reason,
    Right,
    Rules,
)
from interlock.core.states import MachineState, Recovered, State

WALL_AT = 1_800_000_000
"""An instant in 2027; nothing depends on which."""

CACHE = Cache(version=(1, 1), age_s=0)
TICK_MS = 20

ADA = Entry(
    tag=b"\x01" * 16,
    member="m-ada",
    language="fr",
    name="Ada",
    rights=(Right("saw", Level.ALONE),),
)
BEN = replace(ADA, tag=b"\x02" * 16, member="m-ben", language="en", name="Ben")
UNTRAINED = replace(ADA, tag=b"\x03" * 16, member="m-new", name="New", rights=())
TRAINEE = Entry(b"\x05" * 16, "m-tin", "de", "Tin", rights=(Right("saw", Level.SUPERVISED),))
TRAINER = Entry(b"\x06" * 16, "m-tra", "it", "Tra", rights=(Right("saw", Level.TRAINER),))
TECHNICIAN = replace(ADA, tag=b"\x04" * 16, member="m-tec", name="Tec", technician=True)
"""Nobody shares a language with whom they meet: who is spoken to in another's is noticed."""

TAP = Rules(badge_use=BadgeUse.TAP, grace_s=2, warning_s=5, idle_timeout_s=30, progress_s=10)
HOLD = replace(TAP, badge_use=BadgeUse.HOLD)

QUIET = Inputs(emergency_stop_closed=True, mirror_closed=True, busy=False)
"""A machine at rest with every sensor of the table saw."""


class Rig:
    """One `MachineState` driven by hand; the contactor follows the coil unless `follows` is False.

    `durable`: the journal answers at once; otherwise the test answers with `answer()`.
    """

    def __init__(
        self,
        rules: Rules = TAP,
        *,
        inputs: Inputs = QUIET,
        durable: bool = True,
        recovered: Recovered | None = None,
    ) -> None:
        self.ms = 10_000
        self.wall_trusted = True
        self.inputs = inputs
        self.durable = durable
        self.follows = inputs.mirror_closed is not None
        self.effects: list[Effect] = []
        self.relay: list[tuple[int, bool]] = []
        self.air: list[tuple[int, bool]] = []
        self.state: MachineState = machine.initial(rules, recovered or Recovered(), self.now)
        self.records = 0
        self.give(SnapshotActivated(CACHE, Demands(("saw",))))
        self.pass_ms(TICK_MS)

    @property
    def now(self) -> Now:
        return Now(self.ms, WALL_AT + self.ms // 1_000, self.wall_trusted)

    def at(self) -> State:
        """Which state the machine is in."""
        return self.state.state

    @property
    def is_on(self) -> bool:
        return bool(self.relay) and self.relay[-1][1]

    @property
    def air_on(self) -> bool:
        """Whether extraction or cooling is commanded on."""
        return bool(self.air) and self.air[-1][1]

    @property
    def panel(self) -> Panel:
        return next(e.panel for e in reversed(self.effects) if isinstance(e, ShowPanel))

    def give(self, event: Event) -> tuple[Effect, ...]:
        """Step once at the present instant and perform what follows."""
        self.state, effects = machine.step(self.state, event, self.now)
        if SetRelay(False) in effects:
            assert effects[0] == SetRelay(False), "less power acts first"
        if SetRelay(True) in effects:
            behind = effects[effects.index(SetRelay(True)) + 1 :]
            assert not any(isinstance(one, WriteRecord) for one in behind), "more power acts last"
        for effect in effects:
            self.effects.append(effect)
            if isinstance(effect, SetExtraction):
                self.air.append((self.ms, effect.on))
            if isinstance(effect, SetRelay):
                self.relay.append((self.ms, effect.on))
                if self.follows:
                    self.inputs = replace(self.inputs, mirror_closed=not effect.on)
        for effect in effects:
            if isinstance(effect, WriteRecord) and self.durable:
                self.answer(effect)
        return effects

    def answer(self, write: WriteRecord, *, failed: bool = False) -> None:
        self.records += 1
        if failed:
            self.give(RecordFailed(write.ticket, "disk full"))
        else:
            self.give(RecordDurable(write.ticket, f"1.{self.records}"))

    def sample(self, **levels: Any) -> tuple[Effect, ...]:
        self.inputs = replace(self.inputs, **levels)
        return self.give(InputsSampled(self.inputs))

    def pass_ms(self, ms: int) -> None:
        """Let time pass with a tick every 20 ms."""
        end_ms = self.ms + ms
        while self.ms < end_ms:
            self.ms += min(TICK_MS, end_ms - self.ms)
            self.sample()

    def arrive(
        self,
        entry: Entry | None = ADA,
        *,
        cache: Cache = CACHE,
        assurance: Assurance = Assurance.UID,
        tag: bytes = b"\xff" * 16,
        ago_ms: int = 0,
        trouble: Reason | None = None,
        code: str | None = None,
    ) -> tuple[Effect, ...]:
        self.ms += 1
        badge = Presented(
            tag=entry.tag if entry is not None else tag,
            seen_ms=self.ms - ago_ms,
            assurance=assurance,
            entry=entry,
            cache=cache,
            trouble=trouble,
            code=code,
        )
        return self.give(BadgeArrived(badge))

    def tap(self, entry: Entry | None = ADA) -> None:
        self.arrive(entry)
        self.pass_ms(200)
        self.give(BadgeRemoved())

    def written(self, type_: str | None = None) -> list[dict[str, Any]]:
        """The bodies of the records asked for, oldest first."""
        writes = [e for e in self.effects if isinstance(e, WriteRecord)]
        return [dict(w.body) for w in writes if type_ is None or w.type == type_]

    def asked(self, type_: str) -> WriteRecord:
        """The last record of this type that the machine wants to be written."""
        writes = [e for e in self.effects if isinstance(e, WriteRecord)]
        return next(one for one in reversed(writes) if one.type == type_)

    def types(self) -> list[str]:
        return [e.type for e in self.effects if isinstance(e, WriteRecord)]

    def refusals(self) -> list[str]:
        return [e.body["reason"] for e in self.effects if isinstance(e, ReportRefusal)]


def enabled(rules: Rules = TAP, **arguments: Any) -> Rig:
    """A machine that Ada has switched on and whose contactor has followed."""
    rig = Rig(rules, **arguments)
    rig.arrive(ADA)
    rig.pass_ms(100)
    assert rig.at() is State.ENABLED
    return rig
