"""A hub's folder and a UID in, that badge reported stolen out: run as a child, for Django's sake."""

from __future__ import annotations

import sys
from pathlib import Path

from interlock.clock import SystemClock
from interlock.hub import commands


def main() -> None:
    """Report it, as the fab manager's page does."""
    folder, uid = Path(sys.argv[1]), bytes.fromhex(sys.argv[2])
    commands.open_hub(folder)
    from django.conf import settings

    from interlock.hub.domain.members import block_badge
    from interlock.hub.models import Badge, BadgeCondition
    from interlock.hub.permissions import Actor
    from interlock.protocol.tags import badge_tag

    badge = Badge.objects.get(tag=badge_tag(settings.HUB.badge_key(), uid))
    block_badge(Actor(SystemClock()), badge, BadgeCondition.STOLEN, "a scenario")


if __name__ == "__main__":
    main()
