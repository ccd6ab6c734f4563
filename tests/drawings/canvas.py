"""Lines, boxes and words in drawing units in, SVG out: three stroke widths, three type sizes, few colours."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from tests.drawings.text import TEXT

SHEET: Final = (1_300.0, 919.0)
"""A4 across, 297 x 210 mm: 4.38 units are a millimetre, TEXT is 7.5 points."""

FINE: Final = 0.9
WIRE: Final = 1.7
STRONG: Final = 3.0

INK = "#16201f"
SOFT = "#5b6764"
PAPER = "#ffffff"
EARTH = "#1f8f3a"
EARTH_STRIPE = "#f5d400"
DANGER = "#b3261e"
WIRES: Final = {
    "L": "#6b3410",
    "L1": "#6b3410",
    "L2": "#16201f",
    "L3": "#7b8580",
    "N": "#1b63b5",
    "PE": EARTH,
}
"""IEC 60446 / NF C 15-100: brown, black, grey; light blue; green-yellow."""

FONT: Final = "'Liberation Sans', Arial, Helvetica, sans-serif"


class Canvas:
    """What has been drawn so far; every method adds to it."""

    def __init__(self) -> None:
        self._made: list[str] = []

    def line(
        self, *points: tuple[float, float], stroke: str = INK, wide: float = WIRE, dash: str = ""
    ) -> None:
        """A polyline without fill."""
        path = "M" + " L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        self.path(path, stroke=stroke, wide=wide, dash=dash)

    def path(
        self,
        path: str,
        *,
        stroke: str = INK,
        fill: str = "none",
        wide: float = WIRE,
        dash: str = "",
    ) -> None:
        """Any path, in the sheet's own coordinates."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self._made.append(
            f'<path d="{path}" fill="{fill}" stroke="{stroke}" stroke-width="{wide}"{dashed}/>'
        )

    def earth(self, *points: tuple[float, float]) -> None:
        """A protective conductor, green with its yellow stripe."""
        self.line(*points, stroke=EARTH, wide=STRONG)
        self.line(*points, stroke=EARTH_STRIPE, wide=FINE, dash="7 7")

    def box(
        self,
        x: float,
        y: float,
        w: float,
        h: float,
        *,
        fill: str = PAPER,
        stroke: str = INK,
        wide: float = WIRE,
        dash: str = "",
        round_by: float = 2.0,
    ) -> None:
        """A rectangle; its upper left corner is (x, y)."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self._made.append(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}" rx="{_n(round_by)}"'
            f' fill="{fill}" stroke="{stroke}" stroke-width="{wide}"{dashed}/>'
        )

    def ring(self, x: float, y: float, r: float, *, fill: str = PAPER, stroke: str = INK) -> None:
        """A circle."""
        self._made.append(
            f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(r)}" fill="{fill}" stroke="{stroke}"'
            f' stroke-width="{WIRE}"/>'
        )

    def dot(self, x: float, y: float, stroke: str = INK) -> None:
        """A joint of wires."""
        self._made.append(f'<circle cx="{_n(x)}" cy="{_n(y)}" r="2.8" fill="{stroke}"/>')

    def words(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = TEXT,
        bold: bool = False,
        anchor: str = "start",
        fill: str = INK,
    ) -> None:
        """One line of text, its baseline at y."""
        self._spans(x, y, ((text, bold),), size, anchor, fill)

    def named(self, x: float, y: float, name: str, text: str, *, anchor: str = "start") -> None:
        """A part's name in bold and a few words after it, on one line."""
        spans = ((name, True), (f" {text}", False)) if text else ((name, True),)
        self._spans(x, y, spans, TEXT, anchor, INK)

    def lines(
        self, x: float, y: float, texts: Sequence[str], leading: float, *, anchor: str = "start"
    ) -> None:
        """Lines of text below each other, the first baseline at y."""
        for place, text in enumerate(texts):
            self.words(x, y + place * leading, text, anchor=anchor)

    def svg(self, title: str, description: str, language: str) -> str:
        """The finished picture."""
        width, height = SHEET
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="297mm" height="210mm" '
            f'viewBox="0 0 {_n(width)} {_n(height)}" role="img" xml:lang="{language}" '
            f'aria-labelledby="t d" font-family="{FONT}" stroke-linecap="round" '
            'stroke-linejoin="round">'
        )
        return "\n".join(
            (
                head,
                f'<title id="t">{escape(title)}</title>',
                f'<desc id="d">{escape(description)}</desc>',
                f'<rect width="{_n(width)}" height="{_n(height)}" fill="{PAPER}"/>',
                *self._made,
                "</svg>\n",
            )
        )

    def _spans(
        self,
        x: float,
        y: float,
        spans: Sequence[tuple[str, bool]],
        size: float,
        anchor: str,
        fill: str,
    ) -> None:
        inside = "".join(
            f'<tspan font-weight="bold">{escape(text)}</tspan>' if bold else escape(text)
            for text, bold in spans
        )
        self._made.append(
            f'<text x="{_n(x)}" y="{_n(y)}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{fill}" xml:space="preserve">{inside}</text>'
        )


def _n(value: float) -> str:
    """A coordinate to a tenth of a unit."""
    return f"{value:.1f}".removesuffix(".0")
