"""What nodes report: records as they came, clocks, conflicts, and the sessions made of them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from interlock.hub.models.lab import Lab
from interlock.hub.models.machines import Machine, Node
from interlock.hub.models.people import Badge, Group, Member, Payer
from interlock.hub.models.purposes import Purpose


class NodeRecord(models.Model):
    """One journal record, whole and verified; body and salt are None once erased."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="records")
    epoch = models.PositiveBigIntegerField()
    seq = models.PositiveBigIntegerField()
    boot_id = models.CharField(max_length=64)
    boot_ms = models.PositiveBigIntegerField()
    wall_ms = models.PositiveBigIntegerField(null=True)
    wall_trusted = models.BooleanField()
    type = models.CharField(max_length=32)
    # Canonical JSON, as the commitment was computed over it.
    body = models.TextField(null=True)
    salt = models.BinaryField(null=True)
    commit = models.BinaryField()
    prev = models.BinaryField()
    hash = models.BinaryField()
    received_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["node", "epoch", "seq"], name="record_once")]

    def __str__(self) -> str:
        return f"{self.epoch}.{self.seq} {self.type}"


class SetAside(models.Model):
    """A record that contradicts what is stored: kept whole beside it, never in its place."""

    class Why(models.TextChoices):
        """What is wrong with it; the codes of the hub's answer to the node."""

        OTHER_BODY = "other_body", _("the same number with another content")
        BROKEN_CHAIN = "broken_chain", _("it does not follow the record before it")
        BEHIND_HEAD = "behind_head", _("it arrived after later records were accepted")

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="set_aside")
    epoch = models.PositiveBigIntegerField()
    seq = models.PositiveBigIntegerField()
    hash = models.BinaryField()
    why = models.CharField(max_length=16, choices=Why.choices)
    wire = models.TextField()
    arrived_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["node", "epoch", "seq", "hash"], name="set_aside_once")
        ]

    def __str__(self) -> str:
        return f"{self.epoch}.{self.seq} {self.why}"


class AlarmKind(models.TextChoices):
    """What a person has to look at."""

    RECORDS_SET_ASIDE = "records_set_aside", _("records contradict what is stored")
    RECORDS_MISSING = "records_missing", _("records before these never arrived")
    RECORDS_LOST = "records_lost", _("the node lost records before they were delivered")
    NODE_BEHIND = "node_behind", _("the node knows less than the hub: an old or copied SD card")
    CHAIN_DIFFERS = "chain_differs", _("the node's journal is not the one the hub holds")
    RECORD_UNREADABLE = "record_unreadable", _("a record makes no sense")
    SESSION_OVERLAP = "session_overlap", _("a session began before the last one ended")
    MEMBER_UNKNOWN = "member_unknown", _("a session of a member the hub does not know")
    SESSION_TO_CHECK = "session_to_check", _("a session that somebody has to check")
    PROBLEM_REPORTED = "problem_reported", _("the node reports a problem")
    RECORD_UNKNOWN = "record_unknown", _("a record of a kind that only a newer hub understands")
    BADGE_LEFT_OUT = "badge_left_out", _("a badge that no list of rights can hold is refused")
    HUB_BEHIND = "hub_behind", _("the node knew newer rights than the hub: an old back-up?")
    LIST_REFUSED = "list_refused", _("the node refused a list of rights")
    LIST_DIFFERS = "list_differs", _("the node held other rights than the hub signed")
    POSSIBLE_CLONE = "possible_clone", _("a badge did not prove that it is genuine: a copy?")
    STOLEN_BADGE = "stolen_badge", _("a badge that was reported lost or stolen was presented")
    UNEXPECTED_START = "unexpected_start", _("the machine started by itself and was cut off")
    BYPASS_USED = "bypass_used", _("the bypass key was used: nobody was asked for a badge")
    GRANT_REFUSED = "grant_refused", _("a training granted at the machine does not count")


class Alarm(models.Model):
    """Something a node did that a person has to look at; one open alarm per node and kind, and per
    badge where it is about one. `detail` names nobody: who may know is told by `badge`."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="alarms")
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="alarms")
    kind = models.CharField(max_length=24, choices=AlarmKind.choices)
    badge = models.ForeignKey(
        Badge, null=True, blank=True, on_delete=models.CASCADE, related_name="alarms"
    )
    detail = models.TextField(blank=True)
    raised_at = models.DateTimeField()
    last_at = models.DateTimeField()
    count = models.PositiveIntegerField(default=1)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["node", "kind"],
                condition=models.Q(closed_at=None, badge=None),
                name="alarm_open_once",
            ),
            models.UniqueConstraint(
                fields=["node", "kind", "badge"],
                condition=models.Q(closed_at=None, badge__isnull=False),
                name="alarm_open_once_a_badge",
            ),
        ]
        verbose_name = _("alarm")

    def __str__(self) -> str:
        return f"{self.kind} ({self.count})"


class Boot(models.Model):
    """One boot of a node: the scale its monotonic milliseconds count on."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="boots")
    boot_id = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["node", "boot_id"], name="boot_once")]

    def __str__(self) -> str:
        return self.boot_id


