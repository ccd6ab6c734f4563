"""`interlock commission`: a machine's file and a technician in; a table, `commissioning.json` and an exit code out.

Everything that is said while somebody stands at the machine goes to stderr, the table to stdout. Nothing is said
while the relay is on (node/commission_bench.py).
"""

from __future__ import annotations

import contextlib
import gettext
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from interlock.cli.parts import EXIT_FAULT, Command, config_option, talk
from interlock.node.commission_words import (
    ACTS,
    LOOKS,
    MEASURED,
    PART_WORDS,
    PARTS,
    TITLES,
    Act,
    Look,
    Step,
)
from interlock.node.words import N_

if TYPE_CHECKING:
    from gpiozero.pins import Factory

    from interlock.clock import Clock
    from interlock.config import NodeConfig
    from interlock.config.learned import Commissioned
    from interlock.node.commission import Walk
    from interlock.node.commission_site import Result, Say

TRIES = 3
"""A code that was copied wrongly three times was written badly: it is thrown away."""

MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "yellow")}


def options(command: Callable[..., object]) -> Callable[..., object]:
    """The options that `interlock commission` and `interlock sim commission` share."""
    steps = click.Choice([step.value for step in Step])
    for option in (
        click.option("--lang", type=click.Choice(["en", "fr"]), help="Default: the panel's."),
        click.option(
            "--only",
            type=steps,
            metavar="STEP",
            multiple=True,
            help="One of the sheet's words; repeat it.",
        ),
        click.option("--by", help="Who does it; stands in the record. Else it is asked."),
        config_option,
    ):
        command = option(command)
    return command


@click.command("commission", cls=Command)
@options
def commission(config: Path, by: str | None, only: tuple[str, ...], lang: str | None) -> int:
    """Walk a technician through one machine: measure, ask, write it down. THE RELAY CLOSES several times.

    Two people, tool taken out, hands away; the printed sheet is docs/commissioning-sheet.md. As root, with the
    node stopped. Exit code 0: everything that was walked through is good; 1: something is not, which is recorded too.

    Example: interlock commission --by "Fatou Diallo"
    interlock commission --only current --only break-glass
    """
    from interlock.clock import SystemClock
    from interlock.config import load_node
    from interlock.node.pins import gpio_factory

    loaded = load_node(config)
    # Not in the node's own folder: what root's lgpio leaves there would be in the node's way.
    with tempfile.TemporaryDirectory(prefix="interlock-") as litter:
        return run_commission(
            loaded, SystemClock(), lambda: gpio_factory(Path(litter)), by=by, only=only, lang=lang
        )


def run_commission(
    config: NodeConfig,
    clock: Clock,
    pins: Callable[[], Factory],
    *,
    by: str | None,
    only: Sequence[str],
    lang: str | None,
) -> int:
    """The exit code of one walk on the given pins."""
    from interlock.errors import PinError
    from interlock.node.commission import steps_of
    from interlock.node.commission_bench import Ending
    from interlock.node.panel import DOMAIN, LOCALE_DIR

    spoken = [lang or config.panel.language]
    say = gettext.translation(DOMAIN, LOCALE_DIR, languages=spoken, fallback=True).gettext
    steps = _chosen(steps_of(config), only)
    if _node_runs(config, clock):
        talk(
            say(
                N_(
                    "The node runs and has the machine for itself. When nobody works there: "
                    "systemctl stop interlock-node"
                )
            )
        )
        return EXIT_FAULT
    ending = Ending()
    with ending.by_signals():
        try:
            person = (by or "").strip() or click.prompt(
                say(N_("Your name, for the record")), err=True
            )
            with _walk(config, clock, pins, say, ending, steps) as walk:
                walk.run(lambda number, of, step: _announce(say, number, of, step))
        except PinError as error:
            talk(say(N_("The pins are not to be had, or failed: %(why)s")) % {"why": error})
            return EXIT_FAULT
        except (KeyboardInterrupt, click.Abort):
            with contextlib.suppress(OSError):
                talk("\n" + say(N_("Stopped. The relay is off. Nothing was recorded.")))
            return EXIT_FAULT
    record = _kept(config, clock, walk, person)
    _show(say, walk, record, config)
    return 0 if walk.is_good else EXIT_FAULT


class Terminal:
    """The person of the walk, at this terminal."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def told(self, act: Act, **values: str) -> None:
        """The act stands on the terminal."""
        talk("  → " + self._say(ACTS[act]) % values)

    def ready(self, act: Act, **values: str) -> None:
        """The act stands on the terminal, and Enter was pressed."""
        click.prompt(
            "  → " + self._say(ACTS[act]) % values + " " + self._say(N_("[Enter]")),
            default="",
            show_default=False,
            prompt_suffix=" ",
            err=True,
        )

    def sees(self, look: Look) -> bool:
        """Yes or no, in the reader's language."""
        yes, no = self._say(N_("y")), self._say(N_("n"))
        while True:
            asked = f"  ? {self._say(LOOKS[look])} [{yes}/{no}]"
            answer = click.prompt(asked, prompt_suffix=" ", err=True).strip().lower()
            if answer in (yes, "y", "yes", "oui"):
                return True
            if answer in (no, "n", "no", "non"):
                return False

    def copies(self, code: str) -> bool:
        """The code was shown, and typed back from the paper."""
        from interlock.errors import ProtocolError
        from interlock.node.break_glass import normalised

        say = self._say
        talk(
            say(N_("  This code clears a latched fault when the list of rights is missing. Once."))
        )
        talk(say(N_("  Write it on paper, for the envelope. It is not shown again:")))
        talk(f"\n      {code}\n")
        for _ in range(TRIES):
            typed = click.prompt(say(N_("  ? Type it, from the paper")), err=True)
            with contextlib.suppress(ProtocolError):
                if normalised(typed) == normalised(code):
                    return True
            talk(say(N_("  That is another one.")))
        return False


