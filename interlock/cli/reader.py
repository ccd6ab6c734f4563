"""`interlock reader …`: a badge reader's polls go in, what it sees comes out in words as it happens."""

from __future__ import annotations

import gettext
import math
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from interlock.cli.parts import EXIT_FAULT, Group, config_option, talk
from interlock.cli.reader_words import N_, WHEN_EMPTY, WHEN_SILENT
from interlock.readers.opening import ID_FORMS, KINDS, NamedReader, reader_for, reader_of

if TYPE_CHECKING:
    from interlock.clock import Clock
    from interlock.errors import ReaderError
    from interlock.readers import CardSeen, Sight

LOCALE_DIR = Path(__file__).parent.parent / "locale"
POLL_S = 0.05
"""20 polls a second, like a node."""
GONE_AFTER_MS = 300
"""As long as a node waits before a badge counts as removed."""
NOTHING_AFTER_MS = 15_000
"""Long enough to find a badge and lay it down."""
OPEN_AGAIN_MS = 1_000
SAK_ISO_14443_4, SAK_TYPE_2 = 0x20, 0x00
SAKS_CLASSIC = (0x08, 0x09, 0x18)

Say = Callable[[str], object]
Translate = Callable[[str], str]


@click.group(cls=Group)
def reader() -> None:
    """The badge reader."""


@reader.command("test")
@config_option
@click.option(
    "--kind", type=click.Choice(KINDS), help="A reader of this kind, whatever --config says."
)
@click.option(
    "--device",
    default="",
    help="With --kind: serial line, part of the PC/SC name, or input device.",
)
@click.option(
    "--id-form",
    type=click.Choice(ID_FORMS),
    default=ID_FORMS[0],
    show_default=True,
    help="With --kind usb_keyboard: how it types a badge's number.",
)
@click.option("--seconds", type=click.FloatRange(min=1), help="Stop after so long; else at Ctrl-C.")
def reader_test(
    config: Path, kind: str | None, device: str, id_form: str, seconds: float | None
) -> int:
    """Say what the badge reader sees, as it happens, and what to check when it sees nothing.

    Ends well when the reader is well; with --seconds only when it saw a badge.

    Example: interlock reader test --config /etc/interlock/node.toml
    interlock reader test --kind pcsc
    """
    from interlock.clock import SystemClock

    words = gettext.translation("interlock", LOCALE_DIR, fallback=True).gettext
    clock = SystemClock()
    if kind is None:
        if device:
            raise click.UsageError("--device goes with --kind.")
        kind, chosen = _configured(config, clock, words)
    else:
        chosen = reader_for(kind, device, clock, id_form=id_form)
    if chosen is None:
        return EXIT_FAULT
    watch = Watch(chosen, kind, clock, click.echo, words)
    try:
        return watch.run(seconds)
    except KeyboardInterrupt:
        return watch.ended()
    finally:
        chosen.close()


def _configured(config: Path, clock: Clock, words: Translate) -> tuple[str, NamedReader | None]:
    """The reader of a node's file, unless its node is using it."""
    from interlock.config import load_node

    loaded = load_node(config)
    if _is_served(loaded.paths.socket):
        talk(
            words(
                N_(
                    "The node runs and has the reader for itself. Stop it for the test: "
                    "systemctl stop interlock-node (the machine is off meanwhile)."
                )
            )
        )
        return loaded.reader.kind, None
    return loaded.reader.kind, reader_of(loaded, clock)


