"""What somebody proves themselves by besides their password: a telephone's key, sealed, and codes on paper."""

from __future__ import annotations

from django.db import models

from interlock.hub.models.people import User


class SecondFactor(models.Model):
    """The key that a user's telephone makes codes from (RFC 6238); counts once a code was typed in."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="second_factor")
    # Under a key outside the database (hub.login_keys): a stolen database makes no codes.
    sealed_key = models.BinaryField()
    confirmed_at = models.DateTimeField(null=True)
    # The step of the last code that was taken: it, and every older one, is refused from then on.
    last_step = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"second factor of {self.user_id}"


class RecoveryCode(models.Model):
    """A code for the day the telephone is lost; works once, only its SHA-256 is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="recovery_codes")
    code_hash = models.BinaryField(unique=True)
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"recovery code of {self.user_id}"
