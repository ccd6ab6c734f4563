"""What DESFire and NTAG 424 chips have in common: a framed command goes in, status and content out.

Commands come native (code, content) or wrapped in ISO 7816-4 (`90 code 00 00 [Lc content] 00`);
answers have the same frame: status first, or SW `91 status` last. A command that goes on in the next
frame is answered MORE (AF) and continued with code AF; any other command then aborts it. Every
status but OK and MORE ends the session. Nothing a chip keeps without power changes but in one
assignment at the end of a command: a card that is taken away has the old memory or the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from enum import IntEnum

from interlock.sim.card_blocks import Reply
from interlock.sim.card_crypto import CardCipher, rotated
from interlock.sim.card_sessions import (
    TI_BYTES,
    Ev1Session,
    Ev2Session,
    Session,
    ev1_session_key,
    ev2_session_keys,
)

Draw = Callable[[int], bytes]
"""So many random bytes."""

ISO_CLASS, WRAPPED_CLASS = 0x00, 0x90
ISO_SELECT = 0xA4
ISO_BY_NAME = 0x04
MORE_CODE = 0xAF
SW_OK, SW_LENGTH, SW_NOT_FOUND = b"\x90\x00", b"\x67\x00", b"\x6a\x82"
SW_PARAMETERS, SW_CODE, SW_CLASS = b"\x6a\x86", b"\x6d\x00", b"\x6e\x00"

QUICK_US = 400.0
"""What a command without cryptography takes. This and the next two are assumptions of the model, in
the order of what people see with real cards; tests vary them."""
CRYPTO_US = 2_000.0
"""What one step of an authentication takes."""
WRITE_US = 8_000.0
"""What writing the non-volatile memory adds."""
AUTHENTICATION_BYTES = {8: 16, 16: 32}
"""Length of the reader's half of the challenge, by block size."""
CAPABILITIES_BYTES = 6


class Status(IntEnum):
    """The status codes these models use (NT4H2421Gx rev. 3.0, table 23; the same in DESFire)."""

    OK = 0x00
    OUT_OF_MEMORY = 0x0E
    ILLEGAL_COMMAND = 0x1C
    INTEGRITY_ERROR = 0x1E
    NO_SUCH_KEY = 0x40
    LENGTH_ERROR = 0x7E
    PERMISSION_DENIED = 0x9D
    PARAMETER_ERROR = 0x9E
    APPLICATION_NOT_FOUND = 0xA0
    AUTHENTICATION_ERROR = 0xAE
    MORE = 0xAF
    COMMAND_ABORTED = 0xCA
    COUNT_ERROR = 0xCE
    DUPLICATE = 0xDE


@dataclass(frozen=True, slots=True)
class Said:
    """A chip's answer before it is framed."""

    status: Status
    content: bytes = b""
    work_us: float = QUICK_US


@dataclass(frozen=True, slots=True)
class Command:
    """One command: what it does with its payload, and which lengths that may have.

    `is_raw`: it takes its bytes as they come and does its own secure messaging.
    """

    perform: Callable[[bytes], Said]
    lengths: Container[int] = (0,)
    is_raw: bool = False


