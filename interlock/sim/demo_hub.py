"""The demo's hub before its first start: a folder in, the sample lab and each machine's keys out.

Runs as a process of its own (`python -m interlock.sim.demo_hub DIR HUB_URL [history] NODE_URL`), so that Django and its
database connection end with it. Prints the link for the first owner, or nothing when there is one.
"""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path

from interlock.errors import ConfigError, InterlockError
from interlock.sim.demo_machines import MACHINES, MachineFolder

HISTORY = "history"
"""The word after the hub's address that asks for two years of use."""


def main() -> None:
    """What the demo runs."""
    directory, hub_url, node_url = Path(sys.argv[1]), sys.argv[2], sys.argv[-1]
    try:
        sys.stdout.write(set_up(directory, hub_url, node_url, history=HISTORY in sys.argv) + "\n")
    except InterlockError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


def set_up(directory: Path, hub_url: str, node_url: str, *, history: bool = False) -> str:
    """A hub with the sample lab lives below `directory`, with two years behind it if asked; the first
    owner's link. Changes nothing of a lab that is there already. Raises ConfigError."""
    from interlock.hub import commands
    from interlock.sim.lab import sample_lab

    hub = directory / "hub"
    if not (hub / "hub.toml").exists():
        sample_lab(hub)
        for machine in MACHINES:
            _add_node(hub, machine.id, MachineFolder(directory / "machines" / machine.id), node_url)
        _open_mailbox()
        if history:
            _invent_history()
    _name_the_hub(hub, hub_url)
    try:
        return commands.first_owner_link(hub, hub_url)
    except ConfigError:
        return ""


def _open_mailbox() -> None:
    """Every e-mail of the demo lands on the hub's own mail page and goes to nobody."""
    from interlock.clock import SystemClock
    from interlock.hub import commands
    from interlock.hub.domain import post
    from interlock.hub.permissions import Actor

    post.set_way(Actor(SystemClock(), label="demo"), commands.the_lab(), post.Way("mailbox"))


def _name_the_hub(hub: Path, hub_url: str) -> None:
    """Links in e-mails lead to where this demo's hub is; in one step: the hub may be reading the file."""
    from interlock.hub.directory import HubDirectory

    folder = HubDirectory(hub)
    config = replace(folder.config(), url=hub_url.rstrip("/"))
    if config != folder.config():
        part = folder.config_file.with_suffix(".new")
        part.write_text(config.to_toml(), encoding="utf-8")
        part.chmod(folder.config_file.stat().st_mode & 0o777)
        part.replace(folder.config_file)


def _invent_history() -> None:
    from interlock.clock import SystemClock
    from interlock.hub import commands
    from interlock.hub.history.money import settle
    from interlock.hub.history.plan import Plan, Sizes
    from interlock.hub.history.writing import make_history
    from interlock.hub.permissions import Actor

    actor, sizes = Actor(SystemClock(), label="demo"), Sizes()
    make_history(actor, commands.the_lab(), sizes, say=lambda _: None)
    plan = Plan(commands.the_lab(), sizes, actor.now(), random.Random(sizes.seed))
    settle(actor, plan, say=lambda _: None)


def _add_node(hub: Path, machine: str, folder: MachineFolder, node_url: str) -> None:
    from interlock.hub import commands

    keys, access = commands.add_node(hub, machine, folder.path, node_url)
    keys.rename(folder.node_keys)
    access.rename(folder.sync_access)


if __name__ == "__main__":
    main()
