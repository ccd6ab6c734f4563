"""Money when things come in an unlucky order: passes sold late, corrected sessions that change once more."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.db import connection, transaction

from interlock.errors import StoreError
from interlock.hub import ingest, ledger, ledger_triggers, rollup
from interlock.hub.domain.corrections import correct_line, correct_session, owed_cents, reassign
from interlock.hub.domain.entitlements import credit_account
from interlock.hub.domain.intake import Renewal, take_in
from interlock.hub.domain.labs import create_group, create_payer
from interlock.hub.domain.members import change_member
from interlock.hub.domain.passes import end_pass, sell_pass
from interlock.hub.domain.periods import CheckReason, close, to_check
from interlock.hub.domain.tariffs import Prices, set_prices
from interlock.hub.models import (
    Alarm,
    Line,
    LineKind,
    Member,
    MemberMonth,
    PassKind,
    PassUse,
    Payer,
    Session,
)
from interlock.protocol.records import RecordType
from tests.hub.journal import Journal
from tests.hub.lab import LAB_BEGAN_MS, SmallLab, small_lab
from tests.hub.test_closing import DAY_MS, DECEMBER, NOVEMBER, closed_november, november, on, used

pytestmark = [pytest.mark.fast, pytest.mark.django_db]


def payer_of(lab: SmallLab) -> Payer:
    assert lab.member.payer is not None
    return lab.member.payer


def owed() -> list[int]:
    lines = Line.objects.filter(kind=LineKind.SESSION).order_by("session__started_at")
    return [line.cents for line in lines]


def sent(lab: SmallLab, journal: Journal, known: int, day: float = 30) -> None:
    """The hub has taken in what the journal has beyond its first `known` records, on that day of the lab."""
    lab.enrolled.node.refresh_from_db()
    ingest.take(lab.enrolled.node, journal.wires(known), on(day).clock)


def first_session() -> Session:
    return Session.objects.earliest("pk")


# --- passes ---


def test_selling_a_pass_while_an_earlier_month_is_open_spends_no_other_pass_twice() -> None:
    lab = small_lab()
    payer, journal = payer_of(lab), Journal.of(lab.enrolled)
    first = sell_pass(on(0.5), payer, PassKind.MONEY, "Twelve euros", 1_200)
    used(lab, journal, 1, 3_600)
    used(lab, journal, 18, 3_600)
    assert owed() == [0, 1_200]
    sell_pass(on(19), payer, PassKind.MONEY, "Five euros", 500)
    assert owed() == [0, 1_200]
    assert [use.cents for use in PassUse.objects.filter(used=first)] == [1_200]


def test_ending_a_pass_while_an_earlier_month_is_open_spends_it_not_twice() -> None:
    lab = small_lab()
    payer, journal = payer_of(lab), Journal.of(lab.enrolled)
    first = sell_pass(on(0.5), payer, PassKind.MONEY, "Twelve euros", 1_200)
    used(lab, journal, 1, 3_600)
    used(lab, journal, 18, 3_600)
    end_pass(on(19), first, "moved away")
    assert owed() == [0, 1_200]


# --- what is counted by the month ---


@pytest.mark.parametrize(
    ("prices", "alone", "together"),
    [
        (Prices(cents_per_hour=1_200, forgive_s=0, monthly_cap_cents=1_500), 1_200, [1_200, 300]),
        (Prices(cents_per_hour=1_200, forgive_s=0, included_s=5_400), 0, [0, 600]),
    ],
    ids=["a cap", "included time"],
)
def test_an_earlier_day_that_arrives_later_takes_its_part_of_the_month_first(
    prices: Prices, alone: int, together: list[int]
) -> None:
    lab = small_lab(prices)
    journal = Journal.of(lab.enrolled)
    used(lab, journal, 5, 3_600)
    assert owed() == [alone]
    used(lab, journal, 2, 3_600)
    assert owed() == together


# --- members' terms ---


def test_a_list_that_renews_somebody_changes_nothing_that_was_before() -> None:
    lab = small_lab()
    own, journal = payer_of(lab), Journal.of(lab.enrolled)
    firm = create_payer(on(1), lab.lab, "Firm")
    students = create_group(on(1), lab.lab, "student", "Student")
    set_prices(on(1), lab.tariff, Prices(cents_per_hour=600, forgive_s=0), group=students)
    take_in(on(5), lab.lab, [], [Renewal(lab.member, group=students, payer=firm)])
    used(lab, journal, 6, 3_600)
    used(lab, journal, 4, 3_600)
    found = Line.objects.order_by("session__started_at").values_list("payer", "cents")
    assert list(found) == [(own.pk, 1_200), (firm.pk, 600)]


def test_a_list_that_names_another_payer_gives_the_credit_of_their_account() -> None:
    lab = small_lab()
    firm = create_payer(on(1), lab.lab, "Firm")
    credit_account(on(1), firm, 100, "R-1")
    take_in(on(5), lab.lab, [], [Renewal(lab.member, payer=firm)])
    assert Member.objects.get(pk=lab.member.pk).credit == Member.Credit.LOW
    other = create_payer(on(6), lab.lab, "Other")
    lab.member.refresh_from_db()
    take_in(on(7), lab.lab, [], [Renewal(lab.member, payer=other)])
    assert Member.objects.get(pk=lab.member.pk).credit == Member.Credit.OK


def test_a_session_that_still_runs_is_of_whoever_paid_when_it_began() -> None:
    lab = small_lab()
    own, journal = payer_of(lab), Journal.of(lab.enrolled)
    change_member(on(5), lab.member, payer=create_payer(on(1), lab.lab, "Firm"))
    journal.anchor(LAB_BEGAN_MS + 4 * DAY_MS)
    journal.start(lab)
    sent(lab, journal, 0)
    assert (first_session().how, first_session().payer) == ("", own)


# --- corrections ---


def test_a_corrected_session_that_its_node_voids_is_owed_by_nobody_and_stops_no_record() -> None:
    lab, journal = november()
    session, known = first_session(), len(journal.records)
    correct_session(on(4), session, enabled_s=900, why="forgot to tap off")
    journal.write(
        RecordType.SESSION_VOIDED, session=f"{session.epoch}.{session.seq}", why="never powered"
    )
    sent(lab, journal, known)
    assert [line.cents for line in Line.objects.all()] == [600]
    assert "corrected" in Alarm.objects.get(detail__contains="priced again").detail


def test_a_corrected_session_of_another_payer_takes_its_correction_along() -> None:
    lab, _ = november()
    session, other = first_session(), create_payer(on(4), lab.lab, "Zora")
    correct_session(on(4), session, enabled_s=900, why="forgot to tap off")
    reassign(on(4), session, payer=other, why="was hers")
    lines = Line.objects.order_by("pk").values_list("payer", "cents", "corrects__session")
    own = payer_of(lab).pk
    assert list(lines) == [
        (other.pk, 1_200, None),
        (own, 600, None),
        (other.pk, -900, session.pk),
    ]


def test_a_corrected_session_that_moves_to_another_month_takes_its_correction_along() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.session(lab, 3_600)
    sent(lab, journal, 0)
    session, known = first_session(), len(journal.records)
    # Of a clock that was not set: it is dated by its arrival until the node knows.
    was = Line.objects.get().month
    correct_session(on(20), session, enabled_s=900, why="forgot to tap off")
    journal.anchor(LAB_BEGAN_MS + 2 * DAY_MS)
    sent(lab, journal, known)
    assert was == DECEMBER
    assert [line.month for line in Line.objects.all()] == [NOVEMBER, NOVEMBER]
    journal.write(
        RecordType.SESSION_VOIDED, session=f"{session.epoch}.{session.seq}", why="never powered"
    )
    sent(lab, journal, known + 1)
    assert not Line.objects.exists()


def test_a_corrected_session_that_is_priced_anew_is_put_up_for_a_check() -> None:
    lab = small_lab(Prices(cents_per_hour=1_200, daily_cap_cents=1_500, forgive_s=0))
    journal = Journal.of(lab.enrolled)
    used(lab, journal, 1.1, 3_600)
    correct_line(on(2), Line.objects.get(), 0, "a demonstration")
    assert not Alarm.objects.filter(detail__contains="corrected").exists()
    # Earlier on the same day: the corrected session is left three euros of the cap.
    used(lab, journal, 1.05, 3_600)
    assert owed() == [1_200, 300]
    corrected = Line.objects.get(session=first_session())
    assert owed_cents(corrected) == -900
    detail = Alarm.objects.get(detail__contains="priced again").detail
    assert detail.startswith(f"{first_session().epoch}.{first_session().seq}")


def test_a_closed_session_is_owed_by_the_other_as_it_was_corrected() -> None:
    lab, _ = november()
    close(on(17), lab.lab, NOVEMBER)
    session, other = first_session(), create_payer(on(18), lab.lab, "Zora")
    second = Session.objects.latest("pk")
    correct_session(on(18), session, enabled_s=900, why="forgot to tap off")
    correct_line(on(18), Line.objects.get(session=second), 500, "a gesture")
    assert [line.cents for line in reassign(on(19), session, payer=other, why="hers")] == [
        -300,
        300,
    ]
    assert [line.cents for line in reassign(on(19), second, payer=other, why="hers")] == [
        -500,
        500,
    ]


def test_a_session_that_was_a_training_after_all_is_one_in_the_reports_too() -> None:
    lab, _ = november()
    rollup.refresh(lab.lab)
    reassign(on(4), first_session(), purpose="training", why="a course")
    rollup.refresh(lab.lab)
    found = MemberMonth.objects.filter(lab=lab.lab).values_list("purpose", "enabled_ms")
    assert sorted(found) == [("own", 1_800_000), ("training", 3_600_000)]


# --- closed months ---


def test_a_closed_session_that_turns_out_to_be_of_another_month_is_put_up_for_a_check() -> None:
    lab = small_lab()
    journal = Journal.of(lab.enrolled)
    journal.session(lab, 3_600)
    sent(lab, journal, 0)
    close(on(50), lab.lab, DECEMBER)
    Alarm.objects.all().delete()
    known = len(journal.records)
    journal.anchor(LAB_BEGAN_MS + 2 * DAY_MS)
    sent(lab, journal, known)
    assert Line.objects.get().month == DECEMBER
    assert "changed after its month was closed" in Alarm.objects.get().detail


def test_late_sessions_are_checked_with_the_month_that_bills_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "HUB_CLOCK", on(10).clock)
    lab, journal = november()
    Session.objects.filter(pk=first_session().pk).update(payer=None)
    close(on(17), lab.lab, NOVEMBER)
    assert to_check(lab.lab, DECEMBER) == []
    monkeypatch.setattr(settings, "HUB_CLOCK", on(30).clock)
    used(lab, journal, 5, 13 * 3_600)
    member = lab.member
    member.payer = None
    member.save()
    used(lab, journal, 6, 60)
    assert [one.why for one in to_check(lab.lab, DECEMBER)] == [
        CheckReason.LONG,
        CheckReason.NOBODY,
    ]


def test_a_statement_without_its_salt_is_a_forgery() -> None:
    lab, _, _ = closed_november()
    with transaction.atomic():
        ledger_triggers.remove()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE hub_statement SET salt = NULL, name = 'Somebody else'")
        ledger_triggers.install()
        with pytest.raises(StoreError, match="was altered"):
            ledger.verify_ledger(lab.lab)
        transaction.set_rollback(True)


# --- a closed session that somebody else should have paid ---


def two_payers(prices: Prices, hers: int) -> tuple[SmallLab, Payer]:
    """November, closed: Ada paid her first `hers` hours herself; one more was Zora's."""
    lab = small_lab(prices)
    journal = Journal.of(lab.enrolled)
    zora = create_payer(on(0), lab.lab, "Zora")
    for number in range(hers):
        used(lab, journal, 1 + number / 10, 3_600)
    change_member(on(2), lab.member, payer=zora)
    used(lab, journal, 3, 3_600)
    close(on(17), lab.lab, NOVEMBER)
    return lab, zora


