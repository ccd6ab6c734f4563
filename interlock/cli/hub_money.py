"""`interlock hub close-month` and `verify-ledger`: a month's statements, and whether anybody altered one."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from interlock.cli.parts import Command, hub_dir_option, log, print_values, progress, talk


@click.command("close-month", cls=Command)
@click.argument("month", type=click.DateTime(formats=["%Y-%m"]))
@hub_dir_option
def hub_close_month(month: datetime, directory: Path) -> None:
    """Close MONTH: its lines never change again, and every payer gets a numbered statement.

    Example: interlock hub close-month 2026-10
    """
    log()
    from interlock.clock import SystemClock
    from interlock.hub import commands

    commands.open_hub(directory)
    from interlock.hub.domain.closing import close
    from interlock.hub.permissions import Actor

    with progress("Closing") as move:
        period = close(Actor(SystemClock()), commands.the_lab(), month.date(), move)
    talk(f"{period} is closed; what arrives for it now is billed in the next month.")
    print_values(
        {
            "statements": period.statements_count,
            "lines": period.lines_count,
            "net_cents": period.net_cents,
            "vat_cents": period.vat_cents,
            "gross_cents": period.gross_cents,
        },
        as_json=False,
    )


@click.command("verify-ledger", cls=Command)
@hub_dir_option
def hub_verify_ledger(directory: Path) -> None:
    """Read every statement with its lines and say whether anything was altered.

    Example: interlock hub verify-ledger
    """
    log()
    from interlock.hub import commands

    commands.open_hub(directory)
    from interlock.hub.ledger import verify_ledger

    count = verify_ledger(commands.the_lab())
    click.echo(f"{count} statements, every one as it was issued")
