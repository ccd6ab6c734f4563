"""The machine without software: pins, people and mains go in, a history of coil and motor out.

What is modelled, from the Pi's pin outwards:

    relay pin AND monostable ─┬─ emergency stop ── contactor coil ── contacts ── start/stop ── motor
    (dynamic enable)          │  hard-wired        fed by mains      close late  the machine's own
    bypass key ───────────────┘

    extraction pin ── fan ── airflow switch (late both ways)      lids and doors: by people

The emergency stop stands in the coil's own circuit, so no line of software can overrule it. A
contactor answers late and its auxiliary contact bounces; the mirror contact follows the main
contacts mechanically (IEC 60947-4-1 annex F), so that it tells of a weld. The badge only enables:
the motor turns after an act on the machine's own start control.

Everything is a value: `change` and `advance` return every state the machine passed through, at the
microsecond it did, and nothing here knows what time it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

US_PER_MS = 1_000


class StartControl(Enum):
    """How the machine's own start is built, which decides what a returning supply does."""

    NO_VOLT_RELEASE = auto()
    """Start latches while there is supply; losing supply releases it (the usual table saw)."""
    SELF_HOLDING = auto()
    """Start closes the contactor, which holds through its own contact; our relay is in series."""
    MAINTAINED = auto()
    """A switch that stays where it was put: the machine starts again when the supply returns."""


@dataclass(frozen=True, slots=True)
class Plant:
    """How one machine is built; the figures are those of a small contactor and a 1.5 kW motor."""

    start_control: StartControl = StartControl.NO_VOLT_RELEASE
    close_us: int = 15_000
    """Coil on to contacts closed: 12–22 ms in the data sheets of 9 A contactors."""
    open_us: int = 9_000
    """Coil off to contacts open: 4–19 ms, without a suppressor that slows it."""
    bounces: int = 2
    """How often the mirror contact opens again after a change."""
    bounce_us: int = 700
    """Time between two edges of a bounce; auxiliary contacts settle within about 3 ms."""
    monostable_us: int | None = 250_000
    """How long the dynamic enable lives after an edge: a node that is twelve ticks of 20 ms late
    is hung. None: not wired."""
    standby_ma: int = 60
    """Drawn by the control electronics of an enabled machine that does not run."""
    running_ma: int = 6_500
    inrush_ma: int = 39_000
    """Six times the running current, as an induction motor draws while it starts."""
    inrush_us: int = 180_000
    busy_ma: int = 1_000
    """The current sensor's dry contact closes from here on."""
    coast_us: int = 8_000_000
    """How long the tool still turns without power: 10 s is the limit of EN 1870-1 for a saw."""
    airflow_us: int = 1_500_000
    """How long a fan needs until its airflow switch closes; it opens as late after the fan stops."""
    airflow_interlocks: frozenset[str] = frozenset()
    """Names of the interlocks that are airflow switches; every other one is opened by people."""


@dataclass(frozen=True, slots=True)
class Given:
    """What is imposed from outside: mains, people's hands, wear, and the level of the relay pin."""

    mains: bool = True
    relay_pin: bool = False
    emergency_stop: bool = False
    start_pressed: bool = False
    stop_pressed: bool = False
    welded: bool = False
    """Contacts that are closed, or close once more, do not open again."""
    stuck_open: bool = False
    """Contacts that are open, or open once more, do not close again."""
    bypass_on: bool = False
    """The bypass key is turned: it closes the coil's circuit beside our relay, behind the stop chain."""
    extraction_pin: bool = False
    extraction_broken: bool = False
    """The fan does not move air: a clogged filter, a torn belt, a door of the duct."""
    opened: frozenset[str] = frozenset()
    """Interlocks that somebody holds open, or whose wire is cut, by name."""


