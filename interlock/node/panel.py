"""A Panel and an instant in; words for the screen, lamp colours and the buzzer's level out: pure.

Colour, pattern and text say the same thing three times, so that somebody who cannot see one of
them understands the machine. The smallest screen we drive has two lines of 16 characters (HD44780);
one of 20 or 21 columns has four lines, and says more.
"""

from __future__ import annotations

import functools
import gettext
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.core.effects import Colour, Message, Panel, Pattern
from interlock.core.model import Reason
from interlock.node import words

LINES = 2
COLUMNS = 16
LONG_LINES = 4
LONG_COLUMNS = 21
LANGUAGES = ("en", "fr")
LOCALE_DIR = Path(__file__).resolve().parent.parent / "locale"
DOMAIN = "interlock"

Light = tuple[bool, bool, bool]
"""Red, green, blue."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """On and off in turn, beginning with on, in milliseconds; over after one turn unless it
    repeats.
    """

    turns_ms: tuple[int, ...]
    repeats: bool = True

    def is_on(self, passed_ms: int) -> bool:
        """The level `passed_ms` after its beginning."""
        whole_ms = sum(self.turns_ms)
        if passed_ms >= whole_ms and not self.repeats:
            return False
        left_ms = max(0, passed_ms) % whole_ms
        for index, turn_ms in enumerate(self.turns_ms):
            if left_ms < turn_ms:
                return index % 2 == 0
            left_ms -= turn_ms
        return False


# No rhythm flashes more than three times a second (WCAG 2.3.1: photosensitive seizures).
RHYTHMS = {
    Pattern.OFF: Rhythm((0, 1_000)),
    Pattern.STEADY: Rhythm((1_000,)),
    Pattern.SLOW_BLINK: Rhythm((1_000, 1_000)),
    Pattern.FAST_BLINK: Rhythm((250, 250)),
    Pattern.DOUBLE_BLINK: Rhythm((200, 200, 200, 1_000)),
    Pattern.ONE_BEEP: Rhythm((150, 1), repeats=False),
    Pattern.TWO_BEEPS: Rhythm((120, 120, 120), repeats=False),
    Pattern.WARNING_BEEPS: Rhythm((100, 900)),
}

LIGHTS: dict[Colour, Light] = {
    Colour.OFF: (False, False, False),
    Colour.WHITE: (True, True, True),
    Colour.GREEN: (False, True, False),
    Colour.BLUE: (False, False, True),
    Colour.YELLOW: (True, True, False),
    Colour.RED: (True, False, False),
}


def lamp(panel: Panel, now_ms: int) -> Light:
    """What the three colours of the lamp do at `now_ms`."""
    if RHYTHMS[panel.lamp].is_on(now_ms - panel.since_ms):
        return LIGHTS[panel.colour]
    return LIGHTS[Colour.OFF]


def buzzer(panel: Panel, now_ms: int) -> bool:
    """Whether the buzzer sounds at `now_ms`."""
    return RHYTHMS[panel.buzzer].is_on(now_ms - panel.since_ms)


def screen(
    panel: Panel, language: str, columns: int = COLUMNS, lines: int = LINES
) -> tuple[str, ...]:
    """As many `lines`, none wider than `columns`, in the badge owner's language or else in `language`.

    A screen of more than 16 columns and two lines says why and what to do, too.
    """
    translate = _translation(panel.language if panel.language in LANGUAGES else language).gettext
    values = {
        "name": " ".join((panel.name or "").split()),
        "detail": " ".join((panel.detail or "").split()),
        "seconds": panel.seconds or 0,
        "time": clock_face(panel.seconds or 0),
        "why": "" if panel.reason is None else _first_line(translate(_reason(panel.reason))),
    }
    if columns == COLUMNS or lines == LINES:
        said = [line % values for line in translate(_short(panel)).split("\n")]
    else:
        said = [
            line
            for sentence in translate(_long(panel)).split("\n")
            for line in _wrapped(sentence % values, columns)
        ]
    padded = [*said, *[""] * lines]
    return tuple(line[:columns].rstrip() for line in padded[:lines])


def to_wire(panel: Panel, language: str, now_ms: int) -> dict[str, Any]:
    """The `panel` answer of the control socket: what lamp, buzzer and either screen show now."""
    red, green, blue = lamp(panel, now_ms)
    return {
        "colour": panel.colour.value,
        "lamp": panel.lamp.value,
        "light": {"red": red, "green": green, "blue": blue},
        "buzzer": panel.buzzer.value,
        "sounding": buzzer(panel, now_ms),
        "message": panel.message.value,
        "reason": None if panel.reason is None else panel.reason.value,
        "fault": None if panel.fault is None else panel.fault.value,
        "lines": list(screen(panel, language)),
        "long_lines": list(screen(panel, language, LONG_COLUMNS, LONG_LINES)),
    }


def clock_face(seconds: int) -> str:
    """`seconds` as h:mm:ss."""
    return f"{seconds // 3_600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _short(panel: Panel) -> str:
    """The msgid of two lines."""
    if panel.message is Message.REFUSED and panel.reason is not None:
        detailed = words.DETAILED if panel.detail else {}
        return detailed.get(panel.reason, words.REASONS[panel.reason])
    if panel.message is Message.FAULT and panel.fault is not None:
        return words.FAULTS[panel.fault]
    if panel.message is Message.IN_USE and panel.name:
        return words.IN_USE_BY_NAME
    return words.MESSAGES[panel.message]


def _long(panel: Panel) -> str:
    """The msgid that is to be wrapped."""
    if panel.message is Message.REFUSED and panel.reason is not None:
        detailed = words.LONG_DETAILED if panel.detail else {}
        return detailed.get(panel.reason, _reason(panel.reason))
    if panel.message is Message.FAULT and panel.fault is not None:
        return words.LONG_FAULTS[panel.fault]
    if panel.message is Message.IN_USE and panel.name:
        return words.LONG_IN_USE_BY_NAME
    return words.LONG_MESSAGES[panel.message]


def _reason(reason: Reason) -> str:
    return words.LONG_REASONS[reason]


def _first_line(text: str) -> str:
    return text.split("\n")[0]


NO_BREAK = "\N{NO-BREAK SPACE}"

GLUED = re.compile(r"(?<=\d) (?=s\b)| (?=[?!:;])")
"""A number keeps its unit, and a French sign its word."""


def _wrapped(sentence: str, columns: int) -> list[str]:
    """The lines of `sentence`; an empty one has one line, so that what follows keeps its place."""
    lines = textwrap.wrap(GLUED.sub(NO_BREAK, sentence), columns)
    return [line.replace(NO_BREAK, " ") for line in lines] or [""]


@functools.cache
def _translation(language: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, LOCALE_DIR, languages=[language], fallback=True)
