"""Use by day, added up: what a year's report is read from, made again from sessions whenever a day changed."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from interlock.hub.models.lab import Lab
from interlock.hub.models.machines import Machine
from interlock.hub.models.people import Group, Member, Payer
from interlock.hub.models.purposes import Purpose


class UseDay(models.Model):
    """What one group did at one machine for one purpose on one day of the lab: the day sessions ended."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="+")
    group = models.ForeignKey(Group, null=True, on_delete=models.CASCADE, related_name="+")
    purpose = models.CharField(max_length=16, choices=Purpose.choices)
    # A company, an association, a school paid for it; otherwise a person, or nobody.
    by_organisation = models.BooleanField()
    sessions = models.PositiveIntegerField()
    enabled_ms = models.PositiveBigIntegerField()
    busy_ms = models.PositiveBigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["lab", "day"], name="use_day_by_day")]

    def __str__(self) -> str:
        return f"{self.day} {self.machine_id}"


class UseHour(models.Model):
    """How long the lab's machines were enabled within one hour of one day by the clock on its wall."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    # The day the session ended, and the hour that is told of, which may be of the day before.
    day = models.DateField()
    hour_day = models.DateField()
    hour = models.PositiveSmallIntegerField()
    enabled_ms = models.PositiveBigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["lab", "hour_day"], name="use_hour_by_day")]

    def __str__(self) -> str:
        return f"{self.hour_day} {self.hour}"


class MemberDay(models.Model):
    """Who used machines on a day, and who paid: only to count different people and organisations. It goes
    with the member when they are erased, and is made without them once their sessions are anonymous."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    member = models.ForeignKey(Member, null=True, on_delete=models.CASCADE, related_name="+")
    group = models.ForeignKey(Group, null=True, on_delete=models.CASCADE, related_name="+")
    payer = models.ForeignKey(Payer, null=True, on_delete=models.CASCADE, related_name="+")

    class Meta:
        indexes = [
            models.Index(fields=["lab", "day", "member", "group"], name="member_day_by_day"),
            models.Index(fields=["lab", "member", "day"], name="member_day_by_member"),
        ]
        verbose_name = _("day of use")

    def __str__(self) -> str:
        return f"{self.day}"


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
