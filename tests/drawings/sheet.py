"""A drawing and a language in, one A4 sheet as SVG out: zones, circuits and notes."""

from __future__ import annotations

from collections.abc import Iterator

from tests.drawings import symbols
from tests.drawings.canvas import DANGER, FINE, INK, SHEET, SOFT, WIRES, Canvas
from tests.drawings.ladder import Ladder
from tests.drawings.logic import Logic
from tests.drawings.power import SUPPLY_W, Power
from tests.drawings.source import Drawing, Rung, SourceError
from tests.drawings.text import HEAD, LEADING, TITLE, wrapped

MARGIN = 16.0
ZONES_TOP = 62.0
ZONE_GAP = 8.0
HEADING = 28.0
NOTE_COLUMNS = 3
COLUMN_GAP = 20.0
NOTE_W = (SHEET[0] - 2 * MARGIN - COLUMN_GAP * (NOTE_COLUMNS - 1)) / NOTE_COLUMNS
RAIL_DROP = 34.0
"""From the stage that feeds the ladder down to the ladder's lower edge."""

OWN_LOOP_RISE = 112.0
AIR_MAX = 190.0
LADDER_SHARE = 0.55
RUNG_SHARE = 0.2
ROWS = 8.0
"""About as many rows and boxes share what the ladder leaves of the air."""

MAINS_TINT, CONTROL_TINT, LOGIC_TINT = "#fdf0ec", "#eef6ee", "#eef3fa"

SAYS = {
    "en": {
        "not_safe": "Interlock is not a safety device: what protects people works without it.",
        "who": "By a person qualified for electrical work, after the machine's manual. Contacts at rest.",
        "control": "Control 24 V DC (PELV)",
        "control_mains": "Control 230 V ~",
        "logic": "5 V and 3.3 V",
        "made": "Drawn from docs/wiring/{name}.toml for {config}. Checked as text, never yet built.",
    },
    "fr": {
        "not_safe": "Interlock n'est pas un dispositif de sécurité : tout ce qui protège fonctionne sans lui.",
        "who": "Par une personne habilitée, d'après la notice de la machine. Contacts au repos.",
        "control": "Commande 24 V DC (TBTP)",
        "control_mains": "Commande 230 V ~",
        "logic": "5 V et 3,3 V",
        "made": "Tiré de docs/wiring/{name}.toml pour {config}. Vérifié comme texte, jamais encore construit.",
    },
}

# --------------------------------------------------------------------------------- public functions


def svg(drawing: Drawing, language: str) -> str:
    """The sheet. Raises SourceError when the drawing does not fit A4."""
    return _Sheet(drawing, language).draw()


# ------------------------------------------------------------------------------------------- parts


