"""`interlock demo` and `interlock sim …`: the virtual world, and a whole lab in it."""

from __future__ import annotations

from pathlib import Path

import click

from interlock.cli.commission import options, run_commission
from interlock.cli.parts import (
    EXIT_FAULT,
    FILE,
    FOLDER,
    PORT,
    Command,
    Group,
    config_option,
    log,
    talk,
)

FULL_STACK = "With real journals, caches, sync and hub: slower, and the network fails too."
TWINS = "Live each life twice, with one fault and without, and compare the two."


@click.group(cls=Group)
def sim() -> None:
    """The virtual world: everything but the hardware is real."""


@click.command(cls=Command)
@click.option("--keep", is_flag=True, help="Continue the lab of the last demo.")
@click.option("--history", is_flag=True, help="Begin with two years of members, use and prices.")
@click.option("--port", type=PORT, default=8000, show_default=True, help="0: any free one.")
@click.option("--dir", "directory", type=FOLDER, help="Where the lab is kept.")
def demo(keep: bool, history: bool, port: int, directory: Path | None) -> None:
    """A whole lab on this computer: a hub, three machines and their front panels. Ctrl-C ends it.

    Example: interlock demo --history
    """
    from interlock.sim.demo import run_demo

    run_demo(directory=directory, port=port, keep=keep, history=history, say=talk, show=click.echo)


@sim.command("world")
@config_option
@click.option("--dir", "directory", type=FOLDER, required=True, help="Where its sockets appear.")
@click.option(
    "--strict-gpiod/--no-strict-gpiod",
    default=True,
    show_default=True,
    help="What the kernel does with the pins of a process that dies.",
)
def sim_world(config: Path, directory: Path, strict_gpiod: bool) -> None:
    """Be the surroundings of one node: reader chip, pins, contactor, motor and mains.

    Example: interlock sim world --config node.toml --dir /tmp/saw
    """
    log()
    from interlock.config import load_node
    from interlock.sim.world_process import run_world

    run_world(load_node(config), directory, strict_gpiod=strict_gpiod)


@sim.command("node")
@config_option
@click.option("--world", type=FOLDER, required=True, help="The folder of its world's sockets.")
def sim_node(config: Path, world: Path) -> int:
    """Be the real node process of a virtual Pi: other pins, reader bus and clock, nothing else.

    Example: interlock sim node --config node.toml --world /tmp/saw
    """
    from interlock.config import load_node
    from interlock.sim.node import run_simulated_node

    return run_simulated_node(load_node(config), world)


@sim.command("commission")
@options
@click.option("--world", type=FOLDER, required=True, help="The folder of its world's sockets.")
def sim_commission(
    config: Path, world: Path, by: str | None, only: tuple[str, ...], lang: str | None
) -> int:
    """Walk through a machine of the virtual world: other pins and reader bus, nothing else. Hands are on its panel.

    Example: interlock sim commission --config node.toml --world /tmp/saw
    """
    from interlock.clock import SystemClock
    from interlock.config import load_node
    from interlock.sim.pin_factory import world_factory
    from interlock.sim.spi_client import install_spidev
    from interlock.sim.world_process import SPI_SOCKET

    install_spidev(world / SPI_SOCKET)
    return run_commission(
        load_node(config), SystemClock(), lambda: world_factory(world), by=by, only=only, lang=lang
    )


@sim.command("run")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed, the same run.")
@click.option("--hours", type=float, default=0.25, show_default=True, help="Virtual hours.")
@click.option("--nodes", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option("--full", "speed", flag_value="full", help=FULL_STACK)
@click.option("--twins", "speed", flag_value="twins", help=TWINS)
@click.option("--plan", type=FILE, help="Run this plan.txt of an earlier failure instead.")
@click.option("--dir", "directory", type=FOLDER, help="Where a failure's trace and picture go.")
def sim_run(
    seed: int,
    hours: float,
    nodes: int,
    speed: str | None,
    plan: Path | None,
    directory: Path | None,
) -> int:
    """Live hours of machines, people and faults in virtual time, every safety rule checked at every step.

    Example: interlock sim run --seed 7 --hours 1 --nodes 3
    """
    from interlock.sim.simulator.campaign import commit_of_this_tree, examine, speed_of
    from interlock.sim.simulator.happenings import plan_from_text

    lived = speed_of(speed)
    if plan is None:
        planned = lived.plan(seed, hours, nodes)
    else:
        planned = plan_from_text(plan.read_text(encoding="utf-8").splitlines())
    commit = commit_of_this_tree()
    verdict = lived.run(planned)
    tally = verdict.tally
    click.echo(
        f"seed {planned.seed} commit {commit} digest {verdict.digest}: {tally.events} events, "
        f"{tally.steps} steps of the core, {tally.sessions} sessions, {tally.records} records"
    )
    if verdict.violation is None:
        return 0
    click.echo(f"VIOLATION {verdict.violation}")
    where = directory or Path(f"sim-failure-{planned.seed}")
    smallest = examine(planned, verdict, where, commit, lived.run)
    talk(f"{len(smallest.happenings)} happenings are left: {where / 'trace.txt'}")
    return EXIT_FAULT


@sim.command("campaign")
@click.option("--dir", "directory", type=FOLDER, required=True, help="Keeps what was run.")
@click.option("--hours", type=float, required=True, help="Node-hours in all, earlier sittings too.")
@click.option("--nodes", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option("--full", "speed", flag_value="full", help=FULL_STACK)
@click.option("--twins", "speed", flag_value="twins", help=TWINS)
def sim_campaign(directory: Path, hours: float, nodes: int, speed: str | None) -> int:
    """Run seed after seed until so many node-hours are lived; goes on where it was interrupted.

    Example: interlock sim campaign --dir campaign --hours 1000
    """
    from interlock.sim.simulator.campaign import campaign, speed_of, totals_of

    violation = campaign(directory, hours, nodes=nodes, speed=speed_of(speed), say=talk)
    totals = totals_of(directory)
    click.echo(
        f"{totals.runs} runs, {totals.node_hours:g} node-hours, {totals.events} events, "
        f"{totals.sessions} sessions, {totals.seconds:.0f} s"
    )
    if violation is None:
        return 0
    click.echo(f"VIOLATION {violation}")
    return EXIT_FAULT
