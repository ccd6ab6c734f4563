"""A node's answers and a Pi's logs in, one archive for whoever helps from afar out: no name, no badge, no secret.

What the node says of itself is fit for strangers already (`answers.diagnose` shortens tags and leaves members out),
its log names nobody, and its TOML file holds no secret; the keys' files are never opened here.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from interlock.errors import InterlockError, StoreError
from interlock.findings import Finding
from interlock.node.doctor_pi import Run
from interlock.protocol.control import Op

UNITS = ("interlock-node", "interlock-sync")
LOG_LINES = 5_000
"""About two days of a busy machine; the archive stays below what people send by e-mail."""

MOMENTS_MAX = 10_000
"""What the flight recorder holds (1-architecture.md)."""

PANEL_FACTS = frozenset(
    {"colour", "lamp", "light", "buzzer", "sounding", "message", "reason", "fault", "error"}
)

Ask = Callable[..., dict[str, Any]]
"""`ask(op, **arguments)`: one question to the node's control socket. Raises InterlockError."""


def pack(
    target: Path,
    *,
    ask: Ask,
    findings: list[Finding],
    config_file: Path,
    run: Run,
    recordings: Sequence[Path] = (),
) -> list[str]:
    """`target` is a new ZIP file; the names in it. Raises StoreError when it cannot be written.

    `recordings` are what the node kept before faults and crashes (`flight_keeper`), and name nobody either.

    What cannot be had (no node runs, no systemd) is in the archive as the reason why.
    """
    parts = {
        "doctor.json": _json([one.to_wire() for one in findings]),
        "status.json": _json(_status(ask)),
        "metrics.json": _json(_asked(ask, Op.METRICS)),
        "panel.json": _json(_panel(ask)),
        "flight-recorder.jsonl": "".join(_flight(ask)),
        "node.toml": _text(config_file),
    }
    for unit in UNITS:
        asked = ["journalctl", "--unit", unit, "--lines", str(LOG_LINES), "--no-pager"]
        parts[f"{unit}.log"] = run(asked) or "journalctl does not answer here\n"
    try:
        with zipfile.ZipFile(target, "x", zipfile.ZIP_DEFLATED) as archive:
            for name, text in parts.items():
                archive.writestr(name, text)
            for recording in recordings:
                archive.write(recording, recording.name)
    except OSError as error:
        raise StoreError(
            f"cannot be written: {error.strerror}",
            where=str(target),
            remedy="Name another file with --out",
        ) from error
    return sorted([*parts, *(recording.name for recording in recordings)])


def _asked(ask: Ask, op: Op, **arguments: Any) -> dict[str, Any]:
    try:
        return ask(op, **arguments)
    except InterlockError as error:
        return {"error": str(error)}


def _status(ask: Ask) -> dict[str, Any]:
    """The state of everything, but for who commissioned the machine."""
    told = _asked(ask, Op.STATUS)
    done = told.get("commissioned") or {}
    return {**told, "commissioned": {key: done[key] for key in done if key != "by"} or None}


def _panel(ask: Ask) -> dict[str, Any]:
    """What lamp and buzzer show, and why; the screen's own words may greet somebody by name."""
    shown = _asked(ask, Op.PANEL)
    return {name: value for name, value in shown.items() if name in PANEL_FACTS}


def _flight(ask: Ask) -> Iterator[str]:
    """The flight recorder's moments, a JSON line each, oldest first."""
    skip, more = 0, True
    while more and skip < MOMENTS_MAX:
        page = _asked(ask, Op.DIAGNOSE, skip=skip)
        moments = page.get("moments", [])
        if "error" in page:
            yield json.dumps(page) + "\n"
        for moment in moments:
            yield json.dumps(moment) + "\n"
        skip += len(moments)
        more = bool(page.get("next")) and bool(moments)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        return f"# {path} cannot be read: {error.strerror}\n"
