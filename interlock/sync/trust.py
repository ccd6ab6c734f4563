"""Whom a node's sync believes: pinned authorities and the hub's signed answers in, TLS contexts out.

The authorities pinned at enrolment stand in NODE.sync.json. The hub may replace them by a list that is signed with
its Ed25519 key, with a higher serial than the last; the newest is kept beside the snapshots, where its signature
is verified each time it is read. Dates of certificates count once the hub has told the time in answer to this
node's own nonce: a Pi that boots in the past would refuse a valid one.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from interlock.clock import Clock
from interlock.errors import ConfigError, ProtocolError
from interlock.protocol import canonical, hubtime
from interlock.protocol.authority import Authorities, open_authorities, validity_ms
from interlock.protocol.credentials import HubAccess

log = logging.getLogger(__name__)

STORE_NAME = "authorities.json"
X509_V_FLAG_NO_CHECK_TIME = 0x200000
"""OpenSSL's x509_vfy.h; Python's `ssl` has no name for it. We look at the dates ourselves, by the hub's time."""
X509_V_ERR_CERT_NOT_YET_VALID = 9
X509_V_ERR_CERT_HAS_EXPIRED = 10


class Trust:
    """What every connection of one sync process is checked against; any thread may ask."""

    def __init__(self, access: HubAccess, clock: Clock, folder: Path | None = None) -> None:
        """`folder`: where a newer list of authorities is kept; None: only in memory."""
        if not access.is_pinned:
            raise ConfigError(
                "it names an https:// address without the lab's certificate authority",
                where="NODE.sync.json",
                remedy="Enrol this computer with: interlock node enrol CODE",
            )
        self._access = access
        self._clock = clock
        self._store = None if folder is None else folder / STORE_NAME
        self._lock = Lock()
        self._now: tuple[int, int] | None = None
        # Those of the enrolment have no serial: any signed list is newer.
        self._authorities = Authorities(access.lab, 0, access.authorities)
        self._read()

    @property
    def serial(self) -> int:
        """Of the list in force; 0: still the one of the enrolment."""
        return self._authorities.serial

    def context(self) -> ssl.SSLContext:
        """A TLS context that believes the authorities in force and nobody else, whatever the date."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_flags |= X509_V_FLAG_NO_CHECK_TIME
        context.load_verify_locations(cadata="".join(self._authorities.certificates))
        return context

    def check_dates(self, certificate: bytes) -> None:
        """Return when `certificate` (DER) is valid now, or nobody knows what time it is.

        Raises ssl.SSLCertVerificationError, as OpenSSL would.
        """
        now_ms = self.now_ms()
        if now_ms is None:
            return
        begins_ms, ends_ms = validity_ms(certificate)
        if now_ms < begins_ms:
            raise _invalid(X509_V_ERR_CERT_NOT_YET_VALID, "certificate is not yet valid")
        if now_ms >= ends_ms:
            raise _invalid(X509_V_ERR_CERT_HAS_EXPIRED, "certificate has expired")

    def now_ms(self) -> int | None:
        """UTC by the hub's last signed word; None before the first, and never the computer's own clock."""
        anchor = self._now
        return None if anchor is None else anchor[0] + self._clock.boot_ms() - anchor[1]

    def hear_time(self, message: Mapping[str, Any], nonce: str) -> None:
        """The hub's time counts from now on, if it is signed and answers `nonce` (hexadecimal)."""
        access = self._access
        try:
            time = hubtime.open_time(
                message,
                access.hub_key(),
                lab=access.lab,
                node=access.node,
                nonce=bytes.fromhex(nonce),
            )
        except (ProtocolError, ValueError) as error:
            log.warning("the hub's time is not believed: %s", error)
            return
        self._now = time.wall_ms, self._clock.boot_ms()

    def hear_authorities(self, message: Mapping[str, Any]) -> bool:
        """Whether `message` is a newer list signed by the hub; then it is in force, and on the disk."""
        with self._lock:
            try:
                said = open_authorities(message, self._access.hub_key(), lab=self._access.lab)
            except ProtocolError as error:
                log.warning("the hub's list of authorities is not believed: %s", error)
                return False
            if said.serial <= self._authorities.serial:
                return False
            self._keep(message)
            self._authorities = said
        log.info("list %d of certificate authorities is in force", said.serial)
        return True

    def _read(self) -> None:
        if self._store is None or not self._store.exists():
            return
        try:
            kept = canonical.loads(self._store.read_bytes(), where=str(self._store))
            self._authorities = open_authorities(kept, self._access.hub_key(), lab=self._access.lab)
        except (OSError, ProtocolError) as error:
            log.warning(
                "%s is not believed, the enrolment's authorities are: %s", self._store, error
            )

    def _keep(self, message: Mapping[str, Any]) -> None:
        if self._store is None:
            return
        part = self._store.with_suffix(".tmp")
        try:
            with part.open("wb") as target:
                target.write(canonical.dumps(dict(message)))
                target.flush()
                os.fsync(target.fileno())
            part.replace(self._store)
        except OSError as error:
            # It is told again with the next greeting after a restart.
            log.warning("%s cannot be written: %s", self._store, error.strerror)


def _invalid(code: int, words: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, words)
    error.verify_code, error.verify_message = code, words
    return error