class ClockAnchor(models.Model):
    """At `boot_ms` of this boot it was `wall_ms` UTC, by the hub's own signature."""

    boot = models.ForeignKey(Boot, on_delete=models.CASCADE, related_name="anchors")
    boot_ms = models.PositiveBigIntegerField()
    wall_ms = models.PositiveBigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["boot", "boot_ms"], name="anchor_once")]

    def __str__(self) -> str:
        return f"{self.boot_ms} = {self.wall_ms}"


class Session(models.Model):
    """One use of a machine, from its start record (node, epoch, seq) to its end.

    Seconds come from the node's monotonic clock and are final; `started_at` and `ended_at` are
    mapped from it and stay `provisional` until an anchor of that boot has arrived.
    """

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="sessions")
    machine = models.ForeignKey(Machine, on_delete=models.PROTECT, related_name="sessions")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="sessions")
    epoch = models.PositiveBigIntegerField()
    seq = models.PositiveBigIntegerField()
    member = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.SET_NULL, related_name="sessions"
    )
    badge = models.ForeignKey(
        Badge, null=True, blank=True, on_delete=models.SET_NULL, related_name="sessions"
    )
    payer = models.ForeignKey(
        Payer, null=True, blank=True, on_delete=models.PROTECT, related_name="sessions"
    )
    # The tariff class the member belonged to when it began.
    group = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    # What the machine cost by when the session began: a new tariff never touches old sessions.
    tariff = models.ForeignKey(
        "hub.Tariff", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    purpose = models.CharField(max_length=16, choices=Purpose.choices, default=Purpose.OWN)
    # Somebody chose payer and purpose by hand: a clock that becomes known later does not undo that.
    reassigned = models.BooleanField(default=False)

    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    provisional = models.BooleanField(default=False)
    start_boot_id = models.CharField(max_length=64)
    start_boot_ms = models.PositiveBigIntegerField()
    end_boot_id = models.CharField(max_length=64, blank=True)
    end_boot_ms = models.PositiveBigIntegerField(null=True, blank=True)

    enabled_ms = models.PositiveBigIntegerField(default=0)
    busy_ms = models.PositiveBigIntegerField(default=0)
    idle_ms = models.PositiveBigIntegerField(default=0)
    # core.model.Ending; empty while the session runs.
    how = models.CharField(max_length=24, blank=True)
    # The node was cut: the end is its last proof of life, not a measurement.
    estimated = models.BooleanField(default=False)
    voided = models.BooleanField(default=False)
    voided_why = models.CharField(max_length=200, blank=True)

    # Who was there too: named, never billed.
    supervisor = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    second = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    # How often the supervisor confirmed.
    confirmations = models.PositiveIntegerField(default=0)
    # core.model.Reason where the machine only warns; empty where it had nothing against it.
    would_refuse = models.CharField(max_length=32, blank=True)
    # The interlocks that ended it, or kept it from beginning, by name.
    interlocks = models.JSONField(default=list, blank=True)
    long_job = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["node", "epoch", "seq"], name="session_once")
        ]
        indexes = [
            # In the order of the list, with what its filter asks: a page of it reads nothing else.
            models.Index(fields=["lab", "-started_at", "-id", "ended_at"], name="session_listed"),
            models.Index(
                fields=["lab", "purpose", "-started_at", "-id", "ended_at"],
                name="session_by_purpose",
            ),
            models.Index(fields=["member", "-started_at"], name="session_by_member"),
            models.Index(fields=["machine", "-started_at"], name="session_by_machine"),
            models.Index(fields=["payer", "ended_at"], name="session_by_payer"),
            models.Index(fields=["lab", "ended_at"], name="session_by_end"),
            models.Index(fields=["node", "start_boot_id"], name="session_by_boot"),
        ]
        verbose_name = _("session")

    def __str__(self) -> str:
        return f"{self.epoch}.{self.seq}"

    @property
    def unknown_ms(self) -> int:
        """Enabled time of which no current sensor told whether the machine worked."""
        return self.enabled_ms - self.busy_ms - self.idle_ms


class UnmeteredUse(models.Model):
    """The bypass key was on, from its "began" record (node, epoch, seq) on; `duration_ms` None: it still
    is, or nobody can say how long it was."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="unmetered")
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="+")
    epoch = models.PositiveBigIntegerField()
    seq = models.PositiveBigIntegerField()
    began_at = models.DateTimeField()
    duration_ms = models.PositiveBigIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["node", "epoch", "seq"], name="unmetered_once")
        ]
        ordering = ["-epoch", "-seq"]

    def __str__(self) -> str:
        return f"{self.machine} {self.began_at:%Y-%m-%d %H:%M}"
