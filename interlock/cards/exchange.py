"""What every authentication is handed: a card to speak to, and unpredictable bytes."""

from __future__ import annotations

from collections.abc import Callable

Transceive = Callable[[bytes], bytes]
"""One command to the card, its whole answer back. Raises CardError."""
Draw = Callable[[int], bytes]
"""So many unpredictable bytes, such as `os.urandom`."""
REMEDY = "Present the badge again"
"""What a person can do about a card that left or was not understood."""
