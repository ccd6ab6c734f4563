"""The interlock.toml of a freshly written SD card goes in; a machine's node and a file in plain words come out.

    1  the card's file is read: whose computer this will be, a code that works once, perhaps a ready machine
    2  node.toml is written, unless there is one: the one beside the card's file, else the ready one it names
    3  the computer enrols (sync.enrolling); six words stand in the result file and on the screen
    4  the code is wiped from the card, and what starts the machine is called

Each step writes interlock-result.txt beside the card's file, in French and English: whoever puts the card into a
laptop sees what happened and what to do. Without a network it tries for ever; the plug may be pulled anywhere, and
the next boot goes on. The same card with a new code becomes the new node; a code that has served does nothing.
"""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from interlock.clock import Clock
from interlock.config import parse_node
from interlock.config.secret_files import read_secret_object, replace_secret
from interlock.errors import ConfigError, InterlockError, LinkError, StoreError
from interlock.protocol.enrolment import code_from_text
from interlock.sync import first_boot_words as words_
from interlock.sync.card_file import CARD_FILE, CardFile, read_card_file, wipe_code
from interlock.sync.enrolling import EnrolmentEnded, Files, enrol

log = logging.getLogger(__name__)

RESULT_NAME = "interlock-result.txt"
OWN_WIRING_NAME = "node.toml"
"""Beside the card's file: a machine that is none of the ready ones. It holds no secret."""
MARK_NAME = "first-boot.json"
"""Beside the node's keys: which code is being used, and which keys there were before it."""
READY_FILES = {
    "saw": "table-saw.toml",
    "laser": "laser-cutter.toml",
    "printer": "printer.toml",
}
RETRY_S = 10.0
"""A switch and a DHCP server need about half a minute after a power cut; nobody waits longer for the next try."""
MODE = 0o640
EXIT_OK, EXIT_FAULT = 0, 1


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything lies on this computer."""

    card: Path = CARD_FILE
    config: Path = Path("/etc/interlock/node.toml")
    ready: Path = Path("/opt/interlock/current/installer/config")

    @property
    def result(self) -> Path:
        """What a person reads, on the partition that every computer can open."""
        return self.card.with_name(RESULT_NAME)


@dataclass(frozen=True, slots=True)
class Hands:
    """What the first boot has done for it: words on a screen, the machine put in order and started.

    `prepare` comes once node.toml and the keys are there and returns the node that this card was, if any;
    `start` returns what went wrong, or "".
    """

    show: Callable[[tuple[str, ...], str], None] = lambda words, machine: None
    prepare: Callable[[], words_.FormerNode | None] = lambda: None
    start: Callable[[], str] = lambda: ""


def first_boot(places: Places, clock: Clock, hands: Hands) -> int:
    """The exit code of one first boot: 0 when the node is enrolled and started, or was before."""
    try:
        card = read_card_file(places.card)
        if card.is_used:
            return EXIT_OK
        code_from_text(card.code)
        files = _files(places, card)
        machine = _enrolled(places, card, files, clock, hands)
        former = hands.prepare()
        wipe_code(places.card)
        _write_result(places, words_.started(machine, former))
        files.keys.with_name(MARK_NAME).unlink(missing_ok=True)
        trouble = hands.start()
    except InterlockError as error:
        _write_result(places, words_.failed(error))
        log.error("%s", error)
        return EXIT_FAULT
    _write_result(places, words_.done(machine, former, trouble))
    return EXIT_FAULT if trouble else EXIT_OK


# --------------------------------------------------------------------------------------- the steps


def _files(places: Places, card: CardFile) -> Files:
    """Where the keys go, once node.toml is there."""
    if not places.config.exists():
        _put(places.config, _ready_text(places, card))
    config = parse_node(tomllib.loads(_read(places.config)))
    return Files.beside(config.paths.keys_file, config.sync.credentials_file)


def _ready_text(places: Places, card: CardFile) -> str:
    own = places.card.with_name(OWN_WIRING_NAME)
    if own.exists():
        text = _read(own)
    elif card.profile in READY_FILES:
        text = _read(places.ready / READY_FILES[card.profile])
        text = words_.with_machine(text, card.machine, card.language)
    else:
        raise ConfigError(
            "nobody has said which pins this machine has",
            where=str(places.card),
            remedy=f"Put its node.toml beside this file, or write profile = one of: {', '.join(READY_FILES)}",
        )
    try:
        parse_node(tomllib.loads(text))
    except ValueError as error:
        raise ConfigError(f"this is not TOML: {error}", where=OWN_WIRING_NAME) from error
    return text


def _enrolled(places: Places, card: CardFile, files: Files, clock: Clock, hands: Hands) -> str:
    """The machine's name, once this computer is its node. Raises EnrolmentEnded, ConfigError."""
    if _was_done(files, card):
        return card.machine
    _mark(files, card)

    def show(words: tuple[str, ...], machine: str) -> None:
        _write_result(places, words_.waiting(machine, words))
        hands.show(words, machine)

    said = ""
    _write_result(places, words_.looking(card.machine))
    while True:
        try:
            return enrol(card.code, files, clock, show, again=True).machine
        except EnrolmentEnded:
            raise
        except LinkError as error:
            if str(error) != said:
                said = str(error)
                log.warning("%s; trying again", error)
                _write_result(places, words_.unreached(card.machine, error))
            clock.sleep(RETRY_S)


def _was_done(files: Files, card: CardFile) -> bool:
    """Whether this code has made the keys that are there: the plug was pulled before it was wiped."""
    mark = files.keys.with_name(MARK_NAME)
    if files.pending.exists() or not (mark.exists() and files.access.exists()):
        return False
    kept = read_secret_object(mark)
    return kept.get("code") == _digest(card.code.encode()) and kept.get("before") != _present(files)


def _mark(files: Files, card: CardFile) -> None:
    mark = files.keys.with_name(MARK_NAME)
    code = _digest(card.code.encode())
    if not mark.exists() or read_secret_object(mark).get("code") != code:
        replace_secret(mark, {"code": code, "before": _present(files)})


def _present(files: Files) -> str:
    """Which two files there are; the second is written last."""
    return "".join(
        _digest(path.read_bytes()) if path.exists() else "-" for path in (files.keys, files.access)
    )


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()


# ---------------------------------------------------------------------------------------- on the disk


def _write_result(places: Places, text: str) -> None:
    """The result file says `text`; a card that cannot be written stops no machine."""
    try:
        _put(places.result, text)
    except StoreError as error:
        log.error("%s", error)


def _put(path: Path, text: str) -> None:
    """`path` says `text`, on the disk. Raises StoreError."""
    try:
        # In place on the card: FAT has no rename that survives a power cut, and it knows no modes.
        part = path if path.name == RESULT_NAME else path.with_name(f"{path.name}.new")
        with part.open("w", encoding="utf-8", newline="\r\n" if part is path else "\n") as target:
            target.write(text)
            target.flush()
            os.fsync(target.fileno())
        if part is not path:
            part.chmod(MODE)
            # The group of the folder is that of whoever may read it (8-installation.md).
            if os.geteuid() == 0:
                os.chown(part, 0, path.parent.stat().st_gid)
            part.replace(path)
    except OSError as error:
        raise StoreError(f"cannot be written: {error.strerror}", where=str(path)) from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except ValueError as error:
        raise ConfigError("this is not a text file", where=str(path)) from error
