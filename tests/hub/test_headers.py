"""Every answer of a hub, whoever gives it, carries the headers that keep a browser from being used against it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests

from interlock.hub.middleware import HEADERS, headers_for
from tests.hub.process import LOGIN, HubFolder, HubProcess, make_folder

pytestmark = pytest.mark.real

REQUEST_S_MAX = 20.0
TOO_LONG = 9 * 1_048_576
ANSWERS = [
    ("GET", "/sign-in/", 200),
    ("GET", "/", 302),
    ("GET", "/no-such-page/", 404),
    ("POST", "/sign-in/", 403),  # without the page's own token
    ("PUT", "/sign-in/", 403),
    ("GET", "/static/hub/base.css", 200),
    ("GET", "/static/no-such-file.css", 404),
    ("GET", "/api/v1/openapi.json", 200),
    ("GET", "/api/v1/me", 401),
    ("GET", "/api/v1/no-such-thing", 404),
    ("GET", "/live", 401),
    ("GET", "/node/v1/changes", 401),
    ("POST", "/node/v1/hello", 401),
    ("GET", "/node/no-such-thing", 404),
    ("POST", "/node/v1/enrol", 403),
    ("GET", "/problem/no-such-label/", 404),
    ("GET", "/calendar/no-such-feed.ics", 404),
]
BEHIND_THE_DOOR = [
    "/",
    "/members/",
    "/reports/report.csv",
    "/reports/report.pdf",
    "/reports/report.json",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> HubFolder:
    return make_folder(tmp_path_factory.mktemp("hub") / "hub")


@pytest.fixture(scope="module")
def hub(folder: HubFolder) -> Iterator[HubProcess]:
    process = HubProcess(folder)
    try:
        yield process
    finally:
        code = process.stop()
    # A page sent without its own token is said in the log, and nothing else is.
    others = [one for one in process.said.splitlines() if "django.security.csrf" not in one]
    assert (code, others) == (0, [])


def lacking(answer: requests.Response, path: str) -> list[str]:
    """Headers that the answer should have and has not, but for what it says itself of being kept."""
    wanted = headers_for(path)
    return [
        name
        for name, value in wanted.items()
        if name not in answer.headers or (name != "Cache-Control" and answer.headers[name] != value)
    ]


def ask(hub: HubProcess, method: str, path: str, **headers: str) -> requests.Response:
    session = requests.Session()
    session.trust_env = False
    return session.request(
        method,
        hub.url + path,
        headers=headers,
        allow_redirects=False,
        timeout=REQUEST_S_MAX,
        stream=True,
    )


@pytest.mark.parametrize("method, path, status", ANSWERS)
def test_every_kind_of_answer_carries_every_header(
    hub: HubProcess, method: str, path: str, status: int
) -> None:
    answer = ask(hub, method, path)
    assert (answer.status_code, lacking(answer, path)) == (status, [])
    assert "Server" not in answer.headers
    if not path.startswith("/static/hub/"):
        assert answer.headers["Cache-Control"].find("no-store") >= 0


def test_pages_and_downloads_behind_the_door_carry_them_too(
    hub: HubProcess, folder: HubFolder
) -> None:
    cookie = f"interlock_session={folder.run(LOGIN.replace('ROLE', 'owner'))}"
    for path in BEHIND_THE_DOOR:
        answer = ask(hub, "GET", path, Cookie=cookie)
        assert (answer.status_code, lacking(answer, path)) == (200, [])
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_body_that_is_too_long_is_refused_with_them_and_not_read(hub: HubProcess) -> None:
    line = http.client.HTTPConnection(urlsplit(hub.url).netloc, timeout=REQUEST_S_MAX)
    line.putrequest("POST", "/sign-in/")
    line.putheader("Content-Length", str(TOO_LONG))
    line.endheaders()
    chunk = bytes(65_536)
    sent = 0
    try:
        while sent < TOO_LONG:
            line.send(chunk)
            sent += len(chunk)
    except OSError:
        pass  # the hub has heard enough
    answer = line.getresponse()
    assert answer.status == 413
    assert {name.lower() for name in HEADERS} <= {name.lower() for name, _ in answer.getheaders()}
    line.close()


def test_only_over_https_a_browser_is_told_to_stay_there_and_cookies_are_bound_to_it(
    hub: HubProcess,
) -> None:
    plain = ask(hub, "GET", "/sign-in/")
    # A proxy on the same computer says how the browser came.
    proxied = ask(hub, "GET", "/sign-in/", **{"X-Forwarded-Proto": "https"})
    assert "Strict-Transport-Security" not in plain.headers
    assert proxied.headers["Strict-Transport-Security"] == "max-age=2592000"
    assert "secure" not in plain.headers["Set-Cookie"].lower()
    assert "; secure" in proxied.headers["Set-Cookie"].lower()
    assert "; httponly" in plain.headers["Set-Cookie"].lower()


def test_no_header_is_missing_from_the_table_itself() -> None:
    assert {name: value for name, value in HEADERS.items() if not name.endswith("-Policy")} == {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cache-Control": "no-store",
    }
    assert {name for name in HEADERS if name.endswith("-Policy")} == {
        "Content-Security-Policy",
        "Permissions-Policy",
        "Referrer-Policy",
        "Cross-Origin-Opener-Policy",
        "Cross-Origin-Resource-Policy",
    }


def test_the_policy_lets_nothing_in_from_elsewhere_and_nothing_inline() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert {"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} <= set(
        policy.split("; ")
    )
