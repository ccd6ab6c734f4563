"""One node asks what another's interlock says: the last word, for 90 seconds, within the lab."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from interlock.hub.domain import machines, nodes
from interlock.hub.models import Node
from interlock.protocol import canonical, hubapi
from interlock.sim.clocks import VirtualClock
from tests.hub.lab import HUB_URL, SmallLab, console, small_lab

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

WALL_MS = 1_750_000_000_000


class Pair:
    """The lab's saw, and a second machine that waits for its lid."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.clock = VirtualClock(wall_ms=WALL_MS)
        patch.setattr(settings, "HUB_CLOCK", self.clock)
        self.lab: SmallLab = small_lab()
        second = machines.create_machine(console(), self.lab.lab, "router", "Router")
        self.saw = self.lab.enrolled
        self.router = nodes.enrol_node(console(), second, HUB_URL)

    def say(self, who: nodes.Enrolled, message: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        answer = Client().post(
            hubapi.PATH_INTERLOCKS,
            canonical.dumps({"v": 1, **message}),
            content_type="application/json",
            headers={"authorization": f"Bearer {who.access.credential}"},
        )
        return answer.status_code, answer.json()

    def asks(self, *wanted: str) -> dict[str, Any]:
        status, answer = self.say(self.router, {"own": {}, "wanted": list(wanted)})
        assert status == 200
        said: dict[str, Any] = answer["interlocks"]
        return said


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Pair:
    return Pair(monkeypatch)


def test_a_word_counts_for_ninety_seconds_and_is_unknown_then(pair: Pair) -> None:
    assert pair.asks("saw/Lid") == {"saw/Lid": None}
    pair.say(pair.saw, {"own": {"Lid": True, "Door": False, "Air": None}, "wanted": []})
    named = ("saw/Lid", "saw/Door", "saw/Air", "saw/Window", "nobody/Lid", "Lid", "/")
    assert list(pair.asks(*named).values()) == [True, False, None, None, None, None, None]
    pair.clock.set_wall_ms(WALL_MS + 90_000)
    assert pair.asks("saw/Lid") == {"saw/Lid": True}
    pair.clock.set_wall_ms(WALL_MS + 91_000)
    assert pair.asks("saw/Lid") == {"saw/Lid": None}
    pair.clock.set_wall_ms(WALL_MS - 60_000)
    assert pair.asks("saw/Lid") == {"saw/Lid": None}


def test_a_word_comes_with_its_age_never_younger_than_it_is(pair: Pair) -> None:
    pair.clock.set_wall_ms(WALL_MS + 900)
    pair.say(pair.saw, {"own": {"Lid": True, "Air": None}, "wanted": []})
    for later_ms in (0, 100, 50_000, 90_000):
        pair.clock.set_wall_ms(WALL_MS + 900 + later_ms)
        _, answer = pair.say(pair.router, {"own": {}, "wanted": ["saw/Lid", "nobody/Lid"]})
        age_ms = answer["ages_ms"]["saw/Lid"]
        assert later_ms <= age_ms <= later_ms + 2_000, "the hub counts in whole seconds"
        assert answer["interlocks"]["nobody/Lid"] is None


def test_a_request_that_a_newer_one_of_the_same_boot_overtook_changes_nothing(pair: Pair) -> None:
    """Found by the simulator (I1): an old "closed" made a lid that was told to be open closed for half a minute."""

    def looks(boot_id: str, boot_ms: int, closed: bool) -> None:
        message = {"own": {"Lid": closed}, "boot_id": boot_id, "boot_ms": boot_ms, "wanted": []}
        assert pair.say(pair.saw, message)[0] == 200

    looks("boot-1", 60_000, True)
    looks("boot-1", 61_000, False)
    looks("boot-1", 60_000, True)
    assert pair.asks("saw/Lid") == {"saw/Lid": False}
    looks("boot-1", 62_000, True)
    assert pair.asks("saw/Lid") == {"saw/Lid": True}
    looks("boot-2", 5_000, False)
    assert pair.asks("saw/Lid") == {"saw/Lid": False}
    # A node of before does not say when it looked.
    pair.say(pair.saw, {"own": {"Lid": True}, "wanted": []})
    assert pair.asks("saw/Lid") == {"saw/Lid": True}


def test_a_request_that_comes_twice_makes_its_words_no_younger(pair: Pair) -> None:
    """The node died, and something on the way sent its last words once more."""
    message = {"own": {"Lid": True}, "boot_id": "boot-1", "boot_ms": 60_000, "wanted": []}
    pair.say(pair.saw, message)
    pair.clock.set_wall_ms(WALL_MS + 60_000)
    pair.say(pair.saw, message)
    assert pair.asks("saw/Lid") == {"saw/Lid": True}
    pair.clock.set_wall_ms(WALL_MS + 91_000)
    assert pair.asks("saw/Lid") == {"saw/Lid": None}
    pair.say(pair.saw, {**message, "boot_ms": 151_000})
    assert pair.asks("saw/Lid") == {"saw/Lid": True}


def test_a_replaced_pi_speaks_for_its_machine_under_the_old_name(pair: Pair) -> None:
    pair.say(pair.saw, {"own": {"Lid": True}, "wanted": []})
    nodes.revoke_node(console(), pair.saw.node, "dead")
    assert pair.asks("saw/Lid") == {"saw/Lid": None}
    successor = nodes.enrol_node(console(), pair.lab.machine, HUB_URL)
    assert pair.asks("saw/Lid") == {"saw/Lid": None}
    pair.say(successor, {"own": {"Lid": True}, "wanted": []})
    assert pair.asks("saw/Lid") == {"saw/Lid": True}


def test_another_labs_node_of_the_same_name_is_nobody(pair: Pair) -> None:
    other = small_lab(slug="other")
    pair.say(other.enrolled, {"own": {"Lid": True}, "wanted": []})
    assert pair.asks("saw/Lid") == {"saw/Lid": None}


def test_a_revoked_node_neither_tells_nor_asks(pair: Pair) -> None:
    nodes.revoke_node(console(), pair.saw.node, "stolen")
    status, _ = pair.say(pair.saw, {"own": {"Lid": True}, "wanted": []})
    assert status == 401
    assert Node.objects.get(pk=pair.saw.node.pk).interlocks == {}


MALFORMED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a level in words": {"own": {"Lid": "closed"}, "wanted": []},
    "a list": {"own": ["Lid"], "wanted": []},
    "too many": {"own": {str(number): True for number in range(65)}, "wanted": []},
    "a long name": {"own": {"L" * 65: True}, "wanted": []},
    "wanted is no list": {"own": {}, "wanted": "saw/Lid"},
    "wanted too much": {"own": {}, "wanted": ["x/y"] * 65},
    "wanted a number": {"own": {}, "wanted": [7]},
    "a boot without its time": {"own": {"Lid": False}, "wanted": [], "boot_id": "b"},
}


@pytest.mark.parametrize("name", MALFORMED)
def test_nonsense_is_refused_and_keeps_the_last_word(pair: Pair, name: str) -> None:
    pair.say(pair.saw, {"own": {"Lid": True}, "wanted": []})
    status, answer = pair.say(pair.saw, MALFORMED[name])
    assert (status, answer["error"]) == (400, "malformed")
    assert pair.asks("saw/Lid") == {"saw/Lid": True}
