"""`interlock doctor`: a Pi's health on stdout, a line for each thing looked at and what to do about it."""

from __future__ import annotations

import gettext
import json
from pathlib import Path

import click

from interlock.cli.parts import EXIT_FAULT, Command, config_option, json_option, node_at

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

    Example: sudo interlock doctor
    interlock doctor --json
    """
    from interlock.config import load_node
    from interlock.node.doctor import Verdict, ask_node, examine_node
    from interlock.node.doctor_pi import Pi, examine_pi, run_command
    from interlock.node.panel import DOMAIN, LOCALE_DIR

    node = load_node(config)
    words = gettext.translation(
        DOMAIN, LOCALE_DIR, languages=[lang or node.panel.language], fallback=True
    )
    answers = ask_node(lambda op: node_at(None, config).ask(op))
    findings = [
        *examine_node(answers, node, words.gettext),
        *examine_pi(Pi(root, run_command), node, words.gettext),
    ]
    if as_json:
        click.echo(json.dumps([one.to_wire() for one in findings], ensure_ascii=False, indent=2))
    else:
        for one in findings:
            mark = click.style(MARKS[one.verdict.value], fg=COLOURS[one.verdict.value])
            click.echo(f"{mark} {one.what}")
            if one.remedy:
                click.echo(f"  → {one.remedy}")
    return EXIT_FAULT if any(one.verdict is Verdict.BAD for one in findings) else 0
