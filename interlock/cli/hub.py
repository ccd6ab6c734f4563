"""`interlock hub …`: the lab's server, its nodes, and spreadsheets in and out."""

from __future__ import annotations

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
    log,
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
def hub_init(directory: Path, name: str, time_zone: str, language: str, url: str) -> None:
    """Make a hub: keys, database, lab. Prints a link that makes you its owner, once.

    Example: interlock hub init --dir /var/lib/interlock-hub --name "Le Labo"
    """
    from interlock.hub import commands
    from interlock.hub.directory import HubConfig

    talk(f"Making a hub in {directory} …")
    commands.init(directory, HubConfig(name, time_zone, language))
    click.echo(commands.first_owner_link(directory, url))
    talk(f"Start it (interlock hub run --dir {directory}), then open this link within a day.")


@hub.command("run")
@hub_dir_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve at.")
@click.option("--port", type=PORT, default=8080, show_default=True, help="0: any free one.")
def hub_run(directory: Path, host: str, port: int) -> None:
    """Serve the hub until SIGTERM and print its address.

    Example: interlock hub run --dir /var/lib/interlock-hub --port 8080
    """
    log()
    from interlock.hub import commands

    commands.run(
        directory, host=host, port=port, on_ready=lambda address: click.echo(f"hub: {address}")
    )


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
