"""`interlock node …` and `interlock sync …`: the two processes on a Pi, and what a technician asks of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from interlock.cli.parts import (
    EXIT_FAULT,
    FILE,
    Group,
    config_option,
    json_option,
    log,
    node_at,
    print_values,
    socket_option,
    talk,
)

if TYPE_CHECKING:
    from interlock.sync.enrolling import Files


@click.group(cls=Group)
def node() -> None:
    """The process at the machine, and what it says of itself."""


@click.group(cls=Group)
def sync() -> None:
    """The network process beside a node."""


@node.command("run")
@config_option
def node_run(config: Path) -> int:
    """Run the machine's process until SIGTERM.

    Example: interlock node run --config /etc/interlock/node.toml
    """
    from interlock.config import load_node
    from interlock.node.service import run_node

    return run_node(load_node(config))


@node.command("safe-state")
@config_option
def node_safe_state(config: Path) -> None:
    """Drive the relay off and let go of its pin: what systemd runs when the node has ended (ExecStopPost).

    Example: interlock node safe-state --config /etc/interlock/node.toml
    """
    from interlock.config import load_node
    from interlock.node.service import safe_state

    safe_state(load_node(config))


@node.command("check-config")
@config_option
def node_check_config(config: Path) -> None:
    """Check a node's TOML file and say what it means.

    Example: interlock node check-config --config node.toml
    """
    from interlock.config import digest, load_node, warnings

    loaded = load_node(config)
    for warning in warnings(loaded):
        click.echo(f"Warning: {warning}", err=True)
    click.echo(f"{config}: good. Machine {loaded.machine.name}, digest {digest(loaded)[:16]}")


@node.command("units")
@config_option
@click.option("--modules", is_flag=True, help="Print the kernel modules it needs instead.")
def node_units(config: Path, modules: bool) -> None:
    """Print the systemd drop-in that opens the devices which the node's file names, and no other.

    Example: interlock node units --config /etc/interlock/node.toml
    """
    from interlock.config import devices, load_node

    loaded = load_node(config)
    if modules:
        for name in devices.modules(loaded):
            click.echo(name)
    else:
        click.echo(devices.drop_in(loaded), nl=False)


@node.command("status")
@config_option
@socket_option
@json_option
def node_status(config: Path, socket_path: Path | None, as_json: bool) -> None:
    """What a running node says of itself.

    Example: interlock node status --json
    """
    from interlock.protocol.control import Op

    answer = node_at(socket_path, config).ask(Op.STATUS)
    del answer["v"], answer["ok"]
    print_values(answer, as_json)


@node.command("clear-faults")
@config_option
@socket_option
@click.option("--by", required=True, help="Who mended the machine; stands in the record.")
def node_clear_faults(config: Path, socket_path: Path | None, by: str) -> None:
    """Clear the latched faults of a machine that was mended; a fault still there is found again.

    At the Pi's own console, as root or the node's user. Nothing is switched on by it.

    Example: interlock node clear-faults --by "Fatou Diallo"
    """
    from interlock.protocol.control import Op

    node_at(socket_path, config).ask(Op.CLEAR_FAULTS, by=by)
    talk("Told. Try the machine with a badge.")


@node.command("break-glass")
@config_option
@socket_option
@click.option("--lang", type=click.Choice(["en", "fr"]), help="Default: the panel's language.")
def node_break_glass(config: Path, socket_path: Path | None, lang: str | None) -> None:
    """Clear a latched fault with the code of the envelope, where the list of rights is missing.

    The code works once; nothing is switched on by it, and a fault that is still there is found again. Anybody at the
    Pi may try, once in 5 s.

    Example: interlock node break-glass
    """
    import gettext

    from interlock.config import load_node
    from interlock.node.break_glass import normalised
    from interlock.node.panel import DOMAIN, LOCALE_DIR
    from interlock.node.words import N_
    from interlock.protocol.control import Op

    spoken = [lang or load_node(config).panel.language]
    say = gettext.translation(DOMAIN, LOCALE_DIR, languages=spoken, fallback=True).gettext
    typed = click.prompt(say(N_("The code of the envelope")), hide_input=True, err=True)
    # Mistyped is said here: it costs no try.
    node_at(socket_path, config).ask(Op.BREAK_GLASS, code=normalised(typed))
    talk(say(N_("Cleared, if it is mended. The code is used up; make the next one:")))
    talk("sudo interlock commission --only break-glass")


@node.command("enrol")
@click.argument("code", required=False)
@config_option
@click.option("--card", type=FILE, help="Take the code from an SD card's interlock.toml instead.")
@click.option("--keys", type=FILE, help="Default: the file that node.toml names.")
@click.option("--access", type=FILE, help="The same for sync's file.")
@click.option("--again", is_flag=True, help="This computer was a node before; it becomes another.")
def node_enrol(
    code: str | None,
    config: Path,
    card: Path | None,
    keys: Path | None,
    access: Path | None,
    again: bool,
) -> None:
    """Make this computer a machine's node, by the CODE on the hub's page.

    Shows six words; compare them with the page, and click there. Interrupted, the same command goes on. As root on
    a Pi, so that each of the two secret files gets its owner.

    Example: interlock node enrol IL1:192.168.1.10:8443:…
    """
    from interlock.cli.node_first_boot import former_life, require_stopped
    from interlock.clock import SystemClock
    from interlock.sync.card_file import read_card_file, wipe_code
    from interlock.sync.enrolling import enrol

    log()
    if (code is None) == (card is None):
        raise click.UsageError("Give the CODE of the hub's page, or --card FILE.")
    text = code if card is None else read_card_file(card).code
    files = _files(config, keys, access)
    if again:
        require_stopped(config)
    done = enrol(text or "", files, SystemClock(), _show, again=again)
    former = former_life(config, files.keys) if again else None
    if card is not None:
        wipe_code(card)
    click.echo(f"{done.machine}: this computer is node {done.node} of {done.lab}")
    if former is not None:
        unsent = "unknown" if former.unsent is None else former.unsent
        talk(
            f"It was {former.node}; its journal is kept in {former.folder}. Records not sent: {unsent}"
        )
    talk("Now: sudo systemctl restart interlock-node interlock-sync")


def _files(config: Path, keys: Path | None, access: Path | None) -> Files:
    """The two files named by options, else by node.toml."""
    from interlock.config import load_node
    from interlock.sync.enrolling import Files

    if keys is None or access is None:
        loaded = load_node(config)
        keys = keys or loaded.paths.keys_file
        access = access or loaded.sync.credentials_file
    return Files.beside(keys, access)


def _show(words: tuple[str, ...], machine: str) -> None:
    talk(f"{machine}: do the same six words stand on the hub's page? Then click there.")
    # A result: what a script, or a person at a serial line, compares.
    click.echo(" ".join(words))
    talk("Waiting for the click …")


@node.command("end-session")
@config_option
@socket_option
@click.option("--now", is_flag=True, help="Cut the power at once, also of a busy machine.")
def node_end_session(config: Path, socket_path: Path | None, now: bool) -> None:
    """End the running session when the machine is idle, after a warning at the latest.

    Example: interlock node end-session
    """
    from interlock.protocol.control import Op

    node_at(socket_path, config).ask(Op.CUT_NOW if now else Op.END_SESSION)
    talk("Told.")


@node.command("replay-flight")
@click.argument("file", type=FILE)
@json_option
def node_replay_flight(file: Path, as_json: bool) -> int:
    """Whether what a node recorded before a fault or crash (flight-*.jsonl.gz in its state folder) is decided alike.

    The file names nobody: send it to whoever helps.

    Example: interlock node replay-flight /var/lib/interlock/flight-000001-fault.jsonl.gz
    """
    from interlock.core import machine
    from interlock.node.flight_file import replay_flight

    found = replay_flight(file, machine.step)
    for difference in found.differences:
        talk(difference)
    answer = {
        "why": found.why,
        "software": found.software,
        "events": found.moments,
        "differences": len(found.differences),
    }
    print_values(answer, as_json)
    return EXIT_FAULT if found.differences else 0


@sync.command("run")
@config_option
def sync_run(config: Path) -> int:
    """Carry records to the hub and rights to the node until SIGTERM.

    Example: interlock sync run --config /etc/interlock/node.toml
    """
    log()
    from random import SystemRandom

    from interlock.clock import SystemClock
    from interlock.config import load_node
    from interlock.sync.service import run_sync, settings_of

    return run_sync(settings_of(load_node(config)), SystemClock(), SystemRandom())
