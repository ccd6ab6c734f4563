"""What the desk asks and tells goes to the hub's API; members, badges and refusals come back, within bounded time.

A refusal ("this badge belongs to Ada") is a value. A hub that cannot be reached, or does not keep to its API, is a
LinkError; a token that may not do this is a ConfigError. Sending a write again with its key does nothing twice.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from interlock import __version__
from interlock.desk.words import _
from interlock.errors import ConfigError, LinkError, ProtocolError
from interlock.protocol.card_keys import CardSlot, Scheme

PREFIX = "/api/v1"
CONNECT_S, READ_S = 5.0, 20.0
"""A hub on an old laptop answers within a second; somebody stands at the desk and waits."""
ANSWER_BYTES_MAX = 1 << 20
CHUNK_BYTES = 65_536
PAGE_SIZE = 100
SCOPES = ("members:read", "badges:read", "badges:write", "card-keys:write")
"""What a desk needs to do all its work."""
TOKEN_TROUBLES = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
REFUSALS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


@dataclass(frozen=True, slots=True)
class Me:
    """Which lab the token is for, and what it may do."""

    lab: str
    token: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A member; `badges` counts those that are active."""

    id: str
    name: str
    email: str
    status: str
    badges: int


@dataclass(frozen=True, slots=True)
class CardKey:
    """Where a badge keeps the key that machines ask for; `generation` is what the hub calls key_version."""

    slot: CardSlot
    generation: int


@dataclass(frozen=True, slots=True)
class Badge:
    """A badge of a member."""

    number: int
    member_id: str
    member_name: str
    label: str
    condition: str
    card: CardKey | None


@dataclass(frozen=True, slots=True)
class Seen:
    """A card on the desk's reader: its code, its badge if somebody has it, and whether anybody could."""

    code: str
    badge: Badge | None
    is_badge: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """The lab says no, in words for people; `code` is for programs."""

    code: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}" if self.remedy else self.what


@dataclass(frozen=True, slots=True)
class OldIds:
    """What became of a list of old ids; lines of `bad` count from 1 within the list."""

    taken: int
    enrol_again: int
    unchanged: int
    bad: tuple[tuple[int, str], ...]
    total: int


