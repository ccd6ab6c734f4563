"""What the world saw and what the journal and the hub say of it: compared, session by session.

The world's physics are the oracle. Every check here is stated so that it can be false, and
`test_accounts.py` makes each of them false.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from interlock.protocol.records import Record, RecordType
from tests.real.lab import Lab
from tests.real.prepare import CENTS_PER_HOUR
from tests.real.settings import PROGRESS_S

Span = tuple[int, int]
"""From and to, in microseconds of the world's history."""

CENTS_PER_S = CENTS_PER_HOUR // 3_600

SLACK_MS = 60
"""Two ticks and a late one: how far a meter that samples every 20 ms may be from the instant itself."""

FAVOUR_MS = PROGRESS_S * 1_000 + 500
"""What a death may take off a bill: one interval, and the time a busy disk takes to make a record durable."""

START_MS_MAX = 3_000
"""A badge is read, decided and recorded within the start deadline of 2 s, or refused."""

CLOCK_US = 5_000
"""The two clocks are compared by reading one after the other, in another process."""


@dataclass(frozen=True, slots=True)
class Use:
    """One session as the journal tells it; `ended` is its end or void record's body."""

    id: str
    started_us: int
    ended: dict[str, Any]
    voided: bool

    @property
    def enabled_ms(self) -> int:
        return int(self.ended.get("enabled_ms", 0))

    @property
    def busy_ms(self) -> int:
        return int(self.ended.get("busy_ms", 0))


def uses_of(records: Sequence[Record], boots: dict[str, int]) -> list[Use]:
    """Every session of the journal; each has exactly one end, and no two are open at once."""
    uses: list[Use] = []
    open_: tuple[str, int] | None = None
    for record in records:
        body = dict(record.body or {})
        if record.header.type is RecordType.SESSION_STARTED:
            assert open_ is None, f"{record.id} began while {open_} was open: {_told(records)}"
            began_us = boots.get(record.header.boot_id, 0) + record.header.boot_ms * 1_000
            open_ = (record.id, began_us)
        elif record.header.type in (RecordType.SESSION_ENDED, RecordType.SESSION_VOIDED):
            assert open_ is not None, f"{record.id} ends a session that is not open"
            assert body["session"] == open_[0]
            voided = record.header.type is RecordType.SESSION_VOIDED
            uses.append(Use(*open_, body, voided))
            open_ = None
    assert open_ is None, f"session {open_} has no end"
    return uses


def _told(records: Sequence[Record]) -> str:
    return "\n".join(f"{one.id} {one.header.type.value} {one.body}"[:300] for one in records)


def match(uses: Sequence[Use], spans: Sequence[Span], taps_us: Sequence[int]) -> list[Span | None]:
    """Each use's powered span, None where the relay never closed for it. Every span belongs to one
    use that was recorded before, and follows a badge of its own."""
    found: list[Span | None] = [None] * len(uses)
    answered: set[int] = set()
    for span in spans:
        before = [i for i, use in enumerate(uses) if use.started_us <= span[0] + CLOCK_US]
        assert before, f"the relay closed at {span[0]} without a recorded start"
        assert found[before[-1]] is None, f"the relay closed again for {uses[before[-1]].id}"
        found[before[-1]] = span
        taps = [us for us in taps_us if span[0] - START_MS_MAX * 1_000 <= us < span[0]]
        assert taps, f"the relay closed at {span[0]} without a badge"
        assert taps[-1] not in answered, f"one badge at {taps[-1]} closed the relay twice"
        answered.add(taps[-1])
    return found


def check_meter(use: Use, powered: Span | None, busy: Sequence[Span]) -> None:
    """The use was metered as the machine was used: never more, and after a death at most an interval less."""
    if use.voided or powered is None:
        assert use.enabled_ms <= SLACK_MS or use.voided, f"{use} was never powered"
        return
    enabled_ms = (powered[1] - powered[0]) // 1_000
    busy_ms = sum(min(to, powered[1]) - max(at, powered[0]) for at, to in busy) // 1_000
    # A dead process proves nothing behind its last record, a hung one nothing of its hang.
    unproved = use.ended["estimated"] or use.ended["how"] == "contact_lost"
    least_ms = FAVOUR_MS if unproved else SLACK_MS
    for name, metered_ms, true_ms in (
        ("enabled", use.enabled_ms, enabled_ms),
        ("busy", use.busy_ms, busy_ms),
    ):
        assert metered_ms <= true_ms + SLACK_MS, f"{name}: {use} against {true_ms} ms"
        assert metered_ms >= true_ms - least_ms, f"{name}: {use} against {true_ms} ms"


def check_bill(uses: Sequence[Use], rows: Sequence[dict[str, Any]]) -> None:
    """The hub has each use once, with its milliseconds and the cents of its whole busy seconds."""
    said = [(f"{row['epoch']}.{row['seq']}", bool(row["voided"])) for row in rows]
    assert said == [(use.id, use.voided) for use in uses]
    for use, row in zip(uses, rows, strict=True):
        if use.voided:
            assert row["cents"] in (None, 0)
            continue
        assert (row["enabled_ms"], row["busy_ms"]) == (use.enabled_ms, use.busy_ms)
        assert bool(row["estimated"]) == use.ended["estimated"]
        assert row["cents"] == use.busy_ms // 1_000 * CENTS_PER_S


def check_books(lab: Lab, *, since_us: int = 0) -> list[Use]:
    """The whole lab agrees: world, journal, hub, bill. Every record is at the hub once; the uses since."""
    records = lab.delivered()
    uses = uses_of(records, lab.boots)
    check_bill(uses, lab.sessions())
    check_use(lab, uses)
    return [use for use in uses if use.started_us >= since_us]


def check_use(lab: Lab, uses: Sequence[Use]) -> None:
    """World and journal agree."""
    spans = match(uses, lab.spans("relay"), lab.taps_us)
    powered = lab.spans("contacts")
    for use, span in zip(uses, spans, strict=True):
        # The relay is what we command and meter; that its contacts followed is physics.
        check_meter(use, span, _within(lab.spans("busy"), span))
    for span in lab.spans("relay"):
        closed = _within(powered, span)
        assert len(closed) <= 1, f"the contacts came back by themselves within {span}: {closed}"


def _within(spans: Sequence[Span], limits: Span | None) -> list[Span]:
    if limits is None:
        return []
    return [span for span in spans if span[0] < limits[1] and span[1] > limits[0]]
