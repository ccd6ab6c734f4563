"""Back-ups: sealed against every bit, rotated, and restored without whoever was erased since."""

from __future__ import annotations

import io
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from interlock.clock import SystemClock
from interlock.errors import ConfigError, StoreError
from interlock.hub.backup import DAYS_MAX, name_for, superfluous
from interlock.hub.sealed_file import (
    CHUNK_BYTES,
    HEAD_BYTES,
    TAG_BYTES,
    SealedReader,
    SealedWriter,
    new_key,
    plain,
)
from tests.test_cli import shell

pytestmark = pytest.mark.real

KEY = "a passphrase of the lab"


def sealed(content: bytes, key: str = KEY) -> bytes:
    target = io.BytesIO()
    with SealedWriter(target, key) as writer:
        for at in range(0, len(content), 10_001):
            writer.write(content[at : at + 10_001])
    return target.getvalue()


def opened(file: bytes, key: str = KEY) -> bytes:
    return SealedReader(io.BytesIO(file), key, "x.backup").readall()


@pytest.mark.parametrize("length", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 200_000])
def test_what_was_sealed_is_opened_byte_for_byte_and_shows_nothing(length: int) -> None:
    content = os.urandom(length)
    file = sealed(content)
    assert opened(file) == content
    assert length < 32 or content[:32] not in file


def test_a_flipped_bit_anywhere_is_refused() -> None:
    content = os.urandom(CHUNK_BYTES + 500)
    file = sealed(content)
    places = [*range(HEAD_BYTES), *range(HEAD_BYTES, len(file), 4_999), len(file) - 1]
    for place in places:
        bent = bytearray(file)
        bent[place] ^= 1
        with pytest.raises(StoreError):
            opened(bytes(bent))


def test_a_file_that_is_cut_short_or_whose_chunks_moved_is_refused() -> None:
    file = sealed(os.urandom(3 * CHUNK_BYTES))
    frame = CHUNK_BYTES + TAG_BYTES
    for end in (HEAD_BYTES, HEAD_BYTES + frame, HEAD_BYTES + 2 * frame, len(file) - 1):
        with pytest.raises(StoreError):
            opened(file[:end])
    head, first, rest = (
        file[:HEAD_BYTES],
        file[HEAD_BYTES : HEAD_BYTES + frame],
        file[HEAD_BYTES + frame :],
    )
    with pytest.raises(StoreError):
        opened(head + rest[:frame] + first + rest[frame:])


def test_another_key_opens_nothing_and_a_generated_one_may_be_typed_in_any_way() -> None:
    key = new_key()
    file = sealed(b"x", key)
    with pytest.raises(StoreError):
        opened(file, new_key())
    assert opened(file, key.lower().replace("-", " ")) == b"x"
    assert plain(" a Passphrase ") == b"a Passphrase"


def names(days: range, today: date) -> list[str]:
    return [f"interlock-{today - timedelta(days=day)}-030000.backup" for day in days]


def kept_days(held: list[str], today: date, daily: int = 7, weekly: int = 4) -> list[int]:
    gone = superfluous(held, today, daily=daily, weekly=weekly)
    return sorted((today - date.fromisoformat(n[10:20])).days for n in set(held) - set(gone))


def test_seven_days_and_four_weeks_are_kept() -> None:
    today = date(2026, 11, 22)  # a Sunday: weeks end today
    assert kept_days(names(range(60), today), today) == [0, 1, 2, 3, 4, 5, 6, 7, 14, 21]


def test_no_backup_is_older_than_90_days_however_few_there_are() -> None:
    today = date(2026, 11, 22)
    assert kept_days(names(range(DAYS_MAX - 1, DAYS_MAX + 1), today), today) == [DAYS_MAX - 1]


def test_files_of_other_people_are_never_removed() -> None:
    assert (
        superfluous(["thesis.odt", "interlock.backup"], date(2026, 11, 22), daily=1, weekly=0) == []
    )
    assert name_for.__doc__


# ------------------------------------------------------------------------------ real hubs, by the command line


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with Ada and Bob, its back-up of before, and the erasure of Ada after it."""
    folder = tmp_path_factory.mktemp("backup")
    script = """
import sys
from pathlib import Path
from interlock.clock import SystemClock
from interlock.hub import commands
from interlock.hub.directory import HubConfig
folder = Path(sys.argv[1])
commands.init(folder / "hub", HubConfig(name="Lab"))
from interlock.hub.domain import members
from interlock.hub.permissions import Actor
actor, lab = Actor(SystemClock()), commands.the_lab()
for name in ("Ada Lovelace", "Bob Stone"):
    members.create_member(actor, lab, name, email=f"{name[:3].lower()}@example.org")
