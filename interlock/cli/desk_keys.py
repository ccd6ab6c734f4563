"""`interlock desk keys …`: site keys are made, written on paper, compared with it and typed in again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from interlock.cli.desk_parts import desk_config_option, desk_settings
from interlock.cli.parts import EXIT_FAULT, Group, talk
from interlock.errors import ConfigError

if TYPE_CHECKING:
    from interlock.desk.settings import Settings
    from interlock.desk.site_keys import SiteKeys


@click.group(cls=Group)
def keys() -> None:
    """The site keys: they exist on this computer and on paper."""


@keys.command("init")
@desk_config_option
def keys_init(config: Path) -> None:
    """Make site key 1 and print it, once, for a sheet of paper.

    Example: interlock desk keys init
    """
    from interlock.desk import site_keys

    chosen = desk_settings(config)
    made = site_keys.new_site_keys(chosen.site_id)
    site_keys.create(chosen.site_key_file, made)
    _print_paper(chosen, made, made.newest)


@keys.command("new")
@desk_config_option
def keys_new(config: Path) -> None:
    """Make the next site key and print it, for cards to be rotated to: after a leak, or a lost desk.

    Example: interlock desk keys new
    """
    from interlock.desk import site_keys
    from interlock.desk.words import _

    chosen = desk_settings(config)
    made = site_keys.load(chosen.site_key_file, chosen.site_id).with_another()
    site_keys.replace(chosen.site_key_file, made)
    _print_paper(chosen, made, made.newest)
    talk(_("Now bring the cards to it, one tap each: interlock desk rotate"))


@keys.command("check")
@desk_config_option
def keys_check(config: Path) -> int:
    """Compare the paper with the file: type each line of it; a slip of the pen is found and named.

    Example: interlock desk keys check
    """
    from interlock.desk import paper, site_keys
    from interlock.desk.words import _

    chosen = desk_settings(config)
    held = site_keys.load(chosen.site_key_file, chosen.site_id)
    wanting = dict(held.generations)
    while wanting:
        typed = _typed(_("Line of the paper (Enter: stop)"))
        if not typed:
            break
        try:
            number, key = paper.read(typed)
            held.with_restored(number, key)
        except ConfigError as error:
            talk(str(error))
            continue
        talk(_("Line %d is right.") % number)
        wanting.pop(number, None)
    if wanting:
        numbers = ", ".join(map(str, sorted(wanting)))
        talk(_("Not compared: %s. Without its paper a key is lost with this computer.") % numbers)
        return EXIT_FAULT
    click.echo(_("The paper has every site key of this desk."))
    return 0


@keys.command("restore")
@desk_config_option
def keys_restore(config: Path) -> int:
    """Type the lines of the paper, on a new computer or when the file is gone.

    Example: interlock desk keys restore
    """
    from interlock.desk import paper, site_keys
    from interlock.desk.words import _

    chosen = desk_settings(config)
    exists = chosen.site_key_file.exists()
    held = (
        site_keys.load(chosen.site_key_file, chosen.site_id)
        if exists
        else site_keys.SiteKeys(chosen.site_id, {})
    )
    before = dict(held.generations)
    while typed := _typed(_("Line of the paper (Enter: no more)")):
        try:
            number, key = paper.read(typed)
            held = held.with_restored(number, key)
        except ConfigError as error:
            talk(str(error))
        else:
            talk(_("Line %d is right.") % number)
    if held.generations == before:
        talk(_("Nothing was restored."))
        return EXIT_FAULT
    write = site_keys.replace if exists else site_keys.create
    write(chosen.site_key_file, held)
    click.echo(_("This desk has the site keys %s.") % ", ".join(map(str, sorted(held.generations))))
    return 0


def _typed(question: str) -> str:
    typed: str = click.prompt(question, default="", show_default=False, err=True)
    return typed.strip()


def _print_paper(chosen: Settings, held: SiteKeys, number: int) -> None:
    from interlock.desk import paper
    from interlock.desk.words import _

    talk(
        _(
            "Write these lines on paper, twice, and keep the sheets in two places under lock and key. "
            "Whoever reads them can make badges of this lab; without them no card can be renewed."
        )
    )
    click.echo(_("Site id: %s") % chosen.site_id)
    click.echo(_("Application: %s") % chosen.aid[::-1].hex().upper())
    click.echo(paper.written(number, held.generations[number]))
    talk(_("Compare the paper with the file now: interlock desk keys check"))
