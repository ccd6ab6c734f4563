"""Operators' words and nodes' requests in, the hub's own answers out: Django on SQLite, in this process.

Requests go through the real middleware, views, ingest, snapshots and pricing; a poll waits in the real
`front.Front`, in an event loop whose time is the schedule's. What operators say is done by the domain's functions and
noted as plain facts beside them (`HubModel`): what the hub signed is judged by those.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from interlock.protocol.snapshots import SnapshotVersion
from interlock.sim.clocks import VirtualClock
from interlock.sim.simulator.fitting import TRAINING, Fitting
from interlock.sim.simulator.full.accounts import BEGIN_CENTS, Accounts
from interlock.sim.simulator.full.hub_folder import begun
from interlock.sim.simulator.full.polls import Polls
from interlock.sim.simulator.house import ZONE
from interlock.sim.simulator.hub_model import HubModel, Snapshot
from interlock.sim.simulator.people import Person
from interlock.sim.simulator.schedule import BEGUN_MS, Schedule

HUB_URL = "http://localhost"
LOOK_US = 250_000
"""`Watch` looks five times a second and gathers for another fifth."""
CENTS_PER_HOUR = 1_200
MONDAY = 0
"""The day of every run, as opening hours count days."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a node's sync."""

    method: str
    path: str
    authorization: str
    query: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of the hub's; `era` counts its restores."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    era: int = 0


Answered = Callable[[Reply], None]


@dataclass(frozen=True, slots=True)
class Backup:
    """The hub's database at one moment, and what was true then."""

    database: bytes
    people: Mapping[str, Person]
    locked_out: frozenset[int]
    prices: tuple[tuple[int, int], ...]
    accounts: Accounts


class HubClock:
    """What the hub takes for the time."""

    boot_id = "hub"

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def boot_ms(self) -> int:
        """Milliseconds of the run."""
        return self._schedule.now_us // 1_000

    def wall_ms(self) -> int:
        """The true UTC."""
        return BEGUN_MS + self.boot_ms()

    def sleep(self, seconds: float) -> None:
        """Nothing of the hub sleeps here."""
        raise AssertionError(f"the hub slept for {seconds} s in virtual time")


