"""A register-level RC522: SPI bytes go in, the chip's bytes come out; cards lie in its `air`.

Time is handed in as `now_us`, virtual or real, and the model is lazy: each transfer first lets
everything happen that was due until now (end of sending, fifth bit heard, end of an answer, timer)
in the order of its time. One thread at a time.

What the data sheet (NXP MFRC522 rev. 3.9) leaves open and the model decides: the collision position
counts the bits of the received frame from the first FIFO bit on, `RxAlign` included; a frame
that is stopped half-way is heard cut off by the cards. Not modelled: Crypto1 (MFAuthent goes on the
air and no card takes it), the analogue registers, UART and I²C, the self test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from interlock.sim import rc522_registers as reg
from interlock.sim.rc522_air import (
    BIT_US,
    BYTE_BITS,
    Air,
    AirCard,
    Bits,
    Heard,
    Reception,
    bits_of,
    bytes_of,
    duration_us,
    odd_parity,
    with_parity,
)
from interlock.sim.rc522_faults import Miso, miso_healthy, miso_stuck_low

TIMER_CLOCK_MHZ = 13.56
BITS_UNTIL_TIMER_STOPS = 5
"""TAuto stops the timer when the fifth bit is in: the start bit and four more (9.3.3.10)."""
ADDRESS = 0x3F
READ = 0x80
REGISTERS = 64
CRC_TERM = 0x8408
"""x^16 + x^12 + x^5 + 1, least significant bit first."""


class Rc522:
    """One chip with its antenna. `version` is what register 37h says."""

    _registers: list[int]
    _fifo: list[int]
    _crc_register: int
    _sending: Bits
    _sending_began_us: float
    _sending_ends_us: float | None
    _reception: Reception | None
    _timer_ends_us: float | None

    def __init__(self, now_us: Callable[[], int], *, version: int = reg.VERSION_GENUINE) -> None:
        self.air = Air()
        self.miso: Miso = miso_healthy
        self.transfers = 0
        self._now_us = now_us
        self._version = version
        self._has_power = True
        self._is_hung = False
        self._reset()

    # ------------------------------------------------------------------------ the world around it

    def place(self, card: AirCard) -> None:
        """`card` lies on the antenna from now on."""
        now_us = self._catch_up()
        self.air.place(card, now_us)

    def remove(self, card: AirCard) -> None:
        """`card` is taken away now; an answer it is sending breaks off."""
        now_us = self._catch_up()
        if self._reception is not None:
            self.air.cut_answer(self._reception, card, now_us)
        self.air.remove(card)

    def clear(self) -> None:
        """Every card is taken away."""
        for card in self.air.cards:
            self.remove(card)

    def cut_power(self) -> None:
        """The chip is dead: it drives nothing and its field is off."""
        self._catch_up()
        self._has_power = False
        self._reset()

    def restore_power(self) -> None:
        """The chip runs again with its registers at their reset values, antenna off."""
        self._has_power = True
        self._is_hung = False
        self._reset()

    def hang(self) -> None:
        """The digital part hangs: registers read and write, but no command ever ends."""
        self._catch_up()
        self._is_hung = True

    # ----------------------------------------------------------------------------------------- SPI

    def xfer2(self, sent: Sequence[int]) -> list[int]:
        """One chip select. Bit 7 of the first byte reads: each byte is an address, its value comes
        one byte later. Otherwise every further byte is written to the first one's register."""
        self.transfers += 1
        self._catch_up()
        if not self._has_power:
            return self.miso(miso_stuck_low([0] * len(sent)))
        driven = [0] * len(sent)
        if sent and sent[0] & READ:
            for index in range(len(sent) - 1):
                driven[index + 1] = self._read(sent[index] >> 1 & ADDRESS)
        elif sent:
            for value in sent[1:]:
                self._write(sent[0] >> 1 & ADDRESS, value & 0xFF)
        return self.miso(driven)

    def _read(self, register: int) -> int:
        match register:
            case reg.FIFO:
                value = self._fifo.pop(0) if self._fifo else 0
                self._note_fifo_level()
                return value
            case reg.FIFO_LEVEL:
                return len(self._fifo)
            case reg.STATUS1:
                return self._status1()
            case reg.TIMER_COUNTER_HIGH:
                return self._timer_counter() >> 8
            case reg.TIMER_COUNTER_LOW:
                return self._timer_counter() & 0xFF
            case reg.VERSION:
                return self._version
            case reg.COM_IRQ | reg.DIV_IRQ:
                return self._registers[register] & ~reg.IRQ_SET
        return self._registers[register]

    def _write(self, register: int, value: int) -> None:
        match register:
            case reg.COMMAND:
                self._command(value)
            case reg.COM_IRQ | reg.DIV_IRQ:
                marked = value & ~reg.IRQ_SET
                if value & reg.IRQ_SET:
                    self._registers[register] |= marked
                else:
                    self._registers[register] &= ~marked
            case reg.FIFO:
                self._write_fifo(value)
            case reg.FIFO_LEVEL:
                self._flush_fifo(value)
            case reg.CONTROL:
                self._control_timer(value)
            case reg.STATUS2:
                self._clear_crypto1(value)
            case reg.COLLISION:
                kept = self._registers[register] & ~reg.COLLISION_KEEP_VALUES
                self._registers[register] = kept | value & reg.COLLISION_KEEP_VALUES
            case _ if register not in reg.READ_ONLY:
                self._registers[register] = value
                self._react_to(register)

    def _react_to(self, register: int) -> None:
        if register == reg.TX_CONTROL:
            self._switch_field()
        elif register == reg.BIT_FRAMING:
            self._start_if_told()
        elif register == reg.WATER_LEVEL:
            self._note_fifo_level()

    # ------------------------------------------------------------------------------------ commands

    def _command(self, value: int) -> None:
        code = value & reg.COMMAND_CODE
        if code == reg.CMD_SOFT_RESET:
            self._reset()
            return
        if code == reg.CMD_NO_CHANGE:
            code = self._running
        else:
            self._abort()
        self._registers[reg.COMMAND] = value & ~reg.COMMAND_CODE | code
        self._switch_field()
        if not value & reg.COMMAND_POWER_DOWN and value & reg.COMMAND_CODE != reg.CMD_NO_CHANGE:
            self._start(code)

    def _start(self, code: int) -> None:
        match code:
            case reg.CMD_CALC_CRC:
                self._crc_register = self._crc_preset()
                self._feed_crc()
            case reg.CMD_TRANSMIT | reg.CMD_AUTHENTICATE:
                self._send_fifo()
            case reg.CMD_TRANSCEIVE:
                self._start_if_told()
            case reg.CMD_IDLE | reg.CMD_RECEIVE:
                pass
            case _:
                self._end_command()

    @property
    def _running(self) -> int:
        return self._registers[reg.COMMAND] & reg.COMMAND_CODE

    def _end_command(self) -> None:
        """A command ended by itself, which unlike writing Idle raises the interrupt."""
        self._registers[reg.COMMAND] &= ~reg.COMMAND_CODE
        self._raise_irq(reg.IRQ_IDLE)

    def _abort(self) -> None:
        """What was on its way stops: the cards hear the part of a frame that was already sent."""
        if self._sending_ends_us is not None:
            sent = int((self._now_us() - self._sending_began_us) / BIT_US)
            if 0 < sent < len(self._sending):
                self.air.send(self._sending[:sent], self._now_us())
        self._sending_ends_us = None
        self._reception = None

    def _reset(self) -> None:
        self._registers = [0] * REGISTERS
        for register, value in reg.RESET_VALUES.items():
            self._registers[register] = value
        self._fifo = []
        self._crc_register = 0
        self._sending = ()
        self._sending_began_us = 0.0
        self._sending_ends_us = None
        self._reception = None
        self._timer_ends_us = None
        self._switch_field()

    def _switch_field(self) -> None:
        is_awake = not self._registers[reg.COMMAND] & reg.COMMAND_POWER_DOWN
        drives = bool(self._registers[reg.TX_CONTROL] & reg.TX_CONTROL_ANTENNA)
        self.air.switch(self._has_power and is_awake and drives, self._now_us())

    # ------------------------------------------------------------------------ sending and hearing

    def _start_if_told(self) -> None:
        """Transceive sends once StartSend is set, in whichever order the two were written."""
        told = self._registers[reg.BIT_FRAMING] & reg.BIT_FRAMING_START
        if told and self._running == reg.CMD_TRANSCEIVE and self._sending_ends_us is None:
            self._send_fifo()

    def _send_fifo(self) -> None:
        content = bytes(self._fifo)
        last_bits = self._registers[reg.BIT_FRAMING] & reg.BIT_FRAMING_LAST_BITS
        self._fifo.clear()
        self._note_fifo_level()
        self._registers[reg.ERROR] = 0
        if self._running == reg.CMD_AUTHENTICATE:
            content, last_bits = content[:2], 0
        if self._registers[reg.TX_MODE] & reg.MODE_CRC_ON or (
            self._running == reg.CMD_AUTHENTICATE
        ):
            content += self._crc_of(content)
        bits = bits_of(content)
        if last_bits:
            bits = bits[: len(bits) - BYTE_BITS + last_bits]
        self._sending = with_parity(bits)
        self._sending_began_us = self._now_us()
        self._sending_ends_us = self._sending_began_us + duration_us(len(self._sending))

    def _sent(self, at_us: float) -> None:
        self._sending_ends_us = None
        self._raise_irq(reg.IRQ_TX)
        if self._registers[reg.TIMER_MODE] & reg.TIMER_MODE_AUTO:
            self._start_timer(at_us)
        reception = self.air.send(self._sending, at_us)
        if self._running == reg.CMD_TRANSMIT:
            self._end_command()
        elif self._running == reg.CMD_TRANSCEIVE:
            self._reception = reception

    def _fifth_bit_heard(self, _at_us: float) -> None:
        self._timer_ends_us = None

    def _answered(self, reception: Reception) -> None:
        self._reception = None
        heard = self.air.heard(reception)
        if not heard:
            return
        bits, errors = self._decoded(heard)
        align = self._registers[reg.BIT_FRAMING] >> 4 & 0x07
        content = bytes_of((0,) * align + bits)
        last_bits = (align + len(bits)) % BYTE_BITS
        if self._registers[reg.RX_MODE] & reg.MODE_CRC_ON:
            if len(content) < 3 or last_bits or self._crc_of(content[:-2]) != content[-2:]:
                errors |= reg.ERROR_CRC
            content = content[:-2]
        kept = self._registers[reg.CONTROL] & ~reg.CONTROL_RX_LAST_BITS
        self._registers[reg.CONTROL] = kept | last_bits
        for byte in content:
            self._write_fifo(byte)
        self._registers[reg.ERROR] |= errors
        self._raise_irq(reg.IRQ_RX | (reg.IRQ_ERROR if self._registers[reg.ERROR] else 0))

    def _decoded(self, heard: Heard) -> tuple[Bits, int]:
        """The data bits of an answer and the errors noticed in it; notes a collision's position."""
        align = self._registers[reg.BIT_FRAMING] >> 4 & 0x07
        bits: list[int | None] = []
        byte: list[int | None] = []
        errors, skip = 0, align
        for bit in heard:
            if len(byte) + skip < BYTE_BITS:
                byte.append(bit)
                continue
            values = [value for value in byte if value is not None]
            checkable = skip == 0 and len(values) == BYTE_BITS
            if checkable and bit != odd_parity(values):
                errors |= reg.ERROR_PARITY
            bits, byte, skip = [*bits, *byte], [], 0
        if len(byte) + skip == BYTE_BITS:
            errors |= reg.ERROR_PARITY
        bits += byte
        if None in bits:
            errors |= reg.ERROR_COLLISION
        return self._after_collision(bits, align), errors

    def _after_collision(self, bits: list[int | None], align: int) -> Bits:
        """CollReg as the data sheet has it; the bits as ValuesAfterColl asks for."""
        keeps = self._registers[reg.COLLISION] & reg.COLLISION_KEEP_VALUES
        if None not in bits:
            self._registers[reg.COLLISION] = keeps | reg.COLLISION_POSITION_INVALID
            return tuple(bit or 0 for bit in bits)
        first = bits.index(None)
        position = align + first + 1
        is_valid = position <= reg.COLLISION_POSITION_BITS
        self._registers[reg.COLLISION] = keeps | (
            position % reg.COLLISION_POSITION_BITS if is_valid else reg.COLLISION_POSITION_INVALID
        )
        values = (1 if bit is None else bit for bit in bits)
        return tuple(bit if keeps or at < first else 0 for at, bit in enumerate(values))

    # ------------------------------------------------------------------------------------- the time

    def _catch_up(self) -> float:
        """Everything due until now has happened, earliest first."""
        now_us = float(self._now_us())
        while True:
            due = [(at, act) for at, act in self._pending() if at <= now_us]
            if not due or self._is_hung:
                return now_us
            at_us, act = min(due, key=lambda one: one[0])
            act(at_us)

    def _pending(self) -> list[tuple[float, Callable[[float], None]]]:
        pending: list[tuple[float, Callable[[float], None]]] = []
        if self._sending_ends_us is not None:
            pending.append((self._sending_ends_us, self._sent))
        reception = self._reception
        if reception is not None:
            stops_timer = self._registers[reg.TIMER_MODE] & reg.TIMER_MODE_AUTO
            if stops_timer and self._timer_ends_us is not None:
                fifth_us = reception.starts_at_us + BITS_UNTIL_TIMER_STOPS * BIT_US
                pending.append((fifth_us, self._fifth_bit_heard))
            pending.append((reception.ends_at_us(), lambda _: self._answered(reception)))
        if self._timer_ends_us is not None:
            pending.append((self._timer_ends_us, self._timer_expired))
        return pending

    def _timer_expired(self, at_us: float) -> None:
        self._timer_ends_us = None
        self._raise_irq(reg.IRQ_TIMER)
        if self._registers[reg.TIMER_MODE] & reg.TIMER_MODE_RESTART:
            self._start_timer(at_us)

    def _start_timer(self, at_us: float) -> None:
        high, low = self._registers[reg.TIMER_RELOAD_HIGH], self._registers[reg.TIMER_RELOAD_LOW]
        self._timer_ends_us = at_us + ((high << 8 | low) + 1) * self._tick_us()

    def _tick_us(self) -> float:
        high = self._registers[reg.TIMER_MODE] & reg.TIMER_MODE_PRESCALER_HIGH
        return (2 * (high << 8 | self._registers[reg.TIMER_PRESCALER]) + 1) / TIMER_CLOCK_MHZ

    def _timer_counter(self) -> int:
        if self._timer_ends_us is None:
            return 0
        return int((self._timer_ends_us - self._now_us()) / self._tick_us()) & 0xFFFF

    def _control_timer(self, value: int) -> None:
        if value & reg.CONTROL_TIMER_STOP:
            self._timer_ends_us = None
        elif value & reg.CONTROL_TIMER_START:
            self._start_timer(self._now_us())

    # ------------------------------------------------------------------- FIFO, interrupts, CRC unit

    def _write_fifo(self, value: int) -> None:
        if len(self._fifo) >= reg.FIFO_BYTES:
            self._registers[reg.ERROR] |= reg.ERROR_OVERFLOW
            self._raise_irq(reg.IRQ_ERROR)
            return
        self._fifo.append(value)
        self._note_fifo_level()
        if self._running == reg.CMD_CALC_CRC:
            self._feed_crc()

    def _flush_fifo(self, value: int) -> None:
        if value & reg.FIFO_FLUSH:
            self._fifo.clear()
            self._registers[reg.ERROR] &= ~reg.ERROR_OVERFLOW
            self._note_fifo_level()

    def _alerts(self) -> tuple[bool, bool]:
        level = self._registers[reg.WATER_LEVEL] & reg.WATER_LEVEL_BYTES
        return reg.FIFO_BYTES - len(self._fifo) <= level, len(self._fifo) <= level

    def _note_fifo_level(self) -> None:
        high, low = self._alerts()
        self._raise_irq((reg.IRQ_HIGH_ALERT if high else 0) | (reg.IRQ_LOW_ALERT if low else 0))

    def _raise_irq(self, bits: int) -> None:
        self._registers[reg.COM_IRQ] |= bits

    def _status1(self) -> int:
        high, low = self._alerts()
        enabled = self._registers[reg.COM_IRQ] & self._registers[reg.COM_IRQ_ENABLE] & 0x7F
        enabled |= self._registers[reg.DIV_IRQ] & self._registers[reg.DIV_IRQ_ENABLE] & 0x14
        return (
            (reg.STATUS1_CRC_READY if self._registers[reg.DIV_IRQ] & reg.DIV_IRQ_CRC else 0)
            | (reg.STATUS1_IRQ if enabled else 0)
            | (reg.STATUS1_TIMER_RUNS if self._timer_ends_us is not None else 0)
            | (reg.STATUS1_HIGH_ALERT if high else 0)
            | (reg.STATUS1_LOW_ALERT if low else 0)
        )

    def _clear_crypto1(self, value: int) -> None:
        """Software may only clear MFCrypto1On; authentication alone sets it (9.3.1.9)."""
        kept = self._registers[reg.STATUS2] & reg.STATUS2_CRYPTO1_ON
        self._registers[reg.STATUS2] = value & ~reg.STATUS2_CRYPTO1_ON | kept & value

    def _crc_preset(self) -> int:
        return reg.CRC_PRESETS[self._registers[reg.MODE] & reg.MODE_CRC_PRESET]

    def _feed_crc(self) -> None:
        """The coprocessor takes all of the FIFO, faster than any SPI transfer could notice."""
        for byte in self._fifo:
            self._crc_register = _crc_step(self._crc_register, byte)
        self._fifo.clear()
        self._registers[reg.CRC_RESULT_HIGH] = self._crc_register >> 8
        self._registers[reg.CRC_RESULT_LOW] = self._crc_register & 0xFF
        self._registers[reg.DIV_IRQ] |= reg.DIV_IRQ_CRC

    def _crc_of(self, content: bytes) -> bytes:
        crc = self._crc_preset()
        for byte in content:
            crc = _crc_step(crc, byte)
        return crc.to_bytes(2, "little")


def _crc_step(crc: int, byte: int) -> int:
    crc ^= byte
    for _ in range(BYTE_BITS):
        crc = crc >> 1 ^ (CRC_TERM if crc & 1 else 0)
    return crc
