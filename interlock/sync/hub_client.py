"""Greetings and records to the hub, snapshots from it, over HTTPS: bounded in time and in size.

A hub's address that begins with https:// is believed by the lab's own certificate authority (trust.py) and
never called in any other way; http:// is for a hub on the same computer. Every call ends within its total time,
whatever the hub does, and reads no more than its cap. It follows no redirect (the credential goes to the pinned
address only), uses no proxy of the environment, and retries nothing: the back-off of courier and fetcher is the
one place that does.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from interlock import __version__
from interlock.clock import SystemClock
from interlock.errors import ConfigError, ProtocolError, StoreError
from interlock.protocol import canonical, fields, hubapi
from interlock.protocol.credentials import HubAccess
from interlock.protocol.deltas import DELTA_BYTES_MAX, claimed_version
from interlock.protocol.records import head_from_wire
from interlock.protocol.snapshots import SnapshotVersion
from interlock.sync.guillotine import GuardedAdapter, Guillotine, PinnedAdapter
from interlock.sync.links import (
    NO_VERSION,
    Delivered,
    HubHello,
    News,
    No,
    NodeHello,
    OtherChain,
    Wire,
    Word,
    said_by,
    version_from_wire,
    version_text,
    version_to_wire,
)
from interlock.sync.trust import Trust

ANSWER_BYTES_MAX = canonical.FRAME_BYTES_MAX
"""Every answer but a snapshot is a few hundred bytes, or a line for each set-aside record."""

CHUNK_BYTES = 65_536

REFUSALS = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.CONFLICT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UPGRADE_REQUIRED,
    }
)
"""Answers that are a decision, about this node or about what it sent: the same question would get
the same answer. Everything else unexpected is a broken link."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds each call may take; `total_s` is the whole of it, name resolution apart."""

    connect_s: float = 5.0
    read_s: float = 10.0
    total_s: float = 20.0
    download_total_s: float = 300.0
    """64 MB, the largest snapshot of a big lab, at 2 Mbit/s."""
    grace_s: float = 5.0
    """How much later than asked the hub may answer a long poll."""


