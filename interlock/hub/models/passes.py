"""Prepaid passes of time or money, who sponsors them, and what each line took of them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from interlock.hub.models.lab import Lab
from interlock.hub.models.machines import Machine
from interlock.hub.models.money import Line
from interlock.hub.models.people import Group, Payer


class PassKind(models.TextChoices):
    """What a pass holds; its `amount` is in seconds or cents accordingly."""

    TIME = "time", _("time")
    MONEY = "money", _("money")


class Sponsorship(models.Model):
    """A third party pays, wholly or in part, for the use of some machines by some organisations or groups,
    up to `amount` in all: each payer it is for holds a pass of it."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="sponsorships")
    sponsor = models.ForeignKey(Payer, on_delete=models.PROTECT, related_name="sponsorships")
    name = models.CharField(_("name"), max_length=100)
    reference = models.CharField(_("reference"), max_length=64, blank=True)
    kind = models.CharField(max_length=8, choices=PassKind.choices)
    # Seconds or cents that all its passes together may hold.
    amount = models.PositiveBigIntegerField()
    # Of each session, how much the sponsor carries.
    share_percent = models.PositiveIntegerField(default=100)
    starts_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    # Empty: all of them.
    machines = models.ManyToManyField(Machine, blank=True, related_name="sponsorships")
    groups = models.ManyToManyField(Group, blank=True, related_name="sponsorships")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["lab", "name"], name="sponsorship_name_once")
        ]
        ordering = ["name"]
        verbose_name = _("sponsorship")

    def __str__(self) -> str:
        return self.name


class Pass(models.Model):
    """Time or money that a payer may use machines with, before anything is billed."""

    class Origin(models.TextChoices):
        """Who paid for it."""

        BOUGHT = "bought", _("bought in advance")
        SPONSORED = "sponsored", _("sponsored")
        # The lab's own time credits, for example for volunteers: never euros.
        GIVEN = "given", _("time credit of the lab")

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="passes")
    payer = models.ForeignKey(Payer, on_delete=models.PROTECT, related_name="passes")
    origin = models.CharField(max_length=12, choices=Origin.choices, default=Origin.BOUGHT)
    sponsorship = models.ForeignKey(
        Sponsorship, null=True, blank=True, on_delete=models.PROTECT, related_name="passes"
    )
    kind = models.CharField(max_length=8, choices=PassKind.choices)
    name = models.CharField(_("name"), max_length=100)
    # Seconds or cents.
    amount = models.PositiveBigIntegerField()
    # Sessions that begin from then on, and before then.
    starts_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    machines = models.ManyToManyField(Machine, blank=True, related_name="passes")
    receipt = models.CharField(_("receipt"), max_length=64, blank=True)
    why = models.CharField(max_length=500, blank=True)
    made_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["payer", "expires_at"], name="pass_by_payer")]
        ordering = ["expires_at", "pk"]
        verbose_name = _("pass")

    def __str__(self) -> str:
        return self.name


class PassUse(models.Model):
    """What one line took of one pass. `cents` is what the payer did not have to pay by it."""

    used = models.ForeignKey(Pass, on_delete=models.PROTECT, related_name="uses")
    line = models.ForeignKey(Line, on_delete=models.CASCADE, related_name="pass_uses")
    seconds = models.PositiveIntegerField(default=0)
    cents = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["used", "line"], name="pass_use_once")]

    def __str__(self) -> str:
        return f"{self.used_id} {self.line_id}"
