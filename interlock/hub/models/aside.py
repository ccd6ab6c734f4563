"""Uses that records tell of which the hub set aside, and what somebody decided about each."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from interlock.hub.models.lab import Lab
from interlock.hub.models.use import SetAside


class UseSetAside(models.Model):
    """A start among the records that contradict what is stored: billed or left out once somebody says so."""

    class Decision(models.TextChoices):
        """What becomes of it."""

        WAITING = "waiting", _("nobody has looked at it")
        BILLED = "billed", _("billed")
        LEFT_OUT = "left_out", _("left out")

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    start = models.OneToOneField(SetAside, on_delete=models.CASCADE, related_name="use")
    decision = models.CharField(
        max_length=8, choices=Decision.choices, default=Decision.WAITING, db_index=True
    )
    decided_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.start} {self.decision}"
