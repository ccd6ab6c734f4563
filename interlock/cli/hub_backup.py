"""`interlock hub backup|backup-key|restore`: the whole hub in one sealed file, and back."""

from __future__ import annotations

from pathlib import Path

import click

from interlock.cli.parts import EXIT_FAULT, FILE, Command, hub_dir_option, progress, talk

key_file_option = click.option(
    "--key-file", type=FILE, help="The back-up key or a passphrase, in a file of one line."
)


@click.command("backup", cls=Command)
@click.argument("out", type=FILE, required=False)
@hub_dir_option
@key_file_option
def hub_backup(out: Path | None, directory: Path, key_file: Path | None) -> int:
    """Put the whole hub, sealed, into OUT; without OUT into the folder that hub.toml names for back-ups,
    where older ones make room. The hub goes on serving. Prints the file's path.

    Exit code 1: nothing was backed up, or what was does not hold, and every older one is kept.

    Example: interlock hub backup /media/usb/hub.backup
    """
    from interlock.clock import SystemClock
    from interlock.hub import commands
    from interlock.hub.backup import back_up, key_of
    from interlock.hub.directory import HubDirectory
    from interlock.hub.restoring import back_up_by_plan, note_erased

    commands.open_hub(directory)
    hub, clock = HubDirectory(directory.resolve()), SystemClock()
    with progress("Backing up") as move:
        if out is None:
            made = back_up_by_plan(hub, clock, move)
        else:
            made = back_up(hub, out, _key(key_file) or key_of(hub), clock, move)
            note_erased(hub)
    click.echo(made.path)
    talk(f"{made.size_bytes / 1e6:.1f} MB, read back and compared.")
    if made.removed:
        talk(f"{len(made.removed)} older back-ups made room.")
    if out is not None:
        talk(f"Keep {directory / 'erased.json'} beside it: who was erased since is erased again.")
    for fault in made.faults:
        talk(fault)
    if made.faults:
        talk(
            "This back-up holds a hub that does not: the older ones are kept. Run: interlock hub verify; docs/backup.md"
        )
    return EXIT_FAULT if made.faults else 0


@click.command("backup-key", cls=Command)
@hub_dir_option
def hub_backup_key(directory: Path) -> None:
    """Print the key that opens this hub's back-ups; it is made the first time.

    Example: interlock hub backup-key
    """
    from interlock.hub import commands
    from interlock.hub.backup import make_key
    from interlock.hub.directory import HubDirectory

    commands.open_hub(directory)
    click.echo(make_key(HubDirectory(directory.resolve())))
    talk("Write it down and keep it away from the hub. No back-up can be opened without it.")


@click.command("restore", cls=Command)
@click.argument("file", type=FILE)
@hub_dir_option
@key_file_option
@click.option("--erased", type=FILE, help="The newest erased.json; the one beside FILE otherwise.")
def hub_restore(file: Path, directory: Path, key_file: Path | None, erased: Path | None) -> None:
    """Make the hub in FILE live in a new folder. Nothing is overwritten.

    Example: interlock hub restore hub.backup --dir /var/lib/interlock-hub
    """
    from interlock.clock import SystemClock
    from interlock.hub.restoring import restore

    key = _key(key_file) or click.prompt("Back-up key", hide_input=True, err=True)
    talk("Restoring …")
    done = restore(file, directory, key, SystemClock(), erased)
    click.echo(directory)
    if done.list_used is None:
        talk(
            f"WARNING: no erased.json beside {file}: people who were erased after this back-up are back. "
            "Find the newest list, and restore again with --erased."
        )
    else:
        talk(f"{done.erased_again} people were erased again, by {done.list_used}.")
    talk(
        f"Start it: interlock hub run --dir {directory}. At its old name or address the machines find it "
        "by themselves: its lists are newer than every one they know, and they send what it has missed."
    )


def _key(key_file: Path | None) -> str | None:
    return None if key_file is None else key_file.read_text(encoding="utf-8").strip()
