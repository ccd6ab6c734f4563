"""A large month closed by a process of its own: shown while it runs, once, whole or not at all."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import requests

from interlock.hub import closing_process
from interlock.hub.closing_process import State, Told, Wish
from tests.hub.process import LOGIN, HubFolder, HubProcess, copy_folder, make_folder, running
from tests.waiting import wait_until

pytestmark = pytest.mark.real

PAYERS = 500
CLOSED_S_MAX = 60
"""Two seconds on a computer of one's own."""

FILL = f"""
from datetime import UTC, datetime, timedelta
from interlock.hub.billing import reprice_since
lab, node = Lab.objects.get(), Node.objects.filter(machine__tariff__isnull=False).first()
month = (actor.now().replace(day=1) - timedelta(days=1)).date().replace(day=1)
at = datetime(month.year, month.month, 2, 9, tzinfo=UTC)
Payer.objects.bulk_create(Payer(lab=lab, name=f"Payer {{n:05}}") for n in range({PAYERS}))
ids = list(Payer.objects.filter(name__startswith="Payer ").values_list("pk", flat=True))
Session.objects.bulk_create([Session(lab=lab, machine=node.machine, node=node, epoch=99, seq=n, payer_id=pk,
    tariff_id=node.machine.tariff_id, started_at=at, ended_at=at + timedelta(hours=1), start_boot_id="b",
    start_boot_ms=0, enabled_ms=3_600_000, busy_ms=3_600_000, how="tap_off") for n, pk in enumerate(ids)])
print(month.isoformat())
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[HubFolder, date]:
    folder = make_folder(tmp_path_factory.mktemp("hub") / "template")
    return folder, date.fromisoformat(folder.run(FILL))


@pytest.fixture
def folder(template: tuple[HubFolder, date], tmp_path: Path) -> HubFolder:
    return copy_folder(template[0], tmp_path / "hub")


@pytest.fixture
def month(template: tuple[HubFolder, date]) -> date:
    return template[1]


@pytest.fixture
def hub(folder: HubFolder) -> Iterator[HubProcess]:
    with running(folder) as process:
        yield process


def wish_of(folder: HubFolder, month: date, role: str = "accountant") -> Wish:
    """What somebody of that role wants."""
    folder.run(LOGIN.replace("ROLE", role))
    lab, user = folder.count("[Lab.objects.get().pk, User.objects.get(email='o@example.org').pk]")
    return Wish(lab, user, month, "en")


def ended(folder: HubFolder, wish: Wish) -> Told:
    """How the closing ended."""

    def over() -> Told | None:
        said = closing_process.told(folder.path, wish.lab)
        return said if said is not None and said.state is not State.RUNNING else None

    return wait_until(over, CLOSED_S_MAX, "the closing has ended")


def statements(folder: HubFolder) -> list[int]:
    """Periods that are closed, statements, and statements whose chain holds."""
    counted: list[int] = folder.count(
        "[Period.objects.exclude(closed_at=None).count(), Statement.objects.count(),"
        " __import__('interlock.hub.ledger', fromlist=['x']).verify_ledger(Lab.objects.get())]"
    )
    return counted


def processes_on(folder: HubFolder) -> list[int]:
    """The closings that run on this hub's folder, by their process numbers."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                said = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"interlock.hub.closing_process" in said and str(folder.path).encode() in said:
                found.append(int(entry.name))
    return found


def test_a_large_month_is_closed_once_and_in_the_name_of_who_pressed(
    hub: HubProcess, folder: HubFolder, month: date
) -> None:
    browser = requests.Session()
    browser.cookies.set("interlock_session", folder.run(LOGIN.replace("ROLE", "accountant")))
    browser.headers["Accept-Language"] = "en"
    where = f"{hub.url}/billing/{month.year}-{month.month}/close/"
    page = browser.get(where).text
    typed = {
        "csrfmiddlewaretoken": page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0],
        "proof_password": "correct horse battery",
    }
    # Two presses on the same button: the second one sees the first at work.
    answers = [browser.post(where, typed) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    for answer in answers:
        assert '<noscript><meta http-equiv="refresh"' in answer.text
        assert 'id="closing"' in answer.text
    said = wait_until(
        lambda: text if 'id="closing"' not in (text := browser.get(where).text) else None,
        CLOSED_S_MAX,
        "the page shows the closed month",
    )
    assert f"{PAYERS} statements are issued" in said
    assert statements(folder) == [1, PAYERS, PAYERS]
    assert folder.count(
        "list(AuditRow.objects.filter(action='month_closed').values_list('actor'))"
    ) == [["Olive"]]
    # Who comes back to the address is shown the month, and nothing is celebrated again.
    assert "statements are issued" not in browser.get(where).text


def test_a_closing_that_is_killed_closed_nothing_and_the_next_one_closes_all(
    folder: HubFolder, month: date
) -> None:
    wish = wish_of(folder, month)
    in_time = 0
    for share in (0.2, 0.6):
        assert closing_process.start(folder.path, wish)
        assert not closing_process.start(folder.path, wish), "a second one ran beside it"

        def is_there(share: float = share) -> bool:
            said = closing_process.told(folder.path, wish.lab)
            if said is None or said.state is not State.RUNNING:
                return said is not None
            return bool(said.total) and said.done >= share * said.total

        wait_until(is_there, CLOSED_S_MAX, f"{share:.0%} are done")
        for number in processes_on(folder):
            os.kill(number, signal.SIGKILL)
        said = ended(folder, wish)
        if said.state is State.CLOSED:
            break
        assert said.state is State.BROKEN
        in_time += 1
        assert statements(folder) == [0, 0, 0]
    assert in_time, "no kill came before the end: nothing was shown"
    if said.state is not State.CLOSED:
        assert closing_process.start(folder.path, wish)
        assert ended(folder, wish).state is State.CLOSED
    assert statements(folder) == [1, PAYERS, PAYERS]


def test_somebody_who_may_not_close_is_refused_by_the_process_too(
    folder: HubFolder, month: date
) -> None:
    wish = wish_of(folder, month, "trainer")
    assert closing_process.start(folder.path, wish)
    said = ended(folder, wish)
    assert (said.state, said.trouble) == (
        State.REFUSED,
        "Your role in this lab does not allow this.",
    )
    assert statements(folder) == [0, 0, 0]
    closing_process.forget(folder.path, wish.lab)
    assert closing_process.told(folder.path, wish.lab) is None
