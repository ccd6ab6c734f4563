"""The API of a hub in its own process: over a real wire, behind a proxy, and asked eight times at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from interlock.protocol.records import GENESIS, Head
from tests.hub.process import HubFolder, HubProcess, NodeClient, make_folder, running
from tests.waiting import wait_until

pytestmark = pytest.mark.real

UID = "04d1ce5eedba12"
REQUEST_S_MAX = 20.0

_TOKEN = """
from interlock.hub.domain.tokens import Scope, create_token
print(create_token(actor, Lab.objects.get(), "desk", list(Scope)).secret)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> HubFolder:
    return make_folder(tmp_path_factory.mktemp("hub") / "hub")


@pytest.fixture(scope="module")
def token(folder: HubFolder) -> str:
    return folder.run(_TOKEN)


@pytest.fixture(scope="module")
def hub(folder: HubFolder) -> Iterator[HubProcess]:
    with running(folder) as process:
        yield process


def ask(
    hub: HubProcess, token: str, method: str, path: str, body: Any = None, **headers: str
) -> requests.Response:
    session = requests.Session()
    session.trust_env = False
    return session.request(
        method,
        f"{hub.url}/api/v1{path}",
        json=body,
        headers={"Authorization": f"Bearer {token}", **headers},
        timeout=REQUEST_S_MAX,
    )


def test_eight_alike_at_once_give_one_badge_and_one_answer(
    hub: HubProcess, token: str, folder: HubFolder
) -> None:
    before = folder.count("Badge.objects.count()")
    path = f"/members/{folder.member}/badges"

    def give(_turn: int) -> requests.Response:
        key = {"Idempotency-Key": "eight-at-once"}
        return ask(hub, token, "POST", path, {"uid": UID, "label": "once"}, **key)

    with ThreadPoolExecutor(8) as many:
        answers = list(many.map(give, range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    replayed = [answer.headers.get("Idempotency-Replayed") for answer in answers]
    assert replayed.count(None) == 1
    assert folder.count("Badge.objects.count()") == before + 1


def test_behind_a_proxy_it_is_the_wire_before_the_proxy_that_counts(
    hub: HubProcess, token: str
) -> None:
    forwarded = {"X-Forwarded-For": "192.168.1.20"}
    assert ask(hub, token, "GET", "/me").status_code == 200
    plain = ask(hub, token, "GET", "/me", **forwarded)
    assert (plain.status_code, plain.json()["code"]) == (403, "insecure")
    secure = ask(hub, token, "GET", "/me", **forwarded, **{"X-Forwarded-Proto": "https"})
    assert secure.status_code == 200


def test_a_token_revoked_at_the_console_is_nobody_at_the_running_hub(
    hub: HubProcess, folder: HubFolder
) -> None:
    other = folder.run(_TOKEN.replace('"desk"', '"other"'))
    assert ask(hub, other, "GET", "/me").status_code == 200
    folder.run("commands.revoke_token(Path(sys.argv[1]), 'other')")
    assert ask(hub, other, "GET", "/me").status_code == 401


def test_a_body_that_is_far_too_large_is_cut_off(hub: HubProcess, token: str) -> None:
    huge = {"uid": "04" * 5_000_000}
    answer = ask(hub, token, "POST", "/badges/lookup", huge)
    assert (answer.status_code, answer.json()["error"]) == (413, "body")


def test_a_monitor_sees_a_node_that_listens_and_no_longer_one_that_has_gone(
    hub: HubProcess, folder: HubFolder
) -> None:
    make = _TOKEN.replace('"desk"', '"monitor"').replace("list(Scope)", '["metrics:read"]')
    headers = {"Authorization": f"Bearer {folder.run(make)}"}

    def listening() -> str:
        answer = requests.get(f"{hub.url}/metrics", headers=headers, timeout=REQUEST_S_MAX)
        assert answer.status_code == 200
        lines = answer.text.splitlines()
        return next(one for one in lines if one.startswith("interlock_feed_nodes "))

    assert listening() == "interlock_feed_nodes 0.0"
    saw = NodeClient(hub.url, *folder.node())
    newest = saw.hello(Head(1, 0, GENESIS))["version"]
    with ThreadPoolExecutor(1) as other:
        poll = other.submit(saw.changes, f"{newest[0]}.{newest[1]}", 20)
        wait_until(lambda: listening() == "interlock_feed_nodes 1.0", 20.0, "the node listens")
        change = "members.suspend_member(actor, Member.objects.get(public_id=sys.argv[2]), 'fees')"
        folder.run(change.replace("sys.argv[2]", repr(folder.member)))
        assert poll.result() is not None
    wait_until(lambda: listening() == "interlock_feed_nodes 0.0", 20.0, "nobody listens")