@pytest.mark.parametrize(
    ("prices", "hers", "theirs"),
    [
        (Prices(cents_per_hour=1_200, monthly_cap_cents=1_500, forgive_s=0), [1_200, 300], [300]),
        # Three hours of Ada's, the second and third of them beyond what is included: Zora had none left.
        (
            Prices(cents_per_hour=1_200, included_s=3_600, forgive_s=0),
            [0, 1_200, 1_200],
            [1_200, 1_200],
        ),
        # An hour of hers is still included: the first costs nothing, and uses it up for the second.
        (
            Prices(cents_per_hour=1_200, included_s=7_200, forgive_s=0),
            [0, 0, 1_200, 1_200],
            [1_200],
        ),
        # Half an hour of hers is still included; the second that moves finds it used up.
        (
            Prices(cents_per_hour=1_200, included_s=5_400, forgive_s=0),
            [0, 600, 1_200],
            [600, 1_200],
        ),
        (
            Prices(cents_per_hour=1_200, daily_cap_cents=1_500, forgive_s=0),
            [1_200, 300],
            [1_200, 300],
        ),
    ],
    ids=[
        "month's cap",
        "included time is used up",
        "included time covers one",
        "included time is left",
        "day's cap",
    ],
)
def test_a_closed_session_costs_its_new_payer_what_their_caps_and_included_time_leave(
    prices: Prices, hers: list[int], theirs: list[int]
) -> None:
    _, zora = two_payers(prices, len(hers))
    lines = Line.objects.filter(kind=LineKind.SESSION).order_by("session__started_at")
    *mine, last = lines
    assert ([line.cents for line in mine], last.payer) == (hers, zora)
    asked = [line for line in mine if line.cents]
    due = []
    for line in asked:
        assert line.session is not None
        back, *rest = reassign(on(18), line.session, payer=zora, why="was hers")
        assert (back.payer, back.cents) == (line.payer, -line.cents)
        due += [one.cents for one in rest if one.cents]
    assert due == theirs


