"""The shape of a statement in words: what its page, its PDF and its mail all show, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: when, what, for whom, how much; `why` are the steps of its price in words."""

    when: str
    what: str
    amount: str
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chapter:
    """The lines of one machine, or the materials, with their sum; `amounts` says with or without VAT."""

    name: str
    entries: tuple[Entry, ...]
    amounts: str
    total: str


@dataclass(frozen=True, slots=True)
class Vat:
    """One rate (or the reason why there is none), and what it makes of the statement."""

    rate: str
    net: str
    vat: str
    gross: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A whole statement, in the language of whoever gets it."""

    number: str
    title: str
    lab: str
    lab_lines: tuple[str, ...]
    payer: str
    payer_lines: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    chapters: tuple[Chapter, ...]
    vat: tuple[Vat, ...]
    sums: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    seal: str
    made_at: datetime
