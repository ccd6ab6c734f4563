"""Every situation a person can stand in front of looks different from every other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from interlock.core import outputs
from interlock.core.effects import Colour, Message, Panel, Pattern, ShowPanel
from interlock.core.events import (
    BadgeRemoved,
    JournalFailed,
    NoticeGiven,
    ReaderFailed,
    ReaderRecovered,
    RemoteInterlockReported,
    SnapshotActivated,
)
from interlock.core.model import Cache, Credit, Demands, Enforcement, Fault, Interlock
from interlock.core.states import Company, EnabledFacts, Recovered, State
from tests.core.rig import ADA, HOLD, QUIET, TAP, TRAINEE, TRAINER, UNTRAINED, Rig, enabled

pytestmark = pytest.mark.fast

LID = Interlock("lid", permit_after_ms=0)
CHILLER = Interlock("chiller", remote=True)
GUARDED = replace(TAP, interlocks=(LID,))
COOLED = replace(TAP, interlocks=(CHILLER,))
AIRED = replace(TAP, pre_run_s=3, run_on_s=30)
POWERED = {
    "in use",
    "badge missing",
    "ending",
    "idle soon off",
    "supervised",
    "confirm supervision",
    "long job",
    "not seen while running",
}
NOTICES = {"low credit", "would be refused", "training granted"}


def _starting() -> Rig:
    rig = Rig(durable=False)
    rig.arrive(ADA)
    return rig


def _missing() -> Rig:
    rig = enabled(HOLD)
    rig.give(BadgeRemoved())
    return rig


def _ending() -> Rig:
    rig = enabled()
    rig.sample(busy=True)
    rig.arrive(ADA)
    return rig


def _idle_soon_off() -> Rig:
    rig = enabled()
    rig.pass_ms(30_000)
    return rig


def _refused() -> Rig:
    rig = Rig()
    rig.arrive(UNTRAINED)
    return rig


def _sampled(**levels: bool) -> Rig:
    rig = Rig()
    rig.sample(**levels)
    return rig


def _told(event: ReaderFailed | JournalFailed | SnapshotActivated | NoticeGiven) -> Rig:
    rig = Rig()
    rig.give(event)
    return rig


def _pre_run() -> Rig:
    rig = Rig(AIRED)
    rig.arrive(ADA)
    return rig


def _run_on() -> Rig:
    rig = _pre_run()
    rig.pass_ms(3_200)
    rig.arrive(ADA)
    rig.pass_ms(TAP.notice_s * 1_000 + 100)
    return rig


def _session_ended() -> Rig:
    rig = enabled()
    rig.arrive(ADA)
    return rig


def _coasting() -> Rig:
    rig = enabled(replace(TAP, coast_down_s=10))
    rig.arrive(ADA)
    return rig


def _tripped() -> Rig:
    rig = Rig(GUARDED, inputs=replace(QUIET, interlocks_closed=(True,)))
    rig.arrive(ADA)
    rig.sample(interlocks_closed=(False,))
    return rig


def _open() -> Rig:
    rig = _tripped()
    rig.pass_ms(TAP.notice_s * 1_000 + 100)
    return rig


def _unknown_while_running() -> Rig:
    rig = Rig(COOLED)
    rig.give(RemoteInterlockReported("chiller", True))
    rig.arrive(ADA)
    rig.sample(busy=True)
    rig.give(RemoteInterlockReported("chiller", None))
    rig.sample()
    return rig


def _unmetered() -> Rig:
    rig = Rig(inputs=replace(QUIET, bypass_on=True, mirror_closed=False))
    rig.pass_ms(200)
    return rig


def _waiting_for_trainer() -> Rig:
    rig = Rig()
    rig.arrive(TRAINEE)
    return rig


def _waiting_for_second() -> Rig:
    rig = Rig(replace(TAP, second_person=True))
    rig.arrive(ADA)
    return rig


def _supervised() -> Rig:
    rig = Rig(replace(TAP, supervise_s=20, idle_timeout_s=None))
    rig.tap(TRAINEE)
    rig.arrive(TRAINER)
    rig.pass_ms(100)
    return rig


def _confirm() -> Rig:
    rig = _supervised()
    rig.pass_ms(20_000)
    return rig


def _long_job() -> Rig:
    rig = enabled(replace(TAP, long_jobs=True))
    rig.sample(busy=True)
    rig.sample(long_job_pressed=True)
    return rig


def _low_credit() -> Rig:
    rig = Rig()
    rig.arrive(replace(ADA, credit=Credit.LOW))
    rig.sample()
    return rig


def _would_be_refused() -> Rig:
    rig = Rig(replace(TAP, enforcement=Enforcement.WARN_ONLY))
    rig.arrive(UNTRAINED)
    rig.sample()
    return rig


def _granted() -> Rig:
    rig = _supervised()
    rig.give(SnapshotActivated(rig.state.cache, Demands(("saw",), offsets=((0, 3_600),))))
    rig.sample(long_job_pressed=True)
    rig.arrive(TRAINER)
    return rig


SITUATIONS: dict[str, Callable[[], Rig]] = {
    "ready": Rig,
    "starting": _starting,
    "in use": enabled,
    "badge missing": _missing,
    "ending": _ending,
    "idle soon off": _idle_soon_off,
    "refused": _refused,
    "session ended": _session_ended,
    "locked out": lambda: Rig(recovered=Recovered(locked_out=True)),
    "fault": lambda: Rig(recovered=Recovered(frozenset({Fault.CONTACTOR_WELDED}))),
    "emergency stop": lambda: _sampled(emergency_stop_closed=False),
    "reader": lambda: _told(ReaderFailed("x")),
    "journal": lambda: _told(JournalFailed("x")),
    "rights": lambda: _told(SnapshotActivated(Cache(), Demands())),
    "waiting for trainer": _waiting_for_trainer,
    "waiting for second": _waiting_for_second,
    "pre-run": _pre_run,
    "run-on": _run_on,
    "coasting": _coasting,
    "supervised": _supervised,
    "confirm supervision": _confirm,
    "training granted": _granted,
    "long job": _long_job,
    "low credit": _low_credit,
    "would be refused": _would_be_refused,
    "interlock open": _open,
    "interlock tripped": _tripped,
    "not seen": lambda: Rig(COOLED),
    "not seen while running": _unknown_while_running,
    "unmetered": _unmetered,
    "from hub": lambda: _told(NoticeGiven(Message.FROM_HUB, "Coffee is ready", 60_000)),
    "identify": lambda: _told(NoticeGiven(Message.IDENTIFY, None, 30_000)),
}


@pytest.fixture(scope="module")
def panels() -> dict[str, Panel]:
    return {name: rig().panel for name, rig in SITUATIONS.items()}


def test_every_message_there_is_has_a_situation(panels: dict[str, Panel]) -> None:
    assert {panel.message for panel in panels.values()} == set(Message)


def test_every_state_has_a_situation() -> None:
    assert {rig().at() for rig in SITUATIONS.values()} == set(State)


def test_no_two_situations_say_the_same_words(panels: dict[str, Panel]) -> None:
    seen_twice = {"not seen while running"}
    assert len({panel.message for panel in panels.values()}) == len(panels) - len(seen_twice)


ALIKE = [
    {"reader", "journal", "rights"},
    {"in use", "supervised", "low credit", "would be refused", "training granted"},
    {"ending", "idle soon off", "confirm supervision"},
    {"waiting for trainer", "waiting for second"},
    {"interlock open", "interlock tripped", "not seen"},
    {"long job", "not seen while running"},
    {"from hub", "identify"},
]
"""Call somebody · in use · power is about to go · another badge · close it first · it runs, look at it · the hub
speaks."""


def test_no_meaning_is_carried_by_colour_alone(panels: dict[str, Panel]) -> None:
    """What differs in meaning differs in colour and pattern together; what looks alike means the same."""
    looks: dict[tuple[Colour, Pattern], set[str]] = {}
    for name, panel in panels.items():
        looks.setdefault((panel.colour, panel.lamp), set()).add(name)
    alike = [names for names in looks.values() if len(names) > 1]
    assert sorted(alike, key=min) == sorted(ALIKE, key=min)
    patterns = {panels[name].lamp for name in ("ready", "in use", "emergency stop")}
    assert patterns == {Pattern.STEADY}, "ready, in use and stopped are told apart by their words"


def test_a_powered_machine_is_never_red_nor_white_nor_blue(panels: dict[str, Panel]) -> None:
    for name, rig in SITUATIONS.items():
        powered = rig().is_on or name == "unmetered"
        assert powered is (panels[name].colour is Colour.GREEN or name in POWERED), name
        assert powered is (name in POWERED | NOTICES | {"unmetered"}), name


def test_the_panel_counts_down_to_every_planned_change(panels: dict[str, Panel]) -> None:
    counted = {
        "ending": 5,
        "badge missing": 2,
        "idle soon off": 5,
        "confirm supervision": 5,
        "pre-run": 3,
        "run-on": 24,
        "coasting": 10,
        "waiting for trainer": 30,
        "waiting for second": 30,
    }
    assert {name: panels[name].seconds for name in counted} == counted


def test_every_open_interlock_and_every_message_is_named(panels: dict[str, Panel]) -> None:
    named = {name: panel.detail for name, panel in panels.items() if panel.detail is not None}
    assert named == {
        "from hub": "Coffee is ready",
        "interlock open": "lid",
        "interlock tripped": "lid",
        "not seen": "chiller",
        "not seen while running": "chiller",
    }


def test_what_asks_for_a_hand_is_heard_too(panels: dict[str, Panel]) -> None:
    warned = {name for name in panels if panels[name].buzzer is Pattern.WARNING_BEEPS}
    assert warned == {"ending", "idle soon off", "badge missing", "confirm supervision"}
    twice = {name for name in panels if panels[name].buzzer is Pattern.TWO_BEEPS}
    refusals = {"refused", "interlock tripped", "would be refused", "not seen while running"}
    assert twice == refusals | {"from hub", "identify"}


@pytest.mark.parametrize("name", ["fault", "locked out", "emergency stop", "coasting", "rights"])
def test_a_message_of_the_hub_never_hides_a_warning(name: str) -> None:
    rig = SITUATIONS[name]()
    before = rig.panel
    rig.give(NoticeGiven(Message.FROM_HUB, "Coffee is ready", 60_000))
    after = rig.panel
    assert (after.message, after.colour, after.lamp) == (before.message, before.colour, before.lamp)


def test_the_panel_is_told_only_when_it_changes() -> None:
    rig = Rig()
    before = len([e for e in rig.effects if isinstance(e, ShowPanel)])
    rig.pass_ms(10_000)
    assert len([e for e in rig.effects if isinstance(e, ShowPanel)]) == before
    assert rig.panel.message is Message.READY


def test_the_member_is_spoken_to_in_their_language(panels: dict[str, Panel]) -> None:
    names = ("starting", "in use", "refused", "ending", "pre-run", "session ended")
    assert {panels[name].language for name in names} == {"fr"}


def test_a_refusal_at_a_powered_machine_leaves_its_lamp_green() -> None:
    rig = enabled()
    rig.sample(busy=True)
    rig.arrive(UNTRAINED)
    assert rig.panel.message is Message.REFUSED
    assert (rig.panel.colour, rig.panel.lamp) == (Colour.GREEN, Pattern.STEADY)
    keyed = _unmetered()
    keyed.arrive(ADA)
    assert keyed.panel.message is Message.REFUSED
    assert keyed.panel.colour is Colour.GREEN, "the key powers it"


def test_extraction_is_a_function_of_the_state() -> None:
    """S10: the same answer for the same facts, whatever way led there."""
    running = {name for name, rig in SITUATIONS.items() if outputs.extraction_on(rig().state)}
    powered = {name for name, rig in SITUATIONS.items() if rig().is_on}
    assert running == powered | {"pre-run", "run-on"}


def test_a_supervised_long_job_says_that_it_is_unattended() -> None:
    rig = enabled()
    assert isinstance(rig.state.facts, EnabledFacts)
    session = replace(rig.state.facts.session, long_job=True, company=Company(supervisor="m-x"))
    state = replace(rig.state, facts=EnabledFacts(session))
    assert outputs.panel(state, rig.ms).message is Message.LONG_JOB


def test_a_reader_that_answers_again_is_ready_again() -> None:
    rig = _told(ReaderFailed("silent"))
    told = rig.panel.message
    rig.give(ReaderRecovered())
    rig.pass_ms(1_000)
    assert (told is Message.READY, rig.panel.message) == (False, Message.READY)
