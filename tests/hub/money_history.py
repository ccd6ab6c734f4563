"""Random histories of a lab's money: played through the hub, and told to the oracle in plain facts.

A history is what happened (prices by date, members' terms by date, passes, sessions) and in which order it
arrived, with months closed in between. The hub gets rows and domain functions; the oracle gets the same
facts and works out every line by itself: which prices held, who paid, in which month it was billed.
"""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from hypothesis import strategies as st

from interlock.hub.billing import billable_day, reprice
from interlock.hub.domain.closing import close
from interlock.hub.domain.tariffs import Prices, draft_version
from interlock.hub.models import (
    Basis,
    Group,
    Line,
    LineKind,
    Machine,
    Member,
    Pass,
    PassUse,
    Payer,
    Rounding,
    Session,
    Sponsorship,
    TariffVersion,
)
from interlock.hub.permissions import Actor
from interlock.hub.pricing import Fund, Terms, Use
from interlock.hub.standing import Standings, remember, standing_of
from interlock.sim.clocks import VirtualClock
from tests.hub.lab import SmallLab
from tests.hub.money_repairs import Repair, Standing, Written, repairs
from tests.hub.money_repairs import done as repaired
from tests.hub.oracle import Bill, bills

PARIS = zoneinfo.ZoneInfo("Europe/Paris")
BEGAN = datetime(2026, 9, 28, 12, tzinfo=UTC)
OCTOBER, NOVEMBER, DECEMBER = date(2026, 10, 1), date(2026, 11, 1), date(2026, 12, 1)
CLOSED_AT = {
    OCTOBER: datetime(2026, 12, 20, tzinfo=UTC),
    NOVEMBER: datetime(2026, 12, 21, tzinfo=UTC),
}
SHORT_NIGHT = datetime(2026, 10, 24, 21, 30, tzinfo=UTC)
"""The clocks went back at 1:00 UTC: a Sunday of 25 hours, which is one day for every cap."""
MOMENTS = [
    *(BEGAN + timedelta(days=days, minutes=7 * days) for days in (3, 4, 10, 33, 34, 40, 70)),
    *(SHORT_NIGHT + timedelta(minutes=minutes) for minutes in (0, 45, 200, 260, 1_500)),
    datetime(2026, 10, 31, 22, 50, tzinfo=UTC),
]


@dataclass(frozen=True)
class Happened:
    """One session: who (0 or 1), on which machine (0 or 1), from when, how long, how much of it busy."""

    member: int
    machine: int
    started_at: datetime
    enabled_s: int
    busy_s: int

    @property
    def ended_at(self) -> datetime:
        """When it was over."""
        return self.started_at + timedelta(seconds=self.enabled_s)


@dataclass(frozen=True)
class Changed:
    """From then on the member is of that group (0: none) and of the firm or not."""

    member: int
    at: datetime
    group: int
    firm: bool


@dataclass(frozen=True)
class Held:
    """A pass: of whom (0 or 1: the members' own payers, 2: the firm), and what."""

    payer: int
    kind: str
    origin: str
    amount: int
    starts_at: datetime
    days: int | None
    only_first_machine: bool
    share_percent: int


@dataclass(frozen=True)
class History:
    """Everything; `arrivals` holds indices of `sessions`, months where one was closed, and what was put right."""

    prices: list[tuple[int, datetime, Prices]]
    changes: list[Changed]
    passes: list[Held]
    sessions: list[Happened]
    arrivals: list[list[int] | date | Repair]


_prices = st.builds(
    Prices,
    cents_per_hour=st.sampled_from([0, 1_200, 999, 5_000]),
    basis=st.sampled_from([Basis.ENABLED, Basis.BUSY]),
    rounding=st.sampled_from(list(Rounding)),
    rounding_min=st.just(15),
    setup_cents=st.sampled_from([0, 50]),
    minimum_cents=st.sampled_from([0, 300]),
    free_s=st.sampled_from([0, 600]),
    daily_cap_cents=st.none() | st.sampled_from([500, 1_500]),
    forgive_s=st.sampled_from([0, 60]),
    monthly_cap_cents=st.none() | st.sampled_from([1_000, 4_000]),
    included_s=st.sampled_from([0, 0, 5_400]),
    free_purposes=st.sampled_from([(), ("company",)]),
    is_net=st.booleans(),
    vat_bp=st.sampled_from([0, 550, 2_000]),
)


