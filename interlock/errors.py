"""Every error this package raises on purpose: one small tree, each with typed fields and a remedy.

A refusal is a value (`core.model.Refusal`) and a fault is an event (`core.events`); neither is an
exception. What stands here is what stops a piece of work: a wrong file, a dead device, a full disk,
a silent peer. Library errors are translated into these at the edge, by type, with `from`.
"""

from __future__ import annotations


class InterlockError(Exception):
    """Base of all: `what` went wrong, `where`, and `remedy`: what the reader of the message can do."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}. {self.remedy}" if self.remedy else head


class ConfigError(InterlockError):
    """A configuration, keys or command-line input that must not be run with; `where` is the key's path."""


class DeviceError(InterlockError):
    """A piece of hardware (or its model) did not do what its data sheet says."""


class ReaderError(DeviceError):
    """The badge reader does not answer or answers nonsense: a reader fault, never "no card"."""


class CardError(DeviceError):
    """The card in the field left, fell silent or broke its protocol; the reader itself is well."""


class PinError(DeviceError):
    """A GPIO line cannot be claimed, read or driven."""


class StoreError(InterlockError):
    """A database or file cannot be read, written or trusted."""


class LinkError(InterlockError):
    """A peer (hub, node, world process) cannot be reached, is too slow or breaks the protocol."""


class ProtocolError(LinkError):
    """A peer's message is malformed, oversized, unsigned or of another version; nothing was changed."""
