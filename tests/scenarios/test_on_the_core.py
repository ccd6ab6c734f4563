"""Every scenario, played on the core in virtual time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.scenarios.core_stage import CoreStage
from tests.scenarios.play import play
from tests.scenarios.script import Script, ScriptError, Step, scripts

pytestmark = pytest.mark.fast

SCRIPTS = scripts()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda one: one.name)
def test_the_machine_does_what_the_scenario_tells(script: Script) -> None:
    play(script, CoreStage(script))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda one: one.name)
def test_a_scenario_that_expects_the_opposite_of_its_relay_fails(script: Script) -> None:
    """The control: what is seen is looked at. Every scenario speaks of the relay."""
    turned, found = [], False
    for step in script.steps:
        opposite = tuple(_turned(one) for one in step.expected)
        found = found or opposite != step.expected
        turned.append(replace(step, expected=opposite))
    assert found, "a scenario without a relay proves nothing about power"
    with pytest.raises(AssertionError):
        play(
            Script(script.name, script.title, script.why, script.machine, script.people, turned),
            CoreStage(script),
        )


def test_a_sentence_nobody_understands_is_an_error() -> None:
    known = SCRIPTS[0]
    for step in (Step(1, "the moon rises", ()), Step(1, "nothing happens", ("relay purple",))):
        script = Script("x", "t", "w", known.machine, known.people, [step])
        with pytest.raises(ScriptError):
            play(script, CoreStage(script))


def _turned(expected: str) -> str:
    if not expected.startswith("relay"):
        return expected
    return _opposite(expected)


def _opposite(expected: str) -> str:
    head, _, level = expected.rpartition(" ")
    return f"{head} {'off' if level == 'on' else 'on'}"
