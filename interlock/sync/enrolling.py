"""An enrolment code in, the two secret files of a node out: what `interlock node enrol` and the first boot do.

    1  the authority is fetched and compared with the code's fingerprint; nothing secret is said before
    2  the keys are made here and put on the disk, in a file of their own
    3  the code is claimed with them, over TLS with that authority: the hub calls this computer "waiting"
    4  six words are shown; a person compares them with the hub's page and clicks
    5  the badge key comes, sealed; NODE.node.json and NODE.sync.json are written; the file of step 2 goes

Killed anywhere, the same command goes on where it was: the keys of step 2 are used again, the hub answers the
same claim alike, and a node whose files are half written asks once more. Nobody is half enrolled: before step 4 the
hub knows no node, and before step 5 this computer has no file that one could start with.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from http import HTTPStatus
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

import requests
from urllib3.exceptions import HTTPError

from interlock import __version__
from interlock.clock import Clock
from interlock.config.secret_files import read_secret_object, replace_secret
from interlock.errors import ConfigError, LinkError, ProtocolError
from interlock.protocol import canonical, card_keys, fields
from interlock.protocol.authority import CERTIFICATE_LENGTH_MAX, fingerprint
from interlock.protocol.credentials import HubAccess, NodeKeys
from interlock.protocol.enrolment import (
    CREDENTIAL_BYTES,
    PATH_AUTHORITY,
    PATH_ENROL,
    PATH_ENROLMENT,
    Claim,
    EnrolmentCode,
    code_from_text,
    six_words,
    welcome_from_wire,
)
from interlock.protocol.records import CHAIN_KEY_BYTES
from interlock.sync.guillotine import Guillotine, PinnedAdapter
from interlock.sync.hub_client import certificate_in_words
from interlock.sync.trust import X509_V_FLAG_NO_CHECK_TIME

log = logging.getLogger(__name__)

ASK_EVERY_S = 2.0
"""How long a click takes to arrive; the hub takes a computer that is silent for 20 s for gone."""
CONNECT_S = 5.0
CALL_S = 20.0
ANSWER_BYTES_MAX = 16_384
SEALED_BYTES_MAX = 256

PENDING_NAME = "enrolling.json"
NODE_GROUP, SYNC_GROUP = "interlock", "interlock-sync"
"""Who may read the two files on a Pi; elsewhere they are their owner's alone (8-installation.md)."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where the node's secrets go: the node's own, its sync's, and those of an enrolment under way."""

    keys: Path
    access: Path
    pending: Path

    @classmethod
    def beside(cls, keys: Path, access: Path) -> Files:
        """The usual places: what is under way stands beside the node's keys."""
        return cls(keys, access, keys.with_name(PENDING_NAME))


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Which node of which machine this computer has become."""

    lab: str
    node: str
    machine: str


Show = Callable[[tuple[str, ...], str], None]
"""Six words and the machine's name, for a person to compare with the hub's page."""


class EnrolmentEnded(LinkError):
    """The hub will not have this computer by this code; `code` says why, to programs. Make a new code."""

    def __init__(self, code: str, what: str, remedy: str = "") -> None:
        self.code = code
        # The hub's own sentence, which says where and what to do.
        super().__init__(what.rstrip("."), remedy=remedy)


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """What this computer made for itself; their private parts never leave it."""

    credential: str = field(repr=False)
    chain_key: bytes = field(repr=False)
    decryption_key: bytes = field(repr=False)

    @classmethod
    def fresh(cls) -> OwnKeys:
        """Keys nobody has ever had."""
        return cls(
            secrets.token_hex(CREDENTIAL_BYTES),
            secrets.token_bytes(CHAIN_KEY_BYTES),
            card_keys.new_private_key(),
        )

    def claim(self, secret: bytes) -> Claim:
        """What the hub is told of them."""
        return Claim(
            secret=secret,
            credential_hash=sha256(self.credential.encode()).digest(),
            chain_key=self.chain_key,
            decryption_public_key=card_keys.public_half(self.decryption_key),
            software=__version__,
        )


def enrol(
    code_text: str,
    files: Files,
    clock: Clock,
    show: Show,
    *,
    again: bool = False,
    wait_s_max: float | None = None,
) -> Enrolled:
    """This computer is the machine's node, and both its files are written; waits for the person's click.

    `again`: it may have been a node before. `wait_s_max`: give up after so long without a click;
    the same call later goes on. Raises ProtocolError (not a code), ConfigError (it is a node already, or the
    files cannot be written), EnrolmentEnded (the hub said no), LinkError (it was not reached, or is another).
    """
    code = code_from_text(code_text)
    _refuse_second_life(files, code, again)
    authority = pinned_authority(code)
    keys = _keys_for(files, code)
    claim = keys.claim(code.secret)
    try:
        with _Line(code, authority) as line:
            welcome = welcome_from_wire(line.post(PATH_ENROL, claim.to_wire()))
            show(six_words(fingerprint(authority), claim, welcome), welcome.machine)
            sealed = _wait_for_click(line, keys, clock, wait_s_max)
    except EnrolmentEnded:
        # No hub will ever know these keys.
        files.pending.unlink(missing_ok=True)
        raise
    badge_key = card_keys.open_sealed(keys.decryption_key, sealed)
    node_keys = NodeKeys(
        lab=welcome.lab,
        node=welcome.node,
        epoch=welcome.epoch,
        chain_key=keys.chain_key,
        badge_key=badge_key,
        hub_public_key=welcome.hub_public_key,
        decryption_key=keys.decryption_key,
    )
    access = HubAccess(
        lab=welcome.lab,
        node=welcome.node,
        hub_url=code.url,
        credential=keys.credential,
        authorities=(authority,),
        hub_public_key=welcome.hub_public_key,
    )
    replace_secret(files.keys, node_keys.to_wire(), NODE_GROUP)
    replace_secret(files.access, access.to_wire(), SYNC_GROUP)
    files.pending.unlink(missing_ok=True)
    return Enrolled(welcome.lab, welcome.node, welcome.machine)


def pinned_authority(code: EnrolmentCode) -> str:
    """The certificate (PEM) whose fingerprint the code carries, as the hub's own address gave it.

    Whoever answers there is unknown and told nothing. Raises LinkError: unreachable, or another authority.
    """
    answer = _asked_of_anybody(code, PATH_AUTHORITY)
    certificate = fields.text(answer, "certificate", length_max=CERTIFICATE_LENGTH_MAX)
    if fingerprint(certificate) != code.authority:
        raise LinkError(
            "whoever answers there is not the hub of this code: the certificate authority is another one",
            where=code.url,
            remedy="Is somebody between this computer and the hub? Nothing secret was sent. "
            "Try from the hub's own network, with a new code",
        )
    return certificate


def _asked_of_anybody(code: EnrolmentCode, path: str) -> dict[str, Any]:
    """What whoever answers at the code's address says; nothing is checked, so nothing is told."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    guillotine = Guillotine()
    host = code.host.strip("[]")
    line = HTTPSConnection(host, code.port, timeout=CONNECT_S, context=context)
    try:
        with guillotine.after(CALL_S), contextlib.closing(line):
            line.connect()
            guillotine.hold(line.sock)
            line.request("GET", path)
            response = line.getresponse()
            body = response.read(ANSWER_BYTES_MAX + 1)
    except ssl.SSLError as error:
        raise LinkError(certificate_in_words(error), where=code.url, remedy=_REACH) from error
    except (OSError, HTTPException) as error:
        raise LinkError(_UNREACHED, where=code.url, remedy=_REACH) from error
    if response.status != HTTPStatus.OK:
        raise LinkError(f"HTTP status {response.status}", where=code.url, remedy=_REACH)
    return canonical.loads(body, where=code.url, bytes_max=ANSWER_BYTES_MAX)


