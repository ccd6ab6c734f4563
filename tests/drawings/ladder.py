"""Rungs and the rails they hang between in, the control circuit drawn out: measured first, then placed."""

from __future__ import annotations

from dataclasses import dataclass

from tests.drawings import symbols
from tests.drawings.canvas import Canvas
from tests.drawings.netlist import Does, behaviour
from tests.drawings.source import Drawing, Element, Parallel, Rung, Series
from tests.drawings.text import LEADING, width

GAP = 18.0
"""Between two symbols, and between a joint of branches and the first symbol."""
JOINT = 14.0


@dataclass(frozen=True)
class Room:
    """How much of the sheet something takes: across, above its wire, below it."""

    across: float
    above: float
    below: float


@dataclass
class Ladder:
    """Draws rungs of `drawing` in `language`."""

    canvas: Canvas
    drawing: Drawing
    language: str

    def room(self, item: Element | Parallel | Series) -> Room:
        """What `item` needs."""
        if isinstance(item, Element):
            return self._element_room(item)
        if isinstance(item, Series):
            rooms = [self.room(inside) for inside in item.items]
            return Room(
                sum(room.across for room in rooms),
                max(room.above for room in rooms),
                max(room.below for room in rooms),
            )
        rooms = [self.room(branch) for branch in item.branches]
        below = rooms[0].below + sum(room.above + room.below for room in rooms[1:])
        return Room(max(room.across for room in rooms) + 2 * JOINT, rooms[0].above, below)

    def draw(self, item: Element | Parallel | Series, x: float, y: float, across: float) -> None:
        """`item` on the wire at `y`, from `x` over `across` units, which may be more than it needs."""
        if isinstance(item, Element):
            self._element(item, x, y, across)
        elif isinstance(item, Series):
            slack = (across - self.room(item).across) / max(1, len(item.items))
            for inside in item.items:
                wide = self.room(inside).across + slack
                self.draw(inside, x, y, wide)
                x += wide
        else:
            self._branches(item, x, y, across)

    def rung(self, rung: Rung, left: float, right: float, y: float) -> None:
        """A rung from rail to rail, or between two terminals of a box."""
        if ":" not in rung.left:
            self.draw(rung.body, left, y, right - left)
            return
        start, across = left + 44, self.room(rung.body).across + 30
        self.draw(rung.body, start, y, across)
        for x, name in ((start, rung.left), (start + across, rung.right)):
            self.canvas.ring(x, y, 3.5)
            self.canvas.words(x, y + LEADING + 2, name, anchor="middle", bold=True)
        self.canvas.lines(start - 20, y + 2 * LEADING + 5, OWN_CHAIN[self.language], LEADING)

    # ------------------------------------------------------------------------------------ parts

    def _branches(self, item: Parallel, x: float, y: float, across: float) -> None:
        left, right = x + JOINT / 2, x + across - JOINT / 2
        self.canvas.line((x, y), (left, y))
        self.canvas.line((right, y), (x + across, y))
        rooms = [self.room(branch) for branch in item.branches]
        at = y
        for place, (branch, room) in enumerate(zip(item.branches, rooms, strict=True)):
            if place:
                at += rooms[place - 1].below + room.above
            self.draw(branch, left, at, right - left)
        for joint in (left, right):
            self.canvas.line((joint, y), (joint, at))
            self.canvas.dot(joint, y)

    def _element_room(self, element: Element) -> Room:
        part = self.drawing.part(element.part)
        does = behaviour(part, element.a, element.b)
        if does is Does.SUPPRESSOR:
            return Room(2 * symbols.HALF + GAP, 24, 12)
        named = width(part.id, bold=True) + width(f" {part.label(self.language)}")
        across = max(2 * symbols.HALF, named) + GAP
        return Room(across, self._above(element) + LEADING + 4, 22 if does is not Does.LOAD else 26)

    def _above(self, element: Element) -> float:
        part = self.drawing.part(element.part)
        if behaviour(part, element.a, element.b) is Does.LOAD:
            return 15.0
        return symbols.height_above(part.kind)

    def _element(self, element: Element, x: float, y: float, across: float) -> None:
        canvas, part = self.canvas, self.drawing.part(element.part)
        does, middle = behaviour(part, element.a, element.b), x + across / 2
        canvas.line((x, y), (middle - symbols.HALF, y))
        canvas.line((middle + symbols.HALF, y), (x + across, y))
        if does is Does.SUPPRESSOR:
            symbols.suppressor(canvas, part.kind, middle, y)
            canvas.words(middle, y - 11, part.id, anchor="middle", bold=True)
            return
        if does is Does.LOAD:
            symbols.coil(canvas, middle, y)
        elif does is Does.WIRE:
            symbols.fuse(canvas, middle, y)
        else:
            symbols.contact(canvas, part.kind, middle, y, closed=does is Does.NC)
        label = part.label(self.language)
        canvas.named(middle, y - self._above(element) - 5, part.id, label, anchor="middle")
        canvas.words(middle - 11, y + 14, element.a, anchor="end")
        canvas.words(middle + 11, y + 14, element.b)


OWN_CHAIN = {
    "en": ("the machine's own guard chain,", "with no software in it"),
    "fr": ("la chaîne de protection d'origine,", "sans aucun logiciel"),
}
