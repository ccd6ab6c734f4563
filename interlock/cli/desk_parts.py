"""What the desk's commands share: its file in; its hub, its open reader and the person at the terminal out."""

from __future__ import annotations

import select
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from interlock.cli.parts import FILE, progress, talk
from interlock.errors import ConfigError

if TYPE_CHECKING:
    from interlock.desk.chips import OpenChip
    from interlock.desk.counter import Counter
    from interlock.desk.hub import HubApi
    from interlock.desk.making import Maker
    from interlock.desk.settings import Settings

DESK_CONFIG = Path(click.get_app_dir("interlock")) / "desk.toml"
"""~/.config/interlock/desk.toml: the desk is a person's computer, and no service."""
desk_config_option = click.option(
    "--config",
    type=FILE,
    envvar="INTERLOCK_DESK_CONFIG",
    default=DESK_CONFIG,
    show_default="~/.config/interlock/desk.toml",
    help="The desk's TOML file.",
)


class Terminal:
    """A `desk.person.Person` at stdin and stderr."""

    def hear(self, sentence: str) -> None:
        """On stderr: talk is no result."""
        talk(sentence)

    def answer(self, question: str) -> str:
        """One line, perhaps empty."""
        typed: str = click.prompt(question, default="", show_default=False, err=True)
        return typed

    def agrees(self, question: str) -> bool:
        """y or n; Enter is n."""
        return click.confirm(question, err=True)

    def has_pressed_enter(self) -> bool:
        """Only where somebody can: a pipe presses nothing."""
        if not sys.stdin.isatty() or not select.select([sys.stdin], [], [], 0)[0]:
            return False
        sys.stdin.readline()
        return True

    def watches(self, label: str) -> AbstractContextManager[Callable[[int, int], None]]:
        """The bar of every command."""
        return progress(label)


def desk_settings(config: Path) -> Settings:
    """The desk that `config` describes. Raises ConfigError."""
    from interlock.desk import settings

    return settings.load(config)


def hub_of(chosen: Settings) -> HubApi:
    """Its hub, not asked anything yet."""
    from interlock.desk import private_files
    from interlock.desk.hub import HubApi
    from interlock.desk.words import language

    token = private_files.read(chosen.token_file).decode(errors="replace").strip()
    return HubApi(chosen.hub_url, token, language(), chosen.ca_file)


@contextmanager
def opened(chosen: Settings) -> Iterator[Counter]:
    """Hub, open reader and person, for the length of a block."""
    from interlock.clock import SystemClock
    from interlock.desk.counter import Counter
    from interlock.desk.taps import Taps, reader_of
    from interlock.desk.words import _

    hub, clock, person = hub_of(chosen), SystemClock(), Terminal()
    reader = reader_of(chosen.reader, clock)
    reader.open()
    several = partial(person.hear, _("Several cards at once: take all but one away."))
    try:
        yield Counter(hub, Taps(reader, clock, several), person)
    finally:
        reader.close()


@contextmanager
def opened_maker(chosen: Settings, *, is_dry: bool) -> Iterator[Maker]:
    """The same, with site keys and ledger; only one process of this computer has them."""
    from interlock.desk import site_keys
    from interlock.desk.counter import new_key
    from interlock.desk.ledger import Ledger
    from interlock.desk.making import Maker
    from interlock.desk.uploads import Uploads

    open_desfire = _desfire_of(chosen)
    held = site_keys.load(chosen.site_key_file, chosen.site_id)
    ledger = Ledger(chosen.state_dir / "ledger.jsonl")
    try:
        with opened(chosen) as counter:
            yield Maker(
                counter,
                held,
                ledger,
                Uploads(chosen.state_dir / "waiting.json", new_key),
                open_desfire,
                is_dry=is_dry,
            )
    finally:
        ledger.close()


def _desfire_of(chosen: Settings) -> OpenChip:
    """What speaks to DESFire cards. Raises ConfigError where its library is missing."""
    from interlock.desk.words import _

    try:
        from interlock.cli.desk_desfire import DesfireChip
    except ImportError as missing:
        raise ConfigError(
            _("the library python-desfire is not installed"),
            where=_("desk"),
            remedy=_("Install it: pip install python-desfire"),
        ) from missing
    return partial(DesfireChip, aid=chosen.aid, looks_after_card=chosen.looks_after_card)
