"""`interlock hub verify`: everything that a hub can prove, proved again, with the place of what does not hold."""

from __future__ import annotations

from pathlib import Path

import click

from interlock.cli.parts import (
    EXIT_FAULT,
    Command,
    hub_dir_option,
    json_option,
    print_values,
    progress,
    talk,
)

WHAT_TO_DO = "What to do: make no new back-up over the old ones, and follow docs/backup.md, When something is damaged."


@click.command("verify", cls=Command)
@hub_dir_option
@json_option
def hub_verify(directory: Path, as_json: bool) -> int:
    """Walk the database, the chains of records, deeds and statements, the sessions and the open prices.

    Example: interlock hub verify --dir /var/lib/interlock-hub
    """
    from interlock.clock import SystemClock
    from interlock.hub import commands

    commands.open_hub(directory)
    from interlock.hub.verifying import verify_hub

    with progress("Verifying") as move:
        found = verify_hub(SystemClock(), lambda what, done, total: move(done, total))
    for fault in found.faults:
        talk(fault)
    if found.faults:
        talk(WHAT_TO_DO)
    print_values(
        {
            "whole": found.is_whole,
            "faults": len(found.faults),
            "records": found.records,
            "erased": found.erased,
            "audit_rows": found.audit_rows,
            "statements": found.statements,
            "sessions": found.sessions,
            "open_lines": found.lines,
        },
        as_json,
    )
    return 0 if found.is_whole else EXIT_FAULT
