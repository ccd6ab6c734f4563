"""A seed in, one machine out: its rules, its sensors, how its contactor and its Pi are built."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from interlock.core.model import (
    Assurance,
    BadgeUse,
    Demands,
    Enforcement,
    Interlock,
    Rules,
)
from interlock.sim.physics import Plant, StartControl
from interlock.sim.simulator.house import House, house
from interlock.sim.simulator.next_door import NEXT_DOOR

TRAINING = "machine"
WAITS_FOR_ANOTHER = 0.2
"""How many machines have an interlock at another one."""
HANG_MS = 240
"""As in config/node.py: twelve ticks of 20 ms."""
MONOSTABLE_US = 250_000


@dataclass(frozen=True, slots=True)
class Fitting:
    """How one machine is fitted out; `*_sensed` say which inputs its Pi has."""

    rules: Rules
    house: House
    demands: Demands
    plant: Plant
    strict_gpiod: bool
    mirror_sensed: bool
    busy_sensed: bool
    emergency_sensed: bool
    switch_sensed: bool

    @property
    def warns_only(self) -> bool:
        """The stated exception to S1, S13 and A1."""
        return self.rules.enforcement is Enforcement.WARN_ONLY

    @property
    def waits_for_another(self) -> bool:
        """Whether a contact at another machine keeps this one from starting."""
        return any(one.remote for one in self.rules.interlocks)

    @property
    def monostable(self) -> bool:
        """Whether a dynamic enable is wired."""
        return self.plant.monostable_us is not None

    def told(self) -> str:
        """The machine in one line, for whoever reads a trace."""
        rules = self.rules
        names = ("monostable", "strict_gpiod", "mirror_sensed", "busy_sensed", "emergency_sensed")
        parts = [rules.badge_use.value, self.plant.start_control.name.lower()]
        parts += [name for name in (*names, "switch_sensed", "warns_only") if getattr(self, name)]
        parts += ["second_person"] if rules.second_person else []
        parts += [f"pre_run {rules.pre_run_s} s, run_on {rules.run_on_s} s"] * bool(rules.pre_run_s)
        parts += [f"interlock {one.name}" for one in rules.interlocks]
        watched = rules.unexpected_start_ms
        parts += [] if watched is None else [f"unexpected start watched {watched} ms"]
        return ", ".join(parts + self.house.told())


def fitting(seed: int, node: int) -> Fitting:
    """The machine `node` of the run `seed`; durations are short, so that every deadline is met often."""
    chance = Random(f"fitting {seed} {node}")
    plant, mirror_sensed = _plant(chance)
    busy_sensed = chance.random() < 0.7
    extraction = chance.random() < 0.4
    rules = Rules(
        badge_use=chance.choice([BadgeUse.TAP, BadgeUse.HOLD]),
        min_assurance=Assurance.AES if chance.random() < 0.15 else Assurance.UID,
        enforcement=Enforcement.WARN_ONLY if chance.random() < 0.08 else Enforcement.ENFORCE,
        second_person=chance.random() < 0.12,
        long_jobs=chance.random() < 0.4,
        progress_s=chance.choice([2, 5]),
        grace_s=chance.choice([0, 1, 3]),
        warning_s=chance.choice([1, 2, 4]),
        idle_timeout_s=chance.choice([None, 5, 9]),
        second_wait_s=6,
        supervise_s=8,
        notice_s=2,
        max_offline_s=chance.choice([75, 300, 3_600]),
        pre_run_s=chance.choice([1, 2]) if extraction else 0,
        run_on_s=chance.choice([1, 3]) if extraction else 0,
        coast_down_s=chance.choice([0, 2]),
        hang_ms=HANG_MS if plant.monostable_us is not None else None,
        interlocks=(*_interlocks(chance, extraction), *_elsewhere(seed, node)),
    )
    if busy_sensed and chance.random() < 0.3:
        rules = replace(rules, unexpected_start_ms=600)
    if extraction:
        plant = replace(plant, airflow_us=400_000, airflow_interlocks=frozenset({"air"}))
    maintained = plant.start_control is StartControl.MAINTAINED
    asked = house(seed, node)
    return Fitting(
        rules=rules,
        house=asked,
        demands=asked.to_demands((TRAINING,)),
        plant=plant,
        strict_gpiod=chance.random() < 0.7,
        mirror_sensed=mirror_sensed,
        busy_sensed=busy_sensed,
        emergency_sensed=chance.random() < 0.8,
        switch_sensed=maintained and chance.random() < 0.7,
    )


def _plant(chance: Random) -> tuple[Plant, bool]:
    """The contactor and its start; without a mirror contact the start itself has to protect (2-machine.md)."""
    control = chance.choice(
        [StartControl.NO_VOLT_RELEASE, StartControl.NO_VOLT_RELEASE, *StartControl]
    )
    mirror_sensed = control is StartControl.MAINTAINED or chance.random() < 0.6
    if control is StartControl.SELF_HOLDING:
        # Its contactor closes when people press start, not when our relay does: a mirror says nothing of our coil.
        mirror_sensed = False
    plant = Plant(
        start_control=control,
        close_us=chance.randrange(12_000, 40_000),
        open_us=chance.randrange(4_000, 30_000),
        bounces=chance.randrange(0, 4),
        bounce_us=chance.randrange(300, 1_000),
        monostable_us=MONOSTABLE_US if chance.random() < 0.6 else None,
        inrush_us=chance.randrange(60_000, 190_000),
        coast_us=2_000_000,
    )
    return plant, mirror_sensed


def _interlocks(chance: Random, extraction: bool) -> tuple[Interlock, ...]:
    declared = []
    if chance.random() < 0.4:
        trip_after_ms = chance.choice([0, 0, 200])
        declared.append(Interlock("lid", permit_after_ms=200, trip_after_ms=trip_after_ms))
    if extraction:
        declared.append(
            Interlock("air", permit_after_ms=200, trip_after_ms=300, needs_extraction=True)
        )
        if chance.random() < 0.4:
            declared.append(Interlock("fire", permit_after_ms=200, stops_extraction=True))
    return tuple(declared)


def _elsewhere(seed: int, node: int) -> tuple[Interlock, ...]:
    """Chances of its own: machines that wait for nobody are those they were before there was anybody to wait for."""
    waits = Random(f"next door {seed} {node}").random() < WAITS_FOR_ANOTHER
    return (Interlock(NEXT_DOOR, remote=True),) if waits else ()