class RealHub(HubModel):
    """The hub of one run, and everything it ever told."""

    def __init__(
        self, people: Mapping[str, Person], schedule: Schedule, fits: list[Fitting]
    ) -> None:
        super().__init__(people)
        self._schedule = schedule
        self.is_down = False
        self.era = 0
        self.restored_us = -(10**12)
        self.troubles: list[str] = []
        self.unaudited: list[str] = []
        """What operators did and no audit row tells."""
        self.requests: Counter[str] = Counter()
        self.changed_us = self.started_us = 0
        self.prices: tuple[tuple[int, int], ...] = ((0, CENTS_PER_HOUR),)
        self.accounts = Accounts()
        self.backup: Backup | None = None
        self.words: dict[int, tuple[int, int]] = {}
        """By who shows their credential: when they last told of their interlocks, and what they called that moment."""
        self.archive: dict[int, list[bytes]] = {}
        """By node: every whole list that it ever fetched."""
        self._told: dict[tuple[int, SnapshotVersion], Snapshot] = {}
        self._look_due = False
        self._lay_down(begun().empty)
        from django.conf import settings
        from django.test import Client

        settings.HUB_CLOCK = HubClock(schedule)
        self._client = Client(raise_request_exception=False)
        self._clock = settings.HUB_CLOCK
        self._make_lab(fits)
        self._start()

    # ------------------------------------------------------------------------------------ the office

    def change(self, words: str, node: int, now_us: int) -> None:
        """What an operator does at the hub's pages; nothing while it is down."""
        if self.is_down:
            return
        what, *who = words.split()
        if what in ("spend", "top_up") and who[0] in BEGIN_CENTS:
            self._account_deed(what, who[0])
            return
        before = (dict(self._people), self._locked_out)
        super().change(words, node, now_us)
        if (self._people, self._locked_out) == before:
            return
        self.changed_us = now_us
        self._audited(words, lambda: self._deed(words, node))
        self._look_soon()

    def office(self, words: str) -> None:
        """`stop`, `start`, `backup`, `restore`, `restore unnoticed`, `price CENTS`."""
        match words.split():
            case ["stop"]:
                self.is_down = True
                self.polls.close()
            case ["start"] if self.is_down:
                self._start()
            case ["backup"] if not self.is_down:
                self.backup = Backup(
                    self._database(),
                    dict(self._people),
                    self._locked_out,
                    self.prices,
                    self.accounts.copy(),
                )
            case ["restore", *how] if self.backup is not None:
                self._restore(self.backup, is_noticed=not how)
            case ["price", cents] if not self.is_down:
                self._audited(words, lambda: self._set_price(int(cents)))

    def truth_of(self, node: int, version: SnapshotVersion) -> Snapshot | None:
        """What was true at the hub when it signed that version for that machine."""
        return self._told.get((node, version))

    def pk_of(self, node: int) -> int:
        """The number of that machine's node in the hub's database."""
        return int(self._pks[node])

    def close(self) -> None:
        """The run is over."""
        from django.db import connection

        self.polls.close()
        connection.close()

    # ------------------------------------------------------------------------------------ requests

    def handle(self, node: int, request: Request, answered: Answered) -> Callable[[], None]:
        """`answered` is called once, at once or later; what is returned tells the hub that the client is gone."""
        self.requests[request.path.rsplit("/", 1)[-1]] += 1
        if request.path.endswith("/changes"):
            return self.polls.begin(request.query, request.authorization, self._replied(answered))
        response = self._client.generic(
            request.method,
            request.path,
            request.body,
            content_type="application/json",
            headers={"Authorization": request.authorization, "Host": "localhost"},
        )
        if request.path.endswith("/interlocks"):
            # What comes once more is no newer word.
            _, before_ms = self.words.get(node, (0, -1))
            looked_ms = json.loads(request.body)["boot_ms"]
            if looked_ms > before_ms:
                self.words[node] = self._schedule.now_us, looked_ms
        if response.status_code >= 500:
            self.troubles.append(f"{request.path} answered {response.status_code}")
        self._count_accounts()
        if request.path.endswith("/snapshot") and response.status_code == 200:
            self.archive.setdefault(node, []).append(response.content)
        self._note_versions()
        self._look_soon()
        headers = {"Content-Type": response.headers.get("Content-Type", "")}
        answered(Reply(response.status_code, headers, response.content, self.era))
        return lambda: None

    def _replied(self, answered: Answered) -> Callable[[int, Mapping[str, str], bytes], None]:
        return lambda status, headers, body: answered(Reply(status, headers, body, self.era))

    # ---------------------------------------------------------------------------- its own life

    def _start(self) -> None:
        """A new process: what was only in memory is gone."""
        from interlock.hub.contents import SHELF

        type(SHELF).__init__(SHELF)
        self.is_down, self.started_us = False, self._schedule.now_us
        self.polls = Polls(self._schedule, self._clock)
        self._look()

    def _look_soon(self) -> None:
        if not self._look_due:
            self._look_due = True
            self._schedule.at(self._schedule.now_us + LOOK_US, self._look)

    def _look(self) -> None:
        self._look_due = False
        if not self.is_down:
            self.polls.look()
            self._note_versions()

    def _note_versions(self) -> None:
        from interlock.hub.models import Snapshot as Signed

        signed = Signed.objects.filter(node_id__in=self._pks)
        for pk, epoch, counter in signed.values_list("node_id", "epoch", "counter"):
            self._told.setdefault((self._nodes[pk], (epoch, counter)), self.current)

    def _restore(self, backup: Backup, *, is_noticed: bool) -> None:
        """As `restoring.restore` does it; unnoticed: somebody copied the file back by hand."""
        from interlock.hub.domain import epochs
        from interlock.hub.models import Lab

        self.polls.close()
        self._lay_down(backup.database)
        self._people, self._locked_out = dict(backup.people), backup.locked_out
        self.prices, self.accounts = backup.prices, backup.accounts.copy()
        self._issue(self._schedule.now_us)
        self.era += 1
        self.restored_us = self.changed_us = self._schedule.now_us
        if is_noticed:
            for lab in Lab.objects.all():
                epochs.raise_epoch(lab, self._actor().now())
        else:
            self._told = {key: told for key, told in self._told.items() if self._is_known(key)}
        self._start()

    def _is_known(self, key: tuple[int, SnapshotVersion]) -> bool:
        """Whether the database of now is one that signed this: another list may get a number anew."""
        from interlock.hub.models import Snapshot as Signed

        known = {
            self._nodes[pk]: (epoch, counter)
            for pk, epoch, counter in Signed.objects.filter(node_id__in=self._pks).values_list(
                "node_id", "epoch", "counter"
            )
        }
        return key[1] <= known.get(key[0], (0, 0))

    def _database(self) -> bytes:
        from django.db import connection

        connection.ensure_connection()
        copied: bytes = connection.connection.serialize()
        return copied

    def _lay_down(self, database: bytes) -> None:
        from django.conf import settings
        from django.db import connection

        from interlock.hub.sqlite.writer import forget

        connection.close()
        path = Path(str(settings.DATABASES["default"]["NAME"]))
        forget(str(path))
        for ending in ("-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        path.write_bytes(database)

    # ------------------------------------------------------------------------------------ the lab

    def _actor(self, at: int | None = None) -> Any:
        from interlock.hub.permissions import Actor

        return Actor(self._clock if at is None else VirtualClock(wall_ms=at * 1_000))

    def _node(self, index: int) -> Any:
        from interlock.hub.models import Node

        return Node.objects.select_related("lab", "machine").get(pk=self._pks[index])

    def _make_lab(self, fits: list[Fitting]) -> None:
        from interlock.hub.directory import HubConfig
        from interlock.hub.domain import hours, labs, nodes, tariffs, trainings

        begun = self._actor(BEGUN_MS // 1_000 - 3_600)
        lab = labs.create_lab(
            begun, "lab", HubConfig(name="Simulated lab", language="en", time_zone=ZONE)
        )
        training = trainings.create_training(begun, lab, TRAINING, "Machine")
        self._tariff = tariffs.create_tariff(
            begun, lab, "time", "Time", self._prices(CENTS_PER_HOUR)
        )
        self._training_pk = training.pk
        hours.set_lab_hours(begun, lab, [(MONDAY, *window) for window in fits[0].house.opens])
        residents = labs.create_group(begun, lab, "residents", "Residents")
        hours.set_group_hours(begun, residents, "any")
        for person in self._people.values():
            self._make_member(lab, training, residents, person)
        self.enrolled = []
        for index, fit in enumerate(fits):
            machine = self._make_machine(begun, lab, index, fit, training)
            self.enrolled.append(nodes.enrol_node(begun, machine, HUB_URL))
        self.next_door = {
            index: self._make_next_door(begun, lab, index)
            for index, fit in enumerate(fits)
            if fit.waits_for_another
        }
        self._pks = [one.node.pk for one in self.enrolled]
        self._nodes = {pk: index for index, pk in enumerate(self._pks)}

    def _make_machine(self, begun: Any, lab: Any, index: int, fit: Fitting, training: Any) -> Any:
        from interlock.hub.domain import machines, reservations
        from interlock.hub.models import Member

        machine = machines.create_machine(
            begun,
            lab,
            f"m{index}",
            f"Machine {index}",
            trainings=[training],
            has_current_sensor=fit.busy_sensed,
            tariff=self._tariff,
        )
        asked = fit.house
        rules = machines.HouseRules(
            daily_limit_s=asked.daily_limit_s, within_hours=asked.within_hours
        )
        machines.set_rules(begun, machine, rules)
        for one in asked.booked:
            member = Member.objects.filter(public_id=f"m-{one.member}").first()
            from_at, until_at = (
                datetime.fromtimestamp(BEGUN_MS // 1_000 + second, UTC)
                for second in (one.from_s, one.until_s)
            )
            reservations.reserve(begun, machine, member, from_at, until_at)
        return machine

    def _make_next_door(self, begun: Any, lab: Any, index: int) -> Any:
        """The other machine that this one waits for, and its node; nobody works there."""
        from interlock.hub.domain import machines, nodes

        machine = machines.create_machine(
            begun, lab, f"n{index}", f"Next door {index}", trainings=[], has_current_sensor=False
        )
        return nodes.enrol_node(begun, machine, HUB_URL)

    def _make_member(self, lab: Any, training: Any, residents: Any, person: Person) -> None:
        from interlock.hub.domain import members, trainings
        from interlock.hub.models import BadgeCondition, Member

        since_at = person.since_at or BEGUN_MS // 1_000 - 3_600
        actor = self._actor(since_at)
        member = members.create_member(
            actor,
            lab,
            person.name.title(),
            technician=person.technician,
            group=residents if person.any_time else None,
        )
        # The witness calls people by their names.
        Member.objects.filter(pk=member.pk).update(public_id=f"m-{person.name}")
        member.refresh_from_db()
        badge = members.assign_tag(actor, member, person.tag)
        if person.name in BEGIN_CENTS:
            self.accounts.open(self._actor(), member, person.name)
        if person.level is not None:
            until = person.until_at
            ends_at = None if until is None else datetime.fromtimestamp(until, UTC)
            trainings.grant_training(actor, member, training, person.level.value, until_at=ends_at)
        if person.suspended:
            members.suspend_member(actor, member, "simulated")
        if person.blocked:
            members.block_badge(actor, badge, BadgeCondition.LOST)

    def _account_deed(self, what: str, name: str) -> None:
        deed = self.accounts.deed(what, self._actor(), self._member(name), name)
        if deed is not None:
            self._audited(f"{what} {name}", deed)
            self._count_accounts()
            self._look_soon()

    def _count_accounts(self) -> None:
        """Whose account was used up, or filled, since the last look: true from now on."""
        counted = {name: self.accounts.left(self._member(name), name) <= 0 for name in BEGIN_CENTS}
        changed = {
            name: spent for name, spent in counted.items() if self._people[name].spent != spent
        }
        if changed:
            self._people |= {
                name: replace(self._people[name], spent=spent) for name, spent in changed.items()
            }
            self.changed_us = self._schedule.now_us
            self._issue(self.changed_us)

    @staticmethod
    def _member(name: str) -> Any:
        from interlock.hub.models import Member

        return Member.objects.select_related("lab", "payer__lab").get(public_id=f"m-{name}")

    def _audited(self, words: str, do: Callable[[], None]) -> None:
        """It is done, and noted where the audit log has not grown by it."""
        from interlock.hub.models import AuditRow

        before = AuditRow.objects.count()
        do()
        if AuditRow.objects.count() == before:
            self.unaudited.append(words)

    def _deed(self, words: str, node: int) -> None:
        from interlock.hub.domain import machines, members, payers, trainings
        from interlock.hub.models import Badge, BadgeCondition, Training

        what, *who = words.split()
        actor = self._actor()
        if not who:
            machine = self._node(node).machine
            if what == "lock_out":
                machines.lock_out(actor, machine, "simulated")
            else:
                machines.clear_lock_out(actor, machine)
            return
        member = self._member(who[0])
        training = Training.objects.get(pk=self._training_pk)
        match what:
            case "block":
                badge = Badge.objects.get(member=member)
                members.block_badge(actor, badge, BadgeCondition.LOST)
            case "unblock":
                members.unblock_badge(actor, Badge.objects.get(member=member))
            case "suspend":
                members.suspend_member(actor, member, "simulated")
            case "reinstate":
                members.reinstate_member(actor, member)
            case "spend" | "top_up":
                assert member.payer is not None, "everybody here pays for themselves"
                payers.set_prepays(actor, member.payer, what == "spend", "simulated")
            case "train":
                trainings.grant_training(actor, member, training)
            case "untrain":
                held = trainings.held_of(member, training)
                if held is not None:
                    trainings.revoke_training(actor, held)

    def _set_price(self, cents: int) -> None:
        from interlock.hub.domain import tariffs
        from interlock.hub.models import Tariff

        tariff = Tariff.objects.select_related("lab").get(pk=self._tariff.pk)
        tariffs.set_prices(self._actor(), tariff, self._prices(cents))
        self.prices = (*self.prices, (self._schedule.now_us, cents))

    @staticmethod
    def _prices(cents: int) -> Any:
        from interlock.hub.domain import tariffs

        return tariffs.Prices(cents_per_hour=cents, forgive_s=0)
