"""What is kept of badges beside their owner: keys of genuine ones, and taps that nobody knows yet."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from interlock.hub.models.lab import Lab
from interlock.hub.models.machines import Node
from interlock.hub.models.people import Badge
from interlock.protocol import card_keys


class CardKey(models.Model):
    """Where a badge keeps its key, and the key itself, sealed under keys/card.key (hub.card_keys)."""

    class Scheme(models.TextChoices):
        """The protocol's words, with what people read."""

        DESFIRE_AES = card_keys.Scheme.DESFIRE_AES.value, "DESFire (AES)"
        NTAG424_AES = card_keys.Scheme.NTAG424_AES.value, "NTAG 424 DNA"

    badge = models.OneToOneField(Badge, on_delete=models.CASCADE, related_name="card_key")
    scheme = models.CharField(max_length=16, choices=Scheme.choices)
    aid = models.BinaryField(max_length=card_keys.AID_BYTES)
    key_number = models.PositiveSmallIntegerField()
    key_version = models.PositiveSmallIntegerField(default=0)
    sealed = models.BinaryField()
    set_at = models.DateTimeField()

    class Meta:
        verbose_name = _("card key")

    def __str__(self) -> str:
        return f"{self.scheme} {self.key_number}.{self.key_version}"


class UnknownBadge(models.Model):
    """A card that no member has, as one place met it: a node, or the desk named in `desk`.

    Only the tag is kept, for a day; so that somebody who was refused can be helped (domain.unknown).
    """

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    tag = models.BinaryField(max_length=16)
    node = models.ForeignKey(Node, null=True, on_delete=models.CASCADE, related_name="+")
    desk = models.CharField(max_length=64, blank=True)
    seen_at = models.DateTimeField()
    count = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["lab", "tag", "node"],
                condition=Q(node__isnull=False),
                name="unknown_badge_once_a_node",
            ),
            models.UniqueConstraint(
                fields=["lab", "tag", "desk"],
                condition=Q(node=None),
                name="unknown_badge_once_a_desk",
            ),
        ]
        indexes = [models.Index(fields=["lab", "-seen_at"], name="unknown_badge_by_time")]
        verbose_name = _("unknown badge")

    def __str__(self) -> str:
        return f"{self.count} at {self.seen_at:%Y-%m-%d %H:%M}"
