"""What use costs: tariffs with their dated versions, materials, and priced lines with their reasons."""

from __future__ import annotations

from datetime import date

from django.db import models
from django.utils.translation import gettext_lazy as _

from interlock.hub.models.lab import Lab
from interlock.hub.models.machines import Machine
from interlock.hub.models.people import Group, Member, Payer
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
    monthly_cap_cents = models.PositiveIntegerField(null=True, blank=True)
    # Seconds a calendar month that a subscription pays already.
    included_s = models.PositiveIntegerField(default=0)
    # Values of Purpose that cost nothing.
    free_purposes = models.JSONField(default=list, blank=True)
    # Prices without VAT; False: with it.
    is_net = models.BooleanField(default=False)
    # Hundredths of a per cent: 2000 is 20 %. With 0, `notice` says why, in the law's words.
    vat_bp = models.PositiveIntegerField(default=0)
    notice = models.CharField(max_length=200, blank=True)
    account = models.CharField(max_length=20, blank=True)
    analytic = models.CharField(max_length=20, blank=True)

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


class Material(models.Model):
    """Something the lab sells by the piece, metre or kilogram; a line keeps the price it had."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="materials")
    name = models.CharField(_("name"), max_length=100)
    # As people say it: piece, m, kg, sheet.
    unit = models.CharField(_("unit"), max_length=20)
    unit_cents = models.PositiveIntegerField(_("price of a unit"))
    is_net = models.BooleanField(default=False)
    vat_bp = models.PositiveIntegerField(default=0)
    notice = models.CharField(max_length=200, blank=True)
    account = models.CharField(max_length=20, blank=True)
    analytic = models.CharField(max_length=20, blank=True)
    # No longer sold: its lines stay.
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lab", "name"], name="material_name_once")]
        ordering = ["name"]
        verbose_name = _("material")

    def __str__(self) -> str:
        return self.name


class LineKind(models.TextChoices):
    """What a line is the price of."""

    SESSION = "session", _("use of a machine")
    MATERIAL = "material", _("material")
    ADJUSTMENT = "adjustment", _("adjustment")
    CORRECTION = "correction", _("correction")


class Line(models.Model):
    """One amount a payer owes (or, below zero, gets back), with the steps that made it.

    `steps` is a list of objects {kind, seconds, cents, …numbers}: pricing.Step names them, pages put
    them in words. A line of a session is worked out again with every late arrival until its month is
    closed; then it stands on a statement, and triggers keep it as it is (hub/ledger.py).

    `price_cents` is what the tariff asks, after caps; `cents` what is owed after passes of money.
    Both are net or gross, as `is_net` says.
    """

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="lines")
    kind = models.CharField(max_length=12, choices=LineKind.choices, default=LineKind.SESSION)
    payer = models.ForeignKey(Payer, on_delete=models.PROTECT, related_name="lines")
    # The session whose price this is: one line a session, corrections point at that line.
    session = models.OneToOneField(
        Session, null=True, blank=True, on_delete=models.PROTECT, related_name="line"
    )
    tariff_version = models.ForeignKey(
        TariffVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="lines"
    )
    material = models.ForeignKey(
        Material, null=True, blank=True, on_delete=models.PROTECT, related_name="lines"
    )
    # Who took the material, and in which session, where that is known.
    member = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    used_in = models.ForeignKey(
        Session, null=True, blank=True, on_delete=models.SET_NULL, related_name="materials"
    )
    corrects = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="corrections"
    )
    # The lab's own calendar day: on which the session ended, or the line was written.
    day = models.DateField()
    # The first day of the month it is billed in: later than `day` when that was closed already.
    month = models.DateField(default=date(1970, 1, 1))
    late = models.BooleanField(default=False)
    price_cents = models.IntegerField(default=0)
    cents = models.IntegerField()
    # Of a session: the seconds its subscription paid, and the measures it was priced by.
    included_s = models.PositiveIntegerField(default=0)
    enabled_ms = models.PositiveBigIntegerField(default=0)
    busy_ms = models.PositiveBigIntegerField(default=0)
    steps = models.JSONField()
    is_net = models.BooleanField(default=False)
    vat_bp = models.PositiveIntegerField(default=0)
    notice = models.CharField(max_length=200, blank=True)
    account = models.CharField(max_length=20, blank=True)
    analytic = models.CharField(max_length=20, blank=True)
    # What a line that is no session is for, and why somebody wrote it.
    words = models.CharField(max_length=200, blank=True)
    why = models.CharField(max_length=500, blank=True)
    priced_at = models.DateTimeField()
    statement = models.ForeignKey(
        "hub.Statement", null=True, blank=True, on_delete=models.PROTECT, related_name="lines"
    )

    class Meta:
        indexes = [
            models.Index(fields=["payer", "day"], name="line_by_payer"),
            models.Index(fields=["lab", "month", "payer"], name="line_by_month"),
        ]
        verbose_name = _("line")

    def __str__(self) -> str:
        return f"{self.day} {self.cents}"

    @property
    def provisional(self) -> bool:
        """Whether a late arrival can still change it."""
        return self.statement_id is None
