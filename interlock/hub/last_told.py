"""The audit log of a lab in; where people, rights, badges, machines, roles and prices stand otherwise than told, out.

Every change of them is told in the transaction that makes it, and the log is a chain: a table that says something
else was written by no deed: a page of the database that came back from before, or somebody's hand.

What cannot be told is not asked: anything last told before a row that an erasure or the retention time has emptied
(it may have been about the same thing), and whatever a lab with an invented past holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from interlock.hub.domain import machine_editing, machines, members, tariffs, trainings
from interlock.hub.domain.badges import short_name
from interlock.hub.models import (
    AuditRow,
    Authorisation,
    Badge,
    Lab,
    Machine,
    Member,
    Node,
    Role,
    TariffVersion,
)

INVENTED = "history_made"
NODE_TAKEN = "node_revoked"
"""Its machine is locked out then when the node knew of a fault: this deed does not say whether."""
ERASED = "member_erased"
GONE = object()
"""It was taken away, or came with a list that was taken back."""

Subject = tuple[str, str]
"""What kind of thing, and the audit log's word for it."""

_KINDS = {
    "member": (
        "member_created",
        "member_changed",
        "member_suspended",
        "member_reinstated",
        "member_taken_back",
    ),
    "right": ("training_granted", "training_revoked"),
    "badge": ("badge_given", "badge_blocked", "own_badge_blocked", "badge_unblocked"),
    "machine": (
        "machine_created",
        "machine_edited",
        "machine_retired",
        "machine_taken_up",
        "machine_tariff_changed",
        "demands_changed",
        "rules_changed",
        "locked_out",
        "lock_out_cleared",
    ),
    "role": ("role_given", "role_taken"),
    "price": ("prices_changed",),
}
KIND_OF = {action: kind for kind, actions in _KINDS.items() for action in actions}

_ENDS = frozenset({"training_revoked", "member_taken_back", "role_taken"})
_NAMED_BY = {"role": "role", "price": "starts_at"}
"""What, besides the log's word for it, says which one: prices stay, and newer ones stand beside them."""

_UNSAID: Mapping[str, Mapping[str, Any]] = {
    "member_created": {"status": Member.Status.ACTIVE.value},
    "badge_given": {"condition": Badge.Condition.ACTIVE.value},
    "machine_created": {"in_use": True, "locked_out": False},
    "locked_out": {"locked_out": True},
    "lock_out_cleared": {"locked_out": False},
}
"""What these deeds mean besides the values they tell."""


@dataclass
class Told:
    """What the rows so far say: of each thing its newest values, each with the row that told it."""

    lab: Lab
    machine_of: Mapping[str, str]
    values: dict[Subject, dict[str, tuple[Any, int]]] = field(default_factory=dict)
    emptied_seq: int = 0
    emptied_at: datetime | None = None
    is_invented: bool = False
    heard_seq: int = 0
    erasures: int = 0

    def listen(self) -> None:
        """Whatever was told since the last time."""
        rows = AuditRow.objects.filter(lab=self.lab, seq__gt=self.heard_seq)
        for row in rows.order_by("seq").iterator():
            self.heard_seq = row.seq
            self.hear(row)

    def hear(self, row: AuditRow) -> None:
        """The next row, in the order of the log."""
        if row.salt is None:
            self.emptied_seq = row.seq
            # The hub's clock may have been set back since an earlier one.
            self.emptied_at = max(self.emptied_at or row.done_at, row.done_at)
            return
        self.is_invented |= row.action == INVENTED
        self.erasures += row.action == ERASED
        if row.action == NODE_TAKEN:
            machine = self.values.get(("machine", self.machine_of.get(row.subject, "")), {})
            machine.pop("locked_out", None)
        kind = KIND_OF.get(row.action)
        if kind is None:
            return
        subject = row.subject
        named = _NAMED_BY.get(kind)
        if named is not None:
            subject += f" {(row.after or row.before or {}).get(named)}"
        if row.action in _ENDS:
            self.values[kind, subject] = {"": (GONE, row.seq)}
            if kind == "member":
                self._forget_things_of(subject)
            return
        known = self.values.setdefault((kind, subject), {})
        known.pop("", None)
        said = {**_UNSAID.get(row.action, {}), **(row.after or {})}
        known.update({key: (value, row.seq) for key, value in said.items()})

    def _forget_things_of(self, member: str) -> None:
        """What went with a member who came with a list that was taken back."""
        for (kind, subject), values in list(self.values.items()):
            is_right = kind == "right" and subject.startswith(f"{member} ")
            is_badge = kind == "badge" and values.get("member", ("", 0))[0] == member
            if is_right or is_badge:
                del self.values[kind, subject]


