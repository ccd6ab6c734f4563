"""A lab, the numbered log of its changes, and the chained log of who changed what."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Lab(models.Model):
    """One lab; several can share a hub. `slug` is what nodes know it by and never changes."""

    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(_("name"), max_length=100)
    time_zone = models.CharField(_("time zone"), max_length=64, default="Europe/Paris")
    language = models.CharField(_("language"), max_length=8, default="fr")
    # Raised by a restore from a back-up, so that a restored hub is not refused (4-protocol.md).
    hub_epoch = models.PositiveBigIntegerField(default=1)
    # Names leave the hub only when the lab asks for it (A9: a stolen node names nobody).
    sends_names = models.BooleanField(_("show names at the machines"), default=False)
    # Spans (hub.domain.hours): [weekday, from minute, to minute]; empty: the lab keeps no hours.
    hours = models.JSONField(default=list, blank=True)
    # Which of the six profiles it began from (hub.domain.lab_profiles), and what its report shows first.
    profile = models.CharField(max_length=32, blank=True, default="")
    report_emphasis = models.JSONField(default=list, blank=True)
    # Since when name, zone and language are those of the hub's pages: hub.toml no longer changes them.
    described_at = models.DateTimeField(null=True, blank=True)
    # The first-run assistant was finished, or is not wanted.
    set_up_at = models.DateTimeField(null=True, blank=True)
    # MM-DD: the last day of a membership year; empty: a year from the day somebody joins.
    season_ends = models.CharField(max_length=5, blank=True, default="")
    # A minor is granted no training before a guardian has consented.
    asks_consent = models.BooleanField(default=False)
    # What others than members see: the wall screen by an unguessable address (empty: none), with or
    # without names, and a page for everybody.
    wall_key = models.CharField(max_length=64, blank=True, default="")
    wall_names = models.BooleanField(_("names on the wall screen"), default=False)
    public_page = models.BooleanField(_("public page"), default=False)
    # What an hour of volunteer time is worth in reports and in accounts 86 and 87: the lab sets its own. It
    # begins with the French minimum wage, gross, of 1 January 2026 (SMIC, raised by 1.18 % to 12.02 €:
    # council of ministers of 17 December 2025, vie-publique.fr/discours/301401); no rule asks for that one.
    volunteer_cents_per_hour = models.PositiveIntegerField(
        _("value of a volunteer hour"), default=1_202
    )
    # Owners and accountants sign in with a code of their telephone as well.
    asks_second_factor = models.BooleanField(default=False)
    # The heads of the lab's logs: raising one under the writer's lock hands out the next number.
    change_seq = models.PositiveBigIntegerField(default=0)
    rights_seq = models.PositiveBigIntegerField(default=0)
    audit_seq = models.PositiveBigIntegerField(default=0)
    audit_head = models.BinaryField(default=bytes(32))
    # The first month that is not closed; None: none was ever closed.
    open_month = models.DateField(null=True, blank=True)
    statement_seq = models.PositiveBigIntegerField(default=0)
    ledger_head = models.BinaryField(default=bytes(32))
    # As printed on statements: address, SIREN, VAT number, one a line.
    statement_head = models.TextField(blank=True, default="")
    # Below these an account that is paid in advance is low: cents, and seconds of passes.
    credit_low_cents = models.PositiveIntegerField(default=1_000)
    credit_low_s = models.PositiveIntegerField(default=3_600)

    class Meta:
        verbose_name = _("lab")

    def __str__(self) -> str:
        return self.name


class Topic(models.TextChoices):
    """What a change concerns: RIGHTS may alter what nodes decide, USE what the board shows."""

    RIGHTS = "rights"
    USE = "use"
    OTHER = "other"


class ChangeLog(models.Model):
    """One change of one lab, numbered without gaps, written in the transaction of the change."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    seq = models.PositiveBigIntegerField()
    topic = models.CharField(max_length=8, choices=Topic.choices)
    what = models.CharField(max_length=64)
    subject = models.CharField(max_length=128)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lab", "seq"], name="change_seq_once")]

    def __str__(self) -> str:
        return f"{self.seq} {self.what} {self.subject}"


class AuditRow(models.Model):
    """Who did what to what, before and after, and why; append-only, a chain of commitments.

    commit = BLAKE2b-256(salt ‖ canonical JSON of the row), hash = BLAKE2b-256(prev ‖ commit).
    """

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    seq = models.PositiveBigIntegerField()
    done_at = models.DateTimeField()
    user = models.ForeignKey(
        "hub.User", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    actor = models.CharField(max_length=150)
    action = models.CharField(max_length=64)
    subject = models.CharField(max_length=128)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    why = models.TextField(blank=True)
    salt = models.BinaryField(null=True)
    commit = models.BinaryField()
    prev = models.BinaryField()
    hash = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lab", "seq"], name="audit_seq_once")]
        ordering = ["-seq"]

    def __str__(self) -> str:
        return f"{self.seq} {self.actor} {self.action} {self.subject}"