class HubClient:
    """The hub as one node sees it; each instance belongs to one thread. A `links.HubLink`."""

    def __init__(
        self,
        access: HubAccess,
        timeouts: Timeouts | None = None,
        trust: Trust | None = None,
        health: Callable[[], dict[str, int]] = dict,
    ) -> None:
        """`trust` is shared by all clients of a process; `health` says how the computer is."""
        if not access.hub_url.startswith(("http://", "https://")):
            raise ConfigError(
                f"{access.hub_url!r} is not the address of a hub",
                where="hub_url",
                remedy="It begins with http:// or https://",
            )
        self._base = access.hub_url.rstrip("/")
        self._timeouts = timeouts or Timeouts()
        self._guillotine = Guillotine()
        self._session = requests.Session()
        # Not from the environment: a proxy would see the credential, ~/.netrc would replace it.
        self._session.trust_env = False
        self._session.auth = _Bearer(access.credential)
        self._session.headers["User-Agent"] = f"interlock-sync/{__version__}"
        # A compressed answer could unfold to any size; ours are small or already compact.
        self._session.headers["Accept-Encoding"] = "identity"
        self._health = health
        self._trust = trust
        self._trusts = -1
        # Nothing but the one scheme: neither a mistake nor a redirect can lead to the other.
        self._session.adapters.clear()
        if self._base.startswith("https://"):
            self._trust = trust or Trust(access, SystemClock())
            self._renew_trust(self._trust)
        elif access.is_pinned:
            raise ConfigError(
                "this node was enrolled over HTTPS and speaks nothing else",
                where="hub_url",
                remedy="Enrol it again with: interlock node enrol CODE",
            )
        else:
            self._session.mount("http://", GuardedAdapter(self._guillotine))

    def hello(self, hello: NodeHello) -> HubHello | No:
        """Introduce the node."""
        answer = self._post(
            hubapi.PATH_HELLO,
            {
                "v": hubapi.VERSION,
                "software": hello.software,
                "boot_id": hello.boot_id,
                "head": hello.head.to_wire(),
                "version": version_to_wire(hello.version),
                "nonce": hello.nonce,
                "mode": hello.mode,
                "health": {**self._health(), **self._trusted()},
                "digest": hello.digest,
                "refused": hello.refused or None,
            },
        )
        if isinstance(answer, No):
            if isinstance(answer, OtherChain) and self._trust is not None:
                self._trust.hear_time(answer.time, hello.nonce)
            return answer
        if self._trust is not None:
            self._hear(self._trust, answer, hello.nonce)
        with said_by(self._name):
            return HubHello(
                head=head_from_wire(_object(answer, "head")),
                time=_object(answer, "time"),
                version=version_from_wire(answer),
                commands=_commands(answer),
            )

    def deliver(self, records: Sequence[Wire]) -> Delivered | No:
        """Hand over records in order."""
        answer = self._post(
            hubapi.PATH_RECORDS,
            {"v": hubapi.VERSION, "records": [dict(record) for record in records]},
        )
        if isinstance(answer, No):
            return answer
        with said_by(self._name):
            aside = fields.objects(answer, "set_aside", length_max=hubapi.BATCH_RECORDS_MAX)
            return Delivered(
                head=head_from_wire(_object(answer, "head")),
                set_aside=tuple(_sentence(one) for one in aside),
            )

    def changes(
        self, since: SnapshotVersion, wait_s: int, has: SnapshotVersion = NO_VERSION
    ) -> News | No | None:
        """News after `since` as soon as there are any; None when `wait_s` passed without."""
        late_s = wait_s + self._timeouts.grace_s
        asked = {"since": version_text(since), "wait": str(wait_s)}
        if has != NO_VERSION:
            asked["has"] = version_text(has)
        with self._call(
            "GET", hubapi.PATH_CHANGES, read_s=late_s, total_s=late_s, params=asked
        ) as response:
            if response.status_code == HTTPStatus.NO_CONTENT:
                return None
            if response.headers.get("Content-Type") == hubapi.DELTA_TYPE:
                delta = b"".join(self._chunks(response, DELTA_BYTES_MAX))
                with said_by(self._name):
                    return News(claimed_version(delta), delta)
            answer = self._read_json(response)
        if isinstance(answer, No):
            return answer
        with said_by(self._name):
            version = None if answer.get("version") is None else version_from_wire(answer)
            return News(version, None, _commands(answer))

    def answered(self, number: str, *, done: bool, answer: str) -> No | None:
        """Tell what became of the command of that number."""
        told = {"v": hubapi.VERSION, "number": number, "done": done, "answer": answer}
        said = self._post(hubapi.PATH_COMMANDS, told)
        return said if isinstance(said, No) else None

    def download(self, target: Path) -> No | None:
        """`target` holds the current signed snapshot. Raises LinkError, StoreError."""
        with self._call(
            "GET",
            hubapi.PATH_SNAPSHOT,
            read_s=self._timeouts.read_s,
            total_s=self._timeouts.download_total_s,
        ) as response:
            if response.status_code != HTTPStatus.OK:
                answer = self._read_json(response)
                return answer if isinstance(answer, No) else self._unexpected(response)
            if "html" in response.headers.get("Content-Type", ""):
                raise self._fault("it sent a page instead of a snapshot")
            self._save(response, target)
        return None

    def interlocks(
        self, own: Mapping[str, bool | None], wanted: Sequence[str], boot_id: str, boot_ms: int
    ) -> dict[str, Word] | No:
        """Tell the levels of our own interlocks at `boot_ms`; those `wanted`, each named "node/name", come back."""
        message = {"v": hubapi.VERSION, "own": dict(own), "wanted": list(wanted)}
        message |= {"boot_id": boot_id, "boot_ms": boot_ms}
        answer = self._post(hubapi.PATH_INTERLOCKS, message)
        if isinstance(answer, No):
            return answer
        with said_by(self._name):
            known = _object(answer, "interlocks")
            # A hub of before says nothing of ages.
            ages_ms = _object(answer, "ages_ms") if "ages_ms" in answer else {}
            return {
                one: Word()
                if known.get(one) is None
                else Word(fields.flag(known, one), fields.optional_integer(ages_ms, one) or 0)
                for one in wanted
            }

    def cut(self) -> None:
        """The call under way, if any, raises LinkError at once; any thread may call this."""
        self._guillotine.cut()

    def close(self) -> None:
        """Every connection is closed."""
        self._session.close()

    # -------------------------------------------------------------------------- whom it believes

    def _trusted(self) -> dict[str, int]:
        return {} if self._trust is None else {"authorities": self._trust.serial}

    def _hear(self, trust: Trust, answer: Wire, nonce: str) -> None:
        trust.hear_time(_object(answer, "time"), nonce)
        if "authorities" in answer:
            trust.hear_authorities(_object(answer, "authorities"))

    def _renew_trust(self, trust: Trust) -> None:
        """Connections begin by the authorities in force; those that are open stay."""
        if self._trusts != trust.serial:
            self._trusts = trust.serial
            adapter = PinnedAdapter(self._guillotine, trust.context(), trust.check_dates)
            self._session.mount("https://", adapter)

    # ------------------------------------------------------------------------------- one exchange

    @property
    def _name(self) -> str:
        return f"the hub at {self._base}"

    def _post(self, path: str, message: dict[str, Any]) -> dict[str, Any] | No:
        with self._call(
            "POST",
            path,
            read_s=self._timeouts.read_s,
            total_s=self._timeouts.total_s,
            data=canonical.dumps(message),
            headers={"Content-Type": "application/json"},
        ) as response:
            return self._read_json(response)

    @contextmanager
    def _call(
        self, method: str, path: str, *, read_s: float, total_s: float, **options: Any
    ) -> Iterator[requests.Response]:
        """The response, its body unread. What goes wrong inside is a LinkError that says how."""
        if self._trust is not None:
            self._renew_trust(self._trust)
        try:
            with (
                self._guillotine.after(total_s),
                self._session.request(
                    method,
                    self._base + path,
                    timeout=(self._timeouts.connect_s, read_s),
                    stream=True,
                    allow_redirects=False,
                    **options,
                ) as response,
            ):
                yield response
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            self._check_time()
            raise self._fault(_in_words(error)) from error

    def _check_time(self) -> None:
        if self._guillotine.fell:
            limit = f"longer than {self._guillotine.total_s:g} s"
            raise self._fault(f"the whole answer took {limit}, or was given up")

    def _read_json(self, response: requests.Response) -> dict[str, Any] | No:
        status = response.status_code
        if status in REFUSALS:
            return _no(status, self._body(response))
        if status != HTTPStatus.OK:
            return self._unexpected(response)
        if response.headers.get("Content-Type", "").split(";")[0].strip() != "application/json":
            raise self._fault("its answer is not JSON: another server may be at this address")
        answer = canonical.loads(self._body(response), where=self._name, bytes_max=ANSWER_BYTES_MAX)
        with said_by(self._name):
            fields.integer(answer, "v", low=hubapi.VERSION, high=hubapi.VERSION)
        return answer

    def _unexpected(self, response: requests.Response) -> No:
        status = response.status_code
        if response.is_redirect:
            raise self._fault("it redirects elsewhere; NODE.sync.json must name the final address")
        raise self._fault(f"it answered with HTTP status {status}")

    def _body(self, response: requests.Response) -> bytes:
        return b"".join(self._chunks(response, ANSWER_BYTES_MAX))

    def _chunks(self, response: requests.Response, bytes_max: int) -> Iterator[bytes]:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise self._fault("it compressed its answer, which nobody asked for")
        total = 0
        for chunk in response.iter_content(CHUNK_BYTES):
            total += len(chunk)
            if total > bytes_max:
                raise self._fault(f"its answer is longer than {bytes_max} bytes")
            yield chunk
        # A cut connection looks like a clean end of a body that has no length.
        self._check_time()

    def _save(self, response: requests.Response, target: Path) -> None:
        try:
            sink = target.open("wb")
        except OSError as error:
            raise _unwritable(target, error) from error
        with sink:
            for chunk in self._chunks(response, hubapi.SNAPSHOT_BYTES_MAX):
                try:
                    sink.write(chunk)
                except OSError as error:
                    raise _unwritable(target, error) from error

    def _fault(self, why: str) -> ProtocolError:
        return ProtocolError(why, where=self._name)


