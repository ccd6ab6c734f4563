"""`interlock desk …`: badges are given, made genuine and renewed at the enrolment desk, in English and French."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from interlock.cli.desk_keys import keys
from interlock.cli.desk_parts import (
    desk_config_option,
    desk_settings,
    hub_of,
    opened,
    opened_maker,
)
from interlock.cli.parts import EXIT_FAULT, FILE, FOLDER, Group, json_option, print_values, talk
from interlock.readers.opening import ID_FORMS, KINDS

if TYPE_CHECKING:
    from interlock.desk.hub import HubApi
    from interlock.desk.importing import Looked
    from interlock.desk.making import Made


@click.group(cls=Group)
def desk() -> None:
    """The enrolment desk: badges for members, and genuine ones."""


desk.add_command(keys)


@desk.command("connect")
@desk_config_option
@click.option("--url", required=True, help="Where the hub is: https://hub.example.org")
@click.option("--token-file", type=FILE, required=True, help="The desk's token, mode 0600.")
@click.option("--site-id", required=True, help="6 to 21 signs that name the lab for ever.")
@click.option("--aid", default="F51001", show_default=True, help="The lab's DESFire application.")
@click.option("--reader", "kind", type=click.Choice(KINDS), default="pcsc", show_default=True)
@click.option("--device", help="Serial line, part of the PC/SC name, or input device.")
@click.option(
    "--id-form", type=click.Choice(ID_FORMS), metavar="FORM", help="How a keyboard types a number."
)
@click.option("--ca-file", type=FILE, help="Certificate of a hub that signed its own.")
@click.option(
    "--leave-master-key", is_flag=True, help="DESFire cards stay erasable by their issuer."
)
def desk_connect(
    config: Path,
    url: str,
    token_file: Path,
    site_id: str,
    aid: str,
    kind: str,
    device: str | None,
    id_form: str | None,
    ca_file: Path | None,
    leave_master_key: bool,
) -> None:
    """Tell this computer its hub, its reader and its lab, once. The hub is asked whether the token is good.

    Example: interlock desk connect --url https://hub.lab --token-file t --site-id my-lab
    """
    from interlock.desk import private_files, settings, site_keys
    from interlock.desk.words import _

    hub = {"url": url, "token_file": token_file.resolve(), "ca_file": ca_file and ca_file.resolve()}
    cards = {"site_id": site_id, "aid": aid.upper()}
    cards["master_key"] = settings.MASTER_LEFT if leave_master_key else settings.MASTER_OURS
    reader = {"kind": kind, "device": device, "id_form": id_form}
    document = {
        name: {key: str(value) for key, value in table.items() if value is not None}
        for name, table in (("hub", hub), ("reader", reader), ("cards", cards))
    }
    chosen = settings.parse(document, config.parent)
    if chosen.site_key_file.exists():
        # The keys on cards depend on it: it cannot change under them.
        site_keys.load(chosen.site_key_file, chosen.site_id)
    _greet(hub_of(chosen))
    private_files.replace(config, settings.to_toml(document).encode())
    talk(_("Written to %s.") % config)
    if not chosen.site_key_file.exists():
        talk(_("For genuine badges make the site key next: interlock desk keys init"))


@desk.command("status")
@desk_config_option
@json_option
def desk_status(config: Path, as_json: bool) -> int:
    """What this desk is connected to, what it keeps, and what waits; what waits for the hub is sent.

    Example: interlock desk status
    """
    from interlock.desk import site_keys
    from interlock.desk.counter import new_key
    from interlock.desk.ledger import Ledger
    from interlock.desk.uploads import Uploads
    from interlock.errors import LinkError

    chosen = desk_settings(config)
    told: dict[str, object] = {"hub": chosen.hub_url, "reader": chosen.reader.kind}
    hub, is_well = hub_of(chosen), True
    try:
        told |= {"lab": (me := hub.me()).lab, "token": me.token, "scopes": list(me.scopes)}
    except LinkError as error:
        told["trouble"], is_well = str(error), False
    if chosen.site_key_file.exists():
        held = site_keys.load(chosen.site_key_file, chosen.site_id)
        ledger = Ledger(chosen.state_dir / "ledger.jsonl")
        told |= {"site_keys": sorted(held.generations), "unfinished_cards": ledger.unfinished()}
        ledger.close()
        uploads = Uploads(chosen.state_dir / "waiting.json", new_key)
        if is_well:
            refused = uploads.send(hub, held)
            told["refused"] = [f"{one.upload.member_name}: {one.refusal}" for one in refused]
        told["waiting_for_hub"] = len(uploads)
    print_values(told, as_json)
    return 0 if is_well else EXIT_FAULT


@desk.command("assign")
@click.argument("member")
@desk_config_option
@click.option("--label", default="", help="What tells the badge apart: blue, key ring …")
def desk_assign(member: str, config: Path, label: str) -> int:
    """Give a badge to MEMBER (part of a name or e-mail): search, tap, see whose it is, confirm.

    Example: interlock desk assign "Ada Martin" --label "blue key ring"
    """
    from interlock.desk.counter import assign

    with opened(desk_settings(config)) as counter:
        return 0 if assign(counter, member, label) else EXIT_FAULT


@desk.command("import-old")
@click.argument("file", type=FILE)
@desk_config_option
@click.option("--dry-run", is_flag=True, help="Say what would be taken, and take nothing.")
@click.option("--partial", is_flag=True, help="Take the good lines although others are bad.")
@click.option("--yes", is_flag=True, help="Do not ask before taking them.")
def desk_import_old(file: Path, config: Path, dry_run: bool, partial: bool, yes: bool) -> int:
    """Give members the badges in FILE, a CSV with the columns member, old_id and label.

    Old ids are the whole numbers that the Python library mfrc522 prints. Their check byte is verified and
    dropped; ids that begin with 88 name no card: their members are marked "enrol again".

    Example: interlock desk import-old badges.csv --dry-run
    """
    from interlock.desk import importing, old_ids
    from interlock.desk.words import _

    hub = hub_of(desk_settings(config))
    lines = old_ids.read(file)
    looked = importing.look(hub, lines)
    _say_what_became_of(file, looked)
    if looked.bad and not partial:
        talk(_("Nothing was taken. Correct the lines above, or take the others with --partial."))
        return EXIT_FAULT
    if dry_run:
        talk(_("Nothing was taken: this was a dry run."))
        return EXIT_FAULT if looked.bad else 0
    if not (yes or click.confirm(_("Take them?"), err=True)):
        return EXIT_FAULT
    taken = importing.take(hub, lines)
    click.echo(
        _("Badges taken: %(taken)d; members to enrol again: %(again)d; unchanged: %(same)d")
        % {"taken": taken.taken, "again": taken.enrol_again, "same": taken.unchanged}
    )
    return EXIT_FAULT if taken.bad else 0


@desk.command("personalise")
@desk_config_option
@click.option("--batch", is_flag=True, help="Card after card; a list at the end.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing anywhere.")
@click.option("--list", "folder", type=FOLDER, help="Where the list of --batch goes.")
def desk_personalise(config: Path, batch: bool, dry_run: bool, folder: Path | None) -> int:
    """Make genuine badges of DESFire EV1/EV2/EV3 and NTAG 424 DNA cards, new ones or the lab's own.

    A card that is taken away half-way is laid down again: it goes on where it stopped.

    Example: interlock desk personalise --batch
    """
    from interlock.desk.rounds import personalise_all, personalise_one

    with opened_maker(desk_settings(config), is_dry=dry_run) as maker:
        if not batch:
            made = personalise_one(maker)
            return EXIT_FAULT if made is None else _code([made])
        lines = personalise_all(maker)
        _print_list(config, lines, folder)
        return _code(lines)


@desk.command("rotate")
@desk_config_option
@click.option("--to", type=click.IntRange(1, 13), help="The key number; else the next one.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing anywhere.")
@click.option("--list", "folder", type=FOLDER, help="Where the list goes.")
def desk_rotate(config: Path, to: int | None, dry_run: bool, folder: Path | None) -> int:
    """Move genuine badges to the next key number and the newest site key, one tap each.

    A card holds its old key and the new one, so it works all the time, before and after the hub knows.

    Example: interlock desk rotate
    """
    from interlock.desk.rounds import rotate_all

    with opened_maker(desk_settings(config), is_dry=dry_run) as maker:
        lines = rotate_all(maker, to)
        _print_list(config, lines, folder)
        return _code(lines)


def _greet(hub: HubApi) -> None:
    from interlock.desk.hub import SCOPES
    from interlock.desk.words import _

    me = hub.me()
    talk(_("The hub of %(lab)s knows this desk as %(token)s.") % {"lab": me.lab, "token": me.token})
    missing = [scope for scope in SCOPES if scope not in me.scopes]
    if missing:
        talk(_("The token may not do everything: it lacks %s.") % ", ".join(missing))


def _say_what_became_of(file: Path, looked: Looked) -> None:
    from interlock.desk.words import _

    for number, reason in looked.bad:
        talk(_("%(file)s, line %(line)d: %(why)s") % {"file": file, "line": number, "why": reason})
    talk(
        _(
            "Lines: %(total)d. Badges: %(taken)d; members whose card must be enrolled again: %(again)d; "
            "so already: %(same)d; bad: %(bad)d."
        )
        % {
            "total": looked.total,
            "taken": looked.taken,
            "again": looked.enrol_again,
            "same": looked.unchanged,
            "bad": len(looked.bad),
        }
    )


def _print_list(config: Path, lines: list[Made], folder: Path | None) -> None:
    """Where the day's list lies, on stdout; none when nothing was tapped."""
    from interlock.clock import SystemClock
    from interlock.desk import lists

    if not lines:
        return
    chosen = desk_settings(config)
    into = folder or chosen.state_dir / "lists"
    for path in lists.write(into, lines, chosen.site_id, SystemClock().wall_ms()):
        click.echo(path)


def _code(lines: list[Made]) -> int:
    """0 when nothing was refused."""
    from interlock.desk.making import Outcome

    return EXIT_FAULT if any(one.outcome is Outcome.REFUSED for one in lines) else 0
