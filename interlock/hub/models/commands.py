"""What people at the hub asked of a node, signed, and what it answered."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from interlock.hub.models.lab import Lab
from interlock.hub.models.machines import Node
from interlock.protocol import commands as protocol


class Command(models.Model):
    """One signed, one-time command to one node; it waits until the node answers or it expires."""

    class Kind(models.TextChoices):
        """The protocol's words, with what people read."""

        MESSAGE = protocol.CommandKind.MESSAGE.value, _("show a message")
        IDENTIFY = protocol.CommandKind.IDENTIFY.value, _("blink, to be found")
        END_SESSION = protocol.CommandKind.END_SESSION.value, _("end the session when idle")
        CUT_NOW = protocol.CommandKind.CUT_NOW.value, _("cut the power now")
        DIAGNOSE = protocol.CommandKind.DIAGNOSE.value, _("collect diagnostics")

    class State(models.TextChoices):
        """What became of it; one that is past `expires_at` and still waits was never heard."""

        WAITING = "waiting", _("waiting")
        DONE = "done", _("done")
        REFUSED = "refused", _("refused by the node")

    lab = models.ForeignKey(Lab, on_delete=models.CASCADE, related_name="+")
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="commands")
    # 128 random bits in hexadecimal: what the node remembers, so that it is carried out once.
    number = models.CharField(max_length=32, unique=True)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    text = models.CharField(max_length=80, blank=True)
    by = models.CharField(max_length=150)
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    signed = models.BinaryField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    answered_at = models.DateTimeField(null=True, blank=True)
    # The node's own words: why not, or what it found out about itself.
    answer = models.TextField(blank=True)

    class Meta:
        indexes = [models.Index(fields=["node", "state"], name="command_waiting")]
        ordering = ["-issued_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.kind} {self.number[:8]}"
