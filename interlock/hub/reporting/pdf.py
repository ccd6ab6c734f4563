"""A report goes in; A4 sheets that a funder files come out: the headline, then every table with its bars."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext

from interlock.hub.paper import MARK, PT_1, PT_2, PT_3, PT_4, PT_6, SOFT, SUNK, Paper, Span
from interlock.hub.reporting import shown
from interlock.hub.reporting.report import Report
from interlock.hub.reporting.shown import ShownSection

LABEL_MM, BAR_MM, NUMBER_MM = 62.0, 48.0, 21.0
BAR_TALL_MM = 2.6
TILE_TALL_MM = 17.0
TILES_A_ROW = 4
SECTION_MM_MIN = 30.0
"""A heading, its total and two rows: less is not begun at the foot of a sheet."""


def to_pdf(report: Report, made_at: datetime) -> bytes:
    """The whole file; the same report at the same moment is the same file."""
    foot = f"{report.lab.name} · {shown.period_words(report.period)}"
    paper = Paper(gettext("Activity report"), report.lab.name, made_at, foot)
    _head(paper, report)
    _tiles(paper, report)
    for section in shown.sections(report):
        _section(paper, section)
    _heat(paper, report)
    _definitions(paper, report)
    return paper.bytes()


def _head(paper: Paper, report: Report) -> None:
    paper.mark_of_the_house(paper.l_margin, paper.get_y())
    paper.set_x(paper.l_margin + 13)
    paper.ink(PT_3, SOFT)
    paper.cell(0, 9, report.lab.name)
    paper.ln(15)
    paper.ink(PT_6, bold=True)
    paper.say(gettext("Activity report"))
    paper.ink(PT_4)
    paper.say(shown.period_words(report.period))
    paper.ink(PT_2, SOFT)
    paper.say(
        gettext("Compared with %(period)s.") % {"period": shown.period_words(report.previous)}
    )
    paper.gap(5)


def _tiles(paper: Paper, report: Report) -> None:
    width = paper.width_mm / TILES_A_ROW
    top = paper.get_y()
    for index, tile in enumerate(shown.headline(report)):
        row, column = divmod(index, TILES_A_ROW)
        x, y = paper.l_margin + column * width, top + row * (TILE_TALL_MM + 2)
        paper.set_fill_color(*SUNK)
        paper.rect(x, y, width - 2, TILE_TALL_MM, style="F")
        paper.set_xy(x + 2, y + 1.5)
        paper.ink(PT_1, SOFT)
        paper.multi_cell(
            width - 6, 3.4, tile.title, new_x="LEFT", new_y="NEXT", max_line_height=3.4
        )
        paper.set_xy(x + 2, y + TILE_TALL_MM - 8.5)
        paper.ink(PT_4, bold=True)
        paper.cell(width - 6, 6, tile.value)
        paper.set_xy(x + 2, y + TILE_TALL_MM - 8.5)
        paper.ink(PT_1, SOFT)
        paper.cell(width - 6, 6, tile.change, align="R")
        below = y + TILE_TALL_MM
    paper.set_y(below + 6)


def _section(paper: Paper, section: ShownSection) -> None:
    if not section.rows:
        return
    paper.needs(SECTION_MM_MIN)
    paper.ink(PT_4, bold=True)
    paper.say(section.title)
    spans = (
        Span("", LABEL_MM),
        Span("", BAR_MM),
        Span(gettext("Period"), NUMBER_MM, amount=True),
        Span(gettext("Before"), NUMBER_MM, amount=True),
        Span(gettext("Difference"), NUMBER_MM, amount=True),
    )
    paper.list_head(spans)
    for row in section.rows:
        cells = (row.label, "", row.value, row.previous, row.change)
        paper.list_row(spans, cells)
        if row.share > 0:
            paper.set_fill_color(*MARK)
            y = paper.get_y() - BAR_TALL_MM - 1.6
            long_mm = max(0.4, (BAR_MM - 6) * row.share)
            paper.rect(paper.l_margin + LABEL_MM, y, long_mm, BAR_TALL_MM, style="F")
    if section.total:
        cells = (gettext("Total"), "", section.total, section.previous, section.change)
        paper.list_row(spans, cells, bold=True)
    paper.gap(5)


def _heat(paper: Paper, report: Report) -> None:
    week = shown.week(report)
    if not week.rows:
        return
    paper.needs(70)
    paper.ink(PT_4, bold=True)
    paper.say(gettext("Occupancy by hour of the week"))
    width = (paper.width_mm - 24) / max(1, len(week.hours))
    for label, cells in [
        ("", [(hour, 0) for hour in week.hours]),
        *((r.label, r.cells) for r in week.rows),
    ]:
        paper.ink(PT_1, SOFT)
        paper.cell(24, 6, label)
        for said, shade in cells:
            tone = [round(255 - (255 - ink) * shade / 10) for ink in MARK]
            paper.set_fill_color(*tone)
            paper.cell(width, 6, said, align="C", fill=shade > 0)
        paper.ln(6.4)
    paper.gap(5)


def _definitions(paper: Paper, report: Report) -> None:
    paper.needs(30)
    paper.ink(PT_4, bold=True)
    paper.say(gettext("How it is counted"))
    paper.ink(PT_1, SOFT)
    paper.say(shown.masking_words())
    paper.gap(1)
    for section in report.sections:
        one = section.indicator
        paper.ink(PT_1, bold=True)
        paper.say(f"{one.title} ({one.id}, v{one.version})")
        paper.ink(PT_1, SOFT)
        paper.say(str(one.definition))
        paper.gap(1)
