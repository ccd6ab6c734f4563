"""What keeps promises about people: jobs' last runs, who looked at whose usage, who was erased."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from interlock.hub.models.lab import Lab
from interlock.hub.models.machines import Machine
from interlock.hub.models.people import Member, User


class JobRun(models.Model):
    """When a job of a lab last ran, what came of it and when it is due again (hub.jobs)."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=32)
    began_at = models.DateTimeField()
    # None: it runs, or the computer went down under it.
    ended_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField()
    failed = models.BooleanField(default=False)
    # One line, naming nobody.
    outcome = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lab", "name"], name="job_run_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.began_at:%Y-%m-%d %H:%M}"


class UsageView(models.Model):
    """`viewer` looked at the usage of `member` on that day of the lab: once a day, however often."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    viewer = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="usage_views")
    day = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["viewer", "member", "day"], name="usage_view_once")
        ]
        indexes = [models.Index(fields=["day"], name="usage_view_by_day")]
        verbose_name = _("look at usage")

    def __str__(self) -> str:
        return f"{self.day}"


class RefusalCount(models.Model):
    """How many refusals a machine gave for one reason on one day of the lab; names nobody, stays."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="refusal_counts")
    day = models.DateField()
    reason = models.CharField(max_length=32)
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["machine", "day", "reason"], name="refusals_a_day_once")
        ]
        indexes = [models.Index(fields=["lab", "day"], name="refusal_count_by_day")]

    def __str__(self) -> str:
        return f"{self.machine} {self.day} {self.reason} {self.count}"


class ErasedMember(models.Model):
    """Somebody who was erased: digests of the opaque words that records knew them by (protocol.erasure).

    No id, no tag and no name: the row goes to every node, and is applied again to a restored hub.
    """

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    # Of the public id: what a restored back-up is searched for.
    digest = models.BinaryField(max_length=16)
    # Hexadecimal; of the public id and of every badge's tag.
    digests = models.JSONField()
    erased_at = models.DateTimeField()
    # Lab.rights_seq of the change that erased them: a list made then or later says so. None: nobody knows
    # any more (a restored hub), so that only the newest list counts.
    rights_seq = models.PositiveBigIntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lab", "digest"], name="erased_once")]

    def __str__(self) -> str:
        return f"{self.erased_at:%Y-%m-%d}"
