"""A kind of part and its place in, its IEC 60617 symbol out; every symbol lies along a wire, 40 units long."""

from __future__ import annotations

from collections.abc import Callable

from tests.drawings.canvas import DANGER, FINE, INK, PAPER, WIRE, Canvas

HALF = 20.0
"""From a symbol's middle to either of its ends."""

ACTUATOR_HEIGHTS = {
    "emergency_stop": 25.0,
    "stop_button": 22.0,
    "push_button": 22.0,
    "key": 25.0,
    "limit_switch": 21.0,
    "flow_switch": 23.0,
    "fire_contact": 23.0,
    "current_switch": 23.0,
    "switch": 22.0,
}
"""How far what moves a contact stands above its wire; a relay's own contact has nothing above it."""
BLADE_HEIGHT = 13.0


def height_above(kind: str) -> float:
    """How far the symbol of a contact of this kind reaches above its wire."""
    return ACTUATOR_HEIGHTS.get(kind, BLADE_HEIGHT)


def contact(canvas: Canvas, kind: str, x: float, y: float, *, closed: bool) -> None:
    """A contact across the wire, drawn at rest, and what moves it."""
    canvas.line((x - HALF, y), (x - 9, y))
    canvas.line((x + 9, y), (x + HALF, y))
    if closed:
        canvas.line((x - 9, y), (x + 13, y - 10))
        canvas.line((x + 9, y), (x + 9, y - 12))
        middle = y - 5
    else:
        canvas.line((x - 9, y), (x + 9, y - 12))
        middle = y - 6
    mover = _MOVERS.get(kind)
    if mover is not None:
        mover(canvas, x, y - height_above(kind), middle)


def pole(canvas: Canvas, kind: str, x: float, y: float, stroke: str) -> None:
    """One pole of a switch in the power circuit, along a vertical conductor."""
    canvas.line((x, y - HALF), (x, y - 9), stroke=stroke)
    canvas.line((x, y + HALF), (x, y + 9), stroke=stroke)
    canvas.line((x, y + 9), (x - 11, y - 8), stroke=stroke)
    top = y - 9
    if kind == "breaker":
        canvas.line((x - 4, top - 4), (x + 4, top + 4), stroke=stroke)
        canvas.line((x + 4, top - 4), (x - 4, top + 4), stroke=stroke)
    elif kind == "isolator":
        canvas.line((x - 5, top), (x + 5, top), stroke=stroke)
    elif kind == "contactor":
        canvas.path(f"M{x:.1f} {top - 6:.1f} a4 4 0 0 0 0 8", stroke=stroke)


def flat_pole(canvas: Canvas, x: float, y: float, stroke: str) -> None:
    """One main contact of a contactor along a horizontal conductor."""
    canvas.line((x - HALF, y), (x - 9, y), stroke=stroke)
    canvas.line((x + 9, y), (x + HALF, y), stroke=stroke)
    canvas.line((x - 9, y), (x + 8, y - 11), stroke=stroke)
    canvas.path(f"M{x + 15:.1f} {y:.1f} a4 4 0 0 0 -8 0", stroke=stroke)


def coil(canvas: Canvas, x: float, y: float) -> None:
    """A coil across the wire."""
    canvas.line((x - HALF, y), (x - 9, y))
    canvas.line((x + 9, y), (x + HALF, y))
    canvas.box(x - 9, y - 15, 18, 30, round_by=0)


def fuse(canvas: Canvas, x: float, y: float, stroke: str = INK) -> None:
    """A fuse along the wire."""
    canvas.box(x - 13, y - 5, 26, 10, stroke=stroke, round_by=0)
    canvas.line((x - HALF, y), (x + HALF, y), stroke=stroke)


def resistor_down(canvas: Canvas, x: float, y: float) -> None:
    """A resistor from (x, y) down to 0 V."""
    canvas.dot(x, y)
    canvas.line((x, y), (x, y + 6))
    canvas.box(x - 4, y + 6, 8, 17, round_by=0)
    canvas.line((x, y + 23), (x, y + 27))
    canvas.line((x - 7, y + 27), (x + 7, y + 27), wide=WIRE)