# ----------------------------------------------------------------------------------------- the steps


def _refuse_second_life(files: Files, code: EnrolmentCode, again: bool) -> None:
    if again or _is_under_way(files, code):
        return
    there = next((path for path in (files.keys, files.access) if path.exists()), None)
    if there is not None:
        raise ConfigError(
            "this computer is a machine's node already",
            where=str(there),
            remedy="To make it another one: interlock node enrol --again CODE",
        )


def _keys_for(files: Files, code: EnrolmentCode) -> OwnKeys:
    """Those of this code, made before the hub hears of them: what was claimed is never forgotten."""
    if _is_under_way(files, code):
        kept = read_secret_object(files.pending)
        return OwnKeys(
            fields.text(kept, "credential", length_max=64),
            fields.octets(kept, "chain_key", CHAIN_KEY_BYTES),
            fields.octets(kept, "decryption_key", card_keys.X25519_BYTES),
        )
    keys = OwnKeys.fresh()
    wire = {
        "code": _name_of(code),
        "credential": keys.credential,
        "chain_key": keys.chain_key.hex(),
        "decryption_key": keys.decryption_key.hex(),
    }
    replace_secret(files.pending, wire)
    return keys


def _is_under_way(files: Files, code: EnrolmentCode) -> bool:
    if not files.pending.exists():
        return False
    return read_secret_object(files.pending).get("code") == _name_of(code)


