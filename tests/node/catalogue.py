"""The node's source goes in; every message that people can read comes out, and the catalogue is kept up.

    python -m tests.node.catalogue     adds new messages to the .po, drops unused ones, writes the .mo

The domain `interlock` belongs to everything but the hub.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

PACKAGE = Path(__file__).resolve().parents[2] / "interlock"
ROOMS = ("cli", "config", "desk", "node", "sync")
FRENCH = PACKAGE / "locale" / "fr" / "LC_MESSAGES" / "interlock.po"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
KEYWORDS = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2)}


def messages_in_use() -> Catalog:
    """Every message of the code."""
    catalogue = Catalog(domain="interlock", charset="utf-8")
    for room in ROOMS:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            stream = io.BytesIO(path.read_bytes())
            for _line, message, _comments, _context in extract("python", stream, KEYWORDS):
                catalogue.add(message, locations=[(str(path.relative_to(PACKAGE)), 0)])
    return catalogue


def read_french() -> Catalog:
    """The French catalogue as it stands."""
    with FRENCH.open("rb") as source:
        return read_po(source, locale="fr", domain="interlock")


def compiled(catalogue: Catalog) -> bytes:
    """The .mo of a catalogue."""
    target = io.BytesIO()
    write_mo(target, catalogue)
    return target.getvalue()


def update() -> Catalog:
    """The .po holds exactly the messages in use, each with the words it had; the .mo is its own."""
    french = read_french()
    french.update(messages_in_use(), no_fuzzy_matching=True)
    french.obsolete.clear()
    french.fuzzy = False
    # The same messages give the same bytes, whenever it runs.
    french.creation_date = french.revision_date = EPOCH
    with FRENCH.open("wb") as target:
        write_po(target, french, width=100, sort_by_file=False, include_lineno=False)
    FRENCH.with_suffix(".mo").write_bytes(compiled(read_french()))
    return french


if __name__ == "__main__":
    missing = [message.id for message in update() if message.id and not message.string]
    raise SystemExit("\n".join(["to translate:", *map(str, missing)]) if missing else 0)