def suppressor(canvas: Canvas, kind: str, x: float, y: float) -> None:
    """A diode with its cathode to the left, or an RC member."""
    canvas.line((x - HALF, y), (x + HALF, y))
    if kind == "diode":
        canvas.path(f"M{x + 7:.1f} {y - 7:.1f} v14 L{x - 6:.1f} {y:.1f} z", fill=PAPER)
        canvas.line((x - 6, y - 7), (x - 6, y + 7))
        return
    canvas.box(x - 17, y - 5, 18, 10, round_by=0)
    canvas.box(x + 6, y - 5, 5, 10, fill=PAPER, stroke=PAPER)
    for at in (x + 6, x + 11):
        canvas.line((at, y - 8), (at, y + 8))


def opto(canvas: Canvas, x: float, y: float) -> None:
    """A light-emitting diode, its light, and the transistor it wakes, 34 units across."""
    canvas.line((x - 17, y), (x - 11, y))
    canvas.path(f"M{x - 11:.1f} {y - 6:.1f} v12 L{x - 2:.1f} {y:.1f} z", fill=PAPER)
    canvas.line((x - 2, y - 6), (x - 2, y + 6))
    canvas.line((x + 1, y - 5), (x + 7, y - 8), wide=FINE)
    canvas.line((x + 1, y - 1), (x + 7, y - 4), wide=FINE)
    canvas.line((x + 9, y - 9), (x + 9, y + 8))
    canvas.line((x + 9, y + 4), (x + 17, y))


def pulse(canvas: Canvas, x: float, y: float) -> None:
    """One pulse: a monostable."""
    canvas.line((x - 10, y + 5), (x - 4, y + 5), (x - 4, y - 5), (x + 4, y - 5), (x + 4, y + 5))
    canvas.line((x + 4, y + 5), (x + 10, y + 5))


def earth_mark(canvas: Canvas, x: float, y: float) -> None:
    """Bonded to protective earth here."""
    canvas.line((x, y), (x, y + 5))
    for half, down in ((8, 5), (5, 8), (2, 11)):
        canvas.line((x - half, y + down), (x + half, y + down))


def warning(canvas: Canvas, x: float, y: float) -> None:
    """The triangle of ISO 7010 W012, its lower left corner at (x, y)."""
    canvas.path(f"M{x:.1f} {y:.1f} l9 -16 l9 16 z", stroke=DANGER, fill="#ffd400")
    canvas.path(f"M{x + 10.2:.1f} {y - 12:.1f} l-3.6 5.4 h4 l-2.6 4.4", stroke=INK, wide=FINE)


# ------------------------------------------------------------------------------- what moves a contact


def _mushroom(canvas: Canvas, x: float, top: float, middle: float) -> None:
    canvas.line((x, middle), (x, top + 8), wide=FINE, dash="3 2.5")
    canvas.path(f"M{x - 11:.1f} {top + 8:.1f} a11 9 0 0 1 22 0 z", stroke=DANGER, fill="#f3b3ae")


def _button(canvas: Canvas, x: float, top: float, middle: float) -> None:
    canvas.line((x, middle), (x, top), wide=FINE, dash="3 2.5")
    canvas.line((x - 8, top + 5), (x - 8, top), (x + 8, top), (x + 8, top + 5))


def _key(canvas: Canvas, x: float, top: float, middle: float) -> None:
    canvas.line((x, middle), (x, top + 11), wide=FINE, dash="3 2.5")
    canvas.ring(x, top + 5, 5.5)
    canvas.line((x, top + 3), (x, top + 8))


def _roller(canvas: Canvas, x: float, top: float, middle: float) -> None:
    canvas.line((x, middle), (x, top + 8), wide=FINE, dash="3 2.5")
    canvas.ring(x, top + 4, 4)


def _turn(canvas: Canvas, x: float, top: float, middle: float) -> None:
    canvas.line((x, middle), (x, top), wide=FINE, dash="3 2.5")
    canvas.line((x - 8, top + 5), (x - 8, top), (x + 8, top), (x + 8, top - 5))


def _lettered(letter: str) -> Callable[[Canvas, float, float, float], None]:
    def draw(canvas: Canvas, x: float, top: float, middle: float) -> None:
        canvas.line((x, middle), (x, top + 13), wide=FINE, dash="3 2.5")
        canvas.box(x - 9, top - 1, 18, 14, round_by=0)
        canvas.words(x, top + 10, letter, anchor="middle")

    return draw


_MOVERS = {
    "emergency_stop": _mushroom,
    "stop_button": _button,
    "push_button": _button,
    "key": _key,
    "limit_switch": _roller,
    "switch": _turn,
    "flow_switch": _lettered("F"),
    "fire_contact": _lettered("θ"),
    "current_switch": _lettered("I"),
}