def _name_of(code: EnrolmentCode) -> str:
    """Which code it was, without its secret."""
    return sha256(code.secret).hexdigest()


def _wait_for_click(line: _Line, keys: OwnKeys, clock: Clock, wait_s_max: float | None) -> bytes:
    began_ms, said = clock.boot_ms(), ""
    while True:
        try:
            answer = line.get(PATH_ENROLMENT, keys.credential)
            if answer.get("state") == "confirmed":
                return _hexadecimal(answer)
            said = ""
        except EnrolmentEnded:
            raise
        except LinkError as error:
            # The hub may be restarting; the person at the page is still there.
            if str(error) != said:
                said = str(error)
                log.warning("%s; asking again", error)
        if wait_s_max is not None and clock.boot_ms() - began_ms > 1_000 * wait_s_max:
            raise LinkError(
                "nobody has confirmed the six words yet",
                where="enrolment",
                remedy="Click on the hub's page, then run the same command again",
            )
        clock.sleep(ASK_EVERY_S)


def _hexadecimal(answer: Mapping[str, Any]) -> bytes:
    try:
        return bytes.fromhex(fields.text(answer, "badge_key", length_max=2 * SEALED_BYTES_MAX))
    except ValueError as error:
        raise ProtocolError("the badge key is garbled", where="enrolment") from error


class _Line:
    """HTTPS to the hub of a code, by the pinned authority and no other."""

    def __init__(self, code: EnrolmentCode, authority: str) -> None:
        self._url = code.url
        self._guillotine = Guillotine()
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.adapters.clear()
        self._session.headers["Accept-Encoding"] = "identity"
        adapter = PinnedAdapter(self._guillotine, _pinning(authority), lambda _: None)
        self._session.mount("https://", adapter)

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def get(self, path: str, credential: str = "") -> dict[str, Any]:
        """The hub's answer. Raises LinkError, EnrolmentEnded."""
        headers = {"Authorization": f"Bearer {credential}"} if credential else {}
        return self._call("GET", path, headers=headers)

    def post(self, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """The hub's answer. Raises LinkError, EnrolmentEnded."""
        body = canonical.dumps(dict(message))
        return self._call("POST", path, data=body, headers={"Content-Type": "application/json"})

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            with (
                self._guillotine.after(CALL_S),
                self._session.request(
                    method,
                    self._url + path,
                    timeout=(CONNECT_S, CALL_S),
                    stream=True,
                    allow_redirects=False,
                    **options,
                ) as response,
            ):
                body = response.raw.read(ANSWER_BYTES_MAX + 1, decode_content=False)
                status = response.status_code
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise LinkError(_why(error), where=self._url, remedy=_REACH) from error
        if not isinstance(body, bytes) or status not in (
            HTTPStatus.OK,
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.FORBIDDEN,
        ):
            raise LinkError(
                f"it answered with HTTP status {status}", where=self._url, remedy=_REACH
            )
        answer = canonical.loads(body, where=self._url, bytes_max=ANSWER_BYTES_MAX)
        if status == HTTPStatus.OK:
            return answer
        raise EnrolmentEnded(fields.text(answer, "error"), fields.text(answer, "message"))


_UNREACHED = "the hub cannot be reached, or did not answer in time"
_REACH = "Check the network cable, and that the hub runs"


def _pinning(authority: str) -> ssl.SSLContext:
    """Chain and name are checked; dates are not, because a Pi's first boot is in the past."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= X509_V_FLAG_NO_CHECK_TIME
    context.load_verify_locations(cadata=authority)
    return context


def _why(error: Exception) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return certificate_in_words(error)
    return _UNREACHED
