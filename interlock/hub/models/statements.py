"""What became of a statement after its month was closed: whether it was sent, to whom, and when.

Statements themselves never change (triggers keep them), so this stands beside them.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from interlock.hub.models.lab import Lab
from interlock.hub.models.ledger import Statement


class StatementDelivery(models.Model):
    """One statement on its way: asked for, then sent by e-mail or handed over in the lab."""

    class Way(models.TextChoices):
        """How it reaches its payer."""

        MAIL = "mail", _("by e-mail")
        HAND = "hand", _("handed over")

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    statement = models.OneToOneField(Statement, on_delete=models.CASCADE, related_name="delivery")
    way = models.CharField(max_length=4, choices=Way.choices)
    asked_at = models.DateTimeField()
    # Empty while it waits; the e-mail is then in the outbox (hub.mail), and its fate is told there.
    sent_at = models.DateTimeField(null=True, blank=True)
    # Why it could not be sent; a person reads it.
    trouble = models.CharField(max_length=200, blank=True)

    class Meta:
        indexes = [models.Index(fields=["lab", "sent_at"], name="delivery_waiting")]
        verbose_name = _("delivery of a statement")

    def __str__(self) -> str:
        return f"{self.statement} {self.way}"
