"""Deliberate mistakes in node, sync and hub for the full stack: each put in place for one run and taken out again."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from interlock.core.model import BadgeState, MemberStatus
from interlock.node.journal_facts import Stamp
from interlock.protocol.snapshots import entry_from_wire
from interlock.sim.simulator.full.card import MirroredJournal
from interlock.sim.simulator.full.pi import FullParts
from interlock.sim.simulator.happenings import Plan, plan_from_text
from interlock.sim.simulator.life_of_a_lab import MS_PER_HOUR, full_plan_of
from tests.simulator.planted_life import visit

HOURS = 0.04
WAITING = 99
"""Its machine waits for a contact at another one."""
Mistake = Callable[[], Any]
"""A context in which the mistake is made."""


@dataclass(frozen=True)
class Planted:
    """A mistake, the rules one of which it breaks first, and the first seed (of 0, 1, 2 …) whose life shows it."""

    rules: frozenset[str]
    name: str
    seed: int
    mistake: Mistake
    parts: Callable[[], FullParts] = FullParts
    acts: tuple[str, ...] = ()
    """What happens instead of the seed's own life."""

    def life(self) -> Plan:
        """The life in which it is made."""
        if not self.acts:
            return full_plan_of(self.seed, HOURS, 1)
        end_ms = int(HOURS * MS_PER_HOUR)
        return plan_from_text([f"seed {self.seed} nodes 1 end_ms {end_ms}", *self.acts])


@contextmanager
def replaced(*places: tuple[str, Any]) -> Iterator[None]:
    """Each `module:name` is something else for a while."""
    with ExitStack() as stack:
        for place, wrong in places:
            module, name = place.split(":")
            owner: Any = importlib.import_module(module)
            *path, last = name.split(".")
            for part in path:
                owner = getattr(owner, part)
            stack.callback(setattr, owner, last, getattr(owner, last))
            setattr(owner, last, wrong)
        yield


def none() -> Any:
    """No mistake outside the parts."""
    return ExitStack()


def acknowledged_before_the_commit() -> Any:
    """Every third delivery is answered, and then the hub's process dies before it commits."""
    from django.db import transaction

    from interlock.hub.ingest import take

    calls = 0

    def answers_first(node: Any, wires: Sequence[Any], clock: Any) -> Any:
        nonlocal calls
        calls += 1
        with transaction.atomic():
            taken = take(node, wires, clock)
            transaction.set_rollback(calls % 3 == 0)
        return taken

    return replaced(("interlock.hub.node_api:take", answers_first))


def counted_twice() -> Any:
    """A delivery that comes again adds its sessions' time again."""
    from django.db.models import F

    from interlock.hub.ingest import take
    from interlock.hub.models import NodeRecord, Session

    def adds(node: Any, wires: Sequence[dict[str, Any]], clock: Any) -> Any:
        known = {bytes(one) for one in NodeRecord.objects.values_list("hash", flat=True)}
        taken = take(node, wires, clock)
        for wire in wires:
            if bytes.fromhex(wire["hash"]) not in known or wire["type"] != "session_ended":
                continue
            epoch, seq = wire["body"]["session"].split(".")
            again = Session.objects.filter(node=node, epoch=epoch, seq=seq)
            again.update(enabled_ms=F("enabled_ms") + wire["body"]["enabled_ms"])
        return taken

    return replaced(("interlock.hub.node_api:take", adds))


def delta_without_its_revocation() -> Any:
    """A delta loses the lines that block, suspend or untrain somebody, and nobody counts what is left."""
    from interlock.node import snapshot_builder

    change = snapshot_builder._change

    def loses(connection: Any, one: Any) -> None:
        entry = None if one.line is None else entry_from_wire(json.loads(one.line))
        revokes = entry is None or not entry.rights or entry.badge is not BadgeState.ACTIVE
        if entry is not None and not revokes and entry.status is MemberStatus.ACTIVE:
            change(connection, one)

    return replaced(
        ("interlock.node.snapshot_builder:_change", loses),
        ("interlock.node.snapshot_builder:_refuse_other_result", lambda *arguments: None),
        ("interlock.node.cache:BadgeCache.verify_slice", lambda self, rows: False),
    )