@dataclass(frozen=True, slots=True)
class PlantState:
    """One moment of the machine; `advance` moves it on."""

    now_us: int = 0
    given: Given = Given()
    enable_until_us: int = 0
    contacts: bool = False
    contacts_due_us: int | None = None
    mirror: bool = True
    mirror_edges_us: tuple[int, ...] = ()
    started: bool = False
    inrush_until_us: int = 0
    turning_until_us: int = 0
    airflow: bool = False
    airflow_due_us: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What an instrument at the machine would show at `at_us`; histories are compared on these."""

    at_us: int
    relay: bool
    coil: bool
    contacts: bool
    mirror: bool
    motor: bool
    current_ma: int
    busy: bool
    switch_on: bool
    supply: bool
    turning: bool
    """The tool moves: driven, or coasting after it was."""
    extraction: bool
    airflow: bool
    bypass: bool
    open_interlocks: tuple[str, ...]
    """By name, sorted."""


def initial(plant: Plant, now_us: int = 0, given: Given | None = None) -> PlantState:
    """A machine at rest at `now_us`: contacts open, nothing started."""
    return _settled(plant, PlantState(now_us=now_us, given=given or Given()))


def change(plant: Plant, state: PlantState, now_us: int, given: Given) -> list[PlantState]:
    """The states up to `now_us` and the one in which `given` holds, oldest first."""
    passed = advance(plant, state, now_us)
    return [*passed, _settled(plant, replace(passed[-1], given=given))]


def retrigger(plant: Plant, state: PlantState, now_us: int) -> list[PlantState]:
    """The states up to `now_us` and the one after an edge of the dynamic enable came."""
    passed = advance(plant, state, now_us)
    until_us = now_us + (plant.monostable_us or 0)
    return [*passed, _settled(plant, replace(passed[-1], enable_until_us=until_us))]


def advance(plant: Plant, state: PlantState, now_us: int) -> list[PlantState]:
    """Every state passed until `now_us`, the last one at `now_us`; time never goes back."""
    passed: list[PlantState] = []
    due_us = next_change_us(plant, state)
    while due_us is not None and due_us <= now_us:
        state = _settled(plant, _ripened(replace(state, now_us=due_us), plant))
        passed.append(state)
        due_us = next_change_us(plant, state)
    passed.append(replace(state, now_us=max(now_us, state.now_us)))
    return passed


def next_change_us(plant: Plant, state: PlantState) -> int | None:
    """When the machine will next change by itself; None while only the outside can change it."""
    due: list[int] = list(state.mirror_edges_us[:1])
    if state.contacts_due_us is not None:
        due.append(state.contacts_due_us)
    if plant.monostable_us is not None and state.enable_until_us > state.now_us:
        due.append(state.enable_until_us)
    if state.inrush_until_us > state.now_us:
        due.append(state.inrush_until_us)
    if state.turning_until_us > state.now_us and not _motor(state):
        due.append(state.turning_until_us)
    if state.airflow_due_us is not None:
        due.append(state.airflow_due_us)
    return min(due, default=None)


def facts(plant: Plant, state: PlantState) -> Facts:
    """What instruments show in `state`."""
    current_ma = _current_ma(plant, state)
    return Facts(
        at_us=state.now_us,
        relay=_relay(plant, state),
        coil=_coil(plant, state),
        contacts=state.contacts,
        mirror=state.mirror,
        motor=_motor(state),
        current_ma=current_ma,
        busy=current_ma >= plant.busy_ma,
        switch_on=state.started or state.given.start_pressed,
        supply=_supply(state),
        turning=_motor(state) or state.turning_until_us > state.now_us,
        extraction=_extraction(state),
        airflow=state.airflow,
        bypass=state.given.bypass_on,
        open_interlocks=_open_interlocks(plant, state),
    )


# ------------------------------------------------------------------------------------- the circuit


def _relay(plant: Plant, state: PlantState) -> bool:
    """Our output stage conducts: pin high, and the monostable alive where one is wired."""
    alive = plant.monostable_us is None or state.enable_until_us > state.now_us
    return state.given.relay_pin and alive


def _coil(plant: Plant, state: PlantState) -> bool:
    """The contactor's coil has current: mains, stop chain closed, our relay, and its own start."""
    given = state.given
    closed = _relay(plant, state) or given.bypass_on
    fed = given.mains and not given.emergency_stop and closed
    if plant.start_control is StartControl.SELF_HOLDING:
        asked = (given.start_pressed or state.contacts) and not given.stop_pressed
        return fed and asked
    return fed


