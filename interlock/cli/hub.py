"""`interlock hub …`: the lab's server, its nodes, and spreadsheets in and out."""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import click

from interlock.cli.parts import (
    DAY,
    EXIT_FAULT,
    FILE,
    FOLDER,
    PORT,
    Group,
    hub_dir_option,
    hub_url_option,
    json_option,
    log,
    print_values,
    progress,
    talk,
)


@click.group(cls=Group)
def hub() -> None:
    """The lab's hub: members, trainings, usage, prices."""


@hub.command("init")
@hub_dir_option
@click.option("--name", default="Fab lab", show_default=True, help="What people call the lab.")
@click.option("--time-zone", default="Europe/Paris", show_default=True)
@click.option("--language", type=click.Choice(["en", "fr"]), default="fr", show_default=True)
@hub_url_option
@click.option("--node-address", default="", help="By which name or address machines reach it.")
def hub_init(
    directory: Path, name: str, time_zone: str, language: str, url: str, node_address: str
) -> None:
    """Make a hub: keys, database, lab. Prints a link that makes you its owner, once.

    Example: interlock hub init --dir /var/lib/interlock-hub --name "Le Labo"
    """
    from interlock.hub import commands
    from interlock.hub.directory import HubConfig

    talk(f"Making a hub in {directory} …")
    # Nobody else's computer is reached by the address that is the default: no e-mail may carry it.
    public = "" if url == commands.DEFAULT_URL else url
    commands.init(
        directory,
        HubConfig(name, time_zone, language, url=public, node_address=node_address),
    )
    click.echo(commands.first_owner_link(directory, url))
    talk(f"Start it (interlock hub run --dir {directory}), then open this link within a day.")


@hub.command("recover-owner")
@click.argument("email")
@hub_dir_option
@hub_url_option
def hub_recover_owner(email: str, directory: Path, url: str) -> None:
    """Print a link by which the owner EMAIL chooses a new password, once, within a day.

    Their second factor is taken away, and what they were signed in with is over.

    Example: interlock hub recover-owner ada@example.org
    """
    from interlock.hub import commands

    click.echo(commands.recover_owner(directory, email, url))
    talk("Whoever opens this link signs in as that owner: hand it to nobody else.")


@hub.command("run")
@hub_dir_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve at.")
@click.option("--port", type=PORT, default=8080, show_default=True, help="0: any free one.")
@click.option("--node-port", type=PORT, help="HTTPS for machines; hub.toml says which by default.")
def hub_run(directory: Path, host: str, port: int, node_port: int | None) -> None:
    """Serve the hub until SIGTERM and print its addresses: for people, and for machines.

    Example: interlock hub run --dir /var/lib/interlock-hub --port 8080
    """
    log()
    from interlock.hub import commands

    def ready(people: str, nodes: str) -> None:
        click.echo(f"hub: {people}")
        click.echo(f"nodes: {nodes}")

    commands.run(directory, host=host, port=port, node_port=node_port, on_ready=ready)


@hub.command("add-node")
@click.argument("machine")
@hub_dir_option
@click.option("--out", type=FOLDER, required=True, help="Where the two secret files go.")
@hub_url_option
def hub_add_node(machine: str, directory: Path, out: Path, url: str) -> None:
    """Enrol a node for MACHINE (its id) and print the paths of its two secret files.

    Example: interlock hub add-node table-saw --out /media/usb
    """
    from interlock.hub import commands

    for path in commands.add_node(directory, machine, out, url):
        click.echo(path)


@hub.command("import")
@click.argument("file", type=FILE)
@hub_dir_option
@click.option("--partial", is_flag=True, help="Take the good lines although others are bad.")
def hub_import(file: Path, directory: Path, partial: bool) -> int:
    """Add the members in FILE, a CSV as Excel or LibreOffice writes it: all of them or none.

    Example: interlock hub import members.csv --partial
    """
    from interlock.hub import commands

    with progress("Importing") as move:
        imported = commands.import_members(directory, file, partial=partial, progress=move)
    for line in imported.bad:
        talk(f"{file}, line {line.number}: {line.reason}")
    click.echo(f"{imported.created} of {imported.total} members imported")
    if imported.bad and not partial:
        talk("Nothing was imported. Correct the lines above, or take the others with --partial.")
    return EXIT_FAULT if imported.bad else 0


