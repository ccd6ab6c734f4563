"""Programs that may use the hub's API: their tokens, and the answers they were given to each write."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from interlock.hub.models.lab import Lab
from interlock.hub.models.people import User


class ApiToken(models.Model):
    """What a program proves itself by; only the SHA-256 is kept. It may never more than its maker."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(_("name"), max_length=64)
    # None: made at the hub's console.
    maker = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    token_hash = models.BinaryField(unique=True)
    scopes = models.JSONField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["lab", "name"],
                condition=models.Q(revoked_at=None),
                name="api_token_name_once",
            )
        ]
        verbose_name = _("API token")

    def __str__(self) -> str:
        return self.name


class ApiAnswer(models.Model):
    """What a write was answered with, so that the same request sent again does nothing twice.

    `fingerprint` is keyed with a key outside the database: the request may hold a badge's UID.
    """

    token = models.ForeignKey(ApiToken, on_delete=models.CASCADE, related_name="answers")
    key = models.CharField(max_length=64)
    fingerprint = models.BinaryField()
    status = models.PositiveSmallIntegerField()
    body = models.TextField()
    answered_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token", "key"], name="api_answer_once")]
        indexes = [models.Index(fields=["answered_at"], name="api_answer_by_age")]

    def __str__(self) -> str:
        return f"{self.key} {self.status}"
