"""Random histories of money against the oracle: every line, every pass, every statement, to the cent."""

from __future__ import annotations

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings

from interlock.hub.ledger import verify_ledger
from interlock.hub.models import Line, Period, Statement
from tests.hub import oracle
from tests.hub.lab import SmallLab, small_lab
from tests.hub.money_history import History, Played, histories, in_one_go, opened

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

EXAMPLES = 30
"""Each plays a hub from its first price to two closed months: a tenth of a second."""


@pytest.fixture(name="lab")
def _lab() -> SmallLab:
    return small_lab()


def played(lab: SmallLab, history: History) -> Played:
    """The history, played."""
    one = Played(lab, history)
    one.play()
    return one


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(history=histories())
def test_every_line_of_any_history_is_what_the_oracle_says(lab: SmallLab, history: History) -> None:
    with transaction.atomic():
        one = played(lab, history)
        lines, taken = one.told()
        assert one.written == one.told_written
        assert one.lines() == lines
        assert one.taken() == taken
        issued = Statement.objects.order_by("number")
        assert [statement.number for statement in issued] == list(range(1, len(issued) + 1))
        assert verify_ledger(lab.lab) == len(issued)
        for statement in issued:
            amounts = [(line.cents, line.is_net, line.vat_bp) for line in statement.lines.all()]
            assert {
                rate["vat_bp"]: (rate["net_cents"], rate["vat_cents"], rate["gross_cents"])
                for rate in statement.totals
            } == oracle.statement(amounts)
        for period in Period.objects.all():
            sums = [statement.gross_cents for statement in period.statements.all()]
            assert period.gross_cents == sum(sums)
            assert Line.objects.filter(month=period.month, statement=None).count() == 0
        transaction.set_rollback(True)


@settings(max_examples=EXAMPLES // 2, suppress_health_check=list(HealthCheck))
@given(history=histories())
def test_the_order_of_arrival_changes_no_price(lab: SmallLab, history: History) -> None:
    prices: list[dict[int, tuple[object, ...]]] = []
    parts: list[list[tuple[int, int]]] = []
    for told in (opened(history), in_one_go(history)):
        with transaction.atomic():
            one = played(lab, told)
            # Rows made anew have other numbers: what they say is compared.
            prices.append({seq: said[2:] for seq, said in one.lines().items()})
            parts.append(sorted((seq, part) for (seq, _), part in one.taken().items()))
            transaction.set_rollback(True)
    assert prices[0] == prices[1]
    assert parts[0] == parts[1]
