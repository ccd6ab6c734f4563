"""What a lab does beside its machines' sessions, and what keeps the machines going: activities, volunteer
time, maintenance, problems, and the calendars that are read and served."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from interlock.hub.models.lab import Lab
from interlock.hub.models.machines import Machine, Reservation
from interlock.hub.models.people import Member, User


class Public(models.TextChoices):
    """Who came to an activity, as funders ask; counted, never named."""

    CHILDREN = "children", _("children (under 12)")
    TEENAGERS = "teenagers", _("teenagers (12 to 17)")
    STUDENTS = "students", _("students and apprentices")
    ADULTS = "adults", _("adults")
    SENIORS = "seniors", _("seniors (over 60)")
    JOBSEEKERS = "jobseekers", _("job seekers")
    PROFESSIONALS = "professionals", _("professionals and companies")


class Activity(models.Model):
    """A workshop or a visit. `withdrawn_at`: it was entered by mistake, and counts no more."""

    class Kind(models.TextChoices):
        """What it was."""

        WORKSHOP = "workshop", _("workshop")
        VISIT = "visit", _("visit")

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="activities")
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.WORKSHOP)
    title = models.CharField(max_length=100)
    held_on = models.DateField()
    minutes = models.PositiveIntegerField()
    entered_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["lab", "-held_on"], name="activity_by_day")]
        ordering = ["-held_on", "-pk"]
        verbose_name = _("activity")

    def __str__(self) -> str:
        return f"{self.title} {self.held_on}"


class Headcount(models.Model):
    """How many people of one public came to an activity."""

    activity = models.ForeignKey(Activity, on_delete=models.CASCADE, related_name="headcounts")
    public = models.CharField(max_length=16, choices=Public.choices)
    people = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["activity", "public"], name="headcount_once")
        ]

    def __str__(self) -> str:
        return f"{self.people} {self.public}"


class VolunteerTime(models.Model):
    """Unpaid work for the lab; it counts once it is confirmed. Without `member`: they were erased."""

    class State(models.TextChoices):
        """What became of it."""

        DECLARED = "declared", _("to be confirmed")
        CONFIRMED = "confirmed", _("confirmed")
        REJECTED = "rejected", _("not counted")

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="volunteer_times")
    member = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.SET_NULL, related_name="volunteer_times"
    )
    done_on = models.DateField()
    minutes = models.PositiveIntegerField()
    task = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State.choices, default=State.DECLARED)
    declared_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        indexes = [models.Index(fields=["lab", "-done_on"], name="volunteer_time_by_day")]
        ordering = ["-done_on", "-pk"]
        verbose_name = _("volunteer time")

    def __str__(self) -> str:
        return f"{self.done_on} {self.minutes} min"


class MaintenancePlan(models.Model):
    """A job that comes round: after so many hours of work, or so many days, whichever is first.

    `since_at` is the last intervention that reset it (or its beginning); `used_ms` what the machine has
    worked since, as last counted at `counted_at` (domain.maintenance)."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="maintenance_plans")
    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="plans")
    task = models.CharField(max_length=100)
    every_hours = models.PositiveIntegerField(null=True, blank=True)
    every_days = models.PositiveIntegerField(null=True, blank=True)
    # Off by default: a machine that is late for its oil is not thereby dangerous.
    locks_out = models.BooleanField(default=False)
    begins_at = models.DateTimeField()
    since_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, blank=True)
    used_ms = models.PositiveBigIntegerField(default=0)
    counted_at = models.DateTimeField(null=True, blank=True)
    hours_over = models.BooleanField(default=False)
    # It locked the machine out once for this round: who gives it back all the same is not overruled.
    locked_out_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(every_hours__isnull=False) | Q(every_days__isnull=False),
                name="plan_comes_round",
            )
        ]
        ordering = ["machine__name", "task", "pk"]
        verbose_name = _("maintenance plan")

    def __str__(self) -> str:
        return f"{self.machine} · {self.task}"


class Intervention(models.Model):
    """Work done on a machine; with a plan, that plan's hours and days begin anew."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="interventions")
    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="interventions")
    plan = models.ForeignKey(
        MaintenancePlan,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="interventions",
    )
    done_at = models.DateTimeField()
    what = models.CharField(max_length=500)
    by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    company = models.CharField(max_length=100, blank=True)
    minutes = models.PositiveIntegerField(default=0)
    parts = models.CharField(max_length=500, blank=True)
    cost_cents = models.PositiveBigIntegerField(default=0)
    entered_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["machine", "-done_at"], name="intervention_by_time")]
        ordering = ["-done_at", "-pk"]
        verbose_name = _("intervention")

    def __str__(self) -> str:
        return f"{self.machine} {self.done_at:%Y-%m-%d}"


class Problem(models.Model):
    """What somebody wrote at a machine's QR code; nobody's name is asked. `answer` is what the next who
    scans it reads."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="problems")
    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="problems")
    text = models.CharField(max_length=500)
    reported_at = models.DateTimeField()
    answer = models.CharField(max_length=500, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        indexes = [models.Index(fields=["lab", "closed_at"], name="problem_by_state")]
        ordering = ["-reported_at", "-pk"]
        verbose_name = _("problem")

    def __str__(self) -> str:
        return f"{self.machine} {self.reported_at:%Y-%m-%d %H:%M}"


class MachineLink(models.Model):
    """An unguessable address that needs no login. Kept in the clear: a label must be printable again."""

    class Purpose(models.TextChoices):
        """What its page does."""

        PROBLEM = "problem", _("report a problem")
        CALENDAR = "calendar", _("calendar")

    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="links")
    purpose = models.CharField(max_length=8, choices=Purpose.choices)
    token = models.CharField(max_length=43, unique=True)
    made_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["machine", "purpose"], name="machine_link_once")
        ]

    def __str__(self) -> str:
        return f"{self.machine} {self.purpose}"


class CalendarSource(models.Model):
    """The booking tool's calendar of one machine, read every quarter of an hour."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="calendar_sources")
    machine = models.OneToOneField(
        Machine, on_delete=models.CASCADE, related_name="calendar_source"
    )
    address = models.CharField(max_length=1000)
    added_at = models.DateTimeField()
    tried_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)
    # Why the last try failed; empty when it did not.
    trouble = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name = _("booking calendar")

    def __str__(self) -> str:
        return f"{self.machine}"


class CalendarEvent(models.Model):
    """One booking as the calendar last said it: the reservation made of it, or why there is none."""

    class Why(models.TextChoices):
        """Why it reserves nothing."""

        NOBODY = "nobody", _("no member has this address or name")
        SEVERAL = "several", _("several members could be meant")
        TAKEN = "taken", _("the machine is reserved then already")
        TOO_LONG = "too_long", _("longer than a reservation may be")
        TOO_MANY = "too_many", _("more reservations than a machine can hold")

    source = models.ForeignKey(CalendarSource, on_delete=models.CASCADE, related_name="events")
    # Of its UID and beginning: what tells it from every other, and survives a change of title.
    key = models.CharField(max_length=64)
    title = models.CharField(max_length=100, blank=True)
    from_at = models.DateTimeField()
    until_at = models.DateTimeField()
    reservation = models.OneToOneField(
        Reservation, null=True, blank=True, on_delete=models.SET_NULL, related_name="imported_from"
    )
    why = models.CharField(max_length=8, choices=Why.choices, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "key"], name="calendar_event_once")
        ]
        ordering = ["from_at", "pk"]

    def __str__(self) -> str:
        return f"{self.source} {self.from_at:%Y-%m-%d %H:%M}"
