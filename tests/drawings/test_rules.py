"""The drawn circuits keep every electrical rule, and each planted wiring mistake is seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gpiozero.pins.pi import PiBoardInfo

from interlock.config.node import HANG_MS
from tests.drawings.netlist import netlist
from tests.drawings.pins import HEADER
from tests.drawings.rules import RULES, breaches
from tests.drawings.source import SOURCES, Drawing, SourceError, all_drawings, load, parse, rung

pytestmark = pytest.mark.fast

NAMES = ("laser", "no-volt-release", "printer", "small-tool")
COIL = "[ [ KA1:11-14 KA2:11-14 | S9:13-14 ] [ KM1:A1-A2 | V1:K-A ]"
PI_3_MODEL_B = 0xA02082


def planted(name: str, mistakes: dict[str, str]) -> Drawing:
    """The drawing with each text replaced; a text that is not there would prove nothing."""
    text = (SOURCES / f"{name}.toml").read_text(encoding="utf-8")
    for right, wrong in mistakes.items():
        assert right in text, right
        text = text.replace(right, wrong)
    return parse(name, text)


def test_there_are_four_drawings_and_each_keeps_every_rule() -> None:
    drawings = all_drawings()
    assert tuple(drawing.name for drawing in drawings) == NAMES
    assert {drawing.name: breaches(drawing) for drawing in drawings} == {name: [] for name in NAMES}


MISTAKES = [
    ("small-tool", "24V S0:11-12 [", "24V [", "KM1 is fed past the emergency stop"),
    (
        "small-tool",
        f"24V S0:11-12 {COIL}",
        "24V [ [ S0:11-12 KA1:11-14 KA2:11-14 | S9:13-14 ] [ KM1:A1-A2 | V1:K-A ]",
        "KM1 is fed past the emergency stop",
    ),
    (
        "printer",
        "S0:11-12 [ KA1:11-14 | S9:13-14 ]",
        "[ S0:11-12 KA1:11-14 | S9:13-14 ]",
        "KM1 is fed past the emergency stop",
    ),
    (
        "laser",
        "24V S0:11-12 [ [ KA1:11-14 KA2:11-14 | S9:13-14 ] [ KM1:A1-A2 | V1:K-A ] |",
        "24V [ S0:11-12 [ KA1:11-14 KA2:11-14 | S9:13-14 ] [ KM1:A1-A2 | V1:K-A ] |",
        "KM2 is fed past the emergency stop",
    ),
    ("small-tool", "S0:11-12", "S0:13-14", "S0:13-14 is normally open"),
    ("laser", "B2:21-22", "B2:23-24", "B2:23-24 is normally open"),
    ("laser", "B5:11-12", "B5:13-14", "B5:13-14 is normally open"),
    ("printer", "S2:11-12", "S2:13-14", "S2:13-14 is normally open"),
    ("small-tool", "KM1:21-22", "KM1:13-14", "not the normally closed one of KM1"),
    ("small-tool", "KM1:21-22", "KM2:21-22", "not the normally closed one of KM1"),
    ("small-tool", "[ KA1:11-14 KA2:11-14 |", "[ KA1:11-14 |", "KM1 stays in with KA2 open"),
    (
        "no-volt-release",
        "KA1:11-14 KA2:11-14",
        "[ KA1:11-14 | KA2:11-14 ]",
        "KM1 stays in with KA1 open",
    ),
    ("small-tool", "KA2:11-14 | S9:13-14", "[ KA2:11-14 | S9:13-14 ]", "bypass key does not"),
    (
        "printer",
        "S0:11-12 [ KA1:11-14 | S9:13-14 ]",
        "S0:11-12 [ KA1:11-12 | S9:13-14 ]",
        "KM1 is fed with every contact at rest",
    ),
    ("laser", "KA3:11-14 [ KM2", "[ KA3:11-14 | S2:13-14 ] [ KM2", "KM2 stays in with KA3"),
    ("small-tool", '"GPIO17 R1:1-2 0V", ', "", "relay.pin: GPIO17 has no pull-down"),
    ("laser", "GPIO23 R3:1-2 0V", "GPIO23 R3:1-2 24V", "GPIO23 has no pull-down"),
    ("small-tool", "[ KM1:A1-A2 | V1:K-A ]", "KM1:A1-A2", "KM1 has no diode or RC"),
    ("printer", "[ KM1:A1-A2 | Z1:1-2 ]", "KM1:A1-A2", "KM1 has no diode or RC"),
    ("small-tool", "V1:K-A", "V1:A-K", "V1 is the wrong way round"),
    ("printer", "0V S2:11-12", "N~ S2:11-12", "meets GPIO5"),
    ("small-tool", "poles KM1", "poles KM1 on L", "with KM1 open M1 still has N"),
    ("laser", '"poles KM1",', '"poles KM2",', "with KM1 open E1 still has L"),
    ("small-tool", "poles KM1", "poles KM1 on L N PE", "KM1 lies in the protective earth"),
    ("small-tool", "G1+ F3:1-2 24V", "S1:14 F3:1-2 24V", "net G1+ has only G1:+"),
    ("small-tool", "KM2:A1-A2", "KM1:A1-A2", "KM1:A1 "),
    ("small-tool", "S0:21-22", "S0:11-12", "S0:11 is used twice"),
    ("laser", " F4 G1", " F4 G1 B1", "B1 is there twice"),
    ("small-tool", "GPIO13", "GPIO18", "inputs.mirror_contact.pin is drawn on GPIO18"),
    ("small-tool", "GPIO17", "GPIO4", "relay.pin is on GPIO4, which is pulled up"),
    ("small-tool", "GPIO19", "GPIO26", "GPIO26 carries inputs"),
    ("laser", "B3:13-14 A2:I4-O4 GPIO18", "B3:13-14 A2:I4-O4 GPIO7", "drawn on GPIO7"),
    ("laser", '    { key = "interlocks.Alarme feu.pin"', "#", "Alarme feu.pin is in the file"),
    ("no-volt-release", 'normally = "closed"', 'normally = "open"', "the file says open"),
    ("laser", "pin = 24\n", "pin = 23\n", "the node refuses the file"),
    ("small-tool", "A3:IN-OUT KA2:IN", "KA2:IN", "no monostable between GPIO27"),
]


@pytest.mark.parametrize(("name", "right", "wrong", "says"), MISTAKES)
def test_a_planted_wiring_mistake_is_seen(name: str, right: str, wrong: str, says: str) -> None:
    try:
        found = breaches(planted(name, {right: wrong}))
    except SourceError as error:
        found = [str(error)]
    assert any(says in text for text in found), found


@pytest.mark.parametrize(
    ("hold_ms", "says"),
    [
        ((HANG_MS, 480), f"may let go after {HANG_MS} ms"),
        ((300, 2_000), "as long as the watchdog takes"),
        ((480, 300), "may hold for 300 ms"),
        (None, "may let go after 0 ms"),
    ],
)
def test_a_monostable_that_holds_too_short_or_too_long_is_seen(
    hold_ms: tuple[int, int] | None, says: str
) -> None:
    drawing = load(SOURCES / "laser.toml")
    parts = {**drawing.parts, "A3": replace(drawing.parts["A3"], hold_ms=hold_ms)}
    assert any(says in text for text in breaches(replace(drawing, parts=parts)))


def test_a_reader_on_5_volts_and_a_swapped_spi_wire_are_seen() -> None:
    drawing = load(SOURCES / "printer.toml")
    wires = {**drawing.parts["BR1"].wires, "3.3V": "5V", "MISO": "GPIO10", "MOSI": "GPIO9"}
    parts = {**drawing.parts, "BR1": replace(drawing.parts["BR1"], wires=wires)}
    found = breaches(replace(drawing, parts=parts))
    assert {"BR1 is fed with 5V: 5 V destroys an RC522", "BR1:MISO belongs on GPIO9"} <= set(found)


def test_an_unearthed_supply_and_a_forgotten_part_are_seen() -> None:
    drawing = load(SOURCES / "small-tool.toml")
    parts = dict(drawing.parts)
    parts["S8"] = replace(parts["S9"], id="S8")
    parts["M3"] = replace(parts["M1"], id="M3")
    found = breaches(replace(drawing, parts=parts))
    assert "S8 stands among the parts and is wired nowhere" in found
    assert "M3 is not earthed" in found


def test_what_is_misspelt_in_a_source_is_an_error() -> None:
    for wrong in ("24V", "24V [ KA1:11-14 0V", "24V KA1-11 0V", "24V KA1:11-14 ] 0V"):
        with pytest.raises(SourceError):
            rung(wrong)
    for right, mistake in (
        ("modules = ", "moduls = "),
        ('kind = "motor"', 'kind = "moter"'),
        ('fr = "moteur"', ""),
        ("KM1:A1-A2", "KM7:A1-A2"),
        ("KM1:21-22", "KM1:21-25"),
    ):
        with pytest.raises((SourceError, KeyError)):
            netlist(planted("small-tool", {right: mistake}))


def test_the_pins_of_the_header_are_those_of_a_raspberry_pi() -> None:
    header = PiBoardInfo.from_revision(PI_3_MODEL_B).headers["J8"]
    told = {number: pin.name for number, pin in header.pins.items()}
    names = {"3V3": "3V3", "5V": "5V", "0V": "GND"}
    drawn = {pin: names.get(net, net) for net, pins in HEADER.items() for pin in pins}
    assert drawn == told


def test_every_rule_says_why_it_is_one_and_sees_a_mistake_that_was_planted() -> None:
    assert [rule.__name__ for rule in RULES if not rule.__doc__] == []
    unused = set(RULES)
    for name, right, wrong, _ in MISTAKES:
        try:
            made = netlist(planted(name, {right: wrong}))
        except SourceError:
            continue
        unused = {rule for rule in unused if not list(rule(made))}
    assert {rule.__name__ for rule in unused} == set()
