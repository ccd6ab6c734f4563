"""Maintenance by hours really worked or by date: counted, due, reset, undone, and locked out once a round."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied

from interlock.errors import ConfigError
from interlock.hub.domain import accounts, machines, maintenance
from interlock.hub.domain.maintenance import Round, Work
from interlock.hub.models import Machine, MaintenancePlan, RoleName, Session
from interlock.hub.permissions import Actor
from interlock.sim.clocks import VirtualClock
from tests.hub.lab import SmallLab, console
from tests.hub.page_lab import PageLab, page_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

HOUR_MS = 3_600_000


def used(lab: PageLab, busy_hours: float, enabled_hours: float) -> None:
    """A session now that worked and was enabled for so long."""
    lab.journal.session(lab.small, 60)
    lab.deliver()
    Session.objects.filter(pk=Session.objects.latest("pk").pk).update(
        started_at=console().now(),
        busy_ms=int(busy_hours * HOUR_MS),
        enabled_ms=int(enabled_hours * HOUR_MS),
    )


def later(days: float) -> Actor:
    ms = int((console().now() + timedelta(days=days)).timestamp() * 1_000)
    return Actor(VirtualClock(wall_ms=ms))


def due(lab: PageLab, days: float = 0) -> bool:
    actor = later(days)
    maintenance.recount(actor, lab.small.lab)
    return maintenance.overdue(lab.small.lab, actor.now()).exists()


def fresh(small: SmallLab) -> Machine:
    return Machine.objects.select_related("lab").get(pk=small.machine.pk)


def test_hours_really_worked_count_and_those_it_was_only_enabled_do_not() -> None:
    lab = page_lab()
    maintenance.plan(console(), lab.small.machine, Round("Belt", every_hours=10))
    used(lab, busy_hours=9.5, enabled_hours=50)
    assert not due(lab)
    used(lab, busy_hours=0.5, enabled_hours=1)
    assert due(lab)
    assert MaintenancePlan.objects.get().used_ms == 10 * HOUR_MS


def test_without_a_current_sensor_the_hours_it_was_enabled_count() -> None:
    lab = page_lab()
    Machine.objects.update(has_current_sensor=False)
    maintenance.plan(console(), fresh(lab.small), Round("Belt", every_hours=10))
    used(lab, busy_hours=0, enabled_hours=10)
    assert due(lab)


def test_what_was_voided_or_worked_before_does_not_count() -> None:
    lab = page_lab()
    used(lab, 20, 20)
    Session.objects.update(started_at=console().now() - timedelta(days=1))
    maintenance.plan(console(), lab.small.machine, Round("Belt", every_hours=10))
    used(lab, 20, 20)
    Session.objects.filter(pk=Session.objects.latest("pk").pk).update(voided=True)
    assert not due(lab)


def test_a_plan_by_date_is_due_on_its_day_without_anybody_counting() -> None:
    lab = page_lab()
    maintenance.plan(console(), lab.small.machine, Round("Filter", every_days=30))
    lab_ = lab.small.lab
    moments = [later(29.9).now(), later(30.1).now()]
    assert [maintenance.overdue(lab_, at).exists() for at in moments] == [False, True]


def test_with_both_whichever_is_first_makes_it_due() -> None:
    lab = page_lab()
    maintenance.plan(console(), lab.small.machine, Round("Oil", every_hours=10, every_days=30))
    assert [due(lab), due(lab, 31)] == [False, True]
    used(lab, 10, 10)
    assert due(lab)


def test_an_intervention_begins_the_round_anew_and_its_withdrawal_undoes_that() -> None:
    lab = page_lab()
    plan = maintenance.plan(console(), lab.small.machine, Round("Belt", every_hours=10))
    used(lab, 12, 12)
    assert due(lab)
    made = maintenance.intervene(
        console(), lab.small.machine, Work("New belt", console().now()), plan
    )
    assert not due(lab)
    maintenance.withdraw(console(), made)
    assert due(lab)
    maintenance.withdraw(console(), made, withdrawn=False)
    assert not due(lab)
    # A repair in between begins no round anew.
    used(lab, 12, 12)
    maintenance.intervene(console(), lab.small.machine, Work("Fuse", console().now()))
    assert due(lab)


def test_a_plan_locks_out_only_when_it_was_told_to_and_once_a_round() -> None:
    lab = page_lab()
    quiet = maintenance.plan(console(), lab.small.machine, Round("Dust", every_days=1))
    maintenance.recount(later(2), lab.small.lab)
    assert fresh(lab.small).locked_out_at is None
    maintenance.retire_plan(console(), quiet)
    strict = Round("Brake", every_days=1, locks_out=True)
    plan = maintenance.plan(console(), lab.small.machine, strict)
    assert maintenance.recount(later(2), lab.small.lab) == (1, 1)
    assert fresh(lab.small).locked_out_why == "Maintenance is due: Brake"
    # Who gives it back all the same has decided; the next counting does not overrule them.
    machines.clear_lock_out(console(), fresh(lab.small))
    assert maintenance.recount(later(3), lab.small.lab) == (1, 0)
    assert fresh(lab.small).locked_out_at is None
    done = later(4)
    plan.refresh_from_db()
    maintenance.intervene(done, fresh(lab.small), Work("Brake", done.now()), plan)
    assert maintenance.recount(later(6), lab.small.lab) == (1, 1), "the next round locks out again"


def test_a_lock_out_that_was_there_keeps_its_reason() -> None:
    lab = page_lab()
    machines.lock_out(console(), lab.small.machine, "Blade broken")
    maintenance.plan(console(), fresh(lab.small), Round("Brake", every_days=1, locks_out=True))
    maintenance.recount(later(2), lab.small.lab)
    assert fresh(lab.small).locked_out_why == "Blade broken"


@pytest.mark.parametrize(
    "wanted",
    [Round("x"), Round("", every_days=1), Round("x", every_hours=0), Round("x", every_days=-1)],
    ids=str,
)
def test_a_plan_that_never_comes_round_is_refused(wanted: Round) -> None:
    lab = page_lab()
    with pytest.raises(ConfigError):
        maintenance.plan(console(), lab.small.machine, wanted)


def test_work_of_the_future_is_refused_and_so_is_another_machine_s_plan() -> None:
    lab = page_lab()
    plan = maintenance.plan(console(), lab.small.machine, Round("x", every_days=1))
    other = machines.create_machine(console(), lab.small.lab, "laser", "Laser")
    tomorrow = console().now() + timedelta(days=1)
    with pytest.raises(ConfigError, match="future"):
        maintenance.intervene(console(), lab.small.machine, Work("x", tomorrow))
    with pytest.raises(ConfigError, match="another machine"):
        maintenance.intervene(console(), other, Work("x", console().now()), plan)


def test_only_those_who_maintain_do_any_of_it() -> None:
    lab = page_lab()
    actor = Actor(console().clock, lab.users[RoleName.TRAINER.value])
    with pytest.raises(PermissionDenied):
        maintenance.plan(actor, lab.small.machine, Round("x", every_days=1))
    with pytest.raises(PermissionDenied):
        maintenance.intervene(actor, lab.small.machine, Work("x", console().now()))
    assert accounts.create_user("t@example.org", "T").pk
