"""A node's records, one after the other, to the sessions they tell of, as the ingest understood them: pure.

`hub verify` compares this with what is stored. So it must believe what the ingest believed and no more: a record that
makes no sense, or that speaks of a session which was over, is the node's word, kept and proved, and has no effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from interlock.errors import ProtocolError
from interlock.hub.sessions import ending_of, session_key, start_of, totals_of
from interlock.protocol import fields
from interlock.protocol.records import Record, RecordType

Place = tuple[int, int]
"""(epoch, seq) of the record that began a session."""


@dataclass
class Use:
    """What records say of one session. `cut`: none says how it ended, and another proved that it had."""

    member: str | None
    enabled_ms: int = 0
    busy_ms: int = 0
    how: str = ""
    estimated: bool = False
    voided: bool = False
    cut: bool = False

    @property
    def is_open(self) -> bool:
        """Whether what a node counts of it counts."""
        return not (self.how or self.voided or self.cut)


@dataclass
class Retelling:
    """The uses told of so far; `emptied`: those whose beginning was erased."""

    uses: dict[Place, Use] = field(default_factory=dict)
    emptied: set[Place] = field(default_factory=set)
    _running: list[Use] = field(default_factory=list)

    def hear(self, record: Record) -> None:
        """The next record of the chain counts, as far as the ingest let it."""
        place = (record.header.epoch, record.header.seq)
        if record.body is None:
            if record.header.type == RecordType.SESSION_STARTED:
                self._began(place, Use(None))
                self.emptied.add(place)
            return
        with suppress(ProtocolError):
            self._hear(place, record, record.body)

    def _hear(self, place: Place, record: Record, body: Mapping[str, Any]) -> None:
        match record.header.type:
            case RecordType.SESSION_STARTED:
                start_of(body)
                self._cut_all()
                self._began(place, Use(body.get("member")))
            case RecordType.BOOT:
                # A boot that does not say what it runs by has no effect at all.
                fields.optional_text(body, "config_digest")
                self._cut_all()
            case RecordType.SESSION_PROGRESS:
                use = self._use(record)
                if use.is_open:
                    _measure(use, body)
            case RecordType.SESSION_ENDED:
                how, estimated, _ = ending_of(body)
                use = self._use(record)
                if use.is_open or (estimated and (use.estimated or use.cut) and not use.voided):
                    _measure(use, body)
                    use.how, use.estimated = how.value, estimated
            case RecordType.SESSION_VOIDED:
                use = self._use(record)
                fields.text(body, "why")
                fields.optional_text(body, "detail")
                use.voided = True
            case _:
                pass  # of no session's time

    def _use(self, record: Record) -> Use:
        try:
            return self.uses[session_key(record)]
        except KeyError:
            raise ProtocolError("it speaks of a session which never started") from None

    def _began(self, place: Place, use: Use) -> None:
        self.uses[place] = use
        self._running.append(use)

    def _cut_all(self) -> None:
        # What is over stays over: each use is looked at once, however many a node has had.
        for use in self._running:
            use.cut = use.is_open
        self._running.clear()


def _measure(use: Use, body: Mapping[str, Any]) -> None:
    enabled_ms, busy_ms, _ = totals_of(body)
    use.enabled_ms = max(use.enabled_ms, enabled_ms)
    use.busy_ms = max(use.busy_ms, busy_ms)
