"""A statement in words goes in; its PDF comes out, the same bytes every time."""

from __future__ import annotations

from django.utils.translation import gettext, ngettext

from interlock.hub.paper import (
    INK,
    MARGIN_MM,
    PT_1,
    PT_2,
    PT_3,
    PT_4,
    PT_6,
    SOFT,
    SUNK,
    Paper,
    Span,
)
from interlock.hub.statements.sheet import Chapter, Sheet

WHEN_MM, AMOUNT_MM = 26, 26
TOTAL_BOX_MM = 78
"""Wide enough for "To be settled with the lab" and six digits of euros."""
BOX_PAD_MM = 3
CHAPTER_MM_MIN = 30
"""A heading stays with its first line."""


def render(sheet: Sheet) -> bytes:
    """The file. Call it in the language in which the sheet was put into words."""
    paper = Paper(
        f"{sheet.title} {sheet.number}", sheet.lab, sheet.made_at, f"{sheet.lab} · {sheet.number}"
    )
    _head(paper, sheet)
    _addresses(paper, sheet)
    for chapter in sheet.chapters:
        _chapter(paper, chapter)
    if not sheet.chapters:
        paper.ink(PT_3, SOFT)
        paper.say(gettext("Nothing was used in this period."))
        paper.gap(4)
    _totals(paper, sheet)
    _notes(paper, sheet)
    return paper.bytes()


def _head(paper: Paper, sheet: Sheet) -> None:
    top = paper.get_y()
    paper.mark_of_the_house(MARGIN_MM - 1, top - 1, 10)
    paper.set_xy(MARGIN_MM + 12, top)
    paper.ink(PT_4, bold=True)
    paper.cell(0, 8, sheet.lab)
    paper.ln(20)
    paper.ink(PT_6, bold=True)
    paper.say(sheet.title)
    paper.ink(PT_4, SOFT)
    paper.say(sheet.number)
    paper.gap(6)


def _addresses(paper: Paper, sheet: Sheet) -> None:
    """Who it is from, who it is for, and its dates: three columns."""
    top, column = paper.get_y(), paper.width_mm / 3
    blocks = (
        (gettext("For"), sheet.payer, sheet.payer_lines),
        (gettext("Issued by"), sheet.lab, sheet.lab_lines),
    )
    lowest = top
    for index, (label, name, lines) in enumerate(blocks):
        x = MARGIN_MM + index * column
        _block(paper, x, top, column - 5, label, name, lines)
        lowest = max(lowest, paper.get_y())
    x, y = MARGIN_MM + 2 * column, top
    for label, value in sheet.facts:
        paper.set_xy(x, y)
        paper.ink(PT_1, SOFT, bold=True)
        paper.multi_cell(column, 4, label, align="L", new_x="LEFT", new_y="NEXT")
        paper.set_x(x)
        paper.ink(PT_2, INK)
        paper.multi_cell(column, 4.2, value, align="L", new_x="LEFT", new_y="NEXT")
        y = paper.get_y() + 1.5
    paper.set_y(max(lowest, y) + 7)


def _block(
    paper: Paper, x: float, y: float, width: float, label: str, name: str, lines: tuple[str, ...]
) -> None:
    paper.set_xy(x, y)
    paper.ink(PT_1, SOFT, bold=True)
    paper.multi_cell(width, 4, label, align="L", new_x="LEFT", new_y="NEXT")
    paper.ink(PT_3, bold=True)
    paper.multi_cell(width, 4.8, name, align="L", new_x="LEFT", new_y="NEXT")
    paper.ink(PT_2)
    for line in lines:
        paper.multi_cell(width, 4.2, line, align="L", new_x="LEFT", new_y="NEXT")


def _chapter(paper: Paper, chapter: Chapter) -> None:
    paper.needs(CHAPTER_MM_MIN)
    paper.ink(PT_4, bold=True)
    paper.cell(paper.width_mm - AMOUNT_MM, 7, chapter.name)
    paper.ink(PT_3, bold=True)
    paper.cell(AMOUNT_MM, 7, chapter.total, align="R")
    paper.ln(7.5)
    spans = (
        Span(gettext("When"), WHEN_MM),
        Span(
            ngettext("%(n)s line", "%(n)s lines", len(chapter.entries))
            % {"n": len(chapter.entries)},
            paper.width_mm - WHEN_MM - AMOUNT_MM,
        ),
        Span(chapter.amounts, AMOUNT_MM, amount=True),
    )
    paper.list_head(spans)
    for entry in chapter.entries:
        paper.list_row(spans, (entry.when, entry.what, entry.amount), "  ·  ".join(entry.why))
    paper.gap(6)


def _totals(paper: Paper, sheet: Sheet) -> None:
    rate = paper.width_mm - 3 * AMOUNT_MM
    spans = (
        Span(gettext("VAT"), rate),
        Span(gettext("Net"), AMOUNT_MM, amount=True),
        Span(gettext("VAT amount"), AMOUNT_MM, amount=True),
        Span(gettext("Gross"), AMOUNT_MM, amount=True),
    )
    paper.needs(40 + 8 * len(sheet.vat))
    if sheet.vat:
        paper.list_head(spans)
        for one in sheet.vat:
            paper.list_row(spans, (one.rate, one.net, one.vat, one.gross))
        paper.gap(4)
    *before, (label, amount) = sheet.sums
    x, room = MARGIN_MM + paper.width_mm - TOTAL_BOX_MM, TOTAL_BOX_MM - 2 * BOX_PAD_MM
    for name, value in before:
        paper.set_x(x + BOX_PAD_MM)
        paper.ink(PT_2, SOFT)
        paper.cell(room - AMOUNT_MM, 5.5, name)
        paper.cell(AMOUNT_MM, 5.5, value, align="R")
        paper.ln(5.5)
    paper.gap(1)
    paper.set_fill_color(*SUNK)
    paper.rect(x, paper.get_y(), TOTAL_BOX_MM, 13, style="F")
    paper.set_xy(x + BOX_PAD_MM, paper.get_y() + 2.5)
    paper.ink(PT_3, bold=True)
    paper.cell(room - 34, 8, label)
    paper.ink(PT_4 + 2, bold=True)
    paper.cell(34, 8, amount, align="R")
    paper.ln(17)


def _notes(paper: Paper, sheet: Sheet) -> None:
    paper.needs(8 + 5 * len(sheet.notes))
    paper.ink(PT_1, SOFT)
    for note in sheet.notes:
        paper.say(note)
        paper.gap(1)
    if sheet.seal:
        paper.gap(1)
        paper.say(gettext("Ledger seal: %(seal)s") % {"seal": sheet.seal})
