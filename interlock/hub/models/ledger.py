"""What is closed and cannot change: months, numbered statements in a chain, accounts, members' dated terms."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from interlock.hub.models.lab import Lab
from interlock.hub.models.people import Group, Member, Payer
from interlock.hub.models.purposes import Purpose


class MemberTerms(models.Model):
    """From `starts_at` on the member belongs to that group and those payers; none before the first
    change: then the member's own row says what always held."""

    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="terms_history")
    starts_at = models.DateTimeField()
    group = models.ForeignKey(Group, null=True, on_delete=models.PROTECT, related_name="+")
    payer = models.ForeignKey(Payer, null=True, on_delete=models.PROTECT, related_name="+")
    firm = models.ForeignKey(Payer, null=True, on_delete=models.PROTECT, related_name="+")
    purpose = models.CharField(max_length=16, choices=Purpose.choices, default=Purpose.OWN)

    class Meta:
        indexes = [models.Index(fields=["member", "-starts_at"], name="terms_by_start")]
        ordering = ["-starts_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.member} {self.starts_at:%Y-%m-%d}"


class Period(models.Model):
    """A month of the lab's own calendar, by its first day. Once closed, triggers keep it as it is."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="periods")
    month = models.DateField()
    closed_at = models.DateTimeField(null=True, blank=True)
    statements_count = models.PositiveIntegerField(default=0)
    lines_count = models.PositiveIntegerField(default=0)
    net_cents = models.BigIntegerField(default=0)
    vat_cents = models.BigIntegerField(default=0)
    gross_cents = models.BigIntegerField(default=0)
    # Lab.ledger_head when it was closed.
    head = models.BinaryField(default=bytes(32))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lab", "month"], name="period_once")]
        ordering = ["-month"]
        verbose_name = _("month")

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"


class Statement(models.Model):
    """What a payer owes for a month (a relevé, no invoice), numbered without gaps and chained.

    commit = BLAKE2b-256(salt ‖ canonical JSON of the statement and its lines), hash = BLAKE2b-256(prev ‖
    commit): printed on it, it vouches for every statement before. Who the payer was then is kept with it.
    """

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="statements")
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="statements")
    number = models.PositiveBigIntegerField()
    payer = models.ForeignKey(Payer, on_delete=models.PROTECT, related_name="statements")
    issued_at = models.DateTimeField()
    name = models.CharField(max_length=150)
    address = models.TextField(blank=True)
    siren = models.CharField(max_length=14, blank=True)
    vat_number = models.CharField(max_length=20, blank=True)
    order_reference = models.CharField(max_length=64, blank=True)
    lines_count = models.PositiveIntegerField()
    # By rate: [{"vat_bp", "notice", "net_cents", "vat_cents", "gross_cents"}]
    totals = models.JSONField()
    net_cents = models.BigIntegerField()
    vat_cents = models.BigIntegerField()
    gross_cents = models.BigIntegerField()
    # Of the gross amount, what the payer's account in the lab carried.
    from_account_cents = models.BigIntegerField(default=0)
    salt = models.BinaryField(null=True)
    commit = models.BinaryField()
    prev = models.BinaryField()
    hash = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["lab", "number"], name="statement_number_once"),
            models.UniqueConstraint(fields=["period", "payer"], name="statement_per_payer"),
        ]
        ordering = ["-number"]
        verbose_name = _("statement")

    def __str__(self) -> str:
        return f"{self.number:06}"

    @property
    def due_cents(self) -> int:
        """What the account did not carry; below zero: the payer gets it back."""
        return self.gross_cents - self.from_account_cents


class AccountEntry(models.Model):
    """Euros a payer may use, by a receipt issued elsewhere (or what a statement took of them). Entries are
    never changed: a wrong one is taken back by another."""

    class Kind(models.TextChoices):
        """Why the account moved."""

        ENTITLEMENT = "entitlement", _("entitlement")
        TAKEN_BACK = "taken_back", _("taken back")
        STATEMENT = "statement", _("statement")

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="account_entries")
    payer = models.ForeignKey(Payer, on_delete=models.PROTECT, related_name="account_entries")
    kind = models.CharField(max_length=12, choices=Kind.choices, default=Kind.ENTITLEMENT)
    cents = models.BigIntegerField()
    # The number of the receipt that another till issued.
    receipt = models.CharField(max_length=64, blank=True)
    why = models.CharField(max_length=500, blank=True)
    statement = models.ForeignKey(
        Statement, null=True, blank=True, on_delete=models.PROTECT, related_name="account_entries"
    )
    takes_back = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="taken_back_by"
    )
    written_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["payer", "written_at"], name="entry_by_payer")]
        ordering = ["-written_at", "-pk"]
        verbose_name = _("account entry")

    def __str__(self) -> str:
        return f"{self.payer_id} {self.cents:+}"
