"""The command line: arguments in, results on stdout, talk on stderr, exit code 0, 1, 2 or 3.

    0 done · 1 something failed · 2 wrong command line · 3 wrong configuration

The composition root: each command imports what it needs when it runs, so that `interlock node run`
loads neither Django nor requests on a Pi.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Sequence

import click

from interlock import __version__
from interlock.cli.commission import commission
from interlock.cli.desk import desk
from interlock.cli.doctor import diagnose, doctor
from interlock.cli.hub import hub
from interlock.cli.hub_backup import hub_backup, hub_backup_key, hub_restore
from interlock.cli.hub_doctor import hub_doctor
from interlock.cli.hub_jobs import hub_jobs
from interlock.cli.hub_money import hub_close_month, hub_verify_ledger
from interlock.cli.hub_reports import hub_seed
from interlock.cli.hub_verify import hub_verify
from interlock.cli.journal import journal
from interlock.cli.node import node, sync
from interlock.cli.node_first_boot import node_first_boot
from interlock.cli.parts import EXIT_CONFIGURATION, EXIT_FAULT, Group
from interlock.cli.reader import reader
from interlock.cli.sim import demo, sim
from interlock.errors import ConfigError, InterlockError


def main() -> None:
    """What the shell runs."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """The exit code of one command line; every InterlockError is one line on stderr."""
    try:
        code = interlock.main(list(arguments), prog_name="interlock", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        return EXIT_FAULT
    except ConfigError as error:
        click.echo(f"Configuration: {_one_line(error)}", err=True)
        return EXIT_CONFIGURATION
    except InterlockError as error:
        click.echo(f"Error: {_one_line(error)}", err=True)
        return EXIT_FAULT
    except BrokenPipeError:
        # Whoever read our output has seen enough (`| head`); Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAULT
    except Exception as error:
        if not _is_damage(error):
            raise
        click.echo(f"Error: the database cannot be used: {error}. {_LOOK}", err=True)
        return EXIT_FAULT
    return code if isinstance(code, int) else 0


_LOOK = "Run: interlock hub doctor, and see docs/backup.md, When something is damaged"
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL}


def _is_damage(error: BaseException) -> bool:
    """Whether SQLite says of the file or the disk itself that it cannot be used; Django wraps its errors."""
    said = error if isinstance(error, sqlite3.Error) else error.__cause__
    # Without a code: what Python's own module raises, of how it was called.
    code = getattr(said, "sqlite_errorcode", 0) if isinstance(said, sqlite3.Error) else 0
    return code & 0xFF in _DAMAGE


def _one_line(error: InterlockError) -> str:
    return " ".join(str(error).split())


@click.group(cls=Group, context_settings={"help_option_names": ["--help"]})
@click.version_option(__version__, prog_name="interlock")
def interlock() -> None:
    """Access control and metering for the machines of a fab lab."""


hub.add_command(hub_close_month)
for hub_command in (hub_backup, hub_backup_key, hub_doctor, hub_jobs, hub_restore, hub_verify):
    hub.add_command(hub_command)
hub.add_command(hub_seed)
hub.add_command(hub_verify_ledger)
node.add_command(node_first_boot)
for command in (commission, demo, desk, diagnose, doctor, hub, journal, node, reader, sim, sync):
    interlock.add_command(command)
