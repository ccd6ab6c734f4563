"""`interlock hub jobs`: the hub's background work, once or for as long as the process lives."""

from __future__ import annotations

from pathlib import Path

import click

from interlock.cli.parts import EXIT_FAULT, Command, hub_dir_option, log

LOOK_S = 5.0
"""How often a process that stays looks for work: the demo's, where somebody watches."""


@click.command("jobs", cls=Command)
@hub_dir_option
@click.option("--once", is_flag=True, help="Do what is due and end, as the systemd timer asks.")
@click.option("--only", metavar="NAME", help="Run just this job, now, whether due or not.")
def hub_jobs(directory: Path, once: bool, only: str | None) -> int:
    """Do the hub's background work: retention, mail, month's end, back-ups. Prints what was done.

    Example: interlock hub jobs --once
    """
    log()
    from interlock.clock import SystemClock
    from interlock.errors import ConfigError
    from interlock.hub import commands

    commands.open_hub(directory)
    from interlock.hub.jobs import run_due
    from interlock.hub.jobs.every import JOBS

    if only is not None and only not in {job.name for job in JOBS}:
        known = ", ".join(job.name for job in JOBS)
        raise ConfigError("there is no such job", where=only, remedy=f"The jobs are: {known}")
    clock = SystemClock()
    while True:
        chosen = [job for job in JOBS if only in (None, job.name)]
        done = run_due(chosen, clock, now=only is not None)
        for ran in done:
            click.echo(f"{ran.job} ({ran.lab}): {ran.line}")
        if once or only is not None:
            return EXIT_FAULT if any(ran.failed for ran in done) else 0
        clock.sleep(LOOK_S)