def _supply(state: PlantState) -> bool:
    return state.given.mains and state.contacts


def _motor(state: PlantState) -> bool:
    return state.started and _supply(state)


def _extraction(state: PlantState) -> bool:
    return state.given.extraction_pin and state.given.mains


def _open_interlocks(plant: Plant, state: PlantState) -> tuple[str, ...]:
    still_air: frozenset[str] = frozenset() if state.airflow else plant.airflow_interlocks
    return tuple(sorted(state.given.opened | still_air))


def _current_ma(plant: Plant, state: PlantState) -> int:
    if _motor(state):
        starting = state.now_us < state.inrush_until_us
        return plant.inrush_ma if starting else plant.running_ma
    return plant.standby_ma if _supply(state) else 0


# ------------------------------------------------------------------------------------------ change


def _ripened(state: PlantState, plant: Plant) -> PlantState:
    """What falls due at `state.now_us` has happened."""
    if state.contacts_due_us == state.now_us:
        state = _moved(plant, state)
    if state.airflow_due_us == state.now_us:
        state = replace(state, airflow=not state.airflow, airflow_due_us=None)
    if state.mirror_edges_us[:1] == (state.now_us,):
        state = replace(state, mirror=not state.mirror, mirror_edges_us=state.mirror_edges_us[1:])
    return state


def _moved(plant: Plant, state: PlantState) -> PlantState:
    """The contacts are over; the mirror contact is too, and rings an even number of edges."""
    contacts = not state.contacts
    first_us = state.now_us + plant.bounce_us
    edges_us = tuple(first_us + i * plant.bounce_us for i in range(2 * plant.bounces))
    return replace(
        state,
        contacts=contacts,
        contacts_due_us=None,
        mirror=not contacts,
        mirror_edges_us=edges_us,
    )


def _settled(plant: Plant, state: PlantState) -> PlantState:
    """Everything that follows at once from the present levels."""
    state = _motor_settled(plant, state)
    state = _airflow_settled(plant, state)
    return _contacts_settled(plant, state)


def _motor_settled(plant: Plant, state: PlantState) -> PlantState:
    ran = state.inrush_until_us > 0
    state = replace(state, started=_started(plant, state))
    if _motor(state) and not ran:
        return replace(state, inrush_until_us=state.now_us + plant.inrush_us)
    if ran and not _motor(state):
        return replace(state, inrush_until_us=0, turning_until_us=state.now_us + plant.coast_us)
    return state


def _airflow_settled(plant: Plant, state: PlantState) -> PlantState:
    """The air begins to move, and comes to rest, some time after the fan."""
    blows = _extraction(state) and not state.given.extraction_broken
    if blows == state.airflow:
        return replace(state, airflow_due_us=None)
    if state.airflow_due_us is not None:
        return state
    return replace(state, airflow_due_us=state.now_us + plant.airflow_us)


def _started(plant: Plant, state: PlantState) -> bool:
    given = state.given
    if plant.start_control is StartControl.SELF_HOLDING:
        return _supply(state)
    wanted = (state.started or given.start_pressed) and not given.stop_pressed
    if plant.start_control is StartControl.MAINTAINED:
        return wanted
    return wanted and _supply(state)


def _contacts_settled(plant: Plant, state: PlantState) -> PlantState:
    """The armature moves when the coil wants what the contacts are not, unless it is stuck."""
    coil = _coil(plant, state)
    held = state.given.welded if state.contacts else state.given.stuck_open
    if coil == state.contacts or held:
        return replace(state, contacts_due_us=None)
    if state.contacts_due_us is not None:
        return state
    delay_us = plant.close_us if coil else plant.open_us
    return replace(state, contacts_due_us=state.now_us + delay_us)
