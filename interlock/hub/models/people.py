"""Who works here: users and their roles, payers, members, badges, trainings and authorisations."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from interlock.core import model as core
from interlock.hub.models.lab import Lab
from interlock.hub.models.purposes import Purpose


class UserAccounts(BaseUserManager["User"]):
    """Finds users by e-mail, whatever its letters' case."""

    def get_by_natural_key(self, username: str | None) -> User:
        """The user who logs in as `username`. Raises User.DoesNotExist."""
        return self.get(email__iexact=username)


class User(AbstractBaseUser):
    """Somebody who can log in; what they may do is given by their roles, lab by lab."""

    email = models.EmailField(_("e-mail"), unique=True)
    name = models.CharField(_("name"), max_length=150)
    language = models.CharField(_("language"), max_length=8, blank=True)
    is_active = models.BooleanField(default=True)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]
    objects: ClassVar[UserAccounts] = UserAccounts()

    def __str__(self) -> str:
        return self.name

    def get_full_name(self) -> str:
        """The name people know them by."""
        return self.name


class Payer(models.Model):
    """Who gets the statement: a person or an organisation."""

    class Kind(models.TextChoices):
        """What the payer is."""

        PERSON = "person", _("person")
        ORGANISATION = "organisation", _("organisation")

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="payers")
    name = models.CharField(_("name"), max_length=150)
    kind = models.CharField(max_length=12, choices=Kind.choices, default=Kind.PERSON)
    siren = models.CharField("SIREN", max_length=14, blank=True)
    vat_number = models.CharField(_("VAT number"), max_length=20, blank=True)
    address = models.TextField(_("address"), blank=True)
    order_reference = models.CharField(_("order reference"), max_length=64, blank=True)
    # Where statements go to; empty: to the members who are their own payer.
    email = models.EmailField(_("e-mail"), blank=True, default="")
    # Uses only what stands on their account: low warns, nothing left refuses the next session.
    prepays = models.BooleanField(_("pays in advance"), default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lab", "name"], name="payer_name_once")]
        verbose_name = _("payer")

    def __str__(self) -> str:
        return self.name


PayerKind = Payer.Kind


class Group(models.Model):
    """A tariff class: resident, student, company, association, volunteer, staff …"""

    class Keeps(models.TextChoices):
        """Which hours its members keep at machines that ask for opening hours."""

        LAB = "lab", _("the lab's opening hours")
        OWN = "own", _("hours of their own")
        ANY = "any", _("any time")

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="groups")
    slug = models.SlugField(max_length=64)
    name = models.CharField(_("name"), max_length=100)
    keeps = models.CharField(max_length=4, choices=Keeps.choices, default=Keeps.LAB)
    # Spans as Lab.hours has them; they count where `keeps` is "own".
    hours = models.JSONField(default=list, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lab", "slug"], name="group_slug_once")]
        ordering = ["name"]
        verbose_name = _("group")

    def __str__(self) -> str:
        return self.name


class Member(models.Model):
    """Somebody who may hold badges; `public_id` is the opaque name that nodes and records use."""

    class Status(models.TextChoices):
        """The core's words, with what people read."""

        ACTIVE = core.MemberStatus.ACTIVE.value, _("active")
        SUSPENDED = core.MemberStatus.SUSPENDED.value, _("suspended")

    class Credit(models.TextChoices):
        """The core's words, with what people read; set by hand until the hub keeps accounts."""

        OK = core.Credit.OK.value, _("enough")
        LOW = core.Credit.LOW.value, _("low")
        NONE = core.Credit.NONE.value, _("used up")

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="members")
    public_id = models.CharField(max_length=32)
    name = models.CharField(_("name"), max_length=150)
    email = models.EmailField(_("e-mail"), blank=True)
    language = models.CharField(_("language"), max_length=8, default="fr")
    status = models.CharField(
        _("status"), max_length=12, choices=Status.choices, default=Status.ACTIVE
    )
    group = models.ForeignKey(
        Group, null=True, blank=True, on_delete=models.PROTECT, related_name="members"
    )
    payer = models.ForeignKey(
        Payer, null=True, blank=True, on_delete=models.PROTECT, related_name="members"
    )
    # Pays for what is done for the company; `purpose` is what a session is for unless staff say otherwise.
    firm = models.ForeignKey(
        Payer, null=True, blank=True, on_delete=models.PROTECT, related_name="firm_members"
    )
    purpose = models.CharField(max_length=16, choices=Purpose.choices, default=Purpose.OWN)
    joined_on = models.DateField(_("member since"), null=True, blank=True)
    until_at = models.DateTimeField(_("member until"), null=True, blank=True)
    technician = models.BooleanField(_("technician"), default=False)
    # No date of birth: whether a guardian has to consent is all the lab needs to know.
    minor = models.BooleanField(_("under 18"), default=False)
    consent_on = models.DateField(_("consent given on"), null=True, blank=True)
    consent_by = models.CharField(_("consent given by"), max_length=150, blank=True, default="")
    imported_with = models.ForeignKey(
        "hub.MemberImport", null=True, blank=True, on_delete=models.SET_NULL, related_name="members"
    )
    credit = models.CharField(_("credit"), max_length=4, choices=Credit.choices, default=Credit.OK)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["lab", "public_id"], name="member_id_once"),
            models.UniqueConstraint(
                fields=["lab", "email"], condition=~Q(email=""), name="member_email_once"
            ),
        ]
        indexes = [models.Index(fields=["lab", "name"], name="member_by_name")]
        verbose_name = _("member")

    def __str__(self) -> str:
        return self.name