def epoch_stays() -> Any:
    """A hub that was put back goes on with the numbers it had."""

    def stays(lab: Any, at: Any, **options: Any) -> int:
        return int(lab.hub_epoch)

    return replaced(
        ("interlock.hub.domain.epochs:raise_epoch", stays),
        ("interlock.hub.greeting:raise_epoch", stays),
    )


def cards_merged() -> Any:
    """Whatever journal a node has is taken for the one the hub knows."""
    return replaced(("interlock.hub.greeting:_difference", lambda node, head: None))


def contradictions_are_silent() -> Any:
    """What contradicts the stored records is set aside, and nobody is told."""
    return replaced(("interlock.hub.ingest:raise_alarm", lambda *arguments: False))


def cents_rounded_up() -> Any:
    """Every started cent is billed."""

    def upwards(seconds: int, cents_per_hour: int) -> int:
        return -(-seconds * cents_per_hour // 3_600)

    return replaced(("interlock.hub.pricing:time_cents", upwards))


def accounts_are_not_counted() -> Any:
    """What sessions use of an account is billed, and the lists never hear of it."""
    return replaced(("interlock.hub.credit:recount", lambda *arguments: 0))


def deeds_without_audit() -> Any:
    """What operators do reaches the nodes, and the audit log never hears of it."""
    from interlock.hub.changes import log_change

    def forgets(actor: Any, lab: Any, topic: Any, action: str, subject: str, **said: Any) -> None:
        log_change(lab, topic, action, subject, actor.now())

    rooms = ("members", "trainings", "machines", "payers", "tariffs")
    return replaced(*((f"interlock.hub.domain.{room}:log_deed", forgets) for room in rooms))


def late_words_are_news() -> Any:
    """The hub takes whatever another machine's node says for the newest, however late it comes."""
    return replaced(("interlock.hub.neighbours:_is_overtaken", lambda kept, said: False))


class NeverFlushed(MirroredJournal):
    """A commit is called durable before the disk has it."""

    def open(self, stamp: Stamp) -> None:
        super().open(stamp)
        self._live().execute("PRAGMA synchronous=OFF")


PLANTED: tuple[Planted, ...] = (
    Planted(
        frozenset({"D2"}),
        "records are acknowledged, then not committed",
        0,
        acknowledged_before_the_commit,
    ),
    Planted(frozenset({"D2"}), "a repeated delivery counts twice", 11, counted_twice),
    Planted(
        frozenset({"A4"}),
        "a delta loses a revocation and nobody counts",
        5,
        delta_without_its_revocation,
        acts=("60000 0 hub block ada",),
    ),
    Planted(frozenset({"A4"}), "a restored hub's epoch is not raised", 4, epoch_stays),
    Planted(frozenset({"D4"}), "a put-back card is merged", 0, cards_merged),
    Planted(
        frozenset({"D1", "D3"}),
        "a commit is durable before the disk has it",
        4,
        none,
        lambda: FullParts(journal=NeverFlushed),
    ),
    Planted(frozenset({"D5"}), "every started cent is billed", 0, cents_rounded_up),
    Planted(frozenset({"D3"}), "a contradiction raises no alarm", 0, contradictions_are_silent),
    Planted(
        frozenset({"A4"}),
        "an account that runs out changes no list",
        120,
        accounts_are_not_counted,
        acts=tuple(
            f"{at_ms + lifted_ms} 0 {what} ben"
            for at_ms in (40_000, 52_000, 70_000)
            for lifted_ms, what in ((0, "lay"), (500, "lift"))
        ),
    ),
    Planted(
        frozenset({"I1"}),
        "a word that arrives late is news at the hub",
        WAITING,
        late_words_are_news,
        acts=("30000 0 hearsay again", "100000 0 next_door open", *visit(122_000)),
    ),
    Planted(frozenset({"A12"}), "deeds leave no audit row", 0, deeds_without_audit),
)
