"""Prices to the cent: tables of worked examples, and random histories against an independent oracle."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.hub import vat
from interlock.hub.pricing import Fund, Priced, Terms, Use, price
from tests.hub import oracle
from tests.hub.oracle import owed_cents

pytestmark = pytest.mark.fast

DAY = date(2026, 3, 14)


def use(terms: Terms | None, enabled_s: float, busy_s: float = 0, seq: int = 1, **more: Any) -> Use:
    values = {
        "ended_ms": 1_000 * seq,
        "node": "saw",
        "epoch": 1,
        "seq": seq,
        "day": DAY,
        "enabled_ms": round(enabled_s * 1_000),
        "busy_ms": round(busy_s * 1_000),
        "terms": terms,
    }
    return Use(**{**values, **more})


def words(priced: Priced) -> list[tuple[str, int, int]]:
    return [(step.kind, step.seconds, step.cents) for step in priced.steps]


HOUR12 = Terms(tariff=1, cents_per_hour=1_200)


@pytest.mark.parametrize(
    ("terms", "enabled_s", "busy_s", "steps"),
    [
        (None, 90, 0, [("no_tariff", 90, 0)]),
        (HOUR12, 0, 0, [("enabled", 0, 0)]),
        (HOUR12, 90, 0, [("enabled", 90, 0), ("time", 90, 30)]),
        (HOUR12, 90.999, 0, [("enabled", 90, 0), ("time", 90, 30)]),
        # 1.5 s at 12 € an hour are half a cent: half up. 1 s is a third of a cent.
        (HOUR12, 1, 0, [("enabled", 1, 0), ("time", 1, 0)]),
        (HOUR12, 2, 0, [("enabled", 2, 0), ("time", 2, 1)]),
        (replace(HOUR12, cents_per_hour=1_800), 1, 0, [("enabled", 1, 0), ("time", 1, 1)]),
        (replace(HOUR12, forgive_s=10), 9.999, 0, [("forgiven", 9, 0)]),
        (
            replace(HOUR12, forgive_s=10, setup_cents=50),
            10,
            0,
            [("enabled", 10, 0), ("time", 10, 3), ("setup", 10, 53)],
        ),
        (replace(HOUR12, busy_only=True), 600, 90, [("busy", 90, 0), ("time", 90, 30)]),
        # Switched on and never used: nothing is paid, so no fee and no minimum is due.
        (
            replace(HOUR12, busy_only=True, setup_cents=100, minimum_cents=200),
            600,
            0,
            [("busy", 0, 0)],
        ),
        (
            replace(HOUR12, unit_s=60),
            61,
            0,
            [("enabled", 61, 0), ("rounding", 120, 0), ("time", 120, 40)],
        ),
        (replace(HOUR12, unit_s=60), 120, 0, [("enabled", 120, 0), ("time", 120, 40)]),
        (
            replace(HOUR12, unit_s=900),
            1,
            0,
            [("enabled", 1, 0), ("rounding", 900, 0), ("time", 900, 300)],
        ),
        (
            replace(HOUR12, free_s=60, unit_s=60),
            90,
            0,
            [("enabled", 90, 0), ("free", 30, 0), ("rounding", 60, 0), ("time", 60, 20)],
        ),
        (replace(HOUR12, free_s=60, setup_cents=5), 60, 0, [("enabled", 60, 0), ("free", 0, 0)]),
        (
            replace(HOUR12, minimum_cents=100),
            60,
            0,
            [("enabled", 60, 0), ("time", 60, 20), ("minimum", 60, 100)],
        ),
        (
            replace(HOUR12, minimum_cents=100, setup_cents=200),
            60,
            0,
            [("enabled", 60, 0), ("time", 60, 20), ("setup", 60, 220)],
        ),
    ],
)
def test_each_rule_makes_its_step(
    terms: Terms | None, enabled_s: float, busy_s: float, steps: list[tuple[str, int, int]]
) -> None:
    (priced,) = price([use(terms, enabled_s, busy_s)])
    assert words(priced) == steps
    assert priced.cents == steps[-1][2]


def test_a_days_sessions_cost_at_most_the_cap_and_the_next_day_begins_anew() -> None:
    capped = replace(HOUR12, daily_cap_cents=100)
    tomorrow = DAY + timedelta(days=1)
    lines = price(
        [
            use(capped, 240, seq=1),
            use(capped, 240, seq=2),
            use(capped, 240, seq=3),
            use(capped, 240, seq=4, day=tomorrow),
        ]
    )
    assert [line.cents for line in lines] == [80, 20, 0, 80]
    assert words(lines[1])[-1] == ("daily_cap", 240, 20)
    assert dict(lines[2].steps[-1].numbers) == {"daily_cap_cents": 100, "spent_cents": 100}


def test_the_cap_is_shared_by_machines_of_one_tariff_only() -> None:
    capped = replace(HOUR12, daily_cap_cents=100)
    other = replace(capped, tariff=2)
    lines = price([use(capped, 600, seq=1), use(other, 600, seq=2), use(capped, 600, seq=3)])
    assert [line.cents for line in lines] == [100, 100, 0]


def test_a_months_sessions_cost_at_most_its_cap_however_many_there_are() -> None:
    capped = replace(HOUR12, monthly_cap_cents=250)
    days = [DAY + timedelta(days=days) for days in (0, 1, 2, 3, 20)]
    lines = price(use(capped, 240, seq=seq, day=day) for seq, day in enumerate(days, 1))
    assert [line.cents for line in lines] == [80, 80, 80, 10, 80]
    assert dict(lines[3].steps[-1].numbers) == {"monthly_cap_cents": 250, "spent_cents": 240}


def test_included_time_and_a_pass_run_out_in_the_order_of_the_sessions() -> None:
    member = replace(HOUR12, included_s=300)
    ticket = Fund(number=1, kind="time", origin="bought", left=200)
    lines = price((use(member, 240, seq=seq) for seq in (1, 2, 3)), [ticket])
    assert [(line.included_s, line.cents) for line in lines] == [(240, 0), (60, 0), (0, 73)]
    assert [[one.seconds for one in line.taken] for line in lines] == [[], [180], [20]]


def test_a_late_arrival_moves_the_cap_to_later_sessions() -> None:
    capped = replace(HOUR12, daily_cap_cents=100)
    known = [use(capped, 240, seq=2), use(capped, 240, seq=3)]
    late = use(capped, 240, seq=1)
    assert [line.cents for line in price(known)] == [80, 20]
    assert [line.cents for line in price([*known, late])] == [80, 20, 0]


def test_json_steps_carry_everything_a_page_needs() -> None:
    (priced,) = price([use(replace(HOUR12, unit_s=60), 61)])
    assert [step.to_json() for step in priced.steps] == [
        {"kind": "enabled", "seconds": 61, "cents": 0},
        {"kind": "rounding", "seconds": 120, "cents": 0, "unit_s": 60},
        {"kind": "time", "seconds": 120, "cents": 40, "cents_per_hour": 1_200},
    ]


terms = st.builds(
    Terms,
    tariff=st.integers(1, 2),
    busy_only=st.booleans(),
    cents_per_hour=st.integers(0, 10_000),
    unit_s=st.sampled_from([1, 60, 300, 900]),
    setup_cents=st.sampled_from([0, 1, 100]),
    minimum_cents=st.sampled_from([0, 50, 500]),
    free_s=st.sampled_from([0, 1, 60, 900]),
    daily_cap_cents=st.none() | st.integers(0, 2_000),
    forgive_s=st.sampled_from([0, 10, 60]),
    monthly_cap_cents=st.none() | st.integers(0, 3_000),
    included_s=st.sampled_from([0, 0, 1, 3_600, 10_000]),
    free_purposes=st.sampled_from([frozenset(), frozenset({"training"})]),
)

passes = st.lists(
    st.builds(
        Fund,
        number=st.integers(1, 10_000),
        kind=st.sampled_from(["time", "money"]),
        origin=st.sampled_from(["sponsored", "given", "bought"]),
        left=st.integers(1, 8_000),
        starts_ms=st.integers(0, 3),
        expires_ms=st.none() | st.integers(1, 4),
        share_percent=st.sampled_from([100, 100, 50, 33]),
        machines=st.sampled_from([frozenset(), frozenset({1})]),
        groups=st.sampled_from([frozenset(), frozenset({7})]),
    ),
    max_size=4,
    unique_by=lambda one: one.number,
)


@st.composite
def histories(draw: st.DrawFn) -> list[Use]:
    few = draw(st.lists(terms, min_size=1, max_size=3))
    uses = []
    for seq in range(draw(st.integers(1, 12))):
        enabled_ms = draw(st.integers(0, 4 * 3_600_000))
        uses.append(
            Use(
                ended_ms=draw(st.integers(0, 5)),
                node=draw(st.sampled_from(["saw", "laser"])),
                epoch=draw(st.integers(1, 2)),
                seq=seq,
                # Two days of one month, and the next one.
                day=DAY + timedelta(days=draw(st.sampled_from([0, 1, 20]))),
                enabled_ms=enabled_ms,
                busy_ms=draw(st.integers(0, enabled_ms)),
                terms=draw(st.none() | st.sampled_from(few)),
                started_ms=draw(st.integers(0, 4)),
                purpose=draw(st.sampled_from(["own", "training"])),
                machine=draw(st.integers(1, 2)),
                group=draw(st.sampled_from([None, 7])),
            )
        )
    return uses


@given(histories(), st.randoms(use_true_random=False))
def test_pricing_agrees_with_an_independent_oracle_in_any_order_of_arrival(
    history: list[Use], chance: random.Random
) -> None:
    shuffled = list(history)
    chance.shuffle(shuffled)
    priced = {(line.use.node, line.use.epoch, line.use.seq): line.cents for line in price(shuffled)}
    assert priced == owed_cents(history)


@given(histories(), passes, st.randoms(use_true_random=False))
def test_passes_caps_and_included_time_agree_with_the_oracle_and_nothing_is_spent_twice(
    history: list[Use], held: list[Fund], chance: random.Random
) -> None:
    shuffled = list(history)
    chance.shuffle(shuffled)
    lines = price(shuffled, held)
    said = [
        (
            (line.use.node, line.use.epoch, line.use.seq),
            (line.price_cents, line.cents, line.included_s),
            {one.fund: one.seconds or one.cents for one in line.taken},
        )
        for line in lines
    ]
    assert said == [
        (
            oracle.key_of(bill.use),
            (bill.price_cents, bill.owed_cents, bill.included_s),
            bill.carried,
        )
        for bill in oracle.bills(history, held)
    ]
    for one in held:
        assert sum(carried.get(one.number, 0) for _, _, carried in said) <= one.left


@given(
    st.lists(
        st.tuples(
            st.integers(-50_000, 50_000), st.booleans(), st.sampled_from([0, 550, 1_000, 2_000])
        ),
        max_size=12,
    )
)
def test_vat_is_rounded_once_a_rate_and_net_and_vat_make_gross(
    amounts: list[tuple[int, bool, int]],
) -> None:
    totals = vat.totals(vat.Amount(*amount) for amount in amounts)
    assert {
        rate.vat_bp: (rate.net_cents, rate.vat_cents, rate.gross_cents) for rate in totals.rates
    } == oracle.statement(amounts)
    assert totals.net_cents + totals.vat_cents == totals.gross_cents
    assert vat.totals_from_json(totals.to_json()) == totals


def test_three_cents_without_vat_are_rounded_together_and_not_each() -> None:
    """3 × 3 ct at 20 %: 9 ct and 1.8 ct; each by itself would make 3 × 1 ct of VAT."""
    of_three = vat.totals(vat.Amount(3, is_net=True, vat_bp=2_000) for _ in range(3))
    assert (of_three.net_cents, of_three.vat_cents, of_three.gross_cents) == (9, 2, 11)


@given(histories())
def test_every_price_is_told_by_its_steps(history: list[Use]) -> None:
    for line in price(history):
        assert line.steps
        assert line.cents >= 0
        for step in line.steps:
            assert step.seconds >= 0
            assert step.cents >= 0


def test_the_oracle_would_notice_a_wrong_rounding() -> None:
    """3 half cents: the oracle says half up, and a pricing that cut would disagree with it."""
    half = use(replace(HOUR12, cents_per_hour=1_800), 3)
    assert owed_cents([half]) == {("saw", 1, 1): 2}
    assert 3 * 1_800 // 3_600 == 1
