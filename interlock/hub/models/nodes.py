"""Enrolments of machines' computers, from the code to the click, and what each computer says of its health."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from interlock.hub.models.lab import Lab
from interlock.hub.models.machines import Machine, Node


class Enrolment(models.Model):
    """One computer on its way to a machine: a one-time code, a claim by it, and a person's click.

    Until `confirmed_at` the computer is nobody: no node stands for it, so it gets no list and no
    record of its is taken. One is live for a machine: making another ends the one before.
    """

    class Kind(models.TextChoices):
        """How the code travels, which says how long it lives."""

        CODE = "code", _("code")
        FILE = "file", _("SD card file")

    class Ending(models.TextChoices):
        """Why no computer came of it."""

        CANCELLED = "cancelled", _("cancelled")
        REPLACED = "replaced", _("another code was made")
        REFUSED = "refused", _("the words were not the same")

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="enrolments")
    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="enrolments")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    # SHA-256 of the code's secret, which is nowhere at the hub.
    secret_hash = models.BinaryField(unique=True)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)
    expires_at = models.DateTimeField()

    # The claim: the computer's own keys, their private parts kept there.
    claimed_at = models.DateTimeField(null=True, blank=True)
    claim_until_at = models.DateTimeField(null=True, blank=True)
    credential_hash = models.BinaryField(null=True, unique=True)
    chain_key = models.BinaryField(null=True)
    decryption_public_key = models.BinaryField(null=True)
    # The name and epoch it will have, and the words a person compares.
    slug = models.CharField(max_length=64, blank=True)
    epoch = models.PositiveBigIntegerField(default=1)
    words = models.CharField(max_length=200, blank=True)
    asked_at = models.DateTimeField(null=True, blank=True)

    confirmed_at = models.DateTimeField(null=True, blank=True)
    node = models.OneToOneField(
        Node, null=True, blank=True, on_delete=models.CASCADE, related_name="enrolment"
    )
    # What the computer before it may have kept to itself, counted when it was replaced.
    replaced = models.ForeignKey(
        Node, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    missing_records = models.PositiveBigIntegerField(default=0)
    missing_sessions = models.PositiveIntegerField(default=0)

    ended_at = models.DateTimeField(null=True, blank=True)
    ending = models.CharField(max_length=12, choices=Ending.choices, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["machine"],
                condition=models.Q(ended_at=None, confirmed_at=None),
                name="enrolment_live_once",
            )
        ]
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.machine} {self.created_at:%Y-%m-%d %H:%M}"


class NodeHealth(models.Model):
    """What a computer's network process last said of it; None: it cannot tell."""

    node = models.OneToOneField(Node, on_delete=models.CASCADE, related_name="health")
    reported_at = models.DateTimeField()
    # How much its own clock is ahead of the hub's.
    clock_ahead_ms = models.BigIntegerField(null=True, blank=True)
    disk_free_mb = models.PositiveIntegerField(null=True, blank=True)
    disk_mb = models.PositiveIntegerField(null=True, blank=True)
    temperature_dc = models.IntegerField(null=True, blank=True)
    # The serial of the list of authorities it trusts, 0 if it was told of none yet; None: plain HTTP.
    authorities = models.PositiveIntegerField(null=True, blank=True)
    # The newest record of its journal, sent or not.
    told_epoch = models.PositiveBigIntegerField(default=0)
    told_seq = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.node} {self.reported_at:%Y-%m-%d %H:%M}"
