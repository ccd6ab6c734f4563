"""NEMO (public domain, NIST): a kiosk's "enable" for a user in, its page "you can now use" out."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from interlock.clock import perf_us
from tests.bench.peers.peer import HOST, MEMBERS, Caller, Measured, free_port, process, wait_for

PEER = "NEMO 8.1.5"
SEAM = "kiosk's enable over HTTP → page says so (usage event committed in SQLite)"
LEAVES_OUT = "badge reader and tablet; the interlock it would switch over the network"
TOOL, PROJECT, KIOSK = 1, 1, 1
FIRST_MEMBER = 10
CSRF = "0123456789abcdef0123456789abcdef"
MIGRATE_S = 600

SETTINGS = """
from NEMO.tests.test_settings import *
DEBUG, ALLOWED_HOSTS, LOGGING, STATIC_ROOT = False, ["*"], {}, "static"
MIDDLEWARE = [one.replace(".RemoteUser", ".HTTPHeader") for one in MIDDLEWARE]
"""


def measure(peers: Path, folder: Path, requests: int) -> Measured:
    """The time of `requests` enables, each for another user."""
    django = peers / "nemo" / "bin" / "django-admin"
    if not django.exists():
        return Measured(PEER, SEAM, LEAVES_OUT, why_not="not installed (README.md)")
    environment = {
        "DJANGO_SETTINGS_MODULE": "bench_settings",
        "PYTHONPATH": str(folder),
        "DATABASE_NAME": str(folder / "nemo.db"),
    }
    (folder / "bench_settings.py").write_text(SETTINGS)
    (folder / "lab.json").write_text(json.dumps(list(_lab())))
    for command in (["migrate", "--verbosity", "0"], ["loaddata", str(folder / "lab.json")]):
        with process([str(django), *command], folder, environment) as child:
            if child.wait(MIGRATE_S):
                raise subprocess.CalledProcessError(child.returncode, command)
    port = free_port()
    serve = [str(django), "runserver", "--noreload", "--insecure", f"{HOST}:{port}"]
    with process(serve, folder, environment) as child:
        wait_for(port, child, folder)
        kiosk = Kiosk(port)
        try:
            return Measured(PEER, SEAM, LEAVES_OUT, [kiosk.once(n) for n in range(requests)])
        finally:
            kiosk.close()


class Kiosk:
    """A tablet that is logged in, and stays it."""

    def __init__(self, port: int) -> None:
        self._caller = Caller(port)
        self._cookies = f"csrftoken={CSRF}"
        _, given = self._post("/kiosk/enable_tool/", FIRST_MEMBER)
        (session,) = (one for one in given if one.startswith("sessionid="))
        self._cookies += f"; {session.split(';')[0]}"
        self._post("/kiosk/disable_tool/", FIRST_MEMBER)

    def once(self, number: int) -> float:
        """Enabled and disabled again; the milliseconds of the first."""
        member = FIRST_MEMBER + number % MEMBERS
        begun_us = perf_us()
        page, _ = self._post("/kiosk/enable_tool/", member)
        ended_us = perf_us()
        assert b"You can now use" in page, page[-600:]
        self._post("/kiosk/disable_tool/", member)
        return (ended_us - begun_us) / 1_000

    def close(self) -> None:
        """Gone."""
        self._caller.close()

    def _post(self, path: str, member: int) -> tuple[bytes, list[str]]:
        asked = {"tool_id": TOOL, "customer_id": member, "project_id": PROJECT}
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Authorization": "Basic " + base64.b64encode(b"kiosk:unused").decode(),
            "X-CSRFToken": CSRF,
            "Cookie": self._cookies,
        }
        status, page, cookies = self._caller.post(path, urlencode(asked).encode(), headers)
        assert status == 200, (path, status, page[-400:])
        return page, cookies


def _lab() -> Iterator[dict[str, Any]]:
    """A kiosk, users, one tool and what it is billed to."""
    yield _row("account", 1, name="Account")
    yield _row("project", PROJECT, name="Project", account=1, application_identifier="0")
    yield _user(KIOSK, "kiosk", is_superuser=True, is_staff=True)
    for number in range(MEMBERS):
        yield _user(FIRST_MEMBER + number, f"member{number}", badge_number=str(number))
    yield _row(
        "tool",
        TOOL,
        name="Saw",
        _category="Wood",
        _location="Workshop",
        _phone_number="0",
        _primary_owner=KIOSK,
        _operational=True,
        visible=True,
    )
    for number in range(MEMBERS):
        member = FIRST_MEMBER + number
        since = {"qualified_on": "2026-01-01"}
        yield _row("qualification", number + 1, user=member, tool=TOOL, **since)


def _user(key: int, name: str, **more: Any) -> dict[str, Any]:
    return _row(
        "user",
        key,
        username=name,
        first_name=name,
        last_name="Bench",
        email=f"{name}@lab.test",
        date_joined="2026-01-01T00:00:00Z",
        training_required=False,
        projects=[PROJECT],
        **more,
    )


def _row(model: str, key: int, **values: Any) -> dict[str, Any]:
    return {"model": f"NEMO.{model}", "pk": key, "fields": values}