def contradictions(lab: Lab) -> Iterator[str]:
    """One sentence for each thing that stands otherwise than its last deed left it."""
    told = _told_of(lab)
    found = _contradictions(told)
    if found:
        # Somebody may have done something since their rows were heard: once more, while nobody can.
        with transaction.atomic():
            Lab.objects.select_for_update().get(pk=lab.pk)
            erasures = told.erasures
            told.listen()
            if told.erasures != erasures:
                # It emptied rows that were heard before.
                told = _told_of(lab)
            found = _contradictions(told)
    yield from found


def _told_of(lab: Lab) -> Told:
    nodes = Node.objects.filter(lab=lab).values_list("slug", "machine__slug")
    told = Told(lab, dict(nodes))
    told.listen()
    return told


def _contradictions(told: Told) -> list[str]:
    if told.is_invented:
        return []
    found: list[str] = []
    for kind, standing in _STANDING.items():
        found += _otherwise(kind, told, dict(standing(told.lab)))
    return [*found, *_untold(told)]


def _otherwise(kind: str, told: Told, now: Mapping[str, Mapping[str, Any] | None]) -> Iterator[str]:
    for (of, subject), values in told.values.items():
        if of != kind or (subject in now and now[subject] is None):
            continue
        stands = now.get(subject)
        for key, (value, seq) in values.items():
            if seq <= told.emptied_seq:
                continue
            if value is GONE:
                if stands is not None:
                    yield f"{kind} {subject} is there, and deed {seq} took it away"
            elif stands is None:
                # What blocked a badge names nobody: that row stays when whose it was is erased.
                if kind == "badge" and "member" not in values:
                    break
                yield f"{kind} {subject} is gone, and no deed says so since {seq}"
                break
            elif key in stands and stands[key] != value:
                yield f"{kind} {subject}: {key} is {stands[key]!r}, and deed {seq} told {value!r}"


def _untold(told: Told) -> Iterator[str]:
    """Power that no deed ever gave: rights in force, and, where no row was emptied, roles."""
    held = Authorisation.objects.filter(lab=told.lab, revoked_at=None)
    if told.emptied_at is not None:
        held = held.filter(granted_at__gt=told.emptied_at)
    for one in held.select_related("member", "training").order_by("pk"):
        subject = f"{one.member.public_id} {one.training.slug}"
        if ("right", subject) not in told.values:
            yield f"right {subject} is there, and no deed gave it"
    if told.emptied_at is None:
        for role, _ in _roles(told.lab):
            if ("role", role) not in told.values:
                yield f"role {role} is there, and no deed gave it"


def _members(lab: Lab) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in Member.objects.filter(lab=lab).select_related("group"):
        yield one.public_id, {**members.described(one), "status": str(one.status)}


def _rights(lab: Lab) -> Iterator[tuple[str, dict[str, Any]]]:
    held = Authorisation.objects.filter(lab=lab, revoked_at=None)
    for one in held.select_related("member", "training"):
        yield f"{one.member.public_id} {one.training.slug}", trainings.described(one)


def _badges(lab: Lab) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """None: the log calls several badges so."""
    all_of = list(Badge.objects.filter(lab=lab).select_related("member"))
    called = Counter(short_name(one) for one in all_of)
    for one in all_of:
        name = short_name(one)
        said = {"member": one.member.public_id, "condition": str(one.condition)}
        yield name, said if called[name] == 1 else None


def _machines(lab: Lab) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in Machine.objects.filter(lab=lab).select_related("tariff"):
        card = asdict(machine_editing.card_of(one))
        stands = {"in_use": one.retired_at is None, "locked_out": one.locked_out_at is not None}
        yield one.slug, {**machines.described(one), **card, **stands}


def _roles(lab: Lab) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in Role.objects.filter(lab=lab).select_related("user"):
        yield f"{one.user.email} {one.name}", {"role": str(one.name)}


def _prices(lab: Lab) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = TariffVersion.objects.filter(tariff__lab=lab).select_related("tariff", "group")
    # Two of one second are one thing here: the later one stands, as it was told.
    for one in rows.order_by("starts_at", "pk"):
        said = tariffs.described(one)
        yield f"{one.tariff.slug} {one.group.slug if one.group else '*'} {said['starts_at']}", said


_STANDING: Mapping[str, Callable[[Lab], Iterable[tuple[str, Mapping[str, Any] | None]]]] = {
    "member": _members,
    "right": _rights,
    "badge": _badges,
    "machine": _machines,
    "role": _roles,
    "price": _prices,
}
