"""The scenarios that matter most, played with a world, a node, its sync and a hub as they run in a lab."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.conftest import template as template
from tests.real.lab import lab_from
from tests.scenarios.play import play
from tests.scenarios.real_stage import RealStage, keys_of
from tests.scenarios.script import Script, scripts

pytestmark = pytest.mark.real

SCRIPTS = [script for script in scripts() if script.on_real_processes]
DOZEN = 12


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda one: one.name)
def test_the_processes_do_what_the_scenario_tells(script: Script, template: Path) -> None:
    with lab_from(template, keys_of(script)) as lab:
        lab.start()
        lab.locked()
        play(script, RealStage(script, lab))


def test_the_dozen_that_matters_most_is_played() -> None:
    assert len(SCRIPTS) >= DOZEN
