"""From a new token to a machine that believes a badge: the desk, a real hub, a node's reader, and the same card."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from interlock.cards.authentication import Proof, authenticate
from interlock.core.events import BadgeArrived
from interlock.core.model import Assurance, Reason
from interlock.desk import site_keys
from interlock.desk.chips import CARD_AID, CARD_MASTER
from interlock.desk.hub import SCOPES
from interlock.desk.site_keys import Place
from interlock.node.reader_worker import CacheKeys, ReaderWork
from interlock.node.snapshot_builder import Order, build
from interlock.protocol import hubapi
from interlock.protocol.card_keys import CardSlot, Scheme
from interlock.sim.card_blocks import BlockCard
from interlock.sim.card_desfire import FACTORY_MASTER, Application, DesfireKey, desfire_card
from interlock.sim.card_faults import Leaves, copy_of_uid_alone, copy_with_other_keys, desfire_of
from interlock.sim.card_ntag424 import ntag424_card
from interlock.sim.cards import Card
from tests.desk.card_rig import AID, Line, kept
from tests.desk.desk_rig import SITE_ID, Desk
from tests.hub.process import HubFolder, HubProcess, NodeClient, make_folder, running
from tests.readers.rig import Rig

pytestmark = pytest.mark.real

INTERLOCK = (sys.executable, "-m", "interlock")
DRAW = random.Random(5).randbytes
FIRST, SECOND = (bytes.fromhex(f"04a0000000000{n}") for n in (1, 2))
GENUINE = (Assurance.AES, None)
NOT_GENUINE = (Assurance.UID, Reason.BADGE_NOT_GENUINE)


@pytest.fixture(scope="module")
def made() -> Iterator[HubFolder]:
    root = Path(tempfile.mkdtemp(prefix="il-"))
    yield make_folder(root / "hub")
    shutil.rmtree(root)


@pytest.fixture
def folder(made: HubFolder, tmp_path: Path) -> HubFolder:
    copied = tmp_path / "hub"
    shutil.copytree(made.path, copied)
    return HubFolder(copied, made.member, made.tag)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("LANGUAGE", "en")
    (tmp_path / "desk").mkdir()
    return Desk(tmp_path / "desk", monkeypatch)


def token(folder: HubFolder, *scopes: str) -> str:
    """As the lab's manager makes it on the hub's computer."""
    asked = [part for scope in scopes or SCOPES for part in ("--scope", scope)]
    done = subprocess.run(
        [*INTERLOCK, "hub", "api-token", "add", "front desk", *asked, "--dir", str(folder.path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def seen_by_a_node(
    hub: HubProcess, folder: HubFolder, *cards: Card, into: Path
) -> list[tuple[Assurance, Reason | None]]:
    """What the node of the table saw makes of each card, with the snapshot it gets from the hub now."""
    keys, access = folder.node()
    spool = into / "spool"
    spool.write_bytes(NodeClient(hub.url, keys, access).get(hubapi.PATH_SNAPSHOT).content)
    header = build(Order(spool, into, keys.hub_key(), keys.lab, keys.node, mark=None))
    cache = into / f"auth-{header.version[0]}-{header.version[1]}.db"
    rig = Rig()
    given = CacheKeys(keys.badge_key, keys.hub_key(), keys.lab, keys.node, keys.decryption_key)
    work = ReaderWork(rig.reader, given, rig.clock, lambda version: 0, 300)
    work.switch(cache)
    told = []

    def polls(count: int) -> None:
        for _poll in range(count):
            told.extend(work.turn())
            rig.clock.advance_us(50_000)

    polls(9)
    for card in cards:
        rig.place(card)
        polls(3)
        rig.chip.clear()
        polls(9)
    badges = [event.badge for event in told if isinstance(event, BadgeArrived)]
    return [(badge.assurance, badge.trouble) for badge in badges]


def clone_of(card: BlockCard) -> BlockCard:
    """Its UID and the shape of its application, with keys of the copier's own."""
    application = next(one for one in desfire_of(card).memory if one.aid == AID)
    return copy_with_other_keys(card.uid, DRAW, application)


