"""`interlock hub doctor`: a hub's health on the terminal, in the reader's language, with what to do."""

from __future__ import annotations

import json
from pathlib import Path

import click

from interlock.cli.doctor import COLOURS, MARKS
from interlock.cli.parts import EXIT_FAULT, PORT, Command, hub_dir_option, json_option


@click.command("doctor", cls=Command)
@hub_dir_option
@json_option
@click.option("--lang", type=click.Choice(["en", "fr"]), help="Default: the lab's language.")
@click.option("--port", type=PORT, default=8080, show_default=True, help="Where its pages are.")
def hub_doctor(directory: Path, as_json: bool, lang: str | None, port: int) -> int:
    """Look at disk, database, clock, keys, certificates, jobs, back-ups, mail and doors; nothing is changed.

    Exit code 0: nothing is broken; 1: something is (✗). A mark ! works and should not stay so, ? could not be
    looked at. Run it as the hub's user, or as root.

    Example: interlock hub doctor --json
    """
    from interlock.clock import SystemClock
    from interlock.hub import commands

    commands.open_hub(directory)
    from django.utils import translation

    from interlock.findings import Verdict
    from interlock.hub.directory import HubDirectory
    from interlock.hub.doctor import examine

    hub = HubDirectory(directory)
    with translation.override(lang or hub.config().language):
        findings = examine(hub, SystemClock(), port)
    if as_json:
        click.echo(json.dumps([one.to_wire() for one in findings], ensure_ascii=False, indent=2))
    else:
        for one in findings:
            mark = click.style(MARKS[one.verdict.value], fg=COLOURS[one.verdict.value])
            click.echo(f"{mark} {one.what}")
            if one.remedy:
                click.echo(f"  → {one.remedy}")
    return EXIT_FAULT if any(one.verdict is Verdict.BAD for one in findings) else 0