def _is_served(path: Path) -> bool:
    """Whether a node listens at its control socket; one that refuses us is there, too."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except PermissionError:
            return True
        except OSError:
            return False
    return True


@dataclass
class Watch:
    """One test: `run` until its end, or interrupt it and ask `ended`."""

    reader: NamedReader
    kind: str
    clock: Clock
    say: Say
    words: Translate
    badges: int = 0
    _is_open: bool = False
    _told_fault: str = ""
    _shown: Sight | None = None
    _seen_ms: int = 0
    _quiet_since_ms: int = 0
    _reminded: bool = False

    def run(self, seconds: float | None) -> int:
        """The exit code after `seconds`, or never."""
        end_ms = math.inf if seconds is None else self.clock.boot_ms() + seconds * 1_000
        self._quiet_since_ms = self.clock.boot_ms()
        while self.clock.boot_ms() < end_ms:
            self._turn()
            self.clock.sleep(POLL_S if self._is_open else OPEN_AGAIN_MS / 1_000)
        if self._is_open and not self.badges:
            if not self._reminded:
                self._hint_at_emptiness()
            return EXIT_FAULT
        return self.ended()

    def ended(self) -> int:
        """0 when the reader is well."""
        return 0 if self._is_open else EXIT_FAULT

    def _turn(self) -> None:
        from interlock.errors import ReaderError

        try:
            if not self._is_open:
                self._open()
            self._look(self.reader.poll())
        except ReaderError as error:
            self._fail(error)

    def _open(self) -> None:
        self.reader.open()
        self._is_open, self._told_fault, self._shown = True, "", None
        self._quiet_since_ms = self.clock.boot_ms()
        self.say(self.words(N_("The reader answers: %s")) % self.reader.chip_name)
        self.say(self.words(N_("Lay badges on it, one after the other. Ctrl-C ends the test.")))

    def _fail(self, fault: ReaderError) -> None:
        """A fault is told once, with what to check, until the reader answered again."""
        self._is_open = False
        if str(fault) == self._told_fault:
            return
        self._told_fault = str(fault)
        self.say(self.words(N_("FAULT: %s")) % fault)
        if "not installed" not in fault.what:
            self._hint(N_("The reader does not answer."), WHEN_SILENT[self.kind])

    def _look(self, sight: Sight | None) -> None:
        now_ms = self.clock.boot_ms()
        if sight is not None:
            self._seen_ms = self._quiet_since_ms = now_ms
        if sight == self._shown:
            self._remind(now_ms)
            return
        if sight is None:
            if now_ms - self._seen_ms >= GONE_AFTER_MS:
                self._shown = None
                if self.kind != "usb_keyboard":
                    self.say(self.words(N_("Gone.")))
            return
        self._shown = sight
        for line in self._described(sight):
            self.say(line)

    def _remind(self, now_ms: int) -> None:
        """Somebody who has laid badges down for a while, in vain, is told what to check; once."""
        is_in_vain = not self.badges and self._shown is None
        if is_in_vain and not self._reminded and now_ms - self._quiet_since_ms >= NOTHING_AFTER_MS:
            self._reminded = True
            self._hint_at_emptiness()

    def _described(self, sight: Sight) -> Iterator[str]:
        from interlock.readers import SeveralCards

        if isinstance(sight, SeveralCards):
            yield self.words(N_("Several badges at once: take all but one away."))
            return
        self.badges += 1
        yield self.words(N_("A badge: %(id)s (%(bytes)d bytes), %(kind)s")) % {
            "id": short(sight.uid),
            "bytes": len(sight.uid),
            "kind": self.words(_kind_of(sight, self.kind)),
        }

    def _hint_at_emptiness(self) -> None:
        self._hint(N_("No badge was seen."), WHEN_EMPTY[self.kind])

    def _hint(self, head: str, checks: Sequence[str]) -> None:
        order = self.words(N_("Check in this order:"))
        self.say(f"{self.words(head)} {order}")
        for number, check in enumerate(checks, start=1):
            self.say(f"  {number}. {self.words(check)}")


def short(uid: bytes) -> str:
    """First and last byte of a UID: enough to tell two badges on a desk apart, too little to copy one."""
    return f"{uid[:1].hex()}…{uid[-1:].hex()}".upper()


def _kind_of(sight: CardSeen, reader_kind: str) -> str:
    """The msgid that says what kind of badge this is."""
    from interlock.cards.iso14443a import is_random_uid

    if is_random_uid(sight.uid):
        return N_("a phone, or a card with a new number at every tap: it can be nobody's badge")
    if reader_kind == "usb_keyboard":
        return N_("typed by a keyboard: whoever copies the number is let in")
    if sight.transceive is not None:
        return N_("speaks ISO 14443-4 (DESFire, NTAG 424): it can become a secure badge")
    if sight.sak & SAK_ISO_14443_4:
        return N_("of ISO 14443-4, but this reader cannot speak to it")
    if sight.sak in SAKS_CLASSIC:
        return N_("a MIFARE Classic: it can be copied")
    if sight.sak == SAK_TYPE_2:
        return N_("an NTAG 21x or Ultralight: it can be copied")
    return N_("of a kind that only has a number: it can be copied")
