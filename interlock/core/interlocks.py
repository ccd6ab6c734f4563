"""Levels of declared interlocks in; which of them permit, which opened, and which one stands in the way out.

An interlock on this machine is a contact: open counts after its `trip_after_ms`, closed only after
`permit_after_ms` without a break, and an opening is not forgiven by a closing shorter than that (a fluttering air
flow is no air flow). An interlock on another node is a report that ages: it blocks starts and never cuts.
"""

from __future__ import annotations

from dataclasses import dataclass

from interlock.core.model import Interlock

REMOTE_FRESH_MS = 90_000
"""A report older than this says nothing. Nodes report every 30 s: two may be lost on the way."""


@dataclass(frozen=True, slots=True)
class Contact:
    """What one interlock's contact did: `permits` is what is believed, the times are of the raw level."""

    permits: bool = False
    closed_since_ms: int | None = None
    open_since_ms: int | None = None
    """Since when it has not been closed for good; None while it is."""

    @property
    def is_settled(self) -> bool:
        """Whether it permits and has not so much as flickered since: what a start asks for."""
        return self.permits and self.open_since_ms is None

    def sampled(self, declared: Interlock, level: bool | None, now_ms: int) -> Contact:
        """The contact after one more sample; None (not sampled) counts as open."""
        closed_since_ms = None
        if level is True:
            closed_since_ms = now_ms if self.closed_since_ms is None else self.closed_since_ms
            if now_ms - closed_since_ms >= declared.permit_after_ms:
                return Contact(True, closed_since_ms)
        open_since_ms = now_ms if self.open_since_ms is None else self.open_since_ms
        tripped = now_ms - open_since_ms >= declared.trip_after_ms
        return Contact(self.permits and not tripped, closed_since_ms, open_since_ms)


@dataclass(frozen=True, slots=True)
class RemoteReport:
    """What another node last said of its interlock, and when it said so (wherever the word lay meanwhile)."""

    name: str
    closed: bool | None
    at_ms: int


def sampled(
    contacts: tuple[Contact, ...],
    declared: tuple[Interlock, ...],
    levels: tuple[bool | None, ...],
    now_ms: int,
) -> tuple[Contact, ...]:
    """Every contact after one more sample; `levels` are aligned with `declared`, missing ones are unknown."""
    padded = (*contacts, *(Contact() for _ in declared[len(contacts) :]))
    known = (*levels, *(None for _ in declared[len(levels) :]))
    return tuple(
        padded[index].sampled(interlock, known[index], now_ms)
        for index, interlock in enumerate(declared)
    )


def opened(
    before: tuple[Contact, ...], after: tuple[Contact, ...], declared: tuple[Interlock, ...]
) -> tuple[str, ...]:
    """The names of those that permitted before and do not now."""
    return tuple(
        interlock.name
        for interlock, was, contact in zip(declared, before, after, strict=False)
        if was.permits and not contact.permits
    )


def missing(
    declared: tuple[Interlock, ...],
    contacts: tuple[Contact, ...],
    remote: tuple[RemoteReport, ...],
    now_ms: int,
    *,
    extraction_ran: bool,
) -> str | None:
    """The first interlock that a start has to wait for; None when every one is closed.

    Those that need the extraction are asked for only where it has been running (`extraction_ran`).
    """
    far = lost(declared, remote, now_ms)
    for index, interlock in enumerate(declared):
        if interlock.remote:
            closed = interlock.name not in far
        else:
            asked = extraction_ran or not interlock.needs_extraction
            closed = not asked or (index < len(contacts) and contacts[index].is_settled)
        if not closed:
            return interlock.name
    return None


def lost(
    declared: tuple[Interlock, ...], remote: tuple[RemoteReport, ...], now_ms: int
) -> tuple[str, ...]:
    """The interlocks of other nodes that are not known to be closed now."""
    closed = {
        report.name
        for report in remote
        if report.closed is True and now_ms - report.at_ms <= REMOTE_FRESH_MS
    }
    return tuple(one.name for one in declared if one.remote and one.name not in closed)


def stops_extraction(declared: tuple[Interlock, ...], names: tuple[str, ...]) -> bool:
    """Whether a fire input is among `names`: air would feed it."""
    return any(one.stops_extraction and one.name in names for one in declared)
