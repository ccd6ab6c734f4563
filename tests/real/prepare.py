"""A folder in, the sample lab with a saw that costs a cent each 10 ms of work out: run as a child, for Django's sake.

Arguments: the lab's folder. A busy second costs 100 cents, so that a short session has a price that can be
wrong. Nothing is forgiven.
"""

from __future__ import annotations

import sys
from pathlib import Path

from interlock.clock import SystemClock
from interlock.hub import commands
from interlock.sim.demo_machines import SAW, MachineFolder
from interlock.sim.lab import sample_lab

CENTS_PER_HOUR = 360_000
NOWHERE = "http://127.0.0.1:1"


def main() -> None:
    """Make the lab."""
    root = Path(sys.argv[1])
    folder = MachineFolder(root / "machine")
    sample_lab(root / "hub")
    from interlock.hub.domain.tariffs import Prices, set_prices
    from interlock.hub.models import Basis, Tariff
    from interlock.hub.permissions import Actor

    prices = Prices(cents_per_hour=CENTS_PER_HOUR, basis=Basis.BUSY, forgive_s=0)
    set_prices(Actor(SystemClock()), Tariff.objects.get(slug="wood"), prices)
    keys, access = commands.add_node(root / "hub", SAW.id, folder.path, NOWHERE)
    keys.rename(folder.node_keys)
    access.rename(folder.sync_access)


if __name__ == "__main__":
    main()