class HubApi:
    """The API at `url` for the holder of `token`; sentences in `language`."""

    def __init__(
        self, url: str, token: str, language: str = "en", ca_file: Path | None = None
    ) -> None:
        """Raises ConfigError for an address over which UIDs and keys would travel in clear."""
        check_url(url)
        self._base = url.rstrip("/") + PREFIX
        self._session = requests.Session()
        # Not from the environment: a proxy would see the token, ~/.netrc would replace it.
        self._session.trust_env = False
        self._session.auth = _Bearer(token)
        self._session.verify = True if ca_file is None else str(ca_file)
        self._session.headers["User-Agent"] = f"interlock-desk/{__version__}"
        self._session.headers["Accept-Language"] = language

    def me(self) -> Me:
        """Who asks, and whom."""
        said = self._read("GET", "/me")
        with _as_told():
            token = said["token"]
            return Me(str(said["lab"]["name"]), str(token["name"]), tuple(token["scopes"]))

    def members(self, query: str = "") -> Iterator[Member]:
        """Everybody whose name or e-mail contains `query`, page by page."""
        for one in self._pages("/members", {"q": query}):
            yield _member(one)

    def badges_with_keys(self) -> Iterator[Badge]:
        """Every active badge that is genuine."""
        beyond_any = 14
        for one in self._pages("/badges", {"key_number_below": str(beyond_any)}):
            yield _badge(one)

    def lookup(self, uid: bytes) -> Seen:
        """Whose card this is; nothing is noted."""
        return _seen(self._read("POST", "/badges/lookup", {"uid": uid.hex()}))

    def tap(self, uid: bytes, key: str) -> Seen:
        """The same, and whoever hands out badges at the hub's page sees the card."""
        return _seen(self._read("POST", "/taps", {"uid": uid.hex()}, key))

    def next_key_number(self, scheme: Scheme) -> int | None:
        """The number after the highest one in use, never the doors'; None when a card has no more."""
        following = self._key_numbers(scheme)["next"]
        return None if following is None else int(following)

    def current_key_number(self, scheme: Scheme) -> int:
        """The highest number that an active badge uses; 1 where there is none."""
        return int(self._key_numbers(scheme)["current"])

    def give(self, member_id: str, uid: bytes, label: str, key: str) -> Badge | Refusal:
        """The card is the member's."""
        body = {"uid": uid.hex(), "label": label}
        said = self._ask("POST", f"/members/{member_id}/badges", body, key)
        return said if isinstance(said, Refusal) else _badge(said)

    def put_card_key(self, badge: int, card: CardKey, card_key: bytes, key: str) -> Badge | Refusal:
        """Machines ask this badge for `card_key` from now on: the card's own, never the site's."""
        body = {
            "scheme": card.slot.scheme.value,
            "aid": card.slot.aid.hex(),
            "key_number": card.slot.key_number,
            "key_version": card.generation,
            "key": card_key.hex(),
        }
        said = self._ask("PUT", f"/badges/{badge}/card-key", body, key)
        return said if isinstance(said, Refusal) else _badge(said)

    def send_old_ids(
        self, lines: Sequence[Mapping[str, Any]], key: str, *, dry_run: bool, partial: bool
    ) -> OldIds:
        """The lines are taken, or looked at; with bad lines and not `partial` none is taken."""
        body = {"lines": list(lines), "dry_run": dry_run, "partial": partial}
        said = self._read("POST", "/old-ids", body, key)
        with _as_told():
            bad = tuple((int(one["line"]), str(one["reason"])) for one in said["bad"])
            return OldIds(
                taken=int(said["taken"]),
                enrol_again=int(said["enrol_again"]),
                unchanged=int(said["unchanged"]),
                bad=bad,
                total=int(said["total"]),
            )

    # ----------------------------------------------------------------------------------- the wire

    def _key_numbers(self, scheme: Scheme) -> dict[str, Any]:
        said = self._read("GET", "/card-keys", query={"scheme": scheme.value})
        if not {"current", "next"} <= said.keys():
            raise _not_understood()
        return said

    def _pages(self, path: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
        page, pages = 1, 1
        while page <= pages:
            asked = {**query, "page": str(page), "size": str(PAGE_SIZE)}
            said = self._read("GET", path, query=asked)
            with _as_told():
                pages, items = int(said["pages"]), list(said["items"])
            yield from items
            page += 1

    def _read(
        self,
        method: str,
        path: str,
        body: object = None,
        key: str = "",
        query: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        said = self._ask(method, path, body, key, query)
        if isinstance(said, Refusal):
            raise ProtocolError(said.what, where=_("hub"), remedy=said.remedy)
        return said

    def _ask(
        self,
        method: str,
        path: str,
        body: object = None,
        key: str = "",
        query: dict[str, str] | None = None,
    ) -> dict[str, Any] | Refusal:
        try:
            with self._session.request(
                method,
                self._base + path,
                json=body,
                params=query,
                headers={"Idempotency-Key": key} if key else {},
                timeout=(CONNECT_S, READ_S),
                allow_redirects=False,
                stream=True,
            ) as answer:
                content = _content(answer)
        except (requests.RequestException, OSError) as error:
            raise LinkError(
                _("the hub does not answer (%s)") % type(error).__name__,
                where=self._base,
                remedy=_("Check that it runs and that this computer reaches it"),
            ) from error
        return self._understood(answer, content)

    def _understood(self, answer: requests.Response, content: bytes) -> dict[str, Any] | Refusal:
        status = HTTPStatus(answer.status_code) if answer.status_code in _STATUSES else None
        said = _object(content)
        if status in (HTTPStatus.OK, HTTPStatus.CREATED) and said is not None:
            return said
        refusal = _refusal(said)
        if status in TOKEN_TROUBLES and refusal is not None:
            raise ConfigError(
                refusal.what,
                where="hub.token_file",
                remedy=refusal.remedy or _("Make another token: interlock hub api-token add"),
            )
        if status in REFUSALS and refusal is not None:
            return refusal
        raise LinkError(
            _("the hub answers with status %d") % answer.status_code,
            where=self._base,
            remedy=_("Check hub.url, and what the hub's log says"),
        )


class _Bearer(AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _as_told:  # noqa: N801 # reads as a word of the sentence it stands in
    """What does not have the shape the API promises is the hub's fault, in words."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KeyError | TypeError | ValueError | AttributeError):
            raise _not_understood() from error


_STATUSES = frozenset(HTTPStatus)


def check_url(url: str) -> None:
    """Return when `url` keeps what is sent to it secret. Raises ConfigError."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and _is_loopback(parts.hostname or ""):
        return
    raise ConfigError(
        _("%r is no address for badge numbers and keys") % url,
        where="hub.url",
        remedy=_("It begins with https://, or is http://127.0.0.1:… on the hub's own computer"),
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _content(answer: requests.Response) -> bytes:
    """No more than a byte too much of it."""
    content = b""
    for chunk in answer.iter_content(CHUNK_BYTES):
        content += chunk
        if len(content) > ANSWER_BYTES_MAX:
            break
    return content


def _object(content: bytes) -> dict[str, Any] | None:
    if len(content) > ANSWER_BYTES_MAX:
        return None
    try:
        said = json.loads(content)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def _refusal(said: dict[str, Any] | None) -> Refusal | None:
    if said is None or not isinstance(said.get("what"), str):
        return None
    return Refusal(str(said.get("code", "")), said["what"], str(said.get("remedy") or ""))


def _seen(said: dict[str, Any]) -> Seen:
    with _as_told():
        owned = said["badge"]
        badge = None if owned is None else _badge(owned)
        return Seen(str(said["code"]), badge, bool(said["is_badge"]))


def _member(said: dict[str, Any]) -> Member:
    with _as_told():
        return Member(
            str(said["id"]),
            str(said["name"]),
            str(said["email"]),
            str(said["status"]),
            int(said["badges"]),
        )


def _badge(said: dict[str, Any]) -> Badge:
    with _as_told():
        card = said["card"]
        return Badge(
            int(said["number"]),
            str(said["member"]["id"]),
            str(said["member"]["name"]),
            str(said["label"]),
            str(said["condition"]),
            None if card is None else _card_key(card),
        )


def _card_key(said: dict[str, Any]) -> CardKey:
    slot = CardSlot(Scheme(said["scheme"]), bytes.fromhex(said["aid"]), int(said["key_number"]))
    return CardKey(slot, int(said["key_version"]))


def _not_understood() -> ProtocolError:
    return ProtocolError(
        _("the hub's answer cannot be understood"),
        where=_("hub"),
        remedy=_("Hub and desk should be of the same version of Interlock"),
    )