class Chip:
    """The software of a card: `interlock.sim.card_blocks.Software`."""

    speaks_native = True

    def __init__(self, uid: bytes, draw: Draw) -> None:
        self.uid = uid
        self.session: Session | None = None
        self._draw = draw
        self._next: Callable[[bytes], Said] | None = None
        self._commands: Mapping[int, Command] = {}
        self._names: Mapping[bytes, Callable[[], None]] = {}

    def power_on(self) -> None:
        """No session, nothing half-done."""
        self.session = None
        self._next = None

    def answer(self, command: bytes) -> Reply | None:
        """The framed answer to a framed command; nothing to nothing."""
        if not command:
            return Reply(b"")
        if command[0] == ISO_CLASS:
            return Reply(self._iso(command), QUICK_US)
        if command[0] == WRAPPED_CLASS:
            native = _unwrapped(command)
            if native is None:
                return Reply(SW_LENGTH, QUICK_US)
            said = self._perform(native)
            return Reply(said.content + bytes((0x91, said.status)), said.work_us)
        if not self.speaks_native:
            return Reply(SW_CLASS, QUICK_US)
        said = self._perform(command)
        return Reply(bytes((said.status,)) + said.content, said.work_us)

    # ---------------------------------------------------------------------------------- performing

    def _perform(self, native: bytes) -> Said:
        code, body = native[0], native[1:]
        following, self._next = self._next, None
        if following is not None:
            said = following(body) if code == MORE_CODE else Said(Status.COMMAND_ABORTED)
        elif code in self._commands:
            said = self._perform_one(self._commands[code], code, body)
        else:
            said = Said(Status.ILLEGAL_COMMAND)
        if said.status not in (Status.OK, Status.MORE):
            self.session = None
            self._next = None
        return said

    def _perform_one(self, command: Command, code: int, body: bytes) -> Said:
        payload: bytes | None = body
        if self.session is not None and not command.is_raw:
            payload = self.session.plain_in(code, body)
        if payload is None:
            return Said(Status.INTEGRITY_ERROR)
        if len(payload) not in command.lengths:
            return Said(Status.LENGTH_ERROR)
        return command.perform(payload)

    def _done(self, content: bytes = b"", work_us: float = QUICK_US) -> Said:
        """OK, with `content` protected as the session asks."""
        told = content if self.session is None else self.session.plain_out(content)
        return Said(Status.OK, told, work_us)

    def _in_frames(self, frames: list[bytes]) -> Said:
        """OK in several frames; the MAC of a session covers them all and ends the last."""
        whole = b"".join(frames)
        last = frames[-1] + self._done(whole).content[len(whole) :]
        return self._frame([*frames[:-1], last])

    def _frame(self, frames: list[bytes]) -> Said:
        if len(frames) == 1:
            return Said(Status.OK, frames[0])
        self._next = lambda body: Said(Status.LENGTH_ERROR) if body else self._frame(frames[1:])
        return Said(Status.MORE, frames[0])

    # ------------------------------------------------------------------------------ authenticating

    def _challenge(
        self, key: CardCipher, finish: Callable[[bytes, bytes, bytes], Said], *, is_chained: bool
    ) -> Said:
        """E(RndB); `finish(RndA, RndB, last ciphertext)` follows when the reader knows `key`.

        `is_chained`: EV1 chains all three messages, EV2 begins each from zero.
        """
        self.session = None
        rnd_b = self._draw(key.block_bytes)
        challenge = key.encrypted(rnd_b, key.zeros)

        def proof(body: bytes) -> Said:
            if len(body) != AUTHENTICATION_BYTES[key.block_bytes]:
                return Said(Status.LENGTH_ERROR)
            chained = challenge if is_chained else key.zeros
            both = key.decrypted(body, chained[-key.block_bytes :])
            rnd_a, turned = both[: len(rnd_b)], both[len(rnd_b) :]
            if turned != rotated(rnd_b):
                return Said(Status.AUTHENTICATION_ERROR, work_us=CRYPTO_US)
            return finish(rnd_a, rnd_b, body[-key.block_bytes :])

        self._next = proof
        return Said(Status.MORE, challenge, CRYPTO_US)

    def _authenticate_ev1(self, number: int, key: CardCipher) -> Said:
        """AuthenticateISO or AuthenticateAES with `key`, three passes."""

        def finish(rnd_a: bytes, rnd_b: bytes, chained: bytes) -> Said:
            session_key = ev1_session_key(key, rnd_a, rnd_b)
            self.session = Ev1Session(number, CardCipher(key.kind, session_key))
            return Said(Status.OK, key.encrypted(rotated(rnd_a), chained), CRYPTO_US)

        return self._challenge(key, finish, is_chained=True)

    def _authenticate_ev2(self, number: int, key: CardCipher, capabilities: bytes) -> Said:
        """AuthenticateEV2First: a new transaction (NT4H2421Gx, 9.1.5)."""

        def finish(rnd_a: bytes, rnd_b: bytes, _: bytes) -> Said:
            identifier = self._draw(TI_BYTES)
            enc, mac = ev2_session_keys(key, rnd_a, rnd_b)
            self.session = Ev2Session(number, enc=enc, mac=mac, identifier=identifier)
            theirs = capabilities.ljust(CAPABILITIES_BYTES, b"\x00")
            told = identifier + rotated(rnd_a) + bytes(CAPABILITIES_BYTES) + theirs
            return Said(Status.OK, key.encrypted(told, key.zeros), CRYPTO_US)

        return self._challenge(key, finish, is_chained=False)

    def _authenticate_ev2_again(self, number: int, key: CardCipher) -> Said:
        """AuthenticateEV2NonFirst: other keys within the same transaction (9.1.6)."""
        previous = self.session
        if not isinstance(previous, Ev2Session):
            return Said(Status.PERMISSION_DENIED)

        def finish(rnd_a: bytes, rnd_b: bytes, _: bytes) -> Said:
            enc, mac = ev2_session_keys(key, rnd_a, rnd_b)
            self.session = Ev2Session(
                number,
                enc=enc,
                mac=mac,
                identifier=previous.identifier,
                counter=previous.counter,
            )
            return Said(Status.OK, key.encrypted(rotated(rnd_a), key.zeros), CRYPTO_US)

        return self._challenge(key, finish, is_chained=False)

    # ----------------------------------------------------------------------------------- ISO 7816-4

    def _iso(self, command: bytes) -> bytes:
        """SELECT by name, the one command of ISO 7816-4 these models know."""
        if len(command) < 5:
            return SW_LENGTH
        if command[1] != ISO_SELECT:
            return SW_CODE
        if command[2] != ISO_BY_NAME or command[3] not in (0x00, 0x0C):
            return SW_PARAMETERS
        length = command[4]
        if len(command) not in (5 + length, 6 + length):
            return SW_LENGTH
        select = self._names.get(command[5 : 5 + length])
        if select is None:
            return SW_NOT_FOUND
        self.session = None
        self._next = None
        select()
        return SW_OK


def _unwrapped(command: bytes) -> bytes | None:
    """Code and content of `90 code 00 00 [Lc content] Le`; None when the lengths do not agree."""
    if len(command) < 5 or command[2:4] != b"\x00\x00":
        return None
    if len(command) == 5:
        return command[1:2]
    length = command[4]
    if length == 0 or len(command) not in (5 + length, 6 + length):
        return None
    return command[1:2] + command[5 : 5 + length]
