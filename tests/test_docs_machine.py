"""What the pages about the machine claim is compared with code, drawings and units, in both languages."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from types import FrameType
from typing import Any

import pytest

from interlock.config import KEYS
from interlock.config.node import HANG_MS
from interlock.core import outputs
from interlock.core.effects import Colour, Message, Panel, Pattern
from interlock.core.events import RemoteInterlockReported, SnapshotActivated
from interlock.core.interlocks import REMOTE_FRESH_MS
from interlock.core.model import Demands, Ending, Fault, Reason
from interlock.core.sensing import BOUNCE_MS
from interlock.hub.models import AlarmKind
from interlock.node import words
from interlock.node.doctor_pi import WATCHDOG_S_MAX
from interlock.node.loop import TICK_US
from interlock.protocol.records import RecordType
from tests.core.rig import CACHE, Rig
from tests.core.test_outputs import COOLED, SITUATIONS
from tests.drawings.__main__ import pages
from tests.drawings.pins import node_document
from tests.drawings.screen_words import screen_words
from tests.drawings.sheet import SAYS
from tests.drawings.source import Drawing, all_drawings
from tests.drawings.text import LANGUAGES
from tests.tidy import REPOSITORY

pytestmark = pytest.mark.fast

DOCS = REPOSITORY / "docs"
NAMES = (
    "bill-of-materials",
    "commissioning-sheet",
    "faults",
    "what-opens-the-relay",
    "wiring",
)
SAFETY = {
    "en": """Interlock is not a safety device. It decides who may use a machine and meters the use. It has no
    Performance Level and replaces neither the emergency stop, nor guards, nor the no-volt release, nor lock-out for
    maintenance. Wiring rule: the total failure of the Pi, ON or OFF, leaves every one of those working. The badge
    only enables; the machine moves after a separate act on its own start control. The emergency stop is hard-wired
    in the contactor coil; software only reads and reports it. An interlock input through software is a
    convenience, not a guard.""",
    "fr": """Interlock n'est pas un dispositif de sécurité. Il décide qui peut utiliser une machine et compte
    l'utilisation. Il n'a aucun niveau de performance (PL) et ne remplace ni l'arrêt d'urgence, ni les protecteurs,
    ni le dispositif à manque de tension, ni la consignation pour maintenance. Règle de câblage : la panne totale du
    Pi, MARCHE ou ARRÊT, laisse chacun d'eux en état de fonctionner. Le badge ne fait qu'autoriser ; la machine
    démarre par un second geste, sur sa propre commande de marche. L'arrêt d'urgence est câblé dans le circuit de la
    bobine du contacteur ; le logiciel ne fait que le lire et le signaler. Une entrée de verrouillage lue par
    logiciel est un confort, pas une protection.""",
}
"""2-machine.md, "What it may claim"; whoever changes it changes it everywhere."""

LOOKS: Mapping[str, Mapping[str, Colour | Pattern]] = {
    "en": {
        **{colour.value: colour for colour in Colour},
        "steady": Pattern.STEADY,
        "slow blink": Pattern.SLOW_BLINK,
        "fast blink": Pattern.FAST_BLINK,
        "double flash": Pattern.DOUBLE_BLINK,
        "–": Pattern.OFF,
        "one beep": Pattern.ONE_BEEP,
        "two beeps": Pattern.TWO_BEEPS,
        "a beep a second": Pattern.WARNING_BEEPS,
    },
    "fr": {
        "blanc": Colour.WHITE,
        "vert": Colour.GREEN,
        "bleu": Colour.BLUE,
        "jaune": Colour.YELLOW,
        "rouge": Colour.RED,
        "fixe": Pattern.STEADY,
        "clignotement lent": Pattern.SLOW_BLINK,
        "clignotement rapide": Pattern.FAST_BLINK,
        "double éclat": Pattern.DOUBLE_BLINK,
        "–": Pattern.OFF,
        "un bip": Pattern.ONE_BEEP,
        "deux bips": Pattern.TWO_BEEPS,
        "un bip par seconde": Pattern.WARNING_BEEPS,
    },
}
Look = tuple[Message, Colour, Pattern, Pattern]

FIGURE = re.compile(r"(\d+) (ms|s) \(`([\w.]+)`\)")
"""A number, its unit, and the name under which code, unit or drawing knows it."""

STAFF_ACTS = ("Call the staff", "Check network", "Waiting for hub", "Release it first", "Close it")
"""A screen that says so sends somebody to the technician's page."""


