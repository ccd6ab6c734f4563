"""The hub's folder to typed paths, settings and keys: hub.db, hub.toml, keys/ (each 0600).

hub.toml   name, time zone and language of the lab, the names the hub answers to, where nodes find it
keys/      signing.key (Ed25519, signs snapshots and time), badge.key (makes badge tags),
           secret.key (signs people's sessions), card.key (seals the keys of genuine badges),
           authority-N.key and .crt (the lab's certificate authority), server.pem (hub.authority)
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import secrets
import socket
import stat
import tomllib
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interlock.clock import Clock, SystemClock
from interlock.errors import ConfigError
from interlock.hub.authority import Certificates
from interlock.protocol.tags import BADGE_KEY_BYTES

KEY_MODE = 0o600
FOLDER_MODE = 0o700
SIGNING_KEY_BYTES = 32
"""An Ed25519 private key in raw form, RFC 8032."""
CARD_KEY_BYTES = 32
"""HKDF-SHA256 makes the working keys of it (hub.card_keys)."""
SECRET_KEY_BYTES = 50
"""What `django-admin startproject` makes; it keys the signatures of people's sessions."""

LANGUAGES = ("en", "fr")
NAME_LENGTH_MAX = 100
NODE_PORT = 8443
"""Where nodes find the hub unless hub.toml says otherwise: beside 8080 for people, and no root needed."""
PORT_MAX = 65_535
KEPT_MAX = 90
"""Back-ups of one kind: none is older than 90 days anyway (hub.backup)."""


@dataclass(frozen=True, slots=True)
class HubConfig:
    """What hub.toml says. `hosts` are the names and addresses the hub may be called by, that of `url` among
    them: the address that people type, which links in e-mails begin with. `node_address` (empty: whatever the
    fab manager calls it by) and `node_port` are where nodes find it; `lan_servers` those of the lab's own
    network that the hub may ask for a booking calendar."""

    name: str
    time_zone: str = "Europe/Paris"
    language: str = "fr"
    hosts: tuple[str, ...] = ()
    url: str = ""
    node_address: str = ""
    node_port: int = NODE_PORT
    lan_servers: tuple[str, ...] = ()
    backup_folder: str = ""
    backup_daily: int = 7
    backup_weekly: int = 4

    def __post_init__(self) -> None:
        # A link that the hub writes is one that it answers.
        known = filter(None, [*self.hosts, _host_of(self.url)])
        object.__setattr__(self, "hosts", tuple(dict.fromkeys(bare_host(one) for one in known)))
        if isinstance(self.node_address, str):
            object.__setattr__(self, "node_address", bare_host(self.node_address))

    def names(self) -> list[str]:
        """Every name and address the hub answers to, which its certificate names too."""
        own = socket.gethostname().lower()
        known = ["localhost", "127.0.0.1", "::1", own, f"{own}.local", *self.hosts]
        return list(dict.fromkeys([*known, *filter(None, [self.node_address])]))

    def called(self) -> list[str]:
        """`names` as a Host header spells them, beside which no request is answered."""
        return [host_in_url(one) for one in self.names()]

    def to_toml(self) -> str:
        """The file that reads back as this configuration."""
        hosts = ", ".join(_quoted(host) for host in self.hosts)
        servers = ", ".join(_quoted(server) for server in self.lan_servers)
        return (
            "# Interlock's hub. It reads this file when it starts.\n\n[lab]\n"
            "# Shown on every page and statement.\n"
            f"name = {_quoted(self.name)}\n"
            "# Days, opening hours and daily caps are those of this zone (IANA name).\n"
            f"time_zone = {_quoted(self.time_zone)}\n"
            '# "en" or "fr": the language of new members and of exported lists.\n'
            f"language = {_quoted(self.language)}\n\n[hub]\n"
            "# Further names and addresses by which people and nodes reach this hub.\n"
            f"hosts = [{hosts}]\n"
            "# The address in the links of its e-mails, like https://hub.lab.example; empty: mails have none.\n"
            f"url = {_quoted(self.url)}\n"
            "# Servers of the lab's own network (name or address, with :port where it has one) that the hub\n"
            "# may ask for a booking calendar; all others have to be public.\n"
            f"lan_servers = [{servers}]\n\n[nodes]\n"
            "# Name or address by which the machines reach this hub; empty: the one in your browser.\n"
            f"address = {_quoted(self.node_address)}\n"
            "# Its port for machines: HTTPS with the lab's own certificate authority.\n"
            f"port = {self.node_port}\n\n[backup]\n"
            "# Where `interlock hub backup` puts sealed back-ups each night: another disk, or another\n"
            "# computer. Empty: nowhere. docs/backup.md.\n"
            f"folder = {_quoted(self.backup_folder)}\n"
            "# How many are kept: of the last days and of the last weeks; never one older than 90 days.\n"
            f"daily = {self.backup_daily}\n"
            f"weekly = {self.backup_weekly}\n"
        )


