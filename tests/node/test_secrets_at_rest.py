"""Nothing a node stores or says holds a site key, a card key or what opens one: every byte is searched."""

from __future__ import annotations

import base64
import functools
import json
import logging
from collections.abc import Iterator

import pytest

from interlock.cards.keys import diversified_key
from interlock.clock import SystemClock
from interlock.core.model import Demands, Entry, Level, Right
from interlock.node import service
from interlock.node.reader_worker import ReaderWorker
from interlock.protocol.card_keys import CardSlot, Scheme, public_half, seal, wrap
from interlock.protocol.control import Op
from interlock.protocol.snapshots import SnapshotHeader, digest_lines, entry_lines, signed_snapshot
from interlock.protocol.tags import badge_tag
from interlock.readers import CardSeen
from tests.cards.application_card import AID, DesfireApplication
from tests.node.node_rig import HUB, KEYS, NodeBench, bodies
from tests.waiting import wait_until

pytestmark = pytest.mark.real

UID = bytes.fromhex("04112233445566")
SITE_KEY = bytes.fromhex("5172e3a94bb0c6d81f20394857a6bdce")
CARD_KEY = diversified_key(SITE_KEY, uid=UID, aid=AID, site_id=b"lab-0001")
WRAPPING_KEY = bytes.fromhex("7c1d5e2f" * 8)
SLOT = CardSlot(Scheme.DESFIRE_AES, AID, 1)
TAG = badge_tag(KEYS.badge_key, UID)
MEMBER = Entry(TAG, "m-ada", rights=(Right("saw", Level.ALONE),))
WRAPPED = wrap(WRAPPING_KEY, CARD_KEY, node=KEYS.node, tag=TAG, slot=SLOT)
SECRETS = {
    "site key": SITE_KEY,
    "card key": CARD_KEY,
    "wrapping key": WRAPPING_KEY,
    "decryption key": KEYS.decryption_key,
}
FRAGMENT_BYTES = 8
"""Half a card key is already too much."""


@pytest.fixture(name="bench")
def running_bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[NodeBench]:
    keyed = functools.partial(ReaderWorker, decryption_key=KEYS.decryption_key)
    monkeypatch.setattr(service, "ReaderWorker", keyed)
    bench = NodeBench()
    bench.start()
    yield bench
    bench.close()


def install(bench: NodeBench) -> None:
    """The node decides by a snapshot whose one badge has a key."""
    lines = entry_lines([MEMBER], {TAG: WRAPPED})
    header = SnapshotHeader(
        lab=KEYS.lab,
        node=KEYS.node,
        version=(1, 1),
        issued_at=SystemClock().wall_ms() // 1_000,
        machine_name="Table saw",
        demands=Demands(("saw",)),
        entries=len(lines),
        digest=digest_lines(lines),
        wrapping_key=seal(public_half(KEYS.decryption_key), WRAPPING_KEY),
    )
    spool = bench.config.paths.spool_dir
    (spool / "full.snapshot").write_bytes(signed_snapshot(HUB, header, lines))
    bench.ask(Op.SNAPSHOT, file="full.snapshot")
    wait_until(lambda: bench.ask(Op.HELLO)["version"] == [1, 1], 15, "the switch")


def tap(bench: NodeBench, key: bytes) -> None:
    """A badge that knows `key` comes into an empty field."""
    bench.leave_empty()
    bench.reader.sight = CardSeen(UID, b"\x44\x03", 0x20, DesfireApplication(key))


def spellings(secret: bytes) -> list[bytes]:
    """How a secret might stand in a file: as bytes, in hexadecimal, in base 64."""
    text = secret.hex()
    return [secret, text.encode(), text.upper().encode(), base64.b64encode(secret)[:10]]


def leaks(stored: bytes) -> list[str]:
    """The secrets of which a fragment stands in `stored`."""
    return [
        name
        for name, secret in SECRETS.items()
        for start in range(len(secret) - FRAGMENT_BYTES + 1)
        if any(one in stored for one in spellings(secret[start : start + FRAGMENT_BYTES]))
    ]


def test_no_byte_a_node_stores_logs_or_answers_holds_a_key(
    bench: NodeBench, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    install(bench)
    bench.outside.wire_contactor()
    tap(bench, CARD_KEY)
    wait_until(lambda: bench.relay_on, 5, "relay on")
    bench.press()
    wait_until(lambda: not bench.relay_on, 5, "relay off")
    bench.release()
    tap(bench, bytes(16))
    wait_until(lambda: bodies(bench, "refused"), 10, "the refusal of the clone")
    started, refused = bodies(bench, "session_started"), bodies(bench, "refused")
    assert [body["evidence"]["assurance"] for body in started] == ["aes"]
    assert [body["reason"] for body in refused] == ["BADGE_NOT_GENUINE"]
    said = json.dumps([bench.ask(op) for op in (Op.STATUS, Op.HELLO, Op.PANEL)])
    assert bench.stop() == 0
    files = {path: path.read_bytes() for path in bench.folder.rglob("*") if path.is_file()}
    stored = b"\n".join(files.values())
    assert WRAPPED.wrapped.hex().encode() in stored, "the search looked in the wrong place"
    assert {path.name for path in files} >= {"journal.db", "auth-1-1.db"}
    out = capfd.readouterr()
    assert leaks(stored + caplog.text.encode() + said.encode() + (out.out + out.err).encode()) == []


@pytest.mark.parametrize("name", SECRETS)
def test_the_search_finds_each_of_them_where_it_stands(name: str) -> None:
    secret = SECRETS[name]
    for spelled in (secret, secret.hex().encode(), secret.hex().upper().encode()):
        assert name in leaks(b"before " + spelled[: len(spelled) // 2] + b" after")