def page(name: str, language: str) -> str:
    ending = "" if language == "en" else f".{language}"
    return (DOCS / f"{name}{ending}.md").read_text(encoding="utf-8")


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table below `heading`, its own heading and rule left out."""
    below = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in below.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def code(cell: str) -> str:
    return cell.strip("`")


# ----------------------------------------------------------------------------------- all the pages


def quoted(text: str) -> str:
    """What stands between a page's title and everything else, as one line without marks."""
    title, _, rest = text.partition("\n\n")
    assert title.startswith("# ")
    block = rest.split("\n\n", 1)[0]
    lines = [line.removeprefix("> ") for line in block.splitlines() if line.startswith("> ")]
    return " ".join(lines).replace("*", "")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_the_safety_wording_stands_first_word_for_word(name: str, language: str) -> None:
    assert quoted(page(name, language)) == " ".join(SAFETY[language].split())


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_changed_word_of_the_safety_wording_is_noticed(language: str) -> None:
    text = page("faults", language)
    assert quoted(text.replace("Pi", "PC", 1)) != quoted(text)
    assert quoted(text.replace("\n\n> ", "\n\nHello.\n\n> ", 1)) == ""
    first = SAFETY[language].split(".")[0]
    assert SAYS[language]["not_safe"].startswith(first), "the drawings say it in the same words"


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_say_the_same_things(name: str) -> None:
    english, french = page(name, "en"), page(name, "fr")
    for mark in (r"^## ", r"^\|", r"^- \[ \]", r"____", r"^<!-- ", r"^- "):
        counts = [len(re.findall(mark, text, re.MULTILINE)) for text in (english, french)]
        assert counts[0] == counts[1], mark
    assert sorted(re.findall(r"`[^`\n]+`", english)) == sorted(re.findall(r"`[^`\n]+`", french))
    figures = [re.findall(r"\b\d{2,}\b", text.replace(",", ".")) for text in (english, french)]
    assert sorted(figures[0]) == sorted(figures[1])


# -------------------------------------------------------------------------------------- fault table

HEADS = {
    "en": (
        "Lamp and screen",
        "Latched faults",
        "Refusals that a technician meets",
        "Alarms at the hub",
    ),
    "fr": (
        "Voyant et écran",
        "Défauts mémorisés",
        "Refus que rencontre un technicien",
        "Alarmes du hub",
    ),
}


def look_of(panel: Panel) -> Look:
    return panel.message, panel.colour, panel.lamp, panel.buzzer


def open_elsewhere_while_running() -> Rig:
    rig = Rig(COOLED)
    rig.give(RemoteInterlockReported("chiller", True))
    rig.arrive()
    rig.sample(busy=True)
    rig.give(RemoteInterlockReported("chiller", False))
    rig.sample()
    return rig


def locked_out_by_the_hub() -> Rig:
    rig = Rig()
    rig.give(SnapshotActivated(CACHE, Demands(locked_out=True)))
    return rig


def looks_of_the_code() -> set[Look]:
    situations = [*SITUATIONS.values(), open_elsewhere_while_running, locked_out_by_the_hub]
    return {look_of(make().panel) for make in situations}


def looks_of_the_page(language: str) -> set[Look]:
    spoken = LOOKS[language]
    found = set()
    for row in rows(page("faults", language), HEADS[language][0]):
        colour, lamp = (spoken[word] for word in row[0].split(", "))
        buzzer = spoken[row[1]]
        assert isinstance(colour, Colour)
        assert isinstance(lamp, Pattern)
        assert isinstance(buzzer, Pattern)
        found.add((Message(code(row[2])), colour, lamp, buzzer))
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_colour_pattern_and_message_of_the_machine_is_in_the_fault_table(
    language: str,
) -> None:
    in_code, in_page = looks_of_the_code(), looks_of_the_page(language)
    assert in_code - in_page == set(), "what the machine shows and the page does not explain"
    assert in_page - in_code == set(), "what the page explains and the machine never shows"
    assert {look[0] for look in in_page} == set(Message)