@dataclass(frozen=True, slots=True)
class HubDirectory:
    """One hub's folder; nothing is read before a method is called."""

    path: Path

    @property
    def database(self) -> Path:
        """The SQLite database."""
        return self.path / "hub.db"

    @property
    def config_file(self) -> Path:
        """The configuration, TOML."""
        return self.path / "hub.toml"

    @property
    def keys(self) -> Path:
        """The folder of the hub's secrets."""
        return self.path / "keys"

    def config(self) -> HubConfig:
        """hub.toml, checked. Raises ConfigError: missing, unreadable, unknown key, wrong value."""
        return read_config(self.config_file)

    def signing_key(self) -> Ed25519PrivateKey:
        """The key that signs snapshots and time. Raises ConfigError."""
        return Ed25519PrivateKey.from_private_bytes(self._secret("signing.key", SIGNING_KEY_BYTES))

    def badge_key(self) -> bytes:
        """The lab badge key that turns UIDs into tags. Raises ConfigError."""
        return self._secret("badge.key", BADGE_KEY_BYTES)

    def secret_key(self) -> str:
        """Django's SECRET_KEY. Raises ConfigError."""
        return self._secret("secret.key", SECRET_KEY_BYTES).hex()

    def card_key(self) -> bytes:
        """The master of the keys that seal and wrap card keys. Raises ConfigError."""
        return self._secret(CARD_KEY_NAME, CARD_KEY_BYTES)

    @property
    def has_card_key(self) -> bool:
        """Whether there is a card.key."""
        return (self.keys / CARD_KEY_NAME).exists()

    def add_card_key(self) -> None:
        """A hub that is older than genuine badges has its card.key; one that is there stays."""
        if not self.has_card_key:
            _write_new(self.keys / CARD_KEY_NAME, _fresh(CARD_KEY_BYTES))

    def certificates(self, clock: Clock) -> Certificates:
        """The lab's certificate authority and the hub's certificate."""
        return Certificates(self.keys, clock)

    def create(self, config: HubConfig) -> None:
        """The folder holds hub.toml and fresh keys. Raises ConfigError when a hub lives there."""
        check_config(config, where="hub.toml")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(FOLDER_MODE)
            self.keys.mkdir(mode=FOLDER_MODE, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot be made: {error.strerror}", where=str(self.path)) from error
        for name, length in _KEY_BYTES.items():
            _write_new(self.keys / name, _fresh(length))
        self.certificates(SystemClock()).create(config.name)
        _write_new(self.config_file, config.to_toml().encode())

    def _secret(self, name: str, length: int) -> bytes:
        path = self.keys / name
        try:
            with path.open("rb") as source:
                mode = stat.S_IMODE(os.fstat(source.fileno()).st_mode)
                text = source.read(4 * SECRET_KEY_BYTES)
        except OSError as error:
            raise ConfigError(
                f"cannot be read: {error.strerror}", where=str(path), remedy=_NO_HUB
            ) from error
        if mode & 0o077:
            raise ConfigError(
                f"others may read or change this secret (mode {mode:04o})",
                where=str(path),
                remedy=f"Run: chmod 600 {path}",
            )
        try:
            value = bytes.fromhex(text.decode("ascii").strip())
        except ValueError:
            value = b""
        if len(value) != length:
            raise ConfigError(
                f"this is not a key of {length} bytes in hexadecimal",
                where=str(path),
                remedy="Restore it from a back-up: nodes and badges depend on it",
            )
        return value


CARD_KEY_NAME = "card.key"
_KEY_BYTES = {
    CARD_KEY_NAME: CARD_KEY_BYTES,
    "signing.key": SIGNING_KEY_BYTES,
    "badge.key": BADGE_KEY_BYTES,
    "secret.key": SECRET_KEY_BYTES,
}
_NO_HUB = "Make a hub first: interlock hub init --dir DIR"
_KNOWN = {
    "lab": ("name", "time_zone", "language"),
    "hub": ("hosts", "url", "lan_servers"),
    "nodes": ("address", "port"),
    "backup": ("folder", "daily", "weekly"),
}


def bare_host(name: str) -> str:
    """A name or address as this hub compares it: without brackets, an address of IPv6 in its one short spelling
    (RFC 5952), which browsers and certificates use too."""
    bare = name.strip().strip("[]").lower()
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return bare


def host_in_url(name: str) -> str:
    """A bare name or address as it stands in an address: one of IPv6 in brackets (RFC 3986, 3.2.2)."""
    return f"[{name}]" if ":" in name else name


def read_config(path: Path) -> HubConfig:
    """The configuration in `path`. Raises ConfigError: the key's path and the nearest known."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", where=str(path), remedy=_NO_HUB
        ) from error
    except ValueError as error:
        raise ConfigError(f"this is not TOML: {error}", where=str(path)) from error
    _refuse_unknown(path, tables)
    lab, hub = tables.get("lab", {}), tables.get("hub", {})
    lists = {key: hub.get(key, []) for key in ("hosts", "lan_servers")}
    for key, value in lists.items():
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise ConfigError("must be a list of texts", where=f"{path}: hub.{key}")
    if "name" not in lab:
        raise ConfigError("is missing", where=f"{path}: lab.name", remedy='Write name = "…"')
    nodes = tables.get("nodes", {})
    config = HubConfig(
        **lab,
        hosts=tuple(lists["hosts"]),
        url=hub.get("url", ""),
        lan_servers=tuple(lists["lan_servers"]),
        node_address=nodes.get("address", ""),
        node_port=nodes.get("port", NODE_PORT),
        **{f"backup_{key}": value for key, value in tables.get("backup", {}).items()},
    )
    check_config(config, where=str(path))
    return config


def check_config(config: HubConfig, *, where: str) -> None:
    """Return when every value is usable. Raises ConfigError."""
    for key in _KNOWN["lab"]:
        if not isinstance(getattr(config, key), str):
            raise ConfigError("must be text", where=f"{where}: lab.{key}")
    _check_backup(config, where)
    _check_url(config.url, where)
    # Straight from the file, whatever the class says of it.
    port: object = config.node_port
    address: object = config.node_address
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port <= PORT_MAX:
        raise ConfigError(f"must be a port, 1 to {PORT_MAX}", where=f"{where}: nodes.port")
    if not isinstance(address, str) or not _is_host(address):
        raise ConfigError(
            "must be a name or an address, without port",
            where=f"{where}: nodes.address",
            remedy='Write one like "hub.lab.example", "192.168.1.10" or "fd00::10"',
        )
    if not 0 < len(config.name.strip()) <= NAME_LENGTH_MAX:
        raise ConfigError(
            f"must have 1 to {NAME_LENGTH_MAX} characters", where=f"{where}: lab.name"
        )
    if config.language not in LANGUAGES:
        raise ConfigError(
            f"must be one of {', '.join(LANGUAGES)}, not {config.language!r}",
            where=f"{where}: lab.language",
        )
    try:
        zoneinfo.ZoneInfo(config.time_zone)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError) as error:
        raise ConfigError(
            f"{config.time_zone!r} is no time zone",
            where=f"{where}: lab.time_zone",
            remedy='Write one like "Europe/Paris"',
        ) from error


def _host_of(url: object) -> str:
    """The host of a hub's address; empty: it is none."""
    if not isinstance(url, str) or not url.isprintable():
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    is_bare = parts.scheme in ("http", "https") and not parts.path.strip("/") and not parts.query
    return (parts.hostname or "") if is_bare else ""


def _is_host(address: str) -> bool:
    """Whether machines can be told of it; a zone, as in fe80::1%eth0, means another network on each computer."""
    if set(address) & set(" /@%\t\n"):
        return False
    try:
        return ":" not in address or ipaddress.ip_address(address).version == 6
    except ValueError:
        return False


def _check_url(url: object, where: str) -> None:
    if url != "" and not _host_of(url):
        raise ConfigError(
            "must be the hub's address with http or https, without a path, or empty",
            where=f"{where}: hub.url",
            remedy='Write one like "https://hub.lab.example"',
        )


def _check_backup(config: HubConfig, where: str) -> None:
    folder: Any = config.backup_folder
    if not isinstance(folder, str) or (folder and not Path(folder).is_absolute()):
        raise ConfigError(
            "must be the whole path of a folder, or empty",
            where=f"{where}: backup.folder",
            remedy='Write one like "/media/usb/interlock"',
        )
    for key, lowest in (("daily", 1), ("weekly", 0)):
        value: Any = getattr(config, f"backup_{key}")
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= KEPT_MAX:
            raise ConfigError(
                f"must be a whole number from {lowest} to {KEPT_MAX}",
                where=f"{where}: backup.{key}",
            )


def _refuse_unknown(path: Path, tables: Mapping[str, Any]) -> None:
    for name, table in tables.items():
        _refuse_unknown_key(path, name, tuple(_KNOWN))
        if not isinstance(table, dict):
            raise ConfigError("must be a table", where=f"{path}: {name}", remedy=f"Write [{name}]")
        for key in table:
            _refuse_unknown_key(path, f"{name}.{key}", tuple(f"{name}.{k}" for k in _KNOWN[name]))


def _refuse_unknown_key(path: Path, key: str, known: tuple[str, ...]) -> None:
    if key in known:
        return
    nearest = difflib.get_close_matches(key, known, n=1)
    remedy = f"Did you mean {nearest[0]}?" if nearest else f"Known here: {', '.join(known)}"
    raise ConfigError("is not a setting of the hub", where=f"{path}: {key}", remedy=remedy)


def _quoted(text: str) -> str:
    """A TOML basic string (TOML 1.0, "String")."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'


def _fresh(length: int) -> bytes:
    return secrets.token_bytes(length).hex().encode() + b"\n"


def _write_new(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, KEY_MODE)
    except FileExistsError as error:
        raise ConfigError(
            "a hub lives in this folder already",
            where=str(path),
            remedy="Choose an empty folder, or run the hub that is there",
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=str(path)) from error
    with os.fdopen(descriptor, "wb") as target:
        target.write(content)
