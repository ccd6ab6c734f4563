"""What a look at a Pi, its machine or the hub says, in words: a line of a doctor's report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

Say = Callable[[str], str]
"""A msgid to the sentence in the reader's language."""


class Verdict(StrEnum):
    """How bad it is. CARE works and should not stay so; UNKNOWN could not be looked at."""

    GOOD = "good"
    CARE = "care"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: `name` is stable for programs, the other two are for people."""

    name: str
    verdict: Verdict
    what: str
    remedy: str = ""

    def to_wire(self) -> dict[str, str]:
        """The finding as one JSON object."""
        return {
            "name": self.name,
            "verdict": self.verdict.value,
            "what": self.what,
            "remedy": self.remedy,
        }
