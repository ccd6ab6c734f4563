"""Records that were set aside to the uses they tell of: who, when and how long, read and never written.

A copied SD card goes on from where it was copied, and what it says has numbers that the original used too.
The hub keeps those records word for word, beside the others; a person says what becomes of each use among them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from interlock.core.model import Ending
from interlock.hub.models import ClockAnchor, Member, SetAside, UseSetAside
from interlock.hub.sessions import SESSION_MS_MAX
from interlock.hub.timeline import Anchor, moment, wall_ms_of
from interlock.protocol import canonical
from interlock.protocol.records import Record, RecordType, from_wire

EPOCH_OF_ASIDE = 2**53 - 1
"""Sessions billed from such records stand under this epoch and the number of their use: the record's own place
is taken. No node ever gets there, an epoch is one enrolment."""

_AFTERWARDS = frozenset(
    {RecordType.SESSION_PROGRESS, RecordType.SESSION_ENDED, RecordType.SESSION_VOIDED}
)

Boot = tuple[int, str]
"""(node, boot id)."""


@dataclass(frozen=True, slots=True)
class AsideUse:
    """One use, as far as its records tell. `is_estimated`: no record says how it ended, what is known is its last
    sign of life; `is_dated`: a signed time of its boot is known; `is_erased`: it may not say any more who it was."""

    row: UseSetAside
    record: Record
    member: Member | None
    started_at: datetime
    ended_at: datetime
    enabled_ms: int
    busy_ms: int
    idle_ms: int
    how: str
    is_estimated: bool
    is_dated: bool
    is_voided: bool
    is_erased: bool

    @property
    def is_use(self) -> bool:
        """Whether the machine was on, so that somebody can be asked to pay."""
        return self.enabled_ms > 0 and not (self.is_voided or self.is_erased)


def uses_of(rows: Sequence[UseSetAside]) -> list[AsideUse]:
    """What those rows tell, in their order. Four queries; `start.node` should be loaded."""
    starts = [(row, _record(row.start)) for row in rows]
    nodes = {row.start.node_id for row in rows}
    boots = {(row.start.node_id, record.header.boot_id) for row, record in starts}
    anchors, said = _anchors(boots), _said(nodes, boots)
    named = {str((record.body or {}).get("member")) for _, record in starts}
    labs = {row.lab_id for row in rows}
    members = {
        (one.lab_id, one.public_id): one
        for one in Member.objects.filter(lab__in=labs, public_id__in=named).select_related(
            "payer", "firm"
        )
    }
    return [
        _use(
            row,
            record,
            members.get((row.lab_id, str((record.body or {}).get("member")))),
            anchors[row.start.node_id, record.header.boot_id],
            said[row.start.node_id, record.header.boot_id, record.id],
        )
        for row, record in starts
    ]


def _use(
    row: UseSetAside,
    start: Record,
    member: Member | None,
    anchors: Sequence[Anchor],
    afterwards: Iterable[Record],
) -> AsideUse:
    totals = {"enabled_ms": 0, "busy_ms": 0, "idle_ms": 0}
    how, estimated, voided = "", False, False
    for record in afterwards:
        body = record.body or {}
        voided = voided or record.header.type is RecordType.SESSION_VOIDED
        totals = {name: max(known, _lasted(body, name)) for name, known in totals.items()}
        if record.header.type is RecordType.SESSION_ENDED:
            how, estimated = str(body.get("how", "")), bool(body.get("estimated"))
    started_ms = wall_ms_of(start.header.boot_ms, anchors)
    is_dated = started_ms is not None
    if started_ms is None:
        known = start.header.wall_ms if start.header.wall_trusted else None
        started_ms = _milliseconds(row.start.arrived_at) if known is None else known
    if how not in set(Ending):
        how, estimated = Ending.POWER_LOST.value, True
    return AsideUse(
        row,
        start,
        member,
        moment(started_ms),
        moment(started_ms + totals["enabled_ms"]),
        totals["enabled_ms"],
        min(totals["busy_ms"], totals["enabled_ms"]),
        min(totals["idle_ms"], max(0, totals["enabled_ms"] - totals["busy_ms"])),
        how,
        estimated,
        is_dated,
        voided,
        start.body is None,
    )


def _record(row: SetAside) -> Record:
    return from_wire(canonical.loads(row.wire.encode(), where="record"))


def _anchors(boots: Iterable[Boot]) -> Mapping[Boot, list[Anchor]]:
    """What the hub was told of the clocks of those boots, by records that were accepted or set aside."""
    wanted = set(boots)
    nodes, names = {node for node, _ in wanted}, {name for _, name in wanted}
    found: dict[Boot, list[Anchor]] = defaultdict(list)
    stored = ClockAnchor.objects.filter(boot__node__in=nodes, boot__boot_id__in=names)
    for one in stored.select_related("boot"):
        anchor = Anchor(one.boot_ms, one.wall_ms)
        found[one.boot.node_id, one.boot.boot_id].append(anchor)
    for node, record in _wires(nodes, RecordType.CLOCK_ANCHORED):
        key = (node, record.header.boot_id)
        wall_ms = _count(record.body or {}, "wall_ms")
        if key in wanted and wall_ms:
            found[key].append(Anchor(record.header.boot_ms, wall_ms))
    return found


def _said(nodes: set[int], boots: set[Boot]) -> Mapping[tuple[int, str, str], list[Record]]:
    """By node, boot and session: what was set aside of it after its start. A use that went on after the computer
    started again ends with its last sign of life: which branch goes on there is not to be told by numbers."""
    found: dict[tuple[int, str, str], list[Record]] = defaultdict(list)
    for node, record in _wires(nodes, *_AFTERWARDS):
        boot_id, session = record.header.boot_id, (record.body or {}).get("session")
        if (node, boot_id) in boots and isinstance(session, str):
            found[node, boot_id, session].append(record)
    return found


def _wires(nodes: set[int], *kinds: RecordType) -> Iterable[tuple[int, Record]]:
    # Canonical JSON has no spaces; a text that looks like it inside a body is sorted out by the record itself.
    for kind in kinds:
        rows = SetAside.objects.filter(
            node__in=nodes, wire__contains=f'"type":"{kind.value}"'
        ).order_by("seq", "pk")
        for row in rows:
            record = _record(row)
            if record.header.type is kind:
                yield row.node_id, record


def _count(body: Mapping[str, Any], name: str) -> int:
    value = body.get(name, 0)
    return value if isinstance(value, int) and value >= 0 else 0


def _lasted(body: Mapping[str, Any], name: str) -> int:
    return min(_count(body, name), SESSION_MS_MAX)


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1_000)