class _Sheet:
    def __init__(self, drawing: Drawing, language: str) -> None:
        self.drawing, self.language = drawing, language
        self.says = SAYS[language]
        self.canvas = Canvas()
        self.wide, self.high = SHEET
        self.edge = 362.0 if any(stage.does == "fan" for stage in drawing.stages) else 350.0
        self.left = self.edge + ZONE_GAP
        self.rail = self.edge + SUPPLY_W / 2 + 58
        self.back = self.wide - MARGIN - 18
        self.ladder = Ladder(self.canvas, drawing, language)
        self.air = 0.0
        self._measure()
        slack = self.high - 8 - self.zones_end - self._notes_height()
        self.air = max(0.0, min(AIR_MAX, slack))
        self._measure()

    def _measure(self) -> None:
        """Where each zone ends, when `air` is shared out between them."""
        self.ladder_end = ZONES_TOP + HEADING + self._ladder_height() + self.air * LADDER_SHARE
        self.logic = Logic(
            self.canvas,
            self.drawing,
            self.language,
            top=self.ladder_end + ZONE_GAP,
            left=self.rail if self.drawing.feed else self.edge + 76,
            right=self.wide - MARGIN - 12,
            air=self.air * (1 - LADDER_SHARE) / ROWS,
        )
        self.zones_end = self.logic.top + self.logic.height() + 4

    def draw(self) -> str:
        self._head()
        self._zones()
        power = Power(
            self.canvas,
            self.drawing,
            self.language,
            top=ZONES_TOP + HEADING + 34,
            bottom=self.zones_end - 54,
            edge=self.edge,
            anchors=self._anchors(),
        )
        power.draw()
        self._rails(power)
        self._rungs()
        self.logic.draw(power.fed)
        self._foot(self.zones_end + 5)
        title = self.drawing.title[self.language]
        return self.canvas.svg(title, f"{title}. {self.says['not_safe']}", self.language)

    def _anchors(self) -> dict[str, float]:
        """What feeds the ladder stands at its lower end; what feeds only the Pi, below the inputs."""
        feeder = self.drawing.feed.left.rstrip("+") if self.drawing.feed else "rails"
        anchors = {feeder: self.ladder_end - RAIL_DROP - 14}
        if self.drawing.feed is None:
            anchors["G1"] = self.logic.inputs_end + 70
        return anchors

    def _head(self) -> None:
        self.canvas.words(MARGIN, 30, self.drawing.title[self.language], size=TITLE, bold=True)
        self.canvas.words(MARGIN, 50, self.says["who"], fill=SOFT)
        self.canvas.words(
            self.wide - MARGIN, 30, self.says["not_safe"], bold=True, anchor="end", fill=DANGER
        )
        where = self.drawing.config.relative_to(self.drawing.config.parents[1]).as_posix()
        made = self.says["made"].format(name=self.drawing.name, config=where)
        self.canvas.words(self.wide - MARGIN, 50, made, anchor="end", fill=SOFT)

    def _zones(self) -> None:
        canvas, right = self.canvas, self.wide - MARGIN
        top, end, mid = ZONES_TOP, self.zones_end, self.ladder_end
        low_top = self.logic.top
        low_voltage = self.drawing.feed is not None
        corner = self.edge - ZONE_GAP if low_voltage else right
        if low_voltage:
            self._zone(
                f"M{MARGIN} {top} H{self.edge:.1f} V{end:.1f} H{MARGIN} z", MAINS_TINT, DANGER
            )
            divide = self.logic.divide
            path = f"M{self.left:.1f} {top} H{right} V{mid:.1f} H{divide - 4:.1f} V{end:.1f}"
            self._zone(f"{path} H{self.left:.1f} z", CONTROL_TINT, SOFT)
            path = f"M{divide + 4:.1f} {low_top:.1f} H{right} V{end:.1f} H{divide + 4:.1f} z"
            self._zone(path, LOGIC_TINT, SOFT)
            canvas.words(self.left + 12, top + 20, self.says["control"], size=HEAD, bold=True)
        else:
            path = f"M{MARGIN} {top} H{corner} V{mid:.1f} H{self.edge:.1f} V{end:.1f} H{MARGIN} z"
            self._zone(path, MAINS_TINT, DANGER)
            path = f"M{self.left:.1f} {low_top:.1f} H{right} V{end:.1f} H{self.left:.1f} z"
            self._zone(path, LOGIC_TINT, SOFT)
            canvas.words(
                self.left + 12,
                top + 20,
                self.says["control_mains"],
                size=HEAD,
                bold=True,
                fill=DANGER,
            )
        symbols.warning(canvas, MARGIN + 10, top + 22)
        mains = self.drawing.mains[self.language]
        canvas.words(MARGIN + 36, top + 20, mains, size=HEAD, bold=True, fill=DANGER)
        canvas.words(
            right - 12, low_top + 22, self.says["logic"], size=HEAD, bold=True, anchor="end"
        )

    def _zone(self, path: str, tint: str, stroke: str) -> None:
        self.canvas.path(path, fill=tint, stroke=stroke, wide=FINE)

    # ----------------------------------------------------------------------------- control circuit

    def _ladder_height(self) -> float:
        rooms = [self.ladder.room(rung.body) for rung in self.drawing.ladder if _hangs(rung)]
        return sum(room.above + room.below for room in rooms) + 36

    def _rungs(self) -> None:
        y = ZONES_TOP + HEADING + self.air * RUNG_SHARE
        for rung in self.drawing.ladder:
            room = self.ladder.room(rung.body)
            if not _hangs(rung):
                # A loop of the machine's own stands where the ladder leaves room: below its first stop.
                self.ladder.rung(rung, self.rail, self.back, self.ladder_end - OWN_LOOP_RISE)
                continue
            y += room.above
            self.ladder.rung(rung, self.rail, self.back, y)
            y += room.below

    def _rails(self, power: Power) -> None:
        first = (
            ZONES_TOP
            + HEADING
            + self.air * RUNG_SHARE
            + self.ladder.room(self.drawing.ladder[0].body).above
        )
        canvas = self.canvas
        if self.drawing.feed is None:
            plus, minus = power.fed["L~"], power.fed["N~"]
            names, strokes = ("L", "N"), (WIRES["L"], WIRES["N"])
        else:
            plus, minus = power.fed["+"], power.fed["-"]
            names, strokes = ("24 V", "0 V"), (INK, INK)
            element = self.drawing.feed.body.items[0]
            part = self.drawing.part(getattr(element, "part", ""))
            x = (plus[0] + self.rail) / 2
            symbols.fuse(canvas, x, plus[1])
            canvas.words(x, plus[1] - 10, part.id, anchor="middle", bold=True)
        canvas.line(plus, (self.rail, plus[1]), (self.rail, first), stroke=strokes[0])
        canvas.line(minus, (self.back, minus[1]), (self.back, first), stroke=strokes[1])
        canvas.words(self.rail - 6, first + 4, names[0], anchor="end", bold=True)
        canvas.words(self.back - 6, minus[1] - 5, names[1], anchor="end", bold=True)
        if self.drawing.feed is not None:
            symbols.earth_mark(canvas, self.rail + 60, minus[1])
            canvas.words(self.rail + 74, minus[1] + 12, "PE", bold=True)
            canvas.dot(self.rail, plus[1])
            canvas.line((self.rail, plus[1]), (self.rail, self.logic.top))

    # ---------------------------------------------------------------------------------------- notes

    def _notes(self) -> list[tuple[str, list[str]]]:
        return [
            (str(place), wrapped(note, NOTE_W - 16))
            for place, note in enumerate(self.drawing.notes[self.language], start=1)
        ]

    def _notes_height(self) -> float:
        columns = _balanced(self._notes(), NOTE_COLUMNS)
        return 20 + max(sum(LEADING * len(lines) + 2 for _, lines in column) for column in columns)

    def _foot(self, top: float) -> None:
        x = MARGIN
        for column in _balanced(self._notes(), NOTE_COLUMNS):
            y = top + 12
            for number, lines in column:
                self.canvas.words(x, y, number, bold=True)
                self.canvas.lines(x + 16, y, lines, LEADING)
                y += LEADING * len(lines) + 2
            self._fits(y)
            x += NOTE_W + COLUMN_GAP

    def _fits(self, y: float) -> None:
        if y - LEADING > self.high - 6:
            raise SourceError(
                f"{self.drawing.name} ({self.language}) is {y - self.high:.0f} units too high for A4"
            )


def _balanced(
    notes: list[tuple[str, list[str]]], columns: int
) -> Iterator[list[tuple[str, list[str]]]]:
    """The notes in `columns` columns of about equal height, in order."""
    total = sum(len(lines) for _, lines in notes)
    column: list[tuple[str, list[str]]] = []
    so_far = done = 0
    for entry in notes:
        column.append(entry)
        so_far += len(entry[1])
        if so_far >= total * (done + 1) / columns and done < columns - 1:
            yield column
            column, done = [], done + 1
    yield column


def _hangs(rung: Rung) -> bool:
    """Between two rails; else it is a loop of the machine's own."""
    return ":" not in rung.left
