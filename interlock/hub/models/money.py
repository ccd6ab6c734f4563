"""What use costs: tariffs with their dated versions, and priced lines with their reasons."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from interlock.hub.models.lab import Lab
from interlock.hub.models.machines import Machine
from interlock.hub.models.people import Group, Payer
from interlock.hub.models.use import Session


class Basis(models.TextChoices):
    """Which seconds are paid."""

    ENABLED = "enabled", _("while the machine is enabled")
    BUSY = "busy", _("while the machine works")


class Rounding(models.TextChoices):
    """To what a session's time is rounded; a started unit counts whole."""

    EXACT = "exact", _("exact to the second")
    MINUTE = "minute", _("started minutes")
    MINUTES = "minutes", _("started blocks of minutes")


class Tariff(models.Model):
    """A named price list; machines refer to it, its versions say what it cost when."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="tariffs")
    slug = models.SlugField(max_length=64)
    name = models.CharField(_("name"), max_length=100)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lab", "slug"], name="tariff_slug_once")]
        ordering = ["name"]
        verbose_name = _("tariff")

    def __str__(self) -> str:
        return self.name


class MachineTariff(models.Model):
    """From `starts_at` on the machine costs by that tariff; none before the first change of it."""

    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="tariff_history")
    tariff = models.ForeignKey(Tariff, null=True, on_delete=models.PROTECT, related_name="+")
    starts_at = models.DateTimeField()

    class Meta:
        ordering = ["-starts_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.machine} {self.starts_at:%Y-%m-%d}"


class TariffVersion(models.Model):
    """Prices from `starts_at` on, for one group or (None) for all without prices of their own."""

    tariff = models.ForeignKey(Tariff, on_delete=models.PROTECT, related_name="versions")
    group = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    starts_at = models.DateTimeField()
    basis = models.CharField(max_length=8, choices=Basis.choices, default=Basis.ENABLED)
    cents_per_hour = models.PositiveIntegerField(default=0)
    rounding = models.CharField(max_length=8, choices=Rounding.choices, default=Rounding.EXACT)
    rounding_min = models.PositiveIntegerField(default=1)
    setup_cents = models.PositiveIntegerField(default=0)
    minimum_cents = models.PositiveIntegerField(default=0)
    free_s = models.PositiveIntegerField(default=0)
    daily_cap_cents = models.PositiveIntegerField(null=True, blank=True)
    forgive_s = models.PositiveIntegerField(default=10)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tariff", "group", "starts_at"], name="tariff_version_once"
            ),
            # Databases take two empty groups for different ones.
            models.UniqueConstraint(
                fields=["tariff", "starts_at"],
                condition=models.Q(group=None),
                name="tariff_version_for_all_once",
            ),
        ]
        ordering = ["tariff", "-starts_at"]
        verbose_name = _("tariff version")

    def __str__(self) -> str:
        return f"{self.tariff} {self.starts_at:%Y-%m-%d}"


class Line(models.Model):
    """The price of one session, with the tariff version and the steps that made it.

    `steps` is a list of objects {kind, …numbers, cents}: pricing.Step names them, pages put
    them in words.
    Provisional until its period is closed: a late arrival or a clock anchor re-prices it.
    """

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="lines")
    payer = models.ForeignKey(Payer, on_delete=models.PROTECT, related_name="lines")
    session = models.OneToOneField(Session, on_delete=models.PROTECT, related_name="line")
    tariff_version = models.ForeignKey(
        TariffVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="lines"
    )
    # The lab's own calendar day on which the session ended.
    day = models.DateField()
    cents = models.IntegerField()
    steps = models.JSONField()
    provisional = models.BooleanField(default=True)
    priced_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["payer", "day"], name="line_by_payer")]
        verbose_name = _("line")

    def __str__(self) -> str:
        return f"{self.day} {self.cents}"
