"""An old SD card put back on real processes: found at first contact, its numbers never used again, all kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.real.lab import NODE, SYNC, Lab, lab_from
from tests.waiting import wait_until

pytestmark = pytest.mark.real

FOUND_S = 60.0
RECORDS = "SELECT epoch, seq, hex(hash) AS hash FROM hub_noderecord ORDER BY epoch, seq"


def worked(lab: Lab) -> None:
    lab.locked()
    lab.tap_on()
    lab.tap_off()


def stored(lab: Lab) -> list[tuple[int, int, str]]:
    return [(row["epoch"], row["seq"], row["hash"]) for row in lab.sql(RECORDS)]


def aside(lab: Lab) -> list[dict[str, Any]]:
    rows = lab.sql("SELECT wire FROM hub_setaside ORDER BY epoch, seq, id")
    return [json.loads(row["wire"]) for row in rows]


def alarms(lab: Lab) -> set[str]:
    return {row["kind"] for row in lab.sql("SELECT kind FROM hub_alarm WHERE closed_at IS NULL")}


def gone_to_bed(lab: Lab) -> None:
    """Everything is at the hub, the Pi is off in order."""
    lab.last_word()
    wait_until(lab.drained, FOUND_S, "an empty outbox")
    lab.manager.stop(SYNC, NODE)
    lab.cut_power()


def card_in(lab: Lab, card: Path) -> Path:
    """`card` is in the Pi now; where the one that was in it lies."""
    out = lab.root / f"{card.name}-before"
    lab.folder.state.rename(out)
    shutil.copytree(card, lab.folder.state)
    return out


def epoch(lab: Lab) -> int:
    journal = lab.status().get("journal", {})
    return int(journal["head"]["epoch"]) if journal.get("head") else 0


def test_an_old_card_is_found_and_goes_on_in_an_epoch_of_its_own_and_so_does_the_newer_one(
    template: Path,
) -> None:
    with lab_from(template) as lab:
        lab.start()
        worked(lab)
        gone_to_bed(lab)
        image = lab.root / "image"
        shutil.copytree(lab.folder.state, image)
        lab.switch_on()
        lab.start_sync()
        worked(lab)
        gone_to_bed(lab)
        before, sessions = stored(lab), lab.sessions()
        assert len(sessions) == 2
        assert aside(lab) == []

        newer = card_in(lab, image)
        lab.switch_on()
        worked(lab)
        lab.start_sync()
        wait_until(lambda: epoch(lab) > 1, FOUND_S, "a branch of its own")
        worked(lab)
        wait_until(lambda: len(lab.sessions()) == 3, FOUND_S, "the session after the branch began")
        gone_to_bed(lab)
        assert {"chain_differs", "records_set_aside"} <= alarms(lab)
        of_image = aside(lab)
        assert stored(lab)[: len(before)] == before
        assert {one["epoch"] for one in of_image} == {1}
        assert [one["type"] for one in of_image].count("session_started") == 1
        assert [one["type"] for one in of_image].count("session_ended") == 1
        [first, *rest] = [row for row in stored(lab) if row[0] > 1]
        assert [row[1] for row in (first, *rest)] == list(range(1, len(rest) + 2))
        after = stored(lab)

        card_in(lab, newer)
        lab.switch_on()
        lab.start_sync()
        wait_until(lambda: epoch(lab) > first[0], FOUND_S, "the newer card's own branch")
        worked(lab)
        wait_until(lambda: len(lab.sessions()) == 4, FOUND_S, "the newer card's session")
        gone_to_bed(lab)
        assert stored(lab)[: len(after)] == after
        assert len({row[0] for row in stored(lab)}) == 3
        assert [s["id"] for s in lab.sessions()][:2] == [s["id"] for s in sessions]
        assert all(s["how"] for s in lab.sessions())
