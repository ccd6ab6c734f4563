"""What a failure leaves behind: a smaller plan, words and a picture; and campaigns that go on and add up."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from interlock.cli.sim import sim
from interlock.sim.simulator import campaign as campaigns
from interlock.sim.simulator.campaign import (
    RUNS_FILE,
    campaign,
    examine,
    finished_runs,
    speed_of,
    totals_of,
)
from interlock.sim.simulator.happenings import plan_from_text
from interlock.sim.simulator.life_of_a_lab import plan_of
from interlock.sim.simulator.run import run
from tests.simulator.planted import PLANTED
from tests.simulator.planted_life import HOURS

pytestmark = pytest.mark.fast

TWICE_COUNTED = next(one for one in PLANTED if one.rule == "D5")


def test_a_failure_is_shrunk_told_and_drawn_and_its_plan_fails_again(tmp_path: Path) -> None:
    plan = plan_of(TWICE_COUNTED.seed, HOURS, 1)
    parts = TWICE_COUNTED.parts()
    verdict = run(plan, parts)
    assert verdict.violation is not None
    smallest = examine(plan, verdict, tmp_path, "c0ffee", lambda smaller: run(smaller, parts))
    assert len(smallest.happenings) <= 4 < len(plan.happenings)
    kept = plan_from_text((tmp_path / "plan.txt").read_text(encoding="utf-8").splitlines())
    assert kept == smallest
    again = run(kept, parts).violation
    assert again is not None
    assert again.rule == verdict.violation.rule
    told = (tmp_path / "trace.txt").read_text(encoding="utf-8")
    assert f"seed {plan.seed}, commit c0ffee" in told
    assert f"VIOLATION {again}" in told
    picture = ElementTree.fromstring((tmp_path / "timeline.svg").read_text(encoding="utf-8"))
    texts = {text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {"badge", "session", "relay", "coil", "contacts", "motor", str(again)} <= texts
    assert {"1", "the last second"} <= texts, (
        "what happened is numbered, and the end drawn close up"
    )


def test_a_campaign_that_is_interrupted_goes_on_and_its_totals_add_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaigns, "RUN_HOURS", 0.05)
    assert campaign(tmp_path, 0.05) is None
    first = totals_of(tmp_path)
    with (tmp_path / RUNS_FILE).open("a", encoding="utf-8") as file:
        file.write('{"seed": 1, "commit"')
    assert campaign(tmp_path, 0.15) is None
    assert [one.seed for one in finished_runs(tmp_path)] == [0, 1, 2]
    totals = totals_of(tmp_path)
    assert totals.node_hours == pytest.approx(0.15)
    lines = (tmp_path / RUNS_FILE).read_text(encoding="utf-8").splitlines()
    assert totals.events == sum(json.loads(line)["events"] for line in lines) > first.events


def test_a_campaign_stops_at_the_first_failure_and_leaves_its_artefacts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaigns, "RUN_HOURS", HOURS)
    found = campaign(tmp_path, 100.0, speed=speed_of(parts=TWICE_COUNTED.parts()))
    assert found is not None
    last = list(finished_runs(tmp_path))[-1]
    assert last.violation == str(found)
    assert (tmp_path / f"failure-{last.seed}" / "trace.txt").exists()


def test_the_command_line_prints_seed_commit_and_digest() -> None:
    said = CliRunner().invoke(sim, ["run", "--seed", "1", "--hours", "0.02"], standalone_mode=False)
    assert said.exception is None, said.output
    digest = run(plan_of(1, 0.02, 1)).digest
    assert "seed 1 commit " in said.output
    assert digest in said.output
