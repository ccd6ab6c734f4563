"""The stages of a power circuit in, the column of conductors from supply to machine drawn out."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import sqrt

from tests.drawings import symbols
from tests.drawings.canvas import FINE, SOFT, WIRES, Canvas
from tests.drawings.source import Drawing, Stage
from tests.drawings.text import LEADING, wrapped

WORDS_RIGHT = 122.0
"""Names of stages end here, to the left of the conductors."""
FIRST_X = 144.0
ROOM = 98.0
"""What a stage's words may take across."""
SUPPLY_W = 84.0
BRANCH_PITCH = 22.0

AS_BOUGHT = {"en": "the machine as bought", "fr": "la machine d'origine"}
WEIGHTS = {"tap": 1.1, "fan": 1.7, "load": 1.2, "ring": 0.9, "inlet": 0.8}


@dataclass
class Power:
    """Draws the power circuit between `top` and `bottom`, up to `edge` across.

    `anchors` says where the stages of some parts have to stand; where a supply ends is in `fed`.
    """

    canvas: Canvas
    drawing: Drawing
    language: str
    top: float
    bottom: float
    edge: float
    anchors: dict[str, float]
    fed: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pitch = 30.0 if len(self.drawing.conductors) == 3 else 24.0
        self.x = {name: FIRST_X + pitch * i for i, name in enumerate(self.drawing.conductors)}
        self.ends = dict.fromkeys(self.x, self.top)

    def draw(self) -> None:
        """Everything, from the inlet to the load."""
        places = self._places()
        self._machine_frame(places)
        for stage, y in zip(self.drawing.stages, places, strict=True):
            getattr(self, f"_{stage.does}")(stage, y)

    # ------------------------------------------------------------------------------------ stages

    def _inlet(self, stage: Stage, y: float) -> None:
        self._words(stage.parts[0], y)
        for name, x in self.x.items():
            self.canvas.words(x, y - 10, name, anchor="middle", bold=True)
            self.canvas.ring(x, y, 3.5, stroke=WIRES[name])
            self.ends[name] = y + 3.5

    def _poles(self, stage: Stage, y: float) -> None:
        kind = self.drawing.part(stage.parts[0]).kind
        self._words(stage.parts[0], y)
        live = self._live(stage)
        for place, name in enumerate(live):
            x = self.x[name]
            self._down(name, y - symbols.HALF)
            symbols.pole(self.canvas, kind, x, y, WIRES[name])
            self.canvas.words(x + 7, y - 11, str(2 * place + 1))
            self.canvas.words(x + 7, y + 19, str(2 * place + 2))
            self.ends[name] = y + symbols.HALF
        first, last = self.x[live[0]], self.x[live[-1]]
        self.canvas.line((first - 6, y), (last - 6, y), wide=FINE, dash="3 2.5")
        if kind == "nvr":
            self.canvas.line((last - 6, y), (last + 14, y), wide=FINE, dash="3 2.5")
            self.canvas.box(last + 14, y - 9, 26, 18, round_by=0)
            self.canvas.words(last + 27, y + 4, "U<", anchor="middle")

    def _ring(self, stage: Stage, y: float) -> None:
        self._words(stage.parts[0], y)
        name = self._live(stage)[0]
        self._down(name, y + 8)
        self.canvas.path(f"M{self.x[name] - 11:.1f} {y:.1f} a11 6 0 1 0 22 0 a11 6 0 1 0 -22 0")

    def _tap(self, stage: Stage, y: float) -> None:
        part = stage.parts[0]
        first = self.drawing.conductors[0]
        if part != "rails" and self.drawing.part(part).kind == "sense_relay":
            self._sense(part, first, y)
            return
        outer = self.edge + 8 if part == "rails" else self.edge - SUPPLY_W / 2
        rows = [(first, y), ("N", y + BRANCH_PITCH)]
        if part != "rails" and not self.drawing.part(part).class_ii:
            rows.append(("PE", y + 2 * BRANCH_PITCH))
        for name, row in rows:
            self._off(name, row, outer)
        if stage.over is not None:
            self._fuse(stage.over, self.x["PE"] + 34, y)
        if part == "rails":
            self.fed = {"L~": (outer, y), "N~": (outer, y + BRANCH_PITCH)}
            return
        self._supply(part, outer, y, rows)

    def _supply(self, part: str, x: float, y: float, rows: list[tuple[str, float]]) -> None:
        height = 2 * BRANCH_PITCH + 22
        self.canvas.box(x, y - 14, SUPPLY_W, height)
        for name, row in rows:
            self.canvas.words(x + 5, row + 4, "" if name == "PE" else name.rstrip("123"))
        outputs = list(self.drawing.part(part).wires)
        for place, terminal in enumerate(outputs):
            row = y + BRANCH_PITCH * place
            sign = "−" if terminal == "-" else terminal
            self.canvas.words(x + SUPPLY_W - 6, row + 4, sign, anchor="end", bold=True)
            self.fed[terminal] = (x + SUPPLY_W, row)
        middle = x + SUPPLY_W / 2
        self.canvas.words(middle, y + height - 34, part, anchor="middle", bold=True)
        label = self.drawing.part(part).label(self.language)
        self.canvas.words(middle, y + height - 20, label, anchor="middle")

    def _sense(self, part: str, line: str, y: float) -> None:
        x = self.x["PE"] + 64
        self._off(line, y, x)
        self._off("N", y + 38, x)
        self.canvas.line((x, y), (x, y + 38))
        self.canvas.box(x - 16, y + 10, 32, 18, round_by=0)
        self.canvas.words(x + 22, y + 16, part, bold=True)
        self._words(part, y + 10)

    def _fan(self, stage: Stage, y: float) -> None:
        contactor, fan = stage.parts
        first = self.drawing.conductors[0]
        fuse_x, pole_x, fan_x = (self.x["PE"] + at for at in (36, 84, 128))
        rows = {first: y, "N": y + 34}
        for name, row in rows.items():
            self._off(name, row, pole_x - symbols.HALF)
            symbols.flat_pole(self.canvas, pole_x, row, WIRES[name])
            self.canvas.line((pole_x + symbols.HALF, row), (fan_x, row), stroke=WIRES[name])
        for row, (a, b) in zip(rows.values(), (("1", "2"), ("3", "4")), strict=True):
            self.canvas.words(pole_x - 12, row + 14, a, anchor="end")
            self.canvas.words(pole_x + 12, row + 14, b)
        self.canvas.line((pole_x, y - 4), (pole_x, y + 28), wide=FINE, dash="3 2.5")
        self.canvas.words(pole_x, y - 15, contactor, anchor="middle", bold=True)
        if stage.over is not None:
            self._fuse(stage.over, fuse_x, y)
        below = y + 34 + BRANCH_PITCH
        self._off("PE", below, fan_x)
        self.canvas.earth((fan_x, below), (fan_x, y + 34))
        self._motor(fan_x, y + 17, 20, ("M", "1~"))
        self.canvas.words(fan_x, y - 15, fan, anchor="middle", bold=True)
        self._words(fan, y + 10)

    def _load(self, stage: Stage, y: float) -> None:
        part = self.drawing.part(stage.parts[0])
        live = self._live(stage)
        middle = sum(self.x[name] for name in live) / len(live)
        self._words(part.id, y)
        if part.kind == "motor":
            radius = 30.0 if len(live) == 3 else 27.0
            for name in live:
                self._down(name, y - sqrt(radius**2 - (self.x[name] - middle) ** 2))
            self._to_earth(y, middle + radius)
            self._motor(middle, y, radius, ("M", "3~" if len(live) == 3 else "1~"))
            return
        w, h = 60.0, 40.0
        for name in live:
            self._down(name, y - h / 2)
        self._to_earth(y, middle + w / 2)
        self.canvas.box(middle - w / 2, y - h / 2, w, h)
        if part.kind == "laser":
            self.canvas.words(middle, y + 4, "LASER", anchor="middle", bold=True)
            return
        self.canvas.path(f"M{middle - 14:.1f} {y + 8:.1f} a14 14 0 0 1 28 0 z")
        self.canvas.line((middle, y - 6), (middle, y - h / 2))

    # ------------------------------------------------------------------------------------- parts

    def _live(self, stage: Stage) -> tuple[str, ...]:
        return stage.on or tuple(name for name in self.x if name != "PE")

    def _down(self, name: str, to: float) -> None:
        """The conductor `name` from where it last ended down to `to`."""
        x = self.x[name]
        if name == "PE":
            self.canvas.earth((x, self.ends[name]), (x, to))
        else:
            self.canvas.line((x, self.ends[name]), (x, to), stroke=WIRES[name])
        self.ends[name] = to

    def _off(self, name: str, y: float, to: float) -> None:
        """A branch of conductor `name` to the right at `y`."""
        self._down(name, y)
        if name == "PE":
            self.canvas.earth((self.x[name], y), (to, y))
        else:
            self.canvas.line((self.x[name], y), (to, y), stroke=WIRES[name])
        self.canvas.dot(self.x[name], y, WIRES[name])

    def _to_earth(self, y: float, to: float) -> None:
        self._down("PE", y)
        self.canvas.earth((self.x["PE"], y), (to, y))

    def _fuse(self, part: str, x: float, y: float) -> None:
        symbols.fuse(self.canvas, x, y, WIRES[self.drawing.conductors[0]])
        label = self.drawing.part(part).label(self.language)
        self.canvas.named(x, y - 10, part, label, anchor="middle")

    def _motor(self, x: float, y: float, radius: float, letters: tuple[str, str]) -> None:
        self.canvas.ring(x, y, radius)
        self.canvas.words(x, y - 2, letters[0], anchor="middle", bold=True)
        self.canvas.words(x, y + 12, letters[1], anchor="middle")

    def _words(self, part: str, y: float) -> None:
        self.canvas.words(WORDS_RIGHT, y - 4, part, anchor="end", bold=True)
        label = self.drawing.part(part).label(self.language)
        self.canvas.lines(WORDS_RIGHT, y - 4 + LEADING, wrapped(label, ROOM), LEADING, anchor="end")

    def _machine_frame(self, places: list[float]) -> None:
        inside = [
            y
            for stage, y in zip(self.drawing.stages, places, strict=True)
            if stage.parts[0] in self.drawing.machine
        ]
        if not inside:
            return
        left, right = 24.0, self.edge - 10
        top, bottom = inside[0] - 38, inside[-1] + 40
        self.canvas.box(left, top, right - left, bottom - top, fill="none", dash="6 4", stroke=SOFT)
        lines = wrapped(AS_BOUGHT[self.language], right - self.x["PE"] - 30)
        at = bottom - 6 - LEADING * (len(lines) - 1)
        self.canvas.lines(right - 8, at, lines, LEADING, anchor="end")

    def _places(self) -> list[float]:
        """Where each stage stands: the pinned ones at their anchors, the others evenly between."""
        stages = self.drawing.stages
        weights = [WEIGHTS.get(stage.does, 1.0) for stage in stages]
        pinned = {0: self.top, len(stages) - 1: self.bottom}
        pinned |= {
            i: self.anchors[stage.parts[0]]
            for i, stage in enumerate(stages)
            if stage.does == "tap" and stage.parts[0] in self.anchors
        }
        ordered = sorted(pinned)
        places = [self.top]
        for one, two in pairwise(ordered):
            places += _spread(pinned[one], pinned[two], weights[one : two + 1])[1:]
        return places


def _spread(first: float, last: float, weights: list[float]) -> list[float]:
    """Places from `first` to `last`, each next one by the mean weight of its two neighbours."""
    steps = [(a + b) / 2 for a, b in pairwise(weights)]
    unit, at, places = (last - first) / sum(steps), first, [first]
    for step in steps:
        at += step * unit
        places.append(at)
    return places