def test_the_situations_reach_every_way_a_panel_is_made() -> None:
    """A new branch of core/outputs.py that no situation reaches could look like anything."""
    reached: set[int] = set()
    path = inspect.getsourcefile(outputs)

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename != path:
            return None
        reached.add(frame.f_lineno)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        looks_of_the_code()
    finally:
        sys.settrace(before)
    made = {
        node.lineno
        for node in ast.walk(ast.parse(inspect.getsource(outputs)))
        if isinstance(node, ast.Return) and "Panel(" in ast.unparse(node)
    }
    assert len(made) > 12
    assert made - reached == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_fault_table_shows_the_words_of_the_screen(language: str) -> None:
    text, heads = page("faults", language), HEADS[language]
    shown = {(code(row[2]), row[3]) for row in rows(text, heads[0])}
    assert shown == {
        (m.value, screen_words(msgid, language)) for m, msgid in words.MESSAGES.items()
    }
    faults = {code(row[0]): row[1] for row in rows(text, heads[1])}
    assert faults == {f.value: screen_words(words.FAULTS[f], language) for f in Fault}
    reasons = {code(row[0]): row[1] for row in rows(text, heads[2])}
    assert reasons == {
        name: screen_words(words.REASONS[Reason(name)], language) for name in reasons
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_that_calls_for_a_technician_is_explained(language: str) -> None:
    reasons = {code(row[0]) for row in rows(page("faults", language), HEADS[language][2])}
    asked = {
        r.value for r, text in words.REASONS.items() if text.split("\n")[1].startswith(STAFF_ACTS)
    }
    assert len(asked) >= 7
    assert asked - reasons == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_alarm_of_the_hub_is_explained(language: str) -> None:
    alarms = [code(row[0]) for row in rows(page("faults", language), HEADS[language][3])]
    assert sorted(alarms) == sorted(kind.value for kind in AlarmKind)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_cell_of_the_fault_tables_is_empty(language: str) -> None:
    text = page("faults", language)
    for heading in HEADS[language]:
        assert [row for row in rows(text, heading) if not all(row)] == []


# ------------------------------------------------------------------------------ what opens the relay


def known_figures() -> dict[str, tuple[int, str]]:
    """Name → number and unit, from code, systemd's unit, drawings and the list of what to measure."""
    unit = (REPOSITORY / "systemd" / "interlock-node.service").read_text(encoding="utf-8")
    seconds = {
        key: int(value) for key, value in re.findall(r"^(\w+Sec)=(\d+)$", unit, re.MULTILINE)
    }
    asked = re.search(r"kill -9.*?≤ (\d+) ms", page("first-light", "en"))
    assert asked is not None
    least, most = hold_ms()
    figures = {
        "TICK_US": (TICK_US // 1_000, "ms"),
        "BOUNCE_MS": (BOUNCE_MS, "ms"),
        "HANG_MS": (HANG_MS, "ms"),
        "REMOTE_FRESH_MS": (REMOTE_FRESH_MS // 1_000, "s"),
        "WATCHDOG_S_MAX": (WATCHDOG_S_MAX, "s"),
        "WatchdogSec": (seconds["WatchdogSec"], "s"),
        "TimeoutAbortSec": (seconds["TimeoutAbortSec"], "s"),
        "S7": (int(asked[1]), "ms"),
        "hold_ms.least": (least, "ms"),
        "hold_ms.most": (most, "ms"),
    }
    for key in KEYS:
        if isinstance(key.default, int) and key.path.endswith(("_ms", "_s")):
            figures[key.path] = (key.default, key.path.rsplit("_", 1)[1])
    return figures


def hold_ms() -> tuple[int, int]:
    """How long the monostable holds, which every drawing that has one says alike."""
    holds = {part.hold_ms for drawing in all_drawings() for part in drawing.parts.values()} - {None}
    (held,) = holds
    assert held is not None
    return held


def wrong_figures(text: str) -> list[str]:
    """Figures that code does not know, or knows otherwise."""
    known = known_figures()
    return [
        f"{number} {unit} ({name})"
        for number, unit, name in FIGURE.findall(text)
        if known.get(name) != (int(number), unit)
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_figure_of_what_opens_the_relay_is_that_of_the_code(language: str) -> None:
    text = page("what-opens-the-relay", language)
    assert wrong_figures(text) == []
    named = FIGURE.findall(text)
    assert len(re.findall(r"\b\d+ (?:ms|s)\b", text)) == len(named), "a figure without its name"
    assert {name for _, _, name in named} >= known_figures().keys() & {
        *("TICK_US", "HANG_MS", "BOUNCE_MS", "REMOTE_FRESH_MS", "WATCHDOG_S_MAX", "WatchdogSec"),
        *("TimeoutAbortSec", "hold_ms.least", "hold_ms.most", "times.warning_s", "times.grace_s"),
        *("times.idle_timeout_s", "times.supervise_s", "times.close_time_ms", "times.open_time_ms"),
    }


def test_a_changed_figure_is_noticed() -> None:
    text = page("what-opens-the-relay", "en")
    for right, wrong in (
        ("240 ms (`HANG_MS`)", "250 ms (`HANG_MS`)"),
        ("2 s (`WatchdogSec`)", "3 s (`WatchdogSec`)"),
        ("60 s (`times.warning_s`)", "60 ms (`times.warning_s`)"),
        ("480 ms (`hold_ms.most`)", "480 ms (`hold_ms.least`)"),
    ):
        assert right in text
        assert len(wrong_figures(text.replace(right, wrong))) >= 1


def test_the_monostable_holds_longer_than_a_hang_and_shorter_than_the_watchdog() -> None:
    least, most = hold_ms()
    figures = known_figures()
    assert HANG_MS < least < most < figures["WatchdogSec"][0] * 1_000


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_way_a_session_ends_and_only_real_records_are_named(language: str) -> None:
    text = page("what-opens-the-relay", language)
    last_cells = [
        line.rstrip("|").rsplit("|", 1)[-1] for line in text.splitlines() if line[:1] == "|"
    ]
    recorded = {name for cell in last_cells for name in re.findall(r"`([a-z_]+)`", cell)}
    assert {ending.value for ending in Ending} - recorded == set()
    known = {*Ending, *RecordType, *Fault}
    assert recorded - {one.value for one in known} - {"estimated"} == set()


# --------------------------------------------------------------------------------- drawings and parts


def test_the_lists_of_the_pages_are_those_of_the_drawings_and_of_the_screen() -> None:
    made = pages()
    assert {path.name.split(".")[0] for path in made} == {"wiring", "faults"}
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, "run python -m tests.drawings"
    for language in LANGUAGES:
        listed = re.findall(r"^\| \*\*[A-Z]+\d", page("wiring", language), re.MULTILINE)
        assert len(listed) > 80


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("drawing", all_drawings(), ids=lambda drawing: drawing.name)
def test_every_drawing_is_shown_with_its_lists_and_what_it_adds(
    drawing: Drawing, language: str
) -> None:
    text = page("wiring", language)
    ending = "" if language == "en" else f".{language}"
    title = drawing.title[language]
    assert f"## {title}\n\n![{title}](wiring/{drawing.name}{ending}.svg)" in text
    assert f"<!-- parts: {drawing.name} -->" in text
    assert f"<!-- wires: {drawing.name} -->" in text
    section = text.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    shown = "\n".join(re.findall(r"```toml\n(.*?)```", section, re.DOTALL))
    assert sorted(added(drawing.adds)) == sorted(shown.split("\n")[:-1] if shown else [])
    protection = node_document(drawing)["machine"]["restart_protection"]
    assert f'`restart_protection = "{protection}"`' in section


def added(table: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The lines of TOML that a drawing's additions are."""
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    if plain:
        yield f"[{path}]"
    for key, value in plain.items():
        yield f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}"
    for key, value in table.items():
        if isinstance(value, dict):
            yield from added(value, f"{path}.{key}".lstrip("."))


INCLUDED = frozenset("A5 E1 F4 M1 M2 R1 R2 R3 S1 V1 V2 X1 X2 Z1".split())
"""The machine itself, and what costs cents or comes with another part."""
BILL_HEADS = {"en": "Parts", "fr": "Matériel"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_drawn_part_can_be_bought_from_the_bill(language: str) -> None:
    listed = {
        name
        for row in rows(page("bill-of-materials", language), BILL_HEADS[language])
        for name in row[0].split()
    }
    drawn = {name for drawing in all_drawings() for name in drawing.parts}
    assert drawn - INCLUDED - listed == set()
    assert {name for name in listed if re.fullmatch(r"[A-Z]+\d", name)} - drawn == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_totals_of_the_bill_are_its_sums_and_rise_with_the_level(language: str) -> None:
    table = rows(page("bill-of-materials", language), BILL_HEADS[language])
    end = next(i for i, row in enumerate(table) if row[1] == "**Total**")
    sums = []
    for column in (3, 4, 5):
        ranges = [re.findall(r"\d+", row[column]) for row in table[:end]]
        found = [tuple(map(int, bounds)) for bounds in ranges if bounds]
        assert all(low < high for low, high in found)
        total = (sum(low for low, _ in found), sum(high for _, high in found))
        assert re.findall(r"\d+", table[end][column]) == [str(bound) for bound in total]
        sums.append(total)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(sums))
    told_above = page("bill-of-materials", language).split("\n## ", 1)[0]
    assert [f"({low}–{high} €)" in told_above for low, high in sums] == [True] * 3


# ------------------------------------------------------------------------------- commissioning sheet

STEPS = (
    *("times.close_time_ms", "times.open_time_ms", "HANG_MS", "times.warning_s"),
    *("times.unexpected_start_ms", "times.inrush_ms", "times.pre_run_s", "times.run_on_s"),
    *("times.coast_down_s", "MACHINE_SWITCH_ON", "machine.restart_protection"),
)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_commissioning_sheet_asks_for_every_step_with_the_figures_of_the_code(
    language: str,
) -> None:
    text = page("commissioning-sheet", language)
    assert [step for step in STEPS if f"`{step}`" not in text] == []
    assert re.findall(r"^## (\w) · ", text, re.MULTILINE) == list("ABCDEFGHIJ")
    known = known_figures()
    figures = re.findall(r"(\d+) (ms|s), `([\w.]+)`", text)
    assert len(figures) >= 3
    assert [f for f in figures if known[f[2]] != (int(f[0]), f[1])] == []
    least, most = hold_ms()
    assert re.search(rf"\({least} (to|à) {most} ms", text)
