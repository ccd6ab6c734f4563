"""A hub that was put back in time to an epoch above everything its nodes may have seen (4-protocol.md)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from interlock.hub.changes import log_change
from interlock.hub.models import Lab, Topic


@transaction.atomic
def raise_epoch(lab: Lab, at: datetime, *, above: int = 0, why: str = "restored") -> int:
    """The lab's new hub epoch, above its old one and `above`: every list is newer than all lost ones."""
    locked = Lab.objects.select_for_update().get(pk=lab.pk)
    locked.hub_epoch = max(above, locked.hub_epoch) + 1
    locked.save(update_fields=["hub_epoch"])
    log_change(locked, Topic.RIGHTS, "hub_epoch_raised", why, at)
    return locked.hub_epoch
