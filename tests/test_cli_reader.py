"""`interlock reader test`: what a technician reads while badges come and go, and how it ends."""

from __future__ import annotations

import gettext
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from interlock import cli
from interlock.cli.reader import LOCALE_DIR, Watch, short
from interlock.cli.reader_words import WHEN_EMPTY, WHEN_SILENT
from interlock.readers.opening import KINDS, NamedReader
from interlock.readers.pn532 import Pn532Reader
from interlock.readers.usb_keyboard import KeysFile, UsbKeyboardReader
from interlock.sim.clocks import US_PER_S, VirtualClock
from interlock.sim.keyboard import Wedge
from interlock.sim.pn532_chip import Pn532Chip
from tests.readers.contract import FOUR, SEVEN, TEN, plain, speaking
from tests.readers.pn532_rig import InProcessWire, PtyChip
from tests.waiting import wait_until

OPENED = [
    "The reader answers: PN532 v1.6",
    "Lay badges on it, one after the other. Ctrl-C ends the test.",
]
SILENT = ["The reader does not answer. Check in this order:"] + [
    f"  {number}. {text}" for number, text in enumerate(WHEN_SILENT["pn532"], start=1)
]
NOT_SEEN = ["No badge was seen. Check in this order:"] + [
    f"  {number}. {text}" for number, text in enumerate(WHEN_EMPTY["pn532"], start=1)
]