class _Bearer(AuthBase):
    """Sets the header itself, so that `requests` never looks for other credentials."""

    def __init__(self, credential: str) -> None:
        self._credential = credential

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._credential}"
        return request


def _no(status: int, body: bytes) -> No:
    """The hub's own words where it has some, else the meaning of the status."""
    phrase = HTTPStatus(status).phrase
    try:
        wire = canonical.loads(body, where="the hub", bytes_max=ANSWER_BYTES_MAX)
        code, message = fields.text(wire, "error"), fields.text(wire, "message")
        if status == HTTPStatus.CONFLICT and "time" in wire:
            return OtherChain(code, message, _object(wire, "time"), version_from_wire(wire))
        return No(code, message)
    except ProtocolError:
        return No(str(status), phrase)


def _sentence(aside: Wire) -> str:
    epoch, seq = fields.integer(aside, "epoch"), fields.integer(aside, "seq")
    return f"{epoch}.{seq}: {fields.text(aside, 'why')}"


def _commands(answer: Wire) -> tuple[Wire, ...]:
    """The commands in an answer; none where it has no such field: a hub of before there were any."""
    if "commands" not in answer:
        return ()
    return tuple(fields.objects(answer, "commands", length_max=hubapi.COMMANDS_MAX))


def _object(wire: Wire, key: str) -> dict[str, Any]:
    value = wire.get(key)
    if not isinstance(value, dict):
        raise ProtocolError(f"{key} must be an object, not {value!r:.60}")
    return value


