"""What machines are used for, one word each: tariffs, members and sessions all speak of it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Purpose(models.TextChoices):
    """What a session was for."""

    OWN = "own", _("own project")
    COMPANY = "company", _("company")
    TRAINING = "training", _("training")
    VOLUNTEERING = "volunteering", _("volunteering")
    MAINTENANCE = "maintenance", _("maintenance")
