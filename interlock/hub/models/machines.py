"""Machines as rules and live state, the nodes bolted to them, and each node's signed snapshot."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from interlock.core import model as core
from interlock.hub.models.lab import Lab
from interlock.hub.models.people import Training


class LiveState(models.TextChoices):
    """What the board says of a machine by its records; "offline" follows from last contact."""

    FREE = "free", _("free")
    IN_USE = "in_use", _("in use")
    ENDING = "ending", _("ending")
    FAULT = "fault", _("fault")
    LOCKED_OUT = "locked_out", _("locked out")
    UNMETERED = "unmetered", _("bypass key on")


class Machine(models.Model):
    """A machine: what it asks of people, what it costs, and (`live_*`) what it is doing now."""

    class Needs(models.TextChoices):
        """The core's words, with what people read."""

        ALL = core.Needs.ALL.value, _("all of them")
        ANY = core.Needs.ANY.value, _("any of them")

    class BadgeUse(models.TextChoices):
        """The core's words, with what people read."""

        TAP = core.BadgeUse.TAP.value, _("tap on, tap off")
        HOLD = core.BadgeUse.HOLD.value, _("badge stays in the slot")

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="machines")
    slug = models.SlugField(max_length=64)
    name = models.CharField(_("name"), max_length=100)
    location = models.CharField(_("place"), max_length=100, blank=True)
    badge_use = models.CharField(max_length=8, choices=BadgeUse.choices, default=BadgeUse.TAP)
    trainings = models.ManyToManyField(Training, related_name="machines", blank=True)
    needs = models.CharField(max_length=8, choices=Needs.choices, default=Needs.ALL)
    max_offline_s = models.PositiveIntegerField(null=True, blank=True)
    second_person = models.BooleanField(default=False)
    daily_limit_s = models.PositiveIntegerField(null=True, blank=True)
    # Only during opening hours: the lab's, or those of a group that keeps others.
    within_hours = models.BooleanField(default=False)
    has_current_sensor = models.BooleanField(_("has a current sensor"), default=False)
    tariff = models.ForeignKey(
        "hub.Tariff", null=True, blank=True, on_delete=models.PROTECT, related_name="machines"
    )
    locked_out_at = models.DateTimeField(null=True, blank=True)
    locked_out_why = models.CharField(max_length=200, blank=True)
    # The grant that paid for it, as funders call it; reports sum by it.
    grant_name = models.CharField(_("grant that paid for it"), max_length=100, blank=True)
    grant_reference = models.CharField(_("reference of the grant"), max_length=64, blank=True)
    # Given away or scrapped: kept for its sessions, shown no more.
    retired_at = models.DateTimeField(null=True, blank=True)

    live_state = models.CharField(max_length=12, choices=LiveState.choices, default=LiveState.FREE)
    live_since_at = models.DateTimeField(null=True, blank=True)
    live_session = models.ForeignKey(
        "hub.Session", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    # None: no current sensor, or none of its reports yet.
    live_busy = models.BooleanField(null=True)
    live_faults = models.JSONField(default=list, blank=True)
    live_lock_outs = models.JSONField(default=list, blank=True)
    # Since when the bypass key is on: use that nobody meters.
    live_bypass_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lab", "slug"], name="machine_slug_once")]
        ordering = ["name"]
        verbose_name = _("machine")

    def __str__(self) -> str:
        return self.name


class Node(models.Model):
    """The Pi at a machine: how it proves itself, how far its journal is here, what it last said."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="nodes")
    slug = models.SlugField(max_length=64)
    machine = models.ForeignKey(Machine, on_delete=models.PROTECT, related_name="nodes")
    credential_hash = models.BinaryField(unique=True)
    chain_key = models.BinaryField()
    # X25519; its private half is on the node alone. None: enrolled before card keys existed.
    decryption_public_key = models.BinaryField(null=True)
    epoch = models.PositiveBigIntegerField(default=1)
    enrolled_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    head_epoch = models.PositiveBigIntegerField(default=0)
    head_seq = models.PositiveBigIntegerField(default=0)
    head_hash = models.BinaryField(default=bytes(32))

    last_seen_at = models.DateTimeField(null=True, blank=True)
    software = models.CharField(max_length=64, blank=True)
    mode = models.CharField(max_length=64, blank=True)
    boot_id = models.CharField(max_length=64, blank=True)
    # The epoch its journal is in by its own word: an older one can have holes, declared in a newer.
    journal_epoch = models.PositiveBigIntegerField(default=1)
    # The last epoch given to a card whose records differ (hub.greeting); no other card gets it.
    branch_epoch = models.PositiveBigIntegerField(default=0)
    # The snapshot the node says it decides by.
    confirmed_epoch = models.PositiveBigIntegerField(null=True, blank=True)
    confirmed_counter = models.PositiveBigIntegerField(null=True, blank=True)
    # Whoever was erased up to this change of rights, a list that it confirmed told it to forget (hub.erased).
    forgot_seq = models.PositiveBigIntegerField(default=0)
    # Of its node.toml, by its own last word: other than at commissioning means another wiring.
    config_digest = models.CharField(max_length=64, blank=True)
    # Why it did not take the last list it was offered; empty once it decides by the newest.
    list_refused = models.CharField(max_length=300, blank=True, default="")
    # What it last said of its interlocks, for nodes that ask: {name: [true, false or null, UTC second,
    # boot and its millisecond when the node looked]}.
    interlocks = models.JSONField(default=dict, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["lab", "slug"], name="node_slug_once"),
            models.UniqueConstraint(
                fields=["machine"], condition=Q(revoked_at=None), name="node_per_machine"
            ),
        ]
        verbose_name = _("node")

    def __str__(self) -> str:
        return self.slug


class Reservation(models.Model):
    """From `from_at` until `until_at` the machine is kept for `member`; None: for nobody with a badge."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="reservations")
    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="reservations")
    member = models.ForeignKey(
        "hub.Member", null=True, blank=True, on_delete=models.CASCADE, related_name="reservations"
    )
    from_at = models.DateTimeField()
    until_at = models.DateTimeField()
    note = models.CharField(_("note"), max_length=100, blank=True)

    class Meta:
        indexes = [models.Index(fields=["machine", "from_at"], name="reservation_by_start")]
        ordering = ["from_at", "pk"]
        verbose_name = _("reservation")

    def __str__(self) -> str:
        return f"{self.machine} {self.from_at:%Y-%m-%d %H:%M}"