class Hands(VirtualClock):
    """A clock whose passing makes hands move: `at` says what they do after so many seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._deeds: list[tuple[int, Callable[[], object]]] = []

    def at(self, second: float, deed: Callable[[], object]) -> None:
        self._deeds.append((round(second * US_PER_S), deed))

    def advance_us(self, by_us: int) -> None:
        super().advance_us(by_us)
        due = [deed for at_us, deed in self._deeds if at_us <= self.now_us()]
        self._deeds = [(at_us, deed) for at_us, deed in self._deeds if at_us > self.now_us()]
        for deed in due:
            deed()


class Bench:
    """A PN532 under virtual time, and what is said about it."""

    def __init__(self) -> None:
        self.clock = Hands()
        self.chip = Pn532Chip(self.clock.now_us)
        self.said: list[str] = []
        self.reader = Pn532Reader(lambda: InProcessWire(self.chip, self.clock), self.clock)

    def run(self, seconds: float) -> int:
        return watch(self.reader, "pn532", self.clock, self.said).run(seconds)


def watch(reader: NamedReader, kind: str, clock: VirtualClock, said: list[str]) -> Watch:
    return Watch(reader, kind, clock, said.append, lambda text: text)


@pytest.mark.fast
def test_badges_that_come_and_go_are_said_once_each_with_their_kind() -> None:
    bench = Bench()
    cards = [plain(FOUR), plain(SEVEN), speaking(TEN)]
    for number, card in enumerate(cards):
        bench.clock.at(1 + 2 * number, partial(bench.chip.place, card))
        bench.clock.at(2 + 2 * number, partial(bench.chip.remove, card))
    assert bench.run(8) == 0
    assert bench.said == [
        *OPENED,
        "A badge: DE…EF (4 bytes), a MIFARE Classic: it can be copied",
        "Gone.",
        "A badge: 04…66 (7 bytes), an NTAG 21x or Ultralight: it can be copied",
        "Gone.",
        "A badge: 04…99 (10 bytes), speaks ISO 14443-4 (DESFire, NTAG 424): it can become a secure badge",
        "Gone.",
    ]


@pytest.mark.fast
def test_two_badges_are_said_to_be_two() -> None:
    bench = Bench()
    for uid in (FOUR, SEVEN):
        bench.clock.at(1, partial(bench.chip.place, plain(uid)))
    assert bench.run(3) == 1
    assert bench.said[:3] == [*OPENED, "Several badges at once: take all but one away."]


@pytest.mark.fast
def test_a_reader_that_dies_is_said_with_what_to_check_and_so_is_its_return() -> None:
    bench = Bench()
    card = plain(SEVEN)
    bench.clock.at(1, partial(bench.chip.place, card))
    bench.clock.at(2, lambda: setattr(bench.chip, "dead", True))
    bench.clock.at(6, bench.chip.power_cycle)
    assert bench.run(10) == 0
    badge = "A badge: 04…66 (7 bytes), an NTAG 21x or Ultralight: it can be copied"
    fault = "FAULT: reader pn532: no chip answers. Check power, TX and RX, and the switches for HSU"
    assert bench.said == [*OPENED, badge, fault, *SILENT, *OPENED, badge]


@pytest.mark.fast
def test_a_reader_that_never_answers_ends_badly_and_says_it_once() -> None:
    bench = Bench()
    bench.chip.dead = True
    assert bench.run(30) == 1
    assert bench.said[1:] == SILENT


@pytest.mark.fast
def test_who_waits_in_vain_is_told_what_to_check_once() -> None:
    bench = Bench()
    assert bench.run(14) == 1
    assert bench.said == [*OPENED, *NOT_SEEN]
    patient = Bench()
    patient.clock.at(16, lambda: patient.said.append("--- 16 s"))
    assert patient.run(60) == 1
    assert patient.said == [*OPENED, *NOT_SEEN, "--- 16 s"]


@pytest.mark.fast
def test_a_keyboard_says_no_badge_gone_that_it_cannot_see_going() -> None:
    clock, said, wedge = Hands(), list[str](), Wedge()
    reader = UsbKeyboardReader(lambda: KeysFile(wedge.reopened()), clock)
    for second in (1, 3):
        clock.at(second, lambda: wedge.type("0011259375"))
    assert watch(reader, "usb_keyboard", clock, said).run(5) == 0
    badge = "A badge: 00…EF (4 bytes), typed by a keyboard: whoever copies the number is let in"
    assert said[2:] == [badge, badge]
    reader.close()
    wedge.close()


@pytest.mark.fast
def test_no_badge_is_said_with_its_whole_number() -> None:
    for uid in (FOUR, SEVEN, TEN):
        assert uid.hex().upper() not in short(uid)
        assert len(short(uid)) == len("DE…EF")


@pytest.mark.fast
@pytest.mark.parametrize("kind", KINDS)
def test_every_check_has_french_words(kind: str) -> None:
    french = gettext.translation("interlock", LOCALE_DIR, ["fr"]).gettext
    for text in (*WHEN_SILENT[kind], *WHEN_EMPTY[kind]):
        assert french(text) != text


# ----------------------------------------------------------------------------- as the shell sees it


@pytest.fixture
def port() -> Iterator[PtyChip]:
    made = PtyChip()
    yield made
    made.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="il-") as path:
        yield Path(path)


def started(*arguments: str, language: str = "en") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "interlock", "reader", "test", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"LANGUAGE": language, "PYTHONUNBUFFERED": "1"},
    )


def ended(*arguments: str, language: str = "en") -> tuple[int, str, str]:
    process = started(*arguments, language=language)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def node_file(folder: Path, reader: str, badge_use: str = "tap") -> Path:
    path = folder / "node.toml"
    path.write_text(
        f'[machine]\nname = "Saw"\nbadge_use = "{badge_use}"\n'
        'restart_protection = "no_volt_release"\n[relay]\npin = 17\n'
        f'[inputs.stop_button]\npin = 27\n[paths]\nstate_dir = "{folder}"\n[reader]\n{reader}\n'
    )
    return path


def serial_reader(port: PtyChip) -> str:
    return f'kind = "pn532"\ndevice = "{port.path}"'


@pytest.mark.real
def test_the_reader_of_a_nodes_file_is_tried_in_french(port: PtyChip, folder: Path) -> None:
    port.do(lambda chip: chip.place(plain(SEVEN)))
    config = node_file(folder, serial_reader(port))
    code, out, err = ended("--config", str(config), "--seconds", "1", language="fr")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "Le lecteur répond : PN532 v1.6",
        "Posez des badges, l'un après l'autre. Ctrl-C termine le test.",
        "Un badge : 04…66 (7 octets), une NTAG 21x ou Ultralight : copiable",
    ]


@pytest.mark.real
def test_a_test_without_badge_or_without_reader_is_exit_code_one(port: PtyChip) -> None:
    assert ended("--kind", "pn532", "--device", port.path, "--seconds", "1")[0] == 1
    code, out, _ = ended("--kind", "pn532", "--device", "/dev/no-such-line", "--seconds", "1")
    assert code == 1
    assert out.startswith("FAULT: /dev/no-such-line: ")


@pytest.mark.real
@pytest.mark.parametrize(("is_dead", "code"), [(False, 0), (True, 1)])
def test_ctrl_c_ends_it_without_a_trace_and_says_by_its_code_whether_the_reader_is_well(
    port: PtyChip, is_dead: bool, code: int
) -> None:
    port.do(lambda chip: setattr(chip, "dead", is_dead))
    process = started("--kind", "pn532", "--device", port.path)
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (code, "")
    if not is_dead:
        wait_until(lambda: not port.chip.air.is_on, what="the field off")


@pytest.mark.real
def test_a_reader_that_belongs_to_a_running_node_is_left_alone(port: PtyChip, folder: Path) -> None:
    from interlock.config import load_node

    config = node_file(folder, serial_reader(port))
    with socket.socket(socket.AF_UNIX) as node:
        path = load_node(config).paths.socket
        path.parent.mkdir(parents=True, exist_ok=True)
        node.bind(str(path))
        node.listen()
        code, out, err = ended("--config", str(config), "--seconds", "1")
    assert (code, out) == (1, "")
    assert "systemctl stop interlock-node" in err
    assert port.chip.codes == []


@pytest.mark.fast
def test_a_device_without_its_kind_is_a_wrong_command_line() -> None:
    assert cli.run(["reader", "test", "--device", "/dev/serial0"]) == 2
    assert cli.run(["reader", "test", "--kind", "wiegand"]) == 2


@pytest.mark.fast
@pytest.mark.parametrize("content", [None, "nonsense"])
def test_a_file_that_is_missing_or_wrong_is_exit_code_three(
    folder: Path, content: str | None
) -> None:
    path = folder / "node.toml"
    if content:
        path.write_text(content)
    assert cli.run(["reader", "test", "--config", str(path)]) == 3


@pytest.mark.fast
def test_a_keyboard_at_a_machine_of_held_badges_is_exit_code_three(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = node_file(folder, 'kind = "usb_keyboard"\ndevice = "/dev/input/event0"', "hold")
    assert cli.run(["reader", "test", "--config", str(path)]) == 3
    assert "badge_use" in capsys.readouterr().err