class Badge(models.Model):
    """A card of a member. Its UID is not stored, only the lab's tag for it (protocol.tags)."""

    class Condition(models.TextChoices):
        """ACTIVE opens machines, every other never does. ENROL_AGAIN: an imported old id that tells
        no card apart; its tag is made so that no card has it (domain.badges)."""

        ACTIVE = "active", _("active")
        LOST = "lost", _("lost")
        STOLEN = "stolen", _("stolen")
        RETIRED = "retired", _("retired")
        ENROL_AGAIN = "enrol_again", _("enrol again")

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="badges")
    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="badges")
    tag = models.BinaryField(max_length=16)
    label = models.CharField(_("label"), max_length=64, blank=True)
    condition = models.CharField(
        _("state"), max_length=16, choices=Condition.choices, default=Condition.ACTIVE
    )
    given_at = models.DateTimeField(_("given on"))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lab", "tag"], name="badge_tag_once")]
        verbose_name = _("badge")

    def __str__(self) -> str:
        return self.label or bytes(self.tag)[:4].hex()


BadgeCondition = Badge.Condition


class Training(models.Model):
    """What somebody learnt; machines ask for it. `slug` is what nodes and screens know it by."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="trainings")
    slug = models.SlugField(max_length=64)
    name = models.CharField(_("name"), max_length=100)
    validity_days = models.PositiveIntegerField(_("valid for days"), null=True, blank=True)
    lapse_days = models.PositiveIntegerField(_("lapses after days"), null=True, blank=True)
    # How long it usually takes; what a list of attendance begins with.
    duration_min = models.PositiveIntegerField(_("minutes"), null=True, blank=True)
    prerequisite = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lab", "slug"], name="training_slug_once")]
        ordering = ["name"]
        verbose_name = _("training")

    def __str__(self) -> str:
        return self.name


class Authorisation(models.Model):
    """A training a member holds. A revoked one stays, with who revoked it; so do its dates."""

    class Level(models.TextChoices):
        """The core's words, with what people read."""

        SUPERVISED = core.Level.SUPERVISED.value, _("supervised")
        ALONE = core.Level.ALONE.value, _("alone")
        TRAINER = core.Level.TRAINER.value, _("trainer")

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="authorisations")
    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="authorisations")
    training = models.ForeignKey(Training, on_delete=models.PROTECT, related_name="authorisations")
    level = models.CharField(max_length=12, choices=Level.choices, default=Level.ALONE)
    granted_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    # The trainer whose badge granted it at a machine; they need no login for that.
    granted_by_member = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    granted_at = models.DateTimeField()
    until_at = models.DateTimeField(null=True, blank=True)
    # The last day of practice, to the day: finer would renew every node's snapshot at each session.
    practised_at = models.DateTimeField(null=True, blank=True)
    evidence = models.TextField(blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["member", "training"],
                condition=Q(revoked_at=None),
                name="authorisation_once",
            )
        ]
        verbose_name = _("authorisation")

    def __str__(self) -> str:
        return f"{self.member} · {self.training}"


class PendingGrant(models.Model):
    """A training that a trainer granted at a machine with a badge that can be copied.

    It counts there until midnight, by the node's own word; here only once the trainer or a manager has
    confirmed it. `record` is the node's word, EPOCH.SEQ.
    """

    class State(models.TextChoices):
        """What became of it."""

        WAITING = "waiting", _("to be confirmed")
        CONFIRMED = "confirmed", _("confirmed")
        REJECTED = "rejected", _("rejected")

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="pending_grants")
    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="pending_grants")
    training = models.ForeignKey(Training, on_delete=models.CASCADE, related_name="+")
    trainer = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="grants_to_confirm")
    node = models.ForeignKey("hub.Node", on_delete=models.CASCADE, related_name="+")
    record = models.CharField(max_length=41)
    given_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["member", "training"],
                condition=Q(state="waiting"),
                name="pending_grant_once",
            )
        ]
        verbose_name = _("grant to confirm")

    def __str__(self) -> str:
        return f"{self.member} · {self.training}"


class Role(models.Model):
    """What a user is in a lab; `member` links the account to their own page and trainings."""

    class Name(models.TextChoices):
        """The roles of 5-hub.md."""

        OWNER = "owner", _("owner")
        MANAGER = "manager", _("manager")
        TRAINER = "trainer", _("trainer")
        TECHNICIAN = "technician", _("technician")
        ACCOUNTANT = "accountant", _("accountant")
        MEMBER = "member", _("member")

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="roles")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="roles")
    name = models.CharField(max_length=12, choices=Name.choices)
    member = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.CASCADE, related_name="roles"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lab", "user", "name"], name="role_once")]
        verbose_name = _("role")

    def __str__(self) -> str:
        return f"{self.user} · {self.name}"


RoleName = Role.Name


class OneTimeLink(models.Model):
    """A link that works once and not for long; only the SHA-256 of its token is kept."""

    class Purpose(models.TextChoices):
        """What the link's page does."""

        FIRST_OWNER = "first_owner"
        SET_PASSWORD = "set_password"

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    purpose = models.CharField(max_length=16, choices=Purpose.choices)
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    token_hash = models.BinaryField(unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.purpose} until {self.expires_at:%Y-%m-%d %H:%M}"
