"""An invented past with its money: closed month after month as a lab would, and a sponsor who paid for some."""

from __future__ import annotations

import random

import pytest
from django.conf import settings

from interlock.hub import ledger
from interlock.hub.history.money import settle
from interlock.hub.history.plan import Plan, Sizes
from interlock.hub.history.writing import make_history
from interlock.hub.models import PassUse, Period, Sponsorship, StatementDelivery
from interlock.hub.permissions import Actor
from tests.hub.lab import small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

SMALL = Sizes(machines=2, members=20, sessions=150, years=1)


def test_the_past_of_a_demo_is_closed_month_by_month_and_its_ledger_verifies() -> None:
    lab = small_lab().lab
    said: list[str] = []
    actor = Actor(settings.HUB_CLOCK, label="demo")
    make_history(actor, lab, SMALL, say=said.append)
    plan = Plan(lab, SMALL, actor.now(), random.Random(1))
    closed = settle(actor, plan, say=said.append)
    periods = list(Period.objects.order_by("month"))
    assert len(periods) == closed >= 8
    months = [one.month for one in periods]
    assert months == sorted(set(months))
    # Each on its own day, soon after its month; the last one that is over waits.
    assert all(one.closed_at is not None for one in periods)
    assert all(
        3 <= (one.closed_at.date() - one.month).days <= 36 for one in periods if one.closed_at
    )
    assert all(one.closed_at < actor.now() for one in periods if one.closed_at)
    lab.refresh_from_db()
    assert lab.open_month is not None
    assert months[-1] < lab.open_month < plan.last.replace(day=1)
    assert ledger.verify_ledger(lab) == sum(one.statements_count for one in periods)
    assert Sponsorship.objects.get().passes.count() > 0
    assert PassUse.objects.filter(used__sponsorship__isnull=False).exists()
    assert 0 < StatementDelivery.objects.count() < ledger.verify_ledger(lab)