def test_a_closed_session_that_was_moved_away_takes_nothing_of_the_months_cap() -> None:
    lab, zora = two_payers(Prices(cents_per_hour=1_200, monthly_cap_cents=1_500, forgive_s=0), 1)
    ada = payer_of(lab) if lab.member.payer != zora else Payer.objects.get(name="Ada Martin")
    hers, theirs = Session.objects.order_by("started_at")
    # Zora's own goes to a third payer; then Ada's costs her the whole hour.
    reassign(on(18), theirs, payer=create_payer(on(18), lab.lab, "Third"), why="was theirs")
    back, due = reassign(on(18), hers, payer=zora, why="was hers")
    assert (back.payer, back.cents, due.payer, due.cents) == (ada, -1_200, zora, 1_200)


# --- what a closed month has used up ---


@pytest.mark.parametrize(
    ("prices", "late"),
    [
        (Prices(cents_per_hour=1_200, monthly_cap_cents=1_500, forgive_s=0), 300),
        (Prices(cents_per_hour=1_200, included_s=5_400, forgive_s=0), 600),
        (Prices(cents_per_hour=1_200, daily_cap_cents=1_500, forgive_s=0), 1_200),
    ],
    ids=["month's cap", "included time", "day's cap, on another day"],
)
def test_what_a_closed_month_used_up_is_used_up_for_a_session_that_arrives_late(
    prices: Prices, late: int
) -> None:
    lab = small_lab(prices)
    journal = Journal.of(lab.enrolled)
    used(lab, journal, 1, 3_600)
    close(on(17), lab.lab, NOVEMBER)
    used(lab, journal, 5, 3_600)
    line = Line.objects.get(kind=LineKind.SESSION, statement=None)
    assert (line.cents, line.month, line.late) == (late, DECEMBER, True)


@pytest.mark.parametrize(
    ("expires_day", "due"), [(1 + 0.5 / 24, 0), (1.0, 1_200), (1 + 1.5 / 24, 0)]
)
def test_a_pass_counts_for_a_session_that_began_before_it_expired_and_for_all_of_it(
    expires_day: float, due: int
) -> None:
    lab = small_lab(Prices(cents_per_hour=1_200, forgive_s=0))
    start, end = on(0).now(), on(expires_day).now()
    sell_pass(on(0.5), payer_of(lab), PassKind.TIME, "2 h", 7_200, starts_at=start, expires_at=end)
    used(lab, Journal.of(lab.enrolled), 1, 3_600)
    assert owed() == [due]
