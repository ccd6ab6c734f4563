"""Inputs, outputs and modules in, the Pi between them drawn out: every wire is one straight line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.drawings import symbols
from tests.drawings.canvas import FINE, Canvas
from tests.drawings.netlist import Does, behaviour
from tests.drawings.pins import HEADER, I2C
from tests.drawings.source import Drawing, Element, Part, Rung
from tests.drawings.text import LEADING, width, wrapped

INPUT_PITCH = 31.0
OUTPUT_PITCH = 38.0
ROW = 13.5
BOX_GAP = 8.0
CONTACT_PITCH = 66.0
FIRST_CONTACT = 46.0
OPTO_W = 74.0
PI_W = 158.0
MODULE_W = 152.0
TERMINAL_W = 52.0
RELAY_W = 58.0
HOLDER_W = 62.0
SHUNT_AT = 16.0
FLAG_ROOM = 58.0


@dataclass
class Logic:
    """Draws the Pi and everything around it; `left` is the inputs' rail, `right` the sheet's edge.

    `air` is what each row and box may take more than it needs.
    """

    canvas: Canvas
    drawing: Drawing
    language: str
    top: float
    left: float
    right: float
    air: float = 0.0
    spare: dict[str, list[int]] = field(default_factory=dict)
    drawn: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.input_pitch, self.output_pitch = INPUT_PITCH + self.air, OUTPUT_PITCH + self.air
        self.gap = BOX_GAP + self.air
        self.spare = {net: list(HEADER[net]) for net in ("3V3", "5V", "0V")}
        words = max(self._input_room(rung) for rung in self.drawing.inputs)
        self.opto_x = self.left + words + 8
        self.has_opto = any(part.kind == "opto" for part in self.drawing.parts.values())
        self.pi_x = self.right - MODULE_W - 92 - PI_W
        self.pi_right = self.pi_x + PI_W
        if self.has_opto:
            self.opto_x = min(self.opto_x, self.pi_x - OPTO_W - 26)

    @property
    def divide(self) -> float:
        """Where the 24 V side ends: in the middle of the optocouplers, or before everything."""
        return self.opto_x + OPTO_W / 2 if self.has_opto else self.left - 24

    @property
    def inputs_end(self) -> float:
        """Where the last input is drawn."""
        return self.top + 52 + self.input_pitch * (len(self.drawing.inputs) - 1)

    def height(self) -> float:
        """How much of the sheet the zone takes below `top`."""
        on_left = self.input_pitch * len(self.drawing.inputs) + 4
        on_left += sum(
            _box_height(part) + self.gap
            for part in self._modules("left")
            if "5V" in part.wires or "+" in part.wires
        )
        if not self.has_opto:
            on_left += 170
        on_right = self.output_pitch * len(self.drawing.outputs)
        on_right += sum(_box_height(part) + self.gap for part in self._modules("right"))
        return 50 + max(on_left, on_right)

    def draw(self, fed: dict[str, tuple[float, float]]) -> None:
        """Everything; `fed` are the ends of a supply that feeds the Pi itself."""
        start = self.top + 52
        height = self.height() - 38
        self.canvas.box(self.pi_x, self.top + 34, PI_W, height)
        name = f"A0 {self.drawing.part('A0').label(self.language)}"
        self.canvas.words(self.pi_x + PI_W / 2, self.top + 24, name, anchor="middle", bold=True)
        y = start
        for rung in self.drawing.outputs:
            self._output(rung, y)
            y += self.output_pitch
        y -= self.output_pitch - 32 - self.gap
        for part in self._modules("right"):
            y = self._module(part, y, on_left=False) + self.gap
        self._inputs(start, fed)

    # ------------------------------------------------------------------------------------- inputs

    def _inputs(self, y: float, fed: dict[str, tuple[float, float]]) -> None:
        first = y
        for rung in self.drawing.inputs:
            self._input(rung, y)
            y += self.input_pitch
        last = y - self.input_pitch
        beside_y = last + 30
        if self.has_opto:
            self._opto_box(first, last)
            self.canvas.line((self.left, self.top), (self.left, last))
        else:
            self.canvas.line((self.left, first), (self.left, last + 26))
            self._pi_row("0V", last + 26, on_left=True)
            self.canvas.line((self.left, last + 26), (self.pi_x, last + 26))
        y = last + 30
        for part in self._modules("left"):
            beside = not any(self._joins_pi(part, net) for net in part.wires.values())
            # What has no wire of its own to the Pi stands beside the box before it.
            y = (
                self._module(part, beside_y if beside else y, on_left=True, beside=beside)
                + self.gap
            )
            beside_y = y - self.gap - _box_height(part)
        for terminal, net in (("+", "5V"), ("-", "0V")):
            if not self.has_opto and terminal in fed:
                x, row = fed[terminal]
                self._pi_row(net, row, on_left=True)
                self.canvas.line((x, row), (self.pi_x, row))

    def _input(self, rung: Rung, y: float) -> None:
        contacts = [item for item in rung.body.items if isinstance(item, Element)]
        contacts = [item for item in contacts if self.drawing.part(item.part).kind != "opto"]
        x = self.left + FIRST_CONTACT
        self.canvas.line((self.left, y), (x - symbols.HALF, y))
        self.canvas.dot(self.left, y)
        for place, element in enumerate(contacts):
            part = self.drawing.part(element.part)
            if place:
                self.canvas.line((x + symbols.HALF, y), (x + CONTACT_PITCH - symbols.HALF, y))
                x += CONTACT_PITCH
            does = behaviour(part, element.a, element.b)
            symbols.contact(self.canvas, part.kind, x, y, closed=does is Does.NC)
            self.canvas.words(x - 13, y - 4, element.a, anchor="end")
            self.canvas.words(x + 15, y - 4, element.b)
            at = (y - 4, y + 13)[place]
            label = self._label(rung, place, part)
            self.canvas.named(self._words_x(len(contacts)), at, part.id, label)
        to = self.opto_x if self.has_opto else self.pi_x
        self.canvas.line((x + symbols.HALF, y), (to, y))
        gpio = rung.right if rung.right.startswith("GPIO") else rung.left
        self._pi_row(gpio, y, on_left=True)

    def _words_x(self, contacts: int) -> float:
        return self.left + FIRST_CONTACT + CONTACT_PITCH * (contacts - 1) + symbols.HALF + 16

    def _label(self, rung: Rung, place: int, part: Part) -> str:
        """What a row says of its contact: its own words for the first one, else the part's."""
        if place == 0 and rung.words:
            return rung.words[self.language]
        return part.label(self.language)

    def _input_room(self, rung: Rung) -> float:
        parts = [
            self.drawing.part(item.part) for item in rung.body.items if isinstance(item, Element)
        ]
        parts = [part for part in parts if part.kind != "opto"]
        words = max(
            width(part.id, bold=True) + width(f" {self._label(rung, place, part)}")
            for place, part in enumerate(parts)
        )
        return self._words_x(len(parts)) - self.left + words

    def _opto_box(self, first: float, last: float) -> None:
        part = next(part for part in self.drawing.parts.values() if part.kind == "opto")
        self.canvas.box(self.opto_x, first - 36, OPTO_W, last - first + 52)
        middle = self.opto_x + OPTO_W / 2
        title = f"{part.id} {part.label(self.language)}"
        self.canvas.words(middle, first - 21, title, anchor="middle", bold=True)
        for place, _ in enumerate(self.drawing.inputs):
            y = first + self.input_pitch * place
            symbols.opto(self.canvas, middle, y)
            self.canvas.words(self.opto_x + 4, y + 4, f"I{place + 1}")
            self.canvas.words(self.opto_x + OPTO_W - 4, y + 4, f"O{place + 1}", anchor="end")
            self.canvas.line((self.opto_x + OPTO_W, y), (self.pi_x, y))

    # ------------------------------------------------------------------------------------ outputs

    def _output(self, rung: Rung, y: float) -> None:
        self._pi_row(rung.left, y, on_left=False)
        relay = rung.right.split(":")[0]
        relay_x = self.right - RELAY_W
        self.canvas.line((self.pi_right, y), (relay_x, y))
        shunt = next((r for r in self.drawing.shunts if r.left == rung.left), None)
        if shunt is not None:
            item = shunt.body.items[0]
            assert isinstance(item, Element)
            x = self.pi_right + SHUNT_AT
            symbols.resistor_down(self.canvas, x, y)
            label = self.drawing.part(item.part).label(self.language)
            self.canvas.named(x + 8, y + 20, item.part, label)
        for item in rung.body.items:
            assert isinstance(item, Element)
            part = self.drawing.part(item.part)
            x = relay_x - HOLDER_W - 14
            self.canvas.box(x, y - 16, HOLDER_W, 32)
            symbols.pulse(self.canvas, x + HOLDER_W - 17, y + 7)
            self.canvas.words(x + 6, y - 3, part.id, bold=True)
            self.canvas.words(x + 6, y + 11, _feeds(part)[0])
        self._relay_box(self.drawing.part(relay), relay_x, y)

    def _relay_box(self, part: Part, x: float, y: float) -> None:
        self.canvas.box(x, y - 16, RELAY_W, 32)
        self.canvas.words(x + 7, y - 3, part.id, bold=True)
        self.canvas.words(x + 7, y + 11, "·".join(_feeds(part)))

    # ------------------------------------------------------------------------------------ modules

    def _modules(self, side: str) -> Iterator[Part]:
        names = self.drawing.modules_left if side == "left" else self.drawing.modules
        return (self.drawing.part(name) for name in names)

    def _module(self, part: Part, y: float, *, on_left: bool, beside: bool = False) -> float:
        """A box of terminals, the first of them at `y`; returns where the next one may begin."""
        height = _box_height(part)
        x = self.opto_x + OPTO_W - MODULE_W if on_left else self.right - MODULE_W
        if on_left and not self.has_opto:
            x = self.pi_x - 40 - MODULE_W
        if beside:
            x -= MODULE_W + FLAG_ROOM
        self.canvas.box(x, y, MODULE_W, height)
        to_pi, away = (x + MODULE_W, x) if on_left else (x, x + MODULE_W)
        for place, (terminal, net) in enumerate(part.wires.items()):
            row = y + 4 + ROW * (place + 0.5)
            here = self._joins_pi(part, net)
            inner = to_pi if here else away
            side = 6 if inner == x else -6
            anchor = "start" if inner == x else "end"
            self.canvas.words(inner + side, row + 4, terminal, anchor=anchor)
            if here:
                self._pi_row(net, row, on_left=on_left)
                end = self.pi_x if on_left else self.pi_right
                self.canvas.line((to_pi, row), (end, row))
            else:
                self._flag(away, row, net, leftward=on_left)
        self.drawn.update(part.wires.values())
        self._module_words(part, x, y, height, on_left)
        return y + height

    def _joins_pi(self, part: Part, net: str) -> bool:
        """A wire of its own to the Pi: not for 24 V, and not again for a bus that is already there."""
        shared = net in I2C and net in self.drawn
        on_bus = any(n in I2C and n in self.drawn for n in part.wires.values())
        spare = self.spare.get(net)
        return net in HEADER and not shared and not on_bus and spare != []

    def _flag(self, x: float, y: float, net: str, *, leftward: bool) -> None:
        sign = -1 if leftward else 1
        self.canvas.line((x, y), (x + sign * 10, y), wide=FINE)
        words = _SPOKEN.get(net, net)
        if net in I2C:
            words = f"A4 {('SDA', 'SCL')[I2C.index(net)]}"
        self.canvas.words(x + sign * 14, y + 4, words, anchor="end" if leftward else "start")

    def _module_words(self, part: Part, x: float, y: float, height: float, on_left: bool) -> None:
        lines = wrapped(part.label(self.language), MODULE_W - 2 * TERMINAL_W + 44)
        middle = x + TERMINAL_W + (-8 if on_left else 0)
        at = y + height / 2 + 4 - LEADING * len(lines) / 2
        self.canvas.words(middle, at, part.id, bold=True)
        self.canvas.lines(middle, at + LEADING, lines, LEADING)

    def _pi_row(self, net: str, y: float, *, on_left: bool) -> None:
        """A pin of the Pi: its net, and its place on the 40-pin header."""
        spare = self.spare.get(net)
        pin = HEADER[net][0] if spare is None else spare.pop(0)
        words = _SPOKEN.get(net, net)
        if on_left:
            self.canvas.words(self.pi_x + 5, y + 4, f"{words} · {pin}")
        else:
            self.canvas.words(self.pi_right - 5, y + 4, f"{pin} · {words}", anchor="end")


_SPOKEN = {"3V3": "3.3 V", "5V": "5 V", "0V": "0 V", "24V": "24 V"}


def _feeds(part: Part) -> list[str]:
    """Which supplies a board wants, as it says on the board."""
    return [net for net in part.wires.values() if net in _SPOKEN]


def _box_height(part: Part) -> float:
    return ROW * max(len(part.wires), 3 if len(part.wires) > 1 else 2) + 8
