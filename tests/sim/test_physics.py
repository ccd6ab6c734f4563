"""The machine without software: tables of whole histories, and what no sequence of acts can break."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from interlock.sim.physics import (
    Given,
    Plant,
    PlantState,
    StartControl,
    advance,
    change,
    facts,
    initial,
    next_change_us,
    retrigger,
)

pytestmark = pytest.mark.fast

PLAIN = Plant(monostable_us=None, bounces=0)
"""No dynamic enable and no bounce: the bare contactor."""
GUARDED = replace(PLAIN, monostable_us=100_000)


class Bench:
    """A plant with an instrument that writes down every change of the facts named in `watched`."""

    def __init__(self, plant: Plant, *watched: str) -> None:
        self.plant = plant
        self.watched = watched
        self.state = initial(plant)
        self.log: list[tuple[object, ...]] = []
        self._note([self.state])

    def at(self, at_us: int, **outside: bool | frozenset[str]) -> Bench:
        given = replace(self.state.given, **outside)  # type: ignore[arg-type] # by name
        self._note(change(self.plant, self.state, at_us, given))
        return self

    def toggle(self, at_us: int) -> Bench:
        self._note(retrigger(self.plant, self.state, at_us))
        return self

    def until(self, at_us: int) -> Bench:
        self._note(advance(self.plant, self.state, at_us))
        return self

    def _note(self, states: list[PlantState]) -> None:
        for state in states:
            self.state = state
            shown = facts(self.plant, state)
            row = tuple(getattr(shown, name) for name in self.watched)
            if not self.log or self.log[-1][1:] != row:
                self.log.append((shown.at_us / 1000, *row))


def test_contacts_follow_the_coil_late_both_ways() -> None:
    bench = Bench(PLAIN, "coil", "contacts").at(1_000_000, relay_pin=True)
    bench.at(2_000_000, relay_pin=False).until(3_000_000)
    assert bench.log == [
        (0, False, False),
        (1000, True, False),
        (1015, True, True),
        (2000, False, True),
        (2009, False, False),
    ]


def test_a_coil_that_changes_its_mind_in_time_moves_no_contact() -> None:
    bench = Bench(PLAIN, "coil", "contacts").at(0, relay_pin=True)
    bench.at(14_999, relay_pin=False).until(1_000_000)
    assert bench.log == [(0, False, False), (0, True, False), (14.999, False, False)]


def test_the_mirror_contact_bounces_and_ends_where_it_must() -> None:
    bench = Bench(replace(PLAIN, bounces=2), "contacts", "mirror").at(0, relay_pin=True)
    bench.until(1_000_000)
    assert bench.log == [
        (0, False, True),
        (15, True, False),
        (15.7, True, True),
        (16.4, True, False),
        (17.1, True, True),
        (17.8, True, False),
    ]


def test_power_alone_moves_nothing_and_the_own_start_does() -> None:
    bench = Bench(PLAIN, "motor", "current_ma", "busy").at(0, relay_pin=True)
    bench.at(100_000, start_pressed=True).at(300_000, start_pressed=False)
    bench.at(900_000, stop_pressed=True).at(1_000_000, stop_pressed=False).until(2_000_000)
    assert bench.log == [
        (0, False, 0, False),
        (15, False, 60, False),
        (100, True, 39_000, True),
        (280, True, 6_500, True),
        (900, False, 60, False),
    ]


def test_pressing_start_without_power_starts_nothing_later() -> None:
    bench = Bench(PLAIN, "motor").at(0, start_pressed=True).at(100_000, start_pressed=False)
    bench.at(200_000, relay_pin=True).until(1_000_000)
    assert bench.log == [(0, False)]


@pytest.mark.parametrize(
    ("start_control", "moves_again"),
    [
        (StartControl.NO_VOLT_RELEASE, False),
        (StartControl.SELF_HOLDING, False),
        (StartControl.MAINTAINED, True),
    ],
)
@pytest.mark.parametrize("how", ["mains", "emergency_stop"])
def test_returning_power_restarts_only_a_maintained_switch(
    start_control: StartControl, moves_again: bool, how: str
) -> None:
    cut, back = {
        "mains": ({"mains": False}, {"mains": True}),
        "emergency_stop": ({"emergency_stop": True}, {"emergency_stop": False}),
    }[how]
    bench = Bench(replace(PLAIN, start_control=start_control), "motor").at(0, relay_pin=True)
    bench.at(100_000, start_pressed=True).at(200_000, start_pressed=False)
    bench.at(500_000, **cut).at(600_000, **back).until(1_000_000)
    assert [row[1] for row in bench.log] == [False, True, False] + [True] * moves_again


def test_the_emergency_stop_opens_the_coil_whatever_the_software_does() -> None:
    bench = Bench(GUARDED, "relay", "coil", "contacts").at(0, relay_pin=True)
    for at_ms in range(0, 400, 20):
        bench.toggle(at_ms * 1_000)
        if at_ms == 200:
            bench.at(at_ms * 1_000, emergency_stop=True)
    assert bench.log == [
        (0, False, False, False),
        (0, True, True, False),
        (15, True, True, True),
        (200, True, False, True),
        (209, True, False, False),
    ]


def test_a_hung_node_loses_its_coil_when_the_monostable_ends() -> None:
    bench = Bench(GUARDED, "coil").at(0, relay_pin=True)
    for at_ms in range(0, 1_000, 20):
        bench.toggle(at_ms * 1_000)
    bench.until(5_000_000)
    assert bench.log == [(0, False), (0, True), (980 + 100, False)]


def test_a_relay_pin_without_toggling_drives_no_coil() -> None:
    assert Bench(GUARDED, "coil").at(0, relay_pin=True).until(9_000_000).log == [(0, False)]


def test_welded_contacts_stay_closed_and_the_mirror_contact_tells() -> None:
    bench = Bench(PLAIN, "coil", "contacts", "mirror").at(0, relay_pin=True)
    bench.at(100_000, welded=True).at(200_000, relay_pin=False)
    bench.at(900_000, welded=False).until(1_000_000)
    assert bench.log == [
        (0, False, False, True),
        (0, True, False, True),
        (15, True, True, False),
        (200, False, True, False),
        (909, False, False, True),
    ]


def test_contacts_stuck_open_never_close() -> None:
    bench = Bench(PLAIN, "coil", "contacts", "mirror").at(0, stuck_open=True)
    bench.at(100_000, relay_pin=True).until(1_000_000)
    assert bench.log == [(0, False, False, True), (100, True, False, True)]


def test_a_tool_turns_on_for_a_while_after_its_power_is_gone() -> None:
    bench = Bench(PLAIN, "motor", "turning").at(0, relay_pin=True)
    bench.at(100_000, start_pressed=True).at(900_000, relay_pin=False).until(60_000_000)
    assert bench.log == [
        (0, False, False),
        (100, True, True),
        (909, False, True),
        (8_909, False, False),
    ]


def test_the_air_follows_the_fan_late_and_not_at_all_through_a_clogged_filter() -> None:
    plant = replace(PLAIN, airflow_interlocks=frozenset({"air"}))
    bench = Bench(plant, "extraction", "open_interlocks").at(0, extraction_pin=True)
    bench.at(5_000_000, extraction_broken=True).at(9_000_000, extraction_pin=False)
    still, moving = ("air",), ()
    assert bench.until(20_000_000).log == [
        (0, False, still),
        (0, True, still),
        (1_500, True, moving),
        (6_500, True, still),
        (9_000, False, still),
    ]


def test_a_door_is_open_as_long_as_somebody_holds_it_open() -> None:
    bench = Bench(PLAIN, "open_interlocks").at(1_000, opened=frozenset({"lid"}))
    assert bench.at(2_000, opened=frozenset()).log == [
        (0, ()),
        (1, ("lid",)),
        (2, ()),
    ]


def test_the_bypass_key_powers_beside_our_relay_and_behind_the_stop_chain() -> None:
    bench = Bench(GUARDED, "relay", "coil").at(0, bypass_on=True)
    bench.at(100_000, emergency_stop=True).at(200_000, emergency_stop=False)
    assert bench.at(300_000, bypass_on=False).log == [
        (0, False, False),
        (0, False, True),
        (100, False, False),
        (200, False, True),
        (300, False, False),
    ]


ACTS = st.lists(
    st.tuples(
        st.integers(min_value=0, max_value=400_000),
        st.one_of(
            st.just("toggle"),
            st.dictionaries(
                st.sampled_from(sorted(set(Given.__dataclass_fields__) - {"opened"})),
                st.booleans(),
                max_size=3,
            ),
        ),
    ),
    max_size=40,
)
PLANTS = st.builds(
    Plant,
    start_control=st.sampled_from(StartControl),
    bounces=st.integers(min_value=0, max_value=3),
    monostable_us=st.sampled_from([None, 50_000]),
    coast_us=st.sampled_from([0, 200_000]),
    airflow_us=st.just(100_000),
    airflow_interlocks=st.just(frozenset({"air"})),
)


def every_state(plant: Plant, acts: list[tuple[int, object]]) -> list[PlantState]:
    """Every state passed while `acts` happen one after the other, and in the second after."""
    states = [initial(plant)]
    at_us = 0
    for wait_us, act in acts:
        at_us += wait_us
        if isinstance(act, dict):
            states += change(plant, states[-1], at_us, replace(states[-1].given, **act))
        else:
            states += retrigger(plant, states[-1], at_us)
    return states + advance(plant, states[-1], at_us + 1_000_000)


@drawn(PLANTS, ACTS)
def test_a_coil_has_current_only_with_mains_a_closed_stop_chain_and_the_pin(
    plant: Plant, acts: list[tuple[int, object]]
) -> None:
    for state in every_state(plant, acts):
        shown = facts(plant, state)
        given = state.given
        if shown.coil:
            assert given.mains
            assert not given.emergency_stop
            alive = plant.monostable_us is None or state.enable_until_us > state.now_us
            assert given.bypass_on or (given.relay_pin and alive)


@drawn(PLANTS, ACTS)
def test_a_motor_turns_only_through_closed_contacts(
    plant: Plant, acts: list[tuple[int, object]]
) -> None:
    for state in every_state(plant, acts):
        shown = facts(plant, state)
        assert shown.motor <= (shown.contacts and state.given.mains)
        assert shown.busy == shown.motor
        assert (shown.current_ma == 0) == (not shown.supply)


@drawn(PLANTS, ACTS)
def test_time_is_never_lost_and_every_machine_comes_to_rest(
    plant: Plant, acts: list[tuple[int, object]]
) -> None:
    states = every_state(plant, acts)
    times = [state.now_us for state in states]
    assert times == sorted(times)
    last = states[-1]
    assert next_change_us(plant, last) is None
    assert last.mirror == (not last.contacts)
    assert last.airflow == (
        last.given.extraction_pin and last.given.mains and not last.given.extraction_broken
    )


@drawn(PLANTS, ACTS, st.lists(st.integers(min_value=0, max_value=400_000), max_size=30))
def test_looking_more_often_changes_nothing(
    plant: Plant, acts: list[tuple[int, object]], looks: list[int]
) -> None:
    """The history must not depend on how often the world happens to be woken."""
    seldom = every_state(plant, acts)
    often = every_state(plant, _with_looks(acts, looks))
    assert facts(plant, replace(seldom[-1], now_us=0)) == facts(plant, replace(often[-1], now_us=0))
    assert _changes(plant, seldom) == _changes(plant, often)


def _with_looks(acts: list[tuple[int, object]], looks: list[int]) -> list[tuple[int, object]]:
    """`acts` at the same moments, with acts that impose nothing in between."""
    mixed: list[tuple[int, object]] = []
    for index, (wait_us, act) in enumerate(acts):
        early_us = min(wait_us, looks[index % len(looks)]) if looks else 0
        mixed += [(early_us, {}), (wait_us - early_us, act)]
    return mixed


def _changes(plant: Plant, states: list[PlantState]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for state in states:
        shown = facts(plant, state)
        row = (
            *(shown.coil, shown.contacts, shown.mirror, shown.motor, shown.current_ma),
            *(shown.turning, shown.airflow, shown.open_interlocks),
        )
        if not rows or rows[-1][1:] != row:
            rows.append((shown.at_us, *row))
    return rows
