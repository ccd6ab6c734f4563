"""A PN532 behind its serial line: bytes from the host go in, what the chip sends and when comes out.

Written from the user manual UM0701-02 (firmware 1.6), apart from the driver; nfcpy runs on it
unmodified (tests/readers/test_pn532_library.py). After power-on the chip sleeps: it wakes at the
fifth rising edge on its line and has lost everything until then; it then takes commands, but no
contactless one before SAMConfiguration (low-battery mode). A command is acknowledged at once and
answered when it is done; a new command or an ACK from the host ends the one under way; a NACK makes
the chip say its last answer again. Frames that do not add up are not heard at all.

Not modelled: target mode, FeliCa, type B, MIFARE authentication, GPIO, other lines than HSU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from interlock.sim.pn532_radio import CardBroken, CardTimeout, Radio, Target
from interlock.sim.rc522_air import Air, AirCard

BAUD_RATES = (9_600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600, 1_288_000)
"""By their codes in SetSerialBaudRate (7.2.8); the chip starts with 115,200."""
BITS_PER_BYTE = 10
"""Start, eight bits and stop."""
ACK_US = 1_000
"""The manual allows 15 ms; a working chip takes about one."""
WORK_US = 1_000
"""What a command takes that has nothing to do in the air."""
WAKE_EDGES = 5
FIRMWARE = bytes((0x32, 0x01, 0x06, 0x07))
"""IC, version 1.6, and ISO 14443 A and B and ISO 18092 supported (7.2.2)."""
ACK_FRAME = bytes.fromhex("0000ff00ff00")
NACK_BODY, ACK_BODY = b"\xff\x00", b"\x00\xff"
SYNTAX_ERROR_FRAME = bytes.fromhex("0000ff01ff7f8100")
HOST, CHIP = 0xD4, 0xD5

OK, TIMEOUT, CRC_ERROR, BAD_CONTEXT, BAD_PARAMETER = 0x00, 0x01, 0x02, 0x27, 0x10
MORE = 0x40
FOREVER = 0xFF
ATTEMPTS_FOREVER = 40
"""As good as for ever: a host that asked for it has its own time-out."""
ANSWER_BYTES = 262
"""What one InDataExchange gives back; the rest is fetched with the next (7.3.8)."""
CIU_COMMAND_LINE_TEST, CARD_PRESENCE_TEST = 0x00, 0x06
AUTOMATIC_RATS = 0x10
PARAMETERS_AT_RESET = 0x14
FIFO_REGISTER, TX_CONTROL_REGISTER = 0x6339, 0x6304

Line = Callable[[bytes], bytes]
"""What arrives at the other end instead of what was sent."""


def unspoilt(sent: bytes) -> bytes:
    """A line that works."""
    return sent


@dataclass
class _Outgoing:
    due_us: float
    content: bytes


@dataclass
class _State:
    """What the chip forgets without power."""

    edges: int = 0
    baud: int = 115_200
    low_battery: bool = True
    heard: bytearray = field(default_factory=bytearray)
    outgoing: list[_Outgoing] = field(default_factory=list)
    last_answer: bytes = b""
    parameters: int = PARAMETERS_AT_RESET
    activation_retries: int = FOREVER
    wait_index: int = 0x0A
    targets: list[Target] = field(default_factory=list)
    to_card: bytes = b""
    from_card: bytes = b""
    registers: dict[int, int] = field(default_factory=dict)


class Pn532Chip:
    """One chip with its antenna; `now_us` is its time.

    `to_host` spoils what it sends, `dead` is a chip without power or with a broken wire.
    """

    def __init__(self, now_us: Callable[[], float], firmware: bytes = FIRMWARE) -> None:
        self.air = Air()
        self.to_host: Line = unspoilt
        self.dead = False
        self.halts_first = True
        """The manual leaves open whether a target without ISO 14443-4 is halted while the second is
        sought. A chip that does not do it finds the same card twice.
        """
        self.codes: list[int] = []
        """Every command that was understood, in order."""
        self._now_us = now_us
        self._firmware = firmware
        self._radio = Radio(self.air)
        self._state = _State()

    def power_cycle(self) -> None:
        """The chip was without power for a moment."""
        self.air.switch(False, self._now_us())
        self._state = _State()
        self.dead = False

    def place(self, card: AirCard) -> None:
        """`card` lies on the antenna."""
        self.air.place(card, self._now_us())

    def remove(self, card: AirCard) -> None:
        """`card` is gone."""
        self.air.remove(card)

    def hear(self, content: bytes) -> None:
        """Bytes from the host."""
        if self.dead:
            return
        for byte in content:
            if self._state.edges < WAKE_EDGES:
                self._state.edges += _rising_edges(byte)
            else:
                self._state.heard.append(byte)
        while self._take_frame():
            pass

    def next_due_us(self) -> float | None:
        """When the next bytes leave the chip; None when there are none to come."""
        return min((one.due_us for one in self._state.outgoing), default=None)

    def said(self, until_us: float) -> bytes:
        """What left the chip until then and was not fetched yet."""
        due = [one for one in self._state.outgoing if one.due_us <= until_us]
        self._state.outgoing = [one for one in self._state.outgoing if one.due_us > until_us]
        return self.to_host(b"".join(one.content for one in due)) if due and not self.dead else b""

    # --------------------------------------------------------------------------------- frames

    def _take_frame(self) -> bool:
        """One frame (or what is none) is taken off the line; False when there is no whole one."""
        heard = self._state.heard
        at = heard.find(b"\x00\xff")
        if at < 0 or len(heard) < at + 4:
            return False
        body = bytes(heard[at + 2 :])
        if body[:2] in (ACK_BODY, NACK_BODY):
            del heard[: at + 4]
            self._hear_mark(body[:2])
            return True
        size, head = body[0], 2
        if body[:2] == b"\xff\xff":
            if len(body) < 5:
                return False
            size, head = body[2] * 256 + body[3], 5
            right = (body[2] + body[3] + body[4]) % 256 == 0
        else:
            right = (body[0] + body[1]) % 256 == 0
        if not right:
            del heard[: at + 2]
            return True
        if len(body) < head + size + 1:
            return False
        inside = body[head : head + size + 1]
        del heard[: at + 2 + head + size + 1]
        if sum(inside) % 256 == 0 and inside[0] == HOST and size >= 2:
            self._hear_command(inside[1], inside[2:-1])
        return True

    def _hear_mark(self, mark: bytes) -> None:
        if mark == ACK_BODY:
            self._abort()
        elif self._state.last_answer:
            self._send(self._now_us() + WORK_US, self._state.last_answer)

    def _abort(self) -> None:
        now_us = self._now_us()
        self._state.outgoing = [one for one in self._state.outgoing if one.due_us <= now_us]

    def _hear_command(self, code: int, given: bytes) -> None:
        self._abort()
        now_us = self._now_us()
        self._send(now_us + ACK_US, ACK_FRAME)
        action = self._ACTIONS.get(code)
        self._radio.now_us = now_us + ACK_US + WORK_US
        if action is None or (self._state.low_battery and code in self._CONTACTLESS):
            self._send(self._radio.now_us, SYNTAX_ERROR_FRAME)
            return
        self.codes.append(code)
        answer = action(self, given)
        if answer is None:
            self._send(self._radio.now_us, SYNTAX_ERROR_FRAME)
            return
        self._state.last_answer = _framed(bytes((CHIP, code + 1)) + answer)
        self._send(self._radio.now_us, self._state.last_answer)

    def _send(self, begins_us: float, frame: bytes) -> None:
        ends_us = begins_us + len(frame) * BITS_PER_BYTE / self._state.baud * 1_000_000
        self._state.outgoing.append(_Outgoing(ends_us, frame))

    # ------------------------------------------------------------------------------- commands

    def _diagnose(self, given: bytes) -> bytes | None:
        if given[:1] == bytes((CIU_COMMAND_LINE_TEST,)):
            return given
        if given == bytes((CARD_PRESENCE_TEST,)):
            target = self._target(1)
            is_there = target is not None and target.ats and self._radio.present(target)
            return bytes((OK if is_there else TIMEOUT,))
        return None

    def _get_firmware_version(self, given: bytes) -> bytes | None:
        return self._firmware

    def _read_register(self, given: bytes) -> bytes | None:
        addresses = [int.from_bytes(given[at : at + 2], "big") for at in range(0, len(given), 2)]
        return bytes(self._register(address) for address in addresses)

    def _write_register(self, given: bytes) -> bytes | None:
        for at in range(0, len(given), 3):
            self._state.registers[int.from_bytes(given[at : at + 2], "big")] = given[at + 2]
        return b""

    def _set_serial_baud_rate(self, given: bytes) -> bytes | None:
        if len(given) != 1 or given[0] >= len(BAUD_RATES):
            return None
        # From the host's ACK on; whether the host follows is between it and the line.
        self._state.baud = BAUD_RATES[given[0]]
        return b""

    def _set_parameters(self, given: bytes) -> bytes | None:
        self._state.parameters = given[0]
        return b""

    def _sam_configuration(self, given: bytes) -> bytes | None:
        if len(given) < 2 or given[0] != 1:
            return None
        self._state.low_battery = False
        return b""

    def _power_down(self, given: bytes) -> bytes | None:
        self.air.switch(False, self._now_us())
        self._state.edges, self._state.targets = 0, []
        return bytes((OK,))

    def _rf_configuration(self, given: bytes) -> bytes | None:
        item, values = given[0], given[1:]
        if item == 0x01 and len(values) == 1:
            self._switch_field(bool(values[0] & 1))
        elif item == 0x02 and len(values) == 3:
            self._state.wait_index = values[2]
        elif item == 0x05 and len(values) == 3:
            self._state.activation_retries = values[2]
        elif item not in (0x04, 0x0A, 0x0B, 0x0C, 0x0D):
            return None
        return b""

    def _in_list_passive_target(self, given: bytes) -> bytes | None:
        if len(given) < 2 or not 1 <= given[0] <= 2 or given[1] != 0:
            return None
        self._switch_field(True)
        retries = self._state.activation_retries
        attempts = ATTEMPTS_FOREVER if retries == FOREVER else 1 + retries
        automatic_rats = bool(self._state.parameters & AUTOMATIC_RATS)
        self._state.targets = []
        while len(self._state.targets) < given[0]:
            found = self._radio.find(attempts, automatic_rats=automatic_rats)
            if found is None:
                break
            self._state.targets.append(found)
            if self.halts_first and not found.ats and len(self._state.targets) < given[0]:
                self._radio.release(found)
        told = bytes((len(self._state.targets),))
        for number, one in enumerate(self._state.targets, start=1):
            told += bytes((number, *reversed(one.sens_res), one.sel_res, len(one.uid)))
            told += one.uid + one.ats
        return told

    def _in_data_exchange(self, given: bytes) -> bytes | None:
        if not given:
            return None
        target = self._target(given[0] & 0x3F)
        if target is None:
            return bytes((BAD_CONTEXT,))
        state = self._state
        if state.from_card:
            return self._more_from_card()
        state.to_card += given[1:]
        if given[0] & MORE:
            return bytes((OK,))
        command, state.to_card = state.to_card, b""
        try:
            if target.ats:
                state.from_card = self._radio.exchange(target, command)
            else:
                state.from_card = self._radio.thru(command, self._wait_us())
        except CardTimeout:
            return bytes((TIMEOUT,))
        except CardBroken:
            return bytes((CRC_ERROR,))
        return self._more_from_card()

    def _more_from_card(self) -> bytes:
        state = self._state
        told, state.from_card = state.from_card[:ANSWER_BYTES], state.from_card[ANSWER_BYTES:]
        return bytes((MORE if state.from_card else OK,)) + told

    def _in_communicate_thru(self, given: bytes) -> bytes | None:
        try:
            return bytes((OK,)) + self._radio.thru(given, self._wait_us())
        except CardTimeout:
            return bytes((TIMEOUT,))
        except CardBroken:
            return bytes((CRC_ERROR,))

    def _in_release(self, given: bytes) -> bytes | None:
        released = [self._target(given[0])] if given and given[0] else list(self._state.targets)
        for target in released:
            if target is None:
                return bytes((BAD_CONTEXT,))
            self._radio.release(target)
            self._state.targets.remove(target)
        return bytes((OK,))

    _ACTIONS = {
        0x00: _diagnose,
        0x02: _get_firmware_version,
        0x06: _read_register,
        0x08: _write_register,
        0x10: _set_serial_baud_rate,
        0x12: _set_parameters,
        0x14: _sam_configuration,
        0x16: _power_down,
        0x32: _rf_configuration,
        0x40: _in_data_exchange,
        0x42: _in_communicate_thru,
        0x4A: _in_list_passive_target,
        0x52: _in_release,
    }
    _CONTACTLESS = frozenset((0x40, 0x42, 0x4A, 0x52))

    # ----------------------------------------------------------------------------------- inside

    def _switch_field(self, on: bool) -> None:
        if not on:
            self._state.targets, self._state.from_card, self._state.to_card = [], b"", b""
        self.air.switch(on, self._radio.now_us)

    def _target(self, number: int) -> Target | None:
        return self._state.targets[number - 1] if 1 <= number <= len(self._state.targets) else None

    def _wait_us(self) -> float:
        """fRetryTimeout: 100 µs doubled by each step (7.3.1, item 2)."""
        return float(100 << (self._state.wait_index - 1)) if self._state.wait_index else 1e6

    def _register(self, address: int) -> int:
        if address == TX_CONTROL_REGISTER:
            return 0x83 if self.air.is_on else 0x80
        if address == FIFO_REGISTER:
            return 0x00 if self._state.targets else 0x26
        return self._state.registers.get(address, 0)


def _framed(body: bytes) -> bytes:
    """`body` (TFI first) as the chip frames it; above 255 bytes extended."""
    size = len(body)
    if size <= 255:
        head = bytes((size, (256 - size) % 256))
    else:
        high, low = divmod(size, 256)
        head = bytes((0xFF, 0xFF, high, low, -(high + low) % 256))
    return b"\x00\x00\xff" + head + body + bytes((-sum(body) % 256, 0))


def _rising_edges(byte: int) -> int:
    """Edges from 0 to 1 of a byte on the line: start bit 0, bits least significant first, stop bit 1."""
    levels = (0, *(byte >> place & 1 for place in range(8)), 1)
    return sum(1 for old, new in pairwise(levels) if (old, new) == (0, 1))
