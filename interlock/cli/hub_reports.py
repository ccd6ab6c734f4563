"""`interlock hub seed`: an invented past for a new hub, to try things out at size."""

from __future__ import annotations

from pathlib import Path

import click

from interlock.cli.parts import Command, hub_dir_option, progress, talk


@click.command("seed", cls=Command)
@hub_dir_option
@click.option("--machines", type=click.IntRange(1, 1_000), default=12, show_default=True)
@click.option("--members", type=click.IntRange(10, 50_000), default=400, show_default=True)
@click.option("--sessions", type=click.IntRange(1, 5_000_000), default=20_000, show_default=True)
@click.option("--years", type=click.IntRange(1, 5), default=2, show_default=True)
@click.option(
    "--seed", type=int, default=1, show_default=True, help="The same seed, the same past."
)
def hub_seed(
    directory: Path, machines: int, members: int, sessions: int, years: int, seed: int
) -> None:
    """Invent a past for a hub that has none: members, trainings, use and prices. Only to try things out.

    Example: interlock hub seed --machines 20 --sessions 50000
    """
    from interlock.hub import commands

    commands.open_hub(directory)
    from interlock.clock import SystemClock
    from interlock.hub.history.plan import Sizes
    from interlock.hub.history.writing import make_history
    from interlock.hub.permissions import Actor

    sizes = Sizes(machines, members, sessions, years, seed)
    actor = Actor(SystemClock(), label="seed")
    with progress("Sessions") as move:
        written = make_history(actor, commands.the_lab(), sizes, say=talk, progress=move)
    click.echo(f"{written} sessions")
