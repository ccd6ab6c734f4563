"""The hub's source goes in; every message that people can read comes out, and the catalogue is kept up.

    python -m tests.hub.catalogue     adds new messages to the .po, drops unused ones, writes the .mo

Django's makemessages needs GNU xgettext; this needs only Babel, which the tests install anyway.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

PACKAGE = Path(__file__).resolve().parents[2] / "interlock"
HUB = PACKAGE / "hub"
FRENCH = PACKAGE / "locale" / "fr" / "LC_MESSAGES" / "django.po"

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

KEYWORDS = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}

MessageId = str | tuple[str, ...]


def messages_in_use() -> Catalog:
    """Every message of the hub's code and templates."""
    catalogue = Catalog(domain="django", charset="utf-8")
    for path, source in _sources():
        stream = io.BytesIO(source.encode())
        for _line, message, _comments, context in extract("python", stream, KEYWORDS):
            catalogue.add(message, locations=[(path, 0)], context=context)
    return catalogue


def read_french() -> Catalog:
    """The French catalogue as it stands."""
    with FRENCH.open("rb") as source:
        return read_po(source, locale="fr", domain="django")


def compiled(catalogue: Catalog) -> bytes:
    """The .mo of a catalogue."""
    target = io.BytesIO()
    write_mo(target, catalogue)
    return target.getvalue()


def update() -> Catalog:
    """The .po holds exactly the messages in use, each with the words it had; the .mo is its own."""
    french = read_french() if FRENCH.exists() else Catalog(locale="fr", domain="django")
    french.update(messages_in_use(), no_fuzzy_matching=True)
    french.obsolete.clear()
    french.fuzzy = False
    # The same messages give the same bytes, whenever it runs.
    french.creation_date = french.revision_date = EPOCH
    FRENCH.parent.mkdir(parents=True, exist_ok=True)
    with FRENCH.open("wb") as target:
        write_po(
            target, french, width=100, no_location=False, sort_by_file=False, include_lineno=False
        )
    FRENCH.with_suffix(".mo").write_bytes(compiled(read_french()))
    return french


def _sources() -> Iterator[tuple[str, str]]:
    for path in sorted(HUB.rglob("*.py")):
        if "migrations" not in path.parts:
            yield str(path.relative_to(PACKAGE)), path.read_text(encoding="utf-8")
    for path in sorted((HUB / "templates").rglob("*.html")):
        text = templatize(path.read_text(encoding="utf-8"))
        # What is no message became X; brackets around it keep the tokenizer from minding indents.
        lines = "\n".join(line.strip() for line in text.splitlines())
        yield str(path.relative_to(PACKAGE)), f"(\n{lines}\n)"


if __name__ == "__main__":
    missing = [message.id for message in update() if message.id and not message.string]
    raise SystemExit("\n".join(["to translate:", *map(str, missing)]) if missing else 0)
