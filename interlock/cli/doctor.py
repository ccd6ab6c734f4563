"""`interlock doctor` and `interlock diagnose`: a Pi's health on the terminal, or packed for who helps from afar."""

from __future__ import annotations

import gettext
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from interlock.cli.parts import (
    EXIT_FAULT,
    FILE,
    Command,
    config_option,
    json_option,
    node_at,
    talk,
)

if TYPE_CHECKING:
    from interlock.findings import Finding

MARKS = {"good": "✓", "care": "!", "bad": "✗", "unknown": "?"}
COLOURS = {"good": "green", "care": "yellow", "bad": "red", "unknown": "cyan"}


@click.command("doctor", cls=Command)
@config_option
@json_option
@click.option("--lang", type=click.Choice(["en", "fr"]), help="Default: the panel's language.")
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), default="/", hidden=True)
def doctor(config: Path, as_json: bool, lang: str | None, root: Path) -> int:
    """Look at everything a machine's safety and bills depend on; nothing is changed, no relay moves.

    Exit code 0: nothing is broken; 1: something is (✗). A mark ! works and should not stay so, ? could not be
    looked at.

    Example: interlock doctor
    interlock doctor --json
    """
    from interlock.findings import Verdict

    findings = _findings(config, lang, root)
    if as_json:
        click.echo(json.dumps([one.to_wire() for one in findings], ensure_ascii=False, indent=2))
    else:
        for one in findings:
            mark = click.style(MARKS[one.verdict.value], fg=COLOURS[one.verdict.value])
            click.echo(f"{mark} {one.what}")
            if one.remedy:
                click.echo(f"  → {one.remedy}")
    return EXIT_FAULT if any(one.verdict is Verdict.BAD for one in findings) else 0


@click.command("diagnose", cls=Command)
@config_option
@click.option("--out", type=FILE, default="interlock-diagnosis.zip", show_default=True)
def diagnose(config: Path, out: Path) -> None:
    """Pack what somebody far away needs to find a fault: no name, no badge, no secret.

    The doctor's findings, the node's state, its last 10,000 events, those before its last faults, its log and its
    configuration.

    Example: interlock diagnose --out saw.zip
    """
    from interlock.node.diagnosis import pack
    from interlock.node.doctor_pi import run_command
    from interlock.node.flight_keeper import recordings_of

    names = pack(
        out,
        ask=node_at(None, config).ask,
        findings=_findings(config, "en", Path("/")),
        config_file=config,
        run=run_command,
        recordings=recordings_of(config),
    )
    talk(f"{out}: {', '.join(names)}. Look at it, then send it to whoever helps you.")


def _findings(config: Path, language: str | None, root: Path) -> list[Finding]:
    from interlock.config import load_node
    from interlock.node.doctor import ask_node, examine_node
    from interlock.node.doctor_pi import Pi, examine_pi, run_command
    from interlock.node.panel import DOMAIN, LOCALE_DIR

    node = load_node(config)
    spoken = [language or node.panel.language]
    say = gettext.translation(DOMAIN, LOCALE_DIR, languages=spoken, fallback=True).gettext
    answers = ask_node(node_at(None, config).ask)
    return [*examine_node(answers, node, say), *examine_pi(Pi(root, run_command), node, say)]
