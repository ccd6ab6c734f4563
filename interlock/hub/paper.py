"""Words and measures go in; an A4 sheet in the house's font and inks comes out as PDF.

fpdf2 draws it (docs/decisions/0011): pure Python, installed by pip alone. Everything is in millimetres
and points. The same content at the same date is the same file, to the byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

from django.utils import translation
from django.utils.translation import gettext
from fpdf import FPDF
from fpdf.enums import MethodReturnValue, XPos, YPos

FONTS = Path(__file__).parent / "fonts"
FACE = "Noto"

MARGIN_MM = 18
FOOT_MM = 20
"""Room for the foot line; printers leave 5 mm at the edge unprinted."""

# Type: the pages' scale of 1.2, around 9.5 pt.
PT_1, PT_2, PT_3, PT_4, PT_6 = 7.5, 8.5, 9.5, 11.5, 20.0

INK = (27, 35, 34)
SOFT = (74, 85, 82)
RULE = (211, 215, 206)
SUNK = (239, 240, 236)
MARK = (242, 182, 50)
"""The inks of tokens.css; MARK is the house's yellow, used once a sheet."""

LINE = 1.35
"""Line height as a multiple of the type's size."""
MM_PER_PT = 25.4 / 72

COLUMN_GAP_MM = 4
ROW_PAD_MM = 1.1
_PT_1_MM, _PT_2_MM = PT_1 * LINE * MM_PER_PT, PT_2 * LINE * MM_PER_PT

_JOINT_UNITS = 28
"""The corners of logo.svg, in its own units."""
_PIN = ((3, 3), (25, 3), (25, 12), (18.4, 12), (20.5, 19), (7.5, 19), (9.6, 12), (3, 12))
_TAIL = (
    *((3, 13.4), (7.7, 13.4), (5.6, 20.4), (22.4, 20.4)),
    *((20.3, 13.4), (25, 13.4), (25, 25), (3, 25)),
)
_TAIL_INK = (165, 181, 177)


@dataclass(frozen=True, slots=True)
class Span:
    """A column of a list: its heading, its width in mm, and whether it holds amounts."""

    heading: str
    width_mm: float
    amount: bool = False

    @property
    def text_mm(self) -> float:
        """Its width without the gap to the next column; amounts stand at its right edge."""
        return self.width_mm if self.amount else self.width_mm - COLUMN_GAP_MM


class Paper(FPDF):
    """One document. `foot` stands at the left of every sheet's last line, "1 / 3" at its right."""

    def __init__(self, title: str, author: str, made_at: datetime, foot: str = "") -> None:
        super().__init__(format="A4", unit="mm")
        self.foot = foot
        self.set_margins(MARGIN_MM, MARGIN_MM, MARGIN_MM)
        self.c_margin = 0  # text begins where rules begin
        self.set_auto_page_break(auto=True, margin=FOOT_MM)
        self.add_font(FACE, "", FONTS / "NotoSans-Regular.ttf")
        self.add_font(FACE, "B", FONTS / "NotoSans-Bold.ttf")
        self.set_title(title)
        self.set_author(author)
        self.set_creator("Interlock")
        self.set_creation_date(made_at)
        self.set_lang((translation.get_language() or "en").split("-")[0])
        self.alias_nb_pages()
        self.add_page()

    @property
    def width_mm(self) -> float:
        """Between the margins."""
        return float(self.epw)

    def footer(self) -> None:
        """The last line of a sheet; fpdf2 calls it when a sheet is full."""
        self.set_y(-FOOT_MM + 6)
        self.ink(PT_1, SOFT)
        self.cell(self.width_mm - 20, 4, self.foot)
        pages = gettext("%(number)s of %(all)s") % {"number": self.page_no(), "all": "{nb}"}
        self.cell(20, 4, pages, align="R")

    def ink(
        self, size_pt: float, colour: tuple[int, int, int] = INK, *, bold: bool = False
    ) -> None:
        """From now on text is of that size, colour and weight."""
        self.set_font(FACE, "B" if bold else "", size_pt)
        self.set_text_color(*colour)

    def say(self, text: str, width_mm: float = 0, *, align: str = "L") -> None:
        """A paragraph in the present ink; the pen then stands at the left, under it."""
        height = self.font_size_pt * LINE * MM_PER_PT
        self.multi_cell(
            width_mm or self.width_mm,
            height,
            text,
            align=align,
            new_x=XPos.LMARGIN,
            new_y=YPos.NEXT,
        )

    def gap(self, mm: float) -> None:
        """Empty height."""
        self.set_y(self.get_y() + mm)

    def rule(self, colour: tuple[int, int, int] = RULE, width_mm: float = 0.2) -> None:
        """A line across the sheet."""
        self.set_draw_color(*colour)
        self.set_line_width(width_mm)
        self.line(MARGIN_MM, self.get_y(), MARGIN_MM + self.width_mm, self.get_y())

    def mark_of_the_house(self, x: float, y: float, size_mm: float = 9) -> None:
        """The two halves of a dovetail joint, as in the pages' head."""
        unit = size_mm / _JOINT_UNITS
        for colour, corners in ((MARK, _PIN), (_TAIL_INK, _TAIL)):
            self.set_fill_color(*colour)
            self.polygon([(x + a * unit, y + b * unit) for a, b in corners], style="F")

    def needs(self, height_mm: float) -> None:
        """A new sheet unless so much height is left on this one: what belongs together stays so."""
        if self.will_page_break(height_mm):
            self.add_page()

    def list_head(self, spans: Sequence[Span]) -> None:
        """The headings of a list's columns, over a line."""
        self.ink(PT_1, SOFT, bold=True)
        for span in spans:
            self.cell(span.width_mm, 5, span.heading, align="R" if span.amount else "L")
        self.ln(5)
        self.rule(SOFT, 0.3)
        self.gap(1)

    def list_row(
        self, spans: Sequence[Span], cells: Sequence[str], below: str = "", *, bold: bool = False
    ) -> None:
        """One row; a long cell runs on under itself, `below` stands small under the second column."""
        self.ink(PT_2, bold=bold)
        heights = [
            _PT_2_MM * len(self._broken(span, cell))
            for span, cell in zip(spans, cells, strict=True)
        ]
        if below:
            self.ink(PT_1)
            heights[1] += _PT_1_MM * len(self._broken(spans[1], below))
        tall = max(heights)
        if self.will_page_break(tall + 2 * ROW_PAD_MM):
            self.add_page()
            self.list_head(spans)
        self.ink(PT_2, bold=bold)
        top, x = self.get_y() + ROW_PAD_MM, float(MARGIN_MM)
        for number, (span, cell) in enumerate(zip(spans, cells, strict=True)):
            self.set_xy(x, top)
            self.multi_cell(
                span.text_mm,
                _PT_2_MM,
                cell,
                align="R" if span.amount else "L",
                new_x="LEFT",
                new_y="NEXT",
            )
            if below and number == 1:
                self.ink(PT_1, SOFT)
                self.multi_cell(span.text_mm, _PT_1_MM, below, align="L")
                self.ink(PT_2, bold=bold)
            x += span.width_mm
        self.set_xy(MARGIN_MM, top + tall + ROW_PAD_MM)
        self.rule()

    def _broken(self, span: Span, text: str) -> list[str]:
        """The lines that a text makes in that column."""
        lines = self.multi_cell(span.text_mm, 1, text, dry_run=True, output=MethodReturnValue.LINES)
        return cast(list[str], lines)

    def bytes(self) -> bytes:
        """The file."""
        return bytes(self.output())
