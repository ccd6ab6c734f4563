"""How a lab sends e-mail, who does not want which, and every e-mail on its way or gone."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from interlock.hub.models.lab import Lab
from interlock.hub.models.people import Member, User


class MailKind(models.TextChoices):
    """What an e-mail is about; all but LINK and TEST can be switched off (hub.mail.SWITCHES)."""

    FAULT = "fault", _("a machine has a fault")
    WELDED = "welded", _("a contactor stays closed")
    OFFLINE = "offline", _("a machine has lost the hub")
    PROBLEM = "problem", _("somebody reports a problem")
    DIGEST = "digest", _("what there is to do, every morning")
    TRAINING = "training", _("a training is about to end")
    LOW_CREDIT = "low_credit", _("credit is running low")
    STATEMENT = "statement", _("monthly statement")
    LINK = "link", _("link to sign in")
    TEST = "test", _("test")


class MailSettings(models.Model):
    """One lab's way to send. The password is sealed under a key in keys/ (hub.mail_keys)."""

    class Backend(models.TextChoices):
        """Where e-mails go."""

        OFF = "off", _("nowhere: the hub sends no e-mail")
        SMTP = "smtp", _("through a mail server (SMTP)")
        MAILBOX = "mailbox", _("only to the mail page, to try things out")

    class Security(models.TextChoices):
        """How the connection is protected."""

        STARTTLS = "starttls", _("STARTTLS (usually port 587)")
        TLS = "tls", _("TLS from the start (usually port 465)")
        NONE = "none", _("not protected (only for a server in the lab's own network)")

    lab = models.OneToOneField(Lab, on_delete=models.CASCADE, related_name="mail_settings")
    backend = models.CharField(max_length=8, choices=Backend.choices, default=Backend.OFF)
    host = models.CharField(max_length=253, blank=True)
    port = models.PositiveIntegerField(default=587)
    security = models.CharField(max_length=8, choices=Security.choices, default=Security.STARTTLS)
    username = models.CharField(max_length=254, blank=True)
    sealed_password = models.BinaryField(default=b"")
    sender = models.EmailField(blank=True)
    # Kinds that this lab does not send at all.
    off = models.JSONField(default=list, blank=True)

    class Meta:
        verbose_name = _("mail settings")

    def __str__(self) -> str:
        return f"{self.lab} {self.backend}"


class MailSwitch(models.Model):
    """A kind of e-mail that one person does not want: a login's, or a member's."""

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.CASCADE, related_name="mail_switches"
    )
    member = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.CASCADE, related_name="mail_switches"
    )
    kind = models.CharField(max_length=12, choices=MailKind.choices)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False) ^ Q(member__isnull=False),
                name="mail_switch_of_one_person",
            ),
            models.UniqueConstraint(
                fields=["lab", "user", "kind"],
                condition=Q(user__isnull=False),
                name="mail_switch_once_a_user",
            ),
            models.UniqueConstraint(
                fields=["lab", "member", "kind"],
                condition=Q(member__isnull=False),
                name="mail_switch_once_a_member",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}"


class OutboxMail(models.Model):
    """An e-mail from the moment it was decided on. Once SENDING, it is never taken up again by itself:
    whoever loses the server's answer cannot know whether it went, and says so (UNCERTAIN)."""

    class State(models.TextChoices):
        """Where it is."""

        WAITING = "waiting", _("waiting")
        SENDING = "sending", _("being sent")
        SENT = "sent", _("sent")
        UNCERTAIN = "uncertain", _("nobody knows whether it arrived")
        GIVEN_UP = "given_up", _("given up")

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="mails")
    kind = models.CharField(max_length=12, choices=MailKind.choices)
    # What it is about: a machine's slug, or empty; and which case of it, so that none is told twice.
    about = models.CharField(max_length=64, blank=True)
    cause = models.CharField(max_length=128, blank=True)
    to = models.EmailField()
    user = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    member = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    language = models.CharField(max_length=8)
    subject = models.CharField(max_length=200)
    text = models.TextField()
    message_id = models.CharField(max_length=128)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    queued_at = models.DateTimeField()
    next_try_at = models.DateTimeField()
    tries = models.PositiveIntegerField(default=0)
    done_at = models.DateTimeField(null=True, blank=True)
    trouble = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["lab", "-queued_at"], name="mail_by_time"),
            models.Index(fields=["state", "next_try_at"], name="mail_to_send"),
            models.Index(fields=["lab", "kind", "to", "cause"], name="mail_told"),
        ]
        ordering = ["-queued_at", "-pk"]
        verbose_name = _("e-mail")

    def __str__(self) -> str:
        return f"{self.kind} {self.state}"


class MailAttachment(models.Model):
    """A file that goes with an e-mail."""

    mail = models.ForeignKey(OutboxMail, on_delete=models.CASCADE, related_name="attachments")
    name = models.CharField(max_length=100)
    media_type = models.CharField(max_length=100)
    content = models.BinaryField()

    def __str__(self) -> str:
        return self.name