from interlock.hub.backup import back_up, make_key
from interlock.hub.directory import HubDirectory
from interlock.hub.domain.erasure import erase_member
from interlock.hub.models import Member
from interlock.hub.restoring import note_erased
hub = HubDirectory((folder / "hub").resolve())
key = make_key(hub)
(folder / "key").write_text(key)
(folder / "usb").mkdir()
back_up(hub, folder / "usb" / "old.backup", key, actor.clock, lambda done, total: None)
erase_member(actor, Member.objects.get(name="Ada Lovelace"), "asked for it")
note_erased(hub)
"""
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True)
    return folder


def members_of(hub: Path) -> str:
    ask = (
        "import sys; from pathlib import Path; from interlock.hub import commands;"
        "commands.open_hub(Path(sys.argv[1]));"
        "from interlock.hub.models import Member, Lab;"
        "print(Lab.objects.get().hub_epoch, *Member.objects.order_by('name').values_list('name', flat=True), sep='|')"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask, str(hub)], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def restored(place: Path, name: str, *more: str) -> tuple[int, str]:
    done = shell(
        *("hub", "restore", str(place / "usb" / "old.backup"), "--dir", str(place / name)),
        *("--key-file", str(place / "key"), *more),
    )
    return done.returncode, done.stderr


def test_whoever_was_erased_after_the_backup_does_not_come_back_and_the_epoch_rises(
    place: Path,
) -> None:
    code, said = restored(place, "again", "--erased", str(place / "hub" / "erased.json"))
    assert (code, "1 people were erased again" in said) == (0, True), said
    assert members_of(place / "again") == "2|Bob Stone"
    for path in (place / "again").rglob("*"):
        assert path.is_dir() or b"Ada Lovelace" not in path.read_bytes(), path


def test_without_the_list_the_restore_says_loudly_who_may_be_back(place: Path) -> None:
    code, said = restored(place, "without")
    assert (code, "WARNING" in said) == (0, True)
    assert members_of(place / "without") == "2|Ada Lovelace|Bob Stone"


def test_a_restored_hub_has_the_same_keys_and_a_folder_with_anything_in_it_is_refused(
    place: Path,
) -> None:
    assert restored(place, "keys")[0] == 0
    for key in ("signing.key", "badge.key", "card.key", "secret.key"):
        ours, theirs = (place / hub / "keys" / key for hub in ("hub", "keys"))
        assert ours.read_bytes() == theirs.read_bytes()
        assert theirs.stat().st_mode & 0o777 == 0o600
    assert restored(place, "keys")[0] == 3
    assert not (place / "keys.restoring").exists()


def test_a_wrong_key_leaves_no_hub_behind(place: Path) -> None:
    wrong = place / "wrong"
    wrong.write_text(new_key())
    done = shell(
        *("hub", "restore", str(place / "usb" / "old.backup"), "--dir", str(place / "none")),
        *("--key-file", str(wrong)),
    )
    assert done.returncode == 1
    assert not (place / "none").exists()


def test_a_backup_by_plan_says_what_is_missing_until_hub_toml_names_a_folder(place: Path) -> None:
    done = shell("hub", "backup", "--dir", str(place / "hub"))
    assert (done.returncode, "backup.folder" in done.stderr) == (3, True)
    config = place / "hub" / "hub.toml"
    folder = place / "nightly"
    folder.mkdir()
    config.write_text(config.read_text().replace('folder = ""', f'folder = "{folder}"'))
    done = shell("hub", "backup", "--dir", str(place / "hub"))
    assert done.returncode == 0, done.stderr
    held = sorted(path.name for path in folder.iterdir())
    assert held[0] == "erased.json"
    assert Path(done.stdout.strip()).name == held[1]
    assert not list((place / "hub").glob("backup.partial*"))


def test_a_hub_whose_proofs_do_not_hold_is_backed_up_and_no_older_one_makes_room(
    place: Path,
) -> None:
    """A deed altered by hand: SQLite finds its file in order, so that only the chain can tell."""
    hub, folder = place / "meddled", place / "kept"
    shutil.copytree(place / "hub", hub)
    folder.mkdir()
    today = datetime.fromtimestamp(SystemClock().wall_ms() / 1_000, UTC).date()
    held = [f"interlock-{today - timedelta(days=day)}-033000.backup" for day in range(1, 9)]
    ancient = f"interlock-{today - timedelta(days=DAYS_MAX)}-033000.backup"
    for name in (*held, ancient):
        (folder / name).write_bytes(b"sealed")
    config = hub / "hub.toml"
    config.write_text(re.sub('folder = ".*"', f'folder = "{folder}"', config.read_text()))
    with closing(sqlite3.connect(hub / "hub.db")) as connection:
        connection.execute("UPDATE hub_auditrow SET why = 'x' WHERE salt IS NOT NULL")
        connection.commit()
    done = shell("hub", "backup", "--dir", str(hub))
    assert done.returncode == 1
    assert "this row was altered" in done.stderr
    assert "the older ones are kept" in done.stderr
    made = Path(done.stdout.strip()).name
    assert {path.name for path in folder.iterdir()} == {*held, made, "erased.json"}


def test_a_damaged_hub_is_not_backed_up_and_the_reader_is_told_what_to_do(place: Path) -> None:
    hub = place / "damaged"
    shutil.copytree(place / "hub", hub)
    with (hub / "hub.db").open("r+b") as database:
        database.seek(40 * 4_096)
        database.write(os.urandom(20 * 4_096))
    out = place / "damaged.backup"
    done = shell("hub", "backup", str(out), "--dir", str(hub))
    assert (done.returncode, out.exists(), "Traceback" in done.stderr) == (1, False, False)
    assert "the back-ups you have are kept. Run: interlock hub verify" in done.stderr
    assert not list(hub.glob("backup.partial*"))


def test_a_backup_is_never_written_over(place: Path) -> None:
    out = place / "usb" / "old.backup"
    before = out.read_bytes()
    done = shell("hub", "backup", str(out), "--dir", str(place / "hub"))
    assert (done.returncode, out.read_bytes() == before) == (3, True)


def test_a_configured_number_that_is_none_is_refused() -> None:
    from interlock.hub.directory import HubConfig, check_config

    with pytest.raises(ConfigError):
        check_config(HubConfig("Lab", backup_daily=0), where="hub.toml")
    with pytest.raises(ConfigError):
        check_config(HubConfig("Lab", backup_folder="usb"), where="hub.toml")