def ready(desk: Desk, hub: HubProcess, folder: HubFolder) -> None:
    """The desk knows its hub and has a site key."""
    assert desk.connect(hub.url, token(folder)) == 0
    assert desk.run("keys", "init") == 0


def leaked(desk: Desk, uid: bytes) -> BlockCard:
    """The card of somebody who has stolen site key 1, and copies a badge with all its keys."""
    stolen = site_keys.load(desk.folder / "site-keys.json", SITE_ID)
    keys = (DesfireKey(stolen.card_key(1, uid, Place(AID, n)), version=1) for n in range(14))
    return desfire_card(uid, DRAW, (FACTORY_MASTER, Application(AID, tuple(keys), 0x0B)))


def proves_old_key(card: BlockCard, desk: Desk) -> bool:
    keys = site_keys.load(desk.folder / "site-keys.json", SITE_ID)
    slot = CardSlot(Scheme.DESFIRE_AES, AID, 1)
    key = keys.card_key(1, card.uid, Place(AID, 1))
    return authenticate(Line(card), slot, key, DRAW) is Proof.GENUINE


def everything_in(folder: Path) -> dict[str, bytes]:
    """Every file below, but the lists."""
    return {
        str(path): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "lists" not in path.parts
    }


def told_in(content: bytes, secret: bytes) -> bool:
    return secret in content or secret.hex().encode() in content.lower()


def hub_facts(folder: HubFolder) -> dict[str, int]:
    """What a desk could have changed at the hub."""
    told = folder.run(
        """
import json
print(json.dumps({
    "badges": Badge.objects.count(),
    "enrol_again": Badge.objects.filter(condition="enrol_again").count(),
    "keys": CardKey.objects.count(),
    "unknown": UnknownBadge.objects.count(),
}))
"""
    )
    facts: dict[str, int] = json.loads(told)
    return facts


def test_a_card_made_genuine_at_the_desk_opens_machines_and_its_clone_is_found_out(
    folder: HubFolder, desk: Desk, tmp_path: Path
) -> None:
    with running(folder) as hub:
        ready(desk, hub, folder)
        card = desfire_card(FIRST, DRAW)
        desk.answers = ["Amelia"]
        desk.does(lambda desk: desk.tap(card, "Done: .* genuine badge"))
        assert desk.run("personalise") == 0
        assert seen_by_a_node(hub, folder, card, clone_of(card), into=tmp_path) == [
            GENUINE,
            NOT_GENUINE,
        ]
        assert seen_by_a_node(hub, folder, copy_of_uid_alone(FIRST), into=tmp_path) == [NOT_GENUINE]
    keys = site_keys.load(desk.folder / "site-keys.json", SITE_ID)
    places = [Place(AID, number) for number in range(14)] + [Place(CARD_AID, CARD_MASTER)]
    secrets = [keys.generations[1], *(keys.card_key(1, FIRST, place) for place in places)]
    assert secrets[2] == kept(card)[Place(AID, 1)][0]
    for path, content in (everything_in(folder.path) | everything_in(tmp_path / "desk")).items():
        if not path.endswith("site-keys.json"):
            found = [n for n, one in enumerate(secrets) if told_in(content, one)]
            assert found == [], path