@hub.command("import-badges")
@click.argument("file", type=FILE)
@hub_dir_option
@click.option("--dry-run", is_flag=True, help="Say what would be taken, and take nothing.")
@click.option("--partial", is_flag=True, help="Take the good lines although others are bad.")
def hub_import_badges(file: Path, directory: Path, dry_run: bool, partial: bool) -> int:
    """Give members the badges in FILE, a CSV with the columns member, old_id or badge, and label.

    Old ids are the whole numbers that the Python library mfrc522 prints. Their check byte is verified and
    dropped; ids that begin with 88 name no card, so their members are marked "enrol again".

    Example: interlock hub import-badges badges.csv --dry-run
    """
    from interlock.hub import commands

    with progress("Importing") as move:
        done = commands.import_badges(
            directory, file, dry_run=dry_run, partial=partial, progress=move
        )
    for line in done.bad:
        talk(f"{file}, line {line.number}: {line.reason}")
    click.echo(f"{done.given} badges given, {done.enrol_again} to enrol again", nl=False)
    click.echo(f", {done.unchanged} unchanged, {len(done.bad)} refused, of {done.total}")
    if dry_run:
        talk("Nothing was changed. Without --dry-run it will be.")
    elif done.bad and not partial:
        talk("Nothing was imported. Correct the lines above, or take the others with --partial.")
    return EXIT_FAULT if done.bad else 0


@hub.group("api-token")
def hub_api_token() -> None:
    """Tokens by which programs, such as the enrolment desk, use the hub."""


@hub_api_token.command("add")
@click.argument("name")
@hub_dir_option
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    help="What it may do: members:read, badges:read, badges:write, card-keys:write.",
)
@click.option("--days", type=int, default=365, show_default=True, help="How long it lives.")
def hub_api_token_add(name: str, directory: Path, scopes: tuple[str, ...], days: int) -> None:
    """Print a new token for the program called NAME. It is shown this once.

    Example: interlock hub api-token add desk --scope badges:read
    """
    from interlock.hub import commands

    click.echo(commands.add_token(directory, name, list(scopes), days))
    talk("Keep it like a key; whoever has it may do what it may.")


@hub_api_token.command("list")
@hub_dir_option
@json_option
def hub_api_token_list(directory: Path, as_json: bool) -> None:
    """Every live token: what it may, when it ends, when it was last used.

    Example: interlock hub api-token list
    """
    from interlock.hub import commands

    found = commands.list_tokens(directory)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for token in found:
        print_values(token, as_json)


@hub_api_token.command("revoke")
@click.argument("name")
@hub_dir_option
def hub_api_token_revoke(name: str, directory: Path) -> None:
    """End the token called NAME at once.

    Example: interlock hub api-token revoke "front desk"
    """
    from interlock.hub import commands

    commands.revoke_token(directory, name)
    talk(f"{name} is revoked.")


@hub.group("export")
def hub_export() -> None:
    """Data for spreadsheets."""


@hub_export.command("sessions")
@hub_dir_option
@click.option("--out", type=FILE, help="The CSV file; stdout unless given.")
@click.option("--since", type=DAY, help="First day, YYYY-MM-DD.")
@click.option("--until", type=DAY, help="Last day, YYYY-MM-DD.")
@click.option("--decimal-comma", is_flag=True, help="12,50 instead of 12.50.")
def hub_export_sessions(
    directory: Path,
    out: Path | None,
    since: datetime | None,
    until: datetime | None,
    decimal_comma: bool,
) -> None:
    """Every ended session with its seconds and its price, as CSV.

    Example: interlock hub export sessions --since 2026-01-01 --out sessions.csv
    """
    from interlock.hub import commands

    commands.open_hub(directory)
    from interlock.hub.exporting import Filter

    wanted = Filter(since.date() if since else None, until.date() if until else None, decimal_comma)
    with tempfile.TemporaryDirectory(prefix="interlock-") as folder:
        target = out or Path(folder) / "sessions.csv"
        count = commands.export_sessions(directory, target, wanted)
        if out is None:
            sys.stdout.buffer.write(target.read_bytes())
    talk(f"{count} sessions")
