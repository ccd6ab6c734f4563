"""Who watches for changes goes on watching: whatever fails, and whichever lab it fails for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from interlock.errors import StoreError
from interlock.hub import front, watch
from interlock.hub.domain import members, nodes
from interlock.hub.models import Machine, Node
from interlock.hub.watch import Picture, Trouble, Watch
from tests.hub.lab import SmallLab, console, small_lab
from tests.waiting import wait_until

pytestmark = pytest.mark.fast

database = pytest.mark.django_db(transaction=True)


@contextmanager
def watching(publish: Callable[[Picture], None]) -> Iterator[None]:
    watched = Watch(publish)
    watched.start()
    try:
        yield
    finally:
        watched.stop()


def break_lists(lab: SmallLab) -> None:
    """A value that no version of this hub wrote: the lab's lists cannot be made."""
    Machine.objects.filter(pk=lab.machine.pk).update(needs="nonsense")


@database
def test_one_lab_whose_lists_cannot_be_made_hides_no_change_of_another() -> None:
    broken, whole = small_lab(slug="broken"), small_lab(slug="whole")
    break_lists(broken)
    pictures: list[Picture] = []
    bad, good = broken.enrolled.node.pk, whole.enrolled.node.pk
    with watching(pictures.append):
        wait_until(lambda: pictures and pictures[-1].versions.get(good) == (1, 1))
        assert set(pictures[-1].nodes.values()) == {bad, good}
        members.suspend_member(console(), whole.member, "x")
        wait_until(lambda: pictures[-1].versions.get(good) == (1, 2))
        assert bad not in pictures[-1].versions
        Machine.objects.filter(pk=broken.machine.pk).update(needs=Machine.Needs.ALL)
        wait_until(lambda: pictures[-1].versions.get(bad) == (1, 1), deadline_s=30.0)


@database
def test_a_revoked_nodes_credential_is_gone_although_no_list_can_be_made() -> None:
    lab = small_lab()
    break_lists(lab)
    pictures: list[Picture] = []
    with watching(pictures.append):
        wait_until(lambda: pictures and pictures[-1].nodes)
        nodes.revoke_node(console(), Node.objects.get(), "stolen")
        wait_until(lambda: not pictures[-1].nodes)


@database
def test_no_error_ends_the_watch(caplog: pytest.LogCaptureFixture) -> None:
    lab = small_lab()
    heard: list[Picture] = []

    def fails_twice(picture: Picture) -> None:
        heard.append(picture)
        if len(heard) <= 2:
            raise ZeroDivisionError("a bug that nobody thought of")

    with watching(fails_twice):
        wait_until(lambda: heard and heard[-1].versions)
        members.suspend_member(console(), lab.member, "x")
        wait_until(lambda: heard[-1].versions.get(lab.enrolled.node.pk) == (1, 2))
    assert heard[0] == heard[1] == heard[2] != heard[3]
    said = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(said) == 2
    assert all(record.exc_info for record in said)


def test_the_pause_after_a_failure_grows_up_to_its_bound_and_no_further() -> None:
    trouble: Trouble | None = None
    pauses = []
    for _ in range(12):
        trouble = Trouble.after(trouble, now_ms=1_000)
        pauses.append(trouble.pause_s)
    assert pauses[:3] == [0.2, 0.4, 0.8]
    assert pauses[-2:] == [watch.PAUSE_S_MAX, watch.PAUSE_S_MAX]
    assert trouble is not None
    assert trouble.again_ms == 31_000


def test_a_hub_that_cannot_read_its_changes_says_so_instead_of_starting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the mark pytest-django refuses every connection: a database that cannot be read."""
    monkeypatch.setattr(front, "FIRST_PICTURE_S_MAX", 0.3)
    asked = iter([{"type": "lifespan.startup"}])
    sent = []

    async def receive() -> dict[str, str]:
        return next(asked)

    async def send(message: object) -> None:
        sent.append(message)

    async def nothing(scope: object, receive: object, send: object) -> None: ...

    with pytest.raises(StoreError, match="could not be read"):
        asyncio.run(front.Front(nothing)({"type": "lifespan"}, receive, send))
    assert sent == []


@database
def test_what_nodes_say_they_decide_by_is_written_at_the_next_look_and_none_is_lost() -> None:
    one, other = small_lab(slug="one"), small_lab(slug="other")
    pictures: list[Picture] = []
    watched = Watch(pictures.append)
    watched.start()
    try:
        wait_until(lambda: pictures and len(pictures[-1].versions) == 2)
        said = {one.enrolled.node.pk: (1, 1), other.enrolled.node.pk: (1, 2)}
        for node, version in said.items():
            watched.heard(node, version)
        rows = Node.objects.values_list("pk", "confirmed_epoch", "confirmed_counter")
        wait_until(lambda: {pk: (epoch, counter) for pk, epoch, counter in rows.all()} == said)
    finally:
        watched.stop()