class Commissioning(models.Model):
    """A technician's walk through a machine, as its node recorded it; the latest one counts."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="commissionings")
    epoch = models.PositiveBigIntegerField()
    seq = models.PositiveBigIntegerField()
    done_at = models.DateTimeField()
    by = models.CharField(max_length=64)
    config_digest = models.CharField(max_length=64)
    software = models.CharField(max_length=64)
    # [{"name", "good": true, false or null (not tested), "measured": {name: integer}}]
    findings = models.JSONField(default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["node", "epoch", "seq"], name="commissioning_once")
        ]
        ordering = ["-epoch", "-seq"]

    def __str__(self) -> str:
        return f"{self.node} {self.done_at:%Y-%m-%d}"


class Snapshot(models.Model):
    """The head of a node's current snapshot; `content_hash` says whether anything changed for it.

    Its entries are made of the database again, or kept in memory (hub.contents): stored for each of 500 nodes
    they would be 100 MB written for one lost badge. `digest` tells whether they are the ones that were signed.
    """

    node = models.OneToOneField(Node, on_delete=models.CASCADE, related_name="snapshot")
    epoch = models.PositiveBigIntegerField()
    counter = models.PositiveBigIntegerField()
    # Lab.rights_seq when the content was last compared: equal means nothing can have changed.
    rights_seq = models.PositiveBigIntegerField()
    content_hash = models.BinaryField()
    issued_at = models.DateTimeField()
    # The signed first line of the file; empty: signed anew at the next look.
    head = models.BinaryField(default=b"")
    # Of the entries as this node gets them, and as it should report them.
    digest = models.BinaryField(default=b"")
    # Names the lines this node shares with others (hub.contents.Content.name).
    content = models.BinaryField(default=b"")

    def __str__(self) -> str:
        return f"{self.epoch}.{self.counter}"