def _in_words(error: Exception) -> str:
    """What happened, without the addresses and object names that library errors carry."""
    if isinstance(error, requests.ConnectTimeout):
        return "it did not take the connection in time"
    if isinstance(error, requests.Timeout):
        return "it did not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return certificate_in_words(error)
    if isinstance(error, requests.ConnectionError):
        return "it cannot be reached, or hung up"
    return f"its answer cannot be read ({type(error).__name__})"


def certificate_in_words(error: BaseException) -> str:
    """Why the TLS connection did not come about, from what OpenSSL said somewhere inside `error`."""
    for inner in _causes(error):
        if isinstance(inner, ssl.SSLCertVerificationError):
            # OpenSSL's x509_vfy.h.
            return _VERIFY_WORDS.get(
                getattr(inner, "verify_code", 0), "its certificate is not the lab's"
            )
    return "it does not speak TLS as the hub does: another server may be at this address"


_VERIFY_WORDS = {
    9: "its certificate is not valid yet, by the hub's own time",
    10: "its certificate has expired, by the hub's own time",
    62: "its certificate is for another name",
    64: "its certificate is for another address",
}


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error`, and what libraries have wrapped in it, each once."""
    left, seen = [error], set[int]()
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inside = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        left += [other for other in inside if isinstance(other, BaseException)]


def _unwritable(target: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot be written: {error.strerror}",
        where=str(target),
        remedy="Check the free space and the owner of the spool folder",
    )
