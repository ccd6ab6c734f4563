"""The desk's TOML file in, frozen settings out, and back; strict like a node's file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.cards.keys import INPUT_BYTES_MAX
from interlock.config.keys import REQUIRED, Key, Values, choice, number, read_toml, text
from interlock.desk.hub import check_url
from interlock.desk.words import _
from interlock.errors import ConfigError
from interlock.readers.opening import ID_FORMS, KINDS

AID_DEFAULT = "F51001"
SITE_ID_BYTES_MIN = 6
SITE_ID_BYTES_MAX = INPUT_BYTES_MAX - 11
"""Beside the constant, a UID of 7 bytes and the application (cards.keys)."""
MASTER_OURS, MASTER_LEFT = "ours", "leave"

KEYS: tuple[Key, ...] = (
    text("hub.url", REQUIRED, "where the hub's API is"),
    text("hub.token_file", "token", "the token of this desk, in a file of mode 0600"),
    text("hub.ca_file", None, "the certificate of a hub that signed its own"),
    choice("reader.kind", "pcsc", " ".join(KINDS), "which reader lies on the desk"),
    text("reader.device", None, "a serial line, a part of a PC/SC name, or an input device"),
    number("reader.spi_bus", 0, 0, 6, "an mfrc522 hangs on /dev/spidevBUS.DEVICE"),
    number("reader.spi_device", 0, 0, 2, "its chip select"),
    choice("reader.id_form", ID_FORMS[0], " ".join(ID_FORMS), "how a keyboard types a number"),
    text(
        "cards.site_id", REQUIRED, "part of every card's key; it never changes", SITE_ID_BYTES_MAX
    ),
    text("cards.aid", AID_DEFAULT, "the lab's DESFire application", 6),
    text("cards.site_key_file", "site-keys.json", "the site keys, in a file of mode 0600"),
    choice(
        "cards.master_key",
        MASTER_OURS,
        f"{MASTER_OURS} {MASTER_LEFT}",
        "whether the master key of a whole DESFire card becomes the lab's",
    ),
    text("paths.state_dir", "desk-state", "where the ledger lies, and what waits for the hub"),
)


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """Which reader lies on the desk."""

    kind: str
    device: str
    spi_bus: int
    spi_device: int
    id_form: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a desk has to be told. `aid` is as it is sent: low byte first."""

    hub_url: str
    token_file: Path
    ca_file: Path | None
    reader: ReaderSettings
    site_id: str
    aid: bytes
    site_key_file: Path
    looks_after_card: bool
    state_dir: Path


def load(path: Path) -> Settings:
    """The desk that `path` describes. Raises ConfigError."""
    try:
        document = read_toml(path)
    except ConfigError as error:
        if path.exists():
            raise
        raise ConfigError(
            _("there is no such file: this desk does not know its hub yet"),
            where=str(path),
            remedy=_("Run: interlock desk connect --help"),
        ) from error
    return parse(document, path.parent)


def parse(document: Mapping[str, Any], folder: Path) -> Settings:
    """The desk that a parsed document describes; relative paths begin in `folder`. Raises ConfigError."""
    values = Values(document, KEYS)
    url, site_id = str(values.value("hub.url")), str(values.value("cards.site_id"))
    check_url(url)
    _check_site_id(site_id)
    ca_file = values.value("hub.ca_file")
    return Settings(
        hub_url=url,
        token_file=folder / values.value("hub.token_file"),
        ca_file=None if ca_file is None else folder / ca_file,
        reader=ReaderSettings(
            values.value("reader.kind"),
            values.value("reader.device") or "",
            values.value("reader.spi_bus"),
            values.value("reader.spi_device"),
            values.value("reader.id_form"),
        ),
        site_id=site_id,
        aid=_aid(values.value("cards.aid")),
        site_key_file=folder / values.value("cards.site_key_file"),
        looks_after_card=values.value("cards.master_key") == MASTER_OURS,
        state_dir=folder / values.value("paths.state_dir"),
    )


def to_toml(document: Mapping[str, Mapping[str, object]]) -> str:
    """A document of tables with texts and numbers, as a file."""
    lines = []
    for table, values in document.items():
        lines.append(f"[{table}]")
        # A JSON string of printable characters is a TOML basic string.
        lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
        lines.append("")
    return "\n".join(lines)


def _check_site_id(site_id: str) -> None:
    length = len(site_id.encode())
    if not SITE_ID_BYTES_MIN <= length <= SITE_ID_BYTES_MAX or not site_id.isascii():
        raise ConfigError(
            _("a site id has %(least)d to %(most)d plain letters, digits or signs")
            % {"least": SITE_ID_BYTES_MIN, "most": SITE_ID_BYTES_MAX},
            where="cards.site_id",
            remedy=_("Write the lab's name or domain once and for all, for example fablab-x.org"),
        )


def _aid(written: str) -> bytes:
    if not re.fullmatch(r"F5[0-9A-F]{4}", written.upper()):
        raise ConfigError(
            _("%r is no application of a lab") % written,
            where="cards.aid",
            remedy=_("Write F5 and four more hexadecimal digits, for example %s") % AID_DEFAULT,
        )
    return bytes.fromhex(written)[::-1]