def test_a_batch_survives_what_people_lay_down_and_its_list_tells_all_of_it(
    folder: HubFolder, desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A phone, a card taken away in the middle, a cheap card, an NTAG 424, and one that was made before."""
    first, second = desfire_card(FIRST, DRAW), ntag424_card(SECOND, DRAW)

    def hands(desk: Desk) -> Iterator[bool]:
        yield from desk.tap(Card(bytes.fromhex("08112233")), "nobody's badge")
        leaving = Leaves(first, at_frame=30, heard=True)
        yield from desk.tap(leaving, "Not finished")
        yield from desk.tap(first, "Done: ")
        yield from desk.tap(copy_of_uid_alone(bytes.fromhex("04deadbeef0001")), "only has a number")
        yield from desk.tap(second, "Done: .*NTAG 424")
        yield from desk.tap(first, "genuine already")
        while not any("Next: nobody" in one for one in desk.heard):
            yield True
        yield True

    with running(folder) as hub:
        ready(desk, hub, folder)
        desk.does(hands)
        assert desk.run("personalise", "--batch") == 1, "one card was refused"
        assert seen_by_a_node(hub, folder, first, second, into=tmp_path) == [GENUINE, GENUINE]
    sheet, page = map(Path, capsys.readouterr().out.splitlines()[-2:])
    rows = [row.split(";") for row in sheet.read_text("utf-8-sig").splitlines()]
    assert [row[1:4] for row in rows[1:]] == [
        ["DESFire", "1", "1"],
        ["", "", ""],
        ["NTAG 424 DNA", "1", "1"],
        ["DESFire", "1", "1"],
    ]
    assert rows[1][0] == rows[4][0] != rows[3][0]
    assert page.read_text().count("<td>genuine</td>") == 2
    assert {one.stat().st_mode & 0o777 for one in (sheet, page)} == {0o600}


def test_a_hub_that_goes_away_in_the_middle_is_told_when_it_is_back(
    folder: HubFolder, desk: Desk, tmp_path: Path
) -> None:
    card = desfire_card(FIRST, DRAW)
    hub = HubProcess(folder)
    port = int(hub.url.rpartition(":")[2])
    ready(desk, hub, folder)
    desk.when_work_begins = hub.stop
    desk.answers = ["Amelia"]
    desk.does(lambda desk: desk.tap(card, "will be told"))
    assert desk.run("personalise") == 0
    waiting = desk.folder / "desk-state" / "waiting.json"
    assert FIRST.hex() in waiting.read_text()
    key = kept(card)[Place(AID, 1)][0]
    assert key != bytes(16)
    assert not [
        path for path, content in everything_in(desk.folder).items() if told_in(content, key)
    ]
    assert desk.run("status") == 1
    hub = HubProcess(folder, port=port)
    try:
        assert desk.run("status") == 0
        assert waiting.read_text() == "[]\n"
        assert seen_by_a_node(hub, folder, card, into=tmp_path) == [GENUINE]
    finally:
        hub.stop()


def test_a_card_works_before_during_and_after_its_rotation_and_leaked_keys_open_nothing_then(
    folder: HubFolder, desk: Desk, tmp_path: Path
) -> None:
    card = desfire_card(FIRST, DRAW)
    with running(folder) as hub:
        ready(desk, hub, folder)
        desk.answers = ["Amelia"]
        desk.does(lambda desk: desk.tap(card, "Done: "))
        assert desk.run("personalise") == 0
        thief = leaked(desk, FIRST)
        assert seen_by_a_node(hub, folder, card, thief, into=tmp_path) == [GENUINE, GENUINE]
        assert desk.run("keys", "new") == 0

        def hands(desk: Desk) -> Iterator[bool]:
            leaving = Leaves(card, at_frame=60, heard=True)
            yield from desk.tap(leaving, "Not finished")
            assert seen_by_a_node(hub, folder, card, into=tmp_path) == [GENUINE]
            yield from desk.tap(card, "Done: .*key 3")
            yield from desk.tap(card, "genuine already")
            yield True

        desk.does(hands)
        assert desk.run("rotate") == 0
        # A machine that has not heard of it yet goes on asking for the old key.
        assert proves_old_key(card, desk)
        assert seen_by_a_node(hub, folder, card, thief, into=tmp_path) == [GENUINE, NOT_GENUINE]


def test_a_dry_run_changes_neither_card_nor_hub_nor_desk(folder: HubFolder, desk: Desk) -> None:
    made, fresh = desfire_card(FIRST, DRAW), ntag424_card(SECOND, DRAW)
    with running(folder) as hub:
        ready(desk, hub, folder)
        desk.answers = ["Amelia"]
        desk.does(lambda desk: desk.tap(made, "Done: "))
        assert desk.run("personalise") == 0
        assert desk.run("keys", "new") == 0
        before = [kept(made), kept(fresh), everything_in(desk.folder), hub_facts(folder)]

        def twice(desk: Desk) -> Iterator[bool]:
            for card in (fresh, made):
                yield from desk.tap(card, "Nothing was changed|rotate renews it|nobody's badge")
            while True:
                yield True

        desk.does(twice)
        desk.run("personalise", "--batch", "--dry-run", "--list", str(desk.folder.parent / "list"))
        desk.does(twice)
        desk.run("rotate", "--dry-run", "--list", str(desk.folder.parent / "list"))
        desk.answers = ["Noah"]
        desk.does(lambda desk: desk.tap(fresh, "Nothing was changed"))
        assert desk.run("personalise", "--dry-run") == 0
        assert sum("would become" in one for one in desk.heard) >= 14 + 2 * 5
        assert before == [
            kept(made),
            kept(fresh),
            everything_in(desk.folder),
            hub_facts(folder),
        ]


def test_a_badge_is_given_by_search_tap_and_confirmation_and_the_hub_sees_the_tap(
    folder: HubFolder, desk: Desk
) -> None:
    card = Card(bytes.fromhex("04deadbeef0001"))
    with running(folder) as hub:
        ready(desk, hub, folder)
        desk.answers = ["n"]
        desk.does(lambda desk: desk.tap(card, "Give it to Amelia"))
        assert desk.run("assign", "amelia") == 1
        facts = hub_facts(folder)
        assert facts["unknown"] == 1, "the hub's page shows the card that was tapped"

        def phone_then_card(desk: Desk) -> Iterator[bool]:
            yield from desk.tap(Card(bytes.fromhex("08112233")), "nobody's badge")
            yield from desk.tap(card, "Give it to Amelia")

        desk.answers = ["y"]
        desk.does(phone_then_card)
        assert desk.run("assign", "amelia", "--label", "blue") == 0
        assert hub_facts(folder)["badges"] == facts["badges"] + 1
        for who, words in (("amelia", "theirs already"), ("Noah", "belongs to Amelia")):
            desk.does(partial(Desk.tap, card=card, pattern=words))
            assert desk.run("assign", who) == (0 if who == "amelia" else 1)
        assert hub_facts(folder)["badges"] == facts["badges"] + 1


def test_old_ids_are_looked_at_first_and_bad_lines_are_named_with_their_reason(
    folder: HubFolder, desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    file = desk.folder.parent / "old.csv"
    good = int.from_bytes(bytes.fromhex("22cd120a") + bytes((0x22 ^ 0xCD ^ 0x12 ^ 0x0A,)))
    cut = int.from_bytes(bytes.fromhex("88041122") + bytes((0x88 ^ 0x04 ^ 0x11 ^ 0x22,)))
    head = "\ufeffMembre;Ancien id;Étiquette\r\n"
    body = f"Amelia Wright;{good};bleu\r\nHarry Collins;{cut};\r\n"
    bad = f"Amelia Wright;{good + 1};\r\nNobody;{good};\r\nHarry Collins;1,23E+12;\r\n"
    with running(folder) as hub:
        ready(desk, hub, folder)
        facts = hub_facts(folder)
        file.write_text(head + body + bad, encoding="utf-8")
        assert desk.run("import-old", str(file), "--yes") == 1
        told = capsys.readouterr().err
        assert [f"line {n}" in told for n in (2, 3, 4, 5, 6)] == [False, False, True, True, True]
        assert "check byte" in told
        assert "rounded" in told
        assert hub_facts(folder) == facts
        file.write_text(head + body, encoding="utf-8")
        assert desk.run("import-old", str(file), "--dry-run") == 0
        assert hub_facts(folder) == facts
        assert desk.run("import-old", str(file), "--yes") == 0
        assert hub_facts(folder) == facts | {
            "badges": facts["badges"] + 2,
            "enrol_again": facts["enrol_again"] + 1,
        }
        assert desk.run("import-old", str(file), "--yes") == 0
        assert hub_facts(folder)["badges"] == facts["badges"] + 2


def test_a_token_that_may_too_little_or_nothing_is_told_in_words(
    folder: HubFolder, desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(folder) as hub:
        assert desk.connect(hub.url, "ilk_" + "x" * 43) == 3
        assert not desk.config.exists()
        assert desk.connect(hub.url, token(folder, "members:read")) == 0
        told = capsys.readouterr().err
        assert "lacks badges:read, badges:write, card-keys:write" in told
