"""Sessions that no record will end any more, to sessions ended at their last proof of life.

A Pi that was replaced, or a journal whose tail is lost, never says how a session ended. What its last
report proved is billed, nothing more; an alarm names the session, so that somebody asks and corrects.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from interlock.core.model import Ending
from interlock.hub import rollup
from interlock.hub.alarms import ask_to_check
from interlock.hub.billing import billable_day, reprice
from interlock.hub.models import Node, Session

_CUT = ["how", "estimated", "ended_at"]


def cut(session: Session) -> None:
    """In memory, `session` ended at its last proof of life, in the member's favour."""
    session.how, session.estimated = Ending.POWER_LOST.value, True
    session.end_boot_id, session.end_boot_ms = "", None
    session.ended_at = session.started_at + timedelta(milliseconds=session.enabled_ms)


def cut_open_sessions(node: Node, why: str, at: datetime) -> None:
    """No session of `node` is open; each is priced, and alarmed with `why`. Call it in a transaction."""
    found = list(Session.objects.filter(node=node, how="", voided=False).order_by("epoch", "seq"))
    if not found:
        return
    for session in found:
        cut(session)
    Session.objects.bulk_update(found, _CUT)
    reprice(node.lab, {day for one in found if (day := billable_day(node.lab, one))}, at)
    rollup.mark_sessions(node.lab, found)
    ask_to_check(node, found, why, at)
