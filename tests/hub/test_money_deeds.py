"""Passes, sponsors, accounts, materials, corrections and payers: what each deed does to what is owed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied

from interlock.core.model import Credit
from interlock.errors import ConfigError
from interlock.hub import credit, ingest
from interlock.hub.domain import accounts, passes
from interlock.hub.domain.corrections import (
    adjust,
    correct_line,
    correct_session,
    owed_cents,
    reassign,
    should_cost,
)
from interlock.hub.domain.entitlements import credit_account, set_credit_limits, take_back
from interlock.hub.domain.labs import create_group, create_payer
from interlock.hub.domain.machines import create_machine
from interlock.hub.domain.materials import (
    MaterialPrice,
    add_material,
    change_material,
    create_material,
    retire_material,
)
from interlock.hub.domain.members import change_member, set_credit
from interlock.hub.domain.passes import allot, create_sponsorship, end_pass, give_time, sell_pass
from interlock.hub.domain.payers import set_prepays
from interlock.hub.domain.periods import close
from interlock.hub.domain.tariffs import Prices, create_tariff, prices_of, set_prices
from interlock.hub.jobs import credit as credit_job
from interlock.hub.models import (
    AccountEntry,
    AuditRow,
    ChangeLog,
    Line,
    LineKind,
    Member,
    PassKind,
    Payer,
    Purpose,
    RoleName,
    Session,
    TariffVersion,
    Topic,
)
from interlock.hub.pages.prices import price_steps, quantity
from interlock.hub.permissions import Actor
from interlock.hub.tryout import Draft, what_if
from tests.hub.journal import Journal
from tests.hub.lab import LAB_BEGAN_MS, SmallLab, small_lab
from tests.hub.test_closing import DAY_MS, DECEMBER, NOVEMBER, november, on, used

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def payer_of(lab: SmallLab) -> Payer:
    assert lab.member.payer is not None
    return lab.member.payer


def kinds() -> list[list[str]]:
    """The steps of every line of a session, by its start."""
    lines = Line.objects.filter(kind=LineKind.SESSION).order_by("session__started_at")
    return [[step["kind"] for step in line.steps] for line in lines]


def owed() -> list[int]:
    lines = Line.objects.filter(kind=LineKind.SESSION).order_by("session__started_at")
    return [line.cents for line in lines]


# --- passes ---


def test_passes_are_taken_in_the_stated_order_and_a_late_session_moves_them() -> None:
    lab = small_lab()
    payer, journal = payer_of(lab), Journal.of(lab.enrolled)
    used(lab, journal, 3, 3_600)
    sponsor = create_payer(on(1), lab.lab, "Region")
    deal = create_sponsorship(
        on(1), lab.lab, sponsor, "Region 2023", PassKind.TIME, 7_200, share_percent=50
    )
    sell_pass(on(1), payer, PassKind.TIME, "Ten hours", 36_000)
    give_time(on(1), payer, 600, "helped at the fair")
    allot(on(1), deal, payer, 2_000)
    assert kinds() == [["enabled", "sponsored_time", "given_time", "bought_time"]]
    carried = [step["carried_s"] for step in Line.objects.get().steps[1:]]
    assert carried == [1_800, 600, 1_200]
    # It ended before the other one, so it comes first: the sponsor's half of it, and what that leaves.
    used(lab, journal, 2, 3_600)
    assert [
        [step["carried_s"] for step in line.steps[1:]]
        for line in Line.objects.order_by("session__started_at")
    ] == [[1_800, 600, 1_200], [200, 3_400]]
    assert owed() == [0, 0]
    left = passes.left(payer.passes.all())
    assert sorted(one.left for one in left.values()) == [0, 0, 36_000 - 1_200 - 3_400]
    report = passes.use_of(deal, date(2023, 11, 1), date(2023, 11, 30))
    assert [(row.payer, row.machine, row.sessions, row.seconds) for row in report.rows] == [
        (payer, lab.machine, 2, 2_000)
    ]
    assert (report.cents, report.left) == (600 + 67, 7_200 - 2_000)


def test_a_pass_is_for_its_machines_and_until_it_expires() -> None:
    lab = small_lab()
    payer, journal = payer_of(lab), Journal.of(lab.enrolled)
    laser = create_machine(on(0.1), lab.lab, "laser", "Laser", tariff=lab.tariff)
    sell_pass(on(1), payer, PassKind.MONEY, "Laser", 9_000, machines=[laser])
    sell_pass(on(1), payer, PassKind.MONEY, "A day", 9_000, expires_at=on(2).now())
    used(lab, journal, 1.5, 3_600)
    used(lab, journal, 2.5, 3_600)
    assert kinds() == [["enabled", "time", "bought_money"], ["enabled", "time"]]
    assert owed() == [0, 1_200]


def test_an_ended_pass_carries_nothing_more_and_a_sponsorship_is_never_given_twice() -> None:
    lab = small_lab()
    payer, journal = payer_of(lab), Journal.of(lab.enrolled)
    deal = create_sponsorship(on(0.5), lab.lab, payer, "Town", PassKind.MONEY, 1_000)
    one = allot(on(1), deal, payer, 1_000)
    with pytest.raises(ConfigError, match="more than the sponsorship has left"):
        allot(on(1), deal, payer, 1)
    used(lab, journal, 1.2, 1_800)
    end_pass(on(1.5), one, "moved away")
    used(lab, journal, 1.8, 1_800)
    assert owed() == [0, 600]
    allot(on(2), deal, payer, 400)
    with pytest.raises(ConfigError, match="more than the sponsorship has left"):
        allot(on(2), deal, payer, 1)
    with pytest.raises(ConfigError, match="ended already"):
        end_pass(on(2), one, "again")


def test_what_a_closed_month_took_of_a_pass_is_not_there_again() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    sell_pass(on(1), payer_of(lab), PassKind.MONEY, "Twenty euros", 2_000)
    used(lab, journal, 2, 3_600)
    close(on(17), lab.lab, NOVEMBER)
    used(lab, journal, 20, 3_600)
    assert owed() == [0, 400]


# --- accounts ---


def test_credit_is_low_then_none_then_enough_again_and_nodes_hear_only_of_changes() -> None:
    lab = small_lab()
    payer, journal = payer_of(lab), Journal.of(lab.enrolled)
    credit_account(on(0.5), payer, 2_500, "R-1")

    def state() -> tuple[str, int]:
        lab.member.refresh_from_db()
        heard = ChangeLog.objects.filter(topic=Topic.RIGHTS, what="credit_counted")
        return lab.member.credit, heard.count()

    assert state()[0] == Credit.OK.value
    heard = state()[1]
    used(lab, journal, 1, 3_600)
    assert state() == ("ok", heard)
    used(lab, journal, 2, 3_600)
    assert state() == ("low", heard + 1)
    # The running session is not cut: it ends, and only then is nothing left.
    used(lab, journal, 3, 3_600)
    assert state() == ("none", heard + 2)
    assert credit.balance_of(payer, on(4).now()).left_cents == -1_100
    credit_account(on(4), payer, 5_000, "R-2")
    assert state()[0] == "ok"
    wrong = AccountEntry.objects.get(receipt="R-2")
    take_back(on(4), wrong, "twice")
    assert state()[0] == "none"
    with pytest.raises(ConfigError, match="taken back already"):
        take_back(on(4), wrong, "again")
    set_prepays(on(5), payer, False, "pays by invoice now")
    assert state()[0] == "ok"


def test_a_pass_that_expires_leaves_nothing_and_the_job_says_so() -> None:
    lab = small_lab()
    payer = payer_of(lab)
    sell_pass(on(0.5), payer, PassKind.TIME, "A day", 36_000, expires_at=on(2).now())
    set_prepays(on(1), payer, True, "from now on")
    lab.member.refresh_from_db()
    assert lab.member.credit == Member.Credit.OK
    assert credit_job.run(on(3), lab.lab) == "1 accounts, 1 members changed"
    lab.member.refresh_from_db()
    assert lab.member.credit == Member.Credit.NONE
    assert credit_job.run(on(3), lab.lab) == "1 accounts, 0 members changed"


def test_credit_by_hand_is_refused_where_an_account_counts_and_follows_a_new_payer() -> None:
    lab = small_lab()
    firm = create_payer(on(1), lab.lab, "Firm")
    set_prepays(on(1), firm, True, "agreed")
    change_member(on(1), lab.member, firm=firm, purpose=Purpose.COMPANY)
    lab.member.refresh_from_db()
    assert lab.member.credit == Member.Credit.NONE
    with pytest.raises(ConfigError, match="the account counts it"):
        set_credit(on(1), lab.member, "ok", "please")
    change_member(on(2), lab.member, purpose=Purpose.OWN)
    lab.member.refresh_from_db()
    assert lab.member.credit == Member.Credit.OK


def test_thresholds_are_the_labs_own() -> None:
    lab = small_lab()
    credit_account(on(1), payer_of(lab), 2_500, "R-1")
    set_credit_limits(on(1), lab.lab, 3_000, 3_600)
    lab.member.refresh_from_db()
    assert lab.member.credit == Member.Credit.LOW


def test_an_account_cites_a_receipt_and_knows_no_payment() -> None:
    lab = small_lab()
    with pytest.raises(ConfigError, match="receipt"):
        credit_account(on(1), payer_of(lab), 100, " ")
    fields = {field.name for field in AccountEntry._meta.get_fields()}
    assert not fields & {"paid_at", "means", "amount_received"}


# --- payers, groups and purposes by date ---


def test_a_session_is_paid_by_whoever_paid_when_it_began_however_late_it_arrives() -> None:
    lab = small_lab()
    own, journal = payer_of(lab), Journal.of(lab.enrolled)
    firm = create_payer(on(1), lab.lab, "Firm")
    students = create_group(on(1), lab.lab, "student", "Student")
    set_prices(on(1), lab.tariff, Prices(cents_per_hour=600, forgive_s=0), group=students)
    change_member(on(5), lab.member, firm=firm, purpose=Purpose.COMPANY, group=students)
    used(lab, journal, 6, 3_600)
    used(lab, journal, 4, 3_600)
    found = Line.objects.order_by("session__started_at").values_list(
        "payer", "cents", "session__purpose"
    )
    assert list(found) == [(own.pk, 1_200, "own"), (firm.pk, 600, "company")]


def test_a_clock_that_becomes_known_moves_a_session_to_the_payer_of_that_day() -> None:
    lab = small_lab()
    own, journal = payer_of(lab), Journal.of(lab.enrolled)
    firm = create_payer(on(1), lab.lab, "Firm")
    change_member(on(5), lab.member, firm=firm, purpose=Purpose.COMPANY)
    journal.session(lab, 3_600)
    ingest.take(lab.enrolled.node, journal.wires(), settings.HUB_CLOCK)
    assert Line.objects.get().payer == firm
    lab.enrolled.node.refresh_from_db()
    known = len(journal.records)
    journal.anchor(LAB_BEGAN_MS + 2 * DAY_MS)
    ingest.take(lab.enrolled.node, journal.wires(known), settings.HUB_CLOCK)
    assert (Line.objects.get().payer, Session.objects.get().purpose) == (own, "own")


def test_a_company_purpose_needs_a_company() -> None:
    lab = small_lab()
    with pytest.raises(ConfigError, match="company"):
        change_member(on(1), lab.member, purpose=Purpose.COMPANY)


def test_training_is_free_when_the_tariff_says_so_and_staff_can_say_it_was_one() -> None:
    lab = small_lab(Prices(cents_per_hour=1_200, forgive_s=0, free_purposes=("training",)))
    journal = Journal.of(lab.enrolled)
    used(lab, journal, 1, 3_600)
    assert owed() == [1_200]
    assert reassign(on(2), Session.objects.get(), purpose="training", why="a course") == []
    assert (owed(), kinds()) == ([0], [["free_purpose"]])


# --- corrections ---


def test_a_correction_is_a_new_line_beside_the_wrong_one() -> None:
    november()
    session = Session.objects.order_by("pk").first()
    assert session is not None
    assert should_cost(session, enabled_s=900) == 300
    correction = correct_session(on(4), session, enabled_s=900, why="forgot to tap off")
    line = Line.objects.get(session=session)
    assert (line.cents, correction.cents, correction.corrects) == (1_200, -900, line)
    assert (correction.month, correction.vat_bp, owed_cents(line)) == (NOVEMBER, 2_000, 300)
    # Corrected again: the difference to what was corrected before.
    assert correct_line(on(4), line, 500, "a gesture").cents == 200
    with pytest.raises(ConfigError, match="nothing would change"):
        correct_line(on(4), line, 500, "again")
    with pytest.raises(ConfigError, match="corrects another"):
        correct_line(on(4), correction, 0, "no")
    with pytest.raises(ConfigError, match="say why"):
        correct_line(on(4), line, 0, " ")


def test_a_correction_counts_what_it_frees_of_the_days_cap() -> None:
    lab = small_lab(Prices(cents_per_hour=1_200, daily_cap_cents=1_500, forgive_s=0))
    journal = Journal.of(lab.enrolled)
    used(lab, journal, 1.1, 3_600)
    used(lab, journal, 1.2, 3_600)
    assert owed() == [1_200, 300]
    first = Session.objects.order_by("started_at").first()
    assert first is not None
    # Without the first the second would have cost 12 euros: nothing becomes 3 euros cheaper but those.
    assert should_cost(first, enabled_s=0) == 900


def test_a_closed_session_is_given_back_to_one_and_owed_by_the_other_in_the_open_month() -> None:
    lab, _ = november()
    close(on(17), lab.lab, NOVEMBER)
    other = create_payer(on(18), lab.lab, "Zora")
    session = Session.objects.order_by("pk").first()
    assert session is not None
    back, due = reassign(on(18), session, payer=other, why="was hers")
    assert [(line.payer, line.cents, line.month) for line in (back, due)] == [
        (payer_of(lab), -1_200, DECEMBER),
        (other, 1_200, DECEMBER),
    ]
    with pytest.raises(ConfigError, match="nothing is owed"):
        reassign(on(18), session, payer=other, why="again")


def test_materials_and_adjustments_are_lines_that_keep_their_price() -> None:
    lab = small_lab()
    payer = payer_of(lab)
    plywood = create_material(on(1), lab.lab, "Plywood", "m²", MaterialPrice(1_999, vat_bp=2_000))
    line = add_material(on(1), plywood, Decimal("0.125"), payer, member=lab.member)
    assert (line.cents, line.words, line.vat_bp) == (250, "Plywood", 2_000)
    change_material(on(2), plywood, price=MaterialPrice(3_000))
    line.refresh_from_db()
    assert (line.cents, line.steps[0]["unit_cents"]) == (250, 1_999)
    retire_material(on(2), plywood)
    with pytest.raises(ConfigError, match="no more"):
        add_material(on(2), plywood, Decimal(1), payer)
    assert adjust(on(2), payer, -500, "Open day", "helped").cents == -500
    assert credit.balance_of(payer, on(2).now()).open_cents == -250


@pytest.mark.parametrize("amount", ["0", "-1", "0.0001", "1000000"])
def test_a_quantity_is_above_zero_with_three_decimals(amount: str) -> None:
    lab = small_lab()
    nails = create_material(on(1), lab.lab, "Nails", "kg", MaterialPrice(100))
    with pytest.raises(ConfigError, match="three decimals"):
        add_material(on(1), nails, Decimal(amount), payer_of(lab))


# --- tariffs ---


def test_prices_are_stored_whole_and_read_back() -> None:
    lab = small_lab()
    prices = Prices(
        cents_per_hour=100,
        monthly_cap_cents=4_000,
        included_s=7_200,
        free_purposes=("training", "volunteering"),
        is_net=True,
        vat_bp=550,
        account="706000",
        analytic="FAB",
    )
    tariff = create_tariff(on(1), lab.lab, "whole", "Whole", prices)
    assert prices_of(TariffVersion.objects.get(tariff=tariff)) == prices


@pytest.mark.parametrize(
    "wrong",
    [
        {"vat_bp": 10_001},
        {"vat_bp": 2_000, "notice": "art. 293 B"},
        {"free_purposes": ("party",)},
        {"account": "7" * 21},
        {"included_s": -1},
        {"monthly_cap_cents": -1},
    ],
)
def test_prices_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    lab = small_lab()
    with pytest.raises(ConfigError):
        set_prices(on(1), lab.tariff, Prices(**wrong))  # type: ignore[arg-type]


def test_a_draft_prices_the_month_that_was_and_writes_nothing() -> None:
    lab, journal = november()
    students = create_group(on(4), lab.lab, "student", "Student")
    change_member(on(4), lab.member, group=students)
    used(lab, journal, 6, 3_600)
    before = [list(table.objects.values_list()) for table in (Line, TariffVersion, AuditRow)]
    dearer = what_if(
        lab.lab,
        Draft(lab.tariff, Prices(cents_per_hour=2_400, is_net=True, vat_bp=2_000)),
        NOVEMBER,
    )
    assert (dearer.before_cents, dearer.after_cents, dearer.sessions) == (3_000, 7_200, 3)
    (machine,) = dearer.machines
    assert (machine.name, machine.cents, machine.sessions) == ("Table saw", 4_200, 3)
    cheaper = what_if(lab.lab, Draft(lab.tariff, Prices(cents_per_hour=0), students), NOVEMBER)
    assert [(one.name, one.before_cents, one.after_cents) for one in cheaper.groups] == [
        ("Student", 1_200, 0),
        ("", 1_800, 1_800),
    ]
    assert before == [
        list(table.objects.values_list()) for table in (Line, TariffVersion, AuditRow)
    ]


# --- words, and who may ---


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_kind_of_step_has_words_in_both_languages(language: str) -> None:
    from django.utils import translation

    from interlock.hub.pages.prices import _WORDS, words_of

    names = (
        *("seconds", "cents", "enabled_s", "forgive_s", "free_s", "unit_s", "cents_per_hour"),
        *("setup_cents", "minimum_cents", "daily_cap_cents", "spent_cents", "monthly_cap_cents"),
        *("included_s", "carried_s", "left_s", "share_percent", "left_cents", "carried_cents"),
        *("quantity_milli", "unit", "unit_cents", "was_cents", "should_cents", "of_cents"),
    )
    numbers = dict.fromkeys(names, 50)
    with translation.override(language):
        for kind in _WORDS:
            (said,) = words_of([{"kind": kind, **numbers}])
            assert said.words not in ("", kind)
            assert "%(" not in said.words
        assert quantity(2_500) == ("2,5" if language == "fr" else "2.5")


def test_a_line_of_any_kind_explains_itself() -> None:
    november()
    session = Session.objects.order_by("pk").first()
    assert session is not None
    correction = correct_session(on(4), session, enabled_s=900, why="forgot to tap off")
    assert [(step.words, step.amount) for step in price_steps(correction)] == [
        ("Corrected to 15\u00a0min: €3.00 instead of €12.00.", "\u2212€9.00")
    ]


def test_only_those_whose_work_is_money_touch_it() -> None:
    lab, _ = november()
    technician = accounts.create_user("t@example.org", "Tom", "correct horse battery")
    accounts.give_role(on(1), lab.lab, technician, RoleName.TECHNICIAN)
    actor = Actor(on(18).clock, technician)
    line, payer = Line.objects.order_by("pk")[0], payer_of(lab)
    session = line.session
    assert session is not None
    for deed in (
        lambda: correct_line(actor, line, 0, "x"),
        lambda: correct_session(actor, session, enabled_s=0, why="x"),
        lambda: reassign(actor, session, purpose="own", why="x"),
        lambda: adjust(actor, payer, 1, "x", "x"),
        lambda: credit_account(actor, payer, 1, "x"),
        lambda: sell_pass(actor, payer, PassKind.TIME, "x", 1),
        lambda: close(actor, lab.lab, NOVEMBER),
        lambda: set_prepays(actor, payer, True, "x"),
    ):
        with pytest.raises(PermissionDenied):
            deed()
    assert Line.objects.count() == 2