@contextlib.contextmanager
def _walk(
    config: NodeConfig,
    clock: Clock,
    pins: Callable[[], Factory],
    say: Say,
    ending: object,
    steps: tuple[Step, ...],
) -> Iterator[Walk]:
    """A walk with the pins in its hands; everything is off and let go of afterwards."""
    from interlock.node.break_glass import new_code
    from interlock.node.commission import Walk
    from interlock.node.commission_bench import Bench, Ending
    from interlock.node.commission_site import Site
    from interlock.node.currents import CURRENT_BY_CONVERTER, CurrentWorker
    from interlock.node.displays import display_of
    from interlock.node.pins import MachinePins
    from interlock.readers.opening import reader_of

    assert isinstance(ending, Ending)
    bench = None
    clamp = None
    if config.current.kind in CURRENT_BY_CONVERTER:
        clamp = CurrentWorker(config.current, clock)
    try:
        rms_ma = (lambda: None) if clamp is None else clamp.rms_ma
        bench = Bench(MachinePins(config, pins()), clock, rms_ma, ending)
        if clamp is not None:
            clamp.start()
        site = Site(
            config=config,
            bench=bench,
            person=Terminal(say),
            say=say,
            clock=clock,
            open_reader=lambda: reader_of(config, clock),
            open_display=lambda: display_of(config.screen),
            new_code=lambda: new_code(secrets.choice),
        )
        yield Walk(site, steps)
    finally:
        if bench is not None:
            bench.close()
        if clamp is not None:
            clamp.stop()


def _chosen(asked: tuple[Step, ...], only: Sequence[str]) -> tuple[Step, ...]:
    missing = sorted(set(only) - {step.value for step in asked})
    if missing:
        raise click.UsageError(f"This machine's file declares nothing for: {', '.join(missing)}")
    return tuple(step for step in asked if not only or step.value in only)


def _node_runs(config: NodeConfig, clock: Clock) -> bool:
    """Whether a node answers at its socket; one that hangs has the pins, which is noticed then."""
    from interlock.errors import LinkError, ProtocolError
    from interlock.protocol.control import Op
    from interlock.sync.node_link import NodeClient

    try:
        NodeClient(config.paths.socket, clock).ask(Op.PANEL)
    except ProtocolError:
        return True
    except LinkError:
        return False
    return True


def _announce(say: Say, number: int, of: int, step: Step) -> None:
    head = say(N_("Step %(number)d of %(of)d")) % {"number": number, "of": of}
    talk(click.style(f"\n{head} · {PARTS[step]} · {say(TITLES[step])}", bold=True))


# -------------------------------------------------------------------------------------------- result


def _kept(config: NodeConfig, clock: Clock, walk: Walk, by: str) -> Commissioned:
    """The record of the walk, written; of steps that were not walked, what stands from before on the same wiring."""
    from interlock import __version__
    from interlock.config import digest
    from interlock.config.learned import (
        BY_LENGTH_MAX,
        Commissioned,
        read_commissioned_or_none,
        wiring_digest,
        write_commissioning,
    )
    from interlock.node.break_glass import sealed
    from interlock.node.commission import findings

    path, wiring = config.paths.learned, wiring_digest(config)
    before = read_commissioned_or_none(path)
    known = before.findings if before is not None and before.wiring == wiring else ()
    now_at = clock.wall_ms() // 1_000
    record = Commissioned(
        id=secrets.token_hex(8),
        at=now_at,
        by=" ".join(by.split())[:BY_LENGTH_MAX],
        config=digest(config),
        wiring=wiring,
        software=__version__,
        findings=findings(config, walk, known),
    )
    code = walk.site.break_glass
    seal = None if code is None else sealed(code, secrets.token_bytes(16), now_at)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_commissioning(path, record, walk.site.thresholds, seal)
    return record


def _show(say: Say, walk: Walk, record: Commissioned, config: NodeConfig) -> None:
    click.echo()
    for step, results in walk.results.items():
        for one in results:
            click.echo(_row(say, step, one))
    click.echo()
    if record.open:
        names = ", ".join(record.open)
        click.echo(say(N_("NOT GOOD or not tested: %(names)s")) % {"names": names})
        click.echo(say(N_("Q1 stays open and locked until that is mended and tested again.")))
    else:
        click.echo(say(N_("Everything is good.")))
    click.echo(say(N_("Written to %(path)s.")) % {"path": config.paths.learned})
    click.echo(say(N_("Start the node, and the hub hears of it: systemctl start interlock-node")))


def _row(say: Say, step: Step, one: Result) -> str:
    mark, colour = MARKS[one.good]
    part = one.name.partition(": ")[2]
    title = say(TITLES[step])
    if part:
        title += f" · {say(PART_WORDS[part]) if part in PART_WORDS else part}"
    said = [] if one.good else [one.text]
    said += [say(MEASURED[name]) % value for name, value in one.measured.items()]
    tail = ": " + "; ".join(said) if said else ""
    return f"{click.style(mark, fg=colour)} {PARTS[step]}  {title}{tail}"
