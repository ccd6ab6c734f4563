"""A screen shows the panel's text, letter by letter; a dead or slow one is said once and delays nobody."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from interlock.clock import SystemClock
from interlock.config import ScreenConfig
from interlock.core.effects import Colour, Message, Panel, Pattern
from interlock.core.model import Reason
from interlock.errors import DeviceError
from interlock.node import displays
from interlock.node.displays import Display, display_of, drawn, plain
from interlock.node.panel import LANGUAGES, screen
from interlock.node.screen_worker import RENEW_MS, ScreenWorker
from interlock.sim.clocks import VirtualClock
from tests.node.screen_chips import Hd44780Chip, Ssd1306Chip
from tests.node.test_panel import every_panel
from tests.waiting import wait_until

# luma 2.6 asks Pillow for what Pillow 14 will no longer have; pyproject.toml keeps Pillow below.
pytestmark = [pytest.mark.fast, pytest.mark.filterwarnings("ignore:Image.Image.getdata")]

OLED = ScreenConfig("oled", 1, 0x3C, 21, 4)
LCD = ScreenConfig("lcd", 1, 0x27, 16, 2)
LARGE_LCD = ScreenConfig("lcd", 1, 0x27, 20, 4)


def rows_of(lines: Sequence[str]) -> list[list[bool]]:
    """The dots of the picture that these lines are."""
    picture = drawn(lines)
    return [[bool(picture.getpixel((x, y))) for x in range(128)] for y in range(64)]


def letters_of(chip: Hd44780Chip, display: Any) -> list[str]:
    """What a person reads on an LCD: letters of the A00 ROM, and our own by their dots (#: none)."""
    font = display._device.font
    own: dict[tuple[int, ...], str] = {}
    for letter in map(chr, range(0xC0, 0x100)):
        if font.getlength(letter):
            dots = list(font.getmask(letter, "1"))
            rows = [dots[at : at + 5] for at in range(0, 40, 5)]
            own[tuple(sum(bool(dot) << 4 - i for i, dot in enumerate(row)) for row in rows)] = (
                letter
            )
    return [
        "".join(own.get(tuple(chip.letter(code)), "#") if code < 8 else chr(code) for code in line)
        for line in chip.codes()
    ]


# --------------------------------------------------------------------------------- the two kinds


def test_an_oled_shows_exactly_the_picture_of_its_lines() -> None:
    chip = Ssd1306Chip()
    display = display_of(OLED, chip)
    display.wake()
    assert not any(map(any, chip.rows())), "it wakes dark"
    for lines in (
        ("Hors service", "Ne pas utiliser :", "seul un", "technicien"),
        ("A", "", "", ""),
    ):
        display.show(lines)
        assert chip.rows() == rows_of(lines)
        assert chip.is_on
    display.close()
    display.close()
    assert not chip.is_on


def test_21_letters_and_four_lines_fill_an_oled_and_none_is_cut() -> None:
    full = rows_of(["M" * 21] * 4)
    fewer = rows_of(["M" * 20] * 4)
    assert full != fewer
    assert not any(row[127] for row in full)
    assert not any(full[63])
    # The tallest and the lowest letters of each line stay within it.
    for line in range(4):
        lines = [""] * 4
        lines[line] = "ÀÉgjpqyç|"
        lit = [number for number, row in enumerate(rows_of(lines)) if any(row)]
        assert line * 16 <= min(lit)
        assert max(lit) < line * 16 + 16


@pytest.mark.parametrize("kind", [LCD, LARGE_LCD], ids=["16x2", "20x4"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_an_lcd_shows_every_text_with_its_accents(kind: ScreenConfig, language: str) -> None:
    chip = Hd44780Chip(kind.columns, kind.lines)
    display = display_of(kind, chip)
    display.wake()
    assert (chip.is_on, chip.backlight) == (True, True)
    texts = {screen(panel, language, kind.columns, kind.lines) for panel in every_panel()}
    for lines in sorted(texts):
        display.show(lines)
        assert letters_of(chip, display) == [line.ljust(kind.columns) for line in lines]


def test_letters_that_no_screen_has_lose_their_accents_only() -> None:
    assert plain("Œuf d’Łukasz – ñ", str.isascii) == "OEuf d'Lukasz - n"
    assert plain("日本", str.isascii) == "??"
    chip = Hd44780Chip()
    display = display_of(LCD, chip)
    display.wake()
    display.show(("Łukasz Dvořák", "日本"))
    assert letters_of(chip, display) == ["Lukasz Dvorák   ", "??              "]


def test_an_lcd_that_lost_half_a_byte_is_well_again_once_woken() -> None:
    chip = Hd44780Chip()
    display = display_of(LCD, chip)
    display.wake()
    chip.garble()
    display.show(("Ready", "Present badge"))
    assert letters_of(chip, display) != ["Ready           ", "Present badge   "]
    display.wake()
    display.show(("Ready", "Present badge"))
    assert letters_of(chip, display) == ["Ready           ", "Present badge   "]


@pytest.mark.parametrize("kind", [OLED, LCD], ids=["oled", "lcd"])
def test_a_screen_that_is_not_there_or_comes_loose_is_a_device_error(kind: ScreenConfig) -> None:
    chip: Any = Ssd1306Chip() if kind is OLED else Hd44780Chip()
    display = display_of(kind, chip)
    chip.plugged = False
    with pytest.raises(DeviceError, match="does not answer"):
        display.wake()
    chip.plugged = True
    display.wake()
    chip.plugged = False
    with pytest.raises(DeviceError, match=f"at 0x{kind.i2c_address:02X}"):
        display.show(("something new", ""))
    display.close()


@pytest.mark.parametrize("kind", [OLED, LCD], ids=["oled", "lcd"])
def test_a_pi_without_the_bus_is_a_device_error(kind: ScreenConfig) -> None:
    with pytest.raises(DeviceError):
        display_of(ScreenConfig(kind.kind, 31, kind.i2c_address, kind.columns, kind.lines)).wake()


def test_luma_opens_the_pis_bus_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    chip = Ssd1306Chip()
    monkeypatch.setattr("smbus2.SMBus", lambda port: chip if port == 1 else None)
    display = display_of(OLED)
    display.wake()
    display.show(("Hello", "", "", ""))
    assert chip.rows() == rows_of(("Hello", "", "", ""))
    display.close()


def test_a_screen_that_is_woken_often_leaves_no_devices_behind() -> None:
    import atexit

    chip = Hd44780Chip()
    display: Any = display_of(LCD, chip)
    display.wake()
    device, hooks = display._device, atexit._ncallbacks()
    chip.plugged = False
    for _ in range(3):
        with pytest.raises(DeviceError):
            display.wake()
    assert atexit._ncallbacks() == hooks, "a missing screen costs nothing"
    chip.plugged = True
    display.wake()
    assert display._device is device


def test_without_its_library_a_screen_is_said_to_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "luma.oled.device", None)
    with pytest.raises(DeviceError, match="apt install"):
        display_of(OLED)


# ------------------------------------------------------------------------------------- the worker


def panel(message: Message = Message.READY, **facts: Any) -> Panel:
    return Panel(Colour.WHITE, Pattern.STEADY, Pattern.OFF, message, **facts)


class Screen:
    """A display that writes down what it is told and dies when asked to."""

    def __init__(self) -> None:
        self.history: list[object] = []
        self.dead = False

    def wake(self) -> None:
        self._tell("wake")

    def show(self, lines: Sequence[str]) -> None:
        self._tell(tuple(lines))

    def close(self) -> None:
        self.history.append("close")

    def _tell(self, what: object) -> None:
        if self.dead:
            raise DeviceError("the screen does not answer")
        self.history.append(what)


class Bench:
    """A worker, its screen and the panel in front of it, in virtual time."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.screen = Screen()
        self.panel = panel()
        self.worker = ScreenWorker(LCD, "en", lambda: self.panel, self.clock, lambda _: self.screen)
        self.worker._display = self.screen

    def turn(self, times: int = 1) -> list[object]:
        """What the screen was told meanwhile."""
        before = len(self.screen.history)
        for _ in range(times):
            self.worker.turn()
        return self.screen.history[before:]


READY = ("Ready", "Present badge")


def test_the_screen_is_told_only_what_changed() -> None:
    bench = Bench()
    assert bench.turn(5) == ["wake", READY]
    bench.panel = panel(Message.REFUSED, reason=Reason.NOT_TRAINED, language="fr")
    assert bench.turn(5) == [("Il vous faut", "une habilitation")]
    bench.panel = panel(since_ms=5)
    assert bench.turn(5) == [READY]


def test_a_screen_that_comes_loose_is_said_once_and_shows_the_latest_text_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.turn()
    bench.screen.dead = True
    with caplog.at_level(logging.INFO):
        for seconds in range(3):
            bench.panel = panel(Message.IN_USE, seconds=seconds)
            assert bench.turn() == []
        assert "does not answer" in (bench.worker.trouble or "")
        bench.screen.dead = False
        assert bench.turn(2) == ["wake", ("In use", "0:00:02")]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert bench.worker.trouble is None


def test_a_screen_that_may_be_garbled_is_set_up_anew_now_and_then() -> None:
    bench = Bench()
    bench.turn()
    bench.clock.advance_us((RENEW_MS - 1) * 1_000)
    assert bench.turn() == []
    bench.clock.advance_us(1_000)
    assert bench.turn(3) == ["wake", READY]


def test_a_slow_screen_is_shown_the_latest_text_and_nobody_waits_for_it() -> None:
    class Slow(Screen):
        """A screen that takes as long as it is held."""

        def __init__(self) -> None:
            super().__init__()
            self.writing, self.go_on = threading.Event(), threading.Event()

        def show(self, lines: Sequence[str]) -> None:
            self.writing.set()
            self.go_on.wait(60)
            super().show(lines)

    slow, shown = Slow(), [panel()]
    worker = ScreenWorker(LCD, "en", lambda: shown[0], SystemClock(), lambda _: slow)
    worker.start()
    assert slow.writing.wait(60)
    for seconds in range(100):
        shown[0] = panel(Message.IN_USE, seconds=seconds)
    before_ms = SystemClock().boot_ms()
    worker.stop()
    assert SystemClock().boot_ms() - before_ms < 20_000, "the end waited for the screen"
    slow.go_on.set()
    wait_until(lambda: slow.history[-1:] == ["close"])
    assert slow.history == ["wake", READY, "close"]


def test_a_running_worker_follows_the_panel_and_goes_dark_at_the_end() -> None:
    chip, shown = Ssd1306Chip(), [panel()]
    make: Callable[[ScreenConfig], Display] = lambda kind: display_of(kind, chip)  # noqa: E731
    worker = ScreenWorker(OLED, "fr", lambda: shown[0], SystemClock(), make)
    worker.start()
    wait_until(lambda: chip.rows() == rows_of(screen(shown[0], "fr", 21, 4)))
    shown[0] = panel(Message.EMERGENCY_STOP)
    wait_until(lambda: chip.rows() == rows_of(screen(shown[0], "fr", 21, 4)))
    worker.stop()
    assert not chip.is_on


def test_a_screen_without_its_library_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def missing(_: ScreenConfig) -> Display:
        raise DeviceError("luma is not installed")

    worker = ScreenWorker(LCD, "en", panel, SystemClock(), missing)
    with caplog.at_level(logging.INFO):
        worker.start()
    worker.turn()
    worker.stop()
    assert "luma is not installed" in (worker.trouble or "")
    assert len(caplog.records) == 1


def test_the_font_of_the_oled_is_the_same_on_every_computer() -> None:
    """Pictures in docs/ are compared dot by dot: another font must not slip in."""
    lit = sum(map(sum, rows_of(("AÀéç", "0123456789", "", ""))))
    assert lit == 314
    assert displays.LETTER_SIZE == (6, 11)
