"""A seed in, every random byte of a run out: while it lasts, keys, salts, nonces and numbers come from the seed."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """`os.urandom` and `secrets` draw from `seed`. One run at a time; what OpenSSL draws by itself is not reached."""
    chance = random.Random(f"entropy {seed}")
    ours: dict[tuple[Any, str], Callable[..., Any]] = {
        (os, "urandom"): chance.randbytes,
        (secrets, "token_bytes"): lambda length=32: chance.randbytes(length),
        (secrets, "token_hex"): lambda length=32: chance.randbytes(length).hex(),
    }
    real = {(module, name): getattr(module, name) for module, name in ours}
    for (module, name), draw in ours.items():
        setattr(module, name, draw)
    try:
        yield
    finally:
        for (module, name), draw in real.items():
            setattr(module, name, draw)
