"""What a lab keeps of its people besides their rights: who they say they are, how they came, what they were taught."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from interlock.hub.models.lab import Lab
from interlock.hub.models.people import Authorisation, Member, Training, User

RATHER_NOT_SAY = "unsaid"
"""An answer too: somebody was asked. Empty: nobody asked them."""


class Profile(models.Model):
    """What a member chose to say of themselves, for the funders' counts; every answer may be withheld.

    Apart from the member, so that no list, form or export of members meets it by accident: reports count
    it (and mask groups of fewer than five), the member's own page and `domain.profiles` show it.
    """

    class AgeBand(models.TextChoices):
        """The bands that French funders ask for."""

        UNDER_12 = "0-11", _("under 12")
        TEENS = "12-17", _("12 to 17")
        YOUNG = "18-25", _("18 to 25")
        ADULTS = "26-59", _("26 to 59")
        OLDER = "60", _("60 and over")
        UNSAID = RATHER_NOT_SAY, _("rather not say")

    class Gender(models.TextChoices):
        """As somebody calls themselves."""

        WOMAN = "woman", _("woman")
        MAN = "man", _("man")
        OTHER = "other", _("another")
        UNSAID = RATHER_NOT_SAY, _("rather not say")

    class Occupation(models.TextChoices):
        """What they do: the "status" of the funders' forms."""

        PUPIL = "pupil", _("at school")
        STUDENT = "student", _("student")
        EMPLOYED = "employed", _("employed")
        SELF_EMPLOYED = "self_employed", _("self-employed")
        SEEKING = "seeking", _("looking for work")
        RETIRED = "retired", _("retired")
        OTHER = "other", _("something else")
        UNSAID = RATHER_NOT_SAY, _("rather not say")

    member = models.OneToOneField(Member, on_delete=models.CASCADE, related_name="profile")
    age_band = models.CharField(
        _("age"), max_length=8, choices=AgeBand.choices, blank=True, default=""
    )
    gender = models.CharField(
        _("gender"), max_length=8, choices=Gender.choices, blank=True, default=""
    )
    occupation = models.CharField(
        _("occupation"), max_length=16, choices=Occupation.choices, blank=True, default=""
    )
    commune = models.CharField(_("town"), max_length=100, blank=True, default="")
    declared_at = models.DateTimeField()

    class Meta:
        verbose_name = _("profile")

    def __str__(self) -> str:
        return f"{self.pk}"


class MemberImport(models.Model):
    """A list of members that was taken in: what it made, and whether it was taken back."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    file_name = models.CharField(max_length=100)
    done_at = models.DateTimeField()
    created = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-done_at", "-pk"]
        verbose_name = _("import of members")

    def __str__(self) -> str:
        return f"{self.file_name} {self.done_at:%Y-%m-%d %H:%M}"


class TrainingRun(models.Model):
    """One training as it is held: when, by whom, for whom; closed once those who were there hold it."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="training_runs")
    training = models.ForeignKey(Training, on_delete=models.PROTECT, related_name="runs")
    trainer = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    starts_at = models.DateTimeField()
    duration_min = models.PositiveIntegerField()
    note = models.CharField(_("note"), max_length=200, blank=True, default="")
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["lab", "-starts_at"], name="training_run_by_start")]
        ordering = ["-starts_at", "-pk"]
        verbose_name = _("training held")

    def __str__(self) -> str:
        return f"{self.training} {self.starts_at:%Y-%m-%d %H:%M}"


class Attendance(models.Model):
    """Somebody on the list of a training that is held. An erased member leaves the line, so that hours of
    training stay what they were; `present` None: nobody has ticked it yet."""

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="attendances")
    member = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.SET_NULL, related_name="attendances"
    )
    present = models.BooleanField(null=True, blank=True)
    level = models.CharField(
        max_length=12, choices=Authorisation.Level.choices, default=Authorisation.Level.ALONE
    )
    authorisation = models.ForeignKey(
        Authorisation, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "member"], name="attendance_once"),
        ]
        verbose_name = _("attendance")

    def __str__(self) -> str:
        return f"{self.run_id} {self.member_id}"
