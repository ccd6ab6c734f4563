"""Use by day and month, added up: what a year's report is read from, made again whenever a session changed."""

from __future__ import annotations

from django.db import models

from interlock.hub.models.lab import Lab
from interlock.hub.models.machines import Machine
from interlock.hub.models.people import Group, Member, Payer
from interlock.hub.models.purposes import Purpose


class MachineDay(models.Model):
    """How much one machine was used on one day of the lab: the day its sessions ended."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="+")
    sessions = models.PositiveIntegerField()
    enabled_ms = models.PositiveBigIntegerField()
    busy_ms = models.PositiveBigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["lab", "day"], name="machine_day_by_day")]

    def __str__(self) -> str:
        return f"{self.day} {self.machine_id}"


class UseHour(models.Model):
    """How long the lab's machines were enabled within one hour of one day by the clock on its wall."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    # The day the sessions ended, and the day of the hour that is told of: perhaps the one before.
    day = models.DateField()
    hour_day = models.DateField()
    hour = models.PositiveSmallIntegerField()
    enabled_ms = models.PositiveBigIntegerField()

    class Meta:
        indexes = [
            models.Index(fields=["lab", "day"], name="use_hour_by_end"),
            models.Index(fields=["lab", "hour_day"], name="use_hour_by_day"),
        ]

    def __str__(self) -> str:
        return f"{self.hour_day} {self.hour}"


class MemberMonth(models.Model):
    """How much one member used machines in one month of the lab, for one purpose, in one group. Without
    `member`: nobody knows any more. `payer` is named only where an organisation pays."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    # Its first day.
    month = models.DateField()
    member = models.ForeignKey(Member, null=True, on_delete=models.SET_NULL, related_name="+")
    group = models.ForeignKey(Group, null=True, on_delete=models.CASCADE, related_name="+")
    payer = models.ForeignKey(Payer, null=True, on_delete=models.CASCADE, related_name="+")
    purpose = models.CharField(max_length=16, choices=Purpose.choices)
    sessions = models.PositiveIntegerField()
    enabled_ms = models.PositiveBigIntegerField()

    class Meta:
        indexes = [
            models.Index(fields=["lab", "month"], name="member_month_by_month"),
            models.Index(fields=["member", "month"], name="member_month_by_member"),
        ]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"


class StaleDay(models.Model):
    """A day whose sums have to be made again: written in the transaction that changed its sessions."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lab", "day"], name="stale_day_once")]

    def __str__(self) -> str:
        return f"{self.day}"


class Downtime(models.Model):
    """A machine that nobody could use: locked out at the hub. `until_at` None: it still is."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="downtimes")
    from_at = models.DateTimeField()
    until_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["lab", "from_at"], name="downtime_by_start")]

    def __str__(self) -> str:
        return f"{self.machine_id} {self.from_at:%Y-%m-%d}"
