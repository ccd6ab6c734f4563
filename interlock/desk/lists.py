"""What became of the taps of a day goes in; a spreadsheet and a page to print come out, kept from other eyes."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from interlock.desk import private_files
from interlock.desk.making import Made, Outcome
from interlock.desk.words import _

STYLE = (
    "body{font:11pt sans-serif;margin:2cm}table{border-collapse:collapse;width:100%}"
    "td,th{border-bottom:1px solid #999;padding:3pt 6pt;text-align:left}"
    "tr{break-inside:avoid}thead{display:table-header-group}"
)


def write(folder: Path, lines: Sequence[Made], lab: str, wall_ms: int) -> tuple[Path, Path]:
    """The same list twice, as CSV and as HTML; mode 0600, because it names members."""
    at = datetime.fromtimestamp(wall_ms / 1000, UTC).astimezone()
    stem = f"badges-{at:%Y%m%d-%H%M%S}"
    sheet, page = folder / f"{stem}.csv", folder / f"{stem}.html"
    private_files.create(sheet, to_csv(lines).encode("utf-8-sig"))
    private_files.create(page, to_html(lines, lab, f"{at:%Y-%m-%d %H:%M}").encode())
    return sheet, page


def to_csv(lines: Sequence[Made]) -> str:
    """For a spreadsheet: what begins like a formula is text."""
    target = io.StringIO()
    writer = csv.writer(target, delimiter=";", lineterminator="\r\n")
    writer.writerow(_heads())
    for line in lines:
        writer.writerow([_harmless(cell) for cell in _cells(line)])
    return target.getvalue()


def to_html(lines: Sequence[Made], lab: str, at: str) -> str:
    """For the printer: one page that needs nothing else."""
    title = html.escape(_("Badges made at the desk of %s") % lab)
    heads = "".join(f"<th>{html.escape(head)}</th>" for head in _heads())
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in _cells(line)) + "</tr>\n"
        for line in lines
    )
    return (
        f'<!doctype html>\n<html><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body><h1>{title}</h1><p>{html.escape(at)}</p>\n"
        f"<table><thead><tr>{heads}</tr></thead><tbody>\n{rows}</tbody></table></body></html>\n"
    )


def _heads() -> list[str]:
    return [_("Member"), _("Card"), _("Key"), _("Generation"), _("Result")]


def _cells(line: Made) -> list[str]:
    return [
        line.member,
        line.kind,
        "" if line.key_number is None else str(line.key_number),
        "" if line.generation is None else str(line.generation),
        _result(line),
    ]


def _result(line: Made) -> str:
    return {
        Outcome.MADE: _("genuine"),
        Outcome.WAITS_FOR_HUB: _("genuine, the hub is told later"),
        Outcome.ALREADY: _("was genuine already"),
        Outcome.LEFT: _("not finished"),
        Outcome.SHOWN: _("nothing was changed"),
        Outcome.REFUSED: line.reason,
    }[line.outcome]


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