@st.composite
def _arrivals(draw: st.DrawFn, sessions: int) -> list[list[int] | date | Repair]:
    """They arrive in any order, with up to two months closed and some put right in between."""
    order = draw(st.permutations(range(sessions)))
    cuts = sorted(draw(st.lists(st.integers(0, sessions), min_size=2, max_size=2)))
    closed = draw(st.integers(0, 2))
    repaired = repairs(sessions)
    arrivals: list[list[int] | date | Repair] = [order[: cuts[0]]]
    arrivals += [OCTOBER, *draw(repaired)] if closed > 0 else []
    arrivals += [order[cuts[0] : cuts[1]]]
    arrivals += [NOVEMBER, *draw(repaired)] if closed > 1 else []
    return [*arrivals, order[cuts[1] :], *draw(repaired)]


_passes = st.builds(
    Held,
    payer=st.integers(0, 2),
    kind=st.sampled_from(["time", "money"]),
    origin=st.sampled_from(["sponsored", "given", "bought"]),
    amount=st.integers(1, 6_000),
    starts_at=st.sampled_from(MOMENTS),
    days=st.none() | st.integers(1, 30),
    only_first_machine=st.booleans(),
    share_percent=st.sampled_from([100, 50]),
)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A history with at most eight sessions and two closed months."""
    moments = st.sampled_from(MOMENTS)
    first = draw(_prices)
    # Half of them are about the month: passes would price everything together anyway.
    by_month = draw(st.booleans())
    if by_month:
        first = replace(first, cents_per_hour=5_000, basis=Basis.ENABLED, monthly_cap_cents=4_000)
    prices = [(0, BEGAN - timedelta(days=1), first)]
    dated = draw(st.lists(st.tuples(st.integers(0, 1), moments), max_size=3, unique=True))
    prices += [(group, at, draw(_prices)) for group, at in dated]
    sessions = draw(
        st.lists(
            st.builds(
                Happened,
                member=st.integers(0, 1),
                machine=st.integers(0, 1),
                started_at=moments,
                enabled_s=st.sampled_from([30, 599, 1_801, 5_400, 14_000]),
                busy_s=st.sampled_from([0, 29, 1_000]),
            ),
            min_size=1,
            max_size=8,
        )
    )
    arrivals = draw(_arrivals(len(sessions)))
    return History(
        prices,
        draw(
            st.lists(
                st.builds(Changed, st.integers(0, 1), moments, st.integers(0, 1), st.booleans()),
                max_size=2,
            ).map(lambda found: sorted(found, key=lambda one: one.at))
        ),
        draw(st.lists(_passes, max_size=0 if by_month else 3)),
        sessions,
        arrivals,
    )


class Played:
    """The history in a hub: `lines` is what it billed, `bill` what the oracle says."""

    def __init__(self, lab: SmallLab, history: History) -> None:
        self._history, self._lab = history, lab
        lab.lab.refresh_from_db()
        self.group = Group.objects.create(lab=lab.lab, slug="students", name="Students")
        self.firm = Payer.objects.create(lab=lab.lab, name="Firm")
        second = Payer.objects.create(lab=lab.lab, name="Bo")
        TariffVersion.objects.filter(tariff=lab.tariff).delete()
        for group, at, prices in history.prices:
            draft_version(lab.tariff, prices, self.group if group else None, at).save()
        lab.member.refresh_from_db()
        other = Member.objects.create(lab=lab.lab, public_id="bo", name="Bo", payer=second)
        self.members = [lab.member, other]
        self._own = [member.payer for member in self.members]
        for change in history.changes:
            self._change(change)
        self.machines = [lab.machine, self._machine()]
        self.passes = [self._pass(held) for held in history.passes]
        self.sessions = [self._session(seq, one) for seq, one in enumerate(history.sessions)]
        self.written: list[Written] = []
        self.told_written: list[Written] = []
        self._moved: set[int] = set()

    def play(self) -> None:
        """Everything arrives, and months are closed, in the history's order."""
        for step in self._history.arrivals:
            if isinstance(step, date):
                close(Actor(_clock(CLOSED_AT[step])), self._lab.lab, step)
                continue
            if isinstance(step, Repair):
                self._repair(step)
                continue
            fresh = [self.sessions[index] for index in step]
            Session.objects.bulk_create(fresh)
            days = {billable_day(self._lab.lab, one) for one in fresh} - {None}
            reprice(self._lab.lab, {day for day in days if day is not None}, CLOSED_AT[NOVEMBER])

    def lines(self) -> dict[int, tuple[int, int, date, bool, int, int, int]]:
        """By session: payer, prices, month, late, price, owed, included seconds."""
        rows = Line.objects.filter(kind=LineKind.SESSION).values_list(
            *("session__seq", "payer_id", "tariff_version_id", "month", "late", "price_cents"),
            *("cents", "included_s"),
        )
        return {row[0]: row[1:] for row in rows}

    def taken(self) -> dict[tuple[int, int], int]:
        """By session and pass: seconds or cents, as the pass counts."""
        rows = PassUse.objects.values_list("line__session__seq", "used_id", "seconds", "cents")
        return {(seq, used): seconds or cents for seq, used, seconds, cents in rows}

    def told(
        self,
    ) -> tuple[dict[int, tuple[int, int, date, bool, int, int, int]], dict[tuple[int, int], int]]:
        """The same two, by the oracle."""
        fixed: list[tuple[Bill, date]] = []
        arrived: list[int] = []
        standing, open_month = Standing(), date.min
        self.told_written = []

        def billed() -> list[tuple[Bill, date]]:
            return [
                (bill, max(bill.use.day.replace(day=1), open_month))
                for bill in self._bills(arrived, standing)
            ]

        for step in self._history.arrivals:
            if isinstance(step, date):
                newly = [(bill, month) for bill, month in billed() if month <= step]
                fixed += newly
                for bill, _ in newly:
                    standing.close(self._payer(bill.use.seq).pk, bill)
                open_month = (step + timedelta(days=31)).replace(day=1)
            elif isinstance(step, Repair):
                payer = self._asked(step)
                if standing.can_repair(step.session):
                    came_late = (
                        bill
                        for bill, month in billed()
                        if month > bill.use.day and self._payer(bill.use.seq) == payer
                    )
                    wanted = standing.repair(step, payer.pk if payer else None, came_late)
                    self.told_written.append(wanted)
            else:
                arrived += step
        done = [*fixed, *billed()]
        lines, taken = {}, {}
        for bill, month in done:
            seq = bill.use.seq
            version, payer = self._version(seq), self._payer(seq)
            money = (bill.price_cents, bill.owed_cents, bill.included_s)
            late = month > bill.use.day
            lines[seq] = (payer.pk, version.pk, month, late, *money)
            taken.update({(seq, number): part for number, part in bill.carried.items()})
        return lines, taken

    def _bills(self, arrived: list[int], standing: Standing) -> list[Bill]:
        """What is not closed yet, payer by payer."""
        found = []
        for payer in (*self._own, self.firm):
            assert payer is not None
            theirs = [
                seq for seq in arrived if not standing.is_closed(seq) and self._payer(seq) == payer
            ]
            funds = [fund for of, fund in self._funds() if of == payer]
            found += bills([self._use(seq) for seq in theirs], funds, standing.used_by(payer.pk))
        return found

    def _asked(self, wanted: Repair) -> Payer | None:
        return None if wanted.payer is None else (*self._own, self.firm)[wanted.payer]

    def _repair(self, wanted: Repair) -> None:
        """It is done to the hub, if its session is closed and was not moved before."""
        seq, payer = wanted.session, self._asked(wanted)
        if seq in self._moved or not Line.objects.filter(session__seq=seq, statement__isnull=False):
            return
        actor = Actor(_clock(CLOSED_AT[NOVEMBER]))
        self.written.append(written := repaired(actor, wanted, payer, seq))
        if payer is not None and written is not None:
            self._moved.add(seq)

    def _stood(self, seq: int) -> tuple[int, bool]:
        """Group and firm of the session's member when it began."""
        one = self._history.sessions[seq]
        stood = (0, False)
        for change in self._history.changes:
            if change.member == one.member and change.at <= one.started_at:
                stood = (change.group, change.firm)
        return stood

    def _payer(self, seq: int) -> Payer:
        own = self._own[self._history.sessions[seq].member]
        assert own is not None
        return self.firm if self._stood(seq)[1] else own

    def _version(self, seq: int) -> TariffVersion:
        group, at = self._stood(seq)[0], self._history.sessions[seq].started_at
        versions = list(TariffVersion.objects.order_by("starts_at"))
        theirs = [v for v in versions if group and v.group_id and v.starts_at <= at]
        everybody = [v for v in versions if v.group_id is None and v.starts_at <= at]
        return (theirs or everybody)[-1]

    def _use(self, seq: int) -> Use:
        one, version = self._history.sessions[seq], self._version(seq)
        prices = next(
            prices
            for group, at, prices in self._history.prices
            if (bool(group), at) == (version.group_id is not None, version.starts_at)
        )
        unit = {Rounding.EXACT: 1, Rounding.MINUTE: 60, Rounding.MINUTES: 900}[prices.rounding]
        terms = Terms(
            tariff=1,
            busy_only=prices.basis == Basis.BUSY,
            cents_per_hour=prices.cents_per_hour,
            unit_s=unit,
            setup_cents=prices.setup_cents,
            minimum_cents=prices.minimum_cents,
            free_s=prices.free_s,
            daily_cap_cents=prices.daily_cap_cents,
            forgive_s=prices.forgive_s,
            monthly_cap_cents=prices.monthly_cap_cents,
            included_s=prices.included_s,
            free_purposes=frozenset(prices.free_purposes),
        )
        return Use(
            ended_ms=int(one.ended_at.timestamp()) * 1_000,
            node="saw",
            epoch=9,
            seq=seq,
            day=one.ended_at.astimezone(PARIS).date(),
            enabled_ms=one.enabled_s * 1_000,
            busy_ms=min(one.busy_s, one.enabled_s) * 1_000,
            terms=terms,
            started_ms=int(one.started_at.timestamp()) * 1_000,
            purpose="company" if self._stood(seq)[1] else "own",
            machine=self.machines[one.machine].pk,
            group=self.group.pk if self._stood(seq)[0] else None,
        )

    def _funds(self) -> list[tuple[Payer, Fund]]:
        found = []
        for held, stored in zip(self._history.passes, self.passes, strict=True):
            ends = None if held.days is None else held.starts_at + timedelta(days=held.days)
            fund = Fund(
                number=stored.pk,
                kind="time" if held.origin == "given" else held.kind,
                origin=held.origin,
                left=held.amount,
                starts_ms=int(held.starts_at.timestamp()) * 1_000,
                expires_ms=None if ends is None else int(ends.timestamp()) * 1_000,
                share_percent=held.share_percent if held.origin == "sponsored" else 100,
                machines=frozenset({self.machines[0].pk} if held.only_first_machine else ()),
            )
            found.append((stored.payer, fund))
        return found

    def _change(self, change: Changed) -> None:
        member = self.members[change.member]
        before = standing_of(member)
        member.group = self.group if change.group else None
        member.firm = self.firm if change.firm else None
        member.purpose = "company" if change.firm else "own"
        remember(member, before, change.at)
        member.save()

    def _machine(self) -> Machine:
        return Machine.objects.create(
            lab=self._lab.lab, slug="laser", name="Laser", tariff=self._lab.tariff
        )

    def _pass(self, held: Held) -> Pass:
        payer = (*self._own, self.firm)[held.payer]
        assert payer is not None
        ends = None if held.days is None else held.starts_at + timedelta(days=held.days)
        kind = "time" if held.origin == "given" else held.kind
        sponsorship = None
        if held.origin == "sponsored":
            number = Sponsorship.objects.count()
            sponsorship = Sponsorship.objects.create(
                lab=self._lab.lab,
                sponsor=self.firm,
                name=f"Region {number}",
                kind=kind,
                amount=held.amount,
                share_percent=held.share_percent,
                starts_at=held.starts_at,
            )
        made = Pass.objects.create(
            lab=self._lab.lab,
            payer=payer,
            origin=held.origin,
            sponsorship=sponsorship,
            kind=kind,
            name="Pass",
            amount=held.amount,
            starts_at=held.starts_at,
            expires_at=ends,
            made_at=BEGAN,
        )
        if held.only_first_machine:
            (sponsorship or made).machines.add(self.machines[0])
        return made

    def _session(self, seq: int, one: Happened) -> Session:
        member = self.members[one.member]
        standings = Standings()
        standings.load([member.pk])
        stood = standings.of(member, one.started_at)
        return Session(
            lab=self._lab.lab,
            machine=self.machines[one.machine],
            node=self._lab.enrolled.node,
            epoch=9,
            seq=seq,
            member=member,
            payer_id=stood.pays(),
            group_id=stood.group_id,
            purpose=stood.purpose,
            tariff=self._lab.tariff,
            started_at=one.started_at,
            ended_at=one.ended_at,
            start_boot_id="boot",
            start_boot_ms=0,
            enabled_ms=one.enabled_s * 1_000,
            busy_ms=min(one.busy_s, one.enabled_s) * 1_000,
            how="tap_off",
        )


def in_one_go(history: History) -> History:
    """The same without closing, everything arriving at once, in the order in which it happened."""
    everything = [index for step in history.arrivals if isinstance(step, list) for index in step]
    return replace(history, arrivals=[sorted(everything)])


def opened(history: History) -> History:
    """The same in its own order of arrival, without closing."""
    return replace(history, arrivals=[step for step in history.arrivals if isinstance(step, list)])


def _clock(at: datetime) -> VirtualClock:
    return VirtualClock(wall_ms=int(at.timestamp()) * 1_000)
