"""Passwords to Argon2id hashes, at most two at a time: each takes 100 MiB and a core."""

from __future__ import annotations

import threading

from django.contrib.auth.hashers import Argon2PasswordHasher

HASHINGS_AT_ONCE = 2
"""More would let a burst of logins take the memory and both cores of a lab's old laptop."""

_TURN = threading.BoundedSemaphore(HASHINGS_AT_ONCE)


class GuardedArgon2(Argon2PasswordHasher):
    """Django's Argon2id, entered by two threads at most."""

    def encode(self, password: str, salt: str) -> str:
        with _TURN:
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with _TURN:
            return super().verify(password, encoded)
