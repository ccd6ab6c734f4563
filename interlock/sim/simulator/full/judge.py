"""The hub's tables and the nodes' cards in, the first broken rule out: what happened against what is held of it.

The world's own ledger is every record that was ever on a card; that its times are those of the coil is judged by D5 of
the machine. The oracle of prices is written anew: seconds, cents an hour, half up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from interlock.core.model import BadgeState, Credit, Entry, MemberStatus
from interlock.protocol.records import Head, Record, RecordType
from interlock.sim.simulator.full.hub import RealHub
from interlock.sim.simulator.full.node import FullLife
from interlock.sim.simulator.full.pi import FullPi
from interlock.sim.simulator.people import Person
from interlock.sim.simulator.schedule import BEGUN_MS

STEADY_US = 150_000_000
"""A courier and a fetcher that were at their longest pauses have both come round, twice."""
PUSHED_US = 8_000_000
"""News reach a steady node: a look of the hub's, a poll's answer, a builder, a switch; and an old list in its way."""
RESTORED_US = 120_000_000
"""Answers from before a restore have all arrived."""
NEAR_US = 120_000_000
"""Where the hub had to guess when a session began, the price before or after may count."""
SECONDS_PER_HOUR = 3_600
FRESH_US = 20_000_000
"""What was written a moment ago may still be on its way."""
TWINS_FRESH_US = 150_000_000
"""Two cards of one name push each other into new epochs at each greeting: what lies between two is set aside later."""


class Judge:
    """Looks at one run's hub and nodes."""

    def __init__(self, hub: RealHub, pis: list[FullPi]) -> None:
        self._hub, self._pis = hub, pis
        self._acks: list[tuple[FullPi, Head]] = []
        for pi in pis:
            pi.box.acked = self._hears_ack(pi)
            pi.box.opened = self._opens(pi)

    def look(self, pi: FullPi) -> tuple[str, str] | None:
        """The rule that is broken at `pi` now, and what is wrong."""
        hub, now_us = self._hub, pi.witness.now_us
        pi.look_next_door()
        if hub.troubles:
            return "CRASH", hub.troubles[0]
        if hub.unaudited:
            return "A12", f"no audit row tells of: {hub.unaudited[0]}"
        if self._acks:
            wrong = self._acked_wrongly()
            if wrong is not None:
                return "D2", wrong
        if not pi.is_well:
            pi.unwell_us = now_us
            return None
        since_us = max(pi.unwell_us, pi.wire.trouble_us, hub.restored_us, hub.started_us)
        steady = since_us < hub.changed_us - STEADY_US
        bound_us = (
            hub.changed_us + PUSHED_US if steady else max(since_us, hub.changed_us) + STEADY_US
        )
        if now_us <= bound_us or pi.checked_us == (hub.changed_us, since_us):
            return None
        pi.checked_us = hub.changed_us, since_us
        wrong = self._differs(pi)
        return None if wrong is None else ("A4", wrong)

    def at_the_end(self) -> tuple[int, str, str] | None:
        """After faults stopped: machine, rule and what is wrong."""
        for node, pi in enumerate(self._pis):
            for rule, wrong in self._ends(pi):
                return node, rule, wrong
        return None

    # ---------------------------------------------------------------------------------- at once

    def _differs(self, pi: FullPi) -> str | None:
        """Why a reader does not look badges up in what the hub holds now."""
        known, truth = pi.witness.snapshot, self._hub.current
        if known is None:
            return "it is connected and has no list"
        node = pi.box.node
        life = pi.life
        cache = life.reader.work.cache if isinstance(life, FullLife) else None
        if cache is None:
            return "it is connected and its list cannot be used"
        for name, person in truth.people.items():
            entry = cache.lookup(person.tag)
            if entry is None or not _says(entry, person, is_granted=name in pi.witness.granted):
                return f"it is connected and knows nothing of what happened to {name}"
        if (node in known.locked_out) != (node in truth.locked_out):
            return "it is connected and knows nothing of the hub's lock-out"
        return None

    def _hears_ack(self, pi: FullPi) -> Callable[[Head], None]:
        # Heard in a fiber, whose thread must not open a connection to the hub's database.
        return lambda head: self._acks.append((pi, head))

    def _acked_wrongly(self) -> str | None:
        from interlock.hub.models import NodeRecord, SetAside

        acks, self._acks = self._acks, []
        for pi, head in acks:
            if head.seq == 0 or pi.witness.now_us - self._hub.restored_us < RESTORED_US:
                continue
            place = {"node_id": self._hub.pk_of(pi.box.node), "hash": head.hash}
            held = NodeRecord.objects.filter(**place) or SetAside.objects.filter(**place)
            if not held:
                return f"record {head.epoch}.{head.seq} was acknowledged and is not at the hub"
        return None

    def _opens(self, pi: FullPi) -> Callable[[], None]:
        def opened() -> None:
            if not pi.box.swapped:
                return
            pi.box.swapped = False
            here = {one.hash for one in pi.mirror.records}
            pi.mirror.lost |= pi.mirror.ever.keys() - here - self._held(pi.box.node)

        return opened

    # ------------------------------------------------------------------------------- at the end

    def restored(self) -> None:
        """The hub is older than it was: what only it had held is lost with the disk it was on."""
        for pi in self._pis:
            here = {one.hash for one in pi.mirror.records}
            pi.mirror.lost |= pi.mirror.ever.keys() - here - self._held(pi.box.node)

    def _held(self, node: int) -> set[bytes]:
        from interlock.hub.models import NodeRecord, SetAside

        pk = self._hub.pk_of(node)
        rows = [
            *NodeRecord.objects.filter(node_id=pk).values_list("hash", flat=True),
            *SetAside.objects.filter(node_id=pk).values_list("hash", flat=True),
        ]
        return {bytes(one) for one in rows}

    def _ends(self, pi: FullPi) -> Iterator[tuple[str, str]]:
        from interlock.hub.models import Alarm, AlarmKind, NodeRecord, SetAside

        wrong = self._differs(pi)
        if wrong is not None:
            yield "A4", wrong
        twins = [one for one in self._pis if one.box.node == pi.box.node]
        fresh_us = FRESH_US if len(twins) == 1 else TWINS_FRESH_US
        old_ms = pi.card.clock.boot_ms() - fresh_us // 1_000
        owed = {
            hash_: one
            for hash_, one in pi.mirror.ever.items()
            if hash_ not in pi.mirror.lost and not _is_fresh(one, pi.card.clock.boot_id, old_ms)
        }
        held = self._held(pi.box.node)
        missing = sorted(one.id for hash_, one in owed.items() if hash_ not in held)
        if missing:
            yield "D4", f"the hub does not hold {', '.join(missing[:5])} ({len(missing)} in all)"
        life = pi.life
        if life is not None and life.shell.journal.usable:
            acked = life.shell.journal.acknowledged
            waits = [
                one.id
                for one in pi.mirror.records
                if _place(one) > (acked.epoch, acked.seq)
                and not _is_fresh(one, pi.card.clock.boot_id, old_ms)
            ]
            if waits:
                yield "D4", f"{len(waits)} records from {waits[0]} on never left the node"
        ever = {hash_: one for twin in twins for hash_, one in twin.mirror.ever.items()}
        invented = held - ever.keys()
        if invented:
            yield "D3", f"the hub holds {len(invented)} records that nobody wrote"
        pk = self._hub.pk_of(pi.box.node)
        aside = SetAside.objects.filter(node_id=pk).count()
        if aside and not any(twin.swaps for twin in twins):
            yield "D3", f"{aside} records were set aside, and there was only one card"
        if aside and not Alarm.objects.filter(node_id=pk, kind=AlarmKind.RECORDS_SET_ASIDE):
            yield "D3", f"{aside} records contradict what is stored, and no alarm says so"
        accepted = {
            bytes(one)
            for one in NodeRecord.objects.filter(node_id=pk).values_list("hash", flat=True)
        }
        happened = [one for one in ever.values() if one.hash in accepted]
        yield from self._sessions(pk, sorted(happened, key=_place))

    def _sessions(self, pk: int, records: list[Record]) -> Iterator[tuple[str, str]]:
        """Every session that the accepted records tell of, once, with its time and its price."""
        from interlock.hub.models import Line, Session

        stored = {
            f"{one.epoch}.{one.seq}": one
            for one in Session.objects.filter(node_id=pk).select_related("member")
        }
        ends = {
            str((one.body or {}).get("session")): one
            for one in records
            if one.header.type in (RecordType.SESSION_ENDED, RecordType.SESSION_VOIDED)
        }
        started = {one.id: one for one in records if one.header.type is RecordType.SESSION_STARTED}
        if stored.keys() != started.keys():
            odd = sorted(stored.keys() ^ started.keys())
            yield "D2", f"sessions {', '.join(odd[:5])} are not both on the card and at the hub"
        for name in sorted(started.keys() & ends.keys() & stored.keys()):
            end, session = ends[name], stored[name]
            voided = end.header.type is RecordType.SESSION_VOIDED
            if session.voided is not voided:
                yield "D2", f"session {name} is voided in one place only"
            if voided:
                continue
            said = int((end.body or {})["enabled_ms"])
            if session.enabled_ms != said:
                yield (
                    "D2",
                    f"session {name}: {session.enabled_ms} ms at the hub, {said} on the card",
                )
            lines = list(Line.objects.filter(session=session, corrects=None))
            if len(lines) != (session.payer_id is not None):
                yield "D2", f"session {name} has {len(lines)} lines"
            for line in lines:
                allowed = self._costs(session, said)
                if line.cents not in allowed:
                    yield "D5", f"session {name} costs {line.cents}, not {sorted(allowed)} cents"

    def _costs(self, session: Any, enabled_ms: int) -> set[int]:
        """What a session may cost: by the price when it began, or near which it began."""
        began_us = (round(session.started_at.timestamp() * 1_000) - BEGUN_MS) * 1_000
        prices = self._hub.prices
        until = [at for at, _ in prices[1:]] + [1 << 62]
        seconds = enabled_ms // 1_000
        return {
            (2 * seconds * cents + SECONDS_PER_HOUR) // (2 * SECONDS_PER_HOUR)
            for (at, cents), end in zip(prices, until, strict=True)
            if at - NEAR_US <= began_us < end + NEAR_US
        }


def _says(entry: Entry, person: Person, *, is_granted: bool) -> bool:
    """Whether a line of the list is what the hub was told of its holder."""
    levels = {right.level for right in entry.rights}
    return (
        (entry.badge is BadgeState.BLOCKED) == person.blocked
        and (entry.status is MemberStatus.SUSPENDED) == person.suspended
        and (entry.credit is Credit.NONE) == person.spent
        and (is_granted or levels == ({person.level} - {None}))
    )


def _is_fresh(record: Record, boot_id: str, old_ms: int) -> bool:
    return record.header.boot_id == boot_id and record.header.boot_ms > old_ms


def _place(record: Record) -> tuple[int, int]:
    return record.header.epoch, record.header.seq
