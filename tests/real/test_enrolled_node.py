"""A node that was enrolled by a code works over HTTPS; and no secret lies where docs/security.md does not say so."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from interlock.config.secret_files import read_hub_access, read_node_keys
from interlock.sync.enrolling import Files
from tests.hub.process import HubFolder
from tests.real.enrolment import Computer, Manager
from tests.real.lab import HUB, Lab, lab_from
from tests.waiting import wait_until

pytestmark = pytest.mark.real

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "security.md"
_ADDRESS = re.compile(r"nodes: (https://\S+?)/?$", re.MULTILINE)


@pytest.fixture(scope="module")
def enrolled(template: Path) -> Iterator[Lab]:
    """A lab whose saw got a new computer by a code: its node and sync run, over HTTPS."""
    with lab_from(template) as lab:
        lab.start_hub()
        url = wait_until(lambda: _ADDRESS.search(lab.log(HUB)), 20.0, "the door for machines")[1]
        manager = Manager(HubFolder(lab.root / "hub", "", ""))
        computer = Computer(lab.root / "screen")
        computer.files = Files.beside(lab.folder.node_keys, lab.folder.sync_access)
        # The Pi died: another card, without journal, lists or keys.
        shutil.rmtree(lab.folder.state)
        lab.folder.state.mkdir()
        for lost in (lab.folder.node_keys, lab.folder.sync_access):
            lost.unlink()
        try:
            computer.begin(manager.code(url))
            words = computer.words()
            assert manager.words() == words
            manager.ask("confirm", "saw")
            assert computer.end() == 0, computer.said
        finally:
            computer.kill()
            manager.leave()
        lab.node_keys = read_node_keys(lab.folder.node_keys)
        lab.start(hub=False)
        lab.locked()
        wait_until(lab.has_rights, 60.0, "a node with rights")
        yield lab


def test_a_badge_makes_a_session_over_https_with_a_new_node_in_a_new_epoch(enrolled: Lab) -> None:
    access = read_hub_access(enrolled.folder.sync_access)
    assert access.hub_url.startswith("https://")
    assert (access.node, enrolled.node_keys.epoch) == ("saw-2", 2)
    enrolled.tap_on()
    enrolled.work(1_100)
    enrolled.rest()
    enrolled.tap_off()
    (row,) = wait_until(
        lambda: [one for one in enrolled.sessions() if one["how"] == "tap_off"],
        30.0,
        "the ended session at the hub",
    )
    assert row["busy_ms"] >= 1_000
    assert row["enabled_ms"] == row["busy_ms"] + row["idle_ms"]


def test_every_file_is_in_the_document_and_every_secret_where_it_says(enrolled: Lab) -> None:
    hub, node = tables()
    found: dict[str, set[str]] = {}
    for folder, table in ((enrolled.root / "hub", hub), (enrolled.folder.path, node)):
        known = secrets_of(enrolled)
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if not path.is_file():
                continue
            line = next((one for one in table if fnmatch(name, one)), None)
            assert line is not None, f"{name} is not in docs/security.md"
            inside = {key for key, shapes in known.items() if holds(path, shapes)}
            assert inside <= table[line], f"{name} holds {inside - table[line]}"
            found.setdefault(line, set()).update(inside)
            if inside:
                assert path.stat().st_mode & 0o027 == 0, name
            keys = b"PRIVATE KEY-----" in path.read_bytes()
            assert keys == (bool(table[line] & {"authority key", "server key"})), name
    said = {line: keys for table in (hub, node) for line, keys in table.items() if keys}
    assert {line: found.get(line, set()) for line in said if "hub.db" not in line} == {
        line: keys for line, keys in said.items() if "hub.db" not in line
    }
    assert any("chain key" in keys for line, keys in found.items() if "hub.db" in line)


def test_the_walk_sees_a_secret_in_a_file_it_does_not_belong_to(
    enrolled: Lab, tmp_path: Path
) -> None:
    known = secrets_of(enrolled)
    for name, shapes in known.items():
        for shape in shapes:
            stray = tmp_path / "stray"
            stray.write_bytes(b"x" * 70_000 + shape + b"y")
            assert holds(stray, shapes), name


def tables() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """File patterns to names of keys, for the hub's folder and for a node's, as the document says."""
    text = DOCUMENT.read_text(encoding="utf-8")
    hub, node = text.split("In the hub's folder:")[1].split("On a node:")
    return _table(hub), _table(node.split("\n## ")[0])


def _table(text: str) -> dict[str, set[str]]:
    rows: dict[str, set[str]] = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            files, keys = (cell.strip() for cell in line.strip("|").split("|"))
            named = set() if keys == "none" else {one.strip() for one in keys.split(",")}
            for pattern in re.findall(r"`([^`]+)`", files):
                rows[pattern] = named
    return rows


def secrets_of(lab: Lab) -> dict[str, list[bytes]]:
    """Every secret of this hub and node by its name in the document, in each shape it could take."""
    keys = lab.root / "hub" / "keys"
    own, access = read_node_keys(lab.folder.node_keys), read_hub_access(lab.folder.sync_access)
    plain = {
        "hub's signing key": bytes.fromhex((keys / "signing.key").read_text(encoding="ascii")),
        "lab badge key": own.badge_key,
        "hub's card key": bytes.fromhex((keys / "card.key").read_text(encoding="ascii")),
        "session secret": bytes.fromhex((keys / "secret.key").read_text(encoding="ascii")),
        "chain key": own.chain_key,
        "node's decryption key": own.decryption_key,
        "node credential": bytes.fromhex(access.credential),
    }
    shapes = {name: _shapes(value) for name, value in plain.items()}
    for name, file in (("authority key", "authority-1.key"), ("server key", "server.pem")):
        shapes[name] = _key_shapes((keys / file).read_bytes())
    return shapes


def _shapes(value: bytes) -> list[bytes]:
    hexadecimal = value.hex().encode()
    return [value, hexadecimal, hexadecimal.upper(), base64.b64encode(value).rstrip(b"=")]


def _key_shapes(pem: bytes) -> list[bytes]:
    key = load_pem_private_key(pem, None)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    # The secret number of a P-256 key, RFC 5915: 32 octets behind their tag; and its first line as text.
    number = der[der.index(b"\x04\x20") + 2 :][:32]
    return [number, number.hex().encode(), pem.splitlines()[1]]


def holds(path: Path, shapes: list[bytes]) -> bool:
    """Whether any shape of a secret is in the file."""
    content = path.read_bytes()
    return any(shape in content for shape in shapes)
